"""Saving and loading: fastmlp's own safetensors file, with layers and training as one more entry of metadata.

The entry ``keras`` holds the layers' classes, names and activations, the loss with its clip, the metric and
the optimizer's options, as JSON. The optimizer's averages are not in it: they begin at zero.
"""

from __future__ import annotations

import json
import os
from typing import Any, TypeVar

import numpy as np

from fastmlp.checks import flag, reason_of, shown
from fastmlp.errors import ModelError
from fastmlp.files import parse_json, path_of
from fastmlp.keras.layers.core import Activation, Dense
from fastmlp.keras.losses import CategoricalCrossentropy, SparseCategoricalCrossentropy
from fastmlp.keras.network import Network
from fastmlp.keras.optimizers import SGD, Adam, Optimizer
from fastmlp.keras.stack import Stack
from fastmlp.model import Model
from fastmlp.words.layers import Architecture, act_text

_S = TypeVar("_S", bound=Stack)

_ENTRY = "keras"
_OPTIMIZERS: dict[str, type[Optimizer]] = {"SGD": SGD, "Adam": Adam}
_LAYERS = {"Dense": Dense, "Activation": Activation}
_WORDS = ("name", "units", "activation")
_OLD_CLIP = {False: "keras2", True: None}  # by from_logits, in files that do not say it: they were trained so


def save(model: Stack, path: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write the file. Raises ValueError for a model that is not built, OSError."""
    path = path_of("filepath", path, ModelError)
    if not flag("overwrite", overwrite) and path.exists():
        raise FileExistsError(f"{path} is there already, and overwrite is False")
    if not model.built:
        raise ModelError("a model must be built to be saved", "no inputs", "give input_dim, or fit it")
    net = Network.of(model.layers).net
    whole = Model(net, tuple(range(net.architecture.outputs)))
    whole.save(path, {_ENTRY: json.dumps(_described(model))})


def load(kind: type[_S], path: str | os.PathLike[str], compiled: bool) -> _S:
    """A stack of that class from the file, compiled as it was where that is wanted. Raises ValueError."""
    path = path_of("filepath", path, ModelError)
    net, metadata = Model.load_with_extra(path)
    if net.architecture.unusual:
        told = ", ".join(net.architecture.unusual)
        raise ModelError("a model must be of Dense layers and activations alone", f"{path} with {told}")
    entry = _entry(metadata, path)
    try:
        model = kind(name=entry["name"] if entry else None)
        for layer in entry["layers"] if entry else _layers_of(net.architecture):
            model.add(_LAYERS[layer["class"]](**{word: layer[word] for word in _WORDS if word in layer}))
        _check(model, net.architecture)
        model.build((None, net.architecture.inputs))
        model.set_weights(_folded(net))
        if entry and entry["compiled"] and compiled:
            loss, optimizer = entry["compiled"]["loss"], dict(entry["compiled"]["optimizer"])
            loss_class = SparseCategoricalCrossentropy if loss["sparse"] else CategoricalCrossentropy
            model.compile(
                _OPTIMIZERS[optimizer.pop("class")](**optimizer),
                loss_class(loss["from_logits"], clip=loss.get("clip", _OLD_CLIP[loss["from_logits"]])),
                entry["compiled"]["metrics"],
            )
    except Exception as error:  # KeyError, TypeError, MissingError: whatever comes of building from an entry
        raise ModelError(
            "a model's layers must be those that save() wrote", f"{path}: {reason_of(error)}"
        ) from None
    return model


def _described(model: Stack) -> dict[str, Any]:
    layers = []
    for layer in model.layers:
        told = {"class": type(layer).__name__}
        told |= {word: getattr(layer, word) for word in _WORDS if hasattr(layer, word)}
        layers.append(told)
    compiled = None
    if model.compiled:
        loss = {word: getattr(model.loss, word) for word in ("sparse", "from_logits", "clip")}
        compiled = {
            "loss": loss, "optimizer": model.optimizer.describe(), "metrics": model.metrics_names[1:],
        }  # fmt: skip
    return {"name": model.name, "layers": layers, "compiled": compiled}


def _entry(metadata: dict[str, str], path: Any) -> dict[str, Any] | None:
    """The description in the metadata; None in a file that was not saved here. Raises ModelError."""
    if _ENTRY not in metadata:
        return None
    entry = parse_json(metadata[_ENTRY], f"the entry {_ENTRY!r} of {path}", ModelError)
    if not isinstance(entry, dict) or not entry:
        raise ModelError("a model's layers must be those that save() wrote", f"{path}: {shown(entry)}")
    return entry


def _check(model: Stack, architecture: Architecture) -> None:
    """Raise ModelError unless the layers are those of the file's net, whose size is checked."""
    network = Network.of(model.layers)
    widths = tuple(layer.units for layer in network.dense)
    if widths != (*architecture.hidden, architecture.outputs):
        raise ModelError(f"layers must have the net's widths, {architecture}", widths)
    if network.acts != architecture.acts:
        told = act_text(architecture.acts)
        raise ModelError(f"layers must have the net's activation, {told}", act_text(network.acts))


def _layers_of(architecture: Architecture) -> list[dict[str, Any]]:
    words = {"identity": "linear"}
    hidden = [
        {"class": "Dense", "units": layer.width, "activation": words.get(layer.act, layer.act)}
        for layer in architecture.layers
    ]
    return [*hidden, {"class": "Dense", "units": architecture.outputs, "activation": "softmax"}]


def _folded(net: Model) -> list[Any]:
    """Weights, in the first layer for raw inputs: W / scale, and b - mean W / scale."""
    first, bias, *others = net.parameters.to_keras()
    scale, mean = net.preprocessing.scale, net.preprocessing.mean
    if mean is None and not net.preprocessing.by_column and scale == 1:
        return [first, bias, *others]
    W = first.astype(np.float64) / np.reshape(scale, (-1, 1))
    b = bias if mean is None else bias - mean.astype(np.float64) @ W
    return [W, b, *others]
