"""scikit-learn's own checks of estimators: all of them, none expected to fail."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from sklearn.utils import estimator_checks

from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [MLPClassifier(), MLPRegressor()]


@pytest.mark.slow
@estimator_checks.parametrize_with_checks(ESTIMATORS)
def test_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=["classifier", "regressor"])
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_param_validation,
        estimator_checks.check_dataframe_column_names_consistency,
    ],
    ids=["parameters", "columns"],
)
def test_check_that_scikit_learn_keeps_for_itself(estimator, check):
    check(type(estimator).__name__, estimator)


@pytest.mark.slow
def test_checks_that_need_an_environment():
    """Those of other kinds of arrays are skipped unless it is set before SciPy is imported."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", __file__, "-k", "test_check and array_api"],
        capture_output=True, text=True, timeout=100, check=False, env={**os.environ, "SCIPY_ARRAY_API": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout
    assert "skipped" not in ran.stdout
