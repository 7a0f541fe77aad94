"""The two loops that sum in tiles: of dense matrices, and of codes. Nothing here knows about nets.

A *tile* is so many rows of so many vectors of 8 lanes (of float64: 4), which LLVM keeps in registers, as it
never does with a local array: so each shape has a loop of its own, written here. Sums are of ``llvm.fma``:
results do not depend on the vector width LLVM picks. Memory and twins are those of intrinsics.py.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types

from fastmlp.kernels.intrinsics import (
    BITS,
    BYTE,
    FLOAT,
    I1,
    I32,
    I64,
    almost_once,
    emit_fma,
    is_memory,
    rounded_once,
    with_twin,
)

LANES = 8  # of float32
BYTES = 4 * LANES
_is_host = not (numba.config.CPU_NAME or numba.config.CPU_FEATURES)  # what is compiled for
WIDEST = 16 if _is_host and binding.get_host_cpu_features().get("avx512f") else LANES
"""Lanes of this machine's longest vectors: rows that begin at a multiple of them are read sooner."""

_VECTOR = ir.VectorType(FLOAT, LANES)
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 11, 13)  # vectors of a row that ``add_coded_rows`` has loops for
TALL = {3: 4, 2: 6, 1: 8} if WIDEST == LANES else {6: 4, 4: 4, 2: 8, 1: 8}
"""By its width in vectors, the rows of a tile that 16 registers hold, or 32 of 16 lanes."""
PAIRED = 5 if WIDEST == LANES else SIZES[-1]  # vectors of a row of which two fit into the registers
_SHAPE = 16  # a tile's shape as one number: rows * _SHAPE + vectors


class Matrix(NamedTuple):
    """Values in memory (an address): that of row i and column k is data[at + i row + k column]."""

    data: Any
    at: int
    row: int
    column: int


class Coded(NamedTuple):
    """A matrix of codes: its value (i, t) is table[codes (i, t)] where bit t of masks[i] is set, else 0.

    Codes that are floats are the values themselves; nothing is looked up then.
    """

    table: Any
    codes: Matrix
    masks: Any


@with_twin(lambda matrix: BYTES // matrix.data.itemsize)
def lanes_of(typingctx, matrix):
    """Lanes of a vector of a Matrix: 8 of float32, 4 of float64."""

    def codegen(context, builder, signature, args):
        return ir.Constant(I64, _lanes(matrix[0].dtype))

    return types.int64(matrix), codegen


def _lanes(number):
    return BYTES * 8 // number.bitwidth


def _is_matrix(kind, of=types.float32):
    """True for the type of a Matrix of such values."""
    return getattr(kind, "instance_class", None) is Matrix and is_memory(*kind, of=of)


def _vector_at(builder, pointer, i, kind=_VECTOR):
    place = builder.gep(pointer, [ir.Constant(I64, i * kind.count)], source_etype=kind.element)
    return builder.bitcast(place, kind.as_pointer())


def _row(vectors, element=FLOAT, lanes=LANES):
    """Places and kinds of a row of so many vectors, in pairs: 16 lanes take half the instructions."""
    pairs = [(i, ir.VectorType(element, 2 * lanes)) for i in range(vectors // 2)]
    return pairs + [(i, ir.VectorType(element, lanes)) for i in range(2 * len(pairs), vectors)]


def splat(builder, x, kind=_VECTOR):
    """A vector of that kind, all lanes of which are x: for the code of intrinsics."""
    lane0 = builder.insert_element(ir.Constant(kind, ir.Undefined), x, ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, kind.count), None)
    return builder.shuffle_vector(lane0, ir.Constant(kind, ir.Undefined), zeros)


def _add_lanes(out, x, row):
    out[:LANES] = rounded_once(x, row[:LANES] + np.float32(0), out[:LANES])


@with_twin(_add_lanes)
def add_lanes(typingctx, out, x, row):
    """out += x * row, of one vector: row + 0, as a sum from 0 has no -0."""
    if not (is_memory(out) and is_memory(row) and x == types.float32):
        return None

    def codegen(context, builder, signature, args):
        target, scalar, source = _vector_at(builder, args[0], 0), splat(builder, args[1]), args[2]
        lanes = builder.load(_vector_at(builder, source, 0), align=4)
        term = builder.fadd(lanes, ir.Constant(_VECTOR, [0.0] * LANES))
        builder.store(emit_fma(builder, scalar, term, builder.load(target, align=4)), target, align=4)
        return context.get_dummy_value()

    return types.none(out, x, row), codegen


def _sum_of_squares(row, n):
    terms = np.square(row[: int(n)].astype(np.float64)).reshape(-1, LANES)
    a, b, c, d, e, f, g, h = functools.reduce(np.add, terms, np.zeros(LANES)).tolist()
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@with_twin(_sum_of_squares)
def sum_of_squares(typingctx, row, n):
    """The sum of n squares in float64, lane by lane, then over the lanes; n is a multiple of LANES."""
    if not ((is_memory(row) or is_memory(row, of=types.float64)) and n == types.int64):
        return None

    def codegen(context, builder, signature, args):
        kind = ir.VectorType(ir.DoubleType(), LANES)
        entry, zero = builder.block, ir.Constant(I64, 0)
        test, loop, end = (builder.append_basic_block(f"squares.{name}") for name in ("test", "loop", "end"))
        builder.branch(test)
        builder.position_at_end(test)
        j, sums = builder.phi(I64), builder.phi(kind)
        builder.cbranch(builder.icmp_signed("<", j, args[1]), loop, end)
        builder.position_at_end(loop)
        there = ir.VectorType(context.get_value_type(row.dtype), LANES)
        wide = builder.load(_vector_at(builder, builder.gep(args[0], [j]), 0, there), align=4)
        if there != kind:
            wide = builder.fpext(wide, kind)  # of which a square is exact
        _enter(j, entry, zero, loop, builder.add(j, ir.Constant(I64, LANES)))
        _enter(sums, entry, ir.Constant(kind, None), loop, builder.fadd(sums, builder.fmul(wide, wide)))
        builder.branch(test)
        builder.position_at_end(end)
        parts = [builder.extract_element(sums, ir.Constant(I32, i)) for i in range(LANES)]
        while len(parts) > 1:
            parts = [builder.fadd(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    return types.float64(row, n), codegen


def _add_coded_rows(tall, size, out, begun, base, alpha, coded, n, rows):
    width = LANES * int(size)
    for i in range(int(n)):
        together = i - i % int(tall)
        mask = int(np.bitwise_or.reduce(coded.masks[together : together + int(tall)]))
        if not mask:
            continue
        total, code = np.zeros(width, np.float32), int(coded.codes.at) + i * int(coded.codes.row)
        for t in range(BITS):
            if mask >> t & 1:
                value = coded.codes.data[code + t * int(coded.codes.column)]
                if value.dtype == np.uint8:
                    value = coded.table[value]
                row = rows.data[int(rows.at) + t * int(rows.row) :][:width]
                total = rounded_once(value, row, total)
        place = slice(int(out.at) + i * int(out.row), int(out.at) + i * int(out.row) + width)
        start = out.data[place] if int(begun) >> i & 1 else base[:width]
        out.data[place] = rounded_once(alpha, total, start)


@with_twin(_add_coded_rows)
def add_coded_rows(typingctx, tall, size, out, begun, base, alpha, coded, n, rows):
    """Row i < n of ``out``, ``size`` vectors wide, += alpha * row i of coded times ``rows`` (64, width).

    A row whose bit of ``begun`` is 0 begins as ``base``; where its mask is 0, it is left alone. tall: 1, or 2
    for rows, all begun, that are summed in pairs over the bits of either; n is a multiple of it, and so many
    masks more can be read. size is one of SIZES, and up to PAIRED for pairs.
    """
    if getattr(coded, "instance_class", None) is not Coded:
        return None
    table, codes, masks = coded
    fits = _is_matrix(out) and _is_matrix(rows) and (_is_matrix(codes, of=types.uint8) or _is_matrix(codes))
    fits = fits and is_memory(base) and is_memory(table) and is_memory(masks, n, of=types.uint64)
    if not (fits and tall == size == types.int64 and begun == types.uint64 and alpha == types.float32):
        return None

    def codegen(context, builder, signature, args):
        tall_value, size_value, out, begun, base, alpha, coded, n, rows = args
        table, codes, masks = cgutils.unpack_tuple(builder, coded)
        out, codes, rows = (Matrix(*cgutils.unpack_tuple(builder, value)) for value in (out, codes, rows))
        some, done = builder.append_basic_block("some"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", n, ir.Constant(I64, 0)), some, done)
        rest = out, begun, base, alpha, Coded(table, codes, masks), n, rows
        loops = {
            count * _SHAPE + width: _coded_rows_loop(builder, (count, width), done, *rest)
            for count in (1, 2)
            for width in SIZES
            if count == 1 or width <= PAIRED
        }
        builder.position_at_end(some)
        _choose(builder, tall_value, size_value, loops)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.none(tall, size, out, begun, base, alpha, coded, n, rows), codegen


def _choose(builder, rows, vectors, loops):
    """Go to the loop of that shape: the last one, if there is none."""
    *cases, (_, last) = loops.items()
    number = builder.add(builder.mul(rows, ir.Constant(I64, _SHAPE)), vectors)
    choice = builder.switch(number, last)
    for case, loop in cases:
        choice.add_case(ir.Constant(I64, case), loop)


def _coded_rows_loop(builder, shape, done, out, begun, base, alpha, coded, n, rows):
    """The block in which ``add_coded_rows`` for that shape begins; n is not 0.

    The next row's mask is read before a row is summed: it would else wait behind all loads of that row, and
    hold up those of its own.
    """
    tall, count = shape
    zero, turn, places = ir.Constant(I64, 0), ir.Constant(I64, tall), _row(count)
    names = ("rows", "row", "loop", "end", "next")
    entry, row, loop, end, latch = (builder.append_basic_block(f"{name}{tall}x{count}") for name in names)

    def mask_at(pointer):
        own = [builder.load(builder.gep(pointer, [ir.Constant(I64, r)])) for r in range(tall)]
        return functools.reduce(builder.or_, own)

    builder.position_at_end(entry)
    codes, first_target = coded.codes, builder.gep(out.data, [out.at])
    first_mask, first_code = mask_at(coded.masks), builder.gep(codes.data, [codes.at])
    terms, last_mask_at = builder.gep(rows.data, [rows.at]), builder.gep(coded.masks, [n])
    builder.branch(row)

    builder.position_at_end(row)
    mask, is_begun = builder.phi(I64), builder.phi(I64)
    here, target, code = (builder.phi(start.type) for start in (coded.masks, first_target, first_code))
    following_at = builder.gep(here, [turn])
    following = mask_at(following_at)
    builder.cbranch(builder.icmp_unsigned("!=", mask, zero), loop, latch)

    builder.position_at_end(loop)
    left = builder.phi(I64)
    tile = [[builder.phi(kind) for _, kind in places] for _ in range(tall)]
    t = builder.cttz(left, ir.Constant(I1, 1))
    others = builder.and_(left, builder.sub(left, ir.Constant(I64, 1)))
    term = builder.gep(terms, [builder.mul(t, rows.row)])
    shared = [builder.load(_vector_at(builder, term, i, kind), align=4) for i, kind in places]
    new, place = [], builder.gep(code, [builder.mul(t, codes.column)])
    for sums in tile:
        value = builder.load(place)
        if value.type == BYTE:
            value = builder.load(builder.gep(coded.table, [builder.zext(value, I64)]))
        new.append(
            [
                emit_fma(builder, splat(builder, value, x.type), x, y)
                for x, y in zip(shared, sums, strict=True)
            ]
        )
        place = builder.gep(place, [codes.row])
    _enter(left, row, mask, loop, others)
    for sums, totals in zip(tile, new, strict=True):
        for before, after in zip(sums, totals, strict=True):
            _enter(before, row, ir.Constant(before.type, None), loop, after)
    builder.cbranch(builder.icmp_unsigned("!=", others, zero), loop, end)

    builder.position_at_end(end)
    source = builder.select(builder.trunc(is_begun, I1), target, base)
    _store_tile(
        builder, places, new, alpha, Matrix(target, zero, out.row, zero), Matrix(source, zero, out.row, zero)
    )
    builder.branch(latch)

    builder.position_at_end(latch)
    _enter(mask, entry, first_mask, latch, following)
    _enter(is_begun, entry, begun, latch, builder.lshr(is_begun, turn))
    _enter(here, entry, coded.masks, latch, following_at)
    _enter(target, entry, first_target, latch, builder.gep(target, [builder.mul(out.row, turn)]))
    _enter(code, entry, first_code, latch, builder.gep(code, [builder.mul(codes.row, turn)]))
    builder.cbranch(builder.icmp_unsigned("!=", following_at, last_mask_at), row, done)
    return entry


def _store_tile(builder, places, tile, alpha, out, base):
    """The tile that begins at ``out`` = the one at ``base`` + alpha times that tile."""
    to, start = out.at, base.at
    for sums in tile:
        target, source = builder.gep(out.data, [to]), builder.gep(base.data, [start])
        for total, (i, kind) in zip(sums, places, strict=True):
            before = builder.load(_vector_at(builder, source, i, kind), align=4)
            after = emit_fma(builder, splat(builder, alpha, kind), total, before)
            builder.store(after, _vector_at(builder, target, i, kind), align=4)
        to, start = builder.add(to, out.row), builder.add(start, base.row)


def _product_tile(rows, vectors, out, base, alpha, a, b, K):
    width = BYTES // out.data.itemsize * int(vectors)
    fused = rounded_once if out.data.dtype == np.float32 else almost_once
    tile = np.zeros((int(rows), width), out.data.dtype)
    for k in range(int(K)):
        row = b.data[int(b.at) + k * int(b.row) :][:width]
        for r, total in enumerate(tile):
            tile[r] = fused(a.data[int(a.at) + r * int(a.row) + k * int(a.column)], row, total)
    for r, total in enumerate(tile):
        start = base.data[int(base.at) + r * int(base.row) :][:width]
        out.data[int(out.at) + r * int(out.row) :][:width] = fused(alpha, total, start)


@with_twin(_product_tile)
def product_tile(typingctx, rows, vectors, out, base, alpha, a, b, K):
    """The tile (rows, vectors) at ``out`` = the one at ``base`` + alpha * A B; A (rows, K), B (K, vectors).

    All of float32, or all of float64. The shape is (1, vectors) or (TALL[vectors], vectors).
    """
    fits = all(_is_matrix(matrix, alpha) for matrix in (out, base, a, b)) and isinstance(K, types.Integer)
    if not (fits and rows == vectors == types.int64 and alpha in (types.float32, types.float64)):
        return None

    def codegen(context, builder, signature, args):
        rows_value, vectors_value, out, base, alpha, a, b, K = args
        out, base, a, b = (Matrix(*cgutils.unpack_tuple(builder, value)) for value in (out, base, a, b))
        done, start = builder.append_basic_block("done"), builder.block
        lanes = _lanes(signature.args[4])
        loops = {
            count * _SHAPE + width: _product_loop(
                builder, (count, _row(width, args[4].type, lanes)), done, out, base, alpha, a, b, K
            )
            for width, tall in TALL.items()
            for count in (1, tall)
        }
        builder.position_at_end(start)
        _choose(builder, rows_value, vectors_value, loops)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.none(rows, vectors, out, base, alpha, a, b, K), codegen


def _product_loop(builder, shape, done, out, base, alpha, a, b, K):
    """The block in which ``product_tile`` for a tile of so many of those rows begins."""
    count, row = shape
    names = ("tile", "test", "loop", "end")
    entry, test, loop, end = (builder.append_basic_block(f"{name}{count}x{len(row)}") for name in names)
    builder.position_at_end(entry)
    builder.branch(test)

    builder.position_at_end(test)
    k, a_here, b_here = (builder.phi(I64) for _ in range(3))
    tile = [[builder.phi(kind) for _, kind in row] for _ in range(count)]
    builder.cbranch(builder.icmp_signed("<", k, K), loop, end)

    builder.position_at_end(loop)
    pointer = builder.gep(b.data, [b_here])
    shared = [builder.load(_vector_at(builder, pointer, i, kind), align=4) for i, kind in row]
    following, place = [], a_here
    for sums in tile:
        scalar = builder.load(builder.gep(a.data, [place]), align=4)
        following += [
            emit_fma(builder, splat(builder, scalar, x.type), x, c) for x, c in zip(shared, sums, strict=True)
        ]
        place = builder.add(place, a.row)
    _enter(k, entry, ir.Constant(I64, 0), loop, builder.add(k, ir.Constant(I64, 1)))
    _enter(a_here, entry, a.at, loop, builder.add(a_here, a.column))
    _enter(b_here, entry, b.at, loop, builder.add(b_here, b.row))
    for before, after in zip((x for sums in tile for x in sums), following, strict=True):
        _enter(before, entry, ir.Constant(before.type, None), loop, after)
    builder.branch(test)

    builder.position_at_end(end)
    _store_tile(builder, row, tile, alpha, out, base)
    builder.branch(done)
    return entry


def _enter(phi, entry, first, loop, following):
    """Set what a variable of a loop holds before it, and after each turn."""
    phi.add_incoming(first, entry)
    phi.add_incoming(following, loop)
