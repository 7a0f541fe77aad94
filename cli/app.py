"""The ``fastmlp`` command: its sub-commands and ``--version``. The entry is in __main__.py.

Loaded for ``--help`` and for completion: commands import the library only when they run.
"""

from __future__ import annotations

import warnings
from typing import Annotated

import typer

import fastmlp
from fastmlp.errors import in_short

from . import bench, data, diagnose, evaluate, info, predict, study, train, warmup
from .command import Command
from .failures import Boundary
from .streams import echo

app = typer.Typer(
    name="fastmlp",
    cls=Boundary,
    help="Train small multilayer perceptrons on a CPU, fast.",
    epilog="Exit codes: 0 fine, 1 failed or a severe finding, 2 wrong usage, 3 diverged, "
    "4 data missing or bad, 5 --min-accuracy not reached, 128 + N ended by signal N (130: Ctrl-C).",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for command in (
    train.train, diagnose.diagnose, study.study, evaluate.evaluate, predict.predict, data.data, info.info,
    warmup.warmup, bench.bench,
):  # fmt: skip
    app.command(cls=Command)(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        echo(f"fastmlp {fastmlp.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def run() -> int:
    """Run the command line, and return the exit code."""
    warnings.showwarning = _show_warning
    try:
        app(prog_name="fastmlp")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from .render import Screen

    Screen().notice(f"Warning: {' '.join(in_short(str(message)).split())}")
