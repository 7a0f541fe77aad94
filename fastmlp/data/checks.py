"""What a reader hands over: a training and a test part, as the file has them, and their checks.

No file format is known here, and nothing is split or held out (assemble.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.errors import DataError

Features = NDArray[np.uint8] | NDArray[np.float32]

BLOCK_VALUES = 1 << 20  # checks go through the values in blocks, so that no large temporary is made
MAX_LABEL = 2**53 - 1  # above it a float64 no longer tells neighbours apart


@dataclass(frozen=True)
class Part:
    """X (N, D), (N, rows, columns) or that with one channel; y (N,) or (N, 1); any real numbers.

    where: the file, for messages.
    columns: the D names of the features, where the file has them.
    told: how the file was read, where that is not plain: for people.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    where: str
    columns: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parts:
    """What one source holds; at least one of the two."""

    train: Part | None = None
    test: Part | None = None


def features(X: NDArray[Any], where: str) -> Features:
    """X as (N, D), C-contiguous: uint8 where every value is an integer 0..255, else finite float32.

    DataError for another number of axes, for no values, and for values that float32 cannot hold.
    """
    images = pictures(X)
    if images.ndim not in (2, 3):
        raise DataError(
            f"{where} must hold images of shape (N, features) or (N, rows, columns)",
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
        _check_finite(result, where)
    return result


def pictures(X: NDArray[Any]) -> NDArray[Any]:
    """X without its channel axis where it has exactly one channel, first or last."""
    if X.ndim == 4 and X.shape[3] == 1:
        return X[:, :, :, 0]
    if X.ndim == 4 and X.shape[1] == 1:
        return X[:, 0]
    return X


def image_shape(X: NDArray[Any], rows: Features) -> tuple[int, int] | None:
    """(rows, columns) of a picture, for display.

    The file's own, where X has them; else a guess: uint8 values in a square number, at least 8 x 8.
    """
    images = pictures(X)
    if images.ndim == 3:
        return (images.shape[1], images.shape[2])
    side = int(rows.shape[1] ** 0.5)
    return (side, side) if rows.dtype == np.uint8 and side >= 8 and side * side == rows.shape[1] else None


def compact(X: NDArray[Any]) -> Features:
    """(N, D) real numbers as uint8 where every value is an integer 0..255, else as float32.

    What float32 cannot hold becomes inf: the caller checks.
    """
    if X.dtype == np.uint8:
        return X
    with np.errstate(all="ignore"):
        return X.astype(np.uint8) if all(map(_are_bytes, _blocks(X))) else X.astype(np.float32)


def labels(y: NDArray[Any], n: int, where: str) -> NDArray[np.int64]:
    """y as (N,) int64. DataError unless it is ``n`` whole numbers from 0."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(
            f"the labels of {where} must be one number per image, shape (N,)",
            f"shape {y.shape}",
            "give class numbers, not one-hot rows or images",
        )
    if len(y) != n:
        raise DataError(
            f"{where} must have as many labels as images",
            f"{n:,} images and {len(y):,} labels",
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


def distinct(y: NDArray[np.int64]) -> NDArray[np.int64]:
    """The different values of y (N,) from 0, ascending. np.unique would load numpy.ma: 20 ms."""
    ascending = np.sort(y)
    first: NDArray[np.int64] = ascending[np.diff(ascending, prepend=-1) != 0]
    return first


def not_labels(y: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,): True where a value is no whole number from 0."""
    if y.dtype.kind == "b":
        return np.zeros(y.shape, np.bool_)
    with np.errstate(all="ignore"):
        return np.asarray(~((y >= 0) & (y <= MAX_LABEL) & (np.floor(y) == y)))


def _are_bytes(block: NDArray[Any]) -> bool:
    if block.dtype.kind == "b":
        return True
    if not (block.min() >= 0 and block.max() <= 255):
        return False
    return block.dtype.kind != "f" or bool((np.floor(block) == block).all())


def _blocks(X: NDArray[Any]) -> Iterator[NDArray[Any]]:
    step = max(1, BLOCK_VALUES // X.shape[1])
    return (X[i : i + step] for i in range(0, len(X), step))


def _check_finite(X: Features, where: str) -> None:
    start = 0
    for block in _blocks(X):
        finite = np.isfinite(block)
        if not finite.all():
            row, column = np.argwhere(~finite)[0].tolist()
            raise DataError(
                f"every value of {where} must be finite and within float32",
                f"{block[row, column]} in row {start + row + 1}, column {column + 1}",
                "remove or replace such values",
            )
        start += len(block)
