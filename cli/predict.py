"""``fastmlp predict``: a label, or every class's probability, for each image of a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from fastmlp.backends.threads import resolve
from fastmlp.checks import one_of
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
    """Print the label of each image, one a line.

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
    X, _ = read_images(images, label=label)
    Screen().say_if_compiling(backend)
    p = net.predict_proba(X, threads=n_threads)
    labels = np.asarray(net.classes)[p.argmax(axis=1)].tolist()
    if json:
        report: dict[str, Any] = {"classes": list(net.classes), "labels": labels}
        echo(strict_json(report | ({"probabilities": p.tolist()} if proba else {})))
    elif proba:
        rows = [",".join(map(str, ("label", *net.classes)))]
        rows += [
            f"{k}," + ",".join(f"{value:.6g}" for value in row) for k, row in zip(labels, p, strict=True)
        ]
        echo(*rows)
    else:
        echo(*map(str, labels))
