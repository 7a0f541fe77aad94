"""The compiled part of in_place.py for nets of float64, and the plan that it follows.

Sums have the order of plain_loops.py: a row's outputs have the bytes of its pass, whoever its neighbours are.
"""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.finite import all_finite64
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
    SCALE,
    STRIDE,
    TERMS,
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
from fastmlp.kernels.intrinsics import address, bits_float, doubles_at, fma, shifted
from fastmlp.kernels.jit import device, kernel
from fastmlp.kernels.matmul import WORD
from fastmlp.kernels.plain_layout import LANES, stride_of
from fastmlp.kernels.plain_loops import PRODUCT, product
from fastmlp.kernels.plain_steps import copy_all
from fastmlp.kernels.plain_words import ACTIVATIONS, LINKS, activate, predictions
from fastmlp.kernels.simd import Matrix
from fastmlp.net import Net
from fastmlp.words import activations as words

_BLOCK = 64  # rows that are walked together

_PRODUCT = OWN  # the place of the plug-in

_0, _1 = np.int64(0), np.int64(1)
_ZERO, _ONE = 0.0, 1.0


def plan_of(net: Net, link: str, places: list[int], mean: int, scale: int) -> list[int]:
    """Return what ``predict_rows`` follows, but for the kind of X; places: of W1, b1, W2, ...; 0 for none."""
    layers, acts = list[int](), [words.parts_of(act) for act in net.architecture.acts]
    bits = [
        (ACTIVATIONS[name].forward.place, int(np.float64(number).view(np.int64))) for name, number in acts
    ]
    for i, shape in enumerate(net.parameters.shapes):
        stride, own, act = stride_of(shape[1]), places[2 * i : 2 * i + 2], [*bits, (0, 0)][i]
        vectors, terms = stride // LANES, -(-shape[0] // -(-shape[0] // WORD))  # matmul.depth_of
        layers += parts_of(shape, own, stride, vectors, vectors, LANES, terms, act)
    factor = np.float64(1 if scale else 1 / net.preprocessing.scale)
    return [
        len(net.parameters.shapes), net.architecture.inputs, LINKS[link].place, mean, scale,
        int(factor.view(np.int64)), max(layers[STRIDE::EACH]), PRODUCT.place, *layers,
    ]  # fmt: skip


@kernel
def predict_rows(p, x, plan, lo, hi):
    """Rows lo..hi - 1 of p, of those of X, whose bytes x are; returns whether all their values are finite."""
    depth, D, K, many = plan[DEPTH], plan[INPUTS], p.shape[1], hi - lo >= MANY
    block, last, copied = min(_BLOCK, hi - lo), LAYERS + EACH * (depth - 1), copied_of_all(plan, many)
    span = block * plan[WIDE]
    space = np.empty(copied + 3 * span + block * D)
    copies = address(space)
    acts = shifted(copies, copied)
    after, slopes, inputs = shifted(acts, span), shifted(acts, 2 * span), shifted(acts, 3 * span)
    copy_layers(copies, plan, many)
    for begin in range(lo, hi, block):
        n = min(block, hi - begin)
        if not take_rows(inputs, x, plan, begin, n):
            return False
        copy, source, step = copies, inputs, D
        for at in range(LAYERS, last + 1, EACH):
            stride = plan[at + STRIDE]
            next_layer(after, source, step, n, copy, plan, at, many, slopes)
            if at < last:
                activate(plan[at + ACT], after, slopes, n * stride, bits_float(plan[at + NUMBER]))
            copy, source, step = shifted(copy, copied_rows(plan, at, many) * stride), after, stride
            acts, after = after, acts
        outputs, out = plan[last + FAN_OUT], shifted(address(p), begin * K)
        if outputs == K:
            predictions(plan[LINK], out, acts, step, outputs, n)
        else:  # both of one output
            predictions(plan[LINK], slopes, acts, step, outputs, n)
            for b in range(n):
                out[2 * b], out[2 * b + 1] = _ONE - slopes[b], slopes[b]
    return len(space) > 0  # it lives until here: of addresses Numba keeps no count


copy_layers = layers_copier(doubles_at, _ZERO)


@device
def next_layer(out, inputs, step, n, copy, plan, at, many, sums):
    """The sums of a layer, of n rows of inputs that are ``step`` apart. sums: room for one of them."""
    fan_in, stride, depth = plan[at + FAN_IN], plan[at + STRIDE], plan[at + TERMS]
    target = Matrix(out, _0, stride, _1)
    base = Matrix(bias_of(copy, plan, at, many), _0, _0, _1)
    for first in range(0, fan_in, depth):
        weights = weights_from(doubles_at(plan[at + W]), copy, plan, at, first, many)
        given, terms = Matrix(inputs, first, step, _1), min(depth, fan_in - first)
        if n < FEW and is_sparse(given, n, terms):
            add_rows(target, base, given, n, weights, terms, sums)
        else:
            product(plan[_PRODUCT], target, base, given, n, weights, terms, plan[at + VECTORS])
        base = target


@device
def is_sparse(inputs, n, terms):
    """Tell whether most of n rows of inputs are 0."""
    zeros = _0
    for b in range(n):
        for j in range(terms):
            zeros += np.int64(inputs.data[inputs.at + b * inputs.row + j] == _ZERO)
    return 2 * zeros > n * terms


@device
def add_rows(out, base, inputs, n, weights, terms, sums):
    """Make out = base + inputs times weights, as ``product`` does, but that zeros are skipped."""
    for b in range(n):
        to, start = b * out.row, base.at + b * base.row
        for k in range(out.row):
            sums[k] = _ZERO
        for j in range(terms):
            x, row = inputs.data[inputs.at + b * inputs.row + j], weights.at + j * weights.row
            if x != _ZERO:
                for k in range(out.row):
                    sums[k] = fma(x, weights.data[row + k], sums[k])
        for k in range(out.row):
            out.data[to + k] = sums[k] + base.data[start + k]


@device
def take_rows(inputs, x, plan, begin, n):
    """The inputs of n rows of X, whose values are finite, or False."""
    D, factor = plan[INPUTS], bits_float(plan[FACTOR])
    start, size = begin * D, n * D
    if plan[KIND] == BYTES:
        codes = shifted(address(x), start)
        for j in range(size):
            inputs[j] = np.float64(codes[j])
    elif plan[KIND] == FLOATS:
        floats = shifted(address(x.view(np.float32)), start)
        for j in range(size):
            inputs[j] = np.float64(floats[j])
    else:
        copy_all(inputs, shifted(address(x.view(np.float64)), start), size)
    if not all_finite64(inputs, _0, size):
        return False
    if plan[MEAN] != 0:
        mean = doubles_at(plan[MEAN])
        for b in range(n):
            for j in range(D):
                inputs[b * D + j] -= mean[j]
    if plan[SCALE] != 0:
        scale = doubles_at(plan[SCALE])
        for b in range(n):
            for j in range(D):
                inputs[b * D + j] *= _ONE / scale[j]
    elif factor != _ONE:
        for j in range(size):
            inputs[j] *= factor
    return True
