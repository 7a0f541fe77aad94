"""The epoch loop: the engine's epochs between the callbacks' calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.threads import Pace
from fastmlp.errors import DivergedError
from fastmlp.keras.callbacks import Callback
from fastmlp.keras.progress import Progress
from fastmlp.net import Parameters

if TYPE_CHECKING:
    from fastmlp.keras.sequential import Sequential


@dataclass(frozen=True)
class Part:
    """Encoded x and class indices y (N,)."""

    x: Any
    y: NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """What a fit does: epochs first .. last - 1, in the orders that ``order(epoch)`` gives."""

    first: int
    last: int
    batch_size: int
    order: Callable[[int], NDArray[np.int64]]
    accuracy: str | None  # what the logs call it; None: they have no accuracy


def run(
    model: Sequential, nn: ModuleType, parameters: Parameters, part: Part, validation: Part | None,
    plan: Plan, options: dict[str, Any], callbacks: list[Callback], progress: Progress,
) -> None:  # fmt: skip
    """Train in place. ``options``: act and loss. Raises DivergedError, after the last good epoch."""
    pace = Pace()
    _once(nn, parameters, part, options, pace)
    logs: dict[str, Any] = {}
    _tell(callbacks, "on_train_begin")
    for epoch in range(plan.first, plan.last):
        _tell(callbacks, "on_epoch_begin", epoch)
        progress.begin(f"Epoch {epoch + 1}/{plan.last}" if plan.last > 1 else "")
        totals = nn.train_epoch(
            parameters, part.x, part.y, plan.order(epoch), **options, threads=pace, progress=progress.watch,
            lr=model.optimizer.learning_rate, batch_size=plan.batch_size,
            **model.optimizer.steps_for(parameters),
        )  # fmt: skip
        logs = named(totals.loss, totals.correct / totals.samples, plan.accuracy)
        if validation is not None:
            tested = nn.evaluate(parameters, validation.x, validation.y, **options, threads=pace)
            told = named(tested.loss, tested.accuracy, plan.accuracy)
            logs |= {f"val_{name}": value for name, value in told.items()}
        _tell(callbacks, "on_epoch_end", epoch, logs)
        progress.end(logs)
        if model.stop_training:
            break
    _tell(callbacks, "on_train_end", logs)


def named(loss: float, accuracy: float, name: str | None) -> dict[str, Any]:
    """Logs of an epoch or an evaluation, in the order in which Keras prints them."""
    return {"loss": loss} if name is None else {name: accuracy, "loss": loss}


def _once(nn: ModuleType, parameters: Parameters, part: Part, options: dict[str, Any], pace: Pace) -> None:
    """Compile, load and start threads before the clock: one sample, on a copy."""
    with suppress(DivergedError):
        nn.train_epoch(parameters.copy(), part.x, part.y, np.arange(1), **options, threads=pace.most)


def _tell(callbacks: list[Callback], method: str, *args: Any) -> None:
    for callback in callbacks:
        getattr(callback, method)(*args)
