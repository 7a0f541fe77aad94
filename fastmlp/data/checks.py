"""What rows must be, of a file or of an array: one type of value, finite.

Knows no file format; splits and holds out nothing (dataset.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
            f"{where} must hold rows of shape (N, features) or pictures (N, rows, columns)",
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


def distinct(y: NDArray[Any]) -> NDArray[Any]:
    """The different values of y (N,), ascending. np.unique would load numpy.ma: 20 ms."""
    ascending = np.sort(y)
    is_first = np.ones(len(y), bool)
    is_first[1:] = ascending[1:] != ascending[:-1]
    return ascending[is_first]


def _are_bytes(block: NDArray[Any]) -> bool:
    if block.dtype.kind == "b":
        return True
    if not (block.min() >= 0 and block.max() <= 255):
        return False
    return block.dtype.kind != "f" or bool((np.floor(block) == block).all())
