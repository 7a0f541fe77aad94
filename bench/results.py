"""Writes RESULTS.md and its pictures: ``python bench/results.py`` (``--quick`` for a look in minutes).

Needs the extras ``rivals``, ``plot`` and ``test``, and an otherwise idle machine. Each section is a function
that measures, draws and returns its text; ``--only NAME`` prints one section and writes its picture alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import epochs
import facades
import many_nets
import numpy as np
import plots
import startup
from markdown import duration, heading, repeat, table, text, threads_of
from roofline import dense_flop, dense_seconds, sparse_seconds

from fastmlp import kernels, reference
from fastmlp.backends.threads import ThreadTuner, available_cores
from fastmlp.benchmark import LEAST_ROUNDS
from fastmlp.benchmark.peak import Peak, measure
from fastmlp.benchmark.report import bench
from fastmlp.benchmark.rounds import compare
from fastmlp.benchmark.statistics import paired_ratio
from fastmlp.benchmark.task import Task
from fastmlp.data import Dataset, load
from fastmlp.errors import DataError
from fastmlp.net import Net, Preprocessing
from fastmlp.spec import DRIVERS
from fastmlp.words.layers import Architecture, Layer

HIDDEN = 100


@dataclass(frozen=True)
class Run:
    """What every section needs."""

    data: Dataset
    quick: bool
    peak: Peak
    cores: int
    folder: Path

    @property
    def rounds(self) -> int:
        """Of a comparison inside this process."""
        return 3 if self.quick else 9

    def note(self, text: str) -> None:
        """Say how far it is."""
        sys.stderr.write(f"{text}\n")


def rivals(run: Run) -> str:
    """The question's net beside other tools."""
    rounds = LEAST_ROUNDS if run.quick else 12
    report = bench(run.data, rounds=rounds, notify=run.note)
    N = len(run.data.y)
    sparse = sparse_seconds(run.data.X, HIDDEN, report.peak, report.peak.cores)
    rows = [
        {
            "label": row.label, "ours": row.name == "fastmlp", "rate": row.samples_per_second,
            "times": row.ratio.median,
        }
        for row in report.rows
        if row.samples_per_second and row.ratio
    ]  # fmt: skip
    plots.draw("rivals", run.folder, rows=rows, dense=N / report.floor, sparse=N / sparse)
    lines = [
        [
            row.label, str(row.threads), duration(row.seconds), duration(row.best),
            f"{row.samples_per_second:,.0f}",
            f"{row.accuracy:.4f}", f"{row.ratio.median:.2f} ({row.ratio.low:.2f} - {row.ratio.high:.2f})",
            f"{row.share:.0%}",
        ]
        if row.seconds and row.best and row.ratio
        else [row.label, str(row.threads), row.failure, "", "", "", "", ""]
        for row in report.rows
    ]  # fmt: skip
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return text(
        f"784-{HIDDEN}-10, ReLU, batch 100, plain SGD at 0.01, {run.data.name}. Every contender runs in a "
        f"process of its own, from the same first weights: {rounds} rounds in a random order, after three "
        "epochs that do not count. A turn is an epoch that wakes threads and caches and one that counts, as "
        "in a training, where an epoch follows another. BLAS and each rival have the better of one thread "
        "and all. The clock holds training alone. The ratio is the median over rounds with its 95 % "
        "interval; the accuracy is that of the timed nets.",
        table(
            ["", "threads", "epoch", "fastest", "images/s", "accuracy", "times fastmlp", "of peak"], lines
        ),
        "![Images a second of each tool](rivals.svg)",
        f"*Of peak* counts the {report.flop / 1e9:.1f} GFLOP of a dense epoch against "
        f"{report.peak.machine:.0f} GFLOP/s ({report.peak.core:.0f} on one core): a dense program cannot "
        f"take less "
        f"than {duration(report.floor)}. fastmlp leaves out the pixels that are zero; its limit, "
        f"{duration(sparse)}, "
        "is the multiply-adds of the pixels that are not. "
        f"Loads, one core: "
        f"{', '.join(f'{level} {rate:.0f} GB/s' for level, rate in report.peak.loads.items())}.",
        f"Versions: {versions}.",
        f"Repeat: `fastmlp bench --rounds {rounds}`",
    )  # fmt: skip


SCALES = {
    "N": ("samples", [100, 300, 1000, 3000, 10_000, 30_000, 100_000]),
    "H": ("hidden units", [8, 16, 32, 64, 128, 256, 512, 1024]),
    "B": ("batch size", [4, 16, 32, 64, 128, 256, 512, 1000]),
    "D": ("inputs", [32, 128, 512, 2048, 8192]),
    "density": ("share of non-zero inputs", [0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0]),
}
BASE = {"N": 10_000, "H": 100, "B": 100, "D": 784, "density": 0.19}


def scaling(run: Run) -> str:
    """How an epoch's cost grows."""
    base = BASE | ({"N": 3000} if run.quick else {})
    panels: dict[str, list[tuple[float, ...]]] = {title: [] for title, _ in SCALES.values()}
    lines = []
    for name, (title, values) in SCALES.items():
        for value in values[::2] if run.quick else values:
            run.note(f"scaling: {name} {value}")
            point = base | {name: value}
            X, y = epochs.random_bytes(point["N"], point["D"], point["density"])
            ours, theirs = epochs.both(
                X, y, run.rounds, run.cores, hidden=point["H"], batch_size=min(point["B"], point["N"])
            )
            floor = dense_seconds(X, point["H"], point["B"], run.peak)
            times = paired_ratio(theirs, ours).median
            panels[title].append((value, median(ours), median(theirs), times, floor))
            lines.append(
                [
                    title, f"{value:,g}", duration(median(ours)), duration(median(theirs)),
                    f"{times:.2f}", f"{median(ours) / point['N'] * 1e6:.3g} µs",
                ]
            )  # fmt: skip
    plots.draw("scaling", run.folder, panels=panels)
    return text(
        f"Random bytes, {base['N']:,} samples of {base['D']} inputs of which {base['density']:.0%} are not "
        f"zero, "
        f"{base['H']} hidden units, batch {base['B']}; one of these changes a line. {threads_of(run.cores)}; "
        f"BLAS has "
        "the better of one thread and all.",
        table(["", "", "fastmlp", "reference", "ratio", "fastmlp, a sample"], lines),
        "![Time of an epoch against each extent](scaling.svg)",
        repeat("scaling"),
    )


def threads(run: Run) -> str:
    """Threads, and both drivers."""
    task = Task.of(run.data)
    counts = sorted({1, *(2**i for i in range(1, 9) if 2**i < run.cores), run.cores})
    turns = {
        (driver, n): epochs.trainer(kernels, task.X, task.y, threads=ThreadTuner(n, driver), lr=task.lr)
        for driver in DRIVERS
        for n in counts
    }
    run.note("threads")
    named = {f"{driver} {n}": turn for (driver, n), turn in turns.items()}
    times = epochs.in_turns(named, run.rounds, {})
    rates = {driver: {n: len(task.y) / median(times[f"{driver} {n}"]) for n in counts} for driver in DRIVERS}
    N = len(task.y)
    dense = {n: N * min(n * run.peak.core, run.peak.machine) * 1e9 / task.flop for n in counts}
    sparse = {n: N / sparse_seconds(task.X, HIDDEN, run.peak, n) for n in counts}
    plots.draw("threads", run.folder, drivers=rates, dense=dense, sparse=sparse)
    lines = [
        [
            driver, str(n), duration(median(times[f"{driver} {n}"])), f"{rates[driver][n]:,.0f}",
            f"{paired_ratio(times[f'{driver} 1'], times[f'{driver} {n}']).median:.2f}",
        ]
        for driver in DRIVERS
        for n in counts
    ]  # fmt: skip
    return text(
        f"784-{HIDDEN}-10, batch 100, {run.data.name}.",
        table(["driver", "threads", "epoch", "images/s", "times one thread's speed"], lines),
        "![Images a second against threads](threads.svg)",
        repeat("threads"),
    )


def activations(run: Run) -> str:
    """What the other activations cost."""
    task = Task.of(run.data)
    turns = {
        act: epochs.trainer(kernels, task.X, task.y, threads=run.cores, lr=task.lr, act=act)
        for act in ("relu", "sigmoid", "tanh")
    }
    run.note("activations")
    times = epochs.in_turns(turns, run.rounds, {})
    lines = [
        [act, duration(median(spent)), f"{paired_ratio(spent, times['relu']).median:.2f}"]
        for act, spent in times.items()
    ]
    return text(
        f"784-{HIDDEN}-10, batch 100, {run.data.name}, {threads_of(run.cores)}.",
        table(["", "epoch", "times ReLU"], lines),
        repeat("activations"),
    )


def optimizers(run: Run) -> str:
    """What other steps than plain SGD's cost."""
    lines = []
    X, y = epochs.random_csr(1000 if run.quick else 4000, 100_000, 150)
    for what, rows, classes in ((run.data.name, run.data.X, run.data.y), ("wide CSR", X, y)):
        run.note(f"optimizers: {what}")
        turns = {
            name: epochs.trainer(kernels, rows, classes, threads=run.cores, optimizer=optimizer)
            for name, optimizer in epochs.OPTIMIZERS.items()
        }
        times = epochs.in_turns(turns, run.rounds, {})
        for name, spent in times.items():
            ratio = paired_ratio(spent, times["plain SGD"])
            lines.append(
                [
                    what, name, duration(median(spent)),
                    f"{ratio.median:.2f} ({ratio.low:.2f} - {ratio.high:.2f})",
                ]
            )  # fmt: skip
    return text(
        f"784-{HIDDEN}-10 on {run.data.name}, and {X.shape[0]:,} rows of {X.shape[1]:,} columns with 150 "
        f"non-zeros each; batch 100, {threads_of(run.cores)}. Plain SGD touches the weights of the inputs "
        "that are not 0 alone; every other step moves all of them, which is what wide data pay for.",
        table(["data", "steps", "epoch", "times plain SGD"], lines),
        repeat("optimizers"),
    )


def imports(run: Run) -> str:
    """What a user of another tool gains by changing an import, and what the wrapper costs."""
    folder = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    rounds = 3 if run.quick else 6
    entries = {
        entry.contender.label: entry
        for entry in compare(Task.of(run.data), facades.contenders(run.cores), rounds=rounds, notify=run.note)
    }
    engine, lines = entries[facades.ENGINE], []
    for theirs, (program, _, ours) in facades.PAIRS.items():
        row = [theirs, ours]
        for entry in (entries[theirs], entries[ours]):
            whole = not entry.failure and entry.seconds
            row.append(duration(median(entry.seconds)) if whole else entry.failure)
        if entries[ours].seconds and entries[theirs].seconds:
            gain = paired_ratio(entries[theirs].seconds, entries[ours].seconds)
            row.append(f"{gain.median:.1f} ({gain.low:.1f} - {gain.high:.1f})")
        else:
            row.append("")
        if entries[ours].seconds:
            run.note(f"imports: {ours} over its engine")
            cost = facades.over_engine(
                getattr(facades, f"{program}Ours"), Task.of(run.data), run.cores, rounds
            )
            row.append(f"{median(cost):.3f} ({min(cost):.3f} - {max(cost):.3f})")
            row.append(f"{entries[ours].accuracy:.4f}")
        lines.append(row)
    return text(
        f"The question's net, {facades.EPOCHS} epochs of plain SGD on {run.data.name} as float32 / 255: the "
        f"whole call, from arrays to a trained net, {rounds} rounds in turns; the engine alone, encoding and "
        f"`kernels.train_epoch`, takes {duration(median(engine.seconds))}. *Over its engine*: the whole time "
        "over that of the engine's calls within it, in one process: median, least and most.",
        table(["today", "with", "today's time", "its time", "gain", "over its engine", "accuracy"], lines),
        repeat("imports"),
    )


def dense(run: Run) -> str:
    """Inputs without zeros."""
    N = 2000 if run.quick else 20_000
    inputs = {
        "centred images": (run.data.X[:N], run.data.y[:N]),
        "random normal": epochs.random_normals(N, 784),
    }
    shapes = [("batch size", B, B, HIDDEN) for B in (16, 32, 64, 100, 128, 256)]
    shapes += [("hidden units", H, 100, H) for H in (32, 64, 100, 128, 256, 512, 1024)]
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {extent: {} for extent, *_ in shapes}
    lines = []
    for kind, (X, y) in inputs.items():
        for extent, value, B, H in shapes[:: 3 if run.quick else 1]:
            run.note(f"dense: {kind}, batch {B}, width {H}")
            ours, theirs = epochs.both(
                X, y, run.rounds, run.cores, hidden=H, batch_size=B, center=kind != "random normal"
            )
            flop = dense_flop(X, H, B)
            for who, spent in (("fastmlp", ours), ("reference", theirs)):
                series = panels[extent].setdefault(f"{who}, {kind}", [])
                series.append((value, flop / median(spent) / 1e9))
            ratio = paired_ratio(theirs, ours)
            lines.append(
                [
                    kind, str(B), str(H), duration(median(ours)), duration(median(theirs)),
                    f"{ratio.median:.2f} ({ratio.low:.2f} - {ratio.high:.2f})",
                    f"{flop / median(ours) / 1e9 / run.peak.machine:.0%}",
                ]
            )  # fmt: skip
    plots.draw("dense", run.folder, panels=panels, peak=run.peak.machine)
    return text(
        f"{N:,} samples of 784 inputs, {threads_of(run.cores)}; BLAS has the better of one thread and all. "
        "*Of peak* is the whole epoch, softmax and update included.",
        table(["inputs", "batch", "width", "fastmlp", "reference", "ratio", "of peak"], lines),
        "![GFLOP/s against batch size and width](dense.svg)",
        repeat("dense"),
    )


def start(run: Run) -> str:
    """Starting, compiling, training: the whole process."""
    rounds = 2 if run.quick else 5
    commands = dict(startup.IMPORTS)
    if startup.has_torch():
        commands['python -c "import torch"'] = startup.TORCH
    commands["fastmlp train, 15 epochs"] = startup.TRAIN
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        run.note(f"start: round {turn}")
        for name, command in commands.items():
            spent = startup.seconds(command)
            if turn:
                times[name].append(spent)
    run.note("start: an empty cache")
    pairs = [
        startup.first_and_second([*startup.TRAIN, "--epochs", "1"]) for _ in range(1 if run.quick else 3)
    ]
    first, second = (median(times) for times in zip(*pairs, strict=True))
    lines = [[f"`{name}`", f"{median(spent):.3f} s"] for name, spent in times.items()]
    lines.append(["`fastmlp train --epochs 1`, the first ever: compiles everything", f"{first:.1f} s"])
    lines.append(["the same again", f"{second:.1f} s"])
    return text(
        "Wall time of whole processes, the files in the system's cache, the kernels in ours; medians of "
        f"{rounds}, in turns, and of {len(pairs)} for the two at the end.",
        table(["", "seconds"], lines),
        repeat("start"),
    )


def memory(run: Run) -> str:
    """The peak of a training."""
    run.note("memory")
    found = startup.memory()
    return text(
        f"`fastmlp.fit` on {run.data.name}, tested each epoch: at its peak the process has "
        f"{found['over']:.0f} MiB over the {found['before']:.0f} MiB that it had before it read the "
        f"{found['data']:.0f} MiB of training pixels.",
        repeat("memory"),
    )


def wide(run: Run) -> str:
    """Sparse data with very many columns."""
    N, D, per_row, K, H = (1000 if run.quick else 4000), 100_000, 150, epochs.CLASSES, HIDDEN
    about = (
        f"{N:,} rows of {D:,} columns in scipy's CSR, {per_row} non-zeros each, {H} hidden units, batch 100."
    )
    try:
        X, y = epochs.random_csr(N, D, per_row)
        turns = {"fastmlp": epochs.trainer(kernels, X, y, threads=run.cores)}
    except (ImportError, DataError) as problem:
        return text(about, f"Not supported here: {problem}", repeat("wide"))
    run.note("wide")
    spent = epochs.in_turns(turns, run.rounds, {})["fastmlp"]
    lines = [["fastmlp", duration(median(spent)), f"{median(spent) / X.nnz * 1e9:.1f} ns", ""]]
    digits = epochs.trainer(kernels, run.data.X, run.data.y, threads=run.cores)
    nonzeros = int(np.count_nonzero(run.data.X))
    beside = median(epochs.in_turns({"digits": digits}, run.rounds, {})["digits"])
    try:
        from sklearn.neural_network import MLPClassifier
    except ImportError:
        lines.append(["scikit-learn, partial_fit", "not installed", "", ""])
    else:
        net = MLPClassifier(H, solver="sgd", alpha=0.0, batch_size=100, learning_rate_init=1e-3, momentum=0.0)
        classes = range(K)
        theirs = epochs.in_turns(
            {"sklearn": lambda: net.partial_fit(X, y, classes=classes)},
            min(3, run.rounds),
            {"sklearn": run.cores},
        )["sklearn"]
        lines.append(
            [
                "scikit-learn, partial_fit", duration(median(theirs)), f"{median(theirs) / X.nnz * 1e9:.1f} "
                "ns",
                f"{median(theirs) / median(spent):.1f}",
            ]
        )  # fmt: skip
    lines.append([f"fastmlp on {run.data.name}", duration(beside), f"{beside / nonzeros * 1e9:.1f} ns", ""])
    return text(about, table(["", "epoch", "a non-zero", "times fastmlp"], lines), repeat("wide"))


def prediction(run: Run) -> str:
    """Answers: many at once, and one."""
    run.note("prediction")
    X = run.data.X_test
    architecture = Architecture(X.shape[1], (Layer(HIDDEN),), 10)
    net = Net(architecture, epochs.weights(X.shape[1], HIDDEN), Preprocessing(255))
    lines = []
    for N in (len(X), 1):
        turns: dict[str, epochs.Turn] = {}
        for n in sorted({1, run.cores}):
            turns[f"fastmlp, {threads_of(n)}"] = lambda t=n, n=N: kernels.predict_proba(net, X[:n], threads=t)
        for n in sorted({1, run.cores}):
            turns[f"reference, {threads_of(n)} of BLAS"] = lambda n=N: reference.predict_proba(net, X[:n])
        blas = {f"reference, {threads_of(n)} of BLAS": n for n in (1, run.cores)}
        for name, spent in epochs.in_turns(turns, run.rounds, blas).items():
            lines.append([f"{N:,}", name, duration(median(spent)), f"{N / median(spent):,.0f}"])
    return text(
        f"`predict_proba` of 784-{HIDDEN}-10 on {run.data.name}, called from Python, warm.",
        table(["images", "", "a call", "images/s"], lines),
        repeat("prediction"),
    )


def many(run: Run) -> str:
    """Independent nets, one a core, against one core and against processes of PyTorch."""
    rounds, nets = (2 if run.quick else 6), 2 * run.cores
    has_torch = startup.has_torch()
    times: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        torch = (
            stack.enter_context(many_nets.TorchProcesses.ready(run.data, run.cores)) if has_torch else None
        )
        for turn in range(rounds + 1):
            run.note(f"many: round {turn}")
            spent = {
                f"fastmlp, {n} at a time": many_nets.ours(run.data, nets, n) / nets
                for n in sorted({1, run.cores})
            }
            if torch:
                spent[f"PyTorch, {run.cores} processes of one thread"] = torch.seconds_a_net()
            for name, seconds in spent.items() if turn else ():
                times.setdefault(name, []).append(seconds)
    best = times[f"fastmlp, {run.cores} at a time"]
    lines = []
    for name, spent_by in times.items():
        ratio = paired_ratio(spent_by, best)
        lines.append(
            [
                name, duration(median(spent_by)), duration(min(spent_by)),
                f"{ratio.median:.2f} ({ratio.low:.2f} - {ratio.high:.2f})",
            ]
        )  # fmt: skip
    return text(
        f"Nets of 784-{HIDDEN}-10 on {run.data.name}, {many_nets.EPOCHS} epochs each, tested after each: "
        f"{nets} by `fit_many` a round, its encoding of the data inside the clock; PyTorch's processes have "
        f"theirs in memory before it starts. Medians of {rounds} rounds, in turns. *Times* is against "
        "fit_many on all cores.",
        table(["", "seconds a net", "fastest", "times"], lines),
        repeat("many"),
    )


SECTIONS: dict[str, tuple[str, Callable[[Run], str]]] = {
    "rivals": ("Beside other tools", rivals),
    "threads": ("Threads and drivers", threads),
    "many": ("Many nets", many),
    "imports": ("Changing an import", imports),
    "activations": ("Activations", activations),
    "optimizers": ("Optimizers", optimizers),
    "scaling": ("How cost grows", scaling),
    "dense": ("Dense inputs", dense),
    "wide": ("Wide sparse data", wide),
    "prediction": ("Prediction", prediction),
    "start": ("Start", start),
    "memory": ("Memory", memory),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure fastmlp, and write RESULTS.md with its pictures.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and sizes: minutes, and noisy")
    parser.add_argument("--only", choices=SECTIONS, help="this section, printed; RESULTS.md stays as it is")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder for what is written")
    options = parser.parse_args()
    cores = available_cores()
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(load("auto"), options.quick, measure(cores), cores, options.out)
    if options.only:
        sys.stdout.write(SECTIONS[options.only][1](run) + "\n")
        return
    given = [f"--{name}" for name in ("quick",) if getattr(options, name)]
    parts = [heading(shlex.join(["python", "bench/results.py", *given]), run.peak.machine, run.data.name)]
    parts += [text(f"## {title}", section(run)) for title, section in SECTIONS.values()]
    (options.out / "RESULTS.md").write_text(text(*parts) + "\n")


if __name__ == "__main__":
    main()
