"""ThreadTuner: how many threads the next slice has. By made-up rates, and in trainings that it cuts up."""

from __future__ import annotations

import contextlib
import math
import os
import random

import numpy as np
import pytest
from compare import digest
from nets import call, learnable, net_of, values

from fastmlp import Architecture, DivergedError, backends, initialise, kernels
from fastmlp.backends.threads import ThreadTuner, at_work, share_of_cores


class Machine:
    """A clock of its own: threads do rates[threads] of work a second; ``cut`` ends slices early."""

    def __init__(self, monkeypatch, rates, *, most=8, noise=0.0, cut=math.inf, start=0.0):
        monkeypatch.setattr(backends.threads, "available_cores", lambda: most)
        self.rates, self.noise, self.cut, self.start = rates, noise, cut, start
        self.random, self.pace = random.Random(1), ThreadTuner("auto")

    def work(self, seconds):
        """Work for that long; returns the seconds that each count had."""
        spent: dict[int, float] = {}
        while sum(spent.values()) < seconds:
            threads, most = self.pace.next()
            assert 0 < most < math.inf
            took = min(most, self.cut)
            rate = self.rates[threads] * (1 - self.noise * self.random.random())
            self.pace.note(threads, round(max(0.0, took - self.start * threads) * rate), took)
            spent[threads] = spent.get(threads, 0.0) + took
        return spent


def test_a_fixed_count_never_changes():
    for count in (1, 3, "4"):
        pace = ThreadTuner(count)
        for seconds in (0.001, 10, 1):
            assert pace.next() == (int(count), math.inf if count == 1 else 0.2)
            pace.note(int(count), 100, seconds)
        assert pace.most == int(count)


def test_one_core_needs_no_trials(monkeypatch):
    monkeypatch.setattr(backends.threads, "available_cores", lambda: 1)
    assert ThreadTuner("auto").next() == (1, math.inf)


def test_a_limit_is_obeyed(monkeypatch):
    monkeypatch.setattr(backends.threads, "available_cores", lambda: 8)
    assert ThreadTuner(3, limit=2).next()[0] == 2
    assert ThreadTuner(1, limit=2).next()[0] == 1
    assert ThreadTuner("auto", limit=1).next() == (1, math.inf)
    limited = ThreadTuner("auto", limit=6)
    counts = set()
    for _ in range(9):
        threads, seconds = limited.next()
        counts.add(threads)
        limited.note(threads, 100, seconds)
    assert counts == {6, 3, 1}


def test_trainings_at_work_share_the_cores(monkeypatch):
    monkeypatch.setattr(backends.threads, "available_cores", lambda: 8)
    fixed, free = ThreadTuner(6), ThreadTuner()
    with at_work():
        assert (share_of_cores(), fixed.next()[0], free.next()[0]) == (8, 6, 8)
        with at_work():
            assert (share_of_cores(), fixed.next()[0], free.next()[0]) == (4, 4, 4)
            free.note(4, 10**9, 1.0)  # says nothing of what pays alone
            with at_work():
                assert (share_of_cores(), fixed.next()[0], ThreadTuner(1).next()[0]) == (2, 2, 1)
            with pytest.raises(KeyError), at_work():
                raise KeyError
        assert (share_of_cores(), fixed.next()[0], free.next()[0]) == (8, 6, 8)
    with contextlib.ExitStack() as many:
        for _ in range(20):
            many.enter_context(at_work())
        assert (share_of_cores(), fixed.next()[0]) == (1, 1)
    assert fixed.next()[0] == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_shares_with_nobody(monkeypatch):
    monkeypatch.setattr(backends.threads, "available_cores", lambda: 8)
    with at_work(), at_work():
        if not (child := os.fork()):
            os._exit(share_of_cores())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 8
        assert share_of_cores() == 4


@pytest.mark.parametrize("most", [2, 6, 8, 13])
def test_all_halves_are_tried_and_the_fastest_kept(monkeypatch, most):
    counts = [most >> i for i in range(most.bit_length())]
    for best in counts:
        machine = Machine(monkeypatch, {n: 1e6 if n == best else 5e5 for n in counts}, most=most)
        assert set(machine.work(0.02 * len(counts) - 0.001)) == set(counts)
        spent = machine.work(5)
        assert spent[best] > 0.9 * 5, spent
        neighbours = {n for n in counts if abs(counts.index(n) - counts.index(best)) == 1}
        assert set(spent) == neighbours | {best}  # retried now and then


@pytest.mark.parametrize(("before", "after"), [(8, 1), (1, 8), (8, 4), (2, 1)])
def test_a_change_of_the_machine_is_followed(monkeypatch, before, after):
    """Rates that rise, or fall, towards one count."""

    def towards(best):
        return {n: 1e6 / (1 + abs(n.bit_length() - best.bit_length())) for n in (8, 4, 2, 1)}

    machine = Machine(monkeypatch, towards(before))
    machine.work(10)
    machine.rates = towards(after)
    machine.work(2)  # a trial comes within a second; each change brings the next one soon
    spent = machine.work(5)
    assert spent[after] > 0.85 * 5, spent


def test_threads_that_become_slow_are_left_at_once(monkeypatch):
    machine = Machine(monkeypatch, {2: 2e6, 1: 1e6}, most=2)
    machine.work(10)
    machine.rates = {2: 2e5, 1: 1e6}  # another program came
    assert machine.work(1)[1] > 0.6


@pytest.mark.parametrize("first", ["2 unlucky", "1 lucky"])
def test_one_noisy_trial_does_not_decide_for_long(monkeypatch, first):
    machine = Machine(monkeypatch, {2: 1e6, 1: 6e5}, most=2)
    for _ in range(2):
        threads, seconds = machine.pace.next()
        factor = {"2 unlucky": {2: 0.1, 1: 1}, "1 lucky": {2: 1, 1: 50}}[first][threads]
        machine.pace.note(threads, round(machine.rates[threads] * seconds * factor), seconds)
    assert machine.pace.next()[0] == 1  # deceived
    spent = machine.work(1)
    assert spent[2] > 0.5, spent


def test_noise_costs_little(monkeypatch):
    machine = Machine(monkeypatch, {2: 1e6, 1: 6e5}, most=2, noise=0.35)
    spent = machine.work(20)
    assert spent[2] > 0.85 * 20, spent


def test_short_epochs_are_judged_together(monkeypatch):
    """Slices of 3 ms, a fifth of each lost to starting threads: all counts get their trial, none a glance."""
    machine = Machine(monkeypatch, {2: 1e6, 1: 6e5}, most=2, cut=0.003, start=0.0003)
    spent = machine.work(3)
    assert spent[2] > 0.8 * 3, spent


def test_a_scrap_of_a_slice_is_no_judgement(monkeypatch):
    """The end of an epoch, where one batch was left and the threads took longer to start."""
    machine = Machine(monkeypatch, {2: 1e6, 1: 6e5}, most=2)
    machine.work(0.05)
    assert machine.pace.next()[0] == 1  # a trial
    machine.pace.note(1, 10**6, 0.0005)
    threads, seconds = machine.pace.next()
    assert (threads, round(seconds, 4)) == (1, 0.0195)
    machine = Machine(monkeypatch, {2: 1e6, 1: 6e5}, most=2)
    machine.work(0.3)
    assert machine.pace.next()[0] == 2
    machine.pace.note(2, 1, 0.0005)
    assert machine.pace.next()[0] == 2


def test_work_that_was_not_done_says_nothing(monkeypatch):
    machine = Machine(monkeypatch, {2: 1e6, 1: 6e5}, most=2)
    first = machine.pace.next()
    machine.pace.note(2, 0, 5.0)
    assert machine.pace.next() == first


def test_threads_that_wait_for_each_other_are_judged_soon(monkeypatch):
    machine = Machine(monkeypatch, {2: 1e6, 1: 6e5}, most=2)
    for _ in range(2):
        assert machine.pace.next()[0] == 2
        machine.pace.note(2, 500, 0.0016, late=True)
    assert machine.pace.next()[0] == 1
    machine.pace.note(1, 12_000, 0.02)
    assert machine.pace.next() == (1, 0.2)


@pytest.mark.parametrize("begun", [0.0, 0.3])
def test_threads_that_waited_as_they_were_started_are_kept(monkeypatch, begun):
    """In a trial or after it: one slice that ends early says little of those that follow."""
    machine = Machine(monkeypatch, {2: 1e6, 1: 6e5}, most=2)
    machine.work(begun)
    assert machine.pace.next()[0] == 2
    machine.pace.note(2, 500, 0.0015, late=True)
    assert machine.pace.next()[0] == 2
    assert machine.work(0.5)[2] > 0.9 * 0.5


def test_a_count_far_behind_is_seldom_tried(monkeypatch):
    """Beside busy programs a trial of two threads is dear; one that is only somewhat slower costs little."""
    far = Machine(monkeypatch, {2: 1e5, 1: 1e6}, most=2)
    near = Machine(monkeypatch, {2: 7e5, 1: 1e6}, most=2)
    assert far.work(20)[2] < 8.5 * 0.02
    assert 15 * 0.02 < near.work(20)[2] < 25 * 0.02


def test_more_threads_must_be_clearly_faster(monkeypatch):
    machine = Machine(monkeypatch, {2: 5e5, 1: 1e6}, most=2)
    machine.work(5)
    machine.rates = {2: 1.05e6, 1: 1e6}
    assert machine.work(20)[1] > 0.9 * 20
    machine.rates = {2: 1.2e6, 1: 1e6}
    assert machine.work(20)[2] > 0.8 * 20


# --- trainings in slices ----------------------------------------------------------------------------


class Hurried(ThreadTuner):
    """1, 2 and 3 threads in turn, each for half a millisecond."""

    def __init__(self):
        super().__init__(3)
        self.given = []

    def next(self):
        self.given.append(1 + len(self.given) % 3)
        return self.given[-1], 5e-4

    def note(self, threads, work, seconds, late=False):
        assert work > 0


KINDS = ("uint8 sparse", "float32 sparse", "float32 dense", "uint8 centred")


@pytest.mark.parametrize(
    ("kind", "driver"), [*((kind, "team") for kind in KINDS), ("uint8 sparse", "prange")]
)
def test_bytes_do_not_depend_on_slices(monkeypatch, kind, driver):
    monkeypatch.setattr(kernels.launch, "BRIEF", 0)
    rng = np.random.default_rng(2)
    X, y = values(rng, kind, 600, 70), rng.integers(0, 4, 600)
    mean = X.mean(axis=0).astype(np.float32) if kind.endswith("centred") else None
    options = {"scale": 255.0 if X.dtype == np.uint8 else 1.0, "mean": mean, "driver": driver}
    order = np.tile(rng.permutation(600), 60)

    def trained(pace):
        p = initialise(Architecture(70, (19, 9), 4), seed=1)
        totals = call(kernels.train_epoch, p, X, y, order, batch_size=33, lr=0.1, threads=pace, **options)
        return digest(*p, totals[:4])

    hurried = Hurried()
    found = trained(hurried)
    while len(hurried.given) == 1 and len(order) < 10**7:  # on a busy machine an end is asked for too late
        order, hurried = np.tile(order, 4), Hurried()
        found = trained(hurried)
    assert len(hurried.given) > 1, "the whole epoch was one slice"
    assert found == trained(1)


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["team", "prange"])
def test_a_slice_whose_threads_wait_for_each_other_ends_early(monkeypatch, driver):
    """Every wait counts as long here: no slice takes its ten seconds, and the bytes are the same."""

    class Slow(ThreadTuner):
        late = 0

        def next(self):
            return 2, 10.0

        def note(self, threads, work, seconds, late=False):
            self.late += late

    monkeypatch.setattr(kernels.team, "MOST_SPINS", 0)
    monkeypatch.setattr(backends.threads, "available_cores", lambda: 2)
    X, y = learnable(1, 600, 60, 4)
    order = np.tile(np.random.default_rng(1).permutation(600), 50)
    found = []
    for pace in (Slow("auto", driver), ThreadTuner(1, driver)):
        p = initialise(Architecture(60, (30,), 4))
        totals = kernels.train_epoch(net_of(p), X, y, order, batch_size=20, threads=pace)
        found.append(digest(*p, totals[:4]))
        if isinstance(pace, Slow):
            assert (pace.late > 0) == (driver == "team")  # prange has no barrier of ours
    assert found[0] == found[1]


def test_a_slice_in_which_nothing_was_done_is_not_noted(monkeypatch):
    monkeypatch.setattr(kernels.launch, "BRIEF", 0)
    X, y = learnable(1, 200, 60, 4)
    X = X.astype(np.float32)
    X[0] = 3e38
    p, pace = initialise(Architecture(60, (30,), 4)), Hurried()
    with pytest.raises(DivergedError) as caught:
        kernels.train_epoch(net_of(p), X, y, np.arange(200), batch_size=10, threads=pace)
    assert caught.value.batch == 1
    assert len(pace.given) == 1


def test_divergence_in_a_later_slice_is_named_with_its_batch(monkeypatch):
    monkeypatch.setattr(kernels.launch, "BRIEF", 0)
    X, y = learnable(1, 2000, 60, 4)
    X = X.astype(np.float32) / 255
    X[1999] = 3e38
    order = np.append(np.tile(np.arange(1999), 30), 1999)
    p, pace = initialise(Architecture(60, (30,), 4)), Hurried()
    with pytest.raises(DivergedError) as caught:
        kernels.train_epoch(net_of(p), X, y, order, batch_size=10, threads=pace)
    assert caught.value.batch == (len(order) - 1) // 10 + 1
    assert len(pace.given) > 1
