"""IDX, the format of MNIST and its relatives: one file, a pair of files, a folder of pairs.

A file is 0, 0, a type byte, the number of axes, each extent as a big-endian 32-bit integer, then the values.
Only unsigned bytes (type 0x08) of one to three axes are read. What a large gzip file unpacks to is kept in
the user's cache, as a plain IDX file. Nothing here is particular to MNIST's content.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastmlp.cache_dir import forget_unused, private_folder, touch
from fastmlp.data.parts import Part, Parts
from fastmlp.errors import DataError
from fastmlp.files import is_file, regular, replace
from fastmlp.files.bounded import opened, read_array, translated

UNSIGNED_BYTE = 0x08
LARGE = 1 << 20  # bytes of a packed file; a smaller one unpacks in some 10 ms
BUDGET = 1 << 30  # bytes of all that is kept
TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def read(path: Path) -> NDArray[np.uint8]:
    """Read the array in one file, plain or gzip. DataError unless the file is exactly as long as it says."""
    found = _copy_of(path)
    if found is None:
        return _read(path)
    copy, crc = found
    with suppress(DataError):
        array = _read(copy)
        if _crc(array) == crc:
            touch(copy)
            return array
    array = _read(path)
    if _crc(array) == crc:  # not so where a file holds several one after the other
        with suppress(OSError):
            replace(copy, _header(array), array.data)
            forget_unused(copy.parent, BUDGET)
    return array


def _copy_of(path: Path) -> tuple[Path, int] | None:
    """Find where a large gzip file's content is kept, by the file's sha256, and the CRC-32 at its end."""
    with suppress(OSError, ValueError), open(path, "rb", opener=regular) as file:
        if os.fstat(file.fileno()).st_size >= LARGE and file.peek(2)[:2] == b"\x1f\x8b":
            name = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(-8, os.SEEK_END)
            return private_folder("unpacked") / f"{name}.idx", int.from_bytes(file.read(4), "little")
    return None


def _crc(array: NDArray[np.uint8]) -> int:
    return zlib.crc32(array.data, zlib.crc32(_header(array)))


def _header(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, UNSIGNED_BYTE, array.ndim, *array.shape)


def _read(path: Path) -> NDArray[np.uint8]:
    with opened(path) as (stream, most):
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0":
            raise DataError(
                f"{path} must end in .csv, .tsv, .parquet, .npz or .npy, or be an IDX file, which begins "
                "with two zero bytes",
                f"the bytes {magic.hex(' ')}",
                "check which file this is; a table of text may be called .csv",
            )
        kind, axes = magic[2], magic[3]
        if kind != UNSIGNED_BYTE:
            raise DataError(
                f"{path} must hold unsigned bytes, IDX type 0x08", f"type 0x{kind:02x}", "convert it"
            )
        if not 1 <= axes <= 3:
            raise DataError(f"{path} must have one to three axes", f"{axes}", "get the file again")
        extents = stream.read(4 * axes)
        if len(extents) < 4 * axes:
            raise DataError(f"{path} must hold a whole header", "an end of file in it", "get the file again")
        return read_array(stream, np.dtype(np.uint8), struct.unpack(f">{axes}I", extents), most, path)


def find(folder: Path, name: str) -> Path | None:
    """The file called ``name`` (spelled ``-idx3-`` or ``.idx3-``; or with .gz, which goes last)."""
    for spelling in (name, name.replace("-idx", ".idx"), name.replace(".idx", "-idx")):
        for path in (folder / spelling, folder / f"{spelling}.gz"):
            if is_file(path):
                return path
    return None


def read_folder(folder: Path) -> Parts:
    """The pairs of MNIST's four names that the folder holds; half a pair is a DataError."""
    with translated(folder):
        train, test = _read_pair(folder, TRAIN), _read_pair(folder, TEST)
    if train is None and test is None:
        raise DataError(
            f"{folder} must hold IDX files called {TRAIN[0]} and {TRAIN[1]} (plain or .gz)",
            "a folder without them",
            "name the folder that has them, or one data file",
        )
    return Parts(train, test)


def read_pair(path: Path) -> Part:
    """An images file, and the labels file beside it (``images`` becomes ``labels``, ``idx3`` ``idx1``)."""
    images = read(path)
    name = path.name.removesuffix(".gz")
    sibling = name.replace("images", "labels").replace("idx3", "idx1")
    if sibling == name:
        raise DataError(
            "an IDX file to learn from must have `images` in its name, and a file with `labels` beside it",
            path.name,
            "name the images file, or the folder of both",
        )
    labels = find(path.parent, sibling)
    if labels is None:
        raise DataError(f"{path} must have its labels beside it", f"no {sibling} there", "put it there")
    return Part(images, read(labels), str(path))


def _read_pair(folder: Path, pair: tuple[str, str]) -> Part | None:
    images, labels = (find(folder, name) for name in pair)
    if images is None and labels is None:
        return None
    if images is None or labels is None:
        raise DataError(
            f"{folder} must hold both {pair[0]} and {pair[1]} (plain or .gz)",
            f"no {pair[0] if images is None else pair[1]}",
            "put it there",
        )
    return Part(read(images), read(labels), str(images))
