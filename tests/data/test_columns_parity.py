"""Columns beside scikit-learn's OneHotEncoder, SimpleImputer and MissingIndicator on drawn tables."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_columns import cells_of, drawn_table, text

from fastmlp.data.column_code import LEAST_ROWS, MOST_CATEGORIES
from fastmlp.data.columns import Columns
from fastmlp.data.table import Table

preprocessing = pytest.importorskip("sklearn.preprocessing")
impute = pytest.importorskip("sklearn.impute")


def encoder(rare=True):
    return preprocessing.OneHotEncoder(
        handle_unknown="ignore", sparse_output=False, min_frequency=LEAST_ROWS if rare else None
    )


def as_objects(column):
    return np.array([cells_of(column)], object).T


@pytest.mark.parametrize("seed", range(40))
def test_drawn_tables_are_encoded_as_scikit_learn_does(seed):
    """Fitted to some rows and applied to all, so that there are unknown texts too."""
    table = drawn_table(seed, 300)
    rows = np.random.default_rng(seed).permutation(300)[:200]
    columns = Columns.fitted(table, rows=rows)
    X, at = columns.encode(table), 0
    for code, column in zip(columns.codes, table.columns, strict=True):
        part, at = X[:, at : at + code.width], at + code.width
        if code.dropped or not (code.categories or not code.as_category):
            continue
        if code.as_category:
            if len(code.categories) == MOST_CATEGORIES:
                continue  # which of as many rows stay is not scikit-learn's choice
            cells = as_objects(column)
            there = np.array([cell is not None for cell in cells[:, 0]])
            fitted = encoder().fit(cells[rows][there[rows]])
            assert tuple(np.setdiff1d(fitted.categories_[0], code.rare)) == code.categories
            infrequent = fitted.infrequent_categories_[0]
            assert set(code.rare) == set([] if infrequent is None else infrequent)
            theirs = np.zeros((300, code.width - code.flag))
            theirs[there] = fitted.transform(cells[there])
            np.testing.assert_array_equal(part[:, : code.width - code.flag], theirs)
        elif column.kind != "flag":
            values = column.values[:, None]
            filled = impute.SimpleImputer(strategy="median").fit(values[rows]).transform(values)
            np.testing.assert_array_equal(part[:, 0], (filled[:, 0] - code.offset).astype(np.float32))
        if code.flag:
            np.testing.assert_array_equal(part[:, -1], column.missing)


@pytest.mark.parametrize("seed", range(3))
def test_the_commonest_categories_are_scikit_learns(seed):
    """Of many, none as frequent as another: so many with an input, all others together."""
    draw = np.random.default_rng(seed)
    cells = np.repeat([f"w{k}" for k in draw.permutation(160)], np.arange(2, 162)).tolist()
    code = Columns.fitted(Table((text("t", cells),))).codes[0]
    theirs = preprocessing.OneHotEncoder(max_categories=MOST_CATEGORIES + 1).fit(np.array([cells], object).T)
    assert set(code.rare) == set(theirs.infrequent_categories_[0])
    assert {*code.categories, *code.rare} == set(theirs.categories_[0])


def test_the_comparison_goes_red():
    cells = np.array([["a", "a", "b"]], object).T
    column = text("t", ["a", "a", "b"])
    X = Columns.fitted(Table((column,))).encode(Table((column,)))
    np.testing.assert_array_equal(X, encoder().fit_transform(cells))
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(X[:, ::-1], encoder().fit_transform(cells))
