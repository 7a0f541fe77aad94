"""``fastmlp train``: options to a Training, data to a run folder, epochs to the screen."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastmlp.backends.threads import resolve
from fastmlp.checks import one_of, positive_number, whole_number
from fastmlp.errors import ConfigError
from fastmlp.spec import BACKENDS, CHECKPOINT_SECONDS, DRIVERS, Training
from fastmlp.words.losses import Loss

from .asked import Least, source_of
from .command import grouped
from .ends import heard, held, whole
from .options import (
    DEFAULTS,
    LISTS,
    LOSS,
    RUN,
    TRAINING,
    Backend,
    Driver,
    Json,
    MinAccuracy,
    MinR2,
    Quiet,
    SourceOptions,
    Threads,
    TrainingOptions,
    checked,
    fields_of,
    option,
    training_of,
)
from .streams import echo

if TYPE_CHECKING:
    from fastmlp.data import Dataset
    from fastmlp.runs import Begun, RunFolder
    from fastmlp.train.scores import Scores

    from .render import Screen


class RecordedOptions(SourceOptions, total=False):
    """Options that a run folder records beside the Training."""

    sample_weight: Annotated[
        str | None,
        option(LOSS, "File with the weight of each training row.", metavar="FILE.npy"),
    ]
    backend: Backend


@grouped
def train(
    training: TrainingOptions,
    recorded: RecordedOptions,
    folds: Annotated[
        int | None,
        option(
            TRAINING,
            "Cross-validate first: train N times, each time testing on another N-th of the rows, and show "
            "mean and spread. The model that is kept is then trained on all rows.",
            metavar="N",
        ),
    ] = None,
    threads: Threads = "auto",
    driver: Driver = DRIVERS[0],
    out: Annotated[
        str | None,
        option(RUN, "Folder to write, new or empty. Default: a new one in runs/.", metavar="FOLDER"),
    ] = None,
    resume: Annotated[
        str | None,
        option(
            RUN,
            "Resume the run in this folder, however it ended, to the same bytes. No other option is needed; "
            "--epochs may be higher, but not of a run with folds.",
            metavar="FOLDER",
        ),
    ] = None,
    checkpoint_seconds: Annotated[
        float,
        option(
            RUN,
            "Seconds between two checkpoints within an epoch; after epochs, at most one is written a second.",
        ),
    ] = CHECKPOINT_SECONDS,
    min_accuracy: MinAccuracy = None,
    min_r2: MinR2 = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a net and keep it in a run folder.

    Without options: 784-100-10 on MNIST, ReLU, pixels / 255, 15 epochs of plain SGD. Of a table the label and
    what it holds are found, columns are prepared by their kinds and standardised, and Adam trains 200 epochs,
    or until rows held out get no better where there are over 1,000.

    Examples:
      fastmlp train --act relu --scale 255
      fastmlp train --data iris.csv
      fastmlp train --data table.csv --label class --hidden 32,16 --folds 5
      fastmlp train --data houses.csv --label price --task numbers --drop id,date
      fastmlp train --hidden 512,512 --act relu,tanh --dropout 0.2 --batch-norm
      fastmlp train --optimizer adam --lr 0.001 --validation 0.1 --patience 3
      fastmlp train --epochs 100 --out runs/long
      fastmlp train --resume runs/long
    """
    started = time.perf_counter()
    with held(), ExitStack() as stack:  # a signal waits until what it would cut short is done
        begun, report, failure, scores = None, None, None, None
        if resume is not None:
            from fastmlp.runs import RunFolder

            _check_no_folder(out)
            run = stack.enter_context(RunFolder.resume(resume))
            report = run.ended()
            if report is None or training or recorded or folds is not None:
                begun = run.begun()
        source: dict[str, Any] = {name: DEFAULTS.get(name) for name in RecordedOptions.__annotations__}
        source |= dict.fromkeys(LISTS, ())
        if begun is not None:
            source |= {**begun.arguments, "backend": begun.identity.backend}
        least = Least(min_accuracy, min_r2)
        setting, given, *_ = checked(
            lambda: training_of(training, begun.identity.training if begun else None),
            lambda: source_of(recorded),
            lambda: resolve(threads),
            lambda: one_of("driver", driver, DRIVERS),
            lambda: one_of("backend", recorded.get("backend", source["backend"]), BACKENDS),
            least.check,
            lambda: positive_number("checkpoint-seconds", checkpoint_seconds, f"{CHECKPOINT_SECONDS:g}"),
            lambda: _check_folds(folds, recorded),
        )  # fmt: skip
        source |= given
        backend = source.pop("backend")
        if begun is not None or "loss" in fields_of(training):
            least.check(setting.loss)

        from fastmlp.runs import RunFolder, strict_json

        from .render import Screen, figures

        screen = Screen(quiet=quiet)
        asked: tuple[Training | None, dict[str, Any]] = (None, fields_of(training))
        if resume is None:
            run = stack.enter_context(RunFolder.create(out, setting))
        elif begun is not None:
            begun.identity.goes_on_as(setting, backend).check(begun.identity, run.path)
            folds, asked = _folds_of(begun, folds, setting), (setting, {})
            if setting != begun.identity.training or source.keys() & recorded:
                report = None
        if report is None:
            job = _Job(run, source, asked, folds, backend, driver, threads, least, resume is not None, screen)
            facts, scores, failure = job.train(checkpoint_seconds)
            loss = facts["config"]["loss"]
            report = {**_scored(scores, loss), **run.report(failure, loss), **facts}
            report["seconds_total"] = time.perf_counter() - started
            run.finish(report)
        else:
            screen.say("done", "nothing is left to do")
        screen.say("kept", f"in {run.path}")
        if scores is not None:
            screen.score(scores, report["config"]["loss"], str(run.path), source["data"])
    if json:
        echo(strict_json(report))
    if failure is not None:
        raise failure
    if not json:
        echo(*figures(report))
    least.demand(report.get("test_accuracy"), report.get("test_r2"))


def _check_no_folder(out: str | None) -> None:
    if out is not None:
        raise ConfigError("out must be left out beside resume, which names the run folder", f"--out {out}")


def _check_folds(folds: int | None, recorded: RecordedOptions) -> None:
    if folds is None:
        return
    whole_number("folds", folds, 2, 1_000_000)
    if "test_data" in recorded:
        raise ConfigError(
            "test-data must be left out beside folds, which are the test parts", recorded["test_data"],
            "use one of the two",
        )  # fmt: skip


def _folds_of(begun: Begun, folds: int | None, setting: Training) -> int | None:
    """The folds of a run that is resumed. Raises ConfigError where it was begun with others."""
    if folds is not None and folds != begun.folds:
        raise ConfigError(
            "a run must be resumed with the options it was begun with",
            f"folds {folds} instead of {begun.folds or 'none'}",
            "leave --folds out, or begin another run",
        )
    if begun.folds and setting.epochs != begun.identity.training.epochs:
        raise ConfigError(
            "epochs must stay as they were in a run with folds, whose scores are theirs",
            f"{setting.epochs} instead of {begun.identity.training.epochs}",
            "begin another run",
        )
    return begun.folds


def _warn(dataset: Dataset, ready: Dataset, screen: Screen) -> None:
    """Show what alone gives the label of a table: a score would mean nothing."""
    if ready.columns is None or dataset.label is None or screen.quiet:
        return
    from dataclasses import replace

    from fastmlp.data.auditing.call import severe
    from fastmlp.data.tables import column_of

    used = {code.name for code in ready.columns.codes if code.width}
    y = dataset.as_given(dataset.y)
    label = column_of(dataset.label, y.reshape(-1), dataset.source)
    columns = [column for column in dataset.X.columns if column.name in used]
    table = replace(dataset.X, columns=(*columns, label))
    for line in severe(table, dataset.label, "numbers" if dataset.targets == "numbers" else "classes"):
        screen.notice(f"Warning: {line}.")


def _scored(scores: Scores | None, loss: str) -> dict[str, Any]:
    """The report's part about the scores; they are None of a training that did not end."""
    told: dict[str, Any] = {"scores": scores and scores.to_json()}
    if Loss.of(loss).task == "numbers":
        return told | {"test_rmse": scores and scores.root_mean_squared_error}
    return told | {"test_log_loss": scores and scores.log_loss}


def _weights(path: str | None, n: int) -> Any:
    """Weights of the n training rows, from a file; None without one. Raises DataError."""
    if path is None:
        return None
    from fastmlp.backends.checks import checked_weights
    from fastmlp.data import npy
    from fastmlp.files import path_of

    return checked_weights(npy.read(path_of("sample-weight", path)), n)


@dataclass
class _Job:
    """A training into a folder and onto the screen."""

    run: RunFolder
    source: dict[str, Any]
    asked: tuple[Training | None, dict[str, Any]]
    folds: int | None
    backend: str
    driver: str
    threads: int | str
    least: Least
    resumed: bool
    screen: Screen

    def train(self, checkpoint_seconds: float) -> tuple[dict[str, Any], Scores | None, BaseException | None]:
        """Train; return facts for the summary, the scores, and a failure."""
        from fastmlp import DivergedError, Model, __version__, fit
        from fastmlp.data.split import fold_rows
        from fastmlp.train.defaults import chosen, loss_of
        from fastmlp.train.fit import prepared
        from fastmlp.train.scores import Scores

        run, screen, source = self.run, self.screen, self.source
        sample_weight = source.pop("sample_weight")
        with heard():
            seed = self.asked[1].get("seed", Training.seed) if self.asked[0] is None else self.asked[0].seed
            dataset = screen.load(**source, loss=loss_of(*self.asked), seed=seed, hold_out=not self.folds)
            training, told = chosen(dataset, *self.asked)
            self.least.check(training.loss)
            weights = _weights(sample_weight, len(dataset.y))
            if self.folds:
                next(fold_rows(dataset, self.folds, training.seed))  # DataError where there are too few rows
            ready = prepared(dataset, training)
        architecture = training.architecture(ready.X.shape[1], ready.outputs(training.loss))
        screen.describe(dataset, ready)
        screen.say("net", f"{architecture}, {architecture.n_parameters:,} parameters")
        screen.say("", training.in_words())
        if told:
            screen.say("", told)
        screen.say("with", self._means(ready))
        screen.note_scale(ready, training.scale)
        _warn(dataset, ready, screen)
        facts = {
            "version": __version__,
            "config": training.to_json(),
            "seed": training.seed,
            "backend": self.backend,
            "threads": resolve(self.threads),
            "data": dataset.name,
            "data_source": dataset.source,
            "samples": {"train": len(dataset.y), "test": len(dataset.y_test)},
        }
        self._begin(facts, training, ready, weights, sample_weight)
        words: dict[str, Any] = {"threads": self.threads, "driver": self.driver, "backend": self.backend}
        scores, is_last = None, not self.folds
        try:
            screen.say_if_compiling(self.backend, "run" if self.driver == "team" else self.driver)
            if self.folds:
                with heard():
                    scores = self._cross_validate(dataset, training, weights, words)
                is_last = True
            with (
                heard(),
                screen.training(architecture, len(dataset.y), training.epochs) as (on_epoch, on_progress),
            ):
                model, history = fit(
                    ready, training=training, sample_weight=weights, **words,
                    callbacks=(whole(run.record), on_epoch), progress=on_progress,
                    checkpoint=run.checkpoints(checkpoint_seconds),
                )  # fmt: skip
            if history.best_epoch is not None:
                run.keep_best(model, history.best_epoch)
                screen.say("best", f"epoch {history.best_epoch}, whose weights are kept")
            if scores is None and len(dataset.y_test):
                with heard():
                    y = dataset.as_given(dataset.y_test)
                    scores = Scores.of(model, dataset.X_test, y, threads=self.threads)
        except BaseException as failure:  # the caller raises it, after the folder has its summary
            begun = is_last and not run.epochs
            if begun and isinstance(failure, DivergedError) and isinstance(failure.model, Model):
                run.keep(failure.model)
            return facts, None, failure
        return facts, scores, None

    def _means(self, ready: Dataset) -> str:
        """Words for what computes."""
        from fastmlp.data.encode import look_at, walk_of

        if self.backend == "numpy":
            return self.backend
        n = resolve(self.threads)
        most = "up to " if self.threads == "auto" and n > 1 else ""
        team = f"{most}{n} thread{'s' * (n > 1)}{', prange' * (self.driver == 'prange')}"
        return f"{self.backend}, {team}, {walk_of(look_at(ready.X)[1])}"

    def _begin(
        self,
        facts: dict[str, Any],
        training: Training,
        ready: Dataset,
        weights: Any,
        sample_weight: str | None,
    ) -> None:
        """Begin the folder, or put it back to where its checkpoint is."""
        from fastmlp import environment
        from fastmlp.data import arguments
        from fastmlp.train.checkpoint import Identity, sums_of

        run, compiles = self.run, self.backend == "numba"
        with heard():
            identity = Identity(training, self.backend, sums_of(ready, weights))
            machine = environment.describe() | (environment.describe_compiler() if compiles else {})
        if self.resumed:
            run.restore(identity, machine)
            if len(run.epochs) < training.epochs and (run.epochs or not self.folds):
                self.screen.say("from", f"epoch {len(run.epochs) + 1}")
            return
        given = arguments.recorded(ready, **self.source)
        given["sample_weight"] = sample_weight and arguments.absolute(sample_weight)
        folds = {"folds": self.folds} if self.folds else {}
        run.begin({**facts, "arguments": given, **folds, **identity.to_json()}, machine)

    def _cross_validate(
        self, dataset: Dataset, training: Training, weights: Any, words: dict[str, Any]
    ) -> Scores:
        """The scores of all rows, each predicted by a net that has not seen it."""
        from fastmlp.train.folds import cross_validate

        n = self.folds or 0
        with self.screen.folds(n, training.epochs, self.run.folds) as (on_fold, on_epoch):

            def keep(k: int, scores: Scores) -> None:
                self.run.record_fold(scores)
                on_fold(k, scores)

            found = cross_validate(
                dataset, training, n, **words, sample_weight=weights, done=tuple(self.run.folds),
                on_fold=whole(keep), callbacks=(on_epoch,),
            )  # fmt: skip
        self.screen.say("model", "trained on all rows, as it is kept")
        return found.together
