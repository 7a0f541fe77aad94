"""Scalar maths in float32: exp and what is made of it, as polynomials. LLVM vectorises them.

Numba's own exp is one libm call a number, and differs between systems.
"""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.intrinsics import bits_float, float_bits, fma
from fastmlp.kernels.jit import device

_f = np.float32

# exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2) / 2; ln 2 in two parts (Cody and Waite).
_LOG2_E, _LN2_HIGH, _LN2_LOW = _f(1.44269504), _f(0.693359375), _f(-2.12194440e-4)
_ROUND = _f(12582912.0)  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
_ROUND_BITS = np.int32(0x4B400000)
_LOWEST, _HIGHEST, _INFINITY = _f(-87.3), _f(88.3), _f(np.inf)
# minimax coefficients of (exp(r) - 1 - r) / r^2, Cephes expf
_C0, _C1, _C2 = _f(1.9875691500e-4), _f(1.3981999507e-3), _f(8.3334519073e-3)
_C3, _C4, _C5 = _f(4.1665795894e-2), _f(1.6666665459e-1), _f(5.0000001201e-1)
_ZERO, _HALF, _ONE, _TWO = _f(0), _f(0.5), _f(1), _f(2)
_FAR = _f(14)  # Phi(-14) is 0 in float32


@device
def _parts(x):
    """rest and power, a power of 2, of exp(x) = (1 + rest) power; for -87.3 <= x <= 88.3, or nan."""
    shifted = fma(x, _LOG2_E, _ROUND)
    n = shifted - _ROUND
    r = fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, x))
    q = fma(_C0, r, _C1)
    q = fma(q, r, _C2)
    q = fma(q, r, _C3)
    q = fma(q, r, _C4)
    q = fma(q, r, _C5)
    exponent = np.int32(float_bits(shifted) - _ROUND_BITS + np.int32(127))
    return fma(q, r * r, r), bits_float(np.int32(exponent << np.int32(23)))


@device
def exp(x):
    """exp(x) within 1 ulp for -87.3 <= x <= 88.3; 0 below, infinity above; nan stays nan."""
    below, above = x < _LOWEST, x > _HIGHEST
    if below:
        x = _LOWEST
    if above:
        x = _HIGHEST
    rest, power = _parts(x)
    result = _INFINITY if above else (rest + _ONE) * power
    return _ZERO if below else result


@device
def expm1(x):
    """exp(x) - 1 within 2 ulp up to 88.3, infinity above; nan stays nan."""
    above = x > _HIGHEST
    if x < _LOWEST:
        x = _LOWEST
    if above:
        x = _HIGHEST
    rest, power = _parts(x)
    return _INFINITY if above else fma(rest, power, power - _ONE)


@device
def log1p(x):
    """log(1 + x) within 2 ulp for 0 <= x <= 1; nan stays nan: twice the area tangent of x / (2 + x)."""
    s = x / (_TWO + x)
    w = s * s
    q = fma(_f(2.801212022e-1), w, _f(2.800178044e-1))
    q = fma(q, w, _f(4.002152861e-1))
    q = fma(q, w, _f(6.666641626e-1))
    return fma(q * w, s, s + s)


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
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return _ONE / (_ONE + exp(-x))


@device
def normal(x):
    """Phi(x), the standard normal distribution's, within 7 ulp down to -13.2 and 0 below; and exp(-x^2 / 2).

    Phi(-|x|) = exp(-x^2 / 2) Q(1 / (1 + 0.3 |x|)), with a minimax polynomial Q; nan stays nan.
    """
    z = abs(x)
    if z > _FAR:
        z = _FAR
    square = z * z
    bell = exp(-_HALF * square)
    bell = fma(bell, -_HALF * fma(z, z, -square), bell)  # what rounding the square has lost
    t = _ONE / fma(_f(0.3), z, _ONE)
    q = fma(_f(3.831137774e-2), t, _f(-1.688405256e-1))
    q = fma(q, t, _f(2.279866900e-1))
    q = fma(q, t, _f(-7.573529287e-2))
    q = fma(q, t, _f(1.420020340e-1))
    q = fma(q, t, _f(9.491119114e-2))
    q = fma(q, t, _f(1.218619704e-1))
    q = fma(q, t, _f(1.194958980e-1))
    q = fma(q, t, _f(6.685881641e-6))
    below = bell * q
    return below if x < _ZERO else _ONE - below, bell
