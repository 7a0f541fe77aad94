"""Text tables, CSV and its like: a file or a stream to a Table, whole or in chunks."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from fastmlp.data.table import Kind, Table
from fastmlp.data.tables.blocks import BLOCK, begin, blocks, without_returns
from fastmlp.data.tables.gather import Source, gathered, in_chunks
from fastmlp.data.tables.head import Head, head_of
from fastmlp.data.tables.rows import Rows, rows_of
from fastmlp.files.bounded import Stream, opened, translated

HEAD = 1 << 16  # bytes that are read at least before the head is found


def read(
    path: Path, kinds: Mapping[str, Kind] | None = None, *, size: int = BLOCK, arrow: ModuleType | None = None
) -> Table:
    """The Table in a file. size: bytes that are read together. arrow: pyarrow, where it is to be used."""
    blocks = _Blocks(path, size, arrow)
    source = Source(str(path), blocks.head.separator, kinds=kinds or {}, lenient=kinds is not None)
    head = blocks.head
    return gathered(blocks, head.names, range(head.first, head.columns), source, head.told)


class _Blocks:
    """The rows of a file in blocks, as often as they are asked for."""

    def __init__(self, path: Path, size: int, arrow: ModuleType | None) -> None:
        self.path, self.size, self.arrow = path, size, arrow
        with opened(path) as (stream, _):
            self.head, _ = _begun(stream, str(path), size)

    def __iter__(self) -> Iterator[Rows]:
        with opened(self.path) as (stream, _):
            head, text = _begun(stream, str(self.path), self.size)
            yield from _rows(text, stream, head, str(self.path), self.size, self.arrow)


def chunks(
    file: Any,
    rows: int,
    kinds: Mapping[str, Kind] | None = None,
    *,
    size: int = BLOCK,
    arrow: ModuleType | None = None,
) -> Iterator[Table]:
    """Tables of so many rows, the last one perhaps of fewer, of a path or of a binary stream.

    Without kinds those of the first chunk hold for the others.
    """
    where = str(file) if isinstance(file, Path) else "standard input"
    with opened(file) if isinstance(file, Path) else _stream(file) as (stream, _):
        head, text = _begun(stream, where, size)
        source = Source(where, head.separator, kinds=kinds or {}, lenient=kinds is not None)
        for held in in_chunks(_rows(text, stream, head, where, size, arrow), rows):
            table = gathered(held, head.names, range(head.first, head.columns), source, head.told)
            if kinds is None:
                kinds = {column.name: column.kind for column in table.columns if not column.missing.all()}
                source = Source(where, head.separator, kinds=kinds)
            yield table


def _begun(stream: Stream, where: str, size: int) -> tuple[Head, bytes]:
    """The head of a text, and what was read of it beyond."""
    text = begin(stream, where, max(size, HEAD))
    more = stream.read(1)
    head = head_of(without_returns(text).decode("utf-8", "replace"), where, whole=not more)
    text += more
    return head, text.split(b"\n", head.begins - 1)[-1] if text.count(b"\n") >= head.begins - 1 else b""


def _rows(
    text: bytes, stream: Stream, head: Head, where: str, size: int, arrow: ModuleType | None
) -> Iterator[Rows]:
    for block in blocks(text, stream, head.separator, where, head.begins, size):
        if found := rows_of(block, head.separator, head.columns, where, arrow):
            yield found


@contextmanager
def _stream(file: Any) -> Iterator[tuple[Stream, int]]:
    """A binary stream, unpacked where it is gzip."""
    with translated(Path("standard input")):
        buffered = file if hasattr(file, "peek") else io.BufferedReader(file)
        if buffered.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=buffered, mode="rb") as unpacked:
                yield cast(Stream, unpacked), 0
        else:
            yield cast(Stream, buffered), 0
