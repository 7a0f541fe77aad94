"""Steps of the optimizers, in one table: on a run of parameters, weight decay included.

The plain step, w -= lr g, is none of these: matmul.py adds gradients to the weights at once. What else is
done to gradients and weights is in limits.py.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.jit import device
from fastmlp.kernels.plug_ins import DOUBLE, DOUBLES, FLOAT, FLOATS, INT, NOTHING, PlugIn, caller, kind

_ZERO = np.float32(0)
_NONE = np.empty(0, np.float32)


class Rule(NamedTuple):
    """An Optimizer (its formulas: fastmlp/words/optimizers.py), and the averages it keeps, laid out as theta.

    plain: w -= lr g. step: else the place of its plug-in, of STEPS. rest1, rest2 and rest are 1 - beta1,
    1 - beta2 and 1 - rho; inner and outer ``Optimizer.epsilons``; weight_decay is the coupled one. rates
    (steps, 4): of each batch, ``backends.state.rates``. first, second, third: the averages, in their order.
    """

    plain: bool
    step: int
    nesterov: bool
    momentum: np.floating[Any]
    rest1: np.floating[Any]
    beta2: np.floating[Any]
    rest2: np.floating[Any]
    rho: np.floating[Any]
    rest: np.floating[Any]
    inner: np.floating[Any]
    outer: np.floating[Any]
    weight_decay: np.floating[Any]
    alpha: np.floating[Any]
    rates: NDArray[Any]
    first: NDArray[Any]
    second: NDArray[Any]
    third: NDArray[Any]


NO_RULE = Rule(
    plain=True, step=0, nesterov=False, momentum=_ZERO, rest1=_ZERO, beta2=_ZERO, rest2=_ZERO, rho=_ZERO,
    rest=_ZERO, inner=_ZERO, outer=_ZERO, weight_decay=_ZERO, alpha=_ZERO, rates=_NONE, first=_NONE,
    second=_NONE, third=_NONE,
)  # fmt: skip


@device
def _descend(rule, rates, w, g, x, y, z):
    return w - rates[0] * g, x, y, z


@device
def _roll(rule, rates, w, g, v, y, z):
    g = rates[1] * g
    average = v * rule.momentum + g
    mix = rule.momentum if rule.nesterov else _ZERO
    return w - rates[0] * (g + mix * average if rule.nesterov else average), average, y, z


def _scale_by_roots(centred, rolls):
    """Make rmsprop's step, by its averages: v, that of g where centred, that of steps where it rolls."""

    @device
    def step(rule, rates, w, g, v, y, z):
        square = v * rule.rho + rule.rest * g * g
        spread = square
        if centred:
            y = y + (g - y) * rule.rest
            spread = square - y * y
            if spread < _ZERO:  # by rounding
                spread = _ZERO
        g = g / (math.sqrt(spread + rule.inner) + rule.outer)
        if rolls:
            g = (z if centred else y) * rule.momentum + rates[1] * g
        w = w - rates[0] * g
        if centred and rolls:
            return w, square, y, g
        return w, square, g if rolls else y, z

    return step


@device
def _averages(rule, g, m, v):
    return m + (g - m) * rule.rest1, v * rule.beta2 + rule.rest2 * g * g


@device
def _adapt(rule, rates, w, g, m, v, z):
    m, v = _averages(rule, g, m, v)
    return w - rates[0] * (m / (math.sqrt(v) / rates[1] + rule.outer)), m, v, z


@device
def _adapt_to_largest(rule, rates, w, g, m, v, u):
    m, v = _averages(rule, g, m, v)
    u = u if u > v else v
    return w - rates[0] * (m / (math.sqrt(u) / rates[1] + rule.outer)), m, v, u


@device
def _look_ahead(rule, rates, w, g, m, v, z):
    m, v = _averages(rule, g, m, v)
    return w - (rates[2] * g + rates[0] * m) / (math.sqrt(v) / rates[1] + rule.outer), m, v, z


@device
def _scale_by_largest(rule, rates, w, g, m, v, z):
    m = m + (g - m) * rule.rest1
    size, before = abs(g) + rule.inner, rule.beta2 * v
    v = before if before > size else size
    return w - rates[0] * (m / (v + rule.outer)), m, v, z


@device
def _scale_by_sum(rule, rates, w, g, v, y, z):
    v = v + g * g
    return w - rates[0] * (g / (math.sqrt(v + rule.inner) + rule.outer)), v, y, z


@device
def _scale_by_steps(rule, rates, w, g, v, a, z):
    v = v * rule.rho + rule.rest * g * g
    g = g * (math.sqrt(a + rule.inner) / math.sqrt(v + rule.inner))
    return w - rates[0] * g, v, a * rule.rho + rule.rest * g * g, z


_DOUBLES: dict[str, Any] = {
    **{name: np.float64(x) for name, x in NO_RULE._asdict().items() if isinstance(x, np.float32)},
    **dict.fromkeys(("rates", "first", "second", "third"), np.empty(0)),
}
NO_RULE64 = NO_RULE._replace(**_DOUBLES)

STEP = kind(NOTHING, NO_RULE, FLOATS, FLOATS, INT, INT, FLOAT, FLOAT, INT)
STEP64 = kind(NOTHING, NO_RULE64, DOUBLES, DOUBLES, INT, INT, DOUBLE, DOUBLE, INT)
step, step64 = caller(STEP), caller(STEP64)
"""step(rule.step, rule, theta, gradient, at, width, factor, decay, batch): so many weights w from ``at`` on
take the rule's step, by factor times their gradients and decay w.

The gradients are used up: they are 0 afterwards.
"""


def _step(name, function, moments, kind=STEP):
    """The plug-in of a weight's step and so many averages: w, x, y, z = function(rule, rates, w, g, x, y, z).

    g has the weight decay in it already; rates are those of the batch, after what w is multiplied by.
    """
    has_x, has_y, has_z = (moments > i for i in range(3))

    def step(rule, theta, gradient, at, width, factor, decay, batch):
        keep, own = rule.rates[4 * batch], 4 * batch + 1
        rates = rule.rates[own], rule.rates[own + 1], rule.rates[own + 2]
        first, second, third = rule.first, rule.second, rule.third
        for j in range(at, at + width):
            w = theta[j]
            g = factor * gradient[j] + decay * w
            gradient[j] = _ZERO
            x = first[j] if has_x else _ZERO
            y = second[j] if has_y else _ZERO
            z = third[j] if has_z else _ZERO
            theta[j], x, y, z = function(rule, rates, keep * w, g, x, y, z)
            if has_x:
                first[j] = x
            if has_y:
                second[j] = y
            if has_z:
                third[j] = z

    return PlugIn(name, step, kind, apart=True)


_FUNCTIONS = {
    "sgd": ("sgd", _descend, 0),
    "sgd momentum": ("momentum", _roll, 1),
    "rmsprop": ("rmsprop", _scale_by_roots(False, False), 1),
    "rmsprop centred": ("rmsprop_centred", _scale_by_roots(True, False), 2),
    "rmsprop momentum": ("rmsprop_momentum", _scale_by_roots(False, True), 2),
    "rmsprop centred momentum": ("rmsprop_centred_momentum", _scale_by_roots(True, True), 3),
    "adam": ("adam", _adapt, 2),
    "adam amsgrad": ("amsgrad", _adapt_to_largest, 3),
    "nadam": ("nadam", _look_ahead, 2),
    "adamax": ("adamax", _scale_by_largest, 2),
    "adagrad": ("adagrad", _scale_by_sum, 1),
    "adadelta": ("adadelta", _scale_by_steps, 2),
}
"""All of them: a new one is an entry here, by its name and the words that make its step another."""

STEPS = {words: _step(*parts) for words, parts in _FUNCTIONS.items()}
STEPS64 = {
    words: _step(f"{name}64", function, moments, STEP64)
    for words, (name, function, moments) in _FUNCTIONS.items()
}
"""The same for float64."""


def averages(rule: Rule) -> tuple[NDArray[Any], ...]:
    """The averages that it keeps."""
    return tuple(average for average in (rule.first, rule.second, rule.third) if len(average))
