"""Model: a trained net with its preprocessing, its classes or its targets' scale; and its file.

The file is safetensors in PyTorch's layout: ``torch.nn.Sequential(Linear, act, ..., Linear)``, with
BatchNorm1d and Dropout where the net has them (see ``Parameters.to_torch``), takes its tensors by
``load_state_dict`` as they are. All else is JSON in the metadata entry ``fastmlp``, and all of it is sealed
(files/sealed.py). Nothing is pickled.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.threads import resolve
from fastmlp.backends.types import Evaluation
from fastmlp.checks import (
    as_list,
    as_whole,
    instance,
    one_of,
    positive_number,
    reason_of,
    shown,
    whole_number,
)
from fastmlp.data import targets
from fastmlp.data.columns import Columns
from fastmlp.data.encode import as_matrix, as_rows
from fastmlp.data.label import Label, places_of
from fastmlp.data.names import listed
from fastmlp.data.parts import as_table, part_of, plain, table_of
from fastmlp.data.shown import inputs_in_words
from fastmlp.data.sparse import is_scipy_sparse
from fastmlp.data.table import Column, Table
from fastmlp.data.tables import is_frame
from fastmlp.display import Display, Displayed
from fastmlp.display import listed as in_brief
from fastmlp.errors import ConfigError, DataError, ModelError
from fastmlp.files import parse_json, path_of, sealed
from fastmlp.files.packed import packed, unpacked
from fastmlp.net import Net, Parameters, Preprocessing
from fastmlp.spec import BACKENDS, NUMERICS_REVISION, Training
from fastmlp.target_scale import TargetScale, evaluated
from fastmlp.words.layers import LAYERS, Architecture
from fastmlp.words.losses import Loss

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FORMAT, _NEWER = 1, 2  # the second where anything is told, or meant, that the first knows not
_OLD_ACTS = {"relu", "sigmoid", "tanh", "identity"}
_ENTRY, _EPOCH = "fastmlp", "epoch"
_KEYS = {"format", "numerics", "architecture", "scale", "mean", "classes", "training"}
_MORE = {"target_scale", "columns"}  # keys that are there where they are needed
_UNSEALED = ({"format", _ENTRY}, {"format", _ENTRY, "keras"})  # all that files from before the seal hold
_LEAST_SIDE = 8  # of a square of inputs that is taken for a picture
_FLOAT32 = np.dtype(np.float32)
_WHAT, _DO = "a model must be a safetensors file that fastmlp wrote", "train it again"


def load_backend(name: str) -> ModuleType:
    """The module of that backend: ``numba`` or ``numpy``. Raises ConfigError."""
    return _module(one_of("backend", name, BACKENDS))


@cache
def _module(name: str) -> ModuleType:
    """The module of a backend, of a name that is checked."""
    return import_module("fastmlp.kernels" if name == "numba" else "fastmlp.reference")


@dataclass(frozen=True, eq=False, repr=False)  # a comparison of arrays has no one answer
class Model(Displayed):
    """A net with its classes, and how it was trained. It takes raw inputs: its preprocessing is part of it.

    classes: the K labels, in the order of the outputs, all int, float, bool or str; the two labels of one
             output; the columns' numbers where y had several; () for numbers.
    training: how it was trained, where that is known.
    epoch:   the one after which these are its weights, where that is known; 0: before the first.
    backend: which code computes: "numba", or "numpy" to do without compiling.
    target_scale: mean and spread of a regression's targets, by which its outputs are turned back; None: they
             are predictions.
    columns: how a table becomes inputs; None where the net was trained on arrays.
    """

    net: Net
    classes: tuple[Label, ...]
    training: Training | None = None
    backend: str = "numba"
    epoch: int | None = None
    target_scale: TargetScale | None = None
    columns: Columns | None = None

    def __post_init__(self) -> None:
        K = instance("net", self.net, Net).architecture.outputs
        if self.training is not None:
            instance("training", self.training, Training)
        given, classes = self.classes, targets.as_classes(self.classes)
        object.__setattr__(self, "classes", classes or ())
        count = 0 if self.loss.task == "numbers" else 2 if self._is_of_two else K
        if classes is None or len(classes) != count:
            raise ModelError(f"classes must be {count} different labels of one type", shown(given))
        inputs = self.architecture.inputs
        if self.columns is not None and len(instance("columns", self.columns, Columns).names) != inputs:
            raise ModelError(f"columns must make {inputs} inputs", len(self.columns.names))
        scale = self.target_scale
        scaled = 0 if scale is None else len(instance("target_scale", scale, TargetScale).mean)
        if scaled and (count or scaled != K):
            raise ModelError(f"target_scale must be of {0 if count else K} numbers", scaled)
        object.__setattr__(self, "backend", one_of("backend", self.backend, BACKENDS))

    @cached_property
    def loss(self) -> Loss:
        """The loss that says what its outputs mean: the training's; without one binary, logits or squared."""
        if self.training is not None:
            return Loss.of(self.training.loss, self.training.label_smoothing)
        of_classes = "logits" if self.architecture.outputs > 1 else "binary"
        return Loss.of(of_classes if self.classes else "squared")

    @cached_property
    def _is_of_two(self) -> bool:
        """True where one output tells two classes apart."""
        return self.loss.task == "binary" and self.architecture.outputs == 1

    def _display(self) -> Display:
        told, shape = self.classes, self.architecture
        is_of_flags = self.loss.task == "binary" and not self._is_of_two
        outputs = f"{len(told):,} {'answers' if is_of_flags else 'classes'}" if told else "numbers"
        facts = [
            ("columns", in_brief(self.columns.kinds, 6) if self.columns else ""),
            ("inputs", inputs_in_words(shape.inputs, self.preprocessing, self.columns)),
            ("answers" if is_of_flags else "classes", in_brief(map(str, told))),
            ("loss", self._text),
            ("training", "" if self.training is None else self.training.in_words()),
            ("parameters", shape.n_parameters),
        ]
        after = "" if self.epoch is None else f", after epoch {self.epoch:,}"
        told_of = [fact for fact in facts if fact[1] != ""]
        return Display(f"Model {shape} of {outputs}{after}", told_of, LAYERS, shape.rows())

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

    def predict(self, X: Any, *, threads: int | str = "auto") -> NDArray[Any]:
        """Predict for each row of X. Raises DataError, ModelError.

        X: (N, D); of a net that was trained on a table a table with the same columns, in any order, or an
        array of them where all were numbers. The label's own column, and others that the training dropped,
        may be there or not: they are left out.

        Of classes the most probable label (N,); of several columns of 0 and 1 as many of them (N, K), 1 where
        it is the more probable; of numbers float64 in their own units, (N,) or, of several, (N, K).
        """
        if self.loss.task == "numbers":
            z, scale = self._outputs(X, "predict", threads), self.target_scale
            numbers = np.asarray(z, np.float64) if scale is None else scale.restored(z)
            return numbers[:, 0] if numbers.shape[1] == 1 else numbers
        p = self.predict_proba(X, threads=threads)
        if self.loss.task == "binary" and not self._is_of_two:
            return (p > 0.5).astype(np.int64)
        labels: NDArray[Any] = self._labels[p.argmax(axis=1)]
        return labels

    def predict_proba(self, X: Any, *, threads: int | str = "auto") -> NDArray[np.float32]:
        """Probabilities (N, K) of the classes, in the order of ``classes``. Raises DataError, ModelError.

        X: as in ``predict``. Those of two classes, or of K, sum to 1; of several columns of 0 and 1 each is
        for itself.
        """
        if self.loss.task == "numbers":
            raise ModelError(
                "probabilities must be of a model of classes", f"{self.loss.name} loss", "use predict"
            )
        return self._outputs(X, "predict_proba", threads)

    def _outputs(self, X: Any, what: str, threads: int | str) -> NDArray[np.float32]:
        """Return what the backend gives by that name; of one logistic output both probabilities."""
        nn = _module(self.backend)
        if self.columns is None and self.backend == "numba":  # X may need no word said of it
            quick = nn.at_once(self.net, X, self.loss.word.link, threads=threads, columns=2 * self._is_of_two)
            if quick is not None:
                found: NDArray[np.float32] = quick
                return found
        of_net = getattr(nn, what)
        p: NDArray[np.float32] = of_net(self.net, self._checked(X), loss=self._text, threads=resolve(threads))
        return np.hstack([1 - p, p]) if self._is_of_two else p

    def evaluate(
        self, X: Any, y: Any = None, *, loss: str | None = None, threads: int | str = "auto"
    ) -> Evaluation:
        """Mean loss on X with targets y; the accuracy, or of numbers R2 and the mean absolute error.

        X: as in ``predict``; y: as ``fit`` takes it: of a table the name of a column, or None for the column
        that was the label in training, and then rows without a label do not count. loss: another than the
        training's, of the same targets. Of numbers all is in their own units; the loss of several that were
        standardised, and whose spreads differ, is in those.

        Raises DataError, ModelError, ConfigError.
        """
        found = self.loss if loss is None else Loss.of(loss)
        if found.task != self.loss.task:
            raise ConfigError(f"loss must be of the model's {self.loss.task}", shown(loss))
        X, y, table = self._parted(X, y)
        rows, indices = self._checked(X), self._checked_targets(y, table)
        if len(indices) != rows.shape[0]:
            raise targets.unequal("", rows.shape[0], len(indices))
        return evaluated(
            load_backend(self.backend), self.net, rows, indices, loss or self._text, found.label_smoothing,
            self.target_scale, threads=resolve(threads),
        )  # fmt: skip

    def score(self, X: Any, y: Any = None, *, threads: int | str = "auto") -> float:
        """The accuracy on X with targets y, or of numbers R2, which is nan of fewer than two rows.

        X, y: as ``evaluate`` takes them.

        Raises as ``evaluate`` does.
        """
        found = self.evaluate(X, y, threads=threads)
        if self.loss.task != "numbers":
            return found.accuracy
        return math.nan if found.r2 is None else found.r2

    def plot_weights(
        self,
        ax: Axes | None = None,
        *,
        image_shape: tuple[int, int] | None = None,
        units: int = 25,
    ) -> Axes:
        """Draw the first layer's weights; returns matplotlib's axes.

        Of pictures a picture for each unit; of other inputs a map of columns and units, or bars for one unit.
        ax: where; None: in a new figure of pyplot, which a notebook shows.
        image_shape: (rows, columns) where a row of inputs is a picture. None: square, where as many inputs
                     without names share one scale; (1, D): none.
        units: how many are drawn at most: those with the largest weights.

        Raises ConfigError: also without matplotlib.
        """
        from fastmlp.display import plots

        plots.check()
        shape, W = self._picture_shape(image_shape), self.parameters.weights[0]
        is_last = not self.architecture.layers
        what = "hidden units" if not is_last else "classes" if self.classes else "outputs"
        names = None if self.columns is None else self.columns.names
        labels = (
            [str(label) for label in self.classes] if is_last and W.shape[1] == len(self.classes) else None
        )
        return plots.weights(
            ax,
            W,
            what,
            names=names,
            labels=labels,
            image_shape=shape,
            most=whole_number("units", units, 1, 10_000),
        )

    def _picture_shape(self, told: Any) -> tuple[int, int] | None:
        """Rows and columns of a picture that a row of inputs is; None for none. Raises ConfigError."""
        D = self.architecture.inputs
        if told is None:
            side = math.isqrt(D)
            is_picture = (
                side * side == D
                and side >= _LEAST_SIDE
                and not (self.columns or self.preprocessing.by_column)
            )
            return (side, side) if is_picture else None
        sides = [as_whole(side) or 0 for side in as_list(told) or ()]
        if len(sides) != 2 or math.prod(sides) != D or min(sides) < 1:
            raise ConfigError(f"image_shape must be (rows, columns) of {D:,} inputs", shown(told))
        return None if min(sides) == 1 else (sides[0], sides[1])

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
    def _text(self) -> str:
        """The text of its loss."""
        return self.training.loss if self.training else self.loss.name

    def _parted(self, X: Any, y: Any) -> tuple[Any, Any, Table | None]:
        """Rows, their targets, and the table whose column they are, if they are one's."""
        if y is not None and not isinstance(y, str):
            return X, y, None
        label = y or (None if self.columns is None else self.columns.label)
        if label is None or not (isinstance(X, Table) or is_frame(X)):
            raise DataError(
                "y must be labels or numbers", shown(y), "give them, or a table that has the label's column"
            )
        part = part_of(as_table(X), label)
        return part.X, part.y, part.table

    def _checked_targets(self, y: Any, table: Table | None = None) -> NDArray[Any]:
        """y as the loss takes it: class indices (N,), or (N, K), standardised where the targets are."""
        K, y = self.architecture.outputs, targets.as_column(y, "y")
        several = not isinstance(y, Column) and targets.kind_of(self.loss.task, y) != "labels"
        if self.loss.task != "numbers" and not several:
            return places_of(y, self.classes, "y", table)
        found = targets.read_columns(y, self._text, "y", table)
        if found.shape[1] != K:
            raise DataError(f"y must have {K} columns for this model", found.shape[1])
        return found if self.target_scale is None else self.target_scale.standardised(found)

    @cached_property
    def _labels(self) -> NDArray[Any]:
        return targets.array_of(self.classes)

    def _checked(self, X: Any) -> Any:
        """X as the net takes it. Raises DataError, ModelError."""
        if self.columns is not None:
            return self._encoded(self.columns, X)
        shape, X = getattr(X, "shape", ()), as_rows(plain(X))
        if X.shape[1] != self.architecture.inputs:
            is_one = math.prod(shape) == self.architecture.inputs  # a picture, say
            raise ModelError(
                f"inputs must have {self.architecture.inputs} columns, as this model was trained on",
                f"{X.shape[1]}",
                "use X[None] for one row" if is_one else "use the model or the data that fits",
            )
        return X

    def _encoded(self, columns: Columns, X: Any) -> NDArray[np.float32]:
        """The inputs that a table's columns make, or an array of them where all are numbers."""
        if isinstance(X, Table) or is_frame(X):
            return columns.encode(as_table(X))
        others = [name for name, kind in columns.kinds.items() if kind not in ("number", "flag")]
        if others or is_scipy_sparse(X):
            shape = getattr(X, "shape", None)
            one = "frame.iloc[[0]] for one row, or " if shape is not None and len(shape) == 1 else ""
            raise ModelError(
                "X must be a table, as this model was trained on",
                shown(X)[:80] if shape is None else f"an array of shape {shape}",
                f"give {one}a frame with the columns {listed(list(columns.kinds))}",
            )
        array = as_matrix(X)
        if array.shape[1] != len(columns.kinds):
            raise ModelError(
                f"X must have {len(columns.kinds)} columns, as the table that this model was trained on",
                array.shape[1],
                f"give a frame, or all of {listed(list(columns.kinds))}",
            )
        return columns.encode(table_of(array, columns.kinds))

    def _description(self) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if self.target_scale is not None:
            more["target_scale"] = self.target_scale.to_json()
        if self.columns is not None:
            more["columns"] = self.columns.to_json()
        scale, mean = self.preprocessing.scale, self.preprocessing.mean
        is_new = self.loss.task != "classes" or bool(more) or bool(self.architecture.unusual)
        is_new = is_new or self.preprocessing.by_column
        is_new = is_new or not set(self.architecture.acts) <= _OLD_ACTS
        is_new = is_new or not all(type(label) is int and label >= 0 for label in self.classes)
        return {
            "format": _NEWER if is_new else _FORMAT,
            "numerics": NUMERICS_REVISION,
            "architecture": self.architecture.to_json(),
            "scale": packed(scale, "<f8") if isinstance(scale, np.ndarray) else scale,
            "mean": None if mean is None else packed(mean, "<f4"),
            "classes": list(self.classes),
            "training": self.training and self.training.to_json(),
            **more,
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
        if not isinstance(data, dict) or not _KEYS <= set(data) <= _KEYS | _MORE:
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
        scale, mean = data["scale"], data["mean"]
        if mean is not None:
            mean = unpacked("mean", mean, architecture.inputs, "<f4")
        if form == _NEWER and isinstance(scale, str):
            scale = unpacked("scale", scale, architecture.inputs, "<f8")
        else:
            scale = positive_number("scale", scale, "255")
        training = None if data["training"] is None else Training.from_json(data["training"])
        net = Net(architecture, parameters, Preprocessing(scale, mean))
        scaled = TargetScale.from_json(data["target_scale"]) if "target_scale" in data else None
        columns = Columns.from_json(data["columns"]) if "columns" in data else None
        classes = _checked_classes(data["classes"], form)
        return cls(net, classes, training, epoch=epoch, target_scale=scaled, columns=columns)


def _epoch(metadata: Mapping[str, str]) -> int | None:
    """Epoch in the metadata, if there is one. Raises ModelError."""
    text = metadata.get(_EPOCH)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 11):
        raise ModelError("a model's epoch must be a whole number", shown(text))
    return int(text)


def _checked_classes(classes: Any, form: int) -> tuple[Label, ...]:
    """The classes of a file. Raises ModelError unless they are different labels of one type, ascending."""
    found = targets.as_classes(classes) if isinstance(classes, list) else None
    if found is not None and form == _FORMAT and not all(type(k) is int and k >= 0 for k in found):
        found = None
    if found is None or list(found) != classes or sorted(found) != classes:
        raise ModelError(
            "a model must name its classes, ascending: whole numbers, numbers, bools or texts", shown(classes)
        )
    return found
