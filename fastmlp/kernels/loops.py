"""The compiled loops: forward, softmax + cross-entropy + clip, backward, gradient + update.

Every matrix product is one of two loops over rows: ``combine`` (a sum of rows, each times a
number) and ``dots`` (rows times one vector). A step on a batch has two halves with a barrier
after each:

1. samples: a member takes its share of the batch's samples through all layers and back;
2. weights: a member takes its share of the weights' rows and adds up their gradients over all
   samples, in the order of the batch, and updates them at once.

So no cell is written by two members, and every sum has one order whatever their number.
Functions write their first arguments. Arrays and offsets as in net.py.
"""

from __future__ import annotations

import math

import numpy as np

from fastmlp.kernels.jit import device, kernel
from fastmlp.kernels.maths import activate, exp, multiply_by_derivative
from fastmlp.kernels.net import A, A_STRIDE, FAN_IN, FAN_OUT, STRIDE, TILE, W
from fastmlp.kernels.simd import LANES, fma_column, fma_row, store_scaled, store_sums, trailing_zeros, zeros
from fastmlp.kernels.team import ABORT, DONE, atomic_store, barrier

LOSS_BAD, WEIGHTS_BAD = 1, 2

_ZERO, _ONE = np.float32(0), np.float32(1)
_ALL_ONES = np.uint64(2**64 - 1)


@device
def combine(block, coefficients, offsets, first, n, matrix, column):
    """block + sum over t < n of coefficients[first + t] * matrix[offsets[first + t] + column : ...]."""
    for t in range(first, first + n):
        block = fma_row(block, coefficients[t], matrix, offsets[t] + column)
    return block


@device
def combine_into(out, at, base, base_at, alpha, coefficients, offsets, first, n, matrix, width):
    """out[at : at + width] = base[base_at : ...] + alpha * (the same sum over rows of ``width``).

    Widths are cut into blocks of up to 8 vectors, of sizes as equal as can be: more accumulators
    than that spill from 16 registers, fewer wait for each other.
    """
    vectors = width // LANES
    blocks = (vectors + 7) // 8
    c = 0
    while blocks > 0:
        size = (vectors + blocks - 1) // blocks
        if size == 8:
            s8 = combine(zeros(8), coefficients, offsets, first, n, matrix, c)
            store_scaled(out, at + c, base, base_at + c, alpha, s8)
        elif size == 7:
            s7 = combine(zeros(7), coefficients, offsets, first, n, matrix, c)
            store_scaled(out, at + c, base, base_at + c, alpha, s7)
        elif size == 6:
            s6 = combine(zeros(6), coefficients, offsets, first, n, matrix, c)
            store_scaled(out, at + c, base, base_at + c, alpha, s6)
        elif size == 5:
            s5 = combine(zeros(5), coefficients, offsets, first, n, matrix, c)
            store_scaled(out, at + c, base, base_at + c, alpha, s5)
        elif size == 4:
            s4 = combine(zeros(4), coefficients, offsets, first, n, matrix, c)
            store_scaled(out, at + c, base, base_at + c, alpha, s4)
        elif size == 3:
            s3 = combine(zeros(3), coefficients, offsets, first, n, matrix, c)
            store_scaled(out, at + c, base, base_at + c, alpha, s3)
        elif size == 2:
            s2 = combine(zeros(2), coefficients, offsets, first, n, matrix, c)
            store_scaled(out, at + c, base, base_at + c, alpha, s2)
        else:
            s1 = combine(zeros(1), coefficients, offsets, first, n, matrix, c)
            store_scaled(out, at + c, base, base_at + c, alpha, s1)
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
def decode(coefficients, offsets, first, rows, i, stride):
    """Row i of X as coefficients and offsets of the first layer's rows; returns their number."""
    start, end = rows.starts[i], rows.starts[i + 1]
    base = np.int64(0) if rows.sparse else start
    if rows.sparse:
        base = np.int64(0)
    for t in range(start, end):
        p = np.int64(rows.columns[t - base])
        coefficients[first + t - start] = (np.float32(rows.values[t]) - rows.mean[p]) * rows.factor
        offsets[first + t - start] = p * stride
    return end - start


@device
def forward(net, b, first, n, act):
    """One sample's outputs of every layer into row b of acts, from its decoded inputs."""
    last = len(net.layers) - 1
    for layer in range(last + 1):
        fan_in, fan_out = net.layers[layer, FAN_IN], net.layers[layer, FAN_OUT]
        weights, stride = net.layers[layer, W], net.layers[layer, STRIDE]
        width = net.layers[layer, A_STRIDE]
        at = net.layers[layer, A] + b * width
        if layer == 0:
            combine_into(
                net.acts, at, net.theta, fan_in * stride, _ONE,
                net.coefficients, net.offsets, first, n, net.theta, stride,
            )  # fmt: skip
        else:
            before = net.layers[layer - 1, A] + b * stride
            tiled = (fan_out + TILE - 1) // TILE * TILE
            dots_into(net.acts, at, net.acts, before, net.theta, weights, stride, tiled)
        if layer < last:
            activate(net.acts, at, fan_out, act)
            net.acts[at + fan_out] = _ONE
            net.acts[at + fan_out + 1 : at + width] = _ZERO


@device
def softmax(p, at, logits, start, K):
    """p[at : at + K] = softmax of K logits; returns their largest and the sum of exp(logit - largest)."""
    largest = logits[start]
    for k in range(1, K):
        if logits[start + k] > largest:
            largest = logits[start + k]
    total = _ZERO
    for k in range(K):
        p[at + k] = exp(logits[start + k] - largest)
        total += p[at + k]
    for k in range(K):
        p[at + k] /= total
    return largest, total


@device
def softmax_cross_entropy(delta, at, logits, start, K, label, clipped, low, high, share):
    """delta = share * (p - t), or 0 where the clip cuts the sample off; returns loss, live."""
    largest, total = softmax(delta, at, logits, start, K)
    p_true = delta[at + label]
    if clipped:
        live = low <= p_true <= high
        q = low if p_true < low else (high if p_true > high else p_true)  # nan stays nan
        loss = -np.float32(math.log(q))
    else:
        live = True
        loss = np.float32(math.log(total)) + largest - logits[start + label]
    delta[at + label] -= _ONE
    for k in range(K):
        delta[at + k] = delta[at + k] * share if live else _ZERO
    return loss, live


@device
def predicted(logits, start, K):
    """The class of the largest logit, the first of equals."""
    best = 0
    for k in range(1, K):
        if logits[start + k] > logits[start + best]:
            best = k
    return best


@device
def backward(net, b, first, act):
    """One sample's deltas of the hidden layers, from its delta at the logits (row b)."""
    for layer in range(len(net.layers) - 1, 0, -1):
        fan_in, fan_out = net.layers[layer, FAN_IN], net.layers[layer, FAN_OUT]
        weights, stride = net.layers[layer, W], net.layers[layer, STRIDE]
        at = net.layers[layer, A] + b * net.layers[layer, A_STRIDE]
        n = 0
        for k in range(fan_out):
            if net.deltas[at + k] != _ZERO:
                net.coefficients[first + n] = net.deltas[at + k]
                net.offsets[first + n] = weights + k * stride
                n += 1
        before = net.layers[layer - 1, A] + b * stride
        combine_into(
            net.deltas, before, net.nothing, 0, _ONE,
            net.coefficients, net.offsets, first, n, net.theta, stride,
        )  # fmt: skip
        multiply_by_derivative(net.deltas, before, net.acts, before, fan_in, act)
        net.deltas[before + fan_in : before + stride] = _ZERO


@device
def finite(theta, at, width):
    """Whether theta[at : at + width] holds neither nan nor infinity."""
    bad = np.int32(0)
    for j in range(at, at + width):
        bad |= np.int32(not (abs(theta[j]) <= np.float32(3.4028235e38)))
    return bad == 0


@device
def note_columns(table, mask, rows, i, b, bit, B, D):
    """File row i of X, sample b of the batch, under each of its columns."""
    start, end = rows.starts[i], rows.starts[i + 1]
    base = np.int64(0) if rows.sparse else start
    word = bit // 64 * D
    flag = np.uint64(1) << np.uint64(bit % 64)
    for t in range(start, end):
        p = np.int64(rows.columns[t - base])
        table[p * B + b] = rows.values[t]
        mask[word + p] |= flag


@device
def collect_column(coefficients, offsets, first, table, masks, words, members, p, rows, n_samples, B, D, stride):
    """The samples that have column p, in order, as coefficients and offsets of their deltas."""
    n = 0
    for m in range(members):
        sample = n_samples * m // members
        for word in range(words):
            at = (m * words + word) * D + p
            bits = masks[at]
            if bits != 0:
                masks[at] = 0
                while bits != 0:
                    b = sample + word * 64 + trailing_zeros(bits)
                    bits &= bits - np.uint64(1)
                    value = np.float32(table[p * B + b])
                    coefficients[first + n] = (value - rows.mean[p]) * rows.factor
                    offsets[first + n] = b * stride
                    n += 1
    return n


@device
def update_first_layer(target, alpha, net, rows, n_samples, table, masks, words, members, B, lo, hi, first):
    """target[row] += alpha * gradient for the first layer's rows lo..hi - 1; returns whether all is finite."""
    D, stride = net.layers[0, FAN_IN], net.layers[0, STRIDE]
    good = True
    for p in range(lo, hi):
        if p < D:
            n = collect_column(
                net.coefficients, net.offsets, first, table, masks, words, members,
                p, rows, n_samples, B, D, stride,
            )  # fmt: skip
        else:
            n = n_samples
            for b in range(n):
                net.coefficients[first + b] = _ONE
                net.offsets[first + b] = b * stride
        if n > 0:
            combine_into(
                target, p * stride, target, p * stride, alpha,
                net.coefficients, net.offsets, first, n, net.deltas, stride,
            )  # fmt: skip
            good &= finite(target, p * stride, stride)
    return good


@device
def update_deeper_layers(target, alpha, net, n_samples, member, members, first):
    """target[row] += alpha * gradient for this member's rows; returns whether all is finite."""
    good = True
    for layer in range(1, len(net.layers)):
        fan_out = net.layers[layer, FAN_OUT]
        weights, stride = net.layers[layer, W], net.layers[layer, STRIDE]
        outputs, width = net.layers[layer, A], net.layers[layer, A_STRIDE]
        inputs = net.layers[layer - 1, A]
        for k in range(fan_out * member // members, fan_out * (member + 1) // members):
            n = 0
            for b in range(n_samples):
                delta = net.deltas[outputs + b * width + k]
                if delta != _ZERO:
                    net.coefficients[first + n] = delta
                    net.offsets[first + n] = inputs + b * stride
                    n += 1
            at = weights + k * stride
            combine_into(
                target, at, target, at, alpha,
                net.coefficients, net.offsets, first, n, net.acts, stride,
            )  # fmt: skip
            good &= finite(target, at, stride)
    return good


@kernel
def epoch(
    state, member, members, target, alpha, totals, counts, bad,
    net, rows, y, order, B, act, clipped, low, high, table, masks, words, splits, losses,
):  # fmt: skip
    """One member's part of an epoch: for each batch of ``order``, target += alpha * gradient.

    target is net.theta to train, another array of its layout to leave the net as it is.
    totals (1,): sum of the samples' losses. counts (members, 8): correct, live.
    bad (members, 8): number of the batch (from 1) that went non-finite, and in what; else 0.
    """
    D, K = net.layers[0, FAN_IN], net.layers[-1, FAN_OUT]
    first = member * net.room
    mask = masks[member * words * D : (member + 1) * words * D]
    for begin in range(0, len(order), B):
        n = min(B, len(order) - begin)
        share = _ONE / np.float32(n)
        good = True
        lo, hi = n * member // members, n * (member + 1) // members
        for b in range(lo, hi):
            i = order[begin + b]
            inputs = decode(net.coefficients, net.offsets, first, rows, i, net.layers[0, STRIDE])
            note_columns(table, mask, rows, i, b, b - lo, B, D)
            forward(net, b, first, inputs, act)
            at = net.layers[-1, A] + b * net.layers[-1, A_STRIDE]
            loss, live = softmax_cross_entropy(
                net.deltas, at, net.acts, at, K, y[i], clipped, low, high, share
            )  # fmt: skip
            losses[b] = loss
            good &= abs(loss) <= np.float32(3.4028235e38)
            counts[member, 0] += predicted(net.acts, at, K) == y[i]
            counts[member, 1] += live
            backward(net, b, first, act)
        if not good:
            bad[member, 0], bad[member, 1] = begin // B + 1, LOSS_BAD
            atomic_store(state, ABORT, 1)
        if not barrier(state, members):
            return
        if member == 0:
            for b in range(n):
                totals[0] += losses[b]
        good = update_first_layer(
            target, alpha, net, rows, n, table, masks, words, members, B, splits[member], splits[member + 1], first
        )
        good &= update_deeper_layers(target, alpha, net, n, member, members, first)
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
    N, K = len(rows.starts) - 1, net.layers[-1, FAN_OUT]
    first = member * net.room
    for i in range(N * member // members, N * (member + 1) // members):
        if i % 64 == 0 and state[ABORT] != 0:
            return
        b = i if keep else member
        inputs = decode(net.coefficients, net.offsets, first, rows, i, net.layers[0, STRIDE])
        forward(net, b, first, inputs, act)
        at = net.layers[-1, A] + b * net.layers[-1, A_STRIDE]
        if len(p) > 0:
            softmax(p, i * K, net.acts, at, K)
        if len(losses) > 0:
            hits[i] = predicted(net.acts, at, K) == y[i]
            losses[i], _ = softmax_cross_entropy(
                net.deltas, at, net.acts, at, K, y[i], clipped, low, high, _ONE
            )  # fmt: skip


@kernel
def find_active(state, member, members, active, net, rows, act):
    """Mark the units that are not 0 for some row: active (members, stride of acts), laid out as a row of acts.

    A member stops as soon as all of its units are marked.
    """
    N, hidden = len(rows.starts) - 1, len(net.layers) - 1
    first = member * net.room
    missing = np.int64(0)
    for layer in range(hidden):
        missing += net.layers[layer, FAN_OUT]
    for i in range(N * member // members, N * (member + 1) // members):
        if missing == 0 or (i % 64 == 0 and state[ABORT] != 0):
            return
        inputs = decode(net.coefficients, net.offsets, first, rows, i, net.layers[0, STRIDE])
        forward(net, member, first, inputs, act)
        unit = 0
        for layer in range(hidden):
            at = net.layers[layer, A] + member * net.layers[layer, A_STRIDE]
            for j in range(net.layers[layer, FAN_OUT]):
                if not active[member, unit + j] and net.acts[at + j] != _ZERO:
                    active[member, unit + j] = True
                    missing -= 1
            unit += net.layers[layer, FAN_OUT]
