"""What is fitted to training rows: scikit-learn's statistics, of dense and sparse rows, of some or all."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from fastmlp.data import preprocessing
from fastmlp.data.preprocessing import fitted
from fastmlp.words.scales import SCALES

scalers = pytest.importorskip("sklearn.preprocessing")
sparse = pytest.importorskip("scipy.sparse")

NORMAL = np.random.default_rng(0).normal(size=(999, 12))
DENSE = {
    "float64": NORMAL,
    "float32": NORMAL.astype(np.float32),
    "float16": NORMAL.astype(np.float16),
    "uint8": np.random.default_rng(1).integers(0, 256, (999, 12)).astype(np.uint8),
    "int32": np.random.default_rng(2).integers(-(10**6), 10**6, (40, 5), dtype=np.int32),
    "one row": NORMAL[:1],
    "two rows": NORMAL[:2],
    "an offset of 1e9": NORMAL + 1e9,
    "a step of 1e9": np.where(np.arange(999)[:, None] < 500, NORMAL, NORMAL + 1e9),
    "scales from 1e-6 to 1e6": NORMAL * 10.0 ** np.linspace(-6, 6, 12),
    "about 1e30": (NORMAL * 1e30).astype(np.float32),
    "constant": np.repeat([[0.1, 0, -3, 1e9, 1e-30]], 50, axis=0),
    "nearly constant": 1e3 + NORMAL * [*[1e-14] * 4, *[1e-12] * 4, *[1e-9] * 4],
    "many rows": np.random.default_rng(3).normal(3, 2, (60_000, 5)),
}
DRAWN = np.random.default_rng(4)
SPARSE = {
    f"{density:.0%} of {kind.__name__}": sparse.random(
        700, 60, density, format="csr", random_state=1, dtype=kind, data_rvs=draw
    )
    for density in (0.0, 0.02, 0.4, 0.97)
    for kind, draw in ((np.float32, lambda n: DRAWN.normal(size=n)), (np.float64, lambda n: DRAWN.random(n)))
}


def expected(X, scale):
    """Offset and spread that scikit-learn finds, in float64."""
    X = np.asarray(X.toarray() if sparse.issparse(X) else X, np.float64)
    scaler = {"standard": "StandardScaler", "minmax": "MinMaxScaler", "robust": "RobustScaler"}[scale]
    found = getattr(scalers, scaler)().fit(X)
    if scale == "minmax":
        return found.data_min_, 1 / found.scale_
    return (found.mean_ if scale == "standard" else found.center_), found.scale_


def check(X, scale, rows=None):
    offset, spread = expected(X if rows is None else X[rows], scale)
    found, _ = preprocessing._MEASURES[scale](X, rows)
    its_own = 1e-15 * np.abs(offset) * X.shape[0]  # rounding of scikit-learn's, which sums what is large
    assert (np.abs(found - offset) <= 1e-6 * spread + its_own).all()
    got = fitted(X, scale, True, rows)
    np.testing.assert_allclose(got.scale, spread, rtol=1e-6)
    assert np.array_equal(got.mean, found.astype(np.float32))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", [*DENSE, *SPARSE])
def test_statistics_are_those_of_scikit_learn(name, scale):
    X = (DENSE | SPARSE)[name]
    check(X, scale)
    if X.shape[0] > 2:
        check(X, scale, np.flatnonzero(np.arange(X.shape[0]) % 3))


def test_every_word_has_a_measure():
    assert preprocessing._MEASURES.keys() == SCALES.keys()


@pytest.mark.parametrize("scale", SCALES)
def test_blocks_change_nothing_but_the_rounding(scale, monkeypatch):
    X = SPARSE["40% of float32"].copy()
    X.data[::5] = 0  # zeros that are stored
    want = fitted(X, scale, True), fitted(NORMAL, scale, True)
    monkeypatch.setattr(preprocessing, "_TOGETHER", 100)
    monkeypatch.setattr(preprocessing, "block_rows", lambda X: 7)
    for whole, parts in zip(want, (fitted(X, scale, True), fitted(NORMAL, scale, True)), strict=True):
        np.testing.assert_allclose(parts.scale, whole.scale, rtol=1e-12)
        np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12, atol=1e-15)
    check(X, scale)


@pytest.mark.parametrize("scale", SCALES)
def test_constant_columns_stay_0_and_others_are_told_from_them(scale):
    X = np.column_stack([np.full(500, 0.1), np.full(500, 1e9), NORMAL[:500, 0]]).astype(np.float32)
    found = fitted(X, scale, True)
    assert (found.scale[:2] == 1).all()
    assert (found.applied(X)[:, :2] == 0).all()
    assert found.applied(X)[:, 2].std() > 0.1


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["float32", "40% of float32"])
def test_without_a_centre_columns_are_divided_alone(name, scale):
    X = (DENSE | SPARSE)[name]
    found = fitted(X, scale, False)
    assert found.mean is None
    assert np.array_equal(found.scale, fitted(X, scale, True).scale)


def test_the_centre_of_numbers_is_the_mean_of_the_rows_that_count():
    X, rows = DENSE["float32"], np.arange(0, 999, 2)
    found = fitted(X, tuple(range(1, 13)), True, rows)
    assert found.scale.tolist() == [*range(1, 13)]
    np.testing.assert_allclose(found.mean, X[rows].mean(axis=0, dtype=np.float64))
    assert fitted(X, tuple(range(1, 13)), False).mean is None
    one = fitted(X, 255.0, True)
    assert one.mean.dtype == np.float32
    assert not one.by_column
    assert np.array_equal(one.mean, X.mean(axis=0, dtype=np.float64).astype(np.float32))


def test_spreads_that_float32_has_no_reciprocal_of():
    column = np.array([[-3e38, 1e-39], [3e38, 0]])
    found = fitted(column, "standard", True)
    assert found.scale.tolist() == [1e37, 1.0]
    assert np.isfinite(found.applied(column)).all()


def test_duplicates_of_sparse_rows_are_summed():
    X = sparse.csr_matrix(([1.0, 2.0, 5.0], [0, 0, 1], [0, 2, 3]), (2, 2))
    assert fitted(X, "minmax", True).scale.tolist() == [3, 5]
    assert X.nnz == 3  # not in place


@pytest.mark.parametrize("scale", SCALES)
def test_memory_is_bounded(scale):
    """No second copy of the rows, in whatever number type."""
    X = np.random.default_rng(0).integers(0, 9, (100_000, 100), dtype=np.uint8)
    fitted(X[:9], scale, True)
    tracemalloc.start()
    try:
        fitted(X, scale, True)
        assert tracemalloc.get_traced_memory()[1] < 7 * X.size
    finally:
        tracemalloc.stop()
