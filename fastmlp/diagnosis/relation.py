"""Are the labels related to the inputs at all? Looks that need no net, held against those at permuted labels.

Nearest neighbours see what is local; columns, their squares and products see what is straight, round or
crossed. Columns count by the ranks of their values, so that no unit, outlier or heavy tail weighs; classes
count alike, however many rows they have. A net can see what these do not: three columns crossed among many
others. So nothing seen means something only where rows are enough (``Relation.enough``), and nets saw nothing
either. Not in here: nets.

Ranks and distances are whole numbers in float64: exact, whatever the order of their sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.sparse import is_scipy_sparse
from fastmlp.diagnosis.chance import even, skill, spread, standing
from fastmlp.random import permutation, raw_integers

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]

NEIGHBOURS = 15
PERMUTATIONS = 199
LEVEL = 0.02  # of permutations, at most, that show as much as the labels themselves: a relation is seen
SMALLEST = 0.1  # skill that rows must be enough to show, before it means anything that none is seen
_FELLOWS = 3  # rows of a class, on average, at least
_SIGMAS = 4  # from no skill to one that stands out from luck 19 times in 20

_ROWS = 5000  # that are looked at, at most; fewer where they are wide
_VALUES = 1 << 24  # of them, at most
_WORK = 1 << 35  # multiplications for all permutations, at most
_SLOWER = 1 << 5  # times that a multiplication of sparse rows takes as long
_BLOCK = 1 << 22  # numbers at a time
_PAIRED = 40  # columns, at most, of which every two are multiplied
_SOME = 10  # rows of a sparse column that are not zero, at least: fewer can tell nothing
_REPEATED = 8  # times that each row comes, on average: no copies, but codes
_STEPS = 1000  # that the ranks of a sparse column are rounded to


@dataclass(frozen=True)
class Relation:
    """The relation that was seen on ``rows`` rows.

    neighbours: mean recall of the classes by the vote of a row's nearest, itself left out and classes even.
    permuted, spread: mean and standard deviation of the same with permuted labels.
    p:      share of permutations in which some look shows as much as the most telling one does of the labels.
    skill:  of the neighbours: 0 for guessing, 1 for all right.
    luck:   standard deviation of the skill of one who guesses at so many rows.
    enough: whether the rows are so many that they would show a relation worth SMALLEST.
    """

    rows: int
    neighbours: float
    permuted: float
    spread: float
    p: float
    skill: float
    luck: float
    enough: bool

    @property
    def seen(self) -> bool:
        """True where the labels are related to the inputs."""
        return self.p <= LEVEL


def relation(X: Any, y: Labels, K: int) -> Relation:
    """Relate labels y (N,), class indices below K, to inputs X (N, D), an array or scipy.sparse's CSR."""
    ranks, y = _sample(X, y, K)
    n = len(y)
    orders = [np.arange(n), *(permutation(n, 0, "permuted labels", i) for i in range(PERMUTATIONS))]
    nearest = _nearest(ranks, min(NEIGHBOURS, n - 1))
    recalls = np.array([_recall(y[order], nearest, K) for order in orders])
    shown = np.array([recalls, *_told_apart(ranks, y, K, orders)])
    deviations = np.maximum(shown.std(axis=1, keepdims=True), 1e-9)
    most = ((shown - shown.mean(axis=1, keepdims=True)) / deviations).max(axis=0)  # of the looks
    present = len(np.unique(y))
    luck = spread(y)
    return Relation(
        n, float(recalls[0]), float(recalls[1:].mean()), float(recalls[1:].std()),
        float((most >= most[0]).mean()), skill(float(recalls[0]), present), luck,
        _SIGMAS * luck <= SMALLEST and n >= _FELLOWS * present,
    )  # fmt: skip


def _sample(X: Any, y: Labels, K: int) -> tuple[Any, Labels]:
    """Ranks of some rows, in random order, so that no tie is broken by where a row stands; and their labels.

    Where rows that are the same have the same label too, they are copies, and one of them stays: a copy
    among the neighbours would give the label away. But where there are few different rows, each of them is a
    code that says its label.
    """
    N, D = X.shape
    wide = is_scipy_sparse(X) and D > _VALUES // _ROWS
    values, slower = (X.nnz / N, _SLOWER) if wide else (D, 1)
    rows = int(min(_ROWS, _VALUES / max(values, 1), _WORK / (max(values, 1) * K * PERMUTATIONS * slower)))
    picked = permutation(N, 0, "relation")[: max(rows, 50)]
    part, y = X[picked], y[picked]
    ranks = _sparse_ranks(part) if wide else _ranks(part.toarray() if is_scipy_sparse(X) else part)
    marks = (raw_integers(2 * ranks.shape[1], 0, "copies") >> np.uint64(44)).astype(np.float64)
    _, first, which = np.unique(ranks @ marks.reshape(-1, 2), axis=0, return_index=True, return_inverse=True)
    copies = len(first) > len(y) / _REPEATED and (y == y[first][which.reshape(-1)]).all()
    keep = np.sort(first) if copies else np.arange(len(y))
    return ranks[keep], y[keep]


def _ranks(X: NDArray[Any]) -> Floats:
    """Twice the ranks of each column (N, D), less their mean, so that a column of one value is 0."""
    ranks = np.empty(X.shape)
    for j in range(X.shape[1]):
        ranks[:, j] = _twice_the_rank(X[:, j]) - (len(X) + 1)
    return ranks


def _sparse_ranks(X: Any) -> Any:
    """Ranks of CSR: zeros stay, and the other values of a column are ranked by magnitude."""
    X = X.tocsc().astype(np.float64)
    X.sum_duplicates()
    X = X[:, np.diff(X.indptr) >= _SOME]
    for at, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        values = X.data[at:end]
        values[...] = np.sign(values) * np.ceil(_twice_the_rank(np.abs(values)) * (_STEPS / 2 / (end - at)))
    return X.tocsr()


def _twice_the_rank(values: NDArray[Any]) -> NDArray[np.int64]:
    """Doubled ranks from 2 on; equal values share their mean rank, which doubled is a whole number."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    twice: NDArray[np.int64] = 2 * np.cumsum(counts) - counts + 1
    return twice[which]


def _nearest(ranks: Any, k: int) -> NDArray[np.int64]:
    """Indices (N, k) of the rows nearest to each row, itself left out."""
    n = ranks.shape[0]
    dense = isinstance(ranks, np.ndarray)
    squares = (
        np.einsum("ij,ij->i", ranks, ranks)
        if dense
        else np.asarray(ranks.multiply(ranks).sum(axis=1)).reshape(-1)
    )
    nearest = np.empty((n, k), np.int64)
    rows = max(1, _BLOCK // n)
    for at in range(0, n, rows):
        products = ranks[at : at + rows] @ ranks.T
        distances = squares - 2 * (products if dense else products.toarray())  # less the row's own square
        here = np.arange(len(distances))
        distances[here, at + here] = np.inf
        nearest[at : at + rows] = np.argpartition(distances, k - 1, axis=1)[:, :k]
    return nearest


def _recall(y: Labels, nearest: NDArray[np.int64], K: int) -> float:
    """Mean recall of the classes by the vote of neighbours, as if all classes had as many rows."""
    n = len(y)
    voted = (np.arange(0, n * K, K)[:, None] + y[nearest]).reshape(-1)
    votes = np.bincount(voted, minlength=n * K).reshape(n, K)
    return standing(even(votes, np.bincount(y, minlength=K)), y, K).recall


def _told_apart(ranks: Any, y: Labels, K: int, orders: list[Labels]) -> list[Floats]:
    """The distance of the classes' means, in each order of the labels: in the column or product where
    they are farthest, in all columns together, and in all products together.

    Of one column it is the part of its variance that lies between the classes, times the rows.
    """
    n = len(y)
    columns, products = _features(ranks)
    counts = np.maximum(np.bincount(y, minlength=K), 1)
    farthest, together = np.zeros(len(orders)), []
    for features, means in (columns, products):
        p = features.shape[1]
        total = np.zeros(len(orders))
        some = max(1, _BLOCK // (K * max(p, n)))
        for at in range(0, len(orders) if p else 0, some):
            part = orders[at : at + some]
            member = np.zeros((n, len(part), K))
            for i, order in enumerate(part):
                member[np.arange(n), i, y[order]] = 1
            sums = (features.T @ member.reshape(n, -1)).reshape(p, len(part), K)
            between = (sums * sums / counts).sum(axis=2) - (n * means * means)[:, None]
            here = slice(at, at + len(part))
            farthest[here] = np.maximum(farthest[here], between.max(axis=0))
            total[here] = between.sum(axis=0)
        together.append(total)
    return [farthest, *together]


def _features(ranks: Any) -> list[tuple[Any, Floats]]:
    """Columns, and products of two (squares alone where columns are many): of variance 1, with means."""
    n, D = ranks.shape
    if not isinstance(ranks, np.ndarray):
        means = np.asarray(ranks.mean(axis=0)).reshape(-1)
        variance = np.asarray(ranks.multiply(ranks).mean(axis=0)).reshape(-1) - means**2
        scales = 1 / np.sqrt(np.maximum(variance, 1e-9))
        return [(ranks.multiply(scales).tocsr(), means * scales), (np.zeros((n, 0)), np.zeros(0))]
    x = ranks / n
    i, j = np.triu_indices(D) if D <= _PAIRED else (np.arange(D), np.arange(D))
    found: list[tuple[Any, Floats]] = []
    for part in (x, x[:, i] * x[:, j]):
        part -= part.mean(axis=0)
        deviation = part.std(axis=0)
        varies = deviation > 1e-6
        found.append((part[:, varies] / deviation[varies], np.zeros(int(varies.sum()))))
    return found
