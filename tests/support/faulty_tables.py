"""Tables as people have them, drawn by seed: sound ones, and the same with one fault planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Cells = dict[str, NDArray[Any]]
Draw = Callable[[np.random.Generator, int], Cells]


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


def flowers(g: np.random.Generator, n: int) -> Cells:
    """Measures that go together and nearly tell three kinds apart, to one decimal."""
    kind = g.integers(0, 3, n)
    size = kind + g.normal(0, 0.35, n)
    cells: Cells = {
        name: np.round(mean + slope * size + g.normal(0, noise, n), 1)
        for name, mean, slope, noise in (
            ("sepal length", 5.0, 0.8, 0.4), ("sepal width", 3.4, -0.2, 0.3),
            ("petal length", 1.5, 2.0, 0.3), ("petal width", 0.3, 0.9, 0.2),
        )
    }  # fmt: skip
    return cells | {"species": np.array(["small", "middle", "large"])[kind]}


def sales(g: np.random.Generator, n: int) -> Cells:
    """Counts, sums and shares that depend on each other; a quantity that is counted is the label."""
    store, weekday = g.integers(1, 31, n), g.integers(0, 7, n)
    visitors = g.poisson(120 + 20 * (weekday > 4))
    price = np.round(g.choice([9.99, 14.99, 19.99, 24.99], n) * g.choice([1, 0.8, 0.5], n), 2)
    return {
        "store": store,
        "weekday": weekday,
        "visitors": visitors,
        "price": price,
        "holiday": g.random(n) < 0.2,
        "rain": np.where(g.random(n) < 0.7, 0, np.round(g.gamma(1.2, 4, n), 1)),
        "temperature": np.round(g.normal(12, 8, n)),
        "opened": 2020 - g.geometric(0.2, n),
        "sold": g.poisson(visitors * np.exp(-price / 20)),
    }


def clinic(g: np.random.Generator, n: int) -> Cells:
    """Many gaps, categories of few rows; three patients in ten are ill."""
    risk = g.normal(size=n)
    cells: Cells = {f"marker {k}": with_gaps(g, g.lognormal(k, 0.5, n) + risk.clip(0), 0.3) for k in range(6)}
    return cells | {
        "rare": g.random(n) < 0.2,
        "sex": g.choice(["f", "m"], n),
        "ward": with_gaps(g, g.choice([f"W{k}" for k in range(12)], n), 0.5),
        "blood": g.choice(["A", "B", "AB", "0"], n, p=[0.4, 0.12, 0.06, 0.42]),
        "stage": g.integers(0, 5, n),
        "ill": risk + g.normal(0, 0.5, n) > 0.6,
    }


def two(g: np.random.Generator, n: int) -> Cells:
    """The table ``people`` with two classes."""
    cells = people(g, n)
    return cells | {"label": np.where(cells["label"] == "low", "low", "high")}


SOUND: dict[str, tuple[Draw, str]] = {
    "people": (people, "label"),
    "two": (two, "label"),
    "houses": (houses, "price"),
    "tails": (tails, "label"),
    "answers": (answers, "again"),
    "flowers": (flowers, "species"),
    "sales": (sales, "sold"),
    "clinic": (clinic, "ill"),
}
"""By name: how a table is drawn, and its label."""


@dataclass(frozen=True)
class Fault:
    """What is done to a sound table, and what is to be found then.

    code, column: of the finding; "" where it is of no column.   base: the sound table.
    plant: makes the faulty one.   least: rows from which on it is sure to be seen.
    """

    code: str
    column: str
    plant: Callable[[np.random.Generator, int, Cells], Cells]
    base: str = "people"
    least: int = 50

    def draw(self, seed: int, n: int) -> Cells:
        """A faulty table of n rows, or a few more."""
        g = np.random.default_rng(seed)
        return self.plant(g, n, SOUND[self.base][0](g, n))

    @property
    def label(self) -> str:
        return SOUND[self.base][1]


def put(code: str, column: str, cells: Callable[..., Any], **options: Any) -> Fault:
    """A fault in one column, which is replaced or added: a function of the generator, n and the table."""
    return Fault(code, column, lambda g, n, c: {**c, column: np.asarray(cells(g, n, c))}, **options)


def some(g: np.random.Generator, n: int, share: float, least: int) -> NDArray[np.int64]:
    """Some rows, in no order: a share of them, at least so many."""
    return g.permutation(n)[: max(least, round(share * n))]


def changed(values: NDArray[Any], rows: NDArray[np.int64], to: Any) -> NDArray[Any]:
    """Numbers or texts of which some are others."""
    values = values.astype(object if values.dtype.kind in "OU" else np.float64)
    values[rows] = to(values[rows]) if callable(to) else to
    return values


def taken(cells: Cells, rows: NDArray[np.int64]) -> Cells:
    return {name: values[rows] for name, values in cells.items()}


def by(words: dict[str, Any]) -> Callable[..., Any]:
    """The label in other words."""
    return lambda g, n, c: [words[word] for word in c["label"]]


def spelled(column: str, write: Callable[[str], str]) -> Callable[..., Any]:
    """A column some of whose texts are written otherwise."""

    def cells(g: np.random.Generator, n: int, c: Cells) -> Any:
        return changed(c[column], some(g, n, 0.05, 4), lambda words: [w and write(w) for w in words])

    return cells


def copied(g: np.random.Generator, n: int, c: Cells) -> Cells:
    return taken(c, g.permutation([*range(n), *some(g, n, 0.05, 3)]))


def contradicted(g: np.random.Generator, n: int, c: Cells) -> Cells:
    again = some(g, n, 0.02, 3)
    other = np.where(c["label"][again] == "low", "high", "low")
    return taken(c, np.array([*range(n), *again])) | {"label": np.append(c["label"], other)}


PLACES = {"Rome": 39, "Oslo": 47, "Bern": 41, "Wien": 43, "Graz": 316, "Lima": 51}

FAULTS = {
    "a running number": put("identifier", "row", lambda g, n, c: np.arange(1, n + 1)),
    "a shuffled number": put("identifier", "number", lambda g, n, c: g.permutation(n) + 1_000),
    "a sampled number": put("identifier", "customer_id", lambda g, n, c: g.permutation(50 * n)[:n]),
    "a named key": put("identifier", "userId", lambda g, n, c: [f"u{k:05d}" for k in g.permutation(n)]),
    "names": put(
        "texts-different", "who",
        lambda g, n, c: [f"{a:x} {b:x}" for a, b in g.integers(1 << 40, size=(n, 2)).tolist()],
    ),
    "the label in other words": put("label-copied", "result", by({"low": "C", "mid": "B", "high": "A"})),
    "the label as numbers": put("label-copied", "level", by({"low": 0, "mid": 2, "high": 1})),
    "a measure taken after": put(
        "label-leaked", "after",
        lambda g, n, c: np.add(by({"low": 0, "mid": 9, "high": 5})(g, n, c), g.uniform(0, 3, n)),
    ),
    "codes within the label": put(
        "label-leaked", "code",
        lambda g, n, c: [word[0] + str(g.integers(3)) for word in c["label"]], least=100,
    ),
    "filled in afterwards": put(
        "label-leaked", "closed", lambda g, n, c: np.where(c["label"] == "low", np.nan, g.integers(1, 99, n)),
        base="two",
    ),
    "-9999": put("sentinel", "height", lambda g, n, c: changed(c["height"], some(g, n, 0.03, 3), -9999)),
    "999": put("sentinel", "age", lambda g, n, c: changed(c["age"], some(g, n, 0.02, 3), 999)),
    "-1": put("sentinel", "age", lambda g, n, c: changed(c["age"], some(g, n, 0.1, 6), -1)),
    "0": put("sentinel", "height", lambda g, n, c: changed(c["height"], some(g, n, 0.04, 3), 0)),
    "1900-01-01": put(
        "sentinel", "since",
        lambda g, n, c: np.where(g.random(n) < 0.2, np.datetime64("1900-01-01"), c["since"]),
    ),
    "another unit": put(
        "outliers", "height", lambda g, n, c: changed(c["height"], some(g, n, 0.004, 1), lambda x: 10 * x),
        least=200,
    ),
    "slips": put(
        "outliers", "income",
        lambda g, n, c: changed(c["income"], some(g, n, 0.001, 1), lambda x: 1e5 * x),
    ),
    "numbers with a unit": put(
        "number-as-text", "height", lambda g, n, c: [f"{x:.1f} cm" for x in g.normal(172, 9, n)]
    ),
    "money": put("number-as-text", "income", lambda g, n, c: [f"${x:,.2f}" for x in c["income"]]),
    "numbers and a mark": put(
        "number-as-text", "age", lambda g, n, c: np.where(g.random(n) < 0.04, "?", c["age"].astype(str))
    ),
    "dates": put("date-as-text", "since", lambda g, n, c: [f"{day:%d/%m/%Y}" for day in c["since"].tolist()]),
    "a rare class": put(
        "classes-rare", "label", lambda g, n, c: changed(c["label"], some(g, n, 0, 2), "odd")
    ),
    "unequal classes": put(
        "classes-imbalanced", "label",
        lambda g, n, c: changed(np.full(n, "common"), some(g, n, 0.02, 5), "rare"), least=60,
    ),
    "inches too": put("columns-same", "inches", lambda g, n, c: np.round(c["height"] / 2.54, 3)),
    "a code beside a name": put(
        "columns-same", "code", lambda g, n, c: [PLACES.get(word, np.nan) for word in c["city"]]
    ),
    "sorted rows": Fault("rows-ordered", "", lambda g, n, c: taken(c, np.argsort(c["label"], kind="stable"))),
    "upper case": put("spellings", "city", spelled("city", str.upper)),
    "an underscore": put("spellings", "town", lambda g, n, c: g.choice(["New York", "new_york", "Bonn"], n)),
    "a label in two spellings": put("label-spelled", "label", spelled("label", str.title)),
    "constant": put("columns-nothing", "zero", lambda g, n, c: np.zeros(n)),
    "empty": put("columns-nothing", "none", lambda g, n, c: np.full(n, np.nan)),
    "hardly there": put(
        "mostly-missing", "once", lambda g, n, c: changed(np.full(n, np.nan), np.arange(3), [1.5, 2.5, 4.0])
    ),
    "copied rows": Fault("rows-repeated", "", copied),
    "contradictions": Fault("rows-conflicting", "", contradicted),
    "gaps in the label": put("rows-unlabelled", "label", lambda g, n, c: with_gaps(g, c["label"], 0.1)),
    "one class": put("label-constant", "label", lambda g, n, c: np.full(n, "a")),
    "a label of names": put("label-all-different", "label", lambda g, n, c: [f"n{k}" for k in range(n)]),
    "the price in another unit": put(
        "label-copied", "dollars", lambda g, n, c: 1.08 * c["price"], base="houses"
    ),
    "a fee of the price": put(
        "label-leaked", "fee", lambda g, n, c: np.sqrt(c["price"]) * g.normal(1, 0.0005, n), base="houses"
    ),
    "sorted by the price": Fault(
        "rows-ordered", "", lambda g, n, c: taken(c, np.argsort(c["price"])), base="houses"
    ),
    "a price that drifts": Fault(
        "rows-ordered", "", lambda g, n, c: c | {"price": np.exp(np.cumsum(g.normal(0, 0.1, n)) / 3)},
        base="houses", least=200,
    ),
}  # fmt: skip
"""By name: what may be wrong with a table."""
