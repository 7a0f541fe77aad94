"""Activations, in one table: each in place, and its derivative by its own output, or kept by the way forward.

``number`` is that of the activation's name, as in ``leaky_relu:0.2``; nan where it takes none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.words.activations import parts_of

Array = NDArray[Any]

SELU, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017
TANH_FACTOR, TANH_CUBE = math.sqrt(2 / math.pi), 0.044715  # of gelu_tanh; Hendrycks and Gimpel 2016

_erfc: Any = np.frompyfunc(math.erfc, 1, 1)  # NumPy has none


class Activation(NamedTuple):
    """A hidden layer's function, and its derivative.

    forward:  (z, number): z = act(z), in place.
    backward: (delta, a, number): delta *= act'(z), in place, by a = act(z). None where that needs z: then
              forward is (z, number, slope), and sets slope = act'(z) too.
    """

    forward: Callable[..., object]
    backward: Callable[[Array, Array, float], object] | None


def activated(act: str, z: Array) -> tuple[Array, Array]:
    """The outputs a = act(z) of an activation, and its slopes act'(z), as new arrays."""
    name, number = parts_of(act)
    a, slope, entry = z.copy(), np.ones_like(z), ACTIVATIONS[name]
    if entry.backward is None:
        entry.forward(a, number, slope)
    else:
        entry.forward(a, number)
        entry.backward(slope, a, number)
    return a, slope


def _relu(z: Array, number: float) -> None:
    np.maximum(z, 0, out=z)


def _relu_backward(delta: Array, a: Array, number: float) -> None:  # the derivative at 0 is 0
    delta *= a > 0


def _leaky_relu(z: Array, slope: float) -> None:
    np.multiply(z, slope, out=z, where=~(z > 0))


def _leaky_relu_backward(delta: Array, a: Array, slope: float) -> None:  # as PyTorch's at 0
    np.multiply(delta, slope, out=delta, where=~(a > 0))


def _elu(z: Array, alpha: float) -> None:
    below = np.expm1(np.minimum(z, 0))
    np.multiply(below, alpha, out=z, where=~(z > 0))


def _elu_backward(delta: Array, a: Array, alpha: float) -> None:
    np.multiply(delta, a + a.dtype.type(alpha), out=delta, where=~(a > 0))


def _selu(z: Array, number: float) -> None:
    _elu(z, SELU_ALPHA)
    z *= SELU


def _selu_backward(delta: Array, a: Array, number: float) -> None:
    slope = a + a.dtype.type(SELU * SELU_ALPHA)
    slope[a > 0] = SELU
    delta *= slope


def _gelu(z: Array, number: float, slope: Array) -> None:
    """z Phi(z), with the standard normal distribution Phi, and its slope Phi(z) + z phi(z)."""
    share = np.asarray(0.5 * _erfc(z / -math.sqrt(2)), z.dtype)
    slope[...] = share + z * np.exp(-0.5 * z * z) / z.dtype.type(math.sqrt(2 * math.pi))
    z *= share


def _gelu_tanh(z: Array, number: float, slope: Array) -> None:
    """z (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (z + 0.044715 z^3)."""
    near = np.clip(z, -20, 20)  # further out tanh(u) is 1 or -1, and z^3 may overflow
    tanh = np.tanh(TANH_FACTOR * (near + TANH_CUBE * near**3))
    inner = TANH_FACTOR * (1 + 3 * TANH_CUBE * near * near)
    share = 0.5 + 0.5 * tanh
    slope[...] = share + 0.5 * near * (1 - tanh * tanh) * inner
    z *= share


def _silu(z: Array, number: float, slope: Array) -> None:
    share = z.copy()
    _sigmoid(share, number)
    slope[...] = share * (1 + z * (1 - share))
    z *= share


def _softplus(z: Array, number: float) -> None:  # log(1 + exp(z)), without overflow
    np.logaddexp(z, 0, out=z)


def _softplus_backward(delta: Array, a: Array, number: float) -> None:
    delta *= -np.expm1(-a)


def _sigmoid(z: Array, number: float) -> None:  # exp overflows to inf far below 0, which gives 0
    np.negative(z, out=z)
    with np.errstate(over="ignore"):
        np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)


def _sigmoid_backward(delta: Array, a: Array, number: float) -> None:
    delta *= a * (1 - a)


def _hard_sigmoid(z: Array, slope: float) -> None:  # a line through 1/2, cut off at 0 and 1
    z *= slope
    z += 0.5
    np.clip(z, 0, 1, out=z)


def _hard_sigmoid_backward(delta: Array, a: Array, slope: float) -> None:
    delta *= slope * ((a > 0) & (a < 1))


def _tanh(z: Array, number: float) -> None:
    np.tanh(z, out=z)


def _tanh_backward(delta: Array, a: Array, number: float) -> None:
    delta *= 1 - a * a


def _nothing(array: Array, *others: object) -> None:
    pass


ACTIVATIONS = {
    "relu": Activation(_relu, _relu_backward),
    "leaky_relu": Activation(_leaky_relu, _leaky_relu_backward),
    "elu": Activation(_elu, _elu_backward),
    "selu": Activation(_selu, _selu_backward),
    "gelu": Activation(_gelu, None),
    "gelu_tanh": Activation(_gelu_tanh, None),
    "silu": Activation(_silu, None),
    "softplus": Activation(_softplus, _softplus_backward),
    "sigmoid": Activation(_sigmoid, _sigmoid_backward),
    "hard_sigmoid": Activation(_hard_sigmoid, _hard_sigmoid_backward),
    "tanh": Activation(_tanh, _tanh_backward),
    "identity": Activation(_nothing, _nothing),
}
