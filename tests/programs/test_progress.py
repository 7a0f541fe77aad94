"""progress=True: a bar in a terminal, a line where there is none; the same bytes; and what is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from terminals import on_terminal

import fastmlp
from fastmlp import ConfigError, DivergedError, Training
from fastmlp.display import bar as bars
from fastmlp.train.progress import told_of

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
posix = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
SCRIPT = """
import time
import numpy as np, fastmlp
X = np.random.default_rng(0).normal(size=(400, 30)).astype("f4")
options = dict(scale=1, epochs=12, validation=0.1, threads=1)
options["callbacks"] = [lambda result, model: time.sleep(0.5 * (result.epoch == 6))]  # while the bar is drawn
model, history = fastmlp.fit(X, X[:, 0] > 0, progress={progress}, **options)
print("done")
"""


@pytest.fixture
def data():
    X = np.random.default_rng(0).normal(size=(90, 5)).astype(np.float32)
    return X, X[:, 0] > 0


def shown(script: str, columns: int = 120, **environment: str) -> str:
    """What a program in Python writes to a terminal."""
    words = {"env": {**os.environ, "TERM": "xterm-256color", **environment}}
    return on_terminal(partial(subprocess.Popen, [sys.executable, "-c", script], **words), (40, columns))


@posix
def test_a_terminal_gets_a_bar_and_keeps_a_line():
    text = shown(SCRIPT.format(progress=True))
    plain = ANSI.sub("", text)
    figures = r"loss [\d.]+, accuracy [\d.]+, held-out accuracy [\d.]+, held-out loss [\d.]+"
    assert re.search(rf"━ epoch \d+/12, {figures}, [\d.]+ s left", plain)
    assert re.search(rf"[\r\n]12 epochs in [\d.]+ s: {figures}\r?$", plain, re.M)
    assert plain.rstrip().endswith("done")


@posix
@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "columns"), [({"TERM": "dumb"}, 120), ({"NO_COLOR": "1"}, 120), ({}, 20)], ids=str
)
def test_any_terminal_will_do(environment, columns):
    text = shown(SCRIPT.format(progress=True), columns, **environment)
    assert "12 epochs in" in " ".join(ANSI.sub("", text).split())
    assert ("\x1b" not in text) == ("TERM" in environment)
    assert "NO_COLOR" not in environment or not re.search(r"\x1b\[(3|4|9)\d", text)


@posix
@pytest.mark.parametrize("progress", [pytest.param(False, marks=pytest.mark.slow), None])
def test_nothing_is_printed_unless_it_is_asked_for(progress):
    assert shown(SCRIPT.format(progress=progress)).split() == ["done"]


def test_without_a_terminal_there_is_a_line(data, capfd):
    fastmlp.fit(*data, scale=1, epochs=3, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(r"3 epochs in [\d.]+ s: loss [\d.]+, accuracy [\d.]+\n", err)


def test_long_trainings_have_a_line_now_and_then(data, capfd, monkeypatch):
    monkeypatch.setattr(bars, "_LINE_EVERY", 0.0)
    fastmlp.fit(*data, scale=1, epochs=3, progress=True)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("epoch 0/3")
    assert [line for line in lines if line.startswith("epoch 2/3, loss ")]


def test_without_a_stderr_nothing_breaks(data, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    fastmlp.fit(*data, scale=1, epochs=1, progress=True)


@pytest.mark.parametrize("options", [{}, {"validation": 0.2, "patience": 2}, {"loss": "squared"}])
def test_the_bytes_are_those_without(data, options, capfd):
    X, y = data
    told = [fastmlp.fit(X, y * 1, scale=1, epochs=6, progress=p, **options) for p in (None, False, True)]
    assert len({model.parameters.sha256() for model, _ in told}) == 1
    assert "6 epochs" in capfd.readouterr().err or "patience" in options


def test_a_training_that_ends_early_says_after_how_many(data, capfd):
    fastmlp.fit(*data, scale=1, epochs=50, progress=True, callbacks=[lambda result, _: result.epoch == 4])
    assert capfd.readouterr().err.startswith("4 epochs in ")
    with pytest.raises(DivergedError):
        fastmlp.fit(data[0] * 1e20, data[1], scale=1, epochs=50, progress=True, lr=1e9)
    assert re.match(r"\d epochs? in ", capfd.readouterr().err)


def test_a_resumed_training_counts_all_epochs(data, capfd, tmp_path):
    for epochs in (2, 5, 5):
        fastmlp.fit(*data, scale=1, epochs=epochs, progress=True, checkpoint=tmp_path / "kept")
    told = capfd.readouterr().err.splitlines()
    assert [line.split()[0] for line in told[:2]] == ["2", "5"]


def test_a_function_is_called_as_ever(data):
    seen = []
    fastmlp.fit(*data, scale=1, epochs=2, progress=lambda epoch, samples: seen.append((epoch, samples)))
    assert seen == sorted(seen)


@pytest.mark.parametrize("wrong", [1, "yes", [print], 0.5, object()])
def test_what_is_neither_is_refused(data, wrong):
    with pytest.raises(ConfigError, match="progress must be True, False, None or a function"):
        fastmlp.fit(*data, progress=wrong)
    with pytest.raises(ConfigError, match="progress must be True or False"):
        fastmlp.fit_many(*data, [Training()], progress="yes")


def test_many_nets_have_a_bar_of_nets(data, capfd):
    trainings = [Training(scale=1, epochs=2, seed=seed) for seed in range(3)]
    nets = list(fastmlp.fit_many(*data, trainings, progress=True))
    assert re.fullmatch(r"3 nets in .* s: the last with loss .*, accuracy .*\n", capfd.readouterr().err)
    alone = fastmlp.fit_many(*data, trainings)
    shas = {net.index: net.model.parameters.sha256() for net in nets}
    assert {net.index: net.model.parameters.sha256() for net in alone} == shas
    stopped = fastmlp.fit_many(*data, trainings, progress=True)
    next(stopped)
    stopped.close()
    assert capfd.readouterr().err.startswith("1 net in ")


def test_estimators_have_it_too(data, capfd):
    fastmlp.MLPClassifier(max_iter=400, progress=True, tol=1.0, n_iter_no_change=1).fit(*data)
    assert re.fullmatch(r"\d+ epochs in .* s: loss [\d.]+\n", capfd.readouterr().err)


def test_epochs_are_told_by_what_they_have(data):
    X, y = data
    _, classes = fastmlp.fit(X, y, scale=1, epochs=1, test_data=(X, y))
    assert re.fullmatch(r"loss [\d.]+, accuracy [\d.]+, test accuracy [\d.]+", told_of(classes.final))
    _, numbers = fastmlp.fit(
        X, X[:, 0], scale=1, epochs=1, loss="squared", validation=0.3, test_data=(X, X[:, 0])
    )
    assert "accuracy" not in told_of(numbers.final)
    assert re.search(r"held-out R2 \S+, held-out loss [\d.]+, test R2 \S+, test loss", told_of(numbers.final))


def test_the_time_that_is_left_is_that_of_epochs_to_come(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(bars.time, "perf_counter", lambda: now[0])
    drawn = []

    class Surface:
        def draw(self, share, text):
            drawn.append((round(share, 3), text))

        end = draw

    state = bars._State(10, "epoch", Surface())
    now[0] += 5  # the first six are read from a file
    state.show(6, "loss 1")
    now[0] += 2
    state.show(7, "loss 0.5")
    state.show(7.5)
    state.end(is_whole=False)
    assert drawn == [
        (0.0, "epoch 0/10"), (0.6, "epoch 6/10, loss 1"), (0.7, "epoch 7/10, loss 0.5, 6.0 s left"),
        (0.75, "epoch 8/10, loss 0.5, 3.3 s left"), (0.75, "7 epochs in 7.0 s: loss 0.5"),
    ]  # fmt: skip


def test_durations():
    told = {0.04: "0.0 s", 9.94: "9.9 s", 42.0: "42 s", 150.0: "2 min", 3600.0 * 5: "5 h"}
    assert {seconds: bars._duration(seconds) for seconds in told} == told
