"""What is looked at between two epochs of one pass: sums of squares, and whether the training is to end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.types import Watch
from fastmlp.kernels.jit import device
from fastmlp.kernels.simd import LANES

_LANES, _NOTHING = np.int64(LANES), np.float32(0)
BEST, STALE, STOPS, TOL, MOST, PARTS, PENALTY = range(7)  # of Looks.watch


class Looks(NamedTuple):
    """The sums of an epoch and the watch over them. Few fields: each costs time to compile.

    wanted: else nothing of it is read. weighed: squares are asked for, and weights given: a batch counts as
    ``Session`` says, see ``factor_in_epoch``.
    rows (n_rows,): sums of the squares of each row of weights before each batch of an epoch; none: not asked
    for. sums (E, 2): by what an epoch's total is divided, and its squares, of all rows. watch: a
    backends.types.Watch in numbers, and whether it stops; without one, most is infinite.
    """

    wanted: bool
    weighed: bool
    n_rows: int
    rows: NDArray[np.float64]
    sums: NDArray[np.float64]
    watch: NDArray[np.float64]


NO_LOOKS = Looks(
    wanted=False, weighed=False, n_rows=0, rows=np.empty(0), sums=np.empty((0, 2)), watch=np.zeros(7)
)


def looks_of(watch: Watch | None, rows: int, weighted: bool, wholes: list[float]) -> Looks:
    """The Looks of epochs whose totals are divided by these.

    rows: of all weights, where their squares are asked for, or 0.
    """
    sums = np.zeros((len(wholes), 2))
    sums[:, 0] = wholes
    if watch is None and not rows:
        return NO_LOOKS._replace(sums=sums)
    return Looks(True, weighted and rows > 0, rows, np.zeros(rows), sums, numbers_of(watch))


def numbers_of(watch: Watch | None) -> NDArray[np.float64]:
    """A watch in numbers, as Looks has it."""
    best, stale, tol, most, parts, penalty = watch or (0.0, 0, 0.0, np.inf, 1, 0.0)
    return np.array([best, stale, 0, tol, most, parts, penalty], np.float64)


@device
def factor_in_epoch(looks, batch):
    """The factor of a batch's sum of losses, and of its squares, in those of an epoch."""
    if not looks.weighed:
        return 1.0
    return np.float64(batch.n) / np.float64(batch.weight) if batch.weight > _NOTHING else 0.0


@device
def add_losses(looks, totals, epoch, losses, batch):
    """Add the losses of a batch to the total of an epoch."""
    if not looks.weighed:
        for b in range(batch.n):
            totals[epoch] += losses[b]
    else:
        total = 0.0
        for b in range(batch.n):
            total += np.float64(losses[b])
        totals[epoch] += total * factor_in_epoch(looks, batch)


@device
def add_squares(looks, theta, at, stride, row, n, factor, fresh):
    """Add factor times the squares of the weights of n rows, from that one on, to the sums of these.

    fresh: they are the first ones. Eight sums a row, so that none waits for the one before.
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
    """Look back at an epoch: fill in its squares. Returns whether training ends."""
    total = 0.0
    for i in range(looks.n_rows):
        total += looks.rows[i]
    looks.sums[2 * epoch + 1] = total
    return count(looks.watch, totals[epoch] / looks.sums[2 * epoch], total)


@device
def count(watch, loss, squares):
    """Count an epoch of that mean loss. Returns whether training ends, as Watch.after has it."""
    loss = loss / watch[PARTS] + watch[PENALTY] * squares
    watch[STALE] = watch[STALE] + 1.0 if loss > watch[BEST] - watch[TOL] else 0.0
    watch[BEST] = loss if loss < watch[BEST] else watch[BEST]
    watch[STOPS] = 1.0 if watch[STALE] > watch[MOST] else 0.0
    return watch[STOPS] != 0.0
