"""Tables: from frames and files to a Table. A first form: what pandas reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastmlp.data.table import Column, Kind, Table

_ENDS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".feather", ".arrow")


def is_frame(X: Any) -> bool:
    """Tell whether it is a frame of pandas or polars, or a dict of columns."""
    home = type(X).__module__.split(".")[0]
    return isinstance(X, dict) or (home in ("pandas", "polars") and type(X).__name__ == "DataFrame")


def is_table_file(path: Any) -> bool:
    """Tell by the end of its name whether a file holds a table."""
    return str(path).lower().endswith(_ENDS)


def from_frame(X: Any) -> Table:
    """The table of a frame."""
    names = list(X) if isinstance(X, dict) else list(X.columns)
    return Table(tuple(_column(str(name), X[name]) for name in names))


def read(path: Any, *, kinds: Mapping[str, Kind] | None = None) -> Table:
    """The table of a CSV file."""
    import pandas  # type: ignore[import-untyped]

    table = from_frame(pandas.read_csv(path, sep=None, engine="python"))
    return replace(table, where=str(path), lines=np.arange(len(table)) + 2)


def _column(name: str, values: Any) -> Column:
    cells = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if cells.dtype.kind in "OU":
        cells = cells.astype(object)
        is_there = np.array([cell is not None and cell == cell for cell in cells.tolist()], bool)
        types = {type(cell) for cell in cells[is_there].tolist()}
        if types <= {bool}:
            return Column(name, "flag", np.where(is_there, cells == True, -1).astype(np.int8))  # noqa: E712
        if not types <= {int, float}:
            words = sorted({str(cell) for cell in cells[is_there].tolist()})
            places = {word: place for place, word in enumerate(words)}
            codes = [
                places.get(str(cell), -1) if here else -1 for cell, here in zip(cells, is_there, strict=True)
            ]
            return Column(name, "text", np.array(codes, np.int32), tuple(words))
        cells = np.where(is_there, cells, np.nan)
    if cells.dtype.kind == "b":
        return Column(name, "flag", cells.astype(np.int8))
    numbers = cells.astype(np.float64)
    there = numbers[~np.isnan(numbers)]
    return Column(name, "number", numbers, whole=bool((there == np.floor(there)).all()))
