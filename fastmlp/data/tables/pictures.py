"""Pictures: a text table of bytes, as Kaggle has MNIST, to an array of a byte a value in place of columns.

It is one where a row is a square picture of 8 x 8 pixels or more, perhaps with its label, all values are
whole numbers 0..255 and the first rows go beyond 127. All else is a table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.checks import MAX_LABEL
from fastmlp.data.table import LABEL_NAMES
from fastmlp.data.tables.blocks import BLOCK, blocks
from fastmlp.data.tables.head import Head
from fastmlp.data.tables.rows import whole_numbers
from fastmlp.data.tables.text import begun
from fastmlp.files.bounded import opened

SMALLEST_SIDE = 8
BRIGHT = 127  # some pixel is brighter


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pixels X (N, D) uint8 and labels y (N,) int64, None where the file has none.

    label: how the labels' column is called.
    told:  how the file was read, where that is not plain.
    """

    X: NDArray[np.uint8]
    y: NDArray[np.int64] | None
    label: str
    told: tuple[str, ...]


def read(path: Path, label: str | int | None = None, *, size: int = BLOCK) -> Pictures | None:
    """The pictures in a file, None where it holds another table.

    label: the name of the labels' column, or its index from 0 (from the end, where it is negative). Without
           it the one called label, class, target or y, else the first, where there is one beside the pixels.
    """
    with opened(path) as (stream, _):
        head, rest = begun(stream, str(path))
        place = _label(head, label)
        width = head.columns - head.first - (place is not None)
        if place == -1 or math.isqrt(width) ** 2 != width or width < SMALLEST_SIDE**2:
            return None
        X: list[NDArray[np.uint8]] = []
        y: list[NDArray[np.int64]] = []
        for block in blocks(rest, head.separator, str(path), head.begins, size):
            rows = whole_numbers(block, head.separator, head.columns)
            if rows is None:
                return None
            if not len(rows):
                continue
            y.append(rows[:, [] if place is None else place].copy())
            pixels = np.delete(rows[:, head.first :], [] if place is None else place - head.first, axis=1)
            if pixels.min() < 0 or pixels.max() > 255 or (not X and pixels.max() <= BRIGHT):
                return None
            if y[-1].size and not 0 <= y[-1].min() <= y[-1].max() <= MAX_LABEL:
                return None
            X.append(pixels.astype(np.uint8))
    if not X:
        return None
    called = "" if place is None else head.names[place - head.first]
    return Pictures(np.concatenate(X), None if place is None else np.concatenate(y), called, head.told)


def _label(head: Head, label: str | int | None) -> int | None:
    """The column of labels; None where there is none beside the pixels, -1 where it is not there."""
    width = head.columns - head.first
    if label is not None:
        if label in head.names:
            return head.first + head.names.index(str(label))
        try:
            index = int(label)
        except ValueError:
            return -1
        return head.first + index % width if -width <= index < width else -1
    if math.isqrt(width) ** 2 == width:
        return None
    names = [name.casefold() for name in head.names]
    return head.first + next((names.index(name) for name in LABEL_NAMES if name in names), 0)
