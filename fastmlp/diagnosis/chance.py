"""How far guesses at labels are from chance, all classes counting alike. Not in here: whose guesses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Standing:
    """The standing of guesses at the labels of ``rows`` rows against chance.

    recall: share of a class that is recognised, mean over the classes that have rows: to name the commonest
            class always is worth no more than any other guess.
    skill:  the same from 0, guessing, to 1, all right; below 0 for worse.
    sigmas: how many standard deviations recall is over its mean with permuted labels.
    spread: standard deviation of the skill of somebody who guesses: so much of a skill may be luck.
    """

    rows: int
    recall: float
    skill: float
    sigmas: float
    spread: float


def standing(guesses: Labels, y: Labels, K: int) -> Standing:
    """Rate guesses (N,) at y (N,), class indices below K.

    Mean and variance over all permutations of y are exact (Hoeffding, Annals of Mathematical Statistics 22,
    1951).
    """
    N, counts = len(y), np.bincount(y, minlength=K)
    present = counts > 0
    n, k = counts[present], int(present.sum())
    m = np.bincount(guesses, minlength=K)[present]
    recall = float((np.bincount(y[guesses == y], minlength=K)[present] / n).mean())
    usual = float(m.sum() / N / k)
    variance = (
        ((m / n).sum() - m.sum() / N - (m * m / n).sum() / N + (m.sum() / N) ** 2) / k**2 / max(N - 1, 1)
    )
    luck = math.sqrt(variance) if variance > 1e-15 else math.inf  # one guess for all: recall cannot vary
    return Standing(N, recall, skill(recall, k), (recall - usual) / luck, spread(y))


def skill(recall: float, classes: int) -> float:
    """A mean recall from 0, guessing among so many classes, to 1, all right; nan where one class is all."""
    return (recall - 1 / classes) / (1 - 1 / classes) if classes > 1 else math.nan


def spread(y: Labels) -> float:
    """Standard deviation of the skill of one who guesses at y (N,), all classes alike."""
    counts = np.bincount(y)
    n = counts[counts > 0]
    k = len(n)
    return math.sqrt((1 / n).sum() / (k - 1)) / k if k > 1 else math.inf


def even(p: NDArray[Any], counts: NDArray[np.int64]) -> Labels:
    """Guesses by probabilities p (N, K), as if all classes had as many rows: the largest p over its share."""
    return np.asarray((p / np.maximum(counts, 1)).argmax(axis=1))
