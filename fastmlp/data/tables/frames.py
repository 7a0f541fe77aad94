"""Frames to a Table: pandas, polars, pyarrow, dicts of columns, NumPy's structured arrays.

Nothing is imported but pyarrow, for what comes through Arrow's interface.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import reason_of, shown
from fastmlp.data.names import check_different
from fastmlp.data.table import Column, Table
from fastmlp.data.tables import arrow
from fastmlp.data.tables import cells as meaning
from fastmlp.data.tables.gather import Again, Gathered, Source
from fastmlp.data.tables.rows import TextCells
from fastmlp.data.tables.typed import flag_column, number_column, text_column
from fastmlp.errors import DataError

WHERE = "the table"
NUMBERS = (numbers.Real, decimal.Decimal, fractions.Fraction)
TIMES = (datetime.date, np.datetime64)


def is_frame(X: Any) -> bool:
    """Tell whether X is a frame, a dict of columns or a structured array. Imports nothing."""
    if isinstance(X, Mapping):
        return True
    if isinstance(X, np.ndarray):
        return X.dtype.names is not None
    return _is_pandas(X) or _is_arrow(X) or _is_lazy(X)


def from_frame(X: Any, where: str = WHERE) -> Table:
    """The Table of a frame. Raises DataError for columns of one name, of nested values, or of none."""
    if isinstance(X, Table):
        return X
    if _is_lazy(X):
        raise DataError(f"{where} must be a frame that holds its rows", "a lazy one", "call .collect() first")
    if isinstance(X, Mapping):
        named = [(str(name), values) for name, values in X.items()]
    elif isinstance(X, np.ndarray) and X.dtype.names is not None:
        if X.ndim != 1:
            raise DataError(f"{where} must be a structured array of one axis", f"shape {X.shape}", "ravel it")
        named = [(str(name), X[name]) for name in X.dtype.names]
    elif _is_pandas(X):
        named = [(_name(name), X.iloc[:, i]) for i, name in enumerate(X.columns)]
    elif _is_arrow(X):
        return _through_arrow(X, where)
    else:
        raise DataError(
            f"{where} must be a frame of pandas or polars, a pyarrow Table, a dict of columns "
            "or a structured array",
            shown(X),
            "convert it",
        )
    _check_names([name for name, _ in named], where)
    columns = tuple(column_of(name, values, where) for name, values in named)
    lengths = sorted({len(column) for column in columns})
    if len(lengths) > 1:
        raise DataError(f"{where} must have columns of one length", f"{lengths[:8]}", "cut or fill them")
    if not lengths[0]:
        raise DataError(f"{where} must hold at least one row", "none", "give it rows")
    return Table(columns, where)


def column_of(name: str, values: Any, where: str = WHERE) -> Column:
    """The Column of a list, an array or a Series (N,). Raises DataError."""
    try:
        return _column(name, values, where)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # whatever an object of that name raises
        raise DataError(
            f"column {name!r:.60} of {where} must be a list, an array or a Series",
            reason_of(error),
            "convert it",
        ) from None


def _column(name: str, values: Any, where: str) -> Column:
    kind = getattr(values, "dtype", None)
    called = str(kind)
    if hasattr(values, "iloc"):
        if called == "category":
            codes = values.cat.codes.to_numpy().astype(np.int64)
            return text_column(name, codes, values.cat.categories.tolist())
        if called.startswith("Sparse"):
            return _column(name, values.sparse.to_dense(), where)
        if called.startswith("period"):
            return _column(name, values.dt.to_timestamp(), where)
        if called.startswith("interval"):
            return _column(name, values.astype(object).map(str, na_action="ignore"), where)
        return _series(name, values, where)
    if hasattr(values, "__arrow_c_stream__") and not isinstance(values, np.ndarray):
        found = arrow.pyarrow(f"column {name!r:.60}")
        return arrow.from_arrow(found.table([found.chunked_array(values)], [name]), where, found).columns[0]
    mask = None
    if isinstance(values, np.ma.MaskedArray):
        mask, values = np.ma.getmaskarray(values), values.data
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise DataError(
            f"column {name!r:.60} of {where} must be a list, an array or a Series",
            f"{shown(values)}, one value",
            "put it into a list: [value]",
        )
    if not isinstance(values, np.ndarray) and hasattr(values, "__array__"):
        values = np.asarray(values)
    if not isinstance(values, np.ndarray):
        listed = list(values)
        values = np.empty(len(listed), object)
        values[:] = listed
    if values.ndim != 1:
        raise DataError(
            f"column {name!r:.60} of {where} must have one axis",
            f"shape {values.shape}",
            "split it into columns",
        )
    return _array(name, values, where, mask)


def _series(name: str, values: Any, where: str) -> Column:
    """The Column of a pandas Series of another dtype than those above."""
    kind = getattr(values.dtype, "kind", "O")
    missing = values.isna().to_numpy().astype(np.bool_)
    if kind == "b":
        filled = values.where(~values.isna(), False).astype(bool) if missing.any() else values
        return _array(name, filled.to_numpy(dtype=bool), where, missing)
    if kind in "iuf":
        floats = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return number_column(name, floats, where, whole=kind != "f")
    if kind == "M" and getattr(values.dtype, "tz", None) is not None:
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    if kind in "Mm":
        return _array(name, values.to_numpy(), where, None)
    if (texts := _texts(name, values)) is not None:
        return texts
    return _array(name, values.to_numpy(dtype=object), where, missing)


def _texts(name: str, values: Any) -> Column | None:
    """The Column of a pandas Series that holds texts and missing cells alone, by pandas' table of them."""
    try:
        codes, words = values.factorize()
    except Exception:  # of lists, and whatever else pandas does not take
        return None
    words = list(words)
    return text_column(name, codes, words) if words and all(map(_is_text, words)) else None


def _is_text(cell: Any) -> bool:
    return isinstance(cell, str)


def _array(name: str, values: NDArray[Any], where: str, mask: NDArray[np.bool_] | None) -> Column:
    match values.dtype.kind:
        case "b":
            flags = values.astype(np.int8)
            flags[mask if mask is not None else slice(0)] = -1
            return flag_column(name, flags)
        case "i" | "u" | "f":
            floats = values.astype(np.float64)
            floats[mask if mask is not None else slice(0)] = np.nan
            return number_column(name, floats, where, whole=values.dtype.kind != "f")
        case "M" | "m" as kind:
            moments = values.copy()
            moments[mask if mask is not None else slice(0)] = np.array("NaT", values.dtype)
            return Column(name, "time" if kind == "M" else "number", meaning.days(moments))
        case "U" | "O":
            return _objects(name, values, where, mask)
        case "S":
            return _objects(name, np.char.decode(values, "utf-8"), where, mask)
    raise DataError(
        f"column {name!r:.60} of {where} must hold numbers, text, truth values or times",
        f"{values.dtype}",
        "convert it",
    )


def _objects(name: str, values: NDArray[Any], where: str, mask: NDArray[np.bool_] | None) -> Column:
    """The Column of Python's objects, by their types: mixed ones are read as the cells of a file are."""
    cells = values.tolist()
    missing = np.fromiter((cell is None or _is_nan(cell) for cell in cells), np.bool_, len(cells))
    if mask is not None:
        missing |= mask
    there = [cell for cell, lost in zip(cells, missing.tolist(), strict=True) if not lost]
    types = set(map(type, there))
    if not types:
        return Column(name, "number", np.full(len(cells), np.nan))
    if types == {str} or all(issubclass(kind, str) for kind in types):
        places: dict[str, int] = {}
        codes = np.full(len(cells), -1, np.int64)
        codes[~missing] = [places.setdefault(cell, len(places)) for cell in there]
        return text_column(name, codes, places)
    if types <= {bool, np.bool_}:
        flags = np.full(len(cells), -1, np.int8)
        flags[~missing] = there
        return flag_column(name, flags)
    if all(issubclass(kind, NUMBERS) and not issubclass(kind, bool) for kind in types):
        floats = np.full(len(cells), np.nan)
        floats[~missing] = [float(cell) for cell in there]
        whole = all(issubclass(kind, numbers.Integral) for kind in types)
        return number_column(name, floats, where, whole=whole)
    if all(issubclass(kind, TIMES) for kind in types):
        moments = np.full(len(cells), np.nan)
        moments[~missing] = [_days(cell) for cell in there]
        return Column(name, "time", moments)
    if all(issubclass(kind, datetime.timedelta) for kind in types):
        floats = np.full(len(cells), np.nan)
        floats[~missing] = [cell / datetime.timedelta(days=1) for cell in there]
        return number_column(name, floats, where, whole=False)
    strange = next((cell for cell in there if not isinstance(cell, (str, *NUMBERS, *TIMES))), None)
    if strange is not None:
        raise DataError(
            f"column {name!r:.60} of {where} must hold numbers, text, truth values or times",
            shown(strange),
            "flatten the column, or leave it out",
        )
    texts = ["" if lost else str(cell) for cell, lost in zip(cells, missing.tolist(), strict=True)]
    rows = np.arange(len(cells))
    for words in (False, True):
        gathered = Gathered(name, Source(where, has_lines=False), words=words)
        gathered.add(TextCells(texts), rows)
        try:
            return gathered.column(rows)[0]
        except Again:
            continue
    raise AssertionError("unreachable")


def _days(moment: Any) -> float:
    if isinstance(moment, datetime.datetime):
        if moment.tzinfo is not None:
            moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
        nanoseconds = getattr(moment, "asm8", None)  # pandas' Timestamp
        moment = np.datetime64(moment, "us") if nanoseconds is None else nanoseconds
    return float(meaning.days(np.array([moment], None if isinstance(moment, np.datetime64) else "M8[D]"))[0])


def _is_nan(cell: Any) -> bool:
    """Tell whether a cell is nan, NaT or pandas' NA."""
    if isinstance(cell, str):
        return False
    if type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, float | np.floating | decimal.Decimal | np.datetime64) and bool(cell != cell)


def _name(name: Any) -> str:
    return "_".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _check_names(names: list[str], where: str) -> None:
    if not names:
        raise DataError(f"{where} must have columns", "none", "give it some")
    check_different(names, where)


def _through_arrow(X: Any, where: str) -> Table:
    found = arrow.pyarrow("a frame of polars or pyarrow")
    try:
        if isinstance(X, found.Table):
            table = X
        elif hasattr(X, "__arrow_c_stream__") or hasattr(X, "__arrow_c_array__"):
            table = found.table(X)
        else:
            from pyarrow.interchange import from_dataframe

            table = from_dataframe(X)
        table.validate()
    except MemoryError:
        raise
    except Exception as error:  # whatever an object of such methods raises
        raise DataError(
            f"{where} must be a frame that Arrow can read", reason_of(error), "convert it"
        ) from None
    if table.num_columns and not len(table):
        raise DataError(f"{where} must hold at least one row", "none", "give it rows")
    return arrow.from_arrow(table, where, found)


def _is_pandas(X: Any) -> bool:
    return all(_has(X, name) for name in ("iloc", "columns", "dtypes"))


def _is_arrow(X: Any) -> bool:
    has = any(_has(X, f"__arrow_c_{kind}__") for kind in ("stream", "array"))
    return (has and any(_has(X, name) for name in ("columns", "schema"))) or _has(X, "__dataframe__")


def _has(X: Any, name: str) -> bool:
    """Tell whether an object has that, whatever it raises when it is asked."""
    try:
        return hasattr(X, name)
    except Exception:
        return False


def _is_lazy(X: Any) -> bool:
    return type(X).__name__ == "LazyFrame" and hasattr(X, "collect")
