"""A finding, and what makes one: the evidence that a rule looks at, what it sees there, a row of the table.

A finding is severe only where it costs accuracy: its change was tried and won at least SEVERE, the data do
not hold what a net could learn, or the net is no better than guessing and no change cured it.
Not in here: the rules (rules.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from fastmlp.diagnosis.chance import Standing
from fastmlp.diagnosis.measures import LayerState, Measures
from fastmlp.diagnosis.relation import Relation
from fastmlp.diagnosis.trials import Changes, Setting, Trial
from fastmlp.diagnosis.unlearnt import Unlearnt, unlearnt
from fastmlp.spec import Training
from fastmlp.words.optimizers import PLAIN
from fastmlp.words.scales import scale_text

SEVERE, WORTH = 0.05, 0.01  # of accuracy, won by a change: under the second it is not told
SEVERITIES = ("severe", "warning", "note")
BY_GAIN = f"severe where its change wins at least {SEVERE:.0%} of accuracy, a warning from {WORTH:.0%} on"


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis.

    code:     stable, that of its rule.   severity: severe, warning or note.
    measured: what was seen.              healthy:  what it is in nets that train.
    why:      why that matters.           change:   what to do, in words; "" where no setting helps.
    settings: the same as fields of Training (``initial`` None: do not give weights).
    before, after: held-out accuracy without and with the change, where it was tried.
    values:   the figures behind it.
    """

    code: str
    severity: str
    measured: str
    healthy: str
    why: str
    change: str = ""
    settings: Changes = field(default_factory=dict)
    before: float | None = None
    after: float | None = None
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def gain(self) -> float:
        """Accuracy won by the change; 0 where none was tried."""
        return 0.0 if self.after is None else self.after - (self.before or 0.0)

    @property
    def advice(self) -> str:
        """The change and what it was seen to do; or what was tried in vain; or that there is none."""
        if self.change and self.after is not None:
            before = "diverged" if self.before is None else f"{self.before:.3f}"
            return f"{self.change}: accuracy {before} -> {self.after:.3f}"
        if "tried" in self.values:
            tried = (
                f"{words} ({'diverged' if recall is None else f'{recall:.3f}'})"
                for words, recall in self.values["tried"].items()
            )
            return f"none found; tried: {', '.join(tried) or 'none, for nothing measured is out of range'}"
        return self.change or ("no setting helps" if self.severity == "severe" else "none needed")

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return asdict(self)


@dataclass(frozen=True)
class Evidence:
    """All that a rule looks at: a setting before its first step; at the end, all that was tried as well.

    setting:  the training and its first weights.
    measures: of its net.
    trials:   all trainings, the one asked about first.
    found:    the findings whose changes were tried.
    best:     the training with all changes that together did best.
    fitted:   how the net asked about stands on its training rows; None where it diverged.
    look:     looks for a relation of labels and inputs, without a net.
    sample:   some training rows (n, D) as they are.
    """

    setting: Setting
    measures: Measures
    trials: Sequence[Trial] = ()
    found: Sequence[Finding] = ()
    best: Trial | None = None
    fitted: Standing | None = None
    look: Callable[[], Relation] | None = None
    sample: NDArray[Any] | None = None

    @property
    def training(self) -> Training:
        """The training of the setting."""
        return self.setting.training

    @property
    def given(self) -> bool:
        """True where first weights were given, so that ``init`` had no part in them."""
        return self.setting.initial is not None

    @property
    def hidden(self) -> tuple[LayerState, ...]:
        """The hidden layers."""
        return self.measures.layers[:-1]

    @property
    def spread(self) -> float:
        """Spread of the first layer's pre-activations."""
        return self.measures.layers[0].z_spread

    @property
    def is_plain(self) -> bool:
        """True for plain SGD, whose steps curvature bounds; other optimizers' have sizes of their own."""
        return self.training.optimizer == PLAIN

    @property
    def over(self) -> float:
        """The ratio of lr to 2 / curvature, before the first step."""
        return self.training.lr / self.measures.limit if self.measures.limit else math.inf

    @property
    def later(self) -> float:
        """The ratio of lr to 2 / curvature in training, where curvature was largest."""
        return self.training.lr * self.measures.peak / 2

    @property
    def saturated(self) -> float:
        """Share of saturated outputs, in the hidden layer that has most."""
        return max((layer.saturated or 0.0 for layer in self.hidden), default=0.0)

    @property
    def silent(self) -> float:
        """Share of units that are dead or constant, in the hidden layer that has most."""
        return max((max(layer.dead or 0.0, layer.constant or 0.0) for layer in self.hidden), default=0.0)

    @property
    def without_given(self) -> Changes:
        """The fields that a change needs beside it where the given weights would not fit."""
        return {"initial": None} if self.given else {}

    @property
    def constant(self) -> bool:
        """True where all inputs are the same in every row."""
        return self.measures.inputs.constant_columns == self.measures.inputs.columns

    @property
    def won(self) -> float:
        """Accuracy that all changes together won."""
        return 0.0 if self.best is None else self.best.score - self.trials[0].score

    @cached_property
    def lost(self) -> Unlearnt | None:
        """The net, where it is no better than guessing and nothing that was tried cured it."""
        if self.look is None or self.constant:
            return None
        cured = self.won >= SEVERE or any(finding.severity == "severe" for finding in self.found)
        return unlearnt(self.trials, self.fitted, cured, self.look)


@dataclass(frozen=True)
class Seen:
    """The sight of a rule: what it measured.

    values:   the figures behind it, which a Finding keeps.   words: others, for its sentences alone.
    changes:  that ought to help, to be tried in this order.
    severity: where no change's gain decides it.
    cure:     a training that was run already, with the change to tell.
    """

    values: dict[str, Any] = field(default_factory=dict)
    changes: tuple[Changes, ...] = ()
    words: dict[str, Any] = field(default_factory=dict)
    severity: str = ""
    cure: Trial | None = None


@dataclass(frozen=True)
class Rule:
    """A row of the table.

    code:     stable.
    see:      what the rule sees in the evidence; None where nothing is wrong.
    rule:     the same as a sentence, with its thresholds.
    measured, healthy, why: what people are told: formats of the figures, and of ``training``.
    severity: when it is what, as a sentence.
    tried:    its changes, as a sentence's end.
    turn:     when they are tried, from 1; 0 for what is judged when all trainings are done.
    of_data:  no setting helps, so that it comes before what settings cure.
    """

    code: str
    see: Callable[[Evidence], Seen | None]
    rule: str
    measured: str
    healthy: str
    why: str
    severity: str = BY_GAIN
    tried: str = "no setting"
    turn: int = 0
    of_data: bool = False

    def finding(
        self, seen: Seen, training: Training, before: Trial | None, after: Trial | None,
        others: Iterable[Trial] = (),
    ) -> Finding:  # fmt: skip
        """A finding: what was seen, what the best of its changes did, and another that helped."""
        gain = (after.score if after else 0.0) - (before.score if before else 0.0)
        words, settings = "", Changes()
        if after and gain >= WORTH:
            words, settings = in_words(after.changes), after.changes
            if other := next((trial for trial in others if not set(trial.changes) & set(settings)), None):
                words += f", or {in_words(other.changes)} (that gives {other.score:.3f})"
        by_gain = "severe" if gain >= SEVERE else "warning" if gain >= WORTH else "note"
        figures = {"training": training} | seen.values | seen.words
        measured, healthy, why = (
            text.format_map(figures) for text in (self.measured, self.healthy, self.why)
        )
        return Finding(
            self.code, seen.severity or by_gain, measured, healthy, why, words, settings,
            before.accuracy if before else None, after.accuracy if after else None, seen.values,
        )  # fmt: skip


def in_words(changes: Changes) -> str:
    """Changes of settings as a person says them."""
    words = []
    for name, value in changes.items():
        if name == "initial":
            words.append("start from fresh weights")
        elif name == "center":
            words.append("centre the inputs (--center)")
        elif name == "hidden":
            words.append(f"use hidden {','.join(map(str, value))}")
        elif name == "scale":
            how = "scale each column:" if isinstance(value, str) else "divide the inputs by"
            words.append(f"{how} {scale_text(value)} (--scale {scale_text(value)})")
        elif name == "init":
            words.append(f"draw them by {value}" if "initial" in changes else f"use init {value}")
        else:
            words.append(f"use {name} {value:g}" if isinstance(value, float) else f"use {name} {value}")
    return " and ".join(words)
