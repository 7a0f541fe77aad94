"""Sessions: epochs of one call are those of many calls, in both backends and for any number of threads."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from nets import learnable

from fastmlp import (
    Architecture,
    ConfigError,
    DataError,
    DivergedError,
    Net,
    Preprocessing,
    initialise,
    kernels,
    reference,
)  # fmt: skip
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import ThreadTuner
from fastmlp.backends.types import EpochTotals, Watch
from fastmlp.kernels import launch
from fastmlp.words.layers import layers_of
from fastmlp.words.optimizers import Optimizer

pytestmark = pytest.mark.usefixtures("no_work_is_tiny")

N, D, K, E = 70, 11, 3, 5
RULES = {
    "sgd": Optimizer(),
    "momentum": Optimizer(momentum=0.9, alpha=0.01),
    "adam": Optimizer("adam", alpha=0.1, clip_norm=2.0),
}
RELUS, LINES = (layers_of((7, 5), act) for act in ("relu", "identity"))
BACKENDS = {"kernels": kernels, "reference": reference}
ORDERS = np.stack([np.random.default_rng(e).permutation(N) for e in range(E)])
RATES = np.random.default_rng(7).uniform(0.01, 0.1, (E, 5))
WEIGHTS = np.random.default_rng(8).uniform(0, 3, N) * (np.arange(N) % 7 > 0)


def session_of(nn, optimizer=RULES["adam"], *, layers=RELUS, dtype="float32", **options):
    """Of 70 rows in batches of 16, which are five."""
    X, y = learnable(1, N, D, K)
    shape = Architecture(D, layers, K)
    net = Net(shape, initialise(shape, seed=1, dtype=dtype), Preprocessing(255.0))
    state = OptimizerState.start(net.parameters, optimizer)
    X = X if dtype == "float32" else X.astype(dtype)
    return nn.Session(net, X, y, batch_size=16, optimizer=optimizer, state=state, **options)


def values(session):
    """All that training changes."""
    arrays = (*session.net.parameters, *(array for moment in session.state.moments for array in moment))
    return session.state.steps, np.concatenate([array.ravel() for array in arrays])


def same(one, other):
    return one[0] == other[0] and one[1].tobytes() == other[1].tobytes()


def bare(totals):
    return [each._replace(members=1) for each in totals]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("nn", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_epochs_of_one_call_are_those_of_many(nn, rule, dtype):
    together, apart = (session_of(BACKENDS[nn], RULES[rule], dtype=dtype, squares=True) for _ in range(2))
    told = together.train(ORDERS, RATES.ravel(), epoch=3)
    for e, order in enumerate(ORDERS):
        assert apart.train(order, RATES[e], epoch=3 + e) == [told[e]]
    assert same(values(together), values(apart))
    assert together.state.steps == E * 5


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("threads", [2, 3, "auto", "prange"])
def test_bytes_are_the_same_for_any_threads(threads, weights):
    pace = ThreadTuner(2, "prange") if threads == "prange" else threads
    one, other = (session_of(kernels, squares=True, sample_weight=weights, threads=t) for t in (1, pace))
    watch = Watch(np.inf, 0, 0.02, 1, 1, 0.01)
    told, got = (each.train(ORDERS, 0.02, watch=watch) for each in (one, other))
    assert bare(told) == bare(got)
    assert same(values(one), values(other))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("rule", RULES)
def test_the_kernels_are_the_reference(rule, weights):
    ours, theirs = (
        session_of(nn, RULES[rule], squares=True, sample_weight=weights) for nn in (kernels, reference)
    )
    for got, want in zip(*(each.train(ORDERS, 0.02) for each in (ours, theirs)), strict=True):
        assert got.loss == pytest.approx(want.loss, rel=1e-5)
        assert got.squares == pytest.approx(want.squares, rel=1e-6)
        assert (got.samples, got.correct, got.live) == (want.samples, want.correct, want.live)
    np.testing.assert_allclose(values(ours)[1], values(theirs)[1], atol=2e-5)


def test_squares_are_those_of_all_weights_before_each_step():
    session, alone = (session_of(nn, squares=True) for nn in (kernels, reference))
    want = 0.0
    for batch in np.array_split(ORDERS[0][:64], 4):
        want += sum(float((W.astype(float) ** 2).sum()) for W in alone.net.parameters.weights)
        alone.train(batch, 0.02)
    (told,) = session.train(ORDERS[0][:64], 0.02)
    assert told.squares == pytest.approx(want, rel=1e-6)
    assert session_of(kernels).train(ORDERS[0], 0.02)[0].squares == 0


# --- when to stop -----------------------------------------------------------------------------------


def as_scikit_learn(losses, best, tol, most):
    """Epochs until it stops, and what it keeps then: best loss, and epochs without improvement."""
    stale = 0
    for n, loss in enumerate(losses, 1):
        stale = stale + 1 if loss > best - tol else 0
        best = min(best, loss)
        if stale > most:
            return n, best, stale
    return len(losses), best, stale


@pytest.mark.parametrize("seed", range(8))
def test_a_watch_counts_as_scikit_learn_does(seed):
    rng = np.random.default_rng(seed)
    losses, squares = rng.choice([1.0, 0.9, 0.95, 0.5], 30), rng.uniform(0, 2, 30)
    tol, most, parts, penalty = rng.choice([0.0, 0.04, 0.3]), rng.integers(0, 5), 3, 0.1
    watch, n = Watch(np.inf, 0, tol, most, parts, penalty), 0
    while not watch.stops and n < 30:
        watch = watch.after(EpochTotals(losses[n], 0, 0, 1, 1, squares=squares[n]))
        n += 1
    told = losses / parts + penalty * squares
    assert (n, watch.best, watch.stale) == as_scikit_learn(told, np.inf, tol, most)


@pytest.mark.parametrize("threads", [1, 2, "prange"])
@pytest.mark.parametrize("seed", range(6))
def test_the_compiled_loop_stops_where_the_watch_does_to_the_bit(seed, threads):
    """Its tol is the very gain of some epoch, or the next number to it."""
    rng = np.random.default_rng(seed)
    penalty, parts, orders = float(rng.uniform(0, 0.01)), int(rng.integers(1, 4)), np.tile(ORDERS, (4, 1))
    pace = ThreadTuner(2, "prange") if threads == "prange" else threads
    told = session_of(kernels, squares=True).train(orders, 0.01)
    losses = np.array([each.loss / parts + penalty * each.squares for each in told])
    bests = np.minimum.accumulate(losses)
    gain = float((bests[:-1] - losses[1:])[rng.integers(2, 10)])
    stopped = set()
    for tol in (gain, np.nextafter(gain, 1), np.nextafter(gain, -1)):
        watch = Watch(np.inf, 0, tol, float(rng.integers(0, 3)), parts, penalty)
        got = session_of(kernels, squares=True, threads=pace).train(orders, 0.01, watch=watch)
        seen = watch
        for each in told[: len(got)]:
            assert not seen.stops
            seen = seen.after(each)
        assert bare(got) == bare(told[: len(got)])
        assert seen.stops or len(got) == len(told)
        assert len(got) == as_scikit_learn(losses, np.inf, tol, watch.most)[0]
        stopped.add(len(got))
    assert stopped - {len(told)}


@pytest.mark.parametrize("nn", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_watch_leaves_what_the_epochs_before_it_leave(nn, dtype):
    watch = Watch(-1.0, 0, 0.0, 1, 1, 0.0)  # two are stale
    session, other = (session_of(BACKENDS[nn], dtype=dtype) for _ in range(2))
    assert len(session.train(ORDERS, 0.02, watch=watch)) == 2
    other.train(ORDERS[:2], 0.02)
    assert same(values(session), values(other))


# --- what goes wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize("nn", BACKENDS)
@pytest.mark.parametrize(("rule", "dtype"), [("sgd", "float32"), ("adam", "float32"), ("sgd", "float64")])
@pytest.mark.parametrize("bad", [0, 2])
def test_a_divergence_leaves_the_last_good_epoch(nn, rule, bad, dtype):
    lr = np.full((E, 5), 0.01)
    lr[bad, 0 if dtype == "float64" else 3 :] = 1e30
    words = {"dtype": dtype, "layers": LINES if dtype == "float64" else RELUS}
    session, other = (session_of(BACKENDS[nn], RULES[rule], **words) for _ in range(2))
    with pytest.raises(DivergedError, match="must stay finite") as caught:
        session.train(ORDERS, lr.ravel(), epoch=4)
    good = other.train(ORDERS[:bad], lr[:bad].ravel()) if bad else []
    assert (caught.value.epoch, caught.value.finished) == (4 + bad, good)
    assert caught.value.batch in range(3, 6)
    assert same(values(session), values(other))
    for each in (session, other):  # and can go on
        each.train(ORDERS[bad], 0.01)
    assert same(values(session), values(other))


@pytest.mark.parametrize("nn", BACKENDS)
def test_what_a_caller_changes_between_calls_counts(nn):
    session, other = (session_of(BACKENDS[nn]) for _ in range(2))
    for each in (session, other):
        each.train(ORDERS[0], 0.02)
    for array in session.net.parameters:
        array *= 0.5
    session.state.moments = tuple(moment.copy() for moment in session.state.moments)
    session.train(ORDERS[1], 0.02)
    fresh = dataclasses.replace(other.net, parameters=other.net.parameters.copy())
    for array in fresh.parameters:
        array *= 0.5
    X, y = learnable(1, N, D, K)
    again = BACKENDS[nn].Session(fresh, X, y, batch_size=16, optimizer=other.optimizer, state=other.state)
    again.train(ORDERS[1], 0.02)
    assert same(values(session), values(again))


def test_words_of_layers_go_on_from_epoch_to_epoch():
    """Dropout draws anew in each, running statistics move on, and what is frozen stays."""
    layers = layers_of((7, 5), "gelu", dropout=0.3, batch_norm=True)
    rule = RULES["momentum"]
    together, apart = (session_of(kernels, rule, layers=layers, squares=True) for _ in range(2))
    told = together.train(ORDERS, 0.02, epoch=2)
    for e, order in enumerate(ORDERS):
        assert apart.train(order, 0.02, epoch=2 + e) == [told[e]]
    assert same(values(together), values(apart))
    theirs = session_of(reference, rule, layers=layers)
    theirs.train(ORDERS, 0.02, epoch=2)
    np.testing.assert_allclose(values(apart)[1], values(theirs)[1], atol=1e-4)


def test_batches_of_another_size_may_follow():
    """A call of few rows, as a warm-up has it, then all of them, and more."""
    session, other = session_of(kernels), session_of(reference)
    for each in (session, other):
        for order in (ORDERS[0][:3], ORDERS[1], np.tile(ORDERS[2], 2)):
            each.train(order, 0.01)
    np.testing.assert_allclose(values(session)[1], values(other)[1], atol=2e-5)


@pytest.mark.parametrize("nn", BACKENDS)
@pytest.mark.parametrize(
    ("error", "orders", "options"),
    [
        (DataError, np.full((2, 3), N), {}),
        (DataError, np.zeros((2, 0), int), {}),
        (DataError, np.zeros((0, 5), int), {}),
        (DataError, np.zeros((2, 3, 1), int), {}),
        (DataError, np.zeros((2, 3)), {}),
        (ConfigError, ORDERS, {"lr": np.full(3, 0.1)}),
        (ConfigError, ORDERS, {"lr": -1.0}),
        (ConfigError, ORDERS, {"epoch": 2**32 - 2}),
        (ConfigError, ORDERS, {"watch": 3}),
        (ConfigError, ORDERS, {"pause": lambda take: 1.0}),
        (ConfigError, ORDERS, {"progress": 5}),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_done(nn, error, orders, options):
    session = session_of(BACKENDS[nn])
    before = values(session)
    with pytest.raises(error):
        session.train(orders, **options)
    assert same(values(session), before)


# --- threads ------------------------------------------------------------------------------------------


def test_little_work_starts_no_thread(monkeypatch):
    monkeypatch.undo()
    started = []
    monkeypatch.setattr(launch.team.threading.Thread, "start", lambda thread: started.append(thread))
    sessions = [session_of(kernels, threads=threads) for threads in (1, 2, "auto")]
    told = [session.train(np.tile(ORDERS, (50, 1)), 0.02) for session in sessions]
    assert not started
    assert told[0] == told[1] == told[2]
    assert {each.members for each in told[1]} == {1}


@pytest.mark.parametrize(
    ("N", "B", "P"), [(10**7, 1, 30), (10**6, 1, 30), (10**7, 10**4, 30), (10**5, 50, 10**5)]
)
def test_work_of_seconds_is_not_brief(N, B, P):
    """Ctrl-C is not heard in brief work; some steps are short, but many."""
    assert not launch.is_brief(N, B, P)
    assert launch.is_brief(N // 1000, B, P)


def test_progress_counts_the_samples_of_all_epochs():
    told = {name: [] for name in BACKENDS}
    for name, nn in BACKENDS.items():
        session_of(nn, threads=2).train(ORDERS, 0.02, progress=told[name].append)
        assert told[name] == sorted(told[name])
        assert told[name][-1] == E * N
