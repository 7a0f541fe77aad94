"""Attributes of Keras that may be set later: each has its effect, or raises an error that names it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from keras_words import ATTRIBUTES, OBEYED, OURS, D, K, net, objects, settled_data

from fastmlp import keras
from fastmlp.keras import callbacks, layers, losses, optimizers
from fastmlp.keras.layers import Activation, Dense
from fastmlp.keras.models import Sequential

pytestmark = pytest.mark.usefixtures("numpy_backend")


@pytest.fixture(scope="module")
def data():
    return settled_data()


def fitted(data, change=lambda model: None, epochs=1, **options):
    """Weights after an epoch, the change, and more epochs."""
    model = net(**options)
    model.fit(*data, verbose=0)
    change(model)
    model.fit(*data, verbose=0, epochs=epochs)
    return np.concatenate([w.ravel() for w in model.get_weights()])


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_every_attribute_of_keras_has_its_effect_or_raises_an_error_that_names_it(data, kind):
    before, it = fitted(data), objects()[kind]
    for name in f"{ATTRIBUTES[kind]} {OURS[kind]}".split():
        if name not in OBEYED.get(kind, ()):
            for value in (object(), "l2", 0.123, np.ones(3)):
                with pytest.raises(keras.MissingError, match=f"no setting of {name} in {kind} after"):
                    setattr(it, name, value)
    assert set(it._settable()) == OBEYED.get(kind, set())
    assert np.array_equal(before, fitted(data))


def test_what_is_set_to_what_it_is_may_be_set(data):
    def same(model):
        first, optimizer = model.layers[0], model.optimizer
        model.trainable = first.trainable = first.use_bias = True
        first.kernel_regularizer = first.bias_constraint = optimizer.clipnorm = None
        first.units, first.kernel = first.units, first.kernel
        optimizer.momentum, optimizer.nesterov, optimizer.use_ema = 0.9, False, False
        model.run_eagerly, first.built = False, True
        model.optimizer, model.loss, model.name = optimizer, model.loss, model.name
        model.loss.from_logits = False
        first._note = model._note = optimizer._note = "mine"

    assert np.array_equal(fitted(data), fitted(data, same))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda m: setattr(m.layers[0], "trainable", False),
            "trainable in Dense .* what may be set there is act",
        ),
        (lambda m: setattr(m, "trainable", False), "trainable in Sequential"),
        (lambda m: setattr(m.optimizer, "momentum", 0.5), "momentum in SGD .* is learning_rate, lr"),
        (lambda m: setattr(m.layers[0], "kernel_regularizer", "l2"), "kernel_regularizer in Dense"),
        (lambda m: setattr(m.layers[0], "kernel", np.ones((D, 8))), r"kernel in Dense .* call set_weights\("),
        (lambda m: setattr(m, "loss", "categorical_crossentropy"), "loss in Sequential .* call compile"),
        (lambda m: setattr(m, "optimizer", "adam"), "optimizer in Sequential .* call compile"),
        (lambda m: setattr(m.loss, "from_logits", True), "from_logits in Sparse.* there is nothing"),
        (lambda m: setattr(m.optimizer, "iterations", 5), "iterations .* compile with a new optimizer"),
        (lambda m: m.optimizer.learning_rate.assign(0.3), "assign of a learning rate: set it: .* = 0.3"),
        (lambda m: keras.backend.set_value(m.optimizer.learning_rate, 0.3), "name backend"),
        (
            lambda m: setattr(callbacks.EarlyStopping(), "monitor_op", np.less),
            "monitor_op in Early.*mode='min'",
        ),
    ],
)
def test_the_refusal_says_what_there_is(change, match):
    with pytest.raises(keras.MissingError, match=match):
        change(net())


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.layers[0].kernel.assign(0),
        lambda m: m.layers[0].weights[0].assign(0),
        lambda m: m.weights[0].assign(0),
        lambda m: m.optimizer.variables,
        lambda m: m.loss.call(1, 2),
        lambda m: m.summary.wrong,
    ],
)
def test_what_is_not_there_is_an_attribute_error(change):
    with pytest.raises(AttributeError):
        change(net())
    assert not hasattr(net().layers[0], "weights")


def test_what_may_be_set_is_obeyed(data):
    plain = fitted(data)
    for change, options in (
        (lambda m: setattr(m.optimizer, "learning_rate", 0.03), {}),
        (lambda m: setattr(m.optimizer, "lr", np.float32(0.03)), {}),
        (lambda m: setattr(m.layers[0], "activation", "tanh"), {}),
        (lambda m: m.layers[0].set_weights([np.ones((D, 8)), np.ones(8)]), {}),
        (lambda m: m.layers[0].kernel.fill(0.5), {}),
        (lambda m: m.layers[0].kernel.__setitem__(0, 0.5), {}),
    ):
        assert not np.array_equal(plain, fitted(data, change, **options))
    assert np.array_equal(
        fitted(data, lambda m: setattr(m.layers[-1], "activation", "softmax"), last=("softmax",)), plain
    )
    tanh = fitted(data, lambda m: [setattr(m.layers[0], "activation", word) for word in ("relu", "tanh")])
    assert np.array_equal(tanh, fitted(data, lambda m: setattr(m.layers[0], "activation", "tanh")))
    for wrong in ("selu", np.tanh, 3):
        with pytest.raises(keras.MissingError, match="activation"):
            net().layers[0].activation = wrong
    for wrong in (0, -1, np.nan, "fast", None, [0.1, 0.2]):
        with pytest.raises(ValueError, match="learning_rate"):
            net().optimizer.learning_rate = wrong
    model = net()
    model.backend = "abacus"
    with pytest.raises(ValueError, match="backend"):
        model.fit(*data, verbose=0)


def test_a_rate_set_between_and_within_fits_is_the_rate_of_the_next_step(data):
    class Halves(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.1 / 2**epoch

    def by_callback(model):
        model.fit(*data, epochs=3, verbose=0, callbacks=[Halves()])

    def by_hand(model):
        for epoch in range(3):
            model.optimizer.learning_rate = 0.1 / 2**epoch
            model.fit(*data, verbose=0)

    assert np.array_equal(fitted(data, by_callback), fitted(data, by_hand))
    assert not np.array_equal(
        fitted(data, by_callback), fitted(data, lambda m: m.fit(*data, epochs=3, verbose=0))
    )


def test_training_stops_where_it_is_told_to(data):
    class Stops(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.seen, self.model.stop_training = epoch, True

    assert net().fit(*data, epochs=5, verbose=0, callbacks=[Stops()]).epoch == [0]


def test_early_stopping_obeys_what_is_set_later(data):
    """mode was read in the constructor alone."""

    def epochs(**changes):
        stopping = callbacks.EarlyStopping("loss", patience=1)
        for name, value in changes.items():
            setattr(stopping, name, value)
        return net().fit(*data, epochs=6, verbose=0, callbacks=[stopping]).epoch[-1] + 1

    assert epochs() == 6
    assert epochs(mode="max") < 6
    assert epochs(monitor="accuracy", mode="min") < 6
    assert epochs(min_delta=5.0) < 6
    assert epochs(mode="max", patience=2, baseline=9) < epochs(mode="max", patience=2) < 6
    assert epochs(mode="max", patience=9) == 6
    assert epochs(mode="max", start_from_epoch=5) == 6
    with pytest.raises(ValueError, match="mode"):
        epochs(mode="up")


def test_callbacks_may_hold_what_they_like(data):
    class Mine(callbacks.Callback):
        def __init__(self):
            self.trainable, self.momentum, self.note = False, 3, "a note"

    class Stopping(callbacks.EarlyStopping):
        def on_train_begin(self, logs=None):
            super().on_train_begin(logs)
            self.note = "a note"

    net().fit(*data, verbose=0, callbacks=[Mine(), Stopping("loss")])


def test_subclasses_whose_methods_would_not_be_called_are_refused():
    for base in (
        Dense,
        Activation,
        layers.Layer,
        optimizers.SGD,
        optimizers.Adam,
        losses.CategoricalCrossentropy,
    ):
        with pytest.raises(keras.MissingError, match=rf"subclass of {base.__name__} \(Mine\)"):
            type("Mine", (base,), {"__module__": "program"})
    for name in ("call", "train_step", "compute_loss"):
        with pytest.raises(keras.MissingError, match=rf"call of {name} \(Mine\)"):
            type("Mine", (Sequential,), {name: lambda self, x: x, "__module__": "program"})

    class Mine(Sequential):
        def __init__(self, width):
            super().__init__([Dense(width, "relu", input_dim=D), Dense(K, "softmax")])
            self._width = width

    assert Mine(4).count_params() == (D + 1) * 4 + 5 * K


def test_they_are_copied_and_pickled_whole(data):
    for take in (copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))):
        model = take(net())
        assert np.array_equal(model.predict(data[0], verbose=0), net().predict(data[0], verbose=0))
        assert model.optimizer.learning_rate == 0.1
        with pytest.raises(keras.MissingError):
            model.layers[0].trainable = False
