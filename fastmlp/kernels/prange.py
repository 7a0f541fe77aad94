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
import numpy as np
from numba import prange

from fastmlp.errors import ConfigError
from fastmlp.kernels.epoch import LOSS_BAD, WEIGHTS_BAD, samples, weights
from fastmlp.kernels.intrinsics import address
from fastmlp.kernels.jit import kernel
from fastmlp.kernels.losses import addresses_of_loss, weight_of_batch
from fastmlp.kernels.matmul import WORD
from fastmlp.kernels.optimizers import addresses_of_rule
from fastmlp.kernels.team import ABORT, DONE, STOP, atomic_load, atomic_store
from fastmlp.kernels.views import (
    addresses_of_net,
    addresses_of_rows,
    in_slot,
    of_member,
    sizes_of,
)

_ZERO = np.float32(0)
_one_at_a_time = threading.Lock()
_launched_by: set[int] = set()  # the process whose threads they are


def run(state: Any, members: int, net: Any, rows: Any, job: Any) -> None:
    """``train`` with as many of Numba's threads as members, if there are so many."""
    numba.set_num_threads(min(members, numba.config.NUMBA_NUM_THREADS))  # of the thread that calls
    train(state, members, net, rows, job)


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


@kernel(parallel=True)
def train(state, members, net, rows, job):
    """``loops.train`` for all members: each of them is one turn of a parallel loop."""
    sizes = sizes_of(net)
    net, rows = addresses_of_net(net), addresses_of_rows(rows)
    part = np.int64(WORD) * net.stride[0]
    N, B, target, order = len(job.order), job.B, address(job.target), address(job.order)
    losses, counts, totals = address(job.losses), address(job.counts), address(job.totals)
    splits, shares, bad = address(job.splits), address(job.shares), address(job.bad)
    act, alpha = job.act, job.alpha
    loss, rule = addresses_of_loss(job.loss), addresses_of_rule(job.rule)
    for begin in range(job.first, N, B):
        n = min(B, N - begin)
        weight = weight_of_batch(loss, order, begin, n)
        for m in prange(members):
            lo, hi = n * m // members, n * (m + 1) // members
            own = in_slot(of_member(net, m, sizes), 0, m * part, sizes)
            if not samples(
                state, own, own.parts, rows, loss, order, N, begin, B, n, lo, hi, weight, act, losses, counts,
                m, False,
            ):  # fmt: skip
                bad[8 * m], bad[8 * m + 1] = begin // B + 1, LOSS_BAD
                atomic_store(state, ABORT, np.int64(1))
        if atomic_load(state, ABORT) != 0:
            return
        for b in range(n):
            totals[0] += losses[b]
        for m in prange(members):
            if weight > _ZERO and not weights(
                target, alpha, of_member(net, m, sizes), rows, rule, order, begin, B, n, splits, shares, m
            ):
                bad[8 * m], bad[8 * m + 1] = begin // B + 1, WEIGHTS_BAD
                atomic_store(state, ABORT, np.int64(1))
        atomic_store(state, DONE, begin + n)
        if atomic_load(state, ABORT) != 0 or atomic_load(state, STOP) != 0:
            return
