"""The audit of tables: what it finds where a fault was planted, and that it finds nothing in sound ones."""

from __future__ import annotations

import json
import shlex
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from faulty_tables import FAULTS, SOUND, people
from sklearn import datasets

from fastmlp.data import audit
from fastmlp.data.auditing import leaks, numbers, texts
from fastmlp.data.auditing.call import severe
from fastmlp.data.auditing.findings import SEVERITIES, option
from fastmlp.data.auditing.rules import RULES
from fastmlp.data.table import Column
from fastmlp.data.tables import from_frame
from fastmlp.errors import ConfigError, DataError
from fastmlp.runs import strict_json

SIZES = (50, 200, 1_000, 5_000, 20_000)


def drawn(name, seed, n):
    draw, label = SOUND[name]
    return draw(np.random.default_rng(seed), n), label


def codes(found):
    return {finding.code for finding in found.findings}


def sees(found, fault):
    return any(
        finding.code == fault.code and (not fault.column or fault.column in finding.columns)
        for finding in found.findings
    )


# --- sound tables, and planted faults ------------------------------------------------------------


@pytest.mark.parametrize("n", SIZES[:3])
@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_in_a_sound_table(name, n):
    for seed in range(3):
        cells, label = drawn(name, seed, n)
        assert codes(audit(cells, label)) == set(), (seed, n)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_in_long_or_many_sound_tables(name):
    for n in SIZES:
        for seed in range(20 if n < 5_000 else 4):
            cells, label = drawn(name, 100 + seed, n)
            assert codes(audit(cells, label)) == set(), (seed, n)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name):
    fault = FAULTS[name]
    for seed, n in ((0, max(50, fault.least)), (1, 400), (2, 2_000)):
        cells = fault.draw(seed, n)
        found = audit(cells, fault.label)
        assert sees(found, fault), (seed, n, codes(found))
        cells, label = drawn(fault.base, seed, n)  # the search goes red: without the fault it is not there
        assert not sees(audit(cells, label), fault)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_nearly_always(name):
    fault = FAULTS[name]
    for n in SIZES:
        if n >= fault.least:
            found = [sees(audit(fault.draw(seed, n), fault.label), fault) for seed in range(10)]
            assert sum(found) >= 9, (n, found)


def test_every_finding_is_planted_somewhere():
    assert {fault.code for fault in FAULTS.values()} == {rule.code for rule in RULES}
    assert len({rule.code for rule in RULES}) == len(RULES)


SHIPPED = {
    ("iris", "target"): {"rows-ordered"},  # it is sorted by kind
    ("wine", "target"): {"rows-ordered"},
    ("breast_cancer", "target"): set(),
    ("digits", "target"): {"columns-nothing"},  # three corners are always empty
    ("diabetes", "target"): set(),
    ("linnerud", "Weight"): set(),
    ("linnerud", "Pulse"): set(),
}


@pytest.mark.parametrize(("name", "label"), SHIPPED)
def test_of_tables_that_everybody_knows_only_what_is_true_is_said(name, label):
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    assert codes(audit(frame, label)) == SHIPPED[name, label]


# --- leaks ---------------------------------------------------------------------------------------


def number(values):
    return Column("x", "number", np.asarray(values, np.float64))


def skill(values, y):
    y = np.asarray(y)
    return leaks.skill_of_classes(leaks.Groups.of(number(values)), y, int(y.max()) + 1)


def test_skill_is_that_of_the_nearest_other_rows():
    """Against a loop over the rows."""
    g = np.random.default_rng(3)
    for n, K, different in ((60, 2, 1000), (80, 3, 12), (120, 4, 40), (50, 2, 3)):
        x, y = g.integers(0, different, n) * 1.0, g.integers(0, K, n)
        x[g.random(n) < 0.1] = np.nan
        told = np.full(n, -1)
        for i in range(n):
            same = (np.isnan(x) if np.isnan(x[i]) else x == x[i]) & (np.arange(n) != i)
            if not same.any() and not np.isnan(x[i]):
                away = np.where(np.isnan(x), np.inf, np.abs(x - x[i]))
                away[i] = np.inf
                near = x[away == away.min()].min()  # the lower of two that are as near
                same = x == near
                counts = np.bincount(y[same], minlength=K)
                told[i] = K - 1 - counts[::-1].argmax()  # of classes that are as common the last
                continue
            counts = np.bincount(y[same], minlength=K)
            others = np.delete(counts, y[i]).max()
            told[i] = y[i] if counts[y[i]] > others else -1
        recall = np.mean([np.mean(told[y == k] == k) for k in range(K)])
        assert skill(x, y) == pytest.approx((recall - 1 / K) / (1 - 1 / K))


def test_noise_and_different_texts_give_no_skill():
    g = np.random.default_rng(0)
    for n in (50, 500, 5_000):
        y = g.integers(0, 3, n)
        assert skill(g.normal(size=n), y) < 0.35
        words = Column("id", "text", np.arange(n, dtype=np.int32), tuple(f"{k:05}" for k in range(n)))
        assert leaks.skill_of_classes(leaks.Groups.of(words), y, 3) <= 0.01
    assert skill(np.arange(300) // 100, np.arange(300) // 100) == 1


def test_a_copy_by_another_name_is_one_to_one():
    y = np.array([0, 1, 2, 1, 0, 2])
    assert leaks.one_to_one(np.array([5.0, np.nan, 2, np.nan, 5, 2]), y)
    assert not leaks.one_to_one(np.array([5.0, 1, 2, 3, 5, 2]), y)
    assert not leaks.one_to_one(np.zeros(6), y)
    assert not leaks.one_to_one(np.zeros(6), np.zeros(6, np.int64))


def test_two_far_points_make_no_line():
    x = np.append(np.random.default_rng(0).normal(size=100), 1e6)
    y = np.append(np.random.default_rng(1).normal(size=100), 1e6)
    assert leaks.correlation(x, y) > 0.9999
    assert not leaks.same_line(x, y)
    assert leaks.same_line(x, 3 - 2 * x)


def test_a_leak_is_severe_where_it_stands_out():
    cells = FAULTS["a measure taken after"].draw(0, 300)
    assert audit(cells, "label").severe
    twice = cells | {"later": cells["after"] + np.random.default_rng(0).uniform(0, 0.1, 300)}
    found = audit(twice, "label")
    assert {f.severity for f in found.findings if f.code == "label-leaked"} == {"warning"}


def test_severe_says_the_leaks_alone_in_lines():
    for name, expected in (("the label in other words", "result"), ("a measure taken after", "after")):
        table = from_frame(FAULTS[name].draw(0, 20_000))
        (line,) = severe(table, "label", "classes")
        assert expected in line
        assert f"--drop {expected}" in line
    assert severe(from_frame(people(np.random.default_rng(0), 500)), "label", "classes") == ()
    assert severe(from_frame(FAULTS["a fee of the price"].draw(0, 500)), "price", "auto") != ()


# --- numbers and texts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "seen"),
    [
        (lambda g: np.append(g.normal(50, 10, 200), [-1] * 4), True),
        (lambda g: np.append(g.poisson(3, 200), [-1] * 4), False),  # next to the others
        (lambda g: np.append(g.normal(50, 10, 200), [0] * 5), True),
        (lambda g: np.append(g.normal(50, 10, 200), [0] * 150), False),  # an amount that is often none
        (lambda g: np.append(g.exponential(50, 200), [0] * 20), False),
        (lambda g: np.append(g.normal(50, 10, 200), [999] * 2), True),
        (lambda g: np.append(g.normal(500, 200, 200), [999] * 2), False),
        (lambda g: np.append(g.normal(50, 10, 200), [-9999]), False),  # once: no habit of the file
        (lambda g: np.append(g.normal(50, 10, 200), [412.5] * 3), True),
        (lambda g: g.choice([0, 50, 100, 999], 200), False),  # steps
        (lambda g: np.append(g.normal(5, 1, 8), [-9999] * 2), False),  # too few
    ],
)
def test_a_sentinel_stands_apart(draw, seen):
    for seed in range(5):
        values = np.asarray(draw(np.random.default_rng(seed)), np.float64)
        assert (numbers.sentinel(values) is not None) == seen
        assert numbers.sentinel(np.full(50, 3.0)) is None


@pytest.mark.parametrize("seed", range(8))
def test_long_tails_are_no_outliers(seed):
    g = np.random.default_rng(seed)
    for n in (30, 300, 10_000):
        for values in (
            g.lognormal(0, 2.5, n), g.pareto(1, n), g.standard_cauchy(n), g.exponential(size=n),
            g.normal(size=n), (g.random(n) < 0.02) * 1.0,
            np.where(g.random(n) < 0.9, 0, g.lognormal(5, 1.5, n)),
        ):  # fmt: skip
            assert numbers.outlying(values) is None
    values = g.normal(100, 15, 300)
    values[[7, 200]] = 100_000, 170_000
    assert numbers.outlying(values).places.tolist() == [7, 200]
    two_sided = g.normal(0, 1, 300)
    two_sided[5] = -4_000
    assert numbers.outlying(two_sided).places.tolist() == [5]


def test_numbers_that_count_rows():
    g = np.random.default_rng(0)
    assert numbers.counts_rows(np.arange(10, 0, -1.0))
    assert numbers.counts_rows(np.arange(0, 500, 5.0))
    assert numbers.counts_rows(g.permutation(1_000)[:500] * 1.0)
    assert not numbers.counts_rows(np.zeros(0))
    assert not numbers.counts_rows(
        np.unique(g.integers(0, 10**7, 500)) * 1.0
    )  # incomes that happen to differ
    assert not numbers.counts_rows(g.normal(size=500))
    assert not numbers.counts_rows(np.array([3.0, 1, 2]))


def test_years_are_no_identifier():
    years = {"year": np.arange(1950, 2020), "x": np.random.default_rng(0).normal(size=70)}
    assert "identifier" not in codes(audit(years | {"y": np.arange(70) % 2}, "y"))
    assert "identifier" in codes(audit({"row": years["year"], "x": years["x"], "y": np.arange(70) % 2}, "y"))


UNITS = {
    "": ("12", "-3.5", "1e-3", ".5", "1,234.50", "1.234,50", "1 234"),
    "$": ("$1,234", "$ 5"),
    "%": ("50%", "0.5 %"),
    "kg": ("12 kg", "7kg"),
    "m/s": ("3.5m/s",),
    "°C": ("20°C",),
    None: (
        "007",
        "1.2.3",
        "123456 789012",
        "12 34",
        "1,234.567.8",
        "4th",
        "12,34,5",
        "A12",
        "12-34",
        "",
        "?",
        "1" * 50,
    ),
}
DATES = (
    "2024-12-31", "31.12.2024", "12/31/24", "2024/1/5 10:30", "5 Jan 2024", "January 5, 2024",
    "2024-01-05T10:30:00Z", "5-Jan-24",
)  # fmt: skip
NO_DATES = ("2024", "1.2.3", "192.168.0.1", "12-34-56", "may", "12", "", "10-12", "1/2", "2024-13-01")


def test_numbers_and_their_units():
    for unit, words in UNITS.items():
        assert [texts.unit_of(word) for word in words] == [unit] * len(words)


def test_dates():
    assert [word for word in (*DATES, *NO_DATES) if texts.is_date(word)] == [*DATES]


def test_columns_of_numbers_and_of_codes():
    def what(words):
        found = texts.written(words, np.ones(len(words), np.int64))
        return found and (found.what, found.unit)

    assert what([f"{k} GB" for k in range(1, 30)]) == ("numbers", "GB")
    assert what([f"{k}.5" for k in range(30)] + ["?"]) == ("numbers", "")
    assert what([f"{k}.5" for k in range(30)] + ["?", "high", "low", "no"]) is None
    assert what([f"{k:04}" for k in range(950, 1_050)]) is None  # postal codes
    assert what([f"{k}" for k in range(9)]) is None  # few: categories
    assert what([f"{k}-{k + 9}" for k in range(0, 200, 10)]) is None
    assert what([f"2024-01-{k:02}" for k in range(1, 30)]) == ("dates", "")
    assert what([f"10.0.0.{k}" for k in range(30)]) is None


def test_words_that_are_alike():
    counts = np.ones(9, np.int64)
    words = ("A", "a", "New York", "new-york", "Oslo", "oslo", "x 1", "x 11", "A-")
    assert texts.alike(words, counts) == [("New York", "new-york"), ("Oslo", "oslo")]
    counts[5] = 0
    assert texts.alike(words, counts) == [("New York", "new-york")]


# --- the value -----------------------------------------------------------------------------------


def test_an_audit_is_typed_frozen_silent_and_plain_data(capsys):
    cells = FAULTS["-9999"].draw(0, 200) | {"none": np.full(200, np.nan)}
    found = audit(cells, "label")
    assert capsys.readouterr() == ("", "")
    with pytest.raises(FrozenInstanceError):
        found.rows = 3
    data = json.loads(strict_json(found.to_json()))
    assert data["rows"] == 200
    assert [column["name"] for column in data["columns"]] == [name for name in cells if name != "label"]
    assert data["label"]["counts"] == {
        str(word): count for word, count in zip(*np.unique(cells["label"], return_counts=True), strict=True)
    }
    by_name = {column["name"]: column for column in data["columns"]}
    assert by_name["height"]["figures"]["low"] == -9999
    assert by_name["none"]["missing_share"] == 1
    assert by_name["none"]["becomes"] == "dropped: empty"
    assert by_name["city"]["common"]["Rome"] == sum(cells["city"] == "Rome")
    assert [SEVERITIES.index(f.severity) for f in found.findings] == sorted(
        SEVERITIES.index(f.severity) for f in found.findings
    )
    (finding,) = (f for f in data["findings"] if f["code"] == "sentinel")
    assert all(cells["height"][row] == -9999 for row in finding["rows"])
    assert {*finding} == {"code", "severity", "measured", "why", "change", "columns", "rows", "values"}


def test_facts_are_those_of_numpy():
    cells = people(np.random.default_rng(0), 300)
    found = {column.name: column for column in audit(cells, "label").columns}
    height = cells["height"][np.isfinite(cells["height"])]
    figures = found["height"].figures
    assert (figures.low, figures.high) == (height.min(), height.max())
    assert figures.mean == pytest.approx(height.mean())
    assert figures.median == pytest.approx(np.median(height))
    assert figures.spread == pytest.approx(height.std())
    assert found["height"].missing == 300 - len(height)
    assert found["height"].distinct == len(np.unique(height))
    assert found["height"].becomes == "standardised + missing"
    assert found["city"].becomes == "one-hot, 6 categories + missing"
    assert found["member"].becomes == "0 and 1"
    assert found["since"].range.startswith("201")


def test_it_shows_itself():
    hostile = {"<script>": np.arange(40) % 7, "a\x1b[31m": np.arange(40) % 5, "y": ["<b>", "c"] * 20}
    found = audit(hostile, "y")
    assert "<script>" not in found._repr_html_().replace("&lt;script", "")
    assert "<b>" not in found._repr_html_()
    assert "\x1b" not in str(found)
    assert len(str(found).splitlines()) < 40
    assert repr(found).startswith("<")
    assert "\n" not in repr(found)


def test_an_advice_names_the_column_as_the_option_reads_it():
    asked = pytest.importorskip("fastmlp_cli.asked")
    for name in ("age", "a b", "a, b", 'the "real" id', "it's", "$(x)", "größe"):
        (word,) = shlex.split(option(name))
        assert asked.names_in("drop", [word]) == [name]


def test_rows_that_contradict_each_other_are_counted():
    cells = {"x": [1, 1, 2, 2, 3, 3], "y": ["a", "b", "a", "a", "b", None]}
    found = audit(cells, "y")
    assert (found.repeated, found.conflicts) == (1, 2)


def test_options_choose_columns():
    cells = FAULTS["-9999"].draw(0, 300) | {"row": np.arange(300)}
    assert codes(audit(cells, "label")) == {"sentinel", "identifier"}
    found = audit(cells, "label", drop=["height", "row"])
    assert codes(found) == set()
    assert {c.name: c.becomes for c in found.columns}["row"] == "dropped: asked"

    assert codes(audit(cells, "label", keep=["age", "city"])) == set()
    assert "identifier" not in codes(audit(cells, "label", as_category=["row"]))
    with pytest.raises(ConfigError, match="heigth"):
        audit(cells, "label", drop=["heigth"])
    with pytest.raises(DataError, match="label"):
        audit(cells, "lable")
    assert audit(cells, "age", task="numbers").label.figures.low >= 18
    assert audit(cells, "age", task="classes").label.counts


def test_texts_that_repeat_now_and_then_are_nearly_all_different():
    texts = [f"{k % 95}%" for k in range(100)]
    label = ["a", "b"] * 50
    found = audit(from_frame({"share": texts, "label": label}), "label", task="classes")
    assert found.columns[0].becomes == "dropped: nearly all different"


def test_a_file_a_frame_and_a_table_are_the_same(tmp_path):
    pd = pytest.importorskip("pandas")
    cells = people(np.random.default_rng(0), 100)
    frame = pd.DataFrame(cells)
    frame.to_csv(tmp_path / "people.csv", index=False)
    shown = [
        audit(data).to_json() | {"where": "", "told": []}
        for data in (cells, frame, from_frame(cells), tmp_path / "people.csv", str(tmp_path / "people.csv"))
    ]
    for other in shown[1:]:
        assert other["findings"] == shown[0]["findings"]
        assert other["label"] == shown[0]["label"]
        assert [c["name"] for c in other["columns"]] == [c["name"] for c in shown[0]["columns"]]


@pytest.mark.parametrize(
    "cells",
    [
        {"x": [1.0, 2], "y": ["a", "b"]},
        {"x": [1.0], "y": ["a"]},
        {"x": [np.nan] * 30, "y": [0, 1] * 15},
        {"x": [3] * 30, "y": [0, 1] * 15},
        {"x": np.arange(30), "y": [None] * 30},
        {"x": np.arange(30), "y": [1.5] * 30},
        {"x": [1e308, -1e308] * 15, "y": [0, 1] * 15},
        {"x": [5e-324, 0] * 15, "y": [0, 1] * 15},
        {"x": ["a"] * 29 + [None], "y": [0, 1] * 15},
        {"x": [None] * 29 + ["a"], "y": [0.5, 1] * 15},
        {"x": [True, False] * 15, "y": [True, False] * 15},
        {" ": np.arange(30) % 4, "y": ["a b", "a  b", "c"] * 10},
        {"x": np.r_[np.arange(25), [np.nan] * 5], "y": np.r_[[np.nan] * 25, np.arange(5)]},
    ],
)
def test_odd_tables_are_shown_too(cells):
    found = audit(cells, "y")
    assert str(found)
    assert found._repr_html_()
    assert json.loads(strict_json(found.to_json()))["rows"] == len(cells["y"])
    for finding in found.findings:
        assert finding.measured
        assert finding.change
        assert finding.why.endswith(".")


@pytest.mark.parametrize("seed", range(4))
def test_what_is_found_does_not_depend_on_the_order_of_the_columns(seed):
    g = np.random.default_rng(seed)
    cells = FAULTS["a measure taken after"].draw(seed, 200) | {"copy": np.arange(200), "zero": np.zeros(200)}
    mixed = {name: cells[name] for name in g.permutation([*cells]).tolist()}
    first, second = audit(cells, "label"), audit(mixed, "label")
    assert sorted(f.measured for f in first.findings) == sorted(f.measured for f in second.findings)


def test_a_table_without_a_column_that_says_something_is_severe():
    (finding,) = audit({"a": [1] * 30, "b": ["x"] * 30, "y": [0, 1] * 15}, "y").findings[:1]
    assert (finding.code, finding.severity, finding.columns) == ("columns-nothing", "severe", ("a", "b"))
