"""ScheduledOptimizer: an optimizer, its state, and a learning rate by one of scikit-learn's schedules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from numpy.typing import DTypeLike

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

    def copy(self, dtype: DTypeLike) -> ScheduledOptimizer:
        """A copy with averages of its own, in that number type: a loaded estimator's may be read-only."""
        moments = tuple(moment.astype(dtype) for moment in self.state.moments)
        return replace(self, state=replace(self.state, moments=moments))

    def penalised(self, alpha: float) -> Optimizer:
        """The optimizer with an L2 penalty."""
        return _penalised(self.optimizer, alpha if alpha >= SMALLEST else 0.0)

    def rate_after(self, t: int) -> float:
        """The rate of an epoch before which t samples were trained on, if all goes on as it does."""
        if self.schedule != "invscaling":
            return self.learning_rate
        return max(self.first / float((t + 1) ** self.power_t), SMALLEST)

    def end_epoch(self, t: int) -> None:
        """Take the next epoch's rate, after t samples in all."""
        self.learning_rate = self.rate_after(t)

    def slow_down(self) -> bool:
        """Lower the rate where the schedule allows it, and return True: training goes on."""
        if self.schedule != "adaptive" or self.learning_rate <= _SLOWEST:
            return False
        self.learning_rate = max(self.learning_rate / _DIVISOR, SMALLEST)
        return True


@lru_cache
def _penalised(optimizer: Optimizer, alpha: float) -> Optimizer:
    return replace(optimizer, alpha=alpha)
