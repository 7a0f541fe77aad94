"""Training: all that decides a result but the data. Frozen, hashable, JSON both ways.

Values are checked once, here, with every problem in one ConfigError. How fast a training runs
(threads, backend) is not part of it, because it does not change the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from fastmlp import layers, optimizers
from fastmlp.checks import (
    LARGEST,
    SMALLEST,
    as_float,
    as_list,
    as_text,
    check_fields,
    flag,
    parsed,
    positive_number,
    share,
    shown,
    whole_number,
)
from fastmlp.errors import ConfigError
from fastmlp.layers import LAYER_WORDS, MOST_UNITS, Architecture, Layer, act_text
from fastmlp.losses import checked_loss
from fastmlp.optimizers import Optimizer
from fastmlp.scales import Scale, checked_scale, scale_text

BACKENDS = ("numba", "numpy")
DRIVERS = ("team", "prange")

NUMERICS_REVISION = 3  # goes up whenever the same training may give other bytes

CHECKPOINT_SECONDS = 10.0  # between two checkpoints within an epoch


@dataclass(frozen=True)
class Training:
    """Everything that decides the result of a training, but the data.

    hidden:     widths of the hidden layers, () for softmax regression. Layers are taken too, and then the
                words of layers below are theirs.
    act, dropout, batch_norm: of every hidden layer, or one for each; see ``Layer``.
    bias, l1, l2, max_norm, init, frozen: the same, and of the output layer: its own is one more at the end of
                a list.
    input_dropout: the share of inputs that a step leaves out.
    scale:      inputs are divided by it: a number (255 for pixel bytes, 1 for none), one for each column, or
                what the rows trained on say of each column: ``standard``, less the mean, by the standard
                deviation; ``minmax``, to 0..1; ``robust``, less the median, by the interquartile range.
    center:     subtract something of each column before that: its training mean, or what the word says.
                None: a word does, a number does not. False beside a word: a 0 stays 0.
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
    dropout: float | tuple[float, ...] = 0.0
    batch_norm: layers.BatchNorm | tuple[layers.BatchNorm | None, ...] | None = None
    bias: bool | tuple[bool, ...] = True
    l1: float | tuple[float, ...] = 0.0
    l2: float | tuple[float, ...] = 0.0
    max_norm: float | tuple[float, ...] = 0.0
    frozen: bool | tuple[bool, ...] = False
    input_dropout: float = 0.0
    scale: Scale = 255.0
    center: bool | None = None
    init: str | tuple[str, ...] = "glorot_uniform"
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
            hidden=layers.widths_of,
            **{name: self._word_check(name) for name in LAYER_WORDS},
            input_dropout=lambda v: share("input_dropout", v, "0.2"),
            scale=checked_scale,
            center=lambda v: None if v is None else flag("center", v),
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
        self._settle_layers()
        if self.center is isinstance(self.scale, str):
            object.__setattr__(self, "center", None)
        if self.patience and not self.validation:
            raise ConfigError(
                "patience must come with rows held out", "validation 0", "for example validation 0.1"
            )

    def _word_check(self, name: str) -> Callable[[Any], Any]:
        """A check of the values of a word; of any number of layers where ``hidden`` is wrong."""

        def check(value: Any) -> tuple[Any, ...]:
            items = self.hidden if isinstance(self.hidden, tuple) else ()
            return layers.values_of(name, value, len(items) if self.hidden == items else None)

        return check

    def _settle_layers(self) -> None:
        """Make hidden widths, and of each word of layers its short form."""
        items: tuple[int | Layer, ...] = self.hidden
        for name in LAYER_WORDS:
            *hidden, last = getattr(self, name)
            own = [
                item.word(name) if isinstance(item, Layer) else value
                for item, value in zip(items, hidden, strict=True)
            ]
            object.__setattr__(self, name, layers.compact(name, (*own, last)))
        widths = (item.width if isinstance(item, Layer) else item for item in items)
        object.__setattr__(self, "hidden", tuple(widths))

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

    @property
    def centred(self) -> bool:
        """True where something is subtracted from each column."""
        return isinstance(self.scale, str) if self.center is None else self.center

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
        words = {name: getattr(self, name) for name in LAYER_WORDS}
        made = layers.built(self.hidden, words, outputs)
        return Architecture(inputs, *made, input_dropout=self.input_dropout)

    def __str__(self) -> str:
        hidden = ",".join(map(str, self.hidden)) or "none"
        center = "" if self.center is None else ", centred" if self.center else ", not centred"
        scale = f"{scale_text(self.scale)}{center}"
        epochs = f"{self.epochs} epoch{'s' * (self.epochs > 1)}"
        return (
            f"hidden {hidden}, {act_text(self.act)}, scale {scale}, {self.loss} loss, "
            f"{self._steps_in_words()}, batch {self.batch_size}, {epochs}, {act_text(self.init)}, "
            f"seed {self.seed}"
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
            if word.name in _NEW and value == word.default:
                continue
            told[word.name] = list(value) if isinstance(value, tuple) else value
            if word.name == "center":
                told["center"] = self.centred
            if word.name in LAYER_WORDS:
                told.update(layers.words_to_json({word.name: value}, always=(word.name,)))
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
_NEW = ("dropout", "batch_norm", "bias", "l1", "l2", "max_norm", "frozen", "input_dropout")  # told where set
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
