"""One step of SGD on a batch of 100, and the gradients alone, per backend and thread count.

A call from Python pays for packing the weights and starting the threads each time; an epoch pays
for it once (bench_epoch.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp.data import Dataset
from fastmlp.net import Net

B = 100


def test_step(benchmark: Any, digits: Dataset, contender: Any, headline: Net) -> None:
    nn = contender.module
    X, order = nn.encode(digits.X[:B]), np.arange(B)
    before = nn.evaluate(headline, X, digits.y[:B], **contender.options).loss

    benchmark.group = "one step, batch 100"
    benchmark.pedantic(
        nn.train_epoch, (headline, X, digits.y[:B], order), contender.options,
        rounds=200, warmup_rounds=5,
    )  # fmt: skip
    if benchmark.enabled:
        benchmark.extra_info["samples_per_second"] = round(B / benchmark.stats.stats.median)
    assert nn.evaluate(headline, X, digits.y[:B], **contender.options).loss < 0.9 * before


def test_gradients(benchmark: Any, digits: Dataset, contender: Any, headline: Net) -> None:
    nn = contender.module
    X, y = nn.encode(digits.X[:B]), digits.y[:B]

    benchmark.group = "loss and gradients, batch 100"
    result = benchmark.pedantic(
        nn.loss_and_gradients, (headline, X, y), contender.options,
        rounds=200, warmup_rounds=5,
    )  # fmt: skip
    if benchmark.enabled:
        benchmark.extra_info["samples_per_second"] = round(B / benchmark.stats.stats.median)
    assert 1.5 < result.loss < 3.5  # near ln 10: nothing is learnt yet
    assert result.gradients.finite
