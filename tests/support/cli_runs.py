"""For the tests of the command line: small data files, the program in this process and in one of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from fastmlp_cli.app import app
from typer.testing import CliRunner, Result

FAST = ("--backend", "numpy")  # nothing to compile
ENTRY = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # a shell's & turns it off
    "from fastmlp_cli.__main__ import main; main()"
)
COLOURS = ("FORCE_COLOR", "NO_COLOR", "PY_COLORS")  # what a developer's shell may say about them
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def blobs(n: int, seed: int = 0, labels: tuple[int, ...] = (3, 5, 8)) -> tuple[np.ndarray, np.ndarray]:
    """Easy 8 x 8 pictures: each class is bright in rows of its own."""
    rng = np.random.default_rng(seed)
    y = rng.integers(len(labels), size=n)
    X = rng.integers(0, 60, size=(n, 8, 8))
    for k in range(len(labels)):
        X[y == k, 2 * k : 2 * k + 2] += 150
    return X.astype(np.uint8), np.asarray(labels)[y]


def save_blobs(folder: Path, n: int = 300) -> Path:
    """An .npz in Keras' layout: n to train on, 60 to test."""
    X, y = blobs(n)
    X_test, y_test = blobs(60, seed=1)
    path = folder / "blobs.npz"
    np.savez(path, x_train=X, y_train=y, x_test=X_test, y_test=y_test)
    return path


def run(*args: object, env: dict[str, str | None] | None = None) -> Result:
    """``fastmlp ARGS`` in this process. Whatever happens, no traceback and no colour."""
    result = CliRunner(env=dict.fromkeys(COLOURS)).invoke(app, [str(arg) for arg in args], env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "Traceback" not in result.output
    assert "\x1b" not in result.output
    return result


def start(*args: object, **options: Any) -> subprocess.Popen[str]:
    """``fastmlp ARGS`` in a process of its own, its output piped."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    env = {name: value for name, value in os.environ.items() if name not in COLOURS}
    env |= options.pop("env", {})
    return subprocess.Popen([sys.executable, "-c", ENTRY, *map(str, args)], env=env, **options)


def strict(text: str) -> dict[str, Any]:
    """The one JSON object that ``text`` is, on one line and without NaN."""
    assert text.count("\n") == 1
    assert text.endswith("\n")

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    loaded: dict[str, Any] = json.loads(text, parse_constant=refuse)
    assert isinstance(loaded, dict)
    return loaded
