"""``fastmlp data FILE``: a table as fastmlp sees it, within the terminal, as JSON, and what looks wrong."""

from __future__ import annotations

import csv
import os
import re

import numpy as np
import pytest
from cli_runs import run, strict
from faulty_tables import FAULTS, people

from fastmlp.data import audit


def write(path, cells, n=None):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(cells)
        for row in list(zip(*cells.values(), strict=True))[:n]:
            missing = (value is None or value != value for value in row)
            writer.writerow("" if gone else value for value, gone in zip(row, missing, strict=True))
    return path


@pytest.fixture
def sound(tmp_path):
    return write(tmp_path / "sound.csv", people(np.random.default_rng(0), 300))


@pytest.fixture
def faulty(tmp_path):
    cells = FAULTS["-9999"].draw(0, 300)
    for name in ("a running number", "a measure taken after", "upper case"):
        cells = FAULTS[name].plant(np.random.default_rng(1), 300, cells)
    return write(tmp_path / "faulty.csv", cells)


def test_a_line_a_column_the_label_and_nothing_wrong(sound):
    result = run("data", sound, env={"COLUMNS": "100"})
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "sound.csv: 300 rows, 8 columns beside the label -> 15 inputs" in " ".join(lines[:2])
    heads = lines[lines.index("") + 1 :]
    assert heads[0].split() == ["column", "kind", "missing", "range", "spread", "becomes"]
    by_name = {line.split()[0]: line for line in heads[1:9]}
    assert [*by_name] == ["age", "height", "income", "children", "city", "member", "since", "grade"]
    assert re.search(r"number +18 \.\. 89 +\d+\.\d+ +standardised$", by_name["age"])
    assert re.search(r"number +[\d.]+% .* standardised \+ missing$", by_name["height"])
    assert "Rome" in by_name["city"]
    assert by_name["city"].endswith("one-hot, 6 categories + missing")
    assert re.search(r"^label +'label', by its name; task: classes", result.stdout, re.M)
    assert re.search(r"3 classes: high \d+, low \d+, mid \d+", result.stdout)
    assert "nothing that looks wrong" in result.stdout
    assert result.stderr == ""


def test_findings_are_told_the_worst_first_with_what_to_do(faulty):
    result = run("data", faulty)
    assert result.exit_code == 0  # the table was shown: that is what was asked for
    found = re.findall(r"^(severe|warning|note) +([\w-]+)$", result.stdout, re.M)
    assert found[0] == ("severe", "label-leaked")
    assert {code for _, code in found} == {"label-leaked", "identifier", "sentinel", "spellings"}
    assert "--drop after" in result.stdout
    assert result.stdout.count("\ndo  ") == result.stdout.count("\nwhy ") == len(found)
    cleaner = run("data", faulty, "--drop", "after,row", "--label", "label")
    assert "label-leaked" not in cleaner.stdout
    assert "dropped: asked" in cleaner.stdout
    assert "sentinel" in cleaner.stdout


@pytest.mark.parametrize("columns", ["40", "60", "80", "200"])
def test_lines_keep_within_the_terminal(faulty, columns):
    text = run("data", faulty, "--label", "label", env={"COLUMNS": columns}).stdout
    assert max(map(len, text.splitlines())) <= min(120, max(60, int(columns)))
    assert "standardised" in text
    assert "-9999" in text


def test_json_gives_all_of_it(faulty):
    (table,) = strict(run("data", faulty, "--json").stdout).values()
    found = audit(faulty).to_json()
    assert table["findings"] == strict_of(found["findings"])
    assert len(table["columns"]) == 10
    assert table["severe"] is True
    assert table["label"]["task"] == "classes"
    assert sum(table["label"]["counts"].values()) == 300


def strict_of(value):
    """What JSON makes of it."""
    if isinstance(value, dict):
        return {key: strict_of(item) for key, item in value.items()}
    return [strict_of(item) for item in value] if isinstance(value, list | tuple) else value


def test_label_and_task_are_chosen(sound):
    text = run("data", sound, "--label", "age").stdout
    assert "task: numbers" in text
    assert "median" in text
    assert "classes:" in run("data", sound, "--label", "grade", "--task", "classes").stdout
    assert "median" in run("data", sound, "--label", "grade", "--task", "numbers").stdout
    assert "median" in run("data", sound, "--label", "grade", "--loss", "squared").stdout
    assert "one-hot, 5 categories" in run("data", sound, "--as-category", "grade").stdout
    kept = run("data", sound, "--keep", "age,city").stdout
    assert kept.count("dropped: asked") == 6


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--drop", "heigth"], 2), (["--keep", "nothing"], 2), (["--as-category", "x"], 2),
        (["--task", "words"], 2), (["--label", "lable"], 4), (["--show", "3"], 4),
    ],
)  # fmt: skip
def test_what_is_not_there_is_one_line(sound, options, code):
    result = run("data", sound, *options)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") <= 2


def test_many_columns_are_put_together(tmp_path):
    g = np.random.default_rng(0)
    pixels = {f"pixel{k}": g.integers(0, 256, 60) for k in range(120)}
    path = write(tmp_path / "pixels.csv", {"id": g.permutation(60), **pixels, "label": g.integers(0, 3, 60)})
    text = run("data", path).stdout
    assert len(text.splitlines()) < 30
    assert re.search(r"^1[12]\d: .*pixel119 +number +0 \.\. 255 ", text, re.M)
    assert "identifier" in text
    assert len(strict(run("data", path, "--json").stdout)["table"]["columns"]) == 121


def test_names_and_cells_can_do_nothing(tmp_path):
    cells = {
        "\x1b[31mred": np.arange(40) % 7,
        "a, b": ["\x1b]0;x\x07", "=1+1"] * 20,
        "名前" * 40: np.arange(40) * 0.37 % 1,
        "y": ["<b>", "c\td"] * 20,
    }
    result = run("data", write(tmp_path / "odd.csv", cells), "--label", "y")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "\x07" not in result.stdout


def test_other_files_are_described_as_before(tmp_path):
    np.savez(tmp_path / "arrays.npz", X=np.random.default_rng(0).random((60, 5)), y=np.arange(60) % 2)
    text = run("data", tmp_path / "arrays.npz").stdout
    assert "class   train    test" in text
    assert "dataset" in strict(run("data", tmp_path / "arrays.npz", "--json").stdout)


def test_a_parquet_file_is_shown_as_its_csv(tmp_path, sound):
    pd = pytest.importorskip("pandas")
    pd.read_csv(sound, parse_dates=["since"]).to_parquet(tmp_path / "sound.parquet")
    first, second = (run("data", path, "--json").stdout for path in (sound, tmp_path / "sound.parquet"))
    first, second = (strict(text)["table"] for text in (first, second))
    assert first["findings"] == second["findings"] == []
    assert first["label"] == second["label"]
    assert [c["name"] for c in first["columns"]] == [c["name"] for c in second["columns"]]


def test_a_missing_or_broken_table_is_named(tmp_path):
    (tmp_path / "ragged.csv").write_text("a,b,y\n1,2,0\n1,2,3,4\n")
    for path in (tmp_path / "absent.csv", tmp_path / "ragged.csv"):
        result = run("data", path)
        assert (result.exit_code, result.stdout) == (4, "")
        assert os.fspath(path) in result.stderr
