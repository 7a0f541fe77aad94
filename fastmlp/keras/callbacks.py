"""Callbacks: objects that are called as a training goes on, and may change or stop it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastmlp.checks import flag, one_of, shown, whole_number
from fastmlp.keras.checks import finite, text
from fastmlp.keras.missing import missing, unknown_names
from fastmlp.keras.progress import say

if TYPE_CHECKING:
    from fastmlp.keras.sequential import Sequential

__all__ = ["Callback", "EarlyStopping", "History", "LearningRateScheduler"]

Logs = dict[str, Any]

_NEVER_CALLED = tuple(
    f"on_{what}{when}"
    for what in ("batch_", "train_batch_", "test_batch_", "predict_batch_", "test_", "predict_")
    for when in ("begin", "end")
)


class Callback:
    """Base of callbacks: every method may be overridden.

    ``model`` is the one that is trained, ``params`` say how. Epochs count from 0. ``on_epoch_end`` may
    change ``logs``, which the history then holds. Setting ``self.model.stop_training`` ends the training
    after the epoch.
    """

    model: Sequential
    params: dict[str, Any]

    def set_model(self, model: Sequential) -> None:
        """Called first."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called with verbose, epochs and steps (an epoch's batches)."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called after the last epoch, with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch with its loss and metrics, those of the validation as val_loss and so on."""


class History(Callback):
    """Logs of a training. epoch: the epochs' numbers from 0; history: a list for each entry of the logs."""

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin a history of one training."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep the logs."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class EarlyStopping(Callback):
    """Stops after ``patience`` epochs in which ``monitor`` did not improve by more than ``min_delta``.

    mode: min, max, or auto (max for an accuracy). baseline: an improvement must beat this too.
    restore_best_weights: the weights of the best epoch are set at the end. start_from_epoch: those before it
    do not count. Raises ValueError.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        self.monitor, self.mode = text("monitor", monitor), one_of("mode", mode, ("auto", "min", "max"))
        self.min_delta = abs(finite("min_delta", min_delta))
        self.patience = whole_number("patience", patience, 0, 10**9)
        self.verbose = _verbosity(verbose)
        self.baseline = None if baseline is None else finite("baseline", baseline)
        self.start_from_epoch = whole_number("start_from_epoch", start_from_epoch, 0, 10**9)
        self.restore_best_weights = flag("restore_best_weights", restore_best_weights)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew: no epoch is the best yet."""
        one_of("mode", self.mode, ("auto", "min", "max"))
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best: float | None = None
        self.best_weights: list[Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and stop where patience is over; warn where there is nothing to compare."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            known = ", ".join(logs or {})
            warnings.warn(f"EarlyStopping monitors {self.monitor}, and the logs hold {known}", stacklevel=2)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._beats(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self._beats(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch, self.model.stop_training = epoch, True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the best weights, if that was asked for."""
        if self.stopped_epoch and self.verbose:
            say(f"Epoch {self.stopped_epoch + 1}: stopped early")
        if self.best_weights is not None:
            if self.verbose:
                say(f"The weights are those of epoch {self.best_epoch + 1}, the best one")
            self.model.set_weights(self.best_weights)

    def _beats(self, value: float, other: float | None) -> bool:
        if other is None:
            return True
        accuracy = self.monitor.endswith(("acc", "accuracy"))
        highest = self.mode == "max" or (self.mode == "auto" and accuracy)
        return (value - other if highest else other - value) > self.min_delta

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "monitor_op":
            raise missing("monitor_op in EarlyStopping", "say mode='min' or mode='max'")
        super().__setattr__(name, value)


class LearningRateScheduler(Callback):
    """Sets the rate to ``schedule(epoch, rate)``, or ``schedule(epoch)``, before each epoch.

    The logs get it as ``learning_rate``. Raises ValueError for a rate that is not over 0.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, _verbosity(verbose)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate."""
        optimizer = self.model.optimizer
        try:
            rate = self.schedule(epoch, float(optimizer.learning_rate))
        except TypeError:
            rate = self.schedule(epoch)
        optimizer.learning_rate = rate
        if self.verbose:
            say(f"Epoch {epoch + 1}: learning rate {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the rate into the logs."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _verbosity(value: Any) -> int:
    return whole_number("verbose", int(value) if isinstance(value, bool) else value, 0, 2)


def checked(callbacks: Any) -> list[Callback]:
    """List of callbacks, from one or several. Raises TypeError, and MissingError for those of batches."""
    if callbacks is None:
        return []
    listed = list(callbacks) if isinstance(callbacks, Sequence) else [callbacks]
    for callback in listed:
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks must be of fastmlp.keras.callbacks.Callback; got {shown(callback)}")
        for name in _NEVER_CALLED:
            if hasattr(callback, name):
                raise missing(f"call of {name}", "callbacks are called for trainings and epochs alone")
    return listed


__getattr__ = unknown_names(__name__, "callback", tuple(__all__))
