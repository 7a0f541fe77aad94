"""MLPClassifier: labels, class weights and probabilities; all else is BaseMLP's."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp.checks import shown
from fastmlp.errors import ModelError
from fastmlp.estimators.base import BaseMLP
from fastmlp.words.losses import checked_loss

Array = NDArray[Any]


class MLPClassifier(ClassifierMixin, BaseMLP):
    """A multilayer perceptron that classifies, to take ``sklearn.neural_network.MLPClassifier``'s place.

    Parameters and attributes with scikit-learn's names mean the same, with these differences:

    - The output is a softmax over K classes, over two of them as well: ``coefs_[-1]`` has two columns then.
      Each row has one label: a multilabel y raises ValueError.
    - There is no ``lbfgs`` and no ``max_fun``.
    - float32, integers, and sparse X of these are computed in float32 by the kernels; uint8 stays uint8.
      float64 is computed in float64 by the slower reference, up to 10**6 values (rows times columns); more
      are converted to float32, once. A net keeps the number type that it was begun in. Where a sparse X is
      computed in float64, its zeros are filled in.
    - A row of weight 0 is as if it were not there.

    Parameters
    ----------
    hidden_layer_sizes: widths of the hidden layers; () for none, which is softmax regression.
    activation: identity, logistic, tanh or relu, in every hidden layer.
    solver: adam or sgd.
    alpha: of the L2 penalty 0.5 alpha sum(w^2) / B on the weights w, for a batch of B rows (with weights of
        rows: B times their mean).
    batch_size: "auto": 200, or all rows where they are fewer.
    learning_rate: of sgd: constant; invscaling: learning_rate_init / (t_ + 1)^power_t after every epoch;
        adaptive: divided by 5 whenever training would stop, until it is no more than 1e-6.
    learning_rate_init, power_t: see there.
    max_iter: the most epochs of a fit. ConvergenceWarning where they were too few.
    shuffle: whether every epoch has its own order of the rows.
    random_state: of the first weights, the orders and the rows held out; the same int gives the same bytes.
        The first weights are those of scikit-learn for the same int and number of outputs.
    tol, n_iter_no_change: training ends when the loss (with early_stopping: the validation score) has not got
        better by tol in more than so many epochs.
    verbose: prints a line an epoch.
    warm_start: fit continues the present net and its curves; the averages of the steps begin at zero.
    momentum, nesterovs_momentum: of sgd; momentum is below 1.
    early_stopping: holds rows out, scores them after every epoch, and keeps the weights of the best epoch;
        also where training diverges after that, with a ConvergenceWarning.
    validation_fraction: share of the rows that is held out: of each class, where each has enough rows.
    beta_1, beta_2, epsilon: of adam. epsilon is added to the root before its correction, as in scikit-learn.
    loss: logits; or keras2 or clip:LO,HI, which clip p of the true class as old frameworks did.
    class_weight: {label: weight}, 1 for those left out; "balanced": all classes count the same (not in
        partial_fit). It is multiplied with sample_weight.
    scale: X is divided by it: 255 suits pixel bytes.
    callbacks: a list; each is called callback(estimator) after every epoch; returning True ends training.
    progress: shows a bar, in a terminal or a notebook; elsewhere a line on stderr.
    threads: of the kernels. "auto": as many as pay on this machine; in a worker of joblib or multiprocessing,
        its share of the cores. Results do not depend on it.

    Attributes
    ----------
    classes_: (K,) the labels, in the order of the outputs.
    coefs_, intercepts_: W (fan_in, fan_out) and b (fan_out,) of every layer. They may be set, or changed in
        place; every method that reads them raises ValueError where they do not fit classes_, n_features_in_
        and each other. activation and scale stay those of the fit.
    loss_, loss_curve_, best_loss_: mean loss over an epoch, each batch with the weights before its step, and
        the penalty, taken to change in a line over the epoch. best_loss_ is None with early_stopping.
    validation_scores_, best_validation_score_: accuracy on the rows held out, after each epoch.
    validation_loss_curve_: mean loss on them, without the penalty. All three are None without early_stopping.
    n_iter_: epochs of the last fit; t_: rows trained on since the first weights.
    n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_: as in scikit-learn.

    fit raises ValueError where the loss or a weight becomes infinite or nan; the weights are then those after
    the last good epoch.

    >>> from fastmlp import MLPClassifier
    >>> net = MLPClassifier(hidden_layer_sizes=(), learning_rate_init=0.1, tol=1e-3, random_state=0)
    >>> net.fit([[0.0], [1.0]], ["no", "yes"]).predict([[2.0]])
    array(['yes'], dtype='<U3')
    """

    class_weight: Any

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMLP._parameter_constraints,
        "loss": [str],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
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
        loss: str = "logits",
        class_weight: Any = None,
        scale: float = 1.0,
        callbacks: Any = None,
        progress: bool = False,
        threads: int | str = "auto",
        dtype: str = "auto",
    ) -> None:
        self._keep(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on X (N, D), an array, a DataFrame or a sparse matrix, and labels y (N,).

        sample_weight (N,): how much each row counts; 2 is as if it were there twice. Returns self.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    @available_if(lambda self: self._stochastic())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch on these rows, from where the last call ended. Returns self.

        classes: all labels that there will be; needed in the first call.
        """
        known = getattr(self, "classes_", None)
        if classes is None and known is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is not None:
            labels = unique_labels(classes)
            if known is not None and not np.array_equal(labels, known):
                raise ValueError(
                    f"classes={classes!r} is not the same as on the last call to fit or partial_fit: {known}."
                )
            self.classes_ = labels
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """The most probable label (N,) of each row of X (N, D)."""
        check_is_fitted(self)
        places = self.predict_proba(X).argmax(axis=1)
        labels: Array = np.asarray(self.classes_)[places]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (N, K), in the order of ``classes_``."""
        return self._outputs(X, "predict_proba")

    def predict_log_proba(self, X: Any) -> Array:
        """Their logarithms (N, K): finite also where a probability is too small to be told from 0."""
        z = self._outputs(X, "logits")
        z -= z.max(axis=1, keepdims=True)
        z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
        return z

    def _validate_params(self) -> None:
        super()._validate_params()
        checked_loss(self.loss, "classes")

    def _checked_data(self, X: Any, y: Any, first: bool, incremental: bool) -> tuple[Any, Array]:
        X, y = validate_data(self, X, y, accept_sparse="csr", order="C", multi_output=True, reset=first)
        kind = type_of_target(y, input_name="y")
        if kind.startswith("multilabel") or kind == "multiclass-multioutput":
            raise ValueError(
                f"y must have one label for each row; got a {kind} y of shape {y.shape}. For several, use "
                "sklearn.multioutput.MultiOutputClassifier, or OneVsRestClassifier."
            )
        if y.ndim == 2:
            y = column_or_1d(y, warn=True)
        if kind not in ("binary", "multiclass"):
            check_classification_targets(y)  # says what is wrong
        labels, indices = np.unique(y, return_inverse=True)
        if not incremental and (first or not hasattr(self, "classes_")):
            self.classes_ = labels
            return X, indices
        if len(np.unique(self.classes_)) < len(self.classes_):
            raise ModelError("classes_ must be different labels", shown(np.asarray(self.classes_).tolist()))
        if not np.isin(labels, self.classes_).all():
            raise ValueError(
                f"`y` must have no classes but those of the first call, {self.classes_}, got {labels}."
            )
        if not incremental and len(labels) != len(self.classes_):
            raise ValueError(
                f"warm_start needs a `y` with all classes of the fit before, {self.classes_}, got {labels}."
            )
        order = np.argsort(self.classes_)  # they may have been renamed
        return X, order[np.searchsorted(self.classes_, labels, sorter=order)][indices]

    def _row_weights(self, weights: Array | None, y: Array, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return weights
        if isinstance(self.class_weight, str):
            if incremental:
                raise ValueError(
                    "partial_fit does not support class_weight='balanced', which needs all rows. Pass a "
                    "dict, with the values of sklearn.utils.class_weight.compute_class_weight."
                )
            counts = np.bincount(y, weights, minlength=len(self.classes_)).astype(np.float64)
            present = counts > 0
            each = np.divide(counts.sum(), present.sum() * counts, where=present, out=np.zeros_like(counts))
        else:
            each = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
            if not (np.isfinite(each) & (each >= 0)).all():
                raise ValueError(f"class_weight must hold finite numbers from 0, got {self.class_weight!r}.")
        of_rows: Array = each[y]
        return of_rows if weights is None else of_rows * weights

    def _link(self) -> str:
        return "softmax"

    def _count_outputs(self, y: Array) -> int:
        return len(self.classes_)

    def _loss(self) -> str:
        return self.loss

    def _outputs_wanted(self) -> tuple[int | None, str]:
        if not hasattr(self, "classes_"):
            raise ModelError("classes_ must be the labels, one for each output", "none", "set it with coefs_")
        return len(self.classes_), "classes_"

    def _strata(self, y: Array) -> Array | None:
        return None

    def _score_of(self, z: Array, y: Array, weights: Array | None) -> float:
        return float(np.average(z.argmax(axis=1) == y, weights=weights))
