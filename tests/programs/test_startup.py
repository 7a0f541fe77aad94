"""What a start costs: the help, loading what is kept, the memory of a training on MNIST."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from cli_runs import save_blobs, start

from fastmlp.kernels.warmup import warm_up

BARE = """
from typing import Annotated
import typer
app = typer.Typer(help="Two commands.", epilog="The end.")
@app.command()
def one(number: Annotated[int, typer.Option(help="A number.")] = 1) -> None:
    "The first."
@app.command()
def two(name: Annotated[str, typer.Option(help="A name.")] = "") -> None:
    "The second."
app(prog_name="bare")
"""
OURS = "from fastmlp_cli.__main__ import main; main()"

TRAINING = r"""
import re
from pathlib import Path
import numpy as np
from fastmlp import fit, kernels, runs
from fastmlp.data import load

def peak():  # in MiB; ru_maxrss would begin with that of the process it was forked from
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

before = peak()
data = load("mnist")
classes = np.asarray(data.classes)
fit(data.X, classes[data.y], epochs=1, test_data=(data.X_test, classes[data.y_test]), threads=2)
print(before, peak())
"""


COUNTING = """
import atexit, sys
calls = 0
def count(frame, event, function):
    global calls
    calls += event in ("call", "c_call")
def told():
    sys.setprofile(None)
    sys.stderr.write(str(calls))
atexit.register(told)
sys.setprofile(count)
"""


def calls(script: str, *args: str) -> int:
    """How many functions a process calls, imports included: the same number on a busy machine."""
    for _ in range(2):  # the first one may have to compile byte code
        ran = subprocess.run(
            [sys.executable, "-c", COUNTING + script, *args], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )  # fmt: skip
    return int(ran.stderr)


@pytest.mark.slow
def test_help_costs_little_more_than_a_bare_typer_app():
    most = 1.5 * calls(BARE, "--help")
    assert calls(OURS, "--help") <= most
    assert calls("import numpy\n" + OURS, "--help") > most  # what is loaded for nothing is seen


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_training_on_mnist_needs_little_memory(mnist_folder):
    for _ in range(2):  # the first one may have to compile
        ran = subprocess.run(
            [sys.executable, "-c", TRAINING], capture_output=True, text=True, check=True,
            env={**os.environ, "FASTMLP_DATA": str(mnist_folder)},
        )  # fmt: skip
    before, peak = map(float, ran.stdout.split())
    assert before < 200
    assert 47 < peak - before <= 150


def test_a_second_run_does_not_say_that_it_compiles(tmp_path):
    warm_up()  # as the first does
    process = start("train", "--data", save_blobs(tmp_path), "--epochs", 1, "--out", tmp_path / "run")
    _, err = process.communicate()
    assert process.returncode == 0
    assert "compiling" not in err
