"""Write tests/unit/stages.npz: what PyTorch, and Keras on TensorFlow, make of stage_cases.py.

    python tests/support/write_stage_fixtures.py

It needs the extra ``parity``. test_stages.py reads it, test_stage_parity.py holds it.
"""

from __future__ import annotations

import os

import numpy as np
import stage_cases as cases

if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    made = cases.flat("torch", *cases.by_torch()) | cases.flat("keras", *cases.by_keras(keras))
    np.savez_compressed(cases.FILE, **made)
