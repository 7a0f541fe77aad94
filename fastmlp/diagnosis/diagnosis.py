"""A diagnosis: measure the net at its start, watch it train, try what ought to help, say what was found."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import LARGEST, SMALLEST
from fastmlp.diagnosis import measure
from fastmlp.diagnosis.findings import SEVERE, WORTH, Finding, Suspicion, in_words, rank, rounded, suspicions
from fastmlp.diagnosis.trials import Bench, Setting, Trial
from fastmlp.diagnosis.unlearnt import guesses, unlearnt
from fastmlp.errors import ConfigError
from fastmlp.net import Net, Parameters
from fastmlp.optimizers import PLAIN
from fastmlp.spec import NUMERICS_REVISION, Training

ROUNDS = 3  # of changes on top of each other
_RUNS = 6  # that most diagnoses need: they share its seconds; what is over its time is not begun
_RARE = 0.1  # of their rows that rare classes lose against the others: severe
_IMBALANCE = 10  # times as many rows of one class as of another


@dataclass(frozen=True)
class Diagnosis:
    """What ``diagnose`` found.

    findings:     worst first.
    verdict:      one sentence.
    measures:     at the start: inputs, label_counts, layers, loss, gradients, update_ratio, curvature, limit
                  (2 / curvature), safe_factor; ``after`` the training: layers and loss.
    trajectory:   a dict for each of the first steps, then for each epoch.
    trials:       every training that was tried, the one asked about first.
    recommended:  settings that together did best, {} where none was better.
    """

    training: Training
    findings: list[Finding]
    verdict: str
    measures: dict[str, Any]
    trajectory: list[dict[str, Any]]
    trials: list[Trial]
    recommended: dict[str, Any]
    epochs: int
    seconds: float
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def severe(self) -> bool:
        """Whether something costs accuracy."""
        return any(finding.severity == "severe" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return {
            "verdict": self.verdict,
            "severe": self.severe,
            "findings": [_plain(finding.to_json()) for finding in self.findings],
            "recommended": _plain(self.recommended),
            "training": self.training.to_json(),
            "epochs": self.epochs,
            "measures": self.measures,
            "trajectory": self.trajectory,
            "trials": [
                {
                    "changes": _plain(trial.changes),
                    "epochs": trial.epochs,
                    "accuracy": trial.accuracy,
                    "recalls": list(trial.recalls),
                    "balanced": None if trial.standing is None else trial.standing.recall,
                    "diverged": trial.diverged or None,
                }
                for trial in self.trials
            ],
            "data": self.data,
            "numerics": NUMERICS_REVISION,
            "seconds": self.seconds,
        }


def examine(
    X: Any,
    y: NDArray[np.int64],
    X_test: Any,
    y_test: NDArray[np.int64],
    K: int,
    training: Training,
    *,
    initial: Parameters | None = None,
    threads: int | str = "auto",
    seconds: float = 20.0,
    notify: Callable[[str], object] = lambda text: None,
) -> Diagnosis:
    """Diagnose a training on X (N, D) and class indices y (N,), tested on rows held out.

    ``seconds``: what all trials together may take, about; they have fewer epochs where all of the
    training's would take longer. ``notify`` hears what is being done. Raises ConfigError for
    other steps than plain SGD's at a constant rate: curvature bounds those alone.
    """
    if training != replace(
        training, optimizer=PLAIN, schedule="constant", validation=0.0, patience=0, class_weight=None
    ):
        raise ConfigError(
            "a diagnosis must be of plain SGD at a constant rate, all rows and classes alike",
            str(training),
            "diagnose the same net without those options",
        )
    started = time.perf_counter()
    bench = Bench(X, y, X_test, y_test, K, threads)
    setting = Setting(training, initial)
    notify("measuring the net at its start")
    state = look(bench, setting)
    nothing = state["inputs"]["constant_columns"] == state["inputs"]["columns"]
    each = bench.seconds_an_epoch(setting)
    epochs = 1 if nothing else max(1, min(training.epochs, int(seconds / _RUNS / max(each, 1e-9))))
    notify(f"training {epochs} epoch{'s' * (epochs > 1)}, watched")
    base, trajectory, trained = bench.watch(setting, epochs)
    after = {
        "layers": measure.layers(bench.net(trained, training), bench.scaled(bench.raw_many, training)),
        "loss": bench.losses(trained, training),
    }
    state["live"] = min((row["live"] for row in trajectory if "live" in row), default=1.0)
    state["peak"] = max((row["gauss_newton"] for row in trajectory if "gauss_newton" in row), default=0.0)
    found, trials, recommended = list[Finding](), [base], dict[str, Any]()
    if nothing:
        found.append(_constant(state["inputs"]["columns"]))
    else:
        until = time.perf_counter() + seconds * (1 - 1 / _RUNS)
        found, trials, recommended = _tried(bench, setting, base, state, until, until + seconds / 3, notify)
        fitted = None if base.diverged else bench.standing(trained, training)
        lost = unlearnt(X, y, K, trials, fitted, found, bench.raw_many)
        if lost is not None:
            found, recommended = _without_luck(found, trials, recommended)
            found.append(lost)
        if lost is None or lost.severity != "severe":
            found += _imbalance(state["label_counts"], base)
    if base.diverged:
        found.append(_not_finite(base, max(trials, key=lambda trial: trial.score), recommended))
    found = rank(found)
    return Diagnosis(
        training, found, _verdict(found, base, epochs), state | {"after": after}, trajectory, trials,
        recommended, epochs,
        time.perf_counter() - started,
    )  # fmt: skip


def look(bench: Bench, setting: Setting) -> dict[str, Any]:
    """Everything that measure.py measures, of a net before its first step."""
    training, parameters = setting.training, bench.first_weights(setting)
    many, few = bench.scaled(bench.raw_many, training), bench.scaled(bench.raw_few, training)
    net = bench.net(parameters, training)
    gradients = measure.gradients(net, few, bench.y_few, training.loss)
    curved = measure.curvature(net, few, bench.y_few, training.loss)
    top = curved["gauss_newton"]
    layers = measure.layers(net, many)
    return {
        "inputs": measure.inputs(many),
        "label_counts": measure.classes(bench.y, bench.K),
        "classes": bench.K,
        "layers": layers,
        "loss": bench.losses(parameters, training),
        "gradients": gradients,
        "update_ratio": measure.update_ratios(gradients, training.lr),
        "curvature": curved,
        "gauss_newton": top,
        "limit": 2 / top if top > 0 else math.inf,
        "safe_factor": measure.safe_factor(net, few, bench.y_few, training.lr),
        "standard": _standard(bench, setting, net, few, layers[0]["z_spread"]),
        "live": 1.0,  # and what a watched training adds to it
        "peak": 0.0,
    }


def _standard(bench: Bench, setting: Setting, net: Net, few: NDArray[Any], spread: float) -> dict[str, Any]:
    """The scale at which the first layer's pre-activations spread by 1, and half of what lr may be there."""
    training = setting.training
    scale = rounded(min(max(training.scale * spread, 2 * SMALLEST), LARGEST / 2), down=False)
    top = measure.gauss_newton(net, few * (training.scale / scale), bench.y_few)
    return {"scale": scale, "lr": rounded(min(1 / top, 10.0), down=True) if top > 0 else training.lr}


def _tried(
    bench: Bench,
    setting: Setting,
    base: Trial,
    state: dict[str, Any],
    until: float,
    late: float,
    notify: Callable[[str], object],
) -> tuple[list[Finding], list[Trial], dict[str, Any]]:
    """Findings, trials, and the changes that together did best: one a round, on top of those before.

    No trial of the first round begins after the time ``late``, none of the others after ``until``.
    """
    found: list[Finding] = []
    trials, current, adopted = [base], base, dict[str, Any]()
    for number in range(ROUNDS):
        here: list[tuple[Finding, Trial]] = []
        for suspicion in suspicions(state, setting.training, setting.initial is not None):
            best: Trial | None = None
            helpful = []
            for changes in suspicion.changes:
                if time.perf_counter() > (late if number == 0 else until):
                    break
                notify(f"trying: {in_words(adopted | changes)}")
                trial = bench.run(setting, changes, base.epochs)
                trials.append(_on_top(trial, adopted))
                if trial.score >= current.score + WORTH:
                    helpful.append(trial)
                if best is None or trial.score > best.score + WORTH:
                    best = trial
            others = [trial for trial in helpful if trial is not best]
            here.append((suspicion.finding(current, best, others), best or current))
        known = {finding.code for finding in found}
        found += [f for f, _ in here if number == 0 or (f.gain >= WORTH and f.code not in known)]
        ranked = rank([f for f, _ in here])
        if not ranked or ranked[0].gain < WORTH:
            break
        current = next(trial for f, trial in here if f is ranked[0])
        adopted |= current.changes
        setting = setting.changed(current.changes)
        state = look(bench, setting)
    if not any(f.severity == "severe" for f in found) and current.score - base.score >= SEVERE:
        together = Suspicion(
            "settings-together", f"accuracy {base.score:.3f}", f"{current.score:.3f} with several changes",
            "each of them alone changes little", (), {},
        )  # fmt: skip
        found.append(together.finding(base, _on_top(current, adopted), []))
    return found, trials, adopted


def _on_top(trial: Trial, adopted: dict[str, Any]) -> Trial:
    return replace(trial, changes=adopted | trial.changes)


def _without_luck(
    found: list[Finding], trials: list[Trial], recommended: dict[str, Any]
) -> tuple[list[Finding], dict[str, Any]]:
    """What is left of the changes where no training is better than guessing: that one is finite."""
    if trials[0].diverged or not all(trial.standing is None or guesses(trial.standing) for trial in trials):
        return found, recommended
    return [replace(finding, severity="note", change="", settings={}) for finding in found], {}


def _constant(columns: int) -> Finding:
    return Finding(
        "inputs-constant", "severe", f"all {columns:,} inputs are the same in every row",
        "inputs that differ from row to row", "there is nothing that could tell the classes apart",
        values={"columns": columns},
    )  # fmt: skip


def _imbalance(labels: dict[str, Any], base: Trial) -> list[Finding]:
    """Rare classes, and whether they are lost."""
    ratio, counts = labels["ratio"], np.array(labels["counts"])
    if ratio < _IMBALANCE or not base.recalls:
        return []
    rare = (counts > 0) & (counts * _IMBALANCE <= counts.max())
    recalls = np.array(base.recalls)
    seen = float(np.nanmean(recalls[rare])) if np.isfinite(recalls[rare]).any() else math.nan
    common = float(np.nanmean(recalls[~rare & (counts > 0)]))
    costs = seen < common - _RARE
    return [
        Finding(
            "classes-imbalanced", "severe" if costs else "note",
            f"{ratio:.0f}x as many rows of one class as of another; the rare classes are recognised in "
            f"{seen:.0%}, the others in {common:.0%}",
            f"under {_IMBALANCE}x, or the same share of every class recognised",
            "the mean loss hardly notices a rare class: accuracy looks fine while that class is lost",
            values={"ratio": ratio, "rare": seen, "common": common},
        )
    ]  # fmt: skip


def _not_finite(base: Trial, best: Trial, recommended: dict[str, Any]) -> Finding:
    cured = best.accuracy is not None
    return Finding(
        "not-finite", "severe", f"nan or infinity: {base.diverged}", "none, ever",
        "from there on nothing can be learnt", in_words(recommended) if cured else "",
        recommended if cured else {}, None, best.accuracy,
    )  # fmt: skip


def _verdict(found: list[Finding], base: Trial, epochs: int) -> str:
    """One sentence: the worst that was found, what to do, and what that was seen to do."""
    after = f"after {epochs} epoch{'s' * (epochs > 1)}"
    had = f"{base.accuracy:.3f}" if base.accuracy is not None else "nothing finite"
    if found and found[0].severity == "severe":
        worst = found[0]
        if not worst.change:
            return f"{worst.measured}: {worst.why}."
        had = f"{worst.before:.3f}" if worst.before is not None else "nothing finite"
        return f"{worst.measured}; {worst.change}: held-out accuracy {had} -> {worst.after:.3f} {after}."
    if lost := next((f for f in found if f.code == "does-not-train"), None):
        return f"{lost.measured}: {lost.why}."
    helpful = [f for f in found if f.change]
    text = f"nothing that was measured costs {SEVERE:.0%} of accuracy or more: {had} on held-out rows {after}"
    if helpful:
        return f"{text}; {helpful[0].change}: {helpful[0].after:.3f}."
    return f"{text}."


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
