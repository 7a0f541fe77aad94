"""A contender's process: ``python -m fastmlp.benchmark.worker MODULE:CLASS``.

One JSON object a line, each with one as its reply: {"do": "prepare", "folder", "threads", "options"},
{"do": "epoch", "number"} for the seconds of training alone, {"do": "accuracy"}. The reply is
{"value": ...} or {"error": text}. The end of stdin ends the process. What a tool prints goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from fastmlp.benchmark.programs import Program
from fastmlp.benchmark.task import Task


class Worker:
    """One method for each message."""

    program: Program
    task: Task

    def __init__(self, name: str) -> None:
        self.name = name

    def prepare(self, folder: str, threads: int, options: dict[str, Any]) -> None:
        module, _, kind = self.name.partition(":")
        self.task = Task.load(Path(folder))
        self.program = getattr(importlib.import_module(module), kind)(self.task, threads, **options)

    def epoch(self, number: int) -> float:
        order = self.task.order(number)
        started = time.perf_counter()
        self.program.epoch(order)
        return time.perf_counter() - started

    def accuracy(self) -> float:
        return self.program.accuracy()


def main(name: str) -> None:
    """Reply to messages until stdin ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # also for what compiled code prints
    worker = Worker(name)
    for line in sys.stdin:
        message = json.loads(line)
        try:
            reply = {"value": getattr(worker, message.pop("do"))(**message)}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main(sys.argv[1])
