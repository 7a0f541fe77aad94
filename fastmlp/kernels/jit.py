"""How this package's functions are compiled, and where the compiled code is kept.

One place for Numba's options: never ``fastmath`` (it deletes the finite checks), float semantics
of NumPy, the GIL released. Entry points are kept (cache.py) in a private folder, whose name holds
all that decides what they are compiled to: Numba itself does not notice a changed callee in
another file (numba issue 1833).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
from llvmlite import binding
from llvmlite.binding import ffi
from numba import njit
from numba._dynfunc import make_function
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock

from fastmlp import forks
from fastmlp.cache_dir import forget_unused, home, private_folder, touch
from fastmlp.files import read_bytes, replace
from fastmlp.kernels.cache import KernelCache, is_whole, used_in, warn_unkept

COMPILED = not numba.config.DISABLE_JIT
"""False under NUMBA_DISABLE_JIT: ``device`` and ``kernel`` then return the function as it is."""

_OPTIONS = {"nogil": True, "error_model": "numpy"}
_SETTINGS = (  # Numba's, that change the code and are in no key of its own
    "OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "ENABLE_AVX", "LOOP_VECTORIZE", "SLP_VECTORIZE",
    "CPU_NAME", "CPU_FEATURES",
)  # fmt: skip

_MOST_MARK = 1 << 20  # bytes of a mark; the largest has some thousand

_NO_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # half of the time to compile


class _Part(JITCodeLibrary):
    """LLVM code that others link into theirs: they optimise it, and only theirs becomes machine code."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _WholeCompiler(Compiler):
    """Numba's compiler without garbage collection, which finds nothing meanwhile: 1 of 10 s.

    Numba lets one thread at a time compile, so no other turns it on or off here.
    """

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        collects = gc.isenabled()
        gc.disable()
        try:
            return super().compile_extra(func)
        finally:
            if collects:
                gc.enable()


class _ApartCompiler(_WholeCompiler):
    """The same for a function whose pointers never meet: of five, LLVM would fill no vectors."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


class _PartCompiler(Compiler):
    """Numba's compiler, but the result is a ``_Part``: all kernels take 10.5 instead of 15 s.

    Numba tells functions by the objects that Python would call: here one without code, never called.
    """

    def define_pipelines(self) -> Any:
        state = self.state
        state.library = _Part(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        return super().define_pipelines()

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        result = super().compile_extra(func)
        name, library, no_code = func.__name__, (result.library,), 0
        key = make_function(sys.modules[func.__module__], name, "", no_code, result.environment, library)
        result.target_context.insert_user_function(key, result.fndesc, library)
        return result._replace(entry_point=key)


# Else a child forked meanwhile finds them taken, LLVM between two steps, and the garbage collection off.
forks.wait_for(global_compiler_lock, ffi.lib._lock)

device = njit(pipeline_class=_PartCompiler, **_OPTIONS, **_NO_WRAPPERS)
"""A function that only compiled code calls: compiled by itself, then linked into its callers."""

inlined = njit(inline="always", **_OPTIONS, **_NO_WRAPPERS)
"""The same, but copied into its callers: for what is too short to be worth a call."""


def separate(function: Callable[..., Any], name: str, apart: bool = False) -> Any:
    """A function that compiled code calls by its address (plug_ins.py): compiled, and kept, by itself.

    name: see ``KernelCache``. apart: see ``PlugIn``.
    """
    compiler = _ApartCompiler if apart else _WholeCompiler
    compiled = njit(pipeline_class=compiler, **_OPTIONS, **_NO_WRAPPERS)(function)
    return _kept(compiled, function, name)


def address_of(compiled: Any, signature: Any) -> int:
    """The address of a ``separate`` function for that signature; it is compiled, or loaded, if need be."""
    compiled.compile(signature)
    result = compiled.overloads[signature.args]
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))


def kernel(function: Callable[..., Any] | None = None, *, parallel: bool = False) -> Any:
    """An entry point: a function that Python calls. Kept in ``cache_folder()`` where there is one.

    ``@kernel``, or ``@kernel(parallel=True)`` for one that uses prange.
    """
    if function is None:
        return functools.partial(kernel, parallel=parallel)
    compiled = njit(parallel=parallel, no_cfunc_wrapper=True, pipeline_class=_WholeCompiler, **_OPTIONS)(
        function
    )
    return _kept(compiled, function)


def _kept(compiled: Any, function: Callable[..., Any], name: str = "") -> Any:
    """The same, kept in ``cache_folder()`` where there is one."""
    folder = cache_folder() if COMPILED else None
    if folder is not None:
        compiled._cache = KernelCache(function, folder, name)
    return compiled


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

    One for each version of Numba and LLVM; of this source, Python, processor and Numba's settings
    the name holds a digest. When a new one is made, those that nobody used for a month go.
    """
    processor = binding.get_host_cpu_name(), sorted(binding.get_host_cpu_features().items())
    settings = [str(getattr(numba.config, name, None)) for name in _SETTINGS]
    what = (source_digest(), sys.implementation.cache_tag, processor, settings)
    name = (
        f"numba{numba.__version__}-llvmlite{llvmlite.__version__}-"
        f"{hashlib.sha256(repr(what).encode()).hexdigest()[:16]}"
    )
    try:
        folder = private_folder("kernels", name)
        is_new = not any(folder.iterdir())
    except OSError as problem:
        warn_unkept(home() / "kernels" / name, problem)
        return None
    touch(folder)
    if is_new:
        forget_unused(folder.parent)
    return folder


def keep(kind: str) -> None:
    """Leave a mark in the cache that this kind of kernel is there: the files it consists of."""
    folder = cache_folder()
    if folder is not None and COMPILED:
        with contextlib.suppress(OSError):
            replace(folder / f"{kind}.kept", "\n".join(used_in(folder)).encode())


def is_kept(kind: str = "*") -> bool:
    """True where this kind of kernel can be had without compiling: its files are there, and whole."""
    folder = cache_folder()
    if folder is None or not COMPILED:
        return not COMPILED
    return any(_has_all(folder, mark) for mark in folder.glob(f"{kind}.kept"))


def _has_all(folder: Path, mark: Path) -> bool:
    """True where all that the mark names is there."""
    try:
        names = read_bytes(mark, _MOST_MARK).decode(errors="replace").splitlines()
    except OSError:
        return False
    return bool(names) and all(is_whole(folder / name) for name in names)
