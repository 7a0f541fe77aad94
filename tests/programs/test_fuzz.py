"""Mutants of every file that is read: nothing but a FastMLPError comes out, soon, and in little memory."""

from __future__ import annotations

import json
import mmap
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mutants import Count, Reader, count, damaged, damaged_json, in_gzip, in_safetensors, in_zip

MOST_SECONDS = 10.0  # of the processor, a file: the slowest takes some milliseconds
MOST_MEBIBYTES = 64  # more than before the first mutant: all the files together have a few thousand bytes
MAP_NORESERVE = 0x4000  # Linux': memory that is only mapped, however much it is
READERS = 19
ALL = 20_000


def counts(mutants: int, seed: int) -> list[Count]:
    """In a process of its own: its memory is measured, and its caches are elsewhere."""
    command = [
        sys.executable,
        str(Path(__file__).parents[1] / "support" / "mutants.py"),
        str(mutants),
        str(seed),
    ]
    nothing_ahead = {"MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}  # of use is mapped
    env = os.environ | nothing_ahead
    ran = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False, env=env)
    assert ran.returncode == 0, ran.stderr
    return [Count(**json.loads(line)) for line in ran.stdout.splitlines()]


def judge(found: list[Count], mutants: int) -> None:
    assert len(found) == READERS
    assert [problem for one in found for problem in one.wrong] == []
    for one in found:
        assert one.mutants == mutants
        assert one.seconds <= MOST_SECONDS
        assert one.mebibytes <= MOST_MEBIBYTES, one.reader
        # what is damaged in these two is as if it were not there
        if one.reader in ("study's nets.jsonl", "unpacked copy"):
            assert one.accepted == mutants
        else:
            assert one.refused > mutants / 2, one.reader


def table(found: list[Count]) -> str:
    lines = [f"{'reader':20} {'mutants':>8} {'refused':>8} {'accepted':>8} {'slowest, s':>11} {'MiB':>6}"]
    lines += [
        f"{one.reader:20} {one.mutants:8,} {one.refused:8,} {one.accepted:8,} {one.seconds:11.3f} "
        f"{one.mebibytes:6.1f}"
        for one in found
    ]
    total = [sum(getattr(one, name) for one in found) for name in ("mutants", "refused", "accepted")]
    return "\n".join([*lines, f"{'all':20} " + " ".join(f"{n:8,}" for n in total)])


@pytest.mark.slow
def test_a_sample_of_mutants():
    judge(counts(20, 2), 20)


@pytest.mark.slow
def test_twenty_thousand_mutants(capsys):
    each = -(-ALL // READERS)
    found = counts(each, 1)
    with capsys.disabled():
        print("\n" + table(found))  # noqa: T201
    judge(found, each)


def reader_of(read, content=b'{"a": [1, "text"]}', **more):
    def made(folder):
        path = folder / "file"
        path.write_bytes(content)
        return Reader("r", {path: content}, lambda: read(path), mutated=(path,), **more)

    return made


def test_the_count_goes_red(tmp_path):
    def strict(path):
        json.loads(path.read_bytes())

    def slow(path):
        if path.read_bytes() != b'{"a": [1, "text"]}':
            sum(range(3_000_000))

    def hungry(path):
        if path.read_bytes() != b'{"a": [1, "text"]}':
            status = Path("/proc/self/status").read_text()
            peak, size = (int(re.findall(rf"{name}:\s+(\d+)", status)[0]) for name in ("VmPeak", "VmSize"))
            length = (peak - size << 10) + (128 << 20)  # over what other tests had
            mmap.mmap(-1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE).close()

    damages = (damaged_json,)
    assert count(reader_of(strict, damages=damages)(tmp_path), 40, 1).wrong
    assert count(reader_of(slow)(tmp_path), 3, 1, most_seconds=1e-3).wrong
    assert count(reader_of(lambda path: None)(tmp_path), 5, 1).accepted == 5
    if sys.platform == "linux":
        assert count(reader_of(hungry)(tmp_path), 3, 1).mebibytes > MOST_MEBIBYTES


def test_mutants_are_drawn_by_their_seed_and_are_many():
    whole = json.dumps({"format": 1, "values": list(range(30)), "name": "net"}).encode()
    drawn = [damaged(np.random.default_rng([1, n]), whole, [whole[::-1]]) for n in range(300)]
    again = [damaged(np.random.default_rng([1, n]), whole, [whole[::-1]]) for n in range(300)]
    assert drawn == again
    assert len(set(drawn)) > 280
    assert {len(one) < len(whole) for one in drawn} == {True, False}


def test_damage_inside_leaves_the_packing_sound():
    import gzip
    import io
    import zipfile

    from safetensors.numpy import save

    packed = save({"a": np.ones(3, np.float32)}, {"fastmlp": json.dumps({"scale": 1.0, "classes": [0, 1]})})
    zipped = io.BytesIO()
    np.savez(zipped, X=np.arange(5))
    sound = 0
    for n in range(40):
        rng = np.random.default_rng(n)
        gzip.decompress(in_gzip(rng, gzip.compress(b"0" * 99)))
        with zipfile.ZipFile(io.BytesIO(in_zip(rng, zipped.getvalue()))) as file:
            assert file.testzip() is None
        mutant = in_safetensors(rng, packed)
        length = int.from_bytes(mutant[:8], "little")
        sound += mutant[8 + length :] == np.ones(3, np.float32).tobytes()
    assert sound == 40
