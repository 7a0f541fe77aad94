"""A model's scores: beside scikit-learn's metrics, beside guessing, and where guessing is as good."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics

import fastmlp
from fastmlp.errors import ConfigError
from fastmlp.net import Net, Preprocessing
from fastmlp.spec import Training
from fastmlp.target_scale import TargetScale
from fastmlp.train import scores
from fastmlp.train.scores import Guess, Scores


def drawn(seed, loss, K, classes=(), scale=None, gain=8.0):
    """A model of random weights, sure of itself, and 60 rows."""
    rng = np.random.default_rng(seed)
    training = Training.of(hidden="5", loss=loss, scale=1)
    architecture = training.architecture(4, 1 if loss == "binary" and K == 2 else K)
    weights = fastmlp.initialise(architecture, seed=seed)
    for array in weights:
        array *= gain
    net = Net(architecture, weights, Preprocessing(1.0, None))
    return fastmlp.Model(net, classes, training, "numpy", target_scale=scale), rng.normal(size=(60, 4)), rng


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("loss", ["logits", "binary", "clip:1e-5,0.9"])
def test_classes_have_the_figures_of_scikit_learn(seed, loss):
    K = 2 if loss == "binary" else 2 + seed
    classes = tuple(range(3, 3 + K))
    model, X, rng = drawn(seed, loss, K, classes)
    y = rng.choice(classes, size=60, p=rng.dirichlet(np.ones(K)))
    y[:K] = classes
    found, taken, p = Scores.of(model, X, y), model.predict(X), model.predict_proba(X)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(y, taken))
    p64 = np.clip(p.astype(np.float64), scores._LEAST, 1)
    exact = metrics.log_loss(y, p64 / p64.sum(axis=1, keepdims=True), labels=classes)
    assert found.log_loss == pytest.approx(exact, rel=1e-5)
    assert np.array_equal(found.confusion, metrics.confusion_matrix(y, taken, labels=classes))
    assert found.recall == pytest.approx(
        metrics.recall_score(y, taken, labels=classes, average=None, zero_division=0)
    )
    assert found.counts == tuple(np.bincount(y)[3:])
    assert found.guess.accuracy == max(found.counts) / 60
    shares = np.tile(np.array(found.counts) / 60, (60, 1))
    assert found.guess.log_loss == pytest.approx(metrics.log_loss(y, shares, labels=classes))
    assert found.loss == model.evaluate(X, y).loss
    assert (found.task, found.rows, found.r2) == ("classes", 60, None)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("K", [1, 3])
def test_numbers_have_the_figures_of_scikit_learn_in_their_own_units(seed, K):
    units = TargetScale(np.full(K, 250_000.0), np.geomspace(1e3, 1e5, K))
    model, X, rng = drawn(seed, "squared", K, scale=units, gain=1.0)
    y = 250_000 + 40_000 * rng.normal(size=(60, K))
    found, said = Scores.of(model, X, y if K > 1 else y[:, 0]), model.predict(X).reshape(60, K)
    assert found.r2 == pytest.approx(metrics.r2_score(y, said), rel=1e-5)
    assert found.mean_absolute_error == pytest.approx(metrics.mean_absolute_error(y, said))
    assert found.root_mean_squared_error == pytest.approx(metrics.mean_squared_error(y, said) ** 0.5)
    means, medians = np.tile(y.mean(axis=0), (60, 1)), np.tile(np.median(y, axis=0), (60, 1))
    assert found.guess.root_mean_squared_error == pytest.approx(metrics.mean_squared_error(y, means) ** 0.5)
    assert found.guess.mean_absolute_error == pytest.approx(metrics.mean_absolute_error(y, medians))
    assert (found.task, found.accuracy, found.classes, found.confusion) == ("numbers", None, (), None)
    assert found.no_better_than_guessing  # random weights


@pytest.mark.parametrize("seed", range(4))
def test_flags_have_the_figures_of_scikit_learn(seed):
    model, X, rng = drawn(seed, "binary", 3, (0, 1, 2))
    y = (rng.random((60, 3)) < [0.1, 0.5, 0.8]).astype(int)
    found, taken, p = Scores.of(model, X, y), model.predict(X), model.predict_proba(X).astype(np.float64)
    p = np.clip(p, scores._LEAST, 1 - scores._LEAST)
    each = [metrics.log_loss(y[:, k], p[:, k], labels=[0, 1]) for k in range(3)]
    assert found.log_loss == pytest.approx(np.mean(each))
    assert found.accuracy == pytest.approx((taken == y).mean())
    assert found.recall == pytest.approx(metrics.recall_score(y, taken, average=None))
    assert found.counts == tuple(y.sum(axis=0))
    assert found.guess.accuracy == pytest.approx(np.maximum(y.mean(axis=0), 1 - y.mean(axis=0)).mean())
    assert (found.task, found.confusion) == ("flags", None)


def test_shares_of_classes_count_by_the_largest():
    model, X, rng = drawn(1, "logits", 3, (0, 1, 2), gain=1.0)
    y = rng.dirichlet(np.ones(3), size=60)
    found = Scores.of(model, X, y)
    assert found.loss == pytest.approx(found.log_loss, rel=1e-5)
    assert found.counts == tuple(np.bincount(y.argmax(axis=1)))
    assert found.accuracy == pytest.approx((model.predict(X) == y.argmax(axis=1)).mean())


@pytest.mark.parametrize("loss", ["logits", "squared"])
@pytest.mark.parametrize("learnt", [True, False])
@pytest.mark.parametrize("rows", [4, 12, 60, 500])
def test_no_better_than_guessing(loss, learnt, rows):
    rng = np.random.default_rng(rows)
    X = rng.normal(size=(500 + rows, 3))
    y = X @ [2.0, -1, 0.5] if learnt else rng.normal(size=500 + rows)
    y = y if loss == "squared" else (y > 0).astype(int)
    model, _ = fastmlp.fit(X[:500], y[:500], loss=loss, scale=1, lr=0.1, epochs=8, backend="numpy")
    assert Scores.of(model, X[500:], y[500:]).no_better_than_guessing is (not learnt or rows == 4)


def test_rare_classes_that_are_recognised_are_better_than_guessing():
    """Classes that count alike cost accuracy: it falls below the commonest class's share."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 3))
    y = (X[:, 0] + 0.8 * rng.normal(size=1500) > 2).astype(int)
    words = {"scale": 1, "lr": 0.1, "epochs": 8, "backend": "numpy"}
    even = fastmlp.fit(X[:1000], y[:1000], class_weight="balanced", **words)[0]
    found = Scores.of(even, X[1000:], y[1000:])
    assert found.accuracy < found.guess.accuracy
    assert min(found.recall) > 0.6
    assert not found.no_better_than_guessing


def test_the_commonest_class_alone_is_no_better_than_guessing():
    model, X, _ = drawn(0, "logits", 3, (0, 1, 2), gain=0.0)
    model.parameters.biases[-1][:] = [1, 0, -1]
    y = np.r_[np.zeros(40, int), np.ones(15, int), np.full(5, 2)]
    found = Scores.of(model, X, y)
    assert found.accuracy == found.guess.accuracy == 40 / 60
    assert found.recall == (1.0, 0.0, 0.0)
    assert found.no_better_than_guessing


def is_better(gains):
    scored = Scores("classes", len(gains), 0.0, Guess(), scores._gain(gains))
    return not scored.no_better_than_guessing


def test_guesses_are_rarely_called_better():
    rng = np.random.default_rng(0)
    for n in (5, 20, 200):
        better = [is_better(rng.integers(-1, 2, n).astype(float)) for _ in range(2000)]
        assert np.mean(better) < 0.035
    assert is_better(np.ones(5))
    assert not is_better(np.ones(4))
    assert not is_better(np.zeros(50))


@pytest.mark.parametrize("y", [[3], [3, 3, 3], [4, 3]])
def test_few_rows_and_one_class_have_scores_too(y):
    model, X, _ = drawn(0, "logits", 2, (3, 4))
    found = Scores.of(model, X[: len(y)], y)
    assert found.no_better_than_guessing
    assert [r is None for r in found.recall] == [y.count(k) == 0 for k in (3, 4)]
    json.dumps(found.to_json(), allow_nan=False)
    numbers, X, _ = drawn(0, "squared", 1, scale=TargetScale(np.zeros(1), np.ones(1)))
    found = Scores.of(numbers, X[: len(y)], y)
    assert found.no_better_than_guessing or len(set(y)) > 1
    assert (found.r2 is None) is (len(y) == 1)
    json.dumps(found.to_json(), allow_nan=False)


def test_a_probability_of_nothing_is_finite():
    model, X, _ = drawn(0, "logits", 2, (0, 1), gain=1e4)
    found = Scores.of(model, X, 1 - model.predict(X))
    assert 15 < found.log_loss < 16


def test_plain_data_has_the_figures_of_the_task():
    model, X, rng = drawn(0, "logits", 2, (0, 1))
    told = Scores.of(model, X, rng.integers(0, 2, 60)).to_json()
    assert set(told) == {
        "task", "rows", "loss", "guess", "gains", "no_better_than_guessing", "accuracy", "log_loss",
        "classes", "counts", "recall", "confusion",
    }  # fmt: skip
    assert set(told["guess"]) == {"accuracy", "log_loss"}
    numbers, X, _ = drawn(0, "squared", 1)
    told = Scores.of(numbers, X, rng.normal(size=60)).to_json()
    assert set(told["guess"]) == {"mean_absolute_error", "root_mean_squared_error"}
    assert {"r2", "root_mean_squared_error"} < set(told)


@pytest.mark.parametrize(("loss", "classes"), [("logits", (3, 4)), ("binary", (3, 4)), ("squared", ())])
def test_plain_data_and_back(loss, classes):
    model, X, rng = drawn(2, loss, 2 if classes else 1, classes)
    found = Scores.of(model, X, rng.choice((3, 4), 60))
    assert Scores.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("data", [None, [], {}, {"rows": 3}, {"guess": {}}, {"guess": {"luck": 1}}])
def test_other_data_are_no_scores(data):
    with pytest.raises(ConfigError, match="scores must be an object"):
        Scores.from_json(data)


def test_scores_are_shown_as_a_small_table():
    model, X, rng = drawn(0, "logits", 3, (0, 1, 2))
    found = Scores.of(model, X, rng.integers(0, 3, 60))
    assert repr(found) == "<Scores on 60 rows>"
    lines = str(found).splitlines()
    assert len(lines) == 1 + 4 + 1 + 4 + found.no_better_than_guessing
    assert "accuracy by guessing" in found._repr_html_()
    many, X, rng = drawn(0, "logits", 40, tuple(range(40)))
    assert len(str(Scores.of(many, X, np.arange(60) % 40)).splitlines()) < 20
    numbers, X, _ = drawn(0, "squared", 1)
    assert "by guessing the mean" in str(Scores.of(numbers, X, rng.normal(size=60)))
