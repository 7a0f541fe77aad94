"""Activations by their names, with the number that some of them take.

============ =========================================== ================================================
word         a of z                                      after
============ =========================================== ================================================
relu         max(z, 0)                                   Nair and Hinton 2010
leaky_relu   z over 0, else SLOPE z                      Maas et al. 2013
elu          z over 0, else ALPHA (exp(z) - 1)           Clevert et al. 2016
selu         1.0507 z over 0, else 1.7581 (exp(z) - 1)   Klambauer et al. 2017
gelu         z Phi(z), Phi the normal distribution's     Hendrycks and Gimpel 2016
gelu_tanh    z (1 + tanh(0.7979 (z + 0.044715 z^3))) / 2 the same; PyTorch's and Keras' approximate GELU
silu         z sigmoid(z)                                Elfwing et al. 2018; also called swish
softplus     log(1 + exp(z))                             Dugas et al. 2001
sigmoid      1 / (1 + exp(-z))
hard_sigmoid SLOPE z + 1/2, cut off at 0 and 1           PyTorch's and Keras 3's; Keras 2 has a slope of 0.2
tanh         tanh(z)
identity     z
============ =========================================== ================================================

The names are the user's; how each is computed is in the tables of reference/ and kernels/.
"""

from __future__ import annotations

import math
from typing import Any

from fastmlp.checks import LARGEST, as_float, as_text, shown
from fastmlp.errors import ConfigError

# By name: its number where none is given, or None where it takes none.
ACTIVATIONS: dict[str, float | None] = {
    "relu": None,
    "leaky_relu": 0.01,  # the slope below 0
    "elu": 1.0,  # the depth far below 0
    "selu": None,
    "gelu": None,
    "gelu_tanh": None,
    "silu": None,
    "softplus": None,
    "sigmoid": None,
    "hard_sigmoid": 1 / 6,  # the slope at 0
    "tanh": None,
    "identity": None,
}


def parts_of(act: str) -> tuple[str, float]:
    """The name of a checked activation and its number; nan where it takes none."""
    name, _, text = act.partition(":")
    number = float(text) if text else ACTIVATIONS[name]
    return name, math.nan if number is None else number


def checked_act(act: Any) -> str:
    """``leaky_relu``, or ``leaky_relu:0.2`` with another number than its own. Raises ConfigError."""
    name, colon, text = (as_text(act) or "").partition(":")
    usual = ACTIVATIONS.get(name)
    if name not in ACTIVATIONS or (colon and usual is None):
        numbered = ", ".join(each for each, number in ACTIVATIONS.items() if number)
        raise ConfigError(
            f"act must be one of {', '.join(ACTIVATIONS)}; {numbered} may have a number behind a colon",
            shown(act),
            "for example leaky_relu:0.2",
        )
    if not colon:
        return name
    try:
        number = as_float(float(text))
    except ValueError:
        number = math.nan
    if not 0 < number <= LARGEST:
        raise ConfigError(f"the number of {name} must be over 0", shown(act), f"for example {name}:{usual:g}")
    return name if number == usual else f"{name}:{number!r}"
