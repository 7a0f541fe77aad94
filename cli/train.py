"""``fastmlp train``: options to a Training, data to a run folder, epochs to the screen."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastmlp.backends.threads import resolve
from fastmlp.checks import one_of, positive_number
from fastmlp.errors import ConfigError
from fastmlp.optimizers import PLAIN
from fastmlp.spec import BACKENDS, CHECKPOINT_SECONDS, DRIVERS, Training

from .ends import heard, held, whole
from .options import (
    ACT,
    DEFAULT,
    HIDDEN,
    OUTPUT,
    Act,
    Backend,
    BatchSize,
    Beta1,
    Beta2,
    Center,
    CheckpointSeconds,
    ClassWeight,
    Clip,
    Data,
    Driver,
    Epochs,
    Epsilon,
    Hidden,
    Init,
    Json,
    Label,
    LearningRate,
    Loss,
    MinAccuracy,
    Momentum,
    Nesterov,
    Optimizer,
    Patience,
    SampleWeight,
    Scale,
    Schedule,
    Seed,
    TestData,
    Threads,
    Validation,
    WeightDecay,
    checked,
    checked_share,
    demand,
    training_of,
)
from .streams import echo

if TYPE_CHECKING:
    from fastmlp.runs import RunFolder

    from .render import Screen


def train(
    context: typer.Context,
    act: Act = ACT,
    hidden: Hidden = HIDDEN,
    scale: Scale = DEFAULT.scale,
    center: Center = DEFAULT.center,
    init: Init = DEFAULT.init,
    lr: LearningRate = DEFAULT.lr,
    batch_size: BatchSize = DEFAULT.batch_size,
    epochs: Epochs = DEFAULT.epochs,
    seed: Seed = DEFAULT.seed,
    loss: Loss = None,
    clip: Clip = None,
    optimizer: Optimizer = PLAIN.name,
    momentum: Momentum = PLAIN.momentum,
    nesterov: Nesterov = PLAIN.nesterov,
    beta1: Beta1 = PLAIN.beta1,
    beta2: Beta2 = PLAIN.beta2,
    epsilon: Epsilon = PLAIN.epsilon,
    weight_decay: WeightDecay = PLAIN.weight_decay,
    schedule: Schedule = DEFAULT.schedule,
    validation: Validation = DEFAULT.validation,
    patience: Patience = DEFAULT.patience,
    class_weight: ClassWeight = None,
    sample_weight: SampleWeight = None,
    data: Data = "auto",
    test_data: TestData = None,
    label: Label = None,
    threads: Threads = "auto",
    driver: Driver = DRIVERS[0],
    backend: Backend = BACKENDS[0],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Run folder, new or empty. Default: a new one in runs/.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Go on with the run in that folder, to the same bytes, however it ended; no other option "
            "is needed. --epochs may be more.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    checkpoint_seconds: CheckpointSeconds = CHECKPOINT_SECONDS,
    min_accuracy: MinAccuracy = None,
    json: Json = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show the result only.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Train a net and keep it in a run folder.

    Without options: 784-100-10 on MNIST, ReLU, pixels / 255, 15 epochs of plain SGD.
    """
    started = time.perf_counter()
    options: dict[str, Any] = {
        "hidden": hidden, "loss": loss, "clip": clip, "act": act, "scale": scale, "center": center,
        "init": init, "lr": lr, "batch_size": batch_size, "epochs": epochs, "seed": seed,
        "optimizer": optimizer, "momentum": momentum, "nesterov": nesterov, "beta1": beta1, "beta2": beta2,
        "epsilon": epsilon, "weight_decay": weight_decay, "schedule": schedule, "validation": validation,
        "patience": patience, "class_weight": class_weight,
    }  # fmt: skip
    source: dict[str, Any] = {
        "data": data, "test_data": test_data, "label": label, "sample_weight": sample_weight,
    }  # fmt: skip
    decided = {name for name in (*options, *source, "backend") if _is_given(context, name)}
    with held(), ExitStack() as stack:  # what a signal ends is brought to its end
        begun, report, failure = None, None, None
        if resume is not None:
            from fastmlp.runs import RunFolder

            _check_no_folder(out)
            run = stack.enter_context(RunFolder.resume(resume))
            report = run.ended()
            if report is None or decided:
                begun = run.begun()
                options = _as_begun(options, begun.identity.training.to_json() | {"clip": None}, decided)
                source = _as_begun(source, begun.arguments, decided)
                backend = backend if "backend" in decided else begun.identity.backend
        training, *_ = checked(
            training_of(**options),
            lambda: resolve(threads),
            lambda: one_of("driver", driver, DRIVERS),
            lambda: one_of("backend", backend, BACKENDS),
            lambda: checked_share("min-accuracy", min_accuracy),
            lambda: positive_number("checkpoint-seconds", checkpoint_seconds, f"{CHECKPOINT_SECONDS:g}"),
        )  # fmt: skip

        from fastmlp.runs import RunFolder, strict_json

        from .render import Screen

        screen = Screen(quiet=quiet)
        if resume is None:
            run = stack.enter_context(RunFolder.create(out, training))
        elif begun is not None:
            begun.identity.goes_on_as(training, backend).check(begun.identity, run.path)
            if training != begun.identity.training or decided & {*source}:
                report = None
        if report is None:
            facts, failure = _train_into(
                run,
                source,
                training,
                backend,
                driver,
                threads,
                checkpoint_seconds,
                resume is not None,
                screen,
            )
            report = {**run.report(failure), **facts, "seconds_total": time.perf_counter() - started}
            run.finish(report)
        else:
            screen.say("done", "nothing is left to do")
        screen.say("kept", f"in {run.path}")
    if json:
        echo(strict_json(report))
    if failure is not None:
        raise failure
    if not json:
        echo(f"Test accuracy: {report['test_accuracy']:.4f}")
    demand(report["test_accuracy"], min_accuracy)


def _is_given(context: Any, name: str) -> bool:
    """Whether the command line has that option."""
    return bool(context.get_parameter_source(name).name == "COMMANDLINE")


def _check_no_folder(out: str | None) -> None:
    if out is not None:
        raise ConfigError("out must be left out beside resume, which names the run folder", f"--out {out}")


def _as_begun(options: dict[str, Any], begun: dict[str, Any], given: set[str]) -> dict[str, Any]:
    """The options of a run, but for those that are given."""
    chosen = {name: value if name in given else begun[name] for name, value in options.items()}
    if "clip" in given and "loss" not in given:
        chosen["loss"] = None  # it is another word for it
    return chosen


def _weights(path: str | None, n: int) -> Any:
    """Of the n training rows, from a file; None without one. Raises DataError."""
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
    """Train into the folder and onto the screen; what to tell of it, and what ended it early."""
    from fastmlp import DivergedError, Model, __version__, environment, fit
    from fastmlp.data import load
    from fastmlp.data.encode import look_at, walk_of
    from fastmlp.runs import absolute, data_arguments
    from fastmlp.train.checkpoint import Identity, sums_of

    from .render import describe_dataset, scale_note

    data, test_data, label, sample_weight = source.values()
    with heard(), screen.downloads() as on_bytes:
        dataset = load(
            data,
            test_data=test_data,
            label=label,
            seed=training.seed,
            notify=screen.notice,
            progress=on_bytes,
        )
        weights = _weights(sample_weight, len(dataset.y))
    architecture = training.architecture(dataset.X.shape[1], len(dataset.classes))
    screen.say("data", dataset.source)
    screen.say("", describe_dataset(dataset))
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
        run.go_on(identity, machine)
        if len(run.epochs) < training.epochs:
            screen.say("from", f"epoch {len(run.epochs) + 1}")
    else:
        arguments = data_arguments(data, test_data, label, dataset)
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
            run.settle(model, history.best_epoch)
            screen.say("best", f"epoch {history.best_epoch}, whose weights are kept")
    except BaseException as failure:  # the caller raises it, after the folder has its summary
        if isinstance(failure, DivergedError) and isinstance(failure.model, Model) and not run.epochs:
            run.keep(failure.model)
        return facts, failure
    return facts, None
