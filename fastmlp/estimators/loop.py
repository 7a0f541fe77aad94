"""The epochs of one call of fit or partial_fit: what each leaves in the estimator, and when they end."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastmlp.backends.threads import ThreadTuner, at_work
from fastmlp.backends.types import EpochTotals, Watch
from fastmlp.display.bar import Show, bar
from fastmlp.errors import DivergedError
from fastmlp.estimators.judges import HeldOutJudge, LossJudge
from fastmlp.estimators.orders import Orders
from fastmlp.estimators.split import Split
from fastmlp.estimators.words import BATCH
from fastmlp.net import Net
from fastmlp.train.epochs import Trainer

_OUT = 5  # calls from a warning here to scikit-learn's wrapper of fit, by whose module programs filter
_COUNTS = "n_iter_", "t_", "loss_", "best_loss_", "_no_improvement_count"


class Counted(NamedTuple):
    """The counts of an estimator before an epoch: attributes, and what the next epochs begin with."""

    number: int
    counts: dict[str, Any]
    watch: Watch | None
    learning_rate: float
    used: int


@dataclass(eq=False)
class Loop:
    """Trains the net's parameters in place on the split, as the estimator says, and fills its curves.

    dtype:       of the estimator's coefs_, which are the net's parameters themselves where it is theirs too.
    incremental: one epoch of partial_fit, which need not converge.
    new:         the weights are the first ones.
    before:      what is counted where several epochs, which are trained at once, begin.
    """

    estimator: Any
    nn: ModuleType
    net: Net
    split: Split
    orders: Orders
    tuner: ThreadTuner
    dtype: np.dtype[Any]
    incremental: bool
    new: bool
    before: Counted | None = None

    def __post_init__(self) -> None:
        est, split, n = self.estimator, self.split, len(self.split.train)
        if est.batch_size != "auto" and est.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped: "
                f"{est.batch_size} to the {n} rows to train on.",
                stacklevel=_OUT + 1,
            )
        self.rows, self.epochs = n, 1 if self.incremental else int(est.max_iter)
        alpha = split.in_unit(est.alpha)
        self.penalty = 0.5 * alpha / n
        self.judge: LossJudge | HeldOutJudge
        if split.held is None:
            self.judge = LossJudge(est, self.penalty)
        else:
            self.judge = HeldOutJudge(est, self.nn, self.net, split.held, self.tuner, self.new, self._say)
        self.trainer = Trainer(
            self.nn, self.net, split.X, split.y, loss=est._capped_loss(),
            batch_size=min(BATCH if est.batch_size == "auto" else int(est.batch_size), n),
            optimizer=est._optimizer.penalised(alpha), state=est._optimizer.state,
            tuner=self.tuner, sample_weight=split.weights, seed=est._seed, squares=True,
        )  # fmt: skip

    def run(self) -> None:
        """Train until max_iter, or a reason to stop before. Raises ValueError where training diverges."""
        est = self.estimator
        est.n_iter_ = 0
        if self.new:
            self._store()
        try:
            with at_work():
                stopped = self._counted()
        except KeyboardInterrupt:
            stopped = True
            warnings.warn(f"Training interrupted by user after {est.n_iter_} epochs.", stacklevel=_OUT)
        except DivergedError as error:
            stopped = True
            self._diverged(error)
        finally:
            self.orders.give_back()
            self._store()
        if not (stopped or self.incremental):
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.epochs}) reached and the optimization "
                "hasn't converged yet. Increase max_iter.",
                ConvergenceWarning, stacklevel=_OUT,
            )  # fmt: skip

    def _counted(self) -> bool:
        """``_epochs``; whatever interrupts it, the epochs counted are those of which the weights are."""
        try:
            return self._epochs()
        except DivergedError:
            raise
        except BaseException:
            if self.orders.ahead:
                self._count_again()
            raise

    def _epochs(self) -> bool:
        """Train; returns True where training was stopped before the last epoch."""
        est = self.estimator
        with bar(self.epochs) if est.progress else nullcontext() as show:
            progress = None if show is None else self._within(show)
            self.orders.ahead = self._nobody_looks()
            while est.n_iter_ < self.epochs:
                number = len(est.loss_curve_) + 1
                for epoch in self.trainer.epochs(
                    range(number, number + self.epochs - est.n_iter_), self._order, self._lr,
                    progress=progress, watch=self.judge.watch if self.orders.ahead else None,
                ):  # fmt: skip
                    self._note(epoch.totals)
                    if show is not None:
                        show(est.n_iter_, f"loss {est.loss_:.4f}")
                    self._say(f"Iteration {est.n_iter_}, loss = {est.loss_:.8f}")
                    self.judge.see(epoch.totals)
                    est._optimizer.end_epoch(est.t_)
                    if est.callbacks:
                        est._store(self.net.parameters, self.dtype)
                    told = [callback(est) is True for callback in est.callbacks or ()]
                    if any(told) or self._has_to_stop():
                        return True
                self.orders.give_back()
        return False

    def _nobody_looks(self) -> bool:
        """Say whether many epochs may be one compiled call."""
        est = self.estimator
        return self.judge.watch is not None and not (est.verbose or est.callbacks or est.progress)

    def _store(self) -> None:
        """Make the weights the estimator's: the best, where they are judged."""
        self.estimator._store(self.judge.best or self.net.parameters, self.dtype)

    def _within(self, show: Show) -> Callable[[int, int], None]:
        return lambda _, done: show(self.estimator.n_iter_ + min(done / self.rows, 0.999))

    def _order(self, number: int) -> NDArray[np.int64]:
        """The order of an epoch. Where all before it are counted, what they came to is kept."""
        est, optimizer = self.estimator, self.estimator._optimizer
        if self.orders.ahead and number == len(est.loss_curve_) + 1:
            counts = {name: getattr(est, name) for name in _COUNTS if hasattr(est, name)}
            self.before = Counted(number, counts, self.judge.watch, optimizer.learning_rate, self.orders.used)
        return self.orders(number)

    def _count_again(self) -> None:
        """Count epochs that were trained at once, from where they began: not all may be, or half of one."""
        before, est = self.before, self.estimator
        if before is None:
            return
        del est.loss_curve_[before.number - 1 :]
        vars(est).update(before.counts)
        self.judge.watch, est._optimizer.learning_rate, self.orders.used = before[2:]
        number, told = self.trainer.ahead or (0, [])
        for totals in told if number == before.number else ():
            self._count(totals)

    def _count(self, totals: EpochTotals) -> None:
        est = self.estimator
        self._note(totals)
        self.judge.see(totals)
        est._optimizer.end_epoch(est.t_)

    def _lr(self, number: int) -> float:
        """The rate of an epoch, which may lie ahead of the next one."""
        est, optimizer = self.estimator, self.estimator._optimizer
        ahead = number - 1 - len(est.loss_curve_)
        return float(optimizer.rate_after(est.t_ + ahead * self.rows) if ahead else optimizer.learning_rate)

    def _note(self, totals: EpochTotals) -> None:
        est = self.estimator
        est.loss_ = np.float64(totals.loss / est._loss_parts() + self.penalty * totals.squares)
        est.loss_curve_.append(est.loss_)
        est.n_iter_ += 1
        est.t_ += totals.samples
        self.orders.used += 1

    def _diverged(self, error: DivergedError) -> None:
        """Keep the best weights before, if rows are held out. Raises ValueError if none are."""
        est = self.estimator
        why = f"training diverged in epoch {est.n_iter_ + 1}: {error.must}; got {error.got}."
        if isinstance(self.judge, LossJudge):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and "
                f"need to be preprocessed. Or use a smaller learning_rate_init than "
                f"{est.learning_rate_init:g}: {why}"
            ) from error
        est.loss_curve_.append(math.nan)
        self.judge.note(math.nan, math.nan)
        est.n_iter_ += 1
        told = f"{why[0].upper()}{why[1:]} The best weights before are kept."
        warnings.warn(told, ConvergenceWarning, stacklevel=_OUT + 1)

    def _has_to_stop(self) -> bool:
        """Return True where training gets no better, unless it can go on at a lower rate."""
        est = self.estimator
        if est._no_improvement_count <= est.n_iter_no_change:
            return False
        what = f"{self.judge.subject} did not improve more than tol={est.tol:f}"
        text = f"{what} for {est.n_iter_no_change} consecutive epochs."
        if est._optimizer.slow_down():
            self.judge.forgive()
            self._say(f"{text} Setting learning rate to {est._optimizer.learning_rate:f}.")
            return False
        self._say(f"{text} Stopping.")
        return True

    def _say(self, line: str) -> None:
        if self.estimator.verbose:
            print(line)  # noqa: T201  # scikit-learn's custom
