"""The best-known program of all, 784-512-512-10 with dropout 0.2 twice and RMSprop on MNIST, in three tools.

``python bench/known_program.py [--rounds N] [--threads T]`` prints a table: medians of an epoch's seconds,
each tool in turn within a process of its own, and the test accuracy after all epochs. Batch 128, lr 0.001.
JAX trains by jit and scan, PyTorch eagerly on tensors in memory; each round is one epoch of all tools.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import statistics
import sys
import time
from typing import Any

import numpy as np

WIDTHS, BATCH, LR, RATE, SHARE = (784, 512, 512, 10), 128, 0.001, 0.9, 0.2


def mnist() -> tuple[Any, ...]:
    from fastmlp import data

    found = data.load("mnist")
    return found.X.reshape(-1, 784), found.y, found.X_test.reshape(-1, 784), found.y_test


def fastmlp(threads: int) -> tuple[Any, Any]:
    from fastmlp import Net, Optimizer, OptimizerState, Preprocessing, Training, initialise, kernels
    from fastmlp.backends.threads import ThreadTuner

    X, y, X_test, y_test = mnist()
    architecture = Training(hidden=WIDTHS[1:3], dropout=SHARE).architecture(784, 10)
    net = Net(architecture, initialise(architecture), Preprocessing(255.0))
    rule = Optimizer("rmsprop", form="keras", rho=RATE)
    state, rows, tuner = OptimizerState.start(net.parameters, rule), kernels.encode(X), ThreadTuner(threads)

    def epoch(order: Any, number: int) -> None:
        kernels.train_epoch(
            net,
            rows,
            y,
            order,
            lr=LR,
            batch_size=BATCH,
            optimizer=rule,
            state=state,
            threads=tuner,
            epoch=number,
        )

    return epoch, lambda: kernels.evaluate(net, X_test, y_test).accuracy


def pytorch(threads: int) -> tuple[Any, Any]:
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    X, y, X_test, y_test = (torch.from_numpy(np.asarray(part)) for part in mnist())
    X, X_test = X.float() / 255, X_test.float() / 255
    parts: list[Any] = []
    for fan_in, fan_out in itertools.pairwise(WIDTHS):
        parts += [nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(SHARE)]
    net = nn.Sequential(*parts[:-2])
    optimizer = torch.optim.RMSprop(net.parameters(), LR, alpha=RATE, eps=1e-7)
    criterion = nn.CrossEntropyLoss()

    def epoch(order: Any, number: int) -> None:
        net.train()
        places = torch.from_numpy(order)
        for first in range(0, len(order), BATCH):
            rows = places[first : first + BATCH]
            optimizer.zero_grad(set_to_none=True)
            criterion(net(X[rows]), y[rows]).backward()
            optimizer.step()

    def accuracy() -> float:
        net.eval()
        with torch.no_grad():
            return float((net(X_test).argmax(1) == y_test).float().mean())

    return epoch, accuracy


def jax(threads: int) -> tuple[Any, Any]:
    import jax
    import jax.numpy as jnp

    X, y, X_test, y_test = mnist()
    inputs, labels = jnp.asarray(X, jnp.float32) / 255, jnp.asarray(y)
    rng = np.random.default_rng(0)
    weights = []
    for fan_in, fan_out in itertools.pairwise(WIDTHS):
        limit = (6 / (fan_in + fan_out)) ** 0.5
        weights.append(
            (jnp.asarray(rng.uniform(-limit, limit, (fan_in, fan_out)), jnp.float32), jnp.zeros(fan_out))
        )
    squares = jax.tree.map(jnp.zeros_like, weights)

    def outputs(weights: Any, x: Any, key: Any) -> Any:
        for i, (W, b) in enumerate(weights[:-1]):
            x = jax.nn.relu(x @ W + b)
            if key is not None:
                kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - SHARE, x.shape)
                x = jnp.where(kept, x / (1 - SHARE), 0)
        W, b = weights[-1]
        return x @ W + b

    def loss(weights: Any, x: Any, t: Any, key: Any) -> Any:
        logs = jax.nn.log_softmax(outputs(weights, x, key))
        return -jnp.take_along_axis(logs, t[:, None], 1).mean()

    def step(carry: Any, given: Any) -> Any:
        weights, squares = carry
        rows, key = given
        slopes = jax.grad(loss)(weights, inputs[rows], labels[rows], key)
        squares = jax.tree.map(lambda s, g: RATE * s + (1 - RATE) * g * g, squares, slopes)
        weights = jax.tree.map(lambda w, g, s: w - LR * g / jnp.sqrt(s + 1e-7), weights, slopes, squares)
        return (weights, squares), None

    @jax.jit
    def scanned(weights: Any, squares: Any, order: Any, key: Any) -> Any:
        whole = len(X) // BATCH
        rows = order[: whole * BATCH].reshape(whole, BATCH)
        carry, _ = jax.lax.scan(step, (weights, squares), (rows, jax.random.split(key, whole)))
        return step(carry, (order[whole * BATCH :], jax.random.fold_in(key, 1)))[0]  # the last short batch

    now = [weights, squares]

    def epoch(order: Any, number: int) -> None:
        now[:] = jax.block_until_ready(scanned(*now, jnp.asarray(order), jax.random.key(number)))

    return epoch, lambda: float((outputs(now[0], jnp.asarray(X_test) / 255, None).argmax(1) == y_test).mean())


TOOLS = {"fastmlp": fastmlp, "JAX": jax, "PyTorch": pytorch}


def served(name: str, threads: int, line: Any) -> None:
    """Train an epoch whenever it is told to, and answer with its seconds; at the end with the accuracy."""
    epoch, accuracy = TOOLS[name](threads)
    line.send("ready")
    while (told := line.recv()) is not None:
        order, number = told
        started = time.perf_counter()
        epoch(order, number)
        line.send(time.perf_counter() - started)
    line.send(accuracy())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    spawn, lines = multiprocessing.get_context("spawn"), {}
    for name in TOOLS:
        lines[name], other = spawn.Pipe()
        spawn.Process(target=served, args=(name, arguments.threads, other), daemon=True).start()
        lines[name].recv()
    rng, seconds = np.random.default_rng(0), {name: [] for name in TOOLS}  # type: dict[str, list[float]]
    for number in range(1, arguments.rounds + 1):
        order = rng.permutation(60_000)
        for name, line in lines.items():
            line.send((order, number))
            seconds[name].append(line.recv())
    sys.stdout.write("| | epoch | times fastmlp (least, most) | test accuracy |\n|---|---|---|---|\n")
    for name, line in lines.items():
        line.send(None)
        own = seconds[name][1:] or seconds[name]  # the first compiles
        ratios = [s / t for s, t in zip(own, seconds["fastmlp"][1:] or seconds["fastmlp"], strict=True)]
        times = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})"
        sys.stdout.write(f"| {name} | {statistics.median(own):.3f} s | {times} | {line.recv():.4f} |\n")


if __name__ == "__main__":
    main()
