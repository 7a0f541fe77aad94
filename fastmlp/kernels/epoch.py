"""The compiled loops: forward, loss, backward, gradient + update.

A step on a batch has two parts with a barrier after each:

1. ``samples``: a member takes its share of the batch's samples through all layers and back, in phases with
   barriers between them where there are batch norms; of two members, who comes last to the barrier has a
   smaller share of the next batch;
2. ``weights``: a member takes its share of the weights' rows and adds up their gradients over all
   samples, in the order of the batch, and updates them at once: by plain SGD they are added to the
   weights themselves (``target`` is theta), for other optimizers they are gathered first (``target``
   is an array of gradients), and optimizers.py takes the step.

Two members may instead sum the first layer's forward pass each over its own half of the inputs
(``own_half``), before 1 and in one go with 2 of the step before: the weights that a member reads are
then those that it wrote, and stay in its core's cache. Between 2 and 1 they need no barrier: a sample's
sums are waited for by who goes on with it, so that one who is early has work.

So no cell is written by two members, and every sum has one order whatever their number. The first
layer is in first_layer.py, the way of samples in passes.py, all multiplications are in matmul.py, losses in
losses.py; arrays and offsets are those of layout.py. Functions write into ``work``.

An entry point takes the ``address`` of each array first: all loops below it index pointers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.batch_norm import (
    ADD_UP,
    FROM_INPUTS,
    MEASURE,
    SETTLE,
    SETTLE_BACK,
    STATISTICS,
    TRACK,
)
from fastmlp.kernels.finite import all_finite
from fastmlp.kernels.first_layer import bias_of, own_half, update_first_layer
from fastmlp.kernels.intrinsics import address, prefetch, shifted
from fastmlp.kernels.jit import device, kernel
from fastmlp.kernels.layout import Batch, Rows, seen_by
from fastmlp.kernels.limits import Limits, factor_of, prepare, shorten_layer, step_rows
from fastmlp.kernels.looks import Looks, add_losses, add_squares, factor_in_epoch, look
from fastmlp.kernels.losses import Loss, head, predictions, weight_of_batch
from fastmlp.kernels.matmul import WORD, depth_of, matmul
from fastmlp.kernels.optimizers import Rule
from fastmlp.kernels.passes import backward, forward, norm
from fastmlp.kernels.simd import Matrix
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

LOSS_BAD, WEIGHTS_BAD = 1, 2
_SHARES = 128  # parts of a batch that two members share
_AHEAD = 100  # so many samples later is the one asked for; in smaller batches, a batch later

# Numba compiles a function anew for a literal argument, such as 0 or False: these are not literal.
_0, _1, _WORD = np.int64(0), np.int64(1), np.int64(WORD)
_ZERO, _ONE = np.float32(0), np.float32(1)
_FROM_INPUTS = np.int64(FROM_INPUTS)
_NO = np.bool_(False)


@device
def rows_of(plan, layout, layer, member):
    """A member's rows of a layer: lo..hi - 1."""
    if layer == 0:
        return plan.splits[member], plan.splits[member + 1]
    rows = layout.fan_in[layer] + 1
    return np.int64(rows * plan.shares[member]), np.int64(rows * plan.shares[member + 1])


@device
def share_of(plan, layout, layer, member):
    """A member's rows of a layer that are trained: lo..hi - 1."""
    lo, hi = rows_of(plan, layout, layer, member)
    return lo, max(lo, min(hi, plan.rows[layer]))


@device
def add_gradients(work, job, batch, layer, lo, hi):
    """target row += alpha * gradient, of rows lo..hi - 1 of a layer; returns whether all is finite.

    That of deeper layers is for ``settle_rows`` to see.
    """
    layout, slot, target, n = work.layout, work.slot, job.training.target, batch.n
    alpha = job.training.alphas[batch.number]
    if hi <= lo:
        return True
    if lo > layout.fan_in[layer]:
        return add_gradients_of_norm(work, target, alpha, layer, lo)
    if layer == 0:
        return update_first_layer(target, alpha, work, job.rows, batch, lo, hi)
    stride, before = layout.stride[layer], layout.stride[layer - 1]
    out = Matrix(target, layout.w_at[layer] + lo * stride, stride, _1)
    inputs = Matrix(slot.acts, layout.a_at[layer - 1] + lo, _1, before)
    deltas = Matrix(slot.deltas, layout.a_at[layer], stride, _1)
    matmul(out, out, alpha, inputs, hi - lo, deltas, n, depth_of(n), layout.vectors[layer])
    return True


@device
def norms_in(work, layer):
    """1 where a layer has a batch norm, else 0."""
    return np.int64(work.norms.place[layer] != 0)


@device
def rows_of_norm(plan, layout, layer, member):
    """A member's rows of gamma and beta, behind the bias: the first one has both, where they are trained."""
    first = layout.fan_in[layer] + 1
    return first, first + 2 * np.int64(member == 0 and plan.rows[layer] > 0)


@device
def add_gradients_of_norm(work, target, alpha, layer, lo):
    """``add_gradients`` for gamma and beta, which are the rows lo and lo + 1."""
    stride, width = work.layout.stride[layer], work.norms.width[layer]
    at, gradient = work.layout.w_at[layer] + lo * stride, STATISTICS * work.norms.begin[layer] + 3 * width
    for i in range(2):
        for j in range(width):
            target[at + i * stride + j] += alpha * work.scratch.norms[gradient + i * width + j]
    return all_finite(target, at, 2 * stride)


@device
def settle_rows(work, plan, batch, layer, lo, hi, first, factor):
    """Rows lo..hi - 1 of a layer take the step of a rule, or have taken the plain one: returns whether all is
    finite. transposed follows. first, factor: see ``step_rows``.
    """
    layout, rule, changed = work.layout, plan.rule, plan.target
    at, stride, good = layout.w_at[layer], layout.stride[layer], True
    if not rule.plain:
        changed = work.weights.theta
        step_rows(work, plan, batch, layer, lo, hi, first, factor)
    if layer > 0 or not rule.plain:
        good = all_finite(changed, at + lo * stride, (hi - lo) * stride)
    if layer > 0:
        transposed, before = work.weights.transposed, layout.stride[layer - 1]
        for j in range(lo, min(hi, layout.fan_in[layer])):
            for k in range(layout.fan_out[layer]):
                transposed[layout.t_at[layer] + k * before + j] = changed[at + j * stride + k]
    return good


@device
def samples(state, member, work, job, batch, lo, hi, phase):
    """A phase of the first part of a step, for samples lo..hi - 1 of a batch.

    Where members keep to halves, this one's ``own_half`` has run, that of the other is waited for.
    """
    layout, plan, loss, norms = work.layout, job.training, job.loss, work.norms
    last, wanted = layout.depth - 1, 4 * phase
    first, to = norms.phases[wanted], norms.phases[wanted + 1]
    back, down = norms.phases[wanted + 2], norms.phases[wanted + 3]
    K, stride = layout.fan_out[last], layout.stride[last]
    inverse = _ONE / batch.weight if batch.weight > _ZERO else _ZERO
    good, correct, alive = True, 0, 0
    bias, start, depth = work.zeros, lo, depth_of(batch.n)
    if phase == 0:
        bias = bias_of(work, job.rows)
    else:
        begun, what = (first, SETTLE) if first >= 0 else (back, SETTLE_BACK)
        norm(work, what, begun, lo, hi, batch.n)
    while start < hi:
        end = min(start + WORD, hi)
        if plan.halved and phase == 0:
            end = min(end, start - start % depth + depth)
            if not wait_for(state, READY + 8 * (1 - member), batch.begin + end):
                return
        rows, n = shifted(batch.order, batch.begin + start), end - start
        for b in range(n):  # their classes are wanted after all their outputs are known
            prefetch(loss.y, rows[b])
        if to >= 0:
            forward(work, job.rows, batch, start, end, bias, plan.halved, first, to)
        if to == last:
            at = layout.a_at[last] + start * stride
            hits, live, all_good = head(
                loss.head, loss, shifted(plan.losses, start), shifted(work.slot.deltas, at),
                shifted(work.slot.acts, at), stride, K, work.scratch.columns, rows, n, inverse,
            )  # fmt: skip
            correct += hits
            alive += live
            good &= all_good
        if back >= 0:
            backward(work, batch, start, end, back, down)
        start = end
    ended, what = (to, MEASURE) if back < 0 else (down, ADD_UP)
    if norms.place[ended] != 0 and (back < 0 or back > down):
        norm(work, what, ended, lo, hi, batch.n)
    own = 8 * (batch.begin // plan.M * work.members + member)
    plan.counts[own] += correct
    plan.counts[own + 1] += alive
    if not good:
        stop(state, member, plan, batch, LOSS_BAD)


@device
def weights(state, member, members, work, job, batch, turn):
    """The second part of a step for a member's share of the weights: its turns are those of ``Limits``."""
    if job.training.looks.n_rows > 0 and turn == 0:
        square(work, job.training, batch, member)
    if not batch.weight > _ZERO:
        return
    layout, plan, limits, theta = work.layout, job.training, job.training.limits, work.weights.theta
    waits, good, first = limits.scales, True, _0
    if turn > 0 and not (waits and turn == 1):
        for layer in range(layout.depth):
            shorten_layer(work, limits, layer, first, member, members)
            first += layout.fan_out[layer]
        return
    if turn == 0 and member == 0 and work.norms.n_phases > 1:
        good = track(work, batch)
    factor = _ONE
    if turn > 0 and not limits.each:
        factor = factor_of(limits, _0, limits.rows)
    for layer in range(layout.depth):
        for of_norm in range(norms_in(work, layer) + 1):
            lo, hi = share_of(plan, layout, layer, member)
            if of_norm:
                lo, hi = rows_of_norm(plan, layout, layer, member)
            if turn == 0:
                good &= add_gradients(work, job, batch, layer, lo, hi)
                if limits.prepare != 0 and lo < hi:
                    stride = layout.stride[layer]
                    at, own = layout.w_at[layer] + lo * stride, max(_0, min(hi, layout.fan_in[layer]) - lo)
                    prepare(
                        limits.prepare, limits, shifted(plan.target, at), shifted(theta, at), layer, own,
                        hi - lo, stride, first + lo,
                    )  # fmt: skip
            if turn > 0 or not waits:
                good &= settle_rows(work, plan, batch, layer, lo, hi, first, factor)
        first += layout.fan_in[layer] + 1 + 2 * norms_in(work, layer)
    if not good:
        stop(state, member, plan, batch, WEIGHTS_BAD)


@device
def square(work, plan, batch, member):
    """Add up the squares of a member's rows of weights, as they are before a batch."""
    layout, first = work.layout, _0
    for layer in range(layout.depth):
        lo, hi = rows_of(plan, layout, layer, member)
        n, at = min(hi, layout.fan_in[layer]) - lo, layout.w_at[layer] + lo * layout.stride[layer]
        add_squares(
            plan.looks, work.weights.theta, at, layout.stride[layer], first + lo, n,
            factor_in_epoch(plan.looks, batch), batch.begin % plan.M == 0,
        )  # fmt: skip
        first += layout.fan_in[layer]


@device
def track(work, batch):
    """Running statistics move towards the batch's; returns whether all is finite."""
    good, norms = True, work.norms
    for layer in range(work.layout.depth):
        if norms.place[layer] != 0:
            norm(work, TRACK, layer, _0, batch.n, batch.n)
            good &= all_finite(norms.running, 2 * norms.begin[layer], 2 * norms.width[layer])
    return good


@device
def stop(state, member, plan, batch, what):
    """All members stop, as this one has met what is not finite."""
    plan.bad[8 * member], plan.bad[8 * member + 1] = batch.number + 1, what
    atomic_store(state, ABORT, 1)


class Training(NamedTuple):
    """A pass of training, from sample ``first`` of the order on, in batches of B: target += alpha * gradient.

    M: samples of an epoch, at whose end a batch ends too; the order has E of them, one after the other.
    target: theta to train; another array of its layout to leave the net as it is; or, with a rule that is not
        plain and alpha 1, an array of zeros of that layout. alphas: that of each batch.
    rows (depth,): of each layer's weights and its bias, so many are trained, from the first on.
    losses (B,): scratch. totals (E,): sum of the samples' weighted losses.
    counts (E, members, 8): correct, live.
    bad (members, 8): number of the batch (from 1) that went non-finite, and in what; else 0.
    splits (members + 1,): where each member's rows of the first layer begin; shares (members + 1,):
        those of each deeper layer, in parts of 1.
    halved: two members each keep to their half of the inputs, forward too, so that no weight of the
        first layer travels between their caches.
    """

    rule: Rule
    limits: Limits
    looks: Looks
    first: int
    M: int
    B: int
    target: NDArray[np.float32]
    alphas: NDArray[np.float32]
    rows: NDArray[np.int64]
    losses: NDArray[np.float32]
    totals: NDArray[np.float64]
    counts: NDArray[np.int64]
    bad: NDArray[np.int64]
    splits: NDArray[np.int64]
    shares: NDArray[np.float64]
    halved: bool


class Outputs(NamedTuple):
    """Arrays to fill with what a net makes of N rows; an empty one is left out.

    p (N K): predictions, by the link of that place (losses.LINKS). losses (N,), with the loss; correct
    (members,): right answers.
    active (members, hidden units): marks units that are not 0 for some row; a member that has marked all of
    them stops. ``keep`` leaves every row's outputs in acts (which must hold N).
    """

    p: NDArray[np.float32]
    link: int
    losses: NDArray[np.float32]
    correct: NDArray[np.int64]
    active: NDArray[np.bool_]
    keep: bool


class Job(NamedTuple):
    """The work of ``run`` on the rows ``order`` (N,) of X: train, or fill outputs."""

    train: bool
    rows: Rows
    order: NDArray[np.int64]
    N: int
    loss: Loss
    training: Training
    outputs: Outputs


@kernel
def run(state, member, members, work, job):
    """One member's part of a Job. One entry point for all: code is compiled, and loaded, once."""
    if job.train:
        train(state, member, members, address(work), address(job))
    else:
        fill_outputs(state, member, members, address(work), job)


@device
def lead(state, done):
    """Settle as member 0, before the team meets, if it leaves after so many samples."""
    late = atomic_load(state, LATE)
    if -MOST_LATE < late < 0:  # now and then it happens on every machine
        atomic_add(state, LATE, -1)
    if late >= 0 or atomic_load(state, STOP) != 0:
        atomic_store(state, LEAVE, done)


@device
def batch_from(job, begin):
    """The batch of a training that begins at that sample."""
    B, M = job.training.B, job.training.M
    epoch, place = begin // M, begin % M
    n = min(B, M - place)
    return Batch(
        order=job.order, N=job.N, begin=begin, n=n, number=epoch * ((M + B - 1) // B) + place // B,
        weight=weight_of_batch(job.loss, job.order, begin, n), ahead=min(B, _AHEAD),
    )  # fmt: skip


@device
def part_of(n, unit, member, members):
    """A member's part of n samples, lo..hi - 1, in whole units."""
    units = (n + unit - 1) // unit
    return units * member // members * unit, min(n, units * (member + 1) // members * unit)


@device
def train(state, member, members, whole, job):
    """A pass of training."""
    plan, N, share = job.training, job.N, _SHARES // 2
    begin = plan.first
    while begin < N:
        batch, first = batch_from(job, begin), member == 0
        n = batch.n
        work = seen_by(whole, member, batch.number % whole.slots if members > 1 else _0)
        if plan.halved:  # reads, and writes, what is this member's own until the barrier
            own_half(state, work, job.rows, batch, member)
            first = atomic_add(state, NEXT, 1) % 2 == 0
        elif not barrier(state, member, members):
            return
        lo, hi = part_of(n, work.norms.unit, member, members)
        if members == 2:  # who is early has the samples that are ready
            cut = n * share // _SHARES // work.norms.unit * work.norms.unit
            lo, hi = (_0, cut) if first else (cut, n)
        for phase in range(work.norms.n_phases):
            if phase > 0 and not barrier(state, member, members):
                return
            samples(state, member, work, job, batch, lo, hi, phase)
        if member == 0:
            lead(state, begin + n)
        if not barrier(state, member, members):
            return
        leaving = begin + n == N or atomic_load(state, LEAVE) == begin + n
        was_last = atomic_load(state, LAST) == member
        share = max(share - 1, 0) if was_last == first else min(share + 1, _SHARES)
        if member == 0:
            add_losses(plan.looks, plan.totals, begin // plan.M, plan.losses, batch)
        for turn in range(plan.limits.turns):
            if turn > 0 and not barrier(state, member, members):
                return
            weights(state, member, members, work, job, batch, turn)
        if atomic_load(state, ABORT) != 0:
            return
        if plan.looks.wanted and (begin + n) % plan.M == 0:
            if not barrier(state, member, members):
                return
            if member == 0 and look(plan.looks, plan.totals, begin // plan.M):
                atomic_store(state, LEAVE, begin + n)
            if not barrier(state, member, members):
                return
            leaving = leaving or atomic_load(state, LEAVE) == begin + n
        begin += n
        if member == 0:
            atomic_store(state, DONE, begin)
        if leaving:
            return


@device
def fill_outputs(state, member, members, whole, job):
    """Outputs: members take WORD rows at a time, so that a slow one holds up nobody."""
    work, wanted, N = seen_by(whole, member, _0), job.outputs, job.N
    order, rows, loss = address(job.order), address(job.rows), address(job.loss)
    layout, p = work.layout, work.scratch.columns
    last = layout.depth - 1
    K, stride = layout.fan_out[last], layout.stride[last]
    missing, looking = wanted.active.shape[1], wanted.active.shape[1] > 0
    room = N if wanted.keep else members * WORD  # rows of the workspace
    bias = bias_of(work, rows)
    while True:
        begin = atomic_add(state, NEXT, WORD)
        if begin >= N or atomic_load(state, ABORT) != 0 or (looking and missing == 0):
            return
        n = min(WORD, N - begin)
        lo = begin if wanted.keep else member * WORD
        batch = Batch(
            order=order, N=N, begin=begin - lo, n=n, number=_0, weight=_ZERO, ahead=min(room, _AHEAD)
        )
        forward(work, rows, batch, lo, lo + n, bias, _NO, _FROM_INPUTS, last)
        if looking:
            missing -= mark_active(wanted.active, member, work, lo, n)
        at = layout.a_at[last] + lo * stride
        logits = shifted(work.slot.acts, at)
        if len(wanted.p) > 0:
            out = shifted(address(wanted.p), begin * K)
            predictions(wanted.link, out, logits, stride, K, p, _WORD, n)
        if len(wanted.losses) > 0:
            hits, _, _ = head(
                loss.head, loss, shifted(address(wanted.losses), begin), shifted(work.slot.deltas, at),
                logits, stride, K, p, shifted(order, begin), n, _ONE,
            )  # fmt: skip
            wanted.correct[member] += hits


@device
def mark_active(active, member, work, lo, n):
    """Mark the hidden units that are not 0 for one of n samples; returns how many are new."""
    layout, acts, unit, found = work.layout, work.slot.acts, 0, 0
    for layer in range(layout.depth - 1):
        at, stride = layout.a_at[layer] + lo * layout.stride[layer], layout.stride[layer]
        for j in range(layout.fan_out[layer]):
            for b in range(n):
                if not active[member, unit + j] and acts[at + b * stride + j] != _ZERO:
                    active[member, unit + j] = True
                    found += 1
        unit += layout.fan_out[layer]
    return found
