"""Sparse matrices whose arrays somebody changed, given to all that take them; run as a process of its own.

``python hostile_sparse.py FIRST LAST``: of each seed, every way in must raise DataError, or give the values
that plain Python reads out of the arrays; scipy's compiled code would end the process. Prints the counts.
``python hostile_sparse.py named csr``: what is known to have done so.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

import fastmlp
from fastmlp import DataError, reference
from fastmlp.data.encode import as_rows, column_means, encode
from fastmlp.data.sparse import check_sound
from fastmlp.keras.arrays import inputs_of

FORMATS = ("csr", "csr", "csr", "csc", "bsr", "coo", "dia", "lil", "dok")
WAYS = (encode, column_means, reference.encode, lambda X: inputs_of(X, None), as_rows, check_sound)
STRANGE = (-1, -(2**31), 2**31 - 1, 2**31, 2**32 + 1, 2**62, -(2**63), 10**6, 1, 0)


def drawn(g, kind):
    """A sound matrix of that format, as matrix or array, with 0 to 3 more rows than values sometimes."""
    N, D = (2 * int(size) for size in g.integers(1, 7, 2))
    X = (g.random((N, D)) < g.choice([0.0, 0.2, 0.7])) * g.integers(1, 9, (N, D)).astype(np.float32)
    if kind == "bsr":
        return sparse.bsr_matrix(X, blocksize=(2, int(g.integers(1, 3))))
    return getattr(sparse, f"{kind}_{g.choice(['matrix', 'array'])}")(X)


def changed(g, array):
    """An array of indices with one thing wrong, or nothing."""
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "iu":
        return array  # changed already
    what = g.integers(8)
    if what == 0:
        return array[: g.integers(len(array) + 1)]
    if what == 1:
        return np.append(array, array[-1:] if g.random() < 0.5 else [int(g.choice(STRANGE[-3:]))]).astype(
            array.dtype
        )
    if what == 2:
        return array.astype(g.choice([np.int64, np.uint64, np.int16, np.float64, object]))
    if what == 3:
        return g.permutation(array)
    if what == 4 and g.random() < 0.2:
        return [None, array.tolist(), array.reshape(-1, 1), 7, "abc"][g.integers(5)]
    if len(array):
        array = array.astype(np.int64)
        array[g.integers(len(array), size=g.integers(1, 3))] = (
            g.choice(STRANGE) if what < 7 else g.integers(-2, 20)
        )
        if np.abs(array).max() < 2**31 and g.random() < 0.8:
            array = array.astype(np.int32)
    return array


def damaged(g, X):
    """X with one to two of its parts changed."""
    parts = {
        "csr": ["indices", "indptr", "data"], "csc": ["indices", "indptr", "data"],
        "bsr": ["indices", "indptr", "data"], "coo": ["row", "col", "data"],
        "dia": ["offsets", "data"], "lil": ["rows", "data"], "dok": ["keys"],
    }[X.format]  # fmt: skip
    for _ in range(g.integers(1, 3)):
        part = str(g.choice(parts))
        if X.format == "lil":
            lists = getattr(X, part)[g.integers(X.shape[0])]
            lists.append(int(g.choice(STRANGE))) if g.random() < 0.7 or not lists else lists.pop()
        elif X.format == "dok":
            X._dict[int(g.choice(STRANGE)), int(g.integers(-1, 20))] = np.float32(2)
        elif X.format == "coo" and part != "data":
            where = list(X.coords)
            where[part == "col"] = changed(g, where[part == "col"])
            X.coords = tuple(where)
        elif part == "data":
            X.data = X.data[: g.integers(len(X.data) + 1)] if g.random() < 0.9 else X.data[None]
        else:
            setattr(X, part, changed(g, getattr(X, part)))
        if X.format in ("csr", "csc") and g.random() < 0.3:
            X.has_canonical_format = True
            X.has_sorted_indices = True
    return X


def read(X):
    """The values (N, D) as plain Python reads them out of a CSR, CSC or COO matrix; None where it cannot."""
    N, D = X.shape
    dense = np.zeros((N, D), np.float64)
    try:
        if X.format == "coo":
            places = list(zip(*(array.tolist() for array in X.coords), strict=True))
        else:
            starts, indices = X.indptr.tolist(), X.indices.tolist()
            assert len(starts) == X.shape[X.format == "csc"] + 1
            assert starts[0] == 0
            assert starts == sorted(starts)
            places = [(i, indices[at]) for i in range(len(starts) - 1) for at in range(*starts[i : i + 2])]
            places = [place[::-1] for place in places] if X.format == "csc" else places
            assert len(indices) == len(X.data)
        assert X.data.ndim == 1
        for (i, j), value in zip(places, X.data.tolist()[: len(places)], strict=True):
            assert 0 <= i < N
            assert 0 <= j < D
            dense[i, j] += value
        assert len(places) <= len(X.data)
        assert X.format != "coo" or len(places) == len(X.data)
    except (AssertionError, AttributeError, IndexError, TypeError, ValueError):
        return None
    return dense


def dense_of(encoded):
    X = np.zeros(encoded.shape)
    for i in range(len(encoded)):
        part = slice(encoded.starts[i], encoded.starts[i + 1])
        X[i, encoded.columns[part]] = encoded.values[part]
    return X


def facades():
    """What fits and predicts; loads scikit-learn."""
    good = np.eye(4, 6, dtype=np.float32)
    for dtype in (np.float32, np.float64):
        net = fastmlp.MLPClassifier(hidden_layer_sizes=(3,), max_iter=1, random_state=0)
        net.fit(good.astype(dtype), [0, 1, 0, 1])
        yield net.predict
        yield lambda X: fastmlp.MLPClassifier(max_iter=1).fit(X, np.arange(X.shape[0]) % 2)


NAMED = (
    "indptr[2] = 10**6", "indptr[-1] = 10**6", "indptr[1] = -5", "indptr[:] = indptr[::-1].copy()",
    "indices[1] = 10**6", "indices[1] = -(10**6)", "X.indices = indices[:1]", "X.indptr = indptr[:2]",
    "X.indices = indices + np.int64(2**40)",
)  # fmt: skip


def named(kind: str) -> None:
    """Each damage of a CSR or CSC that is known to have ended the process, or to have passed."""
    for damage in NAMED:
        for way in (*WAYS, lambda X: fastmlp.fit(X, [0, 1] * 3, backend="numpy")):
            X = getattr(sparse, f"{kind}_matrix")(np.eye(6, 4, dtype=np.float32))
            exec(damage, {"X": X, "indptr": X.indptr, "indices": X.indices, "np": np})
            try:
                way(X)
            except DataError as error:
                if f"must be a sound {kind.upper()} matrix; got" not in str(error):
                    raise AssertionError(damage) from error
            else:
                raise AssertionError(damage)


def drawn_and_damaged(first: int, last: int, more: list[Callable[[Any], object]]) -> Counter[str]:
    """How many of each format were refused by ``encode`` and taken; ``more``: further ways in."""
    counts: Counter[str] = Counter()
    for seed in range(first, last):
        g = np.random.default_rng(seed)
        kind = FORMATS[seed % len(FORMATS)]
        X = damaged(g, drawn(g, kind))
        readable = kind in ("csr", "csc", "coo")
        truth = read(X) if readable else None
        try:
            found = dense_of(encode(X))
        except DataError as error:
            counts[f"{kind} refused"] += 1
            why = str(error)  # where it can be read: index types of none of scipy's, or a lie about the order
            if "\n" in why or (truth is not None and "sound" not in why and "ascending" not in why):
                raise AssertionError(seed) from error
        else:
            counts[f"{kind} taken"] += 1
            assert not readable or (truth is not None and (found == truth).all()), seed
        for way in (*WAYS, *more):
            try:
                way(X)
            except DataError:
                continue
            except ValueError as error:
                if way not in more:  # scikit-learn's own, of shapes and of one class
                    raise AssertionError(seed) from error
    return counts


if __name__ == "__main__":
    if sys.argv[1] == "named":
        named(sys.argv[2])
    else:
        sklearns = list(facades()) if "facades" in sys.argv else []
        counts = drawn_and_damaged(int(sys.argv[1]), int(sys.argv[2]), sklearns)
        sys.stdout.write(f"{dict(sorted(counts.items()))}\n")
