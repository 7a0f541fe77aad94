"""The run folder: where it may be, what is in it, what is left when a run does not begin."""

from __future__ import annotations

import json
import math
import os
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp import (
    Architecture,
    ConfigError,
    DivergedError,
    EpochResult,
    Model,
    ModelError,
    Net,
    RunFolderError,
    Training,
    initialise,
)
from fastmlp.data import Dataset, arguments
from fastmlp.data.sources import ENVIRONMENT
from fastmlp.files.lock import LOCK
from fastmlp.runs import RunFolder, find_model, load_model, recorded_data, strict_json

EPOCH = EpochResult(1, 0.5, 120.0, 1.25, 0.5, math.nan, 0.75, 1.0, [2])


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model():
    architecture = Architecture(4, (3,), 2)
    return Model(Net(architecture, initialise(architecture)), (0, 1), backend="numpy")


def tree():
    return sorted(str(path) for path in Path().rglob("*"))


def test_a_folder_of_its_own_is_named_after_the_run(monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda _: "20240229-123456")
    training = Training(act="tanh", scale=0.5, seed=3)
    paths = [RunFolder.create(None, training).path for _ in range(3)]
    name = "runs/20240229-123456-tanh-scale0.5-seed3"
    assert [str(path) for path in paths] == [name, f"{name}-2", f"{name}-3"]
    assert all(path.is_dir() for path in paths)


def test_what_was_not_begun_leaves_no_trace():
    for path in (None, "new", "deep/er/new"):
        with RunFolder.create(path, Training()) as run:
            assert run.path.is_dir()
        assert tree() == []


def test_folders_that_were_there_stay():
    Path("deep/empty").mkdir(parents=True)
    for path in ("deep/empty", "deep/new"):
        with RunFolder.create(path, Training()):
            pass
        assert tree() == ["deep", "deep/empty"]


def test_an_exception_before_the_beginning_leaves_no_trace_either():
    with pytest.raises(KeyboardInterrupt), RunFolder.create(None, Training()):
        raise KeyboardInterrupt
    assert tree() == []


def test_home_is_expanded(monkeypatch, place):
    monkeypatch.setenv("HOME", str(place / "home"))
    assert RunFolder.create("~/run", Training()).path == place / "home" / "run"


@pytest.mark.parametrize("path", ["full", "full/file", "."])
def test_places_that_hold_something_are_refused(path):
    Path("full").mkdir()
    Path("full/file").write_text("mine")
    with pytest.raises(ConfigError, match="the run folder must be") as caught:
        RunFolder.create(path, Training())
    assert str(caught.value.got)
    assert caught.value.do
    assert tree() == ["full", "full/file"]


def test_places_that_cannot_be_written_are_refused():
    Path("file").write_text("")
    with pytest.raises(RunFolderError, match="file/run must be a folder that can be written; got "):
        RunFolder.create("file/run", Training())
    with pytest.raises(RunFolderError, match="must be a folder that can be written; got "):
        RunFolder.create("new/" + "x" * 300, Training())
    assert tree() == ["file"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused():
    Path("closed").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(RunFolderError, match="got Permission denied"):
        RunFolder.create("closed", Training())
    assert tree() == ["closed"]


def test_the_story_of_a_run(model):
    with RunFolder.create("run", Training()) as run:
        run.begin({"a": 1}, {"b": 2})
        assert tree() == ["run", f"run/{LOCK}", "run/config.json", "run/environment.json"]
        run.record(EPOCH, model)
        run.record(replace(EPOCH, epoch=2, test_loss=0.5), model)
        report = run.report()
        run.finish(report)
    assert json.loads(Path("run/config.json").read_text()) == {"a": 1}
    assert json.loads(Path("run/environment.json").read_text()) == {"b": 2}
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [line["test_loss"] for line in lines] == [None, 0.5]  # nan is no JSON
    assert Model.load("run/model.safetensors").parameters.sha256() == report["weights_sha256"]
    assert json.loads(Path("run/summary.json").read_text())["epochs"] == lines
    assert len(tree()) == 1 + 5  # no temporary file


def test_each_epoch_is_on_disk_when_record_returns(model):
    run = RunFolder.create("run", Training())
    for n in (1, 2, 3):
        run.record(replace(EPOCH, epoch=n), model)
        assert Path("run/metrics.jsonl").read_text().count("\n") == n
        assert Path("run/model.safetensors").exists()


@pytest.mark.parametrize(
    ("failure", "status", "error"),
    [
        (None, "finished", None),
        (DivergedError("a must be b"), "diverged", "a must be b."),
        (KeyboardInterrupt(), "interrupted", None),
        (ZeroDivisionError("oh"), "failed", "oh"),
    ],
)
def test_the_report_says_how_it_ended(model, failure, status, error):
    run = RunFolder.create("run", Training())
    empty = run.report(failure)
    assert (empty["status"], empty["error"]) == (status, error)
    assert (empty["epochs"], empty["test_accuracy"], empty["weights_sha256"]) == ([], None, None)
    run.record(EPOCH, model)
    report = run.report(failure)
    assert (report["test_accuracy"], report["seconds_training"]) == (0.75, 0.5)
    assert report["run_dir"] == str(Path("run").absolute())


def test_epochs_can_be_recorded_from_another_thread(model):
    run = RunFolder.create("run", Training())
    thread = threading.Thread(target=run.record, args=(EPOCH, model))
    thread.start()
    thread.join()
    assert run.epochs == [EPOCH]


def test_a_folder_that_goes_away_is_an_error_of_the_folder(model):
    run = RunFolder.create("run", Training())
    Path("run").rename("elsewhere")
    for write in (lambda: run.record(EPOCH, model), lambda: run.finish({}), lambda: run.begin({}, {})):
        with pytest.raises(RunFolderError, match="must be writable"):
            write()
    assert run.epochs == []
    assert tree() == ["elsewhere", f"elsewhere/{LOCK}"]


# --- the model of a run ---------------------------------------------------------------------------


def finished(model, name="run"):
    with RunFolder.create(name, Training()) as run:
        run.begin({}, {})
        run.record(EPOCH, model)
        run.finish(run.report())
    return Path(name)


def test_the_model_of_a_run_is_the_one_that_its_summary_tells_of(model):
    folder = finished(model)
    assert load_model(folder).parameters.sha256() == model.parameters.sha256()
    other = replace(model, net=replace(model.net, parameters=initialise(model.architecture, seed=9)))
    other.save(folder / "model.safetensors")
    with pytest.raises(
        ModelError, match=r"must be the run's model, whose weights_sha256 is '.*' in its summary"
    ):
        load_model(folder)
    assert load_model(folder / "model.safetensors").parameters.sha256() == other.parameters.sha256()
    (folder / "summary.json").unlink()  # as a kill leaves it
    assert load_model(folder).parameters.sha256() == other.parameters.sha256()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", "null", "{}", '{"weights_sha256": null}', "[" * 100_000]
)
def test_a_summary_that_is_none_is_refused(model, content):
    folder = finished(model)
    (folder / "summary.json").write_text(content)
    with pytest.raises((ModelError, RunFolderError), match=r"summary.json") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=r"summary.json"):
        fastmlp.load(folder)


def test_a_model_is_loaded_by_its_file_or_its_run(model, tmp_path):
    folder = finished(model)
    digests = [
        fastmlp.load(path).parameters.sha256() for path in (folder, str(folder), folder / "model.safetensors")
    ]
    assert digests == [model.parameters.sha256()] * 3
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no model")
    for wrong in (tmp_path / "empty", tmp_path / "text", tmp_path / "nowhere", "", None, 5):
        with pytest.raises(ModelError) as caught:
            fastmlp.load(wrong)
        assert "\n" not in str(caught.value)


def test_every_flipped_bit_of_the_sum_is_refused(model):
    folder = finished(model)
    summary = folder / "summary.json"
    content = summary.read_bytes()
    at = content.index(b'"weights_sha256"')
    for place in range(at, content.index(b"\n", at)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            summary.write_bytes(flipped)
            with pytest.raises((ModelError, RunFolderError)):
                load_model(folder)


def test_find_model():
    Path("run").mkdir()
    assert find_model("run") == Path("run/model.safetensors")
    assert find_model("other.safetensors") == Path("other.safetensors")


def dataset(name):
    nothing = np.zeros((0, 1), np.uint8), np.zeros(0, np.int64)
    return Dataset(name, "", *nothing, *nothing, (0, 1))


@pytest.mark.parametrize(
    ("data", "name", "environment", "again"),
    [
        ("auto", "synthetic", None, "synthetic"),
        ("auto", "mnist", None, "mnist"),
        ("auto", "folder", "some/folder", "HERE/some/folder"),
        ("mnist", "mnist", "some/folder", "mnist"),
        ("x.csv", "x.csv", "some/folder", "HERE/x.csv"),
    ],
)
def test_data_can_be_found_again_from_anywhere(place, monkeypatch, data, name, environment, again):
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    if environment:
        monkeypatch.setenv(ENVIRONMENT, environment)
    given = {"label": "kind", "task": "numbers", "drop": ["b", "c, d"], "as_category": ["a"]}
    told = arguments.recorded(dataset(name), data=data, test_data="t.csv", **given)
    assert told == {
        "data": again.replace("HERE", str(place)),
        "test_data": str(place / "t.csv"),
        "label": "kind",
        "task": "numbers",
        "drop": ["b", "c, d"],
        "keep": [],
        "as_category": ["a"],
    }
    run = RunFolder.create("run", Training())
    run.begin({"arguments": told}, {})
    assert recorded_data(find_model("run")) == told
    assert recorded_data(Path("elsewhere/model.safetensors")) == {}


def test_strict_json():
    value = {"a": [math.nan, math.inf, 1.5, (2, -math.inf)], "b": {"c": math.nan}, "d": True, "e": None}
    assert json.loads(strict_json(value)) == {
        "a": [None, None, 1.5, [2, None]], "b": {"c": None}, "d": True, "e": None,
    }  # fmt: skip
    with pytest.raises(TypeError):
        strict_json({"a": object()})
