"""Dataset: a training and a test part, as read from a source, before any preprocessing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Dataset:
    """What a data source holds.

    X, X_test: (N, D) C-contiguous uint8 (0..255) or float32 (finite), never scaled or centred.
    y, y_test: (N,) int64 class indices 0..K-1 into ``classes``.
    classes:   the K labels as they stand in the file (non-negative integers, ascending).
    name:      "mnist", "synthetic", or the name of the file or folder.
    source:    one line for people: where it came from, and how the test part came to be.
    image_shape: (rows, columns) where a row of X is a picture, else None.
    """

    name: str
    source: str
    X: NDArray[np.uint8] | NDArray[np.float32]
    y: NDArray[np.int64]
    X_test: NDArray[np.uint8] | NDArray[np.float32]
    y_test: NDArray[np.int64]
    classes: tuple[int, ...]
    image_shape: tuple[int, int] | None = None
