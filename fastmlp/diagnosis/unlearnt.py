"""A net that is no better than guessing, and that no change cured: is that shown, and is it the labels?

To call labels unrelated is to send somebody after a fault in the data: it takes trainings and looks that
all see nothing, on rows that are enough. To call a net broken takes rows that show it: too few are a warning.
Not in here: the looks themselves (relation.py), and what people are told (rules.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastmlp.diagnosis.chance import Standing
from fastmlp.diagnosis.relation import Relation
from fastmlp.diagnosis.trials import Trial

POOR = 0.25  # skill, at most, of a net that may be guessing: 0.625 of two classes recognised
LUCK = 3  # standard deviations over chance, or under what is better, that are none
_BY_HEART = 0.5  # skill on its own training rows of a net that learns them and nothing else
_TRAINED = 2  # standard deviations over chance on its own training rows: it learns something
_MISSED = 0.1  # skill that neighbours have and a net has not: of two classes, SEVERE of each is lost


@dataclass(frozen=True)
class Unlearnt:
    """The standing of such a net.

    asked, best: the training asked about, and the best of all, on rows held out.
    fitted:      the training asked about on its training rows; None where it diverged.
    seen:        what looks without a net see.
    unrelated:   the labels have nothing to do with the inputs.
    severe:      rows enough show that the net is no better than guessing.
    """

    asked: Standing
    best: Standing
    fitted: Standing | None
    seen: Relation
    unrelated: bool
    severe: bool

    @property
    def by_heart(self) -> bool:
        """True where it has learnt its training rows alone."""
        return self.fitted is not None and self.fitted.skill >= _BY_HEART

    @property
    def figures(self) -> dict[str, Any]:
        """Mean recalls, what guessing gives, and what the looks saw."""
        asked, seen = self.asked, self.seen
        return {
            "held_out": asked.recall,
            "held_out_rows": asked.rows,
            "training_rows": None if self.fitted is None else self.fitted.recall,
            "best": self.best.recall,
            "chance": (asked.recall - asked.skill) / (1 - asked.skill) if asked.skill < 1 else 0.0,
            "neighbours": seen.neighbours,
            "neighbours_permuted": seen.permuted,
            "rows": seen.rows,
            "p": seen.p,
            "rows_are_enough": seen.enough,
        }


def unlearnt(
    trials: Sequence[Trial], fitted: Standing | None, cured: bool, look: Callable[[], Relation]
) -> Unlearnt | None:
    """Judge a net by its trials, the one asked about first; None where it, or a change of it, learns.

    fitted: how it stands on its training rows; None if it diverged.
    cured:  whether a change was seen to win much.   look: looks at labels and inputs without a net.
    """
    stood = [trial.standing for trial in trials if trial.standing is not None]
    if not stood:
        return None
    best = max(stood, key=lambda standing: standing.skill)
    asked, guessing = trials[0].standing or best, guesses(best)
    if not asked.skill <= POOR or (cured and not guessing):
        return None
    seen = look()
    if guessing and seen.enough and not seen.seen:
        return Unlearnt(best, best, None, seen, unrelated=True, severe=True)
    severe = _missed(seen, asked, fitted) or (guessing and _shown(asked, fitted))
    if not severe and not guessing:
        return None
    return Unlearnt(asked, best, fitted, seen, unrelated=False, severe=severe)


def guesses(best: Standing) -> bool:
    """True where nothing shows that it is better than guessing."""
    return best.skill <= POOR and best.sigmas <= LUCK


def _missed(seen: Relation, asked: Standing, fitted: Standing | None) -> bool:
    """True where neighbours are clearly better than the net, on rows held out or on its own."""
    return seen.seen and any(
        seen.skill - net.skill >= max(_MISSED, LUCK * math.hypot(seen.luck, net.spread))
        for net in (asked, fitted)
        if net is not None
    )


def _shown(asked: Standing, fitted: Standing | None) -> bool:
    """True where rows are so many that a net which is better than poor would have shown it."""

    def poor(net: Standing) -> bool:
        return net.skill + LUCK * net.spread <= POOR

    if fitted is not None and fitted.skill < _BY_HEART:
        return fitted.sigmas <= _TRAINED and poor(fitted)
    return poor(asked)
