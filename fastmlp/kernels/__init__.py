"""The Numba backend: the names and signatures of reference/, compiled, parallel, float32.

Results do not depend on ``threads``: the same bytes for any. X may be an array, a
scipy.sparse matrix or an ``Encoded`` (``encode(X)``): encode once where the same data are used
again and again. Arguments that do not fit each other raise ConfigError, DataError or ModelError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.checks import check_inputs, checked_order, checked_targets, checked_weights
from fastmlp.backends.state import OptimizerState, begun
from fastmlp.backends.threads import Threads, ThreadTuner, resolve
from fastmlp.backends.types import EpochTotals, Evaluation, LossAndGradients, Midway, Pause
from fastmlp.checks import function, instance, positive_number, whole_number
from fastmlp.data.encode import Encoded, encode, encode_rows
from fastmlp.errors import DivergedError
from fastmlp.kernels import launch, layout, single_rows
from fastmlp.kernels.launch import is_warm
from fastmlp.kernels.matmul import WORD
from fastmlp.kernels.optimizers import averages
from fastmlp.net import Net
from fastmlp.optimizers import PLAIN, Optimizer

__all__ = [
    "dead_units",
    "encode",
    "encode_rows",
    "evaluate",
    "forward",
    "is_warm",
    "logits",
    "loss_and_gradients",
    "predict_proba",
    "train_epoch",
]

Array = NDArray[Any]


def forward(net: Net, X: Any, *, threads: Threads = 1) -> list[Array]:
    """[a1, ..., logits]: every layer's output for X (N, D), each (N, fan_out)."""
    X, pace = _checked(net, X, threads, once=True)
    work = layout.build(net, X, len(X), pace.most)
    launch.outputs(work, layout.rows_of(X, net.preprocessing), np.arange(len(X)), pace.most, keep=True)
    return layout.outputs(work, len(X))


def predict_proba(net: Net, X: Any, *, threads: Threads = 1) -> Array:
    """Probabilities (N, K) of the classes for X (N, D)."""
    if not isinstance(threads, ThreadTuner):
        resolve(threads)
    if (quick := single_rows.predict_proba(instance("net", net, Net), X)) is not None:
        return quick
    return _outputs(net, X, threads)


def logits(net: Net, X: Any, *, threads: Threads = 1) -> Array:
    """The last layer's outputs (N, K) for X (N, D)."""
    return _outputs(net, X, threads, raw=True)


def _outputs(net: Net, X: Any, threads: Threads, raw: bool = False) -> Array:
    """Probabilities, or logits, (N, K)."""
    X, pace = _checked(net, X, threads, once=True)
    work = layout.build(net, X, pace.most * WORD, pace.most)
    p = np.empty((len(X), net.architecture.outputs), np.float32)
    rows = layout.rows_of(X, net.preprocessing)
    launch.outputs(work, rows, np.arange(len(X)), pace.most, p=p.reshape(-1), raw=raw)
    return p


def evaluate(
    net: Net,
    X: Any,
    y: Array,
    *,
    loss: str = "logits",
    threads: Threads = 1,
    rows: Array | None = None,
) -> Evaluation:
    """Mean loss and accuracy on X (N, D) with classes y (N,); accuracy is 0 for targets.

    ``rows`` (M,): on these rows alone.
    """
    X, pace = _checked(net, X, threads, once=rows is None)
    y = checked_targets(net, y, len(X), loss)
    order = np.arange(len(X)) if rows is None else checked_order(rows, len(X))
    work = layout.build(net, X, pace.most * WORD, pace.most)
    losses, correct = np.empty(len(order), np.float32), np.zeros(pace.most, np.int64)
    launch.outputs(
        work, layout.rows_of(X, net.preprocessing), order, pace.most, launch.loss_of(loss, y), losses=losses,
        correct=correct,
    )  # fmt: skip
    return Evaluation(float(losses.mean(dtype=np.float64)), int(correct.sum()) / len(order))


def dead_units(net: Net, X: Any, *, threads: Threads = 1) -> list[int]:
    """Number of units in each hidden layer that give 0 for every row of X (N, D)."""
    X, pace = _checked(net, X, threads, once=True)
    work = layout.build(net, X, pace.most * WORD, pace.most)
    widths = net.architecture.hidden
    active = np.zeros((pace.most, sum(widths)), np.bool_)
    if widths:
        rows = layout.rows_of(X, net.preprocessing)
        launch.outputs(work, rows, np.arange(len(X)), pace.most, active=active)
    layers = np.split(active.any(axis=0), np.cumsum(widths)[:-1])
    return [int((~layer).sum()) for layer, _ in zip(layers, widths, strict=False)]


def loss_and_gradients(
    net: Net,
    X: Any,
    y: Array,
    *,
    loss: str = "logits",
    threads: Threads = 1,
    sample_weight: Array | None = None,
) -> LossAndGradients:
    """Mean loss over the batch X (B, D), y (B,), and its gradient by every parameter."""
    X, pace = _checked(net, X, threads, once=True)
    y = checked_targets(net, y, len(X), loss)
    weights = checked_weights(sample_weight, len(X))
    work = layout.build(net, X, len(X), pace.most)
    gradients = layout.aligned_like(work.weights.theta)
    job = launch.training_job(
        layout.rows_of(X, net.preprocessing), np.arange(len(X)), launch.loss_of(loss, y, weights), len(X),
        gradients, 1.0,
    )  # fmt: skip
    totals, _ = launch.train(work, X, job, pace)
    found = layout.unpack(work.layout, gradients)
    return LossAndGradients(totals.loss, found, totals.correct, totals.live)


def train_epoch(
    net: Net,
    X: Any,
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
    X, pace = _checked(net, X, threads)
    y, order = checked_targets(net, y, len(X), loss), checked_order(order, len(X))
    weights = checked_weights(sample_weight, len(X))
    batch_size = min(whole_number("batch_size", batch_size, 1, 2**31 - 1), len(order))
    lr = positive_number("lr", lr, "0.01")
    instance("optimizer", optimizer, Optimizer)
    state = OptimizerState.start(net.parameters, optimizer) if state is None else state
    instance("state", state, OptimizerState).check(net.parameters, optimizer)
    function("progress", progress)
    function("pause", pause)
    first, moments, midway = begun(net.parameters, state, midway, batch_size, len(order))
    batches = -(-len(order) // batch_size)
    work = layout.build(net, X, batch_size, pace.most, first)
    rule = launch.rule_of(optimizer, lr, work, state.steps, moments, batches)
    theta = work.weights.theta
    target, alpha = (theta, -lr) if rule.plain else (layout.aligned_like(theta), 1.0)
    job = launch.training_job(
        layout.rows_of(X, net.preprocessing), order, launch.loss_of(loss, y, weights), batch_size, target,
        alpha, rule,
    )  # fmt: skip
    totals, bad = launch.train(work, X, job, pace, progress, midway, pause)
    if bad is not None:
        what, batch = bad
        error = DivergedError(f"the {what} must stay finite", f"nan or infinity in batch {batch}")
        error.batch = batch
        raise error
    state.steps += batches  # before the rest: where it is as it was, all is
    for old, flat in zip((net.parameters, *state.moments), (theta, *averages(rule)), strict=True):
        layout.unpack_into(work.layout, flat, old)
    return totals


def _checked(net: Net, X: Any, threads: Threads, *, once: bool = False) -> tuple[Encoded, ThreadTuner]:
    """X encoded, and the threads, if all of it fits the net; else as backends/checks.py says."""
    done = instance("net", net, Net).preprocessing
    encoded = encode(X, once=once, centred=done.mean is not None or done.by_column)
    check_inputs(net, encoded.shape)
    return encoded, threads if isinstance(threads, ThreadTuner) else ThreadTuner(threads)
