"""Some samples of a batch on their way through the layers and back: outputs, and deltas.

A hidden layer's sums become its outputs by batch norm, activation, batch norm and dropout, of which it has
what its words say. In training a batch norm waits for all samples: there the way ends, and begins again.
"""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.activations import activate, multiply_by_slope
from fastmlp.kernels.batch_norm import ADD_UP, AFTER, GO_BACK, NORMALISE, STATISTICS, batch_norm
from fastmlp.kernels.dropout import thin_floats
from fastmlp.kernels.first_layer import first_layer
from fastmlp.kernels.intrinsics import shifted
from fastmlp.kernels.jit import device
from fastmlp.kernels.matmul import WORD, matmul
from fastmlp.kernels.simd import Matrix

# Numba compiles a function anew for a literal argument, such as 0 or False: these are not literal.
_0, _1, _WORD = np.int64(0), np.int64(1), np.int64(WORD)
_ZERO, _ONE = np.float32(0), np.float32(1)
_NO = np.bool_(False)


@device
def forward(work, rows, batch, lo, hi, bias, halved, first, last):
    """Outputs of samples lo..hi - 1 of the batch into acts, up to the sums of layer ``last``, or to its
    activation where a batch norm takes that.

    first: FROM_INPUTS, or the layer with a batch norm that has got so far, and its statistics.
    halved: the first layer's sums are there, those of each half of the inputs.
    """
    layout, acts, begun = work.layout, work.slot.acts, first
    if first < _0:
        begun = _0
        if halved:
            halves, half, stride = work.slot.halves, layout.half, layout.stride[0]
            for j in range(lo * stride, hi * stride):
                acts[j] = halves[j] + halves[half + j]
        else:
            first_layer(work, rows, batch, lo, hi, bias)
    for layer in range(begun + 1, last + 1):
        fan_in, before, stride = layout.fan_in[layer], layout.stride[layer - 1], layout.stride[layer]
        inputs = Matrix(acts, layout.a_at[layer - 1] + lo * before, before, _1)
        finish(work, batch, layer - 1, lo, hi)
        for b in range(hi - lo):
            at = inputs.at + b * before
            acts[at + fan_in] = _ONE
            for j in range(fan_in + 1, before):
                acts[at + j] = _ZERO
        weights = Matrix(work.weights.theta, layout.w_at[layer], stride, _1)
        bias_row = Matrix(weights.data, weights.at + fan_in * stride, _0, _1)
        out = Matrix(acts, layout.a_at[layer] + lo * stride, stride, _1)
        matmul(out, bias_row, _ONE, inputs, hi - lo, weights, fan_in, _WORD, layout.vectors[layer])
    if work.norms.place[last] == AFTER:
        take_activation(work, last, lo, hi)


@device
def finish(work, batch, layer, lo, hi):
    """Outputs of a hidden layer from its sums, for samples lo..hi - 1: batch norm, activation and dropout."""
    place, draw, stride = work.norms.place[layer], work.draw, work.layout.stride[layer]
    if place != 0:
        norm(work, NORMALISE, layer, lo, hi, batch.n)
    if place != AFTER:  # which has taken it
        take_activation(work, layer, lo, hi)
    if draw.parts[layer + 1] > 0:
        a, factors = outputs_of(work, layer, lo), factors_of(work, layer, lo)
        thin_floats(
            draw.floats, draw, np.int64(layer + 1), batch.begin + lo, hi - lo, a, factors, place != AFTER,
            stride, _0, stride,
        )  # fmt: skip


@device
def take_activation(work, layer, lo, hi):
    """A hidden layer's activation of samples lo..hi - 1, and its slopes where the layer keeps factors."""
    layout, a, factors = work.layout, outputs_of(work, layer, lo), factors_of(work, layer, lo)
    n, number, slope = (hi - lo) * layout.stride[layer], layout.number[layer], layout.slope[layer]
    activate(layout.act[layer], a, factors, n, number)
    if layout.f_at[layer] >= _0 and slope != 0:
        for j in range(n):
            factors[j] = _ONE
        multiply_by_slope(slope, factors, a, n, number)


@device
def outputs_of(work, layer, lo):
    """A hidden layer's outputs from sample lo on."""
    return shifted(work.slot.acts, work.layout.a_at[layer] + lo * work.layout.stride[layer])


@device
def factors_of(work, layer, lo):
    """The factors of a hidden layer from sample lo on; nothing to read or write where it keeps none."""
    return shifted(work.slot.factors, work.layout.f_at[layer] + lo * work.layout.stride[layer])


@device
def norm(work, what, layer, lo, hi, n):
    """One of the parts of ``batch_norm``, for samples lo..hi - 1 of n."""
    norms, layout, values = work.norms, work.layout, work.slot.acts
    if what in (ADD_UP, GO_BACK):
        values = work.slot.deltas
    gamma = layout.w_at[layer] + (layout.fan_in[layer] + 1) * layout.stride[layer]
    batch_norm(
        norms.code, what, norms, shifted(work.scratch.norms, STATISTICS * norms.begin[layer]),
        shifted(work.weights.theta, gamma), shifted(values, layout.a_at[layer]), layer, lo, hi, n,
    )  # fmt: skip


@device
def backward(work, batch, lo, hi, first, last):
    """The hidden layers' deltas of samples lo..hi - 1, down to layer ``last``, from those of layer ``first``.

    Where that has a batch norm, its deltas are by what the norm gave; where ``first`` has, it begins so.
    """
    layout, deltas, draw, places = work.layout, work.slot.deltas, work.draw, work.norms.place
    if places[first] != 0:
        norm(work, GO_BACK, first, lo, hi, batch.n)
        if places[first] == AFTER:
            multiply_by_factors(work, first, lo, hi)
    for layer in range(first, last, -1):
        stride, before = layout.stride[layer], layout.stride[layer - 1]
        at = layout.a_at[layer - 1] + lo * before
        matmul(
            Matrix(deltas, at, before, _1), Matrix(work.zeros, _0, _0, _1), _ONE,
            Matrix(deltas, layout.a_at[layer] + lo * stride, stride, _1), hi - lo,
            Matrix(work.weights.transposed, layout.t_at[layer], before, _1), layout.fan_out[layer],
            _WORD, layout.vectors[layer - 1],
        )  # fmt: skip
        if places[layer - 1] != AFTER:
            multiply_by_factors(work, layer - 1, lo, hi)
        elif draw.parts[layer] > 0:
            delta = shifted(deltas, at)
            thin_floats(
                draw.floats, draw, layer, batch.begin + lo, hi - lo, delta, delta, _NO, before, _0, before
            )


@device
def multiply_by_factors(work, layer, lo, hi):
    """Deltas of samples lo..hi - 1 by a hidden layer's outputs become those by what its activation took."""
    layout = work.layout
    at, n = layout.a_at[layer] + lo * layout.stride[layer], (hi - lo) * layout.stride[layer]
    delta = shifted(work.slot.deltas, at)
    if layout.f_at[layer] < _0:
        outputs = shifted(work.slot.acts, at)
        multiply_by_slope(layout.slope[layer], delta, outputs, n, layout.number[layer])
    else:
        factors = factors_of(work, layer, lo)
        for j in range(n):
            delta[j] *= factors[j]
