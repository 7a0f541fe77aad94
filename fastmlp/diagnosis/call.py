"""diagnose: from arrays to a Diagnosis in one call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastmlp.backends.threads import resolve
from fastmlp.checks import function, positive_number, shown
from fastmlp.data.dataset import Dataset
from fastmlp.data.split import held_out
from fastmlp.diagnosis.examine import check, examine
from fastmlp.diagnosis.report import Diagnosis
from fastmlp.errors import DataError
from fastmlp.net import Parameters
from fastmlp.spec import Training
from fastmlp.train.defaults import chosen, loss_of
from fastmlp.train.fields import takes_fields
from fastmlp.train.fit import architecture_of
from fastmlp.train.steps import BY_DATA
from fastmlp.words.losses import checked_loss


@partial(takes_fields, by_data=BY_DATA)
def diagnose(
    X: Any,
    y: Any = None,
    training: Training | None = None,
    *,
    threads: int | str = "auto",
    test_data: Any = None,
    initial: Parameters | None = None,
    seconds: float = 20.0,
    notify: Callable[[str], object] | None = None,
    **fields: Any,
) -> Diagnosis:
    """Find out why a net does not train, or that it does. Prints nothing.

    The net is measured before its first step, watched while it trains, and trained again with each change
    that ought to help, one at a time. A finding is severe where that wins at least 5 % of accuracy on rows
    held out, where the data hold nothing to learn, or where the net is shown to be no better than guessing
    and no change cures it (does-not-train). Labels are called unrelated to the inputs (labels-unrelated) only
    where nearest neighbours and columns, which need no net, see no more of them than of permuted ones, on
    rows enough to show a weak relation.

        found = fastmlp.diagnose(X, y, scale=1)
        found.verdict, found.severe, found.findings[0].advice
        fastmlp.fit(X, y, **{"scale": 1, **found.recommended})

    Parameters
    ----------
    X: a table, or (N, D) or (N, rows, columns), numbers; y: their labels, as ``fit`` takes them.
    training: as for ``fit``, whole or by its fields. It must be at a constant rate, and of a loss of classes.
        Its trials train on all rows, and stop early nowhere.
    threads: their number, or "auto". The findings are the same for any.
    test_data: (X_test, y_test), the rows held out; a sixth of X without it.
    initial: the first weights, in place of ``init``; they are not changed.
    seconds: that the trials together may take, about; they have fewer epochs where all would not fit.
    notify: is called with a line of text at each step.

    Raises ConfigError, DataError, ModelError as ``fit`` does. A training that diverges is a finding.
    """
    if (loss := loss_of(training, fields)) is not None:
        checked_loss(loss, "classes")
    resolve(threads)
    seconds = positive_number("seconds", seconds, "20")
    function("notify", notify)
    data = Dataset.of(X, y, test_data, loss)
    if loss is None and data.targets == "numbers":
        raise DataError(
            "a diagnosis must be of classes", f"{shown(data.label) if data.label else 'y'}, a quantity",
            "give loss='logits' if it is not",
        )  # fmt: skip
    training, _ = chosen(data, training, fields)
    check(training, data.y)
    if data.test is None:
        held = held_out(len(data.y), data.y, training.seed, "the data")
        data = data.part(np.delete(np.arange(len(data.y)), held), held)
    data = data.numeric()
    architecture_of(data, training, initial)
    return examine(
        data.X, data.y, data.X_test, data.y_test, len(data.classes), training,
        initial=initial, threads=threads, seconds=seconds, notify=notify, columns=data.columns,
    )  # fmt: skip
