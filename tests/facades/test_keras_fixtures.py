"""fastmlp.keras against what Keras on TensorFlow made of the same trainings, kept: see keras_cases.py."""

from __future__ import annotations

from dataclasses import fields
from itertools import combinations

import keras_cases as cases
import numpy as np
import pytest

import fastmlp.keras as ours

pytest.importorskip("sklearn", reason="its tables are the data")

BACKENDS = ("numba", "numpy")


@pytest.fixture(autouse=True)
def mnist(mnist_folder, monkeypatch):
    monkeypatch.setenv("FASTMLP_DATA", str(mnist_folder.resolve()))


@pytest.fixture(scope="module")
def kept():
    return cases.kept()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_trainings_as_keras_on_tensorflow(kept, backend):
    """Below the stability limit: scaled inputs, and unscaled ones with a small rate."""
    for number in cases.TRAININGS:
        case = cases.drawn(number)
        cases.same_training(cases.trained(ours, case, backend=backend), kept[number], case)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_steps_as_keras_on_tensorflow_on_unscaled_inputs(kept, backend):
    """Beyond it: each step from Keras' own weights."""
    for number in cases.STEPS:
        case, want = cases.drawn(number), kept[number]
        cases.same_steps(cases.stepped(ours, case, want["weights"], backend=backend), want, case)


def test_breast_cancer_as_it_is():
    """Clipped, most nets say one class of all rows: the share of one class is 0.373, of the other 0.627."""
    assert min(cases.breast_cancer(ours)) > 0.75
    clipped = cases.breast_cancer(ours, clip="keras2")
    assert sum(round(accuracy, 3) in (0.373, 0.627) for accuracy in clipped) >= 8


def test_every_word_is_drawn_beside_every_other():
    for numbers in (cases.TRAININGS, cases.STEPS):
        drawn = [cases.drawn(number) for number in numbers]
        names = [field.name for field in fields(cases.Case) if field.name not in ("number", "lr")]
        for a, b in combinations(names, 2):
            pairs = {(getattr(case, a), getattr(case, b)) for case in drawn}
            words = [{getattr(case, name) for case in drawn} for name in (a, b)]
            assert len(pairs) >= len(words[0]) * len(words[1]) - 2, (a, b)


def test_with_keras_2s_clip_they_would_not_be_the_same(kept, monkeypatch):
    """The comparisons go red on the loss that fastmlp.keras had before."""
    for loss in (ours.losses.CategoricalCrossentropy, ours.losses.SparseCategoricalCrossentropy):
        monkeypatch.setattr(loss, "loss", property(lambda self: "logits" if self.from_logits else "keras2"))
    red = 0
    for number in cases.STEPS:
        case, want = cases.drawn(number), kept[number]
        got = cases.stepped(ours, case, want["weights"], backend="numpy")
        try:
            cases.same_steps(got, want, case)
        except AssertionError:
            red += 1
            assert case.loss != "logits"
    assert red >= len(cases.STEPS) / 4


@pytest.mark.parametrize("what", ["weights", "told"])
def test_a_step_that_is_a_little_off_is_seen(kept, what):
    for number in list(cases.STEPS)[::5]:
        want = kept[number]
        got = {name: array.copy() for name, array in want.items()}
        cases.same_steps(got, want, cases.drawn(number))
        got[what][-1, 0] = np.nextafter(got[what][-1, 0], np.inf) * 1.01 + 0.1
        with pytest.raises(AssertionError):
            cases.same_steps(got, want, cases.drawn(number))
