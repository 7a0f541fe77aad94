"""CSV with a label column, plain or gzip: numbers separated by commas, one image a line.

The first line is a header unless all its cells are numbers. Text is parsed a block of lines at a time, so
that a file of small integers (Kaggle's MNIST) takes about one byte a value in memory. When a block does not
parse, it is gone through again cell by cell to name the line and the column.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.files import BYTE_BUDGET, Stream, opened
from fastmlp.data.parts import Features, Part, compact, not_labels
from fastmlp.errors import DataError

BLOCK = 4 << 20
MAX_LINE = 16 << 20
MAX_COLUMNS = 1 << 20
EXACT = 2**53  # integers up to here are the same in int64 and float64
LARGEST = float(np.finfo(np.float32).max)
INTEGER_TEXT = b'0123456789+-, \t\r\n"'
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def read(path: Path, label: str | int | None = None) -> Part:
    """X (N, columns - 1) and y (N,). ``label``: see ``label_column``."""
    X, y = _read(path, label, needs_label=True)
    assert y is not None
    return Part(X, y, str(path))


def read_images(path: Path, label: str | int | None = None) -> Features:
    """X alone: every column but the one named, or called ``label`` where none is named."""
    return _read(path, label, needs_label=False)[0]


def label_column(header: Sequence[str] | None, columns: int, label: str | int | None, path: Path) -> int:
    """The index of the label column.

    ``label`` is a name in the header, or else an index from 0 (from the end, where it is negative). Without
    one it is the column called ``label``, or else the first.
    """
    if label is None:
        folded = [name.casefold() for name in header or ()]
        return folded.index("label") if "label" in folded else 0
    if header and str(label) in header:
        return header.index(str(label))
    try:
        index = int(label)
    except ValueError:
        index = columns
    if not -columns <= index < columns:
        names = f"columns {', '.join(header[:8])} ..." if header else "columns without names"
        raise DataError(
            f"the label column must be in {path}",
            f"{label!r}, and {names}",
            f"name a column, or give its index from 0 to {columns - 1}",
        )
    return index % columns


def _read(path: Path, label: str | int | None, needs_label: bool) -> tuple[Features, NDArray[Any] | None]:
    X: list[Features] = []
    y: list[NDArray[Any]] = []
    columns, at, size = 0, None, 0
    with opened(path) as (stream, _):
        for block in _blocks(stream, path):
            if block.rows and not columns:
                header, columns = _first_line(block)
                if label is not None or needs_label or (header and "label" in map(str.casefold, header)):
                    at = label_column(header, columns, label, path)
                if not (1 if at is None else 2) <= columns <= MAX_COLUMNS:
                    raise DataError(
                        f"{path} must have a label column and others, separated by commas, "
                        f"{MAX_COLUMNS:,} at most",
                        f"{columns:,}",
                        "check which file this is",
                    )
            if not block.rows:
                continue
            table = block.numbers(columns)
            if at is not None:
                y.append(block.checked_labels(table[:, at].copy(), at))
                table = np.delete(table, at, axis=1)
            X.append(block.checked_features(table))
            size += X[-1].nbytes
            if size > BYTE_BUDGET:
                raise DataError(
                    f"{path} must hold at most {BYTE_BUDGET:,} bytes of numbers", "more", "use a smaller file"
                )
        if not X:
            raise DataError(f"{path} must hold at least one line of numbers", "none", "get the file again")
        return _joined(X), np.concatenate(y) if at is not None else None


class _Block:
    """Some lines of the file. ``first`` is the number of the first one; blank ones count, but are no rows."""

    def __init__(self, path: Path, first: int, text: bytes) -> None:
        self.path, self.first = path, first
        self.integers = not text.translate(None, INTEGER_TEXT)
        self.lines = text.decode("utf-8-sig" if first == 1 else "utf-8", "replace").split("\n")
        self.rows = [line for line in self.lines if line and not line.isspace()]

    def drop_first_row(self) -> None:
        at = self.lines.index(self.rows[0])
        self.first += at + 1
        del self.lines[: at + 1], self.rows[0]
        self.integers = not "\n".join(self.rows).encode().translate(None, INTEGER_TEXT)

    def numbers(self, columns: int) -> NDArray[Any]:
        """(rows, columns) int64 or float64."""
        table = self._parsed(np.int64) if self.integers else None
        if table is None or table.min() < -EXACT or table.max() > EXACT:
            table = self._parsed(np.float64)
        if table is None or table.shape != (len(self.rows), columns):
            self._blame(columns)
        return table

    def _parsed(self, dtype: type[Any]) -> NDArray[Any] | None:
        try:
            return np.loadtxt(self.rows, dtype, comments=None, delimiter=",", quotechar='"', ndmin=2)
        except (ValueError, DeprecationWarning):  # NumPy deprecates an integer that only float can parse
            return None

    def checked_labels(self, y: NDArray[Any], column: int) -> NDArray[Any]:
        bad = not_labels(y)
        if bad.any():
            at = int(bad.argmax())
            raise DataError(
                f"the labels in column {column} of {self.path} must be whole numbers from 0",
                f"{y[at]} in line {self._line_number(at)}",
                "give the right column as label (a name, or an index from 0)",
            )
        return y

    def checked_features(self, X: NDArray[Any]) -> Features:
        result = compact(X)
        if result.dtype == np.float32 and not np.isfinite(result).all():
            self._blame(None)
        return result

    def _line_number(self, row: int) -> int:
        filled = (i for i, line in enumerate(self.lines) if line and not line.isspace())
        return self.first + next(islice(filled, row, None))

    def _blame(self, columns: int | None) -> NoReturn:
        """Raises what names the first line with another number of columns or a cell that is no number."""
        for row, line in enumerate(self.rows):
            where = f"line {self._line_number(row)} of {self.path}"
            cells = _cells(line)
            if columns is not None and len(cells) != columns:
                raise DataError(
                    f"{where} must have {columns} columns, like the first", len(cells), "repair the line"
                )
            for column, cell in enumerate(cells):
                if not NUMBER.fullmatch(cell) or abs(float(cell)) > LARGEST:
                    raise DataError(
                        f"{where} must hold finite numbers",
                        f"{cell[:40]!r} in column {column}",
                        "remove or replace such cells, or write labels as numbers",
                    )
        raise DataError(
            f"{self.path} must be lines of numbers separated by commas", "other text", "convert it"
        )


def _blocks(stream: Stream, path: Path) -> Iterator[_Block]:
    """The file in blocks of whole lines."""
    rest, first, total = b"", 1, 0
    while text := stream.read(BLOCK):
        total += len(text)
        head, newline, rest = (rest + text).rpartition(b"\n")
        if len(rest) > MAX_LINE or total > BYTE_BUDGET:
            raise DataError(
                f"{path} must hold at most {MAX_LINE:,} bytes a line and {BYTE_BUDGET:,} in all",
                "more",
                "use a smaller file",
            )
        if newline:
            yield _Block(path, first, head)
            first += head.count(b"\n") + 1
    if rest:
        yield _Block(path, first, rest)


def _joined(blocks: list[Features]) -> Features:
    """One array: uint8 if all are, else float32."""
    dtype = np.result_type(*blocks)
    X = np.empty((sum(map(len, blocks)), blocks[0].shape[1]), dtype)
    return np.concatenate(blocks, out=X)


def _first_line(block: _Block) -> tuple[list[str] | None, int]:
    """The header's names, if there is a header (which is then dropped), and the number of columns."""
    if not block.rows:
        return None, 0
    cells = [cell.strip() for cell in _cells(block.rows[0])]
    if all(map(_is_number, cells)):
        return None, len(cells)
    block.drop_first_row()
    return cells, len(cells)


def _is_number(cell: str) -> bool:
    """Whether the cell belongs to a row of numbers: nan, inf and an empty cell do, to be refused there."""
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return line.split(",")
