"""Every figure that the README takes from somewhere is the one that stands, or is measured, there.

bench/RESULTS.md is the home of what was timed: the README rounds it. What a seed decides is computed again.
The question's table has its own test (test_question.py), which trains it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_runs import run

from fastmlp.data import load
from fastmlp.study import experiments, measures

ROOT = Path(__file__).parents[2]
README = " ".join((ROOT / "README.md").read_text().split())
RESULTS = (ROOT / "bench" / "RESULTS.md").read_text()
SAME = {"the NumPy reference, in place": "NumPy reference"}  # in the README, and in its home


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


def sentence(pattern: str) -> tuple[str, ...]:
    """The figures of a sentence of the README; each group of the pattern is one."""
    found = re.findall(pattern, README)
    assert len(found) == 1, pattern
    return found[0] if isinstance(found[0], tuple) else (found[0],)


def test_rounding_goes_red():
    assert rounds_to(10.68, "11")
    assert rounds_to(1_570_870, "1,570,000")
    assert not rounds_to(1_570_870, "1,560,000")
    assert rounds_to(0.0851, "0.085")
    assert not rounds_to(10.68, "10.6")
    assert not rounds_to(10.68, "12")


def test_the_table_of_speed():
    home = {row[0]: row for row in rows(section("Beside other tools"), "|  | threads")}
    shown = rows((ROOT / "README.md").read_text(), "| | epoch | images/s")
    assert len(shown) == len(home) - 1  # prange is an option of ours, not another tool
    for name, epoch, images, accuracy, times in shown:
        row = home[SAME.get(name, name)]
        assert epoch == row[2]
        assert rounds_to(figure(row[4]), images), row
        assert accuracy == row[5]
        assert rounds_to(figure(row[6]), times), row


def test_the_sentences_about_speed():
    home = section("Beside other tools")
    (rounds,) = sentence(r"medians of (\d+) rounds")
    assert f": {rounds} rounds" in home
    peak, floor = sentence(r"measured peak of these cores \((\d+) GFLOP/s\) .*? less than (\d+) ms")
    assert f"{peak} GFLOP/s at its measured peak" in RESULTS
    assert rounds_to(figure(home.split("cannot take less than ")[1]), floor)
    ours, jax = sentence(r"fastest epochs of that run: fastmlp ([\d.]+) ms, JAX (\d+) ms")
    fastest = {row[0]: row[3] for row in rows(home, "|  | threads")}
    assert (f"{ours} ms", f"{jax} ms") == (fastest["fastmlp, 2 threads"], fastest["JAX, jit + scan"])


def test_the_sentences_about_imports_and_optimizers():
    imports = rows(section("Changing an import"), "| today | with")
    gains = sentence(
        r"scikit-learn needs ([\d.]+) times as long .*? Keras on TensorFlow ([\d.]+) times .*? "
        r"PyTorch ([\d.]+) times as long"
    )
    costs = sentence(r"the wrappers take ([\d.]+), ([\d.]+) and ([\d.]+) % more than the engine")
    for row, gain, cost in zip(imports, gains, costs, strict=True):
        assert rounds_to(figure(row[4]), gain), row
        assert rounds_to(100 * (figure(row[5]) - 1), cost), row
    steps = {(row[0], row[1]): figure(row[3]) for row in rows(section("Optimizers"), "| data | steps")}
    figures = sentence(
        r"Momentum costs ([\d.]+) and Adam ([\d.]+) times .*? epoch, ([\d.]+) and ([\d.]+) times"
    )
    homes = [(data, step) for data in ("mnist", "wide CSR") for step in ("momentum", "Adam")]
    for home, shown in zip(homes, figures, strict=True):
        assert rounds_to(steps[home], shown), home


def test_the_study_trains_that_many_nets():
    whole, quick = sentence(r"`fastmlp study` measures all of it on ([\d,]+) nets.*?`--quick` trains (\d+)")
    assert f"{len(experiments.Plan().trainings()):,}" == whole
    assert str(len(experiments.quick(experiments.Plan().seeds).trainings())) == quick


@pytest.mark.parametrize(
    ("act", "text"), [("relu", r"surface is curved ([\d,]+)"), ("sigmoid", r"stays at (\d+)")]
)
def test_the_curvatures(mnist_folder, act, text):
    (shown,) = sentence(text)
    measured = measures.curvature(load(mnist_folder), 1.0, act, experiments.Plan().images)
    assert rounds_to(measured, shown), measured


@pytest.mark.slow
def test_the_diagnosis_of_raw_pixels(mnist_folder, monkeypatch):
    """The README's example is what the command prints, but for the verdict that follows."""
    monkeypatch.setenv("FASTMLP_DATA", str(mnist_folder))
    command, example = re.findall(
        r"^\$ fastmlp (diagnose .*?)\n(.*?)```", (ROOT / "README.md").read_text(), re.M | re.S
    )[0]
    result = run(*command.split(), "--seconds", "600")  # so that a busy machine cuts nothing short
    assert result.exit_code == 1
    assert result.output.startswith(example)
