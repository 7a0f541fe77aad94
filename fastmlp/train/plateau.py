"""The learning rate of a schedule on plateau, which follows the validation losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.spec import Training
from fastmlp.words.schedules import Schedule

_THRESHOLD = 1e-4  # a loss is better that is lower by this share
_LEAST = 1e-8  # a rate is not lowered by less

Rate = float | NDArray[Any]  # of an epoch, or (batches,) of its batches


@dataclass
class Plateau:
    """A rate that is multiplied by ``factor`` after more than ``patience`` epochs without a better loss.

    As torch.optim.lr_scheduler.ReduceLROnPlateau, of whose further options these are the defaults.
    """

    lr: float
    factor: float
    patience: int
    best: float = math.inf
    waited: int = 0

    def note(self, loss: float) -> None:
        """Judge the validation loss of an epoch."""
        self.waited += 1
        if loss < self.best * (1 - _THRESHOLD):
            self.best, self.waited = loss, 0
        if self.waited > self.patience:
            self.waited, lower = 0, self.lr * self.factor
            self.lr = lower if self.lr - lower > _LEAST else self.lr


class _Held(Protocol):
    @property
    def validation_loss(self) -> float | None: ...


def rates_of(training: Training, batches: int, finished: Sequence[_Held]) -> Callable[[int], Rate]:
    """The rates by epoch number, from 1, of a training whose epochs join ``finished``.

    That of an epoch on plateau is a function of the losses before it, so none of it need be kept.
    """
    schedule = Schedule.of(training.schedule)
    if schedule.name != "plateau":
        return lambda epoch: _rate(training, epoch, batches)
    factor, patience = schedule.numbers
    plateau, seen = Plateau(training.lr, factor, int(patience)), 0

    def rates(epoch: int) -> Rate:
        nonlocal seen
        for result in finished[seen : epoch - 1]:
            assert result.validation_loss is not None
            plateau.note(result.validation_loss)
            seen += 1
        return _rate(replace(training, lr=plateau.lr), epoch, batches)

    return rates


def _rate(training: Training, epoch: int, batches: int) -> Rate:
    told = training.rates(epoch, batches)
    return np.array(told) if isinstance(told, list) else told
