"""Curvature of the mean loss: exact products with its Hessian and its Gauss-Newton matrix, top eigenvalues.

No differences of gradients are taken: directions go through the net by the chain rule (Pearlmutter's
R operator, Neural Computation 6, 1994), in float64. A vector holds one number a parameter, in the order of
``Parameters`` (W1, b1, W2, ...).

With plain gradient descent on a quadratic, a direction of curvature c is stable while lr < 2 / c. The
Gauss-Newton matrix J^T H J (J the derivative of the logits, H the loss's Hessian by them) is the
Hessian without the part that comes from the net's own bend; it has no negative eigenvalue.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import reference
from fastmlp.net import Net
from fastmlp.random import uniform
from fastmlp.reference.activations import SELU, SELU_ALPHA, TANH_CUBE, TANH_FACTOR
from fastmlp.words.activations import parts_of
from fastmlp.words.losses import Loss

Vector = NDArray[np.float64]


def _of_lines(z: Vector, a: Vector, number: float) -> Vector:
    return np.zeros_like(z)


def _of_elu(z: Vector, a: Vector, alpha: float) -> Vector:
    return np.where(z > 0, 0, a + alpha)


def _of_gelu(z: Vector, a: Vector, number: float) -> Vector:
    return np.asarray((2 - z * z) * np.exp(-z * z / 2) / math.sqrt(2 * math.pi))


def _of_gelu_tanh(z: Vector, a: Vector, number: float) -> Vector:
    near, c = np.clip(z, -20, 20), TANH_CUBE  # further out tanh is 1 or -1
    tanh = np.tanh(TANH_FACTOR * (near + c * near**3))
    inner, bend = TANH_FACTOR * (1 + 3 * c * near**2), TANH_FACTOR * 6 * c * near
    return np.asarray((1 - tanh**2) * (inner + near * (bend / 2 - tanh * inner**2)))


def _of_silu(z: Vector, a: Vector, number: float) -> Vector:
    share, slope = reference.activated("sigmoid", z)
    return np.asarray(slope * (2 + z * (1 - 2 * share)))


# By activation: act''(z), of z, a = act(z) and the activation's number; but at corners.
SECOND: dict[str, Callable[[Vector, Vector, float], Vector]] = {
    "relu": _of_lines,
    "leaky_relu": _of_lines,
    "elu": _of_elu,
    "selu": lambda z, a, number: _of_elu(z, a, SELU * SELU_ALPHA),
    "gelu": _of_gelu,
    "gelu_tanh": _of_gelu_tanh,
    "silu": _of_silu,
    "softplus": lambda z, a, number: reference.activated("sigmoid", z)[1],
    "sigmoid": lambda z, a, number: a * (1 - a) * (1 - 2 * a),
    "hard_sigmoid": _of_lines,
    "tanh": lambda z, a, number: -2 * a * (1 - a * a),
    "identity": _of_lines,
}

# By loss: its second derivative by each output z alone, of a row; other outputs do not bend it.
BENDS: dict[str, Callable[[Vector, Vector, Loss], Any]] = {
    "binary": lambda z, y, loss: _of_sigmoid(z, loss) / z.shape[1],
    "binary_log_loss": lambda z, y, loss: _of_sigmoid(z, loss),
    "squared": lambda z, y, loss: 2 / z.shape[1],
    "half_squared": lambda z, y, loss: 1,
    "absolute": lambda z, y, loss: 0,
    "huber": lambda z, y, loss: (np.abs(z - y) <= loss.numbers[0]) / z.shape[1],
    "poisson": lambda z, y, loss: np.exp(z) / z.shape[1],
    "half_deviance": lambda z, y, loss: np.exp(z),
}


def _of_sigmoid(z: Vector, loss: Loss) -> Vector:
    p, slope = reference.activated("sigmoid", z)
    return np.asarray(slope * _inside(p, loss))


def _inside(p: Vector, loss: Loss) -> Any:
    """1 where the loss's clip lets a probability through, else 0."""
    return 1.0 if loss.clip is None else 1.0 * (loss.clip[0] <= p) * (p <= loss.clip[1])


_ROOM = 1 << 29  # bytes


class Surface:
    """The mean loss of one net on a few samples, as a surface over its parameters.

    x (N, D): inputs, scaled and centred already. y: targets, as ``checked_targets`` returns them. Everything
    is float64.
    """

    def __init__(
        self, net: Net, x: NDArray[Any], y: NDArray[Any], loss: str = "logits", label_smoothing: float = 0.0
    ) -> None:
        self.n = len(x)
        self.weights = [np.asarray(W, np.float64) for W in net.parameters.weights]
        biases = [np.asarray(b, np.float64) for b in net.parameters.biases]
        self.inputs = [np.asarray(x, np.float64)]  # of each layer
        self.slopes: list[Vector] = []  # act'(z) of each hidden layer
        self.bends: list[Vector] = []  # act''(z)
        for layer, (W, b) in enumerate(zip(self.weights, biases, strict=True)):
            z = self.inputs[layer] @ W + b
            if layer < len(self.weights) - 1:
                z = self._activated(net.architecture.acts[layer], z)
            self.inputs.append(z)
        logits = self.inputs.pop()
        self.loss = Loss.of(loss, label_smoothing)
        delta = np.empty_like(logits)
        reference.loss_and_delta(delta, logits, y, self.loss)
        self.deltas = [delta * (1 / self.n)]  # of each layer, from the last to the first
        if self.loss.task == "classes":
            self.p = np.empty_like(logits)
            reference.softmax(self.p, logits)
            counted = reference.shares_of(y, logits, self.loss) * _inside(self.p, self.loss)
            self.live = counted.sum(axis=1)
        else:
            self.bend_of_loss: Any = BENDS[self.loss.name](logits, y, self.loss)
        for layer in range(len(self.weights) - 1, 0, -1):
            back = self.deltas[0] @ self.weights[layer].T
            self.deltas.insert(0, back * self.slopes[layer - 1])

    @property
    def size(self) -> int:
        """The number of parameters: the length of a vector."""
        return sum(W.size + W.shape[1] for W in self.weights)

    def gradient(self) -> Vector:
        """The gradient of the mean loss."""
        return self._joined([(a.T @ d, d.sum(axis=0)) for a, d in zip(self.inputs, self.deltas, strict=True)])

    def gauss_newton(self, v: Vector) -> Vector:
        """J^T H J v."""
        _, logits = self._along(v)
        delta = self._bent(logits)
        parts = []
        for layer in range(len(self.weights) - 1, -1, -1):
            parts.append((self.inputs[layer].T @ delta, delta.sum(axis=0)))
            if layer:
                delta = (delta @ self.weights[layer].T) * self.slopes[layer - 1]
        return self._joined(parts[::-1])

    def hessian(self, v: Vector) -> Vector:
        """The Hessian of the mean loss times v. Where ReLU has a corner, as if it had none."""
        directions = self._split(v)
        outputs, logits = self._along(v)
        delta = self._bent(logits)
        parts = []
        for layer in range(len(self.weights) - 1, -1, -1):
            a, da, d = self.inputs[layer], outputs[layer], self.deltas[layer]
            parts.append((da.T @ d + a.T @ delta, delta.sum(axis=0)))
            if layer:
                W, (dW, _) = self.weights[layer], directions[layer]
                back = d @ W.T
                bend = self.bends[layer - 1] * self._z_along[layer - 1]
                delta = (delta @ W.T + d @ dW.T) * self.slopes[layer - 1] + back * bend
        return self._joined(parts[::-1])

    def _along(self, v: Vector) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
        """The changes of every layer's inputs, and of the logits, along v."""
        changes = [np.zeros_like(self.inputs[0])]
        self._z_along = []
        for layer, (dW, db) in enumerate(self._split(v)):
            z = self.inputs[layer] @ dW + db
            if layer:
                z += changes[layer] @ self.weights[layer]
            self._z_along.append(z)
            if layer < len(self.weights) - 1:
                changes.append(z * self.slopes[layer])
        return changes, z

    def _bent(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """The loss's Hessian by the logits, times a change of them; of classes live (diag(p) - p p^T) / N.

        live (N,): of each row, how much of its target no clip cuts off.
        """
        if self.loss.task != "classes":
            return np.asarray(self.bend_of_loss * logits / self.n)
        mean = (self.p * logits).sum(axis=1, keepdims=True)
        return np.asarray(self.p * (logits - mean) * (self.live / self.n)[:, None])

    def _activated(self, act: str, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """act(z) of a hidden layer; its derivatives are kept."""
        (name, number), (a, slope) = parts_of(act), reference.activated(act, z)
        self.slopes.append(slope)
        self.bends.append(SECOND[name](z, a, number))
        return a

    def _split(self, v: Vector) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        parts, at = [], 0
        for W in self.weights:
            fan_in, fan_out = W.shape
            end = at + W.size
            parts.append((v[at:end].reshape(fan_in, fan_out), v[end : end + fan_out]))
            at = end + fan_out
        return parts

    def _joined(self, parts: Any) -> Vector:
        return np.concatenate([part.ravel() for pair in parts for part in pair])


def top_eigenvalue(
    product: Callable[[Vector], Vector], size: int, *, tolerance: float = 1e-3, most: int = 80
) -> float:
    """The eigenvalue of largest magnitude of a symmetric matrix that is given by its products.

    Lanczos with full reorthogonalisation, from a start that depends on the size alone. Ends when the
    residual bounds the error under ``tolerance`` of the value, or after ``most`` products (fewer where
    so many vectors would take more than half a gigabyte). Infinite where a product overflows.
    """
    most = min(most, size, max(8, _ROOM // (8 * size)))
    v = uniform(size, 0, "lanczos") - 0.5
    v /= np.linalg.norm(v)
    basis, value = [v], 0.0
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(most):
        w = product(basis[-1])
        if not np.isfinite(w).all():
            return math.inf
        diagonal.append(float(w @ basis[-1]))
        for _ in range(2):  # twice is enough
            for u in basis:
                w -= (w @ u) * u
        norm = float(np.linalg.norm(w))
        T = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        values, vectors = np.linalg.eigh(T)
        i = int(np.abs(values).argmax())
        value = float(values[i])
        if norm * abs(vectors[-1, i]) <= tolerance * abs(value) or norm == 0:
            break
        beside.append(norm)
        basis.append(w / norm)
    return value
