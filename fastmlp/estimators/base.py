"""BaseMLP: the parameters, first weights, fit and outputs that MLPClassifier and MLPRegressor share."""

from __future__ import annotations

import itertools
import math
import operator
from functools import cache, partial
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastmlp.backends.threads import MOST_THREADS, ThreadTuner
from fastmlp.checks import LARGEST, SMALLEST
from fastmlp.data.sparse import check_sound
from fastmlp.errors import ModelError
from fastmlp.estimators import lbfgs
from fastmlp.estimators.bridge import Bridge
from fastmlp.estimators.loop import Loop
from fastmlp.estimators.orders import Orders
from fastmlp.estimators.precision import (
    DTYPES,
    dtype_of_coefs,
    dtype_of_fit,
    laid_out,
    output_dtype,
)
from fastmlp.estimators.ready import net_of
from fastmlp.estimators.schedule import ScheduledOptimizer
from fastmlp.estimators.split import Split
from fastmlp.estimators.threads import most_here, threads_here
from fastmlp.estimators.weights import parameters_of
from fastmlp.estimators.words import (
    CONSTRAINTS,
    LINKS,
    act_of,
    adam,
    architecture_of,
    check_solver,
    drops,
    hidden_layers,
    optimizer_of,
    plain,
    sgd,
)
from fastmlp.model import load_backend
from fastmlp.net import Net, Norm, Parameters, Preprocessing, first_norms
from fastmlp.words.layers import MOST_UNITS
from fastmlp.words.losses import LOSSES
from fastmlp.words.optimizers import Optimizer

Array = NDArray[Any]

_CURVES = (
    "loss_curve_", "best_loss_", "validation_scores_", "validation_loss_curve_", "best_validation_score_"
)  # fmt: skip
_FEW = 32  # rows, of which no thread but the caller's is asked


class BaseMLP(Bridge, BaseEstimator):
    """Subclasses say what y is, what the net's outputs mean, and how good they are."""

    loss: str
    hidden_layer_sizes: Any
    activation: Any
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
    max_fun: int
    scale: float
    callbacks: Any
    progress: bool
    threads: int | str
    dtype: str
    dropout: Any
    batch_norm: Any
    optimizer: Any

    _optimizer: ScheduledOptimizer
    _tuner: tuple[tuple[int | str, int], ThreadTuner]
    _seed: int
    _dtype: str
    _fitted: dict[str, Any]
    _no_improvement_count: int
    _links: ClassVar[tuple[str, ...]]  # what the last layer's activation may be

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
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
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, SMALLEST, LARGEST, closed="both")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "scale": [Interval(Real, SMALLEST, LARGEST, closed="both")],
        "callbacks": [list, tuple, None],
        "progress": ["boolean"],
        "threads": [StrOptions({"auto"}), Interval(Integral, 1, MOST_THREADS, closed="both")],
        "dtype": [StrOptions(set(DTYPES))],
        **CONSTRAINTS,
    }

    def _keep(self, given: dict[str, Any]) -> None:
        """Keep the arguments of ``__init__`` as they are: scikit-learn wants them checked in fit alone."""
        for name, value in given.items():
            if name != "self":
                setattr(self, name, value)

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        """The parameters' names, for which scikit-learn asks the signature in every fit."""
        names: list[str] = super()._get_param_names()
        return names

    def _validate_params(self) -> None:
        super()._validate_params()
        check_solver(self)
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
        """X (N, D) and y as a trainer takes it; a first pass learns the classes."""
        raise NotImplementedError

    def _link(self) -> str:
        """The last layer's activation by scikit-learn's name: of weights set by hand too, where none says."""
        raise NotImplementedError

    def _count_outputs(self, y: Array) -> int:
        raise NotImplementedError

    def _loss(self) -> str:
        """The name of the loss for a trainer."""
        raise NotImplementedError

    def _capped_loss(self) -> str:
        """The same with the epsilon of X's number type, by which scikit-learn caps logarithms."""
        return self._loss()

    def _loss_parts(self) -> int:
        """Number of outputs over which a trainer sums a row's loss, where scikit-learn takes the mean."""
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
        first = not self._goes_on(incremental)
        new = first or not hasattr(self, "_fitted")  # or the weights were set by hand, before any fit
        check_sound(X)
        X, y = self._checked_data(X, y, new, incremental)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        weights = self._row_weights(sample_weight, y, incremental)
        widths = [X.shape[1], *hidden, self._count_outputs(y)]
        random = check_random_state(self.random_state)
        if first:
            parameters = self._first_weights(widths, dtype_of_coefs(self.dtype, X), random)
            dtype: DTypeLike = dtype_of_fit(self.dtype, X, y, self.solver, weights)
        else:
            parameters = self._parameters()
            self._check_widths(parameters, widths)
            parameters, dtype = self._in_dtype(parameters)
        if self.solver == "lbfgs":
            if new:
                self._reset(parameters, 0)
            lbfgs.fit(self, parameters.copy(), X, y, weights)
        else:
            self._fit_stochastic(X, y, weights, parameters, dtype, random, new=new, incremental=incremental)
        return self

    def _fit_stochastic(
        self, X: Any, y: Array, weights: Array | None, parameters: Parameters, dtype: DTypeLike,
        random: np.random.RandomState, *, new: bool, incremental: bool,
    ) -> None:  # fmt: skip
        """Train by sgd or adam, from where an optimizer is in a later call of partial_fit.

        dtype: in which to compute; that of the parameters is the coefs_'.
        """
        coefs = parameters.dtype
        parameters = parameters.astype(dtype)  # a copy: they may be read-only, or the caller's
        seed = int(random.randint(2**31 - 1)) if self._drops() and new else getattr(self, "_seed", 0)
        net = self._net(parameters)
        going_on = incremental and not new and hasattr(self, "_optimizer")
        optimizer = self._optimizer.copy(parameters.dtype) if going_on else self._new_optimizer(parameters)
        options = None
        if self.early_stopping:
            share, strata = self.validation_fraction, self._strata(y)
            options = {"test_size": share, "random_state": random, "stratify": strata}
        split = Split.of(partial(laid_out, dtype=parameters.dtype), X, y, weights, options)
        if new:
            self._reset(parameters, seed)
        if new or not hasattr(self, "loss_curve_"):  # not yet after a fit by lbfgs
            self._begin_curves()
        self._optimizer, self._dtype = optimizer, parameters.dtype.name
        orders = Orders(split.train, random if self.shuffle else None)
        Loop(
            self,
            load_backend("numba"),
            net,
            split,
            orders,
            self._tuned(),
            coefs,
            incremental=incremental,
            new=new,
        ).run()

    def _in_dtype(self, parameters: Parameters) -> tuple[Parameters, DTypeLike]:
        """The parameters of a net that goes on, and the number type to compute in: as before, or as asked."""
        if self.dtype != "auto":
            return parameters.astype(self.dtype), self.dtype
        return parameters, getattr(self, "_dtype", parameters.dtype)

    def _goes_on(self, incremental: bool) -> bool:
        """Say whether a fit goes on with the present net."""
        return hasattr(self, "coefs_") and (self.warm_start or incremental)

    def _keep_link(self, link: str, goes_on: bool) -> None:
        """Make it a new net's last activation. Raises ValueError where the present net has another."""
        if not goes_on:
            self.out_activation_ = link
        elif link != self._link():
            raise ValueError(
                f"warm_start and partial_fit go on with the present net: out_activation_ must be {link!r} "
                f"for loss={self.loss!r} and this y; got {self._link()!r}. Set warm_start=False."
            )

    def _tuned(self) -> ThreadTuner:
        """Tuner of the number of threads: one for many calls of partial_fit."""
        asked = self.threads, most_here()
        if getattr(self, "_tuner", (None, None))[0] != asked:
            self._tuner = asked, ThreadTuner(self.threads, limit=asked[1])
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
        hidden_layers(self, widths)  # of words, one for each
        return widths

    def _check_widths(self, parameters: Parameters, widths: list[int]) -> None:
        there = [parameters.shapes[0][0], *(fan_out for _, fan_out in parameters.shapes)]
        if there != widths:
            raise ValueError(
                f"warm_start and partial_fit continue the present net, of layers {there}; "
                f"hidden_layer_sizes and the data ask for {widths}. Set warm_start=False for a new net."
            )

    def _first_weights(
        self, widths: list[int], dtype: type[np.floating[Any]], random: np.random.RandomState
    ) -> Parameters:
        """First weights, as scikit-learn draws them."""
        weights, biases = [], []
        for (fan_in, fan_out), factor in zip(
            itertools.pairwise(widths), self._factors(len(widths) - 1), strict=True
        ):
            limit = math.sqrt(factor / (fan_in + fan_out))
            weights.append(random.uniform(-limit, limit, (fan_in, fan_out)).astype(dtype))
            biases.append(random.uniform(-limit, limit, fan_out).astype(dtype))
        return Parameters(tuple(weights), tuple(biases), self._first_norms(widths, dtype))

    def _factors(self, layers: int) -> list[float]:
        """The numbers over fan_in + fan_out whose roots bound the first weights of each layer."""
        alone = [self.activation] if isinstance(self.activation, str) else []
        acts = self._acts(layers - 1) or [*map(act_of, alone)]
        factors = [2.0 if act == "sigmoid" else 6.0 for act in acts]
        return [*factors, *factors[-1:], 6.0][:layers]  # the last layer's as of the one before

    def _acts(self, hidden: int) -> list[str]:
        """The engine's names of the activations of so many hidden layers."""
        return [layer.act for layer in hidden_layers(self, [1] * hidden)]

    def _first_norms(self, widths: list[int], dtype: type[np.floating[Any]]) -> tuple[Norm | None, ...]:
        """The batch norms of the hidden layers."""
        return first_norms(hidden_layers(self, widths[1:-1]), dtype)

    def _drops(self) -> bool:
        """Say whether steps leave units out, by a seed of their own."""
        return drops(self)

    def _fitted_words(self) -> dict[str, Any]:
        """The parameters without which the weights mean nothing: they must stay those of the fit."""
        words = {name: plain(getattr(self, name)) for name in ("activation", "scale", "batch_norm")}
        return {**words, "out_activation_": self._link()}

    def _reset(self, parameters: Parameters, seed: int = 0) -> None:
        """Begin a new net, without what is left of the last one's training."""
        self._seed = seed
        self._fitted = self._fitted_words()
        self.n_layers_, self.n_outputs_ = len(parameters.weights) + 1, parameters.shapes[-1][1]
        self.out_activation_ = self._link()
        self.n_iter_ = self.t_ = 0
        for name in (*_CURVES, "_optimizer", "_dtype"):
            self.__dict__.pop(name, None)

    def _begin_curves(self) -> None:
        """Begin curves, and what is judged by them; early stopping begins its own. lbfgs has none."""
        self.loss_curve_: list[float] = []
        self.best_loss_: float | None = None
        self.validation_scores_: list[float] | None = None
        self.validation_loss_curve_: list[float] | None = None
        self.best_validation_score_: float | None = None
        self._no_improvement_count = 0

    def _new_optimizer(self, parameters: Parameters) -> ScheduledOptimizer:
        schedule = self.learning_rate if self.optimizer is not None or self.solver == "sgd" else "constant"
        rate = float(self.learning_rate_init)
        return ScheduledOptimizer.start(parameters, self._engine_optimizer(), rate, schedule, self.power_t)

    def _engine_optimizer(self) -> Optimizer:
        """The solver as the engine has it: its averages are of steps, as scikit-learn's. Or the optimizer."""
        if self.optimizer is not None:
            return optimizer_of(self.optimizer)
        if self.solver == "adam":
            return adam(self.beta_1, self.beta_2, self.epsilon)
        return sgd(self.momentum, self.nesterovs_momentum)

    # --- the net --------------------------------------------------------------------------------

    def _net(self, parameters: Parameters) -> Net:
        """The engine's net of these parameters."""
        (inputs, _), *hidden = parameters.shapes
        layers = hidden_layers(self, [fan_in for fan_in, _ in hidden])
        architecture = architecture_of(inputs, layers, parameters.shapes[-1][1])
        return Net(architecture, parameters, Preprocessing(float(self.scale)))

    def _store(self, parameters: Parameters, dtype: DTypeLike | None = None) -> None:
        """Make the arrays attributes: themselves, where they are in that number type, or none is given."""
        if dtype is not None and parameters.dtype != dtype:
            parameters = parameters.astype(dtype)
        self.coefs_, self.intercepts_ = list(parameters.weights), list(parameters.biases)
        self.norms_ = list(parameters.norms)

    def _parameters(self) -> Parameters:
        """Parameters from the attributes, which may have been set by hand. Raises ValueError."""
        fitted = getattr(self, "_fitted", {})
        for name, now in self._fitted_words().items() if fitted else ():
            if now != fitted[name]:
                raise ModelError(
                    f"{name} must be that of the fit, {fitted[name]!r}", repr(now),
                    "fit again, or put weights of your own into a new estimator",
                )  # fmt: skip
        return parameters_of(self, *self._outputs_wanted())

    def _outputs(self, X: Any, what: str) -> Array:
        """``predict_proba``, ``predict`` or ``logits`` (N, K) of the backend."""
        check_is_fitted(self)
        check_sound(X)
        X = validate_data(self, X, accept_sparse="csr", order="C", reset=False)
        net, nn = net_of(self), load_backend("numba")
        dtype = net.parameters.dtype
        threads = threads_here(self.threads) if X.shape[0] > _FEW else 1  # which they do not pay for
        link = "identity" if what == "logits" else LOSSES[LINKS[self._link()]].link
        outputs = nn.at_once(net, X, link, threads=threads)
        if outputs is None:
            given = {} if what == "logits" else {"loss": LINKS[self._link()]}
            outputs = getattr(nn, what)(net, X, threads=threads, **given)
        found: Array = outputs.astype(output_dtype(X, dtype), copy=False)
        return found

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
