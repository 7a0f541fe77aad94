"""The epoch loop: the engine's epochs between the callbacks' calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.threads import ThreadTuner
from fastmlp.errors import DivergedError
from fastmlp.keras.callbacks import Callback
from fastmlp.keras.progress import Progress
from fastmlp.net import Net

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
    model: Sequential, nn: ModuleType, net: Net, part: Part, validation: Part | None,
    plan: Plan, loss: str, callbacks: list[Callback], progress: Progress,
) -> None:  # fmt: skip
    """Train in place. Raises DivergedError, after the last good epoch."""
    tuner = ThreadTuner()
    _once(nn, net, part, loss, tuner)
    logs: dict[str, Any] = {}
    _tell(callbacks, "on_train_begin")
    for epoch in range(plan.first, plan.last):
        _tell(callbacks, "on_epoch_begin", epoch)
        progress.begin(f"Epoch {epoch + 1}/{plan.last}" if plan.last > 1 else "")
        totals = nn.train_epoch(
            net, part.x, part.y, plan.order(epoch), loss=loss, threads=tuner, progress=progress.watch,
            lr=model.optimizer.learning_rate, batch_size=plan.batch_size,
            **model.optimizer.steps_for(net.parameters),
        )  # fmt: skip
        logs = named(totals.loss, totals.correct / totals.samples, plan.accuracy)
        if validation is not None:
            tested = nn.evaluate(net, validation.x, validation.y, loss=loss, threads=tuner)
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


def _once(nn: ModuleType, net: Net, part: Part, loss: str, tuner: ThreadTuner) -> None:
    """Compile, load and start threads before the clock: one sample, on a copy."""
    copy = replace(net, parameters=net.parameters.copy())
    with suppress(DivergedError):
        nn.train_epoch(copy, part.x, part.y, np.arange(1), loss=loss, threads=tuner.most)


def _tell(callbacks: list[Callback], method: str, *args: Any) -> None:
    for callback in callbacks:
        getattr(callback, method)(*args)
