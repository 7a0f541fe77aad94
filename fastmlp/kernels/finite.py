"""Whether numbers are finite, by their bits: a vector of them at a time."""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.intrinsics import bits_float, float_bits
from fastmlp.kernels.jit import device, inlined

_MAGNITUDE, _INFINITY = np.int32(0x7FFFFFFF), np.int32(0x7F800000)  # of a float32's bits
_MAGNITUDE64, _INFINITY64 = np.int64(0x7FFFFFFFFFFFFFFF), np.int64(0x7FF0000000000000)


@inlined
def is_finite(x):
    """True where x is neither nan nor infinite."""
    return (float_bits(x) & _MAGNITUDE) < _INFINITY


@device
def largest(array, at, width):
    """The largest magnitude in array[at : at + width]; nan is larger than infinity."""
    bits = np.int32(0)
    for j in range(width):
        bits = max(bits, np.int32(float_bits(array[at + j]) & _MAGNITUDE))  # else 64 bits wide
    return bits_float(bits)


@device
def all_finite(array, at, width):
    """True where array[at : at + width] holds neither nan nor infinity."""
    return largest(array, at, width) < np.inf


@device
def all_finite64(array, at, width):
    """The same of float64."""
    bits = np.int64(0)
    for j in range(width):
        bits = max(bits, float_bits(array[at + j]) & _MAGNITUDE64)
    return bits < _INFINITY64
