"""What rows and labels must be, of a file or of an array: one type of value, finite, whole labels that fit.

Knows no file format; splits and holds out nothing (dataset.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.checks import as_array
from fastmlp.errors import DataError

Features = NDArray[np.uint8] | NDArray[np.float32]

MAX_LABEL = 2**53 - 1  # above it a float64 no longer tells neighbours apart
_BLOCK = 1 << 17  # values looked at together: they stay in a cache, and no large temporary is made


def features(X: NDArray[Any], where: str) -> Features:
    """X as (N, D), C-contiguous: uint8 where every value is an integer 0..255, else finite float32.

    DataError for another number of axes, for no values, and for values that float32 cannot hold.
    """
    images = pictures(X)
    if images.ndim not in (2, 3):
        raise DataError(
            f"{where} must hold rows of shape (N, features) or (N, rows, columns)",
            f"shape {X.shape}",
            "reshape the array",
        )
    if 0 in images.shape:
        raise DataError(
            f"{where} must hold at least one row and one feature",
            f"shape {X.shape}",
            "use a file with data",
        )
    result = compact(np.ascontiguousarray(images.reshape(len(images), -1)))
    if result.dtype == np.float32:
        check_finite(result, f"every value of {where} must be finite and within float32", first=1)
    return result


def pictures(X: NDArray[Any]) -> NDArray[Any]:
    """Drop the channel axis of X where it has exactly one channel, first or last."""
    if X.ndim == 4 and X.shape[3] == 1:
        return X[:, :, :, 0]
    if X.ndim == 4 and X.shape[1] == 1:
        return X[:, 0]
    return X


def image_shape(X: NDArray[Any], rows: Features) -> tuple[int, int] | None:
    """Shape (rows, columns) of a picture, for display.

    The file's own, where X has them; else a guess: uint8 values in a square number, at least 8 x 8.
    """
    images = pictures(X)
    if images.ndim == 3:
        return (images.shape[1], images.shape[2])
    side = int(rows.shape[1] ** 0.5)
    return (side, side) if rows.dtype == np.uint8 and side >= 8 and side * side == rows.shape[1] else None


def compact(X: NDArray[Any]) -> Features:
    """Turn (N, D) real numbers into uint8 where every value is an integer 0..255, else into float32.

    What float32 cannot hold becomes inf: the caller checks.
    """
    if X.dtype == np.uint8:
        return X
    step = block_rows(X)
    with np.errstate(all="ignore"):
        whole = all(_are_bytes(X[start : start + step]) for start in range(0, len(X), step))
        return X.astype(np.uint8) if whole else X.astype(np.float32)


def block_rows(X: NDArray[Any]) -> int:
    """Number of rows of X (N, D) that are looked at together."""
    return max(1, _BLOCK // int(X.shape[1]))


def check_finite(X: NDArray[Any], must: str, *, first: int) -> None:
    """Raise DataError unless all of X (N, D) is finite. first: what the first row and column are called."""
    step = block_rows(X)
    for start in range(0, len(X), step):
        finite = np.isfinite(X[start : start + step])
        if not finite.all():
            row, column = (np.argwhere(~finite)[0] + (start, 0)).tolist()
            raise DataError(
                must,
                f"{X[row, column]} in row {row + first}, column {column + first}"
                + (" (both from 0)" if first == 0 else ""),
                "remove or replace such values",
            )


def labels(y: NDArray[Any], n: int, where: str) -> NDArray[np.int64]:
    """y of a file as (N,) int64. DataError unless it is ``n`` whole numbers from 0, of whichever type."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(
            f"the labels of {where} must be one number per row, shape (N,)",
            f"shape {y.shape}",
            "give class numbers, not one-hot rows or pixels",
        )
    if len(y) != n:
        raise DataError(
            f"{where} must have as many labels as rows",
            f"{n:,} rows and {len(y):,} labels",
            "use files that belong together",
        )
    bad = not_labels(y)
    if bad.any():
        at = int(bad.argmax())
        raise DataError(
            f"the labels of {where} must be whole numbers from 0 (below 2**53)",
            f"{y[at]} in row {at + 1}",
            "number the classes 0, 1, 2, ...",
        )
    return y.astype(np.int64)


def not_labels(y: NDArray[Any]) -> NDArray[np.bool_]:
    """Mask (N,): True where a value is no whole number from 0."""
    if y.dtype.kind == "b":
        return np.zeros(y.shape, np.bool_)
    with np.errstate(all="ignore"):
        return np.asarray(~((y >= 0) & (y <= MAX_LABEL) & (np.floor(y) == y)))


def checked_labels(y: ArrayLike) -> NDArray[np.int64]:
    """y (N,) as int64, bools as 0 and 1; raises DataError unless they are non-negative integers."""
    array = as_array("labels", y)
    if array.ndim != 1 or array.dtype.kind not in "biu":
        raise DataError("labels must be a 1-D array of integers", f"shape {array.shape}, dtype {array.dtype}")
    if len(array) and (int(array.min()) < 0 or int(array.max()) >= 2**63):
        raise DataError("labels must be integers from 0", f"{array.min()} .. {array.max()}")
    checked: NDArray[np.int64] = array.astype(np.int64)
    return checked


def distinct(y: NDArray[np.int64]) -> NDArray[np.int64]:
    """The different values of y (N,) from 0, ascending. np.unique would load numpy.ma: 20 ms."""
    ascending = np.sort(y)
    first: NDArray[np.int64] = ascending[np.diff(ascending, prepend=-1) != 0]
    return first


def class_indices(y: ArrayLike, classes: tuple[int, ...]) -> NDArray[np.int64]:
    """The position of each label of y (N,) in the ascending ``classes``. Raises DataError."""
    found, known = checked_labels(y), np.asarray(classes)
    indices, strange = places(found, known)
    if strange.any():
        raise DataError(
            f"labels must be among the training's {len(known)} classes {_shortened(known)}",
            _shortened(np.unique(found[strange])),
        )
    return indices


def places(y: NDArray[np.int64], known: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Place of each of y (N,) in the ascending ``known``, and a mask (N,) of those that are not there."""
    indices = np.minimum(np.searchsorted(known, y), len(known) - 1)
    return indices, known[indices] != y


def _are_bytes(block: NDArray[Any]) -> bool:
    if block.dtype.kind == "b":
        return True
    if not (block.min() >= 0 and block.max() <= 255):
        return False
    return block.dtype.kind != "f" or bool((np.floor(block) == block).all())


def _shortened(labels: NDArray[np.int64]) -> str:
    shown = ", ".join(map(str, labels[:12].tolist()))
    return shown if len(labels) <= 12 else f"{shown}, ... ({len(labels)} in all)"
