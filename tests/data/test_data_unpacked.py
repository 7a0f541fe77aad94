"""What packed files unfold to, kept in the cache: a second read is quick, and never another content."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from fastmlp import cache_dir
from fastmlp.data import idx, load, mnist, unpacked

ARRAY = np.arange(6000, dtype=np.uint8).reshape(60, 10, 10) // 16
OTHER = ARRAY[::-1].copy()


@pytest.fixture
def cache(monkeypatch, data_home):
    """The folder of the entries, where every packed file over 100 bytes is worth one."""
    monkeypatch.setattr(unpacked, "SMALL", 100)
    return data_home.parent / "unpacked"


@pytest.fixture
def write(data_idx):
    """A function: writes a packed file, level 1 so that contents of one size keep their size."""

    def write(path: Path, array: np.ndarray) -> Path:
        path.write_bytes(gzip.compress(data_idx(array), 1, mtime=0))
        return path

    return write


@pytest.fixture
def packed(cache, write, tmp_path):
    """A packed file in a folder of its own."""
    folder = tmp_path / "data"
    folder.mkdir()
    return write(folder / "a-images.gz", ARRAY)


@pytest.fixture
def unpacked_files(monkeypatch):
    """The files that were unpacked, in order."""
    seen = []
    real = idx._unpack
    monkeypatch.setattr(idx, "_unpack", lambda path: seen.append(path) or real(path))
    return seen


def entry_of(packed, cache):
    """The one entry there is, after a first reading."""
    assert np.array_equal(idx.read(packed), ARRAY)
    (entry,) = cache.iterdir()
    return entry


def test_a_second_reading_does_not_open_the_file(packed, cache, unpacked_files, monkeypatch):
    first = idx.read(packed)
    assert unpacked_files == [packed]
    monkeypatch.setattr(idx, "opened", lambda path: pytest.fail("it was opened"))
    second, content = idx.read_summed(packed)
    assert (second.dtype, second.shape, second.tobytes()) == (first.dtype, first.shape, first.tobytes())
    assert second.flags.c_contiguous
    assert content == idx.digest(ARRAY)
    assert [path.name for path in packed.parent.iterdir()] == [packed.name]
    (entry,) = cache.iterdir()
    assert entry.stat().st_mode & stat.S_IFREG
    assert cache.stat().st_mode & 0o777 == 0o700


def test_what_is_written_to_an_array_stays_there(packed, cache):
    entry = entry_of(packed, cache)
    content = entry.read_bytes()
    for _ in range(2):
        array = idx.read(packed)
        assert array.tobytes() == ARRAY.tobytes()
        array[:] = 77
        assert (array == 77).all()
    del array
    assert entry.read_bytes() == content


def in_place(packed, write):
    """Another content by the same inode, with the old times put back."""
    before = packed.stat()
    write(packed, OTHER)
    os.utime(packed, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_rename(packed, write):
    """Another file, of the same size and times."""
    before = packed.stat()
    new = write(packed.with_name("new"), OTHER)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(packed)


def at_another_time(packed, write):
    write(packed, OTHER)
    os.utime(packed, (1, 1))


def of_another_size(packed, write):
    write(packed, np.concatenate([OTHER, OTHER]))


@pytest.mark.parametrize("change", [in_place, by_rename, at_another_time, of_another_size])
def test_a_stale_entry_is_replaced(packed, cache, write, change, unpacked_files):
    entry = entry_of(packed, cache)
    stale = entry.read_bytes()
    change(packed, write)
    for _ in range(2):
        assert np.array_equal(idx.read(packed)[:60], OTHER)
    assert unpacked_files == [packed] * 2
    assert list(cache.iterdir()) == [entry]
    assert entry.read_bytes() != stale


@pytest.mark.parametrize("part", ["size", "mtime", "ctime", "inode"])
def test_every_part_of_the_state_counts(packed, cache, part, unpacked_files, monkeypatch):
    entry_of(packed, cache)
    real = unpacked.Source.at(packed)
    at = ["size", "mtime", "ctime", "inode"].index(part)
    state = tuple(value + (i == at) for i, value in enumerate(real.state))
    monkeypatch.setattr(unpacked.Source, "at", lambda path: unpacked.Source(real.path, state))
    assert np.array_equal(idx.read(packed), ARRAY)
    assert unpacked_files == [packed] * 2


def test_a_file_that_changes_while_it_is_read_is_not_kept(packed, cache, monkeypatch):
    real = idx._unpack
    monkeypatch.setattr(idx, "_unpack", lambda path: (real(path), os.utime(path, (1, 1)))[0])
    assert np.array_equal(idx.read(packed), ARRAY)
    assert list(cache.iterdir()) == []


def replaced(packed, cache, unpacked_files):
    """Whatever lies there: the content is right, twice, and it was unpacked for the first of them."""
    del unpacked_files[:]
    for _ in range(2):
        assert idx.read(packed).tobytes() == ARRAY.tobytes()
    assert unpacked_files == [packed]
    (entry,) = cache.iterdir()
    assert stat.S_ISREG(entry.lstat().st_mode)


@pytest.mark.parametrize(
    "at", [0, 3, 4, 5, 40, 300, unpacked.BLOCK - 1, unpacked.BLOCK, unpacked.BLOCK + 3000, -1]
)
@pytest.mark.parametrize("bit", [0, 3, 7])
def test_a_flipped_bit(packed, cache, unpacked_files, at, bit):
    entry = entry_of(packed, cache)
    content = bytearray(entry.read_bytes())
    content[at] ^= 1 << bit
    entry.write_bytes(content)
    replaced(packed, cache, unpacked_files)


@pytest.mark.parametrize("left", [0, 1, 4, 100, unpacked.BLOCK - 1, unpacked.BLOCK, unpacked.BLOCK + 1, -1])
def test_a_truncated_entry(packed, cache, unpacked_files, left):
    entry = entry_of(packed, cache)
    entry.write_bytes(entry.read_bytes()[:left])
    replaced(packed, cache, unpacked_files)


def summed(rest: bytes) -> bytes:
    """An entry with the right sum."""
    return unpacked._sum(rest) + rest


@pytest.mark.parametrize(
    "content",
    [
        b"garbage",
        bytes(10_096),
        summed(b"[" * 4092 + bytes(6000)),
        summed(b"{}".ljust(4092) + bytes(6000)),
        summed(b'{"shape": [60, 10, 10], "sha256": "0"}'.ljust(4092) + bytes(6000)),
        summed(b'{"shape": 7, "sha256": {}}'.ljust(4092) + bytes(6000)),
    ],
)
def test_another_thing_than_an_entry(packed, cache, unpacked_files, content):
    entry_of(packed, cache).write_bytes(content)
    replaced(packed, cache, unpacked_files)


@pytest.mark.parametrize("shape", [[60, 10, 11], [60, 10, 9], [-60, -10, 10], [2**62, 4, 10], [60.0, 10, 10]])
def test_an_entry_of_another_shape_than_its_bytes(packed, cache, unpacked_files, shape):
    entry = entry_of(packed, cache)
    source = unpacked.Source.at(packed)
    entry.write_bytes(summed(source.head(tuple(shape), "0" * 64) + ARRAY.tobytes()))
    replaced(packed, cache, unpacked_files)


def test_the_entry_of_another_file_under_this_name(packed, cache, write, unpacked_files):
    entry = entry_of(packed, cache)
    other = write(packed.with_name("b-images.gz"), OTHER)
    idx.read(other)
    (its_entry,) = (path for path in cache.iterdir() if path != entry)
    its_entry.replace(entry)
    replaced(packed, cache, unpacked_files)


def test_a_link_in_its_place(packed, cache, unpacked_files, tmp_path):
    entry = entry_of(packed, cache)
    elsewhere = entry.rename(tmp_path / "elsewhere")  # what it leads to would do
    content = elsewhere.read_bytes()
    entry.symlink_to(elsewhere)
    replaced(packed, cache, unpacked_files)
    assert elsewhere.read_bytes() == content


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_its_place(packed, cache, unpacked_files):
    entry = entry_of(packed, cache)
    entry.unlink()
    os.mkfifo(entry)
    replaced(packed, cache, unpacked_files)


def test_a_folder_in_its_place(packed, cache):
    entry = entry_of(packed, cache)
    entry.unlink()
    entry.mkdir()
    assert np.array_equal(idx.read(packed), ARRAY)
    assert list(cache.iterdir()) == [entry]


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_folder_that_others_may_write_is_not_used(packed, cache, unpacked_files):
    entry = entry_of(packed, cache)
    cache.chmod(0o777)
    entry.unlink()
    for _ in range(2):
        assert np.array_equal(idx.read(packed), ARRAY)
    assert unpacked_files == [packed] * 3
    assert list(cache.iterdir()) == []


def test_where_nothing_can_be_kept(packed, cache, unpacked_files):
    cache.parent.parent.mkdir(parents=True, exist_ok=True)
    cache.parent.write_text("in the way")
    for _ in range(2):
        assert np.array_equal(idx.read(packed), ARRAY)
    assert unpacked_files == [packed] * 2


def test_a_full_disk_leaves_nothing(packed, cache, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    monkeypatch.setattr(Path, "replace", fail)
    assert np.array_equal(idx.read(packed), ARRAY)
    assert list(cache.iterdir()) == []


def test_plain_and_small_files_are_read_as_they_are(packed, cache, write, data_idx, monkeypatch):
    plain = packed.with_name("plain")
    plain.write_bytes(data_idx(ARRAY))
    idx.read(plain)
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(unpacked, "SMALL", packed.stat().st_size + 1)
    idx.read(packed)
    assert list(cache.iterdir()) == []


def test_the_longest_unused_goes_where_there_is_much(packed, cache, write, monkeypatch):
    size = entry_of(packed, cache).stat().st_size
    monkeypatch.setattr(unpacked, "BUDGET", 3 * size)
    files = [packed] + [write(packed.with_name(f"{i}-images.gz"), ARRAY) for i in range(3)]
    entries = [cache / unpacked.Source.at(path).entry for path in files]
    for age, (path, entry) in enumerate(zip(files[:3], entries, strict=False)):
        idx.read(path)
        os.utime(entry, (time.time() - 100 + age,) * 2)
    idx.read(files[0])  # used again: now the second one is the oldest
    idx.read(files[3])
    assert set(cache.iterdir()) == {entries[0], entries[2], entries[3]}


def test_a_file_that_is_gone_is_still_an_error(packed, cache, data_refused):
    entry_of(packed, cache)
    packed.unlink()
    with data_refused("must exist"):
        idx.read(packed)


def test_mnist_a_second_time(data_home, mnist_folder, monkeypatch):
    """Under its name, and without a sum over its images."""
    monkeypatch.setenv("FASTMLP_DATA", str(mnist_folder))
    if not idx.find(mnist_folder, idx.TRAIN[0]).name.endswith(".gz"):
        pytest.skip("unpacked files are read as they are")
    first = load("mnist")
    summed = []
    real = idx.digest
    monkeypatch.setattr(idx, "digest", lambda array: summed.append(array.size) or real(array))
    second = load("mnist")
    assert max(summed) == 60_000  # the labels
    assert first.name == second.name == "mnist"
    for name in ("X", "y", "X_test", "y_test"):
        assert getattr(first, name).dtype == getattr(second, name).dtype
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert len(list((cache_dir.home() / "unpacked").iterdir())) == 2


def test_damaged_mnist_is_not_taken_for_the_entry(data_home, mnist_folder, write):
    folder = data_home.parent.parent / "copy"
    shutil.copytree(mnist_folder, folder)
    assert mnist.read_complete(folder) is not None
    path = idx.find(folder, idx.TEST[0])
    write(path, np.zeros((10_000, 28, 28), np.uint8))
    assert mnist.read_complete(folder) is None
