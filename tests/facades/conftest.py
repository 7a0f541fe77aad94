"""Fixtures of the tests of fastmlp.keras."""

from __future__ import annotations

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
