"""Room in memory for any command, checked before libraries are loaded that need it.

Without it each of them fails in its own way: imports that cannot map, BLAS that gives up, LLVM that aborts.
"""

from __future__ import annotations

import os

from fastmlp.errors import FastMLPError

LEAST, FOR_EACH_CORE = 1024, 16  # MiB of address space for a started command: NumPy, Numba, LLVM; stacks


def demand_room() -> None:
    """Raise FastMLPError where a limit (``ulimit -v``) leaves less than a small training needs."""
    if os.name != "posix":
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    need = LEAST + FOR_EACH_CORE * cores
    try:
        import mmap  # never touched: address space alone

        mmap.mmap(-1, need << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ).close()
    except (ImportError, OSError, MemoryError):
        raise FastMLPError(
            f"a command must have {need:,} MiB of address space", _limit(), "raise the limit: ulimit -v"
        ) from None


def lack_of_room() -> str:
    """Message of ``demand_room``, or nothing: a reason why something else may have failed."""
    try:
        demand_room()
    except FastMLPError as lack:
        return str(lack)
    return ""


def _limit() -> str:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return "less" if soft == resource.RLIM_INFINITY else f"a limit of {soft >> 20:,} MiB for all of it"
