"""Findings: what is wrong, by what was measured, and what a change of setting was seen to do about it.

A finding is severe only where it costs accuracy: its change was tried and won at least SEVERE, the data
themselves do not hold what a net could learn, or the net is at chance and no change cured it (unlearnt.py).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from fastmlp.diagnosis.trials import Trial
from fastmlp.spec import Training

SEVERE, WORTH = 0.05, 0.01  # of accuracy, won by a change
_NEARLY = 0.03  # of it: two changes that won the same, but for luck
SEVERITIES = ("severe", "warning", "note")

_NO_LIMIT = 1e4  # beyond, softmax is so sure of every row that the loss is flat: 2 / curvature means nothing

ORDER = (
    "inputs-constant",
    "labels-unrelated",
    "classes-imbalanced",
    "units-dead",
    "loss-frozen",
    "units-saturated",
    "lr-too-high",
    "lr-too-low",
    "inputs-too-large",
    "inputs-too-small",
    "inputs-off-centre",
    "init-unsuitable",
    "hidden-too-narrow",
    "not-finite",
    "settings-together",
    "does-not-train",
)
"""Every code, causes before effects. The first three are of the data: no setting helps; nor of the last."""


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis.

    code:     stable, one of ORDER.        severity: severe, warning or note.
    measured: what was seen.               healthy:  what it is in nets that train.
    why:      why that matters.            change:   what to do, in words; "" where no setting helps.
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
    settings: dict[str, Any] = field(default_factory=dict)
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
class Suspicion:
    """Something out of its healthy range, with the changes that ought to help."""

    code: str
    measured: str
    healthy: str
    why: str
    changes: tuple[dict[str, Any], ...]
    values: dict[str, Any] = field(default_factory=dict)

    def finding(self, before: Trial, after: Trial | None, others: list[Trial]) -> Finding:
        """With what the best of its changes was seen to do, and the others that helped."""
        gain = 0.0 if after is None else after.score - before.score
        severity = "severe" if gain >= SEVERE else "warning" if gain >= WORTH else "note"
        words, settings = "", dict[str, Any]()
        if after is not None and gain >= WORTH:
            words, settings = in_words(after.changes), after.changes
            if other := next((trial for trial in others if not set(trial.changes) & set(settings)), None):
                words += f", or {in_words(other.changes)} (that gives {other.score:.3f})"
        return Finding(
            self.code, severity, self.measured, self.healthy, self.why, words, settings,
            before.accuracy, after.accuracy if after else None, self.values,
        )  # fmt: skip


def rank(findings: list[Finding]) -> list[Finding]:
    """Worst first: by severity, then what no setting helps, then by what a change won.

    Changes that win nearly as much as the best are told in the order of ORDER, causes first.
    """
    first, best = {*ORDER[:3], ORDER[-1]}, max((f.gain for f in findings), default=0.0)
    return sorted(
        findings,
        key=lambda f: (
            SEVERITIES.index(f.severity),
            f.code not in first,
            f.gain < best - _NEARLY,
            0 if f.gain >= best - _NEARLY else -f.gain,
            ORDER.index(f.code),
        ),
    )


def suspicions(state: dict[str, Any], training: Training, given: bool) -> list[Suspicion]:
    """What is out of range at the start of a training, by ``state`` as diagnose() measures it.

    given: whether the first weights were given, so that ``init`` had no part in them.
    """
    found = []
    spread, standard = state["layers"][0]["z_spread"], state["standard"]
    hidden = state["layers"][:-1]
    saturated = max((layer.get("saturated", 0.0) for layer in hidden), default=0.0)
    large = bool(hidden) and spread > 10 and saturated <= 0.5
    limit = 2 / state["gauss_newton"] if state["gauss_newton"] > 0 else math.inf
    over, later = training.lr / limit, training.lr * state["peak"] / 2
    if over > 1 or later > 2:
        worst, top, when = over, state["gauss_newton"], ""
        if over <= 1:
            worst, top, when = later, state["peak"], " in training"
        changes: list[dict[str, Any]] = [{"lr": rounded(2 / top * share, down=True)} for share in (1, 0.2)]
        if over > 1 and state["safe_factor"] is not None:
            changes.insert(0, {"scale": rounded(training.scale * state["safe_factor"], down=False)})
        if large:
            changes.append(standard)
        found.append(
            Suspicion(
                "lr-too-high",
                f"lr {training.lr:g} is {worst:,.3g}x above what the loss surface allows{when}",
                f"lr under 2 / curvature = 2 / {_short(top)} = {2 / top:.2g}",
                "steps overshoot along the steepest direction: units are thrown where nothing activates "
                "them, or logits where the loss is flat",
                tuple(changes),
                {"limit": limit, "over": over, "later": later, "safe_factor": state["safe_factor"]},
            )
        )
    elif over < 1 / 4 and limit < _NO_LIMIT:
        found.append(
            Suspicion(
                "lr-too-low",
                f"lr {training.lr:g} is {1 / over:,.3g}x under what the loss surface allows",
                f"lr within a factor of 4 of 2 / curvature = 2 / {_short(2 / limit)} = {limit:.2g}",
                "the net moves less than it could in each step, and the epochs end before it has learnt",
                tuple({"lr": rounded(limit * share, down=True)} for share in (0.5, 0.1) if share > 2 * over),
                {"limit": limit, "over": over},
            )
        )
    if saturated > 0.5:
        found.append(
            Suspicion(
                "units-saturated",
                f"{saturated:.0%} of the {training.act} outputs are saturated at the start",
                "under 50 %; pre-activations spread by about 1",
                "where the activation is flat, no gradient passes to the weights before it",
                ({"scale": standard["scale"]}, standard) if spread > 1 else (),
                {"saturated": saturated, "z_spread": spread},
            )
        )
    elif large and not (over > 1 or later > 2):
        found.append(
            Suspicion(
                "inputs-too-large",
                f"the first layer's pre-activations spread by {spread:.3g}",
                "0.15 to 10",
                "one direction is so steep that an lr it bears is too small for all others",
                (standard,),
                {"z_spread": spread},
            )
        )
    if hidden and 0 < spread < 0.15:
        found.append(
            Suspicion(
                "inputs-too-small",
                f"the first layer's pre-activations spread by {spread:.2g}",
                "0.15 to 10",
                "a first layer that hears so little of its inputs learns as slowly as with a small lr",
                ({"scale": standard["scale"]}, standard),
                {"z_spread": spread},
            )
        )
    dead = max((layer.get("dead", 0.0) for layer in hidden), default=0.0)
    constant = max((layer.get("constant", 0.0) for layer in hidden), default=0.0)
    afresh: dict[str, Any] = {"init": "glorot_uniform"} | ({"initial": None} if given else {})
    if max(dead, constant) > 0.1:
        found.append(
            Suspicion(
                "units-dead",
                f"{max(dead, constant):.0%} of a layer's units give the same for every row at the start",
                "none",
                "such a unit carries nothing, and a ReLU unit that nothing activates gets no gradient",
                (afresh,),
                {"dead": dead, "constant": constant},
            )
        )
    elif given or (not 0.03 < state["layers"][-1]["z_spread"] < 3 and training.init != "glorot_uniform"):
        found.append(
            Suspicion(
                "init-unsuitable",
                f"first weights {'that were given' if given else training.init}: logits spread by "
                f"{state['layers'][-1]['z_spread']:.3g}",
                "logits that spread by 0.03 to 3",
                "from there the way to a solution is longer",
                (afresh,),
                {"z_spread": state["layers"][-1]["z_spread"]},
            )
        )
    live = min(state["live"], state["loss"]["live"][training.loss])
    if training.loss != "logits" and live < 0.9:
        found.append(
            Suspicion(
                "loss-frozen",
                f"{live:.1%} of the samples are inside the clip of {training.loss}",
                "all of them",
                "a sample outside the clip has a gradient of exactly 0: right or wrong, it teaches nothing",
                ({"loss": "logits"},),
                {"live": live},
            )
        )
    centre = abs(state["inputs"]["mean"]) / max(state["inputs"]["spread"], 1e-30)
    if centre > 2:
        centred = {"center": True, "scale": rounded(training.scale * state["inputs"]["spread"], down=False)}
        found.append(
            Suspicion(
                "inputs-off-centre",
                f"the inputs' mean is {centre:.3g}x their spread",
                "at most 2x",
                "what all rows have in common is steep and teaches nothing; what tells them apart is shallow",
                (centred, {"center": True}),
                {"ratio": centre},
            )
        )
    width = min(training.hidden, default=None)
    if width is not None and width < state["classes"]:
        found.append(
            Suspicion(
                "hidden-too-narrow",
                f"a hidden layer of {width} for {state['classes']} classes",
                f"at least {state['classes']} units",
                "everything the output layer can know goes through so few numbers",
                (
                    {"hidden": tuple(max(100, w) for w in training.hidden)}
                    | ({"initial": None} if given else {}),
                ),
                {"width": width},
            )
        )
    return found


def _short(value: float) -> str:
    """Three digits, thousands apart."""
    return f"{float(f'{value:.3g}'):,g}" if value < 1e6 else f"{value:.3g}"


def rounded(value: float, *, down: bool) -> float:
    """To two digits, never to the unsafe side."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    number = (math.floor if down else math.ceil)(value / step * (1 + (1e-9 if down else -1e-9))) * step
    return float(f"{number:.2g}")


def in_words(changes: dict[str, Any]) -> str:
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
            words.append(f"divide the inputs by {value:g} (--scale {value:g})")
        elif name == "init":
            words.append(f"draw them by {value}" if "initial" in changes else f"use init {value}")
        else:
            words.append(f"use {name} {value:g}" if isinstance(value, float) else f"use {name} {value}")
    return " and ".join(words)
