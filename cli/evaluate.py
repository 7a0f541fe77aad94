"""``fastmlp evaluate``: a model's accuracy and loss on a data set's test part."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from fastmlp.config import BACKENDS, one_of
from fastmlp.cores import resolve

from .options import (
    DATA,
    Backend,
    Json,
    Label,
    MinAccuracy,
    ModelPath,
    TestData,
    Threads,
    checked,
    checked_share,
    completes,
    demand,
)

MOST_CLASSES = 100  # in a confusion matrix


def evaluate(
    model: ModelPath,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="As in train. Default: what the model's run was trained on, else auto.",
            show_default=False,
            autocompletion=completes("auto", "mnist", "synthetic"),
            rich_help_panel=DATA,
        ),
    ] = None,
    test_data: TestData = None,
    label: Label = None,
    threads: Threads = "auto",
    backend: Backend = BACKENDS[0],
    min_accuracy: MinAccuracy = None,
    json: Json = False,
) -> None:
    """Test a trained model.

    A sixth that was held out in training is found again by the model's seed.
    """
    n_threads, *_ = checked(
        lambda: resolve(threads),
        lambda: one_of("backend", backend, BACKENDS),
        lambda: checked_share("min-accuracy", min_accuracy),
    )

    import numpy as np

    from fastmlp import Model
    from fastmlp.data import load
    from fastmlp.runs import find_model, recorded_data, strict_json

    from .render import Screen, describe_dataset

    screen = Screen()
    path = find_model(model)
    net = replace(Model.load(path), backend=backend)
    arguments: dict[str, Any] = {"data": data or "auto", "test_data": test_data, "label": label}
    if data is None and (recorded := recorded_data(path)):
        given = {name: value for name, value in arguments.items() if value is not None and name != "data"}
        arguments = recorded | given
    with screen.downloads() as on_bytes:
        dataset = load(
            **arguments,
            seed=net.training.seed if net.training else 0,
            notify=screen.notice,
            progress=on_bytes,
        )
    screen.say("model", f"{path}: {net.architecture}, {net.architecture.act}, scale {net.scale:g}")
    screen.say("data", dataset.source)
    screen.say("", describe_dataset(dataset))
    screen.say_if_compiling(backend)
    y = np.asarray(dataset.classes)[dataset.y_test]
    result = net.evaluate(dataset.X_test, y, threads=n_threads)
    confusion = _confusion(y, net.predict(dataset.X_test, threads=n_threads), net.classes)
    if json:
        report = {
            "test_accuracy": result.accuracy,
            "test_loss": result.loss,
            "samples": len(y),
            "data": dataset.name,
            "data_source": dataset.source,
            "model": str(path.absolute()),
            "weights_sha256": net.parameters.sha256(),
            "classes": list(net.classes),
            "confusion": confusion,
        }
        typer.echo(strict_json(report))
    else:
        if confusion:
            screen.say("least", _worst(confusion, net.classes))
        typer.echo(f"Test loss: {result.loss:.4f}")
        typer.echo(f"Test accuracy: {result.accuracy:.4f}")
    demand(result.accuracy, min_accuracy)


def _confusion(y: Any, predicted: Any, classes: tuple[int, ...]) -> list[list[int]] | None:
    """[true][predicted]: how often; None for very many classes."""
    import numpy as np

    if len(classes) > MOST_CLASSES:
        return None
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (np.searchsorted(classes, y), np.searchsorted(classes, predicted)), 1)
    table: list[list[int]] = counts.tolist()
    return table


def _worst(confusion: list[list[int]], classes: tuple[int, ...]) -> str:
    """The class that is recognised least often, and the commonest mistake."""
    K = range(len(classes))
    recall = [confusion[k][k] / max(1, sum(confusion[k])) if sum(confusion[k]) else 1.0 for k in K]
    worst = min(K, key=lambda k: recall[k])
    count, true, taken = max((confusion[i][j], i, j) for i in K for j in K if i != j)
    return (
        f"{classes[worst]} is recognised least often ({recall[worst]:.1%}); "
        f"the commonest mistake: {classes[true]} taken for {classes[taken]} ({count} times)"
    )
