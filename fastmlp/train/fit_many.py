"""fit_many: independent nets on the same data, one a core, each as ``fit`` trains it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from fastmlp.backends.threads import resolve, start
from fastmlp.checks import flag, shown
from fastmlp.data.dataset import Dataset
from fastmlp.data.table import Table
from fastmlp.display import Display, Displayed
from fastmlp.errors import ConfigError, DivergedError
from fastmlp.model import Model, load_backend
from fastmlp.net import Parameters
from fastmlp.spec import Training
from fastmlp.train.defaults import chosen, loss_of
from fastmlp.train.fit import architecture_of, first_model, prepared, train_model
from fastmlp.train.loop import History
from fastmlp.train.progress import told_of

_BACKEND = "numba"
_FIGURES = (
    "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "validation_r2", "test_loss",
    "test_accuracy", "test_r2",
)  # fmt: skip  # of the last epoch, that are shown
_LOOK = 0.1  # seconds between two looks at whether all should stop
_PATIENCE = 1.0  # seconds that threads are waited for after Ctrl-C: a few batches, or an evaluation


@dataclass(frozen=True, eq=False, repr=False)
class Fitted(Displayed):
    """One finished training of several.

    index:   its place among the trainings.
    model, history: as ``fit`` returns them; after a failure, those of the epochs before.
    failure: why the training diverged; None where it did not.
    """

    index: int
    training: Training
    model: Model
    history: History
    failure: DivergedError | None = None

    def _display(self) -> Display:
        epochs = self.history.epochs
        end = "diverged" if self.failure else f"{len(epochs):,} epoch{'s' * (len(epochs) != 1)}"
        told = self.history.final.to_json() if epochs else {}
        figures = [(name.replace("_", " "), told.get(name)) for name in _FIGURES]
        facts = [
            ("training", self.training.in_words()),
            *((name, value) for name, value in figures if value is not None),
            ("failure", str(self.failure or "")),
        ]
        title = f"Fitted {self.index}: {self.model.architecture}, {end}"
        return Display(title, [(name, value) for name, value in facts if value != ""])


def fit_many(
    X: Any,
    y: Any,
    trainings: Iterable[Training | dict[str, Any]],
    *,
    threads: int | str = "auto",
    test_data: Any = None,
    initials: Sequence[Parameters | None] | None = None,
    progress: bool = False,
) -> Generator[Fitted, None, None]:
    """Train a net for each of ``trainings`` on X (N, D), y (N,); yields each when it is finished.

    Each is trained by one thread, and has the bytes that ``fit`` gives it alone; X is encoded once.
    The order in which they come depends on their speed: ``index`` says which it is. A training that
    diverges is yielded with its ``failure``, and the others go on.

    Parameters
    ----------
    X, y, test_data: as in ``fit``; y is None beside a Dataset. They must suit the loss of each training.
    trainings: each whole, or its fields as ``fit`` takes them: ``[{"seed": 0}, {"seed": 1, "lr": 0.1}]``.
    threads:  how many nets are trained at a time; "auto": one a core.
    initials: first weights for each training in place of its ``init``, or None for those without.
    progress: True for a bar of the finished nets, as ``fit`` has it of epochs.

    Training begins when the first result is asked for, and stops within a batch or so when the
    generator is closed or interrupted; no thread is left then. Raises ConfigError, DataError,
    ModelError, all of them at the call.
    """
    asked = _listed("trainings", trainings)
    strange = [training for training in asked if not isinstance(training, Training | dict)]
    if strange:
        raise ConfigError(
            "trainings must be Training objects, or dicts of their fields", shown(strange[0]),
            "for example [Training(seed=0)]",
        )  # fmt: skip
    first = [None] * len(asked) if initials is None else _listed("initials", initials)
    if len(first) != len(asked):
        raise ConfigError(
            "initials must be as many as trainings", f"{len(first)} and {len(asked)}", "use None for none"
        )
    most = resolve(threads)
    pairs = [(None, each) if isinstance(each, dict) else (each, {}) for each in asked]
    data = Dataset.of(X, y, test_data, loss_of(*pairs[0]) if pairs else None)
    settled = [chosen(data.suited(loss_of(*pair) or data.usual_loss), *pair)[0] for pair in pairs]
    for training, initial in zip(settled, first, strict=True):
        needs_width = initial is not None or isinstance(training.scale, tuple)
        rows = prepared(data, training) if needs_width else data.numeric()
        architecture_of(rows.suited(training.loss), training, initial)
    results = _Crew(data, settled, first).results(min(most, len(settled)))
    return _told(results, len(settled)) if flag("progress", progress) else results


def _told(results: Generator[Fitted, None, None], count: int) -> Generator[Fitted, None, None]:
    """The same, with a bar."""
    from fastmlp.display.bar import bar

    with closing(results), bar(count, "net") as show:
        for done, net in enumerate(results, 1):
            told = "diverged" if net.failure else told_of(net.history.final)
            show(done, f"the last with {told}" if not net.failure else f"the last {told}")
            yield net


def _listed(name: str, items: Iterable[Any]) -> list[Any]:
    try:
        return list(items)
    except Exception:  # TypeError, or whatever iterating raises
        raise ConfigError(f"{name} must be a list of them", shown(items)) from None


class _Stopped(Exception):
    """Raised in a worker when its net is no longer wanted."""


class _Crew:
    """Threads that take one training after the other, and the queue of what they have finished."""

    def __init__(
        self, data: Dataset, trainings: list[Training], initials: Sequence[Parameters | None]
    ) -> None:
        self.data = data
        self.jobs = iter(list(enumerate(zip(trainings, initials, strict=True))))
        self.count = len(trainings)
        self.taking, self.encoding = threading.Lock(), threading.Lock()
        self.is_table = isinstance(data.X, Table)
        self.encoded: Dataset | None = None
        self.stop = threading.Event()

    def results(self, workers: int) -> Generator[Fitted, None, None]:
        if not self.count:
            return
        self.encoded = None if self.is_table else self.data.encoded(load_backend(_BACKEND))
        # no more wait here than are trained: whoever reads slowly needs no more memory
        self.finished: queue.Queue[Fitted | BaseException] = queue.Queue(workers)
        threads = [
            threading.Thread(target=self._work, name=f"fastmlp-net-{i}", daemon=True) for i in range(workers)
        ]
        try:
            for thread in threads:
                start(thread)
            for _ in range(self.count):
                yield self._next()
        finally:
            self.stop.set()
            deadline = time.monotonic() + _PATIENCE
            for thread in threads:  # one that is compiling ends later, and harms nothing
                if thread.ident is not None:
                    thread.join(max(0.0, deadline - time.monotonic()))

    def _next(self) -> Fitted:
        while True:
            try:
                item = self.finished.get(timeout=_LOOK)
            except queue.Empty:
                continue  # Ctrl-C is heard between two waits, everywhere
            if isinstance(item, BaseException):
                raise item
            return item

    def _work(self) -> None:
        try:
            while (job := self._take()) is not None:
                self._put(self._fitted(*job))
        except _Stopped:
            pass
        except BaseException as failure:  # raised again in the caller's thread
            self._put(failure)

    def _take(self) -> tuple[int, tuple[Training, Parameters | None]] | None:
        with self.taking:
            return None if self.stop.is_set() else next(self.jobs, None)

    def _put(self, item: Fitted | BaseException) -> None:
        while not self.stop.is_set():
            try:
                self.finished.put(item, timeout=_LOOK)
            except queue.Full:
                continue
            return

    def _fitted(self, index: int, job: tuple[Training, Parameters | None]) -> Fitted:
        training, initial = job
        data = prepared(self.data, training)
        model, failure = first_model(data.suited(training.loss), training, initial, _BACKEND), None
        encoded = self._encoded(data, training)
        try:
            history = train_model(
                encoded.suited(training.loss), model,
                backend=_BACKEND, threads=1, on_epoch=self._listen, on_progress=self._listen,
            )  # fmt: skip
        except DivergedError as error:
            history, failure = error.history, error  # type: ignore[assignment]  # an error knows no History
        epoch = history.final.epoch if history.epochs else 0
        return Fitted(index, training, replace(model, epoch=epoch), history, failure)

    def _encoded(self, data: Dataset, training: Training) -> Dataset:
        """The data that ``prepared`` returned, encoded: shared, but where each training has its own rows."""
        if self.is_table and training.validation:
            return data.encoded(load_backend(_BACKEND))
        with self.encoding:
            if self.encoded is None:
                self.encoded = data.encoded(load_backend(_BACKEND))
            return self.encoded

    def _listen(self, *_: Any) -> None:
        if self.stop.is_set():
            raise _Stopped
