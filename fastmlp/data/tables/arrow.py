"""Arrow: pyarrow's arrays to columns; Parquet, Feather and Arrow files. pyarrow is imported on call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import reason_of
from fastmlp.data.names import check_different
from fastmlp.data.table import Column, Table
from fastmlp.data.tables import cells as meaning
from fastmlp.data.tables.head import MAX_COLUMNS
from fastmlp.data.tables.typed import flag_column, number_column, text_column
from fastmlp.errors import DataError
from fastmlp.files.bounded import BYTE_BUDGET, translated

PARQUET = (".parquet", ".pq")
ARROW = (".feather", ".arrow", ".ipc", ".arrows")


def pyarrow(what: str) -> ModuleType:
    """The module. Raises DataError that says how to install it."""
    try:
        import pyarrow as arrow
        import pyarrow.compute
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise DataError(
            f"pyarrow must be installed to read {what}", "none", 'install it: pip install "fastmlp[tables]"'
        ) from None
    return cast(ModuleType, arrow)


def read(path: Path) -> Table:
    """The Table in a Parquet, Feather or Arrow file. Raises DataError."""
    arrow = pyarrow(str(path))
    with _file(path, arrow) as file:
        table = _all(file, path, arrow)
        if not len(table):
            raise _no_rows(path)
        return from_arrow(table, str(path), arrow)


def chunks(path: Path, rows: int) -> Iterator[Table]:
    """Tables of so many rows, the last one perhaps of fewer."""
    arrow = pyarrow(str(path))
    with _file(path, arrow) as file:
        held: list[Any] = []
        count = read = done = 0
        for batch in _batches(file, path, arrow):
            read += len(batch)
            while count + len(batch) >= rows:
                taken = rows - count
                yield _chunk([*held, batch[:taken]], path, arrow, done)
                batch, held, count, done = batch[taken:], [], 0, done + rows
            if len(batch):
                held.append(batch)
                count += len(batch)
        if not read:
            raise _no_rows(path)
        if held:
            yield _chunk(held, path, arrow, done)


def _chunk(batches: Sequence[Any], path: Path, arrow: ModuleType, first: int) -> Table:
    return from_arrow(arrow.Table.from_batches(batches), str(path), arrow, first)


@contextmanager
def _file(path: Path, arrow: ModuleType) -> Iterator[Any]:
    """The open file: pyarrow's ParquetFile, or a reader of record batches."""
    with translated(path):
        if path.exists() and not path.is_file():
            raise DataError(f"{path} must be a file", "a folder, a pipe or a device", "name one file")
        with open(path, "rb") as content:
            try:
                magic = content.read(6)
                content.seek(0)
                if magic[:4] == b"PAR1":
                    yield arrow.parquet.ParquetFile(
                        content,
                        thrift_string_size_limit=100 << 20,
                        thrift_container_size_limit=1 << 20,
                    )
                elif magic == b"ARROW1":
                    yield arrow.ipc.open_file(content)
                elif magic[:4] == b"\xff\xff\xff\xff":
                    yield arrow.ipc.open_stream(content)
                else:
                    raise DataError(
                        f"{path} must be a Parquet, Feather or Arrow file",
                        f"the bytes {magic.hex(' ')}",
                        "check which file this is; Feather of version 1 is not read",
                    )
            except (DataError, MemoryError):
                raise
            except (arrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{path} must be whole and undamaged", reason_of(error), "get the file again"
                ) from None


def _all(file: Any, path: Path, arrow: ModuleType) -> Any:
    """The pyarrow Table of an open file, checked."""
    if isinstance(file, arrow.parquet.ParquetFile):
        _check_parquet(file, path, arrow)
        return file.read()
    return arrow.Table.from_batches(list(_batches(file, path, arrow)), file.schema)


def _check_parquet(file: Any, path: Path, arrow: ModuleType) -> None:
    of = file.metadata
    unpacked = sum(of.row_group(i).total_byte_size for i in range(of.num_row_groups))
    _check_size(path, of.num_rows, len(file.schema_arrow), unpacked)
    _check_schema(path, file.schema_arrow, arrow)


def _batches(file: Any, path: Path, arrow: ModuleType) -> Iterator[Any]:
    """The record batches of an open file, checked."""
    if isinstance(file, arrow.parquet.ParquetFile):
        _check_parquet(file, path, arrow)
        yield from file.iter_batches()
        return
    _check_schema(path, file.schema, arrow)
    rows = 0
    every = file if hasattr(file, "read_next_batch") else map(file.get_batch, range(file.num_record_batches))
    for batch in every:
        rows += len(batch)
        _check_size(path, rows, len(file.schema), batch.nbytes)
        batch.validate(full=True)  # nothing else looks whether offsets stay within their buffers
        yield batch


def _check_size(where: object, rows: int, columns: int, unpacked: int) -> None:
    if rows < 0 or rows * max(columns, 1) * 8 > BYTE_BUDGET or not 0 <= unpacked <= BYTE_BUDGET:
        raise DataError(
            f"{where} must hold at most {BYTE_BUDGET:,} bytes",
            f"{rows:,} rows of {columns:,} columns, {unpacked:,} bytes",
            "use fewer rows",
        )


def _no_rows(path: Path) -> DataError:
    return DataError(f"{path} must hold at least one row", "none", "get the file again")


def _check_schema(where: object, schema: Any, arrow: ModuleType) -> None:
    if len(schema) > MAX_COLUMNS:
        raise DataError(
            f"{where} must have at most {MAX_COLUMNS:,} columns", f"{len(schema):,}", "leave some out"
        )
    for field in schema:
        _check_type(where, field.name, field.type, arrow)
    names = schema.names
    check_different(names, str(where))
    if not names:
        raise DataError(f"{where} must have columns", "none", "get the file again")


def _check_type(where: object, name: str, kind: Any, arrow: ModuleType) -> None:
    types = arrow.types
    value = kind.value_type if types.is_dictionary(kind) else kind
    fine = (
        types.is_null(value) or types.is_boolean(value) or types.is_integer(value)
        or types.is_floating(value) or types.is_decimal(value) or types.is_temporal(value)
        or _is_text(value, types) or types.is_binary(value) or types.is_large_binary(value)
    )  # fmt: skip
    if types.is_interval(value) or not fine:
        raise DataError(
            f"column {name!r:.60} of {where} must hold numbers, text, truth values or times",
            f"{str(kind)[:60]}",
            "flatten the column, or leave it out",
        )


def _is_text(kind: Any, types: Any) -> bool:
    view = getattr(types, "is_string_view", None)
    return bool(types.is_string(kind) or types.is_large_string(kind) or (view and view(kind)))


def from_arrow(table: Any, where: str, arrow: ModuleType, first: int = 0) -> Table:
    """The Table of a pyarrow Table or RecordBatch, whose rows are those from ``first`` on."""
    _check_schema(where, table.schema, arrow)
    _check_size(where, len(table), len(table.schema), 0)
    columns = [
        _checked_column(str(name), table.column(i), where, arrow, first)
        for i, name in enumerate(table.schema.names)
    ]
    return Table(tuple(columns), where, places=first + np.arange(len(table)) if first else None)


def _checked_column(name: str, array: Any, where: str, arrow: ModuleType, first: int) -> Column:
    try:
        return _column(name, array, where, arrow, first)
    except arrow.ArrowException as error:  # bytes that are no text, times that NumPy cannot hold
        raise DataError(
            f"column {name!r:.60} of {where} must hold text in UTF-8, or values within bounds",
            reason_of(error),
            "convert it, or leave it out",
        ) from None


def _column(name: str, array: Any, where: str, arrow: ModuleType, first: int) -> Column:
    types, kind = arrow.types, array.type
    if types.is_dictionary(kind):
        return _dictionary(name, array, arrow)
    if types.is_null(kind):
        return Column(name, "number", np.full(len(array), np.nan))
    if types.is_boolean(kind):
        flags = array.cast(arrow.int8()).fill_null(-1).to_numpy()
        return flag_column(name, np.asarray(flags, np.int8))
    if types.is_decimal(kind):
        whole = kind.scale <= 0
        return number_column(name, array.cast(arrow.float64()).to_numpy(), where, whole=whole, first=first)
    if types.is_integer(kind) or types.is_floating(kind):
        if array.null_count:
            array = array.cast(arrow.float64(), safe=False)
        values = array.to_numpy().astype(np.float64)
        return number_column(name, values, where, whole=types.is_integer(kind), first=first)
    if types.is_timestamp(kind) or types.is_date(kind):
        return Column(name, "time", meaning.days(_moments(array, kind, arrow)))
    if types.is_duration(kind):
        return Column(name, "number", meaning.days(array.to_numpy()))
    if types.is_time(kind):
        per_day = {"s": 86400, "ms": 86400 * 10**3, "us": 86400 * 10**6, "ns": 86400 * 10**9}[kind.unit]
        whole_type = arrow.int32() if types.is_time32(kind) else arrow.int64()
        return Column(
            name, "number", array.cast(whole_type).cast(arrow.float64(), safe=False).to_numpy() / per_day
        )
    if not _is_text(kind, types):
        array = array.cast(arrow.large_string())  # bytes that must be UTF-8
    elif not (types.is_string(kind) or types.is_large_string(kind)):
        array = array.cast(arrow.large_string())
    return _dictionary(name, array.dictionary_encode(), arrow)


def _dictionary(name: str, array: Any, arrow: ModuleType) -> Column:
    if hasattr(array, "chunks"):
        array = array.unify_dictionaries().combine_chunks()
        if hasattr(array, "chunks"):
            array = (
                array.chunk(0) if array.num_chunks else arrow.array([], arrow.string()).dictionary_encode()
            )
    words = array.dictionary.to_numpy(zero_copy_only=False).tolist()
    codes = array.indices.cast(arrow.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    if len(codes) and not (codes.min() >= -1 and codes.max() < len(words)):
        raise DataError(
            f"column {name!r:.60} must have indices into its dictionary", "others", "get it again"
        )
    return text_column(name, codes, words)


def _moments(array: Any, kind: Any, arrow: ModuleType) -> NDArray[Any]:
    if arrow.types.is_date32(kind):
        array = array.cast(arrow.timestamp("s"))
    elif arrow.types.is_date64(kind):
        array = array.cast(arrow.timestamp("ms"))
    elif kind.tz is not None:
        array = array.cast(arrow.timestamp(kind.unit))
    return np.asarray(array.to_numpy())
