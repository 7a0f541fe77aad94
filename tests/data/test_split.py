"""Splits: a part held out and the folds of a cross-validation; classes are in each part as in all rows."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp.data import Dataset
from fastmlp.data.split import fold_rows, folds, held_out
from fastmlp.errors import ConfigError, DataError
from fastmlp.random import permutation


def drawn(seed: int) -> np.ndarray:
    """Class indices of some hundred rows, the classes of very different sizes; each is there."""
    draw = np.random.default_rng(seed)
    K = int(draw.integers(2, 9))
    y = draw.choice(K, int(draw.integers(40, 300)), p=draw.dirichlet(np.full(K, 0.6)))
    return draw.permutation(np.concatenate([np.arange(K), y]))


@pytest.mark.parametrize("seed", range(20))
def test_the_held_out_part_is_a_sixth_of_each_class(seed):
    y = drawn(seed)
    held = held_out(len(y), y, seed, "here")
    assert np.array_equal(held, np.unique(held))
    counts, taken = np.bincount(y), np.bincount(y[held], minlength=y.max() + 1)
    assert (taken < counts).all()  # the last row of a class stays
    assert abs(taken - counts / 6).max() < 1 or len(held) < len(y) // 6
    assert len(held) == min(len(y) // 6, int((counts - 1).sum()))
    again, other = held_out(len(y), y, seed, "here"), held_out(len(y), y, seed + 1, "here")
    assert np.array_equal(held, again)
    assert not np.array_equal(held, other)


def test_numbers_are_held_out_as_the_permutation_has_them():
    for n in (2, 5, 6, 100):
        want = np.sort(permutation(n, 3, "holdout")[: max(1, n // 6)])
        assert np.array_equal(held_out(n, None, 3, "here"), want)


def test_held_out_of_the_smallest_set(data_refused):
    assert held_out(3, np.array([0, 1, 1]), 0, "here").tolist() in ([1], [2])
    with data_refused("here must hold a class with two rows"):
        held_out(3, np.array([0, 1, 2]), 0, "here")
    with data_refused("here must hold two rows"):
        held_out(1, None, 0, "here")


@pytest.mark.parametrize("seed", range(10))
def test_folds_are_disjoint_are_all_rows_and_stratified(seed):
    y = drawn(seed)
    data, n = Dataset.of(np.arange(len(y))[:, None] / 2, y, loss="logits"), 2 + seed % 6
    found = list(fold_rows(data, n, seed))
    assert len(found) == n
    assert np.array_equal(np.sort(np.concatenate([test for _, test in found])), np.arange(len(y)))
    counts = np.array([np.bincount(y[test], minlength=y.max() + 1) for _, test in found])
    assert np.ptp(counts, axis=0).max() <= 1
    assert np.ptp(counts.sum(axis=1)) <= 1
    for train, test in found:
        assert np.array_equal(train, np.setdiff1d(np.arange(len(y)), test))
    same, other = (list(fold_rows(data, n, s)) for s in (seed, seed + 1))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(found, same, strict=True))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(found, other, strict=True))


def test_folds_are_data_sets_that_test_on_their_fold():
    y = np.arange(20) % 2
    data = Dataset.of(np.arange(20)[:, None] / 2, y, (np.ones((3, 1)), y[:3]))
    for part, (train, test) in zip(folds(data, 4, 1), fold_rows(data, 4, 1), strict=True):
        assert part.X[:, 0].tolist() == (train / 2).tolist()
        assert part.X_test[:, 0].tolist() == (test / 2).tolist()
        assert (part.y.tolist(), part.y_test.tolist()) == (y[train].tolist(), y[test].tolist())
        assert part.classes == data.classes
    assert [part.source for part in folds(data, 2)] == [
        "arrays, fold 1 of 2 for testing",
        "arrays, fold 2 of 2 for testing",
    ]


def test_a_class_of_few_rows_keeps_its_place_in_every_fold():
    y = np.array(["a"] * 9 + ["b"])
    parts = list(folds(Dataset.of(np.ones((10, 2)), y), 3))
    assert all(part.classes == ("a", "b") for part in parts)
    assert sum((part.y_test == 1).sum() for part in parts) == 1


def test_folds_of_numbers_are_drawn_from_all_rows():
    data = Dataset.of(np.arange(11)[:, None] / 2, np.arange(11) / 3)
    assert sorted(len(part.y_test) for part in folds(data, 3)) == [3, 4, 4]


def test_folds_that_cannot_be():
    data = Dataset.of(np.ones((4, 2)), [0, 1, 0, 1])
    for n in (1, 0, "many", 2.5):
        with pytest.raises(ConfigError, match="folds must be a whole number from 2"):
            list(folds(data, n))
    with pytest.raises(DataError, match="data for 5 folds must have as many rows; got 4"):
        list(folds(data, 5))
