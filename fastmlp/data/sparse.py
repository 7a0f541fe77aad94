"""scipy.sparse matrices from outside: looked at before scipy's compiled code walks them, which trusts them.

Their arrays can be changed by anybody after scipy has checked them; a row start or a column out of range then
ends the process. Here NumPy alone looks, and scipy itself is not loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.errors import DataError

_SCIPY_HAS_NONE = np.float16  # of this number type


def is_scipy_sparse(X: Any) -> bool:
    """Tell whether X is one of scipy.sparse's matrices or arrays; scipy itself is not loaded."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(X))


def as_csr(X: Any) -> Any:
    """A scipy.sparse matrix (N, D) of real numbers in rows, sound; itself, if it is. Raises DataError."""
    if X.ndim != 2 or X.shape[0] == 0 or X.shape[1] == 0:
        raise DataError("X must be a table of shape (N, D) with at least one value", f"shape {X.shape}")
    check_sound(X)
    if X.dtype.kind not in "buif":
        raise DataError("X must hold numbers", f"dtype {X.dtype}")
    if X.format == "csr" and X.dtype != _SCIPY_HAS_NONE:
        return X
    try:
        X = (X.astype(np.float32) if X.dtype == _SCIPY_HAS_NONE else X).tocsr()
    except MemoryError:
        raise
    except Exception as problem:  # whatever scipy says of number types and keys
        raise _unsound(X, " ".join(str(problem).split()) or type(problem).__name__) from None
    check_sound(X)
    return X


def check_sound(X: Any) -> None:
    """Raise DataError for a scipy.sparse matrix that scipy's compiled code could not be trusted with.

    Whatever is no scipy.sparse matrix passes, and so do number types and shapes that others refuse.
    """
    if not is_scipy_sparse(X):
        return
    try:
        problem = _LOOKS[X.format](X)
    except Exception as error:  # arrays replaced by whatever it is
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise _unsound(X, problem)


def _unsound(X: Any, problem: str) -> DataError:
    return DataError(
        f"X must be a sound {X.format.upper()} matrix", problem, "build it again from its rows and columns"
    )


def _compressed(X: Any) -> str:
    """Fault of a CSR, CSC or BSR matrix; nothing: ''."""
    R, C = X.blocksize if X.format == "bsr" else (1, 1)
    if X.ndim == 1:
        N, D = 1, X.shape[0]
    else:
        N, D = X.shape[::-1] if X.format == "csc" else X.shape
    if X.format == "bsr" and not (min(R, C) > 0 and N % R == D % C == 0 and X.data.shape[1:] == (R, C)):
        return f"blocks of {X.data.shape[1:]} in shape {X.shape}"
    starts, indices = X.indptr, X.indices
    if not (
        _are_indices(starts) and _are_indices(indices) and _is_array(X.data, 3 if X.format == "bsr" else 1)
    ):
        return "row starts, column numbers or values that are no such array"
    if len(starts) != N // R + 1 or len(indices) != len(X.data):
        return f"{len(starts)} row starts, {len(indices)} column numbers and {len(X.data)} values"
    if starts[0] != 0 or starts[-1] > len(indices) or (starts[1:] < starts[:-1]).any():
        return "row starts that are out of range or fall"
    return _in_range(indices[: starts[-1]], D // C, "column")


def _coordinates(X: Any) -> str:
    """Fault of a COO matrix."""
    coordinates = X.coords if hasattr(X, "coords") else (X.row, X.col)  # before scipy 1.13
    if not _is_array(X.data, 1):
        return "values that are no such array"
    for axis, (where, size) in enumerate(zip(coordinates, X.shape, strict=True)):
        if not _are_indices(where) or len(where) != len(X.data):
            return f"{len(X.data)} values and other coordinates"
        if problem := _in_range(where, size, "column" if axis else "row"):
            return problem
    return ""


def _diagonals(X: Any) -> str:
    """Fault of a DIA matrix."""
    offsets = X.offsets
    if not _is_array(X.data, 2) or not _are_indices(offsets) or len(offsets) != len(X.data):
        return "diagonals and offsets that do not fit"
    if len(np.unique(offsets)) != len(offsets):
        return "an offset twice"
    if len(offsets) and not -X.shape[0] < offsets.min() <= offsets.max() < X.shape[1]:
        return f"offset {offsets.min()} .. {offsets.max()} in shape {X.shape}"
    return ""


def _lists(X: Any) -> str:
    """Fault of a LIL matrix."""
    if not X.shape[0] == len(X.rows) == len(X.data):
        return f"{len(X.rows)} lists of columns and {len(X.data)} of values for {X.shape[0]} rows"
    for columns, values in zip(X.rows, X.data, strict=True):
        if len(columns) != len(values):
            return f"{len(columns)} column numbers and {len(values)} values in a row"
        if columns and not 0 <= min(columns) <= max(columns) < X.shape[1]:
            return f"column {min(columns)} .. {max(columns)} of {X.shape[1]}"
    return ""


def _keys(X: Any) -> str:
    """Fault of a DOK matrix."""
    for key in X.keys():  # noqa: SIM118  # it is no dict in every version
        places = key if isinstance(key, tuple) else (key,)
        if not all(0 <= place < size for place, size in zip(places, X.shape, strict=True)):
            return f"a value at {key} in shape {X.shape}"
    return ""


def _in_range(indices: NDArray[Any], size: int, what: str) -> str:
    if not len(indices) or 0 <= (low := indices.min()) <= (high := indices.max()) < size:
        return ""
    return f"{what} {low} .. {high} of {size}"


def _are_indices(array: Any) -> bool:
    return _is_array(array, 1) and array.dtype in (np.int32, np.int64)


def _is_array(array: Any, ndim: int) -> bool:
    return isinstance(array, np.ndarray) and array.ndim == ndim


_LOOKS: dict[str, Callable[[Any], str]] = {
    "csr": _compressed, "csc": _compressed, "bsr": _compressed,
    "coo": _coordinates, "dia": _diagonals, "lil": _lists, "dok": _keys,
}  # fmt: skip
