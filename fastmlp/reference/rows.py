"""The rows that this backend takes, and parts of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastmlp.backends.checks import check_inputs
from fastmlp.checks import as_array, instance
from fastmlp.data.sparse import as_csr, is_scipy_sparse
from fastmlp.net import Net

Array = NDArray[Any]


def encode(X: Any) -> Array:
    """The form in which this backend takes X (N, D): an array, pictures flattened, sparse rows filled up."""
    array = as_array("X", as_csr(X).toarray() if is_scipy_sparse(X) else X)
    return array.reshape(len(array), -1) if array.ndim > 2 else array


encode_rows = encode  # of rows that are checked already


def checked(net: Net, X: ArrayLike) -> Array:
    """X encoded, if it suits the net; else raises ModelError."""
    X = encode(X)
    check_inputs(instance("net", net, Net), X.shape)
    return X


def batches(n: int, size: int) -> Iterator[slice]:
    """Slices of n rows, of so many each; the last may be short."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
