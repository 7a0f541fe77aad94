"""Cells of one kind read as another where that is exact; refused by row and column where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_columns import flag, number, text, time

from fastmlp.data.columns import Columns
from fastmlp.data.kinds import VALUES_OF, word_of
from fastmlp.data.table import Table

TRAINED = Table(
    (
        number("n", [1, 2, 5.5, -3]),
        flag("f", [True, False, True, False]),
        time("t", [0, 19000.5, 19753, 3]),
        text("w", ["1", "2.50", "1", "2.50"]),
        text("b", ["yes", "no", "yes", "no"]),
        text("d", ["2024-01-31", "1970-01-01", "2024-01-31", "1970-01-01"]),
        text("c", ["Rome", "Oslo", "Rome", "Oslo"]),
    ),
    "train.csv",
)


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        (text("n", ["1", " 2.0", "5.5e0", "-3"], ["x"]), None),
        (text("n", ["1", None, "+.5", "1e2"]), [1, None, 0.5, 100]),
        (flag("n", [True, False, None, True]), [1, 0, None, 1]),
        (number("f", [1, 0, 1, 0]), None),
        (text("f", ["True", "no", "1", "FALSE"]), None),
        (
            text(
                "t", ["1970-01-01", "2022-01-08 12:00", "2024-01-31T00:00:00Z", "1970-01-04T02:00:00+02:00"]
            ),
            None,
        ),
        (number("w", [1, 2.5, 1, 2.5]), None),
        (flag("b", [True, False, True, False]), None),
        (time("d", [19753, 0, 19753, 0]), None),
        *[(kind(name, [None] * 4), [None] * 4) for name in "nftwbdc" for kind in (number, flag, time, text)],
    ],
    ids=lambda value: f"{value.kind} for {value.name}" if hasattr(value, "kind") else "",
)
def test_another_kind_is_read_where_that_is_exact(column, cells):
    columns = Columns.fitted(TRAINED)
    own = TRAINED[column.name]
    make = {"number": number, "flag": flag, "time": time, "text": text}[own.kind]
    same = own if cells is None else make(own.name, cells)

    def with_column(one):
        return replace(
            TRAINED, columns=tuple(one if one.name == old.name else old for old in TRAINED.columns)
        )

    np.testing.assert_array_equal(columns.encode(with_column(column)), columns.encode(with_column(same)))


@pytest.mark.parametrize(
    ("column", "match"),
    [
        (
            text("n", ["1", "2", "two", "4"]),
            r"row 2 .from 0. of new\.csv must hold a number in column 'n', as in .* got 'two'",
        ),
        (text("n", ["1", "inf", "3", "4"]), r"row 1 .* got 'inf'"),
        (text("n", ["1", "1,5", "3", "4"]), r"row 1 .* got '1,5'"),
        (text("n", ["1", "1_0", "3", "4"]), r"row 1 .* got '1_0'"),
        (text("n", ["1", "", "3", "4"]), r"row 1 .* got ''"),
        (text("n", ["9" * 500, "1", "3", "4"]), r"row 0 .from 0. of"),
        (time("n", [None, 0, 1, 2]), r"row 1 .* a number in column 'n', as in training; got 1970-01-01"),
        (number("f", [1, 0, 2, 0]), r"row 2 .* true or false in column 'f', as in training; got 2\."),
        (text("f", ["1", "0", "2", "0"]), r"row 2 .* true or false .* got '2'"),
        (time("f", [1, 0, 2, 0]), r"row 0 .* true or false"),
        (number("t", [1, 0, 2, 0]), r"row 0 .* a date such as 2024-12-31 in column 't'"),
        (flag("t", [None, 0, 1, 0]), r"row 1 .* a date.* got false"),
        (text("t", ["2024-01-31", "31.1.2024", "x", "y"]), r"row 1 .* a date.* got '31\.1\.2024'"),
        (number("c", [None, 17, 2, 3]), r"row 1 .* text in column 'c', as in training; got 17"),
        (flag("c", [1, 1, 0, 0]), r"row 0 .* text in column 'c', .* got true"),
        (time("c", [1, 1, 0, 0]), r"row 0 .* text in column 'c'"),
    ],
    ids=lambda value: f"{value.kind} for {value.name}" if hasattr(value, "kind") else "",
)
def test_another_kind_that_is_not_exact_is_refused(column, match, data_refused):
    columns = Columns.fitted(TRAINED)
    table = replace(
        TRAINED,
        columns=tuple(column if column.name == old.name else old for old in TRAINED.columns),
        where="new.csv",
    )
    with data_refused(match):
        columns.encode(table)


def test_of_texts_that_mean_the_same_number_the_plain_one_is_meant():
    columns = Columns.fitted(Table((text("w", ["01", "1", "1.0", "x"] * 2),)))
    assert columns.names == ("w=01", "w=1", "w=1.0", "w=x")
    assert columns.encode(Table((number("w", [1, 2]),))).tolist() == [[0, 1, 0, 0], [0] * 4]


def test_words_that_no_row_has_need_not_be_numbers():
    columns = Columns.fitted(Table((number("n", [1, 2, 3]),)))
    assert columns.encode(Table((text("n", ["4", "5"], ["x", "y"]),))).tolist() == [[4], [5]]


@pytest.mark.parametrize("seed", range(8))
def test_words_of_values_mean_them(seed):
    draw = np.random.default_rng(seed)
    for value in [
        *(draw.normal(size=50) * 10.0 ** draw.integers(-300, 300, 50)),
        *draw.integers(-99, 99, 50),
        2.0**60,
    ]:
        assert VALUES_OF["number"]([word_of(float(value), "number")]) == [value]
    for value in np.round(draw.uniform(-700_000, 900_000, 100) * 86_400e3) / 86_400e3:
        assert VALUES_OF["time"]([word_of(float(value), "time")])[0] == pytest.approx(
            value, rel=0, abs=1e-11 * 900_000
        )
    assert VALUES_OF["flag"]([word_of(value, "flag") for value in (0.0, 1.0)]).tolist() == [0, 1]


@pytest.mark.parametrize(
    "word", ["", " ", "nan", "inf", "-Infinity", "1_000", "1,5", "0x10", "٣", "1e", ".", "1e999999", "x"]
)
def test_texts_that_are_no_numbers(word):
    assert all(np.isnan(values_of([word])).all() for values_of in VALUES_OF.values())
