"""Scores: how a model does on rows whose targets are known, beside somebody who guesses. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.checks import shown
from fastmlp.data.label import places_of
from fastmlp.display import Display, Displayed
from fastmlp.errors import ConfigError
from fastmlp.model import Model

MOST_CLASSES = 100  # in a confusion table
_MOST_SHOWN = 6  # classes whose confusion is shown
SIGMAS = 2.0  # standard errors by which a model must be better than guessing
_LEAST = float(np.finfo(np.float32).eps)  # a probability counts as this at least, as in scikit-learn

Figures = dict[str, Any]


@dataclass(frozen=True)
class Guess:
    """The same figures of the best answer that is the same for every row.

    That is the commonest class (accuracy) and the shares of the classes (log_loss), or the targets' mean
    (root_mean_squared_error; its R2 is 0) and their median (mean_absolute_error).
    """

    accuracy: float | None = None
    log_loss: float | None = None
    mean_absolute_error: float | None = None
    root_mean_squared_error: float | None = None


@dataclass(frozen=True, repr=False)
class Scores(Displayed):
    """Figures of a model on ``rows`` rows; those that its task does not have are None, or ().

    task:      "classes"; "flags", which are several answers a row, 0 or 1; or "numbers".
    loss:      the mean of the loss that it was trained by.
    accuracy:  the share of answers that are right.
    log_loss:  the mean of -log p of what is true, where p is at least 1.2e-7.
    classes:   the K labels; of flags the numbers of the columns.
    counts:    rows of each class; of flags those that are 1.
    recall:    share of each class's rows that is recognised; None where it has none.
    confusion: counts of rows as [true][predicted]; None of flags, and of over 100 classes.
    r2:        as in ``Evaluation``: None of one row.
    mean_absolute_error, root_mean_squared_error: in the targets' units, over all of them.
    guess:     what is reached without a look at the inputs.
    gains:     sums over the rows, and sums of squares, of what it gains over that guess. It may be better by
               accuracy, or by the mean recall of the classes; of flags by accuracy; of numbers by squared
               errors, or by absolute ones.
    """

    task: str
    rows: int
    loss: float
    guess: Guess
    gains: tuple[tuple[float, float], ...]
    accuracy: float | None = None
    log_loss: float | None = None
    classes: tuple[int | float | bool | str, ...] = ()
    counts: tuple[int, ...] = ()
    recall: tuple[float | None, ...] = ()
    confusion: tuple[tuple[int, ...], ...] | None = None
    r2: float | None = None
    mean_absolute_error: float | None = None
    root_mean_squared_error: float | None = None

    @classmethod
    def of(cls, model: Model, X: Any, y: ArrayLike, *, threads: int | str = "auto") -> Self:
        """Score a model on rows X with targets y, both as ``Model.evaluate`` takes them.

        Raises DataError, ModelError.
        """
        told = model.evaluate(X, y, threads=threads)
        targets = np.asarray(y)
        if model.loss.task == "numbers":
            figures = _of_numbers(model.predict(X, threads=threads), targets)
            return cls("numbers", len(targets), told.loss, r2=told.r2, **figures)
        p = model.predict_proba(X, threads=threads).astype(np.float64)
        is_of_flags = model.loss.task == "binary" and model.architecture.outputs > 1
        figures = _of_flags(p, targets) if is_of_flags else _of_classes(p, targets, model.classes)
        task = "flags" if is_of_flags else "classes"
        return cls(task, len(targets), told.loss, accuracy=told.accuracy, classes=model.classes, **figures)

    @property
    def no_better_than_guessing(self) -> bool:
        """True where the rows do not show that it is better than guessing.

        A mean gain must be over two standard errors, as they are where the true one is 0: the sum over twice
        the root of the sum of squares. Of gains of 1, 0 and -1 that is McNemar's test. Four rows show none.
        """
        return not any(total > SIGMAS * squares**0.5 for total, squares in self.gains)

    def _display(self) -> Display:
        guess = self.guess
        facts: list[tuple[str, Any]] = [
            ("accuracy", self.accuracy),
            ("accuracy by guessing", guess.accuracy),
            ("log loss", self.log_loss),
            ("log loss by guessing", guess.log_loss),
        ]
        if self.task == "numbers":
            facts = [
                ("R2", self.r2),
                ("mean absolute error", self.mean_absolute_error),
                ("by guessing the median", guess.mean_absolute_error),
                ("root mean squared error", self.root_mean_squared_error),
                ("by guessing the mean", guess.root_mean_squared_error),
            ]
        heading: tuple[str, ...] = ("class", "rows", "recall") if self.classes else ()
        rows: list[Sequence[Any]] = list(zip(self.classes, self.counts, self.recall, strict=True))
        if self.confusion is not None and len(self.classes) <= _MOST_SHOWN:
            heading = ("class", *(f"predicted {label}" for label in self.classes), "recall")
            rows = [(row[0], *taken, row[-1]) for row, taken in zip(rows, self.confusion, strict=True)]
        notes = ["No better than guessing."] * self.no_better_than_guessing
        return Display(f"Scores on {self.rows:,} rows", facts, heading, rows, notes)

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump: the figures that its task has."""
        told = asdict(self) | {"no_better_than_guessing": self.no_better_than_guessing}
        told["guess"] = {name: value for name, value in told["guess"].items() if value is not None}
        return {name: value for name, value in told.items() if value is not None and value != ()}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The inverse of ``to_json``. Raises ConfigError."""
        try:
            told = {name: _tupled(value) for name, value in data.items() if name != "no_better_than_guessing"}
            return cls(**told | {"guess": Guess(**data["guess"])})
        except (AttributeError, KeyError, TypeError):
            raise ConfigError("scores must be an object as Scores.to_json has it", shown(data)) from None


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


def _gain(*ways: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Sum and sum of squares of the gains (N,) in each way."""
    return tuple((float(each.sum()), float((each**2).sum())) for each in ways)


def _of_classes(p: NDArray[np.float64], y: NDArray[Any], classes: tuple[Any, ...]) -> Figures:
    """Figures of probabilities p (N, K) where labels (N,), or shares (N, K), are true."""
    N, K = p.shape
    logs = np.log(np.clip(p, _LEAST, 1))
    if y.ndim == 2 and y.shape[1] > 1:
        true, usual, log_loss = y.argmax(axis=1), y.mean(axis=0), -float((y * logs).sum() / N)
    else:
        true = places_of(y.reshape(-1), classes)
        usual, log_loss = np.bincount(true, minlength=K) / N, -float(logs[np.arange(N), true].mean())
    taken, counts = p.argmax(axis=1), np.bincount(true, minlength=K)
    right = taken == true
    gains = right.astype(np.float64) - (true == counts.argmax())
    recognised = np.bincount(true[right], minlength=K)
    confusion = None
    if K <= MOST_CLASSES:
        table = np.bincount(true * K + taken, minlength=K * K).reshape(K, K)
        confusion = tuple(map(tuple, table.tolist()))
    return {
        "guess": Guess(accuracy=float(counts.max() / N), log_loss=_entropy(usual)),
        "gains": _gain(gains, gains / counts[true]),
        "log_loss": log_loss,
        "counts": tuple(counts.tolist()),
        "recall": recalls(recognised.tolist(), counts.tolist()),
        "confusion": confusion,
    }


def _of_flags(p: NDArray[np.float64], y: NDArray[Any]) -> Figures:
    """Figures of probabilities p (N, K) of K answers, where flags y (N, K) are true."""
    true, p = y > 0.5, np.clip(p, _LEAST, 1 - _LEAST)
    right, share = (p > 0.5) == true, true.mean(axis=0)
    usual = true == (share > 0.5)
    counts = true.sum(axis=0)
    return {
        "guess": Guess(
            accuracy=float(usual.mean()),
            log_loss=float(np.mean([_entropy(np.array([1 - s, s])) for s in share])),
        ),
        "gains": _gain(right.mean(axis=1) - usual.mean(axis=1)),
        "log_loss": -float(np.log(np.where(true, p, 1 - p)).mean()),
        "counts": tuple(counts.tolist()),
        "recall": recalls((right & true).sum(axis=0).tolist(), counts.tolist()),
    }


def _of_numbers(predicted: NDArray[np.float64], y: NDArray[Any]) -> Figures:
    """Figures of predicted numbers (N,) or (N, K) beside the true ones; several count alike."""
    true = y.reshape(len(y), -1).astype(np.float64)
    errors = predicted.reshape(true.shape) - true
    off, away = true - true.mean(axis=0), true - np.median(true, axis=0)
    spread = true.std(axis=0)
    spread[spread == 0] = 1
    by_squares = ((off / spread) ** 2 - (errors / spread) ** 2).mean(axis=1)
    by_sizes = ((np.abs(away) - np.abs(errors)) / spread).mean(axis=1)
    return {
        "guess": Guess(mean_absolute_error=_mean_size(away), root_mean_squared_error=_root_mean_square(off)),
        "gains": _gain(by_squares, by_sizes),
        "mean_absolute_error": _mean_size(errors),
        "root_mean_squared_error": _root_mean_square(errors),
    }


def _entropy(shares: NDArray[np.float64]) -> float:
    """The log loss of one who says these shares, where they are true."""
    there = shares[shares > 0]
    return -float((there * np.log(there)).sum()) + 0.0  # no -0.0


def recalls(found: Sequence[int], counts: Sequence[int]) -> tuple[float | None, ...]:
    """The share of each class's rows that is recognised, of counts; None where it has no rows."""
    return tuple(right / n if n else None for right, n in zip(found, counts, strict=True))


def _mean_size(values: NDArray[np.float64]) -> float:
    return float(np.abs(values).mean())


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return float(np.sqrt((values**2).mean()))
