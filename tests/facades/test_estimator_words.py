"""The engine's words as parameters of the estimators: dropout, batch norm, activations, optimizers."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from estimator_cases import BOTH, SMALL, close_nets, iris, same_nets
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from fastmlp import (
    Architecture,
    BatchNorm,
    MLPClassifier,
    MLPRegressor,
    Net,
    Optimizer,
    Parameters,
    kernels,
    reference,
)
from fastmlp.net import Norm
from fastmlp.words.activations import ACTIVATIONS
from fastmlp.words.layers import layers_of
from fastmlp.words.optimizers import OPTIMIZERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = iris()
NUMBERS = X @ [1.0, -2, 3, 0.5]
WORDS = {
    "dropout": {"dropout": 0.3},
    "dropouts": {"dropout": [0.0, 0.5]},
    "batch norm": {"batch_norm": True},
    "after": {"batch_norm": "after", "dropout": 0.1},
    "norms": {"batch_norm": [BatchNorm("before", 0.9, 1e-5, True), False]},
    "activations": {"activation": ["gelu", "logistic"]},
    "a number": {"activation": "leaky_relu:0.3"},
    "a name": {"optimizer": "rmsprop"},
    "a rule": {"optimizer": Optimizer("adamw", weight_decay=0.1, clip_norm=0.5)},
}
ALL = pytest.mark.parametrize("words", WORDS.values(), ids=WORDS.keys())
KINDS = pytest.mark.parametrize("dtype", ["float32", "float64"])


def target(Net):
    return Y if Net is MLPClassifier else NUMBERS


def answers(net, X=X):
    return net.predict_proba(X) if hasattr(net, "predict_proba") else net.predict(X)


# --- what they mean -----------------------------------------------------------------------------


@KINDS
@ALL
@pytest.mark.parametrize("weighted", [False, True])
def test_an_epoch_is_the_engines(words, dtype, weighted):
    """One batch, from the first weights: the step that the engine's own functions take."""
    y = (Y == 1)[:, None]
    options = {
        **SMALL, **words, "dtype": dtype, "max_iter": 1, "batch_size": 150, "shuffle": False, "alpha": 0.2,
        "learning_rate_init": 0.01,
    }  # fmt: skip
    weights = np.linspace(0.5, 0.99, 150) if weighted else None
    first = MLPClassifier(**{**options, "learning_rate_init": 1e-30}).fit(X, Y == 1, sample_weight=weights)
    net = MLPClassifier(**options).fit(X, Y == 1, sample_weight=weights)
    acts = {"logistic": "sigmoid"}
    act = words.get("activation", "relu")
    layers = layers_of(
        (8, 5), [acts.get(a, a) for a in act] if isinstance(act, list) else act,
        dropout=words.get("dropout", 0.0), batch_norm=words.get("batch_norm", False),
    )  # fmt: skip
    norms = [
        None if layer.batch_norm is None else Norm(*(np.full(layer.width, v, dtype) for v in (1, 0, 0, 1)))
        for layer in layers
    ]
    start = Parameters(
        *([a.astype(dtype) for a in arrays] for arrays in (first.coefs_, first.intercepts_)), norms
    )
    rule = words.get("optimizer", Optimizer("adam", form="keras", epsilon=1e-8))
    rule = Optimizer(rule) if isinstance(rule, str) else rule
    rule = rule.but(alpha=0.2 * 150 / (150 if weights is None else weights.sum()))
    nn = kernels if dtype == "float32" else reference
    nn.train_epoch(
        Net(Architecture(4, layers, 1), start), X.astype(dtype), y, np.arange(150), loss="binary_log_loss",
        lr=0.01, batch_size=150, optimizer=rule, sample_weight=weights, seed=net._seed,
    )  # fmt: skip
    near = {"rtol": 2e-4, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-11}
    for ours, its in zip([*net.coefs_, *net.intercepts_], [*start.weights, *start.biases], strict=True):
        np.testing.assert_allclose(ours, its, **near)
    for ours, its in zip(net.norms_, start.norms, strict=True):
        assert (ours is None) == (its is None)
        for a, b in zip(ours or (), its or (), strict=True):
            np.testing.assert_allclose(a, b, **near)
    p = nn.predict_proba(Net(Architecture(4, layers, 1), start), X.astype(dtype), loss="binary")
    np.testing.assert_allclose(net.predict_proba(X)[:, 1:], p, rtol=2e-3 if dtype == "float32" else 1e-8)


@BOTH
@KINDS
def test_words_change_a_training_and_defaults_do_not(Net, dtype):
    options = {**SMALL, "dtype": dtype}
    y, plain = target(Net), Net(**options).fit(X, target(Net))
    for words in WORDS.values():
        net = Net(**options, **words).fit(X, y)
        assert not same_nets(net, plain), words
        assert np.isfinite(answers(net)).all()
        assert same_nets(Net(**options, **words).fit(X, y), net), "the same random_state"
    for words in ({"dropout": [0, 0]}, {"batch_norm": "none"}, {"activation": ["relu", "relu"]}):
        assert same_nets(Net(**options, **words).fit(X, y), plain), words
    assert plain.norms_ == [None, None]


def test_dropout_is_by_the_random_state_and_new_in_every_epoch():
    nets = [
        MLPClassifier(**{**SMALL, "random_state": r, "shuffle": False}, dropout=0.5).fit(X, Y) for r in (1, 2)
    ]
    assert nets[0]._seed != nets[1]._seed
    ends = []
    for epochs in ([4], [2, 2], [1, 1, 1, 1]):
        net = MLPRegressor(
            **{**SMALL, "shuffle": False, "solver": "sgd", "momentum": 0}, dropout=0.5, warm_start=True
        )
        for n in epochs:
            net.set_params(max_iter=n).fit(X, NUMBERS)
        ends.append(net)
    close_nets(ends[0], ends[1], atol=1e-12)
    close_nets(ends[0], ends[2], atol=1e-12)


@pytest.mark.parametrize("name", [*ACTIVATIONS, "elu:0.5", "logistic"])
def test_every_activation_trains(name):
    nets = [
        MLPClassifier(**SMALL, activation=act, dtype=dtype).fit(X, Y)
        for act, dtype in itertools.product((name, [name, name]), ("float32", "float64"))
    ]
    assert same_nets(nets[0], nets[2])
    assert same_nets(nets[1], nets[3])
    close_nets(nets[0], nets[1], atol=2e-4)
    if name == "sigmoid":
        assert same_nets(MLPClassifier(**SMALL, activation="logistic", dtype="float64").fit(X, Y), nets[1])


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])
def test_every_optimizer_trains_at_every_schedule(name, schedule):
    options = {
        **SMALL,
        "learning_rate": schedule,
        "learning_rate_init": 0.01,
        "tol": 0.5,
        "n_iter_no_change": 1,
    }
    net = MLPClassifier(**options, optimizer=name, dtype="float64").fit(X, Y)
    assert net._optimizer.optimizer.but(alpha=0.0) == Optimizer(name)
    assert net._optimizer.learning_rate == (
        0.01 if schedule == "constant" else pytest.approx(net._optimizer.learning_rate)
    )
    assert (net._optimizer.learning_rate < 0.01) == (schedule != "constant")
    other = MLPClassifier(**options, optimizer=Optimizer(name), dtype="float64", solver="sgd").fit(X, Y)
    assert same_nets(net, other), "a solver is not asked"


def test_first_weights_are_bounded_by_each_layers_activation():
    still = {**SMALL, "learning_rate_init": 1e-30, "max_iter": 1, "hidden_layer_sizes": (90, 80)}
    for acts, factors in ((["sigmoid", "relu"], (2, 6, 6)), (["relu", "logistic"], (6, 2, 2))):
        net = MLPClassifier(activation=acts, **still).fit(X, Y)
        for W, factor in zip(net.coefs_, factors, strict=True):
            bound = np.sqrt(factor / sum(W.shape))
            assert 0.9 * bound < np.abs(W).max() <= bound
    assert same_nets(
        *(MLPClassifier(activation=act, **still).fit(X, Y) for act in ("logistic", ["logistic"] * 2))
    )


# --- batch norms as fitted attributes -----------------------------------------------------------


@BOTH
@KINDS
@pytest.mark.parametrize("early", [False, True])
def test_batch_norms_live_on(Net, dtype, early):
    options = {
        **SMALL,
        "batch_norm": "after:0.9,0.001",
        "dtype": dtype,
        "early_stopping": early,
        "warm_start": True,
    }
    y, net = target(Net), Net(**options, dropout=0.2).fit(X, target(Net))
    assert [norm.gamma.shape for norm in net.norms_] == [(8,), (5,)]
    assert not np.array_equal(net.norms_[0].mean, np.zeros(8))
    for again in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert np.array_equal(answers(again), answers(net))
        if not early:
            close_nets(again.partial_fit(X, y), copy.deepcopy(net).partial_fit(X, y), atol=1e-12)
    other = clone(net)
    assert not hasattr(other, "norms_")
    assert other.get_params() == net.get_params()
    before = copy.deepcopy(net.norms_)
    net.fit(X, y)
    assert not np.array_equal(net.norms_[0].mean, before[0].mean)
    net.set_params(warm_start=False, batch_norm=False).fit(X, y)
    assert net.norms_ == [None, None]


@BOTH
@KINDS
def test_batch_norms_may_be_put_in(Net, dtype):
    y, options = target(Net), {**SMALL, "batch_norm": [True, False], "dtype": dtype}
    net, other = (Net(**{**options, "random_state": r}).fit(X, y) for r in (1, 2))
    new = Net(**options)
    for name in ("coefs_", "intercepts_", "norms_", "classes_", "n_outputs_"):
        if hasattr(net, name):
            setattr(new, name, getattr(net, name))
    assert np.array_equal(answers(new), answers(net))
    was = answers(net)
    net.norms_ = other.norms_
    assert not np.array_equal(answers(net), was)
    net.norms_[0].beta[...] = 9
    changed = answers(net)
    net.partial_fit(X, y)
    assert not np.array_equal(answers(net), changed)


def norm(beta=0, variance=1):
    return Norm(*(np.full(8, float(value)) for value in (1, beta, 0, variance)))


NORM = norm()


@pytest.mark.parametrize(
    ("norms", "match"),
    [
        ([None], "norms_ must be a list of a Norm or None for each hidden layer"),
        ([NORM, 3], "norms_ must be a list of a Norm"),
        (7, "norms_ must be a list of a Norm"),
        ([NORM, NORM], "norms must be as wide as the hidden layers"),
        ([None, None], "must have the batch norms of the net"),
        ([norm(variance=-1), None], "variance of each of norms_ must be 0"),
        ([norm(beta=np.nan), None], "norms_ must be finite"),
    ],
)  # fmt: skip
def test_norms_that_do_not_fit_are_refused(norms, match):
    net = MLPClassifier(**SMALL, batch_norm=[True, False]).fit(X, Y)
    net.norms_ = norms
    for ask in (lambda: net.predict(X), lambda: net.partial_fit(X, Y)):
        with pytest.raises(ValueError, match=match) as caught:
            ask()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"batch_norm": False},
        {"batch_norm": "after"},
        {"activation": "tanh"},
        {"activation": ["relu", "tanh"]},
    ],
    ids=str,
)
def test_what_a_net_is_stays_that_of_the_fit(change):
    (name,) = change
    net = MLPClassifier(**SMALL, batch_norm=True, warm_start=True).fit(X, Y).set_params(**change)
    for ask in (lambda: net.predict(X), lambda: net.partial_fit(X, Y), lambda: net.fit(X, Y)):
        with pytest.raises(ValueError, match=f"{name} must be that of the fit"):
            ask()
    net.set_params(batch_norm=True, activation="relu", dropout=0.4, optimizer="sgd").fit(X, Y)


# --- checked, searched and cloned ---------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 1.0}, {"dropout": -0.1}, {"dropout": "0.5"}, {"dropout": [0.1, 2]}, {"dropout": None},
        {"batch_norm": "both"}, {"batch_norm": 3}, {"batch_norm": "after:2,1"}, {"batch_norm": [True, "x"]},
        {"activation": "softmax"}, {"activation": ["relu", "swish"]}, {"activation": 3},
        {"activation": "leaky_relu:-1"}, {"activation": None}, {"optimizer": "lion"}, {"optimizer": 3},
        {"optimizer": Optimizer("sgd", alpha=0.1)}, {"optimizer": ["sgd"]},
    ],
    ids=str,
)  # fmt: skip
@BOTH
def test_bad_words_are_named(Net, options):
    ((name, value),) = options.items()
    net = Net(**options)  # nothing is said before fit
    assert net.get_params()[name] is value
    with pytest.raises(
        InvalidParameterError, match=f"The '{name}' parameter of {Net.__name__} must be .* Got"
    ):
        net.fit(X, target(Net))
    assert not hasattr(net, "coefs_")


@pytest.mark.parametrize(
    "words", [{"dropout": [0.1] * 3}, {"batch_norm": [True] * 3}, {"activation": ["relu"] * 4}], ids=str
)
@BOTH
def test_a_list_has_one_for_each_hidden_layer(Net, words):
    (name,) = words
    net = Net(**SMALL, **words)
    with pytest.raises(
        ValueError, match=f"{'act' if name == 'activation' else name} must be one value, or one for each of 2"
    ):
        net.fit(X, target(Net))
    net.set_params(hidden_layer_sizes=[4] * len(words[name])).fit(X, target(Net))
    if name != "activation":
        with pytest.raises(ValueError, match=r"must be|must come with a hidden layer"):
            net.set_params(hidden_layer_sizes=()).fit(X, target(Net))


@pytest.mark.parametrize("words", [{"dropout": 0.1}, {"batch_norm": True}, {"optimizer": "sgd"}], ids=str)
def test_lbfgs_has_no_use_for_some(words):
    (name,) = words
    with pytest.raises(ValueError, match=rf"The '{name}' parameter .* left out with solver='lbfgs'\. Got"):
        MLPClassifier(solver="lbfgs", **words).fit(X, Y)
    assert MLPClassifier(solver="lbfgs", activation=["gelu"], max_iter=5).fit(X, Y).score(X, Y) > 0.5


@ALL
@BOTH
def test_searches_pipelines_and_clones(Net, words):
    net = Net(**SMALL, **words)
    assert clone(net).get_params() == net.get_params()
    assert str(net).startswith(Net.__name__)
    y = target(Net)
    grid = {name: [value, Net().get_params()[name]] for name, value in words.items()}
    search = GridSearchCV(net, grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 2 ** len(words)
    pipe = make_pipeline(StandardScaler(), Net(**SMALL))
    pipe.set_params(**{f"{Net.__name__.lower()}__{name}": value for name, value in words.items()})
    assert np.isfinite(cross_val_score(pipe, X, y, cv=2, error_score="raise")).all()


@pytest.mark.parametrize("word", [{}, {"a": 1}, [[]], set()], ids=str)
def test_what_is_no_word_is_told_so_after_a_fit_too(word):
    """Words are checked once for many fits: by their hash, which these have not."""
    net = MLPClassifier(**SMALL).fit(*iris()).set_params(dropout=word)
    with pytest.raises(ValueError, match="dropout must be a number from 0"):
        net.predict(iris()[0])
    with pytest.raises(ValueError, match="The 'dropout' parameter"):
        net.fit(*iris())
