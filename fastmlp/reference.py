"""The NumPy backend: the executable specification of what kernels/ computes, at any depth.

Works in the parameters' own number type (float32 or float64). It is also the benchmark's rival,
so it is careful: whatever is as large as a batch or a weight matrix is computed in place, by BLAS
where it is a product. It uses however many threads BLAS does; ``threads`` is accepted and ignored, to
match kernels/.

    z1 = x W1 + b1,  a1 = act(z1),  ...,  logits = a W + b,  p = softmax(logits)
    delta at the logits = (p - t) / B, or 0 where the loss's clip cuts the sample off
    dW = a_in^T delta,  db = sum of delta over the batch,  delta_in = (delta W^T) * act'(a_in)

with x = (X - mean) / scale, and t the true class as a one-hot row. Derivatives are taken from
the activation's output a. The loss ``squared`` is for numbers instead of classes: y is (N, K), no
softmax is taken, a sample's loss is the sum over its K outputs of (logit - y)^2 / 2, and
delta = (logits - y) / B.

With sample weights w, a batch's loss is sum(w loss) / sum(w), and 1 / B becomes w / sum(w).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.backends.checks import check_inputs, checked_order, checked_targets, checked_weights
from fastmlp.backends.state import OptimizerState, begun, rates
from fastmlp.backends.threads import Threads
from fastmlp.backends.types import EpochTotals, Evaluation, LossAndGradients, Midway, Pause, seconds_of
from fastmlp.checks import as_array, function, instance, positive_number, whole_number
from fastmlp.data.sparse import as_csr, is_scipy_sparse
from fastmlp.errors import DivergedError
from fastmlp.losses import clip_bounds
from fastmlp.net import Net, Parameters
from fastmlp.optimizers import PLAIN, Optimizer

Array = NDArray[Any]

LEAK = 0.01  # the slope of leaky_relu below 0
_CHUNK = 1000  # samples at a time where no batch size is given


def encode(X: Any) -> Array:
    """The form in which this backend takes X (N, D): an array, pictures flattened, sparse rows filled up."""
    array = as_array("X", as_csr(X).toarray() if is_scipy_sparse(X) else X)
    return array.reshape(len(array), -1) if array.ndim > 2 else array


encode_rows = encode  # of rows that are checked already


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def forward(net: Net, X: ArrayLike, *, threads: Threads = 1) -> list[Array]:
    """[a1, ..., logits]: every layer's output for X (N, D), each (N, fan_out)."""
    X = _checked(net, X)
    work = _Workspace(net, X, len(X))
    work.forward(slice(None))
    return work.outputs


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def predict_proba(net: Net, X: ArrayLike, *, threads: Threads = 1) -> Array:
    """Probabilities (N, K) of the classes for X (N, D)."""
    X = _checked(net, X)
    p = np.empty((len(X), net.architecture.outputs), net.parameters.dtype)
    work = _Workspace(net, X, min(_CHUNK, len(X)))
    for rows in _batches(len(X), _CHUNK):
        logits = work.forward(rows)
        softmax(p[rows], logits)
    return p


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def logits(net: Net, X: ArrayLike, *, threads: Threads = 1) -> Array:
    """The last layer's outputs (N, K) for X (N, D)."""
    X = _checked(net, X)
    out = np.empty((len(X), net.architecture.outputs), net.parameters.dtype)
    work = _Workspace(net, X, min(_CHUNK, len(X)))
    for rows in _batches(len(X), _CHUNK):
        out[rows] = work.forward(rows)
    return out


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def evaluate(
    net: Net,
    X: ArrayLike,
    y: Array,
    *,
    loss: str = "logits",
    threads: Threads = 1,
    rows: Array | None = None,
) -> Evaluation:
    """Mean loss and accuracy on X (N, D) with classes y (N,); accuracy is 0 for targets.

    ``rows`` (M,): on these rows alone.
    """
    X = _checked(net, X)
    y = checked_targets(net, y, len(X), loss)
    if rows is not None:
        rows = checked_order(rows, len(X))
        X, y = X[rows], y[rows]
    work = _Workspace(net, X, min(_CHUNK, len(X)))
    total, correct = 0.0, 0
    for some in _batches(len(X), _CHUNK):
        logits = work.forward(some)
        losses, hits, _ = loss_and_delta(work.delta(logits), logits, y[some], loss)
        total += float(losses.sum(dtype=np.float64))
        correct += hits
    return Evaluation(total / len(X), correct / len(X))


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def dead_units(net: Net, X: ArrayLike, *, threads: Threads = 1) -> list[int]:
    """Number of units in each hidden layer that give 0 for every row of X (N, D)."""
    X = _checked(net, X)
    work = _Workspace(net, X, min(_CHUNK, len(X)))
    active = [np.zeros(width, bool) for width in net.architecture.hidden]
    for rows in _batches(len(X), _CHUNK):
        if all(layer.all() for layer in active):
            break
        work.forward(rows)
        for layer, a in zip(active, work.outputs[:-1], strict=True):
            layer |= (a[: rows.stop - rows.start] != 0).any(axis=0)
    return [int((~layer).sum()) for layer in active]


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def loss_and_gradients(
    net: Net,
    X: ArrayLike,
    y: Array,
    *,
    loss: str = "logits",
    threads: Threads = 1,
    sample_weight: Array | None = None,
) -> LossAndGradients:
    """Mean loss over the batch X (B, D), y (B,), and its gradient by every parameter."""
    X = _checked(net, X)
    y = checked_targets(net, y, len(X), loss)
    weights = checked_weights(sample_weight, len(X))
    work = _Workspace(net, X, len(X))
    losses, correct, live = work.step(slice(None), y, loss, weights)
    return LossAndGradients(_weighted_mean(losses, weights), work.gradients, correct, live)


def train_epoch(
    net: Net,
    X: ArrayLike,
    y: Array,
    order: Array,
    *,
    loss: str = "logits",
    lr: float = 0.01,
    batch_size: int = 100,
    threads: Threads = 1,
    progress: Callable[[int], None] | None = None,
    optimizer: Optimizer = PLAIN,
    state: OptimizerState | None = None,
    sample_weight: Array | None = None,
    midway: Midway | None = None,
    pause: Pause | None = None,
) -> EpochTotals:
    """Train the net's parameters for one epoch of SGD, in place: W -= lr dW for each batch of ``order``.

    X (N, D), y (N,) class indices, order (M,) row numbers: row order[0] first. The last batch may
    be short; its gradient is its own mean. ``threads``: their number, "auto" (several or one,
    whichever is found to be faster now), or a ThreadTuner that remembers what was found. ``progress``
    is told the samples done so far, now and then and at the end. ``optimizer`` takes other steps than
    W -= lr dW, and goes on from ``state``, which is updated in place (None: a new one, for this epoch).
    ``sample_weight`` (N,): how much each row of X counts; a batch of rows that do not count changes
    nothing. ``pause``: see ``backends.types``; what it takes is a ``midway`` with which the epoch goes on,
    of the same arguments otherwise, and of the parameters and the state (its moments may be any) before the
    epoch. Raises DivergedError, with the parameters and the state as they were before the epoch.
    """
    X = _checked(net, X)
    y, order = checked_targets(net, y, len(X), loss), checked_order(order, len(X))
    weights = checked_weights(sample_weight, len(X))
    batch_size = min(whole_number("batch_size", batch_size, 1, 2**31 - 1), len(order))
    lr = positive_number("lr", lr, "0.01")
    instance("optimizer", optimizer, Optimizer)
    state = OptimizerState.start(net.parameters, optimizer) if state is None else state
    instance("state", state, OptimizerState).check(net.parameters, optimizer)
    function("progress", progress)
    function("pause", pause)
    first, averages, midway = begun(net.parameters, state, midway, batch_size, len(order))
    trained, moments = first.copy(), tuple(moment.copy() for moment in averages)
    work = _Workspace(replace(net, parameters=trained), X, batch_size)
    done, total, weighed, correct, live = 0, 0.0, 0.0, 0, 0
    if midway is not None:
        done, total, correct, live = midway.samples, midway.loss, midway.correct, midway.live

    def take() -> Midway:
        averages = tuple(moment.copy() for moment in moments)
        return Midway(done, total, correct, live, trained.copy(), averages)

    due = -math.inf
    per_step = rates(optimizer, lr, state.steps, -(-len(order) // batch_size))
    with np.errstate(over="ignore", invalid="ignore"):
        for batch, rows in enumerate(_batches(len(order), batch_size)):
            picked = order[rows]
            mine = None if weights is None else weights[picked]
            weighed += len(picked) if mine is None else float(mine.sum(dtype=np.float64))
            if rows.start < done:
                continue
            if pause is not None and monotonic() >= due:
                due = seconds_of(pause, take) + monotonic()
            losses, hits, unclipped = work.step(picked, y[picked], loss, mine)
            batch_loss = float((losses if mine is None else losses * mine).sum(dtype=np.float64))
            if mine is None or mine.any():
                rate, root = per_step[batch].tolist()
                work.update(optimizer, moments, rate, root, len(picked))
            if not np.isfinite(batch_loss) or not trained.finite:
                what = "loss" if not np.isfinite(batch_loss) else "weights"
                error = DivergedError(f"the {what} must stay finite", f"nan or infinity in batch {batch + 1}")
                error.batch = batch + 1
                raise error
            done, total = rows.stop, total + batch_loss
            correct, live = correct + hits, live + unclipped
            if progress is not None and (batch % 10 == 0 or rows.stop == len(order)):
                progress(rows.stop)
    state.steps += len(per_step)  # before the rest: where it is as it was, all is
    for old, new in zip((net.parameters, *state.moments), (trained, *moments), strict=True):
        for array, value in zip(old, new, strict=True):
            array[...] = value
    return EpochTotals(total / (weighed or 1.0), correct, live, len(order), 1)


def _weighted_mean(losses: Array, weights: Array | None) -> float:
    if weights is None:
        return float(losses.mean(dtype=np.float64))
    return float((losses * weights).sum(dtype=np.float64) / (weights.sum(dtype=np.float64) or 1.0))


def softmax(p: Array, logits: Array) -> tuple[Array, Array]:
    """p (B, K) = softmax of each row of logits (B, K).

    Returns each row's largest logit and its sum of exp(logit - largest), both (B,).
    """
    largest = logits.max(axis=1)
    np.subtract(logits, largest[:, None], out=p)
    np.exp(p, out=p)
    total = p.sum(axis=1)
    p /= total[:, None]
    return largest, total


def loss_and_delta(delta: Array, logits: Array, y: Array, loss: str) -> tuple[Array, int, int]:
    """Losses (B,), samples right, samples live; and delta (B, K) = B times dLoss/dlogits."""
    return LOSSES[loss.partition(":")[0]](delta, logits, y, loss)


def softmax_cross_entropy(delta: Array, logits: Array, y: Array, loss: str) -> tuple[Array, int, int]:
    """Losses (B,), samples right, samples live; and delta (B, K) = B times dLoss/dlogits.

    logits: loss = logsumexp(logits) - logit_true, delta = p - t, every sample live.
    clip:   loss = -log(clip(p_true, LO, HI)), delta = p - t where LO <= p_true <= HI, else 0.
    """
    samples = np.arange(len(logits))
    correct = int((logits.argmax(axis=1) == y).sum())
    largest, total = softmax(delta, logits)
    p_true = delta[samples, y]
    delta[samples, y] -= 1
    bounds = clip_bounds(loss)
    if bounds is None:
        return np.log(total) + largest - logits[samples, y], correct, len(logits)
    low, high = (delta.dtype.type(bound) for bound in bounds)
    live = (low <= p_true) & (p_true <= high)
    delta[~live] = 0
    return -np.log(np.clip(p_true, low, high)), correct, int(live.sum())


def squared_error(delta: Array, logits: Array, y: Array, loss: str) -> tuple[Array, int, int]:
    """Losses (B,), 0 samples right, all live; and delta (B, K) = logits - y. y (B, K) are numbers."""
    np.subtract(logits, y, out=delta)
    return (delta * delta).sum(axis=1) / 2, 0, len(logits)


# By the first word of a loss: the function that fills delta and returns losses, samples right, samples live.
LOSSES: dict[str, Callable[[Array, Array, Array, str], tuple[Array, int, int]]] = {
    "logits": softmax_cross_entropy,
    "clip": softmax_cross_entropy,
    "keras2": softmax_cross_entropy,
    "squared": squared_error,
}


class Activation(NamedTuple):
    """A hidden layer's function, and its derivative by its own output a = act(z)."""

    forward: Callable[[Array], object]  # z = act(z), in place
    backward: Callable[[Array, Array], object]  # (delta, a): delta *= act'(z), in place


def _relu(z: Array) -> None:
    np.maximum(z, 0, out=z)


def _relu_backward(delta: Array, a: Array) -> None:  # the derivative at 0 is 0
    delta *= a > 0


def _sigmoid(z: Array) -> None:  # 1 / (1 + exp(-z)); exp overflows to inf far below 0, which gives 0
    np.negative(z, out=z)
    with np.errstate(over="ignore"):
        np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)


def _sigmoid_backward(delta: Array, a: Array) -> None:
    delta *= a * (1 - a)


def _tanh(z: Array) -> None:
    np.tanh(z, out=z)


def _tanh_backward(delta: Array, a: Array) -> None:
    delta *= 1 - a * a


def _leaky_relu(z: Array) -> None:
    np.maximum(z, LEAK * z, out=z)


def _leaky_relu_backward(delta: Array, a: Array) -> None:  # the derivative at 0 is the leak, as PyTorch's
    delta *= np.where(a > 0, a.dtype.type(1), a.dtype.type(LEAK))


def _nothing(*arrays: Array) -> None:
    pass


ACTIVATIONS = {
    "relu": Activation(_relu, _relu_backward),
    "sigmoid": Activation(_sigmoid, _sigmoid_backward),
    "tanh": Activation(_tanh, _tanh_backward),
    "identity": Activation(_nothing, _nothing),
    "leaky_relu": Activation(_leaky_relu, _leaky_relu_backward),
}


class _Workspace:
    """The arrays of a step on at most B samples, made once."""

    def __init__(self, net: Net, X: Array, B: int) -> None:
        parameters, preprocessing = net.parameters, net.preprocessing
        dtype = parameters.dtype.type
        self.parameters, self.X = parameters, X
        self.acts = [ACTIVATIONS[act] for act in net.architecture.acts]
        self.factor = dtype(1 / preprocessing.scale)
        self.mean = None if preprocessing.mean is None else np.asarray(preprocessing.mean, dtype)
        self.picked = np.empty((B, X.shape[1]), X.dtype)
        self.x = np.empty((B, X.shape[1]), dtype)
        self.outputs = [np.empty((B, W.shape[1]), dtype) for W in parameters.weights]
        self.deltas = [np.empty_like(a) for a in self.outputs]
        self.gradients = parameters.copy()

    def forward(self, rows: Array | slice) -> Array:
        """Logits (n, K) of the rows of X; leaves the hidden outputs behind for ``step``."""
        if isinstance(rows, slice):
            chosen = self.X[rows]
        else:
            chosen = self.picked[: len(rows)]
            np.take(self.X, rows, axis=0, out=chosen, mode="clip")  # "raise" would copy
        n = len(chosen)
        a = self.x[:n]
        a[...] = chosen
        if self.mean is not None:
            a -= self.mean
        a *= self.factor
        for layer, (W, b) in enumerate(zip(self.parameters.weights, self.parameters.biases, strict=True)):
            z = np.matmul(a, W, out=self.outputs[layer][:n])
            z += b
            if layer < len(self.acts):
                self.acts[layer].forward(z)
            a = z
        return a

    def delta(self, logits: Array) -> Array:
        """Room for dLoss/dlogits."""
        return self.deltas[-1][: len(logits)]

    def step(
        self, rows: Array | slice, y: Array, loss: str, weights: Array | None = None
    ) -> tuple[Array, int, int]:
        """Forward and backward on one batch: fills ``gradients``; returns losses, correct, live."""
        logits = self.forward(rows)
        n = len(logits)
        delta = self.delta(logits)
        result = loss_and_delta(delta, logits, y, loss)
        if weights is None:
            delta *= 1 / n
        else:
            delta *= (weights / (weights.sum(dtype=np.float64) or 1.0)).astype(delta.dtype)[:, None]
        for layer in reversed(range(len(self.outputs))):
            a_in = self.outputs[layer - 1][:n] if layer else self.x[:n]
            np.matmul(a_in.T, delta, out=self.gradients.weights[layer])
            np.sum(delta, axis=0, out=self.gradients.biases[layer])
            if layer:
                delta_in = self.deltas[layer - 1][:n]
                np.matmul(delta, self.parameters.weights[layer].T, out=delta_in)
                self.acts[layer - 1].backward(delta_in, a_in)
                delta = delta_in
        return result

    def update(
        self, optimizer: Optimizer, moments: tuple[Parameters, ...], rate: float, root: float, n: int
    ) -> None:
        """One step of the optimizer (see its formulas) from the gradients, which are used up; n samples."""
        for i, (w, g, *averages) in enumerate(zip(self.parameters, self.gradients, *moments, strict=True)):
            is_weight = i % 2 == 0
            if decay := optimizer.weight_decay + is_weight * optimizer.alpha / n:
                g += w * w.dtype.type(decay)
            STEPS[optimizer.name](g, averages, optimizer, root)
            g *= rate
            w -= g


def _sgd(g: Array, averages: list[Array], optimizer: Optimizer, root: float) -> None:
    if not averages:
        return
    (v,) = averages
    v *= optimizer.momentum
    v += g
    if optimizer.nesterov:
        g += optimizer.momentum * v
    else:
        g[...] = v


def _adam(g: Array, averages: list[Array], optimizer: Optimizer, root: float) -> None:
    m, v = averages
    m += (g - m) * (1 - optimizer.beta1)
    v *= optimizer.beta2
    v += (1 - optimizer.beta2) * g * g
    np.divide(m, np.sqrt(v) / root + optimizer.epsilon, out=g)


# By name: the function that moves the averages and puts into g what is to be multiplied by the rate.
STEPS: dict[str, Callable[[Array, list[Array], Optimizer, float], None]] = {"sgd": _sgd, "adam": _adam}


def _checked(net: Net, X: ArrayLike) -> Array:
    X = encode(X)
    check_inputs(instance("net", net, Net), X.shape)
    return X


def _batches(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
