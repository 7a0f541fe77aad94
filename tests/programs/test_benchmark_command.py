"""``fastmlp bench`` as a person meets it: the table, the JSON, exit codes, Ctrl-C."""

from __future__ import annotations

import itertools
import math
import os
import signal
import statistics
import sys
import threading
from pathlib import Path

import pytest
from cli_runs import run, save_blobs, start, strict
from fastmlp_cli.bench import table

from fastmlp.benchmark.report import Report, Row
from fastmlp.benchmark.statistics import Ratio


@pytest.mark.slow
def test_json_says_everything(tmp_path):
    result = run(
        "bench", "--json", "--rounds", 7, "--rivals", "numpy", "--threads", 2, "--data", save_blobs(tmp_path)
    )
    assert result.exit_code == 0
    report = strict(result.stdout)
    assert {entry["label"] for entry in report["contenders"]} == {
        "fastmlp, 1 thread", "fastmlp, 2 threads", "fastmlp, 2 threads, prange", "NumPy reference",
    }  # fmt: skip
    for entry in report["contenders"]:
        assert len(entry["seconds"]) == 7
        assert all(seconds > 0 for seconds in entry["seconds"])
        assert entry["test_accuracy"] > 0.3
        assert entry["failure"] is None
    by_label = {entry["label"]: entry for entry in report["contenders"]}
    assert len({entry["test_accuracy"] for entry in report["contenders"]}) == 1  # the same training
    best = report["rows"][0] if report["rows"][0]["name"] == "fastmlp" else report["rows"][1]
    for row in report["rows"]:
        seconds = by_label[row["label"]]["seconds"]
        assert row["seconds"] == pytest.approx(statistics.median(seconds))
        assert row["samples_per_second"] == pytest.approx(300 / row["seconds"])
        ratios = [a / b for a, b in zip(seconds, by_label[best["label"]]["seconds"], strict=True)]
        assert row["ratio"]["median"] == pytest.approx(statistics.median(ratios))
        assert row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]
        rate = report["flop_per_epoch"] / row["seconds"] / 1e9
        assert row["share"] == pytest.approx(rate / report["peak"]["machine"])
    assert report["machine"]["cpu"]
    assert report["versions"]["numpy"]
    assert report["options"]["rounds"] == 7
    assert report["data"]["shape"] == [300, 64]
    assert "round 7/7" in result.stderr


@pytest.mark.slow
def test_peak_is_plausible():
    from fastmlp.benchmark.peak import measure

    peak = measure(1)
    assert 0.2 < peak.core < 1000  # on whatever machine, beside whatever else
    assert peak.machine == peak.core
    assert all(load > 0.05 for load in peak.loads.values())


class OwnTime(threading.local):
    """A clock for each thread."""

    now = 0.0

    def perf_counter(self):
        return self.now


def test_several_cores_are_timed_together(monkeypatch):
    """From when the first begins until the last is done, by clocks that go on with each one's work."""
    from fastmlp.benchmark import peak

    clock, gone, paces = OwnTime(), [], itertools.cycle([1e-3, 2e-3, 3e-3])
    monkeypatch.setattr(peak, "time", clock)

    def work(turns):
        alone = threading.current_thread() is threading.main_thread()
        clock.now += turns * (1e-3 if alone else next(paces))
        gone.append(turns)

    assert peak._rate(work, 3) == pytest.approx(
        1000
    )  # of three thousand: the slowest takes three times as long
    assert set(gone[-3:]) == {32}  # of a try of 0.02 s


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--rounds", 6], "rounds must be a whole number from 7 to 10,000; got 6"),
        (
            ["--rivals", "numpy,pytorch"],
            "rivals must be one of numpy, torch, jax, sklearn, keras; got 'pytorch'",
        ),
        (["--threads", 0], "threads must be a whole number from 1"),
    ],
)
def test_wrong_usage(args, message, tmp_path):
    result = run("bench", *args, "--data", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_all_wrong_values_at_once():
    result = run("bench", "--rounds", 1, "--rivals", "x", "--threads", "y")
    assert len(result.stderr.splitlines()) == 3


def test_missing_data(tmp_path):
    result = run("bench", "--data", tmp_path / "nowhere")
    assert result.exit_code == 4


def test_table_shows_losers_winners_and_failures():
    class Peak:
        cores, core, machine = 2, 97.0, 194.0

    rows = [
        Row("jax", "JAX", 2, 0.05, 1.2e6, 0.934, Ratio(0.5, 0.45, 0.6), 1.9, 0.04),
        Row("fastmlp", "fastmlp, 2 threads", 2, 0.1, 6e5, 0.934, Ratio(1, 1, 1), 0.99, 0.09),
        Row("torch", "PyTorch, eager", 1, 0.78, 77e3, 0.935, Ratio(7.8, 7.1, 8.2), 0.127, 0.7),
        Row("keras", "Keras", 2, failure="not installed: keras"),
    ]
    report = Report(
        rows,
        [],
        Peak,
        {"cpu": "a machine"},
        {},
        {"rounds": 7},
        {"name": "mnist", "shape": [60_000, 784]},
        19.3e9,
    )
    lines = table(report)
    assert lines[1].split() == [
        "JAX",
        "2",
        "0.0500",
        "0.0400",
        "1,200,000",
        "0.9340",
        "0.50",
        "(0.45",
        "-",
        "0.60)",
        "190.0%",
    ]
    assert lines[3].endswith(" 12.7%")
    assert lines[4].endswith("not installed: keras")
    assert len({len(line) for line in lines[:4]}) == 1
    assert "194 GFLOP/s on 2 cores (97 on one); a dense epoch takes at least 0.09948 s" in lines[6]
    assert math.isclose(report.floor, 19.3 / 194)


def children(pid):
    """Process ids of the children of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda sent: sent.name)
def test_a_signal_leaves_no_process(tmp_path, sent):
    process = start("bench", "--rivals", "numpy", "--rounds", 10_000, "--data", save_blobs(tmp_path))
    for line in process.stderr:
        if "round 1/" in line:
            break
    workers = children(process.pid)
    assert len(workers) >= 2
    process.send_signal(sent)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + sent
    assert out == ""
    assert err.endswith("Interrupted.\n" if sent == signal.SIGINT else f"Ended by {sent.name}.\n")
    assert "Traceback" not in err
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
