"""Finished nets on disk: a line of JSON each, found again by all that decides a net.

The key is a digest of the whole Training, the revision of the numerics and the data. A line that is
damaged, by a loss of power or an edit, is ignored.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fastmlp.checks import as_float, as_list, reason_of, shown, whole_number
from fastmlp.data import Dataset
from fastmlp.errors import ConfigError, FastMLPError, RunFolderError
from fastmlp.files import parse_json, regular
from fastmlp.files.lines import add_line
from fastmlp.files.lock import FolderLock
from fastmlp.spec import NUMERICS_REVISION, Training

NETS = "nets.jsonl"
MOST_LINE = 16 << 20  # bytes; a net of a million epochs has that many

_MOST, _LARGEST = 2**63 - 1, sys.float_info.max


@dataclass(frozen=True)
class Record:
    """Figures of a finished net.

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
    """Key of a net: a digest of its Training, the numerics, and the digest of its data."""
    facts = {"training": training.to_json(), "numerics": NUMERICS_REVISION, "data": data}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Store:
    """The finished nets in a folder; a context, in which no other process writes there."""

    def __init__(self, folder: Path, data: str) -> None:
        """Reads the nets. Raises RunFolderError where the folder cannot be written, or is in use."""
        self.path, self._data = folder / NETS, data
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(folder)
            try:
                self._records = self._stored()
            except BaseException:
                self._lock.release()
                raise
        except RunFolderError:
            raise
        except (OSError, MemoryError) as error:
            raise RunFolderError(
                f"{folder} must be a folder that can be written", reason_of(error), "choose another place"
            ) from None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _stored(self) -> dict[str, Record]:
        """Read the records; make the file where there is none, and end its last line."""
        add_line(self.path, b"", new=not os.path.lexists(self.path))
        with open(self.path, "rb", opener=regular) as file:
            records, whole = _read(file)
        if not whole:  # a kill cut it short
            add_line(self.path, b"\n", new=False)
        return records

    def get(self, training: Training) -> Record | None:
        """The finished net, or None."""
        return self._records.get(key_of(training, self._data))

    def add(self, training: Training, record: Record) -> None:
        """Add a finished net, on disk when this returns. Raises RunFolderError."""
        key = key_of(training, self._data)
        line = {"key": key, "training": training.to_json(), **asdict(record)}
        add_line(self.path, json.dumps(line, allow_nan=False).encode() + b"\n", new=False)
        self._records[key] = record


def _read(file: BinaryIO) -> tuple[dict[str, Record], bool]:
    """Read the records by their keys, from each line with one; and whether the last line has its end."""
    records: dict[str, Record] = {}
    whole = True
    while line := file.readline(MOST_LINE):
        begins, whole = whole, line.endswith(b"\n")
        if not begins or len(line) == MOST_LINE:  # of one too long
            continue
        try:
            found = parse_json(line, NETS, RunFolderError)
            record = _record(found)
        except FastMLPError:
            continue
        key = found.get("key")
        if isinstance(key, str) and len(key) == 64:
            records[key] = record
    return records, whole


def _record(found: Any) -> Record:
    """Raise ConfigError unless it is a record as ``add`` writes it."""
    fields = dict.fromkeys((field.name for field in dataclasses.fields(Record)), "missing")
    fields |= found if isinstance(found, dict) else {}
    losses = as_list(fields["losses"])
    if losses is None:
        raise ConfigError("losses must be a list", shown(fields["losses"]))
    return Record(
        accuracy=_between("accuracy", fields["accuracy"], 0, 1),
        loss=None if fields["loss"] is None else _between("loss", fields["loss"]),
        losses=tuple(_between("losses", loss) for loss in losses),
        dead=whole_number("dead", fields["dead"], 0, _MOST),
        live=_between("live", fields["live"], 0, 1),
        diverged=None
        if fields["diverged"] is None
        else whole_number("diverged", fields["diverged"], 1, _MOST),
        seconds=_between("seconds", fields["seconds"], 0),
    )


def _between(name: str, value: Any, low: float = -_LARGEST, high: float = _LARGEST) -> float:
    number = as_float(value)
    if not low <= number <= high:
        raise ConfigError(f"{name} must be a number from {low:g} to {high:g}", shown(value))
    return number
