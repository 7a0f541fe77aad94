"""Steps of the optimizers, in one table: from a gradient to what is taken from the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.optimizers import Optimizer

Array = NDArray[Any]


def _sgd(g: Array, averages: list[Array], optimizer: Optimizer, root: float) -> None:
    if not averages:
        return
    (v,) = averages
    v *= optimizer.momentum
    v += g
    if optimizer.nesterov:
        g += optimizer.momentum * v
    else:
        g[...] = v


def _adam(g: Array, averages: list[Array], optimizer: Optimizer, root: float) -> None:
    m, v = averages
    m += (g - m) * (1 - optimizer.beta1)
    v *= optimizer.beta2
    v += (1 - optimizer.beta2) * g * g
    np.divide(m, np.sqrt(v) / root + optimizer.epsilon, out=g)


# By name: the function that moves the averages and puts into g what is to be multiplied by the rate.
STEPS: dict[str, Callable[[Array, list[Array], Optimizer, float], None]] = {"sgd": _sgd, "adam": _adam}
