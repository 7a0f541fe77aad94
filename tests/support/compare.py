"""The one table of tolerances and the one comparator of the numerical tests. Nothing of fastmlp is used here.

``check(what, got, want)`` holds an array (or number) against another, norm-wise:

    error = ||got - want|| / ||want||   must be at most TOLERANCES[what]

Shapes and finiteness must agree as well, and where ``want`` is all zero ``got`` must be exactly zero:
a comparator that forgives zeros cannot fail. ``WORST`` keeps the largest error seen of each kind, which
``pytest -v`` prints beside its tolerance at the end of a run, so that a slack one is noticed.
tests/unit/test_compare.py breaks it on purpose.
"""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

EPS32 = 2.0**-24  # unit roundoff of float32

# Random nets have inputs, weights and logits of order 1, so that a sum of n products carries a relative
# error of about EPS32 * sqrt(n) (n <= 800: 1.7e-6) and a net of four layers a few of those.
TOLERANCES = {
    # the reference in float64
    "central differences": 1e-7,  # the issue's; four points with h = 2e-4 leave about 1e-9
    "float64 naive": 1e-12,  # the same sums in another order
    # float32 kernels against the float32 reference, one pass from the same weights
    "outputs": 4e-6,
    "probabilities": 4e-6,
    "loss": 5e-6,  # near 0 it has the absolute error of the logits
    "gradient": 1e-5,  # the sum over the batch cancels: up to sqrt(B) more than its terms carry
    "cancelling gradient": 2e-4,  # the float32 reference is over 3e-6 off the float64 one: few, and counted
    # 70,001 columns: EPS32 * sqrt(n) is 1.6e-5
    "wide outputs": 2e-5,
    "wide loss": 1e-5,
    "wide gradient": 4e-5,
    # logits in the hundreds: EPS32 * 300 in a logit is 2e-5 in a probability
    "raw outputs": 2e-5,
    "raw loss": 2e-5,
    "raw gradient": 2e-4,
    "raw update": 2e-5,  # of the weights after one step; biases, 0 at first, are the gradient itself
    # a hundred steps, below the stability limit
    "trajectory loss": 1e-5,
    "trajectory weights": 1e-4,
    # trainings drawn with all their words: three epochs, of up to 600 steps, below the stability limit;
    # between forms of the rows, and against the reference in float32 and in float64
    "drawn weights": 2e-5,
    "drawn outputs": 2e-5,
    "drawn weights of Adam": 2e-4,  # its first steps have the size of lr however small the gradient is
    "drawn outputs of Adam": 1e-4,
    "drawn averages": 1e-4,  # of gradients, which cancel
    "drawn loss": 5e-5,  # near 0 it has the absolute error of the logits
    "drawn gradient": 1e-4,  # of the batch that all rows are
    # against PyTorch, one pass
    "torch outputs": 1e-5,
    "torch loss": 5e-6,
    "torch gradient": 1e-5,
    "torch float64": 1e-12,
    # against Keras, up to 60 steps; Adam's first ones have the size of lr however small the gradient is
    "keras history": 1e-5,
    "keras outputs": 2e-5,
    "keras weights": 2e-5,
    "optimizer steps": 1e-5,  # a hundred of a small net, against PyTorch and Keras
    "keras step": 1e-4,  # the difference of two roundings of weights that are up to 1,000 times as large
    # the scale law with s = 255 in float64, a hundred steps
    "scale law": 1e-9,
    # float64 kernels against the reference in float64: one step, and three epochs of up to 600
    "plain step": 1e-12,
    "plain training": 1e-9,
    # permuting the samples of a batch
    "permuted": 1e-5,
}

WORST: dict[str, float] = {}
DROPPED: Counter[str] = Counter()
"""How many points or samples were "kept", and how many were left out because they lie on an edge."""


def error(got: object, want: object, name: str = "") -> float:
    """The norm-wise relative error; raises AssertionError where shapes, finiteness or exact zeros differ."""
    a, b = np.asarray(got), np.asarray(want)
    if a.shape != b.shape:
        raise AssertionError(f"{name}: shape {a.shape}, expected {b.shape}")
    if a.size == 0:
        raise AssertionError(f"{name}: nothing to compare, shape {a.shape}")
    a, b = a.astype(np.float64), b.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise AssertionError(f"{name}: nan or infinity (got {a.ravel()[:4]}..., expected {b.ravel()[:4]}...)")
    size = np.linalg.norm(b)
    if size == 0:
        if a.any():
            raise AssertionError(f"{name}: expected all zeros, got up to {abs(a).max():g}")
        return 0.0
    return float(np.linalg.norm(a - b) / size)


def check(what: str, got: object, want: object, name: str = "") -> None:
    """Raise AssertionError unless got = want within TOLERANCES[what]; remember the error."""
    allowed, seen = TOLERANCES[what], error(got, want, f"{what} {name}")
    if not seen <= allowed:
        raise AssertionError(f"{what} {name}: norm-wise error {seen:.3g}, at most {allowed:g} allowed")
    WORST[what] = max(WORST.get(what, 0.0), seen)


def check_named(what: str, got: object, want: object, name: str = "") -> None:
    """``check`` for each tensor of two ``Parameters``-like objects (``named()`` gives name and array)."""
    for (label, a), (expected, b) in zip(got.named(), want.named(), strict=True):
        if label != expected:
            raise AssertionError(f"{what} {name}: {label} where {expected} belongs")
        check(what, a, b, f"{label} {name}")


def digest(*arrays: object) -> str:
    """sha256 of the bytes, types and shapes of arrays: equal where every bit is."""
    sha = hashlib.sha256()
    for array in arrays:
        a = np.ascontiguousarray(array)
        sha.update(f"{a.dtype.str}{a.shape}".encode() + a.tobytes())
    return sha.hexdigest()
