"""The pictures of RESULTS.md. Axes end at what the machine can do; nothing is measured here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

OURS, OTHERS, SECOND, LIMIT = "#0072b2", "#d55e00", "#56b4e9", "#666666"
mpl.rcParams.update(
    {
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "fastmlp",  # the same picture gives the same bytes
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e6e6e6",
        "grid.linewidth": 0.6,
        "axes.axisbelow": True,
    }
)


def save(figure: Figure, path: Path) -> None:
    """As SVG, without the date."""
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _thousands(value: float, _: object) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if value >= 1e3 else f"{value:g}"


def rivals(rows: Sequence[Any], dense: float, sparse: float) -> Figure:
    """Samples a second of each row of a report, and the limits of dense and of sparse programs."""
    rows = [row for row in rows if row.samples_per_second][::-1]
    figure = Figure((8, 0.45 * len(rows) + 1.7), layout="constrained")
    axes = figure.subplots()
    low = 10 ** int(len(str(int(min(row.samples_per_second for row in rows)))) - 1)
    for place, row in enumerate(rows):
        colour = OURS if row.name == "fastmlp" else OTHERS
        axes.hlines(place, low, row.samples_per_second, color=colour, linewidth=1.2)
        axes.plot(row.samples_per_second, place, "o", color=colour, markersize=7)
        axes.annotate(
            _thousands(float(f"{row.samples_per_second:.3g}"), None), (row.samples_per_second, place),
            xytext=(8, 0), textcoords="offset points", va="center", color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xscale("log")
    axes.set_xlim(low, sparse)
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.set_xlabel("images a second in training (more is better); the axis ends at the sparse limit")
    axes.grid(axis="y", visible=False)
    axes.axvline(dense, color=LIMIT, linestyle="--", linewidth=1)
    axes.axvline(sparse, color=LIMIT, linestyle="--", linewidth=1, clip_on=False)
    for limit, text in (
        (dense, "dense limit:\nall multiply-adds at peak"),
        (sparse, "sparse limit:\nmultiply-adds"),
    ):
        axes.annotate(
            text, (limit, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
            textcoords="offset points", ha="right", va="bottom", color=LIMIT,
            fontsize=8.5,
        )  # fmt: skip
    return figure


def scaling(axes_of: dict[str, list[tuple[float, float, float, float]]], titles: dict[str, str]) -> Figure:
    """Seconds an epoch against one extent a panel: (x, kernels, reference, dense floor)."""
    figure = Figure((10, 6), layout="constrained")
    panels = list(figure.subplots(2, 3).ravel())
    for panel, (name, points) in zip(panels, axes_of.items(), strict=False):
        x, kernels, reference, floor = zip(*points, strict=True)
        panel.plot(
            x, reference, "s-", color=OTHERS, markersize=4, label="NumPy reference, better BLAS threads"
        )
        panel.plot(x, kernels, "o-", color=OURS, markersize=4, label="fastmlp, all cores")
        panel.plot(x, floor, "--", color=LIMIT, linewidth=1, label="dense limit: all multiply-adds at peak")
        panel.set(xscale="log", yscale="log", xlabel=titles[name])
        panel.set_xticks(
            _few(x), [f"{value:g}" if value < 1e4 else _thousands(value, None) for value in _few(x)]
        )
        panel.xaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_formatter(FuncFormatter(_time))
        panel.yaxis.set_minor_locator(NullLocator())
    for panel in (panels[0], panels[3]):
        panel.set_ylabel("time of an epoch")
    last = panels[len(axes_of)]
    last.axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    last.legend(handles, labels, loc="center", frameon=False)
    return figure


def _few(x: Sequence[float], gap: float = 0.16) -> list[float]:
    """Ticks far enough from each other: that share of a logarithmic axis."""
    kept: list[float] = []
    for value in x:
        if not kept or value / kept[-1] >= (max(x) / min(x)) ** gap:
            kept.append(value)
    return kept


def _time(value: float, _: object) -> str:
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 0.999:
            return f"{value * factor:g} {unit}"
    return ""


def threads(
    drivers: dict[str, dict[int, float]], dense: dict[int, float], sparse: dict[int, float]
) -> Figure:
    """Images a second of each driver against its threads, below the limits for as many cores."""
    figure = Figure((7, 4.2), layout="constrained")
    axes = figure.subplots()
    top = max(sparse.values())
    for limits, text in (
        (sparse, "sparse limit: multiply-adds"),
        (dense, "dense limit: multiply-adds at peak"),
    ):
        axes.plot(list(limits), list(limits.values()), "--", color=LIMIT, linewidth=1)
        axes.annotate(
            text, (min(limits), limits[min(limits)]), xytext=(10, -10), textcoords="offset points",
            color=LIMIT, fontsize=8.5,
        )  # fmt: skip
    for (name, points), colour, mark in zip(drivers.items(), (OURS, OTHERS, SECOND), "os^", strict=False):
        axes.plot(list(points), list(points.values()), f"{mark}-", color=colour, label=name)
    axes.set(xlabel="threads", ylabel="images a second", ylim=(0, top), xticks=list(dense))
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 0.97))
    return figure


def dense(panels: dict[str, dict[str, list[tuple[float, float]]]], peak: float) -> Figure:
    """GFLOP/s of the dense work against one extent a panel: {extent: {series: [(x, GFLOP/s)]}}.

    The axis ends at the machine's peak, or above it where leaving out zeros beats it.
    """
    figure = Figure((9, 4), layout="constrained")
    styles = {
        "fastmlp, random normal": (OURS, "o-"), "fastmlp, centred images": (SECOND, "o-"),
        "reference, random normal": (OTHERS, "s-"), "reference, centred images": ("#e69f00", "s-"),
    }  # fmt: skip
    shown = figure.subplots(1, len(panels), sharey=True)
    top = max(
        peak, 1.05 * max(y for series in panels.values() for points in series.values() for _, y in points)
    )
    for axes, (extent, series) in zip(shown, panels.items(), strict=True):
        for name, points in series.items():
            colour, mark = styles[name]
            axes.plot(*zip(*points, strict=True), mark, color=colour, markersize=4, label=name)
        x = [point[0] for point in next(iter(series.values()))]
        axes.set(xscale="log", xlabel=extent, ylim=(0, top))
        axes.set_xticks(_few(x, 0.1), [f"{value:g}" for value in _few(x, 0.1)])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.axhline(peak, color=LIMIT, linestyle="--", linewidth=1, clip_on=False)
        axes.annotate(
            f"peak: {peak:.0f} GFLOP/s", (1, peak), xycoords=("axes fraction", "data"), xytext=(0, 3),
            textcoords="offset points", ha="right", color=LIMIT, fontsize=8.5,
        )  # fmt: skip
    shown[0].set_ylabel("GFLOP/s of the dense work")
    handles, labels = shown[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    return figure
