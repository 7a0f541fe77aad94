"""Words from the shell that nobody meant: a message on stderr and its exit code, never a traceback."""

from __future__ import annotations

import json
import os
import sys

import pytest
from cli_runs import FAST, run, save_blobs, start, strict

LONG, DIGITS, BYTES = "x" * 5000, "9" * 5000, os.fsdecode(b"\xff\xfe")
DEEP = "[" * 100_000

WRONG = [
    (2, ["train", "--epochs", "1e5000"]),
    (2, ["train", "--epochs", DIGITS]),
    (2, ["train", "--seed", DIGITS]),
    (2, ["train", "--threads", DIGITS]),
    (2, ["train", "--threads", BYTES]),
    (2, ["train", "--momentum", "1e400"]),
    (2, ["train", "--hidden", DIGITS]),
    (2, ["train", "--act", BYTES]),
    (2, ["train", "--class-weight", f"{DIGITS},1"]),
    (2, ["train", "--clip", "1e400", "nan"]),
    (2, ["train", "--schedule", f"step:{DIGITS},1"]),
    (2, ["train", "--data", "synthetic", "--out", LONG]),
    (2, ["train", "--data", "synthetic", "--out", "~nosuchuser/x"]),
    (2, ["train", "--data", "synthetic", "--out", ""]),
    (1, ["train", "--data", "synthetic", "--out", "file/below"]),
    (2, ["train", "--data", "synthetic", "--label", BYTES]),
    (4, ["train", "--data", BYTES]),
    (4, ["train", "--data", LONG]),
    (4, ["train", "--data", "~nosuchuser"]),
    (4, ["train", "--data", "pipe.csv"]),
    (4, ["train", "--data", "X.npz", "--sample-weight", BYTES]),
    (4, ["train", "--data", "X.npz", "--sample-weight", "~nosuchuser"]),
    (4, ["train", "--data", "X.npz", "--sample-weight", "/dev/zero"]),
    (1, ["evaluate", BYTES]),
    (1, ["evaluate", LONG]),
    (1, ["evaluate", "~nosuchuser"]),
    (1, ["evaluate", "pipe.csv"]),
    (1, ["predict", BYTES, BYTES]),
    (1, ["diagnose", BYTES]),
    (1, ["diagnose", LONG]),
    (1, ["diagnose", "deep"]),
    (1, ["diagnose", "pipes"]),
    (2, ["diagnose", "--seconds", "1e400"]),
    (2, ["diagnose", "--plot", f"{LONG}.png"]),
    (4, ["data", BYTES]),
    (2, ["data", "--show", DIGITS]),
    (2, ["study", "--seeds", DIGITS]),
    (2, ["bench", "--rivals", BYTES]),
    (2, ["bench", "--rounds", DIGITS]),
]


@pytest.fixture
def here(tmp_path, monkeypatch, data_home):
    """A folder with a file, pipes, and run folders that are none."""
    monkeypatch.chdir(tmp_path)
    save_blobs(tmp_path, 40).rename(tmp_path / "X.npz")
    (tmp_path / "file").write_text("")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "config.json").write_text(f'{{"config": {DEEP}')
    (tmp_path / "pipes").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    os.mkfifo(tmp_path / "pipes" / "config.json")
    return tmp_path


@pytest.mark.skipif(os.name != "posix", reason="other names, and no pipes in folders")
@pytest.mark.parametrize(("code", "args"), WRONG, ids=[ascii(" ".join(args))[:60] for _, args in WRONG])
def test_wrong_words(here, code, args):
    result = run(*args)
    assert result.exit_code == code
    assert result.stdout == ""
    assert len(result.stderr) < 12_000
    assert not [path for path in here.iterdir() if path.name.startswith("run")]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are texts")
def test_a_name_that_is_no_text_is_taken_and_printed(here):
    (here / "X.npz").rename(here / f"{BYTES}.npz")
    options = {"cwd": here, "env": {"PYTHONUTF8": "1"}}
    trained = start("train", "--data", f"{BYTES}.npz", "--epochs", 1, *FAST, "--out", BYTES, **options)
    out, err = trained.communicate(timeout=100)
    assert trained.returncode == 0, err
    assert r"\udcff" in err
    shown = start("data", f"{BYTES}.npz", **options)
    out, err = shown.communicate(timeout=100)
    assert shown.returncode == 0, err
    assert out.startswith(r"\udcff\udcfe.npz")
    assert json.loads((here / BYTES / "summary.json").read_text())["data"] == f"{BYTES}.npz"
    report = strict(run("evaluate", BYTES, "--json", *FAST).stdout)  # the run's own data are found again
    assert report["data"] == f"{BYTES}.npz"


@pytest.mark.parametrize("value", [LONG, BYTES, "~nosuchuser/x", DIGITS, "/dev/zero", "pipe.csv"])
def test_data_that_the_environment_names(here, monkeypatch, value):
    monkeypatch.setenv("FASTMLP_DATA", value)
    result = run("train", *FAST)
    assert result.exit_code == 4
    assert "FASTMLP_DATA must name data that can be read" in result.stderr
    assert run("data", "--json").exit_code == 0


@pytest.mark.parametrize("share", ["", "-1", "0", "x", DIGITS, "1e5", "٣"])
def test_threads_that_the_environment_names(share, monkeypatch):
    import multiprocessing

    from fastmlp.estimators import threads

    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    monkeypatch.setattr(threads, "get_active_backend", lambda: (type("B", (), {"nesting_level": 1}), 1))
    monkeypatch.setenv("NUMBA_NUM_THREADS", share)
    assert threads.threads_here("auto") >= 1
