"""Encoded: the one compact form of X that the kernels read, built once and shared by trainings.

Values keep their type (uint8 or float32) and are never scaled or centred here. Where most are
zero, only the others are kept (compressed sparse rows); else the array itself is walked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.errors import DataError

SPARSE_BELOW = 0.5  # share of non-zero values under which a row is walked by its non-zeros

_CHUNK = 1 << 22  # values looked at together while encoding


@dataclass(frozen=True)
class Encoded:
    """X (N, D) as rows of (column, value) pairs.

    Row i holds ``values[starts[i] : starts[i + 1]]``, uint8 or float32. Its columns are the same
    slice of ``columns`` where ``sparse``, else ``columns`` is range(D) for every row.
    counts (D,): how many pairs each column has.
    """

    shape: tuple[int, int]
    sparse: bool
    starts: NDArray[np.int64]
    columns: NDArray[np.uint16] | NDArray[np.int32]
    values: NDArray[np.uint8] | NDArray[np.float32]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def longest(self) -> int:
        """Pairs in the longest row."""
        return int(np.diff(self.starts).max(initial=0))

    def describe(self) -> str:
        """How it is stored, for people."""
        share = len(self.values) / max(1, self.shape[0] * self.shape[1])
        return f"sparse rows, {share:.1%} non-zero" if self.sparse else f"dense {self.values.dtype} rows"


def as_matrix(X: ArrayLike) -> NDArray[Any]:
    """X as a C-contiguous (N, D) array of uint8 or finite float32; raises DataError.

    Pictures (N, rows, columns) are flattened. Other number types become float32.
    """
    array = np.asarray(X)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.dtype.kind not in "uif":
        raise DataError("X must hold numbers", f"dtype {array.dtype}")
    if array.ndim < 2 or array.size == 0:
        raise DataError("X must be a table of shape (N, D) with at least one value", f"shape {array.shape}")
    array = array.reshape(len(array), -1)
    if array.dtype != np.uint8:
        with np.errstate(over="ignore"):
            array = array.astype(np.float32, copy=False)
        finite = np.isfinite(array)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise DataError(
                "X must be finite in float32",
                f"{array[row, column]} in row {row}, column {column} (both from 0)",
                "remove or replace such values",
            )
    return np.ascontiguousarray(array)


def encode(X: ArrayLike | Encoded, *, center: bool = False, once: bool = False) -> Encoded:
    """X (N, D) in the form the kernels read; an Encoded is returned as it is.

    ``center`` says that the mean will be subtracted, which makes zeros count: rows stay dense.
    ``once`` says that one pass will be made: looking for the zeros would cost more than it saves.
    Raises DataError.
    """
    if isinstance(X, Encoded):
        if center and X.sparse:
            raise DataError("data that is to be centred must be encoded with center=True", "sparse rows")
        return X
    X = as_matrix(X)
    N, D = X.shape
    index: Any = np.uint16 if D <= 2**16 else np.int32
    rows = max(1, _CHUNK // D)
    nonzeros = np.zeros(N, np.int64)
    counts = np.zeros(D, np.int64)
    dense = center or once
    if not dense:
        for start in range(0, N, rows):
            present = X[start : start + rows] != 0
            nonzeros[start : start + rows] = np.count_nonzero(present, axis=1)
            counts += np.count_nonzero(present, axis=0)
    if dense or nonzeros.sum() >= SPARSE_BELOW * X.size:
        starts = np.arange(N + 1, dtype=np.int64) * D
        return Encoded((N, D), False, starts, np.arange(D, dtype=index), X.reshape(-1), np.full(D, N))
    starts = np.concatenate([[0], np.cumsum(nonzeros)])
    columns = np.empty(starts[-1], index)
    values = np.empty(starts[-1], X.dtype)
    for start in range(0, N, rows):
        chunk = X[start : start + rows]
        where = np.flatnonzero(chunk)
        part = slice(starts[start], starts[min(start + rows, N)])
        columns[part] = where % D
        values[part] = chunk.reshape(-1)[where]
    return Encoded((N, D), True, starts, columns, values, counts)
