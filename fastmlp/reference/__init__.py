"""The NumPy backend: the executable specification of what kernels/ computes, at any depth.

Works in the parameters' own number type (float32 or float64). It is also the benchmark's rival,
so it is careful: whatever is as large as a batch or a weight matrix is computed in place, by BLAS
where it is a product. It uses however many threads BLAS does; ``threads`` is accepted and ignored, to
match kernels/.

    z1 = x W1 + b1,  a1 = act(z1),  ...,  logits = a W + b,  p = softmax(logits)
    delta at the logits = (p - t) / B, or 0 where the loss's clip cuts the sample off
    dW = a_in^T delta,  db = sum of delta over the batch,  delta_in = (delta W^T) * act'(a_in)

with x = (X - mean) / scale, and t the true class as a one-hot row. Derivatives are taken from
the activation's output a. That is the loss of classes; losses.py has all. y is what ``checked_targets``
takes: class indices (N,) or shares of classes (N, K), labels from 0 to 1 or numbers (N, K), or (N,) where
K is 1.

With sample weights w, a batch's loss is sum(w loss) / sum(w), and 1 / B becomes w / sum(w).
Batch norm and dropout are stages of a hidden layer beside its activation: stages.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.backends.checks import (
    checked_draw,
    checked_link,
    checked_order,
    checked_targets,
    checked_weights,
)
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import Threads
from fastmlp.backends.types import EpochTotals, Evaluation, LossAndGradients, Midway, Pause
from fastmlp.net import Net
from fastmlp.reference.activations import ACTIVATIONS, activated
from fastmlp.reference.losses import LINKS, LOSSES, loss_and_delta, shares_of, softmax
from fastmlp.reference.optimizers import STEPS
from fastmlp.reference.rows import batches, checked, encode, encode_rows
from fastmlp.reference.session import Session
from fastmlp.reference.workspace import Workspace
from fastmlp.words.losses import Loss
from fastmlp.words.optimizers import PLAIN, Optimizer

__all__ = [
    "ACTIVATIONS", "LINKS", "LOSSES", "STEPS", "Session", "activated", "dead_units", "encode", "encode_rows",
    "evaluate", "forward", "logits", "loss_and_delta", "loss_and_gradients", "predict", "predict_proba",
    "shares_of", "softmax", "train_epoch",
]  # fmt: skip

Array = NDArray[Any]

_CHUNK = 1000  # samples at a time where no batch size is given


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def forward(net: Net, X: ArrayLike, *, threads: Threads = 1) -> list[Array]:
    """[a1, ..., logits]: every layer's output for X (N, D), each (N, fan_out)."""
    X = checked(net, X)
    work = Workspace(net, X, len(X))
    work.forward(slice(None))
    return work.outputs


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def predict_proba(net: Net, X: ArrayLike, *, loss: str = "logits", threads: Threads = 1) -> Array:
    """Probabilities (N, K) of the classes for X (N, D); with ``binary`` loss, of each label.

    Raises ConfigError for a loss of numbers.
    """
    return _predictions(net, X, checked_link(net, loss, "classes", "binary"))


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def predict(
    net: Net, X: ArrayLike, *, loss: str = "squared", threads: Threads = 1, rows: Array | None = None
) -> Array:
    """Predictions (N, K) of numbers for X (N, D): the outputs, of ``poisson`` loss exp of them.

    ``rows`` (M,): of these rows alone. Raises ConfigError for a loss of classes or labels.
    """
    X = checked(net, X)
    some = X if rows is None else X[checked_order(rows, len(X))]
    return _predictions(net, some, checked_link(net, loss, "numbers"))


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def logits(net: Net, X: ArrayLike, *, threads: Threads = 1) -> Array:
    """The last layer's outputs (N, K) for X (N, D)."""
    return _predictions(net, X, "identity")


def _predictions(net: Net, X: ArrayLike, link: str) -> Array:
    """The predictions (N, K) that the link of a loss makes of the outputs."""
    X = checked(net, X)
    p = np.empty((len(X), net.architecture.outputs), net.parameters.dtype)
    work = Workspace(net, X, min(_CHUNK, len(X)))
    for rows in batches(len(X), _CHUNK):
        LINKS[link](p[rows], work.forward(rows))
    return p


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def evaluate(
    net: Net,
    X: ArrayLike,
    y: Array,
    *,
    loss: str = "logits",
    label_smoothing: float = 0.0,
    threads: Threads = 1,
    rows: Array | None = None,
) -> Evaluation:
    """Mean loss and accuracy on X (N, D) with targets y; of numbers R2 and the mean absolute error.

    ``rows`` (M,): on these rows alone.
    """
    X, found = checked(net, X), Loss.of(loss, label_smoothing)
    y = checked_targets(net, y, len(X), found)
    if rows is not None:
        rows = checked_order(rows, len(X))
        X, y = X[rows], y[rows]
    work = Workspace(net, X, min(_CHUNK, len(X)))
    total, correct = 0.0, 0
    p = np.empty((len(X), net.architecture.outputs) if found.task == "numbers" else 0, net.parameters.dtype)
    for some in batches(len(X), _CHUNK):
        logits = work.forward(some)
        losses, hits, _ = loss_and_delta(work.delta(logits), logits, y[some], found)
        total += float(losses.sum(dtype=np.float64))
        correct += hits
        if len(p):
            LINKS[found.word.link](p[some], logits)
    if len(p):
        return Evaluation.of_numbers(total / len(X), p, y)
    return Evaluation(total / len(X), correct / (len(X) * found.labels(y.shape[-1])))


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def dead_units(net: Net, X: ArrayLike, *, threads: Threads = 1) -> list[int]:
    """Number of units in each hidden layer whose activation gives 0 for every row of X (N, D).

    ReLUs and hard sigmoids among them get no gradient. GELUs, SiLUs, softplus and sigmoids give 0 where they
    are so far below that nothing is left in float32; tanh, ELUs, SELUs and leaky ReLUs at a z of 0 alone.
    """
    X = checked(net, X)
    work = Workspace(net, X, min(_CHUNK, len(X)))
    active = [np.zeros(width, bool) for width in net.architecture.hidden]
    for rows in batches(len(X), _CHUNK):
        if all(layer.all() for layer in active):
            break
        work.forward(rows)
        for layer, a in zip(active, work.activations(rows.stop - rows.start), strict=True):
            layer |= (a != 0).any(axis=0)
    return [int((~layer).sum()) for layer in active]


class Reader:
    """``evaluate`` and ``dead_units``; there is nothing that they could remember."""

    def evaluate(self, net: Net, X: ArrayLike, y: Array, **words: Any) -> Evaluation:
        """The function of that name."""
        return evaluate(net, X, y, **words)

    def dead_units(self, net: Net, X: ArrayLike, *, threads: Threads = 1) -> list[int]:
        """The function of that name."""
        return dead_units(net, X)


@np.errstate(over="ignore", invalid="ignore")  # a net about to diverge
def loss_and_gradients(
    net: Net,
    X: ArrayLike,
    y: Array,
    *,
    loss: str = "logits",
    label_smoothing: float = 0.0,
    threads: Threads = 1,
    sample_weight: Array | None = None,
    seed: int = 0,
    epoch: int = 1,
) -> LossAndGradients:
    """Mean loss over the batch X (B, D) with targets y, and its gradient by every parameter.

    As in the first step of ``train_epoch``: with its batch norm and what it leaves out.
    """
    X, found = checked(net, X), Loss.of(loss, label_smoothing)
    y = checked_targets(net, y, len(X), found)
    weights = checked_weights(sample_weight, len(X), net.parameters.dtype)
    work = Workspace(net, X, len(X), *checked_draw(seed, epoch))
    losses, correct, live = work.step(slice(None), y, found, weights)
    return LossAndGradients(_weighted_mean(losses, weights), work.gradients, correct, live)


def train_epoch(
    net: Net,
    X: ArrayLike,
    y: Array,
    order: Array,
    *,
    loss: str = "logits",
    label_smoothing: float = 0.0,
    lr: float | Array = 0.01,
    batch_size: int = 100,
    threads: Threads = 1,
    progress: Callable[[int], None] | None = None,
    optimizer: Optimizer = PLAIN,
    state: OptimizerState | None = None,
    sample_weight: Array | None = None,
    midway: Midway | None = None,
    pause: Pause | None = None,
    seed: int = 0,
    epoch: int = 1,
) -> EpochTotals:
    """Train the net's parameters for one epoch of SGD, in place: W -= lr dW for each batch of ``order``.

    X (N, D), targets y as the loss takes them, order (M,) row numbers: row order[0] first. The last batch
    may be short; its gradient is its own mean. ``lr``: a rate, or (batches,) of each batch. ``threads``:
    their number, "auto" (several or one, whichever is found to be faster now), or a ThreadTuner that
    remembers what was found. ``progress`` is told the samples done so far, now and then and at the end.
    ``optimizer`` takes other steps than W -= lr dW, as do layers with l1, l2, max_norm or frozen (losses
    are those of the data alone). It goes on from ``state``, which is updated in place (None: a new one, for
    this epoch). ``sample_weight`` (N,): how much each row of X counts; a batch of rows that do not count
    changes nothing. ``pause``: see ``backends.types``; what it takes is a ``midway`` with which the epoch
    goes on, of the same arguments otherwise, and of the parameters and the state (its moments may be any)
    before the epoch. ``seed``, ``epoch``: what dropout leaves out is a function of them, of the sample's
    place in ``order``, and of the unit. Batch norm takes the batch's mean and variance, in which rows count
    alike, and its running ones move towards them. Raises DivergedError, with the parameters and the state as
    they were before the epoch.
    """
    session = Session(
        net, X, y, loss=loss, label_smoothing=label_smoothing, batch_size=batch_size, optimizer=optimizer,
        state=state, sample_weight=sample_weight, seed=seed,
    )  # fmt: skip
    order = checked_order(order, session.N)
    return session.train(order, lr, epoch=epoch, progress=progress, midway=midway, pause=pause)[0]


def _weighted_mean(losses: Array, weights: Array | None) -> float:
    if weights is None:
        return float(losses.mean(dtype=np.float64))
    return float((losses * weights).sum(dtype=np.float64) / (weights.sum(dtype=np.float64) or 1.0))
