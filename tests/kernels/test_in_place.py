"""The fast path for a few rows: the bytes of a whole pass; what does not suit it goes the usual way."""

from __future__ import annotations

import numpy as np
import pytest
from nets import ACTS, call, net_of, values, weights

from fastmlp import Architecture, ConfigError, DataError, ModelError, initialise, kernels
from fastmlp.kernels import in_place
from fastmlp.words.layers import layers_of


@pytest.fixture
def whole(monkeypatch):
    """predict_proba by a whole pass, whatever the rows."""

    def predict(p, X, **options):
        with monkeypatch.context() as patch:
            patch.setattr(in_place, "predict", lambda *args: None)
            return call(kernels.predict_proba, p, X, **options)

    return predict


@pytest.fixture
def quick(monkeypatch):
    """Which calls the fast path answered."""
    answered, real = [], in_place.predict

    def watched(*args):
        p = real(*args)
        answered.append(p is not None)
        return p

    monkeypatch.setattr(in_place, "predict", watched)
    return answered


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("hidden", [(), (17,), (100, 9), (70, 5, 8)])
@pytest.mark.parametrize("kind", ["uint8 sparse", "uint8 dense", "float32 sparse", "float32 centred"])
def test_few_rows_get_the_bytes_of_a_whole_pass(whole, quick, act, hidden, kind):
    rng = np.random.default_rng(len(hidden))
    for D in (1, 64, 131):
        p = weights(rng, Architecture(D, layers_of(hidden, act), 7))
        X = values(rng, kind, 70, D)
        options = {"act": act, "scale": 255.0 if X.dtype == np.uint8 else 0.7}
        if kind.endswith("centred"):
            options["mean"] = X.mean(axis=0)
        among = whole(p, X, **options)
        for n in (1, 4):
            got = call(kernels.predict_proba, p, X[3 : 3 + n], **options)
            assert got.dtype == np.float32
            assert got.tobytes() == among[3 : 3 + n].tobytes()
    assert all(quick)


def test_centred_sparse_rows_are_answered_nearly_the_same(whole, quick):
    rng = np.random.default_rng(1)
    p, X = weights(rng, Architecture(90, (20,), 5)), values(rng, "uint8 sparse", 4, 90)
    options = {"scale": 255.0, "mean": X.mean(axis=0, dtype=np.float64).astype(np.float32)}
    assert np.allclose(
        call(kernels.predict_proba, p, X, **options), whole(p, X, **options), rtol=1e-5, atol=0
    )
    assert quick == [True]


def test_other_forms_of_x_get_the_same_numbers(whole, quick):
    rng = np.random.default_rng(2)
    p, X = weights(rng, Architecture(60, (9,), 4)), values(rng, "float32 dense", 4, 60)
    want = whole(p, X)
    wide = np.zeros((8, 120), np.float32)
    wide[::2, ::2] = X
    for form in (
        np.asfortranarray(X), X.astype(np.float64), X.tolist(), X.reshape(4, 6, 10), wide[::2, ::2],
        X.astype(">f4"), np.vstack([X, X])[:5],
    ):  # fmt: skip
        assert kernels.predict_proba(net_of(p), form)[:4].tobytes() == want.tobytes()
    assert not any(quick)
    frozen = X.copy()
    frozen.flags.writeable = False
    assert kernels.predict_proba(net_of(p), frozen).tobytes() == want.tobytes()


def test_parameters_that_lie_otherwise_get_the_same_numbers(whole, quick):
    rng = np.random.default_rng(3)
    p, X = weights(rng, Architecture(60, (9,), 4)), values(rng, "uint8 sparse", 2, 60)
    want = whole(p, X, scale=255.0)
    turned = type(p)(tuple(np.asfortranarray(W) for W in p.weights), p.biases)
    for other in (turned, p.astype(np.float64)):
        for _ in range(2):
            assert kernels.predict_proba(net_of(other, scale=255.0), X).tobytes() == want.tobytes()
    assert not any(quick)


def test_parameters_that_change_are_read_anew(whole, quick):
    rng = np.random.default_rng(4)
    X, y = values(rng, "uint8 sparse", 100, 60), rng.integers(0, 4, 100)
    p = initialise(Architecture(60, (9,), 4))
    seen = set()
    for step in range(3):
        got = kernels.predict_proba(net_of(p, scale=255.0), X[:1]).tobytes()
        assert got == whole(p, X[:1], scale=255.0).tobytes()
        seen.add(got)
        if step == 0:
            kernels.train_epoch(net_of(p, scale=255.0), X, y, np.arange(100), lr=0.5)
        p.biases[1][0] += 1
    assert len(seen) == 3
    for seed in range(20):  # a new net may lie where an old one was
        p = initialise(Architecture(60, (9,), 4), seed=seed)
        assert (
            kernels.predict_proba(net_of(p, scale=255.0), X[:1]).tobytes()
            == whole(p, X[:1], scale=255.0).tobytes()
        )
    assert all(quick)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value):
    p, X = initialise(Architecture(5, (3,), 2)), np.ones((2, 5), np.float32)
    X[1, 4] = value
    with pytest.raises(DataError, match="row 1, column 4"):
        kernels.predict_proba(net_of(p), X)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_what_does_not_fit_is_refused(kind):
    p = initialise(Architecture(5, (3,), 2))
    X = np.ones((1, 5), kind)
    with pytest.raises(ModelError, match=r"\(N, 5\)"):
        kernels.predict_proba(net_of(p), np.ones((1, 6), kind))
    with pytest.raises(DataError):
        kernels.predict_proba(net_of(p), X[:0])
    with pytest.raises(ModelError, match="mean"):
        kernels.predict_proba(net_of(p, mean=np.zeros(4, np.float32)), X)
    for scale in (0.0, -1.0, np.nan, np.inf, 1e-300, "many"):
        with pytest.raises(ConfigError, match="scale"):
            kernels.predict_proba(net_of(p, scale=scale), X)
    with pytest.raises(ConfigError, match="act"):
        kernels.predict_proba(net_of(p, act="swish"), X)


def test_a_nan_in_a_weight_reaches_the_answer():
    p = initialise(Architecture(5, (3,), 2))
    p.weights[0][2, 1] = np.nan
    assert np.isnan(kernels.predict_proba(net_of(p), np.ones((1, 5), np.uint8))).all()
