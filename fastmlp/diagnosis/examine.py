"""A diagnosis step by step: measure the net at its start, watch it train, try what ought to help, conclude.

Not in here: what is out of range, and what ought to help (rules.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.columns import Columns
from fastmlp.diagnosis.findings import SEVERITIES, WORTH, Evidence, Finding, Rule, Seen, in_words
from fastmlp.diagnosis.measures import Measures
from fastmlp.diagnosis.relation import relation
from fastmlp.diagnosis.report import Diagnosis
from fastmlp.diagnosis.rules import RULES
from fastmlp.diagnosis.trials import Bench, Changes, Setting, Trial
from fastmlp.diagnosis.unlearnt import guesses
from fastmlp.errors import ConfigError, DataError
from fastmlp.net import Parameters
from fastmlp.spec import Training
from fastmlp.words.losses import checked_loss

ROUNDS = 3  # of changes on top of each other
NEARLY = 0.03  # of accuracy: two changes that won the same, but for luck
_EARLY = 100  # epochs of a training that would stop early: all of them would learn its rows by heart
_RUNS = 6  # that most diagnoses need: they share its seconds; what is over its time is not begun

Notify = Callable[[str], object]


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
    notify: Notify | None = None,
    columns: Columns | None = None,
) -> Diagnosis:
    """Diagnose a training on X (N, D) and class indices y (N,), tested on rows held out.

    columns: how X came of a table, if it did.

    ``seconds``: what all trials together may take, about; they have fewer epochs where all of the
    training's would take longer. ``notify`` hears what is being done. Raises what ``check`` raises.
    """
    check(training, y)
    notify = notify or (lambda text: None)
    started = time.perf_counter()
    if unusual := training.architecture(X.shape[1], K).unusual:
        told = ", ".join(unusual)
        raise ConfigError("a diagnosis must be of layers with a width and an activation alone", told)
    bench = Bench(X, y, X_test, y_test, K, threads, columns)
    setting = Setting(replace(training, validation=0.0, patience=0), initial)
    notify("measuring the net at its start")
    evidence = Evidence(setting, bench.measured(setting))
    each = bench.seconds_an_epoch(setting)
    most = min(training.epochs, _EARLY) if training.patience else training.epochs
    epochs = max(1, min(most, int(seconds / _RUNS / max(each, 1e-9))))
    if evidence.constant:
        epochs = 1
    notify(f"training {epochs} epoch{'s' * (epochs > 1)}, watched")
    base, trajectory, trained = bench.watch(setting, epochs)
    measures = replace(
        evidence.measures,
        live=min((seen.live for seen in trajectory if seen.live is not None), default=1.0),
        peak=max((seen.gauss_newton for seen in trajectory if seen.gauss_newton is not None), default=0.0),
        after=bench.after(trained, training.loss),
    )
    tried = _Tried([], [base], base)
    if not evidence.constant:
        tried = _try(bench, setting, base, measures, seconds, notify)
    evidence = Evidence(
        setting, measures, tried.trials, tried.found, tried.best,
        fitted=None if base.diverged else bench.standing(trained),
        look=partial(relation, X, y, K), sample=bench.sample,
    )  # fmt: skip
    found, recommended = rank(tried.found + conclusions(evidence)), tried.best.changes
    guessing = all(trial.standing is None or guesses(trial.standing) for trial in tried.trials)
    if evidence.lost and guessing and not base.diverged:  # what changes won is luck
        found, recommended = rank([_without_change(finding) for finding in found]), {}
    return Diagnosis(
        training, found, measures, trajectory, tried.trials, recommended, epochs,
        time.perf_counter() - started,
    )  # fmt: skip


def check(training: Training, y: NDArray[Any]) -> None:
    """Raise ConfigError or DataError unless it can be diagnosed.

    What is measured is of classes. Trials are at one rate, and train on all rows: none of them stops early.
    """
    checked_loss(training.loss, "classes")
    alike = replace(training, class_weight=None, label_smoothing=0.0, schedule="constant")
    if training != alike:
        raise ConfigError(
            "a diagnosis must be of a constant rate, all rows and classes alike",
            training.in_words(),
            "diagnose the same net without those options",
        )
    if y.ndim != 1:
        raise DataError("a diagnosis must be of labels (N,)", f"y of shape {y.shape}")


def rank(findings: list[Finding]) -> list[Finding]:
    """Worst first: by severity, then what no setting helps, then by what a change won.

    Changes that win nearly as much as the best are told in the order of the table, causes first.
    """
    places = {rule.code: (not rule.of_data, place) for place, rule in enumerate(RULES)}
    best = max((finding.gain for finding in findings), default=0.0)

    def key(finding: Finding) -> tuple[int, bool, float, int]:
        of_setting, place = places[finding.code]
        gain = -finding.gain if finding.gain < best - NEARLY else -math.inf
        return SEVERITIES.index(finding.severity), of_setting, gain, place

    return sorted(findings, key=key)


def suspicions(evidence: Evidence) -> list[tuple[Rule, Seen]]:
    """Findings of what is out of range at the start, in the order in which changes are tried."""
    rules = sorted((rule for rule in RULES if rule.turn), key=lambda rule: rule.turn)
    return [(rule, seen) for rule in rules if (seen := rule.see(evidence))]


def conclusions(evidence: Evidence) -> list[Finding]:
    """Findings that are judged when all trainings are done."""
    base = evidence.trials[0]
    return [
        rule.finding(seen, evidence.training, base if seen.cure else None, seen.cure)
        for rule in RULES
        if not rule.turn and (seen := rule.see(evidence))
    ]


@dataclass(frozen=True)
class _Tried:
    """Findings whose changes were tried, all trials, and the one with the changes that together did best."""

    found: list[Finding]
    trials: list[Trial]
    best: Trial


def _try(
    bench: Bench, setting: Setting, base: Trial, measures: Measures, seconds: float, notify: Notify
) -> _Tried:
    """Try what ought to help, and adopt one change a round, on top of those before.

    No trial of the first round begins later than 7/6 of the seconds from here, none of the others than 5/6.
    """
    until = time.perf_counter() + seconds * (1 - 1 / _RUNS)
    found: list[Finding] = []
    trials, current, adopted = [base], base, Changes()
    for number in range(ROUNDS):
        here: list[tuple[Finding, Trial]] = []
        for rule, seen in suspicions(Evidence(setting, measures, sample=bench.sample)):
            best: Trial | None = None
            helpful = []
            for changes in seen.changes:
                if time.perf_counter() > until + (0 if number else seconds / 3):
                    break
                notify(f"trying: {in_words(adopted | changes)}")
                trial = bench.run(setting, changes, base.epochs)
                trials.append(replace(trial, changes=adopted | changes))
                if trial.score >= current.score + WORTH:
                    helpful.append(trial)
                if best is None or trial.score > best.score + WORTH:
                    best = trial
            others = [trial for trial in helpful if trial is not best]
            here.append((rule.finding(seen, setting.training, current, best, others), best or current))
        known = {finding.code for finding in found}
        found += [f for f, _ in here if number == 0 or (f.gain >= WORTH and f.code not in known)]
        ranked = rank([f for f, _ in here])
        if not ranked or ranked[0].gain < WORTH:
            break
        current = next(trial for f, trial in here if f is ranked[0])
        adopted |= current.changes
        setting = setting.changed(current.changes)
        measures = bench.measured(setting)
    return _Tried(found, trials, replace(current, changes=adopted))


def _without_change(finding: Finding) -> Finding:
    return finding if finding.after is None else replace(finding, severity="note", change="", settings={})
