"""CSV's first line: header or row, separator and label column, as programs write them and wrong ones."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pandas
import pytest

from fastmlp.data import csv, load, read_images
from fastmlp.data.csv.line import cells_of, separator_of

g = np.random.default_rng(0)
LABELS = np.arange(12) % 3
WHOLE = np.column_stack([LABELS, g.integers(0, 99, (12, 4))])
FLOATS = WHOLE + np.array([0, 0.5, 0.25, 0.5, 0.125])
WIDE = np.column_stack([LABELS, g.integers(0, 255, (12, 9))])
NAMES = ["label", "width", "height", "depth", "weight"]


def write(folder, text, name="a.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path, label=None, **more):
    part = csv.read(path, label, **more)
    return np.column_stack([part.y, part.X])


@pytest.mark.parametrize("table", [WIDE, FLOATS, WIDE.astype(float)])
@pytest.mark.parametrize("index", [True, False])
def test_an_array_through_pandas(tmp_path, table, index):
    """Its header counts the columns, from 0; before it stands one without a name."""
    path = write(tmp_path, pandas.DataFrame(table).to_csv(index=index))
    np.testing.assert_array_equal(read(path), table)
    assert read_images(path)[0].shape == table.shape
    source = load(path).source
    if index:
        assert "row numbers in the unnamed first column left out" in source
    assert f"its first line, 0 to {table.shape[1] - 1}, read as a header" in source


@pytest.mark.parametrize("columns", range(1, 8))
def test_a_short_count_may_be_a_header_or_a_row(tmp_path, data_refused, columns):
    path = write(tmp_path, pandas.DataFrame(WIDE[:, :columns]).to_csv(index=False))
    with data_refused("line 1 of .* must be a row of numbers or a header of names; got 0.* may be either"):
        read_images(path)
    if columns > 1:
        with data_refused("may be either. Remove the line if it is a header"):
            load(path)
        np.testing.assert_array_equal(
            read(write(tmp_path, path.read_bytes().split(b"\n", 1)[1])), WIDE[:, :columns]
        )


def test_a_count_from_one(tmp_path):
    numbers = "\n".join(",".join(map(str, row)) for row in WIDE)
    np.testing.assert_array_equal(read(write(tmp_path, "1,2,3,4,5,6,7,8,9,10\n" + numbers)), WIDE)
    assert read(write(tmp_path, "1,2,3\n0,5,6\n")).tolist() == [[1, 2, 3], [0, 5, 6]]
    assert len(read(write(tmp_path, "0,1,2,3,4,5,6,7,8,10\n" + numbers))) == 13
    assert len(read(write(tmp_path, "0.0,1,2,3,4,5,6,7,8,9\n" + numbers))) == 13


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("sep", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n"])
def test_a_frame_through_pandas(tmp_path, index, packed, sep, end):
    """Its index too where it was shuffled, as train_test_split leaves it."""
    frame = pandas.DataFrame(FLOATS, columns=NAMES).sample(frac=1, random_state=0)
    text = frame.to_csv(index=index, sep=sep, lineterminator=end).encode("utf-8-sig")
    path = write(tmp_path, gzip.compress(text) if packed else text, "a.csv.gz" if packed else "a.csv")
    np.testing.assert_array_equal(read(path), frame.to_numpy())
    np.testing.assert_array_equal(read_images(path)[0], frame.to_numpy()[:, 1:].astype(np.float32))
    again = pandas.read_csv(io.BytesIO(text), sep=sep).to_csv(index=index, sep=sep)  # ,Unnamed: 0,label,...
    np.testing.assert_array_equal(read(write(tmp_path, again)), frame.to_numpy())
    source = load(path).source
    assert ("left out" in source) == index
    assert ("fields separated by" in source) == (sep != ",")
    assert {";": "semicolons", "\t": "tabs"}.get(sep, "") in source


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_files_of_tabs_by_their_name(tmp_path, name):
    text = pandas.DataFrame(FLOATS, columns=NAMES).to_csv(index=False, sep="\t").encode()
    path = write(tmp_path, gzip.compress(text) if name.endswith("gz") else text, name)
    assert load(path, label="label").source.startswith(f"{path} (fields separated by tabs), a sixth")


@pytest.mark.parametrize(
    "header",
    [
        "label,0,1,2,3",
        "0,1,2,label,3",
        "5,pixel1,Label,2,7",
        "label,1x1,1x2,2x1,2x2",
        "RI,Na,Mg,Al,Si",
        "é,%a,b c,d-e,Größe",
        "c,a,b,b,a",
        '"","V1","V2","V3","V4"',
        ",0,1,2,3",
        ",0,1,2,target",
        "Unnamed: 0,0,1,2,3",
        "# label,a,b,c,d",
        "#,a,b,c,d",
        '"a;b","c;d",e,"f, g","say ""h"""',
        "NA,none,null,x,inf_rate",
    ],
)
@pytest.mark.parametrize("quoted", [False, True])
def test_headers(tmp_path, header, quoted):
    """No row is made of them, and none is lost; what counts rows is no feature."""
    rows = [",".join(f'"{x}"' if quoted else str(x) for x in row) for row in WHOLE]
    path = write(tmp_path, "\n".join([header, *rows]))
    assert len(csv.read(path).y) == 12
    named = header.startswith((",", '""', "#,", "Unnamed"))
    assert csv.read(path).X.shape[1] == (3 if named else 4)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,N/A,3", "got 'N/A' in column 1"),
        ("1,NA,3", "got 'NA' in column 1"),
        ("N/A,n/a,nan", "got 'N/A' in column 0"),
        ("NA,NA,NA", "got 'NA' in column 0"),
        ("1,x,3", "got 'x' in column 1, and numbers beside it.*label column's name"),
        ("x,2,3", "got 'x' in column 0"),
        ("a,b,3", "got 'a' in column 0"),
        ('1,"1,000",3', "got '1,000' in column 1. Write numbers with a decimal point"),
        ('"1,000","2,000","3,000"', "got '1,000' in column 0"),
        ("50%,60%,70%", "got '50%' in column 0"),
        ("2020-01-01,2,3", "got '2020-01-01' in column 0"),
        ("１,２,３", "got '１' in column 0"),
        ("1_000,2,3", "got '1_000' in column 0"),
        ("0x10,2,3", "got '0x10' in column 0"),
        ("1,2,", "got '' in column 2"),
        (",1,2", "got '' in column 0"),
        (",2,0", "got '' in column 0"),
        (",,", "got '' in column 0"),
        ("a,,c", "a name with a letter in it.*; got '' in column 1"),
        ('a,"1,000",c', "a name with a letter in it.*; got '1,000' in column 1"),
        ("a,b,n/a", "a name with a letter in it.*; got 'n/a' in column 2"),
        ("a,b,", "a name with a letter in it.*; got '' in column 2"),
        ('a"b,c,d', "quotes around whole cells"),
        ('"a\nb",c,d', "quotes around whole cells"),
        ("a,label,label", "only one of its name; got 'label' in column 1 and 'label' in column 2"),
        ("a,label, Label ", "only one of its name; got 'label' in column 1 and 'Label' in column 2"),
        ("kind,a,kind", "only one of its name; got 'kind' in column 0 and 'kind' in column 2"),
        ("a,b,c\r", "line 1 of .* must have|columns, like the first"),
    ],
)
def test_first_lines_that_are_refused(tmp_path, data_refused, row, message):
    """With the number of the line and the column."""
    path = write(tmp_path, f"\n{row}\n1,2,3\n0,5,6\n1,8,9\n" + "1,2\n" * row.endswith("\r"))
    with data_refused(message):
        load(path)


@pytest.mark.parametrize("row", ["1,x,3", "a,label,label", '"1,000",2,3', "x,0,1", "N/A,1,2", '1,"2"3,4'])
def test_images_are_refused_for_the_same(tmp_path, data_refused, row):
    with data_refused("must"):
        read_images(write(tmp_path, f"{row}\n1,2,3\n0,5,6\n"))


def test_a_name_that_is_given_makes_a_header(tmp_path, data_refused):
    path = write(tmp_path, "x,0,1\n5,6,0\n7,8,1\n9,1,0\n")
    assert read(path, "x").tolist() == [[5, 6, 0], [7, 8, 1], [9, 1, 0]]
    with data_refused("line 1 of .* must be a row of numbers or a header"):
        read(path, 2)
    path = write(tmp_path, "label,0,1\n5,6,0\n7,8,1\n")
    assert read(path, "0").tolist() == [[6, 5, 0], [8, 7, 1]]
    assert read(path, 0).tolist() == [[5, 6, 0], [7, 8, 1]]  # an int is always an index
    assert read(path, np.int64(-1)).tolist() == [[0, 5, 6], [1, 7, 8]]


def test_the_default_label_is_the_first_column_with_a_name(tmp_path):
    path = write(tmp_path, ",kind,a\n7,1,5\n8,0,6\n9,1,4\n")
    assert read(path).tolist() == [[1, 5], [0, 6], [1, 4]]
    assert read(path, 0).tolist() == [[7, 1, 5], [8, 0, 6], [9, 1, 4]]
    assert read(path, 2).tolist() == [[5, 1], [6, 0], [4, 1]]
    assert "left out" not in csv.read(path, 0).told


@pytest.mark.parametrize(
    ("lines", "separator"),
    [
        (["1,2,3"], ","),
        (["5"], ","),
        (["1;2;3"], ";"),
        (["1\t2\t3"], "\t"),
        (["1,5;2,5;0"], ";"),
        (["1,5\t2,5\t0"], "\t"),
        (["1,2", "1,5"], ","),
        (["1\t,2\t,3\t"], ","),
        (["1 ;\t2 ;\t3"], ";"),
        (["a;b;c"], ";"),
        (["a;b,c,d", "1,2,3"], ","),
        (["a, in cm;b, in cm", "1,5;2,5"], ";"),
        (['"a;b;c;d",e', '"1",2'], ","),
        (['"a,b,c,d";e', '"1";"2"'], ";"),
        (["1;2;3", '1;"2'], ";"),
    ],
)
def test_separators(lines, separator):
    assert separator_of(lines) == separator


def test_cells():
    assert cells_of('a, "b ""c"", d" ,e', ",") == ["a", 'b "c", d', "e"]
    assert cells_of('"a";b\t', ";") == ["a", "b"]
    assert cells_of(' "a"\t\t b ', "\t") == ["a", "", "b"]
    for line in ('"', 'a"', '"a"b', '"a', 'a"b"', '"a""', '"a" "b"'):
        assert cells_of(f"1,{line}", ",") is None
        assert cells_of(f"{line},1", ",") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,5;2;0\n3;4,5;1\n", "line 1 of .* got '1,5' in column 0. Write numbers with a decimal point"),
        ("a;b;label\n1;2;0\n3;4,5;1\n", r"line 3 of .* got '4,5' in column 1 \('b'\). Write numbers with"),
        ("a\tlabel\n2,5\t0\n", "line 2 of .* got '2,5' in column 0"),
        ("1 2 3\n4 5 6\n", "separated by commas, semicolons or tabs; got one column, '4 5 6'"),
        ("a b label\n4 5 6\n", "separated by commas, semicolons or tabs; got one column, '4 5 6'"),
        ("1|2|3\n4|5|6\n", "separated by commas, semicolons or tabs; got one column"),
        ("1;2;3\n4,5,6\n", "line 1 of .* must have 3 columns|must"),
        ("1;2;3\n4;5;6\n7,8,9\n", "line 3 of .* must have 3 columns"),
        ("1\t2\n3\t4\n\t\n", "line 3 of .* got '' in column 0"),
    ],
)
def test_separators_that_are_refused(tmp_path, data_refused, text, message):
    with data_refused(message):
        load(write(tmp_path, text))


def test_images_between_spaces(tmp_path, data_refused):
    for header in ("", "a b c\n"):
        with data_refused("must have columns, separated by commas, semicolons or tabs"):
            read_images(write(tmp_path, header + "1 2 3\n4 5 6\n"))
    assert read_images(write(tmp_path, "two words\n5\n6\n"))[0].tolist() == [[5], [6]]


@pytest.mark.parametrize(
    ("header", "label", "message"),
    [
        ("lable,a,b", "label", "has the columns 'lable', 'a', 'b'; got 'label'. Did you mean 'lable'"),
        ("a,Target,b", "target", "Did you mean 'Target'"),
        ("a,b,c", "kind", "got 'kind'. Name one of its columns, or give an index from 0 to 2"),
        ("a,b,c", 3, "got 3. Name one"),
        ("a,b,c", "-4", "got '-4'"),
        ("a,b,c", "１", "got '１'"),
        ("a,b,c", "", "got ''. Name one"),
        ("a,b,c", "9" * 5_000, "got '999"),
        ("a,b,c", "a\nb\x1b[31m", "a"),
        ("", "kind", "which has 3 columns without names; got 'kind'. Give an index from 0 to 2"),
        ("", 3, "which has 3 columns without names; got 3. Give an index from 0 to 2"),
    ],
)
def test_a_wrong_label(tmp_path, data_refused, header, label, message):
    for read in (load, read_images):
        with data_refused(f"the label column must be in .*{message}"):
            read(write(tmp_path, f"{header}\n7,5,6\n8,8,9\n"), label=label)


def test_a_wrong_label_among_many(tmp_path, data_refused):
    names = ["label", *(f"pixel{i}" for i in range(784))]
    path = write(tmp_path, f"{','.join(names)}\n{'1,' * 784}1\n")
    with data_refused(
        "columns 'label', 'pixel0', .* 'pixel6', ..., 'pixel783'; got 'lable'. Did you mean 'label'"
    ):
        load(path, label="lable")
    path = write(tmp_path, f"{'a' * 5_000},{'b' * 5_000}\n1,2\n")
    with data_refused("columns 'aaaaaaaaaaaaaaaaaaaa...', 'b"):
        load(path, label="c")


def test_labels_that_no_float_tells_apart(tmp_path, data_refused):
    near = [2**53 - 1, 2**53 - 2]
    for first in ("7", "7.5"):
        data = csv.read(write(tmp_path, f"{near[0]},{first}\n{near[1]},8\n"))
        assert data.y.astype(np.int64).tolist() == near
        for bad in (2**53, 2**53 + 1, 2**63, 10**30):
            with data_refused(rf"whole numbers from 0 \(below 2\*\*53\); got {bad} in line 2"):
                csv.read(write(tmp_path, f"3,{first}\n{bad},5\n"))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.float64])
def test_labels_of_arrays_that_no_float_tells_apart(tmp_path, data_refused, dtype):
    X = np.arange(8).reshape(4, 2)
    for y in ([2**53, 2**53 + 1] * 2, [2**53] * 4, [2**53 + 2, 1, 2, 1]):
        np.savez(tmp_path / "a.npz", X=X, y=np.array(y, dtype))
        np.save(tmp_path / "X.npy", X)
        np.save(tmp_path / "y.npy", np.array(y, dtype))
        for name in ("a.npz", "X.npy"):
            with data_refused("whole numbers from 0"):
                load(tmp_path / name)
    np.savez(tmp_path / "a.npz", X=X, y=np.array([2**53 - 1, 2**53 - 2] * 2, dtype))
    assert load(tmp_path / "a.npz").classes == (2**53 - 2, 2**53 - 1)


def test_a_test_file_of_other_columns(tmp_path, data_refused):
    train = write(tmp_path, "label,a,b\n1,2,3\n0,5,6\n1,8,9\n")
    for header, sep in (("label;a;b", ";"), ("label,a,b", ","), (",label,a,b", ","), ("5,5,5", ",")):
        row = sep.join("1111"[: header.count(sep) + 1])
        test = write(tmp_path, f"{header}\n{row}\n".replace("5,5,5", "1,5,5"), "test.csv")
        data = load(train, test_data=test)
        assert data.X_test.shape[1] == 2
        assert ("semicolons" in data.source) == (sep == ";")
        assert ("left out" in data.source) == header.startswith(",")
    for header, place in (
        ("label,b,a", "'b' as feature 0, in the place of 'a'"),
        ("a,b,label", ""),
        ("label,a,B", "'B'"),
    ):
        test = write(tmp_path, f"{header}\n1,1,1\n", "test.csv")
        if place:
            with data_refused(f"same feature columns as the training part, in the same order; got {place}"):
                load(train, test_data=test)
        else:
            assert load(train, test_data=test).X_test.tolist() == [[1, 1]]


@pytest.mark.parametrize("block", [1, 16])
def test_two_lines_are_seen_whatever_the_block(tmp_path, block):
    text = "\ufeff \n\n" + pandas.DataFrame(FLOATS).to_csv(sep=";").replace("\n", "\r\n\r\n")
    np.testing.assert_array_equal(read(write(tmp_path, text), block=block), FLOATS)
