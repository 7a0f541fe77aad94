"""Targets: what y may be by the task of a loss, each kind checked, once, for arrays and for files.

A *kind* is what a Dataset holds as y: ``labels`` of classes; ``flags``, several columns of 0 and 1;
``shares`` of classes, rows that sum to 1; ``numbers``. Labels become indices in dataset.py. Nothing is
standardised here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import as_array
from fastmlp.data.checks import checked_labels, labels
from fastmlp.errors import DataError
from fastmlp.words.losses import Loss

KINDS = {"classes": ("labels", "shares"), "binary": ("labels", "flags"), "numbers": ("numbers",)}
"""By the task of a loss: what y may be, of one column and of several."""

CALLED = {
    "labels": "labels (N,) of classes",
    "flags": "columns (N, K) of 0 and 1",
    "shares": "shares (N, K) of classes",
    "numbers": "numbers",
}
LARGEST = 1e30  # of a target: float32 holds it, and float64 its square

_SUMS = 1e-3  # shares that were rounded sum to 1 but for so much


def read(y: Any, loss: str, what: str = "y") -> tuple[str, NDArray[Any]]:
    """The kind of y for this loss, and y as a Dataset has it, but for labels, which stay as they are, int64.

    (N, 1) is one column too. Raises DataError.
    """
    task = Loss.of(loss).task
    array = as_array(what if task == "numbers" else "labels", y)
    kind = kind_of(task, array)
    if kind != "labels":
        return kind, COLUMNS[kind](array, loss, what)
    if task == "binary" and array.dtype.kind == "f":
        array = flags(array, loss, what)
    if task == "binary" and array.ndim == 2:
        array = array[:, 0]
    return kind, checked_labels(array)


def of_file(y: NDArray[Any], n: int, where: str, loss: str) -> tuple[str, NDArray[Any]]:
    """The same of a file with n rows, in which labels may be floats, and (N, 1) whatever the loss."""
    kind = kind_of(Loss.of(loss).task, y)
    if kind == "labels":
        return kind, labels(y, n, where)
    array = COLUMNS[kind](y, loss, f"y of {where}")
    if len(array) != n:
        raise DataError(
            f"{where} must have as many rows of y as of X",
            f"{n:,} of X and {len(array):,} of y",
            "use files that belong together",
        )
    return kind, array


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


def check_labels(classes: tuple[int, ...], loss: str, what: str = "y") -> None:
    """Raise DataError unless there are as many classes as this loss takes: two, or from two."""
    if len(classes) < 2:
        raise DataError(
            f"{what} must hold at least two different labels", f"{classes[0]} alone" if classes else "none"
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
