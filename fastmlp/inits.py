"""Distributions of first weights by their names. How each is drawn is in net.py."""

from __future__ import annotations

from typing import Any

from fastmlp.checks import one_of

INITS = ("glorot_uniform", "he_uniform", "lecun_uniform", "torch", "uniform")


def checked_init(init: Any) -> str:
    """The name of a distribution as it is. Raises ConfigError."""
    return one_of("init", init, INITS)
