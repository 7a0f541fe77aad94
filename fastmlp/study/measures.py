"""Measurements other than trainings: nets before their first step, curvature, the scale law, portraits.

Each is a function of the data and returns plain numbers, or arrays for the pictures.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import kernels
from fastmlp.data import Dataset
from fastmlp.diagnosis.curvature import Surface, top_eigenvalue
from fastmlp.net import Net, Parameters, Preprocessing, initialise
from fastmlp.random import permutation
from fastmlp.spec import Training
from fastmlp.study.experiments import ACTS, LR, RAW, SCALED, Plan
from fastmlp.train.fit_many import fit_many
from fastmlp.words.layers import Architecture, layers_of

Array = NDArray[Any]

HIDDEN = (100,)
LAW_SCALE = 256  # a power of two: dividing by it rounds nothing
_SATURATED = 0.01  # a sigmoid's output so close to 0 or 1 has a slope under 0.01


def first_net(data: Dataset, scale: float, act: str = "relu", seed: int = 0) -> Net:
    """The question's net before its first step."""
    architecture = Architecture(data.X.shape[1], layers_of(HIDDEN, act), len(data.classes))
    return Net(architecture, initialise(architecture, seed=seed), Preprocessing(scale))


def start(data: Dataset, images: int) -> dict[str, Any]:
    """The net before its first step, on test images as they are and divided by 255.

    same_pattern: share of (image, unit) pairs with the same sign of z in both. active: share with z > 0.
    always_on, always_off: units with z > 0 for all images, for none. median_z: of abs(z).
    largest_weight: of abs(W1). row_sums: largest distance of a row of the softmax's outputs from 1.
    saturated: share of a sigmoid layer's outputs within 0.01 of 0 or 1.
    """
    X, parameters = data.X_test[:images].astype(np.float64), first_net(data, RAW).parameters
    W, b = (array.astype(np.float64) for array in (parameters.weights[0], parameters.biases[0]))
    raw, scaled = X @ W + b, X / SCALED @ W + b
    on = raw > 0
    found: dict[str, Any] = {
        "images": len(X),
        "same_pattern": float((on == (scaled > 0)).mean()),
        "active": float(on.mean()),
        "always_on": int(on.all(axis=0).sum()),
        "always_off": int((~on).all(axis=0).sum()),
        "median_z": {"raw": float(np.median(np.abs(raw))), "255": float(np.median(np.abs(scaled)))},
        "largest_weight": float(np.abs(parameters.weights[0]).max()),
    }
    for name, scale in (("raw", RAW), ("255", SCALED)):
        net, sigmoid = first_net(data, scale), first_net(data, scale, "sigmoid")
        p = kernels.predict_proba(net, data.X_test[:images])
        hidden, logits = kernels.forward(net, data.X_test[:images])
        squashed = kernels.forward(sigmoid, data.X_test[:images])
        found[f"at_{name}"] = {
            "row_sums": float(np.abs(p.sum(axis=1, dtype=np.float64) - 1).max()),
            "smallest_p": float(p.min()),
            "largest_logit": float(np.abs(logits).max()),
            "largest_hidden": float(hidden.max()),
            "sigmoid_saturated": float((np.abs(squashed[0] - 0.5) > 0.5 - _SATURATED).mean()),
            "sigmoid_largest_logit": float(np.abs(squashed[1]).max()),
        }
    return found


def curvature(data: Dataset, scale: float, act: str, images: int) -> float:
    """Top Gauss-Newton eigenvalue of the logits loss before the first step, on the first training images."""
    x = data.X[:images].astype(np.float64) / scale
    net = first_net(data, scale, act)
    surface = Surface(net, x, data.y[:images])
    return top_eigenvalue(surface.gauss_newton, surface.size)


def curvatures(data: Dataset, plan: Plan) -> dict[str, dict[str, float]]:
    """Curvatures of each activation: scale (as text) -> curvature, for the phase diagram's scales and 255."""
    scales = sorted({*plan.scales, RAW, SCALED})
    return {act: {f"{scale:g}": curvature(data, scale, act, plan.images) for scale in scales} for act in ACTS}


def scale_law(data: Dataset, steps: int, *, batch_size: int = 100) -> dict[str, Any]:
    """Raw pixels with (W1 / s, lr / s^2 on W1) against pixels / s: losses of each step, digests of all bytes.

    s = 256: a power of two rounds nothing. Also the law without the square, which must fail.
    """
    s, net = LAW_SCALE, first_net(data, RAW)
    first = net.parameters
    shrunk = Parameters((first.weights[0] / np.float32(s), *first.weights[1:]), first.biases)
    steps = min(steps, max(1, len(data.y) // batch_size))
    found: dict[str, Any] = {"s": s, "lr": LR, "steps": steps}
    for name, begin, scale, first_lr, back in (
        ("scaled", first, s, LR, 1),
        ("raw", shrunk, 1, LR / s**2, s),
        ("raw_without_square", shrunk, 1, LR / s, s),
    ):
        parameters = begin.copy()
        changed = Net(net.architecture, parameters, Preprocessing(scale))
        losses = _steps(changed, data, steps, batch_size, first_lr)
        parameters.weights[0][...] *= np.float32(back)
        found[name] = {
            "losses": losses,
            "losses_sha256": hashlib.sha256(np.array(losses).tobytes()).hexdigest(),
            "weights_sha256": parameters.sha256(),
        }
    return found


def _steps(net: Net, data: Dataset, steps: int, batch_size: int, first_lr: float) -> list[float]:
    """Losses of steps of SGD with a rate of its own for W1; the net's parameters change in place."""
    order = permutation(len(data.y), 0, "order", 1)
    losses = []
    for step in range(steps):
        rows = order[step * batch_size : (step + 1) * batch_size]
        with np.errstate(over="ignore", invalid="ignore"):  # one of them need not stay finite
            found = kernels.loss_and_gradients(net, data.X[rows], data.y[rows])
            for n, (array, gradient) in enumerate(zip(net.parameters, found.gradients, strict=True)):
                array -= np.float32(first_lr if n == 0 else LR) * gradient
        losses.append(found.loss)
    return losses


@dataclass(frozen=True, eq=False)
class Portrait:
    """A trained ReLU net, for the pictures.

    W1 (D, H): after the training. dead (H,): units that no training image activates.
    before, after (images, H): pre-activations of training images, before the first step and at the end,
    divided by the spread of all of ``before``.
    """

    scale: float
    accuracy: float
    W1: Array
    dead: NDArray[np.bool_]
    before: Array
    after: Array


def portraits(data: Dataset, epochs: int, images: int, threads: int | str) -> dict[str, Portrait]:
    """Seed 0 of the question's ReLU net: "raw", and "255"."""
    trainings = [Training(hidden=HIDDEN, scale=scale, lr=LR, epochs=epochs) for scale in (RAW, SCALED)]
    names, found = ("raw", "255"), {}
    for fitted in fit_many(data.X, data.y, trainings, threads=threads):
        model, scale = fitted.model, (RAW, SCALED)[fitted.index]
        outputs = kernels.forward(model.net, data.X)[0]
        X = data.X[:images].astype(np.float64) / scale
        W = model.parameters.weights[0].astype(np.float64)
        first = first_net(data, scale).parameters.weights[0]
        before, after = X @ first, X @ W + model.parameters.biases[0]
        tested = kernels.evaluate(model.net, data.X_test, data.y_test)
        spread = before.std() or 1.0
        found[names[fitted.index]] = Portrait(
            scale,
            tested.accuracy,
            W,
            np.logical_not((outputs > 0).any(axis=0)),
            before / spread,
            after / spread,
        )
    return found
