"""Names of arrays: which arrays of an .npz are images, or rows, and their labels. Nothing is read here.

The first pair of names that is there, as spelled or in upper case:
    training  x_train, y_train   (Keras' mnist.npz)     train_images, train_labels
              x, y                                      images, labels
    test      x_test, y_test                            test_images, test_labels
"""

from __future__ import annotations

from fastmlp.data import npy

TRAIN = (("x_train", "y_train"), ("train_images", "train_labels"), ("x", "y"), ("images", "labels"))
TEST = (("x_test", "y_test"), ("test_images", "test_labels"))


def named_pairs(file: npy.Archive) -> bool:
    """Tell whether an .npz has arrays of the names above."""
    return any(spelled(file, name) for pair in TRAIN + TEST for name in pair)


def spelled(file: npy.Archive, name: str) -> str | None:
    """The array's name as it stands in the file; None where it is not there."""
    return next((n for n in (name, name.capitalize(), name.upper()) if n in file.names), None)
