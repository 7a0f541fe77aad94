"""solver="lbfgs": scikit-learn's own steps, its ends and warnings, and those who look on."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

import scipy.optimize
import sklearn.neural_network as theirs
from estimator_cases import BOTH, close_nets, iris, line, same_nets
from scipy import sparse
from scipy.optimize import OptimizeResult
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators import lbfgs
from fastmlp.estimators.threads import _blas

LBFGS = {"solver": "lbfgs", "hidden_layer_sizes": (8, 5), "random_state": 3}
FEW = {**LBFGS, "max_iter": 12}

few = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def data(Net):
    return iris() if Net is MLPClassifier else line(K=2)


def fitted(net, *args, **options):
    """The net, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.fit(*args, **options)
    return net, [(w.category, str(w.message)) for w in caught]


def starts(warned):
    """The classes of warnings, and their first words, by which a program may filter them."""
    return [(category, message[:30]) for category, message in warned]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 1.0, "activation": "tanh"},
        {"activation": "logistic", "hidden_layer_sizes": 7},
        {"activation": "identity", "tol": 0.1},
        {"max_fun": 9},
        {"max_iter": 1},
        {"early_stopping": True, "batch_size": 7, "shuffle": False, "n_iter_no_change": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("weighted", [False, True])
@BOTH
def test_the_same_net_as_scikit_learn(Net, options, weighted):
    X, y = data(Net)
    w = np.random.default_rng(0).integers(0, 4, len(X)).astype(float) if weighted else None
    options = {**FEW, **options}
    (ours, said), (other, heard) = (
        fitted(kind(**options), X, y, sample_weight=w) for kind in (Net, getattr(theirs, Net.__name__))
    )
    close_nets(ours, other, atol=1e-8)
    assert ours.loss_ == pytest.approx(other.loss_, rel=1e-10)
    assert (ours.n_iter_, ours.t_) == (other.n_iter_, other.t_)
    assert starts(said) == starts(heard)
    for name in ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"):
        assert not hasattr(ours, name)
        assert not hasattr(other, name)


@few
@pytest.mark.parametrize("targets", ["two classes", "labels", "counts", "one label of a row", "a column"])
def test_targets_of_other_kinds(targets):
    X, y = line(K=3)
    options = dict(FEW)
    kind = "MLPClassifier"
    if targets == "counts":
        kind, y, options["loss"] = "MLPRegressor", np.round(np.exp(y[:, 0] / 4)), "poisson"
    elif targets == "a column":
        kind, y = "MLPRegressor", y[:, 0]
    else:
        y = {"two classes": y[:, 0] > 0, "labels": y > 0, "one label of a row": y.argmax(axis=1)}[targets]
        y = y.astype(int)
    ours, other = (getattr(module, kind)(**options).fit(X, y) for module in (fastmlp, theirs))
    close_nets(ours, other, atol=1e-8)
    assert ours.loss_ == pytest.approx(other.loss_, rel=1e-10)
    assert np.array_equal(ours.predict(X), other.predict(X)) or kind == "MLPRegressor"


def test_a_comparison_of_nets_goes_red():
    X, y = line()
    one, two = (fitted(MLPRegressor(**{**FEW, "alpha": alpha}), X, y)[0] for alpha in (0.0, 1e-4))
    with pytest.raises(AssertionError):
        close_nets(one, two, atol=1e-8)


@BOTH
def test_one_that_converges_says_nothing_and_is_as_good(Net):
    X, y = data(Net)
    options = {**LBFGS, "max_iter": 2000, "alpha": 0.1}
    (ours, said), (other, _) = (
        fitted(kind(**options), X, y) for kind in (Net, getattr(theirs, Net.__name__))
    )
    assert not said
    assert ours.score(X, y) == pytest.approx(other.score(X, y), abs=0.01)
    assert ours.loss_ == pytest.approx(other.loss_, rel=0.05)  # valleys apart: small sums differ


@few
def test_a_column_of_targets_and_forms_of_X():
    X, y = line()
    X = np.where(abs(X) < 0.7, 0.0, X)
    net = MLPRegressor(**FEW).fit(X, y)
    close_nets(MLPRegressor(**FEW).fit(sparse.csr_array(X), y), net, atol=1e-12)
    assert same_nets(MLPRegressor(**FEW).fit(np.asfortranarray(X), y), net)
    assert same_nets(MLPRegressor(**{**FEW, "threads": 2}).fit(X, y), net)
    assert same_nets(MLPRegressor(**{**FEW, "scale": 4.0}).fit(X * 4, y), net)


@few
@BOTH
def test_the_number_type_is_that_of_X(Net):
    X, y = data(Net)
    for dtype, tolerance in ((np.float32, 1e-4), (np.float64, 1e-8)):
        ours, other = (kind(**FEW).fit(X.astype(dtype), y) for kind in (Net, getattr(theirs, Net.__name__)))
        assert {array.dtype for array in ours.coefs_ + ours.intercepts_} == {np.dtype(dtype)}
        close_nets(ours, other, atol=tolerance)  # scikit-learn's are float64 for both


@few
@BOTH
def test_a_warm_start_goes_on(Net):
    X, y = data(Net)
    options = {**FEW, "warm_start": True}
    (ours, other) = (kind(**options).fit(X, y).fit(X, y) for kind in (Net, getattr(theirs, Net.__name__)))
    close_nets(ours, other, atol=1e-7)
    assert ours.n_iter_ == other.n_iter_
    assert ours.loss_ < Net(**FEW).fit(X, y).loss_


@few
@BOTH
def test_solvers_one_after_the_other(Net):
    """A warm start by another solver goes on from the weights; curves begin where they were none."""
    X, y = data(Net)
    net = Net(**{**FEW, "warm_start": True}).fit(X, y)
    before = net.loss_
    net.set_params(solver="adam", max_iter=3).fit(X, y)
    assert len(net.loss_curve_) == net.n_iter_ == 3
    assert net.loss_curve_[0] == pytest.approx(before, rel=1e-6)
    net.partial_fit(X, y)
    assert net.set_params(solver="lbfgs", max_iter=30).fit(X, y).loss_ < before
    assert len(net.loss_curve_) == 4  # of the same net
    net.set_params(warm_start=False).fit(X, y)
    assert not hasattr(net, "loss_curve_")


@BOTH
def test_there_is_no_partial_fit(Net):
    net = Net(solver="lbfgs")
    assert not hasattr(net, "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        net.partial_fit([[0.0]], [0])
    assert hasattr(clone(net).set_params(solver="sgd"), "partial_fit")


@BOTH
@pytest.mark.parametrize("max_fun", [0, -1, 1.5, "many"])
def test_max_fun_must_be_a_whole_number(Net, max_fun):
    with pytest.raises(ValueError, match=f"The 'max_fun' parameter of {Net.__name__} must be .* Got"):
        Net(solver="lbfgs", max_fun=max_fun).fit(*data(Net))


def test_rows_that_do_not_count_are_refused():
    net = MLPClassifier(**FEW, class_weight=dict.fromkeys(range(3), 0))
    with pytest.raises(ValueError, match="weights of the rows must not all be zero"):
        net.fit(*iris())


def test_a_weight_that_is_not_finite_is_refused(monkeypatch):
    """As by scikit-learn, where scipy comes to one."""

    def minimize(fun, x0, **options):
        return OptimizeResult(x=np.full_like(x0, np.inf), fun=0.0, nit=1, status=0)

    monkeypatch.setattr(scipy.optimize, "minimize", minimize)
    with pytest.raises(ValueError, match="a weight is infinite or nan"):
        MLPRegressor(**FEW).fit(*line())


def test_a_loss_that_is_not_finite_leaves_the_first_weights():
    X, y = line()
    (ours, said), (other, heard) = (
        fitted(kind(**FEW), X * 1e200, y) for kind in (MLPRegressor, theirs.MLPRegressor)
    )
    assert starts(said) == starts(warning for warning in heard if warning[0] is ConvergenceWarning)
    assert len(said) == 1
    assert same_nets(ours, other)
    assert ours.n_iter_ == 0


# --- those who look on ----------------------------------------------------------------------------


@few
@BOTH
def test_a_callback_after_every_iteration(Net, capsys):
    X, y = data(Net)
    seen = []

    def look(net):
        seen.append((net.n_iter_, net.loss_, net.coefs_[0].copy(), net.score(X, y)))

    net = Net(**FEW, callbacks=[look], verbose=True).fit(X, y)
    assert [n for n, *_ in seen] == [*range(1, net.n_iter_ + 1)]
    losses = [loss for _, loss, *_ in seen]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == net.loss_
    np.testing.assert_array_equal(seen[-1][2], net.coefs_[0])
    assert not np.array_equal(seen[0][2], seen[1][2])
    assert capsys.readouterr().out.splitlines() == [
        f"Iteration {i}, loss = {loss:.8f}" for i, loss in enumerate(losses, 1)
    ]
    assert same_nets(net, Net(**FEW).fit(X, y))  # who looks on changes nothing


@BOTH
def test_a_callback_ends_it(Net):
    X, y = data(Net)
    net, said = fitted(Net(**LBFGS, callbacks=[lambda net: net.n_iter_ == 4]), X, y)
    assert net.n_iter_ == 4
    assert not said
    assert same_nets(net, fitted(Net(**{**LBFGS, "max_iter": 4}), X, y)[0])


@BOTH
def test_an_interrupt_leaves_a_net(Net):
    X, y = data(Net)

    def interrupt(net):
        if net.n_iter_ == 3:
            raise KeyboardInterrupt

    net = Net(**LBFGS, callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y)
    assert net.n_iter_ == 3
    assert same_nets(net, fitted(Net(**{**LBFGS, "max_iter": 3}), X, y)[0])
    assert np.isfinite(net.score(X, y))


@few
def test_the_bar_counts_iterations(capsys):
    MLPRegressor(**FEW, progress=True).fit(*line())
    assert "12 iterations in" in capsys.readouterr().err


def test_out_of_iterations_is_a_convergence_warning():
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 12 iteration"):
        MLPRegressor(**FEW).fit(*line())


# --- the vector of all parameters -----------------------------------------------------------------


def test_parameters_go_into_a_vector_and_come_back():
    net, _ = fitted(MLPRegressor(**FEW), *line(K=2))
    parameters = net._parameters()
    theta = lbfgs.packed(parameters)
    again = lbfgs.unpacked(theta, parameters.shapes)
    assert theta.shape == (sum(array.size for array in parameters),)
    assert all(np.array_equal(a, b) for a, b in zip(parameters, again, strict=True))
    assert np.array_equal(theta[: parameters.weights[0].size], parameters.weights[0].ravel())
    theta[:] = 7
    assert (again.biases[-1] == 7).all()  # views


@few
def test_blas_has_one_thread_while_lbfgs_runs():
    """As before once the last of several fits at once has ended."""
    X, y = iris()
    libraries = _blas().lib_controllers
    before = [library.num_threads for library in libraries]
    seen = []

    def look(_):
        seen.append([library.num_threads for library in libraries])

    def fit(iterations):
        MLPClassifier(5, solver="lbfgs", max_iter=iterations, random_state=0, callbacks=[look]).fit(X, y)

    fits = [threading.Thread(target=fit, args=(n,)) for n in (40, 5, 20)]
    for thread in fits:
        thread.start()
    for thread in fits:
        thread.join()
    assert seen
    assert all(counts == [1] * len(libraries) for counts in seen)
    assert [library.num_threads for library in libraries] == before
    with pytest.raises(ZeroDivisionError):
        MLPClassifier(5, solver="lbfgs", callbacks=[lambda _: 1 / 0]).fit(X, y)
    assert [library.num_threads for library in libraries] == before
