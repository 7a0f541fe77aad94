"""The kernels' tests are of little work, which has as many threads as they ask for all the same."""

from __future__ import annotations

import pytest

from fastmlp.kernels import launch


@pytest.fixture(autouse=True)
def no_work_is_tiny(monkeypatch):
    """Else one thread would do all of it."""
    monkeypatch.setattr(launch, "TINY", 0)
    monkeypatch.setattr(launch, "TINY_STEP", 0)
