"""Finished nets on disk: a line of JSON each, found again by what decides a net's numbers.

The key is a digest of the whole setting, the revision of the numerics and the data. A line that is
damaged (half a line after a loss of power, or somebody's edit) is as if it were not there.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.config import NUMERICS_REVISION, Training
from fastmlp.data import Dataset
from fastmlp.errors import RunFolderError
from fastmlp.files import reason_of
from fastmlp.lines import add_line
from fastmlp.lock import FolderLock

NETS = "nets.jsonl"


@dataclass(frozen=True)
class Record:
    """What the study keeps of a net.

    accuracy, loss: on the test part at the end; after a divergence, accuracy is that of the last
                    good epoch, and loss None where it is not finite.
    losses:         mean training loss of each finished epoch.
    dead:           first-layer units that no training image activates, at the end.
    live:           share of samples with a gradient in the last epoch; 1 where no epoch was finished.
    diverged:       the epoch in which it became non-finite; None where it did not.
    seconds:        of training.
    """

    accuracy: float
    loss: float | None
    losses: tuple[float, ...]
    dead: int
    live: float
    diverged: int | None
    seconds: float


def data_digest(data: Dataset) -> str:
    """sha256 of every array, with its shape and type."""
    digest = hashlib.sha256()
    for array in (data.X, data.y, data.X_test, data.y_test):
        digest.update(f"{array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def key_of(training: Training, data: str) -> str:
    """The name of a net: of its setting, the numerics, and the digest of its data."""
    facts = {"training": training.to_json(), "numerics": NUMERICS_REVISION, "data": data}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Store:
    """The finished nets in a folder; a context, in which nobody else writes there."""

    def __init__(self, folder: Path, data: str) -> None:
        """Reads what is there. Raises RunFolderError where the folder cannot be written, or somebody does."""
        self.path, self._data = folder / NETS, data
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(folder)
            try:
                self._records = dict(_read(self._content()))
            except BaseException:
                self._lock.release()
                raise
        except RunFolderError:
            raise
        except OSError as error:
            raise RunFolderError(
                f"{folder} must be a folder that can be written", reason_of(error), "choose another place"
            ) from None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _content(self) -> bytes:
        """Of the file, which is made where there is none, and whose last line is ended."""
        add_line(self.path, b"", new=not os.path.lexists(self.path))
        content = self.path.read_bytes()
        if content and not content.endswith(b"\n"):  # a kill cut it short
            add_line(self.path, b"\n", new=False)
        return content

    def get(self, training: Training) -> Record | None:
        """The finished net, or None."""
        return self._records.get(key_of(training, self._data))

    def add(self, training: Training, record: Record) -> None:
        """On disk when this returns. Raises RunFolderError."""
        key = key_of(training, self._data)
        line = {"key": key, "training": training.to_json(), **asdict(record)}
        add_line(self.path, json.dumps(line, allow_nan=False).encode() + b"\n", new=False)
        self._records[key] = record


def _read(content: bytes) -> Iterator[tuple[str, Record]]:
    """Key and record of each line that holds one."""
    for line in content.splitlines():
        try:
            found = json.loads(line)
            record = _checked(found)
            key = found["key"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(key, str) and len(key) == 64:
            yield key, record


def _checked(found: Any) -> Record:
    """Raises ValueError, KeyError or TypeError unless it is a record as ``add`` writes it."""
    losses = tuple(_number(value) for value in found["losses"])
    loss = None if found["loss"] is None else _number(found["loss"])
    diverged = None if found["diverged"] is None else _whole(found["diverged"])
    record = Record(
        _number(found["accuracy"]), loss, losses, _whole(found["dead"]), _number(found["live"]), diverged,
        _number(found["seconds"]),
    )  # fmt: skip
    if not (0 <= record.accuracy <= 1 and 0 <= record.live <= 1 and record.dead >= 0):
        raise ValueError
    return record


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError
    return value
