"""Compiled: how a model is trained, as ``compile`` was told; and what its logs hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastmlp.checks import as_text, shown
from fastmlp.keras import losses, optimizers
from fastmlp.keras.checks import listed
from fastmlp.keras.losses import Crossentropy
from fastmlp.keras.missing import missing, refuse
from fastmlp.keras.optimizers import Optimizer

METRICS = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy")

_OTHERS = {
    "loss_weights": None, "weighted_metrics": None, "run_eagerly": False, "steps_per_execution": 1,
    "jit_compile": "auto", "auto_scale_loss": True,
}  # fmt: skip
_SAME_RESULT = ("run_eagerly", "steps_per_execution", "jit_compile")


@dataclass(frozen=True, eq=False)
class Compiled:
    """An optimizer, a loss and metrics: the one name by which the logs call the accuracy, or none."""

    optimizer: Optimizer
    loss: Crossentropy
    metrics: tuple[str, ...]

    @classmethod
    def of(cls, optimizer: Any, loss: Any, metrics: Any, others: Mapping[str, Any]) -> Compiled:
        """Make it from the arguments of ``compile``. Raises ValueError, MissingError."""
        given = {name: value for name, value in others.items() if name not in _SAME_RESULT}
        refuse("compile", given, _OTHERS)
        return cls(optimizers.get(optimizer), losses.get(loss), _metrics(metrics))

    def logs(self, loss: float, accuracy: float) -> dict[str, Any]:
        """Logs of an epoch or an evaluation, in the order in which Keras prints them."""
        return {**dict.fromkeys(self.metrics, accuracy), "loss": loss}


def _metrics(metrics: Any) -> tuple[str, ...]:
    """Names of metrics: at most one. Raises ConfigError, MissingError."""
    names = [metrics] if isinstance(metrics, str) else listed("metrics", metrics)
    for name in names:
        if as_text(name) not in METRICS:
            raise missing(f"metric {shown(name)}", f"it has {', '.join(map(repr, METRICS))}")
    if len(names) > 1:
        raise missing(f"several metrics at once ({', '.join(names)})", "they are the same accuracy: keep one")
    return tuple(names)
