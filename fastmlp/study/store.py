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
    """The finished nets in a folder; a context, for the file that it appends to."""

    def __init__(self, folder: Path, data: str) -> None:
        """Reads what is there. Raises RunFolderError where the folder cannot be written."""
        self.path, self._data = folder / NETS, data
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
            self._file.seek(0)
            content = self._file.read()
        except OSError as error:
            raise RunFolderError(
                f"{folder} must be a folder that can be written",
                error.strerror or error,
                "choose another place",
            ) from None
        self._records = dict(_read(content))
        if content and not content.endswith(b"\n"):  # a line that a kill cut short: the next begins anew
            self._write(b"\n")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def get(self, training: Training) -> Record | None:
        """The finished net, or None."""
        return self._records.get(key_of(training, self._data))

    def add(self, training: Training, record: Record) -> None:
        """On disk when this returns, but for a loss of power. Raises RunFolderError."""
        key = key_of(training, self._data)
        line = {"key": key, "training": training.to_json(), **asdict(record)}
        self._write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._records[key] = record

    def _write(self, content: bytes) -> None:
        try:
            self._file.write(content)
            self._file.flush()
        except OSError as error:
            raise RunFolderError(
                f"{self.path} must be writable", error.strerror or os.strerror(error.errno or 0), "make room"
            ) from None


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
