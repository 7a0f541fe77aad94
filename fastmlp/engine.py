"""The epoch loop: orders, clocks, evaluations, what each epoch was like. Takes a backend.

Knows no file format, prints nothing, and does no arithmetic on weights itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from fastmlp import randomness
from fastmlp.config import BACKENDS, DRIVERS, Training, one_of
from fastmlp.cores import Pace
from fastmlp.errors import DivergedError
from fastmlp.parameters import Parameters

Array = NDArray[Any]


@dataclass(frozen=True)
class EpochResult:
    """One finished epoch, as the JSON has it.

    seconds:     training alone: the shuffle is in, evaluation is out.
    train_loss, train_accuracy, live_share: running means over the epoch's batches, each as the
                 net was then. live_share is 1 by definition for the logits loss.
    test_loss, test_accuracy: after the epoch; None without test data.
    dead_units:  per hidden layer, after the epoch: units that no training image activates.
    """

    epoch: int
    seconds: float
    samples_per_second: float
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    live_share: float
    dead_units: list[int]

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return asdict(self)


@dataclass
class History:
    """The finished epochs of a training, and how it ran."""

    backend: str
    threads: int
    epochs: list[EpochResult] = field(default_factory=list)

    @property
    def seconds_training(self) -> float:
        """Sum of the epochs' seconds."""
        return sum(result.seconds for result in self.epochs)


def load_backend(name: str) -> ModuleType:
    """The module of that backend: ``numba`` or ``numpy``. Raises ConfigError."""
    if one_of("backend", name, BACKENDS) == "numba":
        from fastmlp import kernels

        return kernels
    from fastmlp import reference

    return reference


def train(
    parameters: Parameters,
    X: Any,
    y: Array,
    training: Training,
    *,
    mean: Array | None = None,
    backend: str = "numba",
    threads: int | str = "auto",
    driver: str = "team",
    test_data: tuple[Any, Array] | None = None,
    on_epoch: Callable[[EpochResult], object] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> History:
    """Train ``parameters`` in place on X (N, D) and classes y (N,).

    mean (D,) is subtracted from the inputs where ``training.center``. ``on_epoch`` sees each
    finished epoch and ends the training by returning True. ``on_progress`` sees (epoch, samples
    done in it) now and then. Raises DivergedError; ``parameters`` are then those after the last
    good epoch, as they are after KeyboardInterrupt. The error's ``history`` has the epochs before.
    """
    nn = load_backend(backend)
    pace = Pace(threads)
    history = History(backend, pace.most)
    options: dict[str, Any] = {
        "act": training.act,
        "scale": training.scale,
        "mean": mean if training.center else None,
        "threads": pace,
    }
    steps = {
        "loss": training.loss, "lr": training.lr, "batch_size": training.batch_size,
        "driver": one_of("driver", driver, DRIVERS),
    }  # fmt: skip
    X = nn.encode(X)
    if test_data is not None:
        test_data = nn.encode(test_data[0]), test_data[1]
    N = len(y)
    for epoch in range(1, training.epochs + 1):
        started = time.perf_counter()
        order = randomness.permutation(N, training.seed, "order", epoch)
        if epoch == 1:  # compile, load and start threads outside the clock: one sample, on a copy
            _once(nn, parameters, X, y, order, {**options, **steps})
            started = time.perf_counter()
            order = randomness.permutation(N, training.seed, "order", epoch)
        progress = None if on_progress is None else _progress_of(epoch, on_progress)
        try:
            totals = nn.train_epoch(parameters, X, y, order, **options, **steps, progress=progress)
        except DivergedError as error:
            raise _explained(error, epoch, training, history) from None
        seconds = time.perf_counter() - started
        tested = test_data and nn.evaluate(parameters, *test_data, **options, loss=training.loss)
        result = EpochResult(
            epoch=epoch,
            seconds=seconds,
            samples_per_second=N / seconds,
            train_loss=totals.loss,
            train_accuracy=totals.correct / totals.samples,
            test_loss=tested.loss if tested else None,
            test_accuracy=tested.accuracy if tested else None,
            live_share=totals.live / totals.samples,
            dead_units=nn.dead_units(parameters, X, **options),
        )
        history.epochs.append(result)
        if on_epoch is not None and on_epoch(result) is True:
            break
    return history


def _once(
    nn: ModuleType, parameters: Parameters, X: Any, y: Array, order: Array, options: dict[str, Any]
) -> None:
    with suppress(DivergedError):  # the real epoch will meet it too, and say where
        nn.train_epoch(parameters.copy(), X, y, order[:1], **{**options, "threads": options["threads"].most})


def _progress_of(epoch: int, on_progress: Callable[[int, int], None]) -> Callable[[int], None]:
    return lambda samples: on_progress(epoch, samples)


def _explained(error: DivergedError, epoch: int, training: Training, history: History) -> DivergedError:
    explained = DivergedError(
        error.must,
        f"{error.got} of epoch {epoch}, with lr {training.lr:g} and scale {training.scale:g}",
        "use a smaller lr, or a larger scale",
    )
    explained.epoch, explained.batch, explained.history = epoch, error.batch, history
    return explained
