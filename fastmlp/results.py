"""What a backend's functions return: plain numbers, the same from reference.py and kernels/."""

from __future__ import annotations

from typing import NamedTuple

from fastmlp.parameters import Parameters


class LossAndGradients(NamedTuple):
    """Of one batch."""

    loss: float  # mean over the batch
    gradients: Parameters  # of that mean: dW1, db1, ... in the shapes of W1, b1, ...
    correct: int  # samples whose most probable class is the true one
    live: int  # samples whose gradient at the logits is not cut to zero by the loss's clip


class EpochTotals(NamedTuple):
    """Of one pass over the training data; every sample is counted as its batch met it."""

    loss: float  # mean over the samples
    correct: int
    live: int
    samples: int
    members: int  # threads that took part


class Evaluation(NamedTuple):
    """Of a net on a labelled data set."""

    loss: float  # mean over the samples
    accuracy: float  # share of samples whose most probable class is the true one
