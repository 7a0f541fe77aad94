"""Predictions on their way out: CSV, JSON lines or Parquet, to stdout or into a file, a piece at a time.

A file is written whole or not at all. Nothing is predicted from here but by ``answers``.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from fastmlp.checks import one_of, reason_of
from fastmlp.errors import ConfigError

from .streams import OutputError, pour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.model import Model

FORMATS = ("csv", "jsonl", "parquet")
SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


class Answers(NamedTuple):
    """Answers for some rows.

    found: (N,) indices of classes; (N, K) flags; or (N, K) numbers.
    p:     (N, K) probabilities, where they are asked for.
    """

    found: NDArray[Any]
    p: NDArray[Any] | None


class Column(NamedTuple):
    """A column of the result: an index into ``labels`` for each row, or where there are none a number."""

    name: str
    labels: tuple[Any, ...]
    digits: int = 7  # those that the net has


def answers(model: Model, X: Any, *, proba: bool, threads: int | str) -> Answers:
    """Predict for rows X, as a model takes them. Raises DataError, ModelError."""
    if model.loss.task == "numbers":
        found = model.predict(X, threads=threads)
        return Answers(found.reshape(len(found), -1), None)
    p = model.predict_proba(X, threads=threads)
    flags = model.loss.task == "binary" and model.architecture.outputs > 1
    return Answers((p > 0.5).astype(int) if flags else p.argmax(axis=1), p if proba else None)


def columns_of(model: Model, *, proba: bool) -> list[Column]:
    """The columns of the result, in their order: labels or numbers, then a probability for each class."""
    K, classes = model.architecture.outputs, model.classes
    label = model.columns.label if model.columns else None
    if model.loss.task == "numbers":
        several = [f"{label or 'prediction'} {k}" for k in range(K)]
        return [Column(name, ()) for name in (several if K > 1 else [label or "prediction"])]
    shares = [Column(str(k), (), 6) for k in classes] if proba else []
    if model.loss.task == "binary" and K > 1:
        return [Column(f"label {k}", (0, 1)) for k in classes] + shares
    name = label or "label"
    while any(name == share.name for share in shares):
        name = f"predicted {name}"
    return [Column(name, classes), *shares]


def checked_place(out: str | None, kind: str | None, source: str) -> tuple[Path | None, str]:
    """The file to write, if it is one, and its format. Raises ConfigError for what does not fit."""
    if kind is not None:
        one_of("format", kind, FORMATS)
    if out is None:
        if kind == "parquet":
            raise ConfigError("format parquet must go with out, the file to write", "none", "add --out FILE")
        return None, kind or FORMATS[0]
    from fastmlp.files import is_file, is_folder, path_of

    path = path_of("out", out, ConfigError)
    meant = SUFFIXES.get(path.suffix.lower())
    if meant is None and kind is None:
        raise ConfigError(
            f"out must end in {', '.join(SUFFIXES)}, or go with --format", out, "for example predictions.csv"
        )
    if meant and kind and meant != kind:
        raise ConfigError(f"format must be what out says, {meant}", f"--format {kind} --out {out}")
    if path.exists() and not is_file(path):
        what = "a folder" if is_folder(path) else "a device or a pipe"
        raise ConfigError("out must be a file, new or to be replaced", f"{out}, {what}", "name another")
    with suppress(OSError):
        if path.samefile(source):
            raise ConfigError("out must be another file than that with the rows", out, "name another")
    return Path(os.path.realpath(path)), kind or str(meant)


@contextmanager
def written(
    path: Path | None, kind: str, columns: Sequence[Column], *, heading: bool
) -> Iterator[Callable[[Answers], None]]:
    """Give a function that writes answers. A file is there at the end of the block, if that raises nothing.

    heading: whether CSV begins with the columns' names. Raises OutputError, and ConfigError where a library
    is missing.
    """
    if path is None:
        text = _TEXTS[kind](columns)
        if heading:
            pour(text.heading())
        yield lambda piece: pour(text.rows(piece))
        return
    from fastmlp.files import replacing

    try:
        with replacing(path, synced=True) as file:
            if kind == "parquet":
                with _parquet(file, columns) as write:
                    yield write
            else:
                text = _TEXTS[kind](columns)
                file.write(text.heading().encode() if heading else b"")
                yield lambda piece: _all(file, text.rows(piece).encode())
    except OSError as problem:
        if isinstance(problem, OutputError):
            raise
        raise OutputError(
            f"{path} must be writable", reason_of(problem), "make room, or choose another place"
        ) from None


def _all(file: IO[bytes], content: bytes) -> None:
    file.write(content)


class _Csv:
    """Lines of CSV."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.names = [_quoted(column.name) for column in columns]
        self.cells = [([_quoted(label) for label in c.labels], f".{c.digits}g") for c in columns]

    def heading(self) -> str:
        return ",".join(self.names) + "\n"

    def rows(self, piece: Answers) -> str:
        columns = [
            [labels[k] for k in values] if labels else [format(value, digits) for value in values]
            for values, (labels, digits) in zip(_values(piece), self.cells, strict=True)
        ]
        return "".join(",".join(row) + "\n" for row in zip(*columns, strict=True))


class _JsonLines:
    """A JSON object a line; a number that is not finite is null."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.keys = [f"{json.dumps(column.name)}: " for column in columns]
        self.cells = [([json.dumps(label) for label in c.labels], f".{c.digits}g") for c in columns]

    def heading(self) -> str:
        return ""

    def rows(self, piece: Answers) -> str:
        columns = [
            [
                key + (labels[v] if labels else format(v, digits) if math.isfinite(v) else "null")
                for v in values
            ]
            for key, values, (labels, digits) in zip(self.keys, _values(piece), self.cells, strict=True)
        ]
        return "".join("{" + ", ".join(row) + "}\n" for row in zip(*columns, strict=True))


_TEXTS: dict[str, Any] = {"csv": _Csv, "jsonl": _JsonLines}


@contextmanager
def _parquet(file: IO[bytes], columns: Sequence[Column]) -> Iterator[Callable[[Answers], None]]:
    """Give a function that writes a row group into a Parquet file. Raises OSError, ConfigError."""
    pa, pq = _arrow()
    labels = [pa.array(c.labels) if c.labels else None for c in columns]
    kinds = [
        pa.float32() if c.digits < 7 else pa.float64() if own is None else own.type
        for c, own in zip(columns, labels, strict=True)
    ]
    schema = pa.schema([(c.name, kind) for c, kind in zip(columns, kinds, strict=True)])

    def write(piece: Answers) -> None:
        arrays = [
            pa.array(values, kind) if own is None else own.take(pa.array(values, pa.int64()))
            for values, own, kind in zip(_values(piece), labels, kinds, strict=True)
        ]
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

    writer = pq.ParquetWriter(file, schema)
    try:
        yield write
        writer.close()
    finally:
        with suppress(Exception):  # closed, or the file is given up
            writer.close()


def _arrow() -> tuple[Any, Any]:
    """pyarrow and its module of Parquet files. Raises ConfigError."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError(
            "pyarrow must be installed to write Parquet", "none", 'install it: pip install "fastmlp[tables]"'
        ) from None
    return pa, pq


def check_library(kind: str) -> None:
    """Raise ConfigError where the library of a format is missing."""
    if kind == "parquet":
        _arrow()


def _values(piece: Answers) -> list[list[Any]]:
    """The values of each column."""
    found = [piece.found] if piece.found.ndim == 1 else list(piece.found.T)
    return [values.tolist() for values in (*found, *(() if piece.p is None else piece.p.T))]


def _quoted(value: Any) -> str:
    """A cell of CSV, in quotes where it needs them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([value])
    return text.getvalue()
