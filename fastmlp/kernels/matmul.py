"""The three loops that do all multiplications: sparse codes, dense matrices, one row.

Each adds ``alpha`` times a product to rows of a matrix. Sums run over at most WORD terms from 0,
are multiplied by alpha and added to the row; so every sum has one order, whoever computes it, and
an input that is 0 changes nothing: sparse and dense loops give the same bytes.

Matrices are flat arrays: ``x_at`` is where one begins, ``x_step`` is from row to row. Widths are in
vectors of 8 lanes.
"""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.jit import device, inlined
from fastmlp.kernels.simd import (
    LANES,
    PAIRED,
    SIZES,
    WIDEST,
    add_coded_rows,
    fma_row,
    product_tile,
    store_scaled,
    zeros,
)

WORD = 64  # bits of a mask: samples, or inputs, that are walked together
MOST_VECTORS = max(SIZES)  # accumulators of a sparse row: one more, and a coefficient, would spill

_NONE, _ONE = np.uint64(0), np.uint64(1)
_ALL, _ONCE = np.uint64(0xFFFFFFFFFFFFFFFF), np.float32(1)
_0, _1, _WORD = np.int64(0), np.int64(1), np.int64(WORD)  # not literal: those compile a function anew
_u = np.uint64


@inlined
def depth_of(K):
    """Terms summed together: WORD at most, in parts of equal size, so that their rows stay in L1."""
    parts = max(1, (K + WORD - 1) // WORD)
    return max(1, (K + parts - 1) // parts)


@inlined
def passes_of(vectors):
    """Over so many vectors of a sparse row, of nearly equal sizes."""
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


@device
def product(
    out, at, step, base, base_at, base_step, alpha, a, a_at, a_m, a_k, M, b, b_at, b_k, K, depth, vectors
):
    """out (M, width) = base + alpha * A B; A (M, K) is a[a_at + m a_m + k a_k], B (K, width)."""
    for k in range(0, max(K, 1), depth):
        if k > 0:
            base, base_at, base_step = out, at, step
        terms = min(depth, K - k)
        a_here, b_here, c = a_at + k * a_k, b_at + k * b_k, 0
        while c < vectors:
            left, x, m = vectors - c, LANES * c, 0
            width, tall = tile_of(left, vectors)
            while m < M:  # whole tiles of rows first, then row by row
                rows = tall if m + tall <= M else 1
                product_tile(
                    rows, width, out, at + x + m * step, step,
                    base, base_at + x + m * base_step, base_step, alpha,
                    a, a_here + m * a_m, a_m, a_k, b, b_here + x, b_k, terms,
                )  # fmt: skip
                m += rows
            c += width


@inlined
def is_set(mask, i):
    """Whether bit i of a mask is 1."""
    return (mask >> _u(i)) & _ONE != _NONE


@device
def add_row(out, at, x, row, row_at, vectors):
    """out row += x * row."""
    for j in range(0, vectors * LANES, LANES):
        store_scaled(out, at + j, 0, out, at + j, 0, x, fma_row(zeros(1, 1), np.float32(1), row, row_at + j))


@device
def walk_one_by_one(
    size, out, at, step, begun, base, base_at, alpha, masks, first, n,
    table, codes, code_at, code_step, code_next, rows, rows_at, rows_step,
):  # fmt: skip
    """``add_coded_rows`` row by row: compiled once for both walks."""
    add_coded_rows(
        1, size, out, at, step, begun, base, base_at, alpha, masks, first, n,
        table, codes, code_at, code_step, code_next, rows, rows_at, rows_step,
    )  # fmt: skip


@device
def walk_samples(
    vectors, out, at, step, begun, base, base_at, masks, n, table, codes, rows, rows_at, rows_step
):
    """Row i < n of out += a sum over the bits t of masks[i]: the value of code (i, t) times row t of rows.

    Codes are WORD to a row. A row whose bit of ``begun`` is 0 begins as the one at base[base_at]: so nobody
    writes that first. Where its mask is 0, it is left alone.
    """
    passes = passes_of(vectors)
    while passes > 0:
        size = (vectors + passes - 1) // passes
        walk_one_by_one(
            size, out, at, step, begun, base, base_at, _ONCE, masks, _0, n,
            table, codes, _0, _WORD, _1, rows, rows_at, rows_step,
        )  # fmt: skip
        at += LANES * size
        base_at += LANES * size
        rows_at += LANES * size
        vectors -= size
        passes -= 1


@device
def walk_inputs(
    vectors, out, at, step, alpha, masks, first, n, table, codes, code_at, rows, rows_at, rows_step
):
    """Row i < n of out += alpha * a sum over the bits t of masks[first + i]: the value of code (t, i) times
    row t of rows.

    Neighbours have most of their bits in common: where there are registers for it, two rows are summed
    together, over the bits of either. A value is 0 where its own bit is.
    """
    passes = passes_of(vectors)
    while passes > 0:
        size = (vectors + passes - 1) // passes
        paired = n - n % 2 if size <= PAIRED else 0
        add_coded_rows(
            2, size, out, at, step, _ALL, out, at, alpha, masks, first, paired,
            table, codes, code_at, 1, WORD, rows, rows_at, rows_step,
        )  # fmt: skip
        walk_one_by_one(
            size, out, at + paired * step, step, _ALL, out, at, alpha, masks, first + paired, n - paired,
            table, codes, code_at + paired, _1, _WORD, rows, rows_at, rows_step,
        )  # fmt: skip
        at += LANES * size
        rows_at += LANES * size
        vectors -= size
        passes -= 1


@device
def transpose(masks, at):
    """Bit j of word i becomes bit i of word j, in the WORD words from masks[at]; as many more are scratch.

    Each of six rounds swaps the highest bit of a row's number with one bit of a column's, and moves
    it to the low end: so all rounds are the same loop, which fills vectors.
    """
    source, out, half, low = at, at + WORD, 32, _u(0x00000000FFFFFFFF)
    while half > 0:
        shift = _u(half)
        for i in range(WORD // 2):
            a, b = masks[source + i], masks[source + WORD // 2 + i]
            masks[out + 2 * i] = (a & low) | ((b & low) << shift)
            masks[out + 2 * i + 1] = ((a >> shift) & low) | (b & ~low)
        source, out = out, source
        half //= 2
        low ^= low << _u(half)
