"""A training that goes on from call to call: what its epochs have in common is made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastmlp.backends.session import BaseSession, Plan, diverged
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import Threads
from fastmlp.backends.types import EpochTotals, Midway, Pause, Watch
from fastmlp.errors import DivergedError
from fastmlp.kernels import launch, layout, rules
from fastmlp.kernels.batch_norm import running_pairs
from fastmlp.kernels.optimizers import averages
from fastmlp.kernels.plain import is_plain
from fastmlp.kernels.plain_session import PlainSession
from fastmlp.kernels.reader import taken
from fastmlp.net import Net, Parameters
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
        shape = net.architecture
        self._draws = bool(shape.input_dropout or any(layer.dropout for layer in shape.layers))
        self._kept: Kept | None = None
        self._P = sum(array.size for array in net.parameters)

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
        E, M = plan.orders.shape
        if E == 1 or not self._draws:
            return self._train(plan, watch, progress, pause)
        finished: list[EpochTotals] = []  # what a step leaves out is drawn by the epoch: a pass has one
        for e in range(E):
            tell = None if progress is None else partial(_shifted, progress, e * M)
            try:
                finished += self._train(plan.part(e, e + 1), watch, tell, None)
            except DivergedError as error:
                error.finished = finished
                raise
            watch = watch and watch.after(finished[-1])
            if watch is not None and watch.stops:
                break
        return finished

    def _train(
        self, plan: Plan, watch: Watch | None, progress: Callable[[int], None] | None, pause: Pause | None
    ) -> list[EpochTotals]:
        """The epochs of a plan, in one pass."""
        kept = self._laid_out(plan)
        taken = len(plan.orders) * plan.batches
        steps = rules.rated(kept.steps, self.optimizer, plan.lr, self.state.steps, taken)
        squares = int(kept.work.layout.fan_in.sum()) if self.squares else 0
        job = launch.training_job(kept.rows, plan.orders, kept.loss, plan.B, steps, watch, squares)
        self._kept = None  # where a pass ends otherwise, it may leave anything behind, in the padding too
        done, bad = launch.train(kept.work, kept.parts, job, self.pace, progress, plan.midway, pause)
        if bad is not None:
            raise self._diverged(plan, *bad)
        self._kept = kept
        self.state.steps += len(done) * plan.batches  # before the rest: where it is as it was, all is
        kept.write(self.net.parameters, self.state.moments)
        labels = self.loss.labels(self.net.architecture.outputs)
        return done if labels == 1 else [totals._replace(labels=labels) for totals in done]

    def _diverged(self, plan: Plan, what: str, batch: int) -> DivergedError:
        """The error of that batch of a plan, the epochs before which are trained again, and kept."""
        good, place = divmod(batch - 1, plan.batches)
        error = diverged(what, place + 1)
        error.epoch = plan.epoch + good
        error.finished = self._train(plan.part(0, good), None, None, None) if good else []
        return error

    def _laid_out(self, plan: Plan) -> Kept:
        """The arrays for batches of that size, as the plan begins."""
        members = 1 if launch.is_tiny(plan.orders.size, plan.B, self._P) else self.pace.most
        if self._kept is None or self._kept.B < plan.B or self._kept.work.members < members:
            self._kept = Kept(self, plan.B, members)
        if plan.midway is None:
            self._kept.read(self.net.parameters, self.state.moments, plan.epoch)
        else:
            self._kept.read(plan.midway.parameters, plan.midway.moments, plan.epoch)
        return self._kept


def _shifted(progress: Callable[[int], None], first: int, done: int) -> None:
    progress(first + done)


class Kept:
    """The arrays for batches of at most B rows and a team of at most so many, and the place of each parameter
    and average in them.
    """

    def __init__(self, session: Session, B: int, members: int) -> None:
        net, X, K = session.net, session.X, session.net.architecture.outputs
        self.B, self.work = B, layout.build(net, X, B, members, draw=(session.seed, 1))
        self.steps = rules.steps_of(net, session.optimizer, self.work)
        self.rows = layout.rows_of(X, net.preprocessing, net.architecture.input_dropout)
        self.loss = rules.loss_of(session.loss, session.y, K, session.weights)
        self.parts = launch.Parts(X, self.rows, self.work.layout, bool(self.steps.limits.shorten))
        self._of: Any = None, None
        self._pairs: list[tuple[Array, Array]] = []
        self._transposes: list[tuple[Array, Array]] = []

    def read(self, parameters: Parameters, moments: tuple[Parameters, ...], epoch: int) -> None:
        """Lay out the parameters and the averages as they are, for an epoch of that number."""
        for place, array in (*self._paired(parameters, moments), *self._transposes):
            place[...] = array
        self.work.draw.numbers[2:] = epoch

    def write(self, parameters: Parameters, moments: tuple[Parameters, ...]) -> None:
        """Put what has been trained into the parameters and the averages."""
        for place, array in self._paired(parameters, moments):
            array[...] = place

    def _paired(self, parameters: Parameters, moments: tuple[Parameters, ...]) -> list[tuple[Array, Array]]:
        """Each array of these, and its place, first."""
        if self._of[0] is not parameters or self._of[1] is not moments:
            flats = self.work.weights.theta, *averages(self.steps.rule)
            each = zip(flats, (parameters, *moments), strict=True)
            self._pairs = [
                pair for flat, values in each for pair in layout.paired(self.work.layout, flat, values)
            ]
            self._pairs += running_pairs(self.work.norms, parameters)
            self._transposes = layout.transposes(self.work, parameters)
            self._of = parameters, moments
        return self._pairs
