"""The net that an estimator keeps between predictions: every change of its weights and words is seen."""

from __future__ import annotations

import copy
import gc
import pickle
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from sklearn.base import clone

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators import ready

warnings.filterwarnings("ignore", message=".*(converge|batch_size).*")


def fitted(rng, dtype):
    """A small net of any kind, and its rows."""
    Net, K = (MLPClassifier, rng.integers(2, 4)) if rng.random() < 0.7 else (MLPRegressor, rng.integers(1, 3))
    X = rng.normal(size=(40, 5)).astype(dtype)
    y = rng.integers(0, K, 40) if Net is MLPClassifier else rng.normal(size=(40, K))
    hidden = (6, 4)[: rng.integers(0, 3)]
    net = Net(hidden_layer_sizes=hidden, max_iter=2, random_state=0, dtype=np.dtype(dtype).name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return net.fit(X, y), X, y


def answer(net, X):
    """Predictions as bytes, or the error in words."""
    asked = [net.predict, *([net.predict_proba] if hasattr(net, "predict_proba") else [])]
    try:
        return [ask(X[:n]).tobytes() for ask in asked for n in (1, 5, len(X))]
    except ValueError as problem:
        return f"{type(problem).__name__}: {problem}"


def reshaped(array):
    array.shape = array.shape[::-1]


CHANGES = (
    lambda net, X, y, rng: net.coefs_[0].__setitem__((0, 0), rng.normal()),
    lambda net, X, y, rng: net.intercepts_[-1].__setitem__(0, rng.normal()),
    lambda net, X, y, rng: net.coefs_[-1].__setitem__((0, 0), np.nan),
    lambda net, X, y, rng: net.coefs_[-1].__setitem__((0, 0), np.inf),
    lambda net, X, y, rng: net.coefs_[-1].__setitem__((0, 0), 0.5),
    lambda net, X, y, rng: net.coefs_.__setitem__(0, rng.normal(size=net.coefs_[0].shape)),
    lambda net, X, y, rng: net.coefs_.__setitem__(0, np.asfortranarray(net.coefs_[0] + 1)),
    lambda net, X, y, rng: net.coefs_.__setitem__(0, net.coefs_[0].astype(np.float16)),
    lambda net, X, y, rng: setattr(net, "intercepts_", [b + 1 for b in net.intercepts_]),
    lambda net, X, y, rng: setattr(net, "coefs_", [W * 1 for W in net.coefs_]),
    lambda net, X, y, rng: setattr(net, "coefs_", tuple(net.coefs_)),
    lambda net, X, y, rng: setattr(net, "coefs_", net.coefs_[1:]),
    lambda net, X, y, rng: reshaped(net.coefs_[0]),
    lambda net, X, y, rng: setattr(net, "scale", float(rng.integers(1, 3))),
    lambda net, X, y, rng: setattr(net, "activation", str(rng.choice(["relu", "tanh"]))),
    lambda net, X, y, rng: setattr(net, "n_outputs_", 7),
    lambda net, X, y, rng: setattr(net, "n_outputs_", net.coefs_[-1].shape[1]),
    lambda net, X, y, rng: net.partial_fit(X, y),
    lambda net, X, y, rng: net.fit(X, y),
    lambda net, X, y, rng: setattr(net, "threads", 1),
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(30))
def test_what_was_kept_answers_as_a_copy_that_has_nothing_kept(seed, dtype):
    rng = np.random.default_rng([seed, 3])
    net, X, y = fitted(rng, dtype)
    answers = set()
    for _ in range(12):
        got = answer(net, X)
        assert got == answer(copy.deepcopy(net), X) == answer(pickle.loads(pickle.dumps(net)), X)
        answers.add(str(got))
        change = CHANGES[rng.integers(len(CHANGES))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                change(net, X, y, rng)
            except (ValueError, AttributeError, TypeError, IndexError):  # of a net that is spoilt already
                net, X, y = fitted(rng, dtype)
    assert len(answers) > 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_has_the_same_bytes_alone_and_among_others(dtype):
    rng = np.random.default_rng(5)
    for _ in range(6):
        net, _, _ = fitted(rng, dtype)
        rows = rng.normal(size=(70, 5)).astype(dtype)
        ask = getattr(net, "predict_proba", net.predict)
        want = ask(rows)
        assert np.concatenate([ask(rows[i : i + 1]) for i in range(70)]).tobytes() == want.tobytes()
        assert np.concatenate([ask(rows[:33]), ask(rows[33:])]).tobytes() == want.tobytes()


def test_nothing_is_kept_in_an_estimator_or_after_it():
    rng = np.random.default_rng(6)
    net, X, _ = fitted(rng, np.float32)
    before = pickle.dumps(net), sorted(vars(net))
    net.predict(X)
    assert (pickle.dumps(net), sorted(vars(net))) == before
    assert net in ready._known
    assert clone(net) not in ready._known
    assert copy.deepcopy(net) not in ready._known
    known = len(ready._known)
    del net
    gc.collect()
    assert len(ready._known) < known


def test_what_is_kept_is_used():
    """The comparison above would say nothing if a net were made anew each time."""
    rng = np.random.default_rng(7)
    net, X, _ = fitted(rng, np.float64)
    net.predict(X)
    made = []
    net._net = lambda parameters: made.append(1) or type(net)._net(net, parameters)
    for _ in range(3):
        net.predict(X)
    assert made == [1]  # for the attribute that was set
