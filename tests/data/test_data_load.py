"""``load``: which source is used, the held-out sixth, what falls back and what does not."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import fastmlp.data
from fastmlp.data import idx, load, mnist, read_test, status, synthetic
from fastmlp.data.checks import distinct
from fastmlp.errors import DataError

X = np.arange(60 * 4, dtype=np.uint32).astype(np.uint8).reshape(60, 2, 2)
Y = np.arange(60) % 3


@pytest.fixture
def digits(monkeypatch):
    """Synthetic digits, few of them; none of the tests here is about how they look."""
    draw = synthetic.draw
    monkeypatch.setattr(synthetic, "draw", lambda seed=0: draw(seed, 20, 10))
    return synthetic.draw


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/one/", "http://127.0.0.1:9/two/"))


def fill_with_mnist(cache, mnist_folder):
    cache.mkdir(parents=True)
    for name in mnist.FILES:
        shutil.copy(idx.find(mnist_folder, name), cache / f"{name}.gz")


def test_import_is_cheap():
    code = (
        "import sys, fastmlp.data; "
        "heavy = 'numba', 'typer', 'rich', 'ssl', 'urllib.request', 'platformdirs'; "
        "print([name for name in heavy if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_loading_is_cheap_too(mnist_folder):
    code = (
        "import sys; from fastmlp.data import load; load('mnist'); "
        "heavy = 'numba', 'rich', 'ssl', 'urllib.request', 'numpy.ma'; "
        "print([name for name in heavy if name in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "FASTMLP_DATA": str(mnist_folder)},
    ).stdout  # fmt: skip
    assert out.strip() == "[]"


@pytest.mark.parametrize("y", [[0], [3, 1, 3, 2, 1, 0], [7, 7], [2**53, 0, 5], []])
def test_distinct_values(y):
    y = np.array(y, np.int64)
    assert np.array_equal(distinct(y), np.unique(y))


def test_public_names():
    assert all(hasattr(fastmlp.data, name) for name in fastmlp.data.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = fastmlp.data.nothing


@pytest.mark.parametrize("word", ["synthetic", "mnist"])
def test_environment_may_name_a_source(word, data_home, digits, monkeypatch):
    monkeypatch.setenv("FASTMLP_DATA", word)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    if word == "synthetic":
        assert load("auto").name == "synthetic"
    else:
        with pytest.raises(DataError, match="MNIST"):
            load("auto")


def test_labels_of_a_file_that_is_tested_on_are_its_own(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.ones((3, 4), np.uint8), y=[7, 7, 7])
    X, y = read_test(tmp_path / "a.npz")
    assert (X.shape, y.tolist()) == ((3, 4), [7, 7, 7])


def test_synthetic(data_home, digits):
    data, drawn = load("synthetic", seed=3), digits(3)
    for name in ("X", "y", "X_test", "y_test"):
        np.testing.assert_array_equal(getattr(data, name), getattr(drawn, name))
    assert data.name == "synthetic"
    assert "synthetic" in data.source
    assert data.classes == tuple(range(10))
    assert data.image_shape == drawn.image_shape
    assert not data_home.exists()


def test_held_out_sixth_is_the_seeds(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=Y)
    one, same, other = (load(tmp_path / "a.npz", seed=seed) for seed in (1, 1, 2))
    assert len(one.X_test) == len(one.y_test) == 10
    np.testing.assert_array_equal(one.X_test, same.X_test)
    assert not np.array_equal(one.X_test, other.X_test)
    together = np.concatenate([one.X, one.X_test])
    assert sorted(map(bytes, together)) == sorted(map(bytes, X.reshape(60, 4)))
    assert "10 rows, seed 1" in one.source


def test_test_data_replaces_the_test_part(tmp_path, data_home, digits):
    np.savez(tmp_path / "a.npz", X=X, y=Y, X_test=X[:7], y_test=Y[:7])
    np.savez(tmp_path / "b.npz", X=X[:5], y=Y[:5])
    data = load(tmp_path / "a.npz", test_data=tmp_path / "b.npz")
    assert len(data.X) == 60
    assert len(data.X_test) == 5
    assert "b.npz" in data.source
    np.savez(tmp_path / "c.npz", X=np.zeros((3, 28, 28), np.uint8), y=[0, 1, 9])
    assert load("synthetic", test_data=tmp_path / "c.npz").y_test.tolist() == [0, 1, 9]


def test_labels_become_indices(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=Y * 100 + 7, X_test=X[:2], y_test=[207, 7])
    data = load(tmp_path / "a.npz")
    assert data.classes == (7, 107, 207)
    np.testing.assert_array_equal(data.y, Y)
    assert data.y_test.tolist() == [2, 0]


def test_environment_is_what_auto_uses(tmp_path, data_home, monkeypatch, digits):
    np.savez(tmp_path / "a.npz", X=X, y=Y)
    monkeypatch.setenv("FASTMLP_DATA", str(tmp_path / "a.npz"))
    assert load().name == "a.npz"
    assert load("synthetic").name == "synthetic"
    assert status()["auto"] == "environment"


@pytest.mark.parametrize("path", ["nothing", "nothing.csv", "~nobody-of-that-name/x"])
def test_environment_that_cannot_be_used_is_an_error(data_home, no_network, monkeypatch, data_refused, path):
    monkeypatch.setenv("FASTMLP_DATA", path)
    with data_refused("FASTMLP_DATA must name data"):
        load(notify=pytest.fail)


def test_empty_environment_is_none(data_home, no_network, monkeypatch, digits):
    monkeypatch.setenv("FASTMLP_DATA", "")
    assert load().name == "synthetic"


def test_a_named_path_never_falls_back(data_home, no_network, data_refused, tmp_path):
    for path in (tmp_path, tmp_path / "mnist", "mnist2"):
        with data_refused("must"):
            load(path, notify=pytest.fail)


def test_auto_without_network_says_synthetic_in_one_line(data_home, no_network, digits):
    lines = []
    data = load(notify=lines.append)
    assert data.name == "synthetic"
    assert "synthetic" in lines[-1]
    assert "127.0.0.1:9: [Errno" in lines[-1]
    assert all("\n" not in line for line in lines)
    assert sum("synthetic" in line for line in lines) == 1


def test_auto_with_a_cache_that_cannot_be_made(data_home, digits, monkeypatch):
    data_home.parent.parent.write_text("a file where the folder would be")
    lines = []
    assert load(notify=lines.append).name == "synthetic"
    assert "synthetic" in lines[-1]


def test_mnist_without_network_is_an_error_that_helps(data_home, no_network, data_refused):
    with data_refused("must be had from a mirror.*--data FOLDER"):
        load("mnist")


def test_status_of_an_empty_cache(data_home):
    assert status() == {
        "auto": "download",
        "environment": None,
        "cache": str(data_home),
        "files": dict.fromkeys((*idx.TRAIN, *idx.TEST), "missing"),
        "complete": False,
    }


def test_real_mnist_from_the_cache(data_home, no_network, mnist_folder, monkeypatch):
    fill_with_mnist(data_home, mnist_folder)
    for name in ("auto", "mnist"):
        data = load(name, notify=pytest.fail)
        assert data.name == "mnist"
        assert len(data.X) == 60_000
        assert len(data.X_test) == 10_000
    assert status()["auto"] == "cache"
    assert status()["complete"]
    (data_home / f"{idx.TEST[1]}.gz").write_bytes(b"damaged")
    assert status()["files"][idx.TEST[1]] == "damaged"
    assert status()["auto"] == "download"


def test_real_mnist_from_the_environment(
    data_home, no_network, mnist_folder, monkeypatch, tmp_path, data_refused
):
    monkeypatch.setenv("FASTMLP_DATA", str(mnist_folder))
    assert load("mnist", notify=pytest.fail).name == "mnist"
    np.savez(tmp_path / "other.npz", X=X, y=Y, x_test=X, y_test=Y)
    monkeypatch.setenv("FASTMLP_DATA", str(tmp_path / "other.npz"))
    with data_refused("must be had from a mirror"):
        load("mnist")


def test_a_packed_folder_is_read_as_it_is(data_home, data_idx, monkeypatch, tmp_path):
    """Nothing is written to it; what an earlier version kept unpacked does no harm."""
    folder, images = tmp_path / "packed", np.zeros((60, 200, 200), np.uint8)
    folder.mkdir()
    for name in mnist.FILES:
        content = data_idx(images if "images" in name else (np.arange(60) % 3).astype(np.uint8))
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, 0, mtime=0))
    entry = data_home.parent / "unpacked" / f"{'0' * 32}.unpacked"
    entry.parent.mkdir(parents=True)
    entry.write_bytes(b"an entry")
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())}
    monkeypatch.setenv("FASTMLP_DATA", str(folder))
    assert load().X.shape == load().X.shape == (60, 40_000)
    assert len(list(entry.parent.iterdir())) == 2  # both parts have the same images
    assert {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())} == before
    assert entry.read_bytes() == b"an entry"


@pytest.mark.slow
def test_mnist_is_known_by_its_content(
    data_home, no_network, mnist_folder, monkeypatch, tmp_path, data_refused
):
    names = ("x_train", "y_train", "x_test", "y_test")
    arrays = [idx.read(idx.find(mnist_folder, name)) for name in (*idx.TRAIN, *idx.TEST)]
    np.savez(tmp_path / "mnist.npz", **dict(zip(names, arrays, strict=True)))
    monkeypatch.setenv("FASTMLP_DATA", str(tmp_path / "mnist.npz"))
    assert load("mnist").name == "mnist"
    arrays[2][5, 5, 5] ^= 1
    np.savez(tmp_path / "mnist.npz", **dict(zip(names, arrays, strict=True)))
    assert load().name == "mnist.npz"
    with data_refused("must be had from a mirror"):
        load("mnist")
