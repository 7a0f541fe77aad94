"""Encoded: the form of X that the kernels read, built once and shared by trainings.

Three forms, chosen by measured density and said by ``describe``:

- "bytes": a uint8 code for every value and a table of what the 256 codes stand for, code 0 for 0.
  Sparse data of bytes, or of floats that are whole multiples of one step. The kernels find the
  codes that are not 0 as they go; uint8 data are taken as they lie, without a copy.
- "csr": compressed sparse rows of float32, for other sparse data, and for scipy.sparse as it is.
- "dense": every value counts; bytes with their table, or float32.

Nothing is scaled or centred here: that is part of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import as_array
from fastmlp.data.checks import block_rows, check_finite
from fastmlp.data.sparse import as_csr, is_scipy_sparse
from fastmlp.errors import DataError

SPARSE_BELOW = 0.5  # share of non-zero values under which the non-zero ones alone are walked

_SAMPLE = 4096  # rows, evenly spread, that density is measured on
_BYTES = np.arange(256, dtype=np.float32)

Form = Literal["bytes", "csr", "dense"]


@dataclass(frozen=True)
class Encoded:
    """X (N, D) in one of three forms.

    codes:   (N * D,) uint8, row after row, with ``table`` (256,) float32 of their values; or empty.
    values:  (N * D,) float32 where dense and not coded; the CSR's values where "csr"; or empty.
    starts, columns: of the CSR: row i holds values[starts[i] : starts[i + 1]]; or empty.
    counts:  (D,) how many non-zero values each column has, in the rows that were looked at.
    density: share of non-zero values in them.
    """

    shape: tuple[int, int]
    form: Form
    codes: NDArray[np.uint8]
    table: NDArray[np.float32]
    values: NDArray[np.float32]
    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    counts: NDArray[np.int64]
    density: float

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def sparse(self) -> bool:
        """True where zeros are left out."""
        return self.form != "dense"

    def describe(self) -> str:
        """Words for how it is walked."""
        return walk_of(self.density) if self.sparse else walk_of(1.0)


def walk_of(density: float) -> str:
    """Words for how rows of that density are walked in training."""
    return "non-zero inputs alone" if density < SPARSE_BELOW else "all inputs"


def as_rows(X: Any) -> Any:
    """X as a C-contiguous (N, D) array of uint8 or finite float32; scipy.sparse as sound rows (CSR).

    Pictures (N, rows, columns) are flattened, bools become uint8, other numbers float32. Raises DataError.
    """
    if is_scipy_sparse(X):
        return as_csr(X)
    array = as_matrix(X)
    if array.dtype != np.uint8:
        with np.errstate(over="ignore"):
            array = array.astype(np.float32, copy=False)
        check_finite(array, "X must be finite in float32", first=0)
    return np.ascontiguousarray(array)


def as_matrix(X: Any) -> NDArray[Any]:
    """X as an array (N, D) of numbers, pictures flattened, bools as uint8. Raises DataError."""
    array = as_array("X", X, do="give X.astype(float), or a frame: its columns may hold texts and gaps")
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.ndim < 2 or array.size == 0:
        do = "use X[None] for one row, X[:, None] for one column" if array.ndim == 1 and array.size else ""
        raise DataError("X must be rows of shape (N, D) with at least one value", f"shape {array.shape}", do)
    return array.reshape(len(array), -1)


def column_means(X: Any) -> NDArray[np.float32]:
    """The mean (D,) of each column of what ``as_rows`` returns."""
    if is_scipy_sparse(X):
        return np.asarray(as_csr(X).mean(axis=0, dtype=np.float64), np.float32).reshape(-1)
    means: NDArray[np.float32] = X.mean(axis=0, dtype=np.float64).astype(np.float32)
    return means


def encode(X: Any, *, once: bool = False, centred: bool = False) -> Encoded:
    """X (N, D), an array or a scipy.sparse matrix, in the form the kernels read.

    An Encoded is returned as it is. ``once`` says that one pass will be made: to look at every
    value first would cost more than it saves. Where its rows are ``centred`` too, all values are
    walked, so that a row's answer does not hang on how many zeros its neighbours have. Raises DataError.
    """
    return X if isinstance(X, Encoded) else encode_rows(as_rows(X), once=once, centred=centred)


def encode_rows(X: Any, *, once: bool = False, centred: bool = False) -> Encoded:
    """The same, of rows that are checked already: what ``as_rows`` returns."""
    if is_scipy_sparse(X):
        return _from_scipy(X)
    counts, density = look_at(X)
    sparse = density < SPARSE_BELOW and not (once and centred)
    if X.dtype == np.uint8:
        form: Form = "bytes" if sparse else "dense"
        return _encoded(X.shape, form, counts, density, codes=X.reshape(-1), table=_BYTES)
    if not sparse or once:
        return _encoded(X.shape, "dense", counts, density, values=X.reshape(-1))
    if (coded := _on_a_grid(X)) is not None:
        return _encoded(X.shape, "bytes", counts, density, codes=coded[0], table=coded[1])
    return _encoded(X.shape, "csr", counts, density, **_compressed(X))


def look_at(X: NDArray[Any]) -> tuple[NDArray[np.int64], float]:
    """Non-zero values of each column (D,), and their share of all, in rows spread evenly over X (N, D)."""
    rows = X[:: -(-len(X) // _SAMPLE)]
    counts = np.count_nonzero(rows, axis=0)
    return counts, float(counts.sum() / rows.size)


def _encoded(
    shape: tuple[int, ...], form: Form, counts: NDArray[np.int64], density: float, **arrays: Any
) -> Encoded:
    empty: dict[str, Any] = {
        "codes": np.empty(0, np.uint8),
        "table": np.zeros(256, np.float32),
        "values": np.empty(0, np.float32),
        "starts": np.zeros(1, np.int64),
        "columns": np.empty(0, np.int32),
    }
    return Encoded((shape[0], shape[1]), form, counts=counts, density=density, **(empty | arrays))


def _on_a_grid(X: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]] | None:
    """Codes and table of floats that are 0, 1, ..., 255 times one step (pixels / 255, say); else None."""
    known = np.unique(X[:: -(-len(X) // _SAMPLE)])
    if len(known) < 2 or known[0] != 0 or len(known) > 256:
        return None
    step = np.diff(known).min()
    if not 0 <= X.min() <= X.max() <= 255.5 * step:
        return None
    table = np.full(256, np.nan, np.float32)  # of codes that were not met yet
    table[np.rint(known / step).astype(np.uint8)] = known
    codes, again = np.empty(X.shape, np.uint8), np.empty((block_rows(X), X.shape[1]), np.float32)
    for start in range(0, len(X), len(again)):
        part, coded = X[start : start + len(again)], codes[start : start + len(again)]
        np.rint(part / step, out=coded, casting="unsafe")
        meant = np.take(table, coded, out=again[: len(part)], mode="clip")  # "raise" would copy
        if (meant == part).all():
            continue
        new = np.isnan(meant)
        table[coded[new]] = part[new]
        if not np.array_equal(table[coded], part):
            return None
    return codes.reshape(-1), np.nan_to_num(table, copy=False, nan=0.0)


def _compressed(X: NDArray[np.float32]) -> dict[str, Any]:
    """The CSR arrays of X."""
    N, D = X.shape
    starts = np.concatenate([[0], np.cumsum(np.count_nonzero(X, axis=1))])
    columns, values = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    for start in range(0, N, rows := block_rows(X)):
        chunk = X[start : start + rows]
        where = np.flatnonzero(chunk)
        part = slice(starts[start], starts[min(start + rows, N)])
        columns[part] = where % D
        values[part] = chunk.reshape(-1)[where]
    return {"starts": starts, "columns": columns, "values": values}


def check_stored(X: Any, values: NDArray[Any]) -> None:
    """Raise DataError unless the stored values of sparse rows are finite."""
    finite = np.isfinite(values)
    if not finite.all():
        at = int(finite.argmin())
        row = int(np.searchsorted(X.indptr, at, side="right")) - 1
        raise DataError(
            "X must be finite in float32",
            f"{values[at]} in row {row}, column {X.indices[at]} (both from 0)",
            "remove or replace such values",
        )


def _from_scipy(X: Any) -> Encoded:
    """The CSR's own arrays where they are float32 and int32 and in order; else converted once."""
    if len(X.shape) == 2 and X.shape[1] > np.iinfo(np.int32).max:
        raise DataError("X must have fewer than 2**31 columns", X.shape[1])
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    N, D = X.shape
    starts = np.ascontiguousarray(X.indptr, np.int64)
    stored = int(starts[-1])
    columns = np.ascontiguousarray(X.indices[:stored], np.int32)
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(X.data[:stored], np.float32)
    falls = np.flatnonzero(np.diff(columns) <= 0) + 1  # where the next row begins, if all is in order
    if not np.isin(falls, starts).all():
        raise DataError(
            "X must have ascending columns in each row, as its has_canonical_format says", "others",
            "set has_canonical_format to False, or call sort_indices()",
        )  # fmt: skip
    check_stored(X, values)
    counts = np.bincount(columns, minlength=D)
    return _encoded((N, D), "csr", counts, stored / (N * D), starts=starts, columns=columns, values=values)
