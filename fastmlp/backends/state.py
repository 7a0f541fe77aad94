"""The state of a training between steps: what its optimizer remembers, and an epoch that goes on midway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.types import Midway
from fastmlp.checks import as_list, instance, whole_number
from fastmlp.display import Display, Displayed
from fastmlp.errors import ModelError
from fastmlp.net import Parameters
from fastmlp.words.optimizers import Optimizer


@dataclass(eq=False, repr=False)
class OptimizerState(Displayed):
    """Memory of an optimizer, updated in place by ``train_epoch`` and handed from epoch to epoch.

    steps:   taken so far.
    moments: the running averages of every parameter, in the parameters' shapes: (v,) of sgd with momentum
             and of adagrad, (v,), (v, c), (v, b) or (v, c, b) of rmsprop, (m, v) of adam and its like, with
             amsgrad (m, v, largest v), (v, a) of adadelta; the letters are those of ``Optimizer``.
    """

    steps: int
    moments: tuple[Parameters, ...]

    @classmethod
    def start(cls, parameters: Parameters, optimizer: Optimizer) -> Self:
        """State before the first step: zeros, or adagrad's initial accumulator."""
        instance("optimizer", optimizer, Optimizer)
        moments = tuple(
            instance("parameters", parameters, Parameters).copy() for _ in range(optimizer.moments)
        )
        for moment in moments:
            for array in moment:
                array[...] = optimizer.start
        return cls(0, moments)

    def _display(self) -> Display:
        count = len(self.moments)
        averages = f"{count} average{'s' * (count != 1)} of each parameter"
        rows = [
            (f"average {i}", sum(array.size for array in moment), str(moment.dtype))
            for i, moment in enumerate(self.moments, 1)
        ]
        return Display(
            f"OptimizerState after {self.steps:,} steps: {averages}",
            (),
            ("", "numbers", "type") if rows else (),
            rows,
        )

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


def check_midway(midway: Midway, parameters: Parameters, moments: int, batch_size: int, N: int) -> None:
    """Raise ModelError unless it is at the end of a batch of an epoch of N samples, of the same net."""
    instance("midway", midway, Midway)
    samples = whole_number("midway.samples", midway.samples, 0, N - 1)
    parts = (midway.parameters, *midway.moments)
    shapes = [instance("midway's", part, Parameters).array_shapes for part in parts]
    if samples % batch_size or shapes != [parameters.array_shapes] * (1 + moments):
        raise ModelError(
            f"midway must be at the end of a batch of {batch_size:,}, and hold {1 + moments} "
            f"parameters of shapes {parameters.array_shapes}",
            f"{samples:,} samples, {shapes}",
        )


def rates(optimizer: Optimizer, lr: float | NDArray[Any], steps: int, more: int) -> NDArray[Any]:
    """(more, 4) float64 for steps + 1, steps + 2, ...: by what weights are multiplied, and three of RATES.

    lr: of all these steps, or (more,).
    """
    lr, t = np.asarray(lr, np.float64), np.arange(steps + 1, steps + 1 + more, dtype=np.float64)
    keep = 1 - lr * optimizer.weight_decay if optimizer.decoupled else 1.0
    found = np.empty((more, 4))
    for column, rate in enumerate((keep, *RATES[optimizer.name](optimizer, lr, t))):
        found[:, column] = rate
    return found


Rates = tuple[Any, Any, Any]  # each one for all steps, or (n,)


def _momentum_rates(optimizer: Optimizer, lr: Any, t: NDArray[Any]) -> Rates:
    """The factor of a step, and that of what joins its average: Keras' average has the rates in it."""
    inside = optimizer.form == "keras" and optimizer.momentum > 0
    return (1.0, lr, 1.0) if inside else (lr, 1.0, 1.0)


def _plain_rates(optimizer: Optimizer, lr: Any, t: NDArray[Any]) -> Rates:
    return lr, 1.0, 1.0


def _adam_rates(optimizer: Optimizer, lr: Any, t: NDArray[Any]) -> Rates:
    """lr / (1 - beta1^t) and sqrt(1 - beta2^t); lr times their quotient and 1 in Keras' form."""
    rate, root = lr / (1 - optimizer.beta1**t), np.sqrt(1 - optimizer.beta2**t)
    return (rate * root, 1.0, 1.0) if optimizer.form == "keras" else (rate, root, 1.0)


def _nadam_rates(optimizer: Optimizer, lr: Any, t: NDArray[Any]) -> Rates:
    """The factor of m, sqrt(1 - beta2^t), and the factor of g.

    U(t) is beta1^t times a product whose terms come to 1: the same whatever steps are asked for.
    """
    decay = 0.96 if optimizer.form == "keras" else 0.96**0.004
    last = min(int(t[-1]) + 1, _TO_ONE)
    products = np.cumprod(1 - decay ** np.arange(last + 1) / 2) * 2  # of no terms: 1
    now, after = (1 - decay**i / 2 for i in (t, t + 1))
    U, U_after = (optimizer.beta1**i * products[np.minimum(i, last).astype(np.int64)] for i in (t, t + 1))
    root = np.sqrt(1 - optimizer.beta2**t)
    return lr * optimizer.beta1 * after / (1 - U_after), root, lr * (1 - optimizer.beta1 * now) / (1 - U)


_TO_ONE = 240_000  # 0.96^0.004 to that power is 1e-17


def _adamax_rates(optimizer: Optimizer, lr: Any, t: NDArray[Any]) -> Rates:
    return lr / (1 - optimizer.beta1**t), 1.0, 1.0


# By name: the rates of steps t (n,), of which lr is one for all or (n,).
RATES: dict[str, Callable[[Optimizer, Any, NDArray[Any]], Rates]] = {
    "sgd": _momentum_rates,
    "rmsprop": _momentum_rates,
    "adam": _adam_rates,
    "adamw": _adam_rates,
    "nadam": _nadam_rates,
    "adamax": _adamax_rates,
    "adagrad": _plain_rates,
    "adadelta": _plain_rates,
}
