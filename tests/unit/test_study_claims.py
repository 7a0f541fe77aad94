"""What the study judges: every rule gives another verdict when the figures are others."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_study import evidence

from fastmlp.study.claims import HALF, NOT, STATEMENTS, SUPPORTED, VERDICTS, judge
from fastmlp.study.evidence import distribution, edge, phase, rank_correlation, summary
from fastmlp.study.figures import CHARTS
from fastmlp.study.store import Record


def verdicts(found):
    return {judgement.code: judgement.verdict for judgement in judge(found)}


def cells(code, loss="", **values):
    """A change of every cell of that code; ``accuracy`` stands for all that follows from it."""

    def change(found):
        for cell in found["cells"]:
            if cell["code"].startswith(code) and cell["loss"].startswith(loss):
                cell.update(values)
                if (value := values.get("accuracy")) is not None:
                    cell.update(accuracy=[value] * 20, mean=value, worst=value, best=value)

    return change


def path(*names, to):
    """A change of one value."""

    def change(found):
        *way, last = names
        for name in way:
            found = found[name]
        found[last] = to

    return change


AS_FOUND = {
    "sigmoid-95": SUPPORTED, "relu-under-50": HALF, "relu-55": SUPPORTED, "relu-255-93": SUPPORTED,
    "recipe-98": HALF, "division-cures": SUPPORTED, "z-large": SUPPORTED, "linear": NOT, "weights-1": NOT,
    "squashing": HALF, "no-probabilities": NOT, "surprise-10": NOT, "clip-cures": NOT, "one-cause": SUPPORTED,
    "mechanisms": SUPPORTED, "scale-law": SUPPORTED, "stability-line": NOT,
}  # fmt: skip


def test_verdicts_on_figures_like_those_of_mnist():
    assert verdicts(evidence()) == AS_FOUND


CHANGES = [
    ("sigmoid-95", cells("sigmoid-raw", accuracy=0.925), HALF),
    ("sigmoid-95", cells("sigmoid-raw", accuracy=0.8), NOT),
    ("relu-under-50", cells("relu-raw", accuracy=0.9), NOT),
    ("relu-under-50", cells("relu-raw", "keras2", accuracy=0.3), SUPPORTED),
    ("relu-55", cells("relu-raw", accuracy=0.1), NOT),
    ("relu-255-93", cells("relu-255", accuracy=0.8), NOT),
    ("recipe-98", cells("relu300", accuracy=0.98), SUPPORTED),
    ("recipe-98", cells("relu300", accuracy=0.9), NOT),
    ("division-cures", cells("relu-255", accuracy=0.5), NOT),
    ("division-cures", cells("relu-255", "keras2", accuracy=0.5), HALF),
    ("z-large", path("start", "median_z", to={"raw": 0.5, "255": 0.1}), NOT),
    ("linear", path("start", "same_pattern", to=0.6), SUPPORTED),
    ("linear", path("start", "always_on", to=40), HALF),
    ("weights-1", path("start", "largest_weight", to=0.999), SUPPORTED),
    ("squashing", path("curvature", "sigmoid", "1", to=900.0), SUPPORTED),
    ("squashing", cells("sigmoid-raw", accuracy=0.3), NOT),
    ("no-probabilities", path("start", "at_raw", "row_sums", to=0.5), SUPPORTED),
    ("surprise-10", lambda f: [d.update(accuracy=[0.1] * 20) for d in f["distribution"].values()], SUPPORTED),
    ("surprise-10", path("distribution", "logits", "accuracy", to=[0.1] * 20), HALF),
    (
        "clip-cures",
        lambda f: [cells(c, "clip", accuracy=0.95)(f) for c in ("relu-raw", "relu300")],
        SUPPORTED,
    ),
    ("clip-cures", cells("relu-raw", "clip", accuracy=0.7), HALF),
    ("one-cause", path("phase", "relu", "edge", to=[0.5, None]), HALF),
    ("one-cause", path("curvature", "relu", "1", to=3.0), HALF),
    ("one-cause", path("phase", "sigmoid", "edge", to=[0.001, None]), HALF),
    ("mechanisms", path("distribution", "logits", "dead", to=0.0), HALF),
    ("mechanisms", lambda f: [d.update(dead=0.0, live=1.0) for d in f["distribution"].values()], NOT),
    ("scale-law", path("law", "same", to=False), NOT),
    ("scale-law", path("law", "raw_without_square", "losses_sha256", to="a" * 64), NOT),
    ("stability-line", path("phase", "relu", "share_within", to=0.9), HALF),
    ("stability-line", lambda f: [p.update(share_within=0.8) for p in f["phase"].values()], SUPPORTED),
]


@pytest.mark.parametrize(("code", "change", "verdict"), CHANGES, ids=[f"{c[0]}-{c[2]}" for c in CHANGES])
def test_other_figures_give_another_verdict(code, change, verdict):
    found = evidence()
    change(found)
    assert verdict != AS_FOUND[code]
    assert verdicts(found)[code] == verdict


def test_every_statement_is_put_to_the_proof_and_has_a_figure():
    assert {code for code, *_ in CHANGES} == {code for code, *_ in STATEMENTS} == set(AS_FOUND)
    for judgement in judge(evidence()):
        assert judgement.verdict in VERDICTS
        assert judgement.figure in CHARTS
        assert any(letter.isdigit() for letter in judgement.because)


RATES = [0.001, 0.01, 0.1, 1.0, 10.0]


@pytest.mark.parametrize(
    ("accuracy", "want"),
    [
        ([0.5, 0.8, 0.9, 0.1, 0.1], math.sqrt(0.1 * 1)),
        ([0.5, 0.9, 0.82, 0.8, 0.1], math.sqrt(0.1 * 1)),  # 0.8 is less than 90 % of 0.9
        ([0.9, 0.1, 0.85, 0.1, 0.1], math.sqrt(0.001 * 0.01)),  # what comes back later does not count
        ([0.1, 0.2, 0.5, 0.8, 0.9], None),  # the grid ends first
        ([0.1, 0.12, 0.2, 0.1, 0.1], None),  # nothing was learnt
    ],
)
def test_the_measured_edge(accuracy, want):
    assert edge(accuracy, RATES, 0.1) == (want and pytest.approx(want))


def test_columns_without_an_edge_count_as_misses():
    columns = [[0.9, 0.9, 0.1, 0.1, 0.1], [0.9, 0.9, 0.9, 0.1, 0.1], [0.9] * 5]
    found = phase(np.array(columns).T.tolist(), [1, 2, 4], RATES, [0.04, 1.0, 5.0], chance=0.1)
    assert found["within"] == [True, False, False]
    assert (found["share_within"], found["without_edge"]) == (pytest.approx(1 / 3), 1)


def test_summaries_and_correlations_by_hand():
    records = [
        Record(0.5, 16.0 * 0.5, (), 90, 0.5, None, 1.0),
        Record(0.7, 16.0 * 0.3, (), 80, 1.0, 3, 1.0),
        Record(0.9, None, (), 10, 0.0, None, 1.0),
    ]
    found = summary(records)
    assert (found["mean"], found["worst"], found["best"]) == (pytest.approx(0.7), 0.5, 0.9)
    assert (found["spread"], found["dead"], found["live"]) == (pytest.approx(0.2), 60, 0.5)
    assert found["diverged"] == 1
    wide = distribution(records, "keras2")
    assert wide["frozen"] == {
        "measured": pytest.approx(16), "of_a_frozen_net": pytest.approx(16.118, abs=1e-3)
    }  # fmt: skip
    assert wide["dead_rank_correlation"] == pytest.approx(-1)
    assert distribution(records, "logits")["frozen"] is None
    assert rank_correlation([1, 2, 2, 4], [10, 20, 20, 30]) == pytest.approx(1)
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
