"""Judges of epochs: by the loss, or by the score on rows held out, as scikit-learn counts those without gain.

What they count lives in the estimator, so that a warm start goes on counting.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from fastmlp.backends.checks import checked_targets
from fastmlp.backends.threads import ThreadTuner
from fastmlp.backends.types import EpochTotals, Watch
from fastmlp.estimators.split import HeldOut
from fastmlp.net import Net, Parameters
from fastmlp.reference import loss_and_delta
from fastmlp.words.losses import Loss


class LossJudge:
    """Judges an epoch by its loss, penalty included: a gain is one under the lowest before, less tol."""

    subject = "Training loss"
    best: Parameters | None = None  # the last weights are kept, whatever they are

    def __init__(self, estimator: Any, penalty: float) -> None:
        self.estimator = est = estimator
        best = math.inf if est.best_loss_ is None else float(est.best_loss_)
        most = min(est.n_iter_no_change, 2.0**62)  # it may be any whole number
        self.watch = Watch(best, est._no_improvement_count, est.tol, most, est._loss_parts(), penalty)
        est.best_loss_ = best
        est.validation_scores_ = est.validation_loss_curve_ = est.best_validation_score_ = None

    def see(self, totals: EpochTotals) -> None:
        """Count an epoch."""
        self.watch = self.watch.after(totals)
        est = self.estimator
        est.best_loss_, est._no_improvement_count = np.float64(self.watch.best), self.watch.stale

    def forgive(self) -> None:
        """Count from 0 again."""
        self.watch, self.estimator._no_improvement_count = self.watch._replace(stale=0), 0


@dataclass(eq=False)
class HeldOutJudge:
    """Judges the weights after an epoch by the rows held out, and keeps the best of them.

    best: weights of the best epoch of this fit; before it, the first weights of a new net, else none.
    say:  told what verbose prints.
    """

    estimator: Any
    nn: ModuleType
    net: Net
    held: HeldOut
    tuner: ThreadTuner
    new: bool
    say: Callable[[str], None]

    subject = "Validation score"
    watch = None

    def __post_init__(self) -> None:
        est, held = self.estimator, self.held
        self.loss = Loss.of(est._capped_loss())
        self.targets = checked_targets(self.net, held.y, len(held.y), self.loss)
        est.best_loss_ = None
        if est.validation_scores_ is None:
            est.validation_scores_, est.validation_loss_curve_ = [], []
            est.best_validation_score_ = -math.inf
        self.best = self.net.parameters.copy() if self.new else None

    def see(self, totals: EpochTotals) -> None:
        """Score the weights as they are after an epoch."""
        est = self.estimator
        score, loss = self._validation()
        self.note(score, loss)
        self.say(f"Validation score: {score:.6f}")
        best = est.best_validation_score_
        est._no_improvement_count = est._no_improvement_count + 1 if score < best + est.tol else 0
        if score > best:
            est.best_validation_score_, self.best = score, self.net.parameters.copy()

    def forgive(self) -> None:
        """Count from 0 again."""
        self.estimator._no_improvement_count = 0

    def note(self, score: float, loss: float) -> None:
        """Add an epoch to the curves."""
        self.estimator.validation_scores_.append(score)
        self.estimator.validation_loss_curve_.append(loss)

    @np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
    def _validation(self) -> tuple[float, float]:
        """Score and mean loss on the rows held out; nan where an output is not finite, or no row counts."""
        est, held = self.estimator, self.held
        z = self.nn.logits(self.net, held.X, threads=self.tuner)
        if not np.isfinite(z).all() or (held.weights is not None and not held.weights.any()):
            return math.nan, math.nan
        losses = loss_and_delta(np.empty_like(z), z, self.targets, self.loss)[0]
        mean = float(np.average(losses, weights=held.weights)) / est._loss_parts()
        return est._score_of(z, held.y, held.weights), mean
