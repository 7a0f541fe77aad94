"""A column of numbers: a value that stands for none, cells of another unit, numbers that only count the rows.

Each function sees the cells that are there, and returns what it saw, or None. Nothing here has words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST = 20  # cells of a column that can be judged
VARIED = 10  # different values beside a sentinel: fewer are steps, not a range
NEGATIVE = {-1, -2, -9, -99, -999, -9999, -99999, -999999, -32768, -2147483648}
LARGE = {99, 999, 9999, 99999, 999999, 9999999, 99999999, 999999999, 32767, 65535, 2147483647}
DAYS = {-25567, -719162, 0, 2932896, 2932531}  # 1900, 0001 and 1970, 9999-12-31 and 9998-12-31
ZERO_APART, MOST_ZEROS = 0.4, 0.25  # of the others' width; of the cells: with more, 0 is a quantity
UNLIKELY, UNLIKELY_TAIL = 1e-5, 5e-3  # by chance, of a column
OUTLYING = 8  # deviations of the logarithms: no lognormal column has such a cell
APART = 20  # deviations of the numbers themselves
MOST_OUTLYING = 100  # one cell in so many
STEPS = 3  # times the mean step between the values next to the edge
HUGEST = 1e150  # whose square float64 holds
BLOWN_UP = 3  # times the spread without them


@dataclass(frozen=True)
class Sentinel:
    """A value at the edge, in ``count`` cells; the others lie in low .. high."""

    value: float
    count: int
    low: float
    high: float


@dataclass(frozen=True)
class Outlying:
    """Few cells far from all others: their places among the cells, and the spreads with and without them."""

    places: NDArray[np.int64]
    values: NDArray[np.float64]
    low: float
    high: float
    spread: float
    without: float


def sentinel(values: NDArray[np.float64], is_time: bool = False) -> Sentinel | None:
    """A repeated value at an edge of the column that stands for something else than a quantity.

    Numbers that people use for it need to stand apart by a part of the others' range, or be the only negative
    number and three times as frequent as any other; 0 by more; a number that nobody uses by twice the range.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(values) < FEWEST or len(distinct) <= VARIED:
        return None
    for way in (1, -1):  # the lower edge, then the upper one
        inward, rows = distinct[::way], counts[::way]
        if rows[0] > 1 and len(values) - rows[0] >= FEWEST // 2 and _stands_for_none(inward, rows, is_time):
            ends = sorted((float(inward[1]), float(inward[-1])))
            return Sentinel(float(inward[0]), int(rows[0]), *ends)
    return None


def _stands_for_none(inward: NDArray[np.float64], rows: NDArray[np.int64], is_time: bool) -> bool:
    """Judge the first of the different values from an edge inwards; rows: the cells of each."""
    value, count, others = float(inward[0]), int(rows[0]), inward[1:]
    gap, whole = abs(value - float(others[0])), abs(float(others[-1] - others[0]))
    low, high = np.quantile(np.repeat(others, rows[1:]), [0.05, 0.95])
    width, is_low = float(high - low), bool(value < others[0])
    step = abs(float(others[VARIED - 1] - others[0])) / (VARIED - 1)
    often, apart = count >= 5 and count >= 3 * rows[1:].max(), gap >= STEPS * step
    if is_time:
        return value in DAYS and apart and gap >= width / 2
    if value == 0 and is_low:
        far = gap >= ZERO_APART * width and gap >= ZERO_APART / 2 * whole
        return apart and far and 3 <= count <= MOST_ZEROS * int(rows.sum())
    if value in NEGATIVE and is_low and others[0] >= 0:
        return often or (apart and gap >= width / 5)
    if value in NEGATIVE | LARGE:
        return apart and gap >= (width / 4 if often else width / 2)
    return count >= 3 and apart and gap >= 2 * whole


def outlying(values: NDArray[np.float64]) -> Outlying | None:
    """Cells that dominate the spread, and are no tail of the others.

    They are at most one in MOST_OUTLYING (or one), their distances from the median end a gap that a tail
    falling as slowly as that of the other cells would hardly ever leave, and they blow the spread up. In
    columns without negative numbers the logarithms must say so too.
    """
    n, most = len(values), max(1, len(values) // MOST_OUTLYING)
    if n < FEWEST or np.abs(values).max() > HUGEST:
        return None
    middle = float(np.median(values))
    away = np.abs(values - middle)
    size = 1.4826 * float(np.median(away))
    if away.max() < APART * size or not away.any():
        return None
    order = np.argsort(-away, kind="stable")
    tail = away[order]
    size = size or float(np.mean(tail[most:]))
    if tail[most] == 0:
        return None
    drops = np.log(tail[:most] / tail[1 : most + 1])
    j = int(drops.argmax()) + 1
    places, rest = np.sort(order[:j]), np.delete(values, order[:j])
    chance = _chance_of_gap(tail[j - 1 :])
    if (rest >= 0).all():  # the logarithms have to say so too
        is_far = _far_in_logs(values[places], rest) and chance < UNLIKELY_TAIL
    else:
        is_far = chance * most < UNLIKELY
    is_far = is_far and tail[j - 1] >= APART * size
    spread, without = float(values.std()), float(rest.std())
    if not (is_far and without > 0 and spread >= BLOWN_UP * without):
        return None
    return Outlying(places, values[places], float(rest.min()), float(rest.max()), spread, without)


def _chance_of_gap(tail: NDArray[np.float64]) -> float:
    """The chance of such a gap between the first two distances, descending, in a tail that falls as a power.

    Logarithms fall exponentially in such a tail (Hill, 1975): their mean over m distances is known, and the
    gap over it has this chance.
    """
    rest = tail[1:]
    m = int(np.clip(len(rest) // 10, 20, len(rest) // 2))
    if rest[m] == 0:
        return 1.0
    mean = float(np.mean(np.log(rest[:m] / rest[m])))
    return float((1 + np.log(tail[0] / rest[0]) / (m * mean)) ** -m) if mean > 0 else 0.0


def _far_in_logs(values: NDArray[np.float64], rest: NDArray[np.float64]) -> bool:
    """Tell whether values lie beyond all that a lognormal column like ``rest``, from 0 on, would hold."""
    if (values <= 0).any() or not (rest > 0).any():
        return bool((values < 0).all())
    logs = np.log(rest[rest > 0])
    middle = np.median(logs)
    size = 1.4826 * float(np.median(np.abs(logs - middle))) or float(logs.std())
    return bool(size > 0 and np.abs(np.log(values) - middle).min() >= OUTLYING * size)


def counts_rows(values: NDArray[np.float64]) -> bool:
    """Tell whether whole numbers, all different, were drawn without putting back, or count the rows.

    By chance n numbers out of a range R are all different with probability exp(-n^2 / 2R) at most.
    """
    n = len(values)
    if n < 10 or not np.isfinite(values).all() or (values != np.round(values)).any():
        return False
    steps = np.diff(values)
    if steps[0] != 0 and (steps == steps[0]).all():
        return True
    width = float(values.max() - values.min()) + 1
    return bool(n * n / (2 * width) > -np.log(UNLIKELY))
