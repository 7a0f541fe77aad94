"""The first layer: from rows of X to its outputs, and from deltas to its weights.

Rows come as codes, compressed, or dense. The sums are those of two halves of the inputs
(net.middle_of), which two members may share between them: ``own_half``.
"""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.intrinsics import bits_float, copy_word, float_bits, prefetch
from fastmlp.kernels.jit import device
from fastmlp.kernels.layout import BYTES, CSR, DENSE
from fastmlp.kernels.matmul import (
    WORD,
    add_row,
    depth_of,
    is_set,
    product,
    transpose,
    walk_inputs,
    walk_samples,
)
from fastmlp.kernels.team import READY, atomic_store

_AHEAD = 100  # so many samples later is the one asked for; in smaller batches, a batch later

# Numba compiles a function anew for a literal argument, such as 0: these are not literal.
_0, _1, _WORD = np.int64(0), np.int64(1), np.int64(WORD)
_ONE = np.float32(1)
MAGNITUDE, INFINITY = np.int32(0x7FFFFFFF), np.int32(0x7F800000)  # of a float32's bits
_FAR = 1e38  # a third of float32's largest
_NO_BITS, _BIT, _ALL = np.uint64(0), np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)


@device
def gather_word(net, rows, order, N, begin, n, ahead, w):
    """Word w of n samples: their codes side by side, and in masks a bit for each that is not 0.

    The sample that is ``ahead`` of each is brought near: a shuffled row is a miss to far memory.
    """
    codes, masks, to = net.codes, net.masks, _0
    D, first = net.fan_in[0], w * WORD
    width = min(WORD, D - first)
    for b in range(n):
        start = order[begin + b] * D + first
        if begin + b + ahead < N:
            prefetch(rows.codes, order[begin + b + ahead] * D + first)
        if width == WORD:
            masks[b] = copy_word(codes, to, rows.codes, start)
        else:
            for j in range(width):
                codes[to + j] = rows.codes[start + j]
            masks[b] = copy_word(codes, to, codes, to) & ~(_ALL << np.uint64(width))
        to += WORD


@device
def gather_inputs(inputs, stride, rows, order, begin, lo, hi, D, left, right):
    """Inputs left..right - 1 of samples lo..hi - 1 of the batch as dense rows: value * factor - mean."""
    codes, table, values, mean, factor = rows.codes, rows.table, rows.values, rows.mean, rows.factor
    for b in range(lo, hi):
        start, to = order[begin + b] * D, b * stride
        if rows.form == DENSE:
            for j in range(left, right):
                inputs[to + j] = values[start + j] * factor - mean[j]
        else:
            for j in range(left, right):
                inputs[to + j] = table[codes[start + j]] - mean[j]


@device
def bias_of(net, rows):
    """Where the first layer's bias row is, less mean W1 where the rows are sparse and centred.

    Centring is a rank-one correction: (x - mean) W + b = x W + (b - mean W). Returns array and offset.
    """
    D, stride, vectors = net.fan_in[0], net.stride[0], net.vectors[0]
    if not rows.centred or (rows.form != BYTES and rows.form != CSR):
        return net.theta, D * stride
    product(
        net.shift, _0, stride, net.theta, D * stride, stride, -_ONE,
        rows.mean, _0, _0, _1, _1, net.theta, _0, stride, D, _WORD, vectors,
    )  # fmt: skip
    return net.shift, _0


@device
def fill(out, at, n, row, row_at, stride):
    """n rows of out = that row."""
    for b in range(n):
        for j in range(stride):
            out[at + b * stride + j] = row[row_at + j]


@device
def sum_words(out, at, base, base_at, net, rows, order, N, begin, n, B, first, last):
    """n rows of out = that of base + codes times the first layer's weights, over words first..last - 1.

    n is at most WORD.
    """
    stride, ahead = net.stride[0], min(B, _AHEAD)
    begun, all_begun = _NO_BITS, _ALL >> np.uint64(WORD - n)
    for w in range(first, last):
        gather_word(net, rows, order, N, begin, n, ahead, w)
        walk_samples(
            net.vectors[0], out, at, stride, begun, base, base_at, net.masks, n, rows.table, net.codes,
            net.theta, w * WORD * stride, stride,
        )  # fmt: skip
        if begun != all_begun:
            for b in range(n):
                if net.masks[b] != _NO_BITS:
                    begun |= _BIT << np.uint64(b)
    for b in range(n):
        if not is_set(begun, b):
            fill(out, at + b * stride, 1, base, base_at, stride)


@device
def sum_inputs(out, at, base, base_at, net, rows, order, N, begin, B, lo, n, left, right):
    """n rows of out = that of base + inputs left..right - 1 of samples lo.. of the batch times their weights.

    The rows of X are not compressed; left is a multiple of WORD, right another or their end.
    """
    if rows.form == BYTES:
        first, last = left // WORD, (right + WORD - 1) // WORD
        sum_words(out, at, base, base_at, net, rows, order, N, begin + lo, n, B, first, last)
        return
    stride, step = net.stride[0], net.input_stride
    gather_inputs(net.inputs, step, rows, order, begin, lo, lo + n, net.fan_in[0], left, right)
    product(
        out, at, stride, base, base_at, _0, _ONE, net.inputs, lo * step + left, step, _1, n,
        net.theta, left * stride, stride, right - left, _WORD, net.vectors[0],
    )  # fmt: skip


@device
def own_half(state, net, rows, order, N, begin, B, n, member):
    """Member 0 or 1 sums over its half of the inputs, for all n samples of a batch, into parts.

    After each ``depth_of(n)`` samples it says how far it is.
    """
    D, stride, chunk = net.fan_in[0], net.stride[0], depth_of(n)
    base, base_at, left, right = net.zeros, _0, _0, net.middle
    if member:
        base, base_at, left, right = net.theta, D * stride, net.middle, D
    for lo in range(0, n, chunk):
        hi = min(lo + chunk, n)
        sum_inputs(
            net.parts, lo * stride, base, base_at,
            net, rows, order, N, begin, B, lo, hi - lo, left, right,
        )  # fmt: skip
        atomic_store(state, READY + 8 * member, begin + hi)


@device
def first_layer(net, rows, order, N, begin, B, lo, hi, bias, bias_at):
    """z1 of samples lo..hi - 1 into acts.

    That is a sum over the first half of the inputs, plus one over the second half and the bias; of
    compressed rows one sum. ``bias`` is that of ``bias_of``.
    """
    D, stride, middle, n = net.fan_in[0], net.stride[0], net.middle, hi - lo
    acts, at = net.acts, lo * stride
    if rows.form == CSR:
        starts, columns, values, factor = rows.starts, rows.columns, rows.values, rows.factor
        fill(acts, at, n, bias, bias_at, stride)
        for b in range(lo, hi):
            i = order[begin + b]
            for t in range(starts[i], starts[i + 1]):
                add_row(
                    acts, b * stride, values[t] * factor,
                    net.theta, np.int64(columns[t]) * stride, net.vectors[0],
                )  # fmt: skip
        return
    if middle == D:
        sum_inputs(acts, at, bias, bias_at, net, rows, order, N, begin, B, lo, n, _0, D)
        return
    sum_inputs(acts, at, net.zeros, _0, net, rows, order, N, begin, B, lo, n, _0, middle)
    sum_inputs(net.parts, _0, bias, bias_at, net, rows, order, N, begin, B, lo, n, middle, D)
    for j in range(n * stride):
        acts[at + j] += net.parts[j]


@device
def largest(array, at, width):
    """The largest magnitude in array[at : at + width]; nan is larger than infinity."""
    bits = np.int32(0)
    for j in range(width):
        bits = max(bits, np.int32(float_bits(array[at + j]) & MAGNITUDE))  # else 64 bits wide
    return bits_float(bits)


@device
def finite(theta, at, width):
    """Whether theta[at : at + width] holds neither nan nor infinity."""
    return largest(theta, at, width) < np.inf


@device
def still_finite(target, at, width, alpha, net, rows, n):
    """``finite`` of a member's rows after a step on n samples: by how large they can have become at most.

    They are read only where that is near the end of float32: there are fewer deltas than weights.
    """
    step = np.float64(abs(alpha)) * rows.largest * n * largest(net.deltas, _0, n * net.stride[0])
    bound = net.bounds[0] + step
    if not bound < _FAR:  # or nan
        bound = np.float64(largest(target, at, width))
    net.bounds[0] = bound
    return bound < np.inf


@device
def update_by_codes(target, alpha, net, rows, order, start, n, lo, hi):
    """``update_first_layer`` from codes, for inputs alone, and but for the mean: the bits of samples are
    turned into bits of inputs."""
    stride, N, depth = net.stride[0], start + n, depth_of(n)
    for first in range(0, n, depth):
        together = min(depth, n - first)
        for w in range(lo // WORD, (hi + WORD - 1) // WORD):
            begin, end = max(lo, w * WORD), min(hi, (w + 1) * WORD)
            gather_word(net, rows, order, N, start + first, together, N, w)
            for s in range(together, WORD):
                net.masks[s] = _NO_BITS
            transpose(net.masks, _0)
            walk_inputs(
                net.vectors[0], target, begin * stride, stride, alpha,
                net.masks, begin - w * WORD, end - begin,
                rows.table, net.codes, begin - w * WORD, net.deltas, first * stride, stride,
            )  # fmt: skip


@device
def update_by_rows(target, alpha, net, rows, order, start, n, lo, hi):
    """The same from compressed rows: sample by sample, into the rows of its inputs; returns whether all is
    finite."""
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
def update_first_layer(target, alpha, net, rows, order, start, n, lo, hi):
    """target row += alpha * gradient for rows lo..hi - 1, the bias being row D; returns whether all is
    finite. An empty share may lie anywhere, behind the bias too.
    """
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
    good, own = True, min(hi, D)
    if lo < own:
        if rows.form == BYTES:
            update_by_codes(target, alpha, net, rows, order, start, n, lo, own)
        else:
            good = update_by_rows(target, alpha, net, rows, order, start, n, lo, own)
        if rows.centred:  # (x - mean)^T delta = x^T delta - mean (sum of delta)
            at = stride
            product(
                net.shift, at, stride, net.zeros, _0, _0, _ONE,
                net.one, _0, _0, _0, _1, deltas, _0, stride, n, depth_of(n), vectors,
            )  # fmt: skip
            product(
                target, lo * stride, stride, target, lo * stride, stride, -alpha,
                rows.mean, lo, _1, _0, own - lo, net.shift, at, _0, _1, _1, vectors,
            )  # fmt: skip
            good &= rows.form == BYTES or finite(target, lo * stride, (own - lo) * stride)
    if lo <= D < hi:  # the bias is the weight of a 1 in every sample
        product(
            target, D * stride, stride, target, D * stride, stride, alpha,
            net.one, _0, _0, _0, _1, deltas, _0, stride, n, depth_of(n), vectors,
        )  # fmt: skip
        good &= finite(target, D * stride, stride)
    if rows.form == BYTES:
        good &= still_finite(target, lo * stride, (hi - lo) * stride, alpha, net, rows, n)
    return good
