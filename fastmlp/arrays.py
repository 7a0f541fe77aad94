"""Arrays that come from outside: what NumPy makes an array of numbers of, all else one error.

What shape and values they must have is asked where they are used. Numbers and words: checks.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastmlp.checks import reason_of, shown
from fastmlp.errors import ConfigError, DataError, FastMLPError

NUMBERS, WHOLE = "buif", "iu"  # kinds of dtypes


def as_array(
    name: str, value: Any, kinds: str = NUMBERS, error: type[FastMLPError] = DataError
) -> NDArray[Any]:
    """``np.asarray(value)``, of one of these kinds of dtypes. Raises ``error``, and MemoryError."""
    try:
        array = np.asarray(value)
    except MemoryError:
        raise
    except ValueError as problem:  # rows of different lengths, say: NumPy says it well
        raise error(f"{name} must be an array of numbers", reason_of(problem)) from None
    except Exception:  # OverflowError, or whatever __array__ raises
        raise error(f"{name} must be an array of numbers", shown(value)) from None
    if array.dtype.kind not in kinds:
        what = "whole numbers" if kinds == WHOLE else "numbers"
        raise error(f"{name} must hold {what}", f"shape {array.shape}, dtype {array.dtype}")
    return array


def as_dtype(name: str, value: DTypeLike, choices: str = "f") -> np.dtype[Any]:
    """``np.dtype(value)``, of one of these kinds. Raises ConfigError."""
    try:
        dtype = np.dtype(value)
    except Exception:  # TypeError, or whatever a dtype attribute raises
        dtype = np.dtype(object)
    if dtype.kind not in choices:
        raise ConfigError(f"{name} must be a number type", shown(value), "for example float32")
    return dtype


def as_pair(name: str, value: Any) -> tuple[Any, Any]:
    """The two items of a tuple or a list. Raises DataError."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise DataError(f"{name} must be two arrays, (X, y)", shown(value))
    return value[0], value[1]
