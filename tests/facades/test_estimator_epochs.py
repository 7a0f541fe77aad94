"""The epochs of a fit: when they end, and what callbacks, verbose and the progress bar show."""

from __future__ import annotations

import io
import sys
import warnings
from contextlib import suppress

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

import sklearn
from estimator_cases import BOTH, DTYPES, SMALL, close_nets, iris, line, same_nets
from sklearn import neural_network as theirs
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import train_test_split

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.backends.types import Watch
from fastmlp.estimators.judges import LossJudge
from fastmlp.estimators.regressor import r2_of
from fastmlp.estimators.schedule import ScheduledOptimizer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# --- when it stops --------------------------------------------------------------------------------


def test_early_stopping_keeps_the_best_weights():
    X, y = make_classification(300, 10, n_informative=4, flip_y=0.4, random_state=0)
    seen = []

    def keep(net):
        seen.append(([W.copy() for W in net.coefs_], net.validation_scores_[-1]))

    net = MLPClassifier(
        early_stopping=True, validation_fraction=0.25, random_state=1, learning_rate_init=0.05, max_iter=100,
        callbacks=[keep], n_iter_no_change=8,
    ).fit(X, y)  # fmt: skip
    scores = net.validation_scores_
    assert scores == [score for _, score in seen]
    assert len(scores) == len(net.validation_loss_curve_) == len(net.loss_curve_) == net.n_iter_ < 100
    best = int(np.argmax(scores))
    assert best < len(scores) - 1  # or this test shows nothing
    assert net.best_validation_score_ == scores[best]
    assert net.best_loss_ is None
    for kept, then in zip(net.coefs_, seen[best][0], strict=True):
        assert np.array_equal(kept, then)
    assert net.t_ == net.n_iter_ * 225


@BOTH
def test_without_early_stopping_there_are_no_validation_curves(Net):
    net = Net(**SMALL).fit(*iris())
    assert net.validation_scores_ is net.validation_loss_curve_ is net.best_validation_score_ is None
    assert net.best_loss_ == min(net.loss_curve_)


@DTYPES
@pytest.mark.parametrize("weighted", [False, True])
def test_validation_curves_are_of_the_rows_held_out(dtype, weighted):
    """One epoch: what is kept is what was judged; the rows are found by what they change."""
    X, y = iris(dtype)
    weights = np.random.default_rng(0).integers(1, 5, 150).astype(float) if weighted else None
    options = {**SMALL, "early_stopping": True, "max_iter": 1}
    net = MLPClassifier(**options).fit(X, y, sample_weight=weights)
    random = np.random.RandomState(SMALL["random_state"])
    random.random_sample(net.coefs_[0].size + 5 * 8 + 5 * 3 + 8 + 5 + 3)  # for the first weights
    out = train_test_split(np.arange(150), test_size=0.1, random_state=random)[1]
    mine = None if weights is None else weights[out]
    assert net.validation_scores_ == [pytest.approx(net.score(X[out], y[out], sample_weight=mine))]
    expected = log_loss(y[out], net.predict_proba(X[out]), sample_weight=mine)
    assert net.validation_loss_curve_ == [pytest.approx(expected, rel=1e-5)]
    X2 = X.copy()
    X2[out] += 100  # rows held out are not trained on
    assert same_nets(net, MLPClassifier(**options).fit(X2, y, sample_weight=weights))


def test_r2_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    for n, K in ((2, 1), (7, 3), (60, 2)):
        y, z = rng.normal(size=(2, n, K))
        y[:, 0] = y[0, 0] if n == 7 else y[:, 0]
        z[:, -1] = y[:, -1] if n == 60 else z[:, -1]
        for weights in (None, rng.random(n), rng.integers(0, 2, n) + np.eye(n)[0]):
            assert r2_of(y, z, weights) == pytest.approx(r2_score(y, z, sample_weight=weights), rel=1e-12)
        assert r2_of(y * 0, y * 0, None) == r2_score(y * 0, y * 0) == 1


def test_validation_curves_of_numbers():
    X, Y = line(K=2)
    net = MLPRegressor(early_stopping=True, **SMALL).fit(X, Y)
    assert len(net.validation_scores_) == 5
    assert net.best_validation_score_ == max(net.validation_scores_)
    assert all(loss > 0 for loss in net.validation_loss_curve_)
    one = MLPRegressor(early_stopping=True, **{**SMALL, "max_iter": 1}).fit(X, Y)
    assert one.validation_loss_curve_[0] == pytest.approx(net.validation_loss_curve_[0])


@BOTH
def test_warm_start_with_early_stopping_keeps_the_bar(Net):
    X, y = iris()
    options = {**SMALL, "early_stopping": True, "warm_start": True, "learning_rate_init": 0.03}
    net, other = Net(**options).fit(X, y), getattr(theirs, Net.__name__)(**options).fit(X, y)
    for rate in (1e-12, 0.03):
        for each in (net, other):
            each.set_params(learning_rate_init=rate).fit(X, y)
        assert net.best_validation_score_ == pytest.approx(other.best_validation_score_)
        np.testing.assert_allclose(net.validation_scores_, other.validation_scores_)
        assert net._no_improvement_count == other._no_improvement_count
        close_nets(net, other, rtol=1e-9)
    assert len(net.validation_scores_) == len(net.validation_loss_curve_) == 15
    net.set_params(early_stopping=False).fit(X, y)
    assert net.validation_scores_ is None
    assert net.best_loss_ < np.inf


@pytest.mark.filterwarnings("ignore:The number of unique classes")
def test_too_little_to_hold_out():
    X, y = iris()
    with pytest.raises(ValueError, match="The validation set is too small"):
        MLPRegressor(early_stopping=True).fit(X[:5], y[:5])
    with pytest.raises(ValueError, match="too small"):
        MLPClassifier(early_stopping=True, max_iter=2).fit(X[:10], np.arange(10))
    MLPClassifier(early_stopping=True, max_iter=2).fit(X[:60], np.arange(60) % 50)


def test_convergence():
    X, y = iris()
    with pytest.warns(
        ConvergenceWarning, match=r"Stochastic Optimizer: Maximum iterations \(3\) reached"
    ) as caught:
        MLPClassifier(max_iter=3).fit(X, y)
    assert caught[0].filename == sklearn.base.__file__  # programs filter by scikit-learn's modules
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = MLPClassifier(max_iter=500, tol=1.0, n_iter_no_change=4).fit(X, y)
        MLPClassifier(max_iter=1).partial_fit(X, y, classes=[0, 1, 2])
    assert net.n_iter_ == 6  # the first is better than nothing, then more than 4 are not
    net = MLPClassifier(max_iter=30, tol=1e9, n_iter_no_change=np.inf).fit(X, y)
    assert net.n_iter_ == 30


def test_a_batch_larger_than_the_data_is_said():
    X, y = iris()
    with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger than sample size") as caught:
        net = MLPClassifier(batch_size=1000, **SMALL).fit(X, y)
    assert [w.filename for w in caught if w.category is UserWarning] == [sklearn.base.__file__]
    assert same_nets(net, MLPClassifier(batch_size=150, **SMALL).fit(X, y))
    assert same_nets(net, MLPClassifier(**SMALL).fit(X, y))


@BOTH
def test_divergence_is_a_value_error(Net):
    X, y = iris()
    net = Net(
        solver="sgd", learning_rate_init=1e8, activation="identity", max_iter=300, random_state=0, alpha=0
    )
    with pytest.raises(ValueError, match=r"learning_rate_init than 1e\+08") as caught:
        net.fit(X * 1e30, y)
    assert str(caught.value).startswith("Solver produced non-finite parameter weights. The input data may")
    assert not isinstance(caught.value, fastmlp.FastMLPError)
    assert all(np.isfinite(W).all() for W in net.coefs_)


def test_divergence_after_the_best_epoch_keeps_it():
    X, y = line()
    net = MLPRegressor(
        solver="sgd", activation="identity", learning_rate_init=1.0, max_iter=300, random_state=0,
        early_stopping=True, n_iter_no_change=1000,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="diverged in epoch"):
        net.fit(X, y)
    assert np.isnan(net.validation_scores_[-1])
    assert len(net.validation_scores_) == len(net.loss_curve_) == net.n_iter_
    assert np.isfinite(net.best_validation_score_)
    assert all(np.isfinite(W).all() for W in net.coefs_)


def test_divergence_at_once_keeps_the_first_weights_with_early_stopping():
    X, y = line()
    options = {
        "solver": "sgd", "activation": "identity", "learning_rate_init": 1e20, "random_state": 0,
        "early_stopping": True, "batch_size": 5,
    }  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 1"):
        net = MLPRegressor(**options).fit(X, y)
    first = MLPRegressor(**{**options, "max_iter": 1, "learning_rate_init": 1e-30}).fit(X, y)
    close_nets(net, first, atol=1e-20)
    assert (net.n_iter_, len(net.loss_curve_), len(net.validation_scores_)) == (1, 1, 1)
    assert net.best_validation_score_ == -np.inf


def test_interruption_keeps_what_there_is():
    X, y = iris()

    def interrupt(net):
        if net.n_iter_ == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Training interrupted by user"):
        net = MLPClassifier(callbacks=[interrupt], **SMALL).fit(X, y)
    assert same_nets(net, MLPClassifier(**{**SMALL, "max_iter": 2}).fit(X, y))


# --- what is shown --------------------------------------------------------------------------------


def test_callbacks():
    X, y = iris()
    seen = []

    def watch(net):
        seen.append((net.n_iter_, net.loss_, net.loss_curve_[-1], net.predict(X[:2]).shape))

    def stop(net):
        seen.append("stop?")
        return net.n_iter_ == 3

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # stopped on purpose: no ConvergenceWarning
        net = MLPClassifier(callbacks=[stop, watch], **{**SMALL, "max_iter": 50}).fit(X, y)
    assert net.n_iter_ == 3
    assert seen[::2] == ["stop?"] * 3
    assert [epoch for epoch, *_ in seen[1::2]] == [1, 2, 3]
    assert [loss for _, loss, *_ in seen[1::2]] == net.loss_curve_
    net.partial_fit(X, y)
    assert len(seen) == 8
    with pytest.raises(RuntimeError, match="mine"):
        MLPClassifier(callbacks=[lambda net: (_ for _ in ()).throw(RuntimeError("mine"))]).fit(X, y)


def test_verbose(capsys):
    X, y = iris()
    MLPClassifier(**SMALL).fit(X, y)
    assert capsys.readouterr() == ("", "")
    net = MLPClassifier(verbose=True, **SMALL).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"Iteration {i + 1}, loss = {loss:.8f}" for i, loss in enumerate(net.loss_curve_)]
    theirs.MLPClassifier(verbose=True, **SMALL).fit(X, y)
    assert [line[:19] for line in capsys.readouterr().out.splitlines()] == [line[:19] for line in lines]
    MLPClassifier(verbose=True, early_stopping=True, **SMALL).fit(X, y)
    assert capsys.readouterr().out.splitlines()[1].startswith("Validation score: 0.")
    MLPClassifier(verbose=True, solver="sgd", learning_rate="adaptive", tol=1.0, n_iter_no_change=1).fit(X, y)
    out = capsys.readouterr().out
    assert "Setting learning rate to 0.000200." in out
    assert out.endswith("Stopping.\n")


def test_progress(monkeypatch, capsys):
    X, y = iris()
    quiet = MLPClassifier(**SMALL).fit(X, y)
    net = MLPClassifier(progress=True, **SMALL).fit(X, y)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("5 epochs in ")
    assert "loss" in err
    assert same_nets(net, quiet)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    MLPRegressor(progress=True, **SMALL).partial_fit(X, y)
    assert sys.stderr.getvalue().startswith("1 epoch in ")


@pytest.mark.parametrize("name", ["see", "end_epoch", "after"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
@pytest.mark.parametrize("options", [{"dtype": "float32"}, {"solver": "sgd", "learning_rate": "invscaling"}])
def test_epochs_counted_are_those_of_the_weights_when_interrupted(monkeypatch, name, error, options):
    """Many epochs are trained at once; the weights are then ahead of what is counted."""
    X, y = iris()
    options = {**options, "tol": 0.0, "n_iter_no_change": 10**6}
    owner = {"see": LossJudge, "end_epoch": ScheduledOptimizer, "after": Watch}[name]
    for at in (1, 2, 30):
        calls, inner = [], getattr(owner, name)

        def struck(self, *given, calls=calls, inner=inner, at=at):
            calls.append(0)
            if len(calls) == at:
                raise error
            return inner(self, *given)

        net = MLPClassifier(**options, max_iter=300, random_state=np.random.RandomState(0))
        with monkeypatch.context() as patch, suppress(error), warnings.catch_warnings(action="ignore"):
            patch.setattr(owner, name, struck)
            net.fit(X, y)
        assert len(net.loss_curve_) == net.n_iter_ >= 1
        assert net.t_ == net.n_iter_ * len(X)
        other = MLPClassifier(**options, max_iter=net.n_iter_, random_state=np.random.RandomState(0))
        with warnings.catch_warnings(action="ignore"):
            other.fit(X, y)
            net.partial_fit(X, y)
            other.partial_fit(X, y)
        assert all(map(np.array_equal, [*net.coefs_, *net.intercepts_], [*other.coefs_, *other.intercepts_]))
        for each in ("loss_curve_", "n_iter_", "t_", "best_loss_", "_no_improvement_count"):
            assert getattr(net, each) == getattr(other, each), each
        assert net._optimizer.learning_rate == other._optimizer.learning_rate
