"""Data: files, downloads and drawn digits to a checked Dataset, before any preprocessing.

Preprocessing belongs to the model, never to a file; nothing here prints. ``fetch_mnist`` is resolved on first
use, for it brings in the network modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastmlp.data.dataset import Dataset
from fastmlp.data.sources import Status, load, read_images, read_test, status

if TYPE_CHECKING:
    from fastmlp.data.mnist import fetch_mnist

__all__ = ["Dataset", "Status", "fetch_mnist", "load", "read_images", "read_test", "status"]


def __getattr__(name: str) -> object:
    if name == "fetch_mnist":
        from fastmlp.data.mnist import fetch_mnist

        return fetch_mnist
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
