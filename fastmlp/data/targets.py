"""Targets: what y may be by the task of a loss, each kind checked, once, for arrays, columns and files.

A *kind* is what a Dataset holds as y: ``labels`` of classes, of any type, as indices; ``flags``, several
columns of 0 and 1; ``shares`` of classes, rows that sum to 1; ``numbers``. What a label may be, and whether
one column holds labels or numbers: label.py. Nothing is standardised here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import NUMBERS, as_array, as_list, one_of, reason_of
from fastmlp.data.label import LARGEST, TASKS, Label, Labels, labels_of, taken, targets_of, task_of
from fastmlp.data.table import Column, Table
from fastmlp.errors import ConfigError, DataError
from fastmlp.words.losses import Loss, checked_loss

KINDS = {"classes": ("labels", "shares"), "binary": ("labels", "flags"), "numbers": ("numbers",)}
"""By the task of a loss: what y may be, of one column and of several."""

USUAL = {"labels": "logits", "shares": "logits", "flags": "binary", "numbers": "squared"}
"""By kind: the loss that a training has where none is given."""

CALLED = {
    "labels": "labels (N,) of classes",
    "flags": "columns (N, K) of 0 and 1",
    "shares": "shares (N, K) of classes",
    "numbers": "numbers",
}
LONG = 200  # characters of a label

_SUMS = 1e-3  # shares that were rounded sum to 1 but for so much


def loss_of(y: Any, loss: str | None, asked: str = "auto", what: str = "y") -> tuple[str, str]:
    """The loss that y is read for: that one, or the usual one of the task; and how this was found, or "".

    Raises ConfigError for a loss of another task, and DataError for y that may be of two.
    """
    found = check_task(loss, asked)
    y = as_column(y, what)
    if loss is None or found is None:
        task = taken(y, asked)
        several = not isinstance(y, Column) and y.ndim == 2
        if task.task == "numbers" and asked == "auto" and several and ((y == 0) | (y == 1)).all():
            raise DataError(
                f"{what} of several columns of 0 and 1 must come with a loss", "none",
                "use loss binary where each is a yes or no, squared where they are numbers",
            )  # fmt: skip
        return ("squared" if task.task == "numbers" else "logits"), task.how
    is_one = isinstance(y, Column) or y.ndim == 1
    if asked == "auto" and found.task == "classes" and is_one and _is_broken(y) and task_of(y) == "numbers":
        raise DataError(
            f"{what} must hold labels for the loss {loss}", "numbers with a fraction",
            "use loss squared for a regression, or task classes where they are labels",
        )  # fmt: skip
    return checked_loss(loss), ""


def check_task(loss: str | None, asked: str) -> Loss | None:
    """Raise ConfigError for a task that is none, or for a loss of another; return the loss that is given."""
    one_of("task", asked, TASKS)
    if loss is None:
        return None
    found = Loss.of(checked_loss(loss))
    if asked != "auto" and (asked == "numbers") != (found.task == "numbers"):
        raise ConfigError(f"loss must suit the task {asked}", f"loss {loss}", "leave one of the two out")
    return found


def read(y: Any, loss: str, what: str = "y", table: Table | None = None) -> tuple[str, NDArray[Any] | Labels]:
    """The kind of y for this loss, and y as a Dataset has it: labels as classes and indices into them.

    y: a column of a table, an array, or what NumPy makes one of; (N, 1) is one column too. table: where the
    column's rows stand, for messages. Raises DataError.
    """
    y = as_column(y, what)
    task = Loss.of(loss).task
    kind = KINDS[task][0] if isinstance(y, Column) else kind_of(task, y)
    if kind == "labels":
        found = labels_of(y, what, table)
        if task == "binary" and len(found.classes) > 2 and not isinstance(y, Column) and y.dtype.kind == "f":
            flags(y, loss, what)  # which names the first that is none
        return kind, found
    return kind, read_columns(y, loss, what, table)


def read_columns(y: Any, loss: str, what: str = "y", table: Table | None = None) -> NDArray[Any]:
    """y (N, K) as a Dataset has it, of any kind but labels. Raises DataError."""
    y = as_column(y, what)
    kind = "numbers" if isinstance(y, Column) else kind_of(Loss.of(loss).task, y)
    if isinstance(y, Column) or (kind == "numbers" and y.ndim == 1 and y.dtype.kind not in NUMBERS):
        y = targets_of(y, "numbers", what, table)
    return COLUMNS[kind](y, loss, what)


def as_column(y: Any, what: str) -> Any:
    """y as an array, (N,) where it is (N, 1), or the column that it is. Raises DataError."""
    if isinstance(y, Column):
        return y
    try:
        array = np.asarray(y)
        if array.dtype.kind == "U" and isinstance(y, list | tuple):
            array = np.array(y, object)  # numbers among texts stay numbers, and are seen
    except MemoryError:
        raise
    except Exception as problem:  # ValueError of rows of different lengths, or whatever __array__ raises
        raise DataError(f"{what} must be an array of labels or numbers", reason_of(problem)) from None
    if array.ndim not in (1, 2):
        raise DataError(
            f"{what} must have shape (N,) or (N, K)", f"shape {array.shape}", "give a label a row"
        )
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def array_of(classes: Sequence[Label]) -> NDArray[Any]:
    """Labels as an array of their natural dtype: int64, float64, bool or text; of long texts as objects."""
    dtypes: dict[type, Any] = {bool: np.bool_, int: np.int64, float: np.float64}
    dtype = dtypes.get(type(classes[0])) if classes else np.int64
    if dtype is None and max(len(str(label)) for label in classes) > LONG:
        dtype = object  # NumPy's texts are all as long as the longest
    return np.array(list(classes), dtype)


def as_classes(values: Any) -> tuple[Label, ...] | None:
    """Different labels of one type, int, float, bool or str; None for all else."""
    items = as_list(values)
    if items is None:
        return None
    items = [item.item() if isinstance(item, np.generic) else item for item in items]
    types = {type(item) for item in items}
    if len(types) > 1 or not types <= {int, float, bool, str}:
        return None
    if types == {int} and not all(abs(item) < 2**63 for item in items):
        return None
    found = array_of(items).tolist()  # a text that ends in a zero character would lose it, nan is no label
    return tuple(items) if found == items and len(set(items)) == len(items) else None


def unequal(where: str, n: int, count: int) -> DataError:
    """The error of n rows of X with so many of y."""
    if not where:
        return DataError("X and y must have the same length", f"{n} and {count}")
    return DataError(
        f"{where} must have as many rows of y as of X", f"{n:,} of X and {count:,} of y",
        "use files that belong together",
    )  # fmt: skip


def kind_of(task: str, y: NDArray[Any]) -> str:
    """The kind that y is for a loss of that task."""
    return KINDS[task][-1 if y.ndim == 2 and y.shape[1] > 1 else 0]


def flags(y: Any, loss: str, what: str = "y") -> NDArray[np.uint8]:
    """y (N, K) of 0 and 1, or True and False, as uint8. Raises DataError."""
    array = _columns(y, what)
    wrong = ~((array == 0) | (array == 1))
    if wrong.any():
        raise _wrong(f"{what} must hold 0 and 1 alone for the loss {loss}", array, wrong)
    return array.astype(np.uint8)


def shares(y: Any, loss: str, what: str = "y") -> NDArray[np.float32]:
    """y (N, K), a share of each class for each row, as float32. Raises DataError."""
    array = _columns(y, what).astype(np.float64)
    wrong = ~((array >= 0) & (array <= 1 + _SUMS))
    if wrong.any():
        raise _wrong(f"{what} of several columns must be shares of classes for the loss {loss}", array, wrong)
    sums = array.sum(axis=1)
    if (off := ~(np.abs(sums - 1) <= _SUMS)).any():
        row = int(off.argmax())
        raise DataError(
            f"{what} of several columns must be shares of classes, which sum to 1, for the loss {loss}",
            f"{sums[row]:g} in row {row}",
            "use loss binary where more than one class may be true",
        )
    return array.astype(np.float32)


def numbers(y: Any, loss: str, what: str = "y") -> NDArray[np.float64]:
    """y (N,) or (N, K), finite, as float64 (N, K); from 0 where they are counts. Raises DataError."""
    array = _columns(y, what).astype(np.float64)
    wrong = ~(np.abs(array) <= LARGEST)
    if wrong.any():
        raise _wrong(f"{what} must hold finite numbers up to {LARGEST:g}", array, wrong)
    check_numbers(array, loss, what)
    return array


def check_numbers(y: NDArray[np.float64], loss: str, what: str = "y") -> None:
    """Raise DataError where the loss takes no negative numbers and there are some."""
    if Loss.of(loss).word.link == "exp" and (y < 0).any():
        raise _wrong(f"{what} must hold numbers from 0 for the loss {loss}, which is of counts", y, y < 0)


def check_labels(classes: Sequence[Label], loss: str, what: str = "y") -> None:
    """Raise DataError unless there are as many classes as this loss takes: two, or from two."""
    if len(classes) < 2:
        raise DataError(
            f"{what} must hold at least two different labels",
            f"{classes[0]} alone" if classes else "none",
            "use data with several classes, or name the right label column",
        )
    if Loss.of(loss).task == "binary" and len(classes) > 2:
        shown = ", ".join(map(str, classes[:8])) + ", ..." * (len(classes) > 8)
        raise DataError(
            f"{what} must hold two different labels for the loss {loss}",
            f"{len(classes)}: {shown}",
            "use loss logits for several classes, or a column of 0 and 1 for each where several may be true",
        )


COLUMNS: dict[str, Callable[..., NDArray[Any]]] = {"flags": flags, "shares": shares, "numbers": numbers}
"""By kind: the function that checks (N, K) of it."""

DTYPES = {"labels": np.int64, "flags": np.uint8, "shares": np.float32, "numbers": np.float64}
"""By kind: the type in which a Dataset has it."""


def _columns(y: Any, what: str) -> NDArray[Any]:
    """y as (N, K), of numbers or bools. Raises DataError."""
    array = as_array(what, y)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(f"{what} must have shape (N,) or (N, K)", f"shape {array.shape}")
    return array


def _wrong(must: str, array: NDArray[Any], wrong: NDArray[np.bool_]) -> DataError:
    row, column = np.argwhere(wrong)[0].tolist()
    where = f"row {row}" + f", column {column}" * (array.shape[1] > 1) + " (from 0)"
    return DataError(must, f"{array[row, column]} in {where}", "remove or replace such values")


def _is_broken(y: Any) -> bool:
    """True for numbers that are not all whole."""
    values = y.values if isinstance(y, Column) else y
    return bool(values.dtype.kind == "f" and (np.floor(values) != values).any())
