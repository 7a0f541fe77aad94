"""Optimizer: how a gradient becomes a step, from the option to the kernels' loop. Frozen, hashable.

OPTIMIZERS is their table: which words each takes, with the defaults of PyTorch and of Keras, and what it
remembers between steps. Its rates are in RATES of backends/state.py, and how it steps is in the tables of
reference/ and kernels/optimizers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

from fastmlp.checks import check_fields, flag, not_negative, one_of, positive_number, share, shown
from fastmlp.errors import ConfigError

FORMS = ("torch", "keras")


class Method(NamedTuple):
    """A rule's own words with PyTorch's defaults, those that are others in Keras, and what it remembers.

    moments: how many running averages it keeps of every parameter.
    inside:  the forms in which epsilon stands inside: under the root, or the maximum.
    """

    words: Mapping[str, Any]
    keras: Mapping[str, Any]
    moments: Callable[[Optimizer], int]
    inside: tuple[str, ...] = ()


_ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
_SMALL = {"epsilon": 1e-7}

OPTIMIZERS = {
    "sgd": Method({"momentum": 0.0, "nesterov": False}, {}, lambda rule: int(rule.momentum > 0)),
    "rmsprop": Method(
        {"rho": 0.99, "momentum": 0.0, "centred": False, "epsilon": 1e-8},
        {"rho": 0.9, **_SMALL},
        lambda rule: 1 + rule.centred + (rule.momentum > 0),
        ("keras",),
    ),
    "adam": Method({**_ADAM, "amsgrad": False}, _SMALL, lambda rule: 2 + rule.amsgrad),
    "adamw": Method(
        {**_ADAM, "amsgrad": False, "weight_decay": 0.01, "decoupled": True},
        {"weight_decay": 0.004, **_SMALL},
        lambda rule: 2 + rule.amsgrad,
    ),
    "nadam": Method(_ADAM, _SMALL, lambda rule: 2),
    "adamax": Method(_ADAM, _SMALL, lambda rule: 2, ("torch",)),
    "adagrad": Method(
        {"initial_accumulator": 0.0, "epsilon": 1e-10},
        {"initial_accumulator": 0.1, **_SMALL},
        lambda rule: 1,
        ("keras",),
    ),
    "adadelta": Method({"rho": 0.9, "epsilon": 1e-6}, {"rho": 0.95, **_SMALL}, lambda rule: 2, FORMS),
}
"""By name. A new one is an entry here, in RATES, and in each STEPS."""

USUAL_LR = dict.fromkeys(("adam", "adamw", "nadam", "adamax", "rmsprop"), 0.001)
"""By name, the lr of those that divide a gradient by its own size; others' is 0.01."""

COMMON = {  # words that all of them take
    "weight_decay": 0.0, "decoupled": False, "alpha": 0.0, "clip_norm": 0.0, "clip_each": 0.0,
    "clip_value": 0.0, "form": "torch",
}  # fmt: skip

_CHECKS: dict[str, Callable[[Any], Any]] = {
    "momentum": lambda v: share("momentum", v, "0.9"),
    "nesterov": lambda v: flag("nesterov", v),
    "beta1": lambda v: share("beta1", v, "0.9"),
    "beta2": lambda v: share("beta2", v, "0.999"),
    "epsilon": lambda v: positive_number("epsilon", v, "1e-8"),
    "weight_decay": lambda v: not_negative("weight_decay", v, "0.0001"),
    "alpha": lambda v: not_negative("alpha", v, "0.0001"),
    "rho": lambda v: share("rho", v, "0.9"),
    "centred": lambda v: flag("centred", v),
    "amsgrad": lambda v: flag("amsgrad", v),
    "initial_accumulator": lambda v: not_negative("initial_accumulator", v, "0.1"),
    "decoupled": lambda v: flag("decoupled", v),
    "clip_norm": lambda v: not_negative("clip_norm", v, "1"),
    "clip_each": lambda v: not_negative("clip_each", v, "1"),
    "clip_value": lambda v: not_negative("clip_value", v, "0.5"),
}

_OWN: Any = None  # a word's default is its optimizer's


@dataclass(frozen=True)
class Optimizer:
    """Rule by which a gradient g of the mean batch loss becomes a step t = 1, 2, ... on the parameters w.

    ======== ===============================================================================================
    sgd      v = momentum v + g, w -= lr v; nesterov: w -= lr (g + momentum v). Without momentum w -= lr g.
    rmsprop  v = rho v + (1 - rho) g^2, w -= lr g / (sqrt(v) + epsilon); centred: c = rho c + (1 - rho) g, and
             v - c^2 in place of v (0 where rounding makes it less); momentum: b = momentum b + that quotient,
             w -= lr b. Hinton 2012; Graves 2013.
    adam     m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
             w -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + epsilon); amsgrad: the largest v so far in
             its place. Kingma and Ba 2015; Reddi et al. 2018.
    adamw    adam with decoupled weight decay. Loshchilov and Hutter 2019.
    nadam    m and v of adam, u(t) = beta1 (1 - 0.96^(0.004 t) / 2), U(t) = u(1) ... u(t), and
             w -= lr (u(t + 1) m / (1 - U(t + 1)) + (1 - u(t)) g / (1 - U(t)))
             / (sqrt(v / (1 - beta2^t)) + epsilon). Dozat 2016.
    adamax   m of adam, v = max(beta2 v, |g| + epsilon), w -= lr / (1 - beta1^t) m / v. Kingma and Ba 2015.
    adagrad  v = v + g^2 from ``initial_accumulator`` on, w -= lr g / (sqrt(v) + epsilon). Duchi et al. 2011.
    adadelta v = rho v + (1 - rho) g^2, d = sqrt(a + epsilon) / sqrt(v + epsilon) g,
             a = rho a + (1 - rho) d^2, w -= lr d. Zeiler 2012.
    ======== ===============================================================================================

    form:         these are the steps and the defaults of ``torch`` (torch.optim of 2.13, sgd without
                  dampening). In those of ``keras`` (3.15), momentum is one of steps, so that an average
                  holds the rates of its time (sgd: v = momentum v + lr g, w -= v; rmsprop the same). Epsilon
                  stands elsewhere: rmsprop and adagrad sqrt(v + epsilon), adamax m / (v + epsilon), and adam
                  w -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon), which is scikit-learn's
                  too. nadam has 0.96^t.
    weight_decay: weight_decay w is added to every g, biases too. ``decoupled``: instead, w is first
                  multiplied by 1 - lr weight_decay, as Keras does with every optimizer.
    alpha:        alpha w / B is added to the weights' g alone, B samples in the batch, as scikit-learn does.
    clip_norm:    g is scaled down, all parameters' together, to at most this norm: before decay, after the
                  layers' own l1 and l2. torch.nn.utils.clip_grad_norm_, and Keras' global_clipnorm.
    clip_each:    the same of each array by itself: Keras' clipnorm.
    clip_value:   each number of g is cut to at most this size. One of the three; 0: not clipped.

    A word that is left out has the optimizer's own default (``defaults``). One that the optimizer does not
    take is refused, unless it is as usual. Raises ConfigError with every problem at once.
    """

    name: str = "sgd"
    momentum: float = _OWN
    nesterov: bool = _OWN
    beta1: float = _OWN
    beta2: float = _OWN
    epsilon: float = _OWN
    weight_decay: float = _OWN
    alpha: float = _OWN
    rho: float = _OWN
    centred: bool = _OWN
    amsgrad: bool = _OWN
    initial_accumulator: float = _OWN
    decoupled: bool = _OWN
    clip_norm: float = _OWN
    clip_each: float = _OWN
    clip_value: float = _OWN
    form: str = "torch"

    def __post_init__(self) -> None:
        problems = []
        try:
            check_fields(
                self,
                name=lambda v: one_of("optimizer", v, tuple(OPTIMIZERS)),
                form=lambda v: one_of("form", v, FORMS),
            )
            own = defaults(self.name, self.form)
        except ConfigError as problem:
            problems, own = [problem], defaults("sgd")
        for word in FIELDS:
            if getattr(self, word) is None:
                object.__setattr__(self, word, own[word])
        try:
            check_fields(self, **_CHECKS)
        except ConfigError as problem:
            problems.append(problem)
        if not problems:
            problems = self._misfits()
        if problems:
            raise ConfigError.collect(problems)

    def _misfits(self) -> list[ConfigError]:
        """Words that do not go together."""
        problems = []
        for word in self.strange_words:
            if getattr(self, word) != USUAL[word]:
                takers = [name for name, method in OPTIMIZERS.items() if word in method.words]
                got = f"{self.name} with {word} {_text(getattr(self, word))}"
                do = "use beta1" if word == "momentum" and "beta1" in OPTIMIZERS[self.name].words else ""
                problems.append(ConfigError(f"{word} must come with {_listed(takers)}", got, do))
        if self.nesterov and not self.momentum:
            problems.append(
                ConfigError("nesterov must come with a momentum", "momentum 0", "for example momentum 0.9")
            )
        if not self.weight_decay and self.decoupled != defaults(self.name, self.form)["decoupled"]:
            problems.append(ConfigError("decoupled must come with a weight_decay", "weight_decay 0"))
        clips = [f"{word} {getattr(self, word):g}" for word in CLIPS if getattr(self, word)]
        if len(clips) > 1:
            problems.append(ConfigError(f"only one of {_listed(CLIPS)} must be given", ", ".join(clips)))
        return problems

    def __repr__(self) -> str:
        told = self.told() | ({} if self.form == FORMS[0] else {"form": self.form})
        return f"Optimizer({', '.join([repr(self.name), *(f'{word}={told[word]!r}' for word in told)])})"

    def but(self, **words: Any) -> Self:
        """Make the same with some words changed; in another form, defaults become that form's."""
        own = {"name": self.name, "form": self.form, **self.told(), **words}
        return type(self)(**own)

    def told(self) -> dict[str, Any]:
        """The words that are not as by default."""
        own = defaults(self.name, self.form)
        return {word: getattr(self, word) for word in FIELDS if getattr(self, word) != own[word]}

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump: its name as ``optimizer``, its own words, others where they are set."""
        own = {*OPTIMIZERS[self.name].words, "weight_decay", *self.told()}
        words = {word: getattr(self, word) for word in FIELDS if word in own}
        form = {} if self.form == FORMS[0] else {"form": self.form}
        return {"optimizer": self.name, **words, **form}

    @property
    def strange_words(self) -> list[str]:
        """The words that this optimizer does not take."""
        return [word for word in FIELDS if word not in OPTIMIZERS[self.name].words and word not in COMMON]

    @property
    def plain(self) -> bool:
        """True where a step is w -= lr g and nothing else."""
        changed = ("momentum", "weight_decay", "alpha", *CLIPS)
        return self.name == "sgd" and not any(getattr(self, word) for word in changed)

    @property
    def moments(self) -> int:
        """The number of running averages that it keeps of every parameter."""
        return OPTIMIZERS[self.name].moments(self)

    @property
    def start(self) -> float:
        """The value of its averages before the first step."""
        return self.initial_accumulator if self.name == "adagrad" else 0.0

    @property
    def epsilons(self) -> tuple[float, float]:
        """The numbers that are added under the root, or the maximum, and outside; one of them may be 0."""
        return (self.epsilon, 0.0) if self.form in OPTIMIZERS[self.name].inside else (0.0, self.epsilon)


FIELDS = tuple(field.name for field in fields(Optimizer) if field.name != "name")
CLIPS = ("clip_norm", "clip_each", "clip_value")

# What a word is where an optimizer does not take it: the first default that it has in the table.
USUAL: dict[str, Any] = dict(COMMON)
for _method in OPTIMIZERS.values():
    USUAL = {**_method.words, **USUAL}


def defaults(name: str, form: str = "torch") -> dict[str, Any]:
    """The words of that optimizer in that form, where none is told."""
    method, keras = OPTIMIZERS[name], form == "keras"
    found = {**USUAL, **({"decoupled": True} if keras else {}), **method.words}
    return {**found, **(method.keras if keras else {}), "form": form}


def _text(value: Any) -> str:
    return shown(value) if isinstance(value, bool) else f"{value:g}"


def _listed(names: Any) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


PLAIN = Optimizer()
