"""``fastmlp predict``: a label, or every class's probability, for each image of a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from fastmlp.backends.threads import resolve
from fastmlp.checks import one_of
from fastmlp.spec import BACKENDS

from .options import Backend, Json, Label, ModelPath, Threads, checked
from .streams import echo


def predict(
    model: ModelPath,
    images: Annotated[
        str,
        typer.Argument(metavar="IMAGES", help="IDX, .npy, .npz or .csv; labels are not needed."),
    ],
    proba: Annotated[
        bool, typer.Option("--proba", help="CSV on stdout: the label, and each class's probability.")
    ] = False,
    label: Label = None,
    threads: Threads = "auto",
    backend: Backend = BACKENDS[0],
    json: Json = False,
) -> None:
    """Print the label of each image, one a line.

    A label column of a CSV is left out of the inputs: the one named, or else a column called 'label'.
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
