"""``fastmlp predict``: a label, or every class's probability, or a number for each row of a file."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastmlp.backends.threads import resolve
from fastmlp.checks import one_of
from fastmlp.errors import ConfigError
from fastmlp.spec import BACKENDS

from .options import DATA, OUTPUT, Backend, Json, ModelPath, Threads, checked, option
from .predictions import (
    FORMATS,
    SUFFIXES,
    Answers,
    answers,
    check_library,
    checked_place,
    columns_of,
    written,
)
from .streams import echo

if TYPE_CHECKING:
    from fastmlp.model import Model

    from .render import Screen

ROWS = 1 << 16  # predicted together
STDIN = "-"


def predict(
    model: ModelPath,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Table, .npy, .npz or IDX file; it needs no labels. - reads a CSV table from stdin.",
        ),
    ],
    label: Annotated[
        str | None,
        option(
            DATA,
            "Column of a table that is no input, by name or by index. Default: the model's label column, or "
            "'label'.",
            metavar="NAME|INDEX",
        ),
    ] = None,
    threads: Threads = "auto",
    backend: Backend = BACKENDS[0],
    proba: Annotated[
        bool, option(OUTPUT, "Write the label, and the probability of each class.", "--proba")
    ] = False,
    format: Annotated[
        str | None,
        option(
            OUTPUT,
            "Format of the result. Default: that of the file, else csv.",
            "--format",
            choices=FORMATS,
        ),
    ] = None,
    out: Annotated[
        str | None,
        option(OUTPUT, f"File to write, whole or not at all: {', '.join(SUFFIXES)}.", metavar="FILE"),
    ] = None,
    json: Json = False,
) -> None:
    """Predict the label of each row, or of a regression the number.

    The answers come in the order of the rows, as CSV, JSON lines or Parquet. Tables may be of any length, and
    have their columns in any order; they are read and answered a piece at a time. CSV begins with a line of
    names, unless a model of images or arrays writes labels alone to stdout.

    Examples:
      fastmlp predict runs/long new.csv --out predictions.csv
      fastmlp predict runs/long new.parquet --proba --out probabilities.parquet
      fastmlp predict runs/long images.npy
      zcat new.csv.gz | fastmlp predict runs/long - --format jsonl
    """
    n_threads, _, (path, written_as), *_ = checked(
        lambda: resolve(threads),
        lambda: one_of("backend", backend, BACKENDS),
        lambda: checked_place(out, format, source),
        lambda: _check_alone(json, out, format),
    )
    check_library(written_as)

    from fastmlp.runs import load_model

    from .render import Screen

    net = replace(load_model(model), backend=backend)
    if proba and not net.classes:
        raise ConfigError("proba must be left out of a model of numbers", "--proba")
    screen = Screen()
    pieces = _pieces(net, source, label, screen)
    later = (answers(net, X, proba=proba, threads=n_threads) for X in pieces)
    screen.say_if_compiling(backend)
    first = [*itertools.islice(later, 1)]  # a fault of theirs comes before a line is written
    found = itertools.chain(first, later)
    if json:
        _print_json(net, found, proba)
        return
    heading = proba or out is not None or format is not None or net.columns is not None
    with written(path, written_as, columns_of(net, proba=proba), heading=heading) as write:
        for piece in found:
            write(piece)


def _check_alone(json: bool, out: str | None, format: str | None) -> None:
    """Raise ConfigError where one JSON object and another result are asked for."""
    if json and (out is not None or format is not None):
        raise ConfigError(
            "json, one object on stdout, must be left out beside format and out", "both", "use --format jsonl"
        )


def _pieces(model: Model, source: str, label: str | None, screen: Screen) -> Iterator[Any]:
    """The rows as the model takes them, some at a time: tables, or arrays (N, D). Raises DataError."""
    from fastmlp.data import read_images, tables
    from fastmlp.data.label import find_label

    if source != STDIN and not (model.columns and tables.is_table_file(source)):
        X, _ = read_images(source, label=label)
        for start in range(0, len(X), ROWS):
            yield X[start : start + ROWS]
        return
    columns, said = model.columns, False
    kinds = None if columns is None else columns.kinds
    stream = sys.stdin.buffer if source == STDIN else source
    for table in tables.chunks(stream, rows=ROWS, kinds=kinds):
        if label is not None:
            table = table.without([find_label(table, label).name])
        elif columns is None:
            table = table.without([name for name in table.names if name.casefold() == "label"])
        if columns is not None and not said and (out := columns.left_out(table)):
            screen.say("left", f"out: {', '.join(out)}")
        said = True
        yield table


def _print_json(model: Model, found: Iterable[Answers], proba: bool) -> None:
    from fastmlp.runs import strict_json

    pieces = list(found)
    report: dict[str, Any] = {"classes": list(model.classes)} if model.classes else {}
    rows = [row for piece in pieces for row in _rows_of(model, piece.found)]
    report["labels" if model.classes else "predictions"] = rows
    if proba:
        report["probabilities"] = [row for piece in pieces if piece.p is not None for row in piece.p.tolist()]
    echo(strict_json(report))


def _rows_of(model: Model, found: Any) -> list[Any]:
    """Labels, flags or numbers of the rows."""
    if found.ndim == 1:
        return [model.classes[k] for k in found]
    rows: list[Any] = (found[:, 0] if not model.classes and found.shape[1] == 1 else found).tolist()
    return rows
