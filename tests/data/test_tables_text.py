"""Tables as text: separators, headers, ways to write cells, kinds, and what is refused, with its line.

Every file is read with pyarrow and without: both must say the same.
"""

from __future__ import annotations

import gzip

import numpy as np
import pandas
import pytest

from fastmlp.data import load, tables
from fastmlp.data.tables import blocks, gather, rows, text
from fastmlp.data.tables.head import separator_of
from fastmlp.errors import DataError

ARROW = rows.arrow_or_none()


def write(folder, content, name="a.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def plain(table):
    """All of a Table in plain values."""
    return [
        (c.name, c.kind, np.where(c.missing, -99, c.values).tolist(), c.words, c.whole) for c in table.columns
    ], table.lines.tolist()


def read(path, **more):
    table = text.read(path, arrow=ARROW, **more)
    assert plain(table) == plain(text.read(path, **more))
    return table


def cells(column):
    """The cells of a column, None where one is missing."""
    values = column.values.tolist()
    if column.kind == "text":
        values = [(*column.words, None)[value] for value in values]
    return [None if lost else value for value, lost in zip(values, column.missing, strict=True)]


def by_column(table):
    return {column.name: cells(column) for column in table.columns}


ROWS = "Rome,1,2.5\nParis,,4\nRome,5,-6e1\n"
BY_NAME = {"city": ["Rome", "Paris", "Rome"], "n": [1, None, 5], "x": [2.5, 4, -60]}


@pytest.mark.parametrize(
    "content",
    [
        "city,n,x\n" + ROWS,
        "city,n,x\n" + ROWS.rstrip("\n"),
        "\n \ncity,n,x\n\n" + ROWS.replace("\n", "\n\n  \n"),
        ("city,n,x\n" + ROWS).replace("\n", "\r\n"),
        ("city,n,x\n" + ROWS).replace("\n", "\r\r\n"),
        "\ufeffcity,n,x\n" + ROWS,
        ("city,n,x\n" + ROWS).replace(",", " , "),
        ("city,n,x\n" + ROWS).replace(",", ";"),
        ("city,n,x\n" + ROWS).replace(",", ";").replace(".", ","),
        ("city,n,x\n" + ROWS).replace(",", "\t"),
        ("city,n,x\n" + ROWS).replace(",", "\t").replace(".", ","),
        ("city,n,x\n" + ROWS).replace(",", "|"),
        '"city","n","x"\n' + ROWS.replace("Rome", '"Rome"').replace(",,", ',"",'),
        "city,n,x\n" + ROWS.replace("Rome", ' "Rome" ').replace("5,-6e1", '"5" ,\t"-6e1"'),
        "city,n,x\n" + ROWS.replace(",,", ",NA,"),
        "city,n,x\n" + ROWS.replace(",,", ", ? ,"),
        "# city,n,x\n" + ROWS,
        "sep=,\ncity,n,x\n" + ROWS,
        ("sep=,\r\ncity,n,x\n" + ROWS).replace(",", "|"),
        ",city,n,x\n0,Rome,1,2.5\n1,Paris,,4\n2,Rome,5,-6e1\n",
        "Unnamed: 0,city,n,x\n0,Rome,1,2.5\n1,Paris,,4\n2,Rome,5,-6e1\n",
        "city,n,x\nr1,Rome,1,2.5\nr2,Paris,NA,4\nr3,Rome,5,-6e1\n",
        "city,n,x,\nRome,1,2.5,\nParis,,4,\nRome,5,-6e1,\n",
        "city,n,x\nRome,1,2.5,\nParis,,4,\nRome,5,-6e1,\n",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_one_table_in_many_spellings(tmp_path, content, packed):
    raw = content.encode()
    table = read(write(tmp_path, gzip.compress(raw) if packed else raw))
    assert by_column(table) == BY_NAME
    assert [column.kind for column in table.columns] == ["text", "number", "number"]
    assert [column.whole for column in table.columns] == [False, True, False]
    assert table["city"].words == ("Paris", "Rome")


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ("label,0,1,2,3", "label,0,1,2,3"),
        ("5,pixel1,Label,2,7", "5,pixel1,Label,2,7"),
        ("label,1x1,1x2,2x1,2x2", "label,1x1,1x2,2x1,2x2"),
        ("RI,Na,NA,Al,Si", "RI,Na,NA,Al,Si"),
        ("é,%a,b c,d-e,Größe", "é,%a,b c,d-e,Größe"),
        ('"","V1","V2","V3","V4"', "V1,V2,V3,V4"),
        (",0,1,2,3", "0,1,2,3"),
        (",0,1,2,target", "0,1,2,target"),
        ("# label,a,b,c,d", "label,a,b,c,d"),
        ("#,a,b,c,d", "a,b,c,d"),
        ('"a;b","c;d",e,"f|g","say ""h"""', 'a;b,c;d,e,f|g,say "h"'),
        ("5,6,7,8,9", "0,1,2,3,4"),
        ("0,1,2,3,4,5", None),
    ],
)
@pytest.mark.parametrize("quoted", [False, True])
def test_headers_over_numbers(tmp_path, head, names, quoted, data_refused):
    """No row is made of them, and none is lost."""
    width = head.count(",") + 1
    lines = [",".join(f'"{i + k}"' if quoted else str(i + k) for k in range(width)) for i in range(3, 15)]
    path = write(tmp_path, "\n".join([head, *lines]))
    if names is None:
        with data_refused("line 1 of .* must be a row of numbers or a header of names; got 0,1,2.*either"):
            read(path)
        return
    table = read(path)
    assert ",".join(table.names) == names
    assert len(table) == 12 + (head == "5,6,7,8,9")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("review,mood\ngreat film,good\ndull,bad\nfine,good\n", "review,mood"),
        ("great film,good\ndull,bad\nfine,good\n", "0,1"),
        ("5.1,3.5,setosa\n4.9,3,setosa\n6.3,3.3,virginica\n", "0,1,2"),
        ("5.1,?,setosa\n4.9,3,setosa\n6.3,3.3,virginica\n", "0,1,2"),
        ("length,width,setosa\n4.9,3,setosa\n6.3,3.3,virginica\n", "length,width,setosa"),
        ("day,ok\n2024-01-01,true\n2024-01-02,false\n", "day,ok"),
        ("2024-01-01,true\n2024-01-02,false\n", "0,1"),
        ("country,2019,2020,2021\nItaly,1.5,2,3\nSpain,4,5,6\n", "country,2019,2020,2021"),
        ("y\nn\ny\n", "0"),
        ("answer\nn\ny\n", "answer"),
        ("only\n\n1\n\n2\n", "only"),
    ],
)
def test_headers_over_text(tmp_path, content, names):
    assert ",".join(read(write(tmp_path, content)).names) == names


def test_a_header_that_nothing_but_text_speaks_for_is_told(tmp_path):
    table = read(write(tmp_path, "review,mood\ngreat film,good\ndull,bad\n"))
    assert table.told == ("its first line, 'review' to 'mood', read as a header",)
    assert read(write(tmp_path, "5,6\n7,8\n")).told == ("no header: columns 0, 1, ...",)
    assert read(write(tmp_path, ";a;b\n0;1;2\n")).told == (
        "fields separated by semicolons",
        "row numbers in the unnamed first column left out",
    )


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("sep", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_frame_through_pandas(tmp_path, index, sep, end):
    g = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "x": g.normal(size=30).round(3),
            "n": g.integers(0, 9, 30),
            "city": g.choice(["Rome", "a, b", 'the "c"', "New\nYork"], 30),
            "ok": g.random(30) < 0.5,
            "day": pandas.date_range("2024-01-30", periods=30),
        }
    ).sample(frac=1, random_state=0)
    frame.loc[frame.index[3], ["x", "city"]] = None
    path = tmp_path / "a.csv"
    frame.to_csv(path, index=index, sep=sep, lineterminator=end)
    table = read(path)
    again = tables.from_frame(frame)
    assert table.names == again.names
    for ours, theirs in zip(table.columns, again.columns, strict=True):
        assert (ours.kind, cells(ours), ours.whole) == (theirs.kind, cells(theirs), theirs.whole)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("1,234|2,345,678|3", [1234, 2345678, 3]),
        ("1,234.5|0.25|3", [1234.5, 0.25, 3]),
        ("1.234,5|0,25|3", [1234.5, 0.25, 3]),
        ("1 234|5|-12 345 678", [1234, 5, -12345678]),
        ("1\u00a0234,5|5|6", [1234.5, 5, 6]),
        ("1'234.5|5|6", [1234.5, 5, 6]),
        ("1,5|2,25|3", [1.5, 2.25, 3]),
        ("+1|.5|2.", [1, 0.5, 2]),
        ("1e3|1E-2|-0", [1000, 0.01, 0]),
        ("9007199254740993|1|2", [9007199254740992, 1, 2]),
        ("18446744073709551617|1|2", [2.0**64, 1, 2]),
        ("007|08|9", [7, 8, 9]),
    ],
)
def test_ways_to_write_numbers(tmp_path, words, values):
    content = "a,b\n" + "".join(f'"{word}",x\n' for word in words.split("|"))
    column = read(write(tmp_path, content))["a"]
    assert (column.kind, column.values.tolist()) == ("number", values)


@pytest.mark.parametrize(("sep", "value"), [(",", 1234), (";", 1.234), ("\t", 1.234)])
def test_a_comma_is_what_the_separator_leaves_it_to_be(tmp_path, sep, value):
    table = read(write(tmp_path, f'a{sep}b\n"1,234"{sep}x\n"5,678"{sep}y\n'))
    assert table["a"].values[0] == value
    assert table.told[-1] in ("commas between thousands in 'a'", "decimal commas in 'a'")


@pytest.mark.parametrize(
    ("words", "kind", "values"),
    [
        ("true|False|TRUE", "flag", [1, 0, 1]),
        ("yes|no|YES", "flag", [1, 0, 1]),
        ("t|F|?", "flag", [1, 0, None]),
        ("true|no|yes", "text", ["true", "no", "yes"]),
        ("true|1|0", "text", ["true", "1", "0"]),
        ("1|0|1", "number", [1, 0, 1]),
        ("2024-02-29|1970-01-01|1969-12-31", "time", [19782, 0, -1]),
        ("2024-02-29T12:00|1970-01-01 06:00:00|", "time", [19782.5, 0.25, None]),
        ("1970-01-02T00:00:00Z|1970-01-02T00:00+12:00|NaT", "time", [1, 0.5, None]),
        ("2024-02-30|1970-01-01|", "text", ["2024-02-30", "1970-01-01", None]),
        ("NA|n/a|None", "number", [None, None, None]),
        ("<NA>|#N/A|nan", "number", [None, None, None]),
        ("-|.|--", "number", [None, None, None]),
        ("=1+1|@x|-cmd", "text", ["=1+1", "@x", "-cmd"]),
        ("50%|60%|70%", "text", ["50%", "60%", "70%"]),
        ("0x10|1_0|３", "text", ["0x10", "1_0", "３"]),
        ("1|x|2", "text", ["1", "x", "2"]),
        ("001|A1|02", "text", ["001", "A1", "02"]),
    ],
)
def test_kinds(tmp_path, words, kind, values):
    content = "a,b\n" + "".join(f"{word},5\n" for word in words.split("|"))
    column = read(write(tmp_path, content))["a"]
    assert (column.kind, cells(column)) == (kind, values)
    assert kind == "flag" or list(column.words) == sorted(column.words)


def test_flags_keep_their_words(tmp_path):
    table = read(write(tmp_path, "a,b,c\nyes,TRUE,f\nno,false,f\nYes,True,f\n"))
    assert [column.words for column in table.columns] == [("no", "Yes"), ("false", "TRUE"), ("f", "t")]


@pytest.mark.parametrize("size", [30, 1 << 20])
@pytest.mark.parametrize("late", [False, True])
def test_words_that_come_late_make_a_column_of_text(tmp_path, size, late):
    """The numbers before are as they were written: the column is gathered again."""
    lines = [f"{i:03},1.{i:03}" for i in range(40)]
    lines[30 * late : 30 * late + 8] = [f"A{i},2.000.{i:03}" for i in range(8)]
    table = read(write(tmp_path, "a;b\n" + "\n".join(lines).replace(",", ";")), size=size)
    assert cells(table["a"])[9] == "009"
    assert table["b"].values[10] == 1010  # points stand between thousands, as a later line shows
    assert table.told[-1] == "points between thousands and decimal commas in 'b'"


@pytest.mark.parametrize("number", ["1,234", "1 234.5", "1.234,5", "3"])
def test_a_fault_among_numbers_of_another_style(tmp_path, data_refused, number):
    path = write(tmp_path, "a,b\n" + f'"{number}",x\n' * 30 + "oops,y\n")
    with data_refused("line 32 of .* must hold a number in column 'a'.*; got 'oops'"):
        read(path)


@pytest.mark.parametrize("size", [20, 1 << 20])
@pytest.mark.parametrize("bad", ["x", "inf", "1e999", "1_000", "0x10", "12a", "５", "1 2"])
def test_a_few_cells_that_are_no_numbers_are_faults(tmp_path, data_refused, size, bad):
    lines = [f"{i},{i}.5" for i in range(30)]
    lines[20] = f'20,"{bad}"'
    path = write(tmp_path, "a,b\n\n" + "\n".join(lines))
    with data_refused(f"line 23 of .* must hold a number in column 'b', as nearly all.*; got '{bad}'"):
        read(path, size=size)
    with data_refused("as_category"):
        read(path, size=size)
    assert read(path, size=size, kinds={"b": "text"})["b"].words[0] == "0.5"
    assert read(path, size=size, kinds={"a": "number"})["b"].kind == "text"  # nobody may need it


@pytest.mark.parametrize(
    ("kind", "good", "bad", "must"),
    [
        ("number", "1|2.5|1,000|?", "x", "a number in column 'a', as in training; got 'x'"),
        ("flag", "1|0|yes|F", "2", "true or false in column 'a', as in training; got '2'"),
        (
            "time",
            "2024-01-01|1970-01-01||?",
            "1.5",
            "a date such as 2024-12-31 in column 'a', as in training",
        ),
    ],
)
def test_kinds_that_are_known(tmp_path, data_refused, kind, good, bad, must):
    words = good.split("|")
    content = "a;b\n" + "".join(f"{word};x\n" for word in words)
    assert read(write(tmp_path, content), kinds={"a": kind})["a"].kind == kind
    with data_refused(f"line {len(words) + 2} of .* must hold {must}"):
        read(write(tmp_path, content + f"{bad};x\n"), kinds={"a": kind})
    as_text = read(write(tmp_path, content), kinds={"a": "text"})["a"]
    assert as_text.kind == "text"
    assert cells(as_text) == [None if word in ("", "?") else word for word in words]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "an empty file"),
        ("\n\n \n", "at least one row"),
        ("label,a\n", "at least one row; got a header alone"),
        ("\0", "must be text in UTF-8"),
        (b"PAR1\x15\x04", "must be text; got Parquet"),
        ("a,b\n" + "x,1\n" * 5000 + "\0,1\n", "line 5002 of .* must be text; got the byte 0"),
        ("a\rb\r1\r2\r", "lines of .* must end with"),
        ("a,b\rc,d\r", "lines of .* must end with"),
        ("a,b\n1,x\n2\n", "line 3 of .* must have 2 columns, like the first; got 1"),
        ("a,b\n1,x\n\n2,y,z\n", "line 4 of .* must have 2 columns, like the first; got 3"),
        ('a,b\n1,"x\ny"\n2,y,z\n', "line 4 of .* must have 2 columns"),
        ("a,b\n" + "1,x\n" * 300 + "2,y,z\n", "line 302 of .* must have 2 columns"),
        ('a,b\n1,"x\n', "line 2 of .* quotes around whole cells only, that close"),
        ('a,b\n1,x\n2,"3"4\n3,"5"\n', "line 3 of .* quotes around whole cells only"),
        ('a,b\n1,x\n2,"3"4"\n3,5\n', "line 3 of .* quotes around whole cells only"),
        ('a,b\n1,"x\n' + "2,y\n" * 100, "line 2 of .* quotes"),
        ("a,b,a\n1,2,3\n", "line 1 of .* different names; got 'a' in column 0 and column 2"),
        ("\n,a,b,a\n1,1,2,3\n", "line 2 of .* different names; got 'a' in column 1 and column 3"),
        ("a,,c\n1,2,3\n", "line 1 of .* every column a name; got none in column 1"),
        ("a,b,\n1,2,3\n", "line 1 of .* every column a name; got none in column 2"),
        ("a,b,\n" + "1,2,\n" * 300 + "1,2,3\n", "line 302 of .* must be empty in its last column"),
        ("1 2 3\n4 5 6\n", "separated by commas, semicolons, tabs or bars; got one column, '4 5 6'"),
        ("a b class\n4 5 x\n", "separated by commas"),
        (
            '"a" "b"\n"x 1" 5\n',
            "cells between commas, semicolons, tabs or bars, and quotes around whole cells",
        ),
        ("sep=;\na;b\n1;x;5\n2;y\n", "line 3 of .* must have 2 columns"),
        (
            "a,b\n1,é\n".encode("latin-1"),
            "line 2 of .* UTF-8; got the byte 0xe9. Save it as UTF-8: it may be in Latin",
        ),
        ("é,b\n1,2\n".encode("latin-1"), "line 1 of .* UTF-8; got the byte 0xe9"),
        ("a,b\n1,x\n".encode("utf-16"), "UTF-16"),
        ("a,b\n1,x\n".encode("utf-16-le"), "UTF-16"),
        ("a,b\n1,x\n".encode("utf-32-be"), "UTF-16"),
        (gzip.compress(b"a,b\n1,x\n" * 99)[:-12], "whole and undamaged"),
        ("1,x,3\n4,5,6\n7,8,9\n", "line 1 of .* a row .* got 'x' in column 1, and numbers beside it"),
        (
            "a,b\n" + "1," + "x" * 200_000 + "\n",
            "line 2 of .* cells of at most 131,072 characters; got 200,000",
        ),
        ("a,b\n" + "1," + '"' + "x" * 200_000 + '"\n', "line 2 of .* cells of at most 131,072"),
    ],
)
def test_bad_tables(tmp_path, data_refused, content, message):
    path = write(tmp_path, content)
    for arrow in (None, ARROW):
        for size in (64, 1 << 22):
            with data_refused(message):
                text.read(path, arrow=arrow, size=size)


@pytest.mark.slow
def test_widths_and_sizes_have_an_end(tmp_path, monkeypatch, data_refused):
    with data_refused("at most 100,000 columns; got more"):
        read(write(tmp_path, "1," * 1_000_000 + "1\n" * 3))
    monkeypatch.setattr(blocks, "MOST_RECORD", 1 << 20)
    monkeypatch.setattr(blocks, "BLOCK", 1 << 18)
    with data_refused("line 2 of .* must be at most 1,048,576 bytes"):
        read(write(tmp_path, b"a,b\n1," + b"x" * (2 << 20)))
    with data_refused("line 2 of .* in quotes that do not close"):
        read(write(tmp_path, b'a,b\n1,"' + b"x,1\n" * (1 << 20)))
    monkeypatch.setattr(gather, "BYTE_BUDGET", 800)
    with data_refused("at most 100 cells; got more, in 2 columns"):
        read(write(tmp_path, "a,b\n" + "1,x\n" * 51))
    monkeypatch.setattr(blocks, "BYTE_BUDGET", 50)
    with data_refused("at most 50 bytes"):
        read(write(tmp_path, "a,b\n" + "1,x\n" * 51))


@pytest.mark.slow
def test_a_header_of_megabytes(tmp_path):
    names = [f"a name of {'some' * 20} length {i}" for i in range(30_000)]
    path = write(tmp_path, ",".join(names) + "\n" + ("1," * 30_000)[:-1] + "\n")
    assert path.stat().st_size > blocks.BLOCK
    assert text.read(path).shape == (1, 30_000)


def test_a_bomb_of_gzip_ends(tmp_path, monkeypatch, data_refused):
    monkeypatch.setattr(blocks, "BYTE_BUDGET", 1 << 20)
    with data_refused("at most 1,048,576 bytes"):
        read(write(tmp_path, gzip.compress(b"a,b\n" + b"1,x\n" * (1 << 20))))


def test_quotes_within_unquoted_cells_are_letters(tmp_path):
    table = read(write(tmp_path, 'a,b\n1,5" pipe\n2,3/4" pipe\n3,"six"\n4,x""y\n'))
    assert cells(table["b"]) == ['5" pipe', '3/4" pipe', "six", 'x""y']


@pytest.mark.parametrize(
    ("lines", "separator"),
    [
        ("1,2,3", ","),
        ("5", ","),
        ("1;2;3", ";"),
        ("1\t2\t3", "\t"),
        ("1,5;2,5;0", ";"),
        ("1,5\t2,5\t0", "\t"),
        ("1,2\n1,5", ","),
        ("a;b;c", ";"),
        ("a;b,c,d\n1,2,3", ","),
        ("a, in cm;b, in cm\n1,5;2,5", ";"),
        ('"a;b;c;d",e\n"1",2', ","),
        ('"a,b,c,d";e\n"1";"2"', ";"),
        ("a|b\n1,5|x\n2,5|y", "|"),
        ("title,tags\nHeat,crime|drama\nUp,comedy", ","),
        ("name;note\nAl;one, two\nBo;three, four, five", ";"),
    ],
)
def test_separators(lines, separator):
    assert separator_of(lines) == separator


def test_what_is_a_table_file(tmp_path):
    for name in ("a.csv", "a.CSV.gz", "a.tsv", "a.tab", "a.data", "a.parquet", "a.feather", "a.arrow"):
        assert tables.is_table_file(tmp_path / name)
    assert tables.is_table_file(write(tmp_path, "a\tb\n1\tx\n", "a.txt"))
    assert not tables.is_table_file(write(tmp_path, "Dear all,\n\nhow are you?\n", "b.txt"))
    for name in ("a.idx", "a", "a.npy", "train-images-idx3-ubyte.gz"):
        assert not tables.is_table_file(tmp_path / name)


def test_refusals_are_errors_of_data(tmp_path):
    with pytest.raises(DataError, match="must exist"):
        tables.read(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="must be a file"):
        tables.read(write_folder(tmp_path))


def write_folder(folder):
    (folder / "a.csv").mkdir()
    return folder / "a.csv"


@pytest.mark.parametrize("choice", [{"as_category": "code"}, {"drop": ["code"]}])
def test_a_column_that_is_no_quantity_may_hold_anything(tmp_path, data_refused, choice):
    lines = [f"{i},{i % 7},{'yes' if i % 2 else 'no'}" for i in range(60)]
    path = write(tmp_path, "code,x,class\n" + "\n".join(lines) + "\nA5,3,no\n")
    with data_refused("line 62 of .* must hold a number in column 'code'.*; got 'A5'.*as_category"):
        load(path)
    assert load(path, **choice, hold_out=False).X["code"].kind == "text"


@pytest.mark.slow
def test_too_many_columns_are_not_counted_in_part(tmp_path, data_refused):
    with data_refused("at most 100,000 columns; got more"):
        tables.read(
            write(tmp_path, ",".join(f"c{i}" for i in range(400_000)) + "\n" + "1," * 399_999 + "1\n")
        )
