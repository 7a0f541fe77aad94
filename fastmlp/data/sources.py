"""``load``: from what a user names (auto, mnist, synthetic, a path) to a Dataset; ``status``: what is there.

A path that is named, by argument or in FASTMLP_DATA, is read or is an error; only ``auto`` falls back, and
says so. Nothing prints: ``notify`` gets one-line messages, ``progress`` a download's bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict

from numpy.typing import NDArray

from fastmlp.checks import as_text, function, shown, whole_number
from fastmlp.data import arrays, csv, idx, mnist, npy, targets
from fastmlp.data.checks import Features, features, image_shape
from fastmlp.data.dataset import Dataset, Part, Parts, assemble
from fastmlp.errors import ConfigError, DataError
from fastmlp.files import PathLike, is_folder, path_of
from fastmlp.words.losses import Loss, checked_loss

ENVIRONMENT = "FASTMLP_DATA"
AUTO_PATIENCE = 5.0  # seconds of waiting that auto grants the network
MNIST_PATIENCE = 60.0
WORDS = ("mnist", "synthetic")  # what a source may be called, beside auto and a path

Notify = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Found:
    """A source that was read: Dataset's ``name``, the first half of its ``source``, and the parts."""

    name: str
    source: str
    parts: Parts
    seed: int
    loss: str = "logits"

    @cached_property
    def dataset(self) -> Dataset:
        return assemble(self.name, self.source, self.parts, self.seed, loss=self.loss)


class Status(TypedDict):
    """Facts about the data that are there.

    auto: what ``auto`` would use: the path in FASTMLP_DATA, the cache, or a download (else synthetic).
    environment: the value of FASTMLP_DATA, None where it is not set.
    files: each of MNIST's four files in the cache: complete (by its sha256), damaged or missing.
    """

    auto: Literal["environment", "cache", "download"]
    environment: str | None
    cache: str
    files: dict[str, Literal["complete", "damaged", "missing"]]
    complete: bool


def load(
    data: PathLike = "auto",
    *,
    test_data: PathLike | None = None,
    label: str | int | None = None,
    loss: str = "logits",
    seed: int = 0,
    notify: Notify | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Read a training and a test part.

    data:
        ``auto``: what FASTMLP_DATA names if set, else MNIST from the cache, else a download that is given
        5 s of waiting, else synthetic digits. ``mnist``: a FASTMLP_DATA that is MNIST, the cache, a download.
        ``synthetic``: digits drawn by program. Anything else is a path: a folder with IDX files, a .npz,
        a .npy with its labels beside it, a .csv or .tsv (perhaps .gz), or an IDX images file with its labels
        beside it.
    test_data: a path, read in the same ways; its test part where it has one, else its training part.
        Without it: the test part of ``data``, else a seeded sixth of the training part.
    label: CSV's label column, a name or an index from 0; default: the column ``label``, else the first.
        What else a CSV file may be, and which first line is a header: csv/line.py and csv/head.py.
    loss: what the labels are read for; a loss of numbers, squared for example, takes any. See ``Dataset.of``.
    seed: of the held-out sixth and of the synthetic digits.

    DataError where something named is missing, damaged or not fit for training; ConfigError for a label
    without a CSV file.
    """
    environment = os.environ.get(ENVIRONMENT) or None
    word = as_text(data)
    if word == "auto" and environment in WORDS:
        word = data = environment
    named = environment if word == "auto" else None if word in WORDS else data
    label = _checked_label(label, named, test_data)
    loss, seed = checked_loss(loss), whole_number("seed", seed, 0, 2**63 - 1)
    say, progress = function("notify", notify) or _silent, function("progress", progress)
    if named is not None:
        found = _named(named, label, seed, word == "auto", loss)
    elif word == "synthetic":
        found = _synthetic(seed)
    elif word == "mnist":
        found = _environment_mnist(environment) or _mnist(MNIST_PATIENCE, say, progress)
    else:
        found = _auto(seed, say, progress)
    if Loss.of(loss).task != "classes":
        found = replace(found, loss=loss)
    if test_data is None:
        return found.dataset
    other = read_parts(test_data, label, loss)
    parts = Parts(found.parts.train, other.test or other.train)
    return assemble(found.name, found.source, parts, seed, str(test_data), loss)


def read_parts(path: PathLike, label: str | int | None = None, loss: str = "logits") -> Parts:
    """Read what a path holds, by its kind: a folder, or a file by the end of its name."""
    path = path_of("data", path)
    if is_folder(path):
        return idx.read_folder(path)
    match _kind(path):
        case "npz":
            return arrays.read_npz(path)
        case "npy":
            return Parts(arrays.read_npy(path))
        case "csv":
            return Parts(csv.read(path, label, numbers=Loss.of(loss).task == "numbers"))
        case _:
            return Parts(idx.read_pair(path))


def read_test(
    path: PathLike, label: str | int | None = None, loss: str = "logits"
) -> tuple[Features, NDArray[Any]]:
    """Read X (N, D) and targets as the file has them: its test part if it has one, else all of it.

    loss: what the targets are read for: labels (N,) or, of a loss of numbers, numbers (N, K).
    """
    label = _checked_label(label, path)
    parts = read_parts(path, label, loss)
    part = parts.test or parts.train
    assert part is not None
    X = features(part.X, part.where)
    return X, targets.of_file(part.y, len(X), part.where, loss)[1]


def read_images(path: PathLike, *, label: str | int | None = None) -> tuple[Features, tuple[int, int] | None]:
    """Read X (N, D) uint8 or float32, and the pictures' (rows, columns) or None; labels are not needed.

    Of a folder or .npz with two parts, the test part. Of a CSV, all columns but the label's.
    """
    label = _checked_label(label, path)
    path = path_of("data", path)
    if is_folder(path):
        parts = idx.read_folder(path)
        part = parts.test or parts.train
        assert part is not None
        X = part.X
    else:
        match _kind(path):
            case "npz":
                X = arrays.read_npz_images(path)
            case "npy":
                X = npy.read(path)
            case "csv":
                X = csv.read_images(path, label)
            case _:
                X = idx.read(path)
    rows = features(X, str(path))
    return rows, image_shape(X, rows)


def status() -> Status:
    """Tell what ``auto`` would use, and what is in the cache. Reads the cached files, not the network."""
    folder = mnist.cache_folder()
    files = mnist.file_states(folder)
    complete = all(state == "complete" for state in files.values())
    environment = os.environ.get(ENVIRONMENT) or None
    return Status(
        auto="environment" if environment else "cache" if complete else "download",
        environment=environment,
        cache=str(folder),
        files=files,
        complete=complete,
    )


def _named(path: PathLike, label: str | int | None, seed: int, by_environment: bool, loss: str) -> _Found:
    try:
        parts = read_parts(path, label, loss)
    except DataError as error:
        if not by_environment:
            raise
        must = f"{ENVIRONMENT} must name data that can be read, or be unset: {error.must}"
        raise DataError(must, error.got, error.do) from None
    return _Found(path_of("data", path).absolute().name, os.fspath(path), parts, seed)


def _synthetic(seed: int) -> _Found:
    from fastmlp.data import synthetic

    drawn = synthetic.draw(seed)
    shape = drawn.image_shape or (-1,)
    train = Part(drawn.X.reshape(-1, *shape), drawn.y, "synthetic")
    test = Part(drawn.X_test.reshape(-1, *shape), drawn.y_test, "synthetic")
    return _Found(
        "synthetic", f"synthetic digits, drawn by program with seed {seed}", Parts(train, test), seed
    )


def _environment_mnist(path: str | None) -> _Found | None:
    """Read what FASTMLP_DATA names, if it is MNIST."""
    with suppress(DataError):
        if path is not None and (is_folder(named := path_of("data", path)) or _kind(named) == "npz"):
            return _mnist_at(named)
    return None


def _mnist_at(path: Path) -> _Found | None:
    """Read what is there, if it is MNIST."""
    with suppress(DataError):
        found = _Found("mnist", f"MNIST from {path}", read_parts(path), seed=0)
        if found.dataset.sums == mnist.SUMS:
            return found
    return None


def _mnist(patience: float, say: Notify, progress: Progress | None) -> _Found:
    """Read MNIST from the cache, else from a mirror."""
    folder = mnist.cache_folder()
    found = _mnist_at(folder)
    if found is None:
        say(f"fetching MNIST (11 MB) into {folder}")
        mnist.fetch_mnist(patience=patience, progress=progress)
        found = _mnist_at(folder)
    if found is None:
        raise DataError(
            f"{folder} must keep what was downloaded", "files that changed meanwhile", "try again"
        )
    return found


def _auto(seed: int, say: Notify, progress: Progress | None) -> _Found:
    try:
        return _mnist(AUTO_PATIENCE, say, progress)
    except DataError as error:
        reason = " ".join(str(error.got).split())
        say(f"no MNIST to be had ({reason}); using synthetic digits, drawn by program, instead")
        return _synthetic(seed)


def _kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz")):
        return "csv"
    return path.suffix.lower().removeprefix(".")


def _checked_label(label: Any, *paths: PathLike | None) -> str | int | None:
    """A name or an index, for a CSV file among the paths; None for None. Raises ConfigError."""
    if label is None:
        return None
    name = as_text(label)
    checked = whole_number("label, where it is no name,", label, -(2**31), 2**31) if name is None else name
    if not any(path is not None and _kind(path_of("data", path)) == "csv" for path in paths):
        raise ConfigError(
            "label must go with a CSV file", shown(label), "leave it out: other formats keep labels apart"
        )
    return checked


def _silent(line: str) -> None:
    """Drop the message."""
