"""The number of threads of an estimator: as many as pay, or in a worker its share of the cores."""

from __future__ import annotations

import multiprocessing
import os

from joblib.parallel import get_active_backend

from fastmlp.backends.threads import available_cores


def threads_here(threads: int | str) -> int | str:
    """``threads``; in a worker of joblib or multiprocessing, ``auto`` is its share of the cores.

    joblib tells its processes their share by NUMBA_NUM_THREADS. Threads of joblib, and processes of anybody
    else, get 1: how many of them there are is not known.
    """
    if threads != "auto":
        return threads
    of_joblib = (get_active_backend()[0].nesting_level or 0) > 0
    in_process = multiprocessing.parent_process() is not None
    if not (of_joblib or in_process):
        return threads
    share = os.environ.get("NUMBA_NUM_THREADS", "") if of_joblib and in_process else ""
    return max(1, min(int(share), available_cores())) if share.isdecimal() and len(share) < 20 else 1
