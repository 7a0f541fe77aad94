"""The kernels against the reference: every output and gradient by name, trajectories, properties, memory."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from compare import DROPPED, check, check_named, digest, error
from nets import ACTS, LOSSES, call, draw, edge_free, learnable, net_of, values, weights

from fastmlp import Architecture, DivergedError, Parameters, initialise, kernels, random, reference
from fastmlp.data import encode as encoding
from fastmlp.losses import clip_bounds
from fastmlp.spec import layers_of

CASES = 480


def equal_in_every_part(case, prefix=""):
    """All that the backends compute from one batch agrees."""
    name, (X, y), options = str(case), (case.X, case.y), case.options
    p = case.parameters
    ours, theirs = call(kernels.forward, p, X, **options), call(reference.forward, p, X, **options)
    assert len(ours) == len(theirs)
    for layer, (got, want) in enumerate(zip(ours, theirs, strict=True)):
        assert got.dtype == np.float32
        check(prefix + "outputs", got, want, f"layer {layer + 1} {name}")
    got = call(kernels.loss_and_gradients, p, X, y, loss=case.loss, **options)
    want = call(reference.loss_and_gradients, p, X, y, loss=case.loss, **options)
    assert (got.correct, got.live) == (want.correct, want.live), name
    check(prefix + "loss", got.loss, want.loss, name)
    exact = call(
        reference.loss_and_gradients, p.astype(np.float64), X, y, loss=case.loss, **options
    ).gradients
    for (label, g), (_, w), e in zip(got.gradients.named(), want.gradients.named(), exact, strict=True):
        assert g.dtype == np.float32
        # where samples cancel, the reference itself is off by more than rounding: no tolerance fits both
        what = "gradient" if prefix or error(w, e) < 3e-6 else "cancelling gradient"
        DROPPED[f"tensors of {what}"] += 1
        check(what if prefix == "" else prefix + what, g, w, f"{label} {name}")
    ours, theirs = (call(nn.evaluate, p, X, y, loss=case.loss, **options) for nn in (kernels, reference))
    check(prefix + "loss", ours.loss, theirs.loss, name)
    assert ours.accuracy == theirs.accuracy, name
    assert call(kernels.dead_units, p, X, **options) == call(reference.dead_units, p, X, **options), name
    return got


@pytest.mark.parametrize("part", range(12))
def test_kernels_equal_the_reference_on_random_shapes(part):
    seen = set()
    before = DROPPED.copy()
    for seed in range(part, CASES, 12):
        case = edge_free(draw(seed))
        if case is None:
            continue
        equal_in_every_part(case)
        p, options = case.parameters, case.options
        ours, theirs = (call(nn.predict_proba, p, case.X, **options) for nn in (kernels, reference))
        check("probabilities", ours, theirs, str(case))
        seen.add((case.act, case.loss, case.kind, len(case.architecture.hidden)))
    assert len(seen) >= 38  # of 40: an empty case is one whose every sample lies on an edge
    counted = {name: n - before[name] for name, n in DROPPED.items()}
    assert counted["samples kept"] > 1000
    assert counted["samples kept"] > 20 * counted["samples dropped"]
    assert counted["tensors of gradient"] > 20 * counted.get("tensors of cancelling gradient", 0)


def test_cases_cover_what_they_should():
    cases = [draw(seed) for seed in range(CASES)]
    for of in (
        lambda c: c.act,
        lambda c: c.loss,
        lambda c: c.kind,
        lambda c: len(c.architecture.hidden),
        lambda c: (c.act, c.loss, c.kind, len(c.architecture.hidden)),
    ):
        groups = Counter(map(of, cases))
        assert min(groups.values()) == max(groups.values()), groups
    assert len(groups) == 4 * 5 * 6 * 4
    assert {bool(encoding.encode(c.X).sparse) for c in cases} == {True, False}
    widths = {w for c in cases for w in c.architecture.hidden}
    assert {1, 7, 8, 9} <= widths
    assert max(widths) > 120
    assert max(c.architecture.inputs for c in cases) > 700
    assert {c.architecture.outputs for c in cases} == set(range(2, 21))
    assert {1} <= {len(c.X) for c in cases}
    assert max(len(c.X) for c in cases) > 250
    clipped = [
        call(reference.loss_and_gradients, c.parameters, c.X, c.y, loss=c.loss, **c.options).live / len(c.X)
        for c in cases
        if c.loss.startswith("clip:0")
    ]
    assert 0.2 < np.mean(clipped) < 0.95


@pytest.mark.parametrize("width", [1, 7, 8, 31, 63, 64, 65, 127, 128, 129, 130])
def test_kernels_equal_the_reference_at_the_edges_of_vectors(width):
    """Widths where the blocks of up to eight vectors change size, the 1 of the next bias included."""
    for depth, D, B in ((1, 130, 64), (2, 8, 65), (3, 9, 129)):
        case = draw(width * 4 + depth)
        rng = np.random.default_rng(width)
        architecture = Architecture(D, (width,) * depth, 10)
        case = type(case)(
            width, architecture, weights(rng, architecture), values(rng, "uint8 sparse", B, D),
            rng.integers(0, 10, B), "logits", 255.0, None, "uint8 sparse",
        )  # fmt: skip
        case = edge_free(case)
        if case is not None:
            equal_in_every_part(case)


@pytest.mark.parametrize("kind", ["uint8 sparse", "float32 sparse", "float32 dense"])
def test_kernels_equal_the_reference_beyond_65536_columns(kind):
    """Many words of bits, or compressed rows, and values in the last columns count."""
    rng = np.random.default_rng(5)
    architecture = Architecture(70_001, (9,), 3)
    X = values(rng, kind, 5, 70_001)
    X[:, -1] = 200 if X.dtype == np.uint8 else 3
    scale = 255.0 if X.dtype == np.uint8 else 1.0
    case = draw(1)
    case = type(case)(
        5, architecture, weights(rng, architecture), X, rng.integers(0, 3, 5), "logits", scale, None, kind
    )
    case = edge_free(case, margin=1e-6)
    got = equal_in_every_part(case, "wide ")
    assert got.gradients.weights[0][-1].any()


@pytest.mark.parametrize("N", [1, 63, 64, 65, 999, 1000, 1001, 2500])
def test_whole_passes_agree_for_any_number_of_rows(N):
    """Chunks of the reference, shares of the kernels: no row is lost at their ends, or met twice."""
    rng = np.random.default_rng(N)
    case = draw(8)
    architecture = Architecture(30, (19, 6), 5)
    X, y = values(rng, "uint8 sparse", N, 30), rng.integers(0, 5, N)
    case = type(case)(
        N, architecture, weights(rng, architecture), X, y, "clip:0.05,0.9", 255.0, None, "uint8 sparse"
    )
    case = edge_free(case)
    X, y, p = case.X, case.y, case.parameters
    for threads in (1, 3):
        options = {**case.options, "threads": threads}
        ours, theirs = (call(nn.predict_proba, p, X, **options) for nn in (kernels, reference))
        check("probabilities", ours, theirs)
        check(
            "outputs", call(kernels.forward, p, X, **options)[0], call(reference.forward, p, X, **options)[0]
        )
        ours, theirs = (call(nn.evaluate, p, X, y, loss=case.loss, **options) for nn in (kernels, reference))
        check("loss", ours.loss, theirs.loss)
        assert ours.accuracy == theirs.accuracy
        assert call(kernels.dead_units, p, X, **options) == call(reference.dead_units, p, X, **options)
    # one row alone gives the very bytes it gives among others
    alone = call(kernels.predict_proba, p, X[-1:], **case.options)
    assert alone.tobytes() == call(kernels.predict_proba, p, X, **case.options)[-1:].tobytes()


def test_a_unit_that_the_last_row_alone_activates_is_not_dead():
    X = np.zeros((1500, 4), np.uint8)
    X[-1, 2] = 200
    W = np.zeros((4, 3), np.float32)
    W[2, 1] = 1
    p = Parameters((W, np.ones((3, 2), np.float32)), (np.zeros(3, np.float32), np.zeros(2, np.float32)))
    for threads in (1, 2, 5):
        assert kernels.dead_units(net_of(p), X, threads=threads) == reference.dead_units(net_of(p), X) == [2]
        assert (
            kernels.dead_units(net_of(p), X[:-1], threads=threads)
            == reference.dead_units(net_of(p), X[:-1])
            == [3]
        )


# --- trajectories -------------------------------------------------------------------------------


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
    raw_steps(initialise(Architecture(400, (60,), 10)), X, y, loss, 60)


@pytest.mark.parametrize("loss", ["logits", "keras2"])
def test_kernels_take_the_reference_step_on_raw_mnist(mnist, loss):
    raw_steps(initialise(Architecture(784, (100,), 10)), *mnist, loss, 60)


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


# --- properties ---------------------------------------------------------------------------------

BOTH = pytest.mark.parametrize("nn", [kernels, reference], ids=["kernels", "reference"])


@BOTH
def test_probabilities_sum_to_one_and_are_shift_invariant(nn):
    for seed in range(0, 40):
        case = draw(seed)
        p = call(nn.predict_proba, case.parameters, case.X, **case.options)
        assert abs(p.sum(axis=1, dtype=np.float64) - 1).max() < 3e-7 * math.sqrt(p.shape[1])
        assert ((p >= 0) & (p <= 1)).all()
        logits = call(nn.forward, case.parameters, case.X, **case.options)[-1]
        assert (logits.argmax(axis=1) == p.argmax(axis=1)).mean() > 0.99  # equal p of unequal logits at most
        *biases, last = case.parameters.biases
        shifted = Parameters(case.parameters.weights, (*biases, last + np.float32(4)))
        check("probabilities", call(nn.predict_proba, shifted, case.X, **case.options), p, str(case))


@BOTH
def test_gradients_do_not_depend_on_the_order_of_the_batch(nn):
    for seed in range(0, 48, 3):
        case = draw(seed)
        order = np.random.default_rng(seed).permutation(len(case.X))
        one = call(nn.loss_and_gradients, case.parameters, case.X, case.y, loss=case.loss, **case.options)
        other = call(
            nn.loss_and_gradients,
            case.parameters,
            case.X[order],
            case.y[order],
            loss=case.loss,
            **case.options,
        )
        check_named("permuted", other.gradients, one.gradients, str(case))
        assert (one.correct, one.live) == (other.correct, other.live)


@BOTH
def test_a_sample_twice_weighs_twice(nn):
    case = draw(4)
    one = call(nn.loss_and_gradients, case.parameters, case.X, case.y, loss=case.loss, **case.options)
    twice = (np.concatenate([case.X, case.X]), np.concatenate([case.y, case.y]))
    two = call(nn.loss_and_gradients, case.parameters, *twice, loss=case.loss, **case.options)
    check_named("permuted", two.gradients, one.gradients)
    assert two.correct == 2 * one.correct


@BOTH
def test_a_dead_unit_has_no_gradient_at_all(nn):
    X, y = learnable(12, 70, 40, 4)
    start = initialise(Architecture(40, (9, 11), 4), seed=2)
    start.biases[0][[0, 5, 8]] = -1e6
    start.biases[1][10] = -1e6
    dead = np.array([0, 5, 8])
    assert nn.dead_units(net_of(start, scale=255), X) == [3, 1]
    gradients = nn.loss_and_gradients(net_of(start, scale=255), X, y).gradients
    assert not gradients.weights[0][:, dead].any()
    assert not gradients.biases[0][dead].any()
    assert not gradients.weights[1][dead, :].any()
    assert not gradients.weights[1][:, 10].any()
    assert not gradients.weights[2][10, :].any()
    assert gradients.weights[0][:, [1, 2, 3, 4, 6, 7]].any(axis=0).all()
    p = start.copy()
    nn.train_epoch(net_of(p, scale=255), X, y, np.arange(70), lr=0.1, batch_size=20)
    assert digest(p.weights[0][:, dead]) == digest(start.weights[0][:, dead])


@BOTH
@pytest.mark.parametrize("act", ["sigmoid", "tanh"])
def test_dead_units_of_saturated_activations(nn, act):
    """A sigmoid far below 0 gives 0 in both backends, a tanh -1: never dead."""
    X = np.full((10, 3), 1, np.uint8)
    p = initialise(Architecture(3, layers_of(6, act), 2))
    p.biases[0][:4] = [-1e4, -300, -120, 300]
    assert nn.dead_units(net_of(p, act=act), X) == [3 if act == "sigmoid" else 0]


@BOTH
def test_columns_that_are_always_zero_have_no_gradient_and_keep_their_weights(nn):
    X, y = learnable(13, 60, 40, 4)
    X[:, [0, 7, 39]] = 0
    p = initialise(Architecture(40, (9,), 4))
    assert not nn.loss_and_gradients(net_of(p, scale=255), X, y).gradients.weights[0][[0, 7, 39]].any()
    before = p.copy()
    nn.train_epoch(net_of(p, scale=255), X, y, np.arange(60), batch_size=7)
    assert digest(p.weights[0][[0, 7, 39]]) == digest(before.weights[0][[0, 7, 39]])


@BOTH
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_huge_logits_stay_finite(nn, loss, size):
    X = np.eye(4, dtype=np.float32)
    W = np.zeros((4, 5), np.float32)
    W[0], W[1], W[2] = [size, 0, 0, 0, -size], [-size] * 5, [size] * 5
    p = Parameters((W,), (np.zeros(5, np.float32),))
    for y in (np.zeros(4, int), np.full(4, 4)):
        step = nn.loss_and_gradients(net_of(p), X, y, loss=loss)
        assert math.isfinite(step.loss)
        assert step.gradients.finite
        assert np.isfinite(nn.predict_proba(net_of(p), X)).all()
        want = 2 * size if y[0] == 4 else 0.0  # of the first sample
        if loss != "logits":
            low, high = np.float32(clip_bounds(loss))  # 1 - 1e-7 becomes 1 - 1.19e-7
            want = -math.log(high if y[0] == 0 else low)
        first = nn.loss_and_gradients(net_of(p), X[:1], y[:1], loss=loss)
        check("loss", first.loss, want)
        assert first.live == (loss == "logits")


@BOTH
def test_equal_logits_give_the_uniform_distribution(nn):
    X = np.ones((3, 2), np.float32)
    for K in (2, 10, 1000):
        p = Parameters((np.zeros((2, K), np.float32),), (np.full(K, 7, np.float32),))
        check("probabilities", nn.predict_proba(net_of(p), X), np.full((3, K), 1 / K))
        step = nn.loss_and_gradients(net_of(p), X, np.array([0, 0, K - 1]))
        check("loss", step.loss, math.log(K))
        assert step.correct == 2  # the first of equals


@BOTH
def test_one_sample_of_the_first_and_of_the_last_class(nn):
    X = np.array([[3, 0, 250]], np.uint8)
    p = initialise(Architecture(3, (5,), 7), "torch", seed=4)
    for label in (0, 6):
        step = nn.loss_and_gradients(net_of(p, scale=255), X, np.array([label]))
        probability = nn.predict_proba(net_of(p, scale=255), X)[0]
        check("loss", step.loss, -math.log(probability[label]))
        check("gradient", step.gradients.biases[1], probability - np.eye(7)[label])


@BOTH
def test_scale_and_mean_are_the_same_as_prepared_inputs(nn):
    """scale = 256 on bytes is X / 256 with no scale: the same bytes. A mean: the same numbers."""
    X, y = learnable(14, 300, 90, 4)
    start = initialise(Architecture(90, (12,), 4))
    divided = X.astype(np.float32) / 256
    nets = []
    for data, scale in ((X, 256.0), (divided, 1.0)):
        p = start.copy()
        totals = nn.train_epoch(net_of(p, scale=scale), data, y, np.arange(300), lr=0.1, batch_size=50)
        nets.append(digest(*p, totals.loss, nn.predict_proba(net_of(p, scale=scale), data)))
    assert nets[0] == nets[1]
    mean = X.mean(axis=0).astype(np.float32)
    centred = (X.astype(np.float32) - mean) / 255
    one = nn.loss_and_gradients(net_of(start, scale=255, mean=mean), X, y)
    two = nn.loss_and_gradients(net_of(start), centred, y)
    check_named("gradient", one.gradients, two.gradients)
    plain = nn.loss_and_gradients(net_of(start, scale=255), X, y)
    assert error(plain.gradients.weights[0], two.gradients.weights[0]) > 0.1


def test_kernels_give_the_same_bytes_from_any_form_of_x():
    """An array, its Encoded, another memory order, and another type of the same values."""
    X, y = learnable(15, 100, 60, 3)
    p = initialise(Architecture(60, (9,), 3))
    answers = set()
    for form in (
        X, kernels.encode(X), np.asfortranarray(X), X.astype(np.float32), X.astype(np.int64),
        X.reshape(100, 6, 10),
    ):  # fmt: skip
        step = kernels.loss_and_gradients(net_of(p, scale=255), form, y)
        answers.add(digest(*step.gradients, step.loss, kernels.predict_proba(net_of(p, scale=255), form)))
    assert len(answers) == 1


@pytest.mark.parametrize("kind", ["uint8 sparse", "uint8 dense", "float32 sparse", "float32 dense"])
def test_frozen_and_unaligned_arrays_compile_nothing_anew(kind):
    """To Numba they are other types: a whole compilation, once for each mixture."""
    from fastmlp.kernels import epoch, single_rows

    rng = np.random.default_rng(25)
    X, y, order = values(rng, kind, 80, 30), rng.integers(0, 3, 80), rng.permutation(80)
    shifted = np.empty(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape)
    shifted[...] = X
    mean, seen, compiled = X.mean(axis=0).astype(np.float32), set(), set()
    for data in (X, shifted, X):
        p = initialise(Architecture(30, (9,), 3), seed=1)
        kernels.train_epoch(net_of(p, scale=255.0), data, y, order)
        answers = [kernels.predict_proba(net_of(p, scale=255.0, mean=mean), data[:n]) for n in (1, 80)]
        seen.add(digest(*p, *answers, kernels.evaluate(net_of(p, scale=255.0), data, y)))
        compiled.add((len(epoch.run.signatures), len(single_rows.answer.signatures)))
        for array in (X, y, order, mean):
            array.flags.writeable = False
    assert len(seen) == len(compiled) == 1


def test_sparse_and_dense_walks_give_the_same_numbers(monkeypatch):
    X, y = learnable(16, 129, 300, 5)
    p = initialise(Architecture(300, (40,), 5))
    sparse = kernels.encode(X)
    monkeypatch.setattr(encoding, "SPARSE_BELOW", 0.0)
    dense = kernels.encode(X)
    assert (sparse.sparse, dense.sparse) == (True, False)
    answers = [kernels.loss_and_gradients(net_of(p, scale=255), form, y) for form in (sparse, dense)]
    # adding 0 * w changes nothing: the very same bytes
    assert digest(*answers[0].gradients, answers[0].loss) == digest(*answers[1].gradients, answers[1].loss)


def test_kernels_leave_their_arguments_alone():
    X, y = learnable(17, 50, 30, 3)
    p, order, mean = initialise(Architecture(30, (8,), 3)), np.arange(50), np.full(30, 2, np.float32)
    before = digest(X, y, order, mean, *p)
    options = {"scale": 255.0, "mean": mean, "threads": 2}
    call(kernels.forward, p, X, **options)
    call(kernels.loss_and_gradients, p, X, y, **options)
    call(kernels.evaluate, p, X, y, **options)
    call(kernels.predict_proba, p, X, **options)
    call(kernels.dead_units, p, X, **options)
    assert digest(X, y, order, mean, *p) == before
    call(kernels.train_epoch, p, X, y, order, **options)
    assert digest(X, y, order, mean) == digest(X, y, np.arange(50), np.full(30, 2, np.float32))
    assert digest(X, y, order, mean, *p) != before


# --- divergence ---------------------------------------------------------------------------------


def diverge(nn, X, y, p, threads=1, **options):
    before = p.sha256()
    with pytest.raises(DivergedError) as caught:
        call(nn.train_epoch, p, X, y, np.arange(len(X)), batch_size=10, threads=threads, **options)
    assert p.sha256() == before
    return caught.value


@pytest.mark.parametrize("loss", LOSSES)
def test_divergence_is_seen_in_its_batch_by_both_backends(loss):
    """A sample whose logits overflow, in a batch of its own choice."""
    X, y = learnable(18, 200, 30, 4)
    X = X.astype(np.float32) / 255
    for row in (0, 57, 199):
        bad = X.copy()
        bad[row] = 3e38
        p = initialise(Architecture(30, (12,), 4), seed=5)
        found = {
            (str(caught), caught.batch)
            for caught in (
                diverge(reference, bad, y, p, loss=loss),
                *(diverge(kernels, bad, y, p, threads, loss=loss) for threads in (1, 2, 3, 5, 8)),
            )
        }
        batch = row // 10 + 1
        assert found == {(f"the loss must stay finite; got nan or infinity in batch {batch}.", batch)}


def test_weights_that_overflow_are_seen_in_their_batch_by_both_backends():
    """The loss is finite, the step too long: the update overflows, in the first layer or in a deeper one."""
    y = np.arange(40) % 2  # the biases' gradients cancel exactly until then
    X = np.zeros((40, 6), np.float32)
    X[25, 3] = 1
    shallow = Parameters((np.zeros((6, 2), np.float32),), (np.zeros(2, np.float32),))
    deep = Parameters(
        (np.full((6, 3), 1e19, np.float32), np.zeros((3, 2), np.float32)),
        (np.zeros(3, np.float32), np.zeros(2, np.float32)),
    )
    X_deep = X * np.float32(1e10)
    for p, data, lr in ((shallow, X * np.float32(1e30), 1e12), (deep, X_deep, 1e12)):
        found = {
            (str(caught), caught.batch)
            for caught in (
                diverge(reference, data, y, p, lr=lr),
                *(diverge(kernels, data, y, p, threads, lr=lr) for threads in (1, 2, 3, 5, 8)),
            )
        }
        assert found == {("the weights must stay finite; got nan or infinity in batch 3.", 3)}


@pytest.mark.parametrize("D", [40, 600])  # whole, and in halves
@pytest.mark.parametrize("largest", [1, 2])
def test_large_weights_are_not_taken_for_infinite_ones(D, largest):
    """Each batch makes weights of 2e38, of another input, from 0; in the last one, of twice that."""
    y = np.arange(50) % 2  # the biases' gradients cancel exactly
    X = np.zeros((50, D), np.float32)
    X[[5, 15, 25, 35, 45], [5, D - 1, 3, D - 5, 7]] = 1e10 * np.array([1, 1, 1, 1, largest])
    p = Parameters((np.zeros((D, 2), np.float32),), (np.zeros(2, np.float32),))
    if largest == 2:
        assert diverge(reference, X, y, p, lr=4e29).batch == 5
        assert {diverge(kernels, X, y, p, threads, lr=4e29).batch for threads in (1, 2, 3)} == {5}
        return
    found = []
    for nn, threads in ((reference, 1), (kernels, 1), (kernels, 2), (kernels, 3)):
        q = p.copy()
        nn.train_epoch(net_of(q), X, y, np.arange(50), batch_size=10, threads=threads, lr=4e29)
        assert np.isclose(abs(q.weights[0]).max(), 2e38)
        found.append(digest(*q))
    assert len(set(found[1:])) == 1


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("loss", ["logits", "keras2"])
def test_nan_in_a_weight_reaches_the_loss(act, loss):
    X, y = learnable(19, 40, 20, 3)
    for layer in (0, 1, 2):
        p = initialise(Architecture(20, layers_of((8, 5), act), 3))
        p.weights[layer][:, 1] = np.nan
        for found in (
            diverge(reference, X, y, p, act=act, loss=loss, scale=255),
            *(diverge(kernels, X, y, p, threads, act=act, loss=loss, scale=255) for threads in (1, 3)),
        ):
            assert found.batch == 1
            assert "loss" in found.must
        assert math.isnan(kernels.evaluate(net_of(p, act=act, scale=255), X, y, loss=loss).loss)
        assert np.isnan(kernels.predict_proba(net_of(p, act=act, scale=255), X)).all()


# --- memory -------------------------------------------------------------------------------------


class PoisonedNumPy:
    """NumPy, but fresh memory holds a pattern instead of whatever was there."""

    def __init__(self, pattern):
        self.pattern, self.poisoned = pattern, 0

    def __getattr__(self, name):
        return getattr(np, name)

    def empty(self, *args, **kwargs):
        array = np.empty(*args, **kwargs)
        array.view(np.uint8).reshape(-1)[...] = self.pattern
        self.poisoned += 1
        return array

    def empty_like(self, other):
        return self.empty(other.shape, other.dtype)


def poison_workspace(work, pattern):
    """Fill all of a Net's workspace, but its padding, and the 1 after each row of inputs (layout.py)."""
    for array in (work.acts, work.codes, work.masks, work.shift, work.columns, work.parts):
        array.view(np.uint8)[...] = pattern
    word = np.full(1, pattern * 0x01010101, np.uint32).view(np.float32)
    inputs = work.inputs.reshape(-1, work.input_stride)[:, : work.fan_in[0]]
    inputs[...] = word
    for deltas in work.deltas.reshape(work.slots, -1):
        ends = [*work.a_at[1:], len(deltas)]
        for layer, (at, end, stride) in enumerate(zip(work.a_at, ends, work.stride, strict=True)):
            block = deltas[at : end - (end - at) % stride].reshape(-1, stride)
            block = block[:, : work.fan_out[layer]] if layer == work.depth - 1 else block
            block[...] = word
    return work


@pytest.mark.parametrize("hidden", [(), (13,), (100,), (17, 9, 4), (16, 8)])
@pytest.mark.parametrize("kind", ["uint8 sparse", "float32 dense", "uint8 centred"])
@pytest.mark.parametrize(("D", "threads"), [(45, 3), (520, 2)], ids=["by samples", "by halves"])
def test_kernels_do_not_read_what_memory_held_before(monkeypatch, hidden, kind, D, threads):
    rng = np.random.default_rng(20)
    X, y = values(rng, kind, 150, D), rng.integers(0, 11, 150)
    mean = X.mean(axis=0).astype(np.float32) if kind.endswith("centred") else None
    options = {"scale": 255.0 if X.dtype == np.uint8 else 1.0, "mean": mean, "threads": threads}

    def everything():
        p = initialise(Architecture(D, hidden, 11))
        order = np.random.default_rng(1).permutation(150)
        totals = call(kernels.train_epoch, p, X, y, order, batch_size=67, **options)
        step = call(kernels.loss_and_gradients, p, X, y, **options)
        return digest(
            *p, totals[:4], *step.gradients, step.loss, call(kernels.predict_proba, p, X, **options),
            call(kernels.evaluate, p, X, y, **options), call(kernels.dead_units, p, X, **options),
            *call(kernels.forward, p, X, **options),
        )  # fmt: skip

    clean, build = everything(), kernels.layout.build
    for pattern in (0x00, 0xFF, 0x7F):
        shim = PoisonedNumPy(pattern)
        monkeypatch.setattr(kernels, "np", shim)
        monkeypatch.setattr(kernels.launch, "np", shim)
        monkeypatch.setattr(
            kernels.layout, "build", lambda *a, _p=pattern, **k: poison_workspace(build(*a, **k), _p)
        )
        assert everything() == clean, f"{pattern:#x}"
        assert shim.poisoned >= 3


@pytest.mark.parametrize("hidden", [(), (13,), (17, 9, 4)])
def test_reference_does_not_read_what_memory_held_before(monkeypatch, hidden):
    X, y = learnable(21, 150, 45, 11)

    def everything():
        p = initialise(Architecture(45, hidden, 11))
        totals = reference.train_epoch(net_of(p, scale=255.0), X, y, np.arange(150), batch_size=67)
        step = reference.loss_and_gradients(net_of(p, scale=255.0), X, y)
        return digest(
            *p, totals, *step.gradients, step.loss, reference.predict_proba(net_of(p, scale=255.0), X)
        )

    clean = everything()
    for pattern in (0x00, 0xFF):
        shim = PoisonedNumPy(pattern)
        monkeypatch.setattr(reference, "np", shim)
        assert everything() == clean, f"{pattern:#x}"
        assert shim.poisoned >= 5


def test_poison_reaches_what_is_read(monkeypatch):
    """The poison is real: it changes the answer where zeros are needed."""
    X, y = learnable(22, 50, 45, 3)
    p = initialise(Architecture(45, (), 3))
    build = kernels.layout.build

    def spoiled(*args):
        work = poison_workspace(build(*args), 0x00)
        work.theta[...] = 0
        return work

    clean = digest(*kernels.loss_and_gradients(net_of(p, scale=255), X, y).gradients)
    monkeypatch.setattr(kernels.layout, "build", spoiled)
    assert digest(*kernels.loss_and_gradients(net_of(p, scale=255), X, y).gradients) != clean


def test_a_compiled_epoch_allocates_nothing_per_step():
    from numba.core.runtime import _nrt_python, rtsys

    X, y = learnable(23, 200, 60, 5)
    X = kernels.encode(X)
    p = initialise(Architecture(60, (20, 10), 5))
    was_on = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    try:
        grown = []
        for steps in (10, 10, 1000, 3000):
            order = np.resize(np.arange(200), 20 * steps)
            before = rtsys.get_allocation_stats()
            kernels.train_epoch(net_of(p, scale=255), X, y, order, batch_size=20, threads=2)
            after = rtsys.get_allocation_stats()
            assert after.alloc - before.alloc == after.free - before.free  # nothing is left behind
            grown.append((after.alloc - before.alloc, after.mi_alloc - before.mi_alloc))
    finally:
        if not was_on:
            _nrt_python.memsys_disable_stats()
    assert len(set(grown)) == 1, grown


def test_the_allocation_count_would_notice_one_a_step():
    """The measure of the test above, on a function that does allocate."""
    from numba import njit
    from numba.core.runtime import _nrt_python, rtsys

    @njit
    def wasteful(n):
        total = 0.0
        for i in range(n):
            total += np.zeros(i + 1)[-1]
        return total

    wasteful(1)
    was_on = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats().alloc
        wasteful(100)
        assert rtsys.get_allocation_stats().alloc - before >= 100
    finally:
        if not was_on:
            _nrt_python.memsys_disable_stats()


# --- arguments that do not fit ------------------------------------------------------------------

MISFITS = {
    "a label K": "nn.loss_and_gradients(net, X, np.full(20, 3))",
    "a label -1": "nn.loss_and_gradients(net, X, np.full(20, -1))",
    "too many columns": "nn.loss_and_gradients(net, np.ones((20, 9), np.float32), y)",
    "too few columns": "nn.predict_proba(net, np.ones((20, 4), np.float32))",
    "too few labels": "nn.loss_and_gradients(net, X, y[:5])",
    "too few labels to evaluate": "nn.evaluate(net, X, y[:5])",
    "an order beyond the data": "nn.train_epoch(net, X, y, np.array([1, 20]))",
    "a negative order": "nn.train_epoch(net, X, y, np.array([1, -1]))",
    "a rate below 0": "nn.train_epoch(net, X, y, np.arange(20), lr=-0.1)",
    "a rate of nan": "nn.train_epoch(net, X, y, np.arange(20), lr=np.nan)",
    "a mean of another length": "Net(shape, net.parameters, Preprocessing(1, np.zeros(4, np.float32)))",
}
MISFIT = """
import numpy as np
from fastmlp import Architecture, Net, Preprocessing, initialise, {backend} as nn
shape, X, y = Architecture(6, (5,), 3), np.ones((20, 6), np.float32), np.zeros(20, np.int64)
net = Net(shape, initialise(shape))
for what, call in {calls!r}.items():
    try:
        eval(call)
    except (ValueError, IndexError):
        print(what, flush=True)
"""


@pytest.mark.parametrize("backend", ["kernels", "reference"])
def test_arguments_that_do_not_fit_are_refused(backend):
    """In a process of its own: compiled code checks no index, and reads or writes beyond its arrays."""
    script = MISFIT.format(backend=backend, calls=MISFITS)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert ran.stdout.splitlines() == list(MISFITS), ran.stderr
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_is_warm_once_compiled(tmp_path):
    script = """
import numpy as np
from fastmlp import Architecture, Net, initialise, kernels as nn
shape, X, y = Architecture(6, (5,), 3), np.ones((20, 6), np.uint8), np.zeros(20, np.int64)
net = Net(shape, initialise(shape))
print(nn.is_warm())
nn.train_epoch(net, X, y, np.arange(20))
print(nn.is_warm())
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    for expected in (["False", "True"], ["True", "True"]):
        ran = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env=environment
        )
        assert ran.stdout.split() == expected, ran.stderr
