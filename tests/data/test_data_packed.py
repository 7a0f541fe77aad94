"""What large packed files unpack to, kept in the cache: read again quickly, and never another content."""

from __future__ import annotations

import gzip
import os

import numpy as np
import pytest

from fastmlp.data import idx

ARRAY = np.random.default_rng(0).integers(0, 256, (60, 160, 140), np.uint8)


@pytest.fixture
def cache(data_home):
    """The folder of what is kept."""
    return data_home.parent / "unpacked"


@pytest.fixture
def packed(data_home, data_idx, tmp_path):
    """A packed file of more than a megabyte, in a folder of its own."""
    path = tmp_path / "data" / "a-images.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(data_idx(ARRAY), 1, mtime=0))
    assert path.stat().st_size > idx.LARGE
    return path


@pytest.fixture
def unpacked(monkeypatch):
    """The files that were unpacked, in order."""
    seen, real = [], gzip.GzipFile

    def noted(*args, fileobj, **kwargs):
        seen.append(fileobj.name)
        return real(*args, fileobj=fileobj, **kwargs)

    monkeypatch.setattr(gzip, "GzipFile", noted)
    return seen


def kept(packed, cache, unpacked):
    """What is kept after a first reading, and nothing is unpacked in the second."""
    for _ in range(2):
        assert idx.read(packed).tobytes() == ARRAY.tobytes()
    assert len(unpacked) == 1
    (copy,) = cache.iterdir()
    unpacked.clear()
    return copy


def test_a_second_reading_unpacks_nothing(packed, cache, unpacked, data_idx):
    before = packed.stat()
    assert kept(packed, cache, unpacked).read_bytes() == data_idx(ARRAY)
    assert packed.stat().st_mtime_ns == before.st_mtime_ns
    assert list(packed.parent.iterdir()) == [packed]
    elsewhere = packed.rename(packed.with_name("b-images"))
    assert np.array_equal(idx.read(elsewhere), ARRAY)
    assert unpacked == []


def test_another_content_is_another_copy(packed, cache, unpacked, data_idx):
    """Whatever its size and times say."""
    kept(packed, cache, unpacked)
    before = packed.stat()
    packed.write_bytes(gzip.compress(data_idx(ARRAY[::-1]), 1, mtime=0))
    os.utime(packed, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert np.array_equal(idx.read(packed), ARRAY[::-1])
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", [0, 3, 9, 16, 100_000, -1, "cut", "longer", "empty", "folder", "link"])
def test_what_is_damaged_is_unpacked_again(packed, cache, unpacked, damage, tmp_path):
    copy = kept(packed, cache, unpacked)
    content = bytearray(copy.read_bytes())
    copy.unlink()
    if damage == "folder":
        copy.mkdir()
    elif damage == "link":
        copy.symlink_to(tmp_path / "nothing")
    elif isinstance(damage, int):
        content[damage] ^= 4
        copy.write_bytes(content)
    else:
        copy.write_bytes({"cut": content[:-1], "longer": content + b"0", "empty": b""}[damage])
    assert np.array_equal(idx.read(packed), ARRAY)
    assert unpacked == [str(packed)]
    if damage != "folder":
        unpacked.clear()
        assert np.array_equal(idx.read(packed), ARRAY)
        assert unpacked == []


@pytest.mark.parametrize("way", ["file", "shared"])
def test_where_nothing_can_be_kept(packed, cache, unpacked, way):
    if way == "file":
        cache.parent.parent.mkdir()
        cache.parent.write_text("in the way")
    else:
        cache.mkdir(parents=True)
        cache.chmod(0o777)
    for _ in range(2):
        assert np.array_equal(idx.read(packed), ARRAY)
    assert len(unpacked) == 2
    assert way == "file" or list(cache.iterdir()) == []


def test_plain_small_and_double_files_are_not_kept(packed, cache, data_idx):
    for content in (data_idx(ARRAY), gzip.compress(data_idx(ARRAY[:9]))):
        packed.write_bytes(content)
        idx.read(packed)
    whole = data_idx(ARRAY)
    packed.write_bytes(gzip.compress(whole[:99], 1) + gzip.compress(whole[99:], 1))
    assert np.array_equal(idx.read(packed), ARRAY)
    assert not cache.exists() or list(cache.iterdir()) == []
