"""The loops one by one, on one core: an epoch's share of each, beside its own floor.

The floor is what the same core needs for the loop's multiply-adds alone, or for its loads from L1
where those take longer; the report has both and the share that is reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numba import njit

from fastmlp import kernels
from fastmlp.benchmark.peak import Peak, measure
from fastmlp.data import Dataset
from fastmlp.kernels import epoch, first_layer, launch, layout, losses, matmul, passes, rules
from fastmlp.kernels.intrinsics import address, shifted
from fastmlp.net import Net, Preprocessing, initialise
from fastmlp.random import permutation
from fastmlp.words.layers import Architecture
from fastmlp.words.losses import Loss
from fastmlp.words.optimizers import PLAIN

B, HIDDEN = 100, 100
STAGES = ("gather", "first layer", "loss and backward", "first layer's update", "deeper updates")


@njit(nogil=True, error_model="numpy")
def one_stage(stage, work, job):
    """That stage alone, once for every batch; the others' results are those of the last whole step.

    The first layer's update reads the rows of the first batch each time: in a step, they are near.
    """
    work, job = layout.seen_by(address(work), 0, 0), address(job)
    plan, rows, last = job.training, job.rows, work.layout.depth - 1
    D, K, stride = work.layout.fan_in[0], work.layout.fan_out[last], work.layout.stride[last]
    first, bias = epoch.batch_from(job, 0), first_layer.bias_of(work, rows)
    for begin in range(0, job.N - B + 1, B):
        batch = epoch.batch_from(job, begin)
        if stage < 3:
            for lo in range(0, B, 50):
                if stage == 0:
                    for w in range((D + matmul.WORD - 1) // matmul.WORD):
                        codes, masks = work.scratch.codes, work.scratch.masks
                        first_layer.gather_word(codes, masks, rows.codes, D, batch, lo, 50, w, batch.ahead)
                elif stage == 1:
                    first_layer.first_layer(work, rows, batch, lo, lo + 50, bias)
                else:
                    at = work.layout.a_at[last] + lo * stride
                    losses.head(
                        job.loss.head, job.loss, plan.losses, shifted(work.slot.deltas, at),
                        shifted(work.slot.acts, at), stride, K, work.scratch.columns,
                        shifted(batch.order, begin + lo), 50, np.float32(0.01),
                    )  # fmt: skip
                    passes.backward(work, batch, lo, lo + 50, last, 0)
        elif stage == 3:
            first_layer.update_first_layer(plan.target, plan.alphas[0], work, rows, first, 0, D + 1)
        else:
            for layer in range(1, last + 1):
                end = work.layout.fan_in[layer] + 1
                epoch.add_gradients(work, job, first, layer, 0, end)
                epoch.settle_rows(work, plan, first, layer, 0, end, 0, np.float32(1))


def training(net: Net, work: layout.Work, rows: Any, order: Any, y: Any, rate: float) -> epoch.Job:
    """The Job of a training by one member."""
    steps = rules.rated(rules.steps_of(net, PLAIN, work), PLAIN, rate, 0, -(-len(order) // B))
    job = launch.training_job(rows, order[None], rules.loss_of(Loss.of("logits"), y, 10), B, steps)
    return job._replace(training=job.training._replace(shares=np.array([0.0, 1.0])))


@dataclass(frozen=True)
class Limits:
    """Multiply-adds of 8 lanes, and bytes loaded, of one stage in an epoch."""

    fmas: float
    loads: float

    def seconds(self, peak: Peak) -> float:
        """The least that one core needs."""
        return max(self.fmas * 16 / (peak.core * 1e9), self.loads / (peak.loads["L1"] * 1e9))


@pytest.fixture(scope="module")
def peak() -> Peak:
    return measure(1)


def limits(digits: Dataset, stage: str) -> Limits:
    N, D = digits.X.shape
    nonzeros, vectors, classes = float(np.count_nonzero(digits.X)), (HIDDEN + 7) // 8, 2
    sparse = Limits(nonzeros * vectors, nonzeros * (32 * vectors + 5))
    paired = Limits(nonzeros * vectors, nonzeros * (16 * vectors + 5))  # a row is read for two inputs
    return {
        "gather": Limits(0, 2.0 * N * D),
        "first layer": sparse,
        "loss and backward": Limits(N * 10 * vectors, 0),
        "first layer's update": paired,
        "deeper updates": Limits(N * (HIDDEN + 1) * classes, 0),
    }[stage]


@pytest.mark.parametrize("stage", STAGES)
def test_stage(benchmark: Any, digits: Dataset, peak: Peak, stage: str) -> None:
    X = kernels.encode(digits.X)
    architecture = Architecture(X.shape[1], (HIDDEN,), len(digits.classes))
    net = Net(architecture, initialise(architecture), Preprocessing(255.0))
    work, rows = layout.build(net, X, B, 1), layout.rows_of(X, net.preprocessing)
    order = permutation(len(X), 0, "order", 1)
    before = work.weights.theta.copy()
    for first in range(len(STAGES)):  # everything is there, and compiled, before one of them is timed
        one_stage(first, work, training(net, work, rows, order[:B], digits.y, 1e-6))

    benchmark.group = "stages of an epoch, one thread"
    benchmark.pedantic(
        one_stage, (STAGES.index(stage), work, training(net, work, rows, order, digits.y, 1e-9)),
        rounds=5, warmup_rounds=1,
    )  # fmt: skip
    floor = limits(digits, stage).seconds(peak)
    benchmark.extra_info["floor_ms"] = round(floor * 1e3, 2)
    if benchmark.enabled:
        benchmark.extra_info["share_of_floor"] = round(floor / benchmark.stats.stats.median, 2)
        assert benchmark.stats.stats.median > 0.9 * floor  # faster than possible: then it did not run
    assert np.isfinite(work.weights.theta).all()
    assert not np.array_equal(work.weights.theta, before)


@pytest.mark.parametrize("width", [32, 100, 256, 1024])
@pytest.mark.parametrize("which", ["forward", "update"])
def test_dense_first_layer(benchmark: Any, peak: Peak, width: int, which: str) -> None:
    """Random normal inputs: the share of the peak that the tiles reach."""
    X = kernels.encode(np.random.default_rng(0).standard_normal((2000, 784), np.float32))
    architecture, order = Architecture(784, (width,), 10), np.arange(2000)
    net = Net(architecture, initialise(architecture), Preprocessing(1.0))
    work, rows = layout.build(net, X, B, 1), layout.rows_of(X, net.preprocessing)
    y, stage = np.zeros(2000, np.int64), 1 if which == "forward" else 3

    benchmark.group = f"dense first layer, {which}"
    args = (stage, work, training(net, work, rows, order, y, 1e-9))
    one_stage(1, *args[1:])
    benchmark.pedantic(one_stage, args, rounds=7, warmup_rounds=1)
    flop = 2.0 * 2000 * 784 * width
    if benchmark.enabled:
        rate = flop / benchmark.stats.stats.median / 1e9
        benchmark.extra_info |= {"gflops": round(rate, 1), "share_of_peak": round(rate / peak.core, 2)}
    assert np.isfinite(work.weights.theta).all()
