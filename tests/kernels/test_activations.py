"""The compiled scalars and activations, held against float64 in units of the last place."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from fastmlp.kernels import activations
from fastmlp.kernels.intrinsics import address, shifted

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
    there = shifted(address(a), start)
    activations.activate(act, there, there, width, np.float32(0.01))


@njit
def run_derivative(delta, start, a, a_start, width, act):
    there = shifted(address(a), a_start)
    delta_there = shifted(address(delta), start)
    activations.multiply_by_slope(act, delta_there, there, width, np.float32(0.01))


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


EXACT = {
    "relu": (lambda z: np.maximum(z, 0), lambda a: (a > 0).astype(float)),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
    "tanh": (np.tanh, lambda a: 1 - a * a),
    "identity": (lambda z: z, np.ones_like),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda a: np.where(a > 0, 1, 0.01)),
}


def test_every_activation_is_tested_here():
    assert list(EXACT) == list(activations.ACTIVATIONS)


@pytest.mark.parametrize("act", EXACT)
@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 9, 31, 130])
def test_activation_changes_its_range_alone(act, width):
    before = np.random.default_rng(width).normal(0, 3, width + 9).astype(np.float32)
    a = before.copy()
    entry, (function, slope) = activations.ACTIVATIONS[act], EXACT[act]
    run_activate(a, 4, width, entry.forward.place)
    inside = slice(4, 4 + width)
    exact = function(before[inside].astype(np.float64))
    assert (abs(a[inside] - exact) <= 3e-7 * abs(exact)).all()
    assert a[:4].tobytes() == before[:4].tobytes()
    assert a[4 + width :].tobytes() == before[4 + width :].tobytes()
    delta = np.random.default_rng(1).normal(size=width + 5).astype(np.float32)
    want = delta.astype(np.float64)
    want[2 : 2 + width] *= slope(a[inside].astype(np.float64))
    run_derivative(delta, 2, a, 4, width, entry.backward.place)
    assert (abs(delta - want) <= 1e-6).all()
    assert delta[:2].tobytes() == want[:2].astype(np.float32).tobytes()
    assert delta[2 + width :].tobytes() == want[2 + width :].astype(np.float32).tobytes()


@pytest.mark.parametrize("act", EXACT)
def test_activation_keeps_nan(act):
    a = np.full(20, np.nan, np.float32)
    run_activate(a, 0, 20, activations.ACTIVATIONS[act].forward.place)
    assert np.isnan(a).all()


def test_relu_and_its_derivative_are_zero_at_zero():
    a = np.array([0.0, -0.0, 1e-45, -1e-45], np.float32)
    run_activate(a, 0, 4, activations.ACTIVATIONS["relu"].forward.place)
    assert (a == np.array([0, 0, 1e-45, 0], np.float32)).all()
    delta = np.ones(4, np.float32)
    run_derivative(delta, 0, a, 0, 4, activations.ACTIVATIONS["relu"].backward.place)
    assert (delta == [0, 0, 1, 0]).all()
