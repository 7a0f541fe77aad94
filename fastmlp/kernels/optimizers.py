"""Steps of the optimizers, in one table: on a run of parameters, weight decay included.

The plain step, w -= lr g, is none of these: matmul.py adds gradients to the weights at once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.jit import device
from fastmlp.kernels.plug_ins import FLOAT, FLOATS, INT, NOTHING, PlugIn, caller, kind

_ZERO = np.float32(0)
_NONE = np.empty(0, np.float32)


class Rule(NamedTuple):
    """An Optimizer (its formulas: fastmlp/optimizers.py), and the averages it keeps, laid out as theta.

    plain: w -= lr g. step: else the place of its plug-in, of STEPS. v of momentum, m and v of adam; rest1 and
    rest2 are 1 - beta1 and 1 - beta2. rates (steps, 2): of each batch, ``optimizers.rates``.
    """

    plain: bool
    step: int
    nesterov: bool
    momentum: np.float32
    rest1: np.float32
    beta2: np.float32
    rest2: np.float32
    epsilon: np.float32
    weight_decay: np.float32
    alpha: np.float32
    m: NDArray[np.float32]
    v: NDArray[np.float32]
    rates: NDArray[np.float32]


NO_RULE = Rule(
    plain=True, step=0, nesterov=False, momentum=_ZERO, rest1=_ZERO, beta2=_ZERO, rest2=_ZERO, epsilon=_ZERO,
    weight_decay=_ZERO, alpha=_ZERO, m=_NONE, v=_NONE, rates=_NONE,
)  # fmt: skip


@device
def _descend(rule, rate, root, w, g, m, v):
    return w - rate * g, m, v


@device
def _roll(rule, rate, root, w, g, m, v):
    average = v * rule.momentum + g
    mix = rule.momentum if rule.nesterov else _ZERO
    return w - rate * (g + mix * average if rule.nesterov else average), m, average


@device
def _adapt(rule, rate, root, w, g, m, v):
    first = m + (g - m) * rule.rest1
    second = v * rule.beta2 + rule.rest2 * g * g
    return w - rate * (first / (math.sqrt(second) / root + rule.epsilon)), first, second


STEP = kind(NOTHING, NO_RULE, FLOATS, FLOATS, INT, INT, FLOAT, INT)
step = caller(STEP)
"""step(rule.step, rule, theta, gradient, at, width, decay, batch): so many weights from ``at`` on take the
rule's step.

Their gradients are used up: they are 0 afterwards.
"""


class Step(NamedTuple):
    """A step of weights, and how many averages it keeps: none, v, or m and v."""

    plug_in: PlugIn
    moments: int


def _step(name, function, moments):
    """The Step of a weight w and its averages: w, m, v = function(rule, rate, root, w, g, m, v).

    g has the weight decay in it already.
    """
    has_m, has_v = moments > 1, moments > 0

    def step(rule, theta, gradient, at, width, decay, batch):
        rate, root, m, v = rule.rates[2 * batch], rule.rates[2 * batch + 1], rule.m, rule.v
        for j in range(at, at + width):
            g = gradient[j] + decay * theta[j]
            gradient[j] = _ZERO
            first, second = m[j] if has_m else _ZERO, v[j] if has_v else _ZERO
            theta[j], first, second = function(rule, rate, root, theta[j], g, first, second)
            if has_m:
                m[j] = first
            if has_v:
                v[j] = second

    return Step(PlugIn(name, step, STEP), moments)


STEPS = {
    "sgd": _step("sgd", _descend, 0),
    "momentum": _step("momentum", _roll, 1),
    "adam": _step("adam", _adapt, 2),
}
"""All of them: a new one is an entry here."""


def averages(rule: Rule) -> tuple[NDArray[np.float32], ...]:
    """The averages that it keeps, m first."""
    return tuple(average for average in (rule.m, rule.v) if len(average))


@device
def step_rows(rule, theta, gradient, layout, layer, lo, hi, batch):
    """Rows lo..hi - 1 of a layer, the bias being the last, take the step of that batch.

    Its gradients are used up: they are 0 afterwards. An empty share may lie anywhere, behind the bias too.
    """
    at, stride, fan_in = layout.w_at[layer], layout.stride[layer], layout.fan_in[layer]
    own = min(hi, fan_in)
    if lo < own:
        decay = rule.weight_decay + rule.alpha / np.float32(batch.n)
        step(rule.step, rule, theta, gradient, at + lo * stride, (own - lo) * stride, decay, batch.number)
    if lo <= fan_in < hi:
        step(rule.step, rule, theta, gradient, at + fan_in * stride, stride, rule.weight_decay, batch.number)
