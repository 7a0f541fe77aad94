"""Files and paths: written whole or left as they were, read within bounds.

All paths and JSON from outside are read here, so that anything wrong with them raises one error, of the class
that the caller names. No format but JSON is known here.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn

from fastmlp.checks import reason_of, shown
from fastmlp.errors import DataError, FastMLPError, RunFolderError

MOST_JSON = 16 << 20  # bytes: a description, not data; empty lists in it take 20 times that of memory

PathLike = str | os.PathLike[str]


def path_of(what: str, path: Any, error: type[FastMLPError] = DataError) -> Path:
    """The Path that ``path`` names, ``~`` expanded; error messages call it ``what``.

    It need not exist. Raises ``error`` where no file can have that name: an empty one, one with a NUL or a
    lone surrogate, one that is too long, ``~nosuchuser``, or an object that is no path.
    """
    try:
        text = os.fspath(path)
        if not isinstance(text, str):
            raise TypeError("bytes")
        if not text:
            raise ValueError("nothing")
        named = Path(text).expanduser()  # RuntimeError: no such user
        os.fsencode(named)  # UnicodeEncodeError
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            named.lstat()  # ValueError: NUL; OSError: too long, a loop of links
    except Exception as problem:
        reason = f": {reason_of(problem)}" if isinstance(problem, OSError) else ""
        raise error(
            f"{what} must be a path that can be looked up",
            f"{shown(path)}{reason}",
            "name a file or a folder",
        ) from None
    return named


def regular(path: str, flags: int) -> int:
    """Open a regular file and nothing else, for ``open(path, mode, opener=regular)``.

    Raises OSError for a folder, a pipe and a device too, without waiting for them, and ValueError for a NUL
    in the name.
    """
    more = ("O_NONBLOCK", "O_NOCTTY")  # without them, opening a pipe waits for its other end
    handle = os.open(path, flags | sum(getattr(os, name, 0) for name in more), 0o666)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(errno.EINVAL, "a folder, a pipe or a device", path)


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """All of a regular file. Raises OSError alone, for one of more than ``most`` bytes too."""
    try:
        with open(path, "rb", opener=regular) as file:
            content = file.read(most + 1)
    except (ValueError, MemoryError) as problem:  # ValueError: a NUL in the name
        raise OSError(errno.EINVAL, reason_of(problem), os.fspath(path)) from None
    if len(content) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes", os.fspath(path))
    return content


def is_file(path: Path) -> bool:
    """Tell whether a regular file is there; False where that cannot be looked up."""
    return _is(path, stat.S_ISREG)


def is_folder(path: Path) -> bool:
    """Tell whether a folder is there; False where that cannot be looked up."""
    return _is(path, stat.S_ISDIR)


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def read_json(path: Path, error: type[FastMLPError], *, most: int = MOST_JSON, do: str = "") -> Any:
    """Read a JSON file. Raises ``error`` for a file that cannot be read, is no JSON, or is too large."""
    try:
        content = read_bytes(path, most)
    except OSError as problem:
        raise error(f"{path} must be a JSON file that can be read", reason_of(problem), do) from None
    return parse_json(content, str(path), error, do=do)


def parse_json(content: bytes | str, where: str, error: type[FastMLPError], *, do: str = "") -> Any:
    """Parse JSON text, whose numbers fit float64, or int64 or uint64 where they are whole.

    Raises ``error`` for all other text, NaN and Infinity, larger numbers, and nesting that is too deep.
    """
    try:
        return json.loads(content, parse_int=_whole, parse_float=_finite, parse_constant=_no_number)
    except RecursionError:
        problem = "brackets nested too deeply"
    except (ValueError, MemoryError) as found:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        problem = reason_of(found)
    raise error(f"{where} must be JSON", problem, do)


def _whole(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (number := int(text)) < 2**64:
        raise ValueError(f"the number {text[:24]} of {len(text)} digits")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:24]}")
    return number


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


_PREPARED = re.compile(r"\.(.+)-[0-9a-f]{32}")


def prepared_for(name: str) -> str | None:
    """The file that ``replace`` was about to write under that temporary name; None for other names."""
    found = _PREPARED.fullmatch(name)
    return found and found[1]


def forget_prepared(folder: Path, *names: str) -> None:
    """Remove temporary files that a kill has left in a folder, of files of those names, where possible."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if prepared_for(entry.name) in names and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    Path(entry.path).unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``, on disk when this returns. Raises RunFolderError."""
    try:
        replace(path, content, synced=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise RunFolderError(
            f"{path} must be writable", reason_of(error), "make room, or choose another place"
        ) from None


def replace(path: Path, *pieces: bytes | memoryview, synced: bool = False) -> None:
    """Replace ``path`` by the pieces in a row: others see the old file or the new one. Raises OSError.

    Without ``synced`` a loss of power may cut the file short: enough where a checksum is verified on reading.
    """
    with replacing(path, synced=synced) as file:
        file.writelines(pieces)


@contextmanager
def replacing(path: Path, *, synced: bool = False) -> Iterator[IO[bytes]]:
    """Give a file to write that replaces ``path`` at the end of the block, unless that raises.

    ``synced``: as in ``replace``. Raises OSError.
    """
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")  # as prepared_for has it
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "wb") as file:
            yield file
            if synced:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if synced:
            sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Put on disk what was made or renamed in a folder, where the system can. Raises OSError."""
    flags = getattr(os, "O_DIRECTORY", None)
    if flags is None:  # Windows
        return
    handle = os.open(folder, os.O_RDONLY | flags)
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # some file systems of networks
            raise
    finally:
        os.close(handle)
