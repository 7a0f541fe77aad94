"""The words of layers about weights: l1, l2, max_norm, frozen, bias; in both backends, with any rule.

Against PyTorch and Keras: optimizer_cases.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from compare import check
from nets import learnable, values, weights

import fastmlp
from fastmlp import Architecture, Net, Optimizer, Preprocessing, kernels, reference
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import ThreadTuner
from fastmlp.net import Parameters
from fastmlp.words.layers import Layer

BOTH = pytest.mark.parametrize("nn", [kernels, reference], ids=["kernels", "reference"])
N, K = 90, 4
WORDS = {"l1": 0.02, "l2": 0.05, "max_norm": 0.6, "frozen": True, "bias": False}
RULES = {
    "plain": Optimizer(),
    "decay": Optimizer(weight_decay=0.1),
    "adam": Optimizer("adam"),
    "rmsprop, clipped": Optimizer("rmsprop", clip_norm=0.1),
    "momentum, each clipped": Optimizer(momentum=0.9, clip_each=0.05, form="keras"),
}
NETS = {  # words of the hidden layers, and of the output layer
    "penalties": ([{"l1": 0.01, "l2": 0.02}, {"l2": 0.1}], {"l1": 0.03}),
    "shortened": ([{"max_norm": 0.9}, {}], {"max_norm": 0.5, "l2": 0.01}),
    "frozen first": ([{"frozen": True, "l1": 0.1, "max_norm": 0.1}, {"bias": False}], {}),
    "frozen between": ([{"bias": False}, {"frozen": True}], {"bias": False, "max_norm": 0.4}),
    "frozen last": ([{"max_norm": 1.0}, {"l2": 0.1}], {"frozen": True}),
}


def net_of(hidden, output, D=37, dtype=np.float32):
    """A net of 20 and 9 units with those words; what has no bias has zeros."""
    layers = [Layer(width, "tanh", **words) for width, words in zip((20, 9), hidden, strict=True)]
    architecture = Architecture(D, tuple(layers), K, Layer(K, "identity", **output))
    p = weights(np.random.default_rng(1), architecture).astype(dtype)
    for b, layer in zip(p.biases, architecture.all_layers, strict=True):
        b *= layer.bias
    return Net(architecture, p, Preprocessing(255.0))


def data(D=37):
    rng = np.random.default_rng(0)
    return values(rng, "uint8 sparse", N, D), rng.integers(0, K, N)


def trained(
    nn, net, rule=RULES["plain"], *, X=None, lr=0.1, batch_size=32, epochs=2, threads=1, driver="team"
):
    """Its parameters and the optimizer's state; the net itself stays as it is."""
    rows, y = data(net.architecture.inputs)
    net = replace(net, parameters=net.parameters.copy())
    state = OptimizerState.start(net.parameters, rule)
    for _ in range(epochs):
        nn.train_epoch(
            net, rows if X is None else X, y, np.arange(N), lr=lr if rule.name == "sgd" else lr / 10,
            batch_size=batch_size, optimizer=rule, state=state, threads=ThreadTuner(threads, driver),
        )  # fmt: skip
    return net.parameters, state


def penalty(net, p):
    """The sum of l1 |w| + l2 w^2 over its weights."""
    return sum(
        layer.l1 * abs(W).sum() + layer.l2 * (W * W).sum()
        for layer, W in zip(net.architecture.all_layers, p.weights, strict=True)
    )


@BOTH
@pytest.mark.parametrize("rule", ["plain", "adam"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_word_that_is_accepted_changes_the_training(nn, rule, place):
    plain = trained(nn, net_of([{}, {}], {}), RULES[rule])[0]
    for word, value in WORDS.items():
        words = [{}, {}, {}]
        words[place] = {word: value}
        net = net_of(words[:2], words[2])
        ours = trained(nn, net, RULES[rule])[0]
        W, V = ours.weights[place], plain.weights[place]
        assert not np.array_equal(W, V), f"{word} of layer {place}"


@pytest.mark.parametrize("words", ["penalties", "shortened"])
def test_a_step_goes_down_the_slope_of_loss_and_penalty(words):
    """In float64: what SGD takes at a rate of 1 is the gradient, by central differences."""
    net = net_of(*NETS[words], dtype=np.float64)
    layers = [replace(layer, max_norm=0.0) for layer in net.architecture.all_layers]
    net = Net(Architecture(37, tuple(layers[:2]), K, layers[2]), net.parameters, net.preprocessing)
    X, y = data()
    moved = trained(reference, net, lr=1.0, batch_size=N, epochs=1)[0]

    def total(p):
        return reference.evaluate(replace(net, parameters=p), X, y).loss + penalty(net, p)

    rng, h = np.random.default_rng(2), 2e-4
    for after, before, array in zip(moved, net.parameters, q := net.parameters.copy(), strict=True):
        places = [tuple(rng.integers(0, size) for size in array.shape) for _ in range(12)]
        slopes = []
        for place in places:
            at, found = array[place], []
            for far in (h, -h, 2 * h, -2 * h):
                array[place] = at + far
                found.append(total(q))
            array[place] = at
            slopes.append((8 * (found[0] - found[1]) - (found[2] - found[3])) / (12 * h))
        check("central differences", [before[place] - after[place] for place in places], slopes)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("words", NETS)
def test_kernels_are_the_reference_and_bytes_hang_on_no_thread(words, rule):
    net = net_of(*NETS[words], D=530)  # so many inputs are parted between two members
    one, state = trained(kernels, net, RULES[rule])
    theirs, expected = trained(reference, net, RULES[rule])
    for (name, got), (_, want) in zip(one.named(), theirs.named(), strict=True):
        check("trajectory weights", got, want, name)
    for average, moment in zip(state.moments, expected.moments, strict=True):
        for got, want in zip(average, moment, strict=True):
            check("drawn averages", got, want)
    for threads, driver in ((2, "team"), (3, "team"), (2, "prange")):
        other, averages = trained(kernels, net, RULES[rule], threads=threads, driver=driver)
        assert other.sha256() == one.sha256()
        assert [m.sha256() for m in averages.moments] == [m.sha256() for m in state.moments]


@pytest.mark.parametrize("words", NETS)
def test_rows_of_any_form_are_trained_alike(words):
    net = net_of(*NETS[words], D=530)
    X = data(530)[0]
    dense = trained(kernels, net, RULES["rmsprop, clipped"], X=X.astype(np.float32))[0]
    for form in (X, scipy.sparse.csr_matrix(X.astype(np.float32))):
        found = {
            threads: trained(kernels, net, RULES["rmsprop, clipped"], X=form, threads=threads)[0]
            for threads in (1, 2, 3)
        }
        assert len({p.sha256() for p in found.values()}) == 1
        for got, want in zip(found[1], dense, strict=True):
            check("trajectory weights", got, want)


@BOTH
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("words", NETS)
def test_what_is_frozen_stays_and_what_has_no_bias_has_none(nn, words, rule):
    net = net_of(*NETS[words])
    p, state = trained(nn, net, RULES[rule])
    for i, layer in enumerate(net.architecture.all_layers):
        stays = [
            np.array_equal(after[i], before[i])
            for after, before in ((p.weights, net.parameters.weights), (p.biases, net.parameters.biases))
        ]
        assert stays == [layer.frozen, layer.frozen or not layer.bias]
        assert layer.bias or not p.biases[i].any()
        for moment in state.moments:
            assert layer.frozen or moment.weights[i].any()
            assert not (layer.frozen and moment.weights[i].any())
            assert layer.bias or not moment.biases[i].any()
        if layer.max_norm and not layer.frozen:
            assert (np.linalg.norm(p.weights[i], axis=0) <= layer.max_norm * (1 + 1e-6)).all()


@BOTH
def test_gradients_are_those_of_the_data_alone(nn):
    """Of frozen layers too; of a bias that a layer has not, 0."""
    X, y = data()
    plain, net = net_of([{}, {}], {}), net_of([{"l1": 1.0, "frozen": True}, {"bias": False, "l2": 1.0}], {})
    p = net.parameters
    want = nn.loss_and_gradients(replace(plain, parameters=p), X, y)
    got = nn.loss_and_gradients(net, X, y)
    assert got.loss == want.loss == pytest.approx(nn.evaluate(net, X, y).loss, rel=1e-5)
    for name, mine in got.gradients.named():
        assert (name == "b2") != mine.any()
        if name != "b2":
            assert mine.tobytes() == dict(want.gradients.named())[name].tobytes()
    net = replace(net, parameters=p.copy())
    assert nn.train_epoch(net, X, y, np.arange(N), batch_size=N).loss == pytest.approx(want.loss, rel=1e-6)


@BOTH
def test_a_longest_norm_scales_the_units_that_are_over_it(nn):
    free, _ = trained(nn, net_of([{}, {}], {}), batch_size=N, epochs=1)
    norms = [np.linalg.norm(W.astype(np.float64), axis=0) for W in free.weights]
    middle = [float(np.median(norm)) for norm in norms]
    net = net_of([{"max_norm": middle[0]}, {}], {"max_norm": middle[2]})
    short, _ = trained(nn, net, batch_size=N, epochs=1)
    for i in (0, 1, 2):
        over = (norms[i] > middle[i]) & (i != 1)
        assert np.array_equal(short.weights[i][:, ~over], free.weights[i][:, ~over])
        np.testing.assert_allclose(np.linalg.norm(short.weights[i][:, over], axis=0), middle[i], rtol=1e-6)
        turned = free.weights[i][:, over] * (middle[i] / norms[i][over])
        np.testing.assert_allclose(short.weights[i][:, over], turned, rtol=1e-5)
        assert np.array_equal(short.biases[i], free.biases[i])


@BOTH
def test_a_norm_is_that_of_the_layers_that_are_trained(nn):
    """The first layer's gradient, were it not frozen, would be most of it."""
    net = net_of([{"frozen": True}, {}], {})
    X, y = data()
    gradients = nn.loss_and_gradients(net, X, y).gradients
    own = [array for name, array in gradients.named() if name not in ("W1", "b1")]
    whole = np.sqrt(sum((array.astype(np.float64) ** 2).sum() for array in own))
    rule = Optimizer(clip_norm=whole / 2, form="keras")
    after, _ = trained(nn, net, rule, lr=1.0, batch_size=N, epochs=1)
    steps = [
        b - a for (name, a), b in zip(after.named(), net.parameters, strict=True) if name not in ("W1", "b1")
    ]
    for step, gradient in zip(steps, own, strict=True):
        np.testing.assert_allclose(step, gradient / 2, atol=1e-6)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_fit_takes_the_words(backend):
    X, y = learnable(2, 120, 30, 3)
    options = {"hidden": (8, 5), "epochs": 2, "backend": backend, "lr": 0.1}
    plain = fastmlp.fit(X, y, **options)[0].parameters
    for word, value in WORDS.items():
        ours = fastmlp.fit(X, y, **options, **{word: value})[0]
        assert ours.parameters.sha256() != plain.sha256(), word
        assert ours.training.word(word) == value
    model, history = fastmlp.fit(X, y, **options, l2=(0.0, 0.5, 0.1), frozen=(True, False))
    start: Parameters = fastmlp.initialise(model.architecture)
    assert np.array_equal(model.parameters.weights[0], start.weights[0])
    assert history.final.train_loss < 2
