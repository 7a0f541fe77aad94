"""Alone, and with data of every kind, fastmlp's estimators do what scikit-learn's do."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import polars
import pytest
import scipy.sparse

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

import sklearn
from estimator_cases import iris
from estimator_places import OURS, SHORT, Place, Values, unlike_theirs, words
from sklearn import multioutput
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PLACES: list[Place] = []
ATTRIBUTES = [
    "best_loss_", "best_validation_score_", "classes_", "coefs_", "intercepts_", "loss_", "loss_curve_",
    "n_features_in_", "n_iter_", "n_layers_", "n_outputs_", "out_activation_", "t_", "validation_scores_",
]  # fmt: skip


def place(function: Place) -> Place:
    PLACES.append(function)
    return function


# --- an estimator alone -----------------------------------------------------------------------------


@place
def user_guide(nets):
    X, y = [[0.0, 0.0], [1.0, 1.0]], [0, 1]
    net = nets.MLPClassifier(solver="lbfgs", alpha=1e-5, hidden_layer_sizes=(5, 2), random_state=1).fit(X, y)
    several = nets.MLPClassifier(solver="lbfgs", alpha=1e-5, hidden_layer_sizes=(15,), random_state=1)
    several.fit(X, [[0, 1], [1, 1]])
    return {
        "labels": net.predict([[2.0, 2.0], [-1.0, -2.0]]),
        "shapes": [W.shape for W in net.coefs_],
        "sure": net.predict_proba([[2.0, 2.0], [1.0, 2.0]]).round(3),
        "of several": several.predict([[1.0, 2.0]]),
        "at 0": several.predict([[0.0, 0.0]]),
    }


@place
def copies(nets):
    X, y = iris()
    found: Values = {}
    for net in (nets.MLPClassifier(**SHORT).fit(X, y), nets.MLPRegressor(**SHORT).fit(X, y)):
        file = io.BytesIO()
        joblib.dump(net, file)
        file.seek(0)
        again = [
            copy.copy(net),
            copy.deepcopy(net),
            pickle.loads(pickle.dumps(net)),
            joblib.load(file),
            clone(net).fit(X, y),
        ]
        found |= {f"{type(net).__name__} {i}": a.predict(X) for i, a in enumerate(again)}
        for i, other in enumerate(again[1:]):
            other.partial_fit(X, y)
            found[f"{type(net).__name__} {i} on"] = other.coefs_
        found[f"{type(net).__name__} itself"] = net.coefs_
    return found


@place
def parameters_set_between_fits(nets):
    X, y = iris()
    net = nets.MLPClassifier(**SHORT).fit(X, y)
    found = {"first": net.coefs_}
    for change in (
        {"hidden_layer_sizes": 3},
        {"solver": "sgd"},
        {"activation": "tanh", "alpha": 1.0},
        {"solver": "lbfgs"},
        {"solver": "adam", "early_stopping": True},
        {"early_stopping": False, "max_iter": 2},
    ):
        net.set_params(**change).fit(X, y)
        found[str(change)] = net.coefs_
        if change.get("solver") != "lbfgs":  # after which scikit-learn leaves the curves of the fit before
            found[f"{change}: attributes"] = sorted(name for name in vars(net) if name in ATTRIBUTES)
    return found


@place
def warm_starts(nets):
    X, y = iris()
    found: Values = {}
    for solver in ("adam", "sgd", "lbfgs"):
        for early in (False, True):
            net = nets.MLPClassifier(**SHORT, solver=solver, early_stopping=early, warm_start=True, tol=0.05)
            for turn, rate in enumerate((0.01, 0.1, 0.001)):
                net.set_params(learning_rate_init=rate, max_iter=3 + turn).fit(X, y)
                found[f"{solver} {early} {turn}"] = copy.deepcopy(
                    net.coefs_
                )  # scikit-learn's are changed in place
                found[f"{solver} {early} {turn} counted"] = (
                    [net.n_iter_, net.t_, net._no_improvement_count]
                    if solver != "lbfgs"
                    else [net.n_iter_, net.t_]
                )
                found[f"{solver} {early} {turn} curves"] = [
                    copy.copy(getattr(net, name, "none"))
                    for name in ("loss_curve_", "validation_scores_", "best_loss_")
                ]
    return found


@place
def what_is_printed(nets):
    X, y = iris()
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        nets.MLPClassifier(**SHORT, verbose=True).fit(X, y)
        nets.MLPClassifier(**SHORT, verbose=10, early_stopping=True).fit(X, y)
        nets.MLPRegressor(**SHORT, verbose=1).fit(X, y).partial_fit(X, y)
    return {
        "lines": text.getvalue().splitlines(),
        "repr": repr(nets.MLPClassifier(3, alpha=0.1).set_params(tol=0)),
    }


@place
def warnings_by_the_filters_of_others(nets):
    """Which of the filters that programs set catches the warning of a training that was too short."""
    X, y = iris()
    found: Values = {}
    for solver in ("adam", "sgd", "lbfgs"):
        for options in (
            {"category": sklearn.exceptions.ConvergenceWarning},
            {"category": UserWarning},
            {"module": "sklearn"},
            {"category": sklearn.exceptions.ConvergenceWarning, "module": "sklearn"},
            {"category": FutureWarning},
        ):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                warnings.filterwarnings("ignore", **options)
                nets.MLPClassifier(**{**SHORT, "max_iter": 2}, solver=solver).fit(X, y)
                make_pipeline(
                    StandardScaler(), nets.MLPRegressor(**{**SHORT, "max_iter": 2}, solver=solver)
                ).fit(X, y)
            found[f"{solver} {options}"] = len(caught)
    return found


@place
def one_class_and_one_row(nets):
    X, y = [[0.5, 1.0], [1.0, -1.0], [0.0, 2.0]], ["a", "a", "a"]
    net = nets.MLPClassifier(**SHORT).fit(X, y)
    found = {"of one": net.predict(X), "probabilities": net.predict_proba(X), "classes": net.classes_}
    alone = nets.MLPRegressor(**SHORT).fit([[1.0, 2.0]], [3.0])
    found |= {"one row": alone.predict([[1.0, 2.0]]), "W": alone.coefs_}
    part = nets.MLPClassifier(**SHORT)
    for row in ([[0.0, 1.0]], [[1.0, 1.0]]):
        part.partial_fit(row, ["no"], classes=["yes", "no", "maybe"])
    return {**found, "parts": part.coefs_, "parts of": part.classes_, "says": part.predict(X)}


@place
def several_labels(nets):
    X, Y = make_multilabel_classification(60, 5, n_classes=4, random_state=0)
    found: Values = {}
    for name, y in {
        "array": Y,
        "sparse": scipy.sparse.csr_matrix(Y),
        "lists": Y.tolist(),
        "bool": Y.astype(bool),
        "frame": pd.DataFrame(Y, columns=list("abcd")),
        "floats": Y.astype(float),
    }.items():
        net = nets.MLPClassifier(**SHORT).fit(X, y)
        says = net.predict(X)
        found |= {f"{name} W": net.coefs_, f"{name} p": net.predict_proba(X), f"{name} classes": net.classes_}
        found |= {f"{name} sparse": scipy.sparse.issparse(says), f"{name} score": net.score(X, Y)}
        found[name] = says.toarray() if scipy.sparse.issparse(says) else says
    chain = multioutput.ClassifierChain(nets.MLPClassifier(**SHORT)).fit(X, Y)
    each = multioutput.MultiOutputClassifier(nets.MLPClassifier(**SHORT)).fit(X, Y)
    return {**found, "chain": chain.predict(X), "each": each.predict(X), "p": each.predict_proba(X)}


# --- data -------------------------------------------------------------------------------------------


@place
def tables(nets):
    X, y = iris()
    names = [f"cm {i}" for i in range(4)]
    frame = pd.DataFrame(X, columns=names)
    kinds = {
        "frame": frame,
        "polars": polars.DataFrame(X, schema=names),
        "objects": frame.astype(object),
        "nullable": frame.astype("Float64"),
        "float32": frame.astype(np.float32),
        "mixed": frame.round().astype({"cm 0": int, "cm 1": bool}),
    }
    targets = {
        "series": pd.Series(words(y)),
        "categories": pd.Series(words(y), dtype="category"),
        "strings": pd.Series(words(y), dtype="string"),
        "integers": pd.Series(y, dtype="Int64"),
        "list": list(words(y)),
        "objects": words(y).astype(object),
    }
    found: Values = {}
    for (kind, data), (target, labels) in zip(kinds.items(), targets.items(), strict=True):
        net = nets.MLPClassifier(**SHORT).fit(data, labels)
        found |= {
            f"{kind}, {target}": net.predict(data),
            f"{kind}: W": net.coefs_,
            f"{target}: K": net.classes_,
        }
        found[f"{kind}: names"] = getattr(net, "feature_names_in_", None)
        numbers = nets.MLPRegressor(**SHORT).fit(data, pd.Series(y, dtype=float) * 0.5)
        found |= {f"{kind}: numbers": numbers.predict(data), f"{kind}: score": numbers.score(data, y)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nets.MLPClassifier(**SHORT, early_stopping=True).fit(frame, y).predict(X)
    found["warned"] = sorted(str(one.message) for one in caught if one.category is UserWarning)
    return found


@place
def layouts(nets):
    X, y = iris()
    other = X.copy()
    other.flags.writeable = False
    kinds = {
        "Fortran": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=1)[:, ::2],
        "read-only": other,
        "big-endian": X.astype(">f8"),
        "float16": X.astype(np.float16),
        "long": X.astype(np.longdouble),
        "subclass": X.view(np.matrix).A,
        "masked": np.ma.array(X),
        "CSC": scipy.sparse.csc_array(X),
        "LIL": scipy.sparse.lil_matrix(X),
        "ints of 1": X.round().astype(np.int8),
        "DOK": scipy.sparse.dok_array(X),
        "64-bit indices": with_long_indices(X),
    }
    return {
        f"{kind} {task}": getattr(nets, task)(**SHORT).fit(data, y).predict(data)
        for kind, data in kinds.items()
        for task in ("MLPClassifier", "MLPRegressor")
    }


def with_long_indices(X: np.ndarray) -> scipy.sparse.csr_matrix:
    data = scipy.sparse.csr_matrix(X)
    data.indices, data.indptr = data.indices.astype(np.int64), data.indptr.astype(np.int64)
    return data


@place
def parameters_taken(nets):
    """Which values of each parameter are taken. fastmlp alone refuses momentum=1."""
    values = [
        None,
        True,
        False,
        0,
        1,
        -1,
        3,
        0.0,
        0.5,
        1.0,
        -0.5,
        np.inf,
        np.nan,
        "auto",
        "adam",
        "sgd",
        "lbfgs",
        "relu",
        "constant",
        "adaptive",
        "",
        [],
        (),
        [0],
        [3.0],
        (3, 2),
        ["a"],
        np.array([4, 2]),
        np.int64(3),
        np.str_("tanh"),
        np.float32(0.25),
        np.bool_(True),
        {},
        b"adam",
        np.random.RandomState(0),
        np.random,
        range(1, 3),
        {3},
        "3",
    ]
    X, y = iris()
    found: Values = {}
    for name in nets.MLPRegressor().get_params().keys() & theirs.MLPRegressor().get_params().keys():
        for number, value in enumerate(values):
            if name in ("momentum", "hidden_layer_sizes") and str(value) in ("1", "1.0", "True"):
                continue
            for solver in ("adam", "sgd", "lbfgs"):
                parameters = {"max_iter": 1, "solver": solver, name: value}
                with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                    warnings.simplefilter("ignore")
                    try:
                        nets.MLPRegressor(**parameters).fit(X[::5], y[::5])
                        found[f"{name}, {number}, {solver}"] = "taken"
                    except (ValueError, TypeError):
                        found[f"{name}, {number}, {solver}"] = "refused"
    return found


@place
def what_is_refused(nets):
    """The class of the error that each call ends in, or none."""
    X, y = iris()
    holed, endless = X.copy(), X.copy()
    holed[3, 1], endless[3, 1] = np.nan, np.inf
    fitted = nets.MLPClassifier(**SHORT).fit(X, y)
    frame = pd.DataFrame(X, columns=list("abcd"))
    named = nets.MLPClassifier(**SHORT).fit(frame, y)
    calls = {
        "nan": lambda: nets.MLPClassifier(**SHORT).fit(holed, y),
        "inf": lambda: nets.MLPRegressor(**SHORT).fit(endless, y),
        "nan in y": lambda: nets.MLPRegressor(**SHORT).fit(X, holed[:, 1]),
        "numbers as classes": lambda: nets.MLPClassifier(**SHORT).fit(X, X[:, 0]),
        "classes and outputs": lambda: nets.MLPClassifier(**SHORT).fit(X, np.c_[y, y]),
        "no rows": lambda: nets.MLPClassifier(**SHORT).fit(X[:0], y[:0]),
        "no columns": lambda: nets.MLPClassifier(**SHORT).fit(X[:, :0], y),
        "one dimension": lambda: nets.MLPClassifier(**SHORT).fit(X[:, 0], y),
        "three dimensions": lambda: nets.MLPRegressor(**SHORT).fit(X[None], y),
        "other lengths": lambda: nets.MLPRegressor(**SHORT).fit(X, y[:-1]),
        "complex": lambda: nets.MLPRegressor(**SHORT).fit(X + 1j, y),
        "strings": lambda: nets.MLPClassifier(**SHORT).fit(words(y)[:, None], y),
        "not fitted": lambda: nets.MLPClassifier(**SHORT).predict(X),
        "other columns": lambda: fitted.predict(X[:, :2]),
        "nan predicted": lambda: fitted.predict_proba(holed),
        "other names": lambda: named.predict(frame.rename(columns={"a": "z"})),
        "order of names": lambda: named.predict(frame[list("bacd")]),
        "weights of another length": lambda: nets.MLPClassifier(**SHORT).fit(X, y, np.ones(3)),
        "weights of nan": lambda: nets.MLPClassifier(**SHORT).fit(X, y, holed[:, 1]),
        "weights of 0": lambda: nets.MLPClassifier(**SHORT).fit(X, y, np.zeros(150)),
        "no classes": lambda: nets.MLPClassifier(**SHORT).partial_fit(X, y),
        "other classes": lambda: nets.MLPClassifier(**SHORT).partial_fit(X, y, classes=[0, 1]),
        "another class": lambda: copy.deepcopy(fitted).partial_fit(X, y + 1),
        "classes changed": lambda: copy.deepcopy(fitted).partial_fit(X, y, classes=[0, 1, 2, 3]),
        "lbfgs in part": lambda: nets.MLPClassifier(**SHORT, solver="lbfgs").partial_fit(X, y, [0, 1, 2]),
        "no y": lambda: nets.MLPClassifier(**SHORT).fit(X, None),
        "negative counts": lambda: nets.MLPRegressor(**SHORT, loss="poisson").fit(X, -X[:, 0]),
        "diverges": lambda: nets.MLPRegressor(**{**SHORT, "learning_rate_init": 1e9}, solver="sgd").fit(X, y),
        "width of 0": lambda: nets.MLPRegressor((0,)).set_params(hidden_layer_sizes=(3, 0)).fit(X, y),
        "word": lambda: nets.MLPRegressor(solver="newton").fit(X, y),
        "argument": lambda: nets.MLPRegressor(layers=3),
    }
    found: Values = {}
    for name, call in calls.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                call()
                found[name] = "nothing"
            except Exception as error:
                kinds = (TypeError, AttributeError, sklearn.exceptions.NotFittedError, ValueError)
                found[name] = next((kind.__name__ for kind in kinds if isinstance(error, kind)), repr(error))
    return found


# --- the comparison ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("function", PLACES, ids=lambda function: function.__name__)
def test_the_same_comes_of_it(function):
    wrong = unlike_theirs(function)
    assert not wrong, "\n".join(wrong)


def test_a_difference_is_seen():
    def place(nets):
        return {
            "number": 1.0 if nets is OURS else 2.0,
            "same": [1, "a"],
            **({} if nets is OURS else {"more": 1}),
        }

    assert len(unlike_theirs(place)) == 2
    assert unlike_theirs(lambda nets: {"W": nets.MLPRegressor(**SHORT).fit(*iris()).coefs_}) == []
    assert unlike_theirs(
        lambda nets: {"W": nets.MLPRegressor(**SHORT).set_params(alpha=nets is OURS).fit(*iris()).coefs_}
    )
