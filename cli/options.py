"""Options that several commands share, and how wrong values of several options become one error.

Imported for ``--help``: nothing heavy may be loaded here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from fastmlp.config import BACKENDS, DRIVERS
from fastmlp.errors import ConfigError

from .failures import AccuracyError

DATA, SPEED, OUTPUT = "Data", "Speed (never changes the result)", "Output"


def completes(*choices: str) -> Callable[[str], list[str]]:
    """Shell completion from a fixed list."""
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]


TestData = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Test on this file or folder; else on the data's test part, or on a sixth held out.",
        rich_help_panel=DATA,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|INDEX",
        help="Label column of a CSV. Default: the column 'label', else the first.",
        rich_help_panel=DATA,
    ),
]
Threads = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        help="Threads; auto is one a core, or fewer where those are faster.",
        rich_help_panel=SPEED,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        metavar="|".join(BACKENDS),
        help="Compiled kernels, or the readable reference.",
        autocompletion=completes(*BACKENDS),
        rich_help_panel=SPEED,
    ),
]
Driver = Annotated[
    str,
    typer.Option(
        metavar="|".join(DRIVERS),
        help="Threads of fastmlp's own, or Numba's parallel loops.",
        autocompletion=completes(*DRIVERS),
        rich_help_panel=SPEED,
    ),
]
MinAccuracy = Annotated[
    float | None,
    typer.Option(metavar="A", help="Exit with 5 if the test accuracy is under A.", rich_help_panel=OUTPUT),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=OUTPUT)
]
ModelPath = Annotated[str, typer.Argument(metavar="MODEL", help="A run folder, or its model.safetensors.")]


def checked(*checks: Callable[[], Any]) -> list[Any]:
    """What the checks return; one ConfigError with everything that any of them found wrong."""
    results, problems = [], []
    for check in checks:
        try:
            results.append(check())
        except ConfigError as problem:
            problems.append(problem)
    if problems:
        raise ConfigError.collect(problems)
    return results


def checked_share(name: str, value: float | None) -> None:
    """Raises ConfigError unless it is None or 0..1."""
    if value is not None and not 0 <= value <= 1:
        raise ConfigError(f"{name} must be a number from 0 to 1", repr(value), "for example 0.9")


def demand(accuracy: float, least: float | None) -> None:
    """Raises AccuracyError where an accuracy is under what ``--min-accuracy`` asks for."""
    if least is not None and not accuracy >= least:
        raise AccuracyError(f"the test accuracy must be at least {least:g}", f"{accuracy:.4f}")
