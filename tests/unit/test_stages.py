"""Dropout and batch norm in the reference: by hand, by central differences, and what trainings do."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import stage_cases
import staged_nets
from compare import check, digest, error
from staged_nets import Staged, drawn, in_float64, loss_by_hand, masks_of

from fastmlp import Architecture, ConfigError, Net, Training, fit, fit_many, initialise, kernels, reference
from fastmlp.backends.state import OptimizerState
from fastmlp.words.layers import BatchNorm, Layer
from fastmlp.words.optimizers import Optimizer

H = 2e-4
STENCIL = ((1, 8 / 12), (-1, -8 / 12), (2, -1 / 12), (-2, 1 / 12))


def slope(case: Staged, array: np.ndarray, i: int) -> float:
    """dLoss/d array[i], by four points."""
    flat, value, found = array.reshape(-1), array.reshape(-1)[i], 0.0
    for steps, weight in STENCIL:
        flat[i] = value + steps * H
        found += weight * reference.loss_and_gradients(case.net, case.X, case.y, **case.draw).loss / H
    flat[i] = value
    return found


@pytest.mark.parametrize("seed", range(12))
def test_a_step_is_the_one_worked_by_hand(seed):
    case = in_float64(drawn(seed, acts=("relu", *staged_nets.SMOOTH), centred=seed % 3 == 0, scale=1.5))
    found = reference.loss_and_gradients(case.net, case.X, case.y, **case.draw)
    check("float64 naive", found.loss, loss_by_hand(case), str(case))


@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 60))]
)
def test_gradients_are_central_differences(seed):
    case = in_float64(drawn(seed))
    step = reference.loss_and_gradients(case.net, case.X, case.y, **case.draw)
    largest = max(np.linalg.norm(gradient) for gradient in step.gradients)
    rng, moved = np.random.default_rng(seed), 0
    for (name, array), gradient in zip(case.net.parameters.named(), step.gradients, strict=True):
        if name.startswith(("mean", "variance")):
            assert not gradient.any()
            continue
        chosen = rng.permutation(array.size)[:12]
        slopes = [slope(case, array, i) for i in chosen]
        some, size = gradient.reshape(-1)[chosen], np.linalg.norm(gradient)
        if size < 1e-12 * largest:  # a bias before batch norm: nothing hangs on it
            assert np.abs(slopes).max() < 1e-9 * largest
            continue
        rest = math.sqrt(max(0.0, size**2 - np.linalg.norm(some) ** 2))
        check("central differences", [*slopes, rest], [*some, rest], f"{name} {case}")
        moved += 1
    assert moved >= 1  # more, unless all units of a layer are left out


def small(share: float = 0.0, norm: object = None, inputs: float = 0.0, width: int = 8) -> Net:
    architecture = Architecture(6, (Layer(width, "tanh", dropout=share, batch_norm=norm),), 3, None, inputs)
    return Net(architecture, initialise(architecture, dtype=np.float64))


def rows(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(n, 6)), rng.integers(0, 3, n)


WORDS = {
    "dropout": {"share": 0.3},
    "another share": {"share": 0.31},
    "input dropout": {"inputs": 0.3},
    "before": {"norm": True},
    "after": {"norm": "after"},
    "epsilon": {"norm": BatchNorm(epsilon=0.1)},
}


def test_each_word_changes_the_training():
    X, y = rows()
    seen = {}
    for name, words in {"none": {}, **WORDS}.items():
        net = small(**words)
        reference.train_epoch(net, X, y, np.arange(40), batch_size=8, lr=0.1, seed=1)
        seen[name] = digest(*net.parameters.weights)
    assert len(set(seen.values())) == len(seen)


@pytest.mark.parametrize("words", [{"momentum": 0.5}, {"unbiased": True}])
def test_each_word_of_the_running_statistics_changes_the_prediction(words):
    X, y = rows()
    nets = [small(norm=BatchNorm()), small(norm=BatchNorm(**words))]
    for net in nets:
        reference.train_epoch(net, X, y, np.arange(40), batch_size=8, lr=0.1)
    a, b = (net.parameters for net in nets)
    assert digest(*a.weights) == digest(*b.weights)
    assert not np.allclose(*(reference.predict_proba(net, X) for net in nets), rtol=1e-4)


def test_seed_and_epoch_draw_other_units():
    X, y = rows()
    seen = set()
    for draw in ({}, {"seed": 1}, {"epoch": 2}, {"seed": 1, "epoch": 2}):
        net = small(0.5)
        reference.train_epoch(net, X, y, np.arange(40), batch_size=8, lr=0.1, **draw)
        seen.add(digest(*net.parameters))
    assert len(seen) == 4


def test_what_is_left_out_hangs_on_the_place_in_the_order_alone():
    """The gradient of one long batch is the mean of those of its parts, each at its own place."""
    X, y = rows(12)
    case = Staged(small(0.5, inputs=0.2), X, y, 7, 3)
    whole = reference.loss_and_gradients(case.net, X, y, **case.draw)
    nets = [small(0.5, inputs=0.2) for _ in range(2)]
    reference.train_epoch(nets[0], X, y, np.arange(12), batch_size=12, lr=0.1, **case.draw)
    for new, old, gradient in zip(nets[0].parameters, case.net.parameters, whole.gradients, strict=True):
        np.testing.assert_allclose(new, old - 0.1 * gradient, rtol=1e-12, atol=1e-15)
    first, second = masks_of(case, np.arange(4)), masks_of(case, np.arange(8))
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a, b[:4])


def test_running_statistics_are_those_of_their_frameworks():
    X, y = rows()
    for unbiased in (False, True):
        net = small(norm=BatchNorm("before", 0.9, 1e-3, unbiased))
        z = X @ net.parameters.weights[0]
        reference.train_epoch(net, X, y, np.arange(40), batch_size=40, lr=1e-30)
        (norm,) = net.parameters.norms
        np.testing.assert_allclose(norm.mean, 0.1 * z.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(norm.variance, 0.9 + 0.1 * z.var(axis=0, ddof=unbiased), rtol=1e-12)


def test_prediction_leaves_nothing_out_and_hangs_on_no_neighbour():
    X, y = rows()
    net = small(0.5, BatchNorm("after"), 0.2)
    reference.train_epoch(net, X, y, np.arange(40), batch_size=8, lr=0.1)
    p = reference.predict_proba(net, X)
    assert np.array_equal(p, reference.predict_proba(net, X))
    for k in (1, 7):
        np.testing.assert_allclose(reference.predict_proba(net, X[:k]), p[:k], rtol=1e-12)
    (norm,) = net.parameters.norms
    a = np.tanh(X @ net.parameters.weights[0] + net.parameters.biases[0])
    a = norm.gamma * (a - norm.mean) / np.sqrt(norm.variance + 0.001) + norm.beta
    np.testing.assert_allclose(reference.forward(net, X)[0], a, rtol=1e-12)


@pytest.mark.parametrize("unbiased", [False, True])
def test_a_batch_of_one_has_no_variance(unbiased):
    """The last one may be so short: its units are beta, and only what comes after them learns."""
    X, y = rows(1)
    net = small(norm=BatchNorm("before", 0.5, 1e-3, unbiased))
    first = net.parameters.copy()
    reference.train_epoch(net, X, y, np.arange(1), lr=0.5)
    (norm,), (W1, W2) = net.parameters.norms, net.parameters.weights
    assert np.array_equal(W1, first.weights[0])
    assert np.array_equal(W2, first.weights[1])  # tanh(0) went in
    assert not np.array_equal(net.parameters.biases[1], first.biases[1])
    assert np.array_equal(norm.variance, np.full(8, 0.5))
    assert norm.mean.any()


def test_rows_count_alike_in_statistics_and_a_batch_without_weight_changes_nothing():
    X, y = rows()
    weighted, plain = small(norm=True), small(norm=True)
    weight = np.random.default_rng(0).uniform(0.1, 2, 40)
    reference.train_epoch(weighted, X, y, np.arange(40), batch_size=40, lr=1e-30, sample_weight=weight)
    reference.train_epoch(plain, X, y, np.arange(40), batch_size=40, lr=1e-30)
    (one,), (other,) = weighted.parameters.norms, plain.parameters.norms
    assert digest(one.mean, one.variance) == digest(other.mean, other.variance)
    before = digest(*plain.parameters)
    reference.train_epoch(plain, X, y, np.arange(40), batch_size=8, sample_weight=np.zeros(40))
    assert digest(*plain.parameters) == before


@pytest.mark.parametrize("rule", [Optimizer(), Optimizer("adam"), Optimizer(weight_decay=0.1, momentum=0.9)])
def test_an_epoch_goes_on_midway_to_the_same_bytes(rule):
    X, y = rows()
    net = small(0.4, BatchNorm("after", 0.8, unbiased=True), 0.2)
    again, taken = replace(net, parameters=net.parameters.copy()), []
    options = {"batch_size": 7, "lr": 0.05, "optimizer": rule, "seed": 4, "epoch": 9}
    state = OptimizerState.start(net.parameters, rule)
    reference.train_epoch(
        net, X, y, np.arange(40), state=state, pause=lambda take: taken.append(take()) or 0.0, **options
    )
    for midway in taken[1:]:
        on = replace(again, parameters=again.parameters.copy())
        state = OptimizerState.start(on.parameters, rule)
        reference.train_epoch(on, X, y, np.arange(40), state=state, midway=midway, **options)
        assert digest(*on.parameters) == digest(*net.parameters), midway.samples


def test_gamma_and_beta_decay_as_biases_do():
    X, y = rows()
    for words in ({"weight_decay": 0.1}, {"alpha": 0.1}):
        net, other = small(norm=True), small(norm=True)
        for one, rule in ((net, Optimizer(**words)), (other, Optimizer())):
            state = OptimizerState.start(one.parameters, rule)
            reference.train_epoch(
                one, X, y, np.arange(40), batch_size=40, lr=0.1, optimizer=rule, state=state
            )
        moved = not np.array_equal(net.parameters.norms[0].gamma, other.parameters.norms[0].gamma)
        assert moved == ("weight_decay" in words)


# --- fit ------------------------------------------------------------------------------------------

STAGES = {
    "hidden": (8, 6), "dropout": (0.2, 0.4), "input_dropout": 0.1, "batch_norm": (True, "after"), "epochs": 2,
    "batch_size": 16, "scale": 1.0,
}  # fmt: skip


def test_fit_draws_by_seed_and_epoch_and_fit_many_draws_the_same():
    X, y = rows(100)
    trainings = [Training.of(**STAGES, seed=seed) for seed in (0, 1, 0)]
    nets = {found.index: found.model.parameters.sha256() for found in fit_many(X, y, trainings)}
    assert nets[0] == nets[2] != nets[1]
    model, history = fit(X, y, trainings[1])
    assert model.parameters.sha256() == nets[1]
    assert len(history.epochs) == 2
    assert np.array_equal(model.predict_proba(X)[:7], model.predict_proba(X[:7]))


@pytest.mark.parametrize("word", ["dropout", "input_dropout", "batch_norm"])
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_each_word_of_fit_changes_the_weights(word, backend):
    X, y = rows(60)
    usual = {"dropout": 0.0, "input_dropout": 0.0, "batch_norm": None}
    with_it = {**STAGES, "epochs": 1, "backend": backend}
    shas = [
        fit(X, y, **words)[0].parameters.weights[0].tobytes()
        for words in (with_it, with_it | {word: usual[word]})
    ]
    assert shas[0] != shas[1]


def test_batch_norm_wants_batches_of_two():
    for norm in (True, [True, False]):
        with pytest.raises(ConfigError, match="batch_size must be 2 or more with batch norm"):
            Training.of(hidden=(4, 4), batch_norm=norm, batch_size=1)
    Training.of(batch_size=1)


# --- other tools ----------------------------------------------------------------------------------


@pytest.mark.parametrize("nn", [reference, kernels], ids=["reference", "kernels"])
@pytest.mark.parametrize("tool", ["torch", "keras"])
def test_a_hundred_steps_are_those_of(tool, nn):
    kept = np.load(stage_cases.FILE)
    for name, array in stage_cases.flat(tool, *stage_cases.ours(nn, tool)).items():
        check("trajectory weights", array, kept[name], name)


@pytest.mark.parametrize("other", [{"epsilon": 2e-3}, {"momentum": 0.98}, {"unbiased": True}])
def test_a_hundred_steps_with_another_word_are_not(monkeypatch, other):
    numbers = dict(zip(("momentum", "epsilon", "unbiased"), stage_cases.NORMS["keras"], strict=True)) | other
    monkeypatch.setitem(stage_cases.NORMS, "keras", tuple(numbers.values()))
    kept, found = np.load(stage_cases.FILE), stage_cases.flat("keras", *stage_cases.ours(reference, "keras"))
    assert max(error(array, kept[name]) for name, array in found.items()) > 1e-3
