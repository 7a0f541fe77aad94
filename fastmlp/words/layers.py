"""Layer and Architecture: what a net is made of. Frozen, hashable, JSON both ways, checked once, here.

LAYER_WORDS is the table of a layer's words; ``layers_of`` makes layers of the short form, in which each
word has one value for all layers, or a list with one for each.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

from fastmlp.checks import (
    as_list,
    as_text,
    as_whole,
    check_fields,
    flag,
    instance,
    not_negative,
    parsed,
    positive_number,
    share,
    shown,
    whole_number,
)
from fastmlp.display import Display, Displayed, brief, listed
from fastmlp.errors import ConfigError
from fastmlp.words.activations import checked_act
from fastmlp.words.inits import checked_init

MOST_UNITS = 1_000_000  # in one layer
MOST_LAYERS = 1000
MOST_PARAMETERS = 2**31 - 1  # 8 GiB of float32

PLACES = ("before", "after")  # of a batch norm and its layer's activation


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation of a layer's units: gamma (z - mean) / sqrt(variance + epsilon) + beta.

    place:    ``before`` the layer's activation, or ``after`` it. Mean and variance are the batch's in
              training, running ones in prediction.
    momentum: of the running ones: running = momentum running + (1 - momentum) of the batch. It is Keras'
              (0.99 keeps); PyTorch's is 1 less it.
    epsilon:  Keras' default is 0.001, PyTorch's 0.00001.
    unbiased: the running variance is that of n - 1, as PyTorch keeps it; else of n, as Keras does.

    A batch of one sample, as a last one may be, has variance 0: what comes out is beta, as in Keras.

    Ioffe and Szegedy 2015. Raises ConfigError.
    """

    place: str = "before"
    momentum: float = 0.99
    epsilon: float = 0.001
    unbiased: bool = False

    def __post_init__(self) -> None:
        check_fields(
            self,
            place=_checked_place,
            momentum=lambda v: share("batch_norm's momentum", v, "0.99"),
            epsilon=lambda v: positive_number("batch_norm's epsilon", v, "0.001"),
            unbiased=lambda v: flag("batch_norm's unbiased", v),
        )

    def __repr__(self) -> str:
        return brief(self)

    def __str__(self) -> str:
        """The text that ``of`` takes: ``after``, or ``before:0.9,1e-05,unbiased``."""
        if self == BatchNorm(self.place):
            return self.place
        return f"{self.place}:{self.momentum!r},{self.epsilon!r}{',unbiased' * self.unbiased}"

    @classmethod
    def of(cls, value: Any) -> BatchNorm | None:
        """The batch norm that a word means: False, True, ``before``, ``after``, its text, or one itself."""
        if value is None or isinstance(value, BatchNorm):
            return value
        text = as_text(value)
        if text is None:
            text = "before" if flag("batch_norm", value) else "none"
        if text == "none":
            return None
        place, colon, rest = text.partition(":")
        numbers = rest.removesuffix(",unbiased")
        momentum, epsilon = (parsed(numbers, float, float) or (None, None)) if colon else (0.99, 0.001)
        if momentum is None or epsilon is None:
            raise _no_norm(value)
        return cls(place, momentum, epsilon, numbers != rest)


def _checked_place(place: Any) -> str:
    text = as_text(place)
    if text not in PLACES:
        raise _no_norm(place)
    return text


def _no_norm(value: Any) -> ConfigError:
    return ConfigError(
        "batch_norm must be False, True (before the activation), before, after, or one of them with "
        ":MOMENTUM,EPSILON[,unbiased]",
        shown(value),
        "for example after:0.9,1e-05",
    )


class Word(NamedTuple):
    """A word of a layer: how a value is checked, what it is where none is given, and whose it is.

    of_weights: of the output layer too: one value is every layer's.
    of_text:    the value that a piece of an option's text means, unchecked.
    to_json:    of a checked value, plain data that ``check`` takes.
    """

    check: Callable[[Any], Any]
    usual: Any
    of_weights: bool
    of_text: Callable[[str], Any] = str
    to_json: Callable[[Any], Any] = lambda value: value


def _number(text: str) -> Any:
    """The number that a text means; the text itself where it means none: the check names it."""
    found = parsed(text, float)
    return text if found is None else found[0]


def _flag(text: str) -> Any:
    return {"true": True, "false": False}.get(text.lower(), text)


LAYER_WORDS = {
    "act": Word(checked_act, "relu", False),
    "dropout": Word(lambda v: share("dropout", v, "0.2"), 0.0, False, _number),
    "batch_norm": Word(BatchNorm.of, None, False, to_json=lambda v: v and str(v)),
    "bias": Word(lambda v: flag("bias", v), True, True, _flag),
    "l1": Word(lambda v: not_negative("l1", v, "0.0001"), 0.0, True, _number),
    "l2": Word(lambda v: not_negative("l2", v, "0.0001"), 0.0, True, _number),
    "max_norm": Word(lambda v: not_negative("max_norm", v, "3"), 0.0, True, _number),
    "init": Word(checked_init, "glorot_uniform", True),
    "frozen": Word(lambda v: flag("frozen", v), False, True, _flag),
}


@dataclass(frozen=True)
class Layer:
    """A layer of ``width`` units, and what is done to them, in this order. Raises ConfigError.

    bias:       False: none.
    batch_norm: a BatchNorm, or what ``BatchNorm.of`` takes: True, "after", ...
    act:        the activation; see ``activations.ACTIVATIONS``.
    dropout:    the share of outputs that a step leaves out, in 65536ths; the others are divided by 1 less it.
    l1, l2:     l1 |w| + l2 w^2 of each weight joins the loss, as in Keras: its gradient is
                l1 sign(w) + 2 l2 w. Biases have none.
    max_norm:   after a step the weights into a unit have no longer norm; 0: any.
    frozen:     weights, bias, gamma and beta stay as they are.
    init:       distribution of the first weights; see ``net.initialise``. Layers that differ in nothing else
                are equal: once they are trained it is past.
    """

    width: int
    act: str = "relu"
    dropout: float = 0.0
    batch_norm: BatchNorm | None = None
    bias: bool = True
    l1: float = 0.0
    l2: float = 0.0
    max_norm: float = 0.0
    frozen: bool = False
    init: str = field(default="glorot_uniform", compare=False)

    def __post_init__(self) -> None:
        checks = {name: word.check for name, word in LAYER_WORDS.items()}
        check_fields(self, width=lambda v: whole_number("width", v, 1, MOST_UNITS), **checks)

    def word(self, name: str) -> Any:
        """The value of one of LAYER_WORDS."""
        return getattr(self, name)

    def __repr__(self) -> str:
        return brief(self)

    def in_words(self) -> str:
        """Tell what it does beside its width and activation: ``dropout 0.2``; ``init`` is past."""
        words = ((name, self.word(name)) for name in LAYER_WORDS if name not in ("act", "init"))
        return ", ".join(in_words(name, value) for name, value in words if value != LAYER_WORDS[name].usual)


Hidden = int | str | Layer | Sequence[int | Layer] | None


def widths_of(hidden: Hidden) -> tuple[int | Layer, ...]:
    """Return what ``hidden`` lists: widths, and Layers. Raises ConfigError.

    hidden: ``100``, ``"128,64"``, ``(128, 64)``, ``"none"`` or None; Layers may stand among the widths.
    """
    text = as_text(hidden)
    if hidden is None or (text is not None and text.strip().lower() in ("none", "")):
        return ()
    items = as_list(hidden) if text is None else text.split(",", MOST_LAYERS)
    found = tuple(_width(item) for item in ([hidden] if items is None else items))
    if len(found) > MOST_LAYERS:
        raise ConfigError(f"hidden must be at most {MOST_LAYERS:,} layers", f"{len(found):,}")
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


def values_of(name: str, value: Any, items: tuple[int | Layer, ...] | None) -> tuple[Any, ...]:
    """The checked values of a word for the hidden layers, and at the end for the output layer.

    value: one, for all layers that have the word; or a list, or an option's text, of one for each hidden
           layer, and of the words of weights perhaps one more, for the output layer.
    items: of ``widths_of``: a Layer has its own. None for as many widths as there are values.

    Raises ConfigError.
    """
    word, text = LAYER_WORDS[name], as_text(value)
    told = as_list(value) if text is None else [word.of_text(piece) for piece in _pieces(text)]
    checked = [word.check(item) for item in ([value] if told is None else told)]
    count = len(checked) if items is None else len(items)
    if len(checked) == 1 and (told is None or text is not None or count != 1):
        values = checked * count + [checked[0] if word.of_weights else word.usual]
    elif len(checked) == count or (word.of_weights and len(checked) == count + 1):
        values = [*checked, word.usual][: count + 1]
    else:
        more = ", and perhaps one for the output layer" if word.of_weights else ""
        raise ConfigError(
            f"{name} must be one value, or one for each of {count} hidden layers{more}",
            shown(value),
            f"for example {word.to_json(word.usual)}",
        )
    all_own = bool(items) and all(isinstance(item, Layer) for item in items or ())
    if all_own and any(v not in (word.usual, values[-1]) for v in values):
        raise ConfigError(f"{name} must be left to the Layers that hidden holds", shown(value))
    if items == () and name in ("dropout", "batch_norm") and any(v != word.usual for v in checked):
        raise ConfigError(f"{name} must come with a hidden layer", shown(value))
    for i, item in enumerate(items or ()):
        if isinstance(item, Layer):
            values[i] = item.word(name)
    return tuple(values)


def _pieces(text: str) -> list[str]:
    """The values in an option's text. A comma before a digit goes on with the numbers of a name."""
    between = r",(?!\s*unbiased)(?=\s*[^\W\d])" if text.strip()[:1].isalpha() else ","
    return [piece.strip() for piece in re.split(between, text)]


def settled(name: str, value: Any, items: tuple[int | Layer, ...] | None) -> Any:
    """The shortest that ``values_of`` takes for the same: one value, or a tuple. Raises ConfigError."""
    return compact(name, values_of(name, value, items))


def compact(name: str, values: tuple[Any, ...]) -> Any:
    """The shortest that ``values_of`` makes those values of: one, or a tuple."""
    word, (*hidden, last) = LAYER_WORDS[name], values
    one = hidden[0] if hidden else last
    if all(value == one for value in (values if word.of_weights else hidden)):
        return one
    return tuple(hidden) if last == word.usual and len(hidden) > 1 else values


def layers_of(hidden: Hidden, act: Any = "relu", **words: Any) -> tuple[Layer, ...]:
    """Return the hidden layers that the short form means. Raises ConfigError.

    hidden: as ``widths_of`` takes it. act and further words of LAYER_WORDS: one value for all widths, or a
    list of one for each hidden layer. A Layer has its own.
    """
    return _built(hidden, {"act": act, **words}, 1)[0]


def _built(hidden: Hidden, words: Mapping[str, Any], outputs: int) -> tuple[tuple[Layer, ...], Layer]:
    if strange := sorted(set(words) - set(LAYER_WORDS)):
        raise TypeError(f"a layer has no word {strange[0]!r}; it has {', '.join(LAYER_WORDS)}")
    items = widths_of(hidden)
    values = {name: values_of(name, value, items) for name, value in words.items()}
    layers = tuple(
        item if isinstance(item, Layer) else Layer(item, **{name: values[name][i] for name in values})
        for i, item in enumerate(items)
    )
    own = {name: values[name][-1] for name in values if LAYER_WORDS[name].of_weights}
    return layers, Layer(outputs, "identity", **own)


def text_of(value: Any) -> str:
    """A word of layers as an option has it: ``relu``, ``0.2,0.5``."""
    if isinstance(value, list | tuple):
        return ",".join(map(text_of, value))
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def in_words(name: str, value: Any) -> str:
    """A word of layers that is set: ``l2 0.001``, ``no bias``, ``batch norm before``, ``dropout 0.2,0.5``."""
    told = name.replace("_", " ")
    if isinstance(value, bool):
        return told if value else f"no {told}"
    return f"{told} {text_of(value)}"


def act_text(act: str | Sequence[str]) -> str:
    """Return activations as an option has them: ``relu``, or ``relu,tanh``."""
    names = [act] if isinstance(act, str) else act
    return ",".join(names[:1] if len(set(names)) == 1 else names)


LAYERS = ("layer", "weights", "activation", "with", "parameters")  # the heading of ``Architecture.rows``


def _count(fan_in: int, layer: Layer) -> int:
    """Number of a layer's weights and biases, gammas and betas."""
    return (fan_in + layer.bias + 2 * (layer.batch_norm is not None)) * layer.width


@dataclass(frozen=True)
class Architecture:
    """The shape of a net: D inputs, its hidden layers, and K outputs. Raises ConfigError.

    layers:  each a Layer, or a width, which means ReLU units; see ``layers_of`` for the short form.
    output:  the output layer, of ``outputs`` units, without activation, batch norm and dropout. None: a
             plain one.
    input_dropout: the share of inputs that a step leaves out.
    """

    inputs: int
    layers: tuple[Layer, ...]
    outputs: int
    output: Layer | None = None
    input_dropout: float = 0.0

    def __post_init__(self) -> None:
        check_fields(
            self,
            inputs=lambda v: whole_number("inputs", v, 1, 2**31 - 1),
            layers=layers_of,
            outputs=lambda v: whole_number("outputs", v, 1, MOST_UNITS),
            input_dropout=lambda v: share("input_dropout", v, "0.2"),
        )
        last = (
            Layer(self.outputs, "identity") if self.output is None else instance("output", self.output, Layer)
        )
        object.__setattr__(self, "output", last)
        if last != replace(last, width=self.outputs, act="identity", dropout=0.0, batch_norm=None):
            raise ConfigError(
                f"the output layer must be a Layer of {self.outputs} units with act identity, no dropout and "
                "no batch norm",
                shown(last),
            )
        if self.n_parameters > MOST_PARAMETERS:
            raise ConfigError(
                f"a net must have at most {MOST_PARAMETERS:,} parameters",
                f"{self.n_parameters:,} for {self}",
                "use fewer hidden units",
            )

    @property
    def all_layers(self) -> tuple[Layer, ...]:
        """The hidden layers, and the output layer."""
        assert self.output is not None
        return (*self.layers, self.output)

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
        """The number of weights and biases, gammas and betas."""
        return sum(
            _count(fan_in, layer) for (fan_in, _), layer in zip(self.shapes, self.all_layers, strict=True)
        )

    @property
    def unusual(self) -> tuple[str, ...]:
        """The words, beside widths and activations, that make it another net."""
        words = {**self.words(), "init": LAYER_WORDS["init"].usual, "act": LAYER_WORDS["act"].usual}
        told = [name for name, value in words.items() if value != LAYER_WORDS[name].usual]
        return (*told, *["input_dropout"] * (self.input_dropout > 0))

    @property
    def draws(self) -> bool:
        """True where a step draws what it leaves out."""
        return self.input_dropout > 0 or any(layer.dropout for layer in self.layers)

    @property
    def normalises(self) -> bool:
        """True where a layer has a batch norm."""
        return any(layer.batch_norm is not None for layer in self.layers)

    def in_words(self) -> str:
        """Tell what its layers do beside their widths: ``relu,tanh, dropout 0.2``."""
        words = {**self.words(), "input_dropout": self.input_dropout}
        told = [in_words(name, words[name]) for name in self.unusual]
        return ", ".join([text_of(words["act"]) if self.layers else "no hidden layer", *told])

    def rows(self) -> list[tuple[Any, ...]]:
        """Rows of a table of its layers, whose heading is LAYERS."""
        names = [*(f"hidden {i}" for i in range(1, len(self.layers) + 1)), "output"]
        return [
            (name, f"{fan_in} x {fan_out}", layer.act, layer.in_words(), _count(fan_in, layer))
            for name, (fan_in, fan_out), layer in zip(names, self.shapes, self.all_layers, strict=True)
        ]

    def _display(self) -> Display:
        drops = [("input dropout", self.input_dropout)] if self.input_dropout else []
        return Display(
            f"Architecture {self}", [("parameters", self.n_parameters), *drops], LAYERS, self.rows()
        )

    _repr_html_ = Displayed._repr_html_

    def __repr__(self) -> str:
        return brief(self, output=Layer(self.outputs, "identity"))

    def __str__(self) -> str:
        return listed((self.inputs, *self.hidden, self.outputs), 16, str).replace(", ", "-")

    @classmethod
    def of(
        cls, inputs: int, hidden: Hidden, outputs: int, *, input_dropout: float = 0.0, **words: Any
    ) -> Self:
        """The net of the short form; words as ``values_of`` takes them. Raises ConfigError."""
        whole_number("outputs", outputs, 1, MOST_UNITS)
        layers, output = _built(hidden, words, outputs)
        return cls(inputs, layers, outputs, output, input_dropout)

    def words(self) -> dict[str, Any]:
        """The words of its layers in the short form, each as ``values_of`` takes it."""
        told = {}
        for name, word in LAYER_WORDS.items():
            last = self.all_layers[-1].word(name) if word.of_weights else word.usual
            told[name] = compact(name, (*(layer.word(name) for layer in self.layers), last))
        return told

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump: inputs, hidden (widths), classes (outputs), act, and what else is set.

        How first weights are drawn is not in it.
        """
        words = self.words()
        del words["init"]
        told: dict[str, Any] = {"inputs": self.inputs, "hidden": list(self.hidden), "classes": self.outputs}
        told.update(words_to_json(words, always=("act",)))
        if self.input_dropout:
            told["input_dropout"] = self.input_dropout
        return told

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of ``to_json``. Raises ConfigError."""
        needed = {"inputs", "hidden", "classes", "act"}
        known = needed | {"input_dropout"} | set(LAYER_WORDS)
        if not isinstance(data, dict) or not needed <= set(data) <= known:
            raise ConfigError(
                f"an architecture must be an object with keys {', '.join(sorted(needed))}", shown(data)
            )
        words = {name: data[name] for name in data if name not in ("inputs", "hidden", "classes")}
        return cls.of(data["inputs"], data["hidden"], data["classes"], **words)


def words_to_json(words: Mapping[str, Any], always: Sequence[str] = ()) -> dict[str, Any]:
    """Plain data of words in the short form; of those that are as usual only the ones of ``always``."""
    told = {}
    for name, value in words.items():
        to_json = LAYER_WORDS[name].to_json
        if name in always or value != LAYER_WORDS[name].usual:
            told[name] = list(map(to_json, value)) if isinstance(value, tuple) else to_json(value)
    return told
