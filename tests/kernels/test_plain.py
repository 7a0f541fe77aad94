"""The kernels of float64 against the reference in float64: steps, trainings, outputs; many epochs at once.

Trainings are drawn by a seed from all words (drawn_plain.py). What has to be the same is compared by bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import drawn_plain
import numpy as np
import pytest
import scipy.sparse
import small_plain
from compare import check, digest
from drawn_plain import Drawn, drawn

from fastmlp import Architecture, Net, Parameters, Preprocessing, kernels, reference
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.types import Midway, Watch
from fastmlp.errors import ConfigError, DataError, DivergedError
from fastmlp.kernels import plain, plain_session
from fastmlp.net import initialise
from fastmlp.words.activations import ACTIVATIONS
from fastmlp.words.layers import Layer
from fastmlp.words.losses import LOSSES, Loss
from fastmlp.words.optimizers import OPTIMIZERS, Optimizer

COUNT = 4 * len(drawn_plain.STEPS) * 3


def trained(nn, d: Drawn, *, orders=None, lr=None, **words):
    """The session of a backend, its net, and the totals of its epochs."""
    net = d.start()
    X = d.X if nn is kernels else nn.encode(d.X)
    session = nn.Session(net, X, d.y, **d.words, **words)
    totals = session.train(d.orders if orders is None else orders, d.lr if lr is None else lr)
    return session, net, totals


def alike(what: str, got, want, name: str) -> None:
    """``check``, but of what is nothing but roundings of a sum that is 0: both are as good as 0."""
    if max(np.abs(got).max(initial=0), np.abs(want).max(initial=0)) > 1e-13:
        check(what, got, want, name)


def compare(what: str, got, want, name: str) -> None:
    """Parameters, averages and totals of two sessions."""
    (session, net, totals), (other, expected, wanted) = got, want
    for label, a, b in zip(dict(net.parameters.named()), net.parameters, expected.parameters, strict=True):
        check(what, a, b, f"{label} {name}")
    assert session.state.steps == other.state.steps, name
    for i, (m, n) in enumerate(zip(session.state.moments, other.state.moments, strict=True)):
        for (label, a), b in zip(m.named(), n, strict=True):
            close = np.abs(a - b).max(initial=0) <= 1e-11 * max(1e-3, np.abs(b).max(initial=0))
            assert close, f"average {i} {label} {name}"
    for a, b in zip(totals, wanted, strict=True):
        check(what, a.loss, b.loss, f"loss {name}")
        check(what, a.squares, b.squares, f"squares {name}")
        assert (a.correct, a.live, a.samples, a.labels) == (b.correct, b.live, b.samples, b.labels), name


def one_step(d: Drawn) -> Drawn:
    """Its first batch alone, as an epoch."""
    B = min(d.words["batch_size"], d.orders.shape[1])
    lr = d.lr if isinstance(d.lr, float) else float(d.lr.max())
    return replace(d, orders=d.orders[0, :B], lr=lr)


@pytest.mark.parametrize("seed", range(COUNT))
def test_a_step_is_the_reference_s(seed):
    d = one_step(drawn(seed))
    compare("plain step", trained(kernels, d), trained(reference, d), str(d))


@pytest.mark.parametrize("seed", range(COUNT))
def test_a_training_is_the_reference_s(seed):
    d = drawn(seed)
    words = {"squares": seed % 2 == 0}
    compare("plain training", trained(kernels, d, **words), trained(reference, d, **words), str(d))


@pytest.mark.parametrize("seed", range(0, COUNT, 3))
def test_what_does_not_train_is_the_reference_s(seed):
    d = drawn(seed)
    X, loss = reference.encode(d.X), d.words["loss"]
    words = {"loss": loss, "label_smoothing": d.words.get("label_smoothing", 0.0)}
    for a, b in zip(kernels.forward(d.net, d.X), reference.forward(d.net, X), strict=True):
        check("plain step", a, b, f"forward {d}")
    check("plain step", kernels.logits(d.net, d.X), reference.logits(d.net, X), f"logits {d}")
    rows = d.orders[0]
    got, want = (nn.evaluate(d.net, x, d.y, rows=rows, **words) for nn, x in ((kernels, d.X), (reference, X)))
    for name, value in want.told().items():
        check("plain training", got.told()[name], value, f"{name} {d}")
    task = drawn_plain.Loss.of(loss).task
    name = "predict" if task == "numbers" else "predict_proba"
    p, wanted = (getattr(nn, name)(d.net, x, loss=loss) for nn, x in ((kernels, d.X), (reference, X)))
    check("plain step", p, wanted, f"predictions {d}")
    assert p.dtype == np.float64
    assert kernels.dead_units(d.net, d.X) == reference.dead_units(d.net, X), str(d)
    weights = {"sample_weight": d.words.get("sample_weight"), "seed": 5, "epoch": 3}
    found, wanted = (
        nn.loss_and_gradients(d.net, x, d.y, **words, **weights) for nn, x in ((kernels, d.X), (reference, X))
    )
    check("plain step", found.loss, wanted.loss, f"loss {d}")
    assert (found.correct, found.live) == (wanted.correct, wanted.live), str(d)
    for (label, a), b in zip(found.gradients.named(), wanted.gradients, strict=True):
        alike("plain training" if d.net.architecture.normalises else "plain step", a, b, f"{label} {d}")


@pytest.mark.parametrize("seed", range(0, COUNT, 4))
def test_epochs_at_once_are_the_bytes_of_one_by_one(seed, monkeypatch):
    d = drawn(seed, epochs=4)
    whole = trained(kernels, d, squares=True)
    net = d.start()
    session, totals = kernels.Session(net, d.X, d.y, **d.words, squares=True), []
    rates = d.lr if isinstance(d.lr, float) else d.lr.reshape(4, -1)
    for e, order in enumerate(d.orders):
        totals += session.train(order, rates if isinstance(rates, float) else rates[e], epoch=1 + e)
    monkeypatch.setattr(plain_session, "SECONDS", 0.0)  # a batch a call
    for other in ((session, net, totals), trained(kernels, d, squares=True)):
        assert other[2] == whole[2], str(d)
        assert digest(*other[1].parameters) == digest(*whole[1].parameters), str(d)
        for a, b in zip(other[0].state.moments, whole[0].state.moments, strict=True):
            assert digest(*a) == digest(*b), str(d)
        assert other[0].state.steps == whole[0].state.steps


def test_the_comparison_goes_red():
    d = drawn(1)
    right = trained(reference, d)
    compare("plain training", right, right, "itself")
    session, net, totals = trained(reference, d)
    net.parameters.weights[0][0, 0] += 1e-8
    with pytest.raises(AssertionError, match="W1"):
        compare("plain training", (session, net, totals), right, "moved")
    session, net, totals = trained(reference, d)
    session.state.steps += 1
    with pytest.raises(AssertionError):
        compare("plain training", (session, net, totals), right, "steps")
    totals[1] = totals[1]._replace(correct=totals[1].correct + 1)
    with pytest.raises(AssertionError):
        compare("plain training", (right[0], right[1], totals), right, "counts")
    totals[1] = totals[1]._replace(loss=totals[1].loss * (1 + 1e-7))
    with pytest.raises(AssertionError, match="loss"):
        compare("plain training", (right[0], right[1], totals), right, "losses")


# --- a session ------------------------------------------------------------------------------------


@pytest.fixture
def problem():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(150, 4)), rng.integers(0, 3, 150)
    architecture = Architecture(4, (Layer(10),), 3)
    return Net(architecture, initialise(architecture, dtype=np.float64)), X, y, rng


def test_a_watch_ends_training_where_it_does_in_python(problem):
    net, X, y, rng = problem
    orders = np.stack([rng.permutation(150) for _ in range(60)])
    words = {"batch_size": 40, "optimizer": Optimizer("adam", alpha=0.01), "squares": True}
    watch = Watch(best=np.inf, stale=0, tol=2e-2, most=3, parts=2, penalty=1e-4)
    totals = kernels.Session(net, X, y, **words).train(orders, 0.01, watch=watch)
    assert 5 < len(totals) < 60
    for each in totals[:-1]:
        watch = watch.after(each)
        assert not watch.stops
    assert watch.after(totals[-1]).stops


def test_squares_are_those_before_each_step(problem):
    net, X, y, rng = problem
    order, seen = rng.permutation(150), []
    session = kernels.Session(net, X, y, batch_size=40, squares=True)
    totals = session.train(order, 0.1)[0]
    net = replace(net, parameters=initialise(net.architecture, dtype=np.float64))
    for start in range(0, 150, 40):
        seen.append(sum(float((W**2).sum()) for W in net.parameters.weights))
        kernels.train_epoch(net, X, y, order[start : start + 40], lr=0.1, batch_size=40)
    check("plain step", totals.squares, sum(seen))
    assert kernels.Session(net, X, y).train(order)[0].squares == 0


def test_sums_of_weighted_rows_are_those_of_scikit_learn_where_squares_are_wanted(problem):
    """Each batch counts as its rows do; its penalty is over the sum of its weights."""
    net, X, y, rng = problem
    weights, order, alpha = rng.random(150), rng.permutation(150), 0.5
    before = net.parameters.copy()
    words = {"optimizer": Optimizer(alpha=alpha), "sample_weight": weights}
    totals = kernels.Session(net, X, y, batch_size=40, squares=True, **words).train(order, 0.1)[0]
    p, loss, squares = before, 0.0, 0.0
    for start in range(0, 150, 40):
        rows = order[start : start + 40]
        w, here = weights[rows], Net(net.architecture, p)
        found = reference.loss_and_gradients(here, X[rows], y[rows], sample_weight=w)
        loss += len(rows) * found.loss
        squares += sum(float((W**2).sum()) for W in p.weights) * len(rows) / w.sum()
        W = [
            W - 0.1 * (g + alpha / w.sum() * W)
            for W, g in zip(p.weights, found.gradients.weights, strict=True)
        ]
        b = [b - 0.1 * g for b, g in zip(p.biases, found.gradients.biases, strict=True)]
        p = Parameters(tuple(W), tuple(b))
    check("plain step", totals.loss, loss / 150)
    check("plain step", totals.squares, squares)
    for a, b in zip(net.parameters, p, strict=True):
        check("plain step", a, b)


def test_divergence_leaves_the_last_good_epoch(problem):
    net, X, _, rng = problem
    y, orders = rng.normal(size=(150, 3)), np.stack([rng.permutation(150) for _ in range(5)])
    lr = np.array([0.01, 0.01, 1e30, 0.01, 0.01])
    words = {"batch_size": 40, "optimizer": Optimizer(momentum=0.9), "loss": "half_squared"}
    good = replace(net, parameters=net.parameters.copy())
    fine = kernels.Session(good, X, y, **words)
    totals = fine.train(orders[:2], lr[:2])
    session = kernels.Session(net, X, y, **words)
    with pytest.raises(DivergedError) as caught:
        session.train(orders, lr)
    other = kernels.Session(replace(good, parameters=good.parameters.copy()), X, y, **words)
    other.state = fine.state.copy()
    with pytest.raises(DivergedError) as alone:
        other.train(orders[2], lr[2], epoch=3)
    assert (caught.value.epoch, caught.value.batch) == (alone.value.epoch, alone.value.batch)
    assert caught.value.epoch == 3
    assert (caught.value.finished, alone.value.finished) == (totals, [])
    assert digest(*net.parameters) == digest(*good.parameters)
    assert digest(*session.state.moments[0]) == digest(*fine.state.moments[0])
    assert session.state.steps == fine.state.steps == 8
    assert session.train(orders[2:3], 0.01)[0] == fine.train(orders[2:3], 0.01)[0]  # it can go on


def test_divergence_leaves_batch_norms_as_they_were(problem):
    _, X, _, rng = problem
    architecture = Architecture.of(4, (10,), 3, batch_norm="after", dropout=0.1)
    net = Net(architecture, initialise(architecture, dtype=np.float64))
    y, orders = rng.normal(size=(150, 3)), np.stack([rng.permutation(150) for _ in range(3)])
    session = kernels.Session(net, X, y, batch_size=40, loss="half_squared")
    session.train(orders[0], 0.01)
    before = digest(*net.parameters)
    with pytest.raises(DivergedError):
        session.train(orders[1], 1e30, epoch=2)
    assert digest(*net.parameters) == before
    other = replace(net, parameters=net.parameters.copy())
    again = kernels.Session(other, X, y, batch_size=40, loss="half_squared")
    assert session.train(orders[2], 0.01, epoch=2) == again.train(orders[2], 0.01, epoch=2)
    assert digest(*net.parameters) == digest(*other.parameters)
    with pytest.raises(DivergedError) as caught:
        session.train(orders, np.array([0.01, 0.01, 1e30]))
    assert caught.value.epoch == 3
    again.train(orders[:2], 0.01)
    assert digest(*net.parameters) == digest(*other.parameters)


@pytest.mark.parametrize("layers", [{}, {"batch_norm": "before", "dropout": 0.3}], ids=str)
def test_an_epoch_goes_on_midway(problem, monkeypatch, layers):
    _, X, y, rng = problem
    architecture = Architecture.of(4, (10,), 3, **layers)
    net = Net(architecture, initialise(architecture, dtype=np.float64))
    monkeypatch.setattr(plain_session, "SECONDS", 0.0)
    order, taken, optimizer = rng.permutation(150), [], Optimizer("adam")
    words = {"batch_size": 20, "optimizer": optimizer, "sample_weight": rng.random(150)}
    first = net.parameters.copy()

    def pause(take):
        taken.append(take())
        return 0.0

    whole = kernels.train_epoch(net, X, y, order, pause=pause, **words)
    assert [each.samples for each in taken] == list(range(0, 150, 20))
    for midway in taken[1::3]:
        again = replace(net, parameters=first.copy())
        state = OptimizerState.start(first, optimizer)
        assert isinstance(midway, Midway)
        assert kernels.train_epoch(again, X, y, order, midway=midway, state=state, **words) == whole
        assert digest(*again.parameters) == digest(*net.parameters)
        assert state.steps == 8


def test_progress_is_told_of_all_epochs(problem, monkeypatch):
    net, X, y, _ = problem
    for seconds in (0.05, 0.0):
        monkeypatch.setattr(plain_session, "SECONDS", seconds)
        told: list[int] = []
        kernels.Session(net, X, y, batch_size=40).train(np.stack([np.arange(150)] * 3), progress=told.append)
        assert told == sorted(told)
        assert told[-1] == 450
        assert {150, 300} <= set(told)


def test_a_training_that_is_broken_off_has_changed_nothing(problem, monkeypatch):
    net, X, y, rng = problem
    orders, words = np.stack([rng.permutation(150) for _ in range(4)]), {"optimizer": Optimizer("adam")}
    other = replace(net, parameters=net.parameters.copy())
    session, before = kernels.Session(net, X, y, **words), digest(*net.parameters)

    def break_off(done):
        if done > 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.train(orders, progress=break_off)
    assert (digest(*net.parameters), session.state.steps) == (before, 0)
    assert session.train(orders) == kernels.Session(other, X, y, **words).train(orders)
    assert digest(*net.parameters) == digest(*other.parameters)


@pytest.mark.parametrize("seed", range(0, COUNT, 12))
@pytest.mark.parametrize("poison", [np.nan, 1e300])
def test_what_lies_in_the_room_before_does_not_matter(seed, poison):
    d, found = drawn(seed), []
    for fill in (False, True):
        net = d.start()
        session = kernels.Session(net, d.X, d.y, **d.words)
        for name in ("x", "acts", "slopes", "deltas", "losses"):
            if fill:
                getattr(session._room.space, name).fill(poison)
        stages = session._room.layout.stages
        for array in (stages.feeds, stages.x, stages.statistics):
            if fill:
                array.fill(poison)
        found.append((session.train(d.orders, d.lr), digest(*net.parameters)))
    assert found[0] == found[1], str(d)


@pytest.mark.slow
@pytest.mark.parametrize("processor", ["generic", "haswell"])
def test_bytes_are_those_of_processors_with_other_vectors(processor):
    seeds, script = ["3", "5", "21"], Path(__file__).parents[1] / "support" / "small_plain.py"
    environment = {**os.environ, "NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""}
    if processor == "haswell":
        environment["NUMBA_CPU_FEATURES"] = "+avx,+avx2,+fma"
    ran = subprocess.run(
        [sys.executable, str(script), *seeds], env=environment, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {seed: small_plain.trained(int(seed)) for seed in seeds}


def test_threads_change_nothing(problem):
    net, X, y, _ = problem
    found = set()
    for threads in (1, 2, "auto"):
        mine = replace(net, parameters=net.parameters.copy())
        kernels.train_epoch(mine, X, y, np.arange(150), threads=threads)
        found.add(digest(*mine.parameters, kernels.predict_proba(mine, X, threads=threads)))
    assert len(found) == 1


# --- an objective ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(0, COUNT, 9))
def test_an_objective_is_the_mean_loss_and_its_gradient(seed):
    d = plainly(drawn(seed))
    words = {"loss": d.words["loss"], "sample_weight": d.words.get("sample_weight")}
    objective = plain.Objective(d.net, d.X, d.y, **words)
    rng, out = np.random.default_rng(seed), np.full(objective.size, np.nan)
    for _ in range(2):
        p = Parameters(*(tuple(a + rng.normal(size=a.shape) * 0.1 for a in each) for each in
                         (d.net.parameters.weights, d.net.parameters.biases)))  # fmt: skip
        theta = np.concatenate([a.ravel() for a in (*p.weights, *p.biases)])
        value = objective.value_and_gradient(theta, out)
        moved = Net(with_biases(d.net.architecture), p, d.net.preprocessing)
        want = reference.loss_and_gradients(moved, reference.encode(d.X), d.y, **words)
        check("plain step", value, want.loss, f"value {d}")
        g = want.gradients
        for layer, b in zip(d.net.architecture.all_layers, g.biases, strict=True):
            b[...] *= layer.bias
        check(
            "plain step", out, np.concatenate([a.ravel() for a in (*g.weights, *g.biases)]), f"gradient {d}"
        )


def plainly(d: Drawn) -> Drawn:
    """The same without dropout and batch norm."""
    layers = tuple(replace(layer, dropout=0.0, batch_norm=None) for layer in d.net.architecture.layers)
    architecture = replace(d.net.architecture, layers=layers, input_dropout=0.0)
    parameters = Parameters(d.net.parameters.weights, d.net.parameters.biases)
    return replace(d, net=replace(d.net, architecture=architecture, parameters=parameters))


def with_biases(architecture: Architecture) -> Architecture:
    """The same, all of its layers with a bias: a layer without one has zeros."""
    layers = tuple(replace(layer, bias=True) for layer in architecture.layers)
    return replace(architecture, layers=layers)


def test_an_objective_wants_arrays_of_its_size(problem):
    net, X, y, _ = problem
    objective = plain.Objective(net, X, y)
    assert objective.size == net.architecture.n_parameters
    right = np.zeros(objective.size)
    for theta, out in (
        (right[1:], right),
        (right, np.zeros((1, objective.size))),
        (right, right.astype("f4")),
    ):
        with pytest.raises(ConfigError, match="side by side"):
            objective.value_and_gradient(theta, out)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [{"dropout": 0.5}, {"batch_norm": "before"}, {"input_dropout": 0.1}], ids=str
)
def test_an_objective_has_neither_dropout_nor_batch_norm(words):
    architecture = Architecture.of(4, (6, 5), 3, **words)
    net = Net(architecture, initialise(architecture, dtype=np.float64))
    with pytest.raises(ConfigError, match="neither dropout nor batch norm"):
        plain.Objective(net, np.ones((2, 4)), np.zeros(2, int))


def test_every_word_is_drawn():
    seen = [drawn(seed) for seed in range(COUNT)]
    layers = [layer for d in seen for layer in d.net.architecture.layers]
    assert {layer.act.partition(":")[0] for layer in layers} == set(ACTIVATIONS)
    assert {Loss.of(d.words["loss"]).name for d in seen} == set(LOSSES)
    assert {d.words["optimizer"].name for d in seen} == set(OPTIMIZERS)
    assert {layer.batch_norm.place for layer in layers if layer.batch_norm} == {"before", "after"}
    for word in ("dropout", "l1", "max_norm", "frozen"):
        assert sum(bool(layer.word(word)) for layer in layers) > 10, word


def test_data_that_do_not_fit_are_refused(problem):
    net, X, y, _ = problem
    for wrong in (X * np.inf, np.full_like(X, np.nan), scipy.sparse.csr_array(X * np.inf)):
        with pytest.raises(DataError, match="finite"):
            kernels.logits(net, wrong)
        with pytest.raises(DataError, match="finite"):
            kernels.train_epoch(net, wrong, y, np.arange(150))
    for call in (kernels.logits, kernels.forward, kernels.dead_units):
        with pytest.raises(Exception, match="shape"):
            call(net, X[:, :3])
    with pytest.raises(DataError):
        kernels.train_epoch(net, X, y, np.array([150]))
    with pytest.raises(DataError):
        kernels.predict(net, X, loss="squared", rows=np.array([-1]))


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_forms_of_rows_give_the_same_numbers(problem, scale):
    net, X, _, rng = problem
    X = np.where(rng.random(X.shape) < 0.5, 0, np.round(X * 8) / 8)
    net = replace(net, preprocessing=Preprocessing(scale, rng.normal(size=4)))
    want = kernels.logits(net, X)
    for form in (
        scipy.sparse.csr_array(X),
        scipy.sparse.csc_array(X),
        kernels.encode(X),
        X.astype(np.float32),
    ):
        assert digest(kernels.logits(net, form)) == digest(want)
