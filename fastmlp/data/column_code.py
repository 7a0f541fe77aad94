"""ColumnCode: what becomes of one column of a table, fitted to training rows: how many inputs, and which.

Numbers and times stay numbers, a gap in them is filled with the median and flagged by an input of its own.
Texts, and what else is to be categories, become an input of 0 and 1 for each category: of two there are two,
so that a text never seen in training is neither. The commonest MOST_CATEGORIES that LEAST_ROWS rows hold have
an input each, the others share one. A column that says nothing has no input, and a reason.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import as_float, as_list, as_text, shown
from fastmlp.data.kinds import RowOf, as_kind, cell, in_words, word_of
from fastmlp.data.names import short
from fastmlp.data.table import KINDS, Column, Kind
from fastmlp.display import brief
from fastmlp.display import cell as written
from fastmlp.errors import ConfigError, DataError

MOST_CATEGORIES = 100  # of a column; the rarer ones share one input
MOST_RARE = 1_000  # that share it: a model holds their names
LEAST_ROWS = 2  # of a category with an input of its own

REASONS = {
    "empty": "no cell is filled",
    "constant": "the same in every row",
    "all different": "texts nearly all different",
    "asked": "as asked",
}
"""By the word in ``ColumnCode.dropped``: why there is no input."""

_LARGEST = float(np.finfo(np.float32).max)
_ROUNDED = 1e-4  # of a column's spread: so much may float32 round without an offset
_ALONE = 0.5  # of a column's texts: where more stand in one row each, they are no categories
_COVERED = 0.1  # of its cells: so many at least must be of categories with an input


@dataclass(frozen=True)
class ColumnCode:
    """The inputs that are made of one column.

    kind:       as it was in the training table; a column of another kind is read as this one, or is an error.
    as_category: True where its values are categories: a text's always. Without any category only a gap says
                something: all other cells of training were the same.
    categories: with an input each, ascending. Of a column that is no text, its values as texts.
    rare:       the categories that share one more input, ascending; it is there where they are.
    fill:       of numbers, times and flags: what stands for a missing cell (the median).
    flag:       True where an input says that the cell was missing: where one was in training.
    offset:     subtracted from numbers in float64, before they become float32: the median, where float32
                would round them visibly, else 0.
    dropped:    why there is no input for it, a word of REASONS; else "".
    """

    name: str
    kind: Kind
    as_category: bool = False
    categories: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    fill: float = 0.0
    flag: bool = False
    offset: float = 0.0
    dropped: str = ""

    @classmethod
    def fitted(cls, column: Column, as_category: bool, row_of: RowOf) -> Self:
        """Fit it to a column of training rows. Raises DataError for a number that float32 cannot hold.

        as_category: its values are categories, whatever its kind. row_of: words for a row.
        """
        missing = column.missing
        if missing.all():
            return cls(column.name, column.kind, dropped="empty")
        flag = bool(missing.any())
        if as_category or column.kind == "text":
            return cls._of_categories(column, flag, as_category)
        if column.kind != "flag":
            _check_held(column, column.values, row_of)
        there = column.values[~missing].astype(np.float64)
        if there.min() == there.max():
            if flag:
                return cls(column.name, column.kind, True, flag=True)
            return cls(column.name, column.kind, dropped="constant")
        low, middle, high = _quartiles(there)
        if column.kind == "flag":
            return cls(column.name, column.kind, fill=float(middle > 0.5), flag=flag)
        code = cls(column.name, column.kind, fill=middle, flag=flag, offset=_offset(there, low, middle, high))
        code.numbers(column, row_of)
        return code

    @classmethod
    def _of_categories(cls, column: Column, flag: bool, asked: bool) -> Self:
        """Fit it to a column of categories, at least one of whose cells is filled."""
        name, kind, column = column.name, column.kind, in_words(column)
        counts = np.bincount(column.values[column.values >= 0], minlength=len(column.words))
        order = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]  # the commonest first
        if len(order) == 1 and not flag:
            return cls(name, kind, True, dropped="constant")
        own = order[:MOST_CATEGORIES][counts[order[:MOST_CATEGORIES]] >= LEAST_ROWS]
        others = order[len(own) : len(own) + MOST_RARE]
        n = counts.sum()
        scattered = (counts == 1).sum() > _ALONE * n or counts[own].sum() < _COVERED * n
        if len(order) > 1 and (scattered if not asked else not len(own)):
            return cls(name, kind, True, dropped="all different")
        categories, rare = (tuple(column.words[k] for k in np.sort(part)) for part in (own, others))
        return cls(name, kind, True, categories, rare, flag=flag)

    def __repr__(self) -> str:
        return brief(self)

    @property
    def width(self) -> int:
        """The number of its inputs."""
        if self.dropped:
            return 0
        return self.flag + (len(self.categories) + bool(self.rare) if self.as_category else 1)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of its inputs: ``age``, ``city=Rome``, ``city=(rare)``, ``age=(missing)``."""
        if self.dropped:
            return ()
        found = [f"{self.name}={category}" for category in self.categories]
        found += [f"{self.name}=(rare)"] * bool(self.rare)
        return (*(found if self.as_category else [self.name]), *[f"{self.name}=(missing)"] * self.flag)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """The kind of each of its inputs: True for a number, which a word scales; False for 0 and 1."""
        first = not (self.as_category or self.kind == "flag")
        return tuple(first and k == 0 for k in range(self.width))

    @property
    def told(self) -> str:
        """Words for what becomes of it."""
        if self.dropped:
            return f"left out ({REASONS[self.dropped]})"
        parts = []
        if self.as_category and self.categories:
            parts.append(f"{len(self.categories)} categor{'y' if len(self.categories) == 1 else 'ies'}")
        if self.rare:
            parts.append(f"{len(self.rare):,} rare one{'s' * (len(self.rare) > 1)} together")
        if not self.as_category:
            parts.append({"number": "a number", "time": "a time, in days"}.get(self.kind, "0 and 1"))
        if self.flag and self.as_category:
            parts.append("missing as one more" if parts else "whether it is missing")
        elif self.flag:
            parts.append(f"gaps are {self.filled} and flagged")
        return ", ".join(parts)

    @property
    def filled(self) -> str:
        """The text of what stands for a missing cell, for people."""
        return written(self.fill) if self.kind == "number" else word_of(self.fill, self.kind)

    def numbers(self, column: Column, row_of: RowOf) -> NDArray[np.float32]:
        """The first input (N,) of a column that is no category. Raises DataError beyond float32."""
        found: NDArray[np.float64] = np.where(column.missing, self.fill, column.values) - self.offset
        _check_held(column, found, row_of)
        return found.astype(np.float32)

    def seats(self, column: Column) -> NDArray[np.intp]:
        """The place of the input that is 1 in each row (N,), from 0; -1 where none is."""
        column = in_words(column)
        known = enumerate((*self.categories, *self.rare))
        seat_of = {word: min(k, len(self.categories)) for k, word in known}
        seats = np.array([*(seat_of.get(word, -1) for word in column.words), -1], np.intp)
        found: NDArray[np.intp] = seats[column.values]
        return found

    def read(self, column: Column, row_of: RowOf) -> Column:
        """The column as one of the kind of training. Raises DataError that names a cell which is none."""
        known = (*self.categories, *self.rare) if self.kind == "text" else ()
        return as_kind(column, self.kind, row_of, known)

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        data = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**data, "categories": list(self.categories), "rare": list(self.rare)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The inverse of ``to_json``. Raises ConfigError."""
        wanted = {field.name for field in fields(cls)}
        if not isinstance(data, dict) or set(data) != wanted:
            raise ConfigError(
                f"a column of a model must be an object with {', '.join(sorted(wanted))}", shown(data)
            )
        data = dict(data)
        texts = [data[key] for key in ("name", "kind", "dropped")]
        if not (
            all(as_text(text) is not None for text in texts)
            and data["kind"] in KINDS
            and data["dropped"] in ("", *REASONS)
            and all(isinstance(data[key], bool) for key in ("as_category", "flag"))
        ):
            raise _wrong(data, "have a name, a kind, and whether it is a category, flagged or dropped")
        for key in ("fill", "offset"):
            data[key] = as_float(data[key])
            if not abs(data[key]) <= _LARGEST:
                raise _wrong(data, f"have a finite number as {key}")
        for key, most in (("categories", MOST_CATEGORIES), ("rare", MOST_RARE)):
            words = as_list(data[key])
            if words is None or len(words) > most or any(as_text(word) is None for word in words):
                raise _wrong(data, f"have a list of at most {most:,} texts as {key}")
            data[key] = tuple(words)
        code = cls(**data)
        known = (*code.categories, *code.rare)
        if len(set(known)) < len(known):
            raise _wrong(data, "have different categories")
        if (known and not code.as_category) or (code.dropped and (known or code.flag)):
            raise _wrong(data, "have categories only where it is one, and none where it is left out")
        if not code.dropped and (not code.width or (code.kind == "text" and not code.as_category)):
            raise _wrong(data, "have inputs: those of categories where it is a text")
        return code


def _quartiles(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """A value a quarter from the least of n, the median, and one a quarter from the greatest."""
    n = len(values)
    places = n // 4, (n - 1) // 2, n // 2, n - 1 - n // 4
    low, left, right, high = np.partition(values, places)[[*places]].tolist()
    return low, (left + right) / 2, high


def _offset(values: NDArray[np.float64], low: float, middle: float, high: float) -> float:
    """The median where float32 would round the values by more than _ROUNDED of their spread, else 0.

    The spread is that of the half in the midst, from low to high: far values do not widen it.
    """
    rounded = np.abs(values - values.astype(np.float32)).max()
    spread = high - low or values.max() - values.min()
    return middle if rounded > _ROUNDED * spread else 0.0


def _check_held(column: Column, values: NDArray[np.float64], row_of: RowOf) -> None:
    """Raise DataError, naming the row and the column, for a number beyond float32. Missing cells pass."""
    wrong = np.abs(values) > _LARGEST
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{row_of(row)} must hold a finite number within float32 in column {short(column.name)}",
            cell(column, row),
            "repair the cell, or leave it empty",
        )


def _wrong(data: dict[str, Any], must: str) -> ConfigError:
    name = data["name"] if isinstance(data["name"], str) else "?"
    return ConfigError(f"column {short(name)} of a model must {must}", shown(data))
