"""The epochs of a fit between the callbacks' calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.keras.callbacks import Callback
from fastmlp.keras.progress import Progress
from fastmlp.keras.stack import Stack
from fastmlp.train.epochs import Descent


@dataclass(frozen=True)
class Plan:
    """Numbers of the epochs, from 0, and the order of each; x encoded and classes y (N,) to validate with."""

    epochs: range
    order: Callable[[int], NDArray[np.int64]]
    validation: tuple[Any, NDArray[np.int64]] | None


def run(model: Stack, descent: Descent, plan: Plan, callbacks: list[Callback], progress: Progress) -> None:
    """Train in place. Raises DivergedError, after the last good epoch."""
    compiled, logs = model.how, {}

    def order(epoch: int) -> NDArray[np.int64]:
        _tell(callbacks, "on_epoch_begin", epoch)
        progress.begin(f"Epoch {epoch + 1}/{plan.epochs.stop}" if plan.epochs.stop > 1 else "")
        return plan.order(epoch)

    descent.warm_up(np.arange(1))
    _tell(callbacks, "on_train_begin")
    rate = compiled.optimizer.next_rate
    for epoch in descent.epochs(plan.epochs, order, lambda _: rate(), progress=progress.watch):
        logs = compiled.logs(epoch.totals.loss, epoch.totals.correct / epoch.totals.samples)
        if plan.validation is not None:
            told = compiled.logs(*descent.evaluate(*plan.validation))
            logs |= {f"val_{name}": value for name, value in told.items()}
        _tell(callbacks, "on_epoch_end", epoch.number, logs)
        progress.end(logs)
        if model.stop_training:
            break
    _tell(callbacks, "on_train_end", logs)


def _tell(callbacks: list[Callback], method: str, *args: Any) -> None:
    for callback in callbacks:
        getattr(callback, method)(*args)
