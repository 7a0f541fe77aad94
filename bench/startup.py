"""Processes as a whole: how long they take to start, train and end, and how much memory they need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from fastmlp.data import status

PYTHON = sys.executable
PATIENCE = 300  # seconds that a process may take
BARE_TYPER = """
import typer
app = typer.Typer()
@app.command()
def train(act: str = "relu", scale: float = 255): pass
@app.command()
def info(): pass
app()
"""
MEMORY = """
import json, sys
from fastmlp import fit, kernels
from fastmlp.data import load
def kilobytes(name):
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(name))
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
before = kilobytes("VmRSS")
data = load("auto")
fit(data.X, data.y, epochs=2, test_data=(data.X_test, data.y_test))
over = kilobytes("VmHWM") - before
print(json.dumps({"before": before / 1024, "over": over / 1024, "data": data.X.nbytes / 2**20}))
"""

IMPORTS = {
    "python -c pass": [PYTHON, "-c", "pass"],
    'python -c "import fastmlp"': [PYTHON, "-c", "import fastmlp"],
    "a bare Typer app, --help": [PYTHON, "-c", BARE_TYPER, "--help"],
    "fastmlp --help": [PYTHON, "-m", "fastmlp_cli", "--help"],
}
TRAIN = [PYTHON, "-m", "fastmlp_cli", "train", "--act", "relu", "--scale", "255", "--quiet"]
TORCH = [PYTHON, "-c", "import torch"]


def has_torch() -> bool:
    """Whether its import can be timed."""
    return find_spec("torch") is not None


def seconds(command: list[str], **env: str) -> float:
    """Wall time of a command in an empty folder, with the data that this process would take."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(
            command, cwd=folder, env=_environment(env), check=True, capture_output=True, timeout=PATIENCE
        )
        return time.perf_counter() - started


def first_ever(command: list[str]) -> float:
    """The same with an empty cache: everything is compiled."""
    with tempfile.TemporaryDirectory() as cache:
        return seconds(command, XDG_CACHE_HOME=cache)


def first_and_second(command: list[str]) -> tuple[float, float]:
    """The same, and again with what that left in the cache: the difference is compiling, and unpacking."""
    with tempfile.TemporaryDirectory() as cache:
        return seconds(command, XDG_CACHE_HOME=cache), seconds(command, XDG_CACHE_HOME=cache)


def memory() -> dict[str, float]:
    """MiB: of a process with the kernels imported, what its training adds at its peak, and of the data."""
    ran = subprocess.run(
        [PYTHON, "-c", MEMORY],
        env=_environment({}),
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def _environment(more: dict[str, str]) -> dict[str, str]:
    """Ours, with a data folder that does not depend on the cache."""
    there = status()
    env = dict(os.environ)
    if there["environment"]:
        env["FASTMLP_DATA"] = str(Path(there["environment"]).absolute())
    elif there["complete"]:
        env["FASTMLP_DATA"] = there["cache"]
    return env | more
