"""The arrays of a step, and the step: forward, backward, update."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.net import Net, Parameters
from fastmlp.optimizers import Optimizer
from fastmlp.reference.activations import ACTIVATIONS
from fastmlp.reference.losses import loss_and_delta
from fastmlp.reference.optimizers import STEPS

Array = NDArray[Any]


class Workspace:
    """The arrays of a step on at most B samples, made once."""

    def __init__(self, net: Net, X: Array, B: int) -> None:
        parameters, preprocessing = net.parameters, net.preprocessing
        dtype = parameters.dtype.type
        self.parameters, self.X = parameters, X
        self.acts = [ACTIVATIONS[act] for act in net.architecture.acts]
        self.factor = np.asarray(1 / preprocessing.scale, dtype)
        self.mean = None if preprocessing.mean is None else np.asarray(preprocessing.mean, dtype)
        self.picked = np.empty((B, X.shape[1]), X.dtype)
        self.x = np.empty((B, X.shape[1]), dtype)
        self.outputs = [np.empty((B, W.shape[1]), dtype) for W in parameters.weights]
        self.deltas = [np.empty_like(a) for a in self.outputs]
        self.gradients = parameters.copy()

    def forward(self, rows: Array | slice) -> Array:
        """Logits (n, K) of the rows of X; leaves the hidden outputs behind for ``step``."""
        if isinstance(rows, slice):
            chosen = self.X[rows]
        else:
            chosen = self.picked[: len(rows)]
            np.take(self.X, rows, axis=0, out=chosen, mode="clip")  # "raise" would copy
        n = len(chosen)
        a = self.x[:n]
        a[...] = chosen
        if self.mean is not None:
            a -= self.mean
        a *= self.factor
        for layer, (W, b) in enumerate(zip(self.parameters.weights, self.parameters.biases, strict=True)):
            z = np.matmul(a, W, out=self.outputs[layer][:n])
            z += b
            if layer < len(self.acts):
                self.acts[layer].forward(z)
            a = z
        return a

    def delta(self, logits: Array) -> Array:
        """Room for dLoss/dlogits."""
        return self.deltas[-1][: len(logits)]

    def step(
        self, rows: Array | slice, y: Array, loss: str, weights: Array | None = None
    ) -> tuple[Array, int, int]:
        """Forward and backward on one batch: fills ``gradients``; returns losses, correct, live."""
        logits = self.forward(rows)
        n = len(logits)
        delta = self.delta(logits)
        result = loss_and_delta(delta, logits, y, loss)
        if weights is None:
            delta *= 1 / n
        else:
            delta *= (weights / (weights.sum(dtype=np.float64) or 1.0)).astype(delta.dtype)[:, None]
        for layer in reversed(range(len(self.outputs))):
            a_in = self.outputs[layer - 1][:n] if layer else self.x[:n]
            np.matmul(a_in.T, delta, out=self.gradients.weights[layer])
            np.sum(delta, axis=0, out=self.gradients.biases[layer])
            if layer:
                delta_in = self.deltas[layer - 1][:n]
                np.matmul(delta, self.parameters.weights[layer].T, out=delta_in)
                self.acts[layer - 1].backward(delta_in, a_in)
                delta = delta_in
        return result

    def update(
        self, optimizer: Optimizer, moments: tuple[Parameters, ...], rate: float, root: float, n: int
    ) -> None:
        """One step of the optimizer (see its formulas) from the gradients, which are used up; n samples."""
        for i, (w, g, *averages) in enumerate(zip(self.parameters, self.gradients, *moments, strict=True)):
            is_weight = i % 2 == 0
            if decay := optimizer.weight_decay + is_weight * optimizer.alpha / n:
                g += w * w.dtype.type(decay)
            STEPS[optimizer.name](g, averages, optimizer, root)
            g *= rate
            w -= g
