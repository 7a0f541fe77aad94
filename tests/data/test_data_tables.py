"""NumPy's .npz and .npy: layouts that are read, and files that are refused."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from fastmlp.data import load, npy, read_images

X = np.arange(12 * 64, dtype=np.uint32).astype(np.uint8).reshape(12, 8, 8)
Y = np.arange(12) % 3


def npy_bytes(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_file(header, body=b"", version=1):
    text = header.encode("latin-1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + body


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_keras_layout(tmp_path, save):
    save(tmp_path / "mnist.npz", x_train=X, y_train=Y.astype(np.uint8), x_test=X[:5], y_test=Y[:5])
    data = load(tmp_path / "mnist.npz")
    np.testing.assert_array_equal(data.X, X.reshape(12, 64))
    np.testing.assert_array_equal(data.X_test, X[:5].reshape(5, 64))
    np.testing.assert_array_equal(data.y, Y)
    assert data.image_shape == (8, 8)
    assert data.name == "mnist.npz"


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y"),
        ("X", "y"),
        ("X", "Y"),
        ("images", "labels"),
        ("X_train", "y_train"),
        ("train_images", "train_labels"),
    ],
)
def test_names_of_pairs(tmp_path, names):
    np.savez(tmp_path / "a.npz", **dict(zip(names, (X, Y), strict=True)))
    assert len(load(tmp_path / "a.npz").y) == 10
    np.savez(tmp_path / "b.npz", **dict(zip(names, (X, Y), strict=True)), X_test=X[:4], y_test=Y[:4])
    assert len(load(tmp_path / "b.npz").y_test) == 4


@pytest.mark.parametrize(
    "names",
    [
        ("X.npy", "y.npy"),
        ("digits_X.npy", "digits_y.npy"),
        ("x_train.npy", "y_train.npy"),
        ("X.npy", "Y.npy"),
    ],
)
def test_npy_pairs(tmp_path, names):
    np.save(tmp_path / names[0], X)
    np.save(tmp_path / names[1], Y)
    data = load(tmp_path / names[0])
    assert len(data.y) + len(data.y_test) == 12


def test_npy_name_without_a_word_for_images(tmp_path, data_refused):
    np.save(tmp_path / "box.npy", X)
    with data_refused("as a word of its name"):
        load(tmp_path / "box.npy")
    np.save(tmp_path / "X.npy", X)
    with data_refused("no y.npy there"):
        load(tmp_path / "X.npy")
    assert read_images(tmp_path / "box.npy")[0].shape == (12, 64)


@pytest.mark.parametrize("dtype", ["b1", "i1", "u2", ">i4", "<i8", "u8", "f2", "<f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_number_type_and_order(tmp_path, dtype, order):
    array = (X % 2).astype(dtype, order=order)
    np.savez(tmp_path / "a.npz", X=array, y=Y.astype(dtype), X_test=array, y_test=Y.astype(dtype))
    data = load(tmp_path / "a.npz")
    assert data.X.dtype == np.uint8
    np.testing.assert_array_equal(data.X, (X % 2).reshape(12, 64))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (X.astype(np.float64), np.uint8),
        (X.astype(np.int64) + 1, np.float32),
        (X.astype(np.int64) - 1, np.float32),
        (X / 255, np.float32),
        (X.astype(np.float32) - 0.5, np.float32),
    ],
)
def test_uint8_only_for_integers_0_to_255(tmp_path, values, dtype):
    np.savez(tmp_path / "a.npz", X=values, y=Y, X_test=values, y_test=Y)
    data = load(tmp_path / "a.npz")
    assert data.X.dtype == data.X_test.dtype == dtype
    np.testing.assert_array_equal(data.X, values.reshape(12, 64).astype(dtype))


def test_parts_of_two_types_become_float32(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=Y, X_test=X / 2, y_test=Y)
    data = load(tmp_path / "a.npz")
    assert data.X.dtype == data.X_test.dtype == np.float32
    np.testing.assert_array_equal(data.X, X.reshape(12, 64))


@pytest.mark.parametrize("axis", [1, 3])
def test_one_channel_and_a_column_of_labels(tmp_path, axis):
    np.savez(tmp_path / "a.npz", X=np.expand_dims(X, axis), y=Y[:, None], X_test=X, y_test=Y)
    data = load(tmp_path / "a.npz")
    assert data.image_shape == (8, 8)
    np.testing.assert_array_equal(data.X, data.X_test)


def test_test_part_of_another_npz(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=Y, X_test=X[:1], y_test=Y[:1])
    np.savez(tmp_path / "b.npz", X=X[:4], y=Y[:4])
    np.savez(tmp_path / "c.npz", X=X, y=Y, X_test=X[:3], y_test=Y[:3])
    assert len(load(tmp_path / "a.npz", test_data=tmp_path / "b.npz").X_test) == 4
    assert len(load(tmp_path / "a.npz", test_data=tmp_path / "c.npz").X_test) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_values_that_float32_cannot_hold(tmp_path, data_refused, value):
    bad = X.astype(np.float64)
    bad[7, 3, 2] = value
    np.savez(tmp_path / "a.npz", X=bad, y=Y)
    with data_refused("row 8, column 27"):
        load(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", X=X, y=Y, X_test=bad, y_test=Y)
    with data_refused("X_test in .*must be finite"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Y + 0.5, "labels for the loss logits; got numbers with a fraction"),
        (np.where(Y == 1, np.nan, Y), "a label in every row; got a missing one in row 1"),
        (np.where(Y == 1, np.inf, Y), "got inf"),
        (Y.astype(np.uint64) + 2**63, "whole numbers below"),
        (Y * 0 + 4, "at least two different labels; got 4 alone"),
        (Y[:-1], "as many rows of y as of X; got 12 of X and 11 of y"),
        (np.eye(3)[Y] * 2, "shares of classes"),
        (Y.reshape(12, 1, 1), r"y of X in .* must have shape \(N,\)"),
        (np.arange(12), "two rows"),
    ],
)
def test_labels_that_are_no_labels(tmp_path, data_refused, labels, message):
    np.savez(tmp_path / "a.npz", X=X, y=labels)
    with data_refused(message):
        load(tmp_path / "a.npz", loss="logits")


@pytest.mark.parametrize("labels", [Y - 1, Y == 1, Y.astype(np.float64), np.array(["b", "a", "ö"])[Y]])
def test_labels_of_every_type(tmp_path, labels):
    np.savez(tmp_path / "a.npz", X=X, y=labels, X_test=X, y_test=labels)
    data = load(tmp_path / "a.npz")
    assert data.classes == tuple(np.unique(labels).tolist())
    assert np.array_equal(data.as_given(data.y), labels)
    assert np.array_equal(data.as_given(data.y_test), labels)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("number", [0x110000, 0xD800, 0xFFFFFFFF])
def test_texts_that_are_none(tmp_path, data_refused, number, order):
    wrong = np.array([65, number] * 6, f"{order}u4").view(f"{order}U1")
    np.savez(tmp_path / "a.npz", X=X, y=wrong)
    with data_refused("y in .* must hold texts of Unicode; got the number 0x"):
        load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", X=X, y=np.array(["é", "b"] * 6, f"{order}U3"), X_test=X, y_test=["b"] * 12)
    assert load(tmp_path / "b.npz").classes == ("b", "é")


def test_parts_that_do_not_fit(tmp_path, data_refused):
    np.savez(tmp_path / "a.npz", X=X, y=Y, X_test=X[:, :7], y_test=Y)
    with data_refused("as many features as the training part, 64; got 56"):
        load(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", X=X, y=Y, X_test=X, y_test=Y + 1)
    with data_refused("the labels of training alone, 0, 1, 2; got 3 in row 2"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "names", [{"x_train": X}, {"y": Y}, {"X": X, "y": Y, "x_test": X}, {"arr_0": X, "arr_1": Y}]
)
def test_missing_arrays(tmp_path, data_refused, names):
    np.savez(tmp_path / "a.npz", **names)
    with data_refused("must hold"):
        load(tmp_path / "a.npz")


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_pickles_are_never_loaded(tmp_path, data_refused):
    objects = npy_file("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", pickle.dumps([Bomb()]))
    (tmp_path / "X.npy").write_bytes(objects)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("X.npy", objects)
        file.writestr("y.npy", objects)
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Bomb()))
    for name in ("X.npy", "a.npz"):
        with data_refused("pickled objects are never read"):
            load(tmp_path / name)
    with data_refused("a whole .npz file"):
        load(tmp_path / "b.npz")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4194305, 4194305, 211106198978564), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 99999999999), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (3000000000,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1), }",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<M8', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '|V8', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f4', 'shape': (1,), }",
        "{'shape': (" + "1" * 9000,
        "(" * 9000,
        "__import__('os').abort()",
        "",
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_hostile_headers(tmp_path, data_refused, header, version):
    path = tmp_path / "X.npy"
    path.write_bytes(npy_file(header, bytes(64), version))
    tracemalloc.start()
    try:
        with data_refused("must"):
            npy.read(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_npy_length_is_exact(tmp_path, data_refused):
    whole = npy_bytes(X)
    for content in (
        b"",
        whole[:5],
        whole[:9],
        whole[:60],
        whole[:-1],
        whole + b"\0",
        whole[:6] + b"\x09" + whole[7:],
    ):
        (tmp_path / "X.npy").write_bytes(content)
        with data_refused("must"):
            npy.read(tmp_path / "X.npy")


def test_header_over_the_cap(tmp_path, data_refused):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }" + " " * 20_000
    (tmp_path / "X.npy").write_bytes(npy_file(header, b"\0", 2))
    with data_refused("at most 10,000 bytes"):
        npy.read(tmp_path / "X.npy")


def test_zip_member_gives_no_more_than_its_header_promises(tmp_path, data_refused):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("X.npy", npy_bytes(X) + bytes(64 << 20))
        file.writestr("y.npy", npy_bytes(Y))
    tracemalloc.start()
    try:
        with data_refused("more than 768 bytes"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_zip_member_with_a_false_size(tmp_path, data_refused):
    header = npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (2000000000,), }")
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("X.npy", header)
        file.writestr("y.npy", npy_bytes(Y))
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = raw.index(signature) + offset
        raw[at : at + 4] = struct.pack("<I", 2_000_000_128)
    path.write_bytes(raw)
    tracemalloc.start()
    try:
        with data_refused("what its header promises"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_zip_methods(tmp_path, data_refused, method):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("X.npy", npy_bytes(X))
        file.writestr("y.npy", npy_bytes(Y))
    with data_refused("stored or deflated"):
        load(path)


def test_npz_cut_short(tmp_path, data_refused):
    np.savez_compressed(tmp_path / "a.npz", X=X, y=Y)
    whole = (tmp_path / "a.npz").read_bytes()
    for size in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "a.npz").write_bytes(whole[:size])
        with data_refused("must"):
            load(tmp_path / "a.npz")


def test_npz_directory_that_points_past_the_end(tmp_path, data_refused):
    np.savez(tmp_path / "a.npz", X=X, y=Y)
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    at = raw.rindex(b"PK\x01\x02") + 42
    raw[at : at + 4] = struct.pack("<I", 10**6)
    (tmp_path / "a.npz").write_bytes(raw)
    with data_refused("must"):
        load(tmp_path / "a.npz")
