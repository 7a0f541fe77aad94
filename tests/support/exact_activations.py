"""Activations and their slopes in float64, written once more: functions of z, with no word of fastmlp."""

from __future__ import annotations

import math

import numpy as np

_erfc = np.vectorize(math.erfc, otypes=[float])
SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772  # of selu


def sigmoid(z):
    return np.exp(-np.logaddexp(0, -z))


def phi(z):
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def below(z):
    """Phi(z)."""
    return 0.5 * _erfc(-z / math.sqrt(2))


def inner(z):
    """The argument of gelu_tanh's tanh, of which (1 + tanh(u)) / 2 is sigmoid(2 u)."""
    return math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)


def gelu_tanh_slope(z):
    share, other = sigmoid(2 * inner(z)), sigmoid(-2 * inner(z))
    return share + 2 * z * share * other * math.sqrt(2 / math.pi) * (1 + 0.134145 * z * z)


def elu(alpha, scale=1.0):
    return (
        lambda z: scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))),
        lambda z: scale * np.where(z > 0, 1, alpha * np.exp(np.minimum(z, 0))),
    )


def leaky(slope):
    return lambda z: np.where(z > 0, z, slope * z), lambda z: np.where(z > 0, 1.0, slope)


def hard(slope):
    return (
        lambda z: np.minimum(np.maximum(slope * z + 0.5, 0), 1),
        lambda z: slope * (abs(slope * z) < 0.5),
    )


EXACT = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0)),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "identity": (lambda z: z, np.ones_like),
    "leaky_relu": leaky(0.01),
    "leaky_relu:0.3": leaky(0.3),
    "elu": elu(1.0),
    "elu:1.5": elu(1.5),
    "selu": elu(ALPHA, SCALE),
    "gelu": (lambda z: z * below(z), lambda z: below(z) + z * phi(z)),
    "gelu_tanh": (lambda z: z * sigmoid(2 * inner(z)), gelu_tanh_slope),
    "silu": (lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1 + z * sigmoid(-z))),
    "softplus": (lambda z: np.logaddexp(z, 0), sigmoid),
    "hard_sigmoid": hard(1 / 6),
    "hard_sigmoid:0.3": hard(0.3),
}
"""By the word that users write: the function, and its slope as PyTorch has it at a kink."""

KINKS = {
    "relu": (0.0,), "leaky_relu": (0.0,), "leaky_relu:0.3": (0.0,), "elu:1.5": (0.0,), "selu": (0.0,),
    "hard_sigmoid": (-3.0, 3.0), "hard_sigmoid:0.3": (-0.5 / 0.3, 0.5 / 0.3),
}  # fmt: skip
"""Where a slope jumps."""
