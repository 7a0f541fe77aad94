"""All multiplications: dense matrices, sparse codes, one row of compressed ones.

Each adds ``alpha`` times a product to rows of a matrix. Sums run over at most WORD terms from 0,
are multiplied by alpha and added to the row; so every sum has one order, whoever computes it, and
an input that is 0 changes nothing: sparse and dense loops give the same bytes.

Matrices lie in flat memory (simd.Matrix). Widths are in vectors of 8 lanes.
"""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.intrinsics import shifted
from fastmlp.kernels.jit import device, inlined
from fastmlp.kernels.simd import (
    LANES,
    PAIRED,
    SIZES,
    WIDEST,
    Coded,
    Matrix,
    add_coded_rows,
    add_lanes,
    lanes_of,
    product_tile,
)

WORD = 64  # bits of a mask: samples, or inputs, that are walked together
MOST_VECTORS = max(SIZES)  # accumulators of a sparse row: one more, and a coefficient, would spill

_NONE, _ONE = np.uint64(0), np.uint64(1)
_u = np.uint64


@inlined
def depth_of(K):
    """Terms summed together: WORD at most, in parts of equal size, so that their rows stay in L1."""
    parts = max(1, (K + WORD - 1) // WORD)
    return max(1, (K + parts - 1) // parts)


@inlined
def passes_of(vectors):
    """Cut so many vectors of a sparse row into passes of nearly equal sizes."""
    return (vectors + MOST_VECTORS - 1) // MOST_VECTORS


def padded_vectors(vectors):
    """The next width that there are sparse loops for: equal passes, each of one of SIZES."""
    passes = -(-vectors // MOST_VECTORS)
    return passes * min(size for size in SIZES if size * passes >= vectors)


@inlined
def tile_of(left, vectors):
    """Vectors and rows of the next tile where so many of a row's vectors are left: a shape of simd.TALL."""
    if WIDEST > LANES:
        if left >= 6:
            return 6, 4
        if left >= 4:
            return 4, 4
        return (2, 8) if left >= 2 else (1, 8)
    if left >= 3 and not left == vectors == 4:  # 2 and 2 take less time than 3 and 1
        return 3, 4
    return (2, 6) if left >= 2 else (1, 8)


@inlined
def rows_from(matrix, i, at):
    """The same matrix from its row i on, and ``at`` elements further."""
    return Matrix(matrix.data, matrix.at + i * matrix.row + at, matrix.row, matrix.column)


@device
def matmul(out, base, alpha, A, M, B, K, depth, vectors):
    """out (M, width) = base + alpha * A B, for A (M, K) and B (K, width)."""
    for k in range(0, max(K, 1), depth):
        if k > 0:
            base = out
        terms, c = min(depth, K - k), 0
        while c < vectors:
            left, x, m = vectors - c, lanes_of(out) * c, 0
            width, tall = tile_of(left, vectors)
            while m < M:  # whole tiles of rows first, then row by row
                rows = tall if m + tall <= M else 1
                product_tile(
                    rows, width, rows_from(out, m, x), rows_from(base, m, x), alpha,
                    rows_from(A, m, k * A.column), rows_from(B, k, x), terms,
                )  # fmt: skip
                m += rows
            c += width


@device
def add_row(out, x, row, vectors):
    """out += x * row, for addresses of rows."""
    for j in range(0, vectors * LANES, LANES):
        add_lanes(shifted(out, j), x, shifted(row, j))


@inlined
def is_set(mask, i):
    """True where bit i of a mask is 1."""
    return (mask >> _u(i)) & _ONE != _NONE


@device
def add_coded(out, begun, base, alpha, coded, n, rows, vectors, paired):
    """Row i < n of out += alpha * row i of ``coded`` (n, WORD) times ``rows`` (WORD, width).

    A row whose bit of ``begun`` is 0 begins as ``base``: so nobody writes that first. Where its mask is 0, it
    is left alone. ``paired``, where all are begun and neighbours have most of their bits in common: two rows
    are summed together, over the bits of either, where there are registers for it. A value is 0 where its
    own bit is.
    """
    passes, c = passes_of(vectors), 0
    while passes > 0:
        size, i = (vectors - c + passes - 1) // passes, 0
        while i < n:
            tall = 2 if paired and size <= PAIRED and n - i >= 2 else 1
            many = (n - i) // tall * tall
            these = Coded(coded.table, rows_from(coded.codes, i, 0), shifted(coded.masks, i))
            add_coded_rows(
                tall, size, rows_from(out, i, LANES * c), begun, shifted(base, LANES * c), alpha, these, many,
                rows_from(rows, 0, LANES * c),
            )  # fmt: skip
            i += many
        c += size
        passes -= 1


@device
def transpose(masks):
    """Bit j of word i becomes bit i of word j, in the first WORD words; as many more are scratch.

    Each of six rounds swaps the highest bit of a row's number with one bit of a column's, and moves
    it to the low end: so all rounds are the same loop, which fills vectors.
    """
    source, out, half, low = 0, WORD, 32, _u(0x00000000FFFFFFFF)
    while half > 0:
        shift = _u(half)
        for i in range(WORD // 2):
            a, b = masks[source + i], masks[source + WORD // 2 + i]
            masks[out + 2 * i] = (a & low) | ((b & low) << shift)
            masks[out + 2 * i + 1] = ((a >> shift) & low) | (b & ~low)
        source, out = out, source
        half //= 2
        low ^= low << _u(half)
