"""Names of arrays in an .npz that are rows and labels; arrays.py says how they are read."""

from __future__ import annotations

from fastmlp.data import npy

TRAIN = (("x_train", "y_train"), ("train_images", "train_labels"), ("x", "y"), ("images", "labels"))
TEST = (("x_test", "y_test"), ("test_images", "test_labels"))


def named_pairs(file: npy.Archive) -> bool:
    """Tell whether an .npz has arrays of these names."""
    return any(spelled(file, name) for pair in TRAIN + TEST for name in pair)


def spelled(file: npy.Archive, name: str) -> str | None:
    """The name as the archive has it: as it is, capitalised or in upper case; None where it is not there."""
    return next((n for n in (name, name.capitalize(), name.upper()) if n in file.names), None)
