"""What must hold of any net, of the kernels and of the reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from compare import check, check_named, digest, error
from nets import LOSSES, call, draw, learnable, net_of, values

from fastmlp import Architecture, Parameters, initialise, kernels, reference
from fastmlp.data import encode as encoding
from fastmlp.words.activations import ACTIVATIONS
from fastmlp.words.layers import layers_of
from fastmlp.words.losses import clip_bounds

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
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_dead_units_of_every_activation(nn, act):
    """A sigmoid far below 0 gives 0 in both backends, a tanh -1: never dead."""
    X = np.full((10, 3), 1, np.uint8)
    p = initialise(Architecture(3, layers_of(6, act), 2))
    p.biases[0][:] = [-1e4, -300, -120, 120, 300, 1e4]
    is_never = act in ("leaky_relu", "elu", "selu", "tanh", "identity")
    assert nn.dead_units(net_of(p, act=act), X) == [0 if is_never else 3]


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
    from fastmlp.kernels import epoch, in_place_floats

    rng = np.random.default_rng(25)
    X, y, order = values(rng, kind, 80, 30), rng.integers(0, 3, 80), rng.permutation(80)
    shifted = np.empty(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape)
    shifted[...] = X
    mean, seen, compiled = X.mean(axis=0).astype(np.float32), set(), set()
    for data in (X, shifted, X):
        p = initialise(Architecture(30, (9,), 3), seed=1)
        kernels.train_epoch(net_of(p, scale=255.0), data, y, order)
        answers = [kernels.predict_proba(net_of(p, scale=255.0, mean=mean), data[:n]) for n in (1, 80)]
        seen.add(digest(*p, *answers, kernels.evaluate(net_of(p, scale=255.0), data, y)[:2]))
        compiled.add((len(epoch.run.signatures), len(in_place_floats.predict_rows.signatures)))
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
