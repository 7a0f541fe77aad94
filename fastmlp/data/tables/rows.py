"""Rows: a block of text cut into columns of cells, by pyarrow where it is installed, else by Python.

Both give the same cells: pyarrow gets only blocks in which it cannot differ, one record a line and every
quote around a whole cell; whatever it refuses is cut again by Python, which names the line that is wrong.
What cells mean: cells.py.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.tables.blocks import Block, records
from fastmlp.data.tables.cells import MISSING
from fastmlp.errors import DataError

NOT_WHOLE = b".eE"
MOST_CELL = 1 << 17  # characters


class Cells(Protocol):
    """Cells of one column in one block."""

    def __len__(self) -> int: ...

    def part(self, rows: slice) -> Cells:
        """Some of them, from a start to an end."""

    def numbers(self) -> tuple[NDArray[np.float64], bool] | None:
        """Values (n,), nan for an empty cell, and whether all are written as whole numbers.

        None where any other cell is no number as Python writes them, or not finite.
        """

    def coded(self) -> tuple[NDArray[np.int32], list[str]]:
        """Places (n,) in the words that come with them, as they stand in the file; -1 is missing."""


@dataclass(frozen=True)
class Rows:
    """Rows of a block by columns. lines: (n,) the line of each."""

    columns: Sequence[Cells]
    lines: NDArray[np.int64]

    def part(self, rows: slice) -> Rows:
        """Some of the rows."""
        return Rows([cells.part(rows) for cells in self.columns], self.lines[rows])


class TextCells:
    """Cells as Python has them."""

    def __init__(self, cells: Sequence[str]) -> None:
        self.cells = cells

    def __len__(self) -> int:
        return len(self.cells)

    def part(self, rows: slice) -> TextCells:
        return TextCells(self.cells[rows])

    def numbers(self) -> tuple[NDArray[np.float64], bool] | None:
        letters = "".join(self.cells).encode("utf-8", "replace")
        strange = letters.translate(None, b"0123456789+- \t")
        if strange.translate(None, NOT_WHOLE):
            return None
        try:
            values = np.array([float(cell or "nan") for cell in self.cells])
        except ValueError:
            return None
        return None if np.isinf(values).any() else (values, not strange)

    def coded(self) -> tuple[NDArray[np.int32], list[str]]:
        places: dict[str, int] = {}
        codes = [places.setdefault(cell, len(places)) for cell in self.cells]
        return np.array(codes, np.int32), list(places)


class NumberCells:
    """Whole numbers (n,), already parsed; ``text`` has them as they were written, in column ``place``."""

    def __init__(self, values: NDArray[np.int64], text: NumberText, place: int, first: int = 0) -> None:
        self.values, self.text, self.place, self.first = values, text, place, first

    def __len__(self) -> int:
        return len(self.values)

    def part(self, rows: slice) -> NumberCells:
        return NumberCells(self.values[rows], self.text, self.place, self.first + rows.start)

    def numbers(self) -> tuple[NDArray[np.float64], bool]:
        return self.values.astype(np.float64), True

    def coded(self) -> tuple[NDArray[np.int32], list[str]]:
        cells = self.text.columns[self.place]
        return TextCells(cells[self.first : self.first + len(self.values)]).coded()


@dataclass(frozen=True)
class NumberText:
    """A text of whole numbers, cut where somebody asks."""

    text: str
    separator: str

    @cached_property
    def columns(self) -> list[tuple[str, ...]]:
        """The cells of each column."""
        return list(zip(*(line.split(self.separator) for line in self.text.split("\n")), strict=True))


class ArrowCells:
    """Cells as a pyarrow array of strings, null where missing."""

    def __init__(self, array: Any, arrow: ModuleType) -> None:
        self.array, self.arrow = array, arrow

    def __len__(self) -> int:
        return len(self.array)

    def part(self, rows: slice) -> ArrowCells:
        return ArrowCells(self.array[rows], self.arrow)

    def numbers(self) -> tuple[NDArray[np.float64], bool] | None:
        array = self.array
        offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
        data = array.buffers()[2]
        letters = b"" if data is None else data.slice(offsets[0], offsets[-1] - offsets[0]).to_pybytes()
        strange = letters.translate(None, b"0123456789+- ")
        if strange.translate(None, NOT_WHOLE):
            return None
        try:
            if b" " in letters:
                array = self.arrow.compute.utf8_trim_whitespace(array)
            found = self.arrow.compute.cast(array, self.arrow.float64())
        except self.arrow.ArrowInvalid:
            return None
        values = found.to_numpy(zero_copy_only=False)
        return None if np.isinf(values).any() else (values, not strange)

    def coded(self) -> tuple[NDArray[np.int32], list[str]]:
        found = self.array.dictionary_encode()
        codes = found.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return codes.astype(np.int32, copy=False), found.dictionary.to_pylist()


def arrow_or_none() -> ModuleType | None:
    """The module pyarrow with what reads text; None where it is not installed."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.csv
    except ImportError:
        return None
    return cast(ModuleType, pyarrow)


def rows_of(block: Block, separator: str, columns: int, where: str, arrow: ModuleType | None) -> Rows | None:
    """The rows of a block, None where all its lines are blank. Raises DataError that names a line."""
    if b"\0" in block.text:
        line = block.first + block.text.count(b"\n", 0, block.text.index(b"\0"))
        raise DataError(f"line {line} of {where} must be text", "the byte 0", "check which file this is")
    found = _by_numpy(block, separator, columns)
    long = block.text.count(b"\n") > columns  # each column costs pyarrow more than it does Python
    if found is None and arrow and long and columns > 1 and block.plain and b"\r" not in block.text:
        found = _by_arrow(block, separator, columns, arrow)
    return found or _by_python(block, separator, columns, where)


def _by_arrow(block: Block, separator: str, columns: int, arrow: ModuleType) -> Rows | None:
    """The rows, where the block has one on each of its lines; else None."""
    names = [str(i) for i in range(columns)]
    reading = arrow.csv.ReadOptions(column_names=names, block_size=len(block.text) + 1)
    parsing = arrow.csv.ParseOptions(delimiter=separator, newlines_in_values=block.quoted)
    converting = arrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, arrow.string()),
        null_values=SPELLED,
        strings_can_be_null=True,
    )
    try:
        table = arrow.csv.read_csv(arrow.BufferReader(block.text), reading, parsing, converting)
    except (arrow.ArrowInvalid, arrow.ArrowKeyError):
        return None
    lines = block.text.count(b"\n") + 1
    if table.num_rows != lines:
        return None
    arrays = [column.combine_chunks() for column in table.columns]
    arrays = [array.chunk(0) if hasattr(array, "chunks") else array for array in arrays]
    return Rows([ArrowCells(array, arrow) for array in arrays], np.arange(block.first, block.first + lines))


SPELLED = sorted(
    {form for word in MISSING for form in (word, word.upper(), word.capitalize())} | {"NaN", "N/a"}
)


def whole_numbers(block: Block, separator: str, columns: int) -> NDArray[np.int64] | None:
    """The whole numbers (rows, columns) of a block that has nothing else, blank lines left out; else None."""
    text = block.text.translate(None, b'"') if block.quoted and block.plain else block.text
    if text.translate(None, b"0123456789+- \t\n" + separator.encode()):
        return None
    blank = " \t".replace(separator, "")
    lines = [line for line in text.decode("ascii").split("\n") if line.strip(blank)]
    if not lines:
        return np.empty((0, columns), np.int64)
    try:
        found = np.loadtxt(lines, np.int64, comments=None, delimiter=separator, ndmin=2)
    except (ValueError, DeprecationWarning):  # an empty cell, or digits beyond int64
        return None
    exact = found.min() >= -(2**53) and found.max() <= 2**53  # not wrapped
    return found if found.shape == (len(lines), columns) and exact else None


def _by_numpy(block: Block, separator: str, columns: int) -> Rows | None:
    """The rows, where the block has one of whole numbers on each of its lines; else None."""
    whole = None if block.quoted else whole_numbers(block, separator, columns)
    if whole is None or len(whole) != block.text.count(b"\n") + 1:
        return None
    text = NumberText(block.text.decode("ascii"), separator)
    lines = np.arange(block.first, block.first + len(whole))
    return Rows([NumberCells(values, text, i) for i, values in enumerate(whole.T)], lines)


def decoded(text: bytes, first: int, where: str) -> str:
    """The text of UTF-8. first: its first line, for the message. Raises DataError."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first + text.count(b"\n", 0, error.start)
        raise DataError(
            f"line {line} of {where} must be text in UTF-8",
            f"the byte 0x{text[error.start]:02x}",
            "save it as UTF-8: it may be in Latin-1",
        ) from None


def _by_python(block: Block, separator: str, columns: int, where: str) -> Rows | None:
    text = decoded(block.text, block.first, where)
    lines, rows = _cells(text, block, separator)
    wrong = next((i for i, row in enumerate(rows) if len(row) != columns), None)
    if wrong is not None:
        raise DataError(
            f"line {lines[wrong]} of {where} must have {columns} columns, like the first",
            len(rows[wrong]),
            "repair the line",
        )
    if not rows:
        return None
    return Rows([TextCells(cells) for cells in zip(*rows, strict=True)], np.array(lines, np.int64))


def _cells(text: str, block: Block, separator: str) -> tuple[list[int], list[list[str]]]:
    """Lines and cells of the records that are not blank."""
    blank = " \t\r".replace(separator, "")
    if not block.quoted:
        every = text.split("\n")
        kept = [(block.first + i, line) for i, line in enumerate(every) if line.strip(blank)]
        return [line for line, _ in kept], [line.split(separator) for _, line in kept]
    lines, rows = [], []
    if block.plain:
        pieces = [line + "\n" for line in text.split("\n")]
        reader, line = csv.reader(pieces, delimiter=separator), block.first
        try:
            for row in reader:
                if row and not (
                    len(row) == 1 and not row[0].strip(blank) and '"' not in pieces[line - block.first]
                ):
                    lines.append(line)
                    rows.append(row)
                line = block.first + reader.line_num
        except csv.Error:  # a cell of 131,072 characters, or a \r within one
            lines, rows = [], []
        else:
            return lines, rows
    line, before = block.first, 0
    for start, end, cells in records(text, separator):
        line, before = line + text.count("\n", before, start), start
        if cells is not None and text[start:end].strip(blank):
            lines.append(line)
            rows.append(cells)
    return lines, rows
