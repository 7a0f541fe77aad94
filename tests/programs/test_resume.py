"""Runs of the command line that are broken off and resumed: the same bytes, and lines that stay."""

from __future__ import annotations

import dataclasses
import json
import shutil
import uuid
from pathlib import Path

import kill_runs
import numpy as np
import pytest
from checkpoints import QUICK, X, Y
from cli_runs import run, save_blobs, strict

import fastmlp
from fastmlp import ModelError, runs
from fastmlp.files.lock import FolderLock
from fastmlp.train.checkpoint import CHECKPOINT


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return save_blobs(tmp_path)


def train(*args, epochs=6):
    return run(
        "train", "--backend", "numpy", "--data", "blobs.npz", "--epochs", epochs, "--lr", 0.1,
        "--batch-size", 10,
        "--hidden", 12, "--out", "run", "--json", *args,
    )  # fmt: skip


def break_off(monkeypatch, epoch, *args, **options):
    """A run that is interrupted when it has recorded that epoch, and leaves no summary, as after a kill."""
    record = runs.RunFolder.record

    def interrupted(self, result, model):
        record(self, result, model)
        if result.epoch == epoch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs.RunFolder, "record", interrupted)
        assert train(*args, **options).exit_code == 130
    Path("run/summary.json").unlink()


def unbroken(*args, **options):
    report = strict(train("--out", "whole", *args, **options).stdout)
    return report, Path("whole/metrics.jsonl").read_text().splitlines()


def assert_as(whole, report):
    assert kill_runs.as_told(report) == kill_runs.as_told(whole[0])
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert lines == report["epochs"]
    assert runs.load_model("run").parameters.sha256() == whole[0]["weights_sha256"]
    assert {path.name for path in Path("run").iterdir()} == {path.name for path in Path("whole").iterdir()}


@pytest.mark.parametrize(
    "args", [(), ("--optimizer", "adam", "--validation", 0.2, "--patience", 2, "--center")]
)
def test_a_run_goes_on_and_its_lines_stay(place, monkeypatch, args):
    whole = unbroken(*args)
    break_off(monkeypatch, 2, *args)
    before = Path("run/metrics.jsonl").read_bytes()
    assert before.count(b"\n") == 2
    with open("run/metrics.jsonl", "ab") as file:
        file.write(b'{"epoch": 3, "half of a line')
    Path(f"run/.model.safetensors-{uuid.uuid4().hex}").write_text("half")
    result = run("train", "--resume", "run", "--json")
    assert result.exit_code == 0
    report = strict(result.stdout)
    assert set(report) == set(whole[0])
    assert_as(whole, report)
    assert Path("run/metrics.jsonl").read_bytes().startswith(before)
    assert " 3/6 " in result.stderr
    assert " 1/6 " not in result.stderr  # the second is told again: there it was broken off


def test_the_folder_tells_of_one_moment_when_a_run_is_taken_up(place, monkeypatch):
    """Whatever comes then: the summary of the earlier end is gone, the model is the checkpoint's."""
    break_off(monkeypatch, 2)
    old = Path("run/model.safetensors").read_bytes()
    assert run("train", "--resume", "run").exit_code == 0
    whole = runs.load_model("run")
    report = json.loads(Path("run/summary.json").read_text()) | {"status": "interrupted"}
    Path("run/summary.json").write_text(json.dumps(report))
    Path("run/model.safetensors").write_bytes(old)
    with runs.RunFolder.resume("run") as folder:
        folder.restore(folder.begun().identity, {})
        assert not Path("run/summary.json").exists()
        model = runs.load_model("run")
        assert (model.epoch, model.parameters.sha256()) == (6, whole.parameters.sha256())
        assert folder.weights_sha256 == whole.parameters.sha256()


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(place, monkeypatch):
    whole = unbroken()
    break_off(monkeypatch, 3)
    Path("run", CHECKPOINT).unlink()
    assert_as(whole, strict(run("train", "--resume", "run", "--json").stdout))
    for name in ("summary.json", CHECKPOINT, "metrics.jsonl", "model.safetensors", "environment.json"):
        Path("run", name).unlink()
    assert_as(whole, strict(run("train", "--resume", "run", "--json").stdout))


def test_a_finished_run_has_nothing_left_to_do(place):
    whole = strict(train().stdout)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path("run").iterdir()}
    place.rename("elsewhere.npz")  # nobody reads it
    for more in ((), ("--epochs", 6), ("--lr", 0.1, "--threads", 1)):
        assert strict(run("train", "--resume", "run", "--json", *more).stdout) == whole
    assert {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path("run").iterdir()
    } == before
    assert run("train", "--resume", "run").stdout == f"Test accuracy: {whole['test_accuracy']:.4f}\n"
    assert run("train", "--resume", "run", "--min-accuracy", 1, "--quiet").exit_code in (0, 5)
    Path("run").rename("moved")
    assert strict(run("train", "--resume", "moved", "--json").stdout)["run_dir"] == str(
        Path("moved").absolute()
    )


def test_a_run_without_a_summary_and_nothing_left_gets_one(place):
    whole = unbroken()
    train()
    Path("run/summary.json").unlink()
    assert_as(whole, strict(run("train", "--resume", "run", "--json").stdout))


def test_epochs_of_a_run_may_be_more(place):
    whole = unbroken(epochs=9)
    train()
    before = Path("run/metrics.jsonl").read_bytes()
    report = strict(run("train", "--resume", "run", "--epochs", 9, "--json").stdout)
    assert_as(whole, report)
    assert Path("run/metrics.jsonl").read_bytes().startswith(before)
    assert runs.recorded_training("run").epochs == report["config"]["epochs"] == 9


def test_what_does_not_fit_is_refused_and_nothing_is_changed(place, monkeypatch):
    break_off(monkeypatch, 2)
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    X, y = np.load("blobs.npz")["x_train"], np.load("blobs.npz")["y_train"]
    X[0, 0, 0] += 1
    np.savez("other.npz", x_train=X, y_train=y, x_test=X, y_test=y)
    for code, words, args in (
        (2, "lr 0.2 instead of 0.1", ("--lr", 0.2)),
        (2, "loss 'clip:0.1,0.9' instead of 'logits'", ("--clip", 0.1, 0.9)),
        (2, "epochs 4 instead of 6", ("--epochs", 4)),
        (2, "backend 'numba' instead of 'numpy'", ("--backend", "numba")),
        (2, "out must be left out beside resume", ("--out", "new")),
        (2, "checkpoint-seconds must be", ("--checkpoint-seconds", 0)),
        (4, "other data, test data, by sha256", ("--data", "other.npz")),
    ):
        result = run("train", "--resume", "run", *args)
        assert (result.exit_code, result.stdout) == (code, "")
        assert words in result.stderr
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before
    Path("run/metrics.jsonl").write_bytes(before["metrics.jsonl"].replace(b"0.", b"1.", 1))
    result = run("train", "--resume", "run")
    assert result.exit_code == 1
    assert "metrics.jsonl must begin with the lines of the 2 epochs" in result.stderr


def test_data_that_have_moved_are_named_anew(place, monkeypatch):
    whole = unbroken()
    break_off(monkeypatch, 2)
    place.rename("elsewhere.npz")
    result = run("train", "--resume", "run")
    assert (result.exit_code, "blobs.npz must exist" in result.stderr) == (4, True)
    assert_as(whole, strict(run("train", "--resume", "run", "--data", "elsewhere.npz", "--json").stdout))


def test_folders_that_hold_no_run_are_refused(place, tmp_path):
    for path in ("nowhere", ".", "blobs.npz"):
        result = run("train", "--resume", path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "must say how a net was trained" in result.stderr
    train()
    Path("run", CHECKPOINT).unlink()
    result = run("train", "--resume", "run", "--epochs", 8)
    assert result.exit_code == 1
    assert "must be there to resume a finished run" in result.stderr
    lock = FolderLock(Path("run"))
    assert run("train", "--resume", "run").exit_code == 1
    lock.release()
    config = json.loads(Path("run/config.json").read_text())
    del config["sums"]
    Path("run/config.json").write_text(json.dumps(config))
    assert run("train", "--resume", "run", "--json").exit_code == 0  # of an older fastmlp, and finished
    result = run("train", "--resume", "run", "--epochs", 8)
    assert (result.exit_code, "got no 'sums'" in result.stderr) == (1, True)


def test_a_run_that_diverges_does_so_again(place):
    result = train("--lr", 1e30, "--batch-size", 1000)
    assert result.exit_code == 3
    again = run("train", "--resume", "run", "--json")
    assert again.exit_code == 3
    assert kill_runs.as_told(strict(again.stdout)) == kill_runs.as_told(strict(result.stdout))


def test_a_model_says_which_epoch_it_is_of(place):
    report = strict(train("--optimizer", "adam", "--validation", 0.2, "--patience", 1).stdout)
    assert fastmlp.Model.load("run/model.safetensors").epoch == report["best_epoch"]
    seen = []
    model, _ = fastmlp.fit(X, Y, callbacks=[lambda r, m: seen.append(m.epoch)], **QUICK)
    assert (seen, model.epoch) == ([1, 2, 3, 4, 5, 6], 6)
    model.save("a.safetensors", {"epoch": "07"})
    assert fastmlp.Model.load("a.safetensors").epoch == 6
    for wrong in ("", "-1", "1.5", "x", "9" * 40, "٣"):
        dataclasses.replace(model, epoch=None).save("a.safetensors", {"epoch": wrong})
        with pytest.raises(ModelError, match="a model's epoch must be a whole number"):
            fastmlp.Model.load("a.safetensors")


# --- kills ----------------------------------------------------------------------------------------


def test_the_comparison_of_killed_runs_goes_red():
    epoch = {"epoch": 1, "seconds": 0.5, "samples_per_second": 2.0, "train_loss": 0.25}
    report = {"status": "finished", "best_epoch": None, "weights_sha256": "a", "epochs": [epoch]}
    slower = report | {"epochs": [epoch | {"seconds": 0.75, "samples_per_second": 1.0}]}
    assert kill_runs.as_told(slower) == kill_runs.as_told(report)
    for name, value in (("status", "failed"), ("weights_sha256", "b"), ("best_epoch", 1), ("epochs", [])):
        assert kill_runs.as_told(report | {name: value}) != kill_runs.as_told(report)
    assert kill_runs.as_told(report | {"epochs": [epoch | {"train_loss": 0.5}]}) != kill_runs.as_told(report)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(shutil.os, "fork"), reason="SIGKILL of POSIX")
def test_every_killed_run_goes_on_to_the_same_bytes(tmp_path):
    found = []
    for kills in (20, 40, 60):  # chance decides how many are caught while a file is written
        place = tmp_path / str(kills)
        place.mkdir()
        kill_runs.run(kills, kills - 13, place, found)
        if sum(kill.writing for kill in found) >= 3:
            break
    assert len(found) >= 20
    assert [(kill.training, kill.phase, kill.wrong) for kill in found if kill.wrong] == []
    assert sum(kill.writing for kill in found) >= 3
