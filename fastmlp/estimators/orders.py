"""Orders: the order of the rows in every epoch, from scikit-learn's own stream of random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class Orders:
    """Each order is a shuffle of the one before, and the first of ``rows``; without ``random`` all are rows.

    Orders may be drawn ahead of the epochs that use them. ``give_back`` then leaves ``random`` as it was
    after the last that was used: what is drawn from it next is what scikit-learn would draw.

    used: epochs that are finished; the caller counts them.
    """

    def __init__(self, rows: Rows, random: np.random.RandomState | None) -> None:
        self.rows, self.random = rows, random
        self.used = self._drawn = 0
        self._before: tuple[int, Rows, Any] = (0, rows, None)  # used, rows and generator, at its beginning

    def __call__(self, number: int) -> Rows:
        """The order (M,) of the next epoch, whatever its number."""
        if self.random is not None:
            if self._drawn == self.used:
                self._before = self.used, self.rows, self.random.get_state(legacy=False)
            places = np.arange(len(self.rows))
            self.random.shuffle(places)
            self.rows = self.rows[places]
            self._drawn += 1
        return self.rows

    def give_back(self) -> None:
        """Take back what was drawn for epochs that did not come."""
        if self.random is None or self._drawn == self.used:
            return
        used, (self._drawn, self.rows, state) = self.used, self._before
        self.random.set_state(state)
        while self._drawn < used:
            self(0)
