"""bench/predictions.py: its cases and tools compute the same, and where fastmlp is behind it says so."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"
HEAVY = ("pytorch-compile", "keras-tensorflow", "keras-jax")  # seconds to import, or to compile


@pytest.fixture
def program(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.delenv("FASTMLP_DATA", raising=False)
    import predictions

    yield predictions
    for name in ("predictions", "predictors", "markdown"):
        sys.modules.pop(name, None)


TOOLS = [
    "onnxruntime",
    "scikit-learn",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("pytorch-eager", "pytorch-script")),
]
NEEDS = {"onnxruntime": "onnx", "scikit-learn": "sklearn"}


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("name", ["mnist-bytes", "dense-float32", "dense-float64", "digits-float64"])
def test_every_tool_computes_the_same(program, tool, name):
    pytest.importorskip(NEEDS.get(tool, "torch"))
    pytest.importorskip("sklearn")
    given = program.case(name, 60)
    want = program.TOOLS["fastmlp"].make(given, 1)(given.X)
    assert want.sum(axis=1) == pytest.approx(1)
    call = program.TOOLS[tool].make(given, 1)
    try:
        assert abs(call(given.X) - want).max() < program.AGREE
        assert call(given.X[:1]).shape == (1, want.shape[1])
    finally:
        if hasattr(call, "limits"):
            call.limits.restore_original_limits()


def test_cases_are_what_the_page_says(program):
    pytest.importorskip("sklearn")
    for name in program.CASES:
        given = program.case(name, 12)
        assert len(given.X) == 12
        assert str(given.X.dtype) == {"bytes": "uint8"}.get(name.split("-")[1], name.split("-")[1])
        assert 0.1 < (given.X != 0).mean() <= (1 if "mnist" not in name else 0.3)


def timed(program, **seconds):
    of = {(tool.replace("_", "-"), threads, 5): [s] for (tool, s) in seconds.items() for threads in (1, 2)}
    of["onnxruntime", 2, 5] = [9.0]
    return program.Timed("case", of)


def test_the_comparison_goes_red(program):
    for mine, other, behind in ((1.0, 2.0, 0), (2.0, 1.0, 1), (1.0, 1.0, 1), (float("nan"), 1.0, 1)):
        found = timed(program, fastmlp=mine, onnxruntime=other)
        assert len(found.behind((5,))) == behind
        assert found.behind((8,)) == []
    assert timed(program, onnxruntime=1.0).behind((5,)) == ["case, 5 rows: onnxruntime"]
    assert timed(program, fastmlp=1.0, onnxruntime=2.0).best("onnxruntime", 5) == (2.0, 1)
    lines = timed(program, fastmlp=1.0, onnxruntime=0.5).lines((5, 8))
    assert "| the best other / fastmlp | 0.50x | - |" in lines


class Fake:
    """A tool's process that always takes as long."""

    def __init__(self, tool, seconds):
        self.tool, self.threads, self.seconds, self.process = tool, (1, 2), seconds, self

    def ask(self, what, name, threads, n):
        if self.seconds is None:
            return "ImportError: no such thing"
        return self.seconds / threads if what == "time" else np.full((3, 2), 0.5)

    def kill(self):
        pass


@pytest.mark.parametrize(("other", "ended"), [(2.0, 0), (0.5, 1), (None, 0)])
def test_the_program_ends_with_1_where_fastmlp_is_behind(program, monkeypatch, capsys, other, ended):
    monkeypatch.setattr(program, "PAUSE", 0)
    fakes = [Fake("fastmlp", 1.0), Fake("onnxruntime", other)]
    monkeypatch.setattr(program, "started", lambda tools: fakes)
    options = ["--only", "models", "--cases", "dense-float32", "--tools", "onnxruntime,keras-jax"]
    monkeypatch.setattr(sys, "argv", ["predictions.py", *options, "--rows", "1,5", "--rounds", "2"])
    with pytest.raises(SystemExit) as caught:
        program.main()
    told = capsys.readouterr().out
    assert int(caught.value.code or 0) == ended
    assert "keras-jax: not installed" in told
    assert ("behind: dense-float32, 5 rows: onnxruntime" in told) == bool(ended)
    assert ("no such thing" in told) == (other is None)


def test_a_tool_that_differs_takes_no_part(program):
    class Other(Fake):
        def ask(self, what, name, threads, n):
            return np.full((3, 2), 0.4) if what == "case" else 1.0

    found = program.compared("case", [Fake("fastmlp", 1.0), Other("onnxruntime", 1.0)], (1,), 1)
    assert "differ" in found.problems["onnxruntime"]
    assert {tool for tool, _, _ in found.seconds} == {"fastmlp"}


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["onnxruntime", *HEAVY])
def test_the_program_runs(tool):
    needs = {"onnxruntime": "onnxruntime", "pytorch-compile": "torch"}.get(tool, "keras")
    if find_spec(needs) is None:
        pytest.skip(f"needs {needs}")
    options = ["--only", "models", "--cases", "dense-float32", "--tools", tool, "--rows", "1,8"]
    ended = subprocess.run(
        [sys.executable, str(BENCH / "predictions.py"), *options, "--rounds", "1"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode in (0, 1), ended.stderr  # 1: behind, on a machine that does something else
    assert f"\n| {tool} |" in ended.stdout
    assert f"{tool}: " not in ended.stdout.replace("rows: ", "")
