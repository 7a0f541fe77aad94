"""Training of the nets that are not in the store yet; each is kept as it is finished."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from fastmlp.data import Dataset
from fastmlp.kernels import encode, evaluate
from fastmlp.spec import Training
from fastmlp.study.experiments import cost
from fastmlp.study.store import Record, Store
from fastmlp.train.fit_many import Fitted, fit_many

Progress = Callable[[float, float, int, int], object]


def train_all(
    data: Dataset,
    trainings: Sequence[Training],
    store: Store,
    *,
    threads: int | str = "auto",
    progress: Progress = lambda work, all_work, nets, all_nets: None,
) -> None:
    """Train every net that is missing; however this ends, the finished ones are in the store.

    ``progress(work, all work, nets, all nets)``: how much of its work this call has done, in units of
    time and in nets. Raises what ``fit_many`` raises, and RunFolderError.
    """
    missing = [training for training in trainings if store.get(training) is None]
    X_test = encode(data.X_test)
    work, all_work = 0.0, sum(map(cost, missing))
    progress(work, all_work, 0, len(missing))
    for done, fitted in enumerate(fit_many(data.X, data.y, missing, threads=threads), start=1):
        store.add(fitted.training, _record(fitted, X_test, data))
        work += cost(fitted.training)
        progress(work, all_work, done, len(missing))


def _record(fitted: Fitted, X_test: object, data: Dataset) -> Record:
    training, model, epochs = fitted.training, fitted.model, fitted.history.epochs
    tested = evaluate(model.net, X_test, data.y_test, loss=training.loss)
    last = epochs[-1] if epochs else None
    return Record(
        accuracy=tested.accuracy,
        loss=tested.loss if math.isfinite(tested.loss) else None,
        losses=tuple(epoch.train_loss for epoch in epochs),
        dead=last.dead_units[0] if last and last.dead_units else 0,
        live=last.live_share if last else 1.0,
        diverged=None if fitted.failure is None else fitted.failure.epoch,
        seconds=sum(epoch.seconds for epoch in epochs),
    )
