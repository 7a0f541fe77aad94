"""The study's figures as SVG, by matplotlib; nothing is measured here.

They are as wide as a phone, and fit light and dark pages: text and axes have the colour of the page around
them (currentColor), the background is transparent, and the other colours are visible on both.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from fastmlp.data import Dataset
from fastmlp.errors import ConfigError
from fastmlp.study.experiments import ACTS
from fastmlp.study.measures import Portrait

BLUE, ORANGE, GREEN, GREY = "#3d8bd4", "#dd7426", "#3a9d5d", "#8a8a8a"
_INK = "#010203"  # becomes currentColor
_WIDTH = 4.5  # inches: the width of a phone at 9 points
_ALONE = (  # for files, which have no page around them
    "<style>svg{color:#1b1b1b;background:#fff}"
    "@media(prefers-color-scheme:dark){svg{color:#e6e6e6;background:#161616}}</style>"
)
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.transparent": True,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "axes.titlecolor"),
        _INK,
    ),
}
Evidence = dict[str, Any]


def check() -> None:
    """Raises ConfigError where no figure can be drawn."""
    if find_spec("matplotlib") is None:
        raise ConfigError(
            "study must have matplotlib", "none installed", 'install it: pip install "fastmlp[plot]"'
        )


def draw_all(evidence: Evidence, nets: Mapping[str, Portrait], data: Dataset) -> dict[str, str]:
    """Draw each figure: name -> SVG, in the page's colours. Those of pixels only where rows are pictures."""
    drawn = {name: _svg(name, partial(draw, evidence=evidence)) for name, draw in _CHARTS.items()}
    drawn["dead"] = _svg("dead", lambda figure: _dead(figure, nets["raw"]))
    if data.image_shape is not None:
        drawn["pixels"] = _svg("pixels", lambda figure: _pixels(figure, data))
        drawn["weights"] = _svg("weights", lambda figure: _weights(figure, nets, data))
    return drawn


def alone(svg: str) -> str:
    """The same as a file of its own, light or dark as its reader prefers."""
    start = svg.index(">", svg.index("<svg")) + 1
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg[:start]}{_ALONE}{svg[start:]}'


def _svg(name: str, draw: Callable[[Any], None]) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**_STYLE, "svg.hashsalt": f"fastmlp {name}"}):
        figure = Figure(figsize=(_WIDTH, 3), layout="constrained")
        draw(figure)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue().decode()
    text = text[text.index("<svg") :].strip()
    text = text.replace(_INK, "currentColor").replace("font: ", "font:")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)  # several share a page
    return text.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def _claims(figure: Any, evidence: Evidence) -> None:
    """Every cell's seeds, a row each, and the thread's claims as diamonds."""
    said = {"sigmoid-raw": [0.95], "relu-raw": [0.55, 0.5], "relu-255": [0.934]}
    cells = evidence["cells"]
    figure.set_size_inches(_WIDTH, 0.21 * len(cells) + 1.1)
    axes = figure.subplots()
    colors: dict[str, str] = {}
    for place, cell in enumerate(cells):
        color = colors.setdefault(cell["loss"], (BLUE, ORANGE, GREEN)[len(colors) % 3])
        axes.plot(cell["accuracy"], [place] * cell["seeds"], "o", color=color, markersize=3, alpha=0.6, mew=0)
        axes.plot(cell["mean"], place, "|", color=_INK, markersize=9, mew=1.4)
        for value in said.get(cell["code"], [0.98]):
            axes.plot(value, place, "D", mfc="none", mec=_INK, markersize=5, mew=0.7)
    labels = list(dict.fromkeys(cell["label"] for cell in cells))
    each = len(cells) / len(labels)
    axes.set_yticks(
        [each * i + (each - 1) / 2 for i in range(len(labels))], [_short(name) for name in labels]
    )
    for i in range(1, len(labels)):
        axes.axhline(each * i - 0.5, color=GREY, linewidth=0.4)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("test accuracy (| mean, ◇ claimed)")
    handles = [
        axes.plot([], [], "o", color=color, markersize=4, label=loss)[0] for loss, color in colors.items()
    ]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=3,
        frameon=False,
        handletextpad=0.1,
        columnspacing=1,
    )


def _short(label: str) -> str:
    words = label.split(", ")
    return f"{words[0]},\n{', '.join(words[1:])}"


def _distribution(figure: Any, evidence: Evidence) -> None:
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (loss, found), color in zip(
        panels, evidence["distribution"].items(), (BLUE, ORANGE), strict=True
    ):
        axes.hist(found["accuracy"], bins=np.linspace(0, 1, 41).tolist(), color=color)
        axes.axvline(found["mean"], color=_INK, linewidth=1, linestyle="--")
        axes.set_title(
            f"{loss}: {found['seeds']} seeds, mean {found['mean']:.3f}, {found['worst']:.3f} to "
            f"{found['best']:.3f}"
        )
        axes.set_ylabel("nets")
    panels[-1].set_xlabel("test accuracy of ReLU on raw pixels")


def _mechanisms(figure: Any, evidence: Evidence) -> None:
    figure.set_size_inches(_WIDTH, 5.2)
    first, second = figure.subplots(2, 1)
    logits, keras = evidence["distribution"]["logits"], evidence["distribution"]["keras2"]
    for found, color, name in ((logits, BLUE, "logits"), (keras, ORANGE, "keras2")):
        alive = [100 - dead for dead in found["dead_units"]]
        first.plot(alive, found["accuracy"], "o", color=color, markersize=3.5, alpha=0.6, mew=0, label=name)
        second.plot(
            [max(live, 1e-6) for live in found["live_share"]], found["accuracy"], "o", color=color,
            markersize=3.5, alpha=0.6, mew=0,
        )  # fmt: skip
    first.set_xlabel("units alive, of 100")
    first.set_title(f"Dead units: rank correlation {_number(logits['dead_rank_correlation'])} under logits")
    first.legend(frameon=False, loc="center")
    second.set_xscale("log")
    second.set_xlabel("live share in the last epoch")
    second.set_title(
        f"Frozen samples: rank correlation {_number(keras['live_rank_correlation'])} under keras2"
    )
    for axes in (first, second):
        axes.set_ylabel("test accuracy")
        axes.set_ylim(0, 1)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _phase(figure: Any, evidence: Evidence) -> None:
    figure.set_size_inches(_WIDTH, 6.6)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (act, found) in zip(panels, evidence["phase"].items(), strict=True):
        scales, rates = np.log2(found["scales"]), np.log2(found["rates"])
        image = axes.pcolormesh(
            scales,
            rates,
            np.array(found["accuracy"]),
            vmin=0,
            vmax=1,
            cmap="viridis",
            shading="nearest",
            rasterized=True,
        )
        axes.plot(scales, np.log2(found["predicted"]), color="#ffffff", linewidth=3.4)
        axes.plot(scales, np.log2(found["predicted"]), color="#d03030", linewidth=1.8, label="2 / curvature")
        at = [(x, np.log2(e)) for x, e in zip(scales, found["edge"], strict=True) if e is not None]
        if at:
            axes.plot(
                *zip(*at, strict=True), "o", mfc="#ffffff", mec="#000000", markersize=5, label="measured edge"
            )
        axes.set_title(
            f"{ACTS[act]}: {sum(found['within'])} of {len(found['within'])} columns within a factor of 2"
        )
        axes.set_ylabel("learning rate")
        axes.set_ylim(rates[0] - (rates[1] - rates[0]) / 2, rates[-1] + (rates[1] - rates[0]) / 2)
        shown = range(int(np.ceil(rates[0])), int(rates[-1]) + 1, 4)
        axes.set_yticks(list(shown), [f"{2.0**i:.2g}" for i in shown])
    panels[-1].set_xlabel("scale: pixels are divided by it")
    panels[-1].set_xticks(scales[::2], [f"{scale:g}" for scale in found["scales"]][::2])
    figure.colorbar(image, ax=panels, location="bottom", label="test accuracy", aspect=40, shrink=0.9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)


def _curvature(figure: Any, evidence: Evidence) -> None:
    axes, found = figure.subplots(), evidence["curvature"]
    for act, color in (("relu", BLUE), ("sigmoid", ORANGE)):
        points = sorted((float(scale), value) for scale, value in found[act].items())
        axes.plot(
            *zip(*points, strict=True),
            "o-",
            color=color,
            markersize=3.5,
            label=ACTS[act],
        )
    axes.axhline(found["largest_stable"], color=_INK, linestyle="--", linewidth=1)
    axes.annotate(
        f"2 / lr = {found['largest_stable']:g}: stable below", (1, found["largest_stable"]),
        xytext=(0.98, 4), textcoords=("axes fraction", "offset points"), ha="right",
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("scale: pixels are divided by it")
    axes.set_ylabel("curvature before training")
    axes.legend(frameon=False, loc="lower left")


def _law(figure: Any, evidence: Evidence) -> None:
    axes, found = figure.subplots(), evidence["law"]
    steps = range(1, found["steps"] + 1)
    axes.plot(
        steps,
        found["scaled"]["losses"],
        color=BLUE,
        linewidth=3,
        alpha=0.55,
        label=f"pixels / {found['s']}, lr {found['lr']:g}",
    )
    axes.plot(
        steps, found["raw"]["losses"], color=ORANGE, linewidth=0.8, linestyle="--",
        label=f"raw pixels, W1 / {found['s']}, lr / {found['s']}² on W1",
    )  # fmt: skip
    axes.set_xlabel("step")
    axes.set_ylabel("loss of the batch")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)


def _start(figure: Any, evidence: Evidence) -> None:
    axes, found = figure.subplots(), evidence["start"]
    rows = [
        ("same on/off state\nraw and / 255", found["same_pattern"]),
        ("units on, of all\n(image, unit) pairs", found["active"]),
        ("units on for\nevery image", found["always_on"] / 100),
        ("sigmoids saturated,\nraw", found["at_raw"]["sigmoid_saturated"]),
        ("sigmoids saturated,\n/ 255", found["at_255"]["sigmoid_saturated"]),
        ("largest first weight\n(claimed: 1)", found["largest_weight"]),
    ]
    bars = axes.barh(
        range(len(rows)), [value for _, value in rows], color=[BLUE] * 3 + [ORANGE] * 2 + [GREEN], height=0.6
    )
    axes.bar_label(bars, [f"{value:.3f}" for _, value in rows], padding=3)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15)
    axes.set_xlabel("before the first step")


def _dead(figure: Any, net: Portrait) -> None:
    """Pre-activations of the units that die, before and after, and the alive ones'."""
    figure.set_size_inches(_WIDTH, 4.2)
    panels = figure.subplots(2, 1)
    for axes, values, title in (
        (panels[0], net.before, "before the first step"), (panels[1], net.after, "after the training")
    ):  # fmt: skip
        groups = [(values[:, net.dead], ORANGE, "units that die"), (values[:, ~net.dead], BLUE, "the others")]
        shown = np.concatenate([group.ravel() for group, *_ in groups])
        low, high = np.quantile(shown, [0.002, 0.998])
        bins = np.linspace(min(low, -1e-9), max(high, 1e-9), 60)
        for group, color, label in groups:
            if group.size:
                axes.hist(
                    group.ravel(), bins=bins.tolist(), weights=np.full(group.size, 1 / group.size),
                    color=color, alpha=0.6, label=f"{label} ({group.shape[1]})",
                )  # fmt: skip
        axes.axvline(0, color=_INK, linewidth=0.8)
        axes.set_title(f"Pre-activations on training images, {title}")
        axes.set_ylabel("share")
    panels[0].legend(frameon=False)
    panels[1].set_xlabel("z, in units of its spread before the first step")


def _pixels(figure: Any, data: Dataset) -> None:
    figure.set_size_inches(_WIDTH, 3.2)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.6])
    top.patch.set_alpha(0)
    bottom.patch.set_alpha(0)
    places = [int(np.flatnonzero(data.y == k)[0]) for k in np.unique(data.y)[:10]]
    for axes, place in zip(np.ravel(top.subplots(1, len(places))), places, strict=True):
        axes.imshow(data.X[place].reshape(data.image_shape), cmap="gray", interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(str(data.classes[data.y[place]]))
    axes = bottom.subplots()
    values = data.X.ravel()[:: max(1, data.X.size // 2_000_000)]
    axes.hist(values, bins=52, color=BLUE, log=True)
    axes.set_xlabel(f"pixel value ({np.count_nonzero(values == 0) / values.size:.0%} are 0)")
    axes.set_ylabel("pixels")


_SHOWN = 10  # units of each kind


def _weights(figure: Any, nets: Mapping[str, Portrait], data: Dataset) -> None:
    raw, scaled = nets["raw"], nets["255"]
    rows = [
        ("raw, dead", raw.W1[:, raw.dead]), ("raw, alive", raw.W1[:, ~raw.dead]), ("/ 255", scaled.W1),
    ]  # fmt: skip
    rows = [(name, W) for name, W in rows if W.shape[1]]
    figure.set_size_inches(_WIDTH, 0.62 * len(rows) + 0.35)
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


_CHARTS: dict[str, Callable[..., None]] = {
    "claims": _claims,
    "distribution": _distribution,
    "mechanisms": _mechanisms,
    "phase": _phase,
    "curvature": _curvature,
    "law": _law,
    "start": _start,
}
