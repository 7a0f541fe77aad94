"""Every finding: its code, its rule, what people are told, and the changes that ought to help. One table.

To add a finding: a small function of the evidence, a row in RULES, a test. Not in here: the types of both
(findings.py), the trainings (trials.py), and what is done with the findings (examine.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.diagnosis.findings import SEVERE, Evidence, Rule, Seen, in_words
from fastmlp.diagnosis.measures import rounded
from fastmlp.diagnosis.relation import LEVEL, NEIGHBOURS
from fastmlp.diagnosis.trials import Changes, Trial
from fastmlp.diagnosis.unlearnt import LUCK, POOR, Unlearnt
from fastmlp.spec import Training
from fastmlp.words.layers import act_text
from fastmlp.words.optimizers import USUAL_LR

LATER = 2  # times 2 / curvature that lr may be in training: a net moves to where its lr is stable
LOW = 4  # times under 2 / curvature that lr may be
NO_LIMIT = 1e4  # beyond, softmax is so sure of every row that the loss is flat: 2 / curvature means nothing
SMALL, LARGE = 0.15, 10  # spread of the first layer's pre-activations
FAINT, LOUD = 0.03, 3  # spread of the logits
SATURATED = 0.5  # of a layer's outputs
DEAD = 0.1  # of a layer's units
LIVE = 0.9  # of the samples
OFF_CENTRE = 2  # times the inputs' spread that their mean may be
WIDTH = 100  # units that are enough
IMBALANCE = 10  # times as many rows of one class as of another
RARE = 0.1  # of their rows that rare classes lose against the others
UNUSUAL = 9  # times the usual lr of an optimizer that lr may be, or be under it
UNEQUAL = 100  # times the spread of half of the columns: a net hears the widest alone


def _inputs_constant(e: Evidence) -> Seen | None:
    return Seen({"columns": e.measures.inputs.columns}, severity="severe") if e.constant else None


def _labels_unrelated(e: Evidence) -> Seen | None:
    if not e.lost or not e.lost.unrelated:
        return None
    return Seen(e.lost.figures, words=_of_lost(e, e.lost), severity="severe")


def _classes_imbalanced(e: Evidence) -> Seen | None:
    labels, base = e.measures.label_counts, e.trials[0]
    if labels.ratio < IMBALANCE or not base.recalls or e.constant or (e.lost and e.lost.severe):
        return None
    counts, recalls = np.array(labels.counts), np.array(base.recalls)
    rare = (counts > 0) & (counts * IMBALANCE <= counts.max())
    seen = float(np.nanmean(recalls[rare])) if np.isfinite(recalls[rare]).any() else math.nan
    common = float(np.nanmean(recalls[~rare & (counts > 0)]))
    values = {"ratio": labels.ratio, "rare": seen, "common": common}
    return Seen(values, severity="severe" if seen < common - RARE else "note")


def _units_dead(e: Evidence) -> Seen | None:
    if e.silent <= DEAD:
        return None
    dead, constant = (max(getattr(h, name) or 0.0 for h in e.hidden) for name in ("dead", "constant"))
    return Seen({"dead": dead, "constant": constant}, (_afresh(e),), {"silent": e.silent})


def _loss_frozen(e: Evidence) -> Seen | None:
    live = min(e.measures.live, e.measures.loss.live[e.training.loss])
    clipped = e.training.loss != "logits" and live < LIVE
    return Seen({"live": live}, ({"loss": "logits"},)) if clipped else None


def _units_saturated(e: Evidence) -> Seen | None:
    if e.saturated <= SATURATED:
        return None
    told, words = {"saturated": e.saturated, "z_spread": e.spread}, {"acts": act_text(e.training.act)}
    return Seen(told, _standard(e) if e.spread > 1 else (), words=words)


def _lr_too_high(e: Evidence) -> Seen | None:
    if not _overshoots(e):
        return None
    m, first = e.measures, e.over > 1
    top = m.gauss_newton if first else m.peak
    changes: list[Changes] = [{"lr": rounded(2 / top * share, down=True)} for share in (1, 0.2)]
    if first and m.safe_factor is not None and isinstance(e.training.scale, float):
        changes.insert(0, {"scale": rounded(e.training.scale * m.safe_factor, down=False)})
    if _large(e):
        changes += _standard(e)[-1:]
    return Seen(
        {"limit": m.limit, "over": e.over, "later": e.later, "safe_factor": m.safe_factor},
        tuple(changes),
        {
            "times": e.over if first else e.later,
            "when": "" if first else " in training",
            "top": _short(top),
            "most": 2 / top,
        },
    )


def _lr_too_low(e: Evidence) -> Seen | None:
    limit = e.measures.limit
    if not e.is_plain or _overshoots(e) or e.over >= 1 / LOW or limit >= NO_LIMIT:
        return None
    changes = ({"lr": rounded(limit * share, down=True)} for share in (0.5, 0.1) if share > 2 * e.over)
    words = {"times": 1 / e.over, "top": _short(2 / limit)}
    return Seen({"limit": limit, "over": e.over}, tuple(changes), words)


def _lr_unusual(e: Evidence) -> Seen | None:
    name, lr = e.training.optimizer.name, e.training.lr
    usual = USUAL_LR.get(name, Training.lr)
    if e.is_plain or name == "adadelta" or 1 / UNUSUAL <= lr / usual <= UNUSUAL:
        return None
    return Seen({"usual": usual}, ({"lr": usual},), {"name": name})


def _inputs_too_large(e: Evidence) -> Seen | None:
    found = _large(e) and not _overshoots(e)
    return Seen({"z_spread": e.spread}, _standard(e)[-1:]) if found else None


def _inputs_too_small(e: Evidence) -> Seen | None:
    return Seen({"z_spread": e.spread}, _standard(e)) if e.hidden and 0 < e.spread < SMALL else None


def _columns_unequal(e: Evidence) -> Seen | None:
    if e.sample is None or not isinstance(e.training.scale, float):
        return None
    broad, usual = _spreads(e.sample)
    if not 0 < UNEQUAL * usual < broad:
        return None
    return Seen({"broad": broad, "usual": usual}, ({"scale": "standard"},))


def _inputs_off_centre(e: Evidence) -> Seen | None:
    inputs = e.measures.inputs
    ratio = abs(inputs.mean) / max(inputs.spread, 1e-30)
    if ratio <= OFF_CENTRE:
        return None
    if isinstance(e.training.scale, float):
        scale = rounded(e.training.scale * inputs.spread, down=False)
        changes: tuple[Changes, ...] = ({"center": True, "scale": scale}, {"center": True})
    else:  # minmax centres at the least value
        changes = ({"scale": "standard"},) if e.training.centred else ({"center": True},)
    return Seen({"ratio": ratio}, changes)


def _init_unsuitable(e: Evidence) -> Seen | None:
    spread = e.measures.layers[-1].z_spread
    unsuited = not FAINT < spread < LOUD and e.training.init != "glorot_uniform"
    if e.silent > DEAD or not (e.given or unsuited):
        return None
    words = {"init": "that were given" if e.given else e.training.init}
    return Seen({"z_spread": spread}, (_afresh(e),), words)


def _hidden_too_narrow(e: Evidence) -> Seen | None:
    width, K = min(e.training.hidden, default=math.inf), e.measures.classes
    wider = {"hidden": tuple(max(WIDTH, w) for w in e.training.hidden)} | e.without_given
    return Seen({"width": width}, (wider,), {"classes": K}) if width < K else None


def _not_finite(e: Evidence) -> Seen | None:
    if not (where := e.trials[0].diverged):
        return None
    finite = max(e.trials, key=lambda trial: trial.score)
    cure = Trial(e.best.changes, finite.epochs, finite.accuracy) if e.best and not finite.diverged else None
    return Seen(words={"where": where}, severity="severe", cure=cure)


def _settings_together(e: Evidence) -> Seen | None:
    if not e.best or e.won < SEVERE or any(finding.severity == "severe" for finding in e.found):
        return None
    return Seen(words={"before": e.trials[0].score, "after": e.best.score}, cure=e.best)


def _does_not_train(e: Evidence) -> Seen | None:
    if not e.lost or e.lost.unrelated:
        return None
    tried = {
        in_words(trial.changes): None if trial.standing is None else trial.standing.recall
        for trial in e.trials[1:]
    }
    severity = "severe" if e.lost.severe else "warning"
    return Seen(e.lost.figures | {"tried": tried}, words=_of_lost(e, e.lost), severity=severity)


RULES = (
    Rule(
        "inputs-constant",
        _inputs_constant,
        rule="Every column has one value in all rows.",
        measured="all {columns:,} inputs are the same in every row",
        healthy="inputs that differ from row to row",
        why="there is nothing that could tell the classes apart",
        severity="always severe",
        of_data=True,
    ),
    Rule(
        "labels-unrelated",
        _labels_unrelated,
        rule=f"No training is better than guessing (skill up to {POOR:g}, up to {LUCK} standard deviations "
        f"over chance); and more than {LEVEL:.0%} of permuted labels look as related to the inputs as the "
        "labels, by nearest neighbours, columns and products of two, on rows enough for a weak relation.",
        measured="balanced accuracy {best:.3f} on {held_out_rows:,} held-out rows, the best of {trainings}; "
        "{looked} on {rows:,} rows; {p:.0%} of permuted labels look as related to neighbours, columns or "
        "products of two",
        healthy="over {chance:.3f}, which guessing gives; at most {level:.0%} of permuted labels",
        why="neither nets, nor neighbours, nor columns see a relation of labels to inputs, on rows enough "
        "for a weak one: look for shuffled or shifted rows",
        severity="always severe",
        of_data=True,
    ),
    Rule(
        "classes-imbalanced",
        _classes_imbalanced,
        rule=f"One class has at least {IMBALANCE} times as many rows as another.",
        measured="{ratio:.0f}x as many rows of one class as of another; the rare classes are recognised in "
        "{rare:.0%}, the others in {common:.0%}",
        healthy=f"under {IMBALANCE}x, or the same share of every class recognised",
        why="the mean loss hardly notices a rare class: accuracy looks fine while that class is lost",
        severity=f"severe where rare classes are recognised in {RARE:.0%} less of their rows, else a note",
        of_data=True,
    ),
    Rule(
        "units-dead",
        _units_dead,
        rule=f"Over {DEAD:.0%} of a hidden layer's units give the same for every row before the first step, "
        "or lie where their activation is flat for every row.",
        measured="{silent:.0%} of a layer's units give the same for every row at the start",
        healthy="none",
        why="such a unit carries nothing, and a ReLU unit that nothing activates gets no gradient",
        tried="fresh weights by glorot_uniform",
        turn=7,
    ),
    Rule(
        "loss-frozen",
        _loss_frozen,
        rule=f"The loss has a clip, and under {LIVE:.0%} of the samples are inside it, at first or later.",
        measured="{live:.1%} of the samples are inside the clip of {training.loss}",
        healthy="all of them",
        why="a sample outside the clip has a gradient of exactly 0: right or wrong, it teaches nothing",
        tried="the loss logits",
        turn=9,
    ),
    Rule(
        "units-saturated",
        _units_saturated,
        rule=f"Over {SATURATED:.0%} of the outputs of a hidden layer have under 1 % of the largest slope.",
        measured="{saturated:.0%} of the {acts} outputs are saturated at the start",
        healthy=f"under {SATURATED:.0%}; pre-activations spread by about 1",
        why="where the activation is flat, no gradient passes to the weights before it",
        tried="the inputs divided until pre-activations spread by 1, and the same with an lr for it",
        turn=4,
    ),
    Rule(
        "lr-too-high",
        _lr_too_high,
        rule=f"lr is over 2 / curvature before the first step, or over {LATER} times that in training.",
        measured="lr {training.lr:g} is {times:,.3g}x above what the loss surface allows{when}",
        healthy="lr under 2 / curvature = 2 / {top} = {most:.2g}",
        why="steps overshoot along the steepest direction: units are thrown where nothing activates them, or "
        "logits where the loss is flat",
        tried="the inputs divided until this lr is stable; lr at 2 / curvature and at a fifth of it; "
        "where the inputs are large, the scale at which they are not, with an lr for it",
        turn=1,
    ),
    Rule(
        "lr-too-low",
        _lr_too_low,
        rule=f"lr is under 1 / {LOW} of 2 / curvature before the first step.",
        measured="lr {training.lr:g} is {times:,.3g}x under what the loss surface allows",
        healthy=f"lr within a factor of {LOW} of 2 / curvature = 2 / {{top}} = {{limit:.2g}}",
        why="the net moves less than it could in each step, and the epochs end before it has learnt",
        tried="lr at half and at a tenth of 2 / curvature",
        turn=2,
    ),
    Rule(
        "lr-unusual",
        _lr_unusual,
        rule=f"The optimizer is not plain SGD, and lr is over {UNUSUAL} times, or under 1 / {UNUSUAL} of, "
        "what it is usually given: 0.001 for adam, adamw, nadam, adamax and rmsprop, else 0.01.",
        measured="lr {training.lr:g}, where {name} is usually given {usual:g}",
        healthy=f"within a factor of {UNUSUAL} of it",
        why="the size of such a step depends on lr more than on the gradient: too large ones throw the "
        "weights about, and too small ones get nowhere",
        tried="the usual lr",
        turn=3,
    ),
    Rule(
        "inputs-too-large",
        _inputs_too_large,
        rule=f"The first layer's pre-activations spread by over {LARGE}, and neither units-saturated nor "
        "lr-too-high is found.",
        measured="the first layer's pre-activations spread by {z_spread:.3g}",
        healthy=f"{SMALL:g} to {LARGE}",
        why="one direction is so steep that an lr it bears is too small for all others",
        tried="the inputs divided until pre-activations spread by 1, with an lr for it",
        turn=5,
    ),
    Rule(
        "inputs-too-small",
        _inputs_too_small,
        rule=f"The first layer's pre-activations spread by under {SMALL:g}.",
        measured="the first layer's pre-activations spread by {z_spread:.2g}",
        healthy=f"{SMALL:g} to {LARGE}",
        why="a first layer that hears so little of its inputs learns as slowly as with a small lr",
        tried="the inputs divided until pre-activations spread by 1, and the same with an lr for it",
        turn=6,
    ),
    Rule(
        "columns-unequal",
        _columns_unequal,
        rule=f"One column spreads by over {UNEQUAL} times what half of the columns do at most, and all are "
        "divided by one number.",
        measured="one column spreads by {broad:.3g}, half of them by {usual:.3g} at most",
        healthy=f"within a factor of {UNEQUAL}",
        why="the net hears the widest column alone, and an lr that it bears is too small for the others",
        tried="each column scaled by its own mean and spread",
        turn=12,
    ),
    Rule(
        "inputs-off-centre",
        _inputs_off_centre,
        rule=f"The mean of all inputs is over {OFF_CENTRE} times their spread away from 0.",
        measured="the inputs' mean is {ratio:.3g}x their spread",
        healthy=f"at most {OFF_CENTRE}x",
        why="what all rows have in common is steep and teaches nothing; what tells them apart is shallow",
        tried="the inputs centred, and the same divided by their spread",
        turn=10,
    ),
    Rule(
        "init-unsuitable",
        _init_unsuitable,
        rule="First weights are given, or drawn otherwise than by glorot_uniform so that the logits spread "
        f"by under {FAINT:g} or over {LOUD}; and units-dead is not found.",
        measured="first weights {init}: logits spread by {z_spread:.3g}",
        healthy=f"logits that spread by {FAINT:g} to {LOUD}",
        why="from there the way to a solution is longer",
        tried="fresh weights by glorot_uniform",
        turn=8,
    ),
    Rule(
        "hidden-too-narrow",
        _hidden_too_narrow,
        rule="A hidden layer has fewer units than there are classes.",
        measured="a hidden layer of {width} for {classes} classes",
        healthy="at least {classes} units",
        why="all that the output layer can know goes through so few numbers",
        tried=f"hidden layers of at least {WIDTH} units",
        turn=11,
    ),
    Rule(
        "not-finite",
        _not_finite,
        rule="The loss or a weight became nan or infinite.",
        measured="nan or infinity: {where}",
        healthy="none, ever",
        why="from there on nothing can be learnt",
        severity="always severe",
        tried="all changes of the other findings",
    ),
    Rule(
        "settings-together",
        _settings_together,
        rule=f"Several changes win at least {SEVERE:.0%} of accuracy together, and none of them alone.",
        measured="accuracy {before:.3f}",
        healthy="{after:.3f} with several changes",
        why="each of them alone changes little",
        severity="always severe",
        tried="the best change of each round, on top of those before",
    ),
    Rule(
        "does-not-train",
        _does_not_train,
        rule=f"The net has a skill of up to {POOR:g}, no change cured it, and it is no better than guessing "
        f"or clearly worse than {NEIGHBOURS} nearest neighbours.",
        measured="{diverges}balanced accuracy {held_out:.3f} on {held_out_rows:,} held-out rows{fitted}; the "
        "best of {trainings} {best:.3f}; {looked}",
        healthy="over {chance:.3f}, which guessing gives; permuted labels give the neighbours "
        "{neighbours_permuted:.3f} +- {luck:.3f}",
        why="{because}. Cause not found: look next at {next}",
        severity="severe where rows enough show it, else a warning",
        of_data=True,
    ),
)
"""Every finding, causes before effects."""


def _overshoots(e: Evidence) -> bool:
    return e.is_plain and (e.over > 1 or e.later > LATER)


def _large(e: Evidence) -> bool:
    return bool(e.hidden) and e.spread > LARGE and e.saturated <= SATURATED


def _afresh(e: Evidence) -> Changes:
    return {"init": "glorot_uniform"} | e.without_given


def _standard(e: Evidence) -> tuple[Changes, ...]:
    """The scale at which pre-activations spread by 1; and the same with an lr for it; none for columns."""
    if (standard := e.measures.standard) is None:
        return ()
    alone: Changes = {"scale": standard.scale}
    return (alone, alone | {"lr": standard.lr}) if e.is_plain else (alone,)


def _of_lost(e: Evidence, lost: Unlearnt) -> dict[str, Any]:
    """Words for a net that is no better than guessing, beside its figures."""
    n, fitted, seen = len(e.trials), lost.fitted, lost.seen
    if not lost.severe:
        because = "that may be luck or a weak relation: these rows do not tell it from guessing"
    elif lost.by_heart:
        because = "it learns its training rows by heart, and nothing that holds for others"
    elif seen.seen:
        because = "the labels are related to the inputs, but neither this net nor a changed one learns how"
    else:
        because = (
            "it learns nothing; nor was a relation of labels to inputs seen, on too few rows to rule one out"
        )
    by_column = not isinstance(e.training.scale, float)  # then their units are gone
    look = "outliers, codes taken for numbers, held-out rows prepared otherwise"
    if not by_column:
        look = f"units of the columns, {look}"
    if e.sample is not None and not by_column:
        broad, usual = _spreads(e.sample)
        if broad > UNEQUAL * usual:
            look = (
                f"the units of the columns: one spreads by {broad:.3g}, half of them by {usual:.3g} at most"
            )
    return {
        "diverges": "the net diverges; " if e.trials[0].diverged else "",
        "fitted": f", {fitted.recall:.3f} on its training rows" if fitted else "",
        "trainings": f"{n} training{'s' * (n > 1)}",
        "looked": f"{NEIGHBOURS} nearest neighbours, columns by rank, {seen.neighbours:.3f}",
        "luck": seen.spread,
        "level": LEVEL,
        "because": because,
        "next": look,
    }


def _spreads(sample: NDArray[Any]) -> tuple[float, float]:
    """The largest spread of a column, and the one that half of the columns have at most."""
    spreads = np.asarray(sample, np.float64).std(axis=0)
    return float(spreads.max()), float(np.quantile(spreads, 0.5, method="lower"))


def _short(value: float) -> str:
    """Three digits, thousands apart."""
    return f"{float(f'{value:.3g}'):,g}" if value < 1e6 else f"{value:.3g}"
