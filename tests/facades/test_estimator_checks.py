"""scikit-learn's own checks of estimators: all of them, none expected to fail that scikit-learn's nets pass.

Both estimators pass every check as they are by default, and with other parameters every one that
scikit-learn's own pass with the same; in float32, but for those that ask for digits that it does not have.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import warnings

import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from sklearn import neural_network as theirs
from sklearn.utils import estimator_checks

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = ["MLPClassifier", "MLPRegressor"]
OTHERS = [
    {"solver": "sgd"},
    {"solver": "lbfgs"},
    {"early_stopping": True},
    {"activation": "tanh", "alpha": 1.0},
]

IN_FLOAT32 = {  # ask for seven digits of two trainings that add up in another order
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
}


def failures(estimator: object) -> dict[str, str]:
    """The checks that the estimator fails, and with what; "" for those that it passes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = estimator_checks.check_estimator(estimator, on_fail=None, on_skip=None)
    found = {one["check_name"]: "" for one in results if one["status"] in ("failed", "passed")}
    return found | {one["check_name"]: repr(one["exception"]) for one in results if one["status"] == "failed"}


def faults(estimator: object, expected: object) -> dict[str, str]:
    """The checks that the estimator fails and the other passes, and with what."""
    passed = {name for name, told in failures(expected).items() if not told}
    return {name: told for name, told in failures(estimator).items() if told and name in passed}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["auto", "float64"])
def test_every_check_is_passed(name, dtype):
    found = failures(getattr(fastmlp, name)(dtype=dtype))
    assert len(found) > 50
    assert {check: told for check, told in found.items() if told} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("parameters", OTHERS, ids=str)
def test_what_scikit_learn_passes_is_passed(name, parameters):
    expected = type(name, (getattr(theirs, name),), {})  # for its own classes it changes parameters
    found = faults(getattr(fastmlp, name)(**parameters), expected(**parameters))
    assert found == {}


@pytest.mark.slow
def test_poisson_passes_what_scikit_learn_passes():
    test_what_scikit_learn_passes_is_passed("MLPRegressor", {"loss": "poisson"})


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_float32_fails_for_want_of_digits_alone(name):
    found = failures(getattr(fastmlp, name)(dtype="float32"))
    assert {check: told for check, told in found.items() if told and check not in IN_FLOAT32} == {}


def test_failures_are_found():
    class Wrong(MLPRegressor):
        def fit(self, X, y, sample_weight=None):
            self.hidden_layer_sizes = 3
            return super().fit(X, y, sample_weight)

    found = faults(Wrong(max_iter=1), MLPRegressor(max_iter=1))
    assert "hidden_layer_sizes" in found["check_estimators_overwrite_params"]
    assert "check_dict_unchanged" not in found


@pytest.mark.parametrize("estimator", [MLPClassifier(), MLPRegressor()], ids=["classifier", "regressor"])
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_param_validation,
        estimator_checks.check_dataframe_column_names_consistency,
        estimator_checks.check_all_zero_sample_weights_error,
    ],
    ids=["parameters", "columns", "no weight"],
)
def test_check_that_scikit_learn_keeps_for_itself(estimator, check):
    check(type(estimator).__name__, estimator)


@pytest.mark.parametrize("name", NAMES)
def test_tags_are_those_of_scikit_learn(name):
    tags = getattr(theirs, name)().__sklearn_tags__()
    tags.target_tags.multi_output |= name == "MLPRegressor"  # which scikit-learn's takes and does not tell
    assert getattr(fastmlp, name)().__sklearn_tags__() == tags


@pytest.mark.slow
def test_checks_that_need_an_environment():
    """Those of other kinds of arrays are skipped unless it is set before SciPy is imported."""
    script = """
        import warnings
        from sklearn.utils.estimator_checks import check_estimator
        from fastmlp import MLPClassifier, MLPRegressor
        warnings.simplefilter("ignore")
        for net in MLPClassifier(), MLPRegressor():
            results = check_estimator(net, on_fail=None, on_skip=None)
            print([one["status"] for one in results if "array_api" in one["check_name"]])
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert ran.stdout.splitlines() == ["['passed']"] * 2, ran.stderr
