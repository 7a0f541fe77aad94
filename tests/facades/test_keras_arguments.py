"""Every argument in Keras' words: each has its effect, or raises an error that names it."""

from __future__ import annotations

import contextlib
import inspect
import io

import numpy as np
import pytest
from keras_words import LOGITS, D, K, N, net, settled_data

from fastmlp import ModelError, keras
from fastmlp.keras import callbacks, datasets, layers, losses, models, optimizers, utils
from fastmlp.keras.layers import Activation, Dense, Input
from fastmlp.keras.models import Sequential, load_model

pytestmark = pytest.mark.usefixtures("numpy_backend")


@pytest.fixture(scope="module")
def data():
    return settled_data()


def said(call):
    """What it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        call()
    return "".join(letter for letter in out.getvalue() if letter not in "0123456789.um")  # times differ


def trained(data, words=None, **options):
    model = net(**options)
    words = {"epochs": 2, "verbose": 0} | (words or {})
    x, y = words.pop("x", data[0]), words.pop("y", data[1])
    history = model.fit(x, y, **words)
    return history.epoch, history.history, [w.tolist() for w in model.get_weights()]


def stopped(data, **options):
    model = net()
    stopping = callbacks.EarlyStopping(**({"monitor": "loss", "patience": 1} | options))
    out = said(lambda: model.fit(*data, epochs=6, verbose=0, callbacks=[stopping], validation_split=0.3))
    return model.history.epoch, [w.tolist() for w in model.get_weights()], out


def scheduled(data, schedule=lambda epoch: 0.1, verbose=0):
    model = net()
    scheduler = callbacks.LearningRateScheduler(schedule, verbose)
    out = said(lambda: model.fit(*data, verbose=0, callbacks=[scheduler]))
    return model.history.history, out


def stack(*layers_, inputs=D, name=None):
    utils.set_random_seed(1)
    model = Sequential(layers_, name=name)
    model.build((None, inputs))
    return [layer.name for layer in model.layers], [w.tolist() for w in model.get_weights()]


def answers(data, *layers_):
    utils.set_random_seed(1)
    return Sequential([*layers_, Dense(K)]).predict(data[0], verbose=0).tolist()


def scores(data, words=None, **options):
    return net(**options).evaluate(*data, **({"verbose": 0} | (words or {})))


def loaded(folder, name="net", **options):
    net().save(folder / "net")
    return load_model(folder / name, **options).compiled


def seeded(seed):
    utils.set_random_seed(seed)
    return keras.layers.Dense(3, input_dim=2).inputs, np.random.random()  # noqa: NPY002


def or_error(call):
    try:
        return call()
    except (ModelError, keras.MissingError) as error:
        return type(error).__name__


REFUSED, SAME = "refused", "same"  # SAME: it changes how Keras computes, and not what


def arguments(data, tmp_path):
    """For every parameter a function of its value, and two values for which its results must differ."""
    X, y = data
    far = (1e3 * X, y), (1e3 * X, utils.to_categorical(y, K))  # beyond the clip
    sgd, adam, patient = optimizers.SGD, optimizers.Adam, {"mode": "max"}

    def steps(optimizer):
        return trained(data, optimizer=optimizer)

    def fit(word):
        return lambda value: trained(data, {word: value})

    def stopping(word, **others):
        return lambda value: stopped(data, **others, **{word: value})

    def crossentropy(of, far):
        return {
            "from_logits": (lambda told: or_error(lambda: scores(far, last=(), loss=of(told))), True, False),
            "clip": (lambda clip: scores(far, loss=of(clip=clip)), None, "keras2"),
            "name": (lambda name: of(name=name).name, "a", "b"),
        }

    return {
        "Dense": {
            "units": (lambda units: stack(Dense(units)), 3, 4),
            "activation": (lambda act: answers(data, Dense(3, act)), None, "tanh"),
            "use_bias": REFUSED,
            "kernel_initializer": (
                lambda init: stack(Dense(3, kernel_initializer=init)), "glorot_uniform", "he_uniform",
            ),
            "input_dim": (lambda D: Dense(3, input_dim=D).inputs, None, 4),
            "input_shape": (lambda shape: Dense(3, input_shape=shape).inputs, None, (4,)),
            "name": (lambda name: stack(Dense(3, name=name)), "a", "b"),
        },
        "Activation": {
            "activation": (lambda act: answers(data, Dense(3), Activation(act)), "relu", "tanh"),
            "name": (lambda name: Activation("relu", name=name).name, "a", "b"),
        },
        "Input": {"shape": (lambda shape: Input(shape).inputs, (3,), (4,))},
        "InputLayer": {
            "shape": (lambda shape: layers.InputLayer(shape).inputs, (3,), (4,)),
            "input_shape": (lambda shape: layers.InputLayer(input_shape=shape).inputs, (3,), (4,)),
            "name": (lambda name: Input((3,), name=name).name, "a", "b"),
        },
        "Layer": {
            "name": (lambda name: layers.Layer(name=name).name, "a", "b"),
            "inputs": (lambda inputs: layers.Layer(inputs=inputs).inputs, 1, 2),
        },
        "SGD": {
            "learning_rate": (lambda lr: steps(sgd(lr)), 0.1, 0.2),
            "momentum": (lambda momentum: steps(sgd(0.1, momentum)), 0.0, 0.5),
            "nesterov": (lambda nesterov: steps(sgd(0.1, 0.5, nesterov)), False, True),
            "name": (lambda name: sgd(name=name).name, "a", "b"),
        },
        "Adam": {
            "learning_rate": (lambda lr: steps(adam(lr)), 0.1, 0.2),
            "beta_1": (lambda beta: steps(adam(0.1, beta)), 0.8, 0.9),
            "beta_2": (lambda beta: steps(adam(0.1, beta_2=beta)), 0.8, 0.999),
            "epsilon": (lambda epsilon: steps(adam(0.1, epsilon=epsilon)), None, 0.1),
            "amsgrad": REFUSED,
            "name": (lambda name: adam(name=name).name, "a", "b"),
        },
        "CategoricalCrossentropy": crossentropy(losses.CategoricalCrossentropy, far[1]),
        "SparseCategoricalCrossentropy": crossentropy(losses.SparseCategoricalCrossentropy, far[0]),
        "EarlyStopping": {
            "monitor": (stopping("monitor", **patient), "loss", "accuracy"),
            "min_delta": (stopping("min_delta"), 0, 3),
            "patience": (stopping("patience", **patient), 1, 3),
            "verbose": (stopping("verbose", **patient), 0, 1),
            "mode": (stopping("mode"), "auto", "max"),
            "baseline": (stopping("baseline", mode="max", patience=2), None, 9),
            "restore_best_weights": (stopping("restore_best_weights", **patient), False, True),
            "start_from_epoch": (stopping("start_from_epoch", **patient), 0, 3),
        },
        "LearningRateScheduler": {
            "schedule": (lambda schedule: scheduled(data, schedule), lambda epoch: 0.1, lambda epoch: 0.2),
            "verbose": (lambda verbose: scheduled(data, verbose=verbose), 0, 1),
        },
        "Callback": {},
        "History": {},
        "Sequential": {
            "layers": (lambda given: [layer.name for layer in Sequential(given).layers], [], [Dense(3)]),
            "name": (lambda name: Sequential(name=name).name, "a", "b"),
        },
        "Sequential.compile": {
            "optimizer": (steps, sgd(0.1), adam(0.1)),
            "loss": (lambda loss: or_error(lambda: scores(data, last=(), loss=loss)), None, LOGITS),
            "metrics": (lambda metrics: scores(data, metrics=metrics), None, "accuracy"),
        },
        "Sequential.fit": {
            "x": (fit("x"), X, 2 * X),
            "y": (fit("y"), y, (y + 1) % K),
            "batch_size": (fit("batch_size"), None, 5),
            "epochs": (fit("epochs"), 1, 2),
            "verbose": (lambda verbose: said(lambda: trained(data, {"verbose": verbose})), 0, 2),
            "callbacks": (fit("callbacks"), None, callbacks.LearningRateScheduler(lambda epoch: 0.3)),
            "validation_split": (fit("validation_split"), 0.0, 0.2),
            "validation_data": (fit("validation_data"), None, (X[:9], y[:9])),
            "shuffle": (fit("shuffle"), True, False),
            "class_weight": REFUSED,
            "sample_weight": REFUSED,
            "initial_epoch": (fit("initial_epoch"), 0, 1),
            "validation_batch_size": SAME,
        },
        "Sequential.evaluate": {
            "x": (lambda x: scores((x, y)), X, 2 * X),
            "y": (lambda y: scores((X, y)), y, (y + 1) % K),
            "batch_size": SAME,
            "verbose": (lambda verbose: said(lambda: scores(data, {"verbose": verbose})), 0, 1),
            "sample_weight": REFUSED,
            "return_dict": (lambda told: scores(data, {"return_dict": told}), False, True),
        },
        "Sequential.predict": {
            "x": (lambda x: net().predict(x, verbose=0).tolist(), X, 2 * X),
            "batch_size": SAME,
            "verbose": (lambda verbose: said(lambda: net().predict(X, verbose=verbose)), 0, 1),
        },
        "load_model": {
            "filepath": (lambda path: or_error(lambda: loaded(tmp_path, path)), "net", "nothing"),
            "custom_objects": REFUSED,
            "compile": (lambda told: loaded(tmp_path, compile=told), True, False),
        },
        "to_categorical": {
            "x": (lambda x: utils.to_categorical(x, 3).tolist(), [0], [1]),
            "num_classes": (lambda K: utils.to_categorical([0], K).shape, None, 3),
            "dtype": (lambda dtype: utils.to_categorical([0], dtype=dtype).dtype, "float64", "int32"),
        },
        "set_random_seed": {"seed": (seeded, 1, 2)},
        "load_data": {"path": SAME},  # where Keras would keep its copy
    }  # fmt: skip


def public():
    """Every class and function of the facade, and Sequential's methods that train and answer."""
    found = {}
    for module in (layers, losses, optimizers, callbacks, models, utils, datasets.mnist):
        for name in getattr(module, "__all__", ("load_data",)):
            it = getattr(module, name)
            if callable(it):
                found[name] = it
    return found | {
        f"Sequential.{name}": getattr(Sequential, name) for name in ("compile", "fit", "evaluate", "predict")
    }


def test_every_argument_has_its_effect_or_raises_an_error(data, tmp_path):
    X, y = data
    refused = {
        "Dense.use_bias": lambda: Dense(3, use_bias=False),
        "Adam.amsgrad": lambda: optimizers.Adam(amsgrad=True),
        "Sequential.fit.class_weight": lambda: net().fit(X, y, class_weight={0: 2.0}),
        "Sequential.fit.sample_weight": lambda: net().fit(X, y, sample_weight=np.ones(N)),
        "Sequential.evaluate.sample_weight": lambda: net().evaluate(X, y, sample_weight=np.ones(N)),
        "load_model.custom_objects": lambda: loaded(tmp_path, custom_objects={"a": 1}),
    }
    same = {
        "Sequential.fit.validation_batch_size": lambda size: trained(
            data, {"validation_split": 0.2, "validation_batch_size": size}
        ),
        "Sequential.evaluate.batch_size": lambda size: scores(data, {"batch_size": size}),
        "Sequential.predict.batch_size": lambda size: net().predict(X, batch_size=size, verbose=0).tolist(),
        "load_data.path": lambda size: None,
    }
    table, asked = arguments(data, tmp_path), 0
    for name, it in public().items():
        parameters = inspect.signature(it).parameters.values()
        words = {p.name for p in parameters if p.name != "self" and p.kind != p.VAR_KEYWORD}
        assert table[name].keys() == words, name
        for word, row in table[name].items():
            asked += 1
            if row == REFUSED:
                with pytest.raises(keras.MissingError, match="bias" if word == "use_bias" else word):
                    refused[f"{name}.{word}"]()
            elif row == SAME:
                assert same[f"{name}.{word}"](None) == same[f"{name}.{word}"](7)
            else:
                probe, first, second = row
                assert probe(first) != probe(second), f"{name}: {word} changes nothing"
    assert asked > 60


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda **o: Dense(3, **o),
            "bias_initializer kernel_regularizer bias_regularizer activity_regularizer kernel_constraint "
            "bias_constraint lora_rank trainable dtype batch_input_shape autocast lora_alpha "
            "quantization_config",
        ),
        (lambda **o: Activation("relu", **o), "trainable dtype batch_input_shape"),
        (
            lambda **o: Input((3,), **o),
            "batch_size dtype sparse batch_shape trainable ragged tensor optional",
        ),
        (
            optimizers.SGD,
            "weight_decay clipnorm clipvalue global_clipnorm use_ema loss_scale_factor "
            "gradient_accumulation_steps decay ema_momentum ema_overwrite_frequency",
        ),
        (
            optimizers.Adam,
            "weight_decay clipnorm clipvalue global_clipnorm use_ema loss_scale_factor "
            "gradient_accumulation_steps decay ema_momentum ema_overwrite_frequency",
        ),
        (losses.CategoricalCrossentropy, "label_smoothing axis reduction dtype"),
        (losses.SparseCategoricalCrossentropy, "ignore_class axis reduction dtype"),
        (lambda **o: net().compile("sgd", "categorical_crossentropy", **o), "loss_weights weighted_metrics"),
        (
            lambda **o: net().fit(np.ones((3, D)), [0, 1, 2], **o),
            "steps_per_epoch validation_steps validation_freq workers use_multiprocessing max_queue_size",
        ),
        (
            lambda **o: net().evaluate(np.ones((3, D)), [0, 1, 2], **o),
            "steps callbacks workers max_queue_size",
        ),
        (lambda **o: net().predict(np.ones((3, D)), **o), "steps callbacks workers max_queue_size"),
    ],
)
def test_every_other_word_of_keras_raises_an_error_that_names_it(call, words):
    for word in words.split():
        for value in ("l1", 0.123, 7, np.ones(2), [1.0], object()):
            with pytest.raises(keras.MissingError, match=rf"no {word} in "):
                call(**{word: value})
    with pytest.raises(TypeError, match="nothing_of_the_kind"):
        call(nothing_of_the_kind=1)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda: optimizers.SGD(0.1, 0.9, False, 1e-4),
            "positional",
        ),  # Keras: weight_decay; here it was a name
        (lambda: optimizers.Adam(0.1, 0.9, 0.99, 1e-7, False, 1e-4), "positional"),
        (lambda: net().fit(None, None, 1, 1, 0, None, 0, None, True, None, None, 0, 5), "positional"),
        (lambda: net().summary(60, [0.5]), "positional"),
        (lambda: losses.CategoricalCrossentropy(False, 0.1), "positional"),
        (lambda: Dense(3, input_dim=4, input_shape=(5,)), "must agree; got 4 and"),
        (lambda: Input((3,), input_shape=(4,)), "must agree"),
        (lambda: net().get_layer("dense", 1), "by name or by index"),
        (lambda: net().fit(np.ones((3, D)), [0, 1, 2], shuffle="batch"), "shuffle='batch'"),
        (
            lambda: net().fit(np.ones((3, D)), [0, 1, 2], validation_batch_size=0),
            "^validation_batch_size must",
        ),
        (lambda: callbacks.EarlyStopping(monitor=None), "^monitor must be a text"),
        (lambda: callbacks.EarlyStopping(monitor=""), "^monitor must be a text"),
    ],
)
def test_what_was_taken_for_something_else_is_refused(call, match):
    with pytest.raises((TypeError, ValueError, keras.MissingError), match=match):
        call()
