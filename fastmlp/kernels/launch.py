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

from fastmlp.backends.threads import ThreadTuner, available_cores
from fastmlp.backends.types import EpochTotals, Midway, Pause, Watch, seconds_of
from fastmlp.data.encode import Encoded
from fastmlp.kernels import epoch, jit, layout, limits, looks, losses, optimizers, rules, team
from fastmlp.kernels.batch_norm import running_pairs

Array = NDArray[Any]

_FEW = 64  # rows that are done before a second thread would have started
UNEVEN = 0.12  # of the inputs' work: with more than 0.5 and this in a half, waiting costs what caches win
BRIEF = 10**9  # multiplications that take no longer than a person's Ctrl-C: some 0.1 s
_OF_SAMPLE, _OF_STEP = 500, 10**4  # the same of all that is done beside them
TINY = 10**7  # multiplications that are done before a second thread has started and gained
TINY_STEP = 5 * 10**5  # the same of a step: two threads lose more where they wait for each other

_ran: set[str] = set()  # the kernels that this process has compiled, or loaded

_NONE, _NO_ROWS = np.empty(0, np.float32), np.empty(0, np.int64)


_NO_COUNTS = np.zeros((1, 1, 8), np.int64)  # of the types that trainings have: all jobs share one kernel
_TRAINING = epoch.Training(
    rule=optimizers.NO_RULE, limits=limits.NO_LIMITS, looks=looks.NO_LOOKS, first=0, M=0, B=0, target=_NONE,
    alphas=_NONE, rows=_NO_ROWS, losses=_NONE, totals=np.zeros(1), counts=_NO_COUNTS, bad=_NO_COUNTS[0],
    splits=_NO_ROWS, shares=np.zeros(0), halved=False,
)  # fmt: skip
_OUTPUTS = epoch.Outputs(
    p=_NONE, link=0, losses=_NONE, correct=_NO_ROWS, active=np.empty((1, 0), np.bool_), keep=False
)


def is_warm(kernel: str = "run") -> bool:
    """True where a kernel need not be compiled: "run", or "prange" for that driver's."""
    return kernel in _ran or jit.is_kept(kernel)


def outputs(
    work: layout.Work,
    rows: layout.Rows,
    order: Array,
    threads: int,
    loss: losses.Loss = losses.NO_LOSS,
    **wanted: Any,
) -> None:
    """Fill those arrays of epoch.Outputs that are given, for the rows ``order`` (N,)."""
    N = len(order)
    members = threads if N > _FEW and N * len(work.weights.theta) > TINY else 1
    job = epoch.Job(
        train=False, rows=rows, order=layout.plain(order), N=N, loss=loss, training=_TRAINING,
        outputs=_OUTPUTS._replace(**wanted),
    )  # fmt: skip
    team.run(
        lambda state, m: epoch.run(state, m, members, work, job),
        members,
        available_cores(),
        brief="run" in _ran and N * len(work.weights.theta) <= BRIEF,
    )
    _note("run")


class Parts:
    """The shares of a team's members in the weights of a pass over X: by their number, found once."""

    def __init__(self, X: Encoded, rows: layout.Rows, place: layout.Layout, shortens: bool) -> None:
        self._X, self._rows, self._layout, self._shortens = X, rows, place, shortens
        self._found: dict[tuple[int, bool], dict[str, Any]] = {}

    def of(self, threads: int, by_team: bool) -> dict[str, Any]:
        """Fields of epoch.Training."""
        if (found := self._found.get((threads, by_team))) is None:
            own = by_team and threads == 2 and not self._shortens  # else none of its weights is a member's
            halves = _halves(self._X, self._rows, self._layout) if own else None
            splits, shares = _split(self._X, self._rows, threads) if halves is None else halves
            found = {"splits": splits, "shares": shares, "halved": halves is not None}
            self._found[threads, by_team] = found
        return found


def train(
    work: layout.Work,
    parts: Parts,
    job: epoch.Job,
    pace: ThreadTuner,
    progress: Callable[[int], None] | None = None,
    midway: Midway | None = None,
    pause: Pause | None = None,
) -> tuple[list[EpochTotals], tuple[str, int] | None]:
    """A pass of training, in slices of time, each with as many threads as ``pace`` says; little work has one.

    midway: where it goes on; its parameters are those of ``work``, its moments those of the job's rule.
    Returns the totals of the epochs that were finished, all of them unless the pass was watched; and what
    became non-finite, and in which batch of all (from 1).
    """
    N, M, E, most, left = job.N, job.training.M, job.N // job.training.M, 0, math.inf
    counts, bad = np.zeros((E, work.members, 8), np.int64), np.zeros((work.members, 8), np.int64)
    plan = job.training._replace(totals=np.zeros(E), counts=counts, bad=bad)
    if midway is not None:
        plan, counts[0, 0, :2] = plan._replace(first=midway.samples), (midway.correct, midway.live)
        plan.totals[0] = midway.loss
    by_team = pace.driver == "team"
    launch = _team if by_team else _prange
    tiny = work.members == 1 or is_tiny(N, plan.B, len(work.weights.theta))
    while plan.first < N and not bad[:, 0].any() and not plan.looks.watch[looks.STOPS]:
        if pause is not None:
            left = seconds_of(pause, partial(_midway, work, plan))
        threads, seconds = (1, math.inf) if tiny else pace.next()
        plan = plan._replace(**parts.of(threads, by_team))
        work.scratch.bound.fill(np.inf)  # nothing is known of the weights that a member has now
        started = time.perf_counter()
        members, done, late = launch(
            threads, work, job._replace(training=plan), progress, min(seconds, left), tiny or pace.is_fixed
        )
        if done > plan.first and not tiny:  # nor where all stopped at their first batch, which diverged
            pace.note(threads, done - plan.first, time.perf_counter() - started, late)
        most, plan = max(most, members), plan._replace(first=done if done else N)
    if bad[:, 0].any():
        number, cause = bad[bad[:, 0] > 0][0, :2].tolist()
        return [], ("loss" if cause == epoch.LOSS_BAD else "weights", number)
    hits = counts[:, :, :2].sum(axis=1).tolist()
    return [
        EpochTotals(total / whole, correct, live, M, most, squares=squares)
        for total, (whole, squares), (correct, live) in zip(
            plan.totals.tolist(), plan.looks.sums.tolist(), hits, strict=True
        )
    ][: plan.first // M], None


def is_tiny(N: int, B: int, P: int) -> bool:
    """Tell whether N samples, B in a step, of a net with P parameters are work for one thread alone."""
    return N * P <= TINY or B * P <= TINY_STEP


def is_brief(N: int, B: int, P: int) -> bool:
    """Tell whether N samples, B in a step, of a net with P parameters are done before a person's Ctrl-C."""
    return N * (P + _OF_SAMPLE) + N // B * _OF_STEP <= BRIEF


def _midway(work: layout.Work, plan: epoch.Training) -> Midway:
    """The pass between two slices."""
    correct, live = plan.counts[0, :, :2].sum(axis=0).tolist()
    moments = tuple(layout.unpack(work.layout, average) for average in optimizers.averages(plan.rule))
    parameters = layout.unpack(work.layout, work.weights.theta)
    for place, array in running_pairs(work.norms, parameters):
        array[...] = place
    return Midway(int(plan.first), float(plan.totals[0]), correct, live, parameters, moments)


def _team(
    threads: int, work: layout.Work, job: epoch.Job, progress: Any, seconds: float, patient: bool
) -> tuple[int, int, bool]:
    outcome = team.run(
        lambda state, m: epoch.run(state, m, threads, work, job),
        threads,
        available_cores(),
        progress,
        seconds=seconds,
        patient=patient,
        brief="run" in _ran and is_brief(len(job.order), job.training.B, len(work.weights.theta)),
    )
    _note("run")
    return outcome


def _prange(
    threads: int, work: layout.Work, job: epoch.Job, progress: Any, seconds: float, patient: bool
) -> tuple[int, int, bool]:
    from fastmlp.kernels import prange

    with prange.launching():
        _, done, late = team.run(
            lambda state, m: prange.run(state, threads, work, job), 1, 1, progress,
            seconds=seconds, patient=patient,
        )  # fmt: skip
    _note("prange")
    return threads, done, late


def training_job(
    rows: layout.Rows,
    orders: Array,
    loss: losses.Loss,
    B: int,
    steps: rules.Steps,
    watch: Watch | None = None,
    squares: int = 0,
) -> epoch.Job:
    """A pass of training over those rows, E epochs of orders (E, M), in batches of B: see epoch.Training.

    squares: how many rows of weights are squared.
    """
    wholes = [float(orders.shape[1])] * len(orders)
    if loss.weighted and not squares:
        wholes = [float(loss.weights[order].sum(dtype=np.float64)) or 1.0 for order in orders]
    seen = looks.looks_of(watch, squares, loss.weighted, wholes)
    plan = _TRAINING._replace(
        M=orders.shape[1], B=B, losses=np.empty(B, np.float32), looks=seen, **steps._asdict()
    )
    return epoch.Job(
        train=True, rows=rows, order=layout.plain(orders.reshape(-1)), N=orders.size, loss=loss,
        training=plan, outputs=_OUTPUTS,
    )  # fmt: skip


def _split(X: Encoded, rows: layout.Rows, threads: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Job.splits and Job.shares that give members equal work, in each layer."""
    share = X.counts / max(1, X.counts.max(initial=0)) if _skips(rows) else np.ones(X.shape[1])
    work = np.append(share, 1) + 0.01  # a row costs a little even without samples
    ends = np.searchsorted(np.cumsum(work), work.sum() * np.arange(1, threads) / threads)
    splits = np.concatenate([[0], ends, [len(work)]]).astype(np.int64)
    return splits, np.arange(threads + 1) / threads


def _halves(
    X: Encoded, rows: layout.Rows, place: layout.Layout
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """``_split`` for two members that keep to their halves of the inputs; None if that does not pay.

    Whose half has less work has more of the deeper layers.
    """
    D, middle = X.shape[1], place.middle
    counts = X.counts if _skips(rows) else np.ones(D)
    first = float(counts[:middle].sum() / max(1, counts.sum()))
    if rows.form == layout.CSR or (_skips(rows) and rows.centred) or middle == D or abs(first - 0.5) > UNEVEN:
        return None
    inputs = X.density * D if _skips(rows) else D
    more = 2 * (1 - 2 * first) * inputs * place.stride[0]  # multiplications of the second half, a sample
    deeper = max(1.0, float((place.fan_in * place.stride)[1:].sum()))
    return np.array([0, middle, D + 1]), np.array([0, np.clip(0.5 + more / (2 * deeper), 0, 1), 1])


def _skips(rows: layout.Rows) -> bool:
    """True where a pass skips zeros."""
    return rows.form in (layout.BYTES, layout.CSR)


def _note(kernel: str) -> None:
    """Remember that a kernel is compiled."""
    if kernel not in _ran:
        _ran.add(kernel)
        jit.keep(kernel)
