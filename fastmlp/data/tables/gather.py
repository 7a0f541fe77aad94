"""Gather: blocks of cells to columns, each of one kind, which is found from all of its cells or given.

Numbers become floats as they come; all else waits as codes into the column's words, whose meaning is looked
up at the end (cells.py). A column of numbers in which words turn up late is gathered a second time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.names import listed
from fastmlp.data.table import Column, Kind, Table
from fastmlp.data.tables import cells as meaning
from fastmlp.data.tables.rows import MOST_CELL, Cells, Rows
from fastmlp.errors import DataError
from fastmlp.files.bounded import BYTE_BUDGET

FEW = 10  # a column with so many numbers for each other cell is one of numbers, and the others are faults
CALLED: dict[Kind, str] = {
    "number": "a number",
    "flag": "true or false",
    "time": "a date such as 2024-12-31",
    "text": "text",
}


@dataclass(frozen=True)
class Source:
    """Facts about their file that the readers of cells must know.

    has_lines: False where rows are numbered, from 0, and have no lines.
    kinds:   by name, of columns whose kind is known: their cells are read as that.
    known:   where that is from, for messages.
    lenient: True where a column without a known kind is text rather than wrong: nobody may need it.
    mixed:   names of others of which that holds.
    """

    where: str
    separator: str = ","
    has_lines: bool = True
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    known: str = "training"
    lenient: bool = False
    mixed: Collection[str] = ()

    def at(self, line: int) -> str:
        """Words for where a row stands."""
        return f"line {line} of {self.where}" if self.has_lines else f"row {line} (from 0) of {self.where}"


class Again(Exception):
    """The column's numbers must be gathered as words."""


class Gathered:
    """One column, so far. words: True where numbers are kept as words too, for what they look like."""

    def __init__(self, name: str, source: Source, *, words: bool) -> None:
        self.name, self.source = name, source
        self.kind = source.kinds.get(name)
        self.as_words = words or self.kind in ("text", "flag", "time")
        self.parts: list[NDArray[Any]] = []
        self.places: dict[str, int] = {}
        self.whole = True

    def add(self, cells: Cells, lines: NDArray[np.int64]) -> None:
        """Take the cells of one more block, which stand in these lines."""
        found = None if self.as_words else cells.numbers()
        if found is not None:
            self.parts.append(found[0])
            self.whole &= found[1]
            return
        codes, words = cells.coded()
        places = self.places
        seats = [places.get(word, -1) for word in words]
        for i in [i for i, seat in enumerate(seats) if seat < 0]:
            word = words[i].strip()
            if len(word) <= meaning.LONGEST_MISSING:
                if word.casefold() in meaning.MISSING:
                    continue
            elif len(word) > MOST_CELL:
                raise self._too_long(len(word), int(lines[int((codes == i).argmax())]))
            seats[i] = places.setdefault(word, len(places))
        self.parts.append(np.array([*seats, -1], np.int32)[codes])

    def _too_long(self, length: int, line: int) -> DataError:
        where = self.source.at(line)
        return DataError(
            f"{where} must have cells of at most {MOST_CELL:,} characters",
            f"{length:,} in column {self.name!r:.60}",
            "check which file this is, and its quotes",
        )

    def column(self, lines: NDArray[np.int64]) -> tuple[Column, str]:
        """The column, and how its numbers were written if not plainly. Raises Again and DataError."""
        words = list(self.places)
        counts = np.zeros(len(words), np.int64)
        for part in self.parts:
            if part.dtype == np.int32:
                counts += np.bincount(part[part >= 0], minlength=len(words))
        floats = [part for part in self.parts if part.dtype != np.int32]
        counted = sum(len(part) - int(np.isnan(part).sum()) for part in floats)
        match self.kind or self._found(words, counts, counted):
            case "text":
                return self._text(words, counted), ""
            case "flag":
                return self._flag(words, lines), ""
            case "time":
                return self._looked_up("time", meaning.times(words), lines), ""
            case _:
                return self._numbers(words, lines, floats)

    def _found(self, words: list[str], counts: NDArray[np.int64], counted: int) -> Kind:
        """The kind that the words have; counted: cells that are numbers beside them."""
        every = counted + int(counts.sum())
        texts = int(counts[meaning.certain_texts(words)].sum())
        others = every
        if texts * (FEW + 1) <= every:
            style = meaning.style_of(words, self.source.separator)
            others = int(counts[np.isnan(meaning.numbers(words, style))].sum())
        if not others:
            return "number"
        if not counted:
            if meaning.flags(words) is not None:
                return "flag"
            if not np.isnan(meaning.times(words)).any():
                return "time"
        few = others * (FEW + 1) <= every
        lenient = self.source.lenient or self.name in self.source.mixed
        return "number" if few and not lenient else "text"

    def _text(self, words: list[str], counted: int) -> Column:
        if counted:
            raise Again
        order = sorted(range(len(words)), key=words.__getitem__)
        ranks = np.full(len(words) + 1, -1, np.int32)
        ranks[order] = np.arange(len(words))
        return Column(self.name, "text", ranks[self._codes()], tuple(words[i] for i in order))

    def _flag(self, words: list[str], lines: NDArray[np.int64]) -> Column:
        of_words = meaning.flags(words)
        if of_words is None:
            of_words = np.array([FLAG_WORDS.get(word.casefold(), -1) for word in words], np.int8)
        bad = of_words < 0
        if bad.any():
            raise self._wrong(words, bad, "flag", lines)
        values = np.append(of_words, np.int8(-1)).astype(np.int8)[self._codes()]
        return Column(self.name, "flag", values, _spelled(words, of_words))

    def _numbers(
        self, words: list[str], lines: NDArray[np.int64], floats: list[NDArray[np.float64]]
    ) -> tuple[Column, str]:
        style = meaning.style_of(words, self.source.separator)
        if style is not None and not self.whole and floats:
            raise Again
        found = meaning.numbers(words, style)
        if not words and len(floats) == len(self.parts):
            column = Column(self.name, "number", np.concatenate(floats), whole=self.whole)
        else:
            column = self._looked_up("number", found, lines, words)
        there = not column.missing.all()
        whole = there and self.whole and meaning.are_whole(words)
        return Column(self.name, "number", column.values, whole=whole), style.told if style else ""

    def _looked_up(
        self, kind: Kind, values: NDArray[np.float64], lines: NDArray[np.int64], words: Sequence[str] = ()
    ) -> Column:
        if np.isnan(values).any():
            raise self._wrong(words or list(self.places), np.isnan(values), kind, lines)
        every = np.append(values, np.nan)
        parts = [every[part] if part.dtype == np.int32 else part for part in self.parts]
        return Column(self.name, kind, np.concatenate(parts))

    def _codes(self) -> NDArray[np.int32]:
        """The codes of all cells, where none of them became a number: empty ones may have."""
        parts = [p if p.dtype == np.int32 else np.full(len(p), -1, np.int32) for p in self.parts]
        return np.concatenate(parts)

    def _wrong(
        self, words: Sequence[str], bad: NDArray[np.bool_], kind: Kind, lines: NDArray[np.int64]
    ) -> DataError:
        """The error that names the first cell of a bad word."""
        at = 0
        for part in self.parts:
            here = np.append(bad, False)[part] if part.dtype == np.int32 else np.zeros(len(part), np.bool_)
            if here.any():
                place = int(here.argmax())
                word = words[part[place]]
                break
            at += len(part)
        known = f"in {self.source.known}" if self.kind else "nearly all of its cells do"
        do = (
            "repair or empty the cell"
            if self.kind
            else "repair or empty the cell (many words for a missing one are known), "
            "or read the column as text: as_category"
        )
        return DataError(
            f"{self.source.at(lines[at + place])} must hold {CALLED[kind]} "
            f"in column {self.name!r:.60}, as {known}",
            f"{word[:40]!r}",
            do,
        )


FLAG_WORDS = meaning.FLAGS | {"1": 1, "0": 0, "1.0": 1, "0.0": 0, "y": 1, "n": 0}


def _spelled(words: list[str], values: NDArray[np.int8]) -> tuple[str, ...]:
    """The words for false and true: of several spellings the first in order."""
    false, true = (
        min((word for word, value in zip(words, values, strict=True) if value == wanted), default="")
        for wanted in (0, 1)
    )
    return (false or OTHER.get(true.casefold(), "false"), true or OTHER.get(false.casefold(), "true"))


OTHER = {"true": "false", "false": "true", "yes": "no", "no": "yes", "t": "f", "f": "t"}


def gathered(
    blocks: Iterable[Rows],
    names: Sequence[str],
    places: Sequence[int],
    source: Source,
    told: Sequence[str] = (),
) -> Table:
    """The Table of some columns of the blocks, which are gone through again where a column needs it.

    names, places: the columns' names, and which of the blocks' columns they are.
    """
    done: dict[str, Column] = {}
    written: dict[str, list[str]] = {}
    lines: NDArray[np.int64] | None = None
    again: Collection[str] = ()
    while lines is None or again:
        wanted = {name: place for name, place in zip(names, places, strict=True) if name not in done}
        columns = {name: Gathered(name, source, words=name in again) for name in wanted}
        lines = _filled(columns, wanted, blocks, source, len(names))
        again = []
        for name, column in columns.items():
            try:
                done[name], style = column.column(lines)
            except Again:
                again.append(name)
            else:
                if style:
                    written.setdefault(style, []).append(name)
    order = {name: i for i, name in enumerate(names)}
    notes = [
        f"{style} in {listed(sorted(found, key=order.__getitem__), 4)}"
        for style, found in sorted(written.items())
    ]
    return Table(tuple(done[name] for name in names), source.where, (*told, *notes), lines)


def _filled(
    columns: Mapping[str, Gathered],
    places: Mapping[str, int],
    blocks: Iterable[Rows],
    source: Source,
    width: int,
) -> NDArray[np.int64]:
    lines: list[NDArray[np.int64]] = []
    rows = 0
    for block in blocks:
        for name, column in columns.items():
            column.add(block.columns[places[name]], block.lines)
        lines.append(block.lines)
        rows += len(block.lines)
        if rows * width * 8 > BYTE_BUDGET:
            raise DataError(
                f"{source.where} must hold at most {BYTE_BUDGET // 8:,} cells",
                f"more, in {width:,} columns",
                "use fewer rows",
            )
    if not rows:
        raise DataError(f"{source.where} must hold at least one row", "none", "get the file again")
    return np.concatenate(lines)


def in_chunks(blocks: Iterator[Rows], rows: int) -> Iterator[list[Rows]]:
    """The blocks cut and put together so that each list has so many rows, the last one perhaps fewer."""
    held: list[Rows] = []
    count = 0
    for block in blocks:
        at, length = 0, len(block.lines)
        while count + length - at >= rows:
            end = at + rows - count
            yield [*held, block.part(slice(at, end))]
            at, held, count = end, [], 0
        if at < length:
            held.append(block.part(slice(at, length)))
            count += length - at
    if held:
        yield held
