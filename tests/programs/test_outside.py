"""Every argument of every public function, given every kind of wrong value: it works, or one FastMLPError.

The arguments come from the signatures, so that a new one is tested as it is written.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nasty import VALUES, calls

import fastmlp
from fastmlp import data, keras, kernels, reference
from fastmlp.backends.state import OptimizerState
from fastmlp.data import Dataset
from fastmlp.errors import FastMLPError
from fastmlp.study.run import study
from fastmlp.words.schedules import Schedule

N, D, K = 12, 3, 2
X = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
Y = np.arange(N) % K
FLAGS = np.stack([Y, 1 - Y], axis=1)
SHARES = np.full((N, K), 1 / K)
ORDER = np.arange(N)
SHAPE = fastmlp.Architecture(D, (2,), K)


def first() -> fastmlp.Parameters:
    return fastmlp.initialise(SHAPE)


def net() -> fastmlp.Net:
    return fastmlp.Net(SHAPE, first())


def model(**changes: Any) -> fastmlp.Model:
    return fastmlp.Model(net(), (0, 1), backend="numpy", **changes)


def of_numbers() -> fastmlp.Model:
    return fastmlp.Model(net(), (), backend="numpy", target_scale=fastmlp.TargetScale([0, 1], [1, 2]))


def listed(function: Callable[..., Any]) -> Callable[..., Any]:
    """A generator's items, with its signature."""

    def called(*args: Any, **kwargs: Any) -> Any:
        return list(function(*args, **kwargs))

    called.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return called


STEP = {"net": net(), "X": X, "y": Y, "order": ORDER}
PASSES = {
    "forward": {"net": net(), "X": X},
    "predict_proba": {"net": net(), "X": X},
    "predict": {"net": net(), "X": X},
    "logits": {"net": net(), "X": X},
    "evaluate": {"net": net(), "X": X, "y": Y},
    "dead_units": {"net": net(), "X": X},
    "loss_and_gradients": {"net": net(), "X": X, "y": Y},
    "train_epoch": STEP,
    "Session": {"net": net(), "X": X, "y": Y},
    "encode": {"X": X},
}
UNCHECKED = {"encode_rows", "at_once", "are_finite"}  # for callers that know what they have
FIT = {"X": X, "y": Y, "epochs": 1, "hidden": 2, "scale": 1.0, "backend": "numpy"}
NO_TEST = fastmlp.data.Dataset("small", "drawn", X, Y, X[:0], Y[:0], (0, 1), None)
SMALL = fastmlp.Training(hidden=2, scale=1, epochs=1)


def torch_fit(module: Any = None, **options: Any) -> Any:
    """As ``fastmlp.torch.fit``; a new module for None."""
    import torch

    made = torch.nn.Sequential(torch.nn.Linear(D, 2), torch.nn.ReLU(), torch.nn.Linear(2, K))
    return fastmlp.torch.fit(made if module is None else module, **options)


torch_fit.__signature__ = inspect.signature(fastmlp.torch.fit)  # type: ignore[attr-defined]

FUNCTIONS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Architecture": (fastmlp.Architecture, {"inputs": 3, "layers": 2, "outputs": 2}),
    "Architecture.of": (fastmlp.Architecture.of, {"inputs": 3, "hidden": 2, "outputs": 2}),
    "Layer": (fastmlp.Layer, {"width": 2}),
    "BatchNorm": (fastmlp.BatchNorm, {"place": "before"}),
    "BatchNorm.of": (fastmlp.BatchNorm.of, {"value": "after"}),
    "Schedule.of": (Schedule.of, {"value": "cosine"}),
    "Training.of": (fastmlp.Training.of, {"momentum": 0.5}),
    "Preprocessing": (fastmlp.Preprocessing, {}),
    "TargetScale": (fastmlp.TargetScale, {"mean": [0.5], "spread": [2.0]}),
    "TargetScale.from_json": (fastmlp.TargetScale.from_json, {"data": {"mean": [0.5], "spread": [2.0]}}),
    "Net": (fastmlp.Net, {"architecture": SHAPE, "parameters": first()}),
    "Architecture.from_json": (fastmlp.Architecture.from_json, {"data": {}}),
    "Optimizer": (fastmlp.Optimizer, {}),
    "Training": (fastmlp.Training, {}),
    "Training.from_json": (fastmlp.Training.from_json, {"data": {}}),
    "initialise": (fastmlp.initialise, {"architecture": SHAPE}),
    "Parameters": (fastmlp.Parameters, {"weights": first().weights, "biases": first().biases}),
    "Parameters.from_torch": (fastmlp.Parameters.from_torch, {"state": first().to_torch()}),
    "Parameters.from_keras": (fastmlp.Parameters.from_keras, {"arrays": first().to_keras()}),
    "Parameters.from_named": (fastmlp.Parameters.from_named, {"arrays": dict(first().named())}),
    "Parameters.to_torch": (first().to_torch, {"architecture": SHAPE}),
    "Parameters.to_keras": (first().to_keras, {"architecture": SHAPE}),
    "Parameters.astype": (first().astype, {"dtype": np.float64}),
    "OptimizerState.start": (
        OptimizerState.start,
        {"parameters": first(), "optimizer": fastmlp.Optimizer("adam")},
    ),
    "OptimizerState.check": (
        OptimizerState.start(first(), fastmlp.Optimizer("adam")).check,
        {"parameters": first(), "optimizer": fastmlp.Optimizer("adam")},
    ),
    "Model": (fastmlp.Model, {"net": net(), "classes": (0, 1)}),
    "Model.predict": (model().predict, {"X": X}),
    "Model.predict_proba": (model().predict_proba, {"X": X}),
    "Model.evaluate": (model().evaluate, {"X": X, "y": Y}),
    "Model of numbers": (fastmlp.Model, {"net": net(), "classes": ()}),
    "Model.predict of numbers": (of_numbers().predict, {"X": X}),
    "Model.evaluate of numbers": (of_numbers().evaluate, {"X": X, "y": FLAGS / 3}),
    "fit": (fastmlp.fit, FIT),
    "fit of numbers": (fastmlp.fit, FIT | {"y": Y / 3, "loss": "squared"}),
    "fit of two classes": (fastmlp.fit, FIT | {"loss": "binary"}),
    **{
        f"Dataset.of {loss}": (Dataset.of, {"X": X, "y": y, "loss": loss})
        for loss, y in {
            "logits": Y,
            "binary": FLAGS,
            "squared": Y / 3,
            "poisson": FLAGS,
            "keras2": SHARES,
        }.items()
    },
    "fit_many": (listed(fastmlp.fit_many), {"X": X, "y": Y, "trainings": [SMALL]}),
    "diagnose": (fastmlp.diagnose, {**FIT, "seconds": 1e-3} | {"backend": None}),
    "torch.fit": (torch_fit, {"X": X, "y": Y, "epochs": 1, "backend": "numpy"}),
    "load": (data.load, {"data": "synthetic"}),
    "fetch_mnist": (data.fetch_mnist, {"folder": "nothing", "mirrors": (), "patience": 0.0}),
    "study": (study, {"data": NO_TEST, "out": "out"}),
    "load.csv": (data.load, {"data": "a.csv"}),
    "read_test": (data.read_test, {"path": "a.csv"}),
    "read_images": (data.read_images, {"path": "a.csv"}),
    **{f"kernels.{name}": (getattr(kernels, name), given) for name, given in PASSES.items()},
    **{f"reference.{name}": (getattr(reference, name), given) for name, given in PASSES.items()},
}
del FUNCTIONS["diagnose"][1]["backend"]
ELSEWHERE = {  # why not above
    "DataError", "ConfigError", "DivergedError", "FastMLPError", "ModelError", "RunFolderError",  # raised
    "EpochResult", "Evaluation", "Fitted", "History", "OptimizerState",  # returned: what they hold is ours
    "__version__", "data", "diagnose", "keras", "kernels", "reference", "torch",  # modules
}  # fmt: skip


def refused(
    call: Callable[[], Any], allowed: tuple[type[BaseException], ...] = (FastMLPError,), quiet: bool = False
) -> str | None:
    """What is wrong with what came out; None where nothing is. ``quiet``: warnings are right."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if quiet else "error")
            call()
    except allowed as error:
        if isinstance(error, FastMLPError):
            str(error).encode(errors="backslashreplace")
            if len(str(error)) > 10_000:
                return f"{len(str(error)):,} characters"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:150]}"
    return None


def wrong(function: Callable[..., Any], arguments: dict[str, Any], **how: Any) -> list[str]:
    found = [(told, refused(call, **how)) for told, call in calls(function, arguments)]
    return [f"{told}: {problem}" for told, problem in found if problem]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_home: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("label,a\n" + "0,1\n1,2.5\n" * 6)
    drawn = fastmlp.data.Dataset("small", "drawn", X, Y, X, Y, (0, 1), None)
    monkeypatch.setattr("fastmlp.data.sources._synthetic", lambda seed: _found(drawn))
    monkeypatch.setattr("fastmlp.data.sources._mnist", lambda *_: _found(drawn))
    monkeypatch.setattr("fastmlp.data.mnist.MIRRORS", ())


def _found(drawn: Any) -> Any:
    from fastmlp.data.parts import Part, Parts
    from fastmlp.data.sources import _Found

    return _Found(drawn.name, drawn.source, Parts(Part(X, Y, "drawn"), Part(X, Y, "drawn")))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_wrong_argument_is_one_error(name):
    if name == "torch.fit":
        pytest.importorskip("torch")
    function, arguments = FUNCTIONS[name]
    more = (TypeError,) if name == "torch.fit" else ()  # as it documents, for what is no module
    assert wrong(function, arguments, allowed=(FastMLPError, *more)) == []


def sequential(compiled: bool = True) -> Any:
    net = keras.Sequential([keras.layers.Dense(2, "relu", input_dim=D), keras.layers.Dense(K, "softmax")])
    net.backend = "numpy"
    if compiled:
        net.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    return net


def method(name: str) -> Callable[..., Any]:
    """Of a new model for each call."""

    def called(**arguments: Any) -> Any:
        return getattr(sequential(), name)(**arguments)

    signature = inspect.signature(getattr(keras.Sequential, name))
    called.__signature__ = signature.replace(parameters=[*signature.parameters.values()][1:])  # type: ignore
    return called


def epoch_of(callback: Any) -> Callable[..., Any]:
    """Made with those arguments, and used for an epoch."""

    def called(**arguments: Any) -> Any:
        sequential().fit(X, Y, verbose=0, callbacks=[callback(**arguments)])

    called.__signature__ = inspect.signature(callback)  # type: ignore[attr-defined]
    return called


def step_of(optimizer: Any) -> Callable[..., Any]:
    """The same of an optimizer."""

    def called(**arguments: Any) -> Any:
        net = sequential()
        net.compile(optimizer(**arguments), "sparse_categorical_crossentropy")
        net.fit(X, Y, verbose=0)

    called.__signature__ = inspect.signature(optimizer)  # type: ignore[attr-defined]
    return called


KERAS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Sequential": (keras.Sequential, {}),
    "Dense": (keras.layers.Dense, {"units": 2}),
    "Activation": (keras.layers.Activation, {"activation": "relu"}),
    "InputLayer": (keras.layers.InputLayer, {"shape": (3,)}),
    "SGD": (step_of(keras.optimizers.SGD), {}),
    "Adam": (step_of(keras.optimizers.Adam), {}),
    "CategoricalCrossentropy": (keras.losses.CategoricalCrossentropy, {}),
    "EarlyStopping": (epoch_of(keras.callbacks.EarlyStopping), {"monitor": "loss"}),
    "LearningRateScheduler": (
        epoch_of(keras.callbacks.LearningRateScheduler),
        {"schedule": lambda epoch: 0.1},
    ),
    "to_categorical": (keras.utils.to_categorical, {"x": Y}),
    "set_random_seed": (keras.utils.set_random_seed, {"seed": 1}),
    "load_model": (keras.models.load_model, {"filepath": "nothing"}),
    **{
        f"Sequential.{name}": (method(name), given)
        for name, given in {
            "add": {"layer": None},
            "build": {},
            "compile": {"loss": "sparse_categorical_crossentropy"},
            "evaluate": {"x": X, "y": Y, "verbose": 0},
            "fit": {"x": X, "y": Y, "verbose": 0},
            "get_layer": {},
            "predict": {"x": X, "verbose": 0},
            "save": {"filepath": "a.keras"},
            "set_weights": {"weights": []},
            "summary": {"print_fn": lambda line: None},
        }.items()
    },
}


@pytest.mark.parametrize("name", KERAS)
def test_of_the_facade_it_is_an_error_as_keras_has_it(name):
    function, arguments = KERAS[name]
    allowed = (ValueError, TypeError, NotImplementedError, OSError, FastMLPError)
    assert wrong(function, arguments, allowed=allowed, quiet=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("solver", [{}, {"solver": "sgd", "learning_rate": "invscaling"}])
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_of_an_estimator_it_is_an_error_as_scikit_learn_has_it(kind, solver, monkeypatch):
    monkeypatch.delitem(VALUES, "raises")  # scikit-learn shows them in its messages
    monkeypatch.delitem(VALUES, "Text")
    estimator = getattr(fastmlp, kind)

    def fitted(**arguments):
        estimator(**{"max_iter": 2, "hidden_layer_sizes": (2,), **solver, **arguments}).fit(X, Y)

    fitted.__signature__ = inspect.signature(estimator)
    assert wrong(fitted, {}, allowed=(ValueError, TypeError), quiet=True) == []


def test_every_public_function_is_tested():
    tested = {name.split(".")[0] for name in FUNCTIONS}
    assert set(fastmlp.__all__) - ELSEWHERE == tested & (set(fastmlp.__all__) - ELSEWHERE)
    assert set(kernels.__all__) - {*UNCHECKED, "is_warm"} == set(PASSES)


def test_the_test_goes_red():
    def careless(number, text="a"):
        return int(number) + len(text)

    found = " ".join(wrong(careless, {"number": 1}))
    assert all(
        f"= {told}: " in found for told in ("10**400", "None", "raises", "object") if told != "10**400"
    )
    assert "text = 1j" in found
    assert len(VALUES) > 30
