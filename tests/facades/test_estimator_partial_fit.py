"""partial_fit and warm_start: what a net keeps from call to call."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from estimator_cases import BOTH, DTYPES, SMALL, close_nets, iris, same_nets
from sklearn import config_context
from sklearn.pipeline import make_pipeline

from fastmlp import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@BOTH
@DTYPES
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fits_are_a_fit(Net, dtype, solver):
    X, y = iris(dtype)
    options = {**SMALL, "solver": solver, "batch_size": 32, "learning_rate": "invscaling", "shuffle": False}
    whole = Net(**options).fit(X, y)
    parts = Net(**options)
    first = {"classes": [0, 1, 2]} if Net is MLPClassifier else {}
    for epoch in range(5):
        assert parts.partial_fit(X, y, **(first if epoch == 0 else {})) is parts
        assert parts.n_iter_ == 1
    assert same_nets(whole, parts)
    assert whole.loss_curve_ == parts.loss_curve_
    assert whole.t_ == parts.t_ == 5 * 150


def test_partial_fit_learns_classes_as_they_come():
    X, y = iris()
    net = MLPClassifier(hidden_layer_sizes=10, random_state=0, learning_rate_init=0.02)
    for epoch in range(90):
        part = slice(epoch % 3, None, 3) if epoch % 2 else y == epoch % 3
        net.partial_fit(X[part], y[part], classes=[0, 1, 2] if epoch == 0 else None)
    assert net.score(X, y) > 0.9
    assert net.classes_.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"got \[3\]"):
        net.partial_fit(X, np.full(150, 3))
    with pytest.raises(ValueError, match="not the same as on the last call"):
        net.partial_fit(X, y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="features"):
        net.partial_fit(X[:, :2], y)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(X, y)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        MLPClassifier(early_stopping=True).partial_fit(X, y, classes=[0, 1, 2])


def test_partial_fit_after_fit_and_fit_after_partial_fit():
    X, y = iris()
    net = MLPClassifier(**SMALL).fit(X, y)
    before = [W.copy() for W in net.coefs_]
    steps = net._optimizer.state.steps
    net.partial_fit(X, y)
    assert net._optimizer.state.steps == steps + 1
    assert not np.array_equal(before[0], net.coefs_[0])
    assert len(net.loss_curve_) == 6
    fresh = MLPClassifier(**SMALL).fit(X, y)
    assert same_nets(net.fit(X, y), fresh)
    assert len(net.loss_curve_) == 5
    net.fit(X[:, :2], y != 0)  # other features, other classes: a fit begins anew
    assert net.n_features_in_ == 2
    assert net.classes_.tolist() == [False, True]


@BOTH
def test_warm_start_goes_on(Net):
    """Plain steps have no averages that would begin anew."""
    X, y = iris()
    options = {**SMALL, "solver": "sgd", "momentum": 0, "batch_size": 32, "shuffle": False}
    whole = Net(**{**options, "max_iter": 9}).fit(X, y)
    warm = Net(warm_start=True, **options).fit(X, y)
    net = warm.coefs_[0]
    warm.set_params(max_iter=4).fit(X, y)
    assert warm.coefs_[0] is not net
    assert warm.n_iter_ == 4
    assert same_nets(whole, warm)
    assert whole.loss_curve_ == warm.loss_curve_
    assert whole.best_loss_ == warm.best_loss_
    cold = Net(**options).fit(X, y).fit(X, y)
    assert same_nets(cold, Net(**options).fit(X, y))


def test_warm_start_refuses_another_net():
    X, y = iris()
    net = MLPClassifier(warm_start=True, **SMALL).fit(X, y)
    for other in (np.where(y == 2, 3, y), np.minimum(y, 1), np.arange(150) % 4):
        with pytest.raises(ValueError, match=r"classes (of|but)"):
            net.fit(X, other)
    with pytest.raises(ValueError, match=r"of layers \[4, 8, 5, 3\].*ask for \[4, 7, 3\]"):
        net.set_params(hidden_layer_sizes=7).fit(X, y)
    with pytest.raises(ValueError, match="features"):
        net.set_params(hidden_layer_sizes=(8, 5)).fit(X[:, :3], y)
    assert net.fit(X, y).score(X, y) > 0


def test_weights_set_by_hand_are_used():
    X, y = iris()
    net = MLPClassifier(**SMALL).fit(X, y)
    net.coefs_ = [np.zeros_like(W) for W in net.coefs_]
    net.intercepts_[-1][:] = [0, 5, 0]
    assert set(net.predict(X)) == {1}
    mine = net.coefs_[0]
    net.partial_fit(X, y)
    assert not mine.any()  # the caller's own array is left alone


@pytest.mark.parametrize("way", ["warm_start", "partial_fit"])
def test_first_weights_may_be_set_by_hand(way):
    X, y = iris()
    plain = MLPClassifier(**{**SMALL, "max_iter": 1}).fit(X, y)
    first = MLPClassifier(**{**SMALL, "max_iter": 1, "learning_rate_init": 1e-30}).fit(X, y)
    net = MLPClassifier(**{**SMALL, "max_iter": 1, "warm_start": way == "warm_start"})
    net.coefs_, net.intercepts_ = first.coefs_, first.intercepts_
    if way == "warm_start":
        net.fit(X, y)
    else:
        net.partial_fit(X, y, classes=[0, 1, 2])
    close_nets(net, plain, atol=1e-15)
    assert (net.n_features_in_, net.n_layers_, net.n_iter_, net.t_) == (4, 4, 1, 150)
    assert len(net.loss_curve_) == 1


def test_a_fit_that_is_refused_leaves_the_net_alone():
    X, y = iris()
    net = MLPClassifier(**SMALL).fit(X, y)
    curve, kept = net.loss_curve_, net.coefs_
    for options, labels in (({"early_stopping": True, "validation_fraction": 0.001}, y), ({}, y[:-1])):
        with pytest.raises(ValueError):
            net.set_params(**options).fit(X, labels)
    assert net.loss_curve_ is curve
    assert net.coefs_ is kept
    assert net.predict(X).shape == (150,)


def test_routed_metadata():
    X, y = iris()
    weights = np.arange(150) % 3
    with config_context(enable_metadata_routing=True):
        net = MLPClassifier(**SMALL).set_fit_request(sample_weight=True)
        pipe = make_pipeline(net).fit(X, y, sample_weight=weights)
    assert same_nets(pipe[-1], MLPClassifier(**SMALL).fit(X, y, sample_weight=weights))
