"""A net that is no better than guessing, and that no change cured: unrelated labels, or a cause not found.

To call labels unrelated is to send somebody after a fault in the data: it takes trainings and looks that
all see nothing, on rows that are enough. To call a net broken takes rows that show it: too few are a warning.
Not in here: the looks themselves (relation.py), and findings that have a cause (findings.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.diagnosis.chance import Standing
from fastmlp.diagnosis.findings import Finding, in_words
from fastmlp.diagnosis.relation import LEVEL, NEIGHBOURS, Relation, relation
from fastmlp.diagnosis.trials import Trial

_POOR = 0.25  # skill, at most, of a net that may be guessing: 0.625 of two classes recognised
_LUCK = 3  # standard deviations over chance, or under what is better, that are none
_TRAINED = 2  # over chance on its own training rows: it learns something
_BY_HEART = 0.5  # skill there of a net that learns them and nothing else
_MISSED = 0.1  # skill that neighbours have and a net has not: of two classes, SEVERE of each is lost
_UNEQUAL = 100  # times the spread of half of the columns: a net hears the widest alone


def unlearnt(
    X: Any,
    y: NDArray[np.int64],
    K: int,
    trials: list[Trial],
    fitted: Standing | None,
    found: list[Finding],
    sample: NDArray[Any],
) -> Finding | None:
    """labels-unrelated, or does-not-train, or None where a net or a change of it learns.

    X, y:    the training rows, and class indices below K.
    trials:  the training asked about first.  fitted: how it stands on its training rows; None if it diverged.
    found:   what the changes were seen to do.  sample: some rows of X.
    """
    stood = [(trial.standing.skill, trial.standing) for trial in trials if trial.standing is not None]
    if not stood:
        return None
    _, best = max(stood, key=lambda pair: pair[0])
    asked = trials[0].standing or best
    guessing = guesses(best)
    if not asked.skill <= _POOR or (not guessing and any(f.severity == "severe" and f.change for f in found)):
        return None
    seen = relation(X, y, K)
    if guessing and seen.enough and not seen.seen:
        return _unrelated(trials, best, seen)
    severe = _missed(seen, asked, fitted) or (guessing and _shown(asked, fitted))
    if not severe and not guessing:
        return None
    return _not_found(trials, asked, best, fitted, seen, severe, sample)


def guesses(best: Standing) -> bool:
    """Whether nothing shows that it is better than guessing."""
    return best.skill <= _POOR and best.sigmas <= _LUCK


def _missed(seen: Relation, asked: Standing, fitted: Standing | None) -> bool:
    """Whether neighbours are clearly better than the net, on rows held out or on its own."""
    return seen.seen and any(
        seen.skill - net.skill >= max(_MISSED, _LUCK * math.hypot(seen.luck, net.spread))
        for net in (asked, fitted)
        if net is not None
    )


def _shown(asked: Standing, fitted: Standing | None) -> bool:
    """Whether rows are so many that a net which is better than poor would have shown it."""

    def poor(net: Standing) -> bool:
        return net.skill + _LUCK * net.spread <= _POOR

    if fitted is not None and fitted.skill < _BY_HEART:
        return fitted.sigmas <= _TRAINED and poor(fitted)
    return poor(asked)


def _unrelated(trials: list[Trial], best: Standing, seen: Relation) -> Finding:
    return Finding(
        "labels-unrelated", "severe",
        f"balanced accuracy {best.recall:.3f} on {best.rows:,} held-out rows, the best of "
        f"{_trainings(trials)}; {_neighbours(seen)} on {seen.rows:,} rows; {seen.p:.0%} of permuted labels "
        "go as well with neighbours, columns or products of two",
        f"over {_chance(best):.3f}, which guessing gives; at most {LEVEL:.0%} of permuted labels",
        "neither nets, nor neighbours, nor columns see the labels in the inputs, on rows enough for a weak "
        "relation: look for shuffled or shifted rows",
        values=_figures(best, best, None, seen),
    )  # fmt: skip


def _not_found(
    trials: list[Trial],
    asked: Standing,
    best: Standing,
    fitted: Standing | None,
    seen: Relation,
    severe: bool,
    sample: NDArray[Any],
) -> Finding:
    parts = ["the net diverges"] if trials[0].diverged else []
    parts.append(f"balanced accuracy {asked.recall:.3f} on {asked.rows:,} held-out rows")
    if fitted is not None:
        parts[-1] += f", {fitted.recall:.3f} on its training rows"
    parts += [f"the best of {_trainings(trials)} {best.recall:.3f}", _neighbours(seen)]
    if not severe:
        why = "that may be luck or a weak relation: these rows do not tell it from guessing"
    elif fitted is not None and fitted.skill >= _BY_HEART:
        why = "it learns its training rows by heart, and nothing that holds for others"
    elif seen.seen:
        why = "the labels go with the inputs, but the net does not see how, nor with a change that was tried"
    else:
        why = (
            "it learns nothing; nor was a relation of labels to inputs seen, on too few rows to rule one out"
        )
    spreads = np.asarray(sample, np.float64).std(axis=0)
    broad, usual = float(spreads.max()), float(np.quantile(spreads, 0.5, method="lower"))
    look = "units of the columns, outliers, codes taken for numbers, held-out rows prepared otherwise"
    if broad > _UNEQUAL * usual:
        look = f"the units of the columns: one spreads by {broad:.3g}, half of them by {usual:.3g} at most"
    return Finding(
        "does-not-train", "severe" if severe else "warning",
        "; ".join(parts),
        f"over {_chance(asked):.3f}, which guessing gives; permuted labels give the neighbours "
        f"{seen.permuted:.3f} +- {seen.spread:.3f}",
        f"{why}. Cause not found: look next at {look}",
        values=_figures(asked, best, fitted, seen)
        | {
            "tried": {
                in_words(trial.changes): None if trial.standing is None else trial.standing.recall
                for trial in trials[1:]
            },
        },
    )  # fmt: skip


def _trainings(trials: list[Trial]) -> str:
    return f"{len(trials)} training{'s' * (len(trials) > 1)}"


def _neighbours(seen: Relation) -> str:
    return f"{NEIGHBOURS} nearest neighbours, columns by rank, {seen.neighbours:.3f}"


def _figures(asked: Standing, best: Standing, fitted: Standing | None, seen: Relation) -> dict[str, Any]:
    return {
        "held_out": asked.recall,
        "held_out_rows": asked.rows,
        "training_rows": None if fitted is None else fitted.recall,
        "best": best.recall,
        "chance": _chance(asked),
        "neighbours": seen.neighbours,
        "neighbours_permuted": seen.permuted,
        "rows": seen.rows,
        "p": seen.p,
        "rows_are_enough": seen.enough,
    }


def _chance(net: Standing) -> float:
    """Recall of guessing: skill is 0 there and 1 at 1."""
    return (net.recall - net.skill) / (1 - net.skill) if net.skill < 1 else 0.0
