"""Sequential: a stack of layers in Keras' words, trained by fastmlp's engine."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastmlp import random
from fastmlp.checks import as_float, as_list, as_text, as_whole, flag, function, shown, whole_number
from fastmlp.errors import ConfigError, ModelError
from fastmlp.keras import arrays, losses, optimizers, summary
from fastmlp.keras.callbacks import History, checked
from fastmlp.keras.layers.core import Activation, Dense, InputLayer, Layer, copy_weights
from fastmlp.keras.loop import Part, Plan, named, run
from fastmlp.keras.missing import missing, refuse
from fastmlp.keras.names import named as named_as
from fastmlp.keras.network import Network
from fastmlp.keras.progress import Progress, say
from fastmlp.keras.seeds import next_seed
from fastmlp.keras.settled import Settled
from fastmlp.model import load_backend

METRICS = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy")

_COMPILE = {
    "loss_weights": None, "weighted_metrics": None, "run_eagerly": False, "steps_per_execution": 1,
    "jit_compile": "auto", "auto_scale_loss": True,
}  # fmt: skip
_FIT = {
    "steps_per_epoch": None, "validation_steps": None, "validation_freq": 1, "workers": 1,
    "use_multiprocessing": False, "max_queue_size": 10,
}  # fmt: skip
_EVALUATE = {
    "steps": None,
    "callbacks": None,
    "workers": 1,
    "use_multiprocessing": False,
    "max_queue_size": 10,
}


_NEVER_CALLED = (
    "call", "train_step", "test_step", "predict_step", "compute_loss", "compute_metrics",
    "make_train_function", "make_test_function", "make_predict_function",
)  # fmt: skip


class Sequential(Settled):
    """Dense layers, the last with softmax (or none, for a loss from logits), the others with one activation.

    ``backend``: "numba", or "numpy" to do without compiling. Raises ValueError and TypeError for what does
    not fit, as Keras does, and MissingError (a NotImplementedError) for what only Keras has.
    """

    backend = "numba"
    trainable, run_eagerly = True, False
    name: str
    inputs: int | None
    history: History | None
    _free = ("backend", "stop_training")
    _instead: ClassVar = dict.fromkeys(("optimizer", "loss", "metrics"), "call compile")

    def __init__(self, layers: Sequence[Layer] | None = None, name: str | None = None) -> None:
        self._keep(name=named_as("Sequential", name), inputs=None, history=None)
        self.stop_training = False
        self._layers: list[Layer] = []
        self._compiled: tuple[optimizers.Optimizer, losses.Crossentropy, str | None] | None = None
        self._seed, self._epochs = next_seed(), 0
        for layer in _listed("layers", layers):
            self.add(layer)

    def __init_subclass__(cls) -> None:
        for name in _NEVER_CALLED:
            if name in vars(cls):
                raise missing(f"call of {name} ({cls.__name__})", "fit and predict go through the layers")

    # --- layers and weights ---------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """Its layers, without the input."""
        return list(self._layers)

    def add(self, layer: Layer) -> None:
        """Put a layer on top. Raises TypeError, ValueError."""
        if isinstance(layer, InputLayer):
            if self._layers or self.inputs is not None:
                raise ModelError("an input must come first", layer.name)
            self._keep(inputs=layer.inputs)
            return
        if not isinstance(layer, Dense | Activation):
            raise TypeError(f"a layer must be one of fastmlp.keras.layers; got {shown(layer)}")
        if layer.name in (other.name for other in self._layers):
            raise ModelError("layers of a model must have different names", repr(layer.name))
        if not self._layers and self.inputs is None:
            self._keep(inputs=layer.inputs)
        self._layers.append(layer)
        try:
            if self.inputs is not None:
                self.build()
        except ValueError:
            self._layers.pop()
            raise

    def pop(self) -> Layer:
        """Take the top layer off, and return it. Raises ValueError."""
        if not self._layers:
            raise ModelError("a model must have a layer to pop", "none")
        return self._layers.pop()

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """First weights for rows of ``input_shape`` (None, D). Raises ValueError."""
        if input_shape is not None:
            shape = _listed("input_shape", input_shape)
            if len(shape) != 2:
                raise ModelError(f"input_shape must be (None, {self.inputs or 'D'})", shown(input_shape))
            width = whole_number("input_shape[-1]", shape[-1], 1, 2**31 - 1)
            if self.inputs not in (None, width):
                raise ModelError(f"input_shape must be (None, {self.inputs})", shown(input_shape))
            self._keep(inputs=width)
        if self.inputs is None:
            raise ModelError("a model must know its inputs", "none", "give input_dim, or fit it")
        fan_in = self.inputs
        for layer in self._layers:
            if isinstance(layer, Dense):
                if layer.kernel is None:
                    layer.build(fan_in)
                elif layer.kernel.shape[0] != fan_in:
                    raise ModelError(
                        f"layer {layer.name} must take {fan_in} inputs here", layer.kernel.shape[0]
                    )
                fan_in = layer.units

    @property
    def built(self) -> bool:
        """Whether its layers have their weights."""
        return self.inputs is not None

    @property
    def input_shape(self) -> tuple[None, int | None]:
        """(None, D)."""
        return None, self.inputs

    @property
    def output_shape(self) -> tuple[None, int | None]:
        """(None, K)."""
        units = [layer.units for layer in self._layers if isinstance(layer, Dense)]
        return None, units[-1] if units else self.inputs

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name, or at that index. Raises ValueError."""
        if name is not None and index is not None:
            raise ModelError(
                "a layer must be asked for by name or by index", f"{shown(name)} and {shown(index)}"
            )
        at, found = as_whole(index), []
        if at is not None and -len(self._layers) <= at < len(self._layers):
            found = [self._layers[at]]
        found = found or [layer for layer in self._layers if layer.name == as_text(name)]
        if not found:
            told = ", ".join(layer.name for layer in self._layers)
            raise ModelError(f"a layer must be one of {told}", shown(name if index is None else index))
        return found[0]

    def get_weights(self) -> list[NDArray[np.float32]]:
        """Copies: kernel, bias, kernel, bias, ..."""
        return [array for layer in self._layers for array in layer.get_weights()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """The inverse of ``get_weights``. Raises ValueError."""
        dense = [layer for layer in self._layers if isinstance(layer, Dense)]
        own = [array for layer in dense for array in (layer.kernel, layer.bias) if array is not None]
        copy_weights(own, weights, f"model {self.name}")

    def count_params(self) -> int:
        """Weights and biases. Raises ValueError before they are there."""
        if not self.built:
            raise ModelError("a model must be built to be counted", "no inputs", "give input_dim, or fit it")
        return sum(layer.count_params() for layer in self._layers)

    def summary(
        self, line_length: int | None = None, *, print_fn: Callable[[str], object] | None = None
    ) -> None:
        """Print a table of the layers."""
        width = 65 if line_length is None else whole_number("line_length", line_length, 1, 10_000)
        show = function("print_fn", print_fn)
        for line in summary.lines(self, width):
            (say if show is None else show)(line)

    # --- training -------------------------------------------------------------------------------

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, **others: Any
    ) -> None:
        """How it is trained. optimizer: sgd, adam or an object; loss: see ``losses``; metrics: ["accuracy"].

        Raises ValueError, MissingError.
        """
        for name in ("run_eagerly", "steps_per_execution", "jit_compile"):
            others.pop(name, None)  # the result is the same
        refuse("compile", others, _COMPILE)
        self._compiled = optimizers.get(optimizer), losses.get(loss), _accuracy_name(metrics)

    @property
    def compiled(self) -> bool:
        """Whether ``compile`` was called."""
        return self._compiled is not None

    @property
    def optimizer(self) -> optimizers.Optimizer:
        """The optimizer. Raises ValueError before ``compile``."""
        return self._how()[0]

    @property
    def loss(self) -> losses.Crossentropy:
        """The loss. Raises ValueError before ``compile``."""
        return self._how()[1]

    @property
    def metrics_names(self) -> list[str]:
        """Of what ``evaluate`` returns. Raises ValueError before ``compile``."""
        accuracy = self._how()[2]
        return ["loss"] if accuracy is None else ["loss", accuracy]

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        *,
        validation_batch_size: int | None = None,
        **others: Any,
    ) -> History:
        """Train on x (N, D) numbers and y, as the loss wants it; goes on from where the last fit ended.

        batch_size: 32 for None. validation_split: the last share of the rows, which is not trained on.
        validation_data: (x, y). Raises ValueError and TypeError; MissingError; DivergedError (an
        ArithmeticError) with the weights of the last good epoch.
        """
        how = self._how()
        if not isinstance(shuffle, bool | np.bool_ | int):
            raise missing(f"shuffle={shown(shuffle)} in fit", "it has True and False")
        weights = {"class_weight": class_weight, "sample_weight": sample_weight}
        refuse("fit", weights | others, dict.fromkeys(weights) | _FIT)
        listened = checked(callbacks)
        rows = arrays.rows_of(x, self.inputs)
        network = self._network(rows.shape[1])
        classes = self._classes(y, rows.shape[0])
        validation = None
        if validation_data is not None:
            validation = self._pair(validation_data)
        elif as_float(validation_split) != 0:
            (rows, classes), validation = arrays.split(rows, classes, validation_split)
        size, last = _batch(batch_size), whole_number("epochs", epochs, 0, 10**9)
        _batch(validation_batch_size)
        first = whole_number("initial_epoch", initial_epoch, 0, 10**9)
        nn = self._engine()
        history = next((c for c in listened if isinstance(c, History)), None)
        if history is None:
            listened.append(history := History())
        progress = Progress(verbose, len(classes), size)
        for callback in listened:
            callback.set_model(self)
            callback.set_params({"verbose": progress.verbose, "epochs": last, "steps": progress.steps})
        self._keep(history=history, stop_training=False)
        run(
            self, nn, network.net, Part(nn.encode(rows), classes),
            validation and Part(nn.encode(validation[0]), validation[1]),
            Plan(first, last, size, self._orders(len(classes), shuffle), how[2]),
            how[1].loss, listened, progress,
        )  # fmt: skip
        return history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        *,
        return_dict: bool = False,
        **others: Any,
    ) -> Any:
        """Mean loss on x (N, D) and y; [loss, accuracy] where compiled so; both by name for ``return_dict``.

        Raises ValueError, TypeError, MissingError.
        """
        _, loss, accuracy = self._how()
        refuse("evaluate", {"sample_weight": sample_weight, **others}, {"sample_weight": None, **_EVALUATE})
        rows = arrays.rows_of(x, self.inputs)
        network = self._network(rows.shape[1])
        classes = self._classes(y, rows.shape[0])
        progress = Progress(verbose, len(classes), _batch(batch_size))
        progress.begin()
        result = self._engine().evaluate(network.net, rows, classes, loss=loss.loss, threads="auto")
        logs = named(result.loss, result.accuracy, accuracy)
        progress.end(logs)
        if flag("return_dict", return_dict):
            return logs
        return result.loss if accuracy is None else [result.loss, result.accuracy]

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = "auto", **others: Any
    ) -> NDArray[np.float32]:
        """The last layer's outputs (N, K) for x (N, D). Raises ValueError, TypeError, MissingError."""
        refuse("predict", others, _EVALUATE)
        rows = arrays.rows_of(x, self.inputs)
        network = self._network(rows.shape[1], compiled=False)
        progress = Progress(verbose, rows.shape[0], _batch(batch_size))
        progress.begin()
        answer = self._engine().predict_proba if network.softmax else self._engine().logits
        outputs: NDArray[np.float32] = answer(network.net, rows, threads="auto")
        progress.end({})
        return outputs

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write a safetensors file, which Model.load reads too; see ``files``. Raises OSError, ValueError."""
        from fastmlp.keras.files import save

        save(self, filepath, overwrite)

    def say(self, line: str) -> None:
        """Print a line, as progress is printed."""
        say(line)

    def __repr__(self) -> str:
        return f"<Sequential name={self.name}>"

    # --- within ---------------------------------------------------------------------------------

    def _how(self) -> tuple[optimizers.Optimizer, losses.Crossentropy, str | None]:
        if self._compiled is None:
            raise ConfigError("a model must be compiled first", do="call compile(optimizer, loss, metrics)")
        return self._compiled

    def _engine(self) -> ModuleType:
        return load_backend(self.backend)

    def _network(self, inputs: int, *, compiled: bool = True) -> Network:
        """For rows of that many numbers; checked against the loss where ``compiled``."""
        network = Network.of(self._layers)
        self.build((None, inputs))
        if compiled and not (network.softmax or self.loss.from_logits):
            raise missing(
                "loss from probabilities of a net with no softmax",
                "this loss wants one in the last layer, or from_logits=True",
            )
        if compiled and network.softmax and self.loss.from_logits:
            warnings.warn(
                "from_logits=True, and the last layer is a softmax: its logits are taken", stacklevel=3
            )
        return network

    def _classes(self, y: Any, n: int, name: str = "y") -> NDArray[np.int64]:
        K = self.output_shape[1]
        assert K is not None
        return arrays.classes_of(y, n, K, self.loss.sparse, name)

    def _pair(self, data: Any) -> tuple[Any, NDArray[np.int64]]:
        if not isinstance(data, tuple | list) or len(data) not in (2, 3):
            raise ConfigError("validation_data must be (x, y)", type(data).__name__)
        if len(data) == 3:
            raise missing("sample_weight in validation_data", "give (x, y)")
        rows = arrays.rows_of(data[0], self.inputs, "validation x")
        return rows, self._classes(data[1], rows.shape[0], "validation y")

    def _orders(self, N: int, shuffle: bool) -> Callable[[int], NDArray[np.int64]]:
        """A new permutation for every epoch that the model trains; or the rows as they stand."""

        def permuted(epoch: int) -> NDArray[np.int64]:
            self._epochs += 1
            return random.permutation(N, self._seed, "order", self._epochs)

        return permuted if flag("shuffle", shuffle) else lambda epoch: np.arange(N)


def _batch(size: int | None) -> int:
    return 32 if size is None else whole_number("batch_size", size, 1, 2**31 - 1)


def _accuracy_name(metrics: Any) -> str | None:
    """What the logs are to call the accuracy; None for no metric. Raises MissingError."""
    listed = [metrics] if isinstance(metrics, str) else _listed("metrics", metrics)
    for metric in listed:
        if as_text(metric) not in METRICS:
            raise missing(f"metric {shown(metric)}", f"it has {', '.join(map(repr, METRICS))}")
    if len(listed) > 1:
        raise missing(
            f"several metrics at once ({', '.join(listed)})", "they are the same accuracy: keep one"
        )
    return listed[0] if listed else None


def _listed(name: str, items: Any) -> list[Any]:
    """The items of a list; none for None. Raises ConfigError."""
    listed = [] if items is None else as_list(items)
    if listed is None:
        raise ConfigError(f"{name} must be a list", shown(items))
    return listed
