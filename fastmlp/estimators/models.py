"""An estimator's net as a Model, and a Model's net as an estimator. Nothing is trained here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from fastmlp.checks import shown
from fastmlp.data.targets import array_of
from fastmlp.errors import ModelError
from fastmlp.estimators.words import ACTS, BATCH, NUMBERS_LOSSES, adam, sgd
from fastmlp.model import Model
from fastmlp.net import Net, Parameters, Preprocessing
from fastmlp.spec import Training
from fastmlp.words.layers import Architecture
from fastmlp.words.optimizers import Optimizer

# scikit-learn's names, by the engine's.
_ACTS = {act: name for name, act in ACTS.items()}
_LOSSES = {"binary_log_loss": "log_loss", **{loss: name for name, loss in NUMBERS_LOSSES.items()}}


def to_model(ours: Any) -> Model:
    """The Model of a fitted estimator. Raises ModelError."""
    with np.errstate(over="ignore"):  # found out below
        net = ours._net(ours._parameters().astype(np.float32))
    if not net.parameters.finite:
        raise ModelError("weights must be within float32, which a Model is of", "larger ones")
    return Model(net, _labels(ours), _training(ours, net))


def _labels(ours: Any) -> tuple[Any, ...]:
    """The classes as plain values, () of numbers. Raises ModelError unless they ascend: a file wants it."""
    if not is_classifier(ours):
        return ()
    labels = np.asarray(ours.classes_).tolist()
    try:
        ascend = labels == sorted(labels)
    except TypeError:
        ascend = False
    if not ascend:
        raise ModelError("classes_ must be in ascending order for a Model", shown(labels), "fit again")
    return tuple(labels)


def _training(ours: Any, net: Net) -> Training:
    """The estimator's parameters in the engine's words: the net, the loss and, but for lbfgs, the steps."""
    told: dict[str, Any] = {
        "hidden": net.architecture.layers, "scale": float(net.preprocessing.scale), "loss": ours._loss(),
    }  # fmt: skip
    if ours.solver != "lbfgs":
        rule: Optimizer = ours._new_optimizer(net.parameters).optimizer
        told |= {
            "lr": float(ours.learning_rate_init),
            "batch_size": BATCH if ours.batch_size == "auto" else int(ours.batch_size),
            "epochs": int(ours.max_iter),
            "seed": int(ours.random_state) if isinstance(ours.random_state, int | np.integer) else 0,
            "optimizer": rule.but(alpha=float(ours.alpha)),
        }
    return Training.of(**told)


def from_model(cls: Any, model: Any) -> Any:
    """A fitted estimator of that class that predicts as the model does. Raises TypeError, ModelError."""
    if not isinstance(model, Model):
        raise TypeError(
            f"{cls.__name__}.from_model must be given a fastmlp.Model; got {type(model).__name__}."
        )
    is_of_classes = bool(model.classes)
    if is_classifier(cls()) != is_of_classes:
        other = "MLPClassifier" if is_of_classes else "MLPRegressor"
        raise ModelError(
            f"the model must be of {'numbers' if is_of_classes else 'classes'} for {cls.__name__}",
            f"{model.loss.name} loss", f"use {other}.from_model",
        )  # fmt: skip
    if model.columns is not None:
        raise ModelError(
            "the model must be of arrays, not of a table, whose columns an estimator does not encode",
            f"columns {shown(list(model.columns.kinds))}",
            "use the model itself",
        )
    net = _folded(model)
    ours = cls(**_words(model, net))
    if is_of_classes:
        ours.classes_ = array_of(model.classes)
        ours.out_activation_ = "logistic" if model.loss.task == "binary" else "softmax"
    ours.n_features_in_ = net.architecture.inputs
    ours._store(net.parameters)
    ours._reset(net.parameters)
    return ours


def _words(model: Model, net: Net) -> dict[str, Any]:
    """Parameters of an estimator: those of the net, and the steps of the model's training, if it is known."""
    shape, training = net.architecture, model.training
    words, loss = shape.words(), model.loss.name if training is None else training.loss
    told: dict[str, Any] = {
        "hidden_layer_sizes": shape.hidden,
        **({"activation": _activation(words["act"])} if shape.layers else {}),
        "dropout": words["dropout"],
        "batch_norm": words["batch_norm"],
        "loss": _LOSSES.get(loss, loss),
        "scale": float(net.preprocessing.scale),
    }
    if training is not None:
        told |= {
            "learning_rate_init": training.lr,
            "batch_size": "auto" if training.batch_size == BATCH else training.batch_size,
            "max_iter": training.epochs,
            "random_state": training.seed,
            "alpha": training.optimizer.alpha,
            **_solver(training.optimizer.but(alpha=0.0)),
        }
    return told


def _activation(act: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """scikit-learn's name of an activation, where it has one; of each, where the layers have others."""
    if isinstance(act, str):
        return _ACTS.get(act, act)
    return tuple(_ACTS.get(one, one) for one in act)


def _solver(rule: Optimizer) -> dict[str, Any]:
    """A rule by scikit-learn's words where they mean it, else as it is."""
    if rule == sgd(rule.momentum, rule.nesterov) or (rule == Optimizer()):
        return {"solver": "sgd", "momentum": rule.momentum, "nesterovs_momentum": rule.nesterov}
    if rule.name == "adam" and rule == adam(rule.beta1, rule.beta2, rule.epsilon):
        return {"solver": "adam", "beta_1": rule.beta1, "beta_2": rule.beta2, "epsilon": rule.epsilon}
    return {"optimizer": rule}


def _folded(model: Model) -> Net:
    """The model's net, copied, with all of its preprocessing in its weights but one scale, and its targets'.

    In float64 where anything is folded: a column's mean may be far larger than its spread.
    """
    net, done, targets = model.net, model.preprocessing, model.target_scale
    parameters, scale, shape = net.parameters.copy(), 1.0, net.architecture
    if not done.by_column and done.mean is None and targets is None:
        return Net(shape, parameters, done)
    parameters = parameters.astype(np.float64)
    weights, biases = [*parameters.weights], [*parameters.biases]
    if done.by_column:
        weights[0] = weights[0] / np.asarray(done.scale)[:, None]
    else:
        scale = float(done.scale)
    if done.mean is not None:
        biases[0] = biases[0] - (done.mean.astype(np.float64) / scale) @ weights[0]
    if targets is not None:
        weights[-1], biases[-1] = weights[-1] * targets.spread, biases[-1] * targets.spread + targets.mean
    hidden = tuple(replace(layer, bias=True) for layer in shape.layers)  # output: a plain layer has one
    shape = Architecture(shape.inputs, hidden, shape.outputs)
    return Net(shape, Parameters(tuple(weights), tuple(biases), parameters.norms), Preprocessing(scale))
