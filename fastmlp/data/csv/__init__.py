"""CSV with a label column, plain or gzip: UTF-8 text, a row a line.

What a line is: line.py; what the first one says: head.py. Text is parsed a block of lines at a time, so
that a file of small integers (Kaggle's MNIST) takes about one byte a value in memory. NumPy parses a block
that has no other characters than numbers and separators; in one that does not parse, the first line with a
fault is looked for by halves, and gone through cell by cell to name the column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.checks import MAX_LABEL, Features, compact, not_labels
from fastmlp.data.csv.head import Head, head_of, wrong_quotes
from fastmlp.data.csv.line import SPACES, cells_of, is_number
from fastmlp.data.parts import Part
from fastmlp.errors import DataError
from fastmlp.files.bounded import BYTE_BUDGET, Stream, opened

BLOCK = 4 << 20
MAX_LINE = 16 << 20
FEW_LINES = 64
EXACT = 2**53  # integers up to here are the same in int64 and float64
TOO_LARGE = 2.0**128 - 2.0**103  # from here a float32 is infinite
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read(path: Path, label: str | int | None = None, *, numbers: bool = False, block: int = BLOCK) -> Part:
    """X (N, features) and y (N,). label: see ``head.label_column``. block: bytes that are parsed together.

    numbers: y may hold any numbers, not labels of classes alone.
    """
    head, X, y = _read(path, label, block, needs_label=True, numbers=numbers)
    assert y is not None
    return Part(X, y, str(path), None, head.told)


def read_images(path: Path, label: str | int | None = None) -> Features:
    """X alone: every feature, without the column named, or called ``label`` where none is named."""
    return _read(path, label, BLOCK, needs_label=False)[1]


def _read(
    path: Path, label: str | int | None, size_of_block: int, *, needs_label: bool, numbers: bool = False
) -> tuple[Head, Features, NDArray[Any] | None]:
    X: list[Features] = []
    y: list[NDArray[Any]] = []
    size = 0
    with opened(path) as (stream, _):
        blocks = _blocks(stream, path, size_of_block)
        block: _Block | None
        block, rows = _begin(blocks, path)
        head = head_of([line for _, line in rows], rows[0][0], path, label, needs_label)
        head = replace(head, numbers=numbers)
        if head.names:
            block = block.after(rows[0][0])
        while block is not None:
            features, labels = _Lines(block, head, path).parsed()
            if len(features):
                X.append(features)
                y.append(labels)
            size += features.nbytes
            block = next(blocks, None)
            if size > BYTE_BUDGET:
                raise DataError(
                    f"{path} must hold at most {BYTE_BUDGET:,} bytes of numbers", "more", "use a smaller file"
                )
    if not X:
        raise _no_numbers(path)
    if head.doubt:  # only now: whatever else is wrong with the file is certain
        raise DataError(
            f"line {rows[0][0]} of {path} must be a row of numbers or a header of names",
            f"{rows[0][1].strip()[:40]}, which may be either",
            "remove the line if it is a header; put a line of column names above it if it is a row",
        )
    return head, _joined(X), np.concatenate(y) if head.label is not None else None


class _Block(NamedTuple):
    """Whole lines of the file without their ends. ``first`` is the number of the first one."""

    first: int
    text: bytes

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Each line with its number."""
        number, at = self.first, 0
        while at <= len(self.text):
            end = self.text.find(b"\n", at) % (len(self.text) + 1)  # -1 becomes the end
            yield number, self.text[at:end]
            number, at = number + 1, end + 1

    def halves(self) -> tuple[_Block, _Block]:
        """Two blocks of about half of the lines each; for a block of two or more."""
        at = self.text.find(b"\n", len(self.text) // 2)
        at = self.text.rindex(b"\n") if at < 0 else at
        second = self.first + self.text.count(b"\n", 0, at) + 1
        return _Block(self.first, self.text[:at]), _Block(second, self.text[at + 1 :])

    def after(self, number: int) -> _Block:
        """The lines after the one of this number."""
        count = number + 1 - self.first
        return _Block(number + 1, b"".join(self.text.split(b"\n", count)[count:]))


class _Lines:
    """The rows of a block; its blank lines count, but are no rows."""

    def __init__(self, block: _Block, head: Head, path: Path) -> None:
        self.block, self.head, self.path = block, head, path
        self.blank = SPACES.replace(head.separator, "")
        self.dtype, text = _unquoted(block.text, head.separator.encode())
        self.rows = [line for line in text.decode("utf-8", "replace").split("\n") if line.strip(self.blank)]

    def parsed(self) -> tuple[Features, NDArray[Any]]:
        """X (rows, features) and y (rows,); y is empty where there is no label column."""
        if not self.rows:
            return np.empty((0, 1), np.uint8), np.empty(0, np.int64)
        table, label = self._table(), self.head.label
        y = table[:, [] if label is None else label].copy()
        others = sorted({*range(self.head.columns)} - {*self.head.features})
        if others:
            table = np.delete(table, others, axis=1)
        X = compact(table)
        wrong = ~np.isfinite(y) if self.head.numbers else not_labels(y)
        if wrong.any() or (X.dtype == np.float32 and not np.isfinite(X).all()):
            self._blame()
        return X, y

    def _table(self) -> NDArray[Any]:
        """Array (rows, columns), int64 or float64."""
        table = self._loaded(np.int64) if self.dtype is np.int64 else None
        if self.dtype and (table is None or table.min() < -EXACT or table.max() > EXACT):
            table = self._loaded(np.float64)
        if table is None or table.shape != (len(self.rows), self.head.columns):
            self._blame()
        return table

    def _loaded(self, dtype: type[Any]) -> NDArray[Any] | None:
        try:
            return np.loadtxt(self.rows, dtype, comments=None, delimiter=self.head.separator, ndmin=2)
        except (ValueError, DeprecationWarning):  # NumPy deprecates an integer that only float can parse
            return None

    def _blame(self) -> NoReturn:
        """Raise what names the first line that is not as the first one, or its first bad cell.

        Halves are parsed until few lines are left, so that few are gone through in Python.
        """
        if self.block.text.count(b"\n") > FEW_LINES:
            for half in self.block.halves():
                _Lines(half, self.head, self.path).parsed()
        columns, features = self.head.columns, set(self.head.features)
        for number, text in self.block.lines():
            line = text.decode("utf-8", "replace")
            if not line.strip(self.blank):
                continue
            where = f"line {number} of {self.path}"
            cells = cells_of(line, self.head.separator)
            if cells is None:
                raise wrong_quotes(where, line)
            if len(cells) != columns:
                raise DataError(
                    f"{where} must have {columns} columns, like the first", len(cells), "repair the line"
                )
            for column, cell in enumerate(cells):
                value = float(cell) if is_number(cell) else math.nan
                if column == self.head.label and not self.head.numbers:
                    fine = 0 <= value <= MAX_LABEL and value.is_integer()
                else:
                    fine = abs(value) < (TOO_LARGE if column in features else math.inf)
                if not fine:
                    raise self._wrong(cell, column, number)
        raise DataError(f"{self.path} must be lines of numbers", "other text", "convert it")

    def _wrong(self, cell: str, column: int, number: int) -> DataError:
        called = self.head.called(column)
        if column == self.head.label and is_number(cell) and not self.head.numbers:
            return DataError(
                f"the labels in {called} of {self.path} must be whole numbers from 0 (below 2**53)",
                f"{cell[:40]} in line {number}",
                "give the right column as label (a name, or an index from 0), or a loss of numbers: squared",
            )
        return DataError(
            f"line {number} of {self.path} must hold finite numbers",
            f"{cell[:40]!r} in {called}",
            "write numbers with a decimal point, and without commas"
            if is_number(cell.replace(",", ""))
            else "remove or replace such cells, or write labels as numbers",
        )


def _begin(blocks: Iterator[_Block], path: Path) -> tuple[_Block, list[tuple[int, str]]]:
    """The file to its second line with text at least, and the first two such lines with their numbers."""
    texts: list[bytes] = []
    rows: list[tuple[int, bytes]] = []
    for block in blocks:
        texts.append(block.text)
        lines = ((i, line) for i, line in block.lines() if line.strip(SPACES.encode()))
        rows += islice(lines, 2 - len(rows))
        if len(rows) == 2:
            break
    if not rows:
        raise _no_numbers(path)
    begin = b"\n".join(line for _, line in rows)
    if texts[0].startswith(UTF16) or b"\0" in begin:
        raise DataError(
            f"{path} must be text in UTF-8",
            "UTF-16, or no text at all",
            "save it as UTF-8, or check which file this is",
        )
    if b"\r" in begin:
        raise DataError(
            f"the lines of {path} must end with \\n or \\r\\n", "a \\r alone", "save it with such line ends"
        )
    return _Block(1, b"\n".join(texts)), [(i, line.decode("utf-8", "replace")) for i, line in rows]


def _blocks(stream: Stream, path: Path, block: int) -> Iterator[_Block]:
    """The file in blocks of whole lines, of about so many bytes."""
    pieces: list[bytes] = []  # of a line that goes on
    first, total, size = 1, 0, 0
    while text := stream.read(block):
        total += len(text)
        head, newline, rest = text.rpartition(b"\n")
        size = len(rest) + (0 if newline else size)
        if size > MAX_LINE or total > BYTE_BUDGET:
            raise DataError(
                f"{path} must hold at most {MAX_LINE:,} bytes a line and {BYTE_BUDGET:,} in all",
                "more",
                "use a smaller file",
            )
        if newline:
            text = _plain(b"".join((*pieces, head)), first)
            yield _Block(first, text)
            first += text.count(b"\n") + 1
            pieces.clear()
        pieces.append(rest)
    if size:
        yield _Block(first, _plain(b"".join(pieces), first))


def _plain(text: bytes, first: int) -> bytes:
    """Take away the mark at the beginning of a file, and the \\r at the ends of lines."""
    if first == 1:
        text = text.removeprefix(BOM)
    if b"\r" in text:  # twice where Python wrote it for Windows without newline=""
        text = (text + b"\n").replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n")[:-1]
    return text


def _unquoted(text: bytes, separator: bytes) -> tuple[type[Any] | None, bytes]:
    """The text without quotes, and the type that can hold its numbers: None where it has other characters."""
    spaces = SPACES.encode().replace(separator, b"")
    if b'"' in text and _quotes_cells(text.translate(None, spaces), separator):
        text = text.translate(None, b'"')
    strange = text.translate(None, b"0123456789+-" + spaces + separator + b"\n")
    return (None if strange.strip(b".eE") else np.float64 if strange else np.int64), text


def _quotes_cells(text: bytes, separator: bytes) -> bool:
    """Tell whether all quotes of a text without spaces stand around whole cells, with something in them."""
    letters = np.frombuffer(b"\n" + text + b"\n", np.uint8)
    end = (letters == ord(separator)) | (letters == ord("\n"))
    quote = letters == ord('"')
    within = np.logical_xor.accumulate(quote)  # from an opening quote to before its closing one
    opening, closing = quote & within, quote & ~within
    return not (
        within[-1]
        or (within & end).any()
        or (opening[1:] & ~end[:-1]).any()
        or (closing[:-1] & ~end[1:]).any()
        or (opening[:-1] & closing[1:]).any()
    )


def _joined(blocks: list[Features]) -> Features:
    """One array: uint8 if all are, else float32."""
    dtype = np.result_type(*blocks)
    X = np.empty((sum(map(len, blocks)), blocks[0].shape[1]), dtype)
    return np.concatenate(blocks, out=X)


def _no_numbers(path: Path) -> DataError:
    return DataError(f"{path} must hold at least one line of numbers", "none", "get the file again")
