"""The generator of epochs: a net that goes down a loss on some data, one epoch after the other.

``fit`` and its like, the estimators, fastmlp.keras, torch.fit and the trials of a diagnosis all train by it.
What they make of an epoch - evaluations, callbacks, curves, when to stop - is theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import ThreadTuner
from fastmlp.backends.types import EpochTotals, Evaluation, Midway, Pause
from fastmlp.errors import DivergedError
from fastmlp.net import Net
from fastmlp.words.optimizers import Optimizer

Array = NDArray[Any]


@dataclass(frozen=True)
class Epoch:
    """A finished epoch. seconds: training alone; the order is in."""

    number: int
    totals: EpochTotals
    seconds: float


class Clock:
    """Times epochs. A subclass may say where one was broken off, and ask for pauses."""

    @property
    def midway(self) -> Midway | None:
        """The point from which the epoch goes on; None for its beginning."""
        return None

    @property
    def pause(self) -> Pause | None:
        """The function that ``train_epoch`` is to call now and then."""
        return None

    def begin(self) -> None:
        """Called before each epoch."""
        self.began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the epoch began."""
        return time.perf_counter() - self.began


@dataclass(frozen=True, eq=False)
class Trainer:
    """A net on its way down a loss, and all that stays the same from epoch to epoch.

    ``net.parameters`` and ``state`` change in place. X, y: encoded rows, and targets as the loss takes them.
    sample_weight: (N,), or None. seed: of what dropout leaves out, with the epoch's number.
    """

    nn: ModuleType
    net: Net
    X: Any
    y: Array
    loss: str
    batch_size: int
    optimizer: Optimizer
    state: OptimizerState
    tuner: ThreadTuner
    sample_weight: Array | None = None
    seed: int = 0
    label_smoothing: float = 0.0

    def epochs(
        self,
        numbers: Iterable[int],
        order: Callable[[int], Array],
        lr: Callable[[int], float | Array],
        *,
        progress: Callable[[int, int], None] | None = None,
        clock: Clock | None = None,
    ) -> Iterator[Epoch]:
        """Train the epochs of these numbers, and yield each when it is finished.

        As an epoch begins, ``order(number)`` is asked for the rows' numbers, and then ``lr(number)`` for the
        rate, or that of each batch. ``progress`` sees (number, samples done) now and then. Raises
        DivergedError; the parameters are then those after the last good epoch, as they are after
        KeyboardInterrupt.
        """
        clock = Clock() if clock is None else clock
        for number in numbers:
            clock.begin()
            totals = self.nn.train_epoch(
                self.net, self.X, self.y, order(number), lr=lr(number), state=self.state, **self._options(),
                progress=None if progress is None else partial(progress, number), midway=clock.midway,
                pause=clock.pause, threads=self.tuner, seed=self.seed, epoch=number,
            )  # fmt: skip
            yield Epoch(number, totals, clock.seconds)

    def warm_up(self, row: Array) -> None:
        """Compile, load and start threads outside the clock: an epoch of one row, on a copy."""
        copy = replace(self.net, parameters=self.net.parameters.copy())
        threads = ThreadTuner(self.tuner.most, self.tuner.driver)
        with suppress(DivergedError):  # the real epoch will meet it too, and say where
            self.nn.train_epoch(copy, self.X, self.y, row, lr=0.01, threads=threads, **self._options())

    def evaluate(self, X: Any, y: Array, rows: Array | None = None) -> Evaluation:
        """Mean loss and accuracy on encoded X and y, or on some of their rows."""
        tested: Evaluation = self.nn.evaluate(
            self.net,
            X,
            y,
            loss=self.loss,
            label_smoothing=self.label_smoothing,
            threads=self.tuner,
            rows=rows,
        )
        return tested

    def _options(self) -> dict[str, Any]:
        return {
            "loss": self.loss, "label_smoothing": self.label_smoothing, "batch_size": self.batch_size,
            "optimizer": self.optimizer, "sample_weight": self.sample_weight,
        }  # fmt: skip
