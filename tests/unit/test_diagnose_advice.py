"""diagnose is right: the cause comes first, and what it recommends makes the net train.

Real MNIST, 6,000 rows. By hand: broken on purpose, or not. Drawn by program: labelled by how they end.
"""

from __future__ import annotations

import pytest
from broken_nets import BY_HAND, ROWS, TEST_ROWS, drawn

import fastmlp
from fastmlp import DivergedError, fit
from fastmlp.data import load

pytestmark = pytest.mark.slow

SECONDS = 60.0  # of a diagnosis: enough for all epochs
BROKEN, FINE = 0.10, 0.02  # of accuracy under the best: at least, at most


@pytest.fixture(scope="module")
def mnist(mnist_folder):
    return load(mnist_folder)


def accuracy(given, options):
    """After all epochs; 0 where it diverges."""
    fields = {name: value for name, value in options.items() if name != "initial"}
    initial = None if "initial" in options else given["initial"]
    try:
        _, history = fit(given["X"], given["y"], test_data=given["test_data"], initial=initial, **fields)
    except DivergedError:
        return 0.0
    return history.epochs[-1].test_accuracy


@pytest.mark.parametrize("case", BY_HAND, ids=lambda case: case.name)
def test_the_cause_comes_first_and_its_cure_works(mnist, case):
    given = case.arrays(mnist)
    found = fastmlp.diagnose(**given, seconds=SECONDS, **case.options)
    told = [(finding.severity, finding.code) for finding in found.findings]
    if not case.first:
        assert not found.severe, told
        return
    worst = found.findings[0]
    assert worst.severity == "severe", told
    assert worst.code in case.first, told
    if case.cured:
        assert accuracy(given, case.options | found.recommended) > 0.85
    else:
        assert not worst.settings
        assert not worst.change


def test_nets_drawn_by_program(mnist):
    given = {
        "X": mnist.X[:ROWS],
        "y": mnist.y[:ROWS],
        "test_data": (mnist.X_test[:TEST_ROWS], mnist.y_test[:TEST_ROWS]),
        "initial": None,
    }
    best = max(accuracy(given, {"lr": lr}) for lr in (0.1, 0.2, 0.3))
    assert best > 0.9
    outcomes = []
    for number in range(300, 400):
        options = drawn(number)
        had = accuracy(given, options)
        if best - BROKEN <= had <= best - FINE:
            continue  # neither
        broken = had < best - BROKEN
        found = fastmlp.diagnose(**given, seconds=SECONDS, **options)
        right = found.severe == broken
        if right and broken:
            right = accuracy(given, options | found.recommended) > best - BROKEN
        outcomes.append((right, broken, number))
        if len(outcomes) == 20:
            break
    assert len(outcomes) == 20
    assert any(broken for _, broken, _ in outcomes)
    assert not all(broken for _, broken, _ in outcomes)
    assert sum(right for right, *_ in outcomes) >= 18, outcomes
