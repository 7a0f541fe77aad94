"""The run folder: the files that one training leaves on disk.

    config.json        Training, where the data came from, backend and threads
    environment.json   versions and machine
    metrics.jsonl      a line per finished epoch
    folds.jsonl        a line per finished fold of a cross-validation, if there is one
    model.safetensors  the model after the last finished epoch, with its number
    checkpoint.safetensors  what the training needs to be resumed (train/checkpoint.py)
    summary.json       how it ended: the report that ``fastmlp train --json`` prints

Every file is written whole or left as it was. One run at a time has the folder (files/lock.py), and no link
in it is followed. Nothing here trains or prints.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from fastmlp.checks import as_whole, reason_of, shown
from fastmlp.data.arguments import read as arguments_of
from fastmlp.errors import ConfigError, DivergedError, FastMLPError, ModelError, RunFolderError
from fastmlp.files import (
    forget_prepared,
    is_folder,
    parse_json,
    path_of,
    prepared_for,
    read_bytes,
    read_json,
    sync_folder,
    write_whole,
)
from fastmlp.files.lines import add_line, cut
from fastmlp.files.lock import LOCK, FolderLock, all_but_lock
from fastmlp.model import Model
from fastmlp.spec import Training
from fastmlp.train import checkpoint
from fastmlp.train.checkpoint import CHECKPOINT, CheckpointFile, Identity
from fastmlp.train.folds import CrossValidation
from fastmlp.train.loop import Checkpoint, EpochResult
from fastmlp.train.scores import Scores
from fastmlp.words.layers import act_text
from fastmlp.words.losses import Loss
from fastmlp.words.scales import AUTO, scale_text

CONFIG, ENVIRONMENT, METRICS, FOLDS = "config.json", "environment.json", "metrics.jsonl", "folds.jsonl"
MODEL, SUMMARY = "model.safetensors", "summary.json"
_REPLACED = (CONFIG, ENVIRONMENT, MODEL, SUMMARY, CHECKPOINT)  # as whole files
_MOST_METRICS = 4 << 30  # bytes
HOME = Path("runs")  # of folders without a name of their own
_TRIES = 100


@dataclass(frozen=True)
class Begun:
    """Options that a run was begun with.

    arguments: where its data are (data/arguments.py), and sample_weight.
    folds: of its cross-validation; None without one.
    """

    identity: Identity
    arguments: dict[str, Any]
    folds: int | None = None


class RunFolder:
    """A folder into which a run is written as it goes. A context: without ``begin``, it leaves no trace.

    epochs: the finished epochs. best_epoch: the one whose model is kept, once ``keep_best`` was called.
    folds:  scores of the finished folds of a cross-validation, which come before the epochs.
    weights_sha256: of the model in the folder, None as long as there is none.
    """

    def __init__(self, path: Path, made: list[Path], lock: FolderLock) -> None:
        self.path = path
        self.epochs: list[EpochResult] = []
        self.folds: list[Scores] = []
        self.best_epoch: int | None = None
        self.weights_sha256: str | None = None
        self._made = made  # the folders that were not there, the innermost first
        self._lock = lock
        self._begun = False

    @classmethod
    def create(cls, path: str | os.PathLike[str] | None, training: Training) -> Self:
        """Make a folder, or take an empty one; None: a new one in ``runs/``, named after the run.

        Raises ConfigError for a file and for a folder that is not empty, RunFolderError for one that cannot
        be written.
        """
        if path is not None:
            return cls._make(path_of("the run folder", path, ConfigError))
        stamp = time.strftime("%Y%m%d-%H%M%S")
        act = act_text(training.act).replace(":", "")  # which no folder may have on Windows
        scale = "" if training.scale == AUTO else f"scale{scale_text(training.scale).split()[-1]}-"
        name = f"{stamp}-{act}-{scale}seed{training.seed}"
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
                with suppress(FileNotFoundError):  # a run that ends removes the folders it made
                    if _mkdir(path, exist_ok):
                        return cls(path, made, _claimed(path))
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        except BaseException as error:
            if isinstance(error, FileExistsError) and not exist_ok:
                raise  # another run's, perhaps made just now
            _remove(made)
            if not isinstance(error, OSError) or isinstance(error, RunFolderError):
                raise
            raise RunFolderError(
                f"{path} must be a folder that can be written",
                reason_of(error),
                "name another place, or change its permissions",
            ) from None

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> Self:
        """Open the folder of a run, however it ended. Raises RunFolderError, also where it is in use."""
        folder = path_of("a run folder", path, RunFolderError)
        recorded_training(folder)
        try:
            run = cls(folder, [], FolderLock(folder))
        except RunFolderError:
            raise
        except OSError as problem:
            raise RunFolderError(
                f"{folder} must be a folder that can be written", reason_of(problem), "change its permissions"
            ) from None
        forget_prepared(folder, *_REPLACED)
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if not self._begun:
            _remove(self._made)

    def begin(self, config: dict[str, Any], environment: dict[str, Any]) -> None:
        """Write the files of a new run. Raises RunFolderError, as the other writers do."""
        self._begun = True
        self._write(CONFIG, config)
        self._write(ENVIRONMENT, environment)

    def begun(self) -> Begun:
        """Read the options of the run from config.json. Raises RunFolderError."""
        path = self.path / CONFIG
        do = "name a run that this fastmlp began"
        config = read_json(path, RunFolderError, do=do)
        try:
            identity = Identity.from_json(config)
            arguments = arguments_of(config["arguments"]) | {
                "sample_weight": config["arguments"]["sample_weight"]
            }
            folds = config.get("folds")
        except (KeyError, TypeError, ConfigError) as problem:
            got = f"no {problem}" if isinstance(problem, KeyError) else reason_of(problem)
            raise RunFolderError(f"{path} must say how a run was begun", got, do) from None
        if not isinstance(arguments["sample_weight"] or "", str):
            raise RunFolderError(f"{path} must say where the data are", shown(arguments), do)
        if folds is not None and as_whole(folds) is None:
            raise RunFolderError(f"{path} must say how many folds there are", shown(folds), do)
        return Begun(identity, arguments, folds)

    def ended(self) -> dict[str, Any] | None:
        """The report of a finished run, whose model is in the folder; None for a run that may be resumed.

        Raises RunFolderError, ModelError.
        """
        path = self.path / SUMMARY
        if not os.path.lexists(path):
            return None
        report = read_json(path, RunFolderError, do="remove it to resume from the checkpoint")
        if not isinstance(report, dict) or report.get("status") != _status(None):
            return None
        load_model(self.path)
        return report | {"run_dir": str(self.path.absolute())}

    def restore(self, identity: Identity, environment: dict[str, Any]) -> None:
        """Put the folder back to where its checkpoint is, or to the beginning where there is none.

        Lines of epochs that the checkpoint holds keep their bytes; later ones, and the summary of an earlier
        end, are removed. Raises ConfigError and DataError for another training, and RunFolderError, before
        anything is changed.
        """
        begun = self.begun().identity
        identity.check(begun, self.path)
        found = self._checkpoint(identity)
        kept = found.epochs if found else []
        lines, there = b"".join(map(_line, kept)), self._metrics()
        if there[: len(lines)] != lines[: len(there)]:
            must = (
                f"{self.path / METRICS} must begin with the lines of the {len(kept)} epochs of {CHECKPOINT}"
            )
            raise RunFolderError(must, "others", "begin another run")
        self._begun = True
        self._delete(SUMMARY)
        if identity.training != begun.training:
            config = read_json(self.path / CONFIG, RunFolderError)
            self._write(CONFIG, config | {"config": identity.training.to_json()})
        if not (self.path / ENVIRONMENT).exists():
            self._write(ENVIRONMENT, environment)
        if not kept:
            self._delete(METRICS)
        elif len(there) > len(lines):
            cut(self.path / METRICS, len(lines))
        elif len(there) < len(lines):
            add_line(self.path / METRICS, lines[len(there) :], new=not there)
        self.epochs, self.folds = kept, self._finished_folds()
        if found is None or not kept:
            self._delete(MODEL)
        else:
            self._bring_model_to(found)
        sync_folder(self.path)

    def _checkpoint(self, identity: Identity) -> Checkpoint | None:
        """The checkpoint of that training, if there is one. Raises as ``restore`` does."""
        path = self.path / CHECKPOINT
        if os.path.lexists(path):
            owner, found = checkpoint.read(path)
            identity.check(owner, self.path)
            return found
        if self.ended():
            raise RunFolderError(f"{path} must be there to resume a finished run", "none", "begin another")
        return None

    def _bring_model_to(self, found: Checkpoint) -> None:
        epoch, digest = len(found.epochs), found.parameters.sha256()
        with suppress(ModelError):  # unreadable: it is written again at the end of the next epoch
            model = Model.load(self.path / MODEL)
            if (model.epoch, model.parameters.sha256()) == (epoch, digest):
                self.weights_sha256 = digest
            elif model.parameters.shapes == found.parameters.shapes:
                net = replace(model.net, parameters=found.parameters)
                self.keep(replace(model, net=net, epoch=epoch))

    def _metrics(self) -> bytes:
        path = self.path / METRICS
        try:
            return read_bytes(path, _MOST_METRICS) if os.path.lexists(path) else b""
        except OSError as problem:
            raise RunFolderError(f"{path} must be a file that can be read", reason_of(problem)) from None

    def _finished_folds(self) -> list[Scores]:
        path = self.path / FOLDS
        if not os.path.lexists(path):
            return []
        try:
            lines = read_bytes(path, _MOST_METRICS).splitlines()
            return [Scores.from_json(parse_json(line, str(path), RunFolderError)) for line in lines]
        except (OSError, ConfigError) as problem:
            raise RunFolderError(
                f"{path} must hold the scores of a fold a line", reason_of(problem), "begin another run"
            ) from None

    def record(self, result: EpochResult, model: Model) -> None:
        """Keep a finished epoch and the model after it: a callback for ``fit``.

        An epoch that the folder already has is skipped.
        """
        if result.epoch <= len(self.epochs):
            return
        self.keep(model)
        add_line(self.path / METRICS, _line(result), new=not self.epochs)
        self.epochs.append(result)

    def record_fold(self, scores: Scores) -> None:
        """Keep the scores of a finished fold."""
        add_line(self.path / FOLDS, _json_line(scores.to_json()), new=not self.folds)
        self.folds.append(scores)

    def checkpoints(self, seconds: float) -> CheckpointFile:
        """The checkpoint file, for ``fit``. Raises ConfigError."""
        return CheckpointFile(self.path, seconds)

    def keep(self, model: Model) -> None:
        """Write the model alone."""
        digest = model.parameters.sha256()
        model.save(self.path / MODEL)
        self.weights_sha256 = digest

    def keep_best(self, model: Model, epoch: int) -> None:
        """Keep the model of an earlier epoch, the best one."""
        self.keep(model)
        self.best_epoch = epoch

    def report(self, failure: BaseException | None = None, loss: str = "logits") -> dict[str, Any]:
        """Report on the run as plain data. failure: the exception that ended it early, if one did."""
        last = self.epochs[(self.best_epoch or 0) - 1] if self.epochs else None
        scores = ("test_r2", "test_mae") if Loss.of(loss).task == "numbers" else ("test_accuracy",)
        folds = CrossValidation(tuple(self.folds)).to_json()
        if failure is not None:  # no means of some folds
            folds = {"folds": folds["folds"]}
        return {
            "status": _status(failure),
            "error": str(failure) if isinstance(failure, Exception) else None,
            **{name: last and getattr(last, name) for name in (*scores, "test_loss")},
            "best_epoch": self.best_epoch,
            "epochs": [result.to_json() for result in self.epochs],
            "seconds_training": sum((result.seconds for result in self.epochs), 0.0),
            "weights_sha256": self.weights_sha256,
            "run_dir": str(self.path.absolute()),
            **(folds if self.folds else {}),
        }

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary, the last file."""
        self._write(SUMMARY, summary)

    def _delete(self, name: str) -> None:
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as problem:
            raise RunFolderError(f"{self.path / name} must be replaceable", reason_of(problem)) from None

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_whole(self.path / name, (strict_json(content, indent=2) + "\n").encode())


def _line(result: EpochResult) -> bytes:
    """Line of metrics.jsonl for an epoch."""
    return _json_line(result.to_json())


def _json_line(value: dict[str, Any]) -> bytes:
    return (strict_json(value) + "\n").encode()


def find_model(path: str | os.PathLike[str]) -> Path:
    """The model's file that ``path`` means: that file, or the one in that run folder."""
    path = path_of("a model", path, ModelError)
    return path / MODEL if is_folder(path) else path


def load_model(path: str | os.PathLike[str]) -> Model:
    """The model in the file that ``find_model`` finds. Raises ModelError, RunFolderError.

    In a run folder its sha256 must be the one in the summary, which a run that was killed does not have.
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


def load(path: str | os.PathLike[str]) -> Model:
    """Load a trained model: its file, or the folder of a run of ``fastmlp train``. Raises ModelError.

    A file of which a bit has changed is refused; so is a run's whose model is not that of its summary.
    """
    try:
        return load_model(path)
    except RunFolderError as problem:  # of the summary
        raise ModelError(problem.must, problem.got, problem.do) from None


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


def recorded_data(model: Path) -> dict[str, Any]:
    """The arguments of the data of the run that a model's file lies in; empty where there are none."""
    config = _config_beside(model)
    try:
        arguments = arguments_of(config.get("arguments"))
    except ConfigError:
        return {}
    return arguments if arguments["data"] is not None else {}


def recorded_folds(model: Path) -> int | None:
    """The folds of the run that a model's file lies in, whose model was trained on all rows; None without."""
    folds = _config_beside(model).get("folds")
    return folds if type(folds) is int else None


def _config_beside(model: Path) -> dict[str, Any]:
    try:
        config = read_json(model.parent / CONFIG, RunFolderError)
    except RunFolderError:
        return {}
    return config if isinstance(config, dict) else {}


def strict_json(value: Any, indent: int | None = None) -> str:
    """JSON that every parser accepts: a number that is not finite becomes null."""
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


def _mkdir(path: Path, exist_ok: bool) -> bool:
    """Make a folder; False where another run may be removing it. Raises ConfigError, OSError."""
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
    """Lock a folder that is empty but for what a kill left of a run before its first file.

    Raises ConfigError, RunFolderError, OSError.
    """
    if (others := all_but_lock(folder)) and not (folder / LOCK).is_file():
        raise _not_empty(folder, others)  # untouched
    lock = FolderLock(folder)  # that a run writes there is said before what the folder holds
    try:
        others = all_but_lock(folder)
        if not all(prepared_for(name) in (CONFIG, ENVIRONMENT) for name in others):
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
        "name another, or empty it" + ", or resume its run" * (CONFIG in names),
    )


def _remove(folders: list[Path]) -> None:
    """Remove the folders that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
