"""The pictures of RESULTS.md, drawn from figures.json, which holds the numbers behind them.

``python bench/plots.py`` draws all of them again, and measures nothing. Given a report.json of
``fastmlp study``, claims.svg shows its nets.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastmlp import pictures
from fastmlp.files import write_whole
from fastmlp.pictures import BLUE, GREEN, GREY, VERMILION, counted, headline, timed
from fastmlp.study import figures

HOME = Path(__file__).parent
NUMBERS = "figures.json"
Rows = list[list[float]]


def rivals(rows: list[dict[str, Any]], dense: float, sparse: float) -> Any:
    """Images a second of each tool, and the limits of dense and of sparse programs.

    rows: the fastest first. Each has a label, a rate, ours (whether it is fastmlp), and times (as long as the
          first it takes).
    """
    best = next(row for row in rows if not row["ours"])
    rows = rows[::-1]
    figure = pictures.figure(0.27 * len(rows) + 1.5)
    axes = figure.subplots()
    low = 10.0 ** (len(str(int(rows[0]["rate"]))) - 1)
    for place, row in enumerate(rows):
        colour, mark = (BLUE, "o") if row["ours"] else (VERMILION, "s")
        axes.hlines(place, low, row["rate"], color=colour, linewidth=1.5)
        axes.plot(row["rate"], place, mark, color=colour, markersize=6)
    limits = ((dense, "--", "limit with zeros"), (sparse, ":", "limit without zeros"))
    for limit, line, text in limits:
        axes.axvline(limit, color=GREY, linestyle=line, linewidth=1.4, clip_on=False, label=text)
    axes.set(xscale="log", xlim=(low, sparse), ylim=(-0.6, len(rows) - 0.4))
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
    pictures.logarithmic(axes.xaxis, low, sparse, counted)
    axes.set_xlabel("images a second in training")
    beside = axes.twinx()  # the values stand outside, where no line can cross them
    beside.set_ylim(axes.get_ylim())
    beside.set_yticks(range(len(rows)), [counted(float(f"{row['rate']:.3g}")) for row in rows])
    beside.tick_params(right=False)
    pictures.legend(axes)
    name = best["label"].partition(",")[0]
    headline(figure, f"{name}, the fastest of the others, takes {best['times']:.2g} times as long as fastmlp")
    return figure


def scaling(panels: dict[str, Rows]) -> Any:
    """Time of an epoch against one extent a panel: {extent: [[x, ours, NumPy's, ratio, dense limit]]}."""
    figure = pictures.figure(7.2)
    places = list(figure.subplots(3, 2).ravel())
    gains: list[tuple[float, str]] = []
    for axes, (name, points) in zip(places, panels.items(), strict=False):
        x, ours, numpy, times, limit = zip(*points, strict=True)
        axes.plot(x, numpy, "s-", color=VERMILION, label="NumPy reference")
        axes.plot(x, ours, "o-", color=BLUE, label="fastmlp")
        axes.plot(x, limit, "--", color=GREY, linewidth=1.2, label="dense limit")
        axes.set(xscale="log", yscale="log", xlabel=name)
        shown = pictures.apart(x, 0.28)
        axes.xaxis.set_ticks(shown, [counted(value) for value in shown])
        axes.xaxis.minorticks_off()
        pictures.logarithmic(axes.yaxis, min(*ours, *limit), max(numpy), timed)
        axes.grid(visible=True)
        headline(axes, f"{min(times):.2g} to {max(times):.2g} times")
        gains += [(gain, f"{name} {counted(value)}") for value, gain in zip(x, times, strict=True)]
    figure.supylabel("time of an epoch", fontsize=9)
    for axes in places[len(panels) :]:
        axes.axis("off")
    handles, labels = places[0].get_legend_handles_labels()
    places[len(panels)].legend(handles, labels, loc="center")
    (least, worst), (most, best) = min(gains), max(gains)
    headline(
        figure,
        f"fastmlp is {least:.2g} to {most:.2g} times as fast as NumPy: least at {worst}, most at {best}",
    )
    return figure


def threads(drivers: dict[str, dict[str, float]], dense: dict[str, float], sparse: dict[str, float]) -> Any:
    """Images a second of each driver against its threads, below the limits of as many cores."""
    figure = pictures.figure(3.6)
    axes = figure.subplots()
    marks = zip(drivers.items(), (BLUE, VERMILION, GREEN), "os^", strict=False)
    for (name, rates), colour, mark in marks:
        axes.plot([*map(int, rates)], [*rates.values()], f"{mark}-", color=colour, label=name)
    for limits, line, text in (
        (sparse, ":", "limit without zeros"), (dense, "--", "limit with zeros"),
    ):  # fmt: skip
        axes.plot([*map(int, limits)], [*limits.values()], line, color=GREY, linewidth=1.4, label=text)
    axes.set(xscale="log", xlabel="threads", ylabel="images a second", ylim=(0, 1.03 * max(sparse.values())))
    counts = pictures.apart([int(name) for name in dense], 0.1)
    axes.xaxis.set_ticks(counts, [f"{count}" for count in counts])
    axes.xaxis.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: counted(value))
    axes.grid(visible=True)
    pictures.legend(axes)
    name, rates = max(drivers.items(), key=lambda item: max(item[1].values()))
    most, one = max(rates, key=int), min(rates, key=int)
    gain = f"{most} threads train {rates[most] / rates[one]:.2g} times as fast as {one}"
    headline(figure, f"{gain}, by the driver {name}")
    return figure


def dense(panels: dict[str, dict[str, Rows]], peak: float) -> Any:
    """GFLOP/s of the dense work against one extent a panel: {extent: {series: [[x, GFLOP/s], ...]}}."""
    figure = pictures.figure(4.4)
    shown = figure.subplots(1, len(panels), sharey=True)
    most: dict[str, float] = {}
    for axes, (extent, series) in zip(shown, panels.items(), strict=True):
        for name, points in series.items():
            who, _, kind = name.partition(", ")
            colour, mark = (BLUE, "o") if who == "fastmlp" else (VERMILION, "s")
            filled = kind == "random normal"
            x, rates = zip(*points, strict=True)
            axes.plot(
                x, rates, f"{mark}-" if filled else f"{mark}:", color=colour, label=name,
                mfc=colour if filled else "none",
            )  # fmt: skip
            most[name] = max(most.get(name, 0.0), *rates)
        axes.axhline(peak, color=GREY, linestyle="--", linewidth=1.2, label=f"peak: {peak:.0f} GFLOP/s")
        axes.set(xscale="log", xlabel=extent)
        ticks = pictures.apart(x, 0.16)
        axes.xaxis.set_ticks(ticks, [counted(value) for value in ticks])
        axes.xaxis.minorticks_off()
        axes.grid(visible=True)
    shown[0].set_ylim(0, 1.05 * max(peak, *most.values()))
    shown[0].set_ylabel("GFLOP/s of the dense work")
    pictures.legend(shown[0])
    reached = (f"{most[f'fastmlp, {kind}'] / peak:.0%}" for kind in ("random normal", "centred images"))
    headline(
        figure, "Without zeros, an epoch reaches up to {} of the machine's peak; on centred images, "
        "whose zeros are left out, {}".format(*reached),
    )  # fmt: skip
    return figure


def claims(cells: list[dict[str, Any]]) -> Any:
    """Test accuracy of every net of the study, beside what was claimed."""
    return figures.figure("claims", {"cells": cells})


DRAWN: dict[str, Callable[..., Any]] = {
    "rivals": rivals, "scaling": scaling, "threads": threads, "dense": dense, "claims": claims,
}  # fmt: skip


def draw(name: str, folder: Path, **numbers: Any) -> None:
    """Keep these numbers in ``folder``, to four digits, and draw the picture of that name from them."""
    path = folder / NUMBERS
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept[name] = _rounded(numbers)
    lines = ",\n".join(f'"{key}": {json.dumps(kept[key])}' for key in sorted(kept))
    write_whole(path, f"{{\n{lines}\n}}\n".encode())
    write_whole(folder / f"{name}.svg", svg(name, kept[name]).encode())


def svg(name: str, numbers: dict[str, Any]) -> str:
    """Return the picture of that name as a file of its own."""
    with pictures.style():
        figure = DRAWN[name](**numbers)
    return pictures.alone(pictures.svg(figure, name))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main(reports: list[str]) -> None:
    """Draw every picture again; ``reports``: none, or a report.json whose nets become those of claims.svg."""
    for report in reports:
        cells = json.loads(Path(report).read_text())["evidence"]["cells"]
        wanted = ("code", "label", "loss", "seeds", "mean", "accuracy")
        draw("claims", HOME, cells=[{key: cell[key] for key in wanted} for cell in cells])
    for name, numbers in json.loads((HOME / NUMBERS).read_text()).items():
        draw(name, HOME, **numbers)


if __name__ == "__main__":
    main(sys.argv[1:])
