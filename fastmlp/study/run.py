"""study: train, measure, judge, draw and write; a study that was stopped resumes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastmlp import environment, pictures
from fastmlp.backends.threads import resolve
from fastmlp.checks import instance, reason_of
from fastmlp.data import Dataset
from fastmlp.data.table import Table
from fastmlp.errors import DataError, FastMLPError, RunFolderError
from fastmlp.files import path_of, write_whole
from fastmlp.runs import strict_json
from fastmlp.study import figures, measures
from fastmlp.study.claims import judge
from fastmlp.study.evidence import gather
from fastmlp.study.experiments import Plan
from fastmlp.study.page import page
from fastmlp.study.store import Record, Store, data_digest
from fastmlp.study.training import Progress, train_all

PAGE, REPORT, FIGURES = "report.html", "report.json", "figures"
FORMAT = 1


def study(
    data: Dataset,
    out: str | os.PathLike[str],
    plan: Plan | None = None,
    *,
    threads: int | str = "auto",
    command: str = "fastmlp study",
    progress: Progress = lambda work, all_work, nets, all_nets: None,
    notify: Callable[[str], object] = lambda text: None,
) -> dict[str, Any]:
    """Run the whole question on ``data``, write it into the folder ``out``, and return report.json.

    out: folder for nets.jsonl (a line a finished net, which a second call reuses), report.html,
         report.json and figures/*.svg.
    progress: see ``train_all``. notify: called with a line before each step other than trainings.

    Raises ConfigError (without matplotlib, before anything is trained), RunFolderError, DataError.
    """
    pictures.check("study")
    resolve(threads)
    plan = Plan() if plan is None else instance("plan", plan, Plan)
    instance("data", data, Dataset)
    if isinstance(data.X, Table):
        raise DataError("the study must be of pictures", "a table", "use data mnist or synthetic")
    if not len(data.y_test):
        raise DataError("data must have a test part", "none", "name another source")
    folder, digest = path_of("out", out, RunFolderError), data_digest(data)
    trainings = plan.trainings()
    with Store(folder, digest) as store:
        _make(folder / FIGURES)
        train_all(data, trainings, store, threads=threads, progress=progress)
        notify("measuring nets before their first step")
        start = measures.start(data, plan.pictures)
        notify("measuring curvature")
        curvatures = measures.curvatures(data, plan)
        notify("training by the scale law")
        law = measures.scale_law(data, plan.law_steps)

        def find(training: Any) -> Record:
            record = store.get(training)
            if record is None:
                raise FastMLPError(
                    "every net must be finished", f"none for {training.in_words()}", "run the study again"
                )
            return record

        evidence = gather(plan, find, start, curvatures, law, len(data.classes))
        seconds = sum(find(training).seconds for training in trainings)
        notify("drawing")
        nets = measures.portraits(data, plan.epochs, plan.images, threads)
        judgements = judge(evidence)
        report = {
            "format": FORMAT,
            "command": command,
            "nets": len(trainings),
            "seconds_training": seconds,
            "data": {"name": data.name, "source": data.source, "sha256": digest},
            "environment": environment.describe(),
            "plan": asdict(plan),
            "evidence": evidence,
            "judgements": [judgement.to_json() for judgement in judgements],
        }
        drawn = figures.draw_all(evidence, nets, data)
        _write(folder, report, page(report, judgements, drawn), drawn)
    return report


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
        if folder.is_symlink():
            raise OSError(errno.ELOOP, "a link")
    except OSError as error:
        raise RunFolderError(f"{folder} must be a folder", reason_of(error), "choose another place") from None


def _write(folder: Path, report: dict[str, Any], text: str, drawn: dict[str, str]) -> None:
    for name, svg in drawn.items():
        write_whole(folder / FIGURES / f"{name}.svg", pictures.alone(svg).encode())
    write_whole(folder / REPORT, (strict_json(report, indent=1) + "\n").encode())
    write_whole(folder / PAGE, text.encode(errors="backslashreplace"))  # a file's name may hold any byte
