"""Passes over data: a Job for the compiled loops, run by a team of threads or by Numba's prange.

Knows how work is split among threads, and for how long; loops.py knows what is computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.config import clip_bounds
from fastmlp.cores import Pace, available_cores
from fastmlp.data.encode import Encoded
from fastmlp.kernels import jit, loops, maths, net, team
from fastmlp.results import EpochTotals

Array = NDArray[Any]

_FEW = 64  # rows that are answered before a second thread would have started
_BRIEF = 10**9  # multiplications that take no longer than a person's Ctrl-C: some 0.1 s

_ran: set[str] = set()  # the kernels that this process has compiled, or loaded

_JOB = loops.Job(
    train=False, y=np.empty(0, np.int64), order=np.empty(0, np.int64), first=0, B=0,
    target=np.empty(0, np.float32), alpha=np.float32(0), totals=np.zeros(1),
    counts=np.zeros((1, 8), np.int64), bad=np.zeros((1, 8), np.int64), splits=np.zeros(2, np.int64),
    p=np.empty(0, np.float32),
    losses=np.empty(0, np.float32), hits=np.empty(0, np.bool_), active=np.empty((1, 0), np.bool_),
    keep=False, act=0, clipped=False, low=np.float32(0), high=np.float32(1),
)  # fmt: skip


def is_warm(kernel: str = "run") -> bool:
    """Whether a kernel need not be compiled: "run", or "prange" for that driver's."""
    return kernel in _ran or jit.is_kept(kernel)


def answer(
    work: net.Net, rows: net.Rows, N: int, threads: int, act: str, loss: str = "logits", **wanted: Any
) -> None:
    """The net's answers for N rows, into the arrays of a Job that are given."""
    members = threads if N > _FEW else 1
    if "y" in wanted:
        wanted["y"] = net.plain(wanted["y"])
    job = _job(act, loss)._replace(order=np.arange(N), **wanted)
    team.run(
        lambda state, m: loops.run(state, m, members, work, rows, job),
        members,
        available_cores(),
        brief="run" in _ran and N * len(work.theta) <= _BRIEF,
    )
    _note("run")


def train(
    work: net.Net,
    X: Encoded,
    rows: net.Rows,
    y: Array,
    order: Array,
    B: int,
    target: Array,
    alpha: float,
    act: str,
    loss: str,
    pace: Pace,
    driver: str = "team",
    progress: Callable[[int], None] | None = None,
) -> tuple[EpochTotals, tuple[str, int] | None]:
    """A pass of training, in slices of time, each with as many threads as ``pace`` says.

    Also returns what became non-finite, and in which batch (from 1).
    """
    counts, bad = np.zeros((pace.most, 8), np.int64), np.zeros((pace.most, 8), np.int64)
    job = _job(act, loss)._replace(
        train=True, y=net.plain(y), order=net.plain(order), B=B, target=target, alpha=np.float32(alpha),
        totals=np.zeros(1), counts=counts, bad=bad, losses=np.empty(B, np.float32),
    )  # fmt: skip
    launch = _prange if driver == "prange" else _team
    most = 0
    while job.first < len(order) and not bad[:, 0].any():
        threads, seconds = pace.next()
        job = job._replace(splits=_split(X, threads))
        started = time.perf_counter()
        members, done, late = launch(threads, work, rows, job, progress, seconds)
        pace.note(threads, done - job.first, time.perf_counter() - started, late)
        most, job = max(most, members), job._replace(first=done if done else len(order))
    correct, live = counts[:, :2].sum(axis=0).tolist()
    totals = EpochTotals(float(job.totals[0]) / len(order), correct, live, len(order), most)
    if not bad[:, 0].any():
        return totals, None
    batch, cause = bad[bad[:, 0] > 0][0, :2].tolist()
    return totals, ("loss" if cause == loops.LOSS_BAD else "weights", batch)


def _team(
    threads: int, work: net.Net, rows: net.Rows, job: loops.Job, progress: Any, seconds: float
) -> tuple[int, int, bool]:
    outcome = team.run(
        lambda state, m: loops.run(state, m, threads, work, rows, job),
        threads,
        available_cores(),
        progress,
        seconds=seconds,
        brief="run" in _ran and len(job.order) * len(work.theta) <= _BRIEF,
    )
    _note("run")
    return outcome


def _prange(
    threads: int, work: net.Net, rows: net.Rows, job: loops.Job, progress: Any, seconds: float
) -> tuple[int, int, bool]:
    from fastmlp.kernels import prange

    with prange.launching():
        _, done, late = team.run(
            lambda state, m: prange.run(state, threads, work, rows, job), 1, 1, progress, seconds=seconds
        )
    _note("prange")
    return threads, done, late


def _job(act: str, loss: str) -> loops.Job:
    """What every job with that activation and loss has in common."""
    bounds = clip_bounds(loss)
    low, high = (np.float32(bound) for bound in bounds or (0, 1))
    return _JOB._replace(act=maths.ACTS[act], clipped=bounds is not None, low=low, high=high)


def _split(X: Encoded, threads: int) -> NDArray[np.int64]:
    """First-layer rows (the bias last) in shares of equal work: member m has splits[m]..splits[m + 1] - 1."""
    share = X.counts / max(1, X.counts.max(initial=0)) if X.sparse else np.ones(X.shape[1])
    work = np.append(share, 1) + 0.01  # a row costs a little even without samples
    ends = np.searchsorted(np.cumsum(work), work.sum() * np.arange(1, threads) / threads)
    return np.concatenate([[0], ends, [len(work)]]).astype(np.int64)


def _note(kernel: str) -> None:
    """Remember that a kernel is compiled."""
    if kernel not in _ran:
        _ran.add(kernel)
        jit.keep(kernel)
