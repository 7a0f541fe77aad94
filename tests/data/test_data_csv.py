"""CSV: header and label column, line ends, types of value, and what is refused."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pytest

from fastmlp.data import csv, load, read_images
from fastmlp.errors import ConfigError

ROWS = "1,1,2\n0,3,4\n1,5,6\n0,7,8\n1,9,10\n0,11,12\n"


def write(folder, text, name="digits.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def both(data):
    """X and y of both parts together, in the order of the file (whose first feature ascends)."""
    X, y = np.concatenate([data.X, data.X_test]), np.concatenate([data.y, data.y_test])
    order = np.argsort(X[:, 0], kind="stable")
    return X[order].tolist(), [data.classes[i] for i in y[order]]


@pytest.mark.parametrize(
    "text",
    [
        ROWS,
        ROWS.rstrip("\n"),
        ROWS + "\n\n  \n",
        "\n \n" + ROWS,
        ROWS.replace("\n", "\r\n"),
        "\ufeff" + ROWS,
        ROWS.replace(",", " , "),
        ROWS.replace("0,3,4", '"0","3","4"'),
        ROWS.replace("0,3,4", ' "0" ," 3 ",\t"4"'),
        ROWS.replace("1,1,2", "1.0,1.0,2e0"),
        "target,a,b\n" + ROWS,
        "\ufefftarget,a,b\r\n" + ROWS,
        '"target","a, or not","é"\n' + ROWS,
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_one_table_in_many_spellings(tmp_path, text, packed):
    content = gzip.compress(text.encode()) if packed else text
    data = load(write(tmp_path, content, "digits.csv.gz" if packed else "digits.csv"))
    assert data.X.dtype == np.uint8
    assert both(data) == ([[i, i + 1] for i in range(1, 12, 2)], [1, 0] * 3)
    assert data.image_shape is None
    assert data.classes == (0, 1)


@pytest.mark.parametrize("block", [1, 5, 7, 64])
def test_blocks_of_any_size(tmp_path, block):
    path = write(tmp_path, "a,label\r\n\r\n" + "".join(f"{i},{i % 2}\r\n" for i in range(40)))
    for part in (csv.read(path), csv.read(path, block=block)):
        assert (part.X.tolist(), part.y.tolist()) == ([[i] for i in range(40)], [0, 1] * 20)


@pytest.mark.parametrize(
    ("header", "label"),
    [
        ("a,b,label", None),
        ("a,b, Label ", None),
        ("a,b,c", "c"),
        ("a,b,c", 2),
        ("a,b,c", "2"),
        ("a,b,c", -1),
        ("a,label,c", "c"),
        ("0,2,1x", "1x"),
        ("a,label,0", "0"),
        ("0,1,label", None),
        ("0,1,2x", "2x"),
    ],
)
def test_label_column(tmp_path, header, label):
    rows = "".join(f"{i},{i + 1},{i % 2 + 4}\n" for i in range(9))
    data = load(write(tmp_path, f"{header}\n{rows}"), label=label)
    assert both(data) == ([[i, i + 1] for i in range(9)], [i % 2 + 4 for i in range(9)])
    assert data.classes == (4, 5)


@pytest.mark.parametrize("label", ["nothing", "3", 3, -4, "1.5"])
@pytest.mark.parametrize("header", ["", "a,b,c\n"])
def test_label_column_that_is_not_there(tmp_path, data_refused, label, header):
    with data_refused("label column must be in"):
        load(write(tmp_path, header + ROWS), label=label)


def test_label_without_csv(tmp_path):
    np.save(tmp_path / "X.npy", np.eye(3))
    for data in ("synthetic", tmp_path / "X.npy"):
        with pytest.raises(ConfigError, match="label must go with a CSV file"):
            load(data, label="y")


@pytest.mark.parametrize(
    ("cell", "dtype"),
    [("255", "u1"), ("256", "f4"), ("-1", "f4"), ("0.5", "f4"), ("7.0", "u1"), ("1e38", "f4")],
)
def test_types_of_value(tmp_path, cell, dtype):
    data = load(write(tmp_path, ROWS.replace("12", cell)))
    assert data.X.dtype == data.X_test.dtype == np.dtype(dtype)
    assert np.float32(cell) in np.concatenate([data.X, data.X_test])


def test_one_fraction_in_a_late_block(tmp_path):
    part = csv.read(write(tmp_path, ROWS.replace("12", "0.25")), block=8)
    assert part.X.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 0.25]]


def test_square_rows_of_bytes_count_as_pictures(tmp_path):
    lines = [",".join([str(i % 2)] + ["7"] * 64) for i in range(6)]
    assert load(write(tmp_path, "\n".join(lines))).image_shape == (8, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("\n\n \n", "at least one line of numbers"),
        ("label,a\n", "at least one line of numbers"),
        ("\0", "must be text in UTF-8"),
        (ROWS + "\0,1,2\n", r"line 7 of .* got '\\x00' in column 0"),
        ("a\rb\r1\r2\r", "lines of .* must end with"),
        (ROWS + "1,2\r,3\n", r"got '2\\r' in column 1"),
        (ROWS + '1,"3"4,5\n', "line 7 of .* quotes around whole cells"),
        (ROWS + '1,"3""4",5\n', """line 7 of .* got '3"4' in column 1"""),
        (ROWS + '1,"",5\n', "line 7 of .* got '' in column 1"),
        (ROWS + '1,2,3"', "line 7 of .* quotes around whole cells"),
        (ROWS + '"1,2",3\n', "must have 3 columns"),
        ("1.2.3,1\n" + ROWS, "line 1 of .* got '1.2.3' in column 0"),
        ("0\n1\n", "a label column and others"),
        ("label\n1\n", "a label column and others"),
        (ROWS + "1,2\n", "line 7 of .* must have 3 columns, like the first; got 2"),
        (ROWS + "\n\r\n1,2,3,4\n", "line 9 of .* must have 3 columns"),
        ("label,a\n" + ROWS, "line 2 of .* must have 2 columns, like the first; got 3"),
        (ROWS + "1,x,3\n", "line 7 of .* must hold finite numbers; got 'x' in column 1"),
        (ROWS + "1,,3\n", "line 7 of .* got '' in column 1"),
        (",1,2\n" + ROWS, "line 1 of .* got '' in column 0"),
        (ROWS + "1,nan,3\n", "line 7 of .* got 'nan' in column 1"),
        (ROWS + "1,2,-inf\n", "line 7 of .* got '-inf' in column 2"),
        ("1,2,inf\n" + ROWS, "line 1 of .* got 'inf' in column 2"),
        (ROWS + "1,2,1e39\n", "line 7 of .* got '1e39' in column 2"),
        (ROWS + "1,2,1e999\n", "line 7 of .* got '1e999' in column 2"),
        (ROWS + "1,2,1_000\n", "got '1_000'"),
        (ROWS + "1,2,0x10\n", "got '0x10'"),
        (ROWS + "1,2,3j\n", "got '3j'"),
        (ROWS + "1,2,\u0663\n", "must hold finite numbers"),
        (ROWS + "1,2,3;4\n", "got '3;4'"),
        ('0,1,"2\n' + ROWS, "line 1 of .* quotes around whole cells"),
        (ROWS + '1,"2,3"\n', "must have 3 columns"),
        (ROWS + '1,2,"3\n"\n', "line 7 of .* quotes around whole cells"),
        (ROWS + "1.5,2,3\n", "labels in column 0 of .* whole numbers from 0 .*; got 1.5 in line 7"),
        (ROWS + "\n-1,2,3\n", "whole numbers from 0 .*; got -1 in line 8"),
        (ROWS + "1e300,2,3\n", "must"),
        ("0,2,2\n0,3,4\n", "the label 0 alone"),
        ("0,2,2\n1,3,4\n", "two rows"),
        (ROWS.encode("utf-16"), "UTF-16"),
        (ROWS.encode("utf-16-le"), "UTF-16"),
        (ROWS.encode("utf-16-be"), "UTF-16"),
        (ROWS.encode("utf-32"), "UTF-16"),
        (b"\xff\xfe\xfd,1\n1,2\n", "must"),
        (b"label,a\n1,\xff\n", "must hold finite numbers"),
    ],
)
def test_bad_tables(tmp_path, data_refused, text, message):
    with data_refused(message):
        load(write(tmp_path, text))


def test_huge_integers_are_not_wrapped(tmp_path, data_refused):
    data = load(write(tmp_path, ROWS.replace("12", "18446744073709551617")))
    assert np.float32(2**64) in np.concatenate([data.X, data.X_test])
    with data_refused("whole numbers from 0"):
        load(write(tmp_path, ROWS + "18446744073709551617,1,2\n"))


@pytest.mark.filterwarnings("ignore")
def test_huge_integers_are_not_wrapped_where_warnings_are_off(tmp_path):
    data = load(write(tmp_path, ROWS.replace("12", "18446744073709551617")))
    assert np.float32(2**64) in np.concatenate([data.X, data.X_test])


@pytest.mark.parametrize("block", [1, 8, 16])
def test_lines_are_numbered_through_all_blocks(tmp_path, data_refused, block):
    for header in ("", "label,a,b\n\n"):
        first = 7 + header.count("\n")
        with data_refused(f"line {first} of"):
            csv.read(write(tmp_path, header + ROWS + "1,2\n"), block=block)
        with data_refused(f"got 0.5 in line {first}"):
            csv.read(write(tmp_path, header + ROWS + "0.5,1,2\n"), block=block)


def test_memory_is_about_a_byte_a_value(tmp_path):
    path = write(tmp_path, "".join(f"{i % 2}{',7' * 200}\n" for i in range(10_000)))
    tracemalloc.start()
    try:
        assert csv.read(path, block=1 << 16).X.shape == (10_000, 200)
        assert tracemalloc.get_traced_memory()[1] < 4 * 10_000 * 200
    finally:
        tracemalloc.stop()


def test_a_line_and_a_width_have_an_end(tmp_path, monkeypatch, data_refused):
    with data_refused("16,777,216 bytes a line"):
        load(write(tmp_path, "1," * (1 << 23) + "1"))
    with data_refused("1,048,576 columns at most; got 1,048,577"):
        load(write(tmp_path, "1," * (1 << 20) + "1\n"))
    monkeypatch.setattr(csv, "BYTE_BUDGET", 10)
    with data_refused("at most .* 10 in all"):
        load(write(tmp_path, ROWS))


def test_gzip_cut_short(tmp_path, data_refused):
    with data_refused("whole and undamaged"):
        load(write(tmp_path, gzip.compress(ROWS.encode() * 100)[:-12], "digits.csv.gz"))


def test_test_data_of_another_width(tmp_path, data_refused):
    path, other = write(tmp_path, ROWS), write(tmp_path, "0,2\n1,2\n", "other.csv")
    with data_refused("as many features as the training part, 2; got 1"):
        load(path, test_data=other)
    assert len(load(path, test_data=path).X_test) == 6


def test_images_without_labels(tmp_path):
    assert read_images(write(tmp_path, ROWS))[0].shape == (6, 3)
    assert read_images(write(tmp_path, ROWS), label=0)[0].shape == (6, 2)
    assert read_images(write(tmp_path, "a,label,b\n" + ROWS))[0].shape == (6, 2)
    assert read_images(write(tmp_path, "5\n6\n"))[0].shape == (2, 1)
