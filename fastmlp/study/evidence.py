"""Evidence: plain data from finished nets and measurements, to be judged, drawn and written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastmlp.spec import Training
from fastmlp.study.experiments import ACTS, CELLS, LOSSES, LR, Plan
from fastmlp.study.store import Record
from fastmlp.words.losses import clip_bounds

KEPT = 0.9  # share of a column's best accuracy: where less is left, the rate is beyond the edge
LEARNT = 3.0  # times chance, which a column's best must reach for it to have an edge
FACTOR = 2.0  # between predicted and measured edge
WANTED = 0.8  # share of columns within that factor

Find = Callable[[Training], Record]


def gather(
    plan: Plan,
    find: Find,
    start: dict[str, Any],
    curvatures: dict[str, dict[str, float]],
    law: dict[str, Any],
    classes: int,
) -> dict[str, Any]:
    """All findings of the study, as plain data for JSON."""
    return {
        "cells": [
            {"code": cell.code, "label": cell.label, "loss": cell.loss}
            | summary([find(training) for training in plan.of_cell(cell)])
            for cell in CELLS
        ],
        "distribution": {
            loss: distribution([find(training) for training in plan.of_distribution(loss)], loss)
            for loss in LOSSES[:2]
        },
        "phase": {
            act: phase(
                [[find(training).accuracy for training in row] for row in plan.of_phase(act)],
                plan.scales,
                plan.rates,
                [2 / curvatures[act][f"{scale:g}"] for scale in plan.scales],
                chance=1 / classes,
            )
            for act in ACTS
        },
        "curvature": {"lr": LR, "largest_stable": 2 / LR, "images": plan.images, **curvatures},
        "start": start,
        "law": law | {"same": law["raw"] == law["scaled"]},
    }


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Mean, spread (standard deviation), worst and best accuracy of some nets; dead units, live share."""
    accuracy = [record.accuracy for record in records]
    return {
        "seeds": len(records),
        "accuracy": accuracy,
        "mean": float(np.mean(accuracy)),
        "spread": float(np.std(accuracy, ddof=1)) if len(accuracy) > 1 else 0.0,
        "worst": min(accuracy),
        "best": max(accuracy),
        "dead": float(np.mean([record.dead for record in records])),
        "live": float(np.mean([record.live for record in records])),
        "diverged": sum(record.diverged is not None for record in records),
    }


def distribution(records: Sequence[Record], loss: str) -> dict[str, Any]:
    """Accuracy, dead units and live share of raw ReLU over seeds, and their rank correlations.

    frozen: median over the nets of loss / (1 - accuracy), and -ln LO, its value where every sample is
    either right or beyond the clip. None without a clip.
    """
    found = summary(records) | {
        "dead_units": [record.dead for record in records],
        "live_share": [record.live for record in records],
    }
    bounds = clip_bounds(loss)
    marks = [
        record.loss / (1 - record.accuracy)
        for record in records
        if record.loss is not None and record.accuracy < 1
    ]
    found["frozen"] = (
        {"measured": float(np.median(marks)), "of_a_frozen_net": -math.log(bounds[0])}
        if bounds and marks
        else None
    )
    found["dead_rank_correlation"] = rank_correlation(found["dead_units"], found["accuracy"])
    found["live_rank_correlation"] = rank_correlation(found["live_share"], found["accuracy"])
    return found


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's, -1..1; None where one of them is constant."""
    ranks = [_ranks(np.asarray(values)) for values in (a, b)]
    if any(rank.std() == 0 for rank in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: Any) -> Any:
    """Ranks from 0; ties share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[inverse]


def phase(
    accuracy: Sequence[Sequence[float]],
    scales: Sequence[float],
    rates: Sequence[float],
    predicted: Sequence[float],
    *,
    chance: float,
) -> dict[str, Any]:
    """The diagram: accuracy (rates, scales), and each column's measured and predicted edge.

    within: whether a column has an edge, within FACTOR of the prediction.
    """
    edges = [edge([row[column] for row in accuracy], rates, chance) for column in range(len(scales))]
    within = [
        found is not None and max(found / line, line / found) <= FACTOR
        for found, line in zip(edges, predicted, strict=True)
    ]
    ratios = [found / line for found, line in zip(edges, predicted, strict=True) if found is not None]
    return {
        "scales": list(scales),
        "rates": list(rates),
        "accuracy": [list(row) for row in accuracy],
        "edge": edges,
        "predicted": list(predicted),
        "within": within,
        "share_within": sum(within) / len(within),
        "without_edge": edges.count(None),
        "median_ratio": float(np.median(ratios)) if ratios else None,
    }


def edge(accuracy: Sequence[float], rates: Sequence[float], chance: float) -> float | None:
    """Rate beyond which a column does not train, by ``RULE``; None where the grid ends before."""
    best = int(np.argmax(accuracy))
    if accuracy[best] < LEARNT * chance:
        return None
    for i in range(best, len(rates) - 1):
        if accuracy[i + 1] < KEPT * accuracy[best]:
            return math.sqrt(rates[i] * rates[i + 1])
    return None


RULE = (
    f"going up from the rate of a column's best accuracy, the first step after which less than {KEPT:.0%} "
    "of that accuracy is left; the edge is the geometric mean of the two rates. A column whose best is "
    f"under {LEARNT:g} times chance, or that keeps its accuracy up to the last rate, has none and counts "
    "as a miss"
)
