"""Every program and command in README.md and docs/ runs as it stands there, and prints what they show."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pages
import pytest

import fastmlp

OWN = {"docs/backend.md", "docs/torch.md"}  # with tests of their own
QUICK = {"README.md", "docs/question.md"}
LANGUAGES = ("python", "console", "sh")


@pytest.fixture(autouse=True)
def somewhere(mnist_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("FASTMLP_DATA", str(mnist_folder.resolve()))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", sorted(QUICK))
def test_quick_programs(page):
    run_all(pages.blocks(page, "python"))


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in pages.PAGES if p not in OWN and pages.blocks(p, *LANGUAGES)])
def test_programs_and_commands(page):
    run_all(pages.blocks(page, *LANGUAGES))


def run_all(blocks: list[pages.Block]) -> dict[str, Any]:
    """One after the other, as a reader does who goes down the page; returns the names that are left."""
    names: dict[str, Any] = {}
    for block in blocks:
        pages.execute(block, names)
    return names


def test_an_output_that_is_not_the_one_shown_goes_red(tmp_path):
    for code, shows in [("print(1)", "2\n"), ("print('1 2 3')", "1 ... 4\n"), ("", "something\n")]:
        with pytest.raises(AssertionError):
            pages.execute(pages.Block("python", code, shows), {})
    pages.execute(pages.Block("python", "print('1 2  3')", "1 ...\n3\n"), {})
    with pytest.raises(AssertionError):
        pages.execute(pages.Block("console", "$ fastmlp --version\nfastmlp 0.0\n", ""), {})
    with pytest.raises(AssertionError):
        pages.execute(pages.Block("sh", "fastmlp train --no-such-option\n", ""), {})
    found = pages.commands("$ fastmlp info\nx\ny\n$ fastmlp data\nz\n")
    assert found == [(["info"], "x\ny\n"), (["data"], "z\n")]


@pytest.fixture(scope="module")
def own_loop(mnist_folder):
    """The names after three epochs of a loop of one's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTMLP_DATA", str(mnist_folder.resolve()))
        return run_all(pages.blocks("docs/backend.md", "python")[:2])


def test_a_loop_of_ones_own(own_loop):
    assert own_loop["tested"].accuracy > 0.96
    assert own_loop["state"].steps == 3 * 600


def test_it_takes_the_steps_of_fit_with_plain_sgd(mnist_folder):
    """As a comment in the example says."""
    begun, looped = pages.blocks("docs/backend.md", "python")[:2]
    plain, changed = re.subn(r'"lr": 0.001, "optimizer": adam, "state": state', '"lr": 0.01', looped.code)
    assert changed == 1
    names = run_all([begun, pages.Block("python", plain.replace("range(1, 4)", "range(1, 2)"), "")])
    digits = names["digits"]
    model, _ = fastmlp.fit(digits.X, digits.y, lr=0.01, epochs=1)
    assert model.parameters.sha256() == names["net"].parameters.sha256()


def test_a_step_of_ones_own(own_loop):
    net = own_loop["net"]
    names = own_loop | {"net": replace(net, parameters=net.parameters.copy())}
    session, step = pages.blocks("docs/backend.md", "python")[2:]
    pages.execute(step, names)
    changed = zip(names["net"].parameters, net.parameters, strict=True)
    assert any(not np.array_equal(a, b) for a, b in changed)
    assert names["hidden"].shape == (10_000, 100)
    right = names["p"].argmax(axis=1) == names["digits"].y_test
    assert right.mean() > 0.96
    assert np.array_equal(names["logits"].argmax(axis=1) == names["digits"].y_test, right)
    pages.execute(session, names)
    assert names["totals"].accuracy > 0.96


def test_a_sequential_of_pytorch():
    pytest.importorskip("torch")
    names = run_all(pages.blocks("docs/torch.md", "python"))
    assert names["history"].epochs[-1].test_accuracy > 0.96
    found = (names["labels"].numpy() == names["digits"].y_test).mean()
    assert found == names["history"].epochs[-1].test_accuracy
    assert names["parameters"].shapes == ((784, 100), (100, 10))
