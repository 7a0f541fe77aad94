"""Eight float32 lanes as one value, tuples of them as accumulators, and the few scalar
instructions that Numba does not offer. Nothing here knows about nets.

A *block* is a tuple of n vectors of 8 lanes, n a compile-time constant: LLVM keeps it in
registers, which it never does with a local array. Memory is a 1-D float32 array and an offset
in elements; nothing is checked. ``llvm.fma`` rounds once on every machine (in software where
the hardware has none), so results do not depend on the vector width LLVM picks.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.extending import intrinsic
from numba.extending import register_model

LANES = 8

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name="float32x8")


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


vector = _Vector()


def _pointer(context, builder, array_type, array, offset):
    data = context.make_array(array_type)(context, builder, value=array).data
    return builder.gep(data, [offset], inbounds=True, source_etype=_FLOAT)


def _step(builder, offset, by):
    return builder.add(offset, ir.Constant(offset.type, by))


def _fma(builder, a, b, c):
    kind = "v8f32" if a.type == _VECTOR else "f32"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(a.type, [a.type] * 3), f"llvm.fma.{kind}"
    )
    return builder.call(function, [a, b, c])


def _splat(builder, x):
    lane0 = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), x, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(lane0, ir.Constant(_VECTOR, ir.Undefined), zeros)


def _load(builder, pointer):
    return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=4)


def _store(builder, value, pointer):
    builder.store(value, builder.bitcast(pointer, _VECTOR.as_pointer()), align=4)


def _is_memory(array, offset):
    return (
        isinstance(array, types.Array)
        and array.dtype == types.float32
        and array.ndim == 1
        and isinstance(offset, types.Integer)
    )


@intrinsic(prefer_literal=True)
def zeros(typingctx, n):
    """A block of n vectors, all 0."""
    block = types.UniTuple(vector, n.literal_value)

    def codegen(context, builder, signature, args):
        return context.make_tuple(builder, block, [ir.Constant(_VECTOR, None)] * block.count)

    return block(n), codegen


@intrinsic
def fma_row(typingctx, block, x, array, offset):
    """block[i] + x * array[offset + 8 i : + 8]: one row of a matrix, times a scalar."""
    if not (_is_memory(array, offset) and x == types.float32):
        return None

    def codegen(context, builder, signature, args):
        block_value, x_value, array_value, offset_value = args
        scalar = _splat(builder, x_value)
        pointer = _pointer(context, builder, array, array_value, offset_value)
        out = []
        for i, accumulator in enumerate(cgutils.unpack_tuple(builder, block_value, block.count)):
            row = builder.gep(pointer, [ir.Constant(ir.IntType(64), i * LANES)], source_etype=_FLOAT)
            out.append(_fma(builder, scalar, _load(builder, row), accumulator))
        return context.make_tuple(builder, block, out)

    return block(block, x, array, offset), codegen


@intrinsic
def fma_column(typingctx, block, x, x_offset, array, offset, stride):
    """block[i] + x[x_offset : + 8] * array[offset + i stride : + 8]: several dot products at once."""
    if not (_is_memory(array, offset) and _is_memory(x, x_offset) and isinstance(stride, types.Integer)):
        return None

    def codegen(context, builder, signature, args):
        block_value, x_value, x_offset_value, array_value, offset_value, stride_value = args
        shared = _load(builder, _pointer(context, builder, x, x_value, x_offset_value))
        out = []
        for accumulator in cgutils.unpack_tuple(builder, block_value, block.count):
            row = _pointer(context, builder, array, array_value, offset_value)
            out.append(_fma(builder, shared, _load(builder, row), accumulator))
            offset_value = builder.add(offset_value, stride_value)
        return context.make_tuple(builder, block, out)

    return block(block, x, x_offset, array, offset, stride), codegen


@intrinsic
def store_scaled(typingctx, out, out_offset, base, base_offset, alpha, block):
    """out[out_offset + 8 i : + 8] = base[base_offset + 8 i : + 8] + alpha * block[i]."""
    if not (_is_memory(out, out_offset) and _is_memory(base, base_offset) and alpha == types.float32):
        return None

    def codegen(context, builder, signature, args):
        out_value, out_at, base_value, base_at, alpha_value, block_value = args
        scalar = _splat(builder, alpha_value)
        for accumulator in cgutils.unpack_tuple(builder, block_value, block.count):
            start = _load(builder, _pointer(context, builder, base, base_value, base_at))
            pointer = _pointer(context, builder, out, out_value, out_at)
            _store(builder, _fma(builder, scalar, accumulator, start), pointer)
            out_at, base_at = _step(builder, out_at, LANES), _step(builder, base_at, LANES)
        return context.get_dummy_value()

    return types.none(out, out_offset, base, base_offset, alpha, block), codegen


@intrinsic
def store_sums(typingctx, out, out_offset, block):
    """out[out_offset + i] = sum of the lanes of block[i], by halves: always the same order."""
    if not _is_memory(out, out_offset):
        return None

    def codegen(context, builder, signature, args):
        out_value, out_at, block_value = args
        int32 = ir.IntType(32)
        for vectors in cgutils.unpack_tuple(builder, block_value, block.count):
            width = LANES
            while width > 1:
                width //= 2
                undefined = ir.Constant(vectors.type, ir.Undefined)
                half = ir.VectorType(int32, width)
                low = builder.shuffle_vector(vectors, undefined, ir.Constant(half, list(range(width))))
                high = builder.shuffle_vector(
                    vectors, undefined, ir.Constant(half, list(range(width, 2 * width)))
                )
                vectors = builder.fadd(low, high)
            total = builder.extract_element(vectors, ir.Constant(int32, 0))
            builder.store(total, _pointer(context, builder, out, out_value, out_at), align=4)
            out_at = _step(builder, out_at, 1)
        return context.get_dummy_value()

    return types.none(out, out_offset, block), codegen


@intrinsic
def fma(typingctx, a, b, c):
    """a * b + c in float32, rounded once."""
    if not a == b == c == types.float32:
        return None

    def codegen(context, builder, signature, args):
        return _fma(builder, *args)

    return types.float32(a, b, c), codegen


@intrinsic
def float_bits(typingctx, x):
    """The 32 bits of a float32 as an int32."""
    if x != types.float32:
        return None

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(x), codegen


@intrinsic
def bits_float(typingctx, bits):
    """The float32 that an int32's bits stand for."""
    if bits != types.int32:
        return None

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], _FLOAT)

    return types.float32(bits), codegen


@intrinsic
def trailing_zeros(typingctx, bits):
    """How many zero bits lie below the lowest set bit of a non-zero uint64."""
    if bits != types.uint64:
        return None

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(bits), codegen


@intrinsic
def prefetch(typingctx, array, index):
    """Ask for the cache line of array[index] to be brought near; no more than a hint."""
    if not (isinstance(array, types.Array) and array.ndim == 1 and isinstance(index, types.Integer)):
        return None

    def codegen(context, builder, signature, args):
        data = context.make_array(array)(context, builder, value=args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        int32 = ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [pointer.type, int32, int32, int32]),
            "llvm.prefetch.p0",
        )
        read, keep, data_cache = (ir.Constant(int32, value) for value in (0, 3, 1))
        builder.call(function, [pointer, read, keep, data_cache])
        return context.get_dummy_value()

    return types.none(array, index), codegen


@intrinsic
def borrow(typingctx, array):
    """The same array without its reference counter, for which threads wait; the caller keeps it alive."""
    if not isinstance(array, types.Array):
        return None

    def codegen(context, builder, signature, args):
        bare = context.make_array(array)(context, builder, value=args[0])
        bare.meminfo = ir.Constant(bare.meminfo.type, None)
        bare.parent = ir.Constant(bare.parent.type, None)
        return bare._getvalue()

    return array(array), codegen
