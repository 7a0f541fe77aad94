"""A training that goes on from call to call: the epochs of the reference, one batch after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.backends.session import BaseSession, Plan, diverged
from fastmlp.backends.state import OptimizerState, rates
from fastmlp.backends.threads import Threads
from fastmlp.backends.types import EpochTotals, Midway, Pause, Watch, seconds_of
from fastmlp.errors import DivergedError
from fastmlp.net import Net, Parameters
from fastmlp.reference.rows import batches, checked
from fastmlp.reference.workspace import Workspace
from fastmlp.words.optimizers import PLAIN, Optimizer

Array = NDArray[Any]


class Session(BaseSession):
    """A training of the net's parameters, in place, on X (N, D) and targets y as the loss takes them.

    Its words are those of ``train_epoch``, and stay the same. squares: count as scikit-learn does.
    ``EpochTotals.squares`` is filled; and where the weights of a batch of n samples have the sum s, its mean
    loss counts n times in the epoch's, its squares n / s times, and alpha is divided by s in place of n.
    """

    def __init__(
        self,
        net: Net,
        X: ArrayLike,
        y: ArrayLike,
        *,
        loss: str = "logits",
        label_smoothing: float = 0.0,
        batch_size: int = 100,
        optimizer: Optimizer = PLAIN,
        state: OptimizerState | None = None,
        sample_weight: ArrayLike | None = None,
        threads: Threads = 1,
        seed: int = 0,
        squares: bool = False,
    ) -> None:
        self.X = checked(net, X)
        super().__init__(
            net, len(self.X), y, loss=loss, label_smoothing=label_smoothing, batch_size=batch_size,
            optimizer=optimizer, state=state, sample_weight=sample_weight, seed=seed, squares=squares,
        )  # fmt: skip

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
        """Train epochs ``epoch``, ``epoch`` + 1, ..., and return the totals of each.

        orders: (E, M) row numbers of E epochs, or (M,) of one. lr: a rate, (E,) of each epoch, or
        (E * batches,) of each batch. watch: ends the training after the epoch at which it stops. progress: is
        told the samples done so far, of all epochs. midway, pause: of a single epoch, as in ``train_epoch``.
        Reads the net's parameters and the state as they are now. Raises DivergedError, with ``epoch``,
        ``batch`` and ``finished``; the parameters and the state are then those after the last good epoch.
        """
        plan = self._plan(orders, lr, epoch, watch, progress, midway, pause)
        finished: list[EpochTotals] = []
        for e, order in enumerate(plan.orders):
            try:
                totals = self._epoch(e, order, plan, progress, pause)
            except DivergedError as error:
                error.epoch, error.finished = plan.epoch + e, finished
                raise
            finished.append(totals)
            watch = watch and watch.after(totals)
            if watch is not None and watch.stops:
                break
        return finished

    def _epoch(
        self, e: int, order: Array, plan: Plan, progress: Callable[[int], None] | None, pause: Pause | None
    ) -> EpochTotals:
        """Epoch e of the plan; raises DivergedError, with the parameters and the state as before it."""
        y, weights, M, first = self.y, self.weights, len(order), e * len(order)
        parameters, averages = self.net.parameters, self.state.moments
        if plan.midway is not None:
            parameters, averages = plan.midway.parameters, plan.midway.moments
        trained, moments = parameters.copy(), tuple(moment.copy() for moment in averages)
        work = Workspace(replace(self.net, parameters=trained), self.X, plan.B, self.seed, plan.epoch + e)
        done, total, weighed, correct, live, squares = 0, 0.0, 0.0, 0, 0, 0.0
        if plan.midway is not None:
            done, total = plan.midway.samples, plan.midway.loss
            correct, live = plan.midway.correct, plan.midway.live

        def take() -> Midway:
            averages = tuple(moment.copy() for moment in moments)
            return Midway(done, total, correct, live, trained.copy(), averages)

        due = -math.inf
        per_step = rates(self.optimizer, plan.rates_of(e), self.state.steps, plan.batches)
        with np.errstate(over="ignore", invalid="ignore"):
            for batch, rows in enumerate(batches(M, plan.B)):
                picked = order[rows]
                mine = None if weights is None else weights[picked]
                n, weight = len(picked), len(picked) if mine is None else float(mine.sum(dtype=np.float64))
                counts = n if self.squares else weight  # the batch, among the others
                weighed += counts
                if rows.start < done:
                    continue
                if pause is not None and monotonic() >= due:
                    due = seconds_of(pause, take) + monotonic()
                scale = counts / weight if weight else 0.0  # of rows that do not count, nothing
                squares += _squares(trained) * scale if self.squares else 0.0
                losses, hits, unclipped = work.step(picked, y[picked], self.loss, mine, rows.start)
                batch_loss = float((losses if mine is None else losses * mine).sum(dtype=np.float64))
                if mine is None or mine.any():
                    work.update(
                        self.optimizer, moments, per_step[batch].tolist(), weight if self.squares else n
                    )
                if not np.isfinite(batch_loss) or not trained.finite:
                    raise diverged("weights" if np.isfinite(batch_loss) else "loss", batch + 1)
                done, total = rows.stop, total + batch_loss * scale
                correct, live = correct + hits, live + unclipped
                if progress is not None and (batch % 10 == 0 or rows.stop == M):
                    progress(first + rows.stop)
        self.state.steps += len(per_step)  # before the rest: where it is as it was, all is
        for old, new in zip((self.net.parameters, *self.state.moments), (trained, *moments), strict=True):
            for array, value in zip(old, new, strict=True):
                array[...] = value
        return EpochTotals(
            total / (weighed or 1.0), correct, live, M, 1, self.loss.labels(y.shape[-1]), squares
        )


def _squares(parameters: Parameters) -> float:
    """Sum of the squares of all weights."""
    return sum(float(np.square(W, dtype=np.float64).sum()) for W in parameters.weights)
