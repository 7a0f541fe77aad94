"""Checkpoints: a training that is broken off anywhere goes on to the bytes of one that nobody broke off."""

from __future__ import annotations

import dataclasses
import json
import shutil
import uuid
from pathlib import Path

import kill_runs
import numpy as np
import pytest
from cli_runs import run, save_blobs, strict
from nets import call, learnable, net_of

import fastmlp
from fastmlp import (
    Architecture,
    ConfigError,
    DataError,
    ModelError,
    OptimizerState,
    RunFolderError,
    initialise,
    kernels,
    reference,
    runs,
)
from fastmlp.files.lock import LOCK, FolderLock
from fastmlp.kernels import launch
from fastmlp.train import checkpoint
from fastmlp.train.checkpoint import CHECKPOINT, CheckpointFile, read

BACKENDS = {"numba": kernels, "numpy": reference}
RULES = {
    "sgd": {},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "adam": {"optimizer": "adam"},
}
SCHEDULES = ("constant", "cosine", "step:2,0.5")


class Broken(Exception):
    """What breaks a training off here."""


@pytest.fixture
def often(monkeypatch):
    """A checkpoint after every epoch."""
    monkeypatch.setattr(checkpoint, "_LEAST", 0.0)
    monkeypatch.setattr(checkpoint, "_SHARE", 1e9)


def told(history):
    """The epochs, but for what is about time."""
    return [dataclasses.replace(epoch, seconds=0, samples_per_second=0) for epoch in history.epochs]


def same(one, other):
    """Whether two results of ``fit`` are the same to the byte."""
    return (
        one[0].parameters.sha256() == other[0].parameters.sha256()
        and told(one[1]) == told(other[1])
        and one[1].best_epoch == other[1].best_epoch
        and one[0].epoch == other[0].epoch
    )


X, Y = learnable(0, 240, 40, 3)
QUICK = {"hidden": (8,), "epochs": 6, "batch_size": 16, "lr": 0.05, "test_data": (X[:40], Y[:40])}


# --- an epoch in pieces ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "rule"),
    [
        *(("numpy", rule) for rule in ("sgd", "nesterov", "adam")),
        *(pytest.param("numba", rule, marks=pytest.mark.slow) for rule in ("sgd", "nesterov")),
        pytest.param("numba", "adam", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_an_epoch_goes_on_from_any_batch(monkeypatch, backend, rule, weighted):
    N = 20_000 if backend == "numba" else 1200
    X, Y = learnable(3, N, 40, 3)
    monkeypatch.setattr(launch, "_BRIEF", 0)
    nn, rng = BACKENDS[backend], np.random.default_rng(len(rule) + weighted)
    optimizer = fastmlp.Training.of(**RULES[rule]).optimizer
    weights = rng.random(N) * (rng.random(N) < 0.8) if weighted else None
    options = {"batch_size": 7, "lr": 0.02, "scale": 255.0, "optimizer": optimizer, "sample_weight": weights}
    p = initialise(Architecture(40, (9, 5), 3))
    q, state = p.copy(), OptimizerState.start(p, optimizer)
    mine, cuts = OptimizerState.start(q, optimizer), 0
    for _ in range(2):
        order, midway = rng.permutation(N), None
        whole = call(nn.train_epoch, p, X, Y, order, state=state, **options)
        totals = None
        while totals is None:
            taken, wanted = [], int(rng.integers(1, 3))

            def pause(take, taken=taken, wanted=wanted):
                taken.append(take())
                if len(taken) > wanted:
                    raise Broken
                return 1e-5

            before = q.sha256(), mine.steps
            threads = rng.choice(["1", "2", "auto"])
            try:
                totals = call(
                    nn.train_epoch,
                    q,
                    X,
                    Y,
                    order,
                    state=mine,
                    midway=midway,
                    pause=pause,
                    threads=threads,
                    **options,
                )
            except Broken:
                midway, cuts = taken[-1], cuts + 1
                assert (q.sha256(), mine.steps) == before
        assert totals[:4] == whole[:4]
    assert cuts > 0
    assert (q.sha256(), mine.steps) == (p.sha256(), state.steps)
    for one, other in zip(mine.moments, state.moments, strict=True):
        assert one.sha256() == other.sha256()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_piece_of_something_else_is_refused(backend):
    nn, taken = BACKENDS[backend], []
    p = initialise(Architecture(40, (9,), 3))

    def pause(take):
        taken.append(take())
        return 1e9

    nn.train_epoch(net_of(p), X, Y, np.arange(240), batch_size=8, pause=pause)
    good = taken[0]
    other = initialise(Architecture(40, (4,), 3))
    for bad in (
        dataclasses.replace(good, samples=3), dataclasses.replace(good, parameters=other),
        dataclasses.replace(good, moments=(other,)),
    ):  # fmt: skip
        with pytest.raises(ModelError, match="midway must be at the end of a batch of 8"):
            nn.train_epoch(net_of(p), X, Y, np.arange(240), batch_size=8, midway=bad)
    for bad in (dataclasses.replace(good, samples=240), dataclasses.replace(good, samples=-8), 3):
        with pytest.raises(ConfigError, match="midway"):
            nn.train_epoch(net_of(p), X, Y, np.arange(240), batch_size=8, midway=bad)


# --- fit ------------------------------------------------------------------------------------------


def broken_off(folder, after, X=X, Y=Y, **options):
    """A fit that ends in the callback of that epoch of it, again and again to the last; and what was told."""
    seen = []
    for _ in range(30):
        here = []

        def callback(result, model, here=here):
            here.append(result.epoch)
            seen.append(result.epoch)
            if len(here) == after:
                raise Broken

        try:
            return fastmlp.fit(X, Y, checkpoint=folder, callbacks=[callback], **options), seen
        except Broken:
            continue
    raise AssertionError("it does not come to an end")


@pytest.mark.parametrize(
    ("backend", "rule", "schedule"),
    [("numpy", rule, schedule) for rule in RULES for schedule in SCHEDULES]
    + [("numba", rule, schedule) for rule, schedule in zip(RULES, SCHEDULES, strict=True)],
)
def test_fit_goes_on_to_the_same_bytes(tmp_path, backend, rule, schedule):
    options = {**QUICK, **RULES[rule], "schedule": schedule, "backend": backend}
    found, seen = broken_off(tmp_path, 2, **options)
    assert same(found, fastmlp.fit(X, Y, **options))
    assert seen == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]  # what broke off in a callback is told again


@pytest.mark.parametrize("backend", BACKENDS)
def test_early_stopping_goes_on_too(tmp_path, often, backend):
    options = {
        **QUICK, "optimizer": "adam", "validation": 0.2, "patience": 3, "epochs": 40, "backend": backend,
        "class_weight": "balanced", "sample_weight": np.linspace(0, 2, 240), "center": True,
        "initial": initialise(Architecture(40, (8,), 3), seed=5),
    }  # fmt: skip
    wanted = fastmlp.fit(X, Y, **options)
    assert 1 < wanted[1].best_epoch < len(wanted[1].epochs) < 40
    found, _ = broken_off(tmp_path, 3, **options)
    assert same(found, wanted)
    assert same(fastmlp.fit(X, Y, checkpoint=tmp_path, **options), wanted)
    assert same(fastmlp.fit(X, Y, checkpoint=tmp_path, **{**options, "epochs": 50}), wanted)


@pytest.mark.parametrize("backend", BACKENDS)
def test_fit_goes_on_within_an_epoch_with_other_threads_and_another_driver(tmp_path, monkeypatch, backend):
    monkeypatch.setattr(launch, "_BRIEF", 0)
    monkeypatch.setattr(checkpoint, "_SHARE", 1e9)
    X, Y = learnable(1, 30_000 if backend == "numba" else 3000, 40, 3)
    options = {**QUICK, "optimizer": "adam", "batch_size": 2, "epochs": 2, "backend": backend}
    wanted, midways, ways = fastmlp.fit(X, Y, **options), 0, [(2, "team"), (1, "team"), (2, "prange")]
    keep = CheckpointFile.keep

    def broken(self, now):
        keep(self, now)
        if now.midway is not None:
            raise Broken

    monkeypatch.setattr(CheckpointFile, "keep", broken)
    for n in range(6):
        threads, driver = ways[n % 3]
        with pytest.raises(Broken):
            fastmlp.fit(
                X, Y, **options, checkpoint=tmp_path, checkpoint_seconds=1e-3, threads=threads, driver=driver
            )
        _, found = read(tmp_path / CHECKPOINT)
        assert found.midway is not None
        assert found.midway.samples % 2 == 0
        midways += found.midway.samples > 0
    assert midways > 2
    monkeypatch.setattr(CheckpointFile, "keep", keep)
    found = fastmlp.fit(X, Y, **options, checkpoint=tmp_path)
    assert same(found, wanted)
    assert all(epoch.seconds > 0 for epoch in found[1].epochs)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupt_keeps_the_epochs_that_were_finished(tmp_path, backend):
    def interrupted(epoch, samples):
        if epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastmlp.fit(X, Y, **QUICK, backend=backend, checkpoint=tmp_path, progress=interrupted)
    assert len(read(tmp_path / CHECKPOINT)[1].epochs) == 3
    assert same(
        fastmlp.fit(X, Y, **QUICK, backend=backend, checkpoint=tmp_path),
        fastmlp.fit(X, Y, **QUICK, backend=backend),
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("where", ["train_epoch", "evaluate", "dead_units"])
def test_an_interrupt_while_an_epoch_is_finished_tears_nothing(tmp_path, monkeypatch, backend, where):
    """It comes when the weights are those after the epoch, and nothing else is."""
    wanted, calls = fastmlp.fit(X, Y, **QUICK, backend=backend), []
    function = getattr(BACKENDS[backend], where)

    def interrupted(*args, **kwargs):
        result = function(*args, **kwargs)
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(BACKENDS[backend], where, interrupted)
        with pytest.raises(KeyboardInterrupt):
            fastmlp.fit(X, Y, **QUICK, backend=backend, checkpoint=tmp_path)
    assert same(fastmlp.fit(X, Y, **QUICK, backend=backend, checkpoint=tmp_path), wanted)


def test_sparse_matrices_go_on(tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    rows = sparse.csr_matrix(np.where(X > 180, X, 0).astype(np.float32))
    options = {**QUICK, "test_data": None, "optimizer": "adam"}
    found, _ = broken_off(tmp_path, 2, rows, Y, **options)
    assert same(found, fastmlp.fit(rows, Y, **options))
    other = rows.copy()
    other.data[3] += 1
    with pytest.raises(DataError, match="got other data, by sha256"):
        fastmlp.fit(other, Y, checkpoint=tmp_path, **options)


def test_a_finished_training_has_nothing_left_to_do(tmp_path):
    wanted = fastmlp.fit(X, Y, checkpoint=tmp_path, **QUICK)
    before = (tmp_path / CHECKPOINT).read_bytes()
    seen = []
    found = fastmlp.fit(X, Y, checkpoint=tmp_path, callbacks=[lambda r, m: seen.append(r)], **QUICK)
    assert same(found, wanted)
    assert found[1].epochs == wanted[1].epochs
    assert (seen, (tmp_path / CHECKPOINT).read_bytes()) == ([], before)
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT}


def test_a_training_that_a_callback_ended_is_finished(tmp_path):
    ends = [lambda result, model: result.epoch == 3]
    wanted = fastmlp.fit(X, Y, checkpoint=tmp_path, callbacks=ends, **QUICK)
    assert len(wanted[1].epochs) == 3
    assert same(fastmlp.fit(X, Y, checkpoint=tmp_path, callbacks=ends, **QUICK), wanted)


@pytest.mark.parametrize("schedule", ["constant", "step:2,0.5"])
def test_epochs_may_be_more(tmp_path, schedule):
    options = {**QUICK, "schedule": schedule, "optimizer": "adam"}
    fastmlp.fit(X, Y, checkpoint=tmp_path, **options)
    found = fastmlp.fit(X, Y, checkpoint=tmp_path, **{**options, "epochs": 9})
    assert same(found, fastmlp.fit(X, Y, **{**options, "epochs": 9}))


OTHER = {
    "lr": 0.1, "hidden": (9,), "act": "tanh", "scale": 1.0, "center": True, "init": "he_uniform",
    "batch_size": 8, "seed": 1, "loss": "keras2", "optimizer": "adam", "momentum": 0.5, "beta1": 0.5,
    "beta2": 0.5, "epsilon": 1e-4, "weight_decay": 0.1, "schedule": "step:1,0.5", "validation": 0.3,
    "class_weight": "balanced", "backend": "numpy",
}  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    fastmlp.fit(X, Y, checkpoint=folder, **QUICK)
    return folder


@pytest.mark.parametrize("name", OTHER)
def test_another_option_is_refused_by_name(kept, name):
    before = (kept / CHECKPOINT).read_bytes()
    match = rf"must go on with the options it was begun with; got {name} .* instead of .*"
    with pytest.raises(ConfigError, match=match) as caught:
        fastmlp.fit(X, Y, checkpoint=kept, **{**QUICK, name: OTHER[name]})
    assert "\n" not in str(caught.value)
    assert (kept / CHECKPOINT).read_bytes() == before


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
            fastmlp.fit(*data, checkpoint=kept, **{**QUICK, **more})
    fastmlp.fit(X.reshape(-1, 8, 5).copy(), Y.astype(np.uint8), checkpoint=kept, **QUICK)  # the same


def test_another_numerics_revision_is_refused_by_name(kept, monkeypatch):
    old = checkpoint.Identity.from_json

    def older(*args):
        return dataclasses.replace(old(*args), numerics=2)

    monkeypatch.setattr(checkpoint.Identity, "from_json", older)
    with pytest.raises(RunFolderError, match="must go on with numerics revision 2; got 3"):
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


# --- runs of the command line ---------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return save_blobs(tmp_path)


def train(*args, epochs=6):
    return run(
        "train", "--backend", "numpy", "--data", "blobs.npz", "--epochs", epochs, "--lr", 0.1,
        "--batch-size", 10,
        "--hidden", 12, "--out", "run", "--json", *args,
    )  # fmt: skip


def break_off(monkeypatch, epoch, *args, **options):
    """A run that is interrupted when it has recorded that epoch, and leaves no summary, as after a kill."""
    record = runs.RunFolder.record

    def interrupted(self, result, model):
        record(self, result, model)
        if result.epoch == epoch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs.RunFolder, "record", interrupted)
        assert train(*args, **options).exit_code == 130
    Path("run/summary.json").unlink()


def unbroken(*args, **options):
    report = strict(train("--out", "whole", *args, **options).stdout)
    return report, Path("whole/metrics.jsonl").read_text().splitlines()


def assert_as(whole, report):
    assert kill_runs.as_told(report) == kill_runs.as_told(whole[0])
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert lines == report["epochs"]
    assert runs.load_model("run").parameters.sha256() == whole[0]["weights_sha256"]
    assert {path.name for path in Path("run").iterdir()} == {path.name for path in Path("whole").iterdir()}


@pytest.mark.parametrize(
    "args", [(), ("--optimizer", "adam", "--validation", 0.2, "--patience", 2, "--center")]
)
def test_a_run_goes_on_and_its_lines_stay(place, monkeypatch, args):
    whole = unbroken(*args)
    break_off(monkeypatch, 2, *args)
    before = Path("run/metrics.jsonl").read_bytes()
    assert before.count(b"\n") == 2
    with open("run/metrics.jsonl", "ab") as file:
        file.write(b'{"epoch": 3, "half of a line')
    Path(f"run/.model.safetensors-{uuid.uuid4().hex}").write_text("half")
    result = run("train", "--resume", "run", "--json")
    assert result.exit_code == 0
    report = strict(result.stdout)
    assert set(report) == set(whole[0])
    assert_as(whole, report)
    assert Path("run/metrics.jsonl").read_bytes().startswith(before)
    assert " 3/6 " in result.stderr
    assert " 1/6 " not in result.stderr  # the second is told again: there it was broken off


def test_the_folder_tells_of_one_moment_when_a_run_is_taken_up(place, monkeypatch):
    """Whatever comes then: the summary of the earlier end is gone, the model is the checkpoint's."""
    break_off(monkeypatch, 2)
    old = Path("run/model.safetensors").read_bytes()
    assert run("train", "--resume", "run").exit_code == 0
    whole = runs.load_model("run")
    report = json.loads(Path("run/summary.json").read_text()) | {"status": "interrupted"}
    Path("run/summary.json").write_text(json.dumps(report))
    Path("run/model.safetensors").write_bytes(old)
    with runs.RunFolder.resume("run") as folder:
        folder.go_on(folder.begun().identity, {})
        assert not Path("run/summary.json").exists()
        model = runs.load_model("run")
        assert (model.epoch, model.parameters.sha256()) == (6, whole.parameters.sha256())
        assert folder.weights_sha256 == whole.parameters.sha256()


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(place, monkeypatch):
    whole = unbroken()
    break_off(monkeypatch, 3)
    Path("run", CHECKPOINT).unlink()
    assert_as(whole, strict(run("train", "--resume", "run", "--json").stdout))
    for name in ("summary.json", CHECKPOINT, "metrics.jsonl", "model.safetensors", "environment.json"):
        Path("run", name).unlink()
    assert_as(whole, strict(run("train", "--resume", "run", "--json").stdout))


def test_a_finished_run_has_nothing_left_to_do(place):
    whole = strict(train().stdout)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path("run").iterdir()}
    place.rename("elsewhere.npz")  # nobody reads it
    for more in ((), ("--epochs", 6), ("--lr", 0.1, "--threads", 1)):
        assert strict(run("train", "--resume", "run", "--json", *more).stdout) == whole
    assert {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path("run").iterdir()
    } == before
    assert run("train", "--resume", "run").stdout == f"Test accuracy: {whole['test_accuracy']:.4f}\n"
    assert run("train", "--resume", "run", "--min-accuracy", 1, "--quiet").exit_code in (0, 5)
    Path("run").rename("moved")
    assert strict(run("train", "--resume", "moved", "--json").stdout)["run_dir"] == str(
        Path("moved").absolute()
    )


def test_a_run_without_a_summary_and_nothing_left_gets_one(place):
    whole = unbroken()
    train()
    Path("run/summary.json").unlink()
    assert_as(whole, strict(run("train", "--resume", "run", "--json").stdout))


def test_epochs_of_a_run_may_be_more(place):
    whole = unbroken(epochs=9)
    train()
    before = Path("run/metrics.jsonl").read_bytes()
    report = strict(run("train", "--resume", "run", "--epochs", 9, "--json").stdout)
    assert_as(whole, report)
    assert Path("run/metrics.jsonl").read_bytes().startswith(before)
    assert runs.recorded_training("run").epochs == report["config"]["epochs"] == 9


def test_what_does_not_fit_is_refused_and_nothing_is_changed(place, monkeypatch):
    break_off(monkeypatch, 2)
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    X, y = np.load("blobs.npz")["x_train"], np.load("blobs.npz")["y_train"]
    X[0, 0, 0] += 1
    np.savez("other.npz", x_train=X, y_train=y, x_test=X, y_test=y)
    for code, words, args in (
        (2, "lr 0.2 instead of 0.1", ("--lr", 0.2)),
        (2, "loss 'clip:0.1,0.9' instead of 'logits'", ("--clip", 0.1, 0.9)),
        (2, "epochs 4 instead of 6", ("--epochs", 4)),
        (2, "backend 'numba' instead of 'numpy'", ("--backend", "numba")),
        (2, "out must be left out beside resume", ("--out", "new")),
        (2, "checkpoint-seconds must be", ("--checkpoint-seconds", 0)),
        (4, "other data, test data, by sha256", ("--data", "other.npz")),
    ):
        result = run("train", "--resume", "run", *args)
        assert (result.exit_code, result.stdout) == (code, "")
        assert words in result.stderr
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before
    Path("run/metrics.jsonl").write_bytes(before["metrics.jsonl"].replace(b"0.", b"1.", 1))
    result = run("train", "--resume", "run")
    assert result.exit_code == 1
    assert "metrics.jsonl must begin with the lines of the 2 epochs" in result.stderr


def test_data_that_have_moved_are_named_anew(place, monkeypatch):
    whole = unbroken()
    break_off(monkeypatch, 2)
    place.rename("elsewhere.npz")
    result = run("train", "--resume", "run")
    assert (result.exit_code, "blobs.npz must exist" in result.stderr) == (4, True)
    assert_as(whole, strict(run("train", "--resume", "run", "--data", "elsewhere.npz", "--json").stdout))


def test_folders_that_hold_no_run_are_refused(place, tmp_path):
    for path in ("nowhere", ".", "blobs.npz"):
        result = run("train", "--resume", path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "must say how a net was trained" in result.stderr
    train()
    Path("run", CHECKPOINT).unlink()
    result = run("train", "--resume", "run", "--epochs", 8)
    assert result.exit_code == 1
    assert "must be there for a finished run to go on" in result.stderr
    lock = FolderLock(Path("run"))
    assert run("train", "--resume", "run").exit_code == 1
    lock.release()
    config = json.loads(Path("run/config.json").read_text())
    del config["sums"]
    Path("run/config.json").write_text(json.dumps(config))
    assert run("train", "--resume", "run", "--json").exit_code == 0  # of an older fastmlp, and finished
    result = run("train", "--resume", "run", "--epochs", 8)
    assert (result.exit_code, "got no 'sums'" in result.stderr) == (1, True)


def test_a_run_that_diverges_does_so_again(place):
    result = train("--lr", 1e30, "--batch-size", 1000)
    assert result.exit_code == 3
    again = run("train", "--resume", "run", "--json")
    assert again.exit_code == 3
    assert kill_runs.as_told(strict(again.stdout)) == kill_runs.as_told(strict(result.stdout))


def test_a_model_says_which_epoch_it_is_of(place):
    report = strict(train("--optimizer", "adam", "--validation", 0.2, "--patience", 1).stdout)
    assert fastmlp.Model.load("run/model.safetensors").epoch == report["best_epoch"]
    seen = []
    model, _ = fastmlp.fit(X, Y, callbacks=[lambda r, m: seen.append(m.epoch)], **QUICK)
    assert (seen, model.epoch) == ([1, 2, 3, 4, 5, 6], 6)
    model.save("a.safetensors", {"epoch": "07"})
    assert fastmlp.Model.load("a.safetensors").epoch == 6
    for wrong in ("", "-1", "1.5", "x", "9" * 40, "٣"):
        dataclasses.replace(model, epoch=None).save("a.safetensors", {"epoch": wrong})
        with pytest.raises(ModelError, match="a model's epoch must be a whole number"):
            fastmlp.Model.load("a.safetensors")


# --- kills ----------------------------------------------------------------------------------------


def test_the_comparison_of_killed_runs_goes_red():
    epoch = {"epoch": 1, "seconds": 0.5, "samples_per_second": 2.0, "train_loss": 0.25}
    report = {"status": "finished", "best_epoch": None, "weights_sha256": "a", "epochs": [epoch]}
    slower = report | {"epochs": [epoch | {"seconds": 0.75, "samples_per_second": 1.0}]}
    assert kill_runs.as_told(slower) == kill_runs.as_told(report)
    for name, value in (("status", "failed"), ("weights_sha256", "b"), ("best_epoch", 1), ("epochs", [])):
        assert kill_runs.as_told(report | {name: value}) != kill_runs.as_told(report)
    assert kill_runs.as_told(report | {"epochs": [epoch | {"train_loss": 0.5}]}) != kill_runs.as_told(report)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(shutil.os, "fork"), reason="SIGKILL of POSIX")
def test_every_killed_run_goes_on_to_the_same_bytes(tmp_path):
    found = []
    kill_runs.run(20, 7, tmp_path, found)
    assert len(found) >= 20
    assert [(kill.training, kill.phase, kill.wrong) for kill in found if kill.wrong] == []
    assert sum(kill.writing for kill in found) >= 3
