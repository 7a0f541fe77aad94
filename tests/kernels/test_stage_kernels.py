"""Dropout and batch norm in the kernels: as the reference has them, in every form of rows; and bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from compare import TOLERANCES, check, digest, error
from drawn_trainings import Changing
from numba import njit
from staged_nets import Staged, drawn

from fastmlp import Optimizer, kernels, random, reference
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import ThreadTuner
from fastmlp.fold import folded
from fastmlp.kernels import batch_norm, dropout, launch
from fastmlp.kernels.intrinsics import address
from fastmlp.net import Net, initialise
from fastmlp.words.layers import Architecture, BatchNorm, Layer

ACTS = ("relu", "tanh", "sigmoid", "gelu", "leaky_relu", "softplus", "identity")
FORMS = ("bytes", "dense bytes", "dense", "compressed")
RULES = (Optimizer(), Optimizer(momentum=0.9, weight_decay=0.01), Optimizer("adam"), Optimizer(clip_norm=0.5))
CANCELS = 0.02  # of the largest gradient: less is a sum whose terms cancel, all of it as before a batch norm


def case_of(seed: int, **words) -> tuple[Staged, object]:
    """A case, and its X as it is to be encoded: seeds in a row have each form, centred or not."""
    rng = np.random.default_rng([seed, 7])
    form, D, N = (
        FORMS[seed % 4],
        int(rng.choice([5, 64, 70, 130, 600])),
        int(rng.choice([1, 7, 64, 101, 230])),
    )
    full, values = rng.random((N, D)), rng.integers(1, 256, (N, D))
    if form.endswith("bytes"):
        X = (values * (full < (0.2 if form == "bytes" else 0.9))).astype(np.uint8)
    else:
        X = (rng.normal(size=(N, D)) * (full < (1 if form == "dense" else 0.1))).astype(np.float32)
    centred, scale = seed // 4 % 3 == 0, 255.0 if X.dtype == np.uint8 else 1.0
    if seed % 5 == 3:
        scale = (scale * rng.uniform(0.5, 2, D)).astype(np.float32)
    case = drawn(seed, X, most_units=130, acts=ACTS, scale=scale, centred=centred, **words)
    return case, scipy.sparse.csr_array(X) if form == "compressed" else X


# --- the stream -----------------------------------------------------------------------------------


def test_words_of_kept_units_are_those_of_the_specification():
    @njit
    def words(draw, layer, place, out):
        for word in range(len(out)):
            out[word] = dropout.kept_word(address(draw), layer, place, word)

    @njit
    def entry(draw, place, unit):
        return dropout._number(address(draw), place, unit)

    net = Architecture(150, (Layer(300, dropout=0.3),), 2, None, 0.7)
    draw = dropout.draw_of(net, "floats", (12, 5))
    key, out = random.key_of(12, "dropout"), np.zeros(5, np.uint64)
    for layer, width, share in ((0, 150, 0.7), (1, 300, 0.3)):
        for place in (0, 3, 10**7):
            words(draw, layer, place, out)
            bits = np.unpackbits(out.view(np.uint8), bitorder="little")[:width].astype(bool)
            assert np.array_equal(bits, random.kept(share, width, key, 5, layer, [place])[0])
    kept = random.kept(0.7, 150, key, 5, 0, [77])[0]
    assert [entry(draw, 77, unit) >= random.parts_out(0.7) for unit in range(150)] == kept.tolist()


# --- one step -------------------------------------------------------------------------------------


def compare_steps(seed: int, **words) -> None:
    case, X = case_of(seed, **words)
    want = reference.loss_and_gradients(case.net, case.X, case.y, **case.draw)
    largest = max(np.linalg.norm(gradient) for gradient in want.gradients)
    for threads in (1, 2):
        got = kernels.loss_and_gradients(case.net, kernels.encode(X), case.y, threads=threads, **case.draw)
        check("drawn loss", got.loss, want.loss, str(case))
        assert got.correct == want.correct or len(case.y) > 1
        for (name, mine), theirs in zip(got.gradients.named(), want.gradients, strict=True):
            if name.startswith(("mean", "variance")):
                assert not mine.any()
            else:  # norm-wise, of a norm that is no less than that part of the largest gradient's
                least = CANCELS * largest
                check("drawn gradient", [*mine.flat, least], [*theirs.flat, least], f"{name} {case}")


@pytest.mark.parametrize("seed", range(16))
def test_a_step_is_the_references(seed):
    compare_steps(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(16, 240))
def test_a_step_is_the_references_often(seed):
    compare_steps(seed, dropout=seed % 3 != 0, batch_norm=seed % 3 != 1)


def test_the_comparison_goes_red():
    case, _ = case_of(2)
    want = reference.loss_and_gradients(case.net, case.X, case.y, **case.draw)
    other = kernels.loss_and_gradients(case.net, case.X, case.y, seed=case.seed + 1, epoch=case.epoch)
    wrong = [error(a, b) for a, b in zip(other.gradients.weights, want.gradients.weights, strict=True)]
    assert max(wrong) > 100 * TOLERANCES["drawn gradient"]


# --- an epoch -------------------------------------------------------------------------------------


def train(nn, case, X, rule, batch_size, **options):
    net = replace(case.net, parameters=case.net.parameters.copy())
    state = OptimizerState.start(net.parameters, rule)
    order = np.random.default_rng(case.seed).permutation(len(case.y))
    totals = nn.train_epoch(
        net,
        X,
        case.y,
        order,
        lr=0.01,
        batch_size=batch_size,
        optimizer=rule,
        state=state,
        **case.draw,
        **options,
    )
    return digest(*net.parameters, *(array for moment in state.moments for array in moment), totals.loss)


WAYS = {
    "two": lambda: 2,
    "three": lambda: 3,
    "changing": lambda: Changing(2, 3, 1, 2, 8, 2, 5),
    "prange of 2": lambda: ThreadTuner(2, "prange"),
    "prange of 3": lambda: ThreadTuner(3, "prange"),
}


def compare_ways(seed: int, names) -> None:
    case, X = case_of(seed)
    encoded, rule, batch_size = kernels.encode(X), RULES[seed % len(RULES)], (7, 32, 100)[seed % 3]
    one = train(kernels, case, encoded, rule, batch_size, threads=1)
    for name in names:
        assert train(kernels, case, encoded, rule, batch_size, threads=WAYS[name]()) == one, (name, str(case))


@pytest.mark.parametrize("seed", range(8))
def test_bytes_do_not_hang_on_threads(monkeypatch, seed):
    monkeypatch.setattr(launch, "BRIEF", 0)
    compare_ways(seed, ["two", "three", "changing", *["prange of 2"] * (seed % 4 == 0)])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8, 100))
def test_bytes_do_not_hang_on_threads_often(monkeypatch, seed):
    monkeypatch.setattr(launch, "BRIEF", 0)
    compare_ways(seed, WAYS)


@pytest.mark.parametrize("seed", [3, 6, 9])
def test_an_epoch_goes_on_midway_to_the_same_bytes(seed):
    """A slice may end after every batch: so does each of these."""
    case, X = case_of(seed)
    encoded, rule, taken = kernels.encode(X), RULES[seed % len(RULES)], []
    options = {"rule": rule, "batch_size": 9}
    whole = train(kernels, case, encoded, **options)

    def pause(take):
        taken.append(take())
        return 0.0

    assert train(kernels, case, encoded, **options, threads=Changing(1, 2, 3), pause=pause) == whole
    for midway in taken[1 :: max(1, len(taken) // 6)]:
        assert train(kernels, case, encoded, **options, midway=midway) == whole, midway.samples


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("unbiased", [False, True])
def test_an_epoch_is_the_references(place, unbiased):
    """Short last batches and one of a single sample among them; running statistics too."""
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(65, 30)).astype(np.float32), rng.integers(0, 3, 65)
    norm = BatchNorm(place, 0.7, 1e-2, unbiased)
    architecture = Architecture(
        30, (Layer(20, "tanh", 0.2, norm, bias=False), Layer(9, "gelu", 0.5, norm)), 3
    )
    found = []
    for nn in (kernels, reference):
        net = Net(architecture, initialise(architecture))
        totals = nn.train_epoch(net, X, y, np.arange(65), batch_size=16, lr=0.05, seed=9, epoch=2)
        found.append((net.parameters, totals))
    (mine, totals), (theirs, expected) = found
    check("drawn loss", totals.loss, expected.loss)
    for (name, a), b in zip(mine.named(), theirs, strict=True):
        if name not in ("b1", "b2"):
            check("drawn weights", a, b, name)


def test_a_frozen_layer_keeps_gamma_and_beta_and_its_running_statistics_move():
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(60, 12)).astype(np.float32), rng.integers(0, 3, 60)
    layers = (Layer(9, batch_norm=True, frozen=True), Layer(7, batch_norm="after"))
    for nn in (kernels, reference):
        net = Net(Architecture(12, layers, 3), initialise(Architecture(12, layers, 3)))
        first = net.parameters.copy()
        nn.train_epoch(net, X, y, np.arange(60), batch_size=20)
        moved = {name for (name, a), b in zip(net.parameters.named(), first, strict=True) if (a != b).any()}
        assert moved == {name for name, _ in first.named()} - {"W1", "b1", "gamma1", "beta1"}


def test_a_batch_of_one_has_no_variance():
    X, y = np.random.default_rng(0).normal(size=(1, 6)).astype(np.float32), np.zeros(1, np.int64)
    architecture = Architecture(6, (Layer(8, "tanh", batch_norm=BatchNorm("before", 0.5, 1e-3, True)),), 3)
    net = Net(architecture, initialise(architecture))
    first = net.parameters.weights[0].copy()
    kernels.train_epoch(net, X, y, np.arange(1), lr=0.5)
    assert np.array_equal(net.parameters.weights[0], first)
    assert np.array_equal(net.parameters.norms[0].variance, np.full(8, 0.5, np.float32))
    kernels.train_epoch(net, X, y, np.arange(1), lr=0.5, sample_weight=np.zeros(1))
    assert np.array_equal(net.parameters.norms[0].variance, np.full(8, 0.5, np.float32))  # it does not count


# --- prediction -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_predictions_are_the_references_and_hang_on_no_neighbour(seed):
    case, X = case_of(seed)
    encoded, net, n = kernels.encode(X), case.net, len(case.y)
    check("drawn outputs", kernels.logits(net, encoded), reference.logits(net, case.X), str(case))
    for mine, theirs in zip(kernels.forward(net, encoded), reference.forward(net, case.X), strict=True):
        check("drawn outputs", mine, theirs, str(case))
    ours, theirs = (nn.evaluate(net, case.X, case.y) for nn in (kernels, reference))
    check("drawn loss", ours.loss, theirs.loss, str(case))
    p = kernels.predict_proba(net, case.X)
    assert np.array_equal(p, kernels.predict_proba(net, case.X))
    for k in {1, min(n, 3), n // 2 or 1}:  # a row alone is a pass of its own
        assert np.array_equal(kernels.predict_proba(net, case.X[:k]), p[:k])
    assert kernels.dead_units(net, encoded) == reference.dead_units(net, case.X)


def test_a_dead_unit_is_one_whose_activation_is_dead():
    architecture = Architecture(3, (Layer(4, "relu", batch_norm="after"),), 2)
    net = Net(architecture, initialise(architecture))
    net.parameters.biases[0][:2] = -100
    net.parameters.norms[0].beta[...] = 7
    X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    assert kernels.dead_units(net, X) == reference.dead_units(net, X) == [2]


@pytest.mark.parametrize("seed", range(20))
def test_a_folded_net_predicts_as_the_net_does(seed):
    case = drawn(seed)
    net = Net(case.net.architecture, case.net.parameters.astype(np.float64))
    plain = folded(net)
    check("float64 naive", reference.logits(plain, case.X), reference.logits(net, case.X), str(case))
    assert not plain.architecture.normalises
    if not net.architecture.normalises:
        assert plain is net


# --- phases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "want"),
    [
        ([0, 0, 0], [[-1, 2, 2, 0]]),
        ([1, 0], [[-1, 0, -2, -2], [0, 1, 1, 0], [-2, -2, 0, 0]]),
        ([0, 2, 0, 0], [[-1, 1, -2, -2], [1, 3, 3, 1], [-2, -2, 1, 0]]),
        (
            [2, 0, 1, 0],
            [[-1, 0, -2, -2], [0, 2, -2, -2], [2, 3, 3, 2], [-2, -2, 2, 0], [-2, -2, 0, 0]],
        ),
    ],
)
def test_phases_go_from_norm_to_norm_and_back(place, want):
    assert batch_norm.phases_of(np.array(place)).tolist() == want
