"""Architecture and Training: what a net is, and how it is trained. Frozen, hashable, JSON both ways.

Values are checked once, here, with every problem in one ConfigError. How fast a training runs
(threads, backend) is not part of it, because it does not change the result.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar

from fastmlp.errors import ConfigError

ACTIVATIONS = ("relu", "sigmoid", "tanh", "identity")
INITS = ("glorot_uniform", "he_uniform", "lecun_uniform", "torch", "uniform")
BACKENDS = ("numba", "numpy")
DRIVERS = ("team", "prange")

NUMERICS_REVISION = 2  # goes up whenever the same training may give other bytes

MOST_UNITS = 1_000_000  # in one layer
MOST_PARAMETERS = 2**31 - 1  # 8 GiB of float32
SMALLEST, LARGEST = 1e-30, 1e30  # what float32 holds as a positive factor, and its reciprocal too
KERAS2_CLIP = (1e-7, 1 - 1e-7)  # keras 2.0: keras/backend/common.py, _EPSILON


_T = TypeVar("_T")


def clip_bounds(loss: str) -> tuple[float, float] | None:
    """LO and HI of the loss's clip on the true class's probability; None for ``logits``.

    ``loss`` is ``logits``, ``keras2`` or ``clip:LO,HI``. Raises ConfigError.
    """
    if loss == "logits":
        return None
    if loss == "keras2":
        return KERAS2_CLIP
    name, _, bounds = str(loss).partition(":")
    try:
        low, high = (float(bound) for bound in bounds.split(","))
    except ValueError:
        low, high = math.nan, math.nan
    if name == "clip" and SMALLEST <= low < high <= 1:
        return low, high
    raise ConfigError(
        f"loss must be logits, keras2 or clip:LO,HI with {SMALLEST:g} <= LO < HI <= 1",
        repr(loss),
        "for example clip:1e-10,0.999999",
    )


def hidden_widths(hidden: int | str | Sequence[int] | None) -> tuple[int, ...]:
    """Widths of the hidden layers from ``100``, ``"128,64"``, ``(128, 64)``, ``"none"`` or None."""
    if hidden is None or (isinstance(hidden, str) and hidden.strip().lower() in ("none", "")):
        return ()
    parts: Sequence[Any]
    if hasattr(hidden, "tolist"):  # an array
        hidden = hidden.tolist()
    if isinstance(hidden, str):
        parts = [part.strip() for part in hidden.split(",")]
    elif isinstance(hidden, Sequence):
        parts = hidden
    else:
        parts = [hidden]
    try:
        widths = tuple(int(p) if isinstance(p, str) else _whole(p) for p in parts)
    except (TypeError, ValueError):
        widths = (0,)
    if not all(1 <= width <= MOST_UNITS for width in widths):
        raise ConfigError(
            f"hidden must be widths from 1 to {MOST_UNITS:,}, or none",
            repr(hidden),
            "for example 100, or 128,64 for two layers",
        )
    return widths


def whole_number(name: str, value: Any, low: int, high: int) -> int:
    """``value`` as an int in low..high; raises ConfigError."""
    try:
        number = _whole(value)
    except TypeError:
        number = low - 1
    if not low <= number <= high:
        raise ConfigError(f"{name} must be a whole number from {low:,} to {high:,}", repr(value))
    return number


def positive_number(name: str, value: Any, example: str) -> float:
    """``value`` as a float in SMALLEST..LARGEST; raises ConfigError."""
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not SMALLEST <= number <= LARGEST:
        raise ConfigError(
            f"{name} must be a finite number over 0 ({SMALLEST:g} to {LARGEST:g})",
            repr(value),
            f"use {example}",
        )
    return number


def one_of(name: str, value: Any, choices: Sequence[str]) -> str:
    """``value`` if it is one of the choices; raises ConfigError."""
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}", repr(value))
    return str(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


@dataclass(frozen=True)
class Architecture:
    """The shape of a net: D inputs, hidden widths, K classes, and the hidden activation.

    The output is always softmax over K >= 2 classes. Raises ConfigError.
    """

    inputs: int
    hidden: tuple[int, ...]
    classes: int
    act: str = "relu"

    def __post_init__(self) -> None:
        _normalise(
            self,
            inputs=lambda v: whole_number("inputs", v, 1, 2**31 - 1),
            hidden=hidden_widths,
            classes=lambda v: whole_number("classes", v, 2, MOST_UNITS),
            act=lambda v: one_of("act", v, ACTIVATIONS),
        )
        if self.n_parameters > MOST_PARAMETERS:
            raise ConfigError(
                f"a net must have at most {MOST_PARAMETERS:,} parameters",
                f"{self.n_parameters:,} for {self}",
                "use fewer hidden units",
            )

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(fan_in, fan_out) of each layer, the output layer last."""
        widths = (self.inputs, *self.hidden, self.classes)
        return tuple(itertools.pairwise(widths))

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in self.shapes)

    def __str__(self) -> str:
        return "-".join(str(width) for width in (self.inputs, *self.hidden, self.classes))

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return {**asdict(self), "hidden": list(self.hidden)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of ``to_json``. Raises ConfigError."""
        return _from_json(cls, data)


@dataclass(frozen=True)
class Training:
    """Everything that decides the result of a training, but the data.

    hidden:     widths of the hidden layers, () for softmax regression.
    act:        relu, sigmoid, tanh or identity, in every hidden layer.
    scale:      inputs are divided by it (255 for pixel bytes, 1 for none).
    center:     subtract the training mean of each input before that.
    init:       distribution of the first weights; see ``parameters.initialise``.
    lr, batch_size, epochs: plain SGD on the mean batch loss.
    seed:       of the first weights and of every epoch's permutation.
    loss:       logits, keras2 or clip:LO,HI; see ``clip_bounds``.

    Defaults are those of the Keras script in the question that started this project, on scaled
    pixels. Raises ConfigError with every problem at once.
    """

    hidden: tuple[int, ...] = (100,)
    act: str = "relu"
    scale: float = 255.0
    center: bool = False
    init: str = "glorot_uniform"
    lr: float = 0.01
    batch_size: int = 100
    epochs: int = 15
    seed: int = 0
    loss: str = "logits"

    def __post_init__(self) -> None:
        _normalise(
            self,
            hidden=hidden_widths,
            act=lambda v: one_of("act", v, ACTIVATIONS),
            scale=lambda v: positive_number(
                "scale", v, "255 for pixel bytes, 1 for data that is scaled already"
            ),
            center=bool,
            init=lambda v: one_of("init", v, INITS),
            lr=lambda v: positive_number("lr", v, "0.01"),
            batch_size=lambda v: whole_number("batch_size", v, 1, 2**31 - 1),
            epochs=lambda v: whole_number("epochs", v, 1, 10**9),
            seed=lambda v: whole_number("seed", v, 0, 2**63 - 1),
            loss=_checked_loss,
        )

    def architecture(self, inputs: int, classes: int) -> Architecture:
        """The net this trains on data with that many inputs and classes. Raises ConfigError."""
        return Architecture(inputs, self.hidden, classes, self.act)

    def __str__(self) -> str:
        hidden = ",".join(map(str, self.hidden)) or "none"
        center = ", centred" if self.center else ""
        epochs = f"{self.epochs} epoch{'s' * (self.epochs > 1)}"
        return (
            f"hidden {hidden}, {self.act}, scale {self.scale:g}{center}, {self.loss} loss, "
            f"lr {self.lr:g}, batch {self.batch_size}, {epochs}, {self.init}, seed {self.seed}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return {**asdict(self), "hidden": list(self.hidden)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of ``to_json``. Raises ConfigError."""
        return _from_json(cls, data)


def _checked_loss(loss: str) -> str:
    clip_bounds(loss)
    return str(loss)


def _normalise(config: Any, **checks: Callable[[Any], Any]) -> None:
    """Replace each field by what its check returns; raise all that the checks raised, together."""
    problems = []
    for name, check in checks.items():
        try:
            object.__setattr__(config, name, check(getattr(config, name)))
        except ConfigError as problem:
            problems.append(problem)
    if problems:
        raise ConfigError.collect(problems)


def _from_json(cls: type[_T], data: dict[str, Any]) -> _T:
    known = set(getattr(cls, "__dataclass_fields__", ()))
    if not isinstance(data, dict) or not set(data) <= known:
        raise ConfigError(
            f"{cls.__name__} must be an object with keys among {', '.join(sorted(known))}", data
        )
    try:
        return cls(**data)
    except TypeError as error:
        raise ConfigError(f"{cls.__name__} must have all its fields", str(error)) from None
