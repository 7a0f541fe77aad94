"""The few instructions that Numba does not offer: of scalars, and of memory. Nothing here knows about nets.

Memory is the ``address`` of an array and an offset in elements; nothing is checked. ``llvm.fma`` rounds
once on every machine, in software where the hardware has none.

Each intrinsic has a twin in NumPy, which is what runs under NUMBA_DISABLE_JIT: it gives the same
bits, and says in Python what the intrinsic does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic

from fastmlp.kernels.jit import COMPILED

FLOAT, BYTE, I1, I32, I64 = ir.FloatType(), ir.IntType(8), ir.IntType(1), ir.IntType(32), ir.IntType(64)
_DOUBLE = ir.DoubleType()
BITS = 64  # of a mask

Builder = Callable[..., Any]


def with_twin(twin: Builder, **options: Any) -> Callable[[Builder], Any]:
    """Make an intrinsic of a function; or take its twin, where nothing is compiled."""

    def choose(builder: Builder) -> Any:
        if not COMPILED:
            return twin
        return intrinsic(**options)(builder) if options else intrinsic(builder)

    return choose


def is_memory(pointer, *offsets, of=types.float32):
    """True for the types of an address of such values, and of offsets."""
    return pointer == types.CPointer(of) and all(isinstance(offset, types.Integer) for offset in offsets)


def rounded_once(a, b, c):
    """float32(a * b + c): the product is exact in float64, the sum rounded to odd, then once to float32."""
    with np.errstate(all="ignore"):
        a, b, c = np.float64(a), np.float64(b), np.float64(c)
        product = a * b
        total = product + c
        back = total - product
        lost = (product - (total - back)) + (c - back)  # Knuth's two-sum
        bits = np.atleast_1d(total).view(np.int64)
        even = np.isfinite(total) & (lost != 0) & (bits.reshape(np.shape(total)) & 1 == 0)
        towards = np.where(lost > 0, np.inf, -np.inf)
        return np.where(even, np.nextafter(total, towards), total).astype(np.float32)[()]


def emit_fma(builder, a, b, c):
    """a * b + c, rounded once, for floats or vectors of one length: for the code of other intrinsics."""
    of = "f32" if getattr(a.type, "element", a.type) == FLOAT else "f64"
    kind = f"v{a.type.count}{of}" if isinstance(a.type, ir.VectorType) else of
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(a.type, [a.type] * 3), f"llvm.fma.{kind}"
    )
    return builder.call(function, [a, b, c])


def almost_once(a, b, c):
    """float64 a * b + c: of a product in an extended type, where there is one; the last bit may differ."""
    return np.float64(np.longdouble(a) * b + c)


def _fma(a, b, c):
    return almost_once(a, b, c) if isinstance(b, np.float64) else rounded_once(a, b, c)


@with_twin(_fma)
def fma(typingctx, a, b, c):
    """a * b + c, all of them float32 or float64, rounded once."""
    if not (a == b == c and a in (types.float32, types.float64)):
        return None

    def codegen(context, builder, signature, args):
        return emit_fma(builder, *args)

    return a(a, b, c), codegen


@with_twin(lambda x: x.view(np.int64) if isinstance(x, np.float64) else np.float32(x).view(np.int32))
def float_bits(typingctx, x):
    """The bits of a float32 as an int32, of a float64 as an int64."""
    kinds = {types.float32: (types.int32, I32), types.float64: (types.int64, I64)}
    if x not in kinds:
        return None

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], kinds[x][1])

    return kinds[x][0](x), codegen


@with_twin(lambda bits: bits.view(np.float64) if isinstance(bits, np.int64) else np.int32(bits).view("f4"))
def bits_float(typingctx, bits):
    """The float32 that an int32's bits stand for, or the float64 of an int64's."""
    kinds = {types.int32: (types.float32, FLOAT), types.int64: (types.float64, _DOUBLE)}
    if bits not in kinds:
        return None

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], kinds[bits][1])

    return kinds[bits][0](bits), codegen


@with_twin(lambda pointer, index: None)
def prefetch(typingctx, pointer, index):
    """Ask for the cache line of pointer[index] to be brought near; no more than a hint."""
    if not (isinstance(pointer, types.CPointer) and isinstance(index, types.Integer)):
        return None

    def codegen(context, builder, signature, args):
        place = builder.bitcast(builder.gep(args[0], [args[1]]), BYTE.as_pointer())
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [place.type, I32, I32, I32]),
            "llvm.prefetch.p0",
        )
        read, second_level, data_cache = (ir.Constant(I32, value) for value in (0, 2, 1))
        builder.call(function, [place, read, second_level, data_cache])
        return context.get_dummy_value()

    return types.none(pointer, index), codegen


def _address(value):
    if isinstance(value, np.ndarray):
        return value.reshape(-1)
    return type(value)(*map(_address, value)) if isinstance(value, tuple) else value


def addressed(kind):
    """The type of the address of an array of that type, or of a NamedTuple with addresses; else the same."""
    if isinstance(kind, types.Array):
        return types.CPointer(kind.dtype) if kind.layout == "C" else None
    if not isinstance(kind, types.BaseNamedTuple):
        return kind
    fields = [addressed(field) for field in kind]
    return None if None in fields else types.BaseTuple.from_types(fields, kind.instance_class)


@with_twin(_address)
def address(typingctx, value):
    """The address of a C-contiguous array's values; whoever calls keeps the array alive. A NamedTuple gets
    addresses in place of its arrays, at any depth.

    A pointer is indexed like a flat array. It has no reference counter, for which threads would
    wait, and no negative indices, which would stop vectorisation (18 against 2.3 ms for 6 million
    sigmoids).
    """
    found = addressed(value)
    if found is None:
        return None

    def emit(context, builder, kind, part):
        if isinstance(kind, types.Array):
            return context.make_array(kind)(context, builder, value=part).data
        if not isinstance(kind, types.BaseNamedTuple):
            return part
        fields = zip(kind, cgutils.unpack_tuple(builder, part), strict=True)
        return context.make_tuple(
            builder, addressed(kind), [emit(context, builder, *field) for field in fields]
        )

    def codegen(context, builder, signature, args):
        return emit(context, builder, value, args[0])

    return found(value), codegen


@with_twin(lambda pointer, elements: pointer[int(elements) :])
def shifted(typingctx, pointer, elements):
    """A pointer to what lies so many elements further on."""
    if not (isinstance(pointer, types.CPointer) and isinstance(elements, types.Integer)):
        return None

    def codegen(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, elements), codegen


def _nth(parts, i, steps):
    return type(parts)(*(part[int(i) * int(step) :] for part, step in zip(parts, steps, strict=True)))


@with_twin(_nth)
def nth(typingctx, parts, i, steps):
    """A NamedTuple of pointers, each moved on by i times its step; steps: a NamedTuple of the same fields."""
    alike = isinstance(parts, types.BaseNamedTuple) and isinstance(steps, types.BaseNamedTuple)
    if not (alike and parts.instance_class is steps.instance_class and isinstance(i, types.Integer)):
        return None

    def codegen(context, builder, signature, args):
        pointers, sizes = (cgutils.unpack_tuple(builder, args[k]) for k in (0, 2))
        moved = [
            builder.gep(pointer, [builder.mul(args[1], size)])
            for pointer, size in zip(pointers, sizes, strict=True)
        ]
        return context.make_tuple(builder, parts, moved)

    return parts(parts, i, steps), codegen


def _values_at(kind, size):
    return lambda place: np.ctypeslib.as_array(
        ctypes.cast(int(place), ctypes.POINTER(kind)), (2**33 // size,)
    )


def _memory_at(of, kind):
    """The code of an intrinsic that makes an address of a number."""

    def pointer(typingctx, place):
        if place != types.int64:
            return None

        def codegen(context, builder, signature, args):
            return builder.inttoptr(args[0], kind.as_pointer())

        return types.CPointer(of)(place), codegen

    return pointer


@with_twin(_values_at(ctypes.c_float, 4))
def pointer_at(typingctx, place):
    """The float32 that lie at an address given as a number; whoever calls keeps them alive."""
    return _memory_at(types.float32, FLOAT)(typingctx, place)


@with_twin(_values_at(ctypes.c_double, 8))
def doubles_at(typingctx, place):
    """The float64 that lie at an address given as a number."""
    return _memory_at(types.float64, ir.DoubleType())(typingctx, place)


def _copy_word(out, at, source, start):
    word = np.array(source[int(start) :][:BITS])
    out[int(at) :][:BITS] = word
    return np.packbits(word != 0, bitorder="little").view("<u8").astype(np.uint64)[0]


@with_twin(_copy_word)
def copy_word(typingctx, out, at, source, start):
    """Copy 64 bytes; returns a uint64 whose bit i tells whether byte i is not 0."""
    if not (is_memory(out, at, of=types.uint8) and is_memory(source, start, of=types.uint8)):
        return None

    def codegen(context, builder, signature, args):
        kind = ir.VectorType(BYTE, BITS)
        to, origin = (builder.bitcast(builder.gep(args[i], [args[i + 1]]), kind.as_pointer()) for i in (0, 2))
        word = builder.load(origin, align=1)
        builder.store(word, to, align=1)
        return builder.bitcast(builder.icmp_unsigned("!=", word, ir.Constant(kind, None)), I64)

    return types.uint64(out, at, source, start), codegen


def _not_zero(values):
    return np.packbits(values[:BITS] != 0, bitorder="little").view("<u8").astype(np.uint64)[0]


@with_twin(_not_zero)
def not_zero(typingctx, values):
    """A uint64 whose bit i tells whether the i-th of 64 floats is not 0."""
    if not is_memory(values):
        return None

    def codegen(context, builder, signature, args):
        kind = ir.VectorType(FLOAT, BITS)
        word = builder.load(builder.bitcast(args[0], kind.as_pointer()), align=4)
        return builder.bitcast(builder.fcmp_unordered("!=", word, ir.Constant(kind, None)), I64)

    return types.uint64(values), codegen


@with_twin(lambda mask: int(mask).bit_count())
def count_ones(typingctx, mask):
    """Count the bits of a uint64 that are 1."""
    if mask != types.uint64:
        return None

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(mask), codegen
