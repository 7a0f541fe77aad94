"""An epoch with each activation beside one with ReLU, in turns: on sparse bytes, and on dense columns."""

from __future__ import annotations

from typing import Any

import epochs
import numpy as np
import pytest

from fastmlp import kernels
from fastmlp.words.activations import ACTIVATIONS

FORMS = {
    "784 inputs, 19 % of them, 100 units": (lambda: epochs.random_bytes(10_000, 784, 0.19), 100),
    "54 dense inputs, 128 units": (lambda: epochs.random_normals(20_000, 54), 128),
}
ROUNDS = 9


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("form", FORMS)
def test_activations(benchmark: Any, act: str, form: str) -> None:
    draw, hidden = FORMS[form]
    X, y = draw()
    turns = {
        each: epochs.trainer(kernels, X, y, hidden=hidden, act=each, threads=1) for each in (act, "relu")
    }

    benchmark.group = f"an epoch of {form}, one thread"
    totals = benchmark.pedantic(turns[act], rounds=5, warmup_rounds=1)
    if benchmark.enabled and act != "relu":
        times = epochs.in_turns(turns, ROUNDS, {})
        ratios = np.array(times[act]) / np.array(times["relu"])
        benchmark.extra_info["times_relu"] = round(float(np.median(ratios)), 3)
    assert totals.samples == len(y)
