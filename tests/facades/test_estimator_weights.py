"""Weights and other fitted attributes that a program puts into an estimator: used, or refused in one line."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
from compare import check

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from sklearn import neural_network as theirs
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor

SMALL = {"hidden_layer_sizes": (5, 4), "max_iter": 3, "random_state": 0}


def fitted(Net, X, y, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return Net(**(SMALL | options)).fit(X, y)


def iris(dtype=np.float64, classes=3):
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X).astype(dtype)[y < classes], y[y < classes]


def put(net, other, attributes=("coefs_", "intercepts_")):
    """The other's attributes, as a program puts them in."""
    for name in attributes:
        setattr(net, name, copy.deepcopy(getattr(other, name)))
    return net


def refused(net, X, y, match):
    """By every answer, and by what would go on with the net: one line, and nothing has changed."""
    ways = [way for way in ("predict", "predict_proba", "predict_log_proba") if hasattr(net, way)]
    warm, before = copy.copy(net).set_params(warm_start=True), repr(vars(net))
    asks = [lambda way=way: getattr(net, way)(X) for way in ways]
    for ask in (*asks, lambda: net.score(X, y), lambda: net.partial_fit(X, y), lambda: warm.fit(X, y)):
        with pytest.raises(ValueError, match=match) as caught:
            ask()
        assert "\n" not in str(caught.value)
    assert before == repr(vars(net))


# --- scikit-learn's nets ------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["relu", "tanh", "logistic", "identity"])
def test_a_binary_net_of_scikit_learn_answers_as_there(act):
    """Put into a net that is fitted, or into a new one."""
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    options = {"activation": act}
    given = fitted(theirs.MLPClassifier, X, y, **options)
    new = put(MLPClassifier(**SMALL | options), given, ("coefs_", "intercepts_", "classes_"))
    for net in (put(fitted(MLPClassifier, X, y, **options), given), new):
        check("float64 naive", net.predict_proba(X), given.predict_proba(X))
        assert np.array_equal(net.predict(X), given.predict(X))
        net.partial_fit(X, y)
        assert (net.out_activation_, net.n_outputs_) == ("logistic", 1)


def test_two_outputs_of_a_softmax_go_on_as_such():
    X, y = iris(classes=2)
    made = fitted(MLPClassifier, X, y, loss="logits")
    net = put(MLPClassifier(hidden_layer_sizes=(5, 4)), made, ("coefs_", "intercepts_", "classes_"))
    assert np.array_equal(net.predict_proba(X), made.predict_proba(X))
    for loss in ("log_loss", "logits"):
        again = copy.deepcopy(net).set_params(loss=loss).partial_fit(X, y)
        assert (again.out_activation_, again.n_outputs_) == ("softmax", 2)
    with pytest.raises(ValueError, match=r"out_activation_ must be 'logistic' for loss='binary'.*'softmax'"):
        copy.deepcopy(net).set_params(loss="binary").partial_fit(X, y)


@pytest.mark.parametrize("Net", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("K", [1, 3])
def test_the_other_nets_of_scikit_learn_answer_as_there(Net, K):
    X, y = iris()
    if Net == "MLPRegressor":
        y = X @ np.random.default_rng(0).normal(size=(4, K))
        y = y[:, 0] if K == 1 else y
    given, net = fitted(getattr(theirs, Net), X, y), fitted(globals()[Net], X, y)
    put(net, given)
    check("float64 naive", net.predict(X), given.predict(X))
    if Net == "MLPClassifier":
        check("float64 naive", net.predict_proba(X), given.predict_proba(X))


def test_everything_that_scikit_learn_fitted_copied_over():
    """As programs do that copy what ends in _: its binary and its multilabel nets have logistic outputs."""
    X, y = iris()
    known = (
        "coefs_",
        "intercepts_",
        "classes_",
        "n_outputs_",
        "n_layers_",
        "out_activation_",
        "n_features_in_",
    )
    given = fitted(theirs.MLPClassifier, X, y)
    net = put(MLPClassifier(), given, known)
    check("float64 naive", net.predict_proba(X), given.predict_proba(X))
    net = put(fitted(MLPClassifier, X, y > 0), fitted(theirs.MLPClassifier, X, y > 0), known)
    net.predict_proba(X)
    labels = np.eye(3, dtype=int)[y]
    given = fitted(theirs.MLPClassifier, X, labels)
    net = put(MLPClassifier(), given, known)
    check("float64 naive", net.predict_proba(X), given.predict_proba(X))
    assert np.array_equal(net.predict(X), given.predict(X))
    net = put(fitted(MLPClassifier, X, y), given, known)
    refused(net, X, y, "out_activation_ must be '?(softmax|that of the fit)")
    del net.out_activation_
    put(net, given, ["out_activation_"]).out_activation_ = "exp"
    refused(net, X, y, "out_activation_ must be")


# --- what does not fit --------------------------------------------------------------------------

WRONG = {  # a change of a net (4, 5, 4, K), and what is said of it
    "inputs": (lambda net: change(net, 0, np.ones((3, 5))), r"coefs_\[0\] must have 4 rows, .*; got 3"),
    "hidden chain": (
        lambda net: change(net, 1, np.ones((6, 4))),
        "each layer's fan_in the fan_out of the one",
    ),
    "bias": (lambda net: change(net, 1, np.ones(5), "intercepts_"), "biases must be|and biases"),
    "bias of one": (lambda net: change(net, 1, np.ones(1), "intercepts_"), "and biases"),
    "more outputs": (
        lambda net: [change(net, 2, np.ones((4, 5))), change(net, 2, np.ones(5), "intercepts_")],
        r"coefs_\[-1\] must have (1 column, by|\d columns, one for each of) (classes_|n_outputs_).*; got 5",
    ),
    "a vector": (lambda net: change(net, 2, np.ones(4)), r"weights must be \(fan_in, fan_out\)"),
    "too few": (lambda net: setattr(net, "coefs_", net.coefs_[:-1]), "weights must be"),
    "no biases": (lambda net: setattr(net, "intercepts_", []), "intercepts_ must be a list of arrays"),
    "no list": (lambda net: setattr(net, "coefs_", net.coefs_[0][0, 0]), "coefs_ must be a list of arrays"),
    "None": (lambda net: setattr(net, "intercepts_", None), "intercepts_ must be a list of arrays"),
    "words": (lambda net: change(net, 0, np.full((4, 5), "a")), r"coefs_\[0\] must be an array of numbers"),
    "complex": (lambda net: change(net, 0, np.full((4, 5), 1j)), "numbers; got dtype complex"),
    "ragged": (lambda net: change(net, 0, [[1, 2], [3]]), r"coefs_\[0\] must be an array of numbers"),
    "nan": (lambda net: change(net, 1, np.full((5, 4), np.nan)), "must be finite; got nan or inf"),
    "one nan, in place": (lambda net: net.coefs_[1].__setitem__((2, 2), np.nan), "must be finite"),
    "infinite bias": (lambda net: net.intercepts_[2].__setitem__(0, np.inf), "must be finite"),
    "n_layers_": (lambda net: setattr(net, "n_layers_", 3), "n_layers_ must be 4, as the net is; got 3"),
    "n_outputs_": (
        lambda net: setattr(net, "n_outputs_", 7),
        "n_outputs_.*7|(by|one for each of) n_outputs_",
    ),
    "out_activation_": (lambda net: setattr(net, "out_activation_", "tanh"), "out_activation_ must be"),
    "scale": (
        lambda net: net.set_params(scale=255),
        "scale must be that of the fit, 1.0; got 255. Fit again",
    ),
    "activation": (
        lambda net: setattr(net, "activation", "tanh"),
        "activation must be that of the fit, 'relu'",
    ),
}


def change(net, layer, array, name="coefs_"):
    setattr(net, name, [*getattr(net, name)[:layer], array, *getattr(net, name)[layer + 1 :]])


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    ("Net", "K", "dtype"),
    [
        (MLPClassifier, 2, np.float32), (MLPClassifier, 3, np.float64),
        (MLPRegressor, 1, np.float64), (MLPRegressor, 2, np.float32),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_every_answer(Net, K, dtype, wrong):
    X, y = iris(dtype, classes=K if Net is MLPClassifier else 3)
    if Net is MLPRegressor:
        y = X[:, :K] if K > 1 else X[:, 0]
    net = fitted(Net, X, y)
    damage, match = WRONG[wrong]
    damage(net)
    refused(net, X, y, match)


def test_a_net_with_other_features_than_it_says():
    X, y = iris()
    net = put(fitted(MLPClassifier, X[:, :3], y), fitted(MLPClassifier, X, y))
    refused(net, X[:, :3], y, r"coefs_\[0\] must have 3 rows, one for each of n_features_in_; got 4")
    net.n_features_in_ = 4
    del net.__dict__["coefs_"][1:]
    refused(net, X, y, "weights must be")


def test_weights_without_their_labels():
    X, y = iris()
    net = put(MLPClassifier(), fitted(MLPClassifier, X, y))
    for ask in (net.predict, net.predict_proba):
        with pytest.raises(
            ValueError, match=r"classes_ must be the labels, one for each output; got none. Set"
        ):
            ask(X)
    net.classes_ = [0, 1, 2]
    assert set(net.predict(X)) <= {0, 1, 2}
    net.classes_ = [0, 1]
    with pytest.raises(ValueError, match=r"2 columns, one for each of classes_, \[0, 1\]; got 3.$"):
        net.predict(X)


# --- what is used -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_of_any_kind_are_used(dtype):
    X, y = iris(dtype)
    net, other = fitted(MLPClassifier, X, y), fitted(MLPClassifier, X, y, random_state=1)
    want = other.predict_proba(X)
    lists = [W.tolist() for W in other.coefs_], [b.tolist() for b in other.intercepts_]
    kinds = {
        "tuples": (tuple(other.coefs_), tuple(other.intercepts_)),
        "lists": lists,
        "columns first": ([np.asfortranarray(W) for W in other.coefs_], other.intercepts_),
        "views": ([np.repeat(W, 2, axis=1)[:, ::2] for W in other.coefs_], other.intercepts_),
        "read-only": ([frozen(W) for W in other.coefs_], [frozen(b) for b in other.intercepts_]),
        "float64": ([W.astype(np.float64) for W in other.coefs_], other.intercepts_),
    }
    for kind, (net.coefs_, net.intercepts_) in kinds.items():
        check("probabilities", net.predict_proba(X), want, kind)
        given = copy.deepcopy((net.coefs_, net.intercepts_))
        copy.copy(net).partial_fit(X, y)
        assert repr(given) == repr((net.coefs_, net.intercepts_)), f"{kind}: they are the caller's"


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 4, 5, 150])
def test_weights_changed_in_place_are_seen(dtype, rows):
    """By the answers for a few rows too, which read the weights where they lie."""
    X, y = iris(dtype)
    net = fitted(MLPClassifier, X, y)
    before = net.predict_proba(X[:rows])
    for array in [*net.coefs_, *net.intercepts_]:
        array[...] = 0
    assert (net.predict_proba(X[:rows]) == 1 / dtype(3)).all()
    assert not np.array_equal(before, net.predict_proba(X[:rows]))
    net.intercepts_[-1][1] = 9
    assert set(net.predict(X[:rows])) == {1}


def test_labels_that_are_renamed_are_used_in_any_order():
    X, y = iris()
    names = np.array(["virginica", "setosa", "versicolor"])
    for way in ("partial_fit", "fit"):
        plain = fitted(MLPClassifier, X, y, warm_start=True)
        renamed = copy.deepcopy(plain)
        renamed.classes_ = names
        assert np.array_equal(renamed.predict(X), names[plain.predict(X)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            getattr(plain, way)(X, y)
            getattr(renamed, way)(X, names[y])
        assert np.array_equal(renamed.predict_proba(X), plain.predict_proba(X)), way
        assert renamed.score(X, names[y]) == plain.score(X, y)
    renamed.classes_ = ["a", "a", "b"]
    with pytest.raises(ValueError, match=r"classes_ must be different labels; got \['a', 'a', 'b'\]"):
        renamed.partial_fit(X, names[y])


def test_going_on_in_another_number_type():
    """The averages of the steps so far are of the old one."""
    X, y = iris()
    for there, then in ((np.float64, np.float32), (np.float32, np.float64)):
        net = fitted(MLPClassifier, X.astype(there), y)
        net.coefs_, net.intercepts_ = (
            [a.astype(then) for a in they] for they in (net.coefs_, net.intercepts_)
        )
        net.partial_fit(X, y)
        assert {a.dtype for a in (*net.coefs_, *net.intercepts_)} == {np.dtype(then)}
        assert np.isfinite(net.predict_proba(X)).all()
