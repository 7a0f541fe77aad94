"""Stack: layers one upon the other with their weights, and how they are to be trained; it trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import as_text, as_whole, function, shown, whole_number
from fastmlp.errors import ConfigError, ModelError
from fastmlp.keras import summary
from fastmlp.keras.checks import listed
from fastmlp.keras.compiled import Compiled
from fastmlp.keras.layers.core import Activation, Dense, InputLayer, Layer, copy_weights
from fastmlp.keras.losses import Crossentropy
from fastmlp.keras.names import name_or_next
from fastmlp.keras.optimizers import Optimizer
from fastmlp.keras.progress import say
from fastmlp.keras.settled import Settled


class Stack(Settled):
    """Base of Sequential: all of a model but training and predictions."""

    trainable, run_eagerly = True, False
    name: str
    inputs: int | None
    _instead: ClassVar = dict.fromkeys(("optimizer", "loss", "metrics"), "call compile")

    def __init__(self, layers: Sequence[Layer] | None = None, name: str | None = None) -> None:
        self._keep(name=name_or_next("Sequential", name), inputs=None)
        self._layers: list[Layer] = []
        self._compiled: Compiled | None = None
        for layer in listed("layers", layers):
            self.add(layer)

    # --- layers -----------------------------------------------------------------------------------

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
        """Draw first weights for rows of ``input_shape`` (None, D). Raises ValueError."""
        if input_shape is not None:
            shape = listed("input_shape", input_shape)
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
        """True once its layers have their weights."""
        return self.inputs is not None

    @property
    def input_shape(self) -> tuple[None, int | None]:
        """Shape of x, (None, D)."""
        return None, self.inputs

    @property
    def output_shape(self) -> tuple[None, int | None]:
        """Shape of the outputs, (None, K)."""
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
        """Number of weights and biases. Raises ValueError before they are there."""
        if not self.built:
            raise ModelError("a model must be built to be counted", "no inputs", "give input_dim, or fit it")
        return sum(layer.count_params() for layer in self._layers)

    def summary(
        self, line_length: int | None = None, *, print_fn: Callable[[str], object] | None = None
    ) -> None:
        """Print a table of the layers."""
        width = 65 if line_length is None else whole_number("line_length", line_length, 1, 10_000)
        show = function("print_fn", print_fn)
        for line in summary.lines(self.name, self._layers, self.inputs, width):
            (say if show is None else show)(line)

    # --- how it is trained ------------------------------------------------------------------------

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, **others: Any
    ) -> None:
        """Say how to train it.

        optimizer: sgd, adam or an object. loss: see ``losses``. metrics: ["accuracy"].
        Raises ValueError, MissingError.
        """
        self._compiled = Compiled.of(optimizer, loss, metrics, others)

    @property
    def compiled(self) -> bool:
        """True once ``compile`` was called."""
        return self._compiled is not None

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer. Raises ValueError before ``compile``."""
        return self.how.optimizer

    @property
    def loss(self) -> Crossentropy:
        """The loss. Raises ValueError before ``compile``."""
        return self.how.loss

    @property
    def metrics_names(self) -> list[str]:
        """Names of what ``evaluate`` returns. Raises ValueError before ``compile``."""
        return ["loss", *self.how.metrics]

    @property
    def how(self) -> Compiled:
        """The words that ``compile`` was given. Raises ValueError before it."""
        if self._compiled is None:
            raise ConfigError("a model must be compiled first", do="call compile(optimizer, loss, metrics)")
        return self._compiled
