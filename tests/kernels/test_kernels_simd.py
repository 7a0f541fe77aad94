"""The compiled scalars, tiles of eight lanes and products by themselves.

Each is called through a small compiled wrapper and held against float64, in units of the last place.
"""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from numba import njit

from fastmlp.kernels import activations, intrinsics, matmul, simd
from fastmlp.kernels.intrinsics import address

LOWEST = -87.3  # below, exp gives 0


@njit
def map_exp(out, x):
    for i in range(len(x)):
        out[i] = activations.exp(x[i])


@njit
def map_tanh(out, x):
    for i in range(len(x)):
        out[i] = activations.tanh(x[i])


@njit
def run_activate(a, start, width, act):
    activations.activate(a, start, width, act)


@njit
def run_derivative(delta, start, a, a_start, width, act):
    activations.multiply_by_derivative(delta, start, a, a_start, width, act)


def mapped(function, x):
    out = np.empty_like(x)
    function(out, x)
    return out


def ulps(got, exact):
    """|got - exact| in units of the last place of the float32 next to the exact value."""
    return abs(got.astype(np.float64) - exact) / np.spacing(abs(exact).astype(np.float32)).astype(np.float64)


def grid(low, high, n=1_000_000):
    """float32 values, evenly spread, and on both sides of 0 down to the smallest."""
    tiny = np.logspace(-44, np.log10(min(abs(low), abs(high)) or 1), 100_000)
    x = np.concatenate([np.linspace(low, high, n), tiny[tiny <= high], -tiny[-tiny >= low], [0.0, -0.0]])
    return x.astype(np.float32)


def test_exp_is_within_one_ulp():
    x = grid(LOWEST + 1e-4, 88)
    worst = ulps(mapped(map_exp, x), np.exp(x.astype(np.float64)))
    assert worst.max() <= 1.0, (worst.max(), x[worst.argmax()])
    assert mapped(map_exp, np.zeros(1, np.float32))[0] == 1


def test_exp_is_monotone():
    x = np.linspace(-87.2, 88, 2_000_001).astype(np.float32)
    steps = np.diff(mapped(map_exp, x).astype(np.float64))
    assert (steps >= -1.3e-7 * mapped(map_exp, x[1:])).all()  # one unit back at most, where polynomials meet


def test_exp_beyond_its_range():
    low = np.array([-87.4, -88, -104, -1e4, -3e38, -np.inf], np.float32)
    assert not mapped(map_exp, low).any()
    high = mapped(map_exp, np.array([88.1, 89, 1e4, 3e38, np.inf], np.float32))
    assert (high >= np.float32(np.exp(np.float64(np.float32(88))) * 0.999999)).all()
    assert np.isnan(mapped(map_exp, np.array([np.nan, -np.nan], np.float32))).all()


def test_tanh_is_within_two_ulp():
    x = grid(-12, 12)
    worst = ulps(mapped(map_tanh, x), np.tanh(x.astype(np.float64)))
    assert worst.max() <= 2.0, (worst.max(), x[worst.argmax()])


def test_tanh_is_odd_bounded_and_keeps_nan():
    x = np.concatenate([grid(0, 12), np.array([50, 1e4, 3e38, np.inf], np.float32)])
    ours = mapped(map_tanh, x)
    assert (ours == -mapped(map_tanh, -x)).all()
    assert (ours <= 1).all()
    assert (ours[-4:] == 1).all()
    assert np.isnan(mapped(map_tanh, np.array([np.nan], np.float32))).all()


ACTIVATIONS = {
    activations.RELU: lambda z: np.maximum(z, 0),
    activations.SIGMOID: lambda z: 1 / (1 + np.exp(-z)),
    activations.TANH: np.tanh,
    activations.IDENTITY: lambda z: z,
}
DERIVATIVES = {
    activations.RELU: lambda a: (a > 0).astype(float),
    activations.SIGMOID: lambda a: a * (1 - a),
    activations.TANH: lambda a: 1 - a * a,
    activations.IDENTITY: np.ones_like,
}


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 9, 31, 130])
def test_activation_changes_its_range_alone(act, width):
    before = np.random.default_rng(width).normal(0, 3, width + 9).astype(np.float32)
    a = before.copy()
    run_activate(a, 4, width, act)
    inside = slice(4, 4 + width)
    exact = ACTIVATIONS[act](before[inside].astype(np.float64))
    assert (abs(a[inside] - exact) <= 3e-7 * abs(exact)).all()
    assert a[:4].tobytes() == before[:4].tobytes()
    assert a[4 + width :].tobytes() == before[4 + width :].tobytes()
    delta = np.random.default_rng(1).normal(size=width + 5).astype(np.float32)
    want = delta.astype(np.float64)
    want[2 : 2 + width] *= DERIVATIVES[act](a[inside].astype(np.float64))
    run_derivative(delta, 2, a, 4, width, act)
    assert (abs(delta - want) <= 1e-6).all()
    assert delta[:2].tobytes() == want[:2].astype(np.float32).tobytes()
    assert delta[2 + width :].tobytes() == want[2 + width :].astype(np.float32).tobytes()


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_activation_keeps_nan(act):
    a = np.full(20, np.nan, np.float32)
    run_activate(a, 0, 20, act)
    assert np.isnan(a).all()


def test_relu_and_its_derivative_are_zero_at_zero():
    a = np.array([0.0, -0.0, 1e-45, -1e-45], np.float32)
    run_activate(a, 0, 4, activations.RELU)
    assert (a == np.array([0, 0, 1e-45, 0], np.float32)).all()
    delta = np.ones(4, np.float32)
    run_derivative(delta, 0, a, 0, 4, activations.RELU)
    assert (delta == [0, 0, 1, 0]).all()


# --- tiles: compiled, and their twins in NumPy -----------------------------------------------------

f = np.float32


@njit
def one_row(out, x, matrix, at, alpha, base):
    tile = simd.zeros(1, 3)
    for t in range(len(x)):
        tile = simd.fma_row(tile, x[t], address(matrix), at + 24 * t)
    simd.store_scaled(address(out), 5, 0, address(base), 3, 0, alpha, tile)


def one_row_twin(out, x, matrix, at, alpha, base):
    tile = simd._zeros(1, 3)
    for t in range(len(x)):
        tile = simd._fma_row(tile, x[t], matrix, at + 24 * t)
    simd._store_scaled(out, 5, 0, base, 3, 0, alpha, tile)


@njit
def one_tile(out, rows, vectors, step, a, b, K, alpha, base):
    simd.product_tile(
        rows, vectors, address(out), 3, step, address(base), 1, step - 1, alpha,
        address(a), 2, 9, 1, address(b), 1, step - 1, K,
    )  # fmt: skip


def one_tile_twin(out, rows, vectors, step, a, b, K, alpha, base):
    simd._product_tile(rows, vectors, out, 3, step, base, 1, step - 1, alpha, a, 2, 9, 1, b, 1, step - 1, K)


def coded_rows_by(tall):
    """``add_coded_rows`` compiled for that many rows at a time, a literal."""

    @njit
    def coded_rows(out, size, begun, base, alpha, masks, n, table, codes, rows, step):
        simd.add_coded_rows(
            tall, size, address(out), 2, 107, begun, address(base), 3, alpha,
            address(masks), 1, n, address(table), address(codes), 1, 200, 3,
            address(rows), 4, step,
        )  # fmt: skip

    return coded_rows


coded_rows = {tall: coded_rows_by(tall) for tall in (1, 2)}


def coded_rows_twin(tall, out, size, begun, base, alpha, masks, n, table, codes, rows, step):
    simd._add_coded_rows(
        tall, size, out, 2, 107, begun, base, 3, alpha, masks, 1, n, table, codes, 1, 200, 3, rows, 4, step
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
def at_a_place(place, i):
    return intrinsics.pointer_at(place)[i]


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


@pytest.mark.parametrize("kind", ["ordinary", "odd"])
def test_tiles_give_the_bits_of_their_twins(kind):
    rng = np.random.default_rng(0)
    make = (lambda n: rng.normal(size=n).astype(f)) if kind == "ordinary" else lambda n: odd_floats(rng, n)
    for _ in range(20):
        x, matrix, base, alpha = make(5), make(7 + 24 * 5), make(60), make(1)[0]
        got, want = np.full(70, 9, f), np.full(70, 9, f)
        with np.errstate(all="ignore"):
            one_row(got, x, matrix, 7, alpha, base)
            one_row_twin(want, x, matrix, 7, alpha, base)
        same_bits(got, want)
        assert (got[:5] == 9).all()
        assert (got[29:] == 9).all()
        if kind == "ordinary":
            exact = base[3:27] + alpha * (x.astype(np.float64) @ matrix[7:].reshape(5, 24))
            assert np.allclose(got[5:29], exact, rtol=0, atol=1e-5)


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
        common = (size, np.uint64(begun), base, f(0.3), masks, n, table, codes, rows, step)
        coded_rows[tall](got, *common)
        coded_rows_twin(tall, want, *common)
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
    x = np.arange(10, dtype=f)
    assert [at_a_place(x.ctypes.data, i) for i in (0, 3, 9)] == [0, 3, 9]
    assert intrinsics._floats_at(x.ctypes.data)[7] == 7


def test_lanes_are_checked_for_their_types():
    """A float64 array is refused by the compiler, not read as float32; so is one that is not contiguous."""
    from numba.core.errors import TypingError

    with pytest.raises(TypingError):
        one_row(np.zeros(70), np.zeros(5, f), np.zeros(200), 7, f(1), np.zeros(60))
    with pytest.raises(TypingError):
        copied(np.zeros(64, np.uint8), 0, np.zeros(200, np.uint8)[::2], 0)


# --- the loops that multiply ----------------------------------------------------------------------


@njit
def run_product(
    out, at, step, base, base_at, base_step, alpha, a, a_at, a_m, a_k, M, b, b_at, b_k, K, depth, vectors
):
    matmul.product(
        address(out), at, step, address(base), base_at, base_step, alpha,
        address(a), a_at, a_m, a_k, M, address(b), b_at, b_k, K, depth, vectors,
    )  # fmt: skip


@njit
def run_walk_samples(
    vectors, out, at, step, begun, base, base_at, masks, n, table, codes, rows, rows_at, rows_step
):
    matmul.walk_samples(
        vectors, address(out), at, step, begun, address(base), base_at, address(masks), n,
        address(table), address(codes), address(rows), rows_at, rows_step,
    )  # fmt: skip


@njit
def run_walk_inputs(
    vectors, out, at, step, alpha, masks, first, n, table, codes, code_at, rows, rows_at, rows_step
):
    matmul.walk_inputs(
        vectors, address(out), at, step, alpha, address(masks), first, n,
        address(table), address(codes), code_at, address(rows), rows_at, rows_step,
    )  # fmt: skip


@njit
def run_add_row(out, at, x, row, row_at, vectors):
    matmul.add_row(address(out), at, x, address(row), row_at, vectors)


@njit
def run_transpose(masks, at):
    matmul.transpose(address(masks), at)


WIDTHS = range(1, 41)


@pytest.mark.parametrize("transposed", [False, True])
def test_product_is_the_product_at_every_width(transposed):
    rng = np.random.default_rng(3)
    for vectors in WIDTHS:
        M, K, depth, width = (
            int(rng.integers(1, 20)),
            int(rng.integers(0, 150)),
            int(rng.integers(1, 65)),
            8 * vectors,
        )
        A, B = rng.normal(size=(M, K)).astype(f), rng.normal(size=(K, width)).astype(f)
        base, out = rng.normal(size=(M, width)).astype(f), np.full((M + 2, width + 8), 9, f)
        a = np.append(9, A.T if transposed else A).astype(f)
        a_m, a_k = (1, M) if transposed else (K, 1)
        run_product(
            out.reshape(-1), width + 8, width + 8, base.reshape(-1), 0, width, f(0.5), a, 1, a_m, a_k, M,
            np.append(f(9), B), 1, width, K, depth, vectors,
        )  # fmt: skip
        exact = base + 0.5 * (A.astype(np.float64) @ B)
        assert np.allclose(out[1:-1, :width], exact, rtol=0, atol=2e-5), vectors
        assert (out[[0, -1]] == 9).all()
        assert (out[:, width:] == 9).all()


def some_bits(rng, n):
    """(n, 64) of them, few, all or none, and as masks with others behind them."""
    present = rng.random((n, 64)) < rng.choice([0.0, 0.2, 1.0])
    masks = [sum(1 << t for t in range(64) if row[t]) for row in present]
    return present, np.array([*masks, 7, 8, 9], np.uint64)


def test_walk_samples_adds_the_rows_of_the_bits_at_every_width():
    rng = np.random.default_rng(4)
    table = rng.normal(size=256).astype(f)
    for wanted in WIDTHS:
        vectors, n = matmul.padded_vectors(wanted), int(rng.integers(1, 9))
        assert wanted <= vectors <= wanted + 2 * (1 + wanted // 13)
        assert matmul.padded_vectors(vectors) == vectors
        width, (present, masks) = 8 * vectors, some_bits(rng, n)
        codes = rng.integers(0, 256, (n, 64)).astype(np.uint8)
        rows, out = rng.normal(size=(64, width + 8)).astype(f), rng.normal(size=(n + 1, width + 8)).astype(f)
        base, begun = rng.normal(size=width + 5).astype(f), rng.random(n) < 0.5
        before = out.copy()
        run_walk_samples(
            vectors, out.reshape(-1), 8, width + 8, np.uint64(sum(1 << i for i in range(n) if begun[i])),
            base, 5, masks, n, table, codes.reshape(-1), rows.reshape(-1), 8, width + 8,
        )  # fmt: skip
        values = np.where(present, table[codes], 0).astype(np.float64)
        kept = begun | ~present.any(axis=1)
        exact = np.where(kept[:, None], before[:n, 8:], base[5:]) + values @ rows[:, 8:]
        assert np.allclose(out[:n, 8:], exact, rtol=0, atol=2e-5), vectors
        out[:n, 8:] = before[:n, 8:]
        assert (out == before).all()


def test_walk_inputs_adds_the_rows_of_the_bits_at_every_width():
    rng = np.random.default_rng(5)
    table = rng.normal(size=256).astype(f)
    table[0] = 0
    for vectors in (matmul.padded_vectors(wanted) for wanted in WIDTHS):
        width, n = 8 * vectors, int(rng.integers(1, 9))
        present, masks = some_bits(rng, n + 1)
        codes = np.where(present, rng.integers(1, 256, (n + 1, 64)), 0).astype(np.uint8)
        by_sample = np.zeros((64, 64), np.uint8)
        by_sample[:, 3 : 4 + n] = codes.T
        rows, out = rng.normal(size=(64, width + 8)).astype(f), rng.normal(size=(n + 2, width + 8)).astype(f)
        before = out.copy()
        run_walk_inputs(
            vectors, out.reshape(-1), width + 16, width + 8, f(-0.5), masks, 1, n,
            table, by_sample.reshape(-1), 4, rows.reshape(-1), 8, width + 8,
        )  # fmt: skip
        values = table[codes[1:]].astype(np.float64)
        exact = before[1:-1, 8:] - 0.5 * (values @ rows[:, 8:])
        assert np.allclose(out[1:-1, 8:], exact, rtol=0, atol=2e-5), vectors
        out[1:-1, 8:] = before[1:-1, 8:]
        assert (out == before).all()


def test_add_row_adds_at_every_width():
    rng = np.random.default_rng(5)
    for vectors in WIDTHS:
        row, out = rng.normal(size=5 + 8 * vectors).astype(f), rng.normal(size=8 * vectors + 7).astype(f)
        before = out.copy()
        run_add_row(out, 3, f(0.3), row, 5, vectors)
        same_bits(out[3:-4], intrinsics.rounded_once(f(0.3), row[5:], before[3:-4]))
        assert (out[:3] == before[:3]).all()
        assert (out[-4:] == before[-4:]).all()


def test_transpose_turns_a_square_of_bits():
    rng = np.random.default_rng(6)
    for masks in (rng.integers(0, 2**64, 130, dtype=np.uint64), np.arange(130, dtype=np.uint64)):
        bits = np.unpackbits(masks.view(np.uint8), bitorder="little").reshape(130, 64)
        want = np.packbits(bits[1:65].T, bitorder="little").view(np.uint64)
        ends = masks[[0, -1]].copy()
        run_transpose(masks, 1)
        assert (masks[1:65] == want).all()
        assert (masks[[0, -1]] == ends).all()


def inner_loops(assembly):
    """The straight pieces of code that jump back to their own beginning."""
    pieces, name, lines = [], None, []
    for line in assembly.splitlines():
        label = re.match(r"(\.?L\w+):", line)
        if label:
            name, lines = label[1], []
        elif line.startswith("\t") and not line.startswith("\t."):
            lines.append(line)
            if name and re.match(rf"\tj\w+\s+{re.escape(name)}$", line):
                pieces.append("\n".join(lines))
    return pieces


@pytest.mark.parametrize("of", ["product", "samples", "inputs"])
def test_tiles_stay_in_registers(of):
    """No accumulator goes to memory within a loop, where there are 16 registers of 8 lanes and a fma."""
    if of == "product":
        test_product_is_the_product_at_every_width(False)
    elif of == "samples":
        test_walk_samples_adds_the_rows_of_the_bits_at_every_width()
    else:
        test_walk_inputs_adds_the_rows_of_the_bits_at_every_width()
    compiled = {"product": run_product, "samples": run_walk_samples, "inputs": run_walk_inputs}[of]
    (assembly,), (llvm,) = compiled.inspect_asm().values(), compiled.inspect_llvm().values()
    assert "<8 x float>" in llvm
    assert not re.search(r"alloca .*<(8|16) x float>", llvm)
    loops = [piece for piece in inner_loops(assembly) if re.search(r"vfmadd.*%[yz]mm", piece)]
    if re.search(r"vfmadd.*%[yz]mm", assembly):
        most = max(
            len(re.findall(r"vfmadd.*%[yz]mm", piece)) + len(re.findall(r"vfmadd.*%zmm", piece))
            for piece in loops
        )
        assert most >= 12, most  # vectors of 8: 4 x 3, or 13 x 1
        spilling = [piece for piece in loops if re.search(r"vmov[au]ps.*\(%[re]?[sb]p\)", piece)]
        assert not spilling, spilling[0]
