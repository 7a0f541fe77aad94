"""Epochs inside this process: data of any size, both backends on them, in turns. Shared by the benches.

Rivals that must not share a process are compared by ``fastmlp bench``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fastmlp import kernels, reference
from fastmlp.backends.state import OptimizerState
from fastmlp.net import Net, Parameters, Preprocessing, initialise
from fastmlp.random import permutation
from fastmlp.words.layers import Architecture, layers_of
from fastmlp.words.optimizers import PLAIN, Optimizer

CLASSES = 10
PAUSE = 0.05  # seconds before a turn of the kernels: OpenBLAS threads spin for about 30 ms after work
SPELL = 0.1  # seconds that a turn lasts at least: after a pause, cores need some 10 ms to be fast again

Turn = Callable[[], object]


def random_bytes(N: int, D: int, density: float) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """X (N, D) uint8 with that share of non-zeros, y (N,)."""
    rng = np.random.default_rng(0)
    X = rng.integers(1, 256, (N, D), dtype=np.uint8)
    if density < 1:
        X *= rng.random((N, D), dtype=np.float32) < density
    return X, rng.integers(CLASSES, size=N)


def random_normals(N: int, D: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """X (N, D) standard normal, y (N,)."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, D), dtype=np.float32), rng.integers(CLASSES, size=N)


def random_csr(N: int, D: int, per_row: int) -> tuple[Any, NDArray[np.int64]]:
    """A scipy.sparse CSR array (N, D) with that many non-zeros a row, y (N,). Raises ImportError."""
    from scipy.sparse import csr_array

    rng = np.random.default_rng(0)
    columns = np.sort(rng.integers(D, size=(N, per_row), dtype=np.int32), axis=1)
    values = rng.random(N * per_row, dtype=np.float32)
    X = csr_array((values, columns.ravel(), np.arange(N + 1) * per_row), shape=(N, D))
    X.sum_duplicates()
    return X, rng.integers(CLASSES, size=N)


def weights(D: int, hidden: int) -> Parameters:
    """First weights of D-hidden-10."""
    return initialise(Architecture(D, layers_of(hidden), CLASSES))


OPTIMIZERS = {
    "plain SGD": Optimizer(),
    "weight decay": Optimizer(weight_decay=1e-4),
    "momentum": Optimizer(momentum=0.9),
    "Nesterov momentum": Optimizer(momentum=0.9, nesterov=True),
    "Adam": Optimizer("adam"),
    "Adam, clipped by norm": Optimizer("adam", clip_norm=1.0),
    "AdamW": Optimizer("adamw"),
    "AMSGrad": Optimizer("adam", amsgrad=True),
    "RMSprop": Optimizer("rmsprop"),
    "Nadam": Optimizer("nadam"),
    "Adamax": Optimizer("adamax"),
    "Adagrad": Optimizer("adagrad"),
    "Adadelta": Optimizer("adadelta"),
}


def trainer(
    nn: Any,
    X: Any,
    y: Any,
    *,
    hidden: int = 100,
    act: str = "relu",
    center: bool = False,
    optimizer: Optimizer = PLAIN,
    **options: Any,
) -> Turn:
    """A function that trains one more epoch; everything else is done here."""
    scale = 255.0 if X.dtype == np.uint8 else 1.0
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32) if center else None
    layers = layers_of(hidden, act)
    architecture = Architecture(X.shape[1], layers, CLASSES)
    net = Net(architecture, weights(X.shape[1], hidden), Preprocessing(scale, mean))
    order, encoded = permutation(X.shape[0], 0, "order", 1), nn.encode(X)
    state = OptimizerState.start(net.parameters, optimizer)
    options = {"lr": 1e-3, "optimizer": optimizer, "state": state} | options
    return lambda: nn.train_epoch(net, encoded, y, order, **options)


def seconds(turn: Turn) -> float:
    """Of one call."""
    count, started = 0, time.perf_counter()
    while True:
        turn()
        count += 1
        spent = time.perf_counter() - started
        if spent >= SPELL:
            return spent / count


def in_turns(turns: dict[str, Turn], rounds: int, blas: dict[str, int]) -> dict[str, list[float]]:
    """Seconds of each, one a round, after one that does not count; ``blas``: threads for those who use it."""
    times: dict[str, list[float]] = {name: [] for name in turns}
    for turn in range(rounds + 1):
        for name, work in turns.items():
            with threadpool_limits(blas.get(name, 1), user_api="blas"):
                time.sleep(PAUSE)
                spent = seconds(work)
            if turn:
                times[name].append(spent)
    return times


def both(
    X: Any,
    y: Any,
    rounds: int,
    threads: int,
    *,
    hidden: int = 100,
    act: str = "relu",
    center: bool = False,
    batch_size: int = 100,
) -> tuple[list[float], list[float]]:
    """Seconds of the kernels and of the reference, one a round; BLAS has its better number of threads."""
    shape: dict[str, Any] = {"hidden": hidden, "center": center, "batch_size": batch_size}
    turns = {"kernels": trainer(kernels, X, y, threads=threads, **shape)}
    blas = {str(n): n for n in sorted({1, threads})}
    turns |= {name: trainer(reference, X, y, **shape) for name in blas}
    times = in_turns(turns, rounds, blas)
    return times.pop("kernels"), min(times.values(), key=lambda spent: float(np.median(spent)))
