"""Net: architecture, parameters (how they begin, how other tools lay them out), and preprocessing.

Nothing here computes with them: that is a backend's work (reference/, kernels/).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastmlp.checks import (
    NUMBERS,
    as_array,
    as_dtype,
    as_list,
    instance,
    positive_number,
    shown,
    whole_number,
)
from fastmlp.display import Display, Displayed, ends
from fastmlp.errors import ModelError
from fastmlp.words.drawing import first_biases, first_weights
from fastmlp.words.inits import checked_init
from fastmlp.words.layers import LAYERS, PLACES, Architecture, Layer


@dataclass(frozen=True, eq=False, repr=False)  # a comparison of arrays has no one answer
class Norm(Displayed):
    """The arrays of a batch norm of H units, each (H,): gamma and beta are trained, the others run along."""

    gamma: NDArray[Any]
    beta: NDArray[Any]
    mean: NDArray[Any]
    variance: NDArray[Any]

    def __post_init__(self) -> None:
        for name, array in zip(NORM_ARRAYS, _arrays("a batch norm's arrays", self), strict=True):
            object.__setattr__(self, name, array)
        shapes = [array.shape for array in self]
        if len(shapes[0]) != 1 or len(set(shapes)) != 1:
            raise ModelError("a batch norm's arrays must all have shape (H,)", shapes)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """gamma, beta, mean, variance: the order of Keras."""
        return iter([getattr(self, name) for name in NORM_ARRAYS])

    def _display(self) -> Display:
        arrays = zip(NORM_ARRAYS, self, strict=True)
        return Display(f"Norm of {len(self.gamma):,}", (), ARRAYS, [_measured(*told) for told in arrays])

    def astype(self, dtype: DTypeLike) -> Norm:
        """A copy in another number type."""
        return Norm(*(np.array(array, dtype=dtype) for array in self))


NORM_ARRAYS = ("gamma", "beta", "mean", "variance")
ARRAYS = ("array", "shape", "least", "mean", "largest")  # the heading of what is shown of arrays


def _measured(name: str, array: NDArray[Any]) -> tuple[Any, ...]:
    """Cells of a row about an array."""
    shape = " x ".join(map(str, array.shape))
    if not array.size:
        return name, shape, None, None, None
    return name, shape, float(array.min()), float(array.mean(dtype=np.float64)), float(array.max())


@dataclass(frozen=True, eq=False, repr=False)
class Parameters(Displayed):
    """weights[l] (fan_in, fan_out) and biases[l] (fan_out,) of each layer, the first layer first.

    norms[l]: the Norm of each hidden layer, None where it has no batch norm; all of them may be left out. A
    layer without a bias has zeros.

    The tuples are fixed, the arrays are not: training changes them in place. This is
    scikit-learn's layout too: ``Parameters(net.coefs_, net.intercepts_)``.
    """

    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]
    norms: tuple[Norm | None, ...] = ()

    def __post_init__(self) -> None:
        for name in ("weights", "biases"):
            object.__setattr__(self, name, _arrays(name, getattr(self, name)))
        shapes = [W.shape for W in self.weights], [b.shape for b in self.biases]
        chained = (
            len(shapes[0]) == len(shapes[1]) > 0
            and all(len(W) == 2 and b == W[1:] for W, b in zip(*shapes, strict=True))
            and all(W[1] == V[0] for W, V in zip(shapes[0][:-1], shapes[0][1:], strict=True))
        )
        if not chained:
            raise ModelError(
                "weights must be (fan_in, fan_out) and biases (fan_out,), each layer's fan_in "
                "the fan_out of the one before",
                f"weights {shapes[0]}, biases {shapes[1]}",
            )
        self._settle_norms()

    def _settle_norms(self) -> None:
        hidden = len(self.weights) - 1
        given = as_list(self.norms)
        if given is None:
            raise ModelError("norms must be a sequence of Norms and None", shown(self.norms))
        norms = tuple(given) or (None,) * hidden
        told = [None if norm is None else instance("each of norms", norm, Norm).gamma.shape for norm in norms]
        widths = [b.shape for b in self.biases[:-1]]
        if len(told) != hidden or any(t not in (None, w) for t, w in zip(told, widths, strict=True)):
            raise ModelError(f"norms must be as wide as the hidden layers, {widths}, or None", told)
        object.__setattr__(self, "norms", norms)

    def named(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """("W1", W1), ("b1", b1), then gamma1, beta1, mean1 and variance1 of a batch norm, ("W2", W2), ..."""
        norms = (*self.norms, None)
        for i, (W, b, norm) in enumerate(zip(self.weights, self.biases, norms, strict=True), 1):
            yield f"W{i}", W
            yield f"b{i}", b
            for name in NORM_ARRAYS if norm is not None else ():
                yield f"{name}{i}", getattr(norm, name)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """W1, b1, W2, b2, ... and the arrays of batch norms, as ``named`` has them."""
        return (array for _, array in self.named())

    def _display(self) -> Display:
        named = ends([*self.named()])
        rows = [None if told is None else _measured(*told) for told in named]
        count = sum(array.size for array in self)
        return Display(f"Parameters: {count:,} numbers, {self.dtype}", (), ARRAYS, rows)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type of every array."""
        return self.weights[0].dtype

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(fan_in, fan_out) of each layer."""
        return tuple((W.shape[0], W.shape[1]) for W in self.weights)

    @property
    def array_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of every array."""
        return tuple(array.shape for array in self)

    @property
    def finite(self) -> bool:
        """True where no weight or bias is nan or infinite."""
        with np.errstate(over="ignore", invalid="ignore"):  # where a sum is finite, all that it is of are
            return all(bool(np.isfinite(array.sum()) or np.isfinite(array).all()) for array in self)

    def astype(self, dtype: DTypeLike) -> Parameters:
        """A copy in another number type. Raises ConfigError for what is none."""
        dtype = as_dtype("dtype", dtype, NUMBERS)
        copies = {
            "weights": tuple(np.array(W, dtype=dtype, order="C") for W in self.weights),
            "biases": tuple(np.array(b, dtype=dtype, order="C") for b in self.biases),
            "norms": tuple(None if norm is None else norm.astype(dtype) for norm in self.norms),
        }
        same: Parameters = object.__new__(type(self))  # of the same shapes, which are checked
        for name, arrays in copies.items():
            object.__setattr__(same, name, arrays)
        return same

    def copy(self) -> Parameters:
        """A copy that shares nothing."""
        return self.astype(self.dtype)

    def sha256(self) -> str:
        """Digest of all arrays, W1, b1, W2, b2, ..., as little-endian float32 in (fan_in, fan_out) order."""
        digest = hashlib.sha256()
        for array in self:
            digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return digest.hexdigest()

    @classmethod
    def from_named(cls, arrays: Mapping[str, Any]) -> Parameters:
        """The inverse of ``named``, in any order. Raises ModelError."""
        if not isinstance(arrays, Mapping):
            raise ModelError("arrays must be a mapping of names to arrays", shown(arrays))
        count = sum(str(name).startswith("W") for name in arrays)
        norms = [
            Norm(*(arrays[f"{name}{i}"] for name in NORM_ARRAYS))
            if set(_norm_names(i)) <= set(arrays)
            else None
            for i in range(1, count)
        ]
        wanted = [f"{letter}{i}" for i in range(1, count + 1) for letter in "Wb"]
        wanted += [name for i, norm in enumerate(norms, 1) if norm is not None for name in _norm_names(i)]
        if set(wanted) != set(arrays):
            raise ModelError("arrays must be named W1, b1, W2, b2, ...", shown([*arrays]))
        weights, biases = (tuple(arrays[f"{letter}{i}"] for i in range(1, count + 1)) for letter in "Wb")
        return cls(weights, biases, tuple(norms))

    def to_torch(self, architecture: Architecture | None = None) -> dict[str, NDArray[Any]]:
        """State of the ``torch.nn.Sequential`` that the net is; weights are (fan_out, fan_in).

        architecture: the net's; None where it is Linear, activation, Linear, ... Its modules are Dropout of
        the inputs, then for each hidden layer Linear, BatchNorm1d, activation, BatchNorm1d, Dropout, of which
        those are there that it has, and the last Linear. A Linear without bias has none in the state.
        Raises ModelError where the architecture is another.
        """
        state = {}
        for layer, names in zip(self._layers(), _torch_names(self._known(architecture)), strict=True):
            for part, name in names.items():
                array = layer[part].T if part == "W" else layer[part]
                state[name] = np.ascontiguousarray(array)
        return state

    @classmethod
    def from_torch(cls, state: Mapping[str, Any], architecture: Architecture | None = None) -> Parameters:
        """The inverse of ``to_torch``; PyTorch's counts of batches are left out. Raises ModelError."""
        if not isinstance(state, Mapping):
            raise ModelError("a state must be a mapping of names to arrays", shown(state))
        given = [name for name in state if not str(name).endswith(".num_batches_tracked")]
        names = _torch_names(_chain(len(given) // 2) if architecture is None else architecture)
        wanted = [name for layer in names for name in layer.values()]
        if set(wanted) != set(given):
            raise ModelError(
                f"a state must hold {', '.join(wanted[:4] or ['0.weight', '0.bias'])}, ...", shown([*state])
            )
        parts = [{part: _array(name, state) for part, name in layer.items()} for layer in names]
        return cls._of_layers([part | {"W": part["W"].T} for part in parts])

    def to_keras(self, architecture: Architecture | None = None) -> list[NDArray[Any]]:
        """The list that ``keras.Sequential([Dense, BatchNormalization, ...]).set_weights`` takes.

        architecture: as in ``to_torch``; a Dense without bias has none in the list.
        """
        names = _torch_names(self._known(architecture))
        return [layer[part] for layer, told in zip(self._layers(), names, strict=True) for part in told]

    @classmethod
    def from_keras(cls, arrays: Sequence[Any], architecture: Architecture | None = None) -> Parameters:
        """The inverse of ``to_keras``, of ``keras.Sequential.get_weights()``. Raises ModelError."""
        given = _arrays("arrays", arrays)
        names = _torch_names(_chain(len(given) // 2) if architecture is None else architecture)
        if sum(map(len, names)) != len(given) or not given:
            raise ModelError(f"arrays must be {max(2, sum(map(len, names)))} for this net", len(given))
        each = iter(given)
        return cls._of_layers([{part: next(each) for part in layer} for layer in names])

    def _layers(self) -> list[dict[str, NDArray[Any]]]:
        """The arrays of each layer by the names of ``named``, without its number."""
        norms = [{} if norm is None else dict(zip(NORM_ARRAYS, norm, strict=True)) for norm in self.norms]
        return [
            {"W": W, "b": b, **norm}
            for W, b, norm in zip(self.weights, self.biases, [*norms, {}], strict=True)
        ]

    @classmethod
    def _of_layers(cls, layers: list[dict[str, NDArray[Any]]]) -> Parameters:
        """The inverse of ``_layers``, of copies; no bias is zeros. Raises ModelError."""
        weights = [np.array(layer["W"], order="C") for layer in layers]
        biases = [
            np.array(layer["b"]) if "b" in layer else np.zeros(W.shape[-1:], W.dtype)
            for layer, W in zip(layers, weights, strict=True)
        ]
        norms = [
            Norm(*(np.array(layer[name]) for name in NORM_ARRAYS)) if "gamma" in layer else None
            for layer in layers[:-1]
        ]
        return cls(tuple(weights), tuple(biases), tuple(norms))

    def _known(self, architecture: Architecture | None) -> Architecture:
        """The architecture, or that of a chain of layers. Raises ModelError unless it is of these arrays."""
        known = _chain(len(self.weights)) if architecture is None else architecture
        instance("architecture", known, Architecture)
        normed = [norm is not None for norm in self.norms]
        if normed != [layer.batch_norm is not None for layer in known.layers]:
            do = "give its architecture" if architecture is None else ""
            raise ModelError("parameters must have the batch norms of the net", normed, do)
        return known


def _norm_names(i: int) -> list[str]:
    return [f"{name}{i}" for name in NORM_ARRAYS]


def _chain(count: int) -> Architecture:
    """An architecture of so many layers of which each is a Linear with its activation."""
    return Architecture(1, (Layer(1),) * max(0, count - 1), 1)


def _torch_names(architecture: Architecture) -> list[dict[str, str]]:
    """The names in a state of torch.nn.Sequential of each layer's arrays, as ``named`` without the number."""
    names, at = [], int(instance("architecture", architecture, Architecture).input_dropout > 0)
    for layer in architecture.all_layers:
        told = {"W": f"{at}.weight", "b": f"{at}.bias"}
        if not layer.bias:
            del told["b"]
        if layer.batch_norm is not None:
            norm = at + PLACES.index(layer.batch_norm.place) + 1
            told |= {part: f"{norm}.{name}" for part, name in zip(NORM_ARRAYS, _TORCHS, strict=True)}
        names.append(told)
        at += 2 + (layer.batch_norm is not None) + (layer.dropout > 0)
    return names


_TORCHS = ("weight", "bias", "running_mean", "running_var")


def _arrays(name: str, values: Any) -> tuple[NDArray[Any], ...]:
    """Each as it is where it is an array of numbers. Raises ModelError."""
    try:
        items = tuple(values)
    except Exception:  # TypeError, or whatever iterating raises
        raise ModelError(f"{name} must be a sequence of arrays", shown(values)) from None
    return tuple(as_array(f"each of {name}", item, error=ModelError) for item in items)


def _array(name: str, state: Mapping[str, Any]) -> NDArray[Any]:
    return as_array(name, state[name], error=ModelError)


@dataclass(frozen=True, eq=False, repr=False)
class Preprocessing(Displayed):
    """Preprocessing of inputs before the first layer: (X - mean) / scale.

    scale: 255 for pixel bytes, 1 for none; or (D,), one for each column, and then 1 / scale is a float32 too.
    mean:  (D,), what is subtracted, finite; None for nothing.

    Raises ConfigError, ModelError.
    """

    scale: float | NDArray[np.float64] = 1.0
    mean: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _checked_scale(self.scale))
        if self.mean is None:
            return
        mean = as_array("mean", self.mean, error=ModelError)
        if mean.ndim != 1:
            raise ModelError("mean must have shape (D,)", mean.shape)
        if not np.isfinite(mean).all():
            raise ModelError("mean must be finite", "nan or infinity")
        object.__setattr__(self, "mean", mean)

    @property
    def by_column(self) -> bool:
        """True where each column has a scale of its own."""
        return isinstance(self.scale, np.ndarray)

    def in_words(self) -> str:
        """Tell what is done to an input: ``divided by 255``."""
        mean = "" if self.mean is None else "less its column's mean, "
        if isinstance(self.scale, np.ndarray):
            return f"{mean}divided by its column's scale"
        if self.scale == 1:
            return mean.rstrip(", ") or "as it is"
        return f"{mean}divided by {self.scale:g}"

    def _display(self) -> Display:
        arrays = {"less": self.mean, "divided by": self.scale if self.by_column else None}
        rows = [_measured(name, np.asarray(array)) for name, array in arrays.items() if array is not None]
        return Display(f"Preprocessing: each input {self.in_words()}", (), ARRAYS if rows else (), rows)

    def applied(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return (X - mean) / scale in float64, for dense X (N, D)."""
        x = np.asarray(X, np.float64)
        return (x if self.mean is None else x - self.mean) / self.scale

    def check(self, inputs: int) -> None:
        """Raise ModelError unless what it has of columns is for so many."""
        for name in ("scale", "mean"):
            shape = np.shape(getattr(self, name))
            if getattr(self, name) is not None and shape not in ((), (inputs,)):
                raise ModelError(f"{name} must have shape ({inputs},)", shape)


TINIEST, HUGEST = 1e-37, 1e37  # of a column's scale: float32 holds it, and its reciprocal too


def _checked_scale(scale: Any) -> float | NDArray[np.float64]:
    if as_list(scale) is None and not (isinstance(scale, np.ndarray) and scale.ndim):
        return positive_number("scale", scale, "255 for pixel bytes, 1 for data that is scaled already")
    columns = as_array("scale", scale, error=ModelError)
    if columns.ndim != 1:
        raise ModelError("scale must be a number, or have shape (D,)", columns.shape)
    columns = np.ascontiguousarray(columns, np.float64)
    wrong = ~((columns >= TINIEST) & (columns <= HUGEST))  # so for nan
    if wrong.any():
        raise ModelError(f"scale must be numbers from {TINIEST:g} to {HUGEST:g}", f"{columns[wrong][0]}")
    return columns


@dataclass(frozen=True, eq=False, repr=False)
class Net(Displayed):
    """A net that takes raw inputs: its shape, its weights and biases, and what is done to inputs first.

    Training changes the arrays of ``parameters`` in place. Raises ModelError unless all fit each other.
    """

    architecture: Architecture
    parameters: Parameters
    preprocessing: Preprocessing = Preprocessing()

    def __post_init__(self) -> None:
        architecture = instance("architecture", self.architecture, Architecture)
        shapes = instance("parameters", self.parameters, Parameters).shapes
        if shapes != architecture.shapes:
            raise ModelError(f"parameters must have shapes {architecture.shapes}", shapes)
        normed = [norm is not None for norm in self.parameters.norms]
        wanted = [layer.batch_norm is not None for layer in architecture.layers]
        if normed != wanted:
            raise ModelError(f"parameters must have the batch norms of the net, {wanted}", normed)
        if not all(
            layer.bias or not b.any()
            for layer, b in zip(architecture.all_layers, self.parameters.biases, strict=True)
        ):
            raise ModelError("a layer without bias must have zeros", "others in its biases")
        instance("preprocessing", self.preprocessing, Preprocessing).check(architecture.inputs)

    def _display(self) -> Display:
        shape = self.architecture
        facts = [("inputs", self.preprocessing.in_words()), ("parameters", shape.n_parameters)]
        return Display(f"Net {shape}", facts, LAYERS, shape.rows())


def initialise(
    architecture: Architecture, init: str | None = None, seed: int = 0, dtype: DTypeLike = np.float32
) -> Parameters:
    """First weights, and zero biases; a pure function of its arguments.

    init: of every layer; None: each layer's own. Of a batch norm gamma and variance are 1, beta and mean 0.

    ============================ ============================================== ==========================
    init                         distribution                                   after
    ============================ ============================================== ==========================
    glorot_uniform               U(-l, l), l = sqrt(6 / (fan_in + fan_out))     Glorot and Bengio 2010
    he_uniform                   U(-l, l), l = sqrt(6 / fan_in)                 He et al. 2015
    lecun_uniform                U(-l, l), l = sqrt(3 / fan_in)                 LeCun et al. 1998
    glorot_, he_, lecun_normal   normal of the same variance, and none beyond   Keras
                                 2 standard deviations of what is then cut off
    xavier_normal                N(0, 2 / (fan_in + fan_out))                   torch.nn.init
    kaiming_normal               N(0, 2 / fan_in)                               torch.nn.init
    torch                        U(-l, l), l = 1 / sqrt(fan_in), biases too     torch.nn.Linear
    orthogonal:GAIN              orthonormal times GAIN (1)                     Saxe et al. 2014
    uniform:FROM,TO              U(FROM, TO) (-1,1)                             the question's first answer
    normal:MEAN,SD               N(MEAN, SD^2) (0,0.05)                         Keras' RandomNormal
    truncated_normal:MEAN,SD     the same, and none beyond 2 SD (0,0.05)        Keras' TruncatedNormal
    zeros, ones, constant:NUMBER the same number everywhere (0)
    ============================ ============================================== ==========================

    Raises ConfigError.
    """
    instance("architecture", architecture, Architecture)
    inits = [layer.init if init is None else checked_init(init) for layer in architecture.all_layers]
    seed, dtype = whole_number("seed", seed, 0, 2**63 - 1), as_dtype("dtype", dtype)
    weights, biases = [], []
    for i, (fan_in, fan_out) in enumerate(architecture.shapes):
        told = inits[i], fan_in, fan_out, seed, i
        weights.append(np.ascontiguousarray(first_weights(*told), dtype))
        b = first_biases(*told) if architecture.all_layers[i].bias else np.zeros(fan_out)
        biases.append(b.astype(dtype))
    return Parameters(tuple(weights), tuple(biases), first_norms(architecture.layers, dtype))


def first_norms(layers: Iterable[Layer], dtype: DTypeLike) -> tuple[Norm | None, ...]:
    """The batch norms of those hidden layers that have one, before they are trained; None of the others."""
    return tuple(
        None if layer.batch_norm is None else Norm(*(np.full(layer.width, x, dtype) for x in (1, 0, 0, 1)))
        for layer in layers
    )
