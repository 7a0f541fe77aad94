"""What is done to gradients and weights beside a step: penalties of layers, clipping, the longest norms.

A norm is one of numbers that several members have: so it is a sum over rows, each row's by its owner, then
over the rows' sums in their order, after a barrier.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.intrinsics import shifted
from fastmlp.kernels.jit import device
from fastmlp.kernels.optimizers import step
from fastmlp.kernels.plug_ins import DOUBLE, DOUBLES, FLOAT, FLOATS, INT, NOTHING, PlugIn, caller, kind
from fastmlp.kernels.simd import sum_of_squares

_ZERO, _ONE = np.float32(0), np.float32(1)
_NOTHING = 0.0  # float64


class Limits(NamedTuple):
    """The bounds that layers and optimizer ask for; the places of the plug-ins for it, 0 where nothing does.

    penalise: l1, l2 (depth,): l1 sign(w) + l2 w joins the gradient of a layer's weights, where one is not 0.
    cut:      most: the largest size of a number of the gradient.
    squares:  sums (rows of all layers,): that of each row's squared gradients, which are scaled down to the
              norm ``most`` where theirs, with ``slack``, is more: all together, or ``each`` array by itself.
    shorten:  norms (depth,): the longest norm of the weights into a unit; 0: any. columns: room for those of
              all units, as members are in several layers at a time.
    prepares: True where one of the first three is asked for. rows: of all layers.
    turns:    of the second part of a step, with a barrier before each but the first: steps may wait for a
              norm, and norms of columns wait for steps.
    """

    penalise: int
    l1: NDArray[np.float32]
    l2: NDArray[np.float32]
    cut: int
    most: float
    squares: int
    each: bool
    slack: float
    sums: NDArray[np.float64]
    shorten: int
    norms: NDArray[np.float64]
    columns: NDArray[np.float64]
    prepares: bool
    rows: int
    turns: int


_NONE, _NO_SUMS = np.empty(0, np.float32), np.empty(0)
NO_LIMITS = Limits(
    penalise=0, l1=_NONE, l2=_NONE, cut=0, most=0.0, squares=0, each=False, slack=0.0,
    sums=_NO_SUMS, shorten=0, norms=_NO_SUMS, columns=_NO_SUMS,
    prepares=False, rows=0, turns=1,
)  # fmt: skip


def _penalise(gradient, theta, n, l1, l2):
    for j in range(n):
        w = theta[j]
        sign = _ONE if w > _ZERO else (-_ONE if w < _ZERO else _ZERO)
        gradient[j] += l1 * sign + l2 * w


def _cut(gradient, theta, n, most, _):
    for j in range(n):
        g = gradient[j]
        gradient[j] = most if g > most else (-most if g < -most else g)  # nan stays


CHANGE = kind(NOTHING, FLOATS, FLOATS, INT, FLOAT, FLOAT)
change = caller(CHANGE)
"""change(place, gradient, theta, n, a, b): n numbers of the gradient become others."""

PENALISE = PlugIn("penalise", _penalise, CHANGE, apart=True)
CUT = PlugIn("cut", _cut, CHANGE, apart=True)


def _square_rows(sums, rows, n, width):
    """sums[i] = the sum of squares of row i < n."""
    for i in range(n):
        sums[i] = sum_of_squares(shifted(rows, i * width), width)


SQUARE = kind(NOTHING, DOUBLES, FLOATS, INT, INT)
square_rows = caller(SQUARE)
SQUARES = PlugIn("squares", _square_rows, SQUARE, apart=True)


def _shorten(sums, rows, n, stride, lo, hi, most):
    """Columns lo..hi - 1 of n rows are scaled down to the norm ``most``."""
    for k in range(lo, hi):
        sums[k] = _NOTHING
    for i in range(n):
        for k in range(lo, hi):
            w = np.float64(rows[i * stride + k])
            sums[k] += w * w
    for k in range(lo, hi):
        norm = math.sqrt(sums[k])
        sums[k] = most / norm if norm > most else 1.0
    for i in range(n):
        for k in range(lo, hi):
            rows[i * stride + k] *= np.float32(sums[k])


SHORTEN_COLUMNS = kind(NOTHING, DOUBLES, FLOATS, INT, INT, INT, INT, DOUBLE)
shorten_columns = caller(SHORTEN_COLUMNS)
SHORTEN = PlugIn("shorten", _shorten, SHORTEN_COLUMNS, apart=True)


@device
def prepare_rows(limits, gradient, theta, layout, layer, lo, hi, first):
    """Change gradients of rows lo..hi - 1 of a layer before any norm; first: of all rows, its first."""
    at, stride, fan_in = layout.w_at[layer], layout.stride[layer], layout.fan_in[layer]
    weights = (min(hi, fan_in) - lo) * stride
    start = at + lo * stride
    if limits.penalise != 0 and weights > 0:
        l1, l2 = limits.l1[layer], limits.l2[layer]
        if l1 > _ZERO or l2 > _ZERO:
            change(limits.penalise, shifted(gradient, start), shifted(theta, start), weights, l1, l2)
    if hi <= lo:
        return
    if limits.cut != 0:
        n = (hi - lo) * stride
        change(limits.cut, shifted(gradient, start), shifted(theta, start), n, np.float32(limits.most), _ZERO)
    if limits.squares != 0:
        square_rows(
            limits.squares, shifted(limits.sums, first + lo), shifted(gradient, start), hi - lo, stride
        )


@device
def factor_of(limits, first, last):
    """The factor of gradients whose rows' sums are first..last - 1."""
    total = _NOTHING
    for i in range(first, last):
        total += limits.sums[i]
    norm = math.sqrt(total) + limits.slack
    return np.float32(limits.most / norm) if norm > limits.most else _ONE


@device
def step_rows(work, plan, batch, layer, lo, hi, first, factor):
    """Rows lo..hi - 1 of a layer take the step of that batch: weights, then bias, gamma and beta.

    By gradients times factor, or that of ``each`` array: from fan_in on a row is one. They are used up: 0
    afterwards. An empty share may lie anywhere, behind all rows too. Weights alone have alpha.
    """
    layout, rule, limits, theta = work.layout, plan.rule, plan.limits, work.weights.theta
    at, stride, fan_in = layout.w_at[layer], layout.stride[layer], layout.fan_in[layer]
    begin = lo
    while begin < hi:
        end, decay = hi, rule.weight_decay
        if begin < fan_in:
            end, decay = min(hi, fan_in), rule.weight_decay + rule.alpha / np.float32(batch.n)
            if limits.each:
                factor = factor_of(limits, first, first + fan_in)
        elif limits.each:
            end = begin + 1
            factor = factor_of(limits, first + begin, first + end)
        n = (end - begin) * stride
        step(rule.step, rule, theta, plan.target, at + begin * stride, n, factor, decay, batch.number)
        begin = end


@device
def shorten_layer(limits, theta, transposed, layout, layer, unit, member, members):
    """A member's share of the units of a layer: weights into each are scaled down to the longest norm.

    The order of a column's sum is that of its rows. transposed follows, of all layers but the first. unit: of
    all units, its first.
    """
    most, fan_in, fan_out = limits.norms[layer], layout.fan_in[layer], layout.fan_out[layer]
    if most <= _NOTHING:
        return
    at, stride = layout.w_at[layer], layout.stride[layer]
    lo, hi = fan_out * member // members, fan_out * (member + 1) // members
    columns = shifted(limits.columns, unit)
    shorten_columns(limits.shorten, columns, shifted(theta, at), fan_in, stride, lo, hi, most)
    if layer > 0:
        before = layout.stride[layer - 1]
        for k in range(lo, hi):
            for j in range(fan_in):
                transposed[layout.t_at[layer] + k * before + j] = theta[at + j * stride + k]
