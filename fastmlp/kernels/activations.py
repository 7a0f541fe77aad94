"""The activations, in one table, and the scalar float32 maths that they need: exp as a polynomial.

LLVM vectorises it. Numba's own exp is one libm call a number, and differs between systems.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastmlp.kernels.intrinsics import bits_float, float_bits, fma
from fastmlp.kernels.jit import device
from fastmlp.kernels.plug_ins import FLOAT, FLOATS, INT, NOTHING, PlugIn, caller, kind

_f = np.float32

# exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2) / 2; ln 2 in two parts (Cody and Waite).
_LOG2_E, _LN2_HIGH, _LN2_LOW = _f(1.44269504), _f(0.693359375), _f(-2.12194440e-4)
_ROUND = _f(12582912.0)  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
_ROUND_BITS = np.int32(0x4B400000)
_LOWEST, _HIGHEST, _INFINITY = _f(-87.3), _f(88.3), _f(np.inf)
# minimax coefficients of (exp(r) - 1 - r) / r^2, Cephes expf
_C0, _C1, _C2 = _f(1.9875691500e-4), _f(1.3981999507e-3), _f(8.3334519073e-3)
_C3, _C4, _C5 = _f(4.1665795894e-2), _f(1.6666665459e-1), _f(5.0000001201e-1)
_ZERO, _ONE, _TWO = _f(0), _f(1), _f(2)


@device
def exp(x):
    """exp(x) within 1 ulp for -87.3 <= x <= 88.3; 0 below, infinity above; nan stays nan."""
    below, above = x < _LOWEST, x > _HIGHEST
    if below:
        x = _LOWEST
    if above:
        x = _HIGHEST
    shifted = fma(x, _LOG2_E, _ROUND)
    n = shifted - _ROUND
    r = fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, x))
    q = fma(_C0, r, _C1)
    q = fma(q, r, _C2)
    q = fma(q, r, _C3)
    q = fma(q, r, _C4)
    q = fma(q, r, _C5)
    q = fma(q, r * r, r) + _ONE
    exponent = np.int32(float_bits(shifted) - _ROUND_BITS + np.int32(127))
    power = bits_float(np.int32(exponent << np.int32(23)))
    result = _INFINITY if above else q * power
    return _ZERO if below else result


@device
def tanh(x):
    """tanh(x): an odd polynomial below 0.625, else by exp (Cephes tanhf); within 2 ulp."""
    z = abs(x)
    s = x * x
    p = fma(_f(-5.70498872745e-3), s, _f(2.06390887954e-2))
    p = fma(p, s, _f(-5.37397155531e-2))
    p = fma(p, s, _f(1.33314422036e-1))
    p = fma(p, s, _f(-3.33332819422e-1))
    small = fma(p * s, x, x)
    large = _ONE - _TWO / (exp(z + z) + _ONE)
    if x < _ZERO:
        large = -large
    return small if z < _f(0.625) else large


@device
def _relu(z, number):
    return _ZERO if z < _ZERO else z + _ZERO  # else z: a masked store, six times slower


@device
def _relu_slope(a, number):
    return _f(a > _ZERO)


@device
def _sigmoid(z, number):
    return _ONE / (_ONE + exp(-z))


@device
def _sigmoid_slope(a, number):
    return a * (_ONE - a)


@device
def _tanh(z, number):
    return tanh(z)


@device
def _tanh_slope(a, number):
    return _ONE - a * a


@device
def _leaky_relu(z, slope):
    return z if z > _ZERO else slope * z


@device
def _leaky_relu_slope(a, slope):
    return _ONE if a > _ZERO else slope


@device
def _identity(z, number):
    return z


@device
def _identity_slope(a, number):
    return _ONE


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

    return Activation(PlugIn(name, activate, ACTIVATE), PlugIn(f"{name}_slope", multiply_by_slope, BACK))


ACTIVATIONS = {
    "relu": _by_output("relu", _relu, _relu_slope),
    "sigmoid": _by_output("sigmoid", _sigmoid, _sigmoid_slope),
    "tanh": _by_output("tanh", _tanh, _tanh_slope),
    "identity": _by_output("identity", _identity, _identity_slope),
    "leaky_relu": _by_output("leaky_relu", _leaky_relu, _leaky_relu_slope),
}
"""All of them: a new one is an entry here."""
