"""``fastmlp.data.audit``: from a table, a file or a frame to an Audit; and ``severe``, its leaks alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.auditing.evidence import Evidence
from fastmlp.data.auditing.facts import LabelFacts, facts_of, label_facts
from fastmlp.data.auditing.findings import Rule
from fastmlp.data.auditing.report import Audit
from fastmlp.data.auditing.rows import repeated, sums_of
from fastmlp.data.auditing.rules import RULES, found_in
from fastmlp.data.column_code import ColumnCode
from fastmlp.data.columns import Columns
from fastmlp.data.label import find_label, labels_of, taken, targets_of
from fastmlp.data.table import Column, Table
from fastmlp.data.tables import from_frame, read
from fastmlp.errors import DataError
from fastmlp.random import permutation

QUICK_ROWS = 5_000
QUICK = ("label-copied", "label-leaked")


def audit(
    data: Any,
    label: str | int | None = None,
    *,
    task: str = "auto",
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    as_category: Sequence[str] = (),
) -> Audit:
    """Show a table as fastmlp sees it, and what looks wrong.

    data:  a Table, a frame (pandas, polars, pyarrow, a dict of columns), or the path of a table's file.
    label: the label's column, a name or an index; None: found as ``fit`` finds it.
    task:  what the label is: "classes", "numbers", or "auto".
    drop, keep, as_category: names of columns, as in ``fit``; what is not kept is not looked at.

    Nothing is trained, and nothing printed. Raises DataError and ConfigError as reading the table does.
    """
    table = as_table(data)
    found = find_label(table, label)
    label_there = _label(table[found.name], found.how, task)
    features = table.without([found.name])
    codes = _codes(table, found.name, drop, keep, as_category)
    facts = tuple(facts_of(c, codes[c.name]) for c in features.columns)
    counted = features.without([name for name, code in codes.items() if code.dropped == "asked"])
    categories = {name for name, code in codes.items() if code.as_category and code.kind != "text"}
    evidence = Evidence(counted, {f.name: f for f in facts}, *label_there, frozenset(categories))
    again = repeated(table.columns, sums_of(table.columns)).count
    return Audit(
        table.where, len(table), facts, evidence.about, sum(code.width for code in codes.values()), again,
        len(evidence.conflicts), found_in(evidence), table.told,
    )  # fmt: skip


def severe(table: Table, label: str, task: str) -> tuple[str, ...]:
    """Lines about what alone gives the label of a table, seen on some rows; () where nothing does."""
    if len(table) > QUICK_ROWS:
        table = table[np.sort(permutation(len(table), 0, "audit")[:QUICK_ROWS])]
    features = table.without([label])
    facts = {column.name: facts_of(column) for column in features.columns}
    evidence = Evidence(features, facts, *_label(table[label], "", task))
    rules: list[Rule] = [rule for rule in RULES if rule.code in QUICK]
    return tuple(
        f"{finding.measured}; {finding.change}"
        for finding in found_in(evidence, rules)
        if finding.severity == "severe"
    )


def as_table(data: Any) -> Table:
    """A Table of what is one, of a frame, or of a file. Raises DataError."""
    if isinstance(data, Table):
        return data
    return read(data) if isinstance(data, str | os.PathLike) else from_frame(data)


def _codes(table: Table, label: str, drop: Any, keep: Any, as_category: Any) -> dict[str, ColumnCode]:
    """The code of each column, by name. Cells beyond float32 count as missing, for they are a finding."""
    held = replace(table, columns=tuple(map(_held, table.columns)))
    try:
        codes = Columns.fitted(held, label=label, drop=drop, keep=keep, as_category=as_category).codes
    except DataError:  # no column is left: that is to be seen too
        codes = tuple(ColumnCode.fitted(column, False, held.row) for column in held.without([label]).columns)
    return {code.name: code for code in codes}


def _held(column: Column) -> Column:
    if column.values.dtype.kind != "f":
        return column
    beyond = ~(np.abs(column.values) <= float(np.finfo(np.float32).max))
    return replace(column, values=np.where(beyond, np.nan, column.values)) if beyond.any() else column


def _label(column: Column, how: str, task: str) -> tuple[Column, LabelFacts, NDArray[Any], NDArray[np.int64]]:
    """The label's column, its facts, codes of the classes or numbers, and the rows that have one."""
    rows = np.flatnonzero(~column.missing)
    there = column.take(rows)
    why = taken(there, task)
    y: NDArray[Any] = np.zeros(0, np.int64)
    if len(rows):
        y = labels_of(there).indices if why.task == "classes" else targets_of(there, why.task)
    return column, label_facts(column, how, why, y), y, rows
