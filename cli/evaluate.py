"""``fastmlp evaluate``: a model's loss and accuracy, or R2 and mean error, on a data set's test part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from fastmlp.backends.threads import resolve
from fastmlp.checks import one_of
from fastmlp.spec import BACKENDS
from fastmlp.words.scales import scale_text

from .options import (
    DATA,
    SOURCES,
    Backend,
    Json,
    Label,
    Least,
    MinAccuracy,
    MinR2,
    ModelPath,
    TestData,
    Threads,
    checked,
    option,
)
from .streams import echo

if TYPE_CHECKING:
    from fastmlp.data.columns import Columns

    from .render import Screen

MOST_CLASSES = 100  # in a confusion matrix


def evaluate(
    model: ModelPath,
    data: Annotated[
        str | None,
        option(
            DATA,
            "Data to test on, as in train; of a file without a test part, all rows. Default: the run's own.",
            metavar="SOURCE",
            choices=SOURCES,
        ),
    ] = None,
    test_data: TestData = None,
    label: Label = None,
    threads: Threads = "auto",
    backend: Backend = BACKENDS[0],
    min_accuracy: MinAccuracy = None,
    min_r2: MinR2 = None,
    json: Json = False,
) -> None:
    """Test a trained model.

    A sixth of the data that training held out is found again by the model's seed.

    Examples:
      fastmlp evaluate runs/long
      fastmlp evaluate runs/long --data other.csv --label species --min-accuracy 0.9
    """
    least = Least(min_accuracy, min_r2)
    n_threads, *_ = checked(
        lambda: resolve(threads), lambda: one_of("backend", backend, BACKENDS), least.check
    )

    from fastmlp.runs import find_model, load_model, strict_json

    from .render import Screen, figures, tested_figures

    screen = Screen()
    path = find_model(model)
    net = replace(load_model(model), backend=backend)
    loss = net.training.loss if net.training else net.loss.name
    least.check(loss)
    seed = net.training.seed if net.training else 0
    tested = _tested(path, data, test_data, label, loss, seed, screen, net.columns)
    layers, scale = net.architecture.in_words(), scale_text(net.preprocessing.scale)
    screen.say("model", f"{path}: {net.architecture}, {layers}, scale {scale}")
    screen.say("data", tested.source)
    screen.say("", f"{len(tested.y):,} rows to test on")
    screen.say_if_compiling(backend)
    result = net.evaluate(tested.X, tested.y, threads=n_threads)
    told = tested_figures(result, net.loss.task)
    confusion = None
    if tested.y.ndim == 1 and net.classes:
        confusion = _confusion(tested.y, net.predict(tested.X, threads=n_threads), net.classes)
    if json:
        report = {
            **told,
            "samples": len(tested.y),
            "data": tested.name,
            "data_source": tested.source,
            "model": str(path.absolute()),
            "weights_sha256": net.parameters.sha256(),
            "classes": list(net.classes),
            "confusion": confusion,
        }
        echo(strict_json(report))
    else:
        if confusion and (worst := _worst(confusion, net.classes)):
            screen.say("least", worst)
        echo(f"Test loss: {result.loss:.4f}", *figures(told))
    least.demand(told.get("test_accuracy"), told.get("test_r2"))


class _Tested(NamedTuple):
    """Rows to test on, their labels, and their source."""

    X: Any
    y: Any
    name: str
    source: str


def _tested(
    model: Path,
    data: str | None,
    test_data: str | None,
    label: str | None,
    loss: str,
    seed: int,
    screen: Screen,
    columns: Columns | None,
) -> _Tested:
    """Rows that the options ask for: the run's own test part, another source's, or all of another file."""
    from fastmlp.data import read_test
    from fastmlp.data.sources import WORDS
    from fastmlp.runs import absolute, recorded_data

    recorded = recorded_data(model)
    own = data is None or (bool(recorded) and absolute(data) == recorded["data"])
    if not own and data not in (*WORDS, "auto") and test_data is None:
        X, y = read_test(data or "", label, loss, columns=columns)
        return _Tested(X, y, Path(data or "").name, str(data))
    given: dict[str, Any] = {"test_data": test_data, "label": label}
    if own:
        given = recorded | {name: value for name, value in given.items() if value is not None}
    else:
        given["data"] = data
    dataset = screen.load(**given, loss=loss, seed=seed)
    return _Tested(dataset.X_test, dataset.as_given(dataset.y_test), dataset.name, dataset.source)


def _confusion(y: Any, predicted: Any, classes: tuple[Any, ...]) -> list[list[int]] | None:
    """Counts as [true][predicted]; None for very many classes."""
    import numpy as np

    if len(classes) > MOST_CLASSES:
        return None
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (np.searchsorted(classes, y), np.searchsorted(classes, predicted)), 1)
    table: list[list[int]] = counts.tolist()
    return table


def _worst(confusion: list[list[int]], classes: tuple[Any, ...]) -> str | None:
    """The class that is recognised least often, and the commonest mistake; None where there are none."""
    K = range(len(classes))
    recall = [confusion[k][k] / max(1, sum(confusion[k])) if sum(confusion[k]) else 1.0 for k in K]
    worst = min(K, key=lambda k: recall[k])
    if recall[worst] == 1:
        return None
    count, true, taken = max((confusion[i][j], i, j) for i in K for j in K if i != j)
    return (
        f"{classes[worst]} is recognised least often ({recall[worst]:.1%}); "
        f"the commonest mistake: {classes[true]} taken for {classes[taken]} ({count} times)"
    )
