"""Batch norm and dropout in float64: what is done to a layer's sums beside its activation, in training alone.

One plug-in, ``stage``, for all of it: nets without are compiled without. Prediction needs neither: fold.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import random
from fastmlp.kernels.dropout import NO_DRAW, Draw, kept_word
from fastmlp.kernels.intrinsics import BITS, shifted
from fastmlp.kernels.jit import device
from fastmlp.kernels.plug_ins import DOUBLES, INT, NOTHING, PlugIn, caller, kind
from fastmlp.net import Net

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

BEFORE, AFTER = 1, 2  # places of a batch norm and its layer's activation; 0: none
PARTS = INPUTS, SUMS, OUTPUTS, OUTPUTS_BACK, SUMS_BACK, TRACK = tuple(map(np.int64, range(6)))
"""What ``stage`` is asked for; as they are not literal, one function serves all."""
MEAN, VARIANCE, INVERSE, STATISTICS = range(4)  # rows of a layer's statistics, and their number

_ZERO, _ONE, _BITS, _BIT = 0.0, 1.0, np.int64(BITS), np.uint64(1)


class Stages(NamedTuple):
    """The batch norms and the dropout of a net in training.

    code: the place of ``stage``, 0 for nets without.
    place (depth,): BEFORE, AFTER or 0. momentum, epsilon, unbiased (depth,): a batch norm's words.
    draw, growth (depth,): what is left out, of the inputs, then of each hidden layer, and the factor of what
        is kept. widths (depth,): of the same, without padding.
    apart (depth,): 1 where a layer hands on other numbers than its activation's outputs: ``feeds``.
    x: (z - mean) / sqrt(variance + epsilon), laid out as outputs are.
    begin (depth,): where the rows of a layer begin in arrays of one row each; statistics has STATISTICS of
        them, running two: mean and variance.
    """

    code: int
    place: Int64
    momentum: Float64
    epsilon: Float64
    unbiased: Int64
    draw: Draw
    growth: Float64
    widths: Int64
    apart: Int64
    feeds: Float64
    x: Float64
    begin: Int64
    statistics: Float64
    running: Float64


def stages_of(net: Net, outputs: int, stride: Int64, draw: tuple[int, int] | None) -> Stages:
    """The Stages of a pass. outputs: of all layers, of a block. draw: seed and epoch of a training."""
    layers, depth = net.architecture.all_layers, len(stride)
    norms = [layer.batch_norm for layer in layers]
    shares = [net.architecture.input_dropout, *(layer.dropout for layer in net.architecture.layers)]
    begin = np.cumsum([0, *stride.tolist()])[:-1].astype(np.int64)
    if draw is None or not (any(shares) or net.architecture.normalises):
        return NO_STAGES._replace(
            place=np.zeros(depth, np.int64), apart=np.zeros(depth, np.int64), begin=begin
        )
    place = [0 if norm is None else (BEFORE if norm.place == "before" else AFTER) for norm in norms]
    apart = [int(own == AFTER or share > 0) for own, share in zip(place, [*shares[1:], 0], strict=True)]
    seed, epoch = draw
    total = int(stride.sum())
    return Stages(
        code=STAGE.place, place=np.array(place, np.int64),
        momentum=np.array([0.0 if norm is None else norm.momentum for norm in norms]),
        epsilon=np.array([0.0 if norm is None else norm.epsilon for norm in norms]),
        unbiased=np.array([norm is not None and norm.unbiased for norm in norms], np.int64),
        draw=NO_DRAW._replace(
            numbers=np.array([*random.key_of(seed, "dropout"), epoch], np.int64),
            parts=np.array([random.parts_out(share) if share else 0 for share in shares], np.int64),
        ),
        growth=np.array([random.growth(share) if share else 1.0 for share in shares]),
        widths=np.array([net.architecture.inputs, *net.architecture.hidden], np.int64),
        apart=np.array(apart, np.int64), feeds=np.zeros(outputs * any(apart)),
        x=np.zeros(outputs * any(place)), begin=begin, statistics=np.zeros(STATISTICS * total),
        running=np.zeros(2 * total),
    )  # fmt: skip


_NONE, _NO_NUMBERS = np.empty(0), np.empty(0, np.int64)
NO_STAGES = Stages(
    code=0, place=_NO_NUMBERS, momentum=_NONE, epsilon=_NONE, unbiased=_NO_NUMBERS, draw=NO_DRAW,
    growth=_NONE, widths=_NO_NUMBERS, apart=_NO_NUMBERS, feeds=_NONE, x=_NONE, begin=_NO_NUMBERS,
    statistics=_NONE, running=_NONE,
)  # fmt: skip


@device
def _thin(stages, layer, values, stride, n, first):
    """Leave out units of n samples, the first of which is at that place in the epoch's order."""
    if stages.draw.parts[layer] > 0:
        width = stages.widths[layer]
        for b in range(n):
            for word in range((width + _BITS - 1) // _BITS):
                mask = kept_word(stages.draw, layer, first + b, word)
                for j in range(word * _BITS, min(width, (word + 1) * _BITS)):
                    value = values[b * stride + j] * stages.growth[layer]
                    values[b * stride + j] = value if mask & _BIT == _BIT else _ZERO
                    mask = mask >> _BIT


@device
def _normalise(stages, layer, z, x, gamma, stride, n):
    """z = gamma x + beta, by mean and variance of the batch."""
    mean = shifted(stages.statistics, STATISTICS * stages.begin[layer])
    variance, inverse, beta = shifted(mean, stride), shifted(mean, 2 * stride), shifted(gamma, stride)
    for j in range(2 * stride):
        mean[j] = _ZERO
    for b in range(n):
        for j in range(stride):
            mean[j] += z[b * stride + j]
    for j in range(stride):
        mean[j] /= n
    for b in range(n):
        for j in range(stride):
            d = z[b * stride + j] - mean[j]
            variance[j] += d * d
    for j in range(stride):
        variance[j] /= n
        inverse[j] = _ONE / math.sqrt(variance[j] + stages.epsilon[layer])
    for b in range(n):
        for j in range(stride):
            x[b * stride + j] = (z[b * stride + j] - mean[j]) * inverse[j]
            z[b * stride + j] = x[b * stride + j] * gamma[j] + beta[j]


@device
def _normalise_back(stages, layer, delta, x, gamma, gradient, stride, n):
    """Fill dgamma and dbeta, and turn the delta by z = gamma x + beta into that by what x was made of."""
    inverse = shifted(stages.statistics, STATISTICS * stages.begin[layer] + INVERSE * stride)
    beta = shifted(gradient, stride)
    for b in range(n):
        for j in range(stride):
            gradient[j] += delta[b * stride + j] * x[b * stride + j]
            beta[j] += delta[b * stride + j]
    for b in range(n):
        for j in range(stride):
            d = delta[b * stride + j] - beta[j] / n - x[b * stride + j] * (gradient[j] / n)
            delta[b * stride + j] = d * (gamma[j] * inverse[j])


@device
def _track(stages, layer, stride, n):
    """Move the running statistics towards those of the batch."""
    keep, grown = stages.momentum[layer], _ONE
    if stages.unbiased[layer] > 0:
        grown = n / max(1, n - 1)
    new = shifted(stages.statistics, STATISTICS * stages.begin[layer])
    running = shifted(stages.running, 2 * stages.begin[layer])
    for j in range(stride):
        running[j] = running[j] * keep + (_ONE - keep) * new[j]
    for j in range(stride, 2 * stride):
        running[j] = running[j] * keep + (_ONE - keep) * (new[j] * grown)


def _stage(stages, part, layer, values, gamma, gradient, at, stride, n, first):
    if part == INPUTS:
        _thin(stages, layer, values, stride, n, first)
    elif part == TRACK:
        if stages.place[layer] > 0:
            _track(stages, layer, stride, n)
    elif part == SUMS:
        if stages.place[layer] == BEFORE:
            _normalise(stages, layer, values, shifted(stages.x, at), gamma, stride, n)
    elif part == SUMS_BACK:
        if stages.place[layer] == BEFORE:
            _normalise_back(stages, layer, values, shifted(stages.x, at), gamma, gradient, stride, n)
    elif part == OUTPUTS:
        if stages.apart[layer] > 0:
            feeds = shifted(stages.feeds, at)
            for j in range(n * stride):
                feeds[j] = values[j]
            if stages.place[layer] == AFTER:
                _normalise(stages, layer, feeds, shifted(stages.x, at), gamma, stride, n)
            _thin(stages, layer + 1, feeds, stride, n, first)
    elif stages.apart[layer] > 0:
        _thin(stages, layer + 1, values, stride, n, first)
        if stages.place[layer] == AFTER:
            _normalise_back(stages, layer, values, shifted(stages.x, at), gamma, gradient, stride, n)


STAGES = kind(NOTHING, NO_STAGES, INT, INT, DOUBLES, DOUBLES, DOUBLES, INT, INT, INT, INT)
STAGE = PlugIn("plain_stage", _stage, STAGES, apart=True)
stage = caller(STAGES)
"""stage(code, stages, part, layer, values, gamma, gradient, at, stride, n, first): one of PARTS.

values: of a hidden layer and n samples, (n, stride): its sums (SUMS), its
activation's outputs (OUTPUTS, which fill ``feeds``), or the deltas of these (_BACK). gamma, gradient: where
its gamma lies in theta, and its gradient; beta is a row further on. at: where the layer begins in ``feeds``
and ``x``. first: of the samples, in the epoch's order. INPUTS: values are inputs, and layer is 0.
"""
