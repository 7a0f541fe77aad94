"""An embedded data set: handwritten-looking digits, drawn by program, for when MNIST cannot be had.

A glyph is one way to write one digit: a few strokes, their control points moved at random, stored as
a map of the distance to the nearest stroke. An image is one look at a glyph through a random smooth
distortion (shift, size, slant, bend); the pen's radius, hardness and blackness turn distance into ink.

The bytes are a function of the arguments: the arithmetic is + - * / and square root, which every
machine rounds alike, and the one sum whose order is open (a matrix product) is of whole numbers.

Not in here: real handwriting (mnist.py), and any scaling of the pixels.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.dataset import Dataset
from fastmlp.errors import ConfigError
from fastmlp.random import uniform

# Ways to write each digit. A stroke is a line of points "xy" on a grid of 0..9 by 0..9, y downwards;
# corners are rounded off (_rounded), a doubled point stays sharp.
STROKES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (  # 0
        ("50 20 02 07 29 69 97 92 70 40",),
        ("60 40 22 16 28 49 68 84 72 50 41",),
        ("73 60 30 12 17 39 69 87 83 61 40",),
    ),
    (  # 1
        ("50 59",),
        ("23 50 50 59",),
        ("23 50 50 59", "29 89"),
    ),
    (  # 2
        ("13 20 60 83 75 19 19 99",),
        ("13 20 70 84 47 19 08 16 48 99",),
        ("22 30 70 82 65 19 19 59 88",),
    ),
    (  # 3
        ("11 30 80 83 44 44 85 88 49 08",),
        ("10 80 80 44 44 86 69 19 07",),
        ("12 40 83 54 34 54 97 59 07",),
    ),
    (  # 4
        ("20 15 15 95", "70 69"),
        ("60 06 06 96", "60 69"),
        ("10 14 36 85", "80 75 69"),
    ),
    (  # 5
        ("80 20 20 14 14 53 86 69 39 08",),
        ("20 14 53 87 59 08", "20 90"),
        ("81 30 13 35 75 87 59 18",),
    ),
    (  # 6
        ("70 32 06 19 59 87 65 35 07",),
        ("50 23 17 39 79 86 55 26",),
        ("40 07 39 78 75 35 17",),
    ),
    (  # 7
        ("10 90 90 49",),
        ("10 90 90 49", "35 75"),
        ("12 10 90 90 56 39",),
    ),
    (  # 8
        ("72 50 20 12 34 65 88 59 29 17 35 73 82 70 40",),
        ("50 20 13 45 84 70 40", "45 16 29 69 87 54 35"),
        ("81 40 12 45 87 59 29 06 45 82 60",),
    ),
    (  # 9
        ("82 50 20 13 35 65 83 81", "82 79"),
        ("81 40 13 45 82 81 85 69 29",),
        ("83 60 20 14 45 83 80 80 69",),
    ),
)

HANDS = 12  # glyphs for each way of writing
TREMOR = 0.8  # how far a hand moves a control point, at most, in grid steps
STEP = (1.4, 2.0)  # pixels a grid step, across and down

SIDE = 28  # pixels a side of an image
FINE = 6  # cells of a distance map to a pixel
CELLS = SIDE * FINE  # cells a side of a distance map
LEVELS = 64  # levels of distance a pixel; a map holds 255 of them

# Three fields over the image say what a pixel shows: where it looks in the glyph, across and down from
# the middle, and the pen's radius there, all in pixels. A field is a sum of eight terms; x and y run
# from -1 to 1, so that a coefficient is what its term adds at the edge. Wide pens make the data as hard
# as they should be: 0.94 after five epochs, but 0.2 to 0.6 on raw pixels, where most ReLU units die.
#     1     x     y    xx    xy    yy   xxx   yyy
REST = [
    [0.0, 13.5, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0],  # across: most hands slant to the right
    [0.0, 0.0, 13.5, 0.0, 0.0, 0.0, 0.0, 0.0],  # down
    [2.15, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],  # radius
]
SPREAD = [  # a coefficient is uniform within this of its rest
    [2.0, 1.5, 4.0, 1.0, 1.0, 1.5, 1.0, 1.0],
    [2.0, 1.5, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0],
    [0.5, 0.3, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0],
]
REACH = REST[2][0] + sum(SPREAD[2])  # the widest pen's radius: distances beyond do not matter
SIZE = (0.88, 1.18)  # scales the first two fields: over 1, the digit gets smaller
SLOPE = (160.0, 300.0)  # grey levels to a pixel of distance: soft pen, hard pen
BLACK = (240.0, 255.0)  # the deepest grey level

CHUNK = 120  # images drawn at a time: the working arrays stay in the cache
NUMBERS = 24 + 5  # random numbers an image
TERM, COEFFICIENT = 512, 64  # terms and coefficients are whole numbers of 1/512 and 1/64
_axis = np.linspace(-1, 1, SIDE)
_x, _y = np.tile(_axis, SIDE), np.repeat(_axis, SIDE)
TERMS = np.rint(TERM * np.stack([_x**0, _x, _y, _x * _x, _x * _y, _y * _y, _x * _x * _x, _y * _y * _y]))


def draw(seed: int = 0, train: int = 60_000, test: int = 10_000) -> Dataset:
    """The synthetic data set: X (train, 784) uint8, y (train,), X_test (test, 784), y_test (test,).

    Image i of a part depends on (seed, part, i) alone: a smaller set is the start of a larger one.
    Every ten images in a row, from the first, hold each digit once.
    """
    for name, count in (("train", train), ("test", test)):
        if not isinstance(count, int | np.integer) or count < 1:
            raise ConfigError(f"synthetic: {name} must be a whole number of images, at least 1", repr(count))
    glyphs = _glyphs(seed)
    X, y = _part(glyphs, seed, "train", int(train))
    X_test, y_test = _part(glyphs, seed, "test", int(test))
    return Dataset(
        name="synthetic",
        source=f"digits drawn by program with seed {seed}; the test part is drawn on its own",
        X=X,
        y=y,
        X_test=X_test,
        y_test=y_test,
        classes=tuple(range(10)),
        image_shape=(SIDE, SIDE),
    )


def _part(
    glyphs: NDArray[np.uint8], seed: int, part: str, n: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The first ``n`` images of a part, (n, 784), and their labels, (n,)."""
    X = np.empty((n, SIDE * SIDE), dtype=np.uint8)
    y = np.empty(n, dtype=np.int64)
    for index, first in enumerate(range(0, n, CHUNK)):
        ink, labels = _chunk(glyphs, uniform(NUMBERS * CHUNK, seed, f"synthetic/{part}", index))
        rows = slice(first, min(first + CHUNK, n))
        X[rows], y[rows] = ink[: n - first], labels[: n - first]
    return X, y


def _chunk(
    glyphs: NDArray[np.uint8], numbers: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Ink (CHUNK, 784), 0 to 255, and labels (CHUNK,), from NUMBERS * CHUNK uniform numbers."""
    u = numbers.reshape(NUMBERS, CHUNK)
    order, choice, size, slope, black = u[24:]
    y = order.reshape(-1, 10).argsort(axis=1, kind="stable").ravel()
    glyph = y * glyphs.shape[1] + (choice * glyphs.shape[1]).astype(np.int64)

    rest, spread = np.array(REST)[:, :, None], np.array(SPREAD)[:, :, None]
    coefficients = rest + spread * (2 * u[:24].reshape(3, 8, CHUNK) - 1)
    coefficients[:2] *= _between(SIZE, size)
    coefficients *= np.reshape([FINE, FINE, LEVELS], (3, 1, 1))
    coefficients[:2, 0] += CELLS / 2
    across, down, ink = _fields(coefficients)  # cells, cells, levels

    cell = np.clip(down, 0, CELLS - 1, out=down).astype(np.int64)
    cell *= CELLS
    cell += np.clip(across, 0, CELLS - 1, out=across).astype(np.int64)
    cell += glyph[:, None] * CELLS**2
    ink -= glyphs.ravel().take(cell)
    ink *= (_between(SLOPE, slope) / LEVELS).astype(np.float32)[:, None]
    return np.clip(ink, 0, _between(BLACK, black).astype(np.float32)[:, None], out=ink), y


def _fields(coefficients: NDArray[np.float64]) -> NDArray[np.float32]:
    """Coefficients (3, 8, CHUNK) times TERMS (8, 784): the fields, (3, CHUNK, 784).

    Exact in whatever order BLAS sums: all are whole numbers, and no sum reaches 2**24.
    """
    whole = np.rint(COEFFICIENT * coefficients).astype(np.float32)
    fields: NDArray[np.float32] = whole.swapaxes(1, 2) @ TERMS.astype(np.float32)
    fields *= np.float32(1 / (TERM * COEFFICIENT))
    return fields


def _between(ends: tuple[float, float], u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers in [0, 1) spread over a range."""
    return ends[0] + (ends[1] - ends[0]) * u


def _glyphs(seed: int) -> NDArray[np.uint8]:
    """Maps of the distance to the nearest stroke, (10, glyphs a digit, CELLS, CELLS), in levels."""
    maps = [
        _distances(way, seed, f"synthetic/{digit}/{index}")
        for digit, ways in enumerate(STROKES)
        for index, way in enumerate(ways)
    ]
    return np.stack(maps).reshape(10, -1, CELLS, CELLS)


def _distances(way: tuple[str, ...], seed: int, purpose: str) -> NDArray[np.uint8]:
    """One way of writing a digit, by HANDS hands: distances (HANDS, CELLS, CELLS), at most 255."""
    squared = np.full((HANDS, CELLS, CELLS), np.inf, dtype=np.float32)
    for index, stroke in enumerate(way):
        grid = np.array([[int(digit) for digit in point] for point in stroke.split()])[:, None, :]
        u = uniform(HANDS * grid.size, seed, purpose, index).reshape(len(grid), HANDS, 2)
        path = (grid + TREMOR * (2 * u - 1) - 4.5) * STEP * FINE + (CELLS - 1) / 2
        for a, b in pairwise(_rounded(_rounded(path)).astype(np.float32)):
            _add_segment(squared, a, b)
    return np.minimum(np.rint(LEVELS / FINE * np.sqrt(squared)), 255).astype(np.uint8)


def _rounded(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """A path (p, HANDS, 2) with its corners cut off (Chaikin): (2 p, HANDS, 2), with the same ends."""
    cut = np.empty((2 * len(path), *path.shape[1:]))
    cut[0], cut[-1] = path[0], path[-1]
    cut[1:-1:2] = 0.75 * path[:-1] + 0.25 * path[1:]
    cut[2:-1:2] = 0.25 * path[:-1] + 0.75 * path[1:]
    return cut


def _add_segment(squared: NDArray[np.float32], a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
    """Lower the squared distances (HANDS, CELLS, CELLS) near the segments a to b, (HANDS, 2), in cells."""
    low = np.maximum(np.minimum(a, b).min(axis=0) - REACH * FINE, 0).astype(int)
    high = np.maximum(a, b).max(axis=0) + REACH * FINE + 1
    columns, rows = (np.arange(i, min(j, CELLS), dtype=np.float32) for i, j in zip(low, high, strict=True))
    x, y = (columns - a[:, :1])[:, None, :], (rows - a[:, 1:])[:, :, None]
    dx, dy = ((b - a)[:, axis, None, None] for axis in (0, 1))
    length = np.maximum(dx * dx + dy * dy, np.float32(1e-6))  # two points may coincide
    t = np.clip(x * (dx / length) + y * (dy / length), 0, 1)
    near = squared[:, low[1] : low[1] + len(rows), low[0] : low[0] + len(columns)]
    np.minimum(near, (x - t * dx) ** 2 + (y - t * dy) ** 2, out=near)
