"""The real MNIST: its four files, their sums, the two mirrors, the user's cache.

Every file is known by its unpacked content, since mirrors pack it differently. Nothing prints.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastmlp.cache_dir import home
from fastmlp.checks import as_float, as_list, as_text, function, reason_of, shown
from fastmlp.data import idx
from fastmlp.data.dataset import Part, Parts
from fastmlp.errors import ConfigError, DataError
from fastmlp.files import path_of

if TYPE_CHECKING:  # the network's modules take some 40 ms to load
    from fastmlp.data.download import Patience, Progress

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
FILES = {  # name: bytes and sha256, unpacked
    "train-images-idx3-ubyte": (
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
FileState = Literal["complete", "damaged", "missing"]


def cache_folder() -> Path:
    """Where downloaded files are kept; it need not exist."""
    return home() / "mnist"


def fetch_mnist(
    folder: str | os.PathLike[str] | None = None,
    *,
    mirrors: tuple[str, ...] | None = None,
    patience: float = 60.0,
    progress: Progress | None = None,
) -> Path:
    """Completes the four files in ``folder`` (default: the cache) and returns it.

    What is there and right is left alone; what is damaged or missing is downloaded, as .gz. patience: seconds
    that may be spent waiting in all, over what a transfer of 64 kB/s needs. DataError if a file cannot be
    had; the others stay. ConfigError for mirrors that are no texts, and a patience that is no number from 0.
    """
    from fastmlp.data.download import Patience

    target = cache_folder() if folder is None else path_of("folder", folder)
    order = _mirrors(MIRRORS if mirrors is None else mirrors)
    left = Patience(_seconds(patience))
    function("progress", progress)
    try:
        if folder is None:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.mkdir(mode=0o700 if folder is None else 0o777, parents=True, exist_ok=True)
        for name, state in file_states(target).items():
            if state != "complete":
                _fetch(name, target, order, left, progress)
    except OSError as error:
        raise DataError(
            f"{target} must be a folder that can be written", reason_of(error), "name another folder"
        ) from None
    return target


def _mirrors(mirrors: Any) -> list[str]:
    listed = as_list(mirrors)
    found = [text for text in map(as_text, listed or ()) if text is not None]
    if listed is None or len(found) < len(listed):
        raise ConfigError("mirrors must be a tuple of addresses", shown(mirrors))
    return found


def _seconds(patience: Any) -> float:
    seconds = as_float(patience)
    if not seconds >= 0:  # so for nan
        raise ConfigError("patience must be a number of seconds from 0", shown(patience))
    return seconds


def read_complete(folder: Path) -> Parts | None:
    """Both parts, if all four files are in ``folder`` and have the right content."""
    arrays = {}
    for name in FILES:
        path = idx.find(folder, name)
        array = None if path is None else _right(path, name)
        if array is None:
            return None
        arrays[name] = array
    train, test = (Part(arrays[x], arrays[y], str(folder)) for x, y in (idx.TRAIN, idx.TEST))
    return Parts(train, test)


def file_states(folder: Path) -> dict[str, FileState]:
    """Each of the four files: complete (by its sum), damaged or missing."""
    paths = {name: idx.find(folder, name) for name in FILES}
    return {
        name: "missing" if path is None else "damaged" if _right(path, name) is None else "complete"
        for name, path in paths.items()
    }


def is_mnist(parts: Parts) -> bool:
    """Whether both parts hold MNIST's images and labels, in its order."""
    if parts.train is None or parts.test is None:
        return False
    arrays = (parts.train.X, parts.train.y, parts.test.X, parts.test.y)
    return all(
        array.dtype == np.uint8 and idx.digest(array) == FILES[name][1]
        for array, name in zip(arrays, idx.TRAIN + idx.TEST, strict=True)
    )


def _fetch(name: str, folder: Path, order: list[str], left: Patience, progress: Progress | None) -> None:
    """One file from the first mirror that delivers it, which then leads ``order``."""
    from urllib.parse import urlsplit

    from fastmlp.data.download import DownloadError, download

    size, sha256 = FILES[name]
    reasons: list[str] = []
    for i, mirror in enumerate(order):
        url, path, share = f"{mirror.rstrip('/')}/{name}.gz", folder / f"{name}.gz", 1 / (len(order) - i)
        try:
            download(url, path, size, sha256, left, share, progress)
        except DownloadError as error:
            reasons.append(f"{urlsplit(mirror).netloc}: {error}")
        else:
            order.insert(0, order.pop(i))
            return
    raise DataError(
        f"{name}.gz of MNIST must be had from a mirror",
        "; ".join(reasons),
        "put MNIST's four files into a folder and give --data FOLDER, or use --data synthetic",
    )


def _right(path: Path, name: str) -> NDArray[np.uint8] | None:
    try:
        array, content = idx.read_summed(path)
    except DataError:
        return None
    return array if content == FILES[name][1] else None
