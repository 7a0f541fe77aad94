"""Callbacks, and the lines and bars of progress."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from compare import check
from nets import net_of
from small_keras import D, K, N, net

import fastmlp
from fastmlp import reference
from fastmlp.keras import callbacks, losses, optimizers
from fastmlp.keras.layers import Dense
from fastmlp.keras.models import Sequential
from fastmlp.keras.progress import Progress

pytestmark = pytest.mark.usefixtures("numpy_backend")


# --- callbacks ------------------------------------------------------------------------------------


class Recorder(callbacks.Callback):
    def __init__(self):
        self.heard = []

    def on_train_begin(self, logs=None):
        self.heard.append("begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.heard.append(f"{epoch} begins")

    def on_epoch_end(self, epoch, logs=None):
        self.heard.append(f"{epoch} ends with {', '.join(logs)}")
        logs["mine"] = epoch
        self.model.stop_training = epoch == 1

    def on_train_end(self, logs=None):
        self.heard.append(f"end with {logs['mine']}")


def test_callbacks_hear_of_everything_and_may_stop(data):
    recorder = Recorder()
    model = net()
    history = model.fit(*data, epochs=5, verbose=0, callbacks=[recorder])
    told = "ends with accuracy, loss"
    assert recorder.heard == ["begin", "0 begins", f"0 {told}", "1 begins", f"1 {told}", "end with 1"]
    assert history.history["mine"] == [0, 1]
    assert model.stop_training
    assert recorder.params["steps"] == 10
    assert len(model.fit(*data, epochs=3, verbose=0).epoch) == 3


def losses_told(stopping, values, name="val_loss"):
    """After which epoch it stops, and which weights are there then: each epoch's are its number."""

    class Fake:
        stop_training = False
        weights = -1

        def get_weights(self):
            return self.weights

        def set_weights(self, weights):
            self.weights = weights

    model = Fake()
    stopping.set_model(model)
    stopping.on_train_begin()
    for epoch, value in enumerate(values):
        model.weights = epoch
        stopping.on_epoch_end(epoch, {name: value})
        if model.stop_training:
            break
    stopping.on_train_end()
    return epoch, model.weights


def test_early_stopping_by_what_it_is_told(capsys):
    early = callbacks.EarlyStopping
    assert losses_told(early(), [3, 2, 2, 1]) == (2, 2)
    assert losses_told(early(patience=2, restore_best_weights=True), [3, 2, 4, 5, 1]) == (3, 1)
    assert losses_told(early(patience=2), [3, 2, 4, 1, 2, 3]) == (5, 5)
    assert losses_told(early(min_delta=1.5, patience=1), [9, 8, 7]) == (1, 1)
    assert losses_told(early("val_accuracy"), [0.1, 0.2, 0.2, 0.3], "val_accuracy") == (2, 2)
    assert losses_told(early("acc", mode="min"), [0.3, 0.2, 0.3], "acc") == (2, 2)
    assert losses_told(early(mode="max"), [3, 2]) == (1, 1)
    assert losses_told(early(baseline=1, patience=2), [3, 4, 2, 3]) == (1, 1)
    assert losses_told(early(baseline=1, patience=2), [3, 0.5, 2, 3]) == (3, 3)
    assert losses_told(early(start_from_epoch=3), [1, 2, 3, 4, 5]) == (4, 4)
    assert losses_told(early(verbose=1, restore_best_weights=True), [1, 2]) == (1, 0)
    said = capsys.readouterr().out.splitlines()
    assert said == ["Epoch 2: stopped early", "The weights are those of epoch 1, the best one"]
    with pytest.warns(UserWarning, match="monitors val_loss, and the logs hold loss"):
        losses_told(early(), [1], "loss")


def test_learning_rates_by_epoch(data, capsys):
    model = net(optimizers.SGD(0.5))
    scheduler = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1)
    history = model.fit(*data, epochs=3, verbose=0, callbacks=[scheduler])
    assert history.history["learning_rate"] == [0.25, 0.125, 0.0625]
    assert "Epoch 3: learning rate 0.0625" in capsys.readouterr().out
    model.fit(*data, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: 0.3)])
    assert model.optimizer.learning_rate == model.optimizer.lr == 0.3
    with pytest.raises(ValueError, match="learning_rate"):
        model.fit(*data, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: -1.0)])


def test_momentum_is_one_of_steps_where_the_rate_changes(data):
    """Keras: step = momentum step - lr g; w += step."""
    model = net(optimizers.SGD(0.1, momentum=0.9))
    X, y = data
    w, step = fastmlp.Parameters.from_keras(model.get_weights()), [0 * a for a in model.get_weights()]
    for epoch, lr in enumerate((0.1, 0.01, 0.05)):
        model.optimizer.learning_rate = lr
        model.fit(X, y, batch_size=N, shuffle=False, verbose=0)
        gradients = list(reference.loss_and_gradients(net_of(w), X, y, loss="logits").gradients)
        step = [0.9 * s - lr * g for s, g in zip(step, gradients, strict=True)]
        w = fastmlp.Parameters.from_keras([a + s for a, s in zip(w, step, strict=True)])
        for got, want in zip(model.get_weights(), w, strict=True):
            check("trajectory weights", got, want.astype(np.float32), f"epoch {epoch}")


def test_an_optimizer_trains_one_model(data):
    optimizer = optimizers.SGD()
    net(optimizer).fit(*data, verbose=0)
    with pytest.raises(ValueError, match="one model"):
        net(optimizer).fit(*data, verbose=0)


def test_divergence_leaves_the_last_good_weights(data):
    X, y = data
    model = Sequential([Dense(8, "relu", input_dim=D), Dense(K)])
    model.compile(optimizers.SGD(1e18), losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()
    with pytest.raises(fastmlp.DivergedError, match="finite"):
        model.fit(X * np.float32(1e20), y, verbose=0)
    assert all(map(np.array_equal, before, model.get_weights()))


# --- progress -------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_lines(data, capsys):
    X, y = data
    model = net()
    model.fit(X, y, epochs=2, verbose=1, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2"
    assert lines[2] == "Epoch 2/2"
    for line in (lines[1], lines[3]):
        assert line.startswith("8/8 ━━━━━━━━━━━━━━━━━━━━ ")
        assert "/step - accuracy: 0." in line
        assert " - loss: " in line
        assert " - val_accuracy: 0." in line
        assert " - val_loss: " in line
    assert len(lines) == 4
    model.fit(X, y, verbose=2)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("10/10 - 0s - ")
    assert "━" not in line
    model.evaluate(X, y)
    assert capsys.readouterr().out.startswith("10/10 ━━━━━━━━━━━━━━━━━━━━ ")
    model.predict(X, batch_size=1)
    assert capsys.readouterr().out.startswith("300/300 ━━━━━━━━━━━━━━━━━━━━ ")
    for call in (model.fit, model.evaluate):
        call(X, y, verbose=0)
    model.predict(X, verbose=0)
    assert capsys.readouterr().out == ""


def test_a_bar_grows_on_a_terminal(data, monkeypatch):
    monkeypatch.setattr(sys, "stdout", screen := Terminal())
    net().fit(*data, batch_size=10, epochs=2)
    lines = screen.getvalue().split("\n")
    assert lines[0] == "Epoch 1/2"
    assert "━" in lines[1]
    assert "─" in lines[1]
    assert lines[1].count("\r") >= 2  # what was done at the first look, and the finished line
    last = lines[1].split("\r")[-1]
    assert last.startswith("30/30 ━━━━━━━━━━━━━━━━━━━━ ")
    assert last.rstrip().split()[-1].replace(".", "").isdigit()


def test_a_bar_is_drawn_no_more_often_than_its_interval(monkeypatch):
    for interval, drawn in ((0.0, 30), (1e9, 1)):
        monkeypatch.setattr(sys, "stdout", screen := Terminal())
        progress = Progress(1, N, 10, interval=interval)
        progress.begin()
        for samples in range(10, N + 1, 10):
            progress.watch(0, samples)
        assert screen.getvalue().count("\r") == drawn


def test_lines_for_plain_screens_and_none(data, monkeypatch):
    monkeypatch.setattr(sys, "stdout", screen := io.TextIOWrapper(io.BytesIO(), "ascii"))
    net().fit(*data)
    screen.seek(0)
    assert "10/10 ==================== " in screen.read()
    monkeypatch.setattr(sys, "stdout", None)
    net().fit(*data)
