"""A model's scores for people: beside guessing, with the classes that are confused.

Lines of text, no more than a dozen or so. What is counted: fastmlp/train/scores.py. Loads rich.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from fastmlp.words.losses import Loss

from .streams import clean

if TYPE_CHECKING:
    from fastmlp.train.scores import Scores

MOST_CLASSES = 12  # in a table
LEAST_ROWS = 5  # that can show anything
FEW_ROWS = 30  # under which the line says that they are few
_WIDEST = 20  # columns that a name has
_UNEVEN = 0.9  # of the best recall: below it the classes are unequal

NO_BETTER = "no better than guessing"


def no_better(scores: Scores, loss: str, run: str, data: str) -> str | None:
    """The line for a model that is no better than guessing, with what to do; None for another."""
    if not scores.no_better_than_guessing:
        return None
    if scores.rows < LEAST_ROWS:
        return f"{_rows(scores)} cannot tell it from guessing: fastmlp train --folds tests on all of them"
    few = f", as far as {_rows(scores)} can tell" * (scores.rows < FEW_ROWS)
    what, where = ("diagnose", run) if Loss.of(loss).task == "classes" else ("data", data)
    return f"{NO_BETTER}{few}: fastmlp {what} {shlex.quote(where)}"


def test_figures(scores: Scores) -> dict[str, float | None]:
    """The figures as reports name them: without a regression's accuracy, or others' R2."""
    from fastmlp.train.folds import FIGURES

    told = {name: getattr(scores, field) for name, field in FIGURES.items()}
    others = ("accuracy", "log_loss") if scores.task == "numbers" else ("r2", "mae", "rmse")
    return {name: value for name, value in told.items() if not name.endswith(others)}


def lines(scores: Scores, width: int) -> Iterator[tuple[str, str]]:
    """Lines about the scores, each a label and a text, for so many columns."""
    if scores.task == "numbers":
        yield from _of_numbers(scores)
        return
    table = confusion_table(scores, width)
    if table:
        yield ("table", "rows of each class, by the class predicted")
        yield from (("", line) for line in table)
    elif scores.task == "flags" or (worst := _worst(scores)) is None:
        yield from _recall(scores)
    else:
        yield ("least", worst)
    what = "each answer's commonest value" if scores.task == "flags" else f"always {_commonest(scores)}"
    yield ("guess", f"accuracy {scores.guess.accuracy:.4f}, {what}; log loss {scores.guess.log_loss:.4f}")
    yield (
        "score",
        f"accuracy {scores.accuracy:.4f} on {_rows(scores)}; log loss {scores.log_loss:.4f}",
    )


def _of_numbers(scores: Scores) -> Iterator[tuple[str, str]]:
    guess, r2 = scores.guess, "none" if scores.r2 is None else f"{scores.r2:.4f}"
    means = scores.mean_absolute_error, scores.root_mean_squared_error
    yield (
        "guess",
        f"R2 0, the mean; MAE {guess.mean_absolute_error:.6g}, RMSE {guess.root_mean_squared_error:.6g}",
    )
    yield (
        "score",
        f"R2 {r2} on {_rows(scores)}; MAE {means[0]:.6g}, RMSE {means[1]:.6g}",
    )


def _rows(scores: Scores) -> str:
    return f"{scores.rows:,} row{'s' * (scores.rows > 1)}"


def confusion_table(scores: Scores, width: int) -> list[str]:
    """A line for each class: how its rows are predicted, and its recall; empty where there is no room."""
    K = len(scores.classes)
    if scores.confusion is None or K > MOST_CLASSES or K < 2:
        return []
    names = [name_of(k) for k in scores.classes]
    shown = ["-" if r is None else f"{r:.1%}" for r in scores.recall]
    rows = [["true", *names, "recall"]]
    for name, counts, recall in zip(names, scores.confusion, shown, strict=True):
        rows.append([name, *(f"{n:,}" for n in counts), recall])
    wide = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    if sum(wide) + 2 * len(wide) > width - 6:
        return []
    return [
        row[0] + " " * (wide[0] - cell_len(row[0])) + "".join(map(_right, row[1:], wide[1:])) for row in rows
    ]


def _right(cell: str, wide: int) -> str:
    return " " * (2 + wide - cell_len(cell)) + cell


def _worst(scores: Scores) -> str | None:
    """The class that is recognised least often, and the commonest mistake; None where there are none."""
    there = [(r, k) for k, r in enumerate(scores.recall) if r is not None]
    recall, worst = min(there)
    if scores.confusion is None or recall == 1:
        return None
    K, names = range(len(scores.classes)), [name_of(k) for k in scores.classes]
    count, true, taken = max((scores.confusion[i][j], i, j) for i in K for j in K if i != j)
    return (
        f"{names[worst]} is recognised least often ({recall:.1%} of {scores.counts[worst]:,}); "
        f"the commonest mistake: {names[true]} taken for {names[taken]} ({count} times)"
    )


def _recall(scores: Scores) -> Iterator[tuple[str, str]]:
    """The classes of least and most recall, where they are unequal."""
    there = sorted((r, k) for k, r in enumerate(scores.recall) if r is not None)
    if there and there[0][0] < _UNEVEN * there[-1][0]:
        low, high = (f"{name_of(scores.classes[k])} {r:.1%}" for r, k in (there[0], there[-1]))
        yield ("least", f"recall from {low} to {high}")


def _commonest(scores: Scores) -> str:
    return name_of(scores.classes[max(range(len(scores.counts)), key=lambda k: scores.counts[k])])


def name_of(label: Any) -> str:
    """A class's name on a line, cut where it is long."""
    text = clean(str(label))
    if cell_len(text) <= _WIDEST:
        return text
    while cell_len(text) > _WIDEST - 3:
        text = text[:-1]
    return f"{text}..."


class FoldTable:
    """A heading, a line for each fold, and two for their means and spreads."""

    def __init__(self, n: int) -> None:
        self.n, self.headed = n, False
        self.place = max(len("spread"), 2 * len(str(n)) + 1)

    def lines(self, k: int, scores: Scores) -> Iterator[str]:
        """The line of fold k, from 1."""
        fields = _fields(scores)
        if not self.headed:
            self.headed = True
            yield f"{'fold':>{self.place}}{'rows':>10}" + "".join(f"{name:>13}" for name in fields.values())
        figures = "".join(f"{_figure(getattr(scores, name)):>13}" for name in fields)
        yield f"{f'{k}/{self.n}':>{self.place}}{scores.rows:>10,}{figures}"

    def end(self, folds: Sequence[Scores]) -> Iterator[str]:
        """Means and spreads."""
        from fastmlp.train.folds import CrossValidation

        found = CrossValidation(tuple(folds))
        for name, of in (("mean", found.mean), ("spread", found.spread)):
            figures = "".join(f"{_figure(of(field)):>13}" for field in _fields(folds[0]))
            yield f"{name:>{self.place}}{'':>10}{figures}"


def _fields(scores: Scores) -> dict[str, str]:
    """Fields of the scores in a table, and their headings."""
    if scores.task == "numbers":
        return {"r2": "R2", "mean_absolute_error": "MAE", "root_mean_squared_error": "RMSE"}
    return {"accuracy": "accuracy", "log_loss": "log loss"}


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.6g}"
