"""What the README shows users of scikit-learn, Keras, PyTorch, and of a loop of their own, is true."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fastmlp

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(section: str) -> list[str]:
    """The Python programs of a section."""
    (text,) = re.findall(rf"^## {section}\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found
    return found


@pytest.fixture(autouse=True)
def somewhere(mnist_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("FASTMLP_DATA", str(mnist_folder.resolve()))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def own_loop(mnist_folder):
    """The names after the first block."""
    names: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTMLP_DATA", str(mnist_folder.resolve()))
        exec(blocks("A backend for your own loop")[0], names)
    return names


def test_a_loop_of_ones_own(own_loop):
    assert own_loop["tested"].accuracy > 0.96
    assert own_loop["state"].steps == 3 * 600


def test_it_takes_the_steps_of_fit_with_plain_sgd(mnist_folder):
    """As a comment in the example says."""
    text = blocks("A backend for your own loop")[0]
    plain, changed = re.subn(r'"lr": 0.001, "optimizer": adam, "state": state', '"lr": 0.01', text)
    assert changed == 1
    names: dict = {}
    exec(plain.replace("range(1, 4)", "range(1, 2)"), names)
    digits = names["digits"]
    model, _ = fastmlp.fit(digits.X, digits.y, lr=0.01, epochs=1)
    assert model.parameters.sha256() == names["net"].parameters.sha256()


def test_a_step_of_ones_own(own_loop):
    names = dict(own_loop)
    net = own_loop["net"]
    names["net"] = replace(net, parameters=net.parameters.copy())
    exec(blocks("A backend for your own loop")[1], names)
    changed = zip(names["net"].parameters, net.parameters, strict=True)
    assert any(not np.array_equal(a, b) for a, b in changed)
    assert names["hidden"].shape == (10_000, 100)
    right = names["p"].argmax(axis=1) == names["digits"].y_test
    assert right.mean() > 0.96
    assert np.array_equal(names["logits"].argmax(axis=1) == names["digits"].y_test, right)


def test_a_sequential_of_pytorch(own_loop):
    pytest.importorskip("torch")
    names = dict(own_loop)
    exec(blocks("A backend for your own loop")[2], names)
    assert names["history"].epochs[-1].test_accuracy > 0.96
    answers = names["net"](names["torch"].from_numpy(names["test_pixels"])).argmax(dim=1).numpy()
    assert (answers == names["digits"].y_test).mean() == names["history"].epochs[-1].test_accuracy


@pytest.mark.slow
def test_scikit_learn():
    pytest.importorskip("sklearn")
    (text,) = blocks("In scikit-learn")
    alone, changed = re.subn("n_jobs=2", "n_jobs=1", text)  # workers would outlive the test
    assert changed == 1
    names: dict = {}
    exec(alone, names)
    assert names["search"].best_score_ > 0.9
    assert len(names["search"].best_estimator_[-1].validation_loss_curve_) > 5


def test_keras_words(capsys):
    (text,) = blocks("In Keras' words")
    names: dict = {}
    exec(text, names)
    assert names["model"].history.history["val_accuracy"][-1] > 0.96
    assert "Epoch 3/3" in capsys.readouterr().out
