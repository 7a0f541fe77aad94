"""ScheduledOptimizer: an optimizer, its state, and a learning rate by one of scikit-learn's schedules."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastmlp.backends.state import OptimizerState
from fastmlp.checks import SMALLEST
from fastmlp.net import Parameters
from fastmlp.words.optimizers import Optimizer

_SLOWEST = 1e-6  # adaptive: no division below it
_DIVISOR = 5.0


@dataclass(eq=False)
class ScheduledOptimizer:
    """All of an optimizer that lives on from epoch to epoch, also over calls of partial_fit.

    learning_rate: of the next epoch.
    schedule:      constant; invscaling: first / (t + 1)^power_t after t samples; adaptive: divided by 5
                   whenever the loss stands still.
    """

    optimizer: Optimizer
    state: OptimizerState
    learning_rate: float
    schedule: str
    power_t: float
    first: float

    @classmethod
    def start(
        cls, parameters: Parameters, optimizer: Optimizer, learning_rate: float, schedule: str, power_t: float
    ) -> ScheduledOptimizer:
        """An optimizer before its first step."""
        state = OptimizerState.start(parameters, optimizer)
        return cls(optimizer, state, learning_rate, schedule, power_t, first=learning_rate)

    def copy(self) -> ScheduledOptimizer:
        """A copy with averages of its own: those of a loaded estimator may be read-only."""
        return replace(self, state=self.state.copy())

    def penalised(self, alpha: float) -> Optimizer:
        """The optimizer with an L2 penalty."""
        return replace(self.optimizer, alpha=alpha if alpha >= SMALLEST else 0.0)

    def end_epoch(self, t: int) -> None:
        """Take the next epoch's rate, after t samples in all."""
        if self.schedule == "invscaling":
            self._change(self.first / (t + 1) ** self.power_t)

    def slow_down(self) -> bool:
        """Lower the rate where the schedule allows it, and return True: training goes on."""
        if self.schedule != "adaptive" or self.learning_rate <= _SLOWEST:
            return False
        self._change(self.learning_rate / _DIVISOR)
        return True

    def _change(self, learning_rate: float) -> None:
        """Set the rate of gradients to come; the velocity keeps the length of the steps it was made of."""
        learning_rate = max(learning_rate, SMALLEST)
        if self.optimizer.name == "sgd":
            self.state.rescale(self.learning_rate / learning_rate)
        self.learning_rate = learning_rate
