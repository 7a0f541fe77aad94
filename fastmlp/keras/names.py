"""Names of layers and models: ``dense``, ``dense_1``, ...; those of activations."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from fastmlp.keras.missing import missing

HIDDEN = {
    "relu": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "linear": "identity",
}  # and the engine's words
ACTIVATIONS = (*HIDDEN, "softmax")

_given: Counter[str] = Counter()


def named(kind: str, name: Any) -> str:
    """``name``, or the next one for a layer or model of that class. Raises ValueError."""
    if name is not None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"name must be a text that is not empty; got {name!r}")
        return name
    base = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()
    _given[base] += 1
    number = _given[base] - 1
    return f"{base}_{number}" if number else base


def activation_named(activation: Any) -> str:
    """One of ACTIVATIONS; ``linear`` for None. Raises MissingError."""
    if activation is None:
        return "linear"
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return activation
    named = repr(activation) if isinstance(activation, str) else getattr(activation, "__name__", activation)
    raise missing(f"activation {named}", f"it has {', '.join(map(repr, ACTIVATIONS))}, by their names")
