"""What a net makes of labelled rows, asked again and again while it changes: laid out once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.checks import check_inputs, checked_order, checked_targets
from fastmlp.backends.threads import Threads, ThreadTuner
from fastmlp.backends.types import Evaluation
from fastmlp.checks import instance
from fastmlp.data.encode import Encoded, encode
from fastmlp.fold import folded
from fastmlp.kernels import launch, layout, losses, plain, rules
from fastmlp.kernels.matmul import WORD
from fastmlp.net import Net
from fastmlp.words.losses import Loss

Array = NDArray[Any]


class Reader:
    """``evaluate`` and ``dead_units``, which remember what they laid out for a net and rows, by identity.

    The net's parameters may change between two calls; the rows and their targets may not.
    """

    def __init__(self) -> None:
        self._known: list[_Known] = []

    def evaluate(
        self,
        net: Net,
        X: Any,
        y: Array,
        *,
        loss: str = "logits",
        label_smoothing: float = 0.0,
        threads: Threads = 1,
        rows: Array | None = None,
    ) -> Evaluation:
        """The function of that name."""
        if plain.is_plain(net):
            return plain.evaluate(net, X, y, loss=loss, label_smoothing=label_smoothing, rows=rows)
        known, found, K = self._of(net, X, threads), Loss.of(loss, label_smoothing), net.architecture.outputs
        targets, of_targets = known.targets(y, found)
        order = known.order if rows is None else checked_order(rows, len(targets))
        each, correct = np.empty(len(order), np.float32), np.zeros(known.most, np.int64)
        p, wanted = np.empty((len(order), K), np.float32), {"losses": each, "correct": correct}
        if found.task == "numbers":
            wanted |= {"p": p.reshape(-1), "link": losses.LINKS[found.word.link].place}
        launch.outputs(known.work, known.rows, order, known.most, of_targets, **wanted)
        mean = float(each.mean(dtype=np.float64))
        if found.task == "numbers":
            return Evaluation.of_numbers(mean, p, targets[order])
        return Evaluation(mean, int(correct.sum()) / (len(order) * found.labels(K)))

    def dead_units(self, net: Net, X: Any, *, threads: Threads = 1) -> list[int]:
        """The function of that name."""
        if plain.is_plain(net):
            return plain.dead_units(net, X)
        known, widths = self._of(net, X, threads), net.architecture.hidden
        active = np.zeros((known.most, sum(widths)), np.bool_)
        if widths:
            launch.outputs(known.work, known.rows, known.order, known.most, active=active)
        dead: Array = np.logical_not(active.any(axis=0))
        found, first = [], 0
        for width in widths:
            found.append(int(np.count_nonzero(dead[first : first + width])))
            first += width
        return found

    def _of(self, net: Net, X: Any, threads: Threads) -> _Known:
        """The net and these rows laid out, with its weights as they are now."""
        pace = threads if isinstance(threads, ThreadTuner) else ThreadTuner(threads)
        for known in self._known:
            if known.net is net and known.X is X and known.most == pace.most:
                known.refresh()
                return known
        self._known.append(_Known(net, X, pace.most))
        return self._known[-1]


class _Known:
    """A net laid out to predict rows X (N, D), with a team of at most so many members."""

    def __init__(self, net: Net, X: Any, most: int) -> None:
        encoded, _ = taken(net, X, most, once=True)
        self.net, self.X, self.most, own = net, X, most, folded(net)
        self.work = layout.build(own, encoded, most * WORD, most)
        self.rows, self.order = layout.rows_of(encoded, net.preprocessing), np.arange(len(encoded))
        self._pairs = None if own is not net else [*self._paired(net)]
        self._targets: list[tuple[Array, Loss, Array, losses.Loss]] = []

    def _paired(self, net: Net) -> Any:
        return layout.paired(self.work.layout, self.work.weights.theta, net.parameters)

    def refresh(self) -> None:
        """Lay out the weights as they are now."""
        for place, value in self._paired(folded(self.net)) if self._pairs is None else self._pairs:
            place[...] = value

    def targets(self, y: Array, loss: Loss) -> tuple[Array, losses.Loss]:
        """Targets y as the loss takes them, and the loss of a net against them."""
        for of, by, found, compiled in self._targets:
            if of is y and by == loss:
                return found, compiled
        found = checked_targets(self.net, y, len(self.order), loss)
        if np.may_share_memory(found, y):
            found = found.copy()  # compiled code takes classes for places
        compiled = rules.loss_of(loss, found, self.net.architecture.outputs)
        self._targets.append((y, loss, found, compiled))
        return found, compiled


def taken(net: Net, X: Any, threads: Threads, *, once: bool = False) -> tuple[Encoded, ThreadTuner]:
    """X encoded, and the threads, if all of it fits the net; else as backends/checks.py says."""
    done = instance("net", net, Net).preprocessing
    encoded = encode(X, once=once, centred=done.mean is not None or done.by_column)
    check_inputs(net, encoded.shape)
    return encoded, threads if isinstance(threads, ThreadTuner) else ThreadTuner(threads)
