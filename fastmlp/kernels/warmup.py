"""Compiling ahead: a small training and a prediction, through the functions that anybody calls."""

from __future__ import annotations

import numpy as np

from fastmlp.kernels import activations, jit, losses, optimizers
from fastmlp.kernels.plug_ins import PlugIn
from fastmlp.layers import Architecture, Layer
from fastmlp.net import Net, initialise

ROWS, INPUTS = 3, 8
WORDS = "words"  # the mark that the code of every word is kept


def plug_ins() -> list[PlugIn]:
    """The plug-ins of all tables."""
    acts = [part for entry in activations.ACTIVATIONS.values() for part in entry if part is not None]
    return [*acts, *(entry.plug_in for entry in optimizers.STEPS.values()), *losses.HEADS.values()]


def warm_up(*, words: bool = False) -> None:
    """Compile, or load, every kernel that training, evaluating and predicting need.

    words: those of every activation, optimizer and loss too, which else wait until they are wanted.
    """
    from fastmlp import kernels

    architecture = Architecture(INPUTS, (Layer(2),), 2)
    net = Net(architecture, initialise(architecture))
    X, y = np.ones((ROWS, INPUTS), np.uint8), np.zeros(ROWS, np.int64)
    kernels.train_epoch(net, X, y, np.arange(ROWS), batch_size=2)
    kernels.predict_proba(net, X)
    if words:
        for plug_in in plug_ins():
            _ = plug_in.place
        jit.keep(WORDS)
