"""Memory: nothing is read that was there before, and no step allocates any."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from compare import digest
from nets import call, learnable, net_of, values
from staged_nets import drawn

from fastmlp import Architecture, Net, Preprocessing, initialise, kernels, reference
from fastmlp.backends import threads as counts
from fastmlp.backends.state import OptimizerState
from fastmlp.words.layers import layers_of
from fastmlp.words.optimizers import Optimizer


class PoisonedNumPy:
    """NumPy, but fresh memory holds a pattern instead of whatever was there."""

    def __init__(self, pattern):
        self.pattern, self.poisoned = pattern, 0

    def __getattr__(self, name):
        return getattr(np, name)

    def empty(self, *args, **kwargs):
        array = np.empty(*args, **kwargs)
        array.view(np.uint8).reshape(-1)[...] = self.pattern
        self.poisoned += 1
        return array

    def empty_like(self, other):
        return self.empty(other.shape, other.dtype)


def poison_workspace(work, pattern):
    """Fill all of a workspace, but its padding, and the 1 after each row of inputs (layout.py)."""
    layout, slot, scratch = work.layout, work.slot, work.scratch
    for array in (slot.acts, slot.factors, slot.halves, *(scratch[:-1])):  # the last is known from outside
        array.view(np.uint8)[...] = pattern
    word = np.full(1, pattern * 0x01010101, np.uint32).view(np.float32)
    inputs = work.inputs.reshape(-1, layout.input_stride)[:, : layout.fan_in[0]]
    inputs[...] = word
    for array in (work.norms.x, work.norms.sums):
        array[...] = word
    for deltas in slot.deltas.reshape(work.slots, -1):
        ends = [*layout.a_at[1:], len(deltas)]
        for layer, (at, end, stride) in enumerate(zip(layout.a_at, ends, layout.stride, strict=True)):
            block = deltas[at : end - (end - at) % stride].reshape(-1, stride)
            block = block[:, : layout.fan_out[layer]] if layer == layout.depth - 1 else block
            block[...] = word
    return work


@pytest.mark.parametrize("act", ["relu", "gelu"])
@pytest.mark.parametrize("hidden", [(), (13,), (100,), (17, 9, 4), (16, 8)])
@pytest.mark.parametrize("kind", ["uint8 sparse", "float32 dense", "uint8 centred", "uint8 columns sparse"])
@pytest.mark.parametrize(("D", "threads"), [(45, 3), (520, 2)], ids=["by samples", "by halves"])
def test_kernels_do_not_read_what_memory_held_before(monkeypatch, hidden, act, kind, D, threads):
    rng = np.random.default_rng(20)
    X, y = values(rng, kind, 150, D), rng.integers(0, 11, 150)
    mean = X.mean(axis=0).astype(np.float32) if kind.endswith("centred") else None
    scale = np.linspace(50, 300, D) if "columns" in kind else 255.0 if X.dtype == np.uint8 else 1.0
    options = {"scale": scale, "mean": mean, "threads": threads, "act": act}

    def everything():
        p = initialise(Architecture(D, layers_of(hidden, act), 11))
        order = np.random.default_rng(1).permutation(150)
        totals = call(kernels.train_epoch, p, X, y, order, batch_size=67, **options)
        step = call(kernels.loss_and_gradients, p, X, y, **options)
        return digest(
            *p, totals[:4], *step.gradients, step.loss, call(kernels.predict_proba, p, X, **options),
            call(kernels.evaluate, p, X, y, **options)[:2], call(kernels.dead_units, p, X, **options),
            *call(kernels.forward, p, X, **options),
        )  # fmt: skip

    clean, build = everything(), kernels.layout.build
    for pattern in (0x00, 0xFF, 0x7F):
        shim = PoisonedNumPy(pattern)
        for module in (kernels, kernels.launch, kernels.reader):
            monkeypatch.setattr(module, "np", shim)
        monkeypatch.setattr(
            kernels.layout, "build", lambda *a, _p=pattern, **k: poison_workspace(build(*a, **k), _p)
        )
        assert everything() == clean, f"{pattern:#x}"
        assert shim.poisoned >= 3


@pytest.mark.parametrize("seed", range(4))
def test_stages_do_not_read_what_memory_held_before(monkeypatch, seed):
    rng, build = np.random.default_rng(seed), kernels.layout.build
    X = values(rng, ("uint8 sparse", "float32 dense", "uint8 centred", "float32 sparse")[seed], 150, 520)
    case = drawn(seed, X, most_units=40, centred=seed == 2, scale=100.0)

    def everything():
        net = replace(case.net, parameters=case.net.parameters.copy())
        order = np.random.default_rng(1).permutation(150)
        totals = kernels.train_epoch(net, X, case.y, order, batch_size=67, threads=2, **case.draw)
        step = kernels.loss_and_gradients(net, X, case.y, threads=3, **case.draw)
        return digest(*net.parameters, totals[:4], *step.gradients, step.loss)

    clean = everything()
    for pattern in (0x00, 0xFF, 0x7F):
        monkeypatch.setattr(
            kernels.layout, "build", lambda *a, _p=pattern, **k: poison_workspace(build(*a, **k), _p)
        )
        assert everything() == clean, f"{pattern:#x}"


@pytest.mark.parametrize(
    "loss", ["logits", "clip:0.05,0.3", "binary", "binary:0.3,0.7", "squared", "absolute", "huber", "poisson"]
)
def test_losses_do_not_read_what_memory_held_before(monkeypatch, loss):
    """Of targets (N, K)."""
    rng, build = np.random.default_rng(22), kernels.layout.build
    X, y, start = (
        values(rng, "float32 dense", 70, 9),
        rng.random((70, 11)),
        initialise(Architecture(9, (5,), 11)),
    )
    predict = kernels.predict_proba if loss.startswith(("logits", "clip", "binary")) else kernels.predict

    def everything():
        p = start.copy()
        totals = kernels.train_epoch(net_of(p), X, y, np.arange(70), loss=loss, batch_size=67)
        tested = kernels.evaluate(net_of(p), X, y, loss=loss)
        return digest(*p, totals[:4], predict(net_of(p), X, loss=loss), [tested.loss, tested.r2 or 0])

    clean = everything()
    for pattern in (0x00, 0xFF, 0x7F):
        monkeypatch.setattr(
            kernels.layout, "build", lambda *a, _p=pattern, **k: poison_workspace(build(*a, **k), _p)
        )
        assert everything() == clean, f"{pattern:#x}"


@pytest.mark.parametrize("act", ["relu", "gelu"])
@pytest.mark.parametrize("hidden", [(), (13,), (17, 9, 4)])
def test_reference_does_not_read_what_memory_held_before(monkeypatch, hidden, act):
    X, y = learnable(21, 150, 45, 11)

    def everything():
        p = initialise(Architecture(45, layers_of(hidden, act), 11))
        net = net_of(p, act, 255.0)
        totals = reference.train_epoch(net, X, y, np.arange(150), batch_size=67)
        step = reference.loss_and_gradients(net, X, y)
        return digest(*p, totals, *step.gradients, step.loss, reference.predict_proba(net, X))

    clean = everything()
    for pattern in (0x00, 0xFF):
        shim = PoisonedNumPy(pattern)
        for module in (reference, reference.workspace):
            monkeypatch.setattr(module, "np", shim)
        assert everything() == clean, f"{pattern:#x}"
        assert shim.poisoned >= 5


def test_poison_reaches_what_is_read(monkeypatch):
    """The poison is real: it changes the answer where zeros are needed."""
    X, y = learnable(22, 50, 45, 3)
    p = initialise(Architecture(45, (), 3))
    build = kernels.layout.build

    def spoiled(*args, **options):
        work = poison_workspace(build(*args, **options), 0x00)
        work.weights.theta[...] = 0
        return work

    clean = digest(*kernels.loss_and_gradients(net_of(p, scale=255), X, y).gradients)
    monkeypatch.setattr(kernels.layout, "build", spoiled)
    assert digest(*kernels.loss_and_gradients(net_of(p, scale=255), X, y).gradients) != clean


@pytest.mark.parametrize("pattern", [0xFF, 0x7F])
@pytest.mark.parametrize("optimizer", [Optimizer(), Optimizer("adam", clip_norm=1.0)], ids=["sgd", "adam"])
@pytest.mark.parametrize(("D", "threads"), [(45, 1), (45, 3), (520, 2)])
def test_an_epoch_does_not_read_what_the_one_before_left(D, threads, optimizer, pattern):
    rng, seen = np.random.default_rng(3), []
    X, y = values(rng, "uint8 sparse", 150, D), rng.integers(0, 11, 150)
    layers = layers_of((17, 9), "gelu", dropout=0.2, batch_norm=True)
    for poisoned in (False, True):
        shape = Architecture(D, layers, 11)
        net = Net(shape, initialise(shape), Preprocessing(255.0))
        state = OptimizerState.start(net.parameters, optimizer)
        session = kernels.Session(
            net, X, y, optimizer=optimizer, state=state, batch_size=67, threads=threads, squares=True
        )
        for epoch in (1, 2, 3):
            totals = session.train(np.random.default_rng(epoch).permutation(150), epoch=epoch)
            if poisoned:
                poison_workspace(session._kept.work, pattern)
        seen.append(digest(*net.parameters, totals[0][:4]))
    assert seen[0] == seen[1]


def test_a_compiled_epoch_allocates_nothing_per_step(monkeypatch):
    from numba.core.runtime import _nrt_python, rtsys

    monkeypatch.setattr(counts, "_SLICE", math.inf)  # each slice is another call

    X, y = learnable(23, 200, 60, 5)
    X = kernels.encode(X)
    p = initialise(Architecture(60, (20, 10), 5))
    was_on = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    try:
        grown = []
        for steps in (10, 10, 1000, 3000):
            order = np.resize(np.arange(200), 20 * steps)
            before = rtsys.get_allocation_stats()
            kernels.train_epoch(net_of(p, scale=255), X, y, order, batch_size=20, threads=2)
            after = rtsys.get_allocation_stats()
            assert after.alloc - before.alloc == after.free - before.free  # nothing is left behind
            grown.append((after.alloc - before.alloc, after.mi_alloc - before.mi_alloc))
    finally:
        if not was_on:
            _nrt_python.memsys_disable_stats()
    assert len(set(grown)) == 1, grown


def test_the_allocation_count_would_notice_one_a_step():
    """The measure of the test above, on a function that does allocate."""
    from numba import njit
    from numba.core.runtime import _nrt_python, rtsys

    @njit
    def wasteful(n):
        total = 0.0
        for i in range(n):
            total += np.zeros(i + 1)[-1]
        return total

    wasteful(1)
    was_on = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats().alloc
        wasteful(100)
        assert rtsys.get_allocation_stats().alloc - before >= 100
    finally:
        if not was_on:
            _nrt_python.memsys_disable_stats()
