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


# --- the counter-based stream of dropout ----------------------------------------------------------

KNOWN = (  # counter, key, 7 rounds, 10 rounds: the test values that Random123 comes with
    (
        (0, 0, 0, 0), (0, 0),
        (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    (
        (0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2,
        (0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
        (0x4DFCCABA, 0x190A87F0, 0xC47362BA, 0xB6B5242A), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)  # fmt: skip
KEY = random.key_of(0, "dropout")


@pytest.mark.parametrize(("counter", "key", "seven", "ten"), KNOWN)
def test_philox_gives_the_known_answers(counter, key, seven, ten):
    assert tuple(map(int, random.philox4x32(counter, key, 7))) == seven
    assert tuple(map(int, random.philox4x32(counter, key, 10))) == ten


def test_philox_takes_arrays_of_counters():
    counters = np.array([known[0] for known in KNOWN], np.uint64).T
    together = np.array(random.philox4x32(counters, KNOWN[2][1]))
    for i, known in enumerate(KNOWN):
        assert together[:, i].tolist() == list(map(int, random.philox4x32(known[0], KNOWN[2][1])))


def test_kept_units_are_the_golden_ones():
    drawn = random.kept(0.3, 300, KEY, 1, 2, np.arange(500))
    assert KEY == (2658804785, 1007241156)
    assert hashlib.sha256(np.packbits(drawn).tobytes()).hexdigest()[:16] == "74226919a2999a82"


def test_kept_units_are_16_bits_of_the_counters_that_the_docstring_names():
    share, units, places = 0.25, 150, np.array([0, 7, 2**31])
    drawn = random.kept(share, units, KEY, 5, 3, places)
    for row, place in zip(drawn, places, strict=True):
        for unit in (0, 3, 4, 31, 32, 63, 64, 100, 149):
            word, within = divmod(unit, random.UNITS)
            half, within = divmod(within, 32)
            block, part = divmod(within, 4)
            numbers = random.philox4x32((8 * word + block, place, 3, 5), KEY)
            number = int(numbers[2 * half + part // 2]) >> 16 * (part % 2) & 0xFFFF
            assert row[unit] == (number >= 16384)


def test_kept_units_hang_on_nothing_but_what_they_are_asked_for():
    whole = random.kept(0.5, 200, KEY, 3, 1, np.arange(50))
    assert np.array_equal(random.kept(0.5, 200, KEY, 3, 1, np.arange(20, 31)), whole[20:31])
    assert np.array_equal(random.kept(0.5, 70, KEY, 3, 1, np.arange(50)), whole[:, :70])
    more = random.kept(0.25, 200, KEY, 3, 1, np.arange(50))
    assert (more >= whole).all()  # the same numbers, another threshold
    for other in (
        random.kept(0.5, 200, random.key_of(1, "dropout"), 3, 1, np.arange(50)),
        random.kept(0.5, 200, KEY, 4, 1, np.arange(50)),
        random.kept(0.5, 200, KEY, 3, 2, np.arange(50)),
        random.kept(0.5, 200, KEY, 3, 1, np.arange(50, 100)),
    ):
        assert abs((other == whole).mean() - 0.5) < 0.03


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_kept_units_are_as_many_as_asked_for_and_independent(share):
    """By chi-square, at a fixed seed: of units, of samples, and of the four outcomes of neighbours."""
    n, units = 2000, 256
    drawn = random.kept(share, units, KEY, 1, 1, np.arange(n))
    p = 1 - random.parts_out(share) / random.GRAIN
    for axis, count in ((0, n), (1, units)):
        found = drawn.sum(axis=axis)
        chi = ((found - count * p) ** 2 / (count * p * (1 - p))).sum()
        freedom = len(found)
        assert abs(chi - freedom) < 4.5 * np.sqrt(2 * freedom), (axis, chi)
    pairs = (drawn[:, :-1], drawn[:, 1:]), (drawn[:-1], drawn[1:]), (drawn[:, :-32], drawn[:, 32:])
    for a, b in pairs:
        chi = 0.0
        for here in (False, True):
            for there in (False, True):
                expected = a.size * (p if here else 1 - p) * (p if there else 1 - p)
                chi += (((a == here) & (b == there)).sum() - expected) ** 2 / expected
        assert chi < 20  # three degrees of freedom: one in 6,000


def test_a_share_is_never_rounded_to_none_or_all():
    assert random.parts_out(1e-9) == 1
    assert random.parts_out(1 - 1e-9) == random.GRAIN - 1
    assert random.parts_out(0.25) == 16384
    assert random.growth(0.25) == pytest.approx(4 / 3)
