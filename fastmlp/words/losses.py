"""Losses by their names: what a net's outputs mean, what its targets are, where a gradient is cut to zero.

The names are the user's; how each is computed is in the tables of reference/ and kernels/.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from fastmlp.checks import LARGEST, SMALLEST, as_text, parsed, share, shown
from fastmlp.errors import ConfigError

KERAS2_CLIP = (1e-7, 1 - 1e-7)  # keras 2.0: keras/backend/common.py, _EPSILON


class Word(NamedTuple):
    """A loss: what its targets and its outputs are.

    task:    of its targets: ``classes``, one of K or shares of all; ``binary``, K labels of 0 or 1, or
             between; ``numbers``, K of them.
    link:    from outputs to predictions: softmax, sigmoid, identity or exp.
    takes:   names of the numbers behind its colon; ``usual``: what they are without a colon, () for none.
    needed:  True where it has to have its numbers.
    outputs: the least number of them.
    capped:  True where minus a logarithm counts as no more than that of EPSILON, its number type's if none.
    """

    task: str
    link: str
    takes: tuple[str, ...] = ()
    usual: tuple[float, ...] = ()
    needed: bool = False
    outputs: int = 1
    capped: bool = False


_BOUNDS = ("LO", "HI")

LOSSES = {
    # -log of the true class's probability, p = softmax(z)
    "logits": Word("classes", "softmax", outputs=2),
    "keras2": Word("classes", "softmax", usual=KERAS2_CLIP, outputs=2),
    "clip": Word("classes", "softmax", _BOUNDS, needed=True, outputs=2),
    # mean over K outputs of -t log(p) - (1 - t) log(1 - p), p = sigmoid(z); Keras 2 clips p to KERAS2_CLIP
    "binary": Word("binary", "sigmoid", _BOUNDS),
    # logits, and K times binary: as in scikit-learn's MLPClassifier, which caps them; EPSILON: of X's type
    "log_loss": Word("classes", "softmax", ("EPSILON",), outputs=2, capped=True),
    "binary_log_loss": Word("binary", "sigmoid", ("EPSILON",), capped=True),
    # mean over K outputs of (z - y)^2, and the sum of half of it, as in scikit-learn's MLPRegressor
    "squared": Word("numbers", "identity"),
    "half_squared": Word("numbers", "identity"),
    # mean over K outputs of |z - y|
    "absolute": Word("numbers", "identity"),
    # of (z - y)^2 / 2 up to a distance of DELTA, DELTA (|z - y| - DELTA / 2) beyond it (Huber 1964)
    "huber": Word("numbers", "identity", ("DELTA",), (1.0,)),
    # of exp(z) - y z: outputs are logarithms of rates
    "poisson": Word("numbers", "exp"),
    # sum over K outputs of y log(y / exp(z)) - y + exp(z): poisson's in scikit-learn's MLPRegressor
    "half_deviance": Word("numbers", "exp"),
}


@dataclass(frozen=True)
class Loss:
    """A loss by its name and its numbers. ``Loss.of`` makes one of its text.

    label_smoothing: of ``classes`` and ``binary``: a target t counts as (1 - s) t + s / K, a label as
                     (1 - s) t + s / 2.
    """

    name: str
    numbers: tuple[float, ...] = ()
    label_smoothing: float = 0.0

    @classmethod
    def of(cls, loss: Any, label_smoothing: Any = 0.0) -> Self:
        """The loss that a text means, such as ``clip:1e-10,0.999999``. Raises ConfigError."""
        name, colon, text = (as_text(loss) or "").partition(":")
        word = LOSSES.get(name)
        numbers = None if word is None or (word.needed and not colon) else word.usual
        if word is not None and colon:
            numbers = parsed(text, *(float,) * len(word.takes))
            numbers = numbers if numbers and _is_right(*numbers) else None
            if word.capped and numbers and numbers[0] >= 1:
                numbers = None
        if numbers is None:
            raise ConfigError(
                f"loss must be {', '.join(map(form_of, LOSSES))}, with {SMALLEST:g} <= LO < HI <= 1, "
                "EPSILON below 1 and DELTA over 0",
                shown(loss),
                "for example clip:1e-10,0.999999",
            )
        smoothing = share("label_smoothing", label_smoothing, "0.1")
        if smoothing and LOSSES[name].task == "numbers":
            raise ConfigError(f"label_smoothing must be 0 with {name} loss, which has no labels", smoothing)
        return cls(name, numbers, smoothing)

    @property
    def word(self) -> Word:
        """Its entry of LOSSES."""
        return LOSSES[self.name]

    @property
    def task(self) -> str:
        """The kind of its targets: ``classes``, ``binary`` or ``numbers``."""
        return self.word.task

    @property
    def clip(self) -> tuple[float, float] | None:
        """LO and HI: where a probability is outside, there is no gradient. None without a clip."""
        low, *high = self.numbers or (0.0,)
        return (low, high[0]) if high else None

    def most(self, epsilon: float) -> float:
        """The most that minus a logarithm of a probability counts, in numbers of that epsilon."""
        return -math.log(*(self.numbers or (epsilon,))) if self.word.capped else math.inf

    def labels(self, K: int) -> int:
        """The answers of a sample of K outputs: all of them, or one."""
        return K if self.task == "binary" else 1


def form_of(name: str) -> str:
    """A loss as its text is written: ``clip:LO,HI``, ``huber[:DELTA]``."""
    word = LOSSES[name]
    numbers = f":{','.join(word.takes)}" if word.takes else ""
    return name + (numbers if word.needed or not numbers else f"[{numbers}]")


def _is_right(low: float, high: float | None = None) -> bool:
    """True of a DELTA, or of LO and HI."""
    return SMALLEST <= low <= LARGEST if high is None else SMALLEST <= low < high <= 1


def clip_bounds(loss: str) -> tuple[float, float] | None:
    """LO and HI of a loss's clip on probabilities; None where it has none. Raises ConfigError."""
    return Loss.of(loss).clip


def checked_loss(loss: Any, *tasks: str) -> str:
    """Return a loss's text as it is; of one of these tasks, if any are named. Raises ConfigError."""
    found, text = Loss.of(loss), as_text(loss) or ""
    if tasks and found.task not in tasks:
        names = [form_of(name) for name, word in LOSSES.items() if word.task in tasks]
        raise ConfigError(f"loss must be {', '.join(names)}", shown(text), f"for example {names[0]}")
    return text
