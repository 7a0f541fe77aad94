"""Steps of the optimizers on a run of parameters: momentum, Nesterov, Adam and weight decay, fused.

The plain step, w -= lr g, is none of these: matmul.py adds gradients to the weights at once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.jit import device

_ZERO = np.float32(0)


class Rule(NamedTuple):
    """An Optimizer (see spec.py for the formulas), and the averages it keeps, laid out as theta.

    v of sgd with momentum, m and v of adam; rest1 and rest2 are 1 - beta1 and 1 - beta2.
    rates (steps, 2): of each batch, ``optimizers.rates``.
    """

    plain: bool
    adam: bool
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


@device
def step_rows(rule, theta, gradient, layout, layer, lo, hi, batch):
    """Rows lo..hi - 1 of a layer, the bias being the last, take the step of that batch.

    Its gradients are used up: they are 0 afterwards. An empty share may lie anywhere, behind the bias too.
    """
    at, stride, fan_in = layout.w_at[layer], layout.stride[layer], layout.fan_in[layer]
    own = min(hi, fan_in)
    if lo < own:
        decay = rule.weight_decay + rule.alpha / np.float32(batch.n)
        _step(rule, theta, gradient, at + lo * stride, (own - lo) * stride, decay, batch.number)
    if lo <= fan_in < hi:
        _step(rule, theta, gradient, at + fan_in * stride, stride, rule.weight_decay, batch.number)


@device
def _step(rule, theta, gradient, at, width, decay, batch):
    rate, root = rule.rates[2 * batch], rule.rates[2 * batch + 1]
    m, v = rule.m, rule.v
    if rule.adam:
        for j in range(at, at + width):
            g = gradient[j] + decay * theta[j]
            first = m[j] + (g - m[j]) * rule.rest1
            second = v[j] * rule.beta2 + rule.rest2 * g * g
            m[j], v[j], gradient[j] = first, second, _ZERO
            theta[j] -= rate * (first / (math.sqrt(second) / root + rule.epsilon))
    elif rule.momentum > _ZERO:
        mix = rule.momentum if rule.nesterov else _ZERO
        for j in range(at, at + width):
            g = gradient[j] + decay * theta[j]
            average = v[j] * rule.momentum + g
            v[j], gradient[j] = average, _ZERO
            theta[j] -= rate * (g + mix * average if rule.nesterov else average)
    else:
        for j in range(at, at + width):
            g = gradient[j] + decay * theta[j]
            gradient[j] = _ZERO
            theta[j] -= rate * g
