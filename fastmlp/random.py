"""Randomness as a pure function of (seed, purpose, index): no generator object, no hidden state.

Everything is drawn from a bit generator's raw 64-bit integers, whose stream NumPy guarantees
(numpy.random compatibility policy); NumPy's own distributions may change between releases and
are not used. What a step leaves out (dropout) is drawn from a counter, ``philox4x32``: any number can be had
without those before it, so neither batches, threads nor a resume matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDS = 7  # of Philox: as few as pass BigCrush
GRAIN = 1 << 16  # a share that is left out is a whole number of so many parts
UNITS = 64  # whose numbers are drawn together: from 8 counters, in each 8 numbers of 16 bits

_M0, _M1, _LOW, _HALF = (np.uint64(x) for x in (0xD2511F53, 0xCD9E8D57, 0xFFFFFFFF, 32))
_STEPS = 0x9E3779B9, 0xBB67AE85  # of the key's words, from round to round


def raw_integers(n: int, seed: int, purpose: str, index: int = 0) -> NDArray[np.uint64]:
    """``n`` uniform 64-bit integers, shape (n,), for this seed, purpose and index."""
    digest = hashlib.sha256(f"fastmlp/{seed}/{purpose}/{index}".encode()).digest()
    return np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(n)


def uniform(n: int, seed: int, purpose: str, index: int = 0) -> NDArray[np.float64]:
    """``n`` float64 in [0, 1), shape (n,): the upper 53 bits of each integer."""
    return (raw_integers(n, seed, purpose, index) >> np.uint64(11)) * np.float64(2.0**-53)


def permutation(n: int, seed: int, purpose: str, index: int = 0) -> NDArray[np.int64]:
    """A permutation of range(n), shape (n,): the stable order that sorts ``n`` random integers."""
    integers = raw_integers(n, seed, purpose, index)
    low, high = ((integers >> np.uint64(shift)).astype(np.uint16) for shift in (32, 48))
    order = np.argsort(low, kind="stable")  # NumPy sorts 16 bits by counting: half of the time for all 64
    order = order[np.argsort(high[order], kind="stable")]
    ranked = integers[order]
    falls = np.flatnonzero(ranked[1:] < ranked[:-1])  # between two with equal upper halves: seldom one
    if len(falls):
        order[falls], order[falls + 1] = order[falls + 1], order[falls]
        ranked = integers[order]
    rises = (ranked[1:] > ranked[:-1]).all()  # or else three halves were equal, or two integers
    return order if rises else np.argsort(integers, kind="stable")


def philox4x32(
    counter: Sequence[ArrayLike], key: Sequence[int], rounds: int = ROUNDS
) -> tuple[NDArray[np.uint64], ...]:
    """Four uniform 32-bit integers, as uint64, for each counter.

    counter: its four words, each one for all or an array; key: two words. Salmon, Moraes, Dror and Shaw,
    "Parallel random numbers: as easy as 1, 2, 3", SC 2011; the constants are those of Random123.
    """
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(word, np.uint64) for word in counter))
    for turn in range(rounds):
        k0, k1 = (np.uint64(word + turn * step & 0xFFFFFFFF) for word, step in zip(key, _STEPS, strict=True))
        first, second = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (second >> _HALF) ^ c1 ^ k0, second & _LOW, (first >> _HALF) ^ c3 ^ k1, first & _LOW
    return c0, c1, c2, c3


def key_of(seed: int, purpose: str) -> tuple[int, int]:
    """The key of Philox, two words, for this seed and purpose."""
    digest = hashlib.sha256(f"fastmlp/{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def parts_out(share: float) -> int:
    """The parts of GRAIN that a share over 0 is: 1 at least, and at most all but one."""
    return min(max(round(share * GRAIN), 1), GRAIN - 1)


def growth(share: float) -> float:
    """The factor of what is kept where that share is left out: 1 over the share of GRAIN that is kept."""
    return GRAIN / (GRAIN - parts_out(share))


def kept(
    share: float, units: int, key: tuple[int, int], epoch: int, layer: int, places: ArrayLike
) -> NDArray[np.bool_]:
    """Draw which of so many units are kept where that share is left out, (n, units), for n samples.

    places (n,): theirs in the epoch's order. layer: 0 for the inputs. A unit's number of 16 bits is kept
    from ``parts_out(share)`` on.
    """
    blocks = np.arange(-(-units // UNITS) * 8)
    counter = blocks, np.asarray(places)[:, None], layer, epoch
    r0, r1, r2, r3 = (word.reshape(-1, len(blocks) // 8, 8) for word in philox4x32(counter, key))
    numbers = np.stack([r0 | r1 << _HALF, r2 | r3 << _HALF], axis=2).astype("<u8").view("<u2")
    return numbers.reshape(len(r0), -1)[:, :units] >= parts_out(share)


def normal(
    n: int, seed: int, purpose: str, index: int = 0, *, within_two: bool = False
) -> NDArray[np.float64]:
    """``n`` standard normal float64, shape (n,): quantiles of (k + 1/2) / 2^52, k each integer's upper bits.

    within_two: of the normal distribution without what is beyond two standard deviations.
    """
    k = (raw_integers(n, seed, purpose, index) >> np.uint64(12)).astype(np.float64)
    p = (k + 0.5) * 2.0**-52
    return quantile(_BELOW_TWO + (1 - 2 * _BELOW_TWO) * p if within_two else p)


def quantile(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """The standard normal distribution's quantiles at p in (0, 1): Wichura 1988, algorithm AS 241.

    Right to some 1e-15, by operations that IEEE 754 rounds alike on every machine.
    """
    q = p - 0.5
    x = q * _ratio(_CENTRE, 0.180625 - q * q)
    tail = np.abs(q) > 0.425
    r = np.sqrt(-_log(np.minimum(p, 1 - p)[tail]))
    x[tail] = np.copysign(np.where(r <= 5, _ratio(_NEAR, r - 1.6), _ratio(_FAR, r - 5)), q[tail])
    return x


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The natural logarithm of x over 0, by 2 atanh((m - 1) / (m + 1)) of x = m 2^e."""
    m, e = np.frexp(x)
    low = m < np.sqrt(0.5)
    m, e = np.where(low, 2 * m, m), e - low
    s = (m - 1) / (m + 1)
    log: NDArray[np.float64] = e * _LOG_2 + 2 * s * _polynomial([1 / k for k in range(23, 0, -2)], s * s)
    return log


def _ratio(of: tuple[list[float], list[float]], r: NDArray[np.float64]) -> NDArray[np.float64]:
    return _polynomial(of[0], r) / _polynomial(of[1], r)


def _polynomial(coefficients: list[float], x: NDArray[np.float64]) -> NDArray[np.float64]:
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
