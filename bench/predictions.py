"""A few rows and many predicted: Model.predict_proba beside onnxruntime, PyTorch, scikit-learn and Keras.

    python bench/predictions.py                                  every case, tool and number of rows
    python bench/predictions.py --cases digits --tools onnxruntime,pytorch-script --rounds 9
    FASTMLP_DATA=FOLDER python bench/predictions.py --only estimators

All of them compute the same net from the same array, as a person has it: scaling and conversion are inside
the clock. Each tool has a process of its own, or one for each number of threads where that is fixed at its
start; they are timed in turns, and shown at the better of one and two threads. Tools that are not installed,
and what failed, are told below the tables. The exit code is 1 where fastmlp is behind one of them, or an
estimator over its target.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import statistics
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
from markdown import duration, table, text
from predictors import CASES, TOOLS, Call, case

from fastmlp.benchmark.process import settings
from fastmlp.random import permutation

ROWS = (1, 2, 5, 8, 32, 100, 1_000, 10_000)
THREADS = (1, 2)
ROUNDS, PAUSE = 7, 0.05  # PAUSE: seconds before a turn, for other tools' threads to stop spinning
SPENT, CALLS = 0.01, (5, 500)  # seconds of calls in a turn, and how many they are
AGREE = 1e-5  # by which probabilities may differ
TARGET = 40e-6  # seconds of an estimator's predict of one row over its own checks


# --- processes ------------------------------------------------------------------------------------


def work(pipe: Any, tool: str) -> None:
    """Answer messages (what, case, threads, n): "case" for probabilities, "time" for seconds of n rows."""
    sys.stdout = sys.stderr
    calls: dict[tuple[str, int], tuple[Call, Any]] = {}
    while True:
        what, name, threads, n = pipe.recv()
        try:
            if what == "case":
                given = case(name, n)
                calls[name, threads] = TOOLS[tool].make(given, threads), given.X
                call, X = calls[name, threads]
                pipe.send(np.asarray(call(X[: min(n, 100)])))
            else:
                pipe.send(seconds_of(*calls[name, threads], n))
        except Exception as problem:
            pipe.send(f"{type(problem).__name__}: {' '.join(str(problem).split())[:200]}")


def seconds_of(call: Call, X: Any, n: int) -> float:
    """The median of some calls, after two that warm up."""
    rows, spent = X[:n], []
    call(rows)
    began = time.perf_counter()
    call(rows)
    count = int(np.clip(SPENT / (time.perf_counter() - began), *CALLS))
    for _ in range(count):
        began = time.perf_counter()
        call(rows)
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


@dataclass
class Running:
    """A tool's process, for these numbers of threads."""

    tool: str
    threads: tuple[int, ...]
    pipe: Any
    process: Any

    def ask(self, *message: Any) -> Any:
        """Return the reply; a text says what went wrong."""
        try:
            self.pipe.send(message)
            return self.pipe.recv()
        except (EOFError, OSError) as problem:
            return f"its process ended ({type(problem).__name__})"


def started(tools: list[str]) -> Iterator[Running]:
    """The processes of those tools that are installed."""
    context = multiprocessing.get_context("spawn")
    for tool in tools:
        if any(find_spec(module) is None for module in TOOLS[tool].needs):
            continue
        for threads in [(n,) for n in THREADS] if TOOLS[tool].fixed else [THREADS]:
            ours, other = context.Pipe()
            process = context.Process(target=work, args=(other, tool), daemon=True)
            with _environment(settings(max(threads))):
                process.start()
            other.close()
            yield Running(tool, threads, ours, process)


@contextlib.contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


# --- comparison -----------------------------------------------------------------------------------


@dataclass
class Timed:
    """Seconds of each round, by tool, threads and rows of one case; and what is not there, in words."""

    name: str
    seconds: dict[tuple[str, int, int], list[float]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def best(self, tool: str, n: int) -> tuple[float, int] | None:
        """The median of a tool's rounds, at its better number of threads, and that."""
        found = [
            (statistics.median(spent), threads)
            for (of, threads, rows), spent in self.seconds.items()
            if of == tool and rows == n and spent
        ]
        return min(found, default=None)

    def behind(self, rows: tuple[int, ...]) -> list[str]:
        """Where fastmlp is not ahead of a tool."""
        found = []
        for n in rows:
            mine = self.best("fastmlp", n)
            for tool in TOOLS:
                other = self.best(tool, n)
                if tool != "fastmlp" and other and not (mine and mine[0] < other[0]):
                    found.append(f"{self.name}, {n:,} rows: {tool}")
        return found

    def lines(self, rows: tuple[int, ...]) -> str:
        """The table: a line for each tool; under it how many times as fast fastmlp is as the best other."""
        lines = []
        for tool in TOOLS:
            found = [self.best(tool, n) for n in rows]
            if any(found):
                lines.append([tool, *(f"{duration(each[0])} ({each[1]})" if each else "-" for each in found)])
        ratios = []
        for n in rows:
            mine, others = self.best("fastmlp", n), [self.best(t, n) for t in TOOLS if t != "fastmlp"]
            rivals = [each[0] for each in others if each]
            ratios.append(f"{min(rivals) / mine[0]:.2f}x" if mine and rivals else "-")
        lines.append(["the best other / fastmlp", *ratios])
        return table([self.name, *(f"{n:,}" for n in rows)], lines)


def compared(name: str, running: list[Running], rows: tuple[int, ...], rounds: int) -> Timed:
    """Time every process on one case in turns, in a new order each round."""
    timed, takes, wanted = Timed(name), [], None
    for one in running:
        for threads in one.threads:
            p = one.ask("case", name, threads, max(rows))
            if not isinstance(p, str):
                wanted = p if wanted is None else wanted
                if abs(p - wanted).max() > AGREE:
                    p = f"its probabilities differ by {abs(p - wanted).max():.1e}"
            if isinstance(p, str):
                timed.problems[one.tool] = p
            else:
                takes.append((one, threads))
    for turn in range(rounds):
        for n in rows:
            for i in permutation(len(takes), 0, "turns", turn * max(rows) + n).tolist():
                one, threads = takes[i]
                time.sleep(PAUSE)
                spent = one.ask("time", name, threads, n)
                if isinstance(spent, str):
                    timed.problems[one.tool] = spent
                else:
                    timed.seconds.setdefault((one.tool, threads, n), []).append(spent)
    return timed


# --- estimators ------------------------------------------------------------------------------------


def over_checks(rounds: int) -> list[list[str]]:
    """An estimator's predict of one row: the time, that of its checks alone, what is over, scikit-learn's."""
    from sklearn import neural_network
    from sklearn.utils.validation import check_is_fitted, validate_data

    import fastmlp as tool

    lines, rng = [], np.random.default_rng(0)
    for kind, D, K, dtype in (
        ("MLPClassifier", 4, 3, np.float64),
        ("MLPClassifier", 64, 10, np.float64),
        ("MLPClassifier", 784, 10, np.uint8),
        ("MLPRegressor", 20, 1, np.float32),
    ):
        X, y = rng.integers(0, 17, (150, D)).astype(dtype), rng.integers(0, K, 150) * 1.0
        net, other = getattr(tool, kind)(max_iter=2), getattr(neural_network, kind)(max_iter=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net.fit(X, y)
            other.fit(X, y)

        def checks(row: Any, net: Any = net) -> None:
            check_is_fitted(net)
            validate_data(net, row, accept_sparse="csr", order="C", reset=False)

        spent: list[list[float]] = [[], [], []]
        for _ in range(rounds):
            for call, into in zip((net.predict, checks, other.predict), spent, strict=True):
                into.append(seconds_of(call, X, 1))
        over = statistics.median(mine - alone for mine, alone, _ in zip(*spent, strict=True))
        cells = [duration(statistics.median(each)) for each in spent]
        over_target = " (over)" * (not over <= TARGET)
        lines.append(
            [f"{kind}, {D} columns of {np.dtype(dtype)}", *cells[:2], duration(over) + over_target, cells[2]]
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Predictions beside those of other tools.")
    parser.add_argument("--only", choices=("models", "estimators"), help="one of the sections")
    parser.add_argument("--cases", default=",".join(CASES), help="names, with commas between them")
    parser.add_argument("--tools", default=",".join(TOOLS), help="names, with commas between them")
    parser.add_argument("--rows", default=",".join(map(str, ROWS)), help="numbers, with commas between them")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    rows, problems, red = tuple(map(int, options.rows.split(","))), {}, []
    if options.only != "estimators":
        tools = ["fastmlp", *(tool for tool in options.tools.split(",") if tool != "fastmlp")]
        running = list(started(tools))
        problems |= {tool: "not installed" for tool in tools if tool not in {one.tool for one in running}}
        try:
            for name in options.cases.split(","):
                timed = compared(name, running, rows, options.rounds)
                problems |= timed.problems
                red += timed.behind(rows)
                sys.stdout.write(text(timed.lines(rows), "") + "\n")
                sys.stdout.flush()
        finally:
            for one in running:
                one.process.kill()
    if options.only != "models":
        lines = over_checks(options.rounds)
        red += [line[0] for line in lines if "(over)" in line[3]]
        heading = ("predict of one row", "fastmlp", "its checks alone", "over them", "scikit-learn")
        sys.stdout.write(text(table(heading, lines), "") + "\n")
    for tool, problem in problems.items():
        sys.stdout.write(f"{tool}: {problem}\n")
    for place in red:
        sys.stdout.write(f"behind: {place}\n")
    sys.exit(bool(red))


if __name__ == "__main__":
    main()
