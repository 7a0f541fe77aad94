"""Words of layers: one value or one a layer, by numbers, lists, text, Layers and JSON; bad ones by name."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from checkpoints import X, Y
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp import Architecture, ConfigError, Training, fit
from fastmlp.spec import WORDS
from fastmlp.words.activations import ACTIVATIONS
from fastmlp.words.inits import INITS
from fastmlp.words.layers import (
    LAYER_WORDS,
    BatchNorm,
    Layer,
    compact,
    layers_of,
    settled,
    values_of,
    widths_of,
)

BAD = {
    "act": [
        "swish",
        "relu:1",
        "leaky_relu:",
        "leaky_relu:-1",
        "leaky_relu:nan",
        "relu,",
        "relu,,tanh",
        7,
        True,
    ],
    "dropout": [1, 1.0, -0.1, math.nan, "x", "0.2,x", "0.2,1", None, True, "50%", [0.1, 2]],
    "batch_norm": [
        2,
        "",
        "yes",
        "before:",
        "after:0.9",
        "after:1,0.1",
        "after:0.9,0",
        "after:0.9,1e-5,biased",
    ],
    "bias": [2, "no", None, 0.5, "true,2"],
    "l1": [-1, math.inf, "x", None, True, "0.1,-1"],
    "l2": [-1e-9, math.nan, [0.1, "y"], 1e31],
    "max_norm": [-3, math.nan, "three"],
    "init": ["he", "", None, 3, "he_uniform,x"],
    "frozen": ["maybe", 2, None],
    "input_dropout": [1, -0.1, math.nan, "x", None, [0.1]],
}
NORMS = [None, BatchNorm(), BatchNorm("after"), BatchNorm("before", 0.9, 1e-5, True), BatchNorm("after", 0.5)]

number = st.just(0.0) | st.floats(1e-6, 0.9)
WORD_VALUES = {
    "act": st.sampled_from((*ACTIVATIONS, "leaky_relu:0.2", "elu:0.5")),
    "dropout": number,
    "batch_norm": st.sampled_from(NORMS),
    "bias": st.booleans(),
    "l1": number,
    "l2": number,
    "max_norm": number,
    "init": st.sampled_from(tuple(INITS)),
    "frozen": st.booleans(),
}
some_layers = st.lists(st.builds(Layer, st.integers(1, 9), **WORD_VALUES), max_size=4)
anything = st.text(max_size=12) | st.integers() | st.floats() | st.lists(st.floats(), max_size=3)
quick = settings(derandomize=True, max_examples=60, deadline=None)


@st.composite
def trainings(draw):
    """Words of every kind, each one value, one a hidden layer, or one more for the output layer."""
    count = draw(st.integers(0, 3))
    told = {}
    for name, values in WORD_VALUES.items():
        sizes = [count, count + 1] if LAYER_WORDS[name].of_weights else [count]
        lists = [st.lists(values, min_size=n, max_size=n) for n in sizes if n]
        told[name] = draw(st.one_of(values, *lists)) if count or LAYER_WORDS[name].of_weights else None
    told = {name: value for name, value in told.items() if value is not None}
    return {"hidden": [3] * count, "input_dropout": draw(number), **told}


def as_text(name, value):
    """A word as an option's text."""
    if isinstance(value, list | tuple):
        return ",".join(as_text(name, each) for each in value)
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- one meaning, however it is said ------------------------------------------------------------


@quick
@given(trainings())
def test_json_text_and_lists_mean_the_same(words):
    one = Training(**words)
    data = json.loads(json.dumps(one.to_json(), allow_nan=False))
    text = {name: as_text(name, v) for name, v in words.items() if isinstance(v, list) and name != "hidden"}
    text = {name: value for name, value in text.items() if len(words[name]) > 1}
    tuples = {name: tuple(value) for name, value in words.items() if isinstance(value, list)}
    for other in (Training.from_json(data), one.but(**text), replace(one), Training(**words | tuples)):
        assert other == one
        assert hash(other) == hash(one)
    assert "\n" not in one.in_words()


@quick
@given(trainings())
def test_a_net_keeps_the_words_of_its_training(words):
    training = Training(**words)
    net = training.architecture(5, 4)
    count = len(net.layers)
    for name in LAYER_WORDS:
        values = values_of(name, getattr(training, name), training.hidden)
        assert [layer.word(name) for layer in net.layers] == list(values[:count])
        if LAYER_WORDS[name].of_weights:
            assert net.output.word(name) == values[-1]
    again = Architecture.from_json(json.loads(json.dumps(net.to_json(), allow_nan=False)))
    assert again == net
    assert hash(again) == hash(net)
    assert again.n_parameters == net.n_parameters


@quick
@given(some_layers)
def test_layers_are_the_words_that_they_have(layers):
    training = Training(hidden=layers)
    assert training.hidden == tuple(layer.width for layer in layers)
    net = training.architecture(5, 4)
    assert net.layers == layers_of(layers) == tuple(layers)
    assert [layer.init for layer in net.layers] == [layer.init for layer in layers]
    assert net.output == Layer(4, "identity")
    assert Training.from_json(training.to_json()) == training
    assert Training.of(hidden=tuple(layers)) == training


@quick
@given(st.data())
def test_the_short_form_is_canonical(data):
    """One value where there is one, and again the same from what it gives."""
    name = data.draw(st.sampled_from(list(LAYER_WORDS)))
    word, count = LAYER_WORDS[name], data.draw(st.integers(0, 4))
    hidden = data.draw(st.lists(WORD_VALUES[name], min_size=count, max_size=count))
    values = (*hidden, data.draw(WORD_VALUES[name]) if word.of_weights else word.usual)
    short = compact(name, values)
    assert values_of(name, short, (3,) * count) == values
    assert settled(name, short, (3,) * count) == short
    if len(set(values)) == 1:
        assert short == values[0]


def test_one_value_is_every_layers_and_a_list_the_hidden_ones():
    assert [layer.l2 for layer in Training(hidden=(5, 6), l2=0.1).architecture(3, 2).all_layers] == [0.1] * 3
    net = Training(hidden=(5, 6), l2=[0.1, 0.2], dropout=0.5, init=["torch", "uniform", "he_uniform"])
    layers = net.architecture(3, 2).all_layers
    assert [layer.l2 for layer in layers] == [0.1, 0.2, 0]
    assert [layer.dropout for layer in layers] == [0.5, 0.5, 0]
    assert [layer.init for layer in layers] == ["torch", "uniform", "he_uniform"]
    assert Training(hidden="none", l2=0.1, act="tanh").architecture(3, 2).output.l2 == 0.1


def test_layers_stand_among_widths():
    training = Training(hidden=[Layer(5, "tanh", dropout=0.3), 6], act="elu", l1=0.1)
    assert (training.hidden, training.act, training.dropout) == ((5, 6), ("tanh", "elu"), (0.3, 0.0))
    assert training.l1 == (0.0, 0.1, 0.1)
    assert Training(hidden=Layer(7, "gelu")) == Training(hidden=7, act="gelu")


def test_new_layers_bring_their_own_words():
    first = Training(
        hidden=(5, 6), act="tanh", dropout=[0.1, 0.2], l2=0.1, init=["torch", "torch", "uniform"]
    )
    then = first.but(hidden=[Layer(3), Layer(4), Layer(5)])
    assert (then.act, then.dropout) == ("relu", 0.0)
    assert then.architecture(3, 2).output == replace(Layer(2, "identity"), l2=0.1)
    assert then.architecture(3, 2).output.init == "uniform"
    assert first.but(hidden=9, dropout=0.1, init="torch").act == "tanh"


@pytest.mark.parametrize(
    ("hidden", "words", "name"),
    [
        ([Layer(5)], {"act": "tanh"}, "act"),
        ([Layer(5), Layer(6)], {"dropout": 0.5}, "dropout"),
        ([Layer(5), Layer(6)], {"l2": [0.1, 0.2]}, "l2"),
        ((5, 6), {"act": ["relu"] * 3}, "act"),
        ((5, 6, 7), {"dropout": [0.1, 0.2]}, "dropout"),
        ((5, 6), {"l1": [0.1] * 4}, "l1"),
        ("none", {"bias": [True, True]}, "bias"),
        ("none", {"dropout": 0.5}, "dropout"),
        ((), {"batch_norm": True}, "batch_norm"),
    ],
)
def test_values_without_a_layer_are_refused(hidden, words, name):
    with pytest.raises(ConfigError, match=f"^{name} must"):
        Training(hidden=hidden, **words)


def test_a_word_that_no_layer_has_is_no_word():
    for make in (layers_of, lambda hidden, **words: Architecture.of(3, hidden, 2, **words), Training.of):
        with pytest.raises(TypeError, match="drop_out"):
            make(hidden=5, drop_out=0.5)


# --- what text means ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("act", "relu, tanh", ("relu", "tanh")),
        ("act", "leaky_relu:0.2,elu", ("leaky_relu:0.2", "elu")),
        ("act", "leaky_relu:0.01", "leaky_relu"),
        ("dropout", "0.2", 0.2),
        ("dropout", " 0.2 , 5e-1", (0.2, 0.5)),
        ("batch_norm", "none", None),
        ("batch_norm", "after:0.9,1e-05,none", (BatchNorm("after", 0.9, 1e-5), None)),
        ("batch_norm", "before:0.9,1e-05,unbiased,after", (NORMS[3], NORMS[2])),
        ("bias", "true,false,True", (True, False)),
        ("bias", "true,false,false", (True, False, False)),
        ("l2", "0,1e-3,2", (0.0, 0.001, 2.0)),
        ("max_norm", "3", 3.0),
        ("init", "torch,uniform", ("torch", "uniform")),
        ("frozen", "true,false", (True, False)),
    ],
)
def test_text_means_values(name, text, values):
    assert getattr(Training(hidden=(5, 6), **{name: text}), name) == values


@quick
@given(st.builds(BatchNorm, st.sampled_from(["before", "after"]), number, st.floats(1e-9, 1), st.booleans()))
def test_a_batch_norm_is_its_text(norm):
    assert BatchNorm.of(str(norm)) == norm == BatchNorm.of(norm)


def test_a_batch_norm_is_before_the_activation_unless_told():
    assert (
        BatchNorm.of(True)
        == BatchNorm.of("before")
        == BatchNorm.of(1)
        == BatchNorm("before", 0.99, 0.001, False)
    )
    assert [BatchNorm.of(value) for value in (False, None, "none", 0)] == [None] * 4


def test_a_training_says_which_words_are_set():
    words = {
        "batch_norm": True,
        "bias": False,
        "l2": 0.001,
        "max_norm": 3,
        "input_dropout": 0.1,
        "frozen": [True, False],
    }
    told = Training(hidden="512,64", act="relu,tanh", dropout="0.2,0.5", **words).in_words()
    assert told.startswith(
        "hidden 512,64, relu,tanh, dropout 0.2,0.5, batch norm before, no bias, l2 0.001, max norm 3, "
        "frozen true,false, input dropout 0.1, scale auto, logits loss"
    )


def test_a_net_says_which_words_are_set():
    net = Architecture.of(9, "6,5", 3, act="relu,tanh", dropout="0.2,0.5", bias=False, input_dropout=0.1)
    assert net.in_words() == "relu,tanh, dropout 0.2,0.5, no bias, input dropout 0.1"
    assert Architecture(9, (6, 5), 3).in_words() == "relu"
    assert Architecture(9, (), 3).in_words() == "no hidden layer"


# Each word of a training beside those that only end it, with what it hangs on: another value is another net.
CHANGES = {
    "hidden": ({}, (6, 7)), "act": ({}, "tanh"), "dropout": ({}, 0.3), "batch_norm": ({}, True),
    "bias": ({}, False), "l1": ({}, 0.01), "l2": ({}, 0.01), "max_norm": ({}, 0.5),
    "frozen": ({}, [True, False]), "input_dropout": ({}, 0.3), "scale": ({}, 100), "center": ({}, True),
    "init": ({}, "he_normal"), "lr": ({}, 0.1), "batch_size": ({}, 30), "epochs": ({}, 3), "seed": ({}, 1),
    "loss": ({"lr": 5}, "clip:0.2,0.9"),
    "optimizer": ({}, "adam"), "schedule": ({}, "cosine"), "validation": ({}, 0.2),
    "class_weight": ({}, (1, 2, 3)), "momentum": ({}, 0.9), "nesterov": ({"momentum": 0.9}, True),
    "beta1": ({"optimizer": "adam"}, 0.5), "beta2": ({"optimizer": "adam"}, 0.5),
    "epsilon": ({"optimizer": "adam"}, 0.1), "weight_decay": ({}, 0.1), "alpha": ({}, 0.5),
    "rho": ({"optimizer": "rmsprop"}, 0.5), "centred": ({"optimizer": "rmsprop"}, True),
    "amsgrad": ({"optimizer": "adam", "epochs": 20, "lr": 0.5}, True),
    "initial_accumulator": ({"optimizer": "adagrad"}, 0.5),
    "decoupled": ({"optimizer": "adam", "weight_decay": 0.1}, True), "clip_norm": ({}, 0.01),
    "clip_each": ({}, 0.01), "clip_value": ({}, 0.001), "form": ({"optimizer": "rmsprop"}, "keras"),
    "label_smoothing": ({}, 0.1), "scale_targets": ({"loss": "squared"}, False),
    "patience": ({"validation": 0.2, "epochs": 20, "lr": 3}, 1),
}  # fmt: skip


def test_every_word_of_a_training_is_tried():
    assert set(CHANGES) == set(WORDS)


@pytest.mark.parametrize("word", CHANGES)
def test_another_value_is_another_net(word):
    beside, value = CHANGES[word]
    options = {"hidden": 6, "epochs": 2, "batch_size": 40, "lr": 0.05, "backend": "numpy", **beside}
    one, other = (fit(X, Y, **options | changed)[0].parameters for changed in ({}, {word: value}))
    assert one.sha256() != other.sha256()


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("act", [*ACTIVATIONS, "elu:0.5"]),
        ("init", [*sorted(set(INITS) - {"ones", "zeros", "constant"}), "uniform:-0.5,0.5"]),
        ("batch_norm", ["none", "before", "after", "before:0.9,0.001", "before:0.99,0.1", str(NORMS[3])]),
        ("schedule", ["constant", "step:2,0.5", "exponential:0.5", "cosine", "warmup:1", "onecycle"]),
        ("frozen", [False, [True, False], [False, True]]),
    ],
)
def test_each_value_is_a_net_of_its_own(word, values):
    found = {
        fit(X, Y, hidden=6, epochs=3, lr=0.05, backend="numpy", **{word: value})[0].parameters.sha256()
        for value in values
    }
    assert len(found) == len(values)


# --- what is bad is named -----------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in BAD.items() for v in values])
def test_bad_values_are_refused_by_name(name, value):
    for make in (Training, Training.of):
        with pytest.raises(ConfigError) as caught:
            make(hidden=(5, 6), **{name: value})
        assert str(caught.value).startswith(f"{name}") or "number of leaky_relu" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_all_bad_words_are_told_at_once():
    for hidden in ((5, 6), (5, 0)):
        with pytest.raises(ConfigError) as caught:
            Training(hidden=hidden, lr=0, **{name: values[0] for name, values in BAD.items()})
        lines = [line.split()[0].removesuffix("'s") for line in str(caught.value).splitlines()]
        assert lines == [*["hidden"] * (0 in hidden), *LAYER_WORDS, "input_dropout", "lr"]
    with pytest.raises(ConfigError) as caught:
        Layer(0, **{name: BAD[name][0] for name in LAYER_WORDS})
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["width", *LAYER_WORDS]


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.sampled_from(list(LAYER_WORDS)), anything)
def test_any_value_is_good_or_refused(name, value):
    try:
        training = Training(hidden=(5, 6), **{name: value})
    except ConfigError:
        return
    assert Training.from_json(training.to_json()) == training


@pytest.mark.parametrize("item", [{}, Layer, "x", object(), True, [5], BatchNorm()])
def test_hidden_holds_widths_and_layers_only(item):
    with pytest.raises(ConfigError, match=r"^hidden"):
        widths_of([5, item])


@pytest.mark.parametrize(
    "output",
    [
        Layer(3, "identity"),
        Layer(2),
        Layer(2, "identity", dropout=0.1),
        Layer(2, "identity", batch_norm=1),
        2,
    ],
)
def test_an_output_layer_has_outputs_and_nothing_else(output):
    with pytest.raises(ConfigError, match="output"):
        Architecture(3, (4,), 2, output)


def test_words_beside_width_and_activation_make_an_unusual_net():
    words = {
        "dropout": 0.1,
        "batch_norm": True,
        "bias": False,
        "l1": 0.1,
        "l2": 0.1,
        "max_norm": 1,
        "frozen": 1,
    }
    usual = Layer(5, "tanh", init="uniform")
    assert Architecture(3, (usual,), 2).unusual == ()
    assert Architecture(3, (usual,), 2, input_dropout=0.1).unusual == ("input_dropout",)
    for name, value in words.items():
        assert replace(usual, **{name: value}) != usual
        assert Architecture(3, (4, replace(usual, **{name: value})), 2).unusual == (name,)
    assert Architecture(3, (4,), 2, Layer(2, "identity", bias=False)).unusual == ("bias",)
    assert Architecture.of(3, 4, 2, **words).unusual == tuple(words)


def test_how_first_weights_are_drawn_makes_no_other_layer():
    one, other = Layer(5, init="he_normal"), Layer(5)
    assert one == other
    assert hash(one) == hash(other)
    assert Training(hidden=[one]) != Training(hidden=[other])
