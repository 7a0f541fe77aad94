"""Cells: what the text of one means - missing, a number, a flag or a time - by their different words.

A column is read by its words, each looked at once. No file is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING = frozenset(
    {
        "", "na", "n/a", "nan", "-nan", "+nan", "<na>", "null", "none", "nil", "nat", "?", "-", "--", ".",
        "#n/a", "#n/a n/a", "#na", "#null!", "#value!", "#div/0!", "#ref!", "#name?", "#num!",
        "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan",
    }
)  # fmt: skip
"""Words for a missing cell, in small letters: pandas' and skrub's."""

LONGEST_MISSING = max(map(len, MISSING))
FLAGS = {"true": 1, "false": 0, "yes": 1, "no": 0, "t": 1, "f": 0}
PAIRS = ({"true", "false"}, {"yes", "no"}, {"t", "f"})
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
FLAG_SPELLINGS = 16  # ways to write yes and no in one column, at most
LONGEST_WORD = 40  # of what may be missing, a number, a flag or a time
BEGINS = frozenset("0123456789+-.,")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Style:
    """A way to write numbers that is not Python's: what a whole one looks like, and what is taken away."""

    told: str
    pattern: re.Pattern[str]
    grouped: str
    decimal: str

    def number(self, word: str) -> float | None:
        """The number that a word is; None where it is none."""
        if not self.pattern.fullmatch(word):
            return None
        return float(word.translate(dict.fromkeys(map(ord, self.grouped))).replace(self.decimal, "."))


def _style(told: str, grouped: str, decimal: str, exponent: str = "") -> Style:
    groups = rf"\d{{1,3}}(?P<g>[{grouped}])\d{{3}}(?:(?P=g)\d{{3}})*|" if grouped else ""
    pattern = rf"[+-]?(?:(?:{groups}\d+)(?:[{decimal}]\d*)?|[{decimal}]\d+){exponent}"
    return Style(told, re.compile(pattern, re.ASCII), grouped, decimal)


DECIMAL_COMMA = _style("decimal commas", "", ",", r"(?:[eE][+-]?\d+)?")
GROUPED_BY_COMMA = _style("commas between thousands", ",", ".")
GROUPED_BY_POINT = _style("points between thousands and decimal commas", ".", ",")
GROUPED_BY_SPACE = _style("spaces between thousands", " \u00a0\u202f'\u2019", ".")
GROUPED_BY_SPACE_TOO = _style("spaces between thousands and decimal commas", " \u00a0\u202f'\u2019", ",")


def styles(separator: str) -> tuple[Style, ...]:
    """The styles that a file of this separator may have, the likelier first: 1,234 is 1234 between commas."""
    first = (GROUPED_BY_COMMA, DECIMAL_COMMA)
    first = first if separator == "," else first[::-1]
    return (*first, GROUPED_BY_POINT, GROUPED_BY_SPACE, GROUPED_BY_SPACE_TOO)


def is_missing(word: str) -> bool:
    """Tell whether a stripped cell stands for a missing one."""
    return len(word) <= LONGEST_MISSING and word.casefold() in MISSING


def is_number(word: str) -> bool:
    """Tell whether a stripped cell is a number as Python writes them: no nan, no thousands."""
    return NUMBER.fullmatch(word) is not None


def is_time(word: str) -> bool:
    """Tell whether a stripped cell looks like an ISO date, or a date and a time."""
    return len(word) <= LONGEST_WORD and TIME.fullmatch(word) is not None


def numbers(words: Iterable[str], style: Style | None = None) -> NDArray[np.float64]:
    """The number (n,) of each word, nan for one that is none, or none that float64 holds."""
    found = np.fromiter((_number(word, style) for word in words), np.float64)
    found[np.isinf(found)] = np.nan
    return found


def _number(word: str, style: Style | None) -> float:
    if style is None:
        return float(word) if NUMBER.fullmatch(word) else np.nan
    value = style.number(word)
    return np.nan if value is None else value


def style_of(words: Sequence[str], separator: str) -> Style | None:
    """The style that makes every word a number, or most of them; None where Python's makes as many."""
    best, most = None, sum(map(is_number, words))
    for style in styles(separator):
        if most == len(words):
            break
        count = sum(style.pattern.fullmatch(word) is not None for word in words)
        if count > most:
            best, most = style, count
    return best


def certain_texts(words: Sequence[str]) -> NDArray[np.bool_]:
    """True (n,) for words that begin as no number does: quick to tell."""
    return np.fromiter((word[0] not in BEGINS for word in words), np.bool_, len(words))


def are_whole(words: Iterable[str]) -> bool:
    """Tell whether all are whole numbers as they are written: 3, not 3.0."""
    return all(map(WHOLE.fullmatch, words))


def flags(words: Sequence[str]) -> NDArray[np.int8] | None:
    """1 or 0 (n,) for words that say yes or no, all of one pair; None where some do not."""
    small = [word[:LONGEST_WORD].casefold() for word in words[:FLAG_SPELLINGS]]
    if not 0 < len(words) <= FLAG_SPELLINGS or not any(pair.issuperset(small) for pair in PAIRS):
        return None
    return np.array([FLAGS[word] for word in small], np.int8)


def times(words: Sequence[str]) -> NDArray[np.float64]:
    """Days since 1970-01-01 (n,) of ISO dates and times, UTC where no zone is named; nan for other words."""
    if words and not is_time(words[0]):  # most columns are no times
        return np.full(len(words), np.nan)
    return np.array([_days(word) for word in words], np.float64)


def _days(word: str) -> float:
    if not is_time(word):
        return np.nan
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:  # a 31st of June
        return np.nan
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    passed = moment - EPOCH
    return passed.days + (passed.seconds * 1_000_000 + passed.microseconds) / 86_400_000_000


def days(moments: NDArray[Any]) -> NDArray[np.float64]:
    """Days since 1970-01-01 (n,) of NumPy's datetime64 or timedelta64, nan for NaT."""
    unit, step = np.datetime_data(moments.dtype)
    if unit in ("Y", "M", "W", "generic"):
        moments, unit, step = moments.astype(f"{moments.dtype.kind}8[D]"), "D", 1
    per_day = {"D": 1, "h": 24, "m": 1440, "s": 86400, "ms": 86400 * 10**3, "us": 86400 * 10**6}
    per_day |= {"ns": 86400 * 10**9, "ps": 86400 * 10**12}
    if unit not in per_day:
        moments, unit, step = moments.astype(f"{moments.dtype.kind}8[us]"), "us", 1
    if step != 1:
        moments = moments.astype(f"{moments.dtype.kind}8[{unit}]")
    whole, rest = np.divmod(moments.astype(np.int64), per_day[unit])
    found = whole + rest / per_day[unit]
    found[np.isnat(moments)] = np.nan
    return np.asarray(found, np.float64)
