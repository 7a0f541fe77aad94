"""Report of a comparison: rows in the order of their speed, and everything behind them as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from statistics import median
from typing import Any

from fastmlp import environment
from fastmlp.backends.threads import available_cores, resolve
from fastmlp.benchmark import LEAST_ROUNDS
from fastmlp.benchmark.contenders import ours, rivals
from fastmlp.benchmark.rounds import PATIENCE, PAUSE, Entry, Notify, compare
from fastmlp.benchmark.statistics import Ratio, paired_ratio
from fastmlp.benchmark.task import Task
from fastmlp.checks import whole_number
from fastmlp.data import Dataset


@dataclass(frozen=True)
class Row:
    """One line of the table; a contender that failed has its ``failure`` and no figures.

    seconds: of the median epoch; best: of the fastest, which other programs disturbed least.
    ratio:   its time over that of fastmlp's fastest row, by rounds.
    share:   dense multiply-adds a second over the peak of all cores; over 1 where zeros are left out.
    """

    name: str
    label: str
    threads: int
    seconds: float | None = None
    samples_per_second: float | None = None
    accuracy: float | None = None
    ratio: Ratio | None = None
    share: float | None = None
    best: float | None = None
    failure: str = ""


@dataclass(frozen=True)
class Report:
    """All results of ``fastmlp bench``."""

    rows: list[Row]
    entries: list[Entry]
    peak: Any
    machine: dict[str, Any]
    versions: dict[str, str]
    options: dict[str, Any]
    data: dict[str, Any]
    flop: float

    @property
    def floor(self) -> float:
        """Seconds that a dense epoch takes at the machine's peak."""
        return self.flop / (1e9 * float(self.peak.machine))

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump, with every time that was measured."""
        return {
            "rows": [asdict(row) | {"ratio": row.ratio and row.ratio._asdict()} for row in self.rows],
            "contenders": [entry.to_json() for entry in self.entries],
            "peak": self.peak.to_json(),
            "flop_per_epoch": self.flop,
            "seconds_at_peak": self.floor,
            "machine": self.machine,
            "versions": self.versions,
            "options": self.options,
            "data": self.data,
        }


def bench(
    data: Dataset,
    *,
    names: list[str] | None = None,
    rounds: int = LEAST_ROUNDS,
    threads: int | str = "auto",
    seed: int = 0,
    pause: float = PAUSE,
    patience: float = PATIENCE,
    notify: Notify = lambda text: None,
) -> Report:
    """Compare fastmlp on these data with the rivals of these names (default: all), and the machine's peak.

    Every contender has a row, one that is faster than fastmlp or is not installed too. ``notify`` is told of
    the progress. Raises ConfigError.
    """
    n_threads = resolve(threads)
    whole_number("rounds", rounds, 1, 10_000)
    contenders = [*ours(n_threads), *rivals(names, n_threads)]
    from fastmlp.benchmark.peak import measure

    task = Task.of(data, seed=seed)
    notify("the machine's peak")
    before = measure(available_cores())
    entries = compare(
        task, contenders, rounds=rounds, seed=seed, pause=pause, patience=patience, notify=notify
    )
    peak = max(before, measure(available_cores()), key=lambda found: found.machine)
    return Report(
        rows=ranked(entries, len(task.y), task.flop, peak.machine),
        entries=entries,
        peak=peak,
        machine=environment.describe(),
        versions=_versions(entries),
        options={"rounds": rounds, "rivals": names, "threads": n_threads, "seed": seed, "pause": pause}
        | task.settings(),
        data={"name": data.name, "source": data.source, "shape": list(data.X.shape)},
        flop=task.flop,
    )


def ranked(entries: Sequence[Entry], samples: int, flop: float, peak: float) -> list[Row]:
    """Rows from the fastest to the slowest, then failures; ratios to fastmlp's fastest. peak in GFLOP/s."""
    finished = [entry for entry in entries if not entry.failure]
    base = min(
        (entry for entry in finished if entry.contender.name == "fastmlp"),
        key=lambda entry: median(entry.seconds),
        default=None,
    )
    rows = []
    for entry in finished:
        seconds = median(entry.seconds)
        rows.append(
            Row(
                entry.contender.name,
                entry.contender.label,
                entry.threads,
                seconds,
                samples / seconds,
                entry.accuracy,
                None if base is None else paired_ratio(entry.seconds, base.seconds),
                flop / seconds / (1e9 * peak),
                min(entry.seconds),
            )
        )
    rows.sort(key=lambda row: row.seconds or 0)
    failed = [entry for entry in entries if entry.failure]
    return rows + [
        Row(entry.contender.name, entry.contender.label, entry.threads, failure=entry.failure)
        for entry in failed
    ]


def _versions(entries: Sequence[Entry]) -> dict[str, str]:
    found = {}
    for package in sorted({name for entry in entries for name in entry.contender.packages}):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
