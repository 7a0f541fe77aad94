"""X and y of the estimators: number types, sparse matrices, data frames, labels."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from estimator_cases import BOTH, DTYPES, SMALL, close_nets, digits, iris, line, same_nets
from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.exceptions import DataConversionWarning
from sklearn.multioutput import MultiOutputClassifier

from fastmlp import MLPClassifier, MLPRegressor, kernels, reference
from fastmlp.data.encode import Encoded

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# --- numbers and backends -------------------------------------------------------------------------


class Seen:
    """What a backend was given, and by which name."""

    def __init__(self, monkeypatch):
        self.calls = []
        for nn in (kernels, reference):
            for name in ("Session", "encode", "predict_proba", "logits"):
                monkeypatch.setattr(nn, name, self.watch(nn, name, getattr(nn, name)))

    def watch(self, nn, name, function):
        def call(*args, **options):
            self.calls.append((nn.__name__.split(".")[-1], name, args, options))
            return function(*args, **options)

        return call

    def of(self, name):
        return [(nn, args, options) for nn, called, args, options in self.calls if called == name]


def test_bytes_stay_bytes_and_are_encoded_once(monkeypatch):
    seen = Seen(monkeypatch)
    X, y = digits()
    MLPClassifier(scale=16, **SMALL).fit(X, y)
    ((nn, given),) = [(nn, given) for nn, (given,), _ in seen.of("encode") if not isinstance(given, Encoded)]
    assert nn == "kernels"
    assert given.dtype == np.uint8
    assert np.shares_memory(given, X)
    trained = seen.of("Session")
    assert len({id(args[1]) for _, args, _ in trained}) == 1
    assert trained[0][1][1].codes.dtype == np.uint8
    assert np.shares_memory(trained[0][1][1].codes, X)


@BOTH
@DTYPES
@pytest.mark.parametrize(
    "container", [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_array]
)
def test_sparse_is_dense(Net, dtype, container):
    X, y = digits()
    X, y = (X[:70] * (X[:70] > 8)).astype(dtype) / dtype(16), y[:70]
    a, b = Net(**SMALL).fit(X, y), Net(**SMALL).fit(container(X), y)
    close_nets(a, b, atol=1e-5 if dtype == np.float32 else 0)
    np.testing.assert_allclose(a.predict(X), b.predict(container(X)), atol=1e-4)
    assert b.coefs_[0].dtype == dtype


def test_sparse_of_bytes_and_early_stopping():
    X, y = digits()
    a, b = (
        MLPClassifier(scale=16, early_stopping=True, **SMALL).fit(form, y)
        for form in (X, sparse.csr_array(X))
    )
    close_nets(a, b, atol=1e-4)


def test_much_sparse_is_never_filled_up():
    X = sparse.random_array((20_000, 2000), density=1e-3, format="csr", rng=0)  # 320 MB if it were
    net = MLPClassifier(dtype="float64", **SMALL).fit(X[:500], np.arange(500) % 3)
    some = net.predict_proba(X[::500])
    want = net.predict_proba(X[::500].toarray())  # what is compiled is loaded now, from files
    tracemalloc.start()
    p = net.predict_proba(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32e6
    assert net.coefs_[0].dtype == np.float64
    assert np.array_equal(p[::500], some)
    np.testing.assert_allclose(some, want, rtol=1e-12)


def test_data_frames():
    pd = pytest.importorskip("pandas")
    X, y = iris()
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    names = pd.Series(np.array(["setosa", "versicolor", "virginica"])[y], name="kind")
    net = MLPClassifier(**SMALL).fit(frame, names)
    assert list(net.feature_names_in_) == ["a", "b", "c", "d"]
    assert net.n_features_in_ == 4
    assert same_nets(net, MLPClassifier(**SMALL).fit(X, y))
    assert set(net.predict(frame)) <= {"setosa", "versicolor", "virginica"}
    with pytest.raises(ValueError, match="feature names"):
        net.predict(frame[["b", "a", "c", "d"]])
    with pytest.warns(UserWarning, match="feature names"):
        net.predict(X)
    with pytest.raises(ValueError, match="features"):
        MLPClassifier(**SMALL).fit(X, y).predict(X[:, :3])
    mixed = pd.DataFrame({"a": np.arange(4, dtype=np.uint8), "b": np.arange(4, dtype=np.float32)})
    assert MLPRegressor(**SMALL).fit(mixed, [0, 1, 2, 3]).coefs_[0].dtype == np.float32


def test_fortran_order_strides_and_read_only_are_no_matter():
    X, y = iris(np.float32)
    plain = MLPClassifier(**SMALL).fit(X, y)
    for form in (np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X[::-1][::-1]):
        assert same_nets(plain, MLPClassifier(**SMALL).fit(form, y))
    before = X.copy()
    X.flags.writeable = False
    assert same_nets(plain, MLPClassifier(**SMALL).fit(X, y))
    assert np.array_equal(before, X)


def test_bytes_scaled_are_floats_scaled():
    X, y = digits()
    a = MLPClassifier(scale=16, **SMALL).fit(X, y)
    b = MLPClassifier(**SMALL).fit((X / 16).astype(np.float32), y)
    close_nets(a, b, atol=1e-4)
    np.testing.assert_allclose(a.predict_proba(X[:3]), a.predict_proba(X)[:3], atol=1e-6)


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        np.array(["a", "b", "c"]),
        np.array(["a", "b", "c"], dtype=object),
        np.array([-5, 0, 7]),
        np.array([1.0, 2.0, 4.0]),
        np.array([3, 200, 255], np.uint8),
    ],
    ids=lambda names: str(names.dtype),
)
def test_labels_of_any_kind(names):
    X, y = iris()
    net, plain = MLPClassifier(**SMALL).fit(X, names[y]), MLPClassifier(**SMALL).fit(X, y)
    assert same_nets(net, plain)
    assert net.classes_.tolist() == names.tolist()
    assert net.classes_.dtype == theirs.MLPClassifier(**SMALL).fit(X, names[y]).classes_.dtype
    assert np.array_equal(net.predict(X), names[plain.predict(X)])
    assert net.score(X, names[y]) == plain.score(X, y)
    lists = MLPClassifier(**SMALL).fit(X.tolist(), names[y].tolist())
    assert np.array_equal(lists.predict(X), net.predict(X))


def test_two_classes_are_one_logistic_output():
    X, y = iris()
    net = MLPClassifier(**{**SMALL, "max_iter": 60, "learning_rate_init": 0.03}).fit(X, y == 1)
    assert net.coefs_[-1].shape == (5, 1)
    assert (net.n_outputs_, net.out_activation_) == (1, "logistic")
    assert net.classes_.tolist() == [False, True]
    assert net.predict(X).dtype == bool
    p = net.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert np.array_equal(net.predict(X), p[:, 1] > p[:, 0])
    assert net.score(X, y == 1) > 0.9


def test_one_class_is_predicted():
    X, _ = iris()
    for dtype in (np.float32, np.float64):
        for options in ({}, {"early_stopping": True}):
            net = MLPClassifier(**SMALL, **options).fit(X.astype(dtype), ["only"] * len(X))
            assert set(net.predict(X)) == {"only"}
            assert net.predict_proba(X).shape == (150, 2)  # as in scikit-learn
            assert net.loss_ < 2
        assert set(net.validation_scores_) == {1.0}
    with pytest.raises(ValueError, match="at least two classes with loss='logits'"):
        MLPClassifier(loss="logits").fit(X, ["only"] * len(X))


def test_several_labels_of_several_classes_are_refused():
    with pytest.raises(ValueError, match="one label for each row, or columns of 0 and 1") as caught:
        MLPClassifier(max_iter=1).fit(np.eye(4), [[0, 3], [1, 0], [2, 1], [0, 0]])
    assert "MultiOutputClassifier" in str(caught.value)


def test_several_outputs_by_meta_estimator():
    X, y = iris()
    Y = np.stack([y, y == 1], axis=1)
    net = MultiOutputClassifier(MLPClassifier(**SMALL), n_jobs=1).fit(X, Y)
    assert net.predict(X).shape == (150, 2)


def test_strange_y():
    X, y = iris()
    with pytest.warns(DataConversionWarning):
        net = MLPClassifier(**SMALL).fit(X, y[:, None])
    assert same_nets(net, MLPClassifier(**SMALL).fit(X, y))
    with pytest.raises(ValueError, match="continuous"):
        MLPClassifier(**SMALL).fit(X, y + 0.5)
    with pytest.raises(ValueError, match="inconsistent"):
        MLPClassifier(**SMALL).fit(X, y[:-1])
    with pytest.raises(ValueError, match="requires y"):
        MLPClassifier(**SMALL).fit(X, None)
    with pytest.raises(ValueError, match="NaN"):
        MLPRegressor(**SMALL).fit(X, np.where(y == 1, np.nan, 0.0))


def test_several_numbers():
    X, Y = line(K=3)
    options = {"hidden_layer_sizes": (), "learning_rate_init": 0.02, "random_state": 0}
    net = MLPRegressor(**options).fit(X, Y)
    assert net.predict(X).shape == (60, 3)
    assert (net.n_outputs_, net.out_activation_) == (3, "identity")
    assert net.score(X, Y) > 0.98
    one = MLPRegressor(**options).fit(X, Y[:, 0])
    assert one.predict(X).shape == (60,)
    with pytest.warns(DataConversionWarning):
        column = MLPRegressor(**options).fit(X, Y[:, :1])
    assert same_nets(one, column)
