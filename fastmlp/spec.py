"""Architecture and Training: what a net is, and how it is trained. Frozen, hashable, JSON both ways.

Values are checked once, here, with every problem in one ConfigError. How fast a training runs
(threads, backend) is not part of it, because it does not change the result.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar

from fastmlp.checks import (
    LARGEST,
    SMALLEST,
    as_float,
    as_list,
    as_text,
    as_whole,
    flag,
    not_negative,
    one_of,
    positive_number,
    share,
    shown,
    whole_number,
)
from fastmlp.errors import ConfigError

ACTIVATIONS = ("relu", "sigmoid", "tanh", "identity")
OPTIMIZERS = ("sgd", "adam")
INITS = ("glorot_uniform", "he_uniform", "lecun_uniform", "torch", "uniform")
BACKENDS = ("numba", "numpy")
DRIVERS = ("team", "prange")

NUMERICS_REVISION = 3  # goes up whenever the same training may give other bytes

CHECKPOINT_SECONDS = 10.0  # between two checkpoints within an epoch

MOST_UNITS = 1_000_000  # in one layer
MOST_PARAMETERS = 2**31 - 1  # 8 GiB of float32
KERAS2_CLIP = (1e-7, 1 - 1e-7)  # keras 2.0: keras/backend/common.py, _EPSILON


_T = TypeVar("_T")


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
    low, high = _parsed(bounds, float, float) or (math.nan, math.nan)
    if name == "clip" and SMALLEST <= low < high <= 1:
        return low, high
    raise ConfigError(
        f"loss must be logits, keras2 or clip:LO,HI with {SMALLEST:g} <= LO < HI <= 1",
        shown(loss),
        "for example clip:1e-10,0.999999",
    )


def _numbers(text: str) -> tuple[float, ...]:
    """The numbers that stand between commas; none where one of them is no number."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        return ()


def hidden_widths(hidden: int | str | Sequence[int] | None) -> tuple[int, ...]:
    """Widths of the hidden layers from ``100``, ``"128,64"``, ``(128, 64)``, ``"none"`` or None."""
    text = as_text(hidden)
    if hidden is None or (text is not None and text.strip().lower() in ("none", "")):
        return ()
    items = as_list(hidden) if text is None else text.split(",")
    widths = tuple(_width(item) for item in ([hidden] if items is None else items))
    if not all(1 <= width <= MOST_UNITS for width in widths):
        raise ConfigError(
            f"hidden must be widths from 1 to {MOST_UNITS:,}, or none",
            shown(hidden),
            "for example 100, or 128,64 for two layers",
        )
    return widths


def _width(item: Any) -> int:
    """The width that a number or its digits mean; 0 for none."""
    if isinstance(item, str):
        return int(item) if item.strip().isdecimal() and len(item) < 20 else 0
    return as_whole(item) or 0


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
class Optimizer:
    """How a gradient g of the mean batch loss becomes a step on the parameters w.

    name:         ``sgd`` or ``adam``.
    momentum:     of sgd: v = momentum v + g, and w -= lr v (0: w -= lr g).
    nesterov:     w -= lr (g + momentum v) instead.
    beta1, beta2, epsilon: of adam: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, and in step t
                  w -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + epsilon). Kingma and Ba 2015.
    weight_decay: weight_decay w is added to every g, biases too, as PyTorch does.
    alpha:        alpha w / B is added to the weights' g alone, B samples in the batch, as scikit-learn does.
    epsilon_hat:  of adam: epsilon is added to sqrt(v) before its correction, as Keras and scikit-learn do:
                  w -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon).

    Else these are the steps of torch.optim.SGD (without dampening) and torch.optim.Adam. Raises ConfigError.
    """

    name: str = "sgd"
    momentum: float = 0.0
    nesterov: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    alpha: float = 0.0
    epsilon_hat: bool = False

    def __post_init__(self) -> None:
        _normalise(
            self,
            name=lambda v: one_of("optimizer", v, OPTIMIZERS),
            alpha=lambda v: not_negative("alpha", v, "0.0001"),
            epsilon_hat=lambda v: flag("epsilon_hat", v),
            **_STEP_CHECKS,
        )
        _check_optimizer(self.name, self.momentum, self.nesterov)

    @property
    def plain(self) -> bool:
        """Whether a step is w -= lr g and nothing else."""
        return self.name == "sgd" and not (self.momentum or self.weight_decay or self.alpha)

    @property
    def moments(self) -> int:
        """Running averages that it keeps of every parameter."""
        return 2 if self.name == "adam" else int(self.momentum > 0)


@dataclass(frozen=True)
class Training:
    """Everything that decides the result of a training, but the data.

    hidden:     widths of the hidden layers, () for softmax regression.
    act:        relu, sigmoid, tanh or identity, in every hidden layer.
    scale:      inputs are divided by it (255 for pixel bytes, 1 for none).
    center:     subtract the training mean of each input before that.
    init:       distribution of the first weights; see ``parameters.initialise``.
    lr, batch_size, epochs: steps on the mean batch loss.
    seed:       of the first weights, of every epoch's permutation and of the rows held out.
    loss:       logits, keras2 or clip:LO,HI; see ``clip_bounds``.
    optimizer, momentum, nesterov, beta1, beta2, epsilon, weight_decay: see ``Optimizer``.
    schedule:   of the learning rate by epoch: constant, cosine or step:EVERY,FACTOR; see ``lr_at``.
    validation: share of the training rows that is held out and evaluated after every epoch.
    patience:   training stops after so many epochs without a lower validation loss, and the weights
                of the best epoch are restored; 0: never.
    class_weight: how much each class counts in the mean loss, in their order; ``balanced``: N / (K N_k);
                None: all the same.

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
    optimizer: str = "sgd"
    momentum: float = 0.0
    nesterov: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    schedule: str = "constant"
    validation: float = 0.0
    patience: int = 0
    class_weight: str | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _normalise(
            self,
            hidden=hidden_widths,
            act=lambda v: one_of("act", v, ACTIVATIONS),
            scale=lambda v: positive_number(
                "scale", v, "255 for pixel bytes, 1 for data that is scaled already"
            ),
            center=lambda v: flag("center", v),
            init=lambda v: one_of("init", v, INITS),
            lr=lambda v: positive_number("lr", v, "0.01"),
            batch_size=lambda v: whole_number("batch_size", v, 1, 2**31 - 1),
            epochs=lambda v: whole_number("epochs", v, 1, 10**9),
            seed=lambda v: whole_number("seed", v, 0, 2**63 - 1),
            loss=_checked_loss,
            optimizer=lambda v: one_of("optimizer", v, OPTIMIZERS),
            schedule=_checked_schedule,
            validation=lambda v: share("validation", v, "0.1"),
            patience=lambda v: whole_number("patience", v, 0, 10**9),
            class_weight=_checked_class_weight,
            **_STEP_CHECKS,
        )
        _check_optimizer(self.optimizer, self.momentum, self.nesterov)
        if self.patience and not self.validation:
            raise ConfigError(
                "patience must come with rows held out", "validation 0", "for example validation 0.1"
            )

    def steps(self) -> Optimizer:
        """How this takes its steps."""
        return Optimizer(
            self.optimizer, self.momentum, self.nesterov, self.beta1, self.beta2, self.epsilon,
            self.weight_decay,
        )  # fmt: skip

    def lr_at(self, epoch: int) -> float:
        """The learning rate of an epoch, from 1.

        cosine: lr (1 + cos(pi (epoch - 1) / epochs)) / 2; step:EVERY,FACTOR: lr times FACTOR after every
        EVERY epochs. As torch.optim's CosineAnnealingLR over all epochs and StepLR, stepped by epoch.
        """
        if self.schedule == "constant":
            return self.lr
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * (epoch - 1) / self.epochs)) / 2
        every, factor = _step_schedule(self.schedule)
        return max(self.lr * factor ** ((epoch - 1) // every), SMALLEST)

    def architecture(self, inputs: int, classes: int) -> Architecture:
        """The net this trains on data with that many inputs and classes. Raises ConfigError."""
        return Architecture(inputs, self.hidden, classes, self.act)

    def __str__(self) -> str:
        hidden = ",".join(map(str, self.hidden)) or "none"
        center = ", centred" if self.center else ""
        epochs = f"{self.epochs} epoch{'s' * (self.epochs > 1)}"
        return (
            f"hidden {hidden}, {self.act}, scale {self.scale:g}{center}, {self.loss} loss, "
            f"{self._steps_in_words()}, batch {self.batch_size}, {epochs}, {self.init}, seed {self.seed}"
        )

    def _steps_in_words(self) -> str:
        """What is not as in plain SGD at a constant rate is named."""
        words = [f"lr {self.lr:g}" if self.optimizer == "sgd" else f"{self.optimizer} with lr {self.lr:g}"]
        if self.momentum:
            words.append(f"{'Nesterov ' * self.nesterov}momentum {self.momentum:g}")
        if self.weight_decay:
            words.append(f"weight decay {self.weight_decay:g}")
        if self.schedule != "constant":
            words.append(f"{self.schedule} schedule")
        if self.validation:
            words.append(f"{self.validation:g} held out")
        if self.patience:
            words.append(f"patience {self.patience}")
        if self.class_weight is not None:
            words.append("weighted classes")
        return ", ".join(words)

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        weights = list(self.class_weight) if isinstance(self.class_weight, tuple) else self.class_weight
        return {**asdict(self), "hidden": list(self.hidden), "class_weight": weights}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of ``to_json``. Raises ConfigError."""
        return _from_json(cls, data)


def _checked_loss(loss: str) -> str:
    clip_bounds(loss)
    return as_text(loss) or ""


def _check_optimizer(name: str, momentum: float, nesterov: bool) -> None:
    if momentum and name != "sgd":
        raise ConfigError("momentum must come with sgd", f"{name} with momentum {momentum:g}", "use beta1")
    if nesterov and not momentum:
        raise ConfigError("nesterov must come with a momentum", "momentum 0", "for example momentum 0.9")


def _step_schedule(schedule: str) -> tuple[int, float]:
    """EVERY and FACTOR of step:EVERY,FACTOR; 0 and 0 of all else."""
    name, _, text = schedule.partition(":")
    return (_parsed(text, int, float) if name == "step" else None) or (0, 0.0)


def _parsed(text: str, *kinds: Callable[[str], Any]) -> Any:
    """What the pieces between commas mean, one of each kind; None for any other text."""
    try:
        return tuple(kind(piece) for kind, piece in zip(kinds, text.split(","), strict=True))
    except ValueError:  # Python's limit of digits too
        return None


def _checked_schedule(schedule: Any) -> str:
    name = (as_text(schedule) or "").replace(" ", "")
    if name in ("constant", "cosine"):
        return name
    every, factor = _step_schedule(name)
    if not (1 <= every <= 10**9 and SMALLEST <= factor <= 1):
        raise ConfigError(
            "schedule must be constant, cosine or step:EVERY,FACTOR, EVERY from 1 epoch and FACTOR up to 1",
            shown(schedule),
            "for example step:5,0.1",
        )
    return name


def _checked_class_weight(weights: Any) -> str | tuple[float, ...] | None:
    if weights is None or as_text(weights) == "balanced":
        return as_text(weights)
    text = as_text(weights)
    numbers = tuple(map(as_float, as_list(weights) or ())) if text is None else _numbers(text)
    if not all(0 <= n <= LARGEST for n in numbers) or not any(numbers):
        raise ConfigError(
            "class_weight must be balanced, or a number from 0 for each class, not all of them 0",
            shown(weights),
            "for example balanced",
        )
    return numbers


_STEP_CHECKS: dict[str, Callable[[Any], Any]] = {
    "momentum": lambda v: share("momentum", v, "0.9"),
    "nesterov": lambda v: flag("nesterov", v),
    "beta1": lambda v: share("beta1", v, "0.9"),
    "beta2": lambda v: share("beta2", v, "0.999"),
    "epsilon": lambda v: positive_number("epsilon", v, "1e-8"),
    "weight_decay": lambda v: not_negative("weight_decay", v, "0.0001"),
}


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
            f"{cls.__name__} must be an object with keys among {', '.join(sorted(known))}", shown(data)
        )
    try:
        return cls(**data)
    except TypeError as error:
        raise ConfigError(f"{cls.__name__} must have all its fields", str(error)) from None


PLAIN = Optimizer()
