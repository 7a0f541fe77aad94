"""Tables drawn by a seed: what they hold, and a text of them as one of many programs would write it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import date, timedelta

TEXTS = ["Rome", "Paris", "New York", "São Paulo", "a, b", "x;y", 'say "no"', "tab\there", "5 o'clock",
         "ABBA", "two\nlines", "été", "0x", "=SUM(A1)", "日本", "Q|R", "-x", "1st"]  # fmt: skip
GAPS = ["", "NA", "N/A", "nan", "NULL", "?", "-", "#N/A", "None", "<NA>"]
FLAGS = [("true", "false"), ("True", "False"), ("yes", "no"), ("T", "F"), ("YES", "NO")]


@dataclass(frozen=True)
class Drawn:
    """What a table holds: by name its kind and cells, None where one is missing; and a text of it."""

    columns: dict[str, tuple[str, list[object]]]
    text: str
    whole: dict[str, bool]


def drawn_table(seed: int) -> Drawn:
    """The table of a seed."""
    draw = random.Random(seed)
    rows, separator = draw.randint(1, 40), draw.choice([",", ",", ";", "\t", "|"])
    comma = separator != "," and draw.random() < 0.4
    gap = draw.choice(GAPS) if draw.random() < 0.8 else None
    columns: dict[str, tuple[str, list[object]]] = {}
    written: list[list[str]] = []
    whole: dict[str, bool] = {}
    kinds = [
        "number",
        *draw.choices(["number", "whole", "grouped", "text", "many", "flag", "time"], k=draw.randint(1, 6)),
    ]
    draw.shuffle(kinds)
    for i, kind in enumerate(kinds):
        name = draw.choice(["x", "Größe", "a b", "price, net", 'the "c"', "_"]) + str(i)
        cells, words = _column(draw, kind, rows, comma, separator)
        share = draw.choice([0, 0, 0.1, 0.5]) if gap is not None else 0
        lost = [draw.random() < share for _ in range(rows)]
        kept = [None if out else cell for cell, out in zip(cells, lost, strict=True)]
        found = {"whole": "number", "grouped": "number", "many": "text"}.get(kind, kind)
        columns[name] = (found if any(cell is not None for cell in kept) else "number", kept)
        there = [word for word, out in zip(words, lost, strict=True) if not out]
        whole[name] = kind == "whole" and bool(there)
        written.append([name, *(gap if out else word for word, out in zip(words, lost, strict=True))])
    return Drawn(columns, _written(draw, written, separator), whole)


def _column(
    draw: random.Random, kind: str, rows: int, comma: bool, separator: str
) -> tuple[list[object], list[str]]:
    if kind == "whole":
        values = [draw.randint(-5, 300) for _ in range(rows)]
        return list(values), [f"{value:03}" if draw.random() < 0.1 else str(value) for value in values]
    if kind == "number":
        floats = [
            round(draw.gauss(0, 10.0 ** draw.randint(-3, 4)), draw.randint(1, 6)) + 0.0 for _ in range(rows)
        ]
        words = [draw.choice([repr, lambda v: f"{v:.6e}"])(value) for value in floats]
        return [float(word) for word in words], [word.replace(".", ",") if comma else word for word in words]
    if kind == "grouped":  # in one style a column; no style but the plain one where no cell shows it
        style = draw.choice([",", " ", "'"] if not comma and separator != ";" else [" ", "'"])
        values = [draw.randint(1_000_000, 9_999_999) for _ in range(rows)]
        return [float(v) for v in values], [f"{v:,}".replace(",", style) for v in values]
    if kind == "flag":
        pair = draw.choice(FLAGS)
        flags = [draw.random() < 0.5 for _ in range(rows)]
        return list(flags), [pair[0] if flag else pair[1] for flag in flags]
    if kind == "time":
        days = [draw.randint(-3000, 25000) for _ in range(rows)]
        moments = [date(1970, 1, 1) + timedelta(days=day) for day in days]
        if draw.random() < 0.5:
            return [float(day) for day in days], [str(moment) for moment in moments]
        hours = [draw.randint(0, 23) for _ in range(rows)]
        ends = draw.choice([":00:00", ":00", ":00:00Z", ":00:00.000"])
        stamps = [f"{m}{draw.choice('T ')}{h:02}{ends}" for m, h in zip(moments, hours, strict=True)]
        return [day + hour / 24 for day, hour in zip(days, hours, strict=True)], stamps
    pool = TEXTS if kind == "text" else [f"name {k}" for k in range(1000)]
    texts = draw.choices(draw.sample(pool, 4) if draw.random() < 0.5 else pool, k=rows)
    return list(texts), list(texts)


def _written(draw: random.Random, columns: list[list[str]], separator: str) -> str:
    quoting, padded = draw.choice(["needed", "needed", "all", "some"]), draw.random() < 0.15
    blanks, end = draw.random() < 0.2, draw.choice(["\n", "\n", "\r\n", "\r\r\n"])
    lines = []
    for i, row in enumerate(zip(*columns, strict=True)):
        if blanks and draw.random() < 0.2:
            lines.append(draw.choice(["", "", "  "]))
        cells = []
        for word in row:
            needs = any(letter in word for letter in f'{separator}"\n') or (
                i > 0 and len(row) == 1 and not word
            )
            if needs or quoting == "all" or (quoting == "some" and draw.random() < 0.3):
                word = '"' + word.replace('"', '""') + '"'
            cells.append(f" {word} " if padded and draw.random() < 0.5 else word)
        lines.append(separator.join(cells))
    text = end.join(lines) + draw.choice(["", end, end + end])
    return draw.choice(["", "", "\ufeff"]) + text


def expected(cells: list[object], kind: str) -> list[float | str | None]:
    """The cells as a Table has them: floats, or text; None where missing."""
    if kind == "text":
        return [None if cell is None else str(cell).strip() for cell in cells]
    return [None if cell is None else float(cell) for cell in cells]  # type: ignore[arg-type]


def cells_of(column: object) -> list[float | str | None]:
    """The cells of a Column in the same form."""
    values, words = column.values.tolist(), column.words  # type: ignore[attr-defined]
    if column.kind == "text":  # type: ignore[attr-defined]
        return [None if value < 0 else words[value] for value in values]
    if column.kind == "flag":  # type: ignore[attr-defined]
        return [None if value < 0 else float(value) for value in values]
    return [None if math.isnan(value) else value for value in values]
