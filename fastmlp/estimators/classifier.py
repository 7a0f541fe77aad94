"""MLPClassifier: labels, class weights and probabilities; all else is BaseMLP's."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from fastmlp.checks import as_list, shown
from fastmlp.data.sparse import is_scipy_sparse
from fastmlp.errors import ModelError
from fastmlp.estimators.base import BaseMLP
from fastmlp.estimators.words import of_loss
from fastmlp.words.losses import LOSSES, Loss, form_of

Array = NDArray[Any]


class MLPClassifier(ClassifierMixin, BaseMLP):
    """A multilayer perceptron that classifies, to take ``sklearn.neural_network.MLPClassifier``'s place.

    X of float32 is computed in float32. Of any other number type, it is computed in float64 where it has
    5,000 values or fewer (rows times columns), or a column whose spread float32 would lose, under 1e-5 of
    its magnitude, or rows of a weight under 1e-15; else in float32, converted once. ``dtype="float64"`` or
    ``"float32"`` decide it. The choice is made in the first call, and kept by partial_fit and warm starts.
    ``coefs_`` and outputs have X's number type, as in scikit-learn.

    Parameters and attributes with scikit-learn's names mean the same, with these differences:

    - Weights of rows are not negative. A batch whose weights are all 0 changes nothing.
    - A training that diverges ends there: fit raises ValueError, or with early_stopping keeps the best epoch
      before, with a ConvergenceWarning, where scikit-learn goes on to max_iter.

    Parameters
    ----------
    hidden_layer_sizes: widths of the hidden layers; () for none, which is softmax regression.
    activation: identity, logistic, tanh, relu, or another that the engine has, such as gelu or elu:0.5; of
        every hidden layer, or a list of one for each.
    solver: adam or sgd; or lbfgs, over all rows in every step, in float64, with at most max_fun evaluations.
    alpha: of the L2 penalty 0.5 alpha sum(w^2) / B on the weights w, for a batch of B rows (with weights of
        rows: B is the sum of theirs).
    batch_size: "auto": 200, or all rows where they are fewer.
    learning_rate: of sgd: constant; invscaling: learning_rate_init / (t_ + 1)^power_t after every epoch;
        adaptive: divided by 5 whenever training would stop, until it is no more than 1e-6.
    learning_rate_init, power_t: see there.
    max_iter: the most epochs of a fit. ConvergenceWarning where they were too few.
    shuffle: whether every epoch has its own order of the rows.
    random_state: of the first weights, the rows held out and the orders, which are those of scikit-learn for
        the same int or generator; the same int gives the same bytes.
    tol, n_iter_no_change: training ends when the loss (with early_stopping: the validation score) has not got
        better by tol in more than so many epochs.
    verbose: prints a line an epoch.
    warm_start: fit continues the present net, its curves, and the count of epochs that got no better; the
        averages of the steps begin at zero.
    momentum, nesterovs_momentum: of sgd.
    early_stopping: holds rows out, scores them after every epoch, and keeps the weights of the best epoch. A
        warm start keeps those of its last epoch if none is better than the best of the fits before.
    validation_fraction: share of the rows that is held out; of two classes, that share of each.
    beta_1, beta_2, epsilon: of adam. epsilon is added to the root before its correction, as in scikit-learn.
    loss: log_loss, as in scikit-learn: two classes have one logistic output, several labels (a y of columns
        of 0 and 1) one for each, and other classes a softmax. Or by the engine's names: logits, or keras2 and
        clip:LO,HI, which clip p of the true class as old frameworks did, are of a softmax over two classes
        too: ``coefs_[-1]`` has two columns then. binary, or binary:LO,HI, which clips: the mean over labels.
    class_weight: {label: weight}, 1 for those left out; "balanced": all classes count the same (not in
        partial_fit). It is multiplied with sample_weight. Not of several labels.
    scale: X is divided by it: 255 suits pixel bytes.
    callbacks: a list; each is called callback(estimator) after every epoch; returning True ends training.
    progress: shows a bar, in a terminal or a notebook; elsewhere a line on stderr.
    threads: of the kernels, at most. "auto": as many as pay on this machine. Fewer in a worker of joblib or
        multiprocessing, and beside other fits: its share of the cores; and no more than OMP_NUM_THREADS,
        NUMBA_NUM_THREADS and threadpoolctl allow OpenMP. Results do not depend on it.
    dtype: "auto", "float64" or "float32", in which a net is computed: see above.
    dropout: share of a hidden layer's outputs that a step leaves out; of every layer, or a list.
    batch_norm: True: of every hidden layer, before its activation; "after": behind it; or a
        fastmlp.BatchNorm, or a list of one for each.
    optimizer: in place of the solver's, which is not asked then: a name of fastmlp.Optimizer's, such as
        rmsprop, or one itself. learning_rate_init, learning_rate and alpha are of it too. With lbfgs none
        of dropout, batch_norm and optimizer may be given.

    Attributes
    ----------
    classes_: (K,) the labels, in the order of the outputs; of several labels a row, their numbers.
    coefs_, intercepts_: W (fan_in, fan_out) and b (fan_out,) of every layer. They may be set, or changed in
        place; every method that reads them raises ValueError where they do not fit classes_, n_features_in_
        and each other. activation, batch_norm and scale stay those of the fit.
    norms_: of every hidden layer the batch norm's arrays, a fastmlp.net.Norm, or None. As coefs_ are.
    loss_, loss_curve_, best_loss_: mean loss and penalty over the rows of an epoch, those of each batch with
        the weights before its step. best_loss_ is None with early_stopping.
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

    _epsilon: float
    _links = ("softmax", "logistic")
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMLP._parameter_constraints,
        "loss": [of_loss("classes", "binary", own=["log_loss"])],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
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
        loss: str = "log_loss",
        class_weight: Any = None,
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
        if classes is not None and (known is None or not np.array_equal(classes, known)):
            labels = unique_labels(classes)
            if known is not None and not np.array_equal(labels, known):
                raise ValueError(
                    f"classes={classes!r} is not the same as on the last call to fit or partial_fit: {known}."
                )
            self.classes_ = labels
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """The most probable label (N,) of each row of X (N, D); of several labels 0 or 1 each, (N, K).

        Those are a CSR matrix where the first y was sparse.
        """
        p = self.predict_proba(X)
        if self._is_multilabel:
            labels: Array = (p > 0.5).astype(np.int64)
            return csr_matrix(labels) if getattr(self, "_sparse_y", False) else labels
        classes = np.asarray(self.classes_)
        places = np.minimum(p.argmax(axis=1), len(classes) - 1)  # one class has two columns, as there
        found: Array = classes[places]
        return found

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (N, K), in the order of ``classes_``; of several labels, each for itself."""
        if self._link() == "softmax":
            return self._outputs(X, "predict_proba")
        z = self._outputs(X, "logits")
        p: Array = expit(np.hstack([-z, z]) if z.shape[1] == 1 else z)  # a small one has all its digits
        return p

    def predict_log_proba(self, X: Any) -> Array:
        """Their logarithms (N, K)."""
        p = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            logs: Array = np.log(p, out=p)
        return logs

    # --- targets --------------------------------------------------------------------------------

    def _checked_data(self, X: Any, y: Any, first: bool, incremental: bool) -> tuple[Any, Array]:
        """X, and the places (N,) of labels in classes_ for a softmax; flags (N, K) for logistic outputs."""
        X, y = validate_data(self, X, y, accept_sparse="csr", order="C", multi_output=True, reset=first)
        kind = _kind_of(y)
        if kind == "multiclass-multioutput":
            raise ValueError(
                f"y must have one label for each row, or columns of 0 and 1; got a {kind} y of shape "
                f"{y.shape}. For several of more classes, use sklearn.multioutput.MultiOutputClassifier."
            )
        self._epsilon = float(np.finfo(X.dtype if X.dtype == np.float32 else np.float64).eps)
        several, is_sparse = kind == "multilabel-indicator", is_scipy_sparse(y)
        if several:
            y = y.toarray() if is_sparse else y
            labels = np.arange(y.shape[1])
        else:
            if kind not in ("binary", "multiclass"):
                check_classification_targets(y)  # says what is wrong
            y = column_or_1d(y, warn=True) if y.ndim == 2 else y
            different, y = np.unique(y, return_inverse=True)
            labels = unique_labels(different) if different.dtype == object else different
        if not incremental and (first or not hasattr(self, "classes_")):
            self.classes_ = labels
        else:
            places = self._places(labels, several, incremental)
            y = y if several else places[y]
        goes_on = self._goes_on(incremental)
        link = self._link_of(several, self._link() if goes_on else "logistic")
        self._keep_link(link, goes_on)
        if not goes_on:
            self._sparse_y = is_sparse
        if link == "softmax":
            return X, y
        return X, y.reshape(len(y), -1) != 0

    def _places(self, labels: Array, several: bool, incremental: bool) -> Array:
        """The places in classes_ of some labels. Raises ValueError for others, or too few."""
        if len(np.unique(self.classes_)) < len(self.classes_):
            raise ModelError("classes_ must be different labels", shown(np.asarray(self.classes_).tolist()))
        if not np.isin(labels, self.classes_).all():
            raise ValueError(
                f"`y` must have no classes but those of the first call, {self.classes_}, got {labels}."
            )
        if (several or not incremental) and len(labels) != len(self.classes_):
            raise ValueError(
                f"{'A multilabel y' if several else 'warm_start'} needs all classes of the fit before, "
                f"{self.classes_}, in `y`, got {labels}."
            )
        order = np.argsort(self.classes_)  # they may have been renamed
        places: Array = order[np.searchsorted(self.classes_, labels, sorter=order)]
        return places

    def _link_of(self, several: bool, of_two: str) -> str:
        """The outputs that the targets and the loss ask for: of two classes ``of_two``, where log_loss says
        nothing. Raises ValueError where targets and loss do not agree.
        """
        usual, task = self.loss == "log_loss", Loss.of(self.loss).task
        if several or len(self.classes_) > 2:
            wanted = "binary" if several else "classes"
            if not usual and task != wanted:
                what = "several labels" if several else "more than two classes"
                names = [form_of(name) for name, word in LOSSES.items() if word.task == wanted]
                raise ValueError(
                    f"The 'loss' parameter of {type(self).__name__} must be {', '.join(names)} (or log_loss) "
                    f"for {what}. Got {self.loss!r} instead."
                )
            return "logistic" if several else "softmax"
        if not usual and task == "classes" and len(self.classes_) < 2:
            raise ValueError(
                f"y must have at least two classes with loss={self.loss!r}; got {self.classes_}."
            )
        return of_two if usual else {"binary": "logistic", "classes": "softmax"}[task]

    def _link(self) -> str:
        given = getattr(self, "out_activation_", None)
        if given is None:  # weights that were set by hand
            given = "logistic" if self._columns() == 1 else "softmax"
        return str(given)

    @property
    def _is_multilabel(self) -> bool:
        """Say whether each output is a label of its own."""
        return self._link() == "logistic" and (self._columns() or 1) > 1

    def _columns(self) -> int | None:
        """The columns of the last weights, where they have any."""
        *_, last = as_list(getattr(self, "coefs_", None)) or [None]
        try:
            shape = np.shape(last)
        except ValueError:  # rows of different lengths
            return None
        return shape[1] if len(shape) == 2 else None

    def _row_weights(self, weights: Array | None, y: Array, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return weights
        if y.ndim == 2 and y.shape[1] > 1:
            raise ValueError("class_weight must be None for several labels. Use sample_weight.")
        y = y.reshape(len(y)).astype(np.int64)
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

    def _count_outputs(self, y: Array) -> int:
        return y.shape[1] if y.ndim == 2 else len(self.classes_)

    def _loss(self) -> str:
        return "binary_log_loss" if self.loss == "log_loss" and self._link() == "logistic" else self.loss

    def _capped_loss(self) -> str:
        return f"{self._loss()}:{self._epsilon!r}" if self.loss == "log_loss" else self._loss()

    def _outputs_wanted(self) -> tuple[int | None, str]:
        if not hasattr(self, "classes_"):
            raise ModelError("classes_ must be the labels, one for each output", "none", "set it with coefs_")
        labels = len(self.classes_)
        if labels <= 2 and self._link() == "logistic" and self._columns() != labels:
            return 1, "classes_"  # else each of two labels has its own
        return labels, "classes_"

    def _strata(self, y: Array) -> Array | None:
        return np.where(y[:, 0], "True", "False") if y.shape[1:] == (1,) else None  # as scikit-learn

    def _score_of(self, z: Array, y: Array, weights: Array | None) -> float:
        if self._link() == "softmax":
            right = z.argmax(axis=1) == y
        else:
            right = (((z > 0) & (len(self.classes_) > 1)) == y).all(axis=1)  # one class is always the answer
        return float(np.average(right, weights=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _kind_of(y: Any) -> str:
    """``type_of_target``, which takes as long as an epoch: asked of what is not a column of whole numbers."""
    if y.ndim == 1 and y.dtype.kind in "biu" and 2 * len(np.unique(y)) < len(y):
        return "multiclass"
    return str(type_of_target(y, input_name="y"))
