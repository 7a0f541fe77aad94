"""Results of a backend's functions: plain numbers, the same from reference/ and kernels/.

An answer is a sample, right where its most probable class is the true one (of shares: that of the largest);
with ``binary`` loss each of its K labels, right where it is 1 and its probability over a half, or neither.
Numbers are never right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import as_float, shown
from fastmlp.display import Display
from fastmlp.errors import ConfigError
from fastmlp.net import Parameters


class LossAndGradients(NamedTuple):
    """Loss and gradients of one batch."""

    loss: float  # mean over the batch
    gradients: Parameters  # of that mean: dW1, db1, ... in the shapes of W1, b1, ...
    correct: int  # answers that are right
    live: int  # answers whose gradient at the logits is not cut to zero by the loss's clip


class EpochTotals(NamedTuple):
    """Totals of one pass over the training data; every sample is counted as its batch met it."""

    loss: float  # mean over the samples
    correct: int  # answers, as in LossAndGradients
    live: int
    samples: int
    members: int  # threads that took part
    labels: int = 1  # answers of a sample: K of ``binary`` loss
    squares: float = 0.0  # of all weights before each batch's step, added up, where they are asked for

    @property
    def accuracy(self) -> float:
        """The share of answers that are right."""
        return self.correct / (self.samples * self.labels)

    @property
    def live_share(self) -> float:
        """The share of answers with a gradient."""
        return self.live / (self.samples * self.labels)


class Watch(NamedTuple):
    """The end of a training, as scikit-learn has it: after more than ``most`` epochs that gained nothing.

    An epoch's loss is totals.loss / parts + penalty * totals.squares. It gains where that is at most
    best - tol; stale epochs that gained nothing came one after the other, and best is the lowest loss so far.
    """

    best: float
    stale: int
    tol: float
    most: float
    parts: int
    penalty: float

    def after(self, totals: EpochTotals) -> Self:
        """The same after an epoch more."""
        loss = totals.loss / self.parts + self.penalty * totals.squares
        stale = self.stale + 1 if loss > self.best - self.tol else 0
        best = loss if loss < self.best else self.best
        return type(self)(best, stale, self.tol, self.most, self.parts, self.penalty)

    @property
    def stops(self) -> bool:
        """True where training ends."""
        return self.stale > self.most


@dataclass(frozen=True, eq=False)
class Midway:
    """An epoch at the end of a batch, from where ``train_epoch`` continues to the same bytes.

    samples:    of its order, done.
    loss:       sum of their losses, each times its weight.
    correct, live: as in EpochTotals, of them.
    parameters, moments: as they are there, copies.
    seconds:    that the epoch has taken, where its caller knows them.
    """

    samples: int
    loss: float
    correct: int
    live: int
    parameters: Parameters
    moments: tuple[Parameters, ...]
    seconds: float = 0.0


# Called now and then at the end of a batch, with a function that takes the epoch as it is there; returns
# after how many seconds it is to be called again.
Pause = Callable[[Callable[[], Midway]], float]


def seconds_of(pause: Pause, take: Callable[[], Midway]) -> float:
    """Seconds that ``pause`` returns. Raises ConfigError unless it is a number from 0."""
    seconds = as_float(told := pause(take))
    if not seconds >= 0:
        raise ConfigError("pause must return a number of seconds, from 0", shown(told))
    return seconds


class Evaluation(NamedTuple):
    """Evaluation of a net on a labelled data set.

    accuracy: the share of answers that are right; 0 of numbers, which have these two instead:
    r2:       1 less the sum of squared errors over that of deviations from the mean, of each output, and of
              them the mean; 1 or 0 for an output whose targets are all the same, as it is hit or not. None of
              fewer than two samples.
    mean_absolute_error: over samples and outputs.
    """

    loss: float  # mean over the samples
    accuracy: float
    r2: float | None = None
    mean_absolute_error: float | None = None

    def told(self) -> dict[str, float]:
        """The fields that mean something, by name."""
        told: dict[str, float | None] = self._asdict()
        if self.mean_absolute_error is not None:
            del told["accuracy"]
        return {name: value for name, value in told.items() if value is not None}

    def __repr__(self) -> str:
        """The fields that mean something: ``Evaluation(loss=0.25, accuracy=0.9)``."""
        fields = ", ".join(f"{name}={value!r}" for name, value in self.told().items())
        return f"{type(self).__name__}({fields})"

    def _display(self) -> Display:
        names = {"r2": "R2", "mean_absolute_error": "mean absolute error"}
        return Display("Evaluation", [(names.get(name, name), value) for name, value in self.told().items()])

    def __str__(self) -> str:
        return self._display().text()

    def _repr_html_(self) -> str:
        return self._display().html()

    @classmethod
    def of_numbers(cls, loss: float, predictions: NDArray[Any], y: NDArray[Any]) -> Self:
        """The evaluation of predictions (N, K) of numbers y (N, K)."""
        y = y.astype(np.float64)
        errors = predictions - y
        r2 = None
        if len(y) > 1:
            squares, spread = (errors**2).sum(axis=0), ((y - y.mean(axis=0)) ** 2).sum(axis=0)
            missed = np.where(squares == 0, 0.0, 1.0)  # of targets that are all the same
            each = np.divide(squares, spread, out=missed, where=y.min(axis=0) < y.max(axis=0))
            r2 = float((1 - each).mean())
        return cls(loss, 0.0, r2, float(np.abs(errors).mean()))
