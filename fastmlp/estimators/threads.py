"""The number of threads of an estimator: no more than its worker's share of the cores, nor than others allow.

Results do not depend on it, so that limits are obeyed whatever ``threads`` says.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

from fastmlp.backends.threads import MOST_THREADS, available_cores, resolve

_VARIABLES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")


def threads_here(threads: int | str) -> int | str:
    """``threads``, or fewer where fewer are allowed; ``auto`` where it may have all cores."""
    most = most_here()
    if threads == "auto" and most >= available_cores():
        return threads
    return min(resolve(threads), most)


def most_here() -> int:
    """The most threads that one call may have here.

    That is what OMP_NUM_THREADS, NUMBA_NUM_THREADS and threadpoolctl's limits of OpenMP say; joblib tells its
    processes their share of the cores so. BLAS's limits are not for these threads. Threads of joblib, and
    processes of anybody else, get 1: how many of them there are is not known.
    """
    process = multiprocessing.current_process()
    told = type(process).__name__ == "LokyProcess"  # by joblib
    level = get_active_backend()[0].nesting_level or 0
    if level > told or (multiprocessing.parent_process() is not None and not (told and level)):
        return 1
    texts = [os.environ.get(name, "") for name in _VARIABLES]
    limits = [int(text) for text in texts if text.isdecimal() and len(text) < 20]
    limits += [library.num_threads for library in _openmp()]
    return max(1, min(filter(None, limits), default=MOST_THREADS))


@functools.cache
def _openmp() -> list[Any]:
    """The OpenMP libraries that are loaded by now: scikit-learn loads one."""
    libraries: list[Any] = ThreadpoolController().select(user_api="openmp").lib_controllers
    return libraries


_lock = threading.Lock()
_held: list[Any] = []  # of the fits at once in this process: the first one's limit, and None of each other


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread: the small products of a solver wait for others longer than they take.

    The limit is the process's: the last of several at once takes back what the first has set.
    """
    with _lock:
        _held.append(None if _held else _blas().limit(limits=1))
    try:
        yield
    finally:
        with _lock:
            limit = next(filter(None, _held))
            _held.remove(limit if len(_held) == 1 else None)
            if not _held:
                limit.restore_original_limits()


@functools.cache
def _blas() -> Any:
    """The BLAS libraries that NumPy and SciPy have loaded."""
    return ThreadpoolController().select(user_api="blas")
