"""A folder that one at a time writes into: claimed by a lock of the system, which ends with its holder.

The lock is on an empty file in the folder, since not every system locks folders. That the file is there means
nothing: a kill -9 leaves it behind, unlocked. Whoever gives the lock back takes the file away.
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
    """Held from the beginning to ``release``, or to the end of the process, however that comes.

    A child that is forked meanwhile does not hold it. Where the file system has no locks (some of clusters'),
    nothing is claimed.
    """

    def __init__(self, folder: Path) -> None:
        """RunFolderError where another holds it; OSError where the file cannot be made, or is a link."""
        self._path, self._handle, self._is_mine = folder / LOCK, -1, False
        for _ in range(_TRIES):  # a holder who gives it back takes the file away that was opened here
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
        """Give the folder back; once is enough."""
        was_mine = self._is_mine and _is_at(self._handle, self._path) and not os.fstat(self._handle).st_size
        if was_mine and _POSIX:
            self._path.unlink(missing_ok=True)  # while it is locked: what others opened is no claim then
        self._close()
        if was_mine and not _POSIX:
            with suppress(OSError):  # whoever has opened it meanwhile keeps it
                self._path.unlink(missing_ok=True)

    def __del__(self) -> None:
        with suppress(OSError):
            self.release()

    def _close(self) -> None:
        handle, self._handle, self._is_mine = self._handle, -1, False
        if handle >= 0:
            os.close(handle)


def all_but_lock(folder: Path) -> list[str]:
    """Names of what lies in a folder, but for the lock's file, locked or left behind. Raises OSError."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if not _is_lock(entry)]


def _is_lock(entry: os.DirEntry[str]) -> bool:
    return entry.name == LOCK and entry.is_file(follow_symlinks=False) and not entry.stat().st_size


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is the one that lies at ``path`` now."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


_held: weakref.WeakSet[FolderLock] = weakref.WeakSet()
_forking = threading.RLock()  # no fork between opening a file and knowing that it is open


def _in_child() -> None:
    for lock in _held:
        lock._close()  # the parent's handle stays, and the lock with it


forks.wait_for(_forking)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
