"""Values: the labels of a column of a table, or of a y of any kind, in one form. No task is found here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import reason_of, shown
from fastmlp.data.checks import distinct
from fastmlp.data.kinds import in_words, times_of
from fastmlp.data.table import Column, Kind, Table
from fastmlp.errors import DataError

_DAY = np.timedelta64(1, "D")
_END = 2**63  # of int64


@dataclass(frozen=True, eq=False)
class Values:
    """N cells of one kind.

    kind, values: as a Column has them, but numbers may be int64 too, which holds more digits.
    words: of texts as a Column has them; of flags those for false and true, where they are others than these.
    missing: True (N,) where a cell is missing.
    """

    kind: Kind
    values: NDArray[Any]
    missing: NDArray[np.bool_]
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Any, where: str) -> Self:
        """The values of a Column, or of an array, a list or a series (N,) or (N, 1). Raises DataError.

        where: what they are called, for messages.
        """
        if isinstance(values, Column):
            named = values.kind == "text" or [*map(str.casefold, values.words)] != ["false", "true"]
            return cls(values.kind, values.values, values.missing, values.words if named else ())
        try:
            array = np.asarray(values)
            if array.dtype.kind in "USV" and not isinstance(values, np.ndarray):
                array = np.array(values, object)  # NumPy made texts of the numbers among texts
        except MemoryError:
            raise
        except ValueError as problem:  # rows of different lengths, say
            raise DataError(f"{where} must be a list of labels or numbers", reason_of(problem)) from None
        except Exception:  # whatever __array__ raises
            raise DataError(f"{where} must be a list of labels or numbers", shown(values)) from None
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise DataError(f"{where} must have shape (N,)", f"shape {array.shape}")
        if array.dtype.kind == "T":  # NumPy's texts of any length
            array = array.astype(object)
        if array.dtype.kind == "O":
            return cls._of_objects(array.tolist(), where)
        return cls._of_array(array, where)

    @classmethod
    def _of_array(cls, array: NDArray[Any], where: str) -> Self:
        none = np.zeros(len(array), bool)
        match array.dtype.kind:
            case "b":
                return cls("flag", array.astype(np.int8), none)
            case "i":
                return cls("number", array.astype(np.int64), none)
            case "u":
                if len(array) and int(array.max()) >= _END:
                    raise DataError(
                        f"{where} must hold whole numbers below 2**63", int(array.max()), "number the classes"
                    )
                return cls("number", array.astype(np.int64), none)
            case "f":
                numbers = array.astype(np.float64)
                return cls("number", numbers, np.isnan(numbers))
            case "U":
                words, places = np.unique(array, return_inverse=True)
                return cls("text", places.astype(np.int32), none, tuple(words.tolist()))
            case "M":
                missing = np.isnat(array)
                days = (array - np.datetime64(0, "D")) / _DAY
                return cls("time", np.where(missing, np.nan, days), missing)
        raise DataError(f"{where} must hold texts, numbers, or true and false", f"dtype {array.dtype}")

    @classmethod
    def _of_objects(cls, cells: list[Any], where: str) -> Self:
        """The same of Python's objects, of one kind; None, nan and their like are missing."""
        kinds = {kind: _kind_of(kind) for kind in set(map(type, cells))}
        missing = np.array([_is_missing(cell) for cell in cells], bool)
        found: dict[Kind | None, int] = {}
        for row, cell in enumerate(cells):
            if not missing[row]:
                found.setdefault(kinds[type(cell)], row)
        if len(found) > 1 or None in found:
            rows = sorted(found.values())[:2] if len(found) > 1 else [found[None]]
            raise DataError(
                f"{where} must hold texts alone, or numbers alone, or true and false alone",
                " and ".join(f"{shown(cells[row])} in row {row}" for row in rows) + " (from 0)",
                "make them of one type",
            )
        kind = next(iter(found), "text")
        if kind == "text":
            words = sorted({str(cell) for cell, no in zip(cells, missing, strict=True) if not no})
            place = {word: k for k, word in enumerate(words)}
            codes = [-1 if no else place[str(cell)] for cell, no in zip(cells, missing, strict=True)]
            return cls("text", np.array(codes, np.int32), missing, tuple(words))
        if kind == "flag":
            flags = [-1 if no else bool(cell) for cell, no in zip(cells, missing, strict=True)]
            return cls("flag", np.array(flags, np.int8), missing)
        if kind == "time":
            pairs = zip(cells, missing, strict=True)
            return cls("time", times_of(["" if no else cell.isoformat() for cell, no in pairs]), missing)
        whole = not missing.any() and all(map(_is_int64, cells))
        try:
            numbers = [math.nan if no else cell for cell, no in zip(cells, missing, strict=True)]
            return cls("number", np.array(numbers, np.int64 if whole else np.float64), missing)
        except MemoryError:
            raise
        except Exception:  # OverflowError, or whatever __float__ raises
            raise DataError(f"{where} must hold numbers that float64 can hold", "others") from None

    def distinct(self) -> tuple[tuple[int | float | bool | str, ...], NDArray[np.int64]]:
        """The different ones, ascending, and the index of each row's among them, where none is missing.

        Whole numbers, where all are, are ints; times are texts.
        """
        if self.kind in ("text", "flag"):
            there = np.flatnonzero(np.bincount(self.values, minlength=2)).tolist()
            named = sorted((self._named(k), k) for k in there)
            place = np.zeros(max(there, default=0) + 1, np.int64)
            place[[k for _, k in named]] = np.arange(len(named))
            return tuple(label for label, _ in named), place[self.values]
        if self.kind == "time":
            column = in_words(Column("", "time", self.values))
            return Values("text", column.values, self.missing, column.words).distinct()
        different = distinct(self.values)
        indices = np.searchsorted(different, self.values)
        values = different.tolist()
        if all(abs(value) < _END and value == int(value) for value in values):
            values = list(map(int, values))
        return tuple(values), indices.astype(np.int64)

    def label(self, row: int) -> Any:
        """The value of one cell."""
        return self._named(self.values[row].item())

    def _named(self, value: Any) -> Any:
        if self.words:
            return self.words[value]
        return bool(value) if self.kind == "flag" else value

    def row(self, row: int, table: Table | None) -> str:
        """Words for where a row stands."""
        return f"row {row} (from 0)" if table is None else table.row(row)


def _is_missing(cell: Any) -> bool:
    """Tell whether an object stands for a missing cell: None, nan, and pandas' NA and NaT."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, float | np.floating) and math.isnan(cell)


def _is_int64(cell: Any) -> bool:
    return hasattr(cell, "__index__") and -_END <= cell.__index__() < _END


def _kind_of(kind: type) -> Kind | None:
    """The kind of cell that objects of a class are; None for none."""
    if issubclass(kind, str):
        return "text"
    if issubclass(kind, bool | np.bool_):
        return "flag"
    if issubclass(kind, date):  # a datetime is one
        return "time"
    if issubclass(kind, bytes | complex | np.complexfloating | np.generic) and not issubclass(
        kind, np.integer | np.floating
    ):
        return None
    return "number" if hasattr(kind, "__index__") or hasattr(kind, "__float__") else None
