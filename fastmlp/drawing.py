"""First weights of a layer, drawn from the distributions whose names are in inits.py.

Pure functions of (name, shape, seed, layer), made of raw integers in float64 by sums, products, quotients
and square roots alone, one operation at a time: IEEE 754 rounds these alike on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastmlp import random
from fastmlp.inits import parts_of

Array = NDArray[np.float64]

_TRUNCATED_SD = 0.87962566103423978  # of a standard normal within two of its standard deviations


@dataclass(frozen=True)
class Draw:
    """A matrix to be drawn, (fan_in, fan_out), for a layer of a net of that seed; numbers of its name."""

    fan_in: int
    fan_out: int
    seed: int
    layer: int
    numbers: tuple[float, ...] = ()

    def uniform(self) -> Array:
        """Numbers in [0, 1)."""
        return random.uniform(self.fan_in * self.fan_out, self.seed, "weights", self.layer).reshape(
            self.fan_in, self.fan_out
        )

    def normal(self, truncated: bool = False) -> Array:
        """Standard normal numbers; truncated: those within two standard deviations."""
        n = self.fan_in * self.fan_out
        drawn = random.normal(n, self.seed, "weights", self.layer, within_two=truncated)
        return drawn.reshape(self.fan_in, self.fan_out)


def _scaled_uniform(k: float, fan: Callable[[Draw], int]) -> Callable[[Draw], Array]:
    """U(-limit, limit) of variance k / fan."""
    return lambda draw: math.sqrt(3 * k / fan(draw)) * (2 * draw.uniform() - 1)


def _scaled_normal(k: float, fan: Callable[[Draw], int], truncated: bool) -> Callable[[Draw], Array]:
    """Normal numbers of variance k / fan, truncated or not."""
    shrunk = _TRUNCATED_SD if truncated else 1.0
    return lambda draw: math.sqrt(k / fan(draw)) / shrunk * draw.normal(truncated)


def _within(draw: Draw) -> Array:
    low, high = draw.numbers
    return low + (high - low) * draw.uniform()


def _with_spread(truncated: bool) -> Callable[[Draw], Array]:
    return lambda draw: draw.numbers[0] + draw.numbers[1] * draw.normal(truncated)


def _filled(number: float) -> Callable[[Draw], Array]:
    return lambda draw: np.full((draw.fan_in, draw.fan_out), number)


def _orthogonal(draw: Draw) -> Array:
    """Q of normal numbers' Q R in which R has a positive diagonal; its shorter side is orthonormal."""
    A = draw.normal()
    Q = A.T.copy() if draw.fan_in >= draw.fan_out else A
    for k, q in enumerate(Q):  # modified Gram-Schmidt: LAPACK's bits are its build's and its threads'
        q /= np.sqrt((q * q).sum())
        rest = Q[k + 1 :]
        rest -= (rest * q).sum(axis=1)[:, None] * q
    return draw.numbers[0] * (Q.T if draw.fan_in >= draw.fan_out else Q)


def _sum(draw: Draw) -> int:
    return draw.fan_in + draw.fan_out


def _in(draw: Draw) -> int:
    return draw.fan_in


# By name, as in INITS: the weights (fan_in, fan_out).
DRAWN: dict[str, Callable[[Draw], Array]] = {
    "glorot_uniform": _scaled_uniform(2, _sum),
    "glorot_normal": _scaled_normal(2, _sum, truncated=True),
    "he_uniform": _scaled_uniform(2, _in),
    "he_normal": _scaled_normal(2, _in, truncated=True),
    "lecun_uniform": _scaled_uniform(1, _in),
    "lecun_normal": _scaled_normal(1, _in, truncated=True),
    "xavier_normal": _scaled_normal(2, _sum, truncated=False),
    "kaiming_normal": _scaled_normal(2, _in, truncated=False),
    "torch": lambda draw: 1 / math.sqrt(draw.fan_in) * (2 * draw.uniform() - 1),
    "orthogonal": _orthogonal,
    "uniform": _within,
    "normal": _with_spread(truncated=False),
    "truncated_normal": _with_spread(truncated=True),
    "zeros": _filled(0.0),
    "ones": _filled(1.0),
    "constant": lambda draw: _filled(draw.numbers[0])(draw),
}


def first_weights(init: str, fan_in: int, fan_out: int, seed: int, layer: int) -> Array:
    """Weights (fan_in, fan_out) of a checked distribution, for a layer's place in the net, from 0."""
    name, numbers = parts_of(init)
    return DRAWN[name](Draw(fan_in, fan_out, seed, layer, numbers))


def first_biases(init: str, fan_in: int, fan_out: int, seed: int, layer: int) -> Array:
    """Biases (fan_out,): zeros, but of ``torch``, which draws them as the weights."""
    if init != "torch":
        return np.zeros(fan_out)
    return 1 / math.sqrt(fan_in) * (2 * random.uniform(fan_out, seed, "biases", layer) - 1)
