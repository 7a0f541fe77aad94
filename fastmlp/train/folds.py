"""Cross-validation: one training of the same kind for each fold, scored on the rows that it has not seen.

How the rows are divided is data/split.py's. No model is kept: train one on all rows for that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.backends.checks import checked_weights
from fastmlp.data.dataset import Dataset
from fastmlp.data.split import fold_rows
from fastmlp.display import Display, Displayed
from fastmlp.spec import Training
from fastmlp.train.fit import Callback, fit
from fastmlp.train.scores import Guess, Scores, recalls

FIGURES = {
    "test_accuracy": "accuracy",
    "test_loss": "loss",
    "test_log_loss": "log_loss",
    "test_r2": "r2",
    "test_mae": "mean_absolute_error",
    "test_rmse": "root_mean_squared_error",
}
"""By name in a report: the field of Scores."""

_CALLED = {"accuracy": "accuracy", "log_loss": "log loss", "r2": "R2", "mean_absolute_error": "MAE"}


@dataclass(frozen=True, repr=False)
class CrossValidation(Displayed):
    """Scores of each fold, in their order."""

    folds: tuple[Scores, ...]

    def mean(self, name: str) -> float | None:
        """The mean of that field of Scores over the folds; None where none has it."""
        values = self._values(name)
        return math.fsum(values) / len(values) if values else None

    def spread(self, name: str) -> float | None:
        """The standard deviation of that field over the folds, by n - 1; None of fewer than two."""
        values = self._values(name)
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    def _values(self, name: str) -> list[float]:
        return [value for fold in self.folds if (value := getattr(fold, name)) is not None]

    def _display(self) -> Display:
        names = [name for name in ("accuracy", "log_loss", "r2", "mean_absolute_error") if self._values(name)]
        heading = ("fold", "rows", *(_CALLED[name] for name in names))
        rows: list[Sequence[Any]] = [
            (k, fold.rows, *(getattr(fold, name) for name in names))
            for k, fold in enumerate(self.folds, start=1)
        ]
        for word, of in (("mean", self.mean), ("spread", self.spread)):
            rows.append((word, None, *map(of, names)))
        return Display(f"Cross-validation of {len(self.folds)} folds", heading=heading, rows=rows)

    @property
    def together(self) -> Scores:
        """The scores of all rows, each predicted by the net that has not seen it. Their r2 is the mean."""
        first, rows = self.folds[0], sum(fold.rows for fold in self.folds)

        def mean(name: str, power: int = 1, of: Callable[[Scores], Any] = lambda fold: fold) -> float | None:
            values = [getattr(of(fold), name) for fold in self.folds]
            if None in values:
                return None
            parts = (v**power * fold.rows / rows for v, fold in zip(values, self.folds, strict=True))
            return float(math.fsum(parts) ** (1 / power))

        def guess(fold: Scores) -> Guess:
            return fold.guess

        counts = _summed([fold.counts for fold in self.folds])
        found = _summed(
            [[round((r or 0) * n) for r, n in zip(f.recall, f.counts, strict=True)] for f in self.folds]
        )
        return Scores(
            first.task,
            rows,
            mean("loss") or 0.0,
            Guess(
                accuracy=mean("accuracy", of=guess),
                log_loss=mean("log_loss", of=guess),
                mean_absolute_error=mean("mean_absolute_error", of=guess),
                root_mean_squared_error=mean("root_mean_squared_error", 2, guess),
            ),
            _summed([fold.gains for fold in self.folds]),
            accuracy=mean("accuracy"),
            log_loss=mean("log_loss"),
            classes=first.classes,
            counts=counts,
            recall=recalls(found, counts),
            confusion=None if first.confusion is None else _summed([fold.confusion for fold in self.folds]),
            r2=self.mean("r2"),
            mean_absolute_error=mean("mean_absolute_error"),
            root_mean_squared_error=mean("root_mean_squared_error", 2),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump: ``folds``, and the figures' means and ``..._spread``s over them."""
        told: dict[str, Any] = {"folds": [fold.to_json() for fold in self.folds]}
        for name, field in FIGURES.items():
            if (mean := self.mean(field)) is not None:
                told |= {name: mean, f"{name}_spread": self.spread(field)}
        return told


def cross_validate(
    data: Dataset,
    training: Training,
    n: int = 5,
    *,
    threads: int | str = "auto",
    driver: str = "team",
    backend: str = "numba",
    sample_weight: ArrayLike | None = None,
    done: Sequence[Scores] = (),
    on_fold: Callable[[int, Scores], object] | None = None,
    callbacks: Sequence[Callback] = (),
) -> CrossValidation:
    """Train a net for each of n folds of the training rows of ``data``, and score it on that fold.

    The folds are drawn by the training's seed, and of classes each has its share of every one. What is fitted
    to the inputs (scales, medians, categories) is fitted to the other folds alone.

    Parameters
    ----------
    n: from 2 to the number of rows.
    threads, driver, backend, callbacks: as ``fit`` takes them, for each training.
    sample_weight: (N,) how much each training row counts in the loss; scores count all rows alike.
    done: scores of the first folds, where they are known: those are not trained again.
    on_fold: called with the number of a fold, from 1, and its scores.

    Raises ConfigError, DataError, and DivergedError where a training diverges.
    """
    weights = checked_weights(sample_weight, len(data.y))
    found = list(done)
    for k, (rows, tested) in enumerate(fold_rows(data, n, training.seed), start=1):
        if k <= len(done):
            continue
        fold = data.part(rows, tested)
        model, _ = fit(
            fold, training=training, threads=threads, driver=driver, backend=backend, callbacks=callbacks,
            sample_weight=None if weights is None else weights[rows],
        )  # fmt: skip
        found.append(Scores.of(model, fold.X_test, fold.as_given(fold.y_test), threads=threads))
        if on_fold is not None:
            on_fold(k, found[-1])
    return CrossValidation(tuple(found))


def _summed(parts: Sequence[Any]) -> Any:
    """Sums of nested tuples of numbers, place by place."""
    total = np.sum(np.array(parts), axis=0).tolist()
    return tuple(tuple(row) if isinstance(row, list) else row for row in total)
