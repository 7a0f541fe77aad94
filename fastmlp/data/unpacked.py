"""What large packed files unfold to, kept in the user's cache: a second read takes milliseconds.

An entry stands for one path. It is a block of 4096 bytes (a CRC-32 of all that follows; in JSON,
which state of which file this is, shape, sha256), then the array's bytes. An entry that is stale,
damaged or not an entry is none: the file itself is read, and a new one takes its place.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fastmlp.cache_dir import forget_unused, private_folder, touch
from fastmlp.files import replace

SMALL = 1 << 20  # bytes; a packed file of that size unfolds in some 10 ms
BUDGET = 1 << 30  # bytes of all entries
BLOCK, SUM = 4096, 4  # bytes of an entry's head, and of the sum that it begins with

_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


@dataclass(frozen=True)
class Source:
    """A file as it was at some moment: another size, time or inode is another content."""

    path: str
    state: tuple[int, ...]  # size first

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """The file as it is now; None where there is none."""
        try:
            status = path.stat()
        except OSError:
            return None
        state = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
        return cls(str(path.absolute()), state)

    @property
    def entry(self) -> str:
        return f"{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:32]}.unpacked"

    def head(self, shape: tuple[int, ...], content: str) -> bytes:
        """The first block of an entry, without its sum."""
        told = {"path": self.path, "state": self.state, "shape": shape, "sha256": content}
        return json.dumps(told).encode().ljust(BLOCK - SUM)


def recall(source: Source | None) -> tuple[NDArray[np.uint8], str] | None:
    """The array that the file unfolds to, and its sha256; None if it is not kept.

    The file is mapped, which took 5 ms for MNIST where reading it into new memory took 33; what is
    written to the array stays in this process. CRC-32 is what checks it: 15 ms. sha256 takes 30 with
    the processor's help, more without, and who could forge the one could forge the other.
    """
    if source is None or source.state[0] < SMALL:
        return None
    try:
        path = private_folder("unpacked") / source.entry
        with open(os.open(path, _FLAGS), "rb", buffering=0) as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        head = mapped[SUM:BLOCK]
        told = json.loads(head)
        shape, content = tuple(told["shape"]), told["sha256"]
        if head != source.head(shape, content) or mapped[:SUM] != _sum(memoryview(mapped)[SUM:]):
            return None
        array = np.frombuffer(mapped, np.uint8, offset=BLOCK).reshape(shape)
    except Exception:  # whatever it is, the file itself is still there
        return None
    touch(path)
    return array, content


def is_worth_keeping(source: Source | None, array: NDArray[np.uint8]) -> bool:
    """Whether it was packed, is large, and fits in."""
    return source is not None and SMALL <= source.state[0] < array.nbytes < BUDGET


def keep(source: Source | None, array: NDArray[np.uint8], content: str) -> None:
    """Keep what the file unfolded to, if the file is still what it was and there is room."""
    if source is None or Source.at(Path(source.path)) != source:
        return
    head = source.head(array.shape, content)
    with suppress(OSError):
        folder = private_folder("unpacked")
        replace(folder / source.entry, _sum(head, array.data), head, array.data)
        forget_unused(folder, BUDGET)


def _sum(*pieces: bytes | memoryview) -> bytes:
    """CRC-32 of the pieces in a row."""
    total = 0
    for piece in pieces:
        total = zlib.crc32(piece, total)
    return total.to_bytes(SUM)
