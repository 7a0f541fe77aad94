"""bench/tables.py: the tables it draws, its comparison with scikit-learn, and what it may find."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import tables as program

    yield program
    for name in ("tables", "drawn_tables", "markdown"):
        sys.modules.pop(name, None)


def rows_of(drawn, path):
    drawn.write(path)
    head, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
    return head, rows


def test_tables_are_what_people_have(tables, tmp_path):
    """Ten at least, of both tasks; texts, gaps, rare classes and skewed numbers are among them."""
    seen = {"texts": 0, "gaps": 0, "rare": 0, "skewed": 0, "classes": 0, "numbers": 0}
    for name in tables.TABLES:
        drawn = tables.draw(name)
        head, rows = rows_of(drawn, tmp_path / f"{name}.csv")
        assert head == [*drawn.columns]
        assert drawn.label in head
        assert {len(row) for row in rows} == {len(head)}
        labels = [row[head.index(drawn.label)] for row in rows]
        assert "" not in labels
        seen[drawn.task] += 1
        if drawn.task == "classes":
            counts = np.unique(labels, return_counts=True)[1]
            assert counts.min() >= 10  # so that every fold has some to train on and to test on
            seen["rare"] += counts.max() >= 9 * counts.min()
        cells = [column for row in rows for column in row]
        seen["gaps"] += "" in cells
        for i in range(len(head)):
            column = [row[i] for row in rows if row[i]]
            try:
                numbers = np.array(column, float)
            except ValueError:
                seen["texts"] += 1
            else:
                centred = numbers - numbers.mean()
                seen["skewed"] += (centred**3).mean() > 2 * (centred**2).mean() ** 1.5 > 0
    assert seen["classes"] + seen["numbers"] >= 10
    assert min(seen.values()) >= 2, seen


def test_a_table_is_the_same_on_every_call(tables, tmp_path):
    for name in ("adult", "house_prices", "wine"):
        one, two = (rows_of(tables.draw(name), tmp_path / "t.csv") for _ in range(2))
        assert one == two
    assert rows_of(tables.draw("adult"), tmp_path / "t.csv") != rows_of(
        tables.draw("passengers"), tmp_path / "t.csv"
    )


def test_folds_share_the_rows_and_the_classes(tables):
    labels = np.repeat(["a", "b"], [90, 10])
    parts = [*tables.folds(labels, "classes", 0)]
    assert sorted(np.concatenate([test for _, test in parts]).tolist()) == list(range(100))
    for train, test in parts:
        assert not set(train) & set(test)
        assert (labels[test] == "b").sum() == 2
    assert [p[1].tolist() for p in tables.folds(labels, "classes", 0)] == [p[1].tolist() for p in parts]
    assert [p[1].tolist() for p in tables.folds(labels, "classes", 1)] != [p[1].tolist() for p in parts]


def test_rows_of_a_file_are_lines_of_it(tables, tmp_path):
    (tmp_path / "all.csv").write_text("a,b\n1,x\n2,y\n3,z\n", encoding="utf-8")
    tables.rows_of(tmp_path / "all.csv", [2, 0], tmp_path / "some.csv")
    assert (tmp_path / "some.csv").read_text(encoding="utf-8") == "a,b\n3,z\n1,x\n"


def pair(tables, ours, theirs):
    as_runs = [tuple((score, 1.0) for score in scores) for scores in (ours, theirs)]
    return tables.Compared("iris", tables.draw("iris"), *as_runs)


def test_the_comparison_goes_red(tables):
    for ours, theirs, worse in (
        ((0.9, 0.9), (0.9, 0.9), False),
        ((0.89, 0.9), (0.9, 0.9), False),
        ((0.88, 0.89), (0.9, 0.9), True),
        ((0.0, 0.0), (0.9, 0.9), True),
        ((float("nan"), 0.9), (0.9, 0.9), True),
        ((1.0, 1.0), (0.9, 0.9), False),
    ):
        result = pair(tables, ours, theirs)
        assert result.is_worse is worse
        assert ("(worse)" in tables.lines_of([result])) is worse
    assert pair(tables, (0.8, 0.9), (0.9, 0.9)).difference == pytest.approx(-0.05)
    assert pair(tables, (0.8, 0.9), (0.9, 0.9)).noise == pytest.approx(0.05)


def test_the_program_fails_where_fastmlp_is_worse(tables, monkeypatch, capsys, tmp_path):
    page = tmp_path / "page.md"
    for score, ended in ((0.9, 0), (0.88, 1)):
        monkeypatch.setattr(tables, "ours", lambda *_, score=score: (score, 1.0))
        monkeypatch.setattr(tables, "theirs", lambda *_: (0.9, 1.0))
        page.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n", encoding="utf-8")
        monkeypatch.setattr(
            sys, "argv", ["tables.py", "--tables", "iris", "--seeds", "1", "--out", str(page)]
        )
        with pytest.raises(SystemExit) as caught:
            tables.main()
        assert int(caught.value.code or 0) == ended
        told = page.read_text(encoding="utf-8")
        assert told.startswith("before\n")
        assert told.endswith("after\n")
        assert "\nold\n" not in told
        assert ("(worse)" in told) == bool(ended)
    capsys.readouterr()
    with pytest.raises(RuntimeError, match="must have a part"):
        tables.written("no marks", "new")


@pytest.mark.parametrize("told", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_both_sides_read_the_same_files(tables, tmp_path, told):
    """On a table that a line tells, both are nearly right; without the column that does, neither is."""
    r = np.random.default_rng(0)
    x = r.normal(size=300)
    word = np.where(r.random(300) < 0.5, "red", "blue")
    kind = np.where(x + (word == "red") > 0.5, "yes", "no")
    columns = {"x": x if told else r.normal(size=300), "a word": word if told else r.permutation(word)}
    drawn = tables.Drawn("kind", "classes", columns | {"kind": kind})
    drawn.write(tmp_path / "all.csv")
    for name, rows in (("train", range(200)), ("test", range(200, 300))):
        tables.rows_of(tmp_path / "all.csv", rows, tmp_path / f"{name}.csv")
    files = tmp_path / "train.csv", tmp_path / "test.csv"
    scores = [side(*files, drawn, 0)[0] for side in (tables.ours, tables.theirs)]
    assert (min(scores) > 0.9) == told
    assert abs(scores[0] - scores[1]) < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("name", ["passengers", "house_prices"])
def test_fastmlp_is_no_worse_than_scikit_learn(tables, name):
    """One division into folds of two tables, with three standard errors of the difference for luck."""
    result = tables.compared(name, range(1), {})
    assert len(result.ours) == tables.FOLDS
    assert result.difference >= -tables.WORSE - 3 * result.noise


def test_the_page_has_every_table_and_none_is_worse(tables):
    page = (BENCH.parent / "docs" / "tables.md").read_text(encoding="utf-8")
    part = page.partition(tables.BEGIN)[2].partition(tables.END)[0]
    for name in tables.TABLES:
        assert f"| {name.replace('_', ' ')} |" in part
    assert "(worse)" not in page
