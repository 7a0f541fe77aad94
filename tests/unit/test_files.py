"""files.py: paths, JSON and files from outside, each wrong one is the error that the caller names."""

from __future__ import annotations

import errno
import json
import os
import random
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from nasty import VALUES, Raises

from fastmlp import files
from fastmlp.errors import ConfigError, DataError, ModelError, RunFolderError
from fastmlp.files.lines import add_line

posix = pytest.mark.skipif(os.name != "posix", reason="other names, and no pipes in folders")


class Bytes:
    def __fspath__(self):
        return b"x"


# --- paths ------------------------------------------------------------------------------------------

WRONG = ["", "a\0b", "\ud800", "x" * 5000, "x/" * 3000, "~nosuchuser", "~nosuchuser/a", b"x", 3, None, 1.5,
         [], Path, Bytes(), Raises()]  # fmt: skip


@posix
@pytest.mark.parametrize("path", WRONG, ids=lambda path: type(path).__name__)
def test_what_no_file_can_be_called(path):
    with pytest.raises(ModelError, match="a model must be a path that can be looked up; got ") as caught:
        files.path_of("a model", path, ModelError)
    assert len(str(caught.value)) < 320
    str(caught.value).encode()


def test_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(DataError, match="looked up"):
        files.path_of("data", tmp_path / "a" / "c")
    assert files.path_of("data", tmp_path / "a") == tmp_path / "a"  # a link is there
    assert not files.is_file(tmp_path / "a")


@posix
def test_what_may_be_called_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("no such file", "ä ж", "a\nb", " ", "-", os.fsdecode(b"\xff\xfe"), "a/b/c"):
        assert files.path_of("data", tmp_path / name) == tmp_path / name
    assert files.path_of("data", "~/a") == tmp_path / "a"
    (tmp_path / "file").write_text("")
    assert files.path_of("data", tmp_path / "file" / "below") == tmp_path / "file" / "below"


def test_every_value_is_a_path_or_the_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in VALUES.values():
        try:
            assert isinstance(files.path_of("data", value, ConfigError), Path)
        except ConfigError:
            continue


# --- what is no file --------------------------------------------------------------------------------


def no_files(folder):
    """Of each kind that a system has, one."""
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(folder / "pipe")
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "socket"))
    found = [folder / name for name in ("pipe", "link", "folder", "socket")]
    return [*found, *(path for path in map(Path, ("/dev/zero", "/dev/null", "/dev/tty")) if path.exists())]


@posix
def test_what_is_no_file_is_refused_and_waited_for_by_nobody(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    for path in no_files(Path()):
        assert not files.is_file(path)
        with pytest.raises(OSError, match=r".") as caught:
            open(path, "rb", opener=files.regular)  # noqa: SIM115
        assert caught.value.strerror
        with pytest.raises(OSError, match=r"."):
            files.read_bytes(path, 10)
        with pytest.raises(ModelError, match="a JSON file that can be read"):
            files.read_json(path, ModelError)


def test_a_file_is_read_within_bounds(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert files.read_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        files.read_bytes(path, 4)
    with pytest.raises(DataError, match="more than 4 bytes"):
        files.read_json(path, DataError, most=4)
    assert files.is_file(path)
    assert files.is_folder(tmp_path)
    for strange in (Path("a\0b"), Path("x" * 5000), path / "below", tmp_path / "none"):
        assert not files.is_file(strange)
        assert not files.is_folder(strange)


def test_no_handle_stays_open(tmp_path):
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("nobody counts them here")
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        with pytest.raises(OSError, match="a folder, a pipe or a device"):
            files.read_bytes(tmp_path / "pipe", 10)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


# --- JSON -------------------------------------------------------------------------------------------

NO_JSON = {
    "nothing": b"", "text": b"abc", "half": b'{"a": ', "NaN": b"[NaN]", "Infinity": b"-Infinity",
    "1e400": b"[1e400]", "400 digits": b"9" * 400, "5000 digits": b"[" + b"9" * 5000 + b"]",
    "2**64": str(2**64).encode(), "-2**63 - 1": str(-(2**63) - 1).encode(), "brackets": b"[" * 100_000,
    "objects": b'{"a":' * 100_000, "no UTF-8": b'"\xff"', "two": b"1 2", "NUL": b"\0",
    "control": b'"\n"',
}  # fmt: skip


@pytest.mark.parametrize("name", NO_JSON)
def test_no_json(name, tmp_path):
    (tmp_path / "a.json").write_bytes(NO_JSON[name])
    with pytest.raises(RunFolderError, match="must be JSON; got ") as caught:
        files.read_json(tmp_path / "a.json", RunFolderError, do="write it anew")
    assert str(caught.value).endswith("Write it anew.")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="a line must be JSON"):
        files.parse_json(NO_JSON[name], "a line", DataError)


def test_json_that_strict_parsers_take_comes_out_as_it_went_in():
    rng = random.Random(1)

    def value(depth):
        kinds = [
            None,
            True,
            rng.randint(-(2**63), 2**64 - 1),
            rng.uniform(-1e307, 1e307),
            5e-324,
            "ä\ud83d\n",
        ]
        if depth and rng.random() < 0.7:
            items = [value(depth - 1) for _ in range(rng.randrange(4))]
            return items if rng.random() < 0.5 else {str(n): item for n, item in enumerate(items)}
        return rng.choice(kinds)

    for _ in range(200):
        made = value(4)
        text = json.dumps(made)
        assert files.parse_json(text, "x", DataError) == made
        assert files.parse_json(text.encode(), "x", DataError) == made


# --- writing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "none/a"])
def test_what_cannot_be_written_is_one_error(tmp_path, name):
    with pytest.raises(RunFolderError, match="must be writable"):
        files.write_whole(tmp_path / name, b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@posix
def test_a_pipe_in_the_place_of_any_file_is_refused_at_once(tmp_path):
    """Each in one process: whatever waits for the pipe's other end is ended by the clock."""
    script = """
import os, sys, warnings
from pathlib import Path
import numpy as np
from fastmlp import Model, data
from fastmlp.errors import FastMLPError
from fastmlp.keras.models import load_model
from fastmlp.runs import recorded_data, recorded_training
from fastmlp.study.store import Store
from fastmlp_cli.train import _weights

folder = Path(sys.argv[1])
names = ["a.csv", "a.csv.gz", "a.npz", "X.npy", "y.npy", "images.idx", "config.json", "nets.jsonl", "model"]
for name in [*names, "train-images-idx3-ubyte"]:
    os.mkfifo(folder / name)
calls = [lambda path=folder / name, read=read: read(path)
         for name in names for read in (data.load, data.read_test, data.read_images)]
model = folder / "model"
calls += [lambda: data.load(folder), lambda: Model.load(model), lambda: load_model(model)]
calls += [lambda: recorded_training(folder), lambda: Store(folder, "d")]
calls += [lambda: _weights(str(folder / "y.npy"), 3)]
for number, call in enumerate(calls):
    try:
        call()
    except FastMLPError:
        continue
    raise SystemExit(f"call {number} was taken")
assert recorded_data(folder / "model") == {}
"""
    ran = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="folders that can be opened")
def test_what_is_to_be_kept_is_on_disk_with_its_name(tmp_path, monkeypatch):
    """The file before it has its name, the folder after that: else a loss of power may take either."""
    real, done = os.fsync, []

    def fsync(handle):
        done.append((stat.S_ISDIR(os.fstat(handle).st_mode), (tmp_path / "x").exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_whole(tmp_path / "x", b"x")
    assert done == [(False, False), (True, True)]
    (tmp_path / "x").unlink()
    done.clear()
    add_line(tmp_path / "x", b"x\n", new=True)
    add_line(tmp_path / "x", b"y\n", new=False)
    assert done == [(False, True), (True, True), (False, True)]


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="folders that can be opened")
def test_a_file_system_that_syncs_no_folders_is_no_error_and_a_failing_disk_is(tmp_path, monkeypatch):
    def fsync(handle, real=os.fsync):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(problem, os.strerror(problem))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    problem = errno.EINVAL
    files.write_whole(tmp_path / "x", b"x")
    problem = errno.EIO
    with pytest.raises(RunFolderError, match="Input/output error"):
        files.write_whole(tmp_path / "x", b"y")
