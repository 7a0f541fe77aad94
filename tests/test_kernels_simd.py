"""The compiled scalars and vectors by themselves: exp, tanh, activations, and the blocks of eight lanes.

Each is called through a small compiled wrapper and held against float64, in units of the last place.
"""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from fastmlp.kernels import maths, simd

LOWEST = -87.3  # below, exp gives 0


@njit
def map_exp(out, x):
    for i in range(len(x)):
        out[i] = maths.exp(x[i])


@njit
def map_tanh(out, x):
    for i in range(len(x)):
        out[i] = maths.tanh(x[i])


@njit
def run_activate(a, start, width, act):
    maths.activate(a, start, width, act)


@njit
def run_derivative(delta, start, a, a_start, width, act):
    maths.multiply_by_derivative(delta, start, a, a_start, width, act)


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
    maths.RELU: lambda z: np.maximum(z, 0),
    maths.SIGMOID: lambda z: 1 / (1 + np.exp(-z)),
    maths.TANH: np.tanh,
    maths.IDENTITY: lambda z: z,
}
DERIVATIVES = {
    maths.RELU: lambda a: (a > 0).astype(float),
    maths.SIGMOID: lambda a: a * (1 - a),
    maths.TANH: lambda a: 1 - a * a,
    maths.IDENTITY: np.ones_like,
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
    run_activate(a, 0, 4, maths.RELU)
    assert (a == np.array([0, 0, 1e-45, 0], np.float32)).all()
    delta = np.ones(4, np.float32)
    run_derivative(delta, 0, a, 0, 4, maths.RELU)
    assert (delta == [0, 0, 1, 0]).all()


# --- blocks -------------------------------------------------------------------------------------


@njit
def three_rows(out, x, matrix, at, alpha, base):
    block = simd.zeros(3)
    for t in range(len(x)):
        block = simd.fma_row(block, x[t], matrix, at + 24 * t)
    simd.store_scaled(out, 5, base, 3, alpha, block)


@njit
def four_dots(out, x, x_at, matrix, at, stride, n):
    block = simd.zeros(4)
    for j in range(0, n, 8):
        block = simd.fma_column(block, x, x_at + j, matrix, at + j, stride)
    simd.store_sums(out, 2, block)


@njit
def one_fma(a, b, c):
    return simd.fma(a, b, c)


@njit
def bits_and_back(x):
    return simd.bits_float(simd.float_bits(x))


@njit
def bits_of(x):
    return simd.float_bits(x)


@njit
def lowest_bit(x):
    return simd.trailing_zeros(x)


def test_rows_are_summed_in_order_and_stored_where_they_belong():
    rng = np.random.default_rng(0)
    x, matrix = rng.normal(size=11).astype(np.float32), rng.normal(size=7 + 24 * 11).astype(np.float32)
    base, out = rng.normal(size=40).astype(np.float32), np.full(40, 9, np.float32)
    three_rows(out, x, matrix, 7, np.float32(0.5), base)
    exact = base[3:27] + 0.5 * (x.astype(np.float64) @ matrix[7:].reshape(11, 24).astype(np.float64))
    assert np.allclose(out[5:29], exact, rtol=0, atol=2e-6)
    assert (out[:5] == 9).all()
    assert (out[29:] == 9).all()


def test_dots_sum_every_lane():
    rng = np.random.default_rng(1)
    x, matrix = rng.normal(size=3 + 40).astype(np.float32), rng.normal(size=1 + 4 * 48).astype(np.float32)
    out = np.full(8, 9, np.float32)
    four_dots(out, x, 3, matrix, 1, 48, 40)
    rows = matrix[1:].reshape(4, 48)[:, :40].astype(np.float64)
    assert np.allclose(out[2:6], rows @ x[3:].astype(np.float64), rtol=0, atol=5e-6)
    assert (out[[0, 1, 6, 7]] == 9).all()


def test_fma_rounds_once():
    f = np.float32
    a, b = f(1 + 2**-12), f(1 + 2**-12)
    assert one_fma(a, b, f(-1 - 2**-11)) == f(2**-24)  # a * b rounded first would give 0
    assert f(a * b) + f(-1 - 2**-11) == 0


def test_bits_are_those_of_the_number():
    x = np.array([0.0, -0.0, 1.5, -np.inf, 1e-45, 3e38], np.float32)
    assert [bits_of(v) for v in x] == x.view(np.int32).tolist()
    assert np.array([bits_and_back(v) for v in x], np.float32).tobytes() == x.tobytes()
    assert [lowest_bit(np.uint64(1 << i)) for i in range(64)] == list(range(64))
    assert lowest_bit(np.uint64(0b101000)) == 3


def test_lanes_are_checked_for_their_types():
    """A float64 array is refused by the compiler, not read as float32."""
    from numba.core.errors import TypingError

    with pytest.raises(TypingError):
        four_dots(np.zeros(8), np.zeros(8), 0, np.zeros(8), 0, 8, 8)
