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
from fastmlp.kernels.losses import LINKS, predictions
from fastmlp.kernels.matmul import WORD
from fastmlp.net import Net

MOST = 4  # rows: more are predicted sooner by a whole pass

_1, _ZERO, _ONE = np.int64(1), np.float32(0), np.float32(1)
_NO_CODES, _NO_VALUES = np.empty(0, np.uint8), np.empty(0, np.float32)

_layouts: WeakKeyDictionary[Net, dict[str, tuple[Any, ...] | None]] = WeakKeyDictionary()


def predict(net: Net, X: Any, link: str) -> NDArray[np.float32] | None:
    """Predictions (N, K), by that link, for an array X (N, D) of a few rows of uint8 or float32.

    None for all else.
    """
    if type(X) is not np.ndarray or X.ndim != 2 or not 0 < len(X) <= MOST:
        return None
    layouts = _layouts.setdefault(net, {})
    if link not in layouts:
        layouts[link] = _layout(net, link)
    layout = layouts[link]
    coded = X.dtype == np.uint8
    if layout is None or not (coded or X.dtype == np.float32) or not X.flags.c_contiguous:
        return None
    sizes, places, numbers, D, K, middle, scratch, prepared = layout
    if X.shape[1] != D:
        return None
    p = np.empty((len(X), K), np.float32)
    flat = plain(X.reshape(-1))
    finite = fill(
        p.reshape(-1), flat if coded else _NO_CODES, _NO_VALUES if coded else flat,
        sizes, places, middle, prepared, numbers, np.empty(scratch, np.float32),
    )  # fmt: skip
    return p if finite else None


def _layout(net: Net, link: str) -> tuple[Any, ...] | None:
    """Widths, places, the activations' numbers, D, K, middle of the inputs, size of the scratch,
    and factor, mean and scales as in layout.Rows, one after the other, the last where there are any.

    places: addresses of W1, b1, W2, ..., then of the activations and the link. None if the arrays do not lie
    so, or there are batch norms.
    """
    parameters, scale, mean = net.parameters, net.preprocessing.scale, net.preprocessing.mean
    arrays = list(parameters)
    if net.architecture.normalises or not all(a.dtype == np.float32 and a.flags.c_contiguous for a in arrays):
        return None
    sizes = [parameters.shapes[0][0], *(fan_out for _, fan_out in parameters.shapes)]
    acts, numbers = acts_of(net)
    places = np.array([*(a.ctypes.data for a in arrays), *acts, LINKS[link].place], np.int64)
    wide = np.array(sizes, np.int64)
    by_column = net.preprocessing.by_column
    means = np.zeros(sizes[0] if by_column else 0) if mean is None else mean
    scales = np.ravel(1 / scale)
    prepared = np.concatenate([[1.0], means, scales] if by_column else [scales, means]).astype(np.float32)
    scratch = 5 * (max(sizes) + 3)
    return wide, places, numbers, sizes[0], sizes[-1], middle_of(sizes[0]), scratch, prepared


@kernel
def fill(p, codes, values, sizes, places, middle, prepared, numbers, scratch):
    """p (n K) for n rows of codes or values; returns whether all values are finite."""
    depth, D, K, room = len(sizes) - 1, sizes[0], sizes[len(sizes) - 1], len(scratch) // 5
    n, factor, centred, by_column = len(p) // K, prepared[0], len(prepared) > 1, len(prepared) > 1 + D
    inputs, outputs, sums, first_half, factors = address(scratch), 1 * room, 2 * room, 3 * room, 4 * room
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
                out, unused = shifted(inputs, outputs), shifted(inputs, factors)
                activate(places[2 * depth + layer], out, unused, fan_out, numbers[layer])
                for k in range(fan_out):
                    inputs[k] = inputs[outputs + k]
        out, logits = shifted(address(p), i * K), shifted(inputs, outputs)
        predictions(places[3 * depth - 1], out, logits, K, K, shifted(inputs, sums), _1, _1)
    return True
