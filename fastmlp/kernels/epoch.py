"""The compiled loops: forward, loss, backward, gradient + update.

A step on a batch has two parts with a barrier after each:

1. ``samples``: a member takes its share of the batch's samples through all layers and back; of two
   members, who comes last to the barrier has a smaller share of the next batch;
2. ``weights``: a member takes its share of the weights' rows and adds up their gradients over all
   samples, in the order of the batch, and updates them at once: by plain SGD they are added to the
   weights themselves (``target`` is theta), for other optimizers they are gathered first (``target``
   is an array of gradients), and optimizers.py takes the step.

Two members may instead sum the first layer's forward pass each over its own half of the inputs
(``own_half``), before 1 and in one go with 2 of the step before: the weights that a member reads are
then those that it wrote, and stay in its core's cache. Between 2 and 1 they need no barrier: a sample's
sums are waited for by who goes on with it, so that one who is early has work.

So no cell is written by two members, and every sum has one order whatever their number. The first
layer is in first_layer.py, all multiplications are in matmul.py, losses in losses.py; arrays and offsets
are those of layout.py, seen as views.py says. Functions write into ``net`` or their first arguments.

An entry point takes the ``address`` of each array first: all loops below it index pointers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.activations import activate, multiply_by_derivative
from fastmlp.kernels.first_layer import (
    INFINITY,
    MAGNITUDE,
    bias_of,
    finite,
    first_layer,
    own_half,
    update_first_layer,
)
from fastmlp.kernels.intrinsics import address, float_bits, prefetch
from fastmlp.kernels.jit import device, kernel
from fastmlp.kernels.losses import (
    Loss,
    addresses_of_loss,
    cross_entropy,
    scaled_rows,
    softmax,
    squared_error,
    weight_of_batch,
)
from fastmlp.kernels.matmul import WORD, depth_of, product
from fastmlp.kernels.optimizers import Rule, addresses_of_rule, step_rows
from fastmlp.kernels.team import (
    ABORT,
    DONE,
    LAST,
    LATE,
    LEAVE,
    MOST_LATE,
    NEXT,
    READY,
    STOP,
    atomic_add,
    atomic_load,
    atomic_store,
    barrier,
    wait_for,
)
from fastmlp.kernels.views import (
    addresses_of_net,
    addresses_of_rows,
    in_slot,
    of_member,
    sizes_of,
)

LOSS_BAD, WEIGHTS_BAD = 1, 2
_SHARES = 128  # parts of a batch that two members share

# Numba compiles a function anew for a literal argument, such as 0 or False: these are not literal.
_0, _1, _WORD = np.int64(0), np.int64(1), np.int64(WORD)
_ZERO, _ONE = np.float32(0), np.float32(1)
_NO = np.bool_(False)


@device
def forward(net, other_parts, rows, order, N, begin, B, lo, hi, act, bias, bias_at, halved):
    """All outputs of samples lo..hi - 1 of the batch into acts; the logits last.

    halved: net.parts and other_parts hold the sums of the inputs' halves.
    """
    acts = net.acts
    if halved:
        stride = net.stride[0]
        for j in range(lo * stride, hi * stride):
            acts[j] = net.parts[j] + other_parts[j]
    else:
        first_layer(net, rows, order, N, begin, B, lo, hi, bias, bias_at)
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
def update_deeper_layers(target, alpha, net, rule, batch, n, begin, end):
    """A share of each layer's rows, from ``begin`` to ``end`` in parts of 1: target row += alpha * gradient,
    or a step of the rule, and mirrored; returns whether all is finite.
    """
    good = True
    for layer in range(1, net.depth):
        fan_in, fan_out = net.fan_in[layer], net.fan_out[layer]
        stride, before = net.stride[layer], net.stride[layer - 1]
        lo, hi = np.int64((fan_in + 1) * begin), np.int64((fan_in + 1) * end)  # the bias is the last
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
        for j in range(lo, min(hi, fan_in)):
            for k in range(fan_out):
                net.mirror[net.m_at[layer] + k * before + j] = changed[net.w_at[layer] + j * stride + k]
    return good


@device
def samples(
    state, net, other_parts, rows, loss, order, N, begin, B, n, lo, hi, weight, act, losses, counts, member,
    halved,
):  # fmt: skip
    """The first part of a step for samples lo..hi - 1 of a batch; returns whether their losses are finite.

    weight: ``weight_of_batch``. losses[b] is times the sample's own weight. halved: this member's
    ``own_half`` has run, that of the other is waited for.
    """
    last = net.depth - 1
    K, width = net.fan_out[last], net.stride[last]
    p, p_at = net.columns, _0
    inverse = _ONE / weight if weight > _ZERO else _ZERO
    good, correct, alive = True, 0, 0
    bias, bias_at = bias_of(net, rows)
    start, depth = lo, depth_of(n)
    while start < hi:
        end = min(start + WORD, hi)
        if halved:
            end = min(end, start - start % depth + depth)
            if not wait_for(state, READY + 8 * (1 - member), begin + end):
                return good
        for b in range(start, end):  # their classes are wanted after all their outputs are known
            prefetch(loss.y, order[begin + b])
        forward(net, other_parts, rows, order, N, begin, B, start, end, act, bias, bias_at, halved)
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
            good &= (float_bits(error) & MAGNITUDE) < INFINITY
        if not loss.squared:
            at = net.a_at[last] + start * width
            scaled_rows(net.deltas, at, width, p, p_at, _WORD, end - start, K, p_at + K * _WORD)
        backward(net, start, end, act)
        start = end
    counts[8 * member] += correct
    counts[8 * member + 1] += alive
    return good


@device
def weights(target, alpha, net, rows, rule, order, begin, B, n, splits, shares, member):
    """The second part of a step for a member's share of the weights; returns whether all is finite."""
    lo, hi = splits[member], splits[member + 1]
    good = update_first_layer(target, alpha, net, rows, order, begin, n, lo, hi)
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
        those of each deeper layer, in parts of 1.
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
    sizes = sizes_of(net)
    net, rows = of_member(addresses_of_net(net), member, sizes), addresses_of_rows(rows)
    if job.train:
        train(state, member, members, net, sizes, rows, job)
    else:
        answer(state, member, members, net, sizes, rows, job)


@device
def lead(state, done):
    """What member 0 settles for the team before they meet: whether they leave after so many samples."""
    late = atomic_load(state, LATE)
    if -MOST_LATE < late < 0:  # now and then it happens on every machine
        atomic_add(state, LATE, -1)
    if late >= 0 or atomic_load(state, STOP) != 0:
        atomic_store(state, LEAVE, done)


@device
def train(state, member, members, whole, sizes, rows, job):
    """A pass of training."""
    N, B, target, order = len(job.order), job.B, address(job.target), address(job.order)
    losses, counts, totals = address(job.losses), address(job.counts), address(job.totals)
    loss, rule = addresses_of_loss(job.loss), addresses_of_rule(job.rule)
    splits, shares, share = address(job.splits), address(job.shares), _SHARES // 2
    part = (B if job.halved else _WORD) * whole.stride[0]
    for begin in range(job.first, N, B):
        n, batch, first = min(B, N - begin), begin // B, member == 0
        slot = batch % whole.slots if members > 1 else _0
        net = in_slot(whole, slot, member * part, sizes)
        other_parts = in_slot(whole, slot, (1 - member) * part, sizes).parts
        if job.halved:  # reads, and writes, what is this member's own until the barrier
            own_half(state, net, rows, order, N, begin, B, n, member)
            first = atomic_add(state, NEXT, 1) % 2 == 0
        elif not barrier(state, member, members):
            return
        weight = weight_of_batch(loss, order, begin, n)
        lo, hi, cut = n * member // members, n * (member + 1) // members, n * share // _SHARES
        if members == 2:  # who is early has the samples that are ready
            lo, hi = (_0, cut) if first else (cut, n)
        if not samples(
            state, net, other_parts, rows, loss, order, N, begin, B, n, lo, hi, weight, job.act, losses,
            counts, member, job.halved,
        ):  # fmt: skip
            job.bad[member, 0], job.bad[member, 1] = batch + 1, LOSS_BAD
            atomic_store(state, ABORT, 1)
        if member == 0:
            lead(state, begin + n)
        if not barrier(state, member, members):
            return
        leaving = begin + n == N or atomic_load(state, LEAVE) == begin + n
        was_last = atomic_load(state, LAST) == member
        share = max(share - 1, 0) if was_last == first else min(share + 1, _SHARES)
        if member == 0:
            for b in range(n):
                totals[0] += losses[b]
        if weight > _ZERO and not weights(
            target, job.alpha, net, rows, rule, order, begin, B, n, splits, shares, member
        ):
            job.bad[member, 0], job.bad[member, 1] = batch + 1, WEIGHTS_BAD
            atomic_store(state, ABORT, 1)
            return
        if member == 0:
            atomic_store(state, DONE, begin + n)
        if leaving:
            return


@device
def answer(state, member, members, whole, sizes, rows, job):
    """The net's answers: members take WORD rows at a time, so that a slow one holds up nobody."""
    net = in_slot(whole, _0, member * _WORD * whole.stride[0], sizes)
    N, order, last = len(job.order), address(job.order), net.depth - 1
    K, width = net.fan_out[last], net.stride[last]
    p, p_at = net.columns, _0
    missing, looking = job.active.shape[1], job.active.shape[1] > 0
    room = N if job.keep else members * WORD  # rows of the workspace
    loss = addresses_of_loss(job.loss)
    bias, bias_at = bias_of(net, rows)
    while True:
        begin = atomic_add(state, NEXT, WORD)
        if begin >= N or atomic_load(state, ABORT) != 0 or (looking and missing == 0):
            return
        n = min(WORD, N - begin)
        lo = begin if job.keep else member * WORD
        forward(net, net.parts, rows, order, N, begin - lo, room, lo, lo + n, job.act, bias, bias_at, _NO)
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
