"""NumPy's .npy and .npz out of untrusted files, without np.load.

np.load believes the header: a product of extents that wraps, an array of terabytes, a pickle. Here the
header is matched by patterns, never evaluated; only plain numbers are read; sizes are checked before
anything is allocated; a zip member can give no more than its header promises.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import reason_of
from fastmlp.errors import DataError
from fastmlp.files import regular
from fastmlp.files.bounded import DEFLATE_RATIO, Stream, opened, read_array, translated

TRAIN = (("x_train", "y_train"), ("train_images", "train_labels"), ("x", "y"), ("images", "labels"))
TEST = (("x_test", "y_test"), ("test_images", "test_labels"))  # what an archive of arrays calls them

MAGIC = b"\x93NUMPY"
MAX_HEADER = 10_000  # as in NumPy
MAX_AXES = 4
NUMBER_TYPES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}
TEXT_TYPES = re.compile(r"[US][1-9]\d{0,6}|M8\[(?:Y|M|W|D|h|m|s|ms|us|ns)\]")
DESCR = re.compile(r"""["']descr["']\s*:\s*["']([<>|=]?)([\w\[\]]{2,10})["']""")
FORTRAN = re.compile(r"""["']fortran_order["']\s*:\s*(True|False)""")
SHAPE = re.compile(r"""["']shape["']\s*:\s*\(([\d\sL,]{0,100})\)""")


def read(path: Path, *, texts: bool = False) -> NDArray[Any]:
    """The array in one .npy file. texts: as of ``Archive.read``."""
    with opened(path) as (stream, most):
        return _read_stream(stream, most, path, texts)


class Archive:
    """The arrays of an open .npz, by name."""

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self._path, self._file = path, file
        self._most = path.stat().st_size * DEFLATE_RATIO
        self.names = [n.removesuffix(".npy") for n in file.namelist() if n.endswith(".npy")]

    def spelled(self, name: str) -> str | None:
        """The name in whichever case it is there, if it is."""
        return next((n for n in (name, name.capitalize(), name.upper()) if n in self.names), None)

    @property
    def has_pairs(self) -> bool:
        """True where it has arrays of rows or of labels, by their names; False where it may be a table."""
        return any(self.spelled(name) for pair in TRAIN + TEST for name in pair)

    def read(self, name: str, *, texts: bool = False) -> NDArray[Any]:
        """One array. texts: texts and times too. DataError for anything but a plain array of numbers."""
        where = f"{name} in {self._path}"
        info = self._file.getinfo(f"{name}.npy")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise DataError(
                f"{where} must be stored or deflated, and not encrypted",
                f"zip method {info.compress_type}",
                "write it with numpy.savez_compressed",
            )
        with self._file.open(info) as stream:
            return _read_stream(cast(Stream, stream), min(self._most, info.file_size), where, texts)


@contextmanager
def archive(path: Path) -> Iterator[Archive]:
    """An .npz file, open for reading."""
    with translated(path):
        try:
            with opened(path), open(path, "rb", opener=regular) as content, zipfile.ZipFile(content) as file:
                yield Archive(path, file)
        except (DataError, OSError, MemoryError):  # as of any file
            raise
        except Exception as error:  # zipfile raises what damage leads it to
            raise DataError(
                f"{path} must be a whole .npz file", reason_of(error), "get the file again"
            ) from None


def _read_stream(stream: Stream, most: int, where: object, texts: bool = False) -> NDArray[Any]:
    begin = stream.read(8)
    if len(begin) < 8 or begin[:6] != MAGIC:
        raise DataError(
            f"{where} must be a NumPy array", f"the bytes {begin.hex(' ')}", "write it with numpy.save"
        )
    wide = begin[6] != 1
    prefix = stream.read(4 if wide else 2)
    length = int.from_bytes(prefix, "little")
    if begin[6] not in (1, 2, 3) or length > MAX_HEADER:
        raise DataError(
            f"{where} must have a header of version 1 to 3 and at most {MAX_HEADER:,} bytes",
            f"version {begin[6]}, {length:,} bytes",
            "write it with numpy.save",
        )
    dtype, shape, fortran = _parse(stream.read(length).decode("latin-1"), where, texts)
    array = read_array(stream, dtype, shape[::-1] if fortran else shape, most, where)
    if dtype.kind == "U":
        _check_letters(array, where)
    return array.T if fortran else array


def _check_letters(array: NDArray[Any], where: object) -> None:
    """Raise DataError for texts with numbers that are no letter's, of which Python makes no text."""
    numbers = array.reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
    wrong = (numbers > 0x10FFFF) | ((numbers >= 0xD800) & (numbers < 0xE000))
    if wrong.any():
        found = int(numbers[wrong.argmax()])
        raise DataError(f"{where} must hold texts of Unicode", f"the number {found:#x}", "write it again")


def _parse(header: str, where: object, texts: bool) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    descr, fortran, shape = (pattern.findall(header) for pattern in (DESCR, FORTRAN, SHAPE))
    known = len(descr) == 1 and (
        descr[0][1] in NUMBER_TYPES or (texts and TEXT_TYPES.fullmatch(descr[0][1]) is not None)
    )
    if not known or len(fortran) != 1 or len(shape) != 1:
        others = ", texts or times" if texts else ""
        raise DataError(
            f"{where} must be a plain array of integers, floats or booleans{others}",
            f"the header {header.strip()[:120]!r}",
            "convert it; pickled objects are never read",
        )
    extents = tuple(int(n) for n in re.findall(r"\d+", shape[0]))
    if not 1 <= len(extents) <= MAX_AXES:
        raise DataError(f"{where} must have one to {MAX_AXES} axes", f"{len(extents)}", "reshape the array")
    return np.dtype("".join(descr[0])), extents, fortran[0] == "True"
