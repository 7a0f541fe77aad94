"""Tables drawn by seed, of columns of every kind with gaps and odd cells; and columns from plain lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmlp.data.table import KINDS, Column, Table

ODD = ["", " ", "a,b", 'say "x"', "zwölf", "日本", "a\nb", "=1+1", "(rare)", "(missing)", "nan", "-1", "0"]


def number(name: str, cells: Sequence[Any], whole: bool = False) -> Column:
    """A column of numbers; None is a missing cell."""
    return Column(name, "number", np.array([np.nan if c is None else c for c in cells], "f8"), whole=whole)


def time(name: str, cells: Sequence[Any]) -> Column:
    """A column of days since 1970; None is a missing cell."""
    return Column(name, "time", np.array([np.nan if cell is None else cell for cell in cells], "f8"))


def flag(name: str, cells: Sequence[Any], words: tuple[str, ...] = ("false", "true")) -> Column:
    """A column of True and False, which were these words; None is a missing cell."""
    values = [-1 if cell is None else cell for cell in cells]
    return Column(name, "flag", np.array(values, KINDS["flag"]), words)


def text(name: str, cells: Sequence[Any], more: Sequence[str] = ()) -> Column:
    """A column of texts; None is a missing cell. more: words that no cell has."""
    words = tuple(sorted({*more, *(cell for cell in cells if cell is not None)}))
    places = {word: place for place, word in enumerate(words)}
    codes = [-1 if cell is None else places[cell] for cell in cells]
    return Column(name, "text", np.array(codes, KINDS["text"]), words)


def cells_of(column: Column) -> list[Any]:
    """The cells as Python has them, None where one is missing."""
    found: list[Any] = [
        None if no else v for v, no in zip(column.values.tolist(), column.missing, strict=True)
    ]
    if column.kind == "text":
        return [None if cell is None else column.words[cell] for cell in found]
    return (
        [bool(cell) for cell in found if cell is not None]
        if column.kind == "flag" and None not in found
        else found
    )


PEOPLE = Table(
    (
        number("age", [31, 45, None, 28, 60, 33, 51, 45]),
        text("city", ["Rome", "Oslo", "Rome", None, "Rome", "Oslo", "Lima", "Oslo"]),
        flag("member", [True, False, True, True, None, False, True, True]),
        time("since", [19000.25, 19001, 19002, 19003, 19004, 19005, 19006, 19007]),
        text("id", [f"u{k}" for k in range(8)]),
        number("zip", [101, 101, 202, 202, 303, 303, 101, 202], whole=True),
        number("same", [3] * 8),
        number("nothing", [None] * 8),
        text("class", list("abababab")),
    ),
    "people.csv",
    lines=np.arange(2, 10),
)


def drawn_table(seed: int, rows: int | None = None) -> Table:
    """A table of 1 to 12 columns and, unless it is said, 2 to 300 rows; all kinds, gaps in half of them."""
    draw = np.random.default_rng(seed)
    n = int(draw.choice([2, 3, 7, 40, 300])) if rows is None else rows
    columns = [_drawn_column(draw, f"{_name(draw)} {k}", n) for k in range(int(draw.integers(1, 13)))]
    columns.append(number("sound", draw.permutation(n)))  # so that one is left
    return Table(tuple(columns[k] for k in draw.permutation(len(columns))), f"drawn{seed}.csv")


def _name(draw: np.random.Generator) -> str:
    return str(draw.choice(["age", "a b", "x,y", 'say "x"', "größe", "", "日本"]))


def _drawn_column(draw: np.random.Generator, name: str, n: int) -> Column:
    gaps = draw.random(n) < (draw.choice([0.02, 0.3, 0.9, 1.0]) if draw.random() < 0.5 else 0)

    def with_gaps(cells: Any) -> list[Any]:
        return [None if gap else cell for cell, gap in zip(cells, gaps, strict=True)]

    match draw.integers(6):
        case 0:
            scale, offset = 10.0 ** draw.integers(-9, 9), draw.choice([0, 1, 1.7e9, -1e12])
            return number(name, with_gaps((draw.normal(size=n) * scale + offset).tolist()))
        case 1:
            return number(name, with_gaps(draw.integers(0, draw.choice([1, 2, 10, 1000]), n).tolist()), True)
        case 2:
            return flag(name, with_gaps((draw.random(n) < draw.choice([0, 0.1, 0.5])).tolist()))
        case 3:
            return time(name, with_gaps((19_000 + np.round(draw.random(n) * 900, 3)).tolist()))
        case 4:
            return text(name, with_gaps(draw.choice(ODD[: draw.integers(1, len(ODD))], n).tolist()), ODD)
    of = draw.integers(1, draw.choice([3, 30, 400]))  # skewed: some are common, many rare
    return text(name, with_gaps([f"w{k}" for k in (of * draw.random(n) ** 3).astype(int)]))
