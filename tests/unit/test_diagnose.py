"""diagnose as a call and as a command: what it returns, its order, its messages, its exit codes."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from cli_runs import blobs, run, save_blobs

import fastmlp
from fastmlp import ConfigError, DataError, ModelError, initialise
from fastmlp.diagnosis import examine, picture, trials
from fastmlp.diagnosis.findings import in_words
from fastmlp.diagnosis.measures import rounded
from fastmlp.diagnosis.trials import Setting
from fastmlp.pictures import look

X, y = blobs(400)
QUICK = {"epochs": 3, "hidden": 8, "seconds": 60.0}


def test_a_diagnosis_is_plain_data():
    found = fastmlp.diagnose(X, y, scale=1, lr=1.0, **QUICK)
    assert found.severe
    assert found.findings[0].code == "lr-too-high"
    assert "lr" in found.verdict
    told = found.to_json()
    assert json.loads(json.dumps(told)) == told
    assert told["trials"][0]["changes"] == {}
    assert found.trials[0].epochs == found.epochs == 3
    first, second, *_, last = found.trajectory
    assert (first.epoch, first.step, first.loss) == (0, 0, None)
    assert len(second.update_ratio) == len(found.measures.layers) == 2
    assert first.gauss_newton > 0
    assert second.gauss_newton is not None
    assert last.epoch == 3
    assert 0 <= last.test_accuracy <= 1
    assert found.measures.after.layers[0].dead == last.dead[0]


def test_a_frozen_net_has_its_mark():
    """Every sample is right or cut off: the loss is the share of the wrong ones times -ln(LO)."""
    found = fastmlp.diagnose(X, y, scale=0.001, lr=1.0, loss="keras2", **QUICK)
    assert found.measures.after.loss.live["keras2"] < 0.05
    assert found.measures.after.loss.frozen == pytest.approx(1, abs=0.1)
    assert "loss-frozen" in {finding.code for finding in found.findings}


def test_what_is_watched_is_what_fit_does():
    """Cut into steps, a training keeps its bytes, so it ends as it would have."""
    options = {"scale": 255, "lr": 0.3, "hidden": 8, "epochs": 4, "seed": 3}
    test = blobs(80, seed=1)
    found = fastmlp.diagnose(X, y, test_data=test, seconds=60, **options)
    _, history = fastmlp.fit(X, y, test_data=test, **options)
    last = found.trajectory[-1]
    assert last.epoch == 4
    assert last.test_accuracy == history.epochs[-1].test_accuracy == found.trials[0].accuracy
    assert last.loss == pytest.approx(history.epochs[-1].train_loss, rel=1e-6)


def test_the_same_call_finds_the_same():
    told = [
        fastmlp.diagnose(X, y, scale=1, seconds=30, epochs=3, hidden=8, threads=n).to_json() for n in (1, 2)
    ]
    for found in told:
        found.pop("seconds")
    assert told[0] == told[1]


def test_a_training_is_given_whole_or_by_its_fields():
    told = [
        fastmlp.diagnose(X, y, fastmlp.Training(hidden=8, epochs=3, lr=0.5), seconds=60.0),
        fastmlp.diagnose(X, y, lr=0.5, **QUICK),
        fastmlp.diagnose(X, y, fastmlp.Training(hidden=8, lr=0.5), epochs=3, seconds=60.0),
    ]
    assert len({json.dumps(found.to_json() | {"seconds": 0}) for found in told}) == 1


def test_fit_takes_what_is_recommended():
    dead = initialise(fastmlp.Architecture(64, (8,), 3))
    dead.biases[0][...] = -100
    for options in ({"scale": 1, "lr": 1.0}, {"scale": 100, "lr": 0.3, "initial": dead}):
        options = options | {"hidden": 8, "epochs": 3}
        found = fastmlp.diagnose(X, y, seconds=60, **options)
        assert found.recommended
        model, _ = fastmlp.fit(X, y, **options | found.recommended)
        assert (model.predict(X) == y).mean() > 0.9


def test_what_is_done_is_told():
    lines = []
    fastmlp.diagnose(X, y, scale=1, lr=1.0, notify=lines.append, **QUICK)
    assert lines[0] == "measuring the net at its start"
    assert lines[2].startswith("trying: ")
    with pytest.raises(ConfigError, match="notify must be a function"):
        fastmlp.diagnose(X, y, notify="print")


def test_a_training_that_diverges_is_a_finding():
    found = fastmlp.diagnose(X, y, scale=1, lr=1e25, **QUICK)
    assert found.severe
    assert "not-finite" in {finding.code for finding in found.findings}
    assert found.trials[0].accuracy is None
    assert "step 2, in epoch 1" in found.trajectory[-1].not_finite
    json.dumps(found.to_json())


ODD = {
    "no hidden layer": {"hidden": "none"},
    "identity": {"act": "identity"},
    "six layers": {"hidden": (8,) * 6},
    "a batch of everything": {"batch_size": 10_000},
    "a scale far off": {"scale": 1e25},
    "a scale far off, down": {"scale": 1e-25},
    "lr far off": {"lr": 1e29},
    "lr far off, down": {"lr": 1e-29},
    "centred": {"center": True},
    "frozen": {"loss": "clip:0.9,1"},
    "another init": {"init": "uniform"},
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.filterwarnings("error")
def test_odd_settings_get_a_verdict(name):
    found = fastmlp.diagnose(X, y, **{"hidden": 8, "epochs": 3, "seconds": 2.0, "scale": 100.0} | ODD[name])
    assert found.verdict.endswith(".")
    json.dumps(found.to_json())
    if name in ("a scale far off", "lr far off", "lr far off, down", "frozen"):
        assert found.severe, found.verdict
        assert max(trial.score for trial in found.trials) > 0.9


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("largest", "hidden"), [(1e20, (8,)), (1e38, (8,)), (1e38, (8,) * 10)])
def test_odd_weights_get_a_verdict(largest, hidden):
    """They overflow in training, in the first layer, and the curvature in float64."""
    initial = initialise(fastmlp.Architecture(64, hidden, 3))
    for W in initial.weights:
        W *= np.float32(largest)
    found = fastmlp.diagnose(X, y, initial=initial, scale=1, lr=0.3, hidden=hidden, epochs=9, seconds=9)
    assert found.severe, found.verdict
    assert found.trials[0].diverged
    assert max(trial.score for trial in found.trials) > 0.5
    json.dumps(found.to_json())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("mean", "spread", "scale"),
    [(1e32, 1e31, 1.0), (1e32, 1e31, 1e20), (1e-32, 1e-33, 1e-20), (0, 1e38, 1e-20), (0, 1e-38, 1.0)],
)
def test_inputs_near_the_ends_of_float32_get_a_verdict(mean, spread, scale):
    """No change that is proposed lies where no setting may."""
    g = np.random.default_rng(0)
    labels = g.integers(0, 2, 300)
    rows = (mean + spread * (labels[:, None] + g.normal(0, 0.3, (300, 3)))).astype(np.float32)
    found = fastmlp.diagnose(rows, labels, scale=scale, **QUICK)
    assert found.verdict.endswith(".")
    json.dumps(found.to_json())


@pytest.mark.filterwarnings("error")
def test_odd_data_get_a_verdict():
    for rows, labels in (
        (X[:6], np.array([0, 0, 1, 1, 0, 1])),  # one row held out: nothing can be said of the labels
        (X[:, :1, :1], y),
        (-100.0 * X, y),
        (X > 100, y),
        (X, np.arange(len(X)) % 100),
    ):
        found = fastmlp.diagnose(rows, labels, **QUICK)
        codes = {finding.code for finding in found.findings}
        assert ("labels-unrelated" in codes) == (len(np.unique(labels)) == 100)


@pytest.mark.slow
def test_sparse_and_wide_inputs():
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 600)
    rows = sparse.random_array((600, 30_000), density=0.003, rng=rng, format="csr", dtype=np.float32)
    marks = sparse.csr_array((np.full(600, 5, np.float32), labels, np.arange(601)), shape=rows.shape)
    found = fastmlp.diagnose((rows + marks).tocsr(), labels, scale=1, lr=0.5, hidden=8, epochs=3, seconds=60)
    assert found.measures.inputs.columns == 30_000
    assert found.trials[0].accuracy > 0.9


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1}, ConfigError, "lr must be"),
        ({"threads": 0}, ConfigError, "threads must be"),
        ({"dropout": 0.2, "l2": 0.1}, ConfigError, "and an activation alone; got dropout, l2"),
        ({"initial": initialise(fastmlp.Architecture(3, (2,), 2))}, ModelError, "initial weights must have"),
        ({"test_data": (X[:5, :3], y[:5])}, DataError, "test data must have as many features"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        fastmlp.diagnose(X, y, **options)


def test_labels_of_another_length():
    with pytest.raises(DataError, match="same length"):
        fastmlp.diagnose(X, y[:-1])


def test_one_class_alone():
    with pytest.raises(DataError, match="two different labels"):
        fastmlp.diagnose(X, np.ones(len(X), int))


@pytest.mark.parametrize("value", [1.3e-4, 1e-29, 36.44, 2.0, 0.37174, 9.96, 9.999e-9])
def test_rounded_never_to_the_unsafe_side(value):
    down, up = rounded(value, down=True), rounded(value, down=False)
    assert down <= value * (1 + 1e-8)
    assert up >= value * (1 - 1e-8)
    assert up / down < 1.11
    assert float(f"{down:.2g}") == down


def test_settings_in_words():
    assert in_words({"scale": 40.0, "lr": 0.1}) == "divide the inputs by 40 (--scale 40) and use lr 0.1"
    assert in_words({"init": "glorot_uniform", "initial": None}) == (
        "draw them by glorot_uniform and start from fresh weights"
    )
    assert in_words({"loss": "logits"}) == "use loss logits"
    assert in_words({"hidden": (100, 100)}) == "use hidden 100,100"


def test_a_setting_changes_fields_and_drops_given_weights():
    given = initialise(fastmlp.Architecture(3, (2,), 2))
    setting = Setting(fastmlp.Training(), given)
    assert setting.changed({"lr": 1.0}).training.lr == 1
    assert setting.changed({"lr": 1.0}).initial is given
    assert setting.changed({"initial": None}).initial is None


# --- the command ------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    return save_blobs(tmp_path)


FEW = ("--epochs", "3", "--hidden", "8", "--seconds", "2", "--quiet")


def test_exit_code_1_for_a_severe_finding(data):
    result = run("diagnose", "--data", data, "--scale", "1", "--lr", "1", *FEW)
    assert result.exit_code == 1, result.output
    assert result.stdout.startswith("severe     lr-too-high\n  measured lr 1 is ")
    assert "Verdict: " in result.stdout


def test_exit_code_0_for_a_healthy_net(data):
    result = run("diagnose", "--data", data, "--lr", "0.5", *FEW)
    assert result.exit_code == 0, result.output
    assert "Verdict: nothing that was measured costs 5%" in result.stdout


def test_json(data):
    result = run("diagnose", "--data", data, "--scale", "1", "--lr", "1", "--json", *FEW)
    report = json.loads(result.stdout)
    assert report["severe"] is True
    assert report["findings"][0]["code"] == "lr-too-high"
    assert report["training"]["lr"] == 1
    assert report["data"]["name"]


def test_a_run_folder_is_diagnosed_as_it_was_trained(data, tmp_path):
    out = tmp_path / "run"
    run("train", "--data", data, "--scale", "1", "--lr", "1", "--epochs", "3", "--hidden", "8", "--out", out)
    result = run("diagnose", out, "--seconds", "2", "--quiet", "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["training"] | {"lr": 1.0, "scale": 1.0, "hidden": [8]} == report["training"]
    alone = run("diagnose", "--data", data, "--scale", "1", "--lr", "1", "--json", *FEW)
    assert json.loads(alone.stdout)["trials"][0] == report["trials"][0]


def test_options_beside_a_run_folder(data, tmp_path):
    result = run("diagnose", tmp_path, "--lr", "1", "--batch-size", "3")
    assert result.exit_code == 2
    assert "got --batch-size, --lr." in result.stderr


def test_a_folder_that_is_no_run(tmp_path):
    result = run("diagnose", tmp_path)
    assert result.exit_code == 1
    assert "must say how a net was trained" in result.stderr


@pytest.mark.parametrize("content", ["", "[]", '{"config": {"lr": -1}}', '{"config": {"strange": 1}}'])
def test_a_damaged_run(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    result = run("diagnose", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "must say how a net was trained" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("suffix", picture.SUFFIXES)
def test_pictures(data, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"why{suffix}"
    run("diagnose", "--data", data, "--scale", "1", "--lr", "1", "--plot", path, *FEW)
    content = path.read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".html": b"<!doctype html>"}[suffix])
    if suffix == ".html":
        text = content.decode()
        assert text.count("<svg") == len(picture.PANELS)
        assert "http" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
            "http://creativecommons.org", ""
        ).replace("https://matplotlib.org", "")
        assert "lr-too-high" in text


def test_pictures_of_another_kind(data):
    result = run("diagnose", "--data", data, "--plot", "why.bmp")
    assert result.exit_code == 2
    assert "must end in .png, .svg, .html" in result.stderr


def test_pictures_without_matplotlib(data, monkeypatch):
    monkeypatch.setattr(look, "find_spec", lambda name: None)
    result = run("diagnose", "--data", data, "--plot", "why.png")
    assert result.exit_code == 2
    assert 'pip install "fastmlp[plot]"' in result.stderr
    assert importlib.util.find_spec is not look.find_spec


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_seconds_out_of_range(data, seconds):
    result = run("diagnose", "--data", data, "--seconds", seconds)
    assert result.exit_code == 2
    assert "seconds must be" in result.stderr


def test_it_takes_about_its_seconds(monkeypatch):
    """Where an epoch takes 0.01 s, a sixth of them has time for 16."""
    monkeypatch.setattr(trials.Bench, "seconds_an_epoch", lambda *_: 0.01)
    found = fastmlp.diagnose(X, y, epochs=10**6, hidden=8, seconds=1.0)
    assert found.epochs == 16
    assert found.seconds > 0
    assert math.isfinite(found.seconds)


def test_no_trial_begins_when_its_seconds_are_over(monkeypatch):
    """By a clock that goes on by a minute whenever it is read."""
    wild = {"scale": 1, "lr": 1.0, "epochs": 3, "hidden": 8}
    assert len(fastmlp.diagnose(X, y, **wild).trials) > 1
    minutes = itertools.count(0.0, 60.0)
    monkeypatch.setattr(examine, "time", SimpleNamespace(perf_counter=lambda: next(minutes)))
    assert len(fastmlp.diagnose(X, y, **wild).trials) == 1


def test_layers_of_different_activations_are_told_as_the_option_has_them():
    X = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    options = {
        "hidden": (5, 4),
        "act": "sigmoid,tanh",
        "scale": 1e-3,
        "epochs": 2,
        "seconds": 60,
        "threads": 1,
    }
    found = fastmlp.diagnose(X, X[:, 0] > 0, **options)
    (saturated,) = (finding for finding in found.findings if finding.code == "units-saturated")
    assert " of the sigmoid,tanh outputs are saturated" in saturated.measured
