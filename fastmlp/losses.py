"""Losses by their names: what a net's outputs mean, and where the gradient is cut to zero.

The names are the user's; how each is computed is in the tables of reference/ and kernels/losses.py.
"""

from __future__ import annotations

import math

from fastmlp.checks import SMALLEST, as_text, parsed, shown
from fastmlp.errors import ConfigError

KERAS2_CLIP = (1e-7, 1 - 1e-7)  # keras 2.0: keras/backend/common.py, _EPSILON


def clip_bounds(loss: str) -> tuple[float, float] | None:
    """LO and HI of the loss's clip on the true class's probability; None for ``logits``.

    ``loss`` is ``logits``, ``keras2`` or ``clip:LO,HI``. Raises ConfigError.
    """
    text = as_text(loss) or ""
    if text == "logits":
        return None
    if text == "keras2":
        return KERAS2_CLIP
    name, _, bounds = text.partition(":")
    low, high = parsed(bounds, float, float) or (math.nan, math.nan)
    if name == "clip" and SMALLEST <= low < high <= 1:
        return low, high
    raise ConfigError(
        f"loss must be logits, keras2 or clip:LO,HI with {SMALLEST:g} <= LO < HI <= 1",
        shown(loss),
        "for example clip:1e-10,0.999999",
    )


def checked_loss(loss: str) -> str:
    """Return a loss's name as it is. Raises ConfigError."""
    clip_bounds(loss)
    return as_text(loss) or ""
