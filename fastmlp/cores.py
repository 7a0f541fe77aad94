"""How many cores this process may use, and how many threads a training should."""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path

from fastmlp.config import whole_number

MOST_THREADS = 256


@functools.cache
def available_cores() -> int:
    """Cores this process may run on: its affinity, capped by the container's CPU quota; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota())))


def resolve(threads: int | str) -> int:
    """``auto`` as the available cores, or a whole number as it is, also beyond them. Raises ConfigError."""
    if threads == "auto":
        return min(available_cores(), MOST_THREADS)
    if isinstance(threads, str) and threads.strip().isdecimal():
        threads = int(threads)
    return whole_number("threads", threads, 1, MOST_THREADS)


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
