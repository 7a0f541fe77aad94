"""Batch norm in training: the sums over a batch that a layer's next step needs.

A net without it takes each sample through all layers and back at once. Here all members must have a layer's
sums before any goes on: so the first part of a step has *phases* (``phases_of``), and barriers between them.
A sum over the batch is one over each chunk of CHUNK samples, by whoever has them, then over the chunks in
their order, by each member for itself: so nobody waits twice, and there is one order.

The loops are one plug-in, as whoever has the word needs nearly all of them. Prediction needs none: fold.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.intrinsics import shifted
from fastmlp.kernels.jit import device
from fastmlp.kernels.plug_ins import FLOATS, INT, NOTHING, PlugIn, caller, kind
from fastmlp.net import Norm, Parameters
from fastmlp.words.layers import PLACES, Layer

Int64 = NDArray[np.int64]

CHUNK = 8  # samples
FROM_INPUTS, NOWHERE = -1, -2  # of a phase, in place of a layer
BEFORE, AFTER = 1, 2  # places of a batch norm and its layer's activation; 0: none
PARTS = MEASURE, SETTLE, NORMALISE, ADD_UP, SETTLE_BACK, GO_BACK, TRACK = tuple(map(np.int64, range(7)))
"""What ``batch_norm`` does; as they are not literal, one function serves all."""
STATISTICS = 5  # rows of a layer's: mean, variance, 1 / sqrt(variance + epsilon), dgamma, dbeta
_ZERO, _ONE = np.float32(0), np.float32(1)


class Norms(NamedTuple):
    """The batch norms of a net in training.

    phases (n_phases, 4): the layers from and to which each goes forward, the first FROM_INPUTS, then those
        from and to which it goes back; NOWHERE: it does not.
    unit: samples of a batch are parted among members at multiples of it.
    code: the place of the plug-in; 0 for nets without.
    place (depth,): of each layer: BEFORE, AFTER or 0. words (depth, 3): momentum, epsilon, unbiased.
    stride, width (depth,): of a layer's rows in acts, and of its own arrays here, without the padding.
    begin (depth,): where a layer begins in an array with a row of each; as many times as far on in others:
        x has (z - mean) / sqrt(variance + epsilon) of B samples; sums 4 rows for each chunk, first all those
        forward, then those on the way back; a member's scratch STATISTICS; running has mean and variance.
    """

    phases: Int64
    n_phases: int
    unit: int
    code: int
    place: Int64
    words: NDArray[np.float32]
    stride: Int64
    width: Int64
    begin: Int64
    B: int
    x: NDArray[np.float32]
    sums: NDArray[np.float32]
    running: NDArray[np.float32]


def phases_of(place: Int64) -> Int64:
    """Norms.phases of a net with batch norms at those places: forward from norm to norm, and back."""
    last, at = len(place) - 1, np.flatnonzero(place).tolist()
    forward = list(zip([FROM_INPUTS, *at], [*at, last], strict=True))
    back = list(zip([last, *at[::-1]], [*at[::-1], 0], strict=True))
    none = [(NOWHERE, NOWHERE)] * len(at)
    both = zip([*forward, *none], [*none, *back], strict=True)
    return np.array([[*there, *again] for there, again in both], np.int64)


@device
def sums_at(norms, layer):
    """The begin of a layer's sums of chunks."""
    return 4 * ((norms.B + CHUNK - 1) // CHUNK) * norms.begin[layer]


def _measure(norms, own, theta, z, layer, lo, hi, n):
    """Mean, and sum of squared differences from it, of each chunk of samples lo..hi - 1."""
    width, stride = norms.width[layer], norms.stride[layer]
    for first in range(lo, hi, CHUNK):
        end = min(first + CHUNK, n)
        mean = shifted(norms.sums, sums_at(norms, layer) + first // CHUNK * 2 * width)
        spread, share = shifted(mean, width), _ONE / np.float32(end - first)
        for j in range(width):
            mean[j], spread[j] = _ZERO, _ZERO
        for b in range(first, end):
            row = shifted(z, b * stride)
            for j in range(width):
                mean[j] += row[j]
        for j in range(width):
            mean[j] *= share
        for b in range(first, end):
            row = shifted(z, b * stride)
            for j in range(width):
                d = row[j] - mean[j]
                spread[j] += d * d


def _settle(norms, own, theta, z, layer, lo, hi, n):
    """Statistics of the batch, from those of its chunks (Chan, Golub and LeVeque 1983)."""
    width, chunks, share = norms.width[layer], (n + CHUNK - 1) // CHUNK, _ONE / np.float32(n)
    mean, variance, inverse = own, shifted(own, width), shifted(own, 2 * width)
    for j in range(width):
        mean[j], variance[j] = _ZERO, _ZERO
    for c in range(chunks):
        size = np.float32(min(CHUNK, n - c * CHUNK)) * share
        part = shifted(norms.sums, sums_at(norms, layer) + c * 2 * width)
        for j in range(width):
            mean[j] += size * part[j]
    for c in range(chunks):
        size = np.float32(min(CHUNK, n - c * CHUNK))
        part = shifted(norms.sums, sums_at(norms, layer) + c * 2 * width)
        for j in range(width):
            d = part[j] - mean[j]
            variance[j] += part[width + j] + size * (d * d)
    epsilon = norms.words[3 * layer + 1]
    for j in range(width):
        variance[j] *= share
        inverse[j] = _ONE / math.sqrt(variance[j] + epsilon)


def _normalise(norms, own, theta, z, layer, lo, hi, n):
    """x, and z = gamma x + beta, of samples lo..hi - 1; theta begins at gamma."""
    width, stride = norms.width[layer], norms.stride[layer]
    beta, inverse = shifted(theta, stride), shifted(own, 2 * width)
    for b in range(lo, hi):
        row, x = shifted(z, b * stride), shifted(norms.x, norms.B * norms.begin[layer] + b * width)
        for j in range(width):
            x[j] = (row[j] - own[j]) * inverse[j]
            row[j] = theta[j] * x[j] + beta[j]


def _add_up(norms, own, theta, delta, layer, lo, hi, n):
    """The sums of delta x and of delta, of each chunk of samples lo..hi - 1."""
    width, chunks = norms.width[layer], (n + CHUNK - 1) // CHUNK
    for first in range(lo, hi, CHUNK):
        dgamma = shifted(norms.sums, sums_at(norms, layer) + (chunks + first // CHUNK) * 2 * width)
        dbeta = shifted(dgamma, width)
        for j in range(width):
            dgamma[j], dbeta[j] = _ZERO, _ZERO
        for b in range(first, min(first + CHUNK, n)):
            row = shifted(delta, b * norms.stride[layer])
            x = shifted(norms.x, norms.B * norms.begin[layer] + b * width)
            for j in range(width):
                dgamma[j] += row[j] * x[j]
                dbeta[j] += row[j]


def _settle_back(norms, own, theta, delta, layer, lo, hi, n):
    """The gradients of gamma and beta."""
    width, chunks = norms.width[layer], (n + CHUNK - 1) // CHUNK
    both = shifted(own, 3 * width)
    for j in range(2 * width):
        both[j] = _ZERO
    for c in range(chunks):
        part = shifted(norms.sums, sums_at(norms, layer) + (chunks + c) * 2 * width)
        for j in range(2 * width):
            both[j] += part[j]


def _go_back(norms, own, theta, delta, layer, lo, hi, n):
    """delta = gamma / sqrt(variance + epsilon) (delta - dbeta / n - x dgamma / n), of samples lo..hi - 1."""
    width, share = norms.width[layer], _ONE / np.float32(n)
    inverse, dgamma, dbeta = shifted(own, 2 * width), shifted(own, 3 * width), shifted(own, 4 * width)
    for b in range(lo, hi):
        row = shifted(delta, b * norms.stride[layer])
        x = shifted(norms.x, norms.B * norms.begin[layer] + b * width)
        for j in range(width):
            rest = row[j] - share * dbeta[j] - x[j] * (share * dgamma[j])
            row[j] = theta[j] * inverse[j] * rest


def _track(norms, own, theta, z, layer, lo, hi, n):
    """The running mean and variance move towards those of the batch."""
    width, keep = norms.width[layer], norms.words[3 * layer]
    running, more = shifted(norms.running, 2 * norms.begin[layer]), _ONE
    if norms.words[3 * layer + 2] > _ZERO and n > 1:
        more = np.float32(n) / np.float32(n - 1)
    for j in range(width):
        running[j] = keep * running[j] + (_ONE - keep) * own[j]
        running[width + j] = keep * running[width + j] + (_ONE - keep) * (more * own[width + j])


_measured, _settled, _normalised = device(_measure), device(_settle), device(_normalise)
_added, _settled_back, _gone_back, _tracked = (
    device(_add_up), device(_settle_back), device(_go_back), device(_track)
)  # fmt: skip


def _batch_norm(what, norms, own, theta, values, layer, lo, hi, n):
    if what == MEASURE:
        _measured(norms, own, theta, values, layer, lo, hi, n)
    elif what == SETTLE:
        _settled(norms, own, theta, values, layer, lo, hi, n)
    elif what == NORMALISE:
        _normalised(norms, own, theta, values, layer, lo, hi, n)
    elif what == ADD_UP:
        _added(norms, own, theta, values, layer, lo, hi, n)
    elif what == SETTLE_BACK:
        _settled_back(norms, own, theta, values, layer, lo, hi, n)
    elif what == GO_BACK:
        _gone_back(norms, own, theta, values, layer, lo, hi, n)
    else:
        _tracked(norms, own, theta, values, layer, lo, hi, n)


_NO_PLACES, _NONE = np.empty(0, np.int64), np.empty(0, np.float32)
NO_NORMS = Norms(
    phases=np.empty((0, 4), np.int64), n_phases=1, unit=1, code=0, place=_NO_PLACES, words=_NONE,
    stride=_NO_PLACES, width=_NO_PLACES, begin=_NO_PLACES, B=0, x=_NONE, sums=_NONE, running=_NONE,
)  # fmt: skip

BATCH_NORM = kind(NOTHING, INT, NO_NORMS, FLOATS, FLOATS, FLOATS, INT, INT, INT, INT)
batch_norm = caller(BATCH_NORM)
"""batch_norm(norms.code, what, norms, own, theta, values, layer, lo, hi, n): one of PARTS, for samples
lo..hi - 1 of n, or for all.

own: a member's statistics of the layer. theta begins at its gamma, values at its first sample's z or delta.
"""

_PLUG_IN = PlugIn("batch_norm", _batch_norm, BATCH_NORM)


def norms_of(
    layers: tuple[Layer, ...], norms: tuple[Norm | None, ...], stride: Int64, width: Int64, B: int
) -> Norms:
    """The Norms of a training of those hidden layers in batches of at most B; norms: the net's own.

    stride, width (depth,): as there.
    """
    words = [layer.batch_norm for layer in layers]
    place = np.array([0 if word is None else 1 + PLACES.index(word.place) for word in words] + [0], np.int64)
    phases, width, chunks = phases_of(place), width * (place > 0), -(-B // CHUNK)
    if not place.any():
        return NO_NORMS._replace(phases=phases, place=place)
    begins = np.concatenate([[0], np.cumsum(width)]).astype(np.int64)
    running = np.zeros(2 * begins[-1], np.float32)
    for norm, begin, each in zip(norms, begins, width, strict=False):
        if norm is not None:
            running[2 * begin :][: len(norm.mean)] = norm.mean
            running[2 * begin + each :][: len(norm.mean)] = norm.variance
    numbers = [(word.momentum, word.epsilon, word.unbiased) if word else (0, 1, 0) for word in (*words, None)]
    return Norms(
        phases=phases, n_phases=len(phases), unit=CHUNK, code=_PLUG_IN.place, place=place,
        words=np.array(numbers, np.float32).reshape(-1), stride=stride, width=width, begin=begins[:-1], B=B,
        x=np.zeros(B * begins[-1], np.float32), sums=np.zeros(4 * chunks * begins[-1], np.float32),
        running=running,
    )  # fmt: skip


def running_pairs(norms: Norms, parameters: Parameters) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Each running mean and variance of the parameters, and its place, first."""
    for norm, at, width in zip(parameters.norms, 2 * norms.begin, norms.width, strict=False):
        if norm is not None:
            yield norms.running[at:][: len(norm.mean)], norm.mean
            yield norms.running[at + width :][: len(norm.mean)], norm.variance
