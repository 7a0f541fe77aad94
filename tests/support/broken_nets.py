"""Nets that do not train, and why; and nets that do. For the tests of diagnose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import Architecture, Training, initialise
from fastmlp.random import uniform

ROWS, TEST_ROWS = 6000, 2000


@dataclass(frozen=True)
class Case:
    """A training, what it is given, and which codes may come first: none, if nothing may be severe."""

    name: str
    first: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    data: str = "as it is"
    weights: str = ""
    cured: bool = True  # by a setting

    def arrays(self, data: Any) -> dict[str, Any]:
        """Arguments of diagnose: X, y, test_data, initial."""
        X, y = data.X[:ROWS], data.y[:ROWS]
        X_test, y_test = data.X_test[:TEST_ROWS], data.y_test[:TEST_ROWS]
        if self.data == "constant":
            X, X_test = np.full_like(X, 7), np.full_like(X_test, 7)
        elif self.data == "zeros":
            X, X_test = np.zeros_like(X), np.zeros_like(X_test)
        elif self.data == "shuffled labels":
            rng = np.random.default_rng(1)
            y, y_test = rng.permutation(y), rng.permutation(y_test)
        elif self.data == "off centre":
            X, X_test = (np.float32(1000) + part.astype(np.float32) / 255 for part in (X, X_test))
        elif self.data.startswith("imbalanced"):
            common = int(self.data[-1])
            X, y = _imbalanced(data.X, data.y, common, 50)
            X_test, y_test = _imbalanced(data.X_test, data.y_test, common, 50)
        return {"X": X, "y": y, "test_data": (X_test, y_test), "initial": self.initial(X.shape[1])}

    def initial(self, D: int) -> Any:
        """The given weights, if any."""
        if not self.weights:
            return None
        training = Training(**self.options)
        p = initialise(training.architecture(D, 10), training.init, training.seed)
        if self.weights == "dead by bias":
            p.biases[0][...] = -100
        elif self.weights == "second layer dead":
            p.biases[1][...] = -100
        elif self.weights == "saturated":
            p.weights[0][...] *= 200
        return p


def _imbalanced(
    X: NDArray[Any], y: NDArray[Any], common: int, ratio: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """All rows of one class, a 50th of as many of each other."""
    most = int((y == common).sum())
    keep = np.concatenate(
        [np.flatnonzero(y == k)[: most if k == common else most // ratio] for k in range(10)]
    )
    keep.sort()
    return X[keep], y[keep]


HIGH, LOW, DEAD, FLAT, FROZEN = "lr-too-high", "lr-too-low", "units-dead", "units-saturated", "loss-frozen"

BY_HAND = (
    Case("raw pixels", (HIGH,), {"scale": 1}),
    Case("raw pixels, keras2", (HIGH, FROZEN), {"scale": 1, "loss": "keras2"}),
    Case("raw pixels, lr 0.1", (HIGH,), {"scale": 1, "lr": 0.1}),
    Case("lr 5", (HIGH,), {"lr": 5.0}),
    Case("lr 100", (HIGH,), {"lr": 100.0}),
    Case("lr 10, deep", (HIGH,), {"lr": 10.0, "hidden": (64, 32)}),
    Case("lr 1e-5", (LOW,), {"lr": 1e-5}),
    Case("lr 1e-4, sigmoid", (LOW,), {"lr": 1e-4, "act": "sigmoid"}),
    Case("dead by bias", (DEAD,), {"lr": 0.1}, weights="dead by bias"),
    Case("second layer dead", (DEAD,), {"lr": 0.1, "hidden": (64, 32)}, weights="second layer dead"),
    Case("saturated sigmoid", (FLAT,), {"act": "sigmoid", "scale": 0.05, "lr": 0.1}),
    Case("saturated tanh, given", (FLAT, "init-unsuitable"), {"act": "tanh", "lr": 0.1}, weights="saturated"),
    Case("frozen by the lower bound", (FROZEN,), {"loss": "clip:0.3,0.999999", "lr": 0.1}),
    Case("frozen by the upper bound", (FROZEN,), {"loss": "clip:1e-10,0.05", "lr": 0.1}),
    Case("constant input", ("inputs-constant",), {}, data="constant", cured=False),
    Case("zeros", ("inputs-constant",), {"act": "sigmoid"}, data="zeros", cured=False),
    Case("shuffled labels", ("labels-unrelated",), {"lr": 0.1}, data="shuffled labels", cured=False),
    Case(
        "shuffled labels, tanh", ("labels-unrelated",), {"act": "tanh"}, data="shuffled labels", cured=False
    ),
    Case("imbalanced", ("classes-imbalanced",), {"lr": 0.05}, data="imbalanced, most are 0", cured=False),
    Case("imbalanced, 7", ("classes-imbalanced",), {"lr": 0.02}, data="imbalanced, most are 7", cured=False),
    Case("inputs off centre", ("inputs-off-centre",), {"scale": 1, "lr": 0.1}, data="off centre"),
    Case("one hidden unit", ("hidden-too-narrow",), {"hidden": (1,), "lr": 0.1}),
    Case("healthy", (), {"lr": 0.1}),
    Case("healthy sigmoid", (), {"lr": 1.0, "act": "sigmoid"}),
    Case("healthy tanh, deep", (), {"lr": 0.1, "act": "tanh", "hidden": (64, 32)}),
    Case("healthy, keras2", (), {"lr": 0.1, "loss": "keras2"}),
)


def drawn(number: int) -> dict[str, Any]:
    """Options of the number-th net drawn by program; what becomes of it is its label."""
    u = uniform(8, number, "drawn nets")

    def pick(at: int, choices: tuple[Any, ...]) -> Any:
        return choices[int(u[at] * len(choices))]

    return {
        "act": pick(0, ("relu", "relu", "sigmoid", "tanh")),
        "scale": float(f"{10 ** (3.4 * u[1]):.3g}"),
        "lr": float(f"{10 ** (-5 + 6 * u[2]):.3g}"),
        "loss": pick(3, ("logits", "logits", "keras2", "clip:1e-10,0.999999")),
        "hidden": pick(4, ((30,), (100,), (64, 32))),
        "batch_size": pick(5, (32, 100)),
        "seed": number,
    }


__all__ = ["BY_HAND", "Architecture", "Case", "drawn"]
