"""The Numba backend: the names and signatures of reference/, compiled, parallel, float32.

Nets of float64 are computed in float64, by one thread (plain.py).
Results do not depend on ``threads``: the same bytes for any. X may be an array, a
scipy.sparse matrix or an ``Encoded`` (``encode(X)``): encode once where the same data are used
again and again. Arguments that do not fit each other raise ConfigError, DataError or ModelError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.checks import (
    check_inputs,
    checked_draw,
    checked_link,
    checked_order,
    checked_targets,
    checked_weights,
)
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import Threads, ThreadTuner, resolve
from fastmlp.backends.types import EpochTotals, Evaluation, LossAndGradients, Midway, Pause
from fastmlp.checks import instance
from fastmlp.data.encode import Encoded, as_matrix, as_rows, encode, encode_rows
from fastmlp.data.sparse import is_scipy_sparse
from fastmlp.fold import folded, scale_and_shift
from fastmlp.kernels import in_place, launch, layout, losses, plain, rules
from fastmlp.kernels.in_place import are_finite
from fastmlp.kernels.launch import is_warm
from fastmlp.kernels.matmul import WORD
from fastmlp.kernels.reader import Reader, taken
from fastmlp.kernels.session import Session
from fastmlp.net import Net
from fastmlp.words.losses import Loss
from fastmlp.words.optimizers import PLAIN, Optimizer

__all__ = [
    "Session",
    "are_finite",
    "at_once",
    "dead_units",
    "encode",
    "encode_rows",
    "evaluate",
    "forward",
    "is_warm",
    "logits",
    "loss_and_gradients",
    "predict",
    "predict_proba",
    "train_epoch",
]

Array = NDArray[Any]


def forward(net: Net, X: Any, *, threads: Threads = 1) -> list[Array]:
    """[a1, ..., logits]: every layer's output for X (N, D), each (N, fan_out)."""
    if plain.is_plain(net):
        return plain.forward(net, X)
    X, pace = taken(net, X, threads, once=True)
    work = layout.build(folded(net), X, len(X), pace.most)
    launch.outputs(work, layout.rows_of(X, net.preprocessing), np.arange(len(X)), pace.most, keep=True)
    found = layout.outputs(work, len(X))
    for a, layer, norm in zip(found, net.architecture.layers, net.parameters.norms, strict=False):
        if norm is not None and layer.batch_norm is not None and layer.batch_norm.place == "after":
            factor, summand = scale_and_shift(layer, norm)
            a[...] = a * factor + summand
    return found


def predict_proba(net: Net, X: Any, *, loss: str = "logits", threads: Threads = 1) -> Array:
    """Probabilities (N, K) of the classes for X (N, D); with ``binary`` loss, of each label.

    Raises ConfigError for a loss of numbers.
    """
    return _predicted(net, X, threads, checked_link(net, loss, "classes", "binary"))


def predict(
    net: Net, X: Any, *, loss: str = "squared", threads: Threads = 1, rows: Array | None = None
) -> Array:
    """Predictions (N, K) of numbers for X (N, D): the outputs, of ``poisson`` loss exp of them.

    ``rows`` (M,): of these rows alone. Raises ConfigError for a loss of classes or labels.
    """
    link = checked_link(net, loss, "numbers")
    return _predicted(net, X, threads, link) if rows is None else _outputs(net, X, threads, link, rows)


def logits(net: Net, X: Any, *, threads: Threads = 1) -> Array:
    """The last layer's outputs (N, K) for X (N, D)."""
    return _predicted(net, X, threads, "identity")


def at_once(net: Net, X: Any, link: str, *, threads: Threads = 1, columns: int = 0) -> Array | None:
    """Predictions (N, K) by that link of a loss, for an array X (N, D) of uint8, float32 or float64, or None.

    Nothing is said of an X that does not suit: the functions above do that. columns: 2 for both
    probabilities of one logistic output.
    """
    if not isinstance(threads, ThreadTuner) and threads != "auto":
        resolve(threads)
    return in_place.predict(net, X, link, threads, columns)


def _predicted(net: Net, X: Any, threads: Threads, link: str) -> Array:
    """Predictions (N, K) by that link: with the weights where they lie, or by a whole pass."""
    if not isinstance(threads, ThreadTuner):
        resolve(threads)
    quick = in_place.predict(instance("net", net, Net), X, link, threads)
    if quick is None and not isinstance(X, Encoded) and not is_scipy_sparse(X):
        X = as_matrix(X) if plain.is_plain(net) else as_rows(X)
        check_inputs(net, X.shape)
        quick = in_place.predict(net, np.ascontiguousarray(X), link, threads)
    return _outputs(net, X, threads, link) if quick is None else quick


def _outputs(net: Net, X: Any, threads: Threads, link: str, rows: Array | None = None) -> Array:
    """The predictions (N, K) that the link of a loss makes of the outputs, or (M, K) of some rows."""
    if plain.is_plain(net):
        return plain.outputs(net, X, link, rows)
    X, pace = taken(net, X, threads, once=rows is None)
    order = np.arange(len(X)) if rows is None else checked_order(rows, len(X))
    work = layout.build(folded(net), X, pace.most * WORD, pace.most)
    p, place = np.empty((len(order), net.architecture.outputs), np.float32), losses.LINKS[link].place
    launch.outputs(work, layout.rows_of(X, net.preprocessing), order, pace.most, p=p.reshape(-1), link=place)
    return p


def evaluate(
    net: Net,
    X: Any,
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
    words: dict[str, Any] = {"loss": loss, "label_smoothing": label_smoothing, "rows": rows}
    return Reader().evaluate(net, X, y, threads=threads, **words)


def dead_units(net: Net, X: Any, *, threads: Threads = 1) -> list[int]:
    """Number of units in each hidden layer whose activation gives 0 for every row of X (N, D).

    ReLUs and hard sigmoids among them get no gradient. GELUs, SiLUs, softplus and sigmoids give 0 where they
    are so far below that nothing is left in float32; tanh, ELUs, SELUs and leaky ReLUs at a z of 0 alone.
    """
    return Reader().dead_units(net, X, threads=threads)


def loss_and_gradients(
    net: Net,
    X: Any,
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
    if plain.is_plain(net):
        words: dict[str, Any] = {"loss": loss, "label_smoothing": label_smoothing}
        draw = checked_draw(seed, epoch)
        return plain.loss_and_gradients(net, X, y, sample_weight=sample_weight, draw=draw, **words)
    X, pace = taken(net, X, threads, once=True)
    found, K = Loss.of(loss, label_smoothing), net.architecture.outputs
    y = checked_targets(net, y, len(X), found)
    weights = checked_weights(sample_weight, len(X))
    work = layout.build(net, X, len(X), pace.most, draw=checked_draw(seed, epoch))
    steps = rules.gradients_of(net, work)
    rows = layout.rows_of(X, net.preprocessing, net.architecture.input_dropout)
    loss_of_batch = rules.loss_of(found, y, K, weights)
    job = launch.training_job(rows, np.arange(len(X))[None], loss_of_batch, len(X), steps)
    parts = launch.Parts(X, rows, work.layout, bool(steps.limits.shorten))
    (totals,), _ = launch.train(work, parts, job, pace)
    gradients = layout.unpack(work.layout, steps.target)
    return LossAndGradients(totals.loss, gradients, totals.correct, totals.live)


def train_epoch(
    net: Net,
    X: Any,
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
        state=state, sample_weight=sample_weight, threads=threads, seed=seed,
    )  # fmt: skip
    order = checked_order(order, session.N)
    return session.train(order, lr, epoch=epoch, progress=progress, midway=midway, pause=pause)[0]
