"""Random nets and data for the numerical tests, and which of their samples lie on an edge.

Drawn with NumPy's own generator: what a test is made of must not hang on the code it tests. An edge is a
ReLU's kink or a clip's bound, where two right answers may differ by a whole sample's gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from compare import DROPPED
from exact_activations import EXACT, KINKS

from fastmlp import Architecture, Net, Parameters, Preprocessing
from fastmlp.backends.threads import ThreadTuner
from fastmlp.words.layers import layers_of

ACTS = ("relu", "sigmoid", "tanh", "identity", "leaky_relu")  # of the cases; others: test_activations.py
LOSSES = ("logits", "keras2", "clip:1e-10,0.999999", "clip:0.05,0.9", "clip:0.3,0.6")
KINDS = ("uint8 sparse", "uint8 dense", "float32 sparse", "float32 dense", "uint8 centred", "float32 centred")

DEPTHS = 4
CASES = len(ACTS) * len(LOSSES) * len(KINDS) * DEPTHS


@dataclass(frozen=True)
class Case:
    """A net, a batch, and the options with which both backends are called."""

    seed: int
    architecture: Architecture
    parameters: Parameters
    X: np.ndarray
    y: np.ndarray
    loss: str
    scale: float
    mean: np.ndarray | None
    kind: str

    drawn: str = "relu"  # the activation, where there is no hidden layer to have it

    @property
    def act(self) -> str:
        """The activation of all hidden layers."""
        return (*self.architecture.acts, self.drawn)[0]

    @property
    def options(self) -> dict:
        """Keywords of ``call``."""
        return {"act": self.act, "scale": self.scale, "mean": self.mean}

    def __str__(self) -> str:
        return (
            f"[case {self.seed}: {self.architecture} {self.act}, {self.loss}, {self.kind}, "
            f"batch {len(self.X)}, scale {self.scale:g}]"
        )

    def inputs(self) -> np.ndarray:
        """x = (X - mean) / scale in float64."""
        X = self.X.astype(np.float64)
        return (X if self.mean is None else X - self.mean.astype(np.float64)) / self.scale

    def rows(self, keep: np.ndarray) -> Case:
        """The same with those samples alone."""
        return replace(self, X=self.X[keep], y=self.y[keep])


def net_of(parameters, act="relu", scale=1.0, mean=None) -> Net:
    """The net of these parameters, with one activation in all hidden layers. Raises as Net does."""
    shapes = parameters.shapes
    layers = layers_of([fan_out for _, fan_out in shapes[:-1]], act)
    architecture = Architecture(shapes[0][0], layers, shapes[-1][1])
    return Net(architecture, parameters, Preprocessing(scale, mean))


def call(function, parameters, *args, act="relu", scale=1.0, mean=None, threads=1, driver="team", **options):
    """A function of a backend on the net of these parameters: ``call(nn.evaluate, p, X, y, act="tanh")``."""
    if isinstance(threads, ThreadTuner):
        threads.driver = driver
    elif driver != "team":
        threads = ThreadTuner(threads, driver)
    return function(net_of(parameters, act, scale, mean), *args, threads=threads, **options)


def draw(seed: int, *, most_inputs: int = 130, most_units: int = 130, most_samples: int = 257) -> Case:
    """A random case; CASES seeds in a row are every activation, loss, kind of X and depth, once."""
    rng = np.random.default_rng(seed)
    n, found = seed * 77 % CASES, []  # neighbours differ in everything
    for words in (ACTS, LOSSES, KINDS, range(DEPTHS)):
        n, place = divmod(n, len(words))
        found.append(words[place])
    act, loss, kind, depth = found
    D = (
        int(rng.integers(131, 801))
        if seed * 77 % 17 == 0 and most_inputs >= 130
        else _extent(rng, most_inputs)
    )
    hidden = tuple(_extent(rng, most_units) for _ in range(depth))
    K, B = int(rng.integers(2, 21)), _extent(rng, most_samples)
    architecture = Architecture(D, layers_of(hidden, act), K)
    X = values(rng, kind, B, D)
    scale = float(rng.choice([255.0, 256.0, 100.0] if kind.startswith("uint8") else [1.0, 0.7, 3.0]))
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32) if kind.endswith("centred") else None
    parameters = weights(rng, architecture)
    return Case(seed, architecture, parameters, X, rng.integers(0, K, B), loss, scale, mean, kind, act)


def weights(rng: np.random.Generator, architecture: Architecture, size: float = 1.5) -> Parameters:
    """Normal weights of variance size / fan_in, small biases; float32."""
    return Parameters(
        tuple(
            rng.normal(0, np.sqrt(size / shape[0]), shape).astype(np.float32) for shape in architecture.shapes
        ),
        tuple(rng.normal(0, 0.1, shape[1]).astype(np.float32) for shape in architecture.shapes),
    )


def values(rng: np.random.Generator, kind: str, N: int, D: int) -> np.ndarray:
    """X (N, D) of that kind: uint8 or float32; sparse: a fifth of the values is not zero."""
    present = rng.random((N, D)) < (0.2 if kind.endswith("sparse") else 0.95)
    if kind.startswith("uint8"):
        return (rng.integers(1, 256, (N, D)) * present).astype(np.uint8)
    return (rng.normal(0, 1, (N, D)) * present).astype(np.float32)


def learnable(seed: int, N: int, D: int, K: int, *, noise: float = 0.35) -> tuple[np.ndarray, np.ndarray]:
    """Sparse uint8 X (N, D) and y (N,): a random picture for each class, with pixels left out and changed."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(60, 256, (K, D)) * (rng.random((K, D)) < 0.25)
    y = rng.integers(0, K, N)
    X = pictures[y] * (rng.random((N, D)) > noise) * rng.uniform(0.5, 1, (N, 1))
    return X.astype(np.uint8), y


def edge_free(case: Case, margin: float = 4e-6) -> Case | None:
    """The case without samples that lie within ``margin`` of an edge; None if none is left. Counted."""
    keep = ~on_edge(case, margin)
    DROPPED["samples kept"] += int(keep.sum())
    DROPPED["samples dropped"] += int((~keep).sum())
    return case.rows(keep) if keep.any() else None


def on_edge(case: Case, margin: float) -> np.ndarray:
    """Whether each sample (B,) is near a ReLU's kink in some layer, or near a bound of the clip."""
    a, pre = case.inputs(), []
    for W, b in zip(case.parameters.weights, case.parameters.biases, strict=True):
        W, b = W.astype(np.float64), b.astype(np.float64)
        pre.append((a @ W + b, abs(a) @ abs(W) + abs(b)))
        z = pre[-1][0]
        a = EXACT[case.act][0](z)
    bad = np.zeros(len(case.X), bool)
    for kink in KINKS.get(case.act, ()):
        for z, size in pre[:-1]:
            bad |= ((z != kink) & (abs(z - kink) <= margin * size)).any(axis=1)
    low_high = {"logits": None, "keras2": (1e-7, 1 - 1e-7)}.get(case.loss, case.loss)
    if low_high is not None:
        if isinstance(low_high, str):
            low_high = tuple(float(bound) for bound in low_high.removeprefix("clip:").split(","))
        logits = pre[-1][0]
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p_true = (p / p.sum(axis=1, keepdims=True))[np.arange(len(p)), case.y]
        spread = margin * (2 + pre[-1][1].max(axis=1))
        for bound in low_high:
            bad |= abs(p_true - bound) <= bound * spread
        bad &= 1 - p_true > 1e-9  # exactly 1 in float32, whoever rounds it
    return bad


def _extent(rng: np.random.Generator, most: int) -> int:
    """1..most, small ones and the neighbours of whole vectors more often."""
    edges = [1, 2, 3, 7, 8, 9, 15, 16, 17, 24]
    return min(most, int(rng.integers(1, most + 1) if rng.random() < 0.5 else rng.choice(edges)))
