"""A hundred steps of a net with batch norm and dropout, by fastmlp, by PyTorch and by Keras on TensorFlow.

What the others leave is kept in tests/unit/stages.npz (write_stage_fixtures.py), and made anew where they are
installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nets import learnable
from staged_nets import Staged, masks_of

from fastmlp import Architecture, Net, Optimizer, OptimizerState, Parameters, Preprocessing, initialise
from fastmlp.words.layers import BatchNorm, Layer

FILE = Path(__file__).parents[1] / "unit" / "stages.npz"
N, D, K, BATCH, EPOCHS = 93, 12, 4, 20, 20  # five steps an epoch: the last of 13 rows
LR = 0.05
X, Y = learnable(5, N, D, K)
SEED = 11
NORMS = {"torch": (0.9, 1e-5, True), "keras": (0.99, 1e-3, False)}
SHARES = {"torch": (0.1, 0.3, 0.5), "keras": (0.0, 0.0, 0.0)}  # Keras draws its own
DECAY = {"torch": 0.01, "keras": 0.0}


def architecture_of(tool: str) -> Architecture:
    """Batch norm before an activation and after one, with the tool's numbers."""
    norms = [BatchNorm(place, *NORMS[tool]) for place in ("before", "after")]
    first, *hidden = SHARES[tool]
    layers = (
        Layer(16, "relu", hidden[0], norms[0], bias=False),
        Layer(9, "tanh", hidden[1], norms[1]),
    )
    return Architecture(D, layers, K, input_dropout=first)


def begin(tool: str) -> Net:
    """The net before its first step; gammas and betas drawn, so that nothing is 0 or 1."""
    architecture, rng = architecture_of(tool), np.random.default_rng(2)
    parameters = initialise(architecture, seed=3)
    for norm in filter(None, parameters.norms):
        norm.gamma[...], norm.beta[...] = rng.normal(1, 0.2, (2, len(norm.gamma))) - [[0], [1]]
    return Net(architecture, parameters, Preprocessing(255.0))


def orders() -> list[np.ndarray]:
    """The rows of each epoch in their order."""
    return [np.random.default_rng(epoch).permutation(N) for epoch in range(EPOCHS)]


def ours(nn: Any, tool: str) -> tuple[Parameters, np.ndarray]:
    """What fastmlp's backend makes of it: parameters, and the logits of all rows."""
    net, rule = begin(tool), Optimizer(weight_decay=DECAY[tool])
    state = OptimizerState.start(net.parameters, rule)
    for epoch, order in enumerate(orders(), 1):
        nn.train_epoch(
            net, X, Y, order, lr=LR, batch_size=BATCH, optimizer=rule, state=state, seed=SEED, epoch=epoch
        )
    return net.parameters, nn.logits(net, X)


def flat(tool: str, parameters: Parameters, logits: np.ndarray) -> dict[str, np.ndarray]:
    """Its arrays by the names that they have in FILE."""
    return {f"{tool} logits": logits} | {f"{tool} {name}": array for name, array in parameters.named()}


def by_torch() -> tuple[Parameters, np.ndarray]:
    """What PyTorch makes of it, with the same masks."""
    import torch

    nn, start = torch.nn, begin("torch")
    arrays = start.parameters.to_torch(start.architecture)
    state = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    net = nn.Sequential(
        nn.Dropout(), nn.Linear(D, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(),
        nn.Linear(16, 9), nn.Tanh(), nn.BatchNorm1d(9), nn.Dropout(), nn.Linear(9, K),
    )  # fmt: skip
    net.load_state_dict(state)
    optimiser = torch.optim.SGD(net.parameters(), lr=LR, weight_decay=DECAY["torch"])
    x, y = torch.from_numpy(X.astype(np.float32) / np.float32(255)), torch.from_numpy(Y)
    for epoch, order in enumerate(orders(), 1):
        masks = masks_of(Staged(start, X, Y, SEED, epoch), np.arange(N))
        for begun in range(0, N, BATCH):
            rows, given = order[begun : begun + BATCH], iter(masks)
            a = x[rows]
            for module in net:
                if isinstance(module, nn.Dropout):
                    a = a * torch.from_numpy(next(given)[begun : begun + BATCH].astype(np.float32))
                else:
                    a = module(a)
            optimiser.zero_grad()
            nn.functional.cross_entropy(a, y[rows]).backward()
            optimiser.step()
    net.eval()
    left = {name: t.detach().numpy() for name, t in net.state_dict().items()}
    return Parameters.from_torch(left, start.architecture), net(x).detach().numpy()


def by_keras(keras: Any) -> tuple[Parameters, np.ndarray]:
    """What Keras makes of it."""
    k, start = keras.layers, begin("keras")
    model = keras.Sequential([
        k.Input((D,)), k.Dense(16, use_bias=False), k.BatchNormalization(), k.Activation("relu"),
        k.Dense(9, activation="tanh"), k.BatchNormalization(), k.Dense(K),
    ])  # fmt: skip
    model.set_weights(start.parameters.to_keras(start.architecture))
    model.compile(keras.optimizers.SGD(LR), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = X.astype(np.float32) / np.float32(255)
    for order in orders():
        model.fit(x[order], Y[order], batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    return Parameters.from_keras(model.get_weights(), start.architecture), model.predict(x, verbose=0)
