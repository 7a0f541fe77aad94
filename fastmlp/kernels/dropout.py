"""Dropout: which inputs and units a step leaves out, drawn from a counter as random.py says.

Philox gives the numbers of 64 units at a time in 5 to 12 ns (in vectors of 512 or 256 bits): so a mask is
drawn again for the update, not kept. The loops are plug-ins, one for each form of what is thinned out: codes
and their masks, rows of floats, entries of compressed rows; those that are centred are spread out first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from fastmlp import random
from fastmlp.kernels import intrinsics
from fastmlp.kernels.intrinsics import BITS, BYTE, I32, I64, is_memory, with_twin
from fastmlp.kernels.jit import device
from fastmlp.kernels.plug_ins import BOOL, FLOAT, FLOATS, INT, NOTHING, PlugIn, caller, kind
from fastmlp.kernels.simd import LANES, splat
from fastmlp.words.layers import Architecture

_u = np.uint64
_MULTIPLIERS, _STEPS, _WORD = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85), 0xFFFFFFFF
_LOW, _HALF, _SHORT, _SIXTEEN = _u(_WORD), _u(32), _u(0xFFFF), _u(16)
_M0, _M1, _S0, _S1 = (_u(x) for x in (*_MULTIPLIERS, *_STEPS))
_NO_BITS, _BIT = _u(0), _u(1)
_BLOCKS = 8  # counters, which give the numbers of a word of units: four words of two numbers each


class Draw(NamedTuple):
    """The numbers of what a pass of training leaves out.

    numbers: the two words of Philox' key, and the epoch, a word of counters. parts (depth,): of the inputs,
    then of each hidden layer, how many of random.GRAIN are left out; growth (depth,): the factor of others.
    inputs, floats: the places of the plug-ins for the inputs in their form, and for rows of floats; or 0.
    """

    numbers: NDArray[np.int64]
    parts: NDArray[np.int64]
    growth: NDArray[np.float32]
    inputs: int
    floats: int


def draw_of(architecture: Architecture, form: str, draw: tuple[int, int] | None) -> Draw:
    """The Draw of a pass.

    form: of the rows, in the words of PLUG_INS. draw: seed and epoch of a training; None: all is kept.
    """
    shares = [architecture.input_dropout, *(layer.dropout for layer in architecture.layers)]
    if draw is None or not any(shares):
        kept = np.ones(len(shares), np.float32)
        return NO_DRAW._replace(parts=np.zeros(len(shares), np.int64), growth=kept)
    seed, epoch = draw
    return Draw(
        np.array([*random.key_of(seed, "dropout"), epoch], np.int64),
        np.array([random.parts_out(share) if share else 0 for share in shares], np.int64),
        np.array([random.growth(share) if share else 1 for share in shares], np.float32),
        PLUG_INS[form].place if shares[0] else 0, PLUG_INS["floats"].place if any(shares) else 0,
    )  # fmt: skip


NO_DRAW = Draw(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), 0, 0)


def _kept_word(draw, layer, place, word):
    blocks = _BLOCKS * int(word) + np.arange(_BLOCKS)
    counter, key = (blocks, int(place), int(layer), int(draw.numbers[2])), draw.numbers[:2].tolist()
    r0, r1, r2, r3 = random.philox4x32(counter, key)
    numbers = np.concatenate([r0 | r1 << _HALF, r2 | r3 << _HALF]).astype("<u8").view("<u2")
    return np.packbits(numbers >= draw.parts[int(layer)], bitorder="little").view("<u8").astype(_u)[0]


@with_twin(_kept_word)
def kept_word(typingctx, draw, layer, place, word):
    """A uint64 whose bit i tells whether unit 64 word + i of a layer is kept, by the sample at that place."""
    if getattr(draw, "instance_class", None) is not Draw or not layer == place == word == types.int64:
        return None

    def codegen(context, builder, signature, args):
        layer, place, word = args[1:]
        numbers, parts = (builder.extract_value(args[0], i) for i in range(2))
        key0, key1, epoch = (builder.load(builder.gep(numbers, [ir.Constant(I64, i)])) for i in range(3))
        vector = ir.VectorType(I64, _BLOCKS)
        half = ir.Constant(vector, [32] * _BLOCKS)
        keys, (m0, m1) = (key0, key1), (ir.Constant(vector, [m] * _BLOCKS) for m in _MULTIPLIERS)
        first = splat(builder, builder.mul(word, ir.Constant(I64, _BLOCKS)), vector)
        c0 = builder.add(first, ir.Constant(vector, list(range(_BLOCKS))))
        c1, c2, c3 = (splat(builder, each, vector) for each in (place, layer, epoch))
        low = ir.Constant(vector, [_WORD] * _BLOCKS)
        for turn in range(random.ROUNDS):
            k0, k1 = (
                builder.add(each, ir.Constant(I64, turn * step))
                for each, step in zip(keys, _STEPS, strict=True)
            )
            k0, k1 = (
                splat(builder, builder.and_(each, ir.Constant(I64, _WORD)), vector) for each in (k0, k1)
            )
            one, two = builder.mul(c0, m0), builder.mul(c2, m1)
            c0, c1, c2, c3 = (
                builder.xor(builder.xor(builder.lshr(two, half), c1), k0), builder.and_(two, low),
                builder.xor(builder.xor(builder.lshr(one, half), c3), k1), builder.and_(one, low),
            )  # fmt: skip
        shorts = ir.VectorType(ir.IntType(16), BITS // 2)
        left, right = (
            builder.bitcast(builder.or_(a, builder.shl(b, half)), shorts) for a, b in ((c0, c1), (c2, c3))
        )
        places = ir.Constant(ir.VectorType(I32, BITS), list(range(BITS)))
        numbers = builder.shuffle_vector(left, right, places)
        least = builder.trunc(builder.load(builder.gep(parts, [layer])), ir.IntType(16))
        kept = builder.icmp_unsigned(">=", numbers, splat(builder, least, numbers.type))
        return builder.bitcast(kept, I64)

    return types.uint64(draw, layer, place, word), codegen


def _keep_floats(out, at, mask, growth):
    kept = (int(mask) >> np.arange(LANES, dtype=object) & 1).astype(bool)
    some = out[int(at) :][:LANES]
    some[...] = np.where(kept, some * growth, np.float32(0))


@with_twin(_keep_floats)
def keep_floats(typingctx, out, at, mask, growth):
    """Multiply LANES floats by growth where their bit, of the lowest of the mask, is set; else they are 0."""
    if not (is_memory(out, at) and mask == types.uint64 and growth == types.float32):
        return None

    def codegen(context, builder, signature, args):
        kind = ir.VectorType(intrinsics.FLOAT, LANES)
        here = builder.bitcast(builder.gep(args[0], [args[1]]), kind.as_pointer())
        kept = builder.bitcast(builder.trunc(args[2], ir.IntType(LANES)), ir.VectorType(ir.IntType(1), LANES))
        grown = builder.fmul(builder.load(here, align=4), splat(builder, args[3], kind))
        builder.store(builder.select(kept, grown, ir.Constant(kind, [0.0] * LANES)), here, align=4)
        return context.get_dummy_value()

    return types.none(out, at, mask, growth), codegen


def _keep_codes(codes, at, mask):
    kept = np.unpackbits(np.array([mask], "<u8").view(np.uint8), bitorder="little")
    codes[int(at) :][:BITS] *= kept


@with_twin(_keep_codes)
def keep_codes(typingctx, codes, at, mask):
    """Make 64 bytes 0 where their bit of the mask is not set."""
    if not (is_memory(codes, at, of=types.uint8) and mask == types.uint64):
        return None

    def codegen(context, builder, signature, args):
        kind = ir.VectorType(BYTE, BITS)
        here = builder.bitcast(builder.gep(args[0], [args[1]]), kind.as_pointer())
        kept = builder.bitcast(args[2], ir.VectorType(ir.IntType(1), BITS))
        builder.store(
            builder.select(kept, builder.load(here, align=1), ir.Constant(kind, None)), here, align=1
        )
        return context.get_dummy_value()

    return types.none(codes, at, mask), codegen


def _thin_codes(draw, codes, masks, word, place, n):
    for b in range(n):
        kept = kept_word(draw, np.int64(0), place + b, word)
        masks[b] &= kept
        keep_codes(codes, b * BITS, kept)


def _thin_floats(draw, layer, place, n, a, b, both, stride, first, width):
    growth = draw.growth[layer]
    for i in range(n):
        row, word = i * stride, first
        for start in range(0, width, BITS):
            kept = kept_word(draw, layer, place + i, word)
            for j in range(row + start, row + min(start + BITS, width), LANES):
                keep_floats(a, j, kept, growth)
                if both:
                    keep_floats(b, j, kept, growth)
                kept >>= _u(LANES)
            word += 1


@device
def _number(draw, place, input_):
    """The number of 16 bits of an input, by itself."""
    key0, key1, epoch = _u(draw.numbers[0]), _u(draw.numbers[1]), _u(draw.numbers[2])
    unit = _u(input_)
    c0, c1, c2, c3 = (unit >> _u(6) << _u(3)) | (unit >> _u(2) & _u(7)), _u(place), _NO_BITS, epoch
    for _ in range(random.ROUNDS):
        one, two = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (two >> _HALF) ^ c1 ^ key0, two & _LOW, (one >> _HALF) ^ c3 ^ key1, one & _LOW
        key0, key1 = (key0 + _S0) & _LOW, (key1 + _S1) & _LOW
    if unit & _u(32) != _NO_BITS:
        c0, c1 = c2, c3
    pair = c1 if unit & _u(2) != _NO_BITS else c0
    return np.int64((pair >> _SIXTEEN if unit & _BIT != _NO_BITS else pair) & _SHORT)


def _kept_entries(draw, place, columns, first, n):
    kept = _NO_BITS
    for i in range(n):
        is_kept = _number(draw, place, columns[first + i]) >= draw.parts[0]
        kept |= _u(is_kept) << _u(i)
    return kept


def _spread(inputs, mean, values, columns, n, left, right, factor, scales):
    for j in range(left, right):
        inputs[j] = -mean[j]
    for t in range(n):
        if columns[t] < right:
            inputs[columns[t]] += values[t] * factor * scales[columns[t]]


_BYTES, _MASKS, _COLUMNS = (
    types.CPointer(each)  # type: ignore[attr-defined]
    for each in (types.uint8, types.uint64, types.int32)
)

THIN_CODES = kind(NOTHING, NO_DRAW, _BYTES, _MASKS, INT, INT, INT)
thin_codes = caller(THIN_CODES)
"""thin_codes(draw.codes, draw, codes, masks, word, place, n): codes of a word of inputs, side by side, and
their masks, of n samples from that place in the order on: those that are left out become 0."""

THIN_FLOATS = kind(NOTHING, NO_DRAW, INT, INT, INT, FLOATS, FLOATS, BOOL, INT, INT, INT)
thin_floats = caller(THIN_FLOATS)
"""thin_floats(draw.floats, draw, layer, place, n, a, b, both, stride, first, width): n rows of a, ``stride``
apart, of so many units of a layer, whole vectors of them, from word ``first`` on: what is left out becomes 0,
the others grow. ``both``: b too."""

KEPT_ENTRIES = kind(types.uint64, NO_DRAW, INT, _COLUMNS, INT, INT)
kept_entries = caller(KEPT_ENTRIES)
"""kept_entries(draw.entries, draw, place, columns, first, n): bit i tells whether input columns[first + i] is
kept; n is at most 64."""

SPREAD_OUT = kind(NOTHING, FLOATS, FLOATS, FLOATS, _COLUMNS, INT, INT, INT, FLOAT, FLOATS)
spread = caller(SPREAD_OUT)
"""spread(draw.inputs, inputs, mean, values, columns, n, left, right, factor, scales): inputs left..right - 1
of a row = its n entries from column left on, times factor and scales, less the mean."""

PLUG_INS = {
    "codes": PlugIn("thin_codes", _thin_codes, THIN_CODES),
    "floats": PlugIn("thin_floats", _thin_floats, THIN_FLOATS),
    "spread": PlugIn("spread", _spread, SPREAD_OUT),
    "entries": PlugIn("kept_entries", _kept_entries, KEPT_ENTRIES),
}
