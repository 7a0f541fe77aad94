"""Prediction for a few rows, where laying out a net for the kernels would take longer than they do.

The weights are read where they lie, row by row; sums have the order of matmul.py, so the outputs
have the same bytes as those of a whole pass.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.activations import activate
from fastmlp.kernels.intrinsics import address, fma, pointer_at, shifted
from fastmlp.kernels.jit import kernel
from fastmlp.kernels.layout import acts_of, middle_of, plain
from fastmlp.kernels.losses import softmax
from fastmlp.kernels.matmul import WORD
from fastmlp.net import Net

MOST = 4  # rows: more are predicted sooner by a whole pass

_ZERO, _ONE = np.float32(0), np.float32(1)
_NO_CODES, _NONE = np.empty(0, np.uint8), np.empty(0, np.float32)

_layouts: WeakKeyDictionary[Net, tuple[Any, ...] | None] = WeakKeyDictionary()


def predict_proba(net: Net, X: Any) -> NDArray[np.float32] | None:
    """Probabilities (N, K) for an array X (N, D) of a few rows of uint8 or float32; None for all else."""
    if type(X) is not np.ndarray or X.ndim != 2 or not 0 < len(X) <= MOST:
        return None
    if net not in _layouts:
        _layouts[net] = _layout(net)
    layout = _layouts[net]
    coded = X.dtype == np.uint8
    if layout is None or not (coded or X.dtype == np.float32) or not X.flags.c_contiguous:
        return None
    sizes, places, acts, D, K, middle, scratch, prepared = layout
    if X.shape[1] != D:
        return None
    p = np.empty((len(X), K), np.float32)
    flat = plain(X.reshape(-1))
    finite = predict(
        p.reshape(-1), flat if coded else _NO_CODES, _NONE if coded else flat,
        sizes, places, middle, prepared, acts, np.empty(scratch, np.float32),
    )  # fmt: skip
    return p if finite else None


def _layout(net: Net) -> tuple[Any, ...] | None:
    """Widths, addresses of W1, b1, W2, ..., activations, D, K, middle of the inputs, size of the scratch; and
    factor, mean and scales as in layout.Rows, one after the other, the last where there are any.

    None if the arrays do not lie so.
    """
    parameters, scale, mean = net.parameters, net.preprocessing.scale, net.preprocessing.mean
    arrays = list(parameters)
    if not all(a.dtype == np.float32 and a.flags.c_contiguous for a in arrays):
        return None
    sizes = [parameters.shapes[0][0], *(fan_out for _, fan_out in parameters.shapes)]
    places = np.array([a.ctypes.data for a in arrays], np.int64)
    wide = np.array(sizes, np.int64)
    by_column = net.preprocessing.by_column
    means = np.zeros(sizes[0] if by_column else 0) if mean is None else mean
    scales = np.ravel(1 / scale)
    prepared = np.concatenate([[1.0], means, scales] if by_column else [scales, means]).astype(np.float32)
    scratch = 4 * (max(sizes) + 3)
    return wide, places, acts_of(net), sizes[0], sizes[-1], middle_of(sizes[0]), scratch, prepared


@kernel
def predict(p, codes, values, sizes, places, middle, prepared, acts, scratch):
    """p (n K) for n rows of codes or values; returns whether all values are finite."""
    depth, D, K, room = len(sizes) - 1, sizes[0], sizes[len(sizes) - 1], len(scratch) // 4
    n, factor, centred, by_column = len(p) // K, prepared[0], len(prepared) > 1, len(prepared) > 1 + D
    inputs, outputs, sums, first_half = address(scratch), 1 * room, 2 * room, 3 * room
    for i in range(n):
        for j in range(D):
            x = np.float32(codes[i * D + j]) if len(codes) > 0 else values[i * D + j]
            if not np.isfinite(x):
                return False
            x *= factor
            if centred:
                x -= prepared[1 + j] * factor
            if by_column:
                x *= prepared[1 + D + j]
            inputs[j] = x
        for layer in range(depth):
            fan_in, fan_out = sizes[layer], sizes[layer + 1]
            W, b = pointer_at(places[2 * layer]), pointer_at(places[2 * layer + 1])
            halved = layer == 0 and middle < fan_in  # as in first_layer.py
            for k in range(fan_out):
                inputs[outputs + k] = _ZERO if halved else b[k]
            for start in range(0, fan_in, WORD):
                if halved and start == middle:
                    for k in range(fan_out):
                        inputs[first_half + k], inputs[outputs + k] = inputs[outputs + k], b[k]
                for k in range(fan_out):
                    inputs[sums + k] = _ZERO
                for j in range(start, min(start + WORD, fan_in)):
                    x = inputs[j]
                    if x != _ZERO:
                        for k in range(fan_out):
                            inputs[sums + k] = fma(x, W[j * fan_out + k], inputs[sums + k])
                for k in range(fan_out):
                    inputs[outputs + k] += inputs[sums + k]
            if halved:
                for k in range(fan_out):
                    inputs[outputs + k] += inputs[first_half + k]
            if layer < depth - 1:
                activate(shifted(inputs, outputs), fan_out, acts[layer])
                for k in range(fan_out):
                    inputs[k] = inputs[outputs + k]
        softmax(shifted(inputs, sums), 1, shifted(inputs, outputs), K, 1, K)
        for k in range(K):
            p[i * K + k] = inputs[sums + k]
    return True
