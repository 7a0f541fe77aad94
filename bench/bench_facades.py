"""The question's net by each of fastmlp's interfaces, whole; and what each costs over the bare engine."""

from __future__ import annotations

from statistics import median
from typing import Any

import facades
import pytest

from fastmlp.backends.threads import available_cores
from fastmlp.benchmark.task import Task
from fastmlp.data import Dataset

NEEDS = {"Engine": (), "SklearnOurs": ("sklearn",), "KerasOurs": (), "TorchOurs": ("torch",)}


@pytest.mark.parametrize("name", NEEDS)
def test_fit(benchmark: Any, digits: Dataset, name: str) -> None:
    for module in NEEDS[name]:
        pytest.importorskip(module)
    program = getattr(facades, name)(Task.of(digits), available_cores())
    benchmark.group = f"{facades.EPOCHS} epochs of the question's net, from arrays, {digits.name}"
    benchmark.pedantic(program.epoch, args=(None,), rounds=2, warmup_rounds=1)
    benchmark.extra_info["accuracy"] = program.accuracy()
    assert program.accuracy() > 0.9


@pytest.mark.parametrize("name", [name for name in NEEDS if name != "Engine"])
def test_cost_of_a_wrapper(benchmark: Any, digits: Dataset, name: str) -> None:
    """A figure, some 5 % of the engine's time; red where a wrapper costs a fifth."""
    for module in NEEDS[name]:
        pytest.importorskip(module)
    benchmark.group = "the wrappers' share, by two calls each"
    task = Task.of(digits)
    shares = benchmark.pedantic(
        facades.over_engine, args=(getattr(facades, name), task, available_cores(), 2), rounds=1
    )
    benchmark.extra_info["over_engine"] = round(median(shares), 3)
    assert 1 <= median(shares) < 1.2
