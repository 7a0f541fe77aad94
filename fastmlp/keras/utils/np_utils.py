"""``to_categorical``: class indices to one-hot rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastmlp.checks import NUMBERS, as_array, as_dtype, whole_number
from fastmlp.errors import DataError
from fastmlp.keras.missing import unknown_names

__all__ = ["to_categorical"]


def to_categorical(
    x: ArrayLike, num_classes: int | None = None, dtype: DTypeLike = "float64"
) -> NDArray[Any]:
    """One row of ``num_classes`` numbers for each class index in x (N,) or (N, 1): 1 at the class, else 0.

    num_classes: None for the largest index + 1. Raises ValueError.
    """
    classes = as_array("x, class indices,", x)
    if not np.array_equal(classes, classes.astype(np.int64)):
        raise DataError("x must hold class indices", f"dtype {classes.dtype}", "use whole numbers from 0")
    classes = classes.astype(np.int64)
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes.reshape(classes.shape[:-1])
    K = int(classes.max(initial=-1)) + 1
    if num_classes is not None:
        K = whole_number("num_classes", num_classes, 0, 2**31 - 1) or K
    if classes.size and not 0 <= classes.min() <= classes.max() < K:
        raise DataError(f"x must hold class indices from 0 to {K - 1}", f"{classes.min()} .. {classes.max()}")
    rows = np.zeros((classes.size, K), as_dtype("dtype", dtype, NUMBERS))
    rows[np.arange(classes.size), classes.reshape(-1)] = 1
    return rows.reshape(*classes.shape, K)


__getattr__ = unknown_names(__name__, "function", tuple(__all__))
