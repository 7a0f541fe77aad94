"""Part: the rows of one part of a source and their targets, as they were read; nothing is checked here.

Of a table the column that is the label is found, and taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.label import find_label, labelled
from fastmlp.data.table import Column, Kind, Table
from fastmlp.data.tables import from_frame, is_frame
from fastmlp.data.tables.frames import WHERE
from fastmlp.errors import DataError


@dataclass(frozen=True, eq=False)
class Part:
    """X (N, D), (N, rows, columns) or that with one channel, or a Table; y (N,) or (N, K), or a Column.

    where: the file, for messages; "" for arrays.
    label: the name of the table's column that y is, where it is one.
    kept: (M,) True for the rows given that have a label, the others are left out; None: all have one.
    read: how the file was read, where that is not plain: for people.
    told: what was found in it: for people.
    """

    X: Any
    y: Any
    where: str = ""
    label: str | None = None
    read: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    kept: NDArray[np.bool_] | None = None

    @property
    def table(self) -> Table | None:
        """X where it is a table."""
        return self.X if isinstance(self.X, Table) else None


@dataclass(frozen=True)
class Parts:
    """Both parts of a source; at least one is there."""

    train: Part | None = None
    test: Part | None = None


def part_of(table: Table, label: str | int | None = None) -> Part:
    """The part that a table is: its label is the column named, or found. Raises DataError."""
    found = find_label(table, label)
    missing = table[found.name].missing
    table, told = labelled(table, found.name)
    rest, kept = table.without([found.name]), ~missing if told else None
    return Part(rest, table[found.name], table.where, found.name, table.told, (found.how, *told), kept)


def as_table(X: Any, where: str = WHERE) -> Table:
    """A table of a frame, called ``where`` in messages; or itself."""
    return X if isinstance(X, Table) else from_frame(X, where)


def plain(X: Any) -> Any:
    """X for a net that was trained on arrays: the numbers (N, D) of a frame or a Table, all else as it is.

    Raises DataError for a table of other columns.
    """
    if not (isinstance(X, Table) or is_frame(X)):
        return X
    with suppress(Exception):  # then it is converted column by column, and told what is wrong
        array = None if isinstance(X, Table) else np.asarray(X)
        if array is not None and array.dtype.kind in "buif" and array.ndim == 2:
            return array
    return numbers_of(as_table(X))


def numbers_of(table: Table) -> NDArray[np.float64]:
    """The numbers (N, D) of a table, for a net that was trained on arrays. Raises DataError for others."""
    for column in table.columns:
        if column.kind not in ("number", "flag") or column.missing.any():
            what = f"a column of {column.kind}" if column.kind not in ("number", "flag") else "a missing cell"
            raise DataError(
                f"{table.where} must hold numbers alone, as the arrays that this model was trained on",
                f"{what}, {column.name!r:.40}",
                "use a model that was trained on a table",
            )
    return np.stack([column.values.astype(np.float64) for column in table.columns], axis=1)


def table_of(X: NDArray[Any], kinds: Mapping[str, Kind]) -> Table:
    """The table that an array X (N, D) of numbers is, with columns of these names. Raises DataError."""
    values = X.astype(np.float64)
    return Table(
        tuple(Column(name, "number", np.ascontiguousarray(values[:, j])) for j, name in enumerate(kinds)), "X"
    )
