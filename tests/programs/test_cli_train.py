"""``fastmlp train``: what it prints where, what it leaves on disk, how it ends."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli_runs import FAST, run, save_blobs, strict

import fastmlp
from fastmlp.data import load, mnist, sources, synthetic
from fastmlp.errors import DataError

EPOCH_KEYS = {
    "epoch", "seconds", "samples_per_second", "train_loss", "train_accuracy", "test_loss", "test_accuracy",
    "live_share", "dead_units", "validation_loss", "validation_accuracy",
}  # fmt: skip
KEYS = {
    "test_accuracy", "test_loss", "epochs", "seconds_training", "seconds_total", "backend", "threads", "seed",
    "data", "weights_sha256", "run_dir", "status", "error", "version", "config", "data_source", "samples",
    "best_epoch", "scores", "test_log_loss",
}  # fmt: skip
FILES = {
    "config.json", "environment.json", "metrics.jsonl", "model.safetensors", "summary.json",
    "checkpoint.safetensors",
}  # fmt: skip


@pytest.fixture
def blobs(tmp_path, monkeypatch):
    """A data file, with an empty folder as the place to be."""
    path = save_blobs(tmp_path)
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    return path


def train(blobs, *args):
    return run("train", *FAST, "--data", blobs, "--epochs", 3, "--lr", 0.1, "--batch-size", 10, *args)


def test_the_result_is_the_one_line_on_stdout(blobs):
    result = train(blobs)
    assert result.exit_code == 0
    assert re.fullmatch(r"Test accuracy: [01]\.\d{4}\n", result.stdout)
    assert float(result.stdout.split()[-1]) > 0.9


def test_stderr_says_what_and_shows_each_epoch(blobs):
    text = train(blobs).stderr
    assert str(blobs) in text
    assert "300 + 60 images of 8 x 8, 3 classes" in text
    assert "64-100-3" in text
    assert "lr 0.1, batch 10, 3 epochs" in text
    assert "numpy" in text
    lines = re.findall(
        r"^ *(\d)/3 +\d+\.\d{4} +[01]\.\d{4} +[01]\.\d{4} +\d+\.\d\d +[\d,]+ +100.0%", text, re.M
    )
    assert lines == ["1", "2", "3"]
    (folder,) = Path("runs").iterdir()
    assert f"kept  in {folder}" in text.splitlines()
    assert text.splitlines()[-1].startswith("score accuracy ")


def test_quiet_leaves_the_result_alone(blobs):
    result = train(blobs, "--quiet")
    assert result.stdout.startswith("Test accuracy: ")
    assert result.stderr == ""


def test_json_is_one_object_and_the_epochs_go_to_stderr(blobs):
    result = train(blobs, "--json")
    report = strict(result.stdout)
    assert set(report) == KEYS
    assert [set(epoch) for epoch in report["epochs"]] == [EPOCH_KEYS] * 3
    assert [epoch["epoch"] for epoch in report["epochs"]] == [1, 2, 3]
    assert report["test_accuracy"] == report["epochs"][-1]["test_accuracy"] > 0.9
    assert report["seconds_training"] == pytest.approx(sum(epoch["seconds"] for epoch in report["epochs"]))
    assert report["seconds_total"] > report["seconds_training"] > 0
    assert (report["data"], report["seed"], report["backend"]) == ("blobs.npz", 0, "numpy")
    assert (report["status"], report["error"]) == ("finished", None)
    assert report["samples"] == {"train": 300, "test": 60}
    assert report["version"] == fastmlp.__version__
    assert Path(report["run_dir"]).is_absolute()
    assert " 3/3 " in result.stderr
    assert train(blobs, "--json", "--quiet", "--out", "other").stderr == ""


def test_it_trains_what_fit_trains(blobs):
    report = strict(
        train(blobs, "--json", "--hidden", "12,7", "--act", "tanh", "--center", "--seed", 4).stdout
    )
    data = load(blobs)
    model, history = fastmlp.fit(
        data.X, np.asarray(data.classes)[data.y], hidden=(12, 7), act="tanh", center=True, seed=4, epochs=3,
        lr=0.1, batch_size=10, backend="numpy",
        test_data=(data.X_test, np.asarray(data.classes)[data.y_test]),
    )  # fmt: skip
    assert report["weights_sha256"] == model.parameters.sha256()
    assert report["test_loss"] == history.epochs[-1].test_loss
    assert fastmlp.Training.from_json(report["config"]) == model.training


def test_the_defaults_are_those_of_fit(blobs):
    report = strict(run("train", *FAST, "--data", blobs, "--json").stdout)
    assert fastmlp.Training.from_json(report["config"]) == fastmlp.Training(scale=255)


def test_the_run_folder(blobs):
    report = strict(train(blobs, "--scale", 255, "--json").stdout)
    folder = Path(report["run_dir"])
    assert re.fullmatch(r"\d{8}-\d{6}-relu-scale255-seed0", folder.name)
    assert folder.parent == Path("runs").absolute()
    assert {path.name for path in folder.iterdir()} == FILES
    assert json.loads((folder / "summary.json").read_text()) == report
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert metrics == report["epochs"]
    model = fastmlp.Model.load(folder / "model.safetensors")
    assert model.parameters.sha256() == report["weights_sha256"]
    assert model.classes == (3, 5, 8)
    config = json.loads((folder / "config.json").read_text())
    assert config["config"] == report["config"]
    expected = {"data": str(blobs), "test_data": None, "label": None, "sample_weight": None, "task": "auto"}
    expected |= {"drop": [], "keep": [], "as_category": []}
    assert config["arguments"] == expected
    assert json.loads((folder / "environment.json").read_text())["fastmlp"] == fastmlp.__version__


@pytest.mark.parametrize("place", ["new", "deep/er/new", "empty"])
def test_out_is_made_or_taken_when_empty(blobs, place):
    Path("empty").mkdir()
    assert train(blobs, "--out", place).exit_code == 0
    assert {path.name for path in Path(place).iterdir()} == FILES


def test_out_with_something_in_it_is_refused(blobs):
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")
    for place in ("full", "full/mine.txt"):
        result = train(blobs, "--out", place)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "full" in result.stderr
    assert [path.name for path in Path("full").iterdir()] == ["mine.txt"]
    assert Path("full/mine.txt").read_text() == "mine"


def test_an_unwritable_out_is_refused_before_the_data_are_read(blobs):
    Path("file").write_text("")
    result = run("train", *FAST, "--data", "absent.npz", "--out", "file/run")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: file/run must be a folder that can be written; got ")


@pytest.mark.parametrize(
    "args",
    [
        ["--data", "absent.npz"],
        ["--data", "absent.npz", "--out", "deep/new"],
        ["--data", "absent.npz", "--out", "empty"],
        ["--test-data", "absent.npz"],
    ],
)
def test_bad_data_leave_nothing_behind(blobs, args):
    Path("empty").mkdir()
    result = train(blobs, *args)
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith("Error: absent.npz must exist; got ")
    assert [path.name for path in Path().rglob("*")] == ["empty"]


@pytest.mark.parametrize(
    "args",
    [
        ["--scale", "0"], ["--scale", "-1"], ["--scale", "inf"], ["--lr", "nan"], ["--lr", "0"],
        ["--hidden", "0"], ["--hidden", "1000000000"], ["--hidden", "a"], ["--hidden", "1000000,1000000"],
        ["--epochs", "0"], ["--epochs", "-3"], ["--batch-size", "0"], ["--act", "swish"], ["--init", "twos"],
        ["--seed", "-1"], ["--loss", "hinge"], ["--clip", "0.9", "0.1"], ["--clip", "0", "1"],
        ["--clip", "0.1", "nan"], ["--clip", "0.1", "0.9", "--loss", "logits"], ["--threads", "0"],
        ["--threads", "many"], ["--backend", "cuda"], ["--min-accuracy", "1.5"], ["--min-accuracy", "nan"],
        ["--label", "digit"],
    ],
)  # fmt: skip
def test_values_out_of_range(blobs, args):
    result = train(blobs, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert " must " in lines[0]
    assert list(Path().iterdir()) == []


def test_all_wrong_values_are_named_at_once(blobs):
    text = train(blobs, "--scale", 0, "--act", "swish", "--threads", 0, "--min-accuracy", 7).stderr
    named = re.findall(r"^Error: (\S+) must be .*; got .*\.$", text, re.M)
    assert named == ["act", "scale", "threads", "min-accuracy"]


def test_clip_is_short_for_the_loss(blobs):
    reports = [
        strict(train(blobs, "--json", *args).stdout)
        for args in (
            ["--clip", "1e-10", "0.9"],
            ["--loss", "clip:1e-10,0.9"],
            ["--loss", "clip:1e-10,0.9", "--clip", "1e-10", "0.9"],
        )
    ]
    assert len({report["weights_sha256"] for report in reports}) == 1
    assert reports[0]["config"]["loss"] == "clip:1e-10,0.9"
    assert reports[0]["epochs"][-1]["live_share"] < 1


def test_threads_are_taken_as_given_and_do_not_change_the_bytes(blobs):
    reports = [strict(train(blobs, "--json", "--backend", "numba", "--threads", n).stdout) for n in (1, 3)]
    assert [report["threads"] for report in reports] == [1, 3]
    assert reports[0]["weights_sha256"] == reports[1]["weights_sha256"]


def test_min_accuracy(blobs):
    assert train(blobs, "--min-accuracy", 0.5).exit_code == 0
    result = train(blobs, "--min-accuracy", 1, "--lr", 1e-9)
    assert result.exit_code == 5
    assert result.stdout.startswith("Test accuracy: 0.")
    assert re.search(r"^Error: the test accuracy must be at least 1; got 0\.\d{4}\.$", result.stderr, re.M)
    result = train(blobs, "--min-accuracy", 1, "--lr", 1e-9, "--json")
    assert result.exit_code == 5
    assert strict(result.stdout)["status"] == "finished"


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_divergence_in_the_first_epoch_keeps_the_initial_net(blobs, backend):
    result = train(blobs, "--lr", 1e30, "--json", "--backend", backend)
    assert result.exit_code == 3
    report = strict(result.stdout)
    assert (report["status"], report["epochs"], report["test_accuracy"]) == ("diverged", [], None)
    assert "of epoch 1, with lr 1e+30" in report["error"]
    assert f"Error: {report['error']}" in result.stderr
    model = fastmlp.Model.load(Path(report["run_dir"]) / "model.safetensors")
    assert model.parameters.sha256() == report["weights_sha256"]
    assert model.parameters.sha256() == fastmlp.initialise(model.architecture).sha256()


def test_divergence_later_keeps_the_last_good_model(blobs):
    result = train(blobs, "--lr", 1e30, "--batch-size", 1000)  # one step an epoch
    assert (result.exit_code, result.stdout) == (3, "")
    assert "of epoch 2" in result.stderr
    (folder,) = Path("runs").iterdir()
    assert {path.name for path in folder.iterdir()} == FILES
    report = strict((folder / "summary.json").read_text().replace("\n", "") + "\n")
    assert report["status"] == "diverged"
    assert len(report["epochs"]) == len((folder / "metrics.jsonl").read_text().splitlines()) == 1
    kept = fastmlp.Model.load(folder / "model.safetensors").parameters
    assert kept.sha256() == report["weights_sha256"]
    assert kept.finite


def test_a_batch_larger_than_the_data_is_no_error(blobs):
    assert train(blobs, "--batch-size", 10**9).exit_code == 0


@pytest.mark.parametrize("args", [[], ["--json"], ["--quiet"], ["--json", "--quiet"]])
def test_synthetic_digits_are_never_silent(tmp_path, monkeypatch, data_home, args):
    def refuse(**_):
        raise DataError("MNIST must be had", "no network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mnist, "fetch_mnist", refuse)
    monkeypatch.setattr(synthetic, "draw", functools.partial(synthetic.draw, train=300, test=60))
    result = run("train", *FAST, "--epochs", 1, *args)
    assert result.exit_code == 0
    (line,) = [line for line in result.stderr.splitlines() if "no MNIST to be had (no network)" in line]
    assert "synthetic" in line
    if "--json" in args:
        assert strict(result.stdout)["data"] == "synthetic"


def test_inputs_that_the_scale_makes_tiny_are_noted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("small.npz", X=rng.random((60, 5)), y=np.arange(60) % 2)
    noted = [
        "--scale 1 may be meant" in run("train", *FAST, "--epochs", 1, "--data", "small.npz", *args).stderr
        for args in (["--scale", 255], ["--scale", 1], ["--scale", 10], [], ["--scale", 255, "--quiet"])
    ]
    assert noted == [True, False, False, False, False]


def test_csv_with_a_label_column(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{i % 7},{i % 2},{i % 2 * 9}" for i in range(60)]
    Path("table.csv").write_text("a,kind,b\n" + "\n".join(lines))
    report = strict(
        run("train", *FAST, "--data", "table.csv", "--label", "kind", "--scale", 1, "--json").stdout
    )
    assert report["test_accuracy"] == 1
    assert "a sixth held out for testing (10 rows, seed 0)" in report["data_source"]
    wrong = run("train", *FAST, "--data", "table.csv", "--label", "knd")
    assert (wrong.exit_code, wrong.stdout) == (4, "")
    assert "must be a column of table.csv; got 'knd'. Did you mean 'kind'?" in wrong.stderr
    Path("table.csv").write_text(Path("table.csv").read_text().replace(",", ";"))
    shown = run("train", *FAST, "--data", "table.csv", "--label", "kind", "--scale", 1)
    assert "table.csv (fields separated by semicolons), a sixth held out" in shown.stderr


def test_real_mnist(tmp_path, monkeypatch, mnist_folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(sources.ENVIRONMENT, str(mnist_folder))
    result = run("train", "--act", "relu", "--scale", 255, "--epochs", 1, "--min-accuracy", 0.85)
    assert result.exit_code == 0
    assert "60,000 + 10,000 images of 28 x 28, 10 classes, uint8, 19.1% non-zero" in result.stderr
