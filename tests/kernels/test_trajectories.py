"""The kernels follow the reference: step after step, and in whole epochs."""

from __future__ import annotations

import numpy as np
import pytest
from both_backends import equal_in_every_part
from compare import DROPPED, check, check_named
from nets import ACTS, call, learnable, net_of

from fastmlp import Architecture, initialise, kernels, random, reference
from fastmlp.words.layers import layers_of


def same_trajectory(start, X, y, *, steps=100, batch=100, scale=255.0, lr=0.01, act="relu", loss="logits"):
    """``steps`` steps of both backends from the same weights, in the same order: losses step by step."""
    nets = {kernels: start.copy(), reference: start.copy()}
    data, first = {kernels: kernels.encode(X), reference: X}, None
    options = {"act": act, "loss": loss, "lr": lr, "batch_size": batch, "scale": scale}
    for step in range(steps):
        order = random.permutation(len(X), 3, "order", step)[:batch]
        losses = {nn: call(nn.train_epoch, p, data[nn], y, order, **options).loss for nn, p in nets.items()}
        first = first or losses[reference]
        check("trajectory loss", losses[kernels], losses[reference], f"step {step + 1}")
    check_named("trajectory weights", nets[kernels], nets[reference])
    for (name, a), (_, b) in zip(nets[reference].named(), start.named(), strict=True):
        moved = np.linalg.norm(a - b) / max(1e-30, np.linalg.norm(a))
        assert moved > 1e-3, f"{name} hardly moved: the comparison says nothing"
    return first, losses[reference]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(
    ("hidden", "loss"), [((), "logits"), ((33,), "clip:1e-10,0.999999"), ((40, 17), "logits")]
)
def test_kernels_follow_the_reference_for_100_steps(act, hidden, loss):
    X, y = learnable(8, 1000, 196, 6)
    start = initialise(Architecture(196, layers_of(hidden, act), 6), seed=1)
    lr = {"sigmoid": 0.5}.get(act, 0.05)
    first, last = same_trajectory(start, X, y, act=act, loss=loss, lr=lr)
    assert last < 0.9 * first


@pytest.fixture(scope="module")
def mnist(mnist_folder):
    from fastmlp.data import load

    data = load(str(mnist_folder))
    return data.X, data.y


@pytest.mark.parametrize(("act", "lr"), [("relu", 0.01), ("sigmoid", 0.1), ("tanh", 0.05)])
def test_kernels_follow_the_reference_for_100_steps_on_mnist(mnist, act, lr):
    first, last = same_trajectory(
        initialise(Architecture(784, layers_of(100, act), 10)), *mnist, act=act, lr=lr
    )
    assert last < 0.95 * first


@pytest.mark.parametrize("loss", ["logits", "keras2", "clip:1e-10,0.999999"])
def test_kernels_take_the_reference_step_on_raw_pixels(loss):
    """Above the stability limit training is chaotic: each step is compared from the same weights."""
    X, y = learnable(9, 2000, 400, 10)
    raw_steps(initialise(Architecture(400, (60,), 10)), X, y, loss, 40)


@pytest.mark.parametrize("loss", ["logits", "keras2"])
def test_kernels_take_the_reference_step_on_raw_mnist(mnist, loss):
    raw_steps(initialise(Architecture(784, (100,), 10)), *mnist, loss, 30)


def raw_steps(p, X, y, loss, steps):
    from nets import Case, on_edge

    dropped, losses = 0, []
    for step in range(steps):
        order = random.permutation(len(X), 5, "order", step)[:100]
        architecture = Architecture(X.shape[1], p.shapes[0][1:], 10)
        case = Case(step, architecture, p, X[order], y[order], loss, 1.0, None, "raw")
        keep = ~on_edge(case, 2e-6)
        dropped += int((~keep).sum())
        case = case.rows(keep)
        equal_in_every_part(case, "raw ")
        ours, theirs = p.copy(), p.copy()
        for nn, q in ((kernels, ours), (reference, theirs)):
            totals = nn.train_epoch(net_of(q), case.X, case.y, np.arange(len(case.X)), lr=0.01, loss=loss)
        losses.append(totals.loss)
        check_named("raw update", ours, theirs, f"step {step + 1}")
        p = theirs
    DROPPED["raw samples kept"] += 100 * steps - dropped
    DROPPED["raw samples dropped"] += dropped
    assert dropped < 20 * steps
    assert losses[0] > 10  # raw pixels: logits in the tens and hundreds


@pytest.mark.parametrize("batch_size", [1, 7, 64, 65, 100, 129, 1000])
@pytest.mark.parametrize("act", ACTS)
def test_whole_epochs_agree_for_any_batch_size(act, batch_size):
    """Short last batches, more than 64 samples, three threads; every total as well."""
    X, y = learnable(24, 330, 60, 4)
    start = initialise(Architecture(60, layers_of((14, 9), act), 4), seed=6)
    lr = 0.002 if batch_size == 1 else 0.05
    nets, totals = [start.copy(), start.copy()], []
    for nn, p in zip((kernels, reference), nets, strict=True):
        options = {"act": act, "lr": lr, "batch_size": batch_size, "scale": 255.0, "threads": 3}
        totals.append(
            [call(nn.train_epoch, p, X, y, random.permutation(330, 6, "order", e), **options) for e in (1, 2)]
        )
    check_named("trajectory weights", *nets)
    for got, want in zip(*totals, strict=True):
        check("trajectory loss", got.loss, want.loss)
        assert (got.correct, got.live, got.samples) == (want.correct, want.live, want.samples)
        assert (got.members, want.members) == (3, 1)


def test_train_epoch_is_its_steps():
    """An epoch = loss_and_gradients and W -= lr dW for each batch: bytes, but for the fused rounding."""
    X, y = learnable(10, 330, 100, 5)
    for nn in (kernels, reference):
        p = initialise(Architecture(100, (20, 9), 5))
        q, order, total, correct = p.copy(), random.permutation(330, 0, "order"), 0.0, 0
        totals = nn.train_epoch(net_of(p, scale=255), X, y, order, lr=0.1, batch_size=64)
        for at in range(0, 330, 64):
            rows = order[at : at + 64]
            step = nn.loss_and_gradients(net_of(q, scale=255), X[rows], y[rows])
            total, correct = total + step.loss * len(rows), correct + step.correct
            for array, gradient in zip(q, step.gradients, strict=True):
                array -= np.float32(0.1) * gradient
        check_named("trajectory weights", p, q)
        check("loss", totals.loss, total / 330)
        assert (totals.correct, totals.live, totals.samples) == (correct, 330, 330)


def test_train_epoch_with_a_batch_larger_than_the_data_is_one_short_batch():
    X, y = learnable(11, 30, 50, 3)
    for nn in (kernels, reference):
        p, q = (initialise(Architecture(50, (8,), 3)) for _ in range(2))
        nn.train_epoch(net_of(p, scale=255), X, y, np.arange(30), batch_size=10**6)
        nn.train_epoch(net_of(q, scale=255), X, y, np.arange(30), batch_size=30)
        assert p.sha256() == q.sha256()
