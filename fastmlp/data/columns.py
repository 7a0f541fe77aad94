"""Columns: how the columns of a table become rows of inputs, fitted to training rows; a part of the model.

What becomes of one column: column_code.py. Which column is the label is label.py's; scaling, Preprocessing's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import as_list, as_text, shown
from fastmlp.data.column_code import REASONS, ColumnCode
from fastmlp.data.names import listed, near, short
from fastmlp.data.table import Column, Kind, Table
from fastmlp.display import Display, Displayed, ends
from fastmlp.errors import ConfigError, DataError

MOST_COLUMNS = 1 << 20

_BLOCK = 1 << 17  # inputs written together: they stay in a cache
_LEAST_ROWS = 256  # of those: a column's part is written by a few calls of NumPy
_MOST_SAID = 8  # columns in a message


@dataclass(frozen=True, repr=False)
class Columns(Displayed):
    """The way from a table to rows of inputs (N, D), float32.

    codes: one for each column of the training table, in its order, but the label's.
    label: the name of the label's column, which predicted tables may hold too: no input is made of it.
    """

    codes: tuple[ColumnCode, ...]
    label: str | None = None

    @classmethod
    def fitted(
        cls,
        table: Table,
        *,
        label: str | None = None,
        drop: Any = (),
        keep: Any = (),
        as_category: Any = (),
        rows: Any = None,
    ) -> Self:
        """Fit them to a table of training rows.

        drop, keep, as_category: lists of names: of columns without inputs, of the only ones with inputs, and
        of those whose values are categories whatever their kind; one name may come alone. rows: those that
        count, their numbers or a mask; None: all.

        Raises ConfigError for names that are not there or contradict each other, and DataError where no
        column is left, or for numbers that float32 cannot hold.
        """
        without, categories = _asked(table, label, drop, keep, as_category)
        numbers = np.arange(len(table)) if rows is None else np.arange(len(table))[rows]
        if not len(numbers):
            raise DataError(f"{table.where} must have a row to train on", "none", "give some rows")

        def row_of(i: int) -> str:
            return table.row(int(numbers[i]))

        codes = []
        for column in table.columns:
            if column.name in without:
                codes.append(ColumnCode(column.name, column.kind, dropped="asked"))
            elif column.name != label:
                column = column if rows is None else column.take(numbers)
                codes.append(ColumnCode.fitted(column, column.name in categories, row_of))
        if not any(code.width for code in codes):
            raise _nothing_left(codes, table)
        return cls(tuple(codes), label)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the D inputs: ``age``, ``city=Rome``, ``city=(rare)``, ``age=(missing)``."""
        return tuple(name for code in self.codes for name in code.inputs)

    @property
    def numeric(self) -> NDArray[np.bool_]:
        """True (D,) for the inputs that are numbers, and so are scaled by a word; False for 0 and 1."""
        return np.array([numeric for code in self.codes for numeric in code.numeric], bool)

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kind of each column of training but the label, by its name."""
        return {code.name: code.kind for code in self.codes}

    @property
    def told(self) -> tuple[str, ...]:
        """Lines for people: columns left out and why, categories, gaps that are filled, and times."""
        lines = []
        for head, item in _TOLD.items():
            if items := [short(code.name) + told for code in self.codes if (told := item(code)) is not None]:
                more = f", ... ({len(items):,} columns)" * (len(items) > _MOST_SAID)
                lines.append(f"{head}: {', '.join(items[:_MOST_SAID])}{more}")
        return tuple(lines)

    def _display(self) -> Display:
        rows = [
            None if code is None else (code.name, code.kind, code.width, code.told)
            for code in ends(self.codes)
        ]
        title = f"Columns: {len(self.codes):,} make {sum(code.width for code in self.codes):,} inputs"
        label = [] if self.label is None else [("label", self.label)]
        return Display(title, label, ("column", "kind", "inputs", "becomes"), rows)

    def left_out(self, table: Table) -> tuple[str, ...]:
        """The names of the columns of a table that no input is made of: the label's, and dropped ones."""
        out = {self.label, *(code.name for code in self.codes if code.dropped)}
        return tuple(name for name in table.names if name in out)

    def encode(self, table: Table) -> NDArray[np.float32]:
        """The inputs (N, D), C-contiguous, of the rows of a table with the same columns, in any order.

        A category that training lacks is none of them; a missing cell where training had none is the median,
        or no category. The label's column and dropped ones may be there or not. Raises DataError that names
        a column that is missing or unknown, or a cell that cannot be read as in training.
        """
        self._check_names(table)
        N, D = len(table), sum(code.width for code in self.codes)
        X = np.zeros((N, D), np.float32)
        parts, step = tuple(self._parts(table)), max(_LEAST_ROWS, _BLOCK // max(1, D))
        for start in range(0, N, step):
            block, rows = X[start : start + step], slice(start, start + step)

            def row_of(i: int, start: int = start) -> str:
                return table.row(start + i)

            for part in parts:
                if part.numbers is not None:
                    block[:, part.first] = part.code.numbers(part.numbers.take(rows), row_of)
                if part.seats is not None:
                    seats = part.seats[rows]
                    found = np.flatnonzero(seats >= 0)
                    block[found, part.first + seats[found]] = 1
                if part.missing is not None:
                    block[:, part.last] = part.missing[rows]
        return X

    def _parts(self, table: Table) -> Iterator[_Part]:
        """The parts that the columns with inputs write."""
        first, by_name = 0, {column.name: column for column in table.columns}
        for code in self.codes:
            if not code.width:
                continue
            column = code.read(by_name[code.name], table.row)
            yield _Part(
                code,
                first,
                first + code.width - 1,
                None if code.as_category else column,
                code.seats(column) if code.as_category and code.width > code.flag else None,
                column.missing if code.flag else None,
            )
            first += code.width

    def _check_names(self, table: Table) -> None:
        """Raise DataError for columns that are missing, or unknown."""
        there, known = set(table.names), {self.label, *(code.name for code in self.codes)}
        lacking = [code.name for code in self.codes if code.width and code.name not in there]
        strange = [name for name in table.names if name not in known]
        if lacking:
            also = f", but {listed(strange)}" if strange else ""
            raise DataError(
                f"{table.where} must have the columns of training",
                f"no {listed(lacking)}{also}",
                "rename those" if near(lacking[0], strange) else "add them; cells may be empty",
            )
        if strange:
            raise DataError(
                f"{table.where} must have no columns that training lacked", listed(strange), "leave them out"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return {"label": self.label, "columns": [code.to_json() for code in self.codes]}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The inverse of ``to_json``. Raises ConfigError."""
        right = isinstance(data, dict) and set(data) == {"label", "columns"}
        codes = as_list(data["columns"]) if right else None
        if codes is None or len(codes) > MOST_COLUMNS:
            raise ConfigError("a model's columns must be an object with a label and a list", shown(data))
        columns = cls(tuple(map(ColumnCode.from_json, codes)), data["label"])
        names = [code.name for code in columns.codes]
        if columns.label is not None and (as_text(columns.label) is None or columns.label in names):
            raise ConfigError("a model's label must be a name of its own, or none", shown(columns.label))
        if len(set(names)) < len(names) or not any(code.width for code in columns.codes):
            raise ConfigError("a model's columns must have different names, and inputs", listed(names))
        return columns


def _left_out(reason: str) -> Callable[[ColumnCode], str | None]:
    return lambda code: "" if code.dropped == reason else None


_TOLD: dict[str, Callable[[ColumnCode], str | None]] = {
    **{f"left out ({words})": _left_out(reason) for reason, words in REASONS.items()},
    "categories (inputs)": lambda code: (
        f" ({code.width})" if code.as_category and code.width > code.flag else None
    ),
    "missing cells filled with the median, and flagged by an input": lambda code: (
        f" ({code.filled})" if code.flag and not code.as_category else None
    ),
    "only whether it is missing, all else is the same": lambda code: (
        "" if code.width == code.flag == code.as_category == 1 else None
    ),
    "times, in days": lambda code: (
        "" if code.width and code.kind == "time" and not code.as_category else None
    ),
}
"""By the head of a line: what is said of a column behind its name; None where the line is not about it."""


class _Part(NamedTuple):
    """The inputs that a column writes into rows.

    Those of ``numbers`` into the first of its inputs; or a 1 into that of its ``seats`` (N,), from the first
    on, unless it is -1; ``missing`` (N,) into its last.
    """

    code: ColumnCode
    first: int
    last: int
    numbers: Column | None
    seats: NDArray[np.intp] | None
    missing: NDArray[np.bool_] | None


def _asked(
    table: Table, label: str | None, drop: Any, keep: Any, as_category: Any
) -> tuple[set[str], set[str]]:
    """The names of columns that get no inputs, and of those that are categories. Raises ConfigError."""
    given = {"drop": drop, "keep": keep, "as_category": as_category}
    found = {option: _named(option, value, table, label) for option, value in given.items()}
    for option in ("keep", "as_category"):
        if both := sorted(found["drop"] & found[option]):
            raise ConfigError(f"a column must be in drop or in {option}, not in both", listed(both))
    if not found["keep"]:
        return found["drop"], found["as_category"]
    out = {*table.names} - found["keep"] - {label}
    if both := sorted(found["as_category"] & out):
        raise ConfigError("columns in as_category must be in keep too, where it is given", listed(both))
    return out, found["as_category"]


def _named(option: str, value: Any, table: Table, label: str | None) -> set[str]:
    """The names given for an option, each a column's beside the label. Raises ConfigError."""
    items = [value] if isinstance(value, str) else as_list(value)
    if items is None or not all(isinstance(item, str) for item in items):
        raise ConfigError(f"{option} must be a list of names of columns", shown(value))
    given, names = {as_text(item) or "" for item in items}, set(table.names)
    for name in sorted(given - names):
        do = near(name, table.names) or f"its columns are {listed(table.names)}"
        raise ConfigError(f"{option} must name columns of {table.where}", short(name), do)
    if label in given and option != "keep":
        raise ConfigError(f"{option} must name columns beside the label", short(str(label)))
    return given - {label}


def _nothing_left(codes: list[ColumnCode], table: Table) -> DataError:
    why = [f"{short(code.name)} {code.told}" for code in codes[:_MOST_SAID]]
    texts = any(code.dropped == "all different" for code in codes)
    return DataError(
        f"{table.where} must have a column to learn from beside the label",
        "; ".join([*why, *["..."] * (len(codes) > _MOST_SAID)]) or "the label alone",
        "give other columns" + ", or name texts that are categories in as_category" * texts,
    )
