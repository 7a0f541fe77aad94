"""Distributions of first weights by their names, and their numbers. How each is drawn: drawing.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastmlp.checks import LARGEST, SMALLEST, as_text, parsed, shown
from fastmlp.errors import ConfigError

# By name: the numbers behind its colon, as they are where none are given.
INITS: dict[str, tuple[float, ...]] = {
    "glorot_uniform": (),
    "glorot_normal": (),
    "he_uniform": (),
    "he_normal": (),
    "lecun_uniform": (),
    "lecun_normal": (),
    "xavier_normal": (),
    "kaiming_normal": (),
    "torch": (),
    "orthogonal": (1.0,),
    "uniform": (-1.0, 1.0),
    "normal": (0.0, 0.05),  # as the next, Keras'
    "truncated_normal": (0.0, 0.05),
    "zeros": (),
    "ones": (),
    "constant": (0.0,),
}

# Of those that take numbers: how that is written, and which are good.
_NUMBERED: dict[str, tuple[str, Callable[..., bool]]] = {
    "orthogonal": ("orthogonal:GAIN, the gain over 0", lambda gain: gain >= SMALLEST),
    "uniform": ("uniform:FROM,TO, the first the smaller one", lambda low, high: low < high),
    "normal": ("normal:MEAN,SD, the standard deviation over 0", lambda _, sd: sd >= SMALLEST),
    "truncated_normal": (
        "truncated_normal:MEAN,SD, the standard deviation over 0",
        lambda _, sd: sd >= SMALLEST,
    ),
    "constant": ("constant:NUMBER", lambda _: True),
}


def parts_of(init: str) -> tuple[str, tuple[float, ...]]:
    """The name of a checked distribution, and its numbers."""
    name, _, text = init.partition(":")
    return name, tuple(map(float, text.split(","))) if text else INITS[name]


def checked_init(init: Any) -> str:
    """``he_normal``, or with numbers of its own ``uniform:-0.05,0.05``. Raises ConfigError."""
    name, colon, text = (as_text(init) or "").partition(":")
    if name not in INITS or (colon and name not in _NUMBERED):
        raise ConfigError(
            f"init must be one of {', '.join(INITS)}; {', '.join(_NUMBERED)} may have numbers behind a colon",
            shown(init),
            "for example uniform:-0.05,0.05",
        )
    if not colon:
        return name
    (form, are_good), usual = _NUMBERED[name], INITS[name]
    numbers = parsed(text, *[float] * len(usual))
    if numbers is None or not all(abs(n) <= LARGEST for n in numbers) or not are_good(*numbers):
        example = ",".join(f"{n:g}" for n in usual)
        raise ConfigError(f"init must be {form}", shown(init), f"for example {name}:{example}")
    return name if numbers == usual else f"{name}:{','.join(map(repr, numbers))}"
