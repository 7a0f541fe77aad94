"""The epochs of one call of fit or partial_fit: what each leaves in the estimator, and when they end."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastmlp.backends.threads import ThreadTuner, at_work
from fastmlp.backends.types import EpochTotals
from fastmlp.display.bar import Show, bar
from fastmlp.errors import DivergedError
from fastmlp.estimators.split import HeldOut, Split
from fastmlp.net import Net, Parameters
from fastmlp.random import permutation
from fastmlp.reference import loss_and_delta
from fastmlp.train.epochs import Trainer
from fastmlp.words.losses import Loss

_OUT = 5  # calls from a warning here to the caller of fit


@dataclass(eq=False)
class Loop:
    """Trains the net's parameters in place on the split, as the estimator says, and fills its curves.

    epochs:  the most of them.
    incremental: for partial_fit, which need not converge.
    """

    estimator: Any
    nn: ModuleType
    net: Net
    split: Split
    epochs: int
    tuner: ThreadTuner
    incremental: bool

    def __post_init__(self) -> None:
        est, split, n = self.estimator, self.split, len(self.split.train)
        if est.batch_size != "auto" and est.batch_size > n:
            warnings.warn(
                f"batch_size={est.batch_size} is more than the {n} rows to train on: they are one batch.",
                stacklevel=_OUT + 1,
            )
        self.parameters = self.net.parameters
        self.squares = self._squares()
        self.trainer = Trainer(
            self.nn, self.net, split.X, split.y, loss=est._loss(),
            batch_size=min(200 if est.batch_size == "auto" else int(est.batch_size), n),
            optimizer=est._optimizer.penalised(est.alpha * n / split.total), state=est._optimizer.state,
            tuner=self.tuner, sample_weight=split.weights,
        )  # fmt: skip

    def run(self) -> None:
        """Train until ``epochs``, or a reason to stop before. Raises ValueError where training diverges."""
        est = self.estimator
        est.n_iter_ = 0
        est._store(self.parameters)
        self.best = self._best_so_far()
        try:
            with at_work():
                stopped = self._epochs()
        except KeyboardInterrupt:
            if not est.n_iter_:
                raise
            stopped = True
            warnings.warn(f"Training was interrupted after {est.n_iter_} epochs.", stacklevel=_OUT)
        except DivergedError as error:
            why = (
                f"Training diverged in epoch {est.n_iter_ + 1}: {error.must}; got {error.got}. Use a smaller "
                f"learning_rate_init than {est.learning_rate_init:g}, or inputs that are scaled."
            )
            if self.best is None or not est.n_iter_:
                raise ValueError(why) from error
            stopped = True
            est.loss_curve_.append(math.nan)
            self._note_validation(math.nan, math.nan)
            est.n_iter_ += 1
            warnings.warn(f"{why} The best weights before are kept.", ConvergenceWarning, stacklevel=_OUT)
        if self.best is not None:
            est._store(self.best)
        if not (stopped or self.incremental):
            warnings.warn(
                f"Training ended at max_iter={self.epochs} epochs and had not converged: increase max_iter.",
                ConvergenceWarning, stacklevel=_OUT,
            )  # fmt: skip

    def _epochs(self) -> bool:
        """Train; returns True where training was stopped before the last epoch."""
        est, n = self.estimator, len(self.split.train)
        numbers = range(len(est.loss_curve_) + 1, len(est.loss_curve_) + 1 + self.epochs)
        with bar(self.epochs) if est.progress else nullcontext() as show:
            progress = None if show is None else self._within(show, n)
            for epoch in self.trainer.epochs(numbers, self._order, self._lr, progress=progress):
                self._note(epoch.totals)
                if show is not None:
                    show(est.n_iter_, f"loss {est.loss_:.4f}")
                self._say(f"Iteration {est.n_iter_}, loss = {est.loss_:.8f}")
                if self.split.held is None:
                    self._judge_loss()
                elif self._judge_held_out(self.split.held):
                    self.best = self.parameters.copy()
                est._optimizer.end_epoch(est.t_)
                told = [callback(est) is True for callback in est.callbacks or ()]  # all of them are called
                if any(told) or self._has_to_stop():
                    return True
        return False

    def _within(self, show: Show, n: int) -> Callable[[int, int], None]:
        return lambda _, done: show(self.estimator.n_iter_ + min(done / n, 0.999))

    def _order(self, number: int) -> NDArray[np.int64]:
        est, rows = self.estimator, self.split.train
        return rows[permutation(len(rows), est._seed, "order", number)] if est.shuffle else rows

    def _lr(self, number: int) -> float:
        return float(self.estimator._optimizer.learning_rate)

    def _note(self, totals: EpochTotals) -> None:
        est = self.estimator
        est.loss_ = totals.loss / est._loss_parts() + self._penalty()
        est.loss_curve_.append(est.loss_)
        est.n_iter_ += 1
        est.t_ += totals.samples

    def _penalty(self) -> float:
        """Mean penalty over the epoch's batches, as if the weights went in a line from first to last."""
        batches = -(-len(self.split.train) // self.trainer.batch_size)
        before, self.squares = self.squares, self._squares()
        mean = before + (self.squares - before) * (batches - 1) / (2 * batches)
        return float(0.5 * self.estimator.alpha * mean * batches / self.split.total)

    def _squares(self) -> float:
        """Sum of the squares of all weights; biases are not penalised."""
        if not self.estimator.alpha:
            return 0.0
        return float(sum(np.square(W, dtype=np.float64).sum() for W in self.parameters.weights))

    # --- when to stop ---------------------------------------------------------------------------

    def _best_so_far(self) -> Parameters | None:
        """First weights, a warm start's with their score; None where no rows are held out."""
        est = self.estimator
        if self.split.held is None:
            est.best_loss_ = math.inf if est.best_loss_ is None else est.best_loss_
            est.validation_scores_ = est.validation_loss_curve_ = est.best_validation_score_ = None
            return None
        est.best_loss_, est.best_validation_score_ = None, -math.inf
        est.validation_scores_ = est.validation_scores_ or []
        est.validation_loss_curve_ = est.validation_loss_curve_ or []
        if est.loss_curve_:
            est.best_validation_score_ = self._validation(self.split.held)[0]
        return self.parameters.copy()

    def _judge_held_out(self, held: HeldOut) -> bool:
        """Score the weights by the rows held out; returns True where they are the best so far."""
        est = self.estimator
        score, loss = self._validation(held)
        self._note_validation(score, loss)
        self._say(f"Validation score: {score:.6f}")
        best = est.best_validation_score_
        est._no_improvement_count = est._no_improvement_count + 1 if score < best + est.tol else 0
        if not score > best:
            return False
        est.best_validation_score_ = score
        return True

    @np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
    def _validation(self, held: HeldOut) -> tuple[float, float]:
        """Score and mean loss on the rows held out; nan where an output is not finite."""
        est = self.estimator
        z = self.nn.logits(self.net, held.X, threads=self.tuner)
        if not np.isfinite(z).all():
            return math.nan, math.nan
        losses = loss_and_delta(np.empty_like(z), z, held.y, Loss.of(est._loss()))[0]
        mean = float(np.average(losses, weights=held.weights)) / est._loss_parts()
        return est._score_of(z, held.y, held.weights), mean

    def _note_validation(self, score: float, loss: float) -> None:
        self.estimator.validation_scores_.append(score)
        self.estimator.validation_loss_curve_.append(loss)

    def _judge_loss(self) -> None:
        est = self.estimator
        worse = est.loss_ > est.best_loss_ - est.tol
        est._no_improvement_count = est._no_improvement_count + 1 if worse else 0
        est.best_loss_ = min(est.best_loss_, est.loss_)

    def _has_to_stop(self) -> bool:
        """Return True where training gets no better, unless it can go on at a lower rate."""
        est = self.estimator
        if est._no_improvement_count <= est.n_iter_no_change:
            return False
        what = "Training loss" if self.split.held is None else "Validation score"
        text = f"{what} has not improved by tol={est.tol:g} for {est.n_iter_no_change} epochs."
        if est._optimizer.slow_down():
            est._no_improvement_count = 0
            self._say(f"{text} The learning rate is now {est._optimizer.learning_rate:g}.")
            return False
        self._say(f"{text} Stopping.")
        return True

    def _say(self, line: str) -> None:
        if self.estimator.verbose:
            print(line)  # noqa: T201  # scikit-learn's custom
