"""Nets of one output, of several independent ones, and soft targets: what they reach, mean and refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import fastmlp
from fastmlp import ConfigError, DataError, Model, Training, reference
from fastmlp.net import initialise
from fastmlp.train.loop import weights_of
from fastmlp.words.layers import Architecture

pytestmark = pytest.mark.usefixtures("no_work_is_tiny")

BACKENDS = ("numba", "numpy")
SGD = {"optimizer": "sgd", "batch_size": 32}
QUICK = SGD | {"hidden": 12, "act": "tanh", "scale": 1, "epochs": 6, "lr": 0.3}


def drawn(n=400, K=1, seed=0):
    """X (n, 4), and labels (n,) 3 or 8, or flags (n, K), each of its own direction."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    z = 3 * X @ np.random.default_rng(7).normal(size=(4, K))
    flags = (rng.uniform(size=(n, K)) < 1 / (1 + np.exp(-z))).astype(int)
    return X, np.array([3, 8])[flags[:, 0]] if K == 1 else flags


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_output_tells_two_classes_apart(backend):
    X, y = drawn(2000)
    test = drawn(500, seed=1)
    model, history = fastmlp.fit(
        X, y, loss="binary", hidden=(), scale=1, optimizer="sgd", lr=0.3, batch_size=100, epochs=15,
        test_data=test, backend=backend,
    )  # fmt: skip
    assert (model.architecture.outputs, model.classes) == (1, (3, 8))
    p = model.predict_proba(test[0])
    assert p.shape == (500, 2)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    best = LogisticRegression(C=1e6).fit(X, y)
    np.testing.assert_allclose(p, best.predict_proba(test[0]), atol=0.05)
    assert (model.predict(test[0]) == np.array([3, 8])[p.argmax(axis=1)]).all()
    found = model.evaluate(*test)
    assert found.accuracy == (model.predict(test[0]) == test[1]).mean() == history.final.test_accuracy
    assert found.loss == pytest.approx(log_loss(test[1], p), rel=1e-4)
    assert found.loss == history.final.test_loss
    assert history.final.live_share == 1
    assert history.final.train_accuracy == pytest.approx(best.score(X, y), abs=0.02)


@pytest.mark.parametrize("backend", BACKENDS)
def test_several_answers_are_independent(backend):
    X, y = drawn(600, K=3)
    model, history = fastmlp.fit(X, y, loss="binary", test_data=(X, y), backend=backend, **QUICK)
    p, said = model.predict_proba(X), model.predict(X)
    assert (p.shape, said.shape, said.dtype) == ((600, 3), (600, 3), np.int64)
    assert (said == (p > 0.5)).all()
    assert np.abs(p.sum(axis=1) - 1).max() > 0.5
    assert model.classes == (0, 1, 2)
    found = model.evaluate(X, y)
    assert found.accuracy == pytest.approx((said == y).mean())
    assert found.accuracy == history.final.test_accuracy > 0.8
    assert found.loss == pytest.approx(np.mean([log_loss(y[:, k], p[:, k]) for k in range(3)]), rel=1e-4)


def test_a_column_alone_and_two_labels_are_one():
    X, y = drawn(100)
    one, _ = fastmlp.fit(X, y, loss="binary", **QUICK)
    for again in ((y == 8)[:, None], (y == 8).astype(float), y == 8):
        other, _ = fastmlp.fit(X, again, loss="binary", **QUICK)
        assert other.parameters.sha256() == one.parameters.sha256()
        assert other.classes == (0, 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_output_is_the_difference_of_two(backend):
    """A softmax of (0, z) is the sigmoid of z: the same loss and the same gradient."""
    X, y = drawn(50)
    one = initialise(Architecture(4, (), 1), seed=2)
    W, b = one.weights[0], one.biases[0]
    zeros = np.zeros_like(W)
    two = fastmlp.Parameters((np.hstack([zeros, W]),), (np.array([0, b[0]], np.float32),))
    words = {"hidden": (), "scale": 1, "lr": 0.1, "epochs": 1, "batch_size": 50, "backend": backend}
    binary, history = fastmlp.fit(X, y, loss="binary", initial=one, **words)
    softmax, same = fastmlp.fit(X, y, loss="logits", initial=two, **words)
    assert history.final.train_loss == pytest.approx(same.final.train_loss, rel=1e-6)
    step = binary.parameters.weights[0] - W
    np.testing.assert_allclose(softmax.parameters.weights[0][:, 1:] - W, step, atol=1e-6)


def test_shares_of_classes_are_learnt():
    """Where the inputs say nothing, the probabilities become the mean shares."""
    X = np.ones((60, 2), np.float32)
    y = np.tile([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]], (30, 1))
    model, history = fastmlp.fit(
        X, y, hidden=(), scale=1, optimizer="sgd", lr=0.5, epochs=60, test_data=(X, y), label_smoothing=0.0
    )
    np.testing.assert_allclose(model.predict_proba(X[:1])[0], [0.4, 0.2, 0.4], atol=0.01)
    entropy = -(np.array([0.4, 0.2, 0.4]) * np.log([0.4, 0.2, 0.4])).sum()
    assert history.final.test_loss == pytest.approx(entropy, rel=1e-3)
    assert model.classes == (0, 1, 2)
    assert model.predict(X[:1])[0] in (0, 2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_hot_rows_are_labels(backend):
    X, y = drawn(100)
    indices = (y == 8).astype(int)
    labels, _ = fastmlp.fit(X, indices, backend=backend, **QUICK)
    shares, _ = fastmlp.fit(X, np.eye(2)[indices], backend=backend, **QUICK)
    for a, b in zip(labels.parameters, shares.parameters, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("loss", ["binary", "logits"])
def test_smoothed_labels_are_shares(loss):
    X, y = drawn(100)
    smoothed, _ = fastmlp.fit(X, y, loss=loss, label_smoothing=0.2, **QUICK)
    plain, _ = fastmlp.fit(X, y, loss=loss, **QUICK)
    assert smoothed.parameters.sha256() != plain.parameters.sha256()
    found = smoothed.evaluate(X, y)
    p = np.sort(smoothed.predict_proba(X).astype(np.float64), axis=1)
    own = np.take_along_axis(smoothed.predict_proba(X).astype(np.float64), (y == 8)[:, None].astype(int), 1)[
        :, 0
    ]
    assert found.loss == pytest.approx(-(0.9 * np.log(own) + 0.1 * np.log(1 - own)).mean(), rel=1e-4)
    assert smoothed.evaluate(X, y, loss=loss).loss == pytest.approx(-np.log(own).mean(), rel=1e-4)
    assert p.max() < plain.predict_proba(X).max()


@pytest.mark.parametrize("backend", BACKENDS)
def test_class_weights_of_two_classes_are_sample_weights(backend):
    X, y = drawn(100)
    by_class, _ = fastmlp.fit(X, y, loss="binary", class_weight=(1, 4), backend=backend, **QUICK)
    weights = np.where(y == 8, 4.0, 1.0)
    by_row, _ = fastmlp.fit(X, y, loss="binary", sample_weight=weights, backend=backend, **QUICK)
    assert by_class.parameters.sha256() == by_row.parameters.sha256()
    plain, _ = fastmlp.fit(X, y, loss="binary", backend=backend, **QUICK)
    assert by_class.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean() + 0.05
    counts = np.bincount((y == 8).astype(int))
    balanced = weights_of((y == 8).astype(int), 1, "balanced", None, "binary")
    assert balanced == pytest.approx((50 / counts)[(y == 8).astype(int)])


def test_class_weights_that_have_no_class_are_refused():
    X, y = drawn(100)
    for targets, weight, message in (
        (y, (1, 2, 3), "a number for each of 2 classes"),
        (drawn(100, K=3)[1], "balanced", "class_weight must be None for rows of 3 labels"),
    ):
        with pytest.raises(ConfigError, match=message):
            fastmlp.fit(X, targets, loss="binary", class_weight=weight, **QUICK)


@pytest.mark.parametrize("K", [1, 3])
def test_the_bytes_are_the_same_for_any_threads(K):
    X, y = drawn(150, K)
    models = [fastmlp.fit(X, y, loss="binary", threads=n, **QUICK)[0] for n in (1, 2, 3)]
    models.append(fastmlp.fit(X, y, loss="binary", threads=2, driver="prange", **QUICK)[0])
    assert len({model.parameters.sha256() for model in models}) == 1
    assert len({models[0].predict_proba(X, threads=n).tobytes() for n in (1, 2, 3)}) == 1
    each = np.concatenate([models[0].predict_proba(X[i : i + 1]) for i in range(5)])
    np.testing.assert_array_equal(each, models[0].predict_proba(X[:5]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("K", [1, 3])
def test_a_training_resumes_to_the_same_bytes(tmp_path, backend, K):
    X, y = drawn(100, K)
    words = {**QUICK, "loss": "binary", "backend": backend, "test_data": (X, y), "validation": 0.2}
    whole, history = fastmlp.fit(X, y, **words)
    fastmlp.fit(X, y, checkpoint=tmp_path, **{**words, "epochs": 2})
    rest, again = fastmlp.fit(X, y, checkpoint=tmp_path, **words)
    assert rest.parameters.sha256() == whole.parameters.sha256()
    assert [e.test_accuracy for e in again.epochs] == [e.test_accuracy for e in history.epochs]
    with pytest.raises(ConfigError, match=r"label_smoothing 0\.1 instead of 0.0"):
        fastmlp.fit(X, y, checkpoint=tmp_path, label_smoothing=0.1, **words)


def test_flags_are_other_data_than_numbers(tmp_path):
    flags = fastmlp.data.Dataset.of(*drawn(40, 3), loss="binary")
    numbers = fastmlp.data.Dataset.of(*drawn(40, 3), loss="squared")
    shares = fastmlp.data.Dataset.of(drawn(40)[0], np.eye(3)[np.arange(40) % 3])
    assert len({flags.sums["data"], numbers.sums["data"], shares.sums["data"]}) == 3


@pytest.mark.parametrize("targets", ["two", "flags", "shares"])
def test_a_model_survives_its_file(tmp_path, targets):
    X, y = drawn(80) if targets == "two" else drawn(80, 3)
    loss = "logits" if targets == "shares" else "binary"
    if targets == "shares":
        y = np.full((80, 3), 1 / 3)
    model, _ = fastmlp.fit(X, y, loss=loss, **QUICK)
    model.save(tmp_path / "m")
    again = Model.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.evaluate(X, y) == model.evaluate(X, y)
    assert (again.classes, again.training) == (model.classes, model.training)


def test_many_nets_are_those_of_fit():
    X, y = drawn(120)
    trainings = [Training(loss=loss, **QUICK) for loss in ("binary", "binary:0.01,0.99", "logits", "squared")]
    for net in fastmlp.fit_many(X, y, trainings):
        alone, _ = fastmlp.fit(X, y, net.training)
        assert net.model.parameters.sha256() == alone.parameters.sha256()
        assert net.model.classes == (() if net.training.loss == "squared" else (3, 8))
    with pytest.raises(DataError, match="must be labels"):
        fastmlp.fit_many(X, y, trainings[::-1])


def test_a_clip_cuts_gradients_and_the_live_share_says_so():
    X, y = drawn(100)
    _, history = fastmlp.fit(X, y, loss="binary:0.3,0.7", **QUICK)
    assert 0 < history.final.live_share < 1


def test_a_model_without_a_training_knows_its_kind_by_its_shape():
    X, y = drawn(50)
    model, _ = fastmlp.fit(X, y, loss="binary", **QUICK)
    bare = Model(model.net, (3, 8))
    np.testing.assert_array_equal(bare.predict_proba(X), model.predict_proba(X))
    assert bare.loss.name == "binary"


def test_other_losses_of_the_same_task_may_be_asked_for():
    X, y = drawn(50)
    model, _ = fastmlp.fit(X, y, loss="binary", **QUICK)
    assert model.evaluate(X, y, loss="binary:0.4,0.6").loss != model.evaluate(X, y).loss
    with pytest.raises(ConfigError, match="loss must be of the model's binary; got 'squared'"):
        model.evaluate(X, y, loss="squared")
    with pytest.raises(DataError, match="the labels of training alone, 3, 8; got 5 in row 0"):
        model.evaluate(X, np.full(50, 5))


def test_the_kernels_take_the_steps_of_the_reference():
    X, y = drawn(60, 2)
    first = initialise(Architecture(4, (5,), 2), seed=1)
    words = {"hidden": 5, "scale": 1, "lr": 0.1, "epochs": 3, "batch_size": 7, "initial": first}
    models = [fastmlp.fit(X, y, loss="binary", backend=backend, **words)[0] for backend in BACKENDS]
    for a, b in zip(models[0].parameters, models[1].parameters, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    loss = reference.evaluate(models[1].net, X, y, loss="binary").loss
    assert math.isclose(loss, models[0].evaluate(X, y).loss, rel_tol=1e-5)


@pytest.mark.parametrize(
    "words", [{"loss": "binary"}, {"loss": "squared"}, {"label_smoothing": 0.1}], ids=str
)
def test_what_a_diagnosis_cannot_look_at_is_refused(words):
    X, y = drawn(40)
    with pytest.raises(ConfigError, match=r"loss must be logits, keras2|of a constant rate"):
        fastmlp.diagnose(X, y, hidden=4, **words)
    with pytest.raises(DataError, match="a diagnosis must be of labels"):
        fastmlp.diagnose(X, np.eye(2)[(y == 8).astype(int)], hidden=4)
