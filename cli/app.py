"""The ``fastmlp`` command: its sub-commands, ``--version``, and the way in.

Loaded for ``--help`` and for completion: commands import the library when they run, not before.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import warnings
from typing import Annotated, NoReturn

import typer

import fastmlp

from . import bench, data, diagnose, evaluate, info, predict, study, train, warmup
from .failures import Boundary

app = typer.Typer(
    name="fastmlp",
    cls=Boundary,
    help="Train small multilayer perceptrons on a CPU, fast.",
    epilog="Exit codes: 0 fine, 1 cannot go on or a severe finding, 2 wrong usage, 3 diverged, "
    "4 data missing or bad, 5 --min-accuracy not reached, 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("train")(train.train)
app.command("diagnose")(diagnose.diagnose)
app.command("study")(study.study)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("data")(data.data)
app.command("info")(info.info)
app.command("warmup")(warmup.warmup)
app.command("bench")(bench.bench)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fastmlp {fastmlp.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """What the installed script calls."""
    warnings.showwarning = _show_warning
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what no encoding has
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="fastmlp")
    except SystemExit as end:
        if any(thread.name.startswith("fastmlp-") for thread in threading.enumerate()):
            _end_at_once(end.code)
        raise


def _end_at_once(code: object) -> NoReturn:
    """End while a thread still compiles: LLVM may crash in a process that takes itself down in order."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code if isinstance(code, int) else 1)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from .render import Screen

    Screen().notice(f"Warning: {message}")
