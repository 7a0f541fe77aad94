"""Arguments of data in a run folder: written, read again, and what is none of them."""

from __future__ import annotations

import json

import pytest

from fastmlp.data import Dataset, arguments
from fastmlp.errors import ConfigError

OLD = {"data": "/a/table.csv", "test_data": None, "label": "kind"}


@pytest.fixture
def data():
    return Dataset.of([[0.0], [1.0]], [0, 1])


def test_what_is_recorded_is_read_again(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"data": "t.csv", "label": "a, b", "task": "numbers", "drop": ["x", "y,z"], "as_category": ("c",)}
    told = arguments.recorded(data, **given)
    assert told["data"] == str(tmp_path / "t.csv")
    assert arguments.read(json.loads(json.dumps(told))) == json.loads(json.dumps(told))
    assert (told["keep"], told["test_data"]) == ([], None)


def test_runs_from_before_there_were_tables_have_the_rest_by_default():
    usual = {"task": "auto", "drop": [], "keep": [], "as_category": []}
    assert arguments.read(OLD | {"sample_weight": None}) == OLD | usual


@pytest.mark.parametrize(
    "wrong",
    [
        None, [], {}, {"data": "x"}, OLD | {"data": 3}, OLD | {"drop": "a"}, OLD | {"keep": [3]},
        OLD | {"task": []}, OLD | {"as_category": None}, OLD | {"label": {}},
    ],
)  # fmt: skip
def test_what_is_none_is_refused(wrong):
    with pytest.raises(ConfigError):
        arguments.read(wrong)
