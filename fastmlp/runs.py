"""The run folder: what one training leaves on disk.

    config.json        Training, where the data came from, backend and threads
    environment.json   versions and machine
    metrics.jsonl      a line per finished epoch
    model.safetensors  the model after the last finished epoch
    summary.json       how it ended: the report that ``fastmlp train --json`` prints

Every file is there whole, or as it was before. Nothing here trains or prints.
"""

from __future__ import annotations

import json
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from fastmlp.config import Training
from fastmlp.data import Dataset
from fastmlp.data.sources import ENVIRONMENT as ENVIRONMENT_VARIABLE
from fastmlp.engine import EpochResult
from fastmlp.errors import ConfigError, DivergedError, RunFolderError
from fastmlp.files import write_whole
from fastmlp.model import Model

CONFIG, ENVIRONMENT, METRICS = "config.json", "environment.json", "metrics.jsonl"
MODEL, SUMMARY = "model.safetensors", "summary.json"
HOME = Path("runs")  # of the folders that nobody named


class RunFolder:
    """A folder that takes a run as it goes. A context: without ``begin``, its end leaves no trace.

    epochs: the finished epochs. best_epoch: the one whose model is kept, if that was settled.
    weights_sha256: of the model in the folder, None as long as there is none.
    """

    def __init__(self, path: Path, made: list[Path]) -> None:
        self.path = path
        self.epochs: list[EpochResult] = []
        self.best_epoch: int | None = None
        self.weights_sha256: str | None = None
        self._made = made  # the folders that were not there, the innermost first
        self._begun = False

    @classmethod
    def create(cls, path: str | os.PathLike[str] | None, training: Training) -> Self:
        """A new folder, or an empty one, that can be written; None: one in ``runs/``, named after the run.

        Raises ConfigError for a file and for a folder with something in it, RunFolderError where the
        system refuses.
        """
        if path is not None:
            if not str(path):
                raise ConfigError("the run folder must have a name", repr(path), "leave it out for a new one")
            return cls._make(Path(path).expanduser())
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
            if exist_ok and path.exists() and not path.is_dir():
                raise ConfigError("the run folder must be a folder", f"the file {path}", "name another place")
            made = [folder for folder in (path, *path.parents) if not folder.exists()]
            path.mkdir(parents=True, exist_ok=exist_ok)
            if any(path.iterdir()):
                raise ConfigError(
                    "the run folder must be empty or new",
                    f"{path}, which holds {len(list(path.iterdir()))} files or folders",
                    "name another, or empty it",
                )
            tempfile.TemporaryFile(dir=path).close()
        except BaseException as error:
            if isinstance(error, FileExistsError) and not exist_ok:
                raise  # somebody else's, perhaps made just now
            _remove(made)
            if not isinstance(error, OSError):
                raise
            raise RunFolderError(
                f"{path} must be a folder that can be written",
                error.strerror or error,
                "name another place, or change its permissions",
            ) from None
        return cls(path, made)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
            try:
                with (self.path / METRICS).open("a", encoding="utf-8") as file:
                    file.write(strict_json(result.to_json()) + "\n")
            except OSError as error:
                raise RunFolderError(
                    f"{self.path / METRICS} must be writable", error.strerror or error, "make room for it"
                ) from None
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
    path = Path(path).expanduser()
    return path / MODEL if path.is_dir() else path


def data_arguments(
    data: str, test_data: str | None, label: str | None, dataset: Dataset
) -> dict[str, str | None]:
    """Arguments for ``data.load`` that give ``dataset`` again, from any folder."""
    if data == "auto":
        data = os.environ.get(ENVIRONMENT_VARIABLE) or dataset.name
    if data not in ("mnist", "synthetic"):
        data = _absolute(data)
    return {"data": data, "test_data": test_data and _absolute(test_data), "label": label}


def recorded_training(path: str | os.PathLike[str]) -> Training:
    """The Training of a run folder. Raises RunFolderError where there is none that can be read."""
    config = Path(path).expanduser() / CONFIG
    try:
        return Training.from_json(json.loads(config.read_text(encoding="utf-8"))["config"])
    except (OSError, ValueError, KeyError, TypeError) as problem:  # ConfigError is a ValueError
        got = problem.strerror if isinstance(problem, OSError) else str(problem) or type(problem).__name__
        raise RunFolderError(
            f"{config} must say how a net was trained", got, "name a folder that `fastmlp train` wrote"
        ) from None


def recorded_data(model: Path) -> dict[str, str | None]:
    """The ``data_arguments`` of the run that a model's file lies in; empty where there are none."""
    try:
        arguments = json.loads((model.parent / CONFIG).read_text(encoding="utf-8"))["arguments"]
        found = {name: arguments[name] for name in ("data", "test_data", "label")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    known = isinstance(found["data"], str) and all(
        value is None or isinstance(value, str) for value in found.values()
    )
    return found if known else {}


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


def _remove(folders: list[Path]) -> None:
    """Those that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())
