"""Names of layers and models: ``dense``, ``dense_1``, ...; those of activations."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from fastmlp.checks import as_text, shown
from fastmlp.keras.checks import text
from fastmlp.keras.missing import missing

HIDDEN = {
    "relu": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "linear": "identity",
}  # and the engine's words
ACTIVATIONS = (*HIDDEN, "softmax")

_given: Counter[str] = Counter()


def name_or_next(kind: str, name: Any) -> str:
    """``name``, or the next one for a layer or model of that class. Raises ValueError."""
    if name is not None:
        return text("name", name)
    base = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()
    _given[base] += 1
    number = _given[base] - 1
    return f"{base}_{number}" if number else base


def activation_named(activation: Any) -> str:
    """One of ACTIVATIONS; ``linear`` for None. Raises MissingError."""
    if activation is None:
        return "linear"
    word = as_text(activation)
    if word in ACTIVATIONS:
        return str(word)
    told = getattr(activation, "__name__", None)  # of a function
    told = told if isinstance(told, str) else shown(activation)
    raise missing(f"activation {told}", f"it has {', '.join(map(repr, ACTIVATIONS))}, by their names")
