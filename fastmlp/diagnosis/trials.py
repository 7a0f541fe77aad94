"""Short trainings: the one that is asked about, watched closely, and others with a setting changed.

They share one encoded data set, and are the first epochs of what ``fit`` would do: same bytes. All calls of
the kernels are in here. Not in here: which changes are tried, and why (rules.py, examine.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import kernels as nn
from fastmlp import random
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import ThreadTuner
from fastmlp.data.columns import Columns
from fastmlp.data.preprocessing import fitted
from fastmlp.diagnosis import measures
from fastmlp.diagnosis.chance import Standing, even, standing
from fastmlp.errors import DivergedError
from fastmlp.net import Net, Parameters, Preprocessing, initialise
from fastmlp.spec import Training
from fastmlp.train.epochs import Trainer

STEPS = 20  # of the first epoch that are watched one by one
_VALUES = 1 << 24  # of a sample of rows, at most about: wide rows are few
_LOOKS = (1, 2, 3, 5, 10, 20)  # steps, of the first epoch, after which curvature is measured
_EPOCHS = (1, 2, 3, 5, 10)  # and epochs, beside the last

Changes = dict[str, Any]  # fields of a Training; ``initial`` None: give no first weights


@dataclass(frozen=True)
class Setting:
    """A training and its first weights: ``initial``, or those that its ``init`` and ``seed`` give."""

    training: Training
    initial: Parameters | None = None

    def changed(self, changes: Changes) -> Setting:
        """A copy with these changes."""
        fields = {name: value for name, value in changes.items() if name != "initial"}
        return Setting(replace(self.training, **fields), changes.get("initial", self.initial))


@dataclass(frozen=True)
class Trial:
    """The end of a training with these changes, by the rows held out, after its last epoch.

    accuracy: share of them; None where the training diverged.
    recalls:  the same for each class (K,), nan where it has no rows.
    diverged: what was not finite, and where; "" where all was.
    standing: how guesses that make all classes even stand against chance; None where it diverged.
    """

    changes: Changes
    epochs: int
    accuracy: float | None
    recalls: tuple[float, ...] = ()
    diverged: str = ""
    standing: Standing | None = None

    @property
    def score(self) -> float:
        """The accuracy; 0 where it diverged."""
        return self.accuracy or 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return {
            "changes": self.changes,
            "epochs": self.epochs,
            "accuracy": self.accuracy,
            "recalls": self.recalls,
            "balanced": None if self.standing is None else self.standing.recall,
            "diverged": self.diverged or None,
        }


@dataclass(frozen=True)
class Snapshot:
    """A net as it trains: before the first step, after each of the first ones, and at the end of each epoch.

    epoch, step:   that ended, from 0.
    logits_spread: standard deviation of the logits.
    dead, saturated, constant: shares of each hidden layer, as in ``measures.LayerState``.
    gauss_newton:  top eigenvalue, where it was measured.
    loss, accuracy, live: of the rows trained on since the snapshot before, as their batches met them.
    update_ratio:  |change of W| / |W| of each layer in this one step.
    test_accuracy: on the rows held out, at the end of an epoch.
    not_finite:    what was nan or infinite, and where: then this is the last one, and has nothing else.
    """

    epoch: int
    step: int
    logits_spread: float | None = None
    dead: tuple[float, ...] | None = None
    saturated: tuple[float, ...] | None = None
    constant: tuple[float, ...] | None = None
    gauss_newton: float | None = None
    loss: float | None = None
    accuracy: float | None = None
    live: float | None = None
    update_ratio: tuple[float, ...] | None = None
    test_accuracy: float | None = None
    not_finite: str | None = None


class Bench:
    """The data that trials share: rows to train on and rows held out, and samples to measure on.

    X, X_test: (N, D) as ``fit`` takes them. y, y_test: class indices below K.
    sample:    some training rows (n, D) as they are, dense.
    columns:   how X came of a table, if it did.
    """

    def __init__(
        self,
        X: Any,
        y: NDArray[np.int64],
        X_test: Any,
        y_test: NDArray[np.int64],
        K: int,
        threads: int | str = "auto",
        columns: Columns | None = None,
    ) -> None:
        self._numeric = None if columns is None else columns.numeric
        self.y, self.y_test, self.K, self.D = y, y_test, K, X.shape[1]
        self.counts = np.bincount(y, minlength=K)
        self._rows, self._fitted = X, dict[Any, Preprocessing]()
        self.X, self.X_test = nn.encode(X), nn.encode(X_test)
        self.tuner = ThreadTuner(threads)
        picked, room = random.permutation(len(y), 0, "diagnose"), max(50, _VALUES // self.D)
        many, few = (np.sort(picked[: min(n, room)]) for n in (5000, 500))
        self.sample, self.y_sample = _dense(X[many]), y[many]
        self.few, self.y_few = _dense(X[few]), y[few]

    def net(self, setting: Setting) -> Net:
        """The net before its first step; its weights, in float32, are copies."""
        training = setting.training
        architecture = training.architecture(self.D, self.K)
        if setting.initial is None:
            parameters = initialise(architecture, seed=training.seed)
        else:
            parameters = setting.initial.astype(np.float32)
        return Net(architecture, parameters, self._preprocessing(training))

    def _preprocessing(self, training: Training) -> Preprocessing:
        """The preprocessing that ``fit`` would have, fitted once."""
        asked = training.scale, training.centred
        if asked not in self._fitted:
            self._fitted[asked] = fitted(self._rows, *asked, numeric=self._numeric)
        return self._fitted[asked]

    def measured(self, setting: Setting) -> measures.Measures:
        """Measure a net before its first step."""
        net, loss, lr = self.net(setting), setting.training.loss, setting.training.lr
        x, few, y = self._scaled(net, self.sample), self._scaled(net, self.few), self.y_few
        gradients = measures.gradients(net, few, y, loss)
        curvature = measures.curvature(net, few, y, loss)
        layers = measures.layers(net, x)
        top = curvature.gauss_newton
        return measures.Measures(
            inputs=measures.inputs(x),
            label_counts=measures.label_counts(self.y, self.K),
            classes=self.K,
            layers=layers,
            loss=self._losses(net, loss),
            gradients=gradients,
            update_ratio=measures.update_ratios(gradients, lr),
            curvature=curvature,
            gauss_newton=top,
            limit=2 / top if top > 0 else math.inf,
            safe_factor=measures.safe_factor(net, few, y, lr),
            standard=self._standard(net, few, layers[0].z_spread, lr),
        )

    def after(self, net: Net, loss: str) -> measures.After:
        """Measure a net after its last epoch."""
        return measures.After(measures.layers(net, self._scaled(net, self.sample)), self._losses(net, loss))

    def standing(self, net: Net) -> Standing:
        """The standing of a net against chance, on some of the training rows."""
        return self._standing(self._predict(net, self.sample), self.y_sample)

    def seconds_an_epoch(self, setting: Setting) -> float:
        """Measured on some of the rows, after one that compiles; 0 where these diverge."""
        trainer, rows = self._trainer(setting), np.arange(min(len(self.y), 2000))
        trainer.warm_up(rows[:1])
        try:
            (epoch,) = trainer.epochs([1], lambda _: rows, setting.training.lr_at)
        except DivergedError:
            return 0.0
        return epoch.seconds * len(self.y) / len(rows)

    def run(self, setting: Setting, changes: Changes, epochs: int) -> Trial:
        """Train with the changes; look at nothing but the end."""
        setting = setting.changed(changes)
        training, trainer, done = setting.training, self._trainer(setting), 0
        try:
            for epoch in trainer.epochs(range(1, epochs + 1), self._order(training), training.lr_at):
                done = epoch.number
        except DivergedError as error:
            return Trial(changes, epochs, None, diverged=f"{error.got} of epoch {done + 1}")
        return self._tested(trainer.net, changes, epochs)

    def watch(self, setting: Setting, epochs: int) -> tuple[Trial, list[Snapshot], Net]:
        """Train as it is: how it went, what it was like step by step and then by epoch, and the net."""
        training, trainer = setting.training, self._trainer(setting)
        B, N, order, net = training.batch_size, len(self.y), self._order(training), trainer.net
        cuts = sorted({*range(0, min(STEPS * B, N), B), min(STEPS * B, N), N})  # of the first epoch
        parts = [(1, *ends) for ends in pairwise(cuts)] + [(epoch, 0, N) for epoch in range(2, epochs + 1)]
        seen, step = [self._snapshot(net, 0, 0, True)], 0
        before = net.parameters.copy()

        def rows(part: int) -> NDArray[np.int64]:
            epoch, start, end = parts[part]
            return order(epoch)[start:end]

        try:
            for done in trainer.epochs(range(len(parts)), rows, lambda _: training.lr):
                epoch, start, end = parts[done.number]
                step += math.ceil((end - start) / B)
                figures: dict[str, Any] = {
                    "loss": done.totals.loss,
                    "accuracy": done.totals.correct / done.totals.samples,
                    "live": done.totals.live / done.totals.samples,
                }
                if epoch == 1 and end - start <= B:
                    curved = step in _LOOKS
                    figures["update_ratio"] = tuple(
                        measures.norm(W - V) / max(measures.norm(V), 1e-30)
                        for W, V in zip(net.parameters.weights, before.weights, strict=True)
                    )
                else:
                    curved = epoch in (*_EPOCHS, epochs)
                    figures["test_accuracy"] = trainer.evaluate(self.X_test, self.y_test).accuracy
                seen.append(self._snapshot(net, epoch, step, curved, **figures))
                before = net.parameters.copy()
        except DivergedError as error:
            epoch, step = parts[len(seen) - 1][0], step + (error.batch or 1)
            where = f"the {error.must.split()[1]} in step {step:,}, in epoch {epoch}"
            seen.append(Snapshot(epoch, step, not_finite=where))
            return Trial({}, epochs, None, diverged=where), seen, net
        return self._tested(net, {}, epochs), seen, net

    def _snapshot(self, net: Net, epoch: int, step: int, curved: bool, **figures: Any) -> Snapshot:
        x = self._scaled(net, self.few)
        *hidden, last = layers = measures.layers(net, x)
        for name in ("dead", "saturated", "constant"):
            if hidden and getattr(hidden[0], name) is not None:
                figures[name] = tuple(getattr(layer, name) for layer in hidden)
        if curved and all(math.isfinite(layer.z_largest) for layer in layers):
            figures["gauss_newton"] = measures.gauss_newton(net, x, self.y_few)
        return Snapshot(epoch, step, last.z_spread, **figures)

    def _tested(self, net: Net, changes: Changes, epochs: int) -> Trial:
        p = self._predict(net, self.X_test)
        hits = p.argmax(axis=1) == self.y_test
        with np.errstate(invalid="ignore"):
            counts = np.bincount(self.y_test, minlength=self.K)
            recalls = np.bincount(self.y_test, weights=hits, minlength=self.K) / counts
        return Trial(
            changes, epochs, float(hits.mean()), tuple(recalls.tolist()),
            standing=self._standing(p, self.y_test),
        )  # fmt: skip

    def _standing(self, p: NDArray[Any], y: NDArray[np.int64]) -> Standing:
        return standing(even(p, self.counts), y, self.K)

    def _losses(self, net: Net, loss: str) -> measures.Losses:
        """Measured on the sample."""
        tested = nn.evaluate(net, self.sample, self.y_sample, loss=loss, threads=self.tuner)
        return measures.losses(tested, self._predict(net, self.sample), self.y_sample, loss)

    def _standard(self, net: Net, few: NDArray[Any], spread: float, lr: float) -> measures.Standard | None:
        if isinstance(usual := net.preprocessing.scale, np.ndarray):
            return None
        scale = measures.rounded(usual * spread, down=False)
        top = measures.gauss_newton(net, few * (usual / scale), self.y_few)
        return measures.Standard(scale, measures.rounded(min(1 / top, 10.0), down=True) if top > 0 else lr)

    def _scaled(self, net: Net, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows as the first layer sees them, in float64."""
        return net.preprocessing.applied(rows)

    def _order(self, training: Training) -> Callable[[int], NDArray[np.int64]]:
        """The order of the rows in an epoch, as ``fit`` has it."""
        return lambda epoch: random.permutation(len(self.y), training.seed, "order", epoch)

    def _trainer(self, setting: Setting) -> Trainer:
        net, training = self.net(setting), setting.training
        return Trainer(
            nn, net, self.X, self.y, training.loss, training.batch_size, training.optimizer,
            OptimizerState.start(net.parameters, training.optimizer), self.tuner, seed=training.seed,
        )  # fmt: skip

    def _predict(self, net: Net, X: Any) -> NDArray[Any]:
        return nn.predict_proba(net, X, threads=self.tuner)


def _dense(rows: Any) -> NDArray[Any]:
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)
