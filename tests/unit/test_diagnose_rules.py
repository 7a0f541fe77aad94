"""The table of rules: every code on evidence just beyond its threshold, and silent just within it."""

from __future__ import annotations

import string
from dataclasses import replace

import numpy as np
import pytest

from fastmlp import Training, initialise
from fastmlp.diagnosis import measures as m
from fastmlp.diagnosis.chance import Standing
from fastmlp.diagnosis.examine import conclusions, rank, suspicions
from fastmlp.diagnosis.findings import SEVERITIES, Evidence, Finding, Rule, Seen
from fastmlp.diagnosis.relation import Relation
from fastmlp.diagnosis.rules import RULES
from fastmlp.diagnosis.trials import Setting, Trial

BY_CODE = {rule.code: rule for rule in RULES}
HIDDEN = m.LayerState(8, 1.0, 3.0, constant=0.0, dead=0.0, always_on=0.0)
HEALTHY = m.Measures(
    inputs=m.Inputs(100, 4, 0, 0.5, 1.0, 3.0, 1.0, 2.0),
    label_counts=m.LabelCounts((50, 50), 1.0),
    classes=2,
    layers=(HIDDEN, m.LayerState(2, 0.5, 1.0)),
    loss=m.Losses(0.7, 0.5, 0.69, {"logits": 1.0, "keras2": 1.0}, None),
    gradients=m.Gradients((0.1, 0.1), (1.0, 1.0), (0, 0), 0.7),
    update_ratio=(0.01, 0.01),
    curvature=m.Curvature(4.0, 4.0),
    gauss_newton=4.0,
    limit=0.5,
    safe_factor=1.0,
    standard=m.Standard(200.0, 0.25),
)
GUESSES = Standing(rows=2000, recall=0.5, skill=0.0, sigmas=0.0, spread=0.02)
LEARNT = Standing(rows=2000, recall=0.9, skill=0.8, sigmas=30.0, spread=0.02)
NOTHING_SEEN = Relation(
    2000, neighbours=0.5, permuted=0.5, spread=0.01, p=0.5, skill=0.0, luck=0.02, enough=True
)
SEEN = replace(NOTHING_SEEN, neighbours=0.9, p=0.005, skill=0.8)
BASE = Trial({}, 3, 0.9, (0.9, 0.9), standing=LEARNT)
LOST = Trial({}, 3, 0.5, (0.5, 0.5), standing=GUESSES)
TRIED = Trial({"lr": 1.0}, 3, 0.5, (0.5, 0.5), standing=GUESSES)


def evidence(
    training=None, given=False, trials=(BASE,), look=SEEN, hidden=None, out=None, sample=None, **measured
):
    """A healthy net but for what is given: fields of measures, or of the hidden and the output layer."""
    first, last = HEALTHY.layers
    layers = (replace(first, **(hidden or {})), replace(last, **(out or {})))
    training = Training.of(**{"lr": 0.3, "hidden": 8, "scale": 255} | (training or {}))
    weights = initialise(training.architecture(4, 2)) if given else None
    return Evidence(
        Setting(training, weights), replace(HEALTHY, layers=layers, **measured), trials,
        best=trials[-1], fitted=trials[0].standing, look=lambda: look,
        sample=np.random.default_rng(0).normal(size=(50, 4)) if sample is None else sample,
    )  # fmt: skip


def columns(times):
    """Rows of four columns, one of which spreads by so many times what the others do."""
    return np.outer(np.tile([-1.0, 1.0], 25), [1, 1, times, 1])


def spread(**fields):
    return {"inputs": replace(HEALTHY.inputs, **fields)}


def counts(*rows):
    return {"label_counts": m.LabelCounts(rows, max(rows) / min(rows))}


def live(share):
    return {"loss": replace(HEALTHY.loss, live={"logits": 1.0, "keras2": share})}


CLIP, SIGMOID = {"training": {"loss": "keras2"}}, {"training": {"act": "sigmoid"}}
DIVERGED = Trial({}, 3, None, diverged="the loss in step 1, in epoch 1")

BEYOND = {  # code: evidence of which it is found; and of which it is not
    "inputs-constant": (spread(constant_columns=4), spread(constant_columns=3)),
    "labels-unrelated": ({"trials": (LOST,), "look": NOTHING_SEEN}, {"trials": (LOST,)}),
    "classes-imbalanced": (counts(100, 10), counts(99, 10)),
    "units-dead": ({"hidden": {"dead": 0.11}}, {"hidden": {"dead": 0.1, "constant": 0.1}}),
    "loss-frozen": (CLIP | live(0.89), CLIP | live(0.9)),
    "units-saturated": (
        SIGMOID | {"hidden": {"saturated": 0.51, "z_spread": 2.0}},
        SIGMOID | {"hidden": {"saturated": 0.5}},
    ),
    "lr-too-high": ({"training": {"lr": 0.51}}, {"training": {"lr": 0.5}, "peak": 7.9}),
    "lr-too-low": ({"training": {"lr": 0.12}}, {"training": {"lr": 0.125}}),
    "lr-unusual": (
        {"training": {"optimizer": "adam", "lr": 0.0091}},
        {"training": {"optimizer": "adam", "lr": 0.0089}},
    ),
    "inputs-too-large": ({"hidden": {"z_spread": 10.1}}, {"hidden": {"z_spread": 10.0}}),
    "inputs-too-small": ({"hidden": {"z_spread": 0.14}}, {"hidden": {"z_spread": 0.15}}),
    "columns-unequal": ({"sample": columns(101)}, {"sample": columns(99)}),
    "inputs-off-centre": (spread(mean=-2.1), spread(mean=-2.0)),
    "init-unsuitable": (
        {"training": {"init": "uniform"}, "out": {"z_spread": 3.0}},
        {"training": {"init": "uniform"}, "out": {"z_spread": 2.9}},
    ),
    "hidden-too-narrow": ({"classes": 9}, {"classes": 8}),
    "not-finite": ({"trials": (DIVERGED,)}, {}),
    "settings-together": (
        {"trials": (BASE, replace(BASE, accuracy=0.96))},
        {"trials": (BASE, replace(BASE, accuracy=0.94))},
    ),
    "does-not-train": ({"trials": (LOST,)}, {"trials": (LOST,), "look": NOTHING_SEEN}),
}


def found(given):
    """Codes of both kinds."""
    return {rule.code for rule, _ in suspicions(given)} | {finding.code for finding in conclusions(given)}


def test_a_healthy_net_has_no_finding():
    assert found(evidence()) == set()


def test_every_code_has_its_evidence():
    assert list(BEYOND) == [rule.code for rule in RULES]


@pytest.mark.parametrize("code", BEYOND)
def test_a_code_is_found_beyond_its_threshold_and_not_within(code):
    beyond, within = BEYOND[code]
    assert code in found(evidence(**beyond))
    assert code not in found(evidence(**within))


@pytest.mark.parametrize("code", BEYOND)
def test_a_rule_says_figures_and_not_their_names(code):
    rule, given = BY_CODE[code], evidence(**BEYOND[code][0])
    seen = rule.see(given)
    told = rule.finding(seen, given.training, BASE, seen.cure)
    for text in (told.measured, told.healthy, told.why):
        assert text
        assert not set("{}") & set(text)
    assert told.values == seen.values
    assert told.severity in SEVERITIES
    if rule.turn:
        assert seen.changes
        assert not seen.severity


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_row_can_be_read(rule):
    """A page can be made of the table: sentences with their thresholds, no figure of a single net in them."""
    assert rule.rule[0].isupper() or rule.rule.startswith("lr ")
    assert rule.rule.endswith(".")
    for text in (rule.rule, rule.severity, rule.tried):
        assert [name for _, name, *_ in string.Formatter().parse(text) if name] == []


def test_turns_are_each_once_and_codes_too():
    turns = sorted(rule.turn for rule in RULES if rule.turn)
    assert turns == list(range(1, len(turns) + 1))
    assert len(BY_CODE) == len(RULES)


# --- what excludes what ---


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ({"training": {"lr": 0.51}, "hidden": {"z_spread": 11.0}}, {"lr-too-high"}),  # explains large inputs
        ({"peak": 14.0}, {"lr-too-high"}),
        ({"training": {"lr": 0.01}, "peak": 500.0}, {"lr-too-high"}),  # low at first, high later
        ({"training": {"lr": 0.01}, "limit": 1e4}, set()),
        ({"limit": 0.0, "gauss_newton": np.inf}, {"lr-too-high"}),  # curvature overflows
        (SIGMOID | {"hidden": {"saturated": 0.6, "z_spread": 20.0}}, {"units-saturated"}),
        ({"given": True, "hidden": {"constant": 0.2}}, {"units-dead"}),
        ({"given": True}, {"init-unsuitable"}),
        ({"training": {"init": "uniform"}}, set()),
        ({"training": {"hidden": "none"}, "classes": 99}, set()),
        (CLIP | {"live": 0.5}, {"loss-frozen"}),
        ({"live": 0.5}, set()),  # no clip
        (spread(constant_columns=4) | counts(100, 1) | {"trials": (LOST,)}, {"inputs-constant"}),
        (counts(100, 1) | {"trials": (LOST,)}, {"does-not-train"}),
        (counts(100, 1) | {"trials": (DIVERGED,)}, {"not-finite"}),
        ({"trials": (DIVERGED, TRIED)}, {"not-finite", "does-not-train", "settings-together"}),
    ],
)
def test_what_explains_another_finding_stands_alone(given, codes):
    assert found(evidence(**given)) == codes


def test_rare_classes_are_severe_where_they_are_lost():
    for recalls, severity in (((0.95, 0.84), "severe"), ((0.95, 0.86), "note"), ((0.95, np.nan), "note")):
        (told,) = conclusions(evidence(trials=(replace(BASE, recalls=recalls),), **counts(100, 10)))
        assert told.severity == severity


def test_changes_fit_what_was_measured():
    """The first to be tried; weights that were given go where they do not fit."""
    for code, options, change in (
        ("lr-too-high", {"safe_factor": 40.0, "training": {"lr": 0.6}}, {"scale": 11_000.0}),
        ("lr-too-high", {"safe_factor": None, "training": {"lr": 0.6}}, {"lr": 0.5}),
        ("lr-too-high", {"peak": 14.0}, {"lr": 0.14}),
        ("lr-too-low", {"training": {"lr": 0.01}}, {"lr": 0.25}),
        ("lr-unusual", {"training": {"optimizer": "nadam", "lr": 1e-5}}, {"lr": 0.001}),
        ("lr-unusual", {"training": {"momentum": 0.9, "lr": 0.1}}, {"lr": 0.01}),
        ("units-dead", {"hidden": {"dead": 0.5}, "given": True}, {"init": "glorot_uniform", "initial": None}),
        ("hidden-too-narrow", {"classes": 9, "given": True}, {"hidden": (100,), "initial": None}),
        ("inputs-too-large", {"hidden": {"z_spread": 11.0}}, {"scale": 200.0, "lr": 0.25}),
        ("inputs-too-small", {"hidden": {"z_spread": 0.1}}, {"scale": 200.0}),
        ("columns-unequal", {"sample": columns(1000)}, {"scale": "standard"}),
        ("inputs-off-centre", spread(mean=9.0), {"center": True, "scale": 260.0}),
        ("loss-frozen", CLIP | live(0.1), {"loss": "logits"}),
    ):
        assert BY_CODE[code].see(evidence(**options)).changes[0] == change, code


def test_not_finite_tells_what_cured_it():
    (told,) = conclusions(evidence(trials=(DIVERGED,)))
    assert (told.change, told.settings, told.before, told.after) == ("", {}, None, None)
    cured = replace(BASE, changes={"lr": 0.5})
    told = conclusions(evidence(trials=(DIVERGED, cured)))[0]
    assert (told.change, told.settings, told.before, told.after) == ("use lr 0.5", {"lr": 0.5}, None, 0.9)


def test_what_was_tried_in_vain_is_told():
    (told,) = conclusions(evidence(trials=(LOST, TRIED)))
    assert told.code == "does-not-train"
    assert told.values["tried"] == {"use lr 1": 0.5}
    assert "the labels are related to the inputs" in told.why


# --- from what was seen to a finding ---


ROW = Rule("lr-too-low", lambda e: None, "", "{over:.1f} of {training.lr:g}", "", "")


@pytest.mark.parametrize(
    ("after", "severity", "change"),
    [(0.56, "severe", True), (0.54, "warning", True), (0.505, "note", False), (0.2, "note", False)],
)
def test_severe_is_what_a_change_won(after, severity, change):
    told = ROW.finding(Seen({"over": 2}), Training(), Trial({}, 1, 0.5), Trial({"lr": 1.0}, 1, after))
    assert told.severity == severity
    assert bool(told.change) == bool(told.settings) == change
    assert told.measured == "2.0 of 0.01"


def test_alternatives_are_told_with_what_they_give():
    best, same, other = (
        Trial(changes, 1, 0.9) for changes in ({"scale": 40.0}, {"scale": 50.0}, {"lr": 1e-4})
    )
    told = ROW.finding(Seen({"over": 2}), Training(), Trial({}, 1, 0.5), best, [same, other])
    assert told.change == "divide the inputs by 40 (--scale 40), or use lr 0.0001 (that gives 0.900)"


def finding(code, severity="severe", before=0.1, after=None):
    return Finding(code, severity, "", "", "", before=before, after=after)


def test_the_order_of_findings():
    told = rank(
        [
            finding("not-finite"),
            finding("lr-too-low", after=0.5),
            finding("units-saturated", after=0.88),
            finding("lr-too-high", after=0.9),
            finding("labels-unrelated"),
            finding("units-dead", "warning", after=0.11),
            finding("inputs-too-large", "note"),
        ]
    )
    assert [f.code for f in told] == [
        "labels-unrelated",  # the data before settings
        "units-saturated",  # nearly as good as the best, and nearer to the cause
        "lr-too-high",
        "lr-too-low",
        "not-finite",
        "units-dead",
        "inputs-too-large",
    ]
