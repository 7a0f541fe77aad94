"""What the rules of the audit look at: the table, its facts, the label, and what several of them measure.

Nothing here judges.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.auditing import texts
from fastmlp.data.auditing.facts import ColumnFacts, LabelFacts
from fastmlp.data.auditing.identifiers import identifiers
from fastmlp.data.auditing.numbers import Sentinel, sentinel
from fastmlp.data.auditing.relations import Relations, relations
from fastmlp.data.auditing.rows import conflicts, sums_of
from fastmlp.data.table import Column, Table
from fastmlp.random import permutation

MOST_ROWS = 20_000  # on which the columns' relation to the label is measured
_FEWEST_ROWS, _CELLS = 2_000, 1_500_000  # of a wide table fewer rows, so that this many cells are looked at
_MOST_WORDS = 10_000  # of a column that are read as numbers and as dates


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a rule looks at.

    table:      the columns that count, without the label's; all N rows.
    facts:      of each of its columns, by name.
    label:      the label's column (N cells).
    about:      its facts.
    y:          (n,) codes of the classes from 0, or numbers, of the rows that have a label.
    labelled:   (n,) those rows, ascending.
    categories: the columns that were asked for as categories.
    """

    table: Table
    facts: dict[str, ColumnFacts]
    label: Column
    about: LabelFacts
    y: NDArray[Any]
    labelled: NDArray[np.int64]
    categories: frozenset[str] = frozenset()

    @property
    def classes(self) -> int:
        """The number of classes; 0 where the label is numbers."""
        return len(self.about.counts)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns that hold two different values at least, or one and gaps."""
        facts = [self.facts[column.name] for column in self.table.columns]
        varied = [fact.distinct + bool(fact.missing) > 1 for fact in facts]
        return tuple(itertools.compress(self.table.columns, varied))

    @cached_property
    def relations(self) -> Relations:
        """The skill of each column alone in giving the label, on a sample of the labelled rows."""
        n, D = len(self.labelled), max(1, len(self.columns))
        most = min(MOST_ROWS, max(_FEWEST_ROWS, _CELLS // D))
        at = np.arange(n) if n <= most else np.sort(permutation(n, 0, "audit")[:most])
        return relations(self.columns, self.labelled, self.y, self.classes, at)

    @cached_property
    def identifiers(self) -> dict[str, str]:
        """The columns that name the rows, and how that is seen."""
        free = [c for c in self.columns if c.name not in self.categories and c.name not in self.written]
        return identifiers(free, self.facts)

    @cached_property
    def sentinels(self) -> dict[str, Sentinel]:
        """The columns of numbers and times with a value that stands for something else."""
        found = {}
        for column in self.columns:
            is_time = column.kind == "time"
            if (is_time or column.kind == "number") and column.name not in self.identifiers:
                found[column.name] = sentinel(finite(column)[0], is_time)
        return {name: seen for name, seen in found.items() if seen is not None}

    @cached_property
    def compared(self) -> tuple[Column, ...]:
        """The columns by which rows are compared: all but those that name the rows."""
        return tuple(c for c in self.table.columns if c.name not in self.identifiers)

    @cached_property
    def sums(self) -> NDArray[np.uint64]:
        """A sum (N,) for each row, of those columns: equal rows have the same."""
        return sums_of(self.compared)

    @cached_property
    def conflicts(self) -> NDArray[np.int64]:
        """The rows, ascending, that have another class than one with the same cells in those columns."""
        if self.classes < 2 or not self.compared:
            return np.zeros(0, np.int64)
        return self.labelled[conflicts(self.sums[self.labelled], self.y)]

    @cached_property
    def written(self) -> dict[str, texts.Written]:
        """The columns of texts that are numbers or dates."""
        found = {}
        for column in self.columns:
            if column.kind != "text" or column.name in self.categories:
                continue
            words, counts = _part(column)
            if written := texts.written(words, counts):
                found[column.name] = written
        return found


def finite(column: Column) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The finite cells of a column of numbers or times, and their rows."""
    values = column.values.astype(np.float64)
    rows = np.flatnonzero(np.isfinite(values))
    return values[rows], rows


def counts_of(column: Column) -> NDArray[np.int64]:
    """The cells of each word of a column of texts."""
    return np.bincount(column.values[~column.missing], minlength=len(column.words))


def _part(column: Column) -> tuple[Sequence[str], NDArray[np.int64]]:
    """Words of a column and their cells: of very many a part."""
    step = -(-len(column.words) // _MOST_WORDS) or 1
    return column.words[::step], counts_of(column)[::step]
