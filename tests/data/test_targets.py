"""What y may be by the loss: each kind taken in its forms, in arrays and in files, and all else named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

import fastmlp
from fastmlp.data import Dataset, load, read_test
from fastmlp.errors import DataError
from fastmlp.words.losses import LOSSES, Loss

N = 12
X = (np.arange(N * 5).reshape(N, 5) % 7).astype(np.uint8)
PRICES = np.linspace(-3.5, 90.25, N)
TWO = np.array([4, 9] * 6)
FLAGS = (np.arange(N * 3).reshape(N, 3) % 4 == 0).astype(int)
SHARES = np.array([[0.2, 0.3, 0.5], [1, 0, 0], [0, 1, 0], [0.25, 0.5, 0.25]] * 3)
NUMBERS = [name for name, word in LOSSES.items() if word.task == "numbers" and word.link == "identity"]


@pytest.mark.parametrize("loss", NUMBERS)
@pytest.mark.parametrize(
    "y",
    [PRICES, PRICES[:, None], PRICES.tolist(), PRICES.astype(np.float32), np.arange(N) - 4, TWO == 4],
    ids=["float64", "a column", "a list", "float32", "integers", "bools"],
)
def test_numbers_are_taken_as_they_come(loss, y):
    data = Dataset.of(X, y, (X[:2], y[:2]), loss)
    wanted = np.asarray(y, np.float64).reshape(N, 1)
    assert (data.targets, data.classes, data.outputs(loss)) == ("numbers", (), 1)
    assert data.y.dtype == data.y_test.dtype == np.float64
    np.testing.assert_array_equal(data.y, wanted)
    np.testing.assert_array_equal(data.y_test, wanted[:2])
    assert Dataset.of(data, loss=loss) is data


def test_several_numbers_a_row_and_sparse_rows():
    y = np.stack([PRICES, -PRICES], axis=1)
    data = Dataset.of(sparse.csr_array(X), y, loss="squared")
    assert data.outputs("squared") == 2
    np.testing.assert_array_equal(data.y, y)
    assert data.test is None


def test_one_output_has_two_classes_of_any_labels():
    for y in (TWO, TWO[:, None], TWO == 9):
        data = Dataset.of(X, y, (X[:3], y[:3]), "binary")
        assert (data.targets, data.outputs("binary"), data.y.tolist()) == ("labels", 1, [0, 1] * 6)
        assert data.y_test.tolist() == [0, 1, 0]
    assert Dataset.of(X, TWO, loss="binary").classes == (4, 9)
    assert Dataset.of(X, (TWO == 9).astype(np.float32), loss="binary").classes == (0, 1)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float64])
def test_columns_of_0_and_1_are_flags(dtype):
    data = Dataset.of(X, FLAGS.astype(dtype), (X, FLAGS.astype(dtype)), "binary")
    assert (data.targets, data.classes, data.outputs("binary")) == ("flags", (0, 1, 2), 3)
    np.testing.assert_array_equal(data.y, FLAGS)
    np.testing.assert_array_equal(data.y_test, FLAGS)


def test_columns_that_sum_to_1_are_shares_of_classes():
    data = Dataset.of(X, SHARES, loss="keras2")
    assert (data.targets, data.classes, data.outputs("keras2")) == ("shares", (0, 1, 2), 3)
    np.testing.assert_array_equal(data.y, SHARES.astype(np.float32))
    assert Dataset.of(X, SHARES.round(3).astype(np.float16)).targets == "shares"  # rounded, but so meant
    assert Dataset.of(X, np.eye(3, dtype=int)[[0, 1, 2] * 4]).targets == "shares"


def changed(y, value):
    y = np.array(y, np.float64)
    y[3 if y.ndim == 1 else (3, 1)] = value
    return y


WRONG = {
    "nan, a number": ("squared", changed(PRICES, np.nan), "y must hold finite numbers.* got nan in row 3"),
    "infinite": ("absolute", changed(PRICES, np.inf), "finite numbers.* got inf in row 3"),
    "too large": ("huber:1", changed(PRICES, 1e31), "finite numbers.* got 1e\\+31 in row 3"),
    "text": ("squared", np.array(["a"] * N), "y must hold finite numbers .*; got 'a' in row 0"),
    "cubes": ("squared", np.zeros((N, 2, 2)), "y must have shape .N,. or .N, K."),
    "no columns": ("squared", np.zeros((N, 0)), "y must have shape"),
    "negative counts": (
        "poisson",
        changed(np.arange(N), -1),
        "from 0 for the loss poisson.* got -1.0 in row 3",
    ),
    "too short": ("squared", PRICES[:-1], "same length; got 12 and 11"),
    "none": ("squared", None, "y must be an array of labels or numbers beside an array X; got None"),
    "three labels": ("binary", np.arange(N) % 3, "two different labels for the loss binary; got 3: 0, 1, 2"),
    "one label": ("binary", np.ones(N, int), "at least two different labels; got 1 alone"),
    "one class": ("logits", np.ones(N, int), "at least two different labels; got 1 alone"),
    "a half": ("binary", changed(TWO == 9, 0.5), "0 and 1 alone for the loss binary; got 0.5 in row 3"),
    "two among flags": ("binary", changed(FLAGS, 2), "0 and 1 alone .* got 2.0 in row 3, column 1"),
    "nan among flags": ("binary", changed(FLAGS, np.nan), "0 and 1 alone .* got nan in row 3, column 1"),
    "times": ("logits", np.arange(N).astype("m8[s]"), "must hold texts, numbers, or true and false"),
    "no shares": ("logits", changed(SHARES, -0.5), "shares of classes.* got -0.5 in row 3, column 1"),
    "nan among shares": ("logits", changed(SHARES, np.nan), "shares of classes.* got nan in row 3"),
    "shares of 2": ("logits", np.ones((N, 2)), "sum to 1, for the loss logits; got 2 in row 0"),
    "fractions": (
        "logits",
        PRICES,
        "labels for the loss logits; got numbers with a fraction. Use loss squared",
    ),
    "mixed": ("logits", [1, "b"] * 6, "texts alone, or numbers alone"),
}


@pytest.mark.parametrize("case", WRONG)
def test_targets_that_do_not_suit_the_loss_are_named(case):
    loss, y, message = WRONG[case]
    for call in (
        lambda: Dataset.of(X, y, loss=loss),
        lambda: fastmlp.fit(X, y, loss=loss),
        lambda: fastmlp.fit_many(X, y, [fastmlp.Training(loss=loss)]),
    ):
        with pytest.raises(DataError, match=message):
            call()


def test_test_data_must_be_of_the_same_kind():
    for loss, y, test, message in (
        ("squared", PRICES, np.stack([PRICES, PRICES], 1), "as many targets as the training part, 1; got 2"),
        ("squared", PRICES, changed(PRICES, np.nan), "y of the test data must hold finite numbers"),
        ("poisson", TWO, -TWO, "y of the test data must hold numbers from 0"),
        (
            "binary",
            TWO,
            np.full(N, 5),
            "the test data must hold the labels of training alone, 4, 9; got 5 in row 0",
        ),
        ("binary", FLAGS, FLAGS * 2, "y of the test data must hold 0 and 1"),
        ("logits", SHARES, SHARES[:, :2], "sum to 1"),
        ("squared", PRICES, PRICES[:4], "as many rows of y as of X; got 12 of X and 4 of y"),
    ):
        with pytest.raises(DataError, match=message):
            Dataset.of(X, y, (X, test), loss)


def test_a_dataset_suits_other_losses_of_its_kind_and_labels_are_numbers_too():
    labels = Dataset.of(X, TWO, (X[:2], TWO[:2]))
    assert labels.suited("keras2") is labels.suited("binary") is labels
    numbers = labels.suited("squared")
    assert (numbers.targets, numbers.classes) == ("numbers", ())
    np.testing.assert_array_equal(numbers.y[:, 0], TWO)
    np.testing.assert_array_equal(numbers.y_test[:, 0], TWO[:2])
    assert numbers.sums == Dataset.of(X, TWO, (X[:2], TWO[:2]), "absolute").sums != labels.sums
    for made, loss, message in (
        (
            Dataset.of(X, PRICES, loss="squared"),
            "logits",
            "labels .* or shares .* for the loss logits; got numbers",
        ),
        (Dataset.of(X, PRICES, loss="squared"), "poisson", "numbers from 0"),
        (Dataset.of(X, FLAGS, loss="binary"), "squared", "must be numbers for the loss squared; got columns"),
        (Dataset.of(X, np.arange(N) % 3), "binary", "two different labels"),
        (Dataset.of(X, SHARES), "binary", "labels .* or columns .* got shares"),
    ):
        with pytest.raises(DataError, match=message):
            fastmlp.fit(made, loss=loss)


def test_a_dataset_of_others_is_checked_too():
    good = Dataset.of(X, PRICES, (X[:2], PRICES[:2]), "squared")
    for wrong in (
        {"y": good.y.astype(np.float32)},
        {"y": good.y[:-1]},
        {"y": good.y[:, 0]},
        {"y": good.y[:, 0], "y_test": good.y_test[:, 0]},
        {"y_test": np.zeros((2, 2))},
        {"y": changed(good.y[:, 0], np.nan)[:, None]},
        {"targets": "flags"},
        {"targets": "other"},
    ):
        with pytest.raises(DataError):
            Dataset.of(replace(good, **wrong), loss="squared")


def table(path, target, header="a,b,price"):
    rows = [f"{i},{i % 3},{value}" for i, value in enumerate(target)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_column_of_any_numbers_is_read_for_a_loss_of_numbers(tmp_path):
    path = table(tmp_path / "houses.csv", ["-1.5", "2e3", "7", ".25"] * 6)
    data = load(path, label="price", loss="squared")
    assert (len(data.y), len(data.y_test), data.targets) == (20, 4, "numbers")
    assert sorted({*data.y[:, 0], *data.y_test[:, 0]}) == [-1.5, 0.25, 7, 2000]
    again = load(path, label="price", loss="huber:2", test_data=path)
    np.testing.assert_array_equal(again.y_test[:, 0], [-1.5, 2000, 7, 0.25] * 6)
    np.testing.assert_array_equal(read_test(path, "price", "squared")[1], again.y_test)
    assert load(path, label="price").targets == "numbers"
    assert load(path, label="price", task="classes").classes == (-1.5, 0.25, 7.0, 2000.0)
    with pytest.raises(DataError, match="labels for the loss logits; got numbers with a fraction"):
        load(path, label="price", loss="logits")
    for cell in ("nan", ""):
        data = load(table(tmp_path / "gap.csv", ["1.5", cell, "2"]), label="price", loss="squared")
        assert (len(data.y) + len(data.y_test), data.told[-1]) == (2, "1 row without a label left out")
    with pytest.raises(DataError, match=r"'price'.*'1e999' in line 3"):
        load(table(tmp_path / "bad.csv", ["1.5", "1e999", "2"]), label="price", loss="squared")
    with pytest.raises(
        DataError, match=r"the label 'price' of .* must hold numbers from 0 for the loss poisson"
    ):
        load(path, label="price", loss="poisson")


def test_files_of_arrays_hold_every_kind(tmp_path):
    for loss, y in (("squared", np.stack([PRICES, PRICES], 1)), ("binary", FLAGS), ("logits", SHARES)):
        path = tmp_path / f"{loss}.npz"
        np.savez(path, x=X, y=y)
        data = load(path, loss=loss)
        assert data.outputs(loss) == y.shape[1]
        assert len(data.y) + len(data.y_test) == N
        assert data.targets == Dataset.of(X, y, loss=loss).targets
    np.savez(tmp_path / "short.npz", x=X, y=FLAGS[:-1])
    with pytest.raises(DataError, match="as many rows of y as of X; got 12 of X and 11 of y"):
        load(tmp_path / "short.npz", loss="binary")
    np.savez(tmp_path / "three.npz", x=X, y=np.arange(N) % 3)
    with pytest.raises(DataError, match="two different labels for the loss binary"):
        load(tmp_path / "three.npz", loss="binary")
    np.savez(tmp_path / "other.npz", x_train=X, y_train=FLAGS, x_test=X, y_test=FLAGS[:, :2])
    with pytest.raises(DataError, match="as many targets as the training part, 3; got 2"):
        load(tmp_path / "other.npz", loss="binary")


def test_every_loss_has_a_kind_for_its_targets():
    for name in LOSSES:
        assert Loss.of(name if not LOSSES[name].needed else "clip:0.1,0.9").task in fastmlp.data.targets.KINDS
