"""Text tables, CSV and its like: a file or a stream to a Table, whole or in chunks."""

from __future__ import annotations

import gzip
import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from fastmlp.data.table import Kind, Table
from fastmlp.data.tables.blocks import BLOCK, Resumed, begin, blocks, without_returns
from fastmlp.data.tables.gather import Source, gathered, in_chunks
from fastmlp.data.tables.head import Head, head_of, looks_like_a_table
from fastmlp.data.tables.rows import Rows, decoded, rows_of
from fastmlp.errors import DataError
from fastmlp.files.bounded import Stream, opened, translated


def read(
    path: Path,
    kinds: Mapping[str, Kind] | None = None,
    *,
    mixed: Collection[str] = (),
    size: int | None = None,
    arrow: ModuleType | None = None,
) -> Table:
    """The Table in a file; see the package's ``read``.

    size: bytes that are read together. arrow: pyarrow, where it is to be used.
    """
    blocks = _Blocks(path, size or _size(arrow), arrow)
    lenient = kinds is not None
    source = Source(str(path), blocks.head.separator, kinds=kinds or {}, lenient=lenient, mixed=mixed)
    return _table(blocks, blocks.head, source)


def _size(arrow: ModuleType | None) -> int:
    return BLOCK * 4 if arrow else BLOCK


def _table(blocks: Iterable[Rows], head: Head, source: Source) -> Table:
    table = gathered(blocks, head.names, range(head.first, head.columns), source, head.told)
    if head.names[-1]:
        return table
    spare = table.columns[-1].missing
    if not spare.all():
        raise DataError(
            f"{table.row(int(spare.argmin()))} must be empty in its last column, which has no name",
            "another cell",
            "name the column, or remove it",
        )
    return table.without([""])


def is_table(path: Path) -> bool:
    """Tell whether a file looks like a table; False for what cannot be read."""
    try:
        with opened(path) as (stream, _):
            text = begin(stream, str(path))
            return looks_like_a_table(without_returns(text).decode("utf-8", "replace"), not stream.read(1))
    except DataError:
        return False


class _Blocks:
    """The rows of a file in blocks, as often as they are asked for."""

    def __init__(self, path: Path, size: int, arrow: ModuleType | None) -> None:
        self.path, self.size, self.arrow = path, size, arrow
        with opened(path) as (stream, _):
            self.head, _ = begun(stream, str(path))

    def __iter__(self) -> Iterator[Rows]:
        with opened(self.path) as (stream, _):
            rest = _rest(begin(stream, str(self.path)), stream, self.head)
            yield from _rows(rest, self.head, str(self.path), self.size, self.arrow)


def chunks(
    file: Any,
    rows: int,
    kinds: Mapping[str, Kind] | None = None,
    *,
    size: int | None = None,
    arrow: ModuleType | None = None,
) -> Iterator[Table]:
    """Tables of so many rows, the last one perhaps of fewer, of a path or of a binary stream.

    Without kinds those of the first chunk hold for the others.
    """
    where = str(file) if isinstance(file, Path) else "standard input"
    size = size or _size(arrow)
    with opened(file) if isinstance(file, Path) else _stream(file) as (stream, _):
        head, rest = begun(stream, where)
        source = Source(where, head.separator, kinds=kinds or {}, lenient=kinds is not None)
        for held in in_chunks(_rows(rest, head, where, size, arrow), rows):
            table = _table(held, head, source)
            if kinds is None:
                kinds = {column.name: column.kind for column in table.columns if not column.missing.all()}
                source = Source(where, head.separator, kinds=kinds, known="the first rows")
            yield table


def begun(stream: Stream, where: str) -> tuple[Head, Resumed]:
    """The head of a text, and the stream of its rows."""
    text = begin(stream, where)
    more = stream.read(1)
    head = head_of(without_returns(text).decode("utf-8", "replace"), where, whole=not more)
    decoded(b"\n".join(text.split(b"\n", head.begins - 1)[: head.begins - 1]), 1, where)
    return head, _rest(text + more, stream, head)


def _rest(text: bytes, stream: Stream, head: Head) -> Resumed:
    """The stream from where the rows begin; text: what was read of it."""
    lines = text.split(b"\n", head.begins - 1)
    return Resumed(lines[-1] if len(lines) == head.begins else b"", stream)


def _rows(stream: Resumed, head: Head, where: str, size: int, arrow: ModuleType | None) -> Iterator[Rows]:
    for block in blocks(stream, head.separator, where, head.begins, size):
        if found := rows_of(block, head.separator, head.columns, where, arrow):
            yield found


@contextmanager
def _stream(file: Any) -> Iterator[tuple[Stream, int]]:
    """A binary stream, unpacked where it is gzip."""
    if isinstance(file, io.TextIOBase):
        raise DataError("a stream must be binary", "one of text", "give its .buffer")
    with translated(Path("standard input")):
        buffered = file if hasattr(file, "peek") else io.BufferedReader(file)
        if buffered.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=buffered, mode="rb") as unpacked:
                yield cast(Stream, unpacked), 0
        else:
            yield cast(Stream, buffered), 0
