"""Signals that end a run: Ctrl-C, SIGTERM, SIGHUP. The first is raised as Stopped; later ones are ignored.

Python delivers them to the main thread. Loaded before anything else: nothing heavy may be loaded here.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_PATIENCE = 3.0  # seconds that a run has to end; after them a further signal is raised too
_AGAIN = 0.01


class Stopped(BaseException):
    """A signal that asks for the end. number: of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        name = signal.Signals(self.number).name
        return "Interrupted." if name == "SIGINT" else f"Ended by {name}."


class _Ear:
    """State of the signals. pending: one that came while nothing may be raised."""

    def __init__(self) -> None:
        self.came: int | None = None
        self.pending: int | None = None
        self.held = False
        self.raised = -_PATIENCE  # when

    def hear(self, number: int, _: object = None) -> None:
        if self.held:
            self.pending = self.pending or number
        elif time.monotonic() >= self.raised + _PATIENCE:
            self.pending, self.raised, self.came = None, time.monotonic(), self.came or number
            raise Stopped(self.came)

    def speak(self) -> None:
        if self.pending is not None and self.came is None and not self.held:
            self.hear(self.pending)


_ear = _Ear()


def listen() -> None:
    """Hear the signals from now on, but for those that were turned off at the start (nohup, a shell's &)."""
    for number in SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, _ear.hear)
    sys.unraisablehook = _raise_again


def ignore() -> None:
    """Ignore further signals: the process is about to end."""
    _ear.held = True
    for number in SIGNALS:
        if signal.getsignal(number) == _ear.hear:
            signal.signal(number, signal.SIG_IGN)  # Python has no handlers during its exit


def came() -> int | None:
    """The signal that was raised first, if any was."""
    return _ear.came


@contextmanager
def held() -> Iterator[None]:
    """Hold signals back within a block; one is raised at its end, unless something else is."""
    before, _ear.held = _ear.held, True
    try:
        yield
    finally:
        _ear.held = before
    _ear.speak()


@contextmanager
def heard() -> Iterator[None]:
    """Let signals be raised in a block within ``held``."""
    before, _ear.held = _ear.held, False
    try:
        _ear.speak()
        yield
    finally:
        _ear.held = before


def whole(function: Callable[..., Any]) -> Callable[..., Any]:
    """Hold signals back until the function is done."""

    def done(*args: Any) -> Any:
        with held():
            return function(*args)

    return done


def _raise_again(lost: sys.UnraisableHookArgs) -> None:
    """Send a signal again that was raised in a finalizer or a callback from C, where Python drops it."""
    if not isinstance(lost.exc_value, Stopped):
        sys.__unraisablehook__(lost)
        return
    number = lost.exc_value.number
    _ear.raised = -_PATIENCE
    threading.Timer(_AGAIN, _send, (number,)).start()


def _send(number: int) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)
