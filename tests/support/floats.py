"""float32 numbers of every kind, and their bits."""

from __future__ import annotations

import numpy as np

f = np.float32


def odd_floats(rng, n):
    """Ordinary float32, powers of 2, neighbours of 1, the smallest and largest, 0, infinities, nan."""
    bits = rng.integers(0, 2**32, n, dtype=np.uint32).view(f)
    near = f(1) + rng.integers(-5, 6, n).astype(f) * f(2**-24)
    powers = (f(2.0) ** rng.integers(-149, 128, n)).astype(f)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.1754942e-38, 3.4e38, -3.4e38], f)
    choices = [bits, near, powers, rng.choice(special, n), rng.normal(size=n).astype(f)]
    return np.choose(rng.integers(0, 5, n), choices).astype(f)


def same_bits(a, b):
    """All bits agree; the sign and payload of a nan say nothing."""
    nan = np.isnan(a)
    assert (nan == np.isnan(b)).all()
    different = (a.view(np.uint32) != b.view(np.uint32)) & ~nan
    assert not different.any(), (a[different][:4], b[different][:4])
