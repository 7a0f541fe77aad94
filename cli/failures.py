"""The boundary between the library's errors and a person: one message, one exit code, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from fastmlp.errors import (
    ConfigError,
    DataError,
    DivergedError,
    FastMLPError,
    ModelError,
    RunFolderError,
    in_short,
)

from .room import lack_of_room
from .streams import OutputError, UnreadError, clean
from .suggestions import suggest

_UsageError: Any = typer.BadParameter.__base__  # click's, or typer's own


class AccuracyError(FastMLPError):
    """The test accuracy is under ``--min-accuracy``, or R2 under ``--min-r2``."""


CODES: dict[type[BaseException], int] = {
    FastMLPError: 1,
    ModelError: 1,
    RunFolderError: 1,
    OutputError: 1,
    MemoryError: 1,
    ConfigError: 2,  # as typer's own usage errors
    DivergedError: 3,
    DataError: 4,
    AccuracyError: 5,
    UnreadError: 128 + 13,  # as programs that SIGPIPE ends
}


class Boundary(TyperGroup):
    """A group of commands whose errors become a message on stderr and an exit code."""

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            return super().main(*args, **options)
        except tuple(CODES) as failure:
            tell(failure)
            sys.exit(code_of(failure))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"] * (not ctx.resilient_parsing))

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _usage():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with _usage():
            return super().invoke(ctx)


@contextmanager
def _usage() -> Iterator[None]:
    """Clean typer's messages about wrong usage, which quote the command line."""
    try:
        yield
    except _UsageError as problem:
        suggest(problem)
        problem.message = clean(in_short(problem.message))
        raise


def code_of(failure: BaseException) -> int:
    """Exit code of the failure's class, or of the nearest class above it."""
    return next(CODES[kind] for kind in type(failure).__mro__ if kind in CODES)


def tell(failure: BaseException) -> None:
    """Write a line to stderr, or several where several values are wrong."""
    if isinstance(failure, UnreadError):
        return
    text = str(failure)
    if isinstance(failure, MemoryError):
        got = text or "too little of it"
        text = lack_of_room() or (
            f"the training must fit into memory; got {got}. Use a smaller --batch-size, net or data set."
        )
    for line in text.split("\n"):
        _say(line)


def _say(line: str) -> None:
    try:
        from .render import Screen
    except Exception:  # no memory for that either
        sys.stderr.write(f"Error: {clean(line)}\n")
    else:
        Screen().error(line)
