"""Parameters of the estimators: those that raise, and those that change nothing."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from estimator_cases import BOTH, DTYPES, SMALL, digits, iris, same_nets
from nets import net_of
from sklearn.exceptions import NotFittedError

from fastmlp import MLPClassifier, MLPRegressor, Parameters, reference

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "rmsprop"},
        {"activation": "softmax"},
        {"alpha": -1},
        {"batch_size": 0},
        {"batch_size": "all"},
        {"learning_rate": "cosine"},
        {"learning_rate_init": 0},
        {"max_iter": 0},
        {"momentum": 1.01},
        {"validation_fraction": 1.0},
        {"beta_1": 1},
        {"epsilon": 0.0},
        {"tol": -1},
        {"n_iter_no_change": 0},
        {"scale": 0},
        {"threads": 0},
        {"threads": "all"},
        {"callbacks": 3},
        {"callbacks": [3]},
        {"progress": "yes"},
        {"loss": 3},
        {"random_state": "x"},
    ],
    ids=str,
)
@BOTH
def test_bad_parameters_are_named(Net, options):
    (name,) = options
    with pytest.raises(
        ValueError, match=f"The '{name}' parameter of {Net.__name__} must be .* Got .* instead"
    ):
        Net(**options).fit(*iris())
    if Net is MLPClassifier:
        with pytest.raises(ValueError, match=f"The '{name}' parameter"):
            Net(**options).partial_fit(*iris(), classes=[0, 1, 2])


@pytest.mark.parametrize("sizes", [0, (3, 0), (2.5,), [-1], (3, "a"), ((3, 2),)], ids=str)
@BOTH
def test_bad_widths(Net, sizes):
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        Net(hidden_layer_sizes=sizes).fit(*iris())


@pytest.mark.parametrize("sizes", [5, (5,), [5], np.array([5]), np.int64(5), range(5, 6)], ids=repr)
def test_widths_of_any_kind(sizes):
    net = MLPClassifier(hidden_layer_sizes=sizes, max_iter=1).fit(*iris())
    assert [W.shape for W in net.coefs_] == [(4, 5), (5, 3)]
    assert [b.shape for b in net.intercepts_] == [(5,), (3,)]
    assert net.n_layers_ == 3


def test_losses():
    X, y = iris()
    nets = {
        loss: MLPClassifier(loss=loss, **SMALL).fit(X, y)
        for loss in ("logits", "keras2", "clip:1e-10,0.999999", "clip:0.3,0.4")
    }
    assert same_nets(nets["logits"], nets["keras2"])
    assert not same_nets(nets["logits"], nets["clip:0.3,0.4"])
    for bad in ("hinge", "clip:1", "squared"):
        with pytest.raises(ValueError, match="'loss' parameter of MLPClassifier must be log_loss, or one of"):
            MLPClassifier(loss=bad).fit(X, y)
    with pytest.raises(ValueError, match=r"'loss' parameter.*squared_error, poisson, or one of.*'logits'"):
        MLPRegressor(loss="logits").fit(X, y)


def test_random_state():
    X, y = iris()
    options = {**SMALL, "batch_size": 16, "early_stopping": True}

    def net(random_state):
        return MLPClassifier(**{**options, "random_state": random_state}).fit(X, y)

    assert same_nets(net(5), net(5))
    assert not same_nets(net(5), net(6))
    assert same_nets(net(5), net(np.random.RandomState(5)))
    moving = np.random.RandomState(5)
    assert not same_nets(net(moving), net(moving))
    assert not same_nets(net(None), net(None))
    orders = [MLPClassifier(**{**options, "shuffle": shuffle}).fit(X, y) for shuffle in (True, False)]
    assert not same_nets(*orders)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_threads_do_not_change_the_result(solver):
    X, y = digits()
    options = {**SMALL, "hidden_layer_sizes": 64, "scale": 16, "solver": solver, "max_iter": 2}
    nets = [MLPClassifier(threads=n, **options).fit(X, y) for n in (1, 2, "auto")]
    assert same_nets(nets[0], nets[1])
    assert same_nets(nets[0], nets[2])
    assert np.array_equal(nets[0].predict_proba(X), nets[1].predict_proba(X))


def test_unfitted():
    X, _ = iris()
    for Net, method in itertools.product((MLPClassifier, MLPRegressor), ("predict", "score")):
        with pytest.raises(NotFittedError):
            getattr(Net(), method)(X, *([X[:, 0]] if method == "score" else []))
    for method in ("predict_proba", "predict_log_proba"):
        with pytest.raises(NotFittedError):
            getattr(MLPClassifier(), method)(X)


@DTYPES
def test_logarithms_of_probabilities(dtype):
    X, y = iris(dtype)
    net = MLPClassifier(**SMALL).fit(X, y)
    np.testing.assert_array_equal(net.predict_log_proba(X), np.log(net.predict_proba(X)))
    net.intercepts_[-1] += np.array([0, 5000, 0], dtype)  # probabilities that are 0
    assert (net.predict_proba(X)[:, 0] == 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (net.predict_log_proba(X) == [-np.inf, 0, -np.inf]).all()


def test_attributes_are_parameters_for_the_functions():
    X, y = iris()
    net = MLPClassifier(activation="logistic", scale=2.0, **SMALL).fit(X, y)
    p = reference.predict_proba(net_of(Parameters(net.coefs_, net.intercepts_), "sigmoid", 2.0), X)
    np.testing.assert_allclose(p, net.predict_proba(X), rtol=1e-13)
