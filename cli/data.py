"""``fastmlp data``: data described, MNIST fetched, digits drawn in the terminal."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastmlp.checks import whole_number
from fastmlp.errors import ConfigError, DataError
from fastmlp.spec import Training
from fastmlp.words.losses import Loss, checked_loss

from .asked import source_of
from .command import grouped
from .options import (
    DATA,
    LOSS,
    OUTPUT,
    SOURCES,
    Json,
    TableOptions,
    checked,
    completes,
    option,
)
from .streams import echo

if TYPE_CHECKING:
    from fastmlp.data import Dataset, Status

MOST_SHOWN = 10_000


@grouped
def data(
    table: TableOptions,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="Data to read and describe: auto, mnist, synthetic, or a path, of a table for example.",
            autocompletion=completes(SOURCES),
        ),
    ] = None,
    loss: Annotated[
        str, option(LOSS, "Loss that the labels are for: squared for any numbers.", metavar="NAME")
    ] = Training.loss,
    fetch: Annotated[bool, option(DATA, "Download what is missing of MNIST.", "--fetch")] = False,
    show: Annotated[int | None, option(OUTPUT, "Draw the first N training images.", metavar="N")] = None,
    json: Json = False,
) -> None:
    """Show data as fastmlp sees them, and what looks wrong; fetch MNIST, draw digits.

    Of a table: a line for each column, the label, and findings: columns that give the label away, numbers
    that stand for missing cells, copies. Without a source: which data `auto` means here, and what is in the
    cache.

    Examples:
      fastmlp data
      fastmlp data --fetch
      fastmlp data mnist --show 10
      fastmlp data iris.csv --label species
      fastmlp data houses.csv --label price --drop id --json
    """
    if show is not None:
        whole_number("show", show, 1, MOST_SHOWN)
    if fetch and source not in (None, "auto", "mnist"):
        raise ConfigError(
            "fetch must go with mnist, the only data that can be fetched", repr(source), "leave it out"
        )

    (asked,) = checked(lambda: source_of(table))

    from fastmlp.data import fetch_mnist, status
    from fastmlp.runs import strict_json

    from .render import Screen, describe_dataset, draw_images, plain_console

    if source is not None and _is_table(source):
        if show is not None:
            raise DataError("data to show must be pictures", f"a table, {source}", "leave --show out")
        _show_table(source, loss, json, asked)
        return
    screen, out = Screen(), plain_console()
    with screen.downloads() as on_bytes:
        if fetch:
            screen.say("mnist", f"is in {fetch_mnist(progress=on_bytes)}")
        dataset = None
        if source is not None or show is not None:
            dataset = screen.load(source or "auto", **asked, loss=loss).numeric()
    if json:
        echo(strict_json(status() | ({"dataset": _facts(dataset)} if dataset else {})))
    elif dataset is not None:
        echo(dataset.source, describe_dataset(dataset))
        if source is not None:
            echo(*_table(_facts(dataset)))
    elif not fetch:
        echo(*_describe(status()))
    if show is not None and dataset is not None and not json:
        if dataset.image_shape is None:
            raise DataError("data to show must be pictures", f"rows of {dataset.X.shape[1]} numbers")
        echo("")
        for line in draw_images(out, dataset, show):
            out.print(line)


def _is_table(source: str) -> bool:
    from fastmlp.data.tables import is_table_file

    return source not in SOURCES and is_table_file(source)


def _show_table(path: str, loss: str | None, json: bool, asked: dict[str, Any]) -> None:
    from fastmlp.data import audit
    from fastmlp.runs import strict_json

    from .table import lines_of

    if loss is not None and Loss.of(checked_loss(loss)).task == "numbers":
        asked = {"task": "numbers"} | asked
    found = audit(path, **asked)
    width = get_terminal_size().columns
    echo(*([strict_json({"table": found.to_json()})] if json else lines_of(found, width)))


def _facts(dataset: Dataset) -> dict[str, Any]:
    import numpy as np

    facts = {
        "name": dataset.name,
        "source": dataset.source,
        "samples": {"train": len(dataset.y), "test": len(dataset.y_test)},
        "inputs": dataset.X.shape[1],
        "image_shape": dataset.image_shape,
        "dtype": str(dataset.X.dtype),
        "range": [float(dataset.X.min()), float(dataset.X.max())],
        "non_zero": np.count_nonzero(dataset.X) / dataset.X.size,
        "targets": dataset.targets,
    }
    if dataset.targets == "numbers":
        lowest, highest = dataset.y.min(axis=0), dataset.y.max(axis=0)
        return facts | {"target_ranges": np.stack([lowest, highest], axis=1).tolist()}
    return facts | {
        "classes": list(dataset.classes),
        "train_counts": _counts(dataset.y, len(dataset.classes)),
        "test_counts": _counts(dataset.y_test, len(dataset.classes)),
    }


def _counts(y: Any, K: int) -> list[float]:
    """Number of rows in each class, or of those that have each label."""
    import numpy as np

    counts: list[float] = (np.bincount(y, minlength=K) if y.ndim == 1 else y.sum(axis=0)).tolist()
    return counts


def _table(facts: dict[str, Any]) -> list[str]:
    """Number of rows in each class."""
    lines = [f"values {facts['range'][0]:g} .. {facts['range'][1]:g}"]
    if "classes" not in facts:
        return lines + [f"targets {low:g} .. {high:g}" for low, high in facts["target_ranges"]]
    rows = zip(facts["classes"], facts["train_counts"], facts["test_counts"], strict=True)
    lines.append("class   train    test")
    return lines + [f"{name:>5}{train:>8,}{test:>8,}" for name, train, test in rows]


def _describe(there: Status) -> list[str]:
    means = {
        "environment": f"the data in {there['environment']} (FASTMLP_DATA)",
        "cache": "MNIST, from the cache",
        "download": "MNIST, downloaded when first used; synthetic digits if that fails",
    }
    lines = [f"auto    {means[there['auto']]}", f"cache   {there['cache']}"]
    lines += [f"        {state:<8}  {name}" for name, state in there["files"].items()]
    if not there["complete"]:
        lines.append("fastmlp data --fetch completes it")
    return lines
