"""Table: columns with names, each of one kind, as a file or a frame has them; some cells may be missing.

What becomes of a column is columns.py's; no file is read here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, overload

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.names import check_different
from fastmlp.display import Display, Displayed, cell, ends, listed
from fastmlp.errors import DataError

Kind = Literal["number", "text", "flag", "time"]

KINDS: dict[Kind, str] = {"number": "f8", "text": "i4", "flag": "i1", "time": "f8"}
"""By kind of a column: the type of its values."""

LABEL_NAMES = ("label", "class", "target", "y")
"""Names, in any case, by which a label's column is known."""


@dataclass(frozen=True, eq=False, repr=False)
class Column(Displayed):
    """A column of N cells.

    kind:   "number": values (N,) float64, nan where one is missing;
            "text": int32 places in ``words``, -1 where one is missing;
            "flag": int8, 1 for true, 0 for false, -1 where one is missing;
            "time": float64 days since 1970-01-01, nan where one is missing.
    words:  of a text column the different texts, ascending; of flags those for false and true, as written.
    whole:  True where a column of numbers held whole numbers alone, as they were written (3, not 3.0).
    """

    name: str
    kind: Kind
    values: NDArray[Any]
    words: tuple[str, ...] = ()
    whole: bool = False

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """True (N,) where a cell is missing."""
        found: NDArray[np.bool_] = np.isnan(self.values) if self.values.dtype.kind == "f" else self.values < 0
        return found

    @property
    def in_words(self) -> str:
        """The range of its numbers, or its commonest words; "" where all cells are missing."""
        there = self.values[~self.missing]
        if not len(there):
            return ""
        if not self.words:
            return f"{cell(float(there.min()))} .. {cell(float(there.max()))}"
        counts = np.bincount(there, minlength=len(self.words))
        first = [self.words[k] for k in np.argsort(-counts, kind="stable")[:4] if counts[k]]
        different = int((counts > 0).sum())
        return f"{different:,}: {listed(first)}{', ...' if different > len(first) else ''}"

    def _display(self) -> Display:
        facts = [("kind", self.kind), ("missing", int(self.missing.sum())), ("holds", self.in_words)]
        return Display(f"Column {self.name!r} of {len(self):,} cells", facts)

    def take(self, rows: Any) -> Self:
        """The same column of those rows: their numbers, a mask or a slice. ``words`` stay."""
        return replace(self, values=self.values[rows])


@dataclass(frozen=True, eq=False, repr=False)
class Table(Displayed):
    """Columns of the same length, with different names, in order.

    where: the file, for messages.
    told:  how it was read, where that is not plain: for people.
    lines: (N,) the line of each row in the file, from 1; None where there are no lines.
    places: (N,) where each row stands in the whole table, from 0; None: all of it is there, or has lines.
    """

    columns: tuple[Column, ...]
    where: str = "the table"
    told: tuple[str, ...] = ()
    lines: NDArray[np.int64] | None = None
    places: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        lengths = {len(column) for column in self.columns}
        if not lengths:
            raise DataError(
                f"{self.where} must have a column of inputs", "none",
                "check which file this is, and how its cells are separated",
            )  # fmt: skip
        if len(lengths) > 1:
            raise DataError(
                f"{self.where} must have columns of one length", f"{sorted(lengths)[:8]}",
                "give every column one value a row",
            )  # fmt: skip
        check_different(self.names, self.where)

    def __len__(self) -> int:
        return len(self.columns[0])

    def _display(self) -> Display:
        rows = [
            None if one is None else (one.name, one.kind, int(one.missing.sum()), one.in_words)
            for one in ends(self.columns)
        ]
        title = f"Table of {len(self):,} rows and {len(self.columns):,} columns, from {self.where}"
        return Display(title, (), ("column", "kind", "missing", "holds"), rows, self.told)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows, and of columns."""
        return len(self), len(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    @overload
    def __getitem__(self, key: str) -> Column: ...

    @overload
    def __getitem__(self, key: Any) -> Table: ...

    def __getitem__(self, key: Any) -> Column | Table:
        """The column of that name (KeyError), or a table of those rows: a slice, a mask or their numbers."""
        if isinstance(key, str):
            found = next((column for column in self.columns if column.name == key), None)
            if found is None:
                raise KeyError(key)
            return found
        lines, places = self.lines, self.places
        if lines is not None:
            lines = lines[key]
        else:
            places = (np.arange(len(self)) if places is None else places)[key]
        columns = tuple(column.take(key) for column in self.columns)
        return replace(self, columns=columns, lines=lines, places=places)

    def without(self, names: Iterable[str]) -> Table:
        """The same but for some columns."""
        out = set(names)
        return replace(self, columns=tuple(column for column in self.columns if column.name not in out))

    def row(self, i: int) -> str:
        """Words for where row i, from 0, stands: ``line 12 of iris.csv``, ``row 3 (from 0) of the table``."""
        if self.lines is None:
            return f"row {i if self.places is None else self.places[i]} (from 0) of {self.where}"
        return f"line {self.lines[i]} of {self.where}"
