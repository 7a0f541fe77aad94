"""A bar for those who ask for one: in a terminal, in a notebook, and a line now and then where neither is.

In a notebook it is HTML that is replaced in place, which needs no widgets. Loads rich in a terminal alone.
"""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol

_EVERY = 0.2  # seconds between two states in a notebook
_LINE_EVERY = 10.0  # seconds between two lines where there is no bar

Show = Callable[..., None]


class _Surface(Protocol):
    """A place where the bar is: ``draw`` changes it, ``end`` leaves the last line."""

    def draw(self, share: float, text: str) -> None: ...

    def end(self, share: float, text: str) -> None: ...


@contextmanager
def bar(total: int, noun: str = "epoch") -> Iterator[Show]:
    """Give a function ``show(done, told)`` of how many of ``total`` are done, and of what that came to.

    Its last line stays: how many, in what time, and what was told last. The bar is full then, though fewer
    may be done: a training that stops early is whole; unless it ends by an exception.
    """
    state, is_whole = _State(total, noun, _surface()), False
    try:
        yield state.show
        is_whole = True
    finally:
        state.end(is_whole)


class _State:
    """Numbers done, what was told, and the clock."""

    def __init__(self, total: int, noun: str, surface: _Surface) -> None:
        self.total, self.noun, self.surface = total, noun, surface
        self.began, self.first, self.done, self.told = time.perf_counter(), 0.0, 0.0, ""
        self.since: float | None = None  # the first of these were done before: the rate is that of the others
        surface.draw(0.0, f"{noun} 0/{total:,}")

    def show(self, done: float, told: str | None = None) -> None:
        """Show that so many are done; what was told before stays where nothing is told."""
        if self.since is None:
            self.first, self.since = float(int(done)), self.began if done < 1 else time.perf_counter()
        self.done, self.told = done, self.told if told is None else told
        self.surface.draw(self.share, f"{self.noun} {self._count}/{self.total:,}{self._behind}{self._left}")

    def end(self, is_whole: bool) -> None:
        count = int(self.done)
        took = _duration(time.perf_counter() - self.began)
        nouns = f"{self.noun}{'s' * (count != 1)}"
        self.surface.end(
            1.0 if is_whole else self.share, f"{count:,} {nouns} in {took}{self._behind.replace(',', ':', 1)}"
        )

    @property
    def share(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 1.0

    @property
    def _count(self) -> str:
        return f"{min(self.total, int(self.done) + (self.done % 1 > 0)):,}"

    @property
    def _behind(self) -> str:
        return f", {self.told}" if self.told else ""

    @property
    def _left(self) -> str:
        if self.since is None or self.done <= self.first or self.done >= self.total:
            return ""
        seconds = (time.perf_counter() - self.since) / (self.done - self.first) * (self.total - self.done)
        return f", {_duration(seconds)} left"


def _surface() -> _Surface:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if hasattr(shell, "kernel"):
        return _Notebook()
    if sys.stderr is not None and sys.stderr.isatty():
        from rich.console import Console

        console = Console(stderr=True, markup=False, highlight=False, emoji=False, force_jupyter=False)
        if not console.is_dumb_terminal:
            return _Terminal(console)
    return _Lines()


class _Terminal:
    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        text = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
        columns = BarColumn(24, complete_style="cyan", finished_style="cyan"), text
        self.console, self.bar = console, Progress(*columns, console=console, transient=True)
        self.task = self.bar.add_task("", total=1.0)
        self.bar.start()

    def draw(self, share: float, text: str) -> None:
        self.bar.update(self.task, completed=share, description=text)

    def end(self, share: float, text: str) -> None:
        self.bar.stop()
        self.console.print(text, soft_wrap=True)


class _Notebook:
    """An output of the cell that is replaced."""

    def __init__(self) -> None:
        self.handle: Any = None
        self.drawn = -1.0

    def draw(self, share: float, text: str, *, at_once: bool = False) -> None:
        now = time.perf_counter()
        if self.handle is not None and not at_once and now - self.drawn < _EVERY:
            return
        self.drawn = now
        content = {
            "text/plain": text,
            "text/html": f'<div><progress value="{share:.4f}" max="1"></progress> {html.escape(text)}</div>',
        }
        if self.handle is None:
            display: Any = import_module("IPython.display").display
            self.handle = display(content, raw=True, display_id=True)
        else:
            self.handle.update(content, raw=True)

    def end(self, share: float, text: str) -> None:
        self.draw(share, text, at_once=True)


class _Lines:
    """Lines on stderr, one now and then."""

    def __init__(self) -> None:
        self.written = time.perf_counter()

    def draw(self, share: float, text: str) -> None:
        now = time.perf_counter()
        if now - self.written >= _LINE_EVERY:
            self.written = now
            _write(text)

    def end(self, share: float, text: str) -> None:
        _write(text)


def _write(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.0f} h"
