"""The statistics of the comparison: paired ratios, their intervals, and the rows made of them."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp.benchmark.contenders import Contender
from fastmlp.benchmark.report import ranked
from fastmlp.benchmark.rounds import Entry
from fastmlp.benchmark.statistics import paired_ratio


def test_ratio_of_constant_times():
    assert paired_ratio([3.0] * 7, [1.5] * 7) == (2.0, 2.0, 2.0)


def test_arguments_have_a_side():
    slow, fast = [4.0, 4.4, 4.2], [1.0, 1.1, 0.9]
    assert paired_ratio(slow, fast).median == pytest.approx(4.0)
    assert paired_ratio(fast, slow).median == pytest.approx(0.25)
    assert paired_ratio(slow, fast).low > 1 > paired_ratio(fast, slow).high


def test_ratios_are_paired_by_round():
    base = np.array([1.0, 10.0, 2.0, 7.0, 1.5, 30.0, 4.0])  # a machine that is busy now and then
    assert paired_ratio(3 * base, base) == pytest.approx((3, 3, 3))
    unpaired = paired_ratio(3 * base[::-1], base)
    assert unpaired.high - unpaired.low > 1


def test_rounds_must_pair_up():
    with pytest.raises(ValueError, match="broadcast"):
        paired_ratio([1.0, 2.0, 3.0], [1.0, 2.0])


@pytest.mark.parametrize(("rounds", "left_out"), [(1, 0), (5, 0), (7, 0), (8, 0), (9, 1), (12, 2), (20, 5)])
def test_ends_are_those_of_the_sign_test(rounds, left_out):
    """Tables of the sign test: how many ratios may lie outside at each end."""
    ratios = np.random.default_rng(0).permutation(np.arange(1.0, rounds + 1))
    ratio = paired_ratio(ratios, np.ones(rounds))
    assert ratio == (np.median(ratios), 1 + left_out, rounds - left_out)


@pytest.mark.parametrize("rounds", [7, 15])
def test_interval_covers_the_truth_about_as_often_as_it_says(rounds):
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(300):
        shared = rng.lognormal(sigma=0.5, size=rounds)  # what the machine did to both
        base, seconds = shared * rng.lognormal(sigma=0.1, size=(2, rounds))
        ratio = paired_ratio(5 * seconds, base)
        assert ratio.low <= ratio.median <= ratio.high
        covered.append(ratio.low <= 5 <= ratio.high)
    assert 0.94 <= np.mean(covered) < 1


def entry(name, seconds, failure="", label=""):
    return Entry(
        Contender(name, label or name, "nowhere:Nobody"), 1, seconds=seconds, failure=failure, accuracy=0.9
    )


def test_rows_compare_with_the_best_of_ours():
    rows = ranked(
        [
            entry("fastmlp", [2.0, 2.2, 1.8], label="one"),
            entry("torch", [4.0, 4.4, 3.6]),
            entry("fastmlp", [1.0, 1.1, 0.9], label="two"),
            entry("jax", [0.5, 0.55, 0.45]),
            entry("keras", [9.0], failure="ended"),
        ],
        samples=600, flop=1e9, peak=2.0,
    )  # fmt: skip
    assert [row.label for row in rows] == ["jax", "two", "one", "torch", "keras"]
    assert [row.ratio and round(row.ratio.median, 6) for row in rows] == [0.5, 1, 2, 4, None]
    assert [row.samples_per_second for row in rows[:2]] == [1200, 600]
    assert [row.share for row in rows[:3]] == [1.0, 0.5, 0.25]
    assert rows[-1].failure == "ended"
    assert rows[-1].seconds is None


def test_without_fastmlp_there_is_no_ratio():
    rows = ranked([entry("fastmlp", [], failure="ended"), entry("torch", [1.0])], 1, 1.0, 1.0)
    assert [row.ratio for row in rows] == [None, None]
    assert rows[0].seconds == 1.0
