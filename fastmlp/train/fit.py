"""fit: from arrays to a Model in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.backends.checks import checked_weights
from fastmlp.backends.threads import ThreadTuner
from fastmlp.checks import as_pair, function, functions, instance, one_of
from fastmlp.data.checks import checked_labels, class_indices, distinct
from fastmlp.data.encode import as_rows, column_means
from fastmlp.errors import DataError, DivergedError, ModelError
from fastmlp.files import PathLike
from fastmlp.model import Model
from fastmlp.net import Net, Parameters, Preprocessing, initialise
from fastmlp.spec import BACKENDS, CHECKPOINT_SECONDS, Architecture, Training
from fastmlp.train.checkpoint import CheckpointFile, Identity, opened, sums_of
from fastmlp.train.fields import asked, takes_fields
from fastmlp.train.loop import EpochResult, History, train

Callback = Callable[[EpochResult, Model], object]


@takes_fields
def fit(
    X: ArrayLike,
    y: ArrayLike,
    training: Training | None = None,
    *,
    threads: int | str = "auto",
    driver: str = "team",
    backend: str = "numba",
    test_data: tuple[ArrayLike, ArrayLike] | None = None,
    sample_weight: ArrayLike | None = None,
    initial: Parameters | None = None,
    callbacks: Sequence[Callback] = (),
    progress: Callable[[int, int], None] | None = None,
    checkpoint: PathLike | CheckpointFile | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    **fields: Any,
) -> tuple[Model, History]:
    """Train a net on X (N, D) and labels y (N,); returns the model and its history. Prints nothing.

    Parameters
    ----------
    X: numbers, finite; uint8 stays uint8, everything else becomes float32. (N, rows, columns) is
        flattened. A scipy.sparse matrix too: its values become float32, its zeros are never stored.
    y: non-negative integers, at least two different ones; they are the model's classes. Bools are 0 and 1.
    training: all that decides the result but the data, whole; or by its fields: ``fit(X, y, lr=0.1)``.
        Fields beside it change it.
    fields: of ``Training`` and of its ``Optimizer``, flat: hidden, act, scale, momentum, ... Inputs are
        divided by ``scale``: 255 suits pixel bytes, 1 data that is scaled already.
    threads: their number, or "auto": as many as there are cores, or fewer where those are found to
        be faster. The result is the same bytes for any.
    driver: "team", or "prange" for Numba's parallel loops: the same bytes again.
    backend: "numba", or "numpy" for the readable reference.
    test_data: (X_test, y_test), evaluated after every epoch.
    sample_weight: (N,) how much each row counts in the mean loss, not below 0.
    initial: the first weights, in place of ``init``; they are not changed.
    callbacks: each is called ``callback(result, model)`` after every epoch, with an EpochResult
        and the model as it is then; returning True ends the training.
    progress: called ``progress(epoch, samples)`` now and then, with the samples done in that epoch.
    checkpoint: a folder that keeps how far the training has come: the same call again, whatever ended the
        first, resumes from there to the same bytes, and does nothing where nothing is left to do. What
        decides the result must be the same, but that ``epochs`` may be more (not with a cosine schedule);
        threads and driver may differ. Epochs that it holds are in the history, and callbacks do not see
        them again; a training that a callback ended is finished.
    checkpoint_seconds: between two checkpoints within an epoch. Beside them there is one after an epoch,
        if the last was written a second ago or more, and one at the end.

    Raises ConfigError, DataError, ModelError (``initial`` of another shape), RunFolderError (a
    checkpoint that cannot be read or written, is in use or of another numerics revision), and
    DivergedError, which holds ``model`` and ``history`` of the epochs before.
    """
    training = asked(training, fields)
    one_of("backend", backend, BACKENDS)
    tuner = ThreadTuner(threads, driver)
    listened = functions("callbacks", callbacks)
    function("progress", progress)
    data = Checked.of(X, y, test_data)
    weights = checked_weights(sample_weight, len(data.indices))
    model = data.model(training, initial, backend)

    def on_epoch(result: EpochResult) -> bool:
        then = replace(model, epoch=result.epoch)
        stops = [callback(result, then) is True for callback in listened]  # all of them are called
        return any(stops)

    with _opened(checkpoint, checkpoint_seconds) as keeper:
        if keeper is not None:
            keeper.begin(Identity(training, backend, keeper.sums or data.sums(weights, initial)))
        history = data.train(
            model, backend=backend, threads=tuner, sample_weight=weights,
            on_progress=progress, on_epoch=on_epoch, keeper=keeper,
        )  # fmt: skip
    return replace(model, epoch=history.final.epoch), history


def _opened(
    checkpoint: PathLike | CheckpointFile | None, seconds: float
) -> AbstractContextManager[CheckpointFile | None]:
    if checkpoint is None or isinstance(checkpoint, CheckpointFile):
        return nullcontext(checkpoint)
    return opened(checkpoint, seconds)


@dataclass(frozen=True, eq=False)
class Checked:
    """Data that fit each other, for any number of trainings.

    rows, test: X (N, D) and (X_test, indices), as ``as_rows`` makes them, or encoded already.
    indices: (N,) of the labels in ``classes``.
    mean:    (D,) of each column; asked for where a training is centred.
    """

    rows: Any
    indices: NDArray[np.int64]
    classes: tuple[int, ...]
    test: tuple[Any, NDArray[np.int64]] | None
    mean: Callable[[], NDArray[np.float32]]

    @classmethod
    def of(cls, X: ArrayLike, y: ArrayLike, test_data: tuple[ArrayLike, ArrayLike] | None) -> Self:
        """Raises DataError."""
        rows = as_rows(X)
        labels = checked_labels(y)
        if len(labels) != rows.shape[0]:
            raise DataError("X and y must have the same length", f"{rows.shape[0]} and {len(labels)}")
        classes = tuple(distinct(labels).tolist())
        if len(classes) < 2:
            raise DataError(
                "y must hold at least two different labels", f"{classes[0]} alone" if classes else "none"
            )
        test = (
            None
            if test_data is None
            else _checked_test(rows.shape[1], classes, *as_pair("test_data", test_data))
        )
        return cls(rows, class_indices(labels, classes), classes, test, cache(lambda: column_means(rows)))

    def encoded(self, nn: ModuleType) -> Self:
        """The same in the form that a backend reads, made once."""
        test = None if self.test is None else (nn.encode(self.test[0]), self.test[1])
        return replace(self, rows=nn.encode(self.rows), test=test)

    def sums(self, sample_weight: NDArray[Any] | None, initial: Parameters | None) -> dict[str, str | None]:
        """sha256 of all that goes into a training beside its options, by name."""
        labels = np.asarray(self.classes)
        test = self.test and (self.test[0], labels[self.test[1]])
        return sums_of((self.rows, labels[self.indices]), test, sample_weight, initial)

    def architecture(self, training: Training, initial: Parameters | None) -> Architecture:
        """Of the net that this training makes. Raises ConfigError, and ModelError for other first weights."""
        architecture = training.architecture(self.rows.shape[1], len(self.classes))
        if initial is not None and instance("initial", initial, Parameters).shapes != architecture.shapes:
            raise ModelError(f"initial weights must have shapes {architecture.shapes}", initial.shapes)
        return architecture

    def model(self, training: Training, initial: Parameters | None, backend: str) -> Model:
        """The model before its first step. Raises ConfigError, ModelError."""
        architecture = self.architecture(training, initial)
        if initial is None:
            initial = initialise(architecture, training.init, training.seed)
        mean = self.mean() if training.center else None
        first = initial.astype(np.float32)
        net = Net(architecture, first, Preprocessing(training.scale, mean))
        return Model(net, self.classes, training, backend)

    def train(self, model: Model, **options: Any) -> History:
        """Train a model that ``model`` made, in place. Raises DivergedError, which holds it."""
        assert model.training is not None
        try:
            return train(
                model.net, self.rows, self.indices, model.training,
                test_data=self.test, **options,
            )  # fmt: skip
        except DivergedError as error:
            error.model = replace(model, epoch=len(error.history.epochs))  # type: ignore[attr-defined]
            raise


def _checked_test(
    D: int, classes: tuple[int, ...], X: ArrayLike, y: ArrayLike
) -> tuple[Any, NDArray[np.int64]]:
    rows, indices = as_rows(X), class_indices(y, classes)
    if rows.shape[1] != D or rows.shape[0] != len(indices):
        raise DataError(f"test data must be (N, {D}) with N labels", f"{rows.shape} and {len(indices)}")
    return rows, indices
