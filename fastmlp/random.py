"""Randomness as a pure function of (seed, purpose, index): no generator object, no hidden state.

Everything is drawn from a bit generator's raw 64-bit integers, whose stream NumPy guarantees
(numpy.random compatibility policy); NumPy's own distributions may change between releases and
are not used.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


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
