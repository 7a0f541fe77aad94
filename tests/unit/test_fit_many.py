"""fit_many: the bytes of fit, whoever comes first; failures, closing, Ctrl-C, refusals; no thread is left."""

from __future__ import annotations

import itertools
import signal
import threading
import time

import numpy as np
import pytest
from nets import learnable

import fastmlp
from fastmlp import ConfigError, DataError, DivergedError, ModelError, Training
from fastmlp.net import initialise
from fastmlp.train import fit_many
from fastmlp.words.layers import Architecture

SHORT = {"hidden": (12,), "epochs": 2, "lr": 0.1, "batch_size": 32, "scale": 1.0}
LONG = {**SHORT, "epochs": 10**6}


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    deadline = time.monotonic() + 60  # where nobody stops, they go on for many minutes
    while names := [t.name for t in threading.enumerate() if t.name.startswith("fastmlp")]:
        assert time.monotonic() < deadline, names
        time.sleep(0.01)


@pytest.fixture(scope="module")
def data():
    X, y = learnable(1, 300, 60, 4)
    return X, y + 2, (X[:50], y[:50] + 2)


def comparable(result):
    """An epoch's result without what depends on the clock."""
    return {k: v for k, v in result.to_json().items() if k not in ("seconds", "samples_per_second")}


MIXED = [
    Training(**SHORT),
    Training(**{**SHORT, "seed": 5, "epochs": 4}),
    Training(**{**SHORT, "act": "tanh", "hidden": (9, 5), "loss": "keras2"}),
    Training(**{**SHORT, "center": True}),
    Training(**{**SHORT, "act": "sigmoid", "hidden": (), "batch_size": 7}),
]


@pytest.mark.parametrize("threads", [1, 2, 7, "auto"])
def test_every_net_has_the_bytes_of_fit(data, threads):
    X, y, test = data
    seen = {}
    for fitted in fastmlp.fit_many(X, y, iter(MIXED), threads=threads, test_data=test):
        assert fitted.training is MIXED[fitted.index]
        assert fitted.failure is None
        seen[fitted.index] = fitted
    assert sorted(seen) == list(range(len(MIXED)))
    for index, training in enumerate(MIXED):
        model, history = fastmlp.fit(X, y, test_data=test, **vars(training))
        got = seen[index]
        assert got.model.parameters.sha256() == model.parameters.sha256()
        assert got.model.classes == model.classes
        assert [*map(comparable, got.history.epochs)] == [*map(comparable, history.epochs)]


def test_the_order_of_the_trainings_does_not_matter(data):
    X, y, _ = data
    forward, backward = (
        {f.training: f.model.parameters.sha256() for f in fastmlp.fit_many(X, y, order, threads=2)}
        for order in (MIXED, MIXED[::-1])
    )
    assert forward == backward


def test_first_weights_may_be_given(data):
    X, y, _ = data
    training = Training(**SHORT)
    initial = initialise(Architecture(60, (12,), 4), seed=9)
    before = initial.sha256()
    given, own = sorted(
        fastmlp.fit_many(X, y, [training, training], initials=[initial, None]), key=lambda f: f.index
    )
    want, _ = fastmlp.fit(X, y, initial=initial, **SHORT)
    assert given.model.parameters.sha256() == want.parameters.sha256() != own.model.parameters.sha256()
    assert initial.sha256() == before


def test_one_that_diverges_does_not_stop_the_others(data):
    X, y, _ = data
    wild = Training(**{**SHORT, "lr": 1e20})
    found = {f.index: f for f in fastmlp.fit_many(X, y, [wild, MIXED[0], wild], threads=2)}
    assert sorted(found) == [0, 1, 2]
    assert found[1].failure is None
    for index in (0, 2):
        assert isinstance(found[index].failure, DivergedError)
        assert found[index].failure.epoch == 1
        assert found[index].history.epochs == []
        assert found[index].model.parameters.finite


def test_no_trainings_no_nets(data):
    X, y, _ = data
    assert list(fastmlp.fit_many(X, y, [])) == []


def test_nothing_runs_before_the_first_is_asked_for(data):
    X, y, _ = data
    before = threading.active_count()
    nets = fastmlp.fit_many(X, y, [Training(**LONG)])
    assert threading.active_count() == before
    nets.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_closing_early_stops_what_is_trained(data, threads):
    X, y, _ = data
    trainings = [Training(**SHORT)] + [Training(**{**LONG, "seed": seed}) for seed in range(6)]
    nets = fastmlp.fit_many(X, y, trainings, threads=threads)
    assert next(nets).index == 0
    nets.close()
    assert list(nets) == []


@pytest.mark.slow
def test_results_that_nobody_reads_wait_for_the_reader(data, monkeypatch):
    X, y, _ = data
    made = itertools.count()
    real = fit_many.first_model
    monkeypatch.setattr(fit_many, "first_model", lambda *a: (next(made), real(*a))[1])
    nets = fastmlp.fit_many(X, y, [Training(**SHORT)] * 50, threads=2)
    next(nets)
    time.sleep(0.7)
    assert next(made) <= 6  # read, waiting, and in the workers' hands
    nets.close()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals of POSIX")
def test_ctrl_c_stops_all(data):
    X, y, _ = data
    main, finished = threading.main_thread().ident, []
    timer = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            finished.extend(fastmlp.fit_many(X, y, [Training(**LONG)] * 3, threads=2))
        assert finished == []
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)


def test_an_error_in_a_worker_reaches_the_caller(data, monkeypatch):
    X, y, _ = data

    def broken(data, model, **options):
        raise MemoryError("none left")

    monkeypatch.setattr(fit_many, "train_model", broken)
    with pytest.raises(MemoryError, match="none left"):
        list(fastmlp.fit_many(X, y, MIXED, threads=2))


def test_what_fit_refuses_is_refused_at_the_call(data):
    X, y, _ = data
    net = Training(**SHORT)
    for X_wrong, y_wrong, message in (
        (X, y[:-1], "same length; got 300 and 299"),
        (X, np.zeros(300, int), "at least two different labels"),
        (X * np.float32(np.nan), y, "finite in float32"),
    ):
        with pytest.raises(DataError, match=message):
            fastmlp.fit_many(X_wrong, y_wrong, [net])
    with pytest.raises(
        DataError, match="test data must have as many features as the training part, 60; got 5"
    ):
        fastmlp.fit_many(X, y, [net], test_data=(X[:, :5], y))
    with pytest.raises(ModelError, match="initial weights must have shapes"):
        fastmlp.fit_many(X, y, [net], initials=[initialise(Architecture(60, (5,), 4))])
    with pytest.raises(ConfigError, match="initials must be as many as trainings; got 0 and 1"):
        fastmlp.fit_many(X, y, [net], initials=[])
    with pytest.raises(ConfigError, match="trainings must be Training objects, or dicts of"):
        fastmlp.fit_many(X, y, [net, 1])
    with pytest.raises(ConfigError, match="threads"):
        fastmlp.fit_many(X, y, [net], threads=0)
