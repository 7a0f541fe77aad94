"""The kernels' tables of losses and optimizers: what compiled code makes of each entry."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from fastmlp import reference
from fastmlp.backends.state import RATES
from fastmlp.kernels import launch, losses, optimizers
from fastmlp.kernels.intrinsics import address
from fastmlp.losses import LOSSES, Loss
from fastmlp.optimizers import OPTIMIZERS, Optimizer

WORDS = {"sgd": Optimizer(weight_decay=0.1), "momentum": Optimizer(momentum=0.9), "adam": Optimizer("adam")}


@njit
def run_step(rule, theta, gradient, at, width):
    optimizers.step(rule.step, address(rule), address(theta), address(gradient), at, width, np.float32(0), 0)


def rule(name):
    """The Rule of a step, with a rate of 0.5 and averages of 8."""
    m, v = np.zeros(8, np.float32), np.zeros(8, np.float32)
    kept = optimizers.STEPS[name].moments
    return optimizers.NO_RULE._replace(
        plain=False, step=optimizers.STEPS[name].plug_in.place, momentum=np.float32(0.5),
        rest1=np.float32(1), rest2=np.float32(1), m=m[: 8 * (kept > 1)], v=v[: 8 * (kept > 0)],
        rates=np.array([0.5, 1], np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("name", optimizers.STEPS)
def test_a_step_changes_its_range_and_its_averages_alone(name):
    one, theta, gradient = rule(name), np.ones(8, np.float32), np.full(8, 2, np.float32)
    run_step(one, theta, gradient, 2, 3)
    moved = 0.5 if name == "adam" else 1  # its first step is the sign of g times the rate
    assert theta.tolist() == [1, 1, 1 - moved, 1 - moved, 1 - moved, 1, 1, 1]
    assert gradient.tolist() == [2, 2, 0, 0, 0, 2, 2, 2]
    inside = {"sgd": [], "momentum": [2], "adam": [2, 4]}[name]
    assert [average.tolist() for average in optimizers.averages(one)] == [
        [0, 0, x, x, x, 0, 0, 0] for x in inside
    ]


def test_every_optimizer_has_a_step_that_keeps_its_moments():
    assert set(OPTIMIZERS) <= set(WORDS) == set(optimizers.STEPS)
    assert set(OPTIMIZERS) == set(RATES) == set(reference.STEPS)
    for name, optimizer in WORDS.items():
        assert optimizers.STEPS[name].moments == optimizer.moments
        assert len(optimizers.averages(rule(name))) == optimizer.moments


def test_every_loss_has_a_head():
    y, targets, found = np.zeros(3, np.int64), np.zeros((3, 2), np.float32), {}
    for name, word in LOSSES.items():
        loss = Loss.of(name + ":0.1,0.9" * word.needed)
        found[name] = launch.loss_of(loss, y if word.task == "classes" else targets, 2).head
    names = {**dict.fromkeys(("logits", "keras2", "clip"), "softmax"), "half_squared": "squared"}
    assert found == {name: losses.HEADS[names.get(name, name)].place for name in LOSSES}
    assert launch.loss_of(Loss.of("logits"), targets, 2).head == losses.HEADS["shares"].place
    assert launch.loss_of(Loss.of("logits", 0.1), y, 2).head == losses.HEADS["shares"].place
    assert set(reference.LOSSES) == set(LOSSES)
    assert set(reference.LINKS) == set(losses.LINKS) == {word.link for word in LOSSES.values()}
