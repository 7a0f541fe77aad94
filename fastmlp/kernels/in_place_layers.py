"""What in_place_floats.py and in_place_doubles.py share: the parts of a plan, and a layer's weights.

They are read where they lie, ``fan_out`` apart, but for the last rows, behind which a vector would end
outside of the array: those are copied, padded with zeros, and the bias behind them. For many rows of X all
are.
"""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.intrinsics import shifted
from fastmlp.kernels.jit import device
from fastmlp.kernels.simd import Matrix

FEW = 4  # rows: so many fill a tile
MANY = 64  # rows of a call that are worth a copy of all weights

# The parts of a plan, and from LAYERS on those of each layer. MEAN, SCALE: places, 0 for none. FACTOR: its
# bits. WIDE: the longest row of sums. OWN: what nets of one number type alone have.
KIND, DEPTH, INPUTS, LINK, MEAN, SCALE, FACTOR, WIDE, OWN, LAYERS = range(10)
BYTES, FLOATS, DOUBLES = range(3)  # kinds of X

# The parts of a plan for one layer. STRIDE: of its sums, and of what is copied. VECTORS: of a row, that are
# computed; PADDED: by the sparse loops. TERMS: of a sum, that are added up together. WITHIN: the first row
# that is copied, a multiple of TERMS. ACT, NUMBER: the place of its activation, and the bits of its number.
FAN_IN, FAN_OUT, W, B, STRIDE, VECTORS, PADDED, TERMS, WITHIN, ACT, NUMBER, EACH = range(12)

_0, _1 = np.int64(0), np.int64(1)


def parts_of(
    shape: tuple[int, int], places: list[int], stride: int, vectors: int, padded: int, lanes: int, terms: int,
    act: tuple[int, int],
) -> list[int]:  # fmt: skip
    """Those parts. places: of W and b. lanes: of a vector."""
    fan_in, fan_out = shape
    unsafe = -(-padded * lanes // fan_out) - 1
    within = max(0, fan_in - unsafe) // terms * terms
    return [fan_in, fan_out, *places, stride, vectors, padded, terms, within, *act]


@device
def begin_of(plan, at, many):
    """The first row of a layer's weights that is copied."""
    return _0 if many else plan[at + WITHIN]


@device
def copied_rows(plan, at, many):
    """Count the rows of a layer that are copied, its bias among them."""
    return plan[at + FAN_IN] + 1 - begin_of(plan, at, many)


@device
def copy_rows(to, weights, bias, plan, at, many, zero):
    """The rows of a layer that are copied."""
    fan_in, fan_out, stride = plan[at + FAN_IN], plan[at + FAN_OUT], plan[at + STRIDE]
    for i in range(begin_of(plan, at, many), fan_in + 1):
        row = shifted(weights, i * fan_out) if i < fan_in else bias
        for k in range(fan_out):
            to[k] = row[k] + zero  # no -0: that would stay where nothing is added to a bias
        for k in range(fan_out, stride):
            to[k] = zero
        to = shifted(to, stride)


@device
def copied_of_all(plan, many):
    """The numbers that are copied, of all layers."""
    copied = _0
    for layer in range(plan[DEPTH]):
        at = LAYERS + EACH * layer
        copied += copied_rows(plan, at, many) * plan[at + STRIDE]
    return copied


def layers_copier(values_at, zero):
    """The function that copies those of all layers, of the number type that ``values_at`` reads."""

    @device
    def copy_layers(copies, plan, many):
        to = copies
        for layer in range(plan[DEPTH]):
            at = LAYERS + EACH * layer
            copy_rows(to, values_at(plan[at + W]), values_at(plan[at + B]), plan, at, many, zero)
            to = shifted(to, copied_rows(plan, at, many) * plan[at + STRIDE])

    return copy_layers


@device
def weights_from(weights, copy, plan, at, i, many):
    """A layer's weights from row i on, a multiple of TERMS, of which so many may be read."""
    begin, fan_out, stride = begin_of(plan, at, many), plan[at + FAN_OUT], plan[at + STRIDE]
    if i < begin:
        return Matrix(weights, i * fan_out, fan_out, _1)
    return Matrix(copy, (i - begin) * stride, stride, _1)


@device
def bias_of(copy, plan, at, many):
    """A layer's bias."""
    return shifted(copy, (copied_rows(plan, at, many) - 1) * plan[at + STRIDE])
