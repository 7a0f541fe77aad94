"""Data: files, downloads and drawn digits to a checked Dataset, before any preprocessing.

Preprocessing belongs to the model, never to a file; nothing here prints.
"""

from fastmlp.data.dataset import Dataset
from fastmlp.data.mnist import fetch_mnist
from fastmlp.data.sources import Status, load, read_images, read_test, status

__all__ = ["Dataset", "Status", "fetch_mnist", "load", "read_images", "read_test", "status"]
