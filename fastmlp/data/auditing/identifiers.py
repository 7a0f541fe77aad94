"""Columns that name the rows: numbers that count them, texts of which no two are alike.

A name like ``id`` is enough where nearly all cells differ; without it, chance must not explain that they do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from fastmlp.data.auditing.facts import ColumnFacts
from fastmlp.data.auditing.numbers import counts_rows
from fastmlp.data.table import Column

FEWEST = 10  # cells
BY_NAME = 0.95  # of its cells that differ, where the name says that it is an id
DIFFERENT = 0.9  # of the texts of a column that says nothing
FEWEST_TEXTS = 20
_SPELLED = {"id", "ids", "uuid", "guid", "idx", "index", "rowid", "rownum", "rownr", "recordid"}
_TIMES = {"year", "month", "week", "day", "date", "time", "hour", "minute", "second", "timestamp", "step"}
TEXTS = "texts"


def identifiers(columns: Sequence[Column], facts: Mapping[str, ColumnFacts]) -> dict[str, str]:
    """The columns that name the rows, and how that is seen; TEXTS for those whose texts nearly all differ."""
    found = {column.name: _how(column, facts[column.name]) for column in columns}
    return {name: how for name, how in found.items() if how}


def _how(column: Column, facts: ColumnFacts) -> str:
    there, words = facts.rows - facts.missing, words_of(column.name)
    if there < FEWEST or column.kind not in ("number", "text"):
        return ""
    by_name = bool(words & _SPELLED) and facts.distinct >= BY_NAME * there
    if column.kind == "text":
        if by_name:
            return f"{facts.distinct:,} different texts in {there:,} rows, and its name says so"
        return TEXTS if there >= FEWEST_TEXTS and facts.distinct > DIFFERENT * there else ""
    values = column.values[~column.missing]
    if facts.distinct == there and not words & _TIMES and counts_rows(values):
        steps = np.diff(values)
        in_turn = bool((steps == steps[0]).all())
        return "it counts the rows" if in_turn else "whole numbers without a gap to speak of, no two alike"
    if by_name and (values == np.round(values)).all():
        return f"{facts.distinct:,} different whole numbers in {there:,} rows, and its name says so"
    return ""


def words_of(name: str) -> set[str]:
    """The words of a column's name, in small letters: ``userId`` and ``user_id`` are user and id."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return {word for word in re.split(r"[^a-z0-9]+", parted.lower()) if word}
