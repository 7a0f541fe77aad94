"""Rounds: every contender trains in turns, and each time that is measured is kept."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastmlp.benchmark import LEAST_ROUNDS
from fastmlp.benchmark.contenders import Contender
from fastmlp.benchmark.process import Process, WorkerError
from fastmlp.benchmark.task import Task
from fastmlp.checks import whole_number
from fastmlp.errors import ConfigError
from fastmlp.random import permutation

PAUSE = 0.3  # seconds before each turn: threads of BLAS and OpenMP spin for up to 0.2 s after work
TRIALS = range(2, 4)  # epochs by which the number of threads is chosen, after one that warms up
PATIENCE = 300.0  # seconds that a reply may take, imports and compiling included

Notify = Callable[[str], object]


@dataclass
class Entry:
    """Result of a contender: its seconds, one a round, or why it failed."""

    contender: Contender
    threads: int
    trials: dict[int, float] = field(default_factory=dict)  # number of threads tried -> seconds
    seconds: list[float] = field(default_factory=list)
    accuracy: float | None = None
    failure: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return {
            "name": self.contender.name,
            "label": self.contender.label,
            "threads": self.threads,
            "options": self.contender.options,
            "seconds_tried": self.trials,
            "seconds": self.seconds,
            "test_accuracy": self.accuracy,
            "failure": self.failure or None,
        }


def compare(
    task: Task,
    contenders: Sequence[Contender],
    *,
    rounds: int = LEAST_ROUNDS,
    seed: int = 0,
    pause: float = PAUSE,
    patience: float = PATIENCE,
    notify: Notify = lambda text: None,
) -> list[Entry]:
    """Let every contender train the task for ``rounds`` turns, one at a time, in a new random order a round.

    A turn is two epochs, of which the second counts: the first wakes threads and caches after a pause, as
    earlier epochs do in a training. Each contender has a process of its own, and trains three epochs before
    the first round. One that fails has an entry that says why. The processes end with this call, however it
    ends.
    """
    whole_number("rounds", rounds, 1, 10_000)
    if not contenders:
        raise ConfigError("there must be a contender to compare", "none")
    with tempfile.TemporaryDirectory(prefix="fastmlp-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        task.save(folder)
        entries = [Entry(contender, contender.threads[0]) for contender in contenders]
        processes: dict[int, Process] = {}
        for i, entry in enumerate(entries):
            with _failures(entry, notify):
                notify(f"{entry.contender.label}: starting")
                processes[i] = _fastest(entry, folder, patience, pause, stack)
        for turn in range(rounds):
            for i in permutation(len(entries), seed, "turns", turn).tolist():
                entry = entries[i]
                if entry.failure:
                    continue
                with _failures(entry, notify):
                    time.sleep(pause)
                    processes[i].epoch(TRIALS.stop + 2 * turn)
                    entry.seconds.append(processes[i].epoch(TRIALS.stop + 2 * turn + 1))
                    notify(f"round {turn + 1}/{rounds}: {entry.contender.label} {entry.seconds[-1]:.3f} s")
        for i, entry in enumerate(entries):
            with _failures(entry, notify):
                if not entry.failure:
                    entry.accuracy = processes[i].accuracy()
    return entries


def _fastest(
    entry: Entry, folder: Path, patience: float, pause: float, stack: contextlib.ExitStack
) -> Process:
    """The contender's process with the number of threads that is fastest, warmed up by the same epochs."""
    missing = [module for module in entry.contender.needs if find_spec(module) is None]
    if missing:
        raise WorkerError(f"not installed: {', '.join(missing)}")
    processes = []
    for threads in entry.contender.threads:
        process = Process(entry.contender, threads, folder, patience)
        processes.append(process)
        stack.callback(process.end)
        process.prepare()
        process.epoch(1)
        tried = []
        for number in TRIALS:
            time.sleep(pause)
            tried.append(process.epoch(number))
        entry.trials[threads] = min(tried)
    best = min(processes, key=lambda process: entry.trials[process.threads])
    for process in processes:
        if process is not best:
            process.end()
    entry.threads = best.threads
    return best


@contextlib.contextmanager
def _failures(entry: Entry, notify: Notify) -> Iterator[None]:
    """Note a failure in the contender's entry, and continue with the others."""
    try:
        yield
    except WorkerError as problem:
        entry.failure = str(problem)
        notify(f"{entry.contender.label}: {problem}")
