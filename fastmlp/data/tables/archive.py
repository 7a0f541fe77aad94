"""Archives: an .npz whose arrays are columns of one length, by their names, to a Table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastmlp.data import npy
from fastmlp.data.array_names import named_pairs
from fastmlp.data.table import Kind, Table
from fastmlp.data.tables.convert import as_kinds
from fastmlp.data.tables.frames import from_frame
from fastmlp.errors import DataError


def is_table(path: Path) -> bool:
    """Tell whether an .npz is a table, not arrays of rows and labels; False for what cannot be read."""
    try:
        with npy.archive(path) as file:
            return bool(file.names) and not named_pairs(file)
    except DataError:
        return False


def read(path: Path, kinds: Mapping[str, Kind] | None = None) -> Table:
    """The Table of an .npz. Raises DataError."""
    with npy.archive(path) as file:
        columns = {name: file.read(name, texts=True) for name in file.names}
    return as_kinds(from_frame(columns, str(path)), kinds)
