"""Tables as people have them, drawn by seed: sound ones, and the same with one fault planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.table import Column, Table

Cells = dict[str, NDArray[Any]]
Draw = Callable[[np.random.Generator, int], Cells]


def table_of(cells: Cells, where: str = "drawn.csv") -> Table:
    """Arrays of numbers, bools, days and texts (None where one is missing) as a Table."""
    return Table(tuple(column_of(name, np.asarray(values)) for name, values in cells.items()), where)


def column_of(name: str, values: NDArray[Any]) -> Column:
    match values.dtype.kind:
        case "b":
            return Column(name, "flag", values.astype(np.int8))
        case "M":
            return Column(name, "time", values.astype("datetime64[s]").astype(np.float64) / 86_400)
        case "O" | "U":
            words = sorted({str(value) for value in values.tolist() if value is not None})
            place = {word: k for k, word in enumerate(words)} | {None: -1}
            codes = np.array([place[None if v is None else str(v)] for v in values.tolist()], np.int32)
            return Column(name, "text", codes, tuple(words))
    numbers = values.astype(np.float64)
    there = numbers[np.isfinite(numbers)]
    return Column(name, "number", numbers, whole=bool((there == there.round()).all()))


def with_gaps(g: np.random.Generator, values: NDArray[Any], share: float) -> NDArray[Any]:
    """The same with a share of the cells missing."""
    gaps = g.random(len(values)) < share
    if values.dtype.kind in "OU":
        values = values.astype(object)
        values[gaps] = None
        return values
    return np.where(gaps, np.nan, values)


def people(g: np.random.Generator, n: int) -> Cells:
    """Everyday columns of every kind; the label has three classes, which nothing gives alone."""
    age, height = g.integers(18, 90, n), np.round(g.normal(172, 9, n), 1)
    income = np.round(g.lognormal(10, 0.6, n), 2)
    city = g.choice(["Rome", "Oslo", "Bern", "Wien", "Graz", "Lima"], n, p=[0.4, 0.2, 0.15, 0.1, 0.1, 0.05])
    member, days = g.random(n) < 0.3, g.integers(0, 2_000, n)
    score = (age - 50) / 20 + (height - 172) / 9 + member + (city == "Rome") + g.normal(0, 1, n)
    return {
        "age": age,
        "height": with_gaps(g, height, 0.05),
        "income": income,
        "children": g.poisson(1.3, n),
        "city": with_gaps(g, city, 0.03),
        "member": member,
        "since": np.datetime64("2015-01-01") + days.astype("timedelta64[D]"),
        "grade": g.integers(1, 6, n),
        "label": np.array(["low", "mid", "high"])[np.digitize(score, [0.0, 1.2])],
    }


def houses(g: np.random.Generator, n: int) -> Cells:
    """A price as the label: numbers."""
    area, rooms, year = np.round(g.lognormal(4.6, 0.4, n), 1), g.integers(1, 9, n), g.integers(1890, 2021, n)
    price = 2_000 * area * np.exp(g.normal(0, 0.3, n)) + 5_000 * rooms
    return {
        "area": area,
        "rooms": rooms,
        "year": year,
        "garden": np.where(g.random(n) < 0.4, 0, np.round(g.exponential(300, n))),
        "heating": g.choice(["gas", "oil", "wood"], n),
        "lat": np.round(g.uniform(45, 48, n), 5),
        "price": np.round(price, 2),
    }


def tails(g: np.random.Generator, n: int) -> Cells:
    """Columns with long tails, many zeros, few values and bounds; the label has two classes."""
    x = g.normal(size=n)
    return {
        "lognormal": g.lognormal(0, 1.5, n),
        "pareto": g.pareto(1.5, n) + 1,
        "student": g.standard_t(2, n),
        "amount": np.where(g.random(n) < 0.6, 0, np.round(g.lognormal(4, 1, n), 2)),
        "percent": np.clip(np.round(g.normal(70, 30, n)), 0, 100),
        "change": g.poisson(2.0, n) - g.poisson(2.0, n),
        "dose": g.choice([0, 50, 100, 200], n),
        "rare": (g.random(n) < 0.1).astype(int),
        "share": g.beta(0.5, 0.5, n),
        "visits": g.negative_binomial(1, 0.1, n),
        "x": x,
        "label": (x + g.normal(0, 1, n) > 0).astype(int),
    }


def answers(g: np.random.Generator, n: int) -> Cells:
    """Categories alone, related to each other, so that rows are often alike; the label is true or false."""
    mood = g.normal(size=n)
    cells: Cells = {
        f"question {k}": np.array(["no", "perhaps", "yes"])[np.digitize(mood + g.normal(size=n), [-0.7, 0.7])]
        for k in range(4)
    }
    return cells | {"again": mood + g.normal(size=n) > 0}


SOUND: dict[str, tuple[Draw, str]] = {
    "people": (people, "label"),
    "houses": (houses, "price"),
    "tails": (tails, "label"),
    "answers": (answers, "again"),
}
"""By name: how a table is drawn, and its label."""


def _where(g: np.random.Generator, n: int, share: float, least: int) -> NDArray[np.int64]:
    """Some rows, in no order."""
    return g.permutation(n)[: max(least, round(share * n))]


def _set(values: NDArray[Any], rows: NDArray[np.int64], value: Any) -> NDArray[Any]:
    values = values.astype(np.float64)
    values[rows] = value
    return values


def _swap(cells: Cells, rows: NDArray[np.int64]) -> Cells:
    return {name: values[rows] for name, values in cells.items()}


def _shuffled(g: np.random.Generator, n: int, cells: Cells) -> Cells:
    return _swap(cells, g.permutation(len(next(iter(cells.values())))))


def _copied_rows(g: np.random.Generator, n: int, cells: Cells) -> Cells:
    return _swap(cells, g.permutation(np.append(np.arange(n), g.choice(n, max(3, n // 20), replace=False))))


def _conflict(g: np.random.Generator, n: int, cells: Cells) -> Cells:
    rows = _where(g, n, 0.02, 3)
    again = _swap(cells, np.append(np.arange(n), rows))
    label = again["label"].copy()
    label[n:] = np.where(label[n:] == "low", "high", "low")
    return again | {"label": label}


def _spelled(g: np.random.Generator, n: int, cells: Cells, name: str, other: Callable[[str], str]) -> Cells:
    values = cells[name].astype(object)
    for row in _where(g, n, 0.05, 4):
        if values[row] is not None:
            values[row] = other(values[row])
    return {**cells, name: values}


PLANTED: dict[str, tuple[str, str, Callable[[np.random.Generator, int, Cells], Cells]]] = {
    "a running number": ("identifier", "row", lambda g, n, c: {"row": np.arange(1, n + 1)} | c),
    "a shuffled number": ("identifier", "number", lambda g, n, c: {"number": g.permutation(n) + 1000} | c),
    "a sampled number": (
        "identifier", "customer_id", lambda g, n, c: c | {"customer_id": g.permutation(50 * n)[:n]}),
    "a named key": (
        "identifier", "userId", lambda g, n, c: c | {"userId": np.array([f"u{k:05d}" for k in g.permutation(n)])}),
    "names": (
        "texts-different", "who",
        lambda g, n, c: c | {"who": np.array([f"{a:x} {b:x}" for a, b in g.integers(1 << 40, size=(n, 2))])}),
    "the label in other words": (
        "label-copied", "result",
        lambda g, n, c: c | {"result": np.array([{"low": "C", "mid": "B", "high": "A"}[k] for k in c["label"]])}),
    "the label as numbers": (
        "label-copied", "level",
        lambda g, n, c: c | {"level": np.array([{"low": 0, "mid": 2, "high": 1}[k] for k in c["label"]])}),
    "a measure taken after": (
        "label-leaked", "after",
        lambda g, n, c: c | {"after": np.array([{"low": 0, "mid": 9, "high": 5}[k] for k in c["label"]])
            + g.uniform(0, 3, n)}),
    "codes within the label": (
        "label-leaked", "code",
        lambda g, n, c: c | {"code": np.array([f"{k[0]}{i}" for k, i in zip(c["label"], g.integers(0, 3, n))])}),
    "-9999": ("sentinel", "height", lambda g, n, c: c | {"height": _set(c["height"], _where(g, n, .03, 3), -9999)}),
    "999": ("sentinel", "age", lambda g, n, c: c | {"age": _set(c["age"], _where(g, n, .02, 3), 999)}),
    "-1": ("sentinel", "age", lambda g, n, c: c | {"age": _set(c["age"], _where(g, n, .1, 6), -1)}),
    "0": ("sentinel", "height", lambda g, n, c: c | {"height": _set(c["height"], _where(g, n, .04, 3), 0)}),
    "1900": (
        "sentinel", "since",
        lambda g, n, c: c | {"since": np.where(g.random(n) < .2, np.datetime64("1900-01-01"), c["since"])}),
    "another unit": (
        "outliers", "height",
        lambda g, n, c: c | {"height": (lambda rows: _set(c["height"], rows, 10 * g.normal(172, 9, len(rows))))(
            _where(g, n, .004, 1))}),
    "a slip": (
        "outliers", "income",
        lambda g, n, c: c | {"income": _set(c["income"], _where(g, n, .001, 1), 4e8 * (1 + g.random(max(1, round(.001 * n)))))}),
    "numbers with a unit": (
        "number-as-text", "height", lambda g, n, c: c | {"height": np.array([f"{h:.1f} cm" for h in g.normal(172, 9, n)])}),
    "money": (
        "number-as-text", "income", lambda g, n, c: c | {"income": np.array([f"${x:,.2f}" for x in c["income"]])}),
    "numbers and a mark": (
        "number-as-text", "age",
        lambda g, n, c: c | {"age": np.where(g.random(n) < .04, "?", c["age"].astype(str))}),
    "dates": (
        "date-as-text", "since",
        lambda g, n, c: c | {"since": np.array([f"{d:%d/%m/%Y}" for d in c["since"].tolist()])}),
    "a rare class": (
        "classes-rare", "label",
        lambda g, n, c: c | {"label": np.where(np.isin(np.arange(n), g.permutation(n)[:2]), "odd", c["label"])}),
    "unequal classes": (
        "classes-imbalanced", "label",
        lambda g, n, c: c | {"label": np.where(np.isin(np.arange(n), g.permutation(n)[:max(5, n // 50)]), "b", "a")}),
    "inches too": (
        "columns-same", "height", lambda g, n, c: c | {"inches": np.round(c["height"] / 2.54, 3)}),
    "a code beside a name": (
        "columns-same", "city",
        lambda g, n, c: c | {"code": np.array([{"R": 39, "O": 47, "B": 41, "W": 43, "G": 44, "L": 51}.get(
            (k or "?")[0], np.nan) for k in c["city"]])}),
    "sorted rows": ("rows-ordered", "", lambda g, n, c: _swap(c, np.argsort(c["label"], kind="stable"))),
    "upper case": ("spellings", "city", lambda g, n, c: _spelled(g, n, c, "city", str.upper)),
    "space behind": ("spellings", "city", lambda g, n, c: _spelled(g, n, c, "city", lambda w: w + " ")),
    "a label in two spellings": ("label-spelled", "label", lambda g, n, c: _spelled(g, n, c, "label", str.title)),
    "space everywhere": (
        "space-around", "city",
        lambda g, n, c: c | {"city": np.array([k and f" {k}" for k in c["city"]], object)}),
    "constant": ("columns-nothing", "zero", lambda g, n, c: c | {"zero": np.zeros(n)}),
    "empty": ("columns-nothing", "none", lambda g, n, c: c | {"none": np.full(n, np.nan)}),
    "hardly there": (
        "mostly-missing", "note", lambda g, n, c: c | {"note": _set(np.full(n, np.nan), np.arange(3), g.random(3))}),
    "copied rows": ("rows-repeated", "", _copied_rows),
    "contradictions": ("rows-conflicting", "", _conflict),
    "gaps in the label": ("rows-unlabelled", "label", lambda g, n, c: c | {"label": with_gaps(g, c["label"], .1)}),
    "infinite": ("infinite", "income", lambda g, n, c: c | {"income": _set(c["income"], _where(g, n, .01, 1), np.inf)}),
    "one class": ("label-constant", "label", lambda g, n, c: c | {"label": np.full(n, "a")}),
    "a label of names": (
        "label-all-different", "label", lambda g, n, c: c | {"label": np.array([f"n{k}" for k in range(n)])}),
}  # fmt: skip
"""By name: the code of the finding, its column, and what is done to the table ``people``."""

PLANTED_NUMBERS: dict[str, tuple[str, str, Callable[[np.random.Generator, int, Cells], Cells]]] = {
    "the price in another unit": ("label-copied", "dollars", lambda g, n, c: c | {"dollars": c["price"] * 1.08}),
    "a fee of the price": (
        "label-leaked", "fee", lambda g, n, c: c | {"fee": np.sqrt(c["price"]) * g.normal(1, 0.0005, n)}),
    "sorted by price": ("rows-ordered", "", lambda g, n, c: _swap(c, np.argsort(c["price"]))),
    "a price that drifts": (
        "rows-ordered", "", lambda g, n, c: c | {"price": np.exp(np.cumsum(g.normal(0, .1, n)) / 3)}),
}  # fmt: skip
"""The same, done to the table ``houses``."""
