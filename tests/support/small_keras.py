"""A small data set and a small compiled model in Keras' words."""

from __future__ import annotations

import numpy as np
from nets import learnable

from fastmlp.keras.layers import Dense, Input
from fastmlp.keras.models import Sequential

N, D, K = 300, 24, 4


def small_data():
    """X (N, D) float32 and classes y (N,) that can be learnt."""
    X, y = learnable(4, N, D, K)
    return (X / 255).astype(np.float32), y


def net(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=("accuracy",), hidden=(8,)):
    model = Sequential(
        [Input((D,)), *(Dense(width, "relu") for width in hidden), Dense(K, activation="softmax")]
    )
    model.compile(optimizer, loss, metrics)
    return model
