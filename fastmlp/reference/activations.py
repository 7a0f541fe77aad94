"""Activations, in one table: each in place, and its derivative by its own output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LEAK = 0.01  # the slope of leaky_relu below 0


class Activation(NamedTuple):
    """A hidden layer's function, and its derivative by its own output a = act(z)."""

    forward: Callable[[Array], object]  # z = act(z), in place
    backward: Callable[[Array, Array], object]  # (delta, a): delta *= act'(z), in place


def _relu(z: Array) -> None:
    np.maximum(z, 0, out=z)


def _relu_backward(delta: Array, a: Array) -> None:  # the derivative at 0 is 0
    delta *= a > 0


def _sigmoid(z: Array) -> None:  # 1 / (1 + exp(-z)); exp overflows to inf far below 0, which gives 0
    np.negative(z, out=z)
    with np.errstate(over="ignore"):
        np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)


def _sigmoid_backward(delta: Array, a: Array) -> None:
    delta *= a * (1 - a)


def _tanh(z: Array) -> None:
    np.tanh(z, out=z)


def _tanh_backward(delta: Array, a: Array) -> None:
    delta *= 1 - a * a


def _leaky_relu(z: Array) -> None:
    np.maximum(z, LEAK * z, out=z)


def _leaky_relu_backward(delta: Array, a: Array) -> None:  # the derivative at 0 is the leak, as PyTorch's
    delta *= np.where(a > 0, a.dtype.type(1), a.dtype.type(LEAK))


def _nothing(*arrays: Array) -> None:
    pass


ACTIVATIONS = {
    "relu": Activation(_relu, _relu_backward),
    "sigmoid": Activation(_sigmoid, _sigmoid_backward),
    "tanh": Activation(_tanh, _tanh_backward),
    "identity": Activation(_nothing, _nothing),
    "leaky_relu": Activation(_leaky_relu, _leaky_relu_backward),
}
