"""The number type in which an estimator computes: decided here and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import LARGEST
from fastmlp.data.sparse import is_scipy_sparse
from fastmlp.model import load_backend

Array = NDArray[Any]

DTYPES = ("auto", "float32", "float64")
FEW = 5000  # values of X: up to so many, ``auto`` computes in float64 whatever is not float32
FAINT = 1e-15  # weight of a row: alpha over those of a batch, squared by Adam, may be more than float32 holds
NARROW = 1e-5  # spread of a column by its magnitude: under it, float32 would keep two digits or less


def dtype_of_fit(
    asked: str, X: Any, y: Array, solver: str, weights: Array | None = None
) -> type[np.floating[Any]]:
    """The number type of a net that begins with X (N, D) and y: as asked, or float32 or float64 by ``auto``.

    float32 X: float32. All else counts as float64, which it stays with lbfgs, for FEW values, and where
    float32 would lose what a column, or a target, is about, or the weights (N,) of rows are FAINT.
    """
    if asked != "auto":
        return np.float32 if asked == "float32" else np.float64
    if X.dtype == np.float32:
        return np.float32
    few = X.shape[0] * X.shape[1] <= FEW
    lost = few or solver == "lbfgs" or is_lost(X) or is_lost(y) or is_faint(weights)
    return np.float64 if lost else np.float32


def dtype_of_coefs(asked: str, X: Any) -> type[np.floating[Any]]:
    """The number type of coefs_, which is X's as in scikit-learn, whatever a fit by ``auto`` computes in."""
    is_single = asked == "float32" or (asked == "auto" and X.dtype == np.float32)
    return np.float32 if is_single else np.float64


def is_lost(columns: Any) -> bool:
    """Tell whether float32 cannot hold (N, D), or would lose what some column varies by.

    A column that does not vary is measured by the widest: beside its own size, others are lost in a sum.
    """
    if columns.dtype.kind == "b" or (columns.dtype.kind in "iu" and columns.dtype.itemsize <= 2):
        return False
    if is_scipy_sparse(columns):
        columns = _full_columns(columns)
    if columns.ndim != 2 or not columns.size:
        return False
    lowest, highest = (side(axis=0).astype(np.float64) for side in (columns.min, columns.max))
    spread, size = highest - lowest, np.maximum(np.abs(lowest), np.abs(highest))
    if size.max() > LARGEST:
        return True
    return bool((np.where(spread == 0, spread.max(), spread) < NARROW * size).any())


def is_faint(weights: Array | None) -> bool:
    """Tell whether a weight of the rows (N,) is under FAINT, as one that decays with age may be; 0 is not."""
    return weights is not None and bool(((weights > 0) & (weights < FAINT)).any())


def _full_columns(X: Any) -> Array:
    """The columns of a CSR matrix in which every row has a value: a zero is spread enough for others."""
    full = np.flatnonzero(np.bincount(X.indices, minlength=X.shape[1]) >= X.shape[0])
    columns: Array = X[:, full].toarray()
    return columns


def laid_out(X: Any, dtype: np.dtype[Any]) -> Any:
    """X (N, D) as the kernels read it for a net of that number type, once for many epochs."""
    return X.astype(np.float64, copy=False) if dtype == np.float64 else load_backend("numba").encode(X)


def output_dtype(X: Any, parameters_dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The number type of outputs, as in scikit-learn: float32 where X and the net both are."""
    return np.dtype(np.float32 if X.dtype == parameters_dtype == np.float32 else np.float64)
