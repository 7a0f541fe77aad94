"""Many independent nets: fastmlp's fit_many, and PyTorch as one single-thread process a core.

Both train the question's net from the same first weights in the same orders, tested after every epoch.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fastmlp
from fastmlp.benchmark.contenders import rivals
from fastmlp.benchmark.process import Process
from fastmlp.benchmark.task import Task
from fastmlp.data import Dataset

EPOCHS = 2  # of each net; each costs as much as the last
PATIENCE = 600.0  # seconds that an answer of a process may take


def ours(data: Dataset, nets: int, threads: int, epochs: int = EPOCHS) -> float:
    """Seconds that ``fit_many`` takes for so many nets, encoding and evaluations included."""
    trainings = [fastmlp.Training(seed=seed, epochs=epochs) for seed in range(nets)]
    test = data.X_test, data.y_test
    started = time.perf_counter()
    found = list(fastmlp.fit_many(data.X, data.y, trainings, threads=threads, test_data=test))
    spent = time.perf_counter() - started
    assert len(found) == nets
    assert all(fitted.failure is None for fitted in found)
    return spent


class TorchProcesses:
    """One single-thread process a core, ready to train: imports and data are outside the clock."""

    def __init__(self, processes: list[Process]) -> None:
        self.processes = processes

    @classmethod
    @contextlib.contextmanager
    def ready(cls, data: Dataset, cores: int) -> Iterator[TorchProcesses]:
        """Started and warmed up by one epoch; ended when the block is left."""
        (torch,) = rivals(["torch"], 1)
        with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
            Task.of(data).save(Path(name))
            processes = []
            for _ in range(cores):
                process = Process(torch, 1, Path(name), PATIENCE)
                stack.callback(process.end)
                process.prepare()
                process.epoch(1)
                processes.append(process)
            yield cls(processes)

    def seconds_a_net(self, epochs: int = EPOCHS) -> float:
        """All train a net at a time: seconds until the last has it, divided by their number.

        The processes go on with the net they have, which costs as much as a new one.
        """
        threads = [threading.Thread(target=_net, args=(process, epochs)) for process in self.processes]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (time.perf_counter() - started) / len(self.processes)


def _net(process: Process, epochs: int) -> None:
    for number in range(epochs):
        process.epoch(2 + number)
        process.accuracy()
