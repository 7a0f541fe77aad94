"""``load``: from what a user names (auto, mnist, synthetic, a path) to a Dataset; ``status``: what is there.

A path that is named, by argument or in FASTMLP_DATA, is read or is an error; only ``auto`` falls back, and
says so. Nothing prints: ``notify`` gets one-line messages, ``progress`` a download's bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypedDict

from numpy.typing import NDArray

from fastmlp.checks import as_list, as_text, flag, function, instance, one_of, shown, whole_number
from fastmlp.data import arrays, idx, mnist, npy, tables, targets
from fastmlp.data.assemble import assemble
from fastmlp.data.checks import features, image_shape
from fastmlp.data.columns import Columns
from fastmlp.data.dataset import Choice, Dataset
from fastmlp.data.label import TASKS, Label, Labels, find_label, places_of
from fastmlp.data.parts import Part, Parts, part_of
from fastmlp.data.table import Kind
from fastmlp.errors import ConfigError, DataError
from fastmlp.files import PathLike, is_folder, path_of
from fastmlp.words.losses import checked_loss

ENVIRONMENT = "FASTMLP_DATA"
AUTO_PATIENCE = 5.0  # seconds of waiting that auto grants the network
MNIST_PATIENCE = 60.0
WORDS = ("mnist", "synthetic")  # what a source may be called, beside auto and a path

Notify = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Asked:
    """The way a source is to be read: see ``load``."""

    label: str | int | None = None
    loss: str | None = None
    task: str = "auto"
    choice: Choice = field(default_factory=Choice)
    seed: int = 0
    hold_out: bool = True


@dataclass(frozen=True)
class _Found:
    """A source that was read: Dataset's ``name``, the first half of its ``source``, and the parts."""

    name: str
    source: str
    parts: Parts

    def dataset(self, asked: _Asked, test_source: str | None = None) -> Dataset:
        """The Dataset that is asked for."""
        return assemble(
            self.name, self.source, self.parts, asked.seed, test_source, asked.loss, asked.task,
            asked.choice, hold_out=asked.hold_out,
        )  # fmt: skip


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
    loss: str | None = None,
    task: str = "auto",
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    as_category: Sequence[str] = (),
    seed: int = 0,
    hold_out: bool = True,
    notify: Notify | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Read a training and a test part.

    data:
        ``auto``: what FASTMLP_DATA names if set, else MNIST from the cache, else a download that is given
        5 s of waiting, else synthetic digits. ``mnist``: a FASTMLP_DATA that is MNIST, the cache, a download.
        ``synthetic``: digits drawn by program. Anything else is a path: a table (.csv, .tsv, perhaps .gz,
        .parquet, .feather, .arrow), a .npz, a .npy with its labels beside it, a folder with IDX files, or an
        IDX images file with its labels beside it.
    test_data: a path, read in the same ways; its test part where it has one, else its training part.
        Without it: the test part of ``data``, else a seeded sixth of the training part, of each class.
    label: the label's column of a table, a name or an index from 0; None: it is found, see ``find_label``.
    loss: what the labels are read for; a loss of numbers, squared for example, takes any. None: the usual one
        of the task.
    task: "classes", "numbers", or "auto": what the labels look like; see ``task_of``.
    drop, keep, as_category: names of a table's columns: to leave out, to keep alone, to take as categories.
    seed: of the held-out sixth and of the synthetic digits.
    hold_out: False: no sixth is held out, all rows are to train on.

    What was found in a table is in the Dataset's ``told``, for people.

    DataError where something named is missing, damaged or not fit for training; ConfigError for a label, or
    names of columns, without a table.
    """
    environment = os.environ.get(ENVIRONMENT) or None
    word = as_text(data)
    if word == "auto" and environment in WORDS:
        word = data = environment
    named = environment if word == "auto" else None if word in WORDS else data
    choice = Choice(drop, keep, as_category)  # type: ignore[arg-type]  # checked there
    label = _checked_label(label, choice, named, test_data)
    asked = _Asked(
        label,
        None if loss is None else checked_loss(loss),
        one_of("task", task, TASKS),
        choice,
        whole_number("seed", seed, 0, 2**63 - 1),
        flag("hold_out", hold_out),
    )
    say, progress = function("notify", notify) or _silent, function("progress", progress)
    if named is not None:
        found = _named(named, asked, word == "auto")
    elif word == "synthetic":
        found = _synthetic(asked.seed)
    elif word == "mnist":
        found = _environment_mnist(environment) or _mnist(MNIST_PATIENCE, say, progress)
    else:
        found = _auto(asked.seed, say, progress)
    if test_data is None:
        return found.dataset(asked)
    train = found.parts.train
    other = read_parts(test_data, (train and train.label) or label, _kinds(train))
    found = replace(found, parts=Parts(train, other.test or other.train))
    return found.dataset(asked, str(test_data))


def read_parts(
    path: PathLike,
    label: str | int | None = None,
    kinds: Mapping[str, Kind] | None = None,
    mixed: Collection[str] = (),
) -> Parts:
    """Read what a path holds, by its kind: a folder, or a file by the end of its name.

    kinds, mixed: of a table's columns, by name, where they are known, and which may hold anything.
    """
    path = path_of("data", path)
    if is_folder(path):
        return idx.read_folder(path)
    if tables.is_table_file(path):
        pictures = tables.read_pictures(path, label) if kinds is None else None
        if pictures is not None and pictures.y is not None:
            told = (f"label: {pictures.label!r:.40}; pictures, a byte a pixel",)
            return Parts(Part(pictures.X, pictures.y, str(path), pictures.label, pictures.told, told))
        return Parts(part_of(tables.read(path, kinds=kinds, mixed=mixed), label))
    match _kind(path):
        case "npz":
            return arrays.read_npz(path)
        case "npy":
            return Parts(arrays.read_npy(path))
        case _:
            return Parts(idx.read_pair(path))


def read_test(
    path: PathLike,
    label: str | int | None = None,
    loss: str | None = None,
    task: str = "auto",
    columns: Columns | None = None,
    classes: tuple[Label, ...] = (),
) -> tuple[Any, NDArray[Any]]:
    """Read X (N, D), or a Table, and targets as the file has them: its test part if any, else all of it.

    loss, task: what the targets are read for: labels (N,) or, of a loss of numbers, numbers (N, K).
    columns: a model's: what kind a table's columns are, and which is the label, unless one is named.
    classes: a model's, of which labels must be. Raises DataError that names the row of another.
    """
    label = _checked_label(label, Choice(), path)
    columns = columns if columns is None else instance("columns", columns, Columns)
    known = as_list(classes)
    if known is None or not all(isinstance(one, str | int | float) for one in known):
        raise ConfigError("classes must be a list of labels", shown(classes))
    if columns is None:
        parts = read_parts(path, label)
    else:
        parts = read_parts(path, columns.label if label is None else label, columns.kinds)
    part = parts.test or parts.train
    assert part is not None
    X = features(part.X, part.where) if part.table is None else part.X
    loss, _ = targets.loss_of(part.y, loss, task, f"y of {part.where}")
    _, found = targets.read(part.y, loss, f"y of {part.where}", part.table)
    if isinstance(found, Labels) and known:
        places_of(part.y, tuple(known), f"the label column of {part.where}", part.table)
    y = targets.array_of(found.classes)[found.indices] if isinstance(found, Labels) else found
    if len(y) != X.shape[0]:
        raise targets.unequal(part.where, X.shape[0], len(y))
    return X, y


def read_images(
    path: PathLike, *, label: str | int | None = None, columns: Columns | None = None
) -> tuple[Any, tuple[int, int] | None]:
    """Read X (N, D) uint8 or float32, and the pictures' (rows, columns) or None; labels are not needed.

    Of a folder or .npz with two parts, the test part. Of a text table of pictures its pixels, of another
    table a Table, without the label's column where one is named. columns: a model's: what kind a table's
    columns are, and the label's is left for it; without them a column called ``label`` is left out too.
    """
    label = _checked_label(label, Choice(), path)
    columns = columns if columns is None else instance("columns", columns, Columns)
    path = path_of("data", path)
    if is_folder(path):
        parts = idx.read_folder(path)
        part = parts.test or parts.train
        assert part is not None
        X = part.X
    elif columns is None and (pictures := tables.read_pictures(path, label)) is not None:
        X = pictures.X
    elif tables.is_table_file(path):
        table = tables.read(path, kinds=None if columns is None else columns.kinds)
        if label is not None:
            return table.without([find_label(table, label).name]), None
        called = [name for name in table.names if name.casefold() == "label"] if columns is None else []
        return table.without(called), None
    else:
        match _kind(path):
            case "npz":
                X = arrays.read_npz_images(path)
            case "npy":
                X = npy.read(path)
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


def _kinds(part: Part | None) -> dict[str, Kind] | None:
    """The kinds of a table's columns, the label's too, by which another is read."""
    if part is None or part.table is None:
        return None
    return {column.name: column.kind for column in (*part.X.columns, part.y)}


def _named(path: PathLike, asked: _Asked, by_environment: bool) -> _Found:
    try:
        parts = read_parts(path, asked.label, mixed=(*asked.choice.drop, *asked.choice.as_category))
    except DataError as error:
        if not by_environment:
            raise
        must = f"{ENVIRONMENT} must name data that can be read, or be unset: {error.must}"
        raise DataError(must, error.got, error.do) from None
    return _Found(path_of("data", path).absolute().name, os.fspath(path), parts)


def _synthetic(seed: int) -> _Found:
    from fastmlp.data import synthetic

    drawn = synthetic.draw(seed)
    shape = drawn.image_shape or (-1,)
    train = Part(drawn.X.reshape(-1, *shape), drawn.y, "synthetic")
    test = Part(drawn.X_test.reshape(-1, *shape), drawn.y_test, "synthetic")
    return _Found("synthetic", f"synthetic digits, drawn by program with seed {seed}", Parts(train, test))


def _environment_mnist(path: str | None) -> _Found | None:
    """Read what FASTMLP_DATA names, if it is MNIST."""
    with suppress(DataError):
        if path is not None and (is_folder(named := path_of("data", path)) or _kind(named) == "npz"):
            return _mnist_at(named)
    return None


def _mnist_at(path: Path) -> _Found | None:
    """Read what is there, if it is MNIST."""
    with suppress(DataError):
        found = _Found("mnist", f"MNIST from {path}", read_parts(path))
        if found.dataset(_Asked()).sums == mnist.SUMS:
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
    return path.suffix.lower().removeprefix(".")


def _checked_label(label: Any, choice: Choice, *paths: PathLike | None) -> str | int | None:
    """A name or an index, for a table among the paths; None for None. Raises ConfigError."""
    asked = [name for name, names in choice.words.items() if names]
    if label is None and not asked:
        return None
    is_table = any(path is not None and tables.is_table_file(path_of("data", path)) for path in paths)
    if asked and not is_table:
        raise ConfigError(
            f"{asked[0]} must go with a table", shown(choice.words[asked[0]]),
            "leave it out: other formats have no columns with names",
        )  # fmt: skip
    if label is None:
        return None
    name = as_text(label)
    checked = whole_number("label, where it is no name,", label, -(2**31), 2**31) if name is None else name
    if not is_table:
        raise ConfigError(
            "label must go with a table", shown(label), "leave it out: other formats keep labels apart"
        )
    return checked


def _silent(line: str) -> None:
    """Drop the message."""
