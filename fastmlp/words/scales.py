"""Scales of inputs: a number, a number for each column, or a word for what training rows are measured by.

``auto`` is left to the data: train/defaults.py settles it where a training begins.

The words are the user's; how each is measured is in data/preprocessing.py.
"""

from __future__ import annotations

from typing import Any

from fastmlp.checks import LARGEST, SMALLEST, as_float, as_list, as_text, shown
from fastmlp.errors import ConfigError

# By name: what is subtracted from a column, and what it is divided by.
SCALES = {
    "standard": ("mean", "standard deviation"),
    "minmax": ("least value", "range"),
    "robust": ("median", "interquartile range"),
}

AUTO = "auto"

Scale = float | str | tuple[float, ...]


def checked_scale(scale: Any) -> Scale:
    """A number, numbers for the columns, or a word; each as its text too. Raises ConfigError."""
    text = as_text(scale)
    if text == AUTO or text in SCALES:
        return text
    if text is not None:
        numbers = tuple(map(_number, text.split(",")))
        found: float | tuple[float, ...] = numbers if "," in text else numbers[0]
    else:
        items = as_list(scale)
        found = as_float(scale) if items is None else tuple(map(as_float, items))
    each = found if isinstance(found, tuple) else (found,)
    if not each or not all(SMALLEST <= number <= LARGEST for number in each):
        raise ConfigError(
            f"scale must be a finite number over 0 ({SMALLEST:g} to {LARGEST:g}), a list of one for each "
            f"column, or one of {', '.join((AUTO, *SCALES))}",
            shown(scale),
            "use 255 for pixel bytes, 1 for data that is scaled already, standard for a table",
        )
    return found


def _number(text: str) -> float:
    """The number that a text means; nan for none."""
    try:
        return float(text)
    except ValueError:
        return as_float(None)


def scale_text(scale: Any) -> str:
    """Words for a scale: ``255``, ``standard``, or how many columns have one of their own."""
    if isinstance(scale, str):
        return scale
    return f"of {len(scale)} columns" if hasattr(scale, "__len__") else f"{scale:g}"
