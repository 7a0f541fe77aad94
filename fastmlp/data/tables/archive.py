"""Archives: an .npz whose arrays are columns of one length, by their names, to a Table."""

from __future__ import annotations

from pathlib import Path

from fastmlp.data import npy
from fastmlp.data.table import Table
from fastmlp.data.tables.frames import from_frame
from fastmlp.errors import DataError


def is_table(path: Path) -> bool:
    """Tell whether an .npz is a table, not arrays of rows and labels; False for what cannot be read."""
    try:
        with npy.archive(path) as file:
            return bool(file.names) and not file.has_pairs
    except DataError:
        return False


def read(path: Path) -> Table:
    """The Table of an .npz. Raises DataError."""
    with npy.archive(path) as file:
        columns = {name: file.read(name, texts=True) for name in file.names}
    nested = next((name for name, values in columns.items() if values.ndim != 1), None)
    if nested is not None:
        raise DataError(
            f"{path} must hold arrays called x_train and y_train, or X and y, or else columns of one axis",
            f"{nested!r:.40} of shape {columns[nested].shape}",
            "save them under those names",
        )
    return from_frame(columns, str(path))
