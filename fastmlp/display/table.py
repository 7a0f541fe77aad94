"""Display: a title, facts, a table and notes, as plain text and as HTML. Displayed: a class that has one.

The HTML needs nothing else: no scripts, no style sheet, the colours of the page that it stands in. All text
is escaped, so that a column's name can do nothing. Nothing here is long, whatever is shown.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from fastmlp.checks import shown

MOST_ROWS = 10  # of a table; of a longer one the first and the last
MOST_FACTS = 10
_MOST_ITEMS = 40  # of a sequence that ``brief`` writes out
_WRITTEN = 1 << 200  # whole numbers below it; Python refuses to write far larger ones
MOST_CHARACTERS = 48  # of a cell; in HTML, of a fact and of a title three times as many; of a note 500
_COLUMNS = 100  # of a terminal that notes are wrapped in

_T = TypeVar("_T")
_LEFT_OUT = "..."
_LINE = "border:0;border-bottom:1px solid color-mix(in srgb,currentColor 25%,transparent)"  # pale, or none
_CELL = f"{_LINE};padding:.15em .7em"
_TABLE = "border-collapse:collapse;margin:.3em 0"


@dataclass(frozen=True)
class Display:
    """The things that are shown of a value. Each text is one line; longer ones are cut.

    title:   what it is, in a line: ``Model 784-100-10``.
    facts:   (name, value) pairs under it.
    heading: the columns' names of a table under those.
    rows:    its cells, one row a tuple as long as the heading; of many the first and the last are shown.
             None for rows that are left out: see ``ends``.
    notes:   sentences under all of it.

    Values and cells may be anything that ``cell`` takes. Columns of numbers are aligned to the right.
    """

    title: str
    facts: Sequence[tuple[str, Any]] = ()
    heading: Sequence[str] = ()
    rows: Sequence[Sequence[Any] | None] = ()
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Lines of plain text, without a line's end."""
        lines = [_line(self.title)]
        facts = self._facts()
        wide = max((_width(name) for name, _ in facts), default=0)
        lines += [f"  {_padded(name, wide)}  {value}".rstrip() for name, value in facts]
        if cells := self._cells(MOST_CHARACTERS):
            lines += [""] * bool(facts)
            widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
            right = self._right(cells)
            for row in cells:
                padded = map(_padded, row, widths, right)
                lines.append(f"  {'  '.join(padded)}".rstrip())
        for note in self.notes:
            lines += textwrap.wrap(_line(note, 500), _COLUMNS, initial_indent="  ", subsequent_indent="  ")
        return "\n".join(lines)

    def html(self) -> str:
        """The same as HTML, escaped, that needs nothing else."""
        parts = [f"<div><strong>{_escaped(_line(self.title))}</strong></div>"]
        if facts := self._facts():
            rows = (_tag("th", name, "left;font-weight:normal") + _tag("td", value) for name, value in facts)
            parts.append(_html_table("".join(f"<tr>{row}</tr>" for row in rows)))
        if cells := self._cells(3 * MOST_CHARACTERS):
            sides = ["right" if right else "left" for right in self._right(cells)]
            names = ["th"] * len(sides), *[["td"] * len(sides)] * (len(cells) - 1)
            head, *body = (
                f"<tr>{''.join(map(_tag, *told, sides))}</tr>" for told in zip(names, cells, strict=True)
            )
            parts.append(_html_table("".join(body), head))
        parts += [f"<div>{_escaped(_line(note, 500))}</div>" for note in self.notes]
        return f'<div style="overflow-x:auto">{"".join(parts)}</div>'

    def _facts(self) -> list[tuple[str, str]]:
        kept = ends(self.facts, MOST_FACTS)
        return [(_LEFT_OUT, "") if fact is None else (cell(fact[0]), _line(fact[1])) for fact in kept]

    def _cells(self, most: int) -> list[list[str]]:
        """The heading and the rows, as texts, but for columns that are blank; [] without a heading."""
        if not self.heading:
            return []
        dots = [_LEFT_OUT] * len(self.heading)
        kept = ends(self.rows, MOST_ROWS) if len(self.rows) > MOST_ROWS + 1 else self.rows
        rows = [dots if row is None else [_line(value, most) for value in row] for row in kept]
        real = [row for row in rows if row is not dots]
        told = [j for j in range(len(self.heading)) if not real or any(row[j].strip() for row in real)]
        return [[row[j] for j in told] for row in ([*map(cell, self.heading)], *rows)]

    @staticmethod
    def _right(cells: list[list[str]]) -> list[bool]:
        """True for the columns that hold numbers alone."""
        columns = zip(*cells[1:], strict=True) if len(cells) > 1 else [[]] * len(cells[0])
        return [all(map(_is_number, column)) and any(map(str.strip, column)) for column in columns]


class Displayed:
    """A class whose values are shown by what ``_display`` says: by print, in IPython and in a notebook.

    ``repr`` is its title alone, in a line, so that lists and messages stay short; a dataclass must have
    ``repr=False`` for it.
    """

    def _display(self) -> Display:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{_line(self._display().title)}>"

    def __str__(self) -> str:
        return self._display().text()

    def _repr_html_(self) -> str:
        return self._display().html()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print the table in IPython; within a list or the like the line."""
        is_within = cycle or len(getattr(printer, "stack", ())) > 1
        printer.text(repr(self) if is_within else str(self))


def cell(value: Any) -> str:
    """A value in a few characters: numbers with their thousands or four digits, None as nothing."""
    return _cut(_written(value), MOST_CHARACTERS)


def brief(value: Any, **usual: Any) -> str:
    """The call that makes a dataclass, with the fields that are not as by default; long values are cut.

    usual: other defaults than the class has.
    """
    told: list[str] = []
    for field in fields(value):
        found = getattr(value, field.name)
        if field.default is MISSING:
            told.append(_value(found))
        elif found != usual.get(field.name, field.default):
            told.append(f"{field.name}={_value(found)}")
    return f"{type(value).__name__}({', '.join(told)})"


def ends(items: Sequence[_T], most: int = MOST_ROWS) -> list[_T | None]:
    """The items, or of more than ``most`` the first and the last with a None between them."""
    if len(items) <= most:
        return list(items)
    first, last = (most + 1) // 2, most // 2
    return [*items[:first], None, *items[len(items) - last :]]


def listed(items: Iterable[Any], most: int = 8, write: Callable[[Any], str] = cell) -> str:
    """The items with commas between them; of more than ``most`` the first and the last."""
    kept = ends([*items], most)
    return ", ".join(_LEFT_OUT if item is None else write(item) for item in kept)


def _value(value: Any) -> str:
    is_long = isinstance(value, str | tuple | list | dict) and len(value) > _MOST_ITEMS
    return shown(value) if is_long else repr(value)


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return _printable(value)
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if getattr(value, "ndim", 0):  # an array is never written out
        return f"array of shape {value.shape}"
    if isinstance(value, bool) or kind == "b":
        return "yes" if value else "no"
    if isinstance(value, int) or kind in ("i", "u"):
        return f"{int(value):,}" if abs(int(value)) < _WRITTEN else shown(value)
    if isinstance(value, float) or kind == "f":
        return _decimal(float(value))
    return _printable(shown(value))


def _decimal(value: float) -> str:
    if not math.isfinite(value):
        return f"{value:g}"
    size = abs(value)
    if value == int(value) and size < 1e6:
        return f"{value:,.0f}"
    if not 1e-3 <= size < 1e12:
        return f"{value:.4g}"
    return f"{value:.4f}" if size < 10 else f"{value:,.6g}" if size < 1e4 else f"{value:,.0f}"


def _line(value: Any, most: int = 3 * MOST_CHARACTERS) -> str:
    return _cut(_written(value), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 4].rstrip()} {_LEFT_OUT}"


def _printable(text: str) -> str:
    """The text with all that is not printable escaped: ends of lines, escape codes, changes of direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:10_000])


def _html_table(body: str, head: str = "") -> str:
    head = f"<thead>{head}</thead>" if head else ""
    return f'<table style="{_TABLE}">{head}<tbody>{body}</tbody></table>'


def _tag(name: str, text: str, side: str = "left") -> str:
    return f'<{name} style="{_CELL};text-align:{side}">{_escaped(text)}</{name}>'


def _escaped(text: str) -> str:
    import html

    return html.escape(text)


def _is_number(text: str) -> bool:
    bare = text.strip().removesuffix("%").removesuffix(" s").replace(",", "")
    if not bare or bare in (_LEFT_OUT, "-"):
        return True
    try:
        float(bare)
    except ValueError:
        return False
    return True


def _width(text: str) -> int:
    """The columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)


def _padded(text: str, width: int, right: bool = False) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space
