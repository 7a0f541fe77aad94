"""The compiled loops: forward, loss, backward, gradient + update.

A step on a batch has two parts with a barrier after each:

1. ``samples``: a member takes its share of the batch's samples through all layers and back;
2. ``weights``: a member takes its share of the weights' rows and adds up their gradients over all
   samples, in the order of the batch, and updates them at once: by plain SGD they are added to the
   weights themselves (``target`` is theta), for other optimizers they are gathered first (``target``
   is an array of gradients), and steps.py takes the step.

Two members may instead sum the first layer's forward pass each over its own half of the inputs
(``own_half``), before 1 and in one go with 2 of the step before: the weights that a member reads are
then those that it wrote, and stay in its core's cache.

So no cell is written by two members, and every sum has one order whatever their number. All
multiplications are in products.py, losses in losses.py; arrays and offsets are those of net.py.
Functions write into ``net`` or their first arguments.

An entry point takes the ``address`` of each array first: all loops below it index pointers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.jit import device, inlined, kernel
from fastmlp.kernels.losses import (
    Loss,
    addresses_of_loss,
    cross_entropy,
    scaled_rows,
    softmax,
    squared_error,
    weight_of_batch,
)
from fastmlp.kernels.maths import activate, multiply_by_derivative
from fastmlp.kernels.net import BYTES, CSR, DENSE, Net, Rows
from fastmlp.kernels.products import WORD, add_row, depth_of, product, transpose, walk
from fastmlp.kernels.simd import address, float_bits, nonzero_bits, prefetch
from fastmlp.kernels.steps import Rule, addresses_of_rule, step_rows
from fastmlp.kernels.team import (
    ABORT,
    DONE,
    LATE,
    LEAVE,
    MOST_LATE,
    NEXT,
    STOP,
    atomic_add,
    atomic_load,
    atomic_store,
    barrier,
)

_AHEAD = 8  # samples whose rows are asked for before they are read
LOSS_BAD, WEIGHTS_BAD = 1, 2

# Numba compiles a function anew for a literal argument, such as 0: these are not literal.
_0, _1, _WORD = np.int64(0), np.int64(1), np.int64(WORD)
_LINE = 64  # bytes of a cache line
_ZERO, _ONE = np.float32(0), np.float32(1)
_MAGNITUDE, _INFINITY = np.int32(0x7FFFFFFF), np.int32(0x7F800000)  # of a float32's bits
_NO_BITS = np.uint64(0)


@inlined
def addresses_of_net(net):
    """The same net, with addresses for arrays."""
    return Net(
        net.depth, address(net.fan_in), address(net.fan_out), address(net.stride), address(net.vectors),
        address(net.w_at), address(net.a_at), address(net.m_at),
        address(net.theta), address(net.mirror), address(net.acts), address(net.deltas), address(net.zeros),
        address(net.inputs), net.input_stride, address(net.codes), address(net.bits), net.words,
        address(net.masks), address(net.shift), address(net.columns), address(net.one), net.middle,
        address(net.parts),
    )  # fmt: skip


@inlined
def addresses_of_rows(rows):
    """The same rows, with addresses for arrays."""
    return Rows(
        rows.form, address(rows.codes), address(rows.table), address(rows.values), address(rows.starts),
        address(rows.columns), rows.factor, rows.centred, address(rows.mean),
    )  # fmt: skip


@device
def gather_codes(codes, bits, source, order, N, begin, B, lo, hi, D, words, first, last):
    """Samples lo..hi - 1 of the batch: their codes side by side, and a bit for each that is not 0.

    Only the codes of words first..last - 1.
    """
    left, right = first * WORD, min(last * WORD, D)
    for b in range(lo, hi):
        start, to = order[begin + b] * D, b * words * WORD
        if begin + b + _AHEAD < N:  # a shuffled row is a miss to far memory
            for j in range(left, right, _LINE):
                prefetch(source, order[begin + b + _AHEAD] * D + j)
        for j in range(left, right):
            codes[to + j] = source[start + j]
        for w in range(first, last):
            bits[w * B + b] = nonzero_bits(codes, to + w * WORD)


@device
def gather_inputs(inputs, stride, rows, order, begin, lo, hi, D):
    """Samples lo..hi - 1 of the batch as dense rows: value * factor - mean."""
    codes, table, values, mean, factor = rows.codes, rows.table, rows.values, rows.mean, rows.factor
    for b in range(lo, hi):
        start, to = order[begin + b] * D, b * stride
        if rows.form == DENSE:
            for j in range(D):
                inputs[to + j] = values[start + j] * factor - mean[j]
        else:
            for j in range(D):
                inputs[to + j] = table[codes[start + j]] - mean[j]


@device
def bias_of(net, rows, member):
    """Where the first layer's bias row is, less mean W1 where the rows are sparse and centred.

    Centring is a rank-one correction: (x - mean) W + b = x W + (b - mean W). Returns array and offset.
    """
    D, stride, vectors = net.fan_in[0], net.stride[0], net.vectors[0]
    if not rows.centred or (rows.form != BYTES and rows.form != CSR):
        return net.theta, D * stride
    at = 2 * member * stride
    product(
        net.shift, at, stride, net.theta, D * stride, stride, -_ONE,
        rows.mean, _0, _0, _1, _1, net.theta, _0, stride, D, _WORD, vectors,
    )  # fmt: skip
    return net.shift, at


@device
def fill(out, at, n, row, row_at, stride):
    """n rows of out = that row."""
    for b in range(n):
        for j in range(stride):
            out[at + b * stride + j] = row[row_at + j]


@device
def add_words(out, at, net, rows, B, lo, hi, first, last):
    """n rows of out += gathered codes times the first layer's weights, over words first..last - 1."""
    stride, words = net.stride[0], net.words
    for w in range(first, last):
        walk(
            net.vectors[0], out, at, stride, _ONE, net.bits, w * B + lo, hi - lo,
            rows.table, net.codes, (lo * words + w) * WORD, words * WORD, _1,
            net.theta, w * WORD * stride, stride,
        )  # fmt: skip


@device
def own_half(net, rows, order, N, begin, B, n, member):
    """Member 0 or 1 sums over its half of the inputs, for all n samples of a batch, into parts."""
    D, stride, words, half = net.fan_in[0], net.stride[0], net.words, net.middle // WORD
    first, last = (half, words) if member else (0, half)
    chunk = depth_of(n)
    for lo in range(0, n, chunk):
        hi = min(lo + chunk, n)
        gather_codes(net.codes, net.bits, rows.codes, order, N, begin, B, lo, hi, D, words, first, last)
        at = (member * B + lo) * stride
        if member:
            fill(net.parts, at, hi - lo, net.theta, D * stride, stride)
        else:
            fill(net.parts, at, hi - lo, net.zeros, _0, stride)
        add_words(net.parts, at, net, rows, B, lo, hi, first, last)


@device
def first_layer(net, rows, order, N, begin, B, lo, hi, bias, bias_at, member):
    """z1 of samples lo..hi - 1 into acts.

    That is a sum over the first half of the inputs, plus one over the second half and the bias; of
    compressed rows one sum. ``bias`` is that of ``bias_of``.
    """
    D, stride, middle, n = net.fan_in[0], net.stride[0], net.middle, hi - lo
    vectors, at, acts, theta = net.vectors[0], lo * stride, net.acts, net.theta
    if rows.form == CSR:
        starts, columns, values, factor = rows.starts, rows.columns, rows.values, rows.factor
        fill(acts, at, n, bias, bias_at, stride)
        for b in range(lo, hi):
            i = order[begin + b]
            for t in range(starts[i], starts[i + 1]):
                add_row(
                    acts, b * stride, values[t] * factor,
                    theta, np.int64(columns[t]) * stride, vectors,
                )  # fmt: skip
        return
    last, last_at = acts, at
    if middle < D:
        last, last_at = net.parts, member * WORD * stride
    if rows.form == BYTES:
        words, half = net.words, (middle + WORD - 1) // WORD
        gather_codes(net.codes, net.bits, rows.codes, order, N, begin, B, lo, hi, D, words, _0, words)
        fill(last, last_at, n, bias, bias_at, stride)
        if middle < D:
            fill(acts, at, n, net.zeros, _0, stride)
            add_words(last, last_at, net, rows, B, lo, hi, half, words)
        add_words(acts, at, net, rows, B, lo, hi, _0, half)
    else:
        gather_inputs(net.inputs, net.input_stride, rows, order, begin, lo, hi, D)
        inputs, rest = lo * net.input_stride, np.int64(0)
        if middle < D:
            product(
                acts, at, stride, net.zeros, _0, _0, _ONE, net.inputs, inputs, net.input_stride, _1, n,
                theta, _0, stride, middle, _WORD, vectors,
            )  # fmt: skip
            inputs, rest = inputs + middle, middle
        product(
            last, last_at, stride, theta, D * stride, _0, _ONE, net.inputs, inputs, net.input_stride, _1, n,
            theta, rest * stride, stride, D - rest, _WORD, vectors,
        )  # fmt: skip
    if middle < D:
        for j in range(n * stride):
            acts[at + j] += last[last_at + j]


@device
def forward(net, rows, order, N, begin, B, lo, hi, act, bias, bias_at, member, halved):
    """All outputs of samples lo..hi - 1 of the batch into acts; the logits last."""
    acts = net.acts
    if halved:
        stride = net.stride[0]
        for j in range(lo * stride, hi * stride):
            acts[j] = net.parts[j] + net.parts[B * stride + j]
    else:
        first_layer(net, rows, order, N, begin, B, lo, hi, bias, bias_at, member)
    for layer in range(1, net.depth):
        fan_in, before = net.fan_in[layer], net.stride[layer - 1]
        inputs = net.a_at[layer - 1] + lo * before
        activate(acts, inputs, (hi - lo) * before, act)
        for b in range(hi - lo):
            at = inputs + b * before
            acts[at + fan_in] = _ONE
            for j in range(fan_in + 1, before):
                acts[at + j] = _ZERO
        weights, stride = net.w_at[layer], net.stride[layer]
        product(
            acts, net.a_at[layer] + lo * stride, stride, net.theta, weights + fan_in * stride, _0, _ONE,
            acts, inputs, before, _1, hi - lo, net.theta, weights, stride, fan_in, _WORD,
            net.vectors[layer],
        )  # fmt: skip


@device
def backward(net, lo, hi, act):
    """The hidden layers' deltas of samples lo..hi - 1, from their deltas at the logits."""
    deltas = net.deltas
    for layer in range(net.depth - 1, 0, -1):
        fan_out, stride, before = net.fan_out[layer], net.stride[layer], net.stride[layer - 1]
        inputs = net.a_at[layer - 1] + lo * before
        product(
            deltas, inputs, before, net.zeros, _0, _0, _ONE,
            deltas, net.a_at[layer] + lo * stride, stride, _1, hi - lo,
            net.mirror, net.m_at[layer], before, fan_out, _WORD, net.vectors[layer - 1],
        )  # fmt: skip
        multiply_by_derivative(deltas, inputs, net.acts, inputs, (hi - lo) * before, act)


@device
def finite(theta, at, width):
    """Whether theta[at : at + width] holds neither nan nor infinity."""
    largest = np.int32(0)
    for j in range(width):
        largest = max(largest, np.int32(float_bits(theta[at + j]) & _MAGNITUDE))  # else 64 bits wide
    return largest < _INFINITY


@device
def update_by_codes(target, alpha, net, rows, B, n, lo, hi, member):
    """``update_first_layer`` from gathered codes: the bits of samples, turned into bits of inputs."""
    D, stride, words = net.fan_in[0], net.stride[0], net.words
    masks, mine, depth = net.masks, member * WORD, depth_of(n)
    good = True
    for first in range(0, n, depth):
        together = min(depth, n - first)
        for w in range(lo // WORD, (min(hi, D) + WORD - 1) // WORD):
            begin, end = max(lo, w * WORD), min(hi, D, (w + 1) * WORD)
            for s in range(together):
                masks[mine + s] = net.bits[w * B + first + s]
            for s in range(together, WORD):
                masks[mine + s] = _NO_BITS
            transpose(masks, mine)
            walk(
                net.vectors[0], target, begin * stride, stride, alpha,
                masks, mine + begin - w * WORD, end - begin,
                rows.table, net.codes, first * words * WORD + begin, _1, words * WORD,
                net.deltas, first * stride, stride,
            )  # fmt: skip
            if first + depth >= n:
                good &= finite(target, begin * stride, (end - begin) * stride)
    return good


@device
def update_by_rows(target, alpha, net, rows, order, start, n, lo, hi):
    """``update_first_layer`` from compressed rows: sample by sample, into the rows of its inputs."""
    stride, starts, columns = net.stride[0], rows.starts, rows.columns
    good = True
    for b in range(n):
        i = order[start + b]
        t, end = starts[i], starts[i + 1]
        above = end
        while t < above:  # the first column from lo on
            middle = (t + above) // 2
            if columns[middle] < lo:
                t = middle + 1
            else:
                above = middle
        while t < end and columns[t] < hi:
            at = np.int64(columns[t]) * stride
            add_row(
                target, at, alpha * (rows.values[t] * rows.factor), net.deltas, b * stride, net.vectors[0]
            )
            good &= finite(target, at, stride)
            t += 1
    return good


@device
def update_first_layer(target, alpha, net, rows, order, start, B, n, lo, hi, member):
    """target row += alpha * gradient for rows lo..hi - 1; returns whether all is finite."""
    D, stride = net.fan_in[0], net.stride[0]
    vectors, deltas = net.vectors[0], net.deltas
    if rows.form != BYTES and rows.form != CSR:
        good = True
        for begin in range(lo, hi, WORD):
            at, M = begin * stride, min(WORD, hi - begin)
            product(
                target, at, stride, target, at, stride, alpha,
                net.inputs, begin, _1, net.input_stride, M, deltas, _0, stride, n, depth_of(n), vectors,
            )  # fmt: skip
            good &= finite(target, at, M * stride)
        return good
    if rows.form == BYTES:
        good = update_by_codes(target, alpha, net, rows, B, n, lo, hi, member)
    else:
        good = update_by_rows(target, alpha, net, rows, order, start, n, lo, hi)
    if rows.centred:  # (x - mean)^T delta = x^T delta - mean (sum of delta)
        at = (2 * member + 1) * stride
        product(
            net.shift, at, stride, net.zeros, _0, _0, _ONE,
            net.one, _0, _0, _0, _1, deltas, _0, stride, n, depth_of(n), vectors,
        )  # fmt: skip
        own = min(hi, D) - lo
        product(
            target, lo * stride, stride, target, lo * stride, stride, -alpha,
            rows.mean, lo, _1, _0, own, net.shift, at, _0, _1, _1, vectors,
        )  # fmt: skip
        good &= finite(target, lo * stride, own * stride)
    if hi > D:  # the bias is the weight of a 1 in every sample
        product(
            target, D * stride, stride, target, D * stride, stride, alpha,
            net.one, _0, _0, _0, _1, deltas, _0, stride, n, depth_of(n), vectors,
        )  # fmt: skip
        good &= finite(target, D * stride, stride)
    return good


@device  # copied into a prange, the assignment would be taken for dead code
def reflect(mirror, mirror_at, mirror_step, W, at, step, lo, hi, width):
    """Rows lo..hi - 1 of W into its transpose."""
    for j in range(lo, hi):
        for k in range(width):
            mirror[mirror_at + k * mirror_step + j] = W[at + j * step + k]


@device
def update_deeper_layers(target, alpha, net, rule, batch, n, share, end):
    """target row += alpha * gradient, or a step of the rule, and mirrored: of each layer's rows those
    from the fraction ``share`` to the fraction ``end``.

    Returns whether all is finite.
    """
    good = True
    for layer in range(1, net.depth):
        fan_in, fan_out = net.fan_in[layer], net.fan_out[layer]
        stride, before = net.stride[layer], net.stride[layer - 1]
        lo, hi = np.int64((fan_in + 1) * share), np.int64((fan_in + 1) * end)
        row = net.w_at[layer] + lo * stride
        product(
            target, row, stride, target, row, stride, alpha,
            net.acts, net.a_at[layer - 1] + lo, _1, before, hi - lo,
            net.deltas, net.a_at[layer], stride, n, depth_of(n), net.vectors[layer],
        )  # fmt: skip
        changed = target
        if not rule.plain:
            step_rows(rule, net.theta, target, net.w_at[layer], stride, fan_in, lo, hi, batch, n)
            changed = net.theta
        good &= finite(changed, row, (hi - lo) * stride)
        reflect(
            net.mirror,
            net.m_at[layer],
            before,
            changed,
            net.w_at[layer],
            stride,
            lo,
            min(hi, fan_in),
            fan_out,
        )
    return good


@device
def samples(net, rows, loss, order, N, begin, B, n, weight, act, losses, counts, member, members, halved):
    """The first part of a step for a member's share of a batch; returns whether its losses are finite.

    weight: ``weight_of_batch``. losses[b] is times the sample's own weight. halved: ``own_half`` has run.
    """
    last = net.depth - 1
    K, width = net.fan_out[last], net.stride[last]
    p, p_at = net.columns, member * (K + 3) * _WORD
    inverse = _ONE / weight if weight > _ZERO else _ZERO
    good, correct, alive = True, 0, 0
    lo, hi = n * member // members, n * (member + 1) // members
    bias, bias_at = bias_of(net, rows, member)
    for start in range(lo, hi, WORD):
        end = min(start + WORD, hi)
        for b in range(start, end):  # their classes are wanted after all their outputs are known
            prefetch(loss.y, order[begin + b])
        forward(net, rows, order, N, begin, B, start, end, act, bias, bias_at, member, halved)
        if not loss.squared:
            softmax(p, p_at, _WORD, net.acts, net.a_at[last] + start * width, width, end - start, K)
        for b in range(start, end):
            i, at, column = order[begin + b], net.a_at[last] + b * width, p_at + b - start
            own = loss.weights[i] if loss.weighted else _ONE
            share = own * inverse
            if loss.squared:
                error = squared_error(net.deltas, net.acts, at, width, K, loss.targets, i * K, share)
                alive += 1
            else:
                label = loss.y[i]
                error, live, hit = cross_entropy(
                    p, column, _WORD, K, net.acts[at + label], label, loss.clipped, loss.low, loss.high
                )
                p[column + label * _WORD] -= _ONE
                p[column + K * _WORD] = share if live else _ZERO
                correct += hit
                alive += live
            losses[b] = own * error
            good &= (float_bits(error) & _MAGNITUDE) < _INFINITY
        if not loss.squared:
            at = net.a_at[last] + start * width
            scaled_rows(net.deltas, at, width, p, p_at, _WORD, end - start, K, p_at + K * _WORD)
        backward(net, start, end, act)
    counts[8 * member] += correct
    counts[8 * member + 1] += alive
    return good


@device
def weights(target, alpha, net, rows, rule, order, begin, B, n, splits, shares, member):
    """The second part of a step for a member's share of the weights; returns whether all is finite."""
    lo, hi = splits[member], splits[member + 1]
    good = update_first_layer(target, alpha, net, rows, order, begin, B, n, lo, hi, member)
    if not rule.plain:
        stride = net.stride[0]
        step_rows(rule, net.theta, target, _0, stride, net.fan_in[0], lo, hi, begin // B, n)
        good &= finite(net.theta, lo * stride, (hi - lo) * stride)
    good &= update_deeper_layers(target, alpha, net, rule, begin // B, n, shares[member], shares[member + 1])
    return good


class Job(NamedTuple):
    """What ``run`` is to do with the rows ``order`` (M,) of X, and the loss.

    train: a pass of training, from sample ``first`` of order on, in batches of B: target += alpha * gradient
        for each. target is net.theta to train, another array of its layout to leave the net as it is,
        or, with a rule that is not plain and alpha 1, an array of zeros of that layout.
        totals (1,): sum of the samples' weighted losses. counts (members, 8): correct, live.
        bad (members, 8): number of the batch (from 1) that went non-finite, and in what; else 0.
        splits (members + 1,): where each member's rows of the first layer begin; shares (members + 1,):
        at which fraction of the deeper layers' rows.
        halved: two members each keep to their half of the inputs, forward too, so that no weight of the
        first layer travels between their caches.
    else: the net's answers. p (M K) probabilities (``raw``: logits), losses (M,), hits (M,): each is
        filled where it is not empty, the last two by the loss. active (members, hidden units): marks
        units that are not 0 for some row, where it is not empty; a member that has marked all of them
        stops. ``keep`` leaves every row's outputs in acts (which must hold M). losses (B,) is scratch in
        training.
    """

    train: bool
    loss: Loss
    rule: Rule
    order: NDArray[np.int64]
    first: int
    B: int
    target: NDArray[np.float32]
    alpha: np.float32
    totals: NDArray[np.float64]
    counts: NDArray[np.int64]
    bad: NDArray[np.int64]
    splits: NDArray[np.int64]
    shares: NDArray[np.float64]
    halved: bool
    p: NDArray[np.float32]
    losses: NDArray[np.float32]
    hits: NDArray[np.bool_]
    active: NDArray[np.bool_]
    keep: bool
    raw: bool
    act: int


@kernel
def run(state, member, members, net, rows, job):
    """One member's part of a Job. One entry point for all: code is compiled, and loaded, once."""
    net, rows = addresses_of_net(net), addresses_of_rows(rows)
    if job.train:
        train(state, member, members, net, rows, job)
    else:
        answer(state, member, members, net, rows, job)


@device
def train(state, member, members, net, rows, job):
    """A pass of training."""
    N, B, target, order = len(job.order), job.B, address(job.target), address(job.order)
    losses, counts, totals = address(job.losses), address(job.counts), address(job.totals)
    loss, rule = addresses_of_loss(job.loss), addresses_of_rule(job.rule)
    splits, shares = address(job.splits), address(job.shares)
    for begin in range(job.first, N, B):
        n = min(B, N - begin)
        if job.halved:  # reads, and writes, what is this member's own until the barrier
            own_half(net, rows, order, N, begin, B, n, member)
        if not barrier(state, members):
            return
        if member == 0:
            atomic_store(state, DONE, begin)
        if atomic_load(state, LEAVE) != 0:
            return
        weight = weight_of_batch(loss, order, begin, n)
        if not samples(
            net, rows, loss, order, N, begin, B, n, weight, job.act, losses, counts, member, members,
            job.halved,
        ):  # fmt: skip
            job.bad[member, 0], job.bad[member, 1] = begin // B + 1, LOSS_BAD
            atomic_store(state, ABORT, 1)
        if not barrier(state, members):
            return
        if member == 0:
            for b in range(n):
                totals[0] += losses[b]
        if weight > _ZERO and not weights(
            target, job.alpha, net, rows, rule, order, begin, B, n, splits, shares, member
        ):
            job.bad[member, 0], job.bad[member, 1] = begin // B + 1, WEIGHTS_BAD
            atomic_store(state, ABORT, 1)
        if member == 0:
            late = atomic_load(state, LATE)
            if -MOST_LATE < late < 0:  # now and then it happens on every machine
                atomic_add(state, LATE, -1)
            atomic_store(state, LEAVE, 1 if late >= 0 else atomic_load(state, STOP))
    if barrier(state, members) and member == 0:
        atomic_store(state, DONE, N)


@device
def answer(state, member, members, net, rows, job):
    """The net's answers: members take WORD rows at a time, so that a slow one holds up nobody."""
    N, order, last = len(job.order), address(job.order), net.depth - 1
    K, width = net.fan_out[last], net.stride[last]
    p, p_at = net.columns, member * (K + 3) * _WORD
    missing, looking = job.active.shape[1], job.active.shape[1] > 0
    room = N if job.keep else members * WORD  # rows of the workspace
    loss = addresses_of_loss(job.loss)
    bias, bias_at = bias_of(net, rows, member)
    while True:
        begin = atomic_add(state, NEXT, WORD)
        if begin >= N or atomic_load(state, ABORT) != 0 or (looking and missing == 0):
            return
        n = min(WORD, N - begin)
        lo = begin if job.keep else member * WORD
        forward(net, rows, order, N, begin - lo, room, lo, lo + n, job.act, bias, bias_at, member, False)
        if looking:
            missing -= mark_active(job.active, member, net, lo, n)
        at = net.a_at[last] + lo * width
        if not (job.raw or loss.squared) and (len(job.p) > 0 or len(job.hits) > 0):
            softmax(p, p_at, _WORD, net.acts, at, width, n, K)
        for b in range(n):
            i, at = begin + b, net.a_at[last] + (lo + b) * width
            if len(job.p) > 0:
                for k in range(K):
                    job.p[i * K + k] = net.acts[at + k] if job.raw else p[p_at + k * _WORD + b]
            if len(job.losses) > 0:
                row = order[i]
                if loss.squared:
                    job.losses[i] = squared_error(
                        net.deltas, net.acts, at, width, K, loss.targets, row * K, _ONE
                    )
                else:
                    job.losses[i], _, job.hits[i] = cross_entropy(
                        p, p_at + b, _WORD, K, net.acts[at + loss.y[row]], loss.y[row],
                        loss.clipped, loss.low, loss.high,
                    )  # fmt: skip


@device
def mark_active(active, member, net, lo, n):
    """Mark the hidden units that are not 0 for one of n samples; returns how many are new."""
    unit, found = 0, 0
    for layer in range(net.depth - 1):
        at, stride = net.a_at[layer] + lo * net.stride[layer], net.stride[layer]
        for j in range(net.fan_out[layer]):
            for b in range(n):
                if not active[member, unit + j] and net.acts[at + b * stride + j] != _ZERO:
                    active[member, unit + j] = True
                    found += 1
        unit += net.fan_out[layer]
    return found
