"""Bridge: estimators as scikit-learn's own, and back; to_model and from_model, whose work models.py does.

Both sides predict the same. What the other side has no word for is folded into the weights where that is
exact, and refused where it is not.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import neural_network
from sklearn.base import ClassifierMixin
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from fastmlp.backends.state import OptimizerState
from fastmlp.checks import shown
from fastmlp.errors import ModelError
from fastmlp.estimators import models
from fastmlp.estimators.schedule import ScheduledOptimizer
from fastmlp.estimators.words import ACTS, adam, sgd
from fastmlp.fold import folded
from fastmlp.model import Model
from fastmlp.net import Parameters

_FITTED = (
    "n_features_in_", "feature_names_in_", "n_iter_", "t_", "loss_", "loss_curve_", "best_loss_",
    "validation_scores_", "best_validation_score_", "_no_improvement_count",
)  # fmt: skip


class Bridge:
    """The four ways over, for MLPClassifier and MLPRegressor, and the page that documents them."""

    def to_sklearn(self) -> Any:
        """Return scikit-learn's own estimator, with the same parameters, which predicts the same.

        One that is fitted has all fitted attributes, in arrays of its own, and its optimizer's averages, so
        that partial_fit and warm starts go on with it. It needs no fastmlp: tools that know scikit-learn's
        estimators, such as skl2onnx and skops, take it.

        ``scale`` and batch norms are folded into the weights, and two softmax outputs into a logistic one;
        the optimizer's averages begin anew then. Words that scikit-learn lacks and that only training has a
        use for, such as ``class_weight`` and ``dropout``, stay behind. Raises ModelError, which is a
        ValueError, for activations that it has not, or that differ from layer to layer.
        """
        return _to_sklearn(self)

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Self:
        """Make one of scikit-learn's own estimator, fitted or not, which predicts the same and goes on alike.

        Parameters, fitted attributes and the optimizer's averages are copied. Raises TypeError for anything
        but scikit-learn's estimator of this name.
        """
        made: Self = _from_sklearn(cls, estimator)
        return made

    def to_model(self) -> Model:
        """Return the fitted net as a ``fastmlp.Model``, in float32: for its file and the command line.

        Its training tells the parameters in the engine's words, without a schedule; of ``lbfgs`` the net and
        the loss alone. Raises ModelError, which is a ValueError, for classes that are not ints, floats, bools
        or texts in ascending order.
        """
        check_is_fitted(self)
        return models.to_model(self)

    @classmethod
    def from_model(cls, model: Model) -> Self:
        """Make a fitted estimator of a ``fastmlp.Model``, which predicts the same; its training begins anew.

        A scale for each column, and that of the targets, are folded into the weights, in float64 then.
        Raises ModelError, which is a ValueError, for a model of a table, of which an array is not enough, and
        for one of numbers where classes are wanted, or the other way round.
        """
        made: Self = models.from_model(cls, model)
        return made

    def _get_doc_link(self) -> str:
        """The page that scikit-learn's HTML leads to: of its own estimator, whose parameters these are."""
        link: str = _counterpart(type(self))()._get_doc_link()
        return link


def _counterpart(cls: type) -> Any:
    """scikit-learn's class of the same kind."""
    is_classifier = issubclass(cls, ClassifierMixin)
    return neural_network.MLPClassifier if is_classifier else neural_network.MLPRegressor


# --- to scikit-learn ------------------------------------------------------------------------------


def _to_sklearn(ours: Any) -> Any:
    Theirs = _counterpart(type(ours))
    told = ours.get_params(deep=False)
    words = {name: deepcopy(told[name]) for name in Theirs().get_params() if name in told}
    words["activation"] = _activation(ours)
    if "loss" in words and words["loss"] != "poisson":
        words["loss"] = "poisson" if ours._link() == "exp" else "squared_error"
    theirs = Theirs(**words)
    if not ours.__sklearn_is_fitted__():
        return theirs
    plain = _Plain.of(ours)
    parameters = plain.parameters
    theirs.coefs_, theirs.intercepts_ = list(parameters.weights), list(parameters.biases)
    theirs.n_layers_, theirs.n_outputs_ = len(parameters.weights) + 1, parameters.shapes[-1][1]
    theirs.out_activation_ = plain.link
    theirs.n_features_in_, theirs.t_, theirs.n_iter_ = parameters.shapes[0][0], 0, 0  # of weights set by hand
    for name in _FITTED:
        if hasattr(ours, name):
            setattr(theirs, name, deepcopy(getattr(ours, name)))
    theirs._best_coefs, theirs._best_intercepts = theirs.coefs_, theirs.intercepts_  # as it leaves them
    if isinstance(theirs, ClassifierMixin):
        theirs.classes_ = np.array(ours.classes_)
        theirs._label_binarizer = _binarizer(theirs.classes_, ours._is_multilabel)
    if not plain.is_changed and (optimizer := _their_optimizer(ours, parameters)) is not None:
        theirs._optimizer = optimizer
    return theirs


def _activation(ours: Any) -> str:
    """scikit-learn's name of the hidden layers' activation. Raises ModelError where it has none."""
    names = {act: name for name, act in ACTS.items()}
    acts = set(ours._acts(len(ours._widths())))
    if not acts <= set(names) or len(acts) > 1:
        raise ModelError(
            f"activation must be one of {', '.join(ACTS)}, the same in every hidden layer, for "
            "scikit-learn's estimator",
            shown(ours.activation),
            "to_model() takes any",
        )
    if not acts:  # any will do
        return str(ours.activation) if ours.activation in [*ACTS] else "relu"
    return names[acts.pop()]


@dataclass(frozen=True)
class _Plain:
    """A net's parameters, copies, with all folded in that is neither a weight nor an activation.

    link:       of its outputs, by scikit-learn's name.
    is_changed: whether a weight is another for that.
    """

    parameters: Parameters
    link: str
    is_changed: bool

    @classmethod
    def of(cls, ours: Any) -> Self:
        """The parameters of a fitted estimator."""
        given = ours._net(ours._parameters())
        dtype = np.result_type(given.parameters.dtype, np.asarray(ours.coefs_[0]).dtype)
        net, scale, link = folded(given), float(given.preprocessing.scale), ours._link()
        is_of_two = link == "softmax" and net.parameters.weights[-1].shape[1] == 2
        parameters = net.parameters.astype(dtype)
        weights, biases = [*parameters.weights], [*parameters.biases]
        with np.errstate(over="ignore"):  # found out below
            weights[0] = weights[0] / dtype.type(scale)
        if is_of_two:  # sigmoid(z1 - z0) is the softmax of z0 and z1
            weights[-1], biases[-1] = (np.diff(array) for array in (weights[-1], biases[-1]))
        plain = Parameters(tuple(weights), tuple(biases))
        if not plain.finite:
            raise ModelError("weights must stay finite when scale is folded into them", f"scale {scale:g}")
        return cls(
            plain,
            "logistic" if is_of_two else link,
            is_changed=net is not given or scale != 1 or is_of_two,
        )


def _binarizer(classes: NDArray[Any], is_multilabel: bool) -> Any:
    """The object by which scikit-learn turns labels into outputs, and back."""
    binarizer = LabelBinarizer().fit(np.eye(len(classes), dtype=int) if is_multilabel else classes)
    binarizer.classes_ = classes  # in their own order
    return binarizer


def _their_optimizer(ours: Any, parameters: Parameters) -> Any:
    """scikit-learn's optimizer with the averages of ours; None where there is none, or none such."""
    found: ScheduledOptimizer | None = getattr(ours, "_optimizer", None)
    if found is None:
        return None
    rule, params = found.optimizer, _packed(parameters)
    moments = [_packed(moment.astype(parameters.dtype)) for moment in found.state.moments]
    if rule == sgd(rule.momentum, rule.nesterov):
        theirs = SGDOptimizer(
            params, found.first, found.schedule, rule.momentum, rule.nesterov, found.power_t
        )
        theirs.learning_rate = found.learning_rate
        if moments:
            theirs.velocities = [-array for array in moments[0]]
        return theirs
    if rule.name == "adam" and rule == adam(rule.beta1, rule.beta2, rule.epsilon):
        theirs = AdamOptimizer(params, found.first, rule.beta1, rule.beta2, rule.epsilon)
        theirs.t, (theirs.ms, theirs.vs) = found.state.steps, moments
        return theirs
    return None


def _packed(parameters: Parameters) -> list[NDArray[Any]]:
    """The arrays in scikit-learn's order: all weights, then all biases."""
    return [*parameters.weights, *parameters.biases]


# --- from scikit-learn ----------------------------------------------------------------------------


def _from_sklearn(cls: Any, theirs: Any) -> Any:
    Theirs = _counterpart(cls)
    if not isinstance(theirs, Theirs):
        raise TypeError(
            f"{cls.__name__}.from_sklearn must be given a {Theirs.__module__.rpartition('.')[0]}."
            f"{Theirs.__name__}; got {type(theirs).__module__}.{type(theirs).__name__}."
        )
    ours = cls(**deepcopy(theirs.get_params(deep=False)))
    if not hasattr(theirs, "coefs_"):
        return ours
    if isinstance(theirs, ClassifierMixin):
        ours.classes_ = deepcopy(theirs.classes_)
        ours._sparse_y = theirs._label_binarizer.sparse_input_
    ours.out_activation_ = theirs.out_activation_
    parameters = Parameters(tuple(theirs.coefs_), tuple(theirs.intercepts_)).copy()
    ours._store(parameters)
    ours._reset(parameters)
    for name in _FITTED:
        if hasattr(theirs, name):
            setattr(ours, name, deepcopy(getattr(theirs, name)))
    if hasattr(theirs, "loss_curve_"):
        scores = theirs.validation_scores_
        ours.validation_loss_curve_ = None if scores is None else [math.nan] * len(scores)  # not known
    if hasattr(theirs, "_optimizer"):
        ours._optimizer = _our_optimizer(theirs._optimizer, parameters)
    return ours


def _our_optimizer(theirs: Any, parameters: Parameters) -> ScheduledOptimizer:
    """The optimizer with the averages of scikit-learn's."""
    if isinstance(theirs, AdamOptimizer):
        rule, schedule, power_t = adam(theirs.beta_1, theirs.beta_2, theirs.epsilon), "constant", 0.5
        averages, steps = [theirs.ms, theirs.vs], theirs.t
    else:
        rule, schedule, power_t = sgd(theirs.momentum, theirs.nesterov), theirs.lr_schedule, theirs.power_t
        averages, steps = [[-array for array in theirs.velocities]][: rule.moments], 0
    ours = ScheduledOptimizer.start(parameters, rule, float(theirs.learning_rate_init), schedule, power_t)
    if isinstance(theirs, SGDOptimizer):
        ours.learning_rate = float(theirs.learning_rate)
    count = len(parameters.weights)
    moments = (Parameters(tuple(arrays[:count]), tuple(arrays[count:])).copy() for arrays in averages)
    ours.state = OptimizerState(steps, tuple(moments))
    return ours
