"""Arguments that do not fit are refused, and what is compiled is known."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

MISFITS = {
    "a label K": "nn.loss_and_gradients(net, X, np.full(20, 3))",
    "a label -1": "nn.loss_and_gradients(net, X, np.full(20, -1))",
    "too many columns": "nn.loss_and_gradients(net, np.ones((20, 9), np.float32), y)",
    "too few columns": "nn.predict_proba(net, np.ones((20, 4), np.float32))",
    "too few labels": "nn.loss_and_gradients(net, X, y[:5])",
    "too few labels to evaluate": "nn.evaluate(net, X, y[:5])",
    "an order beyond the data": "nn.train_epoch(net, X, y, np.array([1, 20]))",
    "a negative order": "nn.train_epoch(net, X, y, np.array([1, -1]))",
    "a rate below 0": "nn.train_epoch(net, X, y, np.arange(20), lr=-0.1)",
    "a rate of nan": "nn.train_epoch(net, X, y, np.arange(20), lr=np.nan)",
    "a mean of another length": "Net(shape, net.parameters, Preprocessing(1, np.zeros(4, np.float32)))",
}
MISFIT = """
import numpy as np
from fastmlp import Architecture, Net, Preprocessing, initialise, {backend} as nn
shape, X, y = Architecture(6, (5,), 3), np.ones((20, 6), np.float32), np.zeros(20, np.int64)
net = Net(shape, initialise(shape))
for what, call in {calls!r}.items():
    try:
        eval(call)
    except (ValueError, IndexError):
        print(what, flush=True)
"""


@pytest.mark.parametrize("backend", ["kernels", "reference"])
def test_arguments_that_do_not_fit_are_refused(backend):
    """In a process of its own: compiled code checks no index, and reads or writes beyond its arrays."""
    script = MISFIT.format(backend=backend, calls=MISFITS)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert ran.stdout.splitlines() == list(MISFITS), ran.stderr
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_is_warm_once_compiled(tmp_path):
    script = """
import numpy as np
from fastmlp import Architecture, Net, initialise, kernels as nn
shape, X, y = Architecture(6, (5,), 3), np.ones((20, 6), np.uint8), np.zeros(20, np.int64)
net = Net(shape, initialise(shape))
print(nn.is_warm())
nn.train_epoch(net, X, y, np.arange(20))
print(nn.is_warm())
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    for expected in (["False", "True"], ["True", "True"]):
        ran = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env=environment
        )
        assert ran.stdout.split() == expected, ran.stderr
