"""Arrays of numbers as text, in JSON: their bytes in base64."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import shown
from fastmlp.errors import ModelError


def packed(array: NDArray[Any], kind: str) -> str:
    """The numbers of an array as base64, in that dtype."""
    return base64.b64encode(array.astype(kind).tobytes()).decode()


def unpacked(name: str, text: Any, count: int, kind: str) -> NDArray[Any]:
    """The inverse of ``packed``, for so many finite numbers. Raises ModelError."""
    try:
        content = base64.b64decode(text if isinstance(text, str) else "!", validate=True)
    except ValueError:
        content = b""
    dtype = np.dtype(kind)
    array = np.frombuffer(content[: len(content) // dtype.itemsize * dtype.itemsize], dtype)
    array = array.astype(dtype.newbyteorder("="))
    if len(content) != dtype.itemsize * count or not np.isfinite(array).all():
        raise ModelError(f"the {name} must be {count} finite numbers in base64", shown(text))
    return array
