"""Cells of one kind read as another, where that is exact: whole numbers that came as text, flags as 0 and 1.

Which kind a column has is found where it is read; what becomes of it is columns.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import shown
from fastmlp.data.names import short
from fastmlp.data.table import KINDS, Column, Kind
from fastmlp.data.tables import cells
from fastmlp.data.tables.gather import CALLED, FLAG_WORDS
from fastmlp.errors import DataError

RowOf = Callable[[int], str]

_DAY = 86_400.0  # seconds
_EXACT = 2.0**53


def numbers_of(words: Sequence[str]) -> NDArray[np.float64]:
    """The numbers that texts are, with a decimal point (n,); nan for those that are none."""
    return cells.numbers(word.strip() for word in words)


def flags_of(words: Sequence[str]) -> NDArray[np.float64]:
    """The values of texts for true, 1, and for false, 0, in any case (n,); nan for other texts."""
    return np.array([FLAG_WORDS.get(word.strip().casefold(), np.nan) for word in words], np.float64)


def times_of(words: Sequence[str]) -> NDArray[np.float64]:
    """Days since 1970-01-01 of ISO dates and times, UTC where they name no zone (n,); nan for other texts."""
    return cells.times([word.strip() for word in words])


VALUES_OF: dict[Kind, Callable[[Sequence[str]], NDArray[np.float64]]] = {
    "number": numbers_of, "flag": flags_of, "time": times_of,
}  # fmt: skip
"""By kind: the function that gives the values of texts, nan for those that have none."""


def word_of(value: float, kind: Kind) -> str:
    """The text of a value: ``3``, ``0.25``, ``true``, ``2024-01-31``, ``2024-01-31T12:30:00``."""
    if kind == "flag":
        return "true" if value else "false"
    if kind == "time" and abs(value) < 1e6:  # years that four digits or so can write
        time = np.datetime64(round(value * _DAY * 1e6), "us")
        return str(time).removesuffix(".000000").removesuffix("T00:00:00")
    return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)


def as_kind(column: Column, kind: Kind, row_of: RowOf, known: Collection[str] = ()) -> Column:
    """The column as one of that kind; itself, where it is. Raises DataError naming the row and the column.

    row_of: words for a row, ``Table.row``. known: the texts of training: where numbers, flags or times stand
    for texts, they are those that mean the same (``1.0`` for 1), and an error where none is of that kind.
    """
    if column.kind == kind:
        return column
    missing = column.missing
    if missing.all():
        empty = np.full(len(column), np.nan if KINDS[kind] == "f8" else -1, KINDS[kind])
        return replace(column, kind=kind, values=empty, words=(), whole=False)
    if kind == "text":
        meant = _meant(known, column)
        if not meant:
            _refuse(column, int((~missing).argmax()), kind, row_of)
        return in_words(column, meant)
    values = _values(column, kind)
    wrong = np.isnan(values) & ~missing
    if wrong.any():
        _refuse(column, int(wrong.argmax()), kind, row_of)
    if kind == "flag":
        values = np.where(missing, -1, values).astype(KINDS[kind])
    return replace(column, kind=kind, values=values, words=(), whole=False)


def in_words(column: Column, meant: dict[float, str] | None = None) -> Column:
    """The column with the text of each value, as a category is named; a text column itself.

    meant: the texts of some values, where they are not those of ``word_of``.
    """
    if column.kind == "text":
        return column
    there = ~column.missing
    different, places = np.unique(column.values[there], return_inverse=True)
    meant = meant or {}
    found = [meant.get(value) or word_of(float(value), column.kind) for value in different.tolist()]
    words = sorted(set(found))
    place_of = {word: place for place, word in enumerate(words)}
    codes = np.full(len(column), -1, KINDS["text"])
    codes[there] = np.array([place_of[word] for word in found], KINDS["text"])[places]
    return replace(column, kind="text", values=codes, words=tuple(words), whole=False)


def cell(column: Column, row: int) -> str:
    """Words for one cell of a column, for messages."""
    if column.missing[row]:
        return "a missing cell"
    value = column.values[row]
    return shown(column.words[value]) if column.kind == "text" else word_of(float(value), column.kind)


def _meant(known: Collection[str], column: Column) -> dict[float, str]:
    """The known texts that mean values of the column's kind, by value; of several the plainest one."""
    words = sorted(known, reverse=True)  # a later one wins
    pairs = [*zip(VALUES_OF[column.kind](words).tolist(), words, strict=True)]
    plain = [(value, word) for value, word in pairs if word == word_of(value, column.kind)]
    own = [(value, word) for value, word in pairs if column.kind == "flag" and word in column.words]
    return {value: word for value, word in pairs + plain + own if value == value}


def _values(column: Column, kind: Kind) -> NDArray[np.float64]:
    """The values as that kind, float64, nan where one is missing or is none of it."""
    values: NDArray[Any]
    if column.kind == "text":
        found: NDArray[np.float64] = np.append(VALUES_OF[kind](column.words), np.nan)[column.values]
        return found
    values = np.where(column.missing, np.nan, column.values)
    if (column.kind, kind) == ("flag", "number"):
        return values
    if (column.kind, kind) == ("number", "flag"):
        return np.where((values == 0) | (values == 1), values, np.nan)
    return np.full(len(column), np.nan)  # a time is no number, nor a number a time


def _refuse(column: Column, row: int, kind: Kind, row_of: RowOf) -> NoReturn:
    raise DataError(
        f"{row_of(row)} must hold {CALLED[kind]} in column {short(column.name)}, as in training",
        cell(column, row),
        "repair the cell, or leave it empty",
    )
