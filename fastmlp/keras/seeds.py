"""Where models get their seeds: from ``set_random_seed`` on, the same ones in the same order."""

from __future__ import annotations

import random
import secrets

import numpy as np

from fastmlp.checks import whole_number
from fastmlp.random import raw_integers

_root, _drawn = secrets.randbits(63), 0


def set_random_seed(seed: int) -> None:
    """Seed what follows: this facade, Python's ``random`` and NumPy's global generator. Raises ValueError."""
    global _root, _drawn
    _root, _drawn = whole_number("seed", seed, 0, 2**32 - 1), 0
    random.seed(_root)
    np.random.seed(_root)  # noqa: NPY002 (a program may draw from it: that is what it asks for)


def next_seed() -> int:
    """A seed that was not given out since the last ``set_random_seed``."""
    global _drawn
    _drawn += 1
    return int(raw_integers(1, _root, "keras", _drawn)[0] >> np.uint64(1))
