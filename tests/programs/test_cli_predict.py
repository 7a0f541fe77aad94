"""``fastmlp predict`` on tables: the same answers in every format, from every door, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from cli_runs import FAST, run, start, strict
from fastmlp_cli import predict, predictions
from fastmlp_cli.app import app
from typer.testing import CliRunner

import fastmlp
from fastmlp.data import tables

WORDS = ("plain", "with, comma", 'with "quotes"', "naïve ünicode 日本", "=1+1", " 'single' ", "a;b\tc")


def people(n: int, seed: int) -> pd.DataFrame:
    """Rows whose label is a text that a column of texts tells, with gaps."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, len(WORDS), n)
    frame = pd.DataFrame(
        {
            "age, years": rng.integers(18, 90, n).astype(float),
            "city": np.array(["Rome", "Oslo", 'St. "X", Y', "Ørsta"])[kind % 4],
            "income": (kind * 10 + rng.normal(size=n)).round(3),
            "member": rng.random(n) < 0.5,
            "class": np.array(WORDS)[kind],
        }
    )
    frame.loc[rng.random(n) < 0.1, "age, years"] = np.nan
    frame.loc[rng.random(n) < 0.1, "city"] = None
    return frame


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Runs of classes, of numbers and of arrays, and tables."""
    place = tmp_path_factory.mktemp("predict")
    people(300, 0).to_csv(place / "people.csv", index=False)
    people(300, 0).drop(columns="class").to_csv(place / "houses.csv", index=False)
    people(40, 1).drop(columns="class").to_csv(place / "new.csv", index=False)
    words = ("--epochs", 25, "--lr", 0.05, "--quiet", *FAST)
    data = place / "people.csv"
    assert run("train", "--data", data, "--label", "class", *words, "--out", place / "run").exit_code == 0
    data = place / "houses.csv"
    told = run("train", "--data", data, "--label", "income", *words, "--out", place / "numbers")
    assert told.exit_code == 0, told.output
    return place


@pytest.fixture
def model(home):
    return replace(fastmlp.Model.load(home / "run/model.safetensors"), backend="numpy")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def said(home, *args, source="new.csv", model="run"):
    result = run("predict", home / model, source if source == "-" else home / source, *FAST, *args)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def rows_of(text):
    return list(csv.reader(io.StringIO(text, newline="")))


def test_labels_are_the_models_own_in_the_order_of_the_rows(home, model):
    heading, *rows = rows_of(said(home))
    new = tables.read(home / "new.csv")
    assert heading == ["class"]
    assert [row[0] for row in rows] == model.predict(new).tolist()
    assert len({row[0] for row in rows}) == len(WORDS)
    truth = people(40, 1)["class"].str.strip()
    assert np.mean([row[0] == true for row, true in zip(rows, truth, strict=True)]) > 0.8


@pytest.mark.parametrize("rows", [1, 7, 40, 1000])
@pytest.mark.parametrize("proba", [False, True])
def test_pieces_of_any_size_give_the_same(home, monkeypatch, rows, proba):
    args = ["--proba"] * proba
    heading, *whole = rows_of(said(home, *args))
    monkeypatch.setattr(predict, "ROWS", rows)
    again = rows_of(said(home, *args))
    assert again[0] == heading
    assert [row[0] for row in again[1:]] == [row[0] for row in whole]
    p, others = (np.array([row[1:] for row in part], float) for part in (again[1:], whole))
    np.testing.assert_allclose(p, others, rtol=1e-4)  # products of fewer rows round otherwise


@pytest.mark.parametrize("kind", predictions.FORMATS)
@pytest.mark.parametrize("proba", [False, True])
def test_every_format_holds_the_same(home, model, kind, proba):
    file = Path(f"answers.{kind}")
    said(home, "--out", file, *["--proba"] * proba)
    new = tables.read(home / "new.csv")
    names = ["class", *(model.classes if proba else ())]
    if kind == "csv":
        heading, *rows = rows_of(file.read_text())
        found = dict(zip(heading, zip(*rows, strict=True), strict=True))
        assert file.read_text() == said(home, *["--proba"] * proba)
    elif kind == "jsonl":
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        found = {name: [line[name] for line in lines] for name in lines[0]}
        assert file.read_text() == said(home, "--format", "jsonl", *["--proba"] * proba)
    else:
        table = pyarrow.parquet.read_table(file)
        found = table.to_pydict()
        assert {str(column.type) for column in table.columns[1:]} <= {"float"}
    assert list(found) == names
    assert list(found["class"]) == model.predict(new).tolist()
    if proba:
        p = np.array([found[k] for k in model.classes], float).T
        np.testing.assert_allclose(p, model.predict_proba(new), atol=1e-6)


def write_shuffled(frame, path):
    frame.sample(frac=1, axis=1, random_state=3).to_csv(path, index=False)


def write_semicolons(frame, path):
    frame.to_csv(path, index=False, sep=";", encoding="utf-8-sig")


def write_tabs(frame, path):
    frame.to_csv(path.with_suffix(".tsv"), index=False, sep="\t")


def write_gzip(frame, path):
    frame.to_csv(path.with_suffix(".csv.gz"), index=False)


def write_parquet(frame, path):
    frame.to_parquet(path.with_suffix(".parquet"))


def write_feather(frame, path):
    frame.to_feather(path.with_suffix(".feather"))


WRITERS = [write_shuffled, write_semicolons, write_tabs, write_gzip, write_parquet, write_feather]


@pytest.mark.parametrize("write", WRITERS)
def test_every_table_of_the_same_rows_gives_the_same(home, write):
    write(people(40, 1).drop(columns="class"), Path("table.csv"))
    (path,) = Path().iterdir()
    result = run("predict", home / "run", path, *FAST, "--proba")
    assert result.stdout == said(home, "--proba")


@pytest.mark.parametrize("label", [True, False])
def test_from_standard_input(home, label):
    frame = people(40, 1)
    text = (frame if label else frame.drop(columns="class")).to_csv(index=False)
    result = CliRunner().invoke(app, ["predict", str(home / "run"), "-", *FAST], input=text)
    assert result.stdout == said(home)
    assert ("left  out: class" in result.stderr) is label


def test_a_pipe_of_processes(home):
    process = start("predict", home / "run", "-", *FAST, "--proba", stdin=-1)
    out, err = process.communicate((home / "people.csv").read_text(), timeout=60)
    assert (process.returncode, err) == (0, "left  out: class\n")
    assert out == said(home, "--proba", source="people.csv")


def test_numbers_come_in_their_units(home):
    model = replace(fastmlp.Model.load(home / "numbers/model.safetensors"), backend="numpy")
    exact = model.predict(tables.read(home / "new.csv"))
    heading, *rows = rows_of(said(home, model="numbers"))
    assert heading == ["income"]
    np.testing.assert_allclose([float(row[0]) for row in rows], exact, rtol=1e-6)
    lines = said(home, "--format", "jsonl", model="numbers").splitlines()
    np.testing.assert_allclose([json.loads(line)["income"] for line in lines], exact, rtol=1e-6)
    said(home, "--out", "answers.parquet", model="numbers")
    assert pyarrow.parquet.read_table("answers.parquet")["income"].to_pylist() == exact.tolist()
    assert strict(said(home, "--json", model="numbers"))["predictions"] == exact.tolist()


def test_one_object_as_before(home, model):
    report = strict(said(home, "--json", "--proba"))
    assert report["classes"] == list(model.classes)
    assert report["labels"] == model.predict(tables.read(home / "new.csv")).tolist()
    assert np.shape(report["probabilities"]) == (40, len(WORDS))


def test_the_label_and_other_columns_that_are_no_inputs_are_said_once(home, monkeypatch):
    monkeypatch.setattr(predict, "ROWS", 50)
    result = run("predict", home / "run", home / "people.csv", *FAST)
    assert result.stderr == "left  out: class\n"
    frame = people(20, 2).assign(note="x")
    frame.to_csv("noted.csv", index=False)
    refused = run("predict", home / "run", "noted.csv", *FAST)
    assert (refused.exit_code, refused.stdout) == (4, "")
    assert "must have no columns that training lacked; got 'note'" in refused.stderr
    result = run("predict", home / "run", "noted.csv", *FAST, "--label", "note")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 21)


def test_a_column_that_is_missing_is_named(home):
    people(5, 2).drop(columns="city").to_csv("short.csv", index=False)
    for args in ([], ["--out", "x.csv"]):
        result = run("predict", home / "run", "short.csv", *FAST, *args)
        assert (result.exit_code, result.stdout) == (4, "")
        assert "must have the columns of training; got no 'city'" in result.stderr
    assert [path.name for path in Path().iterdir()] == ["short.csv"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_fault_late_in_a_file_leaves_what_was_there(home, monkeypatch, kind):
    monkeypatch.setattr(predict, "ROWS", 10)
    lines = (home / "new.csv").read_text().splitlines()
    lines[35] = lines[35].replace(lines[35].split(",")[-2], "many")
    Path("bad.csv").write_text("\n".join(lines))
    Path(f"old.{kind}").write_text("old")
    result = run("predict", home / "run", "bad.csv", *FAST, "--out", f"old.{kind}")
    assert result.exit_code == 4
    assert "line 36 of bad.csv must hold a number in column 'income'" in result.stderr
    assert Path(f"old.{kind}").read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["bad.csv", f"old.{kind}"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
def test_a_full_disk(home, monkeypatch, kind):
    from fastmlp import files

    opened = os.open

    def open_full(path, flags, *mode, **options):
        is_new = Path(path).name.startswith(".old")
        return opened("/dev/full", os.O_WRONLY) if is_new else opened(path, flags, *mode, **options)

    Path(f"old.{kind}").write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "open", open_full)
        result = run("predict", home / "run", home / "new.csv", *FAST, "--out", f"old.{kind}")
    assert result.exit_code == 1
    assert f"old.{kind} must be writable; got No space left on device" in result.stderr
    assert Path(f"old.{kind}").read_text() == "old"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--format", "xml"], 2, "format must be one of csv, jsonl, parquet; got 'xml'"),
        (["--format", "parquet"], 2, "format parquet must go with out"),
        (["--out", "answers.xls"], 2, "out must end in .csv, .jsonl, .ndjson, .parquet"),
        (["--out", "answers.csv", "--format", "jsonl"], 2, "format must be what out says, csv"),
        (["--out", "folder.csv"], 2, "out must be a file, new or to be replaced; got folder.csv, a folder"),
        (["--out", "/dev/null", "--format", "csv"], 2, "got /dev/null, a device or a pipe"),
        (["--out", "link.csv"], 2, "out must be another file than that with the rows"),
        (["--out", "absent/answers.csv"], 1, "must be writable; got No such file or directory"),
        (["--out", ""], 2, "out must be a path"),
        (["--json", "--out", "answers.csv"], 2, "json, one object on stdout, must be left out"),
        (["--json", "--format", "jsonl"], 2, "json, one object on stdout, must be left out"),
        (["--threads", "0", "--format", "xml"], 2, "threads must be"),
    ],
    ids=str,
)
def test_places_and_formats_that_do_not_fit(home, args, code, message):
    Path("folder.csv").mkdir()
    Path("link.csv").symlink_to(home / "new.csv")
    result = run("predict", home / "run", home / "new.csv", *FAST, *args)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert (home / "new.csv").read_text().startswith('"age, years"')
    assert sorted(path.name for path in Path().iterdir()) == ["folder.csv", "link.csv"]


def test_a_link_is_followed(home):
    Path("there").mkdir()
    Path("there/real.csv").write_text("old")
    Path("link.csv").symlink_to("there/real.csv")
    text = said(home, "--out", "link.csv")
    assert text == ""
    assert Path("link.csv").is_symlink()
    assert Path("there/real.csv").read_text() == said(home)


def test_probabilities_are_of_classes(home):
    result = run("predict", home / "numbers", home / "new.csv", *FAST, "--proba", "--out", "x.csv")
    assert (result.exit_code, list(Path().iterdir())) == (2, [])
    assert "proba must be left out of a model of numbers" in result.stderr


def test_parquet_without_its_library_is_one_line(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = run("predict", home / "run", home / "new.csv", *FAST, "--out", "answers.parquet")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: pyarrow must be installed to write Parquet; got none. "
        'Install it: pip install "fastmlp[tables]".\n'
    )


def test_a_class_that_is_called_as_the_label_has_a_column_of_its_own():
    frame = pd.DataFrame({"x": np.arange(60) % 2, "label": np.array(["label", "other"])[np.arange(60) % 2]})
    frame.to_csv("table.csv", index=False)
    assert run("train", "--data", "table.csv", *FAST, "--epochs", 2, "--out", "run").exit_code == 0
    lines = run("predict", "run", "table.csv", *FAST, "--proba").stdout.splitlines()
    assert lines[0] == "predicted label,label,other"


def test_a_terminal_shows_no_escape_codes(home, monkeypatch, capsys):
    from fastmlp_cli import streams

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    streams.pour("a\x1b[31m\nb\n")
    assert capsys.readouterr().out == "a\\x1b[31m\nb\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_what_was_there(home, number):
    Path("old.csv").write_text("old")
    process = start("predict", home / "run", "-", *FAST, "--out", "old.csv", stdin=subprocess.PIPE)
    rows = (home / "new.csv").read_text().splitlines(keepends=True)
    process.stdin.write("".join([rows[0], *rows[1:] * 3000]))  # more than a piece
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while len(list(Path().iterdir())) == 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in err
    assert Path("old.csv").read_text() == "old"
    assert len(list(Path().iterdir())) == 1 or number == signal.SIGKILL
