"""Files that grow a line at a time, each on disk or absent, and that are cut short. Nothing is read here."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from fastmlp.checks import reason_of
from fastmlp.errors import RunFolderError
from fastmlp.files import regular, sync_folder

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def add_line(path: Path, line: bytes, *, new: bool) -> None:
    """Add ``line``, with its newline: on disk when this returns, absent when this raises.

    new: make the file, which must not exist; otherwise it must. A link in its place is not followed.
    Raises RunFolderError.
    """
    try:
        handle = open_no_link(path, os.O_WRONLY | os.O_APPEND | (os.O_CREAT | os.O_EXCL if new else 0))
        try:
            _write(handle, line)
            if new:
                sync_folder(path.parent)
        finally:
            os.close(handle)
    except OSError as error:
        raise RunFolderError(
            f"{path} must be writable", reason_of(error), "make room, or choose another place"
        ) from None


def cut(path: Path, length: int) -> None:
    """Cut a file to its first ``length`` bytes, on disk when this returns. Raises RunFolderError."""
    try:
        handle = open_no_link(path, os.O_WRONLY)
        try:
            os.ftruncate(handle, length)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise RunFolderError(f"{path} must be writable", reason_of(error), "change its permissions") from None


def open_no_link(path: Path, flags: int) -> int:
    """Open a regular file, and return its handle. Raises OSError for all else, a link to one included."""
    if not _NO_LINKS and path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return regular(str(path), flags | _NO_LINKS | getattr(os, "O_BINARY", 0))


def _write(handle: int, content: bytes) -> None:
    """Write all of the content to disk, or leave the file as long as it was. Raises OSError."""
    before = os.fstat(handle).st_size
    left = memoryview(content)
    try:
        while left:  # once, where there is room
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    except BaseException:
        with suppress(OSError):
            os.ftruncate(handle, before)
        raise
