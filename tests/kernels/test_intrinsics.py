"""Intrinsics, compiled and as their twins in NumPy: the same bits."""

from __future__ import annotations

import ctypes
from fractions import Fraction

import numpy as np
import pytest
from floats import f, odd_floats, same_bits
from numba import njit

from fastmlp.kernels import intrinsics, simd
from fastmlp.kernels.intrinsics import address
from fastmlp.kernels.simd import Coded, Matrix


@njit
def lanes_added(out, at, x, row, row_at):
    simd.add_lanes(intrinsics.shifted(address(out), at), x, intrinsics.shifted(address(row), row_at))


@njit
def one_tile(out, rows, vectors, step, a, b, K, alpha, base):
    simd.product_tile(
        rows, vectors, Matrix(address(out), 3, step, 1), Matrix(address(base), 1, step - 1, 1), alpha,
        Matrix(address(a), 2, 9, 1), Matrix(address(b), 1, step - 1, 1), K,
    )  # fmt: skip


def one_tile_twin(out, rows, vectors, step, a, b, K, alpha, base):
    simd._product_tile(
        rows, vectors, Matrix(out, 3, step, 1), Matrix(base, 1, step - 1, 1), alpha, Matrix(a, 2, 9, 1),
        Matrix(b, 1, step - 1, 1), K,
    )  # fmt: skip


@njit
def coded_rows(tall, size, out, begun, base, alpha, masks, n, table, codes, rows, step):
    coded = Coded(address(table), Matrix(address(codes), 1, 200, 3), intrinsics.shifted(address(masks), 1))
    simd.add_coded_rows(
        tall, size, Matrix(address(out), 2, 107, 1), begun, intrinsics.shifted(address(base), 3), alpha,
        coded, n, Matrix(address(rows), 4, step, 1),
    )  # fmt: skip


def coded_rows_twin(tall, size, out, begun, base, alpha, masks, n, table, codes, rows, step):
    coded = Coded(table, Matrix(codes, 1, 200, 3), masks[1:])
    simd._add_coded_rows(
        tall, size, Matrix(out, 2, 107, 1), begun, base[3:], alpha, coded, n, Matrix(rows, 4, step, 1)
    )


@njit
def all_fma(out, a, b, c):
    for i in range(len(out)):
        out[i] = intrinsics.fma(a[i], b[i], c[i])


@njit
def bits_and_back(x):
    return intrinsics.bits_float(intrinsics.float_bits(x))


@njit
def bits_of(x):
    return intrinsics.float_bits(x)


@njit
def copied(out, at, codes, start):
    return intrinsics.copy_word(address(out), at, address(codes), start)


@njit
def double_at_a_place(place, i):
    return intrinsics.doubles_at(place)[i]


@njit
def marked(x, at):
    mask = intrinsics.not_zero(intrinsics.shifted(intrinsics.address(x), at))
    return mask, intrinsics.count_ones(mask)


@njit
def at_a_place(place, i):
    return intrinsics.pointer_at(place)[i]


@pytest.mark.parametrize("kind", ["ordinary", "odd"])
def test_added_lanes_give_the_bits_of_their_twin(kind):
    rng = np.random.default_rng(0)
    make = (lambda n: rng.normal(size=n).astype(f)) if kind == "ordinary" else lambda n: odd_floats(rng, n)
    for _ in range(50):
        got, x, row = make(20), make(1)[0], make(20)
        want = got.copy()
        with np.errstate(all="ignore"):
            lanes_added(got, 5, x, row, 3)
            simd._add_lanes(want[5:], x, row[3:])
        same_bits(got, want)
        exact = want.astype(np.float64)
        if kind == "ordinary":
            assert (got[:5] == exact[:5]).all()


SHAPES = [(rows, vectors) for vectors, tall in simd.TALL.items() for rows in (1, tall)]


@pytest.mark.parametrize("kind", ["ordinary", "odd"])
@pytest.mark.parametrize(("rows", "vectors"), SHAPES)
def test_a_product_of_each_shape_gives_the_bits_of_its_twin(rows, vectors, kind):
    rng = np.random.default_rng(rows)
    make = (lambda n: rng.normal(size=n).astype(f)) if kind == "ordinary" else lambda n: odd_floats(rng, n)
    for K in (0, 1, 7):
        step = 8 * vectors + 1
        a, b, base, alpha = make(80), make(9 * step), make(9 * step), make(1)[0]
        got, want = np.full(9 * step, 9, f), np.full(9 * step, 9, f)
        with np.errstate(all="ignore"):
            one_tile(got, rows, vectors, step, a, b, K, alpha, base)
            one_tile_twin(want, rows, vectors, step, a, b, K, alpha, base)
        same_bits(got, want)
        assert (got[:3] == 9).all()
        assert (got[3 + step * rows - 1 :] == 9).all()
        if kind == "ordinary" and K:
            A = np.stack([a[2 + 9 * r :][:K] for r in range(rows)]).astype(np.float64)
            B = np.stack([b[1 + (step - 1) * k :][: 8 * vectors] for k in range(K)])
            start = np.stack([base[1 + (step - 1) * r :][: 8 * vectors] for r in range(rows)])
            found = np.stack([got[3 + step * r :][: 8 * vectors] for r in range(rows)])
            assert np.allclose(found, start + alpha * (A @ B), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("rows", "vectors"), [(n, v) for v, tall in simd.TALL.items() for n in (1, tall)])
def test_a_product_in_float64_is_a_product(rows, vectors):
    """Vectors of it have half of the lanes; its twin may round a last bit otherwise."""
    rng = np.random.default_rng(rows)
    for K in (0, 1, 7):
        step = 4 * vectors + 1
        a, b, base, alpha = (rng.normal(size=n) for n in (80, 9 * step, 9 * step, 1))
        got, want = np.full(9 * step, 9.0), np.full(9 * step, 9.0)
        one_tile(got, rows, vectors, step, a, b, K, alpha[0], base)
        one_tile_twin(want, rows, vectors, step, a, b, K, alpha[0], base)
        assert np.allclose(got, want, rtol=0, atol=1e-14)
        assert (got[:3] == 9).all()
        assert (got[3 + step * rows - 1 :] == 9).all()
        A = np.stack([a[2 + 9 * r :][:K] for r in range(rows)])
        B = (
            np.stack([b[1 + (step - 1) * k :][: 4 * vectors] for k in range(K)])
            if K
            else np.empty((0, step - 1))
        )
        start = np.stack([base[1 + (step - 1) * r :][: 4 * vectors] for r in range(rows)])
        found = np.stack([got[3 + step * r :][: 4 * vectors] for r in range(rows)])
        assert np.allclose(found, start + alpha * (A @ B), rtol=0, atol=1e-13)


def test_scalars_of_float64():
    rng = np.random.default_rng(5)
    a, b, c = (rng.normal(size=2000) for _ in range(3))
    c[:1000] = -a[:1000] * b[:1000]  # only what rounding has lost is left
    got = np.empty(2000)
    all_fma(got, a, b, c)
    exact = [float(Fraction(x) * Fraction(y) + Fraction(z)) for x, y, z in zip(a, b, c, strict=True)]
    assert (got == np.array(exact)).all()
    assert np.allclose(intrinsics.almost_once(a, b, c), exact, rtol=1e-15, atol=1e-18)
    x = np.array([0.0, -0.0, 1.5, -np.inf, 5e-324, 1e308])
    assert [bits_of(v) for v in x] == x.view(np.int64).tolist()
    assert np.array([bits_and_back(v) for v in x]).tobytes() == x.tobytes()
    row = rng.normal(size=24)
    assert np.isclose(squares_of(row, 16), (row[:16] ** 2).sum(), rtol=1e-15)
    assert squares_of(row, 16) == simd._sum_of_squares(row, 16)


@njit
def squares_of(row, n):
    return simd.sum_of_squares(address(row), n)


@pytest.mark.parametrize("tall", [1, 2])
@pytest.mark.parametrize("size", simd.SIZES)
def test_coded_rows_give_the_bits_of_their_twin(tall, size):
    size = size if tall == 1 else min(size, simd.PAIRED)
    rng = np.random.default_rng(size)
    rows, step = rng.normal(size=4 + 64 * 110).astype(f), 110
    table, codes = rng.normal(size=256).astype(f), rng.integers(0, 256, 8 * 200).astype(np.uint8)
    own = [1, 1 << 63, 0, 0b1011 << 20, 2**64 - 1, 0, 0, 0, 77, 78]  # the last two are beyond n
    for n in (8, 2 * tall, 0):
        masks, begun = np.array([99, *own], np.uint64), 0b10110010 if tall == 1 else 2**64 - 1
        got, base = rng.normal(size=8 * 107).astype(f), rng.normal(size=120).astype(f)
        want, exact = got.copy(), got.astype(np.float64)
        common = (np.uint64(begun), base, f(0.3), masks, n, table, codes, rows, step)
        coded_rows(tall, size, got, *common)
        coded_rows_twin(tall, size, want, *common)
        same_bits(got, want)
        for i in range(n):
            mask = own[i] if tall == 1 else own[i - i % 2] | own[i - i % 2 + 1]
            place = slice(2 + 107 * i, 2 + 107 * i + 8 * size)
            if mask and not begun >> i & 1:
                exact[place] = base[3 : 3 + 8 * size]
            for t in range(64):
                if mask >> t & 1:
                    row = rows[4 + t * step :][: 8 * size].astype(np.float64)
                    exact[place] += 0.3 * table[codes[1 + 200 * i + 3 * t]] * row
        assert np.allclose(got, exact, rtol=0, atol=2e-5)


def nearest(exact):
    """The float32 next to a Fraction; of two as near, the one with the even last bit."""
    guess = f(float(exact))
    near = [np.nextafter(guess, f(-np.inf)), guess, np.nextafter(guess, f(np.inf))]
    return min(near, key=lambda v: (abs(Fraction(float(v)) - exact), int(v.view(np.uint32)) & 1))


def test_fma_and_its_twin_round_once():
    """Against rational numbers: sums beside, and on, the middle of two floats, down to the smallest."""
    rng = np.random.default_rng(1)
    n = 3000
    i, two = rng.integers(1, 24, n), f(2)
    a, b = f(1) + two ** -i.astype(f), f(1) + two ** (i - 24).astype(f)  # a * b lies on a middle
    c = rng.choice([-1, 0, 1], n).astype(f) * two ** rng.integers(-120, 3, n).astype(f)
    tiny = slice(0, n // 3)
    a[tiny] *= f(2.0**-70)
    b[tiny] *= two ** rng.integers(-75, -50, n // 3).astype(f)
    got = np.empty(n, f)
    all_fma(got, a, b, c)
    want = np.array(
        [
            nearest(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)))
            for x, y, z in zip(a, b, c, strict=True)
        ]
    )
    assert (got == want).all()
    assert (intrinsics.rounded_once(a, b, c) == want).all()
    naive = (a.astype(np.float64) * b + c).astype(f)
    assert (naive != want).sum() > 20  # rounded twice, many would be wrong
    same_bits(*(np.asarray(v) for v in _both_fma(*(odd_floats(rng, 20_000) for _ in range(3)))))


def _both_fma(a, b, c):
    got = np.empty_like(a)
    all_fma(got, a, b, c)
    return got, intrinsics.rounded_once(a, b, c)


def test_bits_are_those_of_the_number():
    x = np.array([0.0, -0.0, 1.5, -np.inf, 1e-45, 3e38], f)
    assert [bits_of(v) for v in x] == x.view(np.int32).tolist()
    assert np.array([bits_and_back(v) for v in x], f).tobytes() == x.tobytes()


def test_a_copied_word_and_its_bits_are_those_of_the_twin():
    rng = np.random.default_rng(2)
    codes = (rng.integers(0, 256, 300) * (rng.random(300) < 0.4)).astype(np.uint8)
    for at in (0, 1, 7, 64, 236):
        got, twin = np.full(70, 9, np.uint8), np.full(70, 9, np.uint8)
        want = sum(1 << i for i in range(64) if codes[at + i])
        assert int(copied(got, 3, codes, at)) == int(intrinsics._copy_word(twin, 3, codes, at)) == want
        assert got.tolist() == twin.tolist() == [9, 9, 9, *codes[at : at + 64].tolist(), 9, 9, 9]
    assert int(copied(np.zeros(64, np.uint8), 0, np.full(64, 128, np.uint8), 0)) == 2**64 - 1


def test_a_place_is_read_where_it_lies():
    x, wide = np.arange(10, dtype=f), np.arange(10) / 3
    assert [at_a_place(x.ctypes.data, i) for i in (0, 3, 9)] == [0, 3, 9]
    assert [double_at_a_place(wide.ctypes.data, i) for i in (0, 3, 9)] == [0, 1, 3]
    assert intrinsics._values_at(ctypes.c_float, 4)(x.ctypes.data)[7] == 7
    assert intrinsics._values_at(ctypes.c_double, 8)(wide.ctypes.data)[9] == 3


def test_the_bits_of_64_floats_are_those_that_are_not_0():
    rng = np.random.default_rng(3)
    x = (rng.normal(size=200) * (rng.random(200) < 0.4)).astype(f)
    x[:8] = 0.0, -0.0, np.nan, np.inf, 1e-45, -1e-45, 1.0, 0.0
    for at in (0, 3, 64, 136):
        want = sum(1 << i for i in range(64) if x[at + i] != 0)
        mask, count = marked(x, at)
        assert int(mask) == int(intrinsics._not_zero(x[at:])) == want
        assert count == want.bit_count()


def test_lanes_are_checked_for_their_types():
    """A float64 array is refused by the compiler, not read as float32; so is one that is not contiguous."""
    from numba.core.errors import TypingError

    with pytest.raises(TypingError):
        lanes_added(np.zeros(70), 0, f(1), np.zeros(60), 0)
    with pytest.raises(TypingError):
        copied(np.zeros(64, np.uint8), 0, np.zeros(200, np.uint8)[::2], 0)
