"""How well a column alone gives the label, each row told from the other rows: by the nearest in the column.

A row is never told from itself, so that a column of different texts, or noise, gives no more than chance.
Numbers have near ones; texts only equal ones; missing cells are equal to each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.table import Column

FEW = 5  # rows of a class
ON_LINE = 0.9999  # correlation of two columns that say the same
_ENDS, _DIFFERENT = 0.05, 5  # rows at each end of a line that do not count; different values of the others
_TAIL = 0.01  # of the rows with the lowest and with the highest numbers, which do not count


@dataclass(frozen=True)
class Groups:
    """The rows of a column in its order, those with equal cells together.

    order:  (n,) the rows.   starts: (G,) where in it each group begins.   sizes: (G,) rows of each.
    values: (G,) the cell of each; nan where it is missing, and for all groups of texts.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, column: Column) -> Groups:
        """The groups of a column of at least one row."""
        values = np.where(column.missing, np.nan, column.values.astype(np.float64))
        order = np.argsort(values, kind="stable")  # nan stands last
        there = values[order]
        begins = np.ones(len(there), bool)
        begins[1:] = ~((there[1:] == there[:-1]) | (np.isnan(there[1:]) & np.isnan(there[:-1])))
        starts = np.flatnonzero(begins)
        sizes = np.diff(np.append(starts, len(there)))
        firsts = there[starts] if column.kind != "text" else np.full(len(starts), np.nan)
        return cls(order, starts, sizes, firsts)

    def nearest(self) -> NDArray[np.int64]:
        """The nearest other group of each (G,), -1 where there is none."""
        known = np.isfinite(self.values)
        G = int(known.sum())
        near = np.full(len(self.values), -1)
        if G > 1:
            gaps = np.diff(self.values[:G])
            left, right = np.append(np.inf, gaps), np.append(gaps, np.inf)
            near[:G] = np.arange(G) + np.where(left <= right, -1, 1)
        return near


def skill_of_classes(groups: Groups, y: NDArray[np.int64], K: int) -> float:
    """Mean recall of the K classes, from 0, guessing, to 1, all right: y (n,) told by the column.

    Classes of fewer than FEW rows do not count.

    A row's class is the commonest among the others with its cell; of a cell that stands alone, that of the
    nearest cell.
    """
    told = y[groups.order]
    group = np.repeat(np.arange(len(groups.starts)), groups.sizes)
    pairs, counts = np.unique(group * K + told, return_counts=True)
    where, which = np.divmod(pairs, K)
    ranked = np.lexsort((counts, where))  # by group, the commonest class last
    last = np.append(where[ranked][1:] != where[ranked][:-1], True)
    top = ranked[last]  # one for each group
    first, best = counts[top], which[top]
    second = np.zeros(len(top), np.int64)
    before = np.flatnonzero(last) - 1
    same = (before >= 0) & (where[ranked][before] == np.arange(len(top)))
    second[same] = counts[ranked][before[same]]
    rival = np.where(which == best[where], second[where], first[where])
    right = counts - 1 > rival
    alone = groups.sizes[where] == 1
    near = groups.nearest()[where]
    commonest = np.bincount(y, minlength=K).argmax()
    right[alone] = np.where(near >= 0, best[near], commonest)[alone] == which[alone]
    rows = np.bincount(y, minlength=K)
    enough = rows >= FEW
    recall = np.bincount(which, weights=counts * right, minlength=K)[enough] / rows[enough]
    if len(recall) < 2:
        return 0.0
    chance = 1 / len(recall)
    return float((recall.mean() - chance) / (1 - chance))


def r2_of_numbers(groups: Groups, y: NDArray[np.float64]) -> float:
    """The share of the variance of y (n,) that the column gives, without the ends of both; at least 0.

    A row's number is the mean of the others with its cell; of a cell that stands alone, on the line between
    the cells beside it.
    """
    told = y[groups.order]
    sums = np.add.reduceat(told, groups.starts)
    means = sums / groups.sizes
    guess = np.full(len(means), np.nan)
    known = int(np.isfinite(groups.values).sum())
    if known > 2:
        x, m = groups.values[:known], means[:known]
        share = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
        guess[1 : known - 1] = m[:-2] + share * (m[2:] - m[:-2])
    elif not known:
        guess[:] = y.mean()
    each = np.repeat(guess, groups.sizes)
    size = np.repeat(groups.sizes, groups.sizes)
    several = size > 1
    each[several] = ((np.repeat(sums, groups.sizes) - told) / np.maximum(size - 1, 1))[several]
    low, high = np.quantile(y, [_TAIL, 1 - _TAIL])
    counts = np.isfinite(each) & (told > low) & (told < high)
    if counts.sum() < len(y) / 2:
        return 0.0
    spread = np.square(told[counts] - told[counts].mean()).sum()
    return max(0.0, 1 - float(np.square(told - each)[counts].sum() / spread)) if spread else 0.0


def by_rank(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The correlation of the ranks of x and y (n,), without its sign; 0 where one is constant."""
    first, second = (_ranks(values) for values in (x, y))
    return correlation(first, second)


def correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pearson's r of x and y (n,), without its sign; 0 where one is constant or not finite."""
    with np.errstate(all="ignore"):
        a, b = x - x.mean(), y - y.mean()
        norm = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
        r = abs(float(a @ b)) / norm if norm else 0.0
    return r if np.isfinite(r) else 0.0


def same_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> bool:
    """Tell whether x and y (n,) lie on one line, with and without their ends, which alone could make one."""
    if correlation(x, y) < ON_LINE:
        return False
    low, high = np.quantile(x, [_ENDS, 1 - _ENDS])
    inner = (x >= low) & (x <= high)
    if len(np.unique(x[inner])) < _DIFFERENT:
        return False
    return correlation(x[inner], y[inner]) >= ON_LINE


def one_to_one(x: NDArray[np.float64], y: NDArray[np.int64]) -> bool:
    """Tell whether each value of x (n,), nan as one, goes with one class of y, and the reverse."""
    _, places = np.unique(x, return_inverse=True)
    K = len(np.unique(y))
    pairs = np.unique(places * (int(y.max()) + 1) + y)
    return K > 1 and len(pairs) == K == int(places.max()) + 1


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean rank of each value among all."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[places]
