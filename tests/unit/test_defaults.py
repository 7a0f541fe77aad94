"""What the data decide where it is left to them: the scale of inputs, and the steps; what is given wins."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_runs import run, save_blobs
from nets import learnable

import fastmlp
from fastmlp import ConfigError, Model, Training
from fastmlp.data import Dataset, load
from fastmlp.train.defaults import chosen, settled, training_for
from fastmlp.train.steps import BY_DATA, MANY, steps_of
from fastmlp.words.optimizers import OPTIMIZERS, Optimizer

PIXELS, LABELS = learnable(1, 300, 60, 3)
RNG = np.random.default_rng(0)
TABLE = (RNG.normal(size=(1300, 4)) * [1, 1e-3, 1e4, 5] + [0, 3, -8e4, 100]).astype(np.float32)
KINDS = (TABLE[:, 0] + (TABLE[:, 1] - 3) * 1e3 + RNG.normal(0, 3, 1300) > 0).astype(int)  # soon learnt


def of(n=1200, y=KINDS, **fields):
    """The training of these fields on n rows of the table."""
    return training_for(Dataset.of(TABLE[:n], y[:n], loss=fields.get("loss", "logits")), fields)[0]


def steps(training):
    return {name: training.word(name) for name in BY_DATA if name != "optimizer"} | {
        "optimizer": training.optimizer.name
    }


QUESTION = {
    "optimizer": "sgd", "lr": 0.01, "batch_size": 100, "epochs": 15, "validation": 0.0, "patience": 0
}  # fmt: skip
FEW = {
    "optimizer": "adam", "lr": 0.001, "batch_size": 200, "epochs": 200, "validation": 0.0, "patience": 0
}  # fmt: skip
MANY_ROWS = FEW | {"epochs": 500, "validation": 0.1, "patience": 20}


# --- the scale ----------------------------------------------------------------------------------


def sparse(X):
    return pytest.importorskip("scipy.sparse").csr_array(X)


@pytest.mark.parametrize(
    ("rows", "scale", "centred"),
    [
        (PIXELS, 255.0, False),
        (PIXELS.reshape(-1, 6, 10), 255.0, False),
        (PIXELS.astype(np.int64), "standard", True),
        (PIXELS.astype(np.float32) / 255, "standard", True),
        (PIXELS > 128, "standard", True),  # kept as bytes, but none were given
        (PIXELS.tolist(), "standard", True),
    ],
)
def test_bytes_are_divided_by_255_and_all_else_is_standardised(rows, scale, centred):
    data = Dataset.of(rows, LABELS)
    training = settled(Training(), data)
    assert (training.scale, training.centred) == (scale, centred)
    model, _ = fastmlp.fit(rows, LABELS, hidden=4, epochs=1)
    assert model.training.scale == scale
    assert model.preprocessing.by_column == (scale == "standard")


def test_zeros_of_sparse_rows_stay_zeros():
    """Unless centring is asked for, which leaves them sparse too."""
    rows = sparse(TABLE * (TABLE > 0))
    model, _ = fastmlp.fit(rows, KINDS, hidden=4, epochs=1)
    assert (model.training.scale, model.training.center, model.preprocessing.mean) == (
        "standard",
        False,
        None,
    )
    model, _ = fastmlp.fit(rows, KINDS, hidden=4, epochs=1, center=True)
    assert model.preprocessing.mean is not None
    assert fastmlp.fit(sparse(PIXELS), LABELS, hidden=4, epochs=1)[0].training.scale == 255


def test_files_of_pictures_and_of_numbers(tmp_path):
    """Small whole numbers of a table are no pixels, in whatever type a file keeps them."""
    whole = RNG.integers(0, 80, (90, 5))
    for name, X, scale in (
        ("bytes", whole.astype(np.uint8), 255.0),
        ("table", whole, "standard"),
        ("floats", whole / 7, "standard"),
        ("pictures", RNG.integers(0, 256, (90, 5, 5)), 255.0),
        ("openml", RNG.integers(0, 256, (90, 784)).astype(float), 255.0),
        ("shades", RNG.random((90, 5, 5)), "standard"),
    ):
        np.savez(tmp_path / f"{name}.npz", X=X, y=np.arange(90) % 3)
        data = load(str(tmp_path / f"{name}.npz"))
        assert settled(Training(), data).scale == scale, name


def test_a_scale_that_is_given_is_kept():
    data = Dataset.of(TABLE, KINDS)
    for scale in (1.0, 255.0, "minmax", (1.0, 2.0, 3.0, 4.0)):
        training = Training(scale=scale)
        assert chosen(data, training, {}) == (training, "")
        assert chosen(data, training, {})[0] is training
    assert fastmlp.fit(PIXELS, LABELS, scale=1, hidden=4, epochs=1)[0].training.scale == 1


def test_auto_is_a_word_until_the_data_are_there(tmp_path):
    training = Training()
    assert training.scale == "auto" == Training(scale="auto").scale
    assert "scale auto" in str(training)
    assert Training.from_json(json.loads(json.dumps(training.to_json()))) == training
    assert "scale standard" in str(settled(training, Dataset.of(TABLE, KINDS)))
    assert settled(Training(center=False), Dataset.of(TABLE, KINDS)).center is False
    assert settled(Training(center=True), Dataset.of(PIXELS, LABELS)).center is True
    model, _ = fastmlp.fit(TABLE, KINDS, Training(hidden=4, epochs=1))
    model.save(tmp_path / "m")
    assert Model.load(tmp_path / "m").training.scale == "standard"
    (fitted,) = fastmlp.fit_many(TABLE, KINDS, [Training(hidden=4, epochs=1)])
    assert fitted.training.scale == "standard"
    assert fitted.model.parameters.sha256() == model.parameters.sha256()
    found = fastmlp.diagnose(TABLE, KINDS, Training(hidden=4, epochs=1), seconds=1)
    assert found.training.scale == "standard"


def test_the_bytes_of_pixels_are_those_of_255():
    words = {"hidden": 5, "epochs": 2, "seed": 3}
    left, _ = fastmlp.fit(PIXELS, LABELS, **words)
    said, _ = fastmlp.fit(PIXELS, LABELS, Training(scale=255, **words))
    assert left.parameters.sha256() == said.parameters.sha256()
    assert left.training == said.training


def test_rows_held_out_have_no_part_in_an_auto_scale():
    from fastmlp.train.loop import parted

    rows, held = parted(len(KINDS), 0.1, 0)
    other = TABLE.copy()
    other[held] *= 1000
    one, two = (fastmlp.fit(X, KINDS, hidden=4, validation=0.1, epochs=2)[0] for X in (TABLE, other))
    assert one.parameters.sha256() == two.parameters.sha256()
    np.testing.assert_allclose(one.preprocessing.mean, TABLE[rows].mean(axis=0, dtype=np.float64), rtol=1e-6)


def test_inputs_that_are_no_numbers_are_left_as_they_are():
    from fastmlp.data.preprocessing import fitted

    numeric = np.array([True, False, True, False])
    for word in ("standard", "minmax", "robust"):
        part, whole = fitted(TABLE, word, True, numeric=numeric), fitted(TABLE, word, True)
        assert np.array_equal(part.scale[numeric], whole.scale[numeric])
        assert np.array_equal(part.mean[numeric], whole.mean[numeric])
        assert (part.scale[~numeric] == 1).all()
        assert (part.mean[~numeric] == 0).all()
    assert fitted(TABLE, 3.0, False, numeric=numeric).scale == 3  # a number is for all


# --- the steps ----------------------------------------------------------------------------------


def test_pixels_have_the_steps_of_the_question():
    for X in (PIXELS, PIXELS.reshape(-1, 6, 10)):
        training, told = training_for(Dataset.of(X, LABELS), {})
        assert training == Training(scale=255)
        assert steps(training) == QUESTION
        assert told == "by default for these data: inputs divided by 255"
    data = Dataset.of(PIXELS, LABELS)
    assert training_for(data, {"scale": 1}) == (Training(scale=1), "")
    assert training_for(data, {"momentum": 0.9, "epochs": 3})[0] == Training.of(
        scale=255, momentum=0.9, epochs=3
    )
    with pytest.raises(ConfigError, match="patience must come with rows held out"):
        training_for(data, {"patience": 3})


def test_tables_have_adam_and_stop_early_where_rows_are_many():
    assert steps(of(MANY)) == FEW
    assert steps(of(MANY + 1)) == MANY_ROWS
    assert steps(of(120)) == FEW | {"batch_size": 120}
    assert steps(of(y=TABLE[:, 0], loss="squared")) == MANY_ROWS


@pytest.mark.parametrize(
    ("given", "few", "many"),
    [
        ({"lr": 0.1}, {"lr": 0.1}, {"lr": 0.1}),
        ({"momentum": 0.9}, *[{"optimizer": "sgd", "lr": 0.01}] * 2),
        ({"nesterov": True, "momentum": 0.9}, *[{"optimizer": "sgd", "lr": 0.01}] * 2),
        ({"optimizer": "sgd"}, *[{"optimizer": "sgd", "lr": 0.01}] * 2),
        ({"optimizer": "rmsprop", "momentum": 0.9}, *[{"optimizer": "rmsprop"}] * 2),
        ({"optimizer": Optimizer("nadam")}, *[{"optimizer": "nadam"}] * 2),
        ({"optimizer": "adagrad"}, *[{"optimizer": "adagrad", "lr": 0.01}] * 2),
        ({"weight_decay": 0.1, "clip_norm": 1.0}, {}, {}),
        ({"epochs": 7}, {"epochs": 7}, {"epochs": 7, "validation": 0.0, "patience": 0}),
        ({"validation": 0}, {}, {"validation": 0.0, "patience": 0, "epochs": 200}),
        ({"patience": 0}, {}, {"validation": 0.0, "patience": 0, "epochs": 200}),
        ({"patience": 3}, *[{"validation": 0.1, "patience": 3, "epochs": 500}] * 2),
        ({"patience": 3, "epochs": 50}, *[{"validation": 0.1, "patience": 3, "epochs": 50}] * 2),
        ({"validation": 0.3}, *[{"validation": 0.3, "patience": 20, "epochs": 500}] * 2),
        ({"validation": 0.3, "epochs": 9}, *[{"validation": 0.3, "patience": 0, "epochs": 9}] * 2),
        ({"batch_size": 32}, {"batch_size": 32}, {"batch_size": 32}),
        ({"schedule": "cosine"}, {}, {"validation": 0.0, "patience": 0, "epochs": 200}),
        ({"schedule": "plateau"}, {"validation": 0.1}, {}),
        ({"loss": "keras2", "class_weight": "balanced", "center": False, "act": "tanh"}, {}, {}),
    ],
    ids=str,
)
def test_whatever_is_given_wins(given, few, many):
    asked = Training.of(**{"validation": 0.1, **given})
    for n, usual, differs in ((MANY, FEW, few), (MANY + 1, MANY_ROWS, many)):
        training = of(n, **given)
        assert steps(training) == usual | differs
        for name in given.keys() - {"optimizer", "momentum", "nesterov"}:
            assert training.word(name) == asked.word(name)
    pixels, _ = training_for(Dataset.of(PIXELS, LABELS), {"validation": 0.1, **given})
    assert pixels == asked.but(scale=255)


def test_none_is_not_given():
    none = dict.fromkeys(BY_DATA)
    data = Dataset.of(TABLE, KINDS)
    assert chosen(data, None, none) == chosen(data, None, {})
    assert chosen(data, Training(lr=0.3), none)[0] == Training(lr=0.3, scale="standard")
    assert {
        name for name, word in inspect.signature(fastmlp.fit).parameters.items() if word.default is None
    } >= {*BY_DATA}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_has_an_lr(name):
    assert of(optimizer=name).lr == (0.001 if name.startswith(("ada", "nad", "rms")) and name not in (
        "adagrad", "adadelta") else 0.01)  # fmt: skip


def test_a_training_that_is_given_whole_has_its_own_steps():
    data = Dataset.of(TABLE, KINDS)
    training, told = chosen(data, Training(), {"seed": 4})
    assert training == Training(seed=4, scale="standard")
    assert told == "by default for these data: inputs standardised"


def test_what_is_wrong_is_refused_whatever_it_is():
    data = Dataset.of(TABLE, KINDS)
    wrong = {
        "optimizer": [[]],
        "lr": -1,
        "patience": "x",
        "validation": [1],
        "epochs": 0,
        "schedule": {},
        "batch_size": {},
    }
    for name, value in wrong.items():
        with pytest.raises(ConfigError, match=name.split("_")[0]):
            training_for(data, {name: value})
        steps_of(5, {name: value})
    with pytest.raises(TypeError, match="no field 'speed'"):
        fastmlp.fit(TABLE, KINDS, speed=1)


def test_one_line_says_what_was_decided_and_no_more():
    data = Dataset.of(TABLE, KINDS)
    assert training_for(data, {})[1] == (
        "by default for these data: inputs standardised, adam with lr 0.001, batch 200, at most 500 epochs, "
        "stopped early by 0.1 of the rows held out"
    )
    assert training_for(data, {"epochs": 9, "lr": 0.1})[1] == (
        "by default for these data: inputs standardised, adam, batch 200"
    )
    given = {"scale": 1, "optimizer": "adam", "lr": 0.1, "batch_size": 9, "epochs": 9}
    assert training_for(data, given)[1] == ""


def test_fit_trains_as_the_defaults_say():
    model, history = fastmlp.fit(TABLE, KINDS, hidden=8, threads=1)
    assert model.training == of(hidden=8)
    assert history.best_epoch is not None
    assert len(history.epochs) == min(500, history.best_epoch + 20)
    whole, _ = fastmlp.fit(TABLE, KINDS, model.training, threads=1)
    assert whole.parameters.sha256() == model.parameters.sha256()
    seeds = [{"hidden": 8}, {"hidden": 8, "seed": 1, "epochs": 2}, Training(hidden=8)]
    found = {each.index: each for each in fastmlp.fit_many(TABLE, KINDS, seeds)}
    assert found[0].model.parameters.sha256() == model.parameters.sha256()
    assert found[1].training == of(hidden=8, seed=1, epochs=2)
    assert found[2].training == Training(hidden=8, scale="standard")


def test_a_checkpoint_resumes_what_the_data_decided(tmp_path):
    words = {"hidden": 6, "seed": 2, "patience": 4, "threads": 1}
    whole, _ = fastmlp.fit(TABLE, KINDS, **words)

    def ends(result, model):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastmlp.fit(TABLE, KINDS, checkpoint=tmp_path, callbacks=[ends], **words)
    rest, _ = fastmlp.fit(TABLE, KINDS, checkpoint=tmp_path, **words)
    assert rest.parameters.sha256() == whole.parameters.sha256()
    with pytest.raises(ConfigError, match=r"scale 1\.0 instead of 'standard'"):
        fastmlp.fit(TABLE, KINDS, checkpoint=tmp_path, scale=1, **words)


# --- who never prepares inputs ------------------------------------------------------------------


def prepared_by(model):
    return model.preprocessing.scale, model.preprocessing.mean


ROWS = RNG.normal(1, 2, (200, 4))


def forward(X, weights, biases):
    """What a ReLU net gives for X as it is."""
    for W, b in zip(weights[:-1], biases[:-1], strict=True):
        X = np.maximum(X @ W + b, 0)
    return X @ weights[-1] + biases[-1]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_estimators_do_not_prepare_inputs():
    pytest.importorskip("sklearn")
    for est, y, task in (
        (fastmlp.MLPClassifier, KINDS[:200], "classes"),
        (fastmlp.MLPRegressor, ROWS[:, 0], ""),
    ):
        fitted = est(hidden_layer_sizes=(4,), max_iter=2).fit(ROWS, y)
        assert fitted.scale == 1
        z = forward(ROWS, fitted.coefs_, fitted.intercepts_)
        if task == "classes":
            np.testing.assert_allclose(fitted.predict_proba(ROWS)[:, 1:], 1 / (1 + np.exp(-z)), rtol=1e-3)
        else:
            np.testing.assert_allclose(fitted.predict(ROWS), z.ravel(), rtol=1e-3, atol=1e-3)


def test_the_keras_facade_does_not_prepare_inputs():
    from fastmlp import keras

    model = keras.Sequential(
        [keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(ROWS, KINDS[:200], epochs=2, verbose=0)
    weights = model.get_weights()
    z = forward(ROWS, weights[::2], weights[1::2])
    want = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(ROWS, verbose=0), want, rtol=1e-3, atol=1e-3)


def test_the_torch_facade_does_not_prepare_inputs(monkeypatch):
    torch = pytest.importorskip("torch")
    import fastmlp.torch as facade

    seen = []
    monkeypatch.setattr(facade, "train", lambda net, X, y, training, **_: seen.append((net, training)))
    module = torch.nn.Sequential(torch.nn.Linear(4, 2))
    facade.fit(module, TABLE, KINDS)
    ((net, training),) = seen
    assert prepared_by(net) == (1.0, None)
    assert training == Training(hidden=(), scale=1)  # and its steps are those of the question
    facade.fit(module, TABLE, KINDS, Training(scale="standard", lr=0.5))
    assert prepared_by(seen[1][0]) == (1.0, None)
    assert seen[1][1] == Training(hidden=(), scale=1, lr=0.5)


def test_nets_and_backends_do_not_prepare_inputs():
    from fastmlp import Architecture, Net, initialise
    from fastmlp.net import Preprocessing

    architecture = Architecture(4, (3,), 2)
    assert prepared_by(Net(architecture, initialise(architecture))) == (1.0, None)
    assert Preprocessing().scale == 1


# --- the command line ---------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("table.npz", X=TABLE, y=KINDS)
    return tmp_path


def test_train_says_the_defaults_and_keeps_what_was_used(here):
    shown = run("train", "--data", "table.npz", "--hidden", 4, "--out", "run")
    assert shown.exit_code == 0, shown.stderr
    text = " ".join(shown.stderr.split())
    assert "scale standard, logits loss, adam with lr 0.001, 0.1 held out, patience 20" in text
    assert "by default for these data: inputs standardised, adam with lr 0.001" in text
    config = json.loads(Path("run/config.json").read_text())["config"]
    assert (config["scale"], config["center"]) == ("standard", True)
    assert Training.from_json(config) == Model.load("run/model.safetensors").training
    again = run("train", "--resume", "run", "--quiet")
    assert again.exit_code == 0, again.stderr
    assert run("diagnose", "run", "--seconds", 2).exit_code in (0, 1)


def test_options_alone(here):
    def trained(*options):
        result = run("train", "--data", "table.npz", "--hidden", 4, "--json", *options)
        assert result.exit_code == 0, result.stderr
        return Training.from_json(json.loads(result.stdout)["config"])

    assert steps(trained("--epochs", 2)) == FEW | {"epochs": 2, "batch_size": 200}
    assert trained("--patience", 1, "--epochs", 3).validation == 0.1
    assert trained("--beta1", 0.8, "--epochs", 1).optimizer == Optimizer("adam", beta1=0.8)
    assert steps(trained("--momentum", 0.5, "--epochs", 1))["optimizer"] == "sgd"


def test_options_are_checked_before_the_data_are_read(here):
    for words, what in (
        (("--lr", -1), "lr must be"),
        (("--momentum", 2), "momentum must be"),
        (("--rho", 0.5), "rho"),
        (("--patience", 2, "--validation", 0), "patience must come with"),
    ):
        result = run("train", "--data", "missing.npz", *words)
        assert result.exit_code == 2, words
        assert what in " ".join(result.stderr.split())


def test_runs_of_older_days_go_on(here):
    """Their configuration has the scale that was then the default, and steps of its own."""
    blobs = save_blobs(here)
    first = run("train", "--data", blobs, "--scale", 255, "--hidden", 4, "--epochs", 2, "--out", "old")
    assert first.exit_code == 0, first.stderr
    rest = run("train", "--resume", "old", "--epochs", 3, "--json")
    assert rest.exit_code == 0, rest.stderr
    left = run("train", "--data", blobs, "--hidden", 4, "--epochs", 3, "--json")
    assert json.loads(rest.stdout)["weights_sha256"] == json.loads(left.stdout)["weights_sha256"]


def test_the_test_would_see_other_defaults():
    """The comparison of steps goes red."""
    data = Dataset.of(TABLE, KINDS)
    training, _ = training_for(data, {})
    for other in (
        {"lr": 0.002},
        {"batch_size": 100},
        {"patience": 19},
        {"epochs": 499},
        {"optimizer": "nadam"},
    ):
        assert steps(training.but(**other)) != MANY_ROWS
    assert settled(Training(), replace(data, X=PIXELS)).scale == 255
