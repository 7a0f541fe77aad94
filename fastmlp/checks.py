"""Numbers and words that come from outside: what fits is returned, all else is one ConfigError.

Whatever ``value`` is - an integer of a million digits, an array, an object whose methods raise - nothing
else comes out of these. Files and paths from outside: files.py.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from fastmlp.errors import ConfigError

SMALLEST, LARGEST = 1e-30, 1e30  # what float32 holds as a positive factor, and its reciprocal too

_MOST_SHOWN = 160  # characters of a value in a message


def shown(value: Any) -> str:
    """``repr(value)`` on one line, shortened; in words where that cannot be had."""
    try:
        if isinstance(value, int) and value.bit_length() > 10_000:  # Python refuses to write such digits
            return f"an integer of {value.bit_length():,} bits"
        text = " ".join(repr(value).split())
    except Exception:  # of whatever class the value is, its repr is its own
        return f"{_article(type(value).__name__)} that cannot be shown"
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 4]} ..."


def as_float(value: Any) -> float:
    """``value`` as a float; nan for what is no real number, or none that float64 can hold."""
    try:
        if isinstance(value, bool | str | bytes) or getattr(value, "ndim", None):
            return math.nan
        return float(value)
    except Exception:  # OverflowError, TypeError, or whatever __float__ raises
        return math.nan


def as_whole(value: Any) -> int | None:
    """``value`` as an int; None for what is no integer."""
    try:
        if isinstance(value, bool) or getattr(value, "ndim", None):
            return None
        return operator.index(value)
    except Exception:  # TypeError, or whatever __index__ raises
        return None


def as_list(value: Any) -> list[Any] | None:
    """The items of a list, a tuple, a range or a 1-D array; None for all else."""
    try:
        if getattr(value, "ndim", None) == 1:
            value = value.tolist()
        return list(value) if isinstance(value, list | tuple | range) else None
    except Exception:  # whatever an object of that name raises
        return None


def whole_number(name: str, value: Any, low: int, high: int) -> int:
    """``value`` as an int in low..high; raises ConfigError."""
    number = as_whole(value)
    if number is None or not low <= number <= high:
        raise ConfigError(f"{name} must be a whole number from {low:,} to {high:,}", shown(value))
    return number


def positive_number(name: str, value: Any, example: str) -> float:
    """``value`` as a float in SMALLEST..LARGEST; raises ConfigError."""
    number = as_float(value)
    if not SMALLEST <= number <= LARGEST:
        raise ConfigError(
            f"{name} must be a finite number over 0 ({SMALLEST:g} to {LARGEST:g})",
            shown(value),
            f"use {example}",
        )
    return number


def share(name: str, value: Any, example: str, *, least: float = 0.0) -> float:
    """``value`` as a float from ``least`` to below 1; raises ConfigError."""
    number = as_float(value)
    if not least <= number < 1:
        raise ConfigError(
            f"{name} must be a number from {least:g} to below 1", shown(value), f"use {example}"
        )
    return number


def not_negative(name: str, value: Any, example: str) -> float:
    """``value`` as a float that is 0 or in SMALLEST..LARGEST; raises ConfigError."""
    number = as_float(value)
    if not (number == 0 or SMALLEST <= number <= LARGEST):
        raise ConfigError(f"{name} must be 0 or a finite number over 0", shown(value), f"use {example}")
    return abs(number)


def one_of(name: str, value: Any, choices: Sequence[str]) -> str:
    """``value`` if it is one of the choices; raises ConfigError."""
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}", shown(value))
    return str(value)


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
