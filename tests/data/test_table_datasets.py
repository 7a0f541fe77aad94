"""Data sets of tables: how frames and files become one, what is told, what arrays are made of which rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from frame_forms import FORMS

import fastmlp
from fastmlp.data import Dataset, load, read_images, read_test
from fastmlp.data.table import Column, Table
from fastmlp.errors import ConfigError, DataError, FastMLPError

N = 60


def flowers(seed: int = 0, n: int = N) -> pd.DataFrame:
    """A table with some of everything: gaps, texts, flags, a constant, odd names; the label is a text."""
    draw = np.random.default_rng(seed)
    kind = draw.choice(["setosa", "virginica", "ünusual, kind"], n, p=[0.5, 0.4, 0.1])
    kind[:3] = ["setosa", "virginica", "ünusual, kind"]
    long = draw.normal(size=n) + (kind == "setosa") * 3
    long[draw.choice(n, 5, replace=False)] = np.nan
    return pd.DataFrame(
        {
            'petal "length", cm': long,
            "year": draw.integers(1990, 2020, n),
            "city": draw.choice(np.array(["Rome", "Oslo", None], object), n, p=[0.6, 0.3, 0.1]),
            "wet": draw.random(n) < 0.5,
            "same": np.ones(n),
            "species": kind,
        }
    )


FRAME = flowers()
X, Y = FRAME.drop(columns="species"), FRAME["species"]


@pytest.mark.parametrize("form", FORMS)
def test_every_frame_is_the_same_data(form):
    data, want = Dataset.of(FORMS[form](FRAME), "species"), Dataset.of(FRAME, "species")
    assert data.classes == ("setosa", "virginica", "ünusual, kind")
    assert (data.label, data.targets, data.name) == ("species", "labels", "table")
    assert isinstance(data.X, Table)
    assert "species" not in data.X.names
    assert data.as_given(data.y).tolist() == Y.tolist()
    assert data.sums == want.sums
    assert data.numeric().columns.names == want.numeric().columns.names


@pytest.mark.parametrize("y", [Y, Y.to_numpy(), Y.tolist(), Y.astype("category"), pl.Series(Y.tolist())])
def test_labels_may_come_by_themselves(y):
    data = Dataset.of(X, y)
    assert data.label is None
    assert data.as_given(data.y).tolist() == Y.tolist()


def test_the_label_is_found_and_said_in_one_line():
    data = Dataset.of(FRAME.drop(columns="city"))
    assert data.label == "species"
    assert "species" in data.told[0]
    assert "classes" in data.told[0]
    prices = Dataset.of(FRAME.rename(columns={'petal "length", cm': "y"}))
    assert (prices.label, prices.targets, len(prices.y)) == ("y", "numbers", N - 5)
    assert "numbers" in prices.told[0]
    assert prices.told[1] == "5 rows without a label left out"


@pytest.mark.parametrize(
    ("y", "classes", "dtype"),
    [
        (np.array([3, -1, 3, 7] * 15), (-1, 3, 7), np.int64),
        (np.array([True, False] * 30), (False, True), np.bool_),
        (np.array([0.5, 1.5] * 30), (0.5, 1.5), np.float64),
        (np.array(["b", "a"] * 30), ("a", "b"), "<U1"),
        (np.array(["b", "a"] * 30, object), ("a", "b"), "<U1"),
    ],
)
def test_labels_have_their_own_type(y, classes, dtype):
    data = Dataset.of(X, y, task="classes")
    assert data.classes == classes
    assert {type(label) for label in data.classes} == {type(classes[0])}
    assert data.as_given(data.y).dtype == dtype
    assert (data.as_given(data.y) == y).all()
    as_column = Dataset.of(X.assign(k=y), "k", task="classes")
    assert as_column.classes == classes
    assert (as_column.y == data.y).all()


def test_a_test_part_is_a_pair_or_a_table_with_the_label():
    more = flowers(1, 20)
    for test in (more, (more, "species"), (more.drop(columns="species"), more["species"])):
        data = Dataset.of(FRAME, "species", test)
        assert (len(data.X_test), len(data.y_test)) == (20, 20)
        assert data.as_given(data.y_test).tolist() == more["species"].tolist()
        assert data.numeric().X_test.shape == (20, data.numeric().X.shape[1])
    for test, message in (
        (more.replace("setosa", "oak"), "y of the test data|label 'species'.*'oak'"),
        (more.drop(columns="species"), "species"),
        (np.ones((3, 5)), "test data must be a table"),
        ((more, Y[:3]), "as many rows"),
    ):
        with pytest.raises(DataError, match=message):
            Dataset.of(FRAME, "species", test)
    with pytest.raises(DataError, match="must have the columns of training; got no 'city'"):
        Dataset.of(FRAME, "species", more.drop(columns="city")).numeric()
    with pytest.raises(DataError, match=r"test_data must be a pair, \(X, y\)"):
        Dataset.of(X, Y, more)


def test_columns_are_fitted_to_the_rows_named_alone():
    data, rows = Dataset.of(FRAME, "species"), np.arange(0, N, 2)
    changed = FRAME.copy()
    changed.loc[1::2, 'petal "length", cm'] = 1e6
    changed.loc[1::2, "city"] = "Atlantis"
    one, other = (Dataset.of(frame, "species").numeric(rows) for frame in (FRAME, changed))
    assert one.columns == other.columns
    assert np.array_equal(one.X[rows], other.X[rows])
    assert not np.array_equal(one.X, other.X)
    scales = [made.preprocessing("standard", True, rows) for made in (one, other)]
    assert np.array_equal(scales[0].mean, scales[1].mean)
    assert np.array_equal(scales[0].scale, scales[1].scale)
    assert data.numeric() is data.numeric()
    assert data.numeric(rows) is data.numeric(rows)


def test_a_word_scales_numbers_alone():
    made = Dataset.of(FRAME, "species").numeric()
    for word in ("standard", "minmax", "robust"):
        scale = made.preprocessing(word, True)
        others = ~made.columns.numeric
        assert others.sum() >= 4
        assert (scale.scale[others] == 1).all()
        assert (scale.mean[others] == 0).all()
        assert (scale.scale[~others] != 1).all()
    names = dict(zip(made.columns.names, made.columns.numeric.tolist(), strict=True))
    assert names["year"]
    assert not names["city=Rome"]
    assert not names["wet"]


def test_a_choice_of_columns_is_kept():
    data = Dataset.of(FRAME, "species", drop="same", keep=["year", "city"], as_category=["year"])
    made = data.numeric()
    assert {name.split("=")[0] for name in made.columns.names} == {"year", "city"}
    assert data.choice.words == {"drop": ("same",), "keep": ("year", "city"), "as_category": ("year",)}
    with pytest.raises(
        ConfigError, match=r"drop must name columns of the table; got 'yaer'\. Did you mean 'year'"
    ):
        Dataset.of(FRAME, "species", drop=["yaer"]).numeric()
    with pytest.raises(ConfigError, match=r"drop must be names of columns; got 3\.5"):
        Dataset.of(FRAME, "species", drop=3.5)
    with pytest.raises(ConfigError, match="drop, keep, as_category must go with a table"):
        Dataset.of(np.ones((4, 2)), [0, 1, 0, 1], drop=["a"])


def test_the_task_is_asked_found_or_the_losses():
    for task, targets in (("auto", "numbers"), ("numbers", "numbers"), ("classes", "labels")):
        assert Dataset.of(FRAME, "year", task=task).targets == targets
    assert Dataset.of(FRAME, "year", loss="logits").targets == "labels"
    assert Dataset.of(FRAME, "wet", loss="squared").targets == "numbers"
    for words, message in (
        ({"loss": "squared", "task": "classes"}, "loss must suit the task classes; got loss squared"),
        ({"loss": "logits", "task": "numbers"}, "loss must suit the task numbers; got loss logits"),
        ({"task": "guess"}, "task must be one of auto, classes, numbers"),
    ):
        with pytest.raises(ConfigError, match=message):
            Dataset.of(FRAME, "species", **words)
    with pytest.raises(DataError, match=r"'species'.*must hold finite numbers"):
        Dataset.of(FRAME, "species", task="numbers")


def test_columns_of_0_and_1_must_come_with_a_loss():
    flags = np.eye(3)[np.arange(N) % 3]
    both = np.hstack([flags, flags[:, :1]])
    assert Dataset.of(np.ones((N, 2)), flags).targets == "shares"
    with pytest.raises(DataError, match="columns of 0 and 1 must come with a loss"):
        Dataset.of(np.ones((N, 2)), both)
    assert Dataset.of(np.ones((N, 2)), both, loss="binary").targets == "flags"
    assert Dataset.of(np.ones((N, 2)), both * 3).targets == "numbers"


@pytest.mark.parametrize(
    ("frame", "y", "message"),
    [
        (FRAME, "specie", "label must be a column of the table; got 'specie'. Did you mean 'species'"),
        (FRAME[["species"]], "species", "a label column and others"),
        (FRAME.assign(species="oak"), "species", "at least two different labels; got oak alone"),
        (FRAME.assign(species=None), "species", "must be filled"),
        (FRAME, Y[:-1], "same length|as many rows"),
        (FRAME.iloc[:0], "species", "row"),
        (FRAME[["same", "species"]], "species", "column to learn from beside the label; got 'same'"),
        (FRAME.assign(t=np.inf), "species", "'t'"),
    ],
)
def test_tables_that_cannot_be_trained_on(frame, y, message):
    with pytest.raises(DataError, match=message):
        Dataset.of(frame, y).numeric()
    with pytest.raises(FastMLPError):
        fastmlp.fit(frame, y)


def test_sums_tell_data_labels_and_columns_apart():
    base = Dataset.of(FRAME, "species")
    assert base.sums == Dataset.of(FRAME.copy(), "species").sums
    assert base.sums["test data"] is None
    for other in (
        Dataset.of(FRAME, "species", drop="year"),
        Dataset.of(FRAME, "species", as_category="year"),
        Dataset.of(FRAME.assign(year=FRAME["year"] + 1), "species"),
        Dataset.of(FRAME.replace("setosa", "setosb"), "species"),
        Dataset.of(FRAME.rename(columns={"year": "jahr"}), "species"),
    ):
        assert other.sums != base.sums


def test_long_labels_are_summed_and_given_back_without_a_matrix_of_texts():
    long = ["a" * 100_000, "b"] * 30
    data = Dataset.of(X, long)
    assert data.as_given(data.y).dtype == object
    assert data.as_given(data.y).tolist() == long
    assert set(data.sums) == {"data", "test data", "columns"}


def test_words_beside_a_data_set_are_said():
    data = Dataset.of(FRAME, "species")
    for words, message in (
        ({"drop": "year"}, "drop, keep, as_category must be left out beside a Dataset; got drop"),
        ({"loss": "logits", "task": "numbers"}, "loss must suit the task numbers"),
    ):
        with pytest.raises(ConfigError, match=message):
            Dataset.of(data, **words)
    with pytest.raises(DataError, match="must be numbers for the loss squared; got labels"):
        Dataset.of(data, task="numbers")
    assert Dataset.of(Dataset.of(FRAME, "wet"), task="numbers").targets == "numbers"


def test_a_label_may_be_a_number_as_names_of_pandas_are():
    frame = pd.DataFrame({7: np.arange(8.0), 0: [0, 1] * 4, 1: np.arange(8.0) ** 2})
    assert Dataset.of(frame, 0).label == "0"
    assert Dataset.of(frame, 2, task="numbers").label == "1"
    assert Dataset.of(frame, np.int64(-1), task="numbers").label == "1"


def test_a_data_set_of_encoded_rows_cannot_be_parted():
    with pytest.raises(DataError, match="parted before its table becomes arrays"):
        Dataset.of(FRAME, "species").numeric().part([0, 1], [2])


@pytest.fixture
def file(tmp_path):
    FRAME.to_csv(tmp_path / "flowers.csv", index=False)
    return tmp_path / "flowers.csv"


def test_a_file_holds_a_sixth_of_each_class_out(file):
    data = load(file, label="species")
    assert (len(data.y), len(data.y_test)) == (50, 10)
    counts = np.bincount(data.y, minlength=3), np.bincount(data.y_test, minlength=3)
    assert (abs(counts[1] - (counts[0] + counts[1]) / 6) <= 1).all()
    assert "a sixth held out for testing (10 rows, seed 0)" in data.source
    whole = load(file, label="species", hold_out=False)
    assert (len(whole.y), whole.test) == (N, None)
    assert whole.numeric().sums["data"] == Dataset.of(FRAME, "species").sums["data"]
    assert load(file, label=-1).label == load(file, label="5").label == "species"


def test_a_file_that_is_tested_on_is_read_as_the_training_is(file, tmp_path):
    other = flowers(3, 12).assign(city=["1"] * 12)
    other[other.columns[::-1]].to_csv(tmp_path / "other.csv", index=False)
    data = load(file, label="species", test_data=tmp_path / "other.csv")
    made = data.numeric()
    assert made.X_test.shape == (12, made.X.shape[1])
    cities = [
        k for k, name in enumerate(made.columns.names) if name.startswith("city=") and "missing" not in name
    ]
    assert not made.X_test[:, cities].any()  # an unknown category is none of them
    X_test, y_test = read_test(tmp_path / "other.csv", columns=made.columns)
    assert y_test.tolist() == other["species"].tolist()
    assert np.array_equal(made.columns.encode(X_test), made.X_test)
    rows, shape = read_images(tmp_path / "other.csv", columns=made.columns)
    assert shape is None
    assert np.array_equal(made.columns.encode(rows), made.X_test)


def test_words_of_tables_are_for_tables(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.ones((9, 2)), y=np.arange(9) % 3)
    for words, message in (
        ({"label": "a"}, "label must go with a table; got 'a'"),
        ({"drop": ["a"]}, "drop must go with a table"),
        ({"as_category": "a"}, "as_category must go with a table"),
        ({"task": "many"}, "task must be one of"),
        ({"hold_out": "no"}, "hold_out must be True or False"),
    ):
        with pytest.raises(ConfigError, match=message):
            load(tmp_path / "a.npz", **words)
    assert load(tmp_path / "a.npz", task="numbers").targets == "numbers"


def test_a_table_of_columns_is_taken_as_it_is():
    table = Table((Column("a", "number", np.arange(6.0)), Column("k", "flag", np.array([0, 1] * 3, np.int8))))
    data = Dataset.of(table, "k")
    assert data.classes == (False, True)
    assert data.X.names == ("a",)


def test_columns_may_be_named_as_their_frame_names_them():
    """Whole numbers, as a frame of an array has them, and names of several levels."""
    numbered = FRAME.set_axis(range(5, -1, -1), axis=1)  # so that no number is its place
    assert Dataset.of(numbered, 0, drop=[2, "3"], as_category=4).told == (Dataset.of(numbered, "0").told)
    assert (
        Dataset.of(numbered, 0, drop=[2, "3"]).numeric().columns.names
        == Dataset.of(numbered, "0", drop=["2", "3"]).numeric().columns.names
    )
    levels = FRAME.set_axis(pd.MultiIndex.from_product([["a"], FRAME.columns]), axis=1)
    assert Dataset.of(levels, ("a", "species")).label == "a_species"


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (FRAME, ["year", "wet"], "y must be one column of the table, or come by itself.* frame.names. as y"),
        (FRAME, ("year", "wet"), "y must be one column"),
        ("table.csv", None, "'table.csv', a name. Read the file: fit.fastmlp.data.load.path"),
        (FRAME.to_numpy(), np.arange(N), r"dtype object. Give X.astype\(float\), or a frame"),
    ],
)
def test_what_is_no_table_is_told_what_to_give(x, y, message):
    with pytest.raises(DataError, match=message):
        Dataset.of(x, y)


def test_the_test_part_is_called_so():
    with pytest.raises(DataError, match=r"of the test data must hold the labels of training .* of the test"):
        Dataset.of(FRAME, "species", FRAME.assign(species="rose"))


def test_gaps_are_filled_with_a_number_that_can_be_read():
    (told,) = (line for line in Dataset.of(FRAME, "species").numeric().told if line.startswith("missing"))
    assert len(told.partition("(")[2]) < 12, told


def test_a_row_is_named_by_where_it_stands_in_the_whole_table():
    """Also behind rows that were left out, and in a part; from 0, as in frames."""
    frame = FRAME.assign(year=FRAME["year"].astype(float), species=FRAME["species"].where(FRAME.index > 6))
    frame.loc[11, "year"] = 1e39
    data = Dataset.of(frame, "species")
    for found in (data, data.part(np.arange(len(data.y)) % 2 == 0, [1])):
        with pytest.raises(DataError, match=r"row 11 \(from 0\) of the table must hold .* in column 'year'"):
            found.numeric()
