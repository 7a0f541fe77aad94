"""Model: a trained net with its preprocessing and its classes; takes raw inputs, knows its file format.

The file is safetensors in PyTorch's layout: ``torch.nn.Sequential(Linear, act, ..., Linear)``, with
BatchNorm1d and Dropout where the net has them (see ``Parameters.to_torch``), takes its tensors by
``load_state_dict`` as they are. Everything else is JSON in the metadata
entry ``fastmlp``, and all of it is sealed (files/sealed.py). Nothing is pickled.
"""

from __future__ import annotations

import base64
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.backends.threads import resolve
from fastmlp.backends.types import Evaluation
from fastmlp.checks import as_list, as_whole, instance, one_of, positive_number, reason_of, shown
from fastmlp.data.checks import class_indices
from fastmlp.data.encode import as_rows
from fastmlp.errors import ConfigError, DataError, ModelError
from fastmlp.files import parse_json, path_of, sealed
from fastmlp.layers import Architecture
from fastmlp.net import Net, Parameters, Preprocessing
from fastmlp.spec import BACKENDS, NUMERICS_REVISION, Training

_FORMAT, _NEWER = 1, 2  # the second where anything is told, or meant, that the first knows not
_OLD_ACTS = {"relu", "sigmoid", "tanh", "identity"}
_ENTRY, _EPOCH = "fastmlp", "epoch"
_KEYS = {"format", "numerics", "architecture", "scale", "mean", "classes", "training"}
_UNSEALED = ({"format", _ENTRY}, {"format", _ENTRY, "keras"})  # all that files from before the seal hold
_FLOAT32 = np.dtype(np.float32)
_WHAT, _DO = "a model must be a safetensors file that fastmlp wrote", "train it again"


def load_backend(name: str) -> ModuleType:
    """The module of that backend: ``numba`` or ``numpy``. Raises ConfigError."""
    if one_of("backend", name, BACKENDS) == "numba":
        from fastmlp import kernels

        return kernels
    from fastmlp import reference

    return reference


@dataclass(frozen=True, eq=False)  # a comparison of arrays has no one answer
class Model:
    """A net with its classes, and how it was trained. It takes raw inputs: its preprocessing is part of it.

    classes: the K labels, in the order of the outputs.
    training: how it was trained, where that is known.
    epoch:   the one after which these are its weights, where that is known; 0: before the first.
    backend: which code computes: "numba", or "numpy" to do without compiling.
    """

    net: Net
    classes: tuple[int, ...]
    training: Training | None = None
    backend: str = "numba"
    epoch: int | None = None

    def __post_init__(self) -> None:
        K = instance("net", self.net, Net).architecture.outputs
        classes = tuple(map(as_whole, as_list(self.classes) or ()))
        if None in classes or len(set(classes)) != K or len(classes) != K:
            raise ModelError(f"classes must be {K} different integers", shown(self.classes))
        if self.training is not None:
            instance("training", self.training, Training)
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "backend", one_of("backend", self.backend, BACKENDS))

    @property
    def architecture(self) -> Architecture:
        """The net's shape."""
        return self.net.architecture

    @property
    def parameters(self) -> Parameters:
        """The net's weights and biases."""
        return self.net.parameters

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of the net's inputs."""
        return self.net.preprocessing

    def predict(self, X: ArrayLike, *, threads: int | str = "auto") -> NDArray[np.int64]:
        """The most probable label (N,) of each row of X (N, D). Raises DataError, ModelError."""
        best = self.predict_proba(X, threads=threads).argmax(axis=1)
        labels: NDArray[np.int64] = self._labels[best]
        return labels

    def predict_proba(self, X: ArrayLike, *, threads: int | str = "auto") -> NDArray[np.float32]:
        """Probabilities (N, K) of the classes, in the order of ``classes``. Raises DataError, ModelError."""
        nn = load_backend(self.backend)
        p: NDArray[np.float32] = nn.predict_proba(self.net, self._checked(X), threads=resolve(threads))
        return p

    def evaluate(
        self, X: ArrayLike, y: ArrayLike, *, loss: str | None = None, threads: int | str = "auto"
    ) -> Evaluation:
        """Mean loss and accuracy on X (N, D) with labels y (N,). ``loss``: the training's, else logits.

        Raises DataError, ModelError, ConfigError.
        """
        nn = load_backend(self.backend)
        if loss is None:
            loss = self.training.loss if self.training else "logits"
        rows = self._checked(X)
        indices = class_indices(y, self.classes)
        if len(indices) != rows.shape[0]:
            raise DataError("X and y must have the same length", f"{rows.shape[0]} and {len(indices)}")
        result: Evaluation = nn.evaluate(self.net, rows, indices, loss=loss, threads=resolve(threads))
        return result

    def save(self, path: str | os.PathLike[str], extra: Mapping[str, str] | None = None) -> None:
        """Write the file, whole or not at all. ``extra``: further entries of its metadata.

        Raises RunFolderError, and ModelError if not finite.
        """
        if not self.parameters.finite:
            raise ModelError("a model must be finite to be saved", "nan or infinity in its weights")
        state = self.parameters.astype(np.float32).to_torch(self.architecture)
        metadata = {**(extra or {}), "format": "pt", _ENTRY: json.dumps(self._description())}
        if self.epoch is not None:
            metadata[_EPOCH] = str(self.epoch)
        sealed.write(Path(path), state, metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Model:
        """Read a model's file. Raises ModelError: also where any bit of it has changed since ``save``."""
        return cls.load_with_extra(path)[0]

    @classmethod
    def load_with_extra(cls, path: str | os.PathLike[str]) -> tuple[Model, dict[str, str]]:
        """A model and all metadata of its file, the ``extra`` of ``save`` among them. Raises ModelError.

        A file from before there was a seal is taken with a warning: in it a change cannot be seen.
        """
        path = path_of("a model", path, ModelError)
        state, metadata, is_sealed = sealed.read(path)
        if _ENTRY not in metadata:
            raise ModelError(_WHAT, f"{path}: no entry {_ENTRY!r} in its metadata", _DO)
        if not is_sealed and (set(metadata) not in _UNSEALED or metadata["format"] != "pt"):
            raise ModelError(_WHAT, f"{path}: no sha256 in its metadata", _DO)
        description = parse_json(metadata[_ENTRY], f"the entry {_ENTRY!r} of {path}", ModelError)
        try:
            model = cls._described(description, state, _epoch(metadata))
        except ConfigError as problem:
            raise ModelError(_WHAT, f"{path}: {reason_of(problem)}".rstrip("."), _DO) from None
        if not is_sealed:
            text = f"{path} is of an older fastmlp and holds no sha256: a damaged bit in it would not be seen"
            warnings.warn(f"{text}. Save it again: Model.load(path).save(path).", stacklevel=3)
        return model, metadata

    @cached_property
    def _labels(self) -> NDArray[np.int64]:
        return np.asarray(self.classes, np.int64)

    def _checked(self, X: Any) -> Any:
        X = as_rows(X)
        if X.shape[1] != self.architecture.inputs:
            raise ModelError(
                f"inputs must have {self.architecture.inputs} columns, as this model was trained on",
                f"{X.shape[1]}",
                "use the model or the data that fits",
            )
        return X

    def _description(self) -> dict[str, Any]:
        scale, mean = self.preprocessing.scale, self.preprocessing.mean
        is_new = self.preprocessing.by_column or bool(self.architecture.unusual)
        is_new = is_new or not set(self.architecture.acts) <= _OLD_ACTS
        return {
            "format": _NEWER if is_new else _FORMAT,
            "numerics": NUMERICS_REVISION,
            "architecture": self.architecture.to_json(),
            "scale": _encoded(scale, "<f8") if isinstance(scale, np.ndarray) else scale,
            "mean": None if mean is None else _encoded(mean, "<f4"),
            "classes": list(self.classes),
            "training": self.training and self.training.to_json(),
        }

    @classmethod
    def _described(cls, data: Any, state: Mapping[str, Any], epoch: int | None) -> Model:
        """The inverse of ``_description``, with the file's tensors. Raises ModelError, ConfigError."""
        form = data.get("format", _FORMAT) if isinstance(data, dict) else _FORMAT
        if type(form) is not int or form not in (_FORMAT, _NEWER):
            raise ModelError(
                f"a model's format must be {_FORMAT} or {_NEWER}", shown(form),
                "load it with a newer fastmlp",
            )  # fmt: skip
        if not isinstance(data, dict) or set(data) != _KEYS:
            raise ModelError(f"a model's description must hold {', '.join(sorted(_KEYS))}", shown(data))
        architecture = Architecture.from_json(data["architecture"])
        parameters = Parameters.from_torch(state, architecture)
        if parameters.shapes != architecture.shapes or {array.dtype for array in parameters} != {_FLOAT32}:
            raise ModelError(
                f"tensors must be float32 of shapes {shown(architecture.shapes)}",
                f"{parameters.dtype} of shapes {shown(parameters.shapes)}",
            )
        if not parameters.finite:
            raise ModelError("a model must be finite", "nan or infinity in its weights")
        if any((norm.variance < 0).any() for norm in parameters.norms if norm is not None):
            raise ModelError("a model's running variances must be from 0", "one below")
        classes = _checked_classes(data["classes"], architecture.outputs)
        scale, mean = data["scale"], data["mean"]
        if mean is not None:
            mean = _decoded("mean", mean, architecture.inputs, "<f4")
        if form == _NEWER and isinstance(scale, str):
            scale = _decoded("scale", scale, architecture.inputs, "<f8")
        else:
            scale = positive_number("scale", scale, "255")
        training = None if data["training"] is None else Training.from_json(data["training"])
        net = Net(architecture, parameters, Preprocessing(scale, mean))
        return cls(net, classes, training, epoch=epoch)


def _epoch(metadata: Mapping[str, str]) -> int | None:
    """Epoch in the metadata, if there is one. Raises ModelError."""
    text = metadata.get(_EPOCH)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 11):
        raise ModelError("a model's epoch must be a whole number", shown(text))
    return int(text)


def _checked_classes(classes: Any, K: int) -> tuple[int, ...]:
    known = isinstance(classes, list) and all(type(k) is int for k in classes)
    if not known or classes != sorted({k for k in classes if 0 <= k < 2**63}) or len(classes) != K:
        raise ModelError(f"a model must name {K} classes, ascending integers from 0", shown(classes))
    return tuple(classes)


def _encoded(array: NDArray[Any], kind: str) -> str:
    """The numbers of an array as base64, in that dtype."""
    return base64.b64encode(array.astype(kind).tobytes()).decode()


def _decoded(name: str, text: Any, inputs: int, kind: str) -> NDArray[Any]:
    """The inverse of ``_encoded``. Raises ModelError."""
    try:
        content = base64.b64decode(text if isinstance(text, str) else "!", validate=True)
    except ValueError:
        content = b""
    dtype = np.dtype(kind)
    array = np.frombuffer(content[: len(content) // dtype.itemsize * dtype.itemsize], dtype)
    array = array.astype(dtype.newbyteorder("="))
    if len(content) != dtype.itemsize * inputs or not np.isfinite(array).all():
        raise ModelError(f"the {name} must be {inputs} finite numbers in base64", shown(text))
    return array
