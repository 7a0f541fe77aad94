"""Optimizer: how a gradient becomes a step, from the option to the kernels' loop. Frozen, hashable.

What each remembers between steps is in OPTIMIZERS, its rates in RATES of backends/state.py, and how it
steps in the tables of reference/ and kernels/optimizers.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from fastmlp.checks import check_fields, flag, not_negative, one_of, positive_number, share
from fastmlp.errors import ConfigError

# By name: how many running averages it keeps of every parameter.
OPTIMIZERS: dict[str, Callable[[Optimizer], int]] = {
    "sgd": lambda optimizer: int(optimizer.momentum > 0),
    "adam": lambda optimizer: 2,
}


@dataclass(frozen=True)
class Optimizer:
    """Rule by which a gradient g of the mean batch loss becomes a step on the parameters w.

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
        check_fields(
            self,
            name=lambda v: one_of("optimizer", v, tuple(OPTIMIZERS)),
            momentum=lambda v: share("momentum", v, "0.9"),
            nesterov=lambda v: flag("nesterov", v),
            beta1=lambda v: share("beta1", v, "0.9"),
            beta2=lambda v: share("beta2", v, "0.999"),
            epsilon=lambda v: positive_number("epsilon", v, "1e-8"),
            weight_decay=lambda v: not_negative("weight_decay", v, "0.0001"),
            alpha=lambda v: not_negative("alpha", v, "0.0001"),
            epsilon_hat=lambda v: flag("epsilon_hat", v),
        )
        if self.momentum and self.name != "sgd":
            got = f"{self.name} with momentum {self.momentum:g}"
            raise ConfigError("momentum must come with sgd", got, "use beta1")
        if self.nesterov and not self.momentum:
            raise ConfigError("nesterov must come with a momentum", "momentum 0", "for example momentum 0.9")

    @property
    def plain(self) -> bool:
        """True where a step is w -= lr g and nothing else."""
        return self.name == "sgd" and not (self.momentum or self.weight_decay or self.alpha)

    @property
    def moments(self) -> int:
        """The number of running averages that it keeps of every parameter."""
        return OPTIMIZERS[self.name](self)


FIELDS = tuple(field.name for field in fields(Optimizer) if field.name != "name")
PLAIN = Optimizer()
