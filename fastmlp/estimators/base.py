"""BaseMLP: the parameters, first weights, fit and outputs that MLPClassifier and MLPRegressor share."""

from __future__ import annotations

import itertools
import math
import operator
from numbers import Integral, Real
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastmlp.backends.threads import MOST_THREADS, ThreadTuner
from fastmlp.checks import LARGEST, SMALLEST
from fastmlp.data.sparse import check_sound, is_scipy_sparse
from fastmlp.errors import ModelError
from fastmlp.estimators.bridge import Bridge
from fastmlp.estimators.loop import Loop
from fastmlp.estimators.schedule import ScheduledOptimizer
from fastmlp.estimators.split import Split
from fastmlp.estimators.threads import threads_here
from fastmlp.estimators.weights import parameters_of
from fastmlp.model import load_backend
from fastmlp.net import Net, Parameters, Preprocessing
from fastmlp.words.layers import MOST_UNITS, Architecture, layers_of
from fastmlp.words.optimizers import Optimizer

Array = NDArray[Any]

MOST_FLOAT64 = 10**6  # values of X: up to so many, float64 is computed as float64
ACTS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}

_CHUNK = 1 << 22  # values of a sparse X that the reference fills up at once


class BaseMLP(Bridge, BaseEstimator):
    """Subclasses say what y is, what the net's outputs mean, and how good they are."""

    loss: str
    hidden_layer_sizes: Any
    activation: str
    solver: str
    alpha: float
    batch_size: int | str
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    scale: float
    callbacks: Any
    progress: bool
    threads: int | str

    _optimizer: ScheduledOptimizer
    _tuner: tuple[int | str, ThreadTuner]
    _seed: int
    _fitted: dict[str, Any]
    _out_activation: ClassVar[str]

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTS))],
        "solver": [StrOptions({"sgd", "adam"})],
        "alpha": [Interval(Real, 0, LARGEST, closed="both")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, SMALLEST, LARGEST, closed="both")],
        "power_t": [Interval(Real, 0, LARGEST, closed="both")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, LARGEST, closed="both")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, SMALLEST, LARGEST, closed="both")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "scale": [Interval(Real, SMALLEST, LARGEST, closed="both")],
        "callbacks": [list, tuple, None],
        "progress": ["boolean"],
        "threads": [StrOptions({"auto"}), Interval(Integral, 1, MOST_THREADS, closed="both")],
    }

    def _keep(self, given: dict[str, Any]) -> None:
        """Keep the arguments of ``__init__`` as they are: scikit-learn wants them checked in fit alone."""
        for name, value in given.items():
            if name != "self":
                setattr(self, name, value)

    def _validate_params(self) -> None:
        if isinstance(self.solver, str) and self.solver == "lbfgs":
            raise ValueError(
                f"The 'solver' parameter of {type(self).__name__} must be 'adam' or 'sgd'. Got 'lbfgs' "
                f"instead, which sklearn.neural_network.{type(self).__name__} has, and fastmlp has not."
            )
        super()._validate_params()
        if not all(callable(callback) for callback in self.callbacks or ()):
            raise ValueError(
                f"The 'callbacks' parameter of {type(self).__name__} must be a list of callables. "
                f"Got {self.callbacks!r} instead."
            )

    def _stochastic(self) -> bool:
        """Say whether there is a partial_fit, which lbfgs has not."""
        return not isinstance(self.solver, str) or self.solver != "lbfgs"

    # --- what a subclass says -------------------------------------------------------------------

    def _checked_data(self, X: Any, y: Any, first: bool, incremental: bool) -> tuple[Any, Array]:
        """X (N, D) and y as train_epoch takes it; a first pass learns the classes."""
        raise NotImplementedError

    def _count_outputs(self, y: Array) -> int:
        raise NotImplementedError

    def _loss(self) -> str:
        """The name of the loss for train_epoch."""
        raise NotImplementedError

    def _loss_parts(self) -> int:
        """Number of outputs over which train_epoch sums a row's loss, where scikit-learn takes the mean."""
        return 1

    def _outputs_wanted(self) -> tuple[int | None, str]:
        """The number of outputs that there must be, and the attribute that says so."""
        raise NotImplementedError

    def _strata(self, y: Array) -> Array | None:
        """Labels of which each has its share in the rows held out, or None."""
        raise NotImplementedError

    def _score_of(self, z: Array, y: Array, weights: Array | None) -> float:
        """Score of the last layer's outputs z (N, K)."""
        raise NotImplementedError

    def _row_weights(self, weights: Array | None, y: Array, incremental: bool) -> Array | None:
        """Weights of the rows, by their labels too where there is a class_weight."""
        return weights

    # --- fit ------------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Self:
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it holds no rows out.")
        hidden = self._widths()
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        new = first or not hasattr(self, "_seed")  # or the weights were set by hand, before any fit
        check_sound(X)
        X, y = self._checked_data(X, y, new, incremental)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        weights = self._row_weights(sample_weight, y, incremental)
        widths = [X.shape[1], *hidden, self._count_outputs(y)]
        if new:
            parameters, seed = self._first_weights(widths, _dtype_for(X))
        if not first:
            parameters = self._parameters().copy()  # they may be read-only, or the caller's
            self._check_widths(parameters, widths)
            seed = seed if new else self._seed
        nn = _backend(parameters.dtype)
        split = Split.of(nn, X, y, weights, self._split_options(y, seed) if self.early_stopping else None)
        if new:
            self._reset(widths, seed)
        if incremental and not first and hasattr(self, "_optimizer"):
            self._optimizer = self._optimizer.copy()
        else:
            self._optimizer = self._new_optimizer(parameters)
            self._no_improvement_count = 0
        epochs = 1 if incremental else self.max_iter
        Loop(self, nn, self._net(parameters), split, epochs, self._tuned(), incremental=incremental).run()
        return self

    def _tuned(self) -> ThreadTuner:
        """Tuner of the number of threads: one for many calls of partial_fit."""
        threads = threads_here(self.threads)
        if getattr(self, "_tuner", (None, None))[0] != threads:
            self._tuner = threads, ThreadTuner(threads)
        return self._tuner[1]

    def __getstate__(self) -> dict[str, Any]:
        """State without what was found out about this machine."""
        return {name: value for name, value in super().__getstate__().items() if name != "_tuner"}

    def _widths(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        if not np.iterable(sizes):
            sizes = [sizes]
        try:
            widths = [operator.index(width) for width in sizes]
        except TypeError:
            widths = [0]
        if not all(1 <= width <= MOST_UNITS for width in widths):
            raise ValueError(
                f"hidden_layer_sizes must be whole numbers from 1 to {MOST_UNITS:,}, "
                f"got {self.hidden_layer_sizes!r}."
            )
        return widths

    def _check_widths(self, parameters: Parameters, widths: list[int]) -> None:
        there = [parameters.shapes[0][0], *(fan_out for _, fan_out in parameters.shapes)]
        if there != widths:
            raise ValueError(
                f"warm_start and partial_fit continue the present net, of layers {there}; "
                f"hidden_layer_sizes and the data ask for {widths}. Set warm_start=False for a new net."
            )

    def _first_weights(self, widths: list[int], dtype: type) -> tuple[Parameters, int]:
        """First weights, as scikit-learn draws them, and the seed of all else."""
        random = check_random_state(self.random_state)
        weights, biases = [], []
        for fan_in, fan_out in itertools.pairwise(widths):
            limit = math.sqrt((2 if self.activation == "logistic" else 6) / (fan_in + fan_out))
            weights.append(random.uniform(-limit, limit, (fan_in, fan_out)).astype(dtype))
            biases.append(random.uniform(-limit, limit, fan_out).astype(dtype))
        return Parameters(tuple(weights), tuple(biases)), int(random.randint(2**31 - 1))

    def _reset(self, widths: list[int], seed: int) -> None:
        """Begin a new net, with empty curves."""
        self._seed = seed
        self._fitted = {"activation": self.activation, "scale": self.scale}
        self.n_layers_, self.n_outputs_ = len(widths), widths[-1]
        self.out_activation_ = self._out_activation
        self.t_ = 0
        self.loss_curve_: list[float] = []
        self.best_loss_: float | None = None
        self.validation_scores_: list[float] | None = None
        self.validation_loss_curve_: list[float] | None = None
        self.best_validation_score_: float | None = None

    def _split_options(self, y: Array, seed: int) -> dict[str, Any]:
        """Options of train_test_split: equal rows are split alike, for the sake of warm starts."""
        share = self.validation_fraction
        return {"test_size": share, "random_state": seed, "stratify": self._strata(y)}

    def _new_optimizer(self, parameters: Parameters) -> ScheduledOptimizer:
        if self.solver == "adam":
            optimizer = Optimizer(
                "adam", beta1=self.beta_1, beta2=self.beta_2, epsilon=self.epsilon, form="keras"
            )
            schedule = "constant"
        else:
            nesterov = bool(self.nesterovs_momentum and self.momentum)
            optimizer = Optimizer(self.solver, momentum=self.momentum, nesterov=nesterov)
            schedule = self.learning_rate
        return ScheduledOptimizer.start(
            parameters, optimizer, float(self.learning_rate_init), schedule, self.power_t
        )

    # --- the net --------------------------------------------------------------------------------

    def _net(self, parameters: Parameters) -> Net:
        """The engine's net of these parameters."""
        (inputs, _), *hidden = parameters.shapes
        layers = layers_of([fan_in for fan_in, _ in hidden], ACTS[self.activation])
        architecture = Architecture(inputs, layers, parameters.shapes[-1][1])
        return Net(architecture, parameters, Preprocessing(float(self.scale)))

    def _store(self, parameters: Parameters) -> None:
        """Make the arrays attributes, without a copy."""
        self.coefs_, self.intercepts_ = list(parameters.weights), list(parameters.biases)

    def _parameters(self) -> Parameters:
        """Parameters from the attributes, which may have been set by hand. Raises ValueError."""
        for name, fitted in getattr(self, "_fitted", {}).items():
            if getattr(self, name) != fitted:
                raise ModelError(
                    f"{name} must be that of the fit, {fitted!r}", repr(getattr(self, name)),
                    "fit again, or put weights of your own into a new estimator",
                )  # fmt: skip
        return parameters_of(self, *self._outputs_wanted())

    def _outputs(self, X: Any, what: str) -> Array:
        """``predict_proba`` or ``logits`` (N, K) of the backend."""
        check_is_fitted(self)
        check_sound(X)
        X = validate_data(self, X, accept_sparse="csr", order="C", reset=False)
        parameters = self._parameters()
        nn = _backend(parameters.dtype)
        net, threads = self._net(parameters), threads_here(self.threads)
        rows = X.shape[0]
        if is_scipy_sparse(X) and parameters.dtype == np.float64:
            rows = max(1, _CHUNK // X.shape[1])
        parts = [
            getattr(nn, what)(net, X[start : start + rows], threads=threads)
            for start in range(0, X.shape[0], rows)
        ]
        outputs: Array = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return outputs

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _dtype_for(X: Any) -> type:
    """float64 for float64 of few values, else float32."""
    few = X.shape[0] * X.shape[1] <= MOST_FLOAT64
    return np.float64 if X.dtype.kind == "f" and X.dtype.itemsize >= 8 and few else np.float32


def _backend(dtype: np.dtype[Any]) -> ModuleType:
    """The kernels for float32, the reference for float64."""
    return load_backend("numba" if dtype == np.float32 else "numpy")
