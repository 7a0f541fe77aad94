"""What can be measured of a net and its data at one moment: functions of arrays, and the types they return.

x (N, D) are inputs as the first layer sees them, scaled and centred, in float32 or float64: the net's own
preprocessing is left out. y (N,) are class indices. Means and shares are over all rows that are given.
Not in here: trainings (trials.py), and what the figures mean (rules.py).
A field whose default is None is left out of the JSON where it is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import reference
from fastmlp.backends.types import Evaluation
from fastmlp.checks import LARGEST, SMALLEST
from fastmlp.diagnosis.curvature import Surface, top_eigenvalue
from fastmlp.net import Net, Preprocessing
from fastmlp.words.activations import parts_of
from fastmlp.words.losses import KERAS2_CLIP, clip_bounds

Array = NDArray[Any]

FLAT = 0.01  # of its steepest slope: where it is less steep, an activation is flat
THIRD_ANSWER_CLIP = "clip:1e-10,0.999999"  # what an answer to the project's question proposes
_TINY = 1e-30


class Shape(NamedTuple):
    """The side on which an activation is flat, ``below``, ``both`` or ``nowhere``; and its steepest slope, by
    its number, but for what it may be steeper in between.
    """

    flat: str
    steepest: Callable[[float], float] = lambda number: 1.0


SHAPES = {
    "relu": Shape("below"),
    "leaky_relu": Shape("nowhere"),
    "elu": Shape("below", lambda alpha: max(1.0, alpha)),
    "selu": Shape("below"),
    "gelu": Shape("below"),
    "gelu_tanh": Shape("below"),
    "silu": Shape("below"),
    "softplus": Shape("below"),
    "sigmoid": Shape("both", lambda number: 0.25),
    "hard_sigmoid": Shape("both", lambda slope: slope),
    "tanh": Shape("both"),
    "identity": Shape("nowhere"),
}

_overflows = np.errstate(over="ignore", invalid="ignore")  # a net may be far off: infinity is a measure too


@dataclass(frozen=True)
class Inputs:
    """The inputs as the first layer sees them.

    rows, columns:    how many.
    constant_columns: columns that have one value in every row.
    mean, spread:     of all values; the spread is their standard deviation.
    largest:          the largest magnitude.
    density:          share of values that are not 0.
    top_eigenvalue:   of the second-moment matrix x^T x / N: for a linear layer it bounds the curvature of
                      the loss, and grows with the square of the inputs.
    """

    rows: int
    columns: int
    constant_columns: int
    mean: float
    spread: float
    largest: float
    density: float
    top_eigenvalue: float


@dataclass(frozen=True)
class LabelCounts:
    """Training rows of each class (K,), and the largest count over the smallest, absent classes left out."""

    counts: tuple[int, ...]
    ratio: float


@dataclass(frozen=True)
class LayerState:
    """One layer: its pre-activations z (of the last layer, the logits) and its units.

    units:     how many.
    z_spread:  standard deviation of z over rows and units; infinite where z overflows.
    z_largest: the largest magnitude.
    constant:  share of units that give the same for every row.
    dead:      of an activation that is flat far below 0 (ReLU, ELU, SELU, GELU, SiLU, softplus), share of
               units whose slope is under 1 % of its steepest for every row: of ReLUs that no row activates.
    always_on: share of its units that every row leaves over 0.
    saturated: of an activation that is flat on both sides (sigmoid, tanh, hard sigmoid), share of outputs
               whose slope is under 1 % of its steepest.
    """

    units: int
    z_spread: float
    z_largest: float
    constant: float | None = None
    dead: float | None = None
    always_on: float | None = None
    saturated: float | None = None


@dataclass(frozen=True)
class Losses:
    """Loss and accuracy on training rows.

    loss:     mean, in nats.
    accuracy: share of rows.
    guess:    ln K, the loss of a net that knows nothing.
    live:     share of rows whose gradient no clip cuts off, under each of three losses and the one in use.
    frozen:   loss / (1 - accuracy) over -ln(LO), where the loss has a clip: near 1, every row is either right
              or cut off. None without a clip, or where all are right.
    """

    loss: float
    accuracy: float
    guess: float
    live: dict[str, float]
    frozen: float | None


@dataclass(frozen=True)
class Gradients:
    """The gradient of the mean loss by the weights of each layer.

    gradient, weights: norms.  not_finite: how many values are nan or infinite.  loss: the mean loss itself.
    """

    gradient: tuple[float, ...]
    weights: tuple[float, ...]
    not_finite: tuple[int, ...]
    loss: float


@dataclass(frozen=True)
class Curvature:
    """Top eigenvalues of the loss surface.

    hessian:      of the loss's Hessian, the one of largest magnitude: negative where that is.
    gauss_newton: of the Gauss-Newton matrix of the logits loss; plain gradient descent is stable up to
                  lr = 2 / this.
    """

    hessian: float
    gauss_newton: float


@dataclass(frozen=True)
class Standard:
    """The scale at which the first layer's pre-activations spread by 1, and half of what lr may be there."""

    scale: float
    lr: float


@dataclass(frozen=True)
class After:
    """The net after its last epoch."""

    layers: tuple[LayerState, ...]
    loss: Losses


@dataclass(frozen=True)
class Measures:
    """A net before its first step, and what its training adds to that.

    layers:       one a layer, the output layer last.
    classes:      K.
    update_ratio: lr |dW| / |W| of each layer in the first step; healthy steps are some 1e-4 to 1e-2.
    gauss_newton: that of ``curvature``.  limit: 2 / gauss_newton, the largest stable lr.
    safe_factor:  smallest factor by which to divide the inputs so that lr is stable; None where none helps.
    live:         smallest share of rows with a gradient that was seen in training.
    standard:     None where columns have scales of their own.
    peak:         largest Gauss-Newton eigenvalue that was seen in training.
    """

    inputs: Inputs
    label_counts: LabelCounts
    classes: int
    layers: tuple[LayerState, ...]
    loss: Losses
    gradients: Gradients
    update_ratio: tuple[float, ...]
    curvature: Curvature
    gauss_newton: float
    limit: float
    safe_factor: float | None
    standard: Standard | None
    live: float = 1.0
    peak: float = 0.0
    after: After | None = None


def inputs(x: Array) -> Inputs:
    """Measure the inputs."""
    wide = np.asarray(x, np.float64)
    return Inputs(
        rows=len(x),
        columns=x.shape[1],
        constant_columns=int((wide.max(axis=0) == wide.min(axis=0)).sum()),
        mean=float(wide.mean()),
        spread=float(wide.std()),
        largest=float(np.abs(wide).max()),
        density=float(np.count_nonzero(wide) / wide.size),
        top_eigenvalue=top_eigenvalue(lambda v: wide.T @ (wide @ v) / len(wide), x.shape[1]),
    )


def label_counts(y: NDArray[np.int64], K: int) -> LabelCounts:
    """Count the rows of each class."""
    counts = np.bincount(y, minlength=K)
    present = counts[counts > 0]
    return LabelCounts(tuple(counts.tolist()), float(present.max() / present.min()))


@_overflows
def layers(net: Net, x: Array) -> tuple[LayerState, ...]:
    """Measure each layer, in float32."""
    found, a, acts = [], np.asarray(x, np.float32), net.architecture.acts
    for layer, (W, b) in enumerate(zip(net.parameters.weights, net.parameters.biases, strict=True)):
        z = a @ np.asarray(W, np.float32) + np.asarray(b, np.float32)
        units: dict[str, float] = {}
        if layer < len(acts):
            (name, number), (a, slope) = parts_of(acts[layer]), reference.activated(acts[layer], z)
            shape = SHAPES[name]
            is_flat = np.abs(slope) < FLAT * shape.steepest(number)
            units["constant"] = float((a.max(axis=0) == a.min(axis=0)).mean())
            if shape.flat == "below":
                units["dead"] = float(is_flat.all(axis=0).mean())
                units["always_on"] = float((z > 0).all(axis=0).mean())
            elif shape.flat == "both":
                units["saturated"] = float(is_flat.mean())
        finite = np.isfinite(z).all()
        spread, largest = (z.std(dtype=np.float64), np.abs(z).max()) if finite else (math.inf, math.inf)
        found.append(LayerState(W.shape[1], float(spread), float(largest), **units))
    return tuple(found)


def losses(tested: Evaluation, p: Array, y: NDArray[np.int64], loss: str) -> Losses:
    """Measure the losses from what a backend says of rows: its evaluation and probabilities p (N, K)."""
    p_true = p[np.arange(len(y)), y]
    bounds = {"logits": None, "keras2": KERAS2_CLIP, THIRD_ANSWER_CLIP: clip_bounds(THIRD_ANSWER_CLIP)}
    bounds[loss] = own = clip_bounds(loss)
    live = {
        name: 1.0 if limits is None else float(((limits[0] <= p_true) & (p_true <= limits[1])).mean())
        for name, limits in bounds.items()
    }
    wrong = 1 - tested.accuracy
    frozen = None if own is None or wrong <= 0 else tested.loss / wrong / -math.log(own[0])
    return Losses(tested.loss, tested.accuracy, math.log(p.shape[1]), live, frozen)


@_overflows
def gradients(net: Net, x: Array, y: NDArray[np.int64], loss: str) -> Gradients:
    """Measure the gradient of the mean loss."""
    bare = replace(net, preprocessing=Preprocessing())
    step = reference.loss_and_gradients(bare, x, y, loss=loss)
    norms = tuple(norm(dW) for dW in step.gradients.weights)
    weights = tuple(norm(W) for W in net.parameters.weights)
    bad = tuple(int((~np.isfinite(dW)).sum()) for dW in step.gradients.weights)
    return Gradients(norms, weights, bad, float(step.loss))


def norm(W: Array) -> float:
    """The Euclidean norm, summed in float64."""
    return float(np.linalg.norm(np.asarray(W, np.float64)))


def update_ratios(found: Gradients, lr: float) -> tuple[float, ...]:
    """lr |dW| / |W| of each layer."""
    return tuple(lr * g / max(w, _TINY) for g, w in zip(found.gradient, found.weights, strict=True))


@_overflows
def curvature(net: Net, x: Array, y: NDArray[np.int64], loss: str) -> Curvature:
    """Measure the curvature, to 1 %."""
    surface = Surface(net, x, y, loss)
    whole = Surface(net, x, y, "logits") if loss != "logits" else surface
    return Curvature(
        hessian=top_eigenvalue(surface.hessian, surface.size, tolerance=0.01),
        gauss_newton=top_eigenvalue(whole.gauss_newton, whole.size, tolerance=0.01),
    )


@_overflows
def gauss_newton(net: Net, x: Array, y: NDArray[np.int64]) -> float:
    """The second figure of ``curvature`` alone, to 5 %: for a search."""
    surface = Surface(net, x, y)
    return top_eigenvalue(surface.gauss_newton, surface.size, tolerance=0.05)


def safe_factor(net: Net, x: Array, y: NDArray[np.int64], lr: float, *, most: float = 1e6) -> float | None:
    """The smallest factor >= 1 by which to divide x so that lr is stable; None if none up to ``most`` does.

    Found by bisection of its logarithm to 5 %, for curvature does not fall as 1 / factor^2: biases and
    later layers keep theirs, and softmax grows softer.
    """

    def stable(factor: float) -> bool:
        return lr * gauss_newton(net, x / factor, y) <= 2

    if stable(1.0):
        return 1.0
    low, high = 1.0, 4.0
    while not stable(high):
        low, high = high, high * 4
        if high > most:
            return None
    while high / low > 1.05:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if stable(middle) else (middle, high)
    return high


def rounded(value: float, *, down: bool) -> float:
    """``value`` to two digits, never to the unsafe side; as far as a scale or lr may go."""
    value = min(max(value, 2 * SMALLEST), LARGEST / 2)
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    number = (math.floor if down else math.ceil)(value / step * (1 + (1e-9 if down else -1e-9))) * step
    return float(f"{number:.2g}")
