"""Split: the data of one call of fit or partial_fit, and which of its rows are trained on or held out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
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
    """All rows: X as the backend reads it, and y as the trainer takes it.

    train:   numbers of the rows to train on, in the order that training begins with.
    weights: (N,) how much each row counts, in a unit of its own: the largest is in [0.5, 1); None: all the
             same.
    unit:    the power of two by which they were divided.
    held:    the rows held out, or None.
    """

    X: Any
    y: Array
    train: NDArray[np.int64]
    weights: Array | None
    unit: int
    held: HeldOut | None

    @classmethod
    def of(
        cls,
        laid_out: Callable[[Any], Any],
        X: Any,
        y: Array,
        weights: Array | None,
        options: dict[str, Any] | None,
    ) -> Self:
        """Hold rows out by the options of train_test_split; by None, no rows. laid_out: for the backend.

        Raises ValueError where no row counts, or fewer than two are held out.
        """
        train, unit = np.arange(X.shape[0]), 0
        if weights is not None:
            if not weights.any():
                raise ValueError("The weights of the rows must not all be zero: nothing would be learnt.")
            unit = int(np.frexp(weights.max())[1])
            weights = np.ldexp(weights, -unit)  # exact, and within reach of float32
        held = None
        if options is not None:
            train, out = train_test_split(train, **options)
            if len(out) < 2:
                raise ValueError(
                    f"The validation set is too small: {len(out)} of {len(train) + len(out)} rows would be "
                    "held out. Increase validation_fraction, or the number of rows."
                )
            held = HeldOut(laid_out(X[out]), y[out], None if weights is None else weights[out])
        return cls(laid_out(X), y, train, weights, unit, held)

    def in_unit(self, alpha: float) -> float:
        """The penalty alpha in the unit of the weights: it is divided by sums of them."""
        return math.ldexp(alpha, -self.unit)
