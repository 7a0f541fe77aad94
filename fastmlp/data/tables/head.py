"""Head: what the first records of a text say - which separator, whether the first is a header, the names.

The first record is a header or a row by what stands under its cells. Where a column holds numbers, truth
values or dates, a name over it speaks for a header, and a cell of its own kind for a row; columns of text say
nothing, unless the cell comes again below. Where all columns are text it is a header if its cells are all
different and none comes again. Numbers that count the columns are names too, as pandas writes for an array:

a header   if the numbers count 8 columns or more from 0 or 1; or from 0 behind a first cell without a name;
           or 3 or more over a line whose cells all have a point;
in doubt   if all cells count fewer columns, from 0: refused;
refused    if names and numbers are mixed over numbers in another way.

A first column without a name, in which pandas and R write the numbers or names of the rows, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice

from fastmlp.data.table import LABEL_NAMES
from fastmlp.data.tables import cells as meaning
from fastmlp.data.tables.blocks import are_plain, records
from fastmlp.errors import DataError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SAMPLE = 200  # records that are looked at
QUOTES = 1 << 16  # characters that are looked at for quotes
SAMPLE_CELLS = 200_000
MAX_COLUMNS = 100_000
COUNTED = 8  # so many columns are not counted by a row
POINTED = 3  # nor so many, where the next line has a point in every cell
YEARS = (1900, 2100)
EXCEL = re.compile(r'"?sep=([,;\t|])"?\n')  # what Excel reads a separator from
UNNAMED = "Unnamed: 0"  # pandas' word for a first column without a name that it read, and wrote again


@dataclass(frozen=True)
class Head:
    """Rules by which the records of a text are read.

    columns: of every record.
    names:   of the columns that are read; the last one is "" where all lines seem to end with a separator.
    first:   the first of these: those before it hold numbers or names of rows.
    begins:  the line in which the rows begin: after the header, where there is one.
    told:    what is not plain, for people.
    """

    separator: str
    columns: int
    names: tuple[str, ...]
    first: int
    begins: int
    told: tuple[str, ...]


def head_of(text: str, where: str, *, whole: bool) -> Head:
    """The Head that the beginning of a text makes. whole: it is all of the text. Raises DataError."""
    excel = EXCEL.match(text)
    text, begins = (text[excel.end() :], 2) if excel else (text, 1)
    separator = excel[1] if excel else separator_of(text, whole)
    records = _sample(text, separator, whole)
    if not records:
        raise _no_cells(text, where)
    line, cells = records[0]
    row, after = f"line {begins + line - 1} of {where}", begins + line + "".join(cells).count("\n")
    top, body = _squared([[cell.strip() for cell in cells] for _, cells in records])
    _check_columns(top, body, where)
    told = [] if separator == "," else [f"fields separated by {SEPARATORS[separator]}"]
    if body or any(map(_is_typed, top)):
        header = _is_header(top, body, row)
    elif "".join(text.split("\n", after - begins)[after - begins :]).strip():
        header = True  # what is wrong with the rows is said by who reads them
    else:
        raise DataError(f"{where} must hold at least one row", "a header alone", "get the file again")
    if not header:
        told.append("no header: columns 0, 1, ...")
        return Head(separator, len(top), tuple(map(str, range(len(top)))), 0, begins, tuple(told))
    first = _unnamed(top)
    names = top[first:]
    if first:
        told.append("row numbers in the unnamed first column left out")
    _check_names(names, first, row, spare=not any(cells[-1] for cells in body))
    if all(map(meaning.is_number, names)) or (body and not any(map(_is_typed, chain(*body)))):
        told.append(f"its first line, {_short(names[0])} to {_short(names[-1])}, read as a header")
    return Head(separator, len(top), tuple(names), first, after, tuple(told))


def _squared(records: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The first record, and those of the others that are as wide."""
    top, body = records[0], records[1:]
    if top[0].startswith("#"):  # the header that numpy.savetxt writes
        top[0] = top[0].lstrip("# ")
    if body and all(len(cells) == len(top) + 1 for cells in body) and not any(map(_is_typed, top)):
        # rows that end with a separator, or R's names of rows, over which nothing stands
        top = ["", *top] if any(cells[-1] for cells in body) else [*top, ""]
    return top, [cells for cells in body if len(cells) == len(top)]


def _no_cells(text: str, where: str) -> DataError:
    if not text.strip():
        return DataError(f"{where} must hold at least one row", "none", "get the file again")
    return DataError(
        f"{where} must have cells between commas, semicolons, tabs or bars, and quotes around whole cells",
        repr(text.strip()[:40]),
        "save it so, or check which file this is",
    )


def separator_of(text: str, whole: bool = True) -> str:
    """The separator that cuts the text best.

    Best is what cuts the first record like most others, into two cells or more; then what all quotes stand
    beside; then what cuts most alike; then tabs, which texts rarely hold; then what makes most cells numbers
    and the like (1,5 is one between semicolons); then what makes most.
    """

    quoted = text[:QUOTES].encode()

    def fit(separator: str) -> tuple[bool, bool, float, bool, float, int]:
        rows = [cells for _, cells in _sample(text, separator, whole)]
        widths = [len(row) for row in rows[1:] or rows]
        width = max(set(widths), key=widths.count, default=1)
        if width == 1:
            return False, False, 0.0, False, 0.0, 0
        tabs = separator == "\t"
        typed = [_is_typed(cell.strip()) for row in rows for cell in row]
        return (
            len(rows[0]) == width,
            are_plain(quoted, separator),
            round(widths.count(width) / len(widths), 1),
            tabs,
            sum(typed) / len(typed),
            width,
        )

    return max((s for s in SEPARATORS if s == "," or s in text), key=fit)


def looks_like_a_table(text: str, whole: bool) -> bool:
    """Tell whether the first records of a text have as many cells each, two or more."""
    rows = [cells for _, cells in _sample(text, separator_of(text, whole), whole)]
    widths = {len(cells) for cells in rows}
    return len(rows) > 1 and len(widths) == 1 and widths != {1}


def _sample(text: str, separator: str, whole: bool) -> list[tuple[int, list[str]]]:
    """The first records that are not blank, with their lines; the last of a text that goes on is left out."""
    found: list[tuple[int, list[str]]] = []
    line, before, cells_seen = 1, 0, 0
    blank = " \t\r".replace(separator, "")
    for start, end, cells in islice(records(text, separator), 4 * SAMPLE):
        line, before = line + text.count("\n", before, start), start
        if cells is None or (not whole and end == len(text) and found):
            break
        if text[start:end].strip(blank):
            found.append((line, cells))
            cells_seen += len(cells)
            if len(found) == SAMPLE or (cells_seen > SAMPLE_CELLS and len(found) > 2):
                break
    return found


def _is_header(top: Sequence[str], body: Sequence[Sequence[str]], row: str) -> bool:
    unnamed = _unnamed(top)
    words = top[unnamed:]
    numbers = [word for word in words if meaning.is_number(word)]
    counts = (
        (len(numbers) >= COUNTED and (_counts(numbers, 0) or _counts(numbers, 1)))
        or (unnamed > 0 and _counts(numbers, 0))
    )  # fmt: skip
    if numbers and len(numbers) == len(words):
        pointed = len(top) >= POINTED and bool(body) and all("." in cell for cell in body[0])
        if counts or (pointed and (_counts(numbers, 0) or _counts(numbers, 1))):
            return True
        if _counts(top, 0) and body:
            raise DataError(
                f"{row} must be a row of numbers or a header of names",
                f"{','.join(top)[:40]}, which may be either",
                "remove the line if it is a header; put a line of column names above it if it is a row",
            )
        return False
    names, cells, again = _evidence(top, body, unnamed)
    if names and cells:
        if counts or any(top[i].casefold() in LABEL_NAMES for i in names):
            return True
        raise DataError(
            f"{row} must be a row of numbers or a header of names",
            f"{_short(top[names[0]])} in column {names[0]}, and numbers beside it",
            "repair that cell, or name the columns with words",
        )
    if names or again:
        return bool(names)
    if cells:
        return counts or _are_years([top[i] for i in cells])
    return bool(body) and len({*words}) == len(words) and not any(map(meaning.is_missing, words))


def _evidence(
    top: Sequence[str], body: Sequence[Sequence[str]], first: int
) -> tuple[list[int], list[int], bool]:
    """Columns of numbers and the like under a name, and under a number; whether a text comes again."""
    names, cells, again = [], [], False
    for i in range(first, len(top)):
        below = [row[i] for row in body if not meaning.is_missing(row[i])]
        mostly = sum(map(_is_typed, below)) * 2 > len(below)
        if meaning.is_missing(top[i]):
            continue
        if mostly and _is_typed(top[i]):
            cells.append(i)
        elif top[i] in below:
            again = True
        elif mostly:
            names.append(i)
    return names, cells, again


def _are_years(cells: Sequence[str]) -> bool:
    years = [int(cell) if meaning.WHOLE.fullmatch(cell) and len(cell) < 9 else 0 for cell in cells]
    run = len(years) > 1 and years == [*range(years[0], years[0] + len(years))]
    return run and YEARS[0] <= years[0] <= years[-1] <= YEARS[1]


def _is_typed(cell: str) -> bool:
    """Tell whether a cell is no text: a number, however written, a truth value or a date."""
    if cell[:1] not in meaning.BEGINS:
        return cell.casefold() in ("true", "false")
    return meaning.is_number(cell) or meaning.is_time(cell) or meaning.style_of([cell], ";") is not None


def _check_columns(top: Sequence[str], body: Sequence[Sequence[str]], where: str) -> None:
    """Raise DataError for what is no table between separators."""
    if "\r" in "".join(top):
        raise DataError(
            f"the lines of {where} must end with \\n or \\r\\n", "a \\r alone", "save it with such line ends"
        )
    if len(top) > MAX_COLUMNS:
        raise DataError(f"{where} must have at most {MAX_COLUMNS:,} columns", "more", "use fewer")
    spaced = [cells[0].split() for cells in body or [top]]
    if len(top) == 1 and len(spaced[0]) > 1 and len({*map(len, spaced)}) == 1:
        typed = [_is_typed(piece) for pieces in spaced for piece in pieces]
        if sum(typed) >= len(typed) / 2:
            raise DataError(
                f"{where} must have columns, separated by commas, semicolons, tabs or bars",
                f"one column, {(body or [top])[-1][0][:40]!r}",
                "save it with commas between the cells",
            )


def _check_names(names: Sequence[str], first: int, row: str, *, spare: bool) -> None:
    """Raise DataError for names that are empty, but the last one if it is spare, or come twice."""
    if not names:
        raise DataError(f"{row} must name at least one column", "none", "check which file this is")
    seen: dict[str, int] = {}
    for i, name in enumerate(names, first):
        if not name and not (spare and i == first + len(names) - 1):
            raise DataError(f"{row} must give every column a name", f"none in column {i}", "repair that cell")
        if name in seen:
            raise DataError(
                f"{row} must give the columns different names",
                f"{_short(name)} in column {seen[name]} and column {i}",
                "rename one",
            )
        seen[name] = i


def _unnamed(cells: Sequence[str]) -> int:
    """Number of the first cells that stand over numbers of rows, should this be a header."""
    count = 0 if cells[0] else 1
    while count < len(cells) and cells[count].startswith(UNNAMED):
        count += 1
    return count


def _counts(cells: Sequence[str], start: int) -> bool:
    return bool(cells) and list(cells) == [str(start + i) for i in range(len(cells))]


def _short(cell: str) -> str:
    return repr(cell if len(cell) <= 24 else f"{cell[:20]}...")
