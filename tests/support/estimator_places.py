"""Places where scikit-learn's nets stand: each is played by both, and what comes of it must be the same.

A place is a function of the two classes; it returns values by name. Data are so small that fastmlp computes
in float64, and all numbers are compared to six digits.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from drawn_settings import unlike
from sklearn import neural_network as theirs
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

import fastmlp

Values = dict[str, Any]
Place = Callable[[Any], Values]

OURS = SimpleNamespace(MLPClassifier=fastmlp.MLPClassifier, MLPRegressor=fastmlp.MLPRegressor)
THEIRS = SimpleNamespace(MLPClassifier=theirs.MLPClassifier, MLPRegressor=theirs.MLPRegressor)
SHORT = {"hidden_layer_sizes": (6,), "max_iter": 6, "random_state": 5, "learning_rate_init": 0.01}


def two_classes(rows: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Some columns of breast cancer (rows, 6), and 0 or 1."""
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X[:rows, :6]), y[:rows]


def words(y: np.ndarray) -> np.ndarray:
    """Classes 0, 1 and 2 as words."""
    return np.array(["setosa", "versicolor", "virginica"])[y]


def unlike_theirs(place: Place) -> list[str]:
    """In what fastmlp's values differ from scikit-learn's, a line each."""
    ours, expected = place(OURS), place(THEIRS)
    found = [f"{name} is in one alone" for name in ours.keys() ^ expected.keys()]
    both = [name for name in expected if name in ours]
    return found + [line for name in both for line in unlike(name, ours[name], expected[name], 1e-6)]
