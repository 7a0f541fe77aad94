"""The run folder: what one training leaves on disk.

    config.json        Training, where the data came from, backend and threads
    environment.json   versions and machine
    metrics.jsonl      a line per finished epoch
    model.safetensors  the model after the last finished epoch
    summary.json       how it ended: the report that ``fastmlp train --json`` prints

Every file is there whole, or as it was before. One run at a time has the folder (lock.py), and none follows a
link that lies in it. Nothing here trains or prints.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import signal
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from fastmlp.checks import reason_of, shown
from fastmlp.config import Training
from fastmlp.data import Dataset
from fastmlp.data.sources import ENVIRONMENT as ENVIRONMENT_VARIABLE
from fastmlp.engine import EpochResult
from fastmlp.errors import ConfigError, DivergedError, FastMLPError, ModelError, RunFolderError
from fastmlp.files import is_folder, path_of, read_json, write_whole
from fastmlp.lines import add_line
from fastmlp.lock import LOCK, FolderLock, all_but_lock
from fastmlp.model import Model

CONFIG, ENVIRONMENT, METRICS = "config.json", "environment.json", "metrics.jsonl"
MODEL, SUMMARY = "model.safetensors", "summary.json"
_PREPARED = re.compile(r"\.(config|environment)\.json-[0-9a-f]{32}")  # by files.replace; then it has its name
HOME = Path("runs")  # of the folders that nobody named
_TRIES = 100


class RunFolder:
    """A folder that takes a run as it goes. A context: without ``begin``, its end leaves no trace.

    epochs: the finished epochs. best_epoch: the one whose model is kept, if that was settled.
    weights_sha256: of the model in the folder, None as long as there is none.
    """

    def __init__(self, path: Path, made: list[Path], lock: FolderLock) -> None:
        self.path = path
        self.epochs: list[EpochResult] = []
        self.best_epoch: int | None = None
        self.weights_sha256: str | None = None
        self._made = made  # the folders that were not there, the innermost first
        self._lock = lock
        self._begun = False

    @classmethod
    def create(cls, path: str | os.PathLike[str] | None, training: Training) -> Self:
        """A new folder, or an empty one, that can be written; None: one in ``runs/``, named after the run.

        Raises ConfigError for a file and for a folder with something in it, RunFolderError where the
        system refuses.
        """
        if path is not None:
            return cls._make(path_of("the run folder", path, ConfigError))
        stamp = time.strftime("%Y%m%d-%H%M%S")
        name = f"{stamp}-{training.act}-scale{training.scale:g}-seed{training.seed}"
        for number in range(1, 1000):
            with suppress(FileExistsError):
                return cls._make(HOME / (name if number == 1 else f"{name}-{number}"), exist_ok=False)
        raise RunFolderError(f"{HOME / name} must be a new folder", "a thousand of that name", "name another")

    @classmethod
    def _make(cls, path: Path, exist_ok: bool = True) -> Self:
        made: list[Path] = []
        try:
            for _ in range(_TRIES):
                made = [folder for folder in (path, *path.parents) if not folder.exists()]
                with suppress(FileNotFoundError):  # a run that ends takes away what it had made
                    if _mkdir(path, exist_ok):
                        return cls(path, made, _claimed(path))
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        except BaseException as error:
            if isinstance(error, FileExistsError) and not exist_ok:
                raise  # somebody else's, perhaps made just now
            _remove(made)
            if not isinstance(error, OSError) or isinstance(error, RunFolderError):
                raise
            raise RunFolderError(
                f"{path} must be a folder that can be written",
                reason_of(error),
                "name another place, or change its permissions",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if not self._begun:
            _remove(self._made)

    def begin(self, config: dict[str, Any], environment: dict[str, Any]) -> None:
        """Write what is known before the first epoch. Raises RunFolderError, as the other writers do."""
        self._begun = True
        self._write(CONFIG, config)
        self._write(ENVIRONMENT, environment)

    def record(self, result: EpochResult, model: Model) -> None:
        """Keep a finished epoch and the model after it; made to be a callback of ``fit``.

        Ctrl-C waits for it: the files and ``epochs`` always agree.
        """
        with _uninterrupted():
            self.keep(model)
            line = strict_json(result.to_json()) + "\n"
            add_line(self.path / METRICS, line.encode(), new=not self.epochs)
            self.epochs.append(result)

    def keep(self, model: Model) -> None:
        """Write the model alone."""
        digest = model.parameters.sha256()
        model.save(self.path / MODEL)
        self.weights_sha256 = digest

    def settle(self, model: Model, epoch: int) -> None:
        """Keep the model of an earlier epoch, the best one."""
        self.keep(model)
        self.best_epoch = epoch

    def report(self, failure: BaseException | None = None) -> dict[str, Any]:
        """How the run went, as plain data. failure: what ended it early, if anything did."""
        last = self.epochs[(self.best_epoch or 0) - 1] if self.epochs else None
        return {
            "status": _status(failure),
            "error": str(failure) if isinstance(failure, Exception) else None,
            "test_accuracy": last and last.test_accuracy,
            "test_loss": last and last.test_loss,
            "best_epoch": self.best_epoch,
            "epochs": [result.to_json() for result in self.epochs],
            "seconds_training": sum((result.seconds for result in self.epochs), 0.0),
            "weights_sha256": self.weights_sha256,
            "run_dir": str(self.path.absolute()),
        }

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the last file."""
        self._write(SUMMARY, summary)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_whole(self.path / name, (strict_json(content, indent=2) + "\n").encode())


def find_model(path: str | os.PathLike[str]) -> Path:
    """The model's file that ``path`` means: itself, or the one in that run folder."""
    path = path_of("a model", path, ModelError)
    return path / MODEL if is_folder(path) else path


def load_model(path: str | os.PathLike[str]) -> Model:
    """The model that ``find_model`` means. Raises ModelError, RunFolderError.

    That of a run folder must have the sum that its summary says; a run that was killed leaves no summary.
    """
    file = find_model(path)
    model = Model.load(file)
    summary, remedy = file.with_name(SUMMARY), "train again, or name the model's file to take it as it is"
    if is_folder(path_of("a model", path, ModelError)) and os.path.lexists(summary):
        report = read_json(summary, RunFolderError, do=remedy)
        wanted = report.get("weights_sha256") if isinstance(report, dict) else None
        if model.parameters.sha256() != wanted:
            must = f"{file} must be the run's model, whose weights_sha256 is {shown(wanted)} in its {SUMMARY}"
            raise ModelError(must, model.parameters.sha256(), remedy)
    return model


def data_arguments(
    data: str, test_data: str | None, label: str | None, dataset: Dataset
) -> dict[str, str | None]:
    """Arguments for ``data.load`` that give ``dataset`` again, from any folder."""
    if data == "auto":
        data = os.environ.get(ENVIRONMENT_VARIABLE) or dataset.name
    if data not in ("mnist", "synthetic"):
        data = absolute(data)
    return {"data": data, "test_data": test_data and absolute(test_data), "label": label}


def recorded_training(path: str | os.PathLike[str]) -> Training:
    """The Training of a run folder. Raises RunFolderError where there is none that can be read."""
    config = path_of("a run folder", path, RunFolderError) / CONFIG
    try:
        found = read_json(config, RunFolderError)
        training: Any = found.get("config") if isinstance(found, dict) else None
        return Training.from_json(training)
    except FastMLPError as problem:
        raise RunFolderError(
            f"{config} must say how a net was trained",
            problem.got if isinstance(problem, RunFolderError) else problem,
            "name a folder that `fastmlp train` wrote",
        ) from None


def recorded_data(model: Path) -> dict[str, str | None]:
    """The ``data_arguments`` of the run that a model's file lies in; empty where there are none."""
    try:
        config = read_json(model.parent / CONFIG, RunFolderError)
    except RunFolderError:
        return {}
    arguments = config.get("arguments") if isinstance(config, dict) else None
    found = arguments if isinstance(arguments, dict) else {}
    texts = {name: found[name] for name in ("data", "test_data", "label") if name in found}
    known = len(texts) == 3 and all(value is None or isinstance(value, str) for value in texts.values())
    return texts if known and texts["data"] is not None else {}


def strict_json(value: Any, indent: int | None = None) -> str:
    """JSON as every parser takes it: a number that is not finite becomes null."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _status(failure: BaseException | None) -> str:
    if failure is None:
        return "finished"
    if isinstance(failure, DivergedError):
        return "diverged"
    return "failed" if isinstance(failure, Exception) else "interrupted"


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """SIGINT is delivered after the block. Other threads than the main one never get it anyway."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def _mkdir(path: Path, exist_ok: bool) -> bool:
    """Whether the folder is there now; another run may be taking it away. Raises ConfigError, OSError."""
    try:
        path.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        if not exist_ok:
            raise
        if not stat.S_ISDIR(path.stat().st_mode):
            raise ConfigError(
                "the run folder must be a folder", f"the file {path}", "name another place"
            ) from None
        return False
    return True


def _claimed(folder: Path) -> FolderLock:
    """The lock of a folder with nothing else in it, but what a kill left of a run before its first file.

    Raises ConfigError, RunFolderError, OSError.
    """
    if (others := all_but_lock(folder)) and not (folder / LOCK).is_file():
        raise _not_empty(folder, others)  # untouched
    lock = FolderLock(folder)  # who writes there is told before what lies there
    try:
        others = all_but_lock(folder)
        if not all(map(_PREPARED.fullmatch, others)):
            raise _not_empty(folder, others)
        for name in others:
            (folder / name).unlink()
    except BaseException:
        lock.release()
        raise
    return lock


def _not_empty(folder: Path, names: list[str]) -> ConfigError:
    return ConfigError(
        "the run folder must be empty or new",
        f"{folder}, which holds {len(names)} files or folders",
        "name another, or empty it",
    )


def _remove(folders: list[Path]) -> None:
    """Those that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def absolute(path: str) -> str:
    """A path of data as every folder means it. Raises DataError."""
    return str(path_of("data", path).absolute())
