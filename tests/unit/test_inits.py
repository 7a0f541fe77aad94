"""Distributions of first weights: their moments, bounds and shapes by statistics; each layer its own.

Their bytes are in test_net.py.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp import Architecture, ConfigError, Training, initialise, random
from fastmlp.words.drawing import DRAWN, first_weights, normal, quantile
from fastmlp.words.inits import INITS, checked_init, parts_of
from fastmlp.words.layers import Layer, layers_of

FAN_IN, FAN_OUT = 600, 250
VARIANCES = {
    "glorot_uniform": 2 / (FAN_IN + FAN_OUT),
    "glorot_normal": 2 / (FAN_IN + FAN_OUT),
    "xavier_normal": 2 / (FAN_IN + FAN_OUT),
    "he_uniform": 2 / FAN_IN,
    "he_normal": 2 / FAN_IN,
    "kaiming_normal": 2 / FAN_IN,
    "lecun_uniform": 1 / FAN_IN,
    "lecun_normal": 1 / FAN_IN,
    "torch": 1 / 3 / FAN_IN,
    "orthogonal": 1 / FAN_IN,
    "orthogonal:3": 9 / FAN_IN,
    "uniform": 1 / 3,
    "uniform:0.5,0.7": 0.2**2 / 12,
    "normal": 0.05**2,
    "normal:-2,3": 9.0,
    "truncated_normal": 0.05**2 * 0.87962566103423978**2,
    "truncated_normal:1,2": 4 * 0.87962566103423978**2,
}
MEANS = {"uniform:0.5,0.7": 0.6, "normal:-2,3": -2.0, "truncated_normal:1,2": 1.0}
NORMAL = statistics.NormalDist()


def drawn(init, fan_in=FAN_IN, fan_out=FAN_OUT, seed=4):
    return first_weights(checked_init(init), fan_in, fan_out, seed, 0)


@pytest.mark.parametrize("init", VARIANCES)
def test_moments_are_those_of_the_distribution(init):
    W = drawn(init).ravel()
    sd, mean = math.sqrt(VARIANCES[init]), MEANS.get(init, 0)
    assert abs(W.mean() - mean) < 4 * sd / math.sqrt(W.size)
    assert abs(W.var() / VARIANCES[init] - 1) < 4 * math.sqrt(2 / W.size)
    assert {parts_of(checked_init(each))[0] for each in VARIANCES} | {"zeros", "ones", "constant"} == set(
        INITS
    )


@pytest.mark.parametrize("init", [init for init in VARIANCES if "normal" in init])
def test_normal_weights_are_normal_and_cut_where_they_are_truncated(init):
    """Kolmogorov's distance from the distribution is under what one in 10,000 draws exceeds."""
    W, mean = np.sort(drawn(init).ravel()), MEANS.get(init, 0)
    is_cut = init.split(":")[0] in ("glorot_normal", "he_normal", "lecun_normal", "truncated_normal")
    sd = math.sqrt(VARIANCES[init]) / (0.87962566103423978 if is_cut else 1)
    assert abs(W - mean).max() <= 2 * sd if is_cut else abs(W - mean).max() > 4 * sd
    below = [NORMAL.cdf((w - mean) / sd) for w in W[::50]]
    if is_cut:
        tail = NORMAL.cdf(-2)
        below = [(p - tail) / (1 - 2 * tail) for p in below]
    empirical = (np.arange(W.size)[::50] + 0.5) / W.size
    assert np.abs(empirical - below).max() < 2.2 / math.sqrt(W.size)
    assert np.abs(empirical - [NORMAL.cdf(1.1 * (w - mean) / sd) for w in W[::50]]).max() > 2.2 / math.sqrt(
        W.size
    )


@pytest.mark.parametrize("shape", [(9, 9), (30, 7), (7, 30), (1, 5), (5, 1), (1, 1), (150, 149)])
def test_orthogonal_weights_are_orthonormal_on_their_shorter_side(shape):
    for gain in (1.0, 2.5):
        W = drawn(f"orthogonal:{gain}", *shape)
        product = W.T @ W if shape[0] >= shape[1] else W @ W.T
        np.testing.assert_allclose(product, gain**2 * np.eye(min(shape)), atol=1e-11)


def test_orthogonal_weights_are_the_q_of_normal_ones_with_a_positive_diagonal_in_r():
    for shape in ((40, 12), (12, 40)):
        A = normal(shape[0] * shape[1], 4, "weights").reshape(shape)
        Q, R = np.linalg.qr(A if shape[0] >= shape[1] else A.T)
        Q *= np.sign(np.diag(R))
        np.testing.assert_allclose(
            drawn("orthogonal", *shape), Q if shape[0] >= shape[1] else Q.T, atol=1e-12
        )


def test_orthogonal_weights_favour_no_sign():
    signs = [np.sign(np.linalg.det(drawn("orthogonal", 4, 4, seed))) for seed in range(60)]
    assert 15 < signs.count(1.0) < 45


def test_constant_weights_are_constant():
    assert (drawn("zeros", 3, 2) == 0).all()
    assert (drawn("ones", 3, 2) == 1).all()
    assert (drawn("constant:-0.25", 3, 2) == -0.25).all()


@pytest.mark.parametrize("within_two", [False, True])
def test_normal_numbers_are_the_quantiles_of_raw_integers(within_two):
    raw = random.raw_integers(2000, 3, "weights", 1).tolist()
    x = normal(2000, 3, "weights", 1, within_two=within_two)
    low = NORMAL.cdf(-2) if within_two else 0
    want = [NORMAL.inv_cdf(low + (1 - 2 * low) * ((n >> 12) + 0.5) / 2**52) for n in raw]
    np.testing.assert_allclose(x, want, rtol=1e-14, atol=1e-15)


def test_quantiles_are_right_from_end_to_end():
    ends = 10.0 ** -np.linspace(0.31, 15.9, 3000)
    p = np.concatenate([np.linspace(1e-4, 1 - 1e-4, 3001), ends, 1 - ends[ends > 1e-12]])
    want = np.array([NORMAL.inv_cdf(float(one)) for one in p])
    np.testing.assert_allclose(quantile(p), want, rtol=4e-15, atol=1e-16)
    assert np.isfinite(quantile(np.array([0.5 * 2.0**-52, 1 - 0.5 * 2.0**-52]))).all()


def test_each_layer_may_have_its_own():
    inits = ["orthogonal", "zeros", "normal:0,2"]
    whole = initialise(Training(hidden=(8, 6), init=inits).architecture(9, 3), seed=5)
    for i, init in enumerate(inits):
        alone = initialise(Architecture(9, (8, 6), 3), init, 5)
        assert (whole.weights[i] == alone.weights[i]).all()


def test_a_layer_without_bias_draws_none():
    net = Architecture(9, (Layer(8, init="torch", bias=False), Layer(7, init="torch")), 3)
    parameters = initialise(net)
    assert not parameters.biases[0].any()
    assert parameters.biases[1].all()


@pytest.mark.parametrize(
    ("init", "name"),
    [
        ("uniform:-1,1", "uniform"),
        ("uniform:-0.5,0.5", "uniform:-0.5,0.5"),
        ("normal: 0 , 0.05", "normal"),
        ("normal:0,1e-3", "normal:0.0,0.001"),
        ("constant:0", "constant"),
        ("constant:-7", "constant:-7.0"),
        ("orthogonal:1", "orthogonal"),
    ],
)
def test_names_have_one_form(init, name):
    assert checked_init(init) == name == checked_init(name)
    assert Training(init=init).init == name


@pytest.mark.parametrize(
    "init",
    ["uniform:1,1", "uniform:1", "uniform:1,0", "uniform:0,inf", "normal:0,0", "normal:nan,1", "normal:1,2,3",
     "truncated_normal:0,-1", "constant:", "constant:x", "constant:1e31", "orthogonal:0", "zeros:0"],
)  # fmt: skip
def test_numbers_that_make_no_distribution_are_refused(init):
    with pytest.raises(ConfigError, match=r"^init must be") as caught:
        checked_init(init)
    assert init in str(caught.value)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.text(max_size=9)
    | st.tuples(st.sampled_from(list(INITS)), st.text("-+.:,e0129 naif", max_size=9)).map(":".join)
)
def test_names_are_good_or_refused(init):
    try:
        name = checked_init(init)
    except ConfigError:
        return
    assert checked_init(name) == name
    assert np.isfinite(first_weights(name, 3, 2, 0, 0)).all()


def test_tables_have_the_same_names():
    assert set(DRAWN) == set(INITS)
    assert [layer.init for layer in layers_of((3, 4), init="he_normal,uniform:0,1")] == [
        "he_normal",
        "uniform:0.0,1.0",
    ]
