"""``fit`` beside PyTorch: from the same weights, orders and targets, its losses and weights (``parity``).

Targets of numbers are standardised for both; ours come back in their own units.
"""

from __future__ import annotations

import numpy as np
import pytest
from compare import check, check_named

import fastmlp
from fastmlp import Architecture, Parameters, Training, initialise, random

torch = pytest.importorskip("torch")

N, D, B, EPOCHS = 500, 6, 50, 10  # 100 steps
WORDS = {
    "optimizer": "sgd",
    "hidden": 12,
    "act": "tanh",
    "scale": 1,
    "lr": 0.1,
    "batch_size": B,
    "epochs": EPOCHS,
    "seed": 3,
}


def drawn(K):
    rng = np.random.default_rng(K)
    X = rng.normal(size=(N, D)).astype(np.float32)
    return X, X @ rng.normal(size=(D, K)) + 0.3 * rng.normal(size=(N, K))


def in_torch(first: Parameters, X, y, loss, weights=None):
    """Weights after the epochs, and the mean loss of the last one's batches."""
    net = torch.nn.Sequential(torch.nn.Linear(D, 12), torch.nn.Tanh(), torch.nn.Linear(12, y.shape[1]))
    net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in first.to_torch().items()})
    stepper = torch.optim.SGD(net.parameters(), lr=WORDS["lr"])
    x, t = torch.from_numpy(X), torch.from_numpy(y.astype(np.float32))
    w = torch.ones(N) if weights is None else torch.from_numpy(weights.astype(np.float32))
    for epoch in range(1, EPOCHS + 1):
        total = 0.0
        for rows in np.split(random.permutation(N, WORDS["seed"], "order", epoch), N // B):
            each = loss(net(x[rows]), t[rows]).reshape(B, -1).mean(dim=1) * w[rows]
            stepper.zero_grad()
            (each.sum() / w[rows].sum()).backward()
            stepper.step()
            total += each.sum().item()
    state = {name: tensor.detach().numpy() for name, tensor in net.state_dict().items()}
    return Parameters.from_torch(state), total / w.sum().item()


def each(name, **words):
    return getattr(torch.nn, name)(reduction="none", **words)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "class weights"])
def test_two_classes_by_one_output(backend, weighted):
    X, z = drawn(1)
    y = (z[:, 0] > 0).astype(np.int64)
    first = initialise(Architecture(D, (12,), 1), seed=1)
    first = Parameters(first.weights, first.biases)
    words = {"class_weight": (1, 3)} if weighted else {}
    weights = np.where(y, 3.0, 1.0) if weighted else None
    theirs, loss = in_torch(first, X, y[:, None], each("BCEWithLogitsLoss"), weights)
    model, history = fastmlp.fit(X, y, loss="binary", initial=first, backend=backend, **words, **WORDS)
    check_named("trajectory weights", model.parameters, theirs)
    check("trajectory loss", history.final.train_loss, loss)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_several_answers(backend, smoothing):
    X, z = drawn(3)
    y = (z > 0).astype(np.int64)
    first = initialise(Architecture(D, (12,), 3), seed=1)
    theirs, loss = in_torch(first, X, y * (1 - smoothing) + smoothing / 2, each("BCEWithLogitsLoss"))
    training = Training(loss="binary", label_smoothing=smoothing, **WORDS)
    model, history = fastmlp.fit(X, y, training, initial=first, backend=backend)
    check_named("trajectory weights", model.parameters, theirs)
    check("trajectory loss", history.final.train_loss, loss)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_shares_of_classes(backend):
    X, z = drawn(3)
    y = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    first = initialise(Architecture(D, (12,), 3), seed=1)
    theirs, loss = in_torch(first, X, y, each("CrossEntropyLoss"))
    model, history = fastmlp.fit(X, y, initial=first, backend=backend, **WORDS)
    check_named("trajectory weights", model.parameters, theirs)
    check("trajectory loss", history.final.train_loss, loss)


NUMBERS = {
    "squared": ("MSELoss", {}, 2),
    "absolute": ("L1Loss", {}, 1),
    "huber:2.5": ("HuberLoss", {"delta": 2.5}, 2),
    "poisson": ("PoissonNLLLoss", {}, 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("K", [1, 2])
@pytest.mark.parametrize("loss", NUMBERS)
def test_numbers(backend, K, loss):
    X, z = drawn(K)
    y = np.exp(0.2 * z) if loss == "poisson" else 40 + 7 * z * np.arange(1, K + 1)
    name, words, power = NUMBERS[loss]
    mean, spread = (0, np.ones(K)) if loss == "poisson" else (y.mean(axis=0), y.std(axis=0))
    if name == "HuberLoss":
        spread = np.repeat(np.sqrt(y.var(axis=0).mean()), K)
        words = {"delta": 2.5 / spread[0]}
    first = initialise(Architecture(D, (12,), K), seed=1)
    theirs, expected = in_torch(first, X, (y - mean) / spread, each(name, **words))
    model, history = fastmlp.fit(X, y, loss=loss, initial=first, backend=backend, **WORDS)
    check_named("trajectory weights", model.parameters, theirs)
    factor = spread[0] ** power if K == 1 or name == "HuberLoss" else 1
    check("trajectory loss", history.final.train_loss, expected * factor)
    np.testing.assert_allclose(model.predict(X).shape, y[:, 0].shape if K == 1 else y.shape)
