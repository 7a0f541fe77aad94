"""Targets of every kind - classes, several labels, numbers, counts - step by step as scikit-learn."""

from __future__ import annotations

import itertools
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from estimator_cases import SMALL, iris
from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.metrics import mean_poisson_deviance
from sklearn.model_selection import GridSearchCV
from sklearn.utils import get_tags

from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, SPECIES = iris()
RNG = np.random.default_rng(7)
WEIGHTS = RNG.random(150) * 3
KINDS = {
    "two classes": SPECIES == 1,
    "two names": np.array(["no", "yes"], object)[(SPECIES > 0) * 1],
    "one class": np.full(150, 4),
    "three classes": SPECIES,
    "three labels": np.stack([SPECIES == 1, SPECIES > 0, RNG.random(150) < 0.3], axis=1) * 1,
    "sparse labels": sparse.csr_matrix(RNG.random((150, 4)) < 0.4) * 1,
    "a number": X @ [1.0, -2, 3, 0.5],
    "three numbers": X[:, :3] * [1.0, 50, -3],
    "a count": RNG.poisson(np.exp(X[:, 0])),
    "three rates": np.exp(X[:, :3]) * RNG.random((150, 3)),
}
COUNTS = ("a count", "three rates")
OUTPUTS = {"logistic": ("two", "one class", "labels"), "identity": ("number",), "exp": ("count", "rates")}


def pair(kind, **options):
    """Ours and scikit-learn's, for targets of that kind, in float64."""
    name = "MLPRegressor" if "number" in kind or kind in COUNTS else "MLPClassifier"
    options = {**SMALL, "activation": "tanh", **({"loss": "poisson"} if kind in COUNTS else {}), **options}
    ours = MLPRegressor if name == "MLPRegressor" else MLPClassifier
    return ours(dtype="float64", **options), getattr(theirs, name)(**options)


def dense(found):
    return found.toarray() if sparse.issparse(found) else found


def same(ours, other, X=X):
    """Parameters, curves, attributes and answers, to 1e-9 or better."""
    for a, b in zip([*ours.coefs_, *ours.intercepts_], [*other.coefs_, *other.intercepts_], strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    for name in ("loss_curve_", "validation_scores_"):
        mine, its = getattr(ours, name), getattr(other, name)
        assert (mine is None) == (its is None)
        np.testing.assert_allclose(mine or 0, its or 0, rtol=1e-9, atol=1e-9)
    for name in ("n_outputs_", "out_activation_", "n_layers_", "n_iter_", "t_"):
        assert getattr(ours, name) == getattr(other, name), name
    for way in ("predict", "predict_proba", "predict_log_proba"):
        if not hasattr(other, way):
            continue
        with np.errstate(divide="ignore"):
            mine, its = getattr(ours, way)(X), getattr(other, way)(X)
        assert (type(mine), mine.dtype, mine.shape) == (type(its), its.dtype, its.shape), way
        if its.dtype.kind in "fi":
            np.testing.assert_allclose(dense(mine), dense(its), rtol=1e-8, atol=1e-9)
        else:
            assert (mine == its).all()
    if hasattr(other, "classes_"):
        assert ours.classes_.dtype == other.classes_.dtype
        assert np.array_equal(ours.classes_, other.classes_)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_is_that_of_scikit_learn(kind, solver, early, weighted):
    options = {
        "solver": solver, "early_stopping": early, "max_iter": 8, "batch_size": 40, "alpha": 0.1,
        "learning_rate_init": 0.003,
    }  # fmt: skip
    weights = WEIGHTS if weighted else None
    ours, other = (net.fit(X, KINDS[kind], sample_weight=weights) for net in pair(kind, **options))
    same(ours, other)
    assert any(word in kind for word in OUTPUTS.get(ours.out_activation_, [kind]))
    y = KINDS[kind]
    assert ours.score(X, y) == pytest.approx(other.score(X, y), rel=1e-9)
    assert get_tags(ours).classifier_tags == get_tags(other).classifier_tags
    same(pickle.loads(pickle.dumps(ours)), other)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "one class"])
def test_going_on_is_that_of_scikit_learn(kind):
    """By partial_fit, which has to be told the classes, and by a warm start."""
    y = KINDS[kind]
    nets = pair(kind, max_iter=3, warm_start=True)
    for net in nets:
        net.fit(X, y)
        net.fit(X, y, sample_weight=WEIGHTS)
    same(*nets)
    nets = pair(kind)
    labels = (
        {}
        if isinstance(nets[0], MLPRegressor)
        else {"classes": np.arange(y.shape[1]) if y.ndim > 1 else np.unique(y)}
    )
    for net, part in itertools.product(nets, (slice(0, 90), slice(60, 150))):
        net.partial_fit(X[part], y[part], sample_weight=WEIGHTS[part], **labels)
    same(*nets)


@pytest.mark.parametrize("kind", ["two classes", "three labels", "three rates", "three classes"])
def test_float32_goes_there_too(kind):
    ours, other = pair(kind, max_iter=6, solver="sgd", learning_rate_init=0.02)
    ours.set_params(dtype="auto").fit(X.astype(np.float32), KINDS[kind], sample_weight=WEIGHTS)
    other.fit(X.astype(np.float32), KINDS[kind], sample_weight=WEIGHTS)
    for a, b in zip(ours.coefs_, other.coefs_, strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=2e-5)
    np.testing.assert_allclose(ours.loss_curve_, other.loss_curve_, rtol=1e-5)
    way = "predict_proba" if hasattr(ours, "predict_proba") else "predict"
    answers = [getattr(net, way)(X.astype(np.float32)) for net in (ours, other)]
    assert answers[0].dtype == answers[1].dtype
    np.testing.assert_allclose(*answers, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["two classes", "three classes", "three labels"])
def test_curves_are_capped_as_in_scikit_learn(kind, dtype):
    """A label that is surely wrong counts no more than a type's epsilon; its step is whole."""
    wide, cap = (X * 3e3).astype(dtype), -np.log(np.finfo(dtype).eps)
    ours, other = pair(kind, max_iter=3, learning_rate_init=1e-5, activation="relu")
    for computed in ("float64", "float32"):
        ours.set_params(dtype=computed).fit(wide, KINDS[kind])
        other.fit(wide, KINDS[kind])
        assert other.loss_ > cap / 6  # some are surely wrong
        near = 1e-9 if computed == "float64" and dtype == np.float64 else 2e-2
        np.testing.assert_allclose(ours.loss_curve_, other.loss_curve_, rtol=near)


def test_probabilities_of_one_output_have_all_their_digits():
    for dtype in (np.float32, np.float64):
        net = MLPClassifier(**SMALL).fit(X.astype(dtype), SPECIES == 1)
        net.intercepts_[-1][:] = 60
        p, logs = net.predict_proba(X.astype(dtype)), net.predict_log_proba(X.astype(dtype))
        assert p.dtype == logs.dtype == dtype
        assert (p[:, 0] > 0).all()
        np.testing.assert_allclose(logs, np.log(p), rtol=1e-5)
        net.intercepts_[-1][:] = 5000
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert (net.predict_log_proba(X.astype(dtype)) == [-np.inf, 0]).all()
        assert net.predict(X.astype(dtype)).all()


def test_a_count_is_better_told_by_its_own_loss():
    nets = [
        MLPRegressor(
            loss=loss,
            hidden_layer_sizes=(),
            alpha=0,
            max_iter=600,
            tol=0,
            learning_rate_init=0.02,
            random_state=0,
        )
        for loss in ("poisson", "squared_error")
    ]
    y = RNG.poisson(np.exp(X[:, 0] - X[:, 1]))
    found, plain = (np.maximum(net.fit(X, y).predict(X), 1e-3) for net in nets)
    assert mean_poisson_deviance(y, found) < 0.7 * mean_poisson_deviance(y, plain)
    assert nets[0].loss_ == pytest.approx(mean_poisson_deviance(y, found) / 2, rel=0.02)


FORMS = {  # of columns of 0 and 1, and of one of them
    "lists": lambda y: y.tolist(),
    "a frame": lambda y: pd.DataFrame(y, columns=[*"abc"]),
    "bools": lambda y: y > 0,
    "floats": lambda y: y * 1.0,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_array,
    "a constant column": lambda y: np.hstack([y, np.ones((len(y), 1), int)]),
    "-1 and 1": lambda y: 2 * y - 1,
    "two columns": lambda y: y[:, :2],
    "one column": lambda y: y[:, :1],
    "a frame of one": lambda y: pd.DataFrame(y[:, :1]),
    "bytes": lambda y: y[:, 0].astype(np.uint8),
    "texts": lambda y: np.where(y[:, 0], "yes", "no"),
    "objects": lambda y: np.where(y[:, 0], "yes", "no").astype(object),
    "categories": lambda y: pd.Series(np.where(y[:, 0], "yes", "no")).astype("category"),
    "a series of ints": lambda y: pd.Series(y[:, 0]).astype("Int64"),
    "days": lambda y: np.array(["2020-01-01", "2021-01-01"], "M8[D]")[y[:, 0]],
    "objects in columns": lambda y: y.astype(object),
    "nan": lambda y: np.where(y[:, 0], np.nan, 1),
    "no columns": lambda y: y[:, :0],
    "none": lambda y: None,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_labels_of_any_form_are_taken_or_refused_as_in_scikit_learn(form):
    rows = RNG.permutation(150)
    y, ends = FORMS[form]((np.stack([SPECIES == 1, SPECIES > 0, SPECIES == 2], axis=1) * 1)[rows]), []
    for net in pair("two classes", max_iter=3):
        try:
            ends.append(net.fit(X[rows], y))
        except ValueError as error:
            ends.append(str(error).partition(":")[0])
    if isinstance(ends[1], str):
        assert ends[0] == ends[1]
    else:
        same(*ends)


# --- class weights, losses by the engine's names ------------------------------------------------


@pytest.mark.parametrize("loss", ["log_loss", "logits", "keras2", "binary", "binary_log_loss"])
@pytest.mark.parametrize("weight", ["balanced", {0: 3.0}, {1: 0.25}], ids=str)
def test_class_weights_of_two_classes_are_weights_of_rows(loss, weight):
    y, each = (SPECIES == 1) * 1, {"balanced": [0.75, 1.5]}.get(str(weight))
    each = [weight.get(0, 1.0), weight.get(1, 1.0)] if each is None else each
    options = {**SMALL, "loss": loss}
    ours = MLPClassifier(class_weight=weight, **options).fit(X, y)
    plain = MLPClassifier(**options).fit(X, y, sample_weight=np.array(each)[y])
    assert ours.loss_curve_ == plain.loss_curve_
    assert ours.n_outputs_ == (2 if loss in ("logits", "keras2") else 1)


def test_class_weights_are_not_of_several_labels():
    with pytest.raises(ValueError, match="class_weight must be None for several labels"):
        MLPClassifier(class_weight="balanced").fit(X, KINDS["three labels"])


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("two classes", ["log_loss", "logits", "keras2", "clip:0.3,0.6", "binary", "binary:0.3,0.6"], []),
        ("three classes", ["log_loss", "logits", "keras2", "clip:0.3,0.6"], ["binary", "binary_log_loss"]),
        ("three labels", ["log_loss", "binary", "binary:0.3,0.6", "binary_log_loss"], ["logits", "keras2"]),
        ("three numbers", ["squared_error", "squared", "absolute", "huber:0.5", "half_deviance"], []),
    ],
)  # fmt: skip
def test_losses_by_their_names(kind, good, bad):
    y = np.abs(KINDS[kind]) if kind == "three numbers" else KINDS[kind]
    net = pair(kind)[0]
    nets = [clone(net).set_params(loss=loss).fit(X, y) for loss in good]
    assert len({np.concatenate(net.coefs_, axis=None).tobytes() for net in nets}) >= len(good) - 2
    for net, loss in zip(nets, good, strict=True):
        assert np.isfinite(net.loss_)
        link = "softmax" if loss in ("logits", "keras2", "clip:0.3,0.6") else net.out_activation_
        assert net.out_activation_ == link
    for loss in bad:
        with pytest.raises(ValueError, match=f"'loss' parameter of MLPClassifier must be .*{loss}"):
            clone(net).set_params(loss=loss).fit(X, y)


def test_equal_losses_by_two_names_are_the_same():
    for kind, one, other in (
        ("two classes", "log_loss", "binary"), ("three classes", "log_loss", "logits"),
        ("three numbers", "squared_error", "half_squared"), ("a count", "poisson", "half_deviance"),
    ):  # fmt: skip
        nets = [pair(kind)[0].set_params(loss=loss).fit(X, KINDS[kind]) for loss in (one, other)]
        for a, b in zip(*(net.coefs_ for net in nets), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)
        assert nets[0].loss_ == pytest.approx(nets[1].loss_ / (3 if one == "squared_error" else 1), rel=1e-3)


# --- refusals -----------------------------------------------------------------------------------


def test_a_net_does_not_go_on_with_targets_of_another_kind():
    labels, names = KINDS["three labels"], KINDS["two classes"] * 1
    cases = [(names, labels), (labels, names), (SPECIES, labels), (labels, labels[:, :2])]
    for first, then in cases:
        for way in ("fit", "partial_fit"):
            net = MLPClassifier(**SMALL, warm_start=True).fit(X, first)
            before = [W.copy() for W in net.coefs_]
            with pytest.raises(ValueError, match=r"classes|labels|warm_start|continue"):
                getattr(net, way)(X, then)
            assert all(np.array_equal(a, b) for a, b in zip(net.coefs_, before, strict=True))
            net.predict(X)
    net = MLPRegressor(**SMALL, warm_start=True).fit(X, SPECIES)
    with pytest.raises(ValueError, match="out_activation_ must be 'exp' for loss='poisson'"):
        net.set_params(loss="poisson").partial_fit(X, SPECIES)
    with pytest.raises(ValueError, match="needs all classes"):
        MLPClassifier().partial_fit(X, labels, classes=np.arange(5))


def test_counts_below_zero_are_taken_as_in_scikit_learn():
    """They have no deviance, but a slope."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, other = (net.fit(X, X[:, 0]) for net in pair("a count"))
    for a, b in zip(ours.coefs_, other.coefs_, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_a_search_over_losses():
    for kind, losses in (
        ("two classes", ["log_loss", "logits", "binary"]),
        ("a count", ["poisson", "absolute"]),
    ):
        search = GridSearchCV(pair(kind)[0], {"loss": losses}, cv=2, error_score="raise").fit(X, KINDS[kind])
        assert search.best_params_["loss"] in losses


def test_sparse_numbers_are_refused_in_words():
    with pytest.raises(ValueError, match="y must be a dense array of numbers; got a sparse one of shape"):
        MLPRegressor().fit(X, sparse.csr_matrix(X))
