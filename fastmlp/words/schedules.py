"""Schedules of the learning rate by their names: how each is written, and its factor at an epoch or a step.

A schedule is ``NAME:NUMBERS``, or ``warmup:COUNT+NAME:NUMBERS``; it counts epochs, and with ``/step`` behind
it steps, one a batch. What ``plateau`` makes of validation losses is in train/plateau.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastmlp.checks import SMALLEST, as_text, parsed, shown
from fastmlp.errors import ConfigError

_MOST = 10**9


class Entry(NamedTuple):
    """A schedule: the pattern of its text, and what it does.

    pattern:  of its text, for messages.
    example:  numbers for it; where ``usual`` says so, they are its numbers where none are given.
    are_good: tells whether these are numbers for it.
    factor:   of the learning rate, at epoch or step t, from 0, of ``total``, which matters to ``whole`` ones.
    """

    pattern: str
    example: tuple[float, ...]
    are_good: Callable[..., bool]
    factor: Callable[..., float]
    usual: bool = True
    whole: bool = False


def _is_share(number: float) -> bool:
    return SMALLEST <= number <= 1


def _is_count(number: float) -> bool:
    return 1 <= number <= _MOST and number == int(number)


def _cosine(t: int, total: int, least: float) -> float:
    """Half a cosine from 1 to ``least``, which the one after the last would have."""
    return least + (1 - least) * (1 + math.cos(math.pi * t / total)) / 2


def _onecycle(t: int, total: int) -> float:
    """Up from 1/25 in three tenths of the steps, and down to 1/250,000 in the others, along cosines."""
    top, last = 0.3 * total - 1, total - 1
    start, end, part = (1 / 25, 1.0, t / top) if t <= top else (1.0, 1 / 250_000, (t - top) / (last - top))
    return end + (start - end) / 2 * (math.cos(math.pi * part) + 1)


SCHEDULES = {
    "constant": Entry("constant", (), lambda: True, lambda t, total: 1.0),
    "step": Entry(
        "step:EVERY,FACTOR, EVERY from 1 and FACTOR up to 1",
        (5, 0.1),
        lambda every, factor: _is_count(every) and _is_share(factor),
        lambda t, total, every, factor: factor ** (t // int(every)),
        usual=False,
    ),
    "exponential": Entry(
        "exponential:FACTOR, FACTOR up to 1",
        (0.95,),
        _is_share,
        lambda t, total, factor: factor**t,
        usual=False,
    ),
    "cosine": Entry(
        "cosine:LEAST, the share of lr at its end, from 0 to 1",
        (0.0,),
        lambda least: 0 <= least <= 1,
        _cosine,
        whole=True,
    ),
    "onecycle": Entry("onecycle", (), lambda: True, _onecycle, whole=True),
    "plateau": Entry(
        "plateau:FACTOR,PATIENCE, FACTOR below 1 and PATIENCE from 0 epochs",
        (0.1, 10),
        lambda factor, patience: SMALLEST <= factor < 1 and _is_count(patience + 1),
        lambda t, total, factor, patience: 1.0,
    ),
}
_WARMUP = "warmup:COUNT, COUNT from 1, or warmup:COUNT,START, START from over 0 to 1"


@dataclass(frozen=True)
class Schedule:
    """A schedule that was read from its text, and whose ``str`` is the shortest text that means it.

    warmup:  epochs or steps before it begins, in which the rate rises linearly from ``start``, a factor, to
             all of it. The others count from their end.
    by_step: it counts steps, not epochs.
    """

    name: str
    numbers: tuple[float, ...]
    warmup: int = 0
    start: float = 1.0
    by_step: bool = False

    @classmethod
    def of(cls, value: Any) -> Schedule:
        """Read a text. Raises ConfigError."""
        text = (as_text(value) or "").replace(" ", "")
        *first, last = text.removesuffix("/step").split("+")
        if last.startswith("warmup:"):
            first, last = [*first, last], "constant"
        name, colon, behind = last.partition(":")
        entry = SCHEDULES.get(name)
        if entry is None or len(first) > 1:
            raise ConfigError(
                f"schedule must be one of {', '.join(SCHEDULES)}, or one with warmup:COUNT+ before it, or "
                "/step behind",
                shown(value),
                "for example step:5,0.1, or warmup:2+cosine",
            )
        numbers = _numbers(behind) if colon else entry.example
        if len(numbers) != len(entry.example) or not (colon or entry.usual) or not entry.are_good(*numbers):
            example = ",".join(map(_shortest, entry.example))
            raise ConfigError(
                f"schedule must be {entry.pattern}", shown(value), f"for example {name}:{example}"
            )
        count, start = _warmup(first[0], value) if first else (0, 1.0)
        by_step = text.endswith("/step") or name == "onecycle"
        if name == "plateau" and by_step:
            raise ConfigError("a schedule on plateau must count epochs", shown(value), "leave out /step")
        if name == "onecycle" and first:
            raise ConfigError("schedule onecycle must have no warmup but its own", shown(value))
        return cls(name, numbers, count, start, by_step)

    def __str__(self) -> str:
        entry = SCHEDULES[self.name]
        own = self.numbers == entry.example and entry.usual
        text = self.name if own else f"{self.name}:{','.join(map(_shortest, self.numbers))}"
        if self.warmup:
            start = "" if self.start == 1 / (self.warmup + 1) else f",{_shortest(self.start)}"
            text = f"warmup:{self.warmup}{start}" + (f"+{text}" if self.name != "constant" else "")
        return text + "/step" * (self.by_step and self.name != "onecycle")

    @property
    def needs_total(self) -> bool:
        """True where the number of epochs decides every rate."""
        return SCHEDULES[self.name].whole

    def factor(self, t: int, total: int) -> float:
        """The factor of the learning rate at epoch or step t, from 0, of ``total``."""
        if t < self.warmup:
            return self.start + (1 - self.start) * t / self.warmup
        return SCHEDULES[self.name].factor(t - self.warmup, total - self.warmup, *self.numbers)


def _warmup(text: str, value: Any) -> tuple[int, float]:
    """COUNT and START of warmup:COUNT,START; without START it is what a step of the rise is."""
    name, _, behind = text.partition(":")
    count, *start = _numbers(behind) or (0.0,)
    if name != "warmup" or not _is_count(count) or len(start) > 1 or not all(map(_is_share, start)):
        raise ConfigError(
            f"a schedule's warmup must be {_WARMUP}", shown(value), "for example warmup:2+cosine"
        )
    return int(count), start[0] if start else 1 / (int(count) + 1)


def _numbers(text: str) -> tuple[float, ...]:
    """The numbers between commas; none where one of them is no number."""
    return parsed(text, *[float] * (text.count(",") + 1)) or ()


def _shortest(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)
