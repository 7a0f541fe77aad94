"""Losses: from rows of logits to losses and deltas. Nothing here knows of layers.

A *head* does that for some rows: ``softmax`` for every loss of classes, cross-entropy clipped or not,
``squared`` for targets. HEADS is the table of them, and ``head`` calls the one that a Loss names.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.finite import is_finite
from fastmlp.kernels.jit import device
from fastmlp.kernels.maths import exp
from fastmlp.kernels.matmul import WORD
from fastmlp.kernels.plug_ins import BOOL, FLOAT, FLOATS, INT, INTS, PlugIn, caller, kind

_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_WORD = np.int64(WORD)  # not literal: Numba compiles a function anew for those


class Loss(NamedTuple):
    """The targets of the rows of X (N, D), and the distance from them.

    head: the place of its plug-in, of HEADS. y (N,): classes, or targets (N K). weights (N,): how much each
    row counts, where ``weighted``. clipped, low, high: the clip on the true class's probability.
    """

    head: int
    y: NDArray[np.int64]
    targets: NDArray[np.float32]
    weighted: bool
    weights: NDArray[np.float32]
    clipped: bool
    low: np.float32
    high: np.float32


_NO_ROWS, _NONE = np.empty(0, np.int64), np.empty(0, np.float32)
NO_LOSS = Loss(
    head=0, y=_NO_ROWS, targets=_NONE, weighted=False, weights=_NONE, clipped=False, low=_ZERO, high=_ONE
)


@device
def weight_of_batch(loss, order, begin, n):
    """The divisor of the sum of a batch's losses: its weights' sum, or n."""
    if not loss.weighted:
        return np.float32(n)
    total = _ZERO
    for b in range(begin, begin + n):
        total += loss.weights[order[b]]
    return total


def softmax_head(loss, losses, deltas, logits, stride, K, p, rows, n, inverse):
    """Cross-entropy: delta = (p - t) times the row's share of the batch, or 0 where the clip holds."""
    correct, alive, good = 0, 0, True
    softmax(p, _WORD, logits, stride, n, K)
    for b in range(n):
        label = loss.y[rows[b]]
        own = loss.weights[rows[b]] if loss.weighted else _ONE
        error, live, hit = cross_entropy(loss, p, b, K, logits[b * stride + label], label)
        p[label * _WORD + b] -= _ONE
        p[K * _WORD + b] = own * inverse if live else _ZERO
        losses[b] = own * error
        correct += hit
        alive += live
        good &= is_finite(error)
    for b in range(n):
        share = p[K * _WORD + b]
        for k in range(K):
            deltas[b * stride + k] = p[k * _WORD + b] * share
        for k in range(K, stride):
            deltas[b * stride + k] = _ZERO
    return correct, alive, good


@device
def cross_entropy(loss, p, b, K, logit, label):
    """Loss of sample b of ``softmax``, whether the clip lets it through, and whether its label, of that
    logit, is its most probable class.
    """
    total, largest, best = p[K * _WORD + b], p[(K + 1) * _WORD + b], p[(K + 2) * _WORD + b]
    live = True
    if loss.clipped:
        low, high, p_true = loss.low, loss.high, p[label * _WORD + b]
        live = low <= p_true <= high
        q = low if p_true < low else (high if p_true > high else p_true)  # nan stays nan
        error = -np.float32(math.log(np.float64(q)))  # a system's logf is not everywhere the same
    else:
        error = np.float32(math.log(np.float64(total))) + largest - logit
    return error, live, best == np.float32(label)


@device
def softmax(p, step, logits, stride, n, K):
    """Probabilities of n rows of K logits, column by column, so that all loops fill vectors.

    p (K + 3, step), the first n of each row: K probabilities of a sample; what they were divided by;
    the largest logit; its class, the first of equals.
    """
    sums, largest, best = K * step, (K + 1) * step, (K + 2) * step
    for b in range(n):
        for k in range(K):
            p[k * step + b] = logits[b * stride + k]
        p[sums + b], p[largest + b], p[best + b] = _ZERO, p[b], _ZERO
    for k in range(1, K):
        column, number = k * step, np.float32(k)
        for b in range(n):
            is_larger = p[column + b] > p[largest + b]
            p[best + b] = number if is_larger else p[best + b]
            p[largest + b] = p[column + b] if is_larger else p[largest + b]
    for column in range(0, K * step, step):
        for b in range(n):
            p[column + b] = exp(p[column + b] - p[largest + b])
        for b in range(n):
            p[sums + b] += p[column + b]
    for column in range(0, K * step, step):
        for b in range(n):
            p[column + b] /= p[sums + b]


def squared_head(loss, losses, deltas, logits, stride, K, p, rows, n, inverse):
    """The sum of (logits - targets)^2 / 2: delta = (logits - targets) times the row's share of the batch."""
    good = True
    for b in range(n):
        own, at, target_at, total = _ONE, b * stride, rows[b] * K, _ZERO
        if loss.weighted:
            own = loss.weights[rows[b]]
        share = own * inverse
        for k in range(K):
            error = logits[at + k] - loss.targets[target_at + k]
            total += error * error
            deltas[at + k] = share * error
        for k in range(K, stride):
            deltas[at + k] = _ZERO
        losses[b] = own * (total / _TWO)
        good &= is_finite(total / _TWO)
    return 0, n, good


HEAD = kind((INT, INT, BOOL), NO_LOSS, FLOATS, FLOATS, FLOATS, INT, INT, FLOATS, INTS, INT, FLOAT)
head = caller(HEAD)
"""head(loss.head, loss, losses, deltas, logits, stride, K, p, rows, n, inverse): losses (n,) and deltas of n
rows.

logits: K of each, ``stride`` apart, as deltas are; n is at most WORD. rows (n,): their places in X.
inverse: 1 over the weight of the batch. Losses are times the row's own weight. p: room for ``softmax``.
Returns how many classes are right, how many rows have a delta, and whether all losses are finite.
"""

HEADS = {
    "softmax": PlugIn("softmax", softmax_head, HEAD),
    "squared": PlugIn("squared", squared_head, HEAD),
}
"""All of them: a new one is an entry here."""
