"""Typed: columns of values that have a type already, as frames and Arrow files hold them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.table import Column
from fastmlp.data.tables.cells import is_missing
from fastmlp.errors import DataError

FLAGS = ("false", "true")  # how truth values are called


def number_column(name: str, values: NDArray[Any], where: str, *, whole: bool, first: int = 0) -> Column:
    """A column of numbers (n,), nan where missing. Raises DataError for an infinite one.

    first: the number of the first row.
    """
    infinite = np.isinf(values)
    if infinite.any():
        at = int(infinite.argmax())
        raise DataError(
            f"row {first + at} (from 0) of {where} must hold a finite number in column {name!r:.60}",
            f"{values[at]}",
            "replace it, or leave it missing",
        )
    found = np.asarray(values, np.float64)
    return Column(name, "number", found, whole=whole and not bool(np.isnan(found).all()))


def text_column(name: str, codes: NDArray[Any], words: Iterable[Any]) -> Column:
    """A column of text from places (n,) in its words, -1 or a missing word where a cell is missing.

    Words are stripped, and sorted; those that no cell has are left out.
    """
    stripped = ["" if word is None else str(word).strip() for word in words]
    used = np.zeros(len(stripped) + 1, np.bool_)
    used[codes] = True
    order = sorted({w for w, there in zip(stripped, used, strict=False) if there and not is_missing(w)})
    places = {word: i for i, word in enumerate(order)}
    seats = np.array([*(places.get(word, -1) for word in stripped), -1], np.int32)
    return Column(name, "text", seats[codes], tuple(order))


def flag_column(name: str, flags: NDArray[np.int8]) -> Column:
    """A column of 1, 0, and -1 where one is missing."""
    return Column(name, "flag", flags, FLAGS)
