"""The bytes of trainings, kept: what no change may touch while the numerics revision stands.

``python tests/kernels/test_kept_digests.py`` writes the file anew, which a new revision alone may ask for.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

import fastmlp
from fastmlp.random import raw_integers
from fastmlp.spec import NUMERICS_REVISION

FILE = Path(__file__).with_name("kept_digests.json")
N, D = 330, 70

TRAININGS = {
    "defaults": {},
    "sigmoid, raw": {"act": "sigmoid", "scale": 1, "lr": 0.001},
    "tanh, centred": {"act": "tanh", "center": True},
    "identity": {"act": "identity", "hidden": (9, 5)},
    "leaky relu": {"act": "leaky_relu", "hidden": (30,), "lr": 0.1},
    "mixed": {"act": ("relu", "tanh", "sigmoid"), "hidden": (20, 10, 5), "lr": 0.1},
    "no hidden layer": {"hidden": None, "lr": 0.1},
    "wide": {"hidden": (130, 130)},
    "one unit": {"hidden": 1},
    "keras2": {"loss": "keras2", "lr": 0.1},
    "clip": {"loss": "clip:0.05,0.9", "lr": 0.1},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True, "act": "tanh"},
    "decay": {"weight_decay": 0.01},
    "momentum and decay": {"momentum": 0.5, "weight_decay": 0.001},
    "adam": {"optimizer": "adam", "lr": 0.001},
    "adam, other betas": {"optimizer": "adam", "lr": 0.01, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-4},
    "adam and decay": {"optimizer": "adam", "lr": 0.001, "weight_decay": 0.01, "hidden": (17, 9)},
    "cosine": {"schedule": "cosine", "lr": 0.1},
    "steps": {"schedule": "step:1,0.5", "lr": 0.1},
    "patience": {"validation": 0.2, "patience": 1, "lr": 0.3},
    "class weights": {"class_weight": "balanced", "lr": 0.1},
    "batches of one": {"batch_size": 1, "epochs": 1},
    "a short last batch": {"batch_size": 64},
    "one batch": {"batch_size": 1000, "epochs": 5, "lr": 0.2},
    "he_uniform": {"init": "he_uniform"},
    "lecun_uniform": {"init": "lecun_uniform", "act": "tanh"},
    "torch": {"init": "torch"},
    "uniform": {"init": "uniform", "lr": 0.001},
    "another seed": {"seed": 2**40 + 7},
}


def data(form: str):
    """X (N, D) in that form and y: from raw integers alone, which no release of NumPy may change."""
    first, second = raw_integers(2 * N * D, 1, form).reshape(2, N, D)
    X = (second % np.uint64(256)).astype(np.uint8)
    X[first % np.uint64(10) >= np.uint64(10 if form.startswith("dense") else 2)] = 0
    left, right = (half.sum(axis=1, dtype=np.int64) for half in np.split(X, 2, axis=1))
    y = (left > right) + (X[:, 0] > 9) * 2
    if form in ("bytes", "dense bytes"):
        return X, y
    numbers = X.astype(np.float32)
    return (csr_array(numbers) if form == "csr" else numbers), y


def digests(form: str) -> dict[str, str]:
    """Of each training on rows of that form: weights, and what its epochs were like."""
    (X, y), found, small = data(form), {}, {"hidden": 12, "epochs": 2, "batch_size": 50}
    whole = (
        None if "bytes" in form else fastmlp.Training(scale=255)
    )  # by fields alone, only bytes have these steps
    for name, fields in TRAININGS.items():
        model, history = fastmlp.fit(X, y, whole, threads=2, **small | fields)
        sha = hashlib.sha256(model.parameters.sha256().encode())
        for epoch in history.epochs:
            told = epoch.train_loss, epoch.train_accuracy, epoch.live_share, epoch.dead_units
            sha.update(repr(told).encode())
        sha.update(np.ascontiguousarray(model.predict_proba(X[:40]), "<f4").tobytes())
        found[name] = sha.hexdigest()[:16]
    return found


FORMS = ("bytes", "dense bytes", "dense", "csr")


@pytest.mark.parametrize("form", FORMS)
def test_trainings_have_the_bytes_that_are_kept(form):
    kept = json.loads(FILE.read_text())
    assert kept["numerics"] == NUMERICS_REVISION
    assert digests(form) == kept[form]


def test_a_last_bit_is_seen():
    X, y = data("bytes")
    rates = 0.01, 0.010000001
    assert len({fastmlp.fit(X, y, epochs=1, lr=lr)[0].parameters.sha256() for lr in rates}) == 2


def main() -> None:
    kept = {"numerics": NUMERICS_REVISION, **{form: digests(form) for form in FORMS}}
    FILE.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
