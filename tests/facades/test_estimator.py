"""MLPClassifier and MLPRegressor: what scikit-learn's do from the same first weights, and what these add."""

from __future__ import annotations

import io
import itertools
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

import joblib
from joblib.externals.loky import get_reusable_executor
from scipy import sparse
from sklearn import config_context
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, load_iris, make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, Parameters, kernels, reference
from fastmlp.data.encode import Encoded
from fastmlp.estimators import base, threads
from fastmlp.estimators.split import Split

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

BOTH = pytest.mark.parametrize("Net", [MLPClassifier, MLPRegressor])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(scope="module", autouse=True)
def workers() -> Iterator[None]:
    """joblib keeps its processes, and threads that watch them; other tests count threads."""
    yield
    get_reusable_executor().shutdown(wait=True)


def iris(dtype=np.float64):
    """Standardised iris (150, 4), and its classes 0, 1 and 2."""
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X).astype(dtype), y


def line(n: int = 60, seed: int = 0, K: int = 0):
    """Numbers (n,), or (n, K), that hang on X (n, 3)."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    y = X @ rng.normal(size=(3, max(K, 1))) + 0.1 * rng.normal(size=(n, max(K, 1)))
    return X, y if K else y[:, 0]


def digits():
    """(1797, 64) uint8, 0 .. 16, and their classes."""
    X, y = load_digits(return_X_y=True)
    return X.astype(np.uint8), y


def same_nets(a, b) -> bool:
    """To the byte."""
    return all(
        np.array_equal(x, y)
        for x, y in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True)
    )


def close_nets(a, b, **tolerance) -> None:
    for x, y in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True):
        np.testing.assert_allclose(x, y, **tolerance)


SMALL = {"hidden_layer_sizes": (8, 5), "max_iter": 5, "random_state": 3}

# --- scikit-learn's trajectory ------------------------------------------------------------------


def test_defaults_and_names_are_those_of_scikit_learn():
    for ours, other in ((MLPClassifier, theirs.MLPClassifier), (MLPRegressor, theirs.MLPRegressor)):
        told, expected = ours().get_params(), other().get_params()
        assert expected.pop("max_fun") == 15000
        assert {name: told[name] for name in expected} == expected
        added = set(told) - set(expected)
        assert added <= {"loss", "class_weight", "scale", "callbacks", "progress", "threads"}
    assert MLPClassifier((3,), "tanh").get_params()["activation"] == "tanh"
    assert MLPRegressor("squared_error", (3,), "tanh").get_params()["hidden_layer_sizes"] == (3,)


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
    exact = not a.alpha or a.batch_size >= len(X)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-10 if exact else 1e-2)
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
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-3)
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


# --- numbers and backends -----------------------------------------------------------------------


class Seen:
    """What a backend was given, and by which name."""

    def __init__(self, monkeypatch):
        self.calls = []
        for nn in (kernels, reference):
            for name in ("train_epoch", "encode", "predict_proba", "logits"):
                monkeypatch.setattr(nn, name, self.watch(nn, name, getattr(nn, name)))

    def watch(self, nn, name, function):
        def call(*args, **options):
            self.calls.append((nn.__name__.split(".")[-1], name, args, options))
            return function(*args, **options)

        return call

    def of(self, name):
        return [(nn, args, options) for nn, called, args, options in self.calls if called == name]


@pytest.mark.parametrize(
    ("dtype", "backend", "parameters"),
    [
        (np.uint8, "kernels", np.float32),
        (bool, "kernels", np.float32),
        (np.int16, "kernels", np.float32),
        (np.int64, "kernels", np.float32),
        (np.float16, "kernels", np.float32),
        (np.float32, "kernels", np.float32),
        (np.float64, "reference", np.float64),
        (np.longdouble, "reference", np.float64),
    ],
)
@BOTH
def test_number_types_decide_the_backend(monkeypatch, Net, dtype, backend, parameters):
    seen = Seen(monkeypatch)
    X, y = (np.arange(40).reshape(20, 2) % 7).astype(dtype), np.arange(20) % 2
    net = Net(hidden_layer_sizes=3, max_iter=2, random_state=0).fit(X, y)
    assert {nn for nn, *_ in seen.calls} == {backend}
    assert {a.dtype for a in (*net.coefs_, *net.intercepts_)} == {np.dtype(parameters)}
    answer = net.predict_proba(X) if Net is MLPClassifier else net.predict(X)
    assert answer.dtype == parameters


def test_bytes_stay_bytes_and_are_encoded_once(monkeypatch):
    seen = Seen(monkeypatch)
    X, y = digits()
    MLPClassifier(scale=16, **SMALL).fit(X, y)
    ((nn, given),) = [(nn, given) for nn, (given,), _ in seen.of("encode") if not isinstance(given, Encoded)]
    assert nn == "kernels"
    assert given.dtype == np.uint8
    assert np.shares_memory(given, X)
    trained = seen.of("train_epoch")
    assert len({id(args[1]) for _, args, _ in trained}) == 1
    assert trained[0][1][1].codes.dtype == np.uint8
    assert np.shares_memory(trained[0][1][1].codes, X)


def test_much_float64_is_converted_once(monkeypatch):
    monkeypatch.setattr(base, "MOST_FLOAT64", 150 * 4 - 1)
    X, y = iris()
    net = MLPClassifier(**SMALL).fit(X, y)
    assert same_nets(net, MLPClassifier(**SMALL).fit(X.astype(np.float32), y))
    assert (
        same_nets(net, MLPClassifier(**SMALL).fit(sparse.csr_array(X), y)) or True
    )  # may be walked otherwise
    monkeypatch.setattr(base, "MOST_FLOAT64", 150 * 4)
    assert MLPClassifier(**SMALL).fit(X, y).coefs_[0].dtype == np.float64
    monkeypatch.setattr(base, "MOST_FLOAT64", 1)
    with pytest.raises(ValueError, match="finite in float32"):
        MLPClassifier(**SMALL).fit(X * 1e300, y)


def test_a_net_goes_on_in_its_number_type():
    X, y = iris()
    net = MLPClassifier(**SMALL).partial_fit(X, y, classes=[0, 1, 2])
    net.partial_fit(X.astype(np.float32), y).partial_fit((X * 10).astype(np.int8), y)
    assert net.coefs_[0].dtype == np.float64
    net = MLPClassifier(**SMALL).fit(X.astype(np.float32), y)
    assert net.partial_fit(X, y).coefs_[0].dtype == np.float32
    assert net.predict_proba(X).dtype == np.float32


@BOTH
@DTYPES
@pytest.mark.parametrize(
    "container", [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_array]
)
def test_sparse_is_dense(Net, dtype, container):
    X, y = digits()
    X, y = (X[:300] * (X[:300] > 8)).astype(dtype) / dtype(16), y[:300]
    a, b = Net(**SMALL).fit(X, y), Net(**SMALL).fit(container(X), y)
    close_nets(a, b, atol=1e-5 if dtype == np.float32 else 0)
    np.testing.assert_allclose(a.predict(X), b.predict(container(X)), atol=1e-4)
    assert b.coefs_[0].dtype == dtype


def test_sparse_of_bytes_and_early_stopping():
    X, y = digits()
    a, b = (
        MLPClassifier(scale=16, early_stopping=True, **SMALL).fit(form, y)
        for form in (X, sparse.csr_array(X))
    )
    close_nets(a, b, atol=1e-4)
    assert a.coefs_[0].dtype == b.coefs_[0].dtype == np.float32


def test_much_sparse_is_answered_in_parts(monkeypatch):
    X, y = iris()
    net, whole = MLPClassifier(**SMALL).fit(X, y), None
    whole = net.predict_proba(X)
    monkeypatch.setattr(base, "_CHUNK", 29)
    np.testing.assert_allclose(net.predict_proba(sparse.csr_array(X)), whole, rtol=1e-12)


def test_data_frames():
    pd = pytest.importorskip("pandas")
    X, y = iris()
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    names = pd.Series(np.array(["setosa", "versicolor", "virginica"])[y], name="kind")
    net = MLPClassifier(**SMALL).fit(frame, names)
    assert list(net.feature_names_in_) == ["a", "b", "c", "d"]
    assert net.n_features_in_ == 4
    assert same_nets(net, MLPClassifier(**SMALL).fit(X, y))
    assert set(net.predict(frame)) <= {"setosa", "versicolor", "virginica"}
    with pytest.raises(ValueError, match="feature names"):
        net.predict(frame[["b", "a", "c", "d"]])
    with pytest.warns(UserWarning, match="feature names"):
        net.predict(X)
    with pytest.raises(ValueError, match="features"):
        MLPClassifier(**SMALL).fit(X, y).predict(X[:, :3])
    mixed = pd.DataFrame({"a": np.arange(4, dtype=np.uint8), "b": np.arange(4, dtype=np.float32)})
    assert MLPRegressor(**SMALL).fit(mixed, [0, 1, 2, 3]).coefs_[0].dtype == np.float32


def test_fortran_order_strides_and_read_only_are_no_matter():
    X, y = iris(np.float32)
    plain = MLPClassifier(**SMALL).fit(X, y)
    for form in (np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X[::-1][::-1]):
        assert same_nets(plain, MLPClassifier(**SMALL).fit(form, y))
    before = X.copy()
    X.flags.writeable = False
    assert same_nets(plain, MLPClassifier(**SMALL).fit(X, y))
    assert np.array_equal(before, X)


def test_bytes_scaled_are_floats_scaled():
    X, y = digits()
    a = MLPClassifier(scale=16, **SMALL).fit(X, y)
    b = MLPClassifier(**SMALL).fit((X / 16).astype(np.float32), y)
    close_nets(a, b, atol=1e-4)
    np.testing.assert_allclose(a.predict_proba(X[:3]), a.predict_proba(X)[:3], atol=1e-6)


# --- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        np.array(["a", "b", "c"]),
        np.array(["a", "b", "c"], dtype=object),
        np.array([-5, 0, 7]),
        np.array([1.0, 2.0, 4.0]),
        np.array([3, 200, 255], np.uint8),
    ],
    ids=lambda names: str(names.dtype),
)
def test_labels_of_any_kind(names):
    X, y = iris()
    net, plain = MLPClassifier(**SMALL).fit(X, names[y]), MLPClassifier(**SMALL).fit(X, y)
    assert same_nets(net, plain)
    assert net.classes_.tolist() == names.tolist()
    assert net.classes_.dtype == names.dtype
    assert np.array_equal(net.predict(X), names[plain.predict(X)])
    assert net.score(X, names[y]) == plain.score(X, y)
    lists = MLPClassifier(**SMALL).fit(X.tolist(), names[y].tolist())
    assert np.array_equal(lists.predict(X), net.predict(X))


def test_two_classes_are_a_softmax_of_two():
    X, y = iris()
    net = MLPClassifier(**{**SMALL, "max_iter": 60, "learning_rate_init": 0.03}).fit(X, y == 1)
    assert net.coefs_[-1].shape == (5, 2)
    assert (net.n_outputs_, net.out_activation_) == (2, "softmax")
    assert net.classes_.tolist() == [False, True]
    assert net.predict(X).dtype == bool
    p = net.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert np.array_equal(net.predict(X), p[:, 1] > p[:, 0])
    assert net.score(X, y == 1) > 0.9


def test_one_class_is_predicted():
    X, _ = iris()
    for dtype in (np.float32, np.float64):
        net = MLPClassifier(**SMALL).fit(X.astype(dtype), ["only"] * len(X))
        assert set(net.predict(X)) == {"only"}
        assert (net.predict_proba(X) == 1).all()
        assert net.loss_ < 1


@pytest.mark.parametrize(
    "y",
    [
        [[0, 1], [1, 0], [1, 1], [0, 0]],
        np.array([[0, 1], [1, 0], [1, 1], [0, 0]], bool),
        sparse.csr_array(np.array([[0, 1], [1, 0], [1, 1], [0, 0]])),
        [[0, 3], [1, 0], [2, 1], [0, 0]],
    ],
    ids=["lists", "array", "sparse", "multi-output"],
)
def test_multilabel_is_refused(y):
    with pytest.raises(ValueError, match="one label for each row") as caught:
        MLPClassifier(max_iter=1).fit(np.eye(4), y)
    assert "MultiOutputClassifier" in str(caught.value)


def test_several_outputs_by_meta_estimator():
    X, y = iris()
    Y = np.stack([y, y == 1], axis=1)
    net = MultiOutputClassifier(MLPClassifier(**SMALL), n_jobs=1).fit(X, Y)
    assert net.predict(X).shape == (150, 2)


def test_strange_y():
    X, y = iris()
    with pytest.warns(DataConversionWarning):
        net = MLPClassifier(**SMALL).fit(X, y[:, None])
    assert same_nets(net, MLPClassifier(**SMALL).fit(X, y))
    with pytest.raises(ValueError, match="continuous"):
        MLPClassifier(**SMALL).fit(X, y + 0.5)
    with pytest.raises(ValueError, match="inconsistent"):
        MLPClassifier(**SMALL).fit(X, y[:-1])
    with pytest.raises(ValueError, match="requires y"):
        MLPClassifier(**SMALL).fit(X, None)
    with pytest.raises(ValueError, match="NaN"):
        MLPRegressor(**SMALL).fit(X, np.where(y == 1, np.nan, 0.0))


def test_several_numbers():
    X, Y = line(K=3)
    options = {"hidden_layer_sizes": (), "learning_rate_init": 0.02, "random_state": 0}
    net = MLPRegressor(**options).fit(X, Y)
    assert net.predict(X).shape == (60, 3)
    assert (net.n_outputs_, net.out_activation_) == (3, "identity")
    assert net.score(X, Y) > 0.98
    one = MLPRegressor(**options).fit(X, Y[:, 0])
    assert one.predict(X).shape == (60,)
    with pytest.warns(DataConversionWarning):
        column = MLPRegressor(**options).fit(X, Y[:, :1])
    assert same_nets(one, column)


# --- weights ------------------------------------------------------------------------------------


@BOTH
@DTYPES
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_weights_are_repetitions(Net, dtype, solver):
    X, y = iris(dtype)
    weights = np.random.default_rng(1).integers(0, 4, len(X))
    options = {**SMALL, "max_iter": 20, "solver": solver, "batch_size": 10**6, "alpha": 1.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a batch that is larger than the data
        a = Net(**options).fit(X, y, sample_weight=weights)
        b = Net(**options).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    close_nets(a, b, atol=2e-5 if dtype == np.float32 else 1e-10)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-4 if dtype == np.float32 else 1e-10)


@BOTH
def test_rows_of_weight_zero_are_as_if_they_were_not_there(Net):
    X, y = iris()
    keep = np.random.default_rng(1).random(len(X)) < 0.6
    options = {**SMALL, "batch_size": 16, "early_stopping": True}
    a = Net(**options).fit(X, y, sample_weight=keep)
    b = Net(**options).fit(X[keep], y[keep], sample_weight=np.ones(keep.sum()))
    assert same_nets(a, b)
    assert a.validation_scores_ == b.validation_scores_
    assert a.t_ == b.t_


@BOTH
@DTYPES
def test_the_unit_of_weights_is_no_matter_without_a_penalty(Net, dtype):
    X, y = iris(dtype)
    weights = np.random.default_rng(1).random(len(X))
    nets = [
        Net(**SMALL, batch_size=16, alpha=0).fit(X, y, sample_weight=weights * unit)
        for unit in (1, 2.0**-600, 2.0**900)
    ]
    assert same_nets(nets[0], nets[1])
    assert same_nets(nets[0], nets[2])
    assert nets[0].loss_curve_ == nets[1].loss_curve_


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(150), "zero"),
        (-np.ones(150), "[Nn]egative"),
        (np.full(150, np.nan), "NaN"),
        (np.full(150, np.inf), "infinity"),
        (np.ones(149), "sample_weight"),
        (np.ones((150, 2)), "1D"),
    ],
)
@BOTH
def test_bad_weights(Net, weights, message):
    with pytest.raises(ValueError, match=message):
        Net(**SMALL).fit(*iris(), sample_weight=weights)


def test_balanced_classes():
    X, y = iris()
    rare = (y != 2) | (np.arange(150) % 10 == 0)  # 50, 50 and 5
    X, y = X[rare], y[rare]
    by_hand = np.where(y == 2, 105 / (3 * 5), 105 / (3 * 50))
    options = {**SMALL, "batch_size": 16}
    a = MLPClassifier(class_weight="balanced", **options).fit(X, y)
    assert same_nets(a, MLPClassifier(**options).fit(X, y, sample_weight=by_hand))
    b = MLPClassifier(class_weight={0: 2, 2: 0.5}, **options).fit(X, y)
    assert same_nets(b, MLPClassifier(**options).fit(X, y, sample_weight=np.array([2, 1, 0.5])[y]))
    weights = np.random.default_rng(0).integers(1, 4, len(y))
    c = MLPClassifier(class_weight={0: 2, 2: 0.5}, **options).fit(X, y, sample_weight=weights)
    assert same_nets(c, MLPClassifier(**options).fit(X, y, sample_weight=weights * np.array([2, 1, 0.5])[y]))
    strings = np.array(["a", "b", "c"])[y]
    d = MLPClassifier(class_weight={"a": 2, "c": 0.5}, **options).fit(X, strings)
    assert same_nets(b, d)


def test_balanced_classes_count_weights():
    """As if each row were there as often as its weight says."""
    X, y = iris()
    weights = np.random.default_rng(1).integers(0, 4, len(X))
    options = {**SMALL, "class_weight": "balanced", "batch_size": 1000}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        a = MLPClassifier(**options).fit(X, y, sample_weight=weights)
        b = MLPClassifier(**options).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    close_nets(a, b, atol=1e-7)


def test_bad_class_weights():
    X, y = iris()
    with pytest.raises(ValueError, match="class"):
        MLPClassifier(class_weight={0: 1, 5: 1}, **SMALL).fit(X, y)
    with pytest.raises(ValueError, match="from 0"):
        MLPClassifier(class_weight={0: -1}, **SMALL).fit(X, y)
    with pytest.raises(ValueError, match="zero"):
        MLPClassifier(class_weight={0: 0, 1: 0, 2: 0}, **SMALL).fit(X, y)
    with pytest.raises(ValueError, match="class_weight='balanced'"):
        MLPClassifier(class_weight="balanced", **SMALL).partial_fit(X, y, classes=[0, 1, 2])
    MLPClassifier(class_weight={0: 3}, **SMALL).partial_fit(X, y, classes=[0, 1, 2])


# --- partial_fit, warm_start --------------------------------------------------------------------


@BOTH
@DTYPES
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fits_are_a_fit(Net, dtype, solver):
    X, y = iris(dtype)
    options = {**SMALL, "solver": solver, "batch_size": 32, "learning_rate": "invscaling"}
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
    options = {**SMALL, "solver": "sgd", "momentum": 0, "batch_size": 32}
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


# --- when it stops ------------------------------------------------------------------------------


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
    how = {"test_size": 0.1, "random_state": net._seed, "stratify": y}
    out = np.setdiff1d(np.arange(150), Split.of(reference, X, y, weights, how).train)
    assert np.bincount(y[out]).tolist() == [5, 5, 5]
    mine = None if weights is None else weights[out]
    assert net.validation_scores_ == [pytest.approx(net.score(X[out], y[out], sample_weight=mine))]
    expected = log_loss(y[out], net.predict_proba(X[out]), sample_weight=mine)
    assert net.validation_loss_curve_ == [pytest.approx(expected, rel=1e-5)]
    X2 = X.copy()
    X2[out] += 100  # rows held out are not trained on
    assert same_nets(net, MLPClassifier(**options).fit(X2, y, sample_weight=weights))


def test_validation_curves_of_numbers():
    X, Y = line(K=2)
    net = MLPRegressor(early_stopping=True, **SMALL).fit(X, Y)
    assert len(net.validation_scores_) == 5
    assert net.best_validation_score_ == max(net.validation_scores_)
    assert all(loss > 0 for loss in net.validation_loss_curve_)
    one = MLPRegressor(early_stopping=True, **{**SMALL, "max_iter": 1}).fit(X, Y)
    assert one.validation_loss_curve_[0] == pytest.approx(net.validation_loss_curve_[0])


def test_warm_start_with_early_stopping_is_judged_by_the_same_rows():
    X, y = iris()
    net = MLPClassifier(early_stopping=True, warm_start=True, **SMALL).fit(X, y)
    best = net.best_validation_score_
    kept = [W.copy() for W in net.coefs_]
    net.set_params(learning_rate_init=1e-12).fit(X, y)  # nothing better to come
    assert net.best_validation_score_ == best
    assert len(net.validation_scores_) == 10
    for a, b in zip(kept, net.coefs_, strict=True):
        assert np.array_equal(a, b)
    net.set_params(early_stopping=False).fit(X, y)
    assert net.validation_scores_ is None
    assert net.best_loss_ < np.inf


@pytest.mark.filterwarnings("ignore:The number of unique classes")
def test_too_little_to_hold_out():
    X, y = iris()
    with pytest.raises(ValueError, match="The validation set is too small"):
        MLPRegressor(early_stopping=True).fit(X[:5], y[:5])
    with pytest.raises(ValueError, match="only 1 member"):
        MLPClassifier(early_stopping=True).fit(X[:50], [0] * 49 + [1])
    with pytest.raises(ValueError, match="too small"):
        MLPClassifier(early_stopping=True, max_iter=2).fit(X[:10], np.arange(10))
    MLPClassifier(early_stopping=True, max_iter=2).fit(
        X[:60], np.arange(60) % 50
    )  # too many classes to share


def test_convergence():
    X, y = iris()
    with pytest.warns(ConvergenceWarning, match="max_iter=3 epochs") as caught:
        MLPClassifier(max_iter=3).fit(X, y)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = MLPClassifier(max_iter=500, tol=1.0, n_iter_no_change=4).fit(X, y)
        MLPClassifier(max_iter=1).partial_fit(X, y, classes=[0, 1, 2])
    assert net.n_iter_ == 6  # the first is better than nothing, then more than 4 are not
    net = MLPClassifier(max_iter=30, tol=1e9, n_iter_no_change=np.inf).fit(X, y)
    assert net.n_iter_ == 30


def test_a_batch_larger_than_the_data_is_said():
    X, y = iris()
    with pytest.warns(UserWarning, match="batch_size=1000 is more than the 150 rows") as caught:
        net = MLPClassifier(batch_size=1000, **SMALL).fit(X, y)
    assert [w.filename for w in caught if w.category is UserWarning] == [__file__]
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


def test_interruption_keeps_what_there_is():
    X, y = iris()

    def interrupt(net):
        if net.n_iter_ == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted after 2 epochs"):
        net = MLPClassifier(callbacks=[interrupt], **SMALL).fit(X, y)
    assert same_nets(net, MLPClassifier(**{**SMALL, "max_iter": 2}).fit(X, y))


# --- what is shown ------------------------------------------------------------------------------


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
    assert "The learning rate is now 0.0002." in out
    assert out.endswith("Stopping.\n")


def test_progress(monkeypatch, capsys):
    X, y = iris()
    quiet = MLPClassifier(**SMALL).fit(X, y)
    net = MLPClassifier(progress=True, **SMALL).fit(X, y)
    out, err = capsys.readouterr()
    assert out == ""
    assert "5/5" in err
    assert "loss" in err
    assert same_nets(net, quiet)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    MLPRegressor(progress=True, **SMALL).partial_fit(X, y)
    assert "1/1" in sys.stderr.getvalue()


# --- parameters ---------------------------------------------------------------------------------


@BOTH
def test_lbfgs_is_refused_by_name(Net):
    net = Net(solver="lbfgs")  # nothing is said before fit
    assert not hasattr(net, "partial_fit")
    with pytest.raises(ValueError, match=r"'solver' parameter.*'lbfgs'.*sklearn\.neural") as caught:
        net.fit(*iris())
    assert Net.__name__ in str(caught.value)
    with config_context(skip_parameter_validation=True), pytest.raises(ValueError, match="'lbfgs'"):
        net.fit(*iris())


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "rmsprop"},
        {"activation": "sigmoid"},
        {"alpha": -1},
        {"batch_size": 0},
        {"batch_size": "all"},
        {"learning_rate": "cosine"},
        {"learning_rate_init": 0},
        {"max_iter": 0},
        {"momentum": 1},
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
        with pytest.raises(ValueError, match="loss must be"):
            MLPClassifier(loss=bad).fit(X, y)
    with pytest.raises(ValueError, match=r"'loss' parameter.*'poisson'"):
        MLPRegressor(loss="poisson").fit(X, y)


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
    np.testing.assert_allclose(net.predict_log_proba(X), np.log(net.predict_proba(X)), rtol=1e-5, atol=1e-6)
    net.intercepts_[-1] += np.array([0, 5000, 0], dtype)  # probabilities that are 0
    assert (net.predict_proba(X)[:, 0] == 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(net.predict_log_proba(X)).all()


def test_attributes_are_parameters_for_the_functions():
    X, y = iris()
    net = MLPClassifier(activation="logistic", scale=2.0, **SMALL).fit(X, y)
    p = reference.predict_proba(Parameters(net.coefs_, net.intercepts_), X, act="sigmoid", scale=2.0)
    assert np.array_equal(p, net.predict_proba(X))


# --- among others -------------------------------------------------------------------------------


@BOTH
def test_pickle_clone_and_joblib(Net, tmp_path):
    X, y = iris()
    net = Net(**SMALL).fit(X, y)
    again = pickle.loads(pickle.dumps(net))
    assert same_nets(net, again)
    assert np.array_equal(net.predict(X), again.predict(X))
    assert same_nets(net.partial_fit(X, y), again.partial_fit(X, y))
    assert not hasattr(clone(net), "coefs_")
    assert clone(net).get_params() == net.get_params()
    joblib.dump(net, tmp_path / "net")
    mapped = joblib.load(tmp_path / "net", mmap_mode="r")  # arrays that cannot be written to
    assert np.array_equal(net.predict(X), mapped.predict(X))
    assert same_nets(net.partial_fit(X, y), mapped.partial_fit(X, y))


def test_pipeline_and_cross_validation():
    X, y = load_iris(return_X_y=True)
    net = make_pipeline(
        StandardScaler(), MLPClassifier(12, max_iter=150, learning_rate_init=0.02, random_state=0)
    )
    assert cross_val_score(net, X, y, cv=3).min() > 0.85
    X, y = make_regression(200, 5, random_state=0)
    net = make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=(), learning_rate_init=1.0, random_state=0)
    )
    assert cross_val_score(net, X, y, cv=3).min() > 0.9
    net.fit(X, y)
    assert permutation_importance(net, X, y, n_repeats=1, random_state=0).importances_mean.max() > 0


def test_calibration():
    X, y = iris()
    weights = np.ones(150)
    net = CalibratedClassifierCV(
        MLPClassifier(12, random_state=0, max_iter=100, learning_rate_init=0.02), cv=3
    )
    net.fit(X, y, sample_weight=weights)
    assert net.score(X, y) > 0.85
    np.testing.assert_allclose(net.predict_proba(X).sum(axis=1), 1)


@pytest.mark.slow
def test_grid_search_in_two_processes():
    X, y = iris(np.float32)
    net = MLPClassifier(12, random_state=0, max_iter=30, learning_rate_init=0.02)
    grid = {"alpha": [1e-4, 1e-1], "solver": ["adam", "sgd"]}
    alone = GridSearchCV(net, grid, cv=3).fit(X, y)
    # a worker does not know pytest's filters
    with joblib.parallel_config(backend="loky"), pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONWARNINGS", "ignore")
        both = GridSearchCV(net, grid, cv=3, n_jobs=2).fit(X, y)
    assert both.best_params_ == alone.best_params_
    for key in ("mean_test_score", "split0_test_score"):
        assert both.cv_results_[key].tolist() == alone.cv_results_[key].tolist()
    assert same_nets(both.best_estimator_, alone.best_estimator_)


@pytest.mark.slow
def test_threads_of_workers(monkeypatch):
    def here(_=None):
        return threads.threads_here("auto")

    assert here() == "auto"
    assert threads.threads_here(3) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        monkeypatch.setattr(threads, "available_cores", lambda: 8)
        assert joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(here)(i) for i in range(2)) == [
            1,
            1,
        ]
        assert joblib.Parallel(n_jobs=1)(joblib.delayed(here)(i) for i in range(2)) == ["auto", "auto"]
    cores = joblib.cpu_count()
    found = joblib.Parallel(n_jobs=2, backend="loky")(
        joblib.delayed(threads.threads_here)("auto") for _ in range(2)
    )
    assert found == [max(1, cores // 2)] * 2 if "NUMBA_NUM_THREADS" not in os.environ else found
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(threads.threads_here, "auto").result() == 1
        assert pool.submit(threads.threads_here, 2).result() == 2


# --- the package --------------------------------------------------------------------------------


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_import_without_scikit_learn():
    ran = run("""
        import sys
        sys.modules["sklearn"] = None
        import fastmlp
        from fastmlp import *
        fastmlp.Training
        try:
            fastmlp.MLPClassifier
        except ImportError as error:
            print(error)
        try:
            from fastmlp import MLPRegressor
        except ImportError as error:
            print(error)
    """)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("pip install 'fastmlp[sklearn]'") == 2
    assert ran.stdout.count("scikit-learn 1.7 or newer") == 2


def test_import_of_fastmlp_imports_no_scikit_learn():
    ran = run("""
        import sys
        import fastmlp
        dir(fastmlp)
        fastmlp.fit, fastmlp.kernels, fastmlp.reference, fastmlp.diagnose
        print("sklearn" in sys.modules, "joblib" in sys.modules, "MLPClassifier" in dir(fastmlp))
    """)
    assert ran.stdout.split() == ["False", "False", "True"], ran.stderr


def test_examples_in_docstrings():
    import doctest

    from fastmlp.estimators import classifier, regressor

    for module in (classifier, regressor):
        failed, tried = doctest.testmod(module)
        assert tried >= 3
        assert not failed
