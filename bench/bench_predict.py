"""Prediction by the question's net: the whole test set, and a single image, per backend."""

from __future__ import annotations

from typing import Any

import pytest

from fastmlp.data import Dataset
from fastmlp.net import Net
from fastmlp.random import permutation


@pytest.fixture
def trained(digits: Dataset, headline: Net) -> Net:
    """The net after one epoch by the kernels."""
    from fastmlp import kernels

    order = permutation(len(digits.y), 0, "order", 1)
    kernels.train_epoch(headline, digits.X, digits.y, order, lr=0.1)
    return headline


@pytest.mark.parametrize("N", [10_000, 1])
def test_predict(benchmark: Any, digits: Dataset, contender: Any, trained: Net, N: int) -> None:
    nn = contender.module
    X = digits.X_test[:N]

    benchmark.group = f"predict {N:,} images"
    p = benchmark.pedantic(
        nn.predict_proba, (trained, X), contender.options,
        rounds=10 if N > 1 else 200, warmup_rounds=2,
    )  # fmt: skip
    if benchmark.enabled:
        benchmark.extra_info["samples_per_second"] = round(N / benchmark.stats.stats.median)
    accuracy = nn.evaluate(trained, digits.X_test, digits.y_test, **contender.options).accuracy
    benchmark.extra_info["accuracy"] = accuracy
    assert abs(p.sum() - N) < 1e-3 * N
    assert accuracy > 0.85
