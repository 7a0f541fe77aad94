"""The number type in which an estimator computes, by its data and its ``dtype``; and that of its outputs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from estimator_cases import BOTH, SMALL, close_nets, digits, iris, same_nets
from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.datasets import make_regression

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators.precision import FEW, dtype_of_fit, is_lost

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

OTHERS = [np.uint8, bool, np.int16, np.int64, np.float16, np.float64, np.longdouble]


def computed_in(net):
    """The number type of its averages, which is that of every step."""
    return net._optimizer.state.moments[0].dtype


def answer(net, X):
    return net.predict_proba(X) if isinstance(net, MLPClassifier) else net.predict(X)


@pytest.mark.parametrize("dtype", [np.float32, *OTHERS])
@BOTH
def test_few_values_are_computed_in_float64_and_many_in_float32(Net, dtype):
    X = (np.random.default_rng(0).integers(0, 7, (FEW // 10 + 1, 10))).astype(dtype)
    few, many = X[:-1], X
    for data, expected in ((few, np.float64), (many, np.float32)):
        net = Net(hidden_layer_sizes=3, max_iter=2, random_state=0).fit(data, np.arange(len(data)) % 2)
        assert computed_in(net) == (np.float32 if dtype == np.float32 else expected)
        own = np.dtype(np.float32 if dtype == np.float32 else np.float64)
        assert {a.dtype for a in (*net.coefs_, *net.intercepts_)} == {own}  # as in scikit-learn
        assert answer(net, data).dtype == own


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", [np.float32, np.float64, np.int8])
@BOTH
def test_the_number_type_may_be_asked_for(Net, dtype, given):
    X, y = digits()
    options = {**SMALL, "hidden_layer_sizes": 2, "max_iter": 1, "dtype": dtype}
    for rows in (20, 200):
        net = Net(**options).fit(X[:rows].astype(given), y[:rows])
        assert net.coefs_[0].dtype == net.intercepts_[-1].dtype == computed_in(net) == dtype


@pytest.mark.parametrize("dtype", ["float16", "single", np.float64, None, 64])
@BOTH
def test_other_number_types_are_refused(Net, dtype):
    with pytest.raises(
        ValueError, match=f"The 'dtype' parameter of {Net.__name__} must be .* Got .* instead"
    ):
        Net(dtype=dtype).fit(*iris())


def test_much_float64_is_converted_once():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(501, 10)), rng.integers(0, 3, 501)
    options = {**SMALL, "hidden_layer_sizes": 2, "max_iter": 1}
    net = MLPClassifier(**options).fit(X, y)
    assert same_nets(net, MLPClassifier(**options).fit(X.astype(np.float32), y))
    walked = MLPClassifier(**options).fit(sparse.csr_array(X), y)
    assert computed_in(net) == computed_in(walked) == np.float32
    close_nets(net, walked, atol=1e-5)
    assert computed_in(MLPClassifier(**options).fit(sparse.csr_array(X[:500]), y[:500])) == np.float64


@BOTH
def test_a_net_goes_on_in_its_number_type(Net):
    X, y = iris()
    classes = {"classes": [0, 1, 2]} if Net is MLPClassifier else {}
    many = np.repeat(X, 20, axis=0), np.repeat(y, 20)
    net = Net(**SMALL).partial_fit(X, y, **classes)
    net.partial_fit(X.astype(np.float32), y).partial_fit((X * 10).astype(np.int8), y).partial_fit(*many)
    assert net.coefs_[0].dtype == computed_in(net) == np.float64
    assert answer(net, X.astype(np.float32)).dtype == np.float64  # as in scikit-learn
    net = Net(**SMALL).partial_fit(*many, **classes).partial_fit(X, y)
    assert computed_in(net) == np.float32
    assert net.coefs_[0].dtype == answer(net, X).dtype == np.float64
    single = Net(**SMALL).partial_fit(X.astype(np.float32), y, **classes).partial_fit(X, y)
    assert computed_in(single) == single.coefs_[0].dtype == np.float32
    assert answer(single, X).dtype == np.float64
    assert answer(single, X.astype(np.float32)).dtype == np.float32
    warm = pickle.loads(pickle.dumps(Net(warm_start=True, **SMALL).fit(*many))).fit(X, y)
    assert computed_in(warm) == np.float32
    other = Net(**SMALL).fit(*many).set_params(solver="lbfgs").fit(X, y)
    assert computed_in(other.set_params(solver="adam").partial_fit(X, y)) == np.float64  # it began anew
    warm.set_params(dtype="float64").fit(X, y).partial_fit(X, y)  # asked for, it is what it becomes
    assert warm.coefs_[0].dtype == computed_in(warm) == np.float64
    warm.set_params(dtype="float32").partial_fit(X, y)
    assert warm.coefs_[0].dtype == computed_in(warm) == np.float32


@BOTH
def test_callbacks_see_the_weights_as_they_are(Net):
    X, y = iris()
    seen = []
    for dtype in ("auto", "float32", "float64"):
        net = Net(
            dtype=dtype, **SMALL, callbacks=[lambda net: seen.append([W.copy() for W in net.coefs_])]
        ).fit(np.repeat(X, 10, axis=0), np.repeat(y, 10))
        assert len({tuple(weights[0][0]) for weights in seen}) == len(seen) == SMALL["max_iter"]
        assert all(np.array_equal(a, b) for a, b in zip(seen[-1], net.coefs_, strict=True))
        assert seen[-1][0].dtype == (np.float32 if dtype == "float32" else np.float64)
        seen.clear()


@BOTH
def test_a_net_shown_in_float64_goes_on_to_the_bit(Net):
    """coefs_ are what the training knows, no more and no less."""
    X, y = digits()
    X, y = X[:400].astype(np.float64), y[:400] % 2
    net = Net(**SMALL, warm_start=True).fit(X, y)
    assert all((W.astype(np.float32) == W).all() for W in net.coefs_)
    narrow = Net(**SMALL, warm_start=True).fit(X.astype(np.float32), y)
    assert same_nets(net, narrow)
    assert same_nets(net.fit(X, y), narrow.fit(X.astype(np.float32), y))
    assert same_nets(net.partial_fit(X, y), narrow.partial_fit(X.astype(np.float32), y))
    again = pickle.loads(pickle.dumps(net))
    assert same_nets(net.partial_fit(X, y), again.partial_fit(X, y))
    net.coefs_ = [W + 1e-12 for W in net.coefs_]
    assert not np.array_equal(answer(net, X), answer(again, X))  # set by hand, they are taken as they are


# --- what float32 would lose ----------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6, 1e8])
@BOTH
def test_columns_whose_spread_float32_would_lose_stay_in_float64(Net, offset):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 10))
    y = (X[:, 0] > 0) * 1
    far = X + offset
    options = {"hidden_layer_sizes": (), "random_state": 0, "max_iter": 3, "batch_size": 600}
    net = Net(**options).fit(far, y)
    assert computed_in(net) == (np.float64 if offset > 1e5 else np.float32)
    if offset > 1e5:
        other = getattr(theirs, Net.__name__)
        assert answer(net, far).dtype == np.float64
        if Net is MLPRegressor:  # no hidden layer at all is ours alone: the same by one layer of two units
            options["hidden_layer_sizes"] = 2
            a, b = Net(**options).fit(far, y), other(**options).fit(far, y)
            close_nets(a, b, rtol=1e-6, atol=1e-9)


def test_what_is_lost():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 6))
    one = X.copy()
    one[:, 3] += 1e8
    constant, zero, huge = X.copy(), X.copy(), X.copy()
    constant[:, 2], zero[:, 2], huge[7, 1] = 0.7, 0.0, 1e31
    drowned = X.copy()
    drowned[:, 2] = 1e9  # it says nothing, and takes from the others what they say
    assert not any(is_lost(each) for each in (X, X * 1e-20, X * 1e20, constant, zero, X + 1e4, X[:, :0]))
    assert all(is_lost(each) for each in (X + 1e8, one, huge, drowned, -one, np.full((5, 1), 1.0)))
    assert is_lost(np.int64(1_700_000_000) + np.arange(1000).reshape(100, 10))  # seconds since 1970
    assert not is_lost(np.arange(1000).reshape(100, 10))
    assert not is_lost((60_000 + np.arange(1000).reshape(100, 10) % 2).astype(np.uint16))
    for form in (sparse.csr_array, sparse.csr_matrix):
        assert not is_lost(form(X * (X > 0)))
        assert not is_lost(form((X + 1e8) * (rng.random(X.shape) < 0.5)))  # 0 is far from 1e8
        assert is_lost(form(one))
        assert not is_lost(form((3, 4)))


def test_targets_are_looked_at_too():
    X, y = make_regression(1000, 10, random_state=0)
    for far, expected in ((y, np.float32), (y / y.std() + 1e8, np.float64)):
        assert dtype_of_fit("auto", X, far[:, None], "adam") == expected
    assert dtype_of_fit("auto", X, (y > 0)[:, None], "adam") == np.float32
    assert dtype_of_fit("auto", X, (y > 0) * 1, "sgd") == np.float32
    assert dtype_of_fit("auto", X, y[:, None], "lbfgs") == np.float64
    assert dtype_of_fit("auto", X.astype(np.float32), y[:, None], "lbfgs") == np.float32
    assert dtype_of_fit("float32", X + 1e8, y[:, None], "lbfgs") == np.float32


def test_weights_that_decay_far_are_computed_in_float64():
    """Alpha over the weights of a batch, all of them old rows, is more than float32 holds."""
    X, y = make_regression(1000, 10, random_state=0)
    weights = 0.9 ** np.arange(1000)[::-1]
    options = {"batch_size": 50, "shuffle": False, "max_iter": 2, "random_state": 0}
    ours = MLPRegressor(**options).fit(X, y, sample_weight=weights)
    close_nets(ours, theirs.MLPRegressor(**options).fit(X, y, sample_weight=weights), atol=1e-9)
    seen = weights * (weights > 1e-15)
    for given, expected in ((weights, np.float64), (seen, np.float32), (None, np.float32)):
        assert dtype_of_fit("auto", X, y[:, None], "adam", given) == expected


def test_values_that_float32_cannot_hold():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 10)), rng.integers(0, 3, 600)
    options = {**SMALL, "hidden_layer_sizes": 2, "max_iter": 1}
    assert computed_in(MLPClassifier(**options).fit(X * 1e35, y)) == np.float64
    with pytest.raises(ValueError, match="finite in float32"):
        MLPClassifier(dtype="float32", **options).fit(X * 1e300, y)
