"""How this package's functions are compiled, and where the compiled code is kept.

One place for Numba's options: never ``fastmath`` (it deletes the finite checks), float
semantics of NumPy, the GIL released. Compiled entry points are cached in a private folder whose
name holds the versions and the digest of all of this package's source: Numba itself does not
notice a changed callee in another file (numba issue 1833).
"""

from __future__ import annotations

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

    It is private (mode 0700, ours): whoever writes there decides what this process executes.
    """
    versions = f"numba{numba.__version__}-llvmlite{llvmlite.__version__}"
    folder = platformdirs.user_cache_path("fastmlp") / "kernels" / f"{versions}-{source_digest()[:16]}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        status = folder.stat()
        if os.name == "posix" and (
            status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        ):
            raise PermissionError("it must belong to you, and nobody else may write there")
    except OSError as problem:
        warnings.warn(
            f"compiled code cannot be kept in {folder} ({problem}); it is compiled again in every process",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return folder


def is_warm() -> bool:
    """Whether something compiled from this very source is in the cache."""
    folder = cache_folder()
    return folder is not None and next(folder.rglob("*.nbi"), None) is not None
