"""One epoch of the question's net (784-100-10, batch 100, plain SGD), per backend and thread count.

The clock holds training alone: the shuffle is drawn before. Every round is one more epoch of the
same net, whose accuracy is asserted at the end.
"""

from __future__ import annotations

from typing import Any

import pytest

from fastmlp.data import Dataset
from fastmlp.parameters import Parameters
from fastmlp.randomness import permutation

EPOCHS = 5


@pytest.mark.parametrize("act", ["relu", "sigmoid"])
def test_epoch(benchmark: Any, digits: Dataset, contender: Any, headline: Parameters, act: str) -> None:
    nn = contender.module
    X, epochs = nn.encode(digits.X), iter(range(EPOCHS + 1))

    def order() -> tuple[tuple[Any], dict[str, Any]]:
        return (permutation(len(X), 0, "order", next(epochs)),), {}

    def epoch(rows: Any) -> None:
        nn.train_epoch(headline, X, digits.y, rows, act=act, lr=0.1, **contender.options)

    benchmark.group = f"one epoch, {digits.name}, {act}"
    benchmark.pedantic(epoch, setup=order, rounds=EPOCHS, warmup_rounds=1)
    accuracy = nn.evaluate(headline, digits.X_test, digits.y_test, act=act, **contender.options).accuracy
    benchmark.extra_info["accuracy"] = accuracy
    if benchmark.enabled:
        benchmark.extra_info["samples_per_second"] = round(len(X) / benchmark.stats.stats.median)
    assert accuracy > 0.9
