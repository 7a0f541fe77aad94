"""Rows that are repeated, rows that differ in their label alone, and an order that has to do with the label.

Rows are compared by a 64-bit sum of their cells. Nothing here judges: rules.py does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.table import Column

_MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # of SplitMix64 (Steele et al., 2014)
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Repeated:
    """Rows with the same cells as one before them.

    count:    such rows.   rows: the first of them, with the row that each repeats.
    pairs:    pairs of equal rows.   by_chance: pairs to be expected of columns that are not related.
    """

    count: int
    rows: tuple[tuple[int, int], ...]
    pairs: int
    by_chance: float


def sums_of(columns: Sequence[Column]) -> NDArray[np.uint64]:
    """A sum (n,) for each row: equal rows have the same, others almost surely not."""
    found = np.zeros(len(columns[0]), np.uint64)
    for place, column in enumerate(columns):
        bits = np.where(column.missing, np.nan, column.values.astype(np.float64) + 0.0).view(np.uint64)
        found = _mixed(found * _ODD + _mixed(bits + np.uint64(place)))
    return found


def repeated(columns: Sequence[Column], sums: NDArray[np.uint64]) -> Repeated:
    """The rows that repeat one before them, by their sums (n,)."""
    _, firsts, places, counts = np.unique(sums, return_index=True, return_inverse=True, return_counts=True)
    again = np.flatnonzero(firsts[places] != np.arange(len(sums)))
    pairs = int((counts * (counts - 1) // 2).sum())
    shown = tuple((int(i), int(firsts[places[i]])) for i in again[:5])
    return Repeated(len(again), shown, pairs, _by_chance(columns) if pairs else 0.0)


def conflicts(sums: NDArray[np.uint64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows, ascending, that have another class than a row with the same sum (n,); y (n,)."""
    _, places = np.unique(sums, return_inverse=True)
    pairs = np.unique(places * np.int64(y.max() + 1) + y)
    labels = np.bincount(pairs // (int(y.max()) + 1))
    return np.flatnonzero(labels[places] > 1)


def neighbours_alike(y: NDArray[np.int64]) -> tuple[float, float, float]:
    """The share of rows with the label of the row before; by chance; and how far over it, in deviations."""
    n = len(y)
    shares = np.bincount(y) / n
    chance = float(np.square(shares).sum())
    share = float(np.mean(y[1:] == y[:-1]))
    deviation = np.sqrt(chance * (1 - chance) / (n - 1))
    return share, chance, float((share - chance) / deviation) if deviation else 0.0


def neighbours_related(y: NDArray[np.float64]) -> tuple[float, float]:
    """The correlation of the ranks of y (n,) with those of the row before, and that in deviations."""
    ranks = np.argsort(np.argsort(y, kind="stable"), kind="stable").astype(np.float64)
    a, b = ranks[1:] - ranks[1:].mean(), ranks[:-1] - ranks[:-1].mean()
    norm = np.sqrt(np.square(a).sum() * np.square(b).sum())
    r = float(a @ b / norm) if norm else 0.0
    return r, r * float(np.sqrt(len(y) - 1))


def _by_chance(columns: Sequence[Column]) -> float:
    """Pairs of equal rows to be expected by the three columns that tell rows apart best, were they unrelated.

    A few copies among rows that all differ make each column's share of equal pairs tiny, their product none.
    """
    n = len(columns[0])
    alike = []
    for column in columns:
        _, counts = np.unique(column.values, return_counts=True, equal_nan=True)
        alike.append(float((counts * (counts - 1.0)).sum() / (n * (n - 1.0))))
    return n * (n - 1) / 2 * float(np.prod(sorted(alike)[:3]))


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX[0]
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX[1]
    return bits ^ (bits >> np.uint64(31))
