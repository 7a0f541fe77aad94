"""One program, run by fastmlp.keras and by Keras itself: the same numbers (the extra ``parity``).

Keras runs on TensorFlow, or where KERAS_BACKEND says: a process has one backend. On PyTorch it clips as
Keras 2 did, and so does fastmlp.keras by ``clip="keras2"``; the last test runs this file once more there.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import keras_cases as cases
import numpy as np
import pytest
from compare import check
from keras_words import ATTRIBUTES
from nets import learnable

import fastmlp.keras as ours

BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
CLIP = {} if BACKEND == "tensorflow" else {"clip": "keras2"}  # what the others do too
keras: Any = None  # what the first fixture imports: that takes seconds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras' own
]
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="it is what Keras does on TensorFlow")


@pytest.fixture(scope="module", autouse=True)
def imported():
    global keras
    with pytest.MonkeyPatch.context() as patch:  # for the import alone: other tests start processes
        patch.setenv("KERAS_BACKEND", BACKEND)
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        pytest.importorskip(BACKEND)
        keras = pytest.importorskip("keras")
    assert keras.config.backend() == BACKEND


@pytest.fixture(autouse=True)
def forgotten():
    """Keras keeps what it has compiled."""
    yield
    keras.backend.clear_session()


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
    kind = k.losses.SparseCategoricalCrossentropy if "sparse" in loss else k.losses.CategoricalCrossentropy
    if "logits" in loss:
        loss = kind(from_logits=True)
    else:
        model.add(k.layers.Activation("softmax"))
        loss = kind(**CLIP) if CLIP and k is ours else loss
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


ENGINES = {
    "relu": {}, "leaky_relu:0.2": {}, "elu:1.5": {"alpha": 1.5}, "selu": {}, "gelu": {}, "silu": {},
    "gelu_tanh": {"approximate": True}, "softplus": {}, "sigmoid": {}, "hard_sigmoid": {}, "tanh": {},
}  # fmt: skip
"""The engine's words, and what Keras' function of that name is told beside z."""


@on_tensorflow
@pytest.mark.parametrize("act", ENGINES)
def test_the_engines_activations_are_keras_own(act):
    import tensorflow

    from fastmlp import reference

    name, told = act.partition(":")[0].removesuffix("_tanh"), ENGINES[act]
    z = tensorflow.constant(np.linspace(-9, 9.5, 2001), "float32")
    with tensorflow.GradientTape() as tape:
        tape.watch(z)
        a = getattr(keras.activations, name)(z, **told)
    found = reference.activated(act, z.numpy())
    check("keras outputs", found[0], a.numpy())
    check("keras outputs", found[1], tape.gradient(a, z).numpy())


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


# --- unscaled inputs ----------------------------------------------------------------------------


@pytest.fixture
def mnist(mnist_folder, monkeypatch):
    monkeypatch.setenv("FASTMLP_DATA", str(mnist_folder.resolve()))
    return ours.datasets.mnist.load_data()


@pytest.mark.usefixtures("mnist")
@pytest.mark.parametrize("number", list(cases.STEPS)[:: 1 if CLIP else 8])
def test_the_same_steps_on_unscaled_inputs(number):
    """Each from Keras' own weights; on TensorFlow the file below has them all."""
    case = cases.drawn(number)
    want = cases.stepped(keras, case)
    for backend in BACKENDS:
        cases.same_steps(cases.stepped(ours, case, want["weights"], backend=backend, **CLIP), want, case)


@on_tensorflow
@pytest.mark.usefixtures("mnist")
def test_the_file_for_the_tests_without_keras_is_what_keras_answers():
    """A third of it, drawn anew. Else run tests/support/write_keras_fixtures.py."""
    kept = cases.kept()
    assert list(kept) == [*cases.TRAININGS, *cases.STEPS]
    for number in cases.TRAININGS[1::3]:
        case = cases.drawn(number)
        cases.same_training(cases.trained(keras, case), kept[number], case)
    for number in cases.STEPS[1::3]:
        case, want = cases.drawn(number), kept[number]
        cases.same_steps(cases.stepped(keras, case, want["weights"]), want, case)


@pytest.mark.parametrize("act", ["relu", "sigmoid"])
def test_the_questions_net_on_mnist_as_it_is(mnist, act):
    """784-100-10 on images of 0 .. 255: a step at the question's rate, twenty below the stability limit."""
    (X, y), _ = mnist
    X, y = X[:2000].reshape(-1, 784).astype(np.float32), y[:2000]
    ended = {}
    for lr in (1e-6, 0.01):
        for k in (keras, ours):
            rng = np.random.default_rng(3)
            model = k.Sequential(
                [
                    k.Input((784,)),
                    k.layers.Dense(100, activation=act),
                    k.layers.Dense(10, activation="softmax"),
                ]
            )
            loss = ours.losses.SparseCategoricalCrossentropy(**CLIP) if k is ours else LOSSES[1]
            model.compile(k.optimizers.SGD(lr), loss)
            model.set_weights([rng.uniform(-0.08, 0.08, w.shape) for w in model.get_weights()])
            one = model.fit(X[:100], y[:100], batch_size=100, verbose=0, shuffle=False).history["loss"]
            first = model.get_weights()
            more = model.fit(X, y, batch_size=100, verbose=0, shuffle=False).history["loss"]
            ended[k, lr] = [one + more, *model.get_weights()] if lr < 0.01 else [one, *first]
        for got, want in zip(ended[ours, lr], ended[keras, lr], strict=True):
            check("raw loss" if np.size(got) < 3 else "keras weights", got, want, f"{act} {lr}")


@on_tensorflow
def test_breast_cancer_as_it_is():
    assert min(cases.breast_cancer(keras, 3)) > 0.75  # and so here: see test_keras_fixtures.py


# --- what Keras is, that fastmlp.keras follows ---------------------------------------------------


WAYS = {  # to give the loss of that name, whose function has that word
    "word": lambda k, name, word: word,
    "name": lambda k, name, word: name,
    "class": lambda k, name, word: getattr(k.losses, name),
    "object": lambda k, name, word: getattr(k.losses, name)(),
    "function": lambda k, name, word: getattr(k.losses, word),
    "from_logits": lambda k, name, word: getattr(k.losses, name)(from_logits=True),
}


@on_tensorflow
@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "SparseCategoricalCrossentropy"])
@pytest.mark.parametrize(
    ("way", "last", "eager"),
    [
        *((way, "Dense", False) for way in WAYS),
        *((way, "Activation", False) for way in ("word", "object", "from_logits")),
        *(("word", last, eager) for last, eager in (("linear after it", False), ("Activation", True))),
    ],
)
def test_keras_takes_the_logits_wherever_softmax_is_the_last_word(data, way, name, last, eager):
    """However the loss is given, in training and in an evaluation; from_logits=True warns."""
    X, y, word = data[0] * np.float32(100), data[1], LOSSES[name.startswith("Sparse")]
    told = []
    for k in (keras, ours):
        layers = [k.layers.Dense(K, activation="softmax")]
        if last != "Dense":
            layers = [k.layers.Dense(K), k.layers.Activation("softmax")]
        if last == "linear after it":
            layers.append(k.layers.Activation("linear"))
        model = k.Sequential([k.Input((D,)), *layers])
        model.compile("sgd", WAYS[way](k, name, word), run_eagerly=eager)
        rng = np.random.default_rng(1)
        model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            score = model.evaluate(X, targets(k, y, word), verbose=0)
            history = model.fit(X, targets(k, y, word), verbose=0, shuffle=False, batch_size=N).history
        told.append([score, *history["loss"]])
        assert any("from_logits=True" in str(each.message) for each in seen) == (way == "from_logits")
    check("raw loss", told[1], told[0])
    assert told[0][0] > 20  # far beyond what a clip lets through: -ln(1e-7) is 16


def settable(it) -> set[str]:
    """What a program may set in it, public."""
    names = set(vars(it))
    for base in type(it).__mro__:
        for name, found in vars(base).items():
            fixed = callable(found) or isinstance(found, staticmethod | classmethod)
            if not fixed and not (isinstance(found, property) and found.fset is None):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


@on_tensorflow
def test_every_attribute_that_keras_has_is_in_the_list(data):
    """So test_keras_settled.py tries each."""
    model = model_of(keras)
    model.fit(data[0], targets(keras, data[1], LOSSES[0]), verbose=0)
    for it in (
        *(model, model.layers[0], model.layers[-1], keras.optimizers.SGD(), keras.optimizers.Adam()),
        *(keras.losses.CategoricalCrossentropy(), keras.losses.SparseCategoricalCrossentropy()),
    ):
        kind = type(it).__name__
        if kind == "LossFunctionWrapper":
            continue
        assert settable(it) == set(ATTRIBUTES[kind].split()), kind


@on_tensorflow
def test_arguments_by_their_place_are_keras_ones():
    """So that a value without a name is never taken for another's. compile has Keras 2's order."""
    pairs = [
        (getattr(ours.layers, n), getattr(keras.layers, n)) for n in ("Dense", "Activation", "InputLayer")
    ]
    pairs += [(getattr(ours.optimizers, n), getattr(keras.optimizers, n)) for n in ("SGD", "Adam")]
    pairs += [(getattr(ours.losses, n), getattr(keras.losses, n)) for n in ("CategoricalCrossentropy",)]
    pairs += [(getattr(ours.losses, n), getattr(keras.losses, n)) for n in ("SparseCategoricalCrossentropy",)]
    names = ("Callback", "EarlyStopping", "LearningRateScheduler", "History")
    pairs += [(getattr(ours.callbacks, n), getattr(keras.callbacks, n)) for n in names]
    names = ("fit", "evaluate", "predict", "save", "summary", "get_layer", "add", "pop", "set_weights")
    pairs += [(getattr(ours.Sequential, n), getattr(keras.Sequential, n)) for n in names]
    pairs += [(ours.Input, keras.Input), (ours.models.load_model, keras.models.load_model)]
    pairs += [(ours.utils.set_random_seed, keras.utils.set_random_seed)]
    for mine, theirs in pairs:
        placed = [
            [p.name for p in inspect.signature(f).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
            for f in (mine, theirs)
        ]
        assert placed[0] == placed[1][: len(placed[0])], mine


@on_tensorflow
@pytest.mark.parametrize(
    ("call", "first", "theirs"),
    [
        (lambda **o: ours.layers.Dense(3, **o), "units", "layers.Dense"),
        (lambda **o: ours.layers.Activation("relu", **o), "activation", "layers.Activation"),
        (lambda **o: ours.Input((3,), **o), "shape", "Input"),
        (ours.optimizers.SGD, None, "optimizers.SGD"),
        (ours.optimizers.Adam, None, "optimizers.Adam"),
        (ours.losses.CategoricalCrossentropy, None, "losses.CategoricalCrossentropy"),
        (ours.losses.SparseCategoricalCrossentropy, None, "losses.SparseCategoricalCrossentropy"),
    ],
)
def test_every_argument_that_keras_has_is_known(call, first, theirs):
    """Its default is taken, and so is every word: obeyed, or refused as what Keras has."""
    it = keras
    for name in theirs.split("."):
        it = getattr(it, name)
    for name, parameter in inspect.signature(it).parameters.items():
        if name != first and parameter.kind == parameter.POSITIONAL_OR_KEYWORD:
            call(**{name: parameter.default})
            if name not in ("name", "nesterov", "from_logits", "use_bias"):  # which take a word, or its truth
                with pytest.raises((ValueError, ours.MissingError)):  # no TypeError: no argument of the kind
                    call(**{name: "no such value"})


# --- and on PyTorch -----------------------------------------------------------------------------


@on_tensorflow
def test_the_same_on_pytorch_with_keras_2s_clip():
    pytest.importorskip("torch")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "KERAS_BACKEND": "torch"}, cwd=Path(__file__).parents[2], capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert " passed" in ran.stdout
