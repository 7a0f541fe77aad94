"""The synthetic digits: bytes, shapes, balance, density, independence. How well they train is not in here."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from counted_work import Work, functions_of
from threadpoolctl import threadpool_limits

from fastmlp.data import synthetic
from fastmlp.data.dataset import Dataset
from fastmlp.errors import ConfigError


def sha256(data: Dataset) -> str:
    arrays = (data.X, data.y, data.X_test, data.y_test)
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


@pytest.fixture(scope="module")
def data() -> Dataset:
    return synthetic.draw(0, 6_000, 1_000)


def test_form(data: Dataset) -> None:
    assert (data.name, data.classes, data.image_shape) == ("synthetic", tuple(range(10)), (28, 28))
    assert data.source
    assert "\n" not in data.source
    for X, y, n in ((data.X, data.y, 6_000), (data.X_test, data.y_test, 1_000)):
        assert (X.shape, X.dtype, X.flags.c_contiguous) == ((n, 784), np.dtype(np.uint8), True)
        assert (y.shape, y.dtype) == ((n,), np.dtype(np.int64))


def test_bytes_are_these() -> None:
    """Of one seed, on every machine: a change here changes everyone's data."""
    assert (
        sha256(synthetic.draw(3, 250, 30))
        == "f04f04e75207ac73f5f0c40d3d950cf3416bc22e4dd5f068e0b96b0be59d7d07"
    )


@pytest.mark.slow
def test_bytes_in_another_process() -> None:
    code = (
        "import hashlib; from fastmlp.data.synthetic import draw; d = draw(3, 250, 30);"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in (d.X, d.y, d.X_test, d.y_test))).hexdigest())"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True
    )
    assert out.stdout.strip() == sha256(synthetic.draw(3, 250, 30))


@pytest.mark.parametrize("n", [1, 7, synthetic.CHUNK, synthetic.CHUNK + 1])
def test_a_smaller_set_is_the_start_of_a_larger_one(data: Dataset, n: int) -> None:
    few = synthetic.draw(0, n, n)
    np.testing.assert_array_equal(few.X, data.X[:n])
    np.testing.assert_array_equal(few.y, data.y[:n])
    np.testing.assert_array_equal(few.X_test, data.X_test[:n])
    np.testing.assert_array_equal(few.y_test, data.y_test[:n])


@pytest.mark.slow
def test_no_image_comes_twice(data: Dataset) -> None:
    """Neither within a part, nor across the parts, nor across seeds."""
    other = synthetic.draw(1, 1_000, 1_000)
    images = np.concatenate([data.X, data.X_test, other.X, other.X_test])
    assert len(np.unique(images, axis=0)) == len(images)
    assert not np.array_equal(data.y[:1_000], other.y)
    assert not np.array_equal(data.y[:1_000], data.y_test)


def test_seeds_have_their_own_handwriting() -> None:
    assert not np.array_equal(synthetic._glyphs(0), synthetic._glyphs(1))


def test_every_ten_images_hold_each_digit_once_in_no_order(data: Dataset) -> None:
    tens = data.y.reshape(-1, 10)
    np.testing.assert_array_equal(np.sort(tens, axis=1), np.tile(np.arange(10), (600, 1)))
    at = (tens[:, :, None] == np.arange(10)).mean(axis=0)  # how often place i holds digit j
    assert np.abs(at - 0.1).max() < 0.06  # 0.012 is the standard deviation


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
def test_density(seed: int) -> None:
    images = synthetic.draw(seed, 3_000, 10).X
    assert 0.20 < (images > 0).mean() < 0.25
    assert (images > 0).mean(axis=1).min() > 0.05  # a thin 1
    assert (images > 0).mean(axis=1).max() < 0.65  # a bold 8


def test_strokes_are_bold_and_their_edges_grey(data: Dataset) -> None:
    ink = data.X[data.X > 0]
    assert data.X.max(axis=1).min() > 150
    assert ink.max() > 250
    assert 0.3 < (ink < 239).mean() < 0.6


def test_digits_differ_and_images_of_a_digit_vary(data: Dataset) -> None:
    """The nearest mean image tells most digits, and far from all."""
    X, X_test = data.X / 255.0, data.X_test / 255.0
    means = np.stack([X[data.y == digit].mean(axis=0) for digit in range(10)])
    nearest = (X_test @ means.T - (means**2).sum(axis=1) / 2).argmax(axis=1)
    assert 0.6 < (nearest == data.y_test).mean() < 0.85


def test_the_widest_pen_does_not_reach_the_edge_of_a_map() -> None:
    """So that looks beyond a map, clipped to its edge, find no ink."""
    glyphs = synthetic._glyphs(0)
    rim = np.concatenate([glyphs[:, :, [0, -1]].ravel(), glyphs[:, :, :, [0, -1]].ravel()])
    assert rim.min() >= synthetic.REACH * synthetic.LEVELS


def test_fields_are_exact() -> None:
    """At the ends of every range the sums are those of 64-bit integers, and have room in float32."""
    signs = np.sign(np.random.default_rng(0).normal(size=(3, 8, synthetic.CHUNK)))
    signs[:, :, :2] = [-1, 1]
    coefficients = np.array(synthetic.REST)[:, :, None] + signs * np.array(synthetic.SPREAD)[:, :, None]
    coefficients[:2] *= synthetic.SIZE[1] * synthetic.FINE
    coefficients[2] *= synthetic.LEVELS
    coefficients[:2, 0] += synthetic.CELLS / 2
    whole = np.rint(synthetic.COEFFICIENT * coefficients).astype(np.int64)
    terms = synthetic.TERMS.astype(np.int64)
    assert (np.abs(whole).swapaxes(1, 2) @ np.abs(terms)).max() < 2**24
    units = synthetic.TERM * synthetic.COEFFICIENT
    np.testing.assert_array_equal(synthetic._fields(coefficients) * units, whole.swapaxes(1, 2) @ terms)


def test_a_pixel_costs_some_hundred_numbers() -> None:
    """So that the whole set takes about a second. Most are the maps of glyphs, which a chunk looks into."""
    with Work(functions_of(synthetic)) as maps:
        glyphs = synthetic._glyphs(0)
    with Work(functions_of(synthetic)) as images:
        X, _ = synthetic._part(glyphs, 0, "train", 10 * synthetic.CHUNK)
    assert maps.done < 100 * glyphs.size
    assert images.done < 400 * X.size


@pytest.mark.slow
def test_the_whole_set() -> None:
    with threadpool_limits(1):  # threads of BLAS that wait for a core spin
        whole = synthetic.draw()
    assert (len(whole.X), len(whole.X_test)) == (60_000, 10_000)
    assert set(np.bincount(whole.y)) == {6_000}
    assert 0.15 < (whole.X > 0).mean() < 0.25


@pytest.mark.parametrize("name", ["train", "test"])
@pytest.mark.parametrize("count", [0, -1, 2.5, "10", None])
def test_sizes_must_be_whole_and_positive(name: str, count: object) -> None:
    with pytest.raises(ConfigError, match=rf"^synthetic: {name} must be a whole number of images.*; got "):
        synthetic.draw(**{name: count})  # type: ignore[arg-type]
