"""Model: raw inputs in, labels out; its file: whole, in PyTorch's layout, and hostile ones refused."""

from __future__ import annotations

import json
import os
import stat
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

import fastmlp
from fastmlp import DataError, Model, ModelError, Optimizer, RunFolderError, Training
from fastmlp.files import sealed
from fastmlp.words.layers import Layer


@pytest.fixture(scope="module")
def trained() -> tuple[Model, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (200, 12), dtype=np.uint8)
    y = np.where(X[:, 0] > 128, 30, 4)
    model, _ = fastmlp.fit(X, y, hidden=(8, 5), act="tanh", scale=64, center=True, lr=0.1, epochs=20)
    return model, X, y


@pytest.fixture
def saved(trained, tmp_path):
    path = tmp_path / "model.safetensors"
    trained[0].save(path)
    return path


def rewritten(path, change) -> None:
    """The file again, sealed again, after ``change(state, metadata)``."""
    state, metadata, _ = sealed.read(path)
    entry = json.loads(metadata.pop("fastmlp"))
    state = dict(state)
    change(state, entry)
    sealed.write(path, state, {"format": "pt", "fastmlp": json.dumps(entry)})


def test_predictions_are_labels_and_probabilities_are_theirs(trained):
    model, X, y = trained
    p = model.predict_proba(X)
    assert p.shape == (200, 2)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert model.classes == (4, 30)
    assert (model.predict(X) == np.array([4, 30])[p.argmax(axis=1)]).all()
    loss, accuracy = model.evaluate(X, y)[:2]
    assert accuracy == (model.predict(X) == y).mean() > 0.9
    assert loss == pytest.approx(-np.log(p[np.arange(200), (y == 30).astype(int)]).mean(), rel=1e-5)


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_predictions_do_not_depend_on_threads(trained, threads):
    model, X, _ = trained
    np.testing.assert_array_equal(model.predict_proba(X, threads=1), model.predict_proba(X, threads=threads))


def test_one_image_is_predicted_as_among_many(trained):
    model, X, _ = trained
    together = model.predict_proba(X)
    for i in (0, 57, 199):
        np.testing.assert_array_equal(model.predict_proba(X[i : i + 1])[0], together[i])


def test_a_model_survives_its_file(trained, saved):
    model, X, _ = trained
    loaded = Model.load(saved)
    assert loaded.parameters.sha256() == model.parameters.sha256()
    np.testing.assert_array_equal(loaded.preprocessing.mean, model.preprocessing.mean)
    assert (loaded.preprocessing.scale, loaded.classes, loaded.architecture) == (
        64.0,
        (4, 30),
        model.architecture,
    )
    assert loaded.training == model.training
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_the_file_has_pytorchs_names_and_layout(trained, saved):
    state = load_file(saved)
    assert {name: array.shape for name, array in state.items()} == {
        "0.weight": (8, 12), "0.bias": (8,), "2.weight": (5, 8), "2.bias": (5,),
        "4.weight": (2, 5), "4.bias": (2,),
    }  # fmt: skip
    np.testing.assert_array_equal(state["2.weight"], trained[0].parameters.weights[1].T)


def worded_model():
    """A net with every word of layers, trained by hand: every array has numbers of its own."""
    rng = np.random.default_rng(5)
    training = fastmlp.Training(
        hidden=(6, 5, 4), act=["relu", "gelu", "leaky_relu:0.2"], dropout=[0.1, 0, 0.5],
        batch_norm=["before:0.9,1e-05,unbiased", None, "after"], bias=[False, True, True, False],
        l1=0.1, l2=[0.1, 0.2, 0], max_norm=3, frozen=[False, True, False], input_dropout=0.2,
        init=["he_normal", "orthogonal:2", "torch", "uniform:-0.5,0.5"], schedule="warmup:1+cosine/step",
    )  # fmt: skip
    net = training.architecture(7, 3)
    p = fastmlp.initialise(net)
    for name, array in p.named():
        array[...] = 0 if name in ("b1", "b4") else rng.random(array.shape)
    return Model(fastmlp.Net(net, p), (2, 4, 6), training)


def test_a_model_with_words_of_layers_survives_its_file(tmp_path):
    model = worded_model()
    model.save(tmp_path / "m")
    loaded = Model.load(tmp_path / "m")
    assert loaded.architecture == model.architecture
    assert loaded.training == model.training
    assert loaded.parameters.sha256() == model.parameters.sha256()
    assert loaded.parameters.array_shapes == model.parameters.array_shapes
    state, metadata, _ = sealed.read(tmp_path / "m")
    assert dict(state).keys() == model.parameters.to_torch(model.architecture).keys()
    assert json.loads(metadata["fastmlp"])["format"] == 2


def test_a_net_without_new_words_is_described_as_ever(tmp_path):
    net = fastmlp.Architecture(6, (Layer(5, "tanh", init="he_uniform"), Layer(4)), 3)
    Model(fastmlp.Net(net, fastmlp.initialise(net)), (0, 5, 9)).save(tmp_path / "m")
    assert sealed.read(tmp_path / "m")[1]["fastmlp"] == (
        '{"format": 1, "numerics": 3, "architecture": {"inputs": 6, "hidden": [5, 4], "classes": 3, '
        '"act": ["tanh", "relu"]}, "scale": 1.0, "mean": null, "classes": [0, 5, 9], "training": null}'
    )


@pytest.mark.parametrize(
    "word", [{"dropout": 0.1}, {"batch_norm": True}, {"bias": False}, {"l2": 0.1}, {"act": "elu"}]
)
def test_a_new_word_is_a_newer_format(tmp_path, word):
    net = fastmlp.Architecture.of(6, 5, 3, **word)
    Model(fastmlp.Net(net, fastmlp.initialise(net)), (0, 5, 9)).save(tmp_path / "m")
    assert json.loads(sealed.read(tmp_path / "m")[1]["fastmlp"])["format"] == 2
    assert Model.load(tmp_path / "m").architecture == net


WORDED_CHANGES = {
    "no running mean": lambda state, entry: state.pop("2.running_mean"),
    "a bias too many": lambda state, entry: state.update({"1.bias": np.zeros(6, np.float32)}),
    "no bias": lambda state, entry: state.pop("5.bias"),
    "a wide norm": lambda state, entry: state.update({"2.weight": np.ones(7, np.float32)}),
    "a norm of two axes": lambda state, entry: state.update({"2.weight": np.ones((6, 1), np.float32)}),
    "float64": lambda state, entry: state.update({"2.running_var": np.ones(6)}),
    "nan": lambda state, entry: state.update({"2.running_var": np.full(6, np.nan, np.float32)}),
    "below 0": lambda state, entry: state.update({"2.running_var": -state["2.running_var"]}),
    "a count of batches": lambda state, entry: state.update({"2.num_batches_tracked": np.zeros(())}),
    "other names": lambda state, entry: state.update({"3.running_var": state.pop("2.running_var")}),
    "no norm": lambda state, entry: entry["architecture"].pop("batch_norm"),
    "a norm more": lambda state, entry: entry["architecture"].update(batch_norm="after"),
    "a bad word": lambda state, entry: entry["architecture"].update(dropout=[0.1, 2, 0.5]),
    "two words": lambda state, entry: entry["architecture"].update(dropout=[0.1, 0.5]),
    "a strange word": lambda state, entry: entry["architecture"].update(drop_out=0.1),
    "another input dropout": lambda state, entry: entry["architecture"].pop("input_dropout"),
    "a newer format": lambda state, entry: entry.update(format=3),
    "a format of text": lambda state, entry: entry.update(format="2"),
    "a format of lists": lambda state, entry: entry.update(format=[2]),
    "many layers": lambda state, entry: entry["architecture"].update(hidden=[6] * 100_000),
    "a list in a list": lambda state, entry: entry["architecture"].update(l1=[[0.1]] * 3),
    "a norm as an object": lambda state, entry: entry["architecture"].update(batch_norm={"place": "before"}),
}  # fmt: skip


@pytest.mark.parametrize("change", WORDED_CHANGES)
def test_words_of_layers_that_do_not_fit_the_file_are_refused(tmp_path, change):
    path = tmp_path / "m"
    worded_model().save(path)
    rewritten(path, lambda state, entry: None)
    Model.load(path)
    rewritten(path, WORDED_CHANGES[change])
    if change == "a count of batches":  # PyTorch's own: it says nothing about the net
        Model.load(path)
        return
    with pytest.raises(ModelError) as caught:
        Model.load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_both_backends_predict_the_same(trained):
    from dataclasses import replace

    model, X, _ = trained
    slow = replace(model, backend="numpy")
    np.testing.assert_allclose(model.predict_proba(X), slow.predict_proba(X), atol=1e-6)


def test_other_inputs_and_labels_are_refused(trained):
    model, X, y = trained
    with pytest.raises(ModelError, match="must have 12 columns, as this model was trained on; got 11"):
        model.predict(X[:, :11])
    with pytest.raises(DataError, match="the labels of training alone, 4, 30; got 5 in row 0"):
        model.evaluate(X, np.full(200, 5))
    with pytest.raises(DataError, match="same length"):
        model.evaluate(X, y[:9])


def test_a_row_alone_is_told_how_to_be_one(trained):
    model, X, _ = trained
    for call in (model.predict, model.predict_proba):
        with pytest.raises(DataError, match=r"got shape \(12,\)\. Use X\[None\] for one row"):
            call(X[0])
    assert model.predict(X[0][None]).shape == (1,)
    with pytest.raises(ModelError, match=r"must have 12 columns.*; got 3\. Use X\[None\] for one row"):
        model.predict(X[0].reshape(4, 3))  # a picture
    with pytest.raises(ModelError, match="Use the model or the data that fits"):
        model.predict(X[:, :3])


def test_a_score_is_the_accuracy_or_r2(trained):
    model, X, y = trained
    assert model.score(X, y) == (model.predict(X) == y).mean() == model.evaluate(X, y).accuracy
    Z = np.random.default_rng(0).normal(size=(60, 3))
    numbers, _ = fastmlp.fit(Z, Z[:, 0], loss="squared", scale=1, epochs=5)
    error = ((numbers.predict(Z) - Z[:, 0]) ** 2).sum() / ((Z[:, 0] - Z[:, 0].mean()) ** 2).sum()
    assert numbers.score(Z, Z[:, 0]) == pytest.approx(1 - error, abs=1e-6)
    assert np.isnan(numbers.score(Z[:1], Z[:1, 0]))
    with pytest.raises(DataError, match="same length"):
        model.score(X, y[1:])


def test_saving_replaces_whole_files_and_leaves_nothing_else(trained, tmp_path):
    path = tmp_path / "m"
    path.write_text("old")
    trained[0].save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["m"]
    assert Model.load(path).classes == (4, 30)
    if os.name == "posix":
        umask = os.umask(0)
        os.umask(umask)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_folder_that_is_not_there_is_said(trained, tmp_path):
    with pytest.raises(RunFolderError, match="must be writable; got No such file"):
        trained[0].save(tmp_path / "nowhere" / "m")
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_not_finite_is_not_saved_over_a_good_one(trained, saved):
    from dataclasses import replace

    before = saved.read_bytes()
    parameters = trained[0].parameters.copy()
    parameters.weights[1][0, 0] = np.nan
    with pytest.raises(ModelError, match="must be finite"):
        replace(trained[0], net=replace(trained[0].net, parameters=parameters)).save(saved)
    assert saved.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda state, entry: state.pop("2.bias"),
        lambda state, entry: state.update({"0.weight": state["0.weight"][:, :5]}),
        lambda state, entry: state.update({"0.weight": state["0.weight"].astype(np.float64)}),
        lambda state, entry: state.update({"0.weight": np.full_like(state["0.weight"], np.inf)}),
        lambda state, entry: state.update({"x": np.zeros(3, np.float32)}),
        lambda state, entry: entry.update(format=3),
        lambda state, entry: entry.pop("architecture"),
        lambda state, entry: entry.update(architecture=7),
        lambda state, entry: entry["architecture"].update(act="swish"),
        lambda state, entry: entry["architecture"].update(hidden=[8]),
        lambda state, entry: entry["architecture"].update(extra=1),
        lambda state, entry: entry.update(scale=0),
        lambda state, entry: entry.update(scale="x"),
        lambda state, entry: entry.update(mean="!"),
        lambda state, entry: entry.update(mean="AAAA"),
        lambda state, entry: entry.update(mean=3),
        lambda state, entry: entry.update(classes=[1, 1]),
        lambda state, entry: entry.update(classes=None),
        lambda state, entry: entry.update(classes=[30, 4]),
        lambda state, entry: entry.update(classes=[-4, 30]),
        lambda state, entry: entry.update(classes=[4.5, 30]),
        lambda state, entry: entry.update(classes=[4, 2**70]),
        lambda state, entry: entry.update(classes=[4, float("inf")]),
        lambda state, entry: entry.update(classes=[True, 30]),
        lambda state, entry: entry.update(classes=["a", "b"]),
        lambda state, entry: entry["training"].update(lr=-1),
        lambda state, entry: entry.update(training=[1]),
    ],
)
def test_a_file_that_does_not_fit_together_is_refused(saved, change):
    rewritten(saved, change)
    with pytest.raises(ModelError) as caught:
        Model.load(saved)
    assert str(caught.value)


def test_an_unchanged_rewrite_is_taken(saved):
    rewritten(saved, lambda state, entry: None)
    assert Model.load(saved).classes == (4, 30)


@pytest.mark.parametrize("content", [b"", b"\0" * 7, b"\xff" * 64, b"\0" * 8 + b"{}", b"PK\3\4" + b"x" * 90])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="safetensors file that fastmlp wrote"):
        Model.load(path)


def test_absent_files_and_folders_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ModelError, match="file that save"):
            Model.load(path)


def test_a_plain_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(save({"0.weight": np.zeros((2, 2), np.float32), "0.bias": np.zeros(2, np.float32)}))
    with pytest.raises(ModelError, match="no entry 'fastmlp' in its metadata"):
        Model.load(path)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused(trained, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "m"
    trained[0].save(path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    changed = bytes(content) != path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(ModelError) if changed else nullcontext():
        Model.load(path)


def test_a_file_from_before_layers_had_words_is_read():
    """Written when a net was widths, an activation, and a scale for all inputs."""
    model = Model.load(Path(__file__).with_name("before_words.safetensors"))
    assert model.parameters.sha256().startswith("8bde2420caedc873")
    assert model.training == Training(
        hidden=(4, 3), act="tanh", center=True, scale=4, epochs=2, lr=0.1, optimizer=Optimizer(momentum=0.9)
    )
    assert model.preprocessing.mean is not None
    assert model.predict_proba(np.zeros((2, 6), np.uint8)).shape == (2, 2)
