"""What options ask of the data, and of a tested model: checked, and in the form that the library takes.

The options themselves: options.py. Imported for ``--help``: nothing heavy may be loaded here.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastmlp.checks import one_of, shown
from fastmlp.errors import ConfigError
from fastmlp.words.losses import Loss

from .failures import AccuracyError
from .options import LISTS, TASKS


def source_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same with lists of names in place of texts. Raises ConfigError."""
    found = {name: names_in(name, value) if name in LISTS else value for name, value in given.items()}
    if "task" in found:
        one_of("task", found["task"], TASKS)
    return found


def names_in(option: str, texts: Sequence[str]) -> list[str]:
    """The names in texts like ``age,"height, cm"``. Raises ConfigError."""
    try:
        rows = list(csv.reader(texts, skipinitialspace=True, strict=True))
    except csv.Error:
        rows = [[]]
    names = [name.strip() for row in rows for name in row]
    if len(rows) != len(texts) or not all(names) or not names:
        raise ConfigError(
            f"{option.replace('_', '-')} must name columns, with commas between them",
            shown(texts[0] if len(texts) == 1 else texts),
            "write --drop age,city, and a name with a comma in double quotes",
        )
    return names


def checked_share(name: str, value: float | None) -> None:
    """Raise ConfigError unless it is None or 0..1."""
    if value is not None and not 0 <= value <= 1:
        raise ConfigError(f"{name} must be a number from 0 to 1", repr(value), "for example 0.9")


class Least(NamedTuple):
    """The least accuracy that the options ask of a tested model, or the least R2 of a regression."""

    accuracy: float | None
    r2: float | None

    def check(self, loss: str | None = None) -> None:
        """Raise ConfigError for what no model reaches, and for what one of this loss does not have."""
        checked_share("min-accuracy", self.accuracy)
        if self.r2 is not None and not self.r2 <= 1:
            raise ConfigError("min-r2 must be a number up to 1", repr(self.r2), "for example 0.8")
        if loss is None:
            return
        of_numbers = Loss.of(loss).task == "numbers"
        if (wrong := self.accuracy if of_numbers else self.r2) is not None:
            name, other = ("min-accuracy", "min-r2") if of_numbers else ("min-r2", "min-accuracy")
            raise ConfigError(f"{name} must be left out with {loss} loss", wrong, f"use --{other}")

    def demand(self, accuracy: float | None, r2: float | None) -> None:
        """Raise AccuracyError where one is under what is asked for."""
        for what, value, least in (("accuracy", accuracy, self.accuracy), ("R2", r2, self.r2)):
            if least is not None and not (value is not None and value >= least):
                got = "none" if value is None else f"{value:.4f}"
                raise AccuracyError(f"the test {what} must be at least {least:g}", got)
