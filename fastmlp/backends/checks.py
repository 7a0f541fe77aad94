"""What both backends ask of their arguments, before compiled code that checks no index sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.checks import LARGEST, WHOLE, as_array, as_list, as_text, positive_number, whole_number
from fastmlp.errors import ConfigError, DataError, ModelError
from fastmlp.losses import clip_bounds
from fastmlp.net import Net


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


def checked_targets(net: Net, y: ArrayLike, n: int, loss: str) -> NDArray[Any]:
    """y as that loss wants it: ``checked_classes``, or (n, K) float numbers for ``squared``."""
    if as_text(loss) != "squared":
        clip_bounds(loss)
        return checked_classes(net.architecture.outputs, y, n)
    K = net.architecture.outputs
    targets = as_array("y", y)
    if targets.shape != (n, K) or targets.dtype.kind not in "iuf":
        raise DataError(
            f"y must be ({n:,}, {K}) numbers, a row of targets for each of X",
            f"shape {targets.shape}, dtype {targets.dtype}",
        )
    targets = np.ascontiguousarray(targets, net.parameters.dtype)
    if not np.isfinite(targets).all():
        raise DataError("y must be finite", "nan or infinity")
    return targets


def checked_weights(sample_weight: ArrayLike | None, n: int) -> NDArray[np.float32] | None:
    """sample_weight (n,) as float32, or None; raises DataError unless all are from 0 to LARGEST.

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
    return np.ascontiguousarray(weights, np.float32)


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
