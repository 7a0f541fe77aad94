"""One line of CSV: its cells, its separator, and what a number is. No file is read here.

Cells are separated by one of SEPARATORS and may have spaces around them. Quotes stand around a whole cell or
nowhere, and close in the line in which they open; within them a quote is written twice. A number has decimal
digits, perhaps a sign, a point and an exponent: no other digits, no thousands separators, no nan.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
SPACES = " \t"
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
POINT = re.compile(r"(\d),(\d)", re.ASCII)  # where others than the English have their decimal comma
CELLS = {
    s: re.compile(rf'[ \t]*"((?:[^"]|"")*)"[ \t]*({s}|\Z)|([^"{s}]*)({s}|\Z)'.replace(r"[ \t]", spaces))
    for s, spaces in zip(SEPARATORS, (r"[ \t]", r"[ \t]", "[ ]"), strict=True)
}


def cells_of(line: str, separator: str) -> list[str] | None:
    """The cells without quotes and the spaces around; None where a quote stands in a wrong place."""
    if '"' not in line:
        return [cell.strip(SPACES) for cell in line.split(separator)]
    cells, at, more = [], 0, separator
    while more:
        match = CELLS[separator].match(line, at)
        if match is None:
            return None
        quoted, after, plain, plain_after = match.groups()
        cells.append((plain if quoted is None else quoted.replace('""', '"')).strip(SPACES))
        more = plain_after if quoted is None else after
        at = match.end()
    return cells


def is_number(cell: str) -> bool:
    """Tell whether the cell is a number, as this file's head says."""
    return NUMBER.fullmatch(cell) is not None


def separator_of(lines: Sequence[str]) -> str:
    """The one that cuts the last line, or else the one before it, best.

    Best is what makes most of the cells numbers (1,5 is one where commas separate nothing), then what makes
    most cells, then the comma.
    """

    def fit(line: str, separator: str) -> tuple[float, int]:
        cells = cells_of(line, separator) or [""]
        pointed = [POINT.sub(r"\1.\2", cell) if separator != "," else cell for cell in cells]
        return sum(map(is_number, pointed)) / len(cells), len(cells)

    return max(SEPARATORS, key=lambda separator: [fit(line, separator) for line in reversed(lines)])
