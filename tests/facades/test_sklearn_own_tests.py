"""scikit-learn's own tests of its multilayer perceptrons, with the import changed, in their own process.

The file is read from the scikit-learn that is installed, and nothing else of it is changed. Two kinds of
tests are left out, each by name: those that compare the words of an error, and those that call private
methods. They run all the same, and must fail for that reason alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

import sklearn

THEIRS = "from sklearn.neural_network import MLPClassifier, MLPRegressor\n"
OURS = "from fastmlp import MLPClassifier, MLPRegressor\n"

COMPARE_WORDS = {
    "test_warm_start": "an error of the same class, which names the same classes",
}
CALL_PRIVATE = {
    "test_gradient": "calls _loss_grad_lbfgs; gradients are held against central differences elsewhere",
}
REASONS = {**dict.fromkeys(COMPARE_WORDS, "Regex pattern did not match"),
           **dict.fromkeys(CALL_PRIVATE, "has no attribute '_")}  # fmt: skip
FAULTS = ("failure", "error", "skipped")
FEWEST = 55  # tests in scikit-learn 1.9.1: 59


def their_text() -> str:
    """The text of their tests with the import changed."""
    path = Path(sklearn.__file__).parent / "neural_network" / "tests" / "test_mlp.py"
    if not path.is_file():
        pytest.fail(
            f"scikit-learn {sklearn.__version__} is installed without its tests: {path} is not there."
        )
    text = path.read_text(encoding="utf-8")
    if text.count(THEIRS) != 1:
        pytest.fail(f"{path} imports the estimators in another way than {THEIRS!r}.")
    return text.replace(THEIRS, OURS)


def outcomes_of(folder: Path, text: str) -> dict[str, str]:
    """By the name of each test what it failed with, or nothing."""
    (folder / "test_mlp.py").write_text(text, encoding="utf-8")
    report = folder / "report.xml"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", folder,
         "-p", "sklearn.conftest", "-p", "no:cacheprovider", f"--junitxml={report}", folder / "test_mlp.py"],
        cwd=folder, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        told = [f"{part.get('message')}\n{part.text}" for part in case if part.tag in FAULTS]
        outcomes[case.get("name", "")] = "\n".join(told)
    return outcomes


def faults(outcomes: dict[str, str]) -> list[str]:
    """What is not as it must be: all pass, but those that are listed, which fail for the reason told."""
    found = [
        f"{name} is not there" for name in REASONS if name not in {key.partition("[")[0] for key in outcomes}
    ]
    if len(outcomes) < FEWEST:
        found.append(f"only {len(outcomes)} tests ran")
    for name, told in outcomes.items():
        reason = REASONS.get(name.partition("[")[0])
        if reason is None and told:
            found.append(f"{name}: {told}")
        elif reason is not None and reason not in told:
            found.append(f"{name} is listed, and should fail with {reason!r}; got {told or 'no failure'}")
    return found


@pytest.mark.slow
def test_the_tests_of_scikit_learn_pass(tmp_path):
    wrong = faults(outcomes_of(tmp_path, their_text()))
    assert not wrong, "\n\n".join(wrong)


def good_outcomes() -> dict[str, str]:
    return {**{f"test_{number}": "" for number in range(FEWEST)}, **REASONS}


def test_the_verdict_goes_red():
    assert faults(good_outcomes()) == []
    assert faults({**good_outcomes(), "test_3": "AssertionError"}) == ["test_3: AssertionError"]
    for name in REASONS:
        outcomes = good_outcomes()
        del outcomes[name]
        assert faults(outcomes) == [f"{name} is not there"]
        for told in ("", "TypeError"):
            assert len(faults({**good_outcomes(), name: told})) == 1
    assert faults(REASONS) == [f"only {len(REASONS)} tests ran"]


@pytest.mark.slow
def test_failures_and_skips_are_read(tmp_path):
    text = "import pytest\ndef test_a(): pass\ndef test_b(): assert 1 == 2\ndef test_c(): pytest.skip('why')"
    outcomes = outcomes_of(tmp_path, text)
    assert outcomes["test_a"] == ""
    assert "1 == 2" in outcomes["test_b"]
    assert "why" in outcomes["test_c"]


def test_scikit_learn_without_tests_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(sklearn, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(
        pytest.fail.Exception, match=r"is installed without its tests: .*test_mlp\.py is not there"
    ):
        their_text()
    (tmp_path / "neural_network" / "tests").mkdir(parents=True)
    (tmp_path / "neural_network" / "tests" / "test_mlp.py").write_text("import sklearn\n", encoding="utf-8")
    with pytest.raises(pytest.fail.Exception, match="in another way"):
        their_text()


def test_the_import_is_all_that_changes():
    theirs = (Path(sklearn.__file__).parent / "neural_network/tests/test_mlp.py").read_text(encoding="utf-8")
    changed = [
        (before, after)
        for before, after in zip(theirs.splitlines(), their_text().splitlines(), strict=True)
        if before != after
    ]
    assert changed == [(THEIRS.rstrip(), OURS.rstrip())]
