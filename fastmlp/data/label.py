"""The label of a table: which column it is, whether it names classes or is a quantity, and its values.

What a person does not name is found, and a line says how. The same rules hold for the y of arrays. Numbers
that a loss wants of several columns are targets.py's; what becomes of the other columns is columns.py's.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import as_whole, one_of, shown
from fastmlp.data.checks import MAX_LABEL, distinct
from fastmlp.data.kinds import flags_of, numbers_of
from fastmlp.data.label_values import Values
from fastmlp.data.names import listed, near, short
from fastmlp.data.table import LABEL_NAMES, Column, Table
from fastmlp.errors import DataError

Task = Literal["classes", "numbers"]
Label = int | float | bool | str

LARGEST = 1e30  # of a target that is a number: float32 holds it, and float64 its square
TASKS = ("auto", "classes", "numbers")
FEW = 10  # whole numbers of so many different values are classes
MOST_CLASSES = 1_000  # that whole numbers are found to be

_EVEN = 0.2  # of the mean number of rows: so many at least has each of many classes
_INDEX = re.compile(r"\s*-?[0-9]{1,9}\s*")


@dataclass(frozen=True)
class Found:
    """The name of the label's column, and how it was found: a line for people."""

    name: str
    how: str


@dataclass(frozen=True)
class Taken:
    """The task, and why: a line for people."""

    task: Task
    how: str


@dataclass(frozen=True, eq=False)  # a comparison of arrays has no one answer
class Labels:
    """The different labels, ascending, and of each row (N,) the index of its label, int64."""

    classes: tuple[Label, ...]
    indices: NDArray[np.int64]


def find_label(table: Table, label: str | int | None = None) -> Found:
    """The label's column of a table.

    label: its name, or an index from 0 (from the end, where it is negative): an int always, text where no
    column has that name. None: the column called label, class, target or y, in any case, the first of these
    that is there; else the only column of texts that are categories (not all the same, nor all different);
    else the last. Raises DataError where there is no such column, or no other one.
    """
    found = _named(table, label) if label is not None else _found(table)
    if len(table.columns) < 2:
        raise DataError(
            f"{table.where} must have a label column and others", f"{short(table.names[0])} alone",
            "check which file this is, and how its cells are separated",
        )  # fmt: skip
    return found


def _named(table: Table, label: str | int) -> Found:
    names = table.names
    if isinstance(label, str) and label in names:
        return Found(label, f"label: {short(label)}")
    index = int(label) if isinstance(label, str) and _INDEX.fullmatch(label) else as_whole(label)
    if index is None or not -len(names) <= index < len(names):
        raise DataError(
            f"the label must be a column of {table.where}",
            shown(label),
            near(label, names) or f"its columns are {listed(names)}",
        )
    return Found(names[index], f"label: {short(names[index])} (column {index % len(names)}, from 0)")


def _found(table: Table) -> Found:
    folded = {name.strip().casefold(): name for name in reversed(table.names)}
    for name in LABEL_NAMES:
        if name in folded:
            return Found(folded[name], f"label: {short(folded[name])}, by its name")
    texts = [column.name for column in table.columns if _names_classes(column)]
    if len(texts) == 1:
        return Found(texts[0], f"label: {short(texts[0])}, the only column of texts that repeat")
    return Found(table.names[-1], f"label: {short(table.names[-1])}, the last column")


def _names_classes(column: Column) -> bool:
    """Tell whether a column has two texts or more, and half of its rows at most one of their own.

    Flags are texts where they were written so: yes and no, not true and false.
    """
    if not column.words or (column.kind == "flag" and column.words[1].casefold() in ("true", "t")):
        return False
    counts = np.bincount(column.values[column.values >= 0])
    return int((counts > 0).sum()) > 1 and 2 * int((counts == 1).sum()) <= int(counts.sum())


def labelled(table: Table, name: str) -> tuple[Table, tuple[str, ...]]:
    """The rows that have a label, and lines that say how many have none. Raises DataError where none has."""
    missing = table[name].missing
    count = int(missing.sum())
    if count == 0:
        return table, ()
    if count == len(table):
        raise DataError(
            f"the label column {short(name)} of {table.where} must be filled", "missing cells alone",
            "name another column as label",
        )  # fmt: skip
    return table[~missing], (f"{count:,} row{'s' * (count > 1)} without a label left out",)


def task_of(values: Any, asked: str = "auto") -> Task:
    """Tell whether labels are classes or numbers. values: a Column, or y: an array, a list or a series.

    asked: ``classes`` and ``numbers`` are taken at their word. ``auto``:

    - texts and flags are classes, numbers with a fraction and times are numbers;
    - whole numbers, of whatever type, are classes where they have one or two different values, and numbers
      where they have less than two rows a value;
    - of 3 to 10 different values they are classes;
    - of 11 to 1,000 they are classes where they count them, 0..K-1 or 1..K, and each has a fifth of the mean
      number of rows, and two rows, at least: letters 1..26, 40 faces of 10 pictures each. Ages, years, counts
      and prices are numbers, by this;
    - of more they are numbers;
    - y (N, K) of several columns: classes where each row is shares that sum to 1, else numbers.

    Raises ConfigError for another word, DataError for what is neither.
    """
    return taken(values, asked).task


def taken(values: Any, asked: str = "auto") -> Taken:
    """``task_of``, with the reason in words."""
    if one_of("task", asked, TASKS) != "auto":
        return Taken("classes" if asked == "classes" else "numbers", f"task: {asked}, as asked")
    several = None if isinstance(values, Column) else _several(values)
    if several is not None:
        return _taken_of_several(several)
    found = Values.of(values, "y")
    if found.kind in ("text", "flag"):
        what = "texts" if found.kind == "text" else "true or false"
        return Taken("classes", f"task: classes ({what})")
    if found.kind == "time":
        return Taken("numbers", "task: numbers (times, in days since 1970-01-01)")
    there = found.values[~found.missing]
    if not len(there) or (found.values.dtype.kind == "f" and not (np.floor(there) == there).all()):
        return Taken("numbers", "task: numbers (with a fraction)")
    different = distinct(there)
    counts = np.bincount(np.searchsorted(different, there))
    K = len(different)
    task: Task = "classes" if _are_classes(different, counts) else "numbers"
    other = "numbers" if task == "classes" else "classes"
    return Taken(task, f"task: {task} (whole numbers, {K:,} different; ask for {other} if they are)")


def _are_classes(different: NDArray[Any], counts: NDArray[np.intp]) -> bool:
    """The rule of whole numbers, ascending, and of the number of rows of each."""
    K, n = len(different), int(counts.sum())
    if K <= 2:
        return True
    if n < 2 * K or K > MOST_CLASSES:
        return False
    counting = different[0] in (0, 1) and different[-1] - different[0] == K - 1
    return K <= FEW or bool(counting and counts.min() >= max(2, _EVEN * n / K))


def _several(values: Any) -> NDArray[Any] | None:
    """y (N, K) of several columns; None for all else."""
    try:
        array = np.asarray(values)
    except Exception:  # whatever __array__ raises: Values says it
        return None
    return array if array.ndim == 2 and array.shape[1] > 1 else None


def _taken_of_several(y: NDArray[Any]) -> Taken:
    shares = y.dtype.kind in "buif" and bool((y >= 0).all() and (abs(y.sum(axis=1) - 1) <= 1e-3).all())
    if shares:
        return Taken("classes", f"task: classes (shares of {y.shape[1]}, which sum to 1)")
    return Taken("numbers", f"task: numbers ({y.shape[1]} a row)")


def labels_of(values: Any, where: str = "y", table: Table | None = None) -> Labels:
    """The labels of a Column or of y (N,): texts, bools, ints where all are whole numbers, else floats.

    Times become texts. where: what is labelled, for messages; table: the one whose rows these are. Raises
    DataError that names the row of a label that is missing or not finite, or a float from 2**53, above which
    whole numbers are no longer told apart.
    """
    return Labels(*_labels(values, where, table).distinct())


def places_of(
    values: Any, classes: tuple[Label, ...], where: str = "y", table: Table | None = None
) -> NDArray[np.int64]:
    """The index of each label among known ``classes``, (N,) int64; 3, "3" and 3.0 are the same label.

    Raises DataError that names a label that is not there, and its row.
    """
    found = _labels(values, where, table)
    own, indices = found.distinct()
    known: dict[Any, int] = {label: k for k, label in enumerate(classes)}
    if not all(isinstance(label, str) for label in (*own, *classes)):  # of other types: by what they mean
        meant = {_plain(label): k for k, label in reversed([*enumerate(classes)])}
        known = {label: known.get(label, meant.get(_plain(label), -1)) for label in own}
    places = np.array([known.get(label, -1) for label in own], np.int64)[indices]
    if (places < 0).any():
        row = int((places < 0).argmax())
        raise DataError(
            f"{where} must hold the labels of training alone, {_some(classes)}",
            f"{shown(own[indices[row]])} in {found.row(row, table)}",
            "remove such rows, or train with them",
        )
    return places


def targets_of(values: Any, task: str, where: str = "y", table: Table | None = None) -> NDArray[Any]:
    """The targets (N,): of classes the labels, as an array of texts, bools, int64 or float64; else float64.

    Numbers may be written as texts; flags are 0 and 1, times days since 1970-01-01. Raises DataError that
    names the row of a target that is missing or is none.
    """
    if task == "classes":
        labels = labels_of(values, where, table)
        longest = max((len(label) for label in labels.classes if isinstance(label, str)), default=0)
        dtype = object if longest > 200 else None  # NumPy's texts are all as long as the longest
        found: NDArray[Any] = np.array(labels.classes, dtype)[labels.indices]
        return found
    cells = _filled(values, where, table)
    if cells.kind == "text":
        numbers: NDArray[np.float64] = np.append(numbers_of(cells.words), np.nan)[cells.values]
    else:
        numbers = cells.values.astype(np.float64)
    wrong = ~(np.abs(numbers) <= LARGEST)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{where} must hold finite numbers up to {LARGEST:g}, for the task numbers",
            f"{shown(cells.label(row))} in {cells.row(row, table)}",
            "ask for the task classes, or repair the cells" if cells.kind == "text" else "repair the cells",
        )
    return numbers


def _labels(values: Any, where: str, table: Table | None) -> Values:
    """The values of labels, each of its own. Raises DataError."""
    found = _filled(values, where, table)
    if found.kind == "number" and found.values.dtype.kind == "f":
        wrong = np.abs(found.values) > MAX_LABEL
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(
                f"{where} must hold labels below 2**53 where they are numbers",
                f"{found.label(row):.0f} in {found.row(row, table)}",
                "number the classes, or write them as texts",
            )
    return found


def _filled(values: Any, where: str, table: Table | None) -> Values:
    """The values, none of them missing or infinite. Raises DataError."""
    found = Values.of(values, where)
    wrong = found.missing
    if found.values.dtype.kind == "f":
        wrong = wrong | np.isinf(found.values)
    if wrong.any():
        row = int(wrong.argmax())
        what = "a missing one" if found.missing[row] else shown(found.label(row))
        raise DataError(
            f"{where} must have a label in every row",
            f"{what} in {found.row(row, table)}",
            "leave such rows out",
        )
    return found


def _plain(label: Label) -> Label:
    """The value by which labels of different types are compared: the number or the bool that a text is."""
    if not isinstance(label, str):
        return label
    for values_of, kind in ((numbers_of, float), (flags_of, bool)):
        if not math.isnan(value := values_of([label])[0]):
            return kind(value)
    return label


def _some(classes: tuple[Label, ...]) -> str:
    found = ", ".join(map(shown, classes[:8]))
    return found if len(classes) <= 8 else f"{found}, ... ({len(classes):,} in all)"
