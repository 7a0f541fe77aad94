"""The compiled scalars and activations, held against float64 in units of the last place, and in nets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from both_backends import equal_in_every_part
from compare import digest
from exact_activations import EXACT
from nets import Case, call, edge_free, values, weights
from numba import njit

from fastmlp import Architecture, initialise, kernels, reference
from fastmlp.kernels import activations, maths
from fastmlp.kernels.intrinsics import address
from fastmlp.words.activations import parts_of
from fastmlp.words.layers import layers_of

LOWEST = -87.3  # below, exp gives 0


def over(scalar):
    """A function of arrays that fills the first with the scalar's values of the second."""

    @njit
    def fill(out, x):
        for i in range(len(x)):
            out[i] = scalar(x[i])

    return fill


map_exp, map_tanh = over(maths.exp), over(maths.tanh)
map_phi = over(njit(lambda x: maths.normal(x)[0]))


@njit
def run_activate(place, a, factors, width, number):
    activations.activate(place, address(a), address(factors), width, number)


@njit
def run_slope(place, delta, a, width, number):
    activations.multiply_by_slope(place, address(delta), address(a), width, number)


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


def test_expm1_is_within_two_ulp():
    x = grid(LOWEST, 88, 300_000)
    worst = ulps(mapped(over(maths.expm1), x), np.expm1(x.astype(np.float64)))
    assert worst.max() <= 2.0, (worst.max(), x[worst.argmax()])
    beyond = mapped(over(maths.expm1), np.array([-1e4, -np.inf, 89, np.inf, np.nan, -0.0], np.float32))
    np.testing.assert_array_equal(beyond, np.array([-1, -1, np.inf, np.inf, np.nan, 0], np.float32))


def test_log1p_is_within_two_ulp():
    x = abs(grid(0, 1, 300_000))
    worst = ulps(mapped(over(maths.log1p), x), np.log1p(x.astype(np.float64)))
    assert worst.max() <= 2.0, (worst.max(), x[worst.argmax()])
    assert np.isnan(mapped(over(maths.log1p), np.array([np.nan], np.float32))).all()


def test_the_normal_distribution_is_within_seven_ulp():
    x = np.concatenate([grid(-13.1, 13.1, 200_000), np.linspace(-1, 1, 200_001, dtype=np.float32)])[::9]
    exact = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
    worst = ulps(mapped(map_phi, x), exact)
    assert worst.max() <= 7.0, (worst.max(), x[worst.argmax()])
    far = np.array([-np.inf, -3e38, -14, 14, 3e38, np.inf], np.float32)
    assert mapped(map_phi, far).tolist() == [0, 0, 0, 1, 1, 1]
    assert np.isnan(mapped(map_phi, np.array([np.nan], np.float32))).all()


# --- the table ------------------------------------------------------------------------------------


def activated(act, z):
    """The kernels' outputs, and their slopes as deltas of 1 have them."""
    name, number = parts_of(act)
    (forward, backward), number = activations.ACTIVATIONS[name], np.float32(number)
    a, slopes = z.copy(), np.ones_like(z)
    run_activate(forward.place, a, slopes, len(a), number)
    if backward is not None:
        assert (slopes == 1).all(), "it keeps no factors"
        run_slope(backward.place, slopes, a, len(a), number)
    return a, slopes


def test_every_activation_is_tested_here():
    assert {act.partition(":")[0] for act in EXACT} == set(activations.ACTIVATIONS)


@pytest.mark.parametrize("act", EXACT)
def test_activations_and_their_slopes_are_exact(act):
    """Outputs to the rounding of what is larger, they or z; slopes to a few of the steepest."""
    z = np.concatenate([grid(-12, 12, 20_001)[::9], np.float32([-80, -30, 30, 80])])
    exact, slope = (function(z.astype(np.float64)) for function in EXACT[act])
    a, slopes = activated(act, z)
    assert a.dtype == slopes.dtype == np.float32
    error = abs(a - exact) / np.maximum(abs(exact), abs(z) + 1e-30)
    assert error.max() <= 3e-7, (error.max(), z[error.argmax()])
    error = abs(slopes - slope) / max(1, abs(slope).max())
    assert error.max() <= 2e-6, (error.max(), z[error.argmax()])


@pytest.mark.parametrize("act", EXACT)
def test_activations_bear_what_is_large_and_what_is_no_number(act):
    z = np.float32([-3e38, -1e30, -1e20, -1e4, -100, 0, 100, 1e4, 1e20, 1e30, 3e38])
    exact, slope = (function(z.astype(np.float64)) for function in EXACT[act])
    with np.errstate(over="ignore", invalid="ignore"):
        ours, theirs = activated(act, z), reference.activated(act, z)
    for a, slopes in (ours, theirs):
        np.testing.assert_allclose(a, exact, rtol=1e-6, atol=1e-30)
        np.testing.assert_allclose(slopes, slope, atol=1e-6)
    with np.errstate(invalid="ignore"):
        found = [module(act, np.float32([np.nan]))[0] for module in (activated, reference.activated)]
    assert np.isnan(found).all()


INFINITE = {
    "relu": (0, 0), "leaky_relu": (-np.inf, 0.01), "leaky_relu:0.3": (-np.inf, 0.3), "elu": (-1, 0),
    "elu:1.5": (-1.5, 0), "selu": (-1.7580993, 0), "gelu": (np.nan, np.nan), "gelu_tanh": (np.nan, 0),
    "silu": (np.nan, np.nan), "softplus": (0, 0), "sigmoid": (0, 0), "hard_sigmoid": (0, 0),
    "hard_sigmoid:0.3": (0, 0), "tanh": (-1, 0), "identity": (-np.inf, 1),
}  # fmt: skip
"""Output and slope at -infinity: PyTorch's, but for a slope of gelu_tanh, which is none there."""


@pytest.mark.parametrize("act", EXACT)
def test_activations_of_infinity(act):
    a, slopes = activated(act, np.float32([-np.inf, np.inf]))
    np.testing.assert_allclose([a[0], slopes[0]], INFINITE[act], rtol=1e-6)
    bounded = act.partition(":")[0] in ("sigmoid", "hard_sigmoid", "tanh")
    assert a[1] == (1 if bounded else np.inf)
    with np.errstate(invalid="ignore"):
        theirs = reference.activated(act, np.float32([-np.inf, np.inf]))[0]
    np.testing.assert_allclose(theirs, a, rtol=1e-6)


@pytest.mark.parametrize("act", activations.ACTIVATIONS)
@pytest.mark.parametrize("width", [1, 7, 8, 9, 130])
def test_an_activation_changes_its_range_alone(act, width):
    a, factors = np.random.default_rng(width).normal(0, 3, (2, width + 9)).astype(np.float32)
    forward, backward = activations.ACTIVATIONS[act]
    before, kept, number = a.copy(), factors.copy(), np.float32(0.3)
    run_activate(forward.place, a[4:], factors[4:], width, number)
    assert a[:4].tobytes() + a[4 + width :].tobytes() == before[:4].tobytes() + before[4 + width :].tobytes()
    changed = factors != kept
    assert changed[4 : 4 + width].all() if backward is None else not changed.any()
    assert not changed[:4].any()
    assert not changed[4 + width :].any()
    if backward is not None:
        delta, whole = factors, a.copy()
        run_slope(backward.place, delta[4:], a[4:], width, number)
        assert a.tobytes() == whole.tobytes()
        assert delta[:4].tobytes() == kept[:4].tobytes()
        assert delta[4 + width :].tobytes() == kept[4 + width :].tobytes()


def test_relu_and_its_derivative_are_zero_at_zero():
    a, slopes = activated("relu", np.array([0.0, -0.0, 1e-45, -1e-45], np.float32))
    assert (a == np.array([0, 0, 1e-45, 0], np.float32)).all()
    assert (slopes == [0, 0, 1, 0]).all()


# --- whole nets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("act", EXACT)
@pytest.mark.parametrize(("hidden", "kind"), [((9,), "uint8 sparse"), ((16, 7), "float32 dense")])
def test_kernels_equal_the_reference(act, hidden, kind):
    rng = np.random.default_rng(len(act))
    architecture = Architecture(70, layers_of(hidden, act), 5)
    scale = 255.0 if kind.startswith("uint8") else 1.0
    case = edge_free(
        Case(
            0, architecture, weights(rng, architecture), values(rng, kind, 90, 70), rng.integers(0, 5, 90),
            "logits", scale, None, kind,
        )
    )  # fmt: skip
    equal_in_every_part(case)
    found, X, y = set(), case.X, case.y
    for threads, driver in ((1, "team"), (2, "team"), (3, "team"), (2, "prange")):
        p = case.parameters.copy()
        options = {**case.options, "threads": threads, "driver": driver}
        call(kernels.train_epoch, p, X, y, np.arange(len(X)), lr=0.05, batch_size=16, **options)
        found.add(digest(*p, call(kernels.predict_proba, p, X, **case.options)))
    assert len(found) == 1
    few = call(kernels.predict_proba, p, X[:3], **case.options)
    assert few.tobytes() == call(kernels.predict_proba, p, X, **case.options)[:3].tobytes()


@pytest.mark.parametrize("nn", [kernels, reference], ids=["kernels", "reference"])
def test_every_activation_and_its_number_change_a_training(nn):
    X, y = values(np.random.default_rng(0), "float32 dense", 30, 6), np.arange(30) % 3
    start, found = initialise(Architecture(6, (8,), 3)), {}
    for act in EXACT:
        p = start.copy()
        call(nn.train_epoch, p, X, y, np.arange(30), act=act, lr=0.1, batch_size=10)
        found[act] = digest(*p)
    assert len(set(found.values())) == len(EXACT)
