"""The compiled part of in_place.py for nets of float32, and the plan that it follows.

Sums have the order of first_layer.py and matmul.py: a row's outputs have the bytes of a whole pass, whoever
its neighbours are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmlp.kernels.activations import activate
from fastmlp.kernels.first_layer import fill
from fastmlp.kernels.in_place_layers import (
    ACT,
    BYTES,
    DEPTH,
    EACH,
    FACTOR,
    FAN_IN,
    FAN_OUT,
    FEW,
    FLOATS,
    INPUTS,
    KIND,
    LAYERS,
    LINK,
    MANY,
    MEAN,
    NUMBER,
    OWN,
    PADDED,
    SCALE,
    STRIDE,
    VECTORS,
    WIDE,
    W,
    bias_of,
    copied_of_all,
    copied_rows,
    layers_copier,
    parts_of,
    weights_from,
)
from fastmlp.kernels.intrinsics import (
    address,
    bits_float,
    count_ones,
    doubles_at,
    float_bits,
    not_zero,
    pointer_at,
    prefetch,
    shifted,
)
from fastmlp.kernels.jit import device, kernel
from fastmlp.kernels.layout import acts_of, middle_of
from fastmlp.kernels.losses import LINKS, predictions
from fastmlp.kernels.matmul import WORD, add_coded, matmul, padded_vectors
from fastmlp.kernels.simd import LANES, WIDEST, Coded, Matrix
from fastmlp.net import Net

_MIDDLE = OWN  # where the second half of the inputs begins

_0, _1, _WORD = np.int64(0), np.int64(1), np.int64(WORD)
_ZERO, _ONE = np.float32(0), np.float32(1)
_NO_BITS, _ALL = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)
_NO = np.bool_(False)
_MAGNITUDE, _INFINITY = np.int32(0x7FFFFFFF), np.int32(0x7F800000)  # of a float32's bits


def plan_of(net: Net, link: str, places: list[int], mean: int, scale: int) -> list[int]:
    """Return what ``predict_rows`` follows, but for the kind of X; places: of W1, b1, W2, ...; 0 for none."""
    (acts, numbers), layers, D = acts_of(net), list[int](), net.architecture.inputs
    bits = [(int(act), int(number)) for act, number in zip(acts, numbers.view(np.int32), strict=True)]
    for i, shape in enumerate(net.parameters.shapes):
        vectors = -(-shape[1] // LANES)
        padded = padded_vectors(vectors) if i == 0 else vectors
        stride = -(-padded * LANES // WIDEST) * WIDEST
        own, act = places[2 * i : 2 * i + 2], [*bits, (0, 0)][i]
        layers += parts_of(shape, own, stride, vectors, padded, LANES, WORD, act)
    factor = np.float32(1 if scale else 1 / net.preprocessing.scale)
    wide = max(layers[STRIDE::EACH])
    return [
        len(net.parameters.shapes), D, LINKS[link].place, mean, scale, int(factor.view(np.int32)), wide,
        middle_of(D), *layers,
    ]  # fmt: skip


class Room(NamedTuple):
    """Memory of one call. block: rows that are on their way together, WORD at most.

    inputs: (block, WORD) of a word, or (block, D) where that is less. masks: a bit for each of a row that is
    not 0. means, scales (D,): of the inputs, as layout.Rows has them. copies: see ``copy_layers``. columns:
    room for the link.
    """

    inputs: Any
    masks: Any
    means: Any
    scales: Any
    copies: Any
    columns: Any


@kernel
def predict_rows(p, x, plan, lo, hi):
    """Rows lo..hi - 1 of p, of those of X, whose bytes x are; returns whether all their values are finite."""
    depth, wide, K, many = plan[DEPTH], plan[WIDE], p.shape[1], hi - lo >= MANY
    block, last = min(WORD, hi - lo), LAYERS + EACH * (depth - 1)
    outputs, D, copied = plan[last + FAN_OUT], plan[INPUTS], copied_of_all(plan, many)
    span, word = block * wide, WORD * WORD + WORD
    size = 2 * span + word + copied + (outputs + 3) * block + 2 * D + 16
    space, bits = np.empty(size, np.float32), np.empty(WORD + 2, np.uint64)
    acts = shifted(address(space), (64 - space.ctypes.data % 64) % 64 // 4)  # begins on a cache line
    after, inputs, copies = shifted(acts, span), shifted(acts, 2 * span), shifted(acts, 2 * span + word)
    columns = shifted(copies, copied)
    means = shifted(columns, (outputs + 3) * block)
    room = Room(inputs, address(bits), means, shifted(means, D), copies, columns)
    for j in range(2 * span):  # activations take what lies behind a row's last vector, too
        acts[j] = _ZERO
    prepare(room, plan)
    copy_layers(room.copies, plan, many)
    for begin in range(lo, hi, WORD):
        n = min(WORD, hi - begin)
        if not first_layer(acts, after, room, x, plan, begin, n, many):
            return False
        copy = room.copies
        for at in range(LAYERS, last, EACH):
            stride, number = plan[at + STRIDE], bits_float(np.int32(plan[at + NUMBER]))
            activate(plan[at + ACT], acts, room.inputs, n * stride, number)
            copy = shifted(copy, copied_rows(plan, at, many) * stride)
            next_layer(after, acts, stride, n, copy, plan, at + EACH, many)
            acts, after = after, acts
        out, stride = shifted(address(p), begin * K), plan[last + STRIDE]
        if outputs == K:
            predictions(plan[LINK], out, acts, stride, outputs, room.columns, block, n)
        else:  # both of one output
            predictions(plan[LINK], room.inputs, acts, stride, outputs, room.columns, block, n)
            for b in range(n):
                out[2 * b], out[2 * b + 1] = _ONE - room.inputs[b], room.inputs[b]
    return len(space) > 0 and len(bits) > 0  # both live until here: of addresses Numba keeps no count


@device
def prepare(room, plan):
    """The means and scales of the inputs, where they have any."""
    factor = bits_float(np.int32(plan[FACTOR]))
    if plan[MEAN] != 0:
        mean = pointer_at(plan[MEAN])
        for j in range(plan[INPUTS]):
            room.means[j] = mean[j] * factor
    if plan[SCALE] != 0:
        scale = doubles_at(plan[SCALE])
        for j in range(plan[INPUTS]):
            room.scales[j] = np.float32(1 / scale[j])


copy_layers = layers_copier(pointer_at, _ZERO)


@device
def next_layer(out, inputs, step, n, copy, plan, at, many):
    """The sums of a layer, of n rows of inputs that are ``step`` apart."""
    fan_in, stride, vectors = plan[at + FAN_IN], plan[at + STRIDE], plan[at + VECTORS]
    target = Matrix(out, _0, stride, _1)
    base = Matrix(bias_of(copy, plan, at, many), _0, _0, _1)
    for first in range(0, fan_in, WORD):
        terms, weights = (
            min(WORD, fan_in - first),
            weights_from(pointer_at(plan[at + W]), copy, plan, at, first, many),
        )
        matmul(target, base, _ONE, Matrix(inputs, first, step, _1), n, weights, terms, _WORD, vectors)
        base = target


@device
def first_layer(out, other, room, x, plan, begin, n, many):
    """The sums of the first layer, of n rows of X; returns whether these are finite.

    As in first_layer.py, a sum over the first half of the inputs, and one over the second and the bias. Of
    each word the inputs that are not 0 are walked, or all of them, whichever is sooner.
    """
    at, D, middle = np.int64(LAYERS), plan[INPUTS], plan[_MIDDLE]
    stride, bias = plan[at + STRIDE], bias_of(room.copies, plan, at, many)
    halved, target, given = middle < D, out, Matrix(room.inputs, _0, min(D, _WORD), _1)
    if halved:
        for j in range(n * stride):
            out[j] = _ZERO
        target = other
    fill(target, n, bias, stride)
    target = out
    for first in range(0, D, WORD):
        width = min(_WORD, D - first)
        if not take_word(room, x, plan, begin, n, first, width):
            return False
        if halved and first >= middle:
            target = other
        weights, sums = (
            weights_from(pointer_at(plan[at + W]), room.copies, plan, at, first, many),
            Matrix(target, _0, stride, _1),
        )
        if 2 * mark(room.masks, given, n, width) < n * width or n < FEW:
            coded = Coded(room.inputs, given, room.masks)
            add_coded(sums, _ALL, bias, _ONE, coded, n, weights, plan[at + PADDED], _NO)
        else:
            matmul(sums, sums, _ONE, given, n, weights, width, _WORD, plan[at + VECTORS])
    if halved:
        for j in range(n * stride):
            out[j] += other[j]
    return True


@device
def take_word(room, x, plan, begin, n, first, width):
    """Inputs first.. of n rows of X into ``room.inputs``; returns whether these values are finite."""
    D, kind, step, factor = plan[INPUTS], plan[KIND], WORD, bits_float(np.int32(plan[FACTOR]))
    runs, size, bits = n, width, np.int32(0)
    if D <= WORD:  # one word is all of a row: they lie side by side
        runs, size, step = _1, n * D, D
    for b in range(runs):
        start, to = (begin + b) * D + first, shifted(room.inputs, b * step)
        if kind == BYTES:
            codes = shifted(address(x), start)
            prefetch(codes, WORD * D)
            for j in range(size):
                to[j] = np.float32(codes[j]) * factor
        elif kind == FLOATS:
            bits = max(bits, take(to, shifted(address(x.view(np.float32)), start), size, factor))
        else:
            bits = max(bits, take(to, shifted(address(x.view(np.float64)), start), size, factor))
    if plan[MEAN] != 0:
        for b in range(n):
            for j in range(width):
                room.inputs[b * step + j] -= room.means[first + j]
    if plan[SCALE] != 0:
        for b in range(n):
            for j in range(width):
                room.inputs[b * step + j] *= room.scales[first + j]
    return bits < _INFINITY


@device
def take(to, values, n, factor):
    """n values times the factor, as float32; returns the largest magnitude of the values, as its bits."""
    bits = np.int32(0)
    for j in range(n):
        value = np.float32(values[j])
        bits = max(bits, np.int32(float_bits(value) & _MAGNITUDE))
        to[j] = value * factor
    return bits


@device
def mark(masks, inputs, n, width):
    """A bit in masks for each of n rows' inputs that is not 0; returns how many they are."""
    count, own = _0, _ALL >> np.uint64(WORD - width)
    for b in range(n):
        masks[b] = not_zero(shifted(inputs.data, b * inputs.row)) & own
        count += count_ones(masks[b])
    masks[n] = masks[n + 1] = _NO_BITS  # loops read so many ahead
    return count
