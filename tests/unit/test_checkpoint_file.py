"""Checkpoints that a training does not go on from: of another training, of another kind, in use, damaged."""

from __future__ import annotations

import dataclasses
import json
import uuid

import numpy as np
import pytest
from checkpoints import QUICK, X, Y

import fastmlp
from fastmlp import (
    Architecture,
    ConfigError,
    DataError,
    OptimizerState,
    RunFolderError,
    Training,
    initialise,
)
from fastmlp.backends.types import Midway
from fastmlp.files.lock import LOCK, FolderLock
from fastmlp.train import checkpoint, loop
from fastmlp.train.checkpoint import CHECKPOINT, Identity

OTHER = {
    "lr": 0.1, "hidden": (9,), "act": "tanh", "scale": 1.0, "center": True, "init": "he_uniform",
    "batch_size": 8, "seed": 1, "loss": "keras2", "optimizer": "adam", "momentum": 0.5,
    "weight_decay": 0.1, "clip_norm": 1.0, "form": "keras", "schedule": "step:1,0.5",
    "validation": 0.3, "class_weight": "balanced", "backend": "numpy", "dropout": 0.2,
    "batch_norm": "after", "bias": False, "l1": 0.1, "l2": [0.1, 0], "max_norm": 1,
    "frozen": [True, False], "input_dropout": 0.1,
}  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    fastmlp.fit(X, Y, checkpoint=folder, **QUICK)
    return folder


@pytest.mark.parametrize("name", OTHER)
def test_another_option_is_refused_by_name(kept, name):
    before = (kept / CHECKPOINT).read_bytes()
    match = rf"must be resumed with the options it was begun with; got {name} .* instead of .*"
    with pytest.raises(ConfigError, match=match) as caught:
        fastmlp.fit(X, Y, checkpoint=kept, **{**QUICK, name: OTHER[name]})
    assert "\n" not in str(caught.value)
    assert (kept / CHECKPOINT).read_bytes() == before


def test_a_word_that_is_no_more_told_is_another_option():
    begun = Identity(Training(dropout=0.2, l2=0.1), "numpy", {})
    now = begun.goes_on_as(Training(batch_norm=True), "numpy")
    told = ["batch_norm 'before' instead of None", "dropout 0.0 instead of 0.2", "l2 0.0 instead of 0.1"]
    assert now.differences(begun) == told


def test_a_checkpoint_keeps_batch_norms_in_all_its_parts(tmp_path):
    rng = np.random.default_rng(0)
    training = Training(hidden=(8, 5, 4), batch_norm=["before", None, "after"], bias=[True, False, True])
    training = training.but(momentum=0.9, validation=0.1, patience=3)

    def drawn():
        p = initialise(training.architecture(40, 3))
        for array in p:
            array[...] = rng.random(array.shape)
        return p

    now = loop.Checkpoint(drawn(), OptimizerState(70, (drawn(),)), [], loop.Best(0, 1.5, None), told=0)
    now.midway = Midway(16, 1.0, 3, 4, drawn(), (drawn(),), 0.5)
    identity = Identity(training, "numpy", {"data": "0"})
    checkpoint.write(tmp_path / CHECKPOINT, identity, now)
    begun, found = checkpoint.read(tmp_path / CHECKPOINT)
    assert begun == identity
    parts = [now.parameters, now.midway.parameters, *now.midway.moments]
    kept = [found.parameters, found.midway.parameters, *found.midway.moments]
    for part, other in zip(parts, kept, strict=True):
        assert other.sha256() == part.sha256()
        assert [norm is not None for norm in other.norms] == [True, False, True]
    bare = dataclasses.replace(now, midway=None, parameters=initialise(Architecture(40, (8, 5, 4), 3)))
    checkpoint.write(tmp_path / CHECKPOINT, identity, bare)
    with pytest.raises(RunFolderError, match="others"):
        checkpoint.read(tmp_path / CHECKPOINT)


@pytest.mark.parametrize(
    ("begun", "name", "other"),
    [
        ({"optimizer": "adam"}, "beta1", 0.5),
        ({"optimizer": "adam"}, "epsilon", 1e-4),
        ({"optimizer": "adam"}, "amsgrad", True),
        ({"optimizer": "rmsprop", "momentum": 0.5}, "rho", 0.5),
        ({"optimizer": "adamw"}, "weight_decay", 0.5),
        ({"clip_norm": 1.0}, "clip_norm", 0.0),  # a word that is told no more
        ({"dropout": 0.5, "hidden": (8, 8)}, "dropout", 0.0),
    ],
)
def test_another_word_of_an_optimizer_or_of_layers_is_refused_by_name(begun, name, other):
    training = fastmlp.Training.of(**begun)
    one, two = (checkpoint.Identity(t, "numpy", {}) for t in (training, training.but(**{name: other})))
    assert one.differences(one) == []
    assert [text.split()[0] for text in two.differences(one)] == [name]
    assert [text.split()[0] for text in one.differences(two)] == [name]


def test_another_optimizer_is_refused_and_its_words_are_not_counted_up():
    one, two = (
        checkpoint.Identity(fastmlp.Training.of(optimizer=name), "numpy", {}) for name in ("adam", "adagrad")
    )
    assert one.differences(two) == ["optimizer 'adam' instead of 'adagrad'"]


def test_fewer_epochs_are_refused_and_more_of_a_cosine_schedule(kept, tmp_path):
    with pytest.raises(ConfigError, match="got epochs 5 instead of 6, which may only rise"):
        fastmlp.fit(X, Y, checkpoint=kept, **{**QUICK, "epochs": 5})
    options = {**QUICK, "schedule": "cosine"}
    fastmlp.fit(X, Y, checkpoint=tmp_path, **options)
    with pytest.raises(ConfigError, match="epochs 7 instead of 6, which decide all rates of the cosine"):
        fastmlp.fit(X, Y, checkpoint=tmp_path, **{**options, "epochs": 7})


def test_other_data_are_refused_by_name(kept):
    changed = X.copy()
    changed[7, 3] ^= 1
    labels = Y.copy()
    labels[3] = (labels[3] + 1) % 3
    weights, initial = np.ones(240), initialise(Architecture(40, (8,), 3), seed=9)
    for name, data, more in (
        ("data", (changed, Y), {}), ("data", (X, labels), {}), ("data", (X[:-1], Y[:-1]), {}),
        ("data", (X.astype(np.float32), Y), {}), ("data", (X, Y + 1), {"test_data": (X[:40], Y[:40] + 1)}),
        ("test data", (X, Y), {"test_data": (X[:39], Y[:39])}), ("test data", (X, Y), {"test_data": None}),
        ("sample weights", (X, Y), {"sample_weight": weights}),
        ("first weights", (X, Y), {"initial": initial}),
    ):  # fmt: skip
        with pytest.raises(DataError, match=rf"got other {name}.*, by sha256"):
            fastmlp.fit(*data, checkpoint=kept, **{**QUICK, "scale": 255, "optimizer": "sgd", **more})
    fastmlp.fit(X.reshape(-1, 8, 5).copy(), Y.astype(np.uint8), checkpoint=kept, **QUICK)  # the same


def test_another_numerics_revision_is_refused_by_name(kept, monkeypatch):
    old = checkpoint.Identity.from_json

    def older(*args):
        return dataclasses.replace(old(*args), numerics=2)

    monkeypatch.setattr(checkpoint.Identity, "from_json", older)
    with pytest.raises(RunFolderError, match="must be resumed with numerics revision 2; got 3"):
        fastmlp.fit(X, Y, checkpoint=kept, **QUICK)


def test_a_folder_in_use_is_refused(tmp_path):
    lock = FolderLock(tmp_path)
    with pytest.raises(RunFolderError, match="must be free"):
        fastmlp.fit(X, Y, checkpoint=tmp_path, **QUICK)
    lock.release()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="must be a folder that can be written"):
        fastmlp.fit(X, Y, checkpoint=tmp_path / "file", **QUICK)
    with pytest.raises(ConfigError, match="checkpoint must be a path"):
        fastmlp.fit(X, Y, checkpoint="", **QUICK)
    with pytest.raises(ConfigError, match="checkpoint_seconds"):
        fastmlp.fit(X, Y, checkpoint=tmp_path, checkpoint_seconds=0, **QUICK)


# --- the file -------------------------------------------------------------------------------------


def refused(folder):
    with pytest.raises(RunFolderError, match="must be a whole checkpoint that fastmlp wrote; got ") as caught:
        fastmlp.fit(X, Y, checkpoint=folder, **QUICK)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_flipped_bits_and_cut_files_are_refused(kept, tmp_path):
    content, rng = (kept / CHECKPOINT).read_bytes(), np.random.default_rng(0)
    for at in [*range(0, 16), *rng.integers(16, len(content), 60)]:
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(rng.integers(8))
        (tmp_path / CHECKPOINT).write_bytes(flipped)
        refused(tmp_path)
    for length in [0, 1, 7, 8, 9, *rng.integers(10, len(content), 20)]:
        (tmp_path / CHECKPOINT).write_bytes(content[:length])
        refused(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(content + b"\0")
    refused(tmp_path)


def test_files_of_another_kind_are_refused(kept, tmp_path):
    model, _ = fastmlp.fit(X, Y, **{**QUICK, "epochs": 1})
    model.save(tmp_path / CHECKPOINT)
    refused(tmp_path)
    (tmp_path / CHECKPOINT).write_text("{}")
    refused(tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    (tmp_path / CHECKPOINT).mkdir()
    refused(tmp_path)
    (tmp_path / CHECKPOINT).rmdir()


def test_well_sealed_nonsense_is_refused(kept, tmp_path):
    from fastmlp.files import sealed

    tensors, metadata, _ = sealed.read(kept / CHECKPOINT)
    entry = json.loads(metadata["fastmlp_checkpoint"])
    for change in (
        {"format": 2}, {"epochs": 5}, {"epochs": -1}, {"told": 7}, {"steps": "1"}, {"ended": 3}, {"sums": []},
        {"midway": {}}, {"midway": 3}, {"backend": "cuda"}, {"config": {"lr": -1}},
        {"best_epoch": 3}, {"x": 1},
    ):  # fmt: skip
        sealed.write(tmp_path / CHECKPOINT, tensors, {"fastmlp_checkpoint": json.dumps(entry | change)})
        refused(tmp_path)
    for name in tensors:
        for wrong in ({}, {name: tensors[name].view(np.int32)}, {name: tensors[name].reshape(1, -1, 1)}):
            others = {other: array for other, array in tensors.items() if other != name} | wrong
            sealed.write(tmp_path / CHECKPOINT, others, {"fastmlp_checkpoint": json.dumps(entry)})
            refused(tmp_path)
    sealed.write(tmp_path / CHECKPOINT, tensors, {"fastmlp_checkpoint": json.dumps(entry)})
    assert len(fastmlp.fit(X, Y, checkpoint=tmp_path, **QUICK)[1].epochs) == 6


def test_what_a_kill_has_left_is_taken_away(tmp_path):
    left, mine = tmp_path / f".{CHECKPOINT}-{uuid.uuid4().hex}", tmp_path / f".mine-{uuid.uuid4().hex}"
    left.write_text("half")
    mine.write_text("mine")
    (tmp_path / LOCK).touch()
    fastmlp.fit(X, Y, checkpoint=tmp_path, **QUICK)
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT, mine.name}


@pytest.mark.slow
def test_one_is_written_a_second_at_most_and_less_often_where_that_is_dear(tmp_path, monkeypatch):
    """By a clock that goes on by 0.1 s an epoch, and by what a write takes."""
    now, written, price = [0.0], [], [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])

    def write(path, identity, state):
        written.append(now[0])
        now[0] += price[0]

    monkeypatch.setattr(checkpoint, "write", write)

    def trained(cost, epochs):
        now[0], price[0] = 0.0, cost
        written.clear()

        def tick(result, model):
            now[0] += 0.1

        fastmlp.fit(
            X[:20], Y[:20], hidden=(), epochs=epochs, checkpoint=tmp_path, callbacks=[tick], backend="numpy"
        )
        return np.diff(written), len(written) * cost, now[0]

    gaps, _, _ = trained(0.0, 57)
    assert len(gaps) == 5  # five in 5.7 s, and the last
    assert gaps[:-1].min() >= 1.0 - 1e-9
    for cost in (0.01, 0.1, 1.0):
        _, spent, seconds = trained(cost, 1000)
        assert spent < 0.025 * seconds + 2 * cost  # the first, whose price is not known yet, and the last
