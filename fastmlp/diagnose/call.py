"""diagnose: from arrays, or a model and arrays, to a Diagnosis in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.config import Training
from fastmlp.cores import resolve
from fastmlp.data.assemble import held_out
from fastmlp.data.encode import as_rows
from fastmlp.data.parts import distinct
from fastmlp.diagnose.diagnosis import Diagnosis, examine
from fastmlp.errors import DataError, ModelError
from fastmlp.model import checked_labels, class_indices
from fastmlp.parameters import Parameters


def diagnose(
    X: ArrayLike,
    y: ArrayLike,
    *,
    hidden: int | str | Sequence[int] | None = 100,
    act: str = "relu",
    scale: float = 255.0,
    center: bool = False,
    init: str = "glorot_uniform",
    lr: float = 0.01,
    batch_size: int = 100,
    epochs: int = 15,
    seed: int = 0,
    loss: str = "logits",
    threads: int | str = "auto",
    test_data: tuple[ArrayLike, ArrayLike] | None = None,
    initial: Parameters | None = None,
    seconds: float = 20.0,
    notify: Callable[[str], object] = lambda text: None,
) -> Diagnosis:
    """Why a training with these options does not train, or that it does. Prints nothing.

    The options are those of ``fastmlp.fit``. The net is measured before its first step, watched while it
    trains, and trained again with each change that ought to help, one at a time: a finding is
    severe where that wins at least 5 % of accuracy on rows held out, or where the data hold nothing to learn.

    test_data: (X_test, y_test), the rows held out; a sixth of X without it.
    seconds:   what the trials together may take, about: they have fewer epochs where more would not fit.
    notify:    hears what is being done.

    Raises ConfigError, DataError, ModelError as ``fit`` does. A training that diverges is a finding.
    """
    training = Training(
        hidden=hidden,  # type: ignore[arg-type]  # Training makes widths of it
        act=act, scale=scale, center=center, init=init, lr=lr, batch_size=batch_size, epochs=epochs,
        seed=seed, loss=loss,
    )  # fmt: skip
    resolve(threads)
    rows, labels = as_rows(X), checked_labels(y)
    if len(labels) != rows.shape[0]:
        raise DataError("X and y must have the same length", f"{rows.shape[0]} and {len(labels)}")
    classes = tuple(distinct(labels).tolist())
    if len(classes) < 2:
        raise DataError("y must hold at least two different labels", f"{classes[0]} alone")
    architecture = training.architecture(rows.shape[1], len(classes))
    if initial is not None and initial.shapes != architecture.shapes:
        raise ModelError(f"initial weights must have shapes {architecture.shapes}", initial.shapes)
    if test_data is None:
        held = np.zeros(len(labels), bool)
        held[held_out(labels, seed, "the data")] = True
        tested, test_labels, rows, labels = rows[held], labels[held], rows[~held], labels[~held]
    else:
        tested, test_labels = as_rows(test_data[0]), checked_labels(test_data[1])
        if tested.shape != (len(test_labels), rows.shape[1]):
            raise DataError(
                f"test data must be (N, {rows.shape[1]}) with N labels",
                f"{tested.shape} and {len(test_labels)}",
            )
    return examine(
        rows, class_indices(labels, classes), tested, class_indices(test_labels, classes), len(classes),
        training, initial=initial, threads=threads, seconds=seconds, notify=notify,
    )  # fmt: skip
