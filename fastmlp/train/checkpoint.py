"""The file from which a training resumes to the same bytes: what it holds, whose it is, when it is written.

A safetensors file, sealed (files/sealed.py): float32 tensors in the layout of Parameters, a column for each
number of the finished epochs, and a description in the metadata. It is replaced as a whole, and on disk
when ``keep`` returns. What a training needs to resume: loop.Checkpoint.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.state import OptimizerState
from fastmlp.backends.types import Midway
from fastmlp.checks import as_float, flag, one_of, positive_number, reason_of, shown, whole_number
from fastmlp.data.dataset import Dataset, sum_of
from fastmlp.errors import ConfigError, DataError, FastMLPError, ModelError, RunFolderError
from fastmlp.files import PathLike, forget_prepared, parse_json, path_of, sealed
from fastmlp.files.lock import FolderLock
from fastmlp.net import Parameters
from fastmlp.spec import BACKENDS, CHECKPOINT_SECONDS, NUMERICS_REVISION, Training
from fastmlp.train.loop import Best, Checkpoint, EpochResult
from fastmlp.words import optimizers
from fastmlp.words.losses import Loss
from fastmlp.words.schedules import Schedule

CHECKPOINT = "checkpoint.safetensors"
_LEAST = 1.0  # seconds between two after epochs
_SHARE = 0.02  # of the time between two, that one may take: one more is written at the end

_FORMAT, _ENTRY = 1, "fastmlp_checkpoint"
_KEYS = {
    "format", "numerics", "backend", "config", "sums", "epochs", "told", "steps", "best_epoch", "midway",
    "ended",
}  # fmt: skip
_MIDWAY_KEYS = {"samples", "loss", "correct", "live", "seconds"}
_COLUMNS = [field.name for field in fields(EpochResult) if field.name not in ("epoch", "dead_units")]

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Identity:
    """All that decides the result of a training: one resumes where another was that has the same.

    sums: sha256 by name, of the data, of what else goes in with them, and None for what is not there.
    """

    training: Training
    backend: str
    sums: Mapping[str, str | None]
    numerics: int = NUMERICS_REVISION

    def check(self, begun: Identity, where: Path) -> None:
        """Raise ConfigError, DataError or RunFolderError, by name, unless this goes on with what was begun.

        epochs may be more, unless earlier ones hang on their number.
        """
        do = "leave them as they were, or begin another run"
        if words := self.differences(begun):
            raise ConfigError(
                f"{where} must be resumed with the options it was begun with", ", ".join(words), do
            )
        other = [name for name in begun.sums if self.sums.get(name) != begun.sums[name]]
        if other:
            raise DataError(
                f"{where} must be resumed with the data it was begun with",
                f"other {', '.join(other)}, by sha256",
                do,
            )
        if self.numerics != begun.numerics:
            raise RunFolderError(
                f"{where} must be resumed with numerics revision {begun.numerics}", self.numerics,
                "use the fastmlp that began it, or begin another run",
            )  # fmt: skip

    def differences(self, begun: Identity) -> list[str]:
        """The options that are not as they were, in words."""
        mine, theirs = ({**each.training.to_json(), "backend": each.backend} for each in (self, begun))
        schedule = Schedule.of(self.training.schedule)
        more = mine.pop("epochs") - theirs.pop("epochs")
        other = mine["optimizer"] != theirs["optimizer"]  # then its own words say no more
        names = [name for name in {**mine, **theirs} if not (other and name in optimizers.FIELDS)]
        words = []
        for name in names:  # one that is not told is as usual
            pair = [
                options[name] if name in options else each.training.word(name)
                for each, options in ((self, mine), (begun, theirs))
            ]
            if pair[0] != pair[1]:
                words.append(f"{name} {shown(pair[0])} instead of {shown(pair[1])}")
        if more < 0 or (more and schedule.needs_total):
            why = "may only rise" if more < 0 else f"decide all rates of the {schedule.name} schedule"
            words.append(f"epochs {self.training.epochs} instead of {begun.training.epochs}, which {why}")
        return words

    def goes_on_as(self, training: Training, backend: str) -> Identity:
        """The same but for the options."""
        return Identity(training, backend, self.sums)

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return {
            "config": self.training.to_json(), "backend": self.backend, "sums": dict(self.sums),
            "numerics": self.numerics,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of ``to_json``; further keys are ignored. Raises ConfigError, KeyError."""
        sums = data["sums"]
        known = isinstance(sums, dict) and all(
            value is None or isinstance(value, str) for value in sums.values()
        )
        if not known:
            raise ConfigError("sums must be sha256 by name", shown(sums))
        return cls(
            Training.from_json(data["config"]), one_of("backend", data["backend"], BACKENDS), sums,
            whole_number("numerics", data["numerics"], 0, 2**31),
        )  # fmt: skip


def sums_of(
    data: Dataset, sample_weight: NDArray[Any] | None, initial: Parameters | None = None
) -> dict[str, str | None]:
    """Sums (sha256) by name of all that goes into a training beside its options."""
    return data.sums | {
        "sample weights": None if sample_weight is None else sum_of(sample_weight),
        "first weights": None if initial is None else initial.sha256(),
    }


class CheckpointFile:
    """The checkpoints of one training in a folder that the caller has locked: a loop.Keeper.

    One is written after an epoch, if the last was begun a second ago, and within an epoch after ``seconds``;
    less often where more than 2 % of the time would go to them. The last is written in any case.
    """

    def __init__(self, folder: Path, seconds: float = CHECKPOINT_SECONDS) -> None:
        """Raise ConfigError for seconds that are not over 0."""
        self.path = folder / CHECKPOINT
        self._seconds = positive_number("checkpoint_seconds", seconds, f"{CHECKPOINT_SECONDS:g}")
        self._identity: Identity | None = None
        self._kept: tuple[int, ...] = ()  # of what is in the file
        self._last, self._cost = time.monotonic(), 0.0

    def begin(self, identity: Identity) -> None:
        """Say whose checkpoints they are: before the training begins."""
        self._identity = identity

    def restore(self, now: Checkpoint) -> None:
        """Put what the file holds into ``now``, if there is one.

        Raises RunFolderError for a file that is no checkpoint or damaged, ConfigError, DataError and
        RunFolderError for one of another training.
        """
        assert self._identity is not None
        self._last = time.monotonic()
        if not os.path.lexists(self.path):
            return
        begun, found = read(self.path)
        self._identity.check(begun, self.path.parent)
        state, theirs = now.state, found.state
        arrays = [now.parameters, *state.moments], [found.parameters, *theirs.moments]
        if [p.array_shapes for p in arrays[0]] != [p.array_shapes for p in arrays[1]]:
            raise _refusal(self.path, "tensors of another net")
        for mine, kept in zip(*arrays, strict=True):
            for array, value in zip(mine, kept, strict=True):
                array[...] = value
        state.steps = theirs.steps
        now.epochs[:] = found.epochs
        now.best, now.midway = found.best, found.midway
        now.told, now.ended = found.told, found.ended
        self._kept = _place(now)

    def wait(self, *, midway: bool = False) -> float:
        """Seconds until the next is due: one after an epoch, or within."""
        interval = max(self._seconds if midway else _LEAST, self._cost / _SHARE)
        return self._last + interval - time.monotonic()

    def keep(self, now: Checkpoint) -> None:
        """Write it, unless that is what the file holds already. Raises RunFolderError."""
        assert self._identity is not None
        if _place(now) == self._kept:
            return
        began = time.monotonic()
        write(self.path, self._identity, now)
        self._kept, self._last = _place(now), began
        self._cost = time.monotonic() - began


@contextmanager
def opened(folder: PathLike, seconds: float = CHECKPOINT_SECONDS) -> Iterator[CheckpointFile]:
    """The checkpoints in a folder, which is made if need be, and locked until the end.

    Raises ConfigError, and RunFolderError where another has it or the system refuses.
    """
    path = path_of("checkpoint", folder, ConfigError)
    file = CheckpointFile(path, seconds)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(path)
    except RunFolderError:
        raise
    except OSError as problem:
        raise RunFolderError(
            f"{path} must be a folder that can be written", reason_of(problem), "name another place"
        ) from None
    try:
        forget_prepared(path, CHECKPOINT)
        yield file
    finally:
        lock.release()


def write(path: Path, identity: Identity, now: Checkpoint) -> None:
    """Replace the file; it is on disk when this returns. Raises RunFolderError."""
    midway, best = now.midway, now.best
    groups = {"parameters": now.parameters}
    groups |= _numbered(now.state.moments if midway is None else midway.moments)
    if best.parameters is not None:
        groups["best"] = best.parameters
    if midway is not None:
        groups["midway"] = midway.parameters
    tensors = {
        f"{group}.{name}": np.ascontiguousarray(array, np.float32)
        for group, parameters in groups.items()
        for name, array in parameters.named()
    }
    tensors["best_loss"] = np.array([best.loss])
    for name in _COLUMNS:
        column = [getattr(epoch, name) for epoch in now.epochs]
        if None not in column:
            tensors[f"epochs.{name}"] = np.array(column, np.float64)
    tensors["epochs.dead_units"] = np.array([epoch.dead_units for epoch in now.epochs], np.int64)
    description = {
        "format": _FORMAT,
        **identity.to_json(),
        "epochs": len(now.epochs),
        "told": now.told,
        "steps": now.state.steps,
        "best_epoch": best.epoch,
        "midway": None if midway is None else {name: getattr(midway, name) for name in sorted(_MIDWAY_KEYS)},
        "ended": now.ended,
    }
    used = {name: tensor for name, tensor in tensors.items() if tensor.size}
    sealed.write(path, used, {_ENTRY: json.dumps(description, allow_nan=False)})


def read(path: Path) -> tuple[Identity, Checkpoint]:
    """The inverse of ``write``. Raises RunFolderError for a file that is damaged, or no checkpoint."""
    try:
        tensors, metadata, is_sealed = sealed.read(path, most=8 * sealed.MOST)
        if not is_sealed or _ENTRY not in metadata:
            raise _refusal(path, f"no entry {_ENTRY!r} in its metadata, or no sha256")
        description = parse_json(metadata[_ENTRY], f"the entry {_ENTRY!r}", ModelError)
        return _described(description, dict(tensors))
    except RunFolderError:
        raise
    except FastMLPError as problem:
        raise _refusal(path, str(problem.got or problem).removeprefix(f"{path}: ")) from None
    except (KeyError, TypeError, ValueError) as problem:
        raise _refusal(path, reason_of(problem)) from None


def _described(data: Any, tensors: Tensors) -> tuple[Identity, Checkpoint]:
    """Raise FastMLPError, KeyError, TypeError, ValueError for what ``write`` writes not."""
    if not isinstance(data, dict) or set(data) != _KEYS or data["format"] != _FORMAT:
        raise ModelError(
            f"a checkpoint must be of format {_FORMAT}", f"another format or description, {shown(data)}"
        )
    identity = Identity.from_json(data)
    parameters = _taken("parameters", tensors)
    moments = tuple(_taken(f"moments.{i}", tensors) for i in range(identity.training.optimizer.moments))
    best = Best(whole_number("best_epoch", data["best_epoch"], 0, 10**9), _column("best_loss", tensors, 1)[0])
    if best.epoch:
        best.parameters = _taken("best", tensors)
    midway = None
    if data["midway"] is not None:
        found = {name: data["midway"][name] for name in _MIDWAY_KEYS}
        samples, correct, live = (
            whole_number(name, found[name], 0, 2**62) for name in ("samples", "correct", "live")
        )
        loss, seconds = (_finite(name, found[name]) for name in ("loss", "seconds"))
        midway = Midway(samples, loss, correct, live, _taken("midway", tensors), moments, seconds)
    n = whole_number("epochs", data["epochs"], 0, 10**9)
    absent = ["test_"] * (identity.sums.get("test data") is None)
    absent += ["validation_"] * (not identity.training.validation)
    of_numbers = Loss.of(identity.training.loss).task == "numbers"
    others = ("_accuracy",) if of_numbers else ("_r2", "_mae")
    columns = [name for name in _COLUMNS if not name.startswith(tuple(absent)) and not name.endswith(others)]
    epochs = _epochs(n, len(parameters.weights) - 1, columns, tensors)
    parts = (*moments, *(part.parameters for part in (best, midway) if part and part.parameters))
    if tensors or {part.array_shapes for part in parts} - {parameters.array_shapes}:
        raise ModelError("a checkpoint must hold tensors of one net", f"others, {shown([*tensors])}")
    steps = whole_number("steps", data["steps"], 0, 2**62)
    state = OptimizerState(steps, moments)
    told, ended = whole_number("told", data["told"], max(0, n - 1), n), flag("ended", data["ended"])
    return identity, Checkpoint(parameters, state, epochs, best, midway, told, ended)


def _taken(group: str, tensors: Tensors) -> Parameters:
    """Those of a group, which are then no more among the tensors. Raises ModelError."""
    names = [name for name in tensors if name.startswith(f"{group}.")]
    found = Parameters.from_named({name.removeprefix(f"{group}."): tensors.pop(name) for name in names})
    if {array.dtype for array in found} != {np.dtype(np.float32)} or not found.finite:
        raise ModelError("tensors must be finite in float32", f"others in {group}")
    return found


def _column(name: str, tensors: Tensors, *shape: int) -> Any:
    """The numbers of a tensor, which is then no more among them. Raises ModelError."""
    array = tensors.pop(name)
    if array.shape != shape or array.dtype != (np.int64 if name.endswith("dead_units") else np.float64):
        raise ModelError(f"{name} must have shape {shape}", f"{name} of {array.dtype}, {array.shape}")
    return array.tolist()


def _epochs(n: int, hidden: int, told: list[str], tensors: Tensors) -> list[EpochResult]:
    """Read n epochs of a net with so many hidden layers, of which those numbers are told."""
    if not n:
        return []
    columns: dict[str, list[Any]] = {name: [None] * n for name in _COLUMNS}
    for name in told:
        if name.endswith("_r2") and f"epochs.{name}" not in tensors:
            continue  # of one row there is none
        columns[name] = _column(f"epochs.{name}", tensors, n)
    columns["dead_units"] = _column("epochs.dead_units", tensors, n, hidden) if hidden else [[]] * n
    rows = zip(*columns.values(), strict=True)
    return [
        EpochResult(epoch=i, **dict(zip(columns, row, strict=True))) for i, row in enumerate(rows, start=1)
    ]


def _numbered(moments: tuple[Parameters, ...]) -> dict[str, Parameters]:
    return {f"moments.{i}": moment for i, moment in enumerate(moments)}


def _finite(name: str, value: Any) -> float:
    number = as_float(value)
    if not math.isfinite(number):
        raise ModelError(f"{name} must be a finite number", shown(value))
    return number


def _place(now: Checkpoint) -> tuple[int, ...]:
    """The progress of a training: all that changes between two checkpoints."""
    return len(now.epochs), now.told, 0 if now.midway is None else now.midway.samples


def _refusal(path: Path, got: object) -> RunFolderError:
    return RunFolderError(
        f"{path} must be a whole checkpoint that fastmlp wrote", got, "take it away to begin again"
    )
