"""What is looked at between two epochs of one pass: sums of squares, and whether the training is to end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.types import Watch
from fastmlp.kernels.jit import device
from fastmlp.kernels.simd import LANES

_LANES, _NOTHING = np.int64(LANES), np.float32(0)


class Looks(NamedTuple):
    """What is looked at, if ``wanted``: else nothing of it is read.

    rows: sums of the squares of each row of weights before each batch of an epoch; of no rows: not asked for.
    weighed: squares are asked for, and weights given: a batch counts as ``Session`` says, see ``mass``.
    squares (E,): of all rows, of each epoch. wholes (E,): by what its total is divided. watched: by a
    backends.types.Watch of that tol, most, parts and penalty. watch: its best and stale, and 1 if it stops.
    """

    wanted: bool
    rows: NDArray[np.float64]
    n_rows: int
    weighed: bool
    squares: NDArray[np.float64]
    wholes: NDArray[np.float64]
    watched: bool
    tol: float
    most: float
    parts: float
    penalty: float
    watch: NDArray[np.float64]


_NONE = np.empty(0)
NO_LOOKS = Looks(
    wanted=False, rows=_NONE, n_rows=0, weighed=False, squares=_NONE, wholes=_NONE, watched=False, tol=0.0,
    most=0.0, parts=1.0, penalty=0.0, watch=_NONE,
)  # fmt: skip


def looks_of(watch: Watch | None, rows: int, weighted: bool, wholes: NDArray[np.float64]) -> Looks:
    """The Looks of len(wholes) epochs; rows: of all weights, where their squares are asked for, or 0."""
    found = NO_LOOKS._replace(
        wanted=watch is not None or rows > 0, rows=np.zeros(rows), n_rows=rows, weighed=weighted and rows > 0,
        squares=np.zeros(len(wholes)), wholes=wholes,
    )  # fmt: skip
    if watch is None:
        return found
    return found._replace(
        watched=True, tol=float(watch.tol), most=float(watch.most), parts=float(watch.parts),
        penalty=float(watch.penalty), watch=np.array([watch.best, watch.stale, 0], np.float64),
    )  # fmt: skip


@device
def mass(looks, batch):
    """The factor of a batch's sum of losses, and of its squares, in those of an epoch."""
    if not looks.weighed:
        return 1.0
    return np.float64(batch.n) / np.float64(batch.weight) if batch.weight > _NOTHING else 0.0


@device
def add_losses(looks, totals, epoch, losses, batch):
    """To the total of an epoch come the losses of a batch."""
    if not looks.weighed:
        for b in range(batch.n):
            totals[epoch] += losses[b]
    else:
        total = 0.0
        for b in range(batch.n):
            total += np.float64(losses[b])
        totals[epoch] += total * mass(looks, batch)


@device
def add_squares(looks, theta, at, stride, row, n, factor, fresh):
    """To the sums of n rows, from that one on, come factor times the squares of their weights.

    fresh: they are the first ones.
    Eight sums a row, so that none waits for the one before.
    """
    for i in range(row, row + n):
        a = b = c = d = e = f = g = h = 0.0
        for j in range(at, at + stride, _LANES):
            a += np.float64(theta[j]) * np.float64(theta[j])
            b += np.float64(theta[j + 1]) * np.float64(theta[j + 1])
            c += np.float64(theta[j + 2]) * np.float64(theta[j + 2])
            d += np.float64(theta[j + 3]) * np.float64(theta[j + 3])
            e += np.float64(theta[j + 4]) * np.float64(theta[j + 4])
            f += np.float64(theta[j + 5]) * np.float64(theta[j + 5])
            g += np.float64(theta[j + 6]) * np.float64(theta[j + 6])
            h += np.float64(theta[j + 7]) * np.float64(theta[j + 7])
        total = (((a + b) + (c + d)) + ((e + f) + (g + h))) * factor
        looks.rows[i] = total if fresh else looks.rows[i] + total
        at += stride


@device
def look(looks, totals, epoch):
    """Look back at an epoch: fill in its squares. Returns whether training ends, as Watch.after has it."""
    total = 0.0
    for i in range(looks.n_rows):
        total += looks.rows[i]
    looks.squares[epoch] = total
    if not looks.watched:
        return False
    watch = looks.watch
    loss = totals[epoch] / looks.wholes[epoch] / looks.parts + looks.penalty * total
    watch[1] = watch[1] + 1.0 if loss > watch[0] - looks.tol else 0.0
    watch[0] = loss if loss < watch[0] else watch[0]
    watch[2] = 1.0 if watch[1] > looks.most else 0.0
    return watch[2] != 0.0
