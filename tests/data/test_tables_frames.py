"""Frames of pandas, polars and pyarrow, dicts, structured arrays: one Table from each, or why not."""

from __future__ import annotations

import datetime
import decimal
import sys

import numpy as np
import pandas
import polars
import pyarrow
import pytest

from fastmlp.data import tables
from fastmlp.data.table import Table


def cells(column):
    """The cells of a column, None where one is missing."""
    values = column.values.tolist()
    if column.kind == "text":
        values = [(*column.words, None)[value] for value in values]
    return [None if lost else value for value, lost in zip(values, column.missing, strict=True)]


def of(values, name="a"):
    """Kind, cells and whether whole, of one column of a pandas frame."""
    column = tables.from_frame(pandas.DataFrame({name: values}))[name]
    assert list(column.words) == sorted(column.words) or column.kind == "flag"
    return column.kind, cells(column), column.whole


DAY, NOON = datetime.date(1970, 1, 2), datetime.datetime(1970, 1, 2, 12)


@pytest.mark.parametrize(
    ("values", "kind", "found", "whole"),
    [
        ([1, 2, 3], "number", [1, 2, 3], True),
        (np.array([1, 2], np.uint8), "number", [1, 2], True),
        (np.array([2**63], np.uint64), "number", [2.0**63], True),
        (np.array([0.5, np.nan], np.float16), "number", [0.5, None], False),
        (pandas.array([1, None], "Int64"), "number", [1, None], True),
        (pandas.array([1, None], "UInt8"), "number", [1, None], True),
        (pandas.array([0.5, None], "Float32"), "number", [0.5, None], False),
        (pandas.array([1, None], "int64[pyarrow]"), "number", [1, None], True),
        (pandas.array([True, None], "boolean"), "flag", [1, None], False),
        (pandas.array([True, None], "bool[pyarrow]"), "flag", [1, None], False),
        ([True, False], "flag", [1, 0], False),
        (np.array([True, None], object), "flag", [1, None], False),
        (["b", "a ", None, "b"], "text", ["b", "a", None, "b"], False),
        (pandas.array(["b", None], "string"), "text", ["b", None], False),
        (pandas.array(["b", None], "string[pyarrow]"), "text", ["b", None], False),
        (np.array(["b", None, np.nan, pandas.NA], object), "text", ["b", None, None, None], False),
        (["NA", "?", "-", "x"], "text", [None, None, None, "x"], False),
        (["1", "2"], "text", ["1", "2"], False),
        (pandas.Categorical(["v", None, "u"], ["u", "v", "w"]), "text", ["v", None, "u"], False),
        (pandas.Categorical([3, 1, None]), "text", ["3", "1", None], False),
        (pandas.to_datetime(["1970-01-02 06:00", None]), "time", [1.25, None], False),
        (pandas.to_datetime(["1970-01-02 06:00"]).tz_localize("Etc/GMT-6"), "time", [1], False),
        (pandas.to_datetime(["1970-01-02"]).astype("datetime64[s]"), "time", [1], False),
        (pandas.period_range("1970-02", periods=1, freq="M"), "time", [31], False),
        (pandas.to_timedelta(["36h", None]), "number", [1.5, None], False),
        (pandas.interval_range(0, 1), "text", ["(0, 1]"], False),
        (pandas.arrays.SparseArray([0.0, 2.0]), "number", [0, 2], False),
        (np.array([DAY, None, NOON], object), "time", [1, None, 1.5], False),
        (np.array([pandas.Timestamp(NOON), pandas.NaT], object), "time", [1.5, None], False),
        (np.array([decimal.Decimal("1.5"), None], object), "number", [1.5, None], False),
        (np.array([1, 2.5, None], object), "number", [1, 2.5, None], False),
        (np.array([1, np.int8(2), None], object), "number", [1, 2, None], True),
        (np.array([None, None], object), "number", [None, None], False),
        (np.array([1, "a", None, 2.0], object), "text", ["1", "a", None, "2.0"], False),
        (np.array([1, "2", None], object), "number", [1, 2, None], True),
        (np.array([datetime.timedelta(hours=6)], object), "number", [0.25], False),
    ],
    ids=repr,
)
def test_dtypes_of_pandas(values, kind, found, whole):
    assert of(values) == (kind, found, whole)


class Interchange:
    """A frame of a library that nobody knows, by the protocol of frames."""

    def __init__(self, frame):
        self.frame = frame

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self.frame.__dataframe__(nan_as_null, allow_copy)


PLAIN = {
    "n": [1, 2, 3],
    "x": [0.5, None, -2.0],
    "city": ["Rome", None, "Bern"],
    "ok": [True, None, False],
    "day": [datetime.date(2024, 1, 1), None, datetime.date(1969, 12, 31)],
    "at": [datetime.datetime(2024, 1, 1, 6), None, datetime.datetime(1970, 1, 1)],
    "none": [None, None, None],
}


def as_structured():
    array = np.zeros(
        3,
        [
            ("n", "i4"),
            ("x", "f8"),
            ("city", "O"),
            ("ok", "O"),
            ("day", "M8[D]"),
            ("at", "M8[s]"),
            ("none", "O"),
        ],
    )
    for name, values in PLAIN.items():
        array[name] = values
    return array


ARROW = pyarrow.table(PLAIN)
POLARS = polars.DataFrame(PLAIN)
FRAMES = {
    "dict": PLAIN,
    "pandas": pandas.DataFrame(PLAIN),
    "nullable": pandas.DataFrame(PLAIN).convert_dtypes(),
    "pandas of pyarrow": ARROW.to_pandas(types_mapper=pandas.ArrowDtype),
    "pyarrow": ARROW,
    "batch": ARROW.to_batches()[0],
    "chunked": pyarrow.concat_tables([ARROW.slice(0, 1), ARROW.slice(1, 0), ARROW.slice(1)]),
    "dictionaries": ARROW.set_column(2, "city", ARROW["city"].dictionary_encode()),
    "large": ARROW.set_column(2, "city", ARROW["city"].cast(pyarrow.large_string())),
    "views": ARROW.set_column(2, "city", ARROW["city"].cast(pyarrow.string_view())),
    "polars": POLARS,
    "polars, categories": POLARS.with_columns(polars.col("city").cast(polars.Categorical)),
    "polars, dict of series": {name: POLARS[name] for name in POLARS.columns},
    "pandas, dict of series": dict(pandas.DataFrame(PLAIN).items()),
    "structured": as_structured(),
    "masked": PLAIN | {"n": np.ma.array([1, 2, 3]), "x": np.ma.array([0.5, 7.0, -2.0], mask=[0, 1, 0])},
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_one_table_from_every_frame(name):
    assert tables.is_frame(FRAMES[name])
    table = tables.from_frame(FRAMES[name])
    assert table.names == tuple(PLAIN)
    assert table.lines is None
    assert table.row(1) == "row 1 (from 0) of the table"
    assert [column.kind for column in table.columns[:-1]] == [
        "number",
        "number",
        "text",
        "flag",
        "time",
        "time",
    ]
    assert table["none"].missing.all()
    assert {c.name: cells(c) for c in table.columns} == {
        "n": [1, 2, 3],
        "x": [0.5, None, -2],
        "city": ["Rome", None, "Bern"],
        "ok": [1, None, 0],
        "day": [19723, None, -1],
        "at": [19723.25, None, 0],
        "none": [None] * 3,
    }
    assert table["city"].words == ("Bern", "Rome")
    assert table["ok"].words == ("false", "true")
    assert table["n"].whole
    assert not table["x"].whole
    assert {column.values.dtype.str[1:] for column in table.columns} == {"f8", "i4", "i1"}


def test_a_frame_by_the_protocol_alone():
    frame = Interchange(ARROW.select(["n", "city", "ok"]))
    assert tables.is_frame(frame)
    table = tables.from_frame(frame)
    assert [(c.name, c.kind, cells(c)) for c in table.columns] == [
        ("n", "number", [1, 2, 3]),
        ("city", "text", ["Rome", None, "Bern"]),
        ("ok", "flag", [1, None, 0]),
    ]


def test_a_table_is_itself():
    table = tables.from_frame(PLAIN)
    assert isinstance(table, Table)
    assert tables.from_frame(table) is table


@pytest.mark.parametrize(
    "X",
    [np.eye(3), [[1, 2]], 5, "a.csv", None, pandas.Series([1]), polars.Series([1]), pyarrow.array([1])],
    ids=repr,
)
def test_no_frames(X, data_refused):
    assert not tables.is_frame(X)
    with data_refused("must be a frame of pandas or polars"):
        tables.from_frame(X)


def test_names_are_text():
    frame = pandas.DataFrame(np.eye(2), columns=[0, "b"])
    assert tables.from_frame(frame).names == ("0", "b")
    frame.columns = pandas.MultiIndex.from_tuples([("a", 1), ("a", 2)])
    assert tables.from_frame(frame).names == ("a_1", "a_2")


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (pandas.DataFrame([[1, 2]], columns=["a", "a"]), "different names; got 'a' twice"),
        (pandas.DataFrame([[1, 2]], columns=[1, "1"]), "different names; got '1' twice"),
        (pyarrow.table([[1], [2]], ["a", "a"]), "different names; got 'a' twice"),
        (pandas.DataFrame(), "must have columns"),
        (pyarrow.table({}), "must have columns"),
        ({}, "must have columns"),
        (pandas.DataFrame({"a": []}), "at least one row"),
        (pyarrow.table({"a": pyarrow.array([], "f8")}), "at least one row"),
        ({"a": [1, 2], "b": [1]}, r"columns of one length; got \[1, 2\]"),
        (
            {"a": [1.0, np.inf]},
            r"row 1 \(from 0\) of the table must hold a finite number in column 'a'; got inf",
        ),
        (pandas.DataFrame({"a": [1.0, -np.inf]}), "finite number in column 'a'; got -inf"),
        (pyarrow.table({"a": [1.0, np.inf]}), "finite number in column 'a'; got inf"),
        (
            pandas.DataFrame({"a": [[1], [2]]}),
            r"column 'a' of the table must hold numbers.*got \[1\]. Flatten",
        ),
        (pyarrow.table({"a": [[1], [2]]}), "column 'a' of the table must hold numbers, text.*got list<"),
        (pyarrow.table({"a": [{"b": 1}]}), "column 'a'.*got struct<.*Flatten the column, or leave it out"),
        (polars.DataFrame({"a": [[1], [2]]}), "column 'a'.*got"),
        (pandas.DataFrame({"a": [1j, 2]}), "column 'a' of the table must hold numbers"),
        ({"a": np.eye(2)}, r"column 'a' of the table must have one axis; got shape \(2, 2\)"),
        ({"a": 5}, "column 'a' of the table must be a list, an array or a Series"),
        ({"a": [b"x", object()]}, "column 'a' of the table must hold numbers"),
        (
            {"a": [*range(30), "x"]},
            r"row 30 \(from 0\) of the table must hold a number in column 'a', as nearly all",
        ),
        (polars.LazyFrame({"a": [1]}), r"a lazy one. Call .collect\(\) first"),
        (np.zeros((2, 2), [("a", "f8")]), "one axis"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:30],
)
def test_frames_that_are_refused(X, message, data_refused):
    assert tables.is_frame(X)
    with data_refused(message):
        tables.from_frame(X)


def test_nothing_is_imported_to_ask(monkeypatch):
    for name in ("pandas", "polars", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    assert tables.is_frame(FRAMES["pandas"])
    assert tables.is_frame(FRAMES["polars"])
    assert not tables.is_frame(np.eye(2))
    assert tables.from_frame(FRAMES["pandas"]).names == tuple(PLAIN)


def test_without_pyarrow_one_line_says_what_to_install(monkeypatch, tmp_path, data_refused):
    frame = FRAMES["polars"]
    for name in ("pyarrow", "pyarrow.compute", "pyarrow.csv", "pyarrow.ipc", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with data_refused(r'pyarrow must be installed.*pip install "fastmlp\[tables\]"'):
        tables.from_frame(frame)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with data_refused(r'pyarrow must be installed to read .*a.parquet.*pip install "fastmlp\[tables\]"'):
        tables.read(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("a,b\n1,x\n")
    assert tables.read(tmp_path / "a.csv").shape == (1, 2)


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([1, 2.5], "number", [1, 2.5]),
        (np.array(["b", "a"]), "text", ["b", "a"]),
        (np.array([b"b", b"a"]), "text", ["b", "a"]),
        (pandas.Series(["b", None]), "text", ["b", None]),
        (polars.Series([1, None]), "number", [1, None]),
        (pyarrow.chunked_array([[True], [False]]), "flag", [1, 0]),
        ((True, False), "flag", [1, 0]),
        (range(2), "number", [0, 1]),
    ],
    ids=repr,
)
def test_one_column(values, kind, found):
    column = tables.column_of("y", values)
    assert (column.name, column.kind, cells(column)) == ("y", kind, found)


def test_objects_that_are_texts_alone_are_the_same_by_pandas_table_of_them(monkeypatch):
    """And what is equal without being the same (1 and True) is never taken for one."""
    cells = [" a", "b", None, np.nan, pandas.NA, "NA", "", np.str_("b"), "a", "\u00fc"]
    for values in (
        pandas.Series(cells, dtype=object),
        pandas.Series(cells, dtype="string"),
        pandas.Series([1, True, "a", 1.0], dtype=object),
        pandas.Series([None, np.nan], dtype=object),
        pandas.Series([1, None, 2.5], dtype=object),
    ):
        fast = tables.column_of("c", values)
        with monkeypatch.context() as without:
            without.setattr("fastmlp.data.tables.frames._texts", lambda name, values: None)
            slow = tables.column_of("c", values)
        assert (fast.kind, fast.words, fast.whole) == (slow.kind, slow.words, slow.whole)
        np.testing.assert_array_equal(fast.values, slow.values)


class _Broken:
    """Something that looks like a frame, and raises what no frame does."""

    columns = ("a",)

    def __init__(self, *names):
        self.names = names

    def __getattr__(self, name):
        if name in self.names:
            return self.fails
        raise KeyError(name) if name in ("iloc", "dtypes") else AttributeError(name)

    def fails(self, *args, **words):
        raise RuntimeError("a connection\nis gone")


@pytest.mark.parametrize("name", ["__dataframe__", "__arrow_c_stream__", "__arrow_c_array__"])
def test_what_only_looks_like_a_frame_is_told_in_a_line(name, data_refused):
    with data_refused("must be a frame that Arrow can read; got a connection is gone"):
        tables.from_frame(_Broken(name))
    assert not tables.is_frame(_Broken())


def test_a_row_by_itself_is_no_table(data_refused):
    """A dict of values, as ``frame.iloc[0].to_dict()`` is."""
    for value in (25, 2.5, None, "Rome", b"x", np.float64(2)):
        with data_refused(
            r"column 'a' of the table must be a list.*, one value. Put it into a list: \[value"
        ):
            tables.from_frame({"a": value, "b": [1]})


def test_columns_may_be_arrays_of_other_libraries():
    class Tensor:
        def __init__(self, values):
            self.values = values

        def __len__(self):
            return len(self.values)

        def __array__(self, dtype=None, copy=None):
            return self.values

        def __iter__(self):
            return (Tensor(value) for value in self.values)  # each a tensor of its own

    table = tables.from_frame({"a": Tensor(np.arange(3.0)), "b": Tensor(np.array([True, False, True]))})
    assert [column.kind for column in table.columns] == ["number", "flag"]
