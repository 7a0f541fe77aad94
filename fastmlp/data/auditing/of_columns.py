"""What the rules see of single columns, and of columns beside each other, without the label."""

from __future__ import annotations

from collections.abc import Iterator

from fastmlp.data.auditing import numbers, texts
from fastmlp.data.auditing.evidence import Evidence, counts_of, finite
from fastmlp.data.auditing.facts import day, figure
from fastmlp.data.auditing.findings import Seen, named, option, percent, quoted, quoted_groups
from fastmlp.data.auditing.identifiers import TEXTS
from fastmlp.data.auditing.same import same_columns
from fastmlp.display import listed

FEWEST = 20  # rows of a column that is mostly missing
EMPTY = 0.9  # of its cells


def identifier(e: Evidence) -> Iterator[Seen]:
    """See columns that name the rows."""
    for name, how in e.identifiers.items():
        if how != TEXTS:
            yield Seen(
                "warning",
                f"{named(name)} names the rows: {how}",
                f"leave it out (--drop {option(name)})",
                (name,),
                values={"distinct": e.facts[name].distinct},
            )


def texts_different(e: Evidence) -> Iterator[Seen]:
    """See columns of texts that nearly all differ."""
    for name, how in e.identifiers.items():
        facts = e.facts[name]
        if how == TEXTS:
            yield Seen(
                "note",
                f"{named(name)} holds {facts.distinct:,} different texts in {facts.there:,} rows",
                f"leave it out (--drop {option(name)}), or make a column of few categories of it",
                (name,),
                values={"distinct": facts.distinct},
            )


def numbers_as_text(e: Evidence) -> Iterator[Seen]:
    """See numbers written as texts."""
    for name, found in e.written.items():
        if found.what == "numbers":
            unit = f" with {quoted(found.unit)}" if found.unit else ""
            but = f", but for {found.cells:,}: {listed(map(quoted, found.others), 5)}" if found.cells else ""
            yield Seen(
                "warning",
                f"{named(name)} holds numbers as texts{unit}{but}",
                "write plain numbers, all in one unit" if unit or not but else "leave those cells empty",
                (name,),
                values={"unit": found.unit, "others": list(found.others), "cells": found.cells},
            )


def dates_as_text(e: Evidence) -> Iterator[Seen]:
    """See dates written as texts."""
    for name, found in e.written.items():
        if found.what == "dates":
            yield Seen(
                "warning",
                f"{named(name)} holds dates as texts: {listed(map(quoted, found.examples))}",
                "give them as dates (2024-12-31 in a CSV file), or the year, the month or an age as numbers",
                (name,),
                values={"examples": list(found.examples), "cells": found.cells},
            )


def sentinel(e: Evidence) -> Iterator[Seen]:
    """See a number that stands for a missing cell."""
    for name, found in e.sentinels.items():
        column = e.table[name]
        values, at = finite(column)
        write = figure if column.kind == "number" else day
        value, low, high = map(write, (found.value, found.low, found.high))
        yield Seen(
            "warning",
            f"{named(column.name)} is {value} in {found.count:,} rows, and {low} .. {high} in the others",
            "leave those cells empty if it stands for a missing one",
            (column.name,),
            tuple(at[values == found.value][:5].tolist()),
            {"value": found.value, "count": found.count, "low": found.low, "high": found.high},
        )


def outliers(e: Evidence) -> Iterator[Seen]:
    """See few cells that dominate a column's spread."""
    for column in e.columns:
        if column.kind != "number" or column.name in {*e.identifiers, *e.sentinels}:
            continue
        values, at = finite(column)
        found = numbers.outlying(values)
        if found is None:
            continue
        shown = listed(found.values.tolist(), 3, figure)
        yield Seen(
            "warning",
            f"{named(column.name)} lies in {figure(found.low)} .. {figure(found.high)} but for "
            f"{len(found.places):,} cell{'s' * (len(found.places) > 1)}: {shown}; they make its spread "
            f"{figure(found.spread / found.without)} times as large",
            "look at those rows: a slip, or another unit",
            (column.name,),
            tuple(at[found.places[:5]].tolist()),
            {"cells": len(found.places), "spread": found.spread, "without": found.without},
        )


def spellings(e: Evidence) -> Iterator[Seen]:
    """See one category in several spellings."""
    for column in e.columns:
        if column.kind != "text" or column.name in e.identifiers:
            continue
        groups = texts.alike(column.words, counts_of(column))
        if not groups:
            continue
        yield Seen(
            "warning",
            f"{named(column.name)} spells {len(groups):,} "
            f"categor{'ies' if len(groups) > 1 else 'y'} in several ways: {quoted_groups(groups)}",
            "write each in one way",
            (column.name,),
            values={"groups": [list(group) for group in groups[:100]]},
        )


def same(e: Evidence) -> Iterator[Seen]:
    """See columns that say the same."""
    left_out = {*e.identifiers, *e.relations.copied}
    for names in same_columns([c for c in e.columns if c.name not in left_out], e.facts):
        shown = listed(map(named, names), 6)
        yield Seen(
            "note", f"{shown} say the same", f"one of them is enough (--drop {option(names[-1])})", names
        )


def nothing(e: Evidence) -> Iterator[Seen]:
    """See columns that say nothing."""
    facts = [e.facts[column.name] for column in e.table.columns]
    for what, found in (
        ("empty", [fact.name for fact in facts if fact.missing == fact.rows]),
        ("constant", [fact.name for fact in facts if fact.distinct == 1 and not fact.missing]),
    ):
        if found:
            more = len(found) > 1
            shown = f"{len(found):,} columns are {what}: " if more else ""
            end = "" if more else f" is {what}"
            yield Seen(
                "note" if e.columns else "severe",
                f"{shown}{listed(map(named, found), 6)}{end}",
                "nothing: no input is made of it" if e.columns else "get columns that tell rows apart",
                tuple(found),
                values={"columns": len(found)},
            )


def mostly_missing(e: Evidence) -> Iterator[Seen]:
    """See columns that are hardly ever there."""
    for column in e.table.columns:
        fact = e.facts[column.name]
        if fact.rows >= FEWEST and fact.missing < fact.rows and fact.missing_share >= EMPTY:
            yield Seen(
                "note",
                f"{named(fact.name)} is missing in {percent(fact.missing_share)} of the rows",
                f"leave it out (--drop {option(fact.name)}) if that is by mistake",
                (fact.name,),
                values={"missing": fact.missing},
            )
