"""Programs of contenders that behave badly, each in its own way, for test_benchmark_rounds.py."""

from __future__ import annotations

import os
import sys
import time

ACCURACY = 0.5


class Clock:
    """What a worker with one of these programs reads as the time: it goes on only where a program naps."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def nap(self, seconds):
        self.now += seconds


clock = Clock()
time.perf_counter = clock.perf_counter


class Good:
    """Naps a little, and counts its epochs."""

    def __init__(self, task, threads, *, nap=0.0):
        self.task, self.nap, self.epochs = task, nap, 0

    def epoch(self, order):
        assert sorted(order) == list(range(len(self.task.y)))
        clock.nap(self.nap)
        self.epochs += 1

    def accuracy(self):
        return self.epochs / 100


class WakesSlowly(Good):
    """Naps in the first epoch of a turn only: the fourth, sixth, eighth, ..."""

    def epoch(self, order):
        if self.epochs < 3 or self.epochs % 2 == 0:
            self.epochs += 1
        else:
            super().epoch(order)


class FastOnOne(Good):
    """Takes longer with more threads."""

    def __init__(self, task, threads):
        assert os.environ["OMP_NUM_THREADS"] == str(threads)
        super().__init__(task, threads, nap=0.02 * threads)


class Noisy(Good):
    """Prints on stdout, from Python and from below it."""

    def epoch(self, order):
        sys.stdout.write('{"value": -1}\n')
        sys.stdout.flush()
        os.write(1, b'{"value": -2}\n')
        super().epoch(order)


class Dies(Good):
    """Ends its process in its seventh epoch."""

    def epoch(self, order):
        super().epoch(order)
        if self.epochs == 7:
            sys.stderr.write("the last words\n")
            sys.stderr.flush()
            os._exit(7)


class Hangs(Good):
    """Never comes back from its first epoch."""

    def epoch(self, order):
        time.sleep(3600)


class Raises(Good):
    """Cannot train."""

    def epoch(self, order):
        raise ValueError("two\nlines")


class NeedsTheUnheardOf(Good):
    """Is installed, but what it imports is not."""

    def __init__(self, task, threads):
        import fastmlp_unheard_of  # noqa: F401
