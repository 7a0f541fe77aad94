"""A column of texts: numbers or dates written as texts, one category in several spellings.

Only its different words are looked at. Nothing here has words of its own for people.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 90  # percent of the cells that must be numbers, or dates
VARIED = 10  # different ones: fewer are categories
SHOWN = 5  # texts that are no numbers
LONGEST = 40  # characters of a number or a date

_NUMBER = re.compile(
    r"(?P<before>[$€£¥]?)\s*(?P<sign>[+-]?)\s*(?P<digits>\d[\d., '\u00a0\u202f]*|[.,]\d+)"
    r"(?:[eE][+-]?\d{1,3})?\s*(?P<unit>%|°?[A-Za-zµ€$£¥]{0,6}(?:[/²³23][A-Za-z23]{0,3})?)"
)
_DIGITS = re.compile(  # plain, or in groups of three, with one mark between them
    r"\d*[.,]?\d+|\d+[.,]|\d{1,3}(?:([., '\u00a0\u202f])\d{3})+(?:(?!\1)[.,]\d+)?"
)
_CODE = re.compile(r"\s*0\d")  # 007 and 01234 are names, and so are 123 and 56789 beside them
_ORDINALS = {"st", "nd", "rd", "th"}
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_TIME = r"(?:[T ,]+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:[AaPp][Mm])?(?:\s*(?:Z|UTC|[+-]\d{2}:?\d{2}))?)?"
_DATES = [
    re.compile(pattern + _TIME, re.IGNORECASE)
    for pattern in (
        r"(?:1[5-9]|2[01])\d\d([-/.])(?:0?[1-9]|1[0-2])\1(?:[0-2]?\d|3[01])",
        r"(?:[0-2]?\d|3[01])([-/.])(?:[0-2]?\d|3[01])\1(?:(?:1[5-9]|2[01])\d\d|\d\d)",
        rf"(?:[0-2]?\d|3[01])(?:st|nd|rd|th)?[-/. ]*{_MONTH}[-/., ]*(?:(?:1[5-9]|2[01])\d\d|\d\d)?",
        rf"{_MONTH}[-/. ]*(?:[0-2]?\d|3[01])(?:st|nd|rd|th)?[-/., ]*(?:1[5-9]|2[01])\d\d",
    )
]


def is_date(word: str) -> bool:
    """Tell whether a text is a date, perhaps with a time."""
    text = word.strip()
    return len(text) <= LONGEST and any(pattern.fullmatch(text) for pattern in _DATES)


def unit_of(word: str) -> str | None:
    """The unit of a text that is a number: "" for none, "$" or "kg"; None for other texts."""
    text = word.strip()
    found = _NUMBER.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        return None
    unit = found["before"] or found["unit"].strip()
    is_number = _DIGITS.fullmatch(found["digits"].strip()) and not _CODE.match(text)
    return unit if is_number and unit not in _ORDINALS else None


@dataclass(frozen=True)
class Written:
    """The contents of a column of texts: ``what`` is "numbers" or "dates".

    unit: of the numbers, "" for none.   examples: of dates.
    others: texts that are neither, the commonest first, at most SHOWN.   cells: how many hold such.
    """

    what: str
    unit: str = ""
    examples: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    cells: int = 0


def written(words: Sequence[str], counts: NDArray[np.int64]) -> Written | None:
    """The contents of a column of these words, each in so many cells; None for plain texts."""
    pairs = [pair for pair in zip(words, counts.tolist(), strict=True) if pair[1]]
    most = int(counts.sum()) * (100 - MOST)
    dates = [word for word, _ in pairs if is_date(word)]
    cells = sum(count for word, count in pairs if not is_date(word)) if dates else 0
    if len(dates) > 1 and cells * 100 <= most:
        return Written("dates", examples=tuple(dates[:2]), cells=cells)
    units = [unit_of(word) for word, _ in pairs]
    rows: dict[str, int] = defaultdict(int)
    for unit, (_, count) in zip(units, pairs, strict=True):
        if unit is not None:
            rows[unit] += count
    if not rows or any(_CODE.match(word) for word, _ in pairs):
        return None
    unit = max(rows, key=lambda unit: rows[unit])
    others = [(-n, word) for kind, (word, n) in zip(units, pairs, strict=True) if kind not in (unit, "")]
    cells = -sum(count for count, _ in others)
    if len(pairs) - len(others) < VARIED or cells * 100 > most:
        return None
    return Written("numbers", unit, others=tuple(word for _, word in sorted(others)[:SHOWN]), cells=cells)


def alike(words: Sequence[str], counts: NDArray[np.int64]) -> list[tuple[str, ...]]:
    """Groups of words that differ in case, or in space, ``-`` and ``_`` between letters; the commonest first.

    One letter in two cases may be two codes, and so may A and A-.
    """
    groups: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for word, count in zip(words, counts.tolist(), strict=True):
        if count:
            bare = re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", word.strip())
            groups[bare.casefold() if len(bare) > 1 else bare].append((-count, word))
    return [tuple(word for _, word in sorted(group)) for group in groups.values() if len(group) > 1]
