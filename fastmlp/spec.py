"""Layer, Architecture and Training: what a net is, and how it is trained. Frozen, hashable, JSON both ways.

Values are checked once, here, with every problem in one ConfigError. How fast a training runs
(threads, backend) is not part of it, because it does not change the result.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from fastmlp import optimizers
from fastmlp.checks import (
    LARGEST,
    SMALLEST,
    as_float,
    as_list,
    as_text,
    as_whole,
    check_fields,
    flag,
    one_of,
    parsed,
    positive_number,
    share,
    shown,
    whole_number,
)
from fastmlp.errors import ConfigError
from fastmlp.losses import checked_loss
from fastmlp.optimizers import Optimizer

# Each has an entry in the tables of both backends.
ACTIVATIONS = ("relu", "sigmoid", "tanh", "identity", "leaky_relu")
INITS = ("glorot_uniform", "he_uniform", "lecun_uniform", "torch", "uniform")
BACKENDS = ("numba", "numpy")
DRIVERS = ("team", "prange")

NUMERICS_REVISION = 3  # goes up whenever the same training may give other bytes

CHECKPOINT_SECONDS = 10.0  # between two checkpoints within an epoch

MOST_UNITS = 1_000_000  # in one layer
MOST_PARAMETERS = 2**31 - 1  # 8 GiB of float32


@dataclass(frozen=True)
class Layer:
    """A hidden layer: ``width`` units, each with the activation ``act``. Raises ConfigError."""

    width: int
    act: str = "relu"

    def __post_init__(self) -> None:
        check_fields(
            self,
            width=lambda v: whole_number("width", v, 1, MOST_UNITS),
            act=lambda v: one_of("act", v, ACTIVATIONS),
        )


Hidden = int | str | Layer | Sequence[int | Layer] | None
Act = str | Sequence[str]


def layers_of(hidden: Hidden, act: Act = "relu") -> tuple[Layer, ...]:
    """Return the hidden layers that the short form means. Raises ConfigError.

    hidden: ``100``, ``"128,64"``, ``(128, 64)``, ``"none"`` or None; Layers may stand among the widths.
    act: the activation of all widths, or one for each hidden layer. A Layer has its own.
    """
    return _layers(_checked_hidden(hidden), _checked_act(act))


def _layers(items: Sequence[int | Layer], act: str | tuple[str, ...]) -> tuple[Layer, ...]:
    acts = (act,) * len(items) if isinstance(act, str) else act
    if len(acts) != len(items):
        raise ConfigError(
            f"act must be one name, or one for each of {len(items)} hidden layers",
            shown(act),
            "for example relu",
        )
    return tuple(
        item if isinstance(item, Layer) else Layer(item, name) for item, name in zip(items, acts, strict=True)
    )


def _checked_hidden(hidden: Any) -> tuple[int | Layer, ...]:
    text = as_text(hidden)
    if hidden is None or (text is not None and text.strip().lower() in ("none", "")):
        return ()
    items = as_list(hidden) if text is None else text.split(",")
    found = tuple(_width(item) for item in ([hidden] if items is None else items))
    if not all(isinstance(item, Layer) or 1 <= item <= MOST_UNITS for item in found):
        raise ConfigError(
            f"hidden must be widths from 1 to {MOST_UNITS:,}, or none",
            shown(hidden),
            "for example 100, or 128,64 for two layers",
        )
    return found


def _width(item: Any) -> int | Layer:
    """The width that a number or its digits mean; 0 for none."""
    if isinstance(item, Layer):
        return item
    if isinstance(item, str):
        return int(item) if item.strip().isdecimal() and len(item) < 20 else 0
    return as_whole(item) or 0


def _checked_act(act: Any) -> str | tuple[str, ...]:
    text = as_text(act)
    names = as_list(act) if text is None else text.split(",")
    if names is None or len(names) < 2:
        return one_of("act", names[0] if names and text is None else act, ACTIVATIONS)
    return tuple(
        one_of("act", name.strip() if isinstance(name, str) else name, ACTIVATIONS) for name in names
    )


def act_text(act: Act) -> str:
    """Return activations as an option has them: ``relu``, or ``relu,tanh``."""
    names = [act] if isinstance(act, str) else act
    return ",".join(names[:1] if len(set(names)) == 1 else names)


def _compact(acts: Sequence[str]) -> str | tuple[str, ...]:
    """One name where all are the same."""
    return acts[0] if len(set(acts)) == 1 else tuple(acts)


@dataclass(frozen=True)
class Architecture:
    """The shape of a net: D inputs, its hidden layers, and K outputs. Raises ConfigError.

    layers: each a Layer, or a width, which means ReLU units; see ``layers_of`` for the short form.
    """

    inputs: int
    layers: tuple[Layer, ...]
    outputs: int

    def __post_init__(self) -> None:
        check_fields(
            self,
            inputs=lambda v: whole_number("inputs", v, 1, 2**31 - 1),
            layers=layers_of,
            outputs=lambda v: whole_number("outputs", v, 1, MOST_UNITS),
        )
        if self.n_parameters > MOST_PARAMETERS:
            raise ConfigError(
                f"a net must have at most {MOST_PARAMETERS:,} parameters",
                f"{self.n_parameters:,} for {self}",
                "use fewer hidden units",
            )

    @property
    def hidden(self) -> tuple[int, ...]:
        """The widths of the hidden layers."""
        return tuple(layer.width for layer in self.layers)

    @property
    def acts(self) -> tuple[str, ...]:
        """The activations of the hidden layers."""
        return tuple(layer.act for layer in self.layers)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(fan_in, fan_out) of each layer, the output layer last."""
        widths = (self.inputs, *self.hidden, self.outputs)
        return tuple(itertools.pairwise(widths))

    @property
    def n_parameters(self) -> int:
        """The number of weights and biases."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in self.shapes)

    def __str__(self) -> str:
        return "-".join(str(width) for width in (self.inputs, *self.hidden, self.outputs))

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump: inputs, hidden (widths), classes (outputs), act (one, or one a layer)."""
        acts = _compact(self.acts or ("relu",))
        act = acts if isinstance(acts, str) else list(acts)
        return {"inputs": self.inputs, "hidden": list(self.hidden), "classes": self.outputs, "act": act}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of ``to_json``. Raises ConfigError."""
        known = ("inputs", "hidden", "classes", "act")
        if not isinstance(data, dict) or set(data) != set(known):
            raise ConfigError(f"an architecture must be an object with keys {', '.join(known)}", shown(data))
        return cls(data["inputs"], layers_of(data["hidden"], data["act"]), data["classes"])


@dataclass(frozen=True)
class Training:
    """Everything that decides the result of a training, but the data.

    hidden:     widths of the hidden layers, () for softmax regression. Layers are taken too, and then their
                activations are ``act``.
    act:        relu, sigmoid, tanh, identity or leaky_relu (slope 0.01, as PyTorch's): of every hidden layer,
                or one for each.
    scale:      inputs are divided by it (255 for pixel bytes, 1 for none).
    center:     subtract the training mean of each input before that.
    init:       distribution of the first weights; see ``initialise``.
    lr, batch_size, epochs: steps on the mean batch loss.
    seed:       of the first weights, of every epoch's permutation and of the rows held out.
    loss:       logits, keras2 or clip:LO,HI; see ``clip_bounds``.
    optimizer:  how a step is taken; a name alone is that optimizer with its defaults.
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
    act: str | tuple[str, ...] = "relu"
    scale: float = 255.0
    center: bool = False
    init: str = "glorot_uniform"
    lr: float = 0.01
    batch_size: int = 100
    epochs: int = 15
    seed: int = 0
    loss: str = "logits"
    optimizer: Optimizer = optimizers.PLAIN
    schedule: str = "constant"
    validation: float = 0.0
    patience: int = 0
    class_weight: str | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        check_fields(
            self,
            hidden=_checked_hidden,
            act=_checked_act,
            scale=lambda v: positive_number(
                "scale", v, "255 for pixel bytes, 1 for data that is scaled already"
            ),
            center=lambda v: flag("center", v),
            init=lambda v: one_of("init", v, INITS),
            lr=lambda v: positive_number("lr", v, "0.01"),
            batch_size=lambda v: whole_number("batch_size", v, 1, 2**31 - 1),
            epochs=lambda v: whole_number("epochs", v, 1, 10**9),
            seed=lambda v: whole_number("seed", v, 0, 2**63 - 1),
            loss=checked_loss,
            optimizer=lambda v: v if isinstance(v, Optimizer) else Optimizer(v),
            schedule=_checked_schedule,
            validation=lambda v: share("validation", v, "0.1"),
            patience=lambda v: whole_number("patience", v, 0, 10**9),
            class_weight=_checked_class_weight,
        )
        layers = _layers(self.hidden, self.act)
        object.__setattr__(self, "hidden", tuple(layer.width for layer in layers))
        if layers:
            object.__setattr__(self, "act", _compact([layer.act for layer in layers]))
        if self.patience and not self.validation:
            raise ConfigError(
                "patience must come with rows held out", "validation 0", "for example validation 0.1"
            )

    @classmethod
    def of(cls, **words: Any) -> Self:
        """Make a training from its fields and those of its optimizer, all of them flat: ``momentum=0.9``.

        Raises ConfigError with every problem at once, and TypeError for a word that is no field.
        """
        return cls().but(**words)

    def but(self, **words: Any) -> Self:
        """Make the same training with some fields changed, flat as in ``of``, which raises the same.

        A new ``optimizer`` begins with its own defaults.
        """
        if strange := sorted(set(words) - set(WORDS)):
            raise TypeError(f"a training has no field {strange[0]!r}; it has {', '.join(WORDS)}")
        rule = words.pop("optimizer", self.optimizer)
        own = {name: words.pop(name) for name in optimizers.FIELDS if name in words}
        problems = []
        try:
            words["optimizer"] = (
                replace(rule, **own) if isinstance(rule, Optimizer) else Optimizer(rule, **own)
            )
        except ConfigError as problem:
            problems.append(problem)
        try:
            training = replace(self, **words)
        except ConfigError as problem:
            problems.append(problem)
        if problems:
            raise ConfigError.collect(problems)
        return training

    def word(self, name: str) -> Any:
        """Return one of the words that ``of`` takes."""
        return getattr(self.optimizer if name in optimizers.FIELDS else self, name)

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

    def architecture(self, inputs: int, outputs: int) -> Architecture:
        """The net that this trains on data with that many inputs and classes. Raises ConfigError."""
        whole_number("classes", outputs, 2, MOST_UNITS)
        return Architecture(inputs, layers_of(self.hidden, self.act), outputs)

    def __str__(self) -> str:
        hidden = ",".join(map(str, self.hidden)) or "none"
        center = ", centred" if self.center else ""
        epochs = f"{self.epochs} epoch{'s' * (self.epochs > 1)}"
        return (
            f"hidden {hidden}, {act_text(self.act)}, scale {self.scale:g}{center}, {self.loss} loss, "
            f"{self._steps_in_words()}, batch {self.batch_size}, {epochs}, {self.init}, seed {self.seed}"
        )

    def _steps_in_words(self) -> str:
        """Words for all that is not as in plain SGD at a constant rate."""
        rule = self.optimizer
        words = [f"lr {self.lr:g}" if rule.name == "sgd" else f"{rule.name} with lr {self.lr:g}"]
        if rule.momentum:
            words.append(f"{'Nesterov ' * rule.nesterov}momentum {rule.momentum:g}")
        if rule.weight_decay:
            words.append(f"weight decay {rule.weight_decay:g}")
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
        """Plain data for json.dump, flat: what ``of`` takes. Rare fields of the optimizer only where set."""
        rule = asdict(self.optimizer)
        told: dict[str, Any] = {}
        for word in fields(self):
            value = getattr(self, word.name)
            told[word.name] = list(value) if isinstance(value, tuple) else value
            if word.name == "optimizer":
                told["optimizer"] = rule.pop("name")
                told.update({name: value for name, value in rule.items() if name not in _RARE or value})
        return told

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of ``to_json``. Raises ConfigError."""
        if not isinstance(data, dict) or not set(data) <= set(WORDS):
            raise ConfigError(
                f"a training must be an object with keys among {', '.join(sorted(WORDS))}", shown(data)
            )
        return cls.of(**data)


WORDS = (*(word.name for word in fields(Training)), *optimizers.FIELDS)  # what ``Training.of`` takes
_RARE = ("alpha", "epsilon_hat")  # of scikit-learn's and Keras' optimizers: no option of a training


def _step_schedule(schedule: str) -> tuple[int, float]:
    """EVERY and FACTOR of step:EVERY,FACTOR; 0 and 0 of all else."""
    name, _, text = schedule.partition(":")
    return (parsed(text, int, float) if name == "step" else None) or (0, 0.0)


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


def _numbers(text: str) -> tuple[float, ...]:
    """The numbers that stand between commas; none where one of them is no number."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        return ()


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
