"""Nets of float64: compiled as plainly as can be, in one thread. The package's functions, for such nets.

They are held against reference/, which computes in float64 too. X may be an array, a scipy.sparse matrix, or
an ``Encoded``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.backends.checks import checked_order, checked_targets, checked_weights
from fastmlp.backends.types import Evaluation, LossAndGradients
from fastmlp.checks import instance
from fastmlp.errors import ConfigError
from fastmlp.fold import folded, scale_and_shift
from fastmlp.kernels import losses
from fastmlp.kernels import plain_loops as loops
from fastmlp.kernels.plain_layout import Data, Room, data_of, rows_of
from fastmlp.kernels.plain_words import LINKS
from fastmlp.kernels.rules import loss_of
from fastmlp.net import Net
from fastmlp.words.losses import Loss

Array = NDArray[Any]

_NO_NUMBERS, _NO_UNITS = np.empty(0), np.empty(0, np.int64)
_NOTHING = loops.Wanted(
    p=_NO_NUMBERS, link=0, losses=_NO_NUMBERS, right=np.zeros(1, np.int64), active=_NO_UNITS, all=_NO_NUMBERS
)


def is_plain(net: Any) -> bool:
    """Tell whether a net's numbers are float64: then it is computed here."""
    return instance("net", net, Net).parameters.dtype == np.float64


def forward(net: Net, X: Any) -> list[Array]:
    """[a1, ..., logits]: every layer's output for X (N, D), each (N, fan_out)."""
    data, widths = data_of(net, X), [fan_out for _, fan_out in net.parameters.shapes]
    N = data.shape[0]
    whole = np.empty(N * sum(widths))
    _walk(net, data, np.arange(N), all=whole)
    found = [part.reshape(N, -1) for part in np.split(whole, np.cumsum(widths)[:-1] * N)]
    for a, layer, norm in zip(found, net.architecture.layers, net.parameters.norms, strict=False):
        if norm is not None and layer.batch_norm is not None and layer.batch_norm.place == "after":
            factor, summand = scale_and_shift(layer, norm)
            a[...] = a * factor + summand
    return found


def outputs(net: Net, X: Any, link: str, rows: ArrayLike | None = None) -> Array:
    """The predictions (N, K) that the link of a loss makes of the outputs, or (M, K) of some rows."""
    data = data_of(net, X)
    order = _order(data, rows)
    p = np.empty((len(order), net.architecture.outputs))
    _walk(net, data, order, p=p.reshape(-1), link=LINKS[link].place)
    return p


def evaluate(
    net: Net, X: Any, y: ArrayLike, *, loss: str, label_smoothing: float = 0.0, rows: ArrayLike | None = None
) -> Evaluation:
    """Mean loss and accuracy on X (N, D) with targets y; of numbers R2 and the mean absolute error."""
    data, found, K = data_of(net, X), Loss.of(loss, label_smoothing), net.architecture.outputs
    targets, order = checked_targets(net, y, data.shape[0], found), _order(data, rows)
    losses, right, p = np.empty(len(order)), np.zeros(1, np.int64), np.empty((len(order), K))
    wanted: dict[str, Any] = {"losses": losses, "right": right}
    if found.task == "numbers":
        wanted |= {"p": p.reshape(-1), "link": LINKS[found.word.link].place}
    _walk(net, data, order, loss=loss_of(found, targets, K, number=np.float64), **wanted)
    mean = float(losses.mean())
    if found.task == "numbers":
        return Evaluation.of_numbers(mean, p, targets[order])
    return Evaluation(mean, int(right[0]) / (len(order) * found.labels(K)))


def dead_units(net: Net, X: Any) -> list[int]:
    """Number of units in each hidden layer whose activation gives 0 for every row of X (N, D)."""
    data, widths = data_of(net, X), net.architecture.hidden
    active = np.zeros(sum(widths), np.int64)
    _walk(net, data, np.arange(data.shape[0]), active=active)
    layers = np.split(active, np.cumsum(widths)[:-1])
    return [int((layer == 0).sum()) for layer, _ in zip(layers, widths, strict=False)]


def loss_and_gradients(
    net: Net,
    X: Any,
    y: ArrayLike,
    *,
    loss: str = "logits",
    label_smoothing: float = 0.0,
    sample_weight: ArrayLike | None = None,
    draw: tuple[int, int] = (0, 1),
) -> LossAndGradients:
    """Mean loss over the batch X (B, D) with targets y, and its gradient by every parameter.

    draw: seed and epoch of what it leaves out.
    """
    words: dict[str, Any] = {"loss": loss, "label_smoothing": label_smoothing, "sample_weight": sample_weight}
    walk = _Whole(net, X, y, draw, **words)
    gradients = net.parameters.copy()
    for array in gradients:
        array[...] = 0  # no gradient reaches running statistics, nor what is no bias
    mean, correct, live = walk.go(_NO_NUMBERS, _NO_NUMBERS)
    return LossAndGradients(mean, walk.room.take(walk.room.space.gradient, gradients), correct, live)


class _Whole:
    """All rows at once, forward and back."""

    def __init__(
        self,
        net: Net,
        X: Any,
        y: ArrayLike,
        draw: tuple[int, int],
        *,
        loss: str,
        label_smoothing: float = 0.0,
        sample_weight: ArrayLike | None = None,
    ) -> None:
        data, found = data_of(net, X), Loss.of(loss, label_smoothing)
        N = data.shape[0]
        targets, weights = checked_targets(net, y, N, found), checked_weights(sample_weight, N, np.float64)
        mass = N if weights is None else float(weights.sum())
        self.room, self._inverse = Room(net, N, draw=draw), 1 / (mass or 1.0)
        self._rows, self._order = rows_of(data, net.preprocessing), np.arange(N)
        self._kept = targets, weights
        self._loss = loss_of(found, targets, net.architecture.outputs, weights, np.float64)

    def go(self, theta: NDArray[np.float64], out: NDArray[np.float64]) -> tuple[float, int, int]:
        """The mean loss, answers right, and live: of theta as ``Objective`` has it, or of the net's own.

        Fills ``out`` with the gradient, or leaves it in the room.
        """
        layout, space = self.room.layout, self.room.space
        total, correct, live = loops.objective(
            layout, space, self._rows, self._loss, self._order, self._inverse, theta, out
        )
        return total * self._inverse, correct, live


class Objective:
    """The mean loss of a net over all rows of X (N, D), without penalty, as a function of its P parameters.

    The parameters (P,) are the weights of all layers, each (fan_in, fan_out) flat, then their biases; P is
    ``size``. The net's own are left alone. sample_weight (N,): how much each row counts. Raises ConfigError
    for a net with dropout or batch norm.
    """

    def __init__(
        self, net: Net, X: Any, y: ArrayLike, *, loss: str = "logits", sample_weight: ArrayLike | None = None
    ) -> None:
        if net.architecture.draws or net.architecture.normalises:
            got = "dropout" if net.architecture.draws else "batch norm"
            raise ConfigError("the net of an objective must have neither dropout nor batch norm", got)
        self.size = sum(W.size + W.shape[1] for W in net.parameters.weights)
        self._whole = _Whole(net, X, y, (0, 1), loss=loss, sample_weight=sample_weight)

    def value_and_gradient(self, theta: NDArray[np.float64], out: NDArray[np.float64]) -> float:
        """The loss for theta (P,); ``out`` (P,) becomes its gradient. Both are float64, side by side."""
        for name, array in (("theta", theta), ("out", out)):
            fits = array.shape == (self.size,) and array.dtype == np.float64 and array.flags.c_contiguous
            if not fits:
                must = f"{name} must be {self.size:,} numbers of float64, side by side"
                raise ConfigError(must, f"shape {array.shape}, dtype {array.dtype}")
        return self._whole.go(theta, out)[0]


def _order(data: Data, rows: ArrayLike | None) -> NDArray[np.int64]:
    N = data.shape[0]
    return np.arange(N) if rows is None else checked_order(rows, N)


def _walk(net: Net, data: Data, order: Array, *, loss: losses.Loss = losses.NO_LOSS64, **wanted: Any) -> None:
    """Fill those arrays of loops.Wanted that are given, for the rows ``order`` (N,)."""
    room, rows = Room(folded(net), len(order), deltas="losses" in wanted), rows_of(data, net.preprocessing)
    loops.outputs(room.layout, room.space, rows, loss, order, _NOTHING._replace(**wanted))
