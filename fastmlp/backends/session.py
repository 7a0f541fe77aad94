"""What both backends ask of a training once, and of each call for some epochs of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.backends.checks import (
    checked_draw,
    checked_order,
    checked_rates,
    checked_targets,
    checked_weights,
)
from fastmlp.backends.state import OptimizerState, check_midway
from fastmlp.backends.types import Midway, Pause, Watch
from fastmlp.checks import as_array, as_list, flag, function, instance, whole_number
from fastmlp.errors import ConfigError, DivergedError
from fastmlp.net import Net
from fastmlp.words.losses import Loss
from fastmlp.words.optimizers import Optimizer

Array = NDArray[Any]


class Plan(NamedTuple):
    """The epochs of a call: orders (E, M), batches of B samples, so many an epoch; the number of the first.

    lr: of all batches, or (E * batches,).
    """

    orders: NDArray[np.int64]
    B: int
    batches: int
    lr: float | NDArray[np.float64]
    epoch: int
    midway: Midway | None

    def part(self, first: int, end: int) -> Self:
        """Epochs first..end - 1 of these, from the beginning."""
        lr = self.lr
        if not isinstance(lr, float):
            lr = lr[first * self.batches : end * self.batches]
        return self._replace(
            orders=self.orders[first:end], lr=lr, epoch=self.epoch + first, midway=self.midway
        )

    def rates_of(self, e: int) -> float | NDArray[np.float64]:
        """The rate of all batches of epoch e of these, or (batches,)."""
        if isinstance(self.lr, float):
            return self.lr
        return self.lr[e * self.batches :][: self.batches]


class BaseSession:
    """A training on N rows: its net, whose parameters it trains in place, its targets, and its words."""

    def __init__(
        self,
        net: Net,
        N: int,
        y: ArrayLike,
        *,
        loss: str,
        label_smoothing: float,
        batch_size: int,
        optimizer: Optimizer,
        state: OptimizerState | None,
        sample_weight: ArrayLike | None,
        seed: int,
        squares: bool,
    ) -> None:
        self.net, self.N, self.loss = net, N, Loss.of(loss, label_smoothing)
        self.y = checked_targets(net, y, N, self.loss)
        if np.may_share_memory(self.y, np.asarray(y)):
            self.y = self.y.copy()  # compiled code takes classes for places
        self.weights = checked_weights(sample_weight, N, net.parameters.dtype)
        self.batch_size = whole_number("batch_size", batch_size, 1, 2**31 - 1)
        self.optimizer = instance("optimizer", optimizer, Optimizer)
        self.state = OptimizerState.start(net.parameters, optimizer) if state is None else state
        instance("state", self.state, OptimizerState)
        self.seed, self.squares = checked_draw(seed, 1)[0], flag("squares", squares)
        self._checked: object = None  # the moments that are known to fit

    def _plan(
        self,
        orders: ArrayLike,
        lr: Any,
        epoch: int,
        watch: Watch | None,
        progress: Callable[[int], None] | None,
        midway: Midway | None,
        pause: Pause | None,
    ) -> Plan:
        """The Plan of a call, if its arguments are right."""
        rows = as_array("order", orders)
        if rows.ndim == 2 and len(rows) > 0:
            each: Array = checked_order(rows.reshape(-1), self.N).reshape(rows.shape)
        else:
            each = checked_order(rows, self.N)[None]
        E, M = len(each), each.shape[1]
        if (E > 1 or self.squares) and not (midway is None and pause is None):
            raise ConfigError(
                "midway and pause must be None for several epochs, and where squares are added up"
            )
        B = min(self.batch_size, M)
        batches = -(-M // B)
        epoch = whole_number("epoch", epoch, 0, 2**32 - E)
        function("progress", progress)
        function("pause", pause)
        if watch is not None:
            instance("watch", watch, Watch)
        if self._checked is not self.state.moments:
            self.state.check(self.net.parameters, self.optimizer)
            self._checked = self.state.moments
        if midway is not None:
            check_midway(midway, self.net.parameters, len(self.state.moments), B, M)
        return Plan(each, B, batches, _rates(lr, E, batches), epoch, midway)


def _rates(lr: Any, E: int, batches: int) -> float | NDArray[np.float64]:
    """The rate of all batches, or (E * batches,): ``lr`` may also be one for each of several epochs."""
    items = as_list(lr)
    if items is not None and len(items) == E:
        return np.repeat(checked_rates(items, E), batches)
    return checked_rates(lr, E * batches)


def diverged(what: str, batch: int) -> DivergedError:
    """The error of a loss, or of weights, that went non-finite in a batch, from 1."""
    error = DivergedError(f"the {what} must stay finite", f"nan or infinity in batch {batch}")
    error.batch = batch
    return error
