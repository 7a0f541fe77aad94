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
from fastmlp.kernels.plug_ins import DOUBLE, DOUBLES, FLOAT, FLOATS, INT, NOTHING, PlugIn, caller, kind
from fastmlp.kernels.simd import LANES

_ZERO, _ONE = np.float32(0), np.float32(1)
_NOTHING = 0.0  # float64
_0 = np.int64(0)


class Limits(NamedTuple):
    """The bounds that layers and optimizer ask for; the places of the plug-ins for it, 0 where nothing does.

    penalise: l1, l2 (depth,): l1 sign(w) + l2 w joins the gradient of a layer's weights, where one is not 0.
    cut:      most: the largest size of a number of the gradient.
    squares:  sums (rows of all layers,): that of each row's squared gradients. scale: down to the norm
              ``most``, where the norm, with ``slack``, is more: all together, or ``each`` array by itself.
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
    scale: int
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
    penalise=0, l1=_NONE, l2=_NONE, cut=0, most=0.0, squares=0, scale=0, each=False, slack=0.0,
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


def _scale(gradient, theta, n, factor, _):
    for j in range(n):
        gradient[j] *= factor


CHANGE = kind(NOTHING, FLOATS, FLOATS, INT, FLOAT, FLOAT)
change = caller(CHANGE)
"""change(place, gradient, theta, n, a, b): n numbers of the gradient become others."""

PENALISE = PlugIn("penalise", _penalise, CHANGE, apart=True)
CUT = PlugIn("cut", _cut, CHANGE, apart=True)
SCALE = PlugIn("scale", _scale, CHANGE, apart=True)


def _square_rows(sums, rows, n, width):
    """sums[i] = the sum of squares of row i < n; width is a multiple of LANES, whose sums are apart."""
    for i in range(n):
        at = i * width
        a = b = c = d = e = f = g = h = _NOTHING
        for j in range(at, at + width, LANES):
            a += np.float64(rows[j]) * rows[j]
            b += np.float64(rows[j + 1]) * rows[j + 1]
            c += np.float64(rows[j + 2]) * rows[j + 2]
            d += np.float64(rows[j + 3]) * rows[j + 3]
            e += np.float64(rows[j + 4]) * rows[j + 4]
            f += np.float64(rows[j + 5]) * rows[j + 5]
            g += np.float64(rows[j + 6]) * rows[j + 6]
            h += np.float64(rows[j + 7]) * rows[j + 7]
        sums[i] = ((a + b) + (c + d)) + ((e + f) + (g + h))


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
def scale_rows(limits, gradient, theta, layout, layer, lo, hi, first, factor):
    """Scale the gradients of rows lo..hi - 1 of a layer, by that factor or ``each`` array's own.

    Rows from fan_in on are an array each.
    """
    at, stride, fan_in = layout.w_at[layer], layout.stride[layer], layout.fan_in[layer]
    begin = lo
    while begin < hi:
        end = hi
        if limits.each:
            end = min(hi, fan_in) if begin < fan_in else begin + 1
            array = _0 if begin < fan_in else begin
            factor = factor_of(limits, first + array, first + max(fan_in, end))
        if factor != _ONE:
            start, n = at + begin * stride, (end - begin) * stride
            change(limits.scale, shifted(gradient, start), shifted(theta, start), n, factor, _ZERO)
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
