"""What goes to a terminal: names without their escape codes, errors of a bounded length, any window."""

from __future__ import annotations

import os
import pickle
import random
import sys
import unicodedata
from functools import partial

import numpy as np
import pytest
from cli_runs import ANSI, FAST, run, save_blobs, start
from fastmlp_cli import streams
from fastmlp_cli.streams import clean
from terminals import on_terminal

from fastmlp.errors import MOST, ConfigError, ConfigErrors, DataError

NASTY = "a\x1b]0;title\x07\x1b[31mred\x9b5m\u202etxt\u2066\nError: \r\u2028b"
LONG = 100_000
posix = pytest.mark.skipif(os.name != "posix", reason="such names, and terminals")


def hidden(text):
    """The characters that a terminal may obey, but for line ends."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"]


def test_text_that_is_printable_stays_and_all_else_is_written_out():
    assert clean(NASTY).isprintable()
    assert clean(NASTY).startswith(r"a\x1b]0;title\x07\x1b[31mred\x9b5m\u202etxt\u2066\nError: ")
    assert clean("Größe 数 – 'a b'") == "Größe 数 – 'a b'"
    draw = random.Random(0)
    for _ in range(300):
        text = "".join(chr(draw.randrange(sys.maxunicode + 1)) for _ in range(20))
        assert clean(text).isprintable()
        assert clean("".join(c for c in text if c.isprintable())) in clean(text) or not text.isprintable()


@posix
def test_names_of_files_columns_and_runs_have_no_escape_codes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.rename(save_blobs(tmp_path), f"{NASTY}.npz")  # noqa: PTH104
    with open("table.csv", "w") as file:
        file.write("\x1b[31mone,two\u202e,\x1b[5m\n" + "1,2,3\n4,5,6\n" * 5)
    bad_number = f"{NASTY}.csv"
    with open(bad_number, "w") as file:
        file.write("label,b\n1,2\n2,\x1b[31mx\n" * 5)
    commands = [
        ("data", f"{NASTY}.npz"),
        ("train", *FAST, "--epochs", 1, "--data", f"{NASTY}.npz", "--out", NASTY),
        ("evaluate", NASTY, *FAST),
        ("predict", NASTY, f"{NASTY}.npz", *FAST),
        ("predict", f"{NASTY}/none", f"{NASTY}.npz"),
        ("evaluate", f"{NASTY}-none"),
        ("diagnose", NASTY, "--plot", NASTY),
        ("data", "table.csv", "--label", NASTY),
        ("data", "table.csv"),
        ("data", bad_number),
        ("train", "--act", NASTY, "--hidden", NASTY, "--data", NASTY),
        (NASTY,),
        ("train", f"--{NASTY}"),
        ("train", "--epochs", NASTY),
        ("data", "table.csv", NASTY),
        ("data", "table.csv", "--show", NASTY),
    ]
    for args in commands:
        result = run(*args)
        assert not hidden(result.output), (args, result.output)
        assert not [line for line in result.output.splitlines() if line.startswith("Error: \\r")]


def test_an_error_text_is_one_line_of_a_bounded_length():
    for parts in ((NASTY * LONG,), ("a must be b", NASTY * LONG), ("a", "b", NASTY * LONG), ("x" * MOST,)):
        text = str(DataError(*parts))
        assert len(text.splitlines()[0]) <= 2 * MOST
        assert "\n" not in text
        assert "\r" not in text
    text = str(DataError("a must be b", "x" * LONG, "do this"))
    assert text.startswith("a must be b; got xxx")
    assert text.endswith("xxx. Do this.")
    assert len(text) == MOST
    assert str(DataError("a must be b", "c", "do this")) == "a must be b; got c. Do this."


def test_several_problems_are_a_line_each_and_survive_pickling():
    problems = [ConfigError("a must be b", "c\nd"), ConfigError("e must be f", "x" * LONG)]
    error = ConfigError.collect(problems)
    assert isinstance(error, ConfigErrors)
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert isinstance(one, ConfigError)
        assert str(one).split("\n") == [str(problem) for problem in problems]
    assert ConfigError.collect(problems[:1]) is problems[0]


def test_a_command_line_of_any_length_has_a_short_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    long = "x" * LONG
    np.savetxt(
        "wide.csv", np.ones((2, 2000)), "%d", ",", header=",".join(f"{n}-{'y' * 500}" for n in range(2000))
    )
    for args in (
        (long,), ("train", f"--{long}"), ("train", "--epochs", long), ("data", "a", long), ("data", long),
        ("train", "--act", long), ("train", "--hidden", long), ("evaluate", long), ("predict", long, long),
        ("data", "wide.csv", "--label", "z"), ("data", "wide.csv", "--label", long), ("diagnose", long),
    ):  # fmt: skip
        result = run(*args)
        assert result.exit_code
        assert len(result.output) < 2 * MOST, (args[:2], len(result.output))


@pytest.mark.parametrize("columns", ["0", "1", "-1", "", "x", "²", "9" * 30, "10", "80"])
def test_windows_of_any_size_get_their_text(columns, monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    streams.prepare()
    assert (
        os.environ.get("COLUMNS") == os.environ.get("LINES") == (columns if columns in ("10", "80") else None)
    )


@pytest.mark.slow
@posix
@pytest.mark.parametrize("env", [{"COLUMNS": "0", "LINES": "0", "TERM": "dumb"}, {"COLUMNS": "1"}], ids=str)
def test_a_process_prints_in_windows_of_any_size(env, tmp_path):
    process = start("train", "--help", env=env, cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "Activation of the hidden" in out


@posix
@pytest.mark.parametrize(
    "size", [(0, 0), *(pytest.param(size, marks=pytest.mark.slow) for size in ((1, 1), (24, 80)))], ids=str
)
def test_a_terminal_of_any_size_gets_a_training(size, tmp_path):
    data = save_blobs(tmp_path).rename(tmp_path / f"{NASTY}.npz")
    words = ("train", *FAST, "--epochs", 2, "--data", data, "--out", tmp_path / "run")
    text = on_terminal(partial(start, *words, cwd=tmp_path, env={"TERM": "xterm"}), size)
    assert "\x1b" in text  # the bar's own, and no others
    assert not hidden(ANSI.sub("", text).replace("\r", ""))
    assert "Test accuracy: " in text
