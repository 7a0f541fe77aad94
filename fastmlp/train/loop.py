"""The epoch loop: orders, clocks, evaluations, what each epoch was like. Takes a backend.

Knows no file format, prints nothing, and does no arithmetic on weights itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp import random
from fastmlp.backends.checks import checked_weights
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import Threads, ThreadTuner
from fastmlp.backends.types import Evaluation, Midway, Pause
from fastmlp.checks import function, shown
from fastmlp.display import Display, Displayed, cell, ends, listed
from fastmlp.errors import ConfigError, DivergedError, FastMLPError
from fastmlp.model import load_backend
from fastmlp.net import Net, Parameters
from fastmlp.spec import Training
from fastmlp.target_scale import TargetScale, evaluated
from fastmlp.train.epochs import Clock, Epoch, Trainer
from fastmlp.train.plateau import rates_of
from fastmlp.words.losses import Loss
from fastmlp.words.scales import scale_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]


@dataclass(frozen=True, repr=False)
class EpochResult(Displayed):
    """One finished epoch, as the JSON has it.

    seconds:     training alone: the shuffle is in, evaluation is out.
    train_loss, train_accuracy, live_share: running means over the epoch's batches, each as the
                 net was then. live_share is 1 by definition for losses without a clip.
    test_loss, test_accuracy: after the epoch; None without test data.
    dead_units:  per hidden layer, after the epoch: units that no training row activates.
    validation_loss, validation_accuracy: on the rows held out; None without them.

    A regression has no accuracies, which are None, but R2 and mean absolute error: test_r2, test_mae,
    validation_r2 and validation_mae. Losses and errors are in the targets' own units; see ``Model.evaluate``.
    """

    epoch: int
    seconds: float
    samples_per_second: float
    train_loss: float
    train_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    live_share: float
    dead_units: list[int]
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    test_r2: float | None = None
    test_mae: float | None = None
    validation_r2: float | None = None
    validation_mae: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump: of a regression without accuracies, of classes without R2 and errors."""
        others = ("r2", "mae") if self.train_accuracy is not None else ("accuracy",)
        return {name: value for name, value in asdict(self).items() if not name.endswith(others)}

    def _display(self) -> Display:
        told = {name.replace("_", " "): value for name, value in self.to_json().items()}
        told["dead units"] = listed(self.dead_units)
        score = "" if self.train_accuracy is None else f", accuracy {self.train_accuracy:.4f}"
        title = f"EpochResult {self.epoch}: loss {cell(self.train_loss)}{score}"
        return Display(title, [pair for pair in told.items() if pair[0] != "epoch" and pair[1] is not None])


@dataclass(repr=False)
class History(Displayed):
    """The finished epochs of a training, and how it ran.

    best_epoch: the epoch whose weights were restored, with ``patience``; else None.
    """

    backend: str
    threads: int
    epochs: list[EpochResult] = field(default_factory=list)
    best_epoch: int | None = None

    @property
    def seconds_training(self) -> float:
        """Sum of the epochs' seconds."""
        return sum(result.seconds for result in self.epochs)

    @property
    def final(self) -> EpochResult:
        """The epoch whose weights the net has now: the best with ``patience``, else the last."""
        return self.epochs[-1 if self.best_epoch is None else self.best_epoch - 1]

    def to_dict(self) -> dict[str, list[Any]]:
        """The epochs' figures by name, a number for each epoch; names without any are left out."""
        told = [result.to_json() for result in self.epochs]
        names = [name for name in (told[0] if told else {}) if any(one[name] is not None for one in told)]
        return {name: [one[name] for one in told] for name in names}

    def to_frame(self) -> Any:
        """The same as a pandas DataFrame, a row an epoch. Raises ConfigError without pandas."""
        try:
            pd = import_module("pandas")
        except ImportError:
            raise ConfigError(
                "to_frame must have pandas",
                "none installed",
                "install it: pip install pandas, or use to_dict",
            ) from None
        told = self.to_dict()
        return pd.DataFrame(told, index=pd.Index(told.pop("epoch", []), name="epoch"))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw losses, and beside them accuracies or R2, by epoch; returns matplotlib's axes.

        ax: where; None: in a new figure of pyplot, which a notebook shows. Raises ConfigError without
        matplotlib, and without an epoch.
        """
        from fastmlp.display import plots

        plots.check()
        told = self.to_dict()
        if not told:
            raise ConfigError("a history must have an epoch to be drawn", "none", "train it for one")
        score, name = ("accuracy", "accuracy") if "train_accuracy" in told else ("R2", "r2")
        parts = {"train": "training", "validation": "held-out", "test": "test"}
        losses, scores = (
            {parts[part]: told[f"{part}_{what}"] for part in parts if f"{part}_{what}" in told}
            for what in ("loss", name)
        )
        return plots.curves(ax, told["epoch"], losses, scores, score, self.best_epoch)

    def _display(self) -> Display:
        count = len(self.epochs)
        title = f"History of {count:,} epoch{'s' * (count != 1)}, {self.seconds_training:.3g} s of training"
        if not count:
            return Display(title)
        columns = {name: head for name, head in _COLUMNS.items() if self._has(name)}
        rows = [
            None if one is None else [_figure(name, getattr(one, name)) for name in columns]
            for one in ends(self.epochs)
        ]
        notes = []
        if self.best_epoch is not None:
            notes.append(
                f"The weights are those of epoch {self.best_epoch:,}, the best on the rows held out."
            )
        return Display(title, (), tuple(columns.values()), rows, notes)

    def _has(self, name: str) -> bool:
        """Tell whether the epochs have a figure of that name that says something."""
        first, last = getattr(self.epochs[0], name), getattr(self.epochs[-1], name)
        if name == "dead_units":
            return any(last)
        return (first, last) != (1, 1) if name == "live_share" else last is not None


_COLUMNS = {
    "epoch": "epoch", "train_loss": "loss", "train_accuracy": "accuracy", "validation_loss": "held-out loss",
    "validation_accuracy": "held-out accuracy", "validation_r2": "held-out R2", "test_loss": "test loss",
    "test_accuracy": "test accuracy", "test_r2": "test R2", "test_mae": "test error", "live_share": "live",
    "dead_units": "dead units", "seconds": "seconds",
}  # fmt: skip


def _figure(name: str, value: Any) -> Any:
    """A figure of an epoch as its table has it."""
    if isinstance(value, list):
        return listed(value, 4)
    if name.endswith(("accuracy", "r2", "live_share")) and value is not None:
        return f"{value:.4f}"
    if name == "seconds":
        return f"{value:.4f}" if value < 10 else f"{value:,.1f}"
    return value


@dataclass
class Best:
    """Early stopping: the epoch with the lowest validation loss so far, and its weights."""

    epoch: int = 0
    loss: float = math.inf
    parameters: Parameters | None = None

    def note(self, epoch: int, held: Evaluation, parameters: Parameters) -> None:
        """Judge a finished epoch."""
        if held.loss < self.loss or self.parameters is None:
            self.epoch, self.loss, self.parameters = epoch, held.loss, parameters.copy()

    def restore(self, parameters: Parameters) -> int | None:
        """The best weights into ``parameters``; returns their epoch."""
        if self.parameters is None:
            return None
        for array, best in zip(parameters, self.parameters, strict=True):
            array[...] = best
        return self.epoch


@dataclass
class Checkpoint:
    """All that a training needs to resume to the same bytes, as it is now.

    parameters, state: after the last of the finished ``epochs``.
    best:   of them, with ``patience``.
    midway: the epoch after them, where one was begun before the training was broken off.
    told:   how many epochs ``on_epoch`` has seen to its end: all of them, or all but the last.
    ended:  whether it has ended the training.
    """

    parameters: Parameters
    state: OptimizerState
    epochs: list[EpochResult] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    midway: Midway | None = None
    told: int = 0
    ended: bool = False

    def tell(self, on_epoch: Callable[[EpochResult], object] | None) -> None:
        """Tell of the last epoch, unless it is known."""
        if self.told < len(self.epochs):
            self.ended = on_epoch is not None and on_epoch(self.epochs[-1]) is True
            self.told = len(self.epochs)

    def is_over(self, training: Training) -> bool:
        """True where no epoch is left."""
        epoch = len(self.epochs)
        stands_still = training.patience and epoch - self.best.epoch >= training.patience
        return self.ended or epoch >= training.epochs or bool(stands_still)

    def left(self, training: Training) -> Iterator[int]:
        """Numbers of the epochs to come, as long as any is left."""
        while not self.is_over(training):
            yield len(self.epochs) + 1


class Keeper(Protocol):
    """A keeper of checkpoints (train/checkpoint.py has one)."""

    def restore(self, now: Checkpoint) -> None:
        """Make the one before the first epoch that which is kept, if any is."""

    def wait(self, *, midway: bool = False) -> float:
        """Seconds until the next one is due, after an epoch or within."""

    def keep(self, now: Checkpoint) -> None:
        """Keep it, unless nothing has come to it."""


def train(
    net: Net,
    X: Any,
    y: Array,
    training: Training,
    *,
    backend: str = "numba",
    threads: Threads = "auto",
    test_data: tuple[Any, Array] | None = None,
    sample_weight: Array | None = None,
    on_epoch: Callable[[EpochResult], object] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    keeper: Keeper | None = None,
    target_scale: TargetScale | None = None,
) -> History:
    """Train the net's parameters in place on X (N, D) and targets y, as a Dataset has them.

    sample_weight (N,): how much each row counts, besides ``training.class_weight``. ``on_epoch`` sees
    each finished epoch and ends the training by returning True. ``on_progress`` sees (epoch, samples
    done in it) now and then. With a ``keeper`` the training resumes from the checkpoint that it has, if
    it has one: the epochs in it are in the history, and ``on_epoch`` does not see them again. By the
    ``target_scale`` numbers y (N, K) are standardised, and the history is turned back. Raises
    DivergedError; the parameters are then those after the last good epoch, as they are after
    KeyboardInterrupt. The error's ``history`` has the epochs before.
    """
    nn = load_backend(backend)
    tuner = threads if isinstance(threads, ThreadTuner) else ThreadTuner(threads)
    function("progress", on_progress)
    sample_weight = checked_weights(sample_weight, len(y))
    now = Checkpoint(net.parameters, OptimizerState.start(net.parameters, training.optimizer))
    history, of_numbers = History(backend, tuner.most, now.epochs), Loss.of(training.loss).task == "numbers"
    weights = weights_of(y, net.architecture.outputs, training.class_weight, sample_weight, training.loss)
    X, y = nn.encode(X), _as_trained(y, target_scale)
    if test_data is not None:
        test_data = nn.encode(test_data[0]), _as_trained(test_data[1], target_scale)
    loss, unit = training.loss, 1.0
    if target_scale is not None:
        loss, unit = target_scale.loss(loss), target_scale.factor(loss)
    rows, held_out = parted(len(y), training.validation, training.seed)
    N = len(rows)
    if keeper is not None:
        keeper.restore(now)
    trainer = Trainer(
        nn, net, X, y, loss, training.batch_size, training.optimizer, now.state, tuner, weights,
        training.seed, training.label_smoothing,
    )  # fmt: skip

    def evaluation(X: Any, y: Array, rows: Array | None = None) -> Evaluation:
        words = training.loss, training.label_smoothing, target_scale
        return evaluated(nn, net, X, y, *words, threads=tuner, rows=rows, reader=trainer.reader)

    def order(epoch: int) -> Array:
        shuffled = random.permutation(N, training.seed, "order", epoch)
        return rows[shuffled] if len(held_out) else shuffled

    if not now.is_over(training):
        trainer.warm_up(rows[:1])
    clock = Clock() if keeper is None else _KeptClock(now, keeper)
    rates = rates_of(training, -(-N // training.batch_size), now.epochs)
    epochs = trainer.epochs(now.left(training), order, rates, progress=on_progress, clock=clock)
    try:
        now.tell(on_epoch)
        for epoch in _explained(epochs, training, history):
            totals, now.midway = epoch.totals, None
            held = evaluation(X, y, held_out) if len(held_out) else None
            result = EpochResult(
                epoch=epoch.number,
                seconds=epoch.seconds,
                samples_per_second=N / epoch.seconds,
                train_loss=totals.loss * unit,
                train_accuracy=None if of_numbers else totals.accuracy,
                live_share=totals.live_share,
                dead_units=trainer.reader.dead_units(net, X, threads=tuner),
                **_figures("test", test_data and evaluation(*test_data), of_numbers),
                **_figures("validation", held, of_numbers),
            )
            if training.patience and held is not None:
                now.best.note(epoch.number, held, net.parameters)
            now.epochs.append(result)
            now.tell(on_epoch)
            if keeper is not None and (now.is_over(training) or keeper.wait() <= 0):
                keeper.keep(now)
    except BaseException:
        batches = -(-N // training.batch_size)
        is_whole = now.state.steps == len(now.epochs) * batches  # or within an epoch's end
        if keeper is not None and is_whole:
            with suppress(FastMLPError):
                keeper.keep(now)
        raise
    history.best_epoch = now.best.restore(net.parameters)
    return history


def _as_trained(y: Array, target_scale: TargetScale | None) -> Array:
    """Targets as the net is trained on them: class indices, or (N, K) in float32, once for all epochs."""
    if target_scale is not None:
        return target_scale.standardised(y)
    return y if y.ndim == 1 else y.astype(np.float32)


def _figures(part: str, tested: Evaluation | None, of_numbers: bool) -> dict[str, float | None]:
    """The figures of an EpochResult about that part of the data."""
    if tested is None:
        return {f"{part}_loss": None, f"{part}_accuracy": None}
    figures: dict[str, float | None] = {f"{part}_loss": tested.loss, f"{part}_accuracy": tested.accuracy}
    if of_numbers:
        figures |= {
            f"{part}_accuracy": None, f"{part}_r2": tested.r2, f"{part}_mae": tested.mean_absolute_error
        }  # fmt: skip
    return figures


class _KeptClock(Clock):
    """Times an epoch, and keeps checkpoints within it, which do not count."""

    def __init__(self, now: Checkpoint, keeper: Keeper) -> None:
        self._now, self._keeper = now, keeper

    @property
    def midway(self) -> Midway | None:
        return self._now.midway

    def begin(self) -> None:
        super().begin()
        self._is_new = True
        if self.midway is not None:
            self.began -= self.midway.seconds

    @property
    def pause(self) -> Pause | None:
        return self._keep

    def _keep(self, take: Callable[[], Midway]) -> float:
        wait = self._keeper.wait(midway=True)
        if wait > 0 or self._is_new:  # nothing is done yet
            self._is_new = False
            return max(0.0, wait)
        seconds = self.seconds
        self._now.midway = replace(take(), seconds=seconds)
        self._keeper.keep(self._now)
        self.began = time.perf_counter() - seconds
        return self._keeper.wait(midway=True)


def parted(N: int, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the rows to train on, in their order, and of those held out: that share, at least one.

    Raises ConfigError where none is left to train on.
    """
    if not share:
        return np.arange(N), np.arange(0)
    count = max(1, round(N * share))
    if count >= N:
        raise ConfigError("validation must leave rows to train on", f"{share:g} of {N} rows")
    held_out = np.sort(random.permutation(N, seed, "validation")[:count])
    return np.delete(np.arange(N), held_out), held_out


def weights_of(
    y: Array,
    K: int,
    class_weight: str | tuple[float, ...] | None,
    sample_weight: Array | None,
    loss: str = "logits",
) -> Array | None:
    """(N,) how much each row counts, by its class (balanced: N / (K N_k)) and by itself; None: all the same.

    y: targets of a net of K outputs. Of shares the class is that of the largest; of a single label 1 where
    it is over a half, so there are two. Raises ConfigError unless there is a weight for each of the classes.
    """
    if class_weight is None:
        return sample_weight
    if (task := Loss.of(loss).task) == "numbers" or (task == "binary" and K > 1):
        what = "numbers" if task == "numbers" else f"rows of {K} labels"
        raise ConfigError(f"class_weight must be None for {what}", shown(class_weight), "use sample_weight")
    if task == "binary":
        y, K = (np.reshape(y, -1) > 0.5).astype(np.int64), 2
    elif y.ndim == 2:
        y = y.argmax(axis=1)
    if isinstance(class_weight, str):
        by_class = len(y) / (K * np.maximum(np.bincount(y, minlength=K), 1))
    elif len(class_weight) == K:
        by_class = np.asarray(class_weight, np.float64)
    else:
        raise ConfigError(f"class_weight must hold a number for each of {K} classes", f"{len(class_weight)}")
    return by_class[y] * (1 if sample_weight is None else np.asarray(sample_weight))


def _explained(epochs: Iterator[Epoch], training: Training, history: History) -> Iterator[Epoch]:
    """The same epochs; where one diverges, the error says which, and with what rate."""
    try:
        yield from epochs
    except DivergedError as error:
        epoch = len(history.epochs) + 1
        larger = ", or a larger scale" if isinstance(training.scale, float) else ""
        larger = larger if training.scale_targets else ", or scale_targets"
        explained = DivergedError(
            error.must,
            f"{error.got} of epoch {epoch}, with lr {training.lr:g} and scale {scale_text(training.scale)}",
            f"use a smaller lr{larger}",
        )
        explained.epoch, explained.batch, explained.history = epoch, error.batch, history
        raise explained from None
