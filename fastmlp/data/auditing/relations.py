"""The columns that are the label again, and those that alone give it.

How well one does is measured in leaks.py, each row told from the other rows, against guessing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.auditing.leaks import (
    Groups,
    by_rank,
    one_to_one,
    r2_of_numbers,
    same_line,
    skill_of_classes,
)
from fastmlp.data.table import Column

FEWEST = 20  # rows on which a column can be compared with the label
BESIDE = 5  # rows that are not of the commonest class: fewer may stand together by chance
OWN_CLASS = 4  # rows of a class on the mean: with fewer the label names rows
LEAK, LEAK_R2, LEAK_RANK = 0.99, 0.999, 0.9999
STANDS_OUT = 0.9  # skill of the next best column, from which on the labels are just easy to tell


@dataclass(frozen=True)
class Relations:
    """The columns' ties with the label.

    copied: those that are the label again, and how.
    scores: of the others: skill of classes, from 0, guessing, to 1; of numbers the share of the variance.
    least:  the score from which on a column alone gives the label.
    """

    copied: dict[str, str] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    least: float = LEAK

    @property
    def leaked(self) -> tuple[tuple[str, float], ...]:
        """The columns that alone give the label, and their scores, the best first."""
        found = [(name, score) for name, score in self.scores.items() if score >= self.least]
        return tuple(sorted(found, key=lambda pair: -pair[1]))

    @property
    def next_best(self) -> float:
        """The best score of the other columns."""
        return max((score for score in self.scores.values() if score < self.least), default=0.0)

    @property
    def stands_out(self) -> bool:
        """True where one column gives the label and no other nearly does."""
        return len(self.leaked) == 1 and self.next_best < STANDS_OUT


def relations(
    columns: Sequence[Column],
    labelled: NDArray[np.int64],
    y: NDArray[Any],
    K: int,
    sample: NDArray[np.int64],
) -> Relations:
    """Compare columns (N cells) with y (n,), of the rows ``labelled``, on its places ``sample``.

    K: the number of classes, 0 for numbers.
    """
    told = y[sample]
    n = len(told)
    if n < FEWEST or (K and not (1 < K <= n / OWN_CLASS and n - np.bincount(told).max() >= BESIDE)):
        return Relations()
    if not K and len(np.unique(told)) < 3:
        return Relations()
    copied, scores = {}, {}
    for column in columns:
        groups = Groups.of(column.take(labelled[sample]))
        if K:
            if len(groups.sizes) == len(np.unique(told)) and one_to_one(_cells(column)[labelled], y):
                copied[column.name] = "each of its values goes with one class"
            else:
                scores[column.name] = skill_of_classes(groups, told, K)
            continue
        scores[column.name] = r2_of_numbers(groups, told)
        if column.kind != "text":
            x = _cells(column)[labelled]
            there = np.isfinite(x)
            if there.sum() >= FEWEST and same_line(x[there], y[there]):
                del scores[column.name]
                copied[column.name] = "the same numbers, or those in another unit"
            elif scores[column.name] > 0.9:
                x, there = x[sample], there[sample]
                ranked = by_rank(x[there], told[there])
                scores[column.name] = max(scores[column.name], ranked if ranked >= LEAK_RANK else 0.0)
    return Relations(copied, scores, LEAK if K else LEAK_R2)


def _cells(column: Column) -> NDArray[np.float64]:
    return np.where(column.missing, np.nan, column.values.astype(np.float64))
