"""Many independent nets: fit_many on one core and on all, and PyTorch as one single-thread process a core."""

from __future__ import annotations

from typing import Any

import many_nets
import pytest

from fastmlp.backends.threads import available_cores
from fastmlp.data import Dataset

NETS = 2  # a core
CORES = available_cores()


@pytest.mark.parametrize("threads", sorted({1, CORES}))
def test_fit_many(benchmark: Any, digits: Dataset, threads: int) -> None:
    benchmark.group = f"{many_nets.EPOCHS} epochs of many nets"
    nets = NETS * CORES
    benchmark.extra_info |= {"nets": nets, "epochs": many_nets.EPOCHS}
    benchmark.pedantic(many_nets.ours, args=(digits, nets, threads), rounds=3, warmup_rounds=1)
    if benchmark.enabled:
        benchmark.extra_info["seconds_a_net"] = benchmark.stats.stats.median / nets


def test_torch_processes(benchmark: Any, digits: Dataset) -> None:
    pytest.importorskip("torch")
    benchmark.group = f"{many_nets.EPOCHS} epochs of many nets"
    benchmark.extra_info |= {"nets": CORES, "epochs": many_nets.EPOCHS}
    with many_nets.TorchProcesses.ready(digits, CORES) as torch:
        benchmark.pedantic(torch.seconds_a_net, rounds=2)
        if benchmark.enabled:
            benchmark.extra_info["seconds_a_net"] = benchmark.stats.stats.median
