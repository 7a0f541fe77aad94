"""What predictions.py compares: cases, and what each tool makes of one.

A case is a net with its rows; a tool is a function that makes of a case, and a number of threads, a function
from an array of rows to probabilities. Nothing here is timed.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

HIDDEN = 100

Call = Callable[[Any], Any]


# --- cases ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Weights (fan_in, fan_out) and biases of a net of ReLUs and a softmax; X (N, D), divided by scale."""

    name: str
    X: Any
    scale: float
    weights: list[Any]
    biases: list[Any]


def case(name: str, rows: int) -> Case:
    """The case of that name, with weights that are drawn."""
    X, scale, K = CASES[name](rows)
    rng, sizes = np.random.default_rng(1), (X.shape[1], HIDDEN, K)
    shapes = list(itertools.pairwise(sizes))
    weights = [rng.normal(0, (2 / a) ** 0.5, (a, b)).astype(np.float32) for a, b in shapes]
    return Case(name, X, scale, weights, [rng.normal(0, 0.1, b).astype(np.float32) for _, b in shapes])


def images(rows: int) -> Any:
    """MNIST's test images, or as many with as many zeros where it is not at hand."""
    if os.environ.get("FASTMLP_DATA"):
        from fastmlp.data import load

        return np.resize(load(os.environ["FASTMLP_DATA"]).X_test.reshape(-1, 784), (rows, 784))
    rng = np.random.default_rng(0)
    return (rng.integers(1, 256, (rows, 784)) * (rng.random((rows, 784)) < 0.19)).astype(np.uint8)


def digits(rows: int) -> Any:
    from sklearn.datasets import load_digits

    return np.resize(load_digits(return_X_y=True)[0], (rows, 64))


def normal(rows: int) -> Any:
    return np.random.default_rng(0).normal(size=(rows, 20))


CASES: dict[str, Callable[[int], tuple[Any, float, int]]] = {
    "mnist-bytes": lambda rows: (images(rows), 255.0, 10),
    "mnist-float32": lambda rows: (images(rows) / np.float32(255), 1.0, 10),
    "dense-float32": lambda rows: (normal(rows).astype(np.float32), 1.0, 2),
    "dense-float64": lambda rows: (normal(rows), 1.0, 2),
    "digits-float32": lambda rows: (digits(rows).astype(np.float32), 1.0, 10),
    "digits-float64": lambda rows: (digits(rows), 1.0, 10),
}


# --- tools: each makes of a case, and a number of threads, a function of an array -----------------------


def fastmlp(given: Case, threads: int) -> Call:
    import fastmlp as tool
    from fastmlp.words.layers import layers_of

    sizes = [W.shape[1] for W in given.weights]
    net = tool.Net(
        tool.Architecture(given.X.shape[1], layers_of(sizes[:-1], "relu"), sizes[-1]),
        tool.Parameters(tuple(given.weights), tuple(given.biases)),
        tool.Preprocessing(given.scale),
    )
    model = tool.Model(net, tuple(range(sizes[-1])))
    return lambda X: model.predict_proba(X, threads=threads)


def onnxruntime(given: Case, threads: int) -> Call:
    import onnxruntime as tool
    from onnx import TensorProto, helper, numpy_helper

    kinds = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}
    arrays, nodes, at = {}, [], "X"
    if given.X.dtype != np.float32:
        nodes.append(helper.make_node("Cast", [at], ["x"], to=TensorProto.FLOAT))
        at = "x"
    if given.scale != 1:
        arrays["factor"] = np.float32(1 / given.scale)
        nodes.append(helper.make_node("Mul", [at, "factor"], ["scaled"]))
        at = "scaled"
    for i, (W, b) in enumerate(zip(given.weights, given.biases, strict=True)):
        arrays |= {f"W{i}": W, f"b{i}": b}
        nodes.append(helper.make_node("Gemm", [at, f"W{i}", f"b{i}"], [at := f"z{i}"]))
        if i < len(given.weights) - 1:
            nodes.append(helper.make_node("Relu", [at], [at := f"a{i}"]))
    nodes.append(helper.make_node("Softmax", [at], ["p"], axis=1))
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("X", kinds[str(given.X.dtype)], [None, given.X.shape[1]])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, len(given.biases[-1])])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = tool.SessionOptions()
    options.intra_op_num_threads = threads
    session = tool.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda X: session.run(None, {"X": X})[0]


def _torch_net(given: Case) -> Any:
    import torch

    class Scaled(torch.nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.float()
            return x * self.factor if self.factor != 1.0 else x

    parts: list[Any] = [Scaled(1 / given.scale)]
    for W, b in zip(given.weights, given.biases, strict=True):
        layer = torch.nn.Linear(*W.shape)
        layer.load_state_dict({"weight": torch.from_numpy(W.T.copy()), "bias": torch.from_numpy(b)})
        parts += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1], torch.nn.Softmax(dim=1)).eval()


def _torch_call(net: Any, threads: int) -> Call:
    import torch

    def call(X: Any) -> Any:
        with torch.inference_mode():
            return net(torch.from_numpy(X)).numpy()

    def with_threads(X: Any) -> Any:
        if torch.get_num_threads() != threads:  # another call's: outside of what is timed but once a turn
            torch.set_num_threads(threads)
        return call(X)

    return with_threads


def pytorch_eager(given: Case, threads: int) -> Call:
    return _torch_call(_torch_net(given), threads)


def pytorch_script(given: Case, threads: int) -> Call:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is still the faster
        return _torch_call(torch.jit.freeze(torch.jit.script(_torch_net(given))), threads)


def pytorch_compile(given: Case, threads: int) -> Call:
    import torch

    return _torch_call(torch.compile(_torch_net(given), dynamic=True), threads)


def scikit_learn(given: Case, threads: int) -> Call:
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    K, (X, scale) = len(given.biases[-1]), (given.X, given.scale)
    net = MLPClassifier((HIDDEN,), max_iter=1)
    few = X[: 20 * K] if scale == 1 else X[: 20 * K] / scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.fit(few, np.arange(len(few)) % K)
    weights, biases = [*given.weights], [*given.biases]
    if K == 2:  # one logistic output
        weights[-1] = weights[-1][:, 1:] - weights[-1][:, :1]
        biases[-1] = biases[-1][1:] - biases[-1][:1]
    dtype = np.float32 if X.dtype == np.float32 else np.float64
    net.coefs_ = [np.ascontiguousarray(W, dtype) for W in weights]
    net.intercepts_ = [b.astype(dtype) for b in biases]
    limits = threadpool_limits(threads)  # for good: the process is this tool's, at so many threads

    def call(X: Any) -> Any:
        return net.predict_proba(X if scale == 1 else X / scale)

    call.limits = limits  # type: ignore[attr-defined]
    return call


def _keras_net(given: Case) -> Any:
    import keras

    parts: list[Any] = [keras.Input((given.X.shape[1],), dtype=str(given.X.dtype))]
    if given.scale != 1:
        parts.append(keras.layers.Rescaling(1 / given.scale))
    for W in given.weights:
        parts.append(keras.layers.Dense(W.shape[1], activation="relu"))
    parts[-1] = keras.layers.Dense(given.weights[-1].shape[1], activation="softmax")
    net = keras.Sequential(parts)
    net.set_weights([array for pair in zip(given.weights, given.biases, strict=True) for array in pair])
    return net


def keras_tensorflow(given: Case, threads: int) -> Call:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import tensorflow as tf

    net = _keras_net(given)
    run = tf.function(lambda x: net(x, training=False), jit_compile=True)
    return lambda X: run(tf.constant(X)).numpy()


def keras_jax(given: Case, threads: int) -> Call:
    os.environ["KERAS_BACKEND"] = "jax"
    import jax

    net = _keras_net(given)
    state = [v.value for v in net.trainable_variables], [v.value for v in net.non_trainable_variables]
    run = jax.jit(lambda x: net.stateless_call(*state, x, training=False)[0])
    return lambda X: np.asarray(run(X))


@dataclass(frozen=True)
class Tool:
    """Its function above, the modules it needs, and whether its threads are fixed at its process' start."""

    make: Callable[[Case, int], Call]
    needs: tuple[str, ...] = ()
    fixed: bool = False


TOOLS = {
    "fastmlp": Tool(fastmlp),
    "onnxruntime": Tool(onnxruntime, ("onnxruntime", "onnx")),
    "pytorch-eager": Tool(pytorch_eager, ("torch",)),
    "pytorch-script": Tool(pytorch_script, ("torch",)),
    "pytorch-compile": Tool(pytorch_compile, ("torch",)),
    "scikit-learn": Tool(scikit_learn, ("sklearn",), fixed=True),
    "keras-tensorflow": Tool(keras_tensorflow, ("keras", "tensorflow"), fixed=True),
    "keras-jax": Tool(keras_jax, ("keras", "jax"), fixed=True),
}
