"""Every figure that README.md and docs/ take from somewhere is the one that stands, or is measured, there.

bench/RESULTS.md is the home of what was timed: the pages round it. What a seed decides is computed again.
The question's table has its own test (test_question.py), which trains it; what commands print is held by
test_examples.py.
"""

from __future__ import annotations

import json
import re

import pytest
from pages import ROOT, text, words

from fastmlp.data import load
from fastmlp.study import experiments, measures

RESULTS = (ROOT / "bench" / "RESULTS.md").read_text()
SAME = {"the NumPy reference, in place": "NumPy reference"}  # on a page, and in its home
BENCHMARKS, SPEED, QUESTION = "docs/benchmarks.md", "docs/speed.md", "docs/question.md"


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of each line of the table whose header begins so, without the header."""
    lines = text[text.index(first) :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def section(name: str) -> str:
    """That section of RESULTS.md."""
    return RESULTS.split(f"\n## {name}\n")[1].split("\n## ")[0]


def figure(text: str) -> float:
    """The first number in a cell."""
    return float(re.findall(r"[\d,]+\.?\d*", text)[0].replace(",", ""))


def rounds_to(exact: float, shown: str) -> bool:
    """Whether ``shown`` is ``exact``, rounded to as many digits as it has."""
    step = 10.0 ** -len(shown.partition(".")[2])
    digits = shown.replace(",", "")
    if "." not in digits:
        step = 10.0 ** (len(digits) - len(digits.rstrip("0")))
    return abs(exact - figure(shown)) <= step / 2 * 1.001


def sentence(page: str, pattern: str) -> tuple[str, ...]:
    """The figures of a sentence of a page; each group of the pattern is one."""
    found = re.findall(pattern, words(page))
    assert len(found) == 1, pattern
    return found[0] if isinstance(found[0], tuple) else (found[0],)


def test_rounding_goes_red():
    assert rounds_to(10.68, "11")
    assert rounds_to(1_570_870, "1,570,000")
    assert not rounds_to(1_570_870, "1,560,000")
    assert rounds_to(0.0851, "0.085")
    assert not rounds_to(10.68, "10.6")
    assert not rounds_to(10.68, "12")


def cell(name: str, header: str, *first: str) -> tuple[list[str], int]:
    """The row of that section's table that begins with these cells; and where its column of figures is."""
    (row,) = [row for row in rows(section(name), header) if tuple(row[: len(first)]) == first]
    return row, len(first)


@pytest.mark.parametrize("page", ["README.md", BENCHMARKS])
def test_the_table_of_speed(page):
    home = {row[0]: row for row in rows(section("Beside other tools"), "|  | threads")}
    shown = rows(text(page), "| | epoch | images/s")
    assert len(shown) == len(home) - 1  # prange is an option of ours, not another tool
    for name, epoch, images, accuracy, times in shown:
        row = home[SAME.get(name, name)]
        assert epoch == row[2]
        assert rounds_to(figure(row[4]), images), row
        assert accuracy == row[5]
        assert rounds_to(figure(row[6]), times), row


@pytest.mark.parametrize("page", ["README.md", BENCHMARKS])
def test_the_rounds_are_counted(page):
    home = section("Beside other tools")
    (rounds,) = sentence(page, r"medians of (\d+) rounds")
    assert f": {rounds} rounds" in home
    (epochs,) = sentence(page, r"after all (?:their )?(\d+) epochs")
    assert (
        "after three epochs that do not count. A turn is an epoch that wakes threads and caches and one"
        in home
    )
    assert int(epochs) == 3 + 2 * int(rounds)


def test_the_sentences_about_speed():
    home = section("Beside other tools")
    limit = figure(home.split("cannot take less than ")[1])
    peak, floor = sentence(
        BENCHMARKS, r"measured peak of these cores \((\d+) GFLOP/s\),.*? less than (\d+) ms"
    )
    assert f"{peak} GFLOP/s at its measured peak" in RESULTS
    assert rounds_to(limit, floor)
    fastest = {row[0]: row[3] for row in rows(home, "|  | threads")}
    ours, jax = sentence(BENCHMARKS, r"fastest epochs of the run above: fastmlp ([\d.]+) ms, JAX (\d+) ms")
    assert (f"{ours} ms", f"{jax} ms") == (fastest["fastmlp, 2 threads"], fastest["JAX, jit + scan"])
    epoch, floor = sentence(SPEED, r"takes fastmlp ([\d.]+) ms on two cores.*?not take less than ([\d.]+) ms")
    assert f"{epoch} ms" == {row[0]: row[2] for row in rows(home, "|  | threads")}["fastmlp, 2 threads"]
    assert rounds_to(limit, floor)
    (sparse,) = sentence(SPEED, r"multiply-adds of an epoch need (\d+) ms")
    assert f"its limit, {sparse} ms" in home


def test_the_sentences_about_imports_and_optimizers():
    imports = rows(section("Changing an import"), "| today | with")
    gains = sentence(
        BENCHMARKS,
        r"scikit-learn needs ([\d.]+) times as long .*? Keras on TensorFlow ([\d.]+) times .*? "
        r"PyTorch ([\d.]+) times as long",
    )
    costs = sentence(BENCHMARKS, r"wrappers take ([\d.]+), ([\d.]+) and ([\d.]+) % more than the engine")
    for row, gain, cost in zip(imports, gains, costs, strict=True):
        assert rounds_to(figure(row[4]), gain), row
        assert rounds_to(100 * (figure(row[5]) - 1), cost), row
    steps = {(row[0], row[1]): figure(row[3]) for row in rows(section("Optimizers"), "| data | steps")}
    figures = sentence(
        BENCHMARKS, r"Momentum costs ([\d.]+) and Adam ([\d.]+) times .*? ([\d.]+) and ([\d.]+) times where"
    )
    homes = [(data, step) for data in ("mnist", "wide CSR") for step in ("momentum", "Adam")]
    for home, shown in zip(homes, figures, strict=True):
        assert rounds_to(steps[home], shown), home


@pytest.mark.parametrize(
    ("page", "pattern", "homes"),
    [
        (
            SPEED, r"takes ([\d.]+) ms with 1 % of the inputs not zero, and ([\d.]+) ms with all",
            [("How cost grows", "|  |  | fastmlp", "share of non-zero inputs", of) for of in ("0.01", "1")],
        ),
        (
            SPEED, r"reaches (\d+) % of the peak .*? and (\d+) % with 1,024",
            [("Dense inputs", "| inputs | batch", "random normal", "100", H) for H in ("128", "1024")],
        ),
        (SPEED, r"Two threads have ([\d.]+) times", [("Threads and drivers", "| driver", "team", "2")]),
        (BENCHMARKS, r"Two threads have ([\d.]+) times", [("Threads and drivers", "| driver", "team", "2")]),
        (
            SPEED, r"plain SGD takes ([\d.]+) ms there, .*? takes (\d+) ms",
            [("Optimizers", "| data | steps", "wide CSR", steps) for steps in ("plain SGD", "Adam")],
        ),
        (
            SPEED, r"batches of 4 take ([\d.]+) ms an epoch, batches of 512 take ([\d.]+) ms",
            [("How cost grows", "|  |  | fastmlp", "batch size", size) for size in ("4", "512")],
        ),
        (
            BENCHMARKS, r"\(([\d.]+) times the reference's speed in batches of 4\)",
            [("How cost grows", "|  |  | fastmlp", "batch size", "4")],
        ),
        (
            BENCHMARKS, r"\(([\d.]+) times on random numbers in batches of 256\)",
            [("Dense inputs", "| inputs | batch", "random normal", "256", "100")],
        ),
        (
            BENCHMARKS, r"with 100 samples in all, .*? has ([\d.]+) times the reference's",
            [("How cost grows", "|  |  | fastmlp", "samples", "100")],
        ),
        (
            BENCHMARKS, r"`fit_many` takes (\d+) ms a net .*? takes ([\d.]+) times as long",
            [
                ("Many nets", "|  | seconds", "fastmlp, 2 at a time"),
                ("Many nets", "|  | seconds", "PyTorch, 2 processes of one thread"),
            ],
        ),
        (
            BENCHMARKS, r"Predicting one row takes (\d+) µs, and 10,000 rows take ([\d.]+) ms",
            [
                ("Prediction", "| images", "1", "fastmlp, 1 thread"),
                ("Prediction", "| images", "10,000", "fastmlp, 2 threads"),
            ],
        ),
        (SPEED, r"is answered in (\d+) µs", [("Prediction", "| images", "1", "fastmlp, 1 thread")]),
    ],
)  # fmt: skip
def test_sentences_with_a_figure_of_a_table(page, pattern, homes):
    """The figure is one in the row: a time, a ratio or a share."""
    for shown, home in zip(sentence(page, pattern), homes, strict=True):
        row, first = cell(*home)
        assert any(rounds_to(figure(value), shown) for value in row[first:] if figure_in(value)), row


def figure_in(value: str) -> bool:
    """Whether a cell holds a number."""
    return re.search(r"\d", value) is not None


def test_the_sentences_about_start_and_memory():
    start = {row[0]: figure(row[1]) for row in rows(section("Start"), "|  | seconds")}
    cost, warm, first = sentence(
        BENCHMARKS,
        r"costs (\d+) ms over a bare Python, .*? epochs takes ([\d.]+) s, .*? for ([\d.]+) s in all",
    )
    bare, light = start["`python -c pass`"], start['`python -c "import fastmlp"`']
    assert rounds_to(1000 * (light - bare), cost)
    assert rounds_to(start["`fastmlp train, 15 epochs`"], warm)
    assert abs(start['`python -c "import torch"`'] - start["`fastmlp train, 15 epochs`"]) < 0.2
    assert rounds_to(next(value for name, value in start.items() if "compiles everything" in name), first)
    for page, pattern in ((BENCHMARKS, r"needs (\d+) MiB beyond"), (SPEED, r"takes (\d+) MiB beyond")):
        (memory,) = sentence(page, pattern)
        assert f"has {memory} MiB over" in section("Memory")
    (pixels,) = sentence(BENCHMARKS, r"before it read the (\d+) MiB of pixels")
    assert f"the {pixels} MiB of training pixels" in section("Memory")


def test_the_share_of_zeros(mnist_folder):
    (share,) = sentence(SPEED, r"(\d+) % of MNIST's pixels are 0")
    assert rounds_to(100 * float((load(mnist_folder).X == 0).mean()), share)


def test_the_study_trains_that_many_nets():
    whole, quick = sentence(QUESTION, r"trains ([\d,]+) nets: .*?`--quick` trains (\d+)")
    assert f"{len(experiments.Plan().trainings()):,}" == whole
    assert str(len(experiments.quick(experiments.Plan().seeds).trainings())) == quick
    assert sentence("README.md", r"from ([\d,]+) nets") == (whole,)


@pytest.mark.parametrize(
    ("act", "pattern"), [("relu", r"surface is curved ([\d,]+)"), ("sigmoid", r"stays at (\d+)")]
)
def test_the_curvatures(mnist_folder, act, pattern):
    (shown,) = sentence(QUESTION, pattern)
    measured = measures.curvature(load(mnist_folder), 1.0, act, experiments.Plan().images)
    assert rounds_to(measured, shown), measured


def test_the_pictures_show_the_numbers_of_the_tables():
    """bench/figures.json, which pictures are drawn from, against RESULTS.md; what it has more are limits."""
    kept = json.loads((ROOT / "bench" / "figures.json").read_text())
    home = rows(section("Beside other tools"), "|  | threads")
    assert [(row["label"], f"{row['rate']:,}") for row in kept["rivals"]["rows"]] == [
        (row[0], row[4]) for row in home
    ]
    for row, shown in zip(kept["rivals"]["rows"], home, strict=True):
        assert shown[6].startswith(f"{row['times']:.2f} ")
    for driver, threads, _, rate, _ in rows(section("Threads and drivers"), "| driver"):
        assert f"{kept['threads']['drivers'][driver][threads]:,}" == rate
    cost = rows(section("How cost grows"), "|  |  | fastmlp")
    shown = [(name, *point) for name, points in kept["scaling"]["panels"].items() for point in points]
    assert len(shown) == len(cost)
    for (name, x, ours, numpy, times, _), row in zip(shown, cost, strict=True):
        assert (name, f"{x:,g}", f"{times:.2f}") == (row[0], row[1], row[4])
        assert [seconds(row[2]), seconds(row[3])] == pytest.approx([ours, numpy])
    dense = rows(section("Dense inputs"), "| inputs | batch")
    for kind, batch, width, *_, share in dense:
        rates = [
            rate
            for extent, value in (("batch size", batch), ("hidden units", width))
            for x, rate in kept["dense"]["panels"][extent][f"fastmlp, {kind}"]
            if x == float(value) and float({"batch size": width, "hidden units": batch}[extent]) == 100
        ]
        assert any(abs(100 * rate / kept["dense"]["peak"] - figure(share)) <= 0.6 for rate in rates), (
            kind,
            batch,
            width,
        )


def seconds(text: str) -> float:
    """Of a cell with a time."""
    return figure(text) * {"s": 1.0, "ms": 1e-3, "µs": 1e-6}[text.split()[1]]
