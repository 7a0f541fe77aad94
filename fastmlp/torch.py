"""``fit``: trains a ``torch.nn.Sequential`` of Linear layers in place, by fastmlp's engine. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.backends.checks import checked_classes
from fastmlp.backends.threads import resolve
from fastmlp.checks import as_pair, functions, instance
from fastmlp.data.encode import as_rows
from fastmlp.errors import ConfigError, DataError, ModelError
from fastmlp.net import Net, Parameters
from fastmlp.spec import Training
from fastmlp.train.fields import asked, takes_fields
from fastmlp.train.loop import EpochResult, History, train
from fastmlp.train.progress import Progress, check, followed
from fastmlp.words.losses import checked_loss

if TYPE_CHECKING:
    import torch

# No fields of ``fit``: the module has them, or has none.
_OF_ITS_LAYERS = ("dropout", "batch_norm", "bias", "input_dropout")
OF_THE_MODULE = ("hidden", "act", "scale", "center", "init", "scale_targets", *_OF_ITS_LAYERS)
_ACTS = {"ReLU": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Identity": "identity"}


@partial(takes_fields, without=OF_THE_MODULE)
def fit(
    module: torch.nn.Sequential,
    X: Any,
    y: Any,
    training: Training | None = None,
    *,
    threads: int | str = "auto",
    backend: str = "numba",
    test_data: tuple[Any, Any] | None = None,
    sample_weight: ArrayLike | None = None,
    callbacks: Sequence[Callable[[EpochResult, torch.nn.Sequential], object]] = (),
    progress: Progress = None,
    **fields: Any,
) -> History:
    """Train ``module`` on X (N, D) and class indices y (N,), arrays or CPU tensors; returns the history.

    module: Linear, ReLU, Linear, ... in float32 on the CPU, the last layer being Linear; or with Sigmoid,
    Tanh or Identity, after each hidden layer its own. Weights keep their storage, and begin as they are.
    X is taken as the module takes it, not scaled: hidden, act, scale, center, init and scale_targets of a
    Training do not count; dropout, input_dropout, batch_norm and bias are refused. All else is as in
    ``fastmlp.fit``, for losses of classes; ``logits`` is CrossEntropyLoss, the optimizers are
    torch.optim.SGD and Adam. Callbacks are called
    ``callback(result, module)``.

    Raises TypeError for what is no such module, ValueError for what does not fit, ImportError without
    PyTorch, and DivergedError; the weights are then those after the last good epoch.
    """
    if given := [name for name in OF_THE_MODULE if name in fields]:
        raise TypeError(f"fit() takes no {given[0]}: the module and its weights are trained as they are")
    linear, acts = _taken_apart(module)
    whole = Training() if training is None else instance("training", training, Training)
    if told := [name for name in _OF_ITS_LAYERS if whole.word(name) != Training().word(name)]:
        raise ConfigError(f"{told[0]} must be left to the module, which has none", whole.in_words())
    parameters = Parameters(
        tuple(np.ascontiguousarray(_array(layer.weight, "a weight").T) for layer in linear),
        tuple(_array(layer.bias, "a bias").copy() for layer in linear),
    )
    *widths, outputs = (layer.out_features for layer in linear)
    training = asked(training, {"hidden": tuple(widths), "act": acts, "scale": 1.0, "center": False} | fields)
    checked_loss(training.loss, "classes")
    net = Net(training.architecture(linear[0].in_features, outputs), parameters)
    resolve(threads)
    listened = functions("callbacks", callbacks)
    check(progress)

    def on_epoch(result: EpochResult) -> bool:
        tell(result)
        if listened:
            _store(linear, parameters)
        stops = [callback(result, module) is True for callback in listened]  # all of them are called
        return any(stops)

    test = None
    if test_data is not None:
        test = _data(net, *as_pair("test_data", test_data), "the test data's X")
    rows, labels = _data(net, X, y, "X")
    weights = None if sample_weight is None else _array(sample_weight, "sample_weight")
    try:
        with followed(progress, training.epochs, len(labels)) as (on_progress, tell):
            return train(
                net, rows, labels, training, backend=backend, threads=threads, test_data=test,
                sample_weight=weights, on_epoch=on_epoch, on_progress=on_progress,
            )  # fmt: skip
    finally:  # an interrupted training too leaves what it has learnt
        _store(linear, parameters)


def _taken_apart(module: Any) -> tuple[list[Any], str | list[str]]:
    """Its Linear layers, and the activations of the hidden ones. Raises TypeError, ValueError."""
    nn = _torch().nn
    if not isinstance(module, nn.Sequential):
        raise TypeError(f"module must be a torch.nn.Sequential; got {type(module).__name__}")
    linear: list[Any] = []
    acts: list[str] = []
    for number, layer in enumerate(module):
        told = f"layer {number}, {layer}"
        if type(layer) is nn.Linear:
            _check_linear(layer, told)
            if any(layer is other or layer.weight is other.weight for other in linear):
                raise ModelError("layers must not share weights", told)
            acts += ["identity"] * (len(linear) - len(acts))  # none between two Linear layers
            linear.append(layer)
            continue
        act = next((word for kind, word in _ACTS.items() if type(layer) is getattr(nn, kind)), None)
        if act is None:
            known = ", ".join(_ACTS)
            raise TypeError(f"layers must be Linear, with {known} between them; got {told}")
        if len(acts) >= len(linear):
            raise ModelError("an activation must follow a Linear layer, one each", told)
        acts.append(act)
    if not linear:
        raise ModelError("module must have a Linear layer", "none")
    if len(acts) == len(linear) and acts.pop() != "identity":
        raise ModelError("the last layer must be Linear", f"{module[-1]} after it", "the loss takes logits")
    return linear, acts[: len(linear) - 1] or "relu"


def _check_linear(layer: Any, told: str) -> None:
    torch = _torch()
    if layer.bias is None:
        raise ModelError("Linear layers must have a bias", told)
    for tensor in (layer.weight, layer.bias):
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ModelError(
                "module must be in float32 on the CPU", f"{tensor.dtype} on {tensor.device} in {told}",
                "use module.float().cpu()",
            )  # fmt: skip
        if not tensor.requires_grad:
            raise ModelError("all weights must be trained", f"one without requires_grad in {told}")


def _data(net: Net, X: Any, y: Any, name: str) -> tuple[Any, Any]:
    """X and y as arrays that fit the net. Raises TypeError, DataError."""
    rows, D = as_rows(_array(X, name)), net.architecture.inputs
    if rows.shape[1] != D:
        raise DataError(f"{name} must have shape (N, {D}) for this module", rows.shape)
    return rows, checked_classes(net.architecture.outputs, _array(y, "y"), rows.shape[0])


def _array(values: Any, name: str) -> Any:
    """A tensor's array, without a copy; anything else as it is. Raises TypeError."""
    if not isinstance(values, _torch().Tensor):
        return values
    if values.device.type != "cpu" or values.layout != _torch().strided:
        raise TypeError(f"{name} must be dense on the CPU; got {values.layout} on {values.device}")
    return values.detach().numpy()


def _store(linear: list[Any], parameters: Parameters) -> None:
    torch = _torch()
    with torch.no_grad():
        for layer, W, b in zip(linear, parameters.weights, parameters.biases, strict=True):
            layer.weight.copy_(torch.from_numpy(W).T)
            layer.bias.copy_(torch.from_numpy(b))


def _torch() -> Any:
    """PyTorch. Raises ImportError, which says how to get it."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"fastmlp.torch needs PyTorch: pip install torch ({error})") from error
    return torch
