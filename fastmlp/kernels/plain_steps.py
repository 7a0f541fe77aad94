"""The arrays of a net in float64, and its steps: penalties, clipping, the optimizer, the longest norms.

Widths are padded to whole vectors of 4 lanes. A layer's weights are (fan_in + 1, stride) with the bias as
last row; ``transposed`` holds the transposes of the deeper layers' weights, (fan_out, stride of the layer
before). Padding of weights and of deltas holds zeros, and stays so.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.intrinsics import shifted
from fastmlp.kernels.jit import device
from fastmlp.kernels.optimizers import step64
from fastmlp.kernels.plain_stages import NO_STAGES, Stages
from fastmlp.kernels.plug_ins import NOTHING, PlugIn, caller, kind
from fastmlp.kernels.simd import sum_of_squares

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_ZERO, _ONE = 0.0, 1.0
_LINE = np.int64(8)  # numbers of a cache's line


class Layout(NamedTuple):
    """The places of the values of each of ``depth`` layers, in elements of the arrays of Space.

    fan_in, fan_out; stride: from row to row of its weights and outputs; vectors: in a row. Where its weights
    begin in theta (w_at), its outputs in acts, slopes and deltas (a_at), its transpose in transposed (t_at).
    act, slope, number: of each hidden layer, the places of its activation's plug-ins, and its number; kept:
    where its slopes are kept. trained, biased: what a step changes. block: rows at a time. x_stride: of
    Space.x. product: the place of its plug-in. rows: of a layer in theta.
    """

    depth: int
    fan_in: Int64
    fan_out: Int64
    stride: Int64
    vectors: Int64
    w_at: Int64
    a_at: Int64
    t_at: Int64
    act: Int64
    slope: Int64
    number: Float64
    kept: Int64
    trained: Int64
    biased: Int64
    rows: Int64
    block: int
    x_stride: int
    product: int
    stages: Stages


class Space(NamedTuple):
    """theta, its gradient and transposes; then room for a block of rows: inputs, outputs, slopes, deltas.

    zeros: as many as the longest row. losses, best: of a block's rows.
    """

    theta: Float64
    gradient: Float64
    transposed: Float64
    x: Float64
    acts: Float64
    slopes: Float64
    deltas: Float64
    zeros: Float64
    losses: Float64
    best: Int64


class Limits(NamedTuple):
    """The bounds that layers and optimizer ask for beside a step, as in limits.py.

    limit, shorten: the places of the plug-ins for it, before a step and after it; 0 where nothing does.
    l1, l2 (depth,): l1 sign(w) + l2 w joins the gradient of a layer's weights. longest (depth,): the longest
    norm of the weights into a unit; 0: any. cut: the largest size of a gradient's number. most: the norm that
    gradients have at most, with ``slack``: all of them together, or ``each`` array by itself.
    """

    l1: Float64
    l2: Float64
    longest: Float64
    limit: int
    shorten: int
    cut: float
    most: float
    each: bool
    slack: float


_NONE, _NO_NUMBERS = np.empty(0), np.empty(0, np.int64)
NO_LAYOUT = Layout(
    depth=0, fan_in=_NO_NUMBERS, fan_out=_NO_NUMBERS, stride=_NO_NUMBERS, vectors=_NO_NUMBERS,
    w_at=_NO_NUMBERS, a_at=_NO_NUMBERS, t_at=_NO_NUMBERS, act=_NO_NUMBERS, slope=_NO_NUMBERS, number=_NONE,
    kept=_NO_NUMBERS, trained=_NO_NUMBERS, biased=_NO_NUMBERS, rows=_NO_NUMBERS, block=0, x_stride=0,
    product=0, stages=NO_STAGES,
)  # fmt: skip
NO_SPACE = Space(_NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NO_NUMBERS)
NO_LIMITS = Limits(
    l1=_NONE, l2=_NONE, longest=_NONE, limit=0, shorten=0, cut=0.0, most=0.0, each=False, slack=0.0
)


@device
def transpose(layout, space):
    """Write the transposes of the deeper layers' weights."""
    for i in range(1, layout.depth):
        stride, before, at = layout.stride[i], layout.stride[i - 1], layout.t_at[i]
        for begin in range(0, layout.fan_in[i], _LINE):
            end = min(begin + _LINE, layout.fan_in[i])
            for k in range(layout.fan_out[i]):
                for j in range(begin, end):
                    space.transposed[at + k * before + j] = space.theta[layout.w_at[i] + j * stride + k]


@device
def squares_in(values, n):
    """The sum of n squares, in one order; n is a multiple of 4."""
    whole = n // 8 * 8
    total = sum_of_squares(values, whole)
    for j in range(whole, n):
        total += values[j] * values[j]
    return total


def _limit(layout, space, limits):
    """Penalise and clip the gradients."""
    gradient, whole = space.gradient, _ZERO
    for i in range(layout.depth):
        if layout.trained[i] > 0:
            at, stride = layout.w_at[i], layout.stride[i]
            n = layout.fan_in[i] * stride
            l1, l2 = limits.l1[i], limits.l2[i]
            for j in range(at, at + n):
                w = space.theta[j]
                gradient[j] += l1 * (_ONE if w > _ZERO else (-_ONE if w < _ZERO else _ZERO)) + l2 * w
            if limits.cut > _ZERO:
                for j in range(at, at + layout.rows[i] * stride):
                    g = gradient[j]
                    gradient[j] = limits.cut if g > limits.cut else (-limits.cut if g < -limits.cut else g)
            if limits.most > _ZERO:
                whole += _clipped(shifted(gradient, at), n, limits)
                for row in range(layout.fan_in[i], layout.rows[i]):
                    whole += _clipped(shifted(gradient, at + row * stride), stride, limits)
    if limits.most > _ZERO and not limits.each:
        for i in range(layout.depth):
            if layout.trained[i] > 0:
                n = layout.rows[i] * layout.stride[i]
                _shrink(shifted(gradient, layout.w_at[i]), n, whole, limits)


@device
def _clipped(gradient, n, limits):
    """The sum of the squares of an array's gradient; it is scaled down where ``each`` is."""
    squares = squares_in(gradient, n)
    if limits.each:
        _shrink(gradient, n, squares, limits)
    return squares


@device
def _shrink(gradient, n, squares, limits):
    """Scale gradients down to the longest norm, where theirs is more."""
    norm = math.sqrt(squares) + limits.slack
    if norm > limits.most:
        for j in range(n):
            gradient[j] *= limits.most / norm


def _shorten(layout, space, limits):
    """Scale the weights into each unit down to the longest norm."""
    for i in range(layout.depth):
        longest, stride, at = limits.longest[i], layout.stride[i], layout.w_at[i]
        if longest > _ZERO and layout.trained[i] > 0:
            for k in range(layout.fan_out[i]):
                squares = _ZERO
                for j in range(layout.fan_in[i]):
                    squares += space.theta[at + j * stride + k] ** 2
                norm = math.sqrt(squares)
                if norm > longest:
                    for j in range(layout.fan_in[i]):
                        space.theta[at + j * stride + k] *= longest / norm


BOUNDS = kind(NOTHING, NO_LAYOUT, NO_SPACE, NO_LIMITS)
LIMIT = PlugIn("plain_limit", _limit, BOUNDS, apart=True)
SHORTEN = PlugIn("plain_shorten", _shorten, BOUNDS, apart=True)
bound = caller(BOUNDS)
"""bound(place, layout, space, limits): LIMIT, of all gradients, or SHORTEN, of all weights."""


@device
def take_step(layout, space, rule, limits, batch, alpha):
    """One step of the optimizer from the gradients, which are 0 afterwards. alpha: of weights, more decay."""
    if limits.limit > 0:
        bound(limits.limit, layout, space, limits)
    for i in range(layout.depth):
        at, stride, fan_in = layout.w_at[i], layout.stride[i], layout.fan_in[i]
        if layout.trained[i] > 0:
            decay, others = rule.weight_decay, fan_in if layout.biased[i] > 0 else fan_in + 1
            n, at_others = (layout.rows[i] - others) * stride, at + others * stride
            step64(
                rule.step, rule, space.theta, space.gradient, at, fan_in * stride, _ONE, decay + alpha, batch
            )
            step64(rule.step, rule, space.theta, space.gradient, at_others, n, _ONE, decay, batch)
        else:
            for j in range(at, at + layout.rows[i] * stride):
                space.gradient[j] = _ZERO
    if limits.shorten > 0:
        bound(limits.shorten, layout, space, limits)
    transpose(layout, space)


@device
def squares_of(layout, space):
    """The sum of the squares of all weights."""
    total = _ZERO
    for i in range(layout.depth):
        total += squares_in(shifted(space.theta, layout.w_at[i]), layout.fan_in[i] * layout.stride[i])
    return total


@device
def copy_all(to, values, n):
    """Copy n numbers."""
    for i in range(n):
        to[i] = values[i]
