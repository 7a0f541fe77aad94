"""Kills trainings with SIGKILL at random moments, resumes them, and holds each against an unbroken one.

``python kill_runs.py KILLS [--seed N]`` prints where the kills fell and what became of the runs; exit code 1
where a resumed run is not what the unbroken one is. A fifth of the kills comes while a file is written: the
process kills itself at a step of its writing that was drawn before. The same file is the process that trains.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROWS, LONG = 1000, 6000
FIT = "fit"
TRAININGS: dict[str, tuple[str, ...]] = {
    "sgd, dense": ("--epochs", "30"),
    "momentum, step schedule, sparse": (
        "--momentum", "0.9", "--nesterov", "--schedule", "step:7,0.5", "--data", "sparse.npz",
        "--epochs", "30",
    ),
    "adam, cosine schedule, 1 thread": (
        "--optimizer", "adam", "--lr", "0.002", "--schedule", "cosine", "--threads", "1", "--epochs", "30",
    ),
    "adam, early stopping, weighted classes": (
        "--optimizer", "adam", "--lr", "0.01", "--validation", "0.2", "--patience", "4",
        "--class-weight", "balanced", "--epochs", "60",
    ),
    "sgd, centred, weighted rows, clipped loss": (
        "--center", "--sample-weight", "weights.npy", "--clip", "0.01", "0.99", "--hidden", "12,7",
        "--act", "tanh", "--weight-decay", "0.001", "--data", "sparse.npz", "--epochs", "30",
    ),
    "long epochs of adam": (
        "--optimizer", "adam", "--data", "long.npz", "--batch-size", "4", "--epochs", "3",
        "--checkpoint-seconds", "0.05", "--hidden", "100,50",
    ),
    "numpy, long epochs of momentum": (
        "--backend", "numpy", "--momentum", "0.5", "--batch-size", "2", "--epochs", "4",
        "--checkpoint-seconds", "0.05",
    ),
    "numpy, adam, early stopping": (
        "--backend", "numpy", "--optimizer", "adam", "--validation", "0.1", "--patience", "3",
        "--epochs", "40", "--data", "sparse.npz", "--schedule", "step:5,0.7",
    ),
    "fit: adam, early stopping, sparse": (FIT, "numba"),
    "fit: numpy, nesterov, cosine schedule": (FIT, "numpy"),
}  # fmt: skip
FITS: dict[str, dict[str, Any]] = {
    "numba": {
        "optimizer": "adam",
        "validation": 0.2,
        "patience": 4,
        "class_weight": "balanced",
        "epochs": 300,
    },
    "numpy": {"momentum": 0.9, "nesterov": True, "schedule": "cosine", "epochs": 60},
}
_STARTING, _LOADING, _COLD = "starting, reading data", "loading kernels", "compiling"
TRAINED = "checkpoint.safetensors", "model.safetensors", "metrics.jsonl"


# --- the process that trains ----------------------------------------------------------------------


def child(place: Path, kill_at: int, arguments: list[str]) -> None:
    """Train, telling in the file ``phase`` what is being done; die at that step of writing, unless 0."""
    import mmap

    with open(place / "phase", "r+b") as file:
        phase = mmap.mmap(file.fileno(), 64)
    steps = 0

    def enter(text: str) -> None:
        phase[:64] = text.encode().ljust(64)

    def step(handle: int | None = None) -> None:
        nonlocal steps
        steps += 1
        (place / "steps").write_text(str(steps)) if not kill_at else None
        if steps == kill_at:
            if handle is not None and steps % 2:
                os.truncate(handle, os.fstat(handle).st_size // 2)  # the disk has a part of it
            os.kill(os.getpid(), signal.SIGKILL)

    def during(module: Any, name: str, text: Any) -> None:
        function = getattr(module, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            before = bytes(phase[:64]).decode().rstrip()
            enter(text if isinstance(text, str) else text(*args))
            result = function(*args, **kwargs)
            enter("between these" if module is epochs.Trainer else before)
            return result

        setattr(module, name, called)

    enter(_STARTING)
    from fastmlp import files, runs
    from fastmlp.files import lines
    from fastmlp.train import checkpoint, epochs, loop

    checkpoint._LEAST, checkpoint._SHARE = 0.03, 0.9
    during(files, "replace", lambda path, *_: f"writing {path.name}" if path.name != "phase" else "")
    for module in (lines, runs):
        during(module, "add_line", "writing metrics.jsonl")
    during(runs, "cut", "cutting metrics.jsonl")
    during(epochs.Trainer, "warm_up", _LOADING)
    load_backend = loop.load_backend

    def loaded(name: str) -> Any:
        nn = load_backend(name)
        if not hasattr(nn, "watched"):
            nn.watched = True
            during(
                nn,
                "train_epoch",
                lambda *_: _LOADING if b"loading" in phase[:64] else "an epoch",
            )
            during(nn, "evaluate", "an evaluation")
            during(nn, "dead_units", "an evaluation")
        return nn

    loop.load_backend = loaded
    fsync, replace, write, unlink = os.fsync, os.replace, os.write, os.unlink

    def is_ours() -> bool:
        return phase[:7] in (b"writing", b"cutting")

    def fsynced(handle: int) -> None:
        if is_ours():
            step(None if b"metrics" in phase[:64] else handle)
        fsync(handle)

    def replaced(*args: Any, **kwargs: Any) -> None:
        if is_ours():
            step()
        replace(*args, **kwargs)
        if is_ours():
            step()

    def written(handle: int, content: Any) -> int:
        if not is_ours():
            return write(handle, content)
        if bytes(content[:1]) != b"{":  # the second half of a line
            return write(handle, content)
        done = write(handle, bytes(content)[: len(content) // 2])
        step()
        return done

    os.fsync, os.replace, os.write, os.unlink = fsynced, replaced, written, unlink
    if arguments[0] == FIT:
        _fit(place, arguments[1], resumed="--resume" in arguments)
    else:
        sys.argv = ["fastmlp", *arguments]
        from fastmlp_cli.__main__ import main

        main()


def _fit(place: Path, backend: str, resumed: bool) -> None:
    """``fit`` with a checkpoint; prints what a run's report has of it."""
    from fastmlp import fit

    with np.load(place / "sparse.npz") as data:
        X, y = data["x_train"], data["y_train"]
        test = data["x_test"], data["y_test"]
    model, history = fit(
        X, y, backend=backend, hidden=(20,), lr=0.01, batch_size=20, test_data=test, checkpoint=place / "run",
        **FITS[backend],
    )  # fmt: skip
    report = {
        "status": "finished", "best_epoch": history.best_epoch, "weights_sha256": model.parameters.sha256(),
        "epochs": [epoch.to_json() for epoch in history.epochs],
    }  # fmt: skip
    sys.stdout.write(json.dumps(report))


# --- the process that kills -----------------------------------------------------------------------


@dataclass
class Kill:
    """One kill, and what came of the run when it was resumed after it.

    phase:    what the process was doing.
    resumed:  whether the run was then resumed to its end; else it was killed once more.
    repeated: finished epochs that were trained again.
    wrong:    what is not as in an unbroken run.
    """

    training: str
    phase: str
    writing: bool
    resumed: bool = False
    repeated: int = 0
    wrong: list[str] = field(default_factory=list)


class Trainings:
    """Runs in a folder of their own, and how each ends if nobody breaks it off."""

    def __init__(self, place: Path) -> None:
        self.place = place
        rng = np.random.default_rng(5)
        for name, n, density in (("dense", ROWS, 0.9), ("sparse", ROWS, 0.15), ("long", LONG, 0.5)):
            y = rng.integers(0, 3, n)
            X = rng.integers(1, 120, (n, 64)) * (rng.random((n, 64)) < density)
            for k in range(3):
                X[y == k, 20 * k : 20 * k + 9] += 12
            Xs, ys = X.astype(np.uint8), y + 2
            np.savez(place / name, x_train=Xs[60:], y_train=ys[60:], x_test=Xs[:60], y_test=ys[:60])
        np.save(place / "weights.npy", rng.random(ROWS - 60))
        (place / "phase").write_bytes(b" " * 64)
        self._begun = 0
        self._whole: dict[str, tuple[dict[str, Any], float, int]] = {}

    def start(
        self, name: str, *, kill_at: int = 0, resumed: bool = False, cold: str = ""
    ) -> subprocess.Popen[str]:
        """A process that trains from the beginning, or from where it came; with kernels kept in ``cold``."""
        (self.place / "phase").write_bytes(b" " * 64)
        options = TRAININGS[name]
        if options[0] == FIT:
            arguments = [*options, *["--resume"] * resumed]
        elif resumed:
            arguments = ["train", "--resume", "run", "--json", "--quiet"]
        else:
            data = () if "--data" in options else ("--data", "dense.npz")
            lr = () if "--lr" in options else ("--lr", "0.02")
            batch = () if "--batch-size" in options else ("--batch-size", "20")
            arguments = ["train", *options, *data, *lr, *batch, "--out", "run", "--json", "--quiet"]
        return subprocess.Popen(
            [sys.executable, __file__, "--child", str(kill_at), *arguments],
            cwd=self.place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | ({"XDG_CACHE_HOME": cold} if cold else {}),
        )  # fmt: skip

    def whole(self, name: str) -> tuple[dict[str, Any], float, int]:
        """Report, seconds and steps of writing of the unbroken training."""
        if name not in self._whole:
            self.clear()
            process = self.start(name)
            self._begins(process)
            started = time.monotonic()
            out, err = process.communicate()
            assert process.returncode == 0, err
            seconds, steps = time.monotonic() - started, int((self.place / "steps").read_text())
            self._whole[name] = as_told(json.loads(out)), seconds, steps
        return self._whole[name]

    def clear(self) -> None:
        """No run is there."""
        run = self.place / "run"
        if run.exists():
            for path in run.iterdir():
                path.unlink()
            run.rmdir()

    def kill(self, rng: np.random.Generator, name: str) -> list[Kill]:
        """Begin a training, kill it once or more, resume it to its end, and look at what it left."""
        _, seconds, steps = self.whole(name)
        self.clear()
        kills: list[Kill] = []
        for _ in range(int(rng.integers(1, 4))):
            resumed = (self.place / "run" / "config.json").exists() or TRAININGS[name][0] == FIT
            self._begun += 1
            writing = self._begun % 4 == 0
            kill_at = int(rng.integers(1, steps + 1)) if writing else 0
            cold = not writing and bool(rng.random() < 0.05) and "numpy" not in name
            with tempfile.TemporaryDirectory() as folder:
                process = self.start(name, kill_at=kill_at, resumed=resumed, cold=folder if cold else "")
                try:
                    if not writing and rng.random() < 0.9:
                        self._begins(process)
                    process.wait(None if writing else float(rng.uniform(0, 5 if cold else seconds)))
                except subprocess.TimeoutExpired:
                    process.kill()
                err = process.communicate()[1]
            phase = self._phase()
            if process.returncode == -signal.SIGKILL:
                kills.append(Kill(name, _COLD if cold and phase == _LOADING else phase, writing))
            elif process.returncode == 0:
                break  # it was there before
            else:
                kills.append(
                    Kill(name, phase, writing, wrong=[f"exit code {process.returncode}: {err[-500:]}"])
                )
        if kills:
            self._resume(kills[-1])
        return kills

    def _phase(self) -> str:
        return (self.place / "phase").read_bytes().decode().strip()

    def _begins(self, process: subprocess.Popen[str]) -> None:
        """Wait until it has read its data."""
        while self._phase() in ("", _STARTING) and process.poll() is None:
            time.sleep(0.002)

    def _resume(self, kill: Kill) -> None:
        """Resume, and note what is wrong."""
        kill.resumed = True
        from fastmlp.train.checkpoint import read

        run, wanted = self.place / "run", self.whole(kill.training)[0]
        is_fit = TRAININGS[kill.training][0] == FIT
        kept = len(read(run / TRAINED[0])[1].epochs) if (run / TRAINED[0]).exists() else 0
        metrics = run / TRAINED[2]
        before = metrics.read_bytes() if metrics.exists() else b""
        process = self.start(kill.training, resumed=is_fit or (run / "config.json").exists())
        out, err = process.communicate()
        if process.returncode != 0:
            kill.wrong.append(f"exit code {process.returncode}: {err[-500:]}")
            return
        report = as_told(json.loads(out))
        kill.wrong += [f"{name} differs" for name in wanted if report[name] != wanted[name]]
        kill.wrong += [f"{path.name} is left" for path in run.glob(".*")]
        if is_fit:
            return
        kill.repeated = max(0, before.count(b"\n") - kept)
        held = b"".join(before.splitlines(keepends=True)[:kept])
        after = metrics.read_bytes()
        if not after.startswith(held):
            kill.wrong.append("lines that the checkpoint held have changed")
        lines = [json.loads(line) for line in after.splitlines()]
        if as_told({**json.loads(out), "epochs": lines}) != report:
            kill.wrong.append("metrics.jsonl is not the report's")
        from fastmlp.runs import load_model

        model = load_model(run)
        if model.parameters.sha256() != wanted["weights_sha256"]:
            kill.wrong.append("model.safetensors differs")
        if model.epoch != (wanted["best_epoch"] or len(wanted["epochs"])):
            kill.wrong.append(f"model.safetensors is said to be of epoch {model.epoch}")


def as_told(report: dict[str, Any]) -> dict[str, Any]:
    """What of a report must be the same: all that is not about time."""
    epochs = [
        {name: value for name, value in epoch.items() if name not in ("seconds", "samples_per_second")}
        for epoch in report["epochs"]
    ]
    return {name: report[name] for name in ("status", "best_epoch", "weights_sha256")} | {"epochs": epochs}


def run(kills: int, seed: int, place: Path, found: list[Kill], *, told: Any = None) -> None:
    """So many kills at least, of each training in turn, into ``found``."""
    trainings, rng = Trainings(place), np.random.default_rng(seed)
    while len(found) < kills:
        for name in TRAININGS:
            if len(found) < kills:
                found += trainings.kill(rng, name)
                if told is not None:
                    told(found)


def table(found: list[Kill]) -> str:
    """Kills by what the process was doing, and what became of the runs."""
    lines = [f"{'killed while':<32} {'kills':>5}"]
    for phase, count in sorted(Counter(kill.phase for kill in found).items()):
        lines.append(f"{phase or 'the interpreter starts':<32} {count:>5}")
    runs = [kill for kill in found if kill.resumed]
    lines += [f"{'all':<32} {len(found):>5}", f"{'runs resumed to their end':<32} {len(runs):>5}"]
    lines += [f"{'of them to the same bytes':<32} {sum(not kill.wrong for kill in runs):>5}", ""]
    lines.append(f"{'training':<44} {'kills':>5} {'while writing':>13} {'repeated':>8} {'wrong':>5}")
    for name in TRAININGS:
        of = [kill for kill in found if kill.training == name]
        written = sum(kill.phase.startswith(("writing", "cutting")) for kill in of)
        repeated, wrong = sum(kill.repeated for kill in of), sum(len(kill.wrong) for kill in of)
        lines.append(f"{name:<44} {len(of):>5} {written:>13} {repeated:>8} {wrong:>5}")
    lines += [f"{kill.training}, {kill.phase}: {text}" for kill in found for text in kill.wrong]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & turns it off

    def tell(found: list[Kill]) -> None:
        sys.stderr.write(f"{len(found)} kills, {sum(len(kill.wrong) for kill in found)} wrong\n")

    found: list[Kill] = []
    with (
        tempfile.TemporaryDirectory() as place,
        suppress(KeyboardInterrupt),
    ):  # then the table of those so far
        run(arguments.kills, arguments.seed, Path(place), found, told=tell)
    sys.stdout.write(table(found) + "\n")
    sys.exit(any(kill.wrong for kill in found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path.cwd(), int(sys.argv[2]), sys.argv[3:])
    else:
        main()
