"""What is shown of a Dataset, its rows, columns and targets, and of a net's inputs. Nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.columns import Columns
from fastmlp.data.table import KINDS, Table
from fastmlp.data.targets import CALLED
from fastmlp.display import Display, ends, listed
from fastmlp.net import Preprocessing

if TYPE_CHECKING:
    from fastmlp.data.dataset import Dataset


def display_of(data: Dataset) -> Display:
    """A table of the classes or the targets, under what the rows are."""
    N, D = data.X.shape
    facts: list[tuple[str, Any]] = [("source", data.source), ("rows", _rows_in_words(data))]
    if isinstance(data.X, Table):
        facts.append(("columns", listed(data.X.names, 6)))
    title = f"Dataset {data.name}: {N:,} rows of {D:,} column{'s' * (D > 1)}"
    if len(data.y_test):
        title += f", {len(data.y_test):,} to test on"
    facts.append(("targets", CALLED[data.targets]))
    heading, rows = (_classes if data.targets == "labels" else _targets)(data)
    return Display(title, facts, heading, rows, data.told)


def _rows_in_words(data: Dataset) -> str:
    X = data.X
    if isinstance(X, Table):
        counts = {kind: sum(column.kind == kind for column in X.columns) for kind in KINDS}
        return ", ".join(f"{count:,} {kind}{'s' * (count > 1)}" for kind, count in counts.items() if count)
    if data.image_shape is not None:
        return f"images of {data.image_shape[0]} x {data.image_shape[1]}, {X.dtype}"
    return f"sparse {X.dtype}, {X.nnz:,} values stored" if hasattr(X, "nnz") else f"{X.dtype}"


def _classes(data: Dataset) -> tuple[tuple[str, ...], list[tuple[Any, ...] | None]]:
    """The rows of each class; of very many classes the first and the last."""
    K = len(data.classes)
    counts = [np.bincount(np.asarray(y), minlength=K) for y in (data.y, data.y_test)]
    rows = [
        None if k is None else (str(data.classes[k]), int(counts[0][k]), int(counts[1][k]))
        for k in ends(range(K))
    ]
    return ("class", "rows", "to test on"), rows


def _targets(data: Dataset) -> tuple[tuple[str, ...], list[tuple[Any, ...] | None]]:
    """The range of each column of targets."""
    y: NDArray[Any] = data.y
    rows = [
        None if k is None else (f"{k}", float(y[:, k].min()), float(y[:, k].mean()), float(y[:, k].max()))
        for k in ends(range(y.shape[1]))
        if len(y)
    ]
    return ("target", "least", "mean", "largest"), rows


def inputs_in_words(inputs: int, done: Preprocessing, columns: Columns | None) -> str:
    """Say how many inputs there are, and what is done to them: a word scales a table's numbers alone."""
    each = f"{inputs:,}, each {done.in_words()}"
    if columns is None or not done.by_column or columns.numeric.all():
        return each
    if not (np.asarray(done.scale)[~columns.numeric] == 1).all():
        return each
    count = int(columns.numeric.sum())
    return f"{inputs:,}: {count:,} number{'s' * (count != 1)}, each {done.in_words()}; the others 0 or 1"
