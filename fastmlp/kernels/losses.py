"""Losses: from a row of logits to its loss and delta, by softmax and cross-entropy, or squared errors.

Knows nothing of layers: loops.py calls it with pointers and offsets.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.jit import device, inlined
from fastmlp.kernels.maths import exp
from fastmlp.kernels.simd import address

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
def exponentials(p, p_at, logits, at, n, stride, K):
    """n rows of p = exp(logit - largest logit of the row): softmax, were it divided by its sum."""
    for b in range(n):
        row = at + b * stride
        largest = logits[row]
        for k in range(1, K):
            largest = max(largest, logits[row + k])
        for k in range(stride):
            p[p_at + b * stride + k] = logits[row + k] - largest
    for j in range(n * stride):  # in one loop, so that it fills vectors
        p[p_at + j] = exp(p[p_at + j])


@device
def total_of(p, at, K):
    """The sum of K numbers, in their order."""
    total = _ZERO
    for k in range(K):
        total += p[at + k]
    return total


@device
def cross_entropy(delta, logits, at, stride, K, label, clipped, low, high, share):
    """From exponentials to delta = share * (p - t), or 0 where the clip cuts the sample off.

    Returns loss, whether the sample is live, and whether the largest logit is its label's.
    """
    total = total_of(delta, at, K)
    best, largest = 0, logits[at]
    for k in range(1, K):  # the first of equals
        if logits[at + k] > largest:
            best, largest = k, logits[at + k]
    live = True
    if clipped:
        p_true = delta[at + label] / total
        live = low <= p_true <= high
        q = low if p_true < low else (high if p_true > high else p_true)  # nan stays nan
        loss = -np.float32(math.log(np.float64(q)))  # a system's logf is not everywhere the same
    else:
        loss = np.float32(math.log(np.float64(total))) + largest - logits[at + label]
    if not live:
        share = _ZERO
    for k in range(K):
        delta[at + k] /= total
    delta[at + label] -= _ONE
    for k in range(K):
        delta[at + k] *= share
    for k in range(K, stride):
        delta[at + k] = _ZERO
    return loss, live, best == label


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
