"""Errors for what this facade does not have: they name it, and point to Keras itself."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Mapping
from typing import Any

from fastmlp.errors import FastMLPError


class MissingError(FastMLPError, NotImplementedError):
    """A word of Keras' that this facade does not have."""


class MissingNameError(MissingError, AttributeError):
    """A name that a module lacks: ``hasattr`` is False, and pickle, which asks all modules, goes on."""


def missing(what: str, instead: str, error: type[MissingError] = MissingError) -> MissingError:
    """The error that says so. ``instead``: what there is ("it has ...")."""
    return error(f"fastmlp.keras has no {what}: {instead}", do="use Keras itself for more")


def refuse(where: str, options: Mapping[str, Any], allowed: Mapping[str, Any]) -> None:
    """Raise for options that are given. ``allowed``: those of Keras, with the values that change nothing.

    Raises MissingError, and TypeError for a word that Keras does not have either.
    """
    for name, value in options.items():
        if name not in allowed:
            raise TypeError(f"{where} has no argument {name!r}")
        if value is not None and not (simple(value) and value == allowed[name]):
            raise missing(f"{name} in {where}", "leave it out")


def simple(value: Any) -> bool:
    """True for a value whose == with another such value is True or False."""
    return isinstance(value, bool | int | float | str)


def unknown_names(module: str, kind: str, known: tuple[str, ...]) -> Callable[[str], Any]:
    """A ``__getattr__`` for that module: names it lacks are missing, each as one more ``kind``."""

    def attribute(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        caller = sys._getframe(1)
        imports = caller.f_code.co_code[caller.f_lasti] == _IMPORT_FROM
        error = (
            MissingError if imports else MissingNameError
        )  # of AttributeError, ``from`` tells the name alone
        raise missing(f"{kind} {name}", f"{module} has {', '.join(known)}", error)

    return attribute


_IMPORT_FROM = dis.opmap["IMPORT_FROM"]
