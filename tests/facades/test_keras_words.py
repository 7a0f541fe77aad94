"""Keras' words, layers and nets: what is there, and what raises an error that names it."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
from small_keras import D, K, N, net

from fastmlp import keras
from fastmlp.keras import callbacks, losses, optimizers
from fastmlp.keras.layers import Activation, Dense, Input
from fastmlp.keras.models import Sequential
from fastmlp.keras.utils import set_random_seed, to_categorical

pytestmark = pytest.mark.usefixtures("numpy_backend")


def test_it_needs_neither_keras_nor_tensorflow():
    script = """
import sys
sys.modules.update(dict.fromkeys(("keras", "tensorflow", "torch")))
import fastmlp
fastmlp.keras.Sequential([fastmlp.keras.layers.Dense(2, input_dim=3)])
print(sorted(name for name in ("numba", "typer", "rich") if name in sys.modules))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("layers", "Conv2D"),
        ("layers", "Dropout"),
        ("layers.core", "Flatten"),
        ("optimizers", "RMSprop"),
        ("losses", "MeanSquaredError"),
        ("callbacks", "ModelCheckpoint"),
        ("datasets", "cifar10"),
        ("utils", "plot_model"),
        ("utils.np_utils", "normalize"),
        ("models", "Model"),
    ],
)
def test_words_that_are_missing_are_named(module, name):
    module = importlib.import_module(f"fastmlp.keras.{module}")
    for look in (lambda: getattr(module, name), lambda: exec(f"from {module.__name__} import {name}")):
        with pytest.raises(NotImplementedError, match=f"no [a-z ]+ {name}: .* has .*. Use Keras itself"):
            look()
    with pytest.raises(AttributeError):
        module.__wrapped__  # noqa: B018


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: Dense(3, activation="selu"), "activation 'selu'"),
        (lambda: Activation(np.tanh), "activation tanh"),
        (lambda: Dense(3, use_bias=False), "without a bias"),
        (lambda: Dense(3, kernel_initializer="ones"), "initializer 'ones'"),
        (lambda: Dense(3, kernel_regularizer="l2"), "kernel_regularizer"),
        (lambda: Dense(3, input_shape=(28, 28)), r"shape \(28, 28\)"),
        (lambda: Input((28, 28)), "reshape x"),
        (lambda: Dense(3)(Input((4,))), "functional API"),
        (lambda: optimizers.SGD(clipnorm=1.0), "clipnorm"),
        (lambda: optimizers.SGD(weight_decay=0.1), "weight_decay"),
        (lambda: optimizers.Adam(amsgrad=True), "amsgrad"),
        (lambda: optimizers.SGD(lambda: 0.1), "schedule"),
        (lambda: losses.CategoricalCrossentropy(label_smoothing=0.1), "label_smoothing"),
        (lambda: net("rmsprop"), "'rmsprop'"),
        (lambda: net(loss="mse"), "'mse'"),
        (lambda: net(metrics=["precision"]), "'precision'"),
        (lambda: net(metrics=["accuracy", "acc"]), "several metrics"),
        (lambda: net().compile("sgd", "categorical_crossentropy", loss_weights=[1]), "loss_weights"),
        (lambda: Sequential().compile(), "'rmsprop'"),
    ],
)
def test_options_that_are_missing_are_named(call, match):
    with pytest.raises(keras.MissingError, match=match) as caught:
        call()
    assert "Use Keras itself" in str(caught.value)


@pytest.mark.parametrize(
    ("stack", "match"),
    [
        (
            lambda: [Dense(3, "softmax", name="early"), Dense(K, "softmax")],
            r"softmax in a hidden layer \(early\)",
        ),
        (lambda: [Dense(3, "relu"), Activation("tanh"), Dense(K, "softmax")], "second activation"),
        (lambda: [Activation("relu"), Dense(K, "softmax")], "before the first Dense"),
        (lambda: [Dense(K, "sigmoid", name="last")], r"sigmoid in the last layer \(last\)"),
        (lambda: [Dense(1, "softmax")], "one output"),
        (lambda: [Dense(3, "relu"), Dense(K)], "no softmax"),
    ],
)
def test_nets_that_the_engine_lacks_are_named(data, stack, match):
    model = Sequential(stack())
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(keras.MissingError, match=match):
        model.fit(*data, verbose=0)


def test_arguments_that_are_missing_are_named(data):
    X, y = data
    for options in (
        {"class_weight": {0: 1.0}},
        {"sample_weight": np.ones(N)},
        {"steps_per_epoch": 3},
        {"validation_freq": 2},
        {"validation_data": (X, y, np.ones(N))},
    ):
        with pytest.raises(
            NotImplementedError, match=r"sample_weight|class_weight|steps_per_epoch|validation_freq"
        ):
            net().fit(X, y, verbose=0, **options)
    with pytest.raises(TypeError, match="nb_epoch"):
        net().fit(X, y, nb_epoch=3)
    with pytest.raises(NotImplementedError, match="shares of classes"):
        net(loss="categorical_crossentropy").fit(X, np.full((N, K), 1 / K), verbose=0)

    class OfBatches(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    with pytest.raises(NotImplementedError, match="on_train_batch_end"):
        net().fit(X, y, callbacks=[OfBatches()])
    with pytest.raises(TypeError, match="Callback"):
        net().fit(X, y, callbacks=[print])
    with pytest.raises(AttributeError, match="no train_on_batch; use Keras"):
        net().train_on_batch(X, y)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda m, X, y: m.fit(X.reshape(N, 4, 6), y),
            r"x must have shape \(N, 24\); got \(300, 4, 6\). Reshape",
        ),
        (lambda m, X, y: m.fit(X[:, 1:], y), r"shape \(N, 24\)"),
        (lambda m, X, y: m.fit(X[0], y), r"shape \(N, 24\)"),
        (lambda m, X, y: m.fit(X[:0], y[:0]), "at least one value"),
        (lambda m, X, y: m.fit(X, y[1:]), "as many rows"),
        (lambda m, X, y: m.fit(X, 3), "as many rows"),
        (lambda m, X, y: m.fit(X), "y must be given"),
        (lambda m, X, y: m.fit(), "x must be given"),
        (lambda m, X, y: m.fit(X, y + 1), "0 to 3; got 1 .. 4"),
        (lambda m, X, y: m.fit(X, y - 1), "0 to 3; got -1"),
        (lambda m, X, y: m.fit(X, y + 0.5), "from 0 to 3|whole"),
        (lambda m, X, y: m.fit(X, np.minimum(y, 2) + 0.5), "whole"),
        (lambda m, X, y: m.fit(X, np.full(N, np.nan)), "from 0 to 3"),
        (lambda m, X, y: m.fit(X, to_categorical(y, K)), r"class indices of shape \(N,\)"),
        (lambda m, X, y: m.fit(X, y.astype(str)), "numbers"),
        (lambda m, X, y: m.fit(X.astype(str), y), "numbers"),
        (lambda m, X, y: m.fit(X.astype(object), y), "numbers"),
        (lambda m, X, y: m.fit(X.astype(complex), y), "numbers"),
        (lambda m, X, y: m.fit([[1, 2], [3]], y), "inhomogeneous"),
        (lambda m, X, y: m.fit(X, y, batch_size=0), "batch_size"),
        (lambda m, X, y: m.fit(X, y, epochs=1.5), "epochs"),
        (lambda m, X, y: m.fit(X, y, initial_epoch=-1), "initial_epoch"),
        (lambda m, X, y: m.fit(X, y, verbose=3), "verbose"),
        (lambda m, X, y: m.fit(X, y, validation_split=1), "validation_split"),
        (lambda m, X, y: m.fit(X, y, validation_split=-0.1), "validation_split"),
        (lambda m, X, y: m.fit(X, y, validation_split=0.9999), "both sides"),
        (lambda m, X, y: m.fit(X, y, validation_data=X), "validation_data"),
        (lambda m, X, y: m.fit(X, y, validation_data=(X[:, 1:], y)), "validation x"),
        (lambda m, X, y: m.fit(X, y, validation_data=(X, y + 9)), "validation y"),
        (lambda m, X, y: m.predict(X[:, 1:]), r"shape \(N, 24\)"),
        (lambda m, X, y: m.evaluate(X, y + 1), "0 to 3"),
        (lambda m, X, y: Sequential([Dense(3)]).fit(X, y), "compiled first"),
        (lambda m, X, y: Sequential([Dense(3)]).evaluate(X, y), "compiled first"),
        (lambda m, X, y: Sequential([Dense(3)]).count_params(), "built"),
        (lambda m, X, y: Sequential([Dense(3)]).save("x"), "built"),
        (lambda m, X, y: Sequential().predict(X), "Dense"),
        (lambda m, X, y: Sequential().pop(), "pop"),
        (lambda m, X, y: Sequential([Dense(3), Input((D,))]), "come first"),
        (lambda m, X, y: Sequential([Input((D,)), Dense(3, input_dim=9)]), "9 inputs"),
        (lambda m, X, y: Sequential([Dense(3, name="a"), Dense(3, name="a")]), "different names"),
        (lambda m, X, y: m.build((None, 9)), "input_shape"),
        (lambda m, X, y: m.get_layer("nobody"), "nobody"),
        (lambda m, X, y: m.set_weights(m.get_weights()[:-1]), "shapes"),
        (lambda m, X, y: m.layers[0].set_weights([np.ones(3)]), "shapes"),
        (lambda m, X, y: Dense(0), "units"),
        (lambda m, X, y: Dense(2.5), "units"),
        (lambda m, X, y: Dense(2, name=""), "name"),
        (lambda m, X, y: Input(), "shape"),
        (lambda m, X, y: m.compile("sgd"), "loss"),
        (lambda m, X, y: optimizers.SGD(0), "learning_rate"),
        (lambda m, X, y: optimizers.SGD(0.1, momentum=-1), "momentum"),
        (lambda m, X, y: optimizers.Adam(beta_1=2), "beta1"),
        (lambda m, X, y: callbacks.EarlyStopping(mode="up"), "mode"),
        (lambda m, X, y: to_categorical([3], 3), "0 to 2"),
        (lambda m, X, y: to_categorical([-1]), "indices"),
        (lambda m, X, y: to_categorical([0.5]), "indices"),
        (lambda m, X, y: to_categorical(["a"]), "indices"),
        (lambda m, X, y: set_random_seed("a"), "seed"),
    ],
)
def test_what_does_not_fit_is_a_value_error_before_anything_happens(data, call, match, capsys):
    model = net()
    before = model.get_weights()
    with pytest.raises(ValueError, match=match):
        call(model, *data)
    assert all(map(np.array_equal, before, model.get_weights()))
    assert capsys.readouterr().out == ""


def test_values_that_are_not_finite_are_refused(data, monkeypatch):
    monkeypatch.setattr(Sequential, "backend", "numba")
    X, y = data
    wrong, model = np.where(X > 0.5, np.nan, X), net()
    for call in (
        lambda: model.fit(wrong, y),
        lambda: model.fit(X, y, validation_data=(wrong, y)),
        lambda: model.evaluate(wrong, y),
        lambda: model.predict(wrong),
        lambda: model.predict(np.full((1, D), np.inf)),
    ):
        with pytest.raises(ValueError, match="finite"):
            call()


def test_a_layer_must_be_a_layer():
    with pytest.raises(TypeError, match="layer must be"):
        Sequential(["relu"])
    with pytest.raises(TypeError, match="units_"):
        Dense(3, units_=4)


def test_layers_and_their_names():
    first, second = Dense(3), Dense(3)
    base, _, number = first.name.partition("_")
    assert (base, second.name) == ("dense", f"dense_{int(number or 0) + 1}")
    assert Activation("relu").name.startswith("activation")
    assert Dense(3, name="mine").name == "mine"
    assert repr(Dense(3, name="mine")) == "<Dense name=mine>"
    model = Sequential(
        [Input(shape=(D,)), Dense(8, name="a"), Activation("tanh", name="b"), Dense(K, name="c")]
    )
    assert [layer.name for layer in model.layers] == ["a", "b", "c"]
    assert model.get_layer("b") is model.get_layer(index=1) is model.layers[1]
    assert model.input_shape == (None, D)
    assert model.output_shape == (None, K)
    assert model.count_params() == (D + 1) * 8 + 9 * K
    assert model.layers[0].count_params() == (D + 1) * 8
    assert model.pop().name == "c"
    assert model.output_shape == (None, 8)
    for given in ({"input_dim": D}, {"input_shape": (D,)}):
        model = Sequential()
        model.add(Dense(5, **given))
        assert [w.shape for w in model.get_weights()] == [(D, 5), (5,)]
    for given in (D, (D,), [D]):
        assert Input(given).inputs == D


def test_a_net_without_inputs_gets_them_from_the_data(data):
    model = Sequential([Dense(6, "relu"), Dense(K, "softmax")])
    assert model.get_weights() == []
    assert not model.built
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(*data, verbose=0)
    assert [w.shape for w in model.get_weights()] == [(D, 6), (6,), (6, K), (K,)]


def test_two_ways_to_say_an_activation(data):
    set_random_seed(3)
    long = Sequential([Dense(6, input_dim=D), Activation("sigmoid"), Dense(K), Activation("softmax")])
    set_random_seed(3)
    seeds_of_the_model = Sequential(
        [Dense(6, "sigmoid", input_dim=D), Activation("linear"), Dense(K, "softmax")]
    )
    assert all(map(np.array_equal, long.get_weights(), seeds_of_the_model.get_weights()))
    assert np.array_equal(long.predict(data[0], verbose=0), seeds_of_the_model.predict(data[0], verbose=0))


def test_seeds():
    def weights(count):
        return [np.concatenate([w.ravel() for w in net().get_weights()]) for _ in range(count)]

    set_random_seed(5)
    first, second = weights(2)
    drawn = np.random.random()  # noqa: NPY002
    set_random_seed(5)
    assert np.array_equal(first, weights(1)[0])
    set_random_seed(5)
    assert np.random.random() == drawn  # noqa: NPY002
    assert not np.array_equal(first, second)
    set_random_seed(6)
    assert not np.array_equal(first, weights(1)[0])


def test_summary(capsys):
    net().summary()
    out = capsys.readouterr().out
    assert "(None, 8)" in out
    assert f"{(D + 1) * 8 + 9 * K:,} parameters" in out
    lines = []
    Sequential([Dense(3)]).summary(print_fn=lines.append)
    assert "not built" in "".join(lines)
    assert capsys.readouterr().out == ""


def test_to_categorical():
    assert to_categorical(np.uint8([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert to_categorical([[1], [0]]).tolist() == [[0, 1], [1, 0]]
    assert to_categorical([True, False], 2, dtype="float32").dtype == np.float32


def test_mnist_is_as_its_files_have_it(mnist_folder, monkeypatch):
    monkeypatch.setenv("FASTMLP_DATA", str(mnist_folder))
    (X, y), (X_test, y_test) = keras.datasets.mnist.load_data()
    assert X.shape == (60000, 28, 28)
    assert X_test.shape == (10000, 28, 28)
    assert y.shape == (60000,)
    assert y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert {X.dtype, y.dtype, X_test.dtype, y_test.dtype} == {np.dtype(np.uint8)}
    X[0, 0, 0] = 1  # it is the caller's own


def test_who_asks_all_modules_for_a_name_goes_on():
    """So does pickle, for what does not know its own module."""
    modules = [keras, *(getattr(keras, name) for name in ("callbacks", "layers", "losses", "optimizers"))]
    for module in modules:
        assert getattr(module, "agm", None) is None, module
        assert not hasattr(module, "Conv2D")
        with pytest.raises(keras.MissingError, match=r"has no .*Conv2D"):
            _ = module.Conv2D
        with pytest.raises(keras.MissingError, match=r"has no .*Conv2D"):
            exec(f"from {module.__name__} import Conv2D")
    agm = pytest.importorskip("scipy.special").agm
    assert pickle.loads(pickle.dumps(agm)) is agm
