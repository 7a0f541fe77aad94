"""Files of save and load_model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from compare import check
from nets import learnable
from small_keras import D, K, N, net

import fastmlp
from fastmlp.keras import losses, optimizers
from fastmlp.keras.layers import Activation, Dense
from fastmlp.keras.models import Sequential, load_model

pytestmark = pytest.mark.usefixtures("numpy_backend")


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
    for scale, center in ((255, False), (255, True), (1, False), ("standard", None), ("minmax", False)):
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


@pytest.mark.parametrize("word", [{"dropout": 0.2}, {"batch_norm": True}, {"bias": False}, {"l2": 0.1}])
def test_a_file_of_a_net_with_other_layers_is_refused_by_name(tmp_path, word):
    architecture = fastmlp.Architecture.of(D, 5, K, **word)
    whole = fastmlp.Net(architecture, fastmlp.initialise(architecture))
    fastmlp.Model(whole, tuple(range(K))).save(tmp_path / "net")
    with pytest.raises(
        fastmlp.ModelError, match=f"Dense layers and activations alone; .* with {next(iter(word))}"
    ):
        load_model(tmp_path / "net")


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
