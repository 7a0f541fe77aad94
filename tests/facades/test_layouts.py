"""States and lists of weights as PyTorch and Keras have them, where these are installed."""

from __future__ import annotations

import os

import numpy as np
import pytest

import fastmlp
from fastmlp import Architecture, Layer, Parameters, initialise

WORDED = Architecture(
    6,
    (Layer(5, batch_norm="before:0.9,1e-05", dropout=0.2), Layer(4, "tanh", batch_norm="after", bias=False)),
    3,
    Layer(3, "identity", bias=False),
    input_dropout=0.1,
)


def test_a_state_with_batch_norms_is_that_of_the_sequential():
    torch = pytest.importorskip("torch")
    nn, p = torch.nn, initialise(WORDED, "normal:0,1")
    for i, array in enumerate(array for norm in p.norms for array in norm):
        array[...] = np.linspace(0.5 + i, 1 + i, len(array))
    net = nn.Sequential(
        nn.Dropout(0.1), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(5, 4, bias=False), nn.Tanh(), nn.BatchNorm1d(4), nn.Linear(4, 3, bias=False),
    )  # fmt: skip
    state = {name: torch.from_numpy(array) for name, array in p.to_torch(WORDED).items()}
    net.load_state_dict(state)  # strict: every name is there, and no other
    again = Parameters.from_torch({name: t.numpy() for name, t in net.state_dict().items()}, WORDED)
    assert again.sha256() == p.sha256()
    net.eval()
    x = np.random.default_rng(0).normal(size=(7, 6)).astype(np.float32)
    W, norms = p.weights, p.norms
    z = [(norm.variance + eps) ** 0.5 for norm, eps in zip(norms, (1e-5, 1e-5), strict=True)]
    a = np.maximum((x @ W[0] + p.biases[0] - norms[0].mean) / z[0] * norms[0].gamma + norms[0].beta, 0)
    a = (np.tanh(a @ W[1]) - norms[1].mean) / z[1] * norms[1].gamma + norms[1].beta
    np.testing.assert_allclose(net(torch.from_numpy(x)).detach().numpy(), a @ W[2], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:__array__ implementation:DeprecationWarning")
def test_batch_norms_have_keras_order_of_weights(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "tensorflow"))
    keras = pytest.importorskip("keras")
    net = fastmlp.Architecture(4, (Layer(3, batch_norm=True, bias=False), Layer(5, batch_norm="after")), 2)
    p = fastmlp.initialise(net)
    for i, array in enumerate(array for norm in p.norms for array in norm):
        array[...] = np.linspace(0.5 + i, 1 + i, len(array))
    k = keras.layers
    model = keras.Sequential([
        k.Input((4,)), k.Dense(3, use_bias=False), k.BatchNormalization(), k.Activation("relu"),
        k.Dense(5, activation="relu"), k.BatchNormalization(), k.Dense(2),
    ])  # fmt: skip
    model.set_weights(p.to_keras(net))
    assert fastmlp.Parameters.from_keras(model.get_weights(), net).sha256() == p.sha256()
    gamma, beta, mean, variance = (np.asarray(w) for w in model.layers[1].get_weights())
    for mine, other in zip(p.norms[0], (gamma, beta, mean, variance), strict=True):
        assert np.array_equal(mine, other)
