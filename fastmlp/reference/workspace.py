"""The arrays of a step, and the step: forward, backward, update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.net import Net, Parameters
from fastmlp.random import key_of
from fastmlp.reference.losses import loss_and_delta
from fastmlp.reference.optimizers import STEPS, clip, penalise, shorten
from fastmlp.reference.stages import Act, Dropout, Normalise, Stage, stages_of
from fastmlp.words.layers import Layer
from fastmlp.words.losses import Loss
from fastmlp.words.optimizers import Optimizer

Array = NDArray[Any]


class Workspace:
    """The arrays of a step on at most B samples, made once. seed, epoch: of what it leaves out."""

    def __init__(self, net: Net, X: Array, B: int, seed: int = 0, epoch: int = 1) -> None:
        parameters, preprocessing = net.parameters, net.preprocessing
        dtype = parameters.dtype.type
        self.parameters, self.X = parameters, X
        self.layers = net.architecture.all_layers
        self.factor = np.asarray(1 / preprocessing.scale, dtype)
        self.mean = None if preprocessing.mean is None else np.asarray(preprocessing.mean, dtype)
        self.picked = np.empty((B, X.shape[1]), X.dtype)
        self.x = np.empty((B, X.shape[1]), dtype)
        self.outputs = [np.empty((B, W.shape[1]), dtype) for W in parameters.weights]
        self.deltas = [np.empty_like(a) for a in self.outputs]
        self.gradients = parameters.copy()
        for norm in filter(None, self.gradients.norms):
            norm.mean[...] = norm.variance[...] = 0  # no gradient reaches them
        draw, dropout = (key_of(seed, "dropout"), epoch), net.architecture.input_dropout
        self.first: list[Stage] = [Dropout(dropout, 0, draw, self.x)] if dropout else []
        each = zip(net.architecture.layers, parameters.norms, self.gradients.norms, strict=True)
        self.stages = [
            stages_of(layer, i, norm, gradient, draw, self.outputs[i - 1])
            for i, (layer, norm, gradient) in enumerate(each, 1)
        ]

    def forward(self, rows: Array | slice, places: Array | None = None) -> Array:
        """Logits (n, K) of the rows of X; leaves the hidden outputs behind for ``step``.

        places (n,): of the rows in the epoch's order, where that is a step of training.
        """
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
        for stage in self.first:
            stage.forward(a, places)
        for layer, (W, b) in enumerate(zip(self.parameters.weights, self.parameters.biases, strict=True)):
            z = np.matmul(a, W, out=self.outputs[layer][:n])
            z += b
            for stage in self.stages[layer] if layer < len(self.stages) else ():
                stage.forward(z, places)
            a = z
        return a

    def activations(self, n: int) -> list[Array]:
        """Outputs of the activation of each hidden layer for the last n samples."""
        return [s.outputs[:n] for stages in self.stages for s in stages if isinstance(s, Act)]

    def delta(self, logits: Array) -> Array:
        """Room for dLoss/dlogits."""
        return self.deltas[-1][: len(logits)]

    def step(
        self, rows: Array | slice, y: Array, loss: Loss, weights: Array | None = None, begin: int = 0
    ) -> tuple[Array, int, int]:
        """Forward and backward on one batch: fills ``gradients``; returns losses, correct, live.

        begin: of the batch, in the epoch's order.
        """
        logits = self.forward(rows, np.arange(begin, begin + len(y)))
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
            if not self.layers[layer].bias:
                self.gradients.biases[layer][...] = 0
            if layer:
                delta_in = self.deltas[layer - 1][:n]
                np.matmul(delta, self.parameters.weights[layer].T, out=delta_in)
                for stage in reversed(self.stages[layer - 1]):
                    stage.backward(delta_in)
                delta = delta_in
        return result

    def update(
        self, optimizer: Optimizer, moments: tuple[Parameters, ...], rates: Sequence[float], n: float
    ) -> None:
        """One step of the optimizer (see its formulas) from the gradients, which are used up.

        rates: of that step, a row of ``backends.state.rates``. n: by what alpha is divided.
        """
        keep, *own = rates
        parts = [self._trained(each) for each in (self.parameters, self.gradients, *moments)]
        trained = list(zip(*parts, strict=True))
        for (layer, is_weight, w), (_, _, g), *_ in trained:
            if is_weight:
                penalise(g, w, layer)
        clip([g for _, (_, _, g), *_ in trained], optimizer)
        for (layer, is_weight, w), (_, _, g), *others in trained:
            decay = optimizer.weight_decay * (not optimizer.decoupled) + is_weight * optimizer.alpha / n
            if decay:
                g += w * w.dtype.type(decay)
            STEPS[optimizer.name](g, [average for _, _, average in others], optimizer, own)
            if keep != 1:
                w *= keep
            w -= g
            if is_weight and layer.max_norm:
                shorten(w, layer.max_norm)
        for stage in (stage for stages in self.stages for stage in stages):
            if isinstance(stage, Normalise):
                stage.track()

    def _trained(self, parameters: Parameters) -> list[tuple[Layer, bool, Array]]:
        """Those of its arrays that a step changes: each with its layer, and whether it is one of weights."""
        found = []
        norms = (*parameters.norms, None)
        for layer, W, b, norm in zip(self.layers, parameters.weights, parameters.biases, norms, strict=True):
            if not layer.frozen:
                found += [(layer, True, W), *[(layer, False, b)] * layer.bias]
                found += [] if norm is None else [(layer, False, norm.gamma), (layer, False, norm.beta)]
        return found
