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

_MANY = 2000  # integers, from which on halves are sorted sooner than the whole

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
    if n < _MANY:
        return np.argsort(integers, kind="stable")
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
