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
from fastmlp.kernels.plug_ins import FLOATS, INT, NOTHING, PlugIn, caller, kind
from fastmlp.kernels.simd import sum_of_squares

_ZERO, _ONE = np.float32(0), np.float32(1)
_NOTHING = 0.0  # float64
_0 = np.int64(0)


class Limits(NamedTuple):
    """The bounds that layers and optimizer ask for; the places of the plug-ins for it, 0 where nothing does.

    prepare: l1, l2 (depth,): l1 sign(w) + l2 w joins the gradient of a layer's weights. cuts: its numbers
             have at most the size ``most``. scales: sums (rows of all layers,) become those of rows' squares.
    scales:  gradients are scaled down to the norm ``most``, where theirs, with ``slack``, is more: all of the
             ``rows`` together, or ``each`` array by itself.
    shorten: norms (depth,): the longest norm of the weights into a unit; 0: any. columns: room for those of
             all units, as members are in several layers at a time.
    turns:   of the second part of a step, with a barrier before each but the first: steps may wait for a
             norm, and norms of columns wait for steps.
    """

    prepare: int
    l1: NDArray[np.float32]
    l2: NDArray[np.float32]
    cuts: bool
    scales: bool
    most: float
    each: bool
    slack: float
    sums: NDArray[np.float64]
    rows: int
    shorten: int
    norms: NDArray[np.float64]
    columns: NDArray[np.float64]
    turns: int


_NONE, _NO_SUMS = np.empty(0, np.float32), np.empty(0)
NO_LIMITS = Limits(
    prepare=0, l1=_NONE, l2=_NONE, cuts=False, scales=False, most=0.0, each=False, slack=0.0, sums=_NO_SUMS,
    rows=0, shorten=0, norms=_NO_SUMS, columns=_NO_SUMS, turns=1,
)  # fmt: skip


def _prepare(limits, gradient, theta, layer, weights, n, stride, first):
    """Change the gradients of n rows of a layer before any norm. first: of all rows, the first of these.

    So many of them are ``weights``.
    """
    l1, l2 = limits.l1[layer], limits.l2[layer]
    if l1 > _ZERO or l2 > _ZERO:
        for j in range(weights * stride):
            w = theta[j]
            sign = _ONE if w > _ZERO else (-_ONE if w < _ZERO else _ZERO)
            gradient[j] += l1 * sign + l2 * w
    if limits.cuts:
        most = np.float32(limits.most)
        for j in range(n * stride):
            g = gradient[j]
            gradient[j] = most if g > most else (-most if g < -most else g)  # nan stays
    if limits.scales:
        sums = shifted(limits.sums, first)
        for i in range(n):
            sums[i] = sum_of_squares(shifted(gradient, i * stride), stride)


ROWS = kind(NOTHING, NO_LIMITS, FLOATS, FLOATS, INT, INT, INT, INT, INT)
prepare = caller(ROWS)
PREPARE = PlugIn("prepare", _prepare, ROWS, apart=True)


def _shorten(limits, theta, transposed, layer, fan_in, stride, before, unit, lo, hi):
    """Weights of a layer into its units lo..hi - 1 are scaled down to the longest norm.

    unit: of all units, the layer's first. The order of a column's sum is that of its rows. transposed, whose
    rows are ``before`` apart, follows; 0: there is none.
    """
    most, sums = limits.norms[layer], shifted(limits.columns, unit)
    for k in range(lo, hi):
        sums[k] = _NOTHING
    for i in range(fan_in):
        for k in range(lo, hi):
            w = np.float64(theta[i * stride + k])
            sums[k] += w * w
    for k in range(lo, hi):
        norm = math.sqrt(sums[k])
        sums[k] = most / norm if norm > most else 1.0
    for i in range(fan_in):
        for k in range(lo, hi):
            theta[i * stride + k] *= np.float32(sums[k])
    if before > 0:
        for k in range(lo, hi):
            for i in range(fan_in):
                transposed[k * before + i] = theta[i * stride + k]


UNITS = kind(NOTHING, NO_LIMITS, FLOATS, FLOATS, INT, INT, INT, INT, INT, INT, INT)
shorten = caller(UNITS)
SHORTEN = PlugIn("shorten", _shorten, UNITS, apart=True)


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
    begin, size = lo, batch.weight if plan.looks.weighed else np.float32(batch.n)
    while begin < hi:
        end, decay = hi, rule.weight_decay
        if begin < fan_in:
            end, decay = min(hi, fan_in), rule.weight_decay + rule.alpha / size
            if limits.each:
                factor = factor_of(limits, first, first + fan_in)
        elif limits.each:
            end = begin + 1
            factor = factor_of(limits, first + begin, first + end)
        n = (end - begin) * stride
        step(rule.step, rule, theta, plan.target, at + begin * stride, n, factor, decay, batch.number)
        begin = end


@device
def shorten_layer(work, limits, layer, unit, member, members):
    """A member's share of a layer's units have the longest norm at most. unit: of all units, the first."""
    layout = work.layout
    if limits.norms[layer] > _NOTHING:
        before = layout.stride[layer - 1] if layer > 0 else _0
        fan_out = layout.fan_out[layer]
        lo, hi = fan_out * member // members, fan_out * (member + 1) // members
        shorten(
            limits.shorten, limits, shifted(work.weights.theta, layout.w_at[layer]),
            shifted(work.weights.transposed, layout.t_at[layer]), layer, layout.fan_in[layer],
            layout.stride[layer], before, unit, lo, hi,
        )  # fmt: skip
