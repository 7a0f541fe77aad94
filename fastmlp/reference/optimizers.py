"""Steps of the optimizers, in one table: from a gradient to what is taken from the weights.

And what comes before and after a step: the layers' penalties, clipping, and the longest norm of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.words.layers import Layer
from fastmlp.words.optimizers import Optimizer

Array = NDArray[Any]

SLACK = 1e-6  # that PyTorch adds to a norm that is over its limit


def penalise(g: Array, W: Array, layer: Layer) -> None:
    """g += l1 sign(W) + 2 l2 W, the gradient of the layer's penalty."""
    if layer.l1:
        g += W.dtype.type(layer.l1) * np.sign(W)
    if layer.l2:
        g += W.dtype.type(2 * layer.l2) * W


def clip(gradients: Sequence[Array], optimizer: Optimizer) -> None:
    """Clip them as the optimizer asks for: by one norm of all, each by its own, or number by number."""
    if most := optimizer.clip_value:
        for g in gradients:
            np.clip(g, -most, most, out=g)
    slack = SLACK if optimizer.form == "torch" else 0.0
    for group in [gradients] * (optimizer.clip_norm > 0) + [[g] for g in gradients] * (
        optimizer.clip_each > 0
    ):
        most = optimizer.clip_norm or optimizer.clip_each
        norm = np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in group)) + slack
        if norm > most:
            for g in group:
                g *= g.dtype.type(most / norm)


def shorten(W: Array, most: float) -> None:
    """Scale the weights into each unit, a column of W, down to at most that norm."""
    norms = np.sqrt(np.square(W, dtype=np.float64).sum(axis=0))
    W *= np.divide(most, norms, out=np.ones_like(norms), where=norms > most).astype(W.dtype)


def _sgd(g: Array, averages: list[Array], optimizer: Optimizer, rates: Sequence[float]) -> None:
    rate, inside, _ = rates
    if averages:
        (v,) = averages
        g *= inside
        v *= optimizer.momentum
        v += g
        if optimizer.nesterov:
            g += optimizer.momentum * v
        else:
            g[...] = v
    g *= rate


def _rmsprop(g: Array, averages: list[Array], optimizer: Optimizer, rates: Sequence[float]) -> None:
    rate, inside, _ = rates
    inner, outer = optimizer.epsilons
    rest = 1 - optimizer.rho
    v, *more = averages
    v *= optimizer.rho
    v += rest * g * g
    spread = v
    if optimizer.centred:
        c = more.pop(0)
        c += (g - c) * rest
        spread = np.maximum(v - c * c, 0)
    g /= np.sqrt(spread + inner) + outer
    for b in more:  # with momentum, one
        b *= optimizer.momentum
        b += inside * g
        g[...] = b
    g *= rate


def _adam(g: Array, averages: list[Array], optimizer: Optimizer, rates: Sequence[float]) -> None:
    rate, root, _ = rates
    m, v, *largest = averages
    _average(m, v, g, optimizer)
    for u in largest:  # with amsgrad, one
        np.maximum(u, v, out=u)
        v = u
    np.divide(m, np.sqrt(v) / root + optimizer.epsilon, out=g)
    g *= rate


def _nadam(g: Array, averages: list[Array], optimizer: Optimizer, rates: Sequence[float]) -> None:
    rate, root, rate_of_g = rates
    m, v = averages
    _average(m, v, g, optimizer)
    g *= rate_of_g
    g += rate * m
    g /= np.sqrt(v) / root + optimizer.epsilon


def _adamax(g: Array, averages: list[Array], optimizer: Optimizer, rates: Sequence[float]) -> None:
    inner, outer = optimizer.epsilons
    m, v = averages
    m += (g - m) * (1 - optimizer.beta1)
    np.maximum(optimizer.beta2 * v, np.abs(g) + inner, out=v)
    np.divide(m, v + outer, out=g)
    g *= rates[0]


def _adagrad(g: Array, averages: list[Array], optimizer: Optimizer, rates: Sequence[float]) -> None:
    inner, outer = optimizer.epsilons
    (v,) = averages
    v += g * g
    g /= np.sqrt(v + inner) + outer
    g *= rates[0]


def _adadelta(g: Array, averages: list[Array], optimizer: Optimizer, rates: Sequence[float]) -> None:
    v, a = averages
    v *= optimizer.rho
    v += (1 - optimizer.rho) * g * g
    g *= np.sqrt(a + optimizer.epsilon) / np.sqrt(v + optimizer.epsilon)
    a *= optimizer.rho
    a += (1 - optimizer.rho) * g * g
    g *= rates[0]


def _average(m: Array, v: Array, g: Array, optimizer: Optimizer) -> None:
    """Move adam's averages of g and of its square."""
    m += (g - m) * (1 - optimizer.beta1)
    v *= optimizer.beta2
    v += (1 - optimizer.beta2) * g * g


# By name: the function that moves the averages and puts into g what is to be taken from the weights, by the
# rates of backends/state.py.
STEPS: dict[str, Callable[[Array, list[Array], Optimizer, Sequence[float]], None]] = {
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adam,
    "nadam": _nadam,
    "adamax": _adamax,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
}
