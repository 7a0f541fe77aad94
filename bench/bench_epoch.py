"""One epoch of the question's net (784-100-10, batch 100, plain SGD), per backend, threads and driver.

The clock holds training alone: the shuffle is drawn before. Every round is one more epoch of the
same net, whose accuracy is asserted at the end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import epochs
import numpy as np
import pytest

from fastmlp import kernels
from fastmlp.backends.threads import ThreadTuner, available_cores
from fastmlp.data import Dataset
from fastmlp.net import Net, Preprocessing
from fastmlp.random import permutation
from fastmlp.words.layers import layers_of

EPOCHS = 5


@pytest.mark.parametrize("act", ["relu", "sigmoid", "tanh"])
def test_epoch(benchmark: Any, digits: Dataset, contender: Any, headline: Net, act: str) -> None:
    train(benchmark, digits, contender.module, headline, act, contender.options)


@pytest.mark.parametrize("name", epochs.OPTIMIZERS)
def test_epoch_of_an_optimizer(benchmark: Any, digits: Dataset, name: str) -> None:
    benchmark.group = f"one epoch, {digits.name}, optimizers"
    turn = epochs.trainer(
        kernels, digits.X, digits.y, threads=available_cores(), optimizer=epochs.OPTIMIZERS[name]
    )
    benchmark.pedantic(turn, rounds=EPOCHS, warmup_rounds=1)


@pytest.mark.parametrize("threads", sorted({1, 2, available_cores()}))
def test_epoch_by_prange(benchmark: Any, digits: Dataset, headline: Net, threads: int) -> None:
    train(benchmark, digits, kernels, headline, "relu", {"threads": ThreadTuner(threads, "prange")})


def test_epoch_of_centred_images(benchmark: Any, digits: Dataset, headline: Net) -> None:
    mean = digits.X.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = replace(headline, preprocessing=Preprocessing(255.0, mean))
    train(benchmark, digits, kernels, centred, "relu", {"threads": 2})


def test_epoch_of_standardised_images(benchmark: Any, digits: Dataset, headline: Net) -> None:
    by_column = replace(headline, preprocessing=digits.preprocessing("standard", True))
    train(benchmark, digits, kernels, by_column, "relu", {"threads": 2})


def train(
    benchmark: Any,
    digits: Dataset,
    nn: Any,
    net: Net,
    act: str,
    options: dict[str, Any],
) -> None:
    """Time some epochs, and look at what they led to."""
    layers = layers_of(net.architecture.hidden, act)
    net = replace(net, architecture=replace(net.architecture, layers=layers))
    X, numbers = nn.encode(digits.X), iter(range(EPOCHS + 1))

    def order() -> tuple[tuple[Any], dict[str, Any]]:
        return (permutation(len(X), 0, "order", next(numbers)),), {}

    def epoch(rows: Any) -> None:
        nn.train_epoch(net, X, digits.y, rows, lr=0.1, **options)

    benchmark.group = f"one epoch, {digits.name}, {act}"
    benchmark.pedantic(epoch, setup=order, rounds=EPOCHS, warmup_rounds=1)
    accuracy = nn.evaluate(net, digits.X_test, digits.y_test, **options).accuracy
    benchmark.extra_info["accuracy"] = accuracy
    if benchmark.enabled:
        benchmark.extra_info["samples_per_second"] = round(len(X) / benchmark.stats.stats.median)
    assert accuracy > 0.9
