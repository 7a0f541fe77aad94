"""The compiled part of in_place.py for nets of float64, and the plan that it follows.

Sums have the order of plain_loops.py: a row's outputs have the bytes of its pass, whoever its neighbours are.
"""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.intrinsics import address, bits_float, doubles_at, shifted
from fastmlp.kernels.jit import device, kernel
from fastmlp.kernels.plain_layout import stride_of
from fastmlp.kernels.plain_loops import PRODUCT, product
from fastmlp.kernels.plain_steps import all_finite, copy_all
from fastmlp.kernels.plain_words import ACTIVATIONS, LINKS, activate, predictions
from fastmlp.kernels.simd import Matrix
from fastmlp.net import Net
from fastmlp.words.activations import parts_of

_BLOCK = 64  # rows that are walked together

# Parts of a plan, and from LAYERS on those of each layer.
_KIND, _DEPTH, _INPUTS, _LINK, _MEAN, _SCALE, _FACTOR, _WIDE, _PRODUCT, _LAYERS = range(10)
_FAN_IN, _FAN_OUT, _W, _B, _STRIDE, _ACT, _NUMBER, _EACH = range(8)
_BYTES, _FLOATS = 0, 1  # kinds of X, of in_place.KINDS

_0, _1, _LANES = np.int64(0), np.int64(1), np.int64(4)
_ZERO, _ONE = 0.0, 1.0


def plan_of(net: Net, link: str, places: list[int], mean: int, scale: int) -> list[int]:
    """What ``predict_rows`` follows, but for the kind of X; places: of W1, b1, W2, ...; 0 for none."""
    layers, acts = list[int](), [parts_of(act) for act in net.architecture.acts]
    for i, (fan_in, fan_out) in enumerate(net.parameters.shapes):
        act = (0, 0)
        if i < len(acts):
            act = ACTIVATIONS[acts[i][0]].forward.place, int(np.float64(acts[i][1]).view(np.int64))
        layers += [fan_in, fan_out, *places[2 * i : 2 * i + 2], stride_of(fan_out), *act]
    factor = np.float64(1 if scale else 1 / net.preprocessing.scale)
    return [
        len(net.parameters.shapes), net.architecture.inputs, LINKS[link].place, mean, scale,
        int(factor.view(np.int64)), max(layers[_STRIDE::_EACH]), PRODUCT.place, *layers,
    ]  # fmt: skip


@kernel
def predict_rows(p, x, plan, lo, hi):
    """Rows lo..hi - 1 of p, of those of X, whose bytes x are; returns whether all their values are finite."""
    depth, D, K, block = plan[_DEPTH], plan[_INPUTS], p.shape[1], min(_BLOCK, hi - lo)
    last, span, size = _LAYERS + _EACH * (depth - 1), block * plan[_WIDE], _0
    for at in range(_LAYERS, last + 1, _EACH):
        size += (plan[at + _FAN_IN] + 1) * plan[at + _STRIDE]
    space = np.empty(size + 3 * span + block * D)
    theta = address(space)
    acts, after, slopes = shifted(theta, size), shifted(theta, size + span), shifted(theta, size + 2 * span)
    inputs = shifted(theta, size + 3 * span)
    copy_layers(theta, plan)
    for begin in range(lo, hi, block):
        n = min(block, hi - begin)
        if not take_rows(inputs, x, plan, begin, n):
            return False
        weights, source, step = theta, inputs, D
        for at in range(_LAYERS, last + 1, _EACH):
            fan_in, stride = plan[at + _FAN_IN], plan[at + _STRIDE]
            product(
                plan[_PRODUCT], Matrix(after, _0, stride, _1), Matrix(weights, fan_in * stride, _0, _1),
                Matrix(source, _0, step, _1), n, Matrix(weights, _0, stride, _1), fan_in, stride // _LANES,
            )  # fmt: skip
            if at < last:
                activate(plan[at + _ACT], after, slopes, n * stride, bits_float(plan[at + _NUMBER]))
            weights, source, step = shifted(weights, (fan_in + 1) * stride), after, stride
            acts, after = after, acts
        outputs, out = plan[last + _FAN_OUT], shifted(address(p), begin * K)
        if outputs == K:
            predictions(plan[_LINK], out, acts, step, outputs, n)
        else:  # both of one output
            predictions(plan[_LINK], slopes, acts, step, outputs, n)
            for b in range(n):
                out[2 * b], out[2 * b + 1] = _ONE - slopes[b], slopes[b]
    return len(space) > 0  # it lives until here: of addresses Numba keeps no count


@device
def copy_layers(theta, plan):
    """Each layer's weights and then its bias, a row after the other, padded with zeros."""
    to = theta
    for layer in range(plan[_DEPTH]):
        at = _LAYERS + _EACH * layer
        fan_in, fan_out, stride = plan[at + _FAN_IN], plan[at + _FAN_OUT], plan[at + _STRIDE]
        W, b = doubles_at(plan[at + _W]), doubles_at(plan[at + _B])
        for i in range(fan_in + 1):
            copy_all(to, shifted(W, i * fan_out) if i < fan_in else b, fan_out)
            for k in range(fan_out, stride):
                to[k] = _ZERO
            to = shifted(to, stride)


@device
def take_rows(inputs, x, plan, begin, n):
    """The inputs of n rows of X, whose values are finite, or False."""
    D, factor = plan[_INPUTS], bits_float(plan[_FACTOR])
    start, size = begin * D, n * D
    if plan[_KIND] == _BYTES:
        codes = shifted(address(x), start)
        for j in range(size):
            inputs[j] = np.float64(codes[j])
    elif plan[_KIND] == _FLOATS:
        floats = shifted(address(x.view(np.float32)), start)
        for j in range(size):
            inputs[j] = np.float64(floats[j])
    else:
        copy_all(inputs, shifted(address(x.view(np.float64)), start), size)
    if not all_finite(inputs, size):
        return False
    if plan[_MEAN] != 0:
        mean = doubles_at(plan[_MEAN])
        for b in range(n):
            for j in range(D):
                inputs[b * D + j] -= mean[j]
    if plan[_SCALE] != 0:
        scale = doubles_at(plan[_SCALE])
        for b in range(n):
            for j in range(D):
                inputs[b * D + j] *= _ONE / scale[j]
    elif factor != _ONE:
        for j in range(size):
            inputs[j] *= factor
    return True
