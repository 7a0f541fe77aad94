"""Columns as plain data of a model's file: there and back, and damaged in every field."""

from __future__ import annotations

import json
import math

import pytest
from drawn_columns import PEOPLE, drawn_table
from nasty import VALUES, said_in_a_line

from fastmlp.data.column_code import ColumnCode
from fastmlp.data.columns import Columns
from fastmlp.errors import ConfigError

SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_plain_data_and_back(seed):
    table = drawn_table(seed)
    columns = Columns.fitted(table, label=table.names[0] if table.names[0] != "sound" else None)
    text_of = json.dumps(columns.to_json(), allow_nan=False)
    again = Columns.from_json(json.loads(text_of))
    assert again == columns
    assert again.encode(table).tobytes() == columns.encode(table).tobytes()
    assert str(again) == str(columns)
    assert again.told == columns.told


def plain():
    return Columns.fitted(PEOPLE, label="class").to_json()


HOSTILE = {
    "name": [3, None, "city", ["a"]],
    "kind": ["image", None, 3, [], {}],
    "as_category": [1, None, "yes"],
    "categories": [None, "abc", [1], ["a", "a"], ["Rome", "Lima", "Lima"], [f"{k}" for k in range(101)], {}],
    "rare": [None, [None], [f"{k}" for k in range(1001)], ["x", "x"]],
    "fill": [math.nan, math.inf, None, "3", 1e39, 10**400, True],
    "flag": [0, None, "no"],
    "offset": [math.nan, -math.inf, None, [], 1e39],
    "dropped": [None, "because", 0, [], True],
}


@pytest.mark.parametrize("field", HOSTILE)
def test_damaged_plain_data_are_refused(field):
    for value in HOSTILE[field]:
        for place in range(8):
            data = plain()
            data["columns"][place][field] = value
            if field == "name" and data["columns"][place]["name"] == plain()["columns"][place]["name"]:
                continue  # its own
            with pytest.raises(ConfigError) as caught:
                Columns.from_json(data)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_odd_plain_data_are_refused(value):
    data = plain()
    for damaged in (value, {"label": None, "columns": value}, {"label": value, "columns": data["columns"]}):
        found = said_in_a_line(Columns.from_json, damaged)
        if found is not None:
            assert found.label is None or isinstance(found.label, str)
            assert found.codes


def test_plain_data_that_contradict_themselves_are_refused():
    right = ColumnCode("a", "text", True, ("x",), ("y",), flag=True).to_json()
    ColumnCode.from_json(right)
    for changes in (
        {"as_category": False},
        {"dropped": "constant"},
        {"as_category": False, "categories": [], "rare": []},
        {"categories": [], "rare": [], "flag": False},
        {"rare": ["x"]},
    ):
        with pytest.raises(ConfigError, match=r"column 'a' of a model must have"):
            ColumnCode.from_json({**right, **changes})
    for data in ({}, {**right, "more": 1}, {key: right[key] for key in list(right)[1:]}):
        with pytest.raises(ConfigError, match="a column of a model must be an object with"):
            ColumnCode.from_json(data)
    whole = plain()
    for changes in ({"label": "age"}, {"columns": []}, {"columns": [whole["columns"][0]] * 2}):
        with pytest.raises(ConfigError, match="a model's"):
            Columns.from_json({**whole, **changes})
