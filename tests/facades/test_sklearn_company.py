"""Among others fastmlp's estimators do what scikit-learn's do: in searches, ensembles, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

import sklearn
from estimator_cases import iris, line
from estimator_places import SHORT, Place, Values, two_classes, unlike_theirs, words
from sklearn import (
    calibration,
    ensemble,
    inspection,
    model_selection,
    multiclass,
    multioutput,
    semi_supervised,
)
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PLACES: list[Place] = []


def place(function: Place) -> Place:
    PLACES.append(function)
    return function


# --- among others -----------------------------------------------------------------------------------


@place
def searches(nets):
    X, y = iris()
    pipe = make_pipeline(StandardScaler(), nets.MLPClassifier(**SHORT))
    grid = {"mlpclassifier__alpha": [1e-4, 1.0], "mlpclassifier__solver": ["sgd", "lbfgs"]}
    search = model_selection.GridSearchCV(pipe, grid, cv=3).fit(X, words(y))
    drawn = model_selection.RandomizedSearchCV(
        nets.MLPRegressor(**SHORT), {"hidden_layer_sizes": [(3,), (4, 4), ()]}, n_iter=2, cv=2, random_state=0
    ).fit(*line())
    halving = model_selection.HalvingGridSearchCV(
        nets.MLPClassifier(**SHORT), {"alpha": [0.1, 10.0]}, resource="max_iter", max_resources=4, cv=2
    ).fit(X, y)
    curve = model_selection.learning_curve(
        nets.MLPClassifier(**SHORT),
        X,
        y,
        cv=2,
        shuffle=True,
        random_state=0,
        exploit_incremental_learning=True,
    )
    scores = model_selection.cross_validate(
        nets.MLPClassifier(**SHORT),
        *two_classes(),
        cv=3,
        scoring=["roc_auc", "neg_log_loss", "f1", "average_precision", "neg_brier_score"],
    )
    return {
        "grid": search.cv_results_["mean_test_score"],
        "best": str(search.best_params_),
        "drawn": drawn.cv_results_["mean_test_score"],
        "halving": halving.cv_results_["mean_test_score"],
        "curve": curve[2],
        **{name: value for name, value in scores.items() if "test" in name},
        "by turns": model_selection.cross_val_predict(pipe, X, y, cv=3, method="predict_proba"),
    }


@place
def ensembles(nets):
    X, y = iris()
    net, other = nets.MLPClassifier(**SHORT), nets.MLPClassifier(**{**SHORT, "activation": "tanh"})
    numbers, longer = nets.MLPRegressor(**SHORT), clone(net).set_params(max_iter=30)
    stacked = ensemble.StackingClassifier([("a", net), ("b", other)], nets.MLPClassifier(**SHORT), cv=3)
    return {
        "stacked": stacked.fit(X, words(y)).predict_proba(X),
        "of numbers": ensemble.StackingRegressor([("a", numbers)], numbers, cv=2)
        .fit(*line())
        .predict(line()[0]),
        "voted": ensemble.VotingClassifier([("a", net), ("b", other)], voting="soft")
        .fit(X, y)
        .predict_proba(X),
        "bagged": ensemble.BaggingClassifier(net, 3, random_state=0).fit(X, y).predict_proba(X),
        "boosted": ensemble.AdaBoostClassifier(longer, n_estimators=2, random_state=0)
        .fit(X, y)
        .predict_proba(X),
        "boosted numbers": ensemble.AdaBoostRegressor(numbers, n_estimators=2, random_state=0)
        .fit(X, y)
        .predict(X),
        "one to rest": multiclass.OneVsRestClassifier(net).fit(X, words(y)).predict_proba(X),
        "one to one": multiclass.OneVsOneClassifier(net).fit(X, y).predict(X),
        "codes": multiclass.OutputCodeClassifier(net, random_state=0).fit(X, y).predict(X),
        "several": multioutput.MultiOutputRegressor(numbers).fit(*line(K=2)).predict(line(K=2)[0]),
        "of y": TransformedTargetRegressor(numbers, transformer=StandardScaler())
        .fit(*line())
        .predict(line()[0]),
    }


@place
def around_a_net(nets):
    X, y = iris()
    cancer, ill = two_classes()
    net = nets.MLPClassifier(**SHORT).fit(X, words(y))
    binary = nets.MLPClassifier(**SHORT).fit(cancer, ill)
    numbers = nets.MLPRegressor(**SHORT).fit(*line())
    found: Values = {}
    for method in ("sigmoid", "isotonic"):
        each = calibration.CalibratedClassifierCV(nets.MLPClassifier(**SHORT), method=method, cv=3)
        found[method] = each.fit(X, y, sample_weight=1.0 + y).predict_proba(X)
    found["importance"] = inspection.permutation_importance(
        net, X, words(y), random_state=0, n_repeats=2
    ).importances
    found["dependence"] = inspection.partial_dependence(net, X, [0, 2], response_method="predict_proba")[
        "average"
    ]
    found["of numbers"] = inspection.partial_dependence(numbers, line()[0], [1], kind="individual")[
        "individual"
    ]
    found["threshold"] = (
        model_selection.TunedThresholdClassifierCV(clone(binary), cv=3).fit(cancer, ill).predict(cancer)
    )
    unknown = np.where(np.arange(150) % 3, y, -1)
    found["self-taught"] = semi_supervised.SelfTrainingClassifier(clone(net)).fit(X, unknown).predict(X)
    with ThreadPoolExecutor(4) as pool:
        fits = list(
            pool.map(lambda seed: nets.MLPClassifier(**{**SHORT, "random_state": seed}).fit(X, y), range(8))
        )
    found["in threads"] = [part for fit in fits for part in fit.coefs_]
    found["predicted in threads"] = [p for fit in fits for p in [fit.predict_proba(X)]]
    return found


@place
def subclasses(nets):
    X, y = iris()

    class Deep(nets.MLPClassifier):
        def __init__(self, depth=2, random_state=None):
            super().__init__(hidden_layer_sizes=(4,) * depth, max_iter=4, random_state=random_state)
            self.depth = depth

        def fit(self, X, y, sample_weight=None):
            return super().fit(X, y, sample_weight)

    class Same(nets.MLPRegressor):
        def predict(self, X):
            return np.clip(super().predict(X), 0, 2)

    deep = Deep(3, random_state=1).fit(X, y)
    return {
        "W": deep.coefs_,
        "parameters": str(sorted(deep.get_params())),
        "clone": clone(deep).fit(X, y).coefs_,
        "repr": repr(deep),
        "clipped": Same(**SHORT).fit(X, y).predict(X),
        "score": Same(**SHORT).fit(X, y).score(X, y),
    }


@place
def random_states(nets):
    X, y = iris()
    found: Values = {}
    short = {name: value for name, value in SHORT.items() if name != "random_state"}
    np.random.seed(3)  # noqa: NPY002
    for name, state in {
        "None": None,
        "int": 0,
        "NumPy's int": np.int64(7),
        "instance": np.random.RandomState(2),
        "NumPy's own": np.random.mtrand._rand,
    }.items():
        for early in (False, True):
            net = nets.MLPClassifier(**short, random_state=state, early_stopping=early).fit(X, y)
            found[f"{name} {early}"] = net.coefs_
            found[f"{name} {early} again"] = net.fit(X, y).coefs_
            found[f"{name} {early} cloned"] = clone(net).fit(X, y).coefs_
    found["drawn"] = np.random.random()  # noqa: NPY002
    return found


@place
def settings_of_scikit_learn(nets):
    X, y = iris()
    found: Values = {}
    for options in (
        {"assume_finite": True},
        {"transform_output": "pandas"},
        {"transform_output": "polars"},
        {"skip_parameter_validation": True},
        {"display": "text"},
        {"working_memory": 1},
    ):
        with sklearn.config_context(**options):
            net = make_pipeline(StandardScaler(), nets.MLPClassifier(**SHORT)).fit(pd.DataFrame(X), y)
            found[str(options)] = net.predict_proba(pd.DataFrame(X))
    with sklearn.config_context(enable_metadata_routing=True):
        weights = 1.0 + y
        asked = (
            nets.MLPClassifier(**SHORT)
            .set_fit_request(sample_weight=True)
            .set_score_request(sample_weight=True)
        )
        search = model_selection.GridSearchCV(asked, {"alpha": [0.01, 1.0]}, cv=3)
        found["routed"] = search.fit(X, y, sample_weight=weights).cv_results_["mean_test_score"]
        found["requests"] = str(asked.get_metadata_routing())
        part = nets.MLPClassifier(**SHORT).set_partial_fit_request(classes=True, sample_weight=False)
        found["requests in part"] = str(part.get_metadata_routing())
    return found


# --- the comparison ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("function", PLACES, ids=lambda function: function.__name__)
def test_the_same_comes_of_it(function):
    wrong = unlike_theirs(function)
    assert not wrong, "\n".join(wrong)
