"""bench/estimators.py: its pairs, the programs that it changes, fits at once, and what it may find."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from joblib.externals.loky import get_reusable_executor

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # it sets it, for its processes
    import estimators as program

    yield program
    for name in ("estimators", "markdown"):
        sys.modules.pop(name, None)


def made(bench, *ratios, target=2.0):
    seconds = tuple((1.0, ratio) for ratio in ratios)
    return bench.Pairs("iris", seconds, (("0.9 (5)", "0.8 (6)"),) * len(ratios), target)


def test_the_comparison_goes_red(bench):
    for ratios, under in (
        ((2.0,), False),
        ((1.99,), True),
        ((9.0, 2.5, 0.1), False),  # the median
        ((9.0, 1.5, 0.1), True),
        ((float("nan"),), True),
    ):
        pair = made(bench, *ratios)
        assert pair.is_under is under
        page, missed = bench.pairs_page([pair])
        assert missed is under
        assert ("(under)" in page) == under
        assert "0.9 (5) | 0.8 (6)" in page
    assert not bench.pairs_page([])[1]


def test_fits_are_paired(bench):
    pair = bench.pairs("iris", 2, 3)
    assert len(pair.seconds) == len(pair.scores) == 2
    assert min(np.ravel(pair.seconds)) > 0
    assert pair.scores[0][0] == pair.scores[0][1]  # the same net
    assert "(3)" in pair.scores[0][0]  # epochs


@pytest.mark.parametrize("name", ["20,000 x 8, numbers", "50,000 x 20, 2 classes", "50,000 x 20, 10 classes"])
def test_drawn_data_are_what_they_are_called(bench, name):
    kind, make, _ = bench.CASES[name]
    X, y = make()
    assert name.startswith(f"{len(X):,} x {X.shape[1]}")
    assert X.dtype == np.float64
    if kind == "MLPClassifier":
        counts = np.bincount(y)
        assert name.endswith(f"{len(counts)} classes")
        assert counts.min() > len(y) / len(counts) / 4
    assert np.array_equal(make()[0], X)


PROGRAM = """
import sys
{line}
print("SCORE it", {name}(solver="lbfgs", max_iter=3).fit([[0.0], [1.0]], [0, 1]).score([[0.0]], [0]) + 0.25)
open("a file", "w").close()
print("SCORE", sys.modules[{name}.__module__].__name__.startswith("fastmlp") + 1)
"""


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("from sklearn.neural_network import MLPClassifier", "MLPClassifier"),
        ("import sklearn.neural_network as nn", "nn.MLPClassifier"),
        ("from sklearn import neural_network", "neural_network.MLPClassifier"),
        ("from sklearn import metrics, neural_network, pipeline", "neural_network.MLPClassifier"),
    ],
)
def test_a_program_is_run_with_both_imports(bench, tmp_path, monkeypatch, line, name, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "p01_it.py"
    path.write_text(PROGRAM.format(line=line, name=name))
    pair = bench.program(path, 1)
    ((ours, theirs),) = pair.scores
    assert (ours.split()[1], theirs.split()[1]) == ("2", "1")
    assert ours.split()[0] in ("0.25", "1.25")
    assert pair.target == 1
    assert [*tmp_path.iterdir()] == [path]  # its file went elsewhere
    assert capsys.readouterr().out == ""


def test_a_program_without_the_import_is_refused_and_one_that_fails_is_not_hidden(bench, tmp_path):
    path = tmp_path / "p.py"
    path.write_text("print('SCORE', 1)")
    with pytest.raises(RuntimeError, match="must import sklearn"):
        bench.program(path, 1)
    path.write_text("from sklearn.neural_network import MLPClassifier\n1 / 0")
    with pytest.raises(ZeroDivisionError):
        bench.program(path, 1)


@pytest.mark.slow
def test_every_way_of_fits_at_once(bench, monkeypatch):
    case = ("MLPClassifier", lambda: bench.loaded(bench.load_iris), {"max_iter": 5})
    monkeypatch.setitem(bench.AT_ONCE_CASES, "small", case)
    monkeypatch.setattr(bench, "available_cores", lambda: 2)
    found = bench.shares("small", 1)
    get_reusable_executor().shutdown(wait=True)  # other tests count threads
    assert {threads for _, threads in found} == {"auto", "1", "2"}
    assert {way for way, _ in found} == {
        "joblib, loky", "joblib, threads", "ThreadPoolExecutor", "multiprocessing", "cross_val_score",
        "GridSearchCV",
    }  # fmt: skip
    assert min(found.values()) > 0


def test_shares_that_are_too_large_go_red(bench, monkeypatch):
    for share, missed in ((1.1, False), (1.2, True), (float("nan"), True)):
        found = {("loky", "auto"): share, ("loky", "1"): 1.0, ("loky", "2"): 1.0}
        monkeypatch.setattr(bench, "shares", lambda name, rounds, found=found: found)
        page, red = bench.at_once_page(1, ["digits"])
        assert red is missed
        assert ("(over)" in page) == (share > 1.15)


def test_an_epoch_is_the_difference_of_two_fits(bench, monkeypatch):
    monkeypatch.setattr(bench, "EPOCHS", 3)
    assert -1 < bench.epoch_seconds("float32", 1) < 1
    for spent, missed in ((1e-6, False), (50e-6, True), (float("nan"), True)):
        monkeypatch.setattr(bench, "epoch_seconds", lambda dtype, rounds, spent=spent: spent)
        page, red = bench.epochs_page(1)
        assert red is missed
        assert page.count("(over)") == (spent > 40e-6)


def test_the_program_fails_where_a_target_is_missed(bench, monkeypatch, capsys, tmp_path):
    (tmp_path / "p01_it.py").touch()
    fine, bad = made(bench, 5.0), made(bench, 1.0)
    monkeypatch.setattr(bench, "at_once_page", lambda rounds, names: ("shares", False))
    monkeypatch.setattr(bench, "epochs_page", lambda rounds: ("epochs", False))
    for fits, programs, ended in ((fine, fine, 0), (bad, fine, 1), (fine, bad, 1)):
        monkeypatch.setattr(bench, "pairs", lambda *_, found=fits: found)
        monkeypatch.setattr(bench, "program", lambda *_, found=programs: found)
        monkeypatch.setattr(sys, "argv", ["estimators.py", "--programs", str(tmp_path)])
        with pytest.raises(SystemExit) as caught:
            bench.main()
        assert int(caught.value.code or 0) == ended
        out = capsys.readouterr().out
        assert [line for line in out.splitlines() if line.startswith("## ")] == [
            f"## {name}" for name in bench.SECTIONS
        ]
    monkeypatch.setattr(sys, "argv", ["estimators.py", "--only", "programs"])
    with pytest.raises(SystemExit) as caught:
        bench.main()
    assert caught.value.code == 2
