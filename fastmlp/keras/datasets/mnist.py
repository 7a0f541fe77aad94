"""MNIST as pictures, from fastmlp's own files."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import load

Part: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def load_data(path: str = "mnist.npz") -> tuple[Part, Part]:
    """((X, y), (X_test, y_test)): X (60000, 28, 28) and y (60000,) uint8, and 10,000 for testing.

    From FASTMLP_DATA where that names MNIST, the cache, or a download; ``path`` is ignored. Raises DataError.
    """
    data = load("mnist")
    return _pictures(data.X, data.y), _pictures(data.X_test, data.y_test)


def _pictures(X: NDArray[Any], y: NDArray[Any]) -> Part:
    return X.astype(np.uint8).reshape(-1, 28, 28), y.astype(np.uint8)
