"""What MLPClassifier and MLPRegressor share: checks, first weights, the epochs and when they end, answers."""

from __future__ import annotations

import itertools
import math
import operator
import warnings
from dataclasses import dataclass
from numbers import Integral, Real
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastmlp.config import MOST_UNITS, Optimizer
from fastmlp.cores import MOST_THREADS, Pace
from fastmlp.data.encode import is_scipy_sparse
from fastmlp.engine import load_backend
from fastmlp.errors import DivergedError
from fastmlp.estimators.progress import progress_bar
from fastmlp.estimators.steps import Steps
from fastmlp.estimators.threads import threads_here
from fastmlp.parameters import Parameters
from fastmlp.randomness import permutation
from fastmlp.reference import loss_and_delta

Array = NDArray[Any]

MOST_FLOAT64 = 10**6  # values of X: up to so many, float64 is computed as float64
ACTS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}

_CHUNK = 1 << 22  # values of a sparse X that the reference fills up at once


@dataclass(eq=False)
class _Rows:
    """The rows of one call of fit or partial_fit.

    X:       in the form the backend reads; y: as ``train_epoch`` takes it.
    train:   the numbers of the rows to train on.
    weights: (N,) for every row, the largest of them in [0.5, 1) times 2^exponent; or None.
    held:    X, y and weights of the rows held out, or None.
    """

    X: Any
    y: Array
    train: NDArray[np.int64]
    weights: Array | None
    exponent: int
    held: tuple[Any, Array, Array | None] | None

    @property
    def total(self) -> float:
        """Of the weights, of the rows to train on."""
        if self.weights is None:
            return float(len(self.train))
        return math.ldexp(float(self.weights[self.train].sum(dtype=np.float64)), self.exponent)


class BaseMLP(BaseEstimator):
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

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTS))],
        "solver": [StrOptions({"sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "scale": [Interval(Real, 0, None, closed="neither")],
        "callbacks": [list, tuple, None],
        "progress": ["boolean"],
        "threads": [StrOptions({"auto"}), Interval(Integral, 1, MOST_THREADS, closed="both")],
    }

    def _keep(self, given: dict[str, Any]) -> None:
        """The arguments of ``__init__``, as they are: scikit-learn asks that nothing be done with them there."""
        for name, value in given.items():
            if name != "self":
                setattr(self, name, value)

    def _validate_params(self) -> None:
        if isinstance(self.solver, str) and self.solver == "lbfgs":
            raise ValueError(
                f"The 'solver' parameter of {type(self).__name__} must be 'adam' or 'sgd'. Got 'lbfgs' instead: "
                f"fastmlp has no full-batch solver, sklearn.neural_network.{type(self).__name__} has."
            )
        super()._validate_params()
        if not all(callable(callback) for callback in self.callbacks or ()):
            raise ValueError(
                f"The 'callbacks' parameter of {type(self).__name__} must be a list of callables. "
                f"Got {self.callbacks!r} instead."
            )

    def _stochastic(self) -> bool:
        """Whether there is a partial_fit: not for the solver that there is not."""
        return not isinstance(self.solver, str) or self.solver != "lbfgs"

    # --- what a subclass says -------------------------------------------------------------------

    def _checked_data(self, X: Any, y: Any, first: bool, incremental: bool) -> tuple[Any, Array]:
        """X (N, D) and y as train_epoch takes it; a first pass learns the classes."""
        raise NotImplementedError

    def _outputs(self, y: Array) -> int:
        raise NotImplementedError

    def _loss(self) -> str:
        """As train_epoch names it."""
        raise NotImplementedError

    def _loss_parts(self) -> int:
        """Outputs of which train_epoch sums a row's loss, where scikit-learn says their mean."""
        return 1

    def _out_activation(self) -> str:
        raise NotImplementedError

    def _strata(self, y: Array, rows: Array) -> Array | None:
        """By what rows are held out, or None: at random alone."""
        raise NotImplementedError

    def _score_of(self, z: Array, y: Array, weights: Array | None) -> float:
        """Of the last layer's outputs z (N, K)."""
        raise NotImplementedError

    def _weighed(self, weights: Array | None, y: Array, incremental: bool) -> Array | None:
        """The rows' weights, where y has a say in them too."""
        return weights

    # --- fit ------------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Self:
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it holds no rows out.")
        hidden = self._widths()
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._checked_data(X, y, first, incremental)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        weights = self._weighed(sample_weight, y, incremental)
        if weights is not None and not weights.any():
            raise ValueError("The weights of the rows must not all be zero: nothing would be learnt.")
        widths = [X.shape[1], *hidden, self._outputs(y)]
        if first:
            parameters = self._begin(widths, _dtype_for(X))
        else:
            parameters = self._parameters().copy()  # they may be read-only, or the caller's
            self._check_widths(parameters, widths)
        nn = _backend(parameters.dtype)
        rows = self._rows(nn, X, y, weights)
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = self._steps(parameters)
        self._train(nn, parameters, rows, incremental)
        return self

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
                f"hidden_layer_sizes must be whole numbers from 1 to {MOST_UNITS:,}, got {self.hidden_layer_sizes!r}."
            )
        return widths

    def _check_widths(self, parameters: Parameters, widths: list[int]) -> None:
        there = [parameters.shapes[0][0], *(fan_out for _, fan_out in parameters.shapes)]
        if there != widths:
            raise ValueError(
                f"warm_start and partial_fit go on with the net that there is, whose layers have the sizes {there}; "
                f"hidden_layer_sizes and the data now ask for {widths}. Set warm_start=False to begin anew."
            )

    def _begin(self, widths: list[int], dtype: type) -> Parameters:
        """First weights, as scikit-learn draws them, and empty curves."""
        random = check_random_state(self.random_state)
        weights, biases = [], []
        for fan_in, fan_out in itertools.pairwise(widths):
            limit = math.sqrt((2 if self.activation == "logistic" else 6) / (fan_in + fan_out))
            weights.append(random.uniform(-limit, limit, (fan_in, fan_out)).astype(dtype))
            biases.append(random.uniform(-limit, limit, fan_out).astype(dtype))
        self._seed = int(random.randint(2**31 - 1))
        self.n_layers_, self.n_outputs_ = len(widths), widths[-1]
        self.out_activation_ = self._out_activation()
        self.t_, self._no_improvement_count = 0, 0
        self.loss_curve_: list[float] = []
        self.best_loss_: float | None = None
        self.validation_scores_: list[float] | None = None
        self.validation_loss_curve_: list[float] | None = None
        self.best_validation_score_: float | None = None
        return Parameters(tuple(weights), tuple(biases))

    def _steps(self, parameters: Parameters) -> Steps:
        if self.solver == "adam":
            optimizer = Optimizer("adam", beta1=self.beta_1, beta2=self.beta_2, epsilon=self.epsilon)
            schedule = "constant"
        else:
            nesterov = bool(self.nesterovs_momentum and self.momentum)
            optimizer = Optimizer("sgd", momentum=self.momentum, nesterov=nesterov)
            schedule = self.learning_rate
        return Steps.start(parameters, optimizer, float(self.learning_rate_init), schedule, self.power_t)

    def _rows(self, nn: ModuleType, X: Any, y: Array, weights: Array | None) -> _Rows:
        rows, exponent = np.arange(X.shape[0]), 0
        if weights is not None:
            rows = np.flatnonzero(weights)
            exponent = int(np.frexp(weights.max())[1])
            weights = np.ldexp(weights, -exponent)  # exact, and in reach of float32
        held = None
        if self.early_stopping:
            rows, out = train_test_split(
                rows, test_size=self.validation_fraction, random_state=self._seed,
                stratify=self._strata(y, rows),
            )  # fmt: skip
            if len(out) < 2:
                raise ValueError(
                    f"The validation set is too small: {len(out)} of {len(rows) + len(out)} rows would be held out. "
                    "Increase validation_fraction, or the number of rows."
                )
            held = nn.encode(X[out]), y[out], None if weights is None else weights[out]
        return _Rows(nn.encode(X), y, rows, weights, exponent, held)

    def _train(self, nn: ModuleType, parameters: Parameters, rows: _Rows, incremental: bool) -> None:
        self._show(parameters)
        self.n_iter_ = 0
        if not incremental:
            self._no_improvement_count = 0
        pace = Pace(threads_here(self.threads))
        best = self._start_judging(nn, parameters, rows, pace)
        stopped = False
        try:
            with progress_bar(self.progress, 1 if incremental else self.max_iter) as shown:
                while not (stopped or self.n_iter_ == (1 if incremental else self.max_iter)):
                    self._epoch(nn, parameters, rows, pace, shown)
                    if rows.held is not None and self._judge(nn, parameters, rows.held, pace):
                        best = parameters.copy()
                    elif rows.held is None:
                        self._compare_loss()
                    self._optimizer.epoch_ended(self.t_)
                    told = [
                        callback(self) is True for callback in self.callbacks or ()
                    ]  # all of them are called
                    stopped = any(told) or self._stands_still(rows.held is not None)
        except KeyboardInterrupt:
            if not self.n_iter_:
                raise
            warnings.warn(f"Training was interrupted after {self.n_iter_} epochs.", stacklevel=5)
            stopped = True
        except DivergedError as error:
            if best is None or not self.n_iter_:
                raise ValueError(self._why_diverged(error)) from error
            self.loss_curve_.append(math.nan)
            self._note_validation(math.nan, math.nan)
            self.n_iter_ += 1
            warnings.warn(
                f"{self._why_diverged(error)} The weights of the best epoch before are kept.",
                ConvergenceWarning, stacklevel=5,
            )  # fmt: skip
            stopped = True
        if best is not None:
            self._show(best)
        if not (stopped or incremental):
            warnings.warn(
                f"Training ended at max_iter={self.max_iter} epochs and had not converged: increase max_iter, or tol.",
                ConvergenceWarning, stacklevel=5,
            )  # fmt: skip

    def _epoch(self, nn: ModuleType, parameters: Parameters, rows: _Rows, pace: Pace, shown: Any) -> None:
        n, epoch = len(rows.train), len(self.loss_curve_) + 1
        batch_size = self._batch_size(n)
        order = rows.train[permutation(n, self._seed, "order", epoch)] if self.shuffle else rows.train
        before = _squares(parameters)
        last, done = self.loss_curve_[-1] if self.loss_curve_ else None, self.n_iter_

        def report(samples: int) -> None:
            shown(done + samples / n, last)

        totals = nn.train_epoch(
            parameters, rows.X, rows.y, order, loss=self._loss(), batch_size=batch_size,
            lr=self._optimizer.learning_rate, state=self._optimizer.state, sample_weight=rows.weights,
            optimizer=self._optimizer.penalised(self.alpha * n / rows.total), 
            progress=report if shown is not None else None,
            **self._net(), threads=pace,
        )  # fmt: skip
        batches = -(-n // batch_size)
        # of the mean over the batches, each with the weights before its step: as if they went in a line
        squares = before + (_squares(parameters) - before) * (batches - 1) / (2 * batches)
        self.loss_ = totals.loss / self._loss_parts() + 0.5 * self.alpha * squares * batches / rows.total
        self.loss_curve_.append(self.loss_)
        self.n_iter_ += 1
        self.t_ += n
        if shown is not None:
            shown(self.n_iter_, self.loss_)
        self._say(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")

    def _batch_size(self, n: int) -> int:
        if self.batch_size == "auto":
            return min(200, n)
        if int(self.batch_size) > n and not self.n_iter_:
            warnings.warn(
                f"batch_size={self.batch_size} is more than the {n} rows to train on: they are one batch.",
                stacklevel=6,
            )
        return min(int(self.batch_size), n)

    # --- when to stop ---------------------------------------------------------------------------

    def _start_judging(
        self, nn: ModuleType, parameters: Parameters, rows: _Rows, pace: Pace
    ) -> Parameters | None:
        """The best weights so far, where rows are held out: those of a warm start, judged by the same rows."""
        if rows.held is None:
            self.best_loss_ = math.inf if self.best_loss_ is None else self.best_loss_
            self.validation_scores_ = self.validation_loss_curve_ = self.best_validation_score_ = None
            return None
        self.best_loss_, self.best_validation_score_ = None, -math.inf
        self.validation_scores_ = self.validation_scores_ or []
        self.validation_loss_curve_ = self.validation_loss_curve_ or []
        if self.loss_curve_:
            self.best_validation_score_ = self._validation(nn, parameters, rows.held, pace)[0]
        return parameters.copy()

    def _judge(
        self, nn: ModuleType, parameters: Parameters, held: tuple[Any, Array, Array | None], pace: Pace
    ) -> bool:
        """Whether these weights are the best so far, by the rows held out."""
        score, loss = self._validation(nn, parameters, held, pace)
        self._note_validation(score, loss)
        self._say(f"Validation score: {score:.6f}")
        best = self.best_validation_score_
        assert best is not None
        self._no_improvement_count = self._no_improvement_count + 1 if score < best + self.tol else 0
        if score > best:
            self.best_validation_score_ = score
            return True
        return False

    def _validation(
        self, nn: ModuleType, parameters: Parameters, held: tuple[Any, Array, Array | None], pace: Pace
    ) -> tuple[float, float]:
        """Score and mean loss on the rows held out; nan where an output is not finite."""
        X, y, weights = held
        z = nn.logits(parameters, X, **self._net(), threads=pace)
        if not np.isfinite(z).all():
            return math.nan, math.nan
        losses = loss_and_delta(np.empty_like(z), z, y, self._loss())[0]
        return self._score_of(z, y, weights), float(np.average(losses, weights=weights)) / self._loss_parts()

    def _note_validation(self, score: float, loss: float) -> None:
        assert self.validation_scores_ is not None
        assert self.validation_loss_curve_ is not None
        self.validation_scores_.append(score)
        self.validation_loss_curve_.append(loss)

    def _compare_loss(self) -> None:
        assert self.best_loss_ is not None
        self._no_improvement_count = (
            self._no_improvement_count + 1 if self.loss_ > self.best_loss_ - self.tol else 0
        )
        self.best_loss_ = min(self.best_loss_, self.loss_)

    def _stands_still(self, validated: bool) -> bool:
        """Whether training ends because it gets no better, or goes on more slowly."""
        if self._no_improvement_count <= self.n_iter_no_change:
            return False
        what = "Validation score" if validated else "Training loss"
        text = f"{what} has not improved by tol={self.tol:g} in {self.n_iter_no_change} epochs."
        if self._optimizer.slow_down():
            self._no_improvement_count = 0
            self._say(f"{text} Learning rate is now {self._optimizer.learning_rate:g}.")
            return False
        self._say(f"{text} Stopping.")
        return True

    def _why_diverged(self, error: DivergedError) -> str:
        return (
            f"Training diverged in epoch {self.n_iter_ + 1}: {error.must}; got {error.got}. Use a smaller "
            f"learning_rate_init than {self.learning_rate_init:g}, or scale the inputs."
        )

    def _say(self, line: str) -> None:
        if self.verbose:
            print(line)  # noqa: T201  # scikit-learn's custom

    # --- the net --------------------------------------------------------------------------------

    def _net(self) -> dict[str, Any]:
        """What a backend asks about the net, beside its parameters."""
        return {"act": ACTS[self.activation], "scale": float(self.scale)}

    def _show(self, parameters: Parameters) -> None:
        """As attributes: the same arrays."""
        self.coefs_, self.intercepts_ = list(parameters.weights), list(parameters.biases)

    def _parameters(self) -> Parameters:
        """From the attributes, which may have been set by hand."""
        dtype = np.float32 if self.coefs_[0].dtype == np.float32 else np.float64
        return Parameters(
            tuple(np.ascontiguousarray(W, dtype) for W in self.coefs_),
            tuple(np.ascontiguousarray(b, dtype) for b in self.intercepts_),
        )

    def _answer(self, X: Any, what: str) -> Array:
        """``predict_proba`` or ``logits`` (N, K) of the backend."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", order="C", reset=False)
        parameters = self._parameters()
        nn = _backend(parameters.dtype)
        options = {**self._net(), "threads": threads_here(self.threads)}
        rows = X.shape[0]
        if is_scipy_sparse(X) and parameters.dtype == np.float64:
            rows = max(1, _CHUNK // X.shape[1])
        parts = [
            getattr(nn, what)(parameters, X[start : start + rows], **options)
            for start in range(0, X.shape[0], rows)
        ]
        answer: Array = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return answer

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
    """The kernels know float32 alone."""
    return load_backend("numba" if dtype == np.float32 else "numpy")


def _squares(parameters: Parameters) -> float:
    """Of all weights, summed; biases are not penalised."""
    return sum(float(np.dot(W.reshape(-1), W.reshape(-1))) for W in parameters.weights)
