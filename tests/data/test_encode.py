"""The forms of X: which is chosen, that nothing is lost in it, and what scipy.sparse may bring."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from compare import check, check_named, digest
from nets import call, learnable, net_of, values, weights

from fastmlp import Architecture, DataError, initialise, kernels, reference
from fastmlp.data.encode import encode

sparse = pytest.importorskip("scipy.sparse")


def dense_of(encoded):
    """The values an Encoded stands for."""
    if encoded.form == "csr":
        X = np.zeros(encoded.shape, np.float32)
        for i in range(len(encoded)):
            part = slice(encoded.starts[i], encoded.starts[i + 1])
            X[i, encoded.columns[part]] = encoded.values[part]
        return X
    flat = encoded.table[encoded.codes] if len(encoded.codes) else encoded.values
    return flat.reshape(encoded.shape)


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("uint8 sparse", "bytes"),
        ("uint8 dense", "dense"),
        ("float32 sparse", "csr"),
        ("float32 dense", "dense"),
    ],
)
def test_form_follows_the_density(kind, form):
    X = values(np.random.default_rng(0), kind, 50, 90)
    encoded = encode(X)
    assert encoded.form == form
    assert encoded.sparse == (form != "dense")
    assert encoded.density == np.count_nonzero(X) / X.size
    assert (encoded.counts == np.count_nonzero(X, axis=0)).all()
    assert (dense_of(encoded) == X).all()
    assert encode(encoded) is encoded
    assert ("all inputs" in encoded.describe()) == (form == "dense")
    if X.dtype == np.uint8:
        assert np.shares_memory(encoded.codes, X)


def thin(rng, choices, N=60, D=40, share=0.2):
    """Mostly zeros, among values of ``choices``."""
    return (rng.choice(np.asarray(choices, np.float64), (N, D)) * (rng.random((N, D)) < share)).astype(
        np.float32
    )


GRIDS = {
    "pixels / 255": np.arange(256, dtype=np.float32) / np.float32(255),
    "sixteenths": np.arange(17) / 16,
    "0 and 1": [1.0],
    "integers": np.arange(256),
    "two values far apart": [3e-20],
}


@pytest.mark.parametrize("grid", GRIDS)
def test_floats_on_a_grid_become_bytes(grid):
    X = thin(np.random.default_rng(1), GRIDS[grid])
    encoded = encode(X)
    assert encoded.form == "bytes"
    assert dense_of(encoded).tobytes() == X.tobytes()
    assert encode(X, once=True).form == "dense"


def test_floats_off_a_grid_do_not():
    rng = np.random.default_rng(2)
    off = {
        "random": rng.normal(size=500),
        "negative": [-1.0, 1.0, 2.0],
        "257 values": np.arange(1, 258),
        "far apart": [1.0, 1000.0],
        "nearly": np.append(np.arange(1, 200) / 255, 100.001 / 255),
    }
    for name, choices in off.items():
        X = thin(rng, choices, 200, 60)
        X[0, : min(60, len(choices))] = np.asarray(choices)[-60:]
        encoded = encode(X)
        assert encoded.form == "csr", name
        assert (dense_of(encoded) == X).all(), name


def test_one_value_that_is_seen_late_is_kept():
    """Density is measured on a sample of rows; a stray value elsewhere may not be rounded away."""
    X = np.zeros((9000, 5), np.float32)
    X[::3, 1] = 1
    for stray in (0.5, 1.25, 300.0, -1.0, 1e-30):
        changed = X.copy()
        changed[4001, 3] = stray  # 9000 rows: every third is looked at
        assert (dense_of(encode(changed)) == changed).all(), stray


def test_codes_that_are_met_late_have_one_value_each():
    step = np.float32(1 / 255)
    X = np.zeros((9000, 800), np.float32)  # in chunks of 163 rows; every third row is looked at
    X[::3, 1], X[::3, 2] = step, 2 * step
    late = X.copy()
    late[4001, 3] = late[7001, 3] = 100 * step
    encoded = encode(late)
    assert encoded.form == "bytes"
    assert (dense_of(encoded) == late).all()
    other = np.nextafter(late[4001, 3], np.float32(1))
    for row in (4000, 4001, 7001):  # in the first chunk that has it, or the last
        changed = late.copy()
        changed[row, 5] = other
        encoded = encode(changed)
        assert encoded.form == "csr"
        assert (dense_of(encoded) == changed).all()


def test_one_distinct_value_and_nan():
    assert encode(np.zeros((4, 3), np.float32)).form in ("bytes", "csr")
    assert (dense_of(encode(np.zeros((4, 3), np.float32))) == 0).all()
    assert encode(np.full((4, 3), 7, np.float32)).form == "dense"
    for bad in (np.nan, np.inf):
        X = np.zeros((4, 3), np.float32)
        X[2, 1] = bad
        with pytest.raises(DataError, match="row 2, column 1"):
            encode(X)


def trained(X, y, scale, **options):
    p = initialise(Architecture(X.shape[1], (9, 6), 4), seed=1)
    totals = call(
        kernels.train_epoch, p, X, y, np.arange(len(y)), lr=0.1, batch_size=32, scale=scale, **options
    )
    return digest(*p, totals[:4], kernels.predict_proba(net_of(p, scale=scale), X))


def test_divided_pixels_train_to_the_bytes_of_their_pixels():
    X, y = learnable(3, 200, 60, 4)
    as_float = X.astype(np.float32)
    assert encode(as_float / 256).form == encode(X).form == "bytes"
    want = trained(X, y, 256.0)
    for power in (1, 16, 256):
        assert trained(as_float / power, y, 256.0 / power) == want
    assert trained(as_float / 255, y, 1.0) != want


# --- scipy.sparse ---------------------------------------------------------------------------------


def drawn(seed=4, N=70, D=50):
    rng = np.random.default_rng(seed)
    X = values(rng, "float32 sparse", N, D)
    X[[0, 7, -1]] = 0  # empty rows
    return X, rng.integers(0, 4, N)


def test_a_csr_is_taken_without_a_copy():
    X = sparse.csr_matrix(drawn()[0])
    encoded = encode(X)
    assert encoded.form == "csr"
    assert np.shares_memory(encoded.values, X.data)
    assert np.shares_memory(encoded.columns, X.indices)


def unsorted(X):
    X = X.tocsr().copy()
    for i in range(X.shape[0]):
        part = slice(X.indptr[i], X.indptr[i + 1])
        X.indices[part], X.data[part] = X.indices[part][::-1].copy(), X.data[part][::-1].copy()
    X.has_sorted_indices = False
    return X


def wide_indices(X):
    X = X.tocsr().copy()
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def halves_twice(X):
    X = X.tocoo()
    twice = [np.concatenate([part, part]) for part in (X.row, X.col)]
    return sparse.coo_matrix((np.concatenate([X.data / 2] * 2), twice), X.shape)


def with_zeros(X):
    X = X.tocoo()
    return sparse.coo_matrix(
        (np.append(X.data, [0, 0]), (np.append(X.row, [0, 5]), np.append(X.col, [3, 49]))), X.shape
    ).tocsr()


WAYS = {
    "csr": lambda X: X.tocsr(),
    "csc": lambda X: X.tocsc(),
    "coo": lambda X: X.tocoo(),
    "array": sparse.csr_array,
    "float64": lambda X: X.astype(np.float64),
    "unsorted": unsorted,
    "int64 indices": wide_indices,
    "twice": halves_twice,
    "explicit zeros": with_zeros,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("centred", [False, True])
def test_scipy_matrices_give_what_the_dense_array_gives(way, centred):
    X, y = drawn()
    given = WAYS[way](sparse.csr_matrix(X))
    before = digest(given.tocsr().toarray())
    assert (dense_of(encode(given)) == X).all()
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32) if centred else None
    nets, found = [], []
    for nn, data in ((kernels, given), (reference, X)):
        p = weights(np.random.default_rng(5), Architecture(50, (9,), 4))
        options = {"scale": 0.7, "mean": mean}
        totals = call(nn.train_epoch, p, data, y, np.arange(70), lr=0.1, batch_size=16, **options)
        found.append(
            (totals.loss, call(nn.evaluate, p, data, y, **options),
             call(nn.predict_proba, p, data, **options),
             call(nn.dead_units, p, data, **options))
        )  # fmt: skip
        nets.append(p)
    check_named("trajectory weights", *nets)
    check("trajectory loss", found[0][0], found[1][0])
    check("trajectory loss", found[0][1].loss, found[1][1].loss)
    check("trajectory weights", found[0][2], found[1][2])
    assert (found[0][1].accuracy, found[0][3]) == (found[1][1].accuracy, found[1][3])
    if not centred:
        p = weights(np.random.default_rng(5), Architecture(50, (9,), 4))
        kernels.train_epoch(net_of(p, scale=0.7), X, y, np.arange(70), lr=0.1, batch_size=16)
        assert p.sha256() == nets[0].sha256()  # the same compressed rows
    assert digest(given.tocsr().toarray()) == before


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.bool_])
def test_scipy_matrices_of_other_numbers(kind):
    X = (np.random.default_rng(6).random((30, 20)) < 0.2).astype(kind)
    assert (dense_of(encode(sparse.csr_matrix(X))) == X).all()


def broken(**parts):
    """A CSR (3, 4) whose arrays somebody changed afterwards."""
    X = sparse.csr_matrix(np.eye(3, 4, dtype=np.float32))
    X.has_canonical_format = True
    for name, part in parts.items():
        setattr(X, name, part)
    return X


@pytest.mark.parametrize(
    "parts",
    [
        {"indices": np.array([0, 1, 4], np.int32)},
        {"indices": np.array([0, -1, 2], np.int32)},
        {"indices": np.array([0, 2**32 + 1, 2], np.int64)},
        {"indptr": np.array([0, 2, 1, 3], np.int32)},
        {"indptr": np.array([0, 1, 2, 9], np.int32)},
        {"indptr": np.array([1, 1, 2, 3], np.int32)},
        {"indptr": np.array([0, 1, 3], np.int32)},
        {"indices": np.array([0, 1], np.int32)},
    ],
    ids=str,
)
def test_a_csr_that_is_not_sound_is_refused(parts):
    with pytest.raises(DataError, match="sound CSR"):
        encode(broken(**parts))


def test_a_csr_that_is_not_finite_or_not_of_numbers_is_refused():
    X = sparse.csr_matrix(np.eye(3, 4, dtype=np.float64))
    X.data[1] = np.nan
    with pytest.raises(DataError, match="row 1, column 1"):
        encode(X)
    X.data[1] = 1e200
    with pytest.raises(DataError, match="finite in float32"):
        encode(X)
    with pytest.raises(DataError, match="numbers"):
        encode(sparse.csr_matrix(np.eye(3) * 1j))
    with pytest.raises(DataError, match="at least one value"):
        encode(sparse.csr_matrix((0, 4)))


def test_wide_rows_train_without_a_table_of_rows_by_columns():
    N, D = 3000, 20_000  # dense: 240 MB
    rng = np.random.default_rng(7)
    X = sparse.random_array((N, D), density=20 / D, format="csr", dtype=np.float32, rng=rng)
    y = (
        np.asarray(X[:, : D // 2].sum(axis=1)).reshape(-1)
        > np.asarray(X[:, D // 2 :].sum(axis=1)).reshape(-1)
    ) * 1
    p = initialise(Architecture(D, (16,), 2))
    tracemalloc.start()
    try:
        first = kernels.train_epoch(net_of(p), X, y, rng.permutation(N), lr=0.3, batch_size=20)
        last = kernels.train_epoch(net_of(p), X, y, rng.permutation(N), lr=0.3, batch_size=20)
        kernels.evaluate(net_of(p), X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert last.loss < first.loss
    assert peak < 20e6, peak  # the weights, padded and their copies, are 2 MB each


def test_csr_that_only_claims_to_be_in_order_is_refused():
    X = sparse.csr_matrix(np.array([[1, 2, 0], [0, 3, 4]], np.float32))
    X.indices[:2] = X.indices[:2][::-1]
    X.has_canonical_format = True
    with pytest.raises(DataError, match="ascending"):
        encode(X)
