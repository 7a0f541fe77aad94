"""Forks while other threads import this package or compile: they wait for those to be done.

A forked child has none of the other threads: a lock that one of them held is never released there, and what
it was doing stays half done. Nothing here knows what is imported or compiled. Loaded with the package, before
anything in it: it must cost nothing.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from importlib import _bootstrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PACKAGES = {"fastmlp", "numpy", "numba", "llvmlite"}  # others may run a program as they are imported

_locks: list[AbstractContextManager[Any]] = []
_taken: list[AbstractContextManager[Any]] = []


def wait_for(*locks: AbstractContextManager[Any]) -> None:
    """Make forks take these locks, in this order; after a fork they are free in both processes."""
    _locks.extend(locks)


def _before() -> None:
    """Take the locks at a moment when no other thread imports: that may need them.

    Who compiles may log meanwhile: what another hook has taken of logging's lock is given back until then.
    """
    logs: Any = getattr(sys.modules.get("logging"), "_lock", None)
    owned = logs._release_save() if logs is not None and logs._is_owned() else None
    while True:
        for name in _being_imported():
            _bootstrap._lock_unlock_module(name)  # type: ignore[attr-defined]
        for lock in list(_locks):
            lock.__enter__()
            _taken.append(lock)
        if not _being_imported():
            break
        _after()
    if owned is not None:
        logs._acquire_restore(owned)
    elif logs is None and hasattr(sys.modules.get("logging"), "_lock"):
        sys.modules["logging"]._lock.acquire()  # its own hook, registered meanwhile, is to release it


def _after() -> None:
    taken = _taken.copy()
    _taken.clear()  # before the first is free: another thread's fork takes it then
    for lock in reversed(taken):
        lock.__exit__(None, None, None)


def _being_imported() -> list[str]:
    """Modules of PACKAGES that another thread has begun to import, and has not ended."""
    me = get_ident()
    locks = _bootstrap._module_locks.copy().items()  # type: ignore[attr-defined]
    owners = {name: getattr(lock(), "owner", None) for name, lock in locks}
    return [
        name for name, owner in owners.items() if owner not in (None, me) and name.split(".")[0] in PACKAGES
    ]


if hasattr(os, "register_at_fork") and hasattr(_bootstrap, "_module_locks"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
