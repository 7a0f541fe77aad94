"""Rows of outputs and targets for every loss, and what PyTorch and Keras call it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parents[1] / "unit" / "losses.json"
CLASS_WEIGHT = np.array([0.5, 2.0, 1.0, 3.0])
KERAS2 = "binary:1e-7,0.9999999"


@dataclass(frozen=True)
class Case:
    """A loss of B rows of K outputs z (B, K), as one of ours, PyTorch's and Keras' say it.

    y: class indices (B,), or targets (B, K). weights (B,): of the rows.
    """

    loss: str
    smoothing: float
    z: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None = None
    torch: tuple[str, dict[str, Any]] | None = None
    keras: tuple[str, dict[str, Any]] | None = None


def _cases() -> dict[str, Case]:
    rng = np.random.default_rng(19)
    z, y = rng.normal(size=(6, 4)) * 3, rng.integers(0, 4, 6)
    one_hot, shares = np.eye(4)[y], rng.random((6, 4))
    whole = shares / shares.sum(axis=1, keepdims=True)
    labels, between = np.round(shares), rng.random((6, 4))
    far = np.array([[-20.0, 0.3, 20.0, -3.0], [19.0, -18.0, 2.0, 17.5]])
    numbers, counts = rng.normal(size=(6, 4)), rng.integers(0, 5, (6, 4)).astype(float)
    cross, smooth = "cross_entropy", {"label_smoothing": 0.1}
    bce, logits = "binary_cross_entropy_with_logits", {"from_logits": True}
    huber = ("huber_loss", {"delta": 0.5})
    return {
        "indices": Case("logits", 0, z, y, None, (cross, {}), ("sparse_categorical_crossentropy", logits)),
        "indices, smoothed": Case("logits", 0.1, z, y, None, (cross, smooth)),
        "one-hot, smoothed": Case(
            "logits", 0.1, z, one_hot, None, (cross, smooth), ("categorical_crossentropy", logits | smooth)
        ),
        "shares": Case("logits", 0, z, whole, None, (cross, {}), ("categorical_crossentropy", logits)),
        "shares of another sum": Case("logits", 0, z, shares, None, (cross, {})),
        "shares, smoothed": Case("logits", 0.1, z, shares, None, (cross, smooth)),
        "classes weighted": Case("logits", 0, z, y, CLASS_WEIGHT[y], (cross, {"weight": CLASS_WEIGHT})),
        "clipped": Case("keras2", 0, far, np.array([0, 1]), None, None, ("categorical_crossentropy", {})),
        "clipped, smoothed": Case(
            "keras2", 0.1, far, np.array([0, 1]), None, None, ("categorical_crossentropy", smooth)
        ),
        "labels": Case("binary", 0, z, labels, None, (bce, {}), ("binary_crossentropy", logits)),
        "labels, smoothed": Case(
            "binary", 0.1, z, labels, None, None, ("binary_crossentropy", logits | smooth)
        ),
        "labels between": Case("binary", 0, z, between, None, (bce, {}), ("binary_crossentropy", logits)),
        "one label": Case(
            "binary", 0, z[:, :1], labels[:, :1], None, (bce, {}), ("binary_crossentropy", logits)
        ),
        "labels, far off": Case("binary", 0, 100 * z, labels, None, (bce, {}), None),
        "labels, clipped": Case(KERAS2, 0, far, labels[:2], None, None, ("binary_crossentropy", {})),
        "labels, clipped, smoothed": Case(
            KERAS2, 0.1, far, labels[:2], None, None, ("binary_crossentropy", smooth)
        ),
        "squared": Case("squared", 0, z, numbers, None, ("mse_loss", {}), ("mean_squared_error", {})),
        "absolute": Case("absolute", 0, z, numbers, None, ("l1_loss", {}), ("mean_absolute_error", {})),
        "huber": Case("huber", 0, z, numbers, None, ("huber_loss", {}), ("huber", {})),
        "huber:0.5": Case("huber:0.5", 0, z, numbers, None, huber, ("huber", {"delta": 0.5})),
        "poisson": Case("poisson", 0, z, counts, None, ("poisson_nll_loss", {"log_input": True})),
    }


CASES = _cases()


def by_torch(case: Case) -> dict[str, Any]:
    """The mean loss, and its gradient by z, as PyTorch has them in float64."""
    import torch

    name, words = case.torch
    z, y = torch.tensor(case.z, requires_grad=True), torch.tensor(case.y)
    words = {word: torch.tensor(v) if isinstance(v, np.ndarray) else v for word, v in words.items()}
    loss = getattr(torch.nn.functional, name)(z, y, **words)
    loss.backward()
    return {"loss": loss.item(), "gradient": z.grad.tolist()}


def by_keras(case: Case) -> dict[str, Any]:
    """The same, of Keras on TensorFlow; where it takes no logits, of the probabilities of z."""
    import keras
    import tensorflow as tf

    name, words = case.keras
    y = case.y
    if name == "categorical_crossentropy" and y.ndim == 1:
        y = np.eye(case.z.shape[1])[y]
    z = tf.Variable(case.z)
    with tf.GradientTape() as tape:
        outputs = z + 0.0
        if name.endswith("crossentropy") and not words.get("from_logits"):
            e = tf.exp(z - tf.reduce_max(z, axis=1, keepdims=True))
            softmax = e / tf.reduce_sum(e, axis=1, keepdims=True)
            outputs = 1 / (1 + tf.exp(-z)) if name.startswith("binary") else softmax
        loss = tf.reduce_mean(getattr(keras.losses, name)(y, outputs, **words))
    return {"loss": float(loss), "gradient": tape.gradient(loss, z).numpy().tolist()}


def told() -> dict[str, dict[str, Any]]:
    """What the file of fixtures holds: {"torch indices": {"loss", "gradient"}, ...}."""
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text())
    return found


def made() -> dict[str, dict[str, Any]]:
    """The same, by PyTorch and Keras now."""
    found = {f"torch {name}": by_torch(case) for name, case in CASES.items() if case.torch}
    return found | {f"keras {name}": by_keras(case) for name, case in CASES.items() if case.keras}
