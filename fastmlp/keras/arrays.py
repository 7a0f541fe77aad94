"""x and y as programs give them, checked against the model: rows for the engine, class indices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import as_array, as_float
from fastmlp.data.sparse import as_csr, is_scipy_sparse
from fastmlp.errors import DataError
from fastmlp.keras.missing import missing


def inputs_of(x: Any, inputs: int | None, name: str = "x") -> Any:
    """x as an array of numbers (N, D), whose values the engine's ``encode`` is left to check.

    A scipy.sparse matrix is taken as it is, in rows. Raises DataError unless D is ``inputs`` (None: any).
    """
    if x is None:
        raise DataError(f"{name} must be given", "None")
    rows = as_csr(x) if is_scipy_sparse(x) else as_array(name, x)
    if rows.dtype.kind not in "buif":
        raise DataError(f"{name} must hold numbers", f"dtype {rows.dtype}")
    if rows.ndim != 2 or inputs not in (None, rows.shape[1]):
        wanted = f"(N, {'D' if inputs is None else inputs})"
        raise DataError(f"{name} must have shape {wanted}", rows.shape, f"reshape it to {wanted}")
    if 0 in rows.shape:
        raise DataError(f"{name} must hold at least one value", f"shape {rows.shape}")
    return rows


def classes_of(y: Any, n: int, K: int, sparse: bool, name: str = "y") -> NDArray[np.int64]:
    """Class indices (n,) from one-hot rows (n, K), or from indices (n,) or (n, 1) where ``sparse``.

    Raises DataError, and MissingError for rows that are not one-hot.
    """
    if y is None:
        raise DataError(f"{name} must be given", "None")
    given = as_array(name, y)
    if len(given.shape) == 0 or len(given) != n:
        raise DataError(f"x and {name} must have as many rows", f"{n} and {given.shape}")
    return _indices(given, K, name) if sparse else _hot(given, K, name)


def split(x: Any, y: Any, share: float) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Training and validation part: the last ``share`` of the rows, unshuffled. Raises DataError."""
    share = as_float(share)
    if not 0 < share < 1:
        raise DataError("validation_split must be a number between 0 and 1", f"{share:g}")
    N = x.shape[0]
    at = math.floor(N * (1 - share))
    if at in (0, N):
        raise DataError("validation_split must leave rows on both sides", f"{share:g} of {N} rows")
    return (x[:at], y[:at]), (x[at:], y[at:])


def _hot(y: NDArray[Any], K: int, name: str) -> NDArray[np.int64]:
    if y.ndim != 2 or y.shape[1] != K:
        raise DataError(
            f"{name} must be one-hot rows of shape (N, {K})", y.shape,
            "use utils.to_categorical, or the loss sparse_categorical_crossentropy for class indices",
        )  # fmt: skip
    indices: NDArray[np.int64] = y.argmax(axis=1)
    ones = y[np.arange(len(y)), indices] == 1
    if not ones.all() or np.count_nonzero(y) != len(y):
        raise missing(f"training on shares of classes ({name})", "each row must have one 1, and zeros")
    return indices


def _indices(y: NDArray[Any], K: int, name: str) -> NDArray[np.int64]:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(
            f"{name} must be class indices of shape (N,)", y.shape,
            "use the loss categorical_crossentropy for one-hot rows",
        )  # fmt: skip
    if len(y) and not 0 <= y.min() <= y.max() < K:  # so for nan
        raise DataError(f"{name} must be class indices from 0 to {K - 1}", f"{y.min()} .. {y.max()}")
    indices = y.astype(np.int64)
    if not np.array_equal(indices, y):
        raise DataError(f"{name} must be whole numbers", f"dtype {y.dtype}")
    return indices
