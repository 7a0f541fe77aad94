"""The label: which column it is, whether it names classes or is a quantity, and its values from any y."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace

import numpy as np
import pytest
from drawn_columns import drawn_table, flag, number, text, time
from nasty import VALUES, said_in_a_line

from fastmlp.data.label import (
    find_label,
    labelled,
    labels_of,
    places_of,
    taken,
    targets_of,
    task_of,
)
from fastmlp.data.table import LABEL_NAMES, Column, Table
from fastmlp.errors import ConfigError, DataError

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

DRAW = np.random.default_rng(0)


def table_of(*names, texts=()):
    """A table of numbers, but for some columns of two texts that repeat."""
    return Table(
        tuple(text(n, list("aabb")) if n in texts else number(n, range(4)) for n in names), "flowers.csv"
    )


# --- which column ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LABEL_NAMES)
def test_a_column_of_that_name_is_the_label(name):
    for spelled in (name, name.upper(), name.capitalize(), f" {name} "):
        found = find_label(table_of("a", spelled, "b", "c", texts=("b",)))
        assert (found.name, found.how) == (spelled, f"label: {spelled!r}, by its name")


def test_the_first_of_the_names_wins():
    assert find_label(table_of("y", "Target", "CLASS", "b")).name == "CLASS"
    assert find_label(table_of("y", "b", "Target")).name == "Target"
    assert find_label(table_of("Y", "b", "y")).name == "Y"


def test_else_the_only_column_of_texts_or_the_last():
    found = find_label(table_of("a", "species", "b", texts=("species",)))
    assert (found.name, found.how) == ("species", "label: 'species', the only column of texts that repeat")
    found = find_label(table_of("a", "sex", "island", "b", texts=("sex", "island")))
    assert (found.name, found.how) == ("b", "label: 'b', the last column")
    assert find_label(table_of("a", "b")).name == "b"


@pytest.mark.parametrize(
    ("words", "is_text"),
    [(("no", "yes"), True), (("N", "Y"), True), (("False", "True"), False), (("F", "T"), False)],
)
def test_flags_are_texts_where_they_were_written_so(words, is_text):
    answer = replace(flag("member", [0, 1] * 6), words=words)
    rest = number("age", range(12)), number("pay", range(12))
    found = find_label(Table((rest[0], answer, rest[1])))
    assert found.name == ("member" if is_text else "pay")
    city = text("city", ["Rome", "Oslo"] * 6)
    assert find_label(Table((city, rest[0], answer))).name == ("member" if is_text else "city")


@pytest.mark.parametrize("cells", [["u", "v", "w", "x"], ["a"] * 4, [None] * 4, ["a", None, None, None]])
def test_texts_that_are_no_categories_are_no_label(cells):
    assert find_label(Table((text("id", cells), number("n", range(4))))).name == "n"
    both = Table((text("kind", list("abab")), text("id", cells), number("n", range(4))))
    assert find_label(both).name == "kind"


@pytest.mark.parametrize(
    ("label", "name"),
    [("b", "b"), (0, "a"), (-1, "7"), ("1", "b"), ("-2", "b"), (" 0 ", "a"), ("7", "7"), (np.int64(2), "7")],
)
def test_a_label_is_named_or_counted(label, name):
    found = find_label(table_of("a", "b", "7"), label)
    assert found.name == name
    assert repr(name) in found.how


@pytest.mark.parametrize(
    ("label", "match"),
    [
        ("sepal_widht", r"a column of flowers\.csv; got 'sepal_widht'\. Did you mean 'sepal_width'\?"),
        ("SEPAL_WIDTH", r"Did you mean 'sepal_width'\?"),
        ("zzz", r"got 'zzz'\. Its columns are 'sepal_width', 'petal', 'class'"),
        (3, r"got 3\. Its columns"),
        ("-4", r"got '-4'\. Its columns"),
        (True, "got True"),
        (1.0, r"got 1\.0"),
        ("", "got ''"),
    ],
)
def test_a_label_that_is_not_there_names_those_near(label, match, data_refused):
    with data_refused(match):
        find_label(table_of("sepal_width", "petal", "class"), label)


def test_a_label_alone_is_no_table(data_refused):
    for label in (None, "a", 0):
        with data_refused(r"flowers\.csv must have a label column and others; got 'a' alone"):
            find_label(table_of("a"), label)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_odd_labels_are_refused_in_a_line(value):
    found = said_in_a_line(find_label, table_of("a", "b"), value)
    assert found is None or found.name in ("a", "b")  # None, -1


def test_rows_without_a_label_are_left_out_and_said(data_refused):
    table = Table((number("n", range(4)), text("y", ["a", None, "b", None])), lines=np.arange(2, 6))
    there, told = labelled(table, "y")
    assert told == ("2 rows without a label left out",)
    assert there["n"].values.tolist() == [0, 2]
    assert there.row(1) == "line 4 of the table"
    assert labelled(table, "n") == (table, ())
    assert labelled(table[:2], "y")[1] == ("1 row without a label left out",)
    with data_refused("the label column 'y' of the table must be filled; got missing cells alone"):
        labelled(table[[1, 3]], "y")


# --- classes or numbers ---------------------------------------------------------------------------


def counts(mean, n):
    return DRAW.poisson(mean, n)


FACES = np.repeat(np.arange(40), 10)
CLASSES = {
    "two numbers": [0, 1, 1, 0],
    "two numbers, once each": [0, 1],
    "minus one and one": [-1, 1, 1],
    "two numbers far apart": [17, 99_000] * 9,
    "one value": [3, 3, 3],
    "digits": np.arange(1797) % 10,
    "cover types": DRAW.choice(np.arange(1, 8), 5000, p=[0.365, 0.488, 0.061, 0.005, 0.016, 0.03, 0.035]),
    "faces": FACES,
    "faces from 1": FACES + 1,
    "letters": DRAW.integers(1, 27, 20_000),
    "a hundred classes of 500": np.repeat(np.arange(100), 500),
    "a thousand classes": np.repeat(np.arange(1000), 3),
    "traffic signs, 43 uneven": np.repeat(np.arange(43), np.linspace(210, 1600, 43).astype(int)),
    "stars": DRAW.choice(np.arange(1, 6), 900, p=[0.1, 0.05, 0.1, 0.25, 0.5]),
    "grades of wine": DRAW.choice(np.arange(3, 10), 4898, p=[0.004, 0.033, 0.297, 0.449, 0.18, 0.036, 0.001]),
    "codes": DRAW.choice([100, 205, 310, 999], 80),
    "few counts": np.minimum(counts(2, 500), 8),
    "ten codes": np.repeat(np.arange(10) ** 3, [1, *range(2, 11)]),
    "twelve, twice each": np.repeat(np.arange(12), 2),
    "ten rows of three": [0, 1, 2, 0, 1, 2, 0, 1, 2, 0],
}
NUMBERS = {
    "years": DRAW.integers(1990, 2021, 5000),
    "years of songs": DRAW.integers(1922, 2012, 5000),
    "ages": np.clip(DRAW.normal(38, 14, 30_000).astype(int), 17, 90),
    "ages from 0": np.clip(np.abs(DRAW.normal(30, 22, 30_000)).astype(int), 0, 99),
    "counts": counts(9, 3000),
    "many counts": counts(200, 17_379),
    "rings of abalones": np.clip(DRAW.gamma(9, 1.1, 4177).astype(int), 1, 29),
    "dollars": DRAW.integers(30, 700, 1460) * 500,
    "dollars by the thousand": DRAW.integers(50, 500, 300) * 1000,
    "progression of diabetes": DRAW.integers(25, 347, 442),
    "each row its own": np.arange(30),
    "four of four": [2, 4, 6, 8],
    "ten of twelve": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2],
    "grades out of 20": np.clip(DRAW.normal(11, 3, 395).astype(int), 0, 20),
    "hours with a gap": np.repeat([*range(12), *range(13, 24)], 9),
    "more than a thousand": np.repeat(np.arange(1001), 9),
    "eleven codes": np.repeat(np.arange(11) ** 3, 9),
    "even ages from 17": np.repeat(np.arange(17, 60), 9),
    "twelve, one of them once": np.repeat(np.arange(12), [1, *[3] * 11]),
    "fifteen, one of them rare": np.repeat(np.arange(15), [*[100] * 14, 15]),
    "negative": np.arange(-9, 9).repeat(5),
}


def forms(y):
    """Whole numbers as people have them."""
    y = np.asarray(y)
    yield from (y, y.astype(float), y.astype(np.float32), y.tolist(), y.astype(object), y[:, None])
    yield from (pd.Series(y), pd.Series(y, dtype="Int64"), pl.Series(y), pd.Series(y[::-1]).astype(float))
    yield from (number("y", y, whole=True), number("y", [*y, None]))


@pytest.mark.parametrize("name", CLASSES)
def test_whole_numbers_that_are_classes(name):
    assert [task_of(y) for y in forms(CLASSES[name])] == ["classes"] * 12


@pytest.mark.parametrize("name", NUMBERS)
def test_whole_numbers_that_are_numbers(name):
    assert [task_of(y) for y in forms(NUMBERS[name])] == ["numbers"] * 12


def test_what_is_no_whole_number():
    for y in (
        ["a", "b"],
        np.array(["a", "b"]),
        [True, False],
        flag("y", [1, None]),
        text("y", ["a", "b", None]),
    ):
        assert task_of(y) == "classes"
    for y in (
        [0.5, 1, 1],
        [0.1, 0.9],
        time("y", [3, 4]),
        np.array(["2024-01-31"], "M8[D]"),
        np.float32([1.5, 2]),
    ):
        assert task_of(y) == "numbers"


def test_several_columns_are_classes_where_they_are_shares():
    assert (
        task_of(np.eye(3)) == task_of(np.eye(4, dtype=bool)) == task_of([[0.25, 0.75], [1, 0]]) == "classes"
    )
    assert (
        task_of([[0.25, 0.7], [1, 0]]) == task_of(np.ones((4, 2))) == task_of([[-1, 2], [0, 1]]) == "numbers"
    )


@pytest.mark.parametrize(
    ("y", "how"),
    [
        (["a", "b"], "task: classes (texts)"),
        ([True, False], "task: classes (true or false)"),
        ([0.5, 1], "task: numbers (with a fraction)"),
        (time("y", [1]), "task: numbers (times, in days since 1970-01-01)"),
        (FACES, "task: classes (whole numbers, 40 different; ask for numbers if they are)"),
        (np.arange(2000), "task: numbers (whole numbers, 2,000 different; ask for classes if they are)"),
        (np.eye(3), "task: classes (shares of 3, which sum to 1)"),
        (np.ones((3, 2)), "task: numbers (2 a row)"),
    ],
)
def test_the_task_is_said(y, how):
    assert taken(y).how == how
    for asked in ("classes", "numbers"):
        assert (taken(y, asked).task, taken(y, asked).how) == (asked, f"task: {asked}, as asked")


def test_a_task_that_is_none():
    with pytest.raises(ConfigError, match="task must be one of auto, classes, numbers; got 'regression'"):
        task_of([0, 1], "regression")


# --- values ---------------------------------------------------------------------------------------

DAY = datetime.date(2024, 1, 31)


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (["b", "a", "b", "c"], ("a", "b", "c")),
        (np.array(["b", "a", "é"]), ("a", "b", "é")),
        (np.array(["b", "a", ""], object), ("", "a", "b")),
        (text("y", ["b", "a", "b"], ["x", "aa"]), ("a", "b")),
        ([True, False, True], (False, True)),
        (np.array([True, False], object), (False, True)),
        (flag("y", [1, 1]), (True,)),
        (flag("y", [1, 0], ()), (False, True)),
        (flag("y", [1, 0], ("FALSE", "True")), (False, True)),
        (flag("y", [1, 0], ("no", "yes")), ("no", "yes")),
        (flag("y", [0, 0], ("No", "Yes")), ("No",)),
        (flag("y", [1, 0], ("no", "TRUE")), ("TRUE", "no")),
        ([3, 1, 2, 1], (1, 2, 3)),
        ([1.0, 0.0], (0, 1)),
        (np.float32([-1, 1]), (-1, 1)),
        ([0.5, 1.0, 0.5], (0.5, 1.0)),
        (np.array([2**60 + 1, 2**60]), (2**60, 2**60 + 1)),
        (np.array([2**60 + 1, 2**60], object), (2**60, 2**60 + 1)),
        (np.array([2**63 - 1], np.uint64), (2**63 - 1,)),
        (number("y", [7, 3, 7]), (3, 7)),
        ([2.0**53 - 1, -0.0], (0, 2**53 - 1)),
        (time("y", [0, 19753]), ("1970-01-01", "2024-01-31")),
        (np.array(["2024-01-31", "1970-01-01"], "M8[ns]"), ("1970-01-01", "2024-01-31")),
        ([DAY, datetime.datetime(1970, 1, 1)], ("1970-01-01", "2024-01-31")),
        (pd.Series(["b", "a"], dtype="category"), ("a", "b")),
        (pd.Series(["b", "a"], dtype="string"), ("a", "b")),
        (pd.Series([True, False], dtype="boolean"), (False, True)),
        (pl.Series(["b", "a"]), ("a", "b")),
        (pl.Series(["b", "a"], dtype=pl.Categorical), ("a", "b")),
        (np.array(["b", "a"], np.dtypes.StringDType()), ("a", "b")),
        ([[3], [1]], (1, 3)),
    ],
    ids=repr,
)
def test_labels_come_as_they_are_ascending(y, classes):
    found = labels_of(y)
    assert found.classes == classes
    assert list(map(type, found.classes)) == list(map(type, classes))
    assert found.indices.dtype == np.int64
    assert set(found.indices.tolist()) == set(range(len(classes)))
    targets = targets_of(y, "classes")
    assert targets.tolist() == [classes[k] for k in found.indices]
    assert places_of(y, classes).tolist() == found.indices.tolist()


@pytest.mark.parametrize("seed", range(8))
def test_labels_of_a_column_and_of_its_cells_are_the_same(seed):
    for column in drawn_table(seed, 40).columns:
        there = column.take(~column.missing)
        if not len(there) or column.kind == "time":
            continue
        values = [there.words[k] for k in there.values] if column.kind == "text" else there.values
        values = values.astype(bool) if column.kind == "flag" else values  # its words are false and true
        one, other = labels_of(there), labels_of(values)
        assert one.classes == other.classes
        np.testing.assert_array_equal(one.indices, other.indices)


def test_texts_too_long_for_an_array_of_numpys_stay_objects():
    y = ["a" * 1000, "b"] * 3
    assert targets_of(y, "classes").dtype == object
    assert targets_of(["a", "b"], "classes").dtype.kind == "U"


@pytest.mark.parametrize(
    ("y", "numbers"),
    [
        ([1, 2.5], [1, 2.5]),
        (["1", " 2.5", "-1e3"], [1, 2.5, -1000]),
        (text("y", ["3", "4"], ["x"]), [3, 4]),
        ([True, False], [1, 0]),
        (flag("y", [1, 0], ("no", "yes")), [1, 0]),
        (time("y", [3, 0.5]), [3, 0.5]),
        (np.array(["1970-01-03T12"], "M8[h]"), [2.5]),
        (np.uint8([200, 100]), [200, 100]),
        (pd.Series([1, 2], dtype="Int64"), [1, 2]),
    ],
    ids=repr,
)
def test_targets_that_are_numbers(y, numbers):
    found = targets_of(y, "numbers")
    assert found.dtype == np.float64
    assert found.tolist() == numbers


@pytest.mark.parametrize("task", ["classes", "numbers"])
@pytest.mark.parametrize(
    ("y", "match"),
    [
        ([1.0, np.nan], "y must have a label in every row; got a missing one in row 1 (from 0)"),
        (["a", None], "got a missing one in row 1 (from 0)"),
        (pd.Series([1, None], dtype="Int64"), "got a missing one in row 1"),
        (pd.Series(["a", None], dtype="string"), "got a missing one in row 1"),
        (np.array(["NaT", "2024-01-31"], "M8[D]"), "got a missing one in row 0"),
        (flag("y", [1, None]), "got a missing one in row 1"),
        ([1.0, -np.inf], "got -inf in row 1 (from 0)"),
        (["a", 1], "must hold texts alone, or numbers alone, or true and false alone; got 'a' in row 0 and"),
        (np.array([1, 2, True], object), "got 1 in row 0 and True in row 2 (from 0). Make them of one type."),
        ([b"a", b"b"], "b'a' in row 0"),
        (np.array([b"a"]), "y must hold texts, numbers, or true and false; got dtype |S1"),
        ([1j, 2], "got dtype complex128"),
        ([[1], [1, 2]], "y must be a list of labels or numbers"),
        (np.zeros((2, 2, 2)), "y must have shape (N,); got shape (2, 2, 2)"),
        (np.array([2**64 - 1], np.uint64), "y must hold whole numbers below 2**63"),
        ([10**400, 1], "y must"),
    ],
)  # fmt: skip
def test_labels_that_are_none(task, y, match):
    with pytest.raises(DataError, match=re.escape(match)):
        targets_of(y, task)


def test_targets_that_are_no_numbers(data_refused):
    with data_refused(
        r"must hold finite numbers up to 1e\+30, for the task numbers; got 'b' in row 1 .* the task cl"
    ):
        targets_of(["1", "b"], "numbers")
    with data_refused(r"got 1e\+31 in row 0"):
        targets_of([1e31], "numbers")
    table = Table((text("price", ["1", "b"]), number("n", [0, 0])), "houses.csv", lines=np.array([2, 9]))
    with data_refused(r"column 'price' must hold .* got 'b' in line 9 of houses\.csv"):
        targets_of(table["price"], "numbers", "column 'price'", table)
    bad = replace(table["n"], values=np.array([0, np.inf]))
    with data_refused(r"column 'n' must have a label in every row; got inf in line 9 of houses\.csv"):
        labels_of(bad, "column 'n'", table)


@pytest.mark.parametrize("label", [2.0**53, -(2.0**60), 1e300])
def test_labels_that_no_float_tells_apart(label):
    for y in ([1, label], number("y", [1, label])):
        for function in (labels_of, lambda y: places_of(y, (1, 2)), lambda y: targets_of(y, "classes")):
            with pytest.raises(
                DataError, match=r"below 2\*\*53 where they are numbers; got -?[0-9]+ in row 1"
            ):
                function(y)
    assert labels_of(np.array([1, 2**60])).classes == (1, 2**60)


@pytest.mark.parametrize(
    ("y", "classes", "places"),
    [
        ([1, 0], (0, 1), [1, 0]),
        (["1", "0.0"], (0, 1), [1, 0]),
        ([1.0, 2.0], ("1", "2", "x"), [0, 1]),
        ([True, False], (0, 1), [1, 0]),
        ([1, 0], (False, True), [1, 0]),
        (["true", "False"], (False, True), [1, 0]),
        ([True, False], ("False", "True"), [1, 0]),
        (["2.50"], (0.5, 2.5), [1]),
        ([1], ("1", "1.0"), [0]),
        (["yes", "no", "1"], (False, True), [1, 0, 1]),
        ([True], ("no", "yes"), [1]),
        (flag("y", [1, 0], ("no", "yes")), ("no", "yes", "perhaps"), [1, 0]),
    ],
)
def test_known_labels_of_another_type_are_those_that_mean_the_same(y, classes, places):
    assert places_of(y, classes).tolist() == places


@pytest.mark.parametrize(
    ("y", "classes", "match"),
    [
        (
            ["a", "z"],
            ("a", "b"),
            r"y must hold the labels of training alone, 'a', 'b'; got 'z' in row 1 \(from 0\)",
        ),
        (["1.0"], ("1", "2"), r"got '1\.0' in row 0"),
        ([2], (False, True), "got 2 in row 0"),
        ([0.5], tuple(range(99)), r"alone, 0, 1, 2, 3, 4, 5, 6, 7, \.\.\. \(99 in all\); got 0\.5"),
        (["x"], (0, 1), "got 'x'"),
    ],
)
def test_a_label_that_training_lacks_is_named(y, classes, match, data_refused):
    with data_refused(match):
        places_of(y, classes)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_odd_values_give_labels_or_one_line(value):
    for function in (task_of, labels_of, lambda y: targets_of(y, "numbers"), lambda y: places_of(y, (0, 1))):
        said_in_a_line(function, value)


def test_a_column_of_no_rows_is_no_fault():
    for column in (number("y", []), text("y", []), flag("y", []), time("y", [])):
        assert isinstance(column, Column)
        assert labels_of(column).classes == ()
        assert targets_of(column, "numbers").shape == (0,)
        assert task_of(column) in ("classes", "numbers")
