"""Progress lines: a bar that grows on a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

from fastmlp.checks import as_text, as_whole, shown
from fastmlp.errors import ConfigError

_WIDTH = 20


class Progress:
    """Prints what an epoch of ``steps`` batches of ``batch_size`` samples does.

    verbose: 0 for silence, 1 or "auto" for a bar, 2 for a line without one. interval: least seconds between
    two states of a bar. Raises ValueError.
    """

    def __init__(self, verbose: Any, samples: int, batch_size: int, *, interval: float = 0.05) -> None:
        known = int(verbose) if isinstance(verbose, bool) else as_whole(verbose)
        known = 1 if as_text(verbose) == "auto" else known
        if known not in (0, 1, 2):
            raise ConfigError("verbose must be 'auto', 0, 1 or 2", shown(verbose))
        self.verbose = known
        self.batch_size, self.interval = batch_size, interval
        self.steps = -(-samples // batch_size)
        self._started = self._shown = 0.0
        self._live = self.verbose == 1 and bool(getattr(sys.stdout, "isatty", bool)())
        self._wide = 0

    def begin(self, title: str = "") -> None:
        """Start the clock, after a line with the title."""
        if self.verbose and title:
            say(title)
        self._started, self._shown, self._wide = time.perf_counter(), -math.inf, 0

    @property
    def watch(self) -> Callable[[int, int], None] | None:
        """Function of the epoch and the samples done, where a bar is to grow; else None."""
        return self._grow if self._live else None

    def end(self, logs: dict[str, Any]) -> None:
        """Print the finished line, with the logs."""
        if not self.verbose:
            return
        seconds = time.perf_counter() - self._started
        told = "".join(f" - {name}: {_number(value)}" for name, value in logs.items())
        took = f"{seconds:.0f}s"
        each = _duration(seconds / self.steps)
        if self.verbose == 1:
            line = f"{self._bar(self.steps)} {took} {each}/step{told}"
        else:
            line = f"{self.steps}/{self.steps} - {took} - {each}/step{told}"
        if self._live:
            line = f"\r{line:{self._wide}}"
        say(line)

    def _grow(self, epoch: int, samples: int) -> None:
        now = time.perf_counter()
        if now - self._shown < self.interval:
            return
        self._shown, done = now, min(self.steps, samples // self.batch_size)
        left = (now - self._started) * (self.steps - done) / max(done, 1)
        line = f"{self._bar(done)} {left:.0f}s"
        self._wide = max(self._wide, len(line))
        sys.stdout.write(f"\r{line:{self._wide}}")
        sys.stdout.flush()

    def _bar(self, done: int) -> str:
        full, empty = ("━", "─") if _can_print("━─") else ("=", ".")
        filled = _WIDTH * done // self.steps
        return f"{done:>{len(str(self.steps))}}/{self.steps} {full * filled}{empty * (_WIDTH - filled)}"


def say(line: str) -> None:
    """Print a line at once; nothing where there is no standard output."""
    if sys.stdout is not None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _can_print(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


def _number(value: Any) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"
