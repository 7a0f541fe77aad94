"""Weights of rows and of classes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")


from estimator_cases import BOTH, DTYPES, SMALL, close_nets, iris, same_nets
from sklearn import neural_network as theirs

from fastmlp import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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
def test_rows_of_weight_zero_keep_their_places_in_batches(Net):
    X, y = iris()
    keep = np.random.default_rng(1).random(len(X)) < 0.6
    options = {**SMALL, "batch_size": 16, "early_stopping": True}
    a = Net(**options).fit(X, y, sample_weight=keep)
    b = getattr(theirs, Net.__name__)(**options).fit(X, y, sample_weight=keep)
    c = Net(**options).fit(np.where(keep[:, None], X, 1e3), np.where(keep, y, y[0]), sample_weight=keep)
    close_nets(a, b, rtol=1e-9)
    close_nets(a, c, rtol=1e-9)  # and whatever is in them is no matter
    np.testing.assert_allclose(a.validation_scores_, b.validation_scores_)
    assert a.t_ == b.t_ == a.n_iter_ * 135


def test_a_batch_in_which_no_row_counts_changes_nothing():
    X, y = iris()
    half = np.repeat([1.0, 0.0], 75)
    options = {**SMALL, "batch_size": 75, "shuffle": False, "alpha": 0.0, "solver": "sgd", "momentum": 0}
    a = MLPClassifier(**options).fit(X, y, sample_weight=half)
    b = MLPClassifier(**options).fit(X, y, sample_weight=np.where(half, 2.0, 1e-300))
    c = MLPClassifier(**options).partial_fit(X[:75], y[:75], classes=[0, 1, 2])
    for _ in range(4):
        c.partial_fit(X[:75], y[:75])
    close_nets(a, c, atol=1e-12)
    assert not same_nets(a, b)
    assert all(np.isfinite(a.loss_curve_))


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
