"""A named file, read within bounds: regular files only, plain or gzip, never more bytes than promised.

Knows no format: the readers of data/ read through it. A gzip file is recognised by its
first two bytes, not by its name: some browsers unpack a download and keep the name.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import reason_of
from fastmlp.errors import DataError
from fastmlp.files import is_file, regular

BYTE_BUDGET = 4 << 30  # the most that one file may unfold to
DEFLATE_RATIO = 1032  # deflate emits at most 258 bytes for 2 bits
CHUNK = 1 << 20


class Stream(Protocol):
    """Part of a binary file that is needed."""

    def read(self, size: int, /) -> bytes: ...

    def readinto(self, buffer: memoryview, /) -> int | None: ...


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn whatever the system or gzip raises about ``path`` into a DataError."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path} must exist", "no such file or folder", "check the path") from None
    except PermissionError:
        raise DataError(f"{path} must be readable", "permission denied", "check its permissions") from None
    except MemoryError:
        raise DataError(f"{path} must fit into memory", "too little memory", "use a smaller file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} must be whole and undamaged", reason_of(error), "get the file again"
        ) from None


@contextmanager
def opened(path: Path) -> Iterator[tuple[Stream, int]]:
    """Open ``path``, unpacked where it is gzip, and say how many bytes at most can come out of it."""
    with translated(path):
        if path.exists() and not is_file(path):
            raise DataError(f"{path} must be a file", "a folder, a pipe or a device", "name one file")
        with open(path, "rb", opener=regular) as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise DataError(f"{path} must hold data", "an empty file", "get the file again")
            if file.peek(2)[:2] != b"\x1f\x8b":
                yield cast(Stream, file), size
            else:
                with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                    yield cast(Stream, unpacked), size * DEFLATE_RATIO


def read_array(
    stream: Stream, dtype: np.dtype[Any], shape: tuple[int, ...], most: int, where: object
) -> NDArray[Any]:
    """Read the rest of ``stream`` as one array of exactly this shape, C order.

    The size is computed with Python's integers and held against ``most`` (what the file can give) and
    BYTE_BUDGET before anything is allocated. DataError where bytes are missing or left over.
    """
    size = math.prod(shape) * dtype.itemsize
    promise = f"a header that promises {' x '.join(map(str, shape))} values, {size:,} bytes"
    if size == 0:
        raise DataError(f"{where} must hold at least one value", promise, "use a file with data")
    if size > BYTE_BUDGET:
        raise DataError(f"{where} must hold at most {BYTE_BUDGET:,} bytes", promise, "use a smaller file")
    if size > most:
        raise DataError(
            f"{where} must hold what its header promises", f"fewer bytes than {size:,}", "get the file again"
        )
    raw = np.empty(size, np.uint8)
    done = fill(stream, raw.data)
    if done < size or stream.read(1):
        got = f"{done:,} bytes" if done < size else f"more than {size:,} bytes"
        raise DataError(
            f"{where} must hold exactly the {size:,} bytes that its header promises",
            got,
            "get the file again",
        )
    return raw.view(dtype).reshape(shape)


def fill(stream: Stream, buffer: memoryview) -> int:
    """Read until ``buffer`` is full or the stream ends; return the number of bytes."""
    done = 0
    while done < len(buffer):
        count = stream.readinto(buffer[done : done + CHUNK])
        if not count:
            break
        done += count
    return done
