"""First weights have the spread and the ends of those of PyTorch and Keras, where these are installed."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fastmlp.words.drawing import first_weights
from fastmlp.words.inits import INITS, checked_init

FAN_IN, FAN_OUT = 700, 500

TORCHS = {
    "glorot_uniform": lambda init, w: init.xavier_uniform_(w),
    "xavier_normal": lambda init, w: init.xavier_normal_(w),
    "he_uniform": lambda init, w: init.kaiming_uniform_(w, nonlinearity="relu"),
    "kaiming_normal": lambda init, w: init.kaiming_normal_(w, nonlinearity="relu"),
    "orthogonal:2": lambda init, w: init.orthogonal_(w, 2),
    "uniform:-0.5,2": lambda init, w: init.uniform_(w, -0.5, 2),
    "normal:1,0.3": lambda init, w: init.normal_(w, 1, 0.3),
    "truncated_normal:0,1": lambda init, w: init.trunc_normal_(w),
    "truncated_normal:1,0.3": lambda init, w: init.trunc_normal_(w, 1, 0.3, 0.4, 1.6),
    "zeros": lambda init, w: init.zeros_(w),
    "ones": lambda init, w: init.ones_(w),
    "constant:0.3": lambda init, w: init.constant_(w, 0.3),
}
KERAS = {
    "glorot_uniform": ("GlorotUniform", ()),
    "glorot_normal": ("GlorotNormal", ()),
    "he_uniform": ("HeUniform", ()),
    "he_normal": ("HeNormal", ()),
    "lecun_uniform": ("LecunUniform", ()),
    "lecun_normal": ("LecunNormal", ()),
    "orthogonal": ("Orthogonal", ()),
    "uniform:-0.5,2": ("RandomUniform", (-0.5, 2)),
    "normal": ("RandomNormal", ()),
    "truncated_normal": ("TruncatedNormal", ()),
    "zeros": ("Zeros", ()),
    "ones": ("Ones", ()),
    "constant:0.3": ("Constant", (0.3,)),
}


def same_spread(init, theirs):
    ours = first_weights(checked_init(init), FAN_IN, FAN_OUT, 1, 0)
    assert ours.shape == theirs.shape
    n, sd = ours.size, ours.std()
    assert abs(ours.mean() - theirs.mean()) < 6 * sd / np.sqrt(n) + 1e-7
    assert ours.std() == pytest.approx(theirs.std(), rel=6 / np.sqrt(n), abs=1e-7)
    loose = 0.2 if init.startswith(("normal", "xavier", "kaiming", "orthogonal")) else 0.002
    ends = [np.quantile(each, [0, 0.1, 0.9, 1]) for each in (ours, theirs)]
    np.testing.assert_allclose(*ends, rtol=loose, atol=0.01 * sd + 1e-7)


@pytest.mark.parametrize("init", TORCHS)
def test_pytorch_draws_the_same(init):
    torch = pytest.importorskip("torch")
    torch.manual_seed(3)
    weights = torch.empty(FAN_OUT, FAN_IN)
    TORCHS[init](torch.nn.init, weights)
    same_spread(init, weights.numpy().T)


@pytest.mark.slow
@pytest.mark.parametrize("init", KERAS)
def test_keras_draws_the_same(init, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "tensorflow"))
    keras = pytest.importorskip("keras")
    name, numbers = KERAS[init]
    options = {} if name in ("Zeros", "Ones", "Constant") else {"seed": 3}
    same_spread(init, np.asarray(getattr(keras.initializers, name)(*numbers, **options)((FAN_IN, FAN_OUT))))


def test_every_distribution_but_linears_own_is_compared():
    assert {init.split(":")[0] for init in (*TORCHS, *KERAS)} == set(INITS) - {"torch"}
