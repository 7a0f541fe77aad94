"""What a CSV file's first line says: whether it is a header, and which column is the label.

A name is a cell with a letter in it that is no word for a missing number. The first line is

a header   if its cells are names; if names and numbers are mixed, and a name is the label's, or the numbers
           count 8 columns or more (label,0,1,...,783); if all cells count the columns (0,1,2,... as pandas
           writes for an array, or 1,2,3,...), 8 or more, or 3 or more over a line whose cells all have a
           point; if the numbers count from 0 behind a first cell without a name;
in doubt   if all cells count fewer columns, from 0: they may be the header of an array, or a row;
refused    if names and numbers are mixed in another way: a header, or a row with a bad cell;
a row      in all other cases.

A first column without a name, in which pandas and R write the numbers of the rows, is no feature. No file is
read here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastmlp.checks import as_whole, shown
from fastmlp.data.csv.line import SEPARATORS, cells_of, is_number, separator_of
from fastmlp.errors import DataError

MAX_COLUMNS = 1 << 20
COUNTED = 8  # so many columns are not counted by a row
POINTED = 3  # nor so many, where the next line has a point in every cell
UNNAMED = "Unnamed: 0"  # pandas' word for a first column without a name that it read, and wrote again
MISSING = {"n/a", "#n/a", "nan", "+nan", "-nan", "<na>", "inf", "+inf", "-inf"}
MISSING_OR_NAME = {"na", "null", "none", "infinity"}  # NA is sodium too
INDEX = re.compile(r"\s*-?[0-9]{1,9}\s*")
MOST_NAMES = 8  # in a message
MOST_COMPARED = 2_000  # names that are held against a misspelt one


@dataclass(frozen=True)
class Head:
    """Rules by which the lines of a file are read.

    names: of all columns; None where the first line is a row.
    left_out: how many of the first columns hold numbers of rows.
    label: the index of the label column; None where there is none.
    doubt: whether the first line may be a header although it is read as a row.
    numbers: whether the label column may hold any number, as a loss of numbers takes it.
    """

    separator: str
    columns: int
    names: tuple[str, ...] | None
    left_out: int
    label: int | None
    doubt: bool
    numbers: bool = False

    @property
    def features(self) -> list[int]:
        """The indices of the columns that are features."""
        return [i for i in range(self.left_out, self.columns) if i != self.label]

    @property
    def told(self) -> tuple[str, ...]:
        """Notes for people on what is not plain."""
        told = []
        if self.separator != ",":
            told.append(f"fields separated by {SEPARATORS[self.separator]}")
        if any(i != self.label for i in range(self.left_out)):
            told.append("row numbers in the unnamed first column left out")
        if self.names and all(map(is_number, self.names[self.left_out :])):
            told.append(f"its first line, {self.names[self.left_out]} to {self.names[-1]}, read as a header")
        return tuple(told)

    def called(self, column: int) -> str:
        """Name of a column in a message."""
        name = self.names[column] if self.names else ""
        return f"column {column}" + (f" ({_short(name)})" if name else "")


def head_of(
    lines: Sequence[str], number: int, path: Path, label: str | int | None, needs_label: bool
) -> Head:
    """Head that the first one or two lines with text make; ``number`` is the first one's in the file.

    ``label``: see ``label_column``; without it and without ``needs_label`` only a column called ``label`` is
    one. DataError for a first line that is refused, and where there is no such label column.
    """
    where = f"line {number} of {path}"
    separator = separator_of(lines)
    cells = cells_of(lines[0], separator)
    if cells is None:
        raise wrong_quotes(where, lines[0])
    _check_columns(cells, lines, path, needs_label or label is not None)
    if cells[0].startswith("#"):  # the header that numpy.savetxt writes
        cells[0] = cells[0].lstrip("# ")
    below = cells_of(lines[1], separator) if len(lines) > 1 else None
    header = _is_header(cells, below or [], label, where)
    left_out = _unnamed(cells) if header else 0
    names = tuple(cells) if header else None
    for column in range(left_out, len(cells) if header else 0):
        if not (is_number(cells[column]) or _may_be_name(cells[column])):
            raise DataError(
                f"{where} must give every column a name with a letter in it, or be a row of numbers",
                f"{_short(cells[column])} in column {column}",
                "repair that cell",
            )
    at = None
    if needs_label or label is not None or "label" in map(str.casefold, names or ()):
        at = label_column(names, len(cells), label, path, left_out)
    head = Head(separator, len(cells), names, left_out, at, not header and _counts(cells, 0))
    if not head.features:
        raise DataError(
            f"{path} must have a column of features", "the label alone", "check which file this is"
        )
    return head


def label_column(
    names: Sequence[str] | None, columns: int, label: str | int | None, path: Path, first: int = 0
) -> int:
    """The index of the label column, out of ``columns``.

    ``label`` is a name in the header, or an index from 0 (from the end, where it is negative): an int always,
    text where no column has that name. Without one it is the column called ``label``, or else ``first``.
    DataError where there is no such column, or another one of its name.
    """
    if label is None:
        found = [i for i, name in enumerate(names or ()) if name.casefold() == "label"] or [first]
    else:
        found = [i for i, name in enumerate(names or ()) if name == label]
        index = int(label) if isinstance(label, str) and INDEX.fullmatch(label) else as_whole(label)
        if not found and index is not None and -columns <= index < columns:
            found = [index % columns]
    if not found:
        raise _no_label(names, columns, label, path)
    if names and len(found) == 1:
        found = [i for i, name in enumerate(names) if name == names[found[0]]]
    if names and len(found) > 1:
        raise DataError(
            f"the label column of {path} must be the only one of its name",
            " and ".join(f"{_short(names[i])} in column {i}" for i in found[:3]),
            "rename or remove the others",
        )
    return found[0]


def wrong_quotes(where: str, line: str) -> DataError:
    """The error of a line that ``cells_of`` cannot cut."""
    at = line.index('"')
    return DataError(
        f"{where} must have quotes around whole cells only, that close in the same line",
        repr(line[max(0, at - 20) : at + 40]),
        "repair the line",
    )


def _is_header(cells: list[str], below: list[str], label: str | int | None, where: str) -> bool:
    unnamed = _unnamed(cells)
    named = cells[unnamed:]
    numbers = [cell for cell in named if is_number(cell)]
    names = [cell for cell in named if _may_be_name(cell) and cell.casefold() not in MISSING_OR_NAME]
    counted = len(numbers) if _counts(numbers, 0) or _counts(numbers, 1) else 0
    if not names:
        pointed = len(below) >= POINTED and all("." in cell for cell in below)
        return (
            0 < counted == len(named)
            and (counted >= COUNTED or pointed or (unnamed > 0 and _counts(numbers, 0)))
        )  # fmt: skip
    if (
        not numbers
        or any(name == label or name.casefold() == "label" for name in names)
        or counted >= COUNTED
        or (unnamed > 0 and _counts(numbers, 0))
    ):
        return True
    column = next(i for i, cell in enumerate(cells) if not is_number(cell))
    raise DataError(
        f"{where} must be a row of numbers or a header of names",
        f"{_short(cells[column])} in column {column}, and numbers beside it",
        "repair that cell, or name the columns with words; a header is known by the label column's name too",
    )


def _unnamed(cells: list[str]) -> int:
    """Number of the first cells that stand over numbers of rows, should this be a header."""
    count = 0 if cells[0] else 1
    while count < len(cells) and cells[count].startswith(UNNAMED):
        count += 1
    return count


def _counts(cells: list[str], start: int) -> bool:
    return bool(cells) and cells == [str(start + i) for i in range(len(cells))]


def _may_be_name(cell: str) -> bool:
    return any(map(str.isalpha, cell)) and not is_number(cell) and cell.casefold() not in MISSING


def _check_columns(cells: list[str], lines: Sequence[str], path: Path, labelled: bool) -> None:
    spaced = lines[-1].split()
    if len(cells) == 1 and (labelled or (len(spaced) > 1 and all(map(is_number, spaced)))):
        raise DataError(
            f"{path} must have {'a label column and others' if labelled else 'columns'}, "
            "separated by commas, semicolons or tabs",
            f"one column, {shown(lines[-1][:40])}",
            "check which file this is, or save it with commas between the cells",
        )
    if len(cells) > MAX_COLUMNS:
        raise DataError(f"{path} must have {MAX_COLUMNS:,} columns at most", f"{len(cells):,}", "use fewer")


def _no_label(names: Sequence[str] | None, columns: int, label: object, path: Path) -> DataError:
    do = f"give an index from 0 to {columns - 1}"
    if names is None:
        has = f"{columns} columns without names"
    else:
        last = [] if columns <= MOST_NAMES + 1 else ["...", _short(names[-1])]
        some = names if columns <= MOST_NAMES + 1 else names[:MOST_NAMES]
        has = f"the columns {', '.join([*map(_short, some), *last])}"
        do = _close(names, label) or f"name one of its columns, or {do}"
    return DataError(f"the label column must be in {path}, which has {has}", shown(label)[:80], do)


def _close(names: Sequence[str], label: object) -> str:
    """A question, where a name is much like the label."""
    if not isinstance(label, str):
        return ""
    folded = {name.casefold(): name for name in reversed(names[:MOST_COMPARED]) if len(name) <= 100}
    close = difflib.get_close_matches(label[:100].strip().casefold(), folded, 1)
    return f"did you mean {_short(folded[close[0]])}?" if close else ""


def _short(cell: str) -> str:
    return repr(cell if len(cell) <= 24 else f"{cell[:20]}...")
