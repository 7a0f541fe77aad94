"""Training: all that decides a result but the data. Frozen, hashable, JSON both ways.

Values are checked once, here, with every problem in one ConfigError. How fast a training runs
(threads, backend) is not part of it, because it does not change the result.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Self

from fastmlp.checks import (
    LARGEST,
    SMALLEST,
    as_float,
    as_list,
    as_text,
    check_fields,
    flag,
    positive_number,
    share,
    shown,
    whole_number,
)
from fastmlp.display import Display, Displayed, brief
from fastmlp.errors import ConfigError
from fastmlp.words import layers, optimizers
from fastmlp.words.layers import LAYER_WORDS, MOST_UNITS, Architecture, Layer
from fastmlp.words.losses import Loss, checked_loss
from fastmlp.words.optimizers import Optimizer
from fastmlp.words.scales import AUTO, SCALES, Scale, checked_scale, scale_text
from fastmlp.words.schedules import Schedule

BACKENDS = ("numba", "numpy")
DRIVERS = ("team", "prange")

NUMERICS_REVISION = 3  # goes up whenever the same training may give other bytes

CHECKPOINT_SECONDS = 10.0  # between two checkpoints within an epoch


@dataclass(frozen=True)
class Training(Displayed):
    """Everything that decides the result of a training, but the data.

    hidden:     widths of the hidden layers, () for softmax regression. Layers are taken too, each with words
                of its own: ``[Layer(512, dropout=0.2), Layer(64, "tanh")]``.
    act, dropout, batch_norm: of every hidden layer, or a list with one for each; see ``Layer``.
    bias, l1, l2, max_norm, init, frozen: the same; one value is the output layer's too, and in a list it may
                have its own at the end.
    input_dropout: the share of inputs that a step leaves out.
    scale:      inputs are divided by it: a number (255 for pixel bytes, 1 for none), one for each column, or
                what the rows trained on say of each column: ``standard``, less the mean, by the standard
                deviation; ``minmax``, to 0..1; ``robust``, less the median, by the interquartile range.
                ``auto``: where the training begins, the data make it 255 or ``standard``.
    center:     subtract something of each column before that: its training mean, or what the word says.
                None: a word does, a number does not. False beside a word: a 0 stays 0.
    lr, batch_size, epochs: steps on the mean batch loss.
    seed:       of the first weights, of every epoch's permutation and of the rows held out.
    loss:       what the outputs mean; see ``losses.LOSSES``. Of classes logits, keras2 or clip:LO,HI; of one
                or several yes-or-no answers binary; of numbers squared, absolute, huber:DELTA, poisson, ...
    label_smoothing: so much of each label is shared among all of its classes.
    scale_targets: a loss of numbers is trained on them less their mean, by their spread; see ``TargetScale``.
                Not poisson's, which are counts.
    optimizer:  how a step is taken; a name alone is that optimizer with its defaults.
    schedule:   of the learning rate, by epoch, or by step with ``/step`` behind it; see ``schedules``. All
                but ``plateau`` are torch.optim.lr_scheduler's, which this is too for validation losses.
    validation: share of the training rows that is held out and evaluated after every epoch.
    patience:   training stops after so many epochs without a lower validation loss, and the weights
                of the best epoch are restored; 0: never.
    class_weight: how much each class counts in the mean loss, in their order; ``balanced``: N / (K N_k);
                None: all the same. Of labels alone.

    Defaults are those of the Keras script in the question that started this project; ``fit`` without a
    Training has others for tables. Raises ConfigError with every problem at once.
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
    scale: Scale = AUTO
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
    label_smoothing: float = 0.0
    scale_targets: bool = True

    def __post_init__(self) -> None:
        items: tuple[int | Layer, ...] | None = None
        with suppress(ConfigError):  # which the check of hidden raises again
            items = layers.widths_of(self.hidden)
        check_fields(
            self,
            hidden=lambda v: tuple(getattr(item, "width", item) for item in layers.widths_of(v)),
            **{name: partial(layers.settled, name, items=items) for name in LAYER_WORDS},
            input_dropout=lambda v: share("input_dropout", v, "0.2"),
            scale=checked_scale,
            center=lambda v: None if v is None else flag("center", v),
            lr=lambda v: positive_number("lr", v, "0.01"),
            batch_size=lambda v: whole_number("batch_size", v, 1, 2**31 - 1),
            epochs=lambda v: whole_number("epochs", v, 1, 10**9),
            seed=lambda v: whole_number("seed", v, 0, 2**63 - 1),
            loss=checked_loss,
            optimizer=lambda v: v if isinstance(v, Optimizer) else Optimizer(v),
            schedule=lambda v: str(Schedule.of(v)),
            validation=lambda v: share("validation", v, "0.1"),
            patience=lambda v: whole_number("patience", v, 0, 10**9),
            class_weight=_checked_class_weight,
            label_smoothing=lambda v: share("label_smoothing", v, "0.1"),
            scale_targets=lambda v: flag("scale_targets", v),
        )
        self._check_loss()
        if self.scale != AUTO and self.center is isinstance(self.scale, str):
            object.__setattr__(self, "center", None)
        on_plateau = self.schedule if Schedule.of(self.schedule).name == "plateau" else None
        for name in (self.patience and "patience", on_plateau and f"schedule {on_plateau}"):
            if name and not self.validation:
                raise ConfigError(
                    f"{name} must come with rows held out", "validation 0", "for example validation 0.1"
                )
        norms = self.batch_norm if isinstance(self.batch_norm, tuple) else (self.batch_norm,)
        if self.batch_size == 1 and any(norms):
            raise ConfigError(
                "batch_size must be 2 or more with batch norm: one sample has no variance", 1, "use 32"
            )

    def _check_loss(self) -> None:
        """Raise ConfigError for words that this loss has no use for."""
        found = Loss.of(self.loss, self.label_smoothing)
        if found.task == "numbers" and self.class_weight is not None:
            raise ConfigError(
                f"class_weight must be left out with {found.name} loss, which has no classes",
                shown(self.class_weight),
                "give sample weights",
            )
        if not self.scale_targets and found.word.link != "identity":
            raise ConfigError(
                f"scale_targets must be left out with {found.name} loss, whose targets are never scaled",
                False,
            )

    @property
    def scales_targets(self) -> bool:
        """True where the net is trained on standardised targets."""
        return self.scale_targets and Loss.of(self.loss).word.link == "identity"

    @classmethod
    def of(cls, **words: Any) -> Self:
        """Make a training from its fields and those of its optimizer, all of them flat: ``momentum=0.9``.

        Raises ConfigError with every problem at once, and TypeError for a word that is no field.
        """
        return cls().but(**words)

    def but(self, **words: Any) -> Self:
        """Make the same training with some fields changed, flat as in ``of``, which raises the same.

        A new ``optimizer`` begins with its own defaults, and Layers as a new ``hidden`` have their own words.
        """
        if strange := sorted(set(words) - set(WORDS)):
            raise TypeError(f"a training has no field {strange[0]!r}; it has {', '.join(WORDS)}")
        rule = words.pop("optimizer", self.optimizer)
        own = {name: words.pop(name) for name in optimizers.FIELDS if name in words}
        problems = []
        with suppress(ConfigError):  # which the field raises
            words = {**self._left_by(words.get("hidden")), **words}
        try:
            words["optimizer"] = rule.but(**own) if isinstance(rule, Optimizer) else Optimizer(rule, **own)
        except ConfigError as problem:
            problems.append(problem)
        try:
            training = replace(self, **words)
        except ConfigError as problem:
            problems.append(problem)
        if problems:
            raise ConfigError.collect(problems)
        return training

    def _left_by(self, hidden: Any) -> dict[str, Any]:
        """The words of layers that Layers as the new hidden ones leave: those of the output layer."""
        items = layers.widths_of(hidden)
        if not items or not all(isinstance(item, Layer) for item in items):
            return {}
        return {name: layers.values_of(name, self.word(name), self.hidden)[-1] for name in LAYER_WORDS}

    def word(self, name: str) -> Any:
        """Return one of the words that ``of`` takes."""
        return getattr(self.optimizer if name in optimizers.FIELDS else self, name)

    @property
    def centred(self) -> bool:
        """True where something is subtracted from each column; of an ``auto`` scale, where that is asked."""
        return self.scale in SCALES if self.center is None else self.center

    def lr_at(self, epoch: int, batch: int = 0, batches: int = 1) -> float:
        """The learning rate of an epoch, from 1; of one of its ``batches``, from 0, where they differ."""
        rates = self.rates(epoch, batches)
        return rates if isinstance(rates, float) else rates[batch]

    def rates(self, epoch: int, batches: int) -> float | list[float]:
        """The learning rate of an epoch, from 1; where it changes by step, one for each of its batches."""
        schedule, t = Schedule.of(self.schedule), epoch - 1
        if not schedule.by_step:
            return max(self.lr * schedule.factor(t, self.epochs), SMALLEST)
        steps, total = range(t * batches, epoch * batches), self.epochs * batches
        return [max(self.lr * schedule.factor(step, total), SMALLEST) for step in steps]

    def architecture(self, inputs: int, outputs: int) -> Architecture:
        """The net that this trains on data with that many inputs and outputs. Raises ConfigError."""
        word = Loss.of(self.loss).word
        whole_number("classes" if word.task == "classes" else "outputs", outputs, word.outputs, MOST_UNITS)
        words = {name: getattr(self, name) for name in (*LAYER_WORDS, "input_dropout")}
        return Architecture.of(inputs, self.hidden, outputs, **words)

    def __repr__(self) -> str:
        return brief(self)

    def _display(self) -> Display:
        words = [
            layers.in_words(name, self.word(name)) for name in _NEW[:-2] if self.word(name) != _USUAL[name]
        ]
        is_sgd = self.optimizer.name == "sgd"
        facts = [
            ("hidden", ",".join(map(str, self.hidden)) or "none"),
            ("activation", layers.text_of(self.act)),
            *([("with", ", ".join(words))] if words else []),
            ("inputs", f"scale {self._scale_in_words()}"),
            ("loss", self.loss),
            ("optimizer", f"{'sgd with ' * is_sgd}{self._steps_in_words()}"),
            ("batch size", self.batch_size),
            ("epochs", self.epochs),
            ("first weights", layers.text_of(self.init)),
            ("seed", str(self.seed)),
        ]
        return Display("Training", facts)

    def _scale_in_words(self) -> str:
        center = "" if self.center is None else ", centred" if self.center else ", not centred"
        return f"{scale_text(self.scale)}{center}"

    def in_words(self) -> str:
        """Tell all that is not usual, in a line: ``hidden 100, relu, scale 255, logits loss, ...``."""
        hidden = ",".join(map(str, self.hidden)) or "none"
        epochs = f"{self.epochs} epoch{'s' * (self.epochs > 1)}"
        told = [layers.in_words(name, self.word(name)) for name in _NEW if self.word(name) != _USUAL[name]]
        layer = ", ".join([layers.text_of(self.act), *told])
        return (
            f"hidden {hidden}, {layer}, scale {self._scale_in_words()}, {self.loss} loss, "
            f"{self._steps_in_words()}, batch {self.batch_size}, {epochs}, "
            f"{layers.text_of(self.init)}, seed {self.seed}"
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
        if self.label_smoothing:
            words.append(f"labels smoothed by {self.label_smoothing:g}")
        if not self.scale_targets:
            words.append("targets as they are")
        return ", ".join(words)

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump, flat: what ``of`` takes. Rare words only where they are set."""
        told: dict[str, Any] = {}
        for word in fields(self):
            value = getattr(self, word.name)
            if word.name in _NEW and value == word.default:
                continue
            told[word.name] = list(value) if isinstance(value, tuple) else value
            if word.name == "center":
                told["center"] = self.center if self.scale == AUTO else self.centred
            if word.name in LAYER_WORDS:
                told.update(layers.words_to_json({word.name: value}, always=(word.name,)))
            if word.name == "optimizer":
                told.update(value.to_json())
        return told

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of ``to_json``. Raises ConfigError."""
        data = _as_now(data) if isinstance(data, dict) else data
        if not isinstance(data, dict) or not set(data) <= set(WORDS):
            raise ConfigError(
                f"a training must be an object with keys among {', '.join(sorted(WORDS))}", shown(data)
            )
        return cls.of(**data)


WORDS = (*(word.name for word in fields(Training)), *optimizers.FIELDS)  # what ``Training.of`` takes
_NEW = (
    "dropout", "batch_norm", "bias", "l1", "l2", "max_norm", "frozen", "input_dropout", "label_smoothing",
    "scale_targets",
)  # fmt: skip  # told where set
_USUAL = {word.name: word.default for word in fields(Training)}


def _as_now(data: dict[str, Any]) -> dict[str, Any]:
    """The same in today's words: once sgd had adam's, unused, and ``epsilon_hat`` was a form."""
    unused = ("epsilon_hat", *("beta1", "beta2", "epsilon") * (data.get("optimizer", "sgd") == "sgd"))
    now = {name: value for name, value in data.items() if name not in unused}
    if data.get("epsilon_hat") and data.get("optimizer") == "adam":
        now |= {"form": "keras", **({"decoupled": False} if data.get("weight_decay") else {})}
    return now


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
            "for example balanced, or [1, 2]",
        )
    return numbers
