"""``fastmlp train``: options to a Training, data to a run folder, epochs to the screen."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

from fastmlp.backends.threads import resolve
from fastmlp.checks import one_of, positive_number
from fastmlp.errors import ConfigError
from fastmlp.spec import BACKENDS, CHECKPOINT_SECONDS, DRIVERS, Training

from .command import grouped
from .ends import heard, held, whole
from .options import (
    DEFAULTS,
    LOSS,
    RUN,
    Backend,
    Driver,
    Json,
    Least,
    MinAccuracy,
    MinR2,
    Quiet,
    SourceOptions,
    Threads,
    TrainingOptions,
    checked,
    option,
    training_of,
)
from .streams import echo

if TYPE_CHECKING:
    from fastmlp.runs import RunFolder

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
            "--epochs may be higher.",
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

    Without options: 784-100-10 on MNIST, ReLU, pixels / 255, 15 epochs of plain SGD.

    Examples:
      fastmlp train --act relu --scale 255
      fastmlp train --data iris.csv --label species --scale 1 --hidden 64,32
      fastmlp train --data houses.csv --label price --loss squared --scale 1
      fastmlp train --hidden 512,512 --act relu,tanh --dropout 0.2 --batch-norm
      fastmlp train --optimizer adam --lr 0.001 --validation 0.1 --patience 3
      fastmlp train --epochs 100 --out runs/long
      fastmlp train --resume runs/long
    """
    started = time.perf_counter()
    with held(), ExitStack() as stack:  # a signal waits until what it would cut short is done
        begun, report, failure = None, None, None
        if resume is not None:
            from fastmlp.runs import RunFolder

            _check_no_folder(out)
            run = stack.enter_context(RunFolder.resume(resume))
            report = run.ended()
            if report is None or training or recorded:
                begun = run.begun()
        source: dict[str, Any] = {name: DEFAULTS.get(name) for name in RecordedOptions.__annotations__}
        if begun is not None:
            source |= {**begun.arguments, "backend": begun.identity.backend}
        source |= recorded
        backend = source.pop("backend")
        least = Least(min_accuracy, min_r2)
        setting, *_ = checked(
            lambda: training_of(training, begun.identity.training if begun else None),
            lambda: resolve(threads),
            lambda: one_of("driver", driver, DRIVERS),
            lambda: one_of("backend", backend, BACKENDS),
            least.check,
            lambda: positive_number("checkpoint-seconds", checkpoint_seconds, f"{CHECKPOINT_SECONDS:g}"),
        )  # fmt: skip
        least.check(setting.loss)

        from fastmlp.runs import RunFolder, strict_json

        from .render import Screen, figures

        screen = Screen(quiet=quiet)
        if resume is None:
            run = stack.enter_context(RunFolder.create(out, setting))
        elif begun is not None:
            begun.identity.goes_on_as(setting, backend).check(begun.identity, run.path)
            if setting != begun.identity.training or source.keys() & recorded:
                report = None
        if report is None:
            facts, failure = _train_into(
                run, source, setting, backend, driver, threads, checkpoint_seconds, resume is not None, screen
            )
            report = run.report(failure, setting.loss) | facts
            report["seconds_total"] = time.perf_counter() - started
            run.finish(report)
        else:
            screen.say("done", "nothing is left to do")
        screen.say("kept", f"in {run.path}")
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


def _weights(path: str | None, n: int) -> Any:
    """Weights of the n training rows, from a file; None without one. Raises DataError."""
    if path is None:
        return None
    from fastmlp.backends.checks import checked_weights
    from fastmlp.data import npy
    from fastmlp.files import path_of

    return checked_weights(npy.read(path_of("sample-weight", path)), n)


def _train_into(
    run: RunFolder,
    source: dict[str, Any],
    training: Training,
    backend: str,
    driver: str,
    threads: int | str,
    checkpoint_seconds: float,
    resumed: bool,
    screen: Screen,
) -> tuple[dict[str, Any], BaseException | None]:
    """Train into the folder and onto the screen; return facts for the summary, and a failure."""
    from fastmlp import DivergedError, Model, __version__, environment, fit
    from fastmlp.data.encode import look_at, walk_of
    from fastmlp.runs import absolute, data_arguments
    from fastmlp.train.checkpoint import Identity, sums_of
    from fastmlp.train.fit import prepared

    from .render import scale_note

    sample_weight = source.pop("sample_weight")
    with heard():
        dataset = prepared(screen.load(**source, loss=training.loss, seed=training.seed), training)
        weights = _weights(sample_weight, len(dataset.y))
    architecture = training.architecture(dataset.X.shape[1], dataset.outputs(training.loss))
    screen.describe(dataset)
    screen.say("net", f"{architecture}, {architecture.n_parameters:,} parameters")
    screen.say("", f"{training}")
    n_threads = resolve(threads)
    most = "up to " if threads == "auto" and n_threads > 1 else ""
    team = f"{most}{n_threads} thread{'s' * (n_threads > 1)}{', prange' * (driver == 'prange')}"
    walk = walk_of(look_at(dataset.X)[1])
    screen.say("with", backend if backend == "numpy" else f"{backend}, {team}, {walk}")
    if (note := scale_note(dataset, training.scale)) and not screen.quiet:
        screen.notice(note)
    facts = {
        "version": __version__,
        "config": training.to_json(),
        "seed": training.seed,
        "backend": backend,
        "threads": n_threads,
        "data": dataset.name,
        "data_source": dataset.source,
        "samples": {"train": len(dataset.y), "test": len(dataset.y_test)},
    }
    with heard():
        identity = Identity(training, backend, sums_of(dataset, weights))
        machine = environment.describe() | (environment.describe_compiler() if backend == "numba" else {})
    if resumed:
        run.restore(identity, machine)
        if len(run.epochs) < training.epochs:
            screen.say("from", f"epoch {len(run.epochs) + 1}")
    else:
        arguments = data_arguments(**source, dataset=dataset)
        arguments["sample_weight"] = sample_weight and absolute(sample_weight)
        run.begin({**facts, "arguments": arguments, **identity.to_json()}, machine)
    try:
        with (
            heard(),
            screen.training(architecture, len(dataset.y), training.epochs) as (on_epoch, on_progress),
        ):
            screen.say_if_compiling(backend, "run" if driver == "team" else driver)
            model, history = fit(
                dataset, training=training, backend=backend, threads=threads, driver=driver,
                sample_weight=weights, callbacks=(whole(run.record), on_epoch),
                progress=on_progress, checkpoint=run.checkpoints(checkpoint_seconds),
            )  # fmt: skip
        if history.best_epoch is not None:
            run.keep_best(model, history.best_epoch)
            screen.say("best", f"epoch {history.best_epoch}, whose weights are kept")
    except BaseException as failure:  # the caller raises it, after the folder has its summary
        if isinstance(failure, DivergedError) and isinstance(failure.model, Model) and not run.epochs:
            run.keep(failure.model)
        return facts, failure
    return facts, None
