"""Write tests/facades/keras_tensorflow.npz: what Keras on TensorFlow makes of keras_cases.py.

    FASTMLP_DATA=... python tests/support/write_keras_fixtures.py

It needs the extra ``parity``, and MNIST. test_keras_fixtures.py reads it, test_keras_parity.py holds it.
"""

from __future__ import annotations

import os

import keras_cases as cases
import numpy as np


def main() -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    kept = {}
    for numbers, make in ((cases.TRAININGS, cases.trained), (cases.STEPS, cases.stepped)):
        for number in numbers:
            made = make(keras, cases.drawn(number))
            kept |= {f"{number} {what}": array for what, array in made.items()}
    cases.FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(cases.FILE, **kept)


if __name__ == "__main__":
    main()
