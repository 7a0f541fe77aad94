"""The estimators within scikit-learn and joblib, and as an extra of the package."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

import joblib
from estimator_cases import BOTH, SMALL, iris, same_nets
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris, make_regression
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from fastmlp import MLPClassifier, MLPRegressor, backends
from fastmlp.estimators import base, threads

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module", autouse=True)
def workers() -> Iterator[None]:
    """joblib keeps its processes, and threads that watch them; other tests count threads."""
    yield
    get_reusable_executor().shutdown(wait=True)


# --- among others ---------------------------------------------------------------------------------


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


@pytest.mark.slow
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


# --- threads --------------------------------------------------------------------------------------


@pytest.fixture
def eight_cores(monkeypatch):
    """A machine of eight cores, of which nothing takes any."""
    for module in (threads, backends.threads):
        monkeypatch.setattr(module, "available_cores", lambda: 8)
    monkeypatch.setattr(threads, "_openmp", list)
    for name in threads._VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_limits_are_obeyed_whatever_threads_says(eight_cores, monkeypatch):
    assert [threads.threads_here(n) for n in ("auto", 1, 8, 20)] == ["auto", 1, 8, 20]
    for name in threads._VARIABLES:
        for said, found in (
            ("2", [2, 1, 2]),
            ("1", [1, 1, 1]),
            ("8", ["auto", 1, 8]),
            ("30", ["auto", 1, 20]),
        ):
            monkeypatch.setenv(name, said)
            assert [threads.threads_here(n) for n in ("auto", 1, 20)] == found
        for said in ("", "0", "many", "-1", "2,1", "9" * 5000):  # no number, or none that anybody means
            monkeypatch.setenv(name, said)
            assert threads.threads_here(20) == 20
        monkeypatch.delenv(name)


def test_limits_of_threadpoolctl_are_obeyed():
    before = threads.most_here()
    for api in ("openmp", None):
        with threadpool_limits(1, user_api=api):
            assert threads.most_here() == 1
            assert MLPClassifier(**SMALL, threads=2).fit(*iris(np.float32))._tuner[1].most == 1
        with threadpool_limits(3, user_api=api):
            assert threads.most_here() == 3 or "OMP_NUM_THREADS" in os.environ
    with threadpool_limits(1, user_api="blas"):  # other threads
        assert threads.most_here() == before


def test_a_limit_that_changes_makes_a_new_tuner(eight_cores, monkeypatch):
    net = MLPClassifier(**SMALL, threads=3)
    assert net._tuned() is net._tuned()
    assert net._tuned().most == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert net._tuned().most == 2
    assert net.set_params(threads="auto")._tuned().most == 2
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert net._tuned().most == 8


def test_threads_of_joblib_have_a_core_each(eight_cores):
    def here(said):
        return threads.threads_here(said)

    for said in ("auto", 2):
        calls = [joblib.delayed(here)(said) for _ in range(2)]
        assert joblib.Parallel(n_jobs=2, backend="threading")(calls) == [1, 1]
        assert joblib.Parallel(n_jobs=1)(calls) == [said, said]


@pytest.mark.slow
def test_processes_have_their_share():
    cores = joblib.cpu_count()
    calls = [joblib.delayed(threads.threads_here)(said) for said in ("auto", 256)]
    with pytest.MonkeyPatch.context() as environment:
        for name in joblib.parallel.LokyBackend.MAX_NUM_THREADS_VARS:
            environment.delenv(name, raising=False)
        share = max(1, cores // 2)
        assert joblib.Parallel(n_jobs=2, backend="loky")(calls) == [share, share]
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            assert joblib.Parallel(n_jobs=2)(calls) == [1, 1]
        assert joblib.Parallel(n_jobs=2, backend="multiprocessing")(calls) == [1, 1]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(threads.threads_here, "auto").result() == 1
        assert pool.submit(threads.threads_here, 2).result() == 1


def test_fits_at_once_in_threads_share_the_cores(monkeypatch):
    """Both have all cores before and after, and one each while both are at work."""
    monkeypatch.setattr(backends.threads, "available_cores", lambda: 2)
    monkeypatch.setattr(base, "most_here", lambda: 2)
    seen: dict[str, list[int]] = {"a": [], "b": []}
    meet = threading.Barrier(2)

    def fit(name, dtype=np.float32):
        net = MLPClassifier(**{**SMALL, "max_iter": 2}, threads=2)

        def look(net):
            if net.n_iter_ == 1:
                meet.wait(20)
            seen[name].append(net._tuner[1].next()[0])
            if net.n_iter_ == 1:
                meet.wait(20)

        net.callbacks = [look]
        return net.fit(*iris(dtype))

    with ThreadPoolExecutor(2) as pool:
        nets = [*pool.map(fit, seen)]
    assert same_nets(*nets)
    assert [counts[0] for counts in seen.values()] == [1, 1]
    assert nets[0]._tuner[1].next()[0] == 2
    assert same_nets(nets[0], MLPClassifier(**{**SMALL, "max_iter": 2}).fit(*iris(np.float32)))


# --- the package ----------------------------------------------------------------------------------


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
