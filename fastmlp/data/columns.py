"""Columns: what becomes of each column of a table, fitted to training rows; a part of the model.

Numbers stay numbers, a gap in them is filled and flagged; texts become a column of 0 and 1 for each category.
Scaling is Preprocessing's; which column is the label is label.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.table import Kind, Table

MOST_CATEGORIES = 100  # of a column; the rarer ones share one input


@dataclass(frozen=True)
class ColumnCode:
    """What becomes of one column.

    kind:       as it was in the training table; a column of another kind is read as this one, or is an error.
    as_category: True where its values are categories: a text's always.
    categories: of a text, in the order of their inputs; rarer ones share one more input where ``rare``.
    rare:       True where there is an input for categories that were rare in training.
    fill:       of numbers, times and flags: what stands for a missing cell (the median).
    flag:       True where an input says that the cell was missing: where one was in training.
    offset:     subtracted from numbers in float64, before they become float32.
    dropped:    why there is no input for it: "constant", "empty", "all different", "asked"; else "".
    """

    name: str
    kind: Kind
    as_category: bool = False
    categories: tuple[str, ...] = ()
    rare: bool = False
    fill: float = 0.0
    flag: bool = False
    offset: float = 0.0
    dropped: str = ""

    @property
    def width(self) -> int:
        """The number of its inputs."""
        if self.dropped:
            return 0
        return self.flag + (len(self.categories) + self.rare if self.as_category else 1)


@dataclass(frozen=True)
class Columns:
    """How a table becomes rows of inputs (N, D), float32.

    codes: one for each column of the training table, in its order, but the label's.
    label: the name of the label's column, which predicted tables may hold too: it is left out, and said.
    """

    codes: tuple[ColumnCode, ...]
    label: str | None = None

    @classmethod
    def fitted(
        cls, table: Table, *, label: str | None = None, as_category: Any = (), rows: Any = None
    ) -> Self:
        """Fit them to a table of training rows; rows: the numbers of those that count, None: all."""
        table = table if rows is None else table[rows]
        codes = []
        for column in table.columns:
            there = column.values[~column.missing]
            flag = len(there) < len(column)
            if not len(there) or (column.kind != "text" and there.min() == there.max() and not flag):
                codes.append(
                    ColumnCode(column.name, column.kind, dropped="constant" if len(there) else "empty")
                )
            elif column.kind == "text":
                counts = np.bincount(there, minlength=len(column.words))
                order = np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]
                kept = tuple(column.words[k] for k in sorted(order.tolist()) if counts[k])
                rare = int((counts > 0).sum()) > len(kept)
                codes.append(ColumnCode(column.name, column.kind, True, kept, rare, flag=flag))
            else:
                codes.append(ColumnCode(column.name, column.kind, fill=float(np.median(there)), flag=flag))
        return cls(tuple(codes), label)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the D inputs: ``age``, ``city=Rome``, ``city=(rare)``, ``age=(missing)``."""
        found: list[str] = []
        for code in self.codes:
            if code.dropped:
                continue
            if code.as_category:
                found += [f"{code.name}={category}" for category in code.categories]
                found += [f"{code.name}=(rare)"] * code.rare
            else:
                found.append(code.name)
            found += [f"{code.name}=(missing)"] * code.flag
        return tuple(found)

    @property
    def numeric(self) -> NDArray[np.bool_]:
        """True (D,) for the inputs that are numbers, and so are scaled by a word; False for 0 and 1."""
        found = [
            not code.as_category and code.kind != "flag" and not last
            for code in self.codes
            for last in [False] * (code.width - code.flag) + [True] * (code.flag and not code.dropped)
        ]
        return np.array(found, bool)

    def encode(self, table: Table) -> NDArray[np.float32]:
        """The inputs (N, D) of the rows of a table with the same columns, in any order. Raises DataError."""
        X = np.zeros((len(table), len(self.names)), np.float32)
        at = 0
        for code in self.codes:
            if code.dropped:
                continue
            column, missing = table[code.name], table[code.name].missing
            if code.as_category:
                places = {category: k for k, category in enumerate(code.categories)}
                seat = np.array([places.get(word, -1) for word in column.words] + [-1])
                found = seat[column.values]
                rows = np.flatnonzero(found >= 0)
                X[rows, at + found[rows]] = 1
            else:
                X[:, at] = np.where(missing, code.fill, column.values) - code.offset
            if code.flag:
                X[:, at + code.width - 1] = missing
            at += code.width
        return X

    def to_json(self) -> list[dict[str, Any]]:
        """Plain data for json.dump."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The inverse of ``to_json``. Raises ConfigError."""
        raise NotImplementedError
