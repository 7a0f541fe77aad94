"""Functions that take a Training whole, or by its fields: ``fit(X, y, training)``, ``fit(X, y, lr=0.1)``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from fastmlp.checks import instance
from fastmlp.spec import WORDS, Training

_F = TypeVar("_F", bound=Callable[..., Any])


def takes_fields(function: _F, without: Collection[str] = (), by_data: Collection[str] = ()) -> _F:
    """Show the fields of a training, with their defaults, in the signature in place of ``**fields``.

    by_data: those whose default, None, depends on the data.
    """
    told = inspect.signature(function)
    *own, _ = told.parameters.values()
    names, training = {parameter.name for parameter in own}.union(without), Training()
    fields = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None if name in by_data else training.word(name)
        )
        for name in WORDS
        if name not in names
    ]
    function.__signature__ = told.replace(parameters=[*own, *fields])  # type: ignore[attr-defined]
    return function


def asked(training: Training | None, fields: dict[str, Any]) -> Training:
    """Return the training that is asked for. Raises ConfigError, and TypeError for what is no field."""
    return (Training() if training is None else instance("training", training, Training)).but(**fields)
