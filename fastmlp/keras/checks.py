"""Values of Keras' words, checked: lists, texts, numbers, batch sizes and what may be printed."""

from __future__ import annotations

import math
from typing import Any

from fastmlp.checks import as_float, as_list, as_text, shown, whole_number
from fastmlp.errors import ConfigError


def listed(name: str, items: Any) -> list[Any]:
    """The items of a list; none for None. Raises ConfigError."""
    found = [] if items is None else as_list(items)
    if found is None:
        raise ConfigError(f"{name} must be a list", shown(items))
    return found


def text(name: str, value: Any) -> str:
    """A text that is not empty. Raises ConfigError."""
    found = as_text(value)
    if not found:
        raise ConfigError(f"{name} must be a text that is not empty", shown(value))
    return found


def finite(name: str, value: Any) -> float:
    """A finite number. Raises ConfigError."""
    number = as_float(value)
    if not math.isfinite(number):
        raise ConfigError(f"{name} must be a finite number", shown(value))
    return number


def batch_size(value: int | None, name: str = "batch_size") -> int:
    """A number of samples; 32 for None. Raises ConfigError."""
    return 32 if value is None else whole_number(name, value, 1, 2**31 - 1)
