"""The real MNIST: its four files, their sums, the two mirrors, the user's cache.

Files are known by their unpacked content, since mirrors pack it differently, and are kept unpacked: to
unpack them takes longer than to check their sum. Nothing prints.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastmlp.cache_dir import home
from fastmlp.checks import as_float, as_list, as_text, function, reason_of, shown
from fastmlp.data import idx
from fastmlp.errors import ConfigError, DataError
from fastmlp.files import path_of
from fastmlp.files.bounded import opened

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
SUMS = {  # of the Dataset that they make
    "data": "2c657009b8033089c30b117a197209f78bc2bcc097dfdea02e52ed66784bbc66",
    "test data": "ae2b17aae510915c674d23fe99eb1a5ef483d4b054c915a83c94407057e580ee",
}
FileState = Literal["complete", "damaged", "missing"]


def cache_folder() -> Path:
    """Folder where downloaded files are kept; it need not exist."""
    return home() / "mnist"


def fetch_mnist(
    folder: str | os.PathLike[str] | None = None,
    *,
    mirrors: tuple[str, ...] | None = None,
    patience: float = 60.0,
    progress: Progress | None = None,
) -> Path:
    """Complete the four files in ``folder`` (default: the cache) and return it.

    What is there and right is left alone; what is damaged or missing is downloaded, and kept unpacked.
    patience: seconds that may be spent waiting in all, over what a transfer of 64 kB/s needs. DataError if a
    file cannot be had; the others stay. ConfigError for mirrors that are no texts, and a patience that is no
    number from 0.
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


def file_states(folder: Path) -> dict[str, FileState]:
    """State of each of the four files: complete (by its sum), damaged or missing."""
    paths = {name: idx.find(folder, name) for name in FILES}
    return {
        name: "missing" if path is None else "complete" if _is_right(path, name) else "damaged"
        for name, path in paths.items()
    }


def _fetch(name: str, folder: Path, order: list[str], left: Patience, progress: Progress | None) -> None:
    """One file from the first mirror that delivers it, which then leads ``order``."""
    from urllib.parse import urlsplit

    from fastmlp.data.download import DownloadError, download

    size, sha256 = FILES[name]
    reasons: list[str] = []
    for i, mirror in enumerate(order):
        url, path, share = f"{mirror.rstrip('/')}/{name}.gz", folder / name, 1 / (len(order) - i)
        try:
            download(url, path, size, sha256, left, share, progress)
        except DownloadError as error:
            reasons.append(f"{urlsplit(mirror).netloc}: {error}")
        else:
            order.insert(0, order.pop(i))
            return
    raise DataError(
        f"{name} of MNIST must be had from a mirror",
        "; ".join(reasons),
        "put MNIST's four files into a folder and give --data FOLDER, or use --data synthetic",
    )


def _is_right(path: Path, name: str) -> bool:
    size, sha256 = FILES[name]
    try:
        with opened(path) as (stream, _):
            return hashlib.sha256(stream.read(size + 1)).hexdigest() == sha256
    except DataError:
        return False
