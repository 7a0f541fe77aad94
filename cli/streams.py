"""stdin, stdout and stderr, which may be closed, full, or without a reader.

A run continues when its progress cannot be written. A result that cannot be written is an error, once.
Text for people passes ``clean``, results go to stdout by ``echo``. Nothing heavy is loaded here.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Any

from fastmlp.checks import reason_of
from fastmlp.errors import FastMLPError

SIZES = range(10, 10_000)  # of a window
_replaced: list[Any] = []


class OutputError(FastMLPError):
    """An error of writing to stdout."""


class UnreadError(OutputError):
    """The reader of stdout has gone, as ``head`` does: no message is shown."""


def prepare() -> None:
    """Make the three streams fit for a run, before anything else uses them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: else the next file to be opened would have its number
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    sys.stdout, sys.stderr = _over(sys.stdout, _Results), _over(sys.stderr, _Progress)
    for name in ("COLUMNS", "LINES"):
        value = os.environ.get(name, "")
        if not (value.isascii() and value.isdecimal() and int(value[:9]) in SIZES):
            os.environ.pop(name, None)  # no window has that size, and rich would print nothing in it


def clean(text: str) -> str:
    """The text on one line, with all that is not printable escaped: escape codes, changes of direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def echo(*lines: str) -> None:
    """Write lines to stdout. Raises OutputError, where ``prepare`` was called."""
    sys.stdout.write("\n".join((*map(clean, lines), "")))
    sys.stdout.flush()


def pour(text: str) -> None:
    """Write lines of data to stdout as they are; escaped where a terminal shows them. Raises OutputError."""
    if sys.stdout.isatty():
        text = "".join(clean(line) + "\n" for line in text.split("\n")[:-1])
    sys.stdout.write(text)
    sys.stdout.flush()


class _Raw(io.FileIO):
    """An open file, by its number, that differs only in writing."""

    failed = False

    def write(self, content: Any) -> int:
        """Write all of it, or as much as the system takes; nothing after a failure."""
        if not self.failed:
            try:
                while (n := super().write(content)) is None:  # others made it non-blocking
                    select.select([], [self], [])
            except OSError as problem:
                self.failed = True
                self.fail(problem)
            else:
                return n
        return len(content)

    def fail(self, problem: OSError) -> None:
        """Raise the error for it, if there is one."""


class _Results(_Raw):
    def fail(self, problem: OSError) -> None:
        kind = UnreadError if isinstance(problem, BrokenPipeError) else OutputError
        raise kind("stdout must take the result", reason_of(problem), "make room, or name another place")


class _Progress(_Raw):
    pass


def _over(stream: Any, kind: type[_Raw]) -> Any:
    """Wrap the stream in a file of that kind; one without a file of the system is returned unchanged."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # PYTHONUNBUFFERED
    if type(raw) is not io.FileIO:  # a console of Windows
        return stream
    _replaced.append(stream)  # which would close the file else
    return io.TextIOWrapper(
        io.BufferedWriter(kind(raw.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",  # a file's name may hold what no encoding has
        line_buffering=stream.line_buffering or stream.write_through,
    )
