"""What diagnose returns: findings, a verdict, and all that was measured, as a type and as JSON.

Not in here: how it was found (examine.py, rules.py), and pictures (picture.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from fastmlp.diagnosis.findings import SEVERE, Finding
from fastmlp.diagnosis.measures import Measures
from fastmlp.diagnosis.trials import Changes, Snapshot, Trial
from fastmlp.display import Display, Displayed
from fastmlp.spec import NUMERICS_REVISION, Training

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, repr=False)
class Diagnosis(Displayed):
    """The result of ``diagnose``.

    training:    what was asked about.
    findings:    worst first.
    measures:    the net before its first step, and after its training.
    trajectory:  the net after each of the first steps, then after each epoch.
    trials:      every training that was tried, the one asked about first.
    recommended: settings that together did best, {} where none was better.
    epochs:      of each trial: fewer than the training's where its seconds were too few.
    seconds:     that the diagnosis took.
    data:        where the rows are from, where that is known.
    """

    training: Training
    findings: list[Finding]
    measures: Measures
    trajectory: list[Snapshot]
    trials: list[Trial]
    recommended: Changes
    epochs: int
    seconds: float
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def severe(self) -> bool:
        """True where something costs accuracy."""
        return any(finding.severity == "severe" for finding in self.findings)

    @property
    def verdict(self) -> str:
        """One sentence: the worst that was found, what to do, and what that was seen to do."""
        after = f"after {self.epochs} epoch{'s' * (self.epochs > 1)}"
        if self.severe and (worst := self.findings[0]).change:
            return (
                f"{worst.measured}; {worst.change}: held-out accuracy {_share(worst.before)} -> "
                f"{worst.after:.3f} {after}."
            )
        lost = self.findings[:1] if self.severe else [f for f in self.findings if f.code == "does-not-train"]
        if lost:
            return f"{lost[0].measured}: {lost[0].why}."
        helpful = [f"; {f.change}: {f.after:.3f}" for f in self.findings if f.change][:1]
        return (
            f"nothing that was measured costs {SEVERE:.0%} of accuracy or more: "
            f"{_share(self.trials[0].accuracy)} on held-out rows {after}{''.join(helpful)}."
        )

    def plot(self) -> NDArray[Any]:
        """Draw what was measured as it trained and what each change did; returns matplotlib's axes (2, 2).

        They are in a new figure of pyplot, which a notebook shows. Raises ConfigError without matplotlib.
        """
        from fastmlp import pictures
        from fastmlp.diagnosis.picture import HEIGHT, draw
        from fastmlp.display import plots

        axes: NDArray[Any] = draw(self, plots.figure(2 * pictures.WIDTH, 2 * HEIGHT), ink=False)
        return axes

    def _display(self) -> Display:
        heading = ("", "finding", "measured", "change")
        rows = [(f.severity, f.code, f.measured, f.advice) for f in self.findings]
        severe = sum(finding.severity == "severe" for finding in self.findings)
        title = f"Diagnosis: {severe or 'nothing'} severe, {len(rows)} finding{'s' * (len(rows) != 1)}"
        facts = [
            ("training", self.training.in_words()),
            ("epochs", self.epochs),
            ("trials", len(self.trials)),
        ]
        return Display(title, facts, heading if rows else (), rows, [self.verdict])

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return {
            "verdict": self.verdict,
            "severe": self.severe,
            "findings": [plain(finding.to_json()) for finding in self.findings],
            "recommended": plain(self.recommended),
            "training": self.training.to_json(),
            "epochs": self.epochs,
            "measures": plain(self.measures),
            "trajectory": plain(self.trajectory),
            "trials": [plain(trial.to_json()) for trial in self.trials],
            "data": self.data,
            "numerics": NUMERICS_REVISION,
            "seconds": self.seconds,
        }


def plain(value: Any) -> Any:
    """Dicts and lists of what may hold dataclasses and tuples.

    A field whose default is None is left out where it is None.
    """
    if is_dataclass(value):
        named = ((f, getattr(value, f.name)) for f in fields(value))
        return {f.name: plain(item) for f, item in named if item is not None or f.default is not None}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _share(accuracy: float | None) -> str:
    return "nothing finite" if accuracy is None else f"{accuracy:.3f}"
