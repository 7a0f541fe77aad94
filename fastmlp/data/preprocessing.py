"""Fitting a Preprocessing: what is subtracted from each column of training rows, and what divides it.

The statistics are those of scikit-learn's StandardScaler, MinMaxScaler and RobustScaler. They are taken in
float64, block by block in one order, so that no second copy of the rows is made. Zeros of sparse rows count,
and are never stored. Applying it is the backends' work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.checks import block_rows
from fastmlp.data.encode import column_means
from fastmlp.data.sparse import is_scipy_sparse
from fastmlp.net import HUGEST, TINIEST, Preprocessing
from fastmlp.words.scales import Scale

Array = NDArray[Any]
Rows = NDArray[np.int64] | None  # the numbers of those that count; None: all

_EPS = float(np.finfo(np.float64).eps)
_TOGETHER = 1 << 22  # values of whole columns, or stored values of sparse rows, that are looked at together


def fitted(
    X: Any, scale: Scale, center: bool, rows: Rows = None, numeric: NDArray[np.bool_] | None = None
) -> Preprocessing:
    """Return the preprocessing that ``scale`` and ``center`` mean for training rows X (N, D).

    X: dense numbers, finite; or scipy.sparse in rows, sound. rows: the numbers of those that are trained on.
    center False: nothing is subtracted, so that zeros stay zeros. A column that is constant, or so near to it
    that its spread is rounding, is divided by 1: centred, it is 0. What is subtracted is rounded to float32,
    as the rows are: little is left of a column that spreads by less than a millionth of its mean.
    numeric: (D,), False where a column is left as it is beside a word; None: all are numbers.
    """
    if is_scipy_sparse(X) and not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    if isinstance(scale, float):
        mean = column_means(X if rows is None else X[rows]) if center else None
        return Preprocessing(scale, mean)
    if not isinstance(scale, str):
        return Preprocessing(np.array(scale), _moments(X, rows)[0].astype(np.float32) if center else None)
    offset, spread = _MEASURES[scale](X, rows)
    spread = np.where(spread < TINIEST, 1.0, np.minimum(spread, HUGEST))
    if numeric is not None:
        offset, spread = np.where(numeric, offset, 0.0), np.where(numeric, spread, 1.0)
    return Preprocessing(spread, offset.astype(np.float32) if center else None)


def _standard(X: Any, rows: Rows) -> tuple[Array, Array]:
    """Mean and standard deviation (D,) of the population; 0 where the variance is rounding."""
    mean, variance = _moments(X, rows)
    n = _count(X, rows)
    rounding = n * _EPS * variance + (n * mean * _EPS) ** 2  # Chan, Golub and LeVeque 1983
    return mean, np.sqrt(np.where(variance <= rounding, 0.0, variance))


def _minmax(X: Any, rows: Rows) -> tuple[Array, Array]:
    """Least value and range (D,)."""
    D = X.shape[1]
    low, high = np.full(D, np.inf), np.full(D, -np.inf)
    if is_scipy_sparse(X):
        stored = np.zeros(D, np.int64)
        for columns, values in _stored(X, rows):
            np.minimum.at(low, columns, values)
            np.maximum.at(high, columns, values)
            stored += np.bincount(columns, minlength=D)
        has_zeros = stored < _count(X, rows)
        low[has_zeros], high[has_zeros] = np.minimum(low, 0)[has_zeros], np.maximum(high, 0)[has_zeros]
    else:
        for block in _blocks(X, rows):
            low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    return low, _above_rounding(high - low)


def _robust(X: Any, rows: Rows) -> tuple[Array, Array]:
    """Median and interquartile range (D,), exact, linear between two values."""
    quantiles = _sparse_quartiles if is_scipy_sparse(X) else _quartiles
    low, median, high = quantiles(X, rows)
    return median, _above_rounding(high - low)


_MEASURES = {"standard": _standard, "minmax": _minmax, "robust": _robust}


def _above_rounding(spread: Array) -> Array:
    return np.where(spread < 10 * _EPS, 0.0, spread)


def _moments(X: Any, rows: Rows) -> tuple[Array, Array]:
    """Mean and variance (D,), of sums over distances from a value in the midst of the column."""
    n, D = _count(X, rows), X.shape[1]
    if is_scipy_sparse(X):
        sums, stored = np.zeros(D), np.zeros(D, np.int64)
        for columns, values in _stored(X, rows):
            sums += np.bincount(columns, values, D)
            stored += np.bincount(columns, minlength=D)
        mean, squares = sums / n, np.zeros(D)
        for columns, values in _stored(X, rows):
            squares += np.bincount(columns, (values - mean[columns]) ** 2, D)
        return mean, (squares + (n - stored) * mean**2) / n
    # A share q of the rows has that mean: the square of its distance from that of all is at most the variance
    # times (1 - q) / q, so that the difference below loses no more digits than q has.
    first = next(_blocks(X, rows))
    middle = np.asarray(first[0], np.float64)  # of a constant column exactly
    middle = middle + np.subtract(first, middle, dtype=np.float64).mean(axis=0)
    sums, squares = np.zeros(D), np.zeros(D)
    for block in _blocks(X, rows):
        distances = np.subtract(block, middle, dtype=np.float64)
        sums += distances.sum(axis=0)
        squares += np.einsum("ij,ij->j", distances, distances)
    mean = sums / n
    return middle + mean, np.maximum(squares / n - mean**2, 0.0)


def _quartiles(X: Any, rows: Rows) -> Array:
    """The quartiles (3, D) of dense columns, some of them at a time."""
    D = X.shape[1]
    found, step = np.empty((3, D)), max(1, _TOGETHER // _count(X, rows))
    for start in range(0, D, step):
        some = X[:, start : start + step]
        columns = np.array((some if rows is None else some[rows]).T, np.float64, order="C")
        found[:, start : start + step] = np.percentile(columns, (25, 50, 75), axis=1, overwrite_input=True)
    return found


def _sparse_quartiles(X: Any, rows: Rows) -> Array:
    """The same of sparse columns."""
    n, D = _count(X, rows), X.shape[1]
    X = (X if rows is None else X[rows]).tocsc()
    found, start = np.empty((3, D)), 0
    while start < D:
        end = max(start + 1, int(np.searchsorted(X.indptr, X.indptr[start] + _TOGETHER, side="right")) - 1)
        starts = np.asarray(X.indptr[start : end + 1], np.int64)
        values = np.asarray(X.data[starts[0] : starts[-1]], np.float64)
        starts -= starts[0]
        column = np.repeat(np.arange(end - start), np.diff(starts))
        values = values[np.lexsort((values, column))]
        negative = np.bincount(column, values < 0, end - start).astype(np.int64)
        for quartile in range(3):
            at = 0.25 * (quartile + 1) * (n - 1)
            low, high = (_ranked(k, values, starts, negative, n) for k in (int(at), min(int(at) + 1, n - 1)))
            found[quartile, start:end] = low + (high - low) * (at - int(at))
        start = end
    return found


def _ranked(k: int, values: Array, starts: Array, negative: Array, n: int) -> Array:
    """The k-th of the n values of each column, from the least, 0.

    Column j stores the ascending values[starts[j] : starts[j + 1]], so many of them negative; zeros stand
    between those and the others.
    """
    zeros = n - np.diff(starts)
    is_stored = (k < negative) | (k >= negative + zeros)
    out = np.zeros(len(zeros))
    out[is_stored] = values[(starts[:-1] + np.where(k < negative, k, k - zeros))[is_stored]]
    return out


def _count(X: Any, rows: Rows) -> int:
    return int(X.shape[0]) if rows is None else len(rows)


def _blocks(X: Any, rows: Rows) -> Iterator[Array]:
    """The dense rows, some of them at a time."""
    step = block_rows(X)
    for start in range(0, _count(X, rows), step):
        part = slice(start, start + step)
        yield X[part] if rows is None else X[rows[part]]


def _stored(X: Any, rows: Rows) -> Iterator[tuple[Array, Array]]:
    """Columns and values, in float64, of what sparse rows store, some rows at a time."""
    n = _count(X, rows)
    together = max(_TOGETHER // 4, X.shape[1])
    step = max(1, together * X.shape[0] // max(1, int(X.indptr[-1])))
    for start in range(0, n, step):
        part = X if rows is None else X[rows[start : start + step]]
        own = slice(part.indptr[start], part.indptr[min(start + step, n)]) if rows is None else slice(None)
        yield part.indices[own], np.asarray(part.data[own], np.float64)
