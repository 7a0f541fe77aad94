"""What the tests of the study share: a tiny data set and plan, and evidence as MNIST gives it."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
from cli_runs import blobs

from fastmlp.data import Dataset
from fastmlp.study.experiments import CELLS, LOSSES, Plan

PLAN = Plan(
    seeds=4, cell_seeds=2, wide_seeds=2, epochs=1, scales=(1.0, 16.0, 256.0), rates=(1e-4, 1e-2, 1.0, 100.0),
    images=30, pictures=40, law_steps=3,
)  # fmt: skip


def dataset(n: int = 200, *, pictures: bool = True) -> Dataset:
    """Three easy classes of 8 x 8 bytes."""
    X, y = blobs(n)
    X_test, y_test = blobs(60, seed=1)
    at = np.array([3, 5, 8])
    flat = (X.reshape(n, -1), np.searchsorted(at, y), X_test.reshape(60, -1), np.searchsorted(at, y_test))
    return Dataset("blobs", "drawn", *flat, (3, 5, 8), (8, 8) if pictures else None)


def _cell(mean: float, half: float = 0.004, *, dead: float = 0.0, live: float = 1.0) -> dict[str, Any]:
    accuracy = np.linspace(mean - half, mean + half, 20).tolist()
    return {
        "seeds": 20, "accuracy": accuracy, "mean": mean, "spread": half / 2, "worst": accuracy[0],
        "best": accuracy[-1], "dead": dead, "live": live, "diverged": 0,
    }  # fmt: skip


MEANS = {
    "sigmoid-raw": 0.938, "relu-raw": 0.55, "relu-255": 0.936, "relu300-raw-lr0.01": 0.7,
    "relu300-raw-lr0.1": 0.4, "relu300-255-lr0.01": 0.94, "relu300-255-lr0.1": 0.978,
}  # fmt: skip


def evidence() -> dict[str, Any]:
    """A new one, as it is found on MNIST, rounded."""
    cells = []
    for cell in CELLS:
        raw = cell.code == "relu-raw"
        half = 0.2 if raw else 0.004
        fate = {"dead": 85.0} if raw and cell.loss == "logits" else {"live": 0.001} if raw else {}
        found = {"code": cell.code, "label": cell.label, "loss": cell.loss}
        cells.append(found | _cell(MEANS[cell.code], half, **fate))
    logits = _cell(0.55, 0.2, dead=85) | {
        "dead_units": [85] * 20, "live_share": [1.0] * 20, "frozen": None,
        "dead_rank_correlation": -0.8, "live_rank_correlation": None,
    }  # fmt: skip
    keras = _cell(0.5, 0.15, live=0.001) | {
        "dead_units": [0] * 20, "live_share": np.linspace(5e-4, 2e-3, 20).tolist(),
        "frozen": {"measured": 16.1, "of_a_frozen_net": -math.log(1e-7)},
        "dead_rank_correlation": None, "live_rank_correlation": 0.2,
    }  # fmt: skip
    phase = {
        act: {
            "scales": [1.0, 256.0], "rates": [0.001, 0.01, 0.1],
            "accuracy": [[0.8, 0.6], [0.1, 0.9], [0.1, 0.9]],
            "edge": [edge, None], "predicted": [2e-4, 0.4], "within": [False, False], "share_within": 0.0,
            "without_edge": 1, "median_ratio": 10.0,
        }
        for act, edge in (("relu", 0.0014), ("sigmoid", 0.18))
    }  # fmt: skip
    side = {
        "row_sums": 1e-7, "smallest_p": 0.0, "largest_logit": 460.0, "largest_hidden": 900.0,
        "sigmoid_saturated": 0.96, "sigmoid_largest_logit": 3.0,
    }  # fmt: skip
    run = {"losses": [2.3, 2.2], "losses_sha256": "a" * 64, "weights_sha256": "b" * 64}
    made = {
        "cells": cells,
        "distribution": {LOSSES[0]: logits, LOSSES[1]: keras},
        "phase": phase,
        "curvature": {
            "lr": 0.01, "largest_stable": 200.0, "images": 500,
            "relu": {"1": 12_000.0, "255": 5.0}, "sigmoid": {"1": 74.0, "255": 6.0},
        },
        "start": {
            "images": 10_000, "same_pattern": 1.0, "active": 0.51, "always_on": 0, "always_off": 0,
            "median_z": {"raw": 90.0, "255": 0.35}, "largest_weight": 0.082, "at_raw": side, "at_255": side,
        },
        "law": {
            "s": 256, "lr": 0.01, "steps": 2, "scaled": run, "raw": dict(run), "same": True,
            "raw_without_square": run | {"losses_sha256": "c" * 64},
        },
    }  # fmt: skip
    return copy.deepcopy(made)
