"""Inputs are summed in two halves, which two threads keep to: the same bytes, whoever sums what."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compare import digest
from nets import call, learnable, net_of

from fastmlp import Architecture, backends, initialise, kernels
from fastmlp.backends.state import OptimizerState
from fastmlp.errors import DivergedError
from fastmlp.kernels import launch, layout
from fastmlp.kernels.layout import GAP, middle_of
from fastmlp.net import Preprocessing
from fastmlp.words.optimizers import Optimizer

D, K = 600, 4


@pytest.fixture
def halved(monkeypatch):
    """The list of whether each slice of a training was by halves, in the order of the slices."""
    seen, train = [], launch.epoch.run

    def spy(state, member, members, work, job):
        train(state, member, members, work, job)
        if job.train and member == 0:
            seen.append(job.training.halved)

    monkeypatch.setattr(launch.epoch, "run", spy)
    return seen


def trained(X, y, threads, order=None, hidden=(30, 9), batch_size=64, optimizer=None, **options):
    """Digest of what a pass of training leaves."""
    p = initialise(Architecture(X.shape[1], hidden, K), seed=5)
    if optimizer is not None:
        options |= {"optimizer": optimizer, "state": OptimizerState.start(p, optimizer)}
    order = np.random.default_rng(0).permutation(len(y)) if order is None else order
    totals = call(
        kernels.train_epoch,
        p,
        X,
        y,
        order,
        lr=0.02,
        scale=255,
        batch_size=batch_size,
        threads=threads,
        **options,
    )
    return digest(*p, totals[:4])


@pytest.mark.parametrize(
    ("D", "middle"), [(1, 1), (64, 64), (448, 448), (449, 256), (600, 320), (784, 384), (100_000, 49_984)]
)
def test_the_middle(D, middle):
    assert middle_of(D) == middle


@pytest.mark.parametrize("batch_size", [1, 63, 64, 65, 100, 129, 500])
def test_same_bytes_by_halves(halved, batch_size):
    X, y = learnable(1, 330, D, K)
    seen = [trained(X, y, threads, batch_size=batch_size) for threads in (1, 2, 3)]
    assert len(set(seen)) == 1
    assert halved == [False, True, False]


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": Optimizer("adam", alpha=0.1)},
        {"optimizer": Optimizer(momentum=0.9, weight_decay=0.01)},
        {"hidden": ()},
        {"loss": "clip:0.05,0.9", "act": "sigmoid"},
    ],
    ids=str,
)
def test_same_bytes_by_halves_for_every_training(halved, options):
    X, y = learnable(2, 300, D, K)
    assert trained(X, y, 1, **options) == trained(X, y, 2, **options)
    assert halved == [False, True]


@pytest.mark.parametrize("batch_size", [1, 65, 100])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("centred", [False, True])
def test_same_bytes_by_halves_of_dense_inputs(halved, batch_size, kind, centred):
    X, y = learnable(10, 330, D, K)
    X = (X // 2 + 1).astype(kind) + kind(3)
    assert kernels.encode(X).form == "dense"
    options = {"batch_size": batch_size, "mean": X.mean(axis=0).astype(np.float32) if centred else None}
    assert len({trained(X, y, threads, **options) for threads in (1, 2, 3)}) == 1
    assert halved == [False, True, False]


@pytest.mark.parametrize(
    "optimizer",
    [Optimizer("adam"), Optimizer(momentum=0.9), Optimizer(weight_decay=0.1)],
    ids=["adam", "momentum", "decay"],
)
@pytest.mark.parametrize(("first", "shares"), [(0.45, [0, 1, 1]), (0.55, [0, 0, 1])])
def test_a_member_may_have_no_row_of_the_deeper_layers(halved, optimizer, first, shares):
    """Where its half of the inputs has more work than the other half and those layers together."""
    chances = np.repeat((100 * first / 320, 100 * (1 - first) / 280), (320, 280))  # 100 of 600 are not 0
    X, y = (np.random.default_rng(1).random((300, D)) < chances).astype(np.uint8) * 99, np.arange(300) % K
    encoded, p = kernels.encode(X), initialise(Architecture(D, (9,), K), seed=5)
    rows = layout.rows_of(encoded, Preprocessing(255))
    found = launch._halves(encoded, rows, layout.build(net_of(p), encoded, 64, 2).layout)
    assert found[1].tolist() == shares
    options = {"hidden": (9,), "optimizer": optimizer, "order": np.tile(np.arange(300), 3)}
    assert len({trained(X, y, threads, **options) for threads in (1, 2, 2, 2)}) == 1
    assert halved == [False, True, True, True]


def test_same_bytes_in_slices(halved, monkeypatch):
    """A slice ends after some batch, the next one begins there."""
    monkeypatch.setattr(backends.threads.ThreadTuner, "next", lambda self: (self.most, 0.005))
    X, y = learnable(3, 300, D, K)
    order = np.tile(np.arange(300), 300)
    assert trained(X, y, 1, order, (100,)) == trained(X, y, 2, order, (100,))
    assert sum(halved) > 3


def test_uneven_and_centred_inputs_are_split_by_samples(halved):
    X, y = learnable(4, 300, D, K)
    X[:, :280] = 0
    assert trained(X, y, 1) == trained(X, y, 2)
    mean = X.mean(axis=0).astype(np.float32)
    assert trained(X, y, 1, mean=mean) == trained(X, y, 2, mean=mean)
    assert not any(halved)


def test_batches_without_any_input_in_a_half(halved):
    X, y = learnable(5, 300, D, K)
    X[:100, :320], X[100:200, 320:], X[200:] = 0, 0, 0
    seen = {trained(X, y, threads, np.arange(300), batch_size=50) for threads in (1, 2, 3)}
    assert len(seen) == 1
    assert halved == [False, True, False]


WHO_IS_LATE = """
import sys, threading
sys.path.append({tests!r})
import numpy as np
from nets import learnable, net_of
from fastmlp import Architecture, initialise, kernels
from fastmlp.backends import threads
from fastmlp.kernels import epoch, launch
launch.TINY = launch.TINY_STEP = 0  # or one thread would do all of it
threads._SLICE = 1e9  # uncompiled, a slice would end after some batches, and the next begin with halves again
load, add, run, counts = epoch.atomic_load, epoch.atomic_add, epoch.run, {{}}

def atomic_load(state, at):
    return {busy} if at == epoch.LAST else load(state, at)

def atomic_add(state, at, value):
    before = add(state, at, value)
    return int(threading.current_thread().name == "fastmlp-{busy}") if at == epoch.NEXT else before

def spy(state, member, members, work, job):
    assert job.training.halved
    counts[member] = job.training.counts
    run(state, member, members, work, job)

epoch.atomic_load, epoch.atomic_add, epoch.run = atomic_load, atomic_add, spy
X, y = learnable(8, 300, 600, 4)
net = net_of(initialise(Architecture(600, (3,), 4), seed=5), scale=255)
kernels.train_epoch(net, X, y, np.arange(300), batch_size=4, threads=2)
print(*counts[0][0, :, 1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("busy", [0, 1])
def test_who_comes_last_gets_fewer_samples(busy):
    """Uncompiled, where a test may say who it is that comes second to the samples and last to their end."""
    script = WHO_IS_LATE.format(tests=str(Path(__file__).parents[1] / "support"), busy=busy)
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    samples = list(map(int, ran.stdout.split()))
    assert sum(samples) == 300  # all live
    assert samples[1 - busy] > 1.5 * samples[busy]


@pytest.mark.parametrize(
    ("first", "hidden", "low", "high"),
    [(0.5, (100,), 0.4, 0.6), (0.45, (100,), 1, 1), (0.55, (100,), 0, 0), (0.45, (100, 100), 0.54, 0.57)],
)
def test_whose_half_has_less_work_has_more_of_the_deeper_layers(first, hidden, low, high):
    shares = np.repeat((60 * first / 320, 60 * (1 - first) / 280), (320, 280))  # 60 of 600 are not 0
    X = kernels.encode((np.random.default_rng(1).random((2000, D)) < shares).astype(np.uint8))
    work = layout.build(net_of(initialise(Architecture(D, hidden, K), seed=0)), X, 100, 2)
    splits, shares = launch._halves(X, layout.rows_of(X, Preprocessing(255, None)), work.layout)
    assert splits.tolist() == [0, 320, D + 1]
    assert shares[0] == 0
    assert low <= shares[1] <= high
    assert shares[2] == 1


def test_what_members_write_lies_pages_apart():
    X = kernels.encode(learnable(9, 100, D, K)[0])
    work = layout.build(net_of(initialise(Architecture(D, (100,), K), seed=0)), X, 100, 2)
    scratch = work.scratch
    for array, used in [
        (scratch.codes, 64 * 64),
        (scratch.masks, 128),
        (scratch.columns, (K + 3) * 64),
        (scratch.bound, 1),
    ]:
        assert (len(array) // work.members - used) * array.itemsize >= GAP
        assert len(array) // work.members * array.itemsize % 64 == 0


@pytest.mark.parametrize(("batch_size", "members", "one"), [(100, 2, False), (100, 1, True), (5000, 2, True)])
def test_a_team_writes_to_more_than_a_core_remembers(batch_size, members, one):
    """Unless a single batch is that much, or nobody else reads it."""
    X = kernels.encode(learnable(9, 100, D, K)[0])
    work = layout.build(net_of(initialise(Architecture(D, (100,), K), seed=0)), X, batch_size, members)
    assert (work.slots == 1) == one
    assert all(len(array) % work.slots == 0 for array in work.slot)
    if not one:
        assert 1.5 < sum(array.nbytes for array in work.slot) / 2**20 < 2.5


def test_sparse_dense_and_few_rows_give_the_same_bytes():
    """0 for most inputs, or for none; all rows together, or one by one."""
    X, _ = learnable(6, 70, D, K)
    p = initialise(Architecture(D, (30, 9), K), seed=5)
    whole = kernels.predict_proba(net_of(p, scale=255), X)
    few = np.concatenate([kernels.predict_proba(net_of(p, scale=255), X[i : i + 1]) for i in range(70)])
    full = np.concatenate([X, np.full((700, D), 9, np.uint8)])  # dense, as a whole
    assert (kernels.encode(X).form, kernels.encode(full).form) == ("bytes", "dense")
    together = kernels.predict_proba(net_of(p, scale=255), full)[:70]
    assert digest(whole) == digest(few) == digest(together)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("scale", "what", "batch"), [(255, "loss", 2), (1e-9, "weights", 1)])
def test_what_becomes_infinite_is_named(halved, threads, scale, what, batch):
    X, y = learnable(7, 300, D, K)
    p = initialise(Architecture(D, (30,), K), seed=5)
    with pytest.raises(DivergedError, match=what) as caught:
        kernels.train_epoch(
            net_of(p, scale=scale), X, y, np.arange(300), lr=1e30, batch_size=50, threads=threads
        )
    assert caught.value.batch == batch
    assert halved == [threads == 2]
