"""Passes over data: a Job for the compiled loops, run by a team of threads or by Numba's prange.

Knows how work is split among threads, and for how long; epoch.py knows what is computed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.state import rates
from fastmlp.backends.threads import ThreadTuner, available_cores
from fastmlp.backends.types import EpochTotals, Midway, Pause, seconds_of
from fastmlp.data.encode import Encoded
from fastmlp.errors import ConfigError
from fastmlp.kernels import activations, epoch, jit, layout, losses, optimizers, team
from fastmlp.losses import clip_bounds
from fastmlp.net import Net, Parameters
from fastmlp.optimizers import Optimizer

Array = NDArray[Any]

_FEW = 64  # rows that are answered before a second thread would have started
_UNEVEN = 0.12  # of the inputs' work: with more than 0.5 and this in a half, waiting costs what caches win
_BRIEF = 10**9  # multiplications that take no longer than a person's Ctrl-C: some 0.1 s

_ran: set[str] = set()  # the kernels that this process has compiled, or loaded

_NONE = np.empty(0, np.float32)
_LOSS = losses.Loss(
    y=np.empty(0, np.int64), squared=False, targets=_NONE, weighted=False, weights=_NONE,
    clipped=False, low=np.float32(0), high=np.float32(1),
)  # fmt: skip
PLAIN_RULE = optimizers.Rule(
    plain=True, adam=False, nesterov=False, momentum=np.float32(0), rest1=np.float32(0),
    beta2=np.float32(0), rest2=np.float32(0), epsilon=np.float32(0), weight_decay=np.float32(0),
    alpha=np.float32(0), m=_NONE, v=_NONE, rates=_NONE,
)  # fmt: skip
_JOB = epoch.Job(
    train=False, loss=_LOSS, rule=PLAIN_RULE, order=np.empty(0, np.int64), first=0, B=0,
    target=np.empty(0, np.float32), alpha=np.float32(0), totals=np.zeros(1),
    counts=np.zeros((1, 8), np.int64), bad=np.zeros((1, 8), np.int64),
    splits=np.zeros(2, np.int64), shares=np.zeros(2), halved=False,
    p=np.empty(0, np.float32), losses=np.empty(0, np.float32), hits=np.empty(0, np.bool_),
    active=np.empty((1, 0), np.bool_), keep=False, raw=False, act=0,
)  # fmt: skip


def is_warm(kernel: str = "run") -> bool:
    """Whether a kernel need not be compiled: "run", or "prange" for that driver's."""
    return kernel in _ran or jit.is_kept(kernel)


def answer(
    work: layout.Net, rows: layout.Rows, order: Array, threads: int, net: Net,
    loss: losses.Loss = _LOSS, **wanted: Any,
) -> None:  # fmt: skip
    """The net's answers for the rows ``order`` (N,), into the arrays of a Job that are given."""
    N = len(order)
    members = threads if N > _FEW else 1
    job = _JOB._replace(order=layout.plain(order), act=_act(net), loss=loss, **wanted)
    team.run(
        lambda state, m: epoch.run(state, m, members, work, rows, job),
        members,
        available_cores(),
        brief="run" in _ran and N * len(work.theta) <= _BRIEF,
    )
    _note("run")


def train(
    work: layout.Net,
    X: Encoded,
    rows: layout.Rows,
    order: Array,
    B: int,
    target: Array,
    alpha: float,
    net: Net,
    loss: losses.Loss,
    pace: ThreadTuner,
    rule: optimizers.Rule = PLAIN_RULE,
    progress: Callable[[int], None] | None = None,
    midway: Midway | None = None,
    pause: Pause | None = None,
) -> tuple[EpochTotals, tuple[str, int] | None]:
    """A pass of training, in slices of time, each with as many threads as ``pace`` says.

    midway: where it goes on; its parameters are those of ``work``, its moments those of ``rule``.
    Also returns what became non-finite, and in which batch (from 1).
    """
    counts, bad = np.zeros((pace.most, 8), np.int64), np.zeros((pace.most, 8), np.int64)
    job = _JOB._replace(
        train=True, loss=loss, rule=rule, order=layout.plain(order), B=B, target=target,
        alpha=np.float32(alpha), totals=np.zeros(1), counts=counts, bad=bad,
        losses=np.empty(B, np.float32), act=_act(net),
    )  # fmt: skip
    if midway is not None:
        job, counts[0, :2] = job._replace(first=midway.samples), (midway.correct, midway.live)
        job.totals[0] = midway.loss
    launch = _prange if pace.driver == "prange" else _team
    most, left = 0, math.inf
    while job.first < len(order) and not bad[:, 0].any():
        if pause is not None:
            left = seconds_of(pause, partial(_midway, work, job, rule))
        threads, seconds = pace.next()
        halves = _halves(X, rows, work) if pace.driver == "team" and threads == 2 else None
        splits, shares = _split(X, threads) if halves is None else halves
        job = job._replace(splits=splits, shares=shares, halved=halves is not None)
        work.bounds.fill(np.inf)  # nothing is known of the weights that a member has now
        started = time.perf_counter()
        members, done, late = launch(
            threads, work, rows, job, progress, min(seconds, left), seconds == math.inf
        )
        pace.note(threads, done - job.first, time.perf_counter() - started, late)
        most, job = max(most, members), job._replace(first=done if done else len(order))
    correct, live = counts[:, :2].sum(axis=0).tolist()
    whole = float(loss.weights[order].sum(dtype=np.float64)) if loss.weighted else len(order)
    totals = EpochTotals(float(job.totals[0]) / (whole or 1.0), correct, live, len(order), most)
    if not bad[:, 0].any():
        return totals, None
    batch, cause = bad[bad[:, 0] > 0][0, :2].tolist()
    return totals, ("loss" if cause == epoch.LOSS_BAD else "weights", batch)


def _midway(work: layout.Net, job: epoch.Job, rule: optimizers.Rule) -> Midway:
    """The pass between two slices."""
    averages = (rule.m, rule.v) if rule.adam else (rule.v,) if len(rule.v) else ()
    correct, live = job.counts[:, :2].sum(axis=0).tolist()
    moments = tuple(layout.unpack(work, average) for average in averages)
    parameters = layout.unpack(work, work.theta)
    return Midway(int(job.first), float(job.totals[0]), correct, live, parameters, moments)


def _team(
    threads: int,
    work: layout.Net,
    rows: layout.Rows,
    job: epoch.Job,
    progress: Any,
    seconds: float,
    patient: bool,
) -> tuple[int, int, bool]:
    outcome = team.run(
        lambda state, m: epoch.run(state, m, threads, work, rows, job),
        threads,
        available_cores(),
        progress,
        seconds=seconds,
        patient=patient,
        brief="run" in _ran and len(job.order) * len(work.theta) <= _BRIEF,
    )
    _note("run")
    return outcome


def _prange(
    threads: int,
    work: layout.Net,
    rows: layout.Rows,
    job: epoch.Job,
    progress: Any,
    seconds: float,
    patient: bool,
) -> tuple[int, int, bool]:
    from fastmlp.kernels import prange

    with prange.launching():
        _, done, late = team.run(
            lambda state, m: prange.run(state, threads, work, rows, job), 1, 1, progress,
            seconds=seconds, patient=patient,
        )  # fmt: skip
    _note("prange")
    return threads, done, late


def loss_of(loss: str, y: Array, weights: Array | None = None) -> losses.Loss:
    """The loss of that name against classes y (N,), or numbers (N, K) for ``squared``."""
    found = _LOSS
    if weights is not None:
        found = found._replace(weighted=True, weights=layout.plain(weights))
    if loss == "squared":
        return found._replace(squared=True, targets=layout.plain(y.reshape(-1)))
    if bounds := clip_bounds(loss):
        low, high = (np.float32(bound) for bound in bounds)
        found = found._replace(clipped=True, low=low, high=high)
    return found._replace(y=layout.plain(y))


def rule_of(
    optimizer: Optimizer,
    lr: float,
    work: layout.Net,
    taken: int,
    moments: tuple[Parameters, ...],
    batches: int,
) -> optimizers.Rule:
    """The optimizer's rule for so many batches after the steps taken, its averages laid out as theta."""
    averages = [layout.laid_out(work, moment) for moment in moments]
    return optimizers.Rule(
        plain=optimizer.plain,
        adam=optimizer.name == "adam",
        nesterov=optimizer.nesterov,
        momentum=np.float32(optimizer.momentum),
        rest1=np.float32(1 - optimizer.beta1),
        beta2=np.float32(optimizer.beta2),
        rest2=np.float32(1 - optimizer.beta2),
        epsilon=np.float32(optimizer.epsilon),
        weight_decay=np.float32(optimizer.weight_decay),
        alpha=np.float32(optimizer.alpha),
        m=averages[0] if len(averages) == 2 else _NONE,
        v=averages[-1] if averages else _NONE,
        rates=rates(optimizer, lr, taken, batches).astype(np.float32).reshape(-1),
    )


def _split(X: Encoded, threads: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Job.splits and Job.shares that give members equal work, in each layer."""
    share = X.counts / max(1, X.counts.max(initial=0)) if X.sparse else np.ones(X.shape[1])
    work = np.append(share, 1) + 0.01  # a row costs a little even without samples
    ends = np.searchsorted(np.cumsum(work), work.sum() * np.arange(1, threads) / threads)
    splits = np.concatenate([[0], ends, [len(work)]]).astype(np.int64)
    return splits, np.arange(threads + 1) / threads


def _halves(
    X: Encoded, rows: layout.Rows, work: layout.Net
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """``_split`` for two members that keep to their halves of the inputs; None if that does not pay.

    Whose half has less work has more of the deeper layers.
    """
    D, middle = X.shape[1], work.middle
    counts = X.counts if X.sparse else np.ones(D)
    first = float(counts[:middle].sum() / max(1, counts.sum()))
    if rows.form == layout.CSR or (X.sparse and rows.centred) or middle == D or abs(first - 0.5) > _UNEVEN:
        return None
    inputs = X.density * D if X.sparse else D
    more = 2 * (1 - 2 * first) * inputs * work.stride[0]  # multiplications of the second half, a sample
    deeper = max(1.0, float((work.fan_in * work.stride)[1:].sum()))
    return np.array([0, middle, D + 1]), np.array([0, np.clip(0.5 + more / (2 * deeper), 0, 1), 1])


def _note(kernel: str) -> None:
    """Remember that a kernel is compiled."""
    if kernel not in _ran:
        _ran.add(kernel)
        jit.keep(kernel)


def _act(net: Net) -> int:
    acts = set(net.architecture.acts)
    if len(acts) > 1:
        raise ConfigError("hidden layers must all have the same activation", ", ".join(net.architecture.acts))
    return activations.ACTS[acts.pop()] if acts else 0
