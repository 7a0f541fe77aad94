"""Split: the data of one call of fit or partial_fit, and which of its rows are trained on or held out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows held out: X as the backend reads it, y, and weights (N,) or None."""

    X: Any
    y: Array
    weights: Array | None


@dataclass(frozen=True, eq=False)
class Split:
    """All rows: X as the backend reads it, and y as ``train_epoch`` takes it.

    train:   numbers of the rows to train on.
    weights: (N,) how much each row counts, the largest in [0.5, 1); None: all count the same.
    total:   sum of the weights of the rows to train on, as they were given.
    held:    the rows held out, or None.
    """

    X: Any
    y: Array
    train: NDArray[np.int64]
    weights: Array | None
    total: float
    held: HeldOut | None

    @classmethod
    def of(
        cls, nn: ModuleType, X: Any, y: Array, weights: Array | None, options: dict[str, Any] | None
    ) -> Self:
        """Leave out rows of weight 0, and hold some out by the options of train_test_split; by None, no rows.

        Raises ValueError where nothing would be left, or fewer than two rows held out.
        """
        train, exponent = np.arange(X.shape[0]), 0
        if weights is not None:
            train = np.flatnonzero(weights)
            if not len(train):
                raise ValueError("The weights of the rows must not all be zero: nothing would be learnt.")
            exponent = int(np.frexp(weights.max())[1])
            weights = np.ldexp(weights, -exponent)  # exact, and within reach of float32
        held = None
        if options is not None:
            train, out = train_test_split(train, **{**options, "stratify": _strata(options, train)})
            if len(out) < 2:
                raise ValueError(
                    f"The validation set is too small: {len(out)} of {len(train) + len(out)} rows would be "
                    "held out. Increase validation_fraction, or the number of rows."
                )
            held = HeldOut(nn.encode(X[out]), y[out], None if weights is None else weights[out])
        total = float(len(train))
        if weights is not None:
            total = math.ldexp(float(weights[train].sum(dtype=np.float64)), exponent)
        return cls(nn.encode(X), y, train, weights, total, held)


def _strata(options: dict[str, Any], rows: Array) -> Array | None:
    """Labels by which rows are held out: None where a class among more than two has too few rows."""
    if options["stratify"] is None:
        return None
    labels: Array = options["stratify"][rows]
    counts = np.unique(labels, return_counts=True)[1]
    out = math.ceil(options["test_size"] * len(rows))
    possible = counts.min() > 1 and len(counts) <= min(out, len(rows) - out)
    return labels if possible or len(counts) == 2 else None  # of two, scikit-learn says what is wrong
