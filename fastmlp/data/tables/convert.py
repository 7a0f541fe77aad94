"""Convert: words to a column of text; columns of typed files and frames to the kinds that a model knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.table import Column, Kind, Table
from fastmlp.data.tables import cells as meaning
from fastmlp.data.tables.gather import Gathered, Source
from fastmlp.data.tables.rows import TextCells


def text_column(name: str, codes: NDArray[Any], words: Iterable[Any]) -> Column:
    """A column of text from places (n,) in its words, -1 or a missing word where a cell is missing.

    Words are stripped, and sorted; those that no cell has are left out.
    """
    stripped = ["" if word is None else str(word).strip() for word in words]
    used = np.zeros(len(stripped) + 1, np.bool_)
    used[codes] = True
    kept = {w for w, there in zip(stripped, used, strict=False) if there and not meaning.is_missing(w)}
    order = sorted(kept)
    places = {word: i for i, word in enumerate(order)}
    seats = np.array([*(places.get(word, -1) for word in stripped), -1], np.int32)
    return Column(name, "text", seats[codes], tuple(order))


def as_kinds(table: Table, kinds: Mapping[str, Kind] | None) -> Table:
    """The table with its columns as these kinds, by name; others stay as they are. Raises DataError."""
    if not kinds:
        return table
    wanted = [kinds.get(column.name, column.kind) for column in table.columns]
    columns = (as_kind(column, kind, table) for column, kind in zip(table.columns, wanted, strict=True))
    return replace(table, columns=tuple(columns))


def as_kind(column: Column, kind: Kind, table: Table) -> Column:
    """A column of the table as another kind, as its cells would be read from text. Raises DataError."""
    if column.kind == kind:
        return column
    if column.missing.all():
        return _empty(column, kind)
    if column.kind == "flag" and kind == "number":
        values = np.where(column.missing, np.nan, column.values.astype(np.float64))
        return Column(column.name, "number", values, whole=True)
    line, lines = ("line", table.lines) if table.lines is not None else ("row", np.arange(1, len(table) + 1))
    gathered = Gathered(column.name, Source(table.where, line=line, kinds={column.name: kind}), words=True)
    gathered.add(TextCells(_spelled(column)), lines)
    return gathered.column(lines)[0]


def _empty(column: Column, kind: Kind) -> Column:
    n = len(column)
    match kind:
        case "text":
            return Column(column.name, kind, np.full(n, -1, np.int32))
        case "flag":
            return Column(column.name, kind, np.full(n, -1, np.int8), ("false", "true"))
        case _:
            return Column(column.name, kind, np.full(n, np.nan))


def _spelled(column: Column) -> Sequence[str]:
    """The cells as they would stand in a file, empty where missing."""
    if column.kind == "text":
        return [*map([*column.words, ""].__getitem__, column.values.tolist())]
    if column.kind == "flag":
        false, true = column.words or ("false", "true")
        return ["" if value < 0 else true if value else false for value in column.values.tolist()]
    if column.kind == "time":
        moments = (column.values * 86_400_000_000).round()
        known = np.where(column.missing, 0, moments).astype("M8[us]")
        return ["" if lost else str(m) for m, lost in zip(known, column.missing.tolist(), strict=True)]
    return ["" if value != value else as_written(value, column.whole) for value in column.values.tolist()]


def as_written(value: float, whole: bool) -> str:
    """A number as a file would have it: 3 where the column holds whole numbers, else 3.0."""
    return str(int(value)) if whole else repr(value)
