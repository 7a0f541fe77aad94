"""The Numba backend: the names and signatures of reference.py, compiled, parallel, float32.

Results do not depend on ``threads``: the same bytes for any number of them. X may be an array
or an ``Encoded`` (``encode(X)``): encode once where the same data are used again and again.
Arguments that do not fit each other raise ConfigError, DataError or ModelError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.arguments import check_inputs, checked_classes, checked_order
from fastmlp.config import clip_bounds, positive_number, whole_number
from fastmlp.cores import available_cores, resolve
from fastmlp.data.encode import Encoded, encode
from fastmlp.errors import DivergedError
from fastmlp.kernels import jit, loops, maths, net, team
from fastmlp.parameters import Parameters
from fastmlp.results import EpochTotals, Evaluation, LossAndGradients

__all__ = [
    "dead_units",
    "encode",
    "evaluate",
    "forward",
    "is_warm",
    "loss_and_gradients",
    "predict_proba",
    "train_epoch",
]

Array = NDArray[Any]

_ACTS = {"relu": maths.RELU, "sigmoid": maths.SIGMOID, "tanh": maths.TANH, "identity": maths.IDENTITY}
_FEW = 64  # rows that are answered before a second thread would have started
_BRIEF = 10**9  # multiplications that take no longer than a person's Ctrl-C: some 0.1 s

_ran: set[str] = set()  # what this process has compiled, or loaded; see _kind

_EMPTY = np.empty(0, np.float32)
_NO_HITS = np.empty(0, np.bool_)
_NO_CLASSES = np.empty(0, np.int64)


def is_warm(X: ArrayLike | Encoded, kernel: str = "epoch") -> bool:
    """Whether that kernel ("epoch", "infer" or "find_active") need not be compiled for X (N, D)."""
    kind = _kind(kernel, X if isinstance(X, Encoded) else encode(np.asarray(X)[:1], once=True))
    return kind in _ran or jit.is_kept(kind)


def forward(
    parameters: Parameters,
    X: ArrayLike | Encoded,
    *,
    act: str = "relu",
    scale: float = 1.0,
    mean: Array | None = None,
    threads: int | str = 1,
) -> list[Array]:
    """[a1, ..., logits]: every layer's output for X (N, D), each (N, fan_out)."""
    X, threads = _checked(parameters, X, act, scale, mean, threads, once=True)
    work = net.build(parameters, len(X), threads, X.longest)
    _infer(work, X, act, scale, mean, threads, keep=True)
    return net.outputs(work, len(X))


def predict_proba(
    parameters: Parameters,
    X: ArrayLike | Encoded,
    *,
    act: str = "relu",
    scale: float = 1.0,
    mean: Array | None = None,
    threads: int | str = 1,
) -> Array:
    """Probabilities (N, K) of the classes for X (N, D)."""
    X, threads = _checked(parameters, X, act, scale, mean, threads, once=True)
    work = net.build(parameters, threads, threads, X.longest)
    p = np.empty((len(X), parameters.shapes[-1][1]), np.float32)
    _infer(work, X, act, scale, mean, threads, p=p.reshape(-1))
    return p


def evaluate(
    parameters: Parameters,
    X: ArrayLike | Encoded,
    y: Array,
    *,
    act: str = "relu",
    loss: str = "logits",
    scale: float = 1.0,
    mean: Array | None = None,
    threads: int | str = 1,
) -> Evaluation:
    """Mean loss and accuracy on X (N, D) with classes y (N,)."""
    X, threads = _checked(parameters, X, act, scale, mean, threads, once=True)
    y = checked_classes(parameters, y, len(X))
    work = net.build(parameters, threads, threads, X.longest)
    losses, hits = np.empty(len(X), np.float32), np.empty(len(X), np.bool_)
    _infer(work, X, act, scale, mean, threads, losses=losses, hits=hits, y=y, loss=loss)
    return Evaluation(float(losses.mean(dtype=np.float64)), float(hits.mean()))


def dead_units(
    parameters: Parameters,
    X: ArrayLike | Encoded,
    *,
    act: str = "relu",
    scale: float = 1.0,
    mean: Array | None = None,
    threads: int | str = 1,
) -> list[int]:
    """For each hidden layer, how many units give 0 for every row of X (N, D)."""
    X, threads = _checked(parameters, X, act, scale, mean, threads, once=True)
    work = net.build(parameters, threads, threads, X.longest)
    rows = net.rows_of(X, scale, mean)
    widths = [fan_out for _, fan_out in parameters.shapes[:-1]]
    active = np.zeros((threads, sum(widths)), np.bool_)
    if widths:
        team.run(
            lambda state, m: loops.find_active(state, m, threads, active, work, rows, _ACTS[act]),
            threads,
            available_cores(),
        )
        _note("find_active", X)
    layers = np.split(active.any(axis=0), np.cumsum(widths)[:-1])
    return [int((~layer).sum()) for layer, _ in zip(layers, widths, strict=False)]


def loss_and_gradients(
    parameters: Parameters,
    X: ArrayLike | Encoded,
    y: Array,
    *,
    act: str = "relu",
    loss: str = "logits",
    scale: float = 1.0,
    mean: Array | None = None,
    threads: int | str = 1,
) -> LossAndGradients:
    """Mean loss over the batch X (B, D), y (B,), and its gradient by every parameter."""
    X, threads = _checked(parameters, X, act, scale, mean, threads, once=True)
    y = checked_classes(parameters, y, len(X))
    work = net.build(parameters, len(X), threads, X.longest)
    gradients = net.aligned_zeros(len(work.theta))
    totals, _ = _epoch(
        work, X, y, np.arange(len(X)), gradients, 1.0, act, loss, len(X), scale, mean, threads, None
    )
    return LossAndGradients(totals.loss, net.unpack(work, gradients), totals.correct, totals.live)


def train_epoch(
    parameters: Parameters,
    X: ArrayLike | Encoded,
    y: Array,
    order: Array,
    *,
    act: str = "relu",
    loss: str = "logits",
    lr: float = 0.01,
    batch_size: int = 100,
    scale: float = 1.0,
    mean: Array | None = None,
    threads: int | str = 1,
    progress: Callable[[int], None] | None = None,
) -> EpochTotals:
    """One epoch of SGD on ``parameters``, in place: W -= lr dW for each batch of ``order``.

    X (N, D), y (N,) class indices, order (M,) row numbers: row order[0] first. The last batch may
    be short; its gradient is its own mean. ``progress`` is told the samples done so far, now and
    then and at the end. Raises DivergedError, with the parameters as they were before the epoch.
    """
    X, threads = _checked(parameters, X, act, scale, mean, threads)
    y, order = checked_classes(parameters, y, len(X)), checked_order(order, len(X))
    batch_size = min(whole_number("batch_size", batch_size, 1, 2**31 - 1), len(order))
    lr = positive_number("lr", lr, "0.01")
    work = net.build(parameters, batch_size, threads, X.longest)
    totals, bad = _epoch(
        work, X, y, order, work.theta, -lr, act, loss, batch_size, scale, mean, threads, progress
    )
    if bad[:, 0].any():
        batch, cause = bad[bad[:, 0] > 0][0, :2].tolist()
        what = "loss" if cause == loops.LOSS_BAD else "weights"
        error = DivergedError(f"the {what} must stay finite", f"nan or infinity in batch {batch}")
        error.batch = batch
        raise error
    for array, new in zip(parameters, net.unpack(work, work.theta), strict=True):
        array[...] = new
    return totals


def _checked(
    parameters: Parameters,
    X: ArrayLike | Encoded,
    act: str,
    scale: float,
    mean: Array | None,
    threads: int | str,
    *,
    once: bool = False,
) -> tuple[Encoded, int]:
    """X encoded, and the number of threads, if all of it fits the net; else as arguments.py says."""
    encoded = encode(X, center=mean is not None, once=once)
    check_inputs(parameters, encoded.shape, act, scale, mean)
    return encoded, resolve(threads)


def _epoch(
    work: net.Net,
    X: Encoded,
    y: Array,
    order: Array,
    target: Array,
    alpha: float,
    act: str,
    loss: str,
    B: int,
    scale: float,
    mean: Array | None,
    threads: int,
    progress: Callable[[int], None] | None,
) -> tuple[EpochTotals, NDArray[np.int64]]:
    """Run ``loops.epoch`` with a team; also returns its ``bad``."""
    rows = net.rows_of(X, scale, mean)
    share = -(-B // threads)  # samples of a member, at most
    words = -(-share // 64)  # 64-bit masks for them
    table = np.empty(threads * X.shape[1] * share, X.values.dtype)
    masks = np.zeros(threads * words * X.shape[1], np.uint64)
    losses = np.empty(B, np.float32)
    totals = np.zeros(1)
    counts, bad = np.zeros((threads, 8), np.int64), np.zeros((threads, 8), np.int64)
    splits = _split(X, threads)
    bounds = clip_bounds(loss)
    low, high = (np.float32(bound) for bound in bounds or (0, 1))
    members = team.run(
        lambda state, m: loops.epoch(
            state, m, threads, target, np.float32(alpha), totals, counts, bad,
            work, rows, y, order, B, _ACTS[act], bounds is not None, low, high,
            table, share, masks, words, splits, losses,
        ),
        threads,
        available_cores(),
        progress,
        brief=_kind("epoch", X) in _ran and len(order) * len(work.theta) <= _BRIEF,
    )  # fmt: skip
    _note("epoch", X)
    correct, live = counts[:, :2].sum(axis=0).tolist()
    return EpochTotals(float(totals[0]) / len(order), correct, live, len(order), members), bad


def _split(X: Encoded, threads: int) -> NDArray[np.int64]:
    """First-layer rows (the bias last) in shares of equal work: member m has splits[m]..splits[m + 1] - 1."""
    work = np.append(X.counts, len(X)) / max(1, len(X)) + 0.01  # a row costs a little even without samples
    ends = np.searchsorted(np.cumsum(work), work.sum() * np.arange(1, threads) / threads)
    return np.concatenate([[0], ends, [len(work)]]).astype(np.int64)


def _infer(
    work: net.Net,
    X: Encoded,
    act: str,
    scale: float,
    mean: Array | None,
    threads: int,
    *,
    p: Array = _EMPTY,
    losses: Array = _EMPTY,
    hits: Array = _NO_HITS,
    y: Array = _NO_CLASSES,
    loss: str = "logits",
    keep: bool = False,
) -> None:
    """Run ``loops.infer`` with a team."""
    rows = net.rows_of(X, scale, mean)
    bounds = clip_bounds(loss)
    low, high = (np.float32(bound) for bound in bounds or (0, 1))

    members = threads if len(X) > _FEW else 1
    team.run(
        lambda state, m: loops.infer(
            state, m, members, p, losses, hits, work, rows, y, _ACTS[act], bounds is not None, low, high, keep
        ),
        members,
        available_cores(),
        brief=_kind("infer", X) in _ran and len(X) * len(work.theta) <= _BRIEF,
    )
    _note("infer", X)


def _kind(kernel: str, X: Encoded) -> str:
    """Name of what Numba compiles: a kernel for one type of values and of column numbers."""
    return f"{kernel}-{X.values.dtype}-{X.columns.dtype}"


def _note(kernel: str, X: Encoded) -> None:
    """Remember that a kernel is compiled."""
    kind = _kind(kernel, X)
    if kind not in _ran:
        _ran.add(kind)
        jit.keep(kind)
