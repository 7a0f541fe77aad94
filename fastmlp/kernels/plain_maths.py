"""Scalar maths in float64: exp and what is made of it, as maths.py has it in float32. LLVM vectorises it."""

from __future__ import annotations

import math

import numpy as np

from fastmlp.kernels.intrinsics import bits_float, float_bits, fma
from fastmlp.kernels.jit import device

_d = np.float64

# exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2) / 2; ln 2 in two parts (Cody and Waite).
_LOG2_E, _LN2_HIGH, _LN2_LOW = _d(1.4426950408889634), _d(6.93145751953125e-1), _d(1.42860682030941723212e-6)
_ROUND = _d(6755399441055744.0)  # 1.5 * 2^52: adding it leaves the nearest integer in the low bits
_ROUND_BITS, _BIAS, _FRACTION = np.int64(0x4338000000000000), np.int64(1023), np.int64(52)
_LOWEST, _HIGHEST, _INFINITY = _d(-708), _d(709.4), _d(np.inf)
_ZERO, _HALF, _ONE, _TWO = _d(0), _d(0.5), _d(1), _d(2)
_FAR = _d(20)  # tanh is 1 there
_ROOT, _DENSITY = _d(math.sqrt(0.5)), _d(1 / math.sqrt(2 * math.pi))

# 1 / k! down to k = 3: the series of exp(r) ends where nothing is left
_E13, _E12, _E11, _E10, _E9, _E8, _E7, _E6, _E5, _E4, _E3 = (
    _d(1 / math.factorial(k)) for k in range(13, 2, -1)
)


@device
def _parts(x):
    """rest and power, a power of 2, of exp(x) = (1 + rest) power; for -708 <= x <= 709.4, or nan."""
    shifted = fma(x, _LOG2_E, _ROUND)
    n = shifted - _ROUND
    r = fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, x))
    q = fma(_E13, r, _E12)
    q = fma(q, r, _E11)
    q = fma(q, r, _E10)
    q = fma(q, r, _E9)
    q = fma(q, r, _E8)
    q = fma(q, r, _E7)
    q = fma(q, r, _E6)
    q = fma(q, r, _E5)
    q = fma(q, r, _E4)
    q = fma(q, r, _E3)
    q = fma(q, r, _HALF)
    exponent = float_bits(shifted) - _ROUND_BITS + _BIAS
    return fma(q, r * r, r), bits_float(exponent << _FRACTION)


@device
def exp(x):
    """exp(x) within 1 ulp for -708 <= x <= 709.4; 0 below, infinity above; nan stays nan."""
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
    """exp(x) - 1 within 2 ulp up to 709.4, infinity above; nan stays nan."""
    above = x > _HIGHEST
    if x < _LOWEST:
        x = _LOWEST
    if above:
        x = _HIGHEST
    rest, power = _parts(x)
    return _INFINITY if above else fma(rest, power, power - _ONE)


@device
def log1p(x):
    """log(1 + x) for 0 <= x <= 1; nan stays nan: twice the area tangent of s = x / (2 + x), by its series."""
    s = x / (_TWO + x)
    w = s * s
    q = _ZERO
    for k in range(35, 1, -2):
        q = fma(q, w, _TWO / _d(k))
    return fma(q * w, s, s + s)


@device
def tanh(x):
    """tanh(x) = t / (t + 2) with t = exp(2 x) - 1, within 4 ulp."""
    z = abs(x)
    if z > _FAR:
        z = _FAR
    t = expm1(z + z)
    t = t / (t + _TWO)
    return -t if x < _ZERO else t


@device
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return _ONE / (_ONE + exp(-x))


@device
def normal(x):
    """Phi(x), the standard normal distribution's, and its density."""
    return _HALF * math.erfc(-x * _ROOT), _DENSITY * exp(-_HALF * x * x)
