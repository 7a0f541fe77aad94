"""What is done to a layer's sums z, stage by stage: [batch norm,] activation[, batch norm][, dropout].

Each stage changes z in place, and on the way back turns the delta by what it gave into that by what it took.
``places`` (n,) are those of a step's samples in the epoch's order; None in prediction: then batch norm takes
its running statistics, and nothing is left out.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.net import Norm
from fastmlp.random import growth, kept
from fastmlp.reference.activations import ACTIVATIONS
from fastmlp.words.activations import parts_of
from fastmlp.words.layers import BatchNorm, Layer

Array = NDArray[Any]


class Stage(Protocol):
    """One of them, for at most B samples at a time."""

    def forward(self, z: Array, places: Array | None) -> None:
        """Change z (n, H) in place."""

    def backward(self, delta: Array) -> None:
        """Change delta (n, H) in place, for the z that ``forward`` has met last."""


class Act:
    """The activation; ``outputs`` (B, H) keeps its own. They are z itself where it is ``last``."""

    def __init__(self, act: str, outputs: Array, last: bool) -> None:
        name, self.number = parts_of(act)
        self.act, self.outputs, self.last = ACTIVATIONS[name], outputs, last
        self.slopes = np.empty_like(outputs) if self.act.backward is None else None

    def forward(self, z: Array, places: Array | None) -> None:
        """z = act(z)."""
        if self.slopes is None:
            self.act.forward(z, self.number)
        else:
            self.act.forward(z, self.number, self.slopes[: len(z)])
        if not self.last:
            self.outputs[: len(z)] = z

    def backward(self, delta: Array) -> None:
        """delta = delta act'(z)."""
        if self.slopes is not None:
            delta *= self.slopes[: len(delta)]
        elif self.act.backward is not None:
            self.act.backward(delta, self.outputs[: len(delta)], self.number)


class Normalise:
    """Batch norm: by the mean and variance of the n samples, unweighted; of one sample the variance is 0.

    x = (z - mean) / sqrt(variance + epsilon),  z = gamma x + beta
    dgamma = sum of delta x,  dbeta = sum of delta
    delta = gamma / sqrt(variance + epsilon) (delta - dbeta / n - x dgamma / n)
    """

    def __init__(self, settings: BatchNorm, norm: Norm, gradient: Norm, room: Array) -> None:
        self.settings, self.norm, self.gradient = settings, norm, gradient
        self.x = np.empty_like(room)
        self.batch: tuple[int, Array, Array] | None = None

    def forward(self, z: Array, places: Array | None) -> None:
        """z = gamma x + beta."""
        norm = self.norm
        if places is None:
            mean, variance = norm.mean, norm.variance
            z -= mean
        else:
            mean = z.mean(axis=0)
            z -= mean
            variance = (z * z).mean(axis=0)
            self.batch = len(z), mean, variance
        self.inverse = 1 / np.sqrt(variance + z.dtype.type(self.settings.epsilon))
        z *= self.inverse
        self.x[: len(z)] = z
        z *= norm.gamma
        z += norm.beta

    def backward(self, delta: Array) -> None:
        """Fill the gradient, and give the delta by z."""
        n, x, gradient = len(delta), self.x[: len(delta)], self.gradient
        np.sum(delta, axis=0, out=gradient.beta)
        np.sum(delta * x, axis=0, out=gradient.gamma)
        delta -= gradient.beta / n
        delta -= x * (gradient.gamma / n)
        delta *= self.norm.gamma * self.inverse

    def track(self) -> None:
        """Move the running statistics towards those of the batch."""
        assert self.batch is not None
        n, mean, variance = self.batch
        keep = self.norm.mean.dtype.type(self.settings.momentum)
        if self.settings.unbiased:
            variance = variance * variance.dtype.type(n / max(1, n - 1))
        for running, new in ((self.norm.mean, mean), (self.norm.variance, variance)):
            running *= keep
            running += (1 - keep) * new


class Dropout:
    """A share of the units is 0, another one in each sample; the others grow by 1 / (1 - share)."""

    def __init__(self, share: float, layer: int, draw: tuple[tuple[int, int], int], room: Array) -> None:
        self.share, self.layer, (self.key, self.epoch) = share, layer, draw
        self.factors = np.empty_like(room)

    def forward(self, z: Array, places: Array | None) -> None:
        """Leave out, in training alone."""
        if places is not None:
            units = kept(self.share, z.shape[1], self.key, self.epoch, self.layer, places)
            z *= np.multiply(units, z.dtype.type(growth(self.share)), out=self.factors[: len(z)])

    def backward(self, delta: Array) -> None:
        """The same units."""
        delta *= self.factors[: len(delta)]


def stages_of(
    layer: Layer,
    number: int,
    norm: Norm | None,
    gradient: Norm | None,
    draw: tuple[tuple[int, int], int],
    room: Array,
) -> list[Stage]:
    """The stages of the hidden layer of that number, from 1, whose outputs are to be in ``room`` (B, H).

    norm: its own, and room for its gradient. draw: the key of the masks, and the epoch.
    """
    before: list[Stage] = []
    after: list[Stage] = []
    if layer.batch_norm is not None and norm is not None and gradient is not None:
        place = before if layer.batch_norm.place == "before" else after
        place.append(Normalise(layer.batch_norm, norm, gradient, room))
    if layer.dropout:
        after.append(Dropout(layer.dropout, number, draw, room))
    act = Act(layer.act, np.empty_like(room) if after else room, last=not after)
    return [*before, act, *after]
