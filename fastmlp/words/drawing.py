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
from fastmlp.words.inits import parts_of

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
        drawn = normal(n, self.seed, "weights", self.layer, within_two=truncated)
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


def normal(n: int, seed: int, purpose: str, index: int = 0, *, within_two: bool = False) -> Array:
    """``n`` standard normal float64, shape (n,): quantiles of (k + 1/2) / 2^52, k each integer's upper bits.

    within_two: of the normal distribution without what is beyond two standard deviations.
    """
    k = (random.raw_integers(n, seed, purpose, index) >> np.uint64(12)).astype(np.float64)
    p = (k + 0.5) * 2.0**-52
    return quantile(_BELOW_TWO + (1 - 2 * _BELOW_TWO) * p if within_two else p)


def quantile(p: Array) -> Array:
    """The standard normal distribution's quantiles at p in (0, 1): Wichura 1988, algorithm AS 241.

    Right to some 1e-15, by operations that IEEE 754 rounds alike on every machine.
    """
    q = p - 0.5
    x = q * _ratio(_CENTRE, 0.180625 - q * q)
    tail = np.abs(q) > 0.425
    r = np.sqrt(-_log(np.minimum(p, 1 - p)[tail]))
    x[tail] = np.copysign(np.where(r <= 5, _ratio(_NEAR, r - 1.6), _ratio(_FAR, r - 5)), q[tail])
    return x


def _log(x: Array) -> Array:
    """The natural logarithm of x over 0, by 2 atanh((m - 1) / (m + 1)) of x = m 2^e."""
    m, e = np.frexp(x)
    low = m < np.sqrt(0.5)
    m, e = np.where(low, 2 * m, m), e - low
    s = (m - 1) / (m + 1)
    log: Array = e * _LOG_2 + 2 * s * _polynomial([1 / k for k in range(23, 0, -2)], s * s)
    return log


def _ratio(of: tuple[list[float], list[float]], r: Array) -> Array:
    return _polynomial(of[0], r) / _polynomial(of[1], r)


def _polynomial(coefficients: list[float], x: Array) -> Array:
    """The polynomial of these coefficients, the highest power first, by Horner's rule."""
    y = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        y = y * x + c
    return y


_LOG_2 = 0.6931471805599453
_BELOW_TWO = 0.02275013194817921  # of normal numbers are below -2

# Of numerator and denominator, the highest power first: within 0.425 of the middle, near it, far from it.
_CENTRE = (
    [2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608],
    [5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0],
)  # fmt: skip
_NEAR = (
    [7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734],
    [1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0],
)  # fmt: skip
_FAR = (
    [2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772],
    [2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0],
)  # fmt: skip
