"""Estimators as scikit-learn's own, as a Model, and back: the same predictions, and training that goes on."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

import sklearn.neural_network
from cli_runs import run
from estimator_cases import close_nets, same_nets
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, Model
from fastmlp.errors import ModelError
from fastmlp.words.layers import Layer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

THEIRS = {
    MLPClassifier: sklearn.neural_network.MLPClassifier,
    MLPRegressor: sklearn.neural_network.MLPRegressor,
}
TASKS = ("two", "texts", "bools", "floats", "many", "several labels", "numbers", "many numbers", "counts")


def drawn(seed: int) -> tuple[Any, dict[str, Any], np.ndarray, np.ndarray]:
    """An estimator, its words (which scikit-learn has too), X (N, 5) and targets."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 5)).astype(rng.choice([np.float32, np.float64]))
    z = X @ rng.normal(size=(5, 3))
    task = TASKS[seed % len(TASKS)]
    y = {
        "two": (z[:, 0] > 0).astype(int) * 3,
        "texts": np.array(["no", "yes"])[(z[:, 0] > 0).astype(int)],
        "bools": z[:, 0] > 0,
        "floats": np.array([-1.0, 2.0, 7.0])[z.argmax(axis=1)],
        "many": z.argmax(axis=1) - 1,
        "several labels": (z > 0).astype(int),
        "numbers": z[:, 0],
        "many numbers": z,
        "counts": rng.poisson(np.exp(np.clip(z[:, 0], -2, 2))).astype(float),
    }[task]
    words = {
        "hidden_layer_sizes": [(), (7,), (6, 4)][rng.integers(3)],
        "activation": str(rng.choice(["identity", "logistic", "tanh", "relu"])),
        "solver": str(rng.choice(["adam", "adam", "sgd", "lbfgs"])),
        "alpha": float(rng.choice([0.0, 1e-4, 0.5])),
        "learning_rate": str(rng.choice(["constant", "invscaling", "adaptive"])),
        "learning_rate_init": 0.01,
        "momentum": float(rng.choice([0.0, 0.9])),
        "nesterovs_momentum": bool(rng.integers(2)),
        "batch_size": [16, "auto"][rng.integers(2)],
        "max_iter": 8,
        "early_stopping": bool(rng.integers(2)) and task != "several labels",
        "random_state": seed,
    }
    if task == "counts":
        words["loss"] = "poisson"
    return MLPClassifier if TASKS.index(task) < 6 else MLPRegressor, words, X, y


def outputs(net: Any, X: np.ndarray) -> np.ndarray:
    """Probabilities, or numbers."""
    is_of_classes = bool(net.classes) if isinstance(net, Model) else hasattr(net, "classes_")
    found = net.predict_proba(X) if is_of_classes else net.predict(X)
    return np.asarray(found, np.float64)


def alike(a: Any, b: Any, X: np.ndarray, **tolerance: float) -> None:
    np.testing.assert_allclose(outputs(a, X), outputs(b, X), **({"rtol": 2e-5, "atol": 1e-6} | tolerance))
    if hasattr(a, "classes_"):
        assert np.asarray(a.predict(X)).dtype == np.asarray(b.predict(X)).dtype
        sure = np.abs(outputs(a, X) - 0.5).min(axis=1) > 1e-4
        np.testing.assert_array_equal(a.predict(X)[sure], b.predict(X)[sure])


def go_on(net: Any, X: np.ndarray, y: np.ndarray) -> Any:
    """The net after another epoch; of lbfgs and early stopping after another fit from where it ended."""
    alone = net.solver != "lbfgs" and not net.early_stopping
    return net.partial_fit(X, y) if alone else net.set_params(warm_start=True).fit(X, y)


def on(net: Any) -> dict[str, float]:
    """How close nets are that go on: of lbfgs and float32 scikit-learn rounds where this does not."""
    return {"rtol": 1e-3, "atol": 1e-3 if net.solver == "lbfgs" else 1e-5}


# --- scikit-learn's own estimators ----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(45))
def test_to_scikit_learn_and_on(seed):
    Net, words, X, y = drawn(seed)
    net = Net(**words).fit(X, y)
    theirs = net.to_sklearn()
    assert type(theirs) is THEIRS[Net]
    alike(net, theirs, X)
    assert theirs.get_params().items() <= net.get_params().items()
    assert {name: getattr(theirs, name) for name in ("n_iter_", "t_", "n_layers_", "n_outputs_")} == {
        name: getattr(net, name) for name in ("n_iter_", "t_", "n_layers_", "n_outputs_")
    }
    assert getattr(theirs, "loss_curve_", None) == getattr(net, "loss_curve_", None)
    file = pickle.dumps(theirs)
    assert b"fastmlp" not in file
    before = [W.copy() for W in net.coefs_]
    close_nets(go_on(pickle.loads(file), X, y), go_on(clone_of(net), X, y), **on(net))
    assert all(np.array_equal(a, b) for a, b in zip(before, net.coefs_, strict=True))  # arrays of its own


@pytest.mark.parametrize("seed", range(45))
def test_from_scikit_learn_and_on(seed):
    Net, words, X, y = drawn(seed)
    theirs = THEIRS[Net](**words).fit(X, y)
    net = Net.from_sklearn(theirs)
    assert type(net) is Net
    assert theirs.get_params().items() <= net.get_params().items()
    assert same_nets(net, theirs)
    alike(net, theirs, X)
    again = net.to_sklearn()
    assert vars(again).keys() >= {name for name in vars(theirs) if name.endswith("_")}
    assert same_nets(again, theirs)
    assert outputs(again, X).tolist() == outputs(theirs, X).tolist()
    close_nets(go_on(net, X, y), go_on(theirs, X, y), **on(net))


def clone_of(net: Any) -> Any:
    return pickle.loads(pickle.dumps(net))


def test_the_comparison_goes_red():
    Net, words, X, y = drawn(0)
    net = Net(**words).fit(X, y)
    theirs = net.to_sklearn()
    theirs.coefs_[0][0, 0] += 1
    with pytest.raises(AssertionError):
        alike(net, theirs, X)


@pytest.mark.parametrize("Net", [MLPClassifier, MLPRegressor])
def test_what_is_not_fitted_is_not_fitted_there(Net):
    net = Net((9, 9), activation="tanh", alpha=0.5) if Net is MLPClassifier else Net("poisson", (9, 9))
    theirs = net.to_sklearn()
    assert theirs.get_params().items() <= net.get_params().items()
    assert not hasattr(theirs, "coefs_")
    assert Net.from_sklearn(theirs).get_params() == net.get_params()
    with pytest.raises(NotFittedError):
        Net.from_sklearn(theirs).predict([[0.0]])
    with pytest.raises(NotFittedError):
        net.to_model()
    assert clone(make_pipeline(theirs)) is not theirs


def test_a_generator_is_not_shared():
    random = np.random.RandomState(0)
    net = MLPClassifier(3, random_state=random)
    theirs = net.to_sklearn()
    assert theirs.random_state is not random
    assert MLPClassifier.from_sklearn(theirs).random_state is not theirs.random_state


def test_what_scikit_learn_lacks_is_folded():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4)) * 50
    two, three = (X[:, 0] > 0).astype(int), np.digitize(X[:, 0], [-20, 20])
    for y, words in (
        (three, {"scale": 50.0}),
        (three, {"scale": 50.0, "batch_norm": True, "dropout": 0.2}),
        (two, {"scale": 50.0, "loss": "clip:1e-10,0.999999"}),
        (two, {"scale": 50.0, "loss": "keras2", "dtype": "float32"}),
        (two, {"scale": 50.0, "loss": "logits", "hidden_layer_sizes": ()}),
        (three, {"scale": 50.0, "class_weight": "balanced", "optimizer": "adamw"}),
    ):
        net = MLPClassifier(**{"hidden_layer_sizes": (6,), "max_iter": 9, "random_state": 0} | words).fit(
            X, y
        )
        theirs = net.to_sklearn()
        alike(net, theirs, X)
        assert theirs.coefs_[-1].shape[1] == (1 if y is two else 3)
        assert theirs.out_activation_ == ("logistic" if y is two else "softmax")
        assert not hasattr(theirs, "_optimizer")  # its averages would be of other weights
        theirs.partial_fit(X, y)


def test_what_cannot_be_said_is_refused_in_words():
    X, y = np.eye(4), [0, 1, 0, 1]
    net = MLPClassifier(3, activation="gelu", max_iter=2).fit(X, y)
    for asked in (net, MLPClassifier(3, activation="gelu")):
        with pytest.raises(ModelError, match="activation must be one of identity, logistic, tanh, relu"):
            asked.to_sklearn()
    net = MLPClassifier((3, 2), activation=("relu", "tanh"), max_iter=2).fit(X, y)
    with pytest.raises(ModelError, match="the same in every hidden layer"):
        net.to_sklearn()
    net = MLPClassifier(3, scale=1e-30, max_iter=1, dtype="float32").fit(X * 1e-30, y)
    net.coefs_[0][0, 0] = 1e30
    with pytest.raises(ModelError, match="must stay finite when scale is folded"):
        net.to_sklearn()
    theirs = sklearn.neural_network.MLPRegressor(3)
    for wrong in (theirs, None, "net", MLPClassifier(3), sklearn.neural_network.MLPClassifier):
        with pytest.raises(TypeError, match=r"must be given a sklearn\.neural_network\.MLPClassifier"):
            MLPClassifier.from_sklearn(wrong)


def test_one_class():
    net = MLPClassifier(3, max_iter=2).fit(np.eye(4), ["only"] * 4)
    theirs = net.to_sklearn()
    assert theirs.predict(np.eye(4)).tolist() == net.predict(np.eye(4)).tolist() == ["only"] * 4
    assert MLPClassifier.from_sklearn(theirs).predict(np.eye(4)).tolist() == ["only"] * 4
    with pytest.raises(ModelError, match="classes must be 2 different labels"):
        net.to_model()


def test_classes_in_another_order():
    X, y = np.eye(6), np.arange(6) % 3
    net = MLPClassifier(3, max_iter=2).fit(X, y)
    net.classes_ = np.array(["c", "a", "b"])
    assert net.to_sklearn().predict(X).tolist() == net.predict(X).tolist()
    net = MLPClassifier(3, max_iter=2).fit(X, y > 0)
    net.classes_ = np.array(["yes", "no"])
    assert net.to_sklearn().predict(X).tolist() == net.predict(X).tolist()


def test_names_of_columns_come_over():
    import pandas as pd

    X = pd.DataFrame(np.eye(4), columns=list("abcd"))
    theirs = MLPClassifier(3, max_iter=2).fit(X, [0, 1, 0, 1]).to_sklearn()
    assert theirs.feature_names_in_.tolist() == list("abcd")
    with pytest.warns(UserWarning, match="valid feature names"):
        theirs.predict(np.eye(4))
    assert MLPClassifier.from_sklearn(theirs).feature_names_in_.tolist() == list("abcd")


# --- a Model --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(45))
def test_to_a_model_its_file_and_back(seed, tmp_path):
    Net, words, X, y = drawn(seed)
    net = Net(**words).fit(X, y)
    model = net.to_model()
    model.save(tmp_path / "model.safetensors")
    model = Model.load(tmp_path / "model.safetensors")
    tolerance = {"rtol": 1e-4, "atol": 1e-5}
    alike(net, model, X, **tolerance)
    loss = model.evaluate(X, y).loss
    assert loss == pytest.approx(loss_without_penalty(net, X, y), rel=1e-3, abs=1e-5)
    again = Net.from_model(model)
    alike(model, again, X, **tolerance)
    if net.coefs_[0].dtype == np.float32:
        assert same_nets(net, again)
    kept = ["hidden_layer_sizes", "scale", *["activation"] * bool(net.hidden_layer_sizes)]
    if net.solver != "lbfgs":
        kept += ["solver", "alpha", "max_iter", "random_state", "learning_rate_init"]
        go_on(again, X, y)
    assert {name: getattr(again, name) for name in kept} == {name: getattr(net, name) for name in kept}


def loss_without_penalty(net: Any, X: np.ndarray, y: np.ndarray) -> float:
    from sklearn.metrics import log_loss

    y = np.asarray(y)
    if isinstance(net, MLPRegressor):
        z = net.predict(X).astype(np.float64)
        if net.loss == "poisson":
            return float(np.mean(z - y + y * np.log(np.maximum(y, 1) / z)))
        return float(((z - y) ** 2 / 2).reshape(len(y), -1).sum(axis=1).mean())
    p = net.predict_proba(X).astype(np.float64)
    if y.ndim == 2:
        return float(-np.log(np.where(y == 1, p, 1 - p)).sum(axis=1).mean())
    return float(log_loss(y, p / p.sum(axis=1, keepdims=True), labels=net.classes_))


def test_a_model_on_the_command_line(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3)).astype(np.float32)
    for name, y, Net in (
        ("labels", np.array(["dry", "wet", "ice"])[X.argmax(axis=1)], MLPClassifier),
        ("two", X[:, 0] > 0, MLPClassifier),
        ("numbers", X @ [1.0, 2, 3], MLPRegressor),
    ):
        net = Net(hidden_layer_sizes=(5,), max_iter=20, random_state=0, learning_rate_init=0.1).fit(X, y)
        net.to_model().save(tmp_path / f"{name}.safetensors")
        np.save(tmp_path / "new.npy", X)
        done = run("predict", tmp_path / f"{name}.safetensors", tmp_path / "new.npy", "--backend", "numpy")
        assert done.exit_code == 0, done.output
        told = done.stdout.split()
        if Net is MLPRegressor:
            np.testing.assert_allclose([float(text) for text in told], net.predict(X), rtol=1e-4, atol=1e-5)
        else:
            assert [text.lower() for text in told] == [str(label).lower() for label in net.predict(X)]
        assert str(net.to_model()).startswith("Model 3-5-")


def test_models_trained_by_fit():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(90, 4)) * [1, 10, 0.1, 1] + [0, 1000, 0, 5]
    z = X @ [1.0, 0.1, 10, 1]
    layers = [Layer(6, "silu", dropout=0.1, batch_norm="after"), Layer(5, "tanh")]
    for y, words, Net in (
        (np.digitize(z, np.quantile(z, [0.3, 0.6])), {}, MLPClassifier),
        (z > np.median(z), {"loss": "binary"}, MLPClassifier),
        (z > np.median(z), {"hidden": layers}, MLPClassifier),
        ((np.c_[z, -z] > [[np.median(z), 3]]).astype(int), {"loss": "binary"}, MLPClassifier),
        (z, {"hidden": "none"}, MLPRegressor),
        (np.c_[z, z * z], {"loss": "huber:2", "bias": False, "scale": "minmax"}, MLPRegressor),
        (rng.poisson(3, 90), {"loss": "poisson", "optimizer": "rmsprop"}, MLPRegressor),
    ):
        model, _ = fastmlp.fit(X, y, epochs=5, seed=0, backend="numpy", **({"hidden": 7} | words))
        net = Net.from_model(model)
        assert outputs(net, X) == pytest.approx(outputs(model, X), rel=1e-4, abs=1e-5)
        assert outputs(Net.from_model(net.to_model()), X) == pytest.approx(
            outputs(model, X), rel=1e-3, abs=1e-3
        )
        before = outputs(model, X)
        net.partial_fit(X, y)
        assert np.array_equal(outputs(model, X), before)  # arrays of its own
        clone(net).set_params(max_iter=2).fit(X, y)


def test_what_no_estimator_can_be_is_refused_in_words():
    X, y = np.eye(4), [0, 1, 0, 1]
    of_classes, _ = fastmlp.fit(X, y, epochs=1, backend="numpy")
    of_numbers, _ = fastmlp.fit(X, [0.5, 1.5, 2.5, 3.5], loss="squared", epochs=1, backend="numpy")
    of_a_table, _ = fastmlp.fit({"a": [1.0, 2, 3, 4], "b": list("xyxy")}, "b", epochs=1, backend="numpy")
    with pytest.raises(ModelError, match=r"of classes for MLPClassifier.*Use MLPRegressor\.from_model"):
        MLPClassifier.from_model(of_numbers)
    with pytest.raises(ModelError, match=r"of numbers for MLPRegressor.*Use MLPClassifier\.from_model"):
        MLPRegressor.from_model(of_classes)
    with pytest.raises(ModelError, match="must be of arrays, not of a table"):
        MLPClassifier.from_model(of_a_table)
    with pytest.raises(TypeError, match=r"must be given a fastmlp\.Model"):
        MLPClassifier.from_model(MLPClassifier())
    net = MLPClassifier(3, max_iter=2).fit(X, y)
    net.classes_ = [1, 0]
    with pytest.raises(ModelError, match="classes_ must be in ascending order"):
        net.to_model()
    net.classes_ = [b"a", b"b"]
    with pytest.raises(ModelError, match="classes must be 2 different labels of one type"):
        net.to_model()
    net = MLPRegressor(hidden_layer_sizes=3, max_iter=2).fit(X, [0.5, 1.5, 2.5, 3.5])
    net.coefs_[0][0, 0] = 1e300
    with pytest.raises(ModelError, match="within float32"):
        net.to_model()


# --- what a notebook shows ------------------------------------------------------------------------


@pytest.mark.parametrize("Net", [MLPClassifier, MLPRegressor])
def test_the_html_leads_to_a_page_that_there_is(Net):
    net = Net(alpha=0.5)
    page = THEIRS[Net]()._get_doc_link()
    assert f"sklearn.neural_network.{Net.__name__}.html" in page
    for shown in (net, make_pipeline(net), net.set_params(max_iter=2).fit(np.eye(4), [0, 1, 0, 1])):
        html = shown._repr_html_()
        assert f'href="{page}"' in html
        assert f"Documentation for {Net.__name__}" in html
        assert "alpha" in html
    assert "Fitted" in html
