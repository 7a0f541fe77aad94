"""PyTorch and Keras, as they are installed, take the steps of optimizer_cases.py (the extra ``parity``).

The same numbers are kept for the fast tests: test_optimizer_words.py.
"""

from __future__ import annotations

import inspect

import numpy as np
import optimizer_cases as cases
import pytest
from compare import check

from fastmlp import kernels, reference
from fastmlp.words.optimizers import COMMON, OPTIMIZERS, defaults

pytestmark = pytest.mark.slow

NAMES = {  # ours: theirs
    "beta_1": "beta1", "beta_2": "beta2", "eps": "epsilon", "alpha": "rho", "centered": "centred",
    "initial_accumulator_value": "initial_accumulator", "clipnorm": "clip_each", "clipvalue": "clip_value",
    "global_clipnorm": "clip_norm", "decoupled_weight_decay": "decoupled",
}  # fmt: skip


def flat(arrays):
    return np.concatenate([array.ravel() for array in arrays])


@pytest.mark.parametrize("name", cases.TORCH)
def test_torch_takes_the_steps_of_every_optimizer(name):
    torch = pytest.importorskip("torch")
    case = cases.TORCH[name]
    theirs = flat(cases.by_torch(torch, case))
    check("optimizer steps", np.load(cases.FILE)[f"torch {name}"], theirs)
    for nn in (kernels, reference):
        check("optimizer steps", flat(cases.ours(nn, case)), theirs)


@pytest.mark.parametrize("name", cases.KERAS)
def test_keras_takes_the_steps_of_every_optimizer(keras, name):
    case = cases.KERAS[name]
    theirs = flat(cases.by_keras(keras, case))
    keras.backend.clear_session()
    check("optimizer steps", np.load(cases.FILE)[f"keras {name}"], theirs)
    for nn in (kernels, reference):
        check("optimizer steps", flat(cases.ours(nn, case)), theirs)


def told(make):
    """Defaults of a class's options, by our names."""
    options = inspect.signature(make).parameters.values()
    found = {NAMES.get(one.name, one.name): one.default for one in options}
    if betas := found.pop("betas", None):
        found |= {"beta1": betas[0], "beta2": betas[1]}
    return found


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_defaults_are_theirs(keras, name):
    torch = pytest.importorskip("torch")
    made = {
        "torch": cases.torch_class(torch, name),
        "keras": cases.keras_class(keras, name),
    }
    for form, make in made.items():
        theirs, mine = told(make), defaults(name, form)
        for word in (*OPTIMIZERS[name].words, "weight_decay"):
            if word in theirs:
                assert mine[word] == (theirs[word] or 0), f"{word} of {name} as {form} has it"
        assert set(OPTIMIZERS[name].words) - set(theirs) <= set(COMMON)
