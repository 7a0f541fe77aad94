"""The comparator itself, given something wrong: each of these must go red."""

from __future__ import annotations

import numpy as np
import pytest
from compare import TOLERANCES, check, check_named, digest, error

from fastmlp import Architecture, Parameters, initialise

RIGHT = np.random.default_rng(0).normal(size=(7, 5))


def wrong_ones():
    yield "zeros", np.zeros_like(RIGHT)
    yield "transposed", RIGHT.T
    yield "flat", RIGHT.ravel()
    yield "a row less", RIGHT[:-1]
    yield "broadcast", RIGHT[:1]
    yield "scalar", RIGHT[0, 0]
    yield "empty", RIGHT[:0]
    yield "none", None
    yield "negated", -RIGHT
    yield "one nan", np.where(RIGHT[3, 2] == RIGHT, np.nan, RIGHT)
    yield "all nan", np.full_like(RIGHT, np.nan)
    yield "one infinity", np.where(RIGHT[3, 2] == RIGHT, np.inf, RIGHT)
    yield "one entry off", np.where(RIGHT[3, 2] == RIGHT, RIGHT + 0.01, RIGHT)
    yield "rows swapped", RIGHT[::-1]
    yield "slightly off", RIGHT * (1 + 1e-3)


@pytest.mark.parametrize("what", TOLERANCES)
@pytest.mark.parametrize(("name", "wrong"), list(wrong_ones()), ids=[name for name, _ in wrong_ones()])
def test_comparator_goes_red(what, name, wrong):
    with pytest.raises((AssertionError, TypeError)):
        check(what, wrong, RIGHT)


@pytest.mark.parametrize("what", TOLERANCES)
def test_comparator_goes_red_just_above_the_tolerance(what, monkeypatch):
    monkeypatch.setattr("compare.WORST", {})
    check(what, RIGHT * (1 + 0.9 * TOLERANCES[what]), RIGHT)
    with pytest.raises(AssertionError, match="norm-wise error"):
        check(what, RIGHT * (1 + 1.1 * TOLERANCES[what]), RIGHT)


def test_comparator_wants_exact_zeros():
    check("gradient", np.zeros(3), np.zeros(3))
    with pytest.raises(AssertionError, match="all zeros"):
        check("gradient", np.array([0, 1e-30, 0]), np.zeros(3))


def test_comparator_refuses_nan_on_both_sides():
    with pytest.raises(AssertionError, match="nan"):
        check("gradient", np.full(3, np.nan), np.full(3, np.nan))


def test_comparator_knows_only_its_table():
    with pytest.raises(KeyError):
        check("whatever", RIGHT, RIGHT)


def test_named_comparator_goes_red_on_swapped_tensors():
    p = initialise(Architecture(4, (4,), 4), "torch")
    check_named("gradient", p, p.copy())
    swapped = Parameters(p.weights[::-1], p.biases)
    with pytest.raises(AssertionError, match="W1"):
        check_named("gradient", swapped, p)
    with pytest.raises(AssertionError, match="b1"):
        check_named("gradient", Parameters(p.weights, p.biases[::-1]), p)


def test_named_comparator_goes_red_on_a_missing_layer():
    p = initialise(Architecture(4, (4,), 4), "torch")
    with pytest.raises(ValueError, match="zip"):
        check_named("gradient", Parameters(p.weights[:1], p.biases[:1]), p)


def test_no_tolerance_forgives_a_permille():
    assert all(0 < tolerance <= 2e-4 for tolerance in TOLERANCES.values())
    assert error(RIGHT, RIGHT) == 0


def test_digest_sees_every_bit():
    a = np.zeros(3, np.float32)
    others = [np.array([0, 0, -0.0], np.float32), a.astype(float), a.reshape(1, 3), a[:2], a.view(np.int32)]
    assert digest(a) == digest(a.copy())
    assert len({digest(a), *map(digest, others)}) == 6
