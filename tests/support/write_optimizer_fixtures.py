"""Write tests/unit/optimizers.npz: what PyTorch, and Keras on TensorFlow, make of optimizer_cases.py.

    python tests/support/write_optimizer_fixtures.py

It needs the extra ``parity``. test_optimizer_words.py reads it, test_optimizer_parity.py holds it.
"""

from __future__ import annotations

import os

import numpy as np
import optimizer_cases as cases


def main() -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import torch

    made = {f"torch {name}": cases.by_torch(torch, case) for name, case in cases.TORCH.items()}
    made |= {f"keras {name}": cases.by_keras(keras, case) for name, case in cases.KERAS.items()}
    flat = {name: np.concatenate([array.ravel() for array in arrays]) for name, arrays in made.items()}
    np.savez_compressed(cases.FILE, **flat)


if __name__ == "__main__":
    main()
