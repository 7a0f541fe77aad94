"""What the project exists for: the question's nets do what the question says, on MNIST and drawn digits."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pages import text

import fastmlp
from fastmlp.data import Dataset, load
from fastmlp.data.synthetic import draw

SEEDS = range(5)
PAGE = text("docs/question.md")


@pytest.fixture(scope="module")
def mnist(mnist_folder) -> Dataset:
    return load(mnist_folder)


@pytest.fixture(scope="module")
def drawn() -> Dataset:
    return draw()


def last_epochs(data: Dataset, seeds: range = SEEDS, **options) -> list[fastmlp.EpochResult]:
    """The last epoch of one training per seed."""
    test = data.X_test, data.y_test
    return [fastmlp.fit(data.X, data.y, test_data=test, seed=s, **options)[1].epochs[-1] for s in seeds]


def check_the_page(options: str, results: list[fastmlp.EpochResult]) -> str:
    """The page's row of these options has this accuracy: mean and range. Returns what it says happens."""
    found = accuracies(results)
    shown, happens = re.findall(rf"^\| `{re.escape(options)}` \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)[0]
    assert shown == f"{found.mean():.3f} ({found.min():.3f} - {found.max():.3f})"
    return happens


def accuracies(results: list[fastmlp.EpochResult]) -> np.ndarray:
    return np.array([result.test_accuracy for result in results])


@pytest.mark.parametrize("seeds", [range(1), pytest.param(SEEDS, marks=pytest.mark.slow)], ids=len)
def test_scaled_relu_on_mnist(mnist, seeds):
    results = last_epochs(mnist, seeds, act="relu", scale=255)
    if seeds == SEEDS:
        check_the_page("--act relu --scale 255", results)
    assert ((accuracies(results) >= 0.925) & (accuracies(results) <= 0.945)).all()
    assert all(result.dead_units == [0] for result in results)


@pytest.mark.slow
def test_raw_sigmoid_on_mnist(mnist):
    results = last_epochs(mnist, act="sigmoid", scale=1)
    check_the_page("--act sigmoid --scale 1", results)
    accuracy = accuracies(results)
    assert ((accuracy >= 0.93) & (accuracy <= 0.955)).all()


@pytest.mark.slow
def test_raw_relu_on_mnist_dies(mnist):
    results = last_epochs(mnist, act="relu", scale=1)
    dead = [result.dead_units[0] for result in results]
    assert f"{min(dead)} - {max(dead)} of 100 units die" in check_the_page("--act relu --scale 1", results)
    assert accuracies(results).mean() < 0.85
    assert accuracies(results).min() < 0.65
    assert all(result.dead_units[0] > 50 for result in results)
    assert all(result.live_share == 1 for result in results)


@pytest.mark.slow
def test_raw_relu_under_keras2_freezes(mnist):
    results = last_epochs(mnist, act="relu", scale=1, loss="keras2")
    live = [result.live_share for result in results]
    happens = check_the_page("--act relu --scale 1 --loss keras2", results)
    assert f"live share {min(live):.4f} - {max(live):.4f}" in happens
    assert accuracies(results).mean() < 0.75
    assert all(result.live_share < 0.02 for result in results)
    assert all(result.dead_units[0] < 10 for result in results)


@pytest.mark.slow
def test_the_third_answers_recipe_on_mnist(mnist):
    results = last_epochs(mnist, act="relu", scale=255, hidden=300, lr=0.1, loss="clip:1e-10,0.999999")
    check_the_page("--act relu --scale 255 --hidden 300 --lr 0.1 --clip 1e-10 0.999999", results)
    assert (accuracies(results) > 0.97).all()


@pytest.mark.slow
def test_the_question_shows_on_drawn_digits(drawn):
    scaled = accuracies(last_epochs(drawn, act="relu", scale=255, epochs=5))
    raw = accuracies(last_epochs(drawn, act="relu", scale=1, epochs=5))
    linear = accuracies(last_epochs(drawn, hidden="none", scale=255, epochs=5))
    assert (scaled > 0.90).all()
    assert (scaled - raw >= 0.15).all()
    assert (scaled - linear >= 0.02).all()
