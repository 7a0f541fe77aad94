"""Compiling ahead: a small training and a prediction, through the functions that anybody calls."""

from __future__ import annotations

import numpy as np

from fastmlp.layers import Architecture, Layer
from fastmlp.net import Net, initialise

ROWS, INPUTS = 3, 8


def warm_up() -> None:
    """Compile, or load, every kernel that training, evaluating and predicting need."""
    from fastmlp import kernels

    architecture = Architecture(INPUTS, (Layer(2),), 2)
    net = Net(architecture, initialise(architecture))
    X, y = np.ones((ROWS, INPUTS), np.uint8), np.zeros(ROWS, np.int64)
    kernels.train_epoch(net, X, y, np.arange(ROWS), batch_size=2)
    kernels.predict_proba(net, X)
