"""The cache of compiled kernels: a file for each function and signature, checked before it is read.

In place of Numba's index and data files: damage to those raises or, where a bit of machine code
flips, ends the process. A file here is a magic, the sha256 of the payload, the payload. It
replaces another whole: nobody sees half of one, and processes may race. What cannot be used costs
a compilation and one warning, never a failure.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from fastmlp.checks import reason_of
from fastmlp.files import read_bytes, replace

MAGIC = b"fastmlp kernel 1\n"
SUFFIX = ".kernel"

MOST = 256 << 20  # bytes of a file; the largest has about one million

_SUM = hashlib.sha256().digest_size
_used: set[Path] = set()  # the files that this process read or wrote, or would have liked to
_warned: set[Path] = set()  # the folders of which a warning was given


class KernelCache(FunctionCache):
    """A store of compiled code, which a dispatcher asks for it and gives it to.

    name: what tells the function from others of its code, where that is what it closes over: to Numba,
    another in each process.
    """

    def __init__(self, function: Any, folder: Path, name: str = "") -> None:
        self._name, self._own_name = repr(function), name
        self._py_func = function
        self._impl = _Results(function)
        self._cache_path = str(folder)
        self.enable()

    def load_overload(self, sig, target_context):
        """The compiled function for these types; None where it must be compiled.

        Unlike Numba's, it loads no type or function that only compiling needs: 0.2 s.
        """
        rtsys.initialize(target_context)
        return self._load_overload(sig, target_context)

    def flush(self) -> None:
        """Forget this function."""
        for path in Path(self._cache_path).glob(f"{self._own_name or self._py_func.__name__}-*{SUFFIX}"):
            path.unlink(missing_ok=True)

    def _load_overload(self, sig, target_context):
        key = self._index_key(sig, target_context.codegen())
        path = self._path(key)
        try:
            kept, content = pickle.loads(_payload(path))  # its sum is right, and the folder ours alone
            return self._impl.rebuild(target_context, content) if kept == key else None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as problem:  # whatever it is, compiling is the answer
            _warn_once(
                path.parent,
                f"compiled code cannot be used ({path}: {reason_of(problem)}); it is compiled again",
            )
            return None

    def _save_overload(self, sig, data):
        if not self._impl.check_cachable(data):
            return
        key = self._index_key(sig, data.codegen)
        path = self._path(key)
        payload = dumps((key, self._impl.reduce(data)))
        try:
            replace(path, MAGIC, hashlib.sha256(payload).digest(), payload)
        except OSError as problem:
            warn_unkept(path.parent, problem)

    def _index_key(self, sig, codegen):
        if self._own_name:
            return sig, codegen.magic_tuple(), self._own_name, self._py_func.__code__.co_code
        return super()._index_key(sig, codegen)

    def _path(self, key: object) -> Path:
        function = self._py_func
        whole = repr((function.__module__, function.__qualname__, key))
        name = (
            f"{self._own_name or function.__name__}-{hashlib.sha256(whole.encode()).hexdigest()[:32]}{SUFFIX}"
        )
        path = Path(self._cache_path, name)
        _used.add(path)
        return path


class _Results(CompileResultCacheImpl):
    """Numba's way to make bytes of compiled code, without its search for a place to keep them."""

    def __init__(self, function: Any) -> None:
        self._lineno = function.__code__.co_firstlineno
        self._locator = SimpleNamespace(_py_file=function.__code__.co_filename)


def used_in(folder: Path) -> list[str]:
    """Names of the files in it that hold what this process has run."""
    return sorted(path.name for path in _used if path.parent == folder)


def is_whole(path: Path) -> bool:
    """True where there is a file with the right sum."""
    try:
        _payload(path)
    except (OSError, ValueError):
        return False
    return True


def warn_unkept(folder: Path, problem: OSError) -> None:
    """Say that code is compiled in vain."""
    _warn_once(
        folder,
        f"compiled code cannot be kept in {folder} ({problem}); it is compiled again in every process",
    )


def _payload(path: Path) -> memoryview:
    content = memoryview(read_bytes(path, MOST))
    start = len(MAGIC) + _SUM
    if content[: len(MAGIC)] != MAGIC:
        raise ValueError("not a file of this cache")
    if hashlib.sha256(content[start:]).digest() != content[len(MAGIC) : start]:
        raise ValueError("its sum is wrong")
    return content[start:]


def _warn_once(folder: Path, text: str) -> None:
    if folder not in _warned:
        _warned.add(folder)
        warnings.warn(text, RuntimeWarning, stacklevel=2)
