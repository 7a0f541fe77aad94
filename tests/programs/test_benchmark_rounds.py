"""Turns of processes: their messages, their failures, and that none of them is left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli_runs import blobs

import fastmlp
from fastmlp.benchmark import process, rounds
from fastmlp.benchmark.contenders import Contender
from fastmlp.benchmark.rounds import compare
from fastmlp.benchmark.task import Task
from fastmlp.errors import ConfigError
from fastmlp.random import permutation


def small_task(n=230):
    X, y = blobs(n, labels=(0, 1, 2))
    X = X.reshape(n, -1)
    return Task(X, y, X[:50], y[:50], 3, 255.0, hidden=(8,), lr=0.1)


def fake(kind, threads=(1,), needs=(), **options):
    return Contender(kind, kind, f"fake_programs:{kind}", needs, threads=threads, options=options)


@pytest.fixture(autouse=True)
def started(monkeypatch):
    """Every process that was started; none may be left at the end."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))
    processes = []

    class Recorded(process.Process):
        def __init__(self, *args):
            super().__init__(*args)
            processes.append(self)

    monkeypatch.setattr(rounds, "Process", Recorded)
    yield processes
    assert all(one._process.poll() is not None for one in processes)


def run(*contenders, n_rounds=3, **options):
    return compare(small_task(), contenders, rounds=n_rounds, pause=0, **options)


@pytest.mark.slow
def test_everybody_takes_as_many_turns():
    entries = run(fake("Good"), fake("Noisy"), n_rounds=4)
    assert [len(entry.seconds) for entry in entries] == [4, 4]
    assert [entry.accuracy for entry in entries] == [0.11, 0.11]  # a warm-up, two trials, four rounds of two
    assert all(entry.seconds == [0.0] * 4 for entry in entries)


@pytest.mark.slow
def test_the_clock_holds_the_second_epoch_of_a_turn():
    (entry,) = run(fake("Good", nap=0.05))
    assert entry.seconds == pytest.approx([0.05] * 3)
    (entry,) = run(fake("WakesSlowly", nap=0.5))
    assert entry.seconds == [0.0] * 3


@pytest.mark.slow
def test_the_order_of_turns_is_drawn_by_the_seed():
    def turns(seed):
        heard = []
        run(fake("Good"), fake("Noisy"), n_rounds=6, seed=seed, notify=heard.append)
        return [line.split(":")[1].split()[0] for line in heard if line.startswith("round")]

    first = turns(1)
    assert first == [("Good", "Noisy")[i] for turn in range(6) for i in permutation(2, 1, "turns", turn)]
    assert first != ["Good", "Noisy"] * 6


@pytest.mark.slow
def test_the_better_number_of_threads_takes_part(started):
    (entry,) = run(fake("FastOnOne", threads=(1, 3)))
    assert entry.threads == 1
    assert entry.trials == pytest.approx({1: 0.02, 3: 0.06})
    assert len(started) == 2


def test_one_that_dies_is_told_and_the_others_go_on():
    dies, good = run(fake("Dies"), fake("Good"))
    assert dies.failure == "ended with code 7: the last words"
    assert len(dies.seconds) == 1
    assert dies.accuracy is None
    assert len(good.seconds) == 3
    assert good.failure == ""


@pytest.mark.slow
def test_one_that_hangs_is_ended():
    hangs, good = run(fake("Hangs"), fake("Good"), patience=2.0)
    assert hangs.failure == "no reply within 2 s"
    assert len(good.seconds) == 3


def test_one_that_raises_is_told_in_a_line():
    (entry,) = run(fake("Raises"))
    assert entry.failure == "ValueError: two lines"


def test_one_that_is_not_installed_is_not_started(started):
    (entry,) = run(fake("Good", needs=("fastmlp_unheard_of",)))
    assert entry.failure == "not installed: fastmlp_unheard_of"
    assert started == []


def test_one_that_lacks_something_deeper_says_so():
    (entry,) = run(fake("NeedsTheUnheardOf"))
    assert entry.failure == "ModuleNotFoundError: No module named 'fastmlp_unheard_of'"


def test_a_program_that_is_not_there_says_so():
    (entry,) = compare(small_task(), [Contender("x", "x", "fake_programs:Nobody")], rounds=1, pause=0)
    assert "Nobody" in entry.failure


@pytest.mark.slow
def test_whatever_ends_the_comparison_ends_the_processes(started):
    def interrupt(text):
        if text.startswith("round 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(fake("Good"), fake("Noisy"), notify=interrupt)
    assert len(started) == 2
    assert all(one._process.poll() is not None for one in started)


def test_a_worker_ends_with_its_input(started):
    one = process.Process(fake("Good"), 1, Path(os.devnull), 10)
    one._process.stdin.close()
    assert one._process.wait(20) == 0
    one.end()


def test_wrong_arguments():
    with pytest.raises(ConfigError, match="rounds"):
        run(fake("Good"), n_rounds=0)
    with pytest.raises(ConfigError, match="contender"):
        run()


def test_a_task_comes_back_from_its_folder(tmp_path):
    task = small_task()
    task.save(tmp_path)
    loaded = Task.load(tmp_path)
    assert loaded.settings() == task.settings()
    assert loaded.architecture == task.architecture
    assert (loaded.X == task.X).all()
    assert loaded.first_weights().sha256() == task.first_weights().sha256()


def test_flop_of_the_question():
    import numpy as np

    X, y = np.zeros((60_000, 784), np.uint8), np.zeros(60_000, np.int64)
    task = Task(X, y, X, y, 10, 255.0)
    weights = 784 * 100 + 100 * 10
    by_hand = 60_000 * (2 * weights + 2 * weights + 2 * 100 * 10) + 600 * 2 * (weights + 110)
    assert task.flop == by_hand
    assert round(task.flop / 1e9, 1) == 19.3
    assert fastmlp.Architecture(784, (100,), 10) == task.architecture
