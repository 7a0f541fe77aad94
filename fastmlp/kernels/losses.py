"""Losses: from a row of logits to its loss and delta, by softmax and cross-entropy, or squared errors.

Knows nothing of layers: epoch.py calls it with pointers and offsets.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.activations import exp
from fastmlp.kernels.intrinsics import address
from fastmlp.kernels.jit import device, inlined

_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)


class Loss(NamedTuple):
    """What each row of X (N, D) is to become, and how far it is from that.

    y (N,): classes. targets (N K): numbers, where ``squared``. weights (N,): how much each row counts,
    where ``weighted``. clipped, low, high: the clip on the true class's probability.
    """

    y: NDArray[np.int64]
    squared: bool
    targets: NDArray[np.float32]
    weighted: bool
    weights: NDArray[np.float32]
    clipped: bool
    low: np.float32
    high: np.float32


@inlined
def addresses_of_loss(loss):
    """The same loss, with addresses for arrays."""
    return Loss(
        address(loss.y), loss.squared, address(loss.targets), loss.weighted, address(loss.weights),
        loss.clipped, loss.low, loss.high,
    )  # fmt: skip


@device
def weight_of_batch(loss, order, begin, n):
    """By what the sum of a batch's losses is divided: its weights' sum, or n."""
    if not loss.weighted:
        return np.float32(n)
    total = _ZERO
    for b in range(begin, begin + n):
        total += loss.weights[order[b]]
    return total


@device
def softmax(p, at, step, logits, logits_at, stride, n, K):
    """Probabilities of n rows of K logits, column by column, so that all loops fill vectors.

    p (K + 3, step), the first n of each row: K probabilities of a sample; what they were divided by;
    the largest logit; its class, the first of equals.
    """
    sums, largest, best = at + K * step, at + (K + 1) * step, at + (K + 2) * step
    for b in range(n):
        for k in range(K):
            p[at + k * step + b] = logits[logits_at + b * stride + k]
        p[sums + b], p[largest + b], p[best + b] = _ZERO, p[at + b], _ZERO
    for k in range(1, K):
        column, number = at + k * step, np.float32(k)
        for b in range(n):
            is_larger = p[column + b] > p[largest + b]
            p[best + b] = number if is_larger else p[best + b]
            p[largest + b] = p[column + b] if is_larger else p[largest + b]
    for column in range(at, at + K * step, step):
        for b in range(n):
            p[column + b] = exp(p[column + b] - p[largest + b])
        for b in range(n):
            p[sums + b] += p[column + b]
    for column in range(at, at + K * step, step):
        for b in range(n):
            p[column + b] /= p[sums + b]


@device
def cross_entropy(p, at, step, K, logit, label, clipped, low, high):
    """Loss of the sample whose column of ``softmax`` begins at p[at], whether the clip lets it through,
    and whether its label, of that logit, is its most probable class.
    """
    total, largest, best = p[at + K * step], p[at + (K + 1) * step], p[at + (K + 2) * step]
    live = True
    if clipped:
        p_true = p[at + label * step]
        live = low <= p_true <= high
        q = low if p_true < low else (high if p_true > high else p_true)  # nan stays nan
        loss = -np.float32(math.log(np.float64(q)))  # a system's logf is not everywhere the same
    else:
        loss = np.float32(math.log(np.float64(total))) + largest - logit
    return loss, live, best == np.float32(label)


@device
def scaled_rows(delta, delta_at, stride, p, at, step, n, K, shares):
    """Rows of delta = the first K rows of p, turned, each sample's times its number from p[shares] on."""
    for b in range(n):
        row, share = delta_at + b * stride, p[shares + b]
        for k in range(K):
            delta[row + k] = p[at + k * step + b] * share
        for k in range(K, stride):
            delta[row + k] = _ZERO


@device
def squared_error(delta, logits, at, stride, K, targets, target_at, share):
    """delta = share * (logits - targets); returns the sum of (logits - targets)^2 / 2."""
    total = _ZERO
    for k in range(K):
        error = logits[at + k] - targets[target_at + k]
        total += error * error
        delta[at + k] = share * error
    for k in range(K, stride):
        delta[at + k] = _ZERO
    return total / _TWO
