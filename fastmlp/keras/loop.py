"""The epoch loop: the engine's epochs between the callbacks' calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.threads import ThreadTuner
from fastmlp.errors import DivergedError
from fastmlp.keras.callbacks import Callback
from fastmlp.keras.compiled import Compiled
from fastmlp.keras.progress import Progress
from fastmlp.keras.stack import Stack
from fastmlp.net import Net


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
    compiled: Compiled


def run(
    model: Stack, nn: ModuleType, net: Net, part: Part, validation: Part | None,
    plan: Plan, callbacks: list[Callback], progress: Progress,
) -> None:  # fmt: skip
    """Train in place. Raises DivergedError, after the last good epoch."""
    optimizer, loss, tuner = plan.compiled.optimizer, plan.compiled.loss.loss, ThreadTuner()
    _once(nn, net, part, loss, tuner)
    logs: dict[str, Any] = {}
    _tell(callbacks, "on_train_begin")
    for epoch in range(plan.first, plan.last):
        _tell(callbacks, "on_epoch_begin", epoch)
        progress.begin(f"Epoch {epoch + 1}/{plan.last}" if plan.last > 1 else "")
        totals = nn.train_epoch(
            net, part.x, part.y, plan.order(epoch), loss=loss, threads=tuner, progress=progress.watch,
            lr=optimizer.learning_rate, batch_size=plan.batch_size,
            **optimizer.steps_for(net.parameters),
        )  # fmt: skip
        logs = plan.compiled.logs(totals.loss, totals.correct / totals.samples)
        if validation is not None:
            tested = nn.evaluate(net, validation.x, validation.y, loss=loss, threads=tuner)
            told = plan.compiled.logs(tested.loss, tested.accuracy)
            logs |= {f"val_{name}": value for name, value in told.items()}
        _tell(callbacks, "on_epoch_end", epoch, logs)
        progress.end(logs)
        if model.stop_training:
            break
    _tell(callbacks, "on_train_end", logs)


def _once(nn: ModuleType, net: Net, part: Part, loss: str, tuner: ThreadTuner) -> None:
    """Compile, load and start threads before the clock: one sample, on a copy."""
    copy = replace(net, parameters=net.parameters.copy())
    with suppress(DivergedError):
        nn.train_epoch(copy, part.x, part.y, np.arange(1), loss=loss, threads=tuner.most)


def _tell(callbacks: list[Callback], method: str, *args: Any) -> None:
    for callback in callbacks:
        getattr(callback, method)(*args)
