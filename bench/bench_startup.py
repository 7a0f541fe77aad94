"""Whole processes: start, warm and cold training, and the memory that a training needs.

What must hold is asserted as ratios with room for a busy machine; the figures are in the report.
"""

from __future__ import annotations

from typing import Any

import pytest
import startup


@pytest.mark.parametrize("name", startup.IMPORTS)
def test_start(benchmark: Any, name: str) -> None:
    benchmark.group = "start of a process"
    benchmark.pedantic(startup.seconds, (startup.IMPORTS[name],), rounds=3, warmup_rounds=1)


@pytest.mark.skipif(not startup.has_torch(), reason="PyTorch is not installed")
def test_torch(benchmark: Any) -> None:
    benchmark.group = "15 epochs, beside an import"
    benchmark.pedantic(startup.seconds, (startup.TORCH,), rounds=2, warmup_rounds=1)


def test_train(benchmark: Any) -> None:
    benchmark.group = "15 epochs, beside an import"
    benchmark.pedantic(startup.seconds, (startup.TRAIN,), rounds=2, warmup_rounds=1)


def test_first_ever_train(benchmark: Any) -> None:
    benchmark.group = "one epoch, everything compiled"
    benchmark.pedantic(startup.first_ever, ([*startup.TRAIN, "--epochs", "1"],), rounds=1)


def test_memory(benchmark: Any) -> None:
    found = benchmark.pedantic(startup.memory, rounds=1)
    benchmark.group = "memory of a training (MiB in the report)"
    benchmark.extra_info |= {name: round(mebibytes) for name, mebibytes in found.items()}
    assert found["over"] < 1000
