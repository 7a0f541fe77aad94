"""Small trainings for the tests of checkpoints: what is trained, and what must come out the same."""

from __future__ import annotations

import dataclasses

from nets import learnable

X, Y = learnable(0, 240, 40, 3)
QUICK = {"hidden": (8,), "epochs": 6, "batch_size": 16, "lr": 0.05, "test_data": (X[:40], Y[:40])}


class Broken(Exception):
    """What breaks a training off here."""


def told(history):
    """The epochs, but for what is about time."""
    return [dataclasses.replace(epoch, seconds=0, samples_per_second=0) for epoch in history.epochs]


def same(one, other):
    """Whether two results of ``fit`` are the same to the byte."""
    return (
        one[0].parameters.sha256() == other[0].parameters.sha256()
        and told(one[1]) == told(other[1])
        and one[1].best_epoch == other[1].best_epoch
        and one[0].epoch == other[0].epoch
    )
