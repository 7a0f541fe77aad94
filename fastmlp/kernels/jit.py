"""How this package's functions are compiled, and where the compiled code is kept.

One place for Numba's options: never ``fastmath`` (it deletes the finite checks), float
semantics of NumPy, the GIL released. Compiled entry points are cached in a private folder whose
name holds the versions and the digest of all of this package's source: Numba itself does not
notice a changed callee in another file (numba issue 1833).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
import tempfile
import warnings
from pathlib import Path

import llvmlite
import numba
import platformdirs
from numba import njit

from fastmlp.errors import ConfigError

if numba.config.DISABLE_JIT:
    raise ConfigError(
        "the kernels must be compiled", "NUMBA_DISABLE_JIT", 'unset it, or use the "numpy" backend'
    )

_OPTIONS = {"nogil": True, "error_model": "numpy"}

device = njit(**_OPTIONS)
"""A function that only compiled code calls: compiled into its callers."""


def kernel(function):
    """An entry point: a function that Python calls. Kept in ``cache_folder()`` where there is one."""
    folder = cache_folder()
    if folder is None:
        return njit(**_OPTIONS)(function)
    # Numba reads the place to cache at decoration, from a setting of the whole process: lend it ours.
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        return njit(cache=True, **_OPTIONS)(function)
    finally:
        numba.config.CACHE_DIR = before


@functools.cache
def source_digest() -> str:
    """Digest of every source file of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def cache_folder() -> Path | None:
    """The folder for compiled code, made if need be; None, with one warning, if it cannot be used.

    It and the two above it are private (mode 0700, ours, no links): whoever writes there decides
    what this process executes.
    """
    versions = f"numba{numba.__version__}-llvmlite{llvmlite.__version__}"
    home = platformdirs.user_cache_path("fastmlp", appauthor=False)
    folder = home / "kernels" / f"{versions}-{source_digest()[:16]}"
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        for private in (home, folder.parent, folder):
            with contextlib.suppress(FileExistsError):
                private.mkdir(mode=0o700)
            _check_private(private)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as problem:
        warnings.warn(
            f"compiled code cannot be kept in {folder} ({problem}); it is compiled again in every process",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return folder


def _check_private(folder: Path) -> None:
    """Raise PermissionError unless the folder is ours alone to write."""
    if os.name != "posix":
        return
    status = folder.lstat()
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or shared:
        raise PermissionError(f"{folder} must be a folder of yours where nobody else may write")


def keep(kind: str) -> None:
    """Leave a mark in the cache that this kind of kernel is there."""
    folder = cache_folder()
    with contextlib.suppress(OSError):
        if folder is not None:
            (folder / f"{kind}.kept").touch()


def is_kept(kind: str = "*") -> bool:
    """Whether the cache has this kind of kernel, compiled from this very source."""
    folder = cache_folder()
    return folder is not None and next(folder.glob(f"{kind}.kept"), None) is not None
