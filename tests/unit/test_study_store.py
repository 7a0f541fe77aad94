"""The study's finished nets on disk: found again, by all that decides them, whatever happened to the file."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from small_study import dataset

from fastmlp import RunFolderError, Training
from fastmlp.files.lock import LOCK
from fastmlp.study import store
from fastmlp.study.store import NETS, Record, Store, data_digest, key_of

RECORD = Record(0.9, 0.25, (0.5, 0.25), 3, 0.75, None, 1.5)
NET = Training(seed=4)
DATA = "d" * 64


def filled(folder, n=3):
    with Store(folder, DATA) as kept:
        for seed in range(n):
            kept.add(Training(seed=seed), RECORD)
    return folder / NETS


def found(folder, seeds):
    with Store(folder, DATA) as kept:
        return [kept.get(Training(seed=seed)) is not None for seed in seeds]


def test_what_was_added_is_found_again(tmp_path):
    diverged = Record(0.1, None, (), 0, 1.0, 1, 0.0)
    with Store(tmp_path / "new" / "folder", DATA) as kept:
        assert kept.get(NET) is None
        kept.add(NET, RECORD)
        kept.add(Training(lr=9.0), diverged)
        assert kept.get(NET) == RECORD
    with Store(tmp_path / "new" / "folder", DATA) as kept:
        assert kept.get(NET) == RECORD
        assert kept.get(Training(lr=9.0)) == diverged


def test_a_line_is_there_as_soon_as_it_is_added(tmp_path):
    with Store(tmp_path, DATA) as kept:
        kept.add(NET, RECORD)
        (line,) = (tmp_path / NETS).read_text().splitlines()
        assert json.loads(line)["training"] == NET.to_json()


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_half_a_line_costs_that_net_alone(tmp_path, cut):
    path = filled(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    last = cut == 1  # the end of the line alone is missing: the net is whole
    assert found(tmp_path, range(3)) == [True, True, last]
    with Store(tmp_path, DATA) as kept:
        kept.add(Training(seed=2), RECORD)
    assert found(tmp_path, range(3)) == [True, True, True]


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 100_000, b'{"key": 3}', b"NaN",
        {"accuracy": 1.5}, {"accuracy": float("nan")}, {"accuracy": True}, {"accuracy": "0.9"}, {"live": -1},
        {"dead": 1.0}, {"dead": -1}, {"losses": 3}, {"losses": [None]}, {"losses": [float("inf")]},
        {"diverged": "no"}, {"key": 7}, {"key": "short"}, {"loss": []}, {"seconds": None},
    ],
)  # fmt: skip
def test_a_damaged_line_is_as_if_it_were_not_there(tmp_path, line):
    path = filled(tmp_path, 1)
    good = path.read_bytes()
    if isinstance(line, dict):
        line = json.dumps(json.loads(good) | {"key": key_of(Training(seed=1), DATA)} | line).encode()
    path.write_bytes(line + b"\n" + good)
    assert found(tmp_path, range(2)) == [True, False]


@pytest.mark.parametrize(
    "change", [{"seed": 5}, {"epochs": 16}, {"loss": "keras2"}, {"lr": 0.02}, {"scale": 1}]
)
def test_another_setting_is_another_net(change):
    assert key_of(NET, DATA) != key_of(replace(NET, **change), DATA)


def test_other_numerics_and_other_data_are_other_nets(monkeypatch):
    before = key_of(NET, DATA)
    assert key_of(Training(seed=4), DATA) == before != key_of(NET, "e" * 64)
    monkeypatch.setattr(store, "NUMERICS_REVISION", store.NUMERICS_REVISION + 1)
    assert key_of(NET, DATA) != before


def test_the_digest_of_data_sees_every_array():
    data = dataset()
    seen = {data_digest(data)}
    for name in ("X", "y", "X_test", "y_test"):
        changed = getattr(data, name).copy()
        changed[0] = (changed[0] + 1) % 3
        seen.add(data_digest(replace(data, **{name: changed})))
    seen.add(data_digest(replace(data, X=data.X.reshape(-1, 32))))
    seen.add(data_digest(replace(data, X=data.X.astype(np.float32))))
    assert len(seen) == 7
    assert data_digest(dataset()) in seen


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError, match="must be a folder that can be written"):
        Store(tmp_path / "file", DATA)


def test_nobody_else_writes_there_meanwhile(tmp_path):
    with Store(tmp_path, DATA) as kept:
        kept.add(NET, RECORD)
        with pytest.raises(RunFolderError, match="must be free; got another process or thread") as caught:
            Store(tmp_path, DATA)
        assert str(tmp_path) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [NETS]
    (tmp_path / LOCK).touch()  # as a kill leaves it
    assert found(tmp_path, [4]) == [True]
    assert [path.name for path in tmp_path.iterdir()] == [NETS]


def test_each_net_is_flushed_to_the_disk(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    with Store(tmp_path, DATA) as kept:
        monkeypatch.setattr(os, "fsync", lambda handle: (fsync(handle), synced.append(handle)))
        for seed in range(3):
            kept.add(Training(seed=seed), RECORD)
            assert len(synced) == seed + 1


def test_a_net_that_finds_no_room_is_no_part_of_the_file(tmp_path, monkeypatch):
    path = filled(tmp_path)
    before = path.read_bytes()
    with Store(tmp_path, DATA) as kept:

        def short(handle, content, write=os.write, left=[30]):  # noqa: B006
            if not left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(handle, content[: left.pop()])

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", short)
            with pytest.raises(RunFolderError, match="No space left"):
                kept.add(NET, RECORD)
        assert kept.get(NET) is None
        assert path.read_bytes() == before
        kept.add(NET, RECORD)
    assert found(tmp_path, range(5)) == [True, True, True, False, True]


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("name", [NETS, LOCK])
def test_a_planted_link_is_not_followed(tmp_path, name, there):
    folder, victim = tmp_path / "study", tmp_path / "victim"
    folder.mkdir()
    if there:
        victim.write_text("precious")
    (folder / name).symlink_to(victim)
    with pytest.raises(RunFolderError, match=r"must be (writable|a folder that can be written)"):
        Store(folder, DATA)
    assert victim.read_text() == "precious" if there else not victim.exists()
    (folder / name).unlink()
    assert found(folder, [0]) == [False]
