"""Losses: from rows of outputs to losses and deltas, and to predictions. Nothing here knows of layers.

A *head* does the first for some rows: HEADS is the table of them, and ``head`` calls the one that a Loss
names. A *link* does the second: LINKS is their table, and ``predictions`` calls one of them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.finite import is_finite
from fastmlp.kernels.jit import device
from fastmlp.kernels.maths import exp, log1p, sigmoid
from fastmlp.kernels.matmul import WORD
from fastmlp.kernels.plug_ins import BOOL, FLOAT, FLOATS, INT, INTS, NOTHING, PlugIn, caller, kind

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_INFINITY = np.float32(np.inf)
_0, _WORD = np.int64(0), np.int64(WORD)  # not literal: Numba compiles a function anew for those


class Loss(NamedTuple):
    """The targets of the rows of X (N, D), and the distance from them.

    head: the place of its plug-in, of HEADS. y (N,): classes; or targets (N K), ``shared``. weights (N,): how
    much each row counts, where ``weighted``. clipped, low, high: the clip on probabilities. kept, spread: a
    smoothed target t is kept t + spread. most: the cap on minus a logarithm. number: huber's. of_loss,
    of_slope: factors of the sum of a row's distances, and of their slopes.
    """

    head: int
    y: NDArray[np.int64]
    targets: NDArray[Any]
    shared: bool
    weighted: bool
    weights: NDArray[Any]
    clipped: bool
    low: np.floating[Any]
    high: np.floating[Any]
    kept: np.floating[Any]
    spread: np.floating[Any]
    most: np.floating[Any]
    number: np.floating[Any]
    of_loss: np.floating[Any]
    of_slope: np.floating[Any]


_NO_ROWS, _NONE = np.empty(0, np.int64), np.empty(0, np.float32)
NO_LOSS = Loss(
    head=0, y=_NO_ROWS, targets=_NONE, shared=False, weighted=False, weights=_NONE, clipped=False, low=_ZERO,
    high=_ONE, kept=_ONE, spread=_ZERO, most=_INFINITY, number=_ZERO, of_loss=_ONE, of_slope=_ONE,
)  # fmt: skip
_DOUBLES: dict[str, Any] = {
    **{name: np.float64(x) for name, x in NO_LOSS._asdict().items() if isinstance(x, np.float32)},
    **dict.fromkeys(("targets", "weights"), np.empty(0)),
}
NO_LOSS64 = NO_LOSS._replace(**_DOUBLES)


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
        error = capped(np.float32(math.log(np.float64(total))) + largest - logit, loss.most)
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


@device
def share_of(loss, row, K, k):
    """The share of class k in that row's target."""
    t = loss.targets[row * K + k] if loss.shared else np.float32(loss.y[row] == k)
    return loss.kept * t + loss.spread


def shares_head(loss, losses, deltas, logits, stride, K, p, rows, n, inverse):
    """Cross-entropy against shares t of the classes, or smoothed ones: delta = p (sum of t) - t times the
    row's share of the batch, without the t that the clip cuts off.
    """
    correct, alive, good = 0, 0, True
    softmax(p, _WORD, logits, stride, n, K)
    for b in range(n):
        row, at = rows[b], b * stride
        own = loss.weights[row] if loss.weighted else _ONE
        whole = np.float32(math.log(np.float64(p[K * _WORD + b]))) + p[(K + 1) * _WORD + b]
        error, mass, most, label = _ZERO, _ZERO, share_of(loss, row, K, _0), _0
        for k in range(K):
            t, q = share_of(loss, row, K, k), p[k * _WORD + b]
            if t > most:
                most, label = t, k
            live, term = True, capped(whole - logits[at + k], loss.most)
            if loss.clipped:
                live = loss.low <= q <= loss.high
                term = -np.float32(math.log(np.float64(clipped(q, loss.low, loss.high))))
            if t > _ZERO:
                error += t * term
            deltas[at + k] = t if live else _ZERO
            mass += deltas[at + k]
        share = own * inverse
        for k in range(K):
            deltas[at + k] = (p[k * _WORD + b] * mass - deltas[at + k]) * share
        for k in range(K, stride):
            deltas[at + k] = _ZERO
        losses[b] = own * error
        correct += p[(K + 2) * _WORD + b] == np.float32(label)
        alive += mass > _ZERO or not loss.clipped
        good &= is_finite(error)
    return correct, alive, good


@device
def clipped(q, low, high):
    """q, but no less than low and no more than high; nan stays nan."""
    return low if q < low else (high if q > high else q)


@device
def capped(q, most):
    """q, but no more than most; what is not finite stays."""
    return most if most < q < _INFINITY else q


def binary_head(loss, losses, deltas, logits, stride, K, p, rows, n, inverse):
    """The mean or sum over K labels t of -t log(p) - (1 - t) log(1 - p), p = sigmoid(logit): delta = p - t
    times the row's share of the batch (and 1 / K), or 0 where the clip holds.
    """
    correct, alive, good = 0, n * K, True
    for b in range(n):
        own, at, target_at, total = _ONE, b * stride, rows[b] * K, _ZERO
        if loss.weighted:
            own = loss.weights[rows[b]]
        share = own * inverse * loss.of_slope
        for k in range(K):
            z, t = logits[at + k], loss.kept * loss.targets[target_at + k] + loss.spread
            small, above = exp(-abs(z)), z > _ZERO
            p[k] = (_ONE - t if above else t) * capped(abs(z), loss.most) + log1p(small)
            deltas[at + k] = share * ((_ONE if above else small) / (_ONE + small) - t)
        if loss.clipped:
            for k in range(K):
                q, t = sigmoid(logits[at + k]), loss.kept * loss.targets[target_at + k] + loss.spread
                if not loss.low <= q <= loss.high:
                    cut = np.float64(clipped(q, loss.low, loss.high))
                    p[k] = np.float32(-t * math.log(cut) - (_ONE - t) * math.log(1 - cut))
                    deltas[at + k] = _ZERO
                    alive -= 1
        for k in range(K):
            total += p[k]
            correct += (logits[at + k] > _ZERO) == (loss.targets[target_at + k] > _HALF)
        for k in range(K, stride):
            deltas[at + k] = _ZERO
        error = total * loss.of_loss
        losses[b] = own * error
        good &= is_finite(error)
    return correct, alive, good


def _of_distances(measure):
    """The head of a sum over outputs of distances from numbers: ``measure`` gives each, and its slope."""

    def head(loss, losses, deltas, logits, stride, K, p, rows, n, inverse):
        good = True
        for b in range(n):
            own, at, target_at, total = _ONE, b * stride, rows[b] * K, _ZERO
            if loss.weighted:
                own = loss.weights[rows[b]]
            share = own * inverse * loss.of_slope
            for k in range(K):
                distance, slope = measure(logits[at + k], loss.targets[target_at + k], loss.number)
                total += distance
                deltas[at + k] = share * slope
            for k in range(K, stride):
                deltas[at + k] = _ZERO
            error = total * loss.of_loss
            losses[b] = own * error
            good &= is_finite(error)
        return 0, n, good

    return head


@device
def _squared(z, y, number):
    error = z - y
    return error * error, error


@device
def _absolute(z, y, number):
    error = z - y
    slope = _ONE if error > _ZERO else (-_ONE if error < _ZERO else _ZERO)
    return abs(error), slope


@device
def _huber(z, y, number):
    error = z - y
    near = min(abs(error), number)
    return near * (abs(error) - near * _HALF), clipped(error, -number, number)


@device
def _poisson(z, y, number):
    rate = exp(z)
    return rate - y * z, rate - y


@device
def _deviance(z, y, number):
    slope = exp(z) - y
    log = np.float32(math.log(np.float64(y))) if y > _ZERO else _ZERO  # 0 log(0) is 0
    return y * (log - z) + slope, slope


HEAD = kind((INT, INT, BOOL), NO_LOSS, FLOATS, FLOATS, FLOATS, INT, INT, FLOATS, INTS, INT, FLOAT)
head = caller(HEAD)
"""head(loss.head, loss, losses, deltas, logits, stride, K, p, rows, n, inverse): losses (n,) and deltas of n
rows.

logits: K of each, ``stride`` apart, as deltas are; n is at most WORD. rows (n,): their places in X.
inverse: 1 over the weight of the batch. Losses are times the row's own weight. p: room for ``softmax``.
Returns how many answers are right, how many have a delta, and whether all losses are finite.
"""

_FUNCTIONS = {
    "softmax": softmax_head,
    "shares": shares_head,
    "binary": binary_head,
    "squared": _of_distances(_squared),
    "absolute": _of_distances(_absolute),
    "huber": _of_distances(_huber),
    "poisson": _of_distances(_poisson),
    "half_deviance": _of_distances(_deviance),
}

HEADS = {name: PlugIn(name, function, HEAD, apart=True) for name, function in _FUNCTIONS.items()}
"""All of them: a new one is an entry here."""


def _softmax_link(out, logits, stride, K, p, step, n):
    softmax(p, step, logits, stride, n, K)
    for b in range(n):
        for k in range(K):
            out[b * K + k] = p[k * step + b]


def _of_each(function):
    """The link that takes each output alone."""

    def link(out, logits, stride, K, p, step, n):
        for b in range(n):
            for k in range(K):
                out[b * K + k] = function(logits[b * stride + k])

    return link


_identity = device(lambda z: z)

LINK = kind(NOTHING, FLOATS, FLOATS, INT, INT, FLOATS, INT, INT)
predictions = caller(LINK)
"""predictions(place, out, logits, stride, K, p, step, n): out (n K), by that link, of n rows of K outputs.

Rows are ``stride`` apart; n is at most ``step``. p: room for ``softmax``.
"""

LINKS = {
    "softmax": PlugIn("link_softmax", _softmax_link, LINK),
    "identity": PlugIn("link_identity", _of_each(_identity), LINK),
    "sigmoid": PlugIn("link_sigmoid", _of_each(sigmoid), LINK),
    "exp": PlugIn("link_exp", _of_each(exp), LINK),
}
"""What predictions may be of outputs."""
