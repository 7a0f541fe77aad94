"""The kernels' tests are of little work, which has as many threads as they ask for all the same."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _nothing_is_tiny(no_work_is_tiny):
    """In all of them."""
