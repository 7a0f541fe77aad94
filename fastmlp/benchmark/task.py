"""Task: the one training that every contender does, and its way to their processes.

Plain SGD from the same first weights in the same orders, as the question's script trains.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import Dataset
from fastmlp.net import Net, Parameters, Preprocessing, initialise
from fastmlp.random import permutation
from fastmlp.words.layers import Architecture, layers_of

_ARRAYS = ("X", "y", "X_test", "y_test")


@dataclass(frozen=True)
class Task:
    """X (N, D), y (N,), X_test, y_test, K classes, and how a ReLU net is trained on them."""

    X: NDArray[Any]
    y: NDArray[np.int64]
    X_test: NDArray[Any]
    y_test: NDArray[np.int64]
    classes: int
    scale: float
    hidden: tuple[int, ...] = (100,)
    lr: float = 0.01
    batch_size: int = 100
    seed: int = 0

    @classmethod
    def of(cls, data: Dataset, **settings: Any) -> Self:
        """The task on these data: bytes are divided by 255, other numbers taken as they are."""
        scale = 255.0 if data.X.dtype == np.uint8 else 1.0
        return cls(data.X, data.y, data.X_test, data.y_test, len(data.classes), scale, **settings)

    @property
    def architecture(self) -> Architecture:
        """The net."""
        return Architecture(self.X.shape[1], layers_of(self.hidden), self.classes)

    def first_weights(self) -> Parameters:
        """Weights with which every contender begins."""
        return initialise(self.architecture, seed=self.seed)

    def net(self) -> Net:
        """The net before its first step; each call makes a new one."""
        return Net(self.architecture, self.first_weights(), Preprocessing(self.scale))

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Row numbers (N,) of an epoch, counted from 1."""
        return permutation(len(self.y), self.seed, "order", epoch)

    def inputs(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """X / scale in float32, for tools that want their inputs scaled beforehand."""
        return X.astype(np.float32) / np.float32(self.scale)

    @property
    def flop(self) -> float:
        """Floating-point operations that a dense program needs for an epoch.

        Forward, gradient and delta of each layer (the first needs no delta) at two a weight and
        sample; the update at two a parameter and step.
        """
        shapes = self.architecture.shapes
        products = 6 * sum(fan_in * fan_out for fan_in, fan_out in shapes) - 2 * shapes[0][0] * shapes[0][1]
        steps = -(-len(self.y) // self.batch_size)
        return float(len(self.y) * products + 2 * steps * sum((i + 1) * o for i, o in shapes))

    def settings(self) -> dict[str, Any]:
        """Everything but the arrays, as plain data."""
        names = ("classes", "scale", "hidden", "lr", "batch_size", "seed")
        return {name: getattr(self, name) for name in names}

    def save(self, folder: Path) -> None:
        """Write the task into a folder, for the contenders' processes."""
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        (folder / "task.json").write_text(json.dumps(self.settings()))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the task that ``save`` wrote."""
        settings = json.loads((folder / "task.json").read_text())
        settings["hidden"] = tuple(settings["hidden"])
        arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS}
        return cls(**arrays, **settings)
