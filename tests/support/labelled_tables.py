"""Tables whose labels are related to the inputs, whatever their units, and tables whose labels are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import fit

Array = NDArray[Any]
RELATED, UNRELATED, FEW = "related", "unrelated", "too few rows to say"


@dataclass(frozen=True)
class Table:
    """``draw(g, rows)`` gives X and y; ``kind`` says what a diagnosis may make of them.

    FEW: the labels are random, on so few rows that nobody could say so.
    learnt: mean recall of the classes by a net that sees the columns' ranks: at least, or for random labels
    at most.
    """

    name: str
    kind: str
    rows: int
    draw: Callable[[np.random.Generator, int], tuple[Any, Array]]
    seed: int
    learnt: float = 0.8
    options: dict[str, Any] = field(default_factory=dict)

    def table(self) -> tuple[Any, Array]:
        X, y = self.draw(np.random.default_rng(self.seed), self.rows)
        return X, np.asarray(y, np.int64)

    def learnt_by_a_good_net(self) -> float:
        """On rows of its own: 4,000 to learn from, 2,000 to be tested on, their columns by rank."""
        X, y = self.draw(np.random.default_rng(self.seed), 6000)
        y = np.asarray(y, np.int64)
        X = np.asarray(X.todense() if hasattr(X, "todense") else X)
        ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in X.T], 1)
        x = ((ranks - ranks.mean(axis=0)) / np.maximum(ranks.std(axis=0), 1e-9)).astype(np.float32)
        counts = np.bincount(y)
        model, _ = fit(
            x[:4000],
            y[:4000],
            hidden=64,
            scale=1,
            optimizer="sgd",
            lr=0.1,
            batch_size=20,
            epochs=15,
            class_weight="balanced",
        )
        right = model.predict(x[4000:]) == y[4000:]
        return float(np.mean([right[y[4000:] == k].mean() for k in range(len(counts))]))


def unequal(D: int, factor: float) -> Callable[[np.random.Generator, int], tuple[Any, Array]]:
    """Column 0 tells; the others are ``factor`` times as wide and say nothing."""

    def draw(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
        X = g.normal(size=(rows, D))
        y = X[:, 0] > 0
        X[:, 1:] *= factor
        return X, y

    return draw


def heavy_tails(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
    X = g.standard_cauchy((rows, 6)) ** 3
    return X, np.cbrt(X[:, :2]).sum(axis=1) > 0


def rare(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
    X = g.normal(size=(rows, 4))
    return X * [1, 1000, 1, 50], X[:, 0] > 1.645  # one in twenty


def crossed(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
    X = g.normal(size=(rows, 4))
    return X * [1, 1e4, 1, 300], (X[:, 0] > 0) ^ (X[:, 1] > 0)


def circles(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
    X = g.normal(size=(rows, 5))
    return X * [1, 1e3, 1e5, 1, 7] + [0, 0, 0, 4, 1e4], (X[:, :2] ** 2).sum(axis=1) > 1.386


def many_classes(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
    y = np.arange(rows) % 25
    X = np.stack([y % 5, y // 5, np.zeros(rows)], 1) + g.normal(0, 0.3, (rows, 3))
    return X * [1, 1, 1e5], y


def codes(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
    """26 codes as one number, each of a class that is drawn once and for all, beside a wide column."""
    code = g.integers(0, 26, rows)
    return np.stack([code, g.normal(0, 1e4, rows)], 1), np.random.default_rng(3).permutation(26)[code] % 2


def words(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
    """Sparse: 4,000 columns of which 40 say the class, some in thousands."""
    from scipy import sparse

    X = sparse.random_array((rows, 4000), density=0.005, rng=g, format="csr", dtype=np.float32)
    y = g.integers(0, 2, rows)
    marks = sparse.csr_array(
        (np.full(rows, 0.5, np.float32), y * 20 + g.integers(0, 20, rows), np.arange(rows + 1)), shape=X.shape
    )
    scales = np.where(np.arange(4000) % 7 == 6, 5000, 1).astype(np.float32)
    return ((X + marks) @ sparse.diags_array(scales)).tocsr(), y


def tiny_and_huge(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
    X = g.normal(size=(rows, 4))
    y = X[:, 0] + X[:, 1] > 0
    X = X * [1e-30, 1e30, 1, 1]
    X[3, 2] = 1e38  # one value far off
    return np.column_stack([X, np.full(rows, 5.0)]), y


def weak(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
    """The best there is recognises 0.65."""
    X = g.normal(size=(rows, 8))
    return X * 10.0 ** np.arange(-3, 5), (X[:, :3].sum(axis=1) > 0) ^ (g.random(rows) > 0.65)


def copied(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
    """Every row four times, with its label, which is random."""
    at = np.arange(rows) // 4
    return g.normal(size=(rows, 3))[at] * [1, 30, 1], g.integers(0, 2, rows)[at]


def permuted(
    draw: Callable[[np.random.Generator, int], tuple[Any, Array]],
) -> Callable[[np.random.Generator, int], tuple[Any, Array]]:
    def other(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
        X, y = draw(g, rows)
        return X, g.permutation(y)

    return other


def shifted(
    draw: Callable[[np.random.Generator, int], tuple[Any, Array]],
) -> Callable[[np.random.Generator, int], tuple[Any, Array]]:
    def other(g: np.random.Generator, rows: int) -> tuple[Any, Array]:
        X, y = draw(g, rows)
        return X, np.roll(y, 1)

    return other


def _all() -> list[Table]:
    told = [
        Table(f"{D} columns, {factor:g} times", RELATED, 2400, unequal(D, factor), D)
        for D in (2, 5, 20, 50)
        for factor in (10, 1e3, 1e6)
    ]
    kinds: list[tuple[str, Any, int, float]] = [
        ("heavy tails", heavy_tails, 2400, 0.8),
        ("19 to 1", rare, 3000, 0.8),
        ("crossed", crossed, 2400, 0.8),
        ("circles", circles, 2400, 0.8),
        ("25 classes", many_classes, 1500, 0.6),
        ("codes", codes, 2400, 0.65),
        ("words", words, 2000, 0.7),
        ("tiny and huge", tiny_and_huge, 2400, 0.8),
        ("weak", weak, 4000, 0.6),
    ]
    told += [
        Table(f"{name}, {s}", RELATED, n, draw, s, least) for name, draw, n, least in kinds for s in (0, 1)
    ]
    told += [Table(f"{n} rows", RELATED, n, unequal(3, 1e3), n) for n in (30, 60, 120, 200)]
    random = [
        Table(f"{name}, permuted", UNRELATED, n, permuted(draw), 10 + s, 0.55)
        for s, (name, draw, n, _) in enumerate(kinds)
        if name != "19 to 1"
    ]
    random += [
        Table("25 classes, shifted", UNRELATED, 1500, shifted(permuted(many_classes)), 1, 0.1),
        *(
            Table(f"{D} columns, shifted", UNRELATED, 2400, shifted(unequal(D, 1e3)), D, 0.55)
            for D in (2, 20)
        ),
        *(
            Table(f"{D} columns, permuted", UNRELATED, 2400, permuted(unequal(D, 1)), D, 0.55)
            for D in (2, 20)
        ),
        Table("copied rows", UNRELATED, 10_000, copied, 0, 1.0),
    ]
    random += [
        Table(f"{n} random rows", FEW, n, permuted(unequal(3, 1e3)), n, 0.55) for n in (20, 60, 200, 600)
    ]
    return told + random


TABLES = _all()
