"""The command as a whole: help, version, completion, what it loads, and the one table of exit codes."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
import typer
from cli_runs import COLOURS, run
from fastmlp_cli.failures import CODES, AccuracyError, Boundary, code_of
from fastmlp_cli.render import Screen
from rich.console import Console
from typer.testing import CliRunner

import fastmlp
from fastmlp import errors

COMMANDS = ("train", "diagnose", "study", "evaluate", "predict", "data", "info", "warmup", "bench")


def python(code, cwd, **env):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )


def test_help_names_every_command():
    text = run("--help").stdout
    assert all(command in text for command in COMMANDS)
    assert "Exit codes" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command):
    result = run(command, "-h")
    assert result.exit_code == 0
    assert f"fastmlp {command}" in result.stdout
    assert result.stderr == ""


def test_train_help_lists_the_options():
    text = run("train", "--help", env={"COLUMNS": "200"}).stdout
    for option in [
        "act",
        "scale",
        "center",
        "hidden",
        "lr",
        "batch-size",
        "epochs",
        "seed",
        "loss",
        "clip",
        "init",
        "threads",
        "backend",
        "data",
        "test-data",
        "label",
        "out",
        "resume",
        "checkpoint-seconds",
        "min-accuracy",
        "json",
        "quiet",
    ]:
        assert f"--{option} " in text


def test_version():
    result = run("--version")
    assert result.stdout == f"fastmlp {fastmlp.__version__}\n"


def test_help_and_wrong_usage_load_nothing_heavy(tmp_path):
    code = """
import sys
import fastmlp_cli.__main__
from fastmlp_cli.app import run
for args in ["--help"], ["train", "--help"], ["--version"], ["train", "--scale", "0"]:
    sys.argv = ["fastmlp", *args]
    code = run()
    print("ENDED", code, sorted({"numpy", "numba", "llvmlite", "safetensors"} & set(sys.modules)))
"""
    lines = python(code, tmp_path).stdout.splitlines()
    ended = [line for line in lines if line.startswith("ENDED")]
    assert ended == ["ENDED 0 []"] * 3 + ["ENDED 2 []"]


def test_the_package_is_not_called_cli(tmp_path):
    assert "ModuleNotFoundError" in python("import cli", tmp_path).stderr
    assert python("import fastmlp_cli; print('there')", tmp_path).stdout == "there\n"


def test_runs_as_a_module(tmp_path):
    command = [sys.executable, "-m", "fastmlp_cli", "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith("fastmlp ")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("fastmlp tr", "train"),
        ("fastmlp train --act sig", "sigmoid"),
        ("fastmlp train --batch-norm af", "after"),
        ("fastmlp train --data sy", "synthetic"),
        ("fastmlp evaluate --backend numb", "numba"),
    ],
)
def test_shell_completion(words, completed, tmp_path):
    done = python(
        "from fastmlp_cli.__main__ import main; main()",
        tmp_path,
        _FASTMLP_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    assert done.stdout.split() == [completed]


def test_every_error_of_the_library_has_a_code():
    family = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(family) > 5
    assert {code_of(kind("x")) for kind in family if issubclass(kind, errors.FastMLPError)} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (errors.ModelError("a must be b", "c", "do d"), 1),
        (errors.RunFolderError("a must be b", "c", "do d"), 1),
        (errors.ConfigError("a must be b", "c", "do d"), 2),
        (errors.DivergedError("a must be b", "c", "do d"), 3),
        (errors.DataError("a must be b", "c", "do d"), 4),
        (AccuracyError("a must be b", "c", "do d"), 5),
        (MemoryError(), 1),
    ],
)
def test_the_boundary_says_it_in_a_line_and_ends_with_the_code(failure, code):
    app = typer.Typer(cls=Boundary, pretty_exceptions_enable=False)

    @app.command()
    def fail():
        typer.echo("data")
        raise failure

    @app.callback()
    def common():
        pass

    result = CliRunner(env=dict.fromkeys(COLOURS)).invoke(app, ["fail"])
    assert result.exit_code == code == CODES[type(failure)]
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == "data\n"
    assert result.stderr.count("\n") == 1
    if isinstance(failure, errors.FastMLPError):
        assert result.stderr == "Error: a must be b; got c. Do d.\n"


def test_the_boundary_lets_a_bug_through():
    app = typer.Typer(cls=Boundary, pretty_exceptions_enable=False)
    app.callback()(lambda: None)

    @app.command()
    def fail():
        raise ZeroDivisionError

    assert isinstance(CliRunner().invoke(app, ["fail"]).exception, ZeroDivisionError)


def test_unknown_commands_and_options_are_wrong_usage():
    assert run("nonsense").exit_code == 2
    assert run("train", "--nonsense").exit_code == 2
    assert run("predict").exit_code == 2
    assert run("train", "--epochs", "1.5").exit_code == 2
    for args in (["train", "table.csv"], ["evaluate", "run", "table.csv"], ["diagnose", "run", "table.csv"]):
        assert "Data are named by --data." in run(*args).stderr, args
    assert "--data" not in run("info", "table.csv").stderr


def test_downloads_are_shown_as_bars_on_a_terminal():
    screen = Screen()
    screen.console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    screen.live = True
    with screen.downloads() as show:
        show("train-images-idx3-ubyte.gz", 3_000_000, 9_900_000)
        show("train-images-idx3-ubyte.gz", 9_900_000, 9_900_000)
    assert "train-images-idx3-ubyte.gz" in screen.console.file.getvalue()
    assert "9.9/9.9 MB" in screen.console.file.getvalue()
