"""Structs in place of long lists of arguments: addresses of all that they hold."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from floats import f
from numba import njit

import fastmlp.kernels
from fastmlp.kernels import intrinsics
from fastmlp.kernels.intrinsics import address

MOST_ARGUMENTS = 10


class Pair(NamedTuple):
    numbers: object
    count: object


class Nested(NamedTuple):
    pair: object
    codes: object
    scale: object


@njit
def looked_up(nested, i):
    found = address(nested)
    return found.pair.numbers[i] * found.scale + found.codes[i] + found.pair.count


@njit
def moved(pair, i, steps):
    first = intrinsics.nth(address(pair), i, steps)
    return first.numbers[0], first.count[1]


def test_a_struct_has_addresses_for_its_arrays_at_any_depth():
    numbers, codes = np.arange(12, dtype=f).reshape(3, 4), np.arange(12, dtype=np.uint8)
    nested = Nested(Pair(numbers, 100), codes, f(2))
    assert looked_up(nested, 7) == 7 * 2 + 7 + 100
    twin = intrinsics._address(nested)
    assert (twin.pair.numbers[7], twin.pair.count, twin.codes[7], twin.scale) == (7, 100, 7, 2)
    with pytest.raises(Exception, match="address"):
        looked_up(Nested(Pair(numbers.T, 100), codes, f(2)), 7)


def test_a_struct_of_pointers_moves_by_the_steps_of_each():
    pair, steps = Pair(np.arange(20, dtype=f), np.arange(40, dtype=np.int64)), Pair(5, 10)
    assert moved(pair, 3, steps) == (15, 31)
    twin = intrinsics._nth(pair, 3, steps)
    assert (twin.numbers[0], twin.count[1]) == (15, 31)


def too_many(source):
    """Names of functions and lambdas of more than MOST_ARGUMENTS by position."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.Lambda)]
    counts = {getattr(node, "name", "lambda"): len(node.args.posonlyargs + node.args.args) for node in nodes}
    return [name for name, count in counts.items() if count > MOST_ARGUMENTS]


def test_no_function_takes_more_than_ten_arguments():
    paths = sorted(Path(fastmlp.kernels.__file__).parent.glob("*.py"))
    assert len(paths) > 15
    assert not {path.name: found for path in paths if (found := too_many(path.read_text()))}


def test_eleven_arguments_are_seen():
    assert too_many("def f(a, b, c, d, e, f, g, h, i, j, k): ...") == ["f"]
    assert not too_many("def f(a, b, c, d, e, f, g, h, i, j): ...")


ALL_JOBS = """
import numpy as np
from fastmlp import fit
from fastmlp.kernels import epoch
from fastmlp.kernels.warmup import warm_up
warm_up()
y, normal = np.arange(200) % 2, np.random.default_rng(0).normal(size=(200, 30))
deep = {"momentum": 0.9, "hidden": (4, 3), "act": "relu,tanh"}
for X in (np.eye(200, 30, dtype=np.uint8), normal.astype(np.float32)):
    for words in ({}, deep, {"center": True, "loss": "keras2"}):
        model, _ = fit(X, y, epochs=1, test_data=(X, y), **words)
        model.predict(X)
print(len(epoch.run.signatures))
"""


@pytest.mark.slow
def test_all_jobs_share_one_compiled_kernel():
    """What ``fastmlp warmup`` compiles is all that a training needs: another type is another kernel."""
    ran = subprocess.run([sys.executable, "-c", ALL_JOBS], capture_output=True, text=True, timeout=300)
    assert ran.stdout == "1\n", ran.stdout + ran.stderr
