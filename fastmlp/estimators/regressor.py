"""MLPRegressor: targets of one or several numbers; all else is BaseMLP's."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from fastmlp.data.sparse import is_scipy_sparse
from fastmlp.estimators.base import BaseMLP
from fastmlp.estimators.words import NUMBERS_LOSSES, of_loss
from fastmlp.words.losses import Loss

Array = NDArray[Any]


class MLPRegressor(RegressorMixin, BaseMLP):
    """A multilayer perceptron for regression, to take ``sklearn.neural_network.MLPRegressor``'s place.

    X of float32 is computed in float32, few values of other number types in float64, and many in float32, or
    as ``dtype`` says: see ``MLPClassifier``. Targets are looked at as columns are.

    loss: squared_error, the mean of (output - y)^2 / 2 over a row's K targets, where steps are taken on K
    times that; or poisson, the sum of half the deviances of counts or rates y, whose predictions are exp of
    the outputs. Both are scikit-learn's. Or by the engine's names: squared, absolute, huber, huber:DELTA.

    For all else see ``MLPClassifier``, which has the same parameters but ``class_weight``, and the same
    attributes but ``classes_``. The validation score is R^2.

    >>> from fastmlp import MLPRegressor
    >>> net = MLPRegressor(hidden_layer_sizes=(), learning_rate_init=0.1, max_iter=900, n_iter_no_change=100)
    >>> net.fit([[0.0], [1.0]], [1.0, 3.0]).predict([[2.0]]).round(1)
    array([5.])
    """

    _links = ("identity", "exp")
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMLP._parameter_constraints,
        "loss": [of_loss("numbers", own=[*NUMBERS_LOSSES])],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        scale: float = 1.0,
        callbacks: Any = None,
        progress: bool = False,
        threads: int | str = "auto",
        dtype: str = "auto",
        dropout: Any = 0.0,
        batch_norm: Any = False,
        optimizer: Any = None,
    ) -> None:
        self._keep(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on X (N, D), an array, a DataFrame or a sparse matrix, and targets y (N,) or (N, K).

        sample_weight (N,): how much each row counts; 2 is as if it were there twice. Returns self.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    @available_if(lambda self: self._stochastic())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch on these rows, from where the last call ended. Returns self."""
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Predictions (N,), or (N, K) where there are K targets, for each row of X (N, D)."""
        found = self._outputs(X, "predict")
        return found[:, 0] if found.shape[1] == 1 else found

    def _checked_data(self, X: Any, y: Any, first: bool, incremental: bool) -> tuple[Any, Array]:
        X, y = validate_data(
            self, X, y, accept_sparse="csr", order="C", multi_output=True, y_numeric=True, reset=first
        )
        if is_scipy_sparse(y):
            raise ValueError(f"y must be a dense array of numbers; got a sparse one of shape {y.shape}.")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        link = Loss.of(self._loss()).word.link
        self._keep_link(link, self._goes_on(incremental))
        return X, y.reshape(len(y), -1)

    def _link(self) -> str:
        known = getattr(self, "out_activation_", None)
        return Loss.of(self._loss()).word.link if known is None else str(known)

    def _count_outputs(self, y: Array) -> int:
        return int(y.shape[1])

    def _loss(self) -> str:
        return NUMBERS_LOSSES.get(self.loss, self.loss)

    def _loss_parts(self) -> int:
        return int(self.n_outputs_) if self.loss == "squared_error" else 1

    def _outputs_wanted(self) -> tuple[int | None, str]:
        return getattr(self, "n_outputs_", None), "n_outputs_"

    def _strata(self, y: Array) -> Array | None:
        return None

    def _score_of(self, z: Array, y: Array, weights: Array | None) -> float:
        found = z.astype(np.float64)
        if self._link() == "exp":
            np.exp(found, out=found)
        return r2_of(y, found, weights) if np.isfinite(found).all() else math.nan

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def r2_of(y: Array, predictions: Array, weights: Array | None) -> float:
    """R^2 of predictions (N, K) as r2_score has it, without its checks, which take longer than an epoch."""
    mean = np.average(y, axis=0, weights=weights)
    counts = 1.0 if weights is None else weights[:, None]
    missed, spread = ((counts * (y - each) ** 2).sum(axis=0) for each in (predictions, mean))
    share = np.where(missed == 0, 0.0, 1.0)  # of targets that are all the same
    np.divide(missed, spread, out=share, where=spread != 0)
    return float(1 - share.mean())
