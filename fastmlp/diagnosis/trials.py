"""Short trainings: the one that is asked about, watched closely, and others with a setting changed.

They share one encoded data set, and are the first epochs of what ``fit`` would do: same bytes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import kernels as nn
from fastmlp import random
from fastmlp.backends.threads import ThreadTuner
from fastmlp.data.encode import column_means
from fastmlp.diagnosis import measure
from fastmlp.diagnosis.chance import Standing, even, standing
from fastmlp.errors import DivergedError
from fastmlp.net import Net, Parameters, Preprocessing, initialise
from fastmlp.spec import Training

STEPS = 20  # of the first epoch that are watched one by one
_VALUES = 1 << 24  # of a sample of rows, at most about: wide rows are few
_LOOKS = (1, 2, 3, 5, 10, 20)  # steps after which curvature is measured


@dataclass(frozen=True)
class Setting:
    """A training and its first weights: ``initial``, or those that its ``init`` and ``seed`` give."""

    training: Training
    initial: Parameters | None = None

    def changed(self, changes: dict[str, Any]) -> Setting:
        """The same with some fields of the training changed; ``initial=None`` drops given weights."""
        fields = {name: value for name, value in changes.items() if name != "initial"}
        return Setting(replace(self.training, **fields), changes.get("initial", self.initial))


@dataclass(frozen=True)
class Trial:
    """How a training with these changes went: accuracy on held-out rows after its last epoch.

    accuracy is None where it diverged. recalls: the same for each class, nan where it has no rows.
    standing: of guesses that make all classes even, against chance; None where it diverged.
    """

    changes: dict[str, Any]
    epochs: int
    accuracy: float | None
    recalls: tuple[float, ...] = ()
    diverged: str = ""
    standing: Standing | None = None

    @property
    def score(self) -> float:
        """The accuracy; 0 where it diverged."""
        return self.accuracy or 0.0


class Bench:
    """The data that trials share: rows to train on and rows held out, and what small samples show.

    X, X_test: (N, D) as ``fit`` takes them. y, y_test: class indices.
    """

    def __init__(
        self,
        X: Any,
        y: NDArray[np.int64],
        X_test: Any,
        y_test: NDArray[np.int64],
        K: int,
        threads: int | str = "auto",
    ) -> None:
        self.y, self.y_test, self.K, self.D = y, y_test, K, X.shape[1]
        self.means, self.counts = column_means(X), np.bincount(y, minlength=K)
        self.X, self.X_test = nn.encode(X), nn.encode(X_test)
        self.tuner = ThreadTuner(threads)
        picked, room = random.permutation(len(y), 0, "diagnose"), max(50, _VALUES // self.D)
        many, few = (np.sort(picked[: min(n, room)]) for n in (5000, 500))
        self.raw_many, self.y_many = _dense(X[many]), y[many]
        self.raw_few, self.y_few = _dense(X[few]), y[few]

    def first_weights(self, setting: Setting) -> Parameters:
        """Float32, a copy."""
        if setting.initial is not None:
            return setting.initial.astype(np.float32).copy()
        training = setting.training
        return initialise(training.architecture(self.D, self.K), training.init, training.seed)

    def net(self, parameters: Parameters, training: Training) -> Net:
        """The net of a training, with these parameters."""
        preprocessing = Preprocessing(training.scale, self.means if training.center else None)
        return Net(training.architecture(self.D, self.K), parameters, preprocessing)

    def scaled(self, raw: NDArray[Any], training: Training) -> NDArray[Any]:
        """Rows as the first layer sees them, in float64."""
        x = np.asarray(raw, np.float64)
        return (x - self.means if training.center else x) / training.scale

    def losses(self, parameters: Parameters, training: Training) -> dict[str, Any]:
        """``measure.losses`` on some of the training rows."""
        net = self.net(parameters, training)
        return measure.losses(net, self.raw_many, self.y_many, nn, training.loss, self.tuner)

    def standing(self, parameters: Parameters, training: Training) -> Standing:
        """Of a net on some of the training rows."""
        p = nn.predict_proba(self.net(parameters, training), self.raw_many, threads=self.tuner)
        return standing(even(p, self.counts), self.y_many, self.K)

    def seconds_an_epoch(self, setting: Setting) -> float:
        """Measured on some of the rows, after one that compiles."""
        rows = min(len(self.y), 2000)
        parameters = self.first_weights(setting)
        for n in (1, rows):
            started = time.perf_counter()
            try:
                self._train(parameters, setting.training, np.arange(n))
            except DivergedError:
                return 0.0
        return (time.perf_counter() - started) * len(self.y) / rows

    def run(self, setting: Setting, changes: dict[str, Any], epochs: int) -> Trial:
        """Train with the changes; look at nothing but the end."""
        setting = setting.changed(changes)
        training, parameters = setting.training, self.first_weights(setting)
        for epoch in range(1, epochs + 1):
            try:
                self._train(parameters, training, self._order(training, epoch))
            except DivergedError as error:
                return Trial(changes, epochs, None, diverged=f"{error.got} of epoch {epoch}")
        return self._tested(parameters, training, changes, epochs)

    def watch(self, setting: Setting, epochs: int) -> tuple[Trial, list[dict[str, Any]], Parameters]:
        """Train as it is: how it went, what it was like step by step and then by epoch, its last weights."""
        training, parameters = setting.training, self.first_weights(setting)
        rows = [self._looked_at(parameters, training, epoch=0, step=0, curved=True)]
        steps = 0
        for epoch in range(1, epochs + 1):
            order = self._order(training, epoch)
            B = training.batch_size
            parts = (
                [order[at : at + B] for at in range(0, min(STEPS * B, len(order)), B)] if epoch == 1 else []
            )
            rest = order[len(parts) * B :]
            for part in [*parts, *([rest] if len(rest) else [])]:
                before = [W.copy() for W in parameters.weights]
                try:
                    totals = self._train(parameters, training, part)
                except DivergedError as error:
                    step = steps + (error.batch or 1)
                    where = f"the {error.must.split()[1]} in step {step:,}, in epoch {epoch}"
                    rows.append({"epoch": epoch, "step": step, "not_finite": where})
                    return Trial({}, epochs, None, diverged=where), rows, parameters
                single = len(part) <= B and epoch == 1
                steps += -(-len(part) // B)
                row = {"loss": totals.loss, "accuracy": totals.correct / totals.samples}
                row["live"] = totals.live / totals.samples
                if single:
                    row["update_ratio"] = [
                        _norm(W - V) / max(_norm(V), 1e-30)
                        for W, V in zip(parameters.weights, before, strict=True)
                    ]
                    curved = steps in _LOOKS
                else:
                    tested = nn.evaluate(
                        self.net(parameters, training), self.X_test, self.y_test,
                        loss=training.loss, threads=self.tuner,
                    )  # fmt: skip
                    row["test_accuracy"] = tested.accuracy
                    curved = epoch in (1, 2, 3, 5, 10, epochs)
                rows.append(self._looked_at(parameters, training, epoch, steps, curved) | row)
        return self._tested(parameters, training, {}, epochs), rows, parameters

    def _looked_at(
        self, parameters: Parameters, training: Training, epoch: int, step: int, curved: bool
    ) -> dict[str, Any]:
        x = self.scaled(self.raw_few, training)
        net = self.net(parameters, training)
        layers = measure.layers(net, x)
        row: dict[str, Any] = {"epoch": epoch, "step": step, "logits_spread": layers[-1]["z_spread"]}
        for name in ("dead", "saturated", "constant"):
            if layers[0].get(name) is not None:
                row[name] = [layer[name] for layer in layers[:-1]]
        if curved and all(np.isfinite(layer["z_largest"]) for layer in layers):
            row["gauss_newton"] = measure.gauss_newton(net, x, self.y_few)
        return row

    def _order(self, training: Training, epoch: int) -> NDArray[np.int64]:
        return random.permutation(len(self.y), training.seed, "order", epoch)

    def _train(self, parameters: Parameters, training: Training, order: NDArray[np.int64]) -> Any:
        return nn.train_epoch(
            self.net(parameters, training), self.X, self.y, order, loss=training.loss, lr=training.lr,
            batch_size=training.batch_size, threads=self.tuner,
        )  # fmt: skip

    def _tested(
        self, parameters: Parameters, training: Training, changes: dict[str, Any], epochs: int
    ) -> Trial:
        p = nn.predict_proba(self.net(parameters, training), self.X_test, threads=self.tuner)
        hits = p.argmax(axis=1) == self.y_test
        with np.errstate(invalid="ignore"):
            counts = np.bincount(self.y_test, minlength=self.K)
            recalls = np.bincount(self.y_test, weights=hits, minlength=self.K) / counts
        stands = standing(even(p, self.counts), self.y_test, self.K)
        return Trial(changes, epochs, float(hits.mean()), tuple(recalls.tolist()), standing=stands)


def _norm(W: NDArray[Any]) -> float:
    return float(np.linalg.norm(W.astype(np.float64)))


def _dense(rows: Any) -> NDArray[Any]:
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)
