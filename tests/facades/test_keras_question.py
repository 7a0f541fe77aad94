"""The question's programs in Keras' words, on MNIST."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pages import words

QUESTION = """
from fastmlp.keras.datasets import mnist
from fastmlp.keras.layers.core import Activation, Dense
from fastmlp.keras.losses import CategoricalCrossentropy
from fastmlp.keras.models import Sequential
from fastmlp.keras.utils import np_utils, set_random_seed

set_random_seed({seed})
classes = 10
(X, y), (X_test, y_test) = mnist.load_data()
X, X_test = X.reshape(len(X), 784), X_test.reshape(len(X_test), 784)
if {scaled}:
    X, X_test = X.astype("float32") / 255, X_test.astype("float32") / 255
y, y_test = np_utils.to_categorical(y, classes), np_utils.to_categorical(y_test, classes)
net = Sequential()
net.add(Dense(100, input_dim=784))
net.add(Activation({act!r}))
net.add(Dense(10))
net.add(Activation("softmax"))
net.compile(loss={loss}, metrics=["accuracy"], optimizer="sgd")
history = net.fit(X, y, batch_size=100, epochs=15, verbose=1)
score = net.evaluate(X_test, y_test, verbose=1)
print("accuracy", score[1])
"""


BY_NAME, KERAS_2 = '"categorical_crossentropy"', 'CategoricalCrossentropy(clip="keras2")'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "scaled", "loss", "low", "high"),
    [
        ("sigmoid", False, BY_NAME, 0.93, 0.955),
        ("relu", False, BY_NAME, 0.0, 0.80),
        ("relu", False, KERAS_2, 0.0, 0.80),
        ("relu", True, BY_NAME, 0.925, 0.945),
    ],
)
def test_the_questions_programs_on_mnist(mnist_folder, monkeypatch, capsys, act, scaled, loss, low, high):
    monkeypatch.setenv("FASTMLP_DATA", str(mnist_folder))
    names: dict = {}
    exec(QUESTION.format(act=act, scaled=scaled, loss=loss, seed=1), names)
    assert low <= names["score"][1] <= high
    history = names["history"].history
    wrong = 1 - history["accuracy"][-1]
    frozen = history["loss"][-1] == pytest.approx(-np.log(1e-7) * wrong, rel=0.02)
    assert frozen == (loss == KERAS_2)  # every sample is right, or beyond the clip
    out = capsys.readouterr().out
    assert out.count("Epoch ") == 15
    assert out.count("600/600") == 15
    assert "313/313" in out
    assert len(names["history"].history["accuracy"]) == 15


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (BY_NAME, r"([\d.]+), ([\d.]+) and ([\d.]+) with the loss by its name \(seeds 0 to 2\)"),
        (KERAS_2, r"and at ([\d.]+), ([\d.]+) and ([\d.]+) with the clip"),
    ],
)
def test_the_page_says_how_the_questions_relu_ends_on_mnist(mnist_folder, monkeypatch, loss, sentence):
    monkeypatch.setenv("FASTMLP_DATA", str(mnist_folder))
    ends = []
    for seed in range(3):
        names: dict = {}
        exec(QUESTION.format(act="relu", scaled=False, loss=loss, seed=seed), names)
        ends.append(f"{names['score'][1]:.2f}")
    assert re.findall(sentence, words("docs/keras.md")) == [tuple(ends)]
