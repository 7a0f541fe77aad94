"""The compiled loops: forward, softmax + cross-entropy + clip, backward, gradient + update.

Every matrix product is one of two loops over rows: ``combine_into`` (a sum of rows, each times a
number) and ``dots_into`` (rows times one vector). A step on a batch has two halves with a barrier
after each:

1. samples: a member takes its share of the batch's samples through all layers and back;
2. weights: a member takes its share of the weights' rows and adds up their gradients over all
   samples, in the order of the batch, and updates them at once.

So no cell is written by two members, and every sum has one order whatever their number.
Functions write their first arguments; arrays and offsets are those of net.py.

Two habits of Numba shape the code. A tuple's array is reference-counted whenever it is taken
out, by an atomic that all threads share: entry points take each out once and pass bare arrays.
An index that might be negative stops vectorisation (18 against 2.3 ms for the same sigmoids):
offsets are made unsigned where they are used.
"""

from __future__ import annotations

import math

import numpy as np

from fastmlp.kernels.jit import device, kernel
from fastmlp.kernels.maths import activate, exp, multiply_by_derivative
from fastmlp.kernels.net import A_STRIDE, FAN_IN, FAN_OUT, STRIDE, TILE, A, W
from fastmlp.kernels.simd import (
    LANES,
    borrow,
    float_bits,
    fma_column,
    fma_row,
    prefetch,
    store_scaled,
    store_sums,
    trailing_zeros,
    zeros,
)
from fastmlp.kernels.team import ABORT, DONE, atomic_store, barrier

LOSS_BAD, WEIGHTS_BAD = 1, 2

_ZERO, _ONE = np.float32(0), np.float32(1)
_MAGNITUDE, _INFINITY = np.int32(0x7FFFFFFF), np.int32(0x7F800000)  # of a float32's bits
_LINE = 64  # bytes of a cache line
_u = np.uint64


@device
def combine_block(block, out, at, base, base_at, alpha, coefficients, offsets, first, n, matrix, column):
    """``combine_into`` for one block of columns; ``block`` is zeros of its width."""
    for t in range(n):
        block = fma_row(block, coefficients[_u(first + t)], matrix, offsets[_u(first + t)] + column)
    store_scaled(out, at + column, base, base_at + column, alpha, block)


@device
def combine_into(out, at, base, base_at, alpha, coefficients, offsets, first, n, matrix, width):
    """out[at : at + width] = base[base_at : ...] + alpha * a sum of rows of ``matrix``.

    The sum runs over t < n: coefficients[first + t] * matrix[offsets[first + t] : ... + width].
    Widths are cut into blocks of up to 8 vectors, of sizes as equal as can be: more accumulators
    than that spill from 16 registers, fewer wait for each other.
    """
    vectors = width // LANES
    blocks = (vectors + 7) // 8
    c = 0
    while blocks > 0:
        size = (vectors + blocks - 1) // blocks
        if size == 8:
            combine_block(zeros(8), out, at, base, base_at, alpha, coefficients, offsets, first, n, matrix, c)
        elif size == 7:
            combine_block(zeros(7), out, at, base, base_at, alpha, coefficients, offsets, first, n, matrix, c)
        elif size == 6:
            combine_block(zeros(6), out, at, base, base_at, alpha, coefficients, offsets, first, n, matrix, c)
        elif size == 5:
            combine_block(zeros(5), out, at, base, base_at, alpha, coefficients, offsets, first, n, matrix, c)
        elif size == 4:
            combine_block(zeros(4), out, at, base, base_at, alpha, coefficients, offsets, first, n, matrix, c)
        elif size == 3:
            combine_block(zeros(3), out, at, base, base_at, alpha, coefficients, offsets, first, n, matrix, c)
        elif size == 2:
            combine_block(zeros(2), out, at, base, base_at, alpha, coefficients, offsets, first, n, matrix, c)
        else:
            combine_block(zeros(1), out, at, base, base_at, alpha, coefficients, offsets, first, n, matrix, c)
        c += LANES * size
        vectors -= size
        blocks -= 1


@device
def dots_into(out, at, x, x_at, matrix, start, stride, rows):
    """out[at + r] = x[x_at : x_at + stride] . matrix[start + r stride : + stride], r < rows (whole tiles)."""
    for r in range(0, rows, TILE):
        block = zeros(4)
        for j in range(0, stride, LANES):
            block = fma_column(block, x, x_at + j, matrix, start + r * stride + j, stride)
        store_sums(out, at + r, block)


@device
def decode(coefficients, offsets, first, starts, columns, values, sparse, mean, factor, i, stride):
    """Row i of X as coefficients and offsets of the first layer's rows, less zeros; returns their number."""
    start, n = starts[i], 0
    base = start if sparse else 0
    for t in range(starts[i + 1] - start):
        p = np.int64(columns[_u(base + t)])
        value = np.float32(values[_u(start + t)])
        coefficients[_u(first + n)] = (value - mean[_u(p)]) * factor
        offsets[_u(first + n)] = p * stride
        n += value != mean[_u(p)]  # no branch: the next pair overwrites a zero
    return n


@device
def fetch_ahead(starts, columns, values, sparse, i):
    """Bring row i of X nearer: a shuffled row is a miss to far memory (an epoch: 148 -> 134 ms)."""
    start, end = starts[i], starts[i + 1]
    if sparse:
        for t in range(start, end, _LINE // columns.itemsize):
            prefetch(columns, t)
    for t in range(start, end, _LINE // values.itemsize):
        prefetch(values, t)


@device
def forward(acts, layers, theta, coefficients, offsets, b, first, n, act):
    """One sample's outputs of every layer into row b of acts, from its decoded inputs."""
    last = len(layers) - 1
    for layer in range(last + 1):
        fan_in, fan_out = layers[layer, FAN_IN], layers[layer, FAN_OUT]
        weights, stride = layers[layer, W], layers[layer, STRIDE]
        width = layers[layer, A_STRIDE]
        at = layers[layer, A] + b * width
        if layer == 0:
            bias = fan_in * stride
            combine_into(acts, at, theta, bias, _ONE, coefficients, offsets, first, n, theta, stride)
        else:
            before = layers[layer - 1, A] + b * stride
            tiled = (fan_out + TILE - 1) // TILE * TILE
            dots_into(acts, at, acts, before, theta, weights, stride, tiled)
        if layer < last:
            activate(acts, at, fan_out, act)
            acts[_u(at + fan_out)] = _ONE
            for j in range(fan_out + 1, width):
                acts[_u(at + j)] = _ZERO


@device
def softmax(p, at, logits, start, K):
    """p[at : at + K] = softmax of K logits; returns their largest and the sum of exp(logit - largest)."""
    largest = logits[_u(start)]
    for k in range(1, K):
        largest = max(largest, logits[_u(start + k)])
    for k in range(K):
        p[_u(at + k)] = exp(logits[_u(start + k)] - largest)
    total = _ZERO
    for k in range(K):
        total += p[_u(at + k)]
    for k in range(K):
        p[_u(at + k)] /= total
    return largest, total


@device
def softmax_cross_entropy(delta, at, logits, start, K, label, clipped, low, high, share):
    """delta = share * (p - t), or 0 where the clip cuts the sample off; returns loss, live."""
    largest, total = softmax(delta, at, logits, start, K)
    p_true = delta[_u(at + label)]
    if clipped:
        live = low <= p_true <= high
        q = low if p_true < low else (high if p_true > high else p_true)  # nan stays nan
        loss = -np.float32(math.log(q))
    else:
        live = True
        loss = np.float32(math.log(total)) + largest - logits[_u(start + label)]
    delta[_u(at + label)] -= _ONE
    if not live:
        share = _ZERO
    for k in range(K):
        delta[_u(at + k)] *= share
    return loss, live


@device
def predicted(logits, start, K):
    """The class of the largest logit, the first of equals."""
    best = 0
    for k in range(1, K):
        if logits[_u(start + k)] > logits[_u(start + best)]:
            best = k
    return best


@device
def backward(deltas, layers, theta, acts, nothing, coefficients, offsets, b, first, act):
    """One sample's deltas of the hidden layers, from its delta at the logits (row b)."""
    for layer in range(len(layers) - 1, 0, -1):
        fan_in, fan_out = layers[layer, FAN_IN], layers[layer, FAN_OUT]
        weights, stride = layers[layer, W], layers[layer, STRIDE]
        at = layers[layer, A] + b * layers[layer, A_STRIDE]
        n = 0
        for k in range(fan_out):
            delta = deltas[_u(at + k)]
            if delta != _ZERO:
                coefficients[_u(first + n)] = delta
                offsets[_u(first + n)] = weights + k * stride
                n += 1
        before = layers[layer - 1, A] + b * stride
        combine_into(deltas, before, nothing, 0, _ONE, coefficients, offsets, first, n, theta, stride)
        multiply_by_derivative(deltas, before, acts, before, fan_in, act)
        for j in range(fan_in, stride):
            deltas[_u(before + j)] = _ZERO


@device
def finite(theta, at, width):
    """Whether theta[at : at + width] holds neither nan nor infinity."""
    largest = np.int32(0)
    for j in range(width):
        largest = max(largest, float_bits(theta[_u(at + j)]) & _MAGNITUDE)
    return largest < _INFINITY


@device
def note_columns(table, at, masks, masks_at, starts, columns, values, sparse, mean, i, s, S):
    """File row i of X, a member's sample s < S of this batch, under each of its columns.

    The value goes to table[at + column S + s], and where the input is not 0, bit s of
    masks[masks_at + column ...] is set. A member writes in its own part of both: two that share a
    cache line wait for it.
    """
    start = starts[i]
    base = start if sparse else 0
    bit = _u(s % 64)
    for t in range(starts[i + 1] - start):
        p = np.int64(columns[_u(base + t)])
        value = values[_u(start + t)]
        table[_u(at + p * S + s)] = value
        masks[_u(masks_at + p)] |= _u(np.float32(value) != mean[_u(p)]) << bit


@device
def update_first_layer(
    target, alpha, coefficients, offsets, masks, layers, deltas, mean, factor, table,
    S, words, members, n_samples, lo, hi, first,
):  # fmt: skip
    """target[row] += alpha * gradient for the first layer's rows lo..hi - 1; returns whether all is finite.

    The samples of a column are those whose bits are set in its masks, which are cleared.
    """
    D, stride = layers[0, FAN_IN], layers[0, STRIDE]
    good = True
    for p in range(lo, hi):
        n = 0
        if p < D:
            for m in range(members):
                begin = n_samples * m // members
                for word in range(words):
                    masks_at = _u((m * words + word) * D + p)
                    bits = masks[masks_at]
                    if bits != 0:
                        masks[masks_at] = 0
                        while bits != 0:
                            s = word * 64 + trailing_zeros(bits)
                            bits &= bits - _u(1)
                            value = np.float32(table[_u((m * D + p) * S + s)])
                            coefficients[_u(first + n)] = (value - mean[p]) * factor
                            offsets[_u(first + n)] = (begin + s) * stride
                            n += 1
        else:  # the bias is the weight of a 1 in every sample
            for b in range(n_samples):
                coefficients[_u(first + b)] = _ONE
                offsets[_u(first + b)] = b * stride
            n = n_samples
        if n > 0:
            row = p * stride
            combine_into(target, row, target, row, alpha, coefficients, offsets, first, n, deltas, stride)
            good &= finite(target, row, stride)
    return good


@device
def update_deeper_layers(
    target, alpha, coefficients, offsets, layers, acts, deltas, n_samples, member, members, first
):  # fmt: skip
    """target[row] += alpha * gradient for this member's rows; returns whether all is finite."""
    good = True
    for layer in range(1, len(layers)):
        fan_out = layers[layer, FAN_OUT]
        weights, stride = layers[layer, W], layers[layer, STRIDE]
        outputs, width = layers[layer, A], layers[layer, A_STRIDE]
        inputs = layers[layer - 1, A]
        for k in range(fan_out * member // members, fan_out * (member + 1) // members):
            n = 0
            for b in range(n_samples):
                delta = deltas[_u(outputs + b * width + k)]
                if delta != _ZERO:
                    coefficients[_u(first + n)] = delta
                    offsets[_u(first + n)] = inputs + b * stride
                    n += 1
            row = weights + k * stride
            combine_into(target, row, target, row, alpha, coefficients, offsets, first, n, acts, stride)
            good &= finite(target, row, stride)
    return good


@kernel
def epoch(
    state, member, members, target, alpha, totals, counts, bad,
    net, rows, y, order, B, act, clipped, low, high, table, S, masks, words, splits, losses,
):  # fmt: skip
    """One member's part of an epoch: for each batch of ``order``, target += alpha * gradient.

    target is net.theta to train, another array of its layout to leave the net as it is.
    totals (1,): sum of the samples' losses. counts (members, 8): correct, live.
    bad (members, 8): number of the batch (from 1) that went non-finite, and in what; else 0.
    """
    layers, theta, acts, deltas = borrow(net.layers), borrow(net.theta), borrow(net.acts), borrow(net.deltas)
    nothing, coefficients, offsets = borrow(net.nothing), borrow(net.coefficients), borrow(net.offsets)
    starts, columns, values, mean = (
        borrow(rows.starts),
        borrow(rows.columns),
        borrow(rows.values),
        borrow(rows.mean),
    )
    target, table, masks = borrow(target), borrow(table), borrow(masks)
    sparse, factor, first = rows.sparse, rows.factor, member * net.room
    D, width, K = layers[0, FAN_IN], layers[0, STRIDE], layers[-1, FAN_OUT]
    for begin in range(0, len(order), B):
        n = min(B, len(order) - begin)
        share = _ONE / np.float32(n)
        good, correct, alive = True, 0, 0
        lo, hi = n * member // members, n * (member + 1) // members
        for b in range(lo, hi):
            i, label = order[begin + b], y[order[begin + b]]
            if begin + b + 2 < len(order):
                fetch_ahead(starts, columns, values, sparse, order[begin + b + 2])
            inputs = decode(
                coefficients, offsets, first, starts, columns, values, sparse, mean, factor, i, width
            )
            note_columns(
                table, member * D * S, masks, (member * words + (b - lo) // 64) * D,
                starts, columns, values, sparse, mean, i, b - lo, S,
            )  # fmt: skip
            forward(acts, layers, theta, coefficients, offsets, b, first, inputs, act)
            at = layers[-1, A] + b * layers[-1, A_STRIDE]
            loss, live = softmax_cross_entropy(deltas, at, acts, at, K, label, clipped, low, high, share)
            losses[b] = loss
            good &= (float_bits(loss) & _MAGNITUDE) < _INFINITY
            correct += predicted(acts, at, K) == label
            alive += live
            backward(deltas, layers, theta, acts, nothing, coefficients, offsets, b, first, act)
        counts[member, 0] += correct
        counts[member, 1] += alive
        if not good:
            bad[member, 0], bad[member, 1] = begin // B + 1, LOSS_BAD
            atomic_store(state, ABORT, 1)
        if not barrier(state, members):
            return
        if member == 0:
            for b in range(n):
                totals[0] += losses[b]
        good = update_first_layer(
            target, alpha, coefficients, offsets, masks, layers, deltas, mean, factor, table,
            S, words, members, n, splits[member], splits[member + 1], first,
        )  # fmt: skip
        good &= update_deeper_layers(
            target, alpha, coefficients, offsets, layers, acts, deltas, n, member, members, first
        )
        if not good:
            bad[member, 0], bad[member, 1] = begin // B + 1, WEIGHTS_BAD
            atomic_store(state, ABORT, 1)
        if not barrier(state, members):
            return
        if member == 0:
            atomic_store(state, DONE, begin + n)


@kernel
def infer(state, member, members, p, losses, hits, net, rows, y, act, clipped, low, high, keep):
    """One member's share of a pass over all rows: the net's answers.

    p (N K) probabilities, losses (N,), hits (N,): each is filled where it is not empty, the last
    two from the classes y (N,). ``keep`` leaves every row's outputs in acts (which must hold N).
    """
    layers, theta, acts, deltas = borrow(net.layers), borrow(net.theta), borrow(net.acts), borrow(net.deltas)
    coefficients, offsets = borrow(net.coefficients), borrow(net.offsets)
    starts, columns, values, mean = (
        borrow(rows.starts),
        borrow(rows.columns),
        borrow(rows.values),
        borrow(rows.mean),
    )
    sparse, factor, first = rows.sparse, rows.factor, member * net.room
    N, K = len(starts) - 1, layers[-1, FAN_OUT]
    for i in range(N * member // members, N * (member + 1) // members):
        if i % 64 == 0 and state[ABORT] != 0:
            return
        b = i if keep else member
        inputs = decode(
            coefficients, offsets, first, starts, columns, values, sparse, mean, factor, i, layers[0, STRIDE]
        )
        forward(acts, layers, theta, coefficients, offsets, b, first, inputs, act)
        at = layers[-1, A] + b * layers[-1, A_STRIDE]
        if len(p) > 0:
            softmax(p, i * K, acts, at, K)
        if len(losses) > 0:
            hits[i] = predicted(acts, at, K) == y[i]
            losses[i], _ = softmax_cross_entropy(deltas, at, acts, at, K, y[i], clipped, low, high, _ONE)


@kernel
def find_active(state, member, members, active, net, rows, act):
    """Mark the hidden units that are not 0 for some row in active (members, hidden units).

    A member stops as soon as it has marked all units.
    """
    layers, theta, acts = borrow(net.layers), borrow(net.theta), borrow(net.acts)
    coefficients, offsets = borrow(net.coefficients), borrow(net.offsets)
    starts, columns, values, mean = (
        borrow(rows.starts),
        borrow(rows.columns),
        borrow(rows.values),
        borrow(rows.mean),
    )
    sparse, factor, first = rows.sparse, rows.factor, member * net.room
    N, hidden, missing = len(starts) - 1, len(layers) - 1, active.shape[1]
    for i in range(N * member // members, N * (member + 1) // members):
        if missing == 0 or (i % 64 == 0 and state[ABORT] != 0):
            return
        inputs = decode(
            coefficients, offsets, first, starts, columns, values, sparse, mean, factor, i, layers[0, STRIDE]
        )
        forward(acts, layers, theta, coefficients, offsets, member, first, inputs, act)
        unit = 0
        for layer in range(hidden):
            at = layers[layer, A] + member * layers[layer, A_STRIDE]
            for j in range(layers[layer, FAN_OUT]):
                if not active[member, unit + j] and acts[at + j] != _ZERO:
                    active[member, unit + j] = True
                    missing -= 1
            unit += layers[layer, FAN_OUT]
