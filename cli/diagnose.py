"""``fastmlp diagnose``: why a training does not train; findings and a verdict on stdout."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastmlp.backends.threads import resolve
from fastmlp.errors import ConfigError, RunFolderError

from .options import (
    ACT,
    DEFAULT,
    HIDDEN,
    OUTPUT,
    TRAINING,
    Act,
    BatchSize,
    Center,
    Clip,
    Data,
    Epochs,
    Hidden,
    Init,
    Json,
    Label,
    LearningRate,
    Loss,
    Scale,
    Seed,
    TestData,
    Threads,
    checked,
    training_of,
)
from .streams import echo

if TYPE_CHECKING:
    from fastmlp.diagnosis.findings import Finding
    from fastmlp.diagnosis.report import Diagnosis

SECONDS = 20.0
_OF_A_RUN = (
    "act", "hidden", "scale", "center", "init", "lr", "batch_size", "epochs", "seed", "loss", "clip",
    "data", "test_data", "label",
)  # fmt: skip
_WIDTH, _INDENT = 100, 11


def diagnose(
    context: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN_FOLDER]", help="Diagnose the training of this run.", show_default=False),
    ] = None,
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
    seconds: Annotated[
        float, typer.Option(help="That its trainings may take, about.", rich_help_panel=TRAINING)
    ] = SECONDS,
    data: Data = "auto",
    test_data: TestData = None,
    label: Label = None,
    threads: Threads = "auto",
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A picture as well: .png, .svg or .html.", rich_help_panel=OUTPUT),
    ] = None,
    json: Json = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show the result only.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Find out why a net does not train.

    Measures the net before its first step, watches it train, and trains it again with each change that
    ought to help. Exit code 1 when a finding is severe: when it costs 5 % of accuracy, when the data hold
    nothing to learn, or when the net is no better than guessing and nothing that was tried helps.
    """
    training, *_ = checked(
        training_of(
            hidden=hidden, loss=loss, clip=clip, act=act, scale=scale, center=center, init=init, lr=lr,
            batch_size=batch_size, epochs=epochs, seed=seed,
        ),
        lambda: resolve(threads),
        lambda: _check_alone(context, run),
        lambda: _check_picture(plot),
        lambda: _check_seconds(seconds),
    )  # fmt: skip

    from fastmlp.data import load
    from fastmlp.diagnosis.examine import examine
    from fastmlp.files import path_of
    from fastmlp.runs import CONFIG, find_model, load_model, recorded_data, recorded_training, strict_json

    from .render import Screen, describe_dataset

    screen = Screen(quiet=quiet)
    source: dict[str, Any] = {"data": data, "test_data": test_data, "label": label}
    if run is not None:
        training = recorded_training(run)
        if find_model(run).exists():
            load_model(run)  # the folder tells of one run
        source |= recorded_data(path_of("a run folder", run, RunFolderError) / CONFIG)
    where = source.pop("data")
    with screen.downloads() as on_bytes:
        dataset = load(where, **source, seed=training.seed, notify=screen.notice, progress=on_bytes)
    screen.say("data", dataset.source)
    screen.say("", describe_dataset(dataset))
    screen.say("net", str(training.architecture(dataset.X.shape[1], len(dataset.classes))))
    screen.say("", f"{training}")
    screen.say_if_compiling("numba")
    found = examine(
        dataset.X, dataset.y, dataset.X_test, dataset.y_test, len(dataset.classes), training,
        threads=threads, seconds=seconds, notify=lambda text: screen.say("", text),
    )  # fmt: skip
    if plot is not None:
        from fastmlp.diagnosis.picture import save

        save(found, plot)
        screen.say("drawn", f"in {plot}")
    if json:
        report = found.to_json() | {"data": {"name": dataset.name, "source": dataset.source}}
        echo(strict_json(report))
    else:
        echo(*table(found))
    if found.severe:
        raise typer.Exit(1)


def table(found: Diagnosis) -> list[str]:
    """Findings, worst first, a block each; then the verdict."""
    lines: list[str] = []
    for finding in found.findings:
        lines += [*_block(finding), ""]
    return [*lines, *textwrap.wrap(f"Verdict: {found.verdict}", _WIDTH)]


def _block(finding: Finding) -> list[str]:
    rows = {
        finding.severity: finding.code,
        "  measured": finding.measured,
        "  healthy": finding.healthy,
        "  why": finding.why,
        "  change": finding.advice,
    }
    return [
        line
        for name, text in rows.items()
        for line in textwrap.wrap(
            text, _WIDTH, initial_indent=f"{name:<{_INDENT}}", subsequent_indent=" " * _INDENT
        )
    ]


def _check_alone(context: Any, run: str | None) -> None:
    """Raises ConfigError where a run folder, which has its own training and data, is given with others."""
    given = [name for name in _OF_A_RUN if context.get_parameter_source(name).name == "COMMANDLINE"]
    if run is not None and given:
        raise ConfigError(
            "options of the training and the data must be left out beside a run folder, which has its own",
            ", ".join(f"--{name.replace('_', '-')}" for name in given),
        )


def _check_picture(path: str | None) -> None:
    if path is not None:
        from fastmlp.diagnosis.picture import check

        check(path)


def _check_seconds(seconds: float) -> None:
    from fastmlp.checks import positive_number

    positive_number("seconds", seconds, f"{SECONDS:g}")
