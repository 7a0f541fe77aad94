"""What both backends ask of their arguments, before compiled code that checks no index sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastmlp.checks import LARGEST, WHOLE, as_array, as_list, instance, positive_number, whole_number
from fastmlp.errors import ConfigError, DataError, ModelError
from fastmlp.net import Net
from fastmlp.words.losses import Loss, checked_loss


def check_inputs(net: Net, shape: tuple[int, ...]) -> None:
    """Raise ModelError unless inputs of this shape suit the net."""
    D = net.architecture.inputs
    if len(shape) != 2 or shape[1] != D:
        raise ModelError(f"X must have shape (N, {D}) for this net", shape)


def checked_classes(K: int, y: ArrayLike, n: int) -> NDArray[np.int64]:
    """y (n,) as int64; raises DataError unless it is a class below K for each of n rows."""
    classes = as_array("y", y)
    if classes.shape != (n,) or classes.dtype.kind not in WHOLE:
        got = f"shape {classes.shape}, dtype {classes.dtype}"
        raise DataError(f"y must be {n:,} integers, one for each row of X", got)
    if n and (classes.min() < 0 or classes.max() >= K):
        raise DataError(f"y must be class indices from 0 to {K - 1}", f"{classes.min()} .. {classes.max()}")
    return np.ascontiguousarray(classes, np.int64)


def checked_link(net: Net, loss: str, *tasks: str) -> str:
    """The link of a loss, if it is of one of these tasks; else raises ConfigError."""
    instance("net", net, Net)
    return Loss.of(checked_loss(loss, *tasks)).word.link


def checked_targets(net: Net, y: ArrayLike, n: int, loss: Loss) -> NDArray[Any]:
    """y as the loss wants it, for n rows; raises DataError where it is none.

    classes: indices (n,), as int64; or shares of all K, (n, K), from 0 to 1, as they are: they need not
             add up to 1.
    binary:  (n, K) from 0 to 1; bools are 0 and 1.  numbers: (n, K), finite; of ``poisson`` from 0.

    Where K is 1, (n,) will do for (n, 1). All but indices are in the number type of the net.
    """
    K, word = net.architecture.outputs, loss.word
    targets = as_array("y", y)
    if word.task == "classes" and targets.ndim != 2:
        return checked_classes(K, targets, n)
    if targets.shape != (n, K) and (K > 1 or targets.shape != (n,)):
        rows = f"{n:,} numbers" if K == 1 else f"({n:,}, {K}) numbers"
        or_classes = f" (or {n:,} class indices)" if word.task == "classes" else ""
        raise DataError(
            f"y must be {rows}, for each row of X one for each output{or_classes}, with {loss.name} loss",
            f"shape {targets.shape}, dtype {targets.dtype}",
        )
    with np.errstate(over="ignore"):  # refused below
        targets = np.ascontiguousarray(targets.reshape(n, K), net.parameters.dtype)
    lowest, highest, what = _RANGES.get(loss.name, _RANGES[word.task])
    wrong = ~((targets >= lowest) & (targets <= highest))  # so for nan
    if wrong.any():
        raise DataError(f"y must be {what} with {loss.name} loss", f"{targets[wrong][0]:g}")
    return targets


_LARGEST = float(np.finfo(np.float32).max)
_RANGES = {
    "classes": (0, 1, "shares of classes, from 0 to 1,"),
    "binary": (0, 1, "labels of 0 or 1, or numbers between,"),
    "numbers": (-_LARGEST, _LARGEST, "finite numbers"),
    "poisson": (0, _LARGEST, "finite numbers from 0"),
}


def checked_weights(
    sample_weight: ArrayLike | None, n: int, dtype: DTypeLike = np.float32
) -> NDArray[Any] | None:
    """sample_weight (n,) in that number type, or None; raises DataError unless all are from 0 to LARGEST.

    Larger ones would have no finite sum in float32, and a batch would move nothing without a word.
    """
    if sample_weight is None:
        return None
    weights = as_array("sample_weight", sample_weight)
    if weights.shape != (n,):
        raise DataError(
            f"sample_weight must be {n:,} numbers, one for each row of X",
            f"shape {weights.shape}, dtype {weights.dtype}",
        )
    wrong = ~((weights >= 0) & (weights <= LARGEST))  # so for nan
    if wrong.any():
        raise DataError(f"sample_weight must be numbers from 0 to {LARGEST:g}", f"{weights[wrong][0]}")
    return np.ascontiguousarray(weights, dtype)


def checked_draw(seed: int, epoch: int) -> tuple[int, int]:
    """Seed and epoch of what a step leaves out; raises ConfigError for others than Training's."""
    return whole_number("seed", seed, 0, 2**63 - 1), whole_number("epoch", epoch, 0, 2**32 - 1)


def checked_order(order: ArrayLike, n: int) -> NDArray[np.int64]:
    """order (M,) as int64; raises DataError unless it holds at least one row number below n, and no other."""
    rows = as_array("order", order)
    if rows.ndim != 1 or len(rows) == 0 or rows.dtype.kind not in WHOLE:
        raise DataError("order must be a 1-D array of row numbers", f"shape {rows.shape}, dtype {rows.dtype}")
    if rows.min() < 0 or rows.max() >= n:
        raise DataError(f"order must hold row numbers from 0 to {n - 1:,}", f"{rows.min()} .. {rows.max()}")
    return np.ascontiguousarray(rows, np.int64)


def checked_rates(lr: Any, batches: int) -> float | NDArray[np.float64]:
    """The learning rate of all batches, or (batches,) of each; raises ConfigError for any other.

    A single one is over 0, some of several may be 0.
    """
    items = as_list(lr)
    if items is None:
        return positive_number("lr", lr, "0.01")
    rates = as_array("lr", items, error=ConfigError)
    if rates.shape != (batches,):
        got = f"shape {rates.shape}"
        raise ConfigError(f"lr must be a number, or one for each of {batches:,} batches", got)
    wrong = ~((rates >= 0) & (rates <= LARGEST))  # so for nan
    if wrong.any():
        raise ConfigError(f"lr must be numbers from 0 to {LARGEST:g}", f"{rates[wrong][0]}")
    return rates.astype(np.float64)
