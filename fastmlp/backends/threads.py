"""How many cores this process may use, and how many threads a training should: ``ThreadTuner`` finds out."""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastmlp.checks import as_text, one_of, whole_number
from fastmlp.spec import DRIVERS

MOST_THREADS = 256

_TRIAL, _SLICE = 0.02, 0.2  # seconds: of a trial, of a slice between trials
_RETRY = 1.0  # seconds of work between trials, at most; after a change they come with the next slices
_LATE = 0.003  # seconds of slices whose threads waited for each other: just started, they may share a core
_GAIN = 1.1  # more threads than now must be that much faster: trials are short, other programs come and go
_RETRY_SLOW = 4.0  # the same where all others did less than half: beside busy programs, a trial is dear


@functools.cache
def available_cores() -> int:
    """Cores this process may run on: its affinity, capped by the container's CPU quota; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota())))


_at_work: set[tuple[int, object]] = set()  # process, training


@contextmanager
def at_work() -> Iterator[None]:
    """Count a training while it goes on: several at once in a process share its cores."""
    training = os.getpid(), object()  # a forked child has none of its parent's
    _at_work.add(training)
    try:
        yield
    finally:
        _at_work.discard(training)


def share_of_cores() -> int:
    """The cores that each training at work in this process may have; at least 1."""
    here = os.getpid()
    return max(1, available_cores() // max(1, sum(process == here for process, _ in _at_work.copy())))


def start(thread: threading.Thread) -> None:
    """Start it. Raises MemoryError where the system has no room for one more."""
    try:
        thread.start()
    except RuntimeError:
        raise MemoryError("no room for one more thread") from None


def resolve(threads: int | str) -> int:
    """``auto`` as the available cores, or a whole number as it is, also beyond them. Raises ConfigError."""
    text = as_text(threads)
    if text == "auto":
        return min(available_cores(), MOST_THREADS)
    if text is not None and text.strip().isdecimal() and len(text) < 20:
        threads = int(text)
    return whole_number("threads", threads, 1, MOST_THREADS)


class ThreadTuner:
    """Number of threads for the next slice of work, chosen by the speed of the last ones.

    A number of threads is kept as it is. ``auto`` tries several counts, now and then and briefly,
    and keeps the fastest: on a busy machine, threads that wait for each other are slower than one.
    A count is judged by a trial's time of work at least, gathered from several slices where they
    are cut short; one trial may still mislead, so after a change the next ones come soon.
    Since results do not depend on the number, it may change at any moment. ``driver``: the threads are a
    "team" of their own, or Numba's ("prange"). ``limit``: no more than so many, whatever ``threads`` says.
    While others are ``at_work`` in this process too, a training has its share of the cores, if that is less.
    """

    def __init__(
        self, threads: int | str = "auto", driver: str = "team", *, limit: int = MOST_THREADS
    ) -> None:
        self.most, self.driver = min(resolve(threads), limit), one_of("driver", driver, DRIVERS)
        self.is_fixed = as_text(threads) != "auto" or self.most == 1
        halves = [self.most >> i for i in range(self.most.bit_length())]
        self._counts = [self.most] if self.is_fixed else halves
        self._trials = [] if self.is_fixed else list(halves)
        self._rates: dict[int, float] = {}
        self._best, self._since, self._wait = self.most, 0.0, _SLICE
        self._work, self._seconds = 0, 0.0  # of the count that is being judged
        self._shares = False  # the cores, with others: nothing is learnt then

    def next(self) -> tuple[int, float]:
        """Threads for the next slice of work, and the seconds it may take."""
        if self.most == 1:
            return 1, math.inf
        self._shares = len(_at_work) > 1 and (share := share_of_cores()) < self.most
        if self._shares:
            return min(share, self._best), _SLICE
        if self.is_fixed:
            return self.most, _SLICE  # then others may be at work
        if self._trials:
            return self._trials[0], _TRIAL - self._seconds
        return self._best, _SLICE

    def note(self, threads: int, work: int, seconds: float, late: bool = False) -> None:
        """Note what a slice did, in any unit of work that is always the same.

        ``late`` says that the threads were seen to wait for each other: that is judged sooner.
        """
        if self.is_fixed or self._shares or work <= 0:
            return
        self._work, self._seconds = self._work + work, self._seconds + seconds
        if self._seconds < (_LATE if late else 0.9 * _TRIAL):
            return
        self._rates[threads] = self._work / self._seconds
        if self._trials:
            self._trials.pop(0)
        else:
            self._since += self._seconds
        self._work, self._seconds = 0, 0.0
        if self._trials:
            return
        rates = {n: rate / (_GAIN if n > self._best else 1) for n, rate in self._rates.items()}
        best = max(rates, key=lambda count: rates[count])
        if best != self._best:
            self._best, self._since, self._wait = best, 0.0, _SLICE
        elif self._since >= self._wait:
            at = self._counts.index(best)
            self._trials = [count for count in self._counts[max(0, at - 1) : at + 2] if count != best]
            others = max(rate for count, rate in self._rates.items() if count != best)
            slow = 2 * others < self._rates[best]
            more, most = (4, _RETRY_SLOW) if slow else (2, _RETRY)
            self._since, self._wait = 0.0, min(more * self._wait, most)


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """The CPU quota of the control group in cores; infinite where there is none (cgroup v2, then v1)."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text()
            period = (root / "cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return math.inf
    try:
        share = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return math.inf
    return share if share > 0 else math.inf


Threads = int | str | ThreadTuner  # their number, "auto", or what has been found
