"""Cross-validation: what is trained on what, means and spreads, and all folds together."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

import fastmlp
from fastmlp.data import Dataset
from fastmlp.data.split import fold_rows
from fastmlp.errors import ConfigError, DataError, DivergedError
from fastmlp.spec import Training
from fastmlp.train import folds
from fastmlp.train.folds import CrossValidation, cross_validate
from fastmlp.train.scores import Scores

WORDS = {"hidden": "4", "lr": 0.1, "epochs": 8, "batch_size": 5, "scale": "standard"}


def drawn(seed, task):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(90 + seed, 4)) * [1, 100, 1, 1]
    y = X[:, 0] + 0.5 * rng.normal(size=len(X))
    y = np.array(["a", "b", "c"])[np.digitize(y, [-0.5, 1])] if task == "classes" else 1000 + 50 * y
    return Dataset.of(X, y)


def training(task, **more):
    return Training.of(**WORDS, loss="logits" if task == "classes" else "squared", **more)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_each_fold_is_scored_by_a_net_of_the_others(seed, task):
    data, asked = drawn(seed, task), training(task, seed=seed)
    found = cross_validate(data, asked, 3 + seed, backend="numpy")
    assert len(found.folds) == 3 + seed
    truth, taken, p = [], [], []
    for fold, (rows, tested) in zip(found.folds, fold_rows(data, 3 + seed, seed), strict=True):
        y = data.as_given(data.y)
        model, _ = fastmlp.fit(data.X[rows], y[rows], asked, backend="numpy")
        assert Scores.of(model, data.X[tested], y[tested]) == fold
        np.testing.assert_array_equal(
            model.preprocessing.mean, data.X[rows].mean(axis=0, dtype=float).astype("f4")
        )
        truth += y[tested].ravel().tolist()
        taken += model.predict(data.X[tested]).tolist()
        p += model.predict_proba(data.X[tested]).tolist() if task == "classes" else []
    together = found.together
    assert together.rows == len(data.y) == len(truth)
    if task == "classes":
        assert together.accuracy == pytest.approx(metrics.accuracy_score(truth, taken))
        assert np.array_equal(together.confusion, metrics.confusion_matrix(truth, taken))
        assert together.recall == pytest.approx(metrics.recall_score(truth, taken, average=None))
        p = np.array(p) / np.sum(p, axis=1, keepdims=True)
        assert together.log_loss == pytest.approx(metrics.log_loss(truth, p), rel=1e-5)
        assert together.counts == tuple(np.unique(truth, return_counts=True)[1])
    else:
        assert together.mean_absolute_error == pytest.approx(metrics.mean_absolute_error(truth, taken))
        rmse = metrics.root_mean_squared_error(truth, taken)
        assert together.root_mean_squared_error == pytest.approx(rmse)
    assert not together.no_better_than_guessing
    for name in ("accuracy", "r2", "root_mean_squared_error", "loss"):
        values = [getattr(fold, name) for fold in found.folds]
        if None in values:
            assert (found.mean(name), found.spread(name)) == (None, None)
        else:
            assert found.mean(name) == pytest.approx(np.mean(values))
            assert found.spread(name) == pytest.approx(np.std(values, ddof=1))


def test_classes_have_their_share_of_each_fold():
    found = cross_validate(drawn(0, "classes"), training("classes"), 4, backend="numpy")
    counts = np.array([fold.counts for fold in found.folds])
    assert (np.ptp(counts, axis=0) <= 1).all()


def test_rows_that_say_nothing_are_no_better_than_guessing_together():
    rng = np.random.default_rng(1)
    data = Dataset.of(rng.normal(size=(60, 3)), rng.integers(0, 2, 60))
    found = cross_validate(data, training("classes"), 20, backend="numpy")
    assert found.together.no_better_than_guessing
    one = cross_validate(drawn(0, "classes"), training("classes"), 30, backend="numpy")  # of three rows each
    assert all(fold.no_better_than_guessing for fold in one.folds)
    assert not one.together.no_better_than_guessing


def test_one_row_a_fold():
    data = drawn(0, "numbers").part(np.arange(8), np.arange(0))
    found = cross_validate(data, training("numbers"), 8, backend="numpy")
    assert (found.mean("r2"), found.together.r2) == (None, None)
    assert found.together.rows == 8
    told = found.to_json()
    assert "test_r2" not in told
    assert told["test_mae"] == pytest.approx(found.together.mean_absolute_error)


def test_what_is_known_is_not_trained_again(monkeypatch):
    data, asked, seen = drawn(1, "classes"), training("classes"), []
    whole = cross_validate(
        data, asked, 4, backend="numpy", on_fold=lambda k, scores: seen.append((k, scores))
    )
    assert seen == list(enumerate(whole.folds, start=1))
    trained = []
    fit = folds.fit
    monkeypatch.setattr(folds, "fit", lambda *args, **words: trained.append(args) or fit(*args, **words))
    again = cross_validate(data, asked, 4, backend="numpy", done=whole.folds[:3])
    assert again == whole
    assert len(trained) == 1


def test_weights_go_with_their_rows():
    data, asked = drawn(2, "classes"), training("classes")
    weights = np.random.default_rng(0).random(len(data.y))
    found = cross_validate(data, asked, 2, backend="numpy", sample_weight=weights)
    rows, tested = next(fold_rows(data, 2, asked.seed))
    y = data.as_given(data.y)
    model, _ = fastmlp.fit(data.X[rows], y[rows], asked, backend="numpy", sample_weight=weights[rows])
    assert found.folds[0] == Scores.of(model, data.X[tested], y[tested])
    with pytest.raises(DataError):
        cross_validate(data, asked, 2, backend="numpy", sample_weight=weights[1:])


@pytest.mark.parametrize(("n", "error"), [(1, ConfigError), ("5", ConfigError), (1000, DataError)])
def test_folds_that_cannot_be(n, error):
    with pytest.raises(error, match="folds"):
        cross_validate(drawn(0, "classes"), training("classes"), n, backend="numpy")


def test_a_training_that_diverges_is_said():
    with pytest.raises(DivergedError):
        cross_validate(drawn(0, "classes"), training("classes").but(lr=1e30), 2, backend="numpy")


def test_no_folds_have_no_figures():
    assert CrossValidation(()).to_json() == {"folds": []}


def test_flags_together():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    data = Dataset.of(X, (X[:, :2] > 0).astype(int), loss="binary")
    found = cross_validate(data, Training.of(**WORDS, loss="binary"), 3, backend="numpy")
    assert found.together.task == "flags"
    assert found.together.counts == tuple((X[:, :2] > 0).sum(axis=0))
    assert found.together.accuracy == pytest.approx(found.mean("accuracy"))


def test_folds_are_shown_as_a_small_table():
    found = cross_validate(drawn(0, "classes"), training("classes"), 3, backend="numpy")
    assert repr(found) == "<Cross-validation of 3 folds>"
    lines = str(found).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["fold", "1", "2", "3", "mean", "spread"]
    assert f"{found.mean('accuracy'):.4f}" in lines[-2]
