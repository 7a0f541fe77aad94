"""MLPClassifier and MLPRegressor beside scikit-learn's: fits, programs, n fits at once, an epoch's cost.

    python bench/estimators.py                            every section
    python bench/estimators.py --only fits --rounds 9     one of them
    python bench/estimators.py --programs FOLDER          the programs p*.py of a folder too

Both sides of a pair run in this process, one after the other, warm, with their defaults and the same
random_state; ratios are medians of pairs, and the score stands beside the time, with the epochs. On a busy
machine scikit-learn's BLAS is faster with OPENBLAS_NUM_THREADS=1. Exit code 1 where a target is missed, or a
program is slower than with scikit-learn.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn.neural_network as theirs
from markdown import duration, table, text
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import StandardScaler

import fastmlp as ours
from fastmlp.backends.threads import available_cores

SECTIONS = ("fits", "programs", "at-once", "epochs")
MODULES = {"fastmlp": ours, "scikit-learn": theirs}
AT_ONCE = 1.15  # times the share of a core, at most
EPOCHS = 100  # n of the section on epochs
IRIS = {"float32": 40e-6, "float64": 60e-6}  # seconds an epoch, at most

Data = tuple[Any, Any]


@dataclass(frozen=True)
class Pairs:
    """Seconds and scores of both sides, pair by pair: fastmlp's and scikit-learn's.

    target: how many times as fast fastmlp is to be; 0 for none.
    """

    name: str
    seconds: tuple[tuple[float, float], ...]
    scores: tuple[tuple[str, str], ...]
    target: float

    @property
    def ratio(self) -> float:
        """scikit-learn's time over fastmlp's, the median of the pairs."""
        return statistics.median(other / mine for mine, other in self.seconds)

    @property
    def is_under(self) -> bool:
        """True where the target is missed; so it is by a ratio that is no number."""
        return not self.ratio >= self.target

    def line(self) -> list[str]:
        """Cells of a row."""
        times = [duration(statistics.median(each)) for each in zip(*self.seconds, strict=True)]
        under = " (under)" * self.is_under
        return [self.name, *self.scores[-1], *times, f"{self.ratio:.2f}x{under}", f"{self.target:g}x"]


HEADING = ("", "fastmlp", "scikit-learn", "time", "of scikit-learn", "ratio", "target")


# --- fits -----------------------------------------------------------------------------------------


def standard(X: Any) -> Any:
    """Columns of mean 0 and deviation 1."""
    return StandardScaler().fit_transform(X)


def loaded(load: Callable[..., Any]) -> Data:
    X, y = load(return_X_y=True)
    return standard(X), y


def classes(N: int, D: int, K: int) -> Data:
    """Normal inputs, and the largest of K curved functions of them with noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D))
    z = np.tanh(X @ rng.normal(size=(D, 2 * K)))
    return X, (z @ rng.normal(size=(2 * K, K)) + 0.3 * rng.normal(size=(N, K))).argmax(axis=1)


def numbers(N: int, D: int) -> Data:
    """Normal inputs, and a curved function of them with noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D))
    return X, np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + X[:, 3:] @ rng.normal(size=D - 3) + rng.normal(size=N) / 5


CASES: dict[str, tuple[str, Callable[[], Data], float]] = {  # class, data, target
    "iris": ("MLPClassifier", lambda: loaded(load_iris), 4),
    "breast cancer": ("MLPClassifier", lambda: loaded(load_breast_cancer), 3),
    "digits": ("MLPClassifier", lambda: loaded(load_digits), 2.5),
    "20,000 x 8, numbers": ("MLPRegressor", lambda: numbers(20_000, 8), 5),
    "50,000 x 20, 2 classes": ("MLPClassifier", lambda: classes(50_000, 20, 2), 5),
    "50,000 x 20, 10 classes": ("MLPClassifier", lambda: classes(50_000, 20, 10), 5),
}


def pairs(name: str, rounds: int, max_iter: int) -> Pairs:
    """Fit a case by both, in turns, after a fit of each that does not count."""
    kind, make, target = CASES[name]
    X, y = make()
    seconds, scores = [], []
    for seed in range(-1, rounds):
        spent, told = [], []
        for module in MODULES.values():
            epochs = max_iter if seed >= 0 else min(2, max_iter)
            net = getattr(module, kind)(random_state=max(0, seed), max_iter=epochs)
            spent.append(_seconds(lambda net=net: net.fit(X, y)))
            told.append(f"{net.score(X, y):.4f} ({net.n_iter_})")
        if seed >= 0:
            seconds.append(tuple(spent))
            scores.append(tuple(told))
    return Pairs(name, tuple(seconds), tuple(scores), target)


def _seconds(work: Callable[[], Any]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 200 epochs were not enough
        started = time.perf_counter()
        work()
        return time.perf_counter() - started


# --- programs -------------------------------------------------------------------------------------

IMPORTS = [  # the lines that change
    (r"from sklearn\.neural_network import", "from fastmlp import"),
    (r"import sklearn\.neural_network as (\w+)", r"import fastmlp as \1"),
    (r"^from sklearn import neural_network$", "import fastmlp as neural_network"),
    (
        r"^from sklearn import ((?:\w+, )*)neural_network, ((?:\w+(?:, )?)*)$",
        r"from sklearn import \1\2\nimport fastmlp as neural_network",
    ),
]


def changed(source: str) -> str:
    """A program of scikit-learn with fastmlp's import."""
    for old, new in IMPORTS:
        source = re.sub(old, new, source, flags=re.MULTILINE)
    return source


def run(source: str) -> tuple[float, str]:
    """Seconds that a program takes in this process, and its lines SCORE; it prints nothing."""
    code, said = compile(source, "program.py", "exec"), io.StringIO()
    with _elsewhere(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        spent = _seconds(lambda: exec(code, {"__name__": "__main__"}))
    scores = re.findall(r"^SCORE (?:.* )?(\S+)$", said.getvalue(), re.MULTILINE)
    return spent, " ".join(f"{float(score):.4g}" for score in scores[:3])


@contextlib.contextmanager
def _elsewhere() -> Iterator[None]:
    """In an empty folder: some programs write files."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def program(path: Path, rounds: int) -> Pairs:
    """Run a program as it is and with the import changed, in turns, after one of each that does not count."""
    source = path.read_text(encoding="utf-8")
    if changed(source) == source:
        raise RuntimeError(f"{path} must import sklearn.neural_network")
    found = [[run(each) for each in (changed(source), source)] for _ in range(rounds + 1)][1:]
    seconds = tuple((mine[0], other[0]) for mine, other in found)
    return Pairs(path.stem, seconds, tuple((mine[1], other[1]) for mine, other in found), 1.0)


# --- n fits at once -------------------------------------------------------------------------------


def fit(kind: str, X: Any, y: Any, options: dict[str, Any]) -> Any:
    """One of several fits; here so that another process finds it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(ours, kind)(**options).fit(X, y)


def at_once(tasks: list[tuple[Any, ...]]) -> dict[str, Callable[[], Any]]:
    """Ways to do the tasks of ``fit`` at once, one a core."""
    n = len(tasks)
    kind, X, y, options = tasks[0]
    calls = [joblib.delayed(fit)(*task) for task in tasks]
    folds = [(np.arange(len(X)), np.arange(20))] * n  # every fit has all rows
    net = getattr(ours, kind)(**options)
    quiet = {"PYTHONWARNINGS": "ignore"}
    os.environ.update(quiet)  # processes begin with it
    return {
        "joblib, loky": lambda: joblib.Parallel(n, backend="loky")(calls),
        "joblib, threads": lambda: joblib.Parallel(n, backend="threading")(calls),
        "ThreadPoolExecutor": lambda: _threads(tasks),
        "multiprocessing": lambda: _processes(tasks),
        "cross_val_score": lambda: cross_val_score(net, X, y, cv=folds, n_jobs=n),
        "GridSearchCV": lambda: GridSearchCV(net, {}, cv=folds, n_jobs=n, refit=False).fit(X, y),
    }


def _threads(tasks: list[tuple[Any, ...]]) -> Any:
    with ThreadPoolExecutor(len(tasks)) as pool:
        return [*pool.map(fit, *zip(*tasks, strict=True))]


def _processes(tasks: list[tuple[Any, ...]]) -> Any:
    with multiprocessing.get_context("fork").Pool(len(tasks)) as pool:
        return pool.starmap(fit, tasks)


AT_ONCE_CASES: dict[str, tuple[str, Callable[[], Data], dict[str, Any]]] = {
    "iris, float64": ("MLPClassifier", lambda: loaded(load_iris), {"max_iter": 20_000}),
    "digits": ("MLPClassifier", lambda: loaded(load_digits), {"max_iter": 1_000}),
    "20,000 x 8, numbers": ("MLPRegressor", lambda: numbers(20_000, 8), {"max_iter": 400}),
    "digits, lbfgs": ("MLPClassifier", lambda: loaded(load_digits), {"solver": "lbfgs", "alpha": 1.0}),
}


def shares(name: str, rounds: int) -> dict[tuple[str, str], float]:
    """{(way, threads): the time of n fits at once over an nth of n fits one after the other}.

    The fits one after the other have one thread. Of each the best of some rounds: other programs on the
    machine take cores from those who need all of them.
    """
    kind, make, options = AT_ONCE_CASES[name]
    X, y = make()
    n = available_cores()
    options = {"tol": 0.0, "n_iter_no_change": 10**6, "random_state": 0, **options}
    alone = [(kind, X, y, {**options, "threads": 1})] * n
    turns: dict[tuple[str, str], Callable[[], Any]] = {("", ""): lambda: [fit(*task) for task in alone]}
    for threads in ("auto", 1, 2):
        ways = at_once([(kind, X, y, {**options, "threads": threads})] * n)
        turns |= {(way, str(threads)): turn for way, turn in ways.items()}
    best = dict.fromkeys(turns, float("inf"))
    for number in range(rounds + 1):
        for key, turn in turns.items():
            spent = _seconds(turn)
            if number:  # processes have started, kernels are loaded
                best[key] = min(best[key], spent)
    share = best.pop(("", "")) / n
    return {key: spent / share for key, spent in best.items()}


# --- an epoch -------------------------------------------------------------------------------------


def epoch_seconds(dtype: str, rounds: int) -> float:
    """Seconds of an epoch on iris: what a fit of 10n epochs takes more than one of n, by 9n; the median."""
    X, y = loaded(load_iris)
    X = X.astype(dtype)
    found = []
    for seed in range(-1, rounds):
        spent = []
        for epochs in (EPOCHS, 10 * EPOCHS):
            net = ours.MLPClassifier(
                random_state=seed + 1, max_iter=epochs, tol=0.0, n_iter_no_change=float("inf")
            )
            spent.append(_seconds(lambda net=net: net.fit(X, y)))
            if net.n_iter_ != epochs:
                raise RuntimeError(f"the fit must have {epochs} epochs; it had {net.n_iter_}")
        found.append((spent[1] - spent[0]) / (9 * EPOCHS))
    return statistics.median(found[1:])


# --- all of it ------------------------------------------------------------------------------------


def pairs_page(each_one: Iterable[Pairs]) -> tuple[str, bool]:
    """A table, and whether a target is missed; each line goes to stderr as it comes."""
    found = []
    for each in each_one:
        sys.stderr.write(" | ".join(each.line()) + "\n")
        found.append(each)
    return table(HEADING, [each.line() for each in found]), any(each.is_under for each in found)


def at_once_page(rounds: int, names: list[str]) -> tuple[str, bool]:
    lines, missed = [], False
    for name in names:
        found = shares(name, rounds)
        for way in dict.fromkeys(way for way, _ in found):
            each = [share for (other, _), share in found.items() if other == way]
            lines.append([name, way, *(f"{share:.2f}{' (over)' * (share > AT_ONCE)}" for share in each)])
            missed |= not all(share <= AT_ONCE for share in each)
    heading = ("", "way", "threads=auto", "1", "2")
    return table(heading, lines), missed


def epochs_page(rounds: int) -> tuple[str, bool]:
    found = {dtype: epoch_seconds(dtype, rounds) for dtype in IRIS}
    lines = [
        [f"iris, {dtype}", f"{duration(spent)}{' (over)' * (spent > IRIS[dtype])}", duration(IRIS[dtype])]
        for dtype, spent in found.items()
    ]
    missed = any(not spent <= IRIS[dtype] for dtype, spent in found.items())
    return table(("", "an epoch", "at most"), lines), missed


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare fastmlp's estimators with scikit-learn's.")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="a section; may be given again")
    parser.add_argument("--cases", help="names of cases or programs, with ; between them")
    parser.add_argument("--programs", type=Path, help="a folder of programs p*.py")
    parser.add_argument("--rounds", type=int, default=5, help="pairs")
    parser.add_argument("--max-iter", type=int, default=200, help="the most epochs: a quick look")
    options = parser.parse_args()
    wanted = options.only or [name for name in SECTIONS if name != "programs" or options.programs]
    if "programs" in wanted and options.programs is None:
        parser.error("--only programs needs --programs FOLDER")
    chosen = options.cases is not None
    some = options.cases.split(";") if chosen else [*CASES, *AT_ONCE_CASES]
    rounds, missed = options.rounds, False
    for name in wanted:
        if name == "fits":
            page = pairs_page(pairs(case, rounds, options.max_iter) for case in CASES if case in some)
        elif name == "programs":
            paths = [
                path for path in sorted(options.programs.glob("p*.py")) if not chosen or path.stem in some
            ]
            page = pairs_page(program(path, rounds) for path in paths)
        elif name == "at-once":
            page = at_once_page(rounds, [case for case in AT_ONCE_CASES if case in some])
        else:
            page = epochs_page(rounds)
        sys.stdout.write(text(f"## {name}", page[0]) + "\n\n")
        sys.stdout.flush()
        missed |= page[1]
    sys.exit(missed)


if __name__ == "__main__":
    main()
