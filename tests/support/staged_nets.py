"""Nets with dropout and batch norm, drawn by a seed, and a step of one with its masks given, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from exact_activations import EXACT
from nets import weights

from fastmlp import Architecture, Net, Parameters, Preprocessing, random
from fastmlp.net import Norm
from fastmlp.words.layers import BatchNorm, Layer

SMOOTH = ("tanh", "sigmoid", "identity")  # without a kink
SHARES = (0.0, 0.2, 0.5, 0.9, 0.0)
NORMS = (
    None, BatchNorm("before"), BatchNorm("after", 0.9, 1e-5, unbiased=True),
    BatchNorm("before", 0.5, 1e-2, unbiased=True), BatchNorm("after", 0.8), None,
)  # fmt: skip


@dataclass(frozen=True)
class Staged:
    """A net whose layers have stages, rows for it, and the draw of a step: keywords of both backends."""

    net: Net
    X: np.ndarray
    y: np.ndarray
    seed: int
    epoch: int

    @property
    def draw(self) -> dict[str, int]:
        return {"seed": self.seed, "epoch": self.epoch}

    def __str__(self) -> str:
        words = self.net.architecture.to_json()
        return f"{words}, {len(self.X)} rows of {self.X.dtype}, {self.draw}"


def drawn(
    seed: int, X: np.ndarray | None = None, *, most_units: int = 12, rows: int = 9, acts=SMOOTH,
    dropout: bool = True, batch_norm: bool = True, scale: float | np.ndarray = 1.0, centred: bool = False,
) -> Staged:  # fmt: skip
    """A net of one to three hidden layers, each with other words."""
    rng = np.random.default_rng(seed)
    if X is None:
        X = rng.normal(size=(rows, int(rng.integers(1, 20))))
    layers = tuple(
        Layer(
            int(rng.integers(1, most_units + 1)),
            str(rng.choice(acts)),
            dropout=float(rng.choice(SHARES)) if dropout else 0.0,
            batch_norm=NORMS[rng.integers(len(NORMS))] if batch_norm else None,
        )
        for _ in range(int(rng.integers(1, 4)))
    )
    K = int(rng.integers(2, 6))
    share = float(rng.choice(SHARES)) if dropout else 0.0
    architecture = Architecture(X.shape[1], layers, K, input_dropout=share)
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32) if centred else None
    net = Net(architecture, with_norms(rng, architecture), Preprocessing(scale, mean))
    y = rng.integers(0, K, len(X))
    return Staged(net, X, y, int(rng.integers(2**40)), int(rng.integers(1, 100)))


def with_norms(rng: np.random.Generator, architecture: Architecture, dtype=np.float32) -> Parameters:
    """Random parameters of that net, batch norms among them: float32."""
    plain = weights(rng, architecture)
    norms = [
        None
        if layer.batch_norm is None
        else Norm(
            *(rng.normal(mean, 0.3, layer.width).astype(np.float32) for mean in (1, 0, 0)),
            rng.uniform(0.5, 2, layer.width).astype(np.float32),
        )
        for layer in architecture.layers
    ]
    return Parameters(plain.weights, plain.biases, tuple(norms))


def in_float64(case: Staged) -> Staged:
    """The same with float64 parameters: a copy."""
    net = Net(case.net.architecture, case.net.parameters.astype(np.float64), case.net.preprocessing)
    return Staged(net, case.X, case.y, case.seed, case.epoch)


def masks_of(case: Staged, places: np.ndarray) -> list[np.ndarray | None]:
    """The factors of inputs and of each hidden layer's outputs, for the samples at those places."""
    architecture, key = case.net.architecture, random.key_of(case.seed, "dropout")
    shares = [architecture.input_dropout, *(layer.dropout for layer in architecture.layers)]
    widths = [architecture.inputs, *architecture.hidden]
    return [
        random.kept(share, width, key, case.epoch, i, places) * random.growth(share) if share else None
        for i, (share, width) in enumerate(zip(shares, widths, strict=True))
    ]


def loss_by_hand(case: Staged) -> float:
    """Mean loss of a training step on all rows, in float64, stage by stage as the docstrings have it."""
    net, parameters = case.net, case.net.parameters
    mean = 0 if net.preprocessing.mean is None else net.preprocessing.mean.astype(np.float64)
    masks = masks_of(case, np.arange(len(case.X)))
    a = (case.X.astype(np.float64) - mean) / net.preprocessing.scale
    a = a if masks[0] is None else a * masks[0]
    for i, layer in enumerate(net.architecture.layers):
        norm, settings = parameters.norms[i], layer.batch_norm
        a = a @ parameters.weights[i].astype(np.float64) + parameters.biases[i]
        for stage in ("before", "act", "after"):
            if stage == "act":
                a = EXACT[layer.act][0](a)
            elif settings is not None and norm is not None and settings.place == stage:
                spread = np.sqrt(a.var(axis=0) + settings.epsilon)
                a = norm.gamma * (a - a.mean(axis=0)) / spread + norm.beta
        a = a if masks[i + 1] is None else a * masks[i + 1]
    logits = a @ parameters.weights[-1].astype(np.float64) + parameters.biases[-1]
    top = logits.max(axis=1)
    p = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - logits[np.arange(len(case.y)), case.y]
    return float(p.mean())
