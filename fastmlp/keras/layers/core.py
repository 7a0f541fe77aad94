"""The layers: Dense, Activation and the input, with their weights as NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import as_array, as_list, as_text, as_whole, flag, shown, whole_number
from fastmlp.errors import ConfigError
from fastmlp.keras.missing import missing, refuse, unknown_names
from fastmlp.keras.names import activation_named, name_or_next
from fastmlp.keras.seeds import next_seed
from fastmlp.keras.settled import Settled
from fastmlp.net import initialise
from fastmlp.words.layers import MOST_UNITS, Architecture

__all__ = ["Activation", "Dense", "Input", "InputLayer", "Layer"]

INITIALIZERS = ("glorot_uniform", "he_uniform", "lecun_uniform")

_COMMON = {
    "dtype": "float32", "trainable": True, "batch_input_shape": None, "autocast": True,
    "activity_regularizer": None,
}  # fmt: skip
_DENSE = {
    **_COMMON, "bias_initializer": "zeros", "kernel_regularizer": None, "bias_regularizer": None,
    "kernel_constraint": None, "bias_constraint": None, "lora_rank": None, "lora_alpha": None,
    "quantization_config": None,
}  # fmt: skip

_INPUT = {
    **_COMMON, "batch_size": None, "sparse": False, "batch_shape": None, "ragged": False, "optional": False,
    "tensor": None, "input_tensor": None,
}  # fmt: skip


class Layer(Settled):
    """Base of layers. ``inputs``: D of the rows that it was told to take; None where it was not."""

    name: str
    inputs: int | None
    trainable = True
    dtype = "float32"
    autocast = True
    activity_regularizer = None

    def __init__(self, *, name: str | None = None, inputs: int | None = None) -> None:
        self._keep(name=name_or_next(type(self).__name__, name), inputs=inputs)

    @property
    def built(self) -> bool:
        """True once it has its weights."""
        return True

    def get_weights(self) -> list[NDArray[np.float32]]:
        """Copies of its arrays; none where it has no weights."""
        return []

    def count_params(self) -> int:
        """Number of weights and biases."""
        return sum(array.size for array in self.get_weights())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise missing("functional API", "add layers to a Sequential")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class _Activated(Layer):
    """Base of layers with an activation, which may be changed: the next fit or prediction takes it."""

    def __init__(self, activation: str | None, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activation

    @property
    def activation(self) -> str:
        """Name of one of ACTIVATIONS; ``linear`` for None. Raises MissingError."""
        return self._activation

    @activation.setter
    def activation(self, value: str | None) -> None:
        self._activation = activation_named(value)


class Dense(_Activated):
    """act(x kernel + bias), kernel (fan_in, units) and bias (units,).

    activation: relu, sigmoid, tanh, linear, or softmax in the last layer. kernel_initializer: one of
    INITIALIZERS; biases begin at 0. input_dim, input_shape: of a first layer. Raises ValueError, and
    MissingError for Keras' other options.
    """

    units: int
    kernel_initializer: str
    kernel: NDArray[np.float32] | None
    bias: NDArray[np.float32] | None
    use_bias, bias_initializer = True, "zeros"
    kernel_regularizer = bias_regularizer = kernel_constraint = bias_constraint = lora_rank = None
    _instead: ClassVar = dict.fromkeys(("kernel", "bias"), "call set_weights([kernel, bias])")

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: str = "glorot_uniform",
        *,
        input_dim: int | None = None,
        input_shape: Sequence[int | None] | None = None,
        name: str | None = None,
        **others: Any,
    ) -> None:
        refuse("Dense", others, _DENSE)
        super().__init__(activation, name=name, inputs=_width("Dense", input_dim, input_shape))
        if not flag("use_bias", use_bias):
            raise missing("Dense without a bias", "leave use_bias as it is")
        initializer = as_text(kernel_initializer)
        if initializer not in INITIALIZERS:
            raise missing(
                f"initializer {shown(kernel_initializer)}",
                f"it has {', '.join(INITIALIZERS)}, by their names",
            )
        self._keep(
            units=whole_number("units", units, 1, MOST_UNITS), kernel_initializer=initializer,
            kernel=None, bias=None,
        )  # fmt: skip

    @property
    def built(self) -> bool:
        """True once it has its weights."""
        return self.kernel is not None

    def build(self, fan_in: int) -> None:
        """Draw first weights for that many inputs. Raises ValueError."""
        if self.inputs not in (None, fan_in):
            raise ValueError(f"layer {self.name} must take {self.inputs} inputs; got {fan_in}")
        drawn = initialise(Architecture(fan_in, (), self.units), self.kernel_initializer, next_seed())
        self._keep(kernel=drawn.weights[0], bias=drawn.biases[0])

    def get_weights(self) -> list[NDArray[np.float32]]:
        """Copies [kernel, bias]; [] before it is built."""
        return [] if self.kernel is None or self.bias is None else [self.kernel.copy(), self.bias.copy()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Take kernel and bias, in the shapes of its own. Raises ValueError."""
        own = [] if self.kernel is None or self.bias is None else [self.kernel, self.bias]
        copy_weights(own, weights, f"layer {self.name}")


class Activation(_Activated):
    """The activation of the Dense before it: relu, sigmoid, tanh, linear or softmax. Raises MissingError."""

    def __init__(self, activation: str, *, name: str | None = None, **others: Any) -> None:
        refuse("Activation", others, _COMMON)
        super().__init__(activation, name=name)


class InputLayer(Layer):
    """The inputs: rows of shape (D,). Raises ValueError."""

    def __init__(
        self,
        shape: Sequence[int | None] | int | None = None,
        *,
        input_shape: Sequence[int | None] | None = None,
        name: str | None = None,
        **others: Any,
    ) -> None:
        refuse("Input", others, _INPUT)
        given = (shape,) if isinstance(shape, int) else shape
        width = _width("Input", None, input_shape if given is None else given)
        if given is not None and input_shape is not None and width != _width("Input", None, input_shape):
            raise ConfigError("shape and input_shape must agree", f"{shown(given)} and {shown(input_shape)}")
        if width is None:
            raise ConfigError("Input must have a shape", "none", "for example shape=(784,)")
        super().__init__(name=name, inputs=width)


def Input(shape: Sequence[int | None] | int | None = None, **options: Any) -> InputLayer:
    """The first entry of a Sequential: see InputLayer."""
    return InputLayer(shape, **options)


def copy_weights(own: Sequence[NDArray[Any]], weights: Sequence[Any], where: str) -> None:
    """Copy weights into its own arrays. Raises ValueError unless all have the same shapes."""
    arrays = [as_array(f"weights of {where}", array) for array in as_list(weights) or ()]
    shapes, wanted = [array.shape for array in arrays], [array.shape for array in own]
    if shapes != wanted:
        raise ValueError(f"weights of {where} must have shapes {wanted}; got {shapes}")
    for mine, array in zip(own, arrays, strict=True):
        mine[...] = array


def _width(where: str, input_dim: Any, input_shape: Any) -> int | None:
    """D of ``input_dim=D`` or ``input_shape=(D,)``; None for neither."""
    if input_shape is not None:
        shape = as_list(input_shape)
        if shape is None or len(shape) != 1:
            raise missing(f"{where} of shape {shown(input_shape)}", "rows are (D,): reshape x to (N, D)")
        if input_dim is not None and as_whole(input_dim) != as_whole(shape[0]):
            raise ConfigError(
                "input_dim and input_shape must agree", f"{shown(input_dim)} and {shown(shape)}"
            )
        input_dim = shape[0]
    return None if input_dim is None else whole_number("input_dim", input_dim, 1, 2**31 - 1)


__getattr__ = unknown_names(__name__, "layer", tuple(__all__))
