"""The orders of the rows, and the stream of random numbers that they come from, beside scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from estimator_cases import BOTH, close_nets, iris
from sklearn import neural_network as theirs
from sklearn.utils import shuffle

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators import orders
from fastmlp.estimators.orders import Orders

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def expected(rows, random, epochs):
    orders = []
    for _ in range(epochs):
        rows = shuffle(rows, random_state=random)
        orders.append(rows)
    return orders


@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.PCG64, np.random.SFC64])
def test_orders_are_those_of_scikit_learn_whatever_was_drawn_ahead(bits):
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 17, 200):
        rows = rng.permutation(n)
        ours, other = (np.random.RandomState(bits(7)) for _ in range(2))
        orders, wanted = Orders(rows, ours), expected(rows, other, 30)
        seen = []
        while len(seen) < 30:
            orders.ahead = bool(rng.integers(2))
            some = int(rng.integers(1, 9)) if orders.ahead else 1
            drawn = [orders(0) for _ in range(some)]
            used = min(int(rng.integers(0, some + 1)), 30 - len(seen)) if orders.ahead else 1
            orders.used += used
            seen += drawn[:used]
            if used < some:
                orders.give_back()
        for a, b in zip(seen, wanted, strict=True):
            assert np.array_equal(a, b)
        assert ours.randint(2**31) == other.randint(2**31)
        assert ours.normal() == other.normal()


def test_without_a_generator_rows_stay_as_they_are():
    rows = np.array([4, 1, 2])
    orders = Orders(rows, None)
    assert orders(1) is orders(2) is rows
    orders.give_back()


def test_what_others_drew_meanwhile_is_not_drawn_again():
    random = np.random.RandomState(0)
    orders = Orders(np.arange(5), random)
    orders.ahead = True
    for _ in range(4):
        orders(0)
    orders.used = 1
    others = random.randint(2**31, size=3)
    orders.give_back()
    assert not np.isin(random.randint(2**31, size=20), others).any()


CASES = {
    "adam": {},
    "stops": {"tol": 0.01, "n_iter_no_change": 2},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.01, "n_iter_no_change": 1},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.2},
    "early": {"early_stopping": True, "n_iter_no_change": 3},
    "still": {"shuffle": False},
}


@BOTH
@pytest.mark.parametrize("case", CASES)
def test_a_generator_is_left_where_scikit_learn_leaves_it(Net, case):
    """Through fit, a warm start, and partial_fit, which go on with one generator."""
    X, y = iris()
    nets, generators = [], []
    for each in (Net, getattr(theirs, Net.__name__)):
        random = np.random.RandomState(5)
        options = {"hidden_layer_sizes": 6, "max_iter": 40, "batch_size": 50, "learning_rate_init": 0.02}
        net = each(random_state=random, warm_start=True, **{**options, **CASES[case]}).fit(X, y).fit(X, y)
        if case != "early":
            net.partial_fit(X, y).partial_fit(X[::2], y[::2])
        nets.append(net)
        generators.append(random)
    a, b = nets
    assert (a.n_iter_, a.t_, len(a.loss_curve_)) == (b.n_iter_, b.t_, len(b.loss_curve_))
    assert generators[0].randint(2**31) == generators[1].randint(2**31)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-8)
    close_nets(a, b, rtol=1e-6, atol=1e-9)
    assert a._no_improvement_count == b._no_improvement_count


@BOTH
def test_the_global_generator_is_used_where_none_is_given(Net):
    X, y = iris()
    drawn = []
    for each in (Net, getattr(theirs, Net.__name__)):
        np.random.seed(3)  # noqa: NPY002  # which scikit-learn draws from
        net = each(hidden_layer_sizes=4, max_iter=6, batch_size=40, n_iter_no_change=1, tol=0.02).fit(X, y)
        drawn.append((net.n_iter_, np.random.randint(2**31)))  # noqa: NPY002
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("looks", [{"verbose": True}, {"callbacks": [lambda net: None]}, {"progress": True}])
@pytest.mark.parametrize("learning_rate", ["constant", "adaptive", "invscaling"])
def test_it_is_no_matter_who_looks_between_epochs(looks, learning_rate):
    X, y = iris(np.float32)
    nets, generators = [], []
    for more in ({}, looks):
        random = np.random.RandomState(5)
        net = MLPRegressor(
            hidden_layer_sizes=6, max_iter=90, solver="sgd", learning_rate=learning_rate, tol=3e-3,
            n_iter_no_change=2, random_state=random, batch_size=60, **more,
        ).fit(X, y)  # fmt: skip
        nets.append(net)
        generators.append(random)
    assert nets[0].loss_curve_ == nets[1].loss_curve_
    assert nets[0].n_iter_ < 90
    close_nets(*nets, rtol=0)
    assert generators[0].randint(2**31) == generators[1].randint(2**31)


def test_a_wrong_stream_is_seen():
    """The comparison above goes red where orders are drawn otherwise."""
    X, y = iris()
    options = {"hidden_layer_sizes": 4, "max_iter": 3, "batch_size": 40, "random_state": 1}
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(orders, "_shuffled", lambda n, random: np.arange(n)[::-1])
        net = MLPClassifier(**options).fit(X, y)
    with pytest.raises(AssertionError):
        close_nets(net, theirs.MLPClassifier(**options).fit(X, y), rtol=1e-6, atol=1e-9)
