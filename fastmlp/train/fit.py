"""fit: from arrays to a Model in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.backends.checks import checked_weights
from fastmlp.backends.threads import ThreadTuner
from fastmlp.checks import functions, instance, one_of
from fastmlp.data.dataset import Dataset
from fastmlp.data.table import Table
from fastmlp.errors import ConfigError, DivergedError, ModelError
from fastmlp.files import PathLike
from fastmlp.model import Model, load_backend
from fastmlp.net import Net, Parameters, Preprocessing, initialise
from fastmlp.spec import BACKENDS, CHECKPOINT_SECONDS, Training
from fastmlp.target_scale import TargetScale
from fastmlp.train.checkpoint import CheckpointFile, Identity, opened, sums_of
from fastmlp.train.defaults import chosen, loss_of
from fastmlp.train.fields import takes_fields
from fastmlp.train.loop import EpochResult, History, parted, train
from fastmlp.train.progress import Progress, check, followed
from fastmlp.train.steps import BY_DATA
from fastmlp.words.layers import Architecture

Callback = Callable[[EpochResult, Model], object]


@partial(takes_fields, by_data=BY_DATA)
def fit(
    X: Any,
    y: Any = None,
    training: Training | None = None,
    *,
    task: str = "auto",
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    as_category: Sequence[str] = (),
    threads: int | str = "auto",
    driver: str = "team",
    backend: str = "numba",
    test_data: Any = None,
    sample_weight: ArrayLike | None = None,
    initial: Parameters | None = None,
    callbacks: Sequence[Callback] = (),
    progress: Progress = None,
    checkpoint: PathLike | CheckpointFile | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    **fields: Any,
) -> tuple[Model, History]:
    """Train a net on a table or X (N, D) and targets y, or on a Dataset; returns the model and its history.

    Prints nothing, unless ``progress`` is True.

        model, history = fastmlp.fit(frame, "species")  # a table, and which of its columns is the label
        model, history = fastmlp.fit(X, y)  # labels y (N,) of two classes or more, or numbers
        model, history = fastmlp.fit(X, y, loss="binary")  # two classes, by a net of one output
        model, history = fastmlp.fit(X, y, loss="squared")  # numbers y (N,) or (N, K)

    Parameters
    ----------
    X: a table: a frame of pandas or polars, a dict of columns, whose numbers, texts, bools and gaps become
        inputs (N, D), fitted to the rows that are trained on. Or numbers, finite; uint8 stays uint8,
        everything else becomes float32, (N, rows, columns) is flattened. A scipy.sparse matrix too: its
        values become float32, its zeros are never stored. Or a Dataset, as ``data.load`` returns it, without
        y and test_data: ``fit(data, lr=0.1)``.
    y: of a table the name of a column, or None: it is found; or an array, a column of a frame, a list. By the
        ``loss``. Of logits, keras2 and clip: labels, at least two different ones, whole numbers, numbers,
        bools or texts; they are the model's classes; or (N, K), the share that each of K classes has in a
        row. Of binary: two such labels, or (N, K) of 0 and 1 for K answers. Of all others: numbers, (N,) or
        (N, K), which are standardised inside (``scale_targets``) and predicted in their own units;
        poisson's are counts, from 0, and are not.
    training: all that decides the result but the data, whole; or by its fields: ``fit(X, y, lr=0.1)``.
        Fields beside it change it.
    fields: of ``Training`` and of its ``Optimizer``, flat: hidden, act, scale, momentum, ... Those that are
        not given suit the data: of uint8 the inputs are divided by 255, and the steps are plain SGD's; of all
        other rows each column is standardised, the steps are Adam's, and over 1,000 rows a tenth is held out
        to stop early; see ``train.defaults``. ``model.training`` has what was used.
        ``class_weight`` may be a dict, by label, too.
    task: "classes" or "numbers", where no loss is given: what y holds; "auto": what it looks like. Numbers
        are trained with the squared loss.
    drop, keep, as_category: names of a table's columns: to leave out, to keep alone, to take as categories.
    threads: their number, or "auto": as many as there are cores, or fewer where those are found to
        be faster. The result is the same bytes for any.
    driver: "team", or "prange" for Numba's parallel loops: the same bytes again.
    backend: "numba", or "numpy" for the readable reference.
    test_data: (X_test, y_test), evaluated after every epoch; of a table a table with the label's column too.
    sample_weight: (N,) how much each row counts in the mean loss, not below 0.
    initial: the first weights, in place of ``init``; they are not changed.
    callbacks: each is called ``callback(result, model)`` after every epoch, with an EpochResult
        and the model as it is then; returning True ends the training.
    progress: True for a bar, in a terminal or a notebook, with the figures of the last epoch and the time
        that is left; elsewhere a line on stderr now and then. Or a function, called ``progress(epoch,
        samples)`` now and then, with the samples done in that epoch.
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
    loss = loss_of(training, fields)
    one_of("backend", backend, BACKENDS)
    tuner = ThreadTuner(threads, driver)
    listened = functions("callbacks", callbacks)
    check(progress)
    data = Dataset.of(X, y, test_data, loss, task, drop=drop, keep=keep, as_category=as_category)
    training, _ = chosen(data, training, fields)
    data = prepared(data, training)
    weights = checked_weights(_of_kept(sample_weight, data), len(data.y))
    model = first_model(data, training, initial, backend, weights)

    def on_epoch(result: EpochResult) -> bool:
        tell(result)
        if not listened:
            return False
        then = replace(model, epoch=result.epoch)
        stops = [callback(result, then) is True for callback in listened]  # all of them are called
        return any(stops)

    count = round(len(data.y) * (1 - training.validation)) or 1
    with (
        _opened(checkpoint, checkpoint_seconds) as keeper,
        followed(progress, training.epochs, count) as (on_progress, tell),
    ):
        if keeper is not None:
            keeper.begin(Identity(training, backend, sums_of(data, weights, initial)))
        history = train_model(
            data.encoded(load_backend(backend)), model,
            backend=backend, threads=tuner, sample_weight=weights,
            on_progress=on_progress, on_epoch=on_epoch, keeper=keeper,
        )  # fmt: skip
    return replace(model, epoch=history.final.epoch), history


def _of_kept(sample_weight: Any, data: Dataset) -> Any:
    """The weights of the rows that have a label, where those of all are given."""
    if data.kept is None or np.shape(sample_weight) != data.kept.shape:
        return sample_weight
    return np.asarray(sample_weight)[data.kept]


def _opened(
    checkpoint: PathLike | CheckpointFile | None, seconds: float
) -> AbstractContextManager[CheckpointFile | None]:
    if checkpoint is None or isinstance(checkpoint, CheckpointFile):
        return nullcontext(checkpoint)
    return opened(checkpoint, seconds)


def prepared(data: Dataset, training: Training) -> Dataset:
    """The data as arrays: a table's columns are fitted to the rows that are trained on."""
    if not isinstance(data.X, Table):
        return data
    rows = parted(len(data.y), training.validation, training.seed)[0] if training.validation else None
    return data.numeric(rows)


def architecture_of(data: Dataset, training: Training, initial: Parameters | None) -> Architecture:
    """The net that this training makes. Raises ConfigError, and ModelError for other first weights."""
    D = data.X.shape[1]
    architecture = training.architecture(D, data.outputs(training.loss))
    if isinstance(training.scale, tuple) and len(training.scale) != D:
        raise ConfigError(f"scale must be one number, or one for each of {D:,} columns", len(training.scale))
    if initial is not None and instance("initial", initial, Parameters).shapes != architecture.shapes:
        raise ModelError(f"initial weights must have shapes {architecture.shapes}", initial.shapes)
    return architecture


def first_model(
    data: Dataset,
    training: Training,
    initial: Parameters | None,
    backend: str,
    weights: NDArray[Any] | None = None,
) -> Model:
    """The model before its first step. weights: of the rows. Raises ConfigError, ModelError."""
    architecture = architecture_of(data, training, initial)
    if initial is None:
        initial = initialise(architecture, seed=training.seed)
    net = Net(architecture, initial.astype(np.float32), preprocessing_of(data, training))
    target_scale = None
    if training.scales_targets:
        rows, _ = parted(len(data.y), training.validation, training.seed)
        target_scale = TargetScale.of(data.y[rows], training.loss, None if weights is None else weights[rows])
    return Model(net, data.classes, training, backend, target_scale=target_scale, columns=data.columns)


def preprocessing_of(data: Dataset, training: Training) -> Preprocessing:
    """Preprocessing of the inputs: of what the rows say that are trained on. Raises ConfigError.

    The mean that ``center`` subtracts beside one number is that of all rows of arrays, those held out too.
    """
    rows = None
    by_rows = data.columns is not None or not isinstance(training.scale, float)
    if training.validation and by_rows:
        rows, _ = parted(len(data.y), training.validation, training.seed)
    return data.preprocessing(training.scale, training.centred, rows)


def train_model(data: Dataset, model: Model, **options: Any) -> History:
    """Train in place what ``first_model`` made, on encoded data. Raises DivergedError, which holds it."""
    assert model.training is not None
    options = {"test_data": data.test, "target_scale": model.target_scale, **options}
    try:
        return train(model.net, data.X, data.y, model.training, **options)
    except DivergedError as error:
        error.model = replace(model, epoch=len(error.history.epochs))  # type: ignore[attr-defined]
        raise
