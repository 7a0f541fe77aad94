"""The scalar maths of float64: against exact values, at the edges, and wherever a number stands."""

from __future__ import annotations

import decimal
import functools
import math

import numpy as np
import pytest
from numba import njit

from fastmlp.kernels import plain_maths

D = decimal.Decimal
CONTEXT = decimal.Context(prec=40, Emin=-10_000, Emax=10_000)


def exp(x: float) -> D:
    return CONTEXT.exp(D(x))


def expm1(x: float) -> D:
    return CONTEXT.subtract(exp(x), D(1))


def log1p(x: float) -> D:
    return CONTEXT.ln(CONTEXT.add(D(1), D(x)))


def tanh(x: float) -> D:
    return CONTEXT.divide(expm1(2 * x), CONTEXT.add(exp(2 * x), D(1)))


def sigmoid(x: float) -> D:
    return CONTEXT.divide(D(1), CONTEXT.add(D(1), exp(-x)))


CASES = {  # function, exact one, from, to, units in the last place
    "exp": (plain_maths.exp, exp, -700, 709, 1),
    "exp near 0": (plain_maths.exp, exp, -1, 1, 1),
    "expm1": (plain_maths.expm1, expm1, -40, 40, 2),
    "expm1 near 0": (plain_maths.expm1, expm1, -1e-3, 1e-3, 2),
    "log1p": (plain_maths.log1p, log1p, 0, 1, 2),
    "log1p near 0": (plain_maths.log1p, log1p, 0, 1e-9, 2),
    "tanh": (plain_maths.tanh, tanh, -3, 3, 4),
    "tanh near 0": (plain_maths.tanh, tanh, -1e-6, 1e-6, 4),
    "sigmoid": (plain_maths.sigmoid, sigmoid, -700, 40, 3),
}


@functools.cache
def each(function):
    """A loop of it, as the kernels have."""

    @njit(error_model="numpy")
    def loop(out, x):
        for i in range(len(x)):
            out[i] = function(x[i])

    def apply(x):
        out = np.empty_like(x)
        loop(out, x)
        return out

    return apply


def worst(function, exact, x: np.ndarray) -> float:
    """The largest error, in units in the last place."""
    got, want = each(function)(x), [exact(v) for v in x.tolist()]
    units = [math.ulp(float(w)) for w in want]
    return max(
        abs(float(CONTEXT.subtract(D(g), w))) / unit
        for g, w, unit in zip(got.tolist(), want, units, strict=True)
    )


@pytest.mark.parametrize("name", CASES)
def test_errors_are_of_few_units_in_the_last_place(name):
    function, exact, low, high, units = CASES[name]
    x = np.random.default_rng(1).uniform(low, high, 400)
    assert worst(function, exact, x) <= units


def test_the_comparison_goes_red():
    x = np.linspace(-1, 1, 5)
    assert worst(njit(lambda v: math.exp(v) * (1 + 2e-15)), exp, x) > 4


def test_edges():
    far = np.array([-np.inf, -1e300, -800, 800, 1e300, np.inf, np.nan])
    nan = np.nan
    for function, want in (
        (plain_maths.exp, [0, 0, 0, np.inf, np.inf, np.inf, nan]),
        (plain_maths.expm1, [-1, -1, -1, np.inf, np.inf, np.inf, nan]),
        (plain_maths.tanh, [-1, -1, -1, 1, 1, 1, nan]),
        (plain_maths.sigmoid, [0, 0, 0, 1, 1, 1, nan]),
    ):
        assert np.array_equal(each(function)(far), want, equal_nan=True)
    zeros = each(plain_maths.exp)(np.array([0.0, -0.0]))
    assert (zeros == 1).all()
    for function in (plain_maths.expm1, plain_maths.tanh):
        assert (each(function)(np.array([0.0])) == 0).all()


def test_a_number_is_the_same_wherever_it_stands():
    """In a vector, in what is left over, alone."""
    x = np.random.default_rng(2).normal(size=67) * 3
    for function in (plain_maths.exp, plain_maths.tanh, plain_maths.sigmoid):
        loop = each(function)
        whole = loop(x)
        assert all(loop(x[i : i + 1])[0] == whole[i] for i in range(len(x)))
        assert np.array_equal(loop(x[3:40]), whole[3:40])
