"""Numbers, words and arrays that come from outside: what fits is returned, all else is one error.

Whatever ``value`` is - an integer of a million digits, an array, an object whose methods raise - nothing
else comes out of these. Files and paths from outside: files.py.
"""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from fastmlp.errors import ConfigError, DataError, FastMLPError

if TYPE_CHECKING:  # numpy is loaded where there is an array
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

SMALLEST, LARGEST = 1e-30, 1e30  # what float32 holds as a positive factor, and its reciprocal too
NUMBERS, WHOLE = "buif", "iu"  # kinds of dtypes

_T = TypeVar("_T")

_MOST_SHOWN = 160  # characters of a value in a message


class _Brief(reprlib.Repr):
    """Beginnings of long or deep values, whose whole repr may take more memory than the data."""

    def repr_instance(self, x: Any, level: int) -> str:
        return repr(x)  # raises what it raises


_brief = _Brief()
_brief.maxlevel = 4
_brief.maxlist = _brief.maxtuple = _brief.maxset = _brief.maxfrozenset = _brief.maxdict = 40
_brief.maxarray = _brief.maxdeque = 40
_brief.maxstring = _brief.maxlong = _brief.maxother = 2 * _MOST_SHOWN


def shown(value: Any) -> str:
    """``repr(value)`` on one line, shortened; in words where that cannot be had."""
    try:
        if isinstance(value, int) and value.bit_length() > 10_000:  # Python refuses to write such digits
            return f"an integer of {value.bit_length():,} bits"
        text = " ".join(_brief.repr(value).split())
    except Exception:  # of whatever class the value is, its repr is its own
        return f"{_article(type(value).__name__)} that cannot be shown"
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 4]} ..."


def reason_of(problem: Exception) -> str:
    """Reason that the system gives, or the error itself, on one line; never empty."""
    said = problem.strerror if isinstance(problem, OSError) else None
    return " ".join((said or str(problem)).split())[:_MOST_SHOWN] or type(problem).__name__


def as_float(value: Any) -> float:
    """``value`` as a float; nan for what is no real number, or none that float64 can hold."""
    try:
        return float(value) if _is_real(value) else math.nan
    except Exception:  # OverflowError, or whatever __float__ raises
        return math.nan


def as_whole(value: Any) -> int | None:
    """``value`` as an int; None for what is no integer."""
    try:
        if isinstance(value, bool) or getattr(value, "ndim", None):
            return None
        return int.__int__(operator.index(value))  # an int itself, not of a subclass
    except Exception:  # TypeError, or whatever __index__ raises
        return None


def as_text(value: Any) -> str | None:
    """``value`` as a str, of a subclass its own characters; None for all else."""
    return str.__str__(value) if isinstance(value, str) else None


def as_list(value: Any) -> list[Any] | None:
    """The items of a list, a tuple, a range or a 1-D array; None for all else."""
    try:
        if getattr(value, "ndim", None) == 1:
            value = value.tolist()
        return list(value) if isinstance(value, list | tuple | range) else None
    except Exception:  # whatever an object of that name raises
        return None


def flag(name: str, value: Any) -> bool:
    """``value`` as a bool, which NumPy's and 0 and 1 are too; raises ConfigError."""
    kind = getattr(type(value), "__name__", "")
    if isinstance(value, bool) or (kind in ("bool", "bool_") and not getattr(value, "ndim", None)):
        return bool(value)
    number = as_whole(value)
    if number not in (0, 1):
        raise ConfigError(f"{name} must be True or False", shown(value))
    return number == 1


def functions(name: str, value: Any) -> list[Any]:
    """The functions in a list or a tuple; raises ConfigError."""
    items = as_list(value)
    if items is None or not all(map(callable, items)):
        raise ConfigError(f"{name} must be a list of functions", shown(value))
    return items


def function(name: str, value: Any) -> Any:
    """A function, or None; raises ConfigError."""
    if value is not None and not callable(value):
        raise ConfigError(f"{name} must be a function, or None", shown(value))
    return value


def instance(name: str, value: Any, kind: type[_T]) -> _T:
    """``value`` if it is of that class; raises ConfigError."""
    if not isinstance(value, kind):
        raise ConfigError(f"{name} must be {_article(kind.__name__)} object", shown(value))
    return value


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
    text = as_text(value)
    if text is None or text not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}", shown(value))
    return text


def _is_real(value: Any) -> bool:
    """Tell whether its class has real numbers: no truth values, no complex ones, no times, no text."""
    if isinstance(value, bool | str) or getattr(value, "ndim", None):
        return False
    kind = getattr(getattr(value, "dtype", None), "kind", "f")  # of NumPy's scalars and arrays of one
    return kind in "iuf" and any(hasattr(type(value), name) for name in ("__float__", "__index__"))


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def as_array(
    name: str, value: Any, kinds: str = NUMBERS, error: type[FastMLPError] = DataError, do: str = ""
) -> NDArray[Any]:
    """``np.asarray(value)``, of one of these kinds of dtypes. Raises ``error``, and MemoryError.

    do: advice for those of another kind.
    """
    import numpy as np

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
        raise error(f"{name} must hold {what}", f"shape {array.shape}, dtype {array.dtype}", do)
    return array


def as_dtype(name: str, value: DTypeLike, choices: str = "f") -> np.dtype[Any]:
    """``np.dtype(value)``, of one of these kinds. Raises ConfigError."""
    import numpy as np

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


def check_fields(config: Any, **checks: Callable[[Any], Any]) -> None:
    """Replace each field by what its check returns; raise all that the checks raised, together."""
    problems = []
    for name, check in checks.items():
        try:
            object.__setattr__(config, name, check(getattr(config, name)))
        except ConfigError as problem:
            problems.append(problem)
    if problems:
        raise ConfigError.collect(problems)


def parsed(text: str, *kinds: Callable[[str], Any]) -> Any:
    """Parse the pieces between commas, one of each kind; None for any other text."""
    try:
        return tuple(kind(piece) for kind, piece in zip(kinds, text.split(","), strict=True))
    except ValueError:  # Python's limit of digits too
        return None
