"""The generator of epochs: what is asked when, what comes out, and who trains by it."""

from __future__ import annotations

import ast
import os
import signal
import threading
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from nets import learnable, net_of

from fastmlp import Architecture, DivergedError, initialise, kernels, reference
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import ThreadTuner
from fastmlp.backends.types import Watch
from fastmlp.train import epochs
from fastmlp.train.epochs import Trainer
from fastmlp.words.optimizers import Optimizer

N, D, K = 60, 6, 3
MOMENTUM = Optimizer(momentum=0.9)


def descent_of(nn=reference, optimizer=MOMENTUM):
    X, y = learnable(1, N, D, K)
    parameters = initialise(Architecture(D, (5,), K), seed=1)
    state = OptimizerState.start(parameters, optimizer)
    net = net_of(parameters, scale=255.0)
    return Trainer(nn, net, nn.encode(X), y, "logits", 16, optimizer, state, ThreadTuner(1))


def order(number):
    return np.random.default_rng(number).permutation(N)


def weights_of(trainer):
    return np.concatenate([array.ravel() for array in trainer.net.parameters])


@pytest.mark.parametrize("nn", [reference, kernels])
def test_epochs_are_calls_of_train_epoch_one_after_the_other(nn):
    one, other = descent_of(nn), descent_of(nn)
    told = []
    epochs = one.epochs(range(3, 6), order, lambda n: 0.1 / n, progress=lambda n, done: told.append(n))
    for number, epoch in zip(range(3, 6), epochs, strict=True):
        totals = nn.train_epoch(
            other.net, other.X, other.y, order(number), loss="logits", lr=0.1 / number, batch_size=16,
            optimizer=MOMENTUM, state=other.state, threads=1,
        )  # fmt: skip
        assert (epoch.number, epoch.totals) == (number, totals)
        assert epoch.seconds > 0
        assert np.array_equal(weights_of(one), weights_of(other))
    assert one.state.steps == other.state.steps == 12
    assert set(told) <= {3, 4, 5}


def test_nothing_is_asked_ahead_and_the_order_comes_before_the_rate():
    asked, trainer = [], descent_of()

    def numbers():
        for number in (7, 8):
            asked.append(f"number {number}")
            yield number

    epochs = trainer.epochs(
        numbers(),
        lambda n: asked.append(f"order {n}") or order(n),
        lambda n: asked.append(f"lr {n}") or 0.1,
    )
    assert asked == []
    next(epochs)
    assert asked == ["number 7", "order 7", "lr 7"]
    before = weights_of(trainer)
    epochs.close()  # a consumer that breaks off has all there is
    assert np.array_equal(before, weights_of(trainer))
    assert asked[3:] == []


def test_the_consumers_changes_between_two_epochs_count():
    """Its code runs between them: weights that it sets and averages that it scales are the next epoch's."""
    plain, changed = descent_of(), descent_of()
    ends = []
    for trainer in (plain, changed):
        for epoch in trainer.epochs((1, 2), order, lambda n: 0.1):
            if trainer is changed and epoch.number == 1:
                assert np.array_equal(weights_of(trainer), ends[0])
                trainer.state.rescale(0.5)
            if epoch.number == 1:
                ends.append(weights_of(trainer))
        ends.append(weights_of(trainer))
    assert not np.array_equal(ends[1], ends[3])


def test_a_divergence_comes_as_the_backend_raises_it_after_the_last_good_epoch():
    trainer = descent_of(optimizer=Optimizer())
    epochs = trainer.epochs(range(1, 9), order, lambda n: 0.1 if n < 3 else 1e30)
    ends = []
    with pytest.raises(DivergedError, match="must stay finite; got nan or infinity in batch") as caught:
        ends.extend(weights_of(trainer) for _ in epochs)
    assert len(ends) == 2
    assert np.array_equal(ends[-1], weights_of(trainer))
    assert caught.value.batch
    assert "epoch" not in str(caught.value)


def test_an_interruption_comes_out_as_it_is():
    trainer = descent_of(kernels)
    before = weights_of(trainer)

    def interrupt(number, done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(trainer.epochs((1,), lambda n: np.tile(order(n), 3000), lambda n: 0.1, progress=interrupt))
    assert np.array_equal(before, weights_of(trainer))


def test_a_warm_up_changes_nothing_also_where_it_diverges():
    for value in (0.1, 1e38):
        trainer = descent_of()
        for array in trainer.net.parameters:
            array[...] = value
        before = weights_of(trainer)
        trainer.warm_up(np.arange(1))
        assert np.array_equal(before, weights_of(trainer))
        assert trainer.state.steps == 0
        assert not any(array.any() for moment in trainer.state.moments for array in moment)
    with pytest.raises(DivergedError):  # the second could not be trained
        next(trainer.epochs((1,), lambda n: np.arange(1), lambda n: 0.01))


def test_an_evaluation_is_that_of_the_net_as_it_is():
    trainer = descent_of()
    for _ in trainer.epochs((1, 2), order, lambda n: 0.1):
        told = trainer.evaluate(trainer.X, trainer.y)
        assert told == reference.evaluate(trainer.net, trainer.X, trainer.y, loss="logits")
        some = np.arange(0, N, 2)
        part = trainer.evaluate(trainer.X, trainer.y, some)
        assert part == replace(trainer).evaluate(trainer.X[some], trainer.y[some])


# --- epochs between which nobody looks ---------------------------------------------------------------

NEVER = Watch(np.inf, 0, 0.0, np.inf, 1, 0.0)


def rate(number):
    return 0.1 / number


def recorded(trainer, monkeypatch):
    """The trainer, and how many epochs each of its calls had."""
    counts, train = [], trainer.session.train

    def watched(orders, *args, **options):
        counts.append(len(orders) if np.ndim(orders) == 2 else 1)
        return train(orders, *args, **options)

    monkeypatch.setattr(trainer.session, "train", watched)
    return counts


@pytest.mark.parametrize("nn", [reference, kernels])
@pytest.mark.parametrize("lr", [rate, lambda number: np.linspace(0.1, 0.05, 4) / number])
def test_many_epochs_a_call_are_the_same_epochs(monkeypatch, nn, lr):
    one, other = descent_of(nn), descent_of(nn)
    counts = recorded(other, monkeypatch)
    seen, told = (
        [(epoch.number, epoch.totals) for epoch in trainer.epochs(range(3, 40), order, lr, watch=watch)]
        for trainer, watch in ((one, None), (other, NEVER))
    )
    assert seen == told
    assert np.array_equal(weights_of(one), weights_of(other))
    assert one.state.steps == other.state.steps
    assert sum(counts) == 37
    assert max(counts) > 1


def test_a_call_takes_no_longer_than_a_person_waits(monkeypatch):
    """By a clock that only training moves: 0.01 s an epoch, then 0.2."""
    trainer = descent_of()
    counts, now = recorded(trainer, monkeypatch), [0.0]
    monkeypatch.setattr(epochs, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def slow(number):
        now[0] += 0.01 if number < 30 else 0.2
        return order(number)

    told = [*trainer.epochs(range(50), slow, lambda n: 0.01, watch=NEVER)]
    assert len(told) == 50
    assert counts[:3] == [1, 5, 5]
    assert max(counts) == 5
    assert set(counts[-8:]) == {1}


@pytest.mark.skipif(os.name == "nt", reason="SIGINT of POSIX")
def test_ctrl_c_ends_epochs_between_which_nobody_looks():
    trainer = descent_of(kernels)
    told = trainer.epochs(count(1), lambda n: np.arange(N), lambda n: 0.001, watch=NEVER)
    next(told)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            for _ in told:
                pass
    finally:
        timer.join()
    assert trainer.state.steps % 4 == 0
    assert all(np.isfinite(array).all() for array in trainer.net.parameters)


@pytest.mark.parametrize("nn", [reference, kernels])
@pytest.mark.parametrize("progress", [None, lambda number, done: None])
def test_a_watch_ends_the_epochs(nn, progress):
    trainer, alone, watch = descent_of(nn), descent_of(nn), NEVER._replace(tol=0.01, most=1)
    told = [*trainer.epochs(range(1, 90), order, rate, watch=watch, progress=progress)]
    want, seen = [], watch
    for epoch in alone.epochs(range(1, 90), order, rate):
        want.append(epoch.totals)
        seen = seen.after(epoch.totals)
        if seen.stops:
            break
    assert 2 < len(want) < 89
    assert [epoch.totals for epoch in told] == want
    assert np.array_equal(weights_of(trainer), weights_of(alone))


@pytest.mark.parametrize("nn", [reference, kernels])
def test_the_epochs_before_a_divergence_are_told_first(nn, monkeypatch):
    trainer, alone, told = descent_of(nn), descent_of(nn), []
    counts = recorded(trainer, monkeypatch)
    with pytest.raises(DivergedError) as caught:
        told.extend(
            epoch.number
            for epoch in trainer.epochs(range(1, 90), order, lambda n: 0.1 if n < 8 else 1e30, watch=NEVER)
        )
    assert told == [1, 2, 3, 4, 5, 6, 7]
    assert caught.value.epoch == 8
    assert counts[1] > 1
    for _ in alone.epochs(range(1, 8), order, lambda n: 0.1):
        pass
    assert np.array_equal(weights_of(trainer), weights_of(alone))
    assert trainer.state.steps == alone.state.steps


# --- who trains by it -----------------------------------------------------------------------------

# Beside it: what compiles the kernels, and the benchmark's contenders, which time the call itself.
TRAINERS = {
    "Session": {"train/epochs.py", "kernels/__init__.py", "reference/__init__.py"},
    "train_epoch": {"kernels/warmup.py", "benchmark/programs.py"},
}


def calls_of(source: str, name: str) -> int:
    called = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return sum(getattr(function, "attr", getattr(function, "id", "")) == name for function in called)


def test_all_train_by_the_generator():
    assert calls_of("nn.train_epoch(net)\ntrain_epoch(net)\nf(nn.train_epoch)", "train_epoch") == 2
    root = Path(__file__).parents[2] / "fastmlp"
    sources = {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*.py")}
    for name, trainers in TRAINERS.items():
        assert {path for path, source in sources.items() if calls_of(source, name)} == trainers
