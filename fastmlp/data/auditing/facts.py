"""Facts of a column and of the label: kind, missing cells, range, spread, commonest values.

What looks wrong is not in here (rules.py), nor how it is shown (report.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.column_code import ColumnCode
from fastmlp.data.kinds import word_of
from fastmlp.data.label import Taken
from fastmlp.data.table import Column, Kind

SHOWN = 5  # of the commonest values


@dataclass(frozen=True)
class Figures:
    """Figures of numbers that are finite; spread is their standard deviation."""

    low: float
    high: float
    mean: float
    median: float
    spread: float

    def __str__(self) -> str:
        low, high, mean, median, spread = map(figure, asdict(self).values())
        return f"{low} .. {high}, median {median}, mean {mean}, spread {spread}"


@dataclass(frozen=True)
class ColumnFacts:
    """A column as it is in the table.

    missing:  cells that hold nothing.   distinct: different values of the others.
    figures:  of numbers, and of times as days since 1970-01-01; None where no cell is finite.
    common:   the commonest values and their rows, at most SHOWN: of texts and flags.
    becomes:  what it is to a net, in words.
    """

    name: str
    kind: Kind
    rows: int
    missing: int
    distinct: int
    figures: Figures | None = None
    common: tuple[tuple[str, int], ...] = ()
    becomes: str = ""

    @property
    def there(self) -> int:
        """Cells that hold something."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        """The share of its cells that hold nothing."""
        return self.missing / self.rows if self.rows else 0.0

    @property
    def range(self) -> str:
        """Its range, or its commonest values, in a few words."""
        if self.common:
            words = ", ".join(f"{word} {count:,}" for word, count in self.common[:3])
            return words + ", ..." * (self.distinct > 3)
        if self.figures is None:
            return ""
        ends = self.figures.low, self.figures.high
        write = figure if self.kind == "number" else day
        return " .. ".join(map(write, ends))


@dataclass(frozen=True)
class LabelFacts:
    """The label.

    how:    how it was found, in words.   task: "classes" or "numbers".   why: why it is that, in words.
    counts: of classes, each and its rows, in their order; of numbers none.
    figures: of numbers.   missing: rows without a label.
    """

    name: str
    how: str
    task: str
    why: str
    missing: int
    counts: tuple[tuple[str, int], ...] = ()
    figures: Figures | None = None


def facts_of(column: Column, code: ColumnCode | None = None) -> ColumnFacts:
    """The facts of a column, and what becomes of it by its code."""
    missing = int(column.missing.sum())
    becomes = "" if code is None else becomes_of(code)
    there = column.values if not missing else column.values[~column.missing]
    if column.kind in ("text", "flag"):
        counts = np.bincount(there, minlength=len(column.words) or 2)
        order = np.argsort(-counts, kind="stable")[:SHOWN]
        words = column.words or ("false", "true")
        common = tuple((words[k], int(counts[k])) for k in order.tolist() if counts[k])
        distinct = int((counts > 0).sum())
        return ColumnFacts(
            column.name, column.kind, len(column), missing, distinct, common=common, becomes=becomes
        )
    return ColumnFacts(
        column.name, column.kind, len(column), missing, len(np.unique(there)), figures_of(there),
        becomes=becomes,
    )  # fmt: skip


def figures_of(values: NDArray[Any]) -> Figures | None:
    """The figures of numbers; None where none is finite."""
    values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        figures = finite.min(), finite.max(), finite.mean(), np.median(finite), finite.std()
    return Figures(*map(float, figures))


def label_facts(column: Column, how: str, taken: Taken, y: NDArray[Any]) -> LabelFacts:
    """The facts of the label's column (N cells); y: of the rows with a label, the codes or the numbers."""
    missing = int(column.missing.sum())
    if taken.task == "numbers":
        return LabelFacts(column.name, how, taken.task, taken.how, missing, figures=figures_of(y))
    found, counts = np.unique(column.values[~column.missing], return_counts=True)
    names = [text_of(column, value) for value in found.tolist()]
    pairs = tuple(zip(names, counts.tolist(), strict=True))
    return LabelFacts(column.name, how, taken.task, taken.how, missing, pairs)


def text_of(column: Column, value: float) -> str:
    """A value of a column as people write it."""
    return column.words[int(value)] if column.kind == "text" else word_of(float(value), column.kind)


def figure(value: float) -> str:
    """A number in a few characters: 1890, 0.0625, 79,491, 1.024e+12."""
    size = abs(value)
    if 1e4 <= size < 1e9:
        return f"{value:,.0f}"
    return f"{value:.0f}" if size < 1e4 and value.is_integer() else f"{value:.4g}"


def day(days: float) -> str:
    """The date so many days after 1970-01-01."""
    return word_of(days, "time")[:10]


def becomes_of(code: ColumnCode) -> str:
    """Words for what a column becomes."""
    if code.dropped:
        return f"dropped: {'nearly ' * (code.dropped == 'all different')}{code.dropped}"
    gaps = " + missing" * code.flag
    if code.as_category:
        k = len(code.categories)
        return f"one-hot, {k} categor{'y' if k == 1 else 'ies'}" + " + rare" * bool(code.rare) + gaps
    if code.kind == "flag":
        return f"0 and 1{gaps}"
    return f"standardised{gaps}"
