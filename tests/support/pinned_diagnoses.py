"""Small diagnoses whose JSON is kept in tests/unit/diagnoses.json, a line each; run this file to write it.

    python tests/support/pinned_diagnoses.py

It says what a diagnosis is in JSON: the keys, their order, the figures. Sentences may change: write it anew,
and look at what else did.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from cli_runs import blobs
from labelled_tables import TABLES

import fastmlp
from fastmlp.runs import strict_json

FILE = Path(__file__).parents[1] / "unit" / "diagnoses.json"
QUICK: dict[str, Any] = {"hidden": 8, "epochs": 3, "seconds": 600.0}  # so that nothing is cut short

OPTIONS: dict[str, dict[str, Any]] = {
    "steps too large": {"scale": 1, "lr": 1.0},
    "tanh, centred": {"scale": 2, "lr": 0.1, "act": "tanh", "center": True},
    "a clip that freezes": {"scale": 100, "loss": "clip:0.9,1", "hidden": (8, 6)},
    "no hidden layer": {"scale": 100, "hidden": "none"},
    "diverges": {"scale": 1, "lr": 1e25},
    "dead units": {"scale": 100, "lr": 0.1, "initial": "dead"},
}
"""Of diagnoses of the blobs."""


def cases() -> dict[str, tuple[Any, Any, dict[str, Any]]]:
    """Rows, labels and options by name."""
    X, y = blobs(400)
    dead = fastmlp.initialise(fastmlp.Architecture(64, (8,), 3))
    dead.biases[0][...] = -100
    found = {
        name: (X, y, QUICK | options | ({"initial": dead} if "initial" in options else {}))
        for name, options in OPTIONS.items()
    }
    found["constant inputs"] = np.full_like(X, 7), y, QUICK
    few = np.concatenate([np.flatnonzero(y == 3), np.flatnonzero(y == 5)[:4], np.flatnonzero(y == 8)[:4]])
    found["rare classes"] = X[few], y[few], QUICK | {"lr": 0.05}
    for table in TABLES:
        if table.name in ("5 columns, 1000 times", "circles, permuted"):
            found[table.name] = *table.table(), QUICK | {"scale": 1.0, "optimizer": "sgd", "batch_size": 100}
    return found


def diagnosed(name: str) -> dict[str, Any]:
    """What the JSON of that case says, but for the seconds it took."""
    X, y, options = cases()[name]
    told = json.loads(strict_json(fastmlp.diagnose(X, y, **options).to_json()))
    del told["seconds"]
    return told


def main() -> None:
    lines = (f"{json.dumps(name)}: {json.dumps(diagnosed(name))}" for name in cases())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
