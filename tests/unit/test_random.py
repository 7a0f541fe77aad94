"""The streams of random numbers: golden values, so that no release changes them unnoticed, and their spread.

A change here changes every trained net of every seed: it needs a new NUMERICS_REVISION, and a line in
CHANGELOG.md.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from fastmlp import random


def test_raw_integers_are_the_golden_ones():
    assert random.raw_integers(4, 0, "weights").tolist() == [
        8681386253528552208,
        664922739295889324,
        10056647461634401800,
        13451537511266362360,
    ]
    assert random.raw_integers(3, 2**63 - 1, "order", 15).tolist() == [
        1951008168577174045,
        2670682416423170117,
        3989889983681075285,
    ]


def test_uniform_is_the_golden_one():
    assert random.uniform(3, 0, "weights").tolist() == [
        0.4706188918130725,
        0.03604553392398069,
        0.5451719512912425,
    ]
    assert (8681386253528552208 >> 11) / 2**53 == 0.4706188918130725


def test_permutation_is_the_golden_one():
    assert random.permutation(10, 0, "order", 1).tolist() == [4, 9, 7, 2, 6, 1, 3, 0, 8, 5]
    assert random.permutation(10, 1, "order", 1).tolist() == [3, 5, 1, 8, 6, 2, 4, 9, 0, 7]
    order = random.permutation(60_000, 0, "order", 1)
    assert (
        hashlib.sha256(order.astype("<i8").tobytes()).hexdigest()
        == "e65eec669c533a7ca7dcf41936359ab0d1d9ce1012804ac9947ed31be96230aa"
    )


def test_stream_is_what_its_docstring_says():
    """Philox with the key in the digest of (seed, purpose, index)."""
    key = hashlib.sha256(b"fastmlp/12/order/3").digest()[:16]
    again = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(50)
    assert (random.raw_integers(50, 12, "order", 3) == again).all()


def test_stream_is_a_pure_function():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    a = random.raw_integers(100, 5, "order", 2)
    np.random.seed(1)  # noqa: NPY002
    assert (random.raw_integers(100, 5, "order", 2) == a).all()
    assert (random.raw_integers(10, 5, "order", 2) == a[:10]).all()
    script = "from fastmlp import random; print(*random.raw_integers(100, 5, 'order', 2))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [int(word) for word in ran.stdout.split()] == a.tolist()
    assert len(state)


def test_every_argument_gives_another_stream():
    streams = {
        tuple(random.raw_integers(4, seed, purpose, index).tolist())
        for seed in (0, 1, 10, 11, 2**63 - 1)
        for purpose in ("order", "weights", "biases", "synthetic")
        for index in (0, 1, 10, 11)
    }
    assert len(streams) == 5 * 4 * 4


@pytest.mark.parametrize("n", [0, 1, 2, 3, 100, 4097])
def test_permutation_is_one(n):
    for index in range(3):
        order = random.permutation(n, 3, "order", index)
        assert order.dtype == np.int64
        assert (np.sort(order) == np.arange(n)).all()
    if n >= 100:
        orders = {random.permutation(n, 3, "order", index).tobytes() for index in range(20)}
        assert len(orders) == 20


def test_permutations_put_every_item_everywhere():
    n, trials = 5, 4000
    where = np.zeros((n, n))
    for index in range(trials):
        where[np.arange(n), random.permutation(n, 1, "order", index)] += 1
    expected = trials / n
    assert ((where - expected) ** 2 / expected).sum() < 50  # chi-squared, 16 degrees: mean 16, 1e-5 at 48


def test_uniform_is_uniform():
    u = random.uniform(200_000, 9, "weights")
    assert u.dtype == np.float64
    assert 0 <= u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    counts = np.histogram(u, 100, (0, 1))[0]
    assert ((counts - 2000) ** 2 / 2000).sum() < 170  # chi-squared, 99 degrees: 1e-5 at 167
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.01
    assert (u * 2**53 == np.floor(u * 2**53)).all()


@pytest.mark.parametrize("shift", [0, 10, 40, 50])
def test_equal_integers_keep_their_order(monkeypatch, shift):
    """They, or those equal but for a few bits, are too rare to be met by chance; the order is stable."""
    for n in (2, 17, 300, 5000):
        drawn = np.random.default_rng(n).integers(0, n // 2 + 1, n).astype(np.uint64) << np.uint64(shift)
        monkeypatch.setattr(random, "raw_integers", lambda *_, drawn=drawn: drawn)
        assert (random.permutation(n, 0, "order") == np.argsort(drawn, kind="stable")).all()


@pytest.mark.parametrize("together", [2, 3])
def test_integers_with_equal_upper_halves_are_sorted(monkeypatch, together):
    rng = np.random.default_rng(together)
    drawn = rng.integers(0, 2**64, 3000, dtype=np.uint64)
    halves = drawn[: 3000 // together] >> np.uint64(32) << np.uint64(32)
    drawn = rng.permutation(np.tile(halves, together))
    drawn += rng.integers(0, 2**32, len(drawn), np.uint64)
    monkeypatch.setattr(random, "raw_integers", lambda *_: drawn)
    assert (random.permutation(len(drawn), 0, "order") == np.argsort(drawn, kind="stable")).all()
