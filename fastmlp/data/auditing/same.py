"""Columns that say the same: the same numbers but for their unit, the same categories but for their names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.auditing.facts import ColumnFacts
from fastmlp.data.auditing.leaks import same_line
from fastmlp.data.table import Column

MOST_COLUMNS = 2_000  # of numbers that are compared
_ROWS = 2_000  # on which pairs are sought, before they are compared in all rows
_LIKELY = 0.999
_BESIDE = 5  # rows that are not of the commonest value: fewer may be the same by chance


def same_columns(columns: Sequence[Column], facts: Mapping[str, ColumnFacts]) -> list[tuple[str, ...]]:
    """Groups of columns that say the same, in the table's order."""
    groups: dict[bytes, list[str]] = defaultdict(list)
    for column in columns:
        few = facts[column.name].distinct <= len(column) // 4
        if few and (key := _parts(column)) is not None:
            groups[key].append(column.name)
    found = [tuple(names) for names in groups.values() if len(names) > 1]
    seen = {name for names in found for name in names[1:]}
    numbers = [c for c in columns if c.kind in ("number", "time") and c.name not in seen]
    return sorted(found + _on_one_line(numbers), key=lambda names: [c.name for c in columns].index(names[0]))


def _parts(column: Column) -> bytes | None:
    """A sum of how a column parts the rows, whatever its values are called; None where that says little."""
    values = np.where(column.missing, np.nan, column.values.astype(np.float64))
    _, firsts, places, counts = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
    if len(counts) < 2 or len(values) - counts.max() < _BESIDE:
        return None
    ranks = np.empty(len(firsts), np.int32)
    ranks[np.argsort(firsts)] = np.arange(len(firsts), dtype=np.int32)
    return hashlib.sha256(ranks[places].tobytes()).digest()


def _on_one_line(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    """Groups of columns of numbers of which each is a multiple of the first, and a constant."""
    if not 1 < len(columns) <= MOST_COLUMNS:
        return []
    n = len(columns[0])
    rows = np.arange(n) if n <= _ROWS else np.linspace(0, n - 1, _ROWS).astype(np.int64)
    Z = np.stack([_standard(column.values[rows].astype(np.float64)) for column in columns])
    likely = np.argwhere(np.triu(np.abs(Z @ Z.T) > _LIKELY, 1))
    taken: dict[int, int] = {}
    groups: dict[int, list[str]] = {}
    for i, j in likely[: 10 * MOST_COLUMNS].tolist():
        first = taken.get(i, i)
        if j in taken or not _same(columns[first], columns[j]):
            continue
        taken[j] = first
        groups.setdefault(first, [columns[first].name]).append(columns[j].name)
    return [tuple(names) for names in groups.values()]


def _same(first: Column, second: Column) -> bool:
    x, y = first.values.astype(np.float64), second.values.astype(np.float64)
    there = np.isfinite(x) & np.isfinite(y)
    return there.sum() >= len(x) / 2 and same_line(x[there], y[there])


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values less their mean, of length 1; gaps at the mean."""
    there = np.isfinite(values)
    if not there.any():
        return np.zeros(len(values))
    with np.errstate(all="ignore"):
        away = np.where(there, values - values[there].mean(), 0.0)
        length = float(np.sqrt(np.square(away).sum()))
    return away / length if 0 < length < np.inf else np.zeros(len(values))
