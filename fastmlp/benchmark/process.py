"""Process of a worker: started with its threads fixed, asked within a time limit, ended for certain."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from fastmlp.benchmark.contenders import Contender
from fastmlp.errors import FastMLPError
from fastmlp.files import parse_json

THREADS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
TOOLS = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
}


class WorkerError(Exception):
    """A contender that cannot take part or cannot continue; one line says why."""


class Process:
    """A contender in a process of its own."""

    def __init__(self, contender: Contender, threads: int, folder: Path, patience: float) -> None:
        self.contender, self.threads, self.patience = contender, threads, patience
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by end()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fastmlp.benchmark.worker", contender.program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | settings(threads),
            text=True,
            start_new_session=True,  # Ctrl-C is for this process, which calls end()
        )
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._folder = folder

    def prepare(self) -> None:
        """Import, compile nothing yet, load the data. Raises WorkerError."""
        self._ask(
            do="prepare", folder=str(self._folder), threads=self.threads, options=self.contender.options
        )

    def epoch(self, number: int) -> float:
        """Seconds of training. Raises WorkerError."""
        return float(self._ask(do="epoch", number=number))

    def accuracy(self) -> float:
        """Accuracy on the test part. Raises WorkerError."""
        return float(self._ask(do="accuracy"))

    def end(self) -> None:
        """End it, whatever it is doing; a second call does nothing."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._errors.close()

    def _ask(self, **message: Any) -> Any:
        try:
            self._process.stdin.write(json.dumps(message) + "\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
            line = self._replies.get(timeout=self.patience)
        except queue.Empty:
            raise WorkerError(f"no reply within {self.patience:g} s") from None
        except OSError:
            line = ""
        if not line:
            raise WorkerError(f"ended with code {self._process.wait()}{self._last_words()}")
        try:
            reply = parse_json(line, "a reply", FastMLPError)
        except FastMLPError as problem:  # cut short as the process ended
            raise WorkerError(str(problem)) from None
        if "error" in reply:
            raise WorkerError(" ".join(reply["error"].split()))
        return reply["value"]

    def _listen(self) -> None:
        with self._process.stdout as replies:  # type: ignore[union-attr]
            for line in replies:
                self._replies.put(line)
        self._replies.put("")

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")


def settings(threads: int) -> dict[str, str]:
    """Variables that fix a tool's number of threads before it is imported."""
    fixed = dict.fromkeys(THREADS, str(threads)) | TOOLS
    if threads == 1:
        fixed["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return fixed
