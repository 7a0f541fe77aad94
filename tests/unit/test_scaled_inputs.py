"""scale and center as words: from the Training to what is trained, the model's file, and raw inputs after."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from cli_runs import run, save_blobs
from compare import check
from nets import learnable

import fastmlp
from fastmlp import ConfigError, DataError, Model, ModelError, Net, Preprocessing, Training
from fastmlp.data import Dataset
from fastmlp.files import sealed
from fastmlp.train.checkpoint import Identity
from fastmlp.train.loop import parted
from fastmlp.words.scales import SCALES

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(240, 7)) * [1, 1e-3, 1e4, 5, 1, 1, 0] + [0, 3, -8e4, 100, 0, 1, 2]).astype(np.float32)
y = ((X[:, 1] - 3) * 1e3 + (X[:, 2] + 8e4) / 1e4 > 0).astype(int)
SETTINGS = [
    *({"scale": word, "center": center} for word in SCALES for center in (None, False)),
    {"scale": (1.0, 1e-3, 1e4, 5.0, 1.0, 1.0, 1.0), "center": True},
    {"scale": (1.0, 1e-3, 1e4, 5.0, 1.0, 1.0, 1.0)},
]
FEW = {"epochs": 3, "hidden": 8, "optimizer": "sgd", "lr": 0.05, "batch_size": 32}


@pytest.fixture(scope="module")
def trained():
    return [fastmlp.fit(X, y, threads=1, **FEW, **setting)[0] for setting in SETTINGS]


# --- as fields of a Training --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "scale"),
    [
        ("standard", "standard"), ("255", 255.0), (np.float32(2), 2.0), (7, 7.0), ("1,2", (1.0, 2.0)),
        ([1, 2], (1.0, 2.0)), (np.array([3.0, 4]), (3.0, 4.0)), ((5,), (5.0,)),
    ],
)  # fmt: skip
def test_scales_are_numbers_columns_or_words(given, scale):
    training = Training(scale=given)
    assert training.scale == scale
    assert hash(training) == hash(Training(scale=scale))
    assert Training.from_json(json.loads(json.dumps(training.to_json()))) == training
    assert training.architecture(3, 2) == Training().architecture(3, 2)


@pytest.mark.parametrize(
    "scale",
    ["Standard", "", "0", "1,", "1,-2", "nan", [], [1, 0], [1, "x"], [[1, 2]], [1, np.inf], (True, 1)],
)
def test_bad_scales_are_named(scale):
    with pytest.raises(ConfigError, match=r"^scale must be .* standard, minmax, robust; got "):
        Training(scale=scale)


def test_a_word_centres_and_a_number_does_not_unless_told():
    def told(training):
        return training.centred, training.to_json()["center"], training.center

    plain = Training(scale=255)
    assert told(plain) == told(plain.but(center=False)) == (False, False, None)
    assert told(plain.but(center=True)) == (True, True, True)
    for center in (None, False, True):
        assert told(Training(center=center)) == (center is True, center, center)
    for word in SCALES:
        assert told(Training(scale=word)) == told(Training(scale=word, center=True)) == (True, True, None)
        assert told(Training(scale=word, center=False)) == (False, False, False)
        assert Training.from_json(Training(scale=word, center=False).to_json()).center is False
    assert plain.but(center=False).but(scale="minmax").centred
    assert not Training(center=False).but(scale="minmax").centred
    assert not Training(scale="minmax").but(scale=1).centred
    assert Training.from_json({**plain.to_json(), "center": False}) == plain  # of older files


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_trainings_say_their_scale(setting):
    text = Training(**setting).in_words()
    if isinstance(setting["scale"], str):
        assert f"scale {setting['scale']}, " in text
        assert ("not centred" in text) == (setting["center"] is False)
    else:
        assert "scale of 7 columns, " in text


# --- what is trained ----------------------------------------------------------------------------


@pytest.mark.parametrize("i", range(len(SETTINGS)))
def test_a_net_on_raw_inputs_is_one_on_scaled_inputs(trained, i):
    model, done = trained[i], trained[i].preprocessing
    scaled = done.applied(X).astype(np.float32)
    plain, _ = fastmlp.fit(scaled, y, scale=1, threads=1, **FEW)
    for ours, theirs in zip(model.parameters, plain.parameters, strict=True):
        check("drawn weights", ours, theirs)
    np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(scaled), atol=1e-6)
    one = np.array([model.predict_proba(row[None])[0] for row in X[:20]])
    assert np.array_equal(one, model.predict_proba(X)[:20])
    assert np.array_equal(one, model.predict_proba(X[:20].astype(float)))


def test_every_setting_trains_something_else(trained):
    assert len({model.parameters.sha256() for model in trained}) == len(SETTINGS)


@pytest.mark.parametrize("i", [0, 1, 5, 6])
def test_bytes_do_not_hang_on_threads_or_driver_or_on_who_trains(trained, i):
    words, want = FEW | SETTINGS[i], trained[i].parameters.sha256()
    for threads, driver in ((2, "team"), (3, "team"), (2, "prange")):
        model, _ = fastmlp.fit(X, y, threads=threads, driver=driver, **words)
        assert model.parameters.sha256() == want
    twice = [Training.of(**words), Training.of(**words)]
    assert {each.model.parameters.sha256() for each in fastmlp.fit_many(X, y, twice)} == {want}
    slow, _ = fastmlp.fit(X, y, backend="numpy", **words)
    for ours, theirs in zip(trained[i].parameters, slow.parameters, strict=True):
        check("drawn weights", ours, theirs)


@pytest.mark.parametrize("center", [None, False])
def test_sparse_rows_train_as_dense_ones(center):
    sparse = pytest.importorskip("scipy.sparse")
    pictures, labels = learnable(1, 300, 90, 3)
    words = FEW | {"scale": "standard", "center": center, "lr": 0.02}
    dense, _ = fastmlp.fit(pictures, labels, **words)
    for rows in (sparse.csr_matrix(pictures), sparse.csc_array(pictures.astype(np.float32) / 7)):
        model, _ = fastmlp.fit(rows, labels, **words)
        for ours, theirs in zip(model.parameters, dense.parameters, strict=True):
            check("drawn weights", ours, theirs)
        np.testing.assert_allclose(model.predict_proba(rows), model.predict_proba(rows.toarray()), atol=2e-6)


@pytest.mark.parametrize("center", [None, False])
@pytest.mark.parametrize("form", ["codes", "entries", "floats"])
def test_inputs_that_are_left_out_are_0_once_scaled(form, center):
    sparse = pytest.importorskip("scipy.sparse")
    pictures, labels = learnable(1, 300, 90, 3)
    rows = {"codes": pictures, "entries": sparse.csr_matrix(pictures), "floats": X}[form]
    labels = y if form == "floats" else labels
    words = FEW | {"scale": "standard", "center": center, "lr": 0.02, "input_dropout": 0.3}
    seen = [fastmlp.fit(rows, labels, threads=n, **words)[0].parameters for n in (1, 2, 3)]
    assert len({parameters.sha256() for parameters in seen}) == 1
    slow, _ = fastmlp.fit(rows, labels, backend="numpy", **words)
    for ours, theirs in zip(seen[0], slow.parameters, strict=True):
        check("drawn weights", ours, theirs)


@pytest.mark.parametrize("setting", [SETTINGS[0], SETTINGS[-2]], ids=["a word", "columns"])
def test_rows_held_out_have_no_part_in_it(setting):
    """Their values may be anything."""
    words = FEW | setting | {"validation": 0.25, "seed": 3}
    rows, held = parted(len(y), 0.25, 3)
    other = X.copy()
    other[held] *= 1000
    one, two = (fastmlp.fit(inputs, y, **words)[0] for inputs in (X, other))
    assert one.parameters.sha256() == two.parameters.sha256()
    np.testing.assert_allclose(one.preprocessing.mean, X[rows].mean(axis=0, dtype=np.float64), rtol=1e-6)
    alone = Dataset.of(X[rows], y[rows]).preprocessing(Training(**words).scale, True)
    assert np.array_equal(one.preprocessing.scale, alone.scale)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="scale must be one number, or one for each of 7 columns; got 2"):
        fastmlp.fit(X, y, scale=[1, 2])
    with pytest.raises(ConfigError, match="each of 7 columns"):
        fastmlp.fit_many(X, y, [Training(scale=(1.0, 2.0))])
    with pytest.raises(DataError, match="finite in float32"):
        fastmlp.fit(np.where(X > 90, np.nan, X), y, scale="standard")
    with pytest.raises(fastmlp.DivergedError, match=r"lr 1e\+30 and scale standard\. Use a smaller lr\.$"):
        fastmlp.fit(X, y, **FEW | {"scale": "standard", "lr": 1e30})


@pytest.mark.parametrize("name", ["wine", "iris", "breast_cancer"])
def test_tables_reach_their_usual_accuracy(name):
    datasets = pytest.importorskip("sklearn.datasets")
    rows, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    part = np.random.default_rng(0).random(len(labels)) < 0.3
    words = {"optimizer": "sgd", "lr": 0.1, "batch_size": 8, "epochs": 30}
    model, _ = fastmlp.fit(rows[~part], labels[~part], scale="standard", **words)
    assert model.evaluate(rows[part], labels[part]).accuracy > 0.93


def test_a_checkpoint_knows_the_scale(tmp_path):
    words = FEW | {"scale": "robust"}
    whole, _ = fastmlp.fit(X, y, **words)
    fastmlp.fit(X, y, checkpoint=tmp_path, **words | {"epochs": 1})
    for other in ({"scale": "standard"}, {"center": False}):
        with pytest.raises(ConfigError, match=f"{next(iter(other))} .* instead of"):
            fastmlp.fit(X, y, checkpoint=tmp_path, **words | other)
    resumed, _ = fastmlp.fit(X, y, checkpoint=tmp_path, **words)
    assert resumed.parameters.sha256() == whole.parameters.sha256()
    begun = Identity(Training(scale=255), "numba", {})
    assert not Identity(Training(scale=255, center=False), "numba", {}).differences(begun)


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("i", range(len(SETTINGS)))
def test_a_model_survives_its_file(trained, tmp_path, i):
    trained[i].save(tmp_path / "m")
    model = Model.load(tmp_path / "m")
    for name in ("scale", "mean"):
        assert np.array_equal(getattr(model.preprocessing, name), getattr(trained[i].preprocessing, name))
    assert model.training == trained[i].training
    assert np.array_equal(model.predict_proba(X), trained[i].predict_proba(X))


def entry_of(path):
    return json.loads(sealed.read(path)[1]["fastmlp"])


def test_only_columns_need_the_newer_format(trained, tmp_path):
    trained[0].save(tmp_path / "m")
    assert entry_of(tmp_path / "m")["format"] == 2
    replace(trained[0], net=replace(trained[0].net, preprocessing=Preprocessing(2.0))).save(tmp_path / "m")
    assert (entry_of(tmp_path / "m")["format"], entry_of(tmp_path / "m")["scale"]) == (1, 2.0)


def as_text(*numbers):
    return base64.b64encode(np.array(numbers, "<f8").tobytes()).decode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": as_text(*[1.0] * 6, 0)}, "scale must be numbers from"),
        ({"scale": as_text(*[1.0] * 6, -1)}, "scale must be numbers from"),
        ({"scale": as_text(*[1.0] * 6, np.nan)}, "the scale must be 7 finite numbers"),
        ({"scale": as_text(*[1.0] * 6)}, "the scale must be 7 finite numbers"),
        ({"scale": as_text(*[1.0] * 8)}, "the scale must be 7 finite numbers"),
        ({"scale": "!"}, "the scale must be 7 finite numbers"),
        ({"scale": [1.0] * 7}, "scale must be a finite number"),
        ({"scale": None}, "scale must be a finite number"),
        ({"format": 1}, "scale must be a finite number"),
        ({"format": True}, "format must be 1 or 2"),
        ({"mean": as_text(*[1.0] * 7)}, "the mean must be 7 finite numbers"),
    ],
)
def test_a_file_that_does_not_fit_together_is_refused(trained, tmp_path, change, message):
    path = tmp_path / "m"
    trained[0].save(path)
    state, metadata, _ = sealed.read(path)
    entry = json.loads(metadata["fastmlp"]) | change
    sealed.write(path, dict(state), {"format": "pt", "fastmlp": json.dumps(entry)})
    with pytest.raises(ModelError, match=message):
        Model.load(path)


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ([1.0] * 6, r"scale must have shape \(7,\)"), ([[1.0] * 7], "have shape"), ([0.0] * 7, "from 1e-37"),
        ([np.nan] * 7, "from 1e-37"), (["a"] * 7, "numbers"), ([1e38] * 7, "1e\\+37"),
    ],
)  # fmt: skip
def test_scales_that_do_not_fit_a_net_are_refused(trained, scale, message):
    net = trained[0].net
    with pytest.raises(ModelError, match=message):
        Net(net.architecture, net.parameters, Preprocessing(np.array(scale)))


# --- others that use it -------------------------------------------------------------------------


def test_a_diagnosis_scales_as_fit_does():
    words = FEW | {"scale": "standard"}
    found = fastmlp.diagnose(X, y, test_data=(X, y), seconds=30, threads=1, **words)
    _, history = fastmlp.fit(X, y, test_data=(X, y), **words)
    assert found.trajectory[-1].test_accuracy == history.final.test_accuracy
    assert found.measures.inputs.mean == pytest.approx(0, abs=0.1)
    assert found.measures.standard is None
    assert json.loads(json.dumps(found.to_json()))


@pytest.mark.parametrize(
    "setting", [{"scale": "minmax"}, {"scale": "standard", "center": False}, SETTINGS[-1]], ids=str
)
def test_a_diagnosis_of_any_scale_has_changes_that_can_be_made(setting):
    found = fastmlp.diagnose(X + 50, y, hidden=8, optimizer="sgd", lr=30.0, epochs=2, seconds=20, **setting)
    tried = [trial.changes for trial in found.trials[1:]]
    assert tried
    for changes in tried:
        assert not isinstance(changes.get("scale"), float)
    fastmlp.fit(X, y, epochs=1, **setting | found.recommended)


def test_the_command_line_takes_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = save_blobs(tmp_path, 90)
    options = ("train", "--data", data, "--epochs", 1, "--hidden", 5, "--backend", "numpy")
    result = run(*options, "--scale", "standard")
    assert result.exit_code == 0, result.stderr
    assert "scale standard, logits loss" in result.stderr
    assert "may be meant" not in result.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert "scalestandard" in folder.name
    shown = run("evaluate", folder, "--backend", "numpy").stderr
    assert "scale of 64 columns" in shown
    plain = json.loads(run(*options, "--scale", "standard", "--no-center", "--json").stdout)
    assert plain["config"]["center"] is False
    assert run(*options, "--scale", "standart").exit_code == 2
    again = run("train", "--resume", folder, "--scale", "standard", "--epochs", 2)
    assert again.exit_code == 0, again.stderr
