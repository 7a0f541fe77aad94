"""How the kernels lay out a net and its workspace: padded, in flat arrays, all made once.

A row is padded to whole vectors of 8 lanes. Biases are weights of an input that is always 1:

- first layer:  (D + 1, stride), a row per input, the bias last: samples gather rows, and each
  input's row is updated by itself;
- deeper layer: (fan_out, stride), a row per output unit (the transpose of W), the bias in column
  fan_in: outputs are dot products, and each unit's row is updated by itself.

Padding holds zeros, and stays so: no gradient reaches it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.encode import Encoded
from fastmlp.kernels.simd import LANES
from fastmlp.parameters import Parameters

Float32 = NDArray[np.float32]

# Columns of ``Net.layers``, a row per layer.
FAN_IN, FAN_OUT = 0, 1
W, STRIDE = 2, 3  # offset of the layer's weights in theta, elements from row to row
A, A_STRIDE = 4, 5  # the same for its outputs in acts, and for their deltas

TILE = 4  # rows of a deeper layer that are multiplied together


class Net(NamedTuple):
    """Parameters and workspace of a pass over at most B samples at a time.

    acts and deltas hold, layer after layer, (B, stride) outputs and dLoss/dz. Each member of a
    team has ``room`` elements of coefficients and offsets for the row it works on.
    """

    layers: NDArray[np.int64]
    theta: Float32
    acts: Float32
    deltas: Float32
    nothing: Float32  # zeros, as many as the longest row
    room: int
    coefficients: Float32
    offsets: NDArray[np.int64]


class Rows(NamedTuple):
    """An Encoded X (N, D), and what turns its values into inputs: (value - mean) * factor."""

    starts: NDArray[np.int64]
    columns: NDArray[np.uint16] | NDArray[np.int32]
    values: NDArray[np.uint8] | Float32
    sparse: bool
    mean: Float32
    factor: np.float32


def rows_of(X: Encoded, scale: float, mean: NDArray[np.floating] | None) -> Rows:
    """The rows of X, as the kernels take them."""
    means = np.zeros(X.shape[1], np.float32) if mean is None else np.ascontiguousarray(mean, np.float32)
    return Rows(X.starts, X.columns, X.values, X.sparse, means, np.float32(1 / scale))


def build(parameters: Parameters, B: int, members: int, longest_row: int) -> Net:
    """The net of these parameters with a workspace for B samples and a team of that size."""
    layers = np.zeros((len(parameters.weights), 6), np.int64)
    width, weights, outputs = 0, 0, 0
    for layer, (fan_in, fan_out) in enumerate(parameters.shapes):
        a_stride = _padded(fan_out + 1, LANES)  # room for the 1 that the next bias is the weight of
        if layer == 0:
            rows, stride = fan_in + 1, a_stride
        else:
            rows, stride = _padded(fan_out, TILE), width
        layers[layer] = fan_in, fan_out, weights, stride, outputs, a_stride
        weights += rows * stride
        outputs += B * a_stride
        width = a_stride
    longest = int(layers[:, A_STRIDE].max())
    room = _padded(max(longest_row, B, longest), LANES)
    net = Net(
        layers,
        theta=aligned_zeros(weights),
        acts=aligned_zeros(outputs),
        deltas=aligned_zeros(outputs),
        nothing=aligned_zeros(longest),
        room=room,
        coefficients=aligned_zeros(members * room),
        offsets=np.zeros(members * room, np.int64),
    )
    for (layer, W_padded, b_padded), W_in, b_in in zip(
        views(net, net.theta), parameters.weights, parameters.biases, strict=True
    ):
        W_padded[...] = W_in if layer == 0 else W_in.T
        b_padded[...] = b_in
    return net


def views(net: Net, flat: Float32) -> list[tuple[int, Float32, Float32]]:
    """(layer, weights, biases) in a flat array laid out as theta; deeper weights are (fan_out, fan_in)."""
    out = []
    for layer, (fan_in, fan_out, start, stride, _, _) in enumerate(net.layers.tolist()):
        if layer == 0:
            block = flat[start : start + (fan_in + 1) * stride].reshape(fan_in + 1, stride)
            out.append((layer, block[:fan_in, :fan_out], block[fan_in, :fan_out]))
        else:
            block = flat[start : start + fan_out * stride].reshape(fan_out, stride)
            out.append((layer, block[:, :fan_in], block[:, fan_in]))
    return out


def unpack(net: Net, flat: Float32) -> Parameters:
    """Copies of the weights (fan_in, fan_out) and biases in a flat array laid out as theta."""
    layers = views(net, flat)
    return Parameters(
        tuple(np.array(W if layer == 0 else W.T, order="C") for layer, W, _ in layers),
        tuple(np.array(b) for _, _, b in layers),
    )


def outputs(net: Net, B: int) -> list[Float32]:
    """Copies of the outputs (B, fan_out) of each layer, of B samples."""
    out = []
    for _, fan_out, _, _, start, stride in net.layers.tolist():
        out.append(net.acts[start : start + B * stride].reshape(B, stride)[:, :fan_out].copy())
    return out


def aligned_zeros(n: int) -> Float32:
    """n float32 zeros that begin on a cache line."""
    raw = np.zeros(n + 16, np.float32)
    start = (-raw.ctypes.data % 64) // 4
    return raw[start : start + n]


def _padded(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
