"""What can be measured of a net and its data at one moment. Functions of arrays that return plain data.

x (N, D) are inputs as the first layer sees them, scaled and centred, in float32 or float64: a net's own
preprocessing is left out where they are given. y (N,) are class indices. Means and shares are over all
rows that are given.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import reference
from fastmlp.backends.threads import Threads
from fastmlp.diagnosis.curvature import Surface, top_eigenvalue
from fastmlp.losses import KERAS2_CLIP, clip_bounds
from fastmlp.net import Net, Preprocessing

Array = NDArray[Any]

FLAT = 0.01  # of its largest value: with a smaller slope, a sigmoid or tanh is saturated
THIRD_ANSWER_CLIP = "clip:1e-10,0.999999"  # what an answer to the project's question proposes
_TINY = 1e-30


def bare(net: Net) -> Net:
    """The same net for inputs that are preprocessed already."""
    return replace(net, preprocessing=Preprocessing())


def inputs(x: Array) -> dict[str, Any]:
    """Of the inputs: mean, spread, largest magnitude, density, columns and how many never change.

    ``top_eigenvalue`` is that of the second-moment matrix x^T x / N: for a linear layer it bounds
    the curvature of the loss, and grows with the square of the inputs.
    """
    wide = np.asarray(x, np.float64)
    return {
        "rows": len(x),
        "columns": x.shape[1],
        "constant_columns": int((wide.max(axis=0) == wide.min(axis=0)).sum()),
        "mean": float(wide.mean()),
        "spread": float(wide.std()),
        "largest": float(np.abs(wide).max()),
        "density": float(np.count_nonzero(wide) / wide.size),
        "top_eigenvalue": top_eigenvalue(lambda v: wide.T @ (wide @ v) / len(wide), x.shape[1]),
    }


def classes(y: NDArray[np.int64], K: int) -> dict[str, Any]:
    """How often each class comes, and the largest count over the smallest (absent classes left out)."""
    counts = np.bincount(y, minlength=K)
    present = counts[counts > 0]
    return {"counts": counts.tolist(), "ratio": float(present.max() / present.min())}


def layers(net: Net, x: Array) -> list[dict[str, Any]]:
    """Of each layer: the spread of its pre-activations z (of the last one, the logits), and its units.

    dead: share of ReLU units that no row activates; always_on: those that every row does.
    saturated: share of a sigmoid's or tanh's outputs whose slope is under 1 % of its largest.
    constant: share of units whose output is the same for every row.
    """
    found, a, acts = [], np.asarray(x, np.float32), net.architecture.acts
    with np.errstate(over="ignore", invalid="ignore"):
        for layer, (W, b) in enumerate(zip(net.parameters.weights, net.parameters.biases, strict=True)):
            z = a @ np.asarray(W, np.float32) + np.asarray(b, np.float32)
            row: dict[str, Any] = {
                "units": W.shape[1],
                "z_spread": float(z.std(dtype=np.float64)),
                "z_largest": float(np.abs(z).max()),
            }
            a = z.copy()
            if layer < len(acts):
                act, slope = acts[layer], np.ones_like(a)
                reference.ACTIVATIONS[act].forward(a)
                reference.ACTIVATIONS[act].backward(slope, a)
                row["constant"] = float((a.max(axis=0) == a.min(axis=0)).mean())
                if act == "relu":
                    row["dead"] = float((slope == 0).all(axis=0).mean())
                    row["always_on"] = float((slope == 1).all(axis=0).mean())
                elif act in ("sigmoid", "tanh"):
                    most = 0.25 if act == "sigmoid" else 1.0
                    row["saturated"] = float((slope < FLAT * most).mean())
            found.append(row)
    return found


def losses(net: Net, X: Any, y: NDArray[np.int64], nn: Any, loss: str, threads: Threads) -> dict[str, Any]:
    """Loss and accuracy on rows X as a backend takes them, and the live share under each of three losses.

    ``frozen``: loss / (1 - accuracy) over -ln(LO), where the loss has a clip: near 1, every sample is
    either right or cut off. ``guess`` is ln K, the loss of a net that knows nothing.
    """
    K = net.architecture.outputs
    tested = nn.evaluate(net, X, y, loss=loss, threads=threads)
    p_true = nn.predict_proba(net, X, threads=threads)[np.arange(len(y)), y]
    bounds = {"logits": None, "keras2": KERAS2_CLIP, THIRD_ANSWER_CLIP: clip_bounds(THIRD_ANSWER_CLIP)}
    bounds[loss] = clip_bounds(loss)
    live = {
        name: 1.0 if limits is None else float(((limits[0] <= p_true) & (p_true <= limits[1])).mean())
        for name, limits in bounds.items()
    }
    own, wrong = bounds[loss], 1 - tested.accuracy
    return {
        "loss": tested.loss,
        "accuracy": tested.accuracy,
        "guess": math.log(K),
        "live": live,
        "frozen": None if own is None or wrong <= 0 else tested.loss / wrong / -math.log(own[0]),
    }


def gradients(net: Net, x: Array, y: NDArray[np.int64], loss: str) -> dict[str, Any]:
    """Of each layer, of the mean loss: the gradient's norm, the weights' norm, and values not finite.

    The update-to-weight ratio of a step is lr times the first over the second.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        step = reference.loss_and_gradients(bare(net), x, y, loss=loss)
        norms = [float(np.linalg.norm(np.asarray(dW, np.float64))) for dW in step.gradients.weights]
        weights = [float(np.linalg.norm(np.asarray(W, np.float64))) for W in net.parameters.weights]
    bad = [int((~np.isfinite(dW)).sum()) for dW in step.gradients.weights]
    return {"gradient": norms, "weights": weights, "not_finite": bad, "loss": float(step.loss)}


def update_ratios(found: dict[str, Any], lr: float) -> list[float]:
    """lr |dW| / |W| of each layer, from ``gradients``; healthy steps are some 1e-4 to 1e-2."""
    return [lr * g / max(w, _TINY) for g, w in zip(found["gradient"], found["weights"], strict=True)]


def curvature(
    net: Net, x: Array, y: NDArray[np.int64], loss: str, tolerance: float = 1e-2
) -> dict[str, float]:
    """Top eigenvalues: of the loss's Hessian, and of the Gauss-Newton matrix of the logits loss.

    Plain gradient descent is stable up to lr = 2 / the second. The first is the eigenvalue of largest
    magnitude, negative where that is.
    """
    surface = Surface(net, x, y, loss)
    whole = Surface(net, x, y, "logits") if loss != "logits" else surface
    return {
        "hessian": top_eigenvalue(surface.hessian, surface.size, tolerance=tolerance),
        "gauss_newton": top_eigenvalue(whole.gauss_newton, whole.size, tolerance=tolerance),
    }


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
