"""A team of threads that run one compiled function together, and the barrier they meet at.

The calling thread only waits: it hears Ctrl-C, reports progress, and stops the team. No Numba
threading layer is used, so fits may run in several Python threads, in forked children and in
process pools. Nothing here knows about nets.
"""

from __future__ import annotations

import math
import os
import platform
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numpy.typing import NDArray

from fastmlp import forks
from fastmlp.backends.threads import start
from fastmlp.kernels.intrinsics import with_twin
from fastmlp.kernels.jit import device

# Words of a team's state, a cache line (8 words) apart.
# STOP asks for an end when the batch is done; LEAVE is after how many samples the team agrees to; ABORT is at
# once.
# LATE counts up to 0 the waits so long that a member was not running: then the team leaves too.
# LAST is who came last to a barrier. READY, two words: how far each of two members is.
ARRIVED, GENERATION, ABORT, SPINS, DONE, NEXT, STOP, LEAVE, LATE, LAST, READY = (8 * i for i in range(11))
_WORDS = READY + 16

_GENERATION = np.int64(GENERATION)  # not literal: wait_for would be compiled anew for it
_POLL = 0.05  # seconds between two looks at the team's progress
_ASIDE = 1e-5  # seconds that all but one let pass before they begin: Linux then wakes them on a free core
_PATIENCE = 0.5  # seconds that members are waited for after Ctrl-C or a failure
MOST_SPINS = 2000  # looks before the processor is yielded: about 50 us
MOST_LATE = 6  # waits longer than that, less one a step: a slice of limited time ends, others have the cores


def _is_state(state: Any) -> bool:
    return bool(isinstance(state, types.Array) and state.dtype == types.int64)


def _word(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, value=array).data
    return builder.gep(data, [index], inbounds=True, source_etype=ir.IntType(64))


_one_at_a_time = threading.Lock()
forks.wait_for(_one_at_a_time)


def _atomic_add(state, index, value):
    with _one_at_a_time:
        before = int(state[index])
        state[index] += value
    return before


@with_twin(_atomic_add)
def atomic_add(typingctx, state, index, value):
    """state[index] += value as one step; returns what was there before."""
    if not (_is_state(state) and value == types.int64):
        return None

    def codegen(context, builder, signature, args):
        pointer = _word(context, builder, state, args[0], args[1])
        return builder.atomic_rmw("add", pointer, args[2], "seq_cst")

    return types.int64(state, types.int64, value), codegen


@with_twin(lambda state, index: int(state[index]))
def atomic_load(typingctx, state, index):
    """state[index], and everything written before it was stored."""
    if not _is_state(state):
        return None

    def codegen(context, builder, signature, args):
        pointer = _word(context, builder, state, args[0], args[1])
        return builder.load_atomic(pointer, "acquire", 8, typ=ir.IntType(64))

    return types.int64(state, types.int64), codegen


def _atomic_store(state, index, value):
    state[index] = value


@with_twin(_atomic_store)
def atomic_store(typingctx, state, index, value):
    """state[index] = value, visible after everything written before."""
    if not (_is_state(state) and value == types.int64):
        return None

    def codegen(context, builder, signature, args):
        pointer = _word(context, builder, state, args[0], args[1])
        builder.store_atomic(args[2], pointer, "release", 8)
        return context.get_dummy_value()

    return types.none(state, types.int64, value), codegen


@with_twin(lambda: None)
def pause(typingctx):
    """Tell the core that this is a waiting loop (x86; nothing elsewhere)."""

    def codegen(context, builder, signature, args):
        if platform.machine().lower() in ("x86_64", "amd64"):
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause"
            )
            builder.call(function, [])
        return context.get_dummy_value()

    return types.none(), codegen


@with_twin(lambda: time.sleep(0))
def yield_core(typingctx):
    """Let another thread of the system have this core."""

    def codegen(context, builder, signature, args):
        name = "SwitchToThread" if os.name == "nt" else "sched_yield"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(32), []), name)
        builder.call(function, [])
        return context.get_dummy_value()

    return types.none(), codegen


@device
def wait_for(state, word, value):
    """Wait until state[word] is at least value; False if the team was told to stop meanwhile."""
    looks = 0
    while atomic_load(state, word) < value:
        if atomic_load(state, ABORT) != 0:
            return False
        looks += 1
        if looks > state[SPINS]:
            if looks == state[SPINS] + 1:
                atomic_add(state, LATE, 1)
            yield_core()
        else:
            pause()
    return True


@device
def barrier(state, member, members):
    """Wait until all members have come; False if the team was told to stop meanwhile."""
    if members > 1:
        generation = atomic_load(state, GENERATION)
        if atomic_add(state, ARRIVED, 1) == members - 1:
            atomic_store(state, ARRIVED, 0)
            atomic_store(state, LAST, member)
            atomic_store(state, GENERATION, generation + 1)
        elif not wait_for(state, _GENERATION, generation + 1):
            return False
    return atomic_load(state, ABORT) == 0


def run(
    member: Callable[[NDArray[np.int64], int], None],
    members: int,
    cores: int,
    progress: Callable[[int], None] | None = None,
    *,
    seconds: float = math.inf,
    patient: bool = False,
    brief: bool = False,
) -> tuple[int, int, bool]:
    """Call ``member(state, m)`` for each m < members, each in a thread of its own; wait for all.

    ``progress`` is called with the word DONE of the state now and then, and at the end. An exception in a
    member, in ``progress`` or in the waiting thread (Ctrl-C) stops the others at their next
    barrier and is raised here. After ``seconds`` they are asked to leave when their batch is done;
    with such a limit they also leave by themselves where they wait for each other too often, unless they are
    ``patient``.
    ``brief`` work of a single member, too short for Ctrl-C to matter, needs no thread. Returns how
    many members ran to their end, DONE, and whether they left because they waited too often.
    """
    state = np.zeros(_WORDS, np.int64)
    state[SPINS] = MOST_SPINS if members <= cores else 0
    state[LATE] = -MOST_LATE if math.isfinite(seconds) and not patient else -(2**62)
    if brief and members == 1:
        member(state, 0)
        if progress is not None:
            progress(int(state[DONE]))
        return 1, int(state[DONE]), False
    failures: list[BaseException] = []
    ran: list[int] = []

    def work(m: int) -> None:
        try:
            if m:
                time.sleep(_ASIDE)
            member(state, m)
            ran.append(m)
        except BaseException as failure:  # raised again below, in the caller's thread
            failures.append(failure)
            state[ABORT] = 1

    threads = [
        threading.Thread(target=work, args=(m,), name=f"fastmlp-{m}", daemon=True) for m in range(members)
    ]
    started: list[threading.Thread] = []
    deadline = time.monotonic() + seconds  # on a busy machine, starting a thread takes its time too
    try:
        for thread in threads:
            start(thread)
            started.append(thread)
        for thread in started:
            while thread.is_alive():
                left = deadline - time.monotonic()
                if left <= 0:
                    state[STOP], left = 1, _POLL
                thread.join(min(_POLL, left))
                if progress is not None:
                    progress(int(state[DONE]))
    finally:
        state[ABORT] = 1
        deadline = time.monotonic() + _PATIENCE
        for thread in started:  # one that is compiling cannot be stopped: it ends later, and harms nothing
            thread.join(max(0.0, deadline - time.monotonic()))
    if failures:
        raise failures[0]
    if progress is not None:
        progress(int(state[DONE]))
    return len(ran), int(state[DONE]), bool(state[LATE] >= 0)
