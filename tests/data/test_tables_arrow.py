"""Parquet, Feather and Arrow files: types, chunks, and files that are damaged, nested, huge or made up."""

from __future__ import annotations

import datetime
import decimal
import io
import random

import numpy as np
import pyarrow
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
import pytest

from fastmlp.data import tables
from fastmlp.data.tables import arrow
from fastmlp.errors import DataError


def cells(column):
    """The cells of a column, None where one is missing."""
    values = column.values.tolist()
    if column.kind == "text":
        values = [(*column.words, None)[value] for value in values]
    return [None if lost else value for value, lost in zip(values, column.missing, strict=True)]


N = 300
g = np.random.default_rng(0)
TABLE = pyarrow.table(
    {
        "n": pyarrow.array(g.integers(0, 9, N)),
        "x": pyarrow.array(g.normal(size=N), mask=g.random(N) < 0.1),
        "city": pyarrow.array(g.choice(["Rome", "Bern", "Oslo"], N), mask=g.random(N) < 0.1),
        "word": pyarrow.array([f"w{i}" for i in range(N)]).dictionary_encode(),
        "ok": pyarrow.array(g.random(N) < 0.5, mask=g.random(N) < 0.1),
        "day": pyarrow.array([datetime.date(2024, 1, 1) + datetime.timedelta(days=i) for i in range(N)]),
        "none": pyarrow.nulls(N),
    }
)


def parquet(table, **more):
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, **more)
    return sink.getvalue()


def feather(table, **more):
    sink = io.BytesIO()
    pyarrow.feather.write_feather(table, sink, **more)
    return sink.getvalue()


def stream(table, **more):
    sink = io.BytesIO()
    with pyarrow.ipc.new_stream(sink, table.schema, **more) as writer:
        writer.write_table(table, max(100, len(table) // 5))
    return sink.getvalue()


WHOLE = {
    "a.parquet": parquet(TABLE),
    "groups.parquet": parquet(TABLE, row_group_size=70, compression="zstd"),
    "plain.pq": parquet(TABLE, use_dictionary=False, compression="none", data_page_version="2.0"),
    "a.feather": feather(TABLE, chunksize=100),
    "plain.arrow": feather(TABLE, compression="uncompressed"),
    "packed.ipc": feather(TABLE, compression="zstd", chunksize=120),
    "a.arrows": stream(TABLE),
}


def write(folder, content, name="a.parquet"):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", WHOLE)
def test_files_hold_what_the_frame_holds(tmp_path, name):
    expected = tables.from_frame(TABLE)
    path = write(tmp_path, WHOLE[name], name)
    found = tables.read(path)
    assert found.where == str(path)
    assert found.lines is None
    for ours, theirs in zip(found.columns, expected.columns, strict=True):
        assert (ours.name, ours.kind, ours.whole) == (theirs.name, theirs.kind, theirs.whole)
        assert cells(ours) == cells(theirs)
    for rows in (1, 64, 100, 1000):
        chunks = list(tables.chunks(path, rows))
        assert [len(chunk) for chunk in chunks[:-1]] == [rows] * (len(chunks) - 1)
        for name_of in TABLE.column_names:
            assert [cell for chunk in chunks for cell in cells(chunk[name_of])] == cells(expected[name_of])


def column(values, kind=None):
    """Kind, cells and whether whole, of a column through a Parquet and an Arrow table."""
    return tables.from_frame(pyarrow.table({"a": pyarrow.array(values, kind)}))["a"]


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([1, None], pyarrow.int8(), ("number", [1, None], True)),
        ([2**63], pyarrow.uint64(), ("number", [2.0**63], True)),
        ([2**62 + 1, None], pyarrow.int64(), ("number", [2.0**62, None], True)),
        ([0.5, float("nan"), None], pyarrow.float32(), ("number", [0.5, None, None], False)),
        ([np.float16(0.5), None], pyarrow.float16(), ("number", [0.5, None], False)),
        ([decimal.Decimal("1.50"), None], pyarrow.decimal128(5, 2), ("number", [1.5, None], False)),
        ([decimal.Decimal("7")], pyarrow.decimal256(40, 0), ("number", [7], True)),
        ([None, None], pyarrow.null(), ("number", [None, None], False)),
        ([None, None], pyarrow.string(), ("text", [None, None], False)),
        ([True, None, False], pyarrow.bool_(), ("flag", [1, None, 0], False)),
        ([" b", "a", "?", None], pyarrow.string(), ("text", ["b", "a", None, None], False)),
        ([b"b", None], pyarrow.binary(), ("text", ["b", None], False)),
        ([datetime.date(1970, 1, 3), None], pyarrow.date32(), ("time", [2, None], False)),
        ([datetime.date(1970, 1, 3), None], pyarrow.date64(), ("time", [2, None], False)),
        ([43_200_000_000, None], pyarrow.timestamp("us"), ("time", [0.5, None], False)),
        ([-43_200 * 10**9, None], pyarrow.timestamp("ns", "Europe/Rome"), ("time", [-0.5, None], False)),
        ([3600, None], pyarrow.time32("s"), ("number", [1 / 24, None], False)),
        ([3600 * 10**9, None], pyarrow.time64("ns"), ("number", [1 / 24, None], False)),
        ([129_600, None], pyarrow.duration("s"), ("number", [1.5, None], False)),
        (
            [5, None, 30],
            pyarrow.dictionary(pyarrow.int8(), pyarrow.int64()),
            ("text", ["5", None, "30"], False),
        ),
    ],
    ids=str,
)
def test_types(values, kind, found):
    read = column(values, kind)
    assert (read.kind, cells(read), read.whole) == found


def deep(depth):
    kind = pyarrow.int8()
    for _ in range(depth):
        kind = pyarrow.list_(kind)
    return pyarrow.table({"a": pyarrow.array([None], kind)})


@pytest.mark.parametrize(
    "nested",
    [
        pyarrow.table({"a": [[1], [2]]}),
        pyarrow.table({"a": [{"b": 1}, {"b": 2}]}),
        pyarrow.table({"a": pyarrow.array([[("k", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int8()))}),
        pyarrow.table({"a": pyarrow.array([[1.0, 2.0]], pyarrow.list_(pyarrow.float64(), 2))}),
        deep(20),
    ],
    ids=lambda table: str(table.schema.field(0).type)[:20],
)
@pytest.mark.parametrize("form", [parquet, feather, stream])
def test_nested_columns_are_named(tmp_path, data_refused, nested, form):
    path = write(tmp_path, form(nested), "a.parquet" if form is parquet else "a.arrow")
    for read in (tables.read, lambda path: list(tables.chunks(path, 5))):
        with data_refused("column 'a' of .* must hold numbers, text.*Flatten the column, or leave it out"):
            read(path)


@pytest.mark.parametrize(
    "odd",
    [
        pyarrow.table({"a": pyarrow.RunEndEncodedArray.from_arrays([2], [1])}),
        pyarrow.table({"a": pyarrow.UnionArray.from_sparse(pyarrow.array([0], "i1"), [pyarrow.array([5])])}),
    ],
    ids=["runs", "union"],
)
def test_types_of_arrow_alone(odd, data_refused):
    with data_refused("column 'a' of .* must hold numbers"):
        tables.from_frame(odd)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file|the bytes"),
        (b"PAR1", "whole and undamaged"),
        (b"PAR1" + b"\0" * 100 + b"PAR1", "whole and undamaged"),
        (b"PAR1" + b"\0" * 100 + b"\xff\xff\xff\x7fPAR1", "whole and undamaged"),
        (b"ARROW1\0\0", "whole and undamaged"),
        (b"ARROW1\0\0" + b"\xff" * 50 + b"\xff\xff\xff\x7fARROW1", "whole and undamaged"),
        (b"\xff\xff\xff\xff", "whole and undamaged|at least one row"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f", "whole and undamaged"),
        (b"FEA1" + b"\0" * 100, "must be a Parquet, Feather or Arrow file.*version 1"),
        (b"a,b\n1,2\n", "must be a Parquet, Feather or Arrow file"),
        (parquet(TABLE)[:-1], "whole and undamaged"),
        (parquet(TABLE)[:-8] + b"\x10\0\0\0PAR1", "whole and undamaged"),
        (parquet(TABLE.slice(0, 0)), "at least one row"),
        (stream(TABLE.slice(0, 0)), "at least one row"),
        (stream(pyarrow.table([[1], [2]], ["a", "a"])), "different names; got 'a' twice"),
        (
            parquet(pyarrow.table({"a": [1.0, np.inf]})),
            "row 1 .from 0. of .* must hold a finite number in column 'a'",
        ),
        (stream(pyarrow.table({"a": pyarrow.array([b"\xff"])})), "column 'a' of .* must hold text in UTF-8"),
    ],
    ids=range(17),
)
def test_files_that_are_refused(tmp_path, data_refused, content, message):
    with data_refused(message):
        tables.read(write(tmp_path, content))


def test_words_of_a_library_end_with_one_full_stop(tmp_path):
    with pytest.raises(DataError) as told:
        tables.read(write(tmp_path, parquet(TABLE)[:-1]))
    assert ".." not in str(told.value).removeprefix(str(tmp_path))
    assert str(DataError("a must be b", "c.", "d")) == "a must be b; got c. D."
    assert str(DataError("a must be b", "c...", "d")) == "a must be b; got c.... D."


def test_columns_of_one_name_in_parquet(tmp_path, data_refused):
    with data_refused("different names; got 'a' twice"):
        tables.read(write(tmp_path, parquet(pyarrow.table([[1], [2]], ["a", "a"]))))


def test_what_is_nested_too_deeply_is_refused(tmp_path, data_refused):
    with data_refused("must"):
        tables.read(write(tmp_path, parquet(deep(60))))


def test_too_many_columns(tmp_path, data_refused, monkeypatch):
    monkeypatch.setattr(arrow, "MAX_COLUMNS", 6)
    for form in (parquet, stream):
        with data_refused("at most 6 columns; got 7"):
            tables.read(write(tmp_path, form(TABLE)))


@pytest.mark.slow
@pytest.mark.parametrize("form", [parquet, stream])
def test_bombs_end(tmp_path, data_refused, monkeypatch, form):
    """Rows of nothing, and one long text a million times: few bytes in the file, many to be."""
    with data_refused("at most 4,294,967,296 bytes; got 2,000,000,000 rows"):
        tables.from_frame(pyarrow.table({"a": pyarrow.nulls(2_000_000_000)}))
    if form is stream:
        with data_refused("at most 4,294,967,296 bytes; got 800,000,000 rows"):
            tables.read(write(tmp_path, stream(pyarrow.table({"a": pyarrow.nulls(2_000_000_000)}))))
    codes = pyarrow.array(np.zeros(1_000_000, np.int32))
    long = pyarrow.table({"a": pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array(["x" * 20_000]))})
    path = write(tmp_path, form(long))
    assert path.stat().st_size < 1 << 23
    before = pyarrow.total_allocated_bytes()
    assert tables.read(path)["a"].words == ("x" * 20_000,)
    assert pyarrow.total_allocated_bytes() - before < 1 << 27


def test_a_long_text_repeated_in_a_plain_column_stays_one(tmp_path):
    path = write(tmp_path, parquet(pyarrow.table({"a": ["x" * 50_000] * 2_000})))
    assert path.stat().st_size < 1 << 18
    assert tables.read(path)["a"].words == ("x" * 50_000,)


ODD = [b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f", b"\0\0\0\x80"]


def mutant(draw, whole):
    """The file with some bytes set, taken out or put in."""
    content = bytearray(whole)
    for _ in range(draw.choice([1, 1, 2, 4, 8])):
        at = draw.choice([draw.randrange(len(content)), max(0, len(content) - 1 - draw.randrange(400))])
        match draw.choice("sssodit"):
            case "s":
                content[at] = draw.randrange(256)
            case "o":
                content[at : at + 4] = draw.choice(
                    [b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f", b"\0\0\0\x80"]
                )
            case "d":
                del content[at : at + draw.randint(1, 8)]
            case "i":
                content[at:at] = draw.randbytes(4)
            case "t":
                del content[max(at, 8) :]
    return bytes(content) or b"x"


def check_changed(folder, name, seeds):
    refused = 0
    for seed in seeds:
        path = write(folder, mutant(random.Random(seed), WHOLE[name]), name)
        for read in (tables.read, lambda path: next(tables.chunks(path, 50))):
            try:
                table = read(path)
            except DataError as error:
                refused += bool(error.do and "\n" not in str(error))
            else:
                for column in table.columns:
                    assert len(cells(column)) == len(table)
    return refused


@pytest.mark.parametrize("name", WHOLE)
def test_changed_files(tmp_path, name):
    assert check_changed(tmp_path, name, range(40)) > 5


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_many_more_changed_files(tmp_path, name):
    check_changed(tmp_path, name, range(1000, 2500))


def test_a_row_of_a_later_chunk_is_named_by_where_it_stands(tmp_path, data_refused):
    values = np.arange(25.0)
    pyarrow.parquet.write_table(pyarrow.table({"a": values}), tmp_path / "a.parquet")
    assert [chunk.row(1) for chunk in tables.chunks(tmp_path / "a.parquet", rows=10)] == [
        f"row {row} (from 0) of {tmp_path / 'a.parquet'}" for row in (1, 11, 21)
    ]
    values[17] = np.inf
    pyarrow.parquet.write_table(pyarrow.table({"a": values}), tmp_path / "a.parquet")
    with data_refused(r"row 17 \(from 0\) of .*a.parquet must hold a finite number"):
        list(tables.chunks(tmp_path / "a.parquet", rows=10))
