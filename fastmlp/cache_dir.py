"""Folders in the user's cache that no other user may write; files without use are removed after a month.

A program that writes there decides what this process executes and trains on. No file format is known here.
"""

from __future__ import annotations

import math
import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path

KEPT_FOR = 30 * 86_400.0  # seconds without use after which a file is removed


def home() -> Path:
    """fastmlp's folder in the user's cache; it need not exist."""
    import platformdirs

    return platformdirs.user_cache_path("fastmlp", appauthor=False)


def private_folder(*names: str) -> Path:
    """home() / NAMES, made if need be; raises OSError unless it is ours alone.

    It and those above it, up to home(), are of mode 0700, ours, and no links.
    """
    home().parent.mkdir(parents=True, exist_ok=True)
    for level in range(len(names) + 1):
        path = home().joinpath(*names[:level])
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        _check_private(path)
    return path


def forget_unused(folder: Path, budget: float = math.inf) -> None:
    """Remove what lies in a private folder and was not touched for a month; what cannot go stays.

    The longest unused go too where its files have more than ``budget`` bytes in all.
    """
    oldest, total = time.time() - KEPT_FOR, 0
    with suppress(OSError), os.scandir(folder) as entries:
        found = [(entry.stat(follow_symlinks=False), entry) for entry in entries]
        for status, entry in sorted(found, key=lambda item: -item[0].st_mtime):
            total += status.st_size
            if status.st_mtime >= oldest and total <= budget:
                continue
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)  # follows no links
                else:
                    Path(entry.path).unlink()


def touch(path: Path) -> None:
    """Note that it is used, where that can be noted."""
    with suppress(OSError):
        os.utime(path)


def _check_private(folder: Path) -> None:
    """Raise PermissionError unless the folder is ours alone to write."""
    if os.name != "posix":
        return
    status = folder.lstat()
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or shared:
        raise PermissionError(f"{folder} must be a folder of yours where nobody else may write")
