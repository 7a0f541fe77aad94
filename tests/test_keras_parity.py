"""One program, run by fastmlp.keras and by Keras on PyTorch: the same numbers (the extra ``parity``)."""

from __future__ import annotations

import numpy as np
import pytest
from compare import check
from nets import learnable

import fastmlp.keras as ours

pytest.importorskip("torch")
with pytest.MonkeyPatch.context() as patch:  # for the import alone: other tests start processes
    patch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own

N, D, K = 110, 30, 5  # 110 = 4 * 25 + 10: the last batch is short
BACKENDS = ("numba", "numpy")
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


def model_of(k, *, act="relu", hidden=(12,), optimizer="sgd", loss=LOSSES[0], metrics=("accuracy",)):
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
    model.compile(optimizer=OPTIMIZERS[optimizer](k), loss=loss, metrics=list(metrics))
    rng = np.random.default_rng(7)
    model.set_weights([rng.normal(0, 0.4, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def targets(k, y, loss):
    return y if "sparse" in loss else k.utils.to_categorical(y, K)


def trained(k, data, *, backend=None, fit=None, callbacks=None, twice=False, **options):
    """History, scores, predictions and weights after a training without shuffling."""
    X, y, X_test, y_test = data
    loss, model = options.get("loss", ""), model_of(k, **options)
    if backend:
        model.backend = backend
    held = (X_test, targets(k, y_test, loss))
    words = {"batch_size": 25, "epochs": 3, "verbose": 0, "shuffle": False, "validation_data": held}
    words |= (fit or {}) | {"callbacks": callbacks(k) if callbacks else None}
    for _ in range(1 + twice):
        history = model.fit(X, targets(k, y, loss), **words)
    return history, model.evaluate(*held, verbose=0), model.predict(X_test, verbose=0), model.get_weights()


def same_training(data, **options):
    """Keras and both backends train; all that comes of it is compared. Returns the history."""
    history, scores, outputs, weights = trained(keras, data, **options)
    for backend in BACKENDS:
        ours_history, *got = trained(ours, data, backend=backend, **options)
        assert list(ours_history.history) == list(history.history)
        assert ours_history.epoch == history.epoch
        for name, values in history.history.items():
            check("keras history", ours_history.history[name], values, name)
        check("keras history", got[0], scores)
        check("keras outputs", got[1], outputs)
        assert got[1].dtype == outputs.dtype
        for mine, theirs in zip(got[2], weights, strict=True):
            check("keras weights", mine, theirs)
    return ours_history


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_same_steps_for_every_optimizer(data, optimizer):
    history = same_training(data, optimizer=optimizer, twice=True)
    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_steps_for_every_loss(data, loss):
    same_training(data, loss=loss, optimizer="momentum")


@pytest.mark.parametrize(
    ("act", "hidden"), [("sigmoid", (9,)), ("tanh", (9, 7)), ("linear", (8,)), ("relu", ())]
)
def test_the_same_steps_for_every_activation(data, act, hidden):
    same_training(data, act=act, hidden=hidden)


def test_the_same_rows_are_held_out_and_epochs_counted(data):
    options = {"validation_data": None, "validation_split": 0.23, "initial_epoch": 2, "epochs": 4}
    history = same_training(data, fit=options)
    assert history.epoch == [2, 3]
    same_training(data, fit={"validation_data": None, "batch_size": None, "epochs": 1})
    same_training(data, fit={"batch_size": 1000})


@pytest.mark.parametrize("optimizer", ["momentum", "nesterov", "adam"])
def test_the_same_steps_where_the_rate_changes(data, optimizer):
    history = same_training(
        data, optimizer=optimizer,
        callbacks=lambda k: [k.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)],
    )  # fmt: skip
    assert "learning_rate" in history.history


@pytest.mark.parametrize(
    "options",
    [
        {"monitor": "val_loss", "min_delta": 0.3, "patience": 2, "restore_best_weights": True},
        {"monitor": "val_accuracy", "patience": 1},
        {"monitor": "val_loss", "mode": "max", "patience": 2, "restore_best_weights": True},
        {"monitor": "loss", "baseline": 0.01, "patience": 2, "restore_best_weights": True},
        {"monitor": "loss", "start_from_epoch": 2, "min_delta": 10},
    ],
)
def test_the_same_early_stop(data, options):
    history = same_training(
        data, optimizer="momentum", fit={"epochs": 12},
        callbacks=lambda k: [k.callbacks.EarlyStopping(**options)],
    )  # fmt: skip
    assert len(history.epoch) < 12 or "baseline" in options


@pytest.mark.parametrize("metrics", [(), ("acc",), ("categorical_accuracy",)])
def test_the_same_names_in_the_history(data, metrics):
    seen = []
    for k in (ours, keras):
        X, y = data[0], k.utils.to_categorical(data[1], K)
        model = model_of(k, metrics=metrics)
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
            layer = k.layers.Dense(1000, kernel_initializer=init)
            k.Sequential([k.Input((500,)), layer])
            kernel, bias = (np.asarray(w) for w in layer.get_weights())
            assert not bias.any()
            spread.append((abs(kernel).max(), kernel.std()))
        assert np.allclose(*spread, rtol=0.01)  # of 500,000 weights, 0.1 % is what chance does


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
