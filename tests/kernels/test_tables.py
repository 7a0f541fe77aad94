"""The kernels' tables of losses and optimizers: what compiled code makes of each entry."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from fastmlp import reference
from fastmlp.backends.state import RATES, rates
from fastmlp.kernels import losses, optimizers, plain_words, rules
from fastmlp.kernels.intrinsics import address
from fastmlp.words.losses import LOSSES, Loss
from fastmlp.words.optimizers import OPTIMIZERS, Optimizer

WORDS = {
    "sgd": Optimizer(weight_decay=0.1),
    "sgd momentum": Optimizer(momentum=0.9, nesterov=True),
    "rmsprop": Optimizer("rmsprop"),
    "rmsprop centred": Optimizer("rmsprop", centred=True, form="keras"),
    "rmsprop momentum": Optimizer("rmsprop", momentum=0.5),
    "rmsprop centred momentum": Optimizer("rmsprop", centred=True, momentum=0.5),
    "adam": Optimizer("adam"),
    "adam amsgrad": Optimizer("adam", amsgrad=True),
    "nadam": Optimizer("nadam"),
    "adamax": Optimizer("adamax"),
    "adagrad": Optimizer("adagrad", initial_accumulator=0.1),
    "adadelta": Optimizer("adadelta", epsilon=0.01),
}
"""An optimizer of each of the kernels' steps."""


@njit
def run_step(rule, theta, gradient, at, width):
    optimizers.step(
        rule.step,
        address(rule),
        address(theta),
        address(gradient),
        at,
        width,
        np.float32(1),
        np.float32(0),
        1,
    )


@pytest.mark.parametrize("name", optimizers.STEPS)
def test_a_step_changes_its_range_and_its_averages_alone(name):
    """As the reference's does, in the second batch."""
    optimizer, inside = WORDS[name], slice(3, 14)
    draw = np.random.default_rng(0)
    theta, gradient, *kept = draw.random((2 + optimizer.moments, 20), np.float32)
    if optimizer.centred:
        kept[1] /= 10  # the mean of a gradient, whose square is no more than that of its square
    keep, *own = rates(optimizer, 0.5, 3, 2)[1].tolist()
    want = [array.copy() for array in (theta, gradient, *kept)]
    step = want[1][inside].copy()
    reference.STEPS[optimizer.name](step, [average[inside] for average in want[2:]], optimizer, own)
    want[0][inside] = want[0][inside] * keep - step
    want[1][inside] = 0
    table = rates(optimizer, 0.5, 3, 2).astype(np.float32).reshape(-1)
    rule = rules.rule_of(optimizer, kept)._replace(rates=table)
    run_step(rule, theta, gradient, inside.start, inside.stop - inside.start)
    for got, expected in zip((theta, gradient, *kept), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert (theta[inside] != 0).all()
    assert all(a is b for a, b in zip(optimizers.averages(rule), kept, strict=True))


def test_every_optimizer_has_its_steps_and_its_rates():
    assert set(WORDS) == set(optimizers.STEPS)
    assert set(OPTIMIZERS) == set(RATES) == set(reference.STEPS)
    assert {name.split()[0] for name in WORDS} == set(OPTIMIZERS) - {"adamw"}  # which is adam


def test_every_loss_has_a_head():
    y, targets, found = np.zeros(3, np.int64), np.zeros((3, 2), np.float32), {}
    for name, word in LOSSES.items():
        loss = Loss.of(name + ":0.1,0.9" * word.needed)
        found[name] = rules.loss_of(loss, y if word.task == "classes" else targets, 2).head
    names = {**dict.fromkeys(("logits", "keras2", "clip"), "softmax"), "half_squared": "squared"}
    names |= {"log_loss": "softmax", "binary_log_loss": "binary"}
    assert found == {name: losses.HEADS[names.get(name, name)].place for name in LOSSES}
    assert set(plain_words.HEADS) == set(losses.HEADS)
    assert rules.loss_of(Loss.of("logits"), targets, 2).head == losses.HEADS["shares"].place
    assert rules.loss_of(Loss.of("logits", 0.1), y, 2).head == losses.HEADS["shares"].place
    assert set(reference.LOSSES) == set(LOSSES)
    assert set(reference.LINKS) == set(losses.LINKS) == {word.link for word in LOSSES.values()}
