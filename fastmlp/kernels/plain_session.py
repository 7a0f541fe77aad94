"""A training of a net of float64 that goes on from call to call: many epochs in one compiled call."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.backends.session import BaseSession, Plan, diverged
from fastmlp.backends.state import OptimizerState, rates
from fastmlp.backends.types import EpochTotals, Midway, Pause, Watch, seconds_of
from fastmlp.kernels import plain_loops as loops
from fastmlp.kernels.looks import numbers_of
from fastmlp.kernels.plain_layout import Room, data_of, limits_of, rows_of
from fastmlp.kernels.rules import loss_of, rule_of
from fastmlp.net import Net
from fastmlp.words.optimizers import PLAIN, Optimizer

Array = NDArray[Any]

SECONDS = 0.05  # of a compiled call: a person's Ctrl-C waits no longer
_GUESS = 1e10  # multiplications in a second, before one was measured


class PlainSession(BaseSession):
    """A Session whose net is of float64."""

    def __init__(
        self,
        net: Net,
        X: Any,
        y: ArrayLike,
        *,
        loss: str = "logits",
        label_smoothing: float = 0.0,
        batch_size: int = 100,
        optimizer: Optimizer = PLAIN,
        state: OptimizerState | None = None,
        sample_weight: ArrayLike | None = None,
        seed: int = 0,
        squares: bool = False,
    ) -> None:
        data = data_of(net, X)
        super().__init__(
            net, data.shape[0], y, loss=loss, label_smoothing=label_smoothing, batch_size=batch_size,
            optimizer=optimizer, state=state, sample_weight=sample_weight, seed=seed, squares=squares,
        )  # fmt: skip
        self._room = Room(net, min(self.batch_size, self.N), draw=(self.seed, 1))
        theta, running = self._room.space.theta, self._room.running
        self._averages = [np.zeros_like(theta) for _ in range(optimizer.moments)]
        self._before = np.empty(len(theta) * (1 + optimizer.moments) + len(running))
        self._limits, self._rows = limits_of(net, optimizer), rows_of(data, net.preprocessing)
        self._loss = loss_of(self.loss, self.y, net.architecture.outputs, self.weights, np.float64)
        self._pace = 0.0  # batches in a second

    def train(
        self,
        orders: ArrayLike,
        lr: float | Array = 0.01,
        *,
        epoch: int = 1,
        watch: Watch | None = None,
        progress: Callable[[int], None] | None = None,
        midway: Midway | None = None,
        pause: Pause | None = None,
    ) -> list[EpochTotals]:
        """Train epochs ``epoch``, ``epoch`` + 1, ...: see ``Session.train``."""
        plan = self._plan(orders, lr, epoch, watch, progress, midway, pause)
        room, net, state = self._room, self.net, self.state
        first, moments = net.parameters, state.moments
        if midway is not None:
            first, moments = midway.parameters, midway.moments
        room.put(first, room.space.theta, room.running)
        for flat, moment in zip(self._averages, moments, strict=True):
            room.put(moment, flat)
        (E, M), begun = plan.orders.shape, 0 if midway is None else midway.samples
        found = rates(self.optimizer, plan.lr, state.steps, E * plan.batches).reshape(-1)
        rule = rule_of(self.optimizer, list(self._averages), np.float64)._replace(rates=found)
        job = loops.Training(
            orders=plan.orders.reshape(-1), M=M, B=plan.B, totals=np.zeros(E * loops.COLUMNS),
            epoch=plan.epoch, before=self._before, squares=self.squares,
        )  # fmt: skip
        now, numbers = np.array([0, begun], np.int64), numbers_of(watch)
        totals = job.totals.reshape(E, -1)
        if midway is not None:
            done = plan.orders[0, :begun]
            mass = begun if self.weights is None else float(self.weights[done].sum())
            totals[0, : loops.SQUARES] = midway.loss, mass, midway.correct, midway.live

        def take() -> Midway:
            loss, _, correct, live, _ = totals[0].tolist()
            parameters = room.take(room.space.theta, net.parameters.copy(), room.running)
            copies = (moment.copy() for moment in moments)
            averages = tuple(map(room.take, self._averages, copies))
            return Midway(int(now[1]), loss, int(correct), int(live), parameters, averages)

        due, how = -np.inf, loops.FINE
        while now[1] >= 0 and how == loops.FINE:
            seconds = SECONDS
            if pause is not None:
                if monotonic() >= due:
                    due = seconds_of(pause, take) + monotonic()
                seconds = max(0.0, min(seconds, due - monotonic()))
            most = self._batches_in(seconds)
            if progress is not None:
                most = min(most, plan.batches - int(now[1]) // plan.B)
            how = self._slice(rule, job, now, numbers, most)
            if progress is not None and how == loops.FINE:
                progress(int(now[0]) * M + max(0, int(now[1])))
        return self._finished(plan, totals, now, how)

    def _batches_in(self, seconds: float) -> int:
        """Batches that can be done in so many seconds; one at least."""
        pace = self._pace or _GUESS / (
            len(self._room.space.theta) * 3 * min(self.batch_size, self.N) + 10_000
        )
        return max(1, int(pace * seconds))

    def _slice(self, rule: Any, job: Any, now: Array, watch: Array, most: int) -> int:
        """A compiled call of so many batches, and how it ended."""
        room, started, before = self._room, perf_counter(), _batches(now, job)
        how = loops.train(
            room.layout, room.space, self._rows, self._loss, rule, self._limits, job, now, watch, most
        )
        self._pace = (_batches(now, job) - before or 1) / (perf_counter() - started)
        return int(how)

    def _finished(self, plan: Plan, totals: Array, now: Array, how: int) -> list[EpochTotals]:
        """Totals of the epochs that are done, whose parameters and state are the net's now."""
        done, room, state = int(now[0]), self._room, self.state
        labels, M = self.loss.labels(self.net.architecture.outputs), plan.orders.shape[1]
        found = [
            EpochTotals(loss, int(correct), int(live), M, 1, labels, squares)
            for loss, _, correct, live, squares in totals[:done].tolist()
        ]
        if done:
            state.steps += done * plan.batches  # before the rest: where it is as it was, all is
            room.take(room.space.theta, self.net.parameters, room.running)
            for moment, flat in zip(state.moments, self._averages, strict=True):
                room.take(flat, moment)
        if how != loops.FINE:
            what = "loss" if how == loops.LOSS_BAD else "weights"
            error = diverged(what, int(now[1]) // plan.B + 1)
            error.epoch, error.finished = plan.epoch + done, found
            raise error
        return found


def _batches(now: Array, job: Any) -> int:
    """The batches that are done."""
    per_epoch = -(-job.M // job.B)
    return int(now[0]) * int(per_epoch) + max(0, int(now[1])) // int(job.B)
