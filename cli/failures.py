"""The boundary between the library's errors and a person: one message, one exit code, no traceback."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from fastmlp.errors import ConfigError, DataError, DivergedError, FastMLPError, ModelError, RunFolderError


class AccuracyError(FastMLPError):
    """The test accuracy is under ``--min-accuracy``."""


CODES: dict[type[BaseException], int] = {
    FastMLPError: 1,
    ModelError: 1,
    RunFolderError: 1,
    MemoryError: 1,
    ConfigError: 2,  # as typer's own usage errors
    DivergedError: 3,
    DataError: 4,
    AccuracyError: 5,
    KeyboardInterrupt: 130,
}


class Boundary(TyperGroup):
    """A group of commands that turns what they raise into a message on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:  # None where it was closed by the caller
                sys.stdout.flush()  # a closed pipe shows here, where typer ends quietly on it
        except tuple(CODES) as failure:
            tell(failure)
            raise typer.Exit(code_of(failure)) from None
        return result


def code_of(failure: BaseException) -> int:
    """The exit code of its class, or of the nearest class above it."""
    return next(CODES[kind] for kind in type(failure).__mro__ if kind in CODES)


def tell(failure: BaseException) -> None:
    """One line on stderr; more where several values are wrong."""
    from .render import Screen

    screen = Screen()
    if isinstance(failure, KeyboardInterrupt):
        screen.notice("Interrupted.")
        return
    text = str(failure)
    if isinstance(failure, MemoryError):
        got = text or "too little of it"
        text = f"the training must fit into memory; got {got}. Use a smaller --batch-size, net or data set."
    for line in text.splitlines():
        screen.error(line)
