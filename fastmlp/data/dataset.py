"""Dataset: rows and class indices to train and to test on, before any preprocessing; and how one is made.

Labels become indices here, once, whether they come from arrays or from the parts of a file. Where a file has
no test part, a seeded sixth of its training part is held out. No file is read here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.checks import as_pair
from fastmlp.data.checks import (
    check_finite,
    checked_labels,
    class_indices,
    distinct,
    features,
    image_shape,
    labels,
    places,
)
from fastmlp.data.encode import as_rows
from fastmlp.data.preprocessing import fitted
from fastmlp.data.sparse import as_csr, is_scipy_sparse
from fastmlp.errors import DataError
from fastmlp.net import Preprocessing
from fastmlp.random import permutation
from fastmlp.scales import Scale

HELD_OUT = 6  # one row in six


@dataclass(frozen=True, eq=False)  # a comparison of arrays has no one answer
class Dataset:
    """Data of a source, or given as arrays: checked, and taken as they are from here on.

    X, X_test: (N, D) C-contiguous uint8 (0..255) or float32 (finite), never scaled or centred; or
               scipy.sparse in rows. X_test has no rows where there is no test part.
    y, y_test: (N,) int64 class indices 0..K-1 into ``classes``.
    classes:   the K labels as they stand in the file (non-negative integers, ascending).
    name:      "mnist", "synthetic", the name of the file or folder, or "arrays".
    source:    one line for people: where it came from, and how the test part came to be.
    image_shape: (rows, columns) where a row of X is a picture, else None.
    """

    name: str
    source: str
    X: Any
    y: NDArray[np.int64]
    X_test: Any
    y_test: NDArray[np.int64]
    classes: tuple[int, ...]
    image_shape: tuple[int, int] | None = None

    @classmethod
    def of(
        cls,
        X: ArrayLike | Dataset,
        y: ArrayLike | None = None,
        test_data: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Dataset:
        """Make one from rows X (N, D) and labels y (N,), and such a pair to test on; a Dataset X is returned.

        Raises DataError for what does not fit together, and for labels of one class alone.
        """
        if isinstance(X, Dataset):
            if y is not None or test_data is not None:
                raise DataError("a Dataset must come alone", "y or test_data too", "it has its own of both")
            X._check()
            return X
        rows, found = as_rows(X), checked_labels(y)  # type: ignore[arg-type]  # None is no labels
        if len(found) != rows.shape[0]:
            raise DataError("X and y must have the same length", f"{rows.shape[0]} and {len(found)}")
        known = distinct(found)
        classes = tuple(known.tolist())
        if len(classes) < 2:
            raise DataError(
                "y must hold at least two different labels", f"{classes[0]} alone" if classes else "none"
            )
        D = rows.shape[1]
        X_test, y_test = np.empty((0, D), np.uint8), np.empty(0, np.int64)
        if test_data is not None:
            other, test_labels = as_pair("test_data", test_data)
            X_test, y_test = as_rows(other), class_indices(test_labels, classes)
            if X_test.shape[1] != D or X_test.shape[0] != len(y_test):
                raise DataError(
                    f"test data must be (N, {D}) with N labels", f"{X_test.shape} and {len(y_test)}"
                )
        return cls("arrays", "arrays", rows, np.searchsorted(known, found), X_test, y_test, classes)

    @property
    def test(self) -> tuple[Any, NDArray[np.int64]] | None:
        """The pair (X_test, y_test); None where there is no test part."""
        return (self.X_test, self.y_test) if len(self.y_test) else None

    def preprocessing(
        self, scale: Scale, center: bool, rows: NDArray[np.int64] | None = None
    ) -> Preprocessing:
        """Fit it to X, once for all who ask for the same; see ``fitted``."""
        key = scale, center, None if rows is None else sum_of(rows)
        if key not in self._fitted:
            self._fitted[key] = fitted(self.X, scale, center, rows)
        return self._fitted[key]

    @cached_property
    def _fitted(self) -> dict[Any, Preprocessing]:
        return {}

    @cached_property
    def sums(self) -> dict[str, str | None]:
        """Sums (sha256) by name, of the training part and of the test part, if any: rows, then labels."""
        known = np.asarray(self.classes)
        return {
            "data": sum_of(self.X, known[self.y]),
            "test data": sum_of(self.X_test, known[self.y_test]) if self.test else None,
        }

    def encoded(self, nn: ModuleType) -> Self:
        """Put both parts in the form that a backend reads; all else is of the rows before."""
        X_test = nn.encode_rows(self.X_test) if self.test else self.X_test
        return replace(self, X=nn.encode_rows(self.X), X_test=X_test)

    def _check(self) -> None:
        """Raise DataError unless it is as ``of`` and ``assemble`` make one: others can make one too."""
        K = len(self.classes)
        for X, y in ((self.X, self.y), (self.X_test, self.y_test)):
            if is_scipy_sparse(X):
                fits = as_csr(X) is X
            else:
                fits = isinstance(X, np.ndarray) and X.dtype in (np.uint8, np.float32) and X.ndim == 2
                fits = fits and X.flags.c_contiguous
            fits = fits and isinstance(y, np.ndarray) and y.dtype == np.int64 and y.shape == X.shape[:1]
            if not fits or X.shape[1:] != self.X.shape[1:] or (len(y) and not 0 <= y.min() <= y.max() < K):
                raise DataError(
                    f"a Dataset must hold rows (N, D), uint8 or float32, and N indices of {K} classes, int64",
                    f"X of shape {np.shape(X)}, y of shape {np.shape(y)}",
                    "make it with fastmlp.data.load or Dataset.of",
                )
            if X.dtype == np.float32 and not is_scipy_sparse(X):
                check_finite(X, "X must be finite in float32", first=0)


@dataclass(frozen=True)
class Part:
    """X (N, D), (N, rows, columns) or that with one channel; y (N,) or (N, 1); any real numbers.

    where: the file, for messages.
    columns: the D names of the features, where the file has them.
    told: how the file was read, where that is not plain: for people.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    where: str
    columns: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parts:
    """Both parts of a source; at least one is there."""

    train: Part | None = None
    test: Part | None = None


def assemble(name: str, source: str, parts: Parts, seed: int, test_source: str | None = None) -> Dataset:
    """The Dataset of ``parts``. test_source: where the test part came from, if not from ``source``.

    DataError where the parts do not fit each other or training: see ``features``, ``labels``, ``held_out``.
    """
    if parts.train is None:
        raise DataError(f"{source} must hold a training part", "a test part alone", "give it as test data")
    X = features(parts.train.X, parts.train.where)
    y = labels(parts.train.y, len(X), parts.train.where)
    classes = distinct(y)
    if len(classes) < 2:
        raise DataError(
            f"{parts.train.where} must hold at least two classes",
            f"the label {classes[0]} alone",
            "use data with several classes, or name the right label column",
        )
    if parts.test is None:
        held = held_out(y, seed, parts.train.where)
        X_test, y_test = X[held], y[held]
        X, y = np.delete(X, held, axis=0), np.delete(y, held)
        how = f"a sixth held out for testing ({len(held):,} rows, seed {seed})"
    else:
        X_test = features(parts.test.X, parts.test.where)
        y_test = labels(parts.test.y, len(X_test), parts.test.where)
        how = f"test part from {test_source}{_told(parts.test)}" if test_source else "with its own test part"
        if X.shape[1] != X_test.shape[1]:
            raise DataError(
                f"{parts.test.where} must have as many features as the training part, {X.shape[1]}",
                X_test.shape[1],
                "use files that belong together, and name the label column where there is one",
            )
        _check_columns(parts.train, parts.test)
    indices, strange = places(y_test, classes)
    if parts.test is not None and strange.any():
        at = int(strange.argmax())
        raise DataError(
            f"{parts.test.where} must hold no label that the training part lacks",
            f"the label {y_test[at]} in row {at + 1}",
            "use files that belong together, and name the label column where there is one",
        )
    if X.dtype != X_test.dtype:
        X, X_test = X.astype(np.float32), X_test.astype(np.float32)
    return Dataset(
        name=name,
        source=f"{source}{_told(parts.train)}, {how}",
        X=X,
        y=np.searchsorted(classes, y),
        X_test=X_test,
        y_test=indices,
        classes=tuple(classes.tolist()),
        image_shape=image_shape(parts.train.X, X),
    )


def held_out(y: NDArray[np.int64], seed: int, where: str) -> NDArray[np.int64]:
    """The rows of the test part, ascending: a sixth, at least one, and never the last row of a class."""
    order = permutation(len(y), seed, "holdout")
    _, last = np.unique(y[order][::-1], return_index=True)
    free = np.delete(order, len(y) - 1 - last)
    if len(free) == 0:
        raise DataError(
            f"{where} must hold a class with two rows, so that one can be held out for testing",
            f"{len(y)} rows, each of its own class",
            "give test data, or name the right label column",
        )
    return np.sort(free[: max(1, len(y) // HELD_OUT)])


def _check_columns(train: Part, test: Part) -> None:
    """Raise DataError unless columns that both have names for are the same, in the same order."""
    pairs = zip(train.columns, test.columns, strict=False)
    different = next(((i, *pair) for i, pair in enumerate(pairs) if pair[0] != pair[1]), None)
    if different:
        raise DataError(
            f"{test.where} must have the same feature columns as the training part, in the same order",
            "{2!r:.40} as feature {0}, in the place of {1!r:.40}".format(*different),
            "use files that belong together, and name the label column where there is one",
        )


def _told(part: Part) -> str:
    return f" ({', '.join(part.told)})" if part.told else ""


def sum_of(*arrays: Any) -> str:
    """Sum (sha256) of arrays, scipy.sparse matrices among them: number types, shapes and values, in order."""
    digest = hashlib.sha256()
    for array in arrays:
        if is_scipy_sparse(array):
            digest.update(_sum_of_rows(as_csr(array)).encode())
            continue
        values = np.ascontiguousarray(array)
        digest.update(f"{values.dtype.newbyteorder('<').str} {values.shape} ".encode())
        digest.update(
            values.astype(values.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data
        )
    return digest.hexdigest()


def _sum_of_rows(X: Any) -> str:
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    with np.errstate(over="ignore"):
        stored = slice(int(X.indptr[-1]))  # behind it there may be more
        parts = X.indptr, X.indices[stored].astype(np.int64), X.data[stored].astype(np.float32)
    return sum_of(np.array(X.shape, np.int64), parts[0].astype(np.int64), *parts[1:])
