"""Keras' words: the question's programs on MNIST, and every word's own meaning, without Keras."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compare import check
from nets import learnable, net_of

import fastmlp
from fastmlp import keras, reference
from fastmlp.backends.state import OptimizerState, rates
from fastmlp.backends.threads import ThreadTuner
from fastmlp.keras import callbacks, losses, optimizers
from fastmlp.keras.layers import Activation, Dense, Input
from fastmlp.keras.models import Sequential, load_model
from fastmlp.keras.utils import set_random_seed, to_categorical
from fastmlp.optimizers import Optimizer

N, D, K = 300, 24, 4

QUESTION = """
from fastmlp.keras.datasets import mnist
from fastmlp.keras.layers.core import Activation, Dense
from fastmlp.keras.losses import CategoricalCrossentropy
from fastmlp.keras.models import Sequential
from fastmlp.keras.utils import np_utils, set_random_seed

set_random_seed({seed})
classes = 10
(X, y), (X_test, y_test) = mnist.load_data()
X, X_test = X.reshape(len(X), 784), X_test.reshape(len(X_test), 784)
if {scaled}:
    X, X_test = X.astype("float32") / 255, X_test.astype("float32") / 255
y, y_test = np_utils.to_categorical(y, classes), np_utils.to_categorical(y_test, classes)
net = Sequential()
net.add(Dense(100, input_dim=784))
net.add(Activation({act!r}))
net.add(Dense(10))
net.add(Activation("softmax"))
net.compile(loss={loss}, metrics=["accuracy"], optimizer="sgd")
history = net.fit(X, y, batch_size=100, epochs=15, verbose=1)
score = net.evaluate(X_test, y_test, verbose=1)
print("accuracy", score[1])
"""


BY_NAME, KERAS_2 = '"categorical_crossentropy"', 'CategoricalCrossentropy(clip="keras2")'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "scaled", "loss", "low", "high"),
    [
        ("sigmoid", False, BY_NAME, 0.93, 0.955),
        ("relu", False, BY_NAME, 0.0, 0.80),
        ("relu", False, KERAS_2, 0.0, 0.80),
        ("relu", True, BY_NAME, 0.925, 0.945),
    ],
)
def test_the_questions_programs_on_mnist(mnist_folder, monkeypatch, capsys, act, scaled, loss, low, high):
    monkeypatch.setenv("FASTMLP_DATA", str(mnist_folder))
    names: dict = {}
    exec(QUESTION.format(act=act, scaled=scaled, loss=loss, seed=1), names)
    assert low <= names["score"][1] <= high
    history = names["history"].history
    wrong = 1 - history["accuracy"][-1]
    frozen = history["loss"][-1] == pytest.approx(-np.log(1e-7) * wrong, rel=0.02)
    assert frozen == (loss == KERAS_2)  # every sample is right, or beyond the clip
    out = capsys.readouterr().out
    assert out.count("Epoch ") == 15
    assert out.count("600/600") == 15
    assert "313/313" in out
    assert len(names["history"].history["accuracy"]) == 15


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (BY_NAME, r"([\d.]+), ([\d.]+) and ([\d.]+) with the loss by its name \(seeds 0 to 2\)"),
        (KERAS_2, r"and at ([\d.]+), ([\d.]+) and ([\d.]+) with the clip"),
    ],
)
def test_the_readme_says_how_the_questions_relu_ends_on_mnist(mnist_folder, monkeypatch, loss, sentence):
    monkeypatch.setenv("FASTMLP_DATA", str(mnist_folder))
    readme = " ".join((Path(__file__).parents[2] / "README.md").read_text().split())
    ends = []
    for seed in range(3):
        names: dict = {}
        exec(QUESTION.format(act="relu", scaled=False, loss=loss, seed=seed), names)
        ends.append(f"{names['score'][1]:.2f}")
    assert re.findall(sentence, readme) == [tuple(ends)]


@pytest.fixture(scope="module")
def data():
    X, y = learnable(4, N, D, K)
    return (X / 255).astype(np.float32), y


@pytest.fixture(autouse=True)
def numpy_backend(request, monkeypatch):
    """Without compiling, except on MNIST."""
    if "mnist" not in request.node.name:
        monkeypatch.setattr(Sequential, "backend", "numpy")


def net(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=("accuracy",), hidden=(8,)):
    model = Sequential(
        [Input((D,)), *(Dense(width, "relu") for width in hidden), Dense(K, activation="softmax")]
    )
    model.compile(optimizer, loss, metrics)
    return model


# --- words and layers ---------------------------------------------------------------------------


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
        (lambda: [Dense(3, "relu"), Dense(3, "tanh", name="second"), Dense(K, "softmax")], "second: tanh"),
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


# --- training -----------------------------------------------------------------------------------


def by_hand(weights, X, y, epochs, *, optimizer, lr, loss="logits"):
    """The same epochs by the reference, without shuffling."""
    parameters = fastmlp.Parameters.from_keras(weights)
    state = OptimizerState.start(parameters, optimizer)
    losses = [
        reference.train_epoch(
            net_of(parameters),
            X,
            y,
            np.arange(N),
            loss=loss,
            lr=lr,
            batch_size=40,
            optimizer=optimizer,
            state=state,
        ).loss
        for _ in range(epochs)
    ]
    return losses, list(parameters)


@pytest.mark.parametrize(
    ("optimizer", "rule", "lr"),
    [
        ("sgd", Optimizer(), 0.01),
        ("SGD", Optimizer(), 0.01),
        (optimizers.SGD(lr=0.1), Optimizer(), 0.1),
        (optimizers.SGD(0.1, 0.9), Optimizer(momentum=0.9), 0.1),
        (optimizers.SGD(0.1, 0.9, True), Optimizer(momentum=0.9, nesterov=True), 0.1),
        (optimizers.SGD(0.1, nesterov=True), Optimizer(), 0.1),
        ("adam", Optimizer("adam", epsilon=1e-7, epsilon_hat=True), 0.001),
        (
            optimizers.Adam(0.01, 0.8, 0.9, 1e-3),
            Optimizer("adam", 0, False, 0.8, 0.9, 1e-3, epsilon_hat=True),
            0.01,
        ),
    ],
)
def test_fits_go_on_from_each_other_as_one(data, optimizer, rule, lr):
    model = net(optimizer)
    losses, weights = by_hand(model.get_weights(), *data, 4, optimizer=rule, lr=lr)
    got = []
    for epochs in (1, 3):
        got += model.fit(*data, batch_size=40, epochs=epochs, verbose=0, shuffle=False).history["loss"]
    assert got == losses
    assert all(map(np.array_equal, model.get_weights(), weights))
    assert model.optimizer.iterations == 4 * 8


def test_losses_by_name_and_object(data):
    """Keras on TensorFlow takes the logits in each of these, found in its ``_get_logits``."""
    X, y = data[0] * np.float32(100), data[1]  # logits far beyond the clip
    one, sparse, hot = (
        losses.CategoricalCrossentropy,
        losses.SparseCategoricalCrossentropy,
        to_categorical(y, K),
    )
    seen = set()
    for loss, target, softmax, word in (
        ("categorical_crossentropy", hot, True, "logits"),
        ("CategoricalCrossentropy", hot, True, "logits"),
        (losses.categorical_crossentropy, hot, True, "logits"),
        (one, hot, True, "logits"),
        (one(), hot, True, "logits"),
        (one(clip="keras2"), hot, True, "keras2"),
        (one(from_logits=True), hot, False, "logits"),
        ("sparse_categorical_crossentropy", y.reshape(-1, 1), True, "logits"),
        (sparse(), y.astype(np.float32), True, "logits"),
        (sparse(clip="keras2"), y, True, "keras2"),
        (sparse(from_logits=True), y, False, "logits"),
    ):
        for last in ([Dense(K, "softmax")], [Dense(K), Activation("softmax")]) if softmax else ([Dense(K)],):
            model = Sequential([Dense(8, "relu", input_dim=D), *last])
            rng = np.random.default_rng(1)
            model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
            model.compile("sgd", loss)
            want, _ = by_hand(model.get_weights(), X, y, 1, optimizer=Optimizer(), lr=0.01, loss=word)
            parameters = fastmlp.Parameters.from_keras(model.get_weights())
            answer = reference.predict_proba if softmax else reference.logits
            assert np.array_equal(model.predict(X, verbose=0), answer(net_of(parameters), X))
            scored = reference.evaluate(net_of(parameters), X, y, loss=word).loss
            assert model.evaluate(X, target, verbose=0) == scored
            assert model.fit(X, target, batch_size=40, verbose=0, shuffle=False).history == {"loss": want}
            seen.add((word, scored))
    assert len(seen) == 2


def test_a_clip_is_of_probabilities_and_has_one_name():
    for loss in (losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy):
        with pytest.raises(ValueError, match=r"clip must be None with from_logits=True; got 'keras2'\. End"):
            loss(from_logits=True, clip="keras2")
        for wrong in ("keras3", 1e-7, True, ""):
            with pytest.raises(ValueError, match="clip must be one of keras2"):
                loss(clip=wrong)


def test_the_logits_of_a_softmax_are_taken_also_where_the_loss_is_told_of_logits(data):
    """As Keras does on TensorFlow, which warns too."""
    X, y = data
    ended = []
    for told in (False, True):
        set_random_seed(3)
        model = net(loss=losses.SparseCategoricalCrossentropy(from_logits=told))
        with pytest.warns(UserWarning, match="its logits are taken") if told else contextlib.nullcontext():
            ended.append(model.fit(X, y, verbose=0).history)
    assert ended[0] == ended[1]


def test_adams_epsilon_as_a_hat():
    """w -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon)."""
    hat, plain = (Optimizer("adam", epsilon=0.1, epsilon_hat=is_hat) for is_hat in (True, False))
    pairs = zip(rates(hat, 0.1, 5, 3), rates(plain, 0.1, 5, 3), strict=True)
    for t, ((rate, root), (usual, usual_root)) in enumerate(pairs, 6):
        assert root == 1
        assert rate == pytest.approx(0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t))
        assert rate == pytest.approx(usual * usual_root)


def test_epochs_are_shuffled_anew_in_every_fit(data):
    ended = []
    for fits in ((2, 2), (4,)):
        set_random_seed(9)
        model = net()
        for epochs in fits:
            model.fit(*data, epochs=epochs, verbose=0)
        ended.append(model.get_weights())
    assert all(map(np.array_equal, *ended))
    model.set_weights(before := [np.ones_like(w) for w in model.get_weights()])
    a = model.fit(*data, verbose=0).history
    model.set_weights(before)
    assert model.fit(*data, verbose=0).history != a


def test_histories_and_scores(data):
    X, y = data
    model = net()
    history = model.fit(X, y, epochs=3, verbose=0, validation_split=0.25)
    assert history is model.history
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert history.epoch == [0, 1, 2]
    assert history.params == {"verbose": 0, "epochs": 3, "steps": 8}
    loss, accuracy = model.evaluate(X[225:], y[225:], verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(loss)
    assert history.history["val_accuracy"][-1] == accuracy
    assert model.metrics_names == ["loss", "accuracy"]
    assert model.evaluate(X, y, verbose=0, return_dict=True).keys() == {"accuracy", "loss"}
    assert accuracy == (model.predict(X[225:], verbose=0).argmax(axis=1) == y[225:]).mean()
    assert isinstance(net(metrics=None).evaluate(X, y, verbose=0), float)
    assert list(net(metrics="acc").fit(X, y, verbose=0).history) == ["acc", "loss"]
    kept = callbacks.History()
    assert model.fit(X, y, epochs=7, initial_epoch=5, verbose=0, callbacks=kept) is kept
    assert kept.epoch == [5, 6]
    assert model.fit(X, y, epochs=3, initial_epoch=5, verbose=0).history == {}


def test_every_kind_of_number_is_taken():
    X, y = learnable(4, N, D, K)
    histories = []
    for kind in (np.uint8, np.int64, np.float64, np.float32):
        model = net()
        model.set_weights([np.full_like(w, 0.01) for w in model.get_weights()])
        histories.append(model.fit(X.astype(kind), y, verbose=0, shuffle=False).history)
    assert all(history == histories[0] for history in histories)


def test_sparse_matrices_are_taken(data, monkeypatch):
    sparse = pytest.importorskip("scipy.sparse")
    monkeypatch.setattr(Sequential, "backend", "numba")
    X, y = data
    ended = []
    for x in (X, sparse.csr_matrix(X)):
        set_random_seed(2)
        model = net()
        history = model.fit(x, y, epochs=2, verbose=0, validation_split=0.2)
        ended.append((history.history["val_loss"], model.predict(x, verbose=0)))
    check("loss", ended[1][0], ended[0][0])
    check("probabilities", ended[1][1], ended[0][1])


def test_x_is_encoded_once_a_fit_and_threads_keep_their_pace(data, monkeypatch):
    encode, train_epoch, encoded, seen = reference.encode, reference.train_epoch, [], []

    def watched_encode(X):
        encoded.append(encode(X).copy())
        return encoded[-1]

    def watched_epoch(parameters, X, y, order, **options):
        assert y.dtype == np.int64
        seen.append((X, y, options["threads"]))
        with monkeypatch.context() as inner:
            inner.setattr(reference, "encode", encode)
            return train_epoch(parameters, X, y, order, **options)

    monkeypatch.setattr(reference, "encode", watched_encode)
    monkeypatch.setattr(reference, "train_epoch", watched_epoch)
    net(loss="categorical_crossentropy").fit(data[0], to_categorical(data[1], K), epochs=3, verbose=0)
    assert len(encoded) == 1
    assert len(seen) == 4  # one sample first, to compile and to start threads
    assert {id(X) for X, _, _ in seen} == {id(encoded[0])}
    assert len({id(y) for _, y, _ in seen}) == 1
    assert len({id(pace) for _, _, pace in seen[1:]}) == 1
    assert isinstance(seen[1][2], ThreadTuner)


# --- callbacks ----------------------------------------------------------------------------------


class Recorder(callbacks.Callback):
    def __init__(self):
        self.heard = []

    def on_train_begin(self, logs=None):
        self.heard.append("begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.heard.append(f"{epoch} begins")

    def on_epoch_end(self, epoch, logs=None):
        self.heard.append(f"{epoch} ends with {', '.join(logs)}")
        logs["mine"] = epoch
        self.model.stop_training = epoch == 1

    def on_train_end(self, logs=None):
        self.heard.append(f"end with {logs['mine']}")


def test_callbacks_hear_of_everything_and_may_stop(data):
    recorder = Recorder()
    model = net()
    history = model.fit(*data, epochs=5, verbose=0, callbacks=[recorder])
    told = "ends with accuracy, loss"
    assert recorder.heard == ["begin", "0 begins", f"0 {told}", "1 begins", f"1 {told}", "end with 1"]
    assert history.history["mine"] == [0, 1]
    assert model.stop_training
    assert recorder.params["steps"] == 10
    assert len(model.fit(*data, epochs=3, verbose=0).epoch) == 3


def losses_told(stopping, values, name="val_loss"):
    """After which epoch it stops, and which weights are there then: each epoch's are its number."""

    class Fake:
        stop_training = False
        weights = -1

        def get_weights(self):
            return self.weights

        def set_weights(self, weights):
            self.weights = weights

    model = Fake()
    stopping.set_model(model)
    stopping.on_train_begin()
    for epoch, value in enumerate(values):
        model.weights = epoch
        stopping.on_epoch_end(epoch, {name: value})
        if model.stop_training:
            break
    stopping.on_train_end()
    return epoch, model.weights


def test_early_stopping_by_what_it_is_told(capsys):
    early = callbacks.EarlyStopping
    assert losses_told(early(), [3, 2, 2, 1]) == (2, 2)
    assert losses_told(early(patience=2, restore_best_weights=True), [3, 2, 4, 5, 1]) == (3, 1)
    assert losses_told(early(patience=2), [3, 2, 4, 1, 2, 3]) == (5, 5)
    assert losses_told(early(min_delta=1.5, patience=1), [9, 8, 7]) == (1, 1)
    assert losses_told(early("val_accuracy"), [0.1, 0.2, 0.2, 0.3], "val_accuracy") == (2, 2)
    assert losses_told(early("acc", mode="min"), [0.3, 0.2, 0.3], "acc") == (2, 2)
    assert losses_told(early(mode="max"), [3, 2]) == (1, 1)
    assert losses_told(early(baseline=1, patience=2), [3, 4, 2, 3]) == (1, 1)
    assert losses_told(early(baseline=1, patience=2), [3, 0.5, 2, 3]) == (3, 3)
    assert losses_told(early(start_from_epoch=3), [1, 2, 3, 4, 5]) == (4, 4)
    assert losses_told(early(verbose=1, restore_best_weights=True), [1, 2]) == (1, 0)
    said = capsys.readouterr().out.splitlines()
    assert said == ["Epoch 2: stopped early", "The weights are those of epoch 1, the best one"]
    with pytest.warns(UserWarning, match="monitors val_loss, and the logs hold loss"):
        losses_told(early(), [1], "loss")


def test_learning_rates_by_epoch(data, capsys):
    model = net(optimizers.SGD(0.5))
    scheduler = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1)
    history = model.fit(*data, epochs=3, verbose=0, callbacks=[scheduler])
    assert history.history["learning_rate"] == [0.25, 0.125, 0.0625]
    assert "Epoch 3: learning rate 0.0625" in capsys.readouterr().out
    model.fit(*data, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: 0.3)])
    assert model.optimizer.learning_rate == model.optimizer.lr == 0.3
    with pytest.raises(ValueError, match="learning_rate"):
        model.fit(*data, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: -1.0)])


def test_momentum_is_one_of_steps_where_the_rate_changes(data):
    """Keras: step = momentum step - lr g; w += step."""
    model = net(optimizers.SGD(0.1, momentum=0.9))
    X, y = data
    w, step = fastmlp.Parameters.from_keras(model.get_weights()), [0 * a for a in model.get_weights()]
    for epoch, lr in enumerate((0.1, 0.01, 0.05)):
        model.optimizer.learning_rate = lr
        model.fit(X, y, batch_size=N, shuffle=False, verbose=0)
        gradients = list(reference.loss_and_gradients(w, X, y, loss="logits").gradients)
        step = [0.9 * s - lr * g for s, g in zip(step, gradients, strict=True)]
        w = fastmlp.Parameters.from_keras([a + s for a, s in zip(w, step, strict=True)])
        for got, want in zip(model.get_weights(), w, strict=True):
            check("trajectory weights", got, want.astype(np.float32), f"epoch {epoch}")


def test_an_optimizer_trains_one_model(data):
    optimizer = optimizers.SGD()
    net(optimizer).fit(*data, verbose=0)
    with pytest.raises(ValueError, match="one model"):
        net(optimizer).fit(*data, verbose=0)


def test_divergence_leaves_the_last_good_weights(data):
    X, y = data
    model = Sequential([Dense(8, "relu", input_dim=D), Dense(K)])
    model.compile(optimizers.SGD(1e18), losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()
    with pytest.raises(fastmlp.DivergedError, match="finite"):
        model.fit(X * np.float32(1e20), y, verbose=0)
    assert all(map(np.array_equal, before, model.get_weights()))


# --- progress -----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_lines(data, capsys):
    X, y = data
    model = net()
    model.fit(X, y, epochs=2, verbose=1, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2"
    assert lines[2] == "Epoch 2/2"
    for line in (lines[1], lines[3]):
        assert line.startswith("8/8 ━━━━━━━━━━━━━━━━━━━━ ")
        assert "/step - accuracy: 0." in line
        assert " - loss: " in line
        assert " - val_accuracy: 0." in line
        assert " - val_loss: " in line
    assert len(lines) == 4
    model.fit(X, y, verbose=2)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("10/10 - 0s - ")
    assert "━" not in line
    model.evaluate(X, y)
    assert capsys.readouterr().out.startswith("10/10 ━━━━━━━━━━━━━━━━━━━━ ")
    model.predict(X, batch_size=1)
    assert capsys.readouterr().out.startswith("300/300 ━━━━━━━━━━━━━━━━━━━━ ")
    for call in (model.fit, model.evaluate):
        call(X, y, verbose=0)
    model.predict(X, verbose=0)
    assert capsys.readouterr().out == ""


def test_a_bar_grows_on_a_terminal(data, monkeypatch):
    from fastmlp.keras import progress

    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    monkeypatch.setattr(sys, "stdout", screen := Terminal())
    net().fit(*data, batch_size=10, epochs=2)
    lines = screen.getvalue().split("\n")
    assert lines[0] == "Epoch 1/2"
    assert "━" in lines[1]
    assert "─" in lines[1]
    assert lines[1].count("\r") > 2
    last = lines[1].split("\r")[-1]
    assert last.startswith("30/30 ━━━━━━━━━━━━━━━━━━━━ ")
    assert last.rstrip().split()[-1].replace(".", "").isdigit()


def test_lines_for_plain_screens_and_none(data, monkeypatch):
    monkeypatch.setattr(sys, "stdout", screen := io.TextIOWrapper(io.BytesIO(), "ascii"))
    net().fit(*data)
    screen.seek(0)
    assert "10/10 ==================== " in screen.read()
    monkeypatch.setattr(sys, "stdout", None)
    net().fit(*data)


# --- files --------------------------------------------------------------------------------------


def test_saved_models_come_back(data, tmp_path):
    X, y = data
    path = tmp_path / "net.keras"
    for loss, layers_ in (
        ("sparse_categorical_crossentropy", [Dense(8, "tanh", input_dim=D), Dense(K, "softmax", name="out")]),
        (losses.SparseCategoricalCrossentropy(True), [Dense(8, input_dim=D), Activation("relu"), Dense(K)]),
        (losses.SparseCategoricalCrossentropy(clip="keras2"), [Dense(K, "softmax", input_dim=D)]),
    ):
        model = Sequential(layers_, name="mine")
        model.compile(optimizers.Adam(0.01, 0.8), loss, metrics=["acc"])
        model.fit(X, y, verbose=0)
        model.save(path)
        other = load_model(path)
        assert other.name == "mine"
        assert vars(other.loss) == vars(model.loss)
        assert [(type(a), a.name) for a in other.layers] == [(type(a), a.name) for a in model.layers]
        assert all(map(np.array_equal, other.get_weights(), model.get_weights()))
        assert np.array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
        assert other.evaluate(X, y, verbose=0) == model.evaluate(X, y, verbose=0)
        assert other.optimizer.describe() == model.optimizer.describe()
        assert other.metrics_names == ["loss", "acc"]
        assert not load_model(path, compile=False).compiled
    with pytest.raises(FileExistsError):
        model.save(path, overwrite=False)
    with pytest.raises(OSError, match="nowhere"):
        model.save(tmp_path / "nowhere" / "net")


def test_a_file_that_does_not_say_its_clip_was_trained_with_keras_2s(data, tmp_path):
    path, model = tmp_path / "net", net()
    model.fit(*data, verbose=0)
    model.save(path)
    stack = [("Dense", 8, "relu"), ("Dense", K, "softmax")]
    fastmlp.Model.load(path).save(path, {"keras": entry_of(stack, {"class": "SGD", "learning_rate": 0.1})})
    assert load_model(path).loss.clip == "keras2"
    logits = entry_of([*stack[:1], ("Dense", K, "linear")], {"class": "SGD"}, from_logits=True)
    fastmlp.Model.load(path).save(path, {"keras": logits})
    assert load_model(path).loss.clip is None


def test_fastmlps_own_files_and_the_facades_are_the_same_format(data, tmp_path):
    X, y = learnable(4, N, D, K)
    path = tmp_path / "net.safetensors"
    model = net()
    model.fit(X, y, verbose=0)
    model.save(path)
    same = fastmlp.Model.load(path)
    assert np.array_equal(same.predict(X), model.predict(X, verbose=0).argmax(axis=1))
    for scale, center in ((255, False), (255, True), (1, False)):
        trained, _ = fastmlp.fit(
            X, y, hidden=(9, 6), act="tanh", scale=scale, center=center, epochs=2, backend="numpy"
        )
        trained.save(path)
        loaded = load_model(path)
        assert not loaded.compiled
        check("raw outputs", loaded.predict(X, verbose=0), trained.predict_proba(X))
    softmax_regression, _ = fastmlp.fit(X, y, hidden=(), act="identity", epochs=1, backend="numpy")
    softmax_regression.save(path)
    check("raw outputs", load_model(path).predict(X, verbose=0), softmax_regression.predict_proba(X))


def entry_of(stack, optimizer=None, from_logits=False):
    """What a file says of its layers and its training."""
    words = ("class", "units", "activation")
    loss = {"sparse": True, "from_logits": from_logits}
    return json.dumps({
        "name": "a",
        "layers": [dict(zip(words, layer, strict=True)) for layer in stack],
        "compiled": optimizer and {"loss": loss, "optimizer": optimizer, "metrics": []},
    })  # fmt: skip


@pytest.mark.parametrize(
    "entry",
    [
        "{",
        "[" * 100_000,
        "[]",
        "{}",
        '{"name": "a", "layers": []}',
        '{"name": "a", "layers": 3, "compiled": null}',
        entry_of([("Dense", 10**9, "softmax")]),
        entry_of([("Dense", 10**6, "relu"), ("Dense", K, "softmax")]),
        entry_of([("Dense", 8, "tanh"), ("Dense", K, "softmax")]),
        entry_of([("Dense", 8, "relu"), ("Conv2D", K, "softmax")]),
        entry_of([("Dense", 8, "relu"), ("Dense", K, "softmax")], {"class": "os"}),
        entry_of([("Dense", 8, "relu"), ("Dense", K, "softmax")], {"class": "SGD", "learning_rate": -1}),
        entry_of([("Dense", 8, "relu"), ("Dense", K, "softmax")], {"class": "SGD", "unknown": 1}),
    ],
)
def test_damaged_files_are_refused(data, tmp_path, entry):
    path = tmp_path / "net"
    model = net()
    model.fit(*data, verbose=0)
    model.save(path)
    fastmlp.Model.load(path).save(path, {"keras": entry})
    with pytest.raises(fastmlp.ModelError):
        load_model(path)
    path.write_bytes(b"nothing")
    with pytest.raises(fastmlp.ModelError):
        load_model(path)
