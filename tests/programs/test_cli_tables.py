"""``fastmlp train`` and ``evaluate`` on tables as people have them: options, folds, the ending, bad files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_runs import FAST, run, save_blobs, strict
from fastmlp_cli import render, scored

import fastmlp
from fastmlp.data import load
from fastmlp.runs import RunFolder
from fastmlp.train.folds import cross_validate
from fastmlp.train.loop import EpochResult
from fastmlp.train.scores import Scores

QUICK = (*FAST, "--epochs", 6, "--lr", 0.05)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(n=240, seed=0):
    """Rows with texts, gaps, an id, and names that are no words; ``class`` is told by two of the columns."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    frame = pd.DataFrame(
        {
            "id": np.arange(n) + 1000,
            "height, cm": (kind * 8 + 160 + 5 * rng.normal(size=n)).round(1),
            "city": np.array(["Rome", "Oslo", "Århus"])[np.where(rng.random(n) < 0.8, kind, 0)],
            "code": rng.integers(1, 5, n),
            "price": (250_000 + 40_000 * kind + 20_000 * rng.normal(size=n)).round(2),
            "class": np.array(["low", "mid", "high, very"])[kind],
        }
    )
    frame.loc[rng.random(n) < 0.1, "height, cm"] = np.nan
    frame.loc[rng.random(n) < 0.1, "city"] = None
    return frame


@pytest.fixture
def people():
    table().to_csv("table.csv", index=False)
    return "table.csv"


def train(*args):
    return run("train", *QUICK, *args)


def report_of(*args):
    result = train(*args, "--json")
    assert result.exit_code == 0, result.stderr
    return strict(result.stdout)


def test_the_line_of_the_readme_works(people):
    words = ("--data", people, "--label", "class", "--hidden", "32,16", "--out", "run")
    result = run("train", *words, "--threads", 1)
    assert result.exit_code == 0, result.stderr
    assert re.fullmatch(r"Test accuracy: 0\.\d{4}\n", result.stdout)
    report = json.loads(Path("run/summary.json").read_text())
    assert report["test_accuracy"] > 0.8 > 0.7 > report["scores"]["guess"]["accuracy"]
    assert report["scores"]["classes"] == ["high, very", "low", "mid"]
    assert report["config"]["scale"] == "standard"


def test_the_file_alone_is_enough(people):
    report = report_of("--data", people, "--out", "run")
    assert report["scores"]["classes"] == ["high, very", "low", "mid"]
    result = run("train", *QUICK, "--data", people)
    assert re.search(r"^label 'class', by its name; task: classes \(texts\)$", result.stderr, re.M)
    for told in ("'city' (4)", "'height, cm' (16", "inputs standardised, adam"):
        assert told in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_a_quantity_is_a_regression_and_is_said(people):
    result = train("--data", people, "--label", "price")
    assert result.stdout.startswith("Test R2: ")
    assert "task: numbers (with a fraction)" in result.stderr
    assert report_of("--data", people, "--label", "price")["config"]["loss"] == "squared"


@pytest.mark.parametrize(
    ("label", "task", "loss"), [("code", "auto", "logits"), ("code", "numbers", "squared")]
)
def test_the_task_may_be_given(people, label, task, loss):
    report = report_of("--data", people, "--label", label, "--task", task)
    assert report["config"]["loss"] == loss
    assert ("test_r2" in report) is (loss == "squared")
    assert report["scores"]["task"] == ("numbers" if loss == "squared" else "classes")


def test_columns_are_dropped_kept_and_taken_as_categories(people):
    def inputs(*args):
        report_of("--data", people, "--label", "class", "--epochs", 1, *args, "--out", "run")
        names = fastmlp.Model.load("run/model.safetensors").columns.names
        config = json.loads(Path("run/config.json").read_text())["arguments"]
        for path in Path("run").iterdir():
            path.unlink()
        return names, {name: config[name] for name in ("drop", "keep", "as_category")}

    names, told = inputs("--drop", 'id,"height, cm"', "--drop", "price")
    assert names == ("city=Oslo", "city=Rome", "city=Århus", "city=(missing)", "code")
    assert told == {"drop": ["id", "height, cm", "price"], "keep": [], "as_category": []}
    names, told = inputs("--keep", "code, price", "--as-category", "code")
    assert names == ("code=1", "code=2", "code=3", "code=4", "price")
    assert told == {"drop": [], "keep": ["code", "price"], "as_category": ["code"]}


def test_a_run_goes_on_with_its_columns(people):
    words = ("--data", people, "--drop", "id,price", "--as-category", "code")
    whole = report_of(*words, "--out", "whole")
    report_of(*words, "--out", "part", "--epochs", 3)
    rest = run("train", "--resume", "part", "--epochs", 6, "--json")
    assert rest.exit_code == 0, rest.stderr
    assert strict(rest.stdout)["weights_sha256"] == whole["weights_sha256"]
    again = strict(run("evaluate", "part", *FAST, "--json").stdout)
    assert again["scores"] == whole["scores"]
    other = run("train", "--resume", "part", "--drop", "id")
    assert other.exit_code in (2, 4)
    assert json.loads(Path("part/summary.json").read_text())["weights_sha256"] == whole["weights_sha256"]


def test_it_trains_what_fit_trains(people):
    report = report_of("--data", people, "--drop", "price", "--seed", 3)
    data = load(people, label="class", drop=["price"], seed=3)
    model, history = fastmlp.fit(data, epochs=6, lr=0.05, seed=3, backend="numpy")
    assert report["weights_sha256"] == model.parameters.sha256()
    scores = Scores.of(model, data.X_test, data.as_given(data.y_test))
    assert Scores.from_json(report["scores"]) == scores
    assert (report["test_accuracy"], report["test_log_loss"]) == (scores.accuracy, scores.log_loss)
    assert history.final.test_accuracy == scores.accuracy


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--drop", "idd"], 2, "drop must name columns of table.csv; got 'idd'. Did you mean 'id'?"),
        (["--drop", '"x'], 2, "drop must name columns, with commas between them"),
        (["--drop", "id", "--keep", "id"], 2, "a column must be in drop or in keep, not in both; got 'id'"),
        (["--task", "number"], 2, "task must be one of auto, classes, numbers; got 'number'"),
        (["--label", "clas"], 4, "must be a column of table.csv; got 'clas'. Did you mean 'class'?"),
        (["--label", "class", "--task", "numbers"], 4, "for the task numbers"),
        (["--label", "price", "--min-accuracy", "0.5"], 2, "min-accuracy must be left out with squared loss"),
        (["--folds", "1"], 2, "folds must be a whole number from 2"),
        (["--folds", "999"], 4, "999 folds must have as many rows; got 240"),
        (["--folds", "3", "--test-data", "table.csv"], 2, "test-data must be left out beside folds"),
        (["--min-accuracy", "1", "--folds", "2", "--epochs", "1"], 5, "the test accuracy must be at least 1"),
        (["--label", "price", "--min-r2", "1", "--folds", "2"], 5, "the test R2 must be at least 1; got "),
    ],
    ids=str,
)
def test_ends(people, args, code, message):
    result = train("--data", people, "--out", "run", *args)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert code == 5 or [path.name for path in Path().iterdir()] == ["table.csv"]


BAD = {
    "nothing": b"",
    "a heading alone": b"a,b,label\n",
    "one class": b"a,label\n1,x\n2,x\n3,x\n4,x\n",
    "no label in any row": b"a,label\n1,\n2,\n3,\n",
    "a ragged row": b"a,b,label\n1,2,x\n1,2\n3,4,y\n5,6,x\n",
    "names twice": b"a,a,label\n1,2,x\n3,4,y\n1,2,x\n3,4,y\n",
    "one column": b"label\nx\ny\nx\ny\n",
    "nothing to learn from": b"a,label\n1,x\n1,y\n1,x\n1,y\n1,x\n1,y\n",
    "bytes": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("folds", [(), ("--folds", 2)])
def test_bad_tables_are_one_line_and_leave_nothing(name, folds):
    Path("bad.csv").write_bytes(BAD[name])
    result = train("--data", "bad.csv", "--label", "label", *folds)
    assert (result.exit_code, result.stdout) == (4, ""), result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert "bad.csv" in result.stderr
    assert [path.name for path in Path().iterdir()] == ["bad.csv"]


def test_folds_have_means_spreads_and_a_model_of_all_rows(people):
    report = report_of("--data", people, "--folds", 4, "--out", "run")
    told = [fold["accuracy"] for fold in report["folds"]]
    assert report["test_accuracy"] == pytest.approx(np.mean(told))
    assert report["test_accuracy_spread"] == pytest.approx(np.std(told, ddof=1))
    assert report["test_log_loss"] == pytest.approx(np.mean([fold["log_loss"] for fold in report["folds"]]))
    assert [fold["rows"] for fold in report["folds"]] == [60] * 4
    assert sum(map(sum, report["scores"]["confusion"])) == report["scores"]["rows"] == 240
    assert json.loads(Path("run/summary.json").read_text()) == report
    assert [json.loads(line) for line in Path("run/folds.jsonl").read_text().splitlines()] == report["folds"]
    data = load(people, label="class", hold_out=False)
    model, _ = fastmlp.fit(data, epochs=6, lr=0.05, backend="numpy")
    assert report["weights_sha256"] == model.parameters.sha256()
    assert report["samples"] == {"train": 240, "test": 0}
    found = cross_validate(data, model.training, 4, backend="numpy")
    assert json.loads(json.dumps(found.to_json()))["folds"] == report["folds"]
    assert [epoch["test_accuracy"] for epoch in report["epochs"]] == [None] * 6


def test_folds_for_people(people):
    result = train("--data", people, "--folds", 3)
    assert re.fullmatch(r"Test accuracy: 0\.\d{4}\n", result.stdout)
    rows = re.findall(r"^ *(?:(\d)/3 +80|(mean|spread)) +[\d.]+ +[\d.]+$", result.stderr, re.M)
    assert [a or b for a, b in rows] == ["1", "2", "3", "mean", "spread"]
    result = train("--data", people, "--folds", 3, "--label", "price")
    assert re.search(r"^ +fold +rows +R2 +MAE +RMSE$", result.stderr, re.M)
    assert result.stdout.startswith("Test R2: ")


def test_folds_of_numbers_have_their_figures(people):
    report = report_of("--data", people, "--label", "price", "--folds", 3)
    for name in ("test_r2", "test_mae", "test_rmse", "test_loss"):
        field = {"test_mae": "mean_absolute_error", "test_rmse": "root_mean_squared_error"}.get(
            name, name[5:]
        )
        told = [fold[field] for fold in report["folds"]]
        assert report[name] == pytest.approx(np.mean(told))
        assert report[f"{name}_spread"] == pytest.approx(np.std(told, ddof=1))


class Killed(BaseException):
    """An end that nobody catches."""


@pytest.mark.parametrize("fold", [1, 2, 3])
@pytest.mark.parametrize("after", [False, True])
def test_a_run_with_folds_goes_on_where_it_was_ended(people, monkeypatch, fold, after):
    words = ("--data", people, "--folds", 3, "--out")
    whole = report_of(*words, "whole")
    record = RunFolder.record_fold

    def end(self, scores):
        if after:
            record(self, scores)
        if len(self.folds) == fold - (not after):
            raise KeyboardInterrupt
        if not after:
            record(self, scores)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "record_fold", end)
        run("train", *QUICK, *words, "part")
    kept = json.loads(Path("part/summary.json").read_text())
    assert (kept["status"], kept["test_accuracy"], kept["scores"]) == ("interrupted", None, None)
    assert len(kept.get("folds", ())) == fold - (not after)
    trained = []
    fit = fastmlp.train.folds.fit
    monkeypatch.setattr(fastmlp.train.folds, "fit", lambda *a, **b: trained.append(1) or fit(*a, **b))
    rest = run("train", "--resume", "part", "--json")
    assert rest.exit_code == 0, rest.stderr
    assert len(trained) == 3 - fold + (not after)
    report = strict(rest.stdout)
    same = {name for name in whole if "seconds" not in name} - {"run_dir", "epochs", "data_source"}
    assert {name: report[name] for name in same} == {name: whole[name] for name in same}


def test_a_run_with_folds_keeps_its_options(people):
    words = ("--data", people, "--folds", 3, "--out", "run")
    report_of(*words)
    for args, message in (
        (("--folds", 4), "with the options it was begun with; got folds 4 instead of 3"),
        (("--epochs", 20), "epochs must stay as they were in a run with folds"),
    ):
        result = run("train", "--resume", "run", *args)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr
    assert "nothing is left to do" in run("train", "--resume", "run", "--folds", 3).stderr
    report_of("--data", people, "--out", "plain")
    assert "folds 3 instead of none" in run("train", "--resume", "plain", "--folds", 3).stderr


def test_damaged_folds_are_said(people):
    report_of("--data", people, "--folds", 2, "--out", "run")
    Path("run/summary.json").unlink()
    for content in ("{}\n", "no json\n", '{"rows": 3}\n'):
        Path("run/folds.jsonl").write_text(content)
        result = run("train", "--resume", "run")
        assert result.exit_code == 1, result.output
        assert "run/folds.jsonl must " in result.stderr


def test_a_model_of_folds_is_tested_on_other_data(people):
    report_of("--data", people, "--folds", 2, "--out", "run")
    result = run("evaluate", "run", *FAST)
    assert result.exit_code == 2
    assert "data must be named to test the model of a run with 2 folds" in result.stderr
    table(100, 5).to_csv("other.csv", index=False)
    assert strict(run("evaluate", "run", *FAST, "--data", "other.csv", "--json").stdout)["samples"] == 100


def test_evaluate_takes_other_tables(people):
    report_of("--data", people, "--out", "run", "--epochs", 30)
    other = table(120, 7)
    other.sample(frac=1, axis=1, random_state=1).to_csv("other.csv", index=False)
    report = strict(run("evaluate", "run", *FAST, "--data", "other.csv", "--json").stdout)
    model = replace(fastmlp.Model.load("run/model.safetensors"), backend="numpy")
    right = model.predict(other) == other["class"].to_numpy()
    assert report["test_accuracy"] == right.mean() > 0.8
    assert report["samples"] == 120
    other.replace({"class": {"mid": "middle"}}).to_csv("renamed.csv", index=False)
    renamed = run("evaluate", "run", *FAST, "--data", "renamed.csv")
    assert (renamed.exit_code, renamed.stdout) == (4, "")
    assert "must hold the labels of training alone" in renamed.stderr
    assert re.search(r"got 'middle' in line \d+ of renamed.csv", renamed.stderr)
    other.drop(columns="city").to_csv("short.csv", index=False)
    lacking = run("evaluate", "run", *FAST, "--data", "short.csv")
    assert (lacking.exit_code, lacking.stdout) == (4, "")
    assert "must have the columns of training; got no 'city'" in lacking.stderr


def noise(label):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc"))
    frame["label"] = rng.choice(["x", "y"], 300) if label == "classes" else rng.normal(size=300)
    frame.to_csv("noise.csv", index=False)


@pytest.mark.parametrize("label", ["classes", "numbers"])
@pytest.mark.parametrize("folds", [(), ("--folds", 3)])
def test_no_better_than_guessing_is_told_with_what_to_do(label, folds):
    noise(label)
    result = train("--data", "noise.csv", "--out", "my run", *folds)
    what = "diagnose 'my run'" if label == "classes" else "data noise.csv"
    line = f"no better than guessing: fastmlp {what}"
    assert line in result.stderr.splitlines()
    assert strict(train("--data", "noise.csv", "--json", "--quiet").stdout)["scores"][
        "no_better_than_guessing"
    ]
    assert train("--data", "noise.csv", "--quiet").stderr == ""
    if not folds:
        told = run("evaluate", "my run", *FAST).stderr.splitlines()[-1]
        assert told == (
            line if label == "classes" else line.replace("noise.csv", str(Path("noise.csv").absolute()))
        )


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (1, "1 row cannot tell it from guessing: fastmlp train --folds tests on all of them"),
        (4, "4 rows cannot tell it from guessing: fastmlp train --folds tests on all of them"),
        (5, "no better than guessing, as far as 5 rows can tell: fastmlp diagnose runs/a"),
        (29, "no better than guessing, as far as 29 rows can tell: fastmlp diagnose runs/a"),
        (30, "no better than guessing: fastmlp diagnose runs/a"),
    ],
)
def test_few_rows_say_little(rows, told):
    guess = fastmlp.train.scores.Guess(0.5, 0.6)
    found = Scores("classes", rows, 0.5, guess, ((0.0, 1.0),), accuracy=0.5, log_loss=0.6)
    assert scored.no_better(found, "logits", "runs/a", "a.csv") == told
    assert scored.no_better(replace(found, gains=((rows, 0.1),)), "logits", "runs/a", "a.csv") is None


def test_a_diagnosis_is_of_classes(people):
    result = run("diagnose", "--data", people, "--label", "price")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "a diagnosis must be of classes; got price, a quantity" in result.stderr
    assert run("diagnose", "--data", people, "--drop", "prise").exit_code == 2


def test_a_good_net_is_not_told_so(people):
    assert "no better than guessing" not in train("--data", people).stderr


def shown(scores, width):
    return [f"{label} {text}" for label, text in scored.lines(scores, width)]


def scores_of(confusion, classes):
    confusion = np.array(confusion)
    counts = confusion.sum(axis=1)
    recall = tuple(n and confusion[k, k] / n for k, n in enumerate(counts))
    return Scores(
        "classes", int(counts.sum()), 0.5, fastmlp.train.scores.Guess(0.5, 0.6), ((1.0, 1.0),),
        accuracy=0.75, log_loss=0.4, classes=classes, counts=tuple(counts.tolist()), recall=recall,
        confusion=tuple(map(tuple, confusion.tolist())),
    )  # fmt: skip


def test_the_ending_on_a_terminal():
    told = scores_of([[9, 1, 0], [0, 5, 5], [0, 0, 10]], ("cat", "dog\x1b[1m", "a very long name of a class"))
    assert shown(told, 80) == [
        "table rows of each class, by the class predicted",
        " true                  cat  dog\\x1b[1m  a very long name ...  recall",
        " cat                     9           1                     0   90.0%",
        " dog\\x1b[1m              0           5                     5   50.0%",
        " a very long name ...    0           0                    10  100.0%",
        "guess accuracy 0.5000, always cat; log loss 0.6000",
        "score accuracy 0.7500 on 30 rows; log loss 0.4000",
    ]
    assert shown(told, 50)[0] == (
        "least dog\\x1b[1m is recognised least often (50.0% of 10); the commonest mistake: dog\\x1b[1m taken "
        "for a very long name ... (5 times)"
    )
    wide = scores_of([[9, 1], [0, 5]], ("日本", "é"))
    assert shown(wide, 80)[1:4] == [
        " true  日本  é  recall", " 日本     9  1   90.0%", " é        0  5  100.0%",
    ]  # fmt: skip
    many = scores_of(np.eye(40, dtype=int) * 3 + np.eye(40, k=1, dtype=int), tuple(range(40)))
    assert len(shown(many, 120)) == 3
    perfect = scores_of(np.eye(40, dtype=int), tuple(range(40)))
    assert len(shown(perfect, 120)) == 2


def test_train_and_evaluate_end_with_scores_in_a_log_too(people):
    result = train("--data", people, "--out", "run")
    lines = result.stderr.splitlines()
    assert "table rows of each class, by the class predicted" in lines
    assert any(line.startswith("guess accuracy 0.") for line in lines)
    assert len(result.stdout.splitlines()) == 1
    assert len(lines) - next(i for i, line in enumerate(lines) if line.startswith("kept")) <= 12
    again = run("evaluate", "run", *FAST).stderr.splitlines()
    assert any(line.startswith("score accuracy ") for line in again)
    assert "guess R2 0, the mean; MAE " in train("--data", people, "--label", "price").stderr
    assert "guess" not in train("--data", people, "--quiet").stderr


@pytest.mark.parametrize(("epochs", "lines"), [(1, 1), (30, 30), (31, 17), (200, 21), (1000, 21), (7777, 17)])
def test_many_epochs_have_some_lines(epochs, lines):
    rows = render._EpochTable(fastmlp.Architecture(4, (3,), 2), epochs)
    result = EpochResult(1, 0.1, 100.0, 0.5, 0.7, 0.6, 0.8, 1.0, [0])
    told = [str(line) for k in range(epochs) for line in rows.lines(replace(result, epoch=k + 1))]
    told = re.findall(rf"^ *(\d+)/{epochs} ", "\n".join([*told, *map(str, rows.end())]), re.M)
    assert len(told) == lines
    assert (told[0], told[-1]) == ("1", str(epochs))


def test_a_narrow_terminal_has_fewer_columns():
    rows = render._EpochTable(fastmlp.Architecture(4, (3,), 2), 5, narrow=True)
    heading, line = map(str, rows.lines(EpochResult(1, 0.1, 100.0, 0.5, 0.7, 0.6, 0.8, 1.0, [0])))
    assert heading.split() == ["epoch", "loss", "train", "test", "seconds"]
    assert line.split() == ["1/5", "0.5000", "0.7000", "0.8000", "0.10"]


def test_an_early_end_has_its_line(people):
    result = train("--data", people, "--epochs", 100, "--validation", 0.2, "--patience", 3, "--lr", 0.1)
    (path,) = Path("runs").iterdir()
    last = len((path / "metrics.jsonl").read_text().splitlines())
    assert last < 100
    assert re.findall(r"^ *(\d+)/100 ", result.stderr, re.M)[-1] == str(last)


@pytest.mark.parametrize("label", ["class", "price"])
def test_a_column_that_gives_the_label_away_is_told(label):
    frame = table()
    frame["answer"] = frame["class"].str.upper() if label == "class" else frame["price"] * 2 + 1
    frame.to_csv("leak.csv", index=False)
    words = ("--data", "leak.csv", "--label", label, "--epochs", 1)
    (line,) = [line for line in train(*words).stderr.splitlines() if line.startswith("Warning: answer ")]
    assert "--drop answer" in line
    assert "Warning" not in train(*words, "--drop", "answer").stderr
    assert train(*words, "--quiet").stderr == ""


def test_folds_of_data_with_a_test_part_leave_it_alone(tmp_path):
    path = save_blobs(tmp_path, 120)
    report = report_of("--data", path, "--folds", 3, "--out", "run")
    assert report["scores"]["rows"] == report["samples"]["train"] == 120
    tested = strict(run("evaluate", "run", *FAST, "--json").stdout)
    assert tested["samples"] == 60
    assert tested["test_accuracy"] == report["epochs"][-1]["test_accuracy"]


def test_a_fold_that_diverges_leaves_no_model(people):
    result = train(
        "--data", people, "--folds", 2, "--optimizer", "sgd", "--lr", 1e30, "--out", "run", "--json"
    )
    assert result.exit_code == 3
    report = strict(result.stdout)
    assert (report["status"], report["test_accuracy"], report["scores"]) == ("diverged", None, None)
    assert not Path("run/model.safetensors").exists()
