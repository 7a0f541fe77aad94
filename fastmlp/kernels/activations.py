"""The activations, in one table: scalar functions, of which come the loops that are compiled.

Each is made of maths.py, in float32. ``number`` is that of the activation's name, as in ``leaky_relu:0.2``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastmlp.kernels.intrinsics import fma
from fastmlp.kernels.jit import device
from fastmlp.kernels.maths import exp, expm1, log1p, normal, sigmoid, tanh
from fastmlp.kernels.plug_ins import FLOAT, FLOATS, INT, NOTHING, PlugIn, caller, kind

_f = np.float32
_ZERO, _HALF, _ONE = _f(0), _f(0.5), _f(1)
_SELU, _DEPTH = _f(1.0507009873554805), _f(1.7580993408473766)  # Klambauer et al. 2017: lambda, lambda alpha
_DENSITY = _f(0.3989422804014327)  # of the standard normal distribution at 0
_CUBE, _TWICE = _f(0.044715), _f(1.5957691216057308)  # of the tanh in gelu_tanh; twice sqrt(2 / pi)
_FAR = _f(11)  # the sigmoid in gelu_tanh is 1 there, and 0 at -11


# --- by the output: a = function(z, number), and da/dz = slope(a, number) -----------------------------------


@device
def _relu(z, number):
    return _ZERO if z < _ZERO else z + _ZERO  # else z: a masked store, six times slower


@device
def _relu_slope(a, number):
    return _f(a > _ZERO)


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
    a = fma(slope, z, _HALF)
    return _ZERO if a < _ZERO else (_ONE if a > _ONE else a)


@device
def _hard_sigmoid_slope(a, slope):
    return slope * (_f(a > _ZERO) * _f(a < _ONE))


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


# --- by the input: a, da/dz = function(z, number) -----------------------------------------------------------


@device
def _gelu(z, number):
    share, bell = normal(z)
    return z * share, fma(z * _DENSITY, bell, share)


@device
def _gelu_tanh(z, number):
    """z / 2 (1 + tanh(u)) = z sigmoid(2 u), u = sqrt(2 / pi) (z + 0.044715 z^3)."""
    x = -_FAR if z < -_FAR else (_FAR if z > _FAR else z)
    inner = _CUBE * (x * x)
    share = sigmoid(_TWICE * fma(x, inner, x))
    steep = _TWICE * (_ONE + _f(3) * inner)
    return z * share, fma(x * share * (_ONE - share), steep, share)


@device
def _silu(z, number):
    share = sigmoid(z)
    a = z * share
    return a, fma(a, _ONE - share, share)


# --- the table ----------------------------------------------------------------------------------------------


ACTIVATE = kind(NOTHING, FLOATS, FLOATS, INT, FLOAT)
activate = caller(ACTIVATE)
"""activate(place, a, factors, width, number): a[:width] = that activation of itself.

factors (width,): da/dz, of activations that keep it; others leave it alone.
"""

BACK = kind(NOTHING, FLOATS, FLOATS, INT, FLOAT)
multiply_by_slope = caller(BACK)
"""multiply_by_slope(place, delta, a, width, number): delta[j] *= da/dz, by the output a[j], for j < width."""


class Activation(NamedTuple):
    """A hidden layer's function, and how deltas go back through it.

    backward: None where the slope is none of the output's: it is kept then, in ``factors``.
    """

    forward: PlugIn
    backward: PlugIn | None


def _by_output(name, function, slope):
    """The Activation a = function(z, number) of slope da/dz = slope(a, number)."""

    def activate(a, factors, width, number):
        for j in range(width):
            a[j] = function(a[j], number)

    def multiply_by_slope(delta, a, width, number):
        for j in range(width):
            delta[j] *= slope(a[j], number)

    return Activation(
        PlugIn(name, activate, ACTIVATE, apart=True),
        PlugIn(f"{name}_slope", multiply_by_slope, BACK, apart=True),
    )


def _by_input(name, function):
    """The Activation of a and da/dz = function(z, number)."""

    def activate(a, factors, width, number):
        for j in range(width):
            a[j], factors[j] = function(a[j], number)

    return Activation(PlugIn(name, activate, ACTIVATE), None)


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
