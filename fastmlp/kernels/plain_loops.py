"""The compiled loops in float64: forward, backward, and epochs of steps. One thread, no special cases.

A batch is walked in blocks of rows, whose gradients are summed. Arrays and steps are those of plain_steps.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.finite import all_finite64
from fastmlp.kernels.intrinsics import address, shifted
from fastmlp.kernels.jit import device, kernel
from fastmlp.kernels.looks import count
from fastmlp.kernels.matmul import depth_of, matmul
from fastmlp.kernels.plain_stages import INPUTS, OUTPUTS, OUTPUTS_BACK, SUMS, SUMS_BACK, TRACK, stage
from fastmlp.kernels.plain_steps import Float64, Int64, copy_all, squares_of, take_step, transpose
from fastmlp.kernels.plain_words import activate, head, multiply_by_slope, predictions
from fastmlp.kernels.plug_ins import INT, NOTHING, PlugIn, caller, kind
from fastmlp.kernels.simd import Matrix

FINE, LOSS_BAD, WEIGHTS_BAD = 0, 1, 2  # how a call of ``train`` ended
LOSS, MASS, CORRECT, LIVE, SQUARES, COLUMNS = range(6)  # columns of Training.totals, and their number

_ZERO, _ONE = 0.0, 1.0
_0, _1 = np.int64(0), np.int64(1)


class Rows(NamedTuple):
    """X: values (N D), or compressed rows. An input is (value - mean) factor, of which either may be missing.

    mean (D,), where ``centred``; factor (D,), where it is ``by_column``, or (1,), where ``scaled``.
    """

    values: Float64
    starts: Int64
    columns: NDArray[np.int32]
    mean: Float64
    factor: Float64
    compressed: bool
    centred: bool
    by_column: bool
    scaled: bool


class Training(NamedTuple):
    """Epochs of training: orders (E M), M rows each, in batches of B; totals (E COLUMNS).

    epoch: the number of the first.
    before: theta, the averages and running statistics as they were when the epoch began.
    squares: wanted. Then sums are scikit-learn's where rows have weights: each batch counts as its rows do,
    whatever their weights, and its penalty is divided by the sum of its weights.
    """

    orders: Int64
    M: int
    B: int
    totals: Float64
    epoch: int
    before: Float64
    squares: bool


def _product(out, base, A, M, B, K, vectors):
    matmul(out, base, _ONE, A, M, B, K, depth_of(K), vectors)


_AT = Matrix(np.empty(0), 0, 0, 0)
PRODUCT = PlugIn("plain_product", _product, kind(NOTHING, _AT, _AT, _AT, INT, _AT, INT, INT))
product = caller(PRODUCT.kind)
"""product(place, out, base, A, M, B, K, vectors): out (M rows) = base + A B; compiled once for all loops."""


@device
def gather(layout, x, rows, order, begin, n):
    """Inputs of n rows."""
    D = layout.fan_in[0]
    for b in range(n):
        row, at = order[begin + b], b * layout.x_stride
        if rows.compressed:
            for j in range(D):
                x[at + j] = _ZERO
            for e in range(rows.starts[row], rows.starts[row + 1]):
                x[at + rows.columns[e]] += rows.values[e]
        else:
            for j in range(D):
                x[at + j] = rows.values[row * D + j]
        if rows.centred:
            for j in range(D):
                x[at + j] -= rows.mean[j]
        if rows.by_column:
            for j in range(D):
                x[at + j] *= rows.factor[j]
        elif rows.scaled:
            for j in range(D):
                x[at + j] *= rows.factor[0]


@device
def forward(layout, space, n, first):
    """The outputs of all layers of n rows of inputs, the first of which is at that place in the order."""
    source, in_at, in_stride, stages = space.x, _0, np.int64(layout.x_stride), layout.stages
    if stages.code > 0:
        stage(stages.code, stages, INPUTS, _0, source, source, source, _0, in_stride, n, first)
    for i in range(layout.depth):
        fan_in, stride, at, a_at = layout.fan_in[i], layout.stride[i], layout.w_at[i], layout.a_at[i]
        product(
            layout.product, Matrix(space.acts, a_at, stride, _1),
            Matrix(space.theta, at + fan_in * stride, _0, _1), Matrix(source, in_at, in_stride, _1), n,
            Matrix(space.theta, at, stride, _1), fan_in, layout.vectors[i],
        )  # fmt: skip
        if i < layout.depth - 1:
            own, gamma = shifted(space.acts, a_at), shifted(space.theta, at + (fan_in + 1) * stride)
            if stages.code > 0:
                stage(stages.code, stages, SUMS, i, own, gamma, gamma, a_at, stride, n, first)
            activate(layout.act[i], own, shifted(space.slopes, a_at), n * stride, layout.number[i])
            if stages.code > 0:
                stage(stages.code, stages, OUTPUTS, i, own, gamma, gamma, a_at, stride, n, first)
        source, in_at, in_stride = stages.feeds if stages.apart[i] > 0 else space.acts, a_at, stride


@device
def backward(layout, space, n, first):
    """Add the gradient of n rows, whose deltas of the last layer are there."""
    stages = layout.stages
    for i in range(layout.depth - 1, -1, -1):
        fan_in, fan_out, stride, at, a_at = (
            layout.fan_in[i], layout.fan_out[i], layout.stride[i], layout.w_at[i], layout.a_at[i],
        )  # fmt: skip
        source, in_at, in_stride = space.x, _0, np.int64(layout.x_stride)
        if i > 0:
            source, in_at, in_stride = space.acts, layout.a_at[i - 1], layout.stride[i - 1]
            if stages.apart[i - 1] > 0:
                source = stages.feeds
        deltas, target = Matrix(space.deltas, a_at, stride, _1), Matrix(space.gradient, at, stride, _1)
        product(
            layout.product, target, target, Matrix(source, in_at, _1, in_stride), fan_in, deltas, n,
            layout.vectors[i],
        )  # fmt: skip
        if layout.biased[i] > 0:
            bias, own = shifted(space.gradient, at + fan_in * stride), shifted(space.deltas, a_at)
            for b in range(n):
                for k in range(stride):
                    bias[k] += own[b * stride + k]
        if i > 0:
            before = layout.a_at[i - 1]
            product(
                layout.product, Matrix(space.deltas, before, in_stride, _1),
                Matrix(space.zeros, _0, _0, _1), deltas, n,
                Matrix(space.transposed, layout.t_at[i], in_stride, _1), fan_out, layout.vectors[i - 1],
            )  # fmt: skip
            known = shifted(space.slopes if layout.kept[i - 1] > 0 else space.acts, before)
            own, norm = (
                shifted(space.deltas, before), layout.w_at[i - 1] + (layout.fan_in[i - 1] + 1) * in_stride,
            )  # fmt: skip
            gamma, dgamma = shifted(space.theta, norm), shifted(space.gradient, norm)
            if stages.code > 0:
                stage(
                    stages.code, stages, OUTPUTS_BACK, i - 1, own, gamma, dgamma, before, in_stride, n,
                    first,
                )  # fmt: skip
            multiply_by_slope(layout.slope[i - 1], own, known, n * in_stride, layout.number[i - 1])
            if stages.code > 0:
                stage(
                    stages.code, stages, SUMS_BACK, i - 1, own, gamma, dgamma, before, in_stride, n, first,
                )  # fmt: skip


@device
def sums_of_batch(layout, space, rows, loss, order, begin, n, inverse):
    """Add the gradient of a batch's mean loss; the sum of losses times weights, answers right, and live."""
    total, correct, live, last = _ZERO, 0, 0, layout.depth - 1
    at, stride, K = layout.a_at[last], layout.stride[last], layout.fan_out[last]
    for start in range(begin, begin + n, layout.block):
        m = min(layout.block, begin + n - start)
        gather(layout, space.x, rows, order, start, m)
        forward(layout, space, m, start)
        right, alive = head(
            loss.head, loss, space.losses, shifted(space.deltas, at), shifted(space.acts, at), space.best,
            stride, K, shifted(order, start), m, inverse,
        )  # fmt: skip
        backward(layout, space, m, start)
        for b in range(m):
            own = loss.weights[order[start + b]] if loss.weighted else _ONE
            total += own * space.losses[b]
        correct += right
        live += alive
    return total, correct, live


@device
def keep(layout, space, rule, plan, sizes, back):
    """Copy theta, the averages and running statistics, of these sizes, to ``before``; or ``back``."""
    at, own = _0, (space.theta, rule.first, rule.second, rule.third, layout.stages.running)
    for i in range(len(sizes)):
        if back:
            copy_all(own[i], shifted(plan.before, at), sizes[i])
        else:
            copy_all(shifted(plan.before, at), own[i], sizes[i])
        at += sizes[i]


@device
def train_batch(layout, space, rows, loss, rule, limits, plan, epoch, begin, batch):
    """One step, and what it adds to the epoch's totals. Returns FINE, or what became non-finite."""
    n, order, totals = min(plan.B, plan.M - begin), shifted(plan.orders, epoch * plan.M), plan.totals
    mass, at = np.float64(n), epoch * COLUMNS
    if loss.weighted:
        mass = _ZERO
        for b in range(begin, begin + n):
            mass += loss.weights[order[b]]
    inverse = _ONE / mass if mass > _ZERO else _ZERO
    as_rows = loss.weighted and plan.squares
    if plan.squares:
        totals[at + SQUARES] += squares_of(layout, space) * (n * inverse if as_rows else _ONE)
    total, correct, live = sums_of_batch(layout, space, rows, loss, order, begin, n, inverse)
    if not math.isfinite(total):
        return LOSS_BAD
    totals[at + LOSS] += n * (total * inverse) if as_rows else total
    totals[at + MASS] += n if as_rows else mass
    totals[at + CORRECT] += correct
    totals[at + LIVE] += live
    if mass > _ZERO:
        take_step(layout, space, rule, limits, batch, rule.alpha * (inverse if as_rows else _ONE / n))
        track(layout, space, n)
    for i in range(layout.depth):
        if not all_finite64(space.theta, layout.w_at[i], layout.rows[i] * layout.stride[i]):
            return WEIGHTS_BAD
    return FINE


@device
def track(layout, space, n):
    """Move the running statistics of batch norms."""
    stages = layout.stages
    if stages.code > 0:
        for i in range(layout.depth):
            own = space.zeros
            stage(stages.code, stages, TRACK, i, own, own, own, _0, layout.stride[i], n, _0)


@kernel
def train(layout, space, rows, loss, rule, limits, plan, now, watch, most):
    """Batches until so many are done, or all, or the watch ends training after an epoch.

    now: the epoch, from 0, and its rows that are done. watch: in numbers (looks.py).
    Returns FINE, or what became non-finite, in the batch whose rows ``now`` is before: theta and the averages
    are then those of the epoch's start. Where it is done, now[1] is -1, and now[0] epochs were trained.
    """
    sizes = (len(space.theta), len(rule.first), len(rule.second), len(rule.third), len(layout.stages.running))
    E, per_epoch = len(plan.orders) // plan.M, (plan.M + plan.B - 1) // plan.B
    layout, space, rows, loss = address(layout), address(space), address(rows), address(loss)
    rule, limits, plan = address(rule), address(limits), address(plan)
    transpose(layout, space)
    while most > 0:
        epoch, begin = now[0], now[1]
        if layout.stages.code > 0:
            layout.stages.draw.numbers[2] = plan.epoch + epoch
        if begin == 0:
            keep(layout, space, rule, plan, sizes, False)
        batch = epoch * per_epoch + begin // plan.B
        how = train_batch(layout, space, rows, loss, rule, limits, plan, epoch, begin, batch)
        if how != FINE:
            keep(layout, space, rule, plan, sizes, True)
            for i in range(sizes[0]):
                space.gradient[i] = _ZERO
            return how
        most -= 1
        now[1] = begin + plan.B
        if now[1] >= plan.M:
            at = epoch * COLUMNS
            mass = plan.totals[at + MASS]
            plan.totals[at + LOSS] /= mass if mass > _ZERO else _ONE
            now[0], now[1] = epoch + 1, 0
            stops = count(watch, plan.totals[at + LOSS], plan.totals[at + SQUARES])
            if stops or now[0] == E:
                now[1] = -1
                return FINE
    return FINE


@kernel
def objective(layout, space, rows, loss, order, inverse, theta, out):
    """``sums_of_batch`` of the rows ``order`` for theta, weights then biases of all layers.

    out: the gradient, laid out so too. Where these are empty, the parameters are those that are there, and
    the gradient is left in its place. inverse: 1 over the weight of all rows.
    """
    n, moved = len(order), len(theta) > 0
    layout, space, rows, loss = address(layout), address(space), address(rows), address(loss)
    if moved:
        _swap(layout, space.theta, address(theta), True)
    transpose(layout, space)
    found = sums_of_batch(layout, space, rows, loss, address(order), _0, n, inverse)
    if moved:
        _swap(layout, space.gradient, address(out), False)
    return found


@device
def _swap(layout, padded, flat, into):
    """Copy flat weights and biases into padded ones; or back, and the padded ones are 0 then."""
    at, bias = _0, _0
    for i in range(layout.depth):
        bias += layout.fan_in[i] * layout.fan_out[i]
    for i in range(layout.depth):
        fan_in, fan_out = layout.fan_in[i], layout.fan_out[i]
        for j in range(fan_in + 1):
            row = layout.w_at[i] + j * layout.stride[i]
            place = bias if j == fan_in else at + j * fan_out
            if into:
                copy_all(shifted(padded, row), shifted(flat, place), fan_out)
            else:
                copy_all(shifted(flat, place), shifted(padded, row), fan_out)
                for k in range(fan_out):
                    padded[row + k] = _ZERO
        at += fan_in * fan_out
        bias += fan_out


class Wanted(NamedTuple):
    """The arrays that ``outputs`` fills of N rows, where they are not empty.

    p (N K): predictions, by the link of that place. losses (N,); right (1,). active: of each hidden unit, 1
    where its activation gives anything but 0. all (N widths): outputs of all layers, layer after layer.
    """

    p: Float64
    link: int
    losses: Float64
    right: Int64
    active: Int64
    all: Float64


@kernel
def outputs(layout, space, rows, loss, order, wanted):
    """Walk forward over the rows of X that ``order`` names."""
    N, last, width = len(order), layout.depth - 1, 0
    has_p, has_losses, has_active, has_all = (
        len(wanted.p) > 0, len(wanted.losses) > 0, len(wanted.active) > 0, len(wanted.all) > 0,
    )  # fmt: skip
    for i in range(layout.depth):
        width += layout.fan_out[i]
    layout, space, rows, loss = address(layout), address(space), address(rows), address(loss)
    wanted, order = address(wanted), address(order)
    K, stride, at = layout.fan_out[last], layout.stride[last], layout.a_at[last]
    for begin in range(0, N, layout.block):
        n = min(layout.block, N - begin)
        gather(layout, space.x, rows, order, begin, n)
        forward(layout, space, n, begin)
        z = shifted(space.acts, at)
        if has_p:
            predictions(wanted.link, shifted(wanted.p, begin * K), z, stride, K, n)
        if has_losses:
            right, _ = head(
                loss.head, loss, shifted(wanted.losses, begin), shifted(space.deltas, at), z, space.best,
                stride, K, shifted(order, begin), n, _ONE,
            )  # fmt: skip
            wanted.right[0] += right
        unit, column = 0, 0
        for i in range(layout.depth):
            own, step, fan_out = shifted(space.acts, layout.a_at[i]), layout.stride[i], layout.fan_out[i]
            for b in range(n):
                if has_active and i < last:
                    for k in range(fan_out):
                        wanted.active[unit + k] |= _1 if own[b * step + k] != _ZERO else _0
                if has_all:
                    copy_all(
                        shifted(wanted.all, N * column + (begin + b) * fan_out),
                        shifted(own, b * step),
                        fan_out,
                    )
            unit += fan_out
            column += fan_out
