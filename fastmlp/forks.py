"""Forks while other threads import this package or compile: they wait for those to be done.

A forked child has none of the other threads: a lock that one of them held is never released there, and what
it was doing stays half done. Nothing here knows what is imported or compiled. Loaded with the package, before
anything in it: it must cost nothing.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_locks: list[AbstractContextManager[Any]] = []
_taken: list[AbstractContextManager[Any]] = []


def wait_for(*locks: AbstractContextManager[Any]) -> None:
    """From now on a fork takes these locks, in this order, and both processes have them free after it."""
    _locks.extend(locks)


def _before() -> None:
    """Take the locks at a moment when no other thread imports: that may need them."""
    logs = "logging" in sys.modules
    while True:
        busy = _being_imported()
        for name in busy:
            try:
                importlib.import_module(name)  # waits for the thread that does it
            except Exception:  # raised there
                continue
        for lock in list(_locks):
            lock.__enter__()
            _taken.append(lock)
        if _being_imported() in ([], busy):  # those of this thread itself are not waited for
            break
        _after()
    if not logs and "logging" in sys.modules:
        sys.modules["logging"]._lock.acquire()  # its own hook, registered meanwhile, is to release it


def _after() -> None:
    while _taken:
        _taken.pop().__exit__(None, None, None)


def _being_imported() -> list[str]:
    """Modules of this package whose import has begun and not ended, in whatever thread."""
    package = __name__.partition(".")[0] + "."
    ours = [module for name, module in sys.modules.copy().items() if name.startswith(package)]
    specs = [getattr(module, "__spec__", None) for module in ours]
    return [spec.name for spec in specs if spec is not None and getattr(spec, "_initializing", False)]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
