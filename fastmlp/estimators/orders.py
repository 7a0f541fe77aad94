"""Orders: the order of the rows in every epoch, from scikit-learn's own stream of random numbers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class Orders:
    """Each order is a shuffle of the one before, and the first of ``rows``; without ``random`` all are rows.

    Orders may be drawn ahead of the epochs that use them. ``give_back`` then leaves ``random`` as it was
    after the last that was used: what is drawn from it next is what scikit-learn would draw.

    used:  epochs that are finished; the caller counts them.
    ahead: whether more may be drawn than are used.
    """

    def __init__(self, rows: Rows, random: np.random.RandomState | None) -> None:
        self.rows, self.random, self.ahead = rows, random, False
        self.used = self._drawn = 0
        self._before: tuple[int, Rows, Any] = (0, rows, None)  # drawn, rows, generator: of the first ahead

    def __call__(self, number: int) -> Rows:
        """The order (M,) of the next epoch, whatever its number."""
        if self.random is not None:
            if self.ahead and self._drawn == self.used:
                self._before = self._drawn, self.rows, self.random.get_state(legacy=False)
            self.rows = self.rows[_shuffled(len(self.rows), self.random)]
            self._drawn += 1
        return self.rows

    def give_back(self) -> None:
        """Take back what was drawn for epochs that did not come.

        The generator stays where it is if others have drawn from it since: they would get the same twice.
        """
        if self.random is None or not self.ahead or self._drawn == self.used:
            return
        begun, rows, state = self._before
        again = copy.deepcopy(self.random)
        again.set_state(state)
        for _ in range(begun, self.used):
            rows = rows[_shuffled(len(rows), again)]
        wanted = again.get_state(legacy=False)
        for _ in range(self.used, self._drawn):
            _shuffled(len(rows), again)
        if _same(again.get_state(legacy=False), self.random.get_state(legacy=False)):
            self.random.set_state(wanted)
        self._drawn, self.rows = self.used, rows


def _shuffled(n: int, random: np.random.RandomState) -> Rows:
    places = np.arange(n)
    random.shuffle(places)
    return places


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(np.array_equal(word, b["state"][name]) for name, word in a["state"].items())
