"""One program, run by fastmlp.keras and by Keras on PyTorch: the same numbers (the extra ``parity``)."""

from __future__ import annotations

import os

import numpy as np
import pytest
from compare import check
from nets import learnable

import fastmlp.keras as ours

os.environ["KERAS_BACKEND"] = "torch"
pytest.importorskip("torch")
keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own

N, D, K = 230, 30, 5  # 230 = 9 * 25 + 5: the last batch is short
BACKENDS = pytest.mark.parametrize("backend", ["numba", "numpy"])
OPTIMIZERS = {
    "sgd": lambda k: k.optimizers.SGD(0.2),
    "by name": lambda k: "sgd",
    "momentum": lambda k: k.optimizers.SGD(learning_rate=0.05, momentum=0.9),
    "nesterov": lambda k: k.optimizers.SGD(learning_rate=0.05, momentum=0.8, nesterov=True),
    "adam": lambda k: k.optimizers.Adam(learning_rate=0.01),
    "adam by name": lambda k: "adam",
    "adam, large epsilon": lambda k: k.optimizers.Adam(0.01, beta_1=0.8, beta_2=0.99, epsilon=0.01),
}
LOSSES = ("categorical_crossentropy", "sparse_categorical_crossentropy", "logits", "sparse logits")


@pytest.fixture(scope="module")
def data():
    X, y = learnable(3, N + 70, D, K)
    return (X[:N] / 255).astype(np.float32), y[:N], (X[N:] / 255).astype(np.float32), y[N:]


def model_of(k, *, act="relu", hidden=(12,), optimizer="sgd", loss="categorical_crossentropy"):
    """In the words that both share. The weights are drawn here."""
    model = k.Sequential([k.Input(shape=(D,))])
    for width in hidden:
        model.add(k.layers.Dense(width, activation=act))
    model.add(k.layers.Dense(K))
    if "logits" in loss:
        kind = (
            k.losses.SparseCategoricalCrossentropy if "sparse" in loss else k.losses.CategoricalCrossentropy
        )
        loss = kind(from_logits=True)
    else:
        model.add(k.layers.Activation("softmax"))
    model.compile(
        optimizer=OPTIMIZERS.get(optimizer, lambda k: optimizer)(k), loss=loss, metrics=["accuracy"]
    )
    rng = np.random.default_rng(7)
    model.set_weights([rng.normal(0, 0.4, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def targets(k, y, loss):
    return y if "sparse" in loss else k.utils.to_categorical(y, K)


def same_training(data, backend, *, fit=None, callbacks=None, twice=False, **options):
    """Both train, without shuffling; histories, weights, predictions and evaluations are compared."""
    X, y, X_test, y_test = data
    loss, ended = options.get("loss", ""), []
    for k in (ours, keras):
        model = model_of(k, **options)
        model.backend = backend if k is ours else None
        held = (X_test, targets(k, y_test, loss))
        words = {"batch_size": 25, "epochs": 4, "verbose": 0, "shuffle": False, "validation_data": held}
        words |= (fit or {}) | {"callbacks": callbacks(k) if callbacks else None}
        for _ in range(1 + twice):
            history = model.fit(X, targets(k, y, loss), **words)
        scores = model.evaluate(*held, verbose=0)
        predicted = model.predict(X_test, verbose=0)
        ended.append((history, scores, predicted, model.get_weights()))
    (a, scores_a, p_a, weights_a), (b, scores_b, p_b, weights_b) = ended
    assert list(a.history) == list(b.history)
    assert a.epoch == b.epoch
    for name, values in b.history.items():
        check("keras history", a.history[name], values, name)
    check("keras history", scores_a, scores_b)
    check("keras outputs", p_a, p_b)
    assert p_a.dtype == p_b.dtype
    for mine, theirs in zip(weights_a, weights_b, strict=True):
        check("keras weights", mine, theirs)
    return a


@BACKENDS
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_same_steps_for_every_optimizer(data, backend, optimizer):
    history = same_training(data, backend, optimizer=optimizer, twice=True)
    assert history.history["loss"][-1] < history.history["loss"][0]


@BACKENDS
@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_steps_for_every_loss(data, backend, loss):
    same_training(data, backend, loss=loss, optimizer="momentum")


@BACKENDS
@pytest.mark.parametrize(
    ("act", "hidden"), [("sigmoid", (9,)), ("tanh", (9, 7)), ("linear", (8,)), ("relu", ())]
)
def test_the_same_steps_for_every_activation(data, backend, act, hidden):
    same_training(data, backend, act=act, hidden=hidden, optimizer="sgd")


def test_the_same_rows_are_held_out_and_epochs_counted(data):
    options = {"validation_data": None, "validation_split": 0.23, "initial_epoch": 2, "epochs": 5}
    history = same_training(data, "numpy", fit=options)
    assert history.epoch == [2, 3, 4]
    same_training(data, "numpy", fit={"validation_data": None})
    same_training(data, "numpy", fit={"batch_size": None})
    same_training(data, "numpy", fit={"batch_size": 1000})


@pytest.mark.parametrize("optimizer", ["momentum", "nesterov", "adam"])
def test_the_same_steps_where_the_rate_changes(data, optimizer):
    history = same_training(
        data, "numpy", optimizer=optimizer,
        callbacks=lambda k: [k.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)],
    )  # fmt: skip
    assert "learning_rate" in history.history
    same_training(
        data, "numpy", optimizer=optimizer,
        callbacks=lambda k: [k.callbacks.LearningRateScheduler(lambda epoch: 0.01 + 0.01 * epoch)],
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"monitor": "val_loss", "patience": 2, "restore_best_weights": True},
        {"monitor": "val_accuracy", "patience": 1},
        {"monitor": "loss", "min_delta": 0.3},
        {"monitor": "val_loss", "mode": "max", "patience": 3, "restore_best_weights": True},
        {"monitor": "loss", "baseline": 0.01, "patience": 2, "restore_best_weights": True},
        {"monitor": "loss", "start_from_epoch": 3, "min_delta": 10},
    ],
)
def test_the_same_early_stop(data, options):
    history = same_training(
        data, "numpy", optimizer="momentum", fit={"epochs": 25},
        callbacks=lambda k: [k.callbacks.EarlyStopping(**options)],
    )  # fmt: skip
    assert len(history.epoch) < 25


@pytest.mark.parametrize("metrics", [None, ["acc"], ["accuracy"], ["categorical_accuracy"]])
def test_the_same_names_in_the_history(data, metrics):
    seen = []
    for k in (ours, keras):
        X, y = data[0], k.utils.to_categorical(data[1], K)
        model = model_of(k)
        model.backend = "numpy" if k is ours else None
        model.compile(optimizer="sgd", loss="categorical_crossentropy", metrics=metrics)
        history = model.fit(X, y, verbose=0, validation_split=0.1)
        scores = model.evaluate(X, y, verbose=0), model.evaluate(X, y, verbose=0, return_dict=True)
        seen.append((list(history.history), np.ndim(scores[0]), list(scores[1])))
    assert seen[0] == seen[1]


def test_weights_go_both_ways():
    a, b = model_of(ours, hidden=(12, 8)), model_of(keras, hidden=(12, 8))
    assert [w.shape for w in a.get_weights()] == [w.shape for w in b.get_weights()]
    rng = np.random.default_rng(1)
    drawn = [rng.normal(size=w.shape).astype(np.float32) for w in b.get_weights()]
    b.set_weights(drawn)
    a.set_weights(b.get_weights())
    assert all(np.array_equal(x, y) for x, y in zip(a.get_weights(), drawn, strict=True))
    b.set_weights(a.get_weights())
    assert a.count_params() == b.count_params()
    assert a.input_shape == b.input_shape
    assert a.output_shape == b.output_shape
    for k, model in ((ours, a), (keras, b)):
        with pytest.raises(ValueError):
            model.set_weights(drawn[:-1])
        assert len(model.layers) == 4, k


def test_first_weights_have_the_same_spread():
    for init in ("glorot_uniform", "he_uniform", "lecun_uniform"):
        spread = []
        for k in (ours, keras):
            layer = k.layers.Dense(300, kernel_initializer=init)
            k.Sequential([k.Input((200,)), layer])
            kernel, bias = (np.asarray(w) for w in layer.get_weights())
            assert not bias.any()
            spread.append((abs(kernel).max(), kernel.std()))
        assert np.allclose(*spread, rtol=0.01)


def test_one_hot_rows_are_the_same():
    for x, K in (([0, 2, 1], 4), ([0, 2, 1], None), ([[3], [0]], None), (np.uint8([[1, 0], [2, 2]]), 3)):
        mine, theirs = ours.utils.to_categorical(x, K), keras.utils.to_categorical(x, K)
        assert np.array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype


@pytest.mark.parametrize(
    "wrong",
    [
        lambda model, X, y: model.fit(X[:, :-1], y, verbose=0),
        lambda model, X, y: model.fit(X, y[:-1], verbose=0),
        lambda model, X, y: model.fit(X, y[:, :-1], verbose=0),
        lambda model, X, y: model.fit(X, y.argmax(axis=1), verbose=0),
        lambda model, X, y: model.fit(X, y, validation_split=0.9999, verbose=0),
        lambda model, X, y: model.predict(X[:, 1:], verbose=0),
        lambda model, X, y: model.evaluate(X[:, 1:], y, verbose=0),
        lambda model, X, y: model.compile(optimizer="sgd", loss=None) or model.fit(X, y, verbose=0),
        lambda model, X, y: model.get_layer("nobody"),
        lambda model, X, y: model.set_weights([]),
    ],
)  # fmt: skip
def test_both_refuse_it_with_a_value_error(data, wrong):
    X, y, _, _ = data
    for k in (ours, keras):
        with pytest.raises(ValueError):
            wrong(model_of(k), X, k.utils.to_categorical(y, K))


def test_both_must_be_compiled(data):
    for k in (ours, keras):
        model = k.Sequential([k.layers.Dense(K, activation="softmax")])
        with pytest.raises(ValueError):
            model.fit(data[0], data[1], verbose=0)
