"""Writing a file so that it is there whole, or as it was before. Knows no format."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

from fastmlp.errors import RunFolderError


def write_whole(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``, on disk when this returns. Raises RunFolderError."""
    try:
        replace(path, content, synced=True)
    except OSError as error:
        raise RunFolderError(
            f"{path} must be writable", error.strerror or error, "make room, or choose another place"
        ) from None


def replace(path: Path, *pieces: bytes | memoryview, synced: bool = False) -> None:
    """Replace ``path`` by the pieces in a row: others see the old file or the new one. Raises OSError.

    Without ``synced`` a loss of power may leave less than all of it: right where a sum is checked.
    """
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
