"""Eight float32 lanes as one value, tiles of them as accumulators, and the two loops that sum in tiles.
Nothing here knows about nets.

A *tile* is a tuple of rows, a row a tuple of vectors of 8 lanes; both counts are part of its type,
so LLVM keeps it in registers, which it never does with a local array. Sums are of ``llvm.fma``, so results
do not depend on the vector width LLVM picks. Memory and twins are those of intrinsics.py.
"""

from __future__ import annotations

import functools

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.extending import register_model

from fastmlp.kernels.intrinsics import (
    BITS,
    FLOAT,
    I1,
    I32,
    I64,
    emit_fma,
    is_memory,
    rounded_once,
    with_twin,
)

LANES = 8
_is_host = not (numba.config.CPU_NAME or numba.config.CPU_FEATURES)  # what is compiled for
WIDEST = 16 if _is_host and binding.get_host_cpu_features().get("avx512f") else LANES
"""Lanes of this machine's longest vectors: rows that begin at a multiple of them are read sooner."""

_VECTOR, _PAIR = ir.VectorType(FLOAT, LANES), ir.VectorType(FLOAT, 2 * LANES)
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 11, 13)  # vectors of a row that ``add_coded_rows`` has loops for
TALL = {3: 4, 2: 6, 1: 8} if WIDEST == LANES else {6: 4, 4: 4, 2: 8, 1: 8}
"""By its width in vectors, the rows of a tile that 16 registers hold, or 32 of 16 lanes."""
PAIRED = 5 if WIDEST == LANES else SIZES[-1]  # vectors of a row of which two fit into the registers
_SHAPE = 8  # a tile's shape as one number: rows * _SHAPE + vectors


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name="float32x8")


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


vector = _Vector()


def _vector_at(builder, pointer, i, kind=_VECTOR):
    place = builder.gep(pointer, [ir.Constant(I64, i * kind.count)], source_etype=FLOAT)
    return builder.bitcast(place, kind.as_pointer())


def _row(vectors):
    """Places and kinds of a row of so many vectors, in pairs: 16 lanes take half the instructions."""
    pairs = [(i, _PAIR) for i in range(vectors // 2)]
    return pairs + [(i, _VECTOR) for i in range(2 * len(pairs), vectors)]


def _splat(builder, x, kind=_VECTOR):
    lane0 = builder.insert_element(ir.Constant(kind, ir.Undefined), x, ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, kind.count), None)
    return builder.shuffle_vector(lane0, ir.Constant(kind, ir.Undefined), zeros)


def _zeros(rows, vectors):
    return ((np.zeros(LANES, np.float32),) * vectors,) * rows


@with_twin(_zeros, prefer_literal=True)
def zeros(typingctx, rows, vectors):
    """A tile of that many rows of vectors, all 0."""
    tile = types.UniTuple(types.UniTuple(vector, vectors.literal_value), rows.literal_value)

    def codegen(context, builder, signature, args):
        row = context.make_tuple(builder, tile.dtype, [ir.Constant(_VECTOR, None)] * tile.dtype.count)
        return context.make_tuple(builder, tile, [row] * tile.count)

    return tile(rows, vectors), codegen


def _fma_row(tile, x, array, offset):
    (row,) = tile
    lanes = (array[int(offset) + LANES * i :][:LANES] for i in range(len(row)))
    return (tuple(rounded_once(x, b, c) for b, c in zip(lanes, row, strict=True)),)


@with_twin(_fma_row)
def fma_row(typingctx, tile, x, array, offset):
    """A tile of one row, plus x times the row of a matrix at array[offset]."""
    if not (is_memory(array, offset) and x == types.float32 and tile.count == 1):
        return None

    def codegen(context, builder, signature, args):
        tile_value, x_value, array_value, offset_value = args
        (row,) = cgutils.unpack_tuple(builder, tile_value, 1)
        scalar = _splat(builder, x_value)
        pointer = builder.gep(array_value, [offset_value])
        out = [
            emit_fma(builder, scalar, builder.load(_vector_at(builder, pointer, i), align=4), accumulator)
            for i, accumulator in enumerate(cgutils.unpack_tuple(builder, row, tile.dtype.count))
        ]
        return context.make_tuple(builder, tile, [context.make_tuple(builder, tile.dtype, out)])

    return tile(tile, x, array, offset), codegen


def _fma_tile(tile, a, a_at, a_step, b, b_at):
    return tuple(_fma_row((row,), a[int(a_at) + int(a_step) * r], b, b_at)[0] for r, row in enumerate(tile))


def _store_scaled(out, out_at, out_step, base, base_at, base_step, alpha, tile):
    for r, row in enumerate(tile):
        for i, sums in enumerate(row):
            start = base[int(base_at) + int(base_step) * r + LANES * i :][:LANES]
            out[int(out_at) + int(out_step) * r + LANES * i :][:LANES] = rounded_once(alpha, sums, start)


@with_twin(_store_scaled)
def store_scaled(typingctx, out, out_at, out_step, base, base_at, base_step, alpha, tile):
    """Row r of a matrix at out[out_at], out_step apart = that of base + alpha times row r of the tile."""
    fits = is_memory(out, out_at, out_step) and is_memory(base, base_at, base_step)
    if not (fits and alpha == types.float32):
        return None

    def codegen(context, builder, signature, args):
        out_value, to, out_by, base_value, start, base_by, alpha_value, tile_value = args
        scalar = _splat(builder, alpha_value)
        for row in cgutils.unpack_tuple(builder, tile_value, tile.count):
            source = builder.gep(base_value, [start])
            target = builder.gep(out_value, [to])
            for i, sums in enumerate(cgutils.unpack_tuple(builder, row, tile.dtype.count)):
                before = builder.load(_vector_at(builder, source, i), align=4)
                after = emit_fma(builder, scalar, sums, before)
                builder.store(after, _vector_at(builder, target, i), align=4)
            to, start = builder.add(to, out_by), builder.add(start, base_by)
        return context.get_dummy_value()

    return types.none(out, out_at, out_step, base, base_at, base_step, alpha, tile), codegen


def _add_coded_rows(
    tall, size, out, out_at, out_step, begun, base, base_at, alpha, masks, first, n,
    table, codes, code_at, code_step, code_next, rows, rows_at, rows_step,
):  # fmt: skip
    for i in range(int(n)):
        together = int(first) + i - i % int(tall)
        mask = int(np.bitwise_or.reduce(masks[together : together + int(tall)]))
        if not mask:
            continue
        tile, code = _zeros(1, int(size)), int(code_at) + i * int(code_step)
        for t in range(BITS):
            if mask >> t & 1:
                value = table[codes[code + t * int(code_next)]]
                tile = _fma_row(tile, value, rows, int(rows_at) + t * int(rows_step))
        at = int(out_at) + i * int(out_step)
        source, start = (out, at) if int(begun) >> i & 1 else (base, base_at)
        _store_scaled(out, at, 0, source, start, 0, alpha, tile)


@with_twin(_add_coded_rows, prefer_literal=True)
def add_coded_rows(
    typingctx, tall, size, out, out_at, out_step, begun, base, base_at, alpha, masks, first, n,
    table, codes, code_at, code_step, code_next, rows, rows_at, rows_step,
):  # fmt: skip
    """Row i < n of ``size`` vectors at out[out_at + i out_step] += alpha * a sum over the bits t of
    masks[first + i].

    A term is the value table[codes[code_at + i code_step + t code_next]] times the row at
    rows[rows_at + t rows_step]. A row whose bit of ``begun`` is 0 begins as the one at base[base_at]; where
    its mask is 0, it is left alone. tall, a literal: 1, or 2 for rows, all begun, that are summed in pairs
    over the bits of either; n is a multiple of it, and so many masks more can be read.

    size is one of SIZES, and up to PAIRED for pairs. A loop for each is written here, as tiles of so many
    types in Python would take 1 s to compile.
    """
    fits = is_memory(out, out_at, out_step) and is_memory(base, base_at) and is_memory(table)
    fits = fits and is_memory(masks, first, n, of=types.uint64) and is_memory(rows, rows_at, rows_step)
    if not (fits and is_memory(codes, code_at, code_step, code_next, of=types.uint8)):
        return None
    if not (size == types.int64 and begun == types.uint64 and alpha == types.float32):
        return None
    count = tall.literal_value

    def codegen(context, builder, signature, args):
        _, size_value, *rest = args
        n_value = rest[9]
        some, done = builder.append_basic_block("some"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", n_value, ir.Constant(I64, 0)), some, done)
        sizes = [width for width in SIZES if count == 1 or width <= PAIRED]
        loops = {width: _coded_rows_loop(builder, count, width, done, rest) for width in sizes}
        builder.position_at_end(some)
        _choose(builder, size_value, loops)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.none(
        tall, size, out, out_at, out_step, begun, base, base_at, alpha, masks, first, n,
        table, codes, code_at, code_step, code_next, rows, rows_at, rows_step,
    ), codegen  # fmt: skip


def _choose(builder, number, loops):
    """Go to the loop of that number: the last one, if there is none."""
    *cases, (_, last) = loops.items()
    choice = builder.switch(number, last)
    for case, loop in cases:
        choice.add_case(ir.Constant(I64, case), loop)


def _coded_rows_loop(builder, tall, count, done, args):
    """The block in which ``add_coded_rows`` for rows of count vectors begins; n is not 0.

    The next row's mask is read before a row is summed: it would else wait behind all loads of that row, and
    hold up those of its own.
    """
    (
        out, out_at, out_step, begun, base, base_at, alpha, masks, first, n,
        table, codes, code_at, code_step, code_next, rows, rows_at, rows_step,
    ) = args  # fmt: skip
    zero, turn, places = ir.Constant(I64, 0), ir.Constant(I64, tall), _row(count)
    names = ("rows", "row", "loop", "end", "next")
    entry, row, loop, end, latch = (builder.append_basic_block(f"{name}{tall}x{count}") for name in names)

    def mask_at(pointer):
        own = [builder.load(builder.gep(pointer, [ir.Constant(I64, r)])) for r in range(tall)]
        return functools.reduce(builder.or_, own)

    builder.position_at_end(entry)
    first_mask_at, first_target = builder.gep(masks, [first]), builder.gep(out, [out_at])
    first_mask, first_code = mask_at(first_mask_at), builder.gep(codes, [code_at])
    unbegun, terms = builder.gep(base, [base_at]), builder.gep(rows, [rows_at])
    last_mask_at = builder.gep(first_mask_at, [n])
    builder.branch(row)

    builder.position_at_end(row)
    mask, is_begun = builder.phi(I64), builder.phi(I64)
    here, target, code = (builder.phi(start.type) for start in (first_mask_at, first_target, first_code))
    following_at = builder.gep(here, [turn])
    following = mask_at(following_at)
    builder.cbranch(builder.icmp_unsigned("!=", mask, zero), loop, latch)

    builder.position_at_end(loop)
    left = builder.phi(I64)
    tile = [[builder.phi(kind) for _, kind in places] for _ in range(tall)]
    t = builder.cttz(left, ir.Constant(I1, 1))
    others = builder.and_(left, builder.sub(left, ir.Constant(I64, 1)))
    term = builder.gep(terms, [builder.mul(t, rows_step)])
    shared = [builder.load(_vector_at(builder, term, i, kind), align=4) for i, kind in places]
    new, place = [], builder.gep(code, [builder.mul(t, code_next)])
    for sums in tile:
        value = builder.load(builder.gep(table, [builder.zext(builder.load(place), I64)]))
        new.append(
            [
                emit_fma(builder, _splat(builder, value, x.type), x, y)
                for x, y in zip(shared, sums, strict=True)
            ]
        )
        place = builder.gep(place, [code_step])
    _enter(left, row, mask, loop, others)
    for sums, totals in zip(tile, new, strict=True):
        for before, after in zip(sums, totals, strict=True):
            _enter(before, row, ir.Constant(before.type, None), loop, after)
    builder.cbranch(builder.icmp_unsigned("!=", others, zero), loop, end)

    builder.position_at_end(end)
    source = builder.select(builder.trunc(is_begun, I1), target, unbegun)
    _store_tile(builder, places, new, alpha, target, zero, out_step, source, zero, out_step)
    builder.branch(latch)

    builder.position_at_end(latch)
    _enter(mask, entry, first_mask, latch, following)
    _enter(is_begun, entry, begun, latch, builder.lshr(is_begun, turn))
    _enter(here, entry, first_mask_at, latch, following_at)
    _enter(target, entry, first_target, latch, builder.gep(target, [builder.mul(out_step, turn)]))
    _enter(code, entry, first_code, latch, builder.gep(code, [builder.mul(code_step, turn)]))
    builder.cbranch(builder.icmp_unsigned("!=", following_at, last_mask_at), row, done)
    return entry


def _store_tile(builder, places, tile, alpha, out, out_at, out_step, base, base_at, base_step):
    """Row r at out[out_at + r out_step] = the one of base + alpha times row r of the tile."""
    for sums in tile:
        source, target = builder.gep(base, [base_at]), builder.gep(out, [out_at])
        for total, (i, kind) in zip(sums, places, strict=True):
            before = builder.load(_vector_at(builder, source, i, kind), align=4)
            after = emit_fma(builder, _splat(builder, alpha, kind), total, before)
            builder.store(after, _vector_at(builder, target, i, kind), align=4)
        out_at, base_at = builder.add(out_at, out_step), builder.add(base_at, base_step)


def _product_tile(
    rows, vectors, out, out_at, out_step, base, base_at, base_step, alpha,
    a, a_at, a_step, a_next, b, b_at, b_next, K,
):  # fmt: skip
    tile = _zeros(int(rows), int(vectors))
    for k in range(int(K)):
        tile = _fma_tile(tile, a, int(a_at) + k * int(a_next), a_step, b, int(b_at) + k * int(b_next))
    _store_scaled(out, out_at, out_step, base, base_at, base_step, alpha, tile)


@with_twin(_product_tile)
def product_tile(
    typingctx,
    rows, vectors, out, out_at, out_step, base, base_at, base_step, alpha,
    a, a_at, a_step, a_next, b, b_at, b_next, K,
):  # fmt: skip
    """A tile (rows, vectors) at out[out_at] = the one at base[base_at] + alpha * A B.

    A (rows, K) is a[a_at + r a_step + k a_next], row k of B is at b[b_at + k b_next]. The shape is
    (1, vectors) or (TALL[vectors], vectors); a loop for each is written here.
    """
    memories = (
        (out, out_at, out_step),
        (base, base_at, base_step),
        (a, a_at, a_step, a_next),
        (b, b_at, b_next, K),
    )
    fits = all(is_memory(*memory) for memory in memories)
    if not (fits and rows == vectors == types.int64 and alpha == types.float32):
        return None

    def codegen(context, builder, signature, args):
        rows_value, vectors_value, *rest = args
        done, start = builder.append_basic_block("done"), builder.block
        loops = {
            count * _SHAPE + width: _product_loop(builder, count, width, done, rest)
            for width, tall in TALL.items()
            for count in (1, tall)
        }
        builder.position_at_end(start)
        shape = builder.add(builder.mul(rows_value, ir.Constant(I64, _SHAPE)), vectors_value)
        _choose(builder, shape, loops)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.none(
        rows, vectors, out, out_at, out_step, base, base_at, base_step, alpha,
        a, a_at, a_step, a_next, b, b_at, b_next, K,
    ), codegen  # fmt: skip


def _product_loop(builder, count, width, done, args):
    """The block in which ``product_tile`` for a tile of that shape begins."""
    out, out_at, out_step, base, base_at, base_step, alpha, a, a_at, a_step, a_next, b, b_at, b_next, K = args
    names = ("tile", "test", "loop", "end")
    entry, test, loop, end = (builder.append_basic_block(f"{name}{count}x{width}") for name in names)
    builder.position_at_end(entry)
    builder.branch(test)

    builder.position_at_end(test)
    k, a_here, b_here = (builder.phi(I64) for _ in range(3))
    row = _row(width)
    tile = [[builder.phi(kind) for _, kind in row] for _ in range(count)]
    builder.cbranch(builder.icmp_signed("<", k, K), loop, end)

    builder.position_at_end(loop)
    pointer = builder.gep(b, [b_here])
    shared = [builder.load(_vector_at(builder, pointer, i, kind), align=4) for i, kind in row]
    following, place = [], a_here
    for sums in tile:
        scalar = builder.load(builder.gep(a, [place]), align=4)
        following += [
            emit_fma(builder, _splat(builder, scalar, x.type), x, c)
            for x, c in zip(shared, sums, strict=True)
        ]
        place = builder.add(place, a_step)
    _enter(k, entry, ir.Constant(I64, 0), loop, builder.add(k, ir.Constant(I64, 1)))
    _enter(a_here, entry, a_at, loop, builder.add(a_here, a_next))
    _enter(b_here, entry, b_at, loop, builder.add(b_here, b_next))
    for before, after in zip((x for sums in tile for x in sums), following, strict=True):
        _enter(before, entry, ir.Constant(before.type, None), loop, after)
    builder.branch(test)

    builder.position_at_end(end)
    _store_tile(builder, row, tile, alpha, out, out_at, out_step, base, base_at, base_step)
    builder.branch(done)
    return entry


def _enter(phi, entry, first, loop, following):
    """What a variable of a loop holds before it, and after each turn."""
    phi.add_incoming(first, entry)
    phi.add_incoming(following, loop)
