"""Write tests/unit/losses.json: what PyTorch and Keras on TensorFlow make of loss_cases.py.

    python tests/support/write_loss_fixtures.py

It needs the extra ``parity``. test_losses.py reads it, and holds it where both are installed.
"""

from __future__ import annotations

import json
import os

import loss_cases as cases

if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "tensorflow"
    lines = (f"{json.dumps(name)}: {json.dumps(found)}" for name, found in cases.made().items())
    cases.FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
