"""``fastmlp evaluate``: a model's loss and accuracy, or its R2 and MAE, on a data set's test part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from fastmlp.backends.threads import resolve
from fastmlp.checks import one_of
from fastmlp.errors import ConfigError
from fastmlp.spec import BACKENDS
from fastmlp.words.scales import scale_text

from .asked import Least
from .options import (
    DATA,
    SOURCES,
    Backend,
    Json,
    Label,
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
    from fastmlp.model import Model

    from .render import Screen


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
    The columns of a table may be in any order.

    Examples:
      fastmlp evaluate runs/long
      fastmlp evaluate runs/long --data other.csv --label species --min-accuracy 0.9
    """
    least = Least(min_accuracy, min_r2)
    n_threads, *_ = checked(
        lambda: resolve(threads), lambda: one_of("backend", backend, BACKENDS), least.check
    )

    from fastmlp.runs import find_model, load_model, strict_json
    from fastmlp.train.scores import Scores

    from .render import Screen, figures
    from .scored import test_figures

    screen = Screen()
    path = find_model(model)
    net = replace(load_model(model), backend=backend)
    loss = net.training.loss if net.training else net.loss.name
    least.check(loss)
    seed = net.training.seed if net.training else 0
    tested = _tested(path, data, test_data, label, loss, seed, screen, net)
    layers, scale = net.architecture.in_words(), scale_text(net.preprocessing.scale)
    screen.say("model", f"{path}: {net.architecture}, {layers}, scale {scale}")
    screen.say("data", tested.source)
    screen.say("", f"{len(tested.y):,} row{'s' * (len(tested.y) != 1)} to test on")
    screen.say_if_compiling(backend)
    scores = Scores.of(net, tested.X, tested.y, threads=n_threads)
    report: dict[str, Any] = {
        **test_figures(scores),
        "samples": scores.rows,
        "data": tested.name,
        "data_source": tested.source,
        "model": str(path.absolute()),
        "weights_sha256": net.parameters.sha256(),
        "classes": list(net.classes),
        "confusion": scores.confusion,
        "scores": scores.to_json(),
    }
    screen.score(scores, loss, model, tested.path)
    if json:
        echo(strict_json(report))
    else:
        echo(f"Test loss: {scores.loss:.4f}", *figures(report))
    least.demand(report.get("test_accuracy"), report.get("test_r2"))


class _Tested(NamedTuple):
    """Rows to test on, their labels, and their source: its name, what it is, what a command calls it."""

    X: Any
    y: Any
    name: str
    source: str
    path: str


def _tested(
    model: Path,
    data: str | None,
    test_data: str | None,
    label: str | None,
    loss: str,
    seed: int,
    screen: Screen,
    net: Model,
) -> _Tested:
    """Rows that the options ask for: the run's own test part, another source's, or all of another file."""
    from fastmlp.data import read_test
    from fastmlp.data.arguments import absolute
    from fastmlp.data.sources import WORDS
    from fastmlp.runs import recorded_data, recorded_folds

    recorded = recorded_data(model)
    own = data is None or (bool(recorded) and absolute(data) == recorded["data"])
    if not own and data not in (*WORDS, "auto") and test_data is None:
        X, y = read_test(data or "", label, loss, columns=net.columns, classes=net.classes)
        return _Tested(X, y, Path(data or "").name, str(data), str(data))
    given: dict[str, Any] = {"test_data": test_data, "label": label}
    if own:
        given = recorded | {name: value for name, value in given.items() if value is not None}
    else:
        given["data"] = data
    folds = recorded_folds(model) if own else None
    dataset = screen.load(**given, loss=loss, seed=seed, hold_out=folds is None)
    if not len(dataset.y_test):
        raise ConfigError(
            f"data must be named to test the model of a run with {folds} folds, which has seen its own",
            "none",
            f"give --data; the scores of the folds are in {model.with_name('summary.json')}",
        )
    path = str(given.get("test_data") or given.get("data") or "auto")
    return _Tested(dataset.X_test, dataset.as_given(dataset.y_test), dataset.name, dataset.source, path)
