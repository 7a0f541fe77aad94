"""``fastmlp diagnose``: why a net does not train; findings and a verdict on stdout."""

from __future__ import annotations

import shlex
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from fastmlp.backends.threads import resolve
from fastmlp.errors import ConfigError, RunFolderError
from fastmlp.words.losses import Loss, checked_loss

from .asked import source_of
from .command import grouped
from .options import (
    DEFAULTS,
    OUTPUT,
    TRAINING,
    Json,
    PlainOptions,
    Quiet,
    SourceOptions,
    Threads,
    checked,
    fields_of,
    option,
    training_of,
)
from .streams import echo

if TYPE_CHECKING:
    from fastmlp.diagnosis.findings import Finding
    from fastmlp.diagnosis.report import Diagnosis

SECONDS = 20.0
_WIDTH, _INDENT = 100, 11


@grouped
def diagnose(
    training: PlainOptions,
    source: SourceOptions,
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN_FOLDER", help="Run whose training to diagnose."),
    ] = None,
    seconds: Annotated[
        float,
        option(TRAINING, "Seconds that its own trainings may take, about."),
    ] = SECONDS,
    threads: Threads = "auto",
    plot: Annotated[
        str | None,
        option(OUTPUT, "Draw a picture into this file: .png, .svg or .html.", metavar="FILE"),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find out why a net does not train.

    Measures the net before its first step, watches it train, and trains it again with each change that
    ought to help. Exit code 1 when a finding is severe: when it costs 5 % of accuracy, when the data hold
    nothing to learn, or when the net is no better than guessing and no change that was tried helps.

    Examples:
      fastmlp diagnose --act relu --scale 1
      fastmlp diagnose --data table.csv --label species --plot why.html
      fastmlp diagnose runs/long
    """
    setting, place, *_ = checked(
        lambda: training_of(training),
        lambda: source_of(source),
        lambda: resolve(threads),
        lambda: _check_alone(run, [*training, *source]),
        lambda: _check_picture(plot),
        lambda: _check_seconds(seconds),
    )

    from fastmlp.diagnosis.examine import examine
    from fastmlp.files import path_of
    from fastmlp.runs import CONFIG, find_model, load_model, recorded_data, recorded_training, strict_json
    from fastmlp.train.defaults import chosen, loss_of

    from .render import Screen

    screen = Screen(quiet=quiet)
    place = {"data": DEFAULTS["data"], **place}
    if run is not None:
        setting = recorded_training(run)
        if find_model(run).exists():
            load_model(run)  # raises an error unless the folder is of one run
        place |= recorded_data(path_of("a run folder", run, RunFolderError) / CONFIG)
    asked = (None, fields_of(training)) if run is None else (setting, {})
    if (loss := loss_of(*asked)) is not None:
        if run is not None and Loss.of(loss).task == "numbers":
            raise ConfigError(
                "a diagnosis must be of classes",
                f"a run of {loss} loss",
                f"see what its table holds: fastmlp data {shlex.quote(str(place['data']))}",
            )
        checked_loss(loss, "classes")
    data = screen.load(**place, loss=loss, seed=setting.seed)
    if loss is None and data.targets == "numbers":
        raise ConfigError(
            "a diagnosis must be of classes",
            f"{data.label or 'y'}, a quantity",
            "give --task classes if it is not",
        )
    setting, told = chosen(data, *asked)
    checked_loss(setting.loss, "classes")
    dataset = data.numeric()
    screen.describe(data, dataset)
    screen.say("net", str(setting.architecture(dataset.X.shape[1], len(dataset.classes))))
    screen.say("", setting.in_words())
    if told:
        screen.say("", told)
    screen.say_if_compiling("numba")
    found = examine(
        dataset.X, dataset.y, dataset.X_test, dataset.y_test, len(dataset.classes), setting,
        threads=threads, seconds=seconds, notify=lambda text: screen.say("", text),
        columns=dataset.columns,
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
    """Findings from the worst, a block each, and the verdict."""
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


def _check_alone(run: str | None, given: list[str]) -> None:
    """Raise ConfigError where a run folder, which has its own training and data, is given with others."""
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
