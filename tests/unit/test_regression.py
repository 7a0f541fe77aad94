"""Trainings on numbers: what they reach, whose units they speak, and what they refuse."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

import fastmlp
from fastmlp import ConfigError, Model, ModelError, Training
from fastmlp.files import sealed
from fastmlp.target_scale import TargetScale
from fastmlp.words.losses import Loss

pytestmark = pytest.mark.usefixtures("no_work_is_tiny")

BACKENDS = ("numba", "numpy")
SGD = {"optimizer": "sgd", "batch_size": 32}
QUICK = SGD | {"hidden": 16, "act": "tanh", "scale": 1, "epochs": 5, "lr": 0.05}
LOSSES = ("squared", "half_squared", "absolute", "huber:0.5")


def drawn(n=400, K=1, noise=0.1, curved=False, seed=0):
    """X (n, 4), and targets (n, K), or (n,) of one, far from 0 and wide."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    signal = X @ np.random.default_rng(9).normal(size=(4, K))
    if curved:
        signal = np.sin(2 * X[:, :1]) + X[:, 1:2] * X[:, 2:3] * np.arange(1, K + 1)
    signal /= signal.std(axis=0)
    y = 1e6 + 3e4 * (signal + noise * rng.normal(size=(n, K))) * np.arange(1, K + 1)
    return X, y[:, 0] if K == 1 else y


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_linear_relation_is_learnt_up_to_its_noise(backend):
    X, y = drawn(1000)
    test = drawn(500, seed=1)
    model, history = fastmlp.fit(
        X, y, loss="squared", hidden=(), scale=1, optimizer="sgd", lr=0.05, batch_size=100, epochs=20,
        test_data=test, backend=backend,
    )  # fmt: skip
    best = LinearRegression().fit(X, y)
    assert model.predict(test[0]) == pytest.approx(best.predict(test[0]), abs=0.01 * y.std())
    assert history.final.test_r2 == pytest.approx(best.score(*test), abs=1e-3)
    assert history.final.test_r2 > 0.98
    assert history.final.test_mae == pytest.approx(
        mean_absolute_error(test[1], best.predict(test[0])), rel=0.02
    )


def test_a_curved_relation_is_learnt_up_to_its_noise():
    X, y = drawn(4000, curved=True)
    test = drawn(1000, curved=True, seed=1)
    words = {"hidden": (64, 64), "optimizer": "adam", "lr": 0.003, "epochs": 30, "batch_size": 32}
    _, history = fastmlp.fit(X, y, loss="squared", scale=1, test_data=test, **words)
    attainable = 1 / (1 + 0.1**2)
    assert attainable - 0.02 < history.final.test_r2 < attainable + 0.005
    assert LinearRegression().fit(X, y).score(*test) < 0.3


@pytest.mark.parametrize("loss", [*LOSSES, "poisson"])
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_figures_are_those_of_the_predictions_in_own_units(loss, K, backend):
    X, y = drawn(200, K)
    test = drawn(60, K, seed=1)
    if loss == "poisson":
        y, test = y / 1e6, (test[0], test[1] / 1e6)
    model, history = fastmlp.fit(X, y, loss=loss, test_data=test, backend=backend, validation=0.2, **QUICK)
    found, p = model.evaluate(*test), model.predict(test[0])
    assert p.dtype == np.float64
    assert p.shape == test[1].shape
    assert found.r2 == pytest.approx(r2_score(test[1], p), rel=1e-4)
    assert found.mean_absolute_error == pytest.approx(mean_absolute_error(test[1], p), rel=1e-4)
    if K == 1:
        assert found.loss == pytest.approx(meant(loss, test[1], p), rel=1e-4)
    last = history.final
    assert (last.test_loss, last.test_r2, last.test_mae) == (found.loss, found.r2, found.mean_absolute_error)
    assert last.train_accuracy is last.test_accuracy is last.validation_accuracy is None
    assert last.validation_r2 is not None
    assert last.validation_mae == pytest.approx(last.test_mae, rel=0.5)
    assert set(last.to_json()) == {
        "epoch", "seconds", "samples_per_second", "train_loss", "live_share", "dead_units", "test_loss",
        "test_r2", "test_mae", "validation_loss", "validation_r2", "validation_mae",
    }  # fmt: skip


def meant(loss, y, p):
    """The loss of predictions of one number, by its formula, in y's units."""
    error = np.abs(p - y)
    if loss == "poisson":
        return (p - y * np.log(p)).mean()
    delta = Loss.of(loss).numbers[0] if loss.startswith("huber") else 0
    near = np.minimum(error, delta)
    of_error = {"squared": error**2, "half_squared": error**2 / 2, "absolute": error}
    return of_error.get(loss, near * (error - near / 2)).mean()


@pytest.mark.parametrize("loss", ["squared", "half_squared", "absolute"])
def test_losses_of_one_target_and_of_equal_spreads_are_in_own_units(loss):
    X, y = drawn(100)
    _, history = fastmlp.fit(X, y, loss=loss, **{**QUICK, "epochs": 1, "batch_size": 1000})
    before, _ = fastmlp.fit(X, y, loss=loss, **{**QUICK, "epochs": 1, "lr": 1e-30})
    assert history.final.train_loss == pytest.approx(before.evaluate(X, y).loss, rel=1e-4)
    both, _ = fastmlp.fit(X, np.stack([y, y + 7], axis=1), loss=loss, **QUICK)
    p = both.predict(X)
    found = both.evaluate(X, np.stack([y, y + 7], axis=1))
    each = [meant(loss, y + 7 * k, p[:, k]) for k in range(2)]
    assert found.loss == pytest.approx(sum(each) if loss == "half_squared" else sum(each) / 2, rel=1e-4)


def test_losses_of_spreads_that_differ_stay_in_those():
    X, y = drawn(200, 3)
    model, _ = fastmlp.fit(X, y, loss="squared", **QUICK)
    errors = (model.predict(X) - y) / y.std(axis=0)
    assert model.evaluate(X, y).loss == pytest.approx((errors**2).mean(), rel=1e-4)
    as_they_are, _ = fastmlp.fit(X, y / 1e6, loss="squared", scale_targets=False, **QUICK)
    assert as_they_are.target_scale is None
    p = as_they_are.predict(X)
    assert as_they_are.evaluate(X, y / 1e6).loss == pytest.approx(mean_squared_error(y / 1e6, p), rel=1e-4)


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber:0.7"])
@pytest.mark.parametrize("K", [1, 2])
def test_other_units_give_the_same_predictions(loss, K):
    X, y = drawn(200, K)
    y = y / y.std()
    told = Loss.of(loss)
    other = f"huber:{0.7 * 250}" if told.name == "huber" else loss
    one, _ = fastmlp.fit(X, y, loss=loss, **QUICK)
    two, _ = fastmlp.fit(X, 250 * y - 3e5, loss=other, **QUICK)
    np.testing.assert_allclose(two.predict(X), 250 * one.predict(X) - 3e5, atol=250 * 1e-4)
    wide, _ = fastmlp.fit(X, y * 2.0**20, loss="squared", **QUICK)
    plain, _ = fastmlp.fit(X, y, loss="squared", **QUICK)
    assert wide.parameters.sha256() == plain.parameters.sha256()  # a power of 2 rounds nothing


def test_delta_is_in_the_units_of_the_targets():
    X, y = drawn(200)
    y = 1e3 * y / y.std()
    far, _ = fastmlp.fit(X, y, loss="huber:1e9", **QUICK)
    half, _ = fastmlp.fit(X, y, loss="half_squared", **QUICK)
    np.testing.assert_allclose(far.predict(X), half.predict(X), rtol=1e-5)
    near, _ = fastmlp.fit(X, y, loss="huber:100", **QUICK)
    assert np.abs(near.predict(X) - far.predict(X)).max() > 1
    several = np.stack([y, 3 * y], axis=1)
    model, _ = fastmlp.fit(X, several, loss="huber:100", **QUICK)
    assert (
        model.target_scale.spread[0] == model.target_scale.spread[1] == pytest.approx(math.sqrt(5) * y.std())
    )
    p = np.abs(model.predict(X) - several)
    near = np.minimum(p, 100)
    assert model.evaluate(X, several).loss == pytest.approx((near * (p - near / 2)).mean(), rel=1e-4)


def test_the_scale_is_of_the_rows_that_are_trained_on_and_count():
    X, y = drawn(100)
    weights = np.ones(100)
    weights[:10], y[:10] = 0, 1e9
    model, _ = fastmlp.fit(X, y, loss="squared", sample_weight=weights, **QUICK)
    assert model.target_scale.mean == pytest.approx(y[10:].mean())
    assert model.target_scale.spread == pytest.approx(y[10:].std())
    twice = TargetScale.of(np.repeat(y[:, None], 2, axis=0), "squared")
    weighted = TargetScale.of(y[:, None], "squared", np.full(100, 2.0))
    assert weighted.spread == pytest.approx(twice.spread)
    held, _ = fastmlp.fit(X, np.arange(100.0), loss="squared", validation=0.5, **QUICK)
    rows, _ = fastmlp.train.loop.parted(100, 0.5, 0)
    assert held.target_scale.mean == pytest.approx(rows.mean())


def test_a_target_that_never_changes_is_given_back():
    X, y = drawn(60, 2)
    y[:, 0] = 0.1
    model, history = fastmlp.fit(X, y, loss="squared", test_data=(X, y), **{**QUICK, "epochs": 40})
    assert model.target_scale.mean[0] == 0.1
    assert model.target_scale.spread[0] == 1
    assert model.predict(X)[:, 0] == pytest.approx(0.1, abs=0.6)
    alone, history = fastmlp.fit(X, np.full(60, -7.0), loss="absolute", test_data=(X, y[:, 1]), **QUICK)
    assert alone.predict(X).shape == (60,)
    assert math.isfinite(history.final.test_r2)


def test_r2_of_one_row_is_none_and_of_the_same_targets_0_or_1():
    X, y = drawn(60)
    model, history = fastmlp.fit(X, y, loss="squared", test_data=(X[:1], y[:1]), **QUICK)
    assert history.final.test_r2 is None
    assert model.evaluate(X[:3], [5, 5, 5]).r2 == 0
    json.dumps(history.final.to_json(), allow_nan=False)


@pytest.mark.parametrize("loss", [*LOSSES, "poisson"])
def test_the_bytes_are_the_same_for_any_threads(loss):
    X, y = drawn(150, 2)
    y = y / 1e6
    models = [fastmlp.fit(X, y, loss=loss, threads=n, **QUICK)[0] for n in (1, 2, 3)]
    models.append(fastmlp.fit(X, y, loss=loss, threads=2, driver="prange", **QUICK)[0])
    assert len({model.parameters.sha256() for model in models}) == 1
    predictions = [models[0].predict(X, threads=n).tobytes() for n in (1, 2, 3)]
    assert len(set(predictions)) == 1
    one = np.concatenate([np.atleast_2d(models[0].predict(X[i : i + 1])) for i in range(5)])
    np.testing.assert_array_equal(one, models[0].predict(X)[:5])


def test_backends_agree():
    X, y = drawn(150, 2)
    for loss in (*LOSSES, "poisson"):
        models = [fastmlp.fit(X, y / 1e6, loss=loss, backend=backend, **QUICK)[0] for backend in BACKENDS]
        np.testing.assert_allclose(models[0].predict(X), models[1].predict(X), atol=1e-5)


@pytest.mark.parametrize(
    "words",
    [{"scale_targets": False}, {"loss": "absolute"}, {"loss": "huber:0.1"}, {"loss": "huber:0.2"}],
    ids=str,
)
def test_a_word_changes_the_training(words):
    X, y = drawn(100)
    y = (y - 1e6) / 1e5
    plain, _ = fastmlp.fit(X, y, **{"loss": "squared", **QUICK})
    other, _ = fastmlp.fit(X, y, **{"loss": "squared", **QUICK, **words})
    assert plain.parameters.sha256() != other.parameters.sha256()


def test_rows_count_as_much_as_they_weigh():
    X, y = drawn(100)
    wrong = y.copy()
    wrong[:50] += 1e6
    weights = np.repeat([0.0, 1.0], 50)
    model, _ = fastmlp.fit(X, wrong, loss="squared", sample_weight=weights, **{**QUICK, "epochs": 30})
    assert r2_score(y[50:], model.predict(X[50:])) > 0.8


def test_patience_restores_the_best_epoch_by_its_loss():
    X, y = drawn(200)
    model, history = fastmlp.fit(
        X, y, loss="squared", validation=0.3, patience=2, **{**QUICK, "epochs": 40, "lr": 0.3}
    )
    losses = [epoch.validation_loss for epoch in history.epochs]
    assert history.best_epoch == int(np.argmin(losses)) + 1
    assert len(losses) < 40 or history.best_epoch >= 38
    assert history.final.validation_loss == min(losses)
    assert model.epoch == history.best_epoch


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("loss", ["squared", "poisson"])
def test_a_training_on_numbers_resumes_to_the_same_bytes(tmp_path, backend, loss):
    X, y = drawn(120, 2)
    y = y / 1e6
    words = {**QUICK, "loss": loss, "backend": backend, "test_data": (X[:1], y[:1]), "validation": 0.2}
    whole, history = fastmlp.fit(X, y, **words)
    fastmlp.fit(X, y, checkpoint=tmp_path, callbacks=[], **{**words, "epochs": 2})
    rest, again = fastmlp.fit(X, y, checkpoint=tmp_path, **words)
    assert rest.parameters.sha256() == whole.parameters.sha256()
    times = {"seconds": 0.0, "samples_per_second": 0.0}
    told = [[dataclasses.replace(epoch, **times) for epoch in h.epochs] for h in (history, again)]
    assert told[0] == told[1]
    for other, message in (
        ({"loss": "absolute"}, f"loss 'absolute' instead of '{loss}'"),
        ({"loss": "squared", "scale_targets": False}, "scale_targets False instead of True"),
    ):
        with pytest.raises(ConfigError, match=message):
            fastmlp.fit(X, y, checkpoint=tmp_path, **words | other)
    with pytest.raises(fastmlp.DataError, match="other data"):
        fastmlp.fit(X, y + 1, checkpoint=tmp_path, **words)


def test_labels_as_numbers_are_other_data_than_labels(tmp_path):
    X, y = drawn(60)[0], np.arange(60) % 2
    fastmlp.fit(X, y, loss="squared", checkpoint=tmp_path, **QUICK)
    with pytest.raises(ConfigError, match="loss 'logits' instead of 'squared'"):
        fastmlp.fit(X, y, checkpoint=tmp_path, **QUICK)


def test_many_nets_are_those_of_fit():
    X, y = drawn(120)
    y = np.abs(y)
    trainings = [Training(loss=loss, seed=3, **QUICK) for loss in (*LOSSES, "poisson")]
    trainings[-1] = trainings[-1].but(lr=1e-8)
    for net in fastmlp.fit_many(X, y, trainings, test_data=(X, y)):
        alone, history = fastmlp.fit(X, y, net.training, test_data=(X, y))
        assert net.model.parameters.sha256() == alone.parameters.sha256()
        assert net.history.final.test_r2 == history.final.test_r2
        np.testing.assert_array_equal(net.model.predict(X), alone.predict(X))


def test_a_model_of_numbers_survives_its_file(tmp_path):
    X, y = drawn(80, 2)
    for loss, scaled in (("squared", True), ("poisson", False)):
        model, _ = fastmlp.fit(X, y / 1e6, loss=loss, **QUICK)
        model.save(tmp_path / "m")
        again = Model.load(tmp_path / "m")
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        assert again.evaluate(X, y / 1e6) == model.evaluate(X, y / 1e6)
        assert again.classes == ()
        assert (again.target_scale is not None) == scaled
        assert again.training == model.training
        with pytest.raises(
            ModelError, match=r"probabilities must be of a model of classes; got .* loss. Use predict"
        ):
            again.predict_proba(X)


def test_files_tell_of_their_task_only_where_it_is_new(tmp_path):
    X, y = drawn(40)
    known = {"format", "numerics", "architecture", "scale", "mean", "classes", "training"}
    for targets, words, number, more in (
        ((y > y.mean()).astype(int), {}, 1, set()),
        ((y > y.mean()).astype(int), {"loss": "binary"}, 2, set()),
        (y, {"loss": "squared"}, 2, {"target_scale"}),
        (y, {"loss": "poisson", "lr": 1e-9}, 2, set()),
    ):
        model, _ = fastmlp.fit(X, targets, **{**QUICK, **words})
        model.save(tmp_path / "m")
        description = json.loads(sealed.read(tmp_path / "m")[1]["fastmlp"])
        assert (description["format"], set(description)) == (number, known | more)


@pytest.mark.parametrize(
    "change",
    [
        {"target_scale": None},
        {"target_scale": {"mean": [0.0]}},
        {"target_scale": {"mean": [0.0], "spread": [-1.0]}},
        {"target_scale": {"mean": [0.0, 1.0], "spread": [1.0, 1.0]}},
        {"target_scale": {"mean": "a", "spread": [1.0]}},
        {"target_scale": {"mean": [1e999], "spread": [1.0]}},
        {"target_scale": [[0.0], [1.0]]},
        {"target_scale": {"mean": [10**400], "spread": [1.0]}},
        {"target_scale": {"mean": [[1], 2], "spread": [1.0]}},
        {"target_scale": {"mean": [None], "spread": [1.0]}},
        {"target_scale": {"mean": [0.0], "spread": [True]}, "classes": [1]},
        {"classes": [0]},
        {"classes": None},
        {"format": 3},
        {"format": "2"},
        {"other": 1},
    ],
    ids=str,
)
def test_a_file_whose_task_does_not_fit_together_is_refused(tmp_path, change):
    X, y = drawn(40)
    model, _ = fastmlp.fit(X, y, loss="squared", **{**QUICK, "epochs": 1})
    model.save(tmp_path / "m")
    state, metadata, _ = sealed.read(tmp_path / "m")
    description = json.loads(metadata["fastmlp"]) | change
    sealed.write(tmp_path / "m", dict(state), {"format": "pt", "fastmlp": json.dumps(description)})
    with pytest.raises(ModelError) as caught:
        Model.load(tmp_path / "m")
    assert "\n" not in str(caught.value)


def test_a_net_that_diverges_says_so():
    X, y = drawn(100)
    with pytest.raises(fastmlp.DivergedError, match=r"lr 1e\+10 and scale 1. Use a smaller lr"):
        fastmlp.fit(X, y, loss="squared", **{**QUICK, "lr": 1e10})
    with pytest.raises(fastmlp.DivergedError, match="Use a smaller lr, or scale_targets"):
        fastmlp.fit(X, y, loss="squared", scale_targets=False, **{**QUICK, "act": "relu"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"loss": "squared", "class_weight": "balanced"}, "class_weight must be left out with squared loss"),
        ({"loss": "poisson", "class_weight": (1, 2)}, "class_weight must be left out with poisson loss"),
        ({"loss": "squared", "label_smoothing": 0.1}, "label_smoothing must be 0 with squared loss"),
        ({"loss": "poisson", "scale_targets": False}, "scale_targets must be left out with poisson loss"),
        ({"loss": "logits", "scale_targets": False}, "scale_targets must be left out with logits loss"),
        ({"loss": "squared", "scale_targets": "yes"}, "scale_targets must be True or False"),
        ({"loss": "squared", "label_smoothing": 1}, "label_smoothing must be a number from 0 to below 1"),
    ],
    ids=str,
)
def test_words_without_a_use_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        Training(**words)


def test_rare_words_are_told_only_where_they_are_set():
    assert not {"scale_targets", "label_smoothing"} & set(Training(loss="squared").to_json())
    training = Training(loss="squared", scale_targets=False)
    assert Training.from_json(json.loads(json.dumps(training.to_json()))) == training
    assert "targets as they are" in training.in_words()
    assert "labels smoothed by 0.1" in Training(label_smoothing=0.1).in_words()


@pytest.mark.parametrize(
    ("mean", "spread"),
    [([0, 0], [1]), ([[0]], [[1]]), ([np.nan], [1]), ([0], [0]), ([0], [-1]), (["a"], [1])],
)
def test_scales_that_are_none(mean, spread):
    with pytest.raises(ModelError, match="the targets'"):
        TargetScale(mean, spread)


def test_a_models_parts_must_fit():
    X, y = drawn(40)
    model, _ = fastmlp.fit(X, y, loss="squared", **QUICK)
    for wrong, message in (
        ({"classes": (0,)}, "classes must be 0 different labels"),
        ({"target_scale": TargetScale([0, 0], [1, 1])}, "target_scale must be of 1 numbers; got 2"),
        ({"training": Training(loss="binary")}, "classes must be 2 different labels"),
        ({"target_scale": 3}, "target_scale must be"),
    ):
        with pytest.raises((ModelError, ConfigError), match=message):
            dataclasses.replace(model, **wrong)
    bare = Model(model.net, ())
    assert bare.loss.name == "squared"
    np.testing.assert_allclose(model.target_scale.restored(bare.predict(X)[:, None])[:, 0], model.predict(X))
    with pytest.raises(ConfigError, match="loss must be of the model's numbers; got 'logits'"):
        model.evaluate(X, y, loss="logits")
    with pytest.raises(fastmlp.DataError, match="y must have 1 columns for this model; got 2"):
        model.evaluate(X, np.stack([y, y], 1))
    assert model.evaluate(X, y, loss="absolute").loss == pytest.approx(
        model.evaluate(X, y).mean_absolute_error
    )
