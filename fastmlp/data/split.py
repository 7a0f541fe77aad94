"""Splits of the rows of a data set: a part held out for testing, and the folds of a cross-validation.

Classes are in each part as in all rows, as far as whole rows allow. What is drawn is a pure function of the
seed. Rows that are held out within a training are the loop's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import whole_number
from fastmlp.errors import DataError
from fastmlp.random import permutation

if TYPE_CHECKING:
    from fastmlp.data.dataset import Dataset

HELD_OUT = 6  # one row in six


def held_out(n: int, indices: NDArray[np.int64] | None, seed: int, where: str) -> NDArray[np.int64]:
    """Numbers of the rows of the test part, ascending: a sixth of n, at least one.

    indices: (n,) class indices, and then a sixth of each class as near as can be, and never the last row of
    one; None: any rows. Raises DataError where none can be spared.
    """
    order, total = permutation(n, seed, "holdout"), max(1, n // HELD_OUT)
    if indices is None:
        if n < 2:
            raise DataError(
                f"{where} must hold two rows, so that one can be held out for testing", n, "give test data"
            )
        return np.sort(order[:total])
    counts = np.bincount(indices)
    taken = _shared(total, counts)
    if not taken.any():
        raise DataError(
            f"{where} must hold a class with two rows, so that one can be held out for testing",
            f"{n} rows, each of its own class",
            "give test data, or name the right label column",
        )
    is_held = _ranks(indices[order], counts) < taken[indices[order]]
    return np.sort(order[is_held])


def fold_rows(data: Dataset, n: int, seed: int = 0) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Numbers of the rows to train on and of those to test on, ascending, of each of the n folds.

    Of the training rows alone. The parts to test on are disjoint, are all rows together, and differ by a row
    at most, of each class too. Raises ConfigError, and DataError for fewer rows than folds.
    """
    n, seed = whole_number("folds", n, 2, 2**31 - 1), whole_number("seed", seed, 0, 2**63 - 1)
    N = len(data.y)
    if n > N:
        raise DataError(f"data for {n:,} folds must have as many rows", f"{N:,}", "use fewer folds")
    order = permutation(N, seed, "folds")
    if data.targets == "labels":
        order = order[np.argsort(data.y[order], kind="stable")]
    for k in range(n):
        test = np.sort(order[k::n])
        yield np.delete(np.arange(N), test), test


def folds(data: Dataset, n: int, seed: int = 0) -> Iterator[Dataset]:
    """The n data sets of a cross-validation: each tests on another n-th of the training rows.

    See ``fold_rows``. A test part that the data have takes no part.
    """
    for k, (train, test) in enumerate(fold_rows(data, n, seed)):
        yield data.part(train, test, f"fold {k + 1} of {n} for testing")


def _shared(total: int, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows of each class that are taken of ``counts`` (K,), so many in all: by the largest remainder.

    At least one of each class stays; fewer are taken in all where that leaves no other choice.
    """
    most = np.maximum(counts - 1, 0)
    quota = counts * total / max(1, counts.sum())
    taken: NDArray[np.int64] = np.minimum(np.floor(quota).astype(np.int64), most)
    while (missing := total - int(taken.sum())) > 0 and (taken < most).any():
        due = np.where(taken < most, quota - taken, -np.inf)
        first = np.argsort(-due, kind="stable")[: min(missing, int((taken < most).sum()))]
        taken[first] += 1
    return taken


def _ranks(indices: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place (n,) of each row among those of its class, in their order."""
    by_class = np.argsort(indices, kind="stable")
    ranks = np.empty(len(indices), np.int64)
    ranks[by_class] = np.arange(len(indices)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks
