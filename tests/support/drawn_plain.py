"""Trainings of nets of float64, drawn by a seed from every word that the plain kernels take.

Neighbouring seeds take the words of each table in turn, so that a run of a few dozen has all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse
from drawn_trainings import RULES

from fastmlp import Architecture, Net, Parameters, Preprocessing
from fastmlp.net import Norm
from fastmlp.words.activations import ACTIVATIONS
from fastmlp.words.layers import BatchNorm, Layer
from fastmlp.words.losses import LOSSES, Loss
from fastmlp.words.optimizers import Optimizer

WIDTHS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 25, 31, 100)
ACTS = (*ACTIVATIONS, "leaky_relu:0.3", "elu:0.5", "hard_sigmoid:0.2")
TEXTS = (
    *(name for name, word in LOSSES.items() if not word.needed),
    "clip:0.05,0.9",
    "binary:0.1,0.95",
    "huber:0.3",
)
STEPS = {
    **RULES,
    "adagrad of torch": Optimizer("adagrad", epsilon=1e-4),
    "rmsprop, centred": Optimizer("rmsprop", centred=True),
    "rmsprop, momentum": Optimizer("rmsprop", momentum=0.5),
    "keras momentum": Optimizer(momentum=0.5, form="keras"),
}  # fmt: skip
NORMS = (("before",), ("after",), ("before", 0.9, 1e-5, True), ("after", 0.5, 0.01, True))
KINDS = ("dense", "dense", "sparse", "bytes")


@dataclass(frozen=True)
class Drawn:
    """A net, data, and the words of a training of ``epochs`` epochs."""

    seed: int
    net: Net
    X: Any
    y: np.ndarray
    orders: np.ndarray
    lr: Any
    words: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        told = {name: value for name, value in self.words.items() if name != "sample_weight"}
        shape = self.net.architecture
        return f"[seed {self.seed}: {shape} {shape.acts}, {len(self.y)} rows, {told}]"

    def start(self) -> Net:
        """The net with parameters of its own."""
        return replace(self.net, parameters=self.net.parameters.copy())


def _layers(rng: np.random.Generator, seed: int) -> tuple[Layer, ...]:
    layers = []
    for i in range(seed % 4):
        words: dict[str, Any] = {"bias": rng.random() > 0.15, "frozen": rng.random() < 0.1}
        if rng.random() < 0.25:
            words |= {"l1": 0.003, "l2": 0.01}
        if rng.random() < 0.25:
            words["max_norm"] = 1.5
        if rng.random() < 0.2:
            words["dropout"] = float(rng.choice([0.3, 0.6]))
        if rng.random() < 0.25:
            norm = BatchNorm(*NORMS[int(rng.integers(len(NORMS)))])
            words |= {
                "batch_norm": norm,
                "bias": norm.place == "after",
            }  # else it cancels out
        layers.append(Layer(int(rng.choice(WIDTHS)), ACTS[(seed + 5 * i) % len(ACTS)], **words))
    return tuple(layers)


def _norm(rng: np.random.Generator, layer: Layer) -> Norm | None:
    if layer.batch_norm is None:
        return None
    gamma, beta, mean = (0.5 * rng.normal(size=layer.width) for _ in range(3))
    return Norm(gamma, beta, mean, rng.uniform(0.5, 2, layer.width))


def targets(rng: np.random.Generator, text: str, N: int, K: int) -> np.ndarray:
    """Targets of N rows and K outputs for that loss."""
    word = Loss.of(text).word
    if word.task == "classes":
        return rng.integers(0, K, N) if rng.random() < 0.7 else rng.dirichlet(np.ones(K), N)
    if word.task == "binary":
        return (rng.random((N, K)) < 0.4).astype(float) if rng.random() < 0.7 else rng.random((N, K))
    return rng.poisson(2, (N, K)).astype(float) if word.link == "exp" else rng.normal(size=(N, K))


def drawn(seed: int, epochs: int = 3) -> Drawn:
    """The training of that seed."""
    rng = np.random.default_rng(seed)
    text, step = TEXTS[seed % len(TEXTS)], [*STEPS.values()][seed % len(STEPS)]
    word = Loss.of(text).word
    D, K = int(rng.choice(WIDTHS)), int(rng.integers(word.outputs, 12))
    N = int(rng.choice([1, 2, 7, 64, 150, 300, 600]))
    dropout = 0.25 if rng.random() < 0.15 else 0.0
    architecture = Architecture(D, _layers(rng, seed), K, input_dropout=dropout)
    if architecture.normalises and step.name != "sgd":
        step = step.but(epsilon=1e-3)  # gradients that cancel out are roundings, and not to be blown up
    parameters = Parameters(
        tuple(rng.normal(size=shape) / np.sqrt(shape[0]) for shape in architecture.shapes),
        tuple(
            rng.normal(size=shape[1]) * 0.1 * layer.bias
            for shape, layer in zip(architecture.shapes, architecture.all_layers, strict=True)
        ),
        tuple(_norm(rng, layer) for layer in architecture.layers),
    )
    X, kind = rng.normal(size=(N, D)), KINDS[seed % len(KINDS)]
    if kind == "sparse":
        X = scipy.sparse.csr_array(X * (rng.random(X.shape) < 0.3))
    if kind == "bytes":
        X = rng.integers(0, 256, (N, D)).astype(np.uint8)
    scale = rng.uniform(0.5, 2, D) if rng.random() < 0.3 else float(rng.choice([1.0, 3.0]))
    mean = rng.normal(size=D) if rng.random() < 0.4 else None
    net = Net(architecture, parameters, Preprocessing(scale * (128 if kind == "bytes" else 1), mean))
    M = max(1, int(N * rng.choice([1, 0.8])))
    B = int(rng.choice([1, 7, 32, 200, 1000])) if N < 300 else int(rng.choice([32, 200, 1000]))
    lr = 0.002 if step.name not in ("adagrad", "adadelta") else 0.05
    words: dict[str, Any] = {"loss": text, "optimizer": step, "batch_size": B}
    if word.task != "numbers" and rng.random() < 0.3:
        words["label_smoothing"] = 0.1
    if rng.random() < 0.4:
        words["sample_weight"] = rng.random(N) * (rng.random(N) < 0.8)
    if rng.random() < 0.3:
        lr = lr * rng.random(epochs * -(-M // min(B, M)))
    words["seed"] = seed
    orders = np.stack([rng.permutation(N)[:M] for _ in range(epochs)])
    return Drawn(seed, net, X, targets(rng, text, N, K), orders, lr, words)
