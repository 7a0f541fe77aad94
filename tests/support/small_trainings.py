"""Tiny trainings of every form of X, as digests: run in processes with other settings of Numba.

``python small_trainings.py [threads ...] [--driver D]`` prints JSON: {form and threads: digest}.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from nets import call, net_of

from fastmlp.kernels import launch
from fastmlp.words.optimizers import Optimizer

sys.path.append(str(Path(__file__).parent))

FORMS = (
    "bytes", "bytes wide", "bytes uneven", "csr", "dense", "dense bytes", "bytes centred", "csr centred",
    "dense centred",
)  # fmt: skip
N, D, K = 11, 70, 3
WIDE = 512  # inputs, that are summed in two halves; uneven: of two members, one has no row of deeper layers
SHAPES = {"bytes": (17, 3), "csr": (3,), "dense": (5, 2)}
LOSSES = ("logits", "clip:0.05,0.9")
MIXTURES = (
    "gelu,elu:1.5",
    "gelu_tanh,selu",
    "silu,softplus",
    "hard_sigmoid:0.3,leaky_relu:0.3",
    "sigmoid,identity",
)  # of hidden layers: all where rows are dense
TARGETS = (
    "half_squared", "clip:0.05,0.9", "binary", "binary:0.2,0.7", "squared", "absolute", "huber:0.5",
    "poisson",
)  # fmt: skip  # all of them where a step takes least
OPTIMIZERS = (
    Optimizer("adam", alpha=0.1),
    Optimizer(momentum=0.9, nesterov=True, weight_decay=0.01),
    Optimizer(weight_decay=0.1),
)  # all of them where rows are centred: there every loop of the others runs too


def columns(form):
    """How many inputs X of that form has."""
    return WIDE if form.endswith(("wide", "uneven")) else D


def data(form):
    """X (N, D or WIDE), y, scale and mean; X is drawn so that ``encode`` gives that form."""
    rng = np.random.default_rng(len(form))
    D = columns(form)
    density = 0.9 if form.startswith("dense") else 0.15 if D < WIDE else 0.03
    if form.endswith("uneven"):
        density = np.repeat([0.035, 0.055], WIDE // 2)
    present = rng.random((N, D)) < density
    if "bytes" in form:
        X, scale = (rng.integers(1, 256, (N, D)) * present).astype(np.uint8), 255.0
    else:
        X, scale = (rng.normal(size=(N, D)) * present).astype(np.float32), 0.7
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32) if form.endswith("centred") else None
    return X, rng.integers(0, K, N), scale, mean


def trained(form, threads, driver="team"):
    """Digest of what an epoch, an evaluation and predictions leave, for each loss."""
    from compare import digest

    from fastmlp import Architecture, initialise, kernels
    from fastmlp.backends.state import OptimizerState

    X, y, scale, mean = data(form)
    encoded, found = kernels.encode(X), []
    assert encoded.form == form.split()[0]
    for loss, act in zip(LOSSES, ("relu", "tanh"), strict=True):
        p = initialise(Architecture(columns(form), SHAPES[encoded.form], K), seed=3)
        options = {"act": act, "scale": scale, "mean": mean}
        order = np.random.default_rng(1).permutation(N)
        steps = {"lr": 0.3, "batch_size": 4, "loss": loss, "threads": threads, "driver": driver}
        found += [call(kernels.train_epoch, p, encoded, y, order, **steps, **options)[:4], *p]
        found += [
            call(kernels.predict_proba, p, encoded, **options),
            call(kernels.predict_proba, p, X[:2], **options),
            call(kernels.evaluate, p, encoded, y, loss=loss, **options)[:2],
            call(kernels.dead_units, p, X, **options),
            call(kernels.loss_and_gradients, p, X, y, loss=loss, threads=threads, **options).loss,
        ]  # fmt: skip
        assert all(np.isfinite(np.asarray(part)).all() for part in found)
    for act in MIXTURES if form == "dense" else ():
        p, options = initialise(Architecture(D, SHAPES["dense"], K), seed=5), {"act": act, "scale": scale}
        call(kernels.train_epoch, p, encoded, y, order, **steps, **options)
        found += [*p, call(kernels.predict_proba, p, encoded, **options)]
        found += [call(kernels.predict_proba, p, X[:2], **options)]
    options = {"scale": scale, "mean": mean, "batch_size": 4, "threads": threads, "driver": driver}
    for optimizer in OPTIMIZERS[: 1 if mean is None else 3]:
        p = initialise(Architecture(columns(form), SHAPES[encoded.form], K), seed=4)
        state, weights = OptimizerState.start(p, optimizer), np.random.default_rng(2).random(N)
        options |= {"optimizer": optimizer, "state": state, "sample_weight": weights}
        for _ in range(2):
            call(kernels.train_epoch, p, encoded, y, order, lr=0.05, **options)
        found += [*p, *(array for moment in state.moments for array in moment)]
        found += [kernels.logits(net_of(p, scale=scale, mean=mean), encoded)]
    Y = np.random.default_rng(3).random(size=(N, K))
    for loss in TARGETS[: None if form == "dense centred" else 1]:
        totals = call(kernels.train_epoch, p, encoded, Y, order, lr=0.01, loss=loss, **options)
        found += [*p, totals[:4], call(kernels.evaluate, p, encoded, Y, loss=loss, scale=scale, mean=mean)[0]]
        predict = kernels.predict_proba if loss.startswith(("clip", "binary")) else kernels.predict
        found += [call(predict, p, X[:2], loss=loss, scale=scale, mean=mean)]
    assert all(np.isfinite(np.asarray(part)).all() for part in found)
    return digest(*found)


def fitted(threads):
    """Digest of the weights of a fit."""
    from nets import learnable

    from fastmlp import fit

    X, y = learnable(3, 300, 60, 4)
    return fit(X, y, hidden=(12, 5), epochs=2, batch_size=32, threads=threads)[0].parameters.sha256()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("threads", type=int, nargs="*", default=[1])
    parser.add_argument("--driver", default="team")
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    digests = {
        f"{form}, {n} threads": trained(form, n, arguments.driver)
        for form in FORMS
        for n in arguments.threads
    }
    sys.stdout.write(json.dumps(digests))


if __name__ == "__main__":
    launch.TINY = launch.TINY_STEP = 0  # or one thread would do all of it
    main()
