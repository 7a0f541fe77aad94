"""How an epoch's cost grows with samples N, width H, batch B, inputs D and density, per backend.

Random bytes: speed does not depend on what they mean, and nothing is learnt. All cores; one BLAS
thread, for BLAS threads that still spin would slow the kernels' next round.
"""

from __future__ import annotations

from typing import Any

import epochs
import pytest
from threadpoolctl import threadpool_limits

from fastmlp import kernels, reference
from fastmlp.backends.threads import available_cores

BASE = {"N": 2000, "H": 100, "B": 100, "D": 784, "density": 0.19}
POINTS = [
    ("N", 500), ("N", 2000), ("N", 8000),
    ("H", 16), ("H", 64), ("H", 256),
    ("B", 10), ("B", 50), ("B", 250),
    ("D", 100), ("D", 784), ("D", 4000),
    ("density", 0.02), ("density", 0.19), ("density", 1.0),
]  # fmt: skip


@pytest.mark.parametrize("nn", [kernels, reference], ids=["numba", "numpy"])
@pytest.mark.parametrize(("extent", "value"), POINTS)
def test_scaling(benchmark: Any, nn: Any, extent: str, value: float) -> None:
    point: dict[str, Any] = BASE | {extent: value}
    X, y = epochs.random_bytes(point["N"], point["D"], point["density"])
    epoch = epochs.trainer(nn, X, y, hidden=point["H"], batch_size=point["B"], threads=available_cores())

    benchmark.group = f"an epoch, by {extent}"
    benchmark.extra_info |= point
    with threadpool_limits(1, user_api="blas"):
        totals = benchmark.pedantic(epoch, rounds=3, warmup_rounds=1)
    if benchmark.enabled:
        benchmark.extra_info["samples_per_second"] = round(point["N"] / benchmark.stats.stats.median)
    assert totals.samples == point["N"]
    assert totals.loss < 5
