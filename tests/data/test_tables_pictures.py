"""Pictures as text, which stay bytes; and archives of columns, which are tables."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pytest

from fastmlp.data import load, read_images, read_test, tables
from fastmlp.data.table import Table
from fastmlp.data.tables import pictures, rows

g = np.random.default_rng(0)
X = g.integers(0, 256, (30, 64))
Y = np.arange(30) % 3


def write(folder, y=Y, x=X, names=True, at=0, sep=",", quote="", end="\n", name="a.csv"):
    """A file of pictures, the labels in column ``at``, None: without them."""
    table = x if at is None else np.insert(x.astype(object), at, y, axis=1)
    lines = [sep.join(f"{quote}{value}{quote}" for value in row) for row in table]
    if names:
        pixels = [f"pixel{i}" for i in range(x.shape[1])]
        lines.insert(0, sep.join(pixels if at is None else [*pixels[:at], "label", *pixels[at:]]))
    content = end.join([*lines, ""]).encode()
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"names": False},
        {"at": 64},
        {"at": 5, "sep": ";"},
        {"sep": "\t", "end": "\r\n", "name": "a.tsv"},
        {"quote": '"', "name": "a.csv.gz"},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [300, 1 << 20])
def test_pictures_are_bytes(tmp_path, more, size):
    path = write(tmp_path, **more)
    found = pictures.read(path, size=size)
    assert found.X.dtype == np.uint8
    assert found.X.tolist() == X.tolist()
    assert found.y.tolist() == Y.tolist()
    data = load(path)
    assert data.X.dtype == data.X_test.dtype == np.uint8
    assert data.image_shape == (8, 8)
    assert data.classes == (0, 1, 2)
    assert read_images(path)[0].tolist() == X.tolist()
    assert [part.tolist() for part in read_test(path)] == [X.tolist(), Y.tolist()]


def test_pictures_without_labels(tmp_path):
    path = write(tmp_path, at=None)
    assert tables.read_pictures(path).y is None
    found, shape = read_images(path)
    assert (found.tolist(), shape) == (X.tolist(), (8, 8))
    assert isinstance(load(path).X, Table)  # its label is the last column, as of any table


@pytest.mark.parametrize("label", ["label", 64, -1, "64"])
def test_the_label_that_is_named(tmp_path, label):
    path = write(tmp_path, at=64)
    assert pictures.read(path, label).y.tolist() == Y.tolist()
    assert tables.read_pictures(path, "no such") is None
    assert tables.read_pictures(path, 65) is None


@pytest.mark.parametrize(
    "change",
    [
        {"x": X[:, :49]},
        {"x": X // 16},
        {"x": X - 1},
        {"x": X + 1},
        {"x": X + 0.5},
        {"y": np.array(["a", "b", "c"])[Y]},
        {"y": Y - 1},
        {"y": Y + 2**60},
    ],
    ids=range(8),
)
def test_other_tables_are_none(tmp_path, change):
    path = write(tmp_path, **change)
    assert tables.read_pictures(path) is None
    if "y" not in change or change["y"][0] == "a":
        assert isinstance(load(path, label="label").X, Table)


@pytest.mark.parametrize("late", ["", "NA", "1.5", "x", "256", "1,2"])
def test_one_other_cell_makes_it_a_table(tmp_path, late):
    path = write(tmp_path)
    whole = path.read_text()
    path.write_text(whole[: whole.rindex(",") + 1] + late + "\n")
    assert pictures.read(path, size=300) is None


def test_memory_is_about_a_byte_a_value(tmp_path):
    x = np.tile(X, (400, 1))
    path = write(tmp_path, x=x, y=np.tile(Y, 400))
    tracemalloc.start()
    try:
        assert pictures.read(path, size=1 << 16).X.shape == x.shape
        assert tracemalloc.get_traced_memory()[1] < 5 * x.size + (6 << 20)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("bound", [2**53, -(2**53)])
def test_whole_numbers_are_not_wrapped(bound):
    text = f"{bound},1\n{bound * 2},1\n{2**64 + 1},1".encode()
    for line in text.split(b"\n"):
        found = rows.whole_numbers(rows.Block(1, line), ",", 2)
        assert (found is not None) == (line.startswith(str(bound).encode() + b","))


def test_archives_of_columns_are_tables(tmp_path, data_refused):
    path = tmp_path / "a.npz"
    np.savez(
        path,
        n=[1, 2],
        city=np.array(["Rome", "?"]),
        ok=[True, False],
        day=np.array(["1970-01-02", "NaT"], "M8[D]"),
    )
    assert tables.is_table_file(path)
    table = tables.read(path)
    assert [column.kind for column in table.columns] == ["number", "text", "flag", "time"]
    assert table["city"].words == ("Rome",)
    assert table["day"].values[0] == 1
    assert [chunk.shape for chunk in tables.chunks(path, 1)] == [(1, 4)] * 2
    for names in ({"X": np.eye(3), "y": [0, 1, 0]}, {"x_train": np.eye(3), "y_train": [0, 1, 0]}):
        np.savez(path, **names)
        assert not tables.is_table_file(path)
    for columns, message in (
        ({"a": [1, 2], "b": [1]}, "columns of one length"),
        ({"a": np.eye(2)}, "x_train and y_train, or X and y, or else columns of one axis; got 'a' of shape"),
        ({"a": np.array([{}, 1])}, "a plain array of integers, floats or booleans, texts or times"),
        ({"a": np.array([1j])}, "a plain array"),
        ({"a": np.zeros(2, [("b", "f8")])}, "a plain array"),
    ):
        np.savez(path, **columns)
        with data_refused(message):
            tables.read(path)
    path.write_bytes(b"PK\3\4 no archive")
    assert not tables.is_table_file(path)
    assert not tables.is_table_file(tmp_path / "nowhere.npz")
