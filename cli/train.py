"""``fastmlp train``: options to a Training, data to a run folder, epochs to the screen."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastmlp.checks import one_of
from fastmlp.config import BACKENDS, DRIVERS, Training
from fastmlp.cores import resolve

from .options import (
    DEFAULT,
    HIDDEN,
    OUTPUT,
    Act,
    Backend,
    BatchSize,
    Beta1,
    Beta2,
    Center,
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

if TYPE_CHECKING:
    from fastmlp.data import Dataset
    from fastmlp.runs import RunFolder

    from .render import Screen


def train(
    act: Act = DEFAULT.act,
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
    optimizer: Optimizer = DEFAULT.optimizer,
    momentum: Momentum = DEFAULT.momentum,
    nesterov: Nesterov = DEFAULT.nesterov,
    beta1: Beta1 = DEFAULT.beta1,
    beta2: Beta2 = DEFAULT.beta2,
    epsilon: Epsilon = DEFAULT.epsilon,
    weight_decay: WeightDecay = DEFAULT.weight_decay,
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
    training, *_ = checked(
        training_of(
            hidden=hidden, loss=loss, clip=clip, act=act, scale=scale, center=center, init=init, lr=lr,
            batch_size=batch_size, epochs=epochs, seed=seed, optimizer=optimizer, momentum=momentum,
            nesterov=nesterov, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=weight_decay,
            schedule=schedule, validation=validation, patience=patience, class_weight=class_weight,
        ),
        lambda: resolve(threads),
        lambda: one_of("driver", driver, DRIVERS),
        lambda: one_of("backend", backend, BACKENDS),
        lambda: checked_share("min-accuracy", min_accuracy),
    )  # fmt: skip

    from fastmlp.data import load
    from fastmlp.runs import RunFolder, absolute, data_arguments, strict_json

    from .render import Screen

    screen = Screen(quiet=quiet)
    with RunFolder.create(out, training) as run:
        with screen.downloads() as on_bytes:
            dataset = load(
                data, test_data=test_data, label=label, seed=seed, notify=screen.notice, progress=on_bytes
            )
        weights = _weights(sample_weight, len(dataset.y))
        arguments = data_arguments(data, test_data, label, dataset)
        arguments["sample_weight"] = sample_weight and absolute(sample_weight)
        facts, failure = _train_into(
            run, dataset, weights, arguments, training, backend, driver, threads, screen
        )
        report = {**run.report(failure), **facts, "seconds_total": time.perf_counter() - started}
        run.finish(report)
        screen.say("kept", f"in {run.path}")
    if json:
        typer.echo(strict_json(report))
    if failure is not None:
        raise failure
    if not json:
        typer.echo(f"Test accuracy: {report['test_accuracy']:.4f}")
    demand(report["test_accuracy"], min_accuracy)


def _weights(path: str | None, n: int) -> Any:
    """Of the n training rows, from a file; None without one. Raises DataError."""
    if path is None:
        return None
    from fastmlp.arguments import checked_weights
    from fastmlp.data import npy
    from fastmlp.files import path_of

    return checked_weights(npy.read(path_of("sample-weight", path)), n)


def _train_into(
    run: RunFolder,
    dataset: Dataset,
    weights: Any,
    arguments: dict[str, str | None],
    training: Training,
    backend: str,
    driver: str,
    threads: int | str,
    screen: Screen,
) -> tuple[dict[str, Any], BaseException | None]:
    """Train into the folder and onto the screen; what to tell of it, and what ended it early."""
    import numpy as np

    from fastmlp import DivergedError, Model, __version__, environment, fit
    from fastmlp.data.encode import look_at, walk_of

    from .render import describe_dataset, scale_note

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
    run.begin(
        {**facts, "arguments": arguments},
        environment.describe() | (environment.describe_compiler() if backend == "numba" else {}),
    )
    classes = np.asarray(dataset.classes)
    try:
        screen.say_if_compiling(backend, "run" if driver == "team" else driver)
        with screen.training(architecture, len(dataset.y), training.epochs) as (on_epoch, on_progress):
            model, history = fit(
                dataset.X, classes[dataset.y], **asdict(training), backend=backend, threads=threads,
                driver=driver, test_data=(dataset.X_test, classes[dataset.y_test]), sample_weight=weights,
                callbacks=(run.record, on_epoch), progress=on_progress,
            )  # fmt: skip
        if history.best_epoch is not None:
            run.settle(model, history.best_epoch)
            screen.say("best", f"epoch {history.best_epoch}, whose weights are kept")
    except BaseException as failure:  # the caller raises it, after the folder has its summary
        if isinstance(failure, DivergedError) and isinstance(failure.model, Model) and not run.epochs:
            run.keep(failure.model)
        return facts, failure
    return facts, None
