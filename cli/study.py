"""``fastmlp study``: all experiments of the question behind the project, reported as a page and as data."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated

from fastmlp.backends.threads import resolve

from .options import OUTPUT, TRAINING, Data, Json, Quiet, Threads, checked, option
from .streams import echo

OUT, SEEDS = "study", 200


def study(
    seeds: Annotated[
        int,
        option(
            TRAINING,
            "Nets of ReLU on raw pixels, and half as many with the loss keras2; the other settings have 20.",
        ),
    ] = SEEDS,
    quick: Annotated[bool, option(TRAINING, "Take few seeds and a coarse grid.", "--quick")] = False,
    data: Data = "auto",
    threads: Threads = "auto",
    out: Annotated[str, option(OUTPUT, "Folder to write the report into.", metavar="FOLDER")] = OUT,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole question: ReLU or sigmoid on MNIST, and why.

    Writes report.html, report.json and figures/*.svg. Finished nets are kept: after Ctrl-C, the same
    command resumes. Needs the extra "plot".

    Examples:
      fastmlp study --quick
      fastmlp study --out study --seeds 200
    """
    from fastmlp import pictures
    from fastmlp.study.experiments import Plan
    from fastmlp.study.experiments import quick as short

    _, plan, _ = checked(
        lambda: pictures.check("study"),
        lambda: short(seeds) if quick else Plan(seeds=seeds),
        lambda: resolve(threads),
    )

    from fastmlp.runs import strict_json
    from fastmlp.study import run

    from .render import Screen

    screen = Screen(quiet=quiet)
    dataset = screen.load(data)
    screen.describe(dataset)
    screen.say_if_compiling("numba")
    given = (
        ["--quick"] * quick + ["--seeds", str(seeds)] * (seeds != SEEDS) + ["--data", data] * (data != "auto")
    )
    started = time.perf_counter()
    with screen.nets() as on_nets:
        report = run.study(
            dataset, out, plan, threads=threads, progress=on_nets, notify=lambda text: screen.say("", text),
            command=shlex.join(["fastmlp", "study", *given]),
        )  # fmt: skip
    screen.say("done", f"in {time.perf_counter() - started:.0f} s")
    if json:
        echo(strict_json(report))
        return
    width = max(len(judgement["verdict"]) for judgement in report["judgements"])
    for judgement in report["judgements"]:
        echo(f"{judgement['verdict']:<{width}}  {judgement['who']}: {judgement['said']}")
    echo(f"Report: {Path(out).expanduser() / run.PAGE}")
