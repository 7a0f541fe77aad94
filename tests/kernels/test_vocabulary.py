"""Nets and trainings drawn from the whole vocabulary: kernels beside the reference, and bytes by threads.

Each word has tests of its own elsewhere; here they meet: any layers, loss, optimizer, scale and form of rows.
"""

from __future__ import annotations

import numpy as np
import pytest
from compare import check, check_named, digest
from scipy.sparse import csr_array

from fastmlp import ConfigError, Net, OptimizerState, Training, initialise, kernels, reference
from fastmlp.backends.threads import ThreadTuner
from fastmlp.data.preprocessing import fitted
from fastmlp.words.activations import ACTIVATIONS
from fastmlp.words.layers import Layer
from fastmlp.words.optimizers import OPTIMIZERS

EVERY = [pytest.param(seed, marks=pytest.mark.slow) if seed >= 25 else seed for seed in range(400)]
LOSSES = (
    "logits", "keras2", "clip:0.05,0.9", "binary", "binary:0.1,0.8", "squared", "half_squared", "absolute",
    "huber:0.5", "poisson", "log_loss", "binary_log_loss", "half_deviance",
)  # fmt: skip
OF_CLASSES = ("logits", "keras2", "clip", "log_loss")
ACTS = [*ACTIVATIONS, "leaky_relu:0.3", "elu:0.5", "hard_sigmoid:0.3"]
INITS = ("glorot_uniform", "he_normal", "torch", "orthogonal", "lecun_uniform")
MOST_CALLS = {"l1": 1e-3, "l2": 1e-2, "max_norm": 1.5}


def layer(rng, width):
    """A layer of that width, of any words."""
    norm = rng.choice([None, "before:0.9,0.01,unbiased", "after:0.5,0.1"], p=[0.5, 0.25, 0.25])
    words = {name: most * (rng.random() < 0.3) for name, most in MOST_CALLS.items()}
    bias = rng.random() < 0.7 and norm is None  # one before a batch norm has no gradient but rounding
    return Layer(
        width, str(rng.choice(ACTS)), dropout=float(rng.choice([0, 0.2, 0.5])), batch_norm=norm,
        bias=bool(bias), frozen=bool(rng.random() < 0.1), init=str(rng.choice(INITS)), **words,
    )  # fmt: skip


def optimizer(rng):
    """An optimizer with some of its own words."""
    name = str(rng.choice(list(OPTIMIZERS)))
    options = {
        "form": str(rng.choice(["torch", "keras"])), "momentum": 0.9, "nesterov": True, "amsgrad": True,
        "centred": True, "weight_decay": 0.01, "decoupled": True,
        str(rng.choice(["clip_norm", "clip_value", "clip_each"])): 0.5,
    }  # fmt: skip
    words = {}
    for word, value in options.items():
        try:
            Training.of(optimizer=name, **words, **{word: value})
        except ConfigError:
            continue
        if rng.random() < 0.5:
            words[word] = value
    try:
        return Training.of(optimizer=name, **words).optimizer
    except ConfigError:  # nesterov without momentum
        return Training.of(optimizer=name).optimizer


def rows(rng, N, D):
    """X in one of its forms, of order 1 after scaling."""
    form = rng.choice(["bytes", "dense bytes", "dense", "csr"])
    share = 0.9 if form.startswith("dense") else 0.2
    present = rng.random((N, D)) < share
    if "bytes" in form:
        return (rng.integers(1, 256, (N, D)) * present).astype(np.uint8), 255.0
    X = (rng.normal(size=(N, D)) * present).astype(np.float32)
    return (csr_array(X) if form == "csr" else X), 1.0


def targets(rng, loss, N, K):
    """What the loss takes, classes also as shares."""
    name = loss.partition(":")[0]
    if name in OF_CLASSES:
        return rng.integers(0, K, N) if rng.random() < 0.7 else rng.dirichlet(np.ones(K), N)
    if name.startswith("binary"):
        return rng.integers(0, 2, (N, K)).astype(float)
    counts = name in ("poisson", "half_deviance")
    return rng.poisson(2, (N, K)).astype(float) if counts else rng.normal(size=(N, K))


@pytest.mark.parametrize("seed", EVERY)
def test_kernels_are_the_reference_whatever_words_meet(seed):
    rng = np.random.default_rng([seed, 19])
    loss = str(rng.choice(LOSSES))
    softmax = loss.partition(":")[0] in OF_CLASSES
    N, D, K = int(rng.integers(20, 90)), int(rng.integers(3, 90)), int(rng.integers(2 if softmax else 1, 6))
    X, number = rows(rng, N, D)
    y = targets(rng, loss, N, K)
    hidden = [layer(rng, int(width)) for width in rng.integers(2, 40, rng.integers(0, 4))]
    smoothing = float(0.1 * (loss in ("logits", "binary") and rng.random() < 0.5))
    training = Training.of(
        hidden=hidden, input_dropout=float(rng.choice([0, 0.3])), l2=0.0 if hidden else 0.01, loss=loss,
        label_smoothing=smoothing, scale=[number, "standard", "minmax", [number] * D][rng.integers(4)],
        center=[None, False, True][rng.integers(3)], optimizer=optimizer(rng),
    )  # fmt: skip
    architecture = training.architecture(D, K)
    preprocessing = fitted(X, training.scale, training.center)
    net = Net(architecture, initialise(architecture, seed=seed), preprocessing)
    weights = rng.random(N).astype(np.float32) if rng.random() < 0.5 else None
    given = {"loss": loss, "label_smoothing": smoothing, "seed": seed, "sample_weight": weights}

    ours, theirs = (nn.loss_and_gradients(net, X, y, **given) for nn in (kernels, reference))
    check("drawn loss", ours.loss, theirs.loss)
    exact = reference.loss_and_gradients(
        Net(architecture, net.parameters.astype(np.float64), preprocessing), X, y, **given
    )
    sizes = {name: np.linalg.norm(g) for name, g in exact.gradients.named()}
    for (name, got), (_, want) in zip(ours.gradients.named(), theirs.gradients.named(), strict=True):
        if sizes[name] > 1e-5 * max(sizes.values()):  # or else it is rounding
            check("cancelling gradient", got, want, name)

    order, lr = rng.permutation(N), 0.01 * rng.random(-(-N // 16)) + 1e-4
    ended = []
    for threads, driver in ((1, "team"), (2, "team"), (3, "prange" if seed % 8 == 0 else "team")):
        trained = Net(architecture, net.parameters.copy(), preprocessing)
        state = OptimizerState.start(trained.parameters, training.optimizer)
        for epoch in (1, 2):
            kernels.train_epoch(
                trained, X, y, order, lr=lr, batch_size=16, optimizer=training.optimizer, state=state,
                epoch=epoch, threads=ThreadTuner(threads, driver), **given,
            )  # fmt: skip
        ended.append(digest(*trained.parameters, *(a for m in state.moments for a in m)))
    assert len(set(ended)) == 1
    assert digest(*trained.parameters) != digest(*net.parameters) or all(each.frozen for each in hidden)
    check("drawn outputs of Adam", kernels.logits(trained, X), reference.logits(trained, X))
    got, want = (nn.evaluate(trained, X, y, loss=loss) for nn in (kernels, reference))
    check("drawn loss", got.loss, want.loss)


def test_a_wrong_word_is_seen():
    """The comparison goes red where one net has another word."""
    X, y = np.ones((30, 4), np.float32) * np.arange(30)[:, None] / 30, np.arange(30) % 2
    nets = []
    for act in ("gelu", "gelu_tanh"):
        architecture = Training(hidden=5, act=act).architecture(4, 2)
        nets.append(Net(architecture, initialise(architecture, "he_uniform")))
    ours, theirs = kernels.loss_and_gradients(nets[0], X, y), reference.loss_and_gradients(nets[1], X, y)
    with pytest.raises(AssertionError):
        check_named("cancelling gradient", ours.gradients, theirs.gradients)
