"""The state of a training between steps: what its optimizer remembers, and an epoch that goes on midway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.types import Midway
from fastmlp.checks import as_list, instance, whole_number
from fastmlp.errors import ModelError
from fastmlp.net import Parameters
from fastmlp.optimizers import Optimizer


@dataclass(eq=False)
class OptimizerState:
    """Memory of an optimizer, updated in place by ``train_epoch`` and handed from epoch to epoch.

    steps:   taken so far.
    moments: the running averages of every parameter, in the parameters' shapes: (v,) for sgd with
             momentum, (m, v) for adam.
    """

    steps: int
    moments: tuple[Parameters, ...]

    @classmethod
    def start(cls, parameters: Parameters, optimizer: Optimizer) -> Self:
        """State before the first step: zeros."""
        instance("optimizer", optimizer, Optimizer)
        moments = tuple(
            instance("parameters", parameters, Parameters).copy() for _ in range(optimizer.moments)
        )
        for moment in moments:
            for array in moment:
                array[...] = 0
        return cls(0, moments)

    def copy(self) -> Self:
        """The same with arrays of its own."""
        return replace(self, moments=tuple(moment.copy() for moment in self.moments))

    def rescale(self, factor: float) -> None:
        """Multiply the averages: by old lr / new lr, sgd's velocity keeps the length of its steps."""
        for moment in self.moments:
            for array in moment:
                array *= factor

    def check(self, parameters: Parameters, optimizer: Optimizer) -> None:
        """Raise ModelError or ConfigError unless this is a state of that optimizer and net."""
        instance("parameters", parameters, Parameters)
        instance("optimizer", optimizer, Optimizer)
        whole_number("state.steps", self.steps, 0, 2**62)
        moments = as_list(self.moments) or []
        shapes = [instance("each of state.moments", moment, Parameters).array_shapes for moment in moments]
        if shapes != [parameters.array_shapes] * optimizer.moments:
            raise ModelError(
                f"state must hold {optimizer.moments} moments of shapes {parameters.array_shapes}",
                shapes,
                "make one with OptimizerState.start",
            )


def begun(
    parameters: Parameters, state: OptimizerState, midway: Midway | None, batch_size: int, N: int
) -> tuple[Parameters, tuple[Parameters, ...], Midway | None]:
    """The parameters and moments with which an epoch of N samples goes on, and where.

    Raises ModelError unless that is the end of one of its batches, of the same net.
    """
    if midway is None:
        return parameters, state.moments, None
    instance("midway", midway, Midway)
    samples = whole_number("midway.samples", midway.samples, 0, N - 1)
    parts = (midway.parameters, *midway.moments)
    shapes = [instance("midway's", part, Parameters).array_shapes for part in parts]
    if samples % batch_size or shapes != [parameters.array_shapes] * (1 + len(state.moments)):
        raise ModelError(
            f"midway must be at the end of a batch of {batch_size:,}, and hold {1 + len(state.moments)} "
            f"parameters of shapes {parameters.array_shapes}",
            f"{samples:,} samples, {shapes}",
        )
    return midway.parameters, midway.moments, midway


def rates(optimizer: Optimizer, lr: float, steps: int, more: int) -> NDArray[Any]:
    """(more, 2) float64 for steps + 1, steps + 2, ...: the factor of a step, and the divisor of sqrt(v)."""
    t = np.arange(steps + 1, steps + 1 + more, dtype=np.float64)
    rate, root = RATES[optimizer.name](optimizer, lr, t)
    return np.stack([np.broadcast_to(rate, t.shape), np.broadcast_to(root, t.shape)], axis=1)


def _plain_rates(optimizer: Optimizer, lr: float, t: NDArray[Any]) -> tuple[Any, Any]:
    return lr, 1.0


def _adam_rates(optimizer: Optimizer, lr: float, t: NDArray[Any]) -> tuple[Any, Any]:
    """lr / (1 - beta1^t) and sqrt(1 - beta2^t); lr times their quotient and 1 where epsilon is a hat."""
    rate, root = lr / (1 - optimizer.beta1**t), np.sqrt(1 - optimizer.beta2**t)
    return (rate * root, 1.0) if optimizer.epsilon_hat else (rate, root)


# By name: the rates of steps t (n,), each one for all or (n,).
RATES: dict[str, Callable[[Optimizer, float, NDArray[Any]], tuple[Any, Any]]] = {
    "sgd": _plain_rates,
    "adam": _adam_rates,
}
