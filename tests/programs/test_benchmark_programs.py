"""Every contender trains alike: from the same weights, in the same order, to the same weights.

Tools that are not installed are skipped (the extra ``rivals``).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cli_runs import blobs

from fastmlp.benchmark import programs
from fastmlp.benchmark.contenders import RIVALS, ours, rivals
from fastmlp.benchmark.task import Task
from fastmlp.errors import ConfigError

MODULES = {"Torch": "torch", "Jax": "jax", "Sklearn": "sklearn", "Keras": "tensorflow"}
OWN_ORDER = ("Sklearn", "Keras")  # these draw theirs, unless told not to


@pytest.fixture(scope="module")
def task():
    """230 rows: the last batch is short."""
    X, y = blobs(230, labels=(0, 1, 2))
    X_test, y_test = blobs(90, seed=1, labels=(0, 1, 2))
    return Task(
        X.reshape(230, -1), y, X_test.reshape(90, -1), y_test, 3, 255.0, hidden=(16,), lr=0.5, batch_size=20
    )


def made(kind, task, monkeypatch):
    if kind in MODULES:
        monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        monkeypatch.setenv("JAX_PLATFORMS", "cpu")
        pytest.importorskip(MODULES[kind])
    options = {"shuffle": False} if kind in OWN_ORDER else {}
    return getattr(programs, kind)(task, 1, **options)


def orders(kind, task):
    whole = np.arange(len(task.y))
    return [whole if kind in OWN_ORDER else task.order(epoch) for epoch in (1, 2)]


def test_our_contenders_train_by_their_driver(task):
    before = programs.Kernels(task, 1).parameters.sha256()
    for contender in ours(2):
        program = programs.Kernels(task, *contender.threads, **contender.options)
        assert (program.tuner.most, program.tuner.driver) == (*contender.threads, contender.options["driver"])
        if program.tuner.driver == "team":  # the other takes long to compile
            program.epoch(task.order(1))
            assert program.parameters.sha256() != before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of other people's
@pytest.mark.parametrize("kind", ["Kernels", "Reference", *MODULES])
def test_two_epochs_agree_with_fastmlp(kind, task, monkeypatch):
    program, mine = made(kind, task, monkeypatch), programs.Kernels(task, 1)
    before = program.parameters.copy()
    assert before.sha256() == task.first_weights().sha256()
    for order in orders(kind, task):
        program.epoch(order)
        mine.epoch(order)
    for (name, ours_), theirs, first in zip(mine.parameters.named(), program.parameters, before, strict=True):
        moved = np.linalg.norm(ours_ - first)
        assert moved > 1e-3, name
        assert np.linalg.norm(np.asarray(theirs) - ours_) < 1e-4 * moved, name
    assert program.accuracy() == mine.accuracy() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN_ORDER)
@pytest.mark.filterwarnings("ignore")
def test_those_that_draw_their_order_shuffle(kind, task, monkeypatch):
    made(kind, task, monkeypatch)
    shuffled, straight = getattr(programs, kind)(task, 1), programs.Kernels(task, 1)
    order = np.arange(len(task.y))
    shuffled.epoch(order)
    straight.epoch(order)
    W, V = shuffled.parameters.weights[0], straight.parameters.weights[0]
    assert np.linalg.norm(W - V) > 1e-3 * np.linalg.norm(V - task.first_weights().weights[0])


def test_another_learning_rate_is_seen(task):
    one, other = programs.Reference(task, 1), programs.Kernels(replace(task, lr=0.4), 1)
    for program in (one, other):
        program.epoch(task.order(1))
    assert not np.allclose(one.parameters.weights[0], other.parameters.weights[0], atol=1e-4)


def test_rows_are_one_thread_and_all():
    assert [c.threads for c in ours(1)] == [(1,), (1,)]
    assert [c.label for c in ours(4)] == [
        "fastmlp, 1 thread", "fastmlp, 4 threads", "fastmlp, 4 threads, prange",
    ]  # fmt: skip
    assert {c.threads for c in rivals(None, 4)} == {(1, 4)}
    assert [c.name for c in rivals(None, 2)] == list(RIVALS)
    assert [c.name for c in rivals(["jax", "numpy"], 2)] == ["numpy", "jax"]
    assert rivals([], 2) == []
    assert all(hasattr(programs, c.program.partition(":")[2]) for c in ours(2) + rivals(None, 2))
    with pytest.raises(ConfigError, match="rivals must be one of numpy, torch, jax"):
        rivals(["pytorch"], 2)
