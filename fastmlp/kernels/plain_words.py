"""Activations, losses and links in float64: what activations.py and losses.py have, as their formulas say it.

Nothing here is made for speed but that loops run over whole blocks of rows, which fill vectors.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from fastmlp.kernels.jit import device
from fastmlp.kernels.losses import NO_LOSS64
from fastmlp.kernels.plain_maths import exp, expm1, log1p, normal, sigmoid, tanh
from fastmlp.kernels.plug_ins import DOUBLE, DOUBLES, INT, INTS, NOTHING, PlugIn, caller, kind

_SELU, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017
_DEPTH = _SELU * _SELU_ALPHA
_TWICE, _CUBE = 2 * math.sqrt(2 / math.pi), 0.044715  # of gelu_tanh; Hendrycks and Gimpel 2016
_ZERO, _ONE = 0.0, 1.0


# --- activations: a and da/dz of z, or da/dz of a -----------------------------------------------------------


@device
def _relu(z, number):
    return _ZERO if z < _ZERO else z + _ZERO  # else z: a masked store


@device
def _relu_slope(a, number):
    return _ONE if a > _ZERO else _ZERO


@device
def _leaky_relu(z, slope):
    return z if z > _ZERO else slope * z


@device
def _leaky_relu_slope(a, slope):
    return _ONE if a > _ZERO else slope


@device
def _elu(z, depth):
    return z if z > _ZERO else depth * expm1(z)


@device
def _elu_slope(a, depth):
    return _ONE if a > _ZERO else a + depth


@device
def _selu(z, number):
    return _SELU * z if z > _ZERO else _DEPTH * expm1(z)


@device
def _selu_slope(a, number):
    return _SELU if a > _ZERO else a + _DEPTH


@device
def _softplus(z, number):
    return (z if z > _ZERO else _ZERO) + log1p(exp(-abs(z)))


@device
def _softplus_slope(a, number):
    return -expm1(-a)


@device
def _sigmoid(z, number):
    return sigmoid(z)


@device
def _sigmoid_slope(a, number):
    return a * (_ONE - a)


@device
def _hard_sigmoid(z, slope):
    a = slope * z + 0.5
    return _ZERO if a < _ZERO else (_ONE if a > _ONE else a)


@device
def _hard_sigmoid_slope(a, slope):
    return slope if _ZERO < a < _ONE else _ZERO


@device
def _tanh(z, number):
    return tanh(z)


@device
def _tanh_slope(a, number):
    return _ONE - a * a


@device
def _identity(z, number):
    return z


@device
def _identity_slope(a, number):
    return _ONE


@device
def _gelu(z, number):
    share, density = normal(z)
    return z * share, share + z * density


@device
def _gelu_tanh(z, number):
    x = -20.0 if z < -20.0 else (20.0 if z > 20.0 else z)
    share = sigmoid(_TWICE * (x + _CUBE * x * x * x))
    return z * share, share + x * share * (_ONE - share) * _TWICE * (_ONE + 3 * _CUBE * x * x)


@device
def _silu(z, number):
    share = sigmoid(z)
    return z * share, share * (_ONE + z * (_ONE - share))


ACTIVATE = kind(NOTHING, DOUBLES, DOUBLES, INT, DOUBLE)
activate = caller(ACTIVATE)
"""activate(place, a, slopes, width, number): a[:width] = that activation of itself.

slopes (width,): da/dz, of activations that keep it; others leave it alone.
"""

BACK = kind(NOTHING, DOUBLES, DOUBLES, INT, DOUBLE)
multiply_by_slope = caller(BACK)
"""multiply_by_slope(place, delta, a, width, number): delta *= da/dz, by the output a, or by slopes kept."""


class Activation(NamedTuple):
    """A hidden layer's function and the way back. kept: its slope is none of its output's."""

    forward: PlugIn
    backward: PlugIn
    kept: bool


def _by_output(name, function, slope):
    def activate(a, slopes, width, number):
        for j in range(width):
            a[j] = function(a[j], number)

    def multiply_by_slope(delta, a, width, number):
        for j in range(width):
            delta[j] *= slope(a[j], number)

    back = PlugIn(f"plain_{name}_slope", multiply_by_slope, BACK, apart=True)
    return Activation(PlugIn(f"plain_{name}", activate, ACTIVATE, apart=True), back, False)


def _by_input(name, function):
    def activate(a, slopes, width, number):
        for j in range(width):
            a[j], slopes[j] = function(a[j], number)

    return Activation(PlugIn(f"plain_{name}", activate, ACTIVATE, apart=True), _KEPT, True)


def _multiply(delta, slopes, width, number):
    for j in range(width):
        delta[j] *= slopes[j]


_KEPT = PlugIn("plain_kept_slope", _multiply, BACK, apart=True)

ACTIVATIONS = {
    "relu": _by_output("relu", _relu, _relu_slope),
    "leaky_relu": _by_output("leaky_relu", _leaky_relu, _leaky_relu_slope),
    "elu": _by_output("elu", _elu, _elu_slope),
    "selu": _by_output("selu", _selu, _selu_slope),
    "gelu": _by_input("gelu", _gelu),
    "gelu_tanh": _by_input("gelu_tanh", _gelu_tanh),
    "silu": _by_input("silu", _silu),
    "softplus": _by_output("softplus", _softplus, _softplus_slope),
    "sigmoid": _by_output("sigmoid", _sigmoid, _sigmoid_slope),
    "hard_sigmoid": _by_output("hard_sigmoid", _hard_sigmoid, _hard_sigmoid_slope),
    "tanh": _by_output("tanh", _tanh, _tanh_slope),
    "identity": _by_output("identity", _identity, _identity_slope),
}
"""All of them: a new one is an entry here."""


# --- losses: of rows of K outputs z, ``stride`` apart -------------------------------------------------------


@device
def _softmax(p, sums, best, z, stride, n, K):
    """p = softmax of rows of z; sums (n,): log of the sum of exp(z); best (n,): the first largest of K.

    p is spoilt between its rows. The exponentials are one loop over all rows: K may be small.
    """
    for b in range(n):
        at, top = b * stride, 0
        for k in range(1, K):
            if z[at + k] > z[at + top]:
                top = k
        best[b], sums[b] = top, z[at + top]
        for k in range(stride):
            p[at + k] = z[at + k] - sums[b]
    for i in range(n * stride):
        p[i] = exp(p[i])
    for b in range(n):
        at, total = b * stride, _ZERO
        for k in range(K):
            total += p[at + k]
        sums[b] += math.log(total)
        for k in range(K):
            p[at + k] /= total


@device
def _scale(deltas, at, factor, K, stride):
    """Times that factor K deltas of a row, and zeros after them."""
    for k in range(K):
        deltas[at + k] *= factor
    for k in range(K, stride):
        deltas[at + k] = _ZERO


@device
def _own(loss, row, inverse):
    """The row's share of its batch."""
    return loss.weights[row] * inverse if loss.weighted else inverse


@device
def _clip(loss, p):
    return loss.low if p < loss.low else (loss.high if p > loss.high else p)  # nan stays nan


@device
def _capped(loss, x):
    return loss.most if loss.most < x < math.inf else x  # infinity is told, not hidden


def _softmax_head(loss, losses, deltas, z, best, stride, K, rows, n, inverse):
    """Cross-entropy: delta = p - t, or 0 where the clip holds."""
    correct, live = 0, 0
    _softmax(deltas, losses, best, z, stride, n, K)
    for b in range(n):
        row, at = rows[b], b * stride
        label = loss.y[row]
        p, error, alive = deltas[at + label], losses[b] - z[at + label], True
        if loss.clipped:
            error, alive = -math.log(_clip(loss, p)), loss.low <= p <= loss.high
        losses[b] = _capped(loss, error)
        deltas[at + label] = p - _ONE
        _scale(deltas, at, _own(loss, row, inverse) if alive else _ZERO, K, stride)
        correct += best[b] == label
        live += alive
    return correct, live


@device
def _share(loss, row, K, k):
    """The share of class k in a row's target, smoothed."""
    t = loss.targets[row * K + k] if loss.shared else (_ONE if k == loss.y[row] else _ZERO)
    return loss.kept * t + loss.spread


def _shares_head(loss, losses, deltas, z, best, stride, K, rows, n, inverse):
    """Cross-entropy against shares t of the classes: delta = p (sum of t) - t, of those that no clip cuts."""
    correct, live = 0, 0
    _softmax(deltas, losses, best, z, stride, n, K)
    for b in range(n):
        row, at, error, mass, alive, aim, top = rows[b], b * stride, _ZERO, _ZERO, False, 0, -_ONE
        for k in range(K):
            p, t = deltas[at + k], _share(loss, row, K, k)
            if t > top:
                aim, top = k, t
            if t > _ZERO:
                error += t * (
                    -math.log(_clip(loss, p)) if loss.clipped else _capped(loss, losses[b] - z[at + k])
                )
                if not loss.clipped or loss.low <= p <= loss.high:
                    mass += t
                    alive = True
        for k in range(K):
            p, t = deltas[at + k], _share(loss, row, K, k)
            if loss.clipped and not loss.low <= p <= loss.high:
                t = _ZERO
            deltas[at + k] = p * mass - t
        losses[b] = error
        _scale(deltas, at, _own(loss, row, inverse), K, stride)
        correct += best[b] == aim
        live += alive or not loss.clipped
    return correct, live


def _binary_head(loss, losses, deltas, z, best, stride, K, rows, n, inverse):
    """The mean, or the sum, over K labels of -t log(p) - (1 - t) log(1 - p), p = sigmoid(z)."""
    correct, live = 0, 0
    for i in range(n * stride):
        deltas[i] = sigmoid(z[i])
    for b in range(n):
        row, at, total = rows[b], b * stride, _ZERO
        for k in range(K):
            y, x, p = loss.targets[row * K + k], z[at + k], deltas[at + k]
            t, size, alive = loss.kept * y + loss.spread, abs(x), True
            error = (_ONE - t if x > _ZERO else t) * _capped(loss, size) + log1p(exp(-size))
            slope = p - t
            if loss.clipped and _clip(loss, p) != p:
                q = _clip(loss, p)
                error, slope, alive = -t * math.log(q) - (_ONE - t) * math.log1p(-q), _ZERO, False
            total += error
            deltas[at + k] = slope
            correct += (x > _ZERO) == (y > 0.5)
            live += alive
        losses[b] = total * loss.of_loss
        _scale(deltas, at, _own(loss, row, inverse) * loss.of_slope, K, stride)
    return correct, live


def _of_distances(distance):
    """The head of a distance of each output from its target, and its slope."""

    def head(loss, losses, deltas, z, best, stride, K, rows, n, inverse):
        for b in range(n):
            row, at, total = rows[b], b * stride, _ZERO
            for k in range(K):
                error, slope = distance(z[at + k], loss.targets[row * K + k], loss.number)
                total += error
                deltas[at + k] = slope
            losses[b] = total * loss.of_loss
            _scale(deltas, at, _own(loss, row, inverse) * loss.of_slope, K, stride)
        return 0, n

    return head


@device
def _squared(z, y, number):
    error = z - y
    return error * error, error


@device
def _absolute(z, y, number):
    error = z - y
    return abs(error), _ONE if error > _ZERO else (-_ONE if error < _ZERO else _ZERO)


@device
def _huber(z, y, number):
    error = z - y
    near = min(abs(error), number)
    return near * (abs(error) - near / 2), min(max(error, -number), number)


@device
def _poisson(z, y, number):
    rate = exp(z)
    return rate - y * z, rate - y


@device
def _half_deviance(z, y, number):
    rate = exp(z)
    return (y * math.log(y) if y > _ZERO else _ZERO) - y * z - y + rate, rate - y


HEAD = kind((INT, INT), NO_LOSS64, DOUBLES, DOUBLES, DOUBLES, INTS, INT, INT, INTS, INT, DOUBLE)
head = caller(HEAD)
"""head(loss.head, loss, losses, deltas, z, best, stride, K, rows, n, inverse): losses (n,), deltas of n rows.

rows (n,): their places in X. Deltas are times the row's weight and ``inverse``, losses are not. best (n,) is
room. Returns how many answers are right, and how many have a delta.
"""

HEADS = {
    name: PlugIn(f"plain_{name}_head", function, HEAD, apart=True)
    for name, function in {
        "softmax": _softmax_head,
        "shares": _shares_head,
        "binary": _binary_head,
        "squared": _of_distances(_squared),
        "absolute": _of_distances(_absolute),
        "huber": _of_distances(_huber),
        "poisson": _of_distances(_poisson),
        "half_deviance": _of_distances(_half_deviance),
    }.items()
}
"""All of them: a new one is an entry here."""


# --- links: predictions of outputs --------------------------------------------------------------------------


def _softmax_link(out, z, stride, K, n):
    for b in range(n):
        at, top = b * stride, 0
        for k in range(1, K):
            if z[at + k] > z[at + top]:
                top = k
        largest, total = z[at + top], _ZERO
        for k in range(K):
            out[b * K + k] = exp(z[at + k] - largest)
        for k in range(K):
            total += out[b * K + k]
        for k in range(K):
            out[b * K + k] /= total


def _of_each(function):
    def link(out, z, stride, K, n):
        for b in range(n):
            for k in range(K):
                out[b * K + k] = function(z[b * stride + k])

    return link


_same = device(lambda z: z)

LINK = kind(NOTHING, DOUBLES, DOUBLES, INT, INT, INT)
predictions = caller(LINK)
"""predictions(place, out, z, stride, K, n): out (n K), by that link, of n rows of K outputs."""

LINKS = {
    "softmax": PlugIn("plain_link_softmax", _softmax_link, LINK, apart=True),
    "identity": PlugIn("plain_link_identity", _of_each(_same), LINK, apart=True),
    "sigmoid": PlugIn("plain_link_sigmoid", _of_each(sigmoid), LINK, apart=True),
    "exp": PlugIn("plain_link_exp", _of_each(exp), LINK, apart=True),
}
"""What predictions may be of outputs."""
