"""A model's file: every flipped bit and every cut is refused; older files and other writers' are taken."""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file

import fastmlp
from fastmlp import Architecture, Model, ModelError, Net, Preprocessing, Training, initialise
from fastmlp.files import sealed
from fastmlp.keras.layers import Dense
from fastmlp.keras.models import Sequential, load_model

SMALL, DEEP = Architecture(2, (), 2), Architecture(3, (2,), 2)
MEAN = np.array([1.5, 2], np.float32)


def net(architecture=SMALL, scale=1.0, mean=None, *rest):
    return Model(Net(architecture, initialise(architecture), Preprocessing(scale, mean)), (3, 70), *rest)


def keras_net(compiled=True):
    model = Sequential([Dense(2, activation="tanh", input_dim=2), Dense(2, activation="softmax")])
    if compiled:
        model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


KINDS = {
    "plain": lambda path: net().save(path),
    "mean": lambda path: net(SMALL, 255.0, MEAN).save(path),
    "training": lambda path: net(DEEP, 2.0, None, Training(hidden=(2,))).save(path),
    "extra": lambda path: net().save(path, {"note": "of \\ mine", "": ""}),
    "keras": lambda path: keras_net().save(path),
    "keras not compiled": lambda path: keras_net(compiled=False).save(path),
}
LOADS = {"keras": load_model}  # the others: Model.load


def accepted(path, load, at):
    """How often a single flipped bit of those bytes, or a cut there, is not refused by a ModelError."""
    content = path.read_bytes()
    handle = os.open(path, os.O_RDWR)
    taken = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a load with a warning counts
        for place in at:
            for bit in range(8):
                os.pwrite(handle, bytes([content[place] ^ (1 << bit)]), place)
                taken += not refused(load, path)
            os.pwrite(handle, content[place : place + 1], place)
        for place in sorted(at, reverse=True):
            os.ftruncate(handle, place)
            taken += not refused(load, path)
    os.close(handle)
    path.write_bytes(content)
    return taken


def refused(load, path):
    try:
        load(path)
    except ModelError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_bit_and_every_cut_is_refused(kind, tmp_path):
    path = tmp_path / "model.safetensors"
    KINDS[kind](path)
    load = LOADS.get(kind, Model.load)
    assert not refused(load, path)
    assert accepted(path, load, range(path.stat().st_size)) == 0
    assert not refused(load, path)


def test_the_count_of_flips_goes_red(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(other_writer(OLD))
    size = path.stat().st_size
    assert accepted(path, Model.load, range(size)) > size // 2


@pytest.mark.slow
def test_every_flipped_bit_around_the_tensors_of_a_large_net_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    architecture = Architecture(784, (100,), 10)
    whole = Net(architecture, initialise(architecture), Preprocessing(255.0, np.ones(784, np.float32)))
    Model(whole, tuple(range(10))).save(path)
    size, header = path.stat().st_size, int.from_bytes(path.read_bytes()[:8], "little") + 8
    places = [*range(header), *np.random.default_rng(0).integers(header, size, 100).tolist(), size - 1]
    assert accepted(path, Model.load, places) == 0


def test_bytes_after_the_end_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    net().save(path)
    path.write_bytes(path.read_bytes() + b"\0")
    assert refused(Model.load, path)


def test_the_sum_in_a_run_is_of_the_tensors_alone(tmp_path):
    path = tmp_path / "model.safetensors"
    for model in (net(), net(SMALL, 255.0, MEAN)):
        model.save(path)
        assert Model.load(path).parameters.sha256() == net().parameters.sha256()


# --- other writers, older files -------------------------------------------------------------------

ENTRY = {
    "format": 1, "numerics": 3, "architecture": {"inputs": 2, "hidden": [], "classes": 2, "act": "relu"},
    "scale": 1.0, "mean": None, "classes": [3, 70], "training": None,
}  # fmt: skip
OLD = {"format": "pt", "fastmlp": json.dumps(ENTRY)}
SHAPES = {"0.weight": (2, 2), "0.bias": (2,)}


def other_writer(metadata, tensors=None, **layout):
    """A safetensors file by its specification alone; ``layout``: how the JSON is written."""
    tensors = tensors or dict(zip(("0.weight", "0.bias"), net().parameters.to_torch().values(), strict=True))
    header, data = {"__metadata__": metadata}, b""
    for name, array in tensors.items():
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": offsets}
        data += array.tobytes()
    text = json.dumps(header, **layout).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("layout", [{}, {"separators": (",", ":")}, {"indent": 1}, {"sort_keys": True}])
def test_a_sealed_file_of_another_writer_is_taken(layout, tmp_path):
    path = tmp_path / "model.safetensors"
    content = other_writer({**OLD, "sha256": "x" * 64}, **layout)
    at = content.index(b"x" * 64)
    digest = hashlib.sha256(content[:at] + content[at + 64 :]).hexdigest().encode()
    path.write_bytes(content[:at] + digest + content[at + 64 :])
    assert Model.load(path).classes == (3, 70)
    path.write_bytes(content[:at] + digest.upper() + content[at + 64 :])
    assert refused(Model.load, path)


def test_torch_takes_a_sealed_file(tmp_path):
    torch = pytest.importorskip("safetensors.torch")
    path = tmp_path / "model.safetensors"
    net(DEEP).save(path)
    state = torch.load_file(path)
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        "0.weight": (2, 3), "0.bias": (2,), "2.weight": (2, 2), "2.bias": (2,),
    }  # fmt: skip
    torch.save_file(state, path, {"format": "pt"})  # what it knows nothing of is lost
    with pytest.raises(ModelError, match="no entry 'fastmlp'"):
        Model.load(path)


def test_an_older_file_is_taken_with_a_warning(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(other_writer(OLD))
    with pytest.warns(UserWarning, match="older fastmlp .* no sha256.*Save it again") as caught:
        model = Model.load(path)
    assert (len(caught), caught[0].filename) == (1, __file__)
    assert "\n" not in str(caught[0].message)
    assert model.parameters.sha256() == net().parameters.sha256()
    model.save(path)
    Model.load(path)  # pytest makes an error of a warning


def test_an_older_file_of_keras_is_taken_with_a_warning(tmp_path):
    path = tmp_path / "model.keras"
    layers = [{"class": "Dense", "name": "out", "units": 2, "activation": "softmax"}]
    keras = {"name": "net", "layers": layers, "compiled": None}
    path.write_bytes(other_writer({**OLD, "keras": json.dumps(keras)}))
    with pytest.warns(UserWarning, match="no sha256"):
        assert load_model(path).layers[0].name == "out"


@pytest.mark.parametrize(
    "metadata",
    [
        {"fastmlp": OLD["fastmlp"]}, {**OLD, "format": "np"}, {**OLD, "other": ""}, {**OLD, "sha256": ""},
        {**OLD, "sha25": "0" * 64}, {**OLD, "sha256": "0" * 64}, {**OLD, "sha256": "0" * 63},
        {**OLD, "sha256": "\u00e9" * 64}, {**OLD, "keras": "", "other": ""},
    ],
)  # fmt: skip
def test_what_is_neither_old_nor_sealed_is_refused(tmp_path, metadata):
    path = tmp_path / "model.safetensors"
    path.write_bytes(other_writer(metadata))
    with pytest.raises(ModelError):
        Model.load(path)


# --- hostile files, sealed by their makers --------------------------------------------------------

NUMBER = "1" + "0" * 400
HOSTILE = {
    "brackets": "[" * 100_000,
    "nested": '{"format":' * 100_000,
    "a number": NUMBER,
    "many digits": "9" * 1_000_000,
    "nan": "NaN",
    "nothing": "",
    "a list": "[]",
    "text": '"x"',
    "surrogate": '"\\ud800"',
    "format": json.dumps(ENTRY | {"format": None}),
    "huge format": json.dumps(ENTRY).replace('"format": 1', f'"format": {NUMBER}'),
    "more": json.dumps(ENTRY | {"more": 1}),
    "scale": json.dumps(ENTRY).replace("1.0", NUMBER),
    "scale as text": json.dumps(ENTRY | {"scale": "1"}),
    "mean as numbers": json.dumps(ENTRY | {"mean": [1, 2]}),
    "long mean": json.dumps(ENTRY | {"mean": "A" * 400_000}),
    "mean of nan": json.dumps(ENTRY | {"mean": "AADAfwAAwH8="}),
    "classes": json.dumps(ENTRY).replace("70", NUMBER),
    "many classes": json.dumps(ENTRY | {"classes": list(range(100_000))}),
    "inputs": json.dumps(ENTRY).replace('"inputs": 2', f'"inputs": {NUMBER}'),
    "large inputs": json.dumps(ENTRY).replace('"inputs": 2', '"inputs": 1e300'),
    "hidden": json.dumps(ENTRY).replace("[]", f"[{NUMBER}]"),
    "wide": json.dumps(ENTRY).replace("[]", "[1000000]"),
    "training": json.dumps(ENTRY | {"training": 5}),
    "training as a list": json.dumps(ENTRY | {"training": []}),
} | {
    f"{name} in the training": json.dumps(ENTRY).replace(
        '"training": null', f'"training": {{"hidden": [], "{name}": {NUMBER}}}'
    )
    for name in (
        "momentum",
        "lr",
        "epochs",
        "seed",
        "scale",
        "batch_size",
        "class_weight",
        "patience",
        "loss",
    )
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_description_that_is_none_is_one_error(tmp_path, what):
    path = tmp_path / "model.safetensors"
    sealed.write(path, net().parameters.to_torch(), {"format": "pt", "fastmlp": HOSTILE[what]})
    with pytest.raises(ModelError) as caught:
        Model.load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "text", ["[" * 100_000, NUMBER, "{}", "[1]", "null", '{"name": 3, "layers": 4}', "\0"]
)
def test_an_entry_of_keras_that_is_none_is_one_error(tmp_path, text):
    path = tmp_path / "model.keras"
    net().save(path, {"keras": text})
    with pytest.raises(ModelError):
        load_model(path)


@pytest.mark.parametrize(
    "header",
    [
        b"", b"{", b"{}", b"[" * 100_000, b'{"__metadata__":5}', b'{"__metadata__":{"fastmlp":5}}',
        b'{"__metadata__":{"fastmlp":"{}"},"__metadata__":5}',
        b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}',
        b'{"a":{"dtype":"F32","shape":[0,9223372036854775808],"data_offsets":[0,0]}}',
        b'{"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,0]}}',
        b'{"a":{"dtype":"BF16","shape":[0],"data_offsets":[0,0]}}', b'{"a":{"dtype":"F4","shape":[0],'
        b'"data_offsets":[0,0]}}', b'{"a":' * 50_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("length", [0, 2**31, 2**63, 2**64 - 1, None])
def test_a_header_that_is_none_is_one_error(tmp_path, header, length):
    path = tmp_path / "model.safetensors"
    path.write_bytes((len(header) if length is None else length).to_bytes(8, "little") + header)
    with pytest.raises(ModelError):
        Model.load(path)


def test_a_large_file_that_is_no_model_is_not_read(tmp_path):
    path = tmp_path / "film"
    with path.open("wb") as file:
        file.write(b"\xff" * 64)
        file.truncate(1 << 30)
    tracemalloc.start()
    try:
        assert refused(Model.load, path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    os.truncate(path, 1 << 35)
    with pytest.raises(ModelError, match="more than 8,689,934,596 bytes"):
        Model.load(path)


def test_a_pipe_and_a_folder_in_its_place_are_refused(tmp_path):
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (*tmp_path.iterdir(), "no\0path", "x" * 5000, "\ud800", ""):
        with pytest.raises(ModelError):
            Model.load(path)


def test_a_description_that_no_reader_takes_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(sealed, "MOST_HEADER", 100)
    with pytest.raises(ModelError, match="must fit into 100 bytes"):
        net().save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_further_entries_come_back_and_the_own_ones_stay(tmp_path):
    path = tmp_path / "model.safetensors"
    net().save(path, {"note": "mine", "sha256": "x", "format": "y"})
    model, metadata = Model.load_with_extra(path)
    assert (model.classes, metadata["note"], metadata["format"]) == ((3, 70), "mine", "pt")
    assert set(load_file(path)) == set(SHAPES)


def test_the_same_model_is_the_same_file(tmp_path):
    """Its entries have one order; safetensors itself has any."""
    model, _ = fastmlp.fit({"a": [1.0, 2, 3, 4], "b": ["x", "\u00fc\n", "x", "x"]}, [0, 1, 0, 1], epochs=1)
    files = [tmp_path / f"{k}.safetensors" for k in range(8)]
    for file in files:
        model.save(file, extra={"note": "\u00e9 \x1b"})
    assert len({file.read_bytes() for file in files}) == 1
    again = fastmlp.Model.load(files[0])
    again.save(files[1], extra={"note": "\u00e9 \x1b"})
    assert files[1].read_bytes() == files[0].read_bytes()
    assert len(files[0].read_bytes()) % 4 == 0
