"""lbfgs: a whole fit by scipy's L-BFGS-B, over all rows in every step, as scikit-learn calls it.

Computed in float64, whatever the number type of the net.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastmlp.backends.threads import at_work
from fastmlp.display.bar import Show, bar
from fastmlp.estimators.threads import one_blas_thread
from fastmlp.net import Parameters

Array = NDArray[Any]

_OUT = 4  # calls from a warning here to scikit-learn's wrapper of fit, whose module programs filter by


class _StoppedError(Exception):
    """A callback has asked for the end."""


def fit(estimator: Any, parameters: Parameters, X: Any, y: Array, weights: Array | None) -> None:
    """Train the parameters on X (N, D) and y, until scipy is content or an end of the estimator's is reached.

    weights (N,): how much each row counts. Leaves coefs_, intercepts_, loss_ and n_iter_. Warns as
    scikit-learn does where max_iter or max_fun was too few. Raises ValueError where nothing would be learnt,
    or a weight does not stay finite.
    """
    from fastmlp.kernels import plain  # loads the compiler: not before a fit

    if weights is not None and not weights.any():
        raise ValueError("The weights of the rows must not all be zero: nothing would be learnt.")
    est, total = estimator, X.shape[0] if weights is None else float(weights.sum(dtype=np.float64))
    exact = parameters.astype(np.float64)
    est.n_iter_ = 0
    est._store(parameters)
    data = plain.Objective(est._net(exact), X, y, loss=est._capped_loss(), sample_weight=weights)
    count = sum(W.size for W in exact.weights)
    with (
        at_work(),
        one_blas_thread(),
        bar(est.max_iter, "iteration") if est.progress else nullcontext() as show,
    ):
        objective = _Objective(data, packed(exact), count, est.alpha / total, est._loss_parts())
        run = _Run(est, exact, parameters.dtype, objective, show)
        try:
            found = scipy.optimize.minimize(
                objective, objective.theta, method="L-BFGS-B", jac=True,
                callback=run.note if est.callbacks or est.verbose or show else None,
                options={"maxfun": est.max_fun, "maxiter": est.max_iter, "gtol": est.tol},
            )  # fmt: skip
        except _StoppedError:
            return
        except KeyboardInterrupt:
            run.keep(objective.theta, objective.loss)
            raise
    est.n_iter_ = min(found.nit, est.max_iter)
    run.keep(found.x, found.fun)
    if not np.isfinite(found.x).all():
        raise ValueError(
            "Training by lbfgs diverged: a weight is infinite or nan. Scale the inputs; StandardScaler does."
        )
    if found.status != 0:
        warnings.warn(
            f"lbfgs failed to converge after {est.n_iter_} iterations: {found.message}. Increase max_iter "
            f"({est.max_iter}) or max_fun ({est.max_fun}), or scale the inputs; StandardScaler does.",
            ConvergenceWarning, stacklevel=_OUT,
        )  # fmt: skip


def packed(parameters: Parameters) -> Array:
    """Every W flat, the first layer's first, then every b: (P,)."""
    return np.concatenate([array.ravel() for array in (*parameters.weights, *parameters.biases)])


def unpacked(theta: Array, shapes: Sequence[tuple[int, int]]) -> Parameters:
    """Parameters that are views of theta (P,); the shapes are (fan_in, fan_out) of the layers."""
    sizes = [fan_in * fan_out for fan_in, fan_out in shapes] + [fan_out for _, fan_out in shapes]
    parts = [theta[start:end] for start, end in itertools.pairwise([0, *itertools.accumulate(sizes)])]
    weights = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=False)]
    return Parameters(tuple(weights), tuple(parts[len(shapes) :]))


@dataclass(eq=False)
class _Objective:
    """The function that scipy minimises: the mean loss, and the penalty of the first ``count`` numbers.

    count:   of the weights, which alone are penalised.
    penalty: alpha over the sum of the rows' weights.
    parts:   the loss is divided by it, and the gradient is not, as in scikit-learn: see ``_loss_parts``.
    data:    ``Objective`` of the kernels, of the rows.
    theta, loss: of the last call; the first theta where there was none.
    """

    data: Any
    theta: Array
    count: int
    penalty: float
    parts: int
    loss: float = np.nan

    def __call__(self, theta: Array) -> tuple[float, Array]:
        gradient = np.empty_like(theta)
        weights = theta[: self.count]
        loss = self.data.value_and_gradient(theta, gradient) / self.parts
        if self.penalty:
            gradient[: self.count] += self.penalty * weights
            loss += 0.5 * self.penalty * float(weights @ weights)
        self.theta, self.loss = theta, loss
        return loss, gradient


@dataclass(eq=False)
class _Run:
    """The estimator while it is trained, and those who look on after every iteration."""

    estimator: Any
    first: Parameters
    dtype: np.dtype[Any]
    objective: _Objective
    show: Show | None

    def keep(self, theta: Array, loss: float) -> None:
        self.estimator.loss_ = np.float64(loss)
        self.estimator._store(unpacked(theta, self.first.shapes).astype(self.dtype))

    def note(self, theta: Array) -> None:
        """Note an iteration. Raises _StoppedError where a callback returned True."""
        est = self.estimator
        est.n_iter_ += 1
        self.keep(theta, self.objective.loss)  # of the last call, by which the iteration ended
        if self.show is not None:
            self.show(est.n_iter_, f"loss {est.loss_:.4f}")
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {est.loss_:.8f}")  # noqa: T201  # scikit-learn's custom
        told = [callback(est) is True for callback in est.callbacks or ()]  # all of them are called
        if any(told):
            raise _StoppedError
