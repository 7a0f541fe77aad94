"""Where an axis has numbers, and how they are written: never two with the same words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

_STEPS = ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10)))  # of each power of ten, ever closer
_FEWEST = 3


def counted(value: float) -> str:
    """Write a count: 20, 1,500, 20 k, 1.5 M."""
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if value >= 1e4 else f"{value:,g}"


def timed(seconds: float) -> str:
    """Write a time: 300 µs, 20 ms, 1.5 s."""
    if seconds == 0:
        return "0 s"
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 0.999:
            return f"{seconds * factor:g} {unit}"
    return f"{seconds * 1e9:g} ns"


def apart(values: Sequence[float], share: float = 0.16) -> list[float]:
    """Return those of ascending ``values`` that are that share of a logarithmic axis from each other."""
    kept: list[float] = []
    for value in values:
        if not kept or value / kept[-1] >= (values[-1] / values[0]) ** share:
            kept.append(value)
    return kept


def logarithmic(axis: Any, low: float, high: float, words: Callable[[float], str]) -> None:
    """Give a logarithmic axis from ``low`` to ``high`` round ticks: two or more, at most about eight."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    ticks = [float(tick) for tick in MaxNLocator(4).tick_values(low, high)]
    for steps in _STEPS:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        round_ones = [step * 10.0**power for power in powers for step in steps]
        if sum(low <= tick <= high for tick in round_ones) >= _FEWEST:
            ticks = round_ones
            break
    ticks = [float(f"{tick:.6g}") for tick in ticks if low * 0.999 <= tick <= high * 1.001]
    ticks = ticks[:: math.ceil(len(ticks) / 8)]
    axis.set_ticks(ticks, [words(tick) for tick in ticks])
    axis.set_minor_locator(NullLocator())
