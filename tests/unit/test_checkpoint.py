"""Checkpoints: a training that is broken off anywhere goes on to the bytes of one that nobody broke off."""

from __future__ import annotations

import dataclasses
from itertools import cycle

import numpy as np
import pytest
from checkpoints import QUICK, Broken, X, Y, same
from nets import call, learnable, net_of

import fastmlp
from fastmlp import (
    Architecture,
    ConfigError,
    DataError,
    ModelError,
    OptimizerState,
    initialise,
    kernels,
    reference,
)
from fastmlp.kernels import launch
from fastmlp.train.checkpoint import CHECKPOINT, CheckpointFile, read

pytestmark = pytest.mark.usefixtures("no_work_is_tiny")

BACKENDS = {"numba": kernels, "numpy": reference}
RULES = {
    "sgd": {},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "adam": {"optimizer": "adam"},
    "stages": {"dropout": 0.2, "input_dropout": 0.1, "batch_norm": "before:0.8,1e-05,unbiased"},
}
STAGED = {"optimizer": "adam", "dropout": 0.2, "batch_norm": "after:0.9,0.1"}
WORDED = {  # layers with every word, and rates by step
    "hidden": (8, 6), "act": ["relu", "tanh"], "dropout": 0.2, "input_dropout": 0.1,
    "batch_norm": ["before:0.9,0.001,unbiased", "after"], "bias": [False, True, True], "l1": 1e-5, "l2": 1e-4,
    "max_norm": 3, "optimizer": "rmsprop", "momentum": 0.5, "clip_norm": 1,
    "schedule": "warmup:20+cosine/step",
}  # fmt: skip
SCHEDULES = ("constant", "cosine", "step:2,0.5", "warmup:20+cosine/step")


# --- an epoch in pieces ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "rule"),
    [
        *(("numpy", rule) for rule in ("sgd", "nesterov", "adam")),
        *(pytest.param("numba", rule, marks=pytest.mark.slow) for rule in ("sgd", "nesterov")),
        pytest.param("numba", "adam", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_an_epoch_goes_on_from_any_batch(monkeypatch, backend, rule, weighted):
    N = 20_000 if backend == "numba" else 1200
    X, Y = learnable(3, N, 40, 3)
    monkeypatch.setattr(launch, "BRIEF", 0)
    nn, rng = BACKENDS[backend], np.random.default_rng(len(rule) + weighted)
    optimizer = fastmlp.Training.of(**RULES[rule]).optimizer
    weights = rng.random(N) * (rng.random(N) < 0.8) if weighted else None
    lr = rng.uniform(0.01, 0.03, -(-N // 7)) if weighted else 0.02  # of each batch
    options = {"batch_size": 7, "lr": lr, "scale": 255.0, "optimizer": optimizer, "sample_weight": weights}
    p = initialise(Architecture(40, (9, 5), 3))
    q, state = p.copy(), OptimizerState.start(p, optimizer)
    mine, cuts = OptimizerState.start(q, optimizer), 0
    for _ in range(2):
        order, midway = rng.permutation(N), None
        whole = call(nn.train_epoch, p, X, Y, order, state=state, **options)
        totals = None
        while totals is None:
            taken, wanted = [], int(rng.integers(1, 3))

            def pause(take, taken=taken, wanted=wanted):
                taken.append(take())
                if len(taken) > wanted:
                    raise Broken
                return 1e-5

            before = q.sha256(), mine.steps
            threads = rng.choice(["1", "2", "auto"])
            try:
                totals = call(
                    nn.train_epoch,
                    q,
                    X,
                    Y,
                    order,
                    state=mine,
                    midway=midway,
                    pause=pause,
                    threads=threads,
                    **options,
                )
            except Broken:
                midway, cuts = taken[-1], cuts + 1
                assert (q.sha256(), mine.steps) == before
        assert totals[:4] == whole[:4]
    assert cuts > 0
    assert (q.sha256(), mine.steps) == (p.sha256(), state.steps)
    for one, other in zip(mine.moments, state.moments, strict=True):
        assert one.sha256() == other.sha256()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_piece_of_something_else_is_refused(backend):
    nn, taken = BACKENDS[backend], []
    p = initialise(Architecture(40, (9,), 3))

    def pause(take):
        taken.append(take())
        return 1e9

    nn.train_epoch(net_of(p), X, Y, np.arange(240), batch_size=8, pause=pause)
    good = taken[0]
    other = initialise(Architecture(40, (4,), 3))
    for bad in (
        dataclasses.replace(good, samples=3), dataclasses.replace(good, parameters=other),
        dataclasses.replace(good, moments=(other,)),
    ):  # fmt: skip
        with pytest.raises(ModelError, match="midway must be at the end of a batch of 8"):
            nn.train_epoch(net_of(p), X, Y, np.arange(240), batch_size=8, midway=bad)
    for bad in (dataclasses.replace(good, samples=240), dataclasses.replace(good, samples=-8), 3):
        with pytest.raises(ConfigError, match="midway"):
            nn.train_epoch(net_of(p), X, Y, np.arange(240), batch_size=8, midway=bad)


# --- fit ------------------------------------------------------------------------------------------


def broken_off(folder, after, X=X, Y=Y, **options):
    """A fit that ends in the callback of that epoch of it, again and again to the last; and what was told."""
    seen = []
    for _ in range(30):
        here = []

        def callback(result, model, here=here):
            here.append(result.epoch)
            seen.append(result.epoch)
            if len(here) == after:
                raise Broken

        try:
            return fastmlp.fit(X, Y, checkpoint=folder, callbacks=[callback], **options), seen
        except Broken:
            continue
    raise AssertionError("it does not come to an end")


@pytest.mark.parametrize(
    ("backend", "rule", "schedule"),
    [("numpy", rule, schedule) for rule in RULES for schedule in SCHEDULES]
    + [("numba", rule, schedule) for rule, schedule in zip(RULES, cycle(SCHEDULES), strict=False)],
)
def test_fit_goes_on_to_the_same_bytes(tmp_path, backend, rule, schedule):
    options = {**QUICK, **RULES[rule], "schedule": schedule, "backend": backend}
    found, seen = broken_off(tmp_path, 2, **options)
    assert same(found, fastmlp.fit(X, Y, **options))
    assert seen == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]  # what broke off in a callback is told again


@pytest.mark.parametrize("backend", ["numpy", pytest.param("numba", marks=pytest.mark.slow)])
def test_fit_with_every_word_of_layers_goes_on_to_the_same_bytes(tmp_path, backend):
    options = {**QUICK, **WORDED, "lr": 0.01, "backend": backend}
    found, _ = broken_off(tmp_path, 2, **options)
    assert same(found, fastmlp.fit(X, Y, **options))
    found[0].save(tmp_path / "model")
    assert fastmlp.Model.load(tmp_path / "model").parameters.sha256() == found[0].parameters.sha256()


@pytest.mark.parametrize("backend", BACKENDS)
def test_early_stopping_goes_on_too(tmp_path, backend):
    options = {
        **QUICK, "optimizer": "adam", "validation": 0.2, "patience": 3, "epochs": 40, "backend": backend,
        "class_weight": "balanced", "sample_weight": np.linspace(0, 2, 240), "center": True,
        "initial": initialise(Architecture(40, (8,), 3), seed=5),
    }  # fmt: skip
    wanted = fastmlp.fit(X, Y, **options)
    assert 1 < wanted[1].best_epoch < len(wanted[1].epochs) < 40
    found, _ = broken_off(tmp_path, 3, **options)
    assert same(found, wanted)
    assert same(fastmlp.fit(X, Y, checkpoint=tmp_path, **options), wanted)
    assert same(fastmlp.fit(X, Y, checkpoint=tmp_path, **{**options, "epochs": 50}), wanted)


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("numpy", STAGED),
        ("numba", STAGED),
        pytest.param("numpy", WORDED, marks=pytest.mark.slow),
        pytest.param("numba", WORDED, marks=pytest.mark.slow),
    ],
)
def test_fit_goes_on_within_an_epoch_with_other_threads_and_another_driver(
    tmp_path, monkeypatch, backend, words
):
    monkeypatch.setattr(launch, "BRIEF", 0)
    X, Y = learnable(1, 30_000 if backend == "numba" else 3000, 40, 3)
    options = {**QUICK, "batch_size": 2, "epochs": 2, "backend": backend, **words}
    wanted, midways, ways = fastmlp.fit(X, Y, **options), 0, [(2, "team"), (1, "team"), (2, "prange")]
    keep = CheckpointFile.keep

    def broken(self, now):
        keep(self, now)
        if now.midway is not None:
            raise Broken

    monkeypatch.setattr(CheckpointFile, "keep", broken)
    for n in range(6):
        threads, driver = ways[n % 3]
        with pytest.raises(Broken):
            fastmlp.fit(
                X, Y, **options, checkpoint=tmp_path, checkpoint_seconds=1e-3, threads=threads, driver=driver
            )
        _, found = read(tmp_path / CHECKPOINT)
        assert found.midway is not None
        assert found.midway.samples % 2 == 0
        midways += found.midway.samples > 0
    assert midways > 2
    monkeypatch.setattr(CheckpointFile, "keep", keep)
    found = fastmlp.fit(X, Y, **options, checkpoint=tmp_path)
    assert same(found, wanted)
    assert all(epoch.seconds > 0 for epoch in found[1].epochs)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupt_keeps_the_epochs_that_were_finished(tmp_path, backend):
    def interrupted(epoch, samples):
        if epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastmlp.fit(X, Y, **QUICK, backend=backend, checkpoint=tmp_path, progress=interrupted)
    assert len(read(tmp_path / CHECKPOINT)[1].epochs) == 3
    assert same(
        fastmlp.fit(X, Y, **QUICK, backend=backend, checkpoint=tmp_path),
        fastmlp.fit(X, Y, **QUICK, backend=backend),
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("where", ["train", "evaluate", "dead_units"])
def test_an_interrupt_while_an_epoch_is_finished_tears_nothing(tmp_path, monkeypatch, backend, where):
    """It comes when the weights are those after the epoch, and nothing else is."""
    wanted, calls = fastmlp.fit(X, Y, **QUICK, backend=backend), []
    owner = BACKENDS[backend].Session if where == "train" else BACKENDS[backend].Reader
    function = getattr(owner, where)

    def interrupted(*args, **kwargs):
        result = function(*args, **kwargs)
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, where, interrupted)
        with pytest.raises(KeyboardInterrupt):
            fastmlp.fit(X, Y, **QUICK, backend=backend, checkpoint=tmp_path)
    assert same(fastmlp.fit(X, Y, **QUICK, backend=backend, checkpoint=tmp_path), wanted)


def test_sparse_matrices_go_on(tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    rows = sparse.csr_matrix(np.where(X > 180, X, 0).astype(np.float32))
    options = {**QUICK, "test_data": None, "optimizer": "adam"}
    found, _ = broken_off(tmp_path, 2, rows, Y, **options)
    assert same(found, fastmlp.fit(rows, Y, **options))
    other = rows.copy()
    other.data[3] += 1
    with pytest.raises(DataError, match="got other data, by sha256"):
        fastmlp.fit(other, Y, checkpoint=tmp_path, **options)


def test_a_finished_training_has_nothing_left_to_do(tmp_path):
    wanted = fastmlp.fit(X, Y, checkpoint=tmp_path, **QUICK)
    before = (tmp_path / CHECKPOINT).read_bytes()
    seen = []
    found = fastmlp.fit(X, Y, checkpoint=tmp_path, callbacks=[lambda r, m: seen.append(r)], **QUICK)
    assert same(found, wanted)
    assert found[1].epochs == wanted[1].epochs
    assert (seen, (tmp_path / CHECKPOINT).read_bytes()) == ([], before)
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT}


def test_a_training_that_a_callback_ended_is_finished(tmp_path):
    ends = [lambda result, model: result.epoch == 3]
    wanted = fastmlp.fit(X, Y, checkpoint=tmp_path, callbacks=ends, **QUICK)
    assert len(wanted[1].epochs) == 3
    assert same(fastmlp.fit(X, Y, checkpoint=tmp_path, callbacks=ends, **QUICK), wanted)


@pytest.mark.parametrize("schedule", ["constant", "step:2,0.5"])
def test_epochs_may_be_more(tmp_path, schedule):
    options = {**QUICK, "schedule": schedule, "optimizer": "adam"}
    fastmlp.fit(X, Y, checkpoint=tmp_path, **options)
    found = fastmlp.fit(X, Y, checkpoint=tmp_path, **{**options, "epochs": 9})
    assert same(found, fastmlp.fit(X, Y, **{**options, "epochs": 9}))
