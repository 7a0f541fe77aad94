"""Compile the kernels of a driver into the cache, or load them from there.

python tests/support/compile_kernels.py team|prange
"""

from __future__ import annotations

import sys

import numpy as np

from fastmlp import Architecture, Net, initialise, kernels
from fastmlp.backends.threads import ThreadTuner
from fastmlp.kernels.warmup import warm_up


def main(driver: str) -> None:
    if driver == "team":
        return warm_up(words=True)
    architecture = Architecture(8, (2,), 2)
    net = Net(architecture, initialise(architecture))
    X, y = np.ones((3, 8), np.uint8), np.zeros(3, np.int64)
    kernels.train_epoch(net, X, y, np.arange(3), threads=ThreadTuner(2, driver))
    return None


if __name__ == "__main__":
    main(sys.argv[1])
