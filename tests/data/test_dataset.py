"""Dataset: what it is made of, what it refuses, and how often what it holds is looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

import fastmlp
from fastmlp.data import Dataset, dataset, load
from fastmlp.errors import DataError

X = (np.arange(12 * 5).reshape(12, 5) % 7).astype(np.uint8)
Y = np.array([3, 5, 8] * 4)
THIRDS = (X / np.float32(3)).astype(np.float32)
FORMS = {"uint8": X, "float32": THIRDS, "csr": sparse.csr_array(THIRDS)}
SHORT = {"hidden": 4, "epochs": 2, "batch_size": 5, "lr": 0.1}


def test_labels_become_indices():
    data = Dataset.of(X, Y, (X[:4], [8, 5, 3, 3]))
    assert data.classes == (3, 5, 8)
    assert data.y.tolist() == [0, 1, 2] * 4
    assert data.y_test.tolist() == [2, 1, 0, 0]
    assert data.y.dtype == data.y_test.dtype == np.int64
    assert Dataset.of(X, Y).test is None
    assert Dataset.of(data) is data


@pytest.mark.parametrize(
    ("form", "data_sum", "test_sum"),
    [
        (
            "uint8",
            "dda27933d3be060b2c22a5b7d4f44402537fc0e84d4659f7bb8a1e085f645a99",
            "a0ca34de1dbe0ca2266572d83bee7b68b7dbc7b7dc15f39d2aa1f6f9287da647",
        ),
        (
            "float32",
            "c501844e9a430258da80465245bcb93adbae2176418993685f15c9da6b3938ae",
            "4ea511c1f144f1b53a791c03b0f65982142005031fcf3bb54159c2388bb1b8d8",
        ),
        (
            "csr",
            "8489ff338bc523cc600983ab2bbda1726b326a342f57d95ed82c1564a7f8000a",
            "ae0cdc7d843e955ace5186f3abf1655358909704a74da5db8362a078f5e52068",
        ),
    ],
)
def test_the_sums_that_checkpoints_hold(form, data_sum, test_sum):
    """A checkpoint that another version wrote must be known again."""
    rows = FORMS[form]
    assert Dataset.of(rows, Y, (rows[:4], Y[:4])).sums == {"data": data_sum, "test data": test_sum}
    assert Dataset.of(rows, Y).sums == {"data": data_sum, "test data": None}


def test_bools_have_the_sums_of_0_and_1_which_they_once_were():
    assert Dataset.of(X, Y == 5).sums == Dataset.of(X, (Y == 5).astype(int)).sums


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("form", FORMS)
def test_fit_takes_a_dataset_for_its_arrays(form, backend):
    rows = FORMS[form]
    arrays, test = (rows, Y), (rows[:4], Y[:4])
    options = {**SHORT, "center": form != "csr", "backend": backend}
    one, of_arrays = fastmlp.fit(*arrays, test_data=test, **options)
    two, of_dataset = fastmlp.fit(Dataset.of(*arrays, test), **options)
    assert one.parameters.sha256() == two.parameters.sha256()
    assert one.classes == two.classes == (3, 5, 8)
    assert [e.test_loss for e in of_arrays.epochs] == [e.test_loss for e in of_dataset.epochs]


def test_fit_many_and_diagnose_take_one_too():
    data = Dataset.of(np.tile(X, (10, 1)), np.tile(Y, 10), (X, Y))
    model, _ = fastmlp.fit(data, seed=3, **SHORT)
    (fitted,) = fastmlp.fit_many(data, None, [fastmlp.Training(seed=3, center=False, **SHORT)])
    assert fitted.model.parameters.sha256() == model.parameters.sha256()
    assert fastmlp.diagnose(data, epochs=1, seconds=0.1, hidden=4).findings is not None


def test_a_training_on_arrays_goes_on_with_the_dataset(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=Y, X_test=X[:4], y_test=Y[:4])
    whole, _ = fastmlp.fit(X, Y, test_data=(X[:4], Y[:4]), **SHORT)
    fastmlp.fit(X, Y, test_data=(X[:4], Y[:4]), checkpoint=tmp_path / "c", **{**SHORT, "epochs": 1})
    model, history = fastmlp.fit(load(tmp_path / "a.npz"), checkpoint=tmp_path / "c", **SHORT)
    assert model.parameters.sha256() == whole.parameters.sha256()
    assert len(history.epochs) == 2


GOOD = Dataset.of(THIRDS, Y, (THIRDS[:4], Y[:4]))


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"y": GOOD.y + 1},
        {"y": GOOD.y - 1},
        {"y": GOOD.y[:-1]},
        {"y": GOOD.y.astype(float)},
        {"y": GOOD.y[:, None]},
        {"X": THIRDS[:, :, None]},
        {"X": THIRDS[:-1]},
        {"X": THIRDS[:, :4]},
        {"X": THIRDS.astype(float)},
        {"X": np.asfortranarray(THIRDS)},
        {"X": THIRDS.tolist()},
        {"X": sparse.csc_array(THIRDS)},
        {"y": GOOD.y.tolist()},
        {"X_test": THIRDS[:4, :4]},
        {"X_test": None},
        {"y_test": GOOD.y_test + 1},
        {"y_test": GOOD.y_test[:-1]},
        {"classes": (3, 5)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_dataset_whose_arrays_do_not_fit(wrong, backend):
    with pytest.raises(DataError, match="a Dataset must hold rows"):
        fastmlp.fit(replace(GOOD, **wrong), backend=backend, **SHORT)


@pytest.mark.parametrize("part", ["X", "X_test"])
@pytest.mark.parametrize(
    ("form", "backend"), [(np.asarray, "numba"), (np.asarray, "numpy"), (sparse.csr_array, "numba")]
)
def test_a_dataset_that_is_not_finite(part, backend, form):
    wrong = getattr(GOOD, part).copy()
    wrong[3, 2] = np.nan
    with pytest.raises(DataError, match="X must be finite in float32; got nan in row 3, column 2"):
        fastmlp.fit(replace(GOOD, **{part: form(wrong)}), backend=backend, **SHORT)


def test_a_dataset_comes_alone():
    for more in ({"y": Y}, {"test_data": (X, Y)}):
        with pytest.raises(DataError, match="a Dataset must come alone"):
            fastmlp.fit(GOOD, **more)


def test_a_sparse_dataset_that_was_changed_is_refused():
    rows = sparse.csr_array(THIRDS)
    data = Dataset.of(rows, Y)
    rows.indices[3] = 2**30
    with pytest.raises(DataError, match="sound CSR"):
        fastmlp.fit(data, **SHORT)


def test_every_value_is_looked_at_once(tmp_path, monkeypatch):
    """For being finite; and summed up once, however often its sum is asked for."""
    looked, summed = [], []
    is_finite, sum_of = np.isfinite, dataset.sum_of
    monkeypatch.setattr(np, "isfinite", lambda x: looked.append(getattr(x, "shape", ())) or is_finite(x))
    monkeypatch.setattr(dataset, "sum_of", lambda *arrays: summed.append(len(arrays[0])) or sum_of(*arrays))
    np.savez(tmp_path / "a.npz", X=THIRDS, y=Y, X_test=THIRDS[:4], y_test=Y[:4])

    def rows_of_inputs():
        seen = sum(shape[0] for shape in looked if len(shape) == 2 and shape[1] == 5)
        looked.clear()
        return seen

    fastmlp.fit(THIRDS, Y, test_data=(THIRDS[:4], Y[:4]), **SHORT)
    assert rows_of_inputs() == 16
    data = load(tmp_path / "a.npz")
    assert rows_of_inputs() == 16
    for folder in "ab":
        fastmlp.fit(data, checkpoint=tmp_path / folder, **SHORT)
        assert rows_of_inputs() == 16
    assert summed == [12, 4]
