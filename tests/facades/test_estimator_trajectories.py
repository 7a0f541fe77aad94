"""The estimators from the first weights of scikit-learn's: they go where those go."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from estimator_cases import BOTH, SMALL, close_nets, iris, line
from sklearn import neural_network as theirs

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_defaults_and_names_are_those_of_scikit_learn():
    for ours, other in ((MLPClassifier, theirs.MLPClassifier), (MLPRegressor, theirs.MLPRegressor)):
        told, expected = ours().get_params(), other().get_params()
        assert {name: told[name] for name in expected} == expected
        added = set(told) - set(expected)
        own = {"loss", "class_weight", "scale", "callbacks", "progress", "threads", "dtype"}
        assert added <= own | {"dropout", "batch_norm", "optimizer"}
    assert MLPClassifier((3,), "tanh").get_params()["activation"] == "tanh"
    assert MLPRegressor("squared_error", (3,), "tanh").get_params()["hidden_layer_sizes"] == (3,)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_losses_are_numpy_numbers_as_those_of_scikit_learn(solver):
    """Programs round them by their own method."""
    X, y = iris()
    ours, other = (Net(**SMALL, solver=solver).fit(X, y) for Net in (MLPClassifier, theirs.MLPClassifier))
    assert ours.loss_.round(6) == other.loss_.round(6)
    if solver != "lbfgs":
        assert ours.best_loss_.round(6) == other.best_loss_.round(6)
        assert [loss.round(6) for loss in ours.loss_curve_] == [loss.round(6) for loss in other.loss_curve_]


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_first_weights_are_those_of_scikit_learn(activation):
    X, y = iris()
    options = {**SMALL, "activation": activation, "max_iter": 1, "solver": "sgd", "learning_rate_init": 1e-30}
    close_nets(MLPClassifier(**options).fit(X, y), theirs.MLPClassifier(**options).fit(X, y), atol=1e-20)


SGD = [
    {"momentum": 0.0},
    {"momentum": 0.9, "nesterovs_momentum": False},
    {"momentum": 0.9},
    {"learning_rate": "invscaling", "power_t": 0.3},
    {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 2, "max_iter": 40},
    {"activation": "logistic", "alpha": 2.0},
    {"activation": "tanh", "batch_size": 150},
    {"activation": "identity", "batch_size": 1, "learning_rate_init": 0.001},
    {"hidden_layer_sizes": 4, "alpha": 0.0},
]


@pytest.mark.parametrize("options", SGD, ids=str)
@pytest.mark.parametrize("problem", ["classes", "number", "numbers"])
def test_sgd_goes_where_scikit_learn_goes(options, problem):
    X, y = iris() if problem == "classes" else line(K=0 if problem == "number" else 3)
    options = {
        **SMALL, "solver": "sgd", "shuffle": False, "batch_size": 40, "alpha": 0.01,
        "learning_rate_init": 0.02, "max_iter": 12, **options,
    }  # fmt: skip
    name = "MLPClassifier" if problem == "classes" else "MLPRegressor"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a batch that is larger than the data
        a, b = getattr(fastmlp, name)(**options).fit(X, y), getattr(theirs, name)(**options).fit(X, y)
    assert (a.n_iter_, a.t_, a.n_layers_, a.n_outputs_) == (b.n_iter_, b.t_, b.n_layers_, b.n_outputs_)
    assert a.out_activation_ == b.out_activation_
    close_nets(a, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-10)
    assert a.best_loss_ == min(a.loss_curve_)
    assert a.loss_ == a.loss_curve_[-1]
    np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=1e-9)
    assert a.score(X, y) == pytest.approx(b.score(X, y))
    assert a._optimizer.learning_rate == pytest.approx(b._optimizer.learning_rate)
    if problem == "classes":
        np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-8, atol=1e-12)


@BOTH
@pytest.mark.parametrize("epsilon", [1e-30, 1e-8, 1e-3])
def test_adam_goes_where_scikit_learn_goes(Net, epsilon):
    X, y = iris()
    options = {**SMALL, "shuffle": False, "batch_size": 50, "max_iter": 30, "epsilon": epsilon}
    a, b = Net(**options).fit(X, y), getattr(theirs, Net.__name__)(**options).fit(X, y)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-9)
    close_nets(a, b, atol=1e-9)


def test_float32_goes_where_float64_goes():
    X, y = iris()
    a, b = (MLPClassifier(**SMALL).fit(X.astype(dtype), y) for dtype in (np.float32, np.float64))
    close_nets(a, b, atol=2e-5)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-5)


def test_full_batches_with_weights_go_where_scikit_learn_goes():
    X, y = iris()
    weights = np.random.default_rng(0).integers(1, 9, len(X)) / 4  # exact in float32
    options = {**SMALL, "solver": "sgd", "alpha": 0.5, "learning_rate_init": 0.1}
    a = MLPClassifier(**options).fit(X, y, sample_weight=weights)
    b = theirs.MLPClassifier(**options).fit(X, y, sample_weight=weights)
    close_nets(a, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-9)
