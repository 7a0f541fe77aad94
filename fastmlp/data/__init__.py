"""Data: files, frames, downloads and drawn digits to a checked Dataset, before any preprocessing.

Preprocessing belongs to the model, never to a file; nothing here prints.
"""

from typing import TYPE_CHECKING, Any

from fastmlp.data.dataset import Dataset
from fastmlp.data.mnist import fetch_mnist
from fastmlp.data.sources import Status, load, read_images, read_test, status

if TYPE_CHECKING:
    from fastmlp.data.auditing.call import audit
    from fastmlp.data.auditing.report import Audit

__all__ = ["Audit", "Dataset", "Status", "audit", "fetch_mnist", "load", "read_images", "read_test", "status"]


def __getattr__(name: str) -> Any:  # no training needs the audit
    if name == "audit":
        from fastmlp.data.auditing.call import audit

        return audit
    if name == "Audit":
        from fastmlp.data.auditing.report import Audit

        return Audit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
