"""What a training cannot be faster than, from the net's sizes and the machine's measured peak."""

from __future__ import annotations

from typing import Any

import numpy as np
from epochs import CLASSES

from fastmlp.benchmark.peak import Peak
from fastmlp.benchmark.task import Task


def dense_flop(X: Any, hidden: int, batch_size: int) -> float:
    """Floating-point operations of a dense epoch on X (N, D); see Task.flop."""
    y = np.zeros(X.shape[0], np.int64)
    return Task(X, y, X[:1], y[:1], CLASSES, 1.0, (hidden,), 0.01, batch_size).flop


def dense_seconds(X: Any, hidden: int, batch_size: int, peak: Peak) -> float:
    """An epoch whose multiply-adds run at the peak of all cores."""
    return dense_flop(X, hidden, batch_size) / (1e9 * peak.machine)


def sparse_seconds(X: Any, hidden: int, peak: Peak, cores: int) -> float:
    """The first layer's multiply-adds of the non-zeros alone, forward and in the gradient, at the peak."""
    row = 8 * -(-hidden // 8)  # whole vectors of 8
    return 4.0 * int(np.count_nonzero(X)) * row / (1e9 * peak.core * cores)
