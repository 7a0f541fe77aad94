"""scipy.sparse from outside: unsound arrays are one DataError, and never reach scipy's compiled code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp import DataError, reference
from fastmlp.data.encode import as_rows, column_means, encode
from fastmlp.data.sparse import as_csr

sparse = pytest.importorskip("scipy.sparse")

HERE = Path(__file__).parents[1] / "support"
FORMATS = ("csr", "csc", "bsr", "coo", "dia", "lil", "dok")


def apart(*args: str, timeout: int = 100) -> str:
    """What a process of its own prints; it must end well, not by a signal."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", *args], cwd=HERE, capture_output=True, text=True, timeout=timeout
    )
    assert ran.returncode == 0, (ran.returncode, ran.stderr[-2000:])
    return ran.stdout


@pytest.mark.slow
def test_damaged_arrays_end_no_process():
    counts = apart("hostile_sparse.py", "0", "1500")
    for kind in FORMATS:
        assert f"{kind} refused" in counts
        assert f"{kind} taken" in counts


@pytest.mark.slow
def test_many_damaged_arrays_end_no_process():
    apart("hostile_sparse.py", "1500", "15000")


@pytest.mark.slow
def test_damaged_arrays_end_no_process_of_scikit_learns():
    counts = apart("hostile_sparse.py", "0", "1000", "facades")
    assert "csr refused" in counts


@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_what_ended_the_process(kind):
    apart("hostile_sparse.py", "named", kind)


@pytest.mark.parametrize("number", [np.float32, np.float64, np.uint8, np.int16, np.bool_])
@pytest.mark.parametrize("kind", FORMATS)
def test_sound_ones_of_every_format_are_taken(kind, number):
    g = np.random.default_rng(1)
    X = ((g.random((8, 6)) < 0.4) * g.integers(1, 9, (8, 6))).astype(number)
    given = getattr(sparse, f"{kind}_matrix")(X)
    rows = as_rows(given)
    assert rows.format == "csr"
    assert (rows.toarray() == X).all()
    assert (reference.encode(given) == X).all()
    np.testing.assert_allclose(column_means(given), X.mean(axis=0, dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_a_number_type_that_scipy_has_not_is_taken(kind):
    X = np.eye(4, 3, dtype=np.float16)
    given = getattr(sparse, f"{kind}_matrix")(X.astype(np.float32))
    given.data = given.data.astype(np.float16)
    assert (as_rows(given).toarray() == X).all()


def test_a_sound_csr_stays_itself_and_may_have_room_to_spare():
    X = sparse.csr_matrix(np.eye(3, 4, dtype=np.float32))
    assert as_csr(X) is X
    X.data, X.indices = np.append(X.data, [7, 7]), np.append(X.indices, [99, -1]).astype(np.int32)
    encoded = encode(X)
    assert (encoded.values.tolist(), encoded.columns.tolist()) == ([1, 1, 1], [0, 1, 2])


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0)])
@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_none_at_all_is_refused(kind, shape):
    X = getattr(sparse, f"{kind}_matrix")(shape, dtype=np.float32)
    for way in (encode, as_rows, column_means, lambda X: fastmlp.fit(X, np.zeros(shape[0], int))):
        with pytest.raises(DataError, match="at least one value; got shape"):
            way(X)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_zeros_alone_are_trained_on(backend):
    y = [0, 1, 1, 1]
    model, _ = fastmlp.fit(
        sparse.csr_matrix((4, 3), dtype=np.float32), y, hidden=2, epochs=2, scale=1, backend=backend
    )
    dense, _ = fastmlp.fit(np.zeros((4, 3), np.float32), y, hidden=2, epochs=2, scale=1, backend=backend)
    assert model.parameters.sha256() == dense.parameters.sha256()
    assert model.predict(sparse.csr_matrix((1, 3))).tolist() == [1]


def test_one_dimension_and_what_is_no_matrix_are_refused():
    with pytest.raises(DataError, match="must be a table"):
        as_rows(sparse.csr_array(np.ones(3)))
    operator = pytest.importorskip("scipy.sparse.linalg").aslinearoperator(np.eye(3))
    with pytest.raises(DataError, match="numbers"):
        as_rows(operator)
