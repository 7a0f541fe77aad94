"""The study's figures; nothing is measured here.

Each headline says what is seen, with the evidence's numbers. They are as wide as a phone, and fit light and
dark pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastmlp import pictures
from fastmlp.data import Dataset
from fastmlp.pictures import BLUE, GREEN, GREY, INK, VERMILION, WIDTH, headline
from fastmlp.study.experiments import ACTS
from fastmlp.study.measures import Portrait

Evidence = Mapping[str, Any]


def figure(name: str, evidence: Evidence) -> Any:
    """Return the figure of that name, one of ``CHARTS``. Within ``pictures.style``."""
    found = pictures.figure(3)
    CHARTS[name](found, evidence)
    return found


def every(evidence: Evidence, nets: Mapping[str, Portrait], data: Dataset) -> dict[str, Callable[[], Any]]:
    """Return what draws each figure, by its name. Those of pixels are there only where rows are pictures."""
    found: dict[str, Callable[[], Any]] = {name: partial(figure, name, evidence) for name in CHARTS}
    found["dead"] = partial(_dead, nets["raw"])
    if data.image_shape is not None:
        found |= {"pixels": partial(_pixels, data), "weights": partial(_weights, nets, data)}
    return found


def draw_all(evidence: Evidence, nets: Mapping[str, Portrait], data: Dataset) -> dict[str, str]:
    """Draw each figure: name -> SVG, in the page's colours."""
    drawn = {}
    for name, draw in every(evidence, nets, data).items():
        with pictures.style():
            drawn[name] = pictures.svg(draw(), name)
    return drawn


def _claims(figure: Any, evidence: Evidence) -> None:
    """Every cell's seeds, a row each, and the thread's claims as diamonds."""
    said = {"sigmoid-raw": [0.95], "relu-raw": [0.55, 0.5], "relu-255": [0.934]}
    cells = evidence["cells"]
    figure.set_size_inches(WIDTH, 0.21 * len(cells) + 1.6)
    axes = figure.subplots()
    styles: dict[str, tuple[str, str]] = {}
    for place, cell in enumerate(cells):
        style = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"))[len(styles) % 3]
        color, mark = styles.setdefault(cell["loss"], style)
        axes.plot(
            cell["accuracy"], [place] * cell["seeds"], mark, color=color, markersize=3, alpha=0.75, mew=0
        )
        axes.plot(cell["mean"], place, "|", color=INK, markersize=9, mew=1.4)
        for value in said.get(cell["code"], [0.98]):
            axes.plot(value, place, "D", mfc="none", mec=INK, markersize=5, mew=0.7)
    labels = list(dict.fromkeys(cell["label"] for cell in cells))
    each = len(cells) / len(labels)
    axes.set_yticks(
        [each * i + (each - 1) / 2 for i in range(len(labels))], [_short(name) for name in labels]
    )
    for i in range(1, len(labels)):
        axes.axhline(each * i - 0.5, color=GREY, linewidth=0.4)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("test accuracy")
    seeds = [
        axes.plot([], [], mark, color=color, markersize=4, label=loss)[0]
        for loss, (color, mark) in styles.items()
    ]
    mean = axes.plot([], [], "|", color=INK, markersize=9, mew=1.4, label="mean")
    said_so = axes.plot([], [], "D", mfc="none", mec=INK, markersize=5, mew=0.7, label="claimed")
    figure.legend(
        handles=[seed for pair in zip(seeds, [*mean, *said_so, None], strict=False) for seed in pair if seed],
        loc="outside lower center", ncols=3, handletextpad=0.1, columnspacing=1,
    )  # fmt: skip
    raw, scaled = (_all_seeds(cells, code) for code in ("relu-raw", "relu-255"))
    headline(
        figure, f"ReLU on raw pixels ends anywhere from {min(raw):.2f} to {max(raw):.2f}; on pixels / 255, "
        f"{_between(scaled)}",
    )  # fmt: skip


def _all_seeds(cells: Sequence[Mapping[str, Any]], code: str) -> list[float]:
    return [accuracy for cell in cells if cell["code"] == code for accuracy in cell["accuracy"]]


def _between(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return f"at {low}" if low == high else f"at {low} to {high}"


def _short(label: str) -> str:
    words = label.split(", ")
    return f"{words[0]},\n{', '.join(words[1:])}"


def _distribution(figure: Any, evidence: Evidence) -> None:
    figure.set_size_inches(WIDTH, 3.6)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (loss, found), color in zip(
        panels, evidence["distribution"].items(), (BLUE, VERMILION), strict=True
    ):
        axes.hist(found["accuracy"], bins=np.linspace(0, 1, 41).tolist(), color=color)
        axes.axvline(found["mean"], color=INK, linewidth=1, linestyle="--")
        headline(
            axes, f"{loss}: {found['seeds']} seeds end {_between([found['worst'], found['best']])}, "
            f"mean {found['mean']:.2f}",
        )  # fmt: skip
        axes.set_ylabel("nets")
        _whole_ticks(axes.yaxis)
    panels[-1].set_xlabel("test accuracy of ReLU on raw pixels (-- mean)")


def _whole_ticks(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))


_RELATED = 0.5  # of a rank correlation: from there on the headline says so


def _mechanisms(figure: Any, evidence: Evidence) -> None:
    figure.set_size_inches(WIDTH, 5.6)
    first, second = figure.subplots(2, 1)
    logits, keras = evidence["distribution"]["logits"], evidence["distribution"]["keras2"]
    for found, color, mark, name in ((logits, BLUE, "o", "logits"), (keras, VERMILION, "^", "keras2")):
        dots = {"color": color, "markersize": 3.5, "alpha": 0.75, "mew": 0}
        alive = [100 - dead for dead in found["dead_units"]]
        first.plot(alive, found["accuracy"], mark, label=name, **dots)
        second.plot([max(live, 1e-6) for live in found["live_share"]], found["accuracy"], mark, **dots)
    first.set_xlabel("units alive, of 100")
    dead, live = logits["dead_rank_correlation"], keras["live_rank_correlation"]
    told = "the more units die, the worse" if _at_least(dead, -_RELATED) else "dead units do not tell"
    headline(first, f"Under logits, {told} (rank correlation {_number(dead)})")
    second.set_xscale("log")
    second.set_xlabel("live share in the last epoch")
    told = (
        "the fewer samples are live, the worse" if _at_least(live, _RELATED) else "live samples do not tell"
    )
    headline(second, f"Under keras2, {told} (rank correlation {_number(live)})")
    for axes in (first, second):
        axes.set_ylabel("test accuracy")
        axes.set_ylim(0, 1)
    pictures.legend(first)


def _at_least(value: float | None, wanted: float) -> bool:
    return value is not None and value / wanted >= 1


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _phase(figure: Any, evidence: Evidence) -> None:
    figure.set_size_inches(WIDTH, 6.6)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (act, found) in zip(panels, evidence["phase"].items(), strict=True):
        scales, rates = np.log2(found["scales"]), np.log2(found["rates"])
        image = axes.pcolormesh(
            scales, rates, np.array(found["accuracy"]), vmin=0, vmax=1, cmap="cividis", shading="nearest",
            rasterized=True,
        )  # fmt: skip
        axes.plot(scales, np.log2(found["predicted"]), color="#ffffff", linewidth=3.4)
        axes.plot(scales, np.log2(found["predicted"]), color=VERMILION, linewidth=1.8, label="2 / curvature")
        at = [(x, np.log2(e)) for x, e in zip(scales, found["edge"], strict=True) if e is not None]
        axes.plot(
            *(zip(*at, strict=True) if at else ([], [])), "o", mfc="#ffffff", mec="#000000", markersize=5,
            label="measured edge",
        )  # fmt: skip
        headline(
            axes, f"{ACTS[act]}: 2 / curvature is within a factor of 2 of the edge at "
            f"{sum(found['within'])} of {len(found['within'])} scales",
        )  # fmt: skip
        axes.set_ylabel("learning rate")
        axes.set_ylim(rates[0] - (rates[1] - rates[0]) / 2, rates[-1] + (rates[1] - rates[0]) / 2)
        shown = range(int(np.ceil(rates[0])), int(rates[-1]) + 1, 4)
        axes.set_yticks(list(shown), [f"{2.0**i:.2g}" for i in shown])
    panels[-1].set_xlabel("scale: pixels are divided by it")
    panels[-1].set_xticks(scales[::2], [f"{scale:g}" for scale in found["scales"]][::2])
    figure.colorbar(image, ax=panels, location="bottom", label="test accuracy", aspect=40, shrink=0.9)
    pictures.legend(panels[0])


def _curvature(figure: Any, evidence: Evidence) -> None:
    axes, found = figure.subplots(), evidence["curvature"]
    limit = found["largest_stable"]
    told = []
    for act, color, mark in (("relu", BLUE, "o"), ("sigmoid", VERMILION, "s")):
        points = sorted((float(scale), value) for scale, value in found[act].items())
        axes.plot(*zip(*points, strict=True), f"{mark}-", color=color, label=ACTS[act])
        told.append(f"{ACTS[act]} is curved {_times(points[0][1] / limit)}")
    axes.axhline(limit, color=GREY, linestyle="--", linewidth=1.2, label=f"2 / lr = {limit:g}: stable below")
    headline(figure, f"On raw pixels {', '.join(told)} what is stable")
    axes.set_xscale("log")
    axes.set_yscale("log")
    scales = pictures.apart(sorted(map(float, found["relu"])), 0.1)
    axes.xaxis.set_ticks(scales, [f"{scale:g}" for scale in scales])
    axes.xaxis.minorticks_off()
    axes.set_xlabel("scale: pixels are divided by it")
    axes.set_ylabel("curvature before training")
    pictures.legend(axes, 3)


def _times(ratio: float) -> str:
    return f"{ratio:.0f} times" if ratio >= 2 else f"{ratio:.2g} times"


def _law(figure: Any, evidence: Evidence) -> None:
    axes, found = figure.subplots(), evidence["law"]
    steps = range(1, found["steps"] + 1)
    axes.plot(
        steps, found["scaled"]["losses"], color=BLUE, linewidth=3, alpha=0.55,
        label=f"pixels / {found['s']}, lr {found['lr']:g}",
    )  # fmt: skip
    axes.plot(
        steps, found["raw"]["losses"], color=VERMILION, linewidth=0.8, linestyle="--",
        label=f"raw pixels, W1 / {found['s']}, lr / {found['s']}² on W1",
    )  # fmt: skip
    axes.set_xlabel("step")
    axes.set_ylabel("loss of the batch")
    axes.set_ylim(bottom=0)
    _whole_ticks(axes.xaxis)
    same = "every step has the same bytes" if found["same"] else "the steps are not the same"
    headline(figure, f"Scaled pixels, or smaller first weights and a smaller rate for them: {same}")
    pictures.legend(axes, 1)


def _start(figure: Any, evidence: Evidence) -> None:
    axes, found = figure.subplots(), evidence["start"]
    rows = [
        ("same on/off state,\nraw and / 255", found["same_pattern"]),
        ("units on, of all\n(image, unit) pairs", found["active"]),
        ("units on for\nevery image", found["always_on"] / 100),
        ("sigmoids saturated,\nraw", found["at_raw"]["sigmoid_saturated"]),
        ("sigmoids saturated,\n/ 255", found["at_255"]["sigmoid_saturated"]),
        ("largest first weight\n(claimed: 1)", found["largest_weight"]),
    ]
    bars = axes.barh(
        range(len(rows)), [value for _, value in rows], color=[BLUE] * 3 + [VERMILION] * 2 + [GREEN],
        height=0.6,
    )  # fmt: skip
    axes.bar_label(bars, [f"{value:.3f}" for _, value in rows], padding=3)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel("share of pairs or units; of a weight, its size")
    same = f"{found['same_pattern']:.1%} of the units' on/off states are the same"
    headline(figure, f"Raw or divided by 255, {same}")


def _dead(net: Portrait) -> Any:
    """Pre-activations of the units that die, before and after, and the alive ones'."""
    figure = pictures.figure(4.6)
    panels = figure.subplots(2, 1)
    for axes, values in ((panels[0], net.before), (panels[1], net.after)):
        groups = [
            (values[:, net.dead], VERMILION, "//", "units that die"),
            (values[:, ~net.dead], BLUE, "", "the others"),
        ]  # fmt: skip
        shown = np.concatenate([group.ravel() for group, *_ in groups])
        low, high = np.quantile(shown, [0.002, 0.998])
        bins = np.linspace(min(low, -1e-9), max(high, 1e-9), 60)
        for group, color, hatch, label in groups:
            axes.hist(
                group.ravel(), bins=bins.tolist(), weights=np.full(group.size, 1 / max(group.size, 1)),
                color=color, alpha=0.75, hatch=hatch, label=f"{label} ({group.shape[1]})",
            )  # fmt: skip
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_ylabel("share")
    panels[0].set_xlabel("z before, in units of its spread")
    panels[1].set_xlabel("z after, in the same units")
    dead, right = int(net.dead.sum()), np.mean(net.before[:, net.dead] > 0) if net.dead.any() else 0.0
    headline(panels[0], f"Before the first step, {right:.0%} of what the {dead} dying units get is over 0")
    headline(panels[1], "After the training, none of it is: no image switches them on")
    pictures.legend(panels[0])
    return figure


def _pixels(data: Dataset) -> Any:
    figure = pictures.figure(3.6)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 2])
    top.patch.set_alpha(0)
    bottom.patch.set_alpha(0)
    places = [int(np.flatnonzero(data.y == k)[0]) for k in np.unique(data.y)[:10]]
    for axes, place in zip(np.ravel(top.subplots(1, len(places))), places, strict=True):
        axes.imshow(data.X[place].reshape(data.image_shape), cmap="gray", interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(str(data.classes[data.y[place]]), loc="center", fontweight="normal")
    axes = bottom.subplots()
    values = data.X.ravel()[:: max(1, data.X.size // 2_000_000)]
    axes.hist(values, bins=52, color=BLUE, log=True)
    axes.set_xlabel("pixel value")
    axes.set_ylabel("pixels")
    headline(axes, f"{np.count_nonzero(values == 0) / values.size:.0%} of the pixels are 0")
    return figure


_SHOWN = 10  # units of each kind


def _weights(nets: Mapping[str, Portrait], data: Dataset) -> Any:
    raw, scaled = nets["raw"], nets["255"]
    rows = [
        ("raw, dead", raw.W1[:, raw.dead]), ("raw, alive", raw.W1[:, ~raw.dead]), ("/ 255", scaled.W1),
    ]  # fmt: skip
    rows = [(name, W) for name, W in rows if W.shape[1]]
    figure = pictures.figure(0.62 * len(rows) + 0.7)
    grid = np.atleast_2d(figure.subplots(len(rows), _SHOWN))
    for line, (name, W) in zip(grid, rows, strict=True):
        for unit, axes in enumerate(line):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if unit < W.shape[1]:
                picture = W[:, unit].reshape(data.image_shape)
                most = np.abs(picture).max() or 1.0
                axes.imshow(picture, cmap="RdBu", vmin=-most, vmax=most, interpolation="nearest")
        line[0].set_ylabel(name.replace(", ", ",\n"), rotation=0, ha="right", va="center")
    figure.supxlabel("weights into a unit: blue up, red down", fontsize=9)
    headline(
        figure,
        f"On raw pixels {raw.dead.sum()} of {raw.dead.size} units died, on scaled ones {scaled.dead.sum()}",
    )
    return figure


CHARTS: dict[str, Callable[[Any, Evidence], None]] = {
    "claims": _claims,
    "distribution": _distribution,
    "mechanisms": _mechanisms,
    "phase": _phase,
    "curvature": _curvature,
    "law": _law,
    "start": _start,
}
