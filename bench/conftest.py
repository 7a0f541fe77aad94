"""What the benches share: the data, a header that names the machine, threads of BLAS.

The data are those of ``fastmlp train``: FASTMLP_DATA, the cache, a download, else synthetic digits.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from fastmlp import kernels, reference
from fastmlp.backends.threads import available_cores
from fastmlp.data import Dataset, load
from fastmlp.environment import describe
from fastmlp.net import Net, Preprocessing, initialise
from fastmlp.words.layers import Architecture, Layer

sys.path.append(str(Path(__file__).parent))  # for epochs.py and startup.py: importlib mode leaves it out


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """MNIST, or synthetic digits where it cannot be had."""
    return load("auto")


@dataclass(frozen=True)
class Contender:
    """A backend and its threads: the kernels' own, or BLAS' for the reference."""

    name: str
    threads: int

    @property
    def module(self) -> Any:
        return kernels if self.name == "numba" else reference

    @contextlib.contextmanager
    def limits(self) -> Iterator[None]:
        """BLAS at this contender's threads; at one for the kernels, which do not use it."""
        with threadpool_limits(self.threads if self.name == "numpy" else 1, user_api="blas"):
            yield

    @property
    def options(self) -> dict[str, Any]:
        """What every call of its functions takes here."""
        return {"threads": self.threads}

    def __str__(self) -> str:
        return f"{self.name}-{self.threads}"


# The kernels first: BLAS threads that still spin would slow whoever comes after them.
CONTENDERS = [
    Contender(name, threads) for name in ("numba", "numpy") for threads in sorted({1, 2, available_cores()})
]


@pytest.fixture(params=CONTENDERS, ids=str)
def contender(request: pytest.FixtureRequest) -> Iterator[Contender]:
    with request.param.limits():
        yield request.param


@pytest.fixture
def headline(digits: Dataset) -> Net:
    """The question's net before its first step: 784-100-10, pixels / 255."""
    architecture = Architecture(digits.X.shape[1], (Layer(100),), len(digits.classes))
    return Net(architecture, initialise(architecture), Preprocessing(255.0))


def pytest_report_header() -> str:
    facts = describe()
    numpy, numba = facts["packages"]["numpy"], facts["packages"]["numba"]
    return f"fastmlp on {facts['cpu']}, {facts['cores']} cores, numpy {numpy}, numba {numba}"
