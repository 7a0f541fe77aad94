"""Results of a backend's functions: plain numbers, the same from reference/ and kernels/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fastmlp.checks import as_float, shown
from fastmlp.errors import ConfigError
from fastmlp.net import Parameters


class LossAndGradients(NamedTuple):
    """Loss and gradients of one batch."""

    loss: float  # mean over the batch
    gradients: Parameters  # of that mean: dW1, db1, ... in the shapes of W1, b1, ...
    correct: int  # samples whose most probable class is the true one
    live: int  # samples whose gradient at the logits is not cut to zero by the loss's clip


class EpochTotals(NamedTuple):
    """Totals of one pass over the training data; every sample is counted as its batch met it."""

    loss: float  # mean over the samples
    correct: int
    live: int
    samples: int
    members: int  # threads that took part


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
    """Evaluation of a net on a labelled data set."""

    loss: float  # mean over the samples
    accuracy: float  # share of samples whose most probable class is the true one
