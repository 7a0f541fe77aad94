"""Dataset: rows and targets to train and to test on, before any preprocessing.

Labels become indices here, once; what else targets may be: targets.py. Rows are arrays, or a Table as it was
read, of which ``numeric`` makes arrays. How one is made of the parts of a file: assemble.py. No file is read
here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import as_list, as_pair, as_whole, shown
from fastmlp.data import targets
from fastmlp.data.checks import check_finite
from fastmlp.data.columns import Columns
from fastmlp.data.encode import as_rows, check_stored
from fastmlp.data.label import Label, Labels, places_of
from fastmlp.data.parts import Part, as_table, part_of
from fastmlp.data.preprocessing import fitted
from fastmlp.data.sparse import as_csr, is_scipy_sparse
from fastmlp.data.table import Table
from fastmlp.data.tables import is_frame
from fastmlp.data.tables.frames import WHERE
from fastmlp.display import Display, Displayed
from fastmlp.errors import ConfigError, DataError
from fastmlp.net import Preprocessing
from fastmlp.words.losses import Loss
from fastmlp.words.scales import Scale


@dataclass(frozen=True)
class Choice:
    """Names of columns of a table: to leave out, to keep alone (none: all), to take as categories.

    One name may come by itself. Raises ConfigError.
    """

    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    as_category: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in CHOICES:
            object.__setattr__(self, name, _names(name, getattr(self, name)))

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """The same by name, as functions take them."""
        return {name: getattr(self, name) for name in CHOICES}


CHOICES = ("drop", "keep", "as_category")


@dataclass(frozen=True, eq=False, repr=False)  # a comparison of arrays has no one answer
class Dataset(Displayed):
    """Data of a source, or given as arrays or frames. They are checked here, once.

    X, X_test: (N, D) C-contiguous uint8 (0..255) or float32 (finite), never scaled or centred; or
               scipy.sparse in rows; or a Table without the label's column. X_test has no rows where there is
               no test part.
    y, y_test: by the kind of ``targets``: (N,) int64 class indices 0..K-1 into ``classes``; or (N, K): uint8
               flags, float32 shares, float64 numbers.
    classes:   the K labels as they stand in the file, ascending, all of one type: int, float, bool or str; of
               flags and shares the numbers of the columns, of numbers none.
    name:      "mnist", "synthetic", the name of the file or folder, "table" of a frame, or "arrays".
    source:    one line for people: where it came from, and how the test part came to be.
    image_shape: (rows, columns) where a row of X is a picture, else None.
    targets:   what y is: "labels", "flags", "shares" or "numbers"; see data/targets.py.
    label:     the name of the table's column that became y; None where y came by itself.
    choice:    which of a table's columns are used, and how.
    columns:   how a table became X; None for arrays that were none, and before ``numeric``.
    told:      for people: which label and task were found, what was left out.
    kept:      (M,) True for the rows given that have a label; None: all have one, or the rows are parts of
               others.
    narrowed:  True where rows of another type than uint8 are kept as bytes, because they hold nothing else.
    """

    name: str
    source: str
    X: Any
    y: NDArray[Any]
    X_test: Any
    y_test: NDArray[Any]
    classes: tuple[Label, ...]
    image_shape: tuple[int, int] | None = None
    targets: str = "labels"
    label: str | None = None
    choice: Choice = field(default_factory=Choice)
    columns: Columns | None = None
    told: tuple[str, ...] = ()
    narrowed: bool = False
    kept: NDArray[np.bool_] | None = None

    @classmethod
    def of(
        cls,
        X: Any,
        y: Any = None,
        test_data: Any = None,
        loss: str | None = None,
        task: str = "auto",
        *,
        drop: Sequence[str] = (),
        keep: Sequence[str] = (),
        as_category: Sequence[str] = (),
    ) -> Dataset:
        """Make one from rows X (N, D) and targets y, and such a pair to test on; a Dataset is returned.

        X:    an array, scipy.sparse rows, or a table: a frame of pandas or polars, a dict of columns, a
              Table.
        y:    targets; of a table the name of a column too, its index, or None: the label is found, and said.
        test_data: a pair (X, y); of a table a table with the label's column too.
        loss: what y is read for. Of ``logits`` and its like labels (N,), or shares (N, K) of the classes; of
              ``binary`` two labels, or columns (N, K) of 0 and 1; of the others numbers, (N,) or (N, K).
              None: ``logits`` of classes, ``squared`` of numbers. A Dataset X must suit it: see ``suited``.
        task: "classes" or "numbers", where no loss is given; "auto": what y looks like. See ``task_of``.
        drop, keep, as_category: names of a table's columns; see ``Choice``.

        Raises DataError for what does not fit together, and for targets that do not suit the loss;
        ConfigError.
        """
        choice = Choice(drop, keep, as_category)  # type: ignore[arg-type]  # checked there
        if isinstance(X, Dataset):
            if y is not None or test_data is not None:
                raise DataError("a Dataset must come alone", "y or test_data too", "it has its own of both")
            if choice != Choice():
                raise ConfigError(
                    f"{', '.join(CHOICES)} must be left out beside a Dataset",
                    ", ".join(name for name, names in choice.words.items() if names),
                    "give them to Dataset.of or data.load, which make it",
                )
            targets.check_task(loss, task)
            loss = loss or ("squared" if task == "numbers" else X.usual_loss)
            X._check(loss)
            return X.suited(loss)
        if isinstance(X, Table) or is_frame(X):
            train = _of_table(X, y)
            test = _test_table(test_data, train.label)
            return cls.made("table", "a table", train, test, loss, task, choice)
        if choice != Choice():
            raise ConfigError(f"{', '.join(CHOICES)} must go with a table", "an array X", "leave them out")
        if isinstance(X, str | os.PathLike):
            raise DataError(
                "X must be a table, or rows of numbers", f"{shown(X)}, a name",
                "read the file: fit(fastmlp.data.load(path))",
            )  # fmt: skip
        if y is None or isinstance(y, str):
            raise DataError(
                "y must be an array of labels or numbers beside an array X", shown(y),
                "a column's name goes with a frame",
            )  # fmt: skip
        test = None
        if test_data is not None:
            other, told = as_pair("test_data", test_data)
            test = Part(as_rows(other), told, "the test data")
        rows = as_rows(X)
        made = cls.made("arrays", "arrays", Part(rows, y), test, loss, task)
        return replace(made, narrowed=rows.dtype == np.uint8 and getattr(X, "dtype", None) != np.uint8)

    @classmethod
    def made(
        cls,
        name: str,
        source: str,
        train: Part,
        test: Part | None,
        loss: str | None,
        task: str = "auto",
        choice: Choice | None = None,
        image_shape: tuple[int, int] | None = None,
    ) -> Dataset:
        """Make one of parts whose X is as a Dataset has it. Raises DataError where they do not fit."""
        what = _what(train)
        loss, how = targets.loss_of(train.y, loss, task, what)
        kind, found = targets.read(train.y, loss, what, train.table)
        classes: tuple[Label, ...] = ()
        if isinstance(found, Labels):
            classes, y = found.classes, found.indices
            targets.check_labels(classes, loss, what)
        else:
            classes, y = tuple(range(0 if kind == "numbers" else found.shape[1])), found
        if len(y) != train.X.shape[0]:
            raise targets.unequal(train.where, train.X.shape[0], len(y))
        X_test: Any = np.empty((0, train.X.shape[1]), np.uint8) if train.table is None else train.X[:0]
        y_test = y[:0]
        if test is not None:
            X_test, what = test.X, _what(test)
            if kind == "labels":
                y_test = places_of(targets.as_column(test.y, what), classes, what, test.table)
            else:
                y_test = targets.read_columns(test.y, loss, what, test.table)
            if len(y_test) != test.X.shape[0]:
                raise targets.unequal(test.where, test.X.shape[0], len(y_test))
            _check_alike(train.X, X_test, y, y_test, test.where)
        return cls(
            name, source, train.X, y, X_test, y_test, classes, image_shape, kind, train.label,
            choice or Choice(), None, _told(train, how), kept=train.kept,
        )  # fmt: skip

    def numeric(self, rows: NDArray[np.int64] | None = None) -> Self:
        """The same with arrays in place of a table, which ``columns`` says how to make; or itself.

        rows: the numbers of those that are trained on, ascending, to which alone the columns are fitted;
        None: all. Raises DataError where no column is left, or one of the test part's is missing.
        """
        if not isinstance(self.X, Table):
            return self
        key = None if rows is None else sum_of(rows)
        if (found := self._numeric.get(key)) is not None:
            return found
        columns = Columns.fitted(self.X, label=self.label, rows=rows, **self.choice.words)
        made = replace(
            self, X=columns.encode(self.X), X_test=columns.encode(self.X_test), columns=columns,
            told=self.told + columns.told,
        )  # fmt: skip
        for other in [other for other in list(self._numeric) if other is not None]:
            self._numeric.pop(other, None)  # trainings that each hold other rows out may be many
        self._numeric[key] = made
        return made

    @cached_property
    def _numeric(self) -> dict[str | None, Self]:
        return {}

    def part(self, train: Any, test: Any, how: str = "") -> Self:
        """The data set of some of the training rows and, to test on, of others: their numbers, or masks."""
        if self.columns is not None:
            raise DataError(
                "a Dataset must be parted before its table becomes arrays", "one after numeric()",
                "part it first: what columns mean must be fitted to training rows alone",
            )  # fmt: skip
        source = f"{self.source}, {how}" if how else self.source
        return replace(
            self, source=source, X=self.X[train], y=self.y[train], X_test=self.X[test], y_test=self.y[test],
            kept=None,
        )  # fmt: skip

    @property
    def usual_loss(self) -> str:
        """The loss that a training on them has where none is given."""
        return targets.USUAL[self.targets]

    def _display(self) -> Display:
        from fastmlp.data.shown import display_of

        return display_of(self)

    def suited(self, loss: str) -> Self:
        """The same for that loss: itself, or with its labels as numbers. Raises DataError."""
        suiting = targets.KINDS[Loss.of(loss).task]
        data = self
        are_numbers = not any(isinstance(label, str) for label in self.classes)
        if self.targets == "labels" and suiting == ("numbers",) and are_numbers:
            y, y_test = (self.as_given(part).astype(np.float64)[:, None] for part in (self.y, self.y_test))
            data = replace(self, y=y, y_test=y_test, classes=(), targets="numbers")
        elif self.targets not in suiting:
            raise DataError(
                f"y must be {' or '.join(targets.CALLED[kind] for kind in suiting)} for the loss {loss}",
                targets.CALLED[self.targets],
                "make the Dataset for that loss",
            )
        if data.targets == "numbers":
            for part in (data.y, data.y_test):
                targets.check_numbers(part, loss)
        elif data.targets == "labels":
            targets.check_labels(data.classes, loss)
        return data

    def outputs(self, loss: str) -> int:
        """The number of outputs that a net of that loss has for them."""
        if self.targets != "labels":
            return int(self.y.shape[1])
        return 1 if Loss.of(loss).task == "binary" else len(self.classes)

    def as_given(self, y: NDArray[Any]) -> NDArray[Any]:
        """Targets as they were given: labels (N,) for class indices, all else as it is."""
        return targets.array_of(self.classes)[y] if self.targets == "labels" else y

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
            if is_scipy_sparse(self.X):
                check_stored(self.X, self.X.data[: int(self.X.indptr[-1])])
            numeric = None if self.columns is None else self.columns.numeric
            self._fitted[key] = fitted(self.X, scale, center, rows, numeric)
        return self._fitted[key]

    @cached_property
    def _fitted(self) -> dict[Any, Preprocessing]:
        return {}

    @cached_property
    def sums(self) -> dict[str, str | None]:
        """Sums (sha256) by name, of the training part and of the test part, if any: rows, then labels.

        Of a table how its columns are read, too; its rows are summed up as ``numeric`` makes them.
        """
        if isinstance(self.X, Table):
            return self.numeric().sums
        sums = {
            "data": sum_of(self.X, *self._summed(self.y)),
            "test data": sum_of(self.X_test, *self._summed(self.y_test)) if self.test else None,
        }
        if self.columns is not None:
            sums["columns"] = sum_of(_as_bytes(self.columns.to_json()))
        return sums

    def _summed(self, y: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Arrays that tell targets apart: of texts the indices and the classes, for they may be long.

        Bools are summed up as whole numbers, as in checkpoints from before there were any.
        """
        if self.classes and isinstance(self.classes[0], str):
            return y, _as_bytes(self.classes)
        given = self.as_given(y)
        return (given.astype(np.int64) if given.dtype == bool else given,)

    def encoded(self, nn: ModuleType) -> Self:
        """Put both parts in the form that a backend reads; all else is of the rows before."""
        data = self.numeric()
        X_test = nn.encode_rows(data.X_test) if data.test else data.X_test
        return replace(data, X=nn.encode_rows(data.X), X_test=X_test)

    def _check(self, loss: str) -> None:
        """Raise DataError unless it is as ``of`` and ``assemble`` make one: others can make one too."""
        K, shape = len(self.classes), np.shape(self.y)[1:]
        for X, y in ((self.X, self.y), (self.X_test, self.y_test)):
            if isinstance(self.X, Table):
                fits = isinstance(X, Table)
            elif is_scipy_sparse(X):
                fits = as_csr(X) is X
            else:
                fits = isinstance(X, np.ndarray) and X.dtype in (np.uint8, np.float32) and X.ndim == 2
                fits = fits and X.flags.c_contiguous
            fits = fits and self.targets in targets.DTYPES and len(shape) == (self.targets != "labels")
            fits = fits and isinstance(y, np.ndarray) and y.dtype == targets.DTYPES[self.targets]
            fits = fits and y.shape == X.shape[:1] + shape
            if fits and not isinstance(X, Table):
                fits = X.shape[1:] == self.X.shape[1:]
                fits = fits and (self.columns is None or X.shape[1] == len(self.columns.names))
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
                targets.COLUMNS[self.targets](y, loss)
            if not isinstance(X, Table) and not is_scipy_sparse(X) and X.dtype == np.float32:
                check_finite(X, "X must be finite in float32", first=0)


def _of_table(X: Any, y: Any, where: str = WHERE) -> Part:
    """The part of a table whose label is a column of it (a name, or None), or comes by itself."""
    table = as_table(X, where)
    if (number := as_whole(y)) is not None:
        y = _as_name(number) if _as_name(number) in table.names else number
    if isinstance(y, list | tuple) and 0 < len(y) != len(table) and all(isinstance(name, str) for name in y):
        if isinstance(y, list) or "_".join(y) not in table.names:
            raise DataError(
                f"y must be one column of {table.where}, or come by itself", shown(y),
                "give frame[names] as y, and the frame without those columns as X",
            )  # fmt: skip
        y = "_".join(y)  # a column of several levels
    return part_of(table, y) if y is None or isinstance(y, str | int) else Part(table, y)


def _test_table(test_data: Any, label: str | None) -> Part | None:
    """The same of a table, or a pair of one and its targets, to test on; ``label`` is the training's."""
    if test_data is None:
        return None
    X, y = test_data, label
    if isinstance(test_data, tuple | list):
        X, y = as_pair("test_data", test_data)
    elif label is None:
        raise DataError("test_data must be a pair, (X, y)", "X alone", "give y too, as for training")
    if not (isinstance(X, Table) or is_frame(X)):
        raise DataError("test data must be a table, as the training data are", shown(X)[:80])
    part = _of_table(X, label if y is None else y, "the test data")
    if label is not None and label in part.X.names:
        part = replace(part, X=part.X.without([label]))
    return part if part.where else replace(part, where="the test data")


def _what(part: Part) -> str:
    """Words for its targets."""
    if part.label is not None:
        return f"the label {part.label!r:.40} of {part.where}"
    return f"y of {part.where}" if part.where else "y"


def _check_alike(X: Any, X_test: Any, y: NDArray[Any], y_test: NDArray[Any], where: str) -> None:
    """Raise DataError unless both parts have as many columns, and as many targets."""
    if isinstance(X, Table) != isinstance(X_test, Table):
        raise DataError(f"{where} must be a table as the training part is, or arrays", "one of each")
    for what, train, test in (("features", X, X_test), ("targets", y, y_test)):
        if not isinstance(train, Table) and train.shape[1:] != test.shape[1:]:
            raise DataError(
                f"{where or 'test data'} must have as many {what} as the training part, {train.shape[1]}",
                test.shape[1],
                "use data that belong together, and name the label column where there is one",
            )


def _told(part: Part, how: str) -> tuple[str, ...]:
    """Lines for people: the label and the task, how they were found, then all else that the part tells."""
    if part.label is None or not how:
        return part.told
    return (f"{part.told[0]}; {how}", *part.told[1:])


def _names(name: str, value: Any) -> tuple[str, ...]:
    """Names of columns, or one. Raises ConfigError."""
    items = [value] if isinstance(value, str) or as_whole(value) is not None else as_list(value)
    items = items and [*map(_as_name, items)]
    if items is None or not all(isinstance(item, str) for item in items):
        raise ConfigError(f"{name} must be names of columns", shown(value), f"for example {name}=['age']")
    return tuple(items)


def _as_name(item: Any) -> Any:
    """The text of a whole number, as which pandas may name a column; any other item, a huge number too."""
    number = as_whole(item)
    return item if number is None or abs(number) >= 2**63 else str(number)


def _as_bytes(data: Any) -> NDArray[np.uint8]:
    """Plain data as the bytes of its JSON."""
    return np.frombuffer(json.dumps(data).encode(), np.uint8)


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
