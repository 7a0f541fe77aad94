"""Tables of files, streams and frames: what people have, to a Table. Nothing is fitted or scaled here.

text.py reads CSV and its like, arrow.py Parquet, Feather and Arrow, frames.py frames.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from fastmlp.checks import whole_number
from fastmlp.data.table import Kind, Table
from fastmlp.data.tables import archive, arrow, pictures, text
from fastmlp.data.tables.frames import column_of, from_frame, is_frame
from fastmlp.data.tables.rows import arrow_or_none
from fastmlp.files import PathLike, path_of

__all__ = [
    "chunks",
    "column_of",
    "from_frame",
    "is_frame",
    "is_table_file",
    "read",
    "read_pictures",
]

TEXT = (".csv", ".tsv", ".tab", ".data")


def is_table_file(path: PathLike) -> bool:
    """Tell by its name whether a file is a table; .txt and .npz are looked into."""
    path = path_of("data", path)
    name = path.name.lower()
    if name.endswith(".npz"):
        return archive.is_table(path)
    if name.removesuffix(".gz").endswith(".txt"):
        return text.is_table(path)
    return name.removesuffix(".gz").endswith(TEXT) or name.endswith(arrow.PARQUET + arrow.ARROW)


def read(path: PathLike, *, kinds: Mapping[str, Kind] | None = None, mixed: Collection[str] = ()) -> Table:
    """Read the Table in a file, by the end of its name.

    kinds: by name of a column the kind that its cells are read as, as a model knows it; a cell that is not is
           an error. Without them kinds are found from the cells. Files whose columns have types are read as
           these are, and Columns.encode makes of them what the model knows.
    mixed: names of columns that are text where words stand among numbers, in place of an error.
    Raises DataError with file, line and column.
    """
    path = path_of("data", path)
    if path.name.lower().endswith(arrow.PARQUET + arrow.ARROW):
        return arrow.read(path)
    if path.name.lower().endswith(".npz"):
        return archive.read(path)
    return text.read(path, kinds, mixed=mixed, arrow=arrow_or_none())


def read_pictures(path: PathLike, label: str | int | None = None) -> pictures.Pictures | None:
    """Read a text table of pictures, a byte a pixel; None where a file is no such table. See pictures.py."""
    path = path_of("data", path)
    name = path.name.lower().removesuffix(".gz")
    return pictures.read(path, label) if name.endswith((*TEXT, ".txt")) else None


def chunks(file: Any, rows: int = 65_536, *, kinds: Mapping[str, Kind] | None = None) -> Iterator[Table]:
    """Read a table of a path, or of a binary stream of CSV, in Tables of so many rows, the last one of fewer.

    Memory is that of some chunks, whatever the length. Without kinds those of the first chunk hold for all.
    """
    rows = whole_number("rows", rows, 1, 2**31)
    if hasattr(file, "read"):
        return text.chunks(file, rows, kinds, arrow=arrow_or_none())
    path: Path = path_of("data", file)
    if path.name.lower().endswith(arrow.PARQUET + arrow.ARROW):
        return arrow.chunks(path, rows)
    if path.name.lower().endswith(".npz"):
        table = archive.read(path)
        return (table[at : at + rows] for at in range(0, len(table), rows))
    return text.chunks(path, rows, kinds, arrow=arrow_or_none())
