"""What the tests of the estimators share: small data, small nets, and how nets are compared."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from sklearn.datasets import load_digits, load_iris
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor

BOTH = pytest.mark.parametrize("Net", [MLPClassifier, MLPRegressor])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SMALL = {"hidden_layer_sizes": (8, 5), "max_iter": 5, "random_state": 3}


def iris(dtype=np.float64):
    """Standardised iris (150, 4), and its classes 0, 1 and 2."""
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X).astype(dtype), y


def line(n: int = 60, seed: int = 0, K: int = 0):
    """Numbers (n,), or (n, K), that hang on X (n, 3)."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    y = X @ rng.normal(size=(3, max(K, 1))) + 0.1 * rng.normal(size=(n, max(K, 1)))
    return X, y if K else y[:, 0]


def digits():
    """(1797, 64) uint8, 0 .. 16, and their classes."""
    X, y = load_digits(return_X_y=True)
    return X.astype(np.uint8), y


def same_nets(a, b) -> bool:
    """To the byte."""
    return all(
        np.array_equal(x, y)
        for x, y in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True)
    )


def close_nets(a, b, **tolerance) -> None:
    for x, y in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True):
        np.testing.assert_allclose(x, y, **tolerance)
