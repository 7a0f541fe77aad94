"""TargetScale: the mean and the spread of a regression's targets, by which a training standardises them.

A net is trained on (y - mean) / spread, and its outputs z mean spread z + mean. Nothing is trained here.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.threads import Threads
from fastmlp.backends.types import Evaluation
from fastmlp.checks import as_array, shown
from fastmlp.display import Display, Displayed, ends
from fastmlp.errors import ModelError
from fastmlp.net import Net
from fastmlp.words.losses import Loss

_POWERS = {"squared": 2, "half_squared": 2, "huber": 2, "absolute": 1}  # of the spread, that a loss has


@dataclass(frozen=True, eq=False, repr=False)  # a comparison of arrays has no one answer
class TargetScale(Displayed):
    """Mean and spread of K targets, each (K,) float64. Raises ModelError.

    spread: their standard deviation, 1 where they are all the same. The loss ``huber`` has one for all
    targets, the root of their mean variance, for its DELTA is in their units.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("mean", "spread"):
            array = as_array(f"the targets' {name}", getattr(self, name), error=ModelError)
            object.__setattr__(self, name, array.astype(np.float64))
        if self.mean.ndim != 1 or self.mean.shape != self.spread.shape:
            raise ModelError(
                "the targets' mean and spread must have shape (K,)", f"{self.mean.shape}, {self.spread.shape}"
            )
        if not (np.isfinite(self.mean).all() and (self.spread > 0).all() and np.isfinite(self.spread).all()):
            raise ModelError("the targets' mean and spread must be finite, and the spread over 0", "others")

    @classmethod
    def of(cls, y: NDArray[Any], loss: str, weights: NDArray[Any] | None = None) -> Self:
        """Scale of targets y (N, K) for that loss. weights (N,): how much each row counts."""
        if weights is not None and (counts := weights > 0).any():
            y, weights = y[counts], weights[counts].astype(np.float64)
        same = y.min(axis=0) == y.max(axis=0)
        mean = np.where(same, y[0], np.average(y, axis=0, weights=weights))
        variance = np.where(same, 0, np.average((y - mean) ** 2, axis=0, weights=weights))
        if Loss.of(loss).name == "huber":
            variance[:] = variance.mean()
        spread = np.sqrt(variance)
        return cls(mean, np.where(spread > 0, spread, 1.0))

    def standardised(self, y: NDArray[Any]) -> NDArray[np.float32]:
        """Targets (N, K) as the net is trained on them."""
        with np.errstate(over="ignore"):  # a backend refuses what is not finite
            targets: NDArray[np.float32] = ((y - self.mean) / self.spread).astype(np.float32)
        return targets

    def restored(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Outputs (N, K) of the net in the targets' own units."""
        numbers: NDArray[np.float64] = z * self.spread + self.mean
        return numbers

    def _display(self) -> Display:
        K = len(self.mean)
        rows = [
            None if k is None else (f"target {k}", float(self.mean[k]), float(self.spread[k]))
            for k in ends(range(K))
        ]
        return Display(f"TargetScale of {K:,} target{'s' * (K > 1)}", (), ("", "mean", "spread"), rows)

    @property
    def one_spread(self) -> float | None:
        """The spread of all targets; None where they differ."""
        first = float(self.spread[0])
        return first if (self.spread == first).all() else None

    def loss(self, loss: str) -> str:
        """The loss of standardised targets that means the same: DELTA is in own units."""
        found = Loss.of(loss)
        return f"huber:{found.numbers[0] / float(self.spread[0])!r}" if found.name == "huber" else loss

    def factor(self, loss: str) -> float:
        """The own units in one of a loss of standardised targets; 1 where the targets' spreads differ."""
        return (self.one_spread or 1.0) ** _POWERS[Loss.of(loss).name]

    def to_json(self) -> dict[str, list[float]]:
        """Plain data for json.dump."""
        return {"mean": self.mean.tolist(), "spread": self.spread.tolist()}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The inverse of ``to_json``. Raises ModelError."""
        if not isinstance(data, dict) or set(data) != {"mean", "spread"}:
            raise ModelError("a model's targets must be an object with keys mean, spread", shown(data))
        return cls(data["mean"], data["spread"])


def evaluated(
    nn: ModuleType,
    net: Net,
    X: Any,
    y: NDArray[Any],
    loss: str,
    label_smoothing: float = 0.0,
    scale: TargetScale | None = None,
    *,
    threads: Threads = 1,
    rows: NDArray[np.int64] | None = None,
    reader: Any = None,
) -> Evaluation:
    """The backend's evaluation on X (N, D), or on ``rows`` of it, in own units where y is standardised.

    A loss of several targets whose spreads differ stays in those: a sum of their own units has no meaning.
    reader: the backend's, which evaluates in its place.
    """
    by = nn if reader is None else reader
    if scale is None:
        found: Evaluation = by.evaluate(
            net, X, y, loss=loss, label_smoothing=label_smoothing, threads=threads, rows=rows
        )
        return found
    found = by.evaluate(net, X, y, loss=scale.loss(loss), threads=threads, rows=rows)
    if scale.one_spread is not None:
        error = (found.mean_absolute_error or 0.0) * scale.one_spread
    else:
        z = nn.predict(net, X, loss=loss, threads=threads, rows=rows).astype(np.float64)
        error = float((np.abs(z - (y if rows is None else y[rows])) * scale.spread).mean())
    return found._replace(loss=found.loss * scale.factor(loss), mean_absolute_error=error)
