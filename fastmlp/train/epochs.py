"""The generator of epochs: a net that goes down a loss on some data, one epoch after the other.

``fit`` and its like, the estimators, fastmlp.keras, torch.fit and the trials of a diagnosis all train by it.
What they make of an epoch - evaluations, callbacks, curves, when to stop - is theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import ThreadTuner
from fastmlp.backends.types import EpochTotals, Evaluation, Midway, Pause, Watch
from fastmlp.errors import DivergedError
from fastmlp.net import Net
from fastmlp.words.optimizers import Optimizer

Array = NDArray[Any]

_UNSEEN = 0.05  # seconds of epochs between which nobody looks: Ctrl-C is heard after them


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
        """The function that a session is to call now and then."""
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
    sample_weight: (N,), or None. seed: of what dropout leaves out, with the epoch's number. squares: fill
    ``EpochTotals.squares``.
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
    squares: bool = False
    ahead: list[Any] = field(default_factory=list)  # of epochs trained at once: the first, all totals

    @cached_property
    def session(self) -> Any:
        """The backend's Session of this training, made once."""
        return self._session(self.net, self.state, self.tuner)

    @cached_property
    def reader(self) -> Any:
        """The backend's Reader, which knows the net and the rows that it was asked for."""
        return self.nn.Reader()

    def epochs(
        self,
        numbers: Iterable[int],
        order: Callable[[int], Array],
        lr: Callable[[int], float | Array],
        *,
        progress: Callable[[int, int], None] | None = None,
        clock: Clock | None = None,
        watch: Watch | None = None,
    ) -> Iterator[Epoch]:
        """Train the epochs of these numbers, and yield each when it is finished.

        As an epoch begins, ``order(number)`` is asked for the rows' numbers, and then ``lr(number)`` for the
        rate, or that of each batch. ``progress`` sees (number, samples done) now and then. Raises
        DivergedError; the parameters are then those after the last good epoch, as they are after
        KeyboardInterrupt.

        ``watch`` ends the training where it says so. With one, and neither progress nor a clock, nobody looks
        between two epochs: then several are trained at once, for some 0.05 s. The parameters and the state
        are ahead of what is yielded until the last epoch is (``ahead`` says by what), and orders and rates
        have been asked for epochs that may never be trained.
        """
        if watch is not None and progress is None and clock is None:
            yield from self._unseen(numbers, order, lr, watch)
            return
        clock = Clock() if clock is None else clock
        for number in numbers:
            clock.begin()
            (totals,) = self.session.train(
                order(number), lr(number), epoch=number,
                progress=None if progress is None else partial(progress, number), midway=clock.midway,
                pause=clock.pause,
            )  # fmt: skip
            yield Epoch(number, totals, clock.seconds)
            watch = watch and watch.after(totals)
            if watch is not None and watch.stops:
                return

    def _unseen(
        self,
        numbers: Iterable[int],
        order: Callable[[int], Array],
        lr: Callable[[int], float | Array],
        watch: Watch,
    ) -> Iterator[Epoch]:
        """The epochs, as many at once as take some _UNSEEN seconds."""
        left, at_once, failure = iter(numbers), 1, None
        while chosen := [*islice(left, at_once)]:
            began = time.perf_counter()
            orders, rates = [], []
            for number in chosen:
                orders.append(order(number))
                rates.append(lr(number))
            try:
                told = self.session.train(np.stack(orders), _joined(rates), epoch=chosen[0], watch=watch)
            except DivergedError as error:
                told, failure = error.finished, error
            self.ahead[:] = chosen[0], told
            each = (time.perf_counter() - began) / max(1, len(told))
            for number, totals in zip(chosen, told, strict=False):
                watch = watch.after(totals)
                yield Epoch(number, totals, each)
            if failure is not None:
                raise failure
            if watch.stops:
                return
            at_once = max(1, min(8 * at_once, int(_UNSEEN / each)))

    def warm_up(self, row: Array) -> None:
        """Compile, load and start threads outside the clock: an epoch of one row, on a copy."""
        copy = replace(self.net, parameters=self.net.parameters.copy())
        threads = ThreadTuner(self.tuner.most, self.tuner.driver)
        with suppress(DivergedError):  # the real epoch will meet it too, and say where
            self._session(copy, None, threads).train(row)

    def evaluate(self, X: Any, y: Array, rows: Array | None = None) -> Evaluation:
        """Mean loss and accuracy on encoded X and y, or on some of their rows."""
        tested: Evaluation = self.reader.evaluate(
            self.net,
            X,
            y,
            loss=self.loss,
            label_smoothing=self.label_smoothing,
            threads=self.tuner,
            rows=rows,
        )
        return tested

    def _session(self, net: Net, state: OptimizerState | None, threads: ThreadTuner) -> Any:
        return self.nn.Session(
            net, self.X, self.y, loss=self.loss, label_smoothing=self.label_smoothing,
            batch_size=self.batch_size, optimizer=self.optimizer, state=state,
            sample_weight=self.sample_weight, threads=threads, seed=self.seed, squares=self.squares,
        )  # fmt: skip


def _joined(rates: list[float | Array]) -> Array:
    """The rates of several epochs: one for each, or one for each batch of all of them."""
    if all(isinstance(rate, float) for rate in rates):
        return np.array(rates)
    width = max(np.size(rate) for rate in rates)
    return np.concatenate([np.broadcast_to(rate, (width,)) for rate in rates])
