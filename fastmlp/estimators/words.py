"""The engine's words as parameters of an estimator: how each is checked, and what it means to the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Options

from fastmlp.checks import as_list
from fastmlp.errors import ConfigError
from fastmlp.words.activations import ACTIVATIONS, checked_act
from fastmlp.words.layers import LAYER_WORDS, Architecture, Layer, layers_of
from fastmlp.words.losses import LOSSES, checked_loss, form_of
from fastmlp.words.optimizers import OPTIMIZERS, Optimizer

# scikit-learn's names, and what the engine calls the same.
ACTS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
NUMBERS_LOSSES = {"squared_error": "half_squared", "poisson": "half_deviance"}
BATCH = 200  # rows of batch_size="auto", if there are as many

# By scikit-learn's name of the last layer's activation, a loss of the engine with that link.
LINKS = {"softmax": "logits", "logistic": "binary", "identity": "squared", "exp": "poisson"}


class Checked(Options):
    """A constraint of scikit-learn's kind: what one of the engine's checks takes, and says to be ``text``.

    each: a list of such, one for each hidden layer, will do as well.
    """

    def __init__(self, check: Callable[[Any], object], text: str, *, each: bool = False) -> None:
        super().__init__(object, set())
        self.check, self.text, self.each = check, text, each

    def is_satisfied_by(self, value: Any) -> bool:
        """Say whether the check takes the value, or each in a list."""
        items = as_list(value) if self.each else None
        try:
            for item in [value] if items is None else items:
                self.check(item)
        except ConfigError:
            return False
        return True

    def __str__(self) -> str:
        return f"{self.text}{', or a list of one for each hidden layer' if self.each else ''}"


def act_of(activation: Any) -> str:
    """The engine's name of an activation by scikit-learn's, or by its own. Raises ConfigError."""
    return checked_act(ACTS.get(activation, activation) if isinstance(activation, str) else activation)


@lru_cache(maxsize=64)
def adam(beta_1: float, beta_2: float, epsilon: float) -> Optimizer:
    """scikit-learn's adam."""
    return Optimizer("adam", beta1=float(beta_1), beta2=float(beta_2), epsilon=float(epsilon), form="keras")


@lru_cache(maxsize=64)
def sgd(momentum: float, nesterov: bool) -> Optimizer:
    """scikit-learn's sgd, whose averages are of steps; a momentum of 1 is the largest number below."""
    momentum = min(float(momentum), math.nextafter(1, 0))
    return Optimizer("sgd", momentum=momentum, nesterov=bool(nesterov and momentum), form="keras")


def optimizer_of(optimizer: Any) -> Optimizer:
    """The Optimizer that a name means, in PyTorch's form; or one itself. Raises ConfigError."""
    found = optimizer if isinstance(optimizer, Optimizer) else Optimizer(optimizer)
    if found.alpha:
        raise ConfigError("an optimizer must leave alpha to the estimator", f"alpha {found.alpha:g}")
    return found


def of_loss(*tasks: str, own: Sequence[str]) -> Checked:
    """The constraint of a loss: ``own`` names, or the engine's of these tasks."""

    def check(loss: Any) -> None:
        if not isinstance(loss, str) or loss not in own:
            checked_loss(loss, *tasks)

    names = [form_of(name) for name, word in LOSSES.items() if word.task in tasks and name not in own]
    return Checked(check, f"{', '.join(own)}, or one of {', '.join(names)}")


CONSTRAINTS: dict[str, Any] = {
    "activation": [
        Checked(act_of, f"logistic, or one of {', '.join(ACTIVATIONS)} (such as elu:0.5)", each=True)
    ],
    "dropout": [Checked(LAYER_WORDS["dropout"].check, "a number from 0 to below 1", each=True)],
    "batch_norm": [
        Checked(
            LAYER_WORDS["batch_norm"].check, "False, True, before, after, after:MOMENTUM,EPSILON", each=True
        )
    ],
    "optimizer": [
        None, Checked(optimizer_of, f"one of {', '.join(OPTIMIZERS)}, an Optimizer (its alpha 0)")
    ],
}  # fmt: skip


def hidden_layers(estimator: Any, widths: Sequence[int]) -> tuple[Layer, ...]:
    """The engine's hidden layers of these widths. Raises ConfigError where a list has not one for each."""
    given = as_list(estimator.activation)
    act = act_of(estimator.activation) if given is None else tuple(act_of(item) for item in given)
    words = tuple(widths), act, plain(estimator.dropout), plain(estimator.batch_norm)
    try:
        hash(words)
    except TypeError:  # no words at all: they are told so
        return _layers.__wrapped__(*words)
    return _layers(*words)


@lru_cache(typed=True)  # checks that take longer than a fit of one epoch
def _layers(widths: tuple[int, ...], act: Any, dropout: Any, batch_norm: Any) -> tuple[Layer, ...]:
    return layers_of(widths, act, dropout=dropout, batch_norm=batch_norm)


@lru_cache
def architecture_of(inputs: int, layers: tuple[Layer, ...], outputs: int) -> Architecture:
    """``Architecture``, which is checked once for many fits."""
    return Architecture(inputs, layers, outputs)


def drops(estimator: Any) -> bool:
    """Say whether a step leaves units out."""
    return bool(np.any(np.asarray(estimator.dropout, float)))


def check_solver(estimator: Any) -> None:
    """Raise ValueError where solver="lbfgs" meets a word that it has no use for."""
    if estimator.solver != "lbfgs":
        return
    norms = as_list(estimator.batch_norm)
    given = {
        "dropout": drops(estimator),
        "batch_norm": any(
            map(LAYER_WORDS["batch_norm"].check, [estimator.batch_norm] if norms is None else norms)
        ),
        "optimizer": estimator.optimizer is not None,
    }
    for name in (name for name, is_given in given.items() if is_given):
        raise ValueError(
            f"The {name!r} parameter of {type(estimator).__name__} must be left out with solver='lbfgs'. Got "
            f"{getattr(estimator, name)!r} instead."
        )


def plain(value: Any) -> Any:
    """A word as it is kept to be compared: a list as a tuple."""
    items = as_list(value)
    return value if items is None else tuple(items)
