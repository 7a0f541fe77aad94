"""Peak of the machine: multiply-adds from registers, and loads from each level of memory.

Measured by small compiled loops, on one core and on all of them together. The best of several tries
counts, since a limit was reached even if only once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.extending import intrinsic

_CHAINS = (
    12  # sums that do not wait for each other: 2 units of a latency of 4 need 8, and 16 registers hold 12
)
_LANES = (8, 16)  # of AVX2 and AVX-512; the faster counts
_BYTES = {"L1": 24 << 10, "L2": 1 << 18, "memory": 1 << 27}
_SPELL = 0.02  # seconds a try lasts
_TRIES = 8


@dataclass(frozen=True)
class Peak:
    """GFLOP/s in float32 (a multiply-add is two) of one core and of all, and GB/s of loads by one core."""

    core: float
    machine: float
    cores: int
    loads: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return asdict(self)


def measure(cores: int) -> Peak:
    """The peak of one core, and of that many together; takes a second or two."""
    core, kernel = max(((_flops(kernel, 1), kernel) for kernel in (_fma8, _fma16)), key=lambda pair: pair[0])
    machine = _flops(kernel, cores) if cores > 1 else core
    return Peak(core, max(machine, core), cores, {level: _loads(size) for level, size in _BYTES.items()})


def _flops(kernel: Any, threads: int) -> float:
    per_turn = 2 * _CHAINS * (8 if kernel is _fma8 else 16)
    rate = _rate(lambda turns: kernel(turns, np.float32(0.999), np.float32(0.001)), threads)
    return rate * per_turn / 1e9


def _loads(size: int) -> float:
    raw = np.ones(size // 4 + 16, np.float32)
    array = raw[-raw.ctypes.data % 64 // 4 :][: size // 4]  # a load that straddles two lines counts twice
    return _rate(lambda turns: _sum(array, turns), 1) * array.nbytes / 1e9


def _rate(work: Callable[[int], object], threads: int) -> float:
    """Turns a second of all threads together: the best of several tries."""
    work(1)  # compiles
    turns = 1
    while _timed(work, turns, 1) < _SPELL:
        turns *= 2
    return max(threads * turns / _timed(work, turns, threads) for _ in range(_TRIES))


def _timed(work: Callable[[int], object], turns: int, threads: int) -> float:
    """Seconds from the moment the first thread begins until the last is done."""
    if threads == 1:
        started = time.perf_counter()
        work(turns)
        return time.perf_counter() - started
    gate = threading.Barrier(threads)
    spans: list[tuple[float, float]] = []

    def run() -> None:
        gate.wait()
        started = time.perf_counter()
        work(turns)
        spans.append((started, time.perf_counter()))

    team = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    return max(end for _, end in spans) - min(start for start, _ in spans)


def _chains(builder: ir.IRBuilder, lanes: int, turns: ir.Value, step: Callable[..., ir.Value]) -> ir.Value:
    """A loop that advances every chain once a turn; returns the sum of all lanes."""
    kind = ir.VectorType(ir.FloatType(), lanes)
    sums = [cgutils.alloca_once_value(builder, ir.Constant(kind, None)) for _ in range(_CHAINS)]
    with cgutils.for_range(builder, turns) as loop:
        for i, place in enumerate(sums):
            builder.store(step(loop.index, i, builder.load(place)), place)
    total = builder.load(sums[0])
    for place in sums[1:]:
        total = builder.fadd(total, builder.load(place))
    out = builder.extract_element(total, ir.Constant(ir.IntType(32), 0))
    for lane in range(1, lanes):
        out = builder.fadd(out, builder.extract_element(total, ir.Constant(ir.IntType(32), lane)))
    return out


def _fma_loop(lanes: int) -> Any:
    """turns times sum = a * sum + b, in every lane of every chain, without a load."""

    @intrinsic
    def loop(typingctx: Any, turns: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
            kind = ir.VectorType(ir.FloatType(), lanes)
            fma = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fma.v{lanes}f32"
            )
            factor, summand = _splat(builder, args[1], kind), _splat(builder, args[2], kind)
            return _chains(
                builder, lanes, args[0], lambda turn, i, chain: builder.call(fma, [factor, chain, summand])
            )

        return types.float32(types.int64, types.float32, types.float32), codegen

    @njit(nogil=True)
    def run(turns, a, b):
        return loop(turns, a, b)

    return run


@intrinsic
def _sum_loop(typingctx: Any, array: Any, turns: Any) -> Any:
    """The sum of turns x (12 x 8) floats in a row."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        kind = ir.VectorType(ir.FloatType(), 8)
        data = context.make_array(array)(context, builder, value=args[0]).data

        def add(turn: ir.Value, i: int, chain: ir.Value) -> ir.Value:
            start = builder.add(builder.mul(turn, _int64(8 * _CHAINS)), _int64(8 * i))
            pointer = builder.bitcast(builder.gep(data, [start]), kind.as_pointer())
            return builder.fadd(chain, builder.load(pointer, align=4))

        return _chains(builder, 8, args[1], add)

    return types.float32(array, types.int64), codegen


def _int64(value: int) -> ir.Constant:
    return ir.Constant(ir.IntType(64), value)


def _splat(builder: ir.IRBuilder, value: ir.Value, kind: ir.VectorType) -> ir.Value:
    out = ir.Constant(kind, ir.Undefined)
    for lane in range(kind.count):
        out = builder.insert_element(out, value, ir.Constant(ir.IntType(32), lane))
    return out


_fma8, _fma16 = (_fma_loop(lanes) for lanes in _LANES)


@njit(nogil=True)
def _sum(array, turns):
    """The array's sum, taken ``turns`` times."""
    total = np.float32(0)
    for _ in range(turns):
        total += _sum_loop(array, len(array) // (8 * _CHAINS))
    return total
