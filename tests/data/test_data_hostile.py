"""Small files with some of their bytes changed: a Dataset or a DataError, nothing else, and no warning."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastmlp.data import Dataset, load, read_images
from fastmlp.data.table import Table
from fastmlp.errors import DataError

X = np.arange(8 * 3 * 3, dtype=np.uint8).reshape(8, 3, 3)
Y = np.arange(8, dtype=np.uint8) % 2

examples = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def saved(save, *args, **kwargs):
    buffer = io.BytesIO()
    save(buffer, *args, **kwargs)
    return buffer.getvalue()


CSV = b"a,b,label\r\n" + b"".join(b"%d,%d.5,%d\n" % (i, i, i % 2) for i in range(9))
WHOLE = {
    "images.idx": b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in X.shape) + X.tobytes(),
    "images.idx.gz": gzip.compress(b"\0\0\x08\x02\0\0\0\x08\0\0\0\x09" + X.tobytes(), mtime=0),
    "X.npy": saved(np.save, X.astype(np.float32) / 3),
    "stored.npz": saved(np.savez, X=X, y=Y, X_test=X[:2], y_test=Y[:2]),
    "packed.npz": saved(np.savez_compressed, x_train=X / 7, y_train=Y.astype(np.int64)),
    "floats.csv": CSV,
    "integers.csv": CSV.replace(b".5", b""),
    "bare.csv": CSV[11:],
    "packed.csv.gz": gzip.compress(CSV, mtime=0),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "labels.idx").write_bytes(b"\0\0\x08\x01\0\0\0\x08" + Y.tobytes())
    np.save(folder / "y.npy", Y)
    return folder


@st.composite
def changed(draw, whole):
    """``whole`` with a few bytes set, removed or put in, and perhaps an end of another length."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        match draw(st.sampled_from("soidt")):
            case "s":
                content[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "o":
                content[at : at + 4] = draw(
                    st.sampled_from([b"\xff" * 4, bytes(4), b"\0\1\0\0", b"9999", b"nan,"])
                )
            case "i":
                content[at:at] = draw(
                    st.binary(max_size=4) | st.sampled_from([b'"', b",", b"\n", b"\r", b"-", b"e9"])
                )
            case "d":
                del content[at : at + draw(st.integers(1, 8))]
            case "t":
                del content[at:]
    return bytes(content)


def try_both(path):
    for read in (load, read_images):
        try:
            result = read(path)
        except DataError as error:
            refusal = error
        else:
            X = result.X if isinstance(result, Dataset) else result[0]
            if isinstance(X, Table):
                assert len(X)
                continue
            assert X.dtype in (np.uint8, np.float32)
            assert X.flags.c_contiguous
            assert np.isfinite(X).all()
            assert X.size
            continue
        assert refusal.must
        assert str(refusal.got)
        assert refusal.do


@pytest.mark.parametrize("name", WHOLE)
def test_unchanged_files_load(folder, name):
    (folder / name).write_bytes(WHOLE[name])
    assert len(load(folder / name).classes) == 2


@pytest.mark.parametrize(
    "content", [b"label\r\n0", b"label\n0\n1\n", b"label\n", b"class\nred", b"\n", b"0", b"0\n"]
)
def test_a_table_of_a_label_alone(folder, content):
    (folder / "alone.csv").write_bytes(content)
    try_both(folder / "alone.csv")


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_changed_files(folder, name):
    @examples
    @given(changed(WHOLE[name]))
    def attempt(content):
        (folder / name).write_bytes(content)
        try_both(folder / name)

    attempt()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["images.idx", "X.npy", "a.npz", "a.csv"])
def test_random_bytes(folder, name):
    @examples
    @given(st.binary(max_size=200))
    def attempt(content):
        (folder / name).write_bytes(content)
        try_both(folder / name)

    attempt()
