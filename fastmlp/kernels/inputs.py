"""The first layer: from rows of X to its outputs, and from deltas to its weights.

Rows come as gathered codes, compressed, or dense. The sums are those of two halves of the inputs
(net.middle_of), which two members may share between them: ``own_half``.
"""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.jit import device
from fastmlp.kernels.net import BYTES, CSR, DENSE
from fastmlp.kernels.products import WORD, add_row, depth_of, product, transpose, walk
from fastmlp.kernels.simd import bits_float, float_bits, nonzero_bits, prefetch
from fastmlp.kernels.team import READY, atomic_store

_AHEAD = 8  # samples whose rows are asked for before they are read

# Numba compiles a function anew for a literal argument, such as 0: these are not literal.
_0, _1, _WORD = np.int64(0), np.int64(1), np.int64(WORD)
_LINE = 64  # bytes of a cache line
_ONE = np.float32(1)
MAGNITUDE, INFINITY = np.int32(0x7FFFFFFF), np.int32(0x7F800000)  # of a float32's bits
_FAR = 1e38  # a third of float32's largest
_NO_BITS = np.uint64(0)


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
def own_half(state, net, rows, order, N, begin, B, n, member):
    """Member 0 or 1 sums over its half of the inputs, for all n samples of a batch, into parts.

    After each ``depth_of(n)`` samples it says how far it is.
    """
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
        atomic_store(state, READY + 8 * member, begin + hi)


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
def still_finite(target, at, width, alpha, net, rows, n, member):
    """``finite`` of a member's rows after a step on n samples: by how large they can have become at most.

    They are read only where that is near the end of float32: there are fewer deltas than weights.
    """
    step = np.float64(abs(alpha)) * rows.largest * n * largest(net.deltas, _0, n * net.stride[0])
    bound = net.bounds[member * WORD] + step
    if not bound < _FAR:  # or nan
        bound = np.float64(largest(target, at, width))
    net.bounds[member * WORD] = bound
    return bound < np.inf


@device
def update_by_codes(target, alpha, net, rows, B, n, lo, hi, member):
    """``update_first_layer`` from gathered codes, but for the bias and the mean: the bits of samples
    are turned into bits of inputs."""
    D, stride, words = net.fan_in[0], net.stride[0], net.words
    masks, mine, depth = net.masks, 2 * member * WORD, depth_of(n)
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
    good = True
    if rows.form == BYTES:
        update_by_codes(target, alpha, net, rows, B, n, lo, hi, member)
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
        good &= rows.form == BYTES or finite(target, lo * stride, own * stride)
    if hi > D:  # the bias is the weight of a 1 in every sample
        product(
            target, D * stride, stride, target, D * stride, stride, alpha,
            net.one, _0, _0, _0, _1, deltas, _0, stride, n, depth_of(n), vectors,
        )  # fmt: skip
        good &= finite(target, D * stride, stride)
    if rows.form == BYTES:
        good &= still_finite(target, lo * stride, (hi - lo) * stride, alpha, net, rows, n, member)
    return good
