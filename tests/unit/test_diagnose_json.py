"""A diagnosis in JSON: its keys in their order, its figures, its sentences, held to those that are kept."""

from __future__ import annotations

import copy
import json
import math
import re

import pytest
from pinned_diagnoses import FILE, cases, diagnosed

KEPT = json.loads(FILE.read_text())
CLOSE = 1e-3  # relative: sums of another machine may have another order


def differences(got, want, where=""):
    """Places where two JSON values are not the same: keys and their order, lengths, types, figures, words.

    Figures within a sentence do not count: they are rounded, and stand beside it as numbers.
    """
    if type(got) is not type(want):
        return [where]
    if isinstance(want, dict):
        if list(got) != list(want):
            return [f"{where}: keys"]
        return [place for key in want for place in differences(got[key], want[key], f"{where}.{key}")]
    if isinstance(want, list):
        if len(got) != len(want):
            return [f"{where}: length"]
        pairs = enumerate(zip(got, want, strict=True))
        return [place for i, pair in pairs for place in differences(*pair, f"{where}[{i}]")]
    if isinstance(want, float):
        return [] if math.isclose(got, want, rel_tol=CLOSE, abs_tol=1e-12) else [where]
    if isinstance(want, str):
        got, want = (re.sub(r"[\d.,+-]*\d(e[+-]?\d+)?", "#", text) for text in (got, want))
    return [] if got == want else [where]


@pytest.mark.parametrize("name", KEPT)
def test_the_json_is_what_it_was(name):
    assert differences(diagnosed(name), KEPT[name]) == []


def test_every_case_is_kept():
    assert list(KEPT) == list(cases())
    findings = [finding for told in KEPT.values() for finding in told["findings"]]
    assert len({finding["code"] for finding in findings}) >= 10


def test_the_comparison_goes_red():
    want = next(iter(KEPT.values()))
    for change in (
        lambda told: told["measures"]["inputs"].update(mean=0.0),
        lambda told: told["measures"].update(peak=told["measures"]["peak"] * 1.01),
        lambda told: told["measures"].update(another=None),
        lambda told: told["trajectory"][1].pop("live"),
        lambda told: told["trajectory"].pop(),
        lambda told: told["trials"][0].update(diverged=""),
        lambda told: told["measures"].update(classes=3.0),
        lambda told: told["findings"][0].update(why="because"),
        lambda told: told.update(data=told.pop("data")),
    ):
        got = copy.deepcopy(want)
        change(got)
        assert differences(got, want), change
    assert not differences(copy.deepcopy(want), want)
