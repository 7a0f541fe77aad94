"""The lines of ``fastmlp data`` about a table, within the width of a terminal: columns, the label, findings.

What is in them was found by ``fastmlp.data.audit``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from fastmlp.data.auditing.facts import figure

from .streams import clean

if TYPE_CHECKING:
    from fastmlp.data import Audit
    from fastmlp.data.auditing.facts import ColumnFacts
    from fastmlp.data.auditing.findings import Finding

NARROWEST, WIDEST = 60, 120
MOST_LINES = 50  # of columns: more are put together by kind
_HEADING = ("column", "kind", "missing", "range", "spread", "becomes")
# to so many characters, in turn
_SHRINK = (
    ("range", 20),
    ("column", 18),
    ("becomes", 16),
    ("range", 12),
    ("column", 8),
    ("becomes", 12),
    ("range", 8),
)
_RIGHT = ("missing", "spread")


def lines_of(found: Audit, width: int) -> Iterator[str]:
    """All lines about a table."""
    width = min(max(width, NARROWEST), WIDEST)
    yield from textwrap.wrap(clean(found.title), width)
    for told in found.told:
        yield from textwrap.wrap(clean(told), width, initial_indent="  ", subsequent_indent="  ")
    yield ""
    yield from _columns(found.columns, width)
    yield ""
    for name, text in found.facts:
        yield from _hanging(name, text, width)
    if not found.findings:
        yield from _hanging("found", "nothing that looks wrong", width)
    for finding in found.findings:
        yield ""
        yield from _finding(finding, width)


def _columns(columns: Sequence[ColumnFacts], width: int) -> Iterator[str]:
    rows = [_row(column) for column in columns] if len(columns) <= MOST_LINES else [*_together(columns)]
    texts = [_HEADING, *rows]
    widths = [max(cell_len(row[k]) for row in texts) for k in range(len(_HEADING))]
    for name, least in _SHRINK:
        k, over = _HEADING.index(name), sum(widths) + 2 * (len(widths) - 1) - width
        widths[k] -= max(0, min(over, widths[k] - least))
    before = " " * (sum(widths[:-1]) + 2 * (len(widths) - 1))
    for row in texts:
        cells = zip(_HEADING[:-1], row, widths, strict=False)
        parts = [_fitted(text, size, name) for name, text, size in cells]
        first, *more = textwrap.wrap(row[-1], widths[-1]) or [""]
        yield "  ".join([*parts, first]).rstrip()
        yield from (before + line for line in more)


def _row(column: ColumnFacts) -> tuple[str, ...]:
    missing = f"{column.missing_share:.1%}" if column.missing else ""
    spread = figure(column.figures.spread) if column.figures else ""
    return clean(column.name), column.kind, missing, clean(column.range), spread, column.becomes


def _together(columns: Sequence[ColumnFacts]) -> Iterator[tuple[str, ...]]:
    """A line for columns of one kind that stand together and become the same."""
    runs = [[*run] for _, run in groupby(columns, lambda column: (column.kind, column.becomes))]
    if len(runs) > MOST_LINES:
        by_kind = sorted(columns, key=lambda column: (column.kind, column.becomes))
        runs = [[*run] for _, run in groupby(by_kind, lambda column: (column.kind, column.becomes))]
    for run in runs[:MOST_LINES]:
        if len(run) == 1:
            yield _row(run[0])
            continue
        figures = [column.figures for column in run if column.figures]
        ends = ""
        if figures:
            low, high = min(f.low for f in figures), max(f.high for f in figures)
            ends = f"{figure(low)} .. {figure(high)}"
        missing = sum(column.missing for column in run) / sum(column.rows for column in run)
        name = f"{len(run):,}: {clean(run[0].name)} .. {clean(run[-1].name)}"
        spread = figure(sum(f.spread for f in figures) / len(figures)) if figures else ""
        yield name, run[0].kind, f"{missing:.1%}" if missing else "", ends, spread, run[0].becomes
    if len(runs) > MOST_LINES:
        yield f"{len(runs) - MOST_LINES:,} more kinds: see --json", "", "", "", "", ""


def _finding(finding: Finding, width: int) -> Iterator[str]:
    yield f"{finding.severity:<8} {finding.code}"
    for name, text in (("", finding.measured), ("why", finding.why), ("do", finding.change)):
        yield from _hanging(name, text, width)


def _hanging(name: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        clean(text), width, initial_indent=f"{name:<9}", subsequent_indent=" " * 9, break_on_hyphens=False
    )


def _fitted(text: str, size: int, column: str) -> str:
    """The text in so many places of a terminal; of a name its end too, in which names often differ."""
    if cell_len(text) > size:
        end = text[len(text) - size // 3 :] if column == "column" and text.isascii() else ""
        text = f"{set_cell_size(text, size - len(end) - 2)}..{end}"
    space = " " * (size - cell_len(text))
    return space + text if column in _RIGHT else text + space
