"""A lock on a folder, so that only one run at a time writes there; the system drops it when its holder ends.

The lock is on an empty file in the folder, since not every system locks folders. The file alone means
nothing: a kill -9 leaves it behind, unlocked. Releasing the lock removes the file.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path

from fastmlp import forks
from fastmlp.errors import RunFolderError
from fastmlp.files.lines import open_no_link

LOCK = ".fastmlp.lock"
_TRIES = 1000
_POSIX = os.name == "posix"
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}

if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this handle: threads shut each other out too


class FolderLock:
    """A lock, held until ``release`` or the end of the process, however that comes.

    A child that is forked meanwhile does not hold it. On a file system without locks, as some clusters have,
    nothing is locked.
    """

    def __init__(self, folder: Path) -> None:
        """Raise RunFolderError where another holds it, OSError for a link or where no file can be made."""
        self._path, self._handle, self._is_mine = folder / LOCK, -1, False
        for _ in range(_TRIES):  # a holder that releases it removes the file that was opened here
            with _forking:
                self._handle = open_no_link(self._path, os.O_RDWR | os.O_CREAT)
                _held.add(self)
            try:
                _take(self._handle)
            except OSError as problem:
                if problem.errno not in _NO_LOCKS:
                    self._close()
                    if not isinstance(problem, BlockingIOError | PermissionError):
                        raise
                    break
            if _is_at(self._handle, self._path):
                self._is_mine = True
                return
            self._close()
        raise RunFolderError(
            f"{folder} must be free", "another process or thread that writes into it",
            "choose another place, or wait for its end",
        )  # fmt: skip

    def release(self) -> None:
        """Release the folder; a second call does nothing."""
        was_mine = self._is_mine and _is_at(self._handle, self._path) and not os.fstat(self._handle).st_size
        if was_mine and _POSIX:
            self._path.unlink(missing_ok=True)  # while it is locked: a handle that others opened is no lock
        self._close()
        if was_mine and not _POSIX:
            with suppress(OSError):  # another process may have opened it meanwhile
                self._path.unlink(missing_ok=True)

    def __del__(self) -> None:
        with suppress(OSError):
            self.release()

    def _close(self) -> None:
        handle, self._handle, self._is_mine = self._handle, -1, False
        if handle >= 0:
            os.close(handle)


def all_but_lock(folder: Path) -> list[str]:
    """Names in a folder without that of the lock's file, locked or left behind. Raises OSError."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if not _is_lock(entry)]


def _is_lock(entry: os.DirEntry[str]) -> bool:
    return entry.name == LOCK and entry.is_file(follow_symlinks=False) and not entry.stat().st_size


def _is_at(handle: int, path: Path) -> bool:
    """Tell whether the open file is the one that is at ``path`` now."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


_held: weakref.WeakSet[FolderLock] = weakref.WeakSet()
_forking = threading.RLock()  # no fork between opening a file and noting that it is open


def _in_child() -> None:
    for lock in _held:
        lock._close()  # the parent's handle stays, and the lock with it


forks.wait_for(_forking)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
