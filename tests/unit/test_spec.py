"""Architecture and Training: checked once, all problems at once, frozen, hashable, JSON both ways."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp import Architecture, ConfigError, FastMLPError, Training, spec
from fastmlp.words.activations import ACTIVATIONS
from fastmlp.words.inits import INITS
from fastmlp.words.layers import Layer, layers_of
from fastmlp.words.losses import clip_bounds

BAD = {
    "hidden": ["0", 0, -3, 10**9, (100, 0), "a", "1,,2", 2.5, (1.5,), True, object()],
    "act": ["swish", "", "RELU", None],
    "scale": [0, -1, math.nan, math.inf, "x", None, 1e-40, True],
    "init": ["glorot", None],
    "lr": [0, -0.1, math.nan, math.inf, "fast", None, True, 10**400],
    "batch_size": [0, -1, 1.5, "100", True, 2**31],
    "epochs": [0, -1, 2.0, None, 10**10],
    "seed": [-1, 2**63, 0.5, "0"],
    "loss": ["mse", "", "clip", "clip:", "clip:0.1", "clip:0.5,0.5", "clip:0.9,0.1", "clip:0,0.5", None],
}
BAD["loss"] += ["clip:0.1,1.1", "clip:nan,1", "clip:0.1,0.2,0.3", "clip:a,b", "keras"]


def test_defaults_are_those_of_the_question():
    t = Training()
    assert (t.hidden, t.act, t.lr, t.batch_size, t.epochs) == ((100,), "relu", 0.01, 100, 15)
    assert (t.init, t.loss, t.scale, t.center) == ("glorot_uniform", "logits", "auto", None)
    assert t.in_words() == (
        "hidden 100, relu, scale auto, logits loss, lr 0.01, batch 100, 15 epochs, glorot_uniform, seed 0"
    )


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in BAD.items() for v in values])
def test_bad_values_are_refused_by_name(name, value):
    with pytest.raises(ConfigError) as caught:
        Training(**{name: value})
    assert str(caught.value).startswith(name)
    assert "\n" not in str(caught.value)
    assert repr(value)[:5] in str(caught.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        Training(**{name: values[0] for name, values in BAD.items()})
    lines = str(caught.value).splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(BAD)
    with pytest.raises(ConfigError) as caught:
        Architecture(0, (0,), 0)
    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines] == ["inputs", "hidden", "outputs"]


def test_config_errors_are_of_the_family_and_value_errors():
    with pytest.raises(FastMLPError):
        Training(lr=0)
    with pytest.raises(ValueError, match="lr must be a finite number over 0"):
        Training(lr=0)
    with pytest.raises(ConfigError) as caught:
        Training(lr=0)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("given_as", "widths"),
    [
        (100, (100,)),
        ("100", (100,)),
        ("128,64", (128, 64)),
        (" 128 , 64 ", (128, 64)),
        ([128, 64], (128, 64)),
        ((1,), (1,)),
        ((), ()),
        ("none", ()),
        ("None", ()),
        ("", ()),
        (None, ()),
        (1_000_000, (1_000_000,)),
        ("7,7,7,7,7", (7,) * 5),
    ],
)
def test_hidden_widths_are_parsed(given_as, widths):
    assert layers_of(given_as) == tuple(map(Layer, widths))
    assert Training(hidden=given_as).hidden == widths


def test_numpy_numbers_are_numbers():
    import numpy as np

    t = Training(hidden=np.int64(7), lr=np.float32(0.5), seed=np.uint8(3), batch_size=np.int32(5))
    assert (t.hidden, t.lr, t.seed, t.batch_size) == ((7,), 0.5, 3, 5)
    assert {type(v) for v in (*t.hidden, t.seed, t.batch_size)} == {int}
    assert type(t.lr) is float
    json.dumps(t.to_json())


def test_configs_are_frozen_and_hashable():
    for one, other in (
        (Training(), Training(lr=0.1)),
        (Architecture(4, (3,), 2), Architecture(4, (Layer(3, "tanh"),), 2)),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.inputs = 7
        again = dataclasses.replace(one)
        assert one == again
        assert hash(one) == hash(again)
        assert one != other
        assert len({one, again, other}) == 2
    assert Training(hidden=[5, 6]) == Training(hidden="5,6")
    assert hash(Training(hidden=[5, 6])) == hash(Training(hidden="5,6"))


def test_replace_checks_again():
    with pytest.raises(ConfigError, match="lr"):
        dataclasses.replace(Training(), lr=-1)


def test_architecture_counts_and_prints_itself():
    a = Architecture(784, "100", 10)
    assert a.shapes == ((784, 100), (100, 10))
    assert a.n_parameters == 79_510
    assert str(a) == "784-100-10"
    assert Architecture(784, (), 10).shapes == ((784, 10),)
    assert Training(hidden=(5, 6), act="tanh").architecture(3, 2) == Architecture(
        3, layers_of((5, 6), "tanh"), 2
    )


def test_architecture_has_a_limit():
    with pytest.raises(ConfigError, match="at most 2,147,483,647 parameters"):
        Architecture(10**6, (10**6,), 10)


@pytest.mark.parametrize(
    ("loss", "bounds"),
    [
        ("logits", None),
        ("keras2", (1e-7, 1 - 1e-7)),
        ("clip:1e-10,0.999999", (1e-10, 0.999999)),
        ("clip:0.1,1", (0.1, 1.0)),
        ("clip: 0.1, 0.5", (0.1, 0.5)),
    ],
)
def test_clip_bounds_are_parsed(loss, bounds):
    assert clip_bounds(loss) == bounds


positive = st.floats(1e-30, 1e30)
widths = st.lists(st.integers(1, 500), max_size=4).map(tuple)
losses = st.one_of(
    st.sampled_from(["logits", "keras2"]),
    st.tuples(st.floats(1e-30, 0.4), st.floats(0.5, 1)).map(lambda b: f"clip:{b[0]!r},{b[1]!r}"),
)
trainings = st.builds(
    Training,
    hidden=widths,
    act=st.sampled_from(tuple(ACTIVATIONS)),
    scale=positive,
    center=st.booleans(),
    init=st.sampled_from(tuple(INITS)),
    lr=positive,
    batch_size=st.integers(1, 2**31 - 1),
    epochs=st.integers(1, 10**9),
    seed=st.integers(0, 2**63 - 1),
    loss=losses,
)
layers = st.builds(Layer, st.integers(1, 500), st.sampled_from(tuple(ACTIVATIONS)))
architectures = st.builds(
    Architecture, st.integers(1, 1000), st.lists(layers, max_size=4).map(tuple), st.integers(1, 500)
)


@settings(derandomize=True, max_examples=80, deadline=None)
@given(st.one_of(trainings, architectures))
def test_json_goes_both_ways(one):
    again = type(one).from_json(json.loads(json.dumps(one.to_json(), allow_nan=False)))
    assert again == one
    assert hash(again) == hash(one)
    assert "\n" not in one.in_words()


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.text(max_size=20) | st.integers() | st.floats() | st.lists(st.integers(), max_size=3) | st.none())
def test_hidden_widths_are_good_or_refused(value):
    try:
        widths = [layer.width for layer in layers_of(value)]
    except ConfigError:
        return
    assert all(type(w) is int and 1 <= w <= spec.MOST_UNITS for w in widths)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=20), st.text("clip:0.19e-,", max_size=20).map("clip:".__add__)))
def test_clip_bounds_are_good_or_refused(loss):
    try:
        bounds = clip_bounds(loss)
    except ConfigError:
        return
    assert bounds is None or 0 < bounds[0] < bounds[1] <= 1


@pytest.mark.parametrize(
    "data",
    [{"nothing": 1}, {"inputs": 3}, {}, [], None, "3-2", 7, {"inputs": 3, "hidden": [0], "classes": 2}],
)
def test_architecture_refuses_other_json(data):
    with pytest.raises(ConfigError):
        Architecture.from_json(data)


@pytest.mark.parametrize("data", [{"nothing": 1}, [], None, "x", {"lr": "nan"}, {"lr": None}])
def test_training_refuses_other_json(data):
    with pytest.raises(ConfigError):
        Training.from_json(data)


def test_training_json_without_a_key_takes_the_default():
    assert Training.from_json({"lr": 0.5}) == Training(lr=0.5)
