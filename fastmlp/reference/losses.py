"""Losses of rows of outputs z (B, K), in one table: values, and deltas at the outputs; and predictions.

Shapes of y are those that ``backends.checks.checked_targets`` returns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.reference.activations import ACTIVATIONS
from fastmlp.words.losses import Loss

Array = NDArray[Any]
Found = tuple[Array, int, int]


def softmax(p: Array, logits: Array) -> tuple[Array, Array]:
    """p (B, K) = softmax of each row of logits (B, K).

    Returns each row's largest logit and its sum of exp(logit - largest), both (B,).
    """
    largest = logits.max(axis=1)
    np.subtract(logits, largest[:, None], out=p)
    np.exp(p, out=p)
    total = p.sum(axis=1)
    p /= total[:, None]
    return largest, total


def _sigmoid(p: Array, z: Array) -> None:
    np.copyto(p, z)
    ACTIVATIONS["sigmoid"].forward(p, math.nan)


# By the link of a loss: the function that makes predictions p of outputs z.
LINKS: dict[str, Callable[[Array, Array], object]] = {
    "softmax": softmax,
    "sigmoid": _sigmoid,
    "identity": np.copyto,
    "exp": lambda p, z: np.exp(z, out=p),
}


def loss_and_delta(delta: Array, logits: Array, y: Array, loss: Loss) -> Found:
    """Losses (B,), answers right, answers live; and delta (B, K) = B times dLoss/dlogits.

    An answer is a row of classes, or of numbers, of which none is right, and each single label of ``binary``.
    """
    return LOSSES[loss.name](delta, logits, y, loss)


def softmax_cross_entropy(delta: Array, logits: Array, y: Array, loss: Loss) -> Found:
    """Cross-entropy of softmax, against class indices (B,); ``_of_shares`` where that is not all.

    logits: loss = logsumexp(logits) - logit_true, delta = p - t, every sample live.
    clip:   loss = -log(clip(p_true, LO, HI)), delta = p - t where LO <= p_true <= HI, else 0.
    """
    if y.ndim == 2 or loss.label_smoothing:
        return _of_shares(delta, logits, y, loss)
    samples = np.arange(len(logits))
    correct = int((logits.argmax(axis=1) == y).sum())
    largest, total = softmax(delta, logits)
    p_true = delta[samples, y]
    delta[samples, y] -= 1
    if loss.clip is None:
        errors = np.log(total) + largest - logits[samples, y]
        return _capped(errors, loss), correct, len(logits)
    low, high = (delta.dtype.type(bound) for bound in loss.clip)
    live = (low <= p_true) & (p_true <= high)
    delta[~live] = 0
    return -np.log(np.clip(p_true, low, high)), correct, int(live.sum())


def _capped(errors: Array, loss: Loss) -> Array:
    """Minus logarithms of probabilities, no more than the loss's cap; what is not finite stays."""
    most = loss.most(float(np.finfo(errors.dtype).eps))
    return np.where((errors > most) & (errors < math.inf), errors.dtype.type(most), errors)


def shares_of(y: Array, logits: Array, loss: Loss) -> Array:
    """The shares t (B, K) of the classes that targets mean, smoothed."""
    s, kind, t = loss.label_smoothing, logits.dtype.type, y
    if y.ndim < 2:
        t = np.zeros_like(logits)
        t[np.arange(len(y)), y] = 1
    return t * kind(1 - s) + kind(s / logits.shape[1]) if s else t


def _of_shares(delta: Array, logits: Array, y: Array, loss: Loss) -> Found:
    """Cross-entropy of softmax against shares t (B, K) of the classes, or smoothed indices.

    loss = -sum of t log(p), delta = p (sum of t) - t. A clip cuts each p by itself: t then counts as 0 in
    delta, and a sample is live where one is left.
    """
    t = shares_of(y, logits, loss)
    correct = int((logits.argmax(axis=1) == t.argmax(axis=1)).sum())
    largest, total = softmax(delta, logits)
    counts, live = t > 0, len(logits)
    if loss.clip is None:
        terms = _capped((np.log(total) + largest)[:, None] - logits, loss)
    else:
        low, high = (delta.dtype.type(bound) for bound in loss.clip)
        terms = -np.log(np.clip(delta, low, high))
    losses = np.where(counts, t * terms, 0).sum(axis=1)
    if loss.clip is not None:
        counts &= (low <= delta) & (delta <= high)
        t, live = t * counts, int(counts.any(axis=1).sum())
    delta *= t.sum(axis=1, keepdims=True)
    delta -= t
    return losses, correct, live


def binary_cross_entropy(delta: Array, logits: Array, y: Array, loss: Loss) -> Found:
    """The mean over K labels of -t log(p) - (1 - t) log(1 - p), p = sigmoid(logit): delta = (p - t) / K."""
    losses, correct, live = _of_labels(delta, logits, y, loss)
    delta *= delta.dtype.type(1 / logits.shape[1])
    return losses.mean(axis=1), correct, live


def binary_log_loss(delta: Array, logits: Array, y: Array, loss: Loss) -> Found:
    """The sum over K labels, each with its cap: delta = p - t, also beyond the cap."""
    losses, correct, live = _of_labels(delta, logits, y, loss)
    return losses.sum(axis=1), correct, live


def _of_labels(delta: Array, logits: Array, y: Array, loss: Loss) -> Found:
    """The cross-entropy of each label (B, K).

    Of logits z it is (1 - t or t, as z is over 0 or not) |z| + log(1 + exp(-|z|)), which nothing overflows.
    With a clip, p is cut to it, and delta is 0 where that changes p.
    """
    s, kind = loss.label_smoothing, delta.dtype.type
    correct, live = int(((logits > 0) == (y > kind(0.5))).sum()), y.size
    t = y * kind(1 - s) + kind(s / 2) if s else y
    size = np.abs(logits)
    losses = np.where(logits > 0, 1 - t, t) * _capped(size, loss) + np.log1p(np.exp(-size))
    _sigmoid(delta, logits)
    p = delta.copy()
    delta -= t
    if loss.clip is not None:
        cut = np.clip(p, *map(kind, loss.clip))
        losses = np.where(cut == p, losses, -t * np.log(cut) - (1 - t) * np.log1p(-cut))
        delta[cut != p] = 0
        live = int((cut == p).sum())
    return losses, correct, live


def half_squared_error(delta: Array, z: Array, y: Array, loss: Loss) -> Found:
    """The sum of (z - y)^2 / 2: delta = z - y."""
    np.subtract(z, y, out=delta)
    return (delta * delta).sum(axis=1) / 2, 0, len(z)


def half_deviance(delta: Array, z: Array, y: Array, loss: Loss) -> Found:
    """The sum of y log(y / rate) - y + rate, rate = exp(z): delta = rate - y."""
    np.exp(z, out=delta)
    logs = np.log(y, out=np.zeros_like(z), where=y > 0)  # 0 log(0) is 0
    delta -= y
    return (y * (logs - z) + delta).sum(axis=1), 0, len(z)


def _mean_of(distance: Callable[[Array, Array, Array, Loss], Array]) -> Callable[..., Found]:
    """The mean of a distance of each output z from its target y. It also fills delta by its slope."""

    def mean(delta: Array, z: Array, y: Array, loss: Loss) -> Found:
        losses = distance(delta, z, y, loss).mean(axis=1)
        delta *= delta.dtype.type(1 / z.shape[1])
        return losses, 0, len(z)

    return mean


def _squared(delta: Array, z: Array, y: Array, loss: Loss) -> Array:
    np.subtract(z, y, out=delta)
    squares: Array = delta * delta
    delta *= 2
    return squares


def _absolute(delta: Array, z: Array, y: Array, loss: Loss) -> Array:  # the slope at 0 is 0
    np.subtract(z, y, out=delta)
    sizes: Array = np.abs(delta)
    np.sign(delta, out=delta)
    return sizes


def _huber(delta: Array, z: Array, y: Array, loss: Loss) -> Array:
    np.subtract(z, y, out=delta)
    most, size = delta.dtype.type(loss.numbers[0]), np.abs(delta)
    near = np.minimum(size, most)
    np.clip(delta, -most, most, out=delta)
    losses: Array = near * (size - near / 2)
    return losses


def _poisson(delta: Array, z: Array, y: Array, loss: Loss) -> Array:
    np.exp(z, out=delta)
    losses: Array = delta - y * z
    delta -= y
    return losses


# By the name of a loss: the function that fills delta, and returns losses, answers right, answers live.
LOSSES: dict[str, Callable[[Array, Array, Array, Loss], Found]] = {
    "logits": softmax_cross_entropy,
    "keras2": softmax_cross_entropy,
    "clip": softmax_cross_entropy,
    "binary": binary_cross_entropy,
    "log_loss": softmax_cross_entropy,
    "binary_log_loss": binary_log_loss,
    "squared": _mean_of(_squared),
    "half_squared": half_squared_error,
    "absolute": _mean_of(_absolute),
    "huber": _mean_of(_huber),
    "poisson": _mean_of(_poisson),
    "half_deviance": half_deviance,
}
