"""A training that goes on from call to call: what its epochs have in common is made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastmlp.backends.checks import check_inputs
from fastmlp.backends.session import BaseSession, Plan, diverged
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import Threads, ThreadTuner
from fastmlp.backends.types import EpochTotals, Midway, Pause, Watch
from fastmlp.checks import instance
from fastmlp.data.encode import Encoded, encode
from fastmlp.errors import DivergedError
from fastmlp.kernels import launch, layout, rules
from fastmlp.kernels.optimizers import averages
from fastmlp.kernels.plain import is_plain
from fastmlp.kernels.plain_session import PlainSession
from fastmlp.net import Net
from fastmlp.words.optimizers import PLAIN, Optimizer

Array = NDArray[Any]


class Session(BaseSession):
    """A training of the net's parameters, in place, on X (N, D) and targets y as the loss takes them.

    Its words are those of ``train_epoch``, and stay the same. squares: count as scikit-learn does.
    ``EpochTotals.squares`` is filled; and where the weights of a batch of n samples have the sum s, its mean
    loss counts n times in the epoch's, its squares n / s times, and alpha is divided by s in place of n.
    """

    def __new__(cls, net: Net, X: Any, y: ArrayLike, threads: Threads = 1, **words: Any) -> Any:
        """A ``PlainSession`` for a net of float64."""
        return PlainSession(net, X, y, **words) if is_plain(net) else super().__new__(cls)

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
        threads: Threads = 1,
        seed: int = 0,
        squares: bool = False,
    ) -> None:
        self.X, self.pace = taken(net, X, threads)
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
        net, X, K, first = self.net, self.X, self.net.architecture.outputs, e * len(order)
        parameters, moments = net.parameters, self.state.moments
        if plan.midway is not None:
            parameters, moments = plan.midway.parameters, plan.midway.moments
        work = layout.build(net, X, plan.B, self.pace.most, parameters, (self.seed, plan.epoch + e))
        steps = rules.steps_of(
            net, self.optimizer, plan.rates_of(e), work, self.state.steps, moments, plan.batches
        )
        rows = layout.rows_of(X, net.preprocessing, net.architecture.input_dropout)
        job = launch.training_job(
            rows, order, launch.loss_of(self.loss, self.y, K, self.weights), plan.B, steps
        )
        tell = progress and (lambda done: progress(first + done))
        totals, bad = launch.train(work, X, job, self.pace, tell, plan.midway, pause)
        if bad is not None:
            raise diverged(*bad)
        self.state.steps += plan.batches  # before the rest: where it is as it was, all is
        layout.trained_into(work, net.parameters)
        for moment, flat in zip(self.state.moments, averages(steps.rule), strict=True):
            layout.unpack_into(work.layout, flat, moment)
        return totals._replace(labels=self.loss.labels(K))


def taken(net: Net, X: Any, threads: Threads, *, once: bool = False) -> tuple[Encoded, ThreadTuner]:
    """X encoded, and the threads, if all of it fits the net; else as backends/checks.py says."""
    done = instance("net", net, Net).preprocessing
    encoded = encode(X, once=once, centred=done.mean is not None or done.by_column)
    check_inputs(net, encoded.shape)
    return encoded, threads if isinstance(threads, ThreadTuner) else ThreadTuner(threads)
