"""Compiling ahead: a small training and a prediction, through the functions that anybody calls."""

from __future__ import annotations

import numpy as np

from fastmlp.kernels import jit
from fastmlp.kernels.plug_ins import PLUG_INS
from fastmlp.net import Net, initialise
from fastmlp.words.layers import Architecture, Layer

ROWS, INPUTS = 3, 8
WORDS = "words"  # the mark that the code of every word is kept


def warm_up(*, words: bool = False) -> None:
    """Compile, or load, every kernel that training, evaluating and predicting need.

    words: those of every word of a net or a training too, and those of float64, which else wait until they
    are wanted.
    """
    from fastmlp import kernels

    architecture = Architecture(INPUTS, (Layer(2),), 2)
    X, y = np.ones((ROWS, INPUTS), np.uint8), np.zeros(ROWS, np.int64)
    for dtype in (np.float32, np.float64) if words else (np.float32,):
        net = Net(architecture, initialise(architecture, dtype=dtype))
        kernels.train_epoch(net, X, y, np.arange(ROWS), batch_size=2)
        kernels.predict_proba(net, X)
    if words:
        for plug_in in list(PLUG_INS):
            _ = plug_in.place
        jit.keep(WORDS)
