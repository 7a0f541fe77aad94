"""``fastmlp predict``: a label, or every class's probability, or a number for each row of a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from fastmlp.backends.threads import resolve
from fastmlp.checks import one_of
from fastmlp.errors import ConfigError
from fastmlp.spec import BACKENDS

from .options import OUTPUT, Backend, Json, Label, ModelPath, Threads, checked, option
from .streams import echo


def predict(
    model: ModelPath,
    images: Annotated[
        str,
        typer.Argument(metavar="IMAGES", help="IDX, .npy, .npz or .csv file; it needs no labels."),
    ],
    label: Label = None,
    threads: Threads = "auto",
    backend: Backend = BACKENDS[0],
    proba: Annotated[
        bool, option(OUTPUT, "Print CSV: the label, and the probability of each class.", "--proba")
    ] = False,
    json: Json = False,
) -> None:
    """Print the label of each image, one a line; of a regression the number.

    A label column of a CSV file is no input: the one named, or else a column called 'label'.

    Examples:
      fastmlp predict runs/long images.npy
      fastmlp predict runs/long table.csv --proba > probabilities.csv
    """
    n_threads, _ = checked(lambda: resolve(threads), lambda: one_of("backend", backend, BACKENDS))

    import numpy as np

    from fastmlp.data import read_images
    from fastmlp.runs import load_model, strict_json

    from .render import Screen

    net = replace(load_model(model), backend=backend)
    if proba and not net.classes:
        raise ConfigError("proba must be left out of a model of numbers", "--proba")
    X, _ = read_images(images, label=label, columns=net.columns)
    Screen().say_if_compiling(backend)
    found = net.predict(X, threads=n_threads)
    p = net.predict_proba(X, threads=n_threads) if proba else None
    if json:
        report: dict[str, Any] = {"classes": list(net.classes)} if net.classes else {}
        report["labels" if net.classes else "predictions"] = found.tolist()
        echo(strict_json(report | ({} if p is None else {"probabilities": p.tolist()})))
        return
    rows = [",".join(map(_text, np.atleast_1d(row).tolist())) for row in found]
    if p is None:
        echo(*rows)
        return
    told = ["label"] if found.ndim == 1 else [f"label {k}" for k in net.classes]
    both = (f"{row}," + ",".join(f"{value:.6g}" for value in each) for row, each in zip(rows, p, strict=True))
    echo(",".join(map(str, (*told, *net.classes))), *both)


def _text(value: float) -> str:
    """A label, or a number with the digits that the net has."""
    return f"{value:.7g}" if isinstance(value, float) else str(value)
