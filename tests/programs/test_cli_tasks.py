"""The command line on numbers, on two classes by one output, and on several answers a row, end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_runs import FAST, run, strict

import fastmlp
from fastmlp.data import load

QUICK = (*FAST, "--scale", 1, "--hidden", 8, "--lr", 0.05, "--batch-size", 10, "--epochs", 4)
NUMBERS = ("--label", "price", "--loss", "squared")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def houses(tmp_path):
    """A table with a column of prices, a file without it, and its rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 3)).round(3)
    price = (250_000 + 40_000 * (X @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=240))).round(2)
    np.savetxt("houses.csv", np.column_stack([X, price]), "%.3f", ",", header="a,b,c,price", comments="")
    np.savetxt("new.csv", X[:5], "%.3f", ",", header="a,b,c", comments="")
    return X, price


def test_a_regression_from_a_table_to_predictions(houses):
    X, price = houses
    result = run("train", *QUICK, "--data", "houses.csv", *NUMBERS, "--out", "run", "--validation", 0.1)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("Test R2: 0.9")
    assert "Test mean absolute error: " in result.stdout
    assert "accuracy" not in result.stdout + result.stderr
    assert "targets " in result.stderr
    assert " test R2  test error" in result.stderr
    assert result.stderr.count("held out") == 6  # and the sixth of the rows
    report = json.loads(Path("run/summary.json").read_text())
    assert {"test_loss", "test_r2", "test_mae"} < set(report)
    assert "test_accuracy" not in report
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [line["test_r2"] for line in lines][-1] == report["test_r2"] > 0.9
    assert not any("accuracy" in name for name in lines[0])
    assert report["test_mae"] > 100

    tested = strict(run("evaluate", "run", *FAST, "--json").stdout)
    assert tested["test_r2"] == report["test_r2"]
    assert tested["test_mae"] == pytest.approx(report["test_mae"], rel=1e-6)
    assert tested["scores"] == report["scores"]
    assert tested["classes"] == []
    assert tested["confusion"] is None
    shown = run("evaluate", "run", *FAST, "--data", "houses.csv", "--label", "price", "--min-r2", 0.5)
    assert shown.exit_code == 0
    assert [line.split(":")[0] for line in shown.stdout.splitlines()] == [
        "Test loss", "Test R2", "Test mean absolute error"
    ]  # fmt: skip

    model = replace(fastmlp.Model.load("run/model.safetensors"), backend="numpy")
    heading, *said = run("predict", "run", "new.csv", *FAST).stdout.splitlines()
    assert heading == "price"
    assert [float(line) for line in said] == pytest.approx(model.predict(X[:5].astype(np.float32)), rel=1e-5)
    assert [float(line) for line in said] == pytest.approx(price[:5], abs=60_000)
    report = strict(run("predict", "run", "new.csv", *FAST, "--json").stdout)
    assert set(report) == {"predictions"}
    assert report["predictions"] == model.predict(X[:5].astype(np.float32)).tolist()


def test_it_trains_what_fit_trains(houses):
    words = ("--raw-targets", "--seed", 4, "--loss", "huber:2", "--label", "price", "--lr", 1e-7)
    result = run("train", *QUICK, "--data", "houses.csv", "--json", *words)
    report = strict(result.stdout)
    training = fastmlp.Training.from_json(report["config"])
    assert (training.loss, training.scale_targets) == ("huber:2", False)
    model, history = fastmlp.fit(
        load("houses.csv", label="price", loss="squared", seed=4), training=training, backend="numpy"
    )
    assert report["weights_sha256"] == model.parameters.sha256()
    assert report["test_r2"] == history.final.test_r2


def test_a_run_resumes_and_is_finished(houses):
    whole = run("train", *QUICK, "--data", "houses.csv", *NUMBERS, "--out", "whole")
    assert whole.exit_code == 0
    run("train", *QUICK, "--data", "houses.csv", *NUMBERS, "--out", "part", "--epochs", 2)
    rest = run("train", "--resume", "part", "--epochs", 4, "--json")
    assert rest.exit_code == 0, rest.stderr
    kept = json.loads(Path("whole/summary.json").read_text())
    assert strict(rest.stdout)["weights_sha256"] == kept["weights_sha256"]
    again = run("train", "--resume", "part")
    assert "nothing is left to do" in again.stderr
    assert again.stdout == whole.stdout
    other = run("train", "--resume", "part", "--loss", "absolute")
    assert other.exit_code == 2
    assert "loss 'absolute' instead of 'squared'" in other.stderr
    assert run("train", "--resume", "part", "--raw-targets").exit_code == 2


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ((*NUMBERS, "--min-r2", "0.99999"), 5, "the test R2 must be at least 0.99999"),
        ((*NUMBERS, "--min-accuracy", "0.5"), 2, "with squared loss; got 0.5. Use --min-r2"),
        ((*NUMBERS, "--min-r2", "1.5"), 2, "min-r2 must be a number up to 1"),
        ((*NUMBERS, "--min-r2", "nan"), 2, "min-r2 must be a number up to 1"),
        (
            ("--label", "a", "--task", "classes", "--min-r2", "0.5"),
            2,
            "min-r2 must be left out with logits loss; got 0.5",
        ),
        ((*NUMBERS, "--class-weight", "balanced"), 2, "class_weight must be left out with squared loss"),
        ((*NUMBERS, "--label-smoothing", "0.1"), 2, "label_smoothing must be 0 with squared loss"),
        (("--raw-targets",), 2, "scale_targets must be left out with logits loss"),
        (
            ("--label", "price", "--loss", "binary"),
            4,
            "must hold two different labels for the loss binary; got 240",
        ),
        (("--label", "a", "--loss", "poisson"), 4, "must hold numbers from 0 for the loss poisson"),
        ((*NUMBERS, "--lr", "1e10"), 3, "must stay finite"),
    ],
    ids=str,
)
def test_ends(houses, args, code, message):
    result = run("train", *QUICK, "--data", "houses.csv", *args)
    assert result.exit_code == code, result.stderr
    assert message in result.stderr


def test_what_is_asked_of_a_tested_model_must_suit_it(houses):
    run("train", *QUICK, "--data", "houses.csv", *NUMBERS, "--out", "run")
    for command, args, code, message in (
        ("evaluate", ("--min-accuracy", "0.5"), 2, "min-accuracy must be left out with squared loss"),
        ("evaluate", ("--min-r2", "0.99999"), 5, "the test R2 must be at least"),
        ("predict", ("new.csv", "--proba"), 2, "proba must be left out of a model of numbers"),
        (
            "diagnose",
            (),
            2,
            "must be of classes; got a run of squared loss. See what its table holds: fastmlp data",
        ),
    ):
        result = run(command, "run", *args, *(FAST if command != "diagnose" else ()))
        assert result.exit_code == code, result.output
        assert message in result.stderr


def test_a_diverged_run_says_how_it_ended(houses):
    result = run("train", *QUICK, "--data", "houses.csv", *NUMBERS, "--lr", "1e10", "--out", "run", "--json")
    report = strict(result.stdout)
    assert (report["status"], report["test_r2"], report["test_mae"]) == ("diverged", None, None)


def test_two_classes_by_one_output():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(120, 2)).round(3)
    y = np.where(X @ [3, -1] > 0, 7, 2)
    np.savetxt("two.csv", np.column_stack([X, y]), "%g", ",", header="a,b,label", comments="")
    result = run(
        "train", *QUICK, "--data", "two.csv", "--loss", "binary", "--out", "run", "--min-accuracy", 0.8
    )
    assert result.exit_code == 0, result.stderr
    assert "2-8-1" in result.stderr
    assert result.stdout.startswith("Test accuracy: ")
    report = strict(run("evaluate", "run", *FAST, "--json").stdout)
    assert (report["classes"], len(report["confusion"])) == ([2, 7], 2)
    lines = run("predict", "run", "two.csv", *FAST, "--proba").stdout.splitlines()
    assert lines[0] == "label,2,7"
    cells = np.array([line.split(",") for line in lines[1:]], float)
    np.testing.assert_allclose(cells[:, 1:].sum(axis=1), 1, atol=1e-5)
    assert (cells[:, 0] == np.where(cells[:, 2] > cells[:, 1], 7, 2)).all()
    smoothed = run(
        "train", *QUICK, "--data", "two.csv", "--loss", "binary", "--label-smoothing", 0.2, "--json"
    )
    assert strict(smoothed.stdout)["config"]["label_smoothing"] == 0.2


def test_several_answers_a_row():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(120, 2))
    np.savez("tags.npz", x=X, y=(X @ rng.normal(size=(2, 3)) > 0).astype(int))
    np.save("new.npy", X[:4])
    result = run("train", *QUICK, "--data", "tags.npz", "--loss", "binary", "--out", "run")
    assert result.exit_code == 0, result.stderr
    assert "3 labels each" in result.stderr
    report = strict(run("evaluate", "run", *FAST, "--json").stdout)
    assert report["confusion"] is None
    assert 0 < report["test_accuracy"] < 1
    model = fastmlp.Model.load("run/model.safetensors")
    said = run("predict", "run", "new.npy", *FAST).stdout.splitlines()
    assert said == [",".join(map(str, row)) for row in model.predict(X[:4].astype(np.float32)).tolist()]
    lines = run("predict", "run", "new.npy", *FAST, "--proba").stdout.splitlines()
    assert lines[0] == "label 0,label 1,label 2,0,1,2"
    assert len(lines) == 5
    assert {len(line.split(",")) for line in lines} == {6}


def test_data_describes_numbers_and_flags(houses):
    result = run("data", "houses.csv", "--label", "price", "--loss", "squared")
    assert result.exit_code == 0, result.stderr
    assert "task: numbers" in result.stdout
    label = strict(run("data", "houses.csv", "--label", "price", "--json").stdout)["table"]["label"]
    assert label["task"] == "numbers"
    assert label["figures"]["low"] == pytest.approx(houses[1].min())
    assert label["figures"]["high"] == pytest.approx(houses[1].max())
    X, y = np.arange(60.0).reshape(20, 3), np.arange(20) / 7
    np.savez("houses.npz", X=X, y=y)
    facts = strict(run("data", "houses.npz", "--loss", "squared", "--json").stdout)["dataset"]
    assert facts["targets"] == "numbers"
    ((low, high),) = facts["target_ranges"]
    assert y.min() <= low < high <= y.max()
    assert facts["samples"] == {"train": 17, "test": 3}
