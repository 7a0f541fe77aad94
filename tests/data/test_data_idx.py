"""IDX files, pairs and folders: what is read, and what is refused."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pytest

from fastmlp.data import idx, load, read_images

IMAGES = np.arange(12 * 9 * 8, dtype=np.uint32).astype(np.uint8).reshape(12, 9, 8)
LABELS = np.arange(12, dtype=np.uint8) % 3
NAMES = (*idx.TRAIN, *idx.TEST)


def write_folder(folder, data_idx, names=NAMES, spelling="-idx", packed=False):
    for name in names:
        array = IMAGES if "images" in name else LABELS
        array = array[:6] if name.startswith("t10k") else array
        content = data_idx(array)
        path = folder / (name.replace("-idx", spelling) + (".gz" if packed else ""))
        path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("spelling", ["-idx", ".idx"])
def test_folder_in_every_spelling(tmp_path, data_idx, spelling, packed):
    write_folder(tmp_path, data_idx, spelling=spelling, packed=packed)
    data = load(tmp_path)
    assert data.X.dtype == np.uint8
    assert data.X.flags.c_contiguous
    np.testing.assert_array_equal(data.X, IMAGES.reshape(12, 72))
    np.testing.assert_array_equal(data.X_test, IMAGES[:6].reshape(6, 72))
    np.testing.assert_array_equal(data.y, LABELS)
    assert data.y.dtype == np.int64
    assert data.classes == (0, 1, 2)
    assert data.image_shape == (9, 8)
    assert data.name == tmp_path.name


def test_of_a_plain_and_a_packed_file_the_plain_one_is_read(tmp_path, data_idx):
    write_folder(tmp_path, data_idx)
    for name in NAMES:
        (tmp_path / f"{name}.gz").write_bytes(b"another thing")
    assert load(tmp_path).X.shape == (12, 72)


def test_gzip_is_known_by_content_and_not_by_name(tmp_path, data_idx):
    write_folder(tmp_path, data_idx)
    for name in idx.TRAIN:
        (tmp_path / name).rename(tmp_path / f"{name}.gz")
    assert load(tmp_path).X.shape == (12, 72)


def test_training_pair_alone_holds_out_a_sixth(tmp_path, data_idx):
    write_folder(tmp_path, data_idx, idx.TRAIN)
    data = load(tmp_path)
    assert len(data.X) == 10
    assert len(data.X_test) == 2
    assert "held out" in data.source


def test_images_file_finds_its_labels(tmp_path, data_idx):
    write_folder(tmp_path, data_idx, idx.TRAIN, packed=True)
    assert len(load(tmp_path / f"{idx.TRAIN[0]}.gz").y) == 10
    (tmp_path / f"{idx.TRAIN[1]}.gz").rename(tmp_path / "train-labels.idx1-ubyte.gz")
    assert len(load(tmp_path / f"{idx.TRAIN[0]}.gz").y) == 10


def test_two_axes_are_rows_of_features(tmp_path, data_idx):
    (tmp_path / "images").write_bytes(data_idx(IMAGES.reshape(12, 72)))
    (tmp_path / "labels").write_bytes(data_idx(LABELS))
    data = load(tmp_path / "images")
    assert data.X.shape == (10, 72)
    assert data.image_shape is None


@pytest.mark.parametrize("missing", NAMES)
def test_half_a_pair_names_what_is_missing(tmp_path, data_idx, data_refused, missing):
    write_folder(tmp_path, data_idx, [name for name in NAMES if name != missing])
    with data_refused(f"no {missing}"):
        load(tmp_path)


def test_test_pair_alone_serves_as_test_data_only(tmp_path, data_idx, data_refused):
    write_folder(tmp_path, data_idx, idx.TEST)
    with data_refused("must hold a training part"):
        load(tmp_path)
    other = tmp_path / "train"
    other.mkdir()
    write_folder(other, data_idx, idx.TRAIN)
    assert len(load(other, test_data=tmp_path).X_test) == 6


def test_folder_without_files(tmp_path, data_refused):
    with data_refused("a folder without them"):
        load(tmp_path)


GOOD = bytes([0, 0, 8, 3]) + b"\0\0\0\x02" * 3 + bytes(8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"\0\0\x08", "begins with two zero bytes"),
        (b"a,b\n1,2\n", r"\.csv, \.tsv, \.parquet, .*a table of text may be called \.csv"),
        (b"GIF89a" + GOOD, "begins with two zero bytes"),
        (GOOD[:2] + b"\x0d" + GOOD[3:], "type 0x0d"),
        (GOOD[:3] + b"\x00", "one to three axes"),
        (GOOD[:3] + b"\x04" + b"\0\0\0\1" * 4 + b"\0", "one to three axes"),
        (GOOD[:3] + b"\xff", "one to three axes"),
        (GOOD[:9], "a whole header"),
        (GOOD[:-1], "exactly the 8 bytes"),
        (GOOD + b"\0", "exactly the 8 bytes"),
        (GOOD[:4] + b"\xff" * 12 + bytes(8), "at most 4,294,967,296 bytes"),
        (GOOD[:4] + b"\0\1\0\0" * 3 + bytes(8), "at most 4,294,967,296 bytes"),
        (GOOD[:4] + b"\0\0\0\0" * 3, "at least one value"),
        (
            GOOD[:4] + b"\x00\x10\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01" + bytes(8),
            "what its header promises",
        ),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_bad_files(tmp_path, data_refused, content, message, packed):
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(content) if packed and content else content)
    with data_refused(message):
        idx.read(path)


def test_gzip_cut_or_changed(tmp_path, data_idx, data_refused):
    whole = gzip.compress(data_idx(IMAGES))
    path = tmp_path / "images.gz"
    for content in (whole[:-9], whole[:40], whole[:30] + b"\xff\xff\xff" + whole[33:], whole + b"tail"):
        path.write_bytes(content)
        with data_refused("whole and undamaged|must hold"):
            idx.read(path)


def test_gzip_bomb_takes_no_memory(tmp_path, data_refused):
    path = tmp_path / "images.gz"
    with gzip.open(path, "wb") as file:
        file.write(GOOD)
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        with data_refused("more than 8 bytes"):
            idx.read(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_small_gzip_cannot_ask_for_much(tmp_path, data_refused):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(GOOD[:4] + (3 << 30).to_bytes(4, "big") + b"\0\0\0\1" * 2))
    tracemalloc.start()
    try:
        with data_refused("what its header promises"):
            idx.read(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_counts_of_images_and_labels_must_agree(tmp_path, data_idx, data_refused):
    write_folder(tmp_path, data_idx)
    (tmp_path / idx.TRAIN[1]).write_bytes(data_idx(LABELS[:-1]))
    with data_refused("as many rows of y as of X; got 12 of X and 11 of y"):
        load(tmp_path)


def test_labels_that_are_images(tmp_path, data_idx, data_refused):
    write_folder(tmp_path, data_idx)
    (tmp_path / idx.TRAIN[1]).write_bytes(data_idx(IMAGES))
    with data_refused(r"y of .* must have shape \(N,\)"):
        load(tmp_path)


def test_images_that_are_labels(tmp_path, data_idx, data_refused):
    write_folder(tmp_path, data_idx)
    (tmp_path / idx.TRAIN[0]).write_bytes(data_idx(LABELS))
    with data_refused(r"\(N, rows, columns\)"):
        load(tmp_path)
    with data_refused("`images` in its name"):
        load(tmp_path / idx.TRAIN[1])


def test_images_without_labels(tmp_path, data_idx, data_refused):
    (tmp_path / idx.TRAIN[0]).write_bytes(data_idx(IMAGES))
    with data_refused(f"no {idx.TRAIN[1]} there"):
        load(tmp_path / idx.TRAIN[0])
    X, shape = read_images(tmp_path / idx.TRAIN[0])
    assert X.shape == (12, 72)
    assert shape == (9, 8)


def test_a_file_that_is_not_there(tmp_path, data_refused):
    for path in (tmp_path / "nothing", tmp_path / "nothing.csv", tmp_path / "X.npy", tmp_path / "a.npz", ""):
        with data_refused("must exist|must be a path"):
            load(path)


def test_a_device_is_no_file(data_refused):
    with data_refused("a folder, a pipe or a device"):
        load("/dev/zero")


def test_real_mnist(mnist_folder):
    data = load(mnist_folder)
    assert data.X.shape == (60_000, 784)
    assert data.X_test.shape == (10_000, 784)
    assert data.X.dtype == data.X_test.dtype == np.uint8
    assert np.count_nonzero(data.X) == 8_994_156
    assert data.classes == tuple(range(10))
    assert data.image_shape == (28, 28)
    assert np.bincount(data.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
