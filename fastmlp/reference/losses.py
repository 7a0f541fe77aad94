"""Losses of rows of logits, in one table: values, and deltas at the logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.losses import clip_bounds

Array = NDArray[Any]


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


def loss_and_delta(delta: Array, logits: Array, y: Array, loss: str) -> tuple[Array, int, int]:
    """Losses (B,), samples right, samples live; and delta (B, K) = B times dLoss/dlogits."""
    return LOSSES[loss.partition(":")[0]](delta, logits, y, loss)


def softmax_cross_entropy(delta: Array, logits: Array, y: Array, loss: str) -> tuple[Array, int, int]:
    """Losses (B,), samples right, samples live; and delta (B, K) = B times dLoss/dlogits.

    logits: loss = logsumexp(logits) - logit_true, delta = p - t, every sample live.
    clip:   loss = -log(clip(p_true, LO, HI)), delta = p - t where LO <= p_true <= HI, else 0.
    """
    samples = np.arange(len(logits))
    correct = int((logits.argmax(axis=1) == y).sum())
    largest, total = softmax(delta, logits)
    p_true = delta[samples, y]
    delta[samples, y] -= 1
    bounds = clip_bounds(loss)
    if bounds is None:
        return np.log(total) + largest - logits[samples, y], correct, len(logits)
    low, high = (delta.dtype.type(bound) for bound in bounds)
    live = (low <= p_true) & (p_true <= high)
    delta[~live] = 0
    return -np.log(np.clip(p_true, low, high)), correct, int(live.sum())


def squared_error(delta: Array, logits: Array, y: Array, loss: str) -> tuple[Array, int, int]:
    """Losses (B,), 0 samples right, all live; and delta (B, K) = logits - y. y (B, K) are numbers."""
    np.subtract(logits, y, out=delta)
    return (delta * delta).sum(axis=1) / 2, 0, len(logits)


# By the first word of a loss: the function that fills delta and returns losses, samples right, samples live.
LOSSES: dict[str, Callable[[Array, Array, Array, str], tuple[Array, int, int]]] = {
    "logits": softmax_cross_entropy,
    "clip": softmax_cross_entropy,
    "keras2": softmax_cross_entropy,
    "squared": squared_error,
}
