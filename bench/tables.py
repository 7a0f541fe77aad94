"""Tables beside scikit-learn: ``fastmlp train --data F --label L`` and its pipeline on the same folds.

    python bench/tables.py --out docs/tables.md

scikit-learn's side is what its guide shows: numbers get SimpleImputer(median) and StandardScaler, texts
SimpleImputer(most frequent) and OneHotEncoder, then MLPClassifier, or MLPRegressor in a
TransformedTargetRegressor; all with their defaults, so that both nets have 100 units. Scores are of the fold
that is held out: accuracy, or R2.
Which tables: drawn_tables.py. Exit code 1 where fastmlp is more than WORSE behind in one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from drawn_tables import TABLES, Drawn, draw
from fastmlp_cli.app import app
from markdown import duration, table, text
from typer.testing import CliRunner

from fastmlp.environment import describe

FOLDS, SEEDS = 5, 5
WORSE = 0.01  # that fastmlp may be

Run = tuple[float, float]  # a score, and seconds


@dataclass(frozen=True)
class Compared:
    """Runs of both on the same folds of one table: ours and theirs, pair by pair."""

    name: str
    drawn: Drawn
    ours: tuple[Run, ...]
    theirs: tuple[Run, ...]

    @property
    def difference(self) -> float:
        """The mean score of fastmlp less that of scikit-learn."""
        return float(
            np.mean([mine[0] - other[0] for mine, other in zip(self.ours, self.theirs, strict=True)])
        )

    @property
    def noise(self) -> float:
        """The standard error of the difference."""
        pairs = [mine[0] - other[0] for mine, other in zip(self.ours, self.theirs, strict=True)]
        return float(np.std(pairs, ddof=1) / len(pairs) ** 0.5)

    @property
    def is_worse(self) -> bool:
        """True where fastmlp is further behind than it may be; so is a score that is no number."""
        return not self.difference >= -WORSE


def compared(name: str, seeds: Iterable[int], kept: dict[str, Run]) -> Compared:
    """Run both on every fold of a table, or take what is kept of them; what is run is kept."""
    import pandas as pd

    drawn = draw(name)
    runs: dict[str, list[Run]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / f"{name}.csv"
        drawn.write(file)
        frame = pd.read_csv(file)
        for seed in seeds:
            for fold, parts in enumerate(folds(frame[drawn.label], drawn.task, seed)):
                files = [Path(place) / f"{part}.csv" for part in ("train", "test")]
                for path, rows in zip(files, parts, strict=True):
                    rows_of(file, rows, path)
                for who, run in (("ours", ours), ("theirs", theirs)):
                    key = f"{who} {name} {seed} {fold}"
                    if key not in kept:
                        kept[key] = run(*files, drawn, seed)
                    runs[who].append(kept[key])
    return Compared(name, drawn, tuple(runs["ours"]), tuple(runs["theirs"]))


def folds(label: Any, task: str, seed: int) -> Iterator[tuple[Any, Any]]:
    """Numbers of the rows to train on and to test on, for each fold; of classes with like shares."""
    from sklearn.model_selection import KFold, StratifiedKFold

    splitter = (StratifiedKFold if task == "classes" else KFold)(FOLDS, shuffle=True, random_state=seed)
    yield from splitter.split(np.zeros(len(label)), label)


def rows_of(file: Path, rows: Any, path: Path) -> None:
    """Write the head of a CSV file, and those of its rows."""
    head, *lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(head + "".join(lines[row] for row in rows), encoding="utf-8")


def ours(train: Path, test: Path, drawn: Drawn, seed: int) -> Run:
    """Run the command, with no option of the training but the label."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        words = ["train", "--data", train, "--test-data", test, "--label", drawn.label, "--seed", seed]
        result = CliRunner().invoke(app, [*map(str, words), "--quiet", "--json", "--out", f"{place}/run"])
    if result.exit_code:
        raise RuntimeError(f"{' '.join(map(str, words))}: {result.stderr}")
    report = json.loads(result.stdout)
    return report["test_accuracy" if drawn.task == "classes" else "test_r2"], time.perf_counter() - began


def theirs(train: Path, test: Path, drawn: Drawn, seed: int) -> Run:
    """Run scikit-learn's pipeline, reading and all."""
    import pandas as pd
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    began = time.perf_counter()
    parts = [pd.read_csv(path) for path in (train, test)]
    (X, y), (X_test, y_test) = ((part.drop(columns=drawn.label), part[drawn.label]) for part in parts)
    net: Any = MLPClassifier(random_state=seed)
    if drawn.task == "numbers":
        net = TransformedTargetRegressor(MLPRegressor(random_state=seed), transformer=StandardScaler())
    pipeline = make_pipeline(_prepared(X), net)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 200 epochs were not enough
        pipeline.fit(X, y)
    return float(pipeline.score(X_test, y_test)), time.perf_counter() - began


def _prepared(X: Any) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [name for name in X if X[name].dtype.kind in "iuf"]
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (
                "texts",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
                ),
                [name for name in X if name not in numbers],
            ),
        ]
    )


# --- the page -----------------------------------------------------------------------------------


def lines_of(results: Iterable[Compared]) -> str:
    """The table of all results, in Markdown."""
    heading = (
        "table",
        "rows",
        "columns",
        "score",
        "fastmlp",
        "scikit-learn",
        "difference",
        "time of both",
    )
    return table(heading, [_line(result) for result in results])


def _line(result: Compared) -> list[str]:
    cells = [*result.drawn.columns.values()]
    runs = result.ours, result.theirs
    scores = [np.mean([score for score, _ in each]) for each in runs]
    seconds = [np.median([spent for _, spent in each[:FOLDS]]) for each in runs]
    return [
        result.name.replace("_", " "), f"{len(cells[0]):,}", str(len(cells) - 1),
        "accuracy" if result.drawn.task == "classes" else "R2", *(f"{score:.3f}" for score in scores),
        f"{result.difference:+.3f} ± {result.noise:.3f}{' (worse)' * result.is_worse}",
        " / ".join(map(duration, seconds)),
    ]  # fmt: skip


def part(results: list[Compared], command: str) -> str:
    """What the page says between its marks: where the figures are from, and the figures."""
    import sklearn

    facts, runs = describe(), len(results[0].ours)
    return text(
        BEGIN,
        f"Written by `{command}`: fastmlp {facts['fastmlp']} and scikit-learn {sklearn.__version__} on "
        f"{facts['cores']} cores. Scores are means of {runs} folds, after ± is the standard error of the "
        "difference. Times are medians of one fold, of the first five, reading included, on a machine that "
        "had other work.",
        lines_of(results),
        END,
    )


BEGIN, END = "<!-- tables.py writes from here -->", "<!-- to here -->"


def written(page: str, new: str) -> str:
    """The page with another part between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise RuntimeError(f"the page must have a part from {BEGIN} to {END}")
    return before + new + after


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare fastmlp with scikit-learn on tables.")
    parser.add_argument("--tables", default=",".join(TABLES), help="names, with commas between them")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="divisions into folds")
    parser.add_argument("--kept", type=Path, help="JSON file that keeps finished runs")
    parser.add_argument("--out", type=Path, help="page to write")
    options = parser.parse_args()
    kept: dict[str, Run] = {}
    if options.kept is not None and options.kept.exists():
        kept = {key: tuple(run) for key, run in json.loads(options.kept.read_text()).items()}
    results = []
    for name in options.tables.split(","):
        results.append(compared(name, range(options.seeds), kept))
        sys.stderr.write(" | ".join(_line(results[-1])) + "\n")
        if options.kept is not None:
            options.kept.write_text(json.dumps(kept))
    if options.out is None:
        sys.stdout.write(lines_of(results) + "\n")
    else:
        new = part(results, "python bench/tables.py --out docs/tables.md")
        options.out.write_text(written(options.out.read_text(encoding="utf-8"), new), encoding="utf-8")
    sys.exit(any(result.is_worse for result in results))


if __name__ == "__main__":
    main()
