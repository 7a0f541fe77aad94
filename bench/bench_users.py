"""The question's net by each of fastmlp's interfaces, whole: what the wrappers cost over the bare engine."""

from __future__ import annotations

from typing import Any

import pytest
import users

from fastmlp.compare.task import Task
from fastmlp.cores import available_cores
from fastmlp.data import Dataset

NEEDS = {"Engine": (), "SklearnOurs": ("sklearn",), "KerasOurs": (), "TorchOurs": ("torch",)}


@pytest.mark.parametrize("name", NEEDS)
def test_fit(benchmark: Any, digits: Dataset, name: str) -> None:
    for module in NEEDS[name]:
        pytest.importorskip(module)
    program = getattr(users, name)(Task.of(digits), available_cores())
    benchmark.group = f"{users.EPOCHS} epochs of the question's net, from arrays, {digits.name}"
    benchmark.pedantic(program.epoch, args=(None,), rounds=3, warmup_rounds=1)
    benchmark.extra_info["accuracy"] = program.accuracy()
    assert program.accuracy() > 0.9
