"""Trainings drawn by a seed, for the differential suite: one problem, every way to compute it.

A Combination is a net, data, and all the words that decide a training. Its rows come in several *forms*
(``Combination.forms``), and each of them is trained in several *ways*: a driver, and a number of threads or
several that change in mid-epoch (``WAYS``). ``outcome`` names every array that a training leaves, and
``differing`` says which of them are not the same bytes. What is compared with what is in
test_differential.py; tolerances are in compare.py.

Data are uneven on purpose (``MASSES``): two threads keep to their halves of the inputs, and share the rest by
how much each half holds; so shares of all sizes occur, none and all of a layer among them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse
from nets import call, weights

from fastmlp import Parameters, Training, kernels
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import ThreadTuner
from fastmlp.data.encode import Encoded
from fastmlp.kernels.layout import middle_of
from fastmlp.train.loop import weights_of
from fastmlp.words.optimizers import Optimizer

RULES = {
    "plain": Optimizer(),
    "decay": Optimizer(weight_decay=0.1),
    "alpha": Optimizer(alpha=0.5),
    "momentum": Optimizer(momentum=0.9),
    "nesterov": Optimizer(momentum=0.8, nesterov=True, weight_decay=0.01, alpha=0.5),
    "adam": Optimizer("adam"),
    "adam decay": Optimizer("adam", beta1=0.7, beta2=0.9, epsilon=1e-3, weight_decay=0.02, alpha=0.3),
    "adam hat": Optimizer("adam", epsilon=1e-7, form="keras", alpha=0.1),
    "rmsprop": Optimizer("rmsprop", clip_norm=0.5),
    "rmsprop, all": Optimizer("rmsprop", centred=True, momentum=0.5, epsilon=1e-3, form="keras", alpha=0.1),
    "adamw": Optimizer("adamw", amsgrad=True, clip_value=0.05),
    "nadam": Optimizer("nadam", clip_each=0.1),
    "adamax": Optimizer("adamax", epsilon=1e-4, weight_decay=0.01),
    "adagrad": Optimizer("adagrad", form="keras", clip_norm=0.1),
    "adadelta": Optimizer("adadelta", weight_decay=0.1),
}
IN_TURN = 8  # the first of them take turns; a later one has seeds of its own, so that no other draw changes
MASSES = (
    "even", "less first", "less second", "MNIST", "full", "all first", "all second", "one column",
    "empty rows", "empty columns",
)  # fmt: skip
"""Where the values that are not 0 lie. Less: 3 to 9 % of all, so that halves are not given up for it."""
LOSSES = ("logits", "keras2", "clip:1e-10,0.999999", "clip:0.05,0.9", "half_squared")
OF_TARGETS = ("half_squared", "binary", "squared", "huber:0.5", "poisson")  # which share that one's place
STEEP = {"squared": 2, "poisson": 8}  # how much less steady they are
SCHEDULES = ("constant", "cosine", "step:1,0.5")
NARROW, WIDE = (
    (1, 2, 7, 63, 64, 65, 130, 448),
    (449, 512, 576, 600, 700, 784, 897),
)  # inputs: one sum, or halves
WIDTHS = (1, 2, 7, 8, 9, 16, 33, 64, 100, 300)
CLASSES = (2, 3, 5, 10, 17)
EPOCHS = 3
COUNT = 4 * len(RULES) * len(MASSES)


class Changing(ThreadTuner):
    """Other threads in every slice, which ends with its first batch or soon after."""

    def __init__(self, *counts: int) -> None:
        super().__init__(max(counts))
        self._slices = itertools.cycle(zip(counts, itertools.cycle([0.0, 0.001, 0.0]), strict=False))

    def next(self) -> tuple[int, float]:
        return next(self._slices)


DRAWN = ("relu", "sigmoid", "tanh", "identity")  # others take the place of one: a new one moves no draw
IN_PLACE = {
    "relu": ("relu", "leaky_relu"),
    "identity": (
        "identity", "elu:1.5", "selu", "gelu", "gelu_tanh", "silu", "softplus", "hard_sigmoid:0.3",
    ),
}  # fmt: skip

WAYS: dict[str, tuple[str, Callable[[], int | str | ThreadTuner]]] = {
    **{f"team of {n}": ("team", lambda n=n: n) for n in (2, 3, 5, 8)},
    "team, auto": ("team", lambda: "auto"),
    "team, changing": ("team", lambda: Changing(2, 3, 1, 2, 8, 2, 5)),
    **{f"prange of {n}": ("prange", lambda n=n: n) for n in (1, 2, 8)},
    "prange, changing": ("prange", lambda: Changing(3, 1, 2, 5)),
}
"""Driver, and threads: all of these give the bytes of a team of one."""


@dataclass(frozen=True)
class Combination:
    """A training to be made in every way. X (N, D): bytes, or floats; order: of its epochs' rows.

    uneven: how uneven the halves of the inputs may be that two members keep to (launch.UNEVEN).
    """

    seed: int
    rule: str
    mass: str
    X: np.ndarray
    y: np.ndarray
    parameters: Parameters
    act: str
    loss: str
    schedule: str
    lr: float
    batch_size: int
    scale: float
    mean: np.ndarray | None
    sample_weight: np.ndarray | None
    orders: tuple[np.ndarray, ...]
    uneven: float

    def __str__(self) -> str:
        shapes = self.parameters.shapes
        widths = "-".join(map(str, (shapes[0][0], *(fan_out for _, fan_out in shapes))))
        return (
            f"[{self.seed}: {widths} {self.act}, {self.rule}, {self.schedule}, {self.loss}, {self.mass}, "
            f"{self.X.dtype}{', centred' * (self.mean is not None)}"
            f"{', weighted' * (self.sample_weight is not None)}, {len(self.X)} rows, batch {self.batch_size}]"
        )

    @property
    def optimizer(self) -> Optimizer:
        return RULES[self.rule]

    def lr_at(self, epoch: int) -> float:
        """The learning rate of an epoch, from 1."""
        return Training(lr=self.lr, schedule=self.schedule, epochs=EPOCHS).lr_at(epoch)

    @property
    def options(self) -> dict[str, Any]:
        """What both backends are told about the rows as they are in X."""
        return {"act": self.act, "scale": self.scale, "mean": self.mean}

    def forms(self) -> dict[str, tuple[Encoded, dict[str, Any]]]:
        """The same rows in each form that they can have, and the options with it."""
        X, plain = self.X, self.options
        as_floats = X.astype(np.float32)
        found = {
            "scipy": (kernels.encode(scipy.sparse.csr_matrix(as_floats)), plain),
            "dense": (kernels.encode(as_floats, once=True, centred=True), plain),
            "as it is": (kernels.encode(X), plain),  # bytes or CSR if sparse, else one of the dense forms
        }
        if X.dtype == np.uint8:
            found["dense bytes"] = kernels.encode(X, once=True, centred=True), plain
            mean = None if self.mean is None else self.mean / np.float32(255)
            on_a_grid = kernels.encode((X / 255).astype(np.float32))
            found["grid"] = on_a_grid, {"act": self.act, "scale": self.scale / 255, "mean": mean}
        return found


def drawn(seed: int, pictures: tuple[np.ndarray, np.ndarray] | None = None) -> Combination:
    """Combination ``seed`` of COUNT: every rule with every mass, four times, and all else at random.

    pictures: X (N, 784) and y (N,) of MNIST, for those that ask for them (``wants_pictures``).
    """
    rng = np.random.default_rng(seed)
    rule, mass, depth = place_of(seed)
    loss, act = (str(rng.choice(words)) for words in (LOSSES, DRAWN))
    if act in IN_PLACE:
        act = IN_PLACE[act][(seed if act == "relu" else seed // IN_TURN) % len(IN_PLACE[act])]
    N = int(rng.choice([1, 2, 9, 40, 100, 130, 200]))
    batch_size = int(rng.choice([7, 32, 64, 65, 100, N, N + 1] if N > 9 else [1, 2, 5, N]))
    hidden = [int(width) for width in rng.choice(WIDTHS, depth)]
    if mass == "MNIST":
        assert pictures is not None, "wants_pictures(seed) says so"
        rows = rng.permutation(len(pictures[0]))[:N]
        X, y, K = pictures[0][rows], pictures[1][rows], 10
    else:
        is_wide = mass in ("less first", "less second", "all first", "all second") or rng.random() < 0.6
        D, K = int(rng.choice(WIDE if is_wide else NARROW)), int(rng.choice(CLASSES))
        X, y = placed(rng, mass, N, D), rng.integers(0, K, N)
    as_floats = mass != "MNIST" and rng.random() < 0.3
    if as_floats:
        X = (rng.normal(size=X.shape) * (X > 0)).astype(np.float32)
    scale = 1.0 if as_floats else 255.0
    sizes = X.astype(np.float64) / scale
    mean = None  # not the columns' own: a constant column less itself is 0, or as much as its rounding error
    if rng.random() < 0.3:
        mean = (X.mean(axis=0) * rng.uniform(0.4, 0.9, X.shape[1])).astype(np.float32)
    by_class = (None, "balanced", tuple(rng.permutation([0.0, 1.0, 3.0] * K)[:K]))[rng.integers(3)]
    by_row = rng.random(N) * (rng.random(N) < 0.7) if rng.random() < 0.4 else None
    sample_weight = weights_of(y, K, by_class if loss != "half_squared" else None, by_row)
    if loss == "half_squared":
        K = int(rng.choice([1, *CLASSES]))
        y = rng.normal(size=(N, K)).astype(np.float32)
        loss = OF_TARGETS[seed // len(RULES) % len(OF_TARGETS)]
        y = np.round(1 / (1 + np.exp(-y))) if loss == "binary" else np.abs(y) if loss == "poisson" else y
    widths = [X.shape[1], *hidden, K]
    lr = steady_rate(RULES[rule], sizes, max(widths[1:])) / STEEP.get(loss, 1)
    return Combination(
        seed, rule, mass, X, y, weights(rng, SimpleNamespace(shapes=tuple(itertools.pairwise(widths)))),
        act, loss, str(rng.choice(SCHEDULES)), lr, batch_size,
        scale, mean, sample_weight, tuple(rng.permutation(N)[: N - N // 5] for _ in range(EPOCHS)),
        float(rng.choice([0.12, 0.5])),
    )  # fmt: skip


def place_of(seed: int) -> tuple[str, str, int]:
    """The rule, the mass, and the number of hidden layers of a combination."""
    each, rules = 4 * len(MASSES), tuple(RULES)
    if seed < IN_TURN * each:
        turn, at = divmod(seed, IN_TURN)
        return rules[at], MASSES[turn % len(MASSES)], turn // len(MASSES)
    at, turn = divmod(seed, each)
    return rules[at], MASSES[turn % len(MASSES)], turn // len(MASSES)


def wants_pictures(seed: int) -> bool:
    """Whether that combination is one of MNIST."""
    return place_of(seed)[1] == "MNIST"


def placed(rng: np.random.Generator, mass: str, N: int, D: int) -> np.ndarray:
    """Bytes X (N, D) whose values that are not 0 lie as ``mass`` says."""
    middle, columns = middle_of(D) if middle_of(D) < D else D // 2, np.arange(D)
    density = 0.95 if mass == "full" else float(rng.choice([0.05, 0.2, 0.35]))
    less = 0.5 - float(rng.uniform(0.03, 0.09))
    first = {"less first": less, "less second": 1 - less, "all first": 1.0, "all second": 0.0}.get(mass)
    chances = np.full(D, density)
    if first is not None:
        chances = np.where(columns < middle, first / middle, (1 - first) / (D - middle)) * density * D
    elif mass == "one column":
        chances = (columns == rng.integers(D)) * 0.9
    elif mass == "empty columns":
        chances *= rng.random(D) < 0.3
    X = rng.integers(1, 256, (N, D)) * (rng.random((N, D)) < chances)
    if mass == "empty rows":
        X[rng.random(N) < 0.6] = 0
    return X.astype(np.uint8)


def steady_rate(optimizer: Optimizer, x: np.ndarray, width: int) -> float:
    """A learning rate that is below the stability limit: beyond it, two right answers part."""
    if optimizer.name != "sgd":  # the first steps of these are longer than lr
        first = {"rmsprop": (1 - optimizer.rho) ** 0.5, "nadam": 0.5}.get(optimizer.name, 1)
        return float(0.5 * first / max(10.0, abs(x).sum(axis=1).mean(), width))
    return float((1 - optimizer.momentum) / max(1.0, (x * x).sum(axis=1).mean(), width))


def outcome(
    nn: Any, c: Combination, X: Any, threads: int | str | ThreadTuner = 1, driver: str = "team",
    dtype: Any = np.float32, **options: Any,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Every array that a look at the net, its training, and a look after it leave: by name."""
    p, found = c.parameters.astype(dtype), {}
    step = call(nn.loss_and_gradients,
        p, X, c.y, loss=c.loss, threads=threads, sample_weight=c.sample_weight, **options
    )  # fmt: skip
    found |= {f"gradient of {label}": array for label, array in step.gradients.named()}
    found["loss of a step"] = np.float64(step.loss)
    found["counts of a step"] = np.array([step.correct, step.live])
    state = OptimizerState.start(p, c.optimizer)
    for epoch, order in enumerate(c.orders, 1):
        totals = call(nn.train_epoch,
            p, X, c.y, order, loss=c.loss, lr=c.lr_at(epoch), batch_size=c.batch_size, threads=threads,
            driver=driver, optimizer=c.optimizer, state=state, sample_weight=c.sample_weight, **options,
        )  # fmt: skip
        found[f"loss of epoch {epoch}"] = np.float64(totals.loss)
        found[f"counts of epoch {epoch}"] = np.array(totals[1:4])
    found |= dict(p.named())
    for name, moment in zip("mvu" if len(state.moments) > 1 else "v", state.moments, strict=False):
        found |= {f"{name} of {label}": array for label, array in moment.named()}
    found["steps"] = np.int64(state.steps)
    found["logits"] = call(nn.logits, p, X, threads=threads, **options)
    evaluated = call(nn.evaluate, p, X, c.y, loss=c.loss, threads=threads, **options)
    found["loss of an evaluation"], found["accuracy"] = map(np.float64, evaluated[:2])
    return found


def differing(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> list[str]:
    """Names of arrays that are not the same bytes; and of those that only one of the two has."""
    return sorted(
        name
        for name in got.keys() | want.keys()
        if name not in got or name not in want or not _same_bytes(got[name], want[name])
    )


def _same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
