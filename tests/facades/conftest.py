"""Fixtures of the facades' tests: small data, fastmlp.keras without compiling, Keras itself."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def data():
    """The small data set of support/small_keras.py."""
    from small_keras import small_data

    return small_data()


@pytest.fixture
def numpy_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of fastmlp.keras do without compiling."""
    from fastmlp.keras.models import Sequential

    monkeypatch.setattr(Sequential, "backend", "numpy")


@pytest.fixture(scope="module")
def keras() -> Any:
    """Keras on TensorFlow, where both are installed."""
    with pytest.MonkeyPatch.context() as patch:  # for the import alone: other tests start processes
        patch.setenv("KERAS_BACKEND", "tensorflow")
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        pytest.importorskip("tensorflow")
        found = pytest.importorskip("keras")
    if found.config.backend() != "tensorflow":
        pytest.skip("Keras is on another backend in this process")
    return found
