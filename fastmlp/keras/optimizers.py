"""SGD and Adam: their options, and the averages that they keep from fit to fit."""

from __future__ import annotations

from typing import Any, ClassVar

from fastmlp.backends.state import OptimizerState
from fastmlp.checks import flag, positive_number, shown
from fastmlp.errors import ConfigError
from fastmlp.keras.checks import text
from fastmlp.keras.missing import missing, refuse, unknown_names
from fastmlp.keras.settled import Settled
from fastmlp.net import Parameters
from fastmlp.words import optimizers as engine

__all__ = ["SGD", "Adam"]

_OTHERS = {
    "weight_decay": None, "clipnorm": None, "clipvalue": None, "global_clipnorm": None, "use_ema": False,
    "loss_scale_factor": None, "gradient_accumulation_steps": None, "decay": 0.0, "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
}  # fmt: skip


class Rate(float):
    """A learning rate as it was when it was asked for."""

    def assign(self, value: Any) -> None:
        """Raise MissingError: Keras' rate is a variable that changes wherever it is kept, this a number."""
        raise missing("assign of a learning rate", f"set it: optimizer.learning_rate = {value}")


class Optimizer(Settled):
    """Base of SGD and Adam. ``learning_rate`` may be set at any time, between epochs too."""

    name: str
    rule: engine.Optimizer
    weight_decay = clipnorm = clipvalue = global_clipnorm = None
    loss_scale_factor = gradient_accumulation_steps = ema_overwrite_frequency = None
    use_ema, ema_momentum = False, 0.99
    _instead: ClassVar = {"iterations": "compile with a new optimizer for 0"}

    def __init__(
        self, learning_rate: Any, rule: engine.Optimizer, name: str | None, others: dict[str, Any]
    ) -> None:
        lr = others.pop("lr", None)  # its name in old programs
        refuse(type(self).__name__, others, _OTHERS)
        self._keep(rule=rule, name=type(self).__name__ if name is None else text("name", name))
        self.learning_rate = learning_rate if lr is None else lr
        self._state: OptimizerState | None = None
        self._trained: tuple[Any, ...] = ()
        self._rate = self.learning_rate  # of the steps that the state comes from

    @property
    def learning_rate(self) -> Rate:
        """Rate of the next step, over 0. Raises ValueError."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if callable(value):
            raise missing("schedule as a learning rate", "use callbacks.LearningRateScheduler")
        self._learning_rate = Rate(positive_number("learning_rate", value, "0.01"))

    lr = learning_rate

    @property
    def iterations(self) -> int:
        """Number of steps taken."""
        return 0 if self._state is None else self._state.steps

    def state_for(self, parameters: Parameters) -> OptimizerState:
        """The state of these parameters: the same object from fit to fit. Raises ValueError."""
        arrays = tuple(parameters)
        if self._state is None:
            self._state, self._trained = OptimizerState.start(parameters, self.rule), arrays
        elif len(arrays) != len(self._trained) or any(
            a is not b for a, b in zip(arrays, self._trained, strict=True)
        ):
            raise ConfigError(
                "an optimizer must train one model", "another one", "compile with a new optimizer"
            )
        return self._state

    def next_rate(self) -> float:
        """The rate of the next epoch's steps.

        Keras' momentum is one of steps, and the engine's one of gradients: where the rate has changed since,
        the gradients' average is scaled so that the steps' one stays.
        """
        if self._state is not None and self._rate != self.learning_rate and self.rule.name == "sgd":
            self._state.rescale(self._rate / self.learning_rate)
        self._rate = self.learning_rate
        return float(self._rate)

    def describe(self) -> dict[str, Any]:
        """Options that make another one, and its class, for a file."""
        return {"class": type(self).__name__, "learning_rate": self.learning_rate}


class SGD(Optimizer):
    """SGD, plain, with momentum or Nesterov's. Raises ValueError, and MissingError for other options."""

    momentum: float
    nesterov: bool

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        *,
        name: str | None = None,
        **others: Any,
    ) -> None:
        rule = engine.Optimizer("sgd", momentum=momentum)
        self._keep(momentum=rule.momentum, nesterov=flag("nesterov", nesterov))
        if self.nesterov and self.momentum:
            rule = engine.Optimizer("sgd", momentum=momentum, nesterov=True)
        super().__init__(learning_rate, rule, name, others)

    def describe(self) -> dict[str, Any]:
        """Options that make another one, and its class, for a file."""
        return super().describe() | {"momentum": self.momentum, "nesterov": self.nesterov}


class Adam(Optimizer):
    """Adam with Keras' place for epsilon. Raises ValueError, and MissingError for other options."""

    beta_1: float
    beta_2: float
    epsilon: float
    amsgrad = False

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = 1e-7,
        amsgrad: bool = False,
        *,
        name: str | None = None,
        **others: Any,
    ) -> None:
        if flag("amsgrad", amsgrad):
            raise missing("amsgrad in Adam", "leave it out")
        self._keep(beta_1=beta_1, beta_2=beta_2, epsilon=1e-7 if epsilon is None else epsilon)
        rule = engine.Optimizer("adam", beta1=beta_1, beta2=beta_2, epsilon=self.epsilon, form="keras")
        super().__init__(learning_rate, rule, name, others)

    def describe(self) -> dict[str, Any]:
        """Options that make another one, and its class, for a file."""
        return super().describe() | {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


def get(optimizer: Any) -> Optimizer:
    """A new one by its name, or the object as it is. Raises MissingError."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str) and optimizer.lower() in ("sgd", "adam"):
        return SGD() if optimizer.lower() == "sgd" else Adam()
    raise missing(f"optimizer {shown(optimizer)}", "it has 'sgd', 'adam', SGD(...) and Adam(...)")


__getattr__ = unknown_names(__name__, "optimizer", tuple(__all__))
