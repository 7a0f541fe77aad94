"""Keras for the tests that hold fastmlp beside it."""

from __future__ import annotations

from typing import Any

import pytest


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
