"""A run folder that others want, plant links in, or leave no room in: one run at a time, and whole lines."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import subprocess
import sys
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from fastmlp import (
    Architecture,
    ConfigError,
    EpochResult,
    Model,
    Net,
    RunFolderError,
    Training,
    initialise,
)
from fastmlp.files.lock import LOCK
from fastmlp.runs import RunFolder

EPOCH = EpochResult(1, 0.5, 120.0, 1.25, 0.5, math.nan, 0.75, 1.0, [2])


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model():
    architecture = Architecture(4, (3,), 2)
    return Model(Net(architecture, initialise(architecture)), (0, 1), backend="numpy")


def tree():
    return sorted(str(path) for path in Path().rglob("*"))


# --- one run at a time, and no links --------------------------------------------------------------


def test_a_folder_that_a_run_has_is_refused_to_others(model):
    with RunFolder.create("run", Training()) as run:
        for _ in range(2):  # empty, and with files
            with pytest.raises(RunFolderError, match="run must be free; got another process or thread"):
                RunFolder.create("run", Training())
            run.begin({}, {})
        run.record(EPOCH, model)
        before = tree()
        with pytest.raises(RunFolderError):
            RunFolder.create("run", Training())
        assert tree() == before
    assert not Path("run", LOCK).exists()
    with pytest.raises(ConfigError, match="must be empty or new; got run, which holds 4"):
        RunFolder.create("run", Training())
    assert not Path("run", LOCK).exists()


@pytest.mark.parametrize("path", ["run", "deep/er/run"])
def test_one_of_many_threads_has_the_folder(path):
    barrier, runs_, refused = threading.Barrier(12), [], []

    def create():
        barrier.wait()
        try:
            runs_.append(RunFolder.create(path, Training()))
        except RunFolderError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=create) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs_) == 1
    assert len(refused) == 11
    assert all(f"{path} must be free" in message for message in refused)
    assert Path(path, LOCK).exists()
    with runs_[0]:
        pass
    assert not Path(path, LOCK).exists()


def test_threads_that_make_and_leave_the_same_folder_get_in_each_others_way_in_one_manner():
    """Those that end take away what they had made, while others make it: each begins, or is told why not."""
    begun, others = [], []

    def again_and_again():
        for _ in range(100):
            try:
                with RunFolder.create("deep/er/run", Training()):
                    begun.append(1)
            except RunFolderError as error:
                others.append(str(error))

    threads = [threading.Thread(target=again_and_again) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert begun
    assert len(begun) + len(others) == 400
    assert all("must be free" in message for message in others), set(others)
    assert not list(Path().rglob(LOCK))


def test_a_lock_that_was_left_behind_is_nothing(model):
    Path("run").mkdir()
    Path("run", LOCK).touch()
    with RunFolder.create("run", Training()) as run:
        run.record(EPOCH, model)
    assert tree() == ["run", "run/metrics.jsonl", "run/model.safetensors"]
    Path("run", LOCK).touch()
    with pytest.raises(ConfigError, match="which holds 2 files"):
        RunFolder.create("run", Training())


def test_what_a_kill_left_of_the_first_file_is_nothing():
    name = Path("run", f".config.json-{uuid.uuid4().hex}")
    name.parent.mkdir()
    name.write_text("{")
    Path("run", LOCK).touch()
    Path("run/mine").touch()
    with pytest.raises(ConfigError, match="which holds 2 files"):
        RunFolder.create("run", Training())
    assert name.exists()
    Path("run/mine").unlink()
    with pytest.raises(ConfigError, match="which holds 1 files"):  # no lock was there: it is not of a kill
        RunFolder.create("run", Training())
    Path("run", LOCK).touch()
    with RunFolder.create("run", Training()):
        assert tree() == ["run", f"run/{LOCK}"]


def test_a_lock_of_somebody_elses_is_something():
    Path("run").mkdir()
    Path("run", LOCK).write_text("mine")
    with pytest.raises(ConfigError, match="which holds 1 files"):
        RunFolder.create("run", Training())
    assert Path("run", LOCK).read_text() == "mine"


FILES = ("config.json", "environment.json", "model.safetensors", "summary.json", "metrics.jsonl")


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("name", FILES)
def test_a_link_planted_in_the_folder_is_not_followed(model, name, there):
    victim = Path("victim")
    if there:
        victim.write_text("precious")
    with RunFolder.create("run", Training()) as run:
        Path("run", name).symlink_to(victim.absolute())
        run.begin({}, {})
        if name == "metrics.jsonl":
            with pytest.raises(RunFolderError, match=r"metrics.jsonl must be writable; got File exists"):
                run.record(EPOCH, model)
        else:
            run.record(EPOCH, model)
            run.finish(run.report())
            assert not Path("run", name).is_symlink()
    assert victim.read_text() == "precious" if there else not victim.exists()


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
@pytest.mark.parametrize("there", [True, False])
def test_a_link_planted_between_two_epochs_is_not_followed(model, there):
    victim = Path("victim")
    if there:
        victim.write_text("precious")
    with RunFolder.create("run", Training()) as run:
        run.record(EPOCH, model)
        Path("run/metrics.jsonl").unlink()
        Path("run/metrics.jsonl").symlink_to(victim.absolute())
        with pytest.raises(RunFolderError, match=r"metrics.jsonl must be writable; got Too many levels"):
            run.record(replace(EPOCH, epoch=2), model)
        Path("run/metrics.jsonl").unlink()
        os.mkfifo("run/metrics.jsonl")
        with pytest.raises(RunFolderError, match=r"metrics.jsonl must be writable"):
            run.record(replace(EPOCH, epoch=2), model)
        Path("run/metrics.jsonl").unlink()
        with pytest.raises(RunFolderError, match=r"metrics.jsonl must be writable; got No such file"):
            run.record(replace(EPOCH, epoch=2), model)
    assert victim.read_text() == "precious" if there else not victim.exists()
    assert run.epochs == [EPOCH]


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_link_planted_where_a_file_is_prepared_is_not_followed(monkeypatch):
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=7))
    Path("victim").write_text("precious")
    with RunFolder.create("run", Training()) as run:
        Path("run", f".config.json-{uuid.UUID(int=7).hex}").symlink_to(Path("victim").absolute())
        with pytest.raises(RunFolderError, match=r"config.json must be writable; got File exists"):
            run.begin({}, {})
    assert Path("victim").read_text() == "precious"


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_link_in_place_of_the_folder():
    Path("run").symlink_to("nowhere")
    with pytest.raises(RunFolderError, match="run must be a folder that can be written"):
        RunFolder.create("run", Training())
    Path("elsewhere").mkdir()
    Path("mine").symlink_to("elsewhere")  # a person's own: to another disk, say
    with RunFolder.create("mine", Training()) as run:
        run.begin({}, {})
    assert Path("elsewhere/config.json").exists()


# --- a line an epoch, whole and on disk -----------------------------------------------------------


def test_each_line_is_flushed_to_the_disk_alone(model, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (fsync(handle), synced.append(os.fstat(handle).st_ino)))
    run = RunFolder.create("run", Training())
    for n in (1, 2, 3):
        run.record(replace(EPOCH, epoch=n), model)
        assert synced.count(Path("run/metrics.jsonl").stat().st_ino) == n


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("short", [0, 1, 40])
def test_a_line_that_fails_is_no_part_of_the_file(model, monkeypatch, call, short):
    run = RunFolder.create("run", Training())
    run.record(EPOCH, model)
    before = Path("run/metrics.jsonl").read_bytes()
    inode, real, left = Path("run/metrics.jsonl").stat().st_ino, getattr(os, call), [short]

    def failing(handle, *content):
        if os.fstat(handle).st_ino != inode:
            return real(handle, *content)
        if content and left[0]:  # a disk with little room takes a part first
            return real(handle, bytes(content[0])[: left.pop()] if left else b"")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, failing)
    left.append(0)
    left.reverse()
    with pytest.raises(RunFolderError, match=r"metrics.jsonl must be writable; got No space left") as caught:
        run.record(replace(EPOCH, epoch=2), model)
    assert "\n" not in str(caught.value)
    assert Path("run/metrics.jsonl").read_bytes() == before
    assert run.epochs == [EPOCH]
    monkeypatch.setattr(os, call, real)
    run.record(replace(EPOCH, epoch=2), model)  # there is room again
    assert Path("run/metrics.jsonl").read_bytes().count(b"\n") == 2


FILL = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from fastmlp import Architecture, EpochResult, Model, Net, RunFolderError, Training, initialise
from fastmlp.runs import RunFolder
net = Architecture(2, (), 2)
model = Model(Net(net, initialise(net)), (0, 1), backend="numpy")
run = RunFolder.create("run", Training())
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
try:
    for n in range(1, 100):
        run.record(replace(EpochResult(1, 0.5, 120.0, 1.25, 0.5, 0.5, 0.75, 1.0, [2]), epoch=n), model)
except RunFolderError as error:
    print(len(run.epochs), error)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
@pytest.mark.parametrize("room", [1500, 1577])
def test_a_disk_that_is_full_ends_a_run_after_a_whole_line(room):
    """The system's own refusal: it takes the part of a line that fits, and then no more."""
    ran = subprocess.run([sys.executable, "-c", FILL, str(room)], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    n, _, message = ran.stdout.partition(" ")
    assert re.fullmatch(r"run/metrics.jsonl must be writable; got File too large. Make room, .*\n", message)
    content = Path("run/metrics.jsonl").read_bytes()
    assert content.endswith(b"\n")
    assert [json.loads(line)["epoch"] for line in content.splitlines()] == list(range(1, int(n) + 1))
    assert int(n) > 2
    assert len(content) < room
