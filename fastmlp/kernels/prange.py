"""The other driver: the two parts of a step as two of Numba's parallel loops, in place of a team.

Loaded, and compiled, only where it is asked for. Numba's threading layers bear neither two
launches at once nor a fork, so ``launching`` lets one in at a time and refuses a forked child.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import numba
from numba import prange
from numba.core import cgutils, types

from fastmlp.errors import ConfigError
from fastmlp.kernels.epoch import batch_from, part_of, samples, weights
from fastmlp.kernels.intrinsics import address, with_twin
from fastmlp.kernels.jit import device, kernel
from fastmlp.kernels.layout import seen_by
from fastmlp.kernels.looks import add_losses, look
from fastmlp.kernels.team import ABORT, DONE, STOP, atomic_load, atomic_store

_one_at_a_time = threading.Lock()
_launched_by: set[int] = set()  # the process whose threads they are


def run(state: Any, members: int, work: Any, job: Any) -> None:
    """``train`` with as many of Numba's threads as members, if there are so many."""
    numba.set_num_threads(min(members, numba.config.NUMBA_NUM_THREADS))  # of the thread that calls
    train(state, members, work, job)


@contextlib.contextmanager
def launching() -> Iterator[None]:
    """Alone in this process. Raises ConfigError in a forked child."""
    if _launched_by and os.getpid() not in _launched_by:
        raise ConfigError(
            'driver must be "team" in a forked process that used "prange" before it forked', "prange"
        )
    _launched_by.add(os.getpid())  # before the lock, which a child may find taken
    with _one_at_a_time:
        yield


@with_twin(lambda struct: struct)
def kept(typingctx, struct):
    """The address of a struct in this function's frame: Numba's parallel loops take no nested ones."""

    def codegen(context, builder, signature, args):
        place = cgutils.alloca_once_value(builder, args[0])
        return builder.bitcast(place, context.get_value_type(signature.return_type))

    return types.CPointer(struct)(struct), codegen


@with_twin(lambda pointer: pointer)
def struct_at(typingctx, pointer):
    """The struct that is ``kept`` there."""

    def codegen(context, builder, signature, args):
        kind = context.get_value_type(signature.return_type)
        return builder.load(builder.bitcast(args[0], kind.as_pointer()))

    return pointer.dtype(pointer), codegen


@kernel(parallel=True)
def train(state, members, work, job):
    """``epoch.train`` for all members: each of them is one turn of a parallel loop."""
    N, M, B, begin = job.N, job.training.M, job.training.B, job.training.first
    whole, whole_job = kept(address(work)), kept(address(job))
    while begin < N:
        n = min(B, M - begin % M)
        for phase in range(work.norms.n_phases):
            for m in prange(members):
                first_part(state, m, members, struct_at(whole), struct_at(whole_job), begin, n, phase)
        if atomic_load(state, ABORT) != 0:
            return
        sum_up(struct_at(whole_job), begin)
        for turn in range(job.training.limits.turns):
            for m in prange(members):
                second_part(state, m, members, struct_at(whole), struct_at(whole_job), begin, turn)
        if atomic_load(state, ABORT) != 0:
            return
        begin += n
        atomic_store(state, DONE, begin)
        looks = job.training.looks.wanted and begin % M == 0
        if looks and look_back(struct_at(whole_job), begin // M - 1):
            return
        if atomic_load(state, STOP) != 0:
            return


@device
def first_part(state, member, members, whole, job, begin, n, phase):
    """A phase of ``samples``, for a member's part of the n samples from ``begin`` on."""
    work = seen_by(whole, member, 0)
    lo, hi = part_of(n, work.norms.unit, member, members)
    samples(state, member, work, job, batch_from(job, begin), lo, hi, phase)


@device
def sum_up(job, begin):
    """Add the losses of the batch from ``begin`` on to those of its epoch."""
    plan = job.training
    add_losses(plan.looks, plan.totals, begin // plan.M, plan.losses, batch_from(job, begin))


@device
def look_back(job, epoch):
    """``look`` at that epoch."""
    return look(job.training.looks, job.training.totals, epoch)


@device
def second_part(state, member, members, whole, job, begin, turn):
    """``weights`` of the batch from ``begin`` on."""
    weights(state, member, members, seen_by(whole, member, 0), job, batch_from(job, begin), turn)
