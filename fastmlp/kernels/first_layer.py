"""The first layer: from rows of X to its outputs, and from deltas to its weights.

Rows come as codes, compressed, or dense. The sums are those of two halves of the inputs
(layout.middle_of), which two members may share between them: ``own_half``.
"""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.dropout import kept_entries, spread, thin_codes, thin_floats
from fastmlp.kernels.finite import all_finite, largest
from fastmlp.kernels.intrinsics import copy_word, prefetch, shifted
from fastmlp.kernels.jit import device, inlined
from fastmlp.kernels.layout import BYTES, CSR, DENSE, SPREAD
from fastmlp.kernels.matmul import WORD, add_coded, add_row, depth_of, is_set, matmul, transpose
from fastmlp.kernels.simd import Coded, Matrix
from fastmlp.kernels.team import READY, atomic_store

# Numba compiles a function anew for a literal argument, such as 0: these are not literal.
_0, _1, _WORD = np.int64(0), np.int64(1), np.int64(WORD)
_ONE = np.float32(1)
_YES, _NO = np.bool_(True), np.bool_(False)
_FAR = 1e38  # a third of float32's largest
_NO_BITS, _BIT, _ALL = np.uint64(0), np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)


@device
def gather_word(codes, masks, rows, D, batch, lo, n, w, ahead):
    """Word w of samples lo.. of the batch: their codes side by side, in masks a bit for each that is not 0.

    rows: the codes of all. The sample that is ``ahead`` of each is brought near: a shuffled row is a miss to
    far memory. It is called for every word: an argument more is a percent of an epoch.
    """
    to, first, begin = _0, w * WORD, batch.begin + lo
    width = min(WORD, D - first)
    for b in range(n):
        start = batch.order[begin + b] * D + first
        if begin + b + ahead < batch.N:
            prefetch(rows, batch.order[begin + b + ahead] * D + first)
        if width == WORD:
            masks[b] = copy_word(codes, to, rows, start)
        else:
            for j in range(width):
                codes[to + j] = rows[start + j]
            masks[b] = copy_word(codes, to, codes, to) & ~(_ALL << np.uint64(width))
        to += WORD


@device
def gather_inputs(work, rows, batch, lo, hi, left, right):
    """Inputs left..right - 1 of samples lo..hi - 1 of the batch as dense rows: see layout.Rows.

    left is a multiple of WORD.
    """
    codes, table, values, factor = rows.codes, rows.table, rows.values, rows.factor
    mean, scales = rows.mean, rows.scales
    inputs, D, step, draw = work.inputs, work.layout.fan_in[0], work.layout.input_stride, work.draw
    for b in range(lo, hi):
        i = batch.order[batch.begin + b]
        start, to = i * D, b * step
        if rows.form == DENSE and rows.by_column:
            for j in range(left, right):
                inputs[to + j] = (values[start + j] - mean[j]) * scales[j]
        elif rows.form == DENSE:
            for j in range(left, right):
                inputs[to + j] = values[start + j] * factor - mean[j]
        elif rows.form == SPREAD:
            first = first_from(rows.columns, rows.starts, i, left)
            columns, n, x = shifted(rows.columns, first), rows.starts[i + 1] - first, shifted(values, first)
            spread(draw.inputs, shifted(inputs, to), mean, x, columns, n, left, right, factor, scales)
        else:
            for j in range(left, right):
                inputs[to + j] = table[codes[start + j]] - mean[j]
            if rows.by_column:
                for j in range(left, right):
                    inputs[to + j] *= scales[j]
    if draw.parts[0] > 0:
        some, at = shifted(inputs, lo * step + left), batch.begin + lo
        thin_floats(draw.floats, draw, _0, at, hi - lo, some, some, _NO, step, left // WORD, right - left)
        for b in range(lo, hi):
            inputs[b * step + D] = _ONE  # a vector may end behind it


@device
def first_from(columns, starts, i, column):
    """The first entry of compressed row i whose column is that one, or behind it."""
    t, above = starts[i], starts[i + 1]
    while t < above:
        middle = (t + above) // 2
        if columns[middle] < column:
            t = middle + 1
        else:
            above = middle
    return t


@inlined
def entry(rows, t):
    """The input that entry t of compressed rows is, but for its mean."""
    x = rows.values[t] * rows.factor
    return x * rows.scales[rows.columns[t]] if rows.by_column else x


@device
def kept_of(draw, columns, place, t, n):
    """A mask of n entries of a compressed row: those that are not left out, of the sample at that place."""
    if draw.parts[0] > 0:
        return kept_entries(draw.inputs, draw, place, columns, t, n)
    return _ALL


@device
def bias_of(work, rows):
    """Address of the first layer's bias row, less mean W1 where the rows are sparse and centred.

    Centring is a rank-one correction: (x - mean) W + b = x W + (b - mean W).
    """
    theta, shift = work.weights.theta, work.scratch.shift
    D, stride, vectors = work.layout.fan_in[0], work.layout.stride[0], work.layout.vectors[0]
    if not rows.centred or (rows.form != BYTES and rows.form != CSR):
        return shifted(theta, D * stride)
    matmul(
        Matrix(shift, _0, stride, _1), Matrix(theta, D * stride, stride, _1), -_ONE,
        Matrix(rows.mean, _0, _0, _1), _1, Matrix(theta, _0, stride, _1), D, _WORD, vectors,
    )  # fmt: skip
    return shift


@device
def fill(out, n, row, stride):
    """n rows of out = that row."""
    for b in range(n):
        for j in range(stride):
            out[b * stride + j] = row[j]


@device
def scaled_weights(work, rows, w):
    """The first layer's weights of word w, times their columns' scales."""
    theta, block, stride = work.weights.theta, work.scratch.block, work.layout.stride[0]
    first = w * WORD
    for i in range(min(WORD, work.layout.fan_in[0] - first)):
        scale, at = rows.scales[first + i], (first + i) * stride
        for j in range(stride):
            block[i * stride + j] = scale * theta[at + j]
    return Matrix(block, _0, stride, _1)


@device
def sum_words(out, base, work, rows, batch, lo, n, first, last):
    """n rows of out = that of base + codes times the first layer's weights, over words first..last - 1.

    n is at most WORD.
    """
    codes, masks = work.scratch.codes, work.scratch.masks
    D, stride = work.layout.fan_in[0], work.layout.stride[0]
    coded, draw = Coded(rows.table, Matrix(codes, _0, _WORD, _1), masks), work.draw
    begun, all_begun = _NO_BITS, _ALL >> np.uint64(WORD - n)
    for w in range(first, last):
        gather_word(codes, masks, rows.codes, D, batch, lo, n, w, batch.ahead)
        if draw.parts[0] > 0:
            thin_codes(draw.inputs, draw, codes, masks, w, batch.begin + lo, n)
        weights = Matrix(work.weights.theta, w * WORD * stride, stride, _1)
        if rows.by_column:
            weights = scaled_weights(work, rows, w)
        add_coded(
            Matrix(out, _0, stride, _1), begun, base, _ONE, coded, n, weights, work.layout.vectors[0], _NO
        )
        if begun != all_begun:
            for b in range(n):
                if masks[b] != _NO_BITS:
                    begun |= _BIT << np.uint64(b)
    for b in range(n):
        if not is_set(begun, b):
            fill(shifted(out, b * stride), 1, base, stride)


@device
def sum_inputs(out, base, work, rows, batch, lo, n, left, right):
    """n rows of out = that of base + inputs left..right - 1 of samples lo.. of the batch times their weights.

    The rows of X are not compressed; left is a multiple of WORD, right another or their end.
    """
    if rows.form == BYTES:
        sum_words(out, base, work, rows, batch, lo, n, left // WORD, (right + WORD - 1) // WORD)
        return
    stride, step = work.layout.stride[0], work.layout.input_stride
    gather_inputs(work, rows, batch, lo, lo + n, left, right)
    matmul(
        Matrix(out, _0, stride, _1), Matrix(base, _0, _0, _1), _ONE,
        Matrix(work.inputs, lo * step + left, step, _1), n,
        Matrix(work.weights.theta, left * stride, stride, _1), right - left, _WORD, work.layout.vectors[0],
    )  # fmt: skip


@device
def own_half(state, work, rows, batch, member):
    """Member 0 or 1 sums over its half of the inputs, for all samples of a batch, into its part of halves.

    After each ``depth_of(n)`` samples it says how far it is.
    """
    layout, n = work.layout, batch.n
    D, stride, chunk = layout.fan_in[0], layout.stride[0], depth_of(n)
    base, left, right = work.zeros, _0, layout.middle
    if member:
        base, left, right = shifted(work.weights.theta, D * stride), layout.middle, D
    own = shifted(work.slot.halves, member * layout.half)
    for lo in range(0, n, chunk):
        hi = min(lo + chunk, n)
        sum_inputs(shifted(own, lo * stride), base, work, rows, batch, lo, hi - lo, left, right)
        atomic_store(state, READY + 8 * member, batch.begin + hi)


@device
def first_layer(work, rows, batch, lo, hi, bias):
    """z1 of samples lo..hi - 1 into acts.

    That is a sum over the first half of the inputs, plus one over the second half and the bias; of
    compressed rows one sum. ``bias`` is that of ``bias_of``.
    """
    theta, sums, n = work.weights.theta, work.scratch.sums, hi - lo
    D, stride, middle = work.layout.fan_in[0], work.layout.stride[0], work.layout.middle
    out = shifted(work.slot.acts, lo * stride)
    if rows.form == CSR:
        fill(out, n, bias, stride)
        for b in range(n):
            place, row = batch.begin + lo + b, shifted(out, b * stride)
            i = batch.order[place]
            for first in range(rows.starts[i], rows.starts[i + 1], WORD):
                end = min(first + WORD, rows.starts[i + 1])
                kept = kept_of(work.draw, rows.columns, place, first, end - first)
                for t in range(first, end):
                    if is_set(kept, t - first):
                        weights = shifted(theta, np.int64(rows.columns[t]) * stride)
                        add_row(row, entry(rows, t) * rows.growth, weights, work.layout.vectors[0])
        return
    if middle == D:
        sum_inputs(out, bias, work, rows, batch, lo, n, _0, D)
        return
    sum_inputs(out, work.zeros, work, rows, batch, lo, n, _0, middle)
    sum_inputs(sums, bias, work, rows, batch, lo, n, middle, D)
    for j in range(n * stride):
        out[j] += sums[j]


@device
def still_finite(target, at, width, alpha, work, rows, n):
    """``all_finite`` of a member's rows after a step on n samples: by how large they can have become at most.

    They are read only where that is near the end of float32: there are fewer deltas than weights.
    """
    known, deltas = work.scratch.bound, work.slot.deltas
    step = np.float64(abs(alpha)) * rows.largest * n * largest(deltas, _0, n * work.layout.stride[0])
    bound = known[0] + step
    if not bound < _FAR:  # or nan
        bound = np.float64(largest(target, at, width))
    known[0] = bound
    return bound < np.inf


@device
def add_scaled(target, work, rows, begin, end, masks):
    """Rows begin..end - 1 of target += the block's times their columns' scales, where a mask is not 0."""
    block, stride = work.scratch.block, work.layout.stride[0]
    for i in range(end - begin):
        if masks[i] != _NO_BITS:
            row, scale = shifted(target, (begin + i) * stride), rows.scales[begin + i]
            add_row(row, scale, shifted(block, i * stride), work.layout.vectors[0])


@device
def update_by_codes(target, alpha, work, rows, batch, lo, hi):
    """``update_first_layer`` from codes, for inputs alone, and but for the mean: the bits of samples are
    transposed to bits of inputs."""
    stride, depth, masks, draw = work.layout.stride[0], depth_of(batch.n), work.scratch.masks, work.draw
    D = work.layout.fan_in[0]
    for first in range(0, batch.n, depth):
        together = min(depth, batch.n - first)
        deltas = Matrix(work.slot.deltas, first * stride, stride, _1)
        for w in range(lo // WORD, (hi + WORD - 1) // WORD):
            begin, end = max(lo, w * WORD), min(hi, (w + 1) * WORD)
            gather_word(work.scratch.codes, masks, rows.codes, D, batch, first, together, w, batch.N)
            if draw.parts[0] > 0:
                thin_codes(draw.inputs, draw, work.scratch.codes, masks, w, batch.begin + first, together)
            for s in range(together, WORD):
                masks[s] = _NO_BITS
            transpose(masks)
            codes = Matrix(work.scratch.codes, begin - w * WORD, _1, _WORD)
            coded = Coded(rows.table, codes, shifted(masks, begin - w * WORD))
            out = Matrix(target, begin * stride, stride, _1)
            if rows.by_column:
                fill(work.scratch.block, end - begin, work.zeros, stride)
                out = Matrix(work.scratch.block, _0, stride, _1)
            add_coded(out, _ALL, work.zeros, alpha, coded, end - begin, deltas, work.layout.vectors[0], _YES)
            if rows.by_column:
                add_scaled(target, work, rows, begin, end, coded.masks)


@device
def update_by_rows(target, alpha, work, rows, batch, lo, hi):
    """The same from compressed rows: sample by sample, into the rows of its inputs; returns whether all is
    finite."""
    stride, starts, columns = work.layout.stride[0], rows.starts, rows.columns
    good = True
    for b in range(batch.n):
        i = batch.order[batch.begin + b]
        t, end, delta = (
            first_from(columns, starts, i, lo),
            starts[i + 1],
            shifted(work.slot.deltas, b * stride),
        )
        while t < end and columns[t] < hi:
            n = min(_WORD, end - t)
            kept = kept_of(work.draw, columns, batch.begin + b, t, n)
            for k in range(n):
                if columns[t] >= hi:
                    break
                if is_set(kept, k):
                    at, x = np.int64(columns[t]) * stride, entry(rows, t) * rows.growth
                    add_row(shifted(target, at), alpha * x, delta, work.layout.vectors[0])
                    good &= all_finite(target, at, stride)
                t += 1
    return good


@device
def update_first_layer(target, alpha, work, rows, batch, lo, hi):
    """target row += alpha * gradient for rows lo..hi - 1, the bias being row D; returns whether all is
    finite. An empty share may lie anywhere, behind the bias too.
    """
    layout, n, depth = work.layout, batch.n, depth_of(batch.n)
    D, stride, vectors = layout.fan_in[0], layout.stride[0], layout.vectors[0]
    deltas = Matrix(work.slot.deltas, _0, stride, _1)
    if rows.form != BYTES and rows.form != CSR:
        good = True
        for begin in range(lo, hi, WORD):
            out, M = Matrix(target, begin * stride, stride, _1), min(WORD, hi - begin)
            inputs = Matrix(work.inputs, begin, _1, layout.input_stride)
            matmul(out, out, alpha, inputs, M, deltas, n, depth, vectors)
            good &= all_finite(target, out.at, M * stride)
        return good
    good, own, ones = True, min(hi, D), Matrix(work.one, _0, _0, _0)
    if lo < own:
        if rows.form == BYTES:
            update_by_codes(target, alpha, work, rows, batch, lo, own)
        else:
            good = update_by_rows(target, alpha, work, rows, batch, lo, own)
        if rows.centred:  # (x - mean)^T delta = x^T delta - mean (sum of delta)
            total = Matrix(work.scratch.shift, stride, stride, _1)
            matmul(total, Matrix(work.zeros, _0, _0, _1), _ONE, ones, _1, deltas, n, depth, vectors)
            out = Matrix(target, lo * stride, stride, _1)
            matmul(out, out, -alpha, Matrix(rows.mean, lo, _1, _0), own - lo, total, _1, _1, vectors)
            good &= rows.form == BYTES or all_finite(target, out.at, (own - lo) * stride)
    if lo <= D < hi:  # the bias is the weight of a 1 in every sample
        out = Matrix(target, D * stride, stride, _1)
        matmul(out, out, alpha, ones, _1, deltas, n, depth, vectors)
        good &= all_finite(target, out.at, stride)
    if rows.form == BYTES:
        good &= still_finite(target, lo * stride, (hi - lo) * stride, alpha, work, rows, n)
    return good
