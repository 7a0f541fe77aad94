"""Dataset: rows and targets to train and to test on, before any preprocessing; and how one is made.

Labels become indices here, once, whether they come from arrays or from the parts of a file; what else targets
may be: targets.py. Where a file has no test part, a seeded sixth of its training part is held out. No file is
read here.
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
from fastmlp.data import targets as kinds
from fastmlp.data.checks import (
    check_finite,
    class_indices,
    distinct,
    features,
    image_shape,
    places,
)
from fastmlp.data.encode import as_rows
from fastmlp.data.preprocessing import fitted
from fastmlp.data.sparse import as_csr, is_scipy_sparse
from fastmlp.errors import DataError
from fastmlp.net import Preprocessing
from fastmlp.random import permutation
from fastmlp.words.losses import Loss
from fastmlp.words.scales import Scale

HELD_OUT = 6  # one row in six


@dataclass(frozen=True, eq=False)  # a comparison of arrays has no one answer
class Dataset:
    """Data of a source, or given as arrays: checked, and taken as they are from here on.

    X, X_test: (N, D) C-contiguous uint8 (0..255) or float32 (finite), never scaled or centred; or
               scipy.sparse in rows. X_test has no rows where there is no test part.
    y, y_test: by the kind of ``targets``: (N,) int64 class indices 0..K-1 into ``classes``; or (N, K): uint8
               flags, float32 shares, float64 numbers.
    classes:   the K labels as they stand in the file (non-negative integers, ascending); of flags and shares
               the numbers of the columns, of numbers none.
    name:      "mnist", "synthetic", the name of the file or folder, or "arrays".
    source:    one line for people: where it came from, and how the test part came to be.
    image_shape: (rows, columns) where a row of X is a picture, else None.
    targets:   what y is: "labels", "flags", "shares" or "numbers"; see data/targets.py.
    narrowed:  True where rows of another type than uint8 are kept as bytes, because they hold nothing else.
    """

    name: str
    source: str
    X: Any
    y: NDArray[Any]
    X_test: Any
    y_test: NDArray[Any]
    classes: tuple[int, ...]
    image_shape: tuple[int, int] | None = None
    targets: str = "labels"
    narrowed: bool = False

    @classmethod
    def of(
        cls,
        X: ArrayLike | Dataset,
        y: ArrayLike | None = None,
        test_data: tuple[ArrayLike, ArrayLike] | None = None,
        loss: str = "logits",
    ) -> Dataset:
        """Make one from rows X (N, D) and targets y, and such a pair to test on; a Dataset is returned.

        loss: what y is read for. Of ``logits`` and its like labels (N,), or shares (N, K) of the classes; of
        ``binary`` two labels, or columns (N, K) of 0 and 1; of the others numbers, (N,) or (N, K). A
        Dataset X must suit it: see ``suited``.

        Raises DataError for what does not fit together, and for targets that do not suit the loss.
        """
        if isinstance(X, Dataset):
            if y is not None or test_data is not None:
                raise DataError("a Dataset must come alone", "y or test_data too", "it has its own of both")
            X._check(loss)
            return X.suited(loss)
        rows = as_rows(X)
        kind, found = kinds.read(y, loss)
        if len(found) != rows.shape[0]:
            raise DataError("X and y must have the same length", f"{rows.shape[0]} and {len(found)}")
        known = distinct(found) if kind == "labels" else np.arange(0 if kind == "numbers" else found.shape[1])
        classes = tuple(known.tolist())
        if kind == "labels":
            kinds.check_labels(classes, loss)
        D = rows.shape[1]
        X_test, y_test = np.empty((0, D), np.uint8), np.empty((0, *found.shape[1:]), found.dtype)
        if test_data is not None:
            other, told = as_pair("test_data", test_data)
            X_test, (_, y_test) = as_rows(other), kinds.read(told, loss, "y of the test data")
            y_test = class_indices(y_test, classes) if kind == "labels" else y_test
            if X_test.shape[1] != D or X_test.shape[0] != len(y_test) or y_test.shape[1:] != found.shape[1:]:
                raise DataError(
                    f"test data must be (N, {D}) with N labels", f"{X_test.shape} and {len(y_test)}"
                )
        y = np.searchsorted(known, found) if kind == "labels" else found
        narrowed = rows.dtype == np.uint8 and getattr(X, "dtype", None) != np.uint8
        return cls("arrays", "arrays", rows, y, X_test, y_test, classes, targets=kind, narrowed=narrowed)

    def suited(self, loss: str) -> Self:
        """The same for that loss: itself, or with its labels as numbers. Raises DataError."""
        suiting = kinds.KINDS[Loss.of(loss).task]
        data = self
        if self.targets == "labels" and suiting == ("numbers",):
            y, y_test = (self.as_given(part).astype(np.float64)[:, None] for part in (self.y, self.y_test))
            data = replace(self, y=y, y_test=y_test, classes=(), targets="numbers")
        elif self.targets not in suiting:
            raise DataError(
                f"y must be {' or '.join(kinds.CALLED[kind] for kind in suiting)} for the loss {loss}",
                kinds.CALLED[self.targets],
                "make the Dataset for that loss",
            )
        if data.targets == "numbers":
            for part in (data.y, data.y_test):
                kinds.check_numbers(part, loss)
        elif data.targets == "labels":
            kinds.check_labels(data.classes, loss)
        return data

    def outputs(self, loss: str) -> int:
        """The number of outputs that a net of that loss has for them."""
        if self.targets != "labels":
            return int(self.y.shape[1])
        return 1 if Loss.of(loss).task == "binary" else len(self.classes)

    def as_given(self, y: NDArray[Any]) -> NDArray[Any]:
        """Targets as they were given: labels (N,) for class indices, all else as it is."""
        return np.asarray(self.classes, np.int64)[y] if self.targets == "labels" else y

    @property
    def test(self) -> tuple[Any, NDArray[Any]] | None:
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
        return {
            "data": sum_of(self.X, self.as_given(self.y)),
            "test data": sum_of(self.X_test, self.as_given(self.y_test)) if self.test else None,
        }

    def encoded(self, nn: ModuleType) -> Self:
        """Put both parts in the form that a backend reads; all else is of the rows before."""
        X_test = nn.encode_rows(self.X_test) if self.test else self.X_test
        return replace(self, X=nn.encode_rows(self.X), X_test=X_test)

    def _check(self, loss: str) -> None:
        """Raise DataError unless it is as ``of`` and ``assemble`` make one: others can make one too."""
        K, shape = len(self.classes), np.shape(self.y)[1:]
        for X, y in ((self.X, self.y), (self.X_test, self.y_test)):
            if is_scipy_sparse(X):
                fits = as_csr(X) is X
            else:
                fits = isinstance(X, np.ndarray) and X.dtype in (np.uint8, np.float32) and X.ndim == 2
                fits = fits and X.flags.c_contiguous
            fits = fits and self.targets in kinds.DTYPES and len(shape) == (self.targets != "labels")
            fits = fits and isinstance(y, np.ndarray) and y.dtype == kinds.DTYPES[self.targets]
            fits = fits and y.shape == X.shape[:1] + shape and X.shape[1:] == self.X.shape[1:]
            if fits and self.targets == "labels" and len(y):
                fits = 0 <= y.min() <= y.max() < K
            if not fits:
                what = f"indices of {K} classes, int64" if self.targets == "labels" else self.targets
                raise DataError(
                    f"a Dataset must hold rows (N, D), uint8 or float32, and N {what}",
                    f"X of shape {np.shape(X)}, y of shape {np.shape(y)}",
                    "make it with fastmlp.data.load or Dataset.of",
                )
            if self.targets != "labels":
                kinds.COLUMNS[self.targets](y, loss)
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


def assemble(
    name: str, source: str, parts: Parts, seed: int, test_source: str | None = None, loss: str = "logits"
) -> Dataset:
    """The Dataset of ``parts`` for that loss. test_source: where the test part came from, if not ``source``.

    DataError where the parts do not fit each other or training: see ``features``, ``labels``, ``held_out``,
    and targets.py.
    """
    if parts.train is None:
        raise DataError(f"{source} must hold a training part", "a test part alone", "give it as test data")
    X = features(parts.train.X, parts.train.where)
    kind, y = kinds.of_file(parts.train.y, len(X), parts.train.where, loss)
    classes = _classes(kind, y, loss, parts.train.where)
    if parts.test is None:
        held = held_out(y if kind == "labels" else np.zeros(len(y), np.int64), seed, parts.train.where)
        X_test, y_test = X[held], y[held]
        X, y = np.delete(X, held, axis=0), np.delete(y, held, axis=0)
        how = f"a sixth held out for testing ({len(held):,} rows, seed {seed})"
    else:
        X_test = features(parts.test.X, parts.test.where)
        _, y_test = kinds.of_file(parts.test.y, len(X_test), parts.test.where, loss)
        how = f"test part from {test_source}{_told(parts.test)}" if test_source else "with its own test part"
        _check_alike("features", X, X_test, parts.test.where)
        _check_alike("targets", y, y_test, parts.test.where)
        _check_columns(parts.train, parts.test)
    if kind == "labels":
        y, y_test = np.searchsorted(classes, y), _places(y_test, classes, parts)
    if X.dtype != X_test.dtype:
        X, X_test = X.astype(np.float32), X_test.astype(np.float32)
    return Dataset(
        name=name,
        source=f"{source}{_told(parts.train)}, {how}",
        X=X,
        y=y,
        X_test=X_test,
        y_test=y_test,
        classes=tuple(classes.tolist()),
        image_shape=image_shape(parts.train.X, X),
        targets=kind,
        narrowed=X.dtype == np.uint8 and parts.train.X.dtype != np.uint8,
    )


def _classes(kind: str, y: NDArray[Any], loss: str, where: str) -> NDArray[np.int64]:
    """The classes of a training part, ascending. Raises DataError where they are too few, or too many."""
    if kind != "labels":
        return np.arange(0 if kind == "numbers" else y.shape[1])
    classes = distinct(y)
    if len(classes) < 2:
        raise DataError(
            f"{where} must hold at least two classes",
            f"the label {classes[0]} alone",
            "use data with several classes, or name the right label column",
        )
    kinds.check_labels(tuple(classes.tolist()), loss, where)
    return classes


def _places(y_test: NDArray[Any], classes: NDArray[np.int64], parts: Parts) -> NDArray[np.int64]:
    """Indices of the test part's labels. Raises DataError for one that the training part lacks."""
    indices, strange = places(y_test, classes)
    if parts.test is not None and strange.any():
        at = int(strange.argmax())
        raise DataError(
            f"{parts.test.where} must hold no label that the training part lacks",
            f"the label {y_test[at]} in row {at + 1}",
            "use files that belong together, and name the label column where there is one",
        )
    return indices


def _check_alike(what: str, train: NDArray[Any], test: NDArray[Any], where: str) -> None:
    """Raise DataError unless both have as many columns."""
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{where} must have as many {what} as the training part, {train.shape[1]}",
            test.shape[1],
            "use files that belong together, and name the label column where there is one",
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
