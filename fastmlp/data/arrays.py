"""Arrays with names: which arrays of an .npz, and which .npy files, are images and labels.

.npz: the first pair of names that is there, as spelled or in upper case:
    training  x_train, y_train   (Keras' mnist.npz)     train_images, train_labels
              x, y                                      images, labels
    test      x_test, y_test                            test_images, test_labels
.npy: the file named holds the images. Its name must have x, X or images as a word (words are split by
    ``_``, ``-`` and ``.``); the labels are in the file beside it that has y, Y or labels instead:
    X.npy y.npy, digits_X.npy digits_y.npy, x_train.npy y_train.npy, train-images.npy train-labels.npy.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastmlp.data import npy
from fastmlp.data.npy import TEST, TRAIN
from fastmlp.data.parts import Part, Parts
from fastmlp.errors import DataError
from fastmlp.files import is_file

LABEL_WORDS = {"x": ("y",), "X": ("y", "Y"), "images": ("labels",)}


def read_npz(path: Path) -> Parts:
    """The parts that an .npz holds; half a pair is a DataError."""
    with npy.archive(path) as file:
        parts = Parts(_read_pair(file, TRAIN, path), _read_pair(file, TEST, path))
        if parts.train is None and parts.test is None:
            raise _no_images(file, path)
        return parts


def read_npz_images(path: Path) -> NDArray[Any]:
    """The images of an .npz, of the test part where it has one; labels are not needed."""
    with npy.archive(path) as file:
        for images, _ in TEST + TRAIN:
            name = file.spelled(images)
            if name is not None:
                return file.read(name)
        raise _no_images(file, path)


def read_npy(path: Path) -> Part:
    """An images file, and the labels file beside it."""
    words = re.split(r"([_.-])", path.name)
    at = next((i for i, word in enumerate(words) if word in LABEL_WORDS), None)
    if at is None:
        raise DataError(
            "an .npy file to learn from must have x, X or images as a word of its name",
            path.name,
            "call the pair X.npy and y.npy, or x_train.npy and y_train.npy",
        )
    siblings = ["".join((*words[:at], word, *words[at + 1 :])) for word in LABEL_WORDS[words[at]]]
    images = npy.read(path)
    for sibling in siblings:
        if is_file(path.parent / sibling):
            return Part(images, npy.read(path.parent / sibling, texts=True), str(path))
    raise DataError(f"{path} must have its labels beside it", f"no {siblings[0]} there", "put it there")


def _read_pair(file: npy.Archive, pairs: tuple[tuple[str, str], ...], path: Path) -> Part | None:
    for pair in pairs:
        images, labels = (file.spelled(name) for name in pair)
        if images is not None and labels is not None:
            return Part(file.read(images), file.read(labels, texts=True), f"{images} in {path}")
        if images is not None or labels is not None:
            raise DataError(
                f"{path} must hold both {pair[0]} and {pair[1]}",
                f"only {images or labels}",
                "add the other array",
            )
    return None


def _no_images(file: npy.Archive, path: Path) -> DataError:
    found = ", ".join(repr(name) for name in file.names[:8]) or "no arrays"
    return DataError(
        f"{path} must hold arrays called x_train and y_train, or X and y",
        found,
        "save them under those names",
    )
